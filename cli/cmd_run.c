/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvmu run: put our library in front of the program's, and become the program.
 * Becoming it, and not waiting for it, leaves it its process id, its terminal,
 * its signals and its exit status.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define LIBRARY "libkvmu-preload.so"

/* Relative to where this command is: the build directory's places, then the installed one. */
static const char *const library_places[] = {
	LIBRARY, "preload/" LIBRARY, "../preload/" LIBRARY, KVMU_LIBDIR_FROM_BINDIR "/" LIBRARY,
	NULL,
};

/* LD_PRELOAD is a list, ours comes first; colons and blanks separate. */
static bool set_preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *value = NULL;
	bool ok;

	if (strpbrk(library, ": \t")) {
		complain("%s: a path with blanks or colons cannot be preloaded", library);
		return false;
	}
	if (asprintf(&value, "%s%s%s%s", KVMU_PRELOAD_FIRST, library, before && *before ? ":" : "",
		     before ? before : "") < 0)
		return false;
	ok = setenv("LD_PRELOAD", value, 1) == 0;
	free(value);
	if (!ok)
		complain("cannot set LD_PRELOAD: %s", strerror(errno));
	return ok;
}

static int check_program(const char *name)
{
	char path[PATH_MAX];

	switch (find_program(name, path)) {
	case PROGRAM_PRELOADABLE:
		return 0;
	case PROGRAM_NOT_FOUND:
		complain("%s: not found", name);
		return EXIT_NOT_FOUND;
	case PROGRAM_NOT_EXECUTABLE:
		complain("%s: cannot be executed", name);
		return EXIT_CANNOT_EXECUTE;
	case PROGRAM_STATIC:
		complain("%s is statically linked: it cannot load kvmu's library", path);
		return EXIT_OWN_FAILURE;
	case PROGRAM_PRIVILEGED:
		complain("%s runs with other rights than yours (set-user-ID, set-group-ID or "
			 "capabilities): the system does not load kvmu's library into it",
			 path);
		return EXIT_OWN_FAILURE;
	case PROGRAM_FOREIGN:
		complain("%s is not made for this kind of machine as kvmu is", path);
		return EXIT_OWN_FAILURE;
	}
	return EXIT_OWN_FAILURE;
}

static int start_program(char **argv)
{
	int code;

	execvp(argv[0], argv);
	code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
	complain("%s: %s", argv[0], strerror(errno));
	return code;
}

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
	char library[PATH_MAX];
	bool stats = false;
	int first = parse_options(argc, argv, &stats);
	int code;

	if (!first)
		return EXIT_OWN_FAILURE;
	code = check_program(argv[first]);
	if (code)
		return code;
	if (!find_beside_us(LIBRARY, library_places, library) || !set_preload(library))
		return EXIT_OWN_FAILURE;
	if (stats ? setenv("KVMU_STATS", "1", 1) : unsetenv("KVMU_STATS"))
		return EXIT_OWN_FAILURE;
	return start_program(argv + first);
}
