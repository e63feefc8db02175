/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures over all VMs of the process, and the summary of `kvmu run --stats`. */
#ifndef KVMU_KVM_STATS_H
#define KVMU_KVM_STATS_H

#include "mmu/stat.h"

struct vm;

/* The VM's figures as they stand. */
struct kvm_vm_stat kvm_stats_of_vm(const struct vm *vm);

/* A VM ends: keep its figures. */
void kvm_stats_collect(struct vm *vm);

/* Around a fork; the child starts from nothing. */
void kvm_stats_lock(void);
void kvm_stats_unlock(void);
void kvm_stats_fork_child(void);

#endif
