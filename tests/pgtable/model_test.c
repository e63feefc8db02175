/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on every format, held against a plain array of pages: what
 * each page leads to, with which permissions, marks and owner, and which flush
 * the change owed.  KVMU_TEST_SEED repeats a run.
 */
#include "tests/pgtable/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
	bool present;
	u8 level; /* as the table says; every leaf must still be consistent */
	u32 owner;
	u32 prot; /* with ACCESSED and DIRTY */
	hpa_t hpa;
};

struct model {
	struct test_table t;
	const struct format *format;
	u64 base;  /* address of page 0 */
	u64 nr;	   /* pages in the window */
	u64 block; /* pages in a level 2 block */
	struct page *page;
	struct page *before; /* as it was when the operation began */
	u64 seed;
	struct kvm_pgtable_cache cache;
};

#define MARKS (KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY)

static u64 addr_of(const struct model *m, u64 page)
{
	return m->base + page * format_page(m->format);
}

static u64 rnd(struct model *m, u64 bound)
{
	return test_below(&m->seed, bound);
}

static void get(struct model *m, u64 page, struct kvm_pgtable_leaf *leaf)
{
	assert_int_equal(m->format->op.get_leaf(&m->t.pgt, addr_of(m, page), leaf), 0);
}

/* ---- verification ------------------------------------------------------------------- */

static void verify_page(struct model *m, u64 i)
{
	struct page *page = &m->page[i];
	struct kvm_pgtable_leaf leaf;

	get(m, i, &leaf);
	if (likely(leaf.present == page->present && leaf.owner == page->owner &&
		   (!leaf.present || (leaf.hpa == page->hpa && leaf.prot == page->prot &&
				      leaf.accessed == !!(page->prot & KVM_PGTABLE_PROT_ACCESSED) &&
				      leaf.dirty == !!(page->prot & KVM_PGTABLE_PROT_DIRTY))))) {
		page->level = leaf.level;
		return;
	}
	fail_msg("%s page %llu: table says present %d hpa %llx prot %x owner %u level %u, model %d "
		 "%llx %x %u",
		 m->format->name, (unsigned long long)i, leaf.present, (unsigned long long)leaf.hpa,
		 leaf.prot, leaf.owner, leaf.level, page->present, (unsigned long long)page->hpa,
		 page->prot, page->owner);
}

static void verify_range(struct model *m, u64 first, u64 end)
{
	for (u64 i = first ? first - 1 : 0; i < end && i < m->nr; i++)
		verify_page(m, i);
	if (end < m->nr)
		verify_page(m, end);
}

/* Could a cached translation of @old do what @new forbids? */
static bool page_needs_flush(const struct page *old, const struct page *new)
{
	u32 lost = old->prot & ~new->prot &(KVM_PGTABLE_PROT_RWX | MARKS);

	if (!old->present)
		return false;
	return !new->present || old->hpa != new->hpa || lost ||
	       ((old->prot ^ new->prot) & KVM_PGTABLE_PROT_DEVICE);
}

/* Every page that needs it is inside what is owed; nothing is owed for nothing. */
static void verify_flush(struct model *m, const struct kvm_pgtable_flush *flush, u64 first, u64 end,
			 u64 flushes_before, bool grants)
{
	bool needed = false, touched = m->t.nr_retired || m->t.nr_flushes != flushes_before;

	for (u64 i = first; i < end; i++) {
		u64 addr = addr_of(m, i);

		if (!page_needs_flush(&m->before[i], &m->page[i]))
			continue;
		needed = true;
		if (m->t.nr_flushes != flushes_before)
			continue; /* broken, flushed and made */
		if (addr < flush->start || addr >= flush->end)
			fail_msg("%s page %llu changed, but its flush is not owed", m->format->name,
				 (unsigned long long)i);
	}
	if (!needed && !touched && !(grants && m->format->keeps_refusals))
		assert_false(kvm_pgtable_flush_owed(flush));
	if (m->t.nr_retired)
		assert_true(flush->tables || m->t.nr_flushes != flushes_before);
}

/* ---- the model of the operations ------------------------------------------------------ */

struct range {
	u64 first;
	u64 end;
};

/* How big leaves are is the table's own business; what each says is not. */
static u64 leaf_bytes(struct model *m, u64 page)
{
	struct kvm_pgtable_leaf leaf;

	get(m, page, &leaf);
	m->page[page].level = leaf.level;
	return leaf.present ? format_level_bytes(m->format, leaf.level) : format_page(m->format);
}

/* Attribute operations reach whole leaves: widen to their edges. */
static struct range widen(struct model *m, struct range r)
{
	u64 low = leaf_bytes(m, r.first), high = leaf_bytes(m, r.end - 1);

