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

/* Conversions of a guest page that are under way: meanwhile it may be either. */
extern u32 model_converting[MODEL_TLB_ENTRIES];
/* Calls that change the slots and have not returned. */
extern u32 model_slot_updates;
/*
 * Guest pages, by address space, that a CPU has marked as used since the last ageing:
 * their leaves say so.
 */
extern bool model_used[KVM_MAX_NR_ADDRESS_SPACES][MODEL_TLB_ENTRIES];

void model_vcpu_enter(struct model_vcpu *vcpu);
void model_vcpu_leave(struct model_vcpu *vcpu);
/* Into system management mode, or out of it: into the other address space. */
void model_vcpu_set_smm(struct model_vcpu *vcpu, bool smm);
/* One access to guest page @gfn, with whatever faults it takes. */
void model_vcpu_access(struct model_vcpu *vcpu, gfn_t gfn, bool write);

#endif
