/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inline environment: what the engine asks of its consumer on the hot path,
 * chosen when an instance is compiled.  -DPGT_ENV_HEADER='"my_env.h"' replaces
 * the default below, which fits every consumer whose table pages lie at their
 * own address (user space, identity-mapped bare metal) and come from a struct
 * table_arena (arena.h).
 *
 * An environment supplies:
 *
 *   pgt_env_table(hpa)     pointer to the table at the address found in an entry
 *   pgt_env_hpa(table)     the address to put into an entry
 *   pgt_env_meta(table)    the record kept beside a table page
 *   pgt_env_load(ptep)     read an entry that others may change; what the writer
 *                          wrote into a table before it linked it is seen
 *   pgt_env_store(p, pte)  write an entry while no other writer exists; publishes
 *   pgt_env_cmpxchg(...)   the same against other writers
 */
#ifndef KVMU_PGTABLE_ENV_H
#define KVMU_PGTABLE_ENV_H

#include "base/atomics.h"
#include "base/bits.h"
#include "base/types.h"
#include "pgtable/pgtable.h"

/*
 * Kept for each table page, not inside it: the MMU owns every byte of the page.
 *
 * live counts non-zero entries.  Under a shared walk it is also a gate: whoever
 * fills an absent entry counts first, and whoever unlinks an empty table swaps
 * 0 for PGT_META_DEAD, so that of the two exactly one wins.
 */
struct pgt_table_meta {
	void *next; /* the owner's list: free, retired */
	u32 live;
	u32 spare;
};

#define PGT_META_DEAD 0x80000000u

/*
 * Table pages come in chunks of this size and alignment whose first bytes hold
 * the records of all pages in the chunk, one per 4 KiB.
 */
#define PGT_CHUNK_LG2	21
#define PGT_CHUNK_BYTES (1ull << PGT_CHUNK_LG2)

static inline struct pgt_table_meta *pgt_chunk_meta(const void *table)
{
	uintptr_t at = (uintptr_t)table;
	uintptr_t chunk = at & ~(uintptr_t)(PGT_CHUNK_BYTES - 1);

	return (struct pgt_table_meta *)chunk + ((at - chunk) >> PAGE_SHIFT);
}

#ifdef PGT_ENV_HEADER
#include PGT_ENV_HEADER
#else

static inline kvm_pte_t *pgt_env_table(hpa_t hpa)
{
	return (kvm_pte_t *)(uintptr_t)hpa;
}

static inline hpa_t pgt_env_hpa(const kvm_pte_t *table)
{
	return (hpa_t)(uintptr_t)table;
}

static inline struct pgt_table_meta *pgt_env_meta(const kvm_pte_t *table)
{
	return pgt_chunk_meta(table);
}

static inline kvm_pte_t pgt_env_load(const kvm_pte_t *ptep)
{
	return atomic_observe(ptep); /* pairs with pgt_env_store() and _cmpxchg() */
}

static inline void pgt_env_store(kvm_pte_t *ptep, kvm_pte_t pte)
{
	atomic_publish(ptep, pte);
}

static inline bool pgt_env_cmpxchg(kvm_pte_t *ptep, kvm_pte_t *expected, kvm_pte_t pte)
{
	return atomic_cmpxchg_u64(ptep, expected, pte);
}

#endif
#endif
