/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packed integer arithmetic, comparison, logic and shifts, SSE2 to SSE4.2
 * (SDM vol. 1, 11.4.2, 12.4, 12.8; vol. 2).  Portable C, written so that
 * compilers make vector code of the lanes; X86_SSE2_LANES where they do not.
 */
#include "vcpu/x86/exec_sse.h"

#define MEM16 x86_src128_aligned

/* clang-format off: one operation, one line */

/* ---- lane-wise add, subtract, logic, compare ---------------------------------------- */

X86_SSE_SIMPLE(paddb, MEM16, r->vub = d->vub + s->vub)
X86_SSE_SIMPLE(paddw, MEM16, r->vuw = d->vuw + s->vuw)
X86_SSE_SIMPLE(paddd, MEM16, r->vud = d->vud + s->vud)
X86_SSE_SIMPLE(paddq, MEM16, r->vuq = d->vuq + s->vuq)
X86_SSE_SIMPLE(psubb, MEM16, r->vub = d->vub - s->vub)
X86_SSE_SIMPLE(psubw, MEM16, r->vuw = d->vuw - s->vuw)
X86_SSE_SIMPLE(psubd, MEM16, r->vud = d->vud - s->vud)
X86_SSE_SIMPLE(psubq, MEM16, r->vuq = d->vuq - s->vuq)

X86_SSE_SIMPLE(pand, MEM16, r->vuq = d->vuq & s->vuq)
X86_SSE_SIMPLE(pandn, MEM16, r->vuq = ~d->vuq & s->vuq)
X86_SSE_SIMPLE(por, MEM16, r->vuq = d->vuq | s->vuq)
X86_SSE_SIMPLE(pxor, MEM16, r->vuq = d->vuq ^ s->vuq)

X86_SSE_SIMPLE(pcmpeqb, MEM16, r->vub = (x86_v16u8)(d->vub == s->vub))
X86_SSE_SIMPLE(pcmpeqw, MEM16, r->vuw = (x86_v8u16)(d->vuw == s->vuw))
X86_SSE_SIMPLE(pcmpeqd, MEM16, r->vud = (x86_v4u32)(d->vud == s->vud))
X86_SSE_SIMPLE(pcmpeqq, MEM16, r->vuq = (x86_v2u64)(d->vuq == s->vuq))
X86_SSE_SIMPLE(pcmpgtb, MEM16, r->vub = (x86_v16u8)(d->vsb > s->vsb))
X86_SSE_SIMPLE(pcmpgtw, MEM16, r->vuw = (x86_v8u16)(d->vsw > s->vsw))
X86_SSE_SIMPLE(pcmpgtd, MEM16, r->vud = (x86_v4u32)(d->vsd > s->vsd))
X86_SSE_SIMPLE(pcmpgtq, MEM16, r->vuq = (x86_v2u64)(d->vsq > s->vsq))

#define LESS(lane, a, b) ((a)->lane[i] < (b)->lane[i])
#define MIN(lane)	 (r->lane[i] = LESS(lane, d, s) ? d->lane[i] : s->lane[i])
#define MAX(lane)	 (r->lane[i] = LESS(lane, d, s) ? s->lane[i] : d->lane[i])

X86_SSE_LANES(pminub, MEM16, 16, MIN(ub))
X86_SSE_LANES(pminuw, MEM16, 8, MIN(uw))
X86_SSE_LANES(pminud, MEM16, 4, MIN(ud))
X86_SSE_LANES(pminsb, MEM16, 16, MIN(sb))
X86_SSE_LANES(pminsw, MEM16, 8, MIN(sw))
X86_SSE_LANES(pminsd, MEM16, 4, MIN(sd))
X86_SSE_LANES(pmaxub, MEM16, 16, MAX(ub))
X86_SSE_LANES(pmaxuw, MEM16, 8, MAX(uw))
X86_SSE_LANES(pmaxud, MEM16, 4, MAX(ud))
X86_SSE_LANES(pmaxsb, MEM16, 16, MAX(sb))
X86_SSE_LANES(pmaxsw, MEM16, 8, MAX(sw))
X86_SSE_LANES(pmaxsd, MEM16, 4, MAX(sd))

/* ---- saturating ------------------------------------------------------------------------ */

