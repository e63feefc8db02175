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
	}
	slot_index_free(m->index);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_edits_agree_with_a_list),
	};

	return cmocka_run_group_tests_name("slot_index", tests, NULL, NULL);
}
