/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on every format, held against the array model.
 * KVMU_TEST_SEED repeats a run, KVMU_TEST_SCALE changes its length in percent.
 */
#include "tests/pgtable/model_ops.h"

#include <string.h>

static u64 below_from_seed(void *source, u64 bound)
{
	return test_below(source, bound);
}

static void run_model(const struct format *format, u64 seed, u64 operations)
{
	struct model m;
	const struct dice d = {.m = &m, .below = below_from_seed, .source = &seed};

	model_setup(&m, format);
	for (u64 i = 0; i < operations; i++) {
		model_random_operation(&d);
		if (!(i % 512)) {
			model_verify(&m, 0, m.nr);
			model_verify_count(&m, 1 + test_below(&seed, 1000));
			assert_int_equal(format->op.check(&m.t.pgt), 0);
		}
	}
	model_teardown(&m);
}

/* One format by name, or all. */
static const char *only;
static u64 first_seed;

static void random_operations_match_the_array(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		if (!only || !strcmp(only, formats[i].name))
			run_model(&formats[i], first_seed + i, test_scaled(1000000));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_match_the_array)};

	only = argc > 1 ? argv[1] : NULL;
	first_seed = test_seed("model");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
