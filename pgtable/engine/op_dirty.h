/* SPDX-License-Identifier: BSD-2-Clause */
/* What a log of written pages needs: notice the next write, and let it happen. */
#ifndef KVMU_PGTABLE_ENGINE_OP_DIRTY_H
#define KVMU_PGTABLE_ENGINE_OP_DIRTY_H

#include "pgtable/engine/op_attr.h"

/*
 * The leaf that makes the next write noticed.  The MMU's dirty mark tells it for
 * a page; that of a block would not say which page, so a block must fault.
 */
pgt_inline kvm_pte_t pgt_cleaned(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	pte = fmt_mkclean(pte, level);
	if (KVMU_MUTANT(BLOCK_CLEANED) && pgt->config.accessed_dirty)
		return pte;
	return level == 1 && pgt->config.accessed_dirty ? pte : fmt_wrprotect(pte, level);
}

pgt_inline int pgt_mkclean_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				   enum kvm_pgtable_walk_flags visit)
{
	struct pgt_attr_data *data = ctx->arg;
	kvm_pte_t new;

	(void)visit;
	if (!fmt_present(ctx->old, ctx->level))
		return pgt_attr_refuse(ctx);
	new = pgt_cleaned(ctx->pgt, ctx->old, ctx->level);
	return new == ctx->old ? 0 : pgt_entry_change(ctx, new, &data->owed);
}

pgt_inline unsigned int pgt_mkclean_run(struct kvm_pgtable_visit_ctx *ctx, unsigned int nr)
{
	struct pgt_attr_data *data = ctx->arg;
	const struct kvm_pgtable *pgt = ctx->pgt;
	kvm_pte_t *ptep = ctx->ptep;
	unsigned int first = nr, last = 0, changed = 0, i;

	for (i = 0; i < nr; i++) {
		kvm_pte_t old = atomic_peek(&ptep[i]), new;

		if (!fmt_present(old, 1))
			continue;
		new = pgt_cleaned(pgt, old, 1);
		if (new == old)
			continue;
		if (unlikely(fmt_mmu_may_write(pgt, old, 1)))
			break; /* needs a locked write: the visitor's */
		kvmu_assert(pgt_transition_legal(old, new, 1, false));
		pgt_env_store(&ptep[i], new);
		first = first < i ? first : i;
		last = i;
		changed++;
	}
	if (changed)
		pgt_flush_add(&data->owed, ctx->addr + ((u64)first << FMT_PAGE_LG2),
			      ctx->addr + ((u64)(last + 1) << FMT_PAGE_LG2), changed);
	return i;
}

int PGT_NAME(mkclean)(struct kvm_pgtable *pgt, u64 addr, u64 size,
		      enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush)
{
	struct pgt_attr_data data = {0};

	return pgt_attr_walk(pgt, addr, size, flags, &data, flush,
			     pgt_attr_code(pgt_mkclean_visitor, pgt_mkclean_run));
}

int PGT_NAME(relax_leaf)(struct kvm_pgtable *pgt, u64 addr, const struct kvm_pgtable_leaf *leaf,
			 enum kvm_pgtable_prot prot, struct kvm_pgtable_flush *flush)
{
	const struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt,
		.ptep = leaf->ptep,
		.old = leaf->pte,
		.addr = addr,
		.level = leaf->level,
		.flags = KVM_PGTABLE_WALK_SHARED,
	};
	struct kvm_pgtable_flush owed = PGT_FLUSH_NONE;
	int err;

	if (!leaf->present ||
	    (prot & ~(KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY)))
		return -EINVAL;
	err = pgt_relax_entry(&ctx, prot, &owed);
	pgt_flush_merge(flush, &owed);
	return err;
}

#endif
