/* SPDX-License-Identifier: BSD-2-Clause */
/* kvmu run --inject: looked at before the program starts, carried out in its process. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "host/inject.h"

/* Different each time; what it is, is printed, so that a run can be had again. */
static unsigned int some_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (unsigned int)now.tv_nsec ^ ((unsigned int)getpid() << 16);
}

/* What is left to chance carries its seed from here on, the same in every process. */
static const char *seed_option(const struct inject_plan *plan, const char *spec, char *text,
			       size_t bytes)
{
	if (!plan->nr || plan->rule[0].when != INJECT_CHANCE || strstr(spec, "seed="))
		return "";
	snprintf(text, bytes, ",seed=%u", some_seed());
	return text;
}

static bool refuse(const char *spec, const char *why)
{
	complain("run: --inject %s: %s", spec, why);
	return false;
}

bool inject_add(char *all, size_t bytes, const char *spec)
{
	struct inject_plan plan = {0}, whole = {0};
	char why[128], seed[32];
	size_t used = strlen(all);

	if (strchr(spec, ';'))
		return refuse(spec, "one SPEC in each --inject, without ';'");
	if (inject_parse(&plan, spec, 0, why, sizeof(why)))
		return refuse(spec, why);
	if ((size_t)snprintf(all + used, bytes - used, "%s%s%s", used ? ";" : "", spec,
			     seed_option(&plan, spec, seed, sizeof(seed))) >= bytes - used)
		return refuse(spec, "too many of them");
	return inject_parse(&whole, all, 0, why, sizeof(why)) == 0 || refuse(spec, why);
}

static void print_site(enum kvmu_site site)
{
	char errors[80] = "";
	size_t used = 0;

	for (const int *error = inject_site_errors(site); *error; error++)
		used += (size_t)snprintf(errors + used, sizeof(errors) - used, "%s%s",
					 used ? "," : "", strerrorname_np(*error));
	printf("%-14s  %s\n%16s%s\n", inject_site_name(site), inject_site_what(site), "", errors);
}

int inject_print_sites(void)
{
	for (unsigned int i = 0; i < NR_SITES; i++)
		print_site((enum kvmu_site)i);
	return fflush(stdout) ? EXIT_OWN_FAILURE : 0;
}
