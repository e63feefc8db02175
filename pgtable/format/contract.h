/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a format header provides.  It is included after this file, which has
 * declared every function, so that the compiler checks the signatures; all are
 * static inline and fold into the engine.
 *
 * Constants (macros, defined before this file is included by the first lines of
 * the format header; see docs/pgtable.md, "How to add a format"):
 *
 *   FMT_NAME           for reports
 *   FMT_PAGE_LG2       size of a level 1 leaf
 *   FMT_TABLE_BITS     index bits of a table below the root
 *   FMT_TABLE_LG2      bytes of a table page, as allocated
 *   FMT_MAX_LEVELS     deepest tree
 *   FMT_LEAF_LEVEL_MAX largest level that may hold a leaf
 *   FMT_BREAK_BEFORE_MAKE  1 where a present entry must be made absent, and
 *                      flushed, before it may say something else
 *
 * Levels are the project's: 1 holds pages.  A format function is given a level
 * wherever the bits depend on it and never another pgt than the one it is for.
 *
 * Absent entries are common to all formats (defaults.h): bit 0..2 clear, so
 * that no MMU takes them for anything.
 */
#ifndef KVMU_PGTABLE_FORMAT_CONTRACT_H
#define KVMU_PGTABLE_FORMAT_CONTRACT_H

#include "base/bits.h"
#include "pgtable/pgtable.h"

/*
 * Judge the geometry: fill in levels (when 0) and bytes of the root, a power of
 * two and at least one table page.  -EINVAL for what the format does not have.
 */
static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes);

/* May the MMU use this entry at all (leaf or table)? */
static inline bool fmt_present(kvm_pte_t pte, unsigned int level);
/* Of a present entry: does it point at a table?  Never at level 1. */
static inline bool fmt_is_table(kvm_pte_t pte, unsigned int level);

/* Entry for a table at @hpa, placed in a table of @level. */
static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level);
static inline hpa_t fmt_table_hpa(kvm_pte_t pte, unsigned int level);

/* Can @prot be expressed (every bit known, no combination that the MMU rejects)? */
static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot);
/* Can the leaf's address field hold @hpa? */
static inline bool fmt_hpa_valid(const struct kvm_pgtable *pgt, hpa_t hpa);
/* A present leaf; the arguments are valid and aligned. */
static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level);
static inline hpa_t fmt_leaf_hpa(kvm_pte_t pte, unsigned int level);
static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level);
/* The leaf after @pte at the same level, everything else equal. */
static inline kvm_pte_t fmt_leaf_next(kvm_pte_t pte, unsigned int level);
/* The first of the leaves of @level - 1 that together say what @pte says at @level. */
static inline kvm_pte_t fmt_leaf_shrink(kvm_pte_t pte, unsigned int level);
/* ... and back: the leaf of @level that starts with @pte, a leaf of @level - 1. */
static inline kvm_pte_t fmt_leaf_grow(kvm_pte_t pte, unsigned int level);

/* Predicates and changes of a present leaf. */
static inline bool fmt_writable(kvm_pte_t pte, unsigned int level);
static inline kvm_pte_t fmt_wrprotect(kvm_pte_t pte, unsigned int level);
static inline bool fmt_young(kvm_pte_t pte, unsigned int level);
static inline kvm_pte_t fmt_mkyoung(kvm_pte_t pte, unsigned int level);
static inline kvm_pte_t fmt_mkold(kvm_pte_t pte, unsigned int level);
static inline bool fmt_dirty(kvm_pte_t pte, unsigned int level);
static inline kvm_pte_t fmt_mkdirty(kvm_pte_t pte, unsigned int level);
static inline kvm_pte_t fmt_mkclean(kvm_pte_t pte, unsigned int level);

/* May the MMU still change this present leaf by itself (set accessed or dirty)? */
static inline bool fmt_mmu_may_write(const struct kvm_pgtable *pgt, kvm_pte_t pte,
				     unsigned int level);
/*
 * Both present leaves of one level.  Can a translation cached from @old let an
 * access through that @new forbids or sends elsewhere?
 */
static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level);

/* Every reserved bit of a present entry clear and every field in range? */
static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte,
				   unsigned int level);

#endif
