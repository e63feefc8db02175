/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A format that no hardware has, for exhaustive tests: four entries per table,
 * three levels, 64 pages in all.  Every bit is shifted by the level, so that an
 * entry written for one level and read at another is nonsense and is seen.
 *
 *   level 1   64 pages of 4 KiB     bits as below
 *   level 2   16 KiB block or table  one up
 *   level 3   64 KiB block or table  two up
 *
 * Bits at level 1: 3 present, 4 read, 5 write, 6 exec, 7 device, 8 accessed,
 * 9 dirty, 10..13 software, 14 leaf; address in 20..59, stored >> 12.  Bits
 * 0..2 stay clear, so that common absent entries are absent at every level
 * (bit 11 and owners from bit 12 on never set bit 3, 4 or 5).
 */
#ifndef KVMU_PGTABLE_FORMAT_TINY_H
#define KVMU_PGTABLE_FORMAT_TINY_H

#define FMT_NAME	   "tiny"
#define FMT_PAGE_LG2	   12
#define FMT_TABLE_BITS	   2
#define FMT_TABLE_LG2	   12 /* 32 bytes are used */
#define FMT_MAX_LEVELS	   4
#define FMT_LEAF_LEVEL_MAX 3
#ifndef FMT_BREAK_BEFORE_MAKE
#define FMT_BREAK_BEFORE_MAKE 0
#endif

#include "pgtable/format/contract.h"

#define TINY_BIT(n, level)  BIT_ULL((n) + (level)-1u)
#define TINY_PRESENT(level) TINY_BIT(3, level)
#define TINY_WRITE(level)   TINY_BIT(5, level)
#define TINY_YOUNG(level)   TINY_BIT(8, level)
#define TINY_DIRTY(level)   TINY_BIT(9, level)
#define TINY_LEAF(level)    TINY_BIT(14, level)
/* Portable bits 0..9 in the order of the format: R W X DEVICE A D SW0..3. */
#define TINY_ADDR_BITS 40

static inline unsigned int tiny_addr_shift(unsigned int level)
{
	return 20 + level - 1;
}

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	if (config->granule_lg2 && config->granule_lg2 != 12)
		return -EINVAL;
	if (!*levels)
		*levels = config->input_bits > 18 ? 4 : 3;
	if (*levels < 3 || *levels > FMT_MAX_LEVELS || config->input_bits < 13 ||
	    config->input_bits > 12 + 2 * *levels)
		return -EINVAL;
	*root_bytes = 4096;
	return 0;
}

static inline bool fmt_present(kvm_pte_t pte, unsigned int level)
{
	return pte & TINY_PRESENT(level);
}

static inline bool fmt_is_table(kvm_pte_t pte, unsigned int level)
{
	return !(pte & TINY_LEAF(level));
}

static inline kvm_pte_t tiny_addr(hpa_t hpa, unsigned int level)
{
	return (hpa >> FMT_PAGE_LG2) << tiny_addr_shift(level);
}

static inline hpa_t fmt_leaf_hpa(kvm_pte_t pte, unsigned int level)
{
	return ((pte >> tiny_addr_shift(level)) & GENMASK_ULL(TINY_ADDR_BITS - 1, 0))
	       << FMT_PAGE_LG2;
}

static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level)
{
	return tiny_addr(hpa, level) | TINY_PRESENT(level);
}

static inline hpa_t fmt_table_hpa(kvm_pte_t pte, unsigned int level)
{
	return fmt_leaf_hpa(pte, level);
}

static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot)
{
	(void)pgt;
	return !(prot & ~KVM_PGTABLE_PROT_ALL);
}

static inline bool fmt_hpa_valid(const struct kvm_pgtable *pgt, hpa_t hpa)
{
	(void)pgt;
	return !(hpa >> (FMT_PAGE_LG2 + TINY_ADDR_BITS));
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	u64 low = prot & 0xf, soft = (prot >> 4) & 0xf, ad = (prot >> 8) & 3;

	(void)pgt;
	return tiny_addr(hpa, level) | TINY_PRESENT(level) | TINY_LEAF(level) |
	       (low << 4 | ad << 8 | soft << 10) << (level - 1);
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	u64 bits = pte >> (level - 1);

	return (enum kvm_pgtable_prot)(((bits >> 4) & 0xf) | ((bits >> 10) & 0xf) << 4 |
				       ((bits >> 8) & 3) << 8);
}

static inline kvm_pte_t fmt_leaf_next(kvm_pte_t pte, unsigned int level)
{
	return pte + tiny_addr(1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1)), level);
}

static inline kvm_pte_t fmt_leaf_shrink(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte >> 1;
}

static inline kvm_pte_t fmt_leaf_grow(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte << 1;
}

static inline bool fmt_writable(kvm_pte_t pte, unsigned int level)
{
	return pte & TINY_WRITE(level);
}

static inline kvm_pte_t fmt_wrprotect(kvm_pte_t pte, unsigned int level)
{
	return pte & ~TINY_WRITE(level);
}

static inline bool fmt_young(kvm_pte_t pte, unsigned int level)
{
	return pte & TINY_YOUNG(level);
}

static inline kvm_pte_t fmt_mkyoung(kvm_pte_t pte, unsigned int level)
{
	return pte | TINY_YOUNG(level);
}

static inline kvm_pte_t fmt_mkold(kvm_pte_t pte, unsigned int level)
{
	return pte & ~TINY_YOUNG(level);
}

static inline bool fmt_dirty(kvm_pte_t pte, unsigned int level)
{
	return pte & TINY_DIRTY(level);
}

static inline kvm_pte_t fmt_mkdirty(kvm_pte_t pte, unsigned int level)
{
	return pte | TINY_DIRTY(level);
}

static inline kvm_pte_t fmt_mkclean(kvm_pte_t pte, unsigned int level)
{
	return pte & ~TINY_DIRTY(level);
}

static inline bool fmt_mmu_may_write(const struct kvm_pgtable *pgt, kvm_pte_t pte,
				     unsigned int level)
{
	return pgt->config.accessed_dirty &&
	       (!fmt_young(pte, level) || (fmt_writable(pte, level) && !fmt_dirty(pte, level)));
}

static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	/* Read, write, exec, accessed, dirty: set is more, clear is less. */
	u64 granted = 0x370ull << (level - 1), soft = 0x3c00ull << (level - 1);

	return ((old ^ new) & ~(granted | soft)) || (old & ~new &granted);
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	u64 known =
		GENMASK_ULL(tiny_addr_shift(level) + TINY_ADDR_BITS - 1, tiny_addr_shift(level));
	u64 size = 1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1));

	(void)pgt;
	if (level > 1 && fmt_is_table(pte, level))
		return !(pte & ~(known | TINY_PRESENT(level)));
	known |= 0x7ff8ull << (level - 1);
	return level <= FMT_LEAF_LEVEL_MAX && !(pte & ~known) && (pte & TINY_LEAF(level)) &&
	       is_aligned(fmt_leaf_hpa(pte, level), size);
}

#endif
