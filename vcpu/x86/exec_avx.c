/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AVX instructions without a legacy encoding: broadcasts, 128-bit lanes,
 * permutations, masked moves, clearing (SDM vol. 1, 14.1; vol. 2).  VTESTPS and
 * VTESTPD are with PTEST in exec_sse_shuffle.c.
 */
#include "vcpu/x86/exec_sse.h"

/* ---- broadcasts from memory ------------------------------------------------------------ */

#define BROADCAST(name, load, ...)                                                          \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec s = load(cpu, op);                                                \
		union vec v = __VA_ARGS__, r[X86_LANES] = {v, v};                           \
		x86_put_lanes(cpu, op, r);                                                  \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	x86_op_fn *x86_select_v##name(struct x86_decode *d)                                 \
	{                                                                                   \
		return x86_vex_select(d, NULL, name##_rm);                                  \
	}

BROADCAST(broadcastss, x86_src32, {.ud = {s.ud[0], s.ud[0], s.ud[0], s.ud[0]}})
BROADCAST(broadcastsd, x86_src64, {.uq = {s.uq[0], s.uq[0]}})
BROADCAST(broadcastf128, x86_src128, s)

/* ---- lanes of 128 bits -------------------------------------------------------------------- */

static inline void insert_lane(struct x86_cpu *cpu, const struct x86_op *op, union vec s)
{
	const union vec *d = x86_ymm(cpu, op->aux);
	union vec r[X86_LANES] = {d[0], d[1]};

	r[op->imm & 1] = s;
	x86_put_lanes(cpu, op, r);
}

static const struct x86_op *insertf128_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	insert_lane(cpu, op, *x86_vec(cpu, op->src));
	X86_NEXT(cpu, op);
}

static const struct x86_op *insertf128_rm(struct x86_cpu *cpu, const struct x86_op *op)
{
	insert_lane(cpu, op, x86_src128(cpu, op));
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_vinsertf128(struct x86_decode *d)
{
	return x86_vex_select(d, insertf128_rr, insertf128_rm);
}

static const struct x86_op *extractf128_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_put_xmm(cpu, op->dst, x86_ymm(cpu, op->src)[op->imm & 1]);
	X86_NEXT(cpu, op);
}

static const struct x86_op *extractf128_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store128(cpu, x86_ea(cpu, op, 16, true), &x86_ymm(cpu, op->src)[op->imm & 1]);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_vextractf128(struct x86_decode *d)
{
	if (x86_dec_is_mem(d, 0))
		return x86_vec_select_store(d, extractf128_store);
	return x86_vex_select(d, extractf128_rr, NULL);
}

/* Each half of the result: one of four lanes, or zero. */
static inline void perm2f128_lanes(struct x86_cpu *cpu, const struct x86_op *op, const union vec *s)
{
	const union vec *d = x86_ymm(cpu, op->aux);
	union vec r[X86_LANES];

	for (unsigned int l = 0; l < X86_LANES; l++) {
		u32 control = (u32)op->imm >> 4 * l;

		r[l] = (control & 2 ? s : d)[control & 1];
		if (control & 8)
			r[l] = (union vec){.uq = {0, 0}};
	}
	x86_put_lanes(cpu, op, r);
}

X86_VEX_FORMS(perm2f128, x86_src128)

x86_op_fn *x86_select_vperm2f128(struct x86_decode *d)
{
	return x86_vex_select(d, perm2f128_vrr, perm2f128_vrm);
}

/* ---- permutations inside a lane, by an immediate or by the second source ------------------ */

