/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPUs of one VM share besides memory: the settings that the owner
 * (kvm/) makes for all of them.
 *
 * The owner writes under a lock of its own, vCPUs read at any time: single
 * words, read through atomic_peek(), and no order among them.
 */
#ifndef KVMU_VCPU_X86_MACHINE_H
#define KVMU_VCPU_X86_MACHINE_H

#include "base/atomics.h"

/* Values of the KVM API's KVM_X86_QUIRK_*; kvm/abi_check.c holds them together. */
enum x86_quirk {
	X86_QUIRK_LINT0_REENABLED = 1u << 0,
	X86_QUIRK_LAPIC_MMIO_HOLE = 1u << 2,
	X86_QUIRK_OUT_7E_INC_RIP = 1u << 3,
	X86_QUIRK_MISC_ENABLE_NO_MWAIT = 1u << 4,
	X86_QUIRK_FIX_HYPERCALL_INSN = 1u << 5,
	X86_QUIRK_MWAIT_NEVER_UD_FAULTS = 1u << 6,
};

struct x86_cpu;

/* What the CPUs ask of their owner, from any of their threads. */
struct x86_machine_ops {
	u64 (*now_ns)(void);		   /* a clock that only goes forward */
	void (*wake)(struct x86_cpu *cpu); /* it may sleep: it has a reason to run */
	/* A CPU takes the 8259's interrupt: its vector, -1 when it is gone. */
	int (*acknowledge_extint)(struct x86_cpu *cpu);
	/* A level-triggered interrupt has ended; NULL: nobody wants to know. */
	void (*eoi)(struct x86_cpu *cpu, u8 vector);
	/* The guest has used the task priority by the register page, not by CR8; or NULL. */
	void (*tpr_accessed)(struct x86_cpu *cpu, bool is_write);
};

/* Values of the KVM API's KVM_MSR_FILTER_*. */
enum x86_msr_filter_flags {
	X86_MSR_FILTER_READ = 1u << 0,
	X86_MSR_FILTER_WRITE = 1u << 1,
};

struct x86_msr_range {
	u32 flags; /* enum x86_msr_filter_flags: the accesses it speaks about */
	u32 base, nr;
	const u8 *bitmap; /* 1: allowed */
};

/* The first range that speaks about an access decides.  Immutable; freed after a grace period. */
struct x86_msr_filter {
	bool default_deny;
	u32 nr_ranges;
	struct x86_msr_range ranges[];
};

/* Why the guest may not access an MSR: the KVM API's KVM_MSR_EXIT_REASON_*. */
enum x86_msr_reason {
	X86_MSR_INVALID = 1u << 0, /* the value, or the access */
	X86_MSR_UNKNOWN = 1u << 1,
	X86_MSR_FILTERED = 1u << 2,
};

struct x86_machine {
	const struct x86_machine_ops *ops; /* needed by local APICs only */
	bool extint;			   /* the 8259 asks for attention */
	u64 apic_bus_ns;		   /* one tick of the APIC timer */
	bool x2apic_literal_255;	   /* device messages to id 255 mean that CPU, not all */
	u32 boot_cpu_id;
	u64 disabled_quirks;	 /* enum x86_quirk */
	bool hide_platform_info; /* reading MSR_PLATFORM_INFO is #GP for the guest */
	u32 user_msr_reasons;	 /* enum x86_msr_reason: those for which user space is asked */
	struct x86_msr_filter *msr_filter; /* RCU; NULL: everything is allowed */
};

static inline bool x86_has_quirk(const struct x86_machine *machine, enum x86_quirk quirk)
{
	return !(atomic_peek(&machine->disabled_quirks) & quirk);
}

#endif
