/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of ioctls.  See ioctl_table.h; the calls are KVM's api.rst, section 4. */
#include "kvm/ioctl_table.h"

#include "base/bits.h"

#define ENTRY(number, arg_kind, lock_kind, cap, type, function)                        \
	{                                                                              \
		.request = (u32)(number), .arg = (arg_kind), .lock = (lock_kind),      \
		.capability = (cap), .bytes = (u16)sizeof(type), .handler = (function) \
	}
/* Without a structure of fixed size. */
#define PLAIN(number, arg_kind, lock_kind, cap, function) \
	ENTRY(number, arg_kind, lock_kind, cap, char, function)

static const struct ioctl_entry system_calls[] = {
	PLAIN(KVM_GET_API_VERSION, ARG_VALUE, LOCK_NONE, NO_CAP, do_get_api_version),
	PLAIN(KVM_CREATE_VM, ARG_VALUE, LOCK_NONE, NO_CAP, do_create_vm),
	PLAIN(KVM_CHECK_EXTENSION, ARG_VALUE, LOCK_NONE, NO_CAP, do_check_extension),
	PLAIN(KVM_GET_VCPU_MMAP_SIZE, ARG_VALUE, LOCK_NONE, NO_CAP, do_get_vcpu_mmap_size),
	PLAIN(KVM_GET_SUPPORTED_CPUID, ARG_USER, LOCK_NONE, KVM_CAP_EXT_CPUID,
	      do_get_supported_cpuid),
	PLAIN(KVM_GET_EMULATED_CPUID, ARG_USER, LOCK_NONE, KVM_CAP_EXT_EMUL_CPUID,
	      do_get_emulated_cpuid),
	PLAIN(KVM_GET_MSR_INDEX_LIST, ARG_USER, LOCK_NONE, NO_CAP, do_get_msr_index_list),
	PLAIN(KVM_GET_MSR_FEATURE_INDEX_LIST, ARG_USER, LOCK_NONE, KVM_CAP_GET_MSR_FEATURES,
	      do_get_msr_feature_index_list),
	PLAIN(KVM_GET_MSRS, ARG_USER, LOCK_NONE, KVM_CAP_GET_MSR_FEATURES, do_system_get_msrs),
	ENTRY(KVM_X86_GET_MCE_CAP_SUPPORTED, ARG_OUT, LOCK_NONE, KVM_CAP_MCE, u64, do_get_mce_caps),
};

