/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving lanes about: unpack, pack, shuffle, blend, widen, and PTEST
 * (SDM vol. 1, 11.4.2, 12.6, 12.10; vol. 2).
 */
#include "vcpu/x86/exec_sse.h"
#include "vcpu/x86/flags.h"

#define MEM16 x86_src128_aligned

/* clang-format off: one operation, one line */

/* ---- interleave the low or high halves ------------------------------------------------- */

#define PICK(a, b, ...) __builtin_shufflevector((a), (b), __VA_ARGS__)

X86_SSE_SIMPLE(punpcklbw, MEM16,
	       r->vub = PICK(d->vub, s->vub, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
			     23))
X86_SSE_SIMPLE(punpckhbw, MEM16,
	       r->vub = PICK(d->vub, s->vub, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
			     15, 31))
X86_SSE_SIMPLE(punpcklwd, MEM16, r->vuw = PICK(d->vuw, s->vuw, 0, 8, 1, 9, 2, 10, 3, 11))
X86_SSE_SIMPLE(punpckhwd, MEM16, r->vuw = PICK(d->vuw, s->vuw, 4, 12, 5, 13, 6, 14, 7, 15))
X86_SSE_SIMPLE(punpckldq, MEM16, r->vud = PICK(d->vud, s->vud, 0, 4, 1, 5))
X86_SSE_SIMPLE(punpckhdq, MEM16, r->vud = PICK(d->vud, s->vud, 2, 6, 3, 7))
X86_SSE_SIMPLE(punpcklqdq, MEM16, r->vuq = PICK(d->vuq, s->vuq, 0, 2))
X86_SSE_SIMPLE(punpckhqdq, MEM16, r->vuq = PICK(d->vuq, s->vuq, 1, 3))

/* ---- narrow with saturation: the destination's lanes, then the source's ------------------ */

static inline s32 clamp(s32 v, s32 low, s32 high)
{
	return v < low ? low : v > high ? high : v;
}

#define FROM(lane, count) ((i < (count) ? d : s)->lane[i % (count)])
X86_SSE2_LANES(packsswb, MEM16, 16, r->sb[i] = (s8)clamp(FROM(sw, 8), -128, 127))
X86_SSE2_LANES(packuswb, MEM16, 16, r->ub[i] = (u8)clamp(FROM(sw, 8), 0, 255))
X86_SSE2_LANES(packssdw, MEM16, 8, r->sw[i] = (s16)clamp(FROM(sd, 4), -32768, 32767))
X86_SSE_LANES(packusdw, MEM16, 8, r->uw[i] = (u16)clamp(FROM(sd, 4), 0, 65535))

/* ---- shuffles by immediate or by a register of indices ------------------------------------ */

X86_SSE_LANES(pshufd, MEM16, 4, r->ud[i] = s->ud[imm >> 2 * i & 3])
X86_SSE_LANES(pshuflw, MEM16, 8, r->uw[i] = i < 4 ? s->uw[imm >> 2 * i & 3] : s->uw[i])
X86_SSE_LANES(pshufhw, MEM16, 8, r->uw[i] = i < 4 ? s->uw[i] : s->uw[4 + (imm >> 2 * (i - 4) & 3)])
X86_SSE_LANES(shufps, MEM16, 4, r->ud[i] = (i < 2 ? d : s)->ud[imm >> 2 * i & 3])
X86_SSE_LANES(shufpd, MEM16, 2, r->uq[i] = (i < 1 ? d : s)->uq[imm >> i & 1])
X86_SSE_LANES(pshufb, MEM16, 16, r->ub[i] = s->ub[i] & 0x80 ? 0 : d->ub[s->ub[i] & 15])

/* ---- blends ---------------------------------------------------------------------------------- */

X86_SSE_LANES(pblendw, MEM16, 8, r->uw[i] = (imm >> i & 1 ? s : d)->uw[i])
X86_SSE_LANES(blendps, MEM16, 4, r->ud[i] = (imm >> i & 1 ? s : d)->ud[i])
X86_SSE_LANES(blendpd, MEM16, 2, r->uq[i] = (imm >> i & 1 ? s : d)->uq[i])

