/* SPDX-License-Identifier: BSD-2-Clause */
/* See guest_mode.h. */
#include "vcpu/x86/guest_mode.h"

#include "vcpu/x86/exception.h"

#define ISA_VMX 1u

/* Interruption information (SDM vol. 3, 25.9.2): valid, hardware exception, vector. */
#define INTR_INFO_UD (1u << 31 | 3u << 8 | X86_UD)

enum x86_vmx_reason x86_exit_reason(const struct x86_cpu *cpu)
{
	switch (cpu->exit) {
	case X86_EXIT_IO:
		return X86_VMX_IO_INSTRUCTION;
	case X86_EXIT_MMIO:
		return X86_VMX_EPT_MISCONFIG;
	case X86_EXIT_HLT:
		return X86_VMX_HLT;
	case X86_EXIT_SHUTDOWN:
		return X86_VMX_TRIPLE_FAULT;
	case X86_EXIT_IRQ_WINDOW:
		return X86_VMX_INTERRUPT_WINDOW;
	case X86_EXIT_HYPERCALL:
		return X86_VMX_VMCALL;
	case X86_EXIT_EMULATION:
	case X86_EXIT_DEBUG:
		return X86_VMX_EXCEPTION_NMI;
	default:
		return X86_VMX_EXTERNAL_INTERRUPT;
	}
}

/* SDM vol. 3, table 28-5: size, direction, port of an I/O instruction. */
u64 x86_exit_qualification(const struct x86_cpu *cpu)
{
	const struct x86_pio *pio = &cpu->pio;

	if (cpu->exit != X86_EXIT_IO)
		return 0;
	return (u64)(pio->size - 1) | (pio->is_in ? 1u << 3 : 0) | (u64)pio->port << 16;
}

/* SDM vol. 3, table 28-7: what the access was, and whether the address is a final one. */
u64 x86_fault_qualification(const struct x86_cpu *cpu)
{
	u64 code = cpu->run.fault_code;
	u64 access = code & PFERR_FETCH_MASK ? 4 : code & PFERR_WRITE_MASK ? 2 : 1;

	return access | 1u << 7 | (code & PFERR_GUEST_PAGE_MASK ? 0 : 1u << 8);
}

void x86_report_exit(const struct x86_cpu *cpu, enum x86_vmx_reason reason, u64 qualification)
{
	u32 intr_info = cpu->exit == X86_EXIT_EMULATION ? INTR_INFO_UD : 0;

	kvmu_trace(kvm, kvm_exit, reason, cpu->regs[X86_REG_RIP], ISA_VMX, qualification, 0,
		   intr_info, 0, cpu->vcpu.vcpu_id);
}