#define PERMIL(name, load, step, lane, lanes, by_imm, by_vector)                               \
	static inline void name##_op(union vec *r, const union vec *d, const union vec *s,     \
				     u32 imm)                                                  \
	{                                                                                      \
		(void)imm;                                                                     \
		for (unsigned int i = 0; i < (lanes); i++)                                     \
			r->lane[i] = d->lane[by_vector];                                       \
	}                                                                                      \
	static inline void name##_imm_op(union vec *r, const union vec *d, const union vec *s, \
					 u32 imm)                                              \
	{                                                                                      \
		(void)d;                                                                       \
		for (unsigned int i = 0; i < (lanes); i++)                                     \
			r->lane[i] = s->lane[by_imm];                                          \
	}                                                                                      \
	X86_VEX_HANDLERS(name, load, 0)                                                        \
	X86_VEX_HANDLERS(name##_imm, load, step)                                               \
	x86_op_fn *x86_select_v##name(struct x86_decode *d)                                    \
	{                                                                                      \
		if (x86_dec_is_imm(d, 2))                                                      \
			return x86_vex_select(d, name##_imm_vrr, name##_imm_vrm);              \
		return x86_vex_select(d, name##_vrr, name##_vrm);                              \
	}

PERMIL(permilps, x86_src128, 0, ud, 4, imm >> 2 * i & 3, s->ud[i] & 3)
PERMIL(permilpd, x86_src128, 2, uq, 2, imm >> i & 1, s->uq[i] >> 1 & 1)

/* ---- masked moves ------------------------------------------------------------------------- */

/*
 * Elements whose mask has its sign bit set move one by one; the others are not
 * touched, so what is wrong with their memory does not matter.  A store takes
 * every fault before its first element.
 */
#define MASKMOV(name, lane, signed_lane, bits)                                                 \
	static inline bool name##_moves(const union vec *mask, unsigned int i)                 \
	{                                                                                      \
		return mask[i * (bits) / 128].signed_lane[i % (128 / (bits))] < 0;             \
	}                                                                                      \
	static const struct x86_op *name##_load(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                      \
		const union vec *mask = x86_ymm(cpu, op->aux);                                 \
		u64 addr = x86_ea(cpu, op, op->size, false);                                   \
		union vec r[X86_LANES] = {{.uq = {0, 0}}, {.uq = {0, 0}}};                     \
		for (unsigned int i = 0; i < op->size * 8u / (bits); i++)                      \
			if (name##_moves(mask, i))                                             \
				r[i * (bits) / 128].lane[i % (128 / (bits))] =                 \
					x86_load##bits(cpu, addr + i * (bits) / 8);            \
		x86_put_lanes(cpu, op, r);                                                     \
		X86_NEXT(cpu, op);                                                             \
	}                                                                                      \
	static const struct x86_op *name##_store(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                      \
		const union vec *mask = x86_ymm(cpu, op->aux), *s = x86_ymm(cpu, op->src);     \
		u64 addr = x86_ea(cpu, op, op->size, true);                                    \
		for (unsigned int i = 0; i < op->size * 8u / (bits); i++)                      \
			if (name##_moves(mask, i))                                             \
				x86_probe(cpu, addr + i * (bits) / 8, (bits) / 8, true);       \
		for (unsigned int i = 0; i < op->size * 8u / (bits); i++)                      \
			if (name##_moves(mask, i))                                             \
				x86_store##bits(cpu, addr + i * (bits) / 8,                    \
						s[i * (bits) / 128].lane[i % (128 / (bits))]); \
		X86_NEXT(cpu, op);                                                             \
	}                                                                                      \
	x86_op_fn *x86_select_v##name(struct x86_decode *d)                                    \
	{                                                                                      \
		return x86_dec_is_mem(d, 0) ? select_masked_store(d, name##_store)             \
					    : x86_vex_select(d, NULL, name##_load);            \
	}

static x86_op_fn *select_masked_store(struct x86_decode *d, x86_op_fn *fn)
{
	x86_op_fn *refused = x86_vex_refused(d);

	if (refused)
		return refused;
	x86_dec_mem(d, 0);
	d->op->aux = x86_dec_vec(d, 1);
	d->op->src = x86_dec_vec(d, 2);
	d->op->size = x86_dec_is_ymm(d, 2) ? 32 : 16;
	return fn;
}

MASKMOV(maskmovps, ud, sd, 32)
MASKMOV(maskmovpd, uq, sq, 64)

/* ---- clearing: the registers that the mode can name (op->imm) ------------------------------- */

static const struct x86_op *zeroall(struct x86_cpu *cpu, const struct x86_op *op)
{
	__builtin_memset(cpu->ymm, 0, sizeof(cpu->ymm[0]) * (unsigned int)op->imm);
	X86_NEXT(cpu, op);
}

static const struct x86_op *zeroupper(struct x86_cpu *cpu, const struct x86_op *op)
{
	for (unsigned int n = 0; n < (unsigned int)op->imm; n++)
		x86_ymm(cpu, n)[1] = (union vec){.uq = {0, 0}};
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_zero(struct x86_decode *d, x86_op_fn *fn)
{
	x86_op_fn *refused = x86_vex_refused(d);

	d->op->imm = d->mode & X86_MODE_CS64 ? 16 : 8;
	return refused ? refused : fn;
}

x86_op_fn *x86_select_vzeroall(struct x86_decode *d)
{
	return select_zero(d, zeroall);
}

x86_op_fn *x86_select_vzeroupper(struct x86_decode *d)
{
	return select_zero(d, zeroupper);
}
