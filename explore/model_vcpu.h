/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU for the explorer: the kick protocol of a real one, a TLB, the walk of
 * the second stage, and an oracle that looks at each access.
 */
#ifndef KVMU_EXPLORE_MODEL_VCPU_H
#define KVMU_EXPLORE_MODEL_VCPU_H

#include "mmu/mmu.h"

#define MODEL_TLB_ENTRIES 128u

struct model_tlb_entry {
	bool valid;
	bool writable;
	hva_t hva;
};

struct model_vcpu {
	struct kvm_vcpu vcpu;
	struct model_tlb_entry tlb[MODEL_TLB_ENTRIES]; /* by guest page */
};

/* What guest pages are by their attributes; MODEL_EITHER while that changes. */
enum model_kind {
	MODEL_SHARED,
	MODEL_PRIVATE,
	MODEL_EITHER,
};

extern enum model_kind model_kinds[MODEL_TLB_ENTRIES];

void model_vcpu_enter(struct model_vcpu *vcpu);
void model_vcpu_leave(struct model_vcpu *vcpu);
/* One access to guest page @gfn, with whatever faults it takes. */
void model_vcpu_access(struct model_vcpu *vcpu, gfn_t gfn, bool write);

#endif
