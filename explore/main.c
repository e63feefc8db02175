/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvmu explore: run the MMU's own code under every schedule of a scenario, and
 * show the one that breaks it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mutant.h"
#include "explore/run.h"
#include "explore/sched.h"
#include "explore/trace.h"

#define EXIT_FOUND 1
#define EXIT_USAGE 2

static const char usage[] =
	"usage: kvmu explore [options] SCENARIO...\n"
	"Runs the MMU under the schedules of each scenario and shows one that breaks it.\n"
	"\n"
	"  -b, --bound N       every schedule with up to N interruptions (2)\n"
	"  -r, --random N      then N random ones, by PCT (1000)\n"
	"  -d, --depth N       how many events must fall together for them (4)\n"
	"  -s, --seed N        their start; printed, 0: from the clock (1)\n"
	"  -m, --max N         stop a search after N schedules\n"
	"      --shard K/N     the K-th (from 1) of N parts of the same search\n"
	"      --replay LIST   one schedule, as a failure prints it\n"
#ifdef KVMU_MUTANTS
	"      --mutant NAME   with this mistake in the code; --list-mutants names them\n"
#endif
	"      --trace         show the steps of the last schedule, also without a failure\n"
	"      --all           show reads too\n"
	"      --html FILE     write the failing schedule as a page\n"
	"  -q, --quiet         only failures and the last line\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 nothing found, 1 a schedule fails, 2 bad usage.\n";

struct options {
	unsigned int bound, depth;
	u64 random, max, seed;
	u32 shard, shards;
	const char *replay, *html;
	bool trace, all, quiet;
};

struct tally {
	u64 schedules;
	bool complete;
	double seconds;
};

static struct search search;

#ifdef KVMU_MUTANTS
enum kvmu_mutant kvmu_mutant;

static const struct {
	const char *name, *what;
} mutants[MUTANT_NR] = {
#define MUTANT_TEXT(name, what) {#name, what},
	{"NONE", "the code as it is"}, KVMU_MUTANT_LIST(MUTANT_TEXT)};

static void list_mutants(void)
{
	for (u32 i = MUTANT_NONE + 1; i < MUTANT_NR; i++)
		printf("%s\t%s\n", mutants[i].name, mutants[i].what);
}

static void choose_mutant(const char *name)
{
	for (u32 i = 0; i < MUTANT_NR; i++) {
		if (strcmp(mutants[i].name, name) == 0) {
			kvmu_mutant = (enum kvmu_mutant)i;
			return;
		}
	}
	fprintf(stderr, "kvmu: explore: no mutant '%s'\n", name);
	exit(EXIT_USAGE);
}
#endif

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- searching ----------------------------------------------------------------------- */

static bool run_exhaustive(const struct scenario *scenario, const struct options *o,
			   struct tally *tally)
{
	search = (struct search){.mode = SEARCH_EXHAUSTIVE,
				 .bound = o->bound,
				 .shard = o->shard,
				 .shards = o->shards};
	do {
		if (!run_schedule(scenario, &search))
			return false;
		tally->schedules++;
		if (tally->schedules == o->max)
			return true;
	} while (search_next(&search));
	tally->complete = true;
	return true;
}

static bool run_random(const struct scenario *scenario, const struct options *o,
		       struct tally *tally)
{
	/* Where the schedules of the search before ended is how long one is. */
	const u32 length = search.nr;

	search = (struct search){.mode = SEARCH_RANDOM,
				 .bound = o->depth,
				 .random = o->seed + 0x9e3779b97f4a7c15ull * (o->shard + 1),
				 .expected_decisions = length};
	for (u64 i = 0; i < o->random; i++) {
		if (!run_schedule(scenario, &search))
			return false;
		tally->schedules++;
		search_next(&search);
	}
	return true;
}

/* ---- showing --------------------------------------------------------------------------- */

static void write_html(const char *path, const char *title, const char *schedule)
{
	FILE *out = fopen(path, "w");

	if (!out) {
		fprintf(stderr, "kvmu: explore: %s: %s\n", path, strerror(errno));
		return;
	}
	trace_html(out, title, schedule);
	fclose(out);
}

/* Once more, with the steps written down. */
static void show(const struct scenario *scenario, const char *path, const struct options *o)
{
	static struct search again;
	char schedule[1024];

	search_print(&search, schedule, sizeof(schedule));
	search_parse(&again, schedule);
	trace_on = true;
	run_schedule(scenario, &again);
	trace_on = false;
	if (sched.failed || o->trace)
		trace_print(stdout, o->all);
	if (sched.failed)
		printf("%s: %s\n  again: kvmu explore --replay %s %s\n", path, sched.failure,
		       schedule, path);
	if (o->html)
		write_html(o->html, *scenario->title ? scenario->title : path, schedule);
}

