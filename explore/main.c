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
#include <unistd.h>

#include "base/mutant.h"
#include "explore/library.h"
#include "explore/results.h"
#include "explore/run.h"
#include "explore/sched.h"
#include "explore/trace.h"

#define EXIT_FOUND 1
#define EXIT_USAGE 2

static const char usage[] =
	"usage: kvmu explore [options] SCENARIO...\n"
	"       kvmu explore --list\n"
	"       kvmu explore --merge FILE...\n"
	"Runs the MMU under the schedules of each scenario and shows one that breaks it.\n"
	"SCENARIO is a file, or the name of one that comes with kvmu (--list).\n"
	"\n"
	"  -b, --bound N       every schedule with up to N interruptions; 2, or what\n"
	"                      the scenario says\n"
	"  -r, --random N      then N random ones, by PCT (1000)\n"
	"  -d, --depth N       how many events must fall together for them, up to 9 (4)\n"
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
	"      --results FILE  write what was found for --merge; -: standard output\n"
	"      --merge         join such files of all parts, and say if they are whole\n"
	"      --list          the scenarios that come with kvmu\n"
	"  -q, --quiet         only failures and the last line\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 nothing found, 1 a schedule fails, 2 bad usage or parts missing.\n";

struct options {
	struct plan plan;
	const char *replay, *html;
	FILE *results;
	bool bound_given, trace, all, quiet, merge;
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

/* What --replay needs besides the schedule. */
static const char *mutant_option(void)
{
#ifdef KVMU_MUTANTS
	static char text[64];

	if (kvmu_mutant) {
		snprintf(text, sizeof(text), "--mutant %s ", mutants[kvmu_mutant].name);
		return text;
	}
#endif
	return "";
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- searching ----------------------------------------------------------------------- */

static void count(struct result *result)
{
	result->schedules++;
	result->plain += !search.spent;
}

static bool run_exhaustive(const struct scenario *scenario, const struct options *o,
			   struct result *result)
{
	result->outcome = OUTCOME_CUT;
	search = (struct search){.mode = SEARCH_EXHAUSTIVE,
				 .bound = result->plan.bound,
				 .shard = o->plan.shard,
				 .shards = o->plan.shards};
	do {
		if (!run_schedule(scenario, &search))
			return false;
		count(result);
		if (result->schedules == o->plan.max)
			return true;
	} while (search_next(&search));
	result->outcome = OUTCOME_ALL;
	return true;
}

static bool run_random(const struct scenario *scenario, const struct options *o,
		       struct result *result)
{
	/* Where the schedules of the search before ended is how long one is. */
	const u32 length = search.nr;

	search = (struct search){.mode = SEARCH_RANDOM,
				 .bound = o->plan.depth,
				 .random =
					 o->plan.seed + 0x9e3779b97f4a7c15ull * (o->plan.shard + 1),
				 .expected_decisions = length};
	for (u64 i = 0; i < o->plan.random; i++) {
		if (!run_schedule(scenario, &search))
			return false;
		result->schedules++;
		search_next(&search);
	}
	return true;
}

static _Noreturn void die_of(const char *path)
{
	fprintf(stderr, "kvmu: explore: %s: %s\n", path, strerror(errno));
	exit(EXIT_USAGE);
}

/* ---- showing --------------------------------------------------------------------------- */

static void write_html(const char *path, const char *title, const char *schedule)
{
	FILE *out = fopen(path, "w");

	if (!out)
		die_of(path);
	trace_html(out, title, schedule);
	if (fclose(out) != 0)
		die_of(path);
}

/* Once more, with the steps written down. */
static void show(const struct scenario *scenario, const char *path, const struct options *o)
{
	static struct search again;
	char schedule[SEARCH_TEXT_BYTES];

	search_print(&search, schedule, sizeof(schedule));
	if (!search_parse(&again, schedule)) {
		printf("%s: %s\n  with too many choices to be shown\n", path, sched.failure);
		return;
	}
	trace_on = true;
	run_schedule(scenario, &again);
	trace_on = false;
	if (sched.failed || o->trace)
		trace_print(stdout, o->all);
	if (sched.failed)
		printf("%s: %s\n  again: kvmu explore %s--replay %s %s\n", path, sched.failure,
		       mutant_option(), schedule, path);
	if (o->html)
		write_html(o->html, *scenario->title ? scenario->title : path, schedule);
}

static bool search_scenario(const struct scenario *scenario, const struct options *o,
			    struct result *result)
{
	if (!o->replay)
		return run_exhaustive(scenario, o, result) &&
		       (!o->plan.random || run_random(scenario, o, result));
	if (!search_parse(&search, o->replay)) {
		fprintf(stderr, "kvmu: explore: '%s' is not a schedule\n", o->replay);
		exit(EXIT_USAGE);
	}
	result->outcome = OUTCOME_CUT;
	count(result);
	if (!run_schedule(scenario, &search))
		return false;
	if (search_fits(&search))
		return true;
	fprintf(stderr, "kvmu: explore: schedule '%s' is of another scenario or version\n",
		o->replay);
	exit(EXIT_USAGE);
}

/* What a failure was is in sched and search until the next schedule runs. */
static void note_failure(struct result *result)
{
	result->outcome = OUTCOME_FAILED;
	search_print(&search, result->schedule, sizeof(result->schedule));
	snprintf(result->failure, sizeof(result->failure), "%s", sched.failure);
	result->failure[strcspn(result->failure, "\t\n")] = 0;
}

static bool explore(const char *path, const struct options *o, struct result *result)
{
	struct scenario scenario;
	double start = now();
	bool good;

	if (scenario_read(path, &scenario) != 0 || !result_of_file(result, path))
		exit(EXIT_USAGE);
	result->plan = o->plan;
	if (!o->bound_given)
		result->plan.bound = scenario.bound;
	good = search_scenario(&scenario, o, result);
	result->seconds = now() - start;
	if (!good)
		note_failure(result);
	if (!good || o->trace || o->html)
		show(&scenario, path, o);
	if (o->results)
		results_write(o->results, result);
	return good;
}

/* ---- the command ------------------------------------------------------------------------ */

enum {
	OPT_SHARD = 256,
	OPT_REPLAY,
	OPT_TRACE,
	OPT_ALL,
	OPT_HTML,
	OPT_MUTANT,
	OPT_LIST_MUTANTS,
	OPT_RESULTS,
	OPT_MERGE,
	OPT_LIST
};

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
	{"list-mutants", no_argument, NULL, OPT_LIST_MUTANTS},
#endif
	{"results", required_argument, NULL, OPT_RESULTS},
	{"merge", no_argument, NULL, OPT_MERGE},
	{"list", no_argument, NULL, OPT_LIST},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static u64 number(const char *text, u64 least, u64 most)
{
	char *end;
	u64 value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end || errno || value < least || value > most) {
		fprintf(stderr, "kvmu: explore: '%s' is not a number from %llu to %llu\n", text,
			(unsigned long long)least, (unsigned long long)most);
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
	o->plan.shard = k - 1;
	o->plan.shards = n;
}

static FILE *open_results(const char *path)
{
	FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

	if (!out)
		die_of(path);
	results_begin(out);
	return out;
}

static _Noreturn void list_library(void)
{
	if (library_print())
		exit(0);
	fputs("kvmu: explore: no scenarios here; is kvmu installed whole?\n", stderr);
	exit(EXIT_USAGE);
}

static void parse_option(int option, struct options *o)
{
	switch (option) {
	case 'b':
		o->bound_given = true;
		o->plan.bound = (unsigned int)number(optarg, 0, SEARCH_CHOICES_MAX);
		break;
	case 'd':
		o->plan.depth = (unsigned int)number(optarg, 1, SEARCH_DEPTH_MAX);
		break;
	case 'r':
		o->plan.random = number(optarg, 0, ~0ull);
		break;
	case 's':
		o->plan.seed = number(optarg, 0, ~0ull);
		break;
	case 'm':
		o->plan.max = number(optarg, 0, ~0ull);
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
	case OPT_LIST_MUTANTS:
		list_mutants();
		exit(0);
#endif
	case OPT_RESULTS:
		o->results = open_results(optarg);
		break;
	case OPT_MERGE:
		o->merge = true;
		break;
	case OPT_LIST:
		list_library();
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

static void report(const char *path, const struct options *o, const struct result *result)
{
	if (o->quiet)
		return;
	printf("%s: nothing found in %llu schedules%s, %.0f a second\n", path,
	       (unsigned long long)result->schedules,
	       result->outcome == OUTCOME_ALL ? ", all of the search among them" : "",
	       result->seconds > 0 ? (double)result->schedules / result->seconds : 0.0);
	fflush(stdout);
}

/* A file goes before a scenario of ours of that name. */
static const char *scenario_path(const char *name, char path[PATH_MAX])
{
	if (access(name, F_OK) == 0)
		return name;
	if (library_find(name, path))
		return path;
	fprintf(stderr, "kvmu: explore: %s: no such file, and no scenario of --list\n", name);
	exit(EXIT_USAGE);
}

static int explore_all(char *const *names, int nr, const struct options *o)
{
	u64 schedules = 0, failures = 0;

	for (int i = 0; i < nr; i++) {
		struct result result = {0};
		char found[PATH_MAX];
		const char *path = scenario_path(names[i], found);

		if (explore(path, o, &result))
			report(path, o, &result);
		else
			failures++;
		schedules += result.schedules;
	}
	printf("%d scenarios, %llu schedules, %llu failed, seed %llu\n", nr,
	       (unsigned long long)schedules, (unsigned long long)failures,
	       (unsigned long long)o->plan.seed);
	return failures ? EXIT_FOUND : 0;
}

int main(int argc, char **argv)
{
	struct options o = {.plan = {.depth = 4, .random = 1000, .seed = 1, .shards = 1}};
	int option;

	while ((option = getopt_long(argc, argv, "b:d:r:s:m:qh", long_options, NULL)) != -1)
		parse_option(option, &o);
	if (optind == argc) {
		fprintf(stderr, "kvmu: explore: no %s; try 'kvmu explore --help'\n",
			o.merge ? "file" : "scenario");
		return EXIT_USAGE;
	}
	if (o.merge)
		return results_merge(argv + optind, argc - optind);
	sched_catch_crashes();
	if (!o.plan.seed)
		o.plan.seed = (u64)time(NULL);
	return explore_all(argv + optind, argc - optind, &o);
}
