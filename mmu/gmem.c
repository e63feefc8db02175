/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_memfd files and their bindings.  See gmem.h.
 *
 * Locks: slots_lock, then gmem->lock, then mmu_lock.
 */
#include "mmu/gmem.h"

#include "mmu/vm.h"

/* ---- life ------------------------------------------------------------------------ */

int kvm_gmem_create(struct kvm *kvm, u64 npages, struct kvm_gmem **out)
{
	struct kvm_gmem *gmem = mmu_host_alloc(SITE_gmem, sizeof(*gmem));
	int err;

	if (!gmem)
		return -ENOMEM;
	err = mmu_host_gmem_map(npages << PAGE_SHIFT, &gmem->base);
	if (err) {
		mmu_host_free(gmem);
		return err;
	}
	gmem->kvm = kvm;
	gmem->npages = npages;
	gmem->refs = 1;
	mmu_mutex_init(&gmem->lock, MMU_LOCK_RANK_GMEM);
	*out = gmem;
	return 0;
}

struct kvm_gmem *kvm_gmem_get_file(const struct kvm_memory_slot *slot)
{
	struct kvm_gmem *gmem = atomic_observe(&slot->gmem);

	return gmem && atomic_tryget(&gmem->refs) ? gmem : NULL;
}

void kvm_gmem_put(struct kvm_gmem *gmem)
{
	if (atomic_drop(&gmem->refs))
		return;
	/* Somebody may have found it in a slot and be about to see that it is gone. */
	if (!KVMU_MUTANT(FILE_FREED_AT_ONCE))
		mmu_host_synchronize_rcu();
	mmu_host_gmem_unmap(gmem->base, gmem->npages << PAGE_SHIFT);
	mmu_mutex_destroy(&gmem->lock);
	mmu_host_free(gmem->bound);
	mmu_host_free(gmem);
}

/* ---- bindings --------------------------------------------------------------------- */

static u64 bound_end(const struct kvm_memory_slot *slot)
{
	return slot->gmem_pgoff + slot->npages;
}

/* How many bindings end at or before page @index; they come first. */
static u32 bound_before(const struct kvm_gmem *gmem, u64 index)
{
	u32 low = 0;
	u32 high = gmem->nr_bound;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (bound_end(gmem->bound[middle]) <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct kvm_gmem *gmem)
{
	u32 room = gmem->room ? 2 * gmem->room : 4;
	struct kvm_memory_slot **bound;

	if (gmem->nr_bound < gmem->room)
		return 0;
	bound = mmu_host_alloc(SITE_gmem, room * sizeof(bound[0]));
	if (!bound)
		return -ENOMEM;
	if (gmem->nr_bound)
		__builtin_memcpy(bound, gmem->bound, gmem->nr_bound * sizeof(bound[0]));
	mmu_host_free(gmem->bound);
	gmem->bound = bound;
	gmem->room = room;
	return 0;
}

static int bind_locked(struct kvm_memory_slot *slot, struct kvm_gmem *gmem)
{
	u32 at = bound_before(gmem, slot->gmem_pgoff);
	int err;

	if (at < gmem->nr_bound && gmem->bound[at]->gmem_pgoff < bound_end(slot))
		return -EINVAL;
	err = make_room(gmem);
	if (err)
		return err;
	__builtin_memmove(&gmem->bound[at + 1], &gmem->bound[at],
			  (gmem->nr_bound - at) * sizeof(gmem->bound[0]));
	gmem->bound[at] = slot;
	gmem->nr_bound++;
	slot->gmem = gmem;
	return 0;
}

int kvm_gmem_bind(struct kvm_memory_slot *slot, struct kvm_gmem *gmem, u64 offset)
{
	u64 start = offset >> PAGE_SHIFT;
	int err;

	if (!is_aligned(offset, PAGE_SIZE) || start > gmem->npages ||
	    slot->npages > gmem->npages - start)
		return -EINVAL;
	slot->gmem_pgoff = start;
	mmu_mutex_lock(&gmem->lock);
	err = bind_locked(slot, gmem);
	mmu_mutex_unlock(&gmem->lock);
	return err;
}

void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
	/* slots_lock keeps the release away, which is who else ends a binding. */
	struct kvm_gmem *gmem = slot->gmem;
	u32 at;

	if (!gmem || KVMU_MUTANT(BINDING_OUTLIVES_SLOT))
		return;
	mmu_mutex_lock(&gmem->lock);
	at = bound_before(gmem, slot->gmem_pgoff);
	KVMU_BUG_ON(at == gmem->nr_bound || gmem->bound[at] != slot);
	gmem->nr_bound--;
	__builtin_memmove(&gmem->bound[at], &gmem->bound[at + 1],
			  (gmem->nr_bound - at) * sizeof(gmem->bound[0]));
	slot->gmem = NULL;
	mmu_mutex_unlock(&gmem->lock);
}

