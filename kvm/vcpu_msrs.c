/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers (api.rst 4.3, 4.18, 4.19, 4.124). */
#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "kvm/user_copy.h"
#include "kvm/vm_clock.h"

#define MAX_IO_MSRS 256u

/* ---- lists ---------------------------------------------------------------------------------- */

/* Always says how many there are; -E2BIG when the program's list is too short. */
static long copy_list(u64 user, const u32 *indices, u32 nr)
{
	u32 room;

	if (kvm_copy_from_user(&room, user, sizeof(room)) ||
	    kvm_copy_to_user(user, &nr, sizeof(nr)))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;
	return kvm_copy_to_user(user + offsetof(struct kvm_msr_list, indices), indices,
				(u64)nr * sizeof(*indices));
}

long do_get_msr_index_list(struct ioctl_call *call)
{
	const u32 *indices;
	u32 nr = x86_msr_list(&indices);

	return copy_list(call->arg, indices, nr);
}

/* MSRs that describe the CPU to the program, not state of a guest. */
struct feature_msr {
	u32 index;
	u64 value;
};

#define MSR_IA32_TSC		   0x10
#define MSR_IA32_UCODE_REV	   0x8b
#define MSR_IA32_ARCH_CAPABILITIES 0x10a
#define MSR_IA32_PERF_CAPABILITIES 0x345

static const struct feature_msr feature_msrs[] = {
	{MSR_IA32_ARCH_CAPABILITIES, 0},
	{MSR_IA32_PERF_CAPABILITIES, 0}, /* no counters */
	{MSR_IA32_UCODE_REV, 0x100000000ull},
};

long do_get_msr_feature_index_list(struct ioctl_call *call)
{
	u32 indices[ARRAY_SIZE(feature_msrs)];

	for (size_t i = 0; i < ARRAY_SIZE(feature_msrs); i++)
		indices[i] = feature_msrs[i].index;
	return copy_list(call->arg, indices, ARRAY_SIZE(feature_msrs));
}

/* ---- values ------------------------------------------------------------------ */

typedef int msr_access(struct vcpu *vcpu, struct kvm_msr_entry *entry);

static int access_feature(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	(void)vcpu;
	for (size_t i = 0; i < ARRAY_SIZE(feature_msrs); i++) {
		if (feature_msrs[i].index == entry->index) {
			entry->data = feature_msrs[i].value;
			return 0;
		}
	}
	return -ENOENT;
}

static int access_get(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	u64 value;
	int ret = x86_get_msr(vcpu->cpu, entry->index, &value, true);

	if (!ret)
		entry->data = value;
	return ret;
}

static int access_set(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	if (entry->index == MSR_IA32_TSC) {
		vcpu_tsc_write(vcpu, entry->data);
		return 0;
	}
	return x86_set_msr(vcpu->cpu, entry->index, entry->data, true);
}

/*
 * One after the other until the first that fails; the result is how many were
 * done.  All are read from the program before the first takes effect.
 */
static long msr_io(struct ioctl_call *call, msr_access *access, bool write_back)
{
	struct kvm_msr_entry entries[MAX_IO_MSRS];
	u64 user = call->arg + offsetof(struct kvm_msrs, entries);
	struct kvm_msrs head;
	u32 done = 0;

	if (kvm_copy_from_user(&head, call->arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_IO_MSRS)
		return -E2BIG;
	if (kvm_copy_from_user(entries, user, head.nmsrs * sizeof(entries[0])))
		return -EFAULT;
	while (done < head.nmsrs && access(call->vcpu, &entries[done]) == 0)
		done++;
	if (write_back && kvm_copy_to_user(user, entries, head.nmsrs * sizeof(entries[0])))
		return -EFAULT;
	return done;
}

long do_system_get_msrs(struct ioctl_call *call)
{
	return msr_io(call, access_feature, true);
}

long do_get_msrs(struct ioctl_call *call)
{
	return msr_io(call, access_get, true);
}

long do_set_msrs(struct ioctl_call *call)
{
	return msr_io(call, access_set, false);
}
