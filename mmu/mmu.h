/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One VM's guest memory: the VM and the vCPU as the MMU sees them, memslots,
 * invalidation, TLB requests, statistics.
 *
 * Locks, outermost first: kvm->slots_lock (sleeps), a guest_memfd's (sleeps,
 * mmu/gmem.h), kvm->mmu_lock (rwlock, never held over a sleep).  Lock-free readers use
 * mmu_host_rcu_read_lock().
 */
#ifndef KVMU_MMU_MMU_H
#define KVMU_MMU_MMU_H

#include "base/assert.h"
#include "mmu/attributes.h"
#include "mmu/dirty_log.h"
#include "mmu/mmu_host.h"
#include "mmu/page_fault.h"
#include "mmu/slot_index.h"
#include "mmu/stat.h"
#include "pgtable/arena.h"
#include "pgtable/pgtable.h"

/* ---- memslots ---------------------------------------------------------------- */

/*
 * Address spaces: x86 has a second one for system management mode.  Each has
 * its slots and its tables; program memory may be in slots of both.
 */
#define KVM_MAX_NR_ADDRESS_SPACES 2

#define KVM_MEM_SLOTS_NUM 32767 /* ids 0 .. 32766, as KVM on x86 */
#ifndef KVM_USER_MEM_SLOTS
#define KVM_USER_MEM_SLOTS 32764
#endif

/* Values of the KVM API's KVM_MEM_* flags; kvm/abi_check.c holds them together. */
enum kvm_slot_flags {
	KVM_SLOT_LOG_DIRTY = 1u << 0,
	KVM_SLOT_READONLY = 1u << 1,
	KVM_SLOT_GUEST_MEMFD = 1u << 2,
};

struct kvm_gmem;

/*
 * A slot never changes while it is published: new flags or another place make
 * a new object, which takes over what belongs to the slot.
 */
struct kvm_memory_slot {
	gfn_t base_gfn;
	u64 npages;
	hva_t userspace_addr;
	u32 flags; /* enum kvm_slot_flags */
	u16 id;
	u16 as_id;
	struct kvm_gmem *gmem; /* its private memory; NULL: none, or closed since (mmu/gmem.h) */
	u64 gmem_pgoff;	       /* page of @gmem that @base_gfn is */
	struct kvm_dirty_bitmap *dirty_bitmap; /* NULL: not logged, or in rings */
};

static inline bool kvm_slot_dirty_track_enabled(const struct kvm_memory_slot *slot)
{
	return slot->flags & KVM_SLOT_LOG_DIRTY;
}

/* An immutable set, of one address space; published by pointer, freed after a grace period. */
struct kvm_memslots {
	u64 generation;
	u64 npages; /* of all slots together */
	u32 nr;
	struct slot_index *by_gfn;
	struct slot_index *by_hva;
};

/* kvm_userspace_memory_region without the kernel's header. */
struct kvm_slot_request {
	u32 slot; /* bits 15..0 id, 31..16 address space */
	u32 flags;
	gpa_t guest_phys_addr;
	u64 memory_size; /* 0 deletes */
	hva_t userspace_addr;
	/* With KVM_SLOT_GUEST_MEMFD: the file, or why there is none (-errno). */
	struct kvm_gmem *gmem;
	int gmem_error;
	u64 gmem_offset; /* bytes */
};

/* ---- the VM ------------------------------------------------------------------- */

/*
 * KVM's own copies from and to guest memory that are under way: they may sleep,
 * so no read-side section keeps their slot.  See mmu/guest_access.c.
 */
struct kvm_guest_copies {
	u32 phase; /* a change of the slots begins a new one */
	u32 nr[2]; /* under way, by the lowest bit of the phase in which they began */
};

#ifndef KVM_MAX_VCPUS
#define KVM_MAX_VCPUS 1024
#endif

/* Table pages unlinked from the tree; lock-free walkers and TLBs may still hold them. */
struct kvm_retired {
	void *first; /* table_list_*(), pgtable/arena.h */
};

struct kvm {
	struct mmu_rwlock mmu_lock;
	struct mmu_mutex slots_lock;

	/* By address space. */
	struct kvm_memslots *memslots[KVM_MAX_NR_ADDRESS_SPACES]; /* RCU */
	/* KVM_USER_MEM_SLOTS of them (slots_lock) */
	struct kvm_memory_slot **slot_by_id[KVM_MAX_NR_ADDRESS_SPACES];
	struct kvm_guest_copies guest_copies;

