/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included by formats only: the shape that EPT and the long-mode tables (and
 * with them NPT) share.  Four or five levels of 512 entries, addresses in bits
 * 51..12, bit 7 a leaf above level 1, bits 55..52 free for software.
 *
 *   EPT            long mode    level here
 *   EPT PTE        PTE          1   4 KiB page
 *   EPT PDE        PDE          2   2 MiB page or table
 *   EPT PDPTE      PDPE         3   1 GiB page or table
 *   EPT PML4E      PML4E        4   table
 *   EPT PML5E      PML5E        5   table
 */
#ifndef KVMU_PGTABLE_FORMAT_X86_TREE_H
#define KVMU_PGTABLE_FORMAT_X86_TREE_H

#define FMT_PAGE_LG2	      12
#define FMT_TABLE_BITS	      9
#define FMT_TABLE_LG2	      12
#define FMT_MAX_LEVELS	      5
#define FMT_LEAF_LEVEL_MAX    3
#define FMT_BREAK_BEFORE_MAKE 0

#include "pgtable/format/contract.h"

#define X86_PAGE BIT_ULL(7) /* above level 1: a leaf */
#define X86_ADDR GENMASK_ULL(51, 12)
/* Ignored by every walker; the bits above have a use with some feature or other. */
#define X86_SW_SHIFT 52
#define X86_SW	     GENMASK_ULL(55, 52)

_Static_assert(!(X86_SW & X86_ADDR), "software bits overlap the address");
_Static_assert(KVM_PGTABLE_PROT_SW0 == 1 << 4, "software bits move by X86_SW_SHIFT - 4");

static inline int x86_geometry(const struct kvm_pgtable_config *config, u8 *levels,
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

static inline kvm_pte_t x86_make_sw(enum kvm_pgtable_prot prot)
{
	return (u64)(prot & KVM_PGTABLE_PROT_SW) << (X86_SW_SHIFT - 4);
}

static inline u64 x86_sw_prot(kvm_pte_t pte)
{
	return (pte & X86_SW) >> (X86_SW_SHIFT - 4);
}

/* A leaf where leaves may be, marked as such, its address aligned. */
static inline bool x86_leaf_shape_valid(kvm_pte_t pte, unsigned int level)
{
	u64 bytes = 1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1));

	return level <= FMT_LEAF_LEVEL_MAX && (level > 1) == !!(pte & X86_PAGE) &&
	       is_aligned(pte & X86_ADDR, bytes);
}

static inline bool fmt_is_table(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return !(pte & X86_PAGE);
}

static inline hpa_t fmt_table_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & X86_ADDR;
}

static inline bool fmt_hpa_valid(const struct kvm_pgtable *pgt, hpa_t hpa)
{
	(void)pgt;
	return !(hpa & ~X86_ADDR);
}

static inline hpa_t fmt_leaf_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & X86_ADDR;
}

static inline kvm_pte_t fmt_leaf_next(kvm_pte_t pte, unsigned int level)
{
	return pte + (1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1)));
}

static inline kvm_pte_t fmt_leaf_shrink(kvm_pte_t pte, unsigned int level)
{
	return level == 2 ? pte & ~X86_PAGE : pte;
}

static inline kvm_pte_t fmt_leaf_grow(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | X86_PAGE;
}

#endif
