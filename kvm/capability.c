/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM_CHECK_EXTENSION and KVM_ENABLE_CAP (api.rst 4.4, 4.37).
 *
 * Only what works is announced; what is absent here is answered with 0.
 */
#include <unistd.h>

#include <linux/kvm_para.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "kvm/vm_msr_filter.h"
#include "kvm/vm_dirty.h"

enum capability_scope {
	ON_BOTH,
	ON_VM,
	ON_PRIVATE, /* on the device, and on VMs that may have private memory */
};

struct capability {
	u16 number;
	enum capability_scope scope;
	s32 value;
};

#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/*
 * Those whose two behaviours both exist here; and SLOT_ZAP_ALL, which no program can
 * see but by the time it takes: a slot that goes takes its own translations here, with
 * the quirk too.
 */
#define QUIRKS                                                                    \
	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE |          \
	 KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |      \
	 KVM_X86_QUIRK_FIX_HYPERCALL_INSN | KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | \
	 KVM_X86_QUIRK_SLOT_ZAP_ALL)

/* Those that the program may carry out itself. */
#define EXIT_HYPERCALLS	     BIT_ULL(KVM_HC_MAP_GPA_RANGE)
#define DIRTY_RING_MAX_BYTES ((s32)(KVM_RING_MAX_ENTRIES * sizeof(struct kvm_dirty_gfn)))
/* PAUSE and C-states never leave anyway. */
#define DISABLE_EXITS \
	(KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_CSTATE)

#define X2APIC_API (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

#define GUEST_DEBUG                                                                 \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP |   \
	 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_INJECT_DB | \
	 KVM_GUESTDBG_BLOCKIRQ)

