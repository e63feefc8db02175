/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations that change the attributes of leaves in place. */
#ifndef KVMU_PGTABLE_ENGINE_OP_ATTR_H
#define KVMU_PGTABLE_ENGINE_OP_ATTR_H

#include "pgtable/engine/walk.h"

struct pgt_attr_data {
	struct kvm_pgtable_flush owed;
};

/* -ENOENT: no leaf here.  -EAGAIN: locked by someone. */
pgt_inline int pgt_attr_refuse(const struct kvm_pgtable_visit_ctx *ctx)
{
	return pgt_is_locked(ctx->old) ? -EAGAIN : -ENOENT;
}

pgt_inline int pgt_wrprotect_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				     enum kvm_pgtable_walk_flags visit)
{
	struct pgt_attr_data *data = ctx->arg;

	(void)visit;
	if (!fmt_present(ctx->old, ctx->level))
		return pgt_attr_refuse(ctx);
	if (!fmt_writable(ctx->old, ctx->level))
		return 0;
	return pgt_entry_change(ctx, fmt_wrprotect(ctx->old, ctx->level), &data->owed);
}

pgt_inline unsigned int pgt_wrprotect_run(struct kvm_pgtable_visit_ctx *ctx, unsigned int nr)
{
	struct pgt_attr_data *data = ctx->arg;
	const struct kvm_pgtable *pgt = ctx->pgt;
	const bool mmu_writes = pgt->config.accessed_dirty;
	kvm_pte_t *ptep = ctx->ptep;
	unsigned int first = nr, last = 0, changed = 0, i;

	for (i = 0; i < nr; i++) {
		kvm_pte_t old = atomic_peek(&ptep[i]);

		if (!fmt_present(old, 1) || !fmt_writable(old, 1))
			continue;
		if (unlikely(mmu_writes && fmt_mmu_may_write(pgt, old, 1)))
			break; /* needs a locked write: the visitor's */
		kvmu_assert(pgt_transition_legal(old, fmt_wrprotect(old, 1), 1, false));
		pgt_env_store(&ptep[i], fmt_wrprotect(old, 1));
		first = first < i ? first : i;
		last = i;
		changed++;
	}
	if (changed)
		pgt_flush_add(&data->owed, ctx->addr + ((u64)first << FMT_PAGE_LG2),
			      ctx->addr + ((u64)(last + 1) << FMT_PAGE_LG2), changed);
	return i;
}

#define pgt_wrprotect_code                                    \
	((struct pgt_code){.cb = pgt_wrprotect_visitor,       \
			   .ignore = kvm_pgtable_attr_ignore, \
			   .retry = kvm_pgtable_attr_retry,   \
			   .run = pgt_wrprotect_run,          \
			   .visits = KVM_PGTABLE_WALK_LEAF})

int PGT_NAME(wrprotect)(struct kvm_pgtable *pgt, u64 addr, u64 size,
			enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush)
{
	struct pgt_attr_data data = {.owed = PGT_FLUSH_NONE};
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
	err = pgt_walk(&ctx, &walker, pgt_wrprotect_code);
	pgt_flush_merge(flush, &data.owed);
	return err;
}

#endif
