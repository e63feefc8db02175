/* SPDX-License-Identifier: BSD-2-Clause */
/* Table pages: taken from the caller's cache or the consumer, filled, given back. */
#ifndef KVMU_PGTABLE_ENGINE_TABLE_PAGE_H
#define KVMU_PGTABLE_ENGINE_TABLE_PAGE_H

#include "pgtable/engine/entry_change.h"

/* NULL: none.  A caller that brought a cache gets pages from nowhere else. */
pgt_inline kvm_pte_t *pgt_table_alloc(struct kvm_pgtable *pgt, struct kvm_pgtable_cache *cache)
{
	if (!cache)
		return pgt->config.ops->alloc_table(pgt->config.ctx);
	return cache->nr ? cache->pages[--cache->nr] : NULL;
}

/* A page that was never linked: back to where it came from, zeroed again. */
static inline void pgt_table_unalloc(struct kvm_pgtable *pgt, struct kvm_pgtable_cache *cache,
				     kvm_pte_t *table)
{
	if (!cache || cache->nr == KVM_PGTABLE_CACHE_PAGES) {
		pgt->config.ops->free_table(pgt->config.ctx, table);
		return;
	}
	__builtin_memset(table, 0, PGT_TABLE_BYTES);
	atomic_poke(&pgt_env_meta(table)->live, 0u);
	cache->pages[cache->nr++] = table;
}

/*
 * Fill a table page that nobody sees yet with what @pte, a leaf or annotation
 * of @level, says about the same range one level lower.
 */
static inline void pgt_table_fill(kvm_pte_t *table, kvm_pte_t pte, unsigned int level)
{
	bool leaf = pgt_is_leaf(pte, level);
	kvm_pte_t child = leaf ? fmt_leaf_shrink(pte, level) : pte;

	for (unsigned int i = 0; i < PGT_TABLE_ENTRIES; i++) {
		table[i] = child;
		if (leaf)
			child = fmt_leaf_next(child, level - 1);
	}
	atomic_poke(&pgt_env_meta(table)->live, PGT_TABLE_ENTRIES);
}

/* Must a table say the same in place of @pte?  That memory is absent is no loss. */
pgt_inline bool pgt_worth_keeping(kvm_pte_t pte, unsigned int level)
{
	return pte && (fmt_present(pte, level) || !pgt_is_mmio(pte));
}

/*
 * Put a table where a smaller leaf is wanted; what the entry said so far is
 * said by the table.  -ENOMEM, -EAGAIN (shared).
 */
static inline int pgt_install_table(const struct kvm_pgtable_visit_ctx *ctx,
				    struct kvm_pgtable_cache *cache, struct kvm_pgtable_flush *owed)
{
	kvm_pte_t *table = pgt_table_alloc(ctx->pgt, cache);
	struct kvm_pgtable_visit_ctx now = *ctx;
	int err;

	if (unlikely(!table))
		return -ENOMEM;
	for (;;) {
		if (pgt_worth_keeping(now.old, now.level))
			pgt_table_fill(table, now.old, now.level);
		err = pgt_entry_replace(&now, fmt_make_table(pgt_env_hpa(table), now.level), owed);
		if (likely(!err) || (now.flags & KVM_PGTABLE_WALK_SHARED))
			break;
		now.old = pgt_env_load(now.ptep); /* with the MMU's mark */
	}
	if (unlikely(err) && !KVMU_MUTANT(TABLE_LEAKED))
		pgt_table_unalloc(ctx->pgt, cache, table);
	return err;
}

/* What to do with each page of a subtree that has been cut off. */
typedef void (*pgt_dispose_fn)(void *ctx, void *table);

/* @table holds entries of @level.  Depth is bounded by FMT_MAX_LEVELS. */
static void pgt_dispose_subtree(struct kvm_pgtable *pgt, kvm_pte_t *table, unsigned int level,
				pgt_dispose_fn dispose)
{
	for (unsigned int i = 0; level > 1 && i < PGT_TABLE_ENTRIES; i++) {
		kvm_pte_t pte = pgt_env_load(&table[i]);

		if (pgt_is_table(pte, level))
			pgt_dispose_subtree(pgt, pgt_follow(pte, level), level - 1, dispose);
	}
	dispose(pgt->config.ctx, table);
}

#endif
