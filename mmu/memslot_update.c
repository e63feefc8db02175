/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing the memslots: KVM_SET_USER_MEMORY_REGION's rules (KVM API document,
 * 4.35), and publishing the new set so that no vCPU uses the old layout when
 * the call returns.
 */
#include "mmu/mmu.h"
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
	if (gpa + size > 1ull << kvm->pgt.config.input_bits)
		return false;
	return size >> PAGE_SHIFT <= MAX_SLOT_PAGES;
}

static bool request_is_sane(const struct kvm *kvm, const struct kvm_slot_request *request)
{
	if (request->slot >> 16 != 0) /* one address space */
		return false;
	if ((request->slot & 0xffff) >= KVM_USER_MEM_SLOTS)
		return false;
	if (request->flags & ~(u32)KVM_SLOT_READONLY)
		return false;
	return region_is_sane(kvm, request);
}

static const struct kvm_memory_slot *slot_by_id(const struct kvm_memslots *slots, u16 id)
{
	for (u32 i = 0; i < slots->nr; i++) {
		if (slots->slots[i].id == id)
			return &slots->slots[i];
	}
	return NULL;
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
	if ((request->flags ^ old->flags) & KVM_SLOT_READONLY)
		return -EINVAL;
	if (gpa_to_gfn(request->guest_phys_addr) != old->base_gfn)
		*change = SLOT_MOVE;
	else if (request->flags != old->flags)
		*change = SLOT_FLAGS_ONLY;
	else
		*change = SLOT_NOTHING;
	return 0;
}

static bool overlaps_another(const struct kvm_memslots *slots, const struct kvm_memory_slot *slot)
{
	for (u32 i = 0; i < slots->nr; i++) {
		const struct kvm_memory_slot *other = &slots->slots[i];

		if (other->id != slot->id && slot->base_gfn < other->base_gfn + other->npages &&
		    other->base_gfn < slot->base_gfn + slot->npages)
			return true;
	}
	return false;
}

/* A copy of @slots without slot @id and, if @add, with it, in order; NULL: no memory. */
static struct kvm_memslots *copy_memslots(const struct kvm_memslots *slots, u16 id,
					  const struct kvm_memory_slot *add)
{
	struct kvm_memslots *copy =
		mmu_host_alloc(sizeof(*copy) + (slots->nr + 1) * sizeof(copy->slots[0]));

	if (!copy)
		return NULL;
	copy->generation = slots->generation + 1;
	for (u32 i = 0; i < slots->nr; i++) {
		const struct kvm_memory_slot *slot = &slots->slots[i];

		if (slot->id == id)
			continue;
		if (add && add->base_gfn < slot->base_gfn) {
			copy->slots[copy->nr++] = *add;
			add = NULL;
		}
		copy->slots[copy->nr++] = *slot;
	}
	if (add)
		copy->slots[copy->nr++] = *add;
	return copy;
}

/*
 * mmu_lock for writing, at a moment when no host change is between its begin
 * and its end: such a bracket has recorded the gfns of the old set, and a slot
 * that appeared under it could map memory that is about to go.
 */
static void lock_between_host_changes(struct kvm *kvm)
{
	for (unsigned int turn = 0;; turn++) {
		mmu_write_lock(&kvm->mmu_lock);
		if (!kvm->active_hva_changes)
			return;
		mmu_write_unlock(&kvm->mmu_lock);
		mmu_host_wait_turn(turn);
	}
}

/* Publish @slots; what @gone mapped is unmapped and flushed before the lock is dropped. */
static void replace_memslots(struct kvm *kvm, struct kvm_memslots *slots,
			     const struct kvm_memory_slot *gone)
{
	struct kvm_memslots *old = kvm->memslots;
	struct kvm_retired retired = {0};

	lock_between_host_changes(kvm);
	if (gone) {
		kvm_mmu_invalidate_begin(kvm);
		kvm_mmu_invalidate_range_add(kvm, gone->base_gfn, gone->base_gfn + gone->npages);
	}
	/* Pairs with the observe in kvm_gfn_to_memslot(). */
	atomic_publish(&kvm->memslots, slots);
	if (gone) {
		kvm_mmu_zap_and_flush(kvm, gone->base_gfn, gone->base_gfn + gone->npages);
		retired = kvm_mmu_take_retired(kvm);
		kvm_mmu_invalidate_end(kvm);
	}
	kvm->stat.memslot_updates++;
	mmu_write_unlock(&kvm->mmu_lock);

	if (retired.first)
		kvm_mmu_free_retired(kvm, retired);
	else
		mmu_host_synchronize_rcu();
	mmu_host_free(old);
}

static int apply_change(struct kvm *kvm, const struct kvm_memory_slot *old,
			const struct kvm_slot_request *request, enum slot_change change)
{
	const struct kvm_memory_slot slot = {
		.base_gfn = gpa_to_gfn(request->guest_phys_addr),
		.npages = request->memory_size >> PAGE_SHIFT,
		.userspace_addr = request->userspace_addr,
		.flags = request->flags,
		.id = (u16)request->slot,
	};
	bool stays = change != SLOT_DELETE;
	/* A copy: @old lives in the set that goes away. */
	struct kvm_memory_slot gone = old ? *old : slot;
	struct kvm_memslots *slots;

	if (stays && change != SLOT_FLAGS_ONLY && overlaps_another(kvm->memslots, &slot))
		return -EEXIST;
	slots = copy_memslots(kvm->memslots, slot.id, stays ? &slot : NULL);
	if (!slots)
		return -ENOMEM;
	replace_memslots(kvm, slots, change == SLOT_DELETE || change == SLOT_MOVE ? &gone : NULL);
	return 0;
}

int kvm_set_memory_region(struct kvm *kvm, const struct kvm_slot_request *request)
{
	const struct kvm_memory_slot *old;
	enum slot_change change;
	int err;

	if (!request_is_sane(kvm, request))
		return -EINVAL;
	mmu_mutex_lock(&kvm->slots_lock);
	old = slot_by_id(kvm->memslots, (u16)request->slot);
	err = atomic_peek(&kvm->vm_bugged) ? -EIO : classify_change(old, request, &change);
	if (!err && change != SLOT_NOTHING)
		err = apply_change(kvm, old, request, change);
	mmu_mutex_unlock(&kvm->slots_lock);
	return err;
}
