/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables: the first byte chooses a format, the rest one operation after the
 * other, each done on the table and on the array of tests/pgtable/model.h.  Where
 * the two differ, or a table page is lost, the input is a finding.
 */
#include <stdlib.h>

#include "fuzz/input.h"
#include "tests/pgtable/model_ops.h"

#define OPS_PER_CHECK 16

static u64 below_from_input(void *source, u64 bound)
{
	return fuzz_below(source, bound);
}

static void check_all(struct model *m)
{
	model_verify(m, 0, m->nr);
	assert_int_equal(m->format->op.check(&m->t.pgt), 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* A failed assertion of cmocka's outside its tests would end the process quietly. */
	return setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = {.bytes = data, .left = size};
	struct model m;
	const struct dice dice = {.m = &m, .below = below_from_input, .source = &input};

	model_setup(&m, &formats[fuzz_below(&input, nr_formats)]);
	for (u64 i = 1; fuzz_has_more(&input); i++) {
		model_random_operation(&dice);
		if (i % OPS_PER_CHECK == 0)
			check_all(&m);
	}
	check_all(&m);
	model_verify_count(&m, 64);
	model_teardown(&m);
	return 0;
}
