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
#include "tests/random.h"

/* The operations of one instance by pointer: tests are written once for all. */
#define PGT_NAME(op) (*op)
struct format_ops {
#include "pgtable/pgtable_api.h"
};
#undef PGT_NAME

struct format {
	const char *name;
	struct format_ops op;
	struct kvm_pgtable_config config; /* without ctx and ops */
	unsigned int page_lg2;
	unsigned int table_bits;
	unsigned int leaf_level_max;
	unsigned int lacks;  /* of KVM_PGTABLE_PROT_ALL, what a leaf cannot say */
	bool keeps_refusals; /* a cached refusal stays until flushed: relax owes */
	bool breaks;	     /* break-before-make */
};

extern const struct format formats[];
extern const unsigned int nr_formats;
const struct format *format_named(const char *name);

static inline u64 format_page(const struct format *format)
{
	return 1ull << format->page_lg2;
}

static inline u64 format_level_bytes(const struct format *format, unsigned int level)
{
	return 1ull << (format->page_lg2 + format->table_bits * (level - 1));
}

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
