/* SPDX-License-Identifier: BSD-2-Clause */
/* kvmu trace: run a program and print what its KVM does, as the kernel's tracer would. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "cli/cli.h"

static const struct event {
	const char *name;
	const char *full_name; /* with its system, as perf has it */
	const char *fields;
	bool *chosen;
} events[] = {
#define EVENT(system, name, nr, fields) {#name, #system ":" #name, fields, &(bool){false}},
	KVMU_TRACE_EVENTS(EVENT)};

static const char help_text[] =
	"Usage: kvmu trace [-e EVENTS] [-o FILE] [--] PROGRAM [ARGUMENT]...\n"
	"       kvmu trace --list\n"
	"\n"
	"Runs PROGRAM as `kvmu run` does and prints trace points under the names, and with\n"
	"the fields, of KVM's own, in the form of the kernel's ftrace:\n"
	"\n"
	"     TASK-TID [CPU] SECONDS: EVENT: FIELDS\n"
	"\n"
	"  -e, --events EVENTS  names with commas between; * and ? stand for anything, and\n"
	"                       kvmmmu:* for a whole system.  May be repeated.  Default: all\n"
	"  -o, --output FILE    write there and not to standard error\n"
	"  -l, --list           list the events and their fields\n"
	"      --help           this text\n"
	"\n"
	"A guest never waits for its trace: what comes faster than it can be written is\n"
	"dropped and counted, [LOST n EVENTS].  All events are static probes of\n"
	"libkvmu-preload.so as well: bpftrace -l 'usdt:/path/to/libkvmu-preload.so:*'\n";

static int print(const char *text)
{
	fputs(text, stdout);
	return fflush(stdout) ? EXIT_OWN_FAILURE : 0;
}

static int list_events(void)
{
	for (size_t i = 0; i < KVMU_TRACE_NR; i++)
		printf("%-32s %s\n", events[i].full_name, events[i].fields);
	return fflush(stdout) ? EXIT_OWN_FAILURE : 0;
}

/* ---- choosing events ------------------------------------------------------------------------- */

static bool choose_one(const char *pattern)
{
	bool found = false;

	for (size_t i = 0; i < KVMU_TRACE_NR; i++) {
		if (fnmatch(pattern, events[i].name, 0) && fnmatch(pattern, events[i].full_name, 0))
			continue;
		*events[i].chosen = true;
		found = true;
	}
	if (!found)
		complain("trace: no event '%s'; see 'kvmu trace --list'", pattern);
	return found;
}

static bool choose(char *patterns)
{
	for (char *one = strtok(patterns, ","); one; one = strtok(NULL, ",")) {
		if (!choose_one(one))
			return false;
	}
	return true;
}

/* The chosen ones, or all when none was named, with commas between. */
static const char *chosen_events(bool all)
{
	static char names[KVMU_TRACE_NR * 64];
	size_t used = 0;

	for (size_t i = 0; i < KVMU_TRACE_NR; i++) {
		if (all || *events[i].chosen)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
						 used ? "," : "", events[i].name);
	}
	return names;
}

/* ---- the file --------------------------------------------------------------------------- */

/* Emptied here, once; the processes of the program append to it. */
static const char *prepare_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	char *absolute;

	if (fd < 0) {
		complain("trace: %s: %s", path, strerror(errno));
		return NULL;
	}
	close(fd);
	absolute = realpath(path, NULL);
	if (!absolute)
		complain("trace: %s: %s", path, strerror(errno));
	return absolute;
}

/* ---- the command ------------------------------------------------------------------------ */

enum {
	OPTION_HELP = 256,
};

static const struct option options[] = {
	{"events", required_argument, NULL, 'e'},
	{"output", required_argument, NULL, 'o'},
	{"list", no_argument, NULL, 'l'},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct request {
	bool named; /* some events were */
	const char *file;
	int code; /* of a command that is done with its options; -1: there is a program */
};

static bool take_option(struct request *request, int option)
{
	switch (option) {
	case 'e':
		request->named = true;
		return choose(optarg);
	case 'o':
		request->file = optarg;
		return true;
	case 'l':
		request->code = list_events();
		return false;
	case OPTION_HELP:
		request->code = print(help_text);
		return false;
	default:
		complain("trace: option '%s' is wrong; try 'kvmu trace --help'",
			 optarg ? optarg : "");
		return false;
	}
}

int cmd_trace(int argc, char **argv)
{
	struct request request = {.code = EXIT_OWN_FAILURE};
	struct wishes wishes = {0};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+e:o:l", options, NULL)) != -1) {
		if (!take_option(&request, option))
			return request.code;
	}
	if (optind == argc) {
		complain("trace: no program; try 'kvmu trace --help'");
		return EXIT_OWN_FAILURE;
	}
	wishes.trace_events = chosen_events(!request.named);
	if (request.file && !(wishes.trace_file = prepare_file(request.file)))
		return EXIT_OWN_FAILURE;
	return launch(argv + optind, &wishes);
}