static const struct capability capabilities[] = {
	{KVM_CAP_IRQCHIP, ON_BOTH, 1},
	{KVM_CAP_HLT, ON_BOTH, 1},
	{KVM_CAP_VAPIC, ON_BOTH, 1},
	{KVM_CAP_IRQ_ROUTING, ON_BOTH, IRQ_MAX_ROUTES},
	{KVM_CAP_IRQ_INJECT_STATUS, ON_BOTH, 1},
	{KVM_CAP_PIT, ON_BOTH, 1},
	{KVM_CAP_PIT2, ON_BOTH, 1},
	{KVM_CAP_PIT_STATE2, ON_BOTH, 1},
	{KVM_CAP_REINJECT_CONTROL, ON_BOTH, 1},
	{KVM_CAP_SIGNAL_MSI, ON_BOTH, 1},
	{KVM_CAP_SPLIT_IRQCHIP, ON_BOTH, 1},
	{KVM_CAP_IRQFD, ON_BOTH, 1},
	{KVM_CAP_IRQFD_RESAMPLE, ON_BOTH, 1},
	{KVM_CAP_IOEVENTFD, ON_BOTH, 1},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, ON_BOTH, 1},
	{KVM_CAP_USER_MEMORY, ON_BOTH, 1},
	{KVM_CAP_SET_TSS_ADDR, ON_BOTH, 1},
	{KVM_CAP_EXT_CPUID, ON_BOTH, 1},
	{KVM_CAP_COALESCED_MMIO, ON_BOTH, KVM_COALESCED_MMIO_PAGE_OFFSET},
	{KVM_CAP_COALESCED_PIO, ON_BOTH, 1},
	{KVM_CAP_NR_MEMSLOTS, ON_BOTH, KVM_USER_MEM_SLOTS}, /* in each address space */
	{KVM_CAP_MP_STATE, ON_BOTH, 1},
	{KVM_CAP_SYNC_MMU, ON_BOTH, 1},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, ON_BOTH, 1},
	{KVM_CAP_USER_NMI, ON_BOTH, 1},
	{KVM_CAP_X86_SMM, ON_BOTH, 1},
	{KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, ON_BOTH, 1},
	{KVM_CAP_SET_BOOT_CPU_ID, ON_BOTH, 1},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, ON_BOTH, 1},
	{KVM_CAP_ADJUST_CLOCK, ON_BOTH, CLOCK_FLAGS},
	{KVM_CAP_INTERNAL_ERROR_DATA, ON_BOTH, 1},
	{KVM_CAP_MCE, ON_BOTH, X86_MCE_BANKS},
	{KVM_CAP_VCPU_EVENTS, ON_BOTH, 1},
	{KVM_CAP_SET_GUEST_DEBUG, ON_BOTH, 1},
	{KVM_CAP_SET_GUEST_DEBUG2, ON_BOTH, GUEST_DEBUG},
	{KVM_CAP_DEBUGREGS, ON_BOTH, 1},
	{KVM_CAP_ENABLE_CAP, ON_BOTH, 1},
	{KVM_CAP_XSAVE, ON_BOTH, 1},
	{KVM_CAP_XCRS, ON_BOTH, 1},
	{KVM_CAP_TSC_CONTROL, ON_BOTH, 1},
	{KVM_CAP_GET_TSC_KHZ, ON_BOTH, 1},
	{KVM_CAP_VM_TSC_CONTROL, ON_BOTH, 1},
	{KVM_CAP_VCPU_ATTRIBUTES, ON_BOTH, 1},
	{KVM_CAP_KVMCLOCK_CTRL, ON_BOTH, 1},
	{KVM_CAP_CLOCKSOURCE, ON_BOTH, 1},
	{KVM_CAP_NOP_IO_DELAY, ON_BOTH, 1},
	{KVM_CAP_MAX_VCPUS, ON_BOTH, KVM_MAX_VCPUS},
	{KVM_CAP_SYNC_REGS, ON_BOTH, KVM_SYNC_X86_VALID_FIELDS},
	{KVM_CAP_READONLY_MEM, ON_BOTH, 1},
	{KVM_CAP_EXT_EMUL_CPUID, ON_BOTH, 1},
	{KVM_CAP_ENABLE_CAP_VM, ON_BOTH, 1},
	{KVM_CAP_CHECK_EXTENSION_VM, ON_BOTH, 1},
	{KVM_CAP_MAX_VCPU_ID, ON_BOTH, KVM_MAX_VCPU_IDS},
	{KVM_CAP_DISABLE_QUIRKS, ON_BOTH, 1},
	{KVM_CAP_TSC_DEADLINE_TIMER, ON_BOTH, 1},
	{KVM_CAP_X2APIC_API, ON_BOTH, X2APIC_API},
	{KVM_CAP_X86_APIC_BUS_CYCLES_NS, ON_BOTH, 1},
	{KVM_CAP_IMMEDIATE_EXIT, ON_BOTH, 1},
	{KVM_CAP_EXIT_ON_EMULATION_FAILURE, ON_BOTH, 1},
	{KVM_CAP_X86_DISABLE_EXITS, ON_BOTH, DISABLE_EXITS},
	{KVM_CAP_ENFORCE_PV_FEATURE_CPUID, ON_BOTH, 1},
	{KVM_CAP_X86_USER_SPACE_MSR, ON_BOTH, 1},
	{KVM_CAP_X86_MSR_FILTER, ON_BOTH, 1},
	{KVM_CAP_MSR_PLATFORM_INFO, ON_BOTH, 1},
	{KVM_CAP_DISABLE_QUIRKS2, ON_BOTH, QUIRKS},
	{KVM_CAP_GET_MSR_FEATURES, ON_BOTH, 1},
	{KVM_CAP_SREGS2, ON_BOTH, 1},
	{KVM_CAP_BINARY_STATS_FD, ON_BOTH, 1},
	{KVM_CAP_XSAVE2, ON_BOTH, sizeof(struct kvm_xsave)},
	{KVM_CAP_USER_MEMORY2, ON_BOTH, 1},
	{KVM_CAP_MEMORY_FAULT_INFO, ON_BOTH, 1},
	{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, ON_BOTH,
	 KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET},
	{KVM_CAP_DIRTY_LOG_RING, ON_BOTH, DIRTY_RING_MAX_BYTES},
	{KVM_CAP_DIRTY_LOG_RING_ACQ_REL, ON_BOTH, DIRTY_RING_MAX_BYTES},
	{KVM_CAP_MEMORY_ATTRIBUTES, ON_PRIVATE, KVM_MEMORY_ATTRIBUTE_PRIVATE},
	{KVM_CAP_GUEST_MEMFD, ON_PRIVATE, 1},
	{KVM_CAP_VM_TYPES, ON_BOTH, BIT_ULL(KVM_X86_DEFAULT_VM) | BIT_ULL(KVM_X86_SW_PROTECTED_VM)},
	{KVM_CAP_PRE_FAULT_MEMORY, ON_BOTH, 1},
	{KVM_CAP_EXIT_HYPERCALL, ON_BOTH, EXIT_HYPERCALLS},
};

/* Recommended number of vCPUs: the processors there are. */
static long nr_online_cpus(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	return nr < 1 ? 1 : nr > KVM_MAX_VCPUS ? KVM_MAX_VCPUS : nr;
}

