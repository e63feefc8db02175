/* SPDX-License-Identifier: BSD-2-Clause */
/* kvmu run. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct run {
	struct wishes wishes;
	int first; /* PROGRAM's place among the arguments */
	char failures[1024];
};

/* Does the argument at @i want the next one as its value?  NULL after a complaint. */
static const char *value_of(int argc, char **argv, int i)
{
	if (i + 1 < argc)
		return argv[i + 1];
	complain("run: %s needs a value; try 'kvmu --help'", argv[i]);
	return NULL;
}

/* 0, or the exit code after a complaint; the process ends here if it was only a question. */
static int take_spec(struct run *run, const char *spec)
{
	if (!spec)
		return EXIT_BAD_SPEC;
	if (!strcmp(spec, "list") || !strcmp(spec, "help"))
		exit(inject_print_sites());
	if (!inject_add(run->failures, sizeof(run->failures), spec))
		return EXIT_BAD_SPEC;
	run->wishes.failures = run->failures;
	return 0;
}

/* The options before PROGRAM; 0, or the exit code after a complaint. */
static int parse_options(int argc, char **argv, struct run *run)
{
	int i, code = 0;

	for (i = 1; i < argc && argv[i][0] == '-' && !code; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			exit(print_help());
		if (!strcmp(argv[i], "--stats")) {
			run->wishes.stats = true;
		} else if (!strcmp(argv[i], "--inject")) {
			code = take_spec(run, value_of(argc, argv, i));
			i++;
		} else {
			complain("run: unknown option '%s'; try 'kvmu --help'", argv[i]);
			code = EXIT_OWN_FAILURE;
		}
	}
	if (code || i < argc) {
		run->first = i;
		return code;
	}
	complain("run: no program; try 'kvmu --help'");
	return EXIT_OWN_FAILURE;
}

int cmd_run(int argc, char **argv)
{
	struct run run = {.first = 0};
	int code = parse_options(argc, argv, &run);

	return code ? code : launch(argv + run.first, &run.wishes);
}
