/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64 stage 2: Arm ARM D8.2.1 (input sizes, concatenated tables), D8.3
 * (descriptors), D8.4 (permissions), D8.5.5 (memory attributes without FEAT_S2FWB).
 * Before: ARM64_GRANULE_LG2 is 12 (the default), 14 or 16; config.granule_lg2 says the same.
 *
 * The input size is any from one bit above a level 2 table to 48 bits, with 64 KiB
 * pages 52.  Up to 16 tables are concatenated as the root, so that no level
 * is spent on four bits; only 4 KiB pages ever need four levels.
 *
 * XN is XN[1]; XN[0] stays clear, so that it means "nobody" with FEAT_XNX too.
 */
#ifndef KVMU_PGTABLE_FORMAT_ARM64_S2_H
#define KVMU_PGTABLE_FORMAT_ARM64_S2_H

#ifndef ARM64_GRANULE_LG2
#define ARM64_GRANULE_LG2 12
#endif

#if ARM64_GRANULE_LG2 == 12
#define FMT_NAME	   "arm64_s2_4k"
#define FMT_LEAF_LEVEL_MAX 3
#define FMT_MAX_LEVELS	   4
#define ARM64_INPUT_MAX	   48
#elif ARM64_GRANULE_LG2 == 14
#define FMT_NAME	   "arm64_s2_16k"
#define FMT_LEAF_LEVEL_MAX 2
#define FMT_MAX_LEVELS	   3
#define ARM64_INPUT_MAX	   48
#else
#define FMT_NAME	   "arm64_s2_64k"
#define FMT_LEAF_LEVEL_MAX 2
#define FMT_MAX_LEVELS	   3
#define ARM64_INPUT_MAX	   52
#endif
#define FMT_PAGE_LG2	      ARM64_GRANULE_LG2
#define FMT_TABLE_BITS	      (ARM64_GRANULE_LG2 - 3)
#define FMT_TABLE_LG2	      ARM64_GRANULE_LG2
#define FMT_BREAK_BEFORE_MAKE 1

#define S2_MEMATTR	  GENMASK_ULL(5, 2)
#define S2_MEMATTR_NORMAL (15ull << 2) /* write-back, inner and outer */
#define S2_MEMATTR_DEVICE (1ull << 2)  /* nGnRE */
#define S2_READ		  BIT_ULL(6)

#include "pgtable/format/arm64.h"

#define S2_CONCATENATED_LG2 4u

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	const unsigned int granule = config->granule_lg2 ? config->granule_lg2 : 12;
	unsigned int bits = config->input_bits, root_bits;

	if (granule != ARM64_GRANULE_LG2 || bits > ARM64_INPUT_MAX ||
	    bits <= FMT_PAGE_LG2 + FMT_TABLE_BITS)
		return -EINVAL;
	bits -= FMT_PAGE_LG2;
	if (!*levels)
		*levels = (u8)((bits - S2_CONCATENATED_LG2 + FMT_TABLE_BITS - 1) / FMT_TABLE_BITS);
	if (*levels < 2 && !config->levels)
		*levels = 2;
	if (*levels < 2 || *levels > FMT_MAX_LEVELS || bits <= FMT_TABLE_BITS * (*levels - 1u))
		return -EINVAL;
	root_bits = bits - FMT_TABLE_BITS * (*levels - 1u);
	if (root_bits > FMT_TABLE_BITS + S2_CONCATENATED_LG2)
		return -EINVAL;
	*root_bytes = (size_t)1 << FMT_TABLE_LG2;
	if (root_bits > FMT_TABLE_BITS)
		*root_bytes <<= root_bits - FMT_TABLE_BITS;
	return 0;
}

static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot)
{
	(void)pgt;
	return !(prot & (~(unsigned int)KVM_PGTABLE_PROT_ALL | KVM_PGTABLE_PROT_SW3)) &&
	       (prot & KVM_PGTABLE_PROT_RWX);
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = arm64_common_bits(pgt, hpa, prot, level);

	pte |= (prot & KVM_PGTABLE_PROT_R) ? S2_READ : 0;
	return pte | ((prot & KVM_PGTABLE_PROT_DEVICE) ? S2_MEMATTR_DEVICE : S2_MEMATTR_NORMAL);
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	unsigned int prot = arm64_common_prot(pte, level);

	prot |= (pte & S2_READ) ? KVM_PGTABLE_PROT_R : 0;
	prot |= (pte & S2_MEMATTR) == S2_MEMATTR_DEVICE ? KVM_PGTABLE_PROT_DEVICE : 0;
	return (enum kvm_pgtable_prot)prot;
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	(void)pgt;
	return (fmt_is_table(pte, level) || level <= FMT_LEAF_LEVEL_MAX) &&
	       arm64_common_valid(pte, level, S2_READ | ARM64_BIT7 | S2_MEMATTR);
}

#endif
