/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating-point computations on x86 hosts: the instructions themselves, in
 * assembly so that the compiler can neither swap the operands of a commutative one (which
 * NaN wins would change) nor move it across reads of MXCSR.
 *
 * Included by sse_fp.h only.
 */
#ifndef KVMU_VCPU_X86_SSE_FP_NATIVE_H
#define KVMU_VCPU_X86_SSE_FP_NATIVE_H

#define X86_FP_COMPUTE(name) static inline x86_v2u64 name##_fp(x86_v2u64 d, x86_v2u64 s, u32 imm)

#define X86_FP_INSN(name)                                             \
	X86_FP_COMPUTE(name)                                          \
	{                                                             \
		(void)imm;                                            \
		__asm__ volatile(#name " %1, %0" : "+x"(d) : "x"(s)); \
		return d;                                             \
	}

#define X86_FP_FOUR(name) \
	X86_FP_INSN(name##ps) X86_FP_INSN(name##pd) X86_FP_INSN(name##ss) X86_FP_INSN(name##sd)

/* clang-format off */
X86_FP_FOUR(add) X86_FP_FOUR(sub) X86_FP_FOUR(mul) X86_FP_FOUR(div)
X86_FP_FOUR(min) X86_FP_FOUR(max) X86_FP_FOUR(sqrt)
X86_FP_INSN(rcpps) X86_FP_INSN(rcpss) X86_FP_INSN(rsqrtps) X86_FP_INSN(rsqrtss)
X86_FP_INSN(haddps) X86_FP_INSN(haddpd) X86_FP_INSN(hsubps) X86_FP_INSN(hsubpd)
X86_FP_INSN(addsubps) X86_FP_INSN(addsubpd)
X86_FP_INSN(cvtdq2ps) X86_FP_INSN(cvtdq2pd) X86_FP_INSN(cvtps2dq) X86_FP_INSN(cvttps2dq)
X86_FP_INSN(cvtpd2dq) X86_FP_INSN(cvttpd2dq) X86_FP_INSN(cvtps2pd) X86_FP_INSN(cvtpd2ps)
X86_FP_INSN(cvtss2sd) X86_FP_INSN(cvtsd2ss)

/* ---- the immediate is part of the instruction: one case each ------------------------------ */

#define X86_FP_CASE(name, n) \
	case n: __asm__ volatile(#name " $" #n ", %1, %0" : "+x"(d) : "x"(s)); break;
#define X86_FP_CASES8(name) \
	X86_FP_CASE(name, 0) X86_FP_CASE(name, 1) X86_FP_CASE(name, 2) X86_FP_CASE(name, 3) \
	X86_FP_CASE(name, 4) X86_FP_CASE(name, 5) X86_FP_CASE(name, 6) X86_FP_CASE(name, 7)
#define X86_FP_CASES16(name) X86_FP_CASES8(name) \
	X86_FP_CASE(name, 8) X86_FP_CASE(name, 9) X86_FP_CASE(name, 10) X86_FP_CASE(name, 11) \
	X86_FP_CASE(name, 12) X86_FP_CASE(name, 13) X86_FP_CASE(name, 14) X86_FP_CASE(name, 15)
#define X86_FP_BY_IMM(name, mask, cases) \
	X86_FP_COMPUTE(name)             \
	{                                \
		switch (imm & (mask)) {  \
			cases(name)      \
		}                        \
		return d;                \
	}

X86_FP_BY_IMM(cmpps, 7, X86_FP_CASES8)
X86_FP_BY_IMM(cmppd, 7, X86_FP_CASES8)
X86_FP_BY_IMM(cmpss, 7, X86_FP_CASES8)
X86_FP_BY_IMM(cmpsd, 7, X86_FP_CASES8)

/*
 * The VEX encoding's predicates beyond the first eight, from the legacy ones: lanes that are unordered are taken out with a
 * quiet comparison, so that LT, which signals QNaNs, can be asked about the rest.
 */
/* LT, LE, NLT, NLE signal QNaNs and their like; imm[4] is the other way round. */
static inline bool x86_fp_signals(u32 imm)
{
	u32 low = imm & 3;

	return (low == 1 || low == 2) != (bool)(imm & 16);
}

static inline x86_v2u64 x86_fp_if(u32 condition, x86_v2u64 v)
{
	return condition ? v : v ^ v;
}

/* @mask: the lanes that are compared; the others are the destination's. */
#define X86_FP_CMP(name, ...)                                                             \
	X86_FP_COMPUTE(v##name)                                                           \
	{                                                                                 \
		const x86_v2u64 mask = {__VA_ARGS__};                                     \
		const u32 holds = x86_fp_relations(imm);                                  \
		x86_v2u64 less, equal, unordered, r;                                      \
		if ((imm & 31) < 8)                                                       \
			return name##_fp(d, s, imm);                                      \
		unordered = name##_fp(d, s, 3) & mask;                                    \
		if (x86_fp_signals(imm))                                                  \
			(void)name##_fp(d, s, 1);                                         \
		less = name##_fp(d & ~unordered, s & ~unordered, 1) & ~unordered & mask;  \
		equal = name##_fp(d & ~unordered, s & ~unordered, 0) & ~unordered & mask; \
		r = x86_fp_if(holds & X86_FP_LESS, less) |                                \
		    x86_fp_if(holds & X86_FP_EQUAL, equal) |                              \
		    x86_fp_if(holds & X86_FP_GREATER, ~(less | equal | unordered)) |      \
		    x86_fp_if(holds & X86_FP_UNORDERED, unordered);                       \
		return (r & mask) | (d & ~mask);                                          \
	}

X86_FP_CMP(cmpps, ~0ull, ~0ull)
X86_FP_CMP(cmppd, ~0ull, ~0ull)
X86_FP_CMP(cmpss, 0xffffffff, 0)
X86_FP_CMP(cmpsd, ~0ull, 0)

X86_FP_BY_IMM(roundps, 15, X86_FP_CASES16)
X86_FP_BY_IMM(roundpd, 15, X86_FP_CASES16)
X86_FP_BY_IMM(roundss, 15, X86_FP_CASES16)
X86_FP_BY_IMM(roundsd, 15, X86_FP_CASES16)

/* ---- general registers: the integer is in lane 0 of the source or result ------------------- */

#define X86_FP_FROM_INT(name, insn, type)                                        \
	X86_FP_COMPUTE(name)                                                     \
	{                                                                        \
		(void)imm;                                                       \
		__asm__ volatile(insn " %1, %0" : "+x"(d) : "r"((type)s[0]));    \
		return d;                                                        \
	}
X86_FP_FROM_INT(cvtsi2ss32, "cvtsi2ssl", u32)
X86_FP_FROM_INT(cvtsi2ss64, "cvtsi2ssq", u64)
X86_FP_FROM_INT(cvtsi2sd32, "cvtsi2sdl", u32)
X86_FP_FROM_INT(cvtsi2sd64, "cvtsi2sdq", u64)

#define X86_FP_TO_INT(name, insn, type)                                  \
	X86_FP_COMPUTE(name)                                             \
	{                                                                \
		type r;                                                  \
		(void)d, (void)imm;                                      \
		__asm__ volatile(insn " %1, %0" : "=r"(r) : "x"(s));     \
		return (x86_v2u64){r, 0};                                \
	}
X86_FP_TO_INT(cvtss2si32, "cvtss2si", u32)
X86_FP_TO_INT(cvtss2si64, "cvtss2si", u64)
X86_FP_TO_INT(cvtsd2si32, "cvtsd2si", u32)
X86_FP_TO_INT(cvtsd2si64, "cvtsd2si", u64)
X86_FP_TO_INT(cvttss2si32, "cvttss2si", u32)
X86_FP_TO_INT(cvttss2si64, "cvttss2si", u64)
X86_FP_TO_INT(cvttsd2si32, "cvttsd2si", u32)
X86_FP_TO_INT(cvttsd2si64, "cvttsd2si", u64)

/* Comparisons: lane 0 of the result is the flags. */
#define X86_FP_COMPARE(name)                                                             \
	X86_FP_COMPUTE(name)                                                             \
	{                                                                                \
		bool z, p, c;                                                            \
		(void)imm;                                                               \
		__asm__ volatile(#name " %4, %3"                                         \
				 : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c)                    \
				 : "x"(d), "x"(s));                                      \
		return (x86_v2u64){(u64)z << 6 | (u64)p << 2 | (u64)c, 0};               \
	}
X86_FP_COMPARE(comiss)
X86_FP_COMPARE(comisd)
X86_FP_COMPARE(ucomiss)
X86_FP_COMPARE(ucomisd)
/* clang-format on */

#endif
