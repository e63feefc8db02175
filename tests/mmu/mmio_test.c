/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notes in the tables of where no memory is: who believes them and until when,
 * what they cost, the generation that starts anew, and slots that come and go
 * under faults.
 */
#include <pthread.h>

#include "mmu/vm.h"
#include "pgtable/instance/ept.h"
#include "tests/mmu/test_vm.h"
#include "tests/random.h"

#define DEVICE	  0xfe000000ull
#define FAR_AWAY  (1ull << 41)
#define ANOTHER	  7u /* a slot beside the fixture's */
#define ANOTHER_2 8u

static int setup(void **state)
{
	*state = test_vm_new();
	return 0;
}

static int teardown(void **state)
{
	struct test_vm *vm = *state;

	assert_int_equal(ept_check(&vm->kvm.pgt[0]), 0);
	test_vm_free(vm);
	return 0;
}

static enum kvm_mmu_verdict fault_of(struct test_vm *vm, u32 vcpu, gpa_t gpa)
{
	int err;

	return kvm_mmu_page_fault(&vm->vcpu[vcpu], gpa, PFERR_WRITE_MASK, &err);
}

static u64 notes_made(const struct test_vm *vm)
{
	u64 made = 0;

	for (u32 i = 0; i < TEST_VCPUS; i++)
		made += vm->vcpu[i].stat.pf_mmio_spte_created;
	return made;
}

/* Table pages that are in the tree, not waiting in a vCPU's cache. */
static u64 tables_in_tree(const struct test_vm *vm)
{
	u64 pages = vm->kvm.arena.pages;

	for (u32 i = 0; i < TEST_VCPUS; i++)
		pages -= vm->vcpu[i].table_cache.nr;
	return pages;
}

static void put_slot(struct test_vm *vm, u32 id, gpa_t gpa, u64 pages)
{
	assert_int_equal(test_set_slot(vm, id, 0, gpa, pages * PAGE_SIZE, vm->memory), 0);
}

static void another_vcpu_believes_it(void **state)
{
	struct test_vm *vm = *state;
	struct kvm_pgtable_leaf leaf;

	assert_int_equal(fault_of(vm, 0, DEVICE), KVM_MMU_EMULATE);
	leaf = test_leaf(vm, DEVICE);
	assert_false(leaf.present);
	assert_true(leaf.mmio);
	assert_int_equal(leaf.mmio_generation, vm->kvm.memslots[0]->generation);
	assert_int_equal(fault_of(vm, 1, DEVICE), KVM_MMU_EMULATE);
	/* It has neither looked for a slot nor noted anything. */
	assert_int_equal(vm->vcpu[1].mmio_gen, 0);
	assert_int_equal(vm->vcpu[1].stat.pf_mmio_spte_created, 0);
	assert_int_equal(vm->vcpu[1].stat.pf_mmio, 1);
	assert_int_equal(notes_made(vm), 1);
}

static void one_note_speaks_for_all_without_memory(void **state)
{
	struct test_vm *vm = *state;
	u64 tables = tables_in_tree(vm), i;

	for (i = 0; i < 1000; i++)
		assert_int_equal(fault_of(vm, i % TEST_VCPUS, FAR_AWAY + i * (64ull << 20)),
				 KVM_MMU_EMULATE);
	assert_int_equal(notes_made(vm), 1);
	assert_int_equal(tables_in_tree(vm), tables);
}

static void beside_memory_it_is_as_big_as_can_be(void **state)
{
	struct test_vm *vm = *state;
	u64 block = pages_per_level(PG_LEVEL_2M) << PAGE_SHIFT;

	put_slot(vm, ANOTHER, FAR_AWAY + block, 3);
	assert_int_equal(fault_of(vm, 0, FAR_AWAY), KVM_MMU_EMULATE);
	assert_int_equal(test_leaf(vm, FAR_AWAY).level, PG_LEVEL_2M);
	assert_int_equal(fault_of(vm, 0, FAR_AWAY + block + 3 * PAGE_SIZE), KVM_MMU_EMULATE);
	assert_int_equal(test_leaf(vm, FAR_AWAY + block + 3 * PAGE_SIZE).level, PG_LEVEL_4K);
	assert_int_equal(fault_of(vm, 0, FAR_AWAY + block + 2 * PAGE_SIZE), KVM_MMU_RESUME_GUEST);
	assert_true(test_leaf(vm, FAR_AWAY + block + 3 * PAGE_SIZE).mmio);
}

