/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM_PRE_FAULT_MEMORY (api.rst 4.143): map memory before the guest asks for it. */
#include "kvm/ioctl_table.h"

/*
 * How long one page may be in flux before the caller hears of it: about a tenth
 * of a second.  Not for ever, since whoever keeps it so may wait for us.
 */
#define MAX_TURNS 2000u

static bool range_is_sane(const struct kvm_pre_fault_memory *range)
{
	return is_aligned(range->gpa | range->size, PAGE_SIZE) &&
	       range->gpa + range->size > range->gpa;
}

static int map_page(struct vcpu *vcpu, gpa_t gpa, enum pg_level *level)
{
	for (unsigned int turn = 0; turn < MAX_TURNS; turn++) {
		int err;

		if (vcpu_signal_pending(vcpu))
			return -EINTR;
		if (atomic_peek(&vcpu->vm->kvm.vm_bugged))
			return -EIO;
		err = kvm_mmu_prefault(&vcpu->cpu->vcpu, gpa, level);
		if (err != -EAGAIN)
			return err;
		mmu_host_wait_turn(turn);
	}
	return -EAGAIN;
}

/* The bytes from @gpa on that one leaf of @level serves. */
static u64 served(gpa_t gpa, enum pg_level level)
{
	u64 bytes = pages_per_level(level) << PAGE_SHIFT;

	return bytes - (gpa & (bytes - 1));
}

static int map_range(struct vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	const u64 wanted = range->size;
	int err = 0;

	while (range->size) {
		enum pg_level level;
		u64 bytes;

		err = map_page(vcpu, range->gpa, &level);
		if (err)
			break;
		bytes = min_u64(range->size, served(range->gpa, level));
		range->gpa += bytes;
		range->size -= bytes;
	}
	/* What has been done is success; the caller asks again for the rest. */
	return range->size < wanted ? 0 : err;
}

long do_pre_fault_memory(struct ioctl_call *call)
{
	struct kvm_pre_fault_memory *range = call->data;
	struct vcpu *vcpu = call->vcpu;

	if (range->flags || !range_is_sane(range))
		return -EINVAL;
	vcpu_signals_choose(vcpu, false); /* KVM_RUN's own mask is not for here */
	return map_range(vcpu, range);
}
