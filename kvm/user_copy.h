/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program's memory from inside an ioctl: what copy_from_user() and
 * copy_to_user() are to KVM.  A bad pointer is -EFAULT, never a signal.
 *
 * They stand on the SIGSEGV and SIGBUS handler that preload/ installs; the
 * handler asks kvm_user_copy_fault() first.
 */
#ifndef KVMU_KVM_USER_COPY_H
#define KVMU_KVM_USER_COPY_H

#include "base/errno.h"
#include "base/types.h"

/* 0 or -EFAULT, then some bytes may have been copied. */
int kvm_copy_from_user(void *to, u64 from, u64 bytes) KVMU_MUST_CHECK;
int kvm_copy_to_user(u64 to, const void *from, u64 bytes) KVMU_MUST_CHECK;
/* Zeros instead. */
int kvm_clear_user(u64 to, u64 bytes) KVMU_MUST_CHECK;

/*
 * In the signal handler: when this thread was copying, does not return but
 * makes the copy fail.  @addr is the fault's address, 0 when not known.
 */
void kvm_user_copy_fault(hva_t addr);

#endif
