/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logging as the descriptors of a VM and its vCPUs see it. */
#ifndef KVMU_KVM_VM_DIRTY_H
#define KVMU_KVM_VM_DIRTY_H

#include "kvm/vm.h"

/* KVM_ENABLE_CAP of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 and of both names of the ring; vm->lock. */
long vm_enable_manual_protect(struct vm *vm, u64 options);
long vm_enable_dirty_ring(struct vm *vm, u32 bytes);

/* Bytes behind a vCPU's descriptor: kvm_run and its neighbours, and the ring where there is one. */
u64 vm_vcpu_file_bytes(const struct vm *vm);
/* Once the vCPU's pages are mapped. */
void vcpu_attach_dirty_ring(struct vcpu *vcpu);

#endif
