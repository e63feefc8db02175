/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID tables (api.rst 4.20, 4.46, 4.47, 4.88, 4.118). */
#include <string.h>

#include <asm/kvm_para.h>

#include "kvm/ioctl_table.h"
#include "kvm/user_copy.h"
#include "kvm/vm_clock.h"
#include "vcpu/x86/pv.h"

#define ENTRIES_AT offsetof(struct kvm_cpuid2, entries)

static long copy_table_out(u64 user, const struct x86_cpuid_entry *entries, u32 nr)
{
	if (kvm_copy_to_user(user + ENTRIES_AT, entries, (u64)nr * sizeof(*entries)) ||
	    kvm_copy_to_user(user, &nr, sizeof(nr)))
		return -EFAULT;
	return 0;
}

/* What the CPU can do, less what the host cannot. */
static u32 supported(struct x86_cpuid_entry entries[X86_MAX_CPUID])
{
	u32 nr = x86_supported_cpuid(entries, X86_MAX_CPUID);

	if (nr > X86_MAX_CPUID)
		nr = X86_MAX_CPUID;
	for (u32 i = 0; i < nr; i++) {
		if (entries[i].function == KVM_CPUID_FEATURES && !steal_time_is_counted())
			entries[i].eax &= ~(1u << X86_PV_STEAL_TIME);
	}
	return nr;
}

long do_get_supported_cpuid(struct ioctl_call *call)
{
	struct x86_cpuid_entry entries[X86_MAX_CPUID];
	u32 room, nr;

	if (kvm_copy_from_user(&room, call->arg, sizeof(room)))
		return -EFAULT;
	nr = supported(entries);
	if (room < nr)
		return -E2BIG;
	return copy_table_out(call->arg, entries, nr);
}

/*
 * Features that are emulated though the "hardware" lacks them.  A software CPU
 * has what it has: none.
 */
long do_get_emulated_cpuid(struct ioctl_call *call)
{
	u32 room;

	if (kvm_copy_from_user(&room, call->arg, sizeof(room)))
		return -EFAULT;
	return room < 1 ? -E2BIG : copy_table_out(call->arg, NULL, 0);
}

long do_get_cpuid2(struct ioctl_call *call)
{
	const struct x86_cpu *cpu = call->vcpu->cpu;
	struct x86_cpuid_entry entries[X86_MAX_CPUID];
	u32 room;

	if (kvm_copy_from_user(&room, call->arg, sizeof(room)))
		return -EFAULT;
	if (room < cpu->nr_cpuid)
		return -E2BIG;
	for (u32 i = 0; i < cpu->nr_cpuid; i++) {
		entries[i] = cpu->cpuid[i];
		x86_cpuid_live(cpu, &entries[i]);
	}
	return copy_table_out(call->arg, entries, cpu->nr_cpuid);
}

/* ---- setting --------------------------------------------------------------------------------- */

/* Virtual addresses of 48 or 57 bits are what there is (SDM vol. 3, 3.3.7.1). */
static bool address_widths_valid(const struct x86_cpuid_entry *entries, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		u32 virt = (entries[i].eax >> 8) & 0xff;

		if (entries[i].function == 0x80000008 && virt != 0 && virt != 48 && virt != 57)
			return false;
	}
	return true;
}

/* A guest whose halts we do not see cannot be kicked out of one. */
static void withdraw_unhalt(struct vcpu *vcpu, struct x86_cpuid_entry *entries, u32 nr)
{
	bool ours = false;

	if (!atomic_peek(&vcpu->vm->halts_without_exit))
		return;
	for (u32 i = 0; i < nr; i++)
		if (entries[i].function == KVM_CPUID_SIGNATURE)
			ours = !memcmp(&entries[i].ebx, "KVMKVMKVM\0\0\0", 12);
	for (u32 i = 0; i < nr && ours; i++)
		if (entries[i].function == KVM_CPUID_FEATURES)
			entries[i].eax &= ~(1u << X86_PV_UNHALT);
}

/* But for what follows the CPU's state, which KVM_GET_CPUID2 may have told in the meantime. */
static bool is_same_table(const struct x86_cpu *cpu, const struct x86_cpuid_entry *entries, u32 nr)
{
	if (nr != cpu->nr_cpuid)
		return false;
	for (u32 i = 0; i < nr; i++) {
		struct x86_cpuid_entry given = entries[i], ours = cpu->cpuid[i];

		x86_cpuid_live(cpu, &given);
		x86_cpuid_live(cpu, &ours);
		if (memcmp(&given, &ours, sizeof(given)))
			return false;
	}
	return true;
}

/*
 * After its first run a vCPU's CPUID is what it is; the same table again is
 * accepted, since programs that hot-plug do that.
 */
static int adopt(struct vcpu *vcpu, struct x86_cpuid_entry *entries, u32 nr)
{
	struct x86_cpu *cpu = vcpu->cpu;

	withdraw_unhalt(vcpu, entries, nr);
	if (vcpu->has_run)
		return is_same_table(cpu, entries, nr) ? 0 : -EINVAL;
	if (!address_widths_valid(entries, nr))
		return -EINVAL;
	memcpy(cpu->cpuid, entries, nr * sizeof(*entries));
	cpu->nr_cpuid = nr;
	x86_cpuid_changed(cpu);
	return 0;
}

long do_set_cpuid2(struct ioctl_call *call)
{
	struct x86_cpuid_entry entries[X86_MAX_CPUID];
	u32 nr;

	if (kvm_copy_from_user(&nr, call->arg, sizeof(nr)))
		return -EFAULT;
	if (nr > X86_MAX_CPUID)
		return -E2BIG;
	if (kvm_copy_from_user(entries, call->arg + ENTRIES_AT, (u64)nr * sizeof(*entries)))
		return -EFAULT;
	return adopt(call->vcpu, entries, nr);
}

/* The older form, without subleaves. */
long do_set_cpuid(struct ioctl_call *call)
{
	struct x86_cpuid_entry entries[X86_MAX_CPUID];
	u32 nr;

	if (kvm_copy_from_user(&nr, call->arg, sizeof(nr)))
		return -EFAULT;
	if (nr > X86_MAX_CPUID)
		return -E2BIG;
	memset(entries, 0, sizeof(entries));
	for (u32 i = 0; i < nr; i++) {
		struct kvm_cpuid_entry old;
		u64 at = call->arg + offsetof(struct kvm_cpuid, entries) + i * sizeof(old);

		if (kvm_copy_from_user(&old, at, sizeof(old)))
			return -EFAULT;
		entries[i].function = old.function;
		entries[i].eax = old.eax;
		entries[i].ebx = old.ebx;
		entries[i].ecx = old.ecx;
		entries[i].edx = old.edx;
	}
	return adopt(call->vcpu, entries, nr);
}
