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

#define CONVERT(name, load)                                                                 \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                 \
		*d = x86_fp_run(cpu, op, name##_fp, *d, x86_vec(cpu, op->src)->vuq);        \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec s = load(cpu, op);                                                \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                 \
		*d = x86_fp_run(cpu, op, name##_fp, *d, s.vuq);                             \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                  \
	{                                                                                   \
		return x86_sse_select(d, name##_rr, name##_rm);                             \
	}

/* clang-format off */
CONVERT(cvtdq2ps, MEM16)
CONVERT(cvtdq2pd, x86_src64)
CONVERT(cvtps2dq, MEM16)
CONVERT(cvttps2dq, MEM16)
CONVERT(cvtpd2dq, MEM16)
CONVERT(cvttpd2dq, MEM16)
CONVERT(cvtps2pd, x86_src64)
CONVERT(cvtpd2ps, MEM16)
CONVERT(cvtss2sd, x86_src32)
CONVERT(cvtsd2ss, x86_src64)
/* clang-format on */

/* ---- integer to scalar --------------------------------------------------------------- */

#define FROM_INT(name, bits)                                                                 \
	static const struct x86_op *name##_gpr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                    \
		x86_v2u64 s = {X86_REG(cpu, op->src, u##bits), 0};                           \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                  \
		*d = x86_fp_run(cpu, op, name##_fp, *d, s);                                  \
		X86_NEXT(cpu, op);                                                           \
	}                                                                                    \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                    \
		union vec s = x86_src##bits(cpu, op);                                        \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                  \
		*d = x86_fp_run(cpu, op, name##_fp, *d, s.vuq);                              \
		X86_NEXT(cpu, op);                                                           \
	}

FROM_INT(cvtsi2ss32, 32)
FROM_INT(cvtsi2ss64, 64)
FROM_INT(cvtsi2sd32, 32)
FROM_INT(cvtsi2sd64, 64)

static x86_op_fn *select_from_int(struct x86_decode *d, x86_op_fn *gpr, x86_op_fn *rm)
{
	x86_op_fn *refused = x86_sse_refused(d);

	if (!x86_dec_is_xmm(d, 0))
		return NULL;
	if (refused)
		return refused;
	d->op->dst = x86_dec_vec(d, 0);
	if (x86_dec_is_mem(d, 1)) {
		x86_dec_mem(d, 1);
		return rm;
	}
	d->op->src = x86_dec_gpr(d, 1);
	return gpr;
}

x86_op_fn *x86_select_cvtsi2ss(struct x86_decode *d)
{
	return d->operands[1].size == 64 ? select_from_int(d, cvtsi2ss64_gpr, cvtsi2ss64_rm)
					 : select_from_int(d, cvtsi2ss32_gpr, cvtsi2ss32_rm);
}

x86_op_fn *x86_select_cvtsi2sd(struct x86_decode *d)
{
	return d->operands[1].size == 64 ? select_from_int(d, cvtsi2sd64_gpr, cvtsi2sd64_rm)
					 : select_from_int(d, cvtsi2sd32_gpr, cvtsi2sd32_rm);
}

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
	x86_op_fn *refused = x86_sse_refused(d);

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
		return x86_sse_select(d, name##_rr, name##_rm);                             \
	}

COMPARE(comiss, x86_src32)
COMPARE(comisd, x86_src64)
COMPARE(ucomiss, x86_src32)
COMPARE(ucomisd, x86_src64)
