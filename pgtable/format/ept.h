/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel extended page tables: SDM vol. 3, 29.3.2 (entry formats), 29.3.3
 * (permissions), 29.3.5 (accessed and dirty flags).  Levels: x86_tree.h.
 */
#ifndef KVMU_PGTABLE_FORMAT_EPT_H
#define KVMU_PGTABLE_FORMAT_EPT_H

#define FMT_NAME "ept"

#include "pgtable/format/x86_tree.h"

#define EPT_READ       BIT_ULL(0)
#define EPT_WRITE      BIT_ULL(1)
#define EPT_EXEC       BIT_ULL(2)
#define EPT_RWX	       (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_MEMTYPE    GENMASK_ULL(5, 3)
#define EPT_MEMTYPE_WB (6ull << 3)
#define EPT_MEMTYPE_UC (0ull << 3)
#define EPT_IGNORE_PAT BIT_ULL(6)
#define EPT_ACCESSED   BIT_ULL(8)
#define EPT_DIRTY      BIT_ULL(9)

_Static_assert(EPT_READ == KVM_PGTABLE_PROT_R && EPT_WRITE == KVM_PGTABLE_PROT_W &&
		       EPT_EXEC == KVM_PGTABLE_PROT_X &&
		       EPT_ACCESSED == KVM_PGTABLE_PROT_ACCESSED &&
		       EPT_DIRTY == KVM_PGTABLE_PROT_DIRTY,
	       "EPT's permission and A/D bits are where the portable ones are");
#define EPT_SAME_AS_PROT (EPT_RWX | EPT_ACCESSED | EPT_DIRTY)

#define FMT_BIT_WRITE	 EPT_WRITE
#define FMT_BIT_ACCESSED EPT_ACCESSED
#define FMT_BIT_DIRTY	 EPT_DIRTY
#include "pgtable/format/one_bit_each.h"

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	return x86_geometry(config, levels, root_bytes);
}

static inline bool fmt_present(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_RWX;
}

static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level)
{
	(void)level;
	return hpa | EPT_RWX;
}

static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot)
{
	(void)pgt;
	if (prot & ~KVM_PGTABLE_PROT_ALL)
		return false;
	/* Write without read is an EPT misconfiguration (29.3.3.1). */
	return (prot & KVM_PGTABLE_PROT_W) ? (prot & KVM_PGTABLE_PROT_R) != 0
					   : (prot & KVM_PGTABLE_PROT_RWX) != 0;
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = hpa | (prot & EPT_SAME_AS_PROT) | x86_make_sw(prot);

	(void)pgt;
	pte |= (prot & KVM_PGTABLE_PROT_DEVICE) ? EPT_MEMTYPE_UC : EPT_MEMTYPE_WB;
	return level > 1 ? pte | X86_PAGE : pte;
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	u64 prot = (pte & EPT_SAME_AS_PROT) | x86_sw_prot(pte);

	(void)level;
	if ((pte & EPT_MEMTYPE) == EPT_MEMTYPE_UC)
		prot |= KVM_PGTABLE_PROT_DEVICE;
	return (enum kvm_pgtable_prot)prot;
}

static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	const u64 granted = EPT_RWX | EPT_ACCESSED | EPT_DIRTY; /* set is more, clear is less */

	(void)level;
	return (old & ~new & ~X86_SW) || (new & ~old & ~(granted | X86_SW));
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	(void)pgt;
	if ((pte & EPT_WRITE) && !(pte & EPT_READ))
		return false;
	if (level > 1 && fmt_is_table(pte, level))
		return !(pte & (EPT_MEMTYPE | EPT_IGNORE_PAT));
	return x86_leaf_shape_valid(pte, level) &&
	       ((pte & EPT_MEMTYPE) == EPT_MEMTYPE_WB || (pte & EPT_MEMTYPE) == EPT_MEMTYPE_UC);
}

#endif
