/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logging in a scenario, used as a program uses it that moves a guest to
 * another machine: it copies everything, lets the guest run, and copies what the
 * log names.  The oracle: after the last harvest, when nobody writes any more,
 * every copy is what the guest's page is.
 */
#ifndef KVMU_EXPLORE_DIRTY_H
#define KVMU_EXPLORE_DIRTY_H

#include "explore/scenario.h"
#include "mmu/mmu.h"

/* In this order: before the slots, for each vCPU, and when the guest has its first pages. */
void dirty_set_up(struct kvm *kvm, const struct scenario_dirty *dirty);
void dirty_add_vcpu(struct kvm_vcpu *vcpu);
void dirty_begin(void);

/* Switch the log of a slot on or off. */
void dirty_switch(u32 slot, bool on);
/* What the log of @slot names is copied; with rings, what any of them names. */
void dirty_harvest(u32 slot);
/* KVM itself writes to a guest page, for no vCPU. */
void dirty_poke(gfn_t gfn);

/* vCPU: its ring is full, so it waits outside the guest for a harvest. */
void dirty_wait_for_room(struct kvm_vcpu *vcpu);

/* At the end. */
void dirty_judge(void);

#endif
