/* SPDX-License-Identifier: BSD-2-Clause */
/* Coalesced MMIO and port I/O: the VM's side.  See vm_coalesced.c. */
#ifndef KVMU_KVM_VM_COALESCED_H
#define KVMU_KVM_VM_COALESCED_H

#include "kvm/vm.h"

/* 0 or -ENOMEM. */
int vm_coalesced_create(struct vm *vm) KVMU_MUST_CHECK;
void vm_coalesced_destroy(struct vm *vm);

/* @count writes of @bytes each to the same address, one behind the other at @data. */
struct coalesced_write {
	bool pio;
	u64 addr;
	u32 bytes; /* at most 8 */
	u32 count;
	const u8 *data;
};

/* True: all of it is in the ring, and the guest goes on.  Any thread. */
bool vm_coalesce(struct vm *vm, const struct coalesced_write *write);

#endif
