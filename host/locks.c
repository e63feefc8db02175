/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU's locks on POSIX threads.  Debug builds keep, per thread, which locks
 * it holds, so that rank inversions stop at once and "is it held?" is exact.
 */
#include <assert.h>
#include <pthread.h>

#include "base/assert.h"
#include "mmu/mmu_host.h"

struct host_rwlock {
	pthread_rwlock_t lock;
	enum mmu_lock_rank rank;
};

struct host_mutex {
	pthread_mutex_t lock;
	enum mmu_lock_rank rank;
};

static_assert(sizeof(struct host_rwlock) <= sizeof(struct mmu_rwlock),
	      "the opaque lock holds ours");
static_assert(sizeof(struct host_mutex) <= sizeof(struct mmu_mutex), "the opaque mutex holds ours");

/* ---- what this thread holds (debug builds) ------------------------------------ */

enum held_mode {
	HELD_READ,
	HELD_WRITE,
};

#ifdef KVMU_DEBUG
#define MAX_HELD 8

struct held_lock {
	const void *lock;
	enum mmu_lock_rank rank;
	enum held_mode mode;
};

static __thread struct held_lock held[MAX_HELD];
static __thread unsigned int nr_held;

static void note_lock(const void *lock, enum mmu_lock_rank rank, enum held_mode mode)
{
	KVMU_BUG_ON(nr_held == MAX_HELD);
	/* Outermost first: a lock is taken only inside locks of lower rank. */
	KVMU_BUG_ON(nr_held && held[nr_held - 1].rank >= rank);
	held[nr_held++] = (struct held_lock){lock, rank, mode};
}

static void note_unlock(const void *lock)
{
	KVMU_BUG_ON(!nr_held || held[nr_held - 1].lock != lock);
	nr_held--;
}

static bool is_noted(const void *lock, bool only_write)
{
	for (unsigned int i = 0; i < nr_held; i++) {
		if (held[i].lock == lock && (!only_write || held[i].mode == HELD_WRITE))
			return true;
	}
	return false;
}
#else
static void note_lock(const void *lock, enum mmu_lock_rank rank, enum held_mode mode)
{
	(void)lock;
	(void)rank;
	(void)mode;
}

static void note_unlock(const void *lock)
{
	(void)lock;
}

static bool is_noted(const void *lock, bool only_write)
{
	(void)lock;
	(void)only_write;
	return true;
}
#endif

/* ---- reader-writer locks ---------------------------------------------------------- */

static struct host_rwlock *to_rwlock(struct mmu_rwlock *lock)
{
	return (struct host_rwlock *)(void *)lock->opaque;
}

void mmu_rwlock_init(struct mmu_rwlock *lock, enum mmu_lock_rank rank)
{
	struct host_rwlock *l = to_rwlock(lock);
	pthread_rwlockattr_t attr;

	/* Faults come without end; an invalidation must get its turn. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	KVMU_BUG_ON(pthread_rwlock_init(&l->lock, &attr));
	pthread_rwlockattr_destroy(&attr);
	l->rank = rank;
}

void mmu_rwlock_destroy(struct mmu_rwlock *lock)
{
	pthread_rwlock_destroy(&to_rwlock(lock)->lock);
}

void mmu_read_lock(struct mmu_rwlock *lock)
{
	note_lock(lock, to_rwlock(lock)->rank, HELD_READ);
	KVMU_BUG_ON(pthread_rwlock_rdlock(&to_rwlock(lock)->lock));
}

void mmu_read_unlock(struct mmu_rwlock *lock)
{
	note_unlock(lock);
	pthread_rwlock_unlock(&to_rwlock(lock)->lock);
}

void mmu_write_lock(struct mmu_rwlock *lock)
{
	note_lock(lock, to_rwlock(lock)->rank, HELD_WRITE);
	KVMU_BUG_ON(pthread_rwlock_wrlock(&to_rwlock(lock)->lock));
}

void mmu_write_unlock(struct mmu_rwlock *lock)
{
	note_unlock(lock);
	pthread_rwlock_unlock(&to_rwlock(lock)->lock);
}

bool mmu_rwlock_held(struct mmu_rwlock *lock)
{
	return is_noted(lock, false);
}

bool mmu_rwlock_held_write(struct mmu_rwlock *lock)
{
	return is_noted(lock, true);
}

/* ---- mutexes ------------------------------------------------------------------------ */

static struct host_mutex *to_mutex(struct mmu_mutex *lock)
{
	return (struct host_mutex *)(void *)lock->opaque;
}

void mmu_mutex_init(struct mmu_mutex *lock, enum mmu_lock_rank rank)
{
	KVMU_BUG_ON(pthread_mutex_init(&to_mutex(lock)->lock, NULL));
	to_mutex(lock)->rank = rank;
}

void mmu_mutex_destroy(struct mmu_mutex *lock)
{
	pthread_mutex_destroy(&to_mutex(lock)->lock);
}

void mmu_mutex_lock(struct mmu_mutex *lock)
{
	note_lock(lock, to_mutex(lock)->rank, HELD_WRITE);
	KVMU_BUG_ON(pthread_mutex_lock(&to_mutex(lock)->lock));
}

void mmu_mutex_unlock(struct mmu_mutex *lock)
{
	note_unlock(lock);
	pthread_mutex_unlock(&to_mutex(lock)->lock);
}
