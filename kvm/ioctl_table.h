/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every ioctl we answer, as a table: number, what moves in which direction,
 * which lock the dispatcher holds, which capability announces it, who does it.
 * Adding one is a line here and a handler of that form.
 */
#ifndef KVMU_KVM_IOCTL_TABLE_H
#define KVMU_KVM_IOCTL_TABLE_H

#include "kvm/file.h"
#include "kvm/vm.h"

enum ioctl_arg {
	ARG_NONE,   /* ignored, may be garbage */
	ARG_VALUE,  /* the argument is a number */
	ARG_IN,	    /* a structure, copied in before */
	ARG_OUT,    /* a structure, copied out after success; zeroed before */
	ARG_IN_OUT, /* both */
	ARG_USER,   /* of variable size: the handler copies, call->arg is the address */
};

enum ioctl_lock {
	LOCK_NONE,
	LOCK_VM,
	LOCK_VCPU,
};

struct ioctl_call {
	struct vm *vm;	   /* VM and vCPU calls */
	struct vcpu *vcpu; /* vCPU calls */
	u64 arg;
	void *data; /* ARG_IN, ARG_OUT, ARG_IN_OUT */
};

/* Not negative: what ioctl() returns.  Negative: -errno. */
typedef long ioctl_handler(struct ioctl_call *call);

struct ioctl_entry {
	u32 request; /* the low 32 bits, direction and size included */
	enum ioctl_arg arg;
	enum ioctl_lock lock;
	s16 capability; /* KVM_CAP_*, or NO_CAP */
	u16 bytes;	/* of the structure */
	ioctl_handler *handler;
};

#define NO_CAP (-1)

/* The largest structure that the dispatcher itself copies. */
#define IOCTL_MAX_BYTES 4096u

/* NULL: no such call on that kind of descriptor. */
const struct ioctl_entry *ioctl_find(enum kvm_file_kind kind, u32 request);
/* All calls on that kind of descriptor; what wants to try each of them asks here. */
const struct ioctl_entry *ioctl_entries(enum kvm_file_kind kind, u32 *nr);

/* ---- handlers, by file ------------------------------------------------------------------- */

/* system_fd.c */
ioctl_handler do_get_api_version, do_create_vm, do_get_vcpu_mmap_size;
/* capability.c */
ioctl_handler do_check_extension, do_vm_check_extension, do_vm_enable_cap, do_vcpu_enable_cap;
/* vm_fd.c, vm_memory.c, vm_clock.c */
ioctl_handler do_create_vcpu, do_set_boot_cpu_id, do_set_tss_addr, do_set_identity_map_addr;
ioctl_handler do_set_user_memory_region, do_set_user_memory_region2, do_set_nr_mmu_pages,
	do_get_nr_mmu_pages;
/* vm_dirty.c */
ioctl_handler do_get_dirty_log, do_clear_dirty_log, do_reset_dirty_rings;
ioctl_handler do_get_clock, do_set_clock, do_get_tsc_khz, do_set_tsc_khz, do_vcpu_get_tsc_khz,
	do_vcpu_set_tsc_khz, do_kvmclock_ctrl;
/* guest_memfd.c, vm_memory.c, pre_fault.c */
ioctl_handler do_create_guest_memfd, do_set_memory_attributes, do_pre_fault_memory;
/* stats_fd.c */
ioctl_handler do_vm_get_stats_fd, do_vcpu_get_stats_fd;
/* vm_msr_filter.c */
ioctl_handler do_set_msr_filter;
/* vcpu_mce.c */
ioctl_handler do_get_mce_caps, do_setup_mce, do_set_mce;
/* vm_tsc.c */
ioctl_handler do_vcpu_has_attr, do_vcpu_get_attr, do_vcpu_set_attr;
/* irqchip/ */
ioctl_handler do_create_irqchip, do_irq_line, do_irq_line_status, do_get_irqchip, do_set_irqchip,
	do_set_gsi_routing, do_signal_msi, do_irqfd, do_ioeventfd;
ioctl_handler do_create_pit, do_create_pit2, do_get_pit, do_set_pit, do_get_pit2, do_set_pit2,
	do_reinject_control;
/* vm_coalesced.c */
ioctl_handler do_register_coalesced, do_unregister_coalesced;
/* vcpu_cpuid.c, vcpu_msrs.c */
ioctl_handler do_get_supported_cpuid, do_get_emulated_cpuid, do_set_cpuid, do_set_cpuid2,
	do_get_cpuid2;
ioctl_handler do_get_msr_index_list, do_get_msr_feature_index_list, do_system_get_msrs, do_get_msrs,
	do_set_msrs;
/* vcpu_run.c, vcpu_signal.c */
ioctl_handler do_run, do_set_signal_mask;
/* vcpu_regs.c, vcpu_sregs.c */
ioctl_handler do_get_regs, do_set_regs, do_get_sregs, do_set_sregs, do_get_sregs2, do_set_sregs2,
	do_translate;
/* vcpu_debug.c */
ioctl_handler do_get_debugregs, do_set_debugregs, do_set_guest_debug;
/* vcpu_fpu.c */
ioctl_handler do_get_fpu, do_set_fpu, do_get_xsave, do_set_xsave, do_get_xcrs, do_set_xcrs;
/* vcpu_events.c, vcpu_lapic.c */
ioctl_handler do_get_mp_state, do_set_mp_state, do_get_vcpu_events, do_set_vcpu_events,
	do_interrupt, do_nmi, do_smi;
ioctl_handler do_get_lapic, do_set_lapic;
/* vcpu_vapic.c */
ioctl_handler do_set_vapic_addr, do_tpr_access_reporting;

#endif
