/* SPDX-License-Identifier: BSD-2-Clause */
/* A table of any format to test on, with a countdown to allocation failure. */
#ifndef KVMU_TESTS_PGTABLE_HARNESS_H
#define KVMU_TESTS_PGTABLE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "pgtable/arena.h"
#include "pgtable/env.h"
#include "pgtable/pgtable.h"
#include "tests/pgtable/format_ops.h"
#include "tests/random.h"

extern const struct format formats[];
extern const unsigned int nr_formats;
const struct format *format_named(const char *name);

struct test_table {
	struct kvm_pgtable pgt;
	const struct format *format;
	struct table_arena arena;
	struct kvm_pgtable_ops ops;
	void *retired; /* list */
	u64 nr_retired;
	u64 nr_flushes; /* demanded in the middle of an operation */
	u64 cleaned_bytes;
	long fail_after; /* table allocations that still succeed; negative: all */
	u32 lock;	 /* of the retired list */
	u16 watched;	 /* 1: on_change is called for each change */
	void (*on_change)(void *arg, u64 addr, u8 level, kvm_pte_t old, kvm_pte_t new);
	void *on_change_arg;
};

/* Fails the test on any error. */
void table_setup(struct test_table *t, const struct format *format);
/* Checks, destroys, and fails the test if a table page is left. */
void table_teardown(struct test_table *t);
/* The grace period: what was retired is overwritten and given back. */
void table_settle(struct test_table *t);

/* Run @fn, which must end in kvmu_bug(); returns what it said, NULL if it returned. */
const char *expect_bug(void (*fn)(void *arg), void *arg);
extern unsigned int nr_warnings;

#define map_of(a, s, h, p, ...)                                       \
	((struct kvm_pgtable_map){.addr = (a),                        \
				  .size = (s),                        \
				  .hpa = (h),                         \
				  .prot = (enum kvm_pgtable_prot)(p), \
				  __VA_ARGS__})

#endif
