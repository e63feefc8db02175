/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The races of a fault, made certain: something happens at the very moment the
 * host is looking the page up, which is between the reading of the sequence
 * and the stale test.  (Linked with --wrap=mmu_host_faultin_page.)
 */
#include "tests/mmu/test_vm.h"

int __real_mmu_host_faultin_page(hva_t hva, bool write);
int __wrap_mmu_host_faultin_page(hva_t hva, bool write);

static void (*meanwhile)(struct test_vm *vm);
static struct test_vm *the_vm;
static unsigned int lookups;

int __wrap_mmu_host_faultin_page(hva_t hva, bool write)
{
	int err = __real_mmu_host_faultin_page(hva, write);

	lookups++;
	if (meanwhile)
		meanwhile(the_vm);
	return err;
}

/* The change that a race leaves open, or nothing. */
static hva_t open_start, open_end;

static void open_change(struct test_vm *vm, u64 first_page, u64 pages)
{
	open_start = ptr_to_hva(vm->memory) + first_page * PAGE_SIZE;
	open_end = open_start + pages * PAGE_SIZE;
	kvm_mmu_hva_change_begin(&vm->kvm, open_start, open_end);
}

static void close_change(struct test_vm *vm)
{
	if (open_end)
		kvm_mmu_hva_change_end(&vm->kvm, open_start, open_end);
	open_end = 0;
}

static void whole_change(struct test_vm *vm)
{
	open_change(vm, 0, 4);
	close_change(vm);
}

static void change_opens(struct test_vm *vm)
{
	open_change(vm, 0, 4);
}

static void change_opens_elsewhere(struct test_vm *vm)
{
	open_change(vm, 100, 4);
}

static void slot_goes(struct test_vm *vm)
{
	assert_int_equal(test_set_slot(vm, 0, 0, TEST_GPA, 0, NULL), 0);
}

static void slot_moves(struct test_vm *vm)
{
	assert_int_equal(test_set_slot(vm, 0, 0, 2 * TEST_GPA, TEST_BYTES, vm->memory), 0);
}

static void slot_comes_elsewhere(struct test_vm *vm)
{
	assert_int_equal(test_set_slot(vm, 9, 0, 8 * TEST_GPA, PAGE_SIZE, vm->memory), 0);
}

struct race {
	const char *what;
	void (*meanwhile)(struct test_vm *vm);
	enum kvm_ret_pf outcome;
	bool mapped;
};

static const struct race races[] = {
	{"a change passes by", whole_change, RET_PF_RETRY, false},
	{"a change opens over the page", change_opens, RET_PF_RETRY, false},
	{"a change opens elsewhere", change_opens_elsewhere, RET_PF_FIXED, true},
	{"the slot is deleted", slot_goes, RET_PF_RETRY, false},
	{"the slot is moved", slot_moves, RET_PF_RETRY, false},
	{"another slot is created", slot_comes_elsewhere, RET_PF_FIXED, true},
};

static void run_race(const struct race *race)
{
	struct test_vm *vm = test_vm_new();
	int err;

	the_vm = vm;
	meanwhile = race->meanwhile;
	assert_int_equal(test_fault(vm, TEST_GPA + PAGE_SIZE, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	meanwhile = NULL;
	if (test_outcomes(vm, race->outcome) != 1 ||
	    test_leaf(vm, TEST_GPA + PAGE_SIZE).present != race->mapped)
		fail_msg("%s: not %s", race->what, kvm_ret_pf_name(race->outcome));
	close_change(vm);
	test_vm_free(vm);
}

static void what_happens_during_the_lookup_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(races); i++)
		run_race(&races[i]);
}

/* The early test: who would be sent back later does not ask the host for the page. */
static void an_open_change_is_noticed_before_the_lookup(void **state)
{
	struct test_vm *vm = test_vm_new();
	int err;

	(void)state;
	change_opens(vm);
	lookups = 0;
	test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err);
	assert_int_equal(test_outcomes(vm, RET_PF_RETRY), 1);
	assert_int_equal(lookups, 0);
	close_change(vm);
	test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err);
	assert_int_equal(lookups, 1);
	test_vm_free(vm);
}

/* A slot of the same gfn over other memory between classification and look-up. */
static void slot_replaced_before_the_lookup_maps_the_new_memory(void **state)
{
	struct test_vm *vm = test_vm_new();
	int err;

	(void)state;
	the_vm = vm;
	meanwhile = slot_goes;
	test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err);
	meanwhile = NULL;
	assert_int_equal(test_set_slot(vm, 0, 0, TEST_GPA, PAGE_SIZE, vm->memory + PAGE_SIZE), 0);
	test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err);
	assert_int_equal(test_leaf(vm, TEST_GPA).hpa, ptr_to_hva(vm->memory) + PAGE_SIZE);
	test_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_happens_during_the_lookup_is_noticed),
		cmocka_unit_test(an_open_change_is_noticed_before_the_lookup),
		cmocka_unit_test(slot_replaced_before_the_lookup_maps_the_new_memory),
	};

	return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
