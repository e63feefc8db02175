/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslots in order of a key: the first gfn, or the first byte of program
 * memory.  A published index never changes.  A new one is made by an edit,
 * which copies the top level and the one or two chunks that it touches and
 * shares the rest, so that a change costs little with 32764 slots too.
 *
 * Readers need a read-side section.  Editors are alone (kvm->slots_lock).
 */
#ifndef KVMU_MMU_SLOT_INDEX_H
#define KVMU_MMU_SLOT_INDEX_H

#include "base/errno.h"
#include "base/types.h"

struct kvm_memory_slot;

/* Where a slot is: [start, end) in whatever the index is ordered by. */
struct slot_extent {
	u64 start;
	u64 end;
};

#define SLOT_CHUNK_MAX 32u

/*
 * A run of slots, sorted by start.  What a search compares lies together: few
 * cache lines.  Behind the last slot there are starts above everything and
 * entries that end before anything.
 */
struct slot_chunk {
	u64 start[SLOT_CHUNK_MAX];
	struct slot_chunk_entry {
		u64 end;
		struct kvm_memory_slot *slot;
	} entry[SLOT_CHUNK_MAX];
	u64 edit; /* which edit made it */
	u64 max_end;
	u32 nr;
};

/*
 * The keys between the first chunk and the last are cut into buckets of one
 * size.  Bucket b of nr_buckets holds the starts of chunks [upto[b], upto[b + 1]):
 * where slots lie evenly, that is one at most, and a search ends here.  Where
 * they do not, it goes on by halves.
 */
struct slot_index {
	u32 nr;
	u32 nr_buckets;
	u32 bucket_lg2;
	u32 *upto;  /* nr_buckets + 1 */
	u64 *start; /* of each chunk's first slot */
	struct slot_index_entry {
		u64 ends_upto; /* the highest end in this chunk and those before */
		struct slot_chunk *chunk;
	} entry[];
};

/* The slot with the highest start at or below @at, if it reaches over @at; else NULL. */
struct kvm_memory_slot *slot_index_find(const struct slot_index *index, u64 at);

/*
 * Slots that intersect a range, in order of their start.  Extents may overlap
 * (program memory may back several slots).
 *
 *   struct slot_index_iter it = slot_index_iter(index, start, end);
 *   while ((slot = slot_index_next(&it)))
 */
struct slot_index_iter {
	const struct slot_index *index;
	struct slot_extent range;
	u32 at_entry;
	u32 at_slot;
};

struct slot_index_iter slot_index_iter(const struct slot_index *index, u64 start, u64 end);
struct kvm_memory_slot *slot_index_next(struct slot_index_iter *it);

/* ---- editing ------------------------------------------------------------------- */

/* One transaction: at most one erase and one insert. */
struct slot_index_edit {
	struct slot_index *index; /* the new one; nobody sees it yet */
	struct slot_index *old;
	u64 id;				/* differs from every earlier edit of this index */
	struct slot_chunk *replaced[2]; /* no longer in @index, may still be read */
	u32 nr_replaced;
	bool moved; /* chunks begin elsewhere than in @old */
};

/* An index without slots; NULL: no memory. */
struct slot_index *slot_index_new(void);
/* Free an index that no reader can see any more, with its chunks. */
void slot_index_free(struct slot_index *index);

/*
 * 0 or -ENOMEM; after an error of any of the three, abort.  The new index may be
 * searched and published when it is sealed.
 */
int slot_index_begin(struct slot_index_edit *edit, struct slot_index *old, u64 id) KVMU_MUST_CHECK;
int slot_index_erase(struct slot_index_edit *edit, struct slot_extent extent,
		     const struct kvm_memory_slot *slot) KVMU_MUST_CHECK;
int slot_index_insert(struct slot_index_edit *edit, struct slot_extent extent,
		      struct kvm_memory_slot *slot) KVMU_MUST_CHECK;

void slot_index_seal(struct slot_index_edit *edit);

/* Throw the new index away; the old one is as it was. */
void slot_index_abort(struct slot_index_edit *edit);
/* After publishing edit->index and a grace period: free what only the old one had. */
void slot_index_finish(struct slot_index_edit *edit);

#endif
