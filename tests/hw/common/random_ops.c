/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations at random.  The model is a set of pages ("points") in a few
 * clusters; an operation on a range changes what is known of each point in it.
 * Before and after, points are looked at through the MMU, so that it has cached
 * what the operation makes wrong.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "tests/hw/common/driver.h"

/* What an operation works on: a range around @point. */
struct span {
	u64 start;
	u64 size;
	const struct hw_cluster *cluster;
	struct hw_point *point;
	enum kvm_pgtable_walk_flags flags; /* exclusive or shared */
};

/* A call may not make more leaves than this: the tables must fit. */
#define LEAVES_MAX 3000
#define STEPS	   500

/* ---- where ------------------------------------------------------------------------ */

/*
 * The points lie so that a mapping of the whole cluster, a block as big as the
 * format has, leads them into test memory.
 */
static void place_points(struct hw_test *t, unsigned int index)
{
	const struct hw_machine *m = t->machine;
	const struct hw_cluster *c = &t->clusters[index];
	const u64 page = format_page(t->format), room = min_u64(c->bytes, m->backing_size);
	const u64 from = c->bytes > m->backing_size ? m->backing : 0;

	for (unsigned int i = 0; i < HW_POINTS_PER_CLUSTER; i++) {
		/* Half of them close together, so that small ranges meet several. */
		u64 pages = i % 2 ? room / page : 40;

		t->points[index * HW_POINTS_PER_CLUSTER + i] =
			(struct hw_point){.gpa = c->base + from + page * hw_below(t, pages)};
	}
}

static void place_cluster(struct hw_test *t, unsigned int index)
{
	struct hw_cluster *c = &t->clusters[index];
	const u64 input = 1ull << t->format->config.input_bits;
	unsigned int level = 2 + (unsigned int)hw_below(t, t->format->leaf_level_max - 1);

	while (level > 2 && format_level_bytes(t->format, level) > input / 4)
		level--;
	c->bytes = format_level_bytes(t->format, level);
	c->natural = c->bytes > t->machine->backing_size ? 0 : t->machine->backing;
	do {
		c->base = c->bytes * hw_below(t, input / c->bytes);
	} while (hw_overlaps_reserved(t, c->base, c->bytes));
	place_points(t, index);
}

static unsigned int random_level(struct hw_test *t, u64 bytes_max)
{
	unsigned int level = 1 + (unsigned int)hw_below(t, t->format->leaf_level_max);

	while (level > 1 && format_level_bytes(t->format, level) > bytes_max)
		level--;
	return level;
}

static u64 cluster_end(const struct span *s)
{
	return s->cluster->base + s->cluster->bytes;
}

static void pick_span(struct hw_test *t, struct span *s)
{
	const unsigned int index = (unsigned int)hw_below(t, HW_POINTS);
	const u64 page = format_page(t->format);
	struct hw_point *p = &t->points[index];
	u64 block;

	s->point = p;
	s->cluster = &t->clusters[index / HW_POINTS_PER_CLUSTER];
	s->flags = hw_below(t, 2) ? KVM_PGTABLE_WALK_SHARED : (enum kvm_pgtable_walk_flags)0;
	if (hw_below(t, 2)) {
		block = format_level_bytes(t->format, random_level(t, s->cluster->bytes));
		s->start = align_down(p->gpa, block);
		s->size = block;
		return;
	}
	s->start = p->gpa;
	s->size = page * (1 + hw_below(t, hw_below(t, 4) ? 40 : LEAVES_MAX / 2));
	s->size = min_u64(s->size, cluster_end(s) - s->start);
}

static bool inside(const struct span *s, const struct hw_point *p)
{
	return p->gpa - s->start < s->size;
}

