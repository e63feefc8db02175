/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations that change the attributes of leaves in place. */
#ifndef KVMU_PGTABLE_ENGINE_OP_ATTR_H
#define KVMU_PGTABLE_ENGINE_OP_ATTR_H

#include "pgtable/engine/walk.h"

struct pgt_attr_data {
	struct kvm_pgtable_flush owed;
	enum kvm_pgtable_prot grant; /* relax_perms */
	bool young;		     /* mkold, test_young: a leaf was */
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

/* ---- ageing --------------------------------------------------------------------- */

pgt_inline int pgt_mkold_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				 enum kvm_pgtable_walk_flags visit)
{
	struct pgt_attr_data *data = ctx->arg;
	int err;

	(void)visit;
	if (!fmt_present(ctx->old, ctx->level))
		return pgt_attr_refuse(ctx);
	if (!fmt_young(ctx->old, ctx->level))
		return 0;
	err = pgt_entry_change(ctx, fmt_mkold(ctx->old, ctx->level), &data->owed);
	if (!err)
		data->young = true;
	return err;
}

/* Leaves the walk at the first young leaf: more cannot change the answer. */
pgt_inline int pgt_test_young_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				      enum kvm_pgtable_walk_flags visit)
{
	struct pgt_attr_data *data = ctx->arg;

	(void)visit;
	if (!fmt_present(ctx->old, ctx->level) || !fmt_young(ctx->old, ctx->level))
		return 0;
	data->young = true;
	return 1;
}

pgt_inline int pgt_mkyoung_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				   enum kvm_pgtable_walk_flags visit)
{
	struct pgt_attr_data *data = ctx->arg;

	(void)visit;
	if (!fmt_present(ctx->old, ctx->level))
		return pgt_attr_refuse(ctx);
	if (fmt_young(ctx->old, ctx->level))
		return 0;
	return pgt_entry_change(ctx, fmt_mkyoung(ctx->old, ctx->level), &data->owed);
}

/* ---- permissions ------------------------------------------------------------------ */

/* Add @grant to the leaf in ctx. */
pgt_inline int pgt_relax_entry(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_prot grant,
			       struct kvm_pgtable_flush *owed)
{
	enum kvm_pgtable_prot prot =
		(enum kvm_pgtable_prot)(fmt_leaf_prot(ctx->old, ctx->level) | grant);
	kvm_pte_t new;

	if (!fmt_prot_valid(ctx->pgt, prot))
		return -EINVAL;
	new = fmt_make_leaf(ctx->pgt, fmt_leaf_hpa(ctx->old, ctx->level), prot, ctx->level);
	return new == ctx->old ? 0 : pgt_entry_change(ctx, new, owed);
}

pgt_inline int pgt_relax_visitor(const struct kvm_pgtable_visit_ctx *ctx,
				 enum kvm_pgtable_walk_flags visit)
{
	struct pgt_attr_data *data = ctx->arg;

	(void)visit;
	if (!fmt_present(ctx->old, ctx->level))
		return pgt_attr_refuse(ctx);
	return pgt_relax_entry(ctx, data->grant, &data->owed);
}

/* ---- the operations ---------------------------------------------------------------- */

#define pgt_attr_code(visitor, inner)                         \
	((struct pgt_code){.cb = (visitor),                   \
			   .ignore = kvm_pgtable_attr_ignore, \
			   .retry = kvm_pgtable_attr_retry,   \
			   .run = (inner),                    \
			   .visits = KVM_PGTABLE_WALK_LEAF})

pgt_inline int pgt_attr_walk(struct kvm_pgtable *pgt, u64 addr, u64 size,
			     enum kvm_pgtable_walk_flags flags, struct pgt_attr_data *data,
			     struct kvm_pgtable_flush *flush, const struct pgt_code code)
{
	const struct kvm_pgtable_walker walker = {.arg = data, .flags = flags};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .end = addr + size, .flags = flags, .arg = data};
	int err = pgt_check_range(pgt, addr, size);

	if (unlikely(err))
		return err;
	if (!pgt_flags_valid(flags))
		return -EINVAL;
	data->owed = PGT_FLUSH_NONE;
	err = pgt_walk(&ctx, &walker, code);
	pgt_flush_merge(flush, &data->owed);
	return err;
}

int PGT_NAME(wrprotect)(struct kvm_pgtable *pgt, u64 addr, u64 size,
			enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush)
{
	struct pgt_attr_data data = {0};

	return pgt_attr_walk(pgt, addr, size, flags, &data, flush,
			     pgt_attr_code(pgt_wrprotect_visitor, pgt_wrprotect_run));
}

int PGT_NAME(mkold)(struct kvm_pgtable *pgt, u64 addr, u64 size, enum kvm_pgtable_walk_flags flags,
		    bool *young, struct kvm_pgtable_flush *flush)
{
	struct pgt_attr_data data = {0};
	int err = pgt_attr_walk(pgt, addr, size, flags, &data, flush,
				pgt_attr_code(pgt_mkold_visitor, NULL));

	*young = data.young;
	return err;
}

int PGT_NAME(test_young)(struct kvm_pgtable *pgt, u64 addr, u64 size, bool *young)
{
	struct pgt_attr_data data = {0};
	int err = pgt_attr_walk(pgt, addr, size, KVM_PGTABLE_WALK_SHARED, &data, NULL,
				pgt_attr_code(pgt_test_young_visitor, NULL));

	*young = data.young;
	return err < 0 ? err : 0;
}

/* One page: absence is the caller's to know, also in an exclusive walk. */
pgt_inline int pgt_attr_page(struct kvm_pgtable *pgt, u64 addr, enum kvm_pgtable_walk_flags flags,
			     struct pgt_attr_data *data, struct kvm_pgtable_flush *flush,
			     kvm_pgtable_visitor_fn_t visitor)
{
	const struct pgt_code code = {
		.cb = visitor, .retry = kvm_pgtable_attr_retry, .visits = KVM_PGTABLE_WALK_LEAF};

	return pgt_attr_walk(pgt, align_down(addr, PGT_PAGE_BYTES), PGT_PAGE_BYTES, flags, data,
			     flush, code);
}

int PGT_NAME(mkyoung)(struct kvm_pgtable *pgt, u64 addr, enum kvm_pgtable_walk_flags flags)
{
	struct pgt_attr_data data = {0};

	return pgt_attr_page(pgt, addr, flags, &data, NULL, pgt_mkyoung_visitor);
}

int PGT_NAME(relax_perms)(struct kvm_pgtable *pgt, u64 addr, enum kvm_pgtable_prot prot,
			  enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush)
{
	struct pgt_attr_data data = {.grant = prot};

	if (prot & ~KVM_PGTABLE_PROT_RWX)
		return -EINVAL;
	return pgt_attr_page(pgt, addr, flags, &data, flush, pgt_relax_visitor);
}

#endif
