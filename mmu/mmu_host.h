/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the MMU needs from the machine it runs on, bound at link time.  host/
 * supplies it on Linux; tests may supply their own.
 */
#ifndef KVMU_MMU_HOST_H
#define KVMU_MMU_HOST_H

#include "base/errno.h"
#include "base/inject.h"
#include "base/types.h"

struct kvm;
struct kvm_vcpu;

/* ---- memory ---------------------------------------------------------------- */

/*
 * Make the page at @hva resident and, if @write, writable: what get_user_pages
 * is to KVM.  May sleep for as long as a real access would (userfaultfd).  No
 * lock and no read-side section may be held.  0, -EFAULT (nothing mapped there
 * or the access is forbidden), -EHWPOISON, -ENOMEM, -EINTR (signal pending).
 */
int mmu_host_faultin_page(hva_t hva, bool write);

/*
 * The largest level at which the block around the resident @hva is resident
 * as a whole, at most @max_level.  A hint about a moment: the caller has read
 * the invalidation sequence before.  Does not sleep on user space.
 */
enum pg_level mmu_host_resident_level(hva_t hva, enum pg_level max_level);

/*
 * Copy to or from program memory that may not be there.  May sleep; 0 or
 * -EFAULT, then some bytes may have been copied.
 */
int mmu_host_copy_from_hva(void *buf, hva_t hva, u64 bytes);
int mmu_host_copy_to_hva(hva_t hva, const void *buf, u64 bytes);

/*
 * Memory behind a guest_memfd: zero pages that appear when they are touched,
 * at addresses that are the library's alone, aligned as large leaves want it.
 * Punching gives pages back, allocating makes all of a range resident.  They
 * sleep.  -ENOMEM; the allocation also -EINTR; the punch -EIO and nothing else.
 */
int mmu_host_gmem_map(u64 bytes, hva_t *base);
void mmu_host_gmem_unmap(hva_t base, u64 bytes);
int mmu_host_gmem_punch(hva_t start, u64 bytes);
int mmu_host_gmem_allocate(hva_t start, u64 bytes);

/* One zeroed chunk of @bytes, aligned to its size (a power of two); NULL: none. */
void *mmu_host_alloc_chunk(enum kvmu_site site, size_t bytes);
void mmu_host_free_chunk(void *chunk, size_t bytes);

/* Zeroed memory for small objects; NULL: none, or made to fail at @site. */
void *mmu_host_alloc(enum kvmu_site site, size_t bytes);
/* The same, aligned to @align (a power of two). */
void *mmu_host_alloc_aligned(enum kvmu_site site, size_t bytes, size_t align);
void mmu_host_free(void *ptr);

/* ---- locks ------------------------------------------------------------------ */

/*
 * Rank order, outermost first; debug builds check it per thread.
 *   SLOTS (sleeps)  >  GMEM (sleeps)  >  MMU  >  ARENA
 */
enum mmu_lock_rank {
	MMU_LOCK_RANK_SLOTS = 1,
	MMU_LOCK_RANK_GMEM = 2,
	MMU_LOCK_RANK_MMU = 3,
	MMU_LOCK_RANK_ARENA = 4,
};

struct mmu_rwlock {
	_Alignas(64) unsigned char opaque[128];
};

struct mmu_mutex {
	_Alignas(16) unsigned char opaque[64];
};

void mmu_rwlock_init(struct mmu_rwlock *lock, enum mmu_lock_rank rank);
void mmu_rwlock_destroy(struct mmu_rwlock *lock);
void mmu_read_lock(struct mmu_rwlock *lock);
void mmu_read_unlock(struct mmu_rwlock *lock);
void mmu_write_lock(struct mmu_rwlock *lock);
void mmu_write_unlock(struct mmu_rwlock *lock);

void mmu_mutex_init(struct mmu_mutex *lock, enum mmu_lock_rank rank);
void mmu_mutex_destroy(struct mmu_mutex *lock);
void mmu_mutex_lock(struct mmu_mutex *lock);
void mmu_mutex_unlock(struct mmu_mutex *lock);

/* Does this thread hold the lock?  Exact in debug builds, "true" otherwise. */
bool mmu_rwlock_held(struct mmu_rwlock *lock);
bool mmu_rwlock_held_write(struct mmu_rwlock *lock);

/* ---- grace periods ---------------------------------------------------------- */

/* A read-side section: short, never sleeps, may nest. */
void mmu_host_rcu_read_lock(void);
void mmu_host_rcu_read_unlock(void);
/* Wait until every section that runs now has ended.  Not inside one. */
void mmu_host_synchronize_rcu(void);

/* ---- vCPUs ------------------------------------------------------------------ */

/*
 * One turn of waiting for another thread: relaxes, then yields, then sleeps a
 * little as @turn grows.
 */
void mmu_host_wait_turn(unsigned int turn);

#endif
