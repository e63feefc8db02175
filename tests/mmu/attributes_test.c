/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory attributes against a plain array, the memory they take, and the
 * bracket around a change.  (Linked with --wrap=mmu_host_alloc and _free.)
 */
#include "tests/mmu/test_vm.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/random.h"

/* ---- allocation, counted and failing ----------------------------------------------- */

void *__real_mmu_host_alloc(enum kvmu_site site, size_t bytes);
void __real_mmu_host_free(void *ptr);
void *__wrap_mmu_host_alloc(enum kvmu_site site, size_t bytes);
void __wrap_mmu_host_free(void *ptr);

static s64 nr_objects;
static long fail_after = -1; /* so many succeed; negative: all */

void *__wrap_mmu_host_alloc(enum kvmu_site site, size_t bytes)
{
	if (!fail_after)
		return NULL;
	if (fail_after > 0)
		fail_after--;
	atomic_add(&nr_objects, 1);
	return __real_mmu_host_alloc(site, bytes);
}

void __wrap_mmu_host_free(void *ptr)
{
	if (ptr)
		atomic_sub(&nr_objects, 1);
	__real_mmu_host_free(ptr);
}

/* ---- the model ------------------------------------------------------------------------ */

/* Windows of gfns: small blocks, the border of a big span, the very end. */
#define WINDOW 4096u

static const gfn_t windows[] = {
	0,
	(1ull << 18) - WINDOW / 2,
	(1ull << 36) - WINDOW / 2,
	(1ull << KVM_ATTRIBUTE_GFN_BITS) - WINDOW,
};

struct model {
	struct test_vm *vm;
	u64 random;
	u8 value[ARRAY_SIZE(windows)][WINDOW];
};

static int setup(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->vm = test_vm_new();
	m->random = test_seed("attributes");
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct model *m = *state;

	test_vm_free(m->vm);
	free(m);
	return 0;
}

static u64 below(struct model *m, u64 limit)
{
	return test_below(&m->random, limit);
}

static void model_set(struct model *m, gfn_t start, gfn_t end, u64 attributes)
{
	for (u32 w = 0; w < ARRAY_SIZE(windows); w++) {
		for (u32 i = 0; i < WINDOW; i++) {
			gfn_t gfn = windows[w] + i;

			if (gfn >= start && gfn < end)
				m->value[w][i] = (u8)attributes;
		}
	}
}

static bool model_uniform(const struct model *m, u32 w, u32 start, u32 end, u64 attributes)
{
	for (u32 i = start; i < end; i++) {
		if (m->value[w][i] != attributes)
			return false;
	}
	return true;
}

/* Short ones mostly, whole blocks sometimes, and now and then from one window into another. */
static void random_range(struct model *m, gfn_t *start, gfn_t *end)
{
	u32 w = (u32)below(m, ARRAY_SIZE(windows));
	u32 first = (u32)below(m, WINDOW);
	u64 pages = 1 + below(m, below(m, 4) ? 20 : WINDOW - first);

	*start = windows[w] + first;
	*end = windows[w] + min_u64(first + pages, WINDOW);
	if (!below(m, 4)) {
		*start = align_down(*start, 512);
		*end = align_up(*end, 512);
	}
	if (!below(m, 50)) {
		w = (u32)below(m, ARRAY_SIZE(windows));
		*end = max_u64(*end, windows[w] + 1 + below(m, WINDOW - 1));
	}
}

static void check_some(struct model *m)
{
	for (int i = 0; i < 8; i++) {
		u32 w = (u32)below(m, ARRAY_SIZE(windows));
		u32 start = (u32)below(m, WINDOW - 1);
		u32 room = WINDOW - start;
		u32 end = start + 1 + (u32)below(m, below(m, 2) && room > 8 ? 8 : room);
		u64 value = m->value[w][start];
		gfn_t gfn = windows[w] + start;

		assert_int_equal(kvm_get_memory_attributes(&m->vm->kvm, gfn), value);
		assert_int_equal(kvm_mem_is_private(&m->vm->kvm, gfn),
				 value == KVM_ATTRIBUTE_PRIVATE);
		assert_int_equal(
			kvm_range_has_memory_attributes(&m->vm->kvm, gfn, windows[w] + end, value),
			model_uniform(m, w, start, end, value));
	}
}

static void random_changes_agree_with_an_array(void **state)
{
	struct model *m = *state;

	for (u64 i = 0; i < test_scaled(20000); i++) {
		u64 attributes = below(m, 2) ? KVM_ATTRIBUTE_PRIVATE : 0;
		gfn_t start, end;

		random_range(m, &start, &end);
		assert_int_equal(kvm_set_memory_attributes(&m->vm->kvm, start, end, attributes), 0);
		model_set(m, start, end, attributes);
		check_some(m);
	}
}

/* ---- memory ---------------------------------------------------------------------------- */

#define ALL_GFNS BIT_ULL(KVM_ATTRIBUTE_GFN_BITS)

static void equal_neighbours_take_no_memory(void **state)
{
	struct model *m = *state;
	struct kvm *kvm = &m->vm->kvm;
	s64 before = nr_objects;

	for (u64 i = 0; i < 600; i++) {
		gfn_t gfn = i * 7 % 600;

		assert_int_equal(
			kvm_set_memory_attributes(kvm, gfn, gfn + 1, KVM_ATTRIBUTE_PRIVATE), 0);
	}
	/* Six levels on the way to each end of [0, 600), at most. */
	assert_in_range(nr_objects - before, 1, 12);
	assert_int_equal(kvm_set_memory_attributes(kvm, 0, ALL_GFNS, KVM_ATTRIBUTE_PRIVATE), 0);
	assert_int_equal(nr_objects, before);
	assert_true(kvm_range_has_memory_attributes(kvm, 0, ALL_GFNS, KVM_ATTRIBUTE_PRIVATE));
	assert_int_equal(kvm_set_memory_attributes(kvm, 1, ALL_GFNS - 1, 0), 0);
	assert_int_equal(kvm_set_memory_attributes(kvm, 0, 1, 0), 0);
	assert_int_equal(kvm_set_memory_attributes(kvm, ALL_GFNS - 1, ALL_GFNS, 0), 0);
	assert_int_equal(nr_objects, before);
}