	/*
	 * Invalidation, with retry by gfn (mmu/invalidate.c); written under mmu_lock for writing.
	 * One range for all address spaces: a fault in another may retry in vain.
	 */
	s64 mmu_invalidate_in_progress;
	u64 mmu_invalidate_seq;
	gfn_t mmu_invalidate_range_start;
	gfn_t mmu_invalidate_range_end;
	u32 active_hva_changes; /* begun and not ended; a memslot change waits for 0 (mmu_lock) */

	struct kvm_pgtable pgt[KVM_MAX_NR_ADDRESS_SPACES]; /* second stage: EPT */
	u64 root_epoch;		    /* of all trees together: an older root is obsolete */
	struct kvm_retired retired; /* unlinked, waiting for flush and grace period (mmu_lock) */
	struct table_arena arena;
	u64 table_pages_max; /* 0: no limit asked for */

	struct kvm_dirty_config dirty;

	u32 nr_vcpus;
	struct kvm_vcpu *vcpus[KVM_MAX_VCPUS]; /* published; never removed before the VM ends */

	bool has_private_mem;	   /* may memory be private at all?  Set before the first slot */
	bool private_by_attribute; /* an access is what the attributes say, not what it says */
	u64 mem_attributes;	   /* mmu/attributes.h; RCU */

	bool vm_bugged;
	struct kvm_vm_stat stat;
};

enum kvm_vcpu_mode {
	OUTSIDE_GUEST_MODE,
	IN_GUEST_MODE,
};

enum kvm_vcpu_request {
	KVM_REQ_TLB_FLUSH = 1u << 0,
	KVM_REQ_KICK = 1u << 1, /* leave guest code and look at the outside world */
	KVM_REQ_VM_DEAD = 1u << 2,
	KVM_REQ_EVENT = 1u << 3, /* an interrupt or event may be deliverable */
	KVM_REQ_DIRTY_RING_SOFT_FULL = 1u << 4,
	KVM_REQ_CLOCK_UPDATE = 1u << 5, /* the guest's paravirtual clock must be written anew */
};

typedef enum kvm_ret_pf (*kvm_mmu_page_fault_fn)(struct kvm_vcpu *vcpu,
						 struct kvm_page_fault *fault);

/* What the tables under a root are for. */
struct kvm_mmu_page_role {
	bool smm; /* the CPU is in system management mode: the second address space */
};

struct kvm_mmu {
	kvm_mmu_page_fault_fn page_fault;
	struct kvm_mmu_page_role root_role;
	u64 root_epoch;
	kvm_pte_t *root; /* what the CPU walks: EPT root, root_level levels */
	u8 root_level;
};

/* Value of the KVM API's KVM_MEMORY_EXIT_FLAG_PRIVATE. */
#define KVM_MEMORY_FAULT_PRIVATE (1ull << 3)

/* Why user space is shown an access (KVM_EXIT_MEMORY_FAULT). */
struct kvm_memory_fault {
	u64 flags;
	gpa_t gpa;
	u64 size;
};

/*
 * The vCPU as the MMU sees it; the CPU model embeds it.  mode and requests are
 * the two words of the kick protocol:
 *
 *   vCPU:     mode = IN_GUEST_MODE; full barrier; look at requests
 *   flusher:  requests |= bit; full barrier; look at mode
 *
 * so that at least one side sees the other.  A flusher that sees IN_GUEST_MODE
 * waits until the vCPU has served the request or left guest mode.
 */
struct kvm_vcpu {
	u32 requests; /* enum kvm_vcpu_request, atomic */
	u32 mode;     /* enum kvm_vcpu_mode, atomic */
	struct kvm *kvm;
	struct kvm_mmu *mmu;
	struct kvm_mmu root_mmu;
	u32 vcpu_id;
	u32 vcpu_idx;
	struct kvm_pgtable_cache table_cache;

	struct kvm_dirty_ring dirty_ring;

	/* Last gfn found to be MMIO, good for one memslot generation. */
	gfn_t mmio_gfn;
	u64 mmio_gen;

	/* The slot of the last look-up, good for one memslot generation. */
	const struct kvm_memory_slot *last_slot;
	u64 last_slot_gen;

	u32 retries; /* in a row: how long to wait before the next */
	bool has_memory_fault;
	struct kvm_memory_fault memory_fault;
	hva_t poisoned_hva; /* of the last fault that ended with -EHWPOISON and has none of these */
	struct kvm_vcpu_stat stat;
};

/* How many address spaces a VM has: private memory and system management mode exclude each other.
 */
