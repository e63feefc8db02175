/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The visitor contract of pgtable.h: every cell of its table, and each slip of
 * the sample it comes from (docs/mails.md): predicates asked for 0, a last test
 * that is inverted, no bound on retries.
 */
#include "tests/pgtable/harness.h"

#define SHARED KVM_PGTABLE_WALK_SHARED
#define FAULT  (KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT)

/* A visitor that follows a script at one page and records what it is shown. */
struct script {
	u64 at;				/* page of the entry that gets it ... */
	int ret;			/* ... this value ... */
	unsigned int times;		/* ... so many times, then 0 */
	bool change;			/* another thread changes the entry meanwhile */
	enum kvm_pgtable_walk_flags on; /* in this kind of visit */

	unsigned int visits;	 /* of that entry */
	unsigned int after;	 /* of entries behind it */
	unsigned int below;	 /* of entries of lower level inside it */
	unsigned int zero_asked; /* predicates that were asked for 0 */
	unsigned int asked[2];	 /* order: ignore, retry */
	unsigned int question;
	kvm_pte_t seen[8];
	u8 level;
};

static struct script *script; /* predicates get no argument of ours */

static int play(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	struct script *s = ctx->arg;
	u64 page = ctx->addr >> 12;

	if (page != s->at || visit != s->on || ctx->level != s->level) {
		s->after += page > s->at;
		s->below += ctx->level < s->level && page / 4 == s->at / 4;
		return 0;
	}
	s->seen[s->visits++ % 8] = ctx->old;
	if (s->visits > s->times)
		return 0;
	if (s->change)
		*ctx->ptep ^= BIT_ULL(10); /* software bit 0 of level 1 */
	return s->ret;
}

static struct test_table t;

