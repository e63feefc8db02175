/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM's own accesses to guest memory: through the slots, not through a vCPU. */
#include "mmu/mmu.h"

enum guest_access {
	GUEST_READ,
	GUEST_WRITE,
};

static int gfn_to_hva_for(struct kvm *kvm, gfn_t gfn, enum guest_access access, hva_t *hva)
{
	const struct kvm_memory_slot *slot;
	int err = -EFAULT;

	mmu_host_rcu_read_lock();
	slot = kvm_gfn_to_memslot(kvm, gfn);
	if (slot && !(access == GUEST_WRITE && (slot->flags & KVM_SLOT_READONLY))) {
		*hva = kvm_slot_gfn_to_hva(slot, gfn);
		err = 0;
	}
	mmu_host_rcu_read_unlock();
	return err;
}

static int access_in_page(struct kvm *kvm, struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, u64 bytes,
			  enum guest_access access)
{
	hva_t hva;
	int err = gfn_to_hva_for(kvm, gpa_to_gfn(gpa), access, &hva);

	if (err)
		return err;
	hva += gpa & ~PAGE_MASK;
	if (access == GUEST_READ)
		return mmu_host_copy_from_hva(buf, hva, bytes);
	err = mmu_host_copy_to_hva(hva, buf, bytes);
	/* Written before marked, also in part; in the slot as it is now, which may log by now. */
	if (!KVMU_MUTANT(OWN_WRITE_UNLOGGED))
		kvm_mark_page_dirty(kvm, vcpu, gpa_to_gfn(gpa));
	return err;
}

static int access_guest(struct kvm *kvm, struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, u64 bytes,
			enum guest_access access)
{
	u8 *at = buf;

	while (bytes) {
		u64 now = min_u64(bytes, PAGE_SIZE - (gpa & ~PAGE_MASK));
		int err = access_in_page(kvm, vcpu, gpa, at, now, access);

		if (err)
			return err;
		gpa += now;
		at += now;
		bytes -= now;
	}
	return 0;
}

int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *buf, u64 bytes)
{
	return access_guest(kvm, NULL, gpa, buf, bytes, GUEST_READ);
}

int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *buf, u64 bytes)
{
	/* The buffer is only read in this direction. */
	return access_guest(kvm, NULL, gpa, (void *)(uintptr_t)buf, bytes, GUEST_WRITE);
}

int kvm_vcpu_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *buf, u64 bytes)
{
	return access_guest(vcpu->kvm, vcpu, gpa, (void *)(uintptr_t)buf, bytes, GUEST_WRITE);
}
