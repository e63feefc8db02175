/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of an input, taken from its front as decisions.  When there are none
 * left every decision is 0, and whoever loops asks fuzz_has_more() first.
 */
#ifndef KVMU_FUZZ_INPUT_H
#define KVMU_FUZZ_INPUT_H

#include <string.h>

#include "base/types.h"

struct fuzz_input {
	const u8 *bytes;
	size_t left;
};

static inline bool fuzz_has_more(const struct fuzz_input *input)
{
	return input->left > 0;
}

/* The next bytes, as many as there are of @bytes; zeros behind them. */
static inline void fuzz_take(struct fuzz_input *input, void *to, size_t bytes)
{
	size_t there = bytes < input->left ? bytes : input->left;

	memset(to, 0, bytes);
	memcpy(to, input->bytes, there);
	input->bytes += there;
	input->left -= there;
}

static inline u64 fuzz_u64(struct fuzz_input *input)
{
	u64 value;

	fuzz_take(input, &value, sizeof(value));
	return value;
}

static inline u8 fuzz_u8(struct fuzz_input *input)
{
	u8 value;

	fuzz_take(input, &value, sizeof(value));
	return value;
}

/* 0 to @bound - 1, from as many bytes as @bound has: a flipped bit of the input stays a small
 * change. */
static inline u64 fuzz_below(struct fuzz_input *input, u64 bound)
{
	u64 value = 0;
	size_t bytes = bound <= 0x100 ? 1 : bound <= 0x10000 ? 2 : 8;

	if (bound <= 1)
		return 0;
	fuzz_take(input, &value, bytes);
	return value % bound;
}

/* libFuzzer's entry points (LLVM, "libFuzzer - a library for coverage-guided fuzz testing"). */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
