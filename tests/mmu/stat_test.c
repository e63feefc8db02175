/* SPDX-License-Identifier: BSD-2-Clause */
/* The figures that KVM's names stand for, against what was done. */
#include "tests/mmu/test_vm.h"

#include <string.h>
#include <sys/mman.h>

static int setup(void **state)
{
	*state = test_vm_new();
	return 0;
}

static int teardown(void **state)
{
	test_vm_free(*state);
	return 0;
}

static void touch(struct test_vm *vm, gpa_t gpa)
{
	int err;

	assert_int_equal(test_fault(vm, gpa, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
}

/* The host changes pages [first, end). */
static void change(struct test_vm *vm, u64 first, u64 end)
{
	hva_t start = ptr_to_hva(vm->memory) + first * PAGE_SIZE;
	hva_t stop = ptr_to_hva(vm->memory) + end * PAGE_SIZE;

	kvm_mmu_hva_change_begin(&vm->kvm, start, stop);
	kvm_mmu_hva_change_end(&vm->kvm, start, stop);
}

static void expect_leaves(struct test_vm *vm, u64 small, u64 big)
{
	u64 leaves[KVM_STAT_LEVELS] = {0};

	kvm_mmu_count_leaves(&vm->kvm, leaves);
	assert_int_equal(leaves[PG_LEVEL_4K], small);
	assert_int_equal(leaves[PG_LEVEL_2M], big);
	assert_int_equal(leaves[PG_LEVEL_1G], 0);
}

static void leaves_are_counted_as_they_come_and_go(void **state)
{
	struct test_vm *vm = *state;

	madvise(vm->memory, TEST_BYTES, MADV_NOHUGEPAGE);
	expect_leaves(vm, 0, 0);
	for (u64 i = 0; i < 700; i++)
		touch(vm, TEST_GPA + i * PAGE_SIZE);
	expect_leaves(vm, 700, 0);
	change(vm, 3, 13);
	expect_leaves(vm, 690, 0);
	assert_int_equal(kvm_mmu_zap_all_fast(&vm->kvm), 0);
	expect_leaves(vm, 0, 0);
}

static void a_block_is_one_leaf(void **state)
{
	struct test_vm *vm = *state;

	/* Resident as a whole, so that the first fault may map the block. */
	memset(vm->memory, 1, 2u << 20);
	touch(vm, TEST_GPA);
	expect_leaves(vm, 0, 1);
}

static void a_spurious_fault_is_a_fast_one(void **state)
{
	struct test_vm *vm = *state;

	touch(vm, TEST_GPA);
	assert_int_equal(vm->vcpu[0].stat.pf_fast, 0);
	touch(vm, TEST_GPA);
	assert_int_equal(vm->vcpu[0].stat.pf_fast, 1);
	assert_int_equal(vm->vcpu[0].stat.pf_taken, 2);
}

static void unlinked_tables_are_counted(void **state)
{
	struct test_vm *vm = *state;

	touch(vm, TEST_GPA);
	assert_int_equal(vm->kvm.stat.mmu_shadow_zapped, 0);
	change(vm, 0, TEST_BYTES / PAGE_SIZE);
	/* The only page is gone: with it the tables of levels 1, 2 and 3. */
	assert_int_equal(vm->kvm.stat.mmu_shadow_zapped, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leaves_are_counted_as_they_come_and_go, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_block_is_one_leaf, setup, teardown),
		cmocka_unit_test_setup_teardown(a_spurious_fault_is_a_fast_one, setup, teardown),
		cmocka_unit_test_setup_teardown(unlinked_tables_are_counted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
