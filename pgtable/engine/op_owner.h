/* SPDX-License-Identifier: BSD-2-Clause */
/* Annotate absent memory with an owner or as MMIO; clean data caches. */
#ifndef KVMU_PGTABLE_ENGINE_OP_OWNER_H
#define KVMU_PGTABLE_ENGINE_OP_OWNER_H

#include "pgtable/engine/op_unmap.h"

struct pgt_owner_data {
	kvm_pte_t annotation;
	struct kvm_pgtable_cache *cache;
	struct kvm_pgtable_flush owed;
};

/* Exclusive: one annotation takes the place of a subtree. */
pgt_cold int pgt_annotate_over_table(const struct kvm_pgtable_visit_ctx *ctx,
				     struct pgt_owner_data *data)
{
	kvm_pte_t *table = pgt_follow(ctx->old, ctx->level);
	int err = pgt_entry_change(ctx, data->annotation, &data->owed);

	if (!err)
		pgt_dispose_subtree(ctx->pgt, table, ctx->level - 1u,
				    ctx->pgt->config.ops->retire_table);
	return err;
}

pgt_inline int pgt_owner_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				 enum kvm_pgtable_walk_flags visit)
{
	struct pgt_owner_data *data = ctx->arg;

	if (visit == KVM_PGTABLE_WALK_TABLE_PRE) {
		if ((ctx->flags & KVM_PGTABLE_WALK_SHARED) || !pgt_entry_inside(ctx))
			return 0;
		return pgt_annotate_over_table(ctx, data);
	}
	if (pgt_is_locked(ctx->old))
		return -EAGAIN;
	if (ctx->old == data->annotation)
		return 0;
	if (pgt_entry_inside(ctx))
		return pgt_entry_change(ctx, data->annotation, &data->owed);
	return pgt_install_table(ctx, data->cache, &data->owed);
}

int PGT_NAME(set_owner)(struct kvm_pgtable *pgt, u64 addr, u64 size, u32 owner,
			enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache,
			struct kvm_pgtable_flush *flush)
{
	struct pgt_owner_data data = {
		.annotation = pgt_make_owner(owner), .cache = cache, .owed = PGT_FLUSH_NONE};
	const struct kvm_pgtable_walker walker = {.arg = &data, .flags = flags};
	const struct pgt_code code = {.cb = pgt_owner_visitor,
				      .visits = KVM_PGTABLE_WALK_LEAF | KVM_PGTABLE_WALK_TABLE_PRE};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .end = addr + size, .flags = flags, .arg = &data};
	int err = pgt_check_range(pgt, addr, size);

	if (err)
		return err;
	if (!owner || (flags & ~KVM_PGTABLE_WALK_SHARED))
		return -EINVAL;
	/* A table page that was closed meanwhile is left for the root, as in map(). */
	while ((err = pgt_walk(&ctx, &walker, code)) == -EAGAIN) {
		ctx.start = ctx.addr;
		cpu_relax();
	}
	pgt_flush_merge(flush, &data.owed);
	return err;
}

/* ---- where no memory is -------------------------------------------------------------- */

struct pgt_mmio_data {
	kvm_pte_t note;
	unsigned int max_level;
	struct kvm_pgtable_cache *cache;
};

/* Never over a leaf: what is mapped meanwhile is the truth. */
pgt_inline int pgt_mmio_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				enum kvm_pgtable_walk_flags visit)
{
	struct pgt_mmio_data *data = ctx->arg;
	struct kvm_pgtable_flush none = PGT_FLUSH_NONE;

	(void)visit;
	if (pgt_is_locked(ctx->old))
		return -EAGAIN;
	if (pgt_worth_keeping(ctx->old, ctx->level) && !KVMU_MUTANT(MMIO_OVER_LEAF))
		return -EEXIST;
	if (ctx->level > data->max_level)
		return pgt_install_table(ctx, data->cache, &none);
	return ctx->old == data->note ? 0 : pgt_entry_change(ctx, data->note, &none);
}

int PGT_NAME(set_mmio)(struct kvm_pgtable *pgt, u64 addr, u32 generation, unsigned int max_level,
		       enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache)
{
	struct pgt_mmio_data data = {
		.note = pgt_make_mmio(generation), .max_level = max_level, .cache = cache};
	const struct kvm_pgtable_walker walker = {.arg = &data, .flags = flags};
	struct kvm_pgtable_visit_ctx ctx = {.pgt = pgt,
					    .start = addr,
					    .end = addr + PGT_PAGE_BYTES,
					    .flags = flags,
					    .arg = &data};
	int err = pgt_check_range(pgt, addr, PGT_PAGE_BYTES);

	if (err)
		return err;
	if (!generation || !max_level || (flags & ~KVM_PGTABLE_WALK_SHARED))
		return -EINVAL;
	return pgt_walk(&ctx, &walker,
			(struct pgt_code){.cb = pgt_mmio_visitor, .visits = KVM_PGTABLE_WALK_LEAF});
}

/* ---- data caches ---------------------------------------------------------------------- */

static inline int pgt_clean_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				    enum kvm_pgtable_walk_flags visit)
{
	u64 bytes = pgt_level_bytes(ctx->level), offset = ctx->addr & (bytes - 1);
	const struct kvm_pgtable_config *config = &ctx->pgt->config;

	(void)visit;
	if (pgt_is_leaf(ctx->old, ctx->level) &&
	    !(fmt_leaf_prot(ctx->old, ctx->level) & KVM_PGTABLE_PROT_DEVICE))
		config->ops->clean_dcache(config->ctx, fmt_leaf_hpa(ctx->old, ctx->level) + offset,
					  min_u64(bytes - offset, ctx->end - ctx->addr));
	return 0;
}

int PGT_NAME(flush)(struct kvm_pgtable *pgt, u64 addr, u64 size)
{
	const struct kvm_pgtable_walker walker = {.flags = KVM_PGTABLE_WALK_SHARED};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .end = addr + size, .flags = walker.flags};
	int err = pgt_check_range(pgt, addr, size);

	if (err || !pgt->config.ops->clean_dcache)
		return err;
	return pgt_walk(
		&ctx, &walker,
		(struct pgt_code){.cb = pgt_clean_visitor, .visits = KVM_PGTABLE_WALK_LEAF});
}

#endif
