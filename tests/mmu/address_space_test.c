/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two address spaces of one VM: each has its slots, tables and log, and what
 * happens to program memory reaches both.
 *
 * Cannot show: what a CPU in system management mode does with the second one
 * (tests/kvm/smm_test.c).
 */
#include "tests/mmu/test_vm.h"

#include "pgtable/instance/ept.h"

#define SMM	  (1u << 16)
#define SMM_BYTES (64 * PAGE_SIZE)
/* Of the program's memory, what the second space has at TEST_GPA. */
#define OTHER (4ull << 20)

static int setup(void **state)
{
	struct test_vm *vm = *state = test_vm_new();

	return test_set_slot(vm, SMM, 0, TEST_GPA, SMM_BYTES, vm->memory + OTHER);
}

static int teardown(void **state)
{
	test_vm_free(*state);
	return 0;
}

static struct kvm_pgtable_leaf leaf_in(struct test_vm *vm, u32 as_id, gpa_t gpa)
{
	struct kvm_pgtable_leaf leaf;

	assert_int_equal(ept_get_leaf(&vm->kvm.pgt[as_id], gpa, &leaf), 0);
	return leaf;
}

/* vCPU 0 is in the first space, vCPU 1 in the second. */
static void fault_in_both(struct test_vm *vm, gpa_t gpa, u64 error_code)
{
	int err;

	assert_int_equal(kvm_mmu_page_fault(&vm->vcpu[0], gpa, error_code, &err),
			 KVM_MMU_RESUME_GUEST);
	kvm_mmu_set_smm(&vm->vcpu[1], true);
	assert_int_equal(kvm_mmu_page_fault(&vm->vcpu[1], gpa, error_code, &err),
			 KVM_MMU_RESUME_GUEST);
}

static void one_gfn_leads_to_two_pages(void **state)
{
	struct test_vm *vm = *state;

	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	assert_int_equal(leaf_in(vm, 0, TEST_GPA).hpa, ptr_to_hva(vm->memory));
	assert_int_equal(leaf_in(vm, 1, TEST_GPA).hpa, ptr_to_hva(vm->memory + OTHER));
	assert_ptr_equal(vm->vcpu[0].mmu->root, vm->kvm.pgt[0].root);
	assert_ptr_equal(vm->vcpu[1].mmu->root, vm->kvm.pgt[1].root);
}

/* A vCPU that changes spaces forgets the slot and the device that it found last. */
static void what_a_vcpu_remembers_is_of_one_space(void **state)
{
	struct test_vm *vm = *state;
	const gpa_t only_first = TEST_GPA + SMM_BYTES, only_second = 0x1000;
	int err;

	assert_int_equal(test_set_slot(vm, SMM | 1, 0, only_second, PAGE_SIZE, vm->memory), 0);
	/* Both spaces have the same generation now but for one change. */
	assert_int_equal(test_set_slot(vm, 1, 0, 0x100000, PAGE_SIZE, vm->memory), 0);
	for (u32 i = 0; i < 3; i++) {
		kvm_mmu_set_smm(&vm->vcpu[0], false);
		assert_int_equal(test_fault(vm, only_first, 0, &err), KVM_MMU_RESUME_GUEST);
		assert_int_equal(test_fault(vm, only_second, 0, &err), KVM_MMU_EMULATE);
		kvm_mmu_set_smm(&vm->vcpu[0], true);
		assert_int_equal(test_fault(vm, only_second, 0, &err), KVM_MMU_RESUME_GUEST);
		assert_int_equal(test_fault(vm, only_first, 0, &err), KVM_MMU_EMULATE);
	}
	assert_true(leaf_in(vm, 1, only_second).present);
	assert_true(leaf_in(vm, 0, only_first).present);
	assert_true(leaf_in(vm, 0, only_second).mmio);
	assert_true(leaf_in(vm, 1, only_first).mmio);
}

