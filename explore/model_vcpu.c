/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/model_vcpu.h"

#include <string.h>

#include "explore/dirty.h"
#include "explore/host_model.h"
#include "explore/sched.h"
#include "explore/trace.h"

/* EPT entries (SDM vol. 3, 29.3), read here without the library's help. */
#define EPT_RWX	  7ull
#define EPT_W	  2ull
#define EPT_LARGE (1ull << 7)
#define EPT_A	  (1ull << 8)
#define EPT_D	  (1ull << 9)
#define EPT_FRAME 0x000ffffffffff000ull

/* Faults of one access before it counts as no progress. */
#define FAULTS_MAX 60u
/* Retries in a row before it waits for what it collides with. */
#define RETRY_ROUNDS 2u

static void serve(struct model_vcpu *v)
{
	u32 requests;

	kvm_vcpu_leave_guest_mode(&v->vcpu);
	requests = atomic_and(&v->vcpu.requests, 0u);
	if (requests & KVM_REQ_TLB_FLUSH) {
		kvm_mmu_reload(&v->vcpu);
		memset(v->tlb, 0, sizeof(v->tlb));
		trace_note("flushes its TLB");
	}
	if ((requests & KVM_REQ_DIRTY_RING_SOFT_FULL) &&
	    kvm_dirty_ring_soft_full(&v->vcpu.dirty_ring))
		dirty_wait_for_room(&v->vcpu);
	kvm_vcpu_enter_guest_mode(&v->vcpu);
}

/* Once more after each entry: nobody has waited for a vCPU that was outside. */
static void serve_requests(struct model_vcpu *v)
{
	while (unlikely(atomic_peek(&v->vcpu.requests)))
		serve(v);
}

void model_vcpu_enter(struct model_vcpu *v)
{
	kvm_vcpu_enter_guest_mode(&v->vcpu);
}

void model_vcpu_leave(struct model_vcpu *v)
{
	kvm_vcpu_leave_guest_mode(&v->vcpu);
}

void model_vcpu_set_smm(struct model_vcpu *v, bool smm)
{
	kvm_vcpu_leave_guest_mode(&v->vcpu);
	kvm_mmu_set_smm(&v->vcpu, smm);
	memset(v->tlb, 0, sizeof(v->tlb));
	trace_note(smm ? "is in SMM" : "has left SMM");
	kvm_vcpu_enter_guest_mode(&v->vcpu);
}

u32 model_converting[MODEL_TLB_ENTRIES];
u32 model_slot_updates;
bool model_used[KVM_MAX_NR_ADDRESS_SPACES][MODEL_TLB_ENTRIES];

/* ---- the walk ------------------------------------------------------------------------ */

/* What the access sets in the leaf, as hardware does; false: the entry has changed. */
static bool mark_used(struct model_vcpu *v, gfn_t gfn, u64 *ptep, u64 *pte, bool write)
{
	u64 seen = *pte;

	*pte |= EPT_A | (write ? EPT_D : 0);
	if (*pte == seen)
		return true;
	if (!atomic_cmpxchg_u64(ptep, &seen, *pte))
		return false;
	if ((*pte ^ seen) & EPT_A)
		model_used[kvm_vcpu_as_id(&v->vcpu)][gfn] = true;
	if ((*pte ^ seen) & EPT_D)
		kvm_vcpu_dirty_mark_set(&v->vcpu, gfn_to_gpa(gfn));
	return true;
}

static bool walk(struct model_vcpu *v, gfn_t gfn, bool write, struct model_tlb_entry *entry)
{
	u64 *table = v->vcpu.mmu->root;

	for (unsigned int level = v->vcpu.mmu->root_level;; level--) {
		u64 *ptep = &table[(gfn >> (9 * (level - 1))) & 511];
		u64 pte = atomic_observe(ptep);

		if (!(pte & EPT_RWX) || (write && !(pte & EPT_W)))
			return false;
		if (level > 1 && !(pte & EPT_LARGE)) {
			table = hva_to_ptr(pte & EPT_FRAME);
			continue;
		}
		if (!mark_used(v, gfn, ptep, &pte, write))
			return walk(v, gfn, write, entry);
		*entry = (struct model_tlb_entry){
			.valid = true,
			.writable = (pte & EPT_W) && (pte & EPT_D),
			.hva = (pte & EPT_FRAME) +
			       ((gfn & (pages_per_level((enum pg_level)level) - 1)) << PAGE_SHIFT),
		};
		return true;
	}
}

static bool translate(struct model_vcpu *v, gfn_t gfn, bool write, struct model_tlb_entry *entry)
{
	*entry = v->tlb[gfn];
	if (entry->valid && (entry->writable || !write))
		return true;
	if (!walk(v, gfn, write, entry))
		return false;
	v->tlb[gfn] = *entry;
	return true;
}

/* ---- the access ---------------------------------------------------------------------- */

static bool is_of_the_wrong_kind(const struct kvm *kvm, gfn_t gfn, const struct host_page *page)
{
	bool private;

	if (model_converting[gfn])
		return false;
	sched_quiet(true);
	private = kvm_mem_is_private(kvm, gfn);
	sched_quiet(false);
	return host_page_is_private(page) != private;
}

