/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lazy arithmetic flags.
 *
 * An operation that sets the flags stores its kind and operands (cc_op, cc_dst,
 * cc_src, cc_src2) in place of the flags; who needs them computes what it needs.
 * The exact meaning of the three values per kind is written at enum x86_cc_kind.
 */
#ifndef KVMU_VCPU_X86_FLAGS_H
#define KVMU_VCPU_X86_FLAGS_H

#include "vcpu/x86/cpu_state.h"

/*
 * The kinds; each exists for 8, 16, 32 and 64 bits: kind * 4 + size index.
 *
 * cc_dst, and the operands of ADD to SBB, are sign-extended from the operand
 * size to 64 bits: that keeps both the signed and the unsigned order, so that
 * ZF, SF, PF, carries and comparisons are the same code for all sizes.  The
 * setters in flags_inline.h see to it.
 *
 * The kinds up to DEC have CF in bit 0 of cc_src.
 */
enum x86_cc_kind {
	X86_CC_FLAGS, /* src holds the six flags themselves, in RFLAGS positions */
	X86_CC_LOGIC, /* dst = result; src = CF, AF, OF in RFLAGS positions (0 after AND, OR..) */
	X86_CC_INC,   /* dst = result, src = CF to keep (0 or 1) */
	X86_CC_DEC,   /* dst = result, src = CF to keep */
	X86_CC_ADD,   /* dst = result, src = second operand */
	X86_CC_ADC,   /* dst = result, src = second operand, src2 = carry in */
	X86_CC_SUB,   /* dst = result, src = second operand, src2 = first operand */
	X86_CC_SBB,   /* as SUB; the borrow in is bit 0 of src2 - src - dst */
	X86_CC_NR,
};

#define X86_CC(kind, size_index) ((u32)(kind)*4u + (u32)(size_index))

/* All six flags in their RFLAGS positions, others 0. */
u32 x86_flags_compute(const struct x86_cpu *cpu);

/* Replace the six flags. */
static inline void x86_flags_set(struct x86_cpu *cpu, u32 flags)
{
	cpu->cc_src = flags & X86_EFLAGS_ARITH;
	cpu->cc_op = X86_CC(X86_CC_FLAGS, 0);
}

/* The whole register as PUSHF sees it, and its replacement (no permission checks). */
static inline u64 x86_rflags(const struct x86_cpu *cpu)
{
	return cpu->rflags | X86_EFLAGS_FIXED | x86_flags_compute(cpu);
}

static inline void x86_set_rflags_raw(struct x86_cpu *cpu, u64 rflags)
{
	cpu->rflags = (rflags & ~(u64)X86_EFLAGS_ARITH) | X86_EFLAGS_FIXED;
	x86_flags_set(cpu, (u32)rflags);
}

/* The carry flag alone: 0 or 1. */
u32 x86_flags_carry(const struct x86_cpu *cpu);

/* Condition @cc as encoded in the low four bits of Jcc (SDM vol. 2, appendix B.1.4.7). */
bool x86_condition(const struct x86_cpu *cpu, unsigned int cc);

#endif
