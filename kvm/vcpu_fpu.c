/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX state (api.rst 4.31, 4.32, 4.42, 4.43, 4.44, 4.45): FXSAVE
 * layout (SDM vol. 1, 10.5.1) and the standard XSAVE layout (vol. 1, 13.4).
 */
#include <string.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"

#define XFEATURE_X87 BIT_ULL(0)
#define XFEATURE_SSE BIT_ULL(1)
#define XFEATURE_AVX BIT_ULL(2)

/* Offsets of the XSAVE area in bytes. */
enum xsave_offset {
	XSAVE_FCW = 0,
	XSAVE_FSW = 2,
	XSAVE_FTW = 4,
	XSAVE_FOP = 6,
	XSAVE_FIP = 8,
	XSAVE_FDP = 16,
	XSAVE_MXCSR = 24,
	XSAVE_MXCSR_MASK = 28,
	XSAVE_ST = 32,
	XSAVE_XMM = 160,
	XSAVE_XSTATE_BV = 512,
	XSAVE_XCOMP_BV = 520,
	XSAVE_HEADER_END = 576,
	XSAVE_YMM_HIGH = 576,
};

/* Bits of MXCSR that may be set: no denormals-are-zero surprises below SSE2. */
#define MXCSR_MASK 0xffffu

/* What XCR0 may enable: CPUID leaf 0xd, subleaf 0, EAX of what we support. */
static u64 supported_xcr0(void)
{
	static u64 cached;
	struct x86_cpuid_entry entries[X86_MAX_CPUID];
	u64 mask = atomic_peek(&cached);
	u32 nr;

	if (mask)
		return mask;
	mask = XFEATURE_X87 | XFEATURE_SSE;
	nr = x86_supported_cpuid(entries, X86_MAX_CPUID);
	for (u32 i = 0; i < nr && i < X86_MAX_CPUID; i++) {
		if (entries[i].function == 0xd && entries[i].index == 0)
			mask |= entries[i].eax & XFEATURE_AVX;
	}
	atomic_poke(&cached, mask);
	return mask;
}

/* ---- FPU ------------------------------------------------------------------------------------ */

long do_get_fpu(struct ioctl_call *call)
{
	const struct x86_cpu *cpu = call->vcpu->cpu;
	struct kvm_fpu *fpu = call->data;

	memcpy(fpu->fpr, cpu->x87.st, sizeof(fpu->fpr));
	fpu->fcw = cpu->x87.fcw;
	fpu->fsw = cpu->x87.fsw;
	fpu->ftwx = cpu->x87.ftw;
	fpu->last_opcode = cpu->x87.fop;
	fpu->last_ip = cpu->x87.fip;
	fpu->last_dp = cpu->x87.fdp;
	for (int i = 0; i < 16; i++)
		memcpy(fpu->xmm[i], &cpu->ymm[i].x[0], 16);
	fpu->mxcsr = cpu->mxcsr;
	return 0;
}

long do_set_fpu(struct ioctl_call *call)
{
	const struct kvm_fpu *fpu = call->data;
	struct x86_cpu *cpu = call->vcpu->cpu;

	memcpy(cpu->x87.st, fpu->fpr, sizeof(cpu->x87.st));
	cpu->x87.fcw = fpu->fcw;
	cpu->x87.fsw = fpu->fsw;
	cpu->x87.ftw = fpu->ftwx;
	cpu->x87.fop = fpu->last_opcode & 0x7ff;
	cpu->x87.fip = fpu->last_ip;
	cpu->x87.fdp = fpu->last_dp;
	for (int i = 0; i < 16; i++)
		memcpy(&cpu->ymm[i].x[0], fpu->xmm[i], 16);
	/* KVM_SET_FPU leaves MXCSR alone on real KVM too. */
	return 0;
}

/* ---- XSAVE ------------------------------------------------------------------- */

static void put(u8 *area, enum xsave_offset at, const void *value, size_t bytes)
{
	memcpy(area + at, value, bytes);
}

static void get(const u8 *area, enum xsave_offset at, void *value, size_t bytes)
{
	memcpy(value, area + at, bytes);
}