static inline u32 kvm_nr_address_spaces(const struct kvm *kvm)
{
	return kvm->has_private_mem ? 1 : KVM_MAX_NR_ADDRESS_SPACES;
}

/* The address space that @vcpu accesses now; its own thread. */
static inline u32 kvm_vcpu_as_id(const struct kvm_vcpu *vcpu)
{
	return vcpu->mmu->root_role.smm;
}

#define kvm_for_each_vcpu(i, vcpu, kvm)                                      \
	for ((i) = 0; (i) < atomic_observe(&(kvm)->nr_vcpus) &&              \
		      ((vcpu) = atomic_observe(&(kvm)->vcpus[(i)])) != NULL; \
	     (i)++)

/* VM and vCPU life. @kvm and @vcpu are the caller's memory, zeroed.  0, -ENOMEM. */
int kvm_mmu_init_vm(struct kvm *kvm) KVMU_MUST_CHECK;
/* No vCPU runs and no lock is held. */
void kvm_mmu_uninit_vm(struct kvm *kvm);
/* Joins the VM: from now on flush requests reach @vcpu.  0, -EINVAL (too many), -ENOMEM. */
int kvm_mmu_add_vcpu(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 vcpu_id) KVMU_MUST_CHECK;
void kvm_mmu_destroy_vcpu(struct kvm_vcpu *vcpu);

/* Mark the VM dead: every later call answers -EIO; the process lives on. */
void kvm_vm_bugged(struct kvm *kvm);
#define KVM_BUG_ON(cond, kvm)                        \
	({                                           \
		bool bug_ = KVMU_WARN_ON_ONCE(cond); \
		if (bug_)                            \
			kvm_vm_bugged(kvm);          \
		bug_;                                \
	})

/* ---- memslot operations -------------------------------------------------------- */

/*
 * KVM_SET_USER_MEMORY_REGION: create, delete, move, change flags.  Takes
 * slots_lock, sleeps.  On return no vCPU uses a translation of the old layout, and no
 * kvm_read_guest() or its like that began before is under way.
 * -EINVAL (misaligned, wrapping, too big, bad id, nothing to delete, size of a
 * live slot changed), -EEXIST (overlap), -ENOMEM, -EIO.
 */
int kvm_set_memory_region(struct kvm *kvm, const struct kvm_slot_request *request) KVMU_MUST_CHECK;

/*
 * In the first address space.  In a read-side section or under
 * slots_lock/mmu_lock; NULL: no slot there.
 */
const struct kvm_memory_slot *kvm_gfn_to_memslot(struct kvm *kvm, gfn_t gfn);
/* In the vCPU's, for its own thread, which looks where it looked last time first. */
const struct kvm_memory_slot *kvm_vcpu_gfn_to_memslot(struct kvm_vcpu *vcpu, gfn_t gfn);

static inline hva_t kvm_slot_gfn_to_hva(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return slot->userspace_addr + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

/*
 * Copy between guest-physical memory of the first address space and @buf as KVM
 * itself would (through the slots, not through any vCPU's TLB).  -EFAULT where no
 * slot is or the host refuses.  May sleep; a change of the memslots waits for it, so
 * that it reaches no memory of a slot that is gone.  Not with slots_lock held.
 */
int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *buf, u64 bytes) KVMU_MUST_CHECK;
int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *buf, u64 bytes) KVMU_MUST_CHECK;
/* The same in the address space of the vCPU, by its own thread: what is written is in its ring. */
int kvm_vcpu_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, u64 bytes) KVMU_MUST_CHECK;
int kvm_vcpu_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *buf,
			 u64 bytes) KVMU_MUST_CHECK;
/* In the first address space all the same, where what vCPUs share with the host lies. */
int kvm_vcpu_write_shared(struct kvm_vcpu *vcpu, gpa_t gpa, const void *buf,
			  u64 bytes) KVMU_MUST_CHECK;

/* ---- invalidation --------------------------------------------------------------- */

/* All three with mmu_lock held for writing. */
void kvm_mmu_invalidate_begin(struct kvm *kvm);
void kvm_mmu_invalidate_range_add(struct kvm *kvm, gfn_t start, gfn_t end);
void kvm_mmu_invalidate_end(struct kvm *kvm);

/*
 * With mmu_lock held (either way): must a fault that read @mmu_seq before it
 * looked up @gfn be taken again?
 */
bool kvm_mmu_invalidate_retry_gfn(const struct kvm *kvm, u64 mmu_seq, gfn_t gfn);
/*
 * The same without the lock: a change may begin behind its back, so "no" is a
 * guess; one whose bracket is closed again it does not miss.
 */
