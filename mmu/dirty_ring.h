/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's ring of written pages, in memory that user space maps (KVM API
 * document, 8.29).
 *
 *   we          fill an entry, then publish F_DIRTY
 *   user space  sees F_DIRTY, reads the entry, then publishes F_RESET
 *   we          see F_RESET in KVM_RESET_DIRTY_RINGS, clear the flags, protect the page
 *
 * User space may write anything there at any time: nothing is believed that was
 * not checked, and nothing is read twice.
 */
#ifndef KVMU_MMU_DIRTY_RING_H
#define KVMU_MMU_DIRTY_RING_H

#include "base/bits.h"
#include "base/types.h"

/* struct kvm_dirty_gfn without the kernel's header; kvm/abi_check.c holds them together. */
struct kvm_ring_entry {
	u32 flags;
	u32 slot; /* id, address space above bit 15 */
	u64 offset;
};

#define KVM_RING_DIRTY	     1u
#define KVM_RING_RESET	     2u
#define KVM_RING_MAX_ENTRIES 65536u

/* Room kept for what a vCPU may still write between "soft full" and its exit. */
#define KVM_RING_RESERVED 64u
/* The same where the CPU itself logs, as with page-modification logging. */
#define KVM_RING_RESERVED_MARKS 512u

struct kvm_dirty_ring {
	struct kvm_ring_entry *entry;
	u32 size; /* entries, a power of two; 0: no ring.  Published last */
	u32 soft_limit;
	u32 dirty_index; /* next to be filled; only grows, as the other */
	u32 reset_index; /* next to be reset (slots_lock) */
};

void kvm_dirty_ring_init(struct kvm_dirty_ring *ring, void *memory, u32 bytes, u32 reserved);

/* Any thread.  False: the ring is full and nothing was written. */
bool kvm_dirty_ring_push(struct kvm_dirty_ring *ring, u32 slot, u64 offset);
bool kvm_dirty_ring_soft_full(const struct kvm_dirty_ring *ring);

/*
 * Take back the next entry that user space has released.  False: there is none.
 * Under slots_lock.
 */
bool kvm_dirty_ring_next_reset(struct kvm_dirty_ring *ring, u32 *slot, u64 *offset);

#endif
