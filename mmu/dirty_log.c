/* SPDX-License-Identifier: BSD-2-Clause */
/* See dirty_log.h. */
#include "base/trace.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* ---- marking ------------------------------------------------------------------------ */

u32 kvm_dirty_ring_reserved(const struct kvm *kvm)
{
	return KVM_RING_RESERVED +
	       (kvm->dirty.method == KVM_DIRTY_BY_MARK ? KVM_RING_RESERVED_MARKS : 0);
}

static bool push_to(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;

	if (!kvm_dirty_ring_push(ring, slot->id | (u32)slot->as_id << 16, gfn - slot->base_gfn))
		return false;
	kvmu_trace(kvm, kvm_dirty_ring_push, vcpu->vcpu_idx, atomic_peek(&ring->dirty_index),
		   atomic_peek(&ring->reset_index), slot->id | (u32)slot->as_id << 16,
		   gfn - slot->base_gfn);
	if (kvm_dirty_ring_soft_full(ring))
		kvm_make_request(vcpu, KVM_REQ_DIRTY_RING_SOFT_FULL);
	return true;
}

/* The reserve makes room for every write before an exit; without it another ring must do. */
static void push_to_a_ring(struct kvm *kvm, struct kvm_vcpu *vcpu,
			   const struct kvm_memory_slot *slot, gfn_t gfn)
{
	u32 i;

	if (vcpu && push_to(vcpu, slot, gfn))
		return;
	kvm_for_each_vcpu (i, vcpu, kvm) {
		if (push_to(vcpu, slot, gfn))
			return;
	}
	KVMU_WARN_ON_ONCE(true); /* a page is missing from the log */
}

void kvm_mark_page_dirty_in_slot(struct kvm *kvm, struct kvm_vcpu *vcpu,
				 const struct kvm_memory_slot *slot, gfn_t gfn)
{
	if (!kvm_slot_dirty_track_enabled(slot))
		return;
	if (atomic_peek(&kvm->dirty.ring_bytes))
		push_to_a_ring(kvm, vcpu, slot, gfn);
	else
		kvm_dirty_bitmap_mark(slot->dirty_bitmap, gfn - slot->base_gfn);
}

void kvm_vcpu_dirty_mark_set(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	const struct kvm_memory_slot *slot;

	/* Under write protection a leaf that may be written is in the log already. */
	if (vcpu->kvm->dirty.method != KVM_DIRTY_BY_MARK || KVMU_MUTANT(MARK_UNLOGGED))
		return;
	mmu_host_rcu_read_lock();
	slot = kvm_vcpu_gfn_to_memslot(vcpu, gpa_to_gfn(gpa));
	if (slot)
		kvm_mark_page_dirty_in_slot(vcpu->kvm, vcpu, slot, gpa_to_gfn(gpa));
	mmu_host_rcu_read_unlock();
}

/* ---- making the next write noticed ----------------------------------------------------- */

/* Pages of a slot, gathered into runs: one walk per run and not per page. */
struct page_runs {
	struct kvm *kvm;
	const struct kvm_memory_slot *slot;
	void (*apply)(struct page_runs *runs);
	u64 start; /* the run at hand, in pages of the slot */
	u64 end;
	struct kvm_pgtable_flush flush;
};

static void runs_finish(struct page_runs *runs)
{
	if (runs->start < runs->end)
		runs->apply(runs);
	runs->start = runs->end;
}

static void runs_add(struct page_runs *runs, u64 first, u64 nr)
{
	if (first != runs->end) {
		runs_finish(runs);
		runs->start = first;
	}
	runs->end = first + nr;
}

static void runs_add_mask(void *ctx, u64 first, u64 mask)
{
	while (mask) {
		unsigned int low = (unsigned int)__builtin_ctzll(mask);
		u64 ones = ~(mask >> low);
		unsigned int nr = ones ? (unsigned int)__builtin_ctzll(ones) : 64;

		runs_add(ctx, first + low, nr);
		mask = low + nr < 64 ? mask & (~0ull << (low + nr)) : 0;
	}
}

