/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a guest page fault: from the error code to an entry in the
 * second-stage tables, or to one of the other outcomes.
 *
 * Each stage returns RET_PF_CONTINUE, or the outcome that ends the path.
 */
#include "mmu/gmem.h"
#include "mmu/trace.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

const char *kvm_ret_pf_name(enum kvm_ret_pf ret)
{
	switch (ret) {
#define OUTCOME_NAME(name, value, permuted) \
	case RET_PF_##name:                 \
		return "RET_PF_" #name;
		KVM_RET_PF_OUTCOMES(OUTCOME_NAME)
	case RET_PF_NR:
		break;
	}
	return "RET_PF_?";
}

/* Look the slot up and take from it what the rest of the path needs. */
static bool snapshot_slot(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	const struct kvm_memory_slot *slot;

	mmu_host_rcu_read_lock();
	/* First: what is not in later slots need not be missing in these, nor be noted of them. */
	fault->slots_generation = kvm_vcpu_memslots(vcpu)->generation;
	slot = kvm_vcpu_gfn_to_memslot(vcpu, fault->gfn);
	fault->slot = slot;
	if (slot) {
		fault->hva = kvm_slot_gfn_to_hva(slot, fault->gfn);
		fault->slot_flags = slot->flags;
	}
	mmu_host_rcu_read_unlock();
	return slot != NULL;
}

static bool writes_to_rom(const struct kvm_page_fault *fault)
{
	return fault->write && (fault->slot_flags & KVM_SLOT_READONLY);
}

static u64 memslot_generation(const struct kvm_vcpu *vcpu)
{
	u64 generation;

	mmu_host_rcu_read_lock();
	generation = kvm_vcpu_memslots(vcpu)->generation;
	mmu_host_rcu_read_unlock();
	return generation;
}

static bool gfn_is_private(const struct kvm *kvm, gfn_t gfn)
{
	return kvm->has_private_mem && kvm_mem_is_private(kvm, gfn);
}

/* The access wants one kind of memory and the gfn is of the other. */
static bool is_mismatch(const struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	return !KVMU_MUTANT(MISMATCH_UNCHECKED) &&
	       fault->is_private != gfn_is_private(vcpu->kvm, fault->gfn);
}

static enum kvm_ret_pf prepare_memory_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault,
					    int error)
{
	vcpu->has_memory_fault = true;
	vcpu->memory_fault = (struct kvm_memory_fault){
		.gpa = gfn_to_gpa(fault->gfn),
		.size = PAGE_SIZE,
		.flags = fault->is_private ? KVM_MEMORY_FAULT_PRIVATE : 0,
	};
	fault->error = error;
	return RET_PF_USER;
}

/* ---- stage: a stale TLB, or write permission that only logging took away -------- */

static bool leaf_allows(const struct kvm_pgtable_leaf *leaf, const struct kvm_page_fault *fault)
{
	enum kvm_pgtable_prot need = fault->write  ? KVM_PGTABLE_PROT_W
				     : fault->exec ? KVM_PGTABLE_PROT_X
						   : KVM_PGTABLE_PROT_R;

	return leaf->prot & need;
}

static bool only_logging_forbids(const struct kvm_pgtable_leaf *leaf,
				 const struct kvm_page_fault *fault)
{
	return fault->write && (leaf->prot & KVM_SPTE_WRITABLE);
}

/*
 * Make the leaf writable and log the page, in this order: a harvest between the
 * two protects the leaf again or comes too early for the mark, which is then for
 * the next one.  Marked first, the page could be harvested before it is made
 * writable, and what is written then would be in no log.
 *
 * The slot is looked up in the same section: when logging begins, the new slot
 * is published, all such sections end, and only then are leaves protected.
 */
