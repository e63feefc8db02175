/* SPDX-License-Identifier: BSD-2-Clause */
/* Ageing by program address: who is young, who is not asked, what flush it takes. */
#include "tests/mmu/test_vm.h"

#include "pgtable/instance/ept.h"

static int setup(void **state)
{
	struct test_vm *vm = test_vm_new();
	int err;

	*state = vm;
	for (u64 i = 0; i < 4 * PAGE_SIZE; i += PAGE_SIZE)
		assert_int_equal(test_fault(vm, TEST_GPA + i, PFERR_WRITE_MASK, &err),
				 KVM_MMU_RESUME_GUEST);
	return 0;
}

static int teardown(void **state)
{
	test_vm_free(*state);
	return 0;
}

static bool is_young(struct test_vm *vm, u64 page)
{
	return test_leaf(vm, TEST_GPA + page * PAGE_SIZE).accessed;
}

static void a_fault_makes_young_and_ageing_old(void **state)
{
	struct test_vm *vm = *state;
	hva_t page1 = ptr_to_hva(vm->memory) + PAGE_SIZE;
	u64 flushes = vm->kvm.stat.remote_tlb_flush_requests;

	assert_true(is_young(vm, 1));
	assert_true(kvm_mmu_test_age_hva(&vm->kvm, page1, page1 + 1));
	assert_int_equal(vm->kvm.stat.remote_tlb_flush_requests, flushes);
	assert_true(kvm_mmu_age_hva(&vm->kvm, page1, page1 + 1));
	assert_int_equal(vm->kvm.stat.remote_tlb_flush_requests, flushes + 1);
	assert_false(is_young(vm, 1));
	assert_true(is_young(vm, 0) && is_young(vm, 2));
	/* Old already: nothing to do and nothing to flush. */
	assert_false(kvm_mmu_age_hva(&vm->kvm, page1, page1 + PAGE_SIZE));
	assert_int_equal(vm->kvm.stat.remote_tlb_flush_requests, flushes + 1);
}

static void what_the_mmu_marks_is_seen(void **state)
{
	struct test_vm *vm = *state;
	hva_t page2 = ptr_to_hva(vm->memory) + 2 * PAGE_SIZE;

	assert_true(kvm_mmu_age_hva(&vm->kvm, page2, page2 + PAGE_SIZE));
	assert_false(kvm_mmu_test_age_hva(&vm->kvm, page2, page2 + PAGE_SIZE));
	assert_int_equal(ept_mkyoung(&vm->kvm.pgt[0], TEST_GPA + 2 * PAGE_SIZE, 0), 0);
	assert_true(kvm_mmu_test_age_hva(&vm->kvm, page2, page2 + PAGE_SIZE));
}

static void memory_of_two_slots_is_asked_for_in_both(void **state)
{
	struct test_vm *vm = *state;
	hva_t start = ptr_to_hva(vm->memory);
	int err;

	assert_true(kvm_mmu_age_hva(&vm->kvm, start, start + TEST_BYTES));
	assert_int_equal(test_set_slot(vm, 1, 0, 4 * TEST_GPA, PAGE_SIZE, vm->memory), 0);
	assert_int_equal(test_fault(vm, 4 * TEST_GPA, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_false(is_young(vm, 0));
	assert_true(kvm_mmu_age_hva(&vm->kvm, start, start + PAGE_SIZE));
	assert_false(test_leaf(vm, 4 * TEST_GPA).accessed);
}

static void memory_that_backs_nothing_is_old(void **state)
{
	struct test_vm *vm = *state;

	assert_false(kvm_mmu_age_hva(&vm->kvm, 0x1000, 0x200000));
	assert_false(kvm_mmu_test_age_hva(&vm->kvm, 0, PAGE_SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_fault_makes_young_and_ageing_old, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_the_mmu_marks_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_of_two_slots_is_asked_for_in_both, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_that_backs_nothing_is_old, setup, teardown),
	};

	return cmocka_run_group_tests_name("age", tests, NULL, NULL);
}
