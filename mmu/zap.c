/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking translations away: a range of them, or all at once by leaving the
 * whole tree behind.
 */
#include "base/trace.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* A leaf is never bigger than this, so that none sticks out of a range so aligned. */
#define WIDEST_LEAF_PAGES pages_per_level(KVM_MMU_MAX_LEVEL)

/* For BLOCK_OVER_HOLE. */
static bool is_within_a_block(struct kvm_pgtable *pgt, gfn_t start, gfn_t end)
{
	struct kvm_pgtable_leaf leaf;

	return ept_get_leaf(pgt, gfn_to_gpa(start), &leaf) == 0 && leaf.present &&
	       pages_per_level((enum pg_level)leaf.level) > end - start;
}

/*
 * A block that sticks out of the range is split, so that the rest of it stays
 * mapped.  Where no table page can be had for that, the whole block goes: what
 * must go may not stay, and what need not go is faulted in again.
 */
static int unmap_range(struct kvm_pgtable *pgt, gfn_t start, gfn_t end,
		       struct kvm_pgtable_flush *flush)
{
	int err;

	if (KVMU_MUTANT(BLOCK_OVER_HOLE) && is_within_a_block(pgt, start, end))
		return 0;
	err = ept_unmap(pgt, gfn_to_gpa(start), gfn_to_gpa(end - start), 0, NULL, flush);
	if (likely(err != -ENOMEM))
		return err;
	if (KVMU_MUTANT(ZAP_GIVES_UP))
		return 0;
	start = align_down(start, WIDEST_LEAF_PAGES);
	end = align_up(end, WIDEST_LEAF_PAGES);
	return ept_unmap(pgt, gfn_to_gpa(start), gfn_to_gpa(end - start), 0, NULL, flush);
}

void kvm_mmu_zap_gfn_range(struct kvm *kvm, u32 as_id, gfn_t start, gfn_t end,
			   struct kvm_pgtable_flush *flush)
{
	u64 before = flush->entries;

	kvmu_assert(mmu_rwlock_held_write(&kvm->mmu_lock));
	/* Ranges come from slots, which were checked. */
	KVM_BUG_ON(unmap_range(&kvm->pgt[as_id], start, end, flush), kvm);
	kvm_stat_add(&kvm->stat.invalidated_leaves, flush->entries - before);
}

void kvm_mmu_zap_and_flush(struct kvm *kvm, u32 as_id, gfn_t start, gfn_t end)
{
	struct kvm_pgtable_flush flush = {0};

	kvm_mmu_zap_gfn_range(kvm, as_id, start, end, &flush);
	if (kvm_pgtable_flush_owed(&flush))
		kvm_flush_remote_tlbs(kvm);
}

/* ---- all at once ------------------------------------------------------------------- */

void kvm_mmu_reload(struct kvm_vcpu *vcpu)
{
	/*
	 * The epoch first: if another root comes in between, the pair does not
	 * match and every fault is stale until the next reload, which has been
	 * requested.  Pairs with the publish in kvm_mmu_zap_all_fast().
	 */
	vcpu->mmu->root_epoch = atomic_observe(&vcpu->kvm->root_epoch);
	vcpu->mmu->root = atomic_observe(&kvm_vcpu_pgt(vcpu)->root);
}

void kvm_mmu_set_smm(struct kvm_vcpu *vcpu, bool smm)
{
	vcpu->mmu->root_role.smm = smm;
	/* Generations count in each address space for itself. */
	vcpu->mmio_gen = 0;
	vcpu->last_slot_gen = 0;
	if (!KVMU_MUTANT(ROOT_OUTLIVES_SMM))
		kvm_mmu_reload(vcpu);
}

int kvm_mmu_zap_all_fast(struct kvm *kvm)
{
	struct kvm_pgtable other[KVM_MAX_NR_ADDRESS_SPACES];
	struct kvm_retired retired;
	int err = kvm_mmu_init_trees(kvm, other);

	if (err)
		return err;
	if (KVMU_MUTANT(ZAP_ALL_AS_READER))
		mmu_read_lock(&kvm->mmu_lock);
	else
		mmu_write_lock(&kvm->mmu_lock);
	for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++)
		ept_swap_roots(&kvm->pgt[as_id], &other[as_id]);
	/* The roots first: pairs with kvm_mmu_reload(). */
	atomic_publish(&kvm->root_epoch, kvm->root_epoch + 1);
	if (!KVMU_MUTANT(ZAP_ALL_WITHOUT_FLUSH))
		kvm_flush_remote_tlbs(kvm);
	retired = kvm_mmu_take_retired(kvm);
	kvm_stat_add(&kvm->stat.zapped_all, 1);
	kvmu_trace(kvmmmu, kvm_mmu_zap_all_fast, kvm->root_epoch, atomic_peek(&kvm->arena.pages));
	if (KVMU_MUTANT(ZAP_ALL_AS_READER))
		mmu_read_unlock(&kvm->mmu_lock);
	else
		mmu_write_unlock(&kvm->mmu_lock);

	/* No vCPU walks the old tree any more; look-ups without a lock may. */
	if (retired.first)
		kvm_mmu_free_retired(kvm, retired);
	else
		mmu_host_synchronize_rcu();
	kvm_mmu_destroy_trees(other);
	return 0;
}

/* ---- the limit on table pages -------------------------------------------------------- */

/* Pages that wait in the vCPUs' caches are not in use. */
static u64 table_pages_in_use(const struct kvm *kvm)
{
	u64 waiting = (u64)atomic_peek(&kvm->nr_vcpus) * KVM_PGTABLE_CACHE_PAGES;
	u64 pages = atomic_peek(&kvm->arena.pages);

	return pages > waiting ? pages - waiting : 0;
}

bool kvm_mmu_over_table_limit(const struct kvm *kvm)
{
	u64 limit = atomic_peek(&kvm->table_pages_max);

	return limit && table_pages_in_use(kvm) > limit;
}

int kvm_mmu_set_table_limit(struct kvm *kvm, u64 pages)
{
	atomic_poke(&kvm->table_pages_max, pages);
	return kvm_mmu_over_table_limit(kvm) ? kvm_mmu_zap_all_fast(kvm) : 0;
}

/* KVM's rule for a VM that did not ask: 2 % of the slots' pages, and some. */
u64 kvm_mmu_table_limit(const struct kvm *kvm)
{
	u64 pages = atomic_peek(&kvm->table_pages_max);

	if (pages)
		return pages;
	mmu_host_rcu_read_lock();
	for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++)
		pages += kvm_memslots_in(kvm, as_id)->npages;
	mmu_host_rcu_read_unlock();
	return max_u64(pages / 50, KVM_MIN_TABLE_PAGES);
}
