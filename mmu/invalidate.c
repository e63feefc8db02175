/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where host changes and guest faults meet.
 *
 * A fault reads mmu_invalidate_seq, looks its page up without a lock, takes
 * mmu_lock and asks kvm_mmu_invalidate_retry_gfn().  A change brackets itself
 * with begin and end.  Whatever the interleaving, a fault that looked up what
 * the change takes away either sees the bracket open over its gfn, or sees the
 * sequence moved, or has mapped before begin, and then the zap finds its leaf.
 */
#include "base/trace.h"
#include "mmu/vm.h"

void kvm_mmu_invalidate_begin(struct kvm *kvm)
{
	kvmu_assert(mmu_rwlock_held_write(&kvm->mmu_lock));
	/*
	 * Written under the lock, read without it by the early test, hence the
	 * pokes.  A nested begin keeps the range and widens it.
	 */
	atomic_poke(&kvm->mmu_invalidate_in_progress, kvm->mmu_invalidate_in_progress + 1);
	if (kvm->mmu_invalidate_in_progress == 1) {
		atomic_poke(&kvm->mmu_invalidate_range_start, INVALID_GFN);
		atomic_poke(&kvm->mmu_invalidate_range_end, INVALID_GFN);
	}
}

void kvm_mmu_invalidate_range_add(struct kvm *kvm, gfn_t start, gfn_t end)
{
	kvmu_assert(mmu_rwlock_held_write(&kvm->mmu_lock));
	KVMU_WARN_ON_ONCE(kvm->mmu_invalidate_in_progress <= 0);

	if (KVMU_MUTANT(RANGE_LEFT_OUT))
		return;
	if (kvm->mmu_invalidate_range_start != INVALID_GFN && !KVMU_MUTANT(RANGE_NOT_WIDENED)) {
		start = min_u64(start, kvm->mmu_invalidate_range_start);
		end = max_u64(end, kvm->mmu_invalidate_range_end);
	}
	atomic_poke(&kvm->mmu_invalidate_range_start, start);
	atomic_poke(&kvm->mmu_invalidate_range_end, end);
}

void kvm_mmu_invalidate_end(struct kvm *kvm)
{
	kvmu_assert(mmu_rwlock_held_write(&kvm->mmu_lock));
	if (KVMU_MUTANT(RANGE_TEST_AFTER_RESET))
		atomic_poke(&kvm->mmu_invalidate_range_start, INVALID_GFN);
	/* Before anything is reset: forgetting the range is a bug, but not a fatal one. */
	KVMU_WARN_ON_ONCE(kvm->mmu_invalidate_range_start == INVALID_GFN);

	/*
	 * First the sequence, then the bracket: who sees it closed without the
	 * lock also sees the sequence moved (pairs with the read barrier in
	 * retry_gfn()).
	 */
	if (!KVMU_MUTANT(SEQ_NOT_MOVED) && !KVMU_MUTANT(SEQ_AFTER_BRACKET))
		atomic_poke(&kvm->mmu_invalidate_seq, kvm->mmu_invalidate_seq + 1);
	if (!KVMU_MUTANT(END_WITHOUT_BARRIER))
		barrier_write();
	atomic_poke(&kvm->mmu_invalidate_in_progress, kvm->mmu_invalidate_in_progress - 1);
	if (KVMU_MUTANT(SEQ_AFTER_BRACKET))
		atomic_poke(&kvm->mmu_invalidate_seq, kvm->mmu_invalidate_seq + 1);
	KVM_BUG_ON(kvm->mmu_invalidate_in_progress < 0, kvm);
	kvm_stat_add(&kvm->stat.invalidations, 1);
}

static bool invalidation_covers(const struct kvm *kvm, gfn_t gfn)
{
	gfn_t start = atomic_peek(&kvm->mmu_invalidate_range_start);

	/* Between begin and the first range nothing is known: wait for all. */
	if (start == INVALID_GFN || KVMU_MUTANT(RETRY_EVERYWHERE))
		return true;
	return gfn >= start && gfn < atomic_peek(&kvm->mmu_invalidate_range_end);
}

