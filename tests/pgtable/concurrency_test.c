/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several threads change one small range under the shared lock: map, fault,
 * unmap, write-protect, age, relax, split, own, look up.  Afterwards the tree
 * must be sound, every leaf one that some thread wrote, and after unmapping no
 * table page left.
 */
#include "tests/pgtable/harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define SHARED	KVM_PGTABLE_WALK_SHARED
#define FAULT	((enum kvm_pgtable_walk_flags)(SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT))
#define HPA	(1ull << 34)

struct worker {
	struct test_table *t;
	pthread_barrier_t *start;
	u64 seed;
	u64 steps;
	u64 installed;
	u64 races; /* -EAGAIN seen */
};

/* Page i leads to HPA plus i or, written by the other half of the threads, i + 4096. */
static void check_leaf(const struct format *format, const struct kvm_pgtable_leaf *leaf, u64 page)
{
	u64 hpa = HPA + page * format_page(format);

	if (leaf->present && leaf->hpa != hpa && leaf->hpa != hpa + (4096 * format_page(format))) {
		fprintf(stderr, "%s page %llu leads to %llx\n", format->name,
			(unsigned long long)page, (unsigned long long)leaf->hpa);
		abort();
	}
}

static void one_map(struct worker *w, u64 first, u64 pages, enum kvm_pgtable_walk_flags flags)
{
	const struct format *format = w->t->format;
	u64 page = format_page(format);
	struct kvm_pgtable_map map = map_of(
		first * page, pages * page,
		HPA + (first + (test_below(&w->seed, 2) ? 4096 : 0)) * page, KVM_PGTABLE_PROT_RW,
		.flags = flags, .max_level = (u8)test_below(&w->seed, 3));
	int err = format->op.map(&w->t->pgt, &map);

	w->installed += map.installed;
	w->races += err == -EAGAIN;
	if (err && !(err == -EAGAIN && flags == FAULT))
		abort();
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void one_step(struct worker *w)
{
	const struct format *format = w->t->format;
	const struct format_ops *op = &format->op;
	struct kvm_pgtable *pgt = &w->t->pgt;
	u64 page = format_page(format), block = 1ull << format->table_bits;
	u64 first =
		test_below(&w->seed, 2) ? test_below(&w->seed, 8) : test_below(&w->seed, 2 * block);
	u64 pages = test_below(&w->seed, 16) ? 1 : block;
	struct kvm_pgtable_flush flush = {0};
	struct kvm_pgtable_leaf leaf;
	bool young;
	int err;

	first = pages > 1 ? align_down(first, block) : first;
	switch (test_below(&w->seed, 16)) {
	case 0:
	case 1:
		one_map(w, first, pages, SHARED);
		break;
	case 2:
	case 3:
		one_map(w, first, 1, FAULT);
		break;
	case 4:
	case 5:
	case 6:
		must(!op->unmap(pgt, first * page, pages * page, SHARED, NULL, &flush));
		break;
	case 7:
		must(!op->wrprotect(pgt, first * page, pages * page, SHARED, &flush));
		break;
	case 8:
		must(!op->mkold(pgt, first * page, pages * page, SHARED, &young, &flush));
		break;
	case 9:
		err = op->relax_perms(pgt, first * page, KVM_PGTABLE_PROT_RW, FAULT, &flush);
		must(!err || err == -ENOENT || err == -EAGAIN);
		break;
	case 10:
		must(!op->split(pgt, first * page, pages * page, 1, SHARED, NULL, &flush));
		break;
	case 11:
		must(!op->set_owner(pgt, first * page, page, 7, SHARED, NULL, &flush));
		break;
	case 12:
		must(!op->mkclean(pgt, first * page, pages * page, SHARED, &flush));
		break;
	case 15:
		err = op->mkyoung(pgt, first * page, SHARED);
		must(!err || err == -ENOENT);
		break;
	case 14:
		err = op->set_mmio(pgt, first * page, 3, 1 + (unsigned int)test_below(&w->seed, 4),
				   SHARED, NULL);
		must(!err || err == -EEXIST || err == -EAGAIN);
		break;
	case 13:
		must(!op->get_leaf(pgt, first * page, &leaf));
		err = op->relax_leaf(pgt, first * page, &leaf, KVM_PGTABLE_PROT_RW, &flush);
		must(!err || (!leaf.present && err == -EINVAL) || err == -EAGAIN);
		break;
	}
	must(!op->get_leaf(pgt, first * page, &leaf));
	check_leaf(format, &leaf, first);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(w->start);
	for (u64 i = 0; i < w->steps; i++)
		one_step(w);
	return NULL;
}

static void run_round(struct test_table *t, u64 seed, u64 steps, u64 *installed)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.t = t, .start = &start, .seed = seed * THREADS + i + 1, .steps = steps};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		*installed += workers[i].installed;
	}
	pthread_barrier_destroy(&start);
}

