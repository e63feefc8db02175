/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest_memfd as the other handlers see it. */
#ifndef KVMU_KVM_GUEST_MEMFD_H
#define KVMU_KVM_GUEST_MEMFD_H

#include "kvm/file.h"

/*
 * The guest_memfd of @vm at @fd, with a reference; NULL with *@err -EBADF
 * (nothing is open there) or -EINVAL (something else, or another VM's).
 */
struct kvm_file *guest_memfd_get(const struct vm *vm, int fd, int *err);

#endif
