/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX state as memory images: FXSAVE's 512 bytes (SDM vol. 1, 10.5.1)
 * and XSAVE's standard format (13.4).
 *
 * struct x86_x87 keeps the data registers as the images do, by distance from
 * TOP: st[i] is ST(i).  ftw is the abridged tag word, one bit per physical
 * register.  Whoever changes TOP and not the registers calls x86_x87_set_fsw().
 *
 * The image functions are for user space's ioctls: called by the vCPU's
 * thread or while none runs.
 */
#ifndef KVMU_VCPU_X86_FPU_STATE_H
#define KVMU_VCPU_X86_FPU_STATE_H

#include "vcpu/x86/cpu_state.h"

#define X86_FXSAVE_BYTES  512
#define X86_XS_HEADER_END 576 /* FXSAVE's and the header: all there is without AVX state */
#define X86_XSAVE_BYTES	  832

/* State components: XCR0, XSTATE_BV, XCOMP_BV. */
#define X86_XFEATURE_X87     (1ull << 0)
#define X86_XFEATURE_SSE     (1ull << 1)
#define X86_XFEATURE_YMM     (1ull << 2) /* the upper halves: XMM is SSE's */
#define X86_XFEATURES_LEGACY (X86_XFEATURE_X87 | X86_XFEATURE_SSE)
#define X86_XFEATURES	     (X86_XFEATURES_LEGACY | X86_XFEATURE_YMM)
#define X86_XCOMP_BV_COMPACT (1ull << 63)

/* Offsets in an image. */
#define X86_FX_MXCSR	  24
#define X86_FX_MXCSR_MASK 28
#define X86_FX_ST	  32
#define X86_FX_XMM	  160
#define X86_FX_XMM_END	  416
#define X86_XS_XSTATE_BV  512
#define X86_XS_XCOMP_BV	  520
#define X86_XS_YMM	  X86_XS_HEADER_END /* in the compacted format too: nothing is before it */

#define X86_MXCSR_INIT	0x1f80u
#define X86_MXCSR_VALID 0xffffu /* writable bits, MXCSR_MASK in images */
#define X86_FCW_INIT	0x037fu

static inline unsigned int x86_x87_top(const struct x86_x87 *x87)
{
	return x87->fsw >> 11 & 7;
}

/* Load the status word with the registers staying where they physically are. */
void x86_x87_set_fsw(struct x86_x87 *x87, u16 fsw);

/* The parts of an image, 64-bit format. */
void x86_x87_save(const struct x86_x87 *x87, u8 *image);
void x86_x87_restore(struct x86_x87 *x87, const u8 *image);
/* FNINIT's state (which keeps the registers) and that of RESET and of XRSTOR's initial value. */
void x86_x87_init(struct x86_x87 *x87, bool clear_registers);
/* The first @count XMM registers. */
void x86_xmm_save(const struct x86_cpu *cpu, u8 *image, unsigned int count);
void x86_xmm_restore(struct x86_cpu *cpu, const u8 *image, unsigned int count);

/* The upper halves of the first @count YMM registers. */
void x86_ymm_save(const struct x86_cpu *cpu, u8 *image, unsigned int count);
void x86_ymm_restore(struct x86_cpu *cpu, const u8 *image, unsigned int count);

/* Bytes of an image of @components; CPUID 0xD (SDM vol. 1, 13.2). */
static inline unsigned int x86_xsave_bytes(u64 components)
{
	return components & X86_XFEATURE_YMM ? X86_XSAVE_BYTES : X86_XS_HEADER_END;
}

/* Which components are not in their initial state: XINUSE (SDM vol. 1, 13.6). */
u64 x86_xinuse(const struct x86_cpu *cpu);

/*
 * Around the run loop: the thread's own MXCSR is put aside and the default one
 * loaded, which guest floating point relies on (exec_sse_float.c).  Nothing to
 * do on hosts that are not x86.
 */
u32 x86_fp_enter(void);
void x86_fp_leave(u32 saved);

/* The whole 512 bytes; those the architecture leaves alone are 0. */
void x86_fxsave_image(const struct x86_cpu *cpu, u8 out[X86_FXSAVE_BYTES]);
/* 0, or -EINVAL with nothing changed: MXCSR has reserved bits set. */
int x86_fxrstor_image(struct x86_cpu *cpu, const u8 in[X86_FXSAVE_BYTES]) KVMU_MUST_CHECK;

/*
 * @bytes of @out, at least X86_XSAVE_BYTES: the state of @components, which
 * has x87 and SSE; XSTATE_BV as in use, the rest 0.
 */
void x86_xsave_image(const struct x86_cpu *cpu, u8 *out, size_t bytes, u64 components);
/*
 * Components whose XSTATE_BV bit is clear become initial, so an image from a
 * CPU without AVX will do.  0, or -EINVAL with
 * nothing changed: too short, a component we lack, the compacted format,
 * reserved bits in the header or MXCSR.
 */
int x86_xrstor_image(struct x86_cpu *cpu, const u8 *in, size_t bytes) KVMU_MUST_CHECK;

#endif