static bool explore(const char *path, const struct options *o, struct tally *tally)
{
	struct scenario scenario;
	double start = now();
	bool good;

	if (scenario_read(path, &scenario) != 0)
		exit(EXIT_USAGE);
	if (o->replay) {
		if (!search_parse(&search, o->replay)) {
			fprintf(stderr, "kvmu: explore: '%s' is not a schedule\n", o->replay);
			exit(EXIT_USAGE);
		}
		good = run_schedule(&scenario, &search);
		tally->schedules++;
	} else {
		good = run_exhaustive(&scenario, o, tally) &&
		       (!o->random || run_random(&scenario, o, tally));
	}
	tally->seconds = now() - start;
	if (!good || o->trace || o->html)
		show(&scenario, path, o);
	return good;
}

/* ---- the command ------------------------------------------------------------------------ */

enum { OPT_SHARD = 256, OPT_REPLAY, OPT_TRACE, OPT_ALL, OPT_HTML, OPT_MUTANT, OPT_LIST };

static const struct option long_options[] = {
	{"bound", required_argument, NULL, 'b'},
	{"random", required_argument, NULL, 'r'},
	{"depth", required_argument, NULL, 'd'},
	{"seed", required_argument, NULL, 's'},
	{"max", required_argument, NULL, 'm'},
	{"shard", required_argument, NULL, OPT_SHARD},
	{"replay", required_argument, NULL, OPT_REPLAY},
	{"trace", no_argument, NULL, OPT_TRACE},
	{"all", no_argument, NULL, OPT_ALL},
	{"html", required_argument, NULL, OPT_HTML},
#ifdef KVMU_MUTANTS
	{"mutant", required_argument, NULL, OPT_MUTANT},
	{"list-mutants", no_argument, NULL, OPT_LIST},
#endif
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static u64 number(const char *text)
{
	char *end;
	u64 value = strtoull(text, &end, 0);

	if (end == text || *end) {
		fprintf(stderr, "kvmu: explore: '%s' is not a number\n", text);
		exit(EXIT_USAGE);
	}
	return value;
}

static void parse_shard(const char *text, struct options *o)
{
	unsigned int k, n;
	int used = 0;

	if (sscanf(text, "%u/%u%n", &k, &n, &used) != 2 || text[used] || !k || k > n) {
		fprintf(stderr, "kvmu: explore: '%s' is not K/N with 1 <= K <= N\n", text);
		exit(EXIT_USAGE);
	}
	o->shard = k - 1;
	o->shards = n;
}

static void parse_option(int option, struct options *o)
{
	switch (option) {
	case 'b':
		o->bound = (unsigned int)number(optarg);
		break;
	case 'd':
		o->depth = (unsigned int)number(optarg);
		break;
	case 'r':
		o->random = number(optarg);
		break;
	case 's':
		o->seed = number(optarg);
		break;
	case 'm':
		o->max = number(optarg);
		break;
	case OPT_SHARD:
		parse_shard(optarg, o);
		break;
	case OPT_REPLAY:
		o->replay = optarg;
		break;
	case OPT_TRACE:
		o->trace = true;
		break;
	case OPT_ALL:
		o->all = true;
		break;
	case OPT_HTML:
		o->html = optarg;
		break;
#ifdef KVMU_MUTANTS
	case OPT_MUTANT:
		choose_mutant(optarg);
		break;
	case OPT_LIST:
		list_mutants();
		exit(0);
#endif
	case 'q':
		o->quiet = true;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs("try 'kvmu explore --help'\n", stderr);
		exit(EXIT_USAGE);
	}
}

static void report(const char *path, const struct options *o, const struct tally *tally)
{
	if (o->quiet)
		return;
	printf("%s: nothing found in %llu schedules%s, %.0f a second\n", path,
	       (unsigned long long)tally->schedules,
	       tally->complete ? ", all of the search among them" : "",
	       tally->seconds > 0 ? (double)tally->schedules / tally->seconds : 0.0);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct options o = {.bound = 2, .depth = 4, .random = 1000, .seed = 1, .shards = 1};
	u64 schedules = 0, failures = 0;
	int option;

	while ((option = getopt_long(argc, argv, "b:d:r:s:m:qh", long_options, NULL)) != -1)
		parse_option(option, &o);
	if (optind == argc) {
		fputs("kvmu: explore: no scenario; try 'kvmu explore --help'\n", stderr);
		return EXIT_USAGE;
	}
	sched_catch_crashes();
	if (!o.seed)
		o.seed = (u64)time(NULL);
	for (int i = optind; i < argc; i++) {
		struct tally tally = {0};

		if (explore(argv[i], &o, &tally))
			report(argv[i], &o, &tally);
		else
			failures++;
		schedules += tally.schedules;
	}
	printf("%d scenarios, %llu schedules, %llu failed, seed %llu\n", argc - optind,
	       (unsigned long long)schedules, (unsigned long long)failures,
	       (unsigned long long)o.seed);
	return failures ? EXIT_FOUND : 0;
}
