/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a search found, as a file that others can be joined with: the parts of a
 * campaign run wherever there is a machine, and --merge says whether together
 * they are the whole search.
 *
 * A line of text for each scenario, fields with tabs between:
 *
 *   kvmu-explore 1           the format; fields may be added at the end of a line
 *   scenario name hash       the file's name without its directory, and what was in it
 *   bound random depth seed max      the options that choose the schedules
 *   shard                    K/N
 *   schedules plain          how many were run; without an interruption (all parts run these)
 *   outcome                  all (of this part of the search), cut (by --max) or failed
 *   seconds
 *   schedule failure         of a failed one: what --replay takes, what the oracle said
 */
#ifndef KVMU_EXPLORE_RESULTS_H
#define KVMU_EXPLORE_RESULTS_H

#include <stdio.h>

#include "base/types.h"
#include "explore/search.h"

/* Which schedules are run. */
struct plan {
	unsigned int bound, depth;
	u64 random, max, seed;
	u32 shard, shards; /* from 0 */
};

enum outcome {
	OUTCOME_ALL,
	OUTCOME_CUT,
	OUTCOME_FAILED,
};

struct result {
	char name[64];
	u64 hash;
	struct plan plan;
	u64 schedules, plain;
	enum outcome outcome;
	double seconds;
	char schedule[SEARCH_TEXT_BYTES];
	char failure[512];
};

/* The scenario's name and hash from its file; false: not readable, with errno. */
bool result_of_file(struct result *result, const char *path);

void results_begin(FILE *out);
void results_write(FILE *out, const struct result *result);

/*
 * Join the files and print what they say together: 0 nothing found, 1 a schedule
 * failed, 2 they are not one whole search (a part is missing, there twice or of
 * another scenario, or a file is not ours), after saying which.
 */
int results_merge(char *const *paths, int nr);

#endif
