/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/mmu/private_vm.h"

#include <stdlib.h>

struct private_vm *private_vm_new(void)
{
	struct private_vm *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->vm = test_vm_new();
	p->vm->kvm.has_private_mem = true;
	assert_int_equal(kvm_gmem_create(&p->vm->kvm, TEST_PAGES, &p->gmem), 0);
	assert_int_equal(test_set_slot(p->vm, 0, 0, TEST_GPA, 0, NULL), 0);
	assert_int_equal(private_set_slot(p, 0, TEST_GPA, TEST_BYTES, p->gmem, 0), 0);
	return p;
}

void private_vm_free(struct private_vm *p)
{
	private_close(p);
	test_vm_free(p->vm);
	free(p);
}

void private_close(struct private_vm *p)
{
	if (p->gmem)
		kvm_gmem_release(p->gmem);
	p->gmem = NULL;
}

int private_set_slot(struct private_vm *p, u32 id, gpa_t gpa, u64 size, struct kvm_gmem *gmem,
		     u64 offset)
{
	const struct kvm_slot_request request = {
		.slot = id,
		.flags = KVM_SLOT_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = ptr_to_hva(p->vm->memory),
		.gmem = gmem,
		.gmem_error = -EBADF,
		.gmem_offset = offset,
	};

	return kvm_set_memory_region(&p->vm->kvm, &request);
}

void private_set(struct private_vm *p, u64 page, u64 pages, bool is_private)
{
	assert_int_equal(kvm_set_memory_attributes(&p->vm->kvm, TEST_GFN + page,
						   TEST_GFN + page + pages,
						   is_private ? KVM_ATTRIBUTE_PRIVATE : 0),
			 0);
}

static bool leads_to(struct private_vm *p, u64 page, hva_t hva)
{
	struct kvm_pgtable_leaf leaf = test_leaf(p->vm, TEST_GPA + page * PAGE_SIZE);

	return leaf.present && leaf.hpa == hva;
}

bool private_is_mapped(struct private_vm *p, u64 page)
{
	return leads_to(p, page, kvm_gmem_hva(p->gmem, page));
}

bool shared_is_mapped(struct private_vm *p, u64 page)
{
	return leads_to(p, page, ptr_to_hva(p->vm->memory) + page * PAGE_SIZE);
}
