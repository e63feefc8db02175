/* SPDX-License-Identifier: BSD-2-Clause */
/* kvmu run. */
#include <string.h>

#include "cli/cli.h"

/* The options before PROGRAM; its index, or 0 after a complaint. */
static int parse_options(int argc, char **argv, bool *stats)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--stats") != 0) {
			complain("run: unknown option '%s'; try 'kvmu --help'", argv[i]);
			return 0;
		}
		*stats = true;
	}
	if (i < argc)
		return i;
	complain("run: no program; try 'kvmu --help'");
	return 0;
}

int cmd_run(int argc, char **argv)
{
	struct wishes wishes = {0};
	int first = parse_options(argc, argv, &wishes.stats);

	return first ? launch(argv + first, &wishes) : EXIT_OWN_FAILURE;
}
