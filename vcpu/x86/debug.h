/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Breakpoints and single steps (SDM vol. 3, chapter 18), of the guest itself
 * and of a debugger outside (KVM_SET_GUEST_DEBUG).
 *
 * Breakpoints cost nothing while there are none.  With one on fetching, each
 * instruction runs alone and is looked at before; with one on data, its page
 * gets no tags in the soft TLB, so that accesses come by the slow path.
 */
#ifndef KVMU_VCPU_X86_DEBUG_H
#define KVMU_VCPU_X86_DEBUG_H

#include "vcpu/x86/cpu_state.h"

/* What a debugger outside wants; the KVM API's KVM_GUESTDBG_*. */
enum x86_debug_control {
	X86_DEBUG_STEP = 1u << 1,
	X86_DEBUG_SW_BP = 1u << 16,	/* INT3 ends the run */
	X86_DEBUG_HW_BP = 1u << 17,	/* its debug registers are in force, not the guest's */
	X86_DEBUG_BLOCK_IRQ = 1u << 20, /* no interrupts meanwhile */
};

#define X86_DR6_FIXED 0xffff0ff0ull /* bits that always read 1 */
#define X86_DR6_BD    (1ull << 13)
#define X86_DR6_BS    (1ull << 14)
#define X86_DR7_FIXED 0x400ull
#define X86_DR7_GD    (1ull << 13)

/* Debug registers, CR4.DE or the debugger's wishes have changed. */
void x86_debug_changed(struct x86_cpu *cpu);

/* The guest's are in force unless the debugger brought its own. */
static inline u64 x86_debug_dr7(const struct x86_cpu *cpu)
{
	return cpu->debug.control & X86_DEBUG_HW_BP ? cpu->debug.dr7 : cpu->dr[7];
}

/* Do instructions have to run one by one? */
static inline bool x86_debug_alone(const struct x86_cpu *cpu)
{
	return (cpu->debug.control & X86_DEBUG_STEP) || cpu->debug.watches_fetch;
}

/* Before the instruction at RIP; unwinds when a breakpoint is there. */
void x86_debug_check_fetch(struct x86_cpu *cpu);
/* An access of the current instruction; may unwind to have it run alone. */
void x86_debug_note_access(struct x86_cpu *cpu, u64 addr, u64 bytes, bool write);
void x86_debug_note_port(struct x86_cpu *cpu, u16 port, unsigned int bytes);
/* May tags of the soft TLB lead to this page (linear)? */
bool x86_debug_hides_page(const struct x86_cpu *cpu, u64 page);

/* #DB after an instruction (@dr6: what happened), or the end of the run for a debugger. */
void x86_debug_trap(struct x86_cpu *cpu, u64 dr6);
/* The same before an instruction. */
_Noreturn void x86_debug_fault(struct x86_cpu *cpu, u64 dr6);
/* Does a debugger outside get this exception?  Then unwinds. */
void x86_debug_intercept(struct x86_cpu *cpu, const struct x86_event *event);

#endif
