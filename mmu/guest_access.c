/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM's own accesses to guest memory: through the slots, not through a vCPU. */
#include "mmu/vm.h"

enum guest_access {
	GUEST_READ = 0,
	GUEST_WRITE,
};

/* One copy: which memory, and whose ring is told. */
struct guest_copy {
	struct kvm *kvm;
	struct kvm_vcpu *vcpu; /* NULL: nobody's */
	u32 as_id;
	enum guest_access access;
};

static const struct kvm_memory_slot *find_slot(const struct guest_copy *copy, gfn_t gfn)
{
	return slot_index_find(kvm_memslots_in(copy->kvm, copy->as_id)->by_gfn, gfn);
}

static int gfn_to_hva_for(const struct guest_copy *copy, gfn_t gfn, hva_t *hva)
{
	const struct kvm_memory_slot *slot;
	int err = -EFAULT;

	mmu_host_rcu_read_lock();
	slot = find_slot(copy, gfn);
	if (slot && !(copy->access == GUEST_WRITE && (slot->flags & KVM_SLOT_READONLY))) {
		*hva = kvm_slot_gfn_to_hva(slot, gfn);
		err = 0;
	}
	mmu_host_rcu_read_unlock();
	return err;
}

/* Written before marked, also in part; in the slot as it is now, which may log by now. */
static void mark_written(const struct guest_copy *copy, gfn_t gfn)
{
	const struct kvm_memory_slot *slot;

	mmu_host_rcu_read_lock();
	slot = find_slot(copy, gfn);
	if (slot && !KVMU_MUTANT(OWN_WRITE_UNLOGGED))
		kvm_mark_page_dirty_in_slot(copy->kvm, copy->vcpu, slot, gfn);
	mmu_host_rcu_read_unlock();
}

/* ---- against changes of the slots ------------------------------------------------------ */

/*
 * A copy counts itself in the phase that it sees, then looks again: a change
 * publishes its slots, begins a phase, then looks at the count of the one before.
 * One of the two sees the other.  Returns the phase.
 */
static u32 begin_copy(struct kvm_guest_copies *copies)
{
	u32 phase = atomic_observe(&copies->phase);

	for (;;) {
		u32 now;

		atomic_add_ordered(&copies->nr[phase & 1], 1);
		barrier_full(); /* pairs with the one in kvm_guest_copies_wait() */
		now = atomic_observe(&copies->phase);
		if (now == phase || KVMU_MUTANT(COPY_LOOKS_ONCE))
			return phase;
		atomic_sub_ordered(&copies->nr[phase & 1], 1);
		phase = now;
	}
}

static void end_copy(struct kvm_guest_copies *copies, u32 phase)
{
	/* What was copied is seen by who sees the count. */
	atomic_sub_ordered(&copies->nr[phase & 1], 1);
}

void kvm_guest_copies_wait(struct kvm *kvm)
{
	struct kvm_guest_copies *copies = &kvm->guest_copies;
	u32 phase = copies->phase; /* slots_lock */

	/* Of the phase before that one none is left: it was waited for then. */
	atomic_publish(&copies->phase, phase + 1);
	barrier_full(); /* pairs with the one in begin_copy() */
	for (unsigned int turn = 0; atomic_observe(&copies->nr[phase & 1]); turn++)
		mmu_host_wait_turn(turn);
}

/* ---- the copy ---------------------------------------------------------------------------- */

static int copy_in_page(const struct guest_copy *copy, gpa_t gpa, void *buf, u64 bytes)
{
	hva_t hva;
	int err = gfn_to_hva_for(copy, gpa_to_gfn(gpa), &hva);

	if (err)
		return err;
	hva += gpa & ~PAGE_MASK;
	if (copy->access == GUEST_READ)
		return mmu_host_copy_from_hva(buf, hva, bytes);
	err = mmu_host_copy_to_hva(hva, buf, bytes);
	mark_written(copy, gpa_to_gfn(gpa));
	return err;
}

static int access_in_page(const struct guest_copy *copy, gpa_t gpa, void *buf, u64 bytes)
{
	struct kvm_guest_copies *copies = &copy->kvm->guest_copies;
	u32 phase = begin_copy(copies);
	int err = copy_in_page(copy, gpa, buf, bytes);

	end_copy(copies, phase);
	return err;
}

static int access_guest(struct guest_copy copy, gpa_t gpa, void *buf, u64 bytes)
{
	u8 *at = buf;

	while (bytes) {
		u64 now = min_u64(bytes, PAGE_SIZE - (gpa & ~PAGE_MASK));
		int err = access_in_page(&copy, gpa, at, now);

		if (err)
			return err;
		gpa += now;
		at += now;
		bytes -= now;
	}
	return 0;
}

/* Writing only reads the buffer. */
static int write_guest(struct guest_copy copy, gpa_t gpa, const void *buf, u64 bytes)
{
	copy.access = GUEST_WRITE;
	return access_guest(copy, gpa, (void *)(uintptr_t)buf, bytes);
}

int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *buf, u64 bytes)
{
	return access_guest((struct guest_copy){.kvm = kvm}, gpa, buf, bytes);
}

int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *buf, u64 bytes)
{
	return write_guest((struct guest_copy){.kvm = kvm}, gpa, buf, bytes);
}

static struct guest_copy of_vcpu(struct kvm_vcpu *vcpu)
{
	return (struct guest_copy){.kvm = vcpu->kvm, .vcpu = vcpu, .as_id = kvm_vcpu_as_id(vcpu)};
}

int kvm_vcpu_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, u64 bytes)
{
	return access_guest(of_vcpu(vcpu), gpa, buf, bytes);
}

int kvm_vcpu_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *buf, u64 bytes)
{
	return write_guest(of_vcpu(vcpu), gpa, buf, bytes);
}

int kvm_vcpu_write_shared(struct kvm_vcpu *vcpu, gpa_t gpa, const void *buf, u64 bytes)
{
	return write_guest((struct guest_copy){.kvm = vcpu->kvm, .vcpu = vcpu}, gpa, buf, bytes);
}
