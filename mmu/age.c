/* SPDX-License-Identifier: BSD-2-Clause */
/* Which guest memory has been used lately: what a host asks before it reclaims. */
#include "base/trace.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* Slots change under mmu_lock for writing only, so holding it either way keeps them. */
static bool age_slots(struct kvm *kvm, hva_t start, hva_t end, struct kvm_pgtable_flush *flush)
{
	struct hva_slot_iter it = kvm_hva_slot_iter(kvm, start, end);
	const struct kvm_memory_slot *slot;
	bool young = false;

	while ((slot = kvm_hva_slot_next(&it))) {
		struct kvm_pgtable *pgt = &kvm->pgt[slot->as_id];
		struct gfn_range range = kvm_hva_range_in_slot(slot, start, end);
		u64 bytes = gfn_to_gpa(range.end - range.start);
		bool here = false;
		int err = flush ? ept_mkold(pgt, gfn_to_gpa(range.start), bytes,
					    KVM_PGTABLE_WALK_SHARED, &here, flush)
				: ept_test_young(pgt, gfn_to_gpa(range.start), bytes, &here);

		/* Slots are inside what the tables translate, and nothing is allocated. */
		KVM_BUG_ON(err < 0, kvm);
		young |= here;
	}
	return young;
}

bool kvm_mmu_age_hva(struct kvm *kvm, hva_t start, hva_t end)
{
	struct kvm_pgtable_flush flush = {0};
	bool young;

	kvmu_trace(kvm, kvm_age_hva, start, end);
	mmu_read_lock(&kvm->mmu_lock);
	young = age_slots(kvm, start, end, &flush);
	/* A translation that a vCPU keeps would be used without a trace in the tables. */
	if (kvm_pgtable_flush_owed(&flush) && !KVMU_MUTANT(AGE_WITHOUT_FLUSH))
		kvm_flush_remote_tlbs(kvm);
	mmu_read_unlock(&kvm->mmu_lock);
	return young;
}

bool kvm_mmu_test_age_hva(struct kvm *kvm, hva_t start, hva_t end)
{
	bool young;

	kvmu_trace(kvm, kvm_test_age_hva, start);
	mmu_read_lock(&kvm->mmu_lock);
	young = age_slots(kvm, start, end, NULL);
	mmu_read_unlock(&kvm->mmu_lock);
	return young;
}