bool kvm_mmu_invalidate_retry_gfn_unsafe(const struct kvm *kvm, u64 mmu_seq, gfn_t gfn);

/*
 * The host is about to change [start, end) of the process's address space, and
 * has done so; both are told the same range.  Between the two no fault in the
 * range makes progress, and memslots stay as they are, also where the range
 * backs none: who changes them waits.  When begin returns, no vCPU uses a
 * translation into the range.  Both take mmu_lock; begin waits for a grace
 * period where table pages go.
 */
void kvm_mmu_hva_change_begin(struct kvm *kvm, hva_t start, hva_t end);
void kvm_mmu_hva_change_end(struct kvm *kvm, hva_t start, hva_t end);

/*
 * Has a guest used memory that backs [start, end) since it was last aged?  The
 * first also forgets it, with the flush without which later uses would go
 * unseen; the second only looks.  Both take mmu_lock for reading.
 */
bool kvm_mmu_age_hva(struct kvm *kvm, hva_t start, hva_t end);
bool kvm_mmu_test_age_hva(struct kvm *kvm, hva_t start, hva_t end);

/*
 * Remove all leaves of [start, end) gfn in address space @as_id; mmu_lock for
 * writing.  Flush is the caller's.
 */
void kvm_mmu_zap_gfn_range(struct kvm *kvm, u32 as_id, gfn_t start, gfn_t end,
			   struct kvm_pgtable_flush *flush);

/*
 * Remove every leaf at a price that does not depend on how many there are: the
 * VM gets empty trees, and the old ones are freed when no vCPU and no look-up
 * uses them.  Takes mmu_lock, waits for a grace period.  0, -ENOMEM.
 */
int kvm_mmu_zap_all_fast(struct kvm *kvm) KVMU_MUST_CHECK;
/* vCPU thread, outside guest mode, at each TLB flush: walk the tree that holds now. */
void kvm_mmu_reload(struct kvm_vcpu *vcpu);
/*
 * vCPU thread, outside guest mode: enter or leave system management mode, and so
 * walk the other tree.  Translations of the one before are the caller's to drop.
 */
void kvm_mmu_set_smm(struct kvm_vcpu *vcpu, bool smm);

/*
 * KVM_SET_NR_MMU_PAGES: when more than @pages table pages (from
 * KVM_MIN_TABLE_PAGES) are in use, a fault first removes every leaf.  What is
 * in use already is removed at once: -ENOMEM if that fails, the limit holds.
 * The other tells the limit, or what KVM would choose.
 */
#define KVM_MIN_TABLE_PAGES 64u
int kvm_mmu_set_table_limit(struct kvm *kvm, u64 pages) KVMU_MUST_CHECK;
u64 kvm_mmu_table_limit(const struct kvm *kvm);

/* ---- TLB requests ---------------------------------------------------------------- */

/*
 * Ask every vCPU to drop its translations and wait until none in guest mode
 * has not.  Any thread, any lock; a vCPU thread calls it only outside guest
 * mode.  Never waits for a vCPU that is outside guest mode.
 */
void kvm_flush_remote_tlbs(struct kvm *kvm);

/* Set a request and make the vCPU look at it soon. */
void kvm_make_request(struct kvm_vcpu *vcpu, enum kvm_vcpu_request request);

/*
 * vCPU thread: enter and leave guest mode.  After enter the caller must look
 * at vcpu->requests before it uses any translation.
 */
static inline void kvm_vcpu_enter_guest_mode(struct kvm_vcpu *vcpu)
{
	atomic_poke(&vcpu->mode, IN_GUEST_MODE);
	if (!KVMU_MUTANT(ENTER_WITHOUT_BARRIER))
		barrier_full(); /* pairs with the one in kvm_flush_remote_tlbs() */
}

static inline void kvm_vcpu_leave_guest_mode(struct kvm_vcpu *vcpu)
{
	kvm_stat_add(&vcpu->stat.exits, 1);
	atomic_publish(&vcpu->mode, OUTSIDE_GUEST_MODE);
}

/*
 * Table pages of @kvm that were retired before the last flush, taken off the
 * VM under mmu_lock (write), and given back without it: the second sleeps for
 * a grace period.
 */
struct kvm_retired kvm_mmu_take_retired(struct kvm *kvm);
void kvm_mmu_free_retired(struct kvm *kvm, struct kvm_retired retired);

#endif