static enum kvm_ret_pf fast_fix_write(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault,
				      const struct kvm_pgtable_leaf *leaf)
{
	const struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, fault->gfn);
	int err;

	if (!slot || (slot->flags & KVM_SLOT_READONLY))
		return RET_PF_CONTINUE;
	/* A block of a logged slot has to be split. */
	if (leaf->level > PG_LEVEL_4K && kvm_slot_dirty_track_enabled(slot))
		return RET_PF_CONTINUE;
	if (KVMU_MUTANT(LOG_BEFORE_LEAF))
		kvm_mark_page_dirty_in_slot(vcpu->kvm, vcpu, slot, fault->gfn);
	err = ept_relax_leaf(
		kvm_vcpu_pgt(vcpu), gfn_to_gpa(fault->gfn), leaf,
		KVM_PGTABLE_PROT_W | KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY, NULL);
	if (err)
		return RET_PF_RETRY; /* somebody else changed it */
	if (!KVMU_MUTANT(LOG_BEFORE_LEAF) && !KVMU_MUTANT(FAST_PATH_UNLOGGED))
		kvm_mark_page_dirty_in_slot(vcpu->kvm, vcpu, slot, fault->gfn);
	return RET_PF_FIXED;
}

/*
 * Another vCPU may have mapped the page since this one walked; then nothing is
 * left to do.  RET_PF_CONTINUE: not a fault for this path.
 */
static enum kvm_ret_pf fast_page_fault(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault,
				       const struct kvm_pgtable_leaf *leaf)
{
	enum kvm_ret_pf ret = RET_PF_CONTINUE;

	if (leaf_allows(leaf, fault))
		ret = RET_PF_SPURIOUS;
	else if (only_logging_forbids(leaf, fault))
		ret = fast_fix_write(vcpu, fault, leaf);
	if (ret == RET_PF_CONTINUE)
		return ret;
	kvm_stat_add(&vcpu->stat.pf_fast, 1);
	kvmu_trace(kvmmmu, fast_page_fault, vcpu->vcpu_id, fault->addr, fault->error_code,
		   ptr_to_hva(leaf->ptep), leaf->pte, atomic_peek(leaf->ptep), ret);
	return ret;
}

/* ---- stage: what the tables know --------------------------------------------------- */

/* As KVM's ACC_* bits have it: 1 fetch, 2 write, 4 user. */
static u64 mmio_access(const struct kvm_page_fault *fault)
{
	return (fault->exec ? 1 : 0) | (fault->write ? 2 : 0) | (fault->user ? 4 : 0);
}

static enum kvm_ret_pf handle_mmio_page_fault(const struct kvm_page_fault *fault)
{
	kvmu_trace(kvmmmu, handle_mmio_page_fault, fault->addr, fault->gfn, mmio_access(fault));
	return RET_PF_EMULATE;
}

/* The vCPU asked for this gfn before, and no slot has come or gone since. */
static bool is_cached_mmio(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	return vcpu->mmio_gfn == fault->gfn &&
	       (vcpu->mmio_gen == memslot_generation(vcpu) || KVMU_MUTANT(MMIO_OUTLIVES_SLOTS));
}

/* Lock-free: an access to where no memory is known to be, or one that a leaf can serve. */
static enum kvm_ret_pf ask_tables(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	enum kvm_ret_pf ret = RET_PF_CONTINUE;
	struct kvm_pgtable_leaf leaf;

	/* What is there is for the other kind of access. */
	if (is_mismatch(vcpu, fault))
		return RET_PF_CONTINUE;
	if (!fault->is_private && is_cached_mmio(vcpu, fault))
		return handle_mmio_page_fault(fault);
	mmu_host_rcu_read_lock();
	/* Beyond what the tables can translate no slot can be either. */
	if (!ept_get_leaf(kvm_vcpu_pgt(vcpu), gfn_to_gpa(fault->gfn), &leaf)) {
		fault->walk_level = (enum pg_level)leaf.level;
		if (leaf.present) {
			fault->goal_level = fault->walk_level;
			ret = fast_page_fault(vcpu, fault, &leaf);
		} else if (leaf.mmio && !fault->is_private && kvm_mmu_mmio_holds(vcpu, &leaf)) {
			ret = handle_mmio_page_fault(fault);
		}
	}
	mmu_host_rcu_read_unlock();
	return ret;
}

