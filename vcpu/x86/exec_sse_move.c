/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves to, from and between vector registers (SDM vol. 1, 10.4.1.1, 11.4.1.1, 12.3; vol. 2).
 *
 * Non-temporal moves are ordinary ones: the hint has no visible effect on
 * write-back memory.
 */
#include "vcpu/x86/exec_sse.h"

/* ---- whole registers ------------------------------------------------------------ */

static const struct x86_op *mov128_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = *x86_vec(cpu, op->src);
	X86_NEXT(cpu, op);
}

/* Each twice: any address (_any), and the plain one that leaves what is rare to the first. */
#define MOVE128(name, aligned, ea)                                                                 \
	static const struct x86_op *name##_load_any(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                          \
		*x86_vec(cpu, op->dst) = x86_load128(cpu, ea(cpu, op, false));                     \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_load(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                          \
		const void *ptr = x86_host_ptr128(cpu, op, false, (aligned) ? 15 : 0);             \
		if (unlikely(!ptr))                                                                \
			return name##_load_any(cpu, op);                                           \
		*x86_vec(cpu, op->dst) = x86_host_load128(ptr);                                    \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_store_any(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                          \
		x86_store128(cpu, ea(cpu, op, true), x86_vec(cpu, op->src));                       \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_store(struct x86_cpu *cpu, const struct x86_op *op)     \
	{                                                                                          \
		void *ptr = x86_host_ptr128(cpu, op, true, (aligned) ? 15 : 0);                    \
		if (unlikely(!ptr))                                                                \
			return name##_store_any(cpu, op);                                          \
		x86_host_store128(ptr, x86_vec(cpu, op->src));                                     \
		X86_NEXT(cpu, op);                                                                 \
	}

static inline u64 ea_unaligned16(struct x86_cpu *cpu, const struct x86_op *op, bool write)
{
	return x86_ea(cpu, op, 16, write);
}

MOVE128(mova, true, x86_ea_aligned16)
MOVE128(movu, false, ea_unaligned16)

/* The VEX forms, of either width. */

static const struct x86_op *vmov_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_put_lanes(cpu, op, x86_ymm(cpu, op->src));
	X86_NEXT(cpu, op);
}

static u64 ea_aligned(struct x86_cpu *cpu, const struct x86_op *op, bool write)
{
	u64 addr = x86_ea(cpu, op, op->size, write);

	if (unlikely(addr & (op->size - 1u)))
		x86_raise_code(cpu, X86_GP, 0);
	return addr;
}

static u64 ea_unaligned(struct x86_cpu *cpu, const struct x86_op *op, bool write)
{
	return x86_ea(cpu, op, op->size, write);
}

#define VEX_MOVE(name, ea)                                                                     \
	static const struct x86_op *name##_load(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                      \
		u64 addr = ea(cpu, op, false);                                                 \
		union vec s[X86_LANES];                                                        \
		if (op->size == 32)                                                            \
			x86_load256(cpu, addr, s);                                             \
		else                                                                           \
			s[0] = x86_load128(cpu, addr);                                         \
		x86_put_lanes(cpu, op, s);                                                     \
		X86_NEXT(cpu, op);                                                             \
	}                                                                                      \
	static const struct x86_op *name##_store(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                      \
		u64 addr = ea(cpu, op, true);                                                  \
		if (op->size == 32)                                                            \
			x86_store256(cpu, addr, x86_ymm(cpu, op->src));                        \
		else                                                                           \
			x86_store128(cpu, addr, x86_vec(cpu, op->src));                        \
		X86_NEXT(cpu, op);                                                             \
	}

VEX_MOVE(vmova, ea_aligned)
VEX_MOVE(vmovu, ea_unaligned)

/* A move between a vector register and another or memory, either way round, as legacy and VEX
 * have it. */
struct move_forms {
	x86_op_fn *rr, *load, *store;
};

