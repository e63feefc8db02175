/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A format with its geometry and its operations by pointer, so that tests are
 * written once for all; freestanding, for the bare-metal images too.
 */
#ifndef KVMU_TESTS_PGTABLE_FORMAT_OPS_H
#define KVMU_TESTS_PGTABLE_FORMAT_OPS_H

#include "pgtable/pgtable.h"

/* The operations of one instance. */
#define PGT_NAME(op) (*op)
struct format_ops {
#include "pgtable/pgtable_api.h"
};
#undef PGT_NAME

struct format {
	const char *name;
	struct format_ops op;
	struct kvm_pgtable_config config; /* without ctx and ops */
	unsigned int page_lg2;
	unsigned int table_bits;
	unsigned int leaf_level_max;
	unsigned int lacks;  /* of KVM_PGTABLE_PROT_ALL, what a leaf cannot say */
	bool keeps_refusals; /* a cached refusal stays until flushed: relax owes */
	bool breaks;	     /* break-before-make */
};

static inline u64 format_page(const struct format *format)
{
	return 1ull << format->page_lg2;
}

static inline u64 format_level_bytes(const struct format *format, unsigned int level)
{
	return 1ull << (format->page_lg2 + format->table_bits * (level - 1));
}

#define FORMAT_OPS(prefix)                                                                        \
	{                                                                                         \
		.init = prefix##_init, .destroy = prefix##_destroy, .map = prefix##_map,          \
		.unmap = prefix##_unmap, .get_leaf = prefix##_get_leaf, .walk = prefix##_walk,    \
		.count_leaves = prefix##_count_leaves, .wrprotect = prefix##_wrprotect,           \
		.set_owner = prefix##_set_owner, .set_mmio = prefix##_set_mmio,                   \
		.mkclean = prefix##_mkclean, .relax_leaf = prefix##_relax_leaf,                   \
		.mkyoung = prefix##_mkyoung, .mkold = prefix##_mkold,                             \
		.test_young = prefix##_test_young, .relax_perms = prefix##_relax_perms,           \
		.flush = prefix##_flush, .split = prefix##_split, .collapse = prefix##_collapse,  \
		.create_unlinked = prefix##_create_unlinked,                                      \
		.free_unlinked = prefix##_free_unlinked, .link_unlinked = prefix##_link_unlinked, \
		.check = prefix##_check,                                                          \
	}

#endif
