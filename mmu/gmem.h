/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_memfd: memory that a guest may hold privately (KVM API document, 4.142).
 *
 * The file belongs to one VM and lives as long as its descriptors; slots are
 * bound to ranges of it, each page to one slot at most.  A slot does not keep
 * the file alive: when it is closed, the bindings end and their translations
 * with them, and a private access there is a memory fault from then on.
 */
#ifndef KVMU_MMU_GMEM_H
#define KVMU_MMU_GMEM_H

#include "base/errno.h"
#include "mmu/mmu_host.h"

struct kvm;
struct kvm_memory_slot;

struct kvm_gmem {
	struct kvm *kvm;
	u32 refs;   /* the open file, and each fault that uses a page */
	hva_t base; /* where the library has it mapped; the program has not */
	u64 npages;
	struct mmu_mutex lock; /* bindings; held over a punch, so that they stay as they are */
	struct kvm_memory_slot **bound; /* in order of their place in the file */
	u32 nr_bound, room;
};

/*
 * A file of @npages zeroes; none of them takes memory yet.  The caller keeps
 * @kvm alive until the release.  0, -ENOMEM.
 */
int kvm_gmem_create(struct kvm *kvm, u64 npages, struct kvm_gmem **out) KVMU_MUST_CHECK;
/* The last descriptor is gone.  Takes slots_lock, sleeps. */
void kvm_gmem_release(struct kvm_gmem *gmem);

/*
 * With slots_lock held.  Bind: @slot is not published yet; -EINVAL (misaligned,
 * beyond the end, bound already), -ENOMEM.  Unbind: no reader sees it any more.
 */
int kvm_gmem_bind(struct kvm_memory_slot *slot, struct kvm_gmem *gmem, u64 offset) KVMU_MUST_CHECK;
void kvm_gmem_unbind(struct kvm_memory_slot *slot);

/*
 * fallocate() with and without PUNCH_HOLE, in pages.  A punch removes the
 * translations, then the pages; beyond the end it does nothing; -EIO (the host
 * would not).  An allocation beyond the end is -EINVAL; -ENOMEM, -EINTR.  Both
 * sleep.
 */
int kvm_gmem_punch_hole(struct kvm_gmem *gmem, u64 start, u64 end) KVMU_MUST_CHECK;
int kvm_gmem_allocate(struct kvm_gmem *gmem, u64 start, u64 end) KVMU_MUST_CHECK;

/*
 * For a fault: hold the file behind @slot, in the read-side section that found
 * the slot; NULL when it has none or it has been closed.
 */
struct kvm_gmem *kvm_gmem_get_file(const struct kvm_memory_slot *slot);
/* May sleep for a grace period when it was the last reference. */
void kvm_gmem_put(struct kvm_gmem *gmem);

static inline hva_t kvm_gmem_hva(const struct kvm_gmem *gmem, u64 index)
{
	return gmem->base + (index << PAGE_SHIFT);
}

/*
 * Make page @index of a held file resident: its pfn, and the largest level, at
 * most the *@max_level that comes in, at which memory is there around it.  May
 * sleep.  0 or -errno (-ENOMEM, -EHWPOISON, -EFAULT) and nothing else; then
 * neither result is set.
 */
int kvm_gmem_get_pfn(const struct kvm_gmem *gmem, u64 index, kvm_pfn_t *pfn,
		     enum pg_level *max_level) KVMU_MUST_CHECK;

#endif