/* mmu_lock for writing, so that no fault maps meanwhile; the fast path may, see there. */
static void protect_run(struct page_runs *runs)
{
	struct kvm *kvm = runs->kvm;
	struct kvm_pgtable *pgt = &kvm->pgt[runs->slot->as_id];
	u64 addr = gfn_to_gpa(runs->slot->base_gfn + runs->start);
	u64 bytes = (runs->end - runs->start) << PAGE_SHIFT;
	int err = kvm->dirty.method == KVM_DIRTY_BY_MARK
			  ? ept_mkclean(pgt, addr, bytes, 0, &runs->flush)
			  : ept_wrprotect(pgt, addr, bytes, 0, &runs->flush);

	/* Slots lie inside what the tables translate, and nothing is allocated. */
	KVM_BUG_ON(err, kvm);
}

static void split_run(struct page_runs *runs)
{
	gfn_t base = runs->slot->base_gfn;

	kvm_mmu_try_split_huge_pages(runs->kvm, runs->slot, base + runs->start, base + runs->end);
}

static struct page_runs protecting(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	return (struct page_runs){.kvm = kvm, .slot = slot, .apply = protect_run};
}

/* Not under mmu_lock: what waits for it need not wait for the vCPUs too. */
static void flush_runs(const struct page_runs *runs)
{
	if (kvm_pgtable_flush_owed(&runs->flush) && !KVMU_MUTANT(CLEAR_WITHOUT_FLUSH))
		kvm_flush_remote_tlbs(runs->kvm);
}

/* ---- bitmaps ------------------------------------------------------------------------- */

/* slots_lock held. */
static int find_log(struct kvm *kvm, u32 id, const struct kvm_memory_slot **slot)
{
	struct kvm_memory_slot **by_id = kvm_slot_place(kvm, id);

	if (!by_id)
		return -EINVAL;
	*slot = *by_id;
	return *slot && (*slot)->dirty_bitmap ? 0 : -ENOENT;
}

static void take_log(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	struct page_runs runs = protecting(kvm, slot);

	mmu_write_lock(&kvm->mmu_lock);
	kvm_dirty_bitmap_take(slot->dirty_bitmap, runs_add_mask, &runs);
	runs_finish(&runs);
	mmu_write_unlock(&kvm->mmu_lock);
	flush_runs(&runs);
}

#define GROUP_BYTES (KVM_DIRTY_GROUP_WORDS * sizeof(u64))

/* Groups of words that are there go over as they are, the others as zeros. */
static int put_copy(const struct kvm_dirty_bitmap *bitmap, const struct kvm_dirty_user *user)
{
	u64 group = 0;
	int err = 0;

	while (!err && group < bitmap->nr_groups) {
		u64 end = kvm_dirty_bitmap_next_group(bitmap, group);
		bool there = end == group;
		u64 at = group * GROUP_BYTES;

		while (there && end < bitmap->nr_groups &&
		       kvm_dirty_bitmap_next_group(bitmap, end) == end)
			end++;
		err = user->put(user->ctx, at, there ? (const char *)bitmap->copy + at : NULL,
				min_u64(end * GROUP_BYTES, kvm_dirty_bitmap_bytes(bitmap)) - at);
		group = end;
	}
	return err;
}

static int get_log(struct kvm *kvm, const struct kvm_memory_slot *slot,
		   const struct kvm_dirty_user *user)
{
	bool manual = atomic_peek(&kvm->dirty.manual) & KVM_DIRTY_MANUAL_PROTECT;
	int err;

	if (manual)
		kvm_dirty_bitmap_peek(slot->dirty_bitmap);
	else
		take_log(kvm, slot);
	err = put_copy(slot->dirty_bitmap, user);
	if (err && !manual && !KVMU_MUTANT(LOG_LOST_ON_ERROR))
		kvm_dirty_bitmap_put_back(slot->dirty_bitmap);
	return err;
}

int kvm_get_dirty_log(struct kvm *kvm, u32 slot_id, const struct kvm_dirty_user *user)
{
	const struct kvm_memory_slot *slot;
	int err;

	if (atomic_peek(&kvm->dirty.ring_bytes))
		return -ENXIO;
	mmu_mutex_lock(&kvm->slots_lock);
	err = find_log(kvm, slot_id, &slot);
	if (!err)
		err = get_log(kvm, slot, user);
	mmu_mutex_unlock(&kvm->slots_lock);
	return err;
}

