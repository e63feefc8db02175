/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hot parts of the lazy flags: recording them, and answering the usual
 * question right after the usual operation without leaving the handler.
 * Everything rare goes to flags.c.
 */
#ifndef KVMU_VCPU_X86_FLAGS_INLINE_H
#define KVMU_VCPU_X86_FLAGS_INLINE_H

#include "base/bits.h"
#include "vcpu/x86/flags.h"

/* The condition codes of Jcc, SETcc and CMOVcc without their lowest bit, which negates. */
enum x86_cc_test {
	X86_CC_O,
	X86_CC_B,
	X86_CC_Z,
	X86_CC_BE,
	X86_CC_S,
	X86_CC_P,
	X86_CC_L,
	X86_CC_LE,
};

/* ---- recording ------------------------------------------------------------------ */

static inline void x86_cc_record(struct x86_cpu *cpu, u32 op, s64 dst, s64 src)
{
	cpu->cc_dst = (u64)dst;
	cpu->cc_src = (u64)src;
	cpu->cc_op = op;
}

static inline void x86_cc_record3(struct x86_cpu *cpu, u32 op, s64 dst, s64 src, s64 src2)
{
	cpu->cc_src2 = (u64)src2;
	x86_cc_record(cpu, op, dst, src);
}

/* Result @dst (sign-extended) with CF, AF and OF given in @flags. */
static inline void x86_cc_result(struct x86_cpu *cpu, unsigned int size_index, s64 dst, u32 flags)
{
	x86_cc_record(cpu, X86_CC(X86_CC_LOGIC, size_index), dst, flags);
}

/* ---- asking ---------------------------------------------------------------------- */

static inline u32 x86_cc_kind(const struct x86_cpu *cpu)
{
	return cpu->cc_op >> 2;
}

/* Does x86_easy_carry() know the carry?  After all but ADC and SBB. */
static inline bool x86_carry_is_easy(const struct x86_cpu *cpu)
{
	u32 kind = x86_cc_kind(cpu);

	return kind <= X86_CC_ADD || kind == X86_CC_SUB;
}

static inline u32 x86_easy_carry(const struct x86_cpu *cpu)
{
	u32 kind = x86_cc_kind(cpu);

	if (likely(kind <= X86_CC_DEC))
		return (u32)cpu->cc_src & X86_EFLAGS_CF;
	return kind == X86_CC_SUB ? cpu->cc_src2 < cpu->cc_src : cpu->cc_dst < cpu->cc_src;
}

static inline u32 x86_carry(const struct x86_cpu *cpu)
{
	return likely(x86_carry_is_easy(cpu)) ? x86_easy_carry(cpu) : x86_flags_carry(cpu);
}

/* AF in its place, whatever the last operation was. */
u32 x86_flags_aux(const struct x86_cpu *cpu);

/*
 * Replace CF and OF (in their places) and keep the other four, for rotates and
 * bit tests: the result stays what it was, only where the rest comes from
 * changes.
 */
static inline void x86_cc_replace_cf_of(struct x86_cpu *cpu, u32 cf_of)
{
	const u64 mask = X86_EFLAGS_CF | X86_EFLAGS_OF;

	if (x86_cc_kind(cpu) <= X86_CC_LOGIC) {
		cpu->cc_src = (cpu->cc_src & ~mask) | cf_of;
		return;
	}
	cpu->cc_src = x86_flags_aux(cpu) | cf_of;
	cpu->cc_op = X86_CC(X86_CC_LOGIC, cpu->cc_op & 3);
}

/* ZF alone, for the few that set nothing else. */
static inline void x86_cc_replace_zf(struct x86_cpu *cpu, bool zf)
{
	u32 flags = x86_flags_compute(cpu) & ~X86_EFLAGS_ZF;

	x86_flags_set(cpu, flags | (zf ? X86_EFLAGS_ZF : 0));
}

static inline bool x86_cc_zero(const struct x86_cpu *cpu)
{
	return x86_cc_kind(cpu) == X86_CC_FLAGS ? (cpu->cc_src & X86_EFLAGS_ZF) != 0
						: cpu->cc_dst == 0;
}

static inline bool x86_cc_sign(const struct x86_cpu *cpu)
{
	return x86_cc_kind(cpu) == X86_CC_FLAGS ? (cpu->cc_src & X86_EFLAGS_SF) != 0
						: (s64)cpu->cc_dst < 0;
}

/* Signed comparison of the operands of a SUB, or of a result with 0. */
static inline bool x86_cc_less(const struct x86_cpu *cpu, bool or_equal)
{
	u32 kind = x86_cc_kind(cpu);
	s64 dst = (s64)cpu->cc_dst;

	if (likely(kind == X86_CC_SUB)) {
		s64 a = (s64)cpu->cc_src2, b = (s64)cpu->cc_src;

		return or_equal ? a <= b : a < b;
	}
	if (kind == X86_CC_LOGIC)
		return ((dst < 0) ^ ((cpu->cc_src & X86_EFLAGS_OF) != 0)) || (or_equal && dst == 0);
	return x86_condition(cpu, or_equal ? X86_CC_LE * 2 : X86_CC_L * 2);
}

static inline bool x86_cc_below_equal(const struct x86_cpu *cpu)
{
	if (likely(x86_cc_kind(cpu) == X86_CC_SUB))
		return cpu->cc_src2 <= cpu->cc_src;
	return x86_cc_zero(cpu) || x86_carry(cpu);
}

/* As x86_condition(); meant for a constant @cc. */
static inline __attribute__((always_inline)) bool x86_cond_inline(const struct x86_cpu *cpu,
								  unsigned int cc)
{
	bool negate = cc & 1;

	switch ((enum x86_cc_test)(cc >> 1)) {
	case X86_CC_B:
		return x86_carry(cpu) != negate;
	case X86_CC_Z:
		return x86_cc_zero(cpu) != negate;
	case X86_CC_BE:
		return x86_cc_below_equal(cpu) != negate;
	case X86_CC_S:
		return x86_cc_sign(cpu) != negate;
	case X86_CC_L:
		return x86_cc_less(cpu, false) != negate;
	case X86_CC_LE:
		return x86_cc_less(cpu, true) != negate;
	case X86_CC_O:
	case X86_CC_P:
		break;
	}
	return x86_condition(cpu, cc);
}

#endif
