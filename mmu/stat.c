/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures that are found out when somebody asks. */
#include "mmu/mmu.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* Some hundred microseconds: what an invalidation may have to wait for the reader. */
#define ENTRIES_PER_TURN 65536u

static void count_in_space(struct kvm *kvm, u32 as_id, u64 leaves[KVM_STAT_LEVELS])
{
	const u64 end = 1ull << KVM_MMU_INPUT_BITS;
	u64 addr = 0;

	while (addr < end) {
		mmu_read_lock(&kvm->mmu_lock);
		addr = ept_count_leaves(&kvm->pgt[as_id], addr, end - addr, ENTRIES_PER_TURN,
					leaves);
		mmu_read_unlock(&kvm->mmu_lock);
	}
}

void kvm_mmu_count_leaves(struct kvm *kvm, u64 leaves[KVM_STAT_LEVELS])
{
	for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++)
		count_in_space(kvm, as_id, leaves);
}
