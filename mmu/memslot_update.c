/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing the memslots: KVM_SET_USER_MEMORY_REGION's rules (KVM API document,
 * 4.35), and publishing the new set so that no vCPU uses the old layout when
 * the call returns.
 */
#include "mmu/gmem.h"
#include "mmu/vm.h"

#define MAX_SLOT_PAGES ((1ull << 31) - 1)
#define USER_SPACE_END (1ull << 47)

enum slot_change {
	SLOT_CREATE,
	SLOT_DELETE,
	SLOT_MOVE,
	SLOT_FLAGS_ONLY,
	SLOT_NOTHING,
};

static bool region_is_sane(const struct kvm *kvm, const struct kvm_slot_request *request)
{
	u64 gpa = request->guest_phys_addr;
	u64 size = request->memory_size;

	if (!is_aligned(gpa | size | request->userspace_addr, PAGE_SIZE))
		return false;
	if (gpa + size < gpa || request->userspace_addr + size < request->userspace_addr)
		return false;
	if (request->userspace_addr + size > USER_SPACE_END)
		return false;
	if (gpa + size > 1ull << kvm->pgt[0].config.input_bits)
		return false;
	return size >> PAGE_SHIFT <= MAX_SLOT_PAGES;
}

/* Private memory is neither logged nor read-only: what a write to ROM means is MMIO. */
static u32 allowed_flags(const struct kvm *kvm, u32 flags)
{
	if (flags & KVM_SLOT_GUEST_MEMFD)
		return kvm->has_private_mem ? KVM_SLOT_GUEST_MEMFD : 0;
	return KVM_SLOT_READONLY | KVM_SLOT_LOG_DIRTY;
}

static bool request_is_sane(struct kvm *kvm, const struct kvm_slot_request *request)
{
	u64 gmem_end = request->gmem_offset + request->memory_size;

	if (!kvm_slot_place(kvm, request->slot))
		return false;
	if (request->flags & ~allowed_flags(kvm, request->flags))
		return false;
	if ((request->flags & KVM_SLOT_GUEST_MEMFD) &&
	    (!is_aligned(request->gmem_offset, PAGE_SIZE) || gmem_end < request->gmem_offset))
		return false;
	return region_is_sane(kvm, request);
}

/* 0 with *@change set, or -EINVAL. */
static int classify_change(const struct kvm_memory_slot *old,
			   const struct kvm_slot_request *request, enum slot_change *change)
{
	u64 npages = request->memory_size >> PAGE_SHIFT;

	if (!npages) {
		*change = SLOT_DELETE;
		return old ? 0 : -EINVAL;
	}
	if (!old) {
		*change = SLOT_CREATE;
		return 0;
	}
	/* A live slot keeps its size, its memory and its kind. */
	if (npages != old->npages || request->userspace_addr != old->userspace_addr)
		return -EINVAL;
	if ((request->flags ^ old->flags) & (KVM_SLOT_READONLY | KVM_SLOT_GUEST_MEMFD))
		return -EINVAL;
	/* With private memory it can only be deleted. */
	if (old->flags & KVM_SLOT_GUEST_MEMFD)
		return -EINVAL;
	if (gpa_to_gfn(request->guest_phys_addr) != old->base_gfn)
		*change = SLOT_MOVE;
	else if (request->flags != old->flags)
		*change = SLOT_FLAGS_ONLY;
	else
		*change = SLOT_NOTHING;
	return 0;
}

static struct slot_extent gfn_extent(const struct kvm_memory_slot *slot)
{
	return (struct slot_extent){slot->base_gfn, slot->base_gfn + slot->npages};
}

static struct slot_extent hva_extent(const struct kvm_memory_slot *slot)
{
	hva_t start = slot->userspace_addr;

	return (struct slot_extent){start, start + (slot->npages << PAGE_SHIFT)};
}

static bool overlaps_another(const struct kvm_memslots *slots, const struct kvm_memory_slot *slot,
			     const struct kvm_memory_slot *itself)
{
	struct slot_extent gfns = gfn_extent(slot);
	struct slot_index_iter it = slot_index_iter(slots->by_gfn, gfns.start, gfns.end);
	const struct kvm_memory_slot *other;

	while ((other = slot_index_next(&it))) {
		if (other != itself)
			return true;
	}
	return false;
}

/* ---- the new set ------------------------------------------------------------------ */

/* One change on its way: from what is published to what will be. */
struct slot_update {
	struct kvm *kvm;
	u32 as_id;
	struct kvm_memory_slot *old; /* NULL: create */
	struct kvm_memory_slot *new; /* NULL: delete */
	struct kvm_memslots *set;
	struct slot_index_edit by_gfn;
	struct slot_index_edit by_hva;
};

static int edit_index(struct slot_index_edit *edit, const struct slot_update *update,
		      struct slot_extent (*extent)(const struct kvm_memory_slot *slot))
{
	int err = 0;

