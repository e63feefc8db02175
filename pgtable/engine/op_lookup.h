/* SPDX-License-Identifier: BSD-2-Clause */
/* Look an address up without a lock; walk with a visitor of the caller's. */
#ifndef KVMU_PGTABLE_ENGINE_OP_LOOKUP_H
#define KVMU_PGTABLE_ENGINE_OP_LOOKUP_H

#include "pgtable/engine/walk.h"

static inline void pgt_describe_leaf(struct kvm_pgtable_leaf *leaf, kvm_pte_t *ptep, kvm_pte_t pte,
				     u64 addr, unsigned int level)
{
	*leaf = (struct kvm_pgtable_leaf){
		.ptep = ptep,
		.pte = pte,
		.level = (u8)level,
		.present = true,
		.hpa = fmt_leaf_hpa(pte, level) + (addr & (pgt_level_bytes(level) - 1)),
		.prot = fmt_leaf_prot(pte, level),
		.accessed = fmt_young(pte, level),
		.dirty = fmt_dirty(pte, level),
	};
}

int PGT_NAME(get_leaf)(struct kvm_pgtable *pgt, u64 addr, struct kvm_pgtable_leaf *leaf)
{
	unsigned int level = pgt->levels;
	kvm_pte_t *ptep, pte;

	if (unlikely(addr >> pgt->config.input_bits))
		return -ERANGE;
	/* Pairs with swap_roots. */
	ptep = &atomic_observe(&pgt->root)[pgt_root_index(pgt, addr)];
	pte = pgt_env_load(ptep);
	while (pgt_is_table(pte, level)) {
		kvm_pte_t *table = pgt_follow(pte, level);

		level--;
		ptep = &table[pgt_index(addr, level)];
		pte = pgt_env_load(ptep);
	}
	if (likely(fmt_present(pte, level))) {
		pgt_describe_leaf(leaf, ptep, pte, addr, level);
		return 0;
	}
	*leaf = (struct kvm_pgtable_leaf){.level = (u8)level};
	if (!pte || pgt_is_locked(pte))
		return 0;
	leaf->pte = pte;
	leaf->ptep = ptep;
	leaf->mmio = pgt_is_mmio(pte);
	*(leaf->mmio ? &leaf->mmio_generation : &leaf->owner) = pgt_owner(pte);
	return 0;
}

struct pgt_leaf_count {
	u64 *leaves;
	u64 left;
};

pgt_inline int pgt_count_leaf(const struct kvm_pgtable_visit_ctx *ctx,
			      enum kvm_pgtable_walk_flags visit)
{
	struct pgt_leaf_count *count = ctx->arg;

	(void)visit;
	count->leaves[ctx->level] += fmt_present(ctx->old, ctx->level);
	return --count->left ? 0 : -EINTR;
}

u64 PGT_NAME(count_leaves)(struct kvm_pgtable *pgt, u64 addr, u64 size, u64 max, u64 *leaves)
{
	struct pgt_leaf_count count = {.leaves = leaves, .left = max};
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = addr, .end = addr + size, .arg = &count};
	const struct kvm_pgtable_walker walker = {.flags = KVM_PGTABLE_WALK_LEAF};
	const struct pgt_code code = {.cb = pgt_count_leaf, .visits = KVM_PGTABLE_WALK_LEAF};

	if (!pgt_walk(&ctx, &walker, code))
		return addr + size;
	return min_u64(align_down(ctx.addr, pgt_level_bytes(ctx.level)) +
			       pgt_level_bytes(ctx.level),
		       addr + size);
}

int PGT_NAME(walk)(struct kvm_pgtable *pgt, u64 addr, u64 size,
		   const struct kvm_pgtable_walker *walker)
{
	u64 start = align_down(addr, PGT_PAGE_BYTES), end = addr + size;
	struct kvm_pgtable_visit_ctx ctx = {
		.pgt = pgt, .start = start, .flags = walker->flags, .arg = walker->arg};
	const struct pgt_code code = {.cb = walker->cb,
				      .ignore = walker->ignore,
				      .retry = walker->retry,
				      .visits = walker->flags};
	int err;

	if (!walker->cb || !size || end < addr || end > align_up(end, PGT_PAGE_BYTES))
		return -EINVAL;
	ctx.end = align_up(end, PGT_PAGE_BYTES);
	err = pgt_check_range(pgt, start, ctx.end - start);
	return err ? err : pgt_walk(&ctx, walker, code);
}

#endif
