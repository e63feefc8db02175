/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nothing but assertions: our structures and numbers against the KVM API's
 * (Documentation/virt/kvm/api.rst, <linux/kvm.h>).
 */
#include <assert.h>
#include <stddef.h>

#include "kvm/kvm_newer.h"
#include "kvm/vm.h"
#include "vcpu/x86/debug.h"

/* Request numbers a program was compiled with; the size is part of the number. */
static_assert((__u32)KVM_RUN == 0xae80u, "KVM_RUN");
static_assert((__u32)KVM_GET_REGS == 0x8090ae81u, "KVM_GET_REGS");
static_assert((__u32)KVM_GET_SREGS == 0x8138ae83u, "KVM_GET_SREGS");
static_assert((__u32)KVM_SET_USER_MEMORY_REGION == 0x4020ae46u, "KVM_SET_USER_MEMORY_REGION");
static_assert((__u32)KVM_SET_USER_MEMORY_REGION2 == 0x40a0ae49u, "KVM_SET_USER_MEMORY_REGION2");
static_assert((__u32)KVM_GET_DIRTY_LOG == 0x4010ae42u, "KVM_GET_DIRTY_LOG");
static_assert((__u32)KVM_CLEAR_DIRTY_LOG == 0xc018aec0u, "KVM_CLEAR_DIRTY_LOG");
static_assert((__u32)KVM_RESET_DIRTY_RINGS == 0xaec7u, "KVM_RESET_DIRTY_RINGS");
static_assert((__u32)KVM_GET_SUPPORTED_CPUID == 0xc008ae05u, "KVM_GET_SUPPORTED_CPUID");
static_assert((__u32)KVM_GET_MSR_INDEX_LIST == 0xc004ae02u, "KVM_GET_MSR_INDEX_LIST");

/* Newer structures, as Linux 6.8 and later lay them out. */
static_assert(sizeof(struct kvm_userspace_memory_region2) == 160, "region2");
static_assert(offsetof(struct kvm_userspace_memory_region2, guest_memfd_offset) == 32, "region2");
static_assert(offsetof(struct kvm_userspace_memory_region2, guest_memfd) == 40, "region2");
static_assert(offsetof(struct kvm_userspace_memory_region2, memory_size) ==
		      offsetof(struct kvm_userspace_memory_region, memory_size),
	      "region2 begins as region does");
static_assert((__u32)KVM_SET_MEMORY_ATTRIBUTES == 0x4020aed2u, "KVM_SET_MEMORY_ATTRIBUTES");
static_assert((__u32)KVM_CREATE_GUEST_MEMFD == 0xc040aed4u, "KVM_CREATE_GUEST_MEMFD");
static_assert((__u32)KVM_PRE_FAULT_MEMORY == 0xc040aed5u, "KVM_PRE_FAULT_MEMORY");

/* The shared page. */
static_assert(offsetof(struct kvm_run, exit_reason) == 8, "kvm_run");
static_assert(offsetof(struct kvm_run, io) == 32, "kvm_run's union starts here");
static_assert(offsetof(struct kvm_run, emulation_failure.insn_size) == 48, "emulation failure");
static_assert(offsetof(struct kvm_run, hypercall.ret) == 88, "hypercall");
static_assert(offsetof(struct kvm_run, kvm_valid_regs) == 288, "kvm_run");
static_assert(sizeof(struct kvm_run) <= PAGE_SIZE, "kvm_run is one page");
static_assert(sizeof(struct kvm_run_memory_fault) <= sizeof(((struct kvm_run *)0)->padding),
	      "the memory fault fits the union");

