/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tour of the page-table library, as a hypervisor would use it: map on
 * demand, write-protect, age, and walk with a visitor of one's own.
 *
 *   cc pgtable_tour.c $(pkg-config --cflags --libs kvmu-pgtable)
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "pgtable/arena.h"
#include "pgtable/instance/ept.h"

#define MIB (1ull << 20)

/* Where table pages come from: chunks of memory, aligned to their size. */
static void *alloc_chunk(void *ctx, size_t bytes)
{
	void *chunk = aligned_alloc(bytes, bytes);

	(void)ctx;
	if (chunk)
		__builtin_memset(chunk, 0, bytes);
	return chunk;
}

static void free_chunk(void *ctx, void *chunk, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(chunk);
}

static void *alloc_table(void *ctx)
{
	return table_arena_alloc(ctx);
}

/* One thread and no TLB: what is unlinked can go at once. */
static void free_table(void *ctx, void *table)
{
	table_arena_free(ctx, table);
}

static void *alloc_root(void *ctx, size_t bytes)
{
	return table_arena_alloc_root(ctx, bytes);
}

static void free_root(void *ctx, void *root, size_t bytes)
{
	table_arena_free_root(ctx, root, bytes);
}

/* The library's sinks for what can only be a bug. */
_Noreturn void kvmu_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

void kvmu_warn(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

/* The guest touched @gpa and the walk found nothing: map the page, writable. */
static void fault(struct kvm_pgtable *pgt, u64 gpa)
{
	struct kvm_pgtable_map map = {
		.addr = gpa & ~(u64)(PAGE_SIZE - 1),
		.size = PAGE_SIZE,
		.hpa = (gpa & ~(u64)(PAGE_SIZE - 1)) + (1ull << 32),
		.prot = KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_ACCESSED,
	};

	if (ept_map(pgt, &map) != 0)
		abort();
}

static int print_leaf(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	unsigned int *leaves = ctx->arg;

	(void)visit;
	if (ctx->old && ++*leaves <= 3)
		printf("  %#10llx: level %u, entry %#llx\n", (unsigned long long)ctx->addr,
		       ctx->level, (unsigned long long)ctx->old);
	return 0; /* to the next entry */
}

static void walk(struct kvm_pgtable *pgt, const char *what)
{
	unsigned int leaves = 0;
	const struct kvm_pgtable_walker walker = {
		.cb = print_leaf, .arg = &leaves, .flags = KVM_PGTABLE_WALK_LEAF};

	printf("%s\n", what);
	if (ept_walk(pgt, 0, 16 * MIB, &walker) != 0)
		abort();
	printf("  %u leaves\n", leaves);
}

int main(void)
{
	static const struct table_arena_source source = {alloc_chunk, free_chunk, NULL};
	static const struct kvm_pgtable_ops ops = {
		.alloc_table = alloc_table,
		.free_table = free_table,
		.retire_table = free_table,
		.alloc_root = alloc_root,
		.free_root = free_root,
	};
	struct table_arena arena;
	const struct kvm_pgtable_config config = {.input_bits = 48, .ctx = &arena, .ops = &ops};
	struct kvm_pgtable_map block = {
		.addr = 4 * MIB, .size = 4 * MIB, .hpa = 4 * MIB, .prot = KVM_PGTABLE_PROT_RWX};
	struct kvm_pgtable_flush flush = {0};
	struct kvm_pgtable pgt;
	bool young;

	if (table_arena_init(&arena, &source, 12) != 0 || ept_init(&pgt, &config) != 0)
		return 1;
	if (ept_map(&pgt, &block) != 0)
		return 1;
	walk(&pgt, "4 MiB in one call are two blocks of 2 MiB:");
	for (u64 gpa = 0; gpa < 64 * 1024; gpa += PAGE_SIZE)
		fault(&pgt, gpa + 8);
	walk(&pgt, "16 faults later:");

	if (ept_wrprotect(&pgt, 0, 32 * 1024, 0, &flush) != 0)
		return 1;
	printf("write-protecting 32 KiB owes a flush of [%#llx, %#llx), %llu entries\n",
	       (unsigned long long)flush.start, (unsigned long long)flush.end,
	       (unsigned long long)flush.entries);
	if (ept_mkold(&pgt, 0, 64 * 1024, 0, &young, NULL) != 0)
		return 1;
	printf("the 64 KiB were %s", young ? "young" : "old");
	if (ept_test_young(&pgt, 0, 64 * 1024, &young) != 0)
		return 1;
	printf(", now they are %s\n", young ? "young" : "old");

	flush = (struct kvm_pgtable_flush){0};
	if (ept_unmap(&pgt, 5 * MIB, PAGE_SIZE, 0, NULL, &flush) != 0)
		return 1;
	walk(&pgt, "a page out of a block leaves 511 of it:");
	printf("table memory: %llu KiB\n", (unsigned long long)table_arena_bytes(&arena) >> 10);
	ept_destroy(&pgt);
	table_arena_destroy(&arena);
	return 0;
}