/* ---- stage: is there memory at all? ------------------------------------------------ */

/* A private access is never a device access (KVM API document, KVM_EXIT_MEMORY_FAULT). */
static enum kvm_ret_pf handle_no_slot(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	if (fault->is_private || is_mismatch(vcpu, fault))
		return prepare_memory_fault(vcpu, fault, -EFAULT);
	kvm_mmu_mmio_remember(vcpu, fault->gfn, fault->slots_generation);
	return RET_PF_EMULATE;
}

static enum kvm_ret_pf classify_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	if (!snapshot_slot(vcpu, fault))
		return handle_no_slot(vcpu, fault);
	return writes_to_rom(fault) ? RET_PF_EMULATE : RET_PF_CONTINUE;
}

/* ---- stage: table pages, while we may sleep ------------------------------------ */

static enum kvm_ret_pf topup_table_cache(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm_pgtable_cache *cache = &vcpu->table_cache;

	if (unlikely(kvm_mmu_over_table_limit(vcpu->kvm))) {
		fault->error = kvm_mmu_zap_all_fast(vcpu->kvm);
		if (fault->error)
			return RET_PF_USER;
		if (!KVMU_MUTANT(EPOCH_BEFORE_RECLAIM))
			return RET_PF_RETRY;
		vcpu->mmu->root_epoch = atomic_peek(&vcpu->kvm->root_epoch);
	}
	if (likely(cache->nr >= KVM_MMU_TABLE_CACHE_MIN))
		return RET_PF_CONTINUE;
	fault->error = kvm_mmu_fill_table_cache(vcpu->kvm, cache);
	if (cache->nr >= KVM_MMU_TABLE_CACHE_MIN)
		return RET_PF_CONTINUE;
	return RET_PF_USER;
}

/* ---- stage: the page ------------------------------------------------------------ */

/* A leaf is of one kind: no bigger than what has the same attributes all over. */
static enum pg_level attributes_max_level(const struct kvm *kvm, gfn_t gfn, enum pg_level level)
{
	u64 attributes;

	if (!kvm->has_private_mem || KVMU_MUTANT(HUGE_ACROSS_ATTRIBUTES))
		return level;
	attributes = kvm_get_memory_attributes(kvm, gfn);
	while (level > PG_LEVEL_4K) {
		u64 pages = pages_per_level(level);
		gfn_t first = align_down(gfn, pages);

		if (kvm_range_has_memory_attributes(kvm, first, first + pages, attributes))
			break;
		level = (enum pg_level)(level - 1);
	}
	return level;
}

/* In the read-side section that found the slot: where the page is, and hold what it is in. */
static void place_page(struct kvm_page_fault *fault)
{
	const struct kvm_memory_slot *slot = fault->slot;
	hva_t hva;

	fault->hva = hva = kvm_slot_gfn_to_hva(slot, fault->gfn);
	fault->slot_flags = slot->flags;
	if (fault->is_private) {
		fault->gmem = kvm_gmem_get_file(slot);
		if (!fault->gmem)
			return;
		fault->gmem_index = slot->gmem_pgoff + (fault->gfn - slot->base_gfn);
		hva = kvm_gmem_hva(fault->gmem, fault->gmem_index);
	}
	/* What is logged page by page is mapped so. */
	fault->max_level = kvm_slot_dirty_track_enabled(slot)
				   ? PG_LEVEL_4K
				   : kvm_slot_max_level(slot, fault->gfn, hva);
}

/*
 * The slot as it is now that the sequence has been read: what an earlier look
 * found may have been deleted before, and then nothing would tell.
 */
