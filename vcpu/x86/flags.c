/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lazy arithmetic flags, the complete computation (SDM vol. 1, 3.4.3.1).
 * The representation is described in flags.h.
 */
#include "vcpu/x86/flags_inline.h"

/* 1 or 0: the borrow (SBB) or carry (ADC) that went into the operation. */
static u64 carry_in(const struct x86_cpu *cpu)
{
	switch (x86_cc_kind(cpu)) {
	case X86_CC_ADC:
		return cpu->cc_src2;
	case X86_CC_SBB:
		return (cpu->cc_src2 - cpu->cc_src - cpu->cc_dst) & 1;
	default:
		return 0;
	}
}

/* The first operand; bits above the operand size are not meaningful. */
static u64 first_operand(const struct x86_cpu *cpu)
{
	switch (x86_cc_kind(cpu)) {
	case X86_CC_SUB:
	case X86_CC_SBB:
		return cpu->cc_src2;
	case X86_CC_INC:
		return cpu->cc_dst - 1;
	case X86_CC_DEC:
		return cpu->cc_dst + 1;
	default:
		return cpu->cc_dst - cpu->cc_src - carry_in(cpu);
	}
}

u32 x86_flags_carry(const struct x86_cpu *cpu)
{
	u64 dst = cpu->cc_dst, src = cpu->cc_src, src2 = cpu->cc_src2;

	switch (x86_cc_kind(cpu)) {
	case X86_CC_ADD:
		return dst < src;
	case X86_CC_ADC:
		return src2 ? dst <= src : dst < src;
	case X86_CC_SUB:
		return src2 < src;
	case X86_CC_SBB:
		return carry_in(cpu) ? src2 <= src : src2 < src;
	default:
		return (u32)src & X86_EFLAGS_CF;
	}
}

/* INC and DEC are ADD and SUB of 1. */
static u64 second_operand(const struct x86_cpu *cpu)
{
	u32 kind = x86_cc_kind(cpu);

	return kind == X86_CC_INC || kind == X86_CC_DEC ? 1 : cpu->cc_src;
}

u32 x86_flags_aux(const struct x86_cpu *cpu)
{
	if (x86_cc_kind(cpu) <= X86_CC_LOGIC)
		return (u32)cpu->cc_src & X86_EFLAGS_AF;
	return (u32)(cpu->cc_dst ^ first_operand(cpu) ^ second_operand(cpu)) & X86_EFLAGS_AF;
}

static u32 overflow(const struct x86_cpu *cpu)
{
	u32 kind = x86_cc_kind(cpu);
	u64 first, second, changed;
	unsigned int sign_bit = (8u << (cpu->cc_op & 3)) - 1;

	if (kind <= X86_CC_LOGIC)
		return (u32)cpu->cc_src & X86_EFLAGS_OF;
	first = first_operand(cpu);
	second = second_operand(cpu);
	changed = first ^ cpu->cc_dst;
	if (kind == X86_CC_SUB || kind == X86_CC_SBB || kind == X86_CC_DEC)
		changed &= first ^ second;
	else
		changed &= second ^ cpu->cc_dst;
	return (changed >> sign_bit) & 1 ? X86_EFLAGS_OF : 0;
}

static u32 parity(u64 value)
{
	return __builtin_parity((unsigned int)value & 0xff) ? 0 : X86_EFLAGS_PF;
}

u32 x86_flags_compute(const struct x86_cpu *cpu)
{
	if (x86_cc_kind(cpu) == X86_CC_FLAGS)
		return (u32)cpu->cc_src & X86_EFLAGS_ARITH;
	return x86_flags_carry(cpu) | parity(cpu->cc_dst) | x86_flags_aux(cpu) |
	       (cpu->cc_dst == 0 ? X86_EFLAGS_ZF : 0) | ((s64)cpu->cc_dst < 0 ? X86_EFLAGS_SF : 0) |
	       overflow(cpu);
}

bool x86_condition(const struct x86_cpu *cpu, unsigned int cc)
{
	u32 flags = x86_flags_compute(cpu);
	bool sf_ne_of = !(flags & X86_EFLAGS_SF) != !(flags & X86_EFLAGS_OF);
	bool negate = cc & 1, met = false;

	switch ((enum x86_cc_test)((cc >> 1) & 7)) {
	case X86_CC_O:
		met = flags & X86_EFLAGS_OF;
		break;
	case X86_CC_B:
		met = flags & X86_EFLAGS_CF;
		break;
	case X86_CC_Z:
		met = flags & X86_EFLAGS_ZF;
		break;
	case X86_CC_BE:
		met = flags & (X86_EFLAGS_CF | X86_EFLAGS_ZF);
		break;
	case X86_CC_S:
		met = flags & X86_EFLAGS_SF;
		break;
	case X86_CC_P:
		met = flags & X86_EFLAGS_PF;
		break;
	case X86_CC_L:
		met = sf_ne_of;
		break;
	case X86_CC_LE:
		met = sf_ne_of || (flags & X86_EFLAGS_ZF);
		break;
	}
	return met != negate;
}
