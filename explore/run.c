/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/run.h"

#include <string.h>

#include "explore/dirty.h"
#include "explore/host_model.h"
#include "explore/model_vcpu.h"
#include "explore/sched.h"
#include "explore/trace.h"
#include "mmu/gmem.h"
#include "mmu/mmu.h"
#include "mmu/mmu_host.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

static struct kvm kvm;
static struct model_vcpu vcpus[SCENARIO_THREADS];
static const struct scenario *playing;
static struct kvm_gmem *gmem; /* NULL: none, or closed */

/* ---- what the host does ------------------------------------------------------------- */

static bool is_in_a_slot(hva_t hva)
{
	for (u32 number = 0; number < SCENARIO_SLOTS; number++) {
		for (u32 as_id = 0; as_id < kvm_nr_address_spaces(&kvm); as_id++) {
			const struct kvm_memory_slot *slot =
				*kvm_slot_place(&kvm, as_id << 16 | number);

			if (slot && hva - slot->userspace_addr < slot->npages << PAGE_SHIFT)
				return true;
		}
	}
	return false;
}

/* For the oracle of what KVM copies by itself. */
static void slots_have_changed(void)
{
	for (u32 i = 0; i < HOST_SHARED; i++)
		host_pages[i].in_slot = is_in_a_slot(HOST_PAGE_HVA(i));
}

static void set_slot(const struct scenario_slot *slot)
{
	const struct kvm_slot_request request = {
		.slot = slot->id,
		.flags = slot->flags,
		.guest_phys_addr = gfn_to_gpa(slot->gfn),
		.memory_size = (u64)slot->pages << PAGE_SHIFT,
		.userspace_addr = HOST_PAGE_HVA(slot->page),
		.gmem = slot->flags & KVM_SLOT_GUEST_MEMFD ? gmem : NULL,
		.gmem_offset = slot->flags & KVM_SLOT_GUEST_MEMFD ? gfn_to_gpa(slot->gfn) : 0,
	};
	int err;

	for (u32 i = 0; i < slot->pages; i++)
		host_pages[slot->page + i].changing++;
	model_slot_updates++;
	err = kvm_set_memory_region(&kvm, &request);
	model_slot_updates--;
	for (u32 i = 0; i < slot->pages; i++)
		host_pages[slot->page + i].changing--;
	slots_have_changed();
	trace_note("memslot update: %d", err);
}

static void move_slot(const struct scenario_op *op)
{
	const struct kvm_memory_slot *slot = *kvm_slot_place(&kvm, op->slot.id);
	struct scenario_slot moved = op->slot;

	if (!slot)
		return;
	moved.page = (u32)((slot->userspace_addr - HOST_MEMORY) >> PAGE_SHIFT);
	moved.pages = (u32)slot->npages;
	set_slot(&moved);
}

/* What the host does between begin and end, when nobody may use the page. */
static void change_page(struct host_page *page, enum scenario_verb verb)
{
	switch (verb) {
	case DO_UNMAP:
		page->gone = true;
		page->resident = false;
		break;
	case DO_MAP:
		page->gone = false;
		break;
	case DO_DISCARD:
		page->resident = false;
		page->content = 0;
		break;
	default:
		break;
	}
}

static void change_memory(const struct scenario_op *op)
{
	hva_t start = HOST_PAGE_HVA(op->first), end = HOST_PAGE_HVA(op->last + 1);

	kvm_mmu_hva_change_begin(&kvm, start, end);
	/* The call itself comes some time after the bracket was opened. */
	sched_point();
	for (u32 i = op->first; i <= op->last; i++)
		change_page(&host_pages[i], op->verb);
	trace_note("the host has changed pages %u-%u", op->first, op->last);
	sched_point();
	kvm_mmu_hva_change_end(&kvm, start, end);
}

static void age(const struct scenario_op *op)
{
	bool young = kvm_mmu_age_hva(&kvm, HOST_PAGE_HVA(op->first), HOST_PAGE_HVA(op->last + 1));

	trace_note("ageing: %s", young ? "used" : "not used");
	memset(model_used, 0, sizeof(model_used));
}

/*
 * A look at a guest page without the lock, as a fault's early one.  What goes on
 * meanwhile it may miss; a change that is over it must not.
 */
static void look(gfn_t gfn)
{
	const u64 seq = atomic_peek(&kvm.mmu_invalidate_seq);
	const struct kvm_memory_slot *slot;
	const struct host_page *page;
	bool gone;

	barrier_read();
	mmu_host_rcu_read_lock();
	slot = kvm_gfn_to_memslot(&kvm, gfn);
	page = slot ? host_page_at(kvm_slot_gfn_to_hva(slot, gfn)) : NULL;
	mmu_host_rcu_read_unlock();
	if (!page || page->gone || kvm_mmu_invalidate_retry_gfn_unsafe(&kvm, seq, gfn))
		return;
	sched_point();
	gone = page->gone;
	barrier_full(); /* the page first, then the test; a real look has asked the kernel */
	if (!kvm_mmu_invalidate_retry_gfn_unsafe(&kvm, seq, gfn) && gone)
		sched_fail("guest page %llu is gone, and a look without the lock misses it",
			   (unsigned long long)gfn);
}

