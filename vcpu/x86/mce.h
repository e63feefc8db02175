/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine-check banks (SDM vol. 3, chapter 16) as a VMM fills them: this CPU
 * has no errors of its own.
 */
#ifndef KVMU_VCPU_X86_MCE_H
#define KVMU_VCPU_X86_MCE_H

#include "vcpu/x86/cpu_state.h"

#define X86_MCG_CTL_P  (1ull << 8)
#define X86_MCG_CMCI_P (1ull << 10)
#define X86_MCG_SER_P  (1ull << 24)

#define X86_MCE_CAPS (X86_MCG_CTL_P | X86_MCG_CMCI_P | X86_MCG_SER_P)

/* One error, as its bank shows it. */
struct x86_mce_error {
	u64 status, addr, misc, mcg_status;
	u8 bank;
};

/* IA32_MCG_CAP for good: the number of banks and what they can do. 0 or -EINVAL. */
int x86_mce_setup(struct x86_cpu *cpu, u64 mcg_cap) KVMU_MUST_CHECK;
/* Record it and raise what it raises: #MC, the corrected-error interrupt, shutdown. 0, -EINVAL. */
int x86_mce_inject(struct x86_cpu *cpu, const struct x86_mce_error *error) KVMU_MUST_CHECK;
void x86_mce_reset(struct x86_cpu *cpu);

/* Is it one of the machine-check MSRs? */
bool x86_mce_is_msr(u32 index);
/* 0 or -EINVAL. */
int x86_mce_get_msr(struct x86_cpu *cpu, u32 index, u64 *value, bool host) KVMU_MUST_CHECK;
int x86_mce_set_msr(struct x86_cpu *cpu, u32 index, u64 value, bool host) KVMU_MUST_CHECK;

#endif
