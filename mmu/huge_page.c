/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks that must become pages because these are logged one by one, and back again. */
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* ---- splitting ------------------------------------------------------------------------ */

/* So much at a time that one cache of table pages is enough: a page per block, one for a GiB. */
#define SPLIT_GFNS (KVM_PGTABLE_CACHE_PAGES / 2 * pages_per_level(PG_LEVEL_2M))

/* Under the lock for reading: faults go on meanwhile. */
static int split_some(struct kvm *kvm, u32 as_id, gfn_t start, gfn_t end,
		      struct kvm_pgtable_cache *cache)
{
	int err;

	mmu_read_lock(&kvm->mmu_lock);
	/* EPT owes no flush for a table that says what the block said. */
	err = ept_split(&kvm->pgt[as_id], gfn_to_gpa(start), gfn_to_gpa(end - start), PG_LEVEL_4K,
			KVM_PGTABLE_WALK_SHARED, cache, NULL);
	mmu_read_unlock(&kvm->mmu_lock);
	return err;
}

void kvm_mmu_try_split_huge_pages(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t start,
				  gfn_t end)
{
	struct kvm_pgtable_cache cache = {0};
	int err = 0;

	/* A block that stays is protected as a whole and split by the first write to it. */
	while (!err && start < end) {
		gfn_t stop = min_u64(end, align_down(start, SPLIT_GFNS) + SPLIT_GFNS);

		err = kvm_mmu_fill_table_cache(kvm, &cache);
		if (!err)
			err = split_some(kvm, slot->as_id, start, stop, &cache);
		start = stop;
	}
	table_arena_drain(&kvm->arena, &cache);
}

/* ---- recovering ----------------------------------------------------------------------- */

/* Blocks zapped under one hold of the lock. */
#define RECOVER_BATCH 64u

struct recovery {
	struct kvm *kvm;
	const struct kvm_memory_slot *slot;
	gfn_t next;
	u32 nr;
	gfn_t block[RECOVER_BATCH];
};

/* Where the tables end above @gfn today. */
static enum pg_level table_level(struct kvm *kvm, u32 as_id, gfn_t gfn)
{
	struct kvm_pgtable_leaf leaf = {.level = PG_LEVEL_NONE};
	int err;

	mmu_host_rcu_read_lock();
	err = ept_get_leaf(&kvm->pgt[as_id], gfn_to_gpa(gfn), &leaf);
	mmu_host_rcu_read_unlock();
	KVM_BUG_ON(err, kvm);
	return (enum pg_level)leaf.level;
}

/* Is the block mapped by pages and could be mapped as one?  A guess, without a lock. */
static bool block_is_recoverable(const struct recovery *r, gfn_t block)
{
	hva_t hva = kvm_slot_gfn_to_hva(r->slot, block);

	return kvm_slot_max_level(r->slot, block, hva) >= PG_LEVEL_2M &&
	       mmu_host_resident_level(hva, PG_LEVEL_2M) == PG_LEVEL_2M;
}

static void gather_blocks(struct recovery *r, gfn_t end)
{
	r->nr = 0;
	while (r->next < end && r->nr < RECOVER_BATCH) {
		enum pg_level level = table_level(r->kvm, r->slot->as_id, r->next);
		u64 step = pages_per_level(level == PG_LEVEL_4K ? PG_LEVEL_2M : level);

		if (level == PG_LEVEL_4K && block_is_recoverable(r, r->next))
			r->block[r->nr++] = r->next;
		r->next = align_down(r->next, step) + step;
	}
}

/* Nothing is wrong with what is zapped, so nobody has to be told to look again. */
static void zap_blocks(const struct recovery *r)
{
	struct kvm_pgtable_flush flush = {0};
	struct kvm_retired retired;

	mmu_write_lock(&r->kvm->mmu_lock);
	for (u32 i = 0; i < r->nr; i++)
		kvm_mmu_zap_gfn_range(r->kvm, r->slot->as_id, r->block[i],
				      r->block[i] + pages_per_level(PG_LEVEL_2M), &flush);
	if (kvm_pgtable_flush_owed(&flush) && !KVMU_MUTANT(RECOVER_WITHOUT_FLUSH))
		kvm_flush_remote_tlbs(r->kvm);
	retired = kvm_mmu_take_retired(r->kvm);
	mmu_write_unlock(&r->kvm->mmu_lock);
	kvm_mmu_free_retired(r->kvm, retired);
}

void kvm_mmu_recover_huge_pages(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	struct recovery r = {
		.kvm = kvm,
		.slot = slot,
		.next = align_up(slot->base_gfn, pages_per_level(PG_LEVEL_2M)),
	};
	gfn_t end = slot->base_gfn + slot->npages;

	do {
		gather_blocks(&r, end);
		if (r.nr)
			zap_blocks(&r);
	} while (r.next < end);
}
