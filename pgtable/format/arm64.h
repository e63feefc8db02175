/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the VMSAv8-64 formats share: Arm ARM D8.3, translation table descriptors.
 *
 *   granule   index bits   our levels 1, 2, 3, 4 are its    blocks
 *   4 KiB     9            3, 2, 1, 0                       2 MiB, 1 GiB
 *   16 KiB    11           3, 2, 1                          32 MiB
 *   64 KiB    13           3, 2, 1                          512 MiB
 *
 * Addresses have 48 bits; with the 64 KiB granule 52 (FEAT_LPA), of which bits
 * 51..48 are found in bits 15..12.  FEAT_LPA2, 52 bits in smaller granules, is
 * another layout and not offered.
 *
 * The access flag is A.  What is written is told by the permission itself where
 * the MMU does it (DBM: a clean page refuses writes, and the MMU lifts that with
 * the first one), and by a software bit where it does not, or where the page may
 * not be written any more.  Three bits are left for software: SW3 cannot be said.
 *
 * Before: ARM64_GRANULE_LG2, the FMT_ constants, and what bit 7 is where a leaf may
 * be written: ARM64_BIT7_WRITE (S2AP[1]: set) or 0 (AP[2]: clear).
 */
#ifndef KVMU_PGTABLE_FORMAT_ARM64_H
#define KVMU_PGTABLE_FORMAT_ARM64_H

#include "pgtable/format/contract.h"

#ifndef ARM64_GRANULE_LG2
#define ARM64_GRANULE_LG2 12
#endif
#ifndef FMT_PAGE_LG2
#define FMT_PAGE_LG2   ARM64_GRANULE_LG2
#define FMT_TABLE_BITS (ARM64_GRANULE_LG2 - 3)
#endif

#define ARM64_VALID    BIT_ULL(0)
#define ARM64_NO_BLOCK BIT_ULL(1) /* a table above level 1, a page at it */
#define ARM64_SH_INNER (3ull << 8)
#define ARM64_AF       BIT_ULL(10)
#define ARM64_DBM      BIT_ULL(51)
#define ARM64_XN       BIT_ULL(54)
#define ARM64_SW       GENMASK_ULL(57, 55)
#define ARM64_SW_DIRTY BIT_ULL(58)
#define ARM64_SW_SHIFT 55

#define ARM64_BIT7 BIT_ULL(7)
#ifndef ARM64_BIT7_WRITE
#define ARM64_BIT7_WRITE ARM64_BIT7
#endif

#define ARM64_PROT_SW (KVM_PGTABLE_PROT_SW0 | KVM_PGTABLE_PROT_SW1 | KVM_PGTABLE_PROT_SW2)

#define ARM64_ADDR_LOW GENMASK_ULL(47, ARM64_GRANULE_LG2)
#if ARM64_GRANULE_LG2 == 16
#define ARM64_HPA_BITS 52
#define ARM64_ADDR     (ARM64_ADDR_LOW | GENMASK_ULL(15, 12))
#else
#define ARM64_HPA_BITS 48
#define ARM64_ADDR     ARM64_ADDR_LOW
#endif

/* ---- addresses --------------------------------------------------------------------- */

static inline u64 arm64_pack_hpa(hpa_t hpa)
{
	if (ARM64_HPA_BITS == 48)
		return hpa;
	return (hpa & ARM64_ADDR_LOW) | (hpa >> 48 << 12);
}

static inline hpa_t arm64_unpack_hpa(kvm_pte_t pte)
{
	if (ARM64_HPA_BITS == 48)
		return pte & ARM64_ADDR_LOW;
	return (pte & ARM64_ADDR_LOW) | (pte >> 12 & 15) << 48;
}

static inline bool fmt_hpa_valid(const struct kvm_pgtable *pgt, hpa_t hpa)
{
	(void)pgt;
	return !(hpa >> ARM64_HPA_BITS) && is_aligned(hpa, 1ull << ARM64_GRANULE_LG2);
}

static inline u64 arm64_level_bytes(unsigned int level)
{
	return 1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1));
}

/* ---- tables -------------------------------------------------------------------------- */

static inline bool fmt_present(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ARM64_VALID;
}

static inline bool fmt_is_table(kvm_pte_t pte, unsigned int level)
{
	return level > 1 && (pte & ARM64_NO_BLOCK);
}

static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level)
{
	(void)level;
	return arm64_pack_hpa(hpa) | ARM64_NO_BLOCK | ARM64_VALID;
}

static inline hpa_t fmt_table_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return arm64_unpack_hpa(pte);
}

/* ---- leaves -------------------------------------------------------------------------- */

static inline hpa_t fmt_leaf_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return arm64_unpack_hpa(pte);
}

static inline kvm_pte_t fmt_leaf_next(kvm_pte_t pte, unsigned int level)
{
	if (ARM64_HPA_BITS == 48)
		return pte + arm64_level_bytes(level);
	return (pte & ~ARM64_ADDR) |
	       arm64_pack_hpa(arm64_unpack_hpa(pte) + arm64_level_bytes(level));
}

static inline kvm_pte_t fmt_leaf_shrink(kvm_pte_t pte, unsigned int level)
{
	return level == 2 ? pte | ARM64_NO_BLOCK : pte;
}

static inline kvm_pte_t fmt_leaf_grow(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~ARM64_NO_BLOCK;
}

