/* SPDX-License-Identifier: BSD-2-Clause */
/* See results.h. */
#include "explore/results.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_LINE "kvmu-explore 1"
#define FIELDS	    14

static const char *const outcome_names[] = {
	[OUTCOME_ALL] = "all", [OUTCOME_CUT] = "cut", [OUTCOME_FAILED] = "failed"};

/* ---- writing --------------------------------------------------------------------------- */

/* FNV-1a: tells texts apart, no more. */
static u64 hash_of(FILE *in)
{
	u64 hash = 0xcbf29ce484222325ull;
	int c;

	while ((c = getc(in)) != EOF)
		hash = (hash ^ (u8)c) * 0x100000001b3ull;
	return hash;
}

bool result_of_file(struct result *result, const char *path)
{
	const char *slash = strrchr(path, '/');
	FILE *in = fopen(path, "r");

	if (!in)
		return false;
	snprintf(result->name, sizeof(result->name), "%s", slash ? slash + 1 : path);
	result->hash = hash_of(in);
	fclose(in);
	return true;
}

void results_begin(FILE *out)
{
	fputs(FORMAT_LINE "\n", out);
}

void results_write(FILE *out, const struct result *r)
{
	const struct plan *p = &r->plan;

	fprintf(out,
		"scenario\t%s\t%016" PRIx64 "\t%u\t%" PRIu64 "\t%u\t%" PRIu64 "\t%" PRIu64
		"\t%u/%u\t%" PRIu64 "\t%" PRIu64 "\t%s\t%.3f\t%s\t%s\n",
		r->name, r->hash, p->bound, p->random, p->depth, p->seed, p->max, p->shard + 1,
		p->shards, r->schedules, r->plain, outcome_names[r->outcome], r->seconds,
		*r->schedule ? r->schedule : "-", *r->failure ? r->failure : "-");
	fflush(out);
}

/* ---- reading ----------------------------------------------------------------------------- */

struct set {
	struct result *result;
	size_t nr;
};

static bool parse_outcome(const char *text, enum outcome *outcome)
{
	for (unsigned int i = 0; i < sizeof(outcome_names) / sizeof(outcome_names[0]); i++) {
		if (strcmp(outcome_names[i], text) == 0) {
			*outcome = (enum outcome)i;
			return true;
		}
	}
	return false;
}

static bool parse_u64(const char *text, int base, u64 *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, base);
	return end != text && !*end && !errno;
}

static bool parse_u32(const char *text, u32 *value)
{
	u64 wide;

	if (!parse_u64(text, 10, &wide) || wide > 0xffffffffu)
		return false;
	*value = (u32)wide;
	return true;
}

static bool parse_shard(char *text, struct plan *plan)
{
	char *slash = strchr(text, '/');

	if (!slash)
		return false;
	*slash = 0;
	if (!parse_u32(text, &plan->shard) || !parse_u32(slash + 1, &plan->shards) ||
	    !plan->shard || plan->shard > plan->shards)
		return false;
	plan->shard--;
	return true;
}

static unsigned int split(char *line, char **field, unsigned int max)
{
	unsigned int nr = 0;

	line[strcspn(line, "\n")] = 0;
	while (nr < max && line)
		field[nr++] = strsep(&line, "\t");
	return nr;
}

static bool parse_line(char *line, struct result *r)
{
	char *f[FIELDS + 1];
	u64 bound, depth;

	if (split(line, f, FIELDS + 1) != FIELDS + 1 || strcmp(f[0], "scenario") != 0)
		return false;
	snprintf(r->name, sizeof(r->name), "%s", f[1]);
	snprintf(r->schedule, sizeof(r->schedule), "%s", f[13]);
	snprintf(r->failure, sizeof(r->failure), "%s", f[14]);
	r->seconds = strtod(f[12], NULL);
	if (!parse_u64(f[2], 16, &r->hash) || !parse_u64(f[3], 10, &bound) ||
	    !parse_u64(f[5], 10, &depth))
		return false;
	r->plan.bound = (unsigned int)bound;
	r->plan.depth = (unsigned int)depth;
	return parse_u64(f[4], 10, &r->plan.random) && parse_u64(f[6], 10, &r->plan.seed) &&
	       parse_u64(f[7], 10, &r->plan.max) && parse_shard(f[8], &r->plan) &&
	       parse_u64(f[9], 10, &r->schedules) && parse_u64(f[10], 10, &r->plain) &&
	       parse_outcome(f[11], &r->outcome);
}

static bool add(struct set *set, const struct result *r)
{
	struct result *more = realloc(set->result, (set->nr + 1) * sizeof(*more));

	if (!more)
		return false;
	set->result = more;
	set->result[set->nr++] = *r;
	return true;
}

