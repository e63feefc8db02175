/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX state and what enables it (api.rst 4.31, 4.32, 4.42 to 4.45).  The
 * images themselves are the CPU's: vcpu/x86/fpu_state.h.
 */
#include <string.h>

#include "kvm/ioctl_table.h"
#include "vcpu/x86/fpu_state.h"

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

long do_get_xsave(struct ioctl_call *call)
{
	const struct x86_cpu *cpu = call->vcpu->cpu;

	/* Of a component that the guest cannot have KVM does not tell. */
	x86_xsave_image(cpu, call->data, sizeof(struct kvm_xsave),
			cpu->xcr0_offered | X86_XFEATURES_LEGACY);
	return 0;
}

/* The compacted form and components that are not offered are -EINVAL, as in KVM. */
long do_set_xsave(struct ioctl_call *call)
{
	return x86_xrstor_image(call->vcpu->cpu, call->data, sizeof(struct kvm_xsave));
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

long do_set_xcrs(struct ioctl_call *call)
{
	const struct kvm_xcrs *xcrs = call->data;

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (u32 i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != 0)
			continue;
		if (!x86_xcr0_valid(call->vcpu->cpu, xcrs->xcrs[i].value))
			return -EINVAL;
		call->vcpu->cpu->xcr0 = xcrs->xcrs[i].value;
		x86_cpu_state_changed(call->vcpu->cpu);
		return 0;
	}
	return 0;
}
