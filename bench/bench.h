/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmarks share: the time, and the middle of several measurements. */
#ifndef KVMU_BENCH_BENCH_H
#define KVMU_BENCH_BENCH_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/types.h"

/* CLOCK_MONOTONIC, or CLOCK_THREAD_CPUTIME_ID where other load must not count. */
static inline double clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline double now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts them. */
static inline double median_of(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), compare_doubles);
	return values[nr / 2];
}

/* A struct kvm_dirty_user's put for a bitmap in memory. */
static inline int put_bitmap(void *ctx, u64 offset, const void *from, u64 bytes)
{
	char *to = ctx;

	if (from)
		memcpy(to + offset, from, bytes);
	else
		memset(to + offset, 0, bytes);
	return 0;
}

#endif
