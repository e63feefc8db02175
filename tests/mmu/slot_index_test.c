/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slot index against a plain list: overlapping and equal extents, chunks
 * that split and empty, aborted edits, and an old index that readers still use.
 */
#include "mmu/slot_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "mmu/mmu.h"
#include "tests/random.h"

#define NR_SLOTS 400

struct listed {
	struct kvm_memory_slot slot;
	struct slot_extent extent;
	bool in;
};

struct model {
	struct listed list[NR_SLOTS];
	struct slot_index *index;
	u64 edits;
	u64 random;
};

static u64 below(struct model *m, u64 limit)
{
	return test_below(&m->random, limit);
}

static bool intersects(const struct listed *l, u64 start, u64 end)
{
	return l->in && l->extent.start < end && l->extent.end > start;
}

static void check_range(struct model *m, const struct slot_index *index, u64 start, u64 end)
{
	struct slot_index_iter it = slot_index_iter(index, start, end);
	const struct kvm_memory_slot *slot;
	u32 expected = 0, found = 0;
	u64 last = 0;

	for (u32 i = 0; i < NR_SLOTS; i++)
		expected += intersects(&m->list[i], start, end);
	while ((slot = slot_index_next(&it))) {
		const struct listed *l = container_of(slot, struct listed, slot);

		assert_true(intersects(l, start, end));
		assert_true(l->extent.start >= last);
		last = l->extent.start;
		found++;
	}
	assert_int_equal(found, expected);
}

/* Of several that start at one place any may be the one that is asked. */
static void check_find(struct model *m, const struct slot_index *index, u64 at)
{
	const struct kvm_memory_slot *found = slot_index_find(index, at);
	u64 start = 0;
	u32 reach = 0, do_not = 0;

	for (u32 i = 0; i < NR_SLOTS; i++) {
		if (m->list[i].in && m->list[i].extent.start <= at)
			start = max_u64(start, m->list[i].extent.start);
	}
	for (u32 i = 0; i < NR_SLOTS; i++) {
		const struct listed *l = &m->list[i];

		if (!l->in || l->extent.start != start || start > at)
			continue;
		reach += l->extent.end > at;
		do_not += l->extent.end <= at;
	}
	if (!found) {
		assert_true(do_not || !reach);
		return;
	}
	assert_true(reach);
	assert_true(intersects(container_of(found, struct listed, slot), at, at + 1));
	assert_int_equal(container_of(found, struct listed, slot)->extent.start, start);
}

/* Take out, put in, or put elsewhere; sometimes think better of it. */
static void change_one(struct model *m)
{
	struct listed *l = &m->list[below(m, NR_SLOTS)];
	u64 start = below(m, 1000);
	struct slot_extent to = {start, start + 1 + below(m, below(m, 20) ? 4 : 900)};
	bool put = !l->in || below(m, 4);
	struct slot_index_edit edit;

	assert_int_equal(slot_index_begin(&edit, m->index, ++m->edits), 0);
	if (l->in)
		assert_int_equal(slot_index_erase(&edit, l->extent, &l->slot), 0);
	if (put)
		assert_int_equal(slot_index_insert(&edit, to, &l->slot), 0);
	/* What was published does not notice. */
	check_range(m, m->index, start, start + 50);
	if (!below(m, 8)) {
		slot_index_abort(&edit);
		return;
	}
	slot_index_seal(&edit);
	l->in = put;
	if (put)
		l->extent = to;
	m->index = edit.index;
	slot_index_finish(&edit);
}

static void random_edits_agree_with_a_list(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	m->random = test_seed("slot_index");
	m->index = slot_index_new();
	for (u64 i = 0; i < test_scaled(20000); i++) {
		u64 start = below(m, 1100);

		change_one(m);
		check_range(m, m->index, start, start + 1 + below(m, 200));
		check_find(m, m->index, start);
	}
	slot_index_free(m->index);
	free(m);
}

/* ---- many, in every sort of layout ------------------------------------------------- */

#define MANY KVM_USER_MEM_SLOTS

/* Where slot @i of a layout starts; it ends one before the next. */
typedef u64 (*layout_fn)(u64 i);

static u64 even(u64 i)
{
	return 0x100000 + i;
}

static u64 wide_apart(u64 i)
{
	return i << 20;
}

/* Half of them in a heap, half strewn behind. */
static u64 lopsided(u64 i)
{
	return i < MANY / 2 ? 2 * i : (i - MANY / 2 + 1) << 30;
}

static u64 ever_wider(u64 i)
{
	return i * i * i;
}

static void edit_one(struct slot_index **index, u64 id, layout_fn at, u64 i,
		     struct kvm_memory_slot *slot, bool put)
{
	const struct slot_extent extent = {at(i), at(i + 1) - (at(i + 1) - at(i) > 1)};
	struct slot_index_edit edit;

	assert_int_equal(slot_index_begin(&edit, *index, id), 0);
	assert_int_equal(put ? slot_index_insert(&edit, extent, slot)
			     : slot_index_erase(&edit, extent, slot),
			 0);
	slot_index_seal(&edit);
	*index = edit.index;
	slot_index_finish(&edit);
}

static void check_layout(const struct slot_index *index, layout_fn at,
			 struct kvm_memory_slot *slots, u64 every)
{
	for (u64 i = 0; i < MANY; i++) {
		struct kvm_memory_slot *here = i % every ? NULL : &slots[i];
		u64 pages = at(i + 1) - at(i);

		if (!pages)
			continue;
		assert_ptr_equal(slot_index_find(index, at(i)), here);
		if (pages > 1) {
			assert_ptr_equal(slot_index_find(index, at(i + 1) - 2), here);
			assert_null(slot_index_find(index, at(i + 1) - 1));
		}
	}
	assert_null(slot_index_find(index, ~0ull));
}

static void many_slots_are_found(void **state)
{
	const layout_fn layouts[] = {even, wide_apart, lopsided, ever_wider};
	struct kvm_memory_slot *slots = calloc(MANY, sizeof(*slots));
	u64 id = 0;

	(void)state;
	for (u32 l = 0; l < ARRAY_SIZE(layouts); l++) {
		struct slot_index *index = slot_index_new();

		/* In order, against it, and from both ends. */
		for (u64 n = 0; n < MANY; n++) {
			u64 i = l == 1		  ? MANY - 1 - n
				: l == 2 && n % 2 ? MANY - 1 - n / 2
						  : n / (l == 2 ? 2 : 1);

			edit_one(&index, ++id, layouts[l], i, &slots[i], true);
		}
		check_layout(index, layouts[l], slots, 1);
		for (u64 i = 0; i < MANY; i++) {
			if (i % 5)
				edit_one(&index, ++id, layouts[l], i, &slots[i], false);
		}
		check_layout(index, layouts[l], slots, 5);
		slot_index_free(index);
	}
	free(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_edits_agree_with_a_list),
		cmocka_unit_test(many_slots_are_found),
	};

	return cmocka_run_group_tests_name("slot_index", tests, NULL, NULL);
}