static const struct ioctl_entry vm_calls[] = {
	ENTRY(KVM_SET_USER_MEMORY_REGION, ARG_IN, LOCK_NONE, KVM_CAP_USER_MEMORY,
	      struct kvm_userspace_memory_region, do_set_user_memory_region),
	ENTRY(KVM_SET_USER_MEMORY_REGION2, ARG_IN, LOCK_NONE, KVM_CAP_USER_MEMORY2,
	      struct kvm_userspace_memory_region2, do_set_user_memory_region2),
	ENTRY(KVM_SET_MEMORY_ATTRIBUTES, ARG_IN, LOCK_NONE, KVM_CAP_MEMORY_ATTRIBUTES,
	      struct kvm_memory_attributes, do_set_memory_attributes),
	ENTRY(KVM_CREATE_GUEST_MEMFD, ARG_IN, LOCK_NONE, KVM_CAP_GUEST_MEMFD,
	      struct kvm_create_guest_memfd, do_create_guest_memfd),
	PLAIN(KVM_CREATE_VCPU, ARG_VALUE, LOCK_VM, NO_CAP, do_create_vcpu),
	PLAIN(KVM_CHECK_EXTENSION, ARG_VALUE, LOCK_NONE, KVM_CAP_CHECK_EXTENSION_VM,
	      do_vm_check_extension),
	ENTRY(KVM_ENABLE_CAP, ARG_IN, LOCK_VM, KVM_CAP_ENABLE_CAP_VM, struct kvm_enable_cap,
	      do_vm_enable_cap),
	PLAIN(KVM_CREATE_IRQCHIP, ARG_NONE, LOCK_VM, NO_CAP, do_create_irqchip),
	ENTRY(KVM_IRQ_LINE, ARG_IN, LOCK_NONE, KVM_CAP_IRQCHIP, struct kvm_irq_level, do_irq_line),
	ENTRY(KVM_IRQ_LINE_STATUS, ARG_IN_OUT, LOCK_NONE, KVM_CAP_IRQ_INJECT_STATUS,
	      struct kvm_irq_level, do_irq_line_status),
	ENTRY(KVM_GET_IRQCHIP, ARG_IN_OUT, LOCK_VM, KVM_CAP_IRQCHIP, struct kvm_irqchip,
	      do_get_irqchip),
	ENTRY(KVM_SET_IRQCHIP, ARG_IN, LOCK_VM, KVM_CAP_IRQCHIP, struct kvm_irqchip,
	      do_set_irqchip),
	PLAIN(KVM_CREATE_PIT, ARG_NONE, LOCK_VM, KVM_CAP_PIT, do_create_pit),
	ENTRY(KVM_CREATE_PIT2, ARG_IN, LOCK_VM, KVM_CAP_PIT2, struct kvm_pit_config,
	      do_create_pit2),
	ENTRY(KVM_GET_PIT, ARG_IN_OUT, LOCK_VM, KVM_CAP_PIT, struct kvm_pit_state, do_get_pit),
	ENTRY(KVM_SET_PIT, ARG_IN, LOCK_VM, KVM_CAP_PIT, struct kvm_pit_state, do_set_pit),
	ENTRY(KVM_GET_PIT2, ARG_OUT, LOCK_VM, KVM_CAP_PIT_STATE2, struct kvm_pit_state2,
	      do_get_pit2),
	ENTRY(KVM_SET_PIT2, ARG_IN, LOCK_VM, KVM_CAP_PIT_STATE2, struct kvm_pit_state2,
	      do_set_pit2),
	ENTRY(KVM_REINJECT_CONTROL, ARG_IN, LOCK_VM, KVM_CAP_REINJECT_CONTROL,
	      struct kvm_reinject_control, do_reinject_control),
	PLAIN(KVM_SET_GSI_ROUTING, ARG_USER, LOCK_VM, KVM_CAP_IRQ_ROUTING, do_set_gsi_routing),
	ENTRY(KVM_SIGNAL_MSI, ARG_IN, LOCK_NONE, KVM_CAP_SIGNAL_MSI, struct kvm_msi, do_signal_msi),
	ENTRY(KVM_IRQFD, ARG_IN, LOCK_VM, KVM_CAP_IRQFD, struct kvm_irqfd, do_irqfd),
	ENTRY(KVM_IOEVENTFD, ARG_IN, LOCK_VM, KVM_CAP_IOEVENTFD, struct kvm_ioeventfd,
	      do_ioeventfd),
	PLAIN(KVM_SET_BOOT_CPU_ID, ARG_VALUE, LOCK_VM, KVM_CAP_SET_BOOT_CPU_ID, do_set_boot_cpu_id),
	PLAIN(KVM_SET_TSS_ADDR, ARG_VALUE, LOCK_VM, KVM_CAP_SET_TSS_ADDR, do_set_tss_addr),
	PLAIN(KVM_SET_IDENTITY_MAP_ADDR, ARG_USER, LOCK_VM, KVM_CAP_SET_IDENTITY_MAP_ADDR,
	      do_set_identity_map_addr),
	PLAIN(KVM_SET_NR_MMU_PAGES, ARG_VALUE, LOCK_VM, NO_CAP, do_set_nr_mmu_pages),
	PLAIN(KVM_GET_NR_MMU_PAGES, ARG_NONE, LOCK_VM, NO_CAP, do_get_nr_mmu_pages),
	ENTRY(KVM_GET_DIRTY_LOG, ARG_IN, LOCK_NONE, NO_CAP, struct kvm_dirty_log, do_get_dirty_log),
	ENTRY(KVM_CLEAR_DIRTY_LOG, ARG_IN, LOCK_NONE, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	      struct kvm_clear_dirty_log, do_clear_dirty_log),
	PLAIN(KVM_RESET_DIRTY_RINGS, ARG_NONE, LOCK_NONE, KVM_CAP_DIRTY_LOG_RING,
	      do_reset_dirty_rings),
	ENTRY(KVM_GET_CLOCK, ARG_OUT, LOCK_VM, KVM_CAP_ADJUST_CLOCK, struct kvm_clock_data,
	      do_get_clock),
	ENTRY(KVM_SET_CLOCK, ARG_IN, LOCK_VM, KVM_CAP_ADJUST_CLOCK, struct kvm_clock_data,
	      do_set_clock),
	PLAIN(KVM_GET_STATS_FD, ARG_NONE, LOCK_NONE, KVM_CAP_BINARY_STATS_FD, do_vm_get_stats_fd),
	ENTRY(KVM_REGISTER_COALESCED_MMIO, ARG_IN, LOCK_NONE, KVM_CAP_COALESCED_MMIO,
	      struct kvm_coalesced_mmio_zone, do_register_coalesced),
	ENTRY(KVM_UNREGISTER_COALESCED_MMIO, ARG_IN, LOCK_NONE, KVM_CAP_COALESCED_MMIO,
	      struct kvm_coalesced_mmio_zone, do_unregister_coalesced),
	ENTRY(KVM_X86_SET_MSR_FILTER, ARG_IN, LOCK_VM, KVM_CAP_X86_MSR_FILTER,
	      struct kvm_msr_filter, do_set_msr_filter),
	PLAIN(KVM_GET_TSC_KHZ, ARG_NONE, LOCK_NONE, KVM_CAP_GET_TSC_KHZ, do_get_tsc_khz),
	PLAIN(KVM_SET_TSC_KHZ, ARG_VALUE, LOCK_NONE, KVM_CAP_VM_TSC_CONTROL, do_set_tsc_khz),
};