static enum kvm_ret_pf resolve_slot(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	enum kvm_ret_pf ret = RET_PF_RETRY;

	mmu_host_rcu_read_lock();
	if (!KVMU_MUTANT(SLOT_NOT_LOOKED_UP_AGAIN))
		fault->slot = kvm_vcpu_gfn_to_memslot(vcpu, fault->gfn);
	if (fault->slot) {
		place_page(fault);
		ret = RET_PF_CONTINUE;
	}
	mmu_host_rcu_read_unlock();
	fault->max_level = attributes_max_level(vcpu->kvm, fault->gfn, fault->max_level);
	return ret;
}

/* The host refused.  A poisoned page and a pending signal are no memory faults. */
static enum kvm_ret_pf handle_error_pfn(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault,
					int err)
{
	switch (err) {
	case -EFAULT:
	case -ENOMEM: /* to get_user_pages() a page is there or is not */
		return prepare_memory_fault(vcpu, fault, -EFAULT);
	case -EHWPOISON:
		vcpu->poisoned_hva = align_down(fault->hva, PAGE_SIZE);
		break;
	}
	fault->error = err;
	return RET_PF_USER;
}

/*
 * How big a leaf is worth asking for: bigger only where nothing smaller hangs
 * in the tables yet, so that the host is asked once per block and not once per
 * page.
 */
static enum pg_level worthwhile_level(const struct kvm_page_fault *fault)
{
	if (fault->walk_level <= PG_LEVEL_4K)
		return PG_LEVEL_4K;
	return min_level(fault->max_level, fault->walk_level);
}

/* Attributes that say "private" are not enough: the slot must have such memory. */
static enum kvm_ret_pf faultin_pfn_private(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	enum pg_level level = worthwhile_level(fault);
	int err;

	if (!fault->gmem)
		return prepare_memory_fault(vcpu, fault, -EFAULT);
	err = kvm_gmem_get_pfn(fault->gmem, fault->gmem_index, &fault->pfn, &level);
	if (err)
		return prepare_memory_fault(vcpu, fault, err);
	fault->map_writable = !(fault->slot_flags & KVM_SLOT_READONLY);
	fault->max_level = min_level(fault->max_level, level);
	fault->req_level = fault->max_level;
	return RET_PF_CONTINUE;
}

/*
 * Make the page resident, sleeping where a real access would.  A read maps
 * read-only: the host may have answered with a page it will copy on write.
 */
static enum kvm_ret_pf faultin_pfn(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	int err;

	if (fault->is_private)
		return faultin_pfn_private(vcpu, fault);
	err = mmu_host_faultin_page(fault->hva, fault->write);
	if (err)
		return handle_error_pfn(vcpu, fault, err);
	fault->pfn = hva_to_pfn(fault->hva);
	fault->map_writable = fault->write && !(fault->slot_flags & KVM_SLOT_READONLY);
	if (KVMU_MUTANT(WRITABLE_ROM))
		fault->map_writable = true;
	fault->req_level = mmu_host_resident_level(fault->hva, worthwhile_level(fault));
	return RET_PF_CONTINUE;
}

/* ---- stage: the entry ------------------------------------------------------------- */

/*
 * With mmu_lock held: may what was found without it still be used?  Private
 * pages do not come from the host's address space, but slots and attributes
 * move under them all the same, so the sequence counts for them too.
 */
static bool is_page_fault_stale(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	if (KVMU_MUTANT(DROP_STALE_TEST) || (KVMU_MUTANT(PRIVATE_NEVER_STALE) && fault->is_private))
		return false;
	if (vcpu->mmu->root_epoch != atomic_peek(&vcpu->kvm->root_epoch) &&
	    !KVMU_MUTANT(EPOCH_IGNORED))
		return true;
	return kvm_mmu_invalidate_retry_gfn(vcpu->kvm, fault->mmu_seq, fault->gfn);
}

