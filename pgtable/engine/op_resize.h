/* SPDX-License-Identifier: BSD-2-Clause */
/* Change the size of leaves, not what they say: split and collapse. */
#ifndef KVMU_PGTABLE_ENGINE_OP_RESIZE_H
#define KVMU_PGTABLE_ENGINE_OP_RESIZE_H

#include "pgtable/engine/op_attr.h"

struct pgt_resize_data {
	struct kvm_pgtable_cache *cache;
	unsigned int level; /* split: largest leaf left; collapse: largest made */
	struct kvm_pgtable_flush owed;
};

pgt_inline int pgt_split_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				 enum kvm_pgtable_walk_flags visit)
{
	struct pgt_resize_data *data = ctx->arg;

	(void)visit;
	if (pgt_is_locked(ctx->old))
		return -EAGAIN;
	if (ctx->level <= data->level || !pgt_is_leaf(ctx->old, ctx->level))
		return 0;
	return pgt_install_table(ctx, data->cache, &data->owed);
}

pgt_inline int pgt_resize_walk(struct kvm_pgtable *pgt, u64 addr, u64 size,
			       enum kvm_pgtable_walk_flags flags, struct pgt_resize_data *data,
			       struct kvm_pgtable_flush *flush, const struct pgt_code code)
{
	const struct kvm_pgtable_walker walker = {.arg = data, .flags = flags};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .end = addr + size, .flags = flags, .arg = data};
	int err = pgt_check_range(pgt, addr, size);

	if (err)
		return err;
	if (!pgt_flags_valid(flags) || data->level < 1 || data->level > FMT_LEAF_LEVEL_MAX)
		return -EINVAL;
	data->owed = PGT_FLUSH_NONE;
	err = pgt_walk(&ctx, &walker, code);
	pgt_flush_merge(flush, &data->owed);
	return err;
}

int PGT_NAME(split)(struct kvm_pgtable *pgt, u64 addr, u64 size, unsigned int level,
		    enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache,
		    struct kvm_pgtable_flush *flush)
{
	struct pgt_resize_data data = {.cache = cache, .level = level};

	return pgt_resize_walk(pgt, addr, size, flags, &data, flush,
			       (struct pgt_code){.cb = pgt_split_visitor,
						 .retry = kvm_pgtable_attr_retry,
						 .visits = KVM_PGTABLE_WALK_LEAF});
}

/* ---- collapse ---------------------------------------------------------------------- */

/* A leaf without what the MMU writes: two halves of a block may differ in that. */
pgt_inline kvm_pte_t pgt_without_ad(kvm_pte_t pte, unsigned int level)
{
	return fmt_mkclean(fmt_mkold(pte, level), level);
}

/*
 * The leaf of @level that says what the full @table below says; 0: there is none.
 * Where the MMU sets marks by itself it may do so in @table until the flush, after
 * we have looked: there the leaf is born with them.
 */
static kvm_pte_t pgt_collapsed_leaf(const struct kvm_pgtable *pgt, const kvm_pte_t *table,
				    unsigned int level)
{
	kvm_pte_t first = pgt_env_load(&table[0]), expect;
	bool young = pgt->config.accessed_dirty;
	bool dirty = pgt->config.accessed_dirty && fmt_writable(first, level - 1);

	if (!pgt_is_leaf(first, level - 1) ||
	    !is_aligned(fmt_leaf_hpa(first, level - 1), pgt_level_bytes(level)))
		return 0;
	expect = pgt_without_ad(first, level - 1);
	for (unsigned int i = 0; i < PGT_TABLE_ENTRIES; i++) {
		kvm_pte_t pte = pgt_env_load(&table[i]);

		if (!pgt_is_leaf(pte, level - 1) || pgt_without_ad(pte, level - 1) != expect)
			return 0;
		young |= fmt_young(pte, level - 1);
		dirty |= fmt_dirty(pte, level - 1);
		expect = fmt_leaf_next(expect, level - 1);
	}
	expect = fmt_leaf_grow(pgt_without_ad(first, level - 1), level);
	expect = young ? fmt_mkyoung(expect, level) : expect;
	return dirty ? fmt_mkdirty(expect, level) : expect;
}

static inline int pgt_collapse_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				       enum kvm_pgtable_walk_flags visit)
{
	struct pgt_resize_data *data = ctx->arg;
	kvm_pte_t *table = pgt_follow(ctx->old, ctx->level);
	u64 bytes = pgt_level_bytes(ctx->level);
	kvm_pte_t new;
	int err;

	(void)visit;
	if (ctx->level > data->level || pgt_table_live(table) != PGT_TABLE_ENTRIES ||
	    !is_aligned(ctx->addr, bytes) || ctx->end - ctx->addr < bytes)
		return 0;
	new = pgt_collapsed_leaf(ctx->pgt, table, ctx->level);
	if (!new)
		return 0;
	err = pgt_entry_replace(ctx, new, &data->owed);
	if (!err)
		ctx->pgt->config.ops->retire_table(ctx->pgt->config.ctx, table);
	return err;
}

int PGT_NAME(collapse)(struct kvm_pgtable *pgt, u64 addr, u64 size, unsigned int max_level,
		       struct kvm_pgtable_flush *flush)
{
	struct pgt_resize_data data = {.level = max_level};

	return pgt_resize_walk(pgt, addr, size, (enum kvm_pgtable_walk_flags)0, &data, flush,
			       (struct pgt_code){.cb = pgt_collapse_visitor,
						 .visits = KVM_PGTABLE_WALK_TABLE_POST});
}

#endif