/* The oracle: what the translation leads to must still be the guest's. */
static void touch(const struct kvm *kvm, gfn_t gfn, hva_t hva, bool write)
{
	struct host_page *page;

	sched_point();
	page = host_page_at(hva);
	trace_note("%s guest page %llu", write ? "WRITES" : "READS", (unsigned long long)gfn);
	if (!page)
		sched_fail("guest page %llu leads nowhere", (unsigned long long)gfn);
	else if (page->gone)
		sched_fail("guest page %llu is used, and its memory was taken away before",
			   (unsigned long long)gfn);
	else if (!page->resident)
		sched_fail("guest page %llu is used, and its memory is not resident",
			   (unsigned long long)gfn);
	else if (is_of_the_wrong_kind(kvm, gfn, page))
		sched_fail("an access to guest page %llu reaches memory of the other kind",
			   (unsigned long long)gfn);
	else if (write)
		page->content++;
}

/* What makes a fault be taken again; when it is as before, trying again is no use. */
struct obstacles {
	const struct kvm_vcpu *vcpu;
	bool slots_move; /* and who looks may see them as they were or as they will be */
	u64 word[5];
};

#define SETTLED(field) memory_settled(&(field), sizeof(field))

static struct obstacles obstacles_of(const struct kvm_vcpu *vcpu)
{
	const struct kvm *kvm = vcpu->kvm;

	return (struct obstacles){
		.vcpu = vcpu,
		.slots_move = model_slot_updates != 0,
		.word = {SETTLED(kvm->memslots[kvm_vcpu_as_id(vcpu)]), SETTLED(kvm->root_epoch),
			 SETTLED(kvm->mmu_invalidate_seq), SETTLED(kvm->mmu_invalidate_in_progress),
			 SETTLED(kvm->mmu_invalidate_range_start)},
	};
}

static bool obstacles_moved(void *arg)
{
	const struct obstacles *then = arg;
	struct obstacles now = obstacles_of(then->vcpu);

	return memcmp(now.word, then->word, sizeof(now.word)) != 0;
}

static u64 retries(const struct model_vcpu *v)
{
	return v->vcpu.stat.pf_by_outcome[RET_PF_RETRY];
}

/* The oracle: where the slots stood still, and one of them had memory, no device was. */
static void judge_emulation(const struct obstacles *then, gfn_t gfn, bool write)
{
	const struct kvm_memslots *slots = hva_to_ptr(then->word[0]);
	const struct kvm_memory_slot *slot;
	bool device;

	if (then->slots_move || model_slot_updates ||
	    obstacles_of(then->vcpu).word[0] != then->word[0])
		return;
	sched_quiet(true);
	slot = slot_index_find(slots->by_gfn, gfn);
	device = !slot || (write && (slot->flags & KVM_SLOT_READONLY));
	sched_quiet(false);
	if (!device)
		sched_fail("guest page %llu is taken for a device's, and a slot has it",
			   (unsigned long long)gfn);
}

/* Faults of one access that were to be taken again. */
struct rounds {
	u32 nr;
	struct obstacles last; /* as the last of them began */
};

/*
 * True: the access may be tried again.  A vCPU would go round and round while a
 * bracket is open over its page; here it waits, after a few rounds, for the
 * bracket to move, and if nobody is left to move it, the run has found a livelock.
 * What has moved since the last round began it may not have seen in this one.
 */
static bool fault(struct model_vcpu *v, gfn_t gfn, bool write, struct rounds *rounds)
{
	struct obstacles then = obstacles_of(&v->vcpu);
	u64 before = retries(v);
	enum kvm_mmu_verdict verdict;
	int err;

	kvm_vcpu_leave_guest_mode(&v->vcpu);
	trace_note("faults at guest page %llu", (unsigned long long)gfn);
	verdict = kvm_mmu_page_fault(&v->vcpu, gfn_to_gpa(gfn), write ? PFERR_WRITE_MASK : 0, &err);
	trace_note(verdict == KVM_MMU_EMULATE	  ? "finds no memory: emulates"
		   : verdict == KVM_MMU_EXIT_USER ? "leaves to user space"
		   : retries(v) != before	  ? "must fault again"
						  : "has what it needs");
	if (verdict == KVM_MMU_EMULATE)
		judge_emulation(&then, gfn, write);
	rounds->nr = retries(v) != before ? rounds->nr + 1 : 0;
	if (rounds->nr >= RETRY_ROUNDS && !(atomic_peek(&v->vcpu.requests)))
		sched_wait("what its fault collides with", obstacles_moved, &rounds->last);
	rounds->last = then;
	kvm_vcpu_enter_guest_mode(&v->vcpu);
	return verdict == KVM_MMU_RESUME_GUEST;
}

void model_vcpu_access(struct model_vcpu *v, gfn_t gfn, bool write)
{
	struct model_tlb_entry entry;
	struct rounds rounds = {0};

	for (u32 faults = 0; faults < FAULTS_MAX; faults++) {
		serve_requests(v);
		if (translate(v, gfn, write, &entry)) {
			touch(v->vcpu.kvm, gfn, entry.hva, write);
			return;
		}
		if (!fault(v, gfn, write, &rounds))
			return;
	}
	sched_fail("%u faults at guest page %llu and no progress", FAULTS_MAX,
		   (unsigned long long)gfn);
}
