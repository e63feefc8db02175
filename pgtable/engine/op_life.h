/* SPDX-License-Identifier: BSD-2-Clause */
/* The beginning and the end of a table. */
#ifndef KVMU_PGTABLE_ENGINE_OP_LIFE_H
#define KVMU_PGTABLE_ENGINE_OP_LIFE_H

#include "pgtable/engine/walk.h"

static inline bool pgt_ops_valid(const struct kvm_pgtable_ops *ops)
{
	return ops && ops->alloc_table && ops->free_table && ops->retire_table && ops->alloc_root &&
	       ops->free_root && (!FMT_BREAK_BEFORE_MAKE || ops->flush);
}

int PGT_NAME(init)(struct kvm_pgtable *pgt, const struct kvm_pgtable_config *config)
{
	u8 levels = config->levels;
	size_t root_bytes = 0;
	kvm_pte_t *root;
	int err;

	if (!pgt_ops_valid(config->ops))
		return -EINVAL;
	err = fmt_geometry(config, &levels, &root_bytes);
	if (err)
		return err;
	root = config->ops->alloc_root(config->ctx, root_bytes);
	if (!root)
		return -ENOMEM;
	*pgt = (struct kvm_pgtable){
		.config = *config, .levels = levels, .root = root, .root_bytes = root_bytes};
	return 0;
}

void PGT_NAME(swap_roots)(struct kvm_pgtable *pgt, struct kvm_pgtable *other)
{
	kvm_pte_t *root = pgt->root;

	kvmu_assert(pgt->levels == other->levels && pgt->root_bytes == other->root_bytes);
	/* Pairs with the look-up without a lock, get_leaf. */
	atomic_publish(&pgt->root, other->root);
	atomic_publish(&other->root, root);
}

void PGT_NAME(destroy)(struct kvm_pgtable *pgt)
{
	const struct kvm_pgtable_ops *ops = pgt->config.ops;

	if (!pgt->root)
		return;
	for (u64 i = 0; i < pgt_root_entries(pgt); i++) {
		kvm_pte_t pte = pgt->root[i];

		if (pgt_is_table(pte, pgt->levels))
			pgt_dispose_subtree(pgt, pgt_follow(pte, pgt->levels), pgt->levels - 1u,
					    ops->free_table);
	}
	ops->free_root(pgt->config.ctx, pgt->root, pgt->root_bytes);
	pgt->root = NULL;
}

#endif
