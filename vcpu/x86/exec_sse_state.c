/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LDMXCSR, STMXCSR, FXSAVE, FXRSTOR and the XSAVE group for x87, SSE and AVX state
 * (SDM vol. 1, 10.5, chapter 13; vol. 2).
 *
 * XSAVEOPT saves like XSAVE: to leave out what has not changed is permission,
 * not duty.  XSAVES and XRSTORS are not offered.
 */
#include <string.h>

#include "vcpu/x86/exec_sse.h"
#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/sse_fp.h"

/* ---- MXCSR ---------------------------------------------------------------------------- */

static const struct x86_op *ldmxcsr_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	u32 value = x86_load32(cpu, x86_ea(cpu, op, 4, false));

	if (value & ~X86_MXCSR_VALID)
		x86_raise_code(cpu, X86_GP, 0);
	cpu->mxcsr = value;
	X86_NEXT(cpu, op);
}

static const struct x86_op *stmxcsr_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store32(cpu, x86_ea(cpu, op, 4, true), cpu->mxcsr);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_mem(struct x86_decode *d, x86_op_fn *fn)
{
	if (!x86_dec_is_mem(d, 0))
		return NULL;
	x86_dec_mem(d, 0);
	return fn;
}

x86_op_fn *x86_select_ldmxcsr(struct x86_decode *d)
{
	x86_op_fn *refused = x86_vec_refused(d);

	return refused ? refused : select_mem(d, ldmxcsr_mem);
}

x86_op_fn *x86_select_stmxcsr(struct x86_decode *d)
{
	x86_op_fn *refused = x86_vec_refused(d);

	return refused ? refused : select_mem(d, stmxcsr_mem);
}

/* ---- memory images ----------------------------------------------------------------------- */

/*
 * Images are staged and move in pieces of at most 64 bytes.  All faults of a
 * write are taken before its first byte, so that nothing is seen twice.
 */
#define PIECE 64u

static void load_range(struct x86_cpu *cpu, u64 addr, u8 *image, unsigned int start,
		       unsigned int end)
{
	for (unsigned int at = start, len; at < end; at += len) {
		len = end - at < PIECE ? end - at : PIECE;
		x86_load_bytes(cpu, addr + at, image + at, len);
	}
}

static void store_range(struct x86_cpu *cpu, u64 addr, const u8 *image, unsigned int start,
			unsigned int end)
{
	for (unsigned int at = start, len; at < end; at += len) {
		len = end - at < PIECE ? end - at : PIECE;
		x86_store_bytes(cpu, addr + at, image + at, len);
	}
}

static u64 image_ea(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes,
		    unsigned int align, bool write)
{
	u64 addr = x86_ea(cpu, op, bytes, write);

	if (addr & (align - 1))
		x86_raise_code(cpu, X86_GP, 0);
	return addr;
}

/*
 * Without REX.W the image has 32-bit instruction and data pointers with
 * selectors above, which processors of today store as 0 (CPUID.7.EBX[13]).
 */
static void narrow_pointers(u8 *image)
{
	memset(image + 12, 0, 4);
	memset(image + 20, 0, 4);
}

static unsigned int xmm_count(const struct x86_op *op)
{
	return op->aux32 ? 16 : 8;
}

/* op->size: pointers of 8 or 4 bytes; op->aux32: 64-bit mode, thus all 16 registers. */
static x86_op_fn *select_image(struct x86_decode *d, x86_op_fn *fn)
{
	d->op->size = (d->insn->attributes & ZYDIS_ATTRIB_HAS_REX) && d->insn->raw.rex.W ? 8 : 4;
	d->op->aux32 = !!(d->mode & X86_MODE_CS64);
	return select_mem(d, fn);
}

static void save_x87(struct x86_cpu *cpu, const struct x86_op *op, u8 *image)
{
	x86_x87_save(&cpu->x87, image);
	if (op->size != 8)
		narrow_pointers(image);
}

static void save_mxcsr(const struct x86_cpu *cpu, u8 *image)
{
	u32 pair[2] = {cpu->mxcsr, X86_MXCSR_VALID};

	memcpy(image + X86_FX_MXCSR, pair, 8);
}

static u32 image_mxcsr(struct x86_cpu *cpu, const u8 *image)
{
	u32 mxcsr;

	memcpy(&mxcsr, image + X86_FX_MXCSR, 4);
	if (mxcsr & ~X86_MXCSR_VALID)
		x86_raise_code(cpu, X86_GP, 0);
	return mxcsr;
}

static const struct x86_op *raise_nm(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_raise_op(cpu, op, X86_NM);
}

