/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables for tests: an arena under them, counters around them. */
#include "tests/pgtable/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

unsigned int nr_warnings;
static jmp_buf *bug_exit;
static const char *bug_said;

void kvmu_bug(const char *file, int line, const char *what)
{
	bug_said = what;
	if (bug_exit)
		longjmp(*bug_exit, 1);
	fprintf(stderr, "BUG %s:%d: %s\n", file, line, what);
	abort();
}

void kvmu_warn(const char *file, int line, const char *what)
{
	nr_warnings++;
	fprintf(stderr, "warning %s:%d: %s\n", file, line, what);
}

const char *expect_bug(void (*fn)(void *arg), void *arg)
{
	jmp_buf here;

	bug_said = NULL;
	bug_exit = &here;
	if (!setjmp(here))
		fn(arg);
	bug_exit = NULL;
	return bug_said;
}

static void *chunk_alloc(void *ctx, size_t bytes)
{
	void *chunk = aligned_alloc(bytes, bytes);

	(void)ctx;
	if (chunk)
		memset(chunk, 0, bytes);
	return chunk;
}

static void chunk_free(void *ctx, void *chunk, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(chunk);
}

static bool may_allocate(struct test_table *t)
{
	if (t->fail_after < 0)
		return true;
	if (!t->fail_after)
		return false;
	t->fail_after--;
	return true;
}

static void *table_alloc(void *ctx)
{
	struct test_table *t = ctx;

	return may_allocate(t) ? table_arena_alloc(&t->arena) : NULL;
}

static void table_free(void *ctx, void *table)
{
	struct test_table *t = ctx;

	table_arena_free(&t->arena, table);
}

static void table_retire(void *ctx, void *table)
{
	struct test_table *t = ctx;

	while (__atomic_exchange_n(&t->lock, 1u, __ATOMIC_ACQUIRE))
		cpu_relax();
	t->nr_retired++;
	table_list_push(&t->retired, table);
	__atomic_store_n(&t->lock, 0u, __ATOMIC_RELEASE);
}

static void *root_alloc(void *ctx, size_t bytes)
{
	struct test_table *t = ctx;

	return may_allocate(t) ? table_arena_alloc_root(&t->arena, bytes) : NULL;
}

static void root_free(void *ctx, void *root, size_t bytes)
{
	struct test_table *t = ctx;

	table_arena_free_root(&t->arena, root, bytes);
}

static void flush_now(void *ctx, const struct kvm_pgtable_flush *flush)
{
	struct test_table *t = ctx;

	assert_true(kvm_pgtable_flush_owed(flush));
	atomic_add(&t->nr_flushes, 1ull);
}

static void clean_dcache(void *ctx, hpa_t hpa, size_t bytes)
{
	struct test_table *t = ctx;

	(void)hpa;
	t->cleaned_bytes += bytes;
}

static void entry_changed(void *ctx, u64 addr, u8 level, kvm_pte_t old, kvm_pte_t new)
{
	struct test_table *t = ctx;

	assert_true(t->watched);
	t->on_change(t->on_change_arg, addr, level, old, new);
}

static const struct table_arena_source chunks = {.alloc_chunk = chunk_alloc,
						 .free_chunk = chunk_free};

static const struct kvm_pgtable_ops table_ops = {
	.alloc_table = table_alloc,
	.free_table = table_free,
	.retire_table = table_retire,
	.alloc_root = root_alloc,
	.free_root = root_free,
	.flush = flush_now,
	.clean_dcache = clean_dcache,
	.entry_changed = entry_changed,
};

void table_setup(struct test_table *t, const struct format *format)
{
	struct kvm_pgtable_config config = format->config;

	*t = (struct test_table){.format = format, .ops = table_ops, .fail_after = -1};
	assert_int_equal(
		table_arena_init(&t->arena, &chunks, config.granule_lg2 ? config.granule_lg2 : 12),
		0);
	config.ctx = t;
	config.ops = &t->ops;
	config.watched = &t->watched;
	assert_int_equal(format->op.init(&t->pgt, &config), 0);
}

void table_settle(struct test_table *t)
{
	void *table;

	while ((table = table_list_pop(&t->retired))) {
		/* Whoever still walks it falls into nonsense. */
		memset(table, 0xff, 1ull << t->arena.page_lg2);
		table_arena_free(&t->arena, table);
	}
}

void table_teardown(struct test_table *t)
{
	assert_int_equal(t->format->op.check(&t->pgt), 0);
	t->format->op.destroy(&t->pgt);
	table_settle(t);
	assert_int_equal(t->arena.pages, 0);
	table_arena_destroy(&t->arena);
}
