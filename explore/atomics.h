/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base/atomics.h for the explorer: every access to shared memory is a step
 * that it sees, orders and may delay.
 *
 * What is modelled: all interleavings of the steps; a store that is not ordered
 * may become visible late, after later stores to other places and after later
 * loads of its own thread; a load that is not ordered may run ahead of earlier
 * loads (history.h).  What is not: accesses that are not atomic.
 */
#ifndef KVMU_EXPLORE_ATOMICS_H
#define KVMU_EXPLORE_ATOMICS_H

#include "base/types.h"

/* Where in the code a step is; static, one per place. */
struct explore_site {
	const char *file;
	int line;
	const char *text; /* the place as the code names it */
};

enum explore_order {
	EXPLORE_PLAIN,	 /* may be seen late */
	EXPLORE_PUBLISH, /* not before what its thread stored earlier */
};

enum explore_load_order {
	EXPLORE_UNORDERED,
	EXPLORE_ACQUIRE, /* later loads do not run ahead of it */
};

enum explore_rmw {
	EXPLORE_ADD,
	EXPLORE_SUB,
	EXPLORE_OR,
	EXPLORE_AND,
	EXPLORE_EXCHANGE,
};

/*
 * @is_pointer: what it leads to is read next, without a step, so that others may
 * come in between; and not before the pointer itself, on any machine we know.
 */
u64 explore_load(const void *at, u8 bytes, bool is_pointer, enum explore_load_order order,
		 const struct explore_site *site);
void explore_store(void *at, u8 bytes, u64 value, enum explore_order order,
		   const struct explore_site *site);
/* The value before. */
u64 explore_rmw(void *at, u8 bytes, enum explore_rmw how, u64 operand,
		const struct explore_site *site);
/* A count that only people read: no step. */
u64 explore_count(void *at, u8 bytes, enum explore_rmw how, u64 operand);
bool explore_cmpxchg(void *at, u8 bytes, u64 *expected, u64 desired,
		     const struct explore_site *site);
void explore_barrier_full(const struct explore_site *site);
/* What was stored before is seen before what is stored after. */
void explore_barrier_write(void);
/* What was loaded before is loaded before what is loaded after. */
void explore_barrier_read(void);
/* This thread waits for another in a loop. */
void explore_relax(void);

#define EXPLORE_SITE(what)                                                 \
	({                                                                 \
		static const struct explore_site site_ = {                 \
			.file = __FILE__, .line = __LINE__, .text = what}; \
		&site_;                                                    \
	})
/* The type without const: what a conditional expression has. */
#define EXPLORE_TYPE(p) __typeof__(0 ? *(p) : *(p))
/* GCC's pointer_type_class; clang says the same. */
#define EXPLORE_IS_POINTER(v) (__builtin_classify_type(v) == 5)
#define EXPLORE_BITS(v)	      ((u64)(uintptr_t)(v))

#define EXPLORE_RMW(p, v, how)                                                                     \
	({                                                                                         \
		u64 before_ =                                                                      \
			explore_rmw((void *)(p), sizeof(*(p)), (how), (u64)(v), EXPLORE_SITE(#p)); \
		(EXPLORE_TYPE(p)) before_;                                                         \
	})

#define EXPLORE_LOAD(p, order)                                                                 \
	((EXPLORE_TYPE(p))(uintptr_t)explore_load((p), sizeof(*(p)), EXPLORE_IS_POINTER(*(p)), \
						  (order), EXPLORE_SITE(#p)))

#define atomic_peek(p)	  EXPLORE_LOAD(p, EXPLORE_UNORDERED)
#define atomic_observe(p) EXPLORE_LOAD(p, EXPLORE_ACQUIRE)
#define atomic_poke(p, v) \
	explore_store((p), sizeof(*(p)), EXPLORE_BITS(v), EXPLORE_PLAIN, EXPLORE_SITE(#p))
#define atomic_publish(p, v) \
	explore_store((p), sizeof(*(p)), EXPLORE_BITS(v), EXPLORE_PUBLISH, EXPLORE_SITE(#p))

#define atomic_tally(p, v)	 explore_count((p), sizeof(*(p)), EXPLORE_ADD, (u64)(v))
#define atomic_add(p, v)	 explore_count((p), sizeof(*(p)), EXPLORE_ADD, (u64)(v))
#define atomic_sub(p, v)	 explore_count((p), sizeof(*(p)), EXPLORE_SUB, (u64)(v))
#define atomic_add_ordered(p, v) EXPLORE_RMW(p, v, EXPLORE_ADD)
#define atomic_sub_ordered(p, v) EXPLORE_RMW(p, v, EXPLORE_SUB)
#define atomic_or(p, v)		 EXPLORE_RMW(p, v, EXPLORE_OR)
#define atomic_and(p, v)	 EXPLORE_RMW(p, v, EXPLORE_AND)
#define atomic_exchange(p, v)	 EXPLORE_RMW(p, v, EXPLORE_EXCHANGE)
#define atomic_drop(p)		 (EXPLORE_RMW(p, 1, EXPLORE_SUB) - 1)

#define atomic_cmpxchg_u64(p, expected, desired) \
	explore_cmpxchg((p), 8, (expected), (desired), EXPLORE_SITE(#p))
#define atomic_cmpxchg_u32(p, expected, desired)                                          \
	({                                                                                \
		u32 *expected_ = (expected);                                              \
		u64 was_ = *expected_;                                                    \
		bool done_ = explore_cmpxchg((p), 4, &was_, (desired), EXPLORE_SITE(#p)); \
		*expected_ = (u32)was_;                                                   \
		done_;                                                                    \
	})

#define barrier_full()	   explore_barrier_full(EXPLORE_SITE("barrier"))
#define barrier_read()	   explore_barrier_read()
#define barrier_write()	   explore_barrier_write()
#define barrier_compiler() ((void)0)
#define cpu_relax()	   explore_relax()

#endif
