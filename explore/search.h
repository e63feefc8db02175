/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which schedule comes next.  A run of a scenario asks for every decision (who
 * goes on, is this store delayed); option 0 is always the one without an
 * interruption.  A schedule is the list of the decisions that were otherwise,
 * and that list is what a failure prints and --replay takes.
 */
#ifndef KVMU_EXPLORE_SEARCH_H
#define KVMU_EXPLORE_SEARCH_H

#include "base/types.h"

/* More than a run can take: two in each step. */
#define SEARCH_DECISIONS_MAX 50000u
#define SEARCH_OPTIONS_MAX   16u
/* Of a schedule: choices that are not the first, and its text. */
#define SEARCH_CHOICES_MAX 512u
#define SEARCH_TEXT_BYTES  4096u
/* PCT: d events take d - 1 change points. */
#define SEARCH_CHANGES_MAX 8u
#define SEARCH_DEPTH_MAX   (SEARCH_CHANGES_MAX + 1)

enum search_mode {
	SEARCH_EXHAUSTIVE, /* every schedule with at most @bound interruptions */
	SEARCH_RANDOM,	   /* PCT: finds a bug of depth d with probability 1/(n k^(d-1)) */
	SEARCH_REPLAY,
};

enum decision_kind {
	DECIDE_THREAD, /* options are threads; 0: the running one, if it can go on */
	DECIDE_DELAY,  /* 1: the store becomes visible later */
	DECIDE_LOAD,   /* n: the load runs ahead of the last n changes of its place */
};

struct decision {
	u8 taken;
	u8 nr;
	bool free;  /* another option costs nothing: the running thread could not go on */
	bool costs; /* the option taken is an interruption */
};

struct search {
	enum search_mode mode;
	unsigned int bound; /* interruptions: of a schedule, or PCT's depth */

	struct decision decision[SEARCH_DECISIONS_MAX];
	u32 nr;	  /* of the run in progress */
	u32 keep; /* exhaustive: the prefix to take over from the run before */
	unsigned int spent;

	/* exhaustive, sharded: only schedules whose first interruption is at k mod n */
	u32 shard, shards;

	/* random */
	u64 random;
	u32 priority[SEARCH_OPTIONS_MAX]; /* by thread */
	u32 change_at[SEARCH_CHANGES_MAX];
	u32 expected_decisions;
	unsigned int reordered;

	/* replay */
	struct {
		u32 at;
		u8 taken;
	} given[SEARCH_CHOICES_MAX];
	u32 nr_given;
};

/* Before each run. */
void search_begin(struct search *search);
/*
 * One decision between @nr options.  @threads: what thread each option is, for
 * DECIDE_THREAD.  @free: the running thread cannot go on, so choosing is no interruption.
 */
u32 search_decide(struct search *search, enum decision_kind kind, u32 nr, const u8 *threads,
		  bool free);
/* After each run: false when all has been seen (exhaustive only). */
bool search_next(struct search *search);

/*
 * The schedule of the last run, as --replay takes it: "12:1,40:2"; "-" for none.
 * One with too many choices ends in "..." and is not taken.
 */
void search_print(const struct search *search, char *text, size_t bytes);
/* The reverse; false: not understood. */
bool search_parse(struct search *search, const char *text);
/* After a replay: were all the choices it names there?  If not, it is of something else. */
bool search_fits(const struct search *search);

#endif
