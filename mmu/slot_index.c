/* SPDX-License-Identifier: BSD-2-Clause */
#include "mmu/slot_index.h"

#include "base/assert.h"
#include "mmu/mmu_host.h"

/* ---- look-up ------------------------------------------------------------------- */

/*
 * How many of the @nr ascending starts are at or below @at.  Without a branch
 * that depends on what is compared: it could not be predicted.
 */
static u32 starts_upto(const u64 *start, u32 nr, u64 at)
{
	const u64 *low = start;

	if (!nr)
		return 0;
	while (nr > 1) {
		u32 half = nr / 2;

		low += low[half] <= at ? half : 0;
		nr -= half;
	}
	return (u32)(low - start) + (*low <= at);
}

/* For an edit, whose buckets may not be right yet. */
static u32 chunks_upto(const struct slot_index *index, u64 at)
{
	return starts_upto(index->start, index->nr, at);
}

static u32 slots_upto(const struct slot_chunk *chunk, u64 at)
{
	return starts_upto(chunk->start, chunk->nr, at);
}

static u32 bucket_of(const struct slot_index *index, u64 at)
{
	return (u32)min_u64((at - index->start[0]) >> index->bucket_lg2, index->nr_buckets - 1);
}

/* The last chunk that starts at or below @at, which is not below all. */
static const struct slot_chunk *chunk_around(const struct slot_index *index, u64 at)
{
	u32 bucket = bucket_of(index, at);
	u32 low = index->upto[bucket];
	u32 upto = low + starts_upto(index->start + low, index->upto[bucket + 1] - low, at);

	return index->entry[upto - 1].chunk;
}

#define SLOTS_PER_LINE 8u

/*
 * The same as slots_upto().  All lines are asked for before the first is looked
 * at: one after the other, each might be waited for.
 */
static u32 slots_upto_by_line(const struct slot_chunk *chunk, u64 at)
{
	const u64 *line = chunk->start;
	u32 lines = 0;

	for (u32 i = SLOTS_PER_LINE; i < SLOT_CHUNK_MAX; i += SLOTS_PER_LINE)
		lines += chunk->start[i] <= at;
	line += lines * SLOTS_PER_LINE;
	return lines * SLOTS_PER_LINE + starts_upto(line, SLOTS_PER_LINE, at);
}

struct kvm_memory_slot *slot_index_find(const struct slot_index *index, u64 at)
{
	const struct slot_chunk *chunk;
	u32 i;

	if (unlikely(!index->nr || at < index->start[0]))
		return NULL;
	chunk = chunk_around(index, at);
	i = slots_upto_by_line(chunk, at) - 1; /* its first slot starts at or below */
	return at < chunk->entry[i].end ? chunk->entry[i].slot : NULL;
}