/* Attributes are the leaf's: a range that cuts one changes all of it. */
static void widen_to_leaf(struct hw_test *t, struct span *s, u64 gpa)
{
	struct kvm_pgtable_leaf leaf = {0};
	u64 end = s->start + s->size, bytes;

	if (t->format->op.get_leaf(&t->pgt, gpa, &leaf) || !leaf.present)
		return;
	bytes = format_level_bytes(t->format, leaf.level);
	s->start = min_u64(s->start, align_down(gpa, bytes));
	end = max_u64(end, align_down(gpa, bytes) + bytes);
	s->size = end - s->start;
}

static struct span widened(struct hw_test *t, const struct span *s)
{
	struct span wide = *s;

	widen_to_leaf(t, &wide, s->start);
	widen_to_leaf(t, &wide, s->start + s->size - 1);
	return wide;
}

/* ---- the operations ------------------------------------------------------------------ */

static void set_points(struct hw_test *t, const struct span *s, const struct hw_point *like)
{
	for (unsigned int i = 0; i < HW_POINTS; i++) {
		struct hw_point *p = &t->points[i];

		if (!inside(s, p))
			continue;
		p->mapped = like->mapped;
		p->hpa = like->mapped ? like->hpa + (p->gpa - s->start) : 0;
		p->prot = like->prot;
		p->owner = like->owner;
	}
}

static u32 random_prot(struct hw_test *t)
{
	u32 prot = t->machine->prots[hw_below(t, t->machine->nr_prots)];

	if (!(t->format->lacks & KVM_PGTABLE_PROT_DEVICE) && !hw_below(t, 4))
		prot |= KVM_PGTABLE_PROT_DEVICE;
	return prot;
}

/* Where a mapping of the span leads: into test memory, aligned with it to some leaf size. */
static u64 random_hpa(struct hw_test *t, const struct span *s)
{
	const struct hw_machine *m = t->machine;
	u64 align, slack;

	if (s->size > m->backing_size / 4)
		return s->cluster->natural + (s->start - s->cluster->base);
	align = format_level_bytes(t->format, random_level(t, m->backing_size / 4));
	slack = m->backing_size - s->size - align;
	return m->backing + align_down(hw_below(t, slack), align) + (s->start & (align - 1));
}

/* At most this many leaves come out, not counting the tables at the edges. */
static u64 leaves_of(const struct hw_test *t, const struct span *s, u64 hpa, unsigned int max_level)
{
	unsigned int level = max_level;

	while (level > 1 && ((s->start ^ hpa) & (format_level_bytes(t->format, level) - 1)))
		level--;
	return s->size / format_level_bytes(t->format, level);
}

static int do_map(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const unsigned int level = random_level(t, ~0ull);
	const u64 hpa = random_hpa(t, s);
	const u32 prot = random_prot(t);
	const u32 marks = hw_below(t, 2) ? KVM_PGTABLE_PROT_ACCESSED : 0;
	struct kvm_pgtable_map map = {
		.addr = s->start,
		.size = s->size,
		.hpa = hpa,
		.prot = (enum kvm_pgtable_prot)(prot | marks | t->machine->preset),
		.max_level = (u8)level,
		.flags = s->flags,
		.flush = flush,
	};
	int err;

	if (leaves_of(t, s, hpa, level) > LEAVES_MAX)
		return 0;
	err = t->format->op.map(&t->pgt, &map);
	t->n.maps++;
	t->n.leaves += map.installed;
	set_points(t, s, &(struct hw_point){.mapped = true, .hpa = hpa, .prot = prot});
	return err;
}

static int do_unmap(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	set_points(t, s, &(struct hw_point){0});
	return t->format->op.unmap(&t->pgt, s->start, s->size, s->flags, NULL, flush);
}

static int do_set_owner(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const u32 owner = 1 + (u32)hw_below(t, 1000);

	set_points(t, s, &(struct hw_point){.owner = owner});
	return t->format->op.set_owner(&t->pgt, s->start, s->size, owner, s->flags, NULL, flush);
}

