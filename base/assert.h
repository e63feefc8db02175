/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVMU_BUG_ON    never compiled out, for what would corrupt memory if it went
 *                on; never for input from guest or program.
 * kvmu_assert    debug builds only (KVMU_DEBUG).
 * KVMU_WARN_ON_ONCE  reports the first time, evaluates to the condition
 *                (-DKVMU_WARN_EVERY_TIME: each time, for who runs things again and again).
 *
 * The two sinks are supplied by whoever links the layer (host/, el2/, tests/).
 */
#ifndef KVMU_BASE_ASSERT_H
#define KVMU_BASE_ASSERT_H

#include "base/atomics.h"
#include "base/bits.h"
#include "base/mutant.h"

_Noreturn void kvmu_bug(const char *file, int line, const char *what);
void kvmu_warn(const char *file, int line, const char *what);

#define KVMU_BUG_ON(cond)                                    \
	do {                                                 \
		if (unlikely(cond))                          \
			kvmu_bug(__FILE__, __LINE__, #cond); \
	} while (0)

#ifdef KVMU_WARN_EVERY_TIME
#define KVMU_FIRST_TIME(seen) ((void)(seen), true)
#else
#define KVMU_FIRST_TIME(seen) (!atomic_peek(seen) && (atomic_poke(seen, true), true))
#endif

#define KVMU_WARN_ON_ONCE(cond)                                  \
	({                                                       \
		static bool warned_;                             \
		bool hit_ = !!(cond);                            \
		if (unlikely(hit_) && KVMU_FIRST_TIME(&warned_)) \
			kvmu_warn(__FILE__, __LINE__, #cond);    \
		hit_;                                            \
	})

#ifdef KVMU_DEBUG
#define kvmu_assert(cond) KVMU_BUG_ON(!(cond))
#else
#define kvmu_assert(cond) ((void)sizeof(!(cond)))
#endif

#endif
