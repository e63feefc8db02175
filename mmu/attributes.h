/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory attributes: what user space has said about each gfn with
 * KVM_SET_MEMORY_ATTRIBUTES (KVM API document, 4.141).  All are 0 at first.
 *
 * A radix tree whose entries are either one value for the whole span below them
 * or a node; equal neighbours are merged, so that the cost is that of the
 * boundaries, whatever the ranges' lengths.
 */
#ifndef KVMU_MMU_ATTRIBUTES_H
#define KVMU_MMU_ATTRIBUTES_H

#include "base/errno.h"
#include "base/types.h"

struct kvm;

/* Value of the KVM API's KVM_MEMORY_ATTRIBUTE_PRIVATE. */
#define KVM_ATTRIBUTE_PRIVATE (1ull << 3)

/* gfns have this many bits: a gpa is a 64-bit number of bytes. */
#define KVM_ATTRIBUTE_GFN_BITS 52

/* Set up and end; no other thread knows @kvm. */
void kvm_attributes_init(struct kvm *kvm);
void kvm_attributes_destroy(struct kvm *kvm);

/*
 * All gfns in [@start, @end) get @attributes.  Translations of the range are
 * removed and flushed, and no fault in it makes progress meanwhile.  Takes
 * slots_lock, sleeps.  0; -ENOMEM (nothing is changed), -EIO (VM bugged).
 * The caller has checked the values.
 */
int kvm_set_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
			      u64 attributes) KVMU_MUST_CHECK;

/*
 * Look-up needs no lock.  An answer stays true while no change is made, which a
 * fault finds out by the invalidation sequence it has read before.
 */
u64 kvm_get_memory_attributes(const struct kvm *kvm, gfn_t gfn);
/* Has every gfn of [@start, @end) exactly @attributes? */
bool kvm_range_has_memory_attributes(const struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes);

static inline bool kvm_mem_is_private(const struct kvm *kvm, gfn_t gfn)
{
	return kvm_get_memory_attributes(kvm, gfn) & KVM_ATTRIBUTE_PRIVATE;
}

#endif
