/* SPDX-License-Identifier: BSD-2-Clause */
/* The writer of traces around a fork; the rest of it is in kvm_api.h. */
#ifndef KVMU_KVM_TRACE_H
#define KVMU_KVM_TRACE_H

void kvm_trace_fork_prepare(void);
void kvm_trace_fork_parent(void);
/* The child starts with nothing; its own writer comes with its first /dev/kvm. */
void kvm_trace_fork_child(void);

#endif
