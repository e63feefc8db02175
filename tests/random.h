/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers that a failure can repeat, and how much of a test to run. */
#ifndef KVMU_TESTS_RANDOM_H
#define KVMU_TESTS_RANDOM_H

#include "base/types.h"

/* xorshift64*; the seed of a test run is printed by its main(). */
static inline u64 test_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull) >> 11;
}

static inline u64 test_below(u64 *state, u64 bound)
{
	return test_random(state) % bound;
}
/* KVMU_TEST_SEED or the clock; printed. */
u64 test_seed(const char *name);
/* KVMU_TEST_SCALE percent of @count. */
u64 test_scaled(u64 count);

#endif