static bool complain(const char *path, const char *what)
{
	fprintf(stderr, "kvmu: explore: %s: %s\n", path, what);
	return false;
}

static bool read_lines(FILE *in, const char *path, struct set *set)
{
	char *line = NULL;
	size_t room = 0;
	bool good = getline(&line, &room, in) > 0 && !strcmp(line, FORMAT_LINE "\n");

	if (!good)
		complain(path, "not a file of --results");
	while (good && getline(&line, &room, in) > 0) {
		struct result r = {0};

		good = parse_line(line, &r) || complain(path, "a line is not understood; cut off?");
		good = good && add(set, &r);
	}
	free(line);
	return good;
}

static bool read_file(const char *path, struct set *set)
{
	FILE *in = fopen(path, "r");
	bool good;

	if (!in)
		return complain(path, strerror(errno));
	good = read_lines(in, path, set);
	fclose(in);
	return good;
}

/* ---- joining ------------------------------------------------------------------------------ */

/* By scenario, then by part: the parts of one search stand together. */
static int compare(const void *a, const void *b)
{
	const struct result *x = a, *y = b;
	int names = strcmp(x->name, y->name);

	if (names)
		return names;
	return (x->plan.shard > y->plan.shard) - (x->plan.shard < y->plan.shard);
}

static bool same_search(const struct result *a, const struct result *b)
{
	return a->hash == b->hash && a->plan.bound == b->plan.bound &&
	       a->plan.random == b->plan.random && a->plan.depth == b->plan.depth &&
	       a->plan.seed == b->plan.seed && a->plan.max == b->plan.max &&
	       a->plan.shards == b->plan.shards;
}

/* Are these @nr results each part of one search once? */
static bool is_whole(const struct result *r, size_t nr)
{
	u32 next = 0;

	for (size_t i = 0; i < nr; i++) {
		if (!same_search(&r[0], &r[i]))
			return complain(r[i].name,
					"parts of different searches: another text of the "
					"scenario, or other options");
		if (r[i].plan.shard < next) {
			fprintf(stderr, "kvmu: explore: %s: part %u/%u is there twice\n", r[i].name,
				r[i].plan.shard + 1, r[i].plan.shards);
			return false;
		}
		if (r[i].plan.shard > next)
			break;
		next++;
	}
	if (next == r[0].plan.shards)
		return true;
	fprintf(stderr, "kvmu: explore: %s: part %u/%u is missing\n", r[0].name, next + 1,
		r[0].plan.shards);
	return false;
}

/* What every part ran counts once. */
static struct result join(const struct result *r, size_t nr)
{
	struct result sum = r[0];

	for (size_t i = 1; i < nr; i++) {
		sum.schedules += r[i].schedules - r[i].plain;
		sum.seconds += r[i].seconds;
		if (r[i].outcome > sum.outcome)
			sum.outcome = r[i].outcome;
	}
	return sum;
}

static void print_failures(const struct result *r, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (r[i].outcome == OUTCOME_FAILED)
			printf("%s: %s\n  again: kvmu explore --replay %s %s\n", r[i].name,
			       r[i].failure, r[i].schedule, r[i].name);
	}
}

static void print_joined(const struct result *sum)
{
	printf("%s: %s in %" PRIu64 " schedules%s, %.1f s of computing\n", sum->name,
	       sum->outcome == OUTCOME_FAILED ? "a failure" : "nothing found", sum->schedules,
	       sum->outcome == OUTCOME_ALL ? ", all of the search among them" : "", sum->seconds);
}

static int merge_set(struct set *set)
{
	u64 schedules = 0, failed = 0, scenarios = 0;

	qsort(set->result, set->nr, sizeof(*set->result), compare);
	for (size_t i = 0, end; i < set->nr; i = end) {
		const struct result *first = &set->result[i];
		struct result sum;

		for (end = i + 1; end < set->nr && !strcmp(set->result[end].name, first->name);)
			end++;
		if (!is_whole(first, end - i))
			return 2;
		sum = join(first, end - i);
		print_joined(&sum);
		print_failures(first, end - i);
		scenarios++;
		schedules += sum.schedules;
		failed += sum.outcome == OUTCOME_FAILED;
	}
	printf("%" PRIu64 " scenarios, %" PRIu64 " schedules, %" PRIu64 " failed\n", scenarios,
	       schedules, failed);
	return failed ? 1 : 0;
}

int results_merge(char *const *paths, int nr)
{
	struct set set = {0};
	int status = 2;
	bool good = true;

	for (int i = 0; i < nr && good; i++)
		good = read_file(paths[i], &set);
	if (good && !set.nr)
		complain(paths[0], "no results in it");
	else if (good)
		status = merge_set(&set);
	free(set.result);
	return status;
}
