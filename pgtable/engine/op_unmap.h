/* SPDX-License-Identifier: BSD-2-Clause */
/* Remove leaves and annotations; unlink and retire the table pages that empties. */
#ifndef KVMU_PGTABLE_ENGINE_OP_UNMAP_H
#define KVMU_PGTABLE_ENGINE_OP_UNMAP_H

#include "pgtable/engine/walk.h"

struct pgt_unmap_data {
	struct kvm_pgtable_cache *cache;
	struct kvm_pgtable_flush owed;
};

/* Does the entry lie in the walk as a whole? */
pgt_inline bool pgt_entry_inside(const struct kvm_pgtable_visit_ctx *ctx)
{
	u64 bytes = pgt_level_bytes(ctx->level);

	return is_aligned(ctx->addr, bytes) && ctx->end - ctx->addr >= bytes;
}

/* An empty table page leaves the tree. */
pgt_inline int pgt_unlink_empty(const struct kvm_pgtable_visit_ctx *ctx,
				struct kvm_pgtable_flush *owed)
{
	kvm_pte_t *table = pgt_follow(ctx->old, ctx->level);
	struct kvm_pgtable_visit_ctx now = *ctx;

	if (pgt_table_live(table))
		return 0;
	if (!(ctx->flags & KVM_PGTABLE_WALK_SHARED)) {
		(void)pgt_entry_change(ctx, 0, owed);
	} else {
		if (!pgt_table_kill(table))
			return 0; /* someone fills it again, or unlinks it himself */
		/* The entry is ours now, but the MMU may still set its accessed bit. */
		while (pgt_entry_change(&now, 0, owed))
			now.old = pgt_env_load(now.ptep);
	}
	ctx->pgt->config.ops->retire_table(ctx->pgt->config.ctx, table);
	return 0;
}

pgt_inline int pgt_unmap_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				 enum kvm_pgtable_walk_flags visit)
{
	struct pgt_unmap_data *data = ctx->arg;

	if (visit == KVM_PGTABLE_WALK_TABLE_POST)
		return pgt_unlink_empty(ctx, &data->owed);
	if (!ctx->old)
		return 0;
	if (pgt_is_locked(ctx->old))
		return -EAGAIN;
	if (ctx->level > 1 && !pgt_entry_inside(ctx) && pgt_worth_keeping(ctx->old, ctx->level))
		return pgt_install_table(ctx, data->cache, &data->owed);
	return pgt_entry_change(ctx, 0, &data->owed);
}

/* Clear leaves until the table is empty: sparse tables are not read to their end. */
pgt_inline unsigned int pgt_unmap_run(struct kvm_pgtable_visit_ctx *ctx, unsigned int nr)
{
	struct pgt_unmap_data *data = ctx->arg;
	kvm_pte_t *ptep = ctx->ptep;
	u32 live = pgt_table_live(pgt_table_of(ptep)), left = live;
	unsigned int first = nr, last = 0, leaves = 0;

	for (unsigned int i = 0; i < nr && left; i++) {
		if (KVMU_MUTANT(LAST_ENTRY_SKIPPED) && i && i + 1 == nr)
			break;
		kvm_pte_t old = atomic_peek(&ptep[i]);

		if (!old)
			continue;
		kvmu_assert(pgt_transition_legal(old, 0, 1, false));
		pgt_env_store(&ptep[i], 0);
		left--;
		if (likely(fmt_present(old, 1))) {
			first = first < i ? first : i;
			last = i;
			leaves++;
		}
	}
	if (left != live)
		pgt_live_adjust(ptep, left - live);
	if (leaves)
		pgt_flush_add(&data->owed, ctx->addr + ((u64)first << FMT_PAGE_LG2),
			      ctx->addr + ((u64)(last + 1) << FMT_PAGE_LG2), leaves);
	return nr;
}

/* Lost races are repeated at once; nothing else is retried or ignored. */
pgt_inline bool pgt_unmap_retry(const struct kvm_pgtable_walker *walker, int ret)
{
	(void)walker;
	return ret == -EAGAIN;
}

#define pgt_unmap_code                               \
	((struct pgt_code){.cb = pgt_unmap_visitor,  \
			   .retry = pgt_unmap_retry, \
			   .run = pgt_unmap_run,     \
			   .visits = KVM_PGTABLE_WALK_LEAF | KVM_PGTABLE_WALK_TABLE_POST})

int PGT_NAME(unmap)(struct kvm_pgtable *pgt, u64 addr, u64 size, enum kvm_pgtable_walk_flags flags,
		    struct kvm_pgtable_cache *cache, struct kvm_pgtable_flush *flush)
{
	struct pgt_unmap_data data = {.cache = cache, .owed = PGT_FLUSH_NONE};
	struct kvm_pgtable_walker walker = {
		.arg = &data,
		.flags = flags,
	};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .end = addr + size, .flags = walker.flags, .arg = &data};
	int err = pgt_check_range(pgt, addr, size);

	if (unlikely(err))
		return err;
	if (!pgt_flags_valid(flags))
		return -EINVAL;
	err = pgt_walk(&ctx, &walker, pgt_unmap_code);
	pgt_flush_merge(flush, &data.owed);
	return err;
}

#endif
