/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mutant.h"

u64 test_seed(const char *name)
{
	const char *given = getenv("KVMU_TEST_SEED");
	struct timespec now;
	u64 seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 0)
		     : (u64)now.tv_sec * 1000000007ull + (u64)now.tv_nsec;
	if (!seed)
		seed = 1;
	printf("%s: KVMU_TEST_SEED=0x%llx\n", name, (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

u64 test_scaled(u64 count)
{
	const char *scale = getenv("KVMU_TEST_SCALE");

	return scale ? count * strtoull(scale, NULL, 0) / 100 + 1 : count;
}

#ifdef KVMU_MUTANTS
enum kvmu_mutant kvmu_mutant;

/* KVMU_MUTANT names the mistake to switch on. */
__attribute__((constructor)) static void choose_mutant(void)
{
	static const char *const names[MUTANT_NR] = {
#define MUTANT_NAME(name, what) [MUTANT_##name] = #name,
		KVMU_MUTANT_LIST(MUTANT_NAME)};
	const char *wanted = getenv("KVMU_MUTANT");

	for (int i = MUTANT_NONE + 1; wanted && i < MUTANT_NR; i++) {
		if (!strcmp(names[i], wanted))
			kvmu_mutant = (enum kvmu_mutant)i;
	}
	if (wanted && !kvmu_mutant && strcmp(wanted, "NONE") != 0) {
		fprintf(stderr, "KVMU_MUTANT: no mutant '%s'\n", wanted);
		exit(2);
	}
}
#endif
