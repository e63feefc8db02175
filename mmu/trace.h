/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace points of the MMU that need more than their fields at hand. */
#ifndef KVMU_MMU_TRACE_H
#define KVMU_MMU_TRACE_H

#include "base/trace.h"
#include "mmu/mmu.h"

/* With mmu_lock held: the entry that @fault has just mapped. */
void kvm_mmu_report_set_spte(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault);

static inline void kvm_mmu_trace_set_spte(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	if (kvmu_trace_wanted(kvmmmu, kvm_mmu_set_spte))
		kvm_mmu_report_set_spte(vcpu, fault);
}

#endif
