/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes, indices and the judgement of arguments. */
#ifndef KVMU_PGTABLE_ENGINE_GEOMETRY_H
#define KVMU_PGTABLE_ENGINE_GEOMETRY_H

#include "base/assert.h"
#include "pgtable/env.h"
#include "pgtable/format/defaults.h"

/* For what must fold into its caller: visitors, predicates, the walker. */
#define pgt_inline static inline __attribute__((always_inline))
/* For what must not grow its caller. */
#define pgt_cold static __attribute__((noinline, cold))

#define PGT_PAGE_BYTES	  (1ull << FMT_PAGE_LG2)
#define PGT_TABLE_ENTRIES (1u << FMT_TABLE_BITS)
#define PGT_TABLE_BYTES	  ((size_t)1 << FMT_TABLE_LG2)

/* log2 of what one entry of @level covers. */
pgt_inline unsigned int pgt_level_lg2(unsigned int level)
{
	return FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1);
}

pgt_inline u64 pgt_level_bytes(unsigned int level)
{
	return 1ull << pgt_level_lg2(level);
}

/* Index below the root.  The root may be wider, see pgt_root_index(). */
pgt_inline unsigned int pgt_index(u64 addr, unsigned int level)
{
	return (unsigned int)(addr >> pgt_level_lg2(level)) & (PGT_TABLE_ENTRIES - 1);
}

/* Addresses are below the input size, so nothing needs to be masked. */
pgt_inline u64 pgt_root_index(const struct kvm_pgtable *pgt, u64 addr)
{
	return addr >> pgt_level_lg2(pgt->levels);
}

/* Entries of the root that the input size reaches. */
pgt_inline u64 pgt_root_entries(const struct kvm_pgtable *pgt)
{
	unsigned int lg2 = pgt_level_lg2(pgt->levels);

	return pgt->config.input_bits > lg2 ? 1ull << (pgt->config.input_bits - lg2) : 1;
}

/* The table page that @ptep lies in; of a root of several pages, the page. */
pgt_inline kvm_pte_t *pgt_table_of(kvm_pte_t *ptep)
{
	return (kvm_pte_t *)((uintptr_t)ptep & ~(uintptr_t)(PGT_TABLE_BYTES - 1));
}

pgt_inline kvm_pte_t *pgt_follow(kvm_pte_t pte, unsigned int level)
{
	return pgt_env_table(fmt_table_hpa(pte, level));
}

/* A range an operation may work on: -EINVAL, then -ERANGE. */
pgt_inline int pgt_check_range(const struct kvm_pgtable *pgt, u64 addr, u64 size)
{
	if (!size || ((addr | size) & (PGT_PAGE_BYTES - 1)) || addr + size < addr)
		return -EINVAL;
	return (addr + size) >> pgt->config.input_bits &&
			       addr + size != 1ull << pgt->config.input_bits
		       ? -ERANGE
		       : 0;
}

#define PGT_OP_FLAGS (KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT)

/* Flags a caller may hand to an operation; a fault is handled under the shared lock only. */
pgt_inline bool pgt_flags_valid(enum kvm_pgtable_walk_flags flags)
{
	return !(flags & ~PGT_OP_FLAGS) && flags != KVM_PGTABLE_WALK_HANDLE_FAULT;
}

#endif
