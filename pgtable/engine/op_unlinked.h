/* SPDX-License-Identifier: BSD-2-Clause */
/* Subtrees built, and freed, where no walker sees them. */
#ifndef KVMU_PGTABLE_ENGINE_OP_UNLINKED_H
#define KVMU_PGTABLE_ENGINE_OP_UNLINKED_H

#include "pgtable/engine/op_map.h"

struct pgt_build {
	struct kvm_pgtable *pgt;
	struct kvm_pgtable_cache *cache;
	enum kvm_pgtable_prot prot;
	unsigned int max_level;
};

/* One table page of entries of @level, leading to @hpa on.  NULL: out of pages. */
static kvm_pte_t *pgt_build_subtree(const struct pgt_build *build, hpa_t hpa, unsigned int level)
{
	kvm_pte_t *table = pgt_table_alloc(build->pgt, build->cache);

	for (unsigned int i = 0; table && i < PGT_TABLE_ENTRIES; i++) {
		hpa_t at = hpa + i * pgt_level_bytes(level);

		if (level <= build->max_level) {
			table[i] = fmt_make_leaf(build->pgt, at, build->prot, level);
		} else {
			kvm_pte_t *below = pgt_build_subtree(build, at, level - 1);

			if (!below) {
				pgt_dispose_subtree(build->pgt, table, level,
						    build->pgt->config.ops->free_table);
				return NULL;
			}
			table[i] = fmt_make_table(pgt_env_hpa(below), level);
		}
	}
	if (table)
		atomic_poke(&pgt_env_meta(table)->live, PGT_TABLE_ENTRIES);
	return table;
}

int PGT_NAME(create_unlinked)(struct kvm_pgtable *pgt, hpa_t hpa, unsigned int level,
			      enum kvm_pgtable_prot prot, unsigned int max_level,
			      struct kvm_pgtable_cache *cache, kvm_pte_t **table)
{
	struct pgt_build build = {.pgt = pgt, .cache = cache, .prot = prot};

	*table = NULL;
	if (level < 2 || level > pgt->levels || level > FMT_LEAF_LEVEL_MAX + 1 ||
	    max_level > FMT_MAX_LEVELS || !fmt_prot_valid(pgt, prot))
		return -EINVAL;
	if (!is_aligned(hpa, pgt_level_bytes(max_level ? max_level : 1)) ||
	    hpa + pgt_level_bytes(level) < hpa)
		return -EINVAL;
	if (!fmt_hpa_valid(pgt, hpa) ||
	    !fmt_hpa_valid(pgt, hpa + pgt_level_bytes(level) - PGT_PAGE_BYTES))
		return -ERANGE;
	build.max_level = max_level ? max_level : 1;
	if (build.max_level > FMT_LEAF_LEVEL_MAX)
		return -EINVAL;
	*table = pgt_build_subtree(&build, hpa, level - 1);
	return *table ? 0 : -ENOMEM;
}

void PGT_NAME(free_unlinked)(struct kvm_pgtable *pgt, kvm_pte_t *table, unsigned int level)
{
	pgt_dispose_subtree(pgt, table, level - 1, pgt->config.ops->free_table);
}

struct pgt_link_data {
	kvm_pte_t *table;
	unsigned int level;
	struct kvm_pgtable_cache *cache;
	struct kvm_pgtable_flush owed;
};

pgt_inline int pgt_link_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				enum kvm_pgtable_walk_flags visit)
{
	struct pgt_link_data *data = ctx->arg;
	int err;

	if (visit == KVM_PGTABLE_WALK_TABLE_PRE)
		return ctx->level == data->level ? -EEXIST : 0;
	if (pgt_is_locked(ctx->old))
		return -EAGAIN;
	if (ctx->level > data->level)
		return pgt_install_table(ctx, data->cache, &data->owed);
	err = pgt_entry_replace(ctx, fmt_make_table(pgt_env_hpa(data->table), ctx->level),
				&data->owed);
	if (err)
		return err;
	/* A leaf that was replaced may have led elsewhere than the subtree does. */
	if (pgt_is_leaf(ctx->old, ctx->level))
		pgt_flush_add(&data->owed, ctx->addr, ctx->addr + pgt_level_bytes(ctx->level), 1);
	return 1; /* done: leave, or the walker would go into the new table */
}

int PGT_NAME(link_unlinked)(struct kvm_pgtable *pgt, u64 addr, kvm_pte_t *table, unsigned int level,
			    enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache,
			    struct kvm_pgtable_flush *flush)
{
	struct pgt_link_data data = {
		.table = table, .level = level, .cache = cache, .owed = PGT_FLUSH_NONE};
	const struct kvm_pgtable_walker walker = {.arg = &data, .flags = flags};
	const struct pgt_code code = {.cb = pgt_link_visitor,
				      .visits = KVM_PGTABLE_WALK_LEAF | KVM_PGTABLE_WALK_TABLE_PRE};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .flags = flags, .arg = &data};
	int err;

	if (level < 2 || level > pgt->levels || !table || !pgt_flags_valid(flags) ||
	    !is_aligned(addr, pgt_level_bytes(level)))
		return -EINVAL;
	ctx.end = addr + pgt_level_bytes(level);
	err = pgt_check_range(pgt, addr, pgt_level_bytes(level));
	if (err)
		return err;
	while ((err = pgt_walk(&ctx, &walker, code)) == -EAGAIN &&
	       !(flags & KVM_PGTABLE_WALK_HANDLE_FAULT))
		cpu_relax();
	pgt_flush_merge(flush, &data.owed);
	return err < 0 ? err : 0;
}

#endif