/* ---- FXSAVE, FXRSTOR ------------------------------------------------------------------------ */

static const struct x86_op *fxsave_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 addr = image_ea(cpu, op, X86_FXSAVE_BYTES, 16, true);
	unsigned int count = xmm_count(op), end = X86_FX_XMM + 16 * count;
	u8 image[X86_FXSAVE_BYTES];

	save_x87(cpu, op, image);
	save_mxcsr(cpu, image);
	x86_xmm_save(cpu, image, count);
	x86_probe(cpu, addr, end, true);
	store_range(cpu, addr, image, 0, end);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fxrstor_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 addr = image_ea(cpu, op, X86_FXSAVE_BYTES, 16, false);
	unsigned int count = xmm_count(op);
	u8 image[X86_FXSAVE_BYTES];
	u32 mxcsr;

	load_range(cpu, addr, image, 0, X86_FX_XMM + 16 * count);
	mxcsr = image_mxcsr(cpu, image);
	if (op->size != 8)
		narrow_pointers(image);
	x86_x87_restore(&cpu->x87, image);
	x86_xmm_restore(cpu, image, count);
	cpu->mxcsr = mxcsr;
	X86_NEXT(cpu, op);
}

/* Unlike the rest of SSE, CR0.EM makes these #NM and CR4.OSFXSR does not matter. */
static x86_op_fn *select_fx(struct x86_decode *d, x86_op_fn *fn)
{
	return d->mode & (X86_MODE_EM | X86_MODE_TS) ? raise_nm : select_image(d, fn);
}

x86_op_fn *x86_select_fxsave(struct x86_decode *d)
{
	return select_fx(d, fxsave_mem);
}

x86_op_fn *x86_select_fxrstor(struct x86_decode *d)
{
	return select_fx(d, fxrstor_mem);
}

/* ---- XSAVE, XSAVEC ----------------------------------------------------------- */

/* What the instruction is asked to move: RFBM (SDM vol. 1, 13.7). */
static u64 requested(struct x86_cpu *cpu, const struct x86_op *op)
{
	if (!(cpu->cr4 & X86_CR4_OSXSAVE))
		x86_raise_op(cpu, op, X86_UD);
	return cpu->xcr0 & X86_XFEATURES & ((u32)cpu->regs[X86_RAX] | cpu->regs[X86_RDX] << 32);
}

/* In the standard format MXCSR goes with SSE and AVX state, in the compacted one with SSE's. */
#define MXCSR_STANDARD (X86_XFEATURE_SSE | X86_XFEATURE_YMM)
#define MXCSR_COMPACT  X86_XFEATURE_SSE

/* The registers of @components into the image and to memory; MXCSR with those of @with_mxcsr. */
static void store_components(struct x86_cpu *cpu, const struct x86_op *op, u64 addr, u8 *image,
			     u64 components, u64 with_mxcsr)
{
	unsigned int bytes = 16 * xmm_count(op), end = X86_FX_XMM + bytes;

	if (components & X86_XFEATURE_X87) {
		save_x87(cpu, op, image);
		store_range(cpu, addr, image, 0, X86_FX_MXCSR);
		store_range(cpu, addr, image, X86_FX_ST, X86_FX_XMM);
	}
	if (components & with_mxcsr) {
		save_mxcsr(cpu, image);
		store_range(cpu, addr, image, X86_FX_MXCSR, X86_FX_ST);
	}
	if (components & X86_XFEATURE_SSE) {
		x86_xmm_save(cpu, image, xmm_count(op));
		store_range(cpu, addr, image, X86_FX_XMM, end);
	}
	if (components & X86_XFEATURE_YMM) {
		x86_ymm_save(cpu, image, xmm_count(op));
		store_range(cpu, addr, image, X86_XS_YMM, X86_XS_YMM + bytes);
	}
}

static const struct x86_op *xsave_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 components = requested(cpu, op), present;
	unsigned int bytes = x86_xsave_bytes(components);
	u64 addr = image_ea(cpu, op, bytes, 64, true);
	u8 image[X86_XSAVE_BYTES];

	present = x86_load64(cpu, addr + X86_XS_XSTATE_BV);
	present = (present & ~components) | (x86_xinuse(cpu) & components);
	x86_probe(cpu, addr, bytes, true);
	store_components(cpu, op, addr, image, components, MXCSR_STANDARD);
	x86_store64(cpu, addr + X86_XS_XSTATE_BV, present);
	X86_NEXT(cpu, op);
}