static inline s32 clamp(s32 v, s32 low, s32 high)
{
	return v < low ? low : v > high ? high : v;
}

#define SAT_SB(v) ((s8)clamp((v), -128, 127))
#define SAT_SW(v) ((s16)clamp((v), -32768, 32767))
#define SAT_UB(v) ((u8)clamp((v), 0, 255))
#define SAT_UW(v) ((u16)clamp((v), 0, 65535))

X86_SSE2_LANES(paddsb, MEM16, 16, r->sb[i] = SAT_SB(d->sb[i] + s->sb[i]))
X86_SSE2_LANES(paddsw, MEM16, 8, r->sw[i] = SAT_SW(d->sw[i] + s->sw[i]))
X86_SSE2_LANES(paddusb, MEM16, 16, r->ub[i] = SAT_UB(d->ub[i] + s->ub[i]))
X86_SSE2_LANES(paddusw, MEM16, 8, r->uw[i] = SAT_UW(d->uw[i] + s->uw[i]))
X86_SSE2_LANES(psubsb, MEM16, 16, r->sb[i] = SAT_SB(d->sb[i] - s->sb[i]))
X86_SSE2_LANES(psubsw, MEM16, 8, r->sw[i] = SAT_SW(d->sw[i] - s->sw[i]))
X86_SSE2_LANES(psubusb, MEM16, 16, r->ub[i] = SAT_UB(d->ub[i] - s->ub[i]))
X86_SSE2_LANES(psubusw, MEM16, 8, r->uw[i] = SAT_UW(d->uw[i] - s->uw[i]))

/* ---- multiply, average, absolute value, sign --------------------------------------------- */

X86_SSE_SIMPLE(pmullw, MEM16, r->vuw = d->vuw * s->vuw)
X86_SSE_SIMPLE(pmulld, MEM16, r->vud = d->vud * s->vud)
X86_SSE2_LANES(pmulhw, MEM16, 8, r->uw[i] = (u16)((u32)(d->sw[i] * s->sw[i]) >> 16))
X86_SSE2_LANES(pmulhuw, MEM16, 8, r->uw[i] = (u16)((u32)d->uw[i] * s->uw[i] >> 16))
X86_SSE_LANES(pmulhrsw, MEM16, 8, r->uw[i] = (u16)(((d->sw[i] * s->sw[i] >> 14) + 1) >> 1))
X86_SSE2_LANES(pmuludq, MEM16, 2, r->uq[i] = (u64)d->ud[2 * i] * s->ud[2 * i])
X86_SSE_LANES(pmuldq, MEM16, 2, r->sq[i] = (s64)d->sd[2 * i] * s->sd[2 * i])
X86_SSE2_LANES(pmaddwd, MEM16, 4,
	       r->ud[i] = (u32)(d->sw[2 * i] * s->sw[2 * i]) +
			  (u32)(d->sw[2 * i + 1] * s->sw[2 * i + 1]))
X86_SSE_LANES(pmaddubsw, MEM16, 8,
	      r->sw[i] = SAT_SW(d->ub[2 * i] * s->sb[2 * i] + d->ub[2 * i + 1] * s->sb[2 * i + 1]))
X86_SSE2_LANES(pavgb, MEM16, 16, r->ub[i] = (u8)((d->ub[i] + s->ub[i] + 1) >> 1))
X86_SSE2_LANES(pavgw, MEM16, 8, r->uw[i] = (u16)((d->uw[i] + s->uw[i] + 1) >> 1))

X86_SSE_LANES(pabsb, MEM16, 16, r->ub[i] = (u8)(s->sb[i] < 0 ? -s->sb[i] : s->sb[i]))
X86_SSE_LANES(pabsw, MEM16, 8, r->uw[i] = (u16)(s->sw[i] < 0 ? -s->sw[i] : s->sw[i]))
X86_SSE_LANES(pabsd, MEM16, 4, r->ud[i] = s->sd[i] < 0 ? 0u - s->ud[i] : s->ud[i])

#define SIGN(u, s_) (s->s_[i] < 0 ? 0u - d->u[i] : s->s_[i] ? d->u[i] : 0u)
X86_SSE_LANES(psignb, MEM16, 16, r->ub[i] = (u8)SIGN(ub, sb))
X86_SSE_LANES(psignw, MEM16, 8, r->uw[i] = (u16)SIGN(uw, sw))
X86_SSE_LANES(psignd, MEM16, 4, r->ud[i] = SIGN(ud, sd))

