/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The explorer itself: does it run all schedules that it says, are PCT's odds
 * what the paper promises, and what does its memory allow?  Small programs of a
 * few steps, whose schedules and outcomes are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "explore/atomics.h"
#include "explore/sched.h"
#include "explore/trace.h"

#define THREADS 3u
#define STEPS	16u

/* ---- nobody reads a trace here ------------------------------------------------------- */

void trace_note(const char *format, ...)
{
	(void)format;
}

void trace_step(const struct explore_site *site, const char *verb, const void *at, u64 before,
		u64 after)
{
	(void)site;
	(void)verb;
	(void)at;
	(void)before;
	(void)after;
}

void trace_late(const struct sched_thread *thread, const struct late_store *late)
{
	(void)thread;
	(void)late;
}

/* ---- running a program ------------------------------------------------------------------ */

struct program {
	u32 nr;
	void (*body[THREADS])(void *arg);
	void *arg[THREADS];
};

static struct search search;
static u64 x, y, seen[THREADS]; /* of each run */

static void run(const struct program *program)
{
	static const char *const names[THREADS] = {"a", "b", "c"};

	sched_reset(&search);
	x = 0;
	y = 0;
	memset(seen, 0xff, sizeof(seen));
	for (u32 i = 0; i < program->nr; i++)
		sched_add(names[i], program->body[i], program->arg[i]);
	sched_run();
}

/* All schedules up to @bound; in how many of them @outcome holds, or which failed. */
static u64 count_outcomes(const struct program *program, unsigned int bound, bool (*outcome)(void))
{
	u64 found = 0;

	search = (struct search){.mode = SEARCH_EXHAUSTIVE, .bound = bound, .shards = 1};
	do {
		run(program);
		assert_false(sched.failed);
		found += outcome();
	} while (search_next(&search));
	return found;
}

/* ---- how many schedules there are ------------------------------------------------------ */

struct walker {
	char letter;
	u32 steps;
};

static char order[THREADS * STEPS + 1];
static u32 nr_order;

static void walk(void *arg)
{
	const struct walker *walker = arg;

	for (u32 i = 0; i < walker->steps; i++) {
		(void)atomic_peek(&x);
		order[nr_order++] = walker->letter;
	}
}

static struct program walkers(struct walker *walker, u32 nr)
{
	struct program program = {.nr = nr};

	for (u32 i = 0; i < nr; i++) {
		walker[i].letter = (char)('a' + i);
		program.body[i] = walk;
		program.arg[i] = &walker[i];
	}
	return program;
}

/* Where all threads of a program are. */
struct state {
	u32 left[THREADS]; /* steps to go */
	bool done[THREADS];
	bool on_its_way[THREADS]; /* interrupted: goes on with its step, without a choice */
	u32 nr, running;
};

static u64 count_schedules(struct state s, unsigned int bound);

/* Those in which another thread than the running one goes on. */
static u64 count_switches(const struct state *s, unsigned int bound)
{
	u64 sum = 0;

	for (u32 i = 0; i < s->nr; i++) {
		struct state next = *s;

		if (i == s->running || s->done[i])
			continue;
		next.running = i;
		next.left[i] -= next.on_its_way[i];
		next.on_its_way[i] = false;
		sum += count_schedules(next, bound);
	}
	return sum;
}

/* By counting, without what the search does to find them. */
static u64 count_schedules(struct state s, unsigned int bound)
{
	const u32 on = s.running;
	struct state next = s;
	u32 alive = 0;

	for (u32 i = 0; i < s.nr; i++)
		alive += i != on && !s.done[i];
	if (!alive)
		return 1;
	if (!s.left[on]) {
		next.done[on] = true;
		return count_switches(&next, bound);
	}
	next.left[on]--;
	s.on_its_way[on] = true;
	return count_schedules(next, bound) + (bound ? count_switches(&s, bound - 1) : 0);
}

static u64 run_all(struct walker *walker, u32 nr, unsigned int bound, u32 shard, u32 shards)
{
	const struct program program = walkers(walker, nr);
	u64 schedules = 0;

	search = (struct search){
		.mode = SEARCH_EXHAUSTIVE, .bound = bound, .shard = shard, .shards = shards};
	do {
		nr_order = 0;
		run(&program);
		schedules++;
	} while (search_next(&search));
	return schedules;
}

static u64 choose(u64 n, u64 k)
{
	return !k ? 1 : n < k ? 0 : choose(n - 1, k - 1) * n / k;
}

