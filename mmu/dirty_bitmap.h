/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bitmap of a slot's written pages, as KVM_GET_DIRTY_LOG shows it (KVM API
 * document, 4.8), with one level above it: what looks for set bits reads that
 * first, so that a slot of a terabyte costs what is written in it.
 */
#ifndef KVMU_MMU_DIRTY_BITMAP_H
#define KVMU_MMU_DIRTY_BITMAP_H

#include "base/bits.h"
#include "base/types.h"

#define KVM_DIRTY_WORD_PAGES  64u
#define KVM_DIRTY_GROUP_WORDS 64u /* words that share a bit of the level above */

/*
 * Bits are set at any time by anyone, and taken by one thread at a time.  A bit
 * of the upper level says that words of its group may not be 0: set after the
 * word, cleared before it.
 */
struct kvm_dirty_bitmap {
	u64 npages;
	bool initially_set;
	u64 nr_words;
	u64 nr_groups;
	u64 *word;
	u64 *group; /* a bit each */
	/* On their way to and from user space; belongs to who holds slots_lock. */
	u64 *copy;	   /* nr_words */
	u64 *copied_group; /* which groups of copy are valid */
};

/* NULL: no memory.  @all: as if every page had been written. */
struct kvm_dirty_bitmap *kvm_dirty_bitmap_new(u64 npages, bool all);
void kvm_dirty_bitmap_free(struct kvm_dirty_bitmap *bitmap);

/* @page has been written.  Any thread. */
void kvm_dirty_bitmap_mark(struct kvm_dirty_bitmap *bitmap, u64 page);

/* Called with pages [first, first + 64) of which those in @mask were marked. */
typedef void (*kvm_dirty_visit_fn)(void *ctx, u64 first, u64 mask);

/* Everything that is marked goes to copy and is cleared; @visit sees each word. */
void kvm_dirty_bitmap_take(struct kvm_dirty_bitmap *bitmap, kvm_dirty_visit_fn visit, void *ctx);
/* The same to look at: nothing is cleared. */
void kvm_dirty_bitmap_peek(struct kvm_dirty_bitmap *bitmap);
/* The first group from @group on of which copy holds something; nr_groups: none. */
u64 kvm_dirty_bitmap_next_group(const struct kvm_dirty_bitmap *bitmap, u64 group);
/* What was taken is marked again. */
void kvm_dirty_bitmap_put_back(struct kvm_dirty_bitmap *bitmap);

/*
 * Clear the pages that are set in copy[0 .. @nr_words), whose first bit stands for
 * page @first_word * 64; @visit sees those that were marked.
 */
void kvm_dirty_bitmap_clear(struct kvm_dirty_bitmap *bitmap, u64 first_word, u64 nr_words,
			    kvm_dirty_visit_fn visit, void *ctx);

/* Bytes that user space sees: whole 64-bit words. */
static inline u64 kvm_dirty_bitmap_bytes(const struct kvm_dirty_bitmap *bitmap)
{
	return bitmap->nr_words * sizeof(u64);
}

#endif
