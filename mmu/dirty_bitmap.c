/* SPDX-License-Identifier: BSD-2-Clause */
/* See dirty_bitmap.h. */
#include "mmu/dirty_bitmap.h"

#include "base/atomics.h"
#include "base/mutant.h"
#include "mmu/mmu_host.h"

static u64 words_for(u64 bits)
{
	return (bits + 63) / 64;
}

static u64 word_index(u64 page)
{
	return page / KVM_DIRTY_WORD_PAGES;
}

/* Set bits [0, @nr) and nothing beyond. */
static void set_first_bits(u64 *words, u64 nr)
{
	__builtin_memset(words, 0xff, nr / 64 * sizeof(u64));
	if (nr % 64)
		words[nr / 64] = (1ull << (nr % 64)) - 1;
}

/* One allocation, zeroed by the host when it is touched. */
struct kvm_dirty_bitmap *kvm_dirty_bitmap_new(u64 npages, bool all)
{
	u64 nr_words = words_for(npages);
	u64 nr_groups = words_for(nr_words);
	u64 group_words = words_for(nr_groups);
	struct kvm_dirty_bitmap *bitmap = mmu_host_alloc(
		SITE_dirty_bitmap, sizeof(*bitmap) + 2 * (nr_words + group_words) * sizeof(u64));

	if (!bitmap)
		return NULL;
	bitmap->npages = npages;
	bitmap->initially_set = all;
	bitmap->nr_words = nr_words;
	bitmap->nr_groups = nr_groups;
	bitmap->word = (u64 *)(bitmap + 1);
	bitmap->group = bitmap->word + nr_words;
	bitmap->copied_group = bitmap->group + group_words;
	bitmap->copy = bitmap->copied_group + group_words;
	if (all) {
		set_first_bits(bitmap->word, npages);
		set_first_bits(bitmap->group, nr_groups);
	}
	return bitmap;
}

void kvm_dirty_bitmap_free(struct kvm_dirty_bitmap *bitmap)
{
	mmu_host_free(bitmap);
}

static void mark_group(struct kvm_dirty_bitmap *bitmap, u64 word)
{
	u64 group = word / KVM_DIRTY_GROUP_WORDS;
	u64 bit = BIT_ULL(group % 64);

	/*
	 * The locked write of the word came before: if the bit is still seen here,
	 * whoever clears it later sees the word.  Pairs with the exchange in
	 * kvm_dirty_bitmap_take().
	 */
	if (!(atomic_peek(&bitmap->group[group / 64]) & bit))
		atomic_or(&bitmap->group[group / 64], bit);
}

/*
 * A locked write even where the bit is set already: the page was written before
 * this call, and whoever takes the bit later must see that.
 */
void kvm_dirty_bitmap_mark(struct kvm_dirty_bitmap *bitmap, u64 page)
{
	u64 word = word_index(page);

	if (KVMU_MUTANT(GROUP_BEFORE_WORD))
		mark_group(bitmap, word);
	atomic_or(&bitmap->word[word], BIT_ULL(page % KVM_DIRTY_WORD_PAGES));
	if (!KVMU_MUTANT(GROUP_BEFORE_WORD))
		mark_group(bitmap, word);
}

/* ---- groups ------------------------------------------------------------------------ */

static u64 group_end(const struct kvm_dirty_bitmap *bitmap, u64 group)
{
	return min_u64((group + 1) * KVM_DIRTY_GROUP_WORDS, bitmap->nr_words);
}

u64 kvm_dirty_bitmap_next_group(const struct kvm_dirty_bitmap *bitmap, u64 group)
{
	while (group < bitmap->nr_groups) {
		u64 left = bitmap->copied_group[group / 64] >> (group % 64);

		if (left)
			return group + (u64)__builtin_ctzll(left);
		group = (group / 64 + 1) * 64;
	}
	return bitmap->nr_groups;
}

#define for_each_copied_group(bitmap, group)                                                    \
	for ((group) = kvm_dirty_bitmap_next_group((bitmap), 0); (group) < (bitmap)->nr_groups; \
	     (group) = kvm_dirty_bitmap_next_group((bitmap), (group) + 1))

