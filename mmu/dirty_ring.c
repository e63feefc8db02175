/* SPDX-License-Identifier: BSD-2-Clause */
/* See dirty_ring.h. */
#include "mmu/dirty_ring.h"

#include "base/atomics.h"
#include "base/mutant.h"

void kvm_dirty_ring_init(struct kvm_dirty_ring *ring, void *memory, u32 bytes, u32 reserved)
{
	u32 size = bytes / (u32)sizeof(*ring->entry);

	ring->entry = memory;
	ring->soft_limit = size - reserved;
	/* Who resets the rings of all vCPUs may look at any moment. */
	atomic_publish(&ring->size, size);
}

static u32 used_entries(const struct kvm_dirty_ring *ring, u32 dirty_index)
{
	/* Pairs with kvm_dirty_ring_next_reset(): an entry is reset before it is free. */
	return dirty_index - atomic_observe(&ring->reset_index);
}

bool kvm_dirty_ring_soft_full(const struct kvm_dirty_ring *ring)
{
	return ring->size &&
	       used_entries(ring, atomic_peek(&ring->dirty_index)) >= ring->soft_limit;
}

static struct kvm_ring_entry *entry_at(const struct kvm_dirty_ring *ring, u32 index)
{
	return &ring->entry[index & (ring->size - 1)];
}

/* The vCPU's own thread nearly always; whoever writes for no vCPU may choose any ring. */
bool kvm_dirty_ring_push(struct kvm_dirty_ring *ring, u32 slot, u64 offset)
{
	u32 index = atomic_peek(&ring->dirty_index);
	struct kvm_ring_entry *entry;

	do {
		if (used_entries(ring, index) >= ring->size)
			return false;
	} while (!atomic_cmpxchg_u32(&ring->dirty_index, &index, index + 1));
	entry = entry_at(ring, index);
	if (KVMU_MUTANT(RING_FLAGS_FIRST))
		atomic_publish(&entry->flags, KVM_RING_DIRTY);
	atomic_poke(&entry->slot, slot);
	atomic_poke(&entry->offset, offset);
	/* Pairs with user space's reading of the flags. */
	atomic_publish(&entry->flags, KVM_RING_DIRTY);
	return true;
}

bool kvm_dirty_ring_next_reset(struct kvm_dirty_ring *ring, u32 *slot, u64 *offset)
{
	u32 index = ring->reset_index;
	struct kvm_ring_entry *entry = entry_at(ring, index);

	/*
	 * User space can claim anything of its ring; what it has not been given yet
	 * it cannot give back.
	 */
	if (index == atomic_observe(&ring->dirty_index) ||
	    !(atomic_observe(&entry->flags) & KVM_RING_RESET))
		return false;
	*slot = atomic_peek(&entry->slot);
	*offset = atomic_peek(&entry->offset);
	atomic_publish(&entry->flags, 0);
	atomic_publish(&ring->reset_index, index + 1);
	return true;
}
