/* SPDX-License-Identifier: BSD-2-Clause */
/* Map a range: the largest leaves that fit, tables where none does. */
#ifndef KVMU_PGTABLE_ENGINE_OP_MAP_H
#define KVMU_PGTABLE_ENGINE_OP_MAP_H

#include "pgtable/engine/walk.h"

struct pgt_map_data {
	struct kvm_pgtable_map *map;
	u64 delta; /* hpa - addr */
	unsigned int max_level;
	struct kvm_pgtable_flush owed;
};

pgt_inline bool pgt_leaf_fits(const struct kvm_pgtable_visit_ctx *ctx,
			      const struct pgt_map_data *data)
{
	u64 bytes = pgt_level_bytes(ctx->level);

	if (ctx->level == 1)
		return true;
	return ctx->level <= data->max_level && is_aligned(ctx->addr | data->delta, bytes) &&
	       ctx->end - ctx->addr >= bytes;
}

/* The bits a leaf that replaces one of the same hpa takes over. */
pgt_inline enum kvm_pgtable_prot pgt_inherited_prot(const struct kvm_pgtable_visit_ctx *ctx,
						    hpa_t hpa)
{
	unsigned int kept = KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY;

	if (!pgt_is_leaf(ctx->old, ctx->level) || fmt_leaf_hpa(ctx->old, ctx->level) != hpa)
		return (enum kvm_pgtable_prot)0;
	/* Two faults on one page: the later must not take away what the earlier gave. */
	if (ctx->flags & KVM_PGTABLE_WALK_HANDLE_FAULT)
		kept |= KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_SW;
	return (enum kvm_pgtable_prot)(fmt_leaf_prot(ctx->old, ctx->level) & kept);
}

pgt_inline int pgt_map_leaf(const struct kvm_pgtable_visit_ctx *ctx, struct pgt_map_data *data)
{
	hpa_t hpa = ctx->addr + data->delta;
	enum kvm_pgtable_prot prot = data->map->prot;
	kvm_pte_t new;
	int err;

	if (ctx->old)
		prot = (enum kvm_pgtable_prot)(prot | pgt_inherited_prot(ctx, hpa));
	if (KVMU_MUTANT(FIRST_HPA_AGAIN))
		hpa = data->map->hpa;
	new = fmt_make_leaf(ctx->pgt, hpa, prot, ctx->level);
	data->map->level = ctx->level;
	if (new == ctx->old)
		return 0;
	err = pgt_entry_replace(ctx, new, &data->owed);
	if (!err)
		data->map->installed++;
	return err;
}

/*
 * A fault met a bigger leaf than it may make.  If that already gives what is
 * asked for, it was made meanwhile by another vCPU: leave it whole.
 */
static inline bool pgt_block_serves_fault(const struct kvm_pgtable_visit_ctx *ctx,
					  const struct pgt_map_data *data)
{
	u64 offset = ctx->addr & (pgt_level_bytes(ctx->level) - 1);
	unsigned int asked = data->map->prot & KVM_PGTABLE_PROT_RWX;

	return (ctx->flags & KVM_PGTABLE_WALK_HANDLE_FAULT) && pgt_is_leaf(ctx->old, ctx->level) &&
	       fmt_leaf_hpa(ctx->old, ctx->level) + offset == ctx->addr + data->delta &&
	       !(asked & ~fmt_leaf_prot(ctx->old, ctx->level));
}

/*
 * It gets the marks that the fault brings all the same: an MMU that does not set
 * them by itself would refuse the access again and again.
 */
static inline int pgt_mark_block(const struct kvm_pgtable_visit_ctx *ctx, struct pgt_map_data *data)
{
	kvm_pte_t new = ctx->old;
	int err;

	if (data->map->prot & KVM_PGTABLE_PROT_ACCESSED)
		new = fmt_mkyoung(new, ctx->level);
	if (data->map->prot & KVM_PGTABLE_PROT_DIRTY)
		new = fmt_mkdirty(new, ctx->level);
	data->map->level = ctx->level;
	if (new == ctx->old)
		return 0;
	err = pgt_entry_change(ctx, new, &data->owed);
	if (!err)
		data->map->installed++;
	return err;
}

/* Exclusive: the block takes the place of a whole subtree. */
pgt_cold int pgt_map_over_table(const struct kvm_pgtable_visit_ctx *ctx, struct pgt_map_data *data)
{
	kvm_pte_t *table = pgt_follow(ctx->old, ctx->level);
	int err = pgt_map_leaf(ctx, data);

	if (!err)
		pgt_dispose_subtree(ctx->pgt, table, ctx->level - 1u,
				    ctx->pgt->config.ops->retire_table);
	return err;
}

