/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The allocator of table pages, see arena.h.
 *
 * A chunk is PGT_CHUNK_BYTES, aligned to its size.  Its first bytes are the
 * records of its pages, indexed by 4 KiB page; the pages that hold the records
 * are never handed out, so their own records are free for the chunk's header.
 */
#include "pgtable/arena.h"
#include "base/assert.h"
#include "pgtable/env.h"

struct table_chunk {
	struct table_chunk *next;
	struct table_chunk *prev;
	void *free;    /* pages that came back, through their records */
	u32 used;      /* pages handed out */
	u32 untouched; /* byte offset of the first page never handed out, still zero */
};

#define CHUNK_META_BYTES ((PGT_CHUNK_BYTES >> PAGE_SHIFT) * sizeof(struct pgt_table_meta))

/* The header lies in the records of the record pages themselves. */
_Static_assert(sizeof(struct table_chunk) <=
		       (CHUNK_META_BYTES >> PAGE_SHIFT) * sizeof(struct pgt_table_meta),
	       "chunk header overlaps the record of a page that is handed out");

/* ---- lock: held for a few instructions, never over a call to the source ------- */

static void arena_lock(struct table_arena *arena)
{
	while (atomic_exchange(&arena->lock, 1u)) {
		while (atomic_peek(&arena->lock))
			cpu_relax();
	}
}

static void arena_unlock(struct table_arena *arena)
{
	atomic_publish(&arena->lock, 0u);
}

/* ---- chunks ------------------------------------------------------------------- */

static void chunk_link(struct table_chunk **list, struct table_chunk *chunk)
{
	chunk->prev = NULL;
	chunk->next = *list;
	if (chunk->next)
		chunk->next->prev = chunk;
	*list = chunk;
}

static void chunk_unlink(struct table_chunk **list, struct table_chunk *chunk)
{
	if (chunk->prev)
		chunk->prev->next = chunk->next;
	else
		*list = chunk->next;
	if (chunk->next)
		chunk->next->prev = chunk->prev;
}

static struct table_chunk *chunk_of(const void *table)
{
	return (struct table_chunk *)((uintptr_t)table & ~(uintptr_t)(PGT_CHUNK_BYTES - 1));
}

static bool chunk_is_full(const struct table_chunk *chunk)
{
	return !chunk->free && chunk->untouched >= PGT_CHUNK_BYTES;
}

/* The first page boundary behind the records. */
static u32 chunk_first_page(const struct table_arena *arena)
{
	return (u32)align_up(CHUNK_META_BYTES, 1ull << arena->page_lg2);
}

/* Called without the lock, because the source may be slow. */
static int arena_grow(struct table_arena *arena)
{
	struct table_chunk *chunk = arena->source.alloc_chunk(arena->source.ctx, PGT_CHUNK_BYTES);

	if (!chunk)
		return -ENOMEM;
	KVMU_BUG_ON(!is_aligned((uintptr_t)chunk, PGT_CHUNK_BYTES));
	chunk->free = NULL;
	chunk->used = 0;
	chunk->untouched = chunk_first_page(arena);
	arena_lock(arena);
	chunk_link(&arena->usable, chunk);
	arena->chunks++;
	arena->empty++;
	arena_unlock(arena);
	return 0;
}

/* ---- pages -------------------------------------------------------------------- */

static void *chunk_take(struct table_arena *arena, struct table_chunk *chunk, bool *zeroed)
{
	void *table = chunk->free;

	*zeroed = !table;
	if (table) {
		chunk->free = pgt_chunk_meta(table)->next;
	} else {
		table = (char *)chunk + chunk->untouched;
		chunk->untouched += 1u << arena->page_lg2;
	}
	if (!chunk->used++)
		arena->empty--;
	return table;
}

/* With the lock.  NULL: no chunk has a page left. */
static void *arena_take_locked(struct table_arena *arena, bool *zeroed)
{
	struct table_chunk *chunk = arena->usable;
	void *table;

	if (!chunk)
		return NULL;
	table = chunk_take(arena, chunk, zeroed);
	if (chunk_is_full(chunk)) {
		chunk_unlink(&arena->usable, chunk);
		chunk_link(&arena->full, chunk);
	}
	/* Written under the lock, read without it by whoever prints statistics. */
	atomic_poke(&arena->pages, arena->pages + 1);
	if (arena->pages > arena->pages_max)
		atomic_poke(&arena->pages_max, arena->pages);
	return table;
}

/* With the lock.  Returns the chunk if it became empty and shall be given back. */
static struct table_chunk *arena_put_locked(struct table_arena *arena, void *table)
{
	struct table_chunk *chunk = chunk_of(table);

	if (chunk_is_full(chunk)) {
		chunk_unlink(&arena->full, chunk);
		chunk_link(&arena->usable, chunk);
	}
	pgt_chunk_meta(table)->next = chunk->free;
	chunk->free = table;
	atomic_poke(&arena->pages, arena->pages - 1);
	if (--chunk->used)
		return NULL;
	/* One empty chunk stays, so that a table at the edge does not thrash the source. */
	if (arena->empty < arena->keep) {
		arena->empty++;
		return NULL;
	}
	chunk_unlink(&arena->usable, chunk);
	arena->chunks--;
	return chunk;
}

