/* SPDX-License-Identifier: BSD-2-Clause */
/* The array model, see model.h. */
#include "tests/pgtable/model.h"

#include <stdlib.h>
#include <string.h>

#define MARKS (KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY)

static void get(struct model *m, u64 page, struct kvm_pgtable_leaf *leaf)
{
	assert_int_equal(m->format->op.get_leaf(&m->t.pgt, model_addr(m, page), leaf), 0);
}

/* ---- verification ------------------------------------------------------------------- */

static void verify_page(struct model *m, u64 i)
{
	struct page *page = &m->page[i];
	struct kvm_pgtable_leaf leaf;

	get(m, i, &leaf);
	/* A note may be lost, and never be made up. */
	if (leaf.mmio && (leaf.present || leaf.mmio_generation != page->mmio))
		fail_msg("%s page %llu: said to be MMIO as of %u, model %u", m->format->name,
			 (unsigned long long)i, leaf.mmio_generation, page->mmio);
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

void model_verify(struct model *m, u64 first, u64 end)
{
	for (u64 i = first ? first - 1 : 0; i < end && i < m->nr; i++)
		verify_page(m, i);
	if (end < m->nr)
		verify_page(m, end);
}

#define LEVELS 8

void model_verify_count(struct model *m, u64 max)
{
	u64 addr = model_addr(m, 0), end = model_addr(m, m->nr);
	u64 counted[LEVELS] = {0}, seen[LEVELS] = {0};
	struct kvm_pgtable_leaf leaf;
	kvm_pte_t *last = NULL;

	for (u64 i = 0; i < m->nr; i++) {
		get(m, i, &leaf);
		if (leaf.present && leaf.ptep != last)
			seen[leaf.level]++;
		last = leaf.ptep;
	}
	while (addr < end) {
		u64 next = m->format->op.count_leaves(&m->t.pgt, addr, end - addr, max, counted);

		assert_true(next > addr);
		addr = next;
	}
	assert_int_equal(addr, end);
	assert_memory_equal(counted, seen, sizeof(seen));
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
			 u64 flushes_before, bool may_owe)
{
	bool needed = false, touched = m->t.nr_retired || m->t.nr_flushes != flushes_before;

	for (u64 i = first; i < end; i++) {
		u64 addr = model_addr(m, i);

		if (!page_needs_flush(&m->before[i], &m->page[i]))
			continue;
		needed = true;
		if (m->t.nr_flushes != flushes_before)
			continue; /* broken, flushed and made */
		if (addr < flush->start || addr >= flush->end)
			fail_msg("%s page %llu changed, but its flush is not owed", m->format->name,
				 (unsigned long long)i);
	}
	if (!needed && !touched && !may_owe)
		assert_false(kvm_pgtable_flush_owed(flush));
	if (m->t.nr_retired)
		assert_true(flush->tables || m->t.nr_flushes != flushes_before);
}

/* ---- the model of the operations ------------------------------------------------------ */

/* How big leaves are is the table's own business; what each says is not. */
static u64 leaf_bytes(struct model *m, u64 page)
{
	struct kvm_pgtable_leaf leaf;

	get(m, page, &leaf);
	m->page[page].level = leaf.level;
	return leaf.present ? format_level_bytes(m->format, leaf.level) : format_page(m->format);
}

/* What an operation may change, for verify_flush(). */
static void remember(struct model *m, struct range r)
{
	memcpy(&m->before[r.first], &m->page[r.first], (r.end - r.first) * sizeof(*m->page));
}

/* Attribute operations reach whole leaves: widen to their edges, and remember. */
static struct range widen(struct model *m, struct range r)
{
	u64 low = leaf_bytes(m, r.first), high = leaf_bytes(m, r.end - 1);

	r.first = (align_down(model_addr(m, r.first), low) - m->base) / format_page(m->format);
	r.end = (align_up(model_addr(m, r.end), high) - m->base) / format_page(m->format);
	remember(m, r);
	return r;
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

/* Marks stand in leaves: all pages of the leaf around @i get them. */
static void mark_leaf(const struct model *m, u64 i, u32 marks)
{
	u64 pages = format_level_bytes(m->format, m->page[i].level) / format_page(m->format);
	u64 first = i - (model_addr(m, i) / format_page(m->format)) % pages;

	for (u64 j = first; j < first + pages; j++)
		m->page[j].prot |= marks;
}

static void model_map_page(const struct model *m, const struct kvm_pgtable_map *map, u64 i)
{
	struct page *page = &m->page[i];
	struct page old = *page;
	u64 addr = model_addr(m, i);
	hpa_t hpa = map->hpa + (addr - map->addr);
	bool fault = map->flags & KVM_PGTABLE_WALK_HANDLE_FAULT;
	u32 kept = 0;

	if (old.present && old.hpa == hpa) {
		u32 asked = map->prot & KVM_PGTABLE_PROT_RWX;

		/* A bigger leaf that already serves the fault stays whole. */
		if (fault && old.level > best_level(m->format, map, addr) && !(asked & ~old.prot)) {
			mark_leaf(m, i, map->prot & MARKS);
			return;
		}
		if (old.level >= best_level(m->format, map, addr) ||
		    (map->flags & KVM_PGTABLE_WALK_SHARED))
			kept = MARKS | (fault ? KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_SW : 0);
	}
	*page = (struct page){.present = true, .hpa = hpa, .prot = map->prot | (old.prot & kept)};
}

void model_map(struct model *m, struct range r, u64 shift, enum kvm_pgtable_prot prot, u8 max_level,
	       enum kvm_pgtable_walk_flags flags)
{
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	struct kvm_pgtable_map map =
		map_of(model_addr(m, r.first), model_bytes(m, r),
		       MODEL_HPA + model_addr(m, r.first) - m->base + shift, prot,
		       .max_level = max_level, .flags = flags, .flush = &flush);

	remember(m, r);
	for (u64 i = r.first; i < r.end; i++)
		(void)leaf_bytes(m, i);
	assert_int_equal(m->format->op.map(&m->t.pgt, &map), 0);
	assert_int_equal(map.mapped, map.size);
	for (u64 i = r.first; i < r.end; i++)
		model_map_page(m, &map, i);
	model_verify(m, r.first, r.end);
	for (u64 i = r.first; i < r.end && !map.flags; i++) {
		if (m->page[i].level != best_level(m->format, &map, model_addr(m, i)))
			fail_msg("%s page %llu is level %u", m->format->name, (unsigned long long)i,
				 m->page[i].level);
	}
	verify_flush(m, &flush, r.first, r.end, flushes, m->format->keeps_refusals);
}

void model_unmap(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags)
{
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;

	remember(m, r);
	assert_int_equal(m->format->op.unmap(&m->t.pgt, model_addr(m, r.first), model_bytes(m, r),
					     flags, NULL, &flush),
			 0);
	for (u64 i = r.first; i < r.end; i++)
		m->page[i] = (struct page){0};
	model_verify(m, r.first, r.end);
	verify_flush(m, &flush, r.first, r.end, flushes, false);
}

void model_set_owner(struct model *m, struct range r, u32 owner, enum kvm_pgtable_walk_flags flags)
{
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;

	remember(m, r);
	assert_int_equal(m->format->op.set_owner(&m->t.pgt, model_addr(m, r.first),
						 model_bytes(m, r), owner, flags, NULL, &flush),
			 0);
	for (u64 i = r.first; i < r.end; i++)
		m->page[i] = (struct page){.owner = owner};
	model_verify(m, r.first, r.end);
	verify_flush(m, &flush, r.first, r.end, flushes, false);
}

/* The pages of the model inside the entry that @leaf was found in. */
static struct range entry_range(const struct model *m, u64 page,
				const struct kvm_pgtable_leaf *leaf)
{
	u64 bytes = format_level_bytes(m->format, leaf->level);
	u64 start = align_down(model_addr(m, page), bytes), end = start + bytes;

	return (struct range){
		.first = start > m->base ? (start - m->base) / format_page(m->format) : 0,
		.end = min_u64(m->nr, (end - m->base) / format_page(m->format)),
	};
}

/* Nothing but notes changes, all in the entry that get_leaf ends at. */
void model_set_mmio(struct model *m, u64 page, u32 generation, unsigned int max_level,
		    enum kvm_pgtable_walk_flags flags)
{
	bool taken = m->page[page].present || m->page[page].owner;
	struct kvm_pgtable_leaf leaf;
	struct range r;

	assert_int_equal(m->format->op.set_mmio(&m->t.pgt, model_addr(m, page), generation,
						max_level, flags, NULL),
			 taken ? -EEXIST : 0);
	get(m, page, &leaf);
	assert_int_equal(leaf.mmio, !taken);
	assert_true(taken || leaf.level <= max_level);
	r = entry_range(m, page, &leaf);
	for (u64 i = r.first; i < r.end && !taken; i++) {
		assert_true(!m->page[i].present && !m->page[i].owner);
		m->page[i].mmio = generation;
	}
	model_verify(m, page, page + 1);
}

void model_wrprotect(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags)
{
	struct range wide = widen(m, r);
	struct kvm_pgtable_flush flush = {0};

	assert_int_equal(m->format->op.wrprotect(&m->t.pgt, model_addr(m, r.first),
						 model_bytes(m, r), flags, &flush),
			 0);
	for (u64 i = wide.first; i < wide.end; i++)
		m->page[i].prot &= ~(u32)KVM_PGTABLE_PROT_W;
	model_verify(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, false);
}

void model_clean(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags)
{
	struct range wide = widen(m, r);
	struct kvm_pgtable_flush flush = {0};

	for (u64 i = wide.first; i < wide.end; i++)
		(void)leaf_bytes(m, i);
	assert_int_equal(m->format->op.mkclean(&m->t.pgt, model_addr(m, r.first), model_bytes(m, r),
					       flags, &flush),
			 0);
	for (u64 i = wide.first; i < wide.end; i++) {
		bool marks = m->format->config.accessed_dirty && m->page[i].level == 1;

		m->page[i].prot &=
			~(u32)(KVM_PGTABLE_PROT_DIRTY | (marks ? 0 : KVM_PGTABLE_PROT_W));
	}
	model_verify(m, wide.first, wide.end);
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

void model_age(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags)
{
	struct range wide = widen(m, r);
	struct kvm_pgtable_flush flush = {0};
	u64 addr = model_addr(m, r.first), size = model_bytes(m, r);
	bool young, tested;

	assert_int_equal(m->format->op.test_young(&m->t.pgt, addr, size, &tested), 0);
	assert_int_equal(m->format->op.mkold(&m->t.pgt, addr, size, flags, &young, &flush), 0);
	assert_int_equal(young, model_young(m, r));
	assert_int_equal(tested, young);
	for (u64 i = wide.first; i < wide.end; i++)
		m->page[i].prot &= ~(u32)KVM_PGTABLE_PROT_ACCESSED;
	model_verify(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, false);
}

void model_touch(struct model *m, u64 i, enum kvm_pgtable_walk_flags flags)
{
	struct range wide = widen(m, (struct range){i, i + 1});
	int err = m->format->op.mkyoung(&m->t.pgt, model_addr(m, i) + (format_page(m->format) - 1),
					flags);

	assert_int_equal(err, m->page[i].present ? 0 : -ENOENT);
	for (u64 j = wide.first; !err && j < wide.end; j++)
		m->page[j].prot |= KVM_PGTABLE_PROT_ACCESSED;
	model_verify(m, wide.first, wide.end);
}

void model_relax(struct model *m, u64 i, u32 prot, enum kvm_pgtable_walk_flags flags)
{
	struct range wide = widen(m, (struct range){i, i + 1});
	struct kvm_pgtable_flush flush = {0};
	int err = m->format->op.relax_perms(&m->t.pgt, model_addr(m, i),
					    (enum kvm_pgtable_prot)prot, flags, &flush);

	assert_int_equal(err, m->page[i].present ? 0 : -ENOENT);
	for (u64 j = wide.first; !err && j < wide.end; j++)
		m->page[j].prot |= prot;
	model_verify(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, m->format->keeps_refusals);
}

void model_relax_leaf(struct model *m, u64 i, u32 prot)
{
	struct range wide = widen(m, (struct range){i, i + 1});
	const u32 both = KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_W;
	struct kvm_pgtable_flush flush = {0};
	struct kvm_pgtable_leaf leaf;
	int err;

	get(m, i, &leaf);
	err = m->format->op.relax_leaf(&m->t.pgt, model_addr(m, i), &leaf,
				       (enum kvm_pgtable_prot)prot, &flush);
	assert_int_equal(err, m->page[i].present ? 0 : -EINVAL);
	for (u64 j = wide.first; !err && j < wide.end; j++)
		m->page[j].prot |= prot;
	model_verify(m, wide.first, wide.end);
	verify_flush(m, &flush, wide.first, wide.end, m->t.nr_flushes, m->format->keeps_refusals);
	if (err)
		return;
	/* What was shown is not what is there any more. */
	leaf.pte ^= leaf.pte & -leaf.pte;
	assert_int_equal(m->format->op.relax_leaf(&m->t.pgt, model_addr(m, i), &leaf,
						  (enum kvm_pgtable_prot)both, &flush),
			 -EAGAIN);
	model_verify(m, wide.first, wide.end);
}

void model_split(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags)
{
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;

	remember(m, r);
	assert_int_equal(m->format->op.split(&m->t.pgt, model_addr(m, r.first), model_bytes(m, r),
					     1, flags, NULL, &flush),
			 0);
	model_verify(m, r.first, r.end);
	for (u64 i = r.first; i < r.end; i++)
		assert_true(!m->page[i].present || m->page[i].level == 1);
	verify_flush(m, &flush, r.first, r.end, flushes, false);
}

/*
 * A block has one accessed and one dirty mark: those of its parts together, and
 * all that an MMU could be setting at the time.
 */
static void join_marks(struct model *m, u64 i, u64 pages)
{
	u32 marks = 0;

	if (m->format->config.accessed_dirty)
		marks = m->page[i].prot & KVM_PGTABLE_PROT_W ? MARKS : KVM_PGTABLE_PROT_ACCESSED;
	for (u64 j = i; j < i + pages; j++)
		marks |= m->page[j].prot & MARKS;
	for (u64 j = i; j < i + pages; j++)
		m->page[j].prot |= marks;
}

void model_collapse(struct model *m, u64 first, u64 blocks)
{
	u64 end = min_u64(first + blocks * m->block, m->nr);
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	u64 retired = m->t.nr_retired;

	for (u64 i = first; i < end; i++)
		(void)leaf_bytes(m, i);
	assert_int_equal(m->format->op.collapse(&m->t.pgt, model_addr(m, first),
						(end - first) * format_page(m->format), 2, &flush),
			 0);
	for (u64 i = first; i < end; i += m->block) {
		struct kvm_pgtable_leaf leaf;

		get(m, i, &leaf);
		if (leaf.present && leaf.level > 1 && m->page[i].level == 1)
			join_marks(m, i, m->block);
	}
	model_verify(m, first, end);
	if (m->t.nr_retired != retired)
		assert_true(flush.tables || m->t.nr_flushes != flushes);
}

void model_link(struct model *m, u64 first, hpa_t hpa, enum kvm_pgtable_prot prot,
		enum kvm_pgtable_walk_flags flags)
{
	struct kvm_pgtable_flush flush = {0};
	u64 flushes = m->t.nr_flushes;
	kvm_pte_t *table;
	int err;

	remember(m, (struct range){first, first + m->block});
	assert_int_equal(m->format->op.create_unlinked(&m->t.pgt, hpa, 2, prot, 1, NULL, &table),
			 0);
	err = m->format->op.link_unlinked(&m->t.pgt, model_addr(m, first), table, 2, flags, NULL,
					  &flush);
	if (err) {
		assert_int_equal(err, -EEXIST);
		m->format->op.free_unlinked(&m->t.pgt, table, 2);
		return;
	}
	for (u64 i = 0; i < m->block; i++)
		m->page[first + i] = (struct page){
			.present = true, .hpa = hpa + i * format_page(m->format), .prot = prot};
	model_verify(m, first, first + m->block);
	/* A leaf that was replaced owes, whatever the subtree says. */
	verify_flush(m, &flush, first, first + m->block, flushes, true);
}

/* ---- life ---------------------------------------------------------------------------------- */

void model_begin(struct model *m)
{
	m->t.nr_retired = 0;
}

void model_end(struct model *m)
{
	table_settle(&m->t);
}

void model_setup(struct model *m, const struct format *format)
{
	u64 all = 1ull << (format->config.input_bits - format->page_lg2);

	*m = (struct model){.format = format, .block = 1ull << format->table_bits};
	m->nr = min_u64(all, m->block * (format->table_bits > 9 ? 2 : 4));
	/* Across a boundary of the level above, where there is room for it. */
	if (all > 4 * m->block * m->block)
		m->base = (m->block * m->block - m->nr / 2) * format_page(format);
	else
		m->nr = min_u64(all, 4 * m->nr);
	m->page = calloc(m->nr, sizeof(*m->page));
	m->before = calloc(m->nr, sizeof(*m->page));
	table_setup(&m->t, format);
}

/* When everything is unmapped nothing but the root is left. */
void model_teardown(struct model *m)
{
	const struct format *format = m->format;

	assert_int_equal(format->op.check(&m->t.pgt), 0);
	assert_int_equal(
		format->op.unmap(&m->t.pgt, 0, 1ull << format->config.input_bits, 0, NULL, NULL),
		0);
	table_settle(&m->t);
	assert_int_equal(table_arena_bytes(&m->t.arena), m->t.pgt.root_bytes);
	table_teardown(&m->t);
	free(m->page);
	free(m->before);
}
