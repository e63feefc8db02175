/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An allocator of table pages: zeroed, naturally aligned, each with its record
 * (struct pgt_table_meta) beside it, cut from chunks that the consumer supplies.
 *
 * Thread-safe.  Callers that take many pages do so through a cache of their own
 * (table_arena_fill) and touch the lock once per batch.  Chunks that become
 * empty are given back, all but one (table_arena::keep).
 */
#ifndef KVMU_PGTABLE_ARENA_H
#define KVMU_PGTABLE_ARENA_H

#include "pgtable/pgtable.h"

/* Where chunks come from.  May sleep if the caller of the arena may. */
struct table_arena_source {
	/* @bytes, zeroed, aligned to @bytes (a power of two); NULL: none. */
	void *(*alloc_chunk)(void *ctx, size_t bytes);
	void (*free_chunk)(void *ctx, void *chunk, size_t bytes);
	void *ctx;
};

struct table_chunk;

struct table_arena {
	struct table_arena_source source;
	u32 lock;
	u8 page_lg2;
	struct table_chunk *usable; /* have a free page; doubly linked */
	struct table_chunk *full;
	u64 pages;     /* handed out now, in units of the table size */
	u64 pages_max; /* highest ever */
	u64 chunks;    /* held now */
	u64 empty;     /* of them without a page in use */
	u64 keep;      /* empty chunks not given back to the source; 1 unless set */
};

/* @page_lg2 is the size of one table, 12 to 16.  -EINVAL otherwise. */
int table_arena_init(struct table_arena *arena, const struct table_arena_source *source,
		     unsigned int page_lg2) KVMU_MUST_CHECK;
/* Every page must have come back. */
void table_arena_destroy(struct table_arena *arena);

/* One zeroed table page, NULL: none. */
void *table_arena_alloc(struct table_arena *arena);
/* The page may hold anything; no one else uses it any more. */
void table_arena_free(struct table_arena *arena, void *table);

/* A root of @bytes (a power of two up to 1 MiB), aligned to its size. */
void *table_arena_alloc_root(struct table_arena *arena, size_t bytes);
void table_arena_free_root(struct table_arena *arena, void *root, size_t bytes);

/*
 * Bring @cache to at least @nr pages (at most KVM_PGTABLE_CACHE_PAGES are
 * kept).  -ENOMEM when the source is dry; what could be had is in the cache.
 */
int table_arena_fill(struct table_arena *arena, struct kvm_pgtable_cache *cache,
		     unsigned int nr) KVMU_MUST_CHECK;
void table_arena_drain(struct table_arena *arena, struct kvm_pgtable_cache *cache);

/*
 * A list of table pages threaded through their records, so that pages which
 * lock-free walkers still read can be kept.  Not thread-safe.
 */
void table_list_push(void **first, void *table);
void *table_list_pop(void **first);
/* Give a whole list back. */
void table_arena_free_list(struct table_arena *arena, void **first);

/* Now and ever, in bytes of table memory. */
static inline u64 table_arena_bytes(const struct table_arena *arena)
{
	return arena->pages << arena->page_lg2;
}

#endif