/* The first chunk with, at or before it, a slot that ends above @start. */
static u32 first_chunk_reaching(const struct slot_index *index, u64 start)
{
	u32 low = 0;
	u32 high = index->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (index->entry[middle].ends_upto <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct slot_index_iter slot_index_iter(const struct slot_index *index, u64 start, u64 end)
{
	return (struct slot_index_iter){
		.index = index,
		.range = {start, end},
		.at_entry = first_chunk_reaching(index, start),
	};
}

static struct kvm_memory_slot *next_in_chunk(struct slot_index_iter *it,
					     const struct slot_chunk *chunk)
{
	if (chunk->max_end <= it->range.start)
		return NULL;
	while (it->at_slot < chunk->nr) {
		u32 i = it->at_slot++;

		if (chunk->start[i] >= it->range.end)
			break;
		if (chunk->entry[i].end > it->range.start)
			return chunk->entry[i].slot;
	}
	return NULL;
}

struct kvm_memory_slot *slot_index_next(struct slot_index_iter *it)
{
	for (; it->at_entry < it->index->nr; it->at_entry++, it->at_slot = 0) {
		struct kvm_memory_slot *slot;

		if (it->index->start[it->at_entry] >= it->range.end)
			break;
		slot = next_in_chunk(it, it->index->entry[it->at_entry].chunk);
		if (slot)
			return slot;
	}
	return NULL;
}

/* ---- editing ------------------------------------------------------------------- */

/* Room for @nr chunks and as many buckets. */
static struct slot_index *alloc_index(u32 nr)
{
	size_t per_chunk = sizeof(struct slot_index_entry) + sizeof(u64) + sizeof(u32);
	struct slot_index *index =
		mmu_host_alloc(SITE_slot_index, sizeof(*index) + nr * per_chunk + sizeof(u32));

	if (index) {
		index->start = (u64 *)(void *)&index->entry[nr];
		index->upto = (u32 *)(void *)&index->start[nr];
	}
	return index;
}

struct slot_index *slot_index_new(void)
{
	return alloc_index(0);
}

void slot_index_free(struct slot_index *index)
{
	for (u32 i = 0; i < index->nr; i++)
		mmu_host_free(index->entry[i].chunk);
	mmu_host_free(index);
}

int slot_index_begin(struct slot_index_edit *edit, struct slot_index *old, u64 id)
{
	/* An insert may split one chunk. */
	struct slot_index *index = alloc_index(old->nr + 1);

	*edit = (struct slot_index_edit){.index = index, .old = old, .id = id};
	if (!index)
		return -ENOMEM;
	index->nr = old->nr;
	__builtin_memcpy(index->entry, old->entry, old->nr * sizeof(old->entry[0]));
	__builtin_memcpy(index->start, old->start, old->nr * sizeof(old->start[0]));
	return 0;
}

/* No slot from @from on. */
static void pad_chunk(struct slot_chunk *chunk, u32 from)
{
	for (u32 i = from; i < SLOT_CHUNK_MAX; i++) {
		chunk->start[i] = ~0ull;
		chunk->entry[i] = (struct slot_chunk_entry){0};
	}
}

static struct slot_chunk *alloc_chunk(const struct slot_index_edit *edit)
{
	struct slot_chunk *chunk = mmu_host_alloc(SITE_slot_index, sizeof(*chunk));

	if (chunk) {
		chunk->edit = edit->id;
		pad_chunk(chunk, 0);
	}
	return chunk;
}

/* Chunk @at, which nobody but this edit sees afterwards; NULL: no memory. */
static struct slot_chunk *own_chunk(struct slot_index_edit *edit, u32 at)
{
	struct slot_chunk *seen = edit->index->entry[at].chunk;
	struct slot_chunk *own;

	if (seen->edit == edit->id)
		return seen;
	own = alloc_chunk(edit);
	if (!own)
		return NULL;
	*own = *seen;
	own->edit = edit->id;
	kvmu_assert(edit->nr_replaced < ARRAY_SIZE(edit->replaced));
	edit->replaced[edit->nr_replaced++] = seen;
	edit->index->entry[at].chunk = own;
	return own;
}

/* What is known about @nr chunks from chunk @at on, which have changed, and about those behind. */
static void refresh_from(struct slot_index_edit *edit, u32 at, u32 nr)
{
	struct slot_index *index = edit->index;
	u64 upto = at ? index->entry[at - 1].ends_upto : 0;

	for (u32 changed = at + nr; at < index->nr; at++) {
		struct slot_index_entry *entry = &index->entry[at];

		upto = max_u64(upto, entry->chunk->max_end);
		if (at >= changed && entry->ends_upto == upto)
			break; /* and so are all behind it */
		entry->ends_upto = upto;
		edit->moved |= index->start[at] != entry->chunk->start[0];
		index->start[at] = entry->chunk->start[0];
	}
}

static void refresh_chunk(struct slot_chunk *chunk)
{
	chunk->max_end = 0;
	for (u32 i = 0; i < chunk->nr; i++)
		chunk->max_end = max_u64(chunk->max_end, chunk->entry[i].end);
}

/* Entries from @from on go to @to, up or down. */
static void move_chunks(struct slot_index *index, u32 to, u32 from)
{
	u32 behind = index->nr - from;

	__builtin_memmove(&index->entry[to], &index->entry[from], behind * sizeof(index->entry[0]));
	__builtin_memmove(&index->start[to], &index->start[from], behind * sizeof(index->start[0]));
	index->nr += to - from;
}

static void drop_chunk(struct slot_index_edit *edit, u32 at)
{
	mmu_host_free(edit->index->entry[at].chunk);
	move_chunks(edit->index, at, at + 1);
	edit->moved = true;
}

static void chunk_take_out(struct slot_chunk *chunk, u32 at)
{
	u32 behind = --chunk->nr - at;

	__builtin_memmove(&chunk->start[at], &chunk->start[at + 1],
			  behind * sizeof(chunk->start[0]));
	__builtin_memmove(&chunk->entry[at], &chunk->entry[at + 1],
			  behind * sizeof(chunk->entry[0]));
	pad_chunk(chunk, chunk->nr);
}

static void chunk_put_in(struct slot_chunk *chunk, u32 at, struct slot_extent extent,
			 struct kvm_memory_slot *slot)
{
	u32 behind = chunk->nr++ - at;

	__builtin_memmove(&chunk->start[at + 1], &chunk->start[at],
			  behind * sizeof(chunk->start[0]));
	__builtin_memmove(&chunk->entry[at + 1], &chunk->entry[at],
			  behind * sizeof(chunk->entry[0]));
	chunk->start[at] = extent.start;
	chunk->entry[at] = (struct slot_chunk_entry){extent.end, slot};
}

static u32 position_of(const struct slot_chunk *chunk, const struct kvm_memory_slot *slot)
{
	u32 at = 0;

	while (at < chunk->nr && chunk->entry[at].slot != slot)
		at++;
	return at;
}

int slot_index_erase(struct slot_index_edit *edit, struct slot_extent extent,
		     const struct kvm_memory_slot *slot)
{
	/* Several chunks may begin with this start: back to the one with the slot. */
	u32 at = chunks_upto(edit->index, extent.start);
	struct slot_chunk *chunk;

	do {
		kvmu_assert(at);
		chunk = edit->index->entry[--at].chunk;
	} while (position_of(chunk, slot) == chunk->nr);

	chunk = own_chunk(edit, at);
	if (!chunk)
		return -ENOMEM;
	chunk_take_out(chunk, position_of(chunk, slot));
	if (chunk->nr)
		refresh_chunk(chunk);
	else
		drop_chunk(edit, at);
	refresh_from(edit, at, 1);
	return 0;
}

static int insert_chunk(struct slot_index_edit *edit, u32 at)
{
	struct slot_index *index = edit->index;
	struct slot_chunk *chunk = alloc_chunk(edit);

	if (!chunk)
		return -ENOMEM;
	move_chunks(index, at + 1, at);
	index->entry[at].chunk = chunk;
	edit->moved = true;
	return 0;
}

/*
 * Chunk @at, owned and full, gives its upper half to a new one behind it; where
 * slots come in their order, it stays full and the new one is for the next.
 */
static int split_chunk(struct slot_index_edit *edit, u32 at, u64 start)
{
	struct slot_chunk *low = edit->index->entry[at].chunk;
	bool append = at + 1 == edit->index->nr && start >= low->start[SLOT_CHUNK_MAX - 1];
	u32 keep = append ? SLOT_CHUNK_MAX : SLOT_CHUNK_MAX / 2;
	struct slot_chunk *high;
	int err = insert_chunk(edit, at + 1);

	if (err)
		return err;
	high = edit->index->entry[at + 1].chunk;
	high->nr = SLOT_CHUNK_MAX - keep;
	low->nr = keep;
	__builtin_memcpy(high->start, &low->start[keep], high->nr * sizeof(high->start[0]));
	__builtin_memcpy(high->entry, &low->entry[keep], high->nr * sizeof(high->entry[0]));
	pad_chunk(low, keep);
	refresh_chunk(low);
	refresh_chunk(high);
	return 0;
}

int slot_index_insert(struct slot_index_edit *edit, struct slot_extent extent,
		      struct kvm_memory_slot *slot)
{
	u32 upto = chunks_upto(edit->index, extent.start);
	u32 at = upto ? upto - 1 : 0, into = at;
	struct slot_chunk *chunk;
	int err = edit->index->nr ? 0 : insert_chunk(edit, 0);

	if (err)
		return err;
	chunk = own_chunk(edit, at);
	if (!chunk)
		return -ENOMEM;
	if (chunk->nr == SLOT_CHUNK_MAX) {
		err = split_chunk(edit, at, extent.start);
		if (err)
			return err;
		/* The upper one, whose first start is ~0 where it is empty as yet. */
		into += chunk->nr == SLOT_CHUNK_MAX ||
			extent.start >= edit->index->entry[at + 1].chunk->start[0];
	}
	chunk = edit->index->entry[into].chunk;
	chunk_put_in(chunk, slots_upto(chunk, extent.start), extent, slot);
	refresh_chunk(chunk);
	refresh_from(edit, at, 2);
	return 0;
}

/* The buckets of an index whose chunks begin where those of @old do. */
static void copy_buckets(struct slot_index *index, const struct slot_index *old)
{
	index->nr_buckets = old->nr_buckets;
	index->bucket_lg2 = old->bucket_lg2;
	__builtin_memcpy(index->upto, old->upto, (old->nr_buckets + 1) * sizeof(old->upto[0]));
}

static void make_buckets(struct slot_index *index)
{
	u64 span = index->start[index->nr - 1] - index->start[0];
	u32 bucket = 0;

	index->bucket_lg2 = span < index->nr ? 0 : log2_u64(span / index->nr) + 1;
	index->nr_buckets = (u32)(span >> index->bucket_lg2) + 1;
	for (u32 i = 0; i < index->nr; i++) {
		for (u32 upto = bucket_of(index, index->start[i]); bucket <= upto; bucket++)
			index->upto[bucket] = i;
	}
	index->upto[bucket] = index->nr;
}

void slot_index_seal(struct slot_index_edit *edit)
{
	if (!edit->moved)
		copy_buckets(edit->index, edit->old);
	else if (edit->index->nr)
		make_buckets(edit->index);
}

void slot_index_abort(struct slot_index_edit *edit)
{
	if (!edit->index)
		return;
	for (u32 i = 0; i < edit->index->nr; i++) {
		if (edit->index->entry[i].chunk->edit == edit->id)
			mmu_host_free(edit->index->entry[i].chunk);
	}
	mmu_host_free(edit->index);
}

void slot_index_finish(struct slot_index_edit *edit)
{
	for (u32 i = 0; i < edit->nr_replaced; i++)
		mmu_host_free(edit->replaced[i]);
	mmu_host_free(edit->old);
}