static x86_op_fn *select_move(struct x86_decode *d, struct move_forms legacy, struct move_forms vex)
{
	if (x86_dec_is_mem(d, 0))
		return x86_vec_select_store(d, x86_dec_is_vex(d) ? vex.store : legacy.store);
	return x86_vec_select(d, legacy.rr, legacy.load, vex.rr, vex.load);
}

x86_op_fn *x86_select_movaps(struct x86_decode *d)
{
	x86_op_fn *fn =
		select_move(d, (struct move_forms){mov128_rr, mova_load_any, mova_store_any},
			    (struct move_forms){vmov_rr, vmova_load, vmova_store});

	if (fn == mova_load_any && x86_vec_plain(d->op))
		return mova_load;
	if (fn == mova_store_any && x86_vec_plain(d->op))
		return mova_store;
	return fn;
}

x86_op_fn *x86_select_movups(struct x86_decode *d)
{
	x86_op_fn *fn =
		select_move(d, (struct move_forms){mov128_rr, movu_load_any, movu_store_any},
			    (struct move_forms){vmov_rr, vmovu_load, vmovu_store});

	if (fn == movu_load_any && x86_vec_plain(d->op))
		return movu_load;
	if (fn == movu_store_any && x86_vec_plain(d->op))
		return movu_store;
	return fn;
}

x86_op_fn *x86_select_movnt(struct x86_decode *d)
{
	return x86_dec_is_mem(d, 0)
		       ? x86_vec_select_store(d, x86_dec_is_vex(d) ? vmova_store : mova_store_any)
		       : NULL;
}

/* ---- MOVNTI: a general register; needs no SSE state, so no mode refuses it --------- */

static const struct x86_op *movnti32(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store32(cpu, x86_ea(cpu, op, 4, true), X86_REG(cpu, op->src, u32));
	X86_NEXT(cpu, op);
}

static const struct x86_op *movnti64(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store64(cpu, x86_ea(cpu, op, 8, true), X86_REG(cpu, op->src, u64));
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_movnti(struct x86_decode *d)
{
	x86_dec_mem(d, 0);
	d->op->src = x86_dec_gpr(d, 1);
	return d->operands[1].size == 64 ? movnti64 : movnti32;
}

/* ---- MOVD, MOVQ: what is above the value is cleared, as far as the encoding reaches ---- */

#define MOVE_LOW(name, value)                                                             \
	static const struct x86_op *name(struct x86_cpu *cpu, const struct x86_op *op)    \
	{                                                                                 \
		*x86_vec(cpu, op->dst) = (value);                                         \
		X86_NEXT(cpu, op);                                                        \
	}                                                                                 \
	static const struct x86_op *v##name(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                 \
		x86_put_xmm(cpu, op->dst, (value));                                       \
		X86_NEXT(cpu, op);                                                        \
	}

#define QUAD(value) ((union vec){.uq = {(value), 0}})

MOVE_LOW(movd_from_gpr, QUAD(X86_REG(cpu, op->src, u32)))
MOVE_LOW(movq_from_gpr, QUAD(X86_REG(cpu, op->src, u64)))
MOVE_LOW(movd_load, x86_src32(cpu, op))
MOVE_LOW(movq_load, x86_src64(cpu, op))
MOVE_LOW(movq_rr, QUAD(x86_vec(cpu, op->src)->uq[0]))

