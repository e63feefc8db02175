/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The n-th allocation fails, for every n until the operation succeeds, on every
 * format: -ENOMEM, the table valid, what is outside the part already done as it
 * was, the operation repeatable, nothing leaked.
 */
#include "tests/pgtable/harness.h"

struct scene {
	struct test_table t;
	const struct format *format;
	u64 page;
	u64 block;   /* bytes of a level 2 block */
	u64 at;	     /* address the operation works at, inside a level 2 block */
	u64 blocked; /* address of a mapped level 2 block */
	u64 mapped;  /* bytes the last map() reached */
};

#define BLOCK_HPA (1ull << 36)

static void scene_setup(struct scene *s, const struct format *format)
{
	*s = (struct scene){.format = format,
			    .page = format_page(format),
			    .block = format_level_bytes(format, 2)};
	table_setup(&s->t, format);
	s->blocked = s->block * 2;
	s->at = s->blocked + s->page;

	struct kvm_pgtable_map map = map_of(s->blocked, s->block, BLOCK_HPA, KVM_PGTABLE_PROT_RW);

	assert_int_equal(format->op.map(&s->t.pgt, &map), 0);
	assert_int_equal(map.level, 2);
}

typedef int (*scene_op)(struct scene *s, struct kvm_pgtable_cache *cache);

static int map_pages(struct scene *s, struct kvm_pgtable_cache *cache)
{
	/* Over the edge of a table, so that more than one is needed. */
	struct kvm_pgtable_map map = map_of(s->block - s->page, 2 * s->page, BLOCK_HPA * 2,
					    KVM_PGTABLE_PROT_RW, .max_level = 1, .cache = cache);
	int err = s->format->op.map(&s->t.pgt, &map);

	s->mapped = map.mapped;
	assert_true(err ? map.mapped < map.size : map.mapped == map.size);
	return err;
}

static int map_inside_block(struct scene *s, struct kvm_pgtable_cache *cache)
{
	struct kvm_pgtable_map map =
		map_of(s->at, s->page, BLOCK_HPA * 2, KVM_PGTABLE_PROT_RW, .cache = cache);

	return s->format->op.map(&s->t.pgt, &map);
}

static int unmap_inside_block(struct scene *s, struct kvm_pgtable_cache *cache)
{
	return s->format->op.unmap(&s->t.pgt, s->at, s->page, (enum kvm_pgtable_walk_flags)0, cache,
				   NULL);
}

static int own_inside_block(struct scene *s, struct kvm_pgtable_cache *cache)
{
	return s->format->op.set_owner(&s->t.pgt, s->at, s->page, 9, KVM_PGTABLE_WALK_SHARED, cache,
				       NULL);
}

static int split_block(struct scene *s, struct kvm_pgtable_cache *cache)
{
	return s->format->op.split(&s->t.pgt, s->at, s->page, 1, (enum kvm_pgtable_walk_flags)0,
				   cache, NULL);
}

static int build_and_link(struct scene *s, struct kvm_pgtable_cache *cache)
{
	kvm_pte_t *table;
	int err = s->format->op.create_unlinked(&s->t.pgt, BLOCK_HPA * 3, 2, KVM_PGTABLE_PROT_RW, 1,
						cache, &table);

	if (err)
		return err;
	err = s->format->op.link_unlinked(&s->t.pgt, 0, table, 2, (enum kvm_pgtable_walk_flags)0,
					  cache, NULL);
	if (err)
		s->format->op.free_unlinked(&s->t.pgt, table, 2);
	return err;
}

static const scene_op operations[] = {map_pages,	map_inside_block, unmap_inside_block,
				      own_inside_block, split_block,	  build_and_link};

/* The block that every scene begins with still translates, but for one page. */
static void check_block(struct scene *s, bool whole)
{
	for (u64 addr = s->blocked; addr < s->blocked + s->block; addr += s->page) {
		struct kvm_pgtable_leaf leaf;

		if (addr == s->at && !whole)
			continue;
		assert_int_equal(s->format->op.get_leaf(&s->t.pgt, addr, &leaf), 0);
		assert_true(leaf.present);
		assert_int_equal(leaf.hpa, BLOCK_HPA + addr - s->blocked);
		assert_int_equal(leaf.prot, KVM_PGTABLE_PROT_RW);
	}
}

static void fail_each_allocation(const struct format *format, scene_op op)
{
	for (long n = 0;; n++) {
		struct scene s;
		int err;

		scene_setup(&s, format);
		s.t.fail_after = n;
		err = op(&s, NULL);
		s.t.fail_after = -1;
		assert_int_equal(format->op.check(&s.t.pgt), 0);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			check_block(&s, true);
			assert_int_equal(op(&s, NULL), 0);
		}
		check_block(&s, false);
		table_teardown(&s.t);
		if (!err) {
			assert_true(n > 0); /* it did allocate */
			return;
		}
		assert_true(n < 100);
	}
}

/* The same with a cache that holds n pages: it is used, and nothing else. */
static void starve_the_cache(const struct format *format, scene_op op)
{
	for (unsigned int n = 0;; n++) {
		struct kvm_pgtable_cache cache = {0};
		struct scene s;
		int err;

		scene_setup(&s, format);
		assert_int_equal(table_arena_fill(&s.t.arena, &cache, n), 0);
		s.t.fail_after = 0; /* ops->alloc_table would fail, and is not asked */
		err = op(&s, &cache);
		assert_int_equal(format->op.check(&s.t.pgt), 0);
		if (err)
			assert_int_equal(err, -ENOMEM);
		table_arena_drain(&s.t.arena, &cache);
		table_teardown(&s.t);
		if (!err)
			return;
		assert_true(n < KVM_PGTABLE_CACHE_PAGES);
	}
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(operations); j++)
			fail_each_allocation(&formats[i], operations[j]);
	}
}

static void an_empty_cache_is_enomem(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(operations); j++)
			starve_the_cache(&formats[i], operations[j]);
	}
}

static void no_root_no_table(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		struct test_table t;
		struct kvm_pgtable pgt = {0};

		table_setup(&t, &formats[i]);
		t.fail_after = 0;
		assert_int_equal(formats[i].op.init(&pgt, &t.pgt.config), -ENOMEM);
		formats[i].op.destroy(&pgt); /* of what never was: nothing */
		t.fail_after = -1;
		table_teardown(&t);
	}
}

/* The source of the arena's chunks runs dry. */
static void *no_chunk(void *ctx, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	return NULL;
}

static void keep_chunk(void *ctx, void *chunk, size_t bytes)
{
	(void)ctx;
	(void)chunk;
	(void)bytes;
}

static void a_dry_arena_says_so(void **state)
{
	const struct table_arena_source source = {.alloc_chunk = no_chunk,
						  .free_chunk = keep_chunk};
	struct kvm_pgtable_cache cache = {0};
	struct table_arena arena;

	(void)state;
	assert_int_equal(table_arena_init(&arena, &source, 11), -EINVAL);
	assert_int_equal(table_arena_init(&arena, &source, 12), 0);
	assert_null(table_arena_alloc(&arena));
	assert_null(table_arena_alloc_root(&arena, 1 << 16));
	assert_int_equal(table_arena_fill(&arena, &cache, 4), -ENOMEM);
	assert_int_equal(cache.nr, 0);
	assert_int_equal(arena.pages, 0);
	table_arena_destroy(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(an_empty_cache_is_enomem),
		cmocka_unit_test(no_root_no_table),
		cmocka_unit_test(a_dry_arena_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
