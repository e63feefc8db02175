/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64 stage 1 of EL2 (HCR_EL2.E2H clear), 4 KiB pages: Arm ARM D8.3, D8.4.1.
 * Input sizes from 22 to 48 bits, one address range.  Every leaf can be read.
 *
 * AttrIndx 0 is normal memory, 1 is a device: ARM64_HYP_MAIR in arm64_regs.h.
 */
#ifndef KVMU_PGTABLE_FORMAT_ARM64_HYP_H
#define KVMU_PGTABLE_FORMAT_ARM64_HYP_H

#define FMT_NAME	      "arm64_hyp"
#define ARM64_GRANULE_LG2     12
#define FMT_PAGE_LG2	      12
#define FMT_TABLE_BITS	      9
#define FMT_TABLE_LG2	      12
#define FMT_MAX_LEVELS	      4
#define FMT_LEAF_LEVEL_MAX    3
#define FMT_BREAK_BEFORE_MAKE 1

#define HYP_ATTR_DEVICE	 BIT_ULL(2) /* AttrIndx 1 */
#define HYP_AP1		 BIT_ULL(6) /* must be one in a regime of one level */
#define ARM64_BIT7_WRITE 0	    /* AP[2]: set for read-only */

#include "pgtable/format/arm64.h"

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	unsigned int bits = config->input_bits;

	if ((config->granule_lg2 && config->granule_lg2 != 12) || bits < 22 || bits > 48)
		return -EINVAL;
	bits -= FMT_PAGE_LG2;
	if (*levels && *levels != (bits + FMT_TABLE_BITS - 1) / FMT_TABLE_BITS)
		return -EINVAL;
	*levels = (u8)((bits + FMT_TABLE_BITS - 1) / FMT_TABLE_BITS);
	*root_bytes = (size_t)1 << FMT_TABLE_LG2;
	return 0;
}

static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot)
{
	(void)pgt;
	return !(prot & (~(unsigned int)KVM_PGTABLE_PROT_ALL | KVM_PGTABLE_PROT_SW3)) &&
	       (prot & KVM_PGTABLE_PROT_R);
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = arm64_common_bits(pgt, hpa, prot, level) | HYP_AP1;

	return (prot & KVM_PGTABLE_PROT_DEVICE) ? pte | HYP_ATTR_DEVICE : pte;
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	unsigned int prot = arm64_common_prot(pte, level) | KVM_PGTABLE_PROT_R;

	prot |= (pte & HYP_ATTR_DEVICE) ? KVM_PGTABLE_PROT_DEVICE : 0;
	return (enum kvm_pgtable_prot)prot;
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	(void)pgt;
	return arm64_common_valid(pte, level, HYP_ATTR_DEVICE | HYP_AP1 | ARM64_BIT7) &&
	       (fmt_is_table(pte, level) || (level <= FMT_LEAF_LEVEL_MAX && (pte & HYP_AP1)));
}

#endif