static const struct x86_op *movd_to_gpr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_set_reg32(cpu, op->dst, x86_vec(cpu, op->src)->ud[0]);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movd_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store32(cpu, x86_ea(cpu, op, 4, true), x86_vec(cpu, op->src)->ud[0]);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_to_gpr(struct x86_cpu *cpu, const struct x86_op *op)
{
	X86_REG(cpu, op->dst, u64) = x86_vec(cpu, op->src)->uq[0];
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store64(cpu, x86_ea(cpu, op, 8, true), x86_vec(cpu, op->src)->uq[0]);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_movd(struct x86_decode *d)
{
	if (x86_dec_is_xmm(d, 0) && x86_dec_is_gpr(d, 1))
		return x86_vec_select_gpr(d, movd_from_gpr, NULL, vmovd_from_gpr, NULL);
	if (x86_dec_is_gpr(d, 0))
		return x86_vec_select_to_gpr(d, movd_to_gpr);
	return select_move(d, (struct move_forms){NULL, movd_load, movd_store},
			   (struct move_forms){NULL, vmovd_load, movd_store});
}

x86_op_fn *x86_select_movq(struct x86_decode *d)
{
	if (x86_dec_is_xmm(d, 0) && x86_dec_is_gpr(d, 1))
		return x86_vec_select_gpr(d, movq_from_gpr, NULL, vmovq_from_gpr, NULL);
	if (x86_dec_is_gpr(d, 0))
		return x86_vec_select_to_gpr(d, movq_to_gpr);
	return select_move(d, (struct move_forms){movq_rr, movq_load, movq_store},
			   (struct move_forms){vmovq_rr, vmovq_load, movq_store});
}

/*
 * ---- parts of a register -------------------------------------------------------------
 * The rest stays, or comes from the first source in the VEX encoding; a VEX
 * destination is complete before the register is written, which may be a source too.
 */
#define MERGE(name, lane, at, value)                                                        \
	static const struct x86_op *name(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                   \
		u64 v = (value);                                                            \
		x86_vec(cpu, op->dst)->lane[at] = (__typeof__(((union vec *)0)->lane[0]))v; \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *v##name(struct x86_cpu *cpu, const struct x86_op *op)   \
	{                                                                                   \
		u64 v = (value);                                                            \
		union vec r = *x86_vec(cpu, op->aux);                                       \
		r.lane[at] = (__typeof__(r.lane[0]))v;                                      \
		x86_put_xmm(cpu, op->dst, r);                                               \
		X86_NEXT(cpu, op);                                                          \
	}

MERGE(movss_rr, ud, 0, x86_vec(cpu, op->src)->ud[0])
MERGE(movsd_rr, uq, 0, x86_vec(cpu, op->src)->uq[0])
MERGE(movhlps_rr, uq, 0, x86_vec(cpu, op->src)->uq[1])
MERGE(movlhps_rr, uq, 1, x86_vec(cpu, op->src)->uq[0])
MERGE(movlps_load, uq, 0, x86_load64(cpu, x86_ea(cpu, op, 8, false)))
MERGE(movhps_load, uq, 1, x86_load64(cpu, x86_ea(cpu, op, 8, false)))

static const struct x86_op *movhps_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store64(cpu, x86_ea(cpu, op, 8, true), x86_vec(cpu, op->src)->uq[1]);
	X86_NEXT(cpu, op);
}

/* Between registers they merge, from memory they clear the rest. */
x86_op_fn *x86_select_movss(struct x86_decode *d)
{
	return select_move(d, (struct move_forms){movss_rr, movd_load, movd_store},
			   (struct move_forms){vmovss_rr, vmovd_load, movd_store});
}

x86_op_fn *x86_select_movsd(struct x86_decode *d)
{
	return select_move(d, (struct move_forms){movsd_rr, movq_load, movq_store},
			   (struct move_forms){vmovsd_rr, vmovq_load, movq_store});
}

x86_op_fn *x86_select_movhlps(struct x86_decode *d)
{
	return x86_vec_select(d, movhlps_rr, NULL, vmovhlps_rr, NULL);
}

x86_op_fn *x86_select_movlhps(struct x86_decode *d)
{
	return x86_vec_select(d, movlhps_rr, NULL, vmovlhps_rr, NULL);
}

x86_op_fn *x86_select_movlps(struct x86_decode *d)
{
	return select_move(d, (struct move_forms){NULL, movlps_load, movq_store},
			   (struct move_forms){NULL, vmovlps_load, movq_store});
}

x86_op_fn *x86_select_movhps(struct x86_decode *d)
{
	return select_move(d, (struct move_forms){NULL, movhps_load, movhps_store},
			   (struct move_forms){NULL, vmovhps_load, movhps_store});
}