static inline bool arm64_allows_write(kvm_pte_t pte)
{
	return (pte & ARM64_BIT7) == ARM64_BIT7_WRITE;
}

static inline kvm_pte_t arm64_allow_write(kvm_pte_t pte)
{
	return (pte & ~ARM64_BIT7) | ARM64_BIT7_WRITE;
}

static inline kvm_pte_t arm64_forbid_write(kvm_pte_t pte)
{
	return (pte & ~ARM64_BIT7) | (ARM64_BIT7_WRITE ^ ARM64_BIT7);
}

/* ---- marks ---------------------------------------------------------------------------- */

static inline bool fmt_writable(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return arm64_allows_write(pte) || (pte & ARM64_DBM);
}

static inline bool fmt_young(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ARM64_AF;
}

static inline kvm_pte_t fmt_mkyoung(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | ARM64_AF;
}

static inline kvm_pte_t fmt_mkold(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~ARM64_AF;
}

static inline bool fmt_dirty(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return (pte & ARM64_SW_DIRTY) || ((pte & ARM64_DBM) && arm64_allows_write(pte));
}

static inline kvm_pte_t fmt_mkdirty(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return (pte & ARM64_DBM) ? arm64_allow_write(pte) : pte | ARM64_SW_DIRTY;
}

static inline kvm_pte_t fmt_mkclean(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	pte &= ~ARM64_SW_DIRTY;
	return (pte & ARM64_DBM) ? arm64_forbid_write(pte) : pte;
}

/* That it was written stays known. */
static inline kvm_pte_t fmt_wrprotect(kvm_pte_t pte, unsigned int level)
{
	if (fmt_dirty(pte, level))
		pte |= ARM64_SW_DIRTY;
	return arm64_forbid_write(pte) & ~ARM64_DBM;
}

static inline bool fmt_mmu_may_write(const struct kvm_pgtable *pgt, kvm_pte_t pte,
				     unsigned int level)
{
	if (!pgt->config.accessed_dirty)
		return false;
	return !fmt_young(pte, level) || ((pte & ARM64_DBM) && !arm64_allows_write(pte));
}

/*
 * Owed for whatever may be cached: refusals are, too, so more permission counts as
 * less does.  Not owed for what only software reads, nor for marks that are added:
 * without AF an entry is in no TLB, and a clean one is looked at again before the
 * first write goes through.
 */
static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	kvm_pte_t changed = (old ^ new) & ~ARM64_SW;

	(void)level;
	changed &= ~(~old & (ARM64_AF | ARM64_SW_DIRTY));
	if (old & new &ARM64_DBM &(arm64_allows_write(old) ? 0 : ~0ull))
		changed &= ~(arm64_allow_write(old) ^ old);
	return changed;
}

/* ---- from and to portable permissions ------------------------------------------------- */

/* The bits of @prot that both stages say alike. */
static inline kvm_pte_t arm64_common_bits(const struct kvm_pgtable *pgt, hpa_t hpa,
					  enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = arm64_pack_hpa(hpa) | ARM64_SH_INNER | ARM64_VALID;

	pte |= level == 1 ? ARM64_NO_BLOCK : 0;
	pte |= (u64)(prot & ARM64_PROT_SW) / KVM_PGTABLE_PROT_SW0 << ARM64_SW_SHIFT;
	pte |= (prot & KVM_PGTABLE_PROT_X) ? 0 : ARM64_XN;
	pte |= (prot & KVM_PGTABLE_PROT_ACCESSED) ? ARM64_AF : 0;
	if (!(prot & KVM_PGTABLE_PROT_W))
		pte = arm64_forbid_write(pte);
	else if (pgt->config.accessed_dirty)
		pte = arm64_forbid_write(pte) | ARM64_DBM;
	else
		pte = arm64_allow_write(pte);
	return (prot & KVM_PGTABLE_PROT_DIRTY) ? fmt_mkdirty(pte, level) : pte;
}

static inline unsigned int arm64_common_prot(kvm_pte_t pte, unsigned int level)
{
	u64 prot = (pte & ARM64_SW) >> ARM64_SW_SHIFT << __builtin_ctz(KVM_PGTABLE_PROT_SW0);

	prot |= fmt_writable(pte, level) ? KVM_PGTABLE_PROT_W : 0;
	prot |= (pte & ARM64_XN) ? 0 : KVM_PGTABLE_PROT_X;
	prot |= fmt_young(pte, level) ? KVM_PGTABLE_PROT_ACCESSED : 0;
	prot |= fmt_dirty(pte, level) ? KVM_PGTABLE_PROT_DIRTY : 0;
	return (unsigned int)prot;
}

static inline bool arm64_common_valid(kvm_pte_t pte, unsigned int level, u64 own_bits)
{
	const u64 common = ARM64_VALID | ARM64_NO_BLOCK | ARM64_ADDR;
	const u64 leaf = ARM64_SH_INNER | ARM64_AF | ARM64_DBM | ARM64_XN | ARM64_SW |
			 ARM64_SW_DIRTY | own_bits;

	if (fmt_is_table(pte, level))
		return !(pte & ~common);
	return !(pte & ~(common | leaf)) && (level > 1 || (pte & ARM64_NO_BLOCK)) &&
	       is_aligned(fmt_leaf_hpa(pte, level), arm64_level_bytes(level));
}

#endif