static void threads_leave_a_sound_table(void **state)
{
	u64 seed = test_seed("concurrency");

	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		const struct format *format = &formats[i];
		struct test_table t;
		u64 installed = 0;

		table_setup(&t, format);
		for (unsigned int round = 0; round < 20; round++) {
			run_round(&t, seed + round, test_scaled(1500), &installed);
			assert_int_equal(format->op.check(&t.pgt), 0);
			table_settle(&t);
		}
		assert_true(installed > 0);
		assert_int_equal(format->op.unmap(&t.pgt, 0, 1ull << format->config.input_bits,
						  (enum kvm_pgtable_walk_flags)0, NULL, NULL),
				 0);
		table_settle(&t);
		assert_int_equal(table_arena_bytes(&t.arena), t.pgt.root_bytes);
		table_teardown(&t);
	}
}

/* Faults of all threads on one page at a time: exactly one of them installs. */
static void *fault_in_step(void *arg)
{
	struct worker *w = arg;
	const struct format *format = w->t->format;
	u64 page = format_page(format);

	for (u64 i = 0; i < w->steps; i++) {
		struct kvm_pgtable_map map =
			map_of(i * page, page, HPA + i * page, KVM_PGTABLE_PROT_RW, .max_level = 1,
			       .flags = FAULT);
		int err;

		if (!(i % 64))
			pthread_barrier_wait(w->start);
		do {
			err = format->op.map(&w->t->pgt, &map);
			w->installed += map.installed;
			w->races += err == -EAGAIN;
		} while (err == -EAGAIN);
		must(!err);
	}
	return NULL;
}

static void one_of_the_faults_installs(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		const struct format *format = &formats[i];
		u64 pages = min_u64(4096, 1ull << (format->config.input_bits - format->page_lg2));
		struct worker workers[THREADS];
		pthread_t threads[THREADS];
		pthread_barrier_t start;
		struct test_table t;
		u64 installed = 0;

		table_setup(&t, format);
		pthread_barrier_init(&start, NULL, THREADS);
		for (unsigned int j = 0; j < THREADS; j++) {
			workers[j] = (struct worker){.t = &t, .start = &start, .steps = pages};
			assert_int_equal(
				pthread_create(&threads[j], NULL, fault_in_step, &workers[j]), 0);
		}
		for (unsigned int j = 0; j < THREADS; j++) {
			pthread_join(threads[j], NULL);
			installed += workers[j].installed;
		}
		assert_int_equal(installed, pages);
		pthread_barrier_destroy(&start);
		table_teardown(&t);
	}
}

/* ---- a race that is lost for certain --------------------------------------------------- */

struct rival {
	struct test_table *t;
	struct kvm_pgtable_ops ops;
	bool was_here;
};

static struct kvm_pgtable_map small_pages(const struct format *format, u64 first, u64 nr,
					  enum kvm_pgtable_walk_flags flags)
{
	u64 page = format_page(format);

	return map_of(first * page, nr * page, HPA + first * page, KVM_PGTABLE_PROT_RW,
		      .max_level = 1, .flags = flags);
}

/* Tables are allocated between the library's look at an entry and its change. */
static void *alloc_while_another_maps(void *ctx)
{
	struct rival *rival = ctx;
	struct kvm_pgtable_map map = small_pages(rival->t->format, 2, 1, SHARED);

	if (!rival->was_here) {
		rival->was_here = true;
		assert_int_equal(rival->t->format->op.map(&rival->t->pgt, &map), 0);
	}
	return rival->t->ops.alloc_table(rival->t);
}

static void free_for_rival(void *ctx, void *table)
{
	struct rival *rival = ctx;

	rival->t->ops.free_table(rival->t, table);
}

/* How many leaves the loser has installed. */
static u64 lose_a_race(const struct format *format, enum kvm_pgtable_walk_flags flags, int wanted)
{
	struct kvm_pgtable_map map = small_pages(format, 0, 4, flags);
	struct rival rival = {0};
	struct test_table t;

	table_setup(&t, format);
	rival = (struct rival){.t = &t, .ops = t.ops};
	rival.ops.alloc_table = alloc_while_another_maps;
	rival.ops.free_table = free_for_rival;
	t.pgt.config.ops = &rival.ops;
	t.pgt.config.ctx = &rival;
	assert_int_equal(t.format->op.map(&t.pgt, &map), wanted);
	for (u64 page = 0; page < 4; page++) {
		struct kvm_pgtable_leaf leaf;

		assert_int_equal(t.format->op.get_leaf(&t.pgt, page * format_page(format), &leaf),
				 0);
		assert_int_equal(leaf.present, !wanted || page == 2);
	}
	t.pgt.config.ops = &t.ops;
	t.pgt.config.ctx = &t;
	table_teardown(&t);
	return map.installed;
}

static void who_loses_a_race_maps_the_rest_and_keeps_nothing(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++)
		assert_int_equal(lose_a_race(&formats[i], SHARED, 0), 3);
}

/* The vCPU is to look again: what it faulted on may be there now. */
static void a_fault_that_loses_a_race_leaves_at_once(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++)
		assert_int_equal(lose_a_race(&formats[i], FAULT, -EAGAIN), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_leave_a_sound_table),
		cmocka_unit_test(one_of_the_faults_installs),
		cmocka_unit_test(who_loses_a_race_maps_the_rest_and_keeps_nothing),
		cmocka_unit_test(a_fault_that_loses_a_race_leaves_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
