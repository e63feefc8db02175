/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

/* One store or load in this many is reordered in random schedules, where it may be. */
#define RANDOM_REORDER_ODDS 8u

static u64 next_random(struct search *search)
{
	search->random ^= search->random << 13;
	search->random ^= search->random >> 7;
	search->random ^= search->random << 17;
	return search->random;
}

/* ---- PCT: Burckhardt et al., ASPLOS 2010 ------------------------------------------ */

/* Distinct start priorities above all those that change points give. */
static void draw_priorities(struct search *search)
{
	for (u32 i = 0; i < SEARCH_OPTIONS_MAX; i++)
		search->priority[i] = 100 + i;
	for (u32 i = SEARCH_OPTIONS_MAX - 1; i > 0; i--) {
		u32 other = (u32)(next_random(search) % (i + 1));
		u32 kept = search->priority[i];

		search->priority[i] = search->priority[other];
		search->priority[other] = kept;
	}
	/* The first decision, who begins, changes nothing yet. */
	for (u32 i = 0; i < ARRAY_SIZE(search->change_at); i++)
		search->change_at[i] = 1 + (u32)(next_random(search) %
						 (max_u64(search->expected_decisions, 2) - 1));
}

static u32 highest(const struct search *search, u32 nr, const u8 *threads)
{
	u32 best = 0;

	for (u32 i = 1; i < nr; i++) {
		if (search->priority[threads[i]] > search->priority[threads[best]])
			best = i;
	}
	return best;
}

static u32 decide_random(struct search *search, enum decision_kind kind, u32 nr, const u8 *threads)
{
	if (kind != DECIDE_THREAD) {
		if (search->reordered == search->bound || next_random(search) % RANDOM_REORDER_ODDS)
			return 0;
		search->reordered++;
		return 1 + (u32)(next_random(search) % (nr - 1));
	}
	for (u32 i = 0; i + 1 < search->bound && i < ARRAY_SIZE(search->change_at); i++) {
		if (search->change_at[i] == search->nr)
			search->priority[threads[highest(search, nr, threads)]] = i;
	}
	return highest(search, nr, threads);
}

/* ---- decisions ----------------------------------------------------------------------- */

static u32 decide_given(const struct search *search)
{
	for (u32 i = 0; i < search->nr_given; i++) {
		if (search->given[i].at == search->nr)
			return search->given[i].taken;
	}
	return 0;
}

static u32 decide_exhaustive(const struct search *search)
{
	return search->nr < search->keep ? search->decision[search->nr].taken : 0;
}

void search_begin(struct search *search)
{
	search->nr = 0;
	search->spent = 0;
	search->reordered = 0;
	if (search->mode == SEARCH_RANDOM)
		draw_priorities(search);
}

static u32 take(struct search *search, enum decision_kind kind, u32 nr, const u8 *threads)
{
	u32 taken = 0;

	switch (search->mode) {
	case SEARCH_EXHAUSTIVE:
		taken = decide_exhaustive(search);
		break;
	case SEARCH_RANDOM:
		taken = decide_random(search, kind, nr, threads);
		break;
	case SEARCH_REPLAY:
		taken = decide_given(search);
		break;
	}
	/* A schedule of another scenario or version may ask for what is not there. */
	return taken < nr ? taken : 0;
}

u32 search_decide(struct search *search, enum decision_kind kind, u32 nr, const u8 *threads,
		  bool free)
{
	const u32 taken = take(search, kind, nr, threads);
	struct decision *decision = &search->decision[search->nr];

	*decision = (struct decision){
		.taken = (u8)taken, .nr = (u8)nr, .free = free, .costs = taken && !free};
	search->spent += decision->costs;
	search->nr++;
	return taken;
}

/* ---- from one schedule to the next ------------------------------------------------ */

/* Interruptions in the first @nr decisions. */
static unsigned int spent_before(const struct search *search, u32 nr)
{
	unsigned int spent = 0;

	for (u32 i = 0; i < nr; i++)
		spent += search->decision[i].costs;
	return spent;
}

static bool may_advance(const struct search *search, u32 at, unsigned int spent)
{
	const struct decision *decision = &search->decision[at];

	if (decision->taken + 1u >= decision->nr)
		return false;
	if (!decision->free && spent >= search->bound)
		return false;
	/* A shard owns the schedules whose first interruption is its own. */
	if (!decision->free && !spent && search->shards > 1)
		return at % search->shards == search->shard;
	return true;
}

static bool next_exhaustive(struct search *search)
{
	unsigned int spent = spent_before(search, search->nr);

	for (u32 at = search->nr; at-- > 0;) {
		spent -= search->decision[at].costs;
		if (!may_advance(search, at, spent))
			continue;
		search->decision[at].taken++;
		search->keep = at + 1;
		return true;
	}
	return false;
}

bool search_next(struct search *search)
{
	switch (search->mode) {
	case SEARCH_EXHAUSTIVE:
		return next_exhaustive(search);
	case SEARCH_RANDOM:
		if (search->nr > search->expected_decisions)
			search->expected_decisions = search->nr;
		return true;
	case SEARCH_REPLAY:
		break;
	}
	return false;
}

/* ---- text -------------------------------------------------------------------------- */

void search_print(const struct search *search, char *text, size_t bytes)
{
	static const char cut[] = "...";
	size_t used = 0;
	u32 choices = 0;

	snprintf(text, bytes, "-");
	for (u32 i = 0; i < search->nr; i++) {
		if (!search->decision[i].taken)
			continue;
		if (++choices > SEARCH_CHOICES_MAX || used + 16 + sizeof(cut) > bytes) {
			snprintf(text + used, bytes - used, cut);
			return;
		}
		used += (size_t)snprintf(text + used, bytes - used, "%s%u:%u", used ? "," : "", i,
					 search->decision[i].taken);
	}
}

bool search_parse(struct search *search, const char *text)
{
	search->mode = SEARCH_REPLAY;
	search->nr_given = 0;
	if (!strcmp(text, "-"))
		return true;
	while (search->nr_given < ARRAY_SIZE(search->given)) {
		unsigned int at, taken;
		int used = 0;

		if (sscanf(text, "%u:%u%n", &at, &taken, &used) != 2 || !used || !taken ||
		    taken >= SEARCH_OPTIONS_MAX)
			return false;
		search->given[search->nr_given].at = at;
		search->given[search->nr_given++].taken = (u8)taken;
		text += used;
		if (!*text)
			return true;
		if (*text++ != ',')
			return false;
	}
	return false;
}

bool search_fits(const struct search *search)
{
	for (u32 i = 0; i < search->nr_given; i++) {
		if (search->given[i].at >= search->nr ||
		    search->decision[search->given[i].at].taken != search->given[i].taken)
			return false;
	}
	return true;
}
