/* SPDX-License-Identifier: BSD-2-Clause */
/* The kvmu command: what its files share. */
#ifndef KVMU_CLI_CLI_H
#define KVMU_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* As env(1) and timeout(1) use them. */
enum exit_code {
	EXIT_BAD_SPEC = 2, /* of --inject */
	EXIT_OWN_FAILURE = 125,
	EXIT_CANNOT_EXECUTE = 126,
	EXIT_NOT_FOUND = 127,
};

/* "kvmu: message" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What our library in the program is asked to do. */
struct wishes {
	bool stats;
	const char *trace_events; /* names with commas between; NULL: no trace */
	const char *trace_file;	  /* absolute; NULL: standard error */
	const char *failures;	  /* of --inject, with ';' between; NULL: none */
};

/* Become the program @argv[0]; returns only when that failed, an exit code. */
int launch(char **argv, const struct wishes *wishes);

/* The commands; @argv[0] is their name.  Exit codes, where the program was not started. */
int cmd_run(int argc, char **argv);
int cmd_trace(int argc, char **argv);
/* Of all commands; an exit code. */
int print_help(void);

/*
 * --inject: add what one of them says to @all, of @bytes bytes.  False after a
 * complaint.  The other prints every site; an exit code.
 */
bool inject_add(char *all, size_t bytes, const char *spec);
int inject_print_sites(void);

/* `kvmu explore`; @argv[0] is "explore".  Returns only when it was not started. */
int cmd_explore(char **argv);

/*
 * The first of @places (NULL ends them; relative to where this command is) that
 * exists, as @path of PATH_MAX bytes.  False after saying that @what is missing.
 */
bool find_beside_us(const char *what, const char *const *places, char *path);

/* How a program of that name would be run. */
enum program_kind {
	PROGRAM_PRELOADABLE,
	PROGRAM_NOT_FOUND,
	PROGRAM_NOT_EXECUTABLE,
	PROGRAM_STATIC,	    /* no dynamic linker, nobody to load our library */
	PROGRAM_PRIVILEGED, /* set-user-ID or the like: the dynamic linker ignores us */
	PROGRAM_FOREIGN,    /* made for another kind of machine than the library */
};

/* Search as execvp(3) does; @path, of PATH_MAX bytes, is where it was found. */
enum program_kind find_program(const char *name, char *path);

#endif
