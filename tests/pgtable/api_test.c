/* SPDX-License-Identifier: BSD-2-Clause */
/* Bad input changes nothing; the flushes owed; the memory used; faults that meet. */
#include "tests/pgtable/harness.h"

#include <string.h>

#include "pgtable/instance/riscv_g.h"

#define NONE   ((enum kvm_pgtable_walk_flags)0)
#define SHARED KVM_PGTABLE_WALK_SHARED
#define FAULT  ((enum kvm_pgtable_walk_flags)(SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT))
#define RW     KVM_PGTABLE_PROT_RW
#define GIB    (1ull << 30)

static int map_range(struct test_table *t, u64 addr, u64 size, hpa_t hpa,
		     enum kvm_pgtable_prot prot, unsigned int flags,
		     struct kvm_pgtable_flush *flush)
{
	struct kvm_pgtable_map map =
		map_of(addr, size, hpa, prot, .max_level = 1,
		       .flags = (enum kvm_pgtable_walk_flags)flags, .flush = flush);

	return t->format->op.map(&t->pgt, &map);
}

/* ---- bad input ------------------------------------------------------------------------- */

static void check_bad_range(struct test_table *t, u64 addr, u64 size, int want)
{
	const struct format_ops *op = &t->format->op;
	struct kvm_pgtable_map map = map_of(addr, size, 0, RW);
	bool young;

	assert_int_equal(op->map(&t->pgt, &map), want);
	assert_int_equal(map.mapped, 0);
	assert_int_equal(op->unmap(&t->pgt, addr, size, NONE, NULL, NULL), want);
	assert_int_equal(op->set_owner(&t->pgt, addr, size, 1, NONE, NULL, NULL), want);
	assert_int_equal(op->wrprotect(&t->pgt, addr, size, NONE, NULL), want);
	assert_int_equal(op->mkclean(&t->pgt, addr, size, NONE, NULL), want);
	assert_int_equal(op->mkold(&t->pgt, addr, size, NONE, &young, NULL), want);
	assert_int_equal(op->test_young(&t->pgt, addr, size, &young), want);
	assert_int_equal(op->split(&t->pgt, addr, size, 1, NONE, NULL, NULL), want);
	assert_int_equal(op->collapse(&t->pgt, addr, size, 2, NULL), want);
	assert_int_equal(op->flush(&t->pgt, addr, size), want);
}

static void bad_ranges(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		const struct format *format = &formats[i];
		u64 page = format_page(format), input = 1ull << format->config.input_bits;
		struct test_table t;
		u64 pages;

		table_setup(&t, format);
		pages = t.arena.pages;
		check_bad_range(&t, 0, 0, -EINVAL);
		check_bad_range(&t, 1, page, -EINVAL);
		check_bad_range(&t, 0, page + 8, -EINVAL);
		check_bad_range(&t, 0, page / 2, -EINVAL);
		check_bad_range(&t, -page, 2 * page, -EINVAL);
		check_bad_range(&t, page, -page, -EINVAL);
		check_bad_range(&t, input, page, -ERANGE);
		check_bad_range(&t, input - page, 2 * page, -ERANGE);
		check_bad_range(&t, 0, input + page, -ERANGE);
		assert_int_equal(t.arena.pages, pages);
		/* ... and right up to the edge is good. */
		assert_int_equal(map_range(&t, input - page, page, 0, RW, 0, NULL), 0);
		assert_int_equal(format->op.unmap(&t.pgt, 0, input, NONE, NULL, NULL), 0);
		table_teardown(&t);
	}
}

static void check_bad_map(struct test_table *t, int want, hpa_t hpa, unsigned int prot,
			  u8 max_level, unsigned int flags)
{
	struct kvm_pgtable_map map =
		map_of(0, format_page(t->format), hpa, prot, .max_level = max_level,
		       .flags = (enum kvm_pgtable_walk_flags)flags);

	assert_int_equal(t->format->op.map(&t->pgt, &map), want);
	assert_int_equal(map.installed, 0);
}

