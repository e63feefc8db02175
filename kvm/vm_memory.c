/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory slots (api.rst 4.35, 4.140) and the limit on table pages (4.15, 4.16). */
#include "kvm/ioctl_table.h"

/* Where user space ends on x86-64 with 4-level and 5-level page tables. */
#define USER_SPACE_END (1ull << 56)

/*
 * Dirty logging and guest_memfd are not there yet: a flag that would promise
 * them is refused.
 */
static long set_region(struct vm *vm, const struct kvm_userspace_memory_region *region)
{
	const struct kvm_slot_request request = {
		.slot = region->slot,
		.flags = region->flags,
		.guest_phys_addr = region->guest_phys_addr,
		.memory_size = region->memory_size,
		.userspace_addr = region->userspace_addr,
	};

	if (region->flags & ~(u32)KVM_MEM_READONLY)
		return -EINVAL;
	/* KVM checks the slot's place in the address space, but not that anything is there. */
	if (region->memory_size && (region->userspace_addr > USER_SPACE_END ||
				    region->memory_size > USER_SPACE_END - region->userspace_addr))
		return -EINVAL;
	return kvm_set_memory_region(&vm->kvm, &request);
}

long do_set_user_memory_region(struct ioctl_call *call)
{
	return set_region(call->vm, call->data);
}

long do_set_user_memory_region2(struct ioctl_call *call)
{
	/* The larger structure begins as the smaller one (abi_check.c). */
	return set_region(call->vm, call->data);
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
