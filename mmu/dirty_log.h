/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of pages that were written: by slot as a bitmap, or by vCPU as a ring
 * (KVM API document, 4.8, 4.117, 7.18, 8.29).
 *
 * What makes a write noticed is either write protection, so that the first write
 * to a page faults, or the CPU's own dirty mark in a page's leaf, which the CPU
 * reports when it sets it (SDM vol. 3, 29.3.6, page-modification logging).
 *
 * Whoever lets a page be written does so first and logs it afterwards; whoever
 * harvests takes the log first and protects afterwards.  So a write that the
 * harvest did not see is either impossible without another fault, or its mark
 * comes after the harvest and is for the next one.
 */
#ifndef KVMU_MMU_DIRTY_LOG_H
#define KVMU_MMU_DIRTY_LOG_H

#include "base/errno.h"
#include "mmu/dirty_bitmap.h"
#include "mmu/dirty_ring.h"

struct kvm;
struct kvm_vcpu;
struct kvm_memory_slot;

enum kvm_dirty_method {
	KVM_DIRTY_BY_FAULT, /* write protection */
	KVM_DIRTY_BY_MARK,  /* dirty marks of pages, write protection of blocks */
};

/* Values of the KVM API's KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE and _INITIALLY_SET. */
enum kvm_dirty_manual {
	KVM_DIRTY_MANUAL_PROTECT = 1u << 0, /* get only looks, clear clears */
	KVM_DIRTY_INITIALLY_SET = 1u << 1,  /* a new log says that everything was written */
};

/* How a VM logs; set by its owner before the first slot, manual at any time. */
struct kvm_dirty_config {
	enum kvm_dirty_method method;
	bool eager_split; /* blocks are split when logging begins, not at the first write */
	u32 manual;	  /* enum kvm_dirty_manual */
	u32 ring_bytes;	  /* of each vCPU's ring; 0: bitmaps */
};

/* Entries of a ring that are not for pages until the vCPU exits. */
u32 kvm_dirty_ring_reserved(const struct kvm *kvm);

/*
 * @gfn of @slot has been written or may be from now on.  In a read-side section
 * or with mmu_lock held.  @vcpu: whose ring to use; NULL when no vCPU did it.
 */
void kvm_mark_page_dirty_in_slot(struct kvm *kvm, struct kvm_vcpu *vcpu,
				 const struct kvm_memory_slot *slot, gfn_t gfn);

/*
 * The CPU has set the dirty mark of the leaf at @gpa, which it was the first to
 * do.  vCPU thread, in guest mode: takes no lock and does not sleep.
 */
void kvm_vcpu_dirty_mark_set(struct kvm_vcpu *vcpu, gpa_t gpa);

/* The user's bitmap: @bytes at @offset of it; 0 or -EFAULT.  May sleep. */
struct kvm_dirty_user {
	int (*put)(void *ctx, u64 offset, const void *from, u64 bytes); /* from NULL: zeros */
	int (*get)(void *ctx, u64 offset, void *to, u64 bytes);
	void *ctx;
};

/*
 * KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG; on return of either no vCPU can
 * write a page that was cleared without its being logged again.  Take slots_lock,
 * sleep.  -ENXIO (the VM uses rings), -EINVAL (bad address space, slot number or range), -ENOENT
 * (no such slot, or it does not log), -EFAULT (get: nothing is forgotten then).
 */
int kvm_get_dirty_log(struct kvm *kvm, u32 slot, const struct kvm_dirty_user *user) KVMU_MUST_CHECK;
int kvm_clear_dirty_log(struct kvm *kvm, u32 slot, u64 first_page, u32 num_pages,
			const struct kvm_dirty_user *user) KVMU_MUST_CHECK;

/*
 * KVM_RESET_DIRTY_RINGS: how many entries were taken back, over all vCPUs; their
 * pages are logged again from now on.  -EINVAL: the VM has no rings.
 */
int kvm_reset_dirty_rings(struct kvm *kvm) KVMU_MUST_CHECK;

/* ---- inside the MMU: what memslot updates ask for -------------------------------- */

/*
 * Give @new, which is not published yet, its log: that of @old (may be NULL), a
 * new one, or none.  -ENOMEM.  _abort undoes it, _finish frees what @new (NULL:
 * deleted) has not taken over when nobody can see @old any more.
 */
int kvm_dirty_log_prepare(struct kvm *kvm, const struct kvm_memory_slot *old,
			  struct kvm_memory_slot *new) KVMU_MUST_CHECK;
void kvm_dirty_log_abort(const struct kvm_memory_slot *old, struct kvm_memory_slot *new);
void kvm_dirty_log_finish(struct kvm_memory_slot *old, const struct kvm_memory_slot *new);

/* The flags of a live slot have changed and nobody sees the old ones.  slots_lock; sleeps. */
void kvm_dirty_log_switched(struct kvm *kvm, u32 old_flags, const struct kvm_memory_slot *slot);

#endif