static void bad_mappings(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		u64 page = format_page(&formats[i]);
		struct test_table t;
		u64 pages;

		table_setup(&t, &formats[i]);
		pages = t.arena.pages;
		check_bad_map(&t, -EINVAL, 1, RW, 0, 0);
		check_bad_map(&t, -EINVAL, 0, 1u << 20, 0, 0);
		check_bad_map(&t, -EINVAL, 0, RW, 9, 0);
		check_bad_map(&t, -EINVAL, 0, RW, 0, KVM_PGTABLE_WALK_HANDLE_FAULT);
		check_bad_map(&t, -EINVAL, 0, RW, 0, KVM_PGTABLE_WALK_LEAF);
		check_bad_map(&t, -EINVAL, -page + 1, RW, 0, 0);
		check_bad_map(&t, -ERANGE, 1ull << 60, RW, 0, 0);
		assert_int_equal(t.arena.pages, pages);
		table_teardown(&t);
	}
}

/* What the format lacks is refused, each bit of it; what it has is taken. */
static void bits_that_a_leaf_cannot_hold(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		const struct format *format = &formats[i];
		struct test_table t;

		table_setup(&t, format);
		for (unsigned int bit = KVM_PGTABLE_PROT_DEVICE; bit < KVM_PGTABLE_PROT_ALL;
		     bit <<= 1) {
			bool lacks = format->lacks & bit;

			assert_int_equal(
				map_range(&t, 0, format_page(format), 0, RW | bit, 0, NULL),
				lacks ? -EINVAL : 0);
		}
		table_teardown(&t);
	}
}

static void bad_arguments(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		const struct format_ops *op = &formats[i].op;
		u64 page = format_page(&formats[i]), block = format_level_bytes(&formats[i], 2);
		struct kvm_pgtable_walker walker = {.flags = KVM_PGTABLE_WALK_LEAF};
		struct kvm_pgtable_leaf leaf;
		struct test_table t;
		kvm_pte_t *table;

		table_setup(&t, &formats[i]);
		assert_int_equal(op->get_leaf(&t.pgt, 1ull << formats[i].config.input_bits, &leaf),
				 -ERANGE);
		assert_int_equal(op->walk(&t.pgt, 0, page, &walker), -EINVAL);
		assert_int_equal(op->set_owner(&t.pgt, 0, page, 0, NONE, NULL, NULL), -EINVAL);
		assert_int_equal(op->set_owner(&t.pgt, 0, page, 1, FAULT, NULL, NULL), -EINVAL);
		assert_int_equal(op->set_mmio(&t.pgt, 0, 0, 1, NONE, NULL), -EINVAL);
		assert_int_equal(op->set_mmio(&t.pgt, 0, 1, 0, NONE, NULL), -EINVAL);
		assert_int_equal(op->set_mmio(&t.pgt, 0, 1, 1, FAULT, NULL), -EINVAL);
		assert_int_equal(op->set_mmio(&t.pgt, page - 1, 1, 1, NONE, NULL), -EINVAL);
		assert_int_equal(
			op->wrprotect(&t.pgt, 0, page, KVM_PGTABLE_WALK_HANDLE_FAULT, NULL),
			-EINVAL);
		assert_int_equal(op->split(&t.pgt, 0, page, 0, NONE, NULL, NULL), -EINVAL);
		assert_int_equal(op->split(&t.pgt, 0, page, 7, NONE, NULL, NULL), -EINVAL);
		assert_int_equal(op->collapse(&t.pgt, 0, page, 7, NULL), -EINVAL);
		assert_int_equal(op->relax_perms(&t.pgt, 0, KVM_PGTABLE_PROT_SW0, NONE, NULL),
				 -EINVAL);
		assert_int_equal(op->create_unlinked(&t.pgt, 0, 1, RW, 1, NULL, &table), -EINVAL);
		assert_int_equal(op->create_unlinked(&t.pgt, 0, 9, RW, 1, NULL, &table), -EINVAL);
		assert_int_equal(op->create_unlinked(&t.pgt, 1, 2, RW, 1, NULL, &table), -EINVAL);
		assert_int_equal(op->create_unlinked(&t.pgt, 1ull << 60, 2, RW, 1, NULL, &table),
				 -ERANGE);
		assert_int_equal(op->create_unlinked(&t.pgt, 0, 2, RW, 1, NULL, &table), 0);
		assert_int_equal(op->link_unlinked(&t.pgt, page, table, 2, NONE, NULL, NULL),
				 -EINVAL);
		assert_int_equal(op->link_unlinked(&t.pgt, 0, NULL, 2, NONE, NULL, NULL), -EINVAL);
		assert_int_equal(op->link_unlinked(&t.pgt, 0, table, 9, NONE, NULL, NULL), -EINVAL);
		assert_int_equal(
			op->link_unlinked(&t.pgt,
					  align_down(1ull << formats[i].config.input_bits, block),
					  table, 2, NONE, NULL, NULL),
			-ERANGE);
		op->free_unlinked(&t.pgt, table, 2);
		table_teardown(&t);
	}
}