	r.first = (align_down(addr_of(m, r.first), low) - m->base) / format_page(m->format);
	r.end = (align_up(addr_of(m, r.end), high) - m->base) / format_page(m->format);
	return r;
}

static struct range random_range(struct model *m)
{
	u64 dice = rnd(m, 1000), size, first;

	if (dice < 700)
		size = 1 + rnd(m, 4);
	else if (dice < 1000 - 25600 / m->block)
		size = 1 + rnd(m, min_u64(64, m->nr));
	else
		size = m->block * (1 + rnd(m, 2));
	size = min_u64(size, m->nr);
	first = rnd(m, m->nr - size + 1);
	if (size >= m->block && rnd(m, 4))
		first = align_down(first, m->block);
	return (struct range){first, first + size};
}

static enum kvm_pgtable_prot random_prot(struct model *m)
{
	static const u8 rwx[] = {1, 3, 5, 7};
	u32 prot = rwx[rnd(m, 4)];

	if (!rnd(m, 8))
		prot |= KVM_PGTABLE_PROT_DEVICE;
	if (!rnd(m, 4))
		prot |= KVM_PGTABLE_PROT_SW0 << rnd(m, 4);
	if (rnd(m, 2))
		prot |= KVM_PGTABLE_PROT_ACCESSED;
	if ((prot & KVM_PGTABLE_PROT_W) && rnd(m, 2))
		prot |= KVM_PGTABLE_PROT_DIRTY | KVM_PGTABLE_PROT_ACCESSED;
	return (enum kvm_pgtable_prot)prot;
}

static enum kvm_pgtable_walk_flags random_flags(struct model *m, unsigned int kinds)
{
	static const u8 flags[] = {0, KVM_PGTABLE_WALK_SHARED,
				   KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT};

	return (enum kvm_pgtable_walk_flags)flags[rnd(m, kinds)];
}

/* Brute force: the largest leaf that map may make around @addr. */
static unsigned int best_level(const struct format *format, const struct kvm_pgtable_map *map,
			       u64 addr)
{
	unsigned int max = map->max_level && map->max_level < format->leaf_level_max
				   ? map->max_level
				   : format->leaf_level_max;

	for (unsigned int level = max; level > 1; level--) {
		u64 bytes = format_level_bytes(format, level);
		u64 start = align_down(addr, bytes);

		if (start >= map->addr && start + bytes <= map->addr + map->size &&
		    is_aligned(map->hpa + (start - map->addr), bytes))
			return level;
	}
	return 1;
}

static void model_map_page(const struct model *m, const struct kvm_pgtable_map *map, u64 i)
{
	struct page *page = &m->page[i];
	struct page old = *page;
	u64 addr = addr_of(m, i);
	hpa_t hpa = map->hpa + (addr - map->addr);
	bool fault = map->flags & KVM_PGTABLE_WALK_HANDLE_FAULT;
	u32 kept = 0;

	if (old.present && old.hpa == hpa) {
		u32 asked = map->prot & KVM_PGTABLE_PROT_RWX;

		/* A bigger leaf that already serves the fault stays as it is. */
		if (fault && old.level > best_level(m->format, map, addr) && !(asked & ~old.prot))
			return;
		if (old.level >= best_level(m->format, map, addr) ||
		    (map->flags & KVM_PGTABLE_WALK_SHARED))
			kept = MARKS | (fault ? KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_SW : 0);
	}
	*page = (struct page){.present = true, .hpa = hpa, .prot = map->prot | (old.prot & kept)};
}

static void do_map(struct model *m)
{
	struct range r = random_range(m);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	/* Often where the page already is, so that leaves are met again and blocks fit. */
	u64 shift =
		rnd(m, 3) ? 0
			  : (1 + rnd(m, 64)) * format_page(m->format) * (rnd(m, 2) ? m->block : 1);
	struct kvm_pgtable_map map =
		map_of(addr_of(m, r.first), (r.end - r.first) * format_page(m->format),
		       (1ull << 32) + addr_of(m, r.first) - m->base + shift, random_prot(m),
		       .max_level = (u8)rnd(m, 3), .flags = random_flags(m, 3), .flush = &flush);

	for (u64 i = r.first; i < r.end; i++)
		(void)leaf_bytes(m, i);
	assert_int_equal(m->format->op.map(&m->t.pgt, &map), 0);
	assert_int_equal(map.mapped, map.size);
	for (u64 i = r.first; i < r.end; i++)
		model_map_page(m, &map, i);
	verify_range(m, r.first, r.end);
	for (u64 i = r.first; i < r.end && !map.flags; i++) {
		if (m->page[i].level != best_level(m->format, &map, addr_of(m, i)))
			fail_msg("%s page %llu is level %u", m->format->name, (unsigned long long)i,
				 m->page[i].level);
	}
	verify_flush(m, &flush, r.first, r.end, flushes, true);
}