/* Horizontal: lane i of the result comes from two neighbours of the destination, then of the
 * source. */
#define NEIGHBOURS(count)                                \
	const union vec *from = i < (count) / 2 ? d : s; \
	unsigned int at = 2 * i % (count)
X86_SSE_LANES(phaddw, MEM16, 8, {
	NEIGHBOURS(8);
	r->uw[i] = (u16)(from->uw[at] + from->uw[at + 1]);
})
X86_SSE_LANES(phaddd, MEM16, 4, {
	NEIGHBOURS(4);
	r->ud[i] = from->ud[at] + from->ud[at + 1];
})
X86_SSE_LANES(phaddsw, MEM16, 8, {
	NEIGHBOURS(8);
	r->sw[i] = SAT_SW(from->sw[at] + from->sw[at + 1]);
})
X86_SSE_LANES(phsubw, MEM16, 8, {
	NEIGHBOURS(8);
	r->uw[i] = (u16)(from->uw[at] - from->uw[at + 1]);
})
X86_SSE_LANES(phsubd, MEM16, 4, {
	NEIGHBOURS(4);
	r->ud[i] = from->ud[at] - from->ud[at + 1];
})
X86_SSE_LANES(phsubsw, MEM16, 8, {
	NEIGHBOURS(8);
	r->sw[i] = SAT_SW(from->sw[at] - from->sw[at + 1]);
})

/* clang-format on */

/* ---- sums and minima over lanes ----------------------------------------------------------- */

static inline u32 byte_distance(u8 a, u8 b)
{
	return a > b ? a - b : b - a;
}

static inline u64 distance8(const u8 *a, const u8 *b)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < 8; i++)
		sum += byte_distance(a[i], b[i]);
	return sum;
}

X86_SSE2_LANES(psadbw, MEM16, 2, r->uq[i] = distance8(&d->ub[8 * i], &s->ub[8 * i]))

/* MPSADBW: eight distances between one group of four source bytes and a sliding four of @d. */
X86_SSE_OP(mpsadbw)
{
	unsigned int sliding = imm & 4, group = (imm & 3) * 4;

	for (unsigned int i = 0; i < 8; i++) {
		u32 sum = 0;

		for (unsigned int k = 0; k < 4; k++)
			sum += byte_distance(d->ub[sliding + i + k], s->ub[group + k]);
		r->uw[i] = (u16)sum;
	}
}
X86_SSE_HANDLERS_STEP(mpsadbw, MEM16, 3)
X86_SSE_SELECT(mpsadbw)

X86_SSE_OP(phminposuw)
{
	unsigned int at = 0;

	(void)d, (void)imm;
	for (unsigned int i = 1; i < 8; i++)
		if (s->uw[i] < s->uw[at])
			at = i;
	r->uq[0] = s->uw[at] | (u64)at << 16;
	r->uq[1] = 0;
}
X86_SSE_HANDLERS(phminposuw, MEM16)

/* ---- shifts: the count is a whole quadword or an immediate ---------------------------------- */

/* Left and logical right: all zero from the lane width on; arithmetic right: all sign. */
#define SHIFT_LEFT(v, lanes, width)  (count < (width) ? (v) << (lanes)count : (v) ^ (v))
#define SHIFT_RIGHT(v, lanes, width) (count < (width) ? (v) >> (lanes)count : (v) ^ (v))

#define SHIFT_BY(name, expression)                                                            \
	static inline union vec name##_by(union vec v, u64 count)                             \
	{                                                                                     \
		union vec r;                                                                  \
		expression;                                                                   \
		return r;                                                                     \
	}                                                                                     \
	static inline void name##_lanes(struct x86_cpu *cpu, const struct x86_op *op,         \
					unsigned int from, u64 count)                         \
	{                                                                                     \
		const union vec *v = x86_ymm(cpu, from);                                      \
		union vec r[X86_LANES];                                                       \
		for (unsigned int l = 0; l < x86_vex_lanes(op); l++)                          \
			r[l] = name##_by(v[l], count);                                        \
		x86_put_lanes(cpu, op, r);                                                    \
	}                                                                                     \
	static const struct x86_op *name##_imm(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                     \
		union vec *v = x86_vec(cpu, op->dst);                                         \
		*v = name##_by(*v, (u32)op->imm);                                             \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	static const struct x86_op *name##_vimm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                     \
		name##_lanes(cpu, op, op->src, (u32)op->imm);                                 \
		X86_NEXT(cpu, op);                                                            \
	}

