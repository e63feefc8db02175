/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose process is this?  A child of vfork() runs in its parent's memory with
 * descriptors of its own: what it closes must not be forgotten here.  A child
 * of a raw clone() has all our state and no right to the VMs.
 */
#ifndef KVMU_KVM_PROCESS_H
#define KVMU_KVM_PROCESS_H

#include "base/types.h"

/* At start and in the child of fork(). */
void kvm_process_adopt(void);
/* One getpid(). */
bool kvm_process_is_own(void);

#endif
