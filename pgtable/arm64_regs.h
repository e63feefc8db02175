/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What to tell an arm64 MMU about a table: Arm ARM D19.2 (VTCR_EL2, VTTBR_EL2,
 * TCR_EL2, TTBR0_EL2, MAIR_EL2).  The caller writes the registers, with ISB.
 */
#ifndef KVMU_PGTABLE_ARM64_REGS_H
#define KVMU_PGTABLE_ARM64_REGS_H

#include "base/bits.h"
#include "pgtable/pgtable.h"

/* T0SZ, and walks in inner-shareable write-back memory, which both stages say alike. */
static inline u64 arm64_tcr_common(const struct kvm_pgtable *pgt, unsigned int pa_range)
{
	const u64 granule = pgt->config.granule_lg2 == 14   ? 2
			    : pgt->config.granule_lg2 == 16 ? 1
							    : 0;
	u64 tcr = BIT_ULL(31) | (64u - pgt->config.input_bits);

	tcr |= 1ull << 8 | 1ull << 10 | 3ull << 12; /* IRGN0, ORGN0, SH0 */
	tcr |= granule << 14 | (u64)pa_range << 16;
	if (pgt->config.accessed_dirty)
		tcr |= BIT_ULL(21) | BIT_ULL(22); /* HA, HD */
	return tcr;
}

/*
 * VTCR_EL2 for a stage 2 table.  @pa_range: ID_AA64MMFR0_EL1.PARange, at most
 * what the tables shall reach (5: 48 bits, 6: 52 bits).
 */
static inline u64 arm64_s2_vtcr(const struct kvm_pgtable *pgt, unsigned int pa_range)
{
	bool small = pgt->config.granule_lg2 == 12 || !pgt->config.granule_lg2;
	u64 sl0 = small ? pgt->levels - 2u : pgt->levels - 1u;

	return arm64_tcr_common(pgt, pa_range) | sl0 << 6;
}

/* A table's address as the base registers take it; bits 51..48 are found in 5..2. */
static inline u64 arm64_base_address(const struct kvm_pgtable *pgt)
{
	u64 root = (u64)(uintptr_t)pgt->root;

	return (root & GENMASK_ULL(47, 6)) | (root >> 48 & 15) << 2;
}

/* VTTBR_EL2, with 8-bit VMIDs or, where VTCR_EL2.VS is set by the caller, 16-bit ones. */
static inline u64 arm64_s2_vttbr(const struct kvm_pgtable *pgt, unsigned int vmid)
{
	return (u64)vmid << 48 | arm64_base_address(pgt);
}

/* TCR_EL2 and TTBR0_EL2 for a table of arm64_hyp. */
static inline u64 arm64_hyp_tcr(const struct kvm_pgtable *pgt, unsigned int pa_range)
{
	return arm64_tcr_common(pgt, pa_range) | BIT_ULL(23);
}

static inline u64 arm64_hyp_ttbr(const struct kvm_pgtable *pgt)
{
	return arm64_base_address(pgt);
}

/* MAIR_EL2: 0 is normal memory, write-back; 1 is Device-nGnRE. */
#define ARM64_HYP_MAIR 0x04ffull

#endif
