/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where no memory is.  A fault that finds no slot leaves a note in the tables,
 * an absent entry with the memslot generation of which that was true, so that
 * the next one need not look for a slot; as KVM's MMIO SPTEs do.
 *
 * A note is never removed for a slot that appears: every change of the slots
 * moves the generation, a note of another one says nothing, and whatever is
 * mapped or noted next takes its place.  Only when the part of the generation
 * that fits into a note starts anew must old notes go (kvm_mmu_mmio_new_generation()).
 */
#include "base/trace.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* As KVM's ACC_ALL: a note speaks for every access. */
#define MMIO_ACCESS_ALL 7u

/* What of a memslot generation fits into a note.  With 0 none is made or believed. */
static u32 mmio_generation(u64 generation)
{
	return (u32)generation;
}

bool kvm_mmu_mmio_holds(const struct kvm_vcpu *vcpu, const struct kvm_pgtable_leaf *leaf)
{
	/* Both were true together: a slot that appears later comes after this access. */
	u32 now = mmio_generation(kvm_vcpu_memslots(vcpu)->generation);

	kvmu_trace(kvmmmu, check_mmio_spte, now, leaf->mmio_generation, leaf->pte);
	return now == leaf->mmio_generation || KVMU_MUTANT(MMIO_OUTLIVES_SLOTS);
}

/* The largest block around @gfn that no slot reaches into, in levels of the tables. */
static unsigned int level_without_slot(const struct kvm_vcpu *vcpu, gfn_t gfn)
{
	const struct kvm_memslots *slots = kvm_vcpu_memslots(vcpu);
	unsigned int level = kvm_vcpu_pgt(vcpu)->levels;

	for (; level > PG_LEVEL_4K; level--) {
		u64 pages = pages_per_level((enum pg_level)level);
		gfn_t first = align_down(gfn, pages);
		struct slot_index_iter it = slot_index_iter(slots->by_gfn, first, first + pages);

		if (!slot_index_next(&it))
			break;
	}
	return level;
}

static void report_mark(const struct kvm_vcpu *vcpu, gfn_t gfn, u32 generation)
{
	struct kvm_pgtable_leaf leaf;

	if (kvmu_trace_wanted(kvmmmu, mark_mmio_spte) &&
	    !ept_get_leaf(kvm_vcpu_pgt(vcpu), gfn_to_gpa(gfn), &leaf))
		kvmu_trace(kvmmmu, mark_mmio_spte, ptr_to_hva(leaf.ptep), gfn, MMIO_ACCESS_ALL,
			   generation);
}

/*
 * With mmu_lock held the slots stand still, so that the note is true when it is
 * made: a slot cannot have come since @generation, and no leaf can be there.
 */
static bool note_mmio(struct kvm_vcpu *vcpu, gfn_t gfn, u64 generation)
{
	struct kvm *kvm = vcpu->kvm;
	u32 noted = mmio_generation(generation);
	u64 now;
	int err = -EAGAIN;

	mmu_read_lock(&kvm->mmu_lock);
	now = kvm_vcpu_memslots(vcpu)->generation;
	if (KVMU_MUTANT(MMIO_OF_LATER_SLOTS))
		noted = mmio_generation(now);
	if ((now == generation || KVMU_MUTANT(MMIO_OF_LATER_SLOTS)) && noted)
		err = ept_set_mmio(kvm_vcpu_pgt(vcpu), gfn_to_gpa(gfn), noted,
				   level_without_slot(vcpu, gfn), KVM_PGTABLE_WALK_SHARED,
				   &vcpu->table_cache);
	if (!err)
		report_mark(vcpu, gfn, noted);
	mmu_read_unlock(&kvm->mmu_lock);
	return !err;
}

void kvm_mmu_mmio_remember(struct kvm_vcpu *vcpu, gfn_t gfn, u64 generation)
{
	vcpu->mmio_gfn = gfn;
	vcpu->mmio_gen = generation;
	/* Without a note, for want of memory too, the next fault looks for a slot again. */
	if (kvm_mmu_over_table_limit(vcpu->kvm))
		return;
	if (vcpu->table_cache.nr < KVM_MMU_TABLE_CACHE_MIN &&
	    kvm_mmu_fill_table_cache(vcpu->kvm, &vcpu->table_cache))
		return;
	if (note_mmio(vcpu, gfn, generation))
		kvm_stat_add(&vcpu->stat.pf_mmio_spte_created, 1);
}

void kvm_mmu_mmio_new_generation(struct kvm *kvm, u32 as_id, u64 generation)
{
	if (likely(mmio_generation(generation)) || KVMU_MUTANT(MMIO_NEVER_FORGOTTEN))
		return;
	/* Of this generation nothing is noted or believed, of the next ones nothing is there yet.
	 */
	kvm_mmu_zap_and_flush(kvm, as_id, 0, 1ull << (KVM_MMU_INPUT_BITS - PAGE_SHIFT));
	kvm_stat_add(&kvm->stat.zapped_all, 1);
}