static void do_unmap(struct model *m)
{
	struct range r = random_range(m);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;

	assert_int_equal(m->format->op.unmap(&m->t.pgt, addr_of(m, r.first),
					     (r.end - r.first) * format_page(m->format),
					     random_flags(m, 2), NULL, &flush),
			 0);
	for (u64 i = r.first; i < r.end; i++)
		m->page[i] = (struct page){0};
	verify_range(m, r.first, r.end);
	verify_flush(m, &flush, r.first, r.end, flushes, false);
}

static void do_set_owner(struct model *m)
{
	struct range r = random_range(m);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	u32 owner = (u32)rnd(m, 2) ? 1 + (u32)rnd(m, 3) : 0xffffffffu;

	assert_int_equal(m->format->op.set_owner(&m->t.pgt, addr_of(m, r.first),
						 (r.end - r.first) * format_page(m->format), owner,
						 random_flags(m, 2), NULL, &flush),
			 0);
	for (u64 i = r.first; i < r.end; i++)
		m->page[i] = (struct page){.owner = owner};
	verify_range(m, r.first, r.end);
	verify_flush(m, &flush, r.first, r.end, flushes, false);
}

static void do_wrprotect(struct model *m)
{
	struct range r = random_range(m), wide = widen(m, r);
	struct kvm_pgtable_flush flush = {0};

	assert_int_equal(m->format->op.wrprotect(&m->t.pgt, addr_of(m, r.first),
						 (r.end - r.first) * format_page(m->format),
						 random_flags(m, 2), &flush),
			 0);
	for (u64 i = wide.first; i < wide.end; i++)
		m->page[i].prot &= ~(u32)KVM_PGTABLE_PROT_W;
	verify_range(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, false);
}

static bool model_young(const struct model *m, struct range r)
{
	for (u64 i = r.first; i < r.end; i++) {
		if (m->page[i].present && (m->page[i].prot & KVM_PGTABLE_PROT_ACCESSED))
			return true;
	}
	return false;
}

static void do_age(struct model *m)
{
	struct range r = random_range(m), wide = widen(m, r);
	struct kvm_pgtable_flush flush = {0};
	u64 addr = addr_of(m, r.first), size = (r.end - r.first) * format_page(m->format);
	bool young, tested;

	assert_int_equal(m->format->op.test_young(&m->t.pgt, addr, size, &tested), 0);
	assert_int_equal(
		m->format->op.mkold(&m->t.pgt, addr, size, random_flags(m, 2), &young, &flush), 0);
	assert_int_equal(young, model_young(m, r));
	assert_int_equal(tested, young);
	for (u64 i = wide.first; i < wide.end; i++)
		m->page[i].prot &= ~(u32)KVM_PGTABLE_PROT_ACCESSED;
	verify_range(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, false);
}

static void do_touch(struct model *m)
{
	u64 i = rnd(m, m->nr);
	struct range wide = widen(m, (struct range){i, i + 1});
	int err = m->format->op.mkyoung(&m->t.pgt, addr_of(m, i) + rnd(m, format_page(m->format)),
					random_flags(m, 3));

	assert_int_equal(err, m->page[i].present ? 0 : -ENOENT);
	for (u64 j = wide.first; !err && j < wide.end; j++)
		m->page[j].prot |= KVM_PGTABLE_PROT_ACCESSED;
	verify_range(m, wide.first, wide.end);
}

static void do_relax(struct model *m)
{
	u64 i = rnd(m, m->nr);
	struct range wide = widen(m, (struct range){i, i + 1});
	struct kvm_pgtable_flush flush = {0};
	u32 prot = random_prot(m) & KVM_PGTABLE_PROT_RWX;
	int err = m->format->op.relax_perms(&m->t.pgt, addr_of(m, i), (enum kvm_pgtable_prot)prot,
					    random_flags(m, 3), &flush);

	assert_int_equal(err, m->page[i].present ? 0 : -ENOENT);
	for (u64 j = wide.first; !err && j < wide.end; j++)
		m->page[j].prot |= prot;
	verify_range(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, true);
}

static void do_split(struct model *m)
{
	struct range r = random_range(m);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;

	assert_int_equal(m->format->op.split(&m->t.pgt, addr_of(m, r.first),
					     (r.end - r.first) * format_page(m->format), 1,
					     random_flags(m, 2), NULL, &flush),
			 0);
	verify_range(m, r.first, r.end);
	for (u64 i = r.first; i < r.end; i++)
		assert_true(!m->page[i].present || m->page[i].level == 1);
	verify_flush(m, &flush, r.first, r.end, flushes, false);
}

