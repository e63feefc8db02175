/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into guest mode and out of it, as the traces tell it: in KVM's words, with the
 * exit reasons that Intel's hardware would give (SDM vol. 3, appendix C).
 */
#ifndef KVMU_VCPU_X86_GUEST_MODE_H
#define KVMU_VCPU_X86_GUEST_MODE_H

#include "base/trace.h"
#include "vcpu/x86/core.h"

/* Basic exit reasons. */
enum x86_vmx_reason {
	X86_VMX_EXCEPTION_NMI = 0,
	X86_VMX_EXTERNAL_INTERRUPT = 1,
	X86_VMX_TRIPLE_FAULT = 2,
	X86_VMX_INTERRUPT_WINDOW = 7,
	X86_VMX_HLT = 12,
	X86_VMX_VMCALL = 18,
	X86_VMX_IO_INSTRUCTION = 30,
	X86_VMX_EPT_VIOLATION = 48,
	X86_VMX_EPT_MISCONFIG = 49, /* how KVM meets a device: an instruction to emulate */
};

/* Why the run that ends with cpu->exit does, and the exit qualification. */
enum x86_vmx_reason x86_exit_reason(const struct x86_cpu *cpu);
u64 x86_exit_qualification(const struct x86_cpu *cpu);
/* Of the second-stage fault in cpu->run. */
u64 x86_fault_qualification(const struct x86_cpu *cpu);
void x86_report_exit(const struct x86_cpu *cpu, enum x86_vmx_reason reason, u64 qualification);

static inline void x86_enter_guest(struct x86_cpu *cpu, bool immediate_exit)
{
	/* What was decided outside ends the run, and the guest is not entered for it. */
	if (likely(cpu->exit == X86_EXIT_NONE)) {
		cpu->run.entered = true;
		kvmu_trace(kvm, kvm_entry, cpu->vcpu.vcpu_id, cpu->regs[X86_REG_RIP],
			   immediate_exit);
	}
	kvm_vcpu_enter_guest_mode(&cpu->vcpu);
}

/* @qualification is computed only when somebody looks. */
#define x86_leave_guest(cpu, reason, qualification)                         \
	do {                                                                \
		kvm_vcpu_leave_guest_mode(&(cpu)->vcpu);                    \
		if (kvmu_trace_wanted(kvm, kvm_exit) && (cpu)->run.entered) \
			x86_report_exit((cpu), (reason), (qualification));  \
		(cpu)->run.entered = false;                                 \
	} while (0)

#endif