static void a_slot_that_comes_ends_it(void **state)
{
	struct test_vm *vm = *state;
	u64 tables;

	for (u32 i = 0; i < TEST_VCPUS; i++)
		assert_int_equal(fault_of(vm, i, FAR_AWAY), KVM_MMU_EMULATE);
	tables = tables_in_tree(vm);
	put_slot(vm, ANOTHER, FAR_AWAY, 1);
	assert_int_equal(fault_of(vm, 1, FAR_AWAY), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, FAR_AWAY).hpa, ptr_to_hva(vm->memory));
	assert_int_equal(tables_in_tree(vm), tables + 3);

	/* When it goes its tables go too: of the old note nothing was kept in them. */
	put_slot(vm, ANOTHER, FAR_AWAY, 0);
	assert_int_equal(tables_in_tree(vm), tables);
	assert_int_equal(fault_of(vm, 3, FAR_AWAY), KVM_MMU_EMULATE);
	assert_true(test_leaf(vm, FAR_AWAY).mmio);
}

/* A fault that looked before the slot came, and is late with its note. */
static void a_note_of_older_slots_is_not_made(void **state)
{
	struct test_vm *vm = *state;
	u64 generation = vm->kvm.memslots[0]->generation;

	put_slot(vm, ANOTHER, DEVICE, 1);
	kvm_mmu_mmio_remember(&vm->vcpu[0], gpa_to_gfn(DEVICE), generation);
	assert_false(test_leaf(vm, DEVICE).mmio);
	assert_int_equal(notes_made(vm), 0);
	assert_int_equal(fault_of(vm, 0, DEVICE), KVM_MMU_RESUME_GUEST);
	assert_int_equal(fault_of(vm, 1, DEVICE), KVM_MMU_RESUME_GUEST);
}

static void zapping_it_owes_nothing(void **state)
{
	struct test_vm *vm = *state;
	struct kvm_pgtable_flush flush = {0};
	u64 leaves = vm->kvm.stat.invalidated_leaves;

	assert_int_equal(fault_of(vm, 0, DEVICE), KVM_MMU_EMULATE);
	mmu_write_lock(&vm->kvm.mmu_lock);
	kvm_mmu_zap_gfn_range(&vm->kvm, 0, gpa_to_gfn(DEVICE), gpa_to_gfn(DEVICE) + 1, &flush);
	mmu_write_unlock(&vm->kvm.mmu_lock);
	assert_false(test_leaf(vm, DEVICE).mmio);
	assert_int_equal(flush.entries, 0);
	assert_int_equal(vm->kvm.stat.invalidated_leaves, leaves);
	assert_int_equal(fault_of(vm, 1, DEVICE), KVM_MMU_EMULATE);
	assert_int_equal(notes_made(vm), 2);
}