pgt_inline int pgt_map_visitor(const struct kvm_pgtable_visit_ctx *ctx,
			       enum kvm_pgtable_walk_flags visit)
{
	struct pgt_map_data *data = ctx->arg;

	if (visit == KVM_PGTABLE_WALK_TABLE_PRE) {
		if ((ctx->flags & KVM_PGTABLE_WALK_SHARED) || !pgt_leaf_fits(ctx, data))
			return 0;
		return pgt_map_over_table(ctx, data);
	}
	if (pgt_is_locked(ctx->old))
		return -EAGAIN;
	if (pgt_leaf_fits(ctx, data))
		return pgt_map_leaf(ctx, data);
	if (pgt_block_serves_fault(ctx, data))
		return pgt_mark_block(ctx, data);
	return pgt_install_table(ctx, data->map->cache, &data->owed);
}

/* Fill absent entries; anything else is for the visitor. */
pgt_inline unsigned int pgt_map_run(struct kvm_pgtable_visit_ctx *ctx, unsigned int nr)
{
	struct pgt_map_data *data = ctx->arg;
	kvm_pte_t new = fmt_make_leaf(ctx->pgt, ctx->addr + data->delta, data->map->prot, 1);
	kvm_pte_t *ptep = ctx->ptep;
	unsigned int done;

	for (done = 0; done < nr; done++) {
		if (unlikely(atomic_peek(&ptep[done])))
			break;
		kvmu_assert(pgt_transition_legal(0, new, 1, false));
		pgt_env_store(&ptep[done], new);
		new = fmt_leaf_next(new, 1);
	}
	if (done) {
		pgt_live_adjust(ptep, done);
		data->map->installed += done;
		data->map->level = 1;
	}
	return done;
}

#define pgt_map_code                              \
	((struct pgt_code){.cb = pgt_map_visitor, \
			   .run = pgt_map_run,    \
			   .visits = KVM_PGTABLE_WALK_LEAF | KVM_PGTABLE_WALK_TABLE_PRE})

static inline int pgt_map_check(const struct kvm_pgtable *pgt, const struct kvm_pgtable_map *map)
{
	int err = pgt_check_range(pgt, map->addr, map->size);

	if (unlikely(err))
		return err;
	if (!is_aligned(map->hpa, PGT_PAGE_BYTES) || map->max_level > FMT_MAX_LEVELS ||
	    !pgt_flags_valid(map->flags) || !fmt_prot_valid(pgt, map->prot))
		return -EINVAL;
	if (map->hpa + map->size < map->hpa)
		return -EINVAL;
	return fmt_hpa_valid(pgt, map->hpa) &&
			       fmt_hpa_valid(pgt, map->hpa + map->size - PGT_PAGE_BYTES)
		       ? 0
		       : -ERANGE;
}

int PGT_NAME(map)(struct kvm_pgtable *pgt, struct kvm_pgtable_map *map)
{
	struct pgt_map_data data = {.map = map, .owed = PGT_FLUSH_NONE};
	struct kvm_pgtable_walker walker = {
		.arg = &data,
		.flags = map->flags,
	};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = map->addr, .flags = walker.flags, .arg = &data};
	int err = pgt_map_check(pgt, map);

	map->mapped = 0;
	map->installed = 0;
	map->level = 0;
	if (unlikely(err))
		return err;
	data.delta = map->hpa - map->addr;
	data.max_level = map->max_level && map->max_level < FMT_LEAF_LEVEL_MAX ? map->max_level
									       : FMT_LEAF_LEVEL_MAX;
	ctx.end = map->addr + map->size;
	for (;;) {
		err = pgt_walk(&ctx, &walker, pgt_map_code);
		map->mapped = ctx.addr - map->addr;
		/*
		 * Lost a race.  A fault is taken again by the vCPU; anyone else
		 * goes on from the root, because the table may be closed.
		 */
		if (likely(err != -EAGAIN) || (map->flags & KVM_PGTABLE_WALK_HANDLE_FAULT))
			break;
		ctx.start = ctx.addr + (KVMU_MUTANT(RESTART_SKIPS_ENTRY) ? PGT_PAGE_BYTES : 0);
		cpu_relax();
	}
	pgt_flush_merge(map->flush, &data.owed);
	return err;
}

#endif
