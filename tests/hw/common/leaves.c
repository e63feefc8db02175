/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every leaf size with every permission, normal and device memory, each at its
 * first, its last and a random page, with the pages beside it, which are absent.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "tests/hw/common/driver.h"

struct region {
	u64 gpa;
	u64 hpa;
	u64 bytes;
	unsigned int level;
	u32 prot;
};

/*
 * Where a leaf of that size may lead so that a part of it is test memory; or, now
 * and then, anywhere, for the probe to see: no bit of an address may be lost.
 */
static u64 backing_for(struct hw_test *t, u64 bytes)
{
	const struct hw_machine *m = t->machine;

	if (m->probe && bytes >> m->hpa_bits == 0 && !hw_below(t, 3))
		return hw_aligned_below(t, bytes, 1ull << m->hpa_bits);
	if (bytes > m->backing_size)
		return align_down(m->backing, bytes);
	return m->backing + hw_aligned_below(t, bytes, m->backing_size);
}

static struct hw_point point_in(const struct region *r, u64 offset)
{
	return (struct hw_point){
		.gpa = r->gpa + offset, .mapped = true, .hpa = r->hpa + offset, .prot = r->prot};
}

/* A page of the region that leads to test memory if one does. */
static u64 random_page_in(struct hw_test *t, const struct region *r)
{
	const struct hw_machine *m = t->machine;
	const u64 page = format_page(t->format);

	if (r->bytes <= m->backing_size || m->backing - r->hpa >= r->bytes)
		return hw_aligned_below(t, page, r->bytes);
	return m->backing - r->hpa + hw_aligned_below(t, page, m->backing_size);
}

static void check_hole(struct hw_test *t, u64 gpa)
{
	const struct hw_point hole = {.gpa = gpa};

	if (gpa >> t->format->config.input_bits ||
	    hw_overlaps_reserved(t, gpa, format_page(t->format)))
		return;
	hw_check(t, &hole, (enum hw_op)hw_below(t, HW_OPS));
}

static void check_region(struct hw_test *t, const struct region *r)
{
	const u64 page = format_page(t->format);
	const struct hw_point first = point_in(r, 0), last = point_in(r, r->bytes - page),
			      random = point_in(r, random_page_in(t, r));
	struct kvm_pgtable_leaf leaf = {0};

	if (t->format->op.get_leaf(&t->pgt, r->gpa, &leaf) || leaf.level != r->level)
		hw_fail(t, &first, "a leaf of level %u, not %u", leaf.level, r->level);
	hw_check_all_ops(t, &random);
	hw_check_all_ops(t, &first);
	hw_check_all_ops(t, &last);
	check_hole(t, r->gpa - page);
	check_hole(t, r->gpa + r->bytes);
}

static void check_absent(struct hw_test *t, const struct region *r)
{
	struct hw_point random = {.gpa = r->gpa + random_page_in(t, r)}, first = {.gpa = r->gpa},
			last = {.gpa = r->gpa + r->bytes - format_page(t->format)};

	hw_check_all_ops(t, &random);
	hw_check(t, &first, HW_READ);
	hw_check(t, &last, HW_READ);
}

static void map_and_check(struct hw_test *t, unsigned int level, u32 prot)
{
	struct region r = {.prot = prot, .level = level};
	struct hw_point first;

	r.bytes = format_level_bytes(t->format, level);
	r.hpa = backing_for(t, r.bytes);
	if (!hw_place(t, r.bytes, &r.gpa))
		return; /* one leaf is as big as the whole input, for instance */
	first = point_in(&r, 0);
	if (hw_map(t, &first, r.bytes, level, 0))
		check_region(t, &r);
	hw_unmap(t, r.gpa, r.bytes);
	check_absent(t, &r);
}

/* No entry is there for them: the MMU must not wrap around. */
static void check_beyond(struct hw_test *t)
{
	for (unsigned int bit = t->format->config.input_bits; bit < t->machine->guest_bits; bit++) {
		struct hw_access access = {.gpa = (1ull << bit) +
						  hw_aligned_below(t, 8, 1ull << bit),
					   .op = (enum hw_op)hw_below(t, HW_OPS)};

		hw_access(t, &access);
		if (access.fault != HW_FAULT_ABSENT && access.fault != HW_FAULT_UNTOLD)
			hw_fail(t, NULL, "0x%lx, beyond the input: fault %u", access.gpa,
				access.fault);
	}
}

/* The largest leaf that the input size has room for. */
static unsigned int largest_leaf(const struct hw_test *t)
{
	unsigned int level = t->format->leaf_level_max;

	while (format_level_bytes(t->format, level) >> t->format->config.input_bits)
		level--;
	return level < t->pgt.levels ? level : t->pgt.levels;
}

void hw_test_leaves(struct hw_test *t)
{
	const u64 rounds = 4 * t->scale / 100 + 1;
	const u32 device = t->format->lacks & KVM_PGTABLE_PROT_DEVICE ? 0 : KVM_PGTABLE_PROT_DEVICE;

	t->doing = "leaves";
	for (u64 round = 0; round < rounds; round++) {
		for (unsigned int level = 1; level <= largest_leaf(t); level++) {
			for (unsigned int i = 0; i < t->machine->nr_prots; i++) {
				map_and_check(t, level, t->machine->prots[i]);
				map_and_check(t, level, t->machine->prots[i] | device);
			}
		}
		check_beyond(t);
	}
}