static bool clear_range_is_sane(const struct kvm_memory_slot *slot, u64 first_page, u32 num_pages)
{
	u64 left = slot->npages - first_page;

	/* Whole words, but for the end of the slot. */
	return first_page <= slot->npages && num_pages <= left &&
	       (num_pages == left || !(num_pages % KVM_DIRTY_WORD_PAGES));
}

/* A block that is protected for some of its pages faults for all: better split before. */
static void split_before_clear(struct kvm *kvm, const struct kvm_memory_slot *slot, u64 first_word,
			       u64 nr_words)
{
	const struct kvm_dirty_bitmap *bitmap = slot->dirty_bitmap;
	struct page_runs runs = {.kvm = kvm, .slot = slot, .apply = split_run};

	for (u64 i = 0; i < nr_words; i++)
		runs_add_mask(&runs, (first_word + i) * KVM_DIRTY_WORD_PAGES,
			      bitmap->copy[i] & atomic_peek(&bitmap->word[first_word + i]));
	runs_finish(&runs);
}

static int clear_log(struct kvm *kvm, const struct kvm_memory_slot *slot, u64 first_page,
		     u32 num_pages, const struct kvm_dirty_user *user)
{
	struct page_runs runs = protecting(kvm, slot);
	struct kvm_dirty_bitmap *bitmap = slot->dirty_bitmap;
	u64 first_word = first_page / KVM_DIRTY_WORD_PAGES;
	u64 nr_words = ((u64)num_pages + KVM_DIRTY_WORD_PAGES - 1) / KVM_DIRTY_WORD_PAGES;
	int err;

	if (!clear_range_is_sane(slot, first_page, num_pages))
		return -EINVAL;
	err = nr_words ? user->get(user->ctx, 0, bitmap->copy, nr_words * sizeof(u64)) : 0;
	if (err)
		return err;
	if (bitmap->initially_set && kvm->dirty.eager_split)
		split_before_clear(kvm, slot, first_word, nr_words);
	mmu_write_lock(&kvm->mmu_lock);
	kvm_dirty_bitmap_clear(bitmap, first_word, nr_words, runs_add_mask, &runs);
	runs_finish(&runs);
	mmu_write_unlock(&kvm->mmu_lock);
	flush_runs(&runs);
	return 0;
}

int kvm_clear_dirty_log(struct kvm *kvm, u32 slot_id, u64 first_page, u32 num_pages,
			const struct kvm_dirty_user *user)
{
	const struct kvm_memory_slot *slot;
	int err;

	if (atomic_peek(&kvm->dirty.ring_bytes))
		return -ENXIO;
	if (first_page % KVM_DIRTY_WORD_PAGES)
		return -EINVAL;
	mmu_mutex_lock(&kvm->slots_lock);
	err = find_log(kvm, slot_id, &slot);
	if (!err)
		err = clear_log(kvm, slot, first_page, num_pages, user);
	mmu_mutex_unlock(&kvm->slots_lock);
	return err;
}

/* ---- rings ---------------------------------------------------------------------------- */

/* What user space says about an entry is checked: it may have written anything there. */
static bool ring_page(struct kvm *kvm, u32 id, u64 offset, const struct kvm_memory_slot **slot)
{
	struct kvm_memory_slot **by_id = kvm_slot_place(kvm, id);

	if (!by_id)
		return false;
	*slot = *by_id;
	return *slot && offset < (*slot)->npages;
}

static int reset_ring(struct kvm *kvm, struct kvm_dirty_ring *ring, struct page_runs *runs)
{
	const struct kvm_memory_slot *slot;
	u64 offset;
	int nr = 0;
	u32 id;

	if (!atomic_observe(&ring->size))
		return 0;
	for (; kvm_dirty_ring_next_reset(ring, &id, &offset); nr++) {
		if (!ring_page(kvm, id, offset, &slot) || KVMU_MUTANT(RESET_UNPROTECTED))
			continue;
		if (slot != runs->slot) {
			runs_finish(runs);
			runs->slot = slot;
		}
		runs_add(runs, offset, 1);
	}
	return nr;
}

