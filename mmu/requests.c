/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to vCPUs and the TLB flush built on them.  The protocol is written
 * at struct kvm_vcpu.
 */
#include "mmu/mmu.h"

void kvm_make_request(struct kvm_vcpu *vcpu, enum kvm_vcpu_request request)
{
	/* Sequentially consistent: the barrier of "I say, then I look" is in it. */
	atomic_or(&vcpu->requests, (u32)request);
}

static bool owes_flush_in_guest(const struct kvm_vcpu *vcpu)
{
	return atomic_observe(&vcpu->mode) == IN_GUEST_MODE &&
	       (atomic_observe(&vcpu->requests) & KVM_REQ_TLB_FLUSH);
}

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	bool awaited = false;
	u32 i;

	kvm_for_each_vcpu (i, vcpu, kvm) {
		if (KVMU_MUTANT(FLUSH_ONE_VCPU) && i)
			break;
		kvm_make_request(vcpu, KVM_REQ_TLB_FLUSH);
	}
	barrier_full(); /* pairs with kvm_vcpu_enter_guest_mode() */
	kvm_for_each_vcpu (i, vcpu, kvm) {
		if (KVMU_MUTANT(FLUSH_NOT_AWAITED))
			continue;
		for (unsigned int turn = 0; owes_flush_in_guest(vcpu); turn++) {
			mmu_host_wait_turn(turn);
			awaited = true;
		}
	}
	atomic_add(&kvm->stat.remote_tlb_flush_requests, 1);
	if (awaited)
		atomic_add(&kvm->stat.remote_tlb_flushes, 1);
}
