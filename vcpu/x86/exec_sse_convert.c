/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating-point conversions and comparisons that set RFLAGS (SDM vol. 1,
 * 10.4.1.2, 10.4.3, 11.4.1.2, 11.4.1.6; vol. 2).
 */
#include "vcpu/x86/exec_sse.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/sse_fp.h"

#define MEM16 x86_src128_aligned

/* ---- vector to vector --------------------------------------------------------------- */

/* Each quadword of 128 bits becomes a lane of 256, through the loader of the memory form. */
static inline void x86_split_quads(union vec s[X86_LANES], union vec from)
{
	s[0] = (union vec){.uq = {from.uq[0], 0}};
	s[1] = (union vec){.uq = {from.uq[1], 0}};
}

#define CONVERT_WIDER(name)                                                                      \
	X86_FP_HANDLERS(name, x86_src64, name##_fp, name##_fp)                                   \
	static const struct x86_op *name##_wide_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                        \
		union vec s[X86_LANES];                                                          \
		x86_split_quads(s, *x86_vec(cpu, op->src));                                      \
		name##_lanes(cpu, op, s);                                                        \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	static const struct x86_op *name##_wide_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                        \
		union vec s[X86_LANES];                                                          \
		x86_split_quads(s, x86_src128(cpu, op));                                         \
		name##_lanes(cpu, op, s);                                                        \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                       \
	{                                                                                        \
		if (x86_dec_is_ymm(d, 0))                                                        \
			return x86_vex_select(d, name##_wide_rr, name##_wide_rm);                \
		return x86_vec_select(d, name##_rr, name##_rm, name##_vrr, name##_vrm);          \
	}

/* The quadwords that two lanes give make 128 bits. */
#define CONVERT_NARROWER(name)                                                                   \
	X86_FP_HANDLERS(name, x86_src128_aligned, name##_fp, name##_fp)                          \
	static inline void name##_join(struct x86_cpu *cpu, const struct x86_op *op,             \
				       const union vec *s)                                       \
	{                                                                                        \
		union vec r[X86_LANES];                                                          \
		x86_fp_run_lanes(cpu, op, name##_fp, r, s, s, X86_LANES);                        \
		x86_put_xmm(cpu, op->dst, (union vec){.uq = {r[0].uq[0], r[1].uq[0]}});          \
	}                                                                                        \
	static const struct x86_op *name##_wide_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                        \
		name##_join(cpu, op, x86_ymm(cpu, op->src));                                     \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	static const struct x86_op *name##_wide_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                        \
		union vec s[X86_LANES];                                                          \
		x86_load256(cpu, x86_ea(cpu, op, 32, false), s);                                 \
		name##_join(cpu, op, s);                                                         \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                       \
	{                                                                                        \
		if (x86_dec_is_vex(d) && d->insn->raw.vex.L)                                     \
			return x86_vex_select(d, name##_wide_rr, name##_wide_rm);                \
		return x86_vec_select(d, name##_rr, name##_rm, name##_vrr, name##_vrm);          \
	}

/* clang-format off */
X86_FP_SIMPLE(cvtdq2ps, MEM16)
X86_FP_SIMPLE(cvtps2dq, MEM16)
X86_FP_SIMPLE(cvttps2dq, MEM16)
X86_FP_SIMPLE(cvtss2sd, x86_src32)
X86_FP_SIMPLE(cvtsd2ss, x86_src64)
CONVERT_WIDER(cvtdq2pd)
CONVERT_WIDER(cvtps2pd)
CONVERT_NARROWER(cvtpd2dq)
CONVERT_NARROWER(cvttpd2dq)
CONVERT_NARROWER(cvtpd2ps)
/* clang-format on */

/* ---- integer to scalar --------------------------------------------------------------- */

#define FROM_INT(name, bits)                                                                  \
	static const struct x86_op *name##_gpr(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                     \
		x86_v2u64 s = {X86_REG(cpu, op->src, u##bits), 0};                            \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                   \
		*d = x86_fp_run(cpu, op, name##_fp, *d, s);                                   \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op)   \
	{                                                                                     \
		union vec s = x86_src##bits(cpu, op);                                         \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                   \
		*d = x86_fp_run(cpu, op, name##_fp, *d, s.vuq);                               \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	static const struct x86_op *name##_vgpr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                     \
		union vec s = {.uq = {X86_REG(cpu, op->src, u##bits), 0}}, r;                 \
		r.vuq = x86_fp_run(cpu, op, name##_fp, x86_vec(cpu, op->aux)->vuq, s.vuq);    \
		x86_put_xmm(cpu, op->dst, r);                                                 \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	static const struct x86_op *name##_vrm(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                     \
		union vec s = x86_src##bits(cpu, op), r;                                      \
		r.vuq = x86_fp_run(cpu, op, name##_fp, x86_vec(cpu, op->aux)->vuq, s.vuq);    \
		x86_put_xmm(cpu, op->dst, r);                                                 \
		X86_NEXT(cpu, op);                                                            \
	}

FROM_INT(cvtsi2ss32, 32)
FROM_INT(cvtsi2ss64, 64)
FROM_INT(cvtsi2sd32, 32)
FROM_INT(cvtsi2sd64, 64)

#define FROM_INT_BOTH(name)                                                                      \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                       \
	{                                                                                        \
		unsigned int last = d->insn->operand_count_visible - 1u;                         \
		return d->operands[last].size == 64                                              \
			       ? x86_vec_select_gpr(d, name##64_gpr, name##64_rm, name##64_vgpr, \
						    name##64_vrm)                                \
			       : x86_vec_select_gpr(d, name##32_gpr, name##32_rm, name##32_vgpr, \
						    name##32_vrm);                               \
	}

FROM_INT_BOTH(cvtsi2ss)
FROM_INT_BOTH(cvtsi2sd)

/* ---- scalar to integer: 32-bit results clear the upper half ------------------------------ */

#define TO_INT(name, load)                                                                    \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op)   \
	{                                                                                     \
		x86_v2u64 s = x86_vec(cpu, op->src)->vuq;                                     \
		X86_REG(cpu, op->dst, u64) = x86_fp_run(cpu, op, name##_fp, s, s)[0];         \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op)   \
	{                                                                                     \
		union vec s = load(cpu, op);                                                  \
		X86_REG(cpu, op->dst, u64) = x86_fp_run(cpu, op, name##_fp, s.vuq, s.vuq)[0]; \
		X86_NEXT(cpu, op);                                                            \
	}

static x86_op_fn *select_to_int(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *rm)
{
	x86_op_fn *refused = x86_vec_refused(d);

	if (!x86_dec_is_gpr(d, 0))
		return NULL;
	if (refused)
		return refused;
	d->op->dst = x86_dec_gpr(d, 0);
	if (x86_dec_is_mem(d, 1)) {
		x86_dec_mem(d, 1);
		return rm;
	}
	if (!x86_dec_is_xmm(d, 1))
		return NULL;
	d->op->src = x86_dec_vec(d, 1);
	return rr;
}

#define TO_INT_BOTH(name, load)                                                                \
	TO_INT(name##32, load)                                                                 \
	TO_INT(name##64, load)                                                                 \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                     \
	{                                                                                      \
		return d->operands[0].size == 64 ? select_to_int(d, name##64_rr, name##64_rm)  \
						 : select_to_int(d, name##32_rr, name##32_rm); \
	}

TO_INT_BOTH(cvtss2si, x86_src32)
TO_INT_BOTH(cvttss2si, x86_src32)
TO_INT_BOTH(cvtsd2si, x86_src64)
TO_INT_BOTH(cvttsd2si, x86_src64)

/* ---- comparisons into ZF, PF, CF; OF, SF, AF are cleared ------------------------------------ */

#define COMPARE(name, load)                                                                 \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		x86_v2u64 d = x86_vec(cpu, op->dst)->vuq, s = x86_vec(cpu, op->src)->vuq;   \
		x86_flags_set(cpu, (u32)x86_fp_run(cpu, op, name##_fp, d, s)[0]);           \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		x86_v2u64 s = load(cpu, op).vuq, d = x86_vec(cpu, op->dst)->vuq;            \
		x86_flags_set(cpu, (u32)x86_fp_run(cpu, op, name##_fp, d, s)[0]);           \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                  \
	{                                                                                   \
		return x86_vec_select(d, name##_rr, name##_rm, name##_rr, name##_rm);       \
	}

COMPARE(comiss, x86_src32)
COMPARE(comisd, x86_src64)
COMPARE(ucomiss, x86_src32)
COMPARE(ucomisd, x86_src64)