/* The access that faulted is about to happen: what the CPU would set then is set now. */
static enum kvm_pgtable_prot leaf_prot(const struct kvm_page_fault *fault)
{
	enum kvm_pgtable_prot prot = KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X;

	if (!fault->prefetch)
		prot |= KVM_PGTABLE_PROT_ACCESSED;
	if (fault->map_writable)
		prot |= KVM_PGTABLE_PROT_W | KVM_SPTE_WRITABLE;
	if (fault->write)
		prot |= KVM_PGTABLE_PROT_DIRTY;
	return prot;
}

static enum kvm_ret_pf map_outcome(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault,
				   const struct kvm_pgtable_map *map, int err)
{
	if (err == -EAGAIN)
		return RET_PF_RETRY; /* another vCPU was faster */
	if (err) {
		fault->error = err;
		return RET_PF_USER;
	}
	if (!map->installed)
		return RET_PF_SPURIOUS;
	fault->goal_level = (enum pg_level)map->level;
	kvm_mmu_trace_set_spte(vcpu, fault);
	kvm_stat_add(&vcpu->stat.pages_mapped[map->level], map->installed);
	return RET_PF_FIXED;
}

/*
 * Install the leaf.  No flush is owed: a fault only adds translations or
 * permissions, and a TLB that still holds the lesser ones faults once more.
 */
static enum kvm_ret_pf map_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	u64 pages = pages_per_level(fault->req_level);
	struct kvm_pgtable_map map = {
		.addr = gfn_to_gpa(align_down(fault->gfn, pages)),
		.size = pages << PAGE_SHIFT,
		.hpa = align_down(fault->pfn, pages) << PAGE_SHIFT,
		.prot = leaf_prot(fault),
		.max_level = (u8)fault->req_level,
		.flags = KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT,
		.cache = &vcpu->table_cache,
	};
	enum kvm_ret_pf ret;

	kvmu_trace(kvmmmu, kvm_mmu_spte_requested, fault->gfn, fault->pfn, fault->req_level);
	ret = map_outcome(vcpu, fault, &map, ept_map(kvm_vcpu_pgt(vcpu), &map));
	/* The slot is still that one: changing it moves the sequence. */
	if (ret == RET_PF_FIXED && fault->map_writable && !KVMU_MUTANT(LOG_AFTER_UNLOCK))
		kvm_mark_page_dirty_in_slot(vcpu->kvm, vcpu, fault->slot, fault->gfn);
	return ret;
}

static enum kvm_ret_pf map_unless_stale(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	enum kvm_ret_pf ret;

	if (KVMU_MUTANT(STALE_TEST_UNLOCKED) && is_page_fault_stale(vcpu, fault))
		return RET_PF_RETRY;
	mmu_read_lock(&kvm->mmu_lock);
	ret = !KVMU_MUTANT(STALE_TEST_UNLOCKED) && is_page_fault_stale(vcpu, fault)
		      ? RET_PF_RETRY
		      : map_fault(vcpu, fault);
	mmu_read_unlock(&kvm->mmu_lock);
	if (KVMU_MUTANT(LOG_AFTER_UNLOCK) && ret == RET_PF_FIXED && fault->map_writable)
		kvm_mark_page_dirty_in_slot(kvm, vcpu, fault->slot, fault->gfn);
	return ret;
}

/* Whatever became of the fault; what is mapped now is vouched for by the binding. */
static void put_page(struct kvm_page_fault *fault)
{
	if (fault->gmem)
		kvm_gmem_put(fault->gmem);
}

/* ---- the path ----------------------------------------------------------------------- */