static void bad_geometry(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		const struct format_ops *op = &formats[i].op;
		struct test_table t;
		struct kvm_pgtable pgt = {0};
		struct kvm_pgtable_config config;
		struct kvm_pgtable_ops ops;

		table_setup(&t, &formats[i]);
		ops = t.ops;
		config = t.pgt.config;
#define BAD(field, value)                                        \
	do {                                                     \
		struct kvm_pgtable_config bad = config;          \
		bad.field = (value);                             \
		assert_int_equal(op->init(&pgt, &bad), -EINVAL); \
	} while (0)
		BAD(ops, NULL);
		BAD(input_bits, 0);
		BAD(input_bits, 64);
		BAD(levels, 1);
		BAD(levels, 7);
		BAD(granule_lg2, 13);
		BAD(granule_lg2, 20);
		ops.alloc_table = NULL;
		BAD(ops, &ops);
		assert_null(pgt.root);
		table_teardown(&t);
	}
}

static void long_mode_marks_cannot_be_switched_off(void **state)
{
	struct kvm_pgtable_config config;
	struct kvm_pgtable pgt = {0};
	struct test_table t;

	(void)state;
	table_setup(&t, format_named("npt-4"));
	config = t.pgt.config;
	config.accessed_dirty = false;
	assert_int_equal(t.format->op.init(&pgt, &config), -EINVAL);
	table_teardown(&t);
}

/* ---- every size of leaf -------------------------------------------------------------- */

static void check_block_of_level(struct test_table *t, unsigned int level)
{
	const struct format *format = t->format;
	u64 bytes = format_level_bytes(format, level), last = 2 * bytes - format_page(format);
	struct kvm_pgtable_map map = map_of(bytes, bytes, 3 * bytes, RW);
	struct kvm_pgtable_leaf leaf;

	assert_int_equal(format->op.map(&t->pgt, &map), 0);
	assert_int_equal(map.installed, 1);
	assert_int_equal(map.level, level);
	assert_int_equal(format->op.get_leaf(&t->pgt, last, &leaf), 0);
	assert_int_equal(leaf.level, level);
	assert_int_equal(leaf.hpa, last + 2 * bytes);
	/* Its last page alone goes: the rest is told by smaller leaves, one level at a time. */
	assert_int_equal(format->op.unmap(&t->pgt, last, format_page(format), NONE, NULL, NULL), 0);
	for (unsigned int below = 1; below < level; below++) {
		u64 addr = 2 * bytes - 2 * format_level_bytes(format, below);

		assert_int_equal(format->op.get_leaf(&t->pgt, addr, &leaf), 0);
		assert_int_equal(leaf.level, below);
		assert_int_equal(leaf.hpa, addr + 2 * bytes);
	}
	assert_int_equal(format->op.check(&t->pgt), 0);
	assert_int_equal(format->op.unmap(&t->pgt, bytes, bytes, NONE, NULL, NULL), 0);
	table_settle(t);
	assert_int_equal(table_arena_bytes(&t->arena), t->pgt.root_bytes);
}