/* Pages 0..7 mapped as pages, so there are two level 1 tables. */
static int setup(void **state)
{
	struct kvm_pgtable_map map = map_of(0, 8 << 12, 0x100000, 3, .max_level = 1);

	(void)state;
	table_setup(&t, format_named("tiny"));
	assert_int_equal(t.format->op.map(&t.pgt, &map), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	table_teardown(&t);
	return 0;
}

static int walk(struct script *s, enum kvm_pgtable_walk_flags flags,
		kvm_pgtable_walker_action_fn_t ignore, kvm_pgtable_walker_action_fn_t retry)
{
	struct kvm_pgtable_walker walker = {
		.cb = play, .ignore = ignore, .retry = retry, .arg = s, .flags = flags};

	if (!s->level)
		s->level = 1;
	if (!s->on)
		s->on = KVM_PGTABLE_WALK_LEAF;
	walker.flags |= s->on;
	script = s;
	return t.format->op.walk(&t.pgt, 0, 64 << 12, &walker);
}

/* ---- the table, cell by cell --------------------------------------------------------- */

enum cell { NEXT, RETRY, LEAVE };

static void check_cell(enum kvm_pgtable_walk_flags flags, int ret, enum cell cell)
{
	struct script s = {.at = 5, .ret = ret, .times = 2, .change = true};
	int result = walk(&s, flags, kvm_pgtable_attr_ignore, kvm_pgtable_attr_retry);

	assert_int_equal(result, cell == LEAVE ? ret : 0);
	assert_int_equal(s.visits, cell == RETRY ? 3 : 1);
	assert_int_equal(s.after > 0, cell != LEAVE);
}

#define CELL(name, flags, ret, cell)                                         \
	static void name(void **state)                                       \
	{                                                                    \
		(void)state;                                                 \
		check_cell((enum kvm_pgtable_walk_flags)(flags), ret, cell); \
	}

CELL(zero_shared_goes_next, SHARED, 0, NEXT)
CELL(zero_fault_goes_next, FAULT, 0, NEXT)
CELL(zero_exclusive_goes_next, 0, 0, NEXT)
CELL(eagain_shared_retries, SHARED, -EAGAIN, RETRY)
CELL(eagain_fault_leaves, FAULT, -EAGAIN, LEAVE)
CELL(eagain_exclusive_goes_next, 0, -EAGAIN, NEXT)
CELL(enoent_shared_goes_next, SHARED, -ENOENT, NEXT)
CELL(enoent_fault_leaves, FAULT, -ENOENT, LEAVE)
CELL(enoent_exclusive_goes_next, 0, -ENOENT, NEXT)
CELL(other_shared_leaves, SHARED, -EIO, LEAVE)
CELL(other_fault_leaves, FAULT, -EIO, LEAVE)
CELL(other_exclusive_leaves, 0, -EIO, LEAVE)
CELL(positive_shared_leaves, SHARED, 1, LEAVE)
CELL(positive_fault_leaves, FAULT, 1, LEAVE)
CELL(positive_exclusive_leaves, 0, 1, LEAVE)

/* ---- the predicates --------------------------------------------------------------------- */

static bool never(const struct kvm_pgtable_walker *walker, int ret)
{
	(void)walker;
	script->zero_asked += !ret;
	return false;
}

static bool yes_ignore(const struct kvm_pgtable_walker *walker, int ret)
{
	(void)walker;
	script->zero_asked += !ret;
	if (!script->asked[0])
		script->asked[0] = ++script->question;
	return true;
}

static bool yes_retry(const struct kvm_pgtable_walker *walker, int ret)
{
	(void)walker;
	script->zero_asked += !ret;
	if (!script->asked[1])
		script->asked[1] = ++script->question;
	return true;
}

static bool no_retry(const struct kvm_pgtable_walker *walker, int ret)
{
	(void)yes_retry(walker, ret);
	return false;
}

/*
 * Slip 1: asked for 0, an "ignore" that answers no turns the walk back before it
 * descends into the first table.
 */
static void predicates_are_not_asked_for_zero(void **state)
{
	struct script s = {.at = 7};

	(void)state;
	assert_int_equal(walk(&s, (enum kvm_pgtable_walk_flags)0, never, never), 0);
	assert_int_equal(s.zero_asked, 0);
	assert_int_equal(s.visits, 1); /* page 7 is three levels down, behind two tables */
}

static void a_table_shown_before_its_children_is_descended(void **state)
{
	struct script s = {.at = 4};

	(void)state;
	assert_int_equal(
		walk(&s, KVM_PGTABLE_WALK_TABLE_PRE | KVM_PGTABLE_WALK_TABLE_POST, never, never),
		0);
	assert_int_equal(s.zero_asked, 0);
	assert_int_equal(s.visits, 1);
}

/* Slip 2: the last test inverted returns an ignored error and drops a fatal one. */
static void an_ignored_error_is_not_returned(void **state)
{
	struct script s = {.at = 5, .ret = -EIO, .times = 1};

	(void)state;
	assert_int_equal(walk(&s, (enum kvm_pgtable_walk_flags)0, yes_ignore, NULL), 0);
	assert_true(s.after > 0);
}

static void a_fatal_error_is_returned(void **state)
{
	struct script s = {.at = 5, .ret = -EIO, .times = 1};

	(void)state;
	assert_int_equal(walk(&s, (enum kvm_pgtable_walk_flags)0, never, never), -EIO);
	assert_int_equal(s.after, 0);
}

static void without_predicates_any_value_leaves(void **state)
{
	struct script s = {.at = 5, .ret = -EAGAIN, .times = 1};

	(void)state;
	assert_int_equal(walk(&s, SHARED, NULL, NULL), -EAGAIN);
	assert_int_equal(s.after, 0);
}

/* The same in a visit of a table: the other place where the sample has the test. */
static void a_fatal_error_of_a_post_visit_is_returned(void **state)
{
	struct script s = {
		.at = 0, .ret = -EIO, .times = 1, .level = 2, .on = KVM_PGTABLE_WALK_TABLE_POST};

	(void)state;
	assert_int_equal(walk(&s, (enum kvm_pgtable_walk_flags)0, never, never), -EIO);
	assert_int_equal(s.visits, 1);
}

static void retry_is_asked_first(void **state)
{
	struct script s = {.at = 5, .ret = -EIO, .times = 1, .change = true};

	(void)state;
	assert_int_equal(walk(&s, (enum kvm_pgtable_walk_flags)0, yes_ignore, no_retry), 0);
	assert_int_equal(s.asked[1], 1);
	assert_int_equal(s.asked[0], 2);

	s = (struct script){.at = 5, .ret = -EIO, .times = 1, .change = true};
	assert_int_equal(walk(&s, (enum kvm_pgtable_walk_flags)0, yes_ignore, yes_retry), 0);
	assert_int_equal(s.visits, 2);
	assert_int_equal(s.asked[0], 0);
}

static void a_retry_sees_the_entry_as_it_is_now(void **state)
{
	struct script s = {.at = 5, .ret = -EAGAIN, .times = 3, .change = true};

	(void)state;
	assert_int_equal(walk(&s, SHARED, NULL, yes_retry), 0);
	assert_int_equal(s.visits, 4);
	for (unsigned int i = 1; i < 4; i++)
		assert_int_equal(s.seen[i], s.seen[i - 1] ^ BIT_ULL(10));
	/* An odd number of changes: put the software bit back. */
	assert_int_equal(t.format->op.wrprotect(&t.pgt, 5 << 12, 1 << 12,
						(enum kvm_pgtable_walk_flags)0, NULL),
			 0);
}

/* Slip 3: no bound.  A debug build, as here, stops and says so. */
static void walk_for_ever(void *arg)
{
	(void)walk(arg, SHARED, NULL, yes_retry);
}

static void a_visitor_that_only_retries_itself_is_reported(void **state)
{
	struct script s = {.at = 5, .ret = -EAGAIN, .times = ~0u};

	(void)state;
	assert_non_null(expect_bug(walk_for_ever, &s));
	assert_true(s.visits > 1000);
}

static void a_lost_race_may_be_retried_without_bound(void **state)
{
	struct script s = {.at = 5, .ret = -EAGAIN, .times = 3u << 20, .change = true};

	(void)state;
	assert_int_equal(walk(&s, SHARED, NULL, yes_retry), 0);
	assert_int_equal(s.visits, s.times + 1);
}

static void below_a_refused_table_nothing_is_visited(void **state)
{
	struct script s = {
		.at = 0, .ret = -EIO, .times = 1, .level = 2, .on = KVM_PGTABLE_WALK_TABLE_PRE};

	(void)state;
	assert_int_equal(
		walk(&s, KVM_PGTABLE_WALK_LEAF | KVM_PGTABLE_WALK_TABLE_POST, yes_ignore, NULL), 0);
	assert_int_equal(s.visits, 1);
	assert_int_equal(s.below, 0);
	assert_true(s.after > 0);
}

/* ---- order and rounding --------------------------------------------------------------------- */

struct trace {
	unsigned int nr;
	char text[256];
};

static int record(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	struct trace *trace = ctx->arg;

	assert_true(trace->nr + 2 < sizeof(trace->text));
	trace->text[trace->nr++] = visit == KVM_PGTABLE_WALK_LEAF	 ? 'l'
				   : visit == KVM_PGTABLE_WALK_TABLE_PRE ? '('
									 : ')';
	trace->text[trace->nr++] = (char)('0' + ctx->level);
	return 0;
}

static void tables_are_shown_around_their_children(void **state)
{
	struct trace trace = {0};
	struct kvm_pgtable_walker walker = {.cb = record,
					    .arg = &trace,
					    .flags = KVM_PGTABLE_WALK_LEAF |
						     KVM_PGTABLE_WALK_TABLE_PRE |
						     KVM_PGTABLE_WALK_TABLE_POST};

	(void)state;
	/* Bytes in pages 3 and 4: two tables of level 1 under one of level 2. */
	assert_int_equal(t.format->op.walk(&t.pgt, 0x3fff, 2, &walker), 0);
	assert_string_equal(trace.text, "(3(2l1)2(2l1)2)3");
}

static void absent_entries_are_shown_as_leaves(void **state)
{
	struct trace trace = {0};
	struct kvm_pgtable_walker walker = {
		.cb = record, .arg = &trace, .flags = KVM_PGTABLE_WALK_LEAF};

	(void)state;
	assert_int_equal(t.format->op.walk(&t.pgt, 8 << 12, 9 << 12, &walker), 0);
	assert_string_equal(trace.text, "l2l2l3");
}

/* ---- what the operations make of it ------------------------------------------ */

static void wrprotect_of_nothing_tells_only_a_fault(void **state)
{
	(void)state;
	assert_int_equal(t.format->op.wrprotect(&t.pgt, 60 << 12, 1 << 12,
						(enum kvm_pgtable_walk_flags)0, NULL),
			 0);
	assert_int_equal(t.format->op.wrprotect(&t.pgt, 60 << 12, 1 << 12, SHARED, NULL), 0);
	assert_int_equal(t.format->op.wrprotect(&t.pgt, 60 << 12, 1 << 12, FAULT, NULL), -ENOENT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(zero_shared_goes_next),
		T(zero_fault_goes_next),
		T(zero_exclusive_goes_next),
		T(eagain_shared_retries),
		T(eagain_fault_leaves),
		T(eagain_exclusive_goes_next),
		T(enoent_shared_goes_next),
		T(enoent_fault_leaves),
		T(enoent_exclusive_goes_next),
		T(other_shared_leaves),
		T(other_fault_leaves),
		T(other_exclusive_leaves),
		T(positive_shared_leaves),
		T(positive_fault_leaves),
		T(positive_exclusive_leaves),
		T(predicates_are_not_asked_for_zero),
		T(a_table_shown_before_its_children_is_descended),
		T(an_ignored_error_is_not_returned),
		T(a_fatal_error_is_returned),
		T(without_predicates_any_value_leaves),
		T(a_fatal_error_of_a_post_visit_is_returned),
		T(retry_is_asked_first),
		T(a_retry_sees_the_entry_as_it_is_now),
		T(a_visitor_that_only_retries_itself_is_reported),
		T(a_lost_race_may_be_retried_without_bound),
		T(below_a_refused_table_nothing_is_visited),
		T(tables_are_shown_around_their_children),
		T(absent_entries_are_shown_as_leaves),
		T(wrprotect_of_nothing_tells_only_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