/* @vm NULL: asked of the device. */
static bool applies(enum capability_scope scope, const struct vm *vm)
{
	switch (scope) {
	case ON_VM:
		return vm != NULL;
	case ON_PRIVATE:
		return !vm || vm->kvm.has_private_mem;
	case ON_BOTH:
		break;
	}
	return true;
}

static long check(u64 number, const struct vm *vm)
{
	if (number == KVM_CAP_NR_VCPUS)
		return nr_online_cpus();
	if (number == KVM_CAP_MULTI_ADDRESS_SPACE)
		return vm ? kvm_nr_address_spaces(&vm->kvm) : KVM_MAX_NR_ADDRESS_SPACES;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (capabilities[i].number == number)
			return applies(capabilities[i].scope, vm) ? capabilities[i].value : 0;
	}
	return 0;
}

long do_check_extension(struct ioctl_call *call)
{
	return check(call->arg, NULL);
}

long do_vm_check_extension(struct ioctl_call *call)
{
	return check(call->arg, call->vm);
}

/* Limits the ids of vCPUs; once, and before the first one (api.rst 7.33). */
static long limit_vcpu_ids(struct vm *vm, u64 limit)
{
	if (!limit || limit > KVM_MAX_VCPU_IDS || vm->max_vcpu_ids || vm->nr_vcpus ||
	    limit < vm->machine.boot_cpu_id)
		return -EINVAL;
	vm->max_vcpu_ids = (u32)limit;
	return 0;
}

/* The older of the two calls takes any bits. */
static long disable_quirks(struct vm *vm, u64 quirks)
{
	atomic_poke(&vm->machine.disabled_quirks, quirks);
	return 0;
}

static long set_x2apic_api(struct vm *vm, u64 flags)
{
	if (flags & ~(u64)X2APIC_API)
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->x2apic_ids_32bit = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		atomic_poke(&vm->machine.x2apic_literal_255, true);
	return 0;
}

/* Before the first vCPU, and so that the longest period, times 128, is a number of ns. */
static long set_apic_bus(struct vm *vm, u64 ns)
{
	if (!ns || ns > (~0ull / 128) / ~0u || vm->nr_vcpus || !vm->has_irqchip)
		return vm->has_irqchip ? -EINVAL : -ENXIO;
	vm->machine.apic_bus_ns = ns;
	return 0;
}

long do_vm_enable_cap(struct ioctl_call *call)
{
	const struct kvm_enable_cap *cap = call->data;

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_MAX_VCPU_ID:
		return limit_vcpu_ids(call->vm, cap->args[0]);
	case KVM_CAP_EXIT_HYPERCALL:
		if (cap->args[0] & ~(u64)EXIT_HYPERCALLS)
			return -EINVAL;
		atomic_poke(&call->vm->exit_hypercalls, cap->args[0]);
		return 0;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return vm_enable_manual_protect(call->vm, cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return vm_enable_dirty_ring(call->vm, (u32)cap->args[0]);
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~(u64)QUIRKS)
			return -EINVAL;
		return disable_quirks(call->vm, cap->args[0]);
	case KVM_CAP_DISABLE_QUIRKS:
		return disable_quirks(call->vm, cap->args[0]);
	case KVM_CAP_SPLIT_IRQCHIP:
		return vm_split_irqchip(call->vm, cap->args[0]);
	case KVM_CAP_X2APIC_API:
		return set_x2apic_api(call->vm, cap->args[0]);
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		return set_apic_bus(call->vm, cap->args[0]);
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (cap->args[0] & ~1ull)
			return -EINVAL;
		atomic_poke(&call->vm->exit_on_emulation_failure, cap->args[0] != 0);
		return 0;
	case KVM_CAP_X86_DISABLE_EXITS:
		if (cap->args[0] & ~DISABLE_EXITS)
			return -EINVAL;
		if (cap->args[0] & KVM_X86_DISABLE_EXITS_HLT)
			atomic_poke(&call->vm->halts_without_exit, true);
		return 0;
	case KVM_CAP_X86_USER_SPACE_MSR:
		return vm_enable_user_msrs(call->vm, cap->args[0]);
	case KVM_CAP_MSR_PLATFORM_INFO:
		atomic_poke(&call->vm->machine.hide_platform_info, !cap->args[0]);
		return 0;
	default:
		return -EINVAL;
	}
}

long do_vcpu_enable_cap(struct ioctl_call *call)
{
	const struct kvm_enable_cap *cap = call->data;

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
		call->vcpu->cpu->enforce_pv_features = cap->args[0] != 0;
		return 0;
	default:
		return -EINVAL;
	}
}
