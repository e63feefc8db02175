/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What KVM has as module parameters: choices of whoever runs the process, made
 * once, in the environment.
 *
 *   KVMU_PML=0               written pages are noticed by faults, not by the CPU's dirty marks
 *   KVMU_EAGER_PAGE_SPLIT=0  blocks are split by the first write, not when logging begins
 */
#ifndef KVMU_KVM_PARAMS_H
#define KVMU_KVM_PARAMS_H

#include "base/types.h"

enum kvm_param {
	KVM_PARAM_PML,
	KVM_PARAM_EAGER_PAGE_SPLIT,
	KVM_NR_PARAMS,
};

/* Reads the environment; before any VM. */
void kvm_params_start(void);
bool kvm_param(enum kvm_param param);

#endif