static int do_wrprotect(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const struct span wide = widened(t, s);

	for (unsigned int i = 0; i < HW_POINTS; i++) {
		if (inside(&wide, &t->points[i]))
			t->points[i].prot &= ~(u32)KVM_PGTABLE_PROT_W;
	}
	return t->format->op.wrprotect(&t->pgt, s->start, s->size, s->flags, flush);
}

/* A page of a format whose MMU marks writes stays writable; all else must fault again. */
static int do_mkclean(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const struct span wide = widened(t, s);
	struct kvm_pgtable_leaf leaf = {0};

	for (unsigned int i = 0; i < HW_POINTS; i++) {
		struct hw_point *p = &t->points[i];

		if (!inside(&wide, p) || t->format->op.get_leaf(&t->pgt, p->gpa, &leaf))
			continue;
		if (leaf.level > 1 || !t->format->config.accessed_dirty)
			p->prot &= ~(u32)KVM_PGTABLE_PROT_W;
	}
	return t->format->op.mkclean(&t->pgt, s->start, s->size, s->flags, flush);
}

static bool can_say(const struct hw_test *t, u32 prot)
{
	for (unsigned int i = 0; i < t->machine->nr_prots; i++) {
		if (t->machine->prots[i] == (prot & KVM_PGTABLE_PROT_RWX))
			return true;
	}
	return false;
}

static int do_relax(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const u32 grant = t->machine->prots[hw_below(t, t->machine->nr_prots)];
	struct span leaf = {.start = s->point->gpa, .size = 1};
	int err;

	err = t->format->op.relax_perms(&t->pgt, s->point->gpa, (enum kvm_pgtable_prot)grant,
					s->flags, flush);
	if (!s->point->mapped)
		return err == -ENOENT ? 0 : -EIO;
	if (!can_say(t, s->point->prot | grant))
		return err == -EINVAL ? 0 : -EIO;
	leaf = widened(t, &leaf);
	for (unsigned int i = 0; i < HW_POINTS; i++) {
		if (inside(&leaf, &t->points[i]))
			t->points[i].prot |= grant;
	}
	return err;
}

/* Old is what mkold leaves behind; whoever was young is told. */
static int do_mkold(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	struct kvm_pgtable_leaf leaf = {0};
	bool young, tested;
	int err;

	if (t->machine->preset & KVM_PGTABLE_PROT_ACCESSED)
		return 0; /* nobody would set the mark again */
	err = t->format->op.get_leaf(&t->pgt, s->point->gpa, &leaf);
	if (!err)
		err = t->format->op.test_young(&t->pgt, s->start, s->size, &tested);
	if (!err)
		err = t->format->op.mkold(&t->pgt, s->start, s->size, s->flags, &young, flush);
	if (err)
		return err;
	if (young != tested || (leaf.accessed && !young))
		hw_fail(t, s->point, "young %d, tested %d, accessed %d", young, tested,
			leaf.accessed);
	err = t->format->op.test_young(&t->pgt, s->start, s->size, &young);
	if (young)
		hw_fail(t, s->point, "young after mkold");
	return err;
}

static int do_split(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const unsigned int level = random_level(t, s->size);
	struct kvm_pgtable_leaf leaf = {0};
	int err;

	if (s->size / format_level_bytes(t->format, level) > LEAVES_MAX)
		return 0;
	err = t->format->op.split(&t->pgt, s->start, s->size, level, s->flags, NULL, flush);
	if (err)
		return err;
	err = t->format->op.get_leaf(&t->pgt, s->point->gpa, &leaf);
	if (leaf.present && leaf.level > level)
		hw_fail(t, s->point, "a leaf of level %u after a split to %u", leaf.level, level);
	return err;
}

static int do_collapse(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	return t->format->op.collapse(&t->pgt, s->start, s->size, random_level(t, ~0ull), flush);
}

