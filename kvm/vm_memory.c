/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory slots (api.rst 4.35, 4.140), memory attributes (4.141) and the limit
 * on table pages (4.15, 4.16).
 */
#include "kvm/guest_memfd.h"
#include "kvm/ioctl_table.h"

/* Where user space ends on x86-64 with 4-level and 5-level page tables. */
#define USER_SPACE_END (1ull << 56)

static struct kvm_slot_request basic_request(const struct kvm_userspace_memory_region *region)
{
	return (struct kvm_slot_request){
		.slot = region->slot,
		.flags = region->flags,
		.guest_phys_addr = region->guest_phys_addr,
		.memory_size = region->memory_size,
		.userspace_addr = region->userspace_addr,
	};
}

static long set_region(struct vm *vm, const struct kvm_slot_request *request, u32 flags)
{
	if (request->flags & ~flags)
		return -EINVAL;
	/* KVM checks the slot's place in the address space, but not that anything is there. */
	if (request->memory_size &&
	    (request->userspace_addr > USER_SPACE_END ||
	     request->memory_size > USER_SPACE_END - request->userspace_addr))
		return -EINVAL;
	return kvm_set_memory_region(&vm->kvm, request);
}

long do_set_user_memory_region(struct ioctl_call *call)
{
	const struct kvm_slot_request request = basic_request(call->data);

	return set_region(call->vm, &request, KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES);
}

long do_set_user_memory_region2(struct ioctl_call *call)
{
	const struct kvm_userspace_memory_region2 *region = call->data;
	/* The larger structure begins as the smaller one (abi_check.c). */
	struct kvm_slot_request request = basic_request(call->data);
	struct kvm_file *file = NULL;
	long ret;

	if (region->flags & KVM_MEM_GUEST_MEMFD) {
		file = guest_memfd_get(call->vm, (int)region->guest_memfd, &request.gmem_error);
		request.gmem = file ? file->gmem : NULL;
		request.gmem_offset = region->guest_memfd_offset;
	}
	ret = set_region(call->vm, &request,
			 KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_GUEST_MEMFD);
	if (file)
		kvm_file_put(file);
	return ret;
}

long do_set_memory_attributes(struct ioctl_call *call)
{
	const struct kvm_memory_attributes *attrs = call->data;
	struct kvm *kvm = &call->vm->kvm;
	u64 supported = kvm->has_private_mem ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	u64 end = attrs->address + attrs->size;

	if (attrs->flags || (attrs->attributes & ~supported))
		return -EINVAL;
	if (end <= attrs->address || !is_aligned(attrs->address | attrs->size, PAGE_SIZE))
		return -EINVAL;
	return kvm_set_memory_attributes(kvm, gpa_to_gfn(attrs->address), gpa_to_gfn(end),
					 attrs->attributes);
}

long do_set_nr_mmu_pages(struct ioctl_call *call)
{
	if (call->arg < KVM_MIN_TABLE_PAGES)
		return -EINVAL;
	return kvm_mmu_set_table_limit(&call->vm->kvm, (u32)call->arg);
}

long do_get_nr_mmu_pages(struct ioctl_call *call)
{
	return (long)kvm_mmu_table_limit(&call->vm->kvm);
}
