/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/mmu/test_vm.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "pgtable/instance/ept.h"

#define BLOCK (2ull << 20)

static void map_memory(struct test_vm *vm)
{
	vm->area = mmap(NULL, TEST_BYTES + BLOCK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(vm->area, MAP_FAILED);
	assert_int_equal(madvise(vm->area, TEST_BYTES + BLOCK, MADV_NOHUGEPAGE), 0);
	vm->memory = hva_to_ptr(align_up(ptr_to_hva(vm->area), BLOCK));
}

struct test_vm *test_vm_new(void)
{
	struct test_vm *vm = aligned_alloc(_Alignof(struct test_vm), sizeof(*vm));

	assert_non_null(vm);
	__builtin_memset(vm, 0, sizeof(*vm));
	map_memory(vm);
	assert_int_equal(kvm_mmu_init_vm(&vm->kvm), 0);
	for (u32 i = 0; i < TEST_VCPUS; i++)
		assert_int_equal(kvm_mmu_add_vcpu(&vm->kvm, &vm->vcpu[i], i), 0);
	assert_int_equal(test_set_slot(vm, 0, 0, TEST_GPA, TEST_BYTES, vm->memory), 0);
	return vm;
}

void test_vm_free(struct test_vm *vm)
{
	for (u32 i = 0; i < TEST_VCPUS; i++)
		kvm_mmu_destroy_vcpu(&vm->vcpu[i]);
	kvm_mmu_uninit_vm(&vm->kvm);
	munmap(vm->area, TEST_BYTES + BLOCK);
	free(vm);
}

enum kvm_mmu_verdict test_fault(struct test_vm *vm, gpa_t gpa, u64 error_code, int *err)
{
	return kvm_mmu_page_fault(&vm->vcpu[0], gpa, error_code, err);
}

u64 test_outcomes(const struct test_vm *vm, enum kvm_ret_pf ret)
{
	return vm->vcpu[0].stat.pf_by_outcome[ret];
}

struct kvm_pgtable_leaf test_leaf(struct test_vm *vm, gpa_t gpa)
{
	struct kvm_pgtable_leaf leaf;

	assert_int_equal(ept_get_leaf(&vm->kvm.pgt[0], gpa, &leaf), 0);
	return leaf;
}

int test_set_slot(struct test_vm *vm, u32 id, u32 flags, gpa_t gpa, u64 size, const void *memory)
{
	const struct kvm_slot_request request = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = ptr_to_hva(memory),
	};

	return kvm_set_memory_region(&vm->kvm, &request);
}
