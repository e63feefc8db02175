/* SPDX-License-Identifier: BSD-2-Clause */
/* The two-level bitmap against a plain array of flags, and under several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "mmu/dirty_bitmap.h"
#include "tests/random.h"

/* ---- the model ------------------------------------------------------------------------- */

struct model {
	struct kvm_dirty_bitmap *bitmap;
	u8 *marked; /* per page */
	u8 *seen;   /* by the visitor in the operation at hand */
};

static struct model model_new(u64 npages, bool all)
{
	struct model m = {
		.bitmap = kvm_dirty_bitmap_new(npages, all),
		.marked = malloc(npages),
		.seen = malloc(npages),
	};

	assert_non_null(m.bitmap);
	memset(m.marked, all, npages);
	return m;
}

static void model_free(struct model *m)
{
	kvm_dirty_bitmap_free(m->bitmap);
	free(m->marked);
	free(m->seen);
}

static void see(void *ctx, u64 first, u64 mask)
{
	struct model *m = ctx;

	assert_int_not_equal(mask, 0);
	for (; mask; mask &= mask - 1) {
		u64 page = first + (u64)__builtin_ctzll(mask);

		assert_true(page < m->bitmap->npages);
		assert_false(m->seen[page]);
		m->seen[page] = 1;
	}
}

/* A bit of copy, as user space would see it. */
static bool copied(const struct kvm_dirty_bitmap *bitmap, u64 page)
{
	u64 word = page / 64, group = word / KVM_DIRTY_GROUP_WORDS;

	if (kvm_dirty_bitmap_next_group(bitmap, group) != group)
		return false;
	return bitmap->copy[word] >> (page % 64) & 1;
}

static void expect_copied(const struct model *m)
{
	for (u64 page = 0; page < m->bitmap->nr_words * 64; page++) {
		bool want = page < m->bitmap->npages && m->marked[page];

		if (copied(m->bitmap, page) != want)
			fail_msg("page %llu: %d", (unsigned long long)page, !want);
	}
}

/* ---- operations --------------------------------------------------------------------------- */

static void take(struct model *m)
{
	memset(m->seen, 0, m->bitmap->npages);
	kvm_dirty_bitmap_take(m->bitmap, see, m);
	assert_memory_equal(m->seen, m->marked, m->bitmap->npages);
	expect_copied(m);
	memset(m->marked, 0, m->bitmap->npages);
}

static void take_and_put_back(struct model *m)
{
	memset(m->seen, 0, m->bitmap->npages);
	kvm_dirty_bitmap_take(m->bitmap, see, m);
	kvm_dirty_bitmap_put_back(m->bitmap);
}

static void peek(struct model *m)
{
	kvm_dirty_bitmap_peek(m->bitmap);
	expect_copied(m);
}

/* Random pages of a random range, and some that are beyond the end. */
static void clear(struct model *m, u64 *seed)
{
	u64 first = test_below(seed, m->bitmap->nr_words);
	u64 words = 1 + test_below(seed, m->bitmap->nr_words - first);

	memset(m->seen, 0, m->bitmap->npages);
	for (u64 i = 0; i < words; i++)
		m->bitmap->copy[i] =
			test_below(seed, 3) ? test_random(seed) << 11 ^ test_random(seed) : 0;
	for (u64 i = 0; i < words * 64; i++) {
		u64 page = first * 64 + i;

		if (page < m->bitmap->npages && m->marked[page] &&
		    (m->bitmap->copy[i / 64] >> (i % 64) & 1))
			m->marked[page] = 2;
	}
	kvm_dirty_bitmap_clear(m->bitmap, first, words, see, m);
	for (u64 page = 0; page < m->bitmap->npages; page++) {
		assert_int_equal(m->seen[page], m->marked[page] == 2);
		m->marked[page] &= 1;
	}
}

static void one_operation(struct model *m, u64 *seed)
{
	u64 page;

	switch (test_below(seed, 16)) {
	case 0:
		take(m);
		break;
	case 1:
		take_and_put_back(m);
		break;
	case 2:
		peek(m);
		break;
	case 3:
	case 4:
		clear(m, seed);
		break;
	default:
		for (u64 n = test_below(seed, 8); n; n--) {
			page = test_below(seed, m->bitmap->npages);
			kvm_dirty_bitmap_mark(m->bitmap, page);
			m->marked[page] = 1;
		}
	}
}

