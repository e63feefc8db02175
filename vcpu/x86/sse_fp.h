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
#include "vcpu/x86/vec.h"

#define X86_MXCSR_FLAGS	   0x3fu
#define X86_MXCSR_PRE	   0x07u /* IE, DE, ZE: found before computing */
#define X86_MXCSR_MASKS	   (X86_MXCSR_FLAGS << 7)
#define X86_MXCSR_RC_SHIFT 13

/*
 * One computation on register values, without other effects but the host's
 * MXCSR flags.  @imm: bits 7:0 the immediate; in portable builds bits 9:8 are MXCSR.RC.
 */
typedef x86_v2u64 x86_fp_fn(x86_v2u64 d, x86_v2u64 s, u32 imm);

#if defined(__x86_64__) && !defined(KVMU_SSE_PORTABLE)

/*
 * As x86_fp_run() for any MXCSR.  Raises #XM (or #UD without CR4.OSXMMEXCPT)
 * when the operation meets an unmasked exception; MXCSR has its flag then.
 */
x86_v2u64 x86_fp_slow(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn, x86_v2u64 d,
		      x86_v2u64 s);

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

#include "vcpu/x86/sse_fp_native.h"

#else

static inline x86_v2u64 x86_fp_run(struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn,
				   x86_v2u64 d, x86_v2u64 s)
{
	return fn(d, s, (u32)op->imm | (cpu->mxcsr >> X86_MXCSR_RC_SHIFT & 3) << 8);
}

#include "vcpu/x86/sse_fp_portable.h"

#endif
#endif