	if (update->old)
		err = slot_index_erase(edit, extent(update->old), update->old);
	if (!err && update->new)
		err = slot_index_insert(edit, extent(update->new), update->new);
	if (!err)
		slot_index_seal(edit);
	return err;
}

static u64 pages_of(const struct kvm_memory_slot *slot)
{
	return slot ? slot->npages : 0;
}

static int build_set(struct slot_update *update)
{
	const struct kvm_memslots *before = update->kvm->memslots[update->as_id];
	const u64 generation = before->generation + 1;
	int err = slot_index_begin(&update->by_gfn, before->by_gfn, generation);

	if (!err)
		err = slot_index_begin(&update->by_hva, before->by_hva, generation);
	if (!err)
		err = edit_index(&update->by_gfn, update, gfn_extent);
	if (!err)
		err = edit_index(&update->by_hva, update, hva_extent);
	if (err)
		return err;
	*update->set = (struct kvm_memslots){
		.generation = generation,
		.npages = before->npages + pages_of(update->new) - pages_of(update->old),
		.nr = before->nr + (update->new != NULL) - (update->old != NULL),
		.by_gfn = update->by_gfn.index,
		.by_hva = update->by_hva.index,
	};
	return 0;
}

/* No reader sees it, any more or yet. */
static void free_slot(struct kvm_memory_slot *slot)
{
	if (slot)
		kvm_gmem_unbind(slot);
	mmu_host_free(slot);
}

static void abort_update(struct slot_update *update)
{
	slot_index_abort(&update->by_gfn);
	slot_index_abort(&update->by_hva);
	if (update->new)
		kvm_dirty_log_abort(update->old, update->new);
	mmu_host_free(update->set);
	free_slot(update->new);
}

/* Nobody can see the old set any more. */
static void finish_update(struct slot_update *update, struct kvm_memslots *before)
{
	slot_index_finish(&update->by_gfn);
	slot_index_finish(&update->by_hva);
	mmu_host_free(before);
	if (update->old)
		kvm_dirty_log_finish(update->old, update->new);
	free_slot(update->old);
}

/* ---- publishing it ---------------------------------------------------------------- */

/*
 * mmu_lock for writing, at a moment when no host change is between its begin
 * and its end: such a bracket has recorded the gfns of the old set, and a slot
 * that appeared under it could map memory that is about to go.
 */
static void lock_between_host_changes(struct kvm *kvm)
{
	for (unsigned int turn = 0;; turn++) {
		mmu_write_lock(&kvm->mmu_lock);
		if (!kvm->active_hva_changes || KVMU_MUTANT(SLOT_IN_OPEN_CHANGE))
			return;
		mmu_write_unlock(&kvm->mmu_lock);
		mmu_host_wait_turn(turn);
	}
}

/*
 * Publish the new set.  A fault that has looked the old slot up must look again,
 * also when only flags have changed; what a slot that goes away mapped is
 * unmapped and flushed before the lock is dropped.
 */
static void publish_set(struct slot_update *update, enum slot_change change)
{
	struct kvm *kvm = update->kvm;
	struct kvm_memslots *before = kvm->memslots[update->as_id];
	const struct kvm_memory_slot *old = update->old;
	struct kvm_retired retired;
	bool bracket = old && !(change == SLOT_FLAGS_ONLY && KVMU_MUTANT(FLAGS_WITHOUT_BRACKET));

	lock_between_host_changes(kvm);
	if (bracket) {
		kvm_mmu_invalidate_begin(kvm);
		kvm_mmu_invalidate_range_add(kvm, old->base_gfn, old->base_gfn + old->npages);
	}
	/* Pairs with the observe in kvm_memslots_in(). */
	atomic_publish(&kvm->memslots[update->as_id], update->set);
	if (old && change != SLOT_FLAGS_ONLY && !KVMU_MUTANT(SLOT_LEAVES_LEAVES))
		kvm_mmu_zap_and_flush(kvm, update->as_id, old->base_gfn,
				      old->base_gfn + old->npages);
	kvm_mmu_mmio_new_generation(kvm, update->as_id, update->set->generation);
	retired = kvm_mmu_take_retired(kvm);
	if (bracket && !(change == SLOT_FLAGS_ONLY && KVMU_MUTANT(BRACKET_LEFT_OPEN)))
		kvm_mmu_invalidate_end(kvm);
	kvm_stat_add(&kvm->stat.memslot_updates, 1);
	mmu_write_unlock(&kvm->mmu_lock);

	if (retired.first)
		kvm_mmu_free_retired(kvm, retired);
	else if (!KVMU_MUTANT(SLOT_FREED_AT_ONCE))
		mmu_host_synchronize_rcu();
	if (old && !KVMU_MUTANT(COPY_OUTLIVES_SLOT))
		kvm_guest_copies_wait(kvm);
	finish_update(update, before);
}