/* ---- invalidation ------------------------------------------------------------------ */

/*
 * Open a bracket over what [start, end) of the file backs, and remove it.
 * False: nothing is bound there, and no bracket is open.  gmem->lock is held
 * until invalidate_end(), so that both see the same bindings.
 */
static bool invalidate_begin(struct kvm_gmem *gmem, u64 start, u64 end)
{
	struct kvm_pgtable_flush flush = {0};
	struct kvm_retired retired = {0};
	struct kvm *kvm = gmem->kvm;
	bool found = false;

	mmu_write_lock(&kvm->mmu_lock);
	for (u32 i = bound_before(gmem, start);
	     i < gmem->nr_bound && gmem->bound[i]->gmem_pgoff < end; i++) {
		const struct kvm_memory_slot *slot = gmem->bound[i];
		u64 first = max_u64(start, slot->gmem_pgoff) - slot->gmem_pgoff;
		u64 last = min_u64(end, bound_end(slot)) - slot->gmem_pgoff;

		if (!found)
			kvm_mmu_invalidate_begin(kvm);
		found = true;
		kvm_mmu_invalidate_range_add(kvm, slot->base_gfn + first, slot->base_gfn + last);
		if (!KVMU_MUTANT(PUNCH_WITHOUT_ZAP))
			kvm_mmu_zap_gfn_range(kvm, slot->as_id, slot->base_gfn + first,
					      slot->base_gfn + last, &flush);
	}
	if (kvm_pgtable_flush_owed(&flush))
		kvm_flush_remote_tlbs(kvm);
	if (found)
		retired = kvm_mmu_take_retired(kvm);
	mmu_write_unlock(&kvm->mmu_lock);
	kvm_mmu_free_retired(kvm, retired);
	return found;
}

static void invalidate_end(struct kvm_gmem *gmem)
{
	mmu_write_lock(&gmem->kvm->mmu_lock);
	kvm_mmu_invalidate_end(gmem->kvm);
	mmu_write_unlock(&gmem->kvm->mmu_lock);
}

int kvm_gmem_punch_hole(struct kvm_gmem *gmem, u64 start, u64 end)
{
	bool found;
	int err;

	end = min_u64(end, gmem->npages);
	if (start >= end)
		return 0;
	mmu_mutex_lock(&gmem->lock);
	found = invalidate_begin(gmem, start, end);
	err = mmu_host_gmem_punch(kvm_gmem_hva(gmem, start), (end - start) << PAGE_SHIFT);
	if (found)
		invalidate_end(gmem);
	mmu_mutex_unlock(&gmem->lock);
	return err;
}

void kvm_gmem_release(struct kvm_gmem *gmem)
{
	struct kvm *kvm = gmem->kvm;

	mmu_mutex_lock(&kvm->slots_lock);
	mmu_mutex_lock(&gmem->lock);
	for (u32 i = 0; i < gmem->nr_bound; i++)
		atomic_publish(&gmem->bound[i]->gmem, NULL);
	/* Whoever took a page before that is stale now, and does not map it. */
	if (!KVMU_MUTANT(CLOSE_WITHOUT_ZAP) && invalidate_begin(gmem, 0, gmem->npages))
		invalidate_end(gmem);
	gmem->nr_bound = 0;
	mmu_mutex_unlock(&gmem->lock);
	mmu_mutex_unlock(&kvm->slots_lock);
	kvm_gmem_put(gmem);
}

/* ---- pages ------------------------------------------------------------------------- */

int kvm_gmem_allocate(struct kvm_gmem *gmem, u64 start, u64 end)
{
	if (start >= end || end > gmem->npages)
		return -EINVAL;
	return mmu_host_gmem_allocate(kvm_gmem_hva(gmem, start), (end - start) << PAGE_SHIFT);
}

int kvm_gmem_get_pfn(const struct kvm_gmem *gmem, u64 index, kvm_pfn_t *pfn,
		     enum pg_level *max_level)
{
	hva_t hva = kvm_gmem_hva(gmem, index);
	int err;

	kvmu_assert(index < gmem->npages);
	err = mmu_host_faultin_page(hva, true);
	if (err)
		return err;
	*pfn = hva_to_pfn(hva);
	if (*max_level > PG_LEVEL_4K)
		*max_level = mmu_host_resident_level(hva, *max_level);
	return 0;
}