/* A block has one accessed and one dirty mark: those of its parts together. */
static void join_marks(struct model *m, u64 i, u64 pages)
{
	u32 marks = 0;

	for (u64 j = i; j < i + pages; j++)
		marks |= m->page[j].prot & MARKS;
	for (u64 j = i; j < i + pages; j++)
		m->page[j].prot |= marks;
}

static void do_collapse(struct model *m)
{
	u64 first = align_down(rnd(m, m->nr), m->block), end = min_u64(first + 2 * m->block, m->nr);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	u64 retired = m->t.nr_retired;

	assert_int_equal(m->format->op.collapse(&m->t.pgt, addr_of(m, first),
						(end - first) * format_page(m->format), 2, &flush),
			 0);
	for (u64 i = first; i < end; i += m->block) {
		struct kvm_pgtable_leaf leaf;

		get(m, i, &leaf);
		if (leaf.present && leaf.level > 1)
			join_marks(m, i, m->block);
	}
	verify_range(m, first, end);
	if (m->t.nr_retired != retired)
		assert_true(flush.tables || m->t.nr_flushes != flushes);
}

static void do_link(struct model *m)
{
	u64 first = align_down(rnd(m, m->nr), m->block);
	hpa_t hpa = (1ull << 33) + rnd(m, 64) * m->block * format_page(m->format);
	enum kvm_pgtable_prot prot = random_prot(m);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	kvm_pte_t *table;
	int err;

	assert_int_equal(m->format->op.create_unlinked(&m->t.pgt, hpa, 2, prot, 1, NULL, &table),
			 0);
	err = m->format->op.link_unlinked(&m->t.pgt, addr_of(m, first), table, 2,
					  random_flags(m, 3), NULL, &flush);
	if (err) {
		assert_int_equal(err, -EEXIST);
		m->format->op.free_unlinked(&m->t.pgt, table, 2);
		return;
	}
	for (u64 i = 0; i < m->block; i++)
		m->page[first + i] = (struct page){
			.present = true, .hpa = hpa + i * format_page(m->format), .prot = prot};
	verify_range(m, first, first + m->block);
	verify_flush(m, &flush, first, first + m->block, flushes, false);
}

/* ---- the run ---------------------------------------------------------------------------- */

static void one_operation(struct model *m)
{
	static void (*const common[])(struct model *) = {do_map,   do_map,	 do_map, do_unmap,
							 do_unmap, do_wrprotect, do_age, do_touch,
							 do_relax, do_set_owner, do_map};
	u64 dice = rnd(m, 1000);

	m->t.nr_retired = 0;
	memcpy(m->before, m->page, m->nr * sizeof(*m->page));
	if (dice < 10)
		do_collapse(m);
	else if (dice < 20)
		do_link(m);
	else if (dice < 100)
		do_split(m);
	else
		common[rnd(m, ARRAY_SIZE(common))](m);
	table_settle(&m->t);
}

static void run_model(const struct format *format, u64 seed, u64 operations)
{
	struct model m = {.format = format, .seed = seed, .block = 1ull << format->table_bits};
	u64 all = 1ull << (format->config.input_bits - format->page_lg2);

	m.nr = min_u64(all, m.block * (format->table_bits > 9 ? 2 : 4));
	/* Across a boundary of the level above, where there is room for it. */
	if (all > 4 * m.block * m.block)
		m.base = m.block * m.block * format_page(format) - m.nr / 2 * format_page(format);
	m.page = calloc(m.nr, sizeof(*m.page));
	m.before = calloc(m.nr, sizeof(*m.page));
	table_setup(&m.t, format);
	for (u64 i = 0; i < operations; i++) {
		one_operation(&m);
		if (!(i % 512)) {
			verify_range(&m, 0, m.nr);
			assert_int_equal(format->op.check(&m.t.pgt), 0);
		}
	}
	assert_int_equal(format->op.check(&m.t.pgt), 0);
	assert_int_equal(
		format->op.unmap(&m.t.pgt, 0, 1ull << format->config.input_bits, 0, NULL, NULL), 0);
	table_settle(&m.t);
	assert_int_equal(m.t.arena.pages << m.t.arena.page_lg2, m.t.pgt.root_bytes);
	table_teardown(&m.t);
	free(m.page);
	free(m.before);
}

/* One format by name, or all. */
static const char *only;
static u64 seed;

static void random_operations_match_the_array(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		if (!only || !strcmp(only, formats[i].name))
			run_model(&formats[i], seed + i, test_scaled(1000000));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_match_the_array)};

	only = argc > 1 ? argv[1] : NULL;
	seed = test_seed("model");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