static void random_operations_match_the_array(void **state)
{
	/* Around a word, a group of words, and a word of the upper level. */
	static const u64 sizes[] = {1, 63, 64, 65, 4095, 4096, 4097, 20000, 64 * 4096 + 1};
	u64 seed = test_seed("dirty bitmap");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct model m = model_new(sizes[i], i % 2);
		u64 operations = test_scaled(sizes[i] > 5000 ? 200 : 2000);

		while (operations--)
			one_operation(&m, &seed);
		take(&m);
		take(&m);
		model_free(&m);
	}
}

/* ---- what it is for ------------------------------------------------------------------------- */

static void a_sparse_log_touches_what_is_marked_and_no_more(void **state)
{
	const u64 npages = 1ull << 28; /* 1 TiB */
	struct kvm_dirty_bitmap *bitmap = kvm_dirty_bitmap_new(npages, false);
	u64 group;

	(void)state;
	assert_non_null(bitmap);
	kvm_dirty_bitmap_mark(bitmap, 0);
	kvm_dirty_bitmap_mark(bitmap, npages - 1);
	kvm_dirty_bitmap_peek(bitmap);
	group = kvm_dirty_bitmap_next_group(bitmap, 0);
	assert_int_equal(group, 0);
	group = kvm_dirty_bitmap_next_group(bitmap, group + 1);
	assert_int_equal(group, bitmap->nr_groups - 1);
	assert_int_equal(kvm_dirty_bitmap_next_group(bitmap, group + 1), bitmap->nr_groups);
	kvm_dirty_bitmap_free(bitmap);
}

/* ---- threads -------------------------------------------------------------------------------- */

#define MARKERS	     3u
#define SHARED_PAGES 9000u

struct race {
	struct kvm_dirty_bitmap *bitmap;
	u64 seed;
	u64 marks;
	u32 done;
	u64 written[SHARED_PAGES]; /* counts, before the page is marked */
	u64 harvested[SHARED_PAGES];
};

struct marker {
	struct race *race;
	pthread_t thread;
	u64 seed;
};

static void *mark_many(void *arg)
{
	struct marker *marker = arg;
	struct race *race = marker->race;

	for (u64 i = 0; i < race->marks; i++) {
		/* Few pages mostly: bits meet bits that are being taken. */
		u64 page = test_below(&marker->seed, i % 4 ? 200 : SHARED_PAGES);

		__atomic_fetch_add(&race->written[page], 1, __ATOMIC_RELAXED);
		kvm_dirty_bitmap_mark(race->bitmap, page);
	}
	atomic_add(&race->done, 1);
	return NULL;
}

static void harvest_word(void *ctx, u64 first, u64 mask)
{
	struct race *race = ctx;

	for (; mask; mask &= mask - 1) {
		u64 page = first + (u64)__builtin_ctzll(mask);

		race->harvested[page] = atomic_peek(&race->written[page]);
	}
}

/* By turns as KVM_GET_DIRTY_LOG does it, and as get and clear do. */
static void harvest(struct race *race, bool manual)
{
	struct kvm_dirty_bitmap *bitmap = race->bitmap;

	if (!manual) {
		kvm_dirty_bitmap_take(bitmap, harvest_word, race);
		return;
	}
	/* More than was seen: what is cleared is what is there. */
	memset(bitmap->copy, 0xff, kvm_dirty_bitmap_bytes(bitmap));
	kvm_dirty_bitmap_clear(bitmap, 0, bitmap->nr_words, harvest_word, race);
}

static void no_mark_is_lost_between_threads(void **state)
{
	static struct race race;
	struct marker marker[MARKERS];

	(void)state;
	race = (struct race){.bitmap = kvm_dirty_bitmap_new(SHARED_PAGES, false),
			     .marks = test_scaled(300000)};
	race.seed = test_seed("dirty bitmap threads");
	assert_non_null(race.bitmap);
	for (u32 i = 0; i < MARKERS; i++) {
		marker[i] = (struct marker){.race = &race, .seed = race.seed + i};
		assert_int_equal(pthread_create(&marker[i].thread, NULL, mark_many, &marker[i]), 0);
	}
	for (u64 i = 0; atomic_observe(&race.done) < MARKERS; i++)
		harvest(&race, i % 2);
	for (u32 i = 0; i < MARKERS; i++)
		pthread_join(marker[i].thread, NULL);
	harvest(&race, false);
	assert_memory_equal(race.written, race.harvested, sizeof(race.written));
	kvm_dirty_bitmap_free(race.bitmap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_match_the_array),
		cmocka_unit_test(a_sparse_log_touches_what_is_marked_and_no_more),
		cmocka_unit_test(no_mark_is_lost_between_threads),
	};

	return cmocka_run_group_tests_name("dirty_bitmap", tests, NULL, NULL);
}
