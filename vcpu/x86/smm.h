/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System management mode (SDM vol. 3, chapter 32): a mode that the guest's
 * system does not see, in an address space of its own.
 *
 * An SMI is latched, one at a time, in cpu->smi_pending, and taken between two
 * instructions outside this mode.  The state is saved at SMBASE + 0xfe00 in the
 * layouts that KVM has: AMD64's (APM vol. 2, 10.2.3) where CPUID offers long mode,
 * else that of the P6 family.
 */
#ifndef KVMU_VCPU_X86_SMM_H
#define KVMU_VCPU_X86_SMM_H

#include "vcpu/x86/cpu_state.h"

#define X86_SMBASE_RESET 0x30000ull
#define X86_SMM_ENTRY	 0x8000u /* from SMBASE, as the next */
#define X86_SMM_STATE	 0xfe00u
#define X86_SMM_BYTES	 512u

static inline bool x86_in_smm(const struct x86_cpu *cpu)
{
	return kvm_vcpu_as_id(&cpu->vcpu) != 0;
}

/* Has the CPU an SMI that it can take, now or when an interrupt on its way has been delivered? */
static inline bool x86_smi_open(const struct x86_cpu *cpu)
{
	return unlikely(cpu->smi_pending) && !x86_in_smm(cpu);
}

/*
 * All of these by the vCPU's thread, outside guest mode; they sleep.
 *
 * Change the mode alone, and with it the address space: registers stay.
 */
void x86_set_smm(struct x86_cpu *cpu, bool smm);
/* Take the SMI.  Where SMRAM cannot be written the VM is dead, as with KVM. */
void x86_enter_smm(struct x86_cpu *cpu);
/* RSM.  What cannot be read or is no valid state ends with X86_EXIT_SHUTDOWN. */
void x86_leave_smm(struct x86_cpu *cpu);

#endif