static void leaves_of_every_size(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		unsigned int level = 1;
		struct test_table t;

		table_setup(&t, &formats[i]);
		for (; level <= formats[i].leaf_level_max; level++)
			check_block_of_level(&t, level);
		table_teardown(&t);
	}
}

static void hgatp_says_depth_vmid_and_root(void **state)
{
	static const char *const names[] = {"riscv-sv39x4", "riscv-sv48x4", "riscv-sv57x4"};
	struct test_table t;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		u64 root;

		table_setup(&t, format_named(names[i]));
		root = (uintptr_t)t.pgt.root;
		assert_int_equal(root % 16384, 0);
		assert_int_equal(riscv_g_hgatp(&t.pgt, 0x2345),
				 (8ull + i) << 60 | 0x2345ull << 44 | root >> 12);
		table_teardown(&t);
	}
}

/* ---- flush owed ---------------------------------------------------------------------------- */

static void a_gibibyte_owes_one_range(void **state)
{
	struct kvm_pgtable_flush flush = {0};
	struct test_table t;

	(void)state;
	table_setup(&t, format_named("ept-4"));
	assert_int_equal(map_range(&t, GIB, GIB, 0, RW, 0, &flush), 0);
	assert_false(kvm_pgtable_flush_owed(&flush)); /* a fresh map owes none */
	/* 512 tables of pages, and one of each level above. */
	assert_int_equal(table_arena_bytes(&t.arena), 2060 << 10);

	assert_int_equal(t.format->op.wrprotect(&t.pgt, GIB, GIB, NONE, &flush), 0);
	assert_int_equal(flush.start, GIB);
	assert_int_equal(flush.end, 2 * GIB);
	assert_int_equal(flush.entries, 1 << 18);
	assert_false(flush.tables);

	flush = (struct kvm_pgtable_flush){0};
	assert_int_equal(t.format->op.wrprotect(&t.pgt, GIB, GIB, NONE, &flush), 0);
	assert_false(kvm_pgtable_flush_owed(&flush)); /* nothing was writable any more */

	assert_int_equal(t.format->op.unmap(&t.pgt, 0, 1ull << 47, NONE, NULL, &flush), 0);
	assert_int_equal(flush.start, GIB);
	assert_int_equal(flush.end, 2 * GIB);
	assert_int_equal(flush.entries, 1 << 18);
	assert_true(flush.tables);
	assert_int_equal(t.nr_retired, 514);
	table_settle(&t);
	assert_int_equal(t.arena.pages, 1);
	table_teardown(&t);
}

static void flushes_of_several_operations_gather(void **state)
{
	struct kvm_pgtable_flush flush = {.start = ~0ull}; /* as good a "none" as zeros */
	struct test_table t;

	(void)state;
	table_setup(&t, format_named("ept-4"));
	assert_int_equal(map_range(&t, 0, 1 << 20, 0, RW, 0, NULL), 0);
	assert_int_equal(t.format->op.unmap(&t.pgt, 0x5000, 0x1000, NONE, NULL, &flush), 0);
	assert_int_equal(t.format->op.unmap(&t.pgt, 0x2000, 0x1000, SHARED, NULL, &flush), 0);
	assert_int_equal(t.format->op.unmap(&t.pgt, 0x2000, 0x1000, NONE, NULL, &flush), 0);
	assert_int_equal(flush.start, 0x2000);
	assert_int_equal(flush.end, 0x6000);
	assert_int_equal(flush.entries, 2);
	assert_int_equal(map_range(&t, 0x8000, 0x1000, 1 << 20, RW, 0, &flush), 0);
	assert_int_equal(flush.end, 0x9000);
	table_teardown(&t);
}

/* A sparse space of 128 TiB: the time goes by what is mapped. */
static int count_visits(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	(void)visit;
	++*(u64 *)ctx->arg;
	return 0;
}

