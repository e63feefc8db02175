/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page-table library: ns per page over 1 GiB in 4 KiB pages, on EPT with all
 * rows and budgets, on the other formats with a few, beside floors measured in the
 * same run.  Median of several rounds in CPU time, so that
 * other programs' turns do not count; with two threads, that of the slower.
 * Table pages are warm, as they are in a VM that has run for a while.
 *
 * Rows: what, reference, ours, unit, budget, separated by tabs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/bench.h"
#include "base/atomics.h"
#include "pgtable/arena.h"
#include "pgtable/env.h"
#include "pgtable/instance/arm64_s2_4k.h"
#include "pgtable/instance/ept.h"
#include "pgtable/instance/npt.h"
#include "pgtable/instance/riscv_g.h"
#include "tests/pgtable/format_ops.h"

#define PAGES	(1ull << 18)
#define GIB	(1ull << 30)
#define START	(1ull << 32)
#define HPA	(1ull << 40)
#define ROUNDS	9
#define TABLES	512u
#define ENTRIES 512u

/* Through pointers: a call that is always predicted is small beside what it calls. */
static struct format_ops op;
static struct table_arena arena;
static struct kvm_pgtable pgt;
static u32 *order; /* a random permutation of the pages */

static void die(const char *what)
{
	fprintf(stderr, "bench_pgtable: %s\n", what);
	exit(1);
}

/* ---- table pages ---------------------------------------------------------------------- */

/* What the host layer does too: aligned, and huge pages where the system has them. */
static void *chunk_alloc(void *ctx, size_t bytes)
{
	void *chunk = aligned_alloc(bytes, bytes);

	(void)ctx;
	if (chunk) {
		(void)madvise(chunk, bytes, MADV_HUGEPAGE);
		memset(chunk, 0, bytes);
	}
	return chunk;
}

static void chunk_free(void *ctx, void *chunk, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(chunk);
}

static void *table_alloc(void *ctx)
{
	(void)ctx;
	return table_arena_alloc(&arena);
}

static void table_free(void *ctx, void *table)
{
	(void)ctx;
	table_arena_free(&arena, table);
}

static void *root_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return table_arena_alloc_root(&arena, bytes);
}

static void root_free(void *ctx, void *root, size_t bytes)
{
	(void)ctx;
	table_arena_free_root(&arena, root, bytes);
}

/* One thread and no MMU: nobody has cached anything. */
static void flush_nothing(void *ctx, const struct kvm_pgtable_flush *flush)
{
	(void)ctx;
	(void)flush;
}

static const struct kvm_pgtable_ops ops = {.alloc_table = table_alloc,
					   .free_table = table_free,
					   .retire_table = table_free,
					   .alloc_root = root_alloc,
					   .free_root = root_free,
					   .flush = flush_nothing};

static void begin(const struct format *format)
{
	const struct table_arena_source source = {.alloc_chunk = chunk_alloc,
						  .free_chunk = chunk_free};
	struct kvm_pgtable_config config = format->config;

	config.ops = &ops;
	op = format->op;
	if (table_arena_init(&arena, &source, 12) || op.init(&pgt, &config))
		die("setup");
	arena.keep = 8;
}

static void end(void)
{
	op.destroy(&pgt);
	table_arena_destroy(&arena);
}