static void prepare_table(struct table_arena *arena, void *table, bool zeroed)
{
	struct pgt_table_meta *meta = pgt_chunk_meta(table);

	meta->next = NULL;
	meta->spare = 0;
	atomic_poke(&meta->live, 0u);
	if (!zeroed)
		__builtin_memset(table, 0, (size_t)1 << arena->page_lg2);
}

void *table_arena_alloc(struct table_arena *arena)
{
	bool zeroed;
	void *table;

	do {
		arena_lock(arena);
		table = arena_take_locked(arena, &zeroed);
		arena_unlock(arena);
	} while (!table && !arena_grow(arena));
	if (table)
		prepare_table(arena, table, zeroed);
	return table;
}

static void give_back(struct table_arena *arena, struct table_chunk *chunk)
{
	if (chunk)
		arena->source.free_chunk(arena->source.ctx, chunk, PGT_CHUNK_BYTES);
}

void table_arena_free(struct table_arena *arena, void *table)
{
	struct table_chunk *empty;

#ifdef KVMU_DEBUG
	/* Whoever still walks it shall not find what was there. */
	__builtin_memset(table, 0xdb, (size_t)1 << arena->page_lg2);
#endif
	arena_lock(arena);
	empty = arena_put_locked(arena, table);
	arena_unlock(arena);
	give_back(arena, empty);
}

/* ---- roots of several pages ----------------------------------------------------- */

/*
 * Roots are few: a big one gets a chunk to itself, at the offset that its
 * alignment asks for.
 */
static size_t root_offset(size_t bytes)
{
	return bytes > CHUNK_META_BYTES ? bytes : (size_t)align_up(CHUNK_META_BYTES, bytes);
}

static void count_root(struct table_arena *arena, u64 pages, u64 chunks)
{
	arena_lock(arena);
	atomic_poke(&arena->pages, arena->pages + pages);
	if (arena->pages > arena->pages_max)
		atomic_poke(&arena->pages_max, arena->pages);
	arena->chunks += chunks;
	arena_unlock(arena);
}

void *table_arena_alloc_root(struct table_arena *arena, size_t bytes)
{
	char *chunk;

	if (bytes <= (size_t)1 << arena->page_lg2)
		return table_arena_alloc(arena);
	if (bytes > PGT_CHUNK_BYTES / 2)
		return NULL;
	chunk = arena->source.alloc_chunk(arena->source.ctx, PGT_CHUNK_BYTES);
	if (!chunk)
		return NULL;
	count_root(arena, bytes >> arena->page_lg2, 1);
	return chunk + root_offset(bytes);
}

void table_arena_free_root(struct table_arena *arena, void *root, size_t bytes)
{
	if (bytes <= (size_t)1 << arena->page_lg2) {
		table_arena_free(arena, root);
		return;
	}
	count_root(arena, -(bytes >> arena->page_lg2), -1ull);
	give_back(arena, chunk_of(root));
}

/* ---- batches ---------------------------------------------------------------------- */

int table_arena_fill(struct table_arena *arena, struct kvm_pgtable_cache *cache, unsigned int nr)
{
	unsigned int want = nr < KVM_PGTABLE_CACHE_PAGES ? nr : KVM_PGTABLE_CACHE_PAGES;
	bool zeroed[KVM_PGTABLE_CACHE_PAGES];
	unsigned int from = cache->nr;

	while (cache->nr < want) {
		arena_lock(arena);
		while (cache->nr < want) {
			void *table = arena_take_locked(arena, &zeroed[cache->nr]);

			if (!table)
				break;
			cache->pages[cache->nr++] = table;
		}
		arena_unlock(arena);
		if (cache->nr < want && arena_grow(arena))
			break;
	}
	for (unsigned int i = from; i < cache->nr; i++)
		prepare_table(arena, cache->pages[i], zeroed[i]);
	return cache->nr < want ? -ENOMEM : 0;
}

void table_arena_drain(struct table_arena *arena, struct kvm_pgtable_cache *cache)
{
	while (cache->nr)
		table_arena_free(arena, cache->pages[--cache->nr]);
}

void table_list_push(void **first, void *table)
{
	pgt_chunk_meta(table)->next = *first;
	*first = table;
}

void *table_list_pop(void **first)
{
	void *table = *first;

	if (table)
		*first = pgt_chunk_meta(table)->next;
	return table;
}

void table_arena_free_list(struct table_arena *arena, void **first)
{
	void *table;

	while ((table = table_list_pop(first)))
		table_arena_free(arena, table);
}

/* ---- life ----------------------------------------------------------------------------- */

int table_arena_init(struct table_arena *arena, const struct table_arena_source *source,
		     unsigned int page_lg2)
{
	if (page_lg2 < 12 || page_lg2 > 16 || !source->alloc_chunk || !source->free_chunk)
		return -EINVAL;
	*arena = (struct table_arena){.source = *source, .page_lg2 = (u8)page_lg2, .keep = 1};
	return 0;
}

void table_arena_destroy(struct table_arena *arena)
{
	KVMU_WARN_ON_ONCE(arena->pages != 0);
	while (arena->usable) {
		struct table_chunk *chunk = arena->usable;

		chunk_unlink(&arena->usable, chunk);
		arena->chunks--;
		give_back(arena, chunk);
	}
}