static void take_group(struct kvm_dirty_bitmap *bitmap, u64 group, kvm_dirty_visit_fn visit,
		       void *ctx)
{
	for (u64 i = group * KVM_DIRTY_GROUP_WORDS; i < group_end(bitmap, group); i++) {
		u64 mask = atomic_peek(&bitmap->word[i]);

		if (mask) {
			mask = atomic_exchange(&bitmap->word[i], 0);
			visit(ctx, i * KVM_DIRTY_WORD_PAGES, mask);
		}
		bitmap->copy[i] = mask;
	}
}

void kvm_dirty_bitmap_take(struct kvm_dirty_bitmap *bitmap, kvm_dirty_visit_fn visit, void *ctx)
{
	u64 group;

	/* Pairs with mark_group(): first the upper level, then the words. */
	for (u64 i = 0; i < words_for(bitmap->nr_groups); i++)
		bitmap->copied_group[i] =
			atomic_peek(&bitmap->group[i]) ? atomic_exchange(&bitmap->group[i], 0) : 0;
	for_each_copied_group(bitmap, group) take_group(bitmap, group, visit, ctx);
}

void kvm_dirty_bitmap_peek(struct kvm_dirty_bitmap *bitmap)
{
	u64 group;

	for (u64 i = 0; i < words_for(bitmap->nr_groups); i++)
		bitmap->copied_group[i] = atomic_observe(&bitmap->group[i]);
	for_each_copied_group(bitmap, group)
	{
		for (u64 i = group * KVM_DIRTY_GROUP_WORDS; i < group_end(bitmap, group); i++)
			bitmap->copy[i] = atomic_peek(&bitmap->word[i]);
	}
}

void kvm_dirty_bitmap_put_back(struct kvm_dirty_bitmap *bitmap)
{
	u64 group;

	for_each_copied_group(bitmap, group)
	{
		for (u64 i = group * KVM_DIRTY_GROUP_WORDS; i < group_end(bitmap, group); i++)
			atomic_or(&bitmap->word[i], bitmap->copy[i]);
	}
	for (u64 i = 0; i < words_for(bitmap->nr_groups); i++)
		atomic_or(&bitmap->group[i], bitmap->copied_group[i]);
}

/* ---- clearing what user space names -------------------------------------------------- */

/* Bits were cleared in @group: does the upper level still have to say something? */
static void settle_group(struct kvm_dirty_bitmap *bitmap, u64 group)
{
	u64 bit = BIT_ULL(group % 64);

	/* First the bit, then the words, as in kvm_dirty_bitmap_take(). */
	atomic_and(&bitmap->group[group / 64], ~bit);
	for (u64 i = group * KVM_DIRTY_GROUP_WORDS; i < group_end(bitmap, group); i++) {
		if (atomic_peek(&bitmap->word[i])) {
			atomic_or(&bitmap->group[group / 64], bit);
			return;
		}
	}
}

static bool clear_word(struct kvm_dirty_bitmap *bitmap, u64 index, u64 mask,
		       kvm_dirty_visit_fn visit, void *ctx)
{
	if (!(mask & atomic_peek(&bitmap->word[index])))
		return false;
	/* What user space sets beyond the slot's end is not set here. */
	mask &= atomic_and(&bitmap->word[index], ~mask);
	if (mask)
		visit(ctx, index * KVM_DIRTY_WORD_PAGES, mask);
	return mask;
}

void kvm_dirty_bitmap_clear(struct kvm_dirty_bitmap *bitmap, u64 first_word, u64 nr_words,
			    kvm_dirty_visit_fn visit, void *ctx)
{
	u64 at = first_word, end = first_word + nr_words;

	while (at < end) {
		u64 group = at / KVM_DIRTY_GROUP_WORDS;
		u64 stop = min_u64(end, group_end(bitmap, group));
		bool cleared = false;

		if (!(atomic_observe(&bitmap->group[group / 64]) & BIT_ULL(group % 64))) {
			at = stop;
			continue;
		}
		for (; at < stop; at++)
			cleared |=
				clear_word(bitmap, at, bitmap->copy[at - first_word], visit, ctx);
		if (cleared)
			settle_group(bitmap, group);
	}
}