/* ---- widening; a memory source has only the bytes that are used -------------- */

X86_SSE_LANES(pmovsxbw, x86_src64, 8, r->sw[i] = s->sb[i])
X86_SSE_LANES(pmovsxbd, x86_src32, 4, r->sd[i] = s->sb[i])
X86_SSE_LANES(pmovsxbq, x86_src16, 2, r->sq[i] = s->sb[i])
X86_SSE_LANES(pmovsxwd, x86_src64, 4, r->sd[i] = s->sw[i])
X86_SSE_LANES(pmovsxwq, x86_src32, 2, r->sq[i] = s->sw[i])
X86_SSE_LANES(pmovsxdq, x86_src64, 2, r->sq[i] = s->sd[i])
X86_SSE_LANES(pmovzxbw, x86_src64, 8, r->uw[i] = s->ub[i])
X86_SSE_LANES(pmovzxbd, x86_src32, 4, r->ud[i] = s->ub[i])
X86_SSE_LANES(pmovzxbq, x86_src16, 2, r->uq[i] = s->ub[i])
X86_SSE_LANES(pmovzxwd, x86_src64, 4, r->ud[i] = s->uw[i])
X86_SSE_LANES(pmovzxwq, x86_src32, 2, r->uq[i] = s->uw[i])
X86_SSE_LANES(pmovzxdq, x86_src64, 2, r->uq[i] = s->ud[i])

/* clang-format on */

/* PALIGNR: sixteen bytes of destination:source from byte imm on, zeroes beyond. */
X86_SSE_OP(palignr)
{
	u8 wide[48] = {0};

	__builtin_memcpy(wide, s, 16);
	__builtin_memcpy(wide + 16, d, 16);
	__builtin_memcpy(r, wide + (imm < 32 ? imm : 32), 16);
}
X86_SSE_HANDLERS(palignr, MEM16)

/* ---- blends by the sign bits of XMM0 ------------------------------------------------------ */

#define BLENDV(name, lane, signed_lane, lanes)                                                   \
	static void name##_mix(struct x86_cpu *cpu, const struct x86_op *op, const union vec *s) \
	{                                                                                        \
		union vec mask = *x86_vec(cpu, 0), *d = x86_vec(cpu, op->dst);                   \
		for (unsigned int i = 0; i < (lanes); i++)                                       \
			d->lane[i] = mask.signed_lane[i] < 0 ? s->lane[i] : d->lane[i];          \
	}                                                                                        \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                        \
		union vec s = *x86_vec(cpu, op->src);                                            \
		name##_mix(cpu, op, &s);                                                         \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                        \
		union vec s = MEM16(cpu, op);                                                    \
		name##_mix(cpu, op, &s);                                                         \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                       \
	{                                                                                        \
		return x86_sse_select(d, name##_rr, name##_rm);                                  \
	}

BLENDV(pblendvb, ub, sb, 16)
BLENDV(blendvps, ud, sd, 4)
BLENDV(blendvpd, uq, sq, 2)

/* ---- PTEST ----------------------------------------------------------------------------------- */

static void test_vectors(struct x86_cpu *cpu, const union vec *d, const union vec *s)
{
	union vec both = {.vuq = d->vuq & s->vuq}, rest = {.vuq = ~d->vuq & s->vuq};

	x86_flags_set(cpu, ((both.uq[0] | both.uq[1]) ? 0 : X86_EFLAGS_ZF) |
				   ((rest.uq[0] | rest.uq[1]) ? 0 : X86_EFLAGS_CF));
}

static const struct x86_op *ptest_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	test_vectors(cpu, x86_vec(cpu, op->dst), x86_vec(cpu, op->src));
	X86_NEXT(cpu, op);
}

static const struct x86_op *ptest_rm(struct x86_cpu *cpu, const struct x86_op *op)
{
	union vec s = MEM16(cpu, op);

	test_vectors(cpu, x86_vec(cpu, op->dst), &s);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_ptest(struct x86_decode *d)
{
	return x86_sse_select(d, ptest_rr, ptest_rm);
}
