/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Put our library in front of the program's, and become the program.  Becoming
 * it, and not waiting for it, leaves it its process id, its terminal, its signals
 * and its exit status.
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

/* A program may start another one under kvmu: what was not asked for is not passed on. */
static bool set_wish(const char *name, const char *value)
{
	return (value ? setenv(name, value, 1) : unsetenv(name)) == 0;
}

int launch(char **argv, const struct wishes *wishes)
{
	char library[PATH_MAX];
	int code = check_program(argv[0]);

	if (code)
		return code;
	if (!find_beside_us(LIBRARY, library_places, library) || !set_preload(library))
		return EXIT_OWN_FAILURE;
	if (!set_wish("KVMU_STATS", wishes->stats ? "1" : NULL) ||
	    !set_wish("KVMU_TRACE", wishes->trace_events) ||
	    !set_wish("KVMU_TRACE_FILE", wishes->trace_file) ||
	    !set_wish("KVMU_INJECT", wishes->failures))
		return EXIT_OWN_FAILURE;
	return start_program(argv);
}
