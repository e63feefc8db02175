/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time is the number of changes so far.  A thread may still see what was there
 * after the change number loads_from, which moves with what orders its loads, and
 * of each place nothing older than it has seen there.
 */
#include "explore/history.h"

#include "base/bits.h"
#include "explore/sched.h"

/* Older changes are seen by all. */
#define CHANGES_MAX 256u
/* A load that runs ahead misses at most so many changes of its place. */
#define MISSED_MAX 3u

struct change {
	const void *at;
	u64 before, after;
	u8 bytes;
	u8 seen_by; /* bit per thread: loads nothing older from there */
};

static struct change changes[CHANGES_MAX];
static u64 nr_changes;

_Static_assert(SCHED_THREADS_MAX <= 8, "a bit per thread");

void history_reset(void)
{
	nr_changes = 0;
}

static struct change *change_number(u64 number)
{
	return &changes[number % CHANGES_MAX];
}

static u8 bit_of(const struct sched_thread *thread)
{
	return (u8)(1u << (thread - sched.thread));
}

void history_note(const struct sched_thread *writer, const void *at, u8 bytes, u64 before,
		  u64 after)
{
	*change_number(++nr_changes) = (struct change){.at = at,
						       .before = before,
						       .after = after,
						       .bytes = bytes,
						       .seen_by = bit_of(writer)};
}

/* ---- loads --------------------------------------------------------------------------- */

struct version {
	u64 value;
	u64 since; /* the change that put it there, or before all that matter */
};

/* The versions that the running thread may load, the newest first. */
static u32 list_versions(const void *at, u8 bytes, u64 now, struct version *version)
{
	const struct sched_thread *self = sched.current;
	const u64 kept = nr_changes > CHANGES_MAX ? nr_changes - CHANGES_MAX : 0;
	const u64 from = max_u64(self->loads_from, kept);
	u32 nr = 1;

	version[0] = (struct version){.value = now, .since = from};
	for (u64 number = nr_changes; number > from; number--) {
		const struct change *change = change_number(number);

		if (change->at != at || change->bytes != bytes)
			continue;
		/* Written by other means since: memory that is used for something new. */
		if (change->after != version[nr - 1].value)
			break;
		version[nr - 1].since = number;
		if ((change->seen_by & bit_of(self)) || nr > MISSED_MAX)
			break;
		version[nr++] = (struct version){.value = change->before, .since = from};
	}
	return nr;
}

u64 history_load(const void *at, u8 bytes, u64 now, bool acquire)
{
	struct version version[1 + MISSED_MAX];
	struct sched_thread *self = sched.current;
	const u32 nr = list_versions(at, bytes, now, version);
	const struct version *taken = version;

	if (nr > 1)
		taken += search_decide(sched.search, DECIDE_LOAD, nr, NULL, false);
	if (taken->since && change_number(taken->since)->at == at)
		change_number(taken->since)->seen_by |= bit_of(self);
	self->loads_seen = max_u64(self->loads_seen, taken->since);
	if (acquire)
		self->loads_from = max_u64(self->loads_from, taken->since);
	return taken->value;
}

/* ---- what orders them ------------------------------------------------------------------ */

void history_order_loads(void)
{
	struct sched_thread *self = sched.current;

	if (self)
		self->loads_from = max_u64(self->loads_from, self->loads_seen);
}

void history_catch_up(struct sched_thread *thread)
{
	thread->loads_from = nr_changes;
}