/* a has n steps and b m, at most k interruptions: they take turns. */
static u64 two_threads(u32 n, u32 m, unsigned int k)
{
	u64 sum = 0;

	for (unsigned int p = 0; p <= k; p++)
		sum += choose(n, (p + 1) / 2) * choose(m, p / 2) +
		       choose(m, (p + 1) / 2) * choose(n, p / 2);
	return sum;
}

static void all_schedules_of_two(void **state)
{
	(void)state;
	for (u32 n = 1; n <= 6; n++) {
		for (u32 m = 1; m <= 5; m++) {
			struct walker walker[] = {{.steps = n}, {.steps = m}};

			for (unsigned int bound = 0; bound <= 5; bound++)
				assert_int_equal(run_all(walker, 2, bound, 0, 1),
						 two_threads(n, m, bound));
		}
	}
}

static void all_schedules_of_three(void **state)
{
	struct walker walker[] = {{.steps = 3}, {.steps = 2}, {.steps = 4}};
	struct state start = {.left = {3, 2, 4}, .nr = 3};

	(void)state;
	for (unsigned int bound = 0; bound <= 4; bound++) {
		u64 expected = 0;

		for (start.running = 0; start.running < 3; start.running++)
			expected += count_schedules(start, bound);
		assert_int_equal(run_all(walker, 3, bound, 0, 1), expected);
	}
}

/* Without a bound: every order of the steps there is. */
static void all_orders(void **state)
{
	static char orders[128][16];
	struct walker walker[] = {{.steps = 4}, {.steps = 5}};
	const struct program program = walkers(walker, 2);
	u32 nr = 0;

	(void)state;
	search = (struct search){.mode = SEARCH_EXHAUSTIVE, .bound = 99, .shards = 1};
	do {
		u32 i = 0;

		nr_order = 0;
		run(&program);
		order[nr_order] = 0;
		while (i < nr && strcmp(orders[i], order) != 0)
			i++;
		if (i == nr) {
			assert_true(nr < ARRAY_SIZE(orders));
			memcpy(orders[nr++], order, sizeof(orders[0]));
		}
	} while (search_next(&search));
	assert_int_equal(nr, choose(9, 4));
}

/* Shards: each schedule with an interruption in one of them, those without in all. */
static void shards_are_the_whole(void **state)
{
	struct walker walker[] = {{.steps = 5}, {.steps = 4}, {.steps = 2}};
	const u64 whole = run_all(walker, 3, 3, 0, 1), plain = run_all(walker, 3, 0, 0, 1);

	(void)state;
	for (u32 shards = 2; shards <= 5; shards++) {
		u64 sum = 0;

		for (u32 shard = 0; shard < shards; shard++)
			sum += run_all(walker, 3, 3, shard, shards) - plain;
		assert_int_equal(sum + plain, whole);
	}
}

/* ---- PCT ------------------------------------------------------------------------------- */

#define PCT_RUNS 60000u

/* How often a run's order is @wanted, in @PCT_RUNS of depth @depth. */
static u32 pct_hits(struct walker *walker, u32 nr, unsigned int depth, const char *wanted)
{
	const struct program program = walkers(walker, nr);
	u32 hits = 0;

	search = (struct search){
		.mode = SEARCH_RANDOM, .bound = depth, .random = 88172645463325252ull, .shards = 1};
	for (u32 i = 0; i < PCT_RUNS; i++) {
		nr_order = 0;
		run(&program);
		search_next(&search);
		order[nr_order] = 0;
		hits += strcmp(order, wanted) == 0;
	}
	return hits;
}

/* 1 / (n k^(d-1)) of the runs, less four standard deviations. */
static void expect_odds(u32 hits, u32 threads, u32 steps, unsigned int depth)
{
	u32 of = threads, least, root = 1;

	for (unsigned int i = 1; i < depth; i++)
		of *= steps;
	least = PCT_RUNS / of;
	while (root * root < 16 * least)
		root++;
	if (hits + root < least)
		fail_msg("%u of %u, and at least %u are promised", hits, PCT_RUNS, least);
}

/* Orders that take two or three events in a row to come about, wherever these are. */
static void odds_of_pct(void **state)
{
	struct walker walker[] = {{.steps = 5}, {.steps = 4}};
	char wanted[16];

	(void)state;
	expect_odds(pct_hits(walker, 2, 1, "aaaaabbbb"), 2, 10, 1);
	expect_odds(pct_hits(walker, 2, 1, "bbbbaaaaa"), 2, 10, 1);
	for (int i = 1; i < 5; i++) {
		snprintf(wanted, sizeof(wanted), "%.*sbbbb%.*s", i, "aaaaa", 5 - i, "aaaaa");
		expect_odds(pct_hits(walker, 2, 2, wanted), 2, 10, 2);
		snprintf(wanted, sizeof(wanted), "%.*sbb%.*sbb", i, "aaaaa", 5 - i, "aaaaa");
		expect_odds(pct_hits(walker, 2, 3, wanted), 2, 10, 3);
	}
}

