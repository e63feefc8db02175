/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paravirtual MSRs (Documentation/virt/kvm/x86/msr.rst): the guest names
 * places in its memory, and whoever owns the CPU keeps them up to date.
 *
 * A write marks what is to be done in cpu->pv.updates and ends guest code with
 * X86_EXIT_PV, so that it is done before the next instruction.
 */
#ifndef KVMU_VCPU_X86_PV_H
#define KVMU_VCPU_X86_PV_H

#include "vcpu/x86/cpu_state.h"

/* Bits of CPUID 0x40000001:EAX. */
enum x86_pv_feature {
	X86_PV_CLOCKSOURCE = 0,
	X86_PV_NOP_IO_DELAY = 1,
	X86_PV_CLOCKSOURCE2 = 3,
	X86_PV_STEAL_TIME = 5,
	X86_PV_UNHALT = 7,
	X86_PV_SEND_IPI = 11,
	X86_PV_POLL_CONTROL = 12,
	X86_PV_SCHED_YIELD = 13,
	X86_PV_CLOCKSOURCE_STABLE = 24,
};

/* What the owner has to do: cpu->pv.updates. */
enum x86_pv_update {
	X86_PV_UPDATE_CLOCK = 1u << 0,
	X86_PV_UPDATE_WALL_CLOCK = 1u << 1,
	X86_PV_UPDATE_STEAL_TIME = 1u << 2,
};

#define X86_PV_ENABLED 1ull /* in the address of the clock and of the steal time */

/* -ENOENT: not one of them, or not for this guest; -EINVAL: reserved bits. */
int x86_pv_get_msr(struct x86_cpu *cpu, u32 index, u64 *value, bool host) KVMU_MUST_CHECK;
int x86_pv_set_msr(struct x86_cpu *cpu, u32 index, u64 value, bool host) KVMU_MUST_CHECK;

#endif
