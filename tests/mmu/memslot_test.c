/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of KVM_SET_USER_MEMORY_REGION, and look-up against a plain scan. */
#include "tests/mmu/test_vm.h"

#include <sys/mman.h>

#include "tests/random.h"

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

struct bad_slot {
	const char *why;
	u32 id;
	u32 flags;
	gpa_t gpa;
	u64 size;
	hva_t hva;
	int err;
};

#define HVA 0x10000000ull

static const struct bad_slot bad_slots[] = {
	{"misaligned gpa", 1, 0, 0x1001, 0x1000, HVA, -EINVAL},
	{"misaligned size", 1, 0, 0x1000, 0x1001, HVA, -EINVAL},
	{"misaligned hva", 1, 0, 0x1000, 0x1000, HVA + 1, -EINVAL},
	{"gpa wraps", 1, 0, ~0ull << PAGE_SHIFT, 0x2000, HVA, -EINVAL},
	{"hva wraps", 1, 0, 0x1000, 0x2000, ~0ull << PAGE_SHIFT, -EINVAL},
	{"kernel hva", 1, 0, 0x1000, 0x1000, 1ull << 47, -EINVAL},
	{"beyond the guest's physical addresses", 1, 0, 1ull << 48, 0x1000, HVA, -EINVAL},
	{"id too big", KVM_USER_MEM_SLOTS, 0, 0x1000, 0x1000, HVA, -EINVAL},
	{"third address space", 2u << 16, 0, 0x1000, 0x1000, HVA, -EINVAL},
	{"unknown flag", 1, 1u << 5, 0x1000, 0x1000, HVA, -EINVAL},
	{"too many pages", 1, 0, 0, 1ull << 43, HVA, -EINVAL},
	{"delete what is not there", 1, 0, 0x1000, 0, HVA, -EINVAL},
	{"overlap at the start", 1, 0, TEST_GPA - 0x1000, 0x2000, HVA, -EEXIST},
	{"overlap at the end", 1, 0, TEST_GPA + TEST_BYTES - 0x1000, 0x2000, HVA, -EEXIST},
	{"overlap inside", 1, 0, TEST_GPA + 0x1000, 0x1000, HVA, -EEXIST},
	{"overlap around", 1, 0, TEST_GPA - 0x1000, TEST_BYTES + 0x2000, HVA, -EEXIST},
	{"live slot changes its size", 0, 0, TEST_GPA, 0x1000, 0, -EINVAL},
	{"live slot changes its memory", 0, 0, TEST_GPA, TEST_BYTES, HVA, -EINVAL},
};

static void bad_requests_change_nothing(void **state)
{
	struct test_vm *vm = *state;
	const struct kvm_memslots *before = vm->kvm.memslots[0];

	for (size_t i = 0; i < ARRAY_SIZE(bad_slots); i++) {
		const struct bad_slot *bad = &bad_slots[i];
		hva_t hva = bad->hva ? bad->hva : ptr_to_hva(vm->memory);
		int err = test_set_slot(vm, bad->id, bad->flags, bad->gpa, bad->size,
					hva_to_ptr(hva));

		if (err != bad->err)
			fail_msg("%s: %d instead of %d", bad->why, err, bad->err);
		assert_ptr_equal(vm->kvm.memslots[0], before);
	}
}

static void live_slot_cannot_become_read_only(void **state)
{
	struct test_vm *vm = *state;

	assert_int_equal(test_set_slot(vm, 0, KVM_SLOT_READONLY, TEST_GPA, TEST_BYTES, vm->memory),
			 -EINVAL);
}

