/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures over all VMs of the process, and the summary of `kvmu run --stats`. */
#ifndef KVMU_KVM_STATS_H
#define KVMU_KVM_STATS_H

struct vm;

/* A VM ends: keep its figures. */
void kvm_stats_collect(struct vm *vm);
/* The process is about to end without running its exit handlers. */
void kvm_stats_process_dying(void);

#endif
