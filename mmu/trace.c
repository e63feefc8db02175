/* SPDX-License-Identifier: BSD-2-Clause */
/* See trace.h. */
#include "mmu/trace.h"

#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

void kvm_mmu_report_set_spte(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	struct kvm_pgtable_leaf leaf;

	/* Looked up again, so that a fault that nobody watches carries nothing for it. */
	if (ept_get_leaf(kvm_vcpu_pgt(vcpu), gfn_to_gpa(fault->gfn), &leaf) || !leaf.present)
		return;
	kvmu_trace(kvmmmu, kvm_mmu_set_spte, fault->gfn, leaf.pte, ptr_to_hva(leaf.ptep),
		   leaf.level, (leaf.prot & KVM_PGTABLE_PROT_R) != 0,
		   (leaf.prot & KVM_PGTABLE_PROT_X) != 0, (u64)-1);
}