enum kvm_ret_pf kvm_tdp_page_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	enum kvm_ret_pf ret;

	if (fault->rsvd)
		return RET_PF_INVALID; /* a misconfigured entry: we never make one */
	ret = ask_tables(vcpu, fault);
	if (ret != RET_PF_CONTINUE)
		return ret;
	ret = classify_fault(vcpu, fault);
	if (ret != RET_PF_CONTINUE)
		return ret;
	ret = topup_table_cache(vcpu, fault);
	if (ret != RET_PF_CONTINUE)
		return ret;

	fault->mmu_seq = atomic_peek(&kvm->mmu_invalidate_seq);
	/* The sequence first, then the page: pairs with invalidate_end(). */
	if (!KVMU_MUTANT(FAULT_WITHOUT_BARRIER))
		barrier_read();

	if (kvm_mmu_invalidate_retry_gfn_unsafe(kvm, fault->mmu_seq, fault->gfn))
		return RET_PF_RETRY;
	if (KVMU_MUTANT(TEST_BEFORE_SEQ))
		fault->mmu_seq = atomic_peek(&kvm->mmu_invalidate_seq);
	if (is_mismatch(vcpu, fault))
		return prepare_memory_fault(vcpu, fault, -EFAULT);
	if (KVMU_MUTANT(MISMATCH_BEFORE_SEQ))
		fault->mmu_seq = atomic_peek(&kvm->mmu_invalidate_seq);
	ret = resolve_slot(vcpu, fault);
	if (ret == RET_PF_CONTINUE)
		ret = faultin_pfn(vcpu, fault);
	if (KVMU_MUTANT(SEQ_AFTER_LOOKUP))
		fault->mmu_seq = atomic_peek(&kvm->mmu_invalidate_seq);
	if (ret == RET_PF_CONTINUE)
		ret = map_unless_stale(vcpu, fault);
	if (!KVMU_MUTANT(PAGE_NOT_PUT) || ret != RET_PF_RETRY)
		put_page(fault);
	return ret;
}

/* The one place where a fault is put together. */
static enum kvm_ret_pf kvm_mmu_do_page_fault(struct kvm_vcpu *vcpu, gpa_t cr2_or_gpa,
					     u64 error_code, bool prefetch, int *err,
					     enum pg_level *level)
{
	struct kvm_page_fault fault = {
		.addr = cr2_or_gpa,
		.error_code = error_code,
		.prefetch = prefetch,
		.exec = error_code & PFERR_FETCH_MASK,
		.write = error_code & PFERR_WRITE_MASK,
		.present = error_code & PFERR_PRESENT_MASK,
		.rsvd = error_code & PFERR_RSVD_MASK,
		.user = error_code & PFERR_USER_MASK,
		.is_tdp = vcpu->mmu->page_fault == kvm_tdp_page_fault,
		.is_private = error_code & PFERR_PRIVATE_ACCESS,
		.gfn = gpa_to_gfn(cr2_or_gpa),
		.max_level = PG_LEVEL_4K,
		.req_level = PG_LEVEL_4K,
		.goal_level = PG_LEVEL_4K,
	};
	enum kvm_ret_pf ret;

	/* A direct call for the handler that nearly always is the one. */
	ret = likely(fault.is_tdp) ? kvm_tdp_page_fault(vcpu, &fault)
				   : vcpu->mmu->page_fault(vcpu, &fault);
	*err = fault.error;
	*level = fault.goal_level;
	return ret;
}

static void count_fault(struct kvm_vcpu *vcpu, u64 error_code, enum kvm_ret_pf ret)
{
	struct kvm_vcpu_stat *stat = &vcpu->stat;

	kvm_stat_add(&stat->pf_taken, 1);
	kvm_stat_add(&stat->pf_by_outcome[ret], 1);
	if (ret == RET_PF_EMULATE)
		kvm_stat_add(&stat->pf_mmio, 1);
	if (error_code & PFERR_GUEST_PAGE_MASK)
		kvm_stat_add(&stat->pf_guest_table, 1);
	if (error_code & PFERR_FETCH_MASK)
		kvm_stat_add(&stat->pf_exec, 1);
	else if (error_code & PFERR_WRITE_MASK)
		kvm_stat_add(&stat->pf_write, 1);
	else
		kvm_stat_add(&stat->pf_read, 1);
}

