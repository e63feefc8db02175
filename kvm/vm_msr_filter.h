/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs that a guest is denied, and that user space carries out: the VM's side. */
#ifndef KVMU_KVM_VM_MSR_FILTER_H
#define KVMU_KVM_VM_MSR_FILTER_H

#include "kvm/vm.h"

/* KVM_CAP_X86_USER_SPACE_MSR: for which KVM_MSR_EXIT_REASON_* the run ends. 0 or -EINVAL. */
long vm_enable_user_msrs(struct vm *vm, u64 reasons);
void vm_msr_filter_destroy(struct vm *vm);

#endif
