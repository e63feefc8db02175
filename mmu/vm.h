/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the MMU only: what its files share beside the public headers. */
#ifndef KVMU_MMU_VM_H
#define KVMU_MMU_VM_H

#include "mmu/mmu.h"

/* Bits of guest-physical address that the second stage translates. */
#define KVM_MMU_INPUT_BITS 48

/* Largest leaf we make. */
#define KVM_MMU_MAX_LEVEL PG_LEVEL_1G

/*
 * Software bit of a leaf whose page the host allows to be written.  Without
 * write permission beside it only dirty logging took that away, and the fast
 * path may give it back.
 */
#define KVM_SPTE_WRITABLE KVM_PGTABLE_PROT_SW0

/* A fault may need a table page per level below the root. */
#define KVM_MMU_TABLE_CACHE_MIN 4u

/*
 * A fault has found no slot at @gfn in slots of @generation, or of a later one:
 * remember it in @vcpu and, for all, in the tables.  Takes mmu_lock for reading,
 * may sleep.
 */
void kvm_mmu_mmio_remember(struct kvm_vcpu *vcpu, gfn_t gfn, u64 generation);
/* In a read-side section: does the note in @leaf speak of the slots as they are? */
bool kvm_mmu_mmio_holds(const struct kvm_vcpu *vcpu, const struct kvm_pgtable_leaf *leaf);
/* Slots of @generation have been published in @as_id; mmu_lock for writing. */
void kvm_mmu_mmio_new_generation(struct kvm *kvm, u32 as_id, u64 generation);

/* How big may a leaf around @gfn at @hva be, by the slot's size and by the two being congruent? */
enum pg_level kvm_slot_max_level(const struct kvm_memory_slot *slot, gfn_t gfn, hva_t hva);

/*
 * Split every block in the range of @slot's address space, as far as memory for
 * tables goes.  Takes mmu_lock for reading, sleeps.
 */
void kvm_mmu_try_split_huge_pages(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t start,
				  gfn_t end);
/*
 * Remove page tables of @slot where the memory could be mapped by blocks: the
 * next fault maps one.  slots_lock held; takes mmu_lock, sleeps.
 */
void kvm_mmu_recover_huge_pages(struct kvm *kvm, const struct kvm_memory_slot *slot);

/* Fill @cache up.  Sleeps.  -ENOMEM: then what could be had is in it. */
int kvm_mmu_fill_table_cache(struct kvm *kvm, struct kvm_pgtable_cache *cache) KVMU_MUST_CHECK;

/* The empty set of a new VM; -ENOMEM.  Destroy frees what init got and every slot. */
int kvm_memslots_init(struct kvm *kvm);
void kvm_memslots_destroy(struct kvm *kvm);

/*
 * Where the slot with this number, as user space writes it (the address space
 * above bit 15), is kept; NULL: no such number.  slots_lock held.
 */
struct kvm_memory_slot **kvm_slot_place(struct kvm *kvm, u32 number);

/* An empty tree for each address space of @kvm, or none.  0, -ENOMEM. */
int kvm_mmu_init_trees(struct kvm *kvm,
		       struct kvm_pgtable trees[KVM_MAX_NR_ADDRESS_SPACES]) KVMU_MUST_CHECK;
/* Nobody walks them any more. */
void kvm_mmu_destroy_trees(struct kvm_pgtable trees[KVM_MAX_NR_ADDRESS_SPACES]);

/* New slots have been published: wait for guest copies that may have found the old ones. */
void kvm_guest_copies_wait(struct kvm *kvm);

/* Gfns that a range of program memory backs. */
struct gfn_range {
	gfn_t start;
	gfn_t end;
};

/*
 * Slots of all address spaces that [start, end) hva backs; mmu_lock held, either
 * way.
 *
 *   struct hva_slot_iter it = kvm_hva_slot_iter(kvm, start, end);
 *   while ((slot = kvm_hva_slot_next(&it)))
 */
struct hva_slot_iter {
	const struct kvm *kvm;
	hva_t start, end;
	u32 as_id;
	struct slot_index_iter in_space;
};

struct hva_slot_iter kvm_hva_slot_iter(const struct kvm *kvm, hva_t start, hva_t end);
const struct kvm_memory_slot *kvm_hva_slot_next(struct hva_slot_iter *it);

/* The part of @slot that [start, end) hva backs, rounded outwards to pages; they intersect. */
struct gfn_range kvm_hva_range_in_slot(const struct kvm_memory_slot *slot, hva_t start, hva_t end);

/* Has the limit on table pages been passed?  A guess where others map. */
bool kvm_mmu_over_table_limit(const struct kvm *kvm);

/*
 * Remove all leaves of [start, end) gfn in address space @as_id and, when any
 * was there, flush.  mmu_lock for writing.
 */
void kvm_mmu_zap_and_flush(struct kvm *kvm, u32 as_id, gfn_t start, gfn_t end);

/* The tree that @vcpu walks. */
static inline struct kvm_pgtable *kvm_vcpu_pgt(const struct kvm_vcpu *vcpu)
{
	return &vcpu->kvm->pgt[kvm_vcpu_as_id(vcpu)];
}

/* The slots of an address space, and those that a vCPU sees; in a read-side section. */
static inline const struct kvm_memslots *kvm_memslots_in(const struct kvm *kvm, u32 as_id)
{
	/* Pairs with the publish in publish_set(). */
	return atomic_observe(&kvm->memslots[as_id]);
}

static inline const struct kvm_memslots *kvm_vcpu_memslots(const struct kvm_vcpu *vcpu)
{
	return kvm_memslots_in(vcpu->kvm, kvm_vcpu_as_id(vcpu));
}

#endif