/*
 * Who changes the memory may be waiting for the processor that this vCPU would
 * spin on.
 */
static void wait_before_retry(struct kvm_vcpu *vcpu, enum kvm_ret_pf ret)
{
	if (likely(ret != RET_PF_RETRY))
		vcpu->retries = 0;
	else
		mmu_host_wait_turn(vcpu->retries++);
}

enum kvm_mmu_verdict kvm_mmu_page_fault(struct kvm_vcpu *vcpu, gpa_t cr2_or_gpa, u64 error_code,
					int *err)
{
	enum pg_level level;
	enum kvm_ret_pf ret;

	kvmu_assert(atomic_peek(&vcpu->mode) == OUTSIDE_GUEST_MODE);
	/* Such a VM has no hardware that tells: its accesses are what the attributes say. */
	if (vcpu->kvm->private_by_attribute && gfn_is_private(vcpu->kvm, gpa_to_gfn(cr2_or_gpa)))
		error_code |= PFERR_PRIVATE_ACCESS;
	vcpu->has_memory_fault = false;
	*err = -EIO;
	if (unlikely(atomic_peek(&vcpu->kvm->vm_bugged)))
		return KVM_MMU_EXIT_USER;

	ret = kvm_mmu_do_page_fault(vcpu, cr2_or_gpa, error_code, false, err, &level);
	count_fault(vcpu, error_code, ret);
	kvmu_trace(kvmu, kvm_page_fault_done, vcpu->vcpu_id, cr2_or_gpa, error_code, ret, level);
	wait_before_retry(vcpu, ret);
	switch (ret) {
	case RET_PF_RETRY:
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
		return KVM_MMU_RESUME_GUEST;
	case RET_PF_EMULATE:
		return KVM_MMU_EMULATE;
	case RET_PF_USER:
		return KVM_MMU_EXIT_USER;
	case RET_PF_CONTINUE:
	case RET_PF_INVALID:
	case RET_PF_NR:
		break;
	}
	KVM_BUG_ON(ret == RET_PF_INVALID || ret == RET_PF_CONTINUE, vcpu->kvm);
	*err = -EIO;
	return KVM_MMU_EXIT_USER;
}

int kvm_mmu_prefault(struct kvm_vcpu *vcpu, gpa_t gpa, enum pg_level *level)
{
	u64 error_code = PFERR_GUEST_FINAL_MASK;
	enum kvm_ret_pf ret;
	int err;

	kvmu_assert(atomic_peek(&vcpu->mode) == OUTSIDE_GUEST_MODE);
	if (vcpu->mmu->page_fault != kvm_tdp_page_fault)
		return -EOPNOTSUPP;
	if (gfn_is_private(vcpu->kvm, gpa_to_gfn(gpa)))
		error_code |= PFERR_PRIVATE_ACCESS;
	/* Between two runs nobody else serves the request to leave an old root. */
	kvm_mmu_reload(vcpu);
	ret = kvm_mmu_do_page_fault(vcpu, gpa, error_code, true, &err, level);
	for (unsigned int turn = 0; KVMU_MUTANT(PREFAULT_ENDLESS) && ret == RET_PF_RETRY; turn++) {
		mmu_host_wait_turn(turn);
		ret = kvm_mmu_do_page_fault(vcpu, gpa, error_code, true, &err, level);
	}
	switch (ret) {
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
		return 0;
	case RET_PF_RETRY:
		return -EAGAIN;
	case RET_PF_EMULATE:
		return -ENOENT;
	case RET_PF_USER:
		return err;
	case RET_PF_CONTINUE:
	case RET_PF_INVALID:
	case RET_PF_NR:
		break;
	}
	KVM_BUG_ON(ret == RET_PF_INVALID || ret == RET_PF_CONTINUE, vcpu->kvm);
	return -EIO;
}