static void convert(const struct scenario_op *op)
{
	int err;

	for (u32 i = op->first; i <= op->last; i++)
		model_converting[i]++;
	err = kvm_set_memory_attributes(&kvm, op->first, op->last + 1,
					op->verb == DO_PRIVATE ? KVM_ATTRIBUTE_PRIVATE : 0);
	trace_note("conversion: %d", err);
	for (u32 i = op->first; i <= op->last; i++)
		model_converting[i]--;
}

static void punch(const struct scenario_op *op)
{
	if (gmem)
		trace_note("punch: %d", kvm_gmem_punch_hole(gmem, op->first, op->last + 1));
}

static void close_gmem(void)
{
	struct kvm_gmem *closed = gmem;

	gmem = NULL;
	if (closed)
		kvm_gmem_release(closed);
}

static void host_op(const struct scenario_op *op)
{
	int err;

	trace_note("%s", scenario_verb_name(op->verb));
	switch (op->verb) {
	case DO_UNMAP:
	case DO_MAP:
	case DO_DISCARD:
		change_memory(op);
		break;
	case DO_AGE:
		age(op);
		break;
	case DO_LOOK:
		for (u32 page = op->first; page <= op->last; page++)
			look(page);
		break;
	case DO_ZAP_ALL:
		err = kvm_mmu_zap_all_fast(&kvm);
		trace_note("zap-all: %d", err);
		break;
	case DO_FLUSH:
		kvm_flush_remote_tlbs(&kvm);
		break;
	case DO_SLOT:
		set_slot(&op->slot);
		break;
	case DO_DELETE:
		set_slot(&(struct scenario_slot){.id = op->slot.id});
		break;
	case DO_MOVE:
		move_slot(op);
		break;
	case DO_PRIVATE:
	case DO_SHARED:
		convert(op);
		break;
	case DO_PUNCH:
		punch(op);
		break;
	case DO_CLOSE:
		close_gmem();
		break;
	case DO_LOG:
	case DO_UNLOG:
		dirty_switch(op->slot.id, op->verb == DO_LOG);
		break;
	case DO_HARVEST:
		dirty_harvest(op->slot.id);
		break;
	case DO_POKE:
		for (u32 page = op->first; page <= op->last; page++)
			dirty_poke(page);
		break;
	case DO_READ:
	case DO_WRITE:
	case DO_SMM:
	case DO_RSM:
	case DO_NR:
		break;
	}
}

/* ---- threads ------------------------------------------------------------------------------ */

static void host_thread(void *arg)
{
	const struct scenario_thread *thread = arg;

	for (u32 i = 0; i < thread->nr_ops; i++)
		host_op(&thread->op[i]);
}

/* Its place among them is that of its thread. */
static void join(u32 thread)
{
	if (kvm_mmu_add_vcpu(&kvm, &vcpus[thread].vcpu, thread) != 0)
		sched_fail("a vCPU cannot join");
}

static void vcpu_op(struct model_vcpu *vcpu, const struct scenario_op *op)
{
	if (op->verb == DO_SMM || op->verb == DO_RSM) {
		model_vcpu_set_smm(vcpu, op->verb == DO_SMM);
		return;
	}
	for (u32 page = op->first; page <= op->last; page++)
		model_vcpu_access(vcpu, page, op->verb == DO_WRITE);
}

static void vcpu_thread(void *arg)
{
	const struct scenario_thread *thread = arg;
	u32 index = (u32)(thread - playing->thread);
	struct model_vcpu *vcpu = &vcpus[index];

	if (thread->is_late)
		join(index);
	model_vcpu_enter(vcpu);
	for (u32 i = 0; i < thread->nr_ops; i++)
		vcpu_op(vcpu, &thread->op[i]);
	model_vcpu_leave(vcpu);
}

/* ---- before and after --------------------------------------------------------------------- */

static void add_vcpus(const struct scenario *scenario)
{
	memset(vcpus, 0, sizeof(vcpus));
	for (u32 i = 0; i < scenario->nr_threads; i++) {
		if (!scenario->thread[i].is_vcpu)
			continue;
		if (!scenario->thread[i].is_late)
			join(i);
		dirty_add_vcpu(&vcpus[i].vcpu);
	}
}