/* The slot as @request wants it; what belongs to @old goes over.  NULL: no memory. */
static struct kvm_memory_slot *make_slot(const struct kvm_memory_slot *old,
					 const struct kvm_slot_request *request)
{
	struct kvm_memory_slot *slot = mmu_host_alloc(SITE_memslot, sizeof(*slot));

	if (!slot)
		return NULL;
	if (old)
		*slot = *old;
	slot->base_gfn = gpa_to_gfn(request->guest_phys_addr);
	slot->npages = request->memory_size >> PAGE_SHIFT;
	slot->userspace_addr = request->userspace_addr;
	slot->flags = request->flags;
	slot->id = (u16)request->slot;
	slot->as_id = (u16)(request->slot >> 16);
	return slot;
}

static int bind_private_memory(struct kvm_memory_slot *slot, const struct kvm_slot_request *request)
{
	if (!(request->flags & KVM_SLOT_GUEST_MEMFD))
		return 0;
	if (!request->gmem)
		return request->gmem_error;
	return kvm_gmem_bind(slot, request->gmem, request->gmem_offset);
}

static int prepare_update(struct slot_update *update, const struct kvm_slot_request *request,
			  enum slot_change change)
{
	int err;

	if (change != SLOT_DELETE) {
		update->new = make_slot(update->old, request);
		if (!update->new)
			return -ENOMEM;
		if (kvm_dirty_log_prepare(update->kvm, update->old, update->new))
			return -ENOMEM;
		if (change != SLOT_FLAGS_ONLY &&
		    overlaps_another(update->kvm->memslots[update->as_id], update->new,
				     update->old))
			return -EEXIST;
		err = bind_private_memory(update->new, request);
		if (err)
			return err;
	}
	update->set = mmu_host_alloc(SITE_memslot, sizeof(*update->set));
	return update->set ? build_set(update) : -ENOMEM;
}

static int apply_change(struct kvm *kvm, const struct kvm_slot_request *request,
			enum slot_change change)
{
	struct kvm_memory_slot **by_id = kvm_slot_place(kvm, request->slot);
	struct slot_update update = {.kvm = kvm, .as_id = request->slot >> 16, .old = *by_id};
	u32 old_flags = update.old ? update.old->flags : 0;
	int err = prepare_update(&update, request, change);

	if (err) {
		abort_update(&update);
		return err;
	}
	*by_id = update.new;
	publish_set(&update, change);
	if (change == SLOT_FLAGS_ONLY)
		kvm_dirty_log_switched(kvm, old_flags, update.new);
	return 0;
}

int kvm_set_memory_region(struct kvm *kvm, const struct kvm_slot_request *request)
{
	enum slot_change change;
	int err;

	if (!request_is_sane(kvm, request))
		return -EINVAL;
	mmu_mutex_lock(&kvm->slots_lock);
	err = atomic_peek(&kvm->vm_bugged)
		      ? -EIO
		      : classify_change(*kvm_slot_place(kvm, request->slot), request, &change);
	if (!err && change != SLOT_NOTHING)
		err = apply_change(kvm, request, change);
	mmu_mutex_unlock(&kvm->slots_lock);
	return err;
}

/* ---- the first set and the last ------------------------------------------------------ */

static int init_space(struct kvm *kvm, u32 as_id)
{
	struct kvm_memslots *set = mmu_host_alloc(SITE_memslot, sizeof(*set));

	kvm->memslots[as_id] = set;
	kvm->slot_by_id[as_id] =
		mmu_host_alloc(SITE_memslot, KVM_USER_MEM_SLOTS * sizeof(kvm->slot_by_id[0][0]));
	if (set) {
		/* 0 is "never looked" in a vCPU's caches. */
		set->generation = 1;
		set->by_gfn = slot_index_new();
		set->by_hva = slot_index_new();
	}
	return set && kvm->slot_by_id[as_id] && set->by_gfn && set->by_hva ? 0 : -ENOMEM;
}

int kvm_memslots_init(struct kvm *kvm)
{
	int err = 0;

	for (u32 as_id = 0; !err && as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++)
		err = init_space(kvm, as_id);
	if (err)
		kvm_memslots_destroy(kvm);
	return err;
}

static void free_set(struct kvm_memslots *set)
{
	if (!set)
		return;
	if (set->by_gfn)
		slot_index_free(set->by_gfn);
	if (set->by_hva)
		slot_index_free(set->by_hva);
	mmu_host_free(set);
}

/* There are @nr; behind the last one nothing need be looked at. */
static void free_slots(struct kvm_memory_slot **by_id, u32 nr)
{
	for (u32 id = 0; nr; id++) {
		if (!by_id[id])
			continue;
		kvm_dirty_log_finish(by_id[id], NULL);
		mmu_host_free(by_id[id]);
		nr--;
	}
	mmu_host_free(by_id);
}

void kvm_memslots_destroy(struct kvm *kvm)
{
	for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++) {
		struct kvm_memslots *set = kvm->memslots[as_id];

		free_slots(kvm->slot_by_id[as_id], set ? set->nr : 0);
		free_set(set);
	}
}