/* ---- memory ----------------------------------------------------------------------------- */

static void poke_then_peek(void *arg)
{
	u64 *mine = arg, *other = arg == &x ? &y : &x;

	atomic_poke(mine, 1);
	seen[arg == &x] = atomic_peek(other);
}

static void publish_then_observe(void *arg)
{
	u64 *mine = arg, *other = arg == &x ? &y : &x;

	atomic_publish(mine, 1);
	seen[arg == &x] = atomic_observe(other);
}

static void poke_barrier_peek(void *arg)
{
	u64 *mine = arg, *other = arg == &x ? &y : &x;

	atomic_poke(mine, 1);
	barrier_full();
	seen[arg == &x] = atomic_peek(other);
}

static void exchange_then_peek(void *arg)
{
	u64 *mine = arg, *other = arg == &x ? &y : &x;

	atomic_exchange(mine, 1ull);
	seen[arg == &x] = atomic_peek(other);
}

static u64 z; /* nobody else's */

/* A compare-and-exchange between the two, that does and that does not find what it expects. */
static void try_between(u64 *mine, u64 expected)
{
	u64 *other = mine == &x ? &y : &x;

	z = 0;
	atomic_poke(mine, 1);
	atomic_cmpxchg_u64(&z, &expected, 0);
	seen[mine == &x] = atomic_peek(other);
}

static void poke_exchange_peek(void *arg)
{
	try_between(arg, 0);
}

static void poke_fail_peek(void *arg)
{
	try_between(arg, 1);
}

static bool both_missed(void)
{
	return !seen[0] && !seen[1];
}

static u64 both_miss(void (*body)(void *arg))
{
	const struct program program = {.nr = 2, .body = {body, body}, .arg = {&x, &y}};

	return count_outcomes(&program, 4, both_missed);
}

/* Dekker: "I say, then I look" needs a full barrier between the two. */
static void store_buffering(void **state)
{
	(void)state;
	assert_true(both_miss(poke_then_peek) > 0);
	assert_true(both_miss(publish_then_observe) > 0);
	assert_int_equal(both_miss(poke_barrier_peek), 0);
	assert_int_equal(both_miss(poke_exchange_peek), 0);
	assert_true(both_miss(poke_fail_peek) > 0);
	assert_int_equal(both_miss(exchange_then_peek), 0);
}

static void poke_and_poke(void *arg)
{
	(void)arg;
	atomic_poke(&x, 1);
	atomic_poke(&y, 1);
}

static void poke_and_publish(void *arg)
{
	(void)arg;
	atomic_poke(&x, 1);
	atomic_publish(&y, 1);
}

static void poke_barrier_poke(void *arg)
{
	(void)arg;
	atomic_poke(&x, 1);
	barrier_write();
	atomic_poke(&y, 1);
}

static void observe_then_peek(void *arg)
{
	(void)arg;
	seen[1] = atomic_observe(&y);
	seen[0] = atomic_peek(&x);
}

static bool flag_without_message(void)
{
	return seen[1] == 1 && seen[0] == 0;
}

static u64 message_lost(void (*writer)(void *arg), void (*reader)(void *arg))
{
	const struct program program = {.nr = 2, .body = {writer, reader}};

	return count_outcomes(&program, 4, flag_without_message);
}

/* Message passing, the writer's side. */
static void stores_overtake(void **state)
{
	(void)state;
	assert_true(message_lost(poke_and_poke, observe_then_peek) > 0);
	assert_int_equal(message_lost(poke_and_publish, observe_then_peek), 0);
	assert_int_equal(message_lost(poke_barrier_poke, observe_then_peek), 0);
}

static void peek_then_peek(void *arg)
{
	(void)arg;
	seen[1] = atomic_peek(&y);
	seen[0] = atomic_peek(&x);
}

static void peek_barrier_peek(void *arg)
{
	(void)arg;
	seen[1] = atomic_peek(&y);
	barrier_read();
	seen[0] = atomic_peek(&x);
}