static void save_legacy(const struct x86_cpu *cpu, u8 *area)
{
	const u32 mask = MXCSR_MASK;

	put(area, XSAVE_FCW, &cpu->x87.fcw, 2);
	put(area, XSAVE_FSW, &cpu->x87.fsw, 2);
	put(area, XSAVE_FTW, &cpu->x87.ftw, 1);
	put(area, XSAVE_FOP, &cpu->x87.fop, 2);
	put(area, XSAVE_FIP, &cpu->x87.fip, 8);
	put(area, XSAVE_FDP, &cpu->x87.fdp, 8);
	put(area, XSAVE_MXCSR, &cpu->mxcsr, 4);
	put(area, XSAVE_MXCSR_MASK, &mask, 4);
	put(area, XSAVE_ST, cpu->x87.st, sizeof(cpu->x87.st));
	for (int i = 0; i < 16; i++)
		memcpy(area + XSAVE_XMM + 16 * i, &cpu->ymm[i].x[0], 16);
}

long do_get_xsave(struct ioctl_call *call)
{
	const struct x86_cpu *cpu = call->vcpu->cpu;
	u64 features = supported_xcr0();
	u8 *area = call->data;

	save_legacy(cpu, area);
	for (int i = 0; i < 16 && (features & XFEATURE_AVX); i++)
		memcpy(area + XSAVE_YMM_HIGH + 16 * i, &cpu->ymm[i].x[1], 16);
	put(area, XSAVE_XSTATE_BV, &features, 8);
	return 0;
}

/* A component whose bit in XSTATE_BV is clear goes to its initial state (vol. 1, 13.6). */
static void load_x87(struct x86_cpu *cpu, const u8 *area, bool valid)
{
	if (!valid) {
		memset(&cpu->x87, 0, sizeof(cpu->x87));
		cpu->x87.fcw = 0x37f;
		return;
	}
	get(area, XSAVE_FCW, &cpu->x87.fcw, 2);
	get(area, XSAVE_FSW, &cpu->x87.fsw, 2);
	get(area, XSAVE_FTW, &cpu->x87.ftw, 1);
	get(area, XSAVE_FOP, &cpu->x87.fop, 2);
	get(area, XSAVE_FIP, &cpu->x87.fip, 8);
	get(area, XSAVE_FDP, &cpu->x87.fdp, 8);
	get(area, XSAVE_ST, cpu->x87.st, sizeof(cpu->x87.st));
	cpu->x87.fop &= 0x7ff;
}

static void load_vectors(struct x86_cpu *cpu, const u8 *area, u64 valid)
{
	for (int i = 0; i < 16; i++) {
		memset(&cpu->ymm[i], 0, sizeof(cpu->ymm[i]));
		if (valid & XFEATURE_SSE)
			memcpy(&cpu->ymm[i].x[0], area + XSAVE_XMM + 16 * i, 16);
		if (valid & XFEATURE_AVX)
			memcpy(&cpu->ymm[i].x[1], area + XSAVE_YMM_HIGH + 16 * i, 16);
	}
}

long do_set_xsave(struct ioctl_call *call)
{
	struct x86_cpu *cpu = call->vcpu->cpu;
	const u8 *area = call->data;
	u64 xstate_bv, xcomp_bv;
	u32 mxcsr;

	get(area, XSAVE_XSTATE_BV, &xstate_bv, 8);
	get(area, XSAVE_XCOMP_BV, &xcomp_bv, 8);
	get(area, XSAVE_MXCSR, &mxcsr, 4);
	/* Compacted form is not accepted, as in KVM. */
	if (xstate_bv & ~supported_xcr0() || xcomp_bv || mxcsr & ~MXCSR_MASK)
		return -EINVAL;
	load_x87(cpu, area, xstate_bv & XFEATURE_X87);
	load_vectors(cpu, area, xstate_bv);
	if (xstate_bv & (XFEATURE_SSE | XFEATURE_AVX))
		cpu->mxcsr = mxcsr;
	return 0;
}

/* ---- XCR0 -------------------------------------------------------------------- */

long do_get_xcrs(struct ioctl_call *call)
{
	struct kvm_xcrs *xcrs = call->data;

	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = 0;
	xcrs->xcrs[0].value = call->vcpu->cpu->xcr0;
	return 0;
}

/* The rules of XSETBV (SDM vol. 2). */
static bool xcr0_valid(u64 value)
{
	if (!(value & XFEATURE_X87) || value & ~supported_xcr0())
		return false;
	return !(value & XFEATURE_AVX) || (value & XFEATURE_SSE);
}

long do_set_xcrs(struct ioctl_call *call)
{
	const struct kvm_xcrs *xcrs = call->data;

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (u32 i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != 0)
			continue;
		if (!xcr0_valid(xcrs->xcrs[i].value))
			return -EINVAL;
		call->vcpu->cpu->xcr0 = xcrs->xcrs[i].value;
		x86_cpu_state_changed(call->vcpu->cpu);
		return 0;
	}
	return 0;
}
