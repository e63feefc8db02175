/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls: VMCALL and VMMCALL (Documentation/virt/kvm/x86/hypercalls.rst).
 * The number is in RAX, arguments in RBX, RCX, RDX, RSI, the answer in RAX.
 *
 * The CPU has stopped at the instruction; x86_hypercall_return() completes it.
 */
#include <sched.h>

#include <linux/kvm_para.h>

#include "kvm/vm.h"

struct hypercall {
	u64 nr;
	u64 arg[4];
};

static struct hypercall fetch(const struct x86_cpu *cpu)
{
	const u64 *r = cpu->regs;
	u64 mask = cpu->mode & X86_MODE_CS64 ? ~0ull : ~0u;

	return (struct hypercall){
		.nr = r[X86_RAX] & mask,
		.arg = {r[X86_RBX] & mask, r[X86_RCX] & mask, r[X86_RDX] & mask, r[X86_RSI] & mask},
	};
}

static s64 carry_out(struct vcpu *vcpu, const struct hypercall *call)
{
	switch (call->nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		return 0;
	case KVM_HC_SCHED_YIELD:
		if (!x86_pv_feature(vcpu->cpu, KVM_FEATURE_PV_SCHED_YIELD))
			return -KVM_ENOSYS;
		sched_yield();
		return 0;
	default:
		return -KVM_ENOSYS;
	}
}

void vcpu_hypercall(struct vcpu *vcpu)
{
	const struct hypercall call = fetch(vcpu->cpu);
	s64 answer = vcpu->cpu->cpl ? -KVM_EPERM : carry_out(vcpu, &call);

	x86_hypercall_return(vcpu->cpu, (u64)answer);
}