/* KVM's own accesses find the same memory as a guest's, or none. */
static void kvm_copies_where_a_guest_may(void **state)
{
	struct test_vm *vm = *state;
	const gpa_t rom = 2 * TEST_GPA, end = TEST_GPA + TEST_BYTES;
	u64 value = 0x1122334455667788;

	assert_int_equal(kvm_write_guest(&vm->kvm, TEST_GPA + 0xffc, &value, sizeof(value)), 0);
	assert_memory_equal(vm->memory + 0xffc, &value, sizeof(value));
	assert_int_equal(test_set_slot(vm, 1, KVM_SLOT_READONLY, rom, PAGE_SIZE, vm->memory), 0);
	assert_int_equal(kvm_write_guest(&vm->kvm, rom, "no", 2), -EFAULT);
	assert_int_equal(vm->memory[0], 0);
	assert_int_equal(kvm_read_guest(&vm->kvm, rom + 0xffc, &value, 4), 0);
	assert_int_equal((u32)value, 0x55667788);
	assert_int_equal(kvm_read_guest(&vm->kvm, rom + 0xffc, &value, 8), -EFAULT);
	assert_int_equal(kvm_write_guest(&vm->kvm, end - 4, &value, sizeof(value)), -EFAULT);
	assert_int_equal(mprotect(vm->memory, PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(kvm_write_guest(&vm->kvm, TEST_GPA, &value, sizeof(value)), -EFAULT);
}

static void delete_unmaps_what_was_mapped(void **state)
{
	struct test_vm *vm = *state;
	int err;

	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_true(test_leaf(vm, TEST_GPA).present);
	assert_int_equal(test_set_slot(vm, 0, 0, TEST_GPA, 0, NULL), 0);
	assert_false(test_leaf(vm, TEST_GPA).present);
	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_EMULATE);
}

static void move_takes_the_translations_along(void **state)
{
	struct test_vm *vm = *state;
	int err;

	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_set_slot(vm, 0, 0, 2 * TEST_GPA, TEST_BYTES, vm->memory), 0);
	assert_false(test_leaf(vm, TEST_GPA).present);
	assert_int_equal(test_fault(vm, TEST_GPA, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(vm, 2 * TEST_GPA, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, 2 * TEST_GPA).hpa, ptr_to_hva(vm->memory));
}

static void create_ends_cached_mmio(void **state)
{
	struct test_vm *vm = *state;
	gpa_t gpa = 0x1000;
	int err;

	assert_int_equal(test_fault(vm, gpa, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(vm, gpa, 0, &err), KVM_MMU_EMULATE);
	/* The same memory under a second gfn. */
	assert_int_equal(test_set_slot(vm, 7, 0, gpa, PAGE_SIZE, vm->memory), 0);
	assert_int_equal(test_fault(vm, gpa, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, gpa).hpa, ptr_to_hva(vm->memory));
}

static const struct kvm_memory_slot *scan(const struct kvm *kvm, gfn_t gfn)
{
	for (u32 id = 0; id < KVM_USER_MEM_SLOTS; id++) {
		const struct kvm_memory_slot *slot = kvm->slot_by_id[0][id];

		if (slot && gfn - slot->base_gfn < slot->npages)
			return slot;
	}
	return NULL;
}

static void random_slots_are_found_as_by_a_scan(void **state)
{
	struct test_vm *vm = *state;
	u64 seed = test_seed("memslot");

	for (int i = 0; i < 2000; i++) {
		u32 id = 1 + (u32)test_below(&seed, 40);
		gpa_t gpa = test_below(&seed, 512) << PAGE_SHIFT;
		u64 size = test_below(&seed, 4) << PAGE_SHIFT;
		int err = test_set_slot(vm, id, 0, gpa, size, hva_to_ptr(HVA));

		assert_true(err == 0 || err == -EINVAL || err == -EEXIST);
		for (int k = 0; k < 16; k++) {
			gfn_t gfn = test_below(&seed, 520);

			assert_ptr_equal(kvm_gfn_to_memslot(&vm->kvm, gfn), scan(&vm->kvm, gfn));
		}
	}
}

static void as_many_slots_as_kvm_allows(void **state)
{
	struct test_vm *vm = *state;
	const gpa_t base = 2 * TEST_GPA;

	/* Every other page, in an order that splits chunks everywhere. */
	for (u32 i = 1; i < KVM_USER_MEM_SLOTS; i++) {
		u64 page = (u64)i * 7919 % KVM_USER_MEM_SLOTS * 2;

		assert_int_equal(test_set_slot(vm, i, 0, base + (page << PAGE_SHIFT), PAGE_SIZE,
					       vm->memory + (i % 16) * PAGE_SIZE),
				 0);
	}
	assert_int_equal(vm->kvm.memslots[0]->nr, KVM_USER_MEM_SLOTS);
	for (u32 i = 1; i < KVM_USER_MEM_SLOTS; i++) {
		u64 page = (u64)i * 7919 % KVM_USER_MEM_SLOTS * 2;
		gfn_t gfn = gpa_to_gfn(base) + page;

		assert_int_equal(kvm_gfn_to_memslot(&vm->kvm, gfn)->id, i);
		assert_null(kvm_gfn_to_memslot(&vm->kvm, gfn + 1));
	}
	for (u32 i = 1; i < KVM_USER_MEM_SLOTS; i++)
		assert_int_equal(test_set_slot(vm, i, 0, 0, 0, NULL), 0);
	assert_int_equal(vm->kvm.memslots[0]->by_gfn->nr, 1);
	assert_int_equal(vm->kvm.memslots[0]->by_hva->nr, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bad_requests_change_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(live_slot_cannot_become_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(kvm_copies_where_a_guest_may, setup, teardown),
		cmocka_unit_test_setup_teardown(delete_unmaps_what_was_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(move_takes_the_translations_along, setup, teardown),
		cmocka_unit_test_setup_teardown(create_ends_cached_mmio, setup, teardown),
		cmocka_unit_test_setup_teardown(random_slots_are_found_as_by_a_scan, setup,
						teardown),
		cmocka_unit_test_setup_teardown(as_many_slots_as_kvm_allows, setup, teardown),
	};

	return cmocka_run_group_tests_name("memslot", tests, NULL, NULL);
}