static void shuffle(void)
{
	unsigned int state = 1;

	order = malloc(PAGES * sizeof(*order));
	if (!order)
		die("memory");
	for (u32 i = 0; i < PAGES; i++)
		order[i] = i;
	for (u32 i = PAGES - 1; i; i--) {
		u32 j = (u32)rand_r(&state) % (i + 1), swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
}

/* ---- floors ------------------------------------------------------------------------------ */

static u64 *floor_pages;

static double floor_store(void)
{
	for (u32 t = 0; t < TABLES; t++) {
		u64 *table = floor_pages + t * ENTRIES;

		memset(table, 0, ENTRIES * sizeof(*table));
		for (u32 i = 0; i < ENTRIES; i++)
			atomic_poke(&table[i], HPA + i);
	}
	return PAGES;
}

static double floor_clear(void)
{
	for (u32 t = 0; t < TABLES; t++)
		memset(floor_pages + t * ENTRIES, 0, ENTRIES * sizeof(u64));
	return PAGES;
}

static double floor_read_write(void)
{
	for (u64 i = 0; i < PAGES; i++)
		atomic_poke(&floor_pages[i], atomic_peek(&floor_pages[i]) + 1);
	return PAGES;
}

static double floor_cmpxchg(void)
{
	for (u64 i = 0; i < PAGES; i++) {
		u64 old = atomic_peek(&floor_pages[i]);

		(void)atomic_cmpxchg_u64(&floor_pages[i], &old, old + 1);
	}
	return PAGES;
}

static double floor_cmpxchg_random(void)
{
	for (u64 i = 0; i < PAGES; i++) {
		u64 *entry = &floor_pages[order[i]], old = atomic_peek(entry);

		(void)atomic_cmpxchg_u64(entry, &old, old + 1);
	}
	return PAGES;
}

static u64 sink;

static double floor_load_random(void)
{
	u64 sum = 0;

	for (u64 i = 0; i < PAGES; i++)
		sum += atomic_peek(&floor_pages[order[i]]);
	atomic_poke(&sink, sum);
	return PAGES;
}

/* ---- ours ---------------------------------------------------------------------------------- */

static double map_whole(void)
{
	struct kvm_pgtable_map map = {.addr = START,
				      .size = GIB,
				      .hpa = HPA,
				      .prot = KVM_PGTABLE_PROT_RWX,
				      .max_level = 1};

	if (op.map(&pgt, &map) || map.installed != PAGES)
		die("map");
	return PAGES;
}

static double unmap_whole(void)
{
	struct kvm_pgtable_flush flush = {0};

	if (op.unmap(&pgt, START, GIB, (enum kvm_pgtable_walk_flags)0, NULL, &flush))
		die("unmap");
	return PAGES;
}

static double wrprotect_whole(void)
{
	struct kvm_pgtable_flush flush = {0};

	if (op.wrprotect(&pgt, START, GIB, (enum kvm_pgtable_walk_flags)0, &flush) ||
	    flush.entries != PAGES)
		die("wrprotect");
	return PAGES;
}

static double get_leaf_random(void)
{
	struct kvm_pgtable_leaf leaf;
	u64 sum = 0;

	for (u64 i = 0; i < PAGES; i++) {
		if (op.get_leaf(&pgt, START + ((u64)order[i] << 12), &leaf))
			die("get_leaf");
		sum += leaf.hpa;
	}
	atomic_poke(&sink, sum);
	return PAGES;
}

#define SHARED_FAULT \
	((enum kvm_pgtable_walk_flags)(KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT))

/* As a fault does it: table pages from a cache that is topped up before. */
static void map_page(u64 page, enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache)
{
	struct kvm_pgtable_map map = {.addr = START + (page << 12),
				      .size = 1 << 12,
				      .hpa = HPA + (page << 12),
				      .prot = KVM_PGTABLE_PROT_RWX,
				      .max_level = 1,
				      .flags = flags,
				      .cache = cache};
	int err;

	if (cache->nr < 4 && table_arena_fill(&arena, cache, KVM_PGTABLE_CACHE_PAGES))
		die("table pages");
	do {
		err = op.map(&pgt, &map);
	} while (err == -EAGAIN);
	if (err)
		die("map");
}

static double map_pages(const u32 *pages, u64 first, u64 end, enum kvm_pgtable_walk_flags flags)
{
	struct kvm_pgtable_cache cache = {0};

	for (u64 i = first; i < end; i++)
		map_page(pages ? pages[i] : i, flags, &cache);
	table_arena_drain(&arena, &cache);
	return (double)(end - first);
}

static double map_sequential(void)
{
	return map_pages(NULL, 0, PAGES, (enum kvm_pgtable_walk_flags)0);
}

static double map_random(void)
{
	return map_pages(order, 0, PAGES, (enum kvm_pgtable_walk_flags)0);
}

static double shared_sequential(void)
{
	return map_pages(NULL, 0, PAGES, SHARED_FAULT);
}

static double shared_random(void)
{
	return map_pages(order, 0, PAGES, SHARED_FAULT);
}

struct half {
	const u32 *pages;
	u64 first;
	u64 end;
	double ns;
};

static void *map_half(void *arg)
{
	struct half *half = arg;

	half->ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	map_pages(half->pages, half->first, half->end, SHARED_FAULT);
	half->ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - half->ns;
	return NULL;
}

/* Where the other thread took longer, that much less counts as done. */
static double two_threads(const u32 *pages)
{
	struct half lower = {.pages = pages, .end = PAGES / 2};
	struct half upper = {.pages = pages, .first = PAGES / 2, .end = PAGES};
	pthread_t thread;

	if (pthread_create(&thread, NULL, map_half, &upper))
		die("thread");
	(void)map_half(&lower);
	pthread_join(thread, NULL);
	return upper.ns > lower.ns ? (double)PAGES * lower.ns / upper.ns : (double)PAGES;
}

static double shared_sequential_2(void)
{
	return two_threads(NULL);
}

static double shared_random_2(void)
{
	return two_threads(order);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void mapped(void)
{
	(void)map_whole();
}

static void unmapped(void)
{
	(void)unmap_whole();
}

struct measure {
	void (*before)(void);
	double (*run)(void); /* how many pages it did */
	void (*after)(void);
};

static double median_ns(const struct measure *measure)
{
	double ns[ROUNDS];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		double start;

		measure->before();
		start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		ns[i] = measure->run();
		ns[i] = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / ns[i];
		measure->after();
	}
	return median_of(ns, ROUNDS);
}

struct row {
	const char *what;
	struct measure ours;
	const char *budget;
	const char *floor_name;
	double (*floor)(void);
	bool every_format;
};

static const struct row rows[] = {
	{"map 1 GiB in 4K pages, one call",
	 {nothing, map_whole, unmapped},
	 "3",
	 "clear and store",
	 floor_store,
	 true},
	{"map page by page, sequential",
	 {nothing, map_sequential, unmapped},
	 "15",
	 "clear and store",
	 floor_store,
	 true},
	{"map page by page, random",
	 {nothing, map_random, unmapped},
	 "20",
	 "random load",
	 floor_load_random,
	 false},
	{"map shared, sequential, 1 thread",
	 {nothing, shared_sequential, unmapped},
	 "-",
	 "cmpxchg",
	 floor_cmpxchg,
	 true},
	{"map shared, random, 1 thread",
	 {nothing, shared_random, unmapped},
	 "-",
	 "random cmpxchg",
	 floor_cmpxchg_random,
	 false},
	{"map shared, sequential, 2 threads",
	 {nothing, shared_sequential_2, unmapped},
	 "20",
	 "cmpxchg",
	 floor_cmpxchg,
	 false},
	{"map shared, random, 2 threads",
	 {nothing, shared_random_2, unmapped},
	 "20",
	 "random cmpxchg",
	 floor_cmpxchg_random,
	 false},
	{"unmap 1 GiB, one call",
	 {mapped, unmap_whole, nothing},
	 "3",
	 "read and write",
	 floor_read_write,
	 true},
	{"write-protect 1 GiB, one call",
	 {mapped, wrprotect_whole, unmapped},
	 "1",
	 "read and write",
	 floor_read_write,
	 true},
	{"get leaf, random",
	 {mapped, get_leaf_random, unmapped},
	 "8",
	 "random load",
	 floor_load_random,
	 true},
	{"clear a table page (per entry)", {nothing, floor_clear, nothing}, "-", "-", NULL, false},
};

/* Long mode has no tables whose marks the MMU leaves alone. */
static const struct format formats[] = {
	{.name = "EPT", .op = FORMAT_OPS(ept), .config = {.input_bits = 48}},
	{.name = "NPT",
	 .op = FORMAT_OPS(npt),
	 .config = {.input_bits = 48, .accessed_dirty = true}},
	{.name = "arm64 stage 2, 4K",
	 .op = FORMAT_OPS(arm64_s2_4k),
	 .config = {.input_bits = 48, .granule_lg2 = 12, .accessed_dirty = true}},
	{.name = "RISC-V Sv48x4", .op = FORMAT_OPS(riscv_g), .config = {.input_bits = 50}},
};

static void print_row(const char *prefix, const struct row *row, bool judged)
{
	double ours = median_ns(&row->ours), floor;

	if (!row->floor) {
		printf("%s%s\t-\t%.2f\tns/page\t%s\n", prefix, row->what, ours, row->budget);
		return;
	}
	floor = median_ns(&(struct measure){nothing, row->floor, nothing});
	printf("%s%s\t%.2f (%s, x%.1f)\t%.2f\tns/page\t%s\n", prefix, row->what, floor,
	       row->floor_name, ours / floor, ours, judged ? row->budget : "-");
}

static void measure_ept(void)
{
	begin(&formats[0]);
	mapped();
	printf("table memory for 1 GiB in 4K pages\t-\t%llu\tKiB\t2060\n",
	       (unsigned long long)(table_arena_bytes(&arena) >> 10));
	unmapped();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		print_row("", &rows[i], true);
	end();
}

static void measure_other(const struct format *format)
{
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "%s: ", format->name);
	begin(format);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].every_format)
			print_row(prefix, &rows[i], false);
	}
	end();
}

int main(void)
{
	shuffle();
	floor_pages = chunk_alloc(NULL, TABLES * ENTRIES * sizeof(u64));
	if (!floor_pages)
		die("memory");
	measure_ept();
	for (unsigned int i = 1; i < ARRAY_SIZE(formats); i++)
		measure_other(&formats[i]);
	chunk_free(NULL, floor_pages, 0);
	free(order);
	return 0;
}
