/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating-point operations under the guest's MXCSR (SDM vol. 1, 10.2.3, 11.5).
 *
 * On x86 hosts the operation is the host's own instruction, so results, NaNs
 * and flags are exact (sse_fp_native.h).  Elsewhere it is C with the host's
 * round-to-nearest (sse_fp_portable.h); there MXCSR's flags, FZ and DAZ are not
 * modelled and its rounding mode acts on conversions to integers and ROUNDxx only.
 *
 * Host MXCSR.  x86_fp_enter() gives it the default value while guest code
 * runs.  While the guest's control bits are the default ones nothing is loaded:
 * the instruction runs, and when it leaves a sticky flag in the host's MXCSR
 * that the guest's does not have, x86_fp_slow() finds out whether that flag is
 * new or a leftover, and makes the host's flags a subset of the guest's, so
 * that it does not happen again.
 */
#ifndef KVMU_VCPU_X86_SSE_FP_H
#define KVMU_VCPU_X86_SSE_FP_H

#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/exec_sse.h"

#define X86_MXCSR_FLAGS	   0x3fu
#define X86_MXCSR_PRE	   0x07u /* IE, DE, ZE: found before computing */
#define X86_MXCSR_MASKS	   (X86_MXCSR_FLAGS << 7)
#define X86_MXCSR_RC_SHIFT 13

/*
 * One computation on register values, without other effects but the host's
 * MXCSR flags.  @imm: bits 7:0 the immediate; in portable builds bits 9:8 are MXCSR.RC.
 */
typedef x86_v2u64 x86_fp_fn(x86_v2u64 d, x86_v2u64 s, u32 imm);

#define X86_FP_LESS	 1u
#define X86_FP_EQUAL	 2u
#define X86_FP_GREATER	 4u
#define X86_FP_UNORDERED 8u

/*
 * The relations for which a comparison's predicate holds (SDM vol. 2, table
 * 3-1), by imm[3:0]: 8 predicates of the legacy encoding, 32 of the VEX one, whose
 * halves differ in what they signal.
 */
static inline u32 x86_fp_relations(u32 imm)
{
	static const u8 relations[16] = {X86_FP_EQUAL,
					 X86_FP_LESS,
					 X86_FP_LESS | X86_FP_EQUAL,
					 X86_FP_UNORDERED,
					 X86_FP_LESS | X86_FP_GREATER | X86_FP_UNORDERED,
					 X86_FP_EQUAL | X86_FP_GREATER | X86_FP_UNORDERED,
					 X86_FP_GREATER | X86_FP_UNORDERED,
					 X86_FP_LESS | X86_FP_EQUAL | X86_FP_GREATER,
					 X86_FP_EQUAL | X86_FP_UNORDERED,
					 X86_FP_LESS | X86_FP_UNORDERED,
					 X86_FP_LESS | X86_FP_EQUAL | X86_FP_UNORDERED,
					 0,
					 X86_FP_LESS | X86_FP_GREATER,
					 X86_FP_EQUAL | X86_FP_GREATER,
					 X86_FP_GREATER,
					 X86_FP_LESS | X86_FP_EQUAL | X86_FP_GREATER |
						 X86_FP_UNORDERED};

	return relations[imm & 15];
}

#if defined(__x86_64__) && !defined(KVMU_SSE_PORTABLE)

/*
 * As x86_fp_run() for any MXCSR.  Raises #XM (or #UD without CR4.OSXMMEXCPT)
 * when the operation meets an unmasked exception; MXCSR has its flag then.
 */
x86_v2u64 x86_fp_slow(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn, x86_v2u64 d,
		      x86_v2u64 s);
/* Two lanes; the exceptions of both count as one instruction's. */
void x86_fp_slow_lanes(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn, union vec *r,
		       const union vec *d, const union vec *s);

static inline u32 x86_host_mxcsr(void)
{
	u32 value;

	__asm__ volatile("stmxcsr %0" : "=m"(value));
	return value;
}

static inline void x86_host_set_mxcsr(u32 value)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(value));
}

/* @fn is a constant: this is inlined into each handler. */
static inline __attribute__((always_inline)) x86_v2u64
x86_fp_run(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn, x86_v2u64 d, x86_v2u64 s)
{
	x86_v2u64 r;

	if (unlikely((cpu->mxcsr & ~X86_MXCSR_FLAGS) != X86_MXCSR_INIT))
		return x86_fp_slow(cpu, op, fn, d, s);
	r = fn(d, s, (u32)op->imm);
	if (unlikely(x86_host_mxcsr() & X86_MXCSR_FLAGS & ~cpu->mxcsr))
		return x86_fp_slow(cpu, op, fn, d, s);
	return r;
}

static inline __attribute__((always_inline)) void
x86_fp_run_lanes(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn,
		 union vec r[X86_LANES], const union vec *d, const union vec *s, unsigned int lanes)
{
	if (lanes == 1) {
		r[0].vuq = x86_fp_run(cpu, op, fn, d[0].vuq, s[0].vuq);
		return;
	}
	if (likely((cpu->mxcsr & ~X86_MXCSR_FLAGS) == X86_MXCSR_INIT)) {
		r[0].vuq = fn(d[0].vuq, s[0].vuq, (u32)op->imm);
		r[1].vuq = fn(d[1].vuq, s[1].vuq, (u32)op->imm);
		if (likely(!(x86_host_mxcsr() & X86_MXCSR_FLAGS & ~cpu->mxcsr)))
			return;
	}
	x86_fp_slow_lanes(cpu, op, fn, r, d, s);
}

#include "vcpu/x86/sse_fp_native.h"

#else

static inline x86_v2u64 x86_fp_run(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn,
				   x86_v2u64 d, x86_v2u64 s)
{
	return fn(d, s, (u32)op->imm | (cpu->mxcsr >> X86_MXCSR_RC_SHIFT & 3) << 8);
}

static inline void x86_fp_run_lanes(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn,
				    union vec r[X86_LANES], const union vec *d, const union vec *s,
				    unsigned int lanes)
{
	for (unsigned int l = 0; l < lanes; l++)
		r[l].vuq = x86_fp_run(cpu, op, fn, d[l].vuq, s[l].vuq);
}

#include "vcpu/x86/sse_fp_portable.h"

#endif

/*
 * The handlers of an operation: @load as X86_SSE_HANDLERS() has it, @fn and
 * @vex_fn the computation in the legacy and the VEX encoding.
 */
#define X86_FP_HANDLERS(name, load, fn, vex_fn)                                                    \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op)        \
	{                                                                                          \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                        \
		*d = x86_fp_run(cpu, op, fn, *d, x86_vec(cpu, op->src)->vuq);                      \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op)        \
	{                                                                                          \
		union vec s = load(cpu, op);                                                       \
		x86_v2u64 *d = &x86_vec(cpu, op->dst)->vuq;                                        \
		*d = x86_fp_run(cpu, op, fn, *d, s.vuq);                                           \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static inline void name##_lanes(struct x86_cpu *cpu, const struct x86_op *op,              \
					const union vec *s)                                        \
	{                                                                                          \
		union vec r[X86_LANES];                                                            \
		x86_fp_run_lanes(cpu, op, vex_fn, r, x86_ymm(cpu, op->aux), s, x86_vex_lanes(op)); \
		x86_put_lanes(cpu, op, r);                                                         \
	}                                                                                          \
	X86_VEX_FORMS(name, load)

/* With a select function; the names of the computation come from the instruction's. */
#define X86_FP_SIMPLE(name, load)                         \
	X86_FP_HANDLERS(name, load, name##_fp, name##_fp) \
	X86_SSE_SELECT(name)

#endif