static void a_slot_that_goes_leaves_the_other_space(void **state)
{
	struct test_vm *vm = *state;
	int err;

	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	assert_int_equal(test_set_slot(vm, SMM, 0, 0, 0, NULL), 0);
	assert_true(leaf_in(vm, 0, TEST_GPA).present);
	assert_false(leaf_in(vm, 1, TEST_GPA).present);
	assert_int_equal(kvm_mmu_page_fault(&vm->vcpu[1], TEST_GPA, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_set_slot(vm, SMM, 0, 0, 0, NULL), -EINVAL);

	assert_int_equal(test_set_slot(vm, SMM, 0, TEST_GPA, SMM_BYTES, vm->memory), 0);
	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	assert_int_equal(test_set_slot(vm, 0, 0, 0, 0, NULL), 0);
	assert_false(leaf_in(vm, 0, TEST_GPA).present);
	assert_true(leaf_in(vm, 1, TEST_GPA).present);
}

/* The same memory at different places of the two spaces. */
static void the_host_takes_memory_from_both(void **state)
{
	struct test_vm *vm = *state;
	const hva_t page = ptr_to_hva(vm->memory + OTHER);
	int err;

	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	assert_int_equal(test_fault(vm, TEST_GPA + OTHER, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_true(kvm_mmu_test_age_hva(&vm->kvm, page, page + PAGE_SIZE));
	assert_true(kvm_mmu_age_hva(&vm->kvm, page, page + PAGE_SIZE));
	assert_false(leaf_in(vm, 0, TEST_GPA + OTHER).accessed);
	assert_false(leaf_in(vm, 1, TEST_GPA).accessed);

	kvm_mmu_hva_change_begin(&vm->kvm, page, page + PAGE_SIZE);
	assert_false(leaf_in(vm, 0, TEST_GPA + OTHER).present);
	assert_false(leaf_in(vm, 1, TEST_GPA).present);
	assert_true(leaf_in(vm, 0, TEST_GPA).present);
	assert_int_equal(kvm_mmu_page_fault(&vm->vcpu[1], TEST_GPA, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_false(leaf_in(vm, 1, TEST_GPA).present);
	kvm_mmu_hva_change_end(&vm->kvm, page, page + PAGE_SIZE);
	assert_int_equal(kvm_mmu_page_fault(&vm->vcpu[1], TEST_GPA, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_true(leaf_in(vm, 1, TEST_GPA).present);
}

/* Memory that only the second space has is found as well. */
static void memory_of_the_second_space_alone(void **state)
{
	struct test_vm *vm = *state;
	const hva_t page = ptr_to_hva(vm->memory + OTHER);

	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	assert_int_equal(test_set_slot(vm, 0, 0, 0, 0, NULL), 0);
	kvm_mmu_hva_change_begin(&vm->kvm, page, page + PAGE_SIZE);
	assert_false(leaf_in(vm, 1, TEST_GPA).present);
	kvm_mmu_hva_change_end(&vm->kvm, page, page + PAGE_SIZE);
}

static void all_at_once_is_both(void **state)
{
	struct test_vm *vm = *state;
	u64 leaves[KVM_STAT_LEVELS] = {0};

	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	kvm_mmu_count_leaves(&vm->kvm, leaves);
	assert_int_equal(leaves[PG_LEVEL_4K], 2);
	assert_int_equal(kvm_mmu_zap_all_fast(&vm->kvm), 0);
	for (u32 as_id = 0; as_id < 2; as_id++) {
		assert_false(leaf_in(vm, as_id, TEST_GPA).present);
		/* Until it reloads, a vCPU is on its old root, and all its faults are stale. */
		assert_ptr_not_equal(vm->vcpu[as_id].mmu->root, vm->kvm.pgt[as_id].root);
		kvm_mmu_reload(&vm->vcpu[as_id]);
	}
	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	assert_true(leaf_in(vm, 0, TEST_GPA).present && leaf_in(vm, 1, TEST_GPA).present);
}

/* ---- dirty logging ------------------------------------------------------------------ */

static int put_first_word(void *ctx, u64 offset, const void *from, u64 bytes)
{
	if (!offset && bytes >= sizeof(u64) && from)
		__builtin_memcpy(ctx, from, sizeof(u64));
	return 0;
}

static u64 first_word_of_log(struct test_vm *vm, u32 slot)
{
	u64 word = 0;
	const struct kvm_dirty_user user = {.put = put_first_word, .ctx = &word};

	assert_int_equal(kvm_get_dirty_log(&vm->kvm, slot, &user), 0);
	return word;
}

static void each_space_has_its_log(void **state)
{
	struct test_vm *vm = *state;
	const char text[] = "text";
	int err;

	assert_int_equal(
		test_set_slot(vm, SMM, KVM_SLOT_LOG_DIRTY, TEST_GPA, SMM_BYTES, vm->memory + OTHER),
		0);
	fault_in_both(vm, TEST_GPA, PFERR_WRITE_MASK);
	/* Write permission that only logging took away, in one space and not in the other. */
	assert_int_equal(first_word_of_log(vm, SMM), 1);
	assert_false(leaf_in(vm, 1, TEST_GPA).prot & KVM_PGTABLE_PROT_W);
	assert_true(leaf_in(vm, 0, TEST_GPA).prot & KVM_PGTABLE_PROT_W);
	assert_int_equal(kvm_mmu_page_fault(&vm->vcpu[1], TEST_GPA, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(vm->vcpu[1].stat.pf_fast, 1);
	/* What KVM writes by itself is in the first space, what a vCPU has it write in its own. */
	assert_int_equal(kvm_write_guest(&vm->kvm, TEST_GPA + 2 * PAGE_SIZE, text, sizeof(text)),
			 0);
	assert_int_equal(
		kvm_vcpu_write_shared(&vm->vcpu[1], TEST_GPA + 3 * PAGE_SIZE, text, sizeof(text)),
		0);
	assert_int_equal(
		kvm_vcpu_write_guest(&vm->vcpu[1], TEST_GPA + 4 * PAGE_SIZE, text, sizeof(text)),
		0);
	assert_string_equal(vm->memory + OTHER + 4 * PAGE_SIZE, text);
	assert_string_equal(vm->memory + 3 * PAGE_SIZE, text);
	assert_int_equal(first_word_of_log(vm, SMM), 1u << 0 | 1u << 4);
	assert_int_equal(kvm_get_dirty_log(&vm->kvm, 0, NULL), -ENOENT);
	assert_int_equal(kvm_get_dirty_log(&vm->kvm, 2 * SMM, NULL), -EINVAL);
}

/* Entries name the space, also those that user space gives back. */
static void rings_name_the_space(void **state)
{
	static struct kvm_ring_entry entry[1024];
	struct test_vm *vm = *state;

	vm->kvm.dirty.ring_bytes = sizeof(entry);
	kvm_dirty_ring_init(&vm->vcpu[1].dirty_ring, entry, sizeof(entry), KVM_RING_RESERVED);
	assert_int_equal(
		test_set_slot(vm, SMM, KVM_SLOT_LOG_DIRTY, TEST_GPA, SMM_BYTES, vm->memory + OTHER),
		0);
	fault_in_both(vm, TEST_GPA + PAGE_SIZE, PFERR_WRITE_MASK);
	assert_int_equal(vm->vcpu[1].dirty_ring.dirty_index, 1);
	assert_int_equal(entry[0].slot, SMM);
	assert_int_equal(entry[0].offset, 1);
	assert_true(leaf_in(vm, 1, TEST_GPA + PAGE_SIZE).prot & KVM_PGTABLE_PROT_W);
	entry[0].flags = KVM_RING_RESET;
	assert_int_equal(kvm_reset_dirty_rings(&vm->kvm), 1);
	assert_false(leaf_in(vm, 1, TEST_GPA + PAGE_SIZE).prot & KVM_PGTABLE_PROT_W);
	assert_true(leaf_in(vm, 0, TEST_GPA + PAGE_SIZE).prot & KVM_PGTABLE_PROT_W);
	/* A space that is not there: taken back, and nothing done for it. */
	fault_in_both(vm, TEST_GPA + PAGE_SIZE, PFERR_WRITE_MASK);
	entry[1].slot = 2 * SMM;
	entry[1].flags = KVM_RING_RESET;
	assert_int_equal(kvm_reset_dirty_rings(&vm->kvm), 1);
	assert_true(leaf_in(vm, 1, TEST_GPA + PAGE_SIZE).prot & KVM_PGTABLE_PROT_W);
}

/* ---- limits ---------------------------------------------------------------------------- */

static void private_memory_and_a_second_space_exclude_each_other(void **state)
{
	struct test_vm *vm = *state;

	assert_int_equal(kvm_nr_address_spaces(&vm->kvm), 2);
	assert_int_equal(test_set_slot(vm, SMM | 1, KVM_SLOT_GUEST_MEMFD, 0, PAGE_SIZE, vm->memory),
			 -EINVAL);
	assert_int_equal(test_set_slot(vm, SMM, 0, 0, 0, NULL), 0);
	vm->kvm.has_private_mem = true;
	assert_int_equal(kvm_nr_address_spaces(&vm->kvm), 1);
	assert_int_equal(test_set_slot(vm, SMM, 0, TEST_GPA, PAGE_SIZE, vm->memory), -EINVAL);
	assert_int_equal(kvm_get_dirty_log(&vm->kvm, SMM, NULL), -EINVAL);
}

static void each_space_has_all_the_slots(void **state)
{
	struct test_vm *vm = *state;
	const u32 last = KVM_USER_MEM_SLOTS - 1;

	for (u32 as_id = 0; as_id < 2; as_id++) {
		assert_int_equal(test_set_slot(vm, as_id << 16 | last, 0, 0, PAGE_SIZE, vm->memory),
				 0);
		assert_int_equal(
			test_set_slot(vm, as_id << 16 | (last + 1), 0, 0, PAGE_SIZE, vm->memory),
			-EINVAL);
	}
	assert_int_equal(vm->kvm.memslots[0]->nr, 2);
	assert_int_equal(vm->kvm.memslots[1]->nr, 2);
	assert_int_equal(vm->kvm.slot_by_id[1][last]->as_id, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_gfn_leads_to_two_pages),
		TEST(what_a_vcpu_remembers_is_of_one_space),
		TEST(a_slot_that_goes_leaves_the_other_space),
		TEST(the_host_takes_memory_from_both),
		TEST(memory_of_the_second_space_alone),
		TEST(all_at_once_is_both),
		TEST(each_space_has_its_log),
		TEST(rings_name_the_space),
		TEST(private_memory_and_a_second_space_exclude_each_other),
		TEST(each_space_has_all_the_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
