/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few memory orderings the project uses, named by purpose.  Each use that
 * pairs with another names it in a comment.
 */
#ifndef KVMU_BASE_ATOMICS_H
#define KVMU_BASE_ATOMICS_H

#include "base/types.h"

/*
 * -DKVMU_ATOMICS_HEADER='"my_atomics.h"' replaces all of them, for who wants to
 * see every access (explore/).
 */
#ifdef KVMU_ATOMICS_HEADER
#include KVMU_ATOMICS_HEADER
#else

/* A value that others may change; no ordering. */
#define atomic_peek(p)	     __atomic_load_n((p), __ATOMIC_RELAXED)
#define atomic_poke(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)

/* publish: what was written before is visible to whoever observes the value. */
#define atomic_publish(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define atomic_observe(p)    __atomic_load_n((p), __ATOMIC_ACQUIRE)

/* Add to what only one thread writes at a time, and others may read. */
#define atomic_tally(p, v)   atomic_poke((p), atomic_peek(p) + (v))

#define atomic_add(p, v)	 __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define atomic_sub(p, v)	 __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define atomic_or(p, v)		 __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define atomic_and(p, v)	 __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define atomic_exchange(p, v)	 __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* Count and be ordered against all around it: returns the value before. */
#define atomic_add_ordered(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define atomic_sub_ordered(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)

/* Drop a reference: returns the value after; the last dropper sees all earlier writes. */
#define atomic_drop(p)		 (__atomic_sub_fetch((p), 1, __ATOMIC_ACQ_REL))

/* Compare-and-exchange of an entry: *@expected is updated on failure. */
static inline bool atomic_cmpxchg_u64(u64 *p, u64 *expected, u64 desired)
{
	return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline bool atomic_cmpxchg_u32(u32 *p, u32 *expected, u32 desired)
{
	return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/* Store -> load ordering: the two sides of "I say, then I look". */
#define barrier_full()		 __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define barrier_read()		 __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define barrier_write()		 __atomic_thread_fence(__ATOMIC_RELEASE)

/* Stops the compiler only: orders a thread against its own signal handler. */
#define barrier_compiler()	 __atomic_signal_fence(__ATOMIC_SEQ_CST)

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif

/* Take a reference unless the last one is gone.  Pairs with atomic_drop(). */
static inline bool atomic_tryget(u32 *refs)
{
	u32 now = atomic_peek(refs);

	do {
		if (!now)
			return false;
	} while (!atomic_cmpxchg_u32(refs, &now, now + 1));
	return true;
}

#endif