/* The MMU's and the CPU's private copies of API values. */
static_assert((u32)KVM_SLOT_LOG_DIRTY == KVM_MEM_LOG_DIRTY_PAGES, "slot flags");
static_assert((u32)KVM_SLOT_READONLY == KVM_MEM_READONLY, "slot flags");
static_assert((u32)KVM_SLOT_GUEST_MEMFD == KVM_MEM_GUEST_MEMFD, "slot flags");
static_assert(KVM_ATTRIBUTE_PRIVATE == KVM_MEMORY_ATTRIBUTE_PRIVATE, "memory attributes");
static_assert((u32)KVM_DIRTY_MANUAL_PROTECT == KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, "manual");
static_assert((u32)KVM_DIRTY_INITIALLY_SET == KVM_DIRTY_LOG_INITIALLY_SET, "initially set");
static_assert(sizeof(struct kvm_ring_entry) == sizeof(struct kvm_dirty_gfn), "ring entry");
static_assert(offsetof(struct kvm_ring_entry, slot) == offsetof(struct kvm_dirty_gfn, slot) &&
		      offsetof(struct kvm_ring_entry, offset) ==
			      offsetof(struct kvm_dirty_gfn, offset),
	      "ring entry");
static_assert(KVM_RING_DIRTY == KVM_DIRTY_GFN_F_DIRTY && KVM_RING_RESET == KVM_DIRTY_GFN_F_RESET,
	      "ring entry's flags");
static_assert(KVM_MEMORY_FAULT_PRIVATE == KVM_MEMORY_EXIT_FLAG_PRIVATE, "memory fault flags");
static_assert((u32)X86_QUIRK_LINT0_REENABLED == KVM_X86_QUIRK_LINT0_REENABLED &&
		      (u32)X86_QUIRK_LAPIC_MMIO_HOLE == KVM_X86_QUIRK_LAPIC_MMIO_HOLE &&
		      (u32)X86_QUIRK_OUT_7E_INC_RIP == KVM_X86_QUIRK_OUT_7E_INC_RIP &&
		      (u32)X86_QUIRK_MISC_ENABLE_NO_MWAIT == KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT &&
		      (u32)X86_QUIRK_FIX_HYPERCALL_INSN == KVM_X86_QUIRK_FIX_HYPERCALL_INSN &&
		      (u32)X86_QUIRK_MWAIT_NEVER_UD_FAULTS == KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS,
	      "quirks");
static_assert((u32)X86_MP_RUNNABLE == KVM_MP_STATE_RUNNABLE &&
		      (u32)X86_MP_UNINITIALIZED == KVM_MP_STATE_UNINITIALIZED &&
		      (u32)X86_MP_INIT_RECEIVED == KVM_MP_STATE_INIT_RECEIVED &&
		      (u32)X86_MP_HALTED == KVM_MP_STATE_HALTED,
	      "multiprocessing states");
static_assert((u32)X86_DEBUG_STEP == KVM_GUESTDBG_SINGLESTEP &&
		      (u32)X86_DEBUG_SW_BP == KVM_GUESTDBG_USE_SW_BP &&
		      (u32)X86_DEBUG_HW_BP == KVM_GUESTDBG_USE_HW_BP &&
		      (u32)X86_DEBUG_BLOCK_IRQ == KVM_GUESTDBG_BLOCKIRQ,
	      "guest debugging");
static_assert((u32)X86_MSR_FILTER_READ == KVM_MSR_FILTER_READ &&
		      (u32)X86_MSR_FILTER_WRITE == KVM_MSR_FILTER_WRITE,
	      "MSR filters");
static_assert((u32)X86_MSR_INVALID == KVM_MSR_EXIT_REASON_INVAL &&
		      (u32)X86_MSR_UNKNOWN == KVM_MSR_EXIT_REASON_UNKNOWN &&
		      (u32)X86_MSR_FILTERED == KVM_MSR_EXIT_REASON_FILTER,
	      "MSR exits");
static_assert(sizeof(struct x86_cpuid_entry) == sizeof(struct kvm_cpuid_entry2), "CPUID entry");
static_assert(offsetof(struct x86_cpuid_entry, edx) == offsetof(struct kvm_cpuid_entry2, edx),
	      "CPUID entry");
static_assert(X86_PIO_BYTES == PAGE_SIZE, "the PIO page is the second of the vCPU's pages");
static_assert(KVM_PIO_PAGE_OFFSET == 1 && KVM_COALESCED_MMIO_PAGE_OFFSET == 2, "vCPU pages");
