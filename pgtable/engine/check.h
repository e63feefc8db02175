/* SPDX-License-Identifier: BSD-2-Clause */
/* The structural check: what must hold of a tree between two operations. */
#ifndef KVMU_PGTABLE_ENGINE_CHECK_H
#define KVMU_PGTABLE_ENGINE_CHECK_H

#include "pgtable/engine/geometry.h"

pgt_cold int pgt_check_failed(int line, const char *what)
{
	kvmu_warn(FMT_NAME " table check", line, what);
	return -EIO;
}

#define PGT_CHECK(cond)                                           \
	do {                                                      \
		if (unlikely(!(cond)))                            \
			return pgt_check_failed(__LINE__, #cond); \
	} while (0)

static int pgt_check_table(struct kvm_pgtable *pgt, const kvm_pte_t *table, u64 entries,
			   unsigned int level);

static inline int pgt_check_entry(struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	if (!fmt_present(pte, level)) {
		PGT_CHECK(pte != PGT_LOCKED);
		PGT_CHECK(!pte || pte == pgt_make_owner(pgt_owner(pte)) ||
			  (pgt_owner(pte) && pte == pgt_make_mmio(pgt_owner(pte))));
		return 0;
	}
	PGT_CHECK(fmt_entry_valid(pgt, pte, level));
	if (!pgt_is_table(pte, level))
		return 0;
	return pgt_check_table(pgt, pgt_follow(pte, level), PGT_TABLE_ENTRIES, level - 1);
}

/*
 * A table that were reachable twice would be counted twice: each page's mark is
 * set on the way in and must be clear then.  pgt_check_sweep() clears them.
 */
static int pgt_check_table(struct kvm_pgtable *pgt, const kvm_pte_t *table, u64 entries,
			   unsigned int level)
{
	struct pgt_table_meta *meta = pgt_env_meta(table);
	u32 live = 0;

	PGT_CHECK(is_aligned((uintptr_t)table, PGT_TABLE_BYTES));
	PGT_CHECK(!meta->spare);
	meta->spare = 1;
	for (u64 i = 0; i < entries; i++) {
		kvm_pte_t pte = pgt_env_load(&table[i]);
		int err = pte ? pgt_check_entry(pgt, pte, level) : 0;

		if (err)
			return err;
		live += pte != 0;
	}
	PGT_CHECK(meta->live == live);
	return 0;
}

static void pgt_check_sweep(struct kvm_pgtable *pgt, const kvm_pte_t *table, u64 entries,
			    unsigned int level)
{
	if (!pgt_env_meta(table)->spare)
		return;
	pgt_env_meta(table)->spare = 0;
	for (u64 i = 0; level > 1 && i < entries; i++) {
		kvm_pte_t pte = pgt_env_load(&table[i]);

		/* The check went down where entries were sound, and nowhere else. */
		if (pgt_is_table(pte, level) && fmt_entry_valid(pgt, pte, level))
			pgt_check_sweep(pgt, pgt_follow(pte, level), PGT_TABLE_ENTRIES, level - 1);
	}
}

int PGT_NAME(check)(struct kvm_pgtable *pgt)
{
	const u64 per_page = PGT_TABLE_BYTES / sizeof(kvm_pte_t);
	const u64 all = pgt_root_entries(pgt);
	int err = 0;

	/* A root of several pages is checked page by page: each has its own count. */
	for (u64 i = 0; i < all && !err; i += per_page)
		err = pgt_check_table(pgt, pgt->root + i, min_u64(all - i, per_page), pgt->levels);
	for (u64 i = 0; i < all; i += per_page)
		pgt_check_sweep(pgt, pgt->root + i, min_u64(all - i, per_page), pgt->levels);
	return err;
}

#endif
