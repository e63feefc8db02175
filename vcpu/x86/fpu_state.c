/* SPDX-License-Identifier: BSD-2-Clause */
/* x87, SSE and AVX state to and from memory images; see fpu_state.h. */
#include <string.h>

#include "vcpu/x86/fpu_state.h"

static u64 get(const u8 *from, unsigned int bytes)
{
	u64 value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value |= (u64)from[i] << 8 * i;
	return value;
}

static void put(u8 *to, u64 value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		to[i] = (u8)(value >> 8 * i);
}

void x86_x87_set_fsw(struct x86_x87 *x87, u16 fsw)
{
	unsigned int moved = (fsw >> 11) - x86_x87_top(x87);
	u8 old[8][16];

	memcpy(old, x87->st, sizeof(old));
	for (unsigned int i = 0; i < 8; i++)
		memcpy(x87->st[i], old[(i + moved) & 7], 16);
	x87->fsw = fsw;
}

void x86_x87_save(const struct x86_x87 *x87, u8 *image)
{
	put(image + 0, x87->fcw, 2);
	put(image + 2, x87->fsw, 2);
	put(image + 4, x87->ftw, 2);
	put(image + 6, x87->fop, 2);
	put(image + 8, x87->fip, 8);
	put(image + 16, x87->fdp, 8);
	for (unsigned int i = 0; i < 8; i++) {
		u8 *st = image + X86_FX_ST + 16 * i;

		memcpy(st, x87->st[i], 10);
		memset(st + 10, 0, 6);
	}
}

void x86_x87_restore(struct x86_x87 *x87, const u8 *image)
{
	x87->fcw = (u16)get(image + 0, 2);
	x87->fsw = (u16)get(image + 2, 2);
	x87->ftw = image[4];
	x87->fop = (u16)(get(image + 6, 2) & 0x7ff);
	x87->fip = get(image + 8, 8);
	x87->fdp = get(image + 16, 8);
	for (unsigned int i = 0; i < 8; i++) {
		memcpy(x87->st[i], image + X86_FX_ST + 16 * i, 10);
		memset(x87->st[i] + 10, 0, 6);
	}
}

void x86_x87_init(struct x86_x87 *x87, bool clear_registers)
{
	x86_x87_set_fsw(x87, 0);
	x87->fcw = X86_FCW_INIT;
	x87->ftw = 0;
	x87->fop = 0;
	x87->fip = 0;
	x87->fdp = 0;
	if (clear_registers)
		memset(x87->st, 0, sizeof(x87->st));
}

void x86_xmm_save(const struct x86_cpu *cpu, u8 *image, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		memcpy(image + X86_FX_XMM + 16 * i, &cpu->ymm[i].x[0], 16);
}

void x86_xmm_restore(struct x86_cpu *cpu, const u8 *image, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		memcpy(&cpu->ymm[i].x[0], image + X86_FX_XMM + 16 * i, 16);
}

void x86_ymm_save(const struct x86_cpu *cpu, u8 *image, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		memcpy(image + X86_XS_YMM + 16 * i, &cpu->ymm[i].x[1], 16);
}

void x86_ymm_restore(struct x86_cpu *cpu, const u8 *image, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		memcpy(&cpu->ymm[i].x[1], image + X86_XS_YMM + 16 * i, 16);
}

static bool x87_in_use(const struct x86_x87 *x87)
{
	static const u8 zero[sizeof(x87->st)];

	return x87->fcw != X86_FCW_INIT || x87->fsw || x87->ftw || x87->fop || x87->fip ||
	       x87->fdp || memcmp(x87->st, zero, sizeof(zero)) != 0;
}

u64 x86_xinuse(const struct x86_cpu *cpu)
{
	u64 low = 0, high = 0;

	for (unsigned int i = 0; i < 16; i++) {
		low |= cpu->ymm[i].q[0] | cpu->ymm[i].q[1];
		high |= cpu->ymm[i].q[2] | cpu->ymm[i].q[3];
	}
	return (x87_in_use(&cpu->x87) ? X86_XFEATURE_X87 : 0) | (low ? X86_XFEATURE_SSE : 0) |
	       (high ? X86_XFEATURE_YMM : 0);
}

void x86_fxsave_image(const struct x86_cpu *cpu, u8 out[X86_FXSAVE_BYTES])
{
	memset(out, 0, X86_FXSAVE_BYTES);
	x86_x87_save(&cpu->x87, out);
	put(out + X86_FX_MXCSR, cpu->mxcsr, 4);
	put(out + X86_FX_MXCSR_MASK, X86_MXCSR_VALID, 4);
	x86_xmm_save(cpu, out, 16);
}

int x86_fxrstor_image(struct x86_cpu *cpu, const u8 in[X86_FXSAVE_BYTES])
{
	u32 mxcsr = (u32)get(in + X86_FX_MXCSR, 4);

	if (mxcsr & ~X86_MXCSR_VALID)
		return -EINVAL;
	cpu->mxcsr = mxcsr;
	x86_x87_restore(&cpu->x87, in);
	x86_xmm_restore(cpu, in, 16);
	return 0;
}

void x86_xsave_image(const struct x86_cpu *cpu, u8 *out, size_t bytes, u64 components)
{
	u64 in_use = x86_xinuse(cpu) & components;

	memset(out, 0, bytes);
	x86_fxsave_image(cpu, out);
	/* MXCSR has no bit of its own: without SSE's, a restore would make it initial. */
	if (cpu->mxcsr != X86_MXCSR_INIT)
		in_use |= X86_XFEATURE_SSE;
	if (components & X86_XFEATURE_YMM)
		x86_ymm_save(cpu, out, 16);
	put(out + X86_XS_XSTATE_BV, in_use, 8);
}

/* Reserved parts of the header, and what the standard format asks of it. */
static bool header_valid(const u8 *in)
{
	static const u8 zero[X86_XS_HEADER_END - X86_XS_XCOMP_BV];

	return !(get(in + X86_XS_XSTATE_BV, 8) & ~X86_XFEATURES) &&
	       memcmp(in + X86_XS_XCOMP_BV, zero, sizeof(zero)) == 0;
}

int x86_xrstor_image(struct x86_cpu *cpu, const u8 *in, size_t bytes)
{
	u32 mxcsr = X86_MXCSR_INIT;
	u64 present;

	if (bytes < X86_XS_HEADER_END || !header_valid(in))
		return -EINVAL;
	present = get(in + X86_XS_XSTATE_BV, 8);
	if (bytes < x86_xsave_bytes(present))
		return -EINVAL;
	if (present)
		mxcsr = (u32)get(in + X86_FX_MXCSR, 4);
	if (mxcsr & ~X86_MXCSR_VALID)
		return -EINVAL;
	cpu->mxcsr = mxcsr;
	if (present & X86_XFEATURE_X87)
		x86_x87_restore(&cpu->x87, in);
	else
		x86_x87_init(&cpu->x87, true);
	memset(cpu->ymm, 0, sizeof(cpu->ymm));
	if (present & X86_XFEATURE_SSE)
		x86_xmm_restore(cpu, in, 16);
	if (present & X86_XFEATURE_YMM)
		x86_ymm_restore(cpu, in, 16);
	return 0;
}
