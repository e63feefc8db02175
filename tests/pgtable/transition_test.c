/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The choke point by itself: the table of legal transitions (docs/pgtable.md),
 * what each owes, and the gate that closes an empty table page.
 */
#include "tests/pgtable/harness.h"

#if defined(TEST_BREAK_BEFORE_MAKE)
#define FMT_BREAK_BEFORE_MAKE 1
#endif
#define PGT_NAME(op) unused_##op
#include "pgtable/format/tiny.h"
#include "pgtable/engine/entry_change.h"

/* One entry of each kind at level 2, in the order of enum pgt_kind. */
static kvm_pte_t sample[PGT_KINDS];
static const struct kvm_pgtable no_pgt;

static int make_samples(void **state)
{
	(void)state;
	sample[PGT_ABSENT] = 0;
	sample[PGT_ANNOTATED] = pgt_make_owner(5);
	sample[PGT_LOCKED_ENTRY] = PGT_LOCKED;
	sample[PGT_LEAF] = fmt_make_leaf(&no_pgt, 0x40000, KVM_PGTABLE_PROT_RWX, 2);
	sample[PGT_TABLE] = fmt_make_table(0x7000, 2);
	for (unsigned int i = 0; i < PGT_KINDS; i++)
		assert_int_equal(pgt_kind(sample[i], 2), i);
	return 0;
}

/* y: legal, x: exclusive only, -: never.  Rows from, columns to. */
static void check_table(const char *const rows[PGT_KINDS])
{
	for (unsigned int from = 0; from < PGT_KINDS; from++) {
		for (unsigned int to = 0; to < PGT_KINDS; to++) {
			char want = rows[from][to];

			if (pgt_transition_legal(sample[from], sample[to], 2, false) !=
				    (want != '-') ||
			    pgt_transition_legal(sample[from], sample[to], 2, true) !=
				    (want == 'y'))
				fail_msg("from %u to %u", from, to);
		}
	}
}

static void transitions_are_as_documented(void **state)
{
	/*                           absent annotated locked leaf table */
	const char *const rows[] = {"-yyyy", "y-yyy", "yy-yy",
				    FMT_BREAK_BEFORE_MAKE ? "yyy--" : "yyy-y",
				    FMT_BREAK_BEFORE_MAKE ? "yxy--" : "yxyx-"};

	(void)state;
	check_table(rows);
}

static void a_leaf_may_become_another_leaf(void **state)
{
	kvm_pte_t leaf = sample[PGT_LEAF], moved = fmt_leaf_next(leaf, 2),
		  ro = fmt_wrprotect(leaf, 2);

	(void)state;
	assert_true(pgt_transition_legal(leaf, ro, 2, true));
	assert_int_equal(pgt_transition_legal(leaf, moved, 2, true), !FMT_BREAK_BEFORE_MAKE);
}

static void what_a_change_owes(void **state)
{
	kvm_pte_t leaf = sample[PGT_LEAF], ro = fmt_wrprotect(leaf, 2);

	(void)state;
	for (unsigned int to = 0; to < PGT_KINDS; to++) {
		assert_false(pgt_change_owes(0, sample[to], 2));
		assert_false(pgt_change_owes(PGT_LOCKED, sample[to], 2));
		assert_false(pgt_change_owes(sample[PGT_ANNOTATED], sample[to], 2));
	}
	assert_true(pgt_change_owes(leaf, 0, 2));
	assert_true(pgt_change_owes(leaf, PGT_LOCKED, 2));
	assert_true(pgt_change_owes(leaf, ro, 2));
	assert_false(pgt_change_owes(ro, leaf, 2));
	assert_true(pgt_change_owes(leaf, fmt_leaf_next(leaf, 2), 2));
	assert_false(pgt_change_owes(leaf, sample[PGT_TABLE], 2));
	assert_true(pgt_change_owes(sample[PGT_TABLE], 0, 2));
	assert_true(pgt_change_owes(fmt_mkyoung(leaf, 2), leaf, 2));
	assert_false(pgt_change_owes(leaf, fmt_mkyoung(leaf, 2), 2));
}

static void illegal(void *arg)
{
	struct kvm_pgtable_flush owed = PGT_FLUSH_NONE;

	(void)pgt_entry_change(arg, sample[PGT_LEAF], &owed);
}

static void an_illegal_change_stops_a_debug_build(void **state)
{
	struct kvm_pgtable_visit_ctx ctx = {.level = 2, .flags = KVM_PGTABLE_WALK_SHARED};

	(void)state;
	ctx.old = sample[PGT_TABLE];
	assert_non_null(expect_bug(illegal, &ctx));
	ctx.old = sample[PGT_LEAF]; /* no change at all */
	assert_non_null(expect_bug(illegal, &ctx));
}

static void a_closed_table_page_takes_no_entry(void **state)
{
	struct test_table t;
	struct kvm_pgtable_flush owed = PGT_FLUSH_NONE;
	kvm_pte_t *table;

	(void)state;
	table_setup(&t, format_named("tiny"));
	table = table_arena_alloc(&t.arena);

	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = &t.pgt, .ptep = table + 1, .level = 2, .flags = KVM_PGTABLE_WALK_SHARED};

	assert_int_equal(pgt_entry_change(&ctx, sample[PGT_LEAF], &owed), 0);
	assert_int_equal(pgt_table_live(table), 1);
	assert_false(pgt_table_kill(table));
	ctx.old = sample[PGT_LEAF];
	assert_int_equal(pgt_entry_change(&ctx, 0, &owed), 0);
	assert_true(pgt_table_kill(table));
	assert_false(pgt_table_kill(table));
	ctx.old = 0;
	assert_int_equal(pgt_entry_change(&ctx, sample[PGT_LEAF], &owed), -EAGAIN);
	assert_int_equal(table[1], 0);
	table_arena_free(&t.arena, table);
	table_teardown(&t);
}

static void who_comes_late_changes_nothing(void **state)
{
	struct test_table t;
	struct kvm_pgtable_flush owed = PGT_FLUSH_NONE;
	kvm_pte_t *table;

	(void)state;
	table_setup(&t, format_named("tiny"));
	table = table_arena_alloc(&t.arena);
	table[0] = sample[PGT_ANNOTATED];
	pgt_env_meta(table)->live = 1;

	struct kvm_pgtable_visit_ctx ctx = {.pgt = &t.pgt,
					    .ptep = table,
					    .old = 0,
					    .level = 2,
					    .flags = KVM_PGTABLE_WALK_SHARED};

	assert_int_equal(pgt_entry_change(&ctx, sample[PGT_LEAF], &owed), -EAGAIN);
	assert_int_equal(table[0], sample[PGT_ANNOTATED]);
	assert_int_equal(pgt_table_live(table), 1);
	assert_false(kvm_pgtable_flush_owed(&owed));
	table_arena_free(&t.arena, table);
	table_teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transitions_are_as_documented),
		cmocka_unit_test(a_leaf_may_become_another_leaf),
		cmocka_unit_test(what_a_change_owes),
		cmocka_unit_test(an_illegal_change_stops_a_debug_build),
		cmocka_unit_test(a_closed_table_page_takes_no_entry),
		cmocka_unit_test(who_comes_late_changes_nothing),
	};

	return cmocka_run_group_tests(tests, make_samples, NULL);
}