/* A count from a register or memory is the low half of 128 bits, for every lane the same. */
#define SHIFT(name, expression)                                                              \
	SHIFT_BY(name, expression)                                                           \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                    \
		union vec *v = x86_vec(cpu, op->dst);                                        \
		*v = name##_by(*v, x86_vec(cpu, op->src)->uq[0]);                            \
		X86_NEXT(cpu, op);                                                           \
	}                                                                                    \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                    \
		u64 count = MEM16(cpu, op).uq[0];                                            \
		union vec *v = x86_vec(cpu, op->dst);                                        \
		*v = name##_by(*v, count);                                                   \
		X86_NEXT(cpu, op);                                                           \
	}                                                                                    \
	static const struct x86_op *name##_vrr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                    \
		name##_lanes(cpu, op, op->aux, x86_vec(cpu, op->src)->uq[0]);                \
		X86_NEXT(cpu, op);                                                           \
	}                                                                                    \
	static const struct x86_op *name##_vrm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                    \
		name##_lanes(cpu, op, op->aux, x86_src128(cpu, op).uq[0]);                   \
		X86_NEXT(cpu, op);                                                           \
	}                                                                                    \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                   \
	{                                                                                    \
		if (is_by_imm(d))                                                            \
			return select_by_imm(d, name##_imm, name##_vimm);                    \
		return x86_vec_select(d, name##_rr, name##_rm, name##_vrr, name##_vrm);      \
	}

#define SHIFT_BYTES(name, expression)                             \
	SHIFT_BY(name, expression)                                \
	x86_op_fn *x86_select_##name(struct x86_decode *d)        \
	{                                                         \
		return select_by_imm(d, name##_imm, name##_vimm); \
	}

static bool is_by_imm(const struct x86_decode *d)
{
	return x86_dec_is_imm(d, d->insn->operand_count_visible - 1u);
}

static x86_op_fn *select_by_imm(struct x86_decode *d, x86_op_fn *imm, x86_op_fn *vimm)
{
	x86_op_fn *refused = x86_sse_refused(d);

	if (x86_dec_is_vex(d))
		return x86_vex_select(d, vimm, NULL);
	if (!x86_dec_is_xmm(d, 0))
		return NULL;
	if (refused)
		return refused;
	d->op->dst = x86_dec_vec(d, 0);
	x86_sse_take_imm(d);
	return imm;
}

static inline u64 at_most(u64 count, u64 limit)
{
	return count < limit ? count : limit;
}

/* Whole-register shifts by bytes: the register in the middle of zeroes, seen through a window. */
static inline union vec window(union vec v, unsigned int at, u64 from)
{
	u8 wide[48] = {0};
	union vec r;

	__builtin_memcpy(wide + at, &v, 16);
	__builtin_memcpy(&r, wide + from, 16);
	return r;
}

/* clang-format off */
SHIFT(psllw, r.vuw = SHIFT_LEFT(v.vuw, u16, 16))
SHIFT(pslld, r.vud = SHIFT_LEFT(v.vud, u32, 32))
SHIFT(psllq, r.vuq = SHIFT_LEFT(v.vuq, u64, 64))
SHIFT(psrlw, r.vuw = SHIFT_RIGHT(v.vuw, u16, 16))
SHIFT(psrld, r.vud = SHIFT_RIGHT(v.vud, u32, 32))
SHIFT(psrlq, r.vuq = SHIFT_RIGHT(v.vuq, u64, 64))
SHIFT(psraw, r.vsw = v.vsw >> (s16)at_most(count, 15))
SHIFT(psrad, r.vsd = v.vsd >> (s32)at_most(count, 31))
SHIFT_BYTES(pslldq, r = window(v, 16, 16 - at_most(count, 16)))
SHIFT_BYTES(psrldq, r = window(v, 0, at_most(count, 16)))
/* clang-format on */
