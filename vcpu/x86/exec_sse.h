/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the SSE family share: the lists of what each offers and
 * the way an operation on two vectors becomes handlers and a select function.
 *
 * Operations of vector registers use op->dst and op->src as register numbers,
 * not byte offsets; op->imm holds the immediate, zero-extended from 8 bits.
 * An operation is written once, for 128 bits; the handlers of its legacy
 * encoding and of its VEX encoding (vex.h) are made from it.
 */
#ifndef KVMU_VCPU_X86_EXEC_SSE_H
#define KVMU_VCPU_X86_EXEC_SSE_H

#include "vcpu/x86/vex.h"

static inline bool x86_dec_is_gpr(const struct x86_decode *d, unsigned int n)
{
	ZydisRegister reg = d->operands[n].reg.value;

	return x86_dec_is_reg(d, n) && reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15;
}

/* op->imm from the immediate operand, if the instruction has one. */
void x86_sse_take_imm(struct x86_decode *d);

/* Legacy encoding: XMM destination and XMM or memory source, optional immediate. */
x86_op_fn *x86_sse_select(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *rm);

/* Either encoding; NULL where the VEX one has no form. */
static inline x86_op_fn *x86_vec_select(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *rm,
					x86_op_fn *vrr, x86_op_fn *vrm)
{
	return x86_dec_is_vex(d) ? x86_vex_select(d, vrr, vrm) : x86_sse_select(d, rr, rm);
}

/* A general register or memory as the last source, in either encoding. */
x86_op_fn *x86_vec_select_gpr(struct x86_decode *d, x86_op_fn *gpr, x86_op_fn *rm, x86_op_fn *vgpr,
			      x86_op_fn *vrm);
/* From a vector register to a general one, or to memory; optional immediate.  For both encodings.
 */
x86_op_fn *x86_vec_select_to_gpr(struct x86_decode *d, x86_op_fn *fn);
x86_op_fn *x86_vec_select_store(struct x86_decode *d, x86_op_fn *fn);

/*
 * The VEX forms of what @name_lanes(cpu, op, s) does with the lanes of its last
 * source: a register, or memory by the lanes of @load.
 */
#define X86_VEX_FORMS(name, load)                                                            \
	static const struct x86_op *name##_vrr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                    \
		name##_lanes(cpu, op, x86_ymm(cpu, op->src));                                \
		X86_NEXT(cpu, op);                                                           \
	}                                                                                    \
	static const struct x86_op *name##_vrm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                    \
		union vec s[X86_LANES];                                                      \
		load##_lanes(cpu, op, s);                                                    \
		name##_lanes(cpu, op, s);                                                    \
		X86_NEXT(cpu, op);                                                           \
	}

/*
 * An operation as @name_op(r, d, s, imm): *r becomes what the destination is
 * to hold; @d and @s are copies.  The name of the loader says how wide a
 * memory source is and whether it must be aligned.  @step: by how many bits of
 * the immediate the second lane is further.
 */
#define X86_VEX_HANDLERS(name, load, step)                                            \
	static inline void name##_lanes(struct x86_cpu *cpu, const struct x86_op *op, \
					const union vec *s)                           \
	{                                                                             \
		const union vec *d = x86_ymm(cpu, op->aux);                           \
		union vec r[X86_LANES];                                               \
		for (unsigned int l = 0; l < x86_vex_lanes(op); l++)                  \
			name##_op(&r[l], &d[l], &s[l], (u32)op->imm >> l * (step));   \
		x86_put_lanes(cpu, op, r);                                            \
	}                                                                             \
	X86_VEX_FORMS(name, load)

#define X86_SSE_HANDLERS_STEP(name, load, step)                                             \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec d = *x86_vec(cpu, op->dst), s = *x86_vec(cpu, op->src), r;        \
		name##_op(&r, &d, &s, (u32)op->imm);                                        \
		*x86_vec(cpu, op->dst) = r;                                                 \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec s = load(cpu, op), d = *x86_vec(cpu, op->dst), r;                 \
		name##_op(&r, &d, &s, (u32)op->imm);                                        \
		*x86_vec(cpu, op->dst) = r;                                                 \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	X86_VEX_HANDLERS(name, load, step)