/* Guest pages that the scenario wants mapped, by whoever is the first vCPU. */
static void map_first_pages(const struct scenario *scenario)
{
	for (u32 i = 0; i < scenario->nr_threads; i++) {
		if (!scenario->thread[i].is_vcpu || scenario->thread[i].is_late)
			continue;
		model_vcpu_enter(&vcpus[i]);
		for (u32 page = 0; page < HOST_SHARED; page++) {
			if (scenario->mapped >> page & 1)
				model_vcpu_access(&vcpus[i], page, true);
		}
		model_vcpu_leave(&vcpus[i]);
	}
}

static void set_up_private_memory(const struct scenario *scenario)
{
	gmem = NULL;
	for (u32 i = 0; i < scenario->nr_slots; i++)
		kvm.has_private_mem |= (scenario->slot[i].flags & KVM_SLOT_GUEST_MEMFD) != 0;
	kvm.private_by_attribute = kvm.has_private_mem;
	if (kvm.has_private_mem && kvm_gmem_create(&kvm, HOST_PRIVATE, &gmem) != 0)
		sched_fail("setting up: the guest_memfd");
}

static void set_up(void)
{
	const struct scenario *scenario = playing;

	host_reset(kvm.arena.pages_max);
	memset(&kvm, 0, sizeof(kvm));
	memset(model_converting, 0, sizeof(model_converting));
	model_slot_updates = 0;
	memset(model_used, 0, sizeof(model_used));
	if (kvm_mmu_init_vm(&kvm) != 0)
		sched_fail("setting up: the VM");
	set_up_private_memory(scenario);
	dirty_set_up(&kvm, &scenario->dirty);
	add_vcpus(scenario);
	for (u32 i = 0; i < scenario->nr_slots; i++)
		set_slot(&scenario->slot[i]);
	map_first_pages(scenario);
	dirty_begin();
}

/* The oracles of the end: what the tables hold must be what slots and host give. */
static void judge_leaf(u32 as_id, gfn_t gfn)
{
	const struct kvm_memory_slot *slot = slot_index_find(kvm.memslots[as_id]->by_gfn, gfn);
	struct kvm_pgtable_leaf leaf;
	const struct host_page *page;

	if (ept_get_leaf(&kvm.pgt[as_id], gfn_to_gpa(gfn), &leaf) != 0 || !leaf.present)
		return;
	if (!slot)
		sched_fail("guest page %llu is mapped and no slot is there",
			   (unsigned long long)gfn);
	page = host_page_at(leaf.hpa);
	if (page && host_page_is_private(page) != kvm_mem_is_private(&kvm, gfn))
		sched_fail("guest page %llu leads to memory of the other kind",
			   (unsigned long long)gfn);
	else if (page && !host_page_is_private(page) && leaf.hpa != kvm_slot_gfn_to_hva(slot, gfn))
		sched_fail("guest page %llu leads to the wrong memory", (unsigned long long)gfn);
	else if (!page || page->gone || !page->resident)
		sched_fail("guest page %llu leads to memory that was given back",
			   (unsigned long long)gfn);
	else if ((leaf.prot & KVM_PGTABLE_PROT_W) && (slot->flags & KVM_SLOT_READONLY))
		sched_fail("guest page %llu of a read-only slot is writable",
			   (unsigned long long)gfn);
	else if (model_used[as_id][gfn] && !(leaf.prot & KVM_PGTABLE_PROT_ACCESSED))
		sched_fail("guest page %llu was used, and its leaf has lost the mark",
			   (unsigned long long)gfn);
}

static void judge_end(void)
{
	const struct scenario *scenario = playing;

	for (gfn_t gfn = 0; gfn < 2 * HOST_PAGES; gfn++) {
		for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++)
			judge_leaf(as_id, gfn);
	}
	dirty_judge();
	if (kvm.mmu_invalidate_in_progress || kvm.active_hva_changes)
		sched_fail("an invalidation is left open");
	if (ept_check(&kvm.pgt[0]) != 0 || ept_check(&kvm.pgt[1]) != 0)
		sched_fail("the tables do not hold together");
	for (u32 i = 0; i < scenario->nr_threads; i++) {
		if (scenario->thread[i].is_vcpu)
			kvm_mmu_destroy_vcpu(&vcpus[i].vcpu);
	}
	close_gmem();
	if (kvm.has_private_mem && !host_pages[HOST_SHARED].gone)
		sched_fail("something still holds the guest_memfd");
	/* Warns, which fails the run, when a table page is left. */
	kvm_mmu_uninit_vm(&kvm);
}

bool run_schedule(const struct scenario *scenario, struct search *search)
{
	playing = scenario;
	trace_reset(&kvm);
	sched_reset(search);
	sched_outside(set_up);
	for (u32 i = 0; i < scenario->nr_threads; i++) {
		const struct scenario_thread *thread = &scenario->thread[i];

		sched_add(thread->name, thread->is_vcpu ? vcpu_thread : host_thread,
			  (void *)(uintptr_t)thread);
	}
	if (!sched.failed)
		sched_run();
	if (!sched.failed)
		sched_outside(judge_end);
	return !sched.failed;
}
