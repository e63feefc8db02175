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

/* Lanes of the two 128-bit halves have bits of the immediate of their own. */
#define LANES_STEP(name, lanes, step, body)                \
	X86_SSE_OP(name)                                   \
	{                                                  \
		for (unsigned int i = 0; i < (lanes); i++) \
			body;                              \
	}                                                  \
	X86_SSE_HANDLERS_STEP(name, MEM16, step)           \
	X86_SSE_SELECT(name)

/* ---- shuffles by immediate or by a register of indices ------------------------------------ */

X86_SSE_LANES(pshufd, MEM16, 4, r->ud[i] = s->ud[imm >> 2 * i & 3])
X86_SSE_LANES(pshuflw, MEM16, 8, r->uw[i] = i < 4 ? s->uw[imm >> 2 * i & 3] : s->uw[i])
X86_SSE_LANES(pshufhw, MEM16, 8, r->uw[i] = i < 4 ? s->uw[i] : s->uw[4 + (imm >> 2 * (i - 4) & 3)])
X86_SSE_LANES(shufps, MEM16, 4, r->ud[i] = (i < 2 ? d : s)->ud[imm >> 2 * i & 3])
LANES_STEP(shufpd, 2, 2, r->uq[i] = (i < 1 ? d : s)->uq[imm >> i & 1])
X86_SSE_LANES(pshufb, MEM16, 16, r->ub[i] = s->ub[i] & 0x80 ? 0 : d->ub[s->ub[i] & 15])

/* ---- blends ---------------------------------------------------------------------------------- */

X86_SSE_LANES(pblendw, MEM16, 8, r->uw[i] = (imm >> i & 1 ? s : d)->uw[i])
LANES_STEP(blendps, 4, 4, r->ud[i] = (imm >> i & 1 ? s : d)->ud[i])
LANES_STEP(blendpd, 2, 2, r->uq[i] = (imm >> i & 1 ? s : d)->uq[i])

/* ---- doubling ------------------------------------------------------------------------------- */

X86_SSE_LANES(movsldup, MEM16, 4, r->ud[i] = s->ud[i & 2])
X86_SSE_LANES(movshdup, MEM16, 4, r->ud[i] = s->ud[i | 1])

/* Of 128 bits only half are read. */
static inline union vec movddup_src(struct x86_cpu *cpu, const struct x86_op *op)
{
	return x86_src64(cpu, op);
}

static inline void movddup_src_lanes(struct x86_cpu *cpu, const struct x86_op *op, union vec *s)
{
	if (op->size == 32)
		x86_src128_lanes(cpu, op, s);
	else
		x86_src64_lanes(cpu, op, s);
}

X86_SSE_SIMPLE(movddup, movddup_src, r->uq[0] = r->uq[1] = s->uq[0])

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

/* ---- blends by the sign bits of XMM0 or, in the VEX encoding, of a fourth register -------- */

#define BLENDV(name, lane, signed_lane, lanes)                                              \
	static inline union vec name##_mix(union vec d, union vec s, union vec mask)        \
	{                                                                                   \
		for (unsigned int i = 0; i < (lanes); i++)                                  \
			d.lane[i] = mask.signed_lane[i] < 0 ? s.lane[i] : d.lane[i];        \
		return d;                                                                   \
	}                                                                                   \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec *d = x86_vec(cpu, op->dst);                                       \
		*d = name##_mix(*d, *x86_vec(cpu, op->src), *x86_vec(cpu, 0));              \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec s = MEM16(cpu, op), *d = x86_vec(cpu, op->dst);                   \
		*d = name##_mix(*d, s, *x86_vec(cpu, 0));                                   \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static inline void name##_lanes(struct x86_cpu *cpu, const struct x86_op *op,       \
					const union vec *s)                                 \
	{                                                                                   \
		const union vec *d = x86_ymm(cpu, op->aux);                                 \
		const union vec *mask = x86_ymm(cpu, (unsigned int)op->imm);                \
		union vec r[X86_LANES];                                                     \
		for (unsigned int l = 0; l < x86_vex_lanes(op); l++)                        \
			r[l] = name##_mix(d[l], s[l], mask[l]);                             \
		x86_put_lanes(cpu, op, r);                                                  \
	}                                                                                   \
	X86_VEX_FORMS(name, x86_src128)                                                     \
	X86_SSE_SELECT(name)

BLENDV(pblendvb, ub, sb, 16)
BLENDV(blendvps, ud, sd, 4)
BLENDV(blendvpd, uq, sq, 2)

/* ---- PTEST and its relatives ------------------------------------------------------------ */

/* Whether any bit that @keep names is set in both, and in the source alone. */
static void test_lanes(struct x86_cpu *cpu, const union vec *d, const union vec *s,
		       unsigned int lanes, u64 keep)
{
	u64 both = 0, rest = 0;

	for (unsigned int i = 0; i < lanes; i++) {
		both |= d[i].uq[0] & s[i].uq[0] & keep;
		both |= d[i].uq[1] & s[i].uq[1] & keep;
		rest |= ~d[i].uq[0] & s[i].uq[0] & keep;
		rest |= ~d[i].uq[1] & s[i].uq[1] & keep;
	}
	x86_flags_set(cpu, (both ? 0 : X86_EFLAGS_ZF) | (rest ? 0 : X86_EFLAGS_CF));
}

static const struct x86_op *ptest_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	test_lanes(cpu, x86_vec(cpu, op->dst), x86_vec(cpu, op->src), 1, ~0ull);
	X86_NEXT(cpu, op);
}

static const struct x86_op *ptest_rm(struct x86_cpu *cpu, const struct x86_op *op)
{
	union vec s = MEM16(cpu, op);

	test_lanes(cpu, x86_vec(cpu, op->dst), &s, 1, ~0ull);
	X86_NEXT(cpu, op);
}

/* VTESTPS and VTESTPD look at the sign bits only. */
#define VEX_TEST(name, keep)                                                          \
	static inline void name##_lanes(struct x86_cpu *cpu, const struct x86_op *op, \
					const union vec *s)                           \
	{                                                                             \
		test_lanes(cpu, x86_ymm(cpu, op->dst), s, x86_vex_lanes(op), keep);   \
	}                                                                             \
	X86_VEX_FORMS(name, x86_src128)

VEX_TEST(ptest, ~0ull)
VEX_TEST(testps, 0x8000000080000000ull)
VEX_TEST(testpd, 0x8000000000000000ull)

X86_SSE_SELECT(ptest)

x86_op_fn *x86_select_vtestps(struct x86_decode *d)
{
	return x86_vex_select(d, testps_vrr, testps_vrm);
}

x86_op_fn *x86_select_vtestpd(struct x86_decode *d)
{
	return x86_vex_select(d, testpd_vrr, testpd_vrm);
}