int kvm_reset_dirty_rings(struct kvm *kvm)
{
	struct page_runs runs = protecting(kvm, NULL);
	struct kvm_vcpu *vcpu;
	int nr = 0;
	u32 i;

	if (!atomic_peek(&kvm->dirty.ring_bytes))
		return -EINVAL;
	mmu_mutex_lock(&kvm->slots_lock);
	kvm_for_each_vcpu (i, vcpu, kvm) {
		mmu_write_lock(&kvm->mmu_lock);
		nr += reset_ring(kvm, &vcpu->dirty_ring, &runs);
		kvmu_trace(kvm, kvm_dirty_ring_reset, i, atomic_peek(&vcpu->dirty_ring.dirty_index),
			   vcpu->dirty_ring.reset_index);
		runs_finish(&runs);
		mmu_write_unlock(&kvm->mmu_lock);
	}
	mmu_mutex_unlock(&kvm->slots_lock);
	flush_runs(&runs);
	return nr;
}

/* ---- logging begins and ends ------------------------------------------------------------ */

static bool starts_all_set(const struct kvm *kvm)
{
	const u32 both = KVM_DIRTY_MANUAL_PROTECT | KVM_DIRTY_INITIALLY_SET;

	return (atomic_peek(&kvm->dirty.manual) & both) == both;
}

int kvm_dirty_log_prepare(struct kvm *kvm, const struct kvm_memory_slot *old,
			  struct kvm_memory_slot *new)
{
	new->dirty_bitmap = NULL;
	if (!kvm_slot_dirty_track_enabled(new))
		return 0;
	if (old && old->dirty_bitmap)
		new->dirty_bitmap = old->dirty_bitmap;
	else if (!atomic_peek(&kvm->dirty.ring_bytes))
		new->dirty_bitmap = kvm_dirty_bitmap_new(new->npages, starts_all_set(kvm));
	else
		return 0;
	return new->dirty_bitmap ? 0 : -ENOMEM;
}

static const struct kvm_dirty_bitmap *bitmap_of(const struct kvm_memory_slot *slot)
{
	return slot ? slot->dirty_bitmap : NULL;
}

void kvm_dirty_log_abort(const struct kvm_memory_slot *old, struct kvm_memory_slot *new)
{
	if (new->dirty_bitmap != bitmap_of(old))
		kvm_dirty_bitmap_free(new->dirty_bitmap);
}

void kvm_dirty_log_finish(struct kvm_memory_slot *old, const struct kvm_memory_slot *new)
{
	if (old->dirty_bitmap != bitmap_of(new))
		kvm_dirty_bitmap_free(old->dirty_bitmap);
}

/* All that could be written unnoticed until now. */
static void protect_slot(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	struct page_runs runs = protecting(kvm, slot);

	if (kvm->dirty.eager_split)
		kvm_mmu_try_split_huge_pages(kvm, slot, slot->base_gfn,
					     slot->base_gfn + slot->npages);
	mmu_write_lock(&kvm->mmu_lock);
	runs_add(&runs, 0, slot->npages);
	runs_finish(&runs);
	mmu_write_unlock(&kvm->mmu_lock);
	flush_runs(&runs);
}

void kvm_dirty_log_switched(struct kvm *kvm, u32 old_flags, const struct kvm_memory_slot *slot)
{
	/* What cannot be written has nothing to protect. */
	if (!((old_flags ^ slot->flags) & KVM_SLOT_LOG_DIRTY) || (slot->flags & KVM_SLOT_READONLY))
		return;
	if (!kvm_slot_dirty_track_enabled(slot))
		kvm_mmu_recover_huge_pages(kvm, slot);
	else if (!KVMU_MUTANT(LOG_BEGINS_UNPROTECTED) &&
		 (!slot->dirty_bitmap || !slot->dirty_bitmap->initially_set))
		protect_slot(kvm, slot);
}
