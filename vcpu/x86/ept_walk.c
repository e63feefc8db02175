// SPDX-License-Identifier: BSD-2-Clause
/*
 * The hardware's walk of the second-stage tables: SDM vol. 3, 29.3 (EPT).
 *
 * On purpose not the library's walker: it reads the tables as a processor
 * would, so that the two check each other.  Runs in guest mode only: tables
 * are freed after a flush that waits for this vCPU.
 */
#include "vcpu/x86/core.h"

#define EPT_R	     BIT_ULL(0)
#define EPT_W	     BIT_ULL(1)
#define EPT_X	     BIT_ULL(2)
#define EPT_LARGE    BIT_ULL(7)
#define EPT_ACCESSED BIT_ULL(8)
#define EPT_DIRTY    BIT_ULL(9)
#define EPT_FRAME    GENMASK_ULL(51, 12)

static bool violation(struct x86_cpu *cpu, gpa_t gpa, enum x86_access access, bool table,
		      bool present)
{
	u64 code = table ? PFERR_GUEST_PAGE_MASK : PFERR_GUEST_FINAL_MASK;

	if (access == X86_ACCESS_WRITE)
		code |= PFERR_WRITE_MASK;
	if (access == X86_ACCESS_EXEC)
		code |= PFERR_FETCH_MASK;
	if (present)
		code |= PFERR_PRESENT_MASK;
	cpu->run.fault_gpa = gpa;
	cpu->run.fault_code = code;
	return false;
}

static u64 needed(enum x86_access access)
{
	switch (access) {
	case X86_ACCESS_WRITE:
		return EPT_W;
	case X86_ACCESS_EXEC:
		return EPT_X;
	case X86_ACCESS_READ:
		break;
	}
	return EPT_R;
}

/*
 * Set A, and D for a write; false when the entry changed under us (29.3.5).  A
 * D that was clear is reported, as page-modification logging does (29.3.6).
 */
static bool set_accessed_dirty(struct x86_cpu *cpu, gpa_t gpa, kvm_pte_t *ptep, kvm_pte_t *pte,
			       enum x86_access access)
{
	kvm_pte_t wanted = *pte | EPT_ACCESSED;

	if (access == X86_ACCESS_WRITE)
		wanted |= EPT_DIRTY;
	if (wanted == *pte)
		return true;
	if (!atomic_cmpxchg_u64(ptep, pte, wanted))
		return false;
	if ((*pte ^ wanted) & EPT_DIRTY)
		kvm_vcpu_dirty_mark_set(&cpu->vcpu, gpa);
	*pte = wanted;
	return true;
}

static u8 leaf_perms(kvm_pte_t pte, u64 allowed)
{
	u8 perms = 0;

	if (allowed & EPT_R)
		perms |= X86_PERM_R;
	if ((allowed & EPT_W) && (pte & EPT_DIRTY))
		perms |= X86_PERM_W;
	if (allowed & EPT_X)
		perms |= X86_PERM_X;
	return perms;
}

/* The leaf's place, or NULL with what is left of the permissions in @allowed. */
static kvm_pte_t *find_leaf(const struct kvm_mmu *mmu, gpa_t gpa, kvm_pte_t *pte, u64 *allowed,
			    unsigned int *level)
{
	kvm_pte_t *table = mmu->root;

	*allowed = EPT_R | EPT_W | EPT_X;
	for (*level = mmu->root_level;; --*level) {
		unsigned int shift = PAGE_SHIFT + 9 * (*level - 1);
		kvm_pte_t *ptep = &table[(gpa >> shift) & 511];

		*pte = atomic_observe(ptep);
		*allowed &= *pte;
		if (!(*pte & (EPT_R | EPT_W | EPT_X)))
			return NULL;
		if (*level == 1 || (*pte & EPT_LARGE))
			return ptep;
		table = hva_to_ptr(*pte & EPT_FRAME);
	}
}

bool x86_ept_walk(struct x86_cpu *cpu, gpa_t gpa, enum x86_access access, bool table,
		  struct x86_ept_leaf *leaf)
{
	const struct kvm_mmu *mmu = cpu->vcpu.mmu;
	kvm_pte_t *ptep, pte;
	unsigned int level;
	u64 allowed, offset_mask;

	if (gpa >> (PAGE_SHIFT + 9u * mmu->root_level))
		return violation(cpu, gpa, access, table, false);
	do {
		ptep = find_leaf(mmu, gpa, &pte, &allowed, &level);
		if (!ptep)
			return violation(cpu, gpa, access, table, false);
		if (!(allowed & needed(access)))
			return violation(cpu, gpa, access, table, true);
	} while (!set_accessed_dirty(cpu, gpa, ptep, &pte, access));

	offset_mask = (1ull << (PAGE_SHIFT + 9 * (level - 1))) - 1;
	leaf->hva = (pte & EPT_FRAME & ~offset_mask) | (gpa & offset_mask);
	leaf->perms = leaf_perms(pte, allowed);
	return true;
}