static void without_memory_nothing_changes(void **state)
{
	struct model *m = *state;
	struct kvm *kvm = &m->vm->kvm;
	u64 seq;
	int err = -ENOMEM;

	assert_int_equal(kvm_set_memory_attributes(kvm, 100, 3000, KVM_ATTRIBUTE_PRIVATE), 0);
	seq = kvm->mmu_invalidate_seq;
	for (long n = 0; err; n++) {
		s64 before = nr_objects;

		fail_after = n;
		err = kvm_set_memory_attributes(kvm, 200, (1ull << 30) + 5, 0);
		fail_after = -1;
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(nr_objects, before);
		assert_int_equal(kvm->mmu_invalidate_seq, seq);
		assert_true(kvm_range_has_memory_attributes(kvm, 100, 3000, KVM_ATTRIBUTE_PRIVATE));
		assert_true(kvm_range_has_memory_attributes(kvm, 3000, 1ull << 40, 0));
		assert_in_range(n, 0, 12);
	}
	assert_true(kvm_range_has_memory_attributes(kvm, 100, 200, KVM_ATTRIBUTE_PRIVATE));
	assert_true(kvm_range_has_memory_attributes(kvm, 200, 1ull << 40, 0));
}

/* ---- the bracket ----------------------------------------------------------------------- */

static void only_a_real_change_moves_the_sequence(void **state)
{
	struct model *m = *state;
	struct kvm *kvm = &m->vm->kvm;
	gfn_t gfn = gpa_to_gfn(TEST_GPA);
	u64 seq = kvm->mmu_invalidate_seq;
	int err;

	for (u64 i = 0; i < 4; i++)
		test_fault(m->vm, TEST_GPA + i * PAGE_SIZE, PFERR_WRITE_MASK, &err);
	assert_int_equal(kvm_set_memory_attributes(kvm, gfn, gfn + 4, 0), 0);
	assert_int_equal(kvm->mmu_invalidate_seq, seq);
	assert_true(test_leaf(m->vm, TEST_GPA).present);

	assert_int_equal(kvm_set_memory_attributes(kvm, gfn + 1, gfn + 3, KVM_ATTRIBUTE_PRIVATE),
			 0);
	assert_int_equal(kvm->mmu_invalidate_seq, seq + 1);
	assert_int_equal(kvm->mmu_invalidate_in_progress, 0);
	for (u64 i = 0; i < 4; i++)
		assert_int_equal(test_leaf(m->vm, TEST_GPA + i * PAGE_SIZE).present,
				 i == 0 || i == 3);
	assert_int_equal(kvm->stat.invalidated_leaves, 2);
}

static void bugged_vm_answers_eio(void **state)
{
	struct model *m = *state;

	kvm_vm_bugged(&m->vm->kvm);
	assert_int_equal(kvm_set_memory_attributes(&m->vm->kvm, 0, 1, KVM_ATTRIBUTE_PRIVATE), -EIO);
	assert_false(kvm_mem_is_private(&m->vm->kvm, 0));
}

/* ---- readers beside a writer ------------------------------------------------------------- */

struct reader {
	const struct kvm *kvm;
	bool stop;
	u64 wrong;
};

/* Page 1000 is always private and page 5000 never, whatever goes on around them. */
static void *read_all_the_time(void *arg)
{
	struct reader *r = arg;

	while (!atomic_peek(&r->stop)) {
		r->wrong += !kvm_mem_is_private(r->kvm, 1000);
		r->wrong += kvm_mem_is_private(r->kvm, 5000);
		r->wrong += kvm_range_has_memory_attributes(r->kvm, 999, 5001, 0);
	}
	return NULL;
}

static void readers_need_no_lock(void **state)
{
	struct model *m = *state;
	struct reader reader = {.kvm = &m->vm->kvm};
	pthread_t thread;

	assert_int_equal(kvm_set_memory_attributes(&m->vm->kvm, 1000, 1001, KVM_ATTRIBUTE_PRIVATE),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &reader), 0);
	for (u64 i = 0; i < test_scaled(3000); i++) {
		u64 attributes = i & 1 ? 0 : KVM_ATTRIBUTE_PRIVATE;
		gfn_t start = 1001 + below(m, 3000);
		gfn_t end = start + 1 + below(m, 4999 - start);

		assert_int_equal(kvm_set_memory_attributes(&m->vm->kvm, start, end, attributes), 0);
		if (!below(m, 4))
			assert_int_equal(
				kvm_set_memory_attributes(&m->vm->kvm, 1001, 5000, attributes), 0);
	}
	atomic_poke(&reader.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(reader.wrong, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_changes_agree_with_an_array),
		TEST(equal_neighbours_take_no_memory),
		TEST(without_memory_nothing_changes),
		TEST(only_a_real_change_moves_the_sequence),
		TEST(bugged_vm_answers_eio),
		TEST(readers_need_no_lock),
	};

	return cmocka_run_group_tests_name("attributes", tests, NULL, NULL);
}
