/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is counted about a VM and a vCPU, under KVM's own names where KVM counts
 * the same.  A vCPU's figures are written by the thread that runs it, a VM's as
 * each says; everyone may read them at any time, as they stand.
 */
#ifndef KVMU_MMU_STAT_H
#define KVMU_MMU_STAT_H

#include "base/atomics.h"
#include "mmu/page_fault.h"

struct kvm;

#define KVM_STAT_LEVELS		6
#define KVM_STAT_HALT_HIST_SIZE 32

struct kvm_vcpu_stat {
	/* Page faults. */
	u64 pf_taken;
	u64 pf_by_outcome[RET_PF_NR];
	u64 pf_fast; /* dealt with by the lock-free path */
	u64 pf_read;
	u64 pf_write;
	u64 pf_exec;
	u64 pf_guest_table; /* while walking the guest's own tables */
	u64 pf_mmio;
	u64 pf_mmio_spte_created;	   /* entries that note where no memory is */
	u64 pages_mapped[KVM_STAT_LEVELS]; /* by level */
	u64 tlb_flushes;		   /* requests served */

	/* Counted by the CPU and by KVM_RUN. */
	u64 exits; /* times guest mode was left */
	u64 io_exits;
	u64 mmio_exits;
	u64 signal_exits;
	u64 irq_window_exits;
	u64 request_irq_exits;
	u64 halt_exits;
	u64 fpu_reload;
	u64 insn_emulation;
	u64 insn_emulation_fail;
	u64 hypercalls;
	u64 irq_injections;
	u64 nmi_injections;
	u64 req_event;

	/* Waiting for an event after a halt. */
	u64 halt_wakeup;
	u64 halt_wait_ns;
	u64 halt_wait_hist[KVM_STAT_HALT_HIST_SIZE]; /* by the logarithm of the ns of one wait */
	u64 blocking;				     /* 1 while it waits */
};

/* Under mmu_lock for writing, unless said otherwise. */
struct kvm_vm_stat {
	u64 invalidations;	       /* begin/end brackets */
	u64 invalidated_leaves;	       /* leaves removed by them */
	u64 remote_tlb_flush_requests; /* kvm_flush_remote_tlbs() (atomic) */
	u64 remote_tlb_flushes; /* of them, those that a vCPU in guest mode answered (atomic) */
	u64 memslot_updates;
	u64 zapped_all;	       /* whole trees left behind */
	u64 mmu_shadow_zapped; /* table pages unlinked */
};

/* For a figure that only one thread writes at a time. */
static inline void kvm_stat_add(u64 *stat, u64 n)
{
	atomic_tally(stat, n);
}

/*
 * How many leaves there are now, by level.  Takes mmu_lock for reading, for a
 * bounded number of entries at a time: what changes meanwhile counts or does not.
 */
void kvm_mmu_count_leaves(struct kvm *kvm, u64 leaves[KVM_STAT_LEVELS]);

#endif
