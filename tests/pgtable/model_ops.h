/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on a model and its table, chosen by whoever throws the dice: a seed
 * in the random test, the bytes of an input in the fuzzer.
 */
#ifndef KVMU_TESTS_PGTABLE_MODEL_OPS_H
#define KVMU_TESTS_PGTABLE_MODEL_OPS_H

#include "tests/pgtable/model.h"

struct dice {
	struct model *m;
	u64 (*below)(void *source, u64 bound); /* 0 to @bound - 1 */
	void *source;
};

/* One operation on a range of its choice; fails the test where model and table differ. */
void model_random_operation(const struct dice *d);

#endif
