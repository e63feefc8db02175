/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all formats share: entries that no MMU looks at, and the kinds.
 *
 *   absent     0
 *   annotated  owner << 12, an owner id that set_owner left there
 *   MMIO       bit 10, generation << 12: no memory is behind it, says set_mmio
 *   locked     bit 11: between break and make; its writer owns it
 */
#ifndef KVMU_PGTABLE_FORMAT_DEFAULTS_H
#define KVMU_PGTABLE_FORMAT_DEFAULTS_H

#include "pgtable/format/contract.h"

#define PGT_LOCKED	BIT_ULL(11)
#define PGT_OWNER_SHIFT 12
#define PGT_MMIO	BIT_ULL(10)

enum pgt_kind {
	PGT_ABSENT,
	PGT_ANNOTATED, /* MMIO too */
	PGT_LOCKED_ENTRY,
	PGT_LEAF,
	PGT_TABLE,
	PGT_KINDS,
};

static inline kvm_pte_t pgt_make_owner(u32 owner)
{
	return (u64)owner << PGT_OWNER_SHIFT;
}

static inline u32 pgt_owner(kvm_pte_t pte)
{
	return (u32)(pte >> PGT_OWNER_SHIFT);
}

static inline kvm_pte_t pgt_make_mmio(u32 generation)
{
	return PGT_MMIO | (u64)generation << PGT_OWNER_SHIFT;
}

/* Of an absent entry. */
static inline bool pgt_is_mmio(kvm_pte_t pte)
{
	return pte & PGT_MMIO;
}

static inline bool pgt_is_locked(kvm_pte_t pte)
{
	return FMT_BREAK_BEFORE_MAKE && pte == PGT_LOCKED;
}

static inline bool pgt_is_table(kvm_pte_t pte, unsigned int level)
{
	return level > 1 && fmt_present(pte, level) && fmt_is_table(pte, level);
}

static inline bool pgt_is_leaf(kvm_pte_t pte, unsigned int level)
{
	return fmt_present(pte, level) && !(level > 1 && fmt_is_table(pte, level));
}

static inline enum pgt_kind pgt_kind(kvm_pte_t pte, unsigned int level)
{
	if (fmt_present(pte, level))
		return pgt_is_table(pte, level) ? PGT_TABLE : PGT_LEAF;
	if (!pte)
		return PGT_ABSENT;
	return pte == PGT_LOCKED ? PGT_LOCKED_ENTRY : PGT_ANNOTATED;
}

#endif
