/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit fields and power-of-two arithmetic.  _lg2 is a unit: a base-2 logarithm. */
#ifndef KVMU_BASE_BITS_H
#define KVMU_BASE_BITS_H

#include "base/types.h"

#define BIT_ULL(n) (1ull << (n))
/* Bits h..l inclusive, as the manuals print them. */
#define GENMASK_ULL(h, l) ((~0ull >> (63 - (h))) & (~0ull << (l)))

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline u64 align_down(u64 value, u64 align)
{
	return value & ~(align - 1);
}

static inline u64 align_up(u64 value, u64 align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline bool is_aligned(u64 value, u64 align)
{
	return (value & (align - 1)) == 0;
}

static inline u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* Floor of log2; @value is not 0. */
static inline unsigned int log2_u64(u64 value)
{
	return 63u - (unsigned int)__builtin_clzll(value);
}

#endif