static void a_generation_that_returns_is_not_believed(void **state)
{
	struct test_vm *vm = *state;
	u64 before = vm->kvm.memslots[0]->generation;

	assert_int_equal(fault_of(vm, 0, DEVICE), KVM_MMU_EMULATE);
	assert_int_equal(fault_of(vm, 0, TEST_GPA), KVM_MMU_RESUME_GUEST);
	/* As after that many changes. */
	vm->kvm.memslots[0]->generation = (1ull << 32) - 1;
	assert_int_equal(fault_of(vm, 1, FAR_AWAY), KVM_MMU_EMULATE);
	assert_int_equal(test_leaf(vm, FAR_AWAY).mmio_generation, 0xffffffff);

	put_slot(vm, ANOTHER, DEVICE, 1);
	assert_int_equal(vm->kvm.memslots[0]->generation, 1ull << 32);
	assert_false(test_leaf(vm, DEVICE).mmio || test_leaf(vm, FAR_AWAY).mmio);
	assert_false(test_leaf(vm, TEST_GPA).present);
	assert_int_equal(fault_of(vm, 2, FAR_AWAY), KVM_MMU_EMULATE);
	assert_false(test_leaf(vm, FAR_AWAY).mmio);
	assert_int_equal(notes_made(vm), 2);

	while ((u32)vm->kvm.memslots[0]->generation != before)
		put_slot(vm, ANOTHER_2, FAR_AWAY, !(vm->kvm.memslots[0]->generation & 1));
	assert_int_equal(fault_of(vm, 1, DEVICE), KVM_MMU_RESUME_GUEST);
	assert_int_equal(fault_of(vm, 1, TEST_GPA), KVM_MMU_RESUME_GUEST);
}

/* ---- slots that come and go under faults ------------------------------------------- */

enum phase { NO_SLOT, COMING, SLOT, GOING, PHASES };

struct race {
	struct test_vm *vm;
	u64 at; /* counts phases */
	bool over;
	u64 judged[PHASES];
	u64 wrong;
};

struct racer {
	struct race *race;
	u32 vcpu;
};

static void *fault_and_judge(void *arg)
{
	const struct racer *r = arg;
	struct race *race = r->race;

	while (!atomic_observe(&race->over)) {
		u64 before = atomic_observe(&race->at);
		enum kvm_mmu_verdict verdict = fault_of(race->vm, r->vcpu, DEVICE);
		enum phase phase = (enum phase)(before % PHASES);

		barrier_full();
		if (atomic_observe(&race->at) != before)
			continue;
		atomic_add(&race->judged[phase], 1);
		if ((phase == NO_SLOT && verdict != KVM_MMU_EMULATE) ||
		    (phase == SLOT && verdict != KVM_MMU_RESUME_GUEST))
			atomic_add(&race->wrong, 1);
	}
	return NULL;
}

/* The next phase, and in it until some fault has been judged. */
static void advance(struct race *race)
{
	u64 before, phase = (race->at + 1) % PHASES;

	before = atomic_observe(&race->judged[phase]);
	atomic_add(&race->at, 1);
	barrier_full();
	for (unsigned int turn = 0; atomic_observe(&race->judged[phase]) < before + 2; turn++)
		mmu_host_wait_turn(turn);
}

static void slots_come_and_go_under_faults(void **state)
{
	struct race race = {.vm = *state};
	struct racer racer[2];
	pthread_t thread[2];

	for (u32 i = 0; i < 2; i++) {
		racer[i] = (struct racer){&race, i + 1};
		assert_int_equal(pthread_create(&thread[i], NULL, fault_and_judge, &racer[i]), 0);
	}
	for (u64 i = 0; i < test_scaled(200); i++) {
		atomic_add(&race.at, 1);
		put_slot(race.vm, ANOTHER, DEVICE, 1);
		advance(&race);
		atomic_add(&race.at, 1);
		put_slot(race.vm, ANOTHER, DEVICE, 0);
		advance(&race);
	}
	atomic_publish(&race.over, true);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(race.wrong, 0);
	assert_true(race.judged[NO_SLOT] && race.judged[SLOT]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_vcpu_believes_it),
		TEST(one_note_speaks_for_all_without_memory),
		TEST(beside_memory_it_is_as_big_as_can_be),
		TEST(a_slot_that_comes_ends_it),
		TEST(a_note_of_older_slots_is_not_made),
		TEST(zapping_it_owes_nothing),
		TEST(a_generation_that_returns_is_not_believed),
		TEST(slots_come_and_go_under_faults),
	};

	return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}
