/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs that a guest is denied (api.rst 4.97) and who stands in for them (7.21). */
#include <string.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "kvm/user_copy.h"
#include "kvm/vm_msr_filter.h"

#define LONG_BITS 64u

/* KVM reads whole longs. */
static u32 bitmap_bytes(const struct kvm_msr_filter_range *range)
{
	return (u32)(align_up(range->nmsrs, LONG_BITS) / 8);
}

static int check_range(const struct kvm_msr_filter_range *range)
{
	if (range->flags & ~(u32)(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE) || !range->flags)
		return -EINVAL;
	/* Rounding up may wrap: nothing of that size is accepted anyway. */
	if (range->nmsrs > KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8)
		return -EINVAL;
	return 0;
}

/* -EINVAL, or how many bytes all the bitmaps take. */
static s64 check_filter(const struct kvm_msr_filter *filter, u32 *nr)
{
	s64 bytes = 0;

	*nr = 0;
	if (filter->flags & ~(u32)KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	for (u32 i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		if (!filter->ranges[i].nmsrs)
			continue;
		if (check_range(&filter->ranges[i]))
			return -EINVAL;
		bytes += bitmap_bytes(&filter->ranges[i]);
		++*nr;
	}
	return filter->flags && !*nr ? -EINVAL : bytes;
}

static int copy_ranges(struct x86_msr_filter *to, const struct kvm_msr_filter *from)
{
	u8 *bitmap = (u8 *)&to->ranges[to->nr_ranges];
	u32 n = 0;

	for (u32 i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		const struct kvm_msr_filter_range *range = &from->ranges[i];

		if (!range->nmsrs)
			continue;
		if (kvm_copy_from_user(bitmap, ptr_to_hva(range->bitmap), bitmap_bytes(range)))
			return -EFAULT;
		to->ranges[n++] = (struct x86_msr_range){.flags = range->flags,
							 .base = range->base,
							 .nr = range->nmsrs,
							 .bitmap = bitmap};
		bitmap += bitmap_bytes(range);
	}
	return 0;
}

static void publish(struct vm *vm, struct x86_msr_filter *filter)
{
	struct x86_msr_filter *old = atomic_exchange(&vm->machine.msr_filter, filter);

	/* vCPUs read it without a lock. */
	if (old)
		mmu_host_synchronize_rcu();
	mmu_host_free(old);
}

long do_set_msr_filter(struct ioctl_call *call)
{
	const struct kvm_msr_filter *from = call->data;
	struct x86_msr_filter *filter;
	u32 nr;
	s64 bytes = check_filter(from, &nr);
	int ret;

	if (bytes < 0)
		return bytes;
	filter = mmu_host_alloc(SITE_msr_filter,
				sizeof(*filter) + nr * sizeof(filter->ranges[0]) + (u64)bytes);
	if (!filter)
		return -ENOMEM;
	filter->default_deny = from->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	filter->nr_ranges = nr;
	ret = copy_ranges(filter, from);
	if (ret) {
		mmu_host_free(filter);
		return ret;
	}
	publish(call->vm, filter);
	return 0;
}

void vm_msr_filter_destroy(struct vm *vm)
{
	mmu_host_free(vm->machine.msr_filter);
}

#define REASONS                                                          \
	((u64)(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
	       KVM_MSR_EXIT_REASON_FILTER))

long vm_enable_user_msrs(struct vm *vm, u64 reasons)
{
	if (reasons & ~REASONS)
		return -EINVAL;
	atomic_poke(&vm->machine.user_msr_reasons, (u32)reasons);
	return 0;
}