static void sparse_ranges_are_not_searched(void **state)
{
	u64 visits = 0;
	struct kvm_pgtable_walker walker = {
		.cb = count_visits, .arg = &visits, .flags = KVM_PGTABLE_WALK_LEAF};
	struct test_table t;

	(void)state;
	table_setup(&t, format_named("ept-4"));
	assert_int_equal(map_range(&t, 1ull << 40, 0x1000, 0, RW, 0, NULL), 0);
	assert_int_equal(t.format->op.walk(&t.pgt, 0, 1ull << 48, &walker), 0);
	assert_int_equal(visits, 3 * 511 + 512);
	assert_int_equal(t.format->op.unmap(&t.pgt, 0, 1ull << 48, NONE, NULL, NULL), 0);
	assert_int_equal(t.nr_retired, 3);
	table_teardown(&t);
}

/* ---- cache maintenance ------------------------------------------------------- */

static void normal_memory_is_cleaned_as_far_as_the_range_goes(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		u64 page = format_page(&formats[i]), block = format_level_bytes(&formats[i], 2);
		struct kvm_pgtable_map map = map_of(0, block, 0, RW);
		struct test_table t;

		table_setup(&t, &formats[i]);
		assert_int_equal(t.format->op.map(&t.pgt, &map), 0);
		assert_int_equal(map.level, 2);
		if (!(formats[i].lacks & KVM_PGTABLE_PROT_DEVICE))
			assert_int_equal(map_range(&t, block, page, 0, RW | KVM_PGTABLE_PROT_DEVICE,
						   0, NULL),
					 0);
		assert_int_equal(t.format->op.flush(&t.pgt, page, 2 * block - page), 0);
		assert_int_equal(t.cleaned_bytes, block - page);
		table_teardown(&t);
	}
}

/* ---- faults that meet -------------------------------------------------------- */

static enum kvm_pgtable_prot prot_at(struct test_table *t, u64 addr)
{
	struct kvm_pgtable_leaf leaf;

	assert_int_equal(t->format->op.get_leaf(&t->pgt, addr, &leaf), 0);
	assert_true(leaf.present);
	return leaf.prot;
}

static void a_fault_takes_no_permission_away(void **state)
{
	struct kvm_pgtable_flush flush = {0};
	struct test_table t;

	(void)state;
	table_setup(&t, format_named("ept-4-ad"));
	assert_int_equal(map_range(&t, 0, 0x1000, 0, RW | KVM_PGTABLE_PROT_DIRTY, FAULT, &flush),
			 0);
	assert_int_equal(
		map_range(&t, 0, 0x1000, 0, KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X, FAULT, &flush),
		0);
	assert_int_equal(prot_at(&t, 0), KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_DIRTY);
	assert_false(kvm_pgtable_flush_owed(&flush));
	/* Another page is another matter, and so is a map that is no fault. */
	assert_int_equal(map_range(&t, 0, 0x1000, 0x1000, KVM_PGTABLE_PROT_R, FAULT, &flush), 0);
	assert_int_equal(prot_at(&t, 0), KVM_PGTABLE_PROT_R);
	assert_int_equal(flush.entries, 1);
	table_teardown(&t);
}

static void a_block_that_serves_the_fault_stays_whole(void **state)
{
	struct kvm_pgtable_map block = map_of(0, 2 << 20, 0, RW);
	struct kvm_pgtable_map page =
		map_of(0x5000, 0x1000, 0x5000, KVM_PGTABLE_PROT_R, .max_level = 1, .flags = FAULT);
	struct test_table t;

	(void)state;
	table_setup(&t, format_named("ept-4"));
	assert_int_equal(t.format->op.map(&t.pgt, &block), 0);
	assert_int_equal(block.level, 2);
	assert_int_equal(t.format->op.map(&t.pgt, &page), 0);
	assert_int_equal(page.installed, 0);
	assert_int_equal(page.level, 2);
	table_teardown(&t);
}