/* One full table of leaves, built aside and put in place as a whole. */
static int do_link(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush)
{
	const unsigned int level = 2 + (unsigned int)hw_below(t, t->format->leaf_level_max - 1);
	const u32 prot = random_prot(t);
	struct span block = *s;
	kvm_pte_t *table;
	u64 hpa;
	int err;

	block.size = format_level_bytes(t->format, level);
	block.start = align_down(s->point->gpa, block.size);
	if (block.size > s->cluster->bytes || level > t->pgt.levels)
		return 0;
	hpa = align_down(random_hpa(t, &block), format_level_bytes(t->format, level - 1));
	err = t->format->op.create_unlinked(&t->pgt, hpa, level,
					    (enum kvm_pgtable_prot)(prot | t->machine->preset),
					    level - 1, NULL, &table);
	if (err)
		return err;
	err = t->format->op.link_unlinked(&t->pgt, block.start, table, level, s->flags, NULL,
					  flush);
	if (!err)
		set_points(t, &block, &(struct hw_point){.mapped = true, .hpa = hpa, .prot = prot});
	else
		t->format->op.free_unlinked(&t->pgt, table, level);
	return err == -EEXIST ? 0 : err;
}

static const struct {
	const char *name;
	int (*run)(struct hw_test *t, const struct span *s, struct kvm_pgtable_flush *flush);
	unsigned int weight;
} operations[] = {
	{"map", do_map, 7},
	{"unmap", do_unmap, 3},
	{"set_owner", do_set_owner, 1},
	{"wrprotect", do_wrprotect, 3},
	{"mkclean", do_mkclean, 2},
	{"relax", do_relax, 3},
	{"mkold", do_mkold, 2},
	{"split", do_split, 1},
	{"collapse", do_collapse, 1},
	{"link", do_link, 1},
};

static unsigned int random_operation(struct hw_test *t)
{
	unsigned int total = 0, i;
	u64 at;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		total += operations[i].weight;
	at = hw_below(t, total);
	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	return i;
}

/* ---- the test ---------------------------------------------------------------------------- */

static enum hw_op random_op(struct hw_test *t)
{
	return (enum hw_op)hw_below(t, HW_OPS);
}

/* A few points of the span, and one of elsewhere. */
static void look(struct hw_test *t, const struct span *s)
{
	const unsigned int from = (unsigned int)hw_below(t, HW_POINTS);
	unsigned int looked = 0;

	hw_check(t, s->point, random_op(t));
	for (unsigned int i = 0; i < HW_POINTS && looked < 4; i++) {
		const struct hw_point *p = &t->points[(from + i) % HW_POINTS];

		if (inside(s, p)) {
			hw_check(t, p, random_op(t));
			looked++;
		}
	}
	hw_check(t, &t->points[from], random_op(t));
}

static void look_everywhere(struct hw_test *t)
{
	for (unsigned int i = 0; i < HW_POINTS; i++)
		hw_check(t, &t->points[i], random_op(t));
	if (t->format->op.check(&t->pgt))
		hw_fail(t, NULL, "the structure of the table is damaged");
}

static void step(struct hw_test *t)
{
	struct kvm_pgtable_flush flush = {0};
	unsigned int i = random_operation(t);
	struct span s;
	int err;

	pick_span(t, &s);
	t->doing = "before an operation";
	look(t, &s);
	t->doing = operations[i].name;
	err = operations[i].run(t, &s, &flush);
	t->n.ops++;
	if (err)
		hw_fail(t, s.point, "error %d on 0x%lx + 0x%lx", err, s.start, s.size);
	hw_settle(t, &flush);
	look(t, &s);
}

void hw_test_random(struct hw_test *t)
{
	const u64 steps = STEPS * t->scale / 100 + 1;

	for (unsigned int i = 0; i < HW_CLUSTERS; i++)
		place_cluster(t, i);
	for (u64 i = 0; i < steps && !t->failures; i++) {
		step(t);
		if (i % 32 == 0)
			look_everywhere(t);
	}
	look_everywhere(t);
}
