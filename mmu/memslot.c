/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslot look-up.  A set of slots is immutable once published, so readers need
 * a read-side section and nothing else.
 */
#include "mmu/mmu.h"

/* The last slot that starts at or below @gfn; sets->nr if there is none. */
static u32 last_slot_at_or_below(const struct kvm_memslots *slots, gfn_t gfn)
{
	u32 low = 0;
	u32 high = slots->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (slots->slots[middle].base_gfn <= gfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : slots->nr;
}

static bool slot_contains(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return gfn - slot->base_gfn < slot->npages;
}

const struct kvm_memory_slot *kvm_memslots_search(const struct kvm_memslots *slots, gfn_t gfn)
{
	u32 index = last_slot_at_or_below(slots, gfn);

	if (index == slots->nr || !slot_contains(&slots->slots[index], gfn))
		return NULL;
	return &slots->slots[index];
}

const struct kvm_memory_slot *kvm_gfn_to_memslot(struct kvm *kvm, gfn_t gfn)
{
	/* Pairs with the publish in replace_memslots(). */
	const struct kvm_memslots *slots = atomic_observe(&kvm->memslots);

	return kvm_memslots_search(slots, gfn);
}