/* The reader's side, of a writer who does all he can. */
static void loads_run_ahead(void **state)
{
	(void)state;
	assert_true(message_lost(poke_and_publish, peek_then_peek) > 0);
	assert_true(message_lost(poke_barrier_poke, peek_then_peek) > 0);
	assert_int_equal(message_lost(poke_and_publish, peek_barrier_peek), 0);
	assert_int_equal(message_lost(poke_barrier_poke, peek_barrier_peek), 0);
}

static void poke_twice(void *arg)
{
	(void)arg;
	atomic_poke(&x, 1);
	atomic_poke(&x, 2);
}

static void peek_twice(void *arg)
{
	(void)arg;
	seen[0] = atomic_peek(&x);
	seen[1] = atomic_peek(&x);
}

static bool went_back(void)
{
	return seen[1] < seen[0];
}

/* One place is seen in the order in which it was written. */
static void coherence(void **state)
{
	const struct program program = {.nr = 2, .body = {poke_twice, peek_twice}};

	(void)state;
	assert_int_equal(count_outcomes(&program, 4, went_back), 0);
}

/* ---- ends -------------------------------------------------------------------------------- */

static bool is_set(void *arg)
{
	return *(u64 *)arg != 0;
}

static void wait_for(void *arg)
{
	sched_wait("a flag", is_set, arg);
}

static void spin_on(void *arg)
{
	while (!atomic_peek((u64 *)arg))
		cpu_relax();
}

static void set_x(void *arg)
{
	(void)arg;
	atomic_poke(&x, 1);
}

static void look_for_ever(void *arg)
{
	while (!atomic_peek((u64 *)arg))
		;
}

static void run_once(const struct program *program)
{
	search = (struct search){.mode = SEARCH_EXHAUSTIVE, .shards = 1};
	run(program);
}

static void waits_that_never_end(void **state)
{
	const struct program each_other = {.nr = 2, .body = {wait_for, spin_on}, .arg = {&x, &y}};
	const struct program one = {.nr = 2, .body = {wait_for, set_x}, .arg = {&y}};
	const struct program busy = {.nr = 1, .body = {look_for_ever}, .arg = {&x}};

	(void)state;
	run_once(&each_other);
	assert_string_equal(sched.failure, "no thread can go on; waiting: a (for a flag), "
					   "b (for what others do, in a loop)");
	run_once(&one);
	assert_string_equal(sched.failure, "no thread can go on; waiting: a (for a flag)");
	run_once(&busy);
	assert_non_null(strstr(sched.failure, "no end after"));
}

static bool any(void)
{
	return true;
}

/* No store is so late that who waits for it never sees it. */
static void waits_that_end(void **state)
{
	const struct program program = {
		.nr = 3, .body = {spin_on, set_x, wait_for}, .arg = {&x, NULL, &x}};

	(void)state;
	assert_true(count_outcomes(&program, 3, any) > 10);
}

/* ---- schedules as text -------------------------------------------------------------------- */

/* What is printed of a run gives the same run again, however many turns it takes. */
static void replay_repeats(void **state)
{
	struct walker walker[] = {{.steps = STEPS}, {.steps = STEPS}, {.steps = STEPS}};
	const struct program program = walkers(walker, 3);
	char text[SEARCH_TEXT_BYTES], again[SEARCH_TEXT_BYTES], first[sizeof(order)];

	(void)state;
	search = (struct search){.mode = SEARCH_EXHAUSTIVE, .bound = 99, .shards = 1};
	for (u32 i = 0; i < 3 * STEPS; i++)
		search.decision[i].taken = (u8)(i % 3);
	search.keep = 3 * STEPS;
	nr_order = 0;
	run(&program);
	memcpy(first, order, sizeof(first));
	search_print(&search, text, sizeof(text));
	assert_true(search_parse(&search, text));
	nr_order = 0;
	run(&program);
	assert_memory_equal(order, first, sizeof(first));
	search_print(&search, again, sizeof(again));
	assert_string_equal(text, again);
	assert_true(search_fits(&search));
	assert_true(search_parse(&search, "1:1,900:1"));
	run(&program);
	assert_false(search_fits(&search));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_schedules_of_two),
		cmocka_unit_test(all_schedules_of_three),
		cmocka_unit_test(all_orders),
		cmocka_unit_test(shards_are_the_whole),
		cmocka_unit_test(odds_of_pct),
		cmocka_unit_test(store_buffering),
		cmocka_unit_test(stores_overtake),
		cmocka_unit_test(loads_run_ahead),
		cmocka_unit_test(coherence),
		cmocka_unit_test(waits_that_never_end),
		cmocka_unit_test(waits_that_end),
		cmocka_unit_test(replay_repeats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
