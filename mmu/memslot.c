/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslot look-up.  A set of slots is immutable once published, so readers need
 * a read-side section and nothing else.
 */
#include "mmu/vm.h"

const struct kvm_memory_slot *kvm_gfn_to_memslot(struct kvm *kvm, gfn_t gfn)
{
	return slot_index_find(kvm_memslots_in(kvm, 0)->by_gfn, gfn);
}

const struct kvm_memory_slot *kvm_vcpu_gfn_to_memslot(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	const struct kvm_memslots *slots = kvm_vcpu_memslots(vcpu);
	const struct kvm_memory_slot *slot = vcpu->last_slot;

	/* Of this generation the slot is still published, so it may be looked at. */
	if ((likely(vcpu->last_slot_gen == slots->generation) ||
	     (KVMU_MUTANT(LAST_SLOT_UNCHECKED) && slot)) &&
	    likely(gfn - slot->base_gfn < slot->npages))
		return slot;
	slot = slot_index_find(slots->by_gfn, gfn);
	if (slot) {
		vcpu->last_slot = slot;
		vcpu->last_slot_gen = slots->generation;
	}
	return slot;
}

struct kvm_memory_slot **kvm_slot_place(struct kvm *kvm, u32 number)
{
	u32 as_id = number >> 16;
	u16 id = (u16)number;

	if (as_id >= kvm_nr_address_spaces(kvm) || id >= KVM_USER_MEM_SLOTS)
		return NULL;
	return &kvm->slot_by_id[as_id][id];
}

static struct slot_index_iter slots_in_space(const struct hva_slot_iter *it)
{
	return slot_index_iter(it->kvm->memslots[it->as_id]->by_hva, it->start, it->end);
}

struct hva_slot_iter kvm_hva_slot_iter(const struct kvm *kvm, hva_t start, hva_t end)
{
	struct hva_slot_iter it = {.kvm = kvm, .start = start, .end = end};

	it.in_space = slots_in_space(&it);
	return it;
}

const struct kvm_memory_slot *kvm_hva_slot_next(struct hva_slot_iter *it)
{
	const struct kvm_memory_slot *slot;

	while (!(slot = slot_index_next(&it->in_space))) {
		if (it->as_id + 1 == KVM_MAX_NR_ADDRESS_SPACES ||
		    KVMU_MUTANT(ONE_SPACE_INVALIDATED))
			return NULL;
		it->as_id++;
		it->in_space = slots_in_space(it);
	}
	return slot;
}

struct gfn_range kvm_hva_range_in_slot(const struct kvm_memory_slot *slot, hva_t start, hva_t end)
{
	hva_t base = slot->userspace_addr;

	start = max_u64(align_down(start, PAGE_SIZE), base);
	end = min_u64(KVMU_MUTANT(RANGE_ROUNDED_DOWN) ? align_down(end, PAGE_SIZE)
						      : align_up(end, PAGE_SIZE),
		      base + (slot->npages << PAGE_SHIFT));
	return (struct gfn_range){
		.start = slot->base_gfn + ((start - base) >> PAGE_SHIFT),
		.end = slot->base_gfn + ((end - base) >> PAGE_SHIFT),
	};
}

enum pg_level kvm_slot_max_level(const struct kvm_memory_slot *slot, gfn_t gfn, hva_t hva)
{
	enum pg_level level = PG_LEVEL_4K;

	while (level < KVM_MMU_MAX_LEVEL) {
		enum pg_level next = (enum pg_level)(level + 1);
		u64 pages = pages_per_level(next);
		gfn_t first = align_down(gfn, pages);

		if (!KVMU_MUTANT(BLOCK_BEYOND_SLOT) &&
		    (first < slot->base_gfn || first + pages > slot->base_gfn + slot->npages))
			break;
		if (!is_aligned(hva - ((gfn - first) << PAGE_SHIFT), pages << PAGE_SHIFT))
			break;
		level = next;
	}
	return level;
}
