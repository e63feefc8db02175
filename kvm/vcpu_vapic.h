/* SPDX-License-Identifier: BSD-2-Clause */
/* The task priority in the guest's memory, and reports of who uses it.  In the vCPU's thread. */
#ifndef KVMU_KVM_VCPU_VAPIC_H
#define KVMU_KVM_VCPU_VAPIC_H

#include "kvm/vm.h"

/* Before the guest runs, and after; only with an address (vcpu->vapic). */
void vcpu_vapic_to_guest(struct vcpu *vcpu);
void vcpu_vapic_from_guest(struct vcpu *vcpu);

/* The CPU's: the guest has used the register by its page. */
void vcpu_tpr_accessed(struct x86_cpu *cpu, bool is_write);
/* Fill in KVM_EXIT_TPR_ACCESS; a report is due. */
void vcpu_tpr_report(struct vcpu *vcpu);

#endif
