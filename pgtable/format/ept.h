/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel extended page tables: SDM vol. 3, 29.3.2 (entry formats), 29.3.3
 * (permissions), 29.3.5 (accessed and dirty flags).
 *
 *   manual            level here
 *   EPT PTE           1   4 KiB page
 *   EPT PDE           2   2 MiB page or table
 *   EPT PDPTE         3   1 GiB page or table
 *   EPT PML4E         4   table
 *   EPT PML5E         5   table
 */
#ifndef KVMU_PGTABLE_FORMAT_EPT_H
#define KVMU_PGTABLE_FORMAT_EPT_H

#define FMT_NAME	      "ept"
#define FMT_PAGE_LG2	      12
#define FMT_TABLE_BITS	      9
#define FMT_TABLE_LG2	      12
#define FMT_MAX_LEVELS	      5
#define FMT_LEAF_LEVEL_MAX    3
#define FMT_BREAK_BEFORE_MAKE 0

#include "pgtable/format/contract.h"

#define EPT_READ       BIT_ULL(0)
#define EPT_WRITE      BIT_ULL(1)
#define EPT_EXEC       BIT_ULL(2)
#define EPT_RWX	       (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_MEMTYPE    GENMASK_ULL(5, 3)
#define EPT_MEMTYPE_WB (6ull << 3)
#define EPT_MEMTYPE_UC (0ull << 3)
#define EPT_IGNORE_PAT BIT_ULL(6)
#define EPT_PAGE       BIT_ULL(7) /* above level 1: a leaf */
#define EPT_ACCESSED   BIT_ULL(8)
#define EPT_DIRTY      BIT_ULL(9)
#define EPT_ADDR       GENMASK_ULL(51, 12)
/* Bits 55..52 are ignored by every walker and have no later use in the manual. */
#define EPT_SW_SHIFT 52
#define EPT_SW	     GENMASK_ULL(55, 52)

_Static_assert(!(EPT_SW & EPT_ADDR), "software bits overlap the address");
_Static_assert(EPT_READ == KVM_PGTABLE_PROT_R && EPT_WRITE == KVM_PGTABLE_PROT_W &&
		       EPT_EXEC == KVM_PGTABLE_PROT_X &&
		       EPT_ACCESSED == KVM_PGTABLE_PROT_ACCESSED &&
		       EPT_DIRTY == KVM_PGTABLE_PROT_DIRTY,
	       "EPT's permission and A/D bits are where the portable ones are");
_Static_assert(KVM_PGTABLE_PROT_SW0 == 1 << 4, "software bits move by EPT_SW_SHIFT - 4");
#define EPT_SAME_AS_PROT (EPT_RWX | EPT_ACCESSED | EPT_DIRTY)

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	if (config->granule_lg2 && config->granule_lg2 != 12)
		return -EINVAL;
	if (config->input_bits < 30 || config->input_bits > 57)
		return -EINVAL;
	if (!*levels)
		*levels = config->input_bits > 48 ? 5 : 4;
	if (*levels != 4 && *levels != 5)
		return -EINVAL;
	if (config->input_bits > 12 + 9 * *levels)
		return -EINVAL;
	*root_bytes = 4096;
	return 0;
}

static inline bool fmt_present(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_RWX;
}

static inline bool fmt_is_table(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return !(pte & EPT_PAGE);
}

static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level)
{
	(void)level;
	return hpa | EPT_RWX;
}

static inline hpa_t fmt_table_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_ADDR;
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

static inline bool fmt_hpa_valid(const struct kvm_pgtable *pgt, hpa_t hpa)
{
	(void)pgt;
	return !(hpa & ~EPT_ADDR);
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = hpa | (prot & EPT_SAME_AS_PROT);

	(void)pgt;
	pte |= (prot & KVM_PGTABLE_PROT_DEVICE) ? EPT_MEMTYPE_UC : EPT_MEMTYPE_WB;
	pte |= (u64)(prot & KVM_PGTABLE_PROT_SW) << (EPT_SW_SHIFT - 4);
	return level > 1 ? pte | EPT_PAGE : pte;
}

static inline hpa_t fmt_leaf_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_ADDR;
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	u64 prot = pte & EPT_SAME_AS_PROT;

	(void)level;
	prot |= (pte & EPT_SW) >> (EPT_SW_SHIFT - 4);
	if ((pte & EPT_MEMTYPE) == EPT_MEMTYPE_UC)
		prot |= KVM_PGTABLE_PROT_DEVICE;
	return (enum kvm_pgtable_prot)prot;
}

static inline kvm_pte_t fmt_leaf_next(kvm_pte_t pte, unsigned int level)
{
	return pte + (1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1)));
}

static inline kvm_pte_t fmt_leaf_shrink(kvm_pte_t pte, unsigned int level)
{
	return level == 2 ? pte & ~EPT_PAGE : pte;
}

static inline kvm_pte_t fmt_leaf_grow(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | EPT_PAGE;
}

static inline bool fmt_writable(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_WRITE;
}

static inline kvm_pte_t fmt_wrprotect(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~EPT_WRITE;
}

static inline bool fmt_young(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_ACCESSED;
}

static inline kvm_pte_t fmt_mkyoung(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | EPT_ACCESSED;
}

static inline kvm_pte_t fmt_mkold(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~EPT_ACCESSED;
}

static inline bool fmt_dirty(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & EPT_DIRTY;
}

static inline kvm_pte_t fmt_mkdirty(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | EPT_DIRTY;
}

static inline kvm_pte_t fmt_mkclean(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~EPT_DIRTY;
}

static inline bool fmt_mmu_may_write(const struct kvm_pgtable *pgt, kvm_pte_t pte,
				     unsigned int level)
{
	(void)level;
	if (!pgt->config.accessed_dirty)
		return false;
	return !(pte & EPT_ACCESSED) || ((pte & EPT_WRITE) && !(pte & EPT_DIRTY));
}

static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	const u64 granted = EPT_RWX | EPT_ACCESSED | EPT_DIRTY; /* set is more, clear is less */

	(void)level;
	return ((old ^ new) & ~(granted | EPT_SW)) || (old & ~new &granted);
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	u64 align = (1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1))) - 1;

	(void)pgt;
	if ((pte & EPT_WRITE) && !(pte & EPT_READ))
		return false;
	if (level > 1 && fmt_is_table(pte, level))
		return !(pte & (EPT_MEMTYPE | EPT_IGNORE_PAT | EPT_PAGE));
	if (level > FMT_LEAF_LEVEL_MAX || (level > 1) != !!(pte & EPT_PAGE))
		return false;
	return !(pte & EPT_ADDR & align) &&
	       ((pte & EPT_MEMTYPE) == EPT_MEMTYPE_WB || (pte & EPT_MEMTYPE) == EPT_MEMTYPE_UC);
}

#endif
