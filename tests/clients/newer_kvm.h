/* SPDX-License-Identifier: BSD-2-Clause */
/* What <linux/kvm.h> of Debian 12 is too old for; from the KVM API document, 4.139 to 4.142. */
#ifndef KVMU_TESTS_CLIENTS_NEWER_KVM_H
#define KVMU_TESTS_CLIENTS_NEWER_KVM_H

#include <linux/kvm.h>

#ifndef KVM_CREATE_GUEST_MEMFD

struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};

struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};

#define KVM_CAP_GUEST_MEMFD	     234
#define KVM_X86_SW_PROTECTED_VM	     1
#define KVM_MEM_GUEST_MEMFD	     (1u << 2)
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ull << 3)

#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_SET_MEMORY_ATTRIBUTES   _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_CREATE_GUEST_MEMFD	    _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)

#endif
#endif