#define X86_SSE_SELECT(name)                                                            \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                              \
	{                                                                               \
		return x86_vec_select(d, name##_rr, name##_rm, name##_vrr, name##_vrm); \
	}

/* With @load expanded before it is part of a name. */
#define X86_SSE_HANDLERS(name, load) X86_SSE_HANDLERS_STEP(name, load, 0) X86_SSE_SELECT(name)

#define X86_SSE_OP(name) \
	static inline void name##_op(union vec *r, const union vec *d, const union vec *s, u32 imm)

/* Body as an expression or statement over r, d, s, imm and a lane counter i. */
#define X86_SSE_SIMPLE(name, load, body)     \
	X86_SSE_OP(name)                     \
	{                                    \
		(void)d, (void)s, (void)imm; \
		body;                        \
	}                                    \
	X86_SSE_HANDLERS(name, load)

#define X86_SSE_LANES(name, load, lanes, body)             \
	X86_SSE_OP(name)                                   \
	{                                                  \
		(void)d, (void)s, (void)imm;               \
		for (unsigned int i = 0; i < (lanes); i++) \
			body;                              \
	}                                                  \
	X86_SSE_HANDLERS(name, load)

/*
 * The same where compilers make poor code of the lanes and every x86-64 host
 * has the very instruction (SSE2); portable builds test the lanes.
 */
#if defined(__x86_64__) && !defined(KVMU_SSE_PORTABLE)
#define X86_SSE2_LANES(name, load, lanes, body)                    \
	X86_SSE_OP(name)                                           \
	{                                                          \
		x86_v2u64 v = d->vuq;                              \
		(void)imm;                                         \
		if (false)                                         \
			for (unsigned int i = 0; i < (lanes); i++) \
				body;                              \
		__asm__(#name " %1, %0" : "+x"(v) : "x"(s->vuq));  \
		r->vuq = v;                                        \
	}                                                          \
	X86_SSE_HANDLERS(name, load)
#else
#define X86_SSE2_LANES(name, load, lanes, body) X86_SSE_LANES(name, load, lanes, body)
#endif

/* clang-format off */

/*
 * The mnemonics of the family by file; each has x86_select_<name>().
 * exec_sse.c makes the table of them.
 */
#define X86_SSE_MOVE_LIST(X) \
	X(MOVAPS, movaps) X(MOVAPD, movaps) X(MOVDQA, movaps) X(MOVUPS, movups) \
	X(MOVUPD, movups) X(MOVDQU, movups) X(LDDQU, movups) X(MOVNTPS, movnt) \
	X(MOVNTPD, movnt) X(MOVNTDQ, movnt) X(MOVNTDQA, movaps) \
	X(MOVD, movd) X(MOVQ, movq) X(MOVSS, movss) X(MOVSD, movsd_or_string) X(MOVHLPS, movhlps) \
	X(MOVLHPS, movlhps) X(MOVHPS, movhps) X(MOVHPD, movhps) X(MOVLPS, movlps) \
	X(MOVLPD, movlps)

#define X86_SSE_LANE_LIST(X) \
	X(MOVMSKPS, movmskps) X(MOVMSKPD, movmskpd) X(PMOVMSKB, pmovmskb) \
	 X(MASKMOVDQU, maskmovdqu) X(PINSRB, pinsrb) \
	X(PINSRW, pinsrw) X(PINSRD, pinsrd) X(PINSRQ, pinsrq) X(PEXTRB, pextrb) \
	X(PEXTRW, pextrw) X(PEXTRD, pextrd) X(PEXTRQ, pextrq) X(EXTRACTPS, pextrd) \
	X(INSERTPS, insertps)

#define X86_SSE_ARITH_LIST(X) \
	X(PADDB, paddb) X(PADDW, paddw) X(PADDD, paddd) X(PADDQ, paddq) X(PSUBB, psubb) \
	X(PSUBW, psubw) X(PSUBD, psubd) X(PSUBQ, psubq) X(PADDSB, paddsb) \
	X(PADDSW, paddsw) X(PADDUSB, paddusb) X(PADDUSW, paddusw) X(PSUBSB, psubsb) \
	X(PSUBSW, psubsw) X(PSUBUSB, psubusb) X(PSUBUSW, psubusw) X(PMULLW, pmullw) \
	X(PMULHW, pmulhw) X(PMULHUW, pmulhuw) X(PMULHRSW, pmulhrsw) X(PMULLD, pmulld) \
	X(PMULUDQ, pmuludq) X(PMULDQ, pmuldq) X(PMADDWD, pmaddwd) \
	X(PMADDUBSW, pmaddubsw) X(PAVGB, pavgb) X(PAVGW, pavgw) X(PMAXUB, pmaxub) \
	X(PMAXUW, pmaxuw) X(PMAXUD, pmaxud) X(PMAXSB, pmaxsb) X(PMAXSW, pmaxsw) \
	X(PMAXSD, pmaxsd) X(PMINUB, pminub) X(PMINUW, pminuw) X(PMINUD, pminud) \
	X(PMINSB, pminsb) X(PMINSW, pminsw) X(PMINSD, pminsd) X(PSADBW, psadbw) \
	X(PCMPEQB, pcmpeqb) X(PCMPEQW, pcmpeqw) X(PCMPEQD, pcmpeqd) X(PCMPEQQ, pcmpeqq) \
	X(PCMPGTB, pcmpgtb) X(PCMPGTW, pcmpgtw) X(PCMPGTD, pcmpgtd) X(PCMPGTQ, pcmpgtq) \
	X(PAND, pand) X(ANDPS, pand) X(ANDPD, pand) X(PANDN, pandn) X(ANDNPS, pandn) \
	X(ANDNPD, pandn) X(POR, por) X(ORPS, por) X(ORPD, por) X(PXOR, pxor) \
	X(XORPS, pxor) X(XORPD, pxor) X(PSLLW, psllw) X(PSLLD, pslld) X(PSLLQ, psllq) \
	X(PSRLW, psrlw) X(PSRLD, psrld) X(PSRLQ, psrlq) X(PSRAW, psraw) X(PSRAD, psrad) \
	X(PSLLDQ, pslldq) X(PSRLDQ, psrldq) X(PABSB, pabsb) X(PABSW, pabsw) \
	X(PABSD, pabsd) X(PSIGNB, psignb) X(PSIGNW, psignw) X(PSIGND, psignd) \
	X(PHADDW, phaddw) X(PHADDD, phaddd) X(PHADDSW, phaddsw) X(PHSUBW, phsubw) \
	X(PHSUBD, phsubd) X(PHSUBSW, phsubsw) X(MPSADBW, mpsadbw) \
	X(PHMINPOSUW, phminposuw)

#define X86_SSE_SHUFFLE_LIST(X) \
	X(PUNPCKLBW, punpcklbw) X(PUNPCKLWD, punpcklwd) X(PUNPCKLDQ, punpckldq) \
	X(UNPCKLPS, punpckldq) X(PUNPCKLQDQ, punpcklqdq) X(UNPCKLPD, punpcklqdq) \
	X(PUNPCKHBW, punpckhbw) X(PUNPCKHWD, punpckhwd) X(PUNPCKHDQ, punpckhdq) \
	X(UNPCKHPS, punpckhdq) X(PUNPCKHQDQ, punpckhqdq) X(UNPCKHPD, punpckhqdq) \
	X(PACKSSWB, packsswb) X(PACKSSDW, packssdw) X(PACKUSWB, packuswb) \
	X(PACKUSDW, packusdw) X(PSHUFD, pshufd) X(PSHUFLW, pshuflw) X(PSHUFHW, pshufhw) \
	X(SHUFPS, shufps) X(SHUFPD, shufpd) X(PSHUFB, pshufb) X(PALIGNR, palignr) \
	X(PBLENDW, pblendw) X(BLENDPS, blendps) X(BLENDPD, blendpd) \
	X(PBLENDVB, pblendvb) X(BLENDVPS, blendvps) X(BLENDVPD, blendvpd) \
	X(PTEST, ptest) X(PMOVSXBW, pmovsxbw) X(PMOVSXBD, pmovsxbd) \
	X(PMOVSXBQ, pmovsxbq) X(PMOVSXWD, pmovsxwd) X(PMOVSXWQ, pmovsxwq) \
	X(PMOVSXDQ, pmovsxdq) X(PMOVZXBW, pmovzxbw) X(PMOVZXBD, pmovzxbd) \
	X(PMOVZXBQ, pmovzxbq) X(PMOVZXWD, pmovzxwd) X(PMOVZXWQ, pmovzxwq) \
	X(PMOVZXDQ, pmovzxdq) X(MOVDDUP, movddup) X(MOVSLDUP, movsldup) \
	X(MOVSHDUP, movshdup)

#define X86_SSE_STRING_LIST(X) \
	X(PCMPISTRI, pcmpistri) X(PCMPISTRM, pcmpistrm) X(PCMPESTRI, pcmpestri) \
	X(PCMPESTRM, pcmpestrm)

#define X86_SSE_CRYPTO_LIST(X) \
	X(PCLMULQDQ, pclmulqdq) X(AESENC, aesenc) X(AESENCLAST, aesenclast) \
	X(AESDEC, aesdec) X(AESDECLAST, aesdeclast) X(AESIMC, aesimc) \
	X(AESKEYGENASSIST, aeskeygenassist)

#define X86_SSE_FLOAT_LIST(X) \
	X(ADDPS, addps) X(ADDPD, addpd) X(ADDSS, addss) X(ADDSD, addsd) X(SUBPS, subps) \
	X(SUBPD, subpd) X(SUBSS, subss) X(SUBSD, subsd) X(MULPS, mulps) X(MULPD, mulpd) \
	X(MULSS, mulss) X(MULSD, mulsd) X(DIVPS, divps) X(DIVPD, divpd) X(DIVSS, divss) \
	X(DIVSD, divsd) X(MINPS, minps) X(MINPD, minpd) X(MINSS, minss) X(MINSD, minsd) \
	X(MAXPS, maxps) X(MAXPD, maxpd) X(MAXSS, maxss) X(MAXSD, maxsd) \
	X(SQRTPS, sqrtps) X(SQRTPD, sqrtpd) X(SQRTSS, sqrtss) X(SQRTSD, sqrtsd) \
	X(RCPPS, rcpps) X(RCPSS, rcpss) X(RSQRTPS, rsqrtps) X(RSQRTSS, rsqrtss) \
	X(CMPPS, cmpps) X(CMPPD, cmppd) X(CMPSS, cmpss) X(CMPSD, cmpsd_or_string) \
	X(HADDPS, haddps) X(HADDPD, haddpd) X(HSUBPS, hsubps) X(HSUBPD, hsubpd) \
	X(ADDSUBPS, addsubps) X(ADDSUBPD, addsubpd) X(DPPS, dpps) X(DPPD, dppd) \
	X(ROUNDPS, roundps) X(ROUNDPD, roundpd) X(ROUNDSS, roundss) X(ROUNDSD, roundsd)

#define X86_SSE_CONVERT_LIST(X) \
	X(COMISS, comiss) X(COMISD, comisd) X(UCOMISS, ucomiss) X(UCOMISD, ucomisd) \
	X(CVTDQ2PS, cvtdq2ps) X(CVTDQ2PD, cvtdq2pd) X(CVTPS2DQ, cvtps2dq) \
	X(CVTTPS2DQ, cvttps2dq) X(CVTPD2DQ, cvtpd2dq) X(CVTTPD2DQ, cvttpd2dq) \
	X(CVTPS2PD, cvtps2pd) X(CVTPD2PS, cvtpd2ps) X(CVTSS2SD, cvtss2sd) \
	X(CVTSD2SS, cvtsd2ss) X(CVTSI2SS, cvtsi2ss) X(CVTSI2SD, cvtsi2sd) \
	X(CVTSS2SI, cvtss2si) X(CVTTSS2SI, cvttss2si) X(CVTSD2SI, cvtsd2si) \
	X(CVTTSD2SI, cvttsd2si)

#define X86_SSE_STATE_LIST(X) \
	X(LDMXCSR, ldmxcsr) X(STMXCSR, stmxcsr)

/* Without a VEX encoding. */
#define X86_SSE_LEGACY_LIST(X) \
	X(MOVNTI, movnti) X(FXSAVE, fxsave) X(FXSAVE64, fxsave) \
	X(FXRSTOR, fxrstor) X(FXRSTOR64, fxrstor) X(XSAVE, xsave) X(XSAVE64, xsave) \
	X(XSAVEOPT, xsave) X(XSAVEOPT64, xsave) X(XSAVEC, xsavec) X(XSAVEC64, xsavec) \
	X(XRSTOR, xrstor) X(XRSTOR64, xrstor)

/* Those of which V<mnemonic> is the VEX encoding, selected by the same function. */
#define X86_SSE_VEX_LISTS(X)    \
	X86_SSE_MOVE_LIST(X)    \
	X86_SSE_LANE_LIST(X)    \
	X86_SSE_ARITH_LIST(X)   \
	X86_SSE_SHUFFLE_LIST(X) \
	X86_SSE_STRING_LIST(X)  \
	X86_SSE_CRYPTO_LIST(X)  \
	X86_SSE_FLOAT_LIST(X)   \
	X86_SSE_CONVERT_LIST(X) \
	X86_SSE_STATE_LIST(X)

#define X86_SSE_ALL_LISTS(X)    \
	X86_SSE_VEX_LISTS(X)    \
	X86_SSE_LEGACY_LIST(X)

/* With the VEX encoding only: exec_avx.c and, for VTESTPx, exec_sse_shuffle.c. */
#define X86_AVX_LIST(X) \
	X(VBROADCASTSS, vbroadcastss) X(VBROADCASTSD, vbroadcastsd) \
	X(VBROADCASTF128, vbroadcastf128) X(VINSERTF128, vinsertf128) \
	X(VEXTRACTF128, vextractf128) X(VPERM2F128, vperm2f128) X(VPERMILPS, vpermilps) \
	X(VPERMILPD, vpermilpd) X(VMASKMOVPS, vmaskmovps) X(VMASKMOVPD, vmaskmovpd) \
	X(VTESTPS, vtestps) X(VTESTPD, vtestpd) X(VZEROALL, vzeroall) \
	X(VZEROUPPER, vzeroupper)

/* Names repeat, which C allows. */
#define X86_SSE_DECLARE(mnemonic, name) x86_select_fn x86_select_##name;
X86_SSE_ALL_LISTS(X86_SSE_DECLARE)
X86_AVX_LIST(X86_SSE_DECLARE)
#undef X86_SSE_DECLARE

/* Without the string instructions of the same mnemonics. */
x86_select_fn x86_select_movsd, x86_select_cmpsd;
/* clang-format on */

#endif
