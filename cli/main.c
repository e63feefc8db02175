/* SPDX-License-Identifier: BSD-2-Clause */
/* The kvmu command: sub-commands and help. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void complain(const char *format, ...)
{
	va_list args;

	fputs("kvmu: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static const char help_text[] =
	"Usage: kvmu run [--stats] [--inject SPEC]... [--] PROGRAM [ARGUMENT]...\n"
	"       kvmu trace [-e EVENTS] [-o FILE] [--] PROGRAM [ARGUMENT]...\n"
	"       kvmu explore [OPTION]... SCENARIO...   (kvmu explore --help)\n"
	"       kvmu --help | --version\n"
	"\n"
	"Runs PROGRAM, an unmodified user of the KVM API, with a /dev/kvm of kvmu's own:\n"
	"guest memory and guest CPU are simulated in PROGRAM's process.  No hardware\n"
	"virtualisation, no privileges and no device node are needed; the machine's own\n"
	"/dev/kvm is not touched.\n"
	"\n"
	"run:\n"
	"  --stats         when PROGRAM ends, print what its guests did to standard error\n"
	"  --inject SPEC   make allocations and calls to the host fail, and print at the\n"
	"                  end how often each was reached and has failed.  SPEC is\n"
	"                  SITE[+SITE]...[:OPTION[,OPTION]...]; a SITE is a name, the\n"
	"                  beginning of some with a * after it, or all; an OPTION is\n"
	"                  nth=N (the N-th call), from=N (that and all after it), every=N,\n"
	"                  prob=P (0 to 1) with seed=N, or errno=NAME.  Without one of the\n"
	"                  first four each call fails.  For instance:\n"
	"                    --inject table_page:nth=3   --inject all:prob=0.01,seed=7\n"
	"                    --inject memfd:nth=1,errno=EMFILE\n"
	"                  'report' fails nothing and counts; 'list' prints the sites.\n"
	"\n"
	"trace: the same, and prints what KVM does, as the kernel's tracer would; see\n"
	"'kvmu trace --help'.\n"
	"\n"
	"What are module parameters of KVM is said in the environment, 0 or 1 (1):\n"
	"  KVMU_PML               written pages are noticed by the CPU's dirty marks; 0: by\n"
	"                         write protection, with a fault for the first write\n"
	"  KVMU_EAGER_PAGE_SPLIT  blocks are split when logging begins; 0: when written to\n"
	"\n"
	"PROGRAM must be dynamically linked.  It inherits everything, and kvmu becomes\n"
	"it: the exit status is PROGRAM's own.  When it cannot be started:\n"
	"    2  SPEC says nothing that can be done\n"
	"  125  kvmu itself failed, or PROGRAM would not load kvmu's library\n"
	"  126  PROGRAM was found but cannot be executed\n"
	"  127  PROGRAM was not found\n";

int print_help(void)
{
	fputs(help_text, stdout);
	return fflush(stdout) ? EXIT_OWN_FAILURE : 0;
}

static int print_version(void)
{
	printf("kvmu %s\n", KVMU_VERSION);
	return fflush(stdout) ? EXIT_OWN_FAILURE : 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		complain("no command; try 'kvmu --help'");
		return EXIT_OWN_FAILURE;
	}
	if (!strcmp(argv[1], "run"))
		return cmd_run(argc - 1, argv + 1);
	if (!strcmp(argv[1], "trace"))
		return cmd_trace(argc - 1, argv + 1);
	if (!strcmp(argv[1], "explore"))
		return cmd_explore(argv + 1);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return print_help();
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return print_version();
	complain("unknown command '%s'; try 'kvmu --help'", argv[1]);
	return EXIT_OWN_FAILURE;
}