/* Those that a run loop makes come first: lookup is in order. */
static const struct ioctl_entry vcpu_calls[] = {
	PLAIN(KVM_RUN, ARG_VALUE, LOCK_VCPU, NO_CAP, do_run),
	ENTRY(KVM_GET_REGS, ARG_OUT, LOCK_VCPU, NO_CAP, struct kvm_regs, do_get_regs),
	ENTRY(KVM_SET_REGS, ARG_IN, LOCK_VCPU, NO_CAP, struct kvm_regs, do_set_regs),
	ENTRY(KVM_GET_SREGS, ARG_OUT, LOCK_VCPU, NO_CAP, struct kvm_sregs, do_get_sregs),
	ENTRY(KVM_SET_SREGS, ARG_IN, LOCK_VCPU, NO_CAP, struct kvm_sregs, do_set_sregs),
	ENTRY(KVM_INTERRUPT, ARG_IN, LOCK_VCPU, NO_CAP, struct kvm_interrupt, do_interrupt),
	ENTRY(KVM_GET_SREGS2, ARG_OUT, LOCK_VCPU, KVM_CAP_SREGS2, struct kvm_sregs2, do_get_sregs2),
	ENTRY(KVM_SET_SREGS2, ARG_IN, LOCK_VCPU, KVM_CAP_SREGS2, struct kvm_sregs2, do_set_sregs2),
	ENTRY(KVM_GET_FPU, ARG_OUT, LOCK_VCPU, NO_CAP, struct kvm_fpu, do_get_fpu),
	ENTRY(KVM_SET_FPU, ARG_IN, LOCK_VCPU, NO_CAP, struct kvm_fpu, do_set_fpu),
	ENTRY(KVM_GET_XSAVE, ARG_OUT, LOCK_VCPU, KVM_CAP_XSAVE, struct kvm_xsave, do_get_xsave),
	ENTRY(KVM_GET_XSAVE2, ARG_OUT, LOCK_VCPU, KVM_CAP_XSAVE2, struct kvm_xsave, do_get_xsave),
	ENTRY(KVM_SET_XSAVE, ARG_IN, LOCK_VCPU, KVM_CAP_XSAVE, struct kvm_xsave, do_set_xsave),
	ENTRY(KVM_GET_XCRS, ARG_OUT, LOCK_VCPU, KVM_CAP_XCRS, struct kvm_xcrs, do_get_xcrs),
	ENTRY(KVM_SET_XCRS, ARG_IN, LOCK_VCPU, KVM_CAP_XCRS, struct kvm_xcrs, do_set_xcrs),
	ENTRY(KVM_GET_DEBUGREGS, ARG_OUT, LOCK_VCPU, KVM_CAP_DEBUGREGS, struct kvm_debugregs,
	      do_get_debugregs),
	ENTRY(KVM_SET_DEBUGREGS, ARG_IN, LOCK_VCPU, KVM_CAP_DEBUGREGS, struct kvm_debugregs,
	      do_set_debugregs),
	ENTRY(KVM_SET_GUEST_DEBUG, ARG_IN, LOCK_VCPU, KVM_CAP_SET_GUEST_DEBUG,
	      struct kvm_guest_debug, do_set_guest_debug),
	PLAIN(KVM_GET_MSRS, ARG_USER, LOCK_VCPU, NO_CAP, do_get_msrs),
	PLAIN(KVM_SET_MSRS, ARG_USER, LOCK_VCPU, NO_CAP, do_set_msrs),
	PLAIN(KVM_SET_CPUID, ARG_USER, LOCK_VCPU, NO_CAP, do_set_cpuid),
	PLAIN(KVM_SET_CPUID2, ARG_USER, LOCK_VCPU, KVM_CAP_EXT_CPUID, do_set_cpuid2),
	PLAIN(KVM_GET_CPUID2, ARG_USER, LOCK_VCPU, KVM_CAP_EXT_CPUID, do_get_cpuid2),
	ENTRY(KVM_GET_MP_STATE, ARG_OUT, LOCK_VCPU, KVM_CAP_MP_STATE, struct kvm_mp_state,
	      do_get_mp_state),
	ENTRY(KVM_SET_MP_STATE, ARG_IN, LOCK_VCPU, KVM_CAP_MP_STATE, struct kvm_mp_state,
	      do_set_mp_state),
	ENTRY(KVM_GET_VCPU_EVENTS, ARG_OUT, LOCK_VCPU, KVM_CAP_VCPU_EVENTS, struct kvm_vcpu_events,
	      do_get_vcpu_events),
	ENTRY(KVM_SET_VCPU_EVENTS, ARG_IN, LOCK_VCPU, KVM_CAP_VCPU_EVENTS, struct kvm_vcpu_events,
	      do_set_vcpu_events),
	ENTRY(KVM_GET_LAPIC, ARG_OUT, LOCK_VCPU, NO_CAP, struct kvm_lapic_state, do_get_lapic),
	ENTRY(KVM_SET_LAPIC, ARG_IN, LOCK_VCPU, NO_CAP, struct kvm_lapic_state, do_set_lapic),
	ENTRY(KVM_SET_VAPIC_ADDR, ARG_IN, LOCK_VCPU, KVM_CAP_VAPIC, struct kvm_vapic_addr,
	      do_set_vapic_addr),
	ENTRY(KVM_TPR_ACCESS_REPORTING, ARG_IN_OUT, LOCK_VCPU, KVM_CAP_VAPIC,
	      struct kvm_tpr_access_ctl, do_tpr_access_reporting),
	PLAIN(KVM_NMI, ARG_NONE, LOCK_VCPU, KVM_CAP_USER_NMI, do_nmi),
	PLAIN(KVM_SMI, ARG_NONE, LOCK_VCPU, KVM_CAP_X86_SMM, do_smi),
	PLAIN(KVM_SET_SIGNAL_MASK, ARG_USER, LOCK_VCPU, NO_CAP, do_set_signal_mask),
	ENTRY(KVM_TRANSLATE, ARG_IN_OUT, LOCK_VCPU, NO_CAP, struct kvm_translation, do_translate),
	PLAIN(KVM_GET_STATS_FD, ARG_NONE, LOCK_NONE, KVM_CAP_BINARY_STATS_FD, do_vcpu_get_stats_fd),
	PLAIN(KVM_GET_TSC_KHZ, ARG_NONE, LOCK_VCPU, KVM_CAP_GET_TSC_KHZ, do_vcpu_get_tsc_khz),
	PLAIN(KVM_SET_TSC_KHZ, ARG_VALUE, LOCK_VCPU, NO_CAP, do_vcpu_set_tsc_khz),
	ENTRY(KVM_ENABLE_CAP, ARG_IN, LOCK_VCPU, KVM_CAP_ENABLE_CAP, struct kvm_enable_cap,
	      do_vcpu_enable_cap),
	ENTRY(KVM_PRE_FAULT_MEMORY, ARG_IN_OUT, LOCK_VCPU, KVM_CAP_PRE_FAULT_MEMORY,
	      struct kvm_pre_fault_memory, do_pre_fault_memory),
	ENTRY(KVM_HAS_DEVICE_ATTR, ARG_IN, LOCK_VCPU, KVM_CAP_VCPU_ATTRIBUTES,
	      struct kvm_device_attr, do_vcpu_has_attr),
	ENTRY(KVM_GET_DEVICE_ATTR, ARG_IN, LOCK_VCPU, KVM_CAP_VCPU_ATTRIBUTES,
	      struct kvm_device_attr, do_vcpu_get_attr),
	ENTRY(KVM_SET_DEVICE_ATTR, ARG_IN, LOCK_VCPU, KVM_CAP_VCPU_ATTRIBUTES,
	      struct kvm_device_attr, do_vcpu_set_attr),
	ENTRY(KVM_X86_SETUP_MCE, ARG_IN, LOCK_VCPU, KVM_CAP_MCE, u64, do_setup_mce),
	ENTRY(KVM_X86_SET_MCE, ARG_IN, LOCK_VCPU, KVM_CAP_MCE, struct kvm_x86_mce, do_set_mce),
	PLAIN(KVM_KVMCLOCK_CTRL, ARG_NONE, LOCK_VCPU, NO_CAP, do_kvmclock_ctrl),
};

static const struct {
	const struct ioctl_entry *entry;
	u32 nr;
} tables[] = {
	[KVM_FILE_NONE] = {NULL, 0},
	[KVM_FILE_SYSTEM] = {system_calls, ARRAY_SIZE(system_calls)},
	[KVM_FILE_VM] = {vm_calls, ARRAY_SIZE(vm_calls)},
	[KVM_FILE_VCPU] = {vcpu_calls, ARRAY_SIZE(vcpu_calls)},
	[KVM_FILE_GUEST_MEMFD] = {NULL, 0},
	[KVM_FILE_STATS] = {NULL, 0},
};

const struct ioctl_entry *ioctl_entries(enum kvm_file_kind kind, u32 *nr)
{
	*nr = tables[kind].nr;
	return tables[kind].entry;
}

const struct ioctl_entry *ioctl_find(enum kvm_file_kind kind, u32 request)
{
	for (u32 i = 0; i < tables[kind].nr; i++) {
		if (tables[kind].entry[i].request == request)
			return &tables[kind].entry[i];
	}
	return NULL;
}
