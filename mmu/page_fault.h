/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest page fault and what a handler may answer.
 */
#ifndef KVMU_MMU_PAGE_FAULT_H
#define KVMU_MMU_PAGE_FAULT_H

#include "base/errno.h"
#include "base/types.h"

struct kvm_vcpu;
struct kvm_memory_slot;
struct kvm_gmem;

/* Error code of a fault: the x86 page-fault bits (SDM vol. 3, 4.7) and KVM's own above bit 31. */
#define PFERR_PRESENT_MASK     (1ull << 0)
#define PFERR_WRITE_MASK       (1ull << 1)
#define PFERR_USER_MASK	       (1ull << 2)
#define PFERR_RSVD_MASK	       (1ull << 3)
#define PFERR_FETCH_MASK       (1ull << 4)
#define PFERR_PK_MASK	       (1ull << 5)
#define PFERR_GUEST_FINAL_MASK (1ull << 32) /* the final address of a guest walk ... */
#define PFERR_GUEST_PAGE_MASK  (1ull << 33) /* ... or one of the guest's tables */
/* An access to private memory, as KVM marks it for VMs whose hardware does not. */
#define PFERR_PRIVATE_ACCESS (1ull << 49)

/*
 * X-macro over all outcomes, so that traces and statistics can name each.
 * Compare by name, never by truth value: with KVMU_RET_PF_PERMUTED the values
 * are shuffled and none is 0, and everything must still work.
 */
#define KVM_RET_PF_OUTCOMES(X)                                               \
	X(CONTINUE, 0, 3) /* so far so good, keep handling the fault */      \
	X(RETRY, 1, 5)	  /* let the vCPU fault again */                     \
	X(EMULATE, 2, 1)  /* MMIO, or a write to ROM: emulate the access */  \
	X(INVALID, 3, 6)  /* nothing decided; a bug if the caller sees it */ \
	X(FIXED, 4, 2)	  /* the entry is in place */                        \
	X(SPURIOUS, 5, 4) /* it already was */                               \
	X(USER, 6, 7)	  /* leave to user space with fault->error */

#ifdef KVMU_RET_PF_PERMUTED
#define KVM_RET_PF_ENUM(name, value, permuted) RET_PF_##name = permuted,
#else
#define KVM_RET_PF_ENUM(name, value, permuted) RET_PF_##name = value,
#endif

enum kvm_ret_pf { KVM_RET_PF_OUTCOMES(KVM_RET_PF_ENUM) RET_PF_NR = 8 };

/* "RET_PF_FIXED", or "RET_PF_?" for what is none. */
const char *kvm_ret_pf_name(enum kvm_ret_pf ret);

struct kvm_page_fault {
	/* What the caller knows. */
	const gpa_t addr; /* for TDP the gpa; called cr2_or_gpa where both are meant */
	const u64 error_code;
	const bool prefetch;

	/* The error code, decoded once. */
	const bool exec;
	const bool write;
	const bool present;
	const bool rsvd;
	const bool user;

	/* Derived from the vCPU's MMU and the VM's memory attributes. */
	const bool is_tdp;
	const bool is_private;

	/* What the path finds out, in this order. */
	gfn_t gfn;
	const struct kvm_memory_slot *slot; /* valid in the read-side section that looked it up,
					       or under mmu_lock after the stale test */
	u64 slots_generation; /* of the slots it was looked up in, or an earlier one */
	u64 mmu_seq;	      /* invalidation sequence before the page was looked up */
	hva_t hva;
	kvm_pfn_t pfn;
	bool map_writable;
	enum pg_level max_level;  /* the slot, the attributes and the host allow */
	enum pg_level req_level;  /* what alignment and residency would give */
	enum pg_level goal_level; /* what is mapped in the end */
	struct kvm_gmem *gmem;	  /* held: the file that a private page comes from ... */
	u64 gmem_index;		  /* ... and its number there */
	enum pg_level walk_level; /* where the tables end today: no table below this level */
	u32 slot_flags;		  /* of the slot, when it was looked up */
	int error;		  /* with RET_PF_USER: -errno for KVM_RUN */
};

/* What the vCPU does after a fault; decided in one place, kvm_mmu_page_fault(). */
enum kvm_mmu_verdict {
	KVM_MMU_RESUME_GUEST,
	KVM_MMU_EMULATE,   /* no memory here for this access: MMIO */
	KVM_MMU_EXIT_USER, /* leave to user space, *err says how */
};

/*
 * Handle a second-stage fault of @vcpu at @cr2_or_gpa.  Called outside guest
 * mode; may sleep.  On KVM_MMU_EXIT_USER *@err is -EFAULT (with
 * vcpu->memory_fault filled where has_memory_fault), -EINTR, -ENOMEM,
 * -EHWPOISON (a private page, with memory_fault, or the one at
 * vcpu->poisoned_hva), or -EIO when the VM is bugged.
 */
enum kvm_mmu_verdict kvm_mmu_page_fault(struct kvm_vcpu *vcpu, gpa_t cr2_or_gpa, u64 error_code,
					int *err);

/*
 * Map the page at @gpa as a read of it would, without marking it accessed
 * (KVM_PRE_FAULT_MEMORY).  vCPU thread, outside guest mode; may sleep.  0 with
 * *@level of the leaf; -EAGAIN (something is changing there: try again),
 * -ENOENT (no slot), -EFAULT, -EINTR, -ENOMEM, -EHWPOISON as for a fault,
 * -EOPNOTSUPP (not with these tables), -EIO.
 */
int kvm_mmu_prefault(struct kvm_vcpu *vcpu, gpa_t gpa, enum pg_level *level) KVMU_MUST_CHECK;

/* The handler behind vcpu->mmu->page_fault for guests with second-stage tables. */
enum kvm_ret_pf kvm_tdp_page_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);

#endif