bool kvm_mmu_invalidate_retry_gfn_unsafe(const struct kvm *kvm, u64 mmu_seq, gfn_t gfn)
{
	if (atomic_peek(&kvm->mmu_invalidate_in_progress) && invalidation_covers(kvm, gfn) &&
	    !KVMU_MUTANT(OPEN_BRACKET_IGNORED))
		return true;
	if (!KVMU_MUTANT(TEST_WITHOUT_BARRIER) && !KVMU_MUTANT(FAULT_WITHOUT_BARRIER))
		barrier_read(); /* pairs with the write barrier in invalidate_end() */
	if (KVMU_MUTANT(SEQ_SIGN))
		return atomic_peek(&kvm->mmu_invalidate_seq) != (u64)(s64)(int)mmu_seq;
	return atomic_peek(&kvm->mmu_invalidate_seq) != mmu_seq;
}

bool kvm_mmu_invalidate_retry_gfn(const struct kvm *kvm, u64 mmu_seq, gfn_t gfn)
{
	if (KVMU_MUTANT(TEST_BEFORE_SEQ))
		return atomic_peek(&kvm->mmu_invalidate_seq) != mmu_seq;
	return kvm_mmu_invalidate_retry_gfn_unsafe(kvm, mmu_seq, gfn);
}

/* ---- the host's address space changes --------------------------------------- */

static bool backs_a_slot(struct kvm *kvm, hva_t start, hva_t end)
{
	struct hva_slot_iter it = kvm_hva_slot_iter(kvm, start, end);

	return kvm_hva_slot_next(&it) != NULL;
}

/* Open the bracket over every gfn that the hva range backs. */
static void add_hva_ranges(struct kvm *kvm, hva_t start, hva_t end)
{
	struct hva_slot_iter it = kvm_hva_slot_iter(kvm, start, end);
	const struct kvm_memory_slot *slot;

	kvm_mmu_invalidate_begin(kvm);
	while ((slot = kvm_hva_slot_next(&it))) {
		struct gfn_range range = kvm_hva_range_in_slot(slot, start, end);

		kvm_mmu_invalidate_range_add(kvm, range.start, range.end);
	}
}

static bool zap_hva_ranges(struct kvm *kvm, hva_t start, hva_t end)
{
	struct hva_slot_iter it = kvm_hva_slot_iter(kvm, start, end);
	struct kvm_pgtable_flush flush = {0};
	const struct kvm_memory_slot *slot;

	while ((slot = kvm_hva_slot_next(&it))) {
		struct gfn_range range = kvm_hva_range_in_slot(slot, start, end);

		kvm_mmu_zap_gfn_range(kvm, slot->as_id, range.start, range.end, &flush);
		if (KVMU_MUTANT(SECOND_SLOT_FORGOTTEN))
			break;
	}
	return kvm_pgtable_flush_owed(&flush);
}

void kvm_mmu_hva_change_begin(struct kvm *kvm, hva_t start, hva_t end)
{
	struct kvm_retired retired = {0};

	kvmu_trace(kvm, kvm_unmap_hva_range, start, end);
	mmu_write_lock(&kvm->mmu_lock);
	/* Counted where no slot is as well: none may come until the memory is gone. */
	kvm->active_hva_changes++;
	if (backs_a_slot(kvm, start, end)) {
		add_hva_ranges(kvm, start, end);
		if (zap_hva_ranges(kvm, start, end) && !KVMU_MUTANT(SKIP_FLUSH)) {
			if (KVMU_MUTANT(FREE_BEFORE_FLUSH))
				kvm_mmu_free_retired(kvm, kvm_mmu_take_retired(kvm));
			kvm_flush_remote_tlbs(kvm);
		}
		retired = kvm_mmu_take_retired(kvm);
	}
	mmu_write_unlock(&kvm->mmu_lock);
	kvm_mmu_free_retired(kvm, retired);
}

void kvm_mmu_hva_change_end(struct kvm *kvm, hva_t start, hva_t end)
{
	mmu_write_lock(&kvm->mmu_lock);
	kvm->active_hva_changes--;
	/* The slots are those of the begin. */
	if (backs_a_slot(kvm, start, end))
		kvm_mmu_invalidate_end(kvm);
	mmu_write_unlock(&kvm->mmu_lock);
}