static void the_block_gets_the_marks_of_the_fault(void **state)
{
	const unsigned int marks = KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY;

	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		u64 page = format_page(&formats[i]);
		struct kvm_pgtable_map block = map_of(0, format_level_bytes(&formats[i], 2), 0, RW);
		struct kvm_pgtable_map fault =
			map_of(page, page, page, RW | marks, .max_level = 1, .flags = FAULT);
		struct test_table t;

		table_setup(&t, &formats[i]);
		assert_int_equal(t.format->op.map(&t.pgt, &block), 0);
		assert_int_equal(t.format->op.map(&t.pgt, &fault), 0);
		assert_int_equal(fault.installed, 1);
		assert_int_equal(fault.level, 2);
		assert_int_equal(prot_at(&t, 0), RW | marks);
		assert_int_equal(t.format->op.map(&t.pgt, &fault), 0);
		assert_int_equal(fault.installed, 0);
		table_teardown(&t);
	}
}

/* ---- the MMU marks a leaf while an operation works on it ------------------------------- */

struct marking_mmu {
	struct test_table *t;
	struct kvm_pgtable_ops ops;
	kvm_pte_t *ptep;  /* the leaf it is about to mark */
	kvm_pte_t marks;  /* the bits that tell */
	kvm_pte_t values; /* what they are when it has marked */
	unsigned int marked;
};

static int find_leaf(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	struct marking_mmu *mmu = ctx->arg;

	(void)visit;
	mmu->ptep = ctx->ptep;
	return 0;
}

/* Tables are allocated between the library's look at an entry and its change. */
static void *alloc_while_the_mmu_marks(void *ctx)
{
	struct marking_mmu *mmu = ctx;

	if (mmu->ptep && (*mmu->ptep & mmu->marks) != mmu->values) {
		*mmu->ptep = (*mmu->ptep & ~mmu->marks) | mmu->values;
		mmu->marked++;
	}
	return mmu->t->ops.alloc_table(mmu->t);
}

static void retire_for_mmu(void *ctx, void *table)
{
	struct marking_mmu *mmu = ctx;

	mmu->t->ops.retire_table(mmu->t, table);
}

static void flush_for_mmu(void *ctx, const struct kvm_pgtable_flush *flush)
{
	struct marking_mmu *mmu = ctx;

	mmu->t->ops.flush(mmu->t, flush);
}

/* What the MMU of this format sets in a leaf: the difference between two leaves. */
static void watch_block(struct marking_mmu *mmu, struct test_table *t, u64 block)
{
	const unsigned int marks = KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY;
	struct kvm_pgtable_walker walker = {
		.cb = find_leaf, .arg = mmu, .flags = KVM_PGTABLE_WALK_LEAF};
	struct kvm_pgtable_map marked = map_of(0, block, 0, RW | marks);
	struct kvm_pgtable_map clean = map_of(0, block, 0, RW);
	bool young;

	*mmu = (struct marking_mmu){.t = t};
	assert_int_equal(t->format->op.map(&t->pgt, &marked), 0);
	assert_int_equal(t->format->op.walk(&t->pgt, 0, block, &walker), 0);
	mmu->values = *mmu->ptep;
	assert_int_equal(t->format->op.unmap(&t->pgt, 0, block, NONE, NULL, NULL), 0);
	assert_int_equal(t->format->op.map(&t->pgt, &clean), 0);
	assert_int_equal(t->format->op.walk(&t->pgt, 0, block, &walker), 0);
	mmu->marks = mmu->values ^ *mmu->ptep;
	mmu->values &= mmu->marks;
	assert_int_equal(t->format->op.test_young(&t->pgt, 0, block, &young), 0);
	assert_false(young);
}

