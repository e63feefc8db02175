/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included by formats only: those in which write permission, accessed and dirty
 * are one bit each, set for yes, at the same place at every level.  Before:
 * FMT_BIT_WRITE, FMT_BIT_ACCESSED, FMT_BIT_DIRTY.
 */
#ifndef KVMU_PGTABLE_FORMAT_ONE_BIT_EACH_H
#define KVMU_PGTABLE_FORMAT_ONE_BIT_EACH_H

#include "pgtable/format/contract.h"

static inline bool fmt_writable(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & FMT_BIT_WRITE;
}

static inline kvm_pte_t fmt_wrprotect(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~FMT_BIT_WRITE;
}

static inline bool fmt_young(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & FMT_BIT_ACCESSED;
}

static inline kvm_pte_t fmt_mkyoung(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | FMT_BIT_ACCESSED;
}

static inline kvm_pte_t fmt_mkold(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~FMT_BIT_ACCESSED;
}

static inline bool fmt_dirty(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & FMT_BIT_DIRTY;
}

static inline kvm_pte_t fmt_mkdirty(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte | FMT_BIT_DIRTY;
}

static inline kvm_pte_t fmt_mkclean(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & ~FMT_BIT_DIRTY;
}

/* The MMU marks each access dirty or not, and dirty only what may be written. */
static inline bool fmt_mmu_may_write(const struct kvm_pgtable *pgt, kvm_pte_t pte,
				     unsigned int level)
{
	if (!pgt->config.accessed_dirty)
		return false;
	return !fmt_young(pte, level) || (fmt_writable(pte, level) && !fmt_dirty(pte, level));
}

#endif
