/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunks for a table arena (arena.h) out of one stretch of memory: what a
 * bare-metal consumer has.  Not thread-safe.
 */
#ifndef KVMU_PGTABLE_CHUNK_HEAP_H
#define KVMU_PGTABLE_CHUNK_HEAP_H

#include "pgtable/arena.h"
#include "pgtable/env.h"

struct chunk_heap {
	u64 next; /* never handed out from here on, and zero */
	u64 end;
	void *free; /* chunks that came back, linked through their first word */
};

/* [start, end) is zeroed; its ends need no alignment. */
static inline void chunk_heap_init(struct chunk_heap *heap, u64 start, u64 end)
{
	*heap = (struct chunk_heap){.next = align_up(start, PGT_CHUNK_BYTES),
				    .end = align_down(end, PGT_CHUNK_BYTES)};
}

static inline void *chunk_heap_alloc(void *ctx, size_t bytes)
{
	struct chunk_heap *heap = ctx;
	void *chunk = heap->free;

	if (bytes != PGT_CHUNK_BYTES)
		return NULL;
	if (chunk) {
		heap->free = *(void **)chunk;
		__builtin_memset(chunk, 0, bytes);
		return chunk;
	}
	if (heap->next >= heap->end)
		return NULL;
	chunk = hva_to_ptr(heap->next);
	heap->next += bytes;
	return chunk;
}

static inline void chunk_heap_free(void *ctx, void *chunk, size_t bytes)
{
	struct chunk_heap *heap = ctx;

	(void)bytes;
	*(void **)chunk = heap->free;
	heap->free = chunk;
}

static inline struct table_arena_source chunk_heap_source(struct chunk_heap *heap)
{
	return (struct table_arena_source){
		.alloc_chunk = chunk_heap_alloc, .free_chunk = chunk_heap_free, .ctx = heap};
}

#endif