static const struct x86_op *xsavec_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 components = requested(cpu, op), present;
	unsigned int bytes = x86_xsave_bytes(components);
	u64 addr = image_ea(cpu, op, bytes, 64, true);
	u8 image[X86_XSAVE_BYTES];

	present = x86_xinuse(cpu);
	/* MXCSR counts as part of SSE here, and in no other form (SDM vol. 1, 13.10). */
	if (cpu->mxcsr != X86_MXCSR_INIT)
		present |= X86_XFEATURE_SSE;
	present &= components;
	x86_probe(cpu, addr, bytes, true);
	store_components(cpu, op, addr, image, present, MXCSR_COMPACT);
	x86_store64(cpu, addr + X86_XS_XSTATE_BV, present);
	x86_store64(cpu, addr + X86_XS_XCOMP_BV, components | X86_XCOMP_BV_COMPACT);
	X86_NEXT(cpu, op);
}

/* CR4.OSXSAVE, which no mode bit tells, is looked at when they run. */
static x86_op_fn *select_xsave(struct x86_decode *d, x86_op_fn *fn)
{
	return d->mode & X86_MODE_TS ? raise_nm : select_image(d, fn);
}

x86_op_fn *x86_select_xsave(struct x86_decode *d)
{
	return select_xsave(d, xsave_mem);
}

x86_op_fn *x86_select_xsavec(struct x86_decode *d)
{
	return select_xsave(d, xsavec_mem);
}

/* ---- XRSTOR ------------------------------------------------------------------ */

/* XSTATE_BV of a header that may be restored; #GP otherwise (SDM vol. 1, 13.8). */
static u64 checked_header(struct x86_cpu *cpu, const u8 *image, bool *compact)
{
	static const u8 zero[X86_XS_HEADER_END - X86_XS_XCOMP_BV - 8];
	u64 present, layout, reserved;

	memcpy(&present, image + X86_XS_XSTATE_BV, 8);
	memcpy(&layout, image + X86_XS_XCOMP_BV, 8);
	memcpy(&reserved, image + X86_XS_XCOMP_BV + 8, 8);
	*compact = layout & X86_XCOMP_BV_COMPACT;
	if (*compact) {
		layout &= ~X86_XCOMP_BV_COMPACT;
		if (layout & ~cpu->xcr0 || present & ~layout ||
		    memcmp(image + X86_XS_XCOMP_BV + 8, zero, sizeof(zero)))
			x86_raise_code(cpu, X86_GP, 0);
	} else if (layout || reserved || present & ~cpu->xcr0) {
		x86_raise_code(cpu, X86_GP, 0);
	}
	return present;
}

/* MXCSR after XRSTOR: the standard format takes it from memory even when the state is initial. */
static u32 restored_mxcsr(struct x86_cpu *cpu, const u8 *image, u64 components, u64 present,
			  bool compact)
{
	if (!(components & (compact ? MXCSR_COMPACT : MXCSR_STANDARD)))
		return cpu->mxcsr;
	if (compact && !(present & X86_XFEATURE_SSE))
		return X86_MXCSR_INIT;
	return image_mxcsr(cpu, image);
}

static const struct x86_op *xrstor_mem(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 components = requested(cpu, op), present;
	u64 addr = image_ea(cpu, op, x86_xsave_bytes(components), 64, false);
	u8 image[X86_XSAVE_BYTES];
	bool compact;
	u32 mxcsr;

	load_range(cpu, addr, image, 0, X86_XS_HEADER_END);
	present = checked_header(cpu, image, &compact);
	memset(image + X86_XS_YMM, 0, X86_XSAVE_BYTES - X86_XS_YMM);
	if (components & present & X86_XFEATURE_YMM)
		load_range(cpu, addr, image, X86_XS_YMM, X86_XS_YMM + 16 * xmm_count(op));
	mxcsr = restored_mxcsr(cpu, image, components, present, compact);
	cpu->mxcsr = mxcsr;
	if (!(present & X86_XFEATURE_SSE))
		memset(image + X86_FX_XMM, 0, X86_FX_XMM_END - X86_FX_XMM);
	if (components & X86_XFEATURE_SSE)
		x86_xmm_restore(cpu, image, xmm_count(op));
	if (components & X86_XFEATURE_YMM)
		x86_ymm_restore(cpu, image, xmm_count(op));
	if (op->size != 8)
		narrow_pointers(image);
	if (components & present & X86_XFEATURE_X87)
		x86_x87_restore(&cpu->x87, image);
	else if (components & X86_XFEATURE_X87)
		x86_x87_init(&cpu->x87, true);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_xrstor(struct x86_decode *d)
{
	return select_xsave(d, xrstor_mem);
}