static void a_mark_set_during_a_split_is_kept(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		u64 page = format_page(&formats[i]), block = format_level_bytes(&formats[i], 2);
		struct marking_mmu mmu;
		struct test_table t;

		if (!formats[i].config.accessed_dirty)
			continue;
		table_setup(&t, &formats[i]);
		watch_block(&mmu, &t, block);
		mmu.ops = t.ops;
		mmu.ops.alloc_table = alloc_while_the_mmu_marks;
		mmu.ops.retire_table = retire_for_mmu;
		mmu.ops.flush = flush_for_mmu;
		t.pgt.config.ops = &mmu.ops;
		t.pgt.config.ctx = &mmu;
		assert_int_equal(t.format->op.split(&t.pgt, 0, page, 1, NONE, NULL, NULL), 0);
		assert_int_equal(mmu.marked, 1);
		t.pgt.config.ops = &t.ops;
		t.pgt.config.ctx = &t;
		for (u64 addr = 0; addr < block; addr += page)
			assert_int_equal(prot_at(&t, addr),
					 RW | KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY);
		table_teardown(&t);
	}
}

static void presets_save_the_mmu_a_write(void **state)
{
	struct kvm_pgtable_leaf leaf;
	struct test_table t;

	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		u64 page = format_page(&formats[i]);

		table_setup(&t, &formats[i]);
		assert_int_equal(map_range(&t, 0, page, 0, RW, 0, NULL), 0);
		assert_int_equal(
			map_range(&t, page, page, 0, RW | KVM_PGTABLE_PROT_ACCESSED, 0, NULL), 0);
		assert_int_equal(map_range(&t, 2 * page, page, 0,
					   RW | KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY,
					   0, NULL),
				 0);
		for (u64 j = 0; j < 3; j++) {
			assert_int_equal(t.format->op.get_leaf(&t.pgt, j * page, &leaf), 0);
			assert_int_equal(leaf.accessed, j >= 1);
			assert_int_equal(leaf.dirty, j >= 2);
		}
		table_teardown(&t);
	}
}

/* ---- the check itself can fail ----------------------------------------------- */

static void the_structural_check_sees_damage(void **state)
{
	struct test_table t;
	struct pgt_table_meta *meta;
	unsigned int before = nr_warnings;

	(void)state;
	table_setup(&t, format_named("tiny"));
	assert_int_equal(map_range(&t, 0, 0x1000, 0, RW, 0, NULL), 0);
	meta = pgt_chunk_meta(t.pgt.root);
	meta->live++;
	assert_int_equal(t.format->op.check(&t.pgt), -EIO);
	meta->live--;
	/* The same subtree reachable twice. */
	t.pgt.root[1] = t.pgt.root[0];
	meta->live++;
	assert_int_equal(t.format->op.check(&t.pgt), -EIO);
	/* A leaf of one level at another. */
	t.pgt.root[1] = BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(5) | BIT_ULL(14);
	assert_int_equal(t.format->op.check(&t.pgt), -EIO);
	t.pgt.root[1] = 0;
	meta->live--;
	assert_int_equal(nr_warnings, before + 3);
	table_teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_ranges),
		cmocka_unit_test(bad_mappings),
		cmocka_unit_test(bits_that_a_leaf_cannot_hold),
		cmocka_unit_test(bad_arguments),
		cmocka_unit_test(bad_geometry),
		cmocka_unit_test(long_mode_marks_cannot_be_switched_off),
		cmocka_unit_test(leaves_of_every_size),
		cmocka_unit_test(hgatp_says_depth_vmid_and_root),
		cmocka_unit_test(a_gibibyte_owes_one_range),
		cmocka_unit_test(flushes_of_several_operations_gather),
		cmocka_unit_test(sparse_ranges_are_not_searched),
		cmocka_unit_test(normal_memory_is_cleaned_as_far_as_the_range_goes),
		cmocka_unit_test(a_fault_takes_no_permission_away),
		cmocka_unit_test(a_block_that_serves_the_fault_stays_whole),
		cmocka_unit_test(the_block_gets_the_marks_of_the_fault),
		cmocka_unit_test(a_mark_set_during_a_split_is_kept),
		cmocka_unit_test(presets_save_the_mmu_a_write),
		cmocka_unit_test(the_structural_check_sees_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
