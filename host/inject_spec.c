/* SPDX-License-Identifier: BSD-2-Clause */
/* What --inject is told, and what it tells (docs/injection.md). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomics.h"
#include "host/inject.h"
#include "host/sys.h"

/* ---- reading ------------------------------------------------------------------------- */

struct parser {
	char *why;
	size_t bytes;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct parser *p, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->why, p->bytes, format, args);
	va_end(args);
	return -EINVAL;
}

/* A name, or the beginning of some and a star. */
static bool matches(const char *name, const char *word, size_t len)
{
	if (len && word[len - 1] == '*')
		return strncmp(name, word, len - 1) == 0;
	return strlen(name) == len && memcmp(name, word, len) == 0;
}

static u64 sites_called(const char *word, size_t len)
{
	u64 found = 0;

	if (len == 3 && !memcmp(word, "all", 3))
		return BIT_ULL(NR_SITES) - 1;
	for (u32 i = 0; i < NR_SITES; i++) {
		if (matches(inject_site_name((enum kvmu_site)i), word, len))
			found |= BIT_ULL(i);
	}
	return found;
}

/* "name+name+..." */
static int parse_sites(const struct parser *p, struct inject_rule *rule, const char *text)
{
	do {
		size_t len = strcspn(text, "+");
		u64 found = sites_called(text, len);

		if (!found)
			return refuse(p, "no site is called '%.*s'; see --inject list", (int)len,
				      text);
		rule->sites |= found;
		text += len;
	} while (*text++ == '+');
	return 0;
}

static int parse_number(const struct parser *p, const char *key, const char *text, u64 least,
			u64 *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	if (errno || *end || end == text || *text == '-' || *number < least)
		return refuse(p, "%s is a number from %llu on, not '%s'", key,
			      (unsigned long long)least, text);
	return 0;
}

static int parse_chance(const struct parser *p, struct inject_rule *rule, const char *text)
{
	char *end;

	rule->chance = strtod(text, &end);
	if (*end || end == text || !(rule->chance >= 0 && rule->chance <= 1))
		return refuse(p, "prob is a number from 0 to 1, not '%s'", text);
	rule->when = INJECT_CHANCE;
	return 0;
}

static bool may_fail_with(enum kvmu_site site, int error)
{
	const int *errors = inject_site_errors(site);

	while (*errors && *errors != error)
		errors++;
	return *errors != 0;
}

#define LAST_ERRNO 133

/* Of the rule's sites those remain that may fail so. */
static int parse_error(const struct parser *p, struct inject_rule *rule, const char *text)
{
	u64 left = 0;
	int error = 1;

	while (error <= LAST_ERRNO &&
	       (!strerrorname_np(error) || strcmp(strerrorname_np(error), text) != 0))
		error++;
	if (error > LAST_ERRNO)
		return refuse(p, "errno is a name such as ENOMEM, not '%s'", text);
	for (u32 i = 0; i < NR_SITES; i++) {
		if ((rule->sites & BIT_ULL(i)) && may_fail_with((enum kvmu_site)i, error))
			left |= BIT_ULL(i);
	}
	if (!left)
		return refuse(p, "what is named never fails with %s; see --inject list", text);
	rule->sites = left;
	rule->error = error;
	return 0;
}

static int parse_when(const struct parser *p, struct inject_rule *rule, enum inject_when when,
		      const char *key, const char *text)
{
	rule->when = when;
	return parse_number(p, key, text, 1, &rule->n);
}

static int parse_option(const struct parser *p, struct inject_rule *rule, const char *key,
			const char *value)
{
	if (!strcmp(key, "nth"))
		return parse_when(p, rule, INJECT_NTH, key, value);
	if (!strcmp(key, "from"))
		return parse_when(p, rule, INJECT_FROM, key, value);
	if (!strcmp(key, "every"))
		return parse_when(p, rule, INJECT_EVERY, key, value);
	if (!strcmp(key, "prob"))
		return parse_chance(p, rule, value);
	if (!strcmp(key, "seed"))
		return parse_number(p, key, value, 0, &rule->seed);
	if (!strcmp(key, "errno"))
		return parse_error(p, rule, value);
	return refuse(p, "no option is called '%s': there are nth, from, every, prob, seed, errno",
		      key);
}

static bool says_when(const char *key)
{
	return !strcmp(key, "nth") || !strcmp(key, "from") || !strcmp(key, "every") ||
	       !strcmp(key, "prob");
}

/* "key=value,key=value,..."; @text is cut up. */
static int parse_options(const struct parser *p, struct inject_rule *rule, char *text)
{
	bool seeded = false, timed = false;
	char *rest = NULL;
	int err = *text ? 0 : refuse(p, "nothing after the colon");

	for (char *key = strtok_r(text, ",", &rest); key && !err;
	     key = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(key, '=');

		if (!value)
			return refuse(p, "'%s' is no option: they are KEY=VALUE", key);
		*value++ = '\0';
		if (timed && says_when(key))
			return refuse(p, "only one of nth, from, every and prob");
		timed = timed || says_when(key);
		seeded = seeded || !strcmp(key, "seed");
		err = parse_option(p, rule, key, value);
	}
	if (!err && seeded && rule->when != INJECT_CHANCE)
		return refuse(p, "seed without prob: nothing is left to chance");
	return err;
}

/* "sites:options", or "report", which fails nothing. */
static int parse_one(const struct parser *p, struct inject_plan *plan, char *text, u64 seed)
{
	struct inject_rule rule = {.when = INJECT_FROM, .n = 1, .seed = seed};
	char *options = strchr(text, ':');
	int err;

	if (!strcmp(text, "report"))
		return 0;
	if (options)
		*options++ = '\0';
	err = parse_sites(p, &rule, text);
	if (!err && options)
		err = parse_options(p, &rule, options);
	if (err)
		return err;
	if (plan->nr == INJECT_RULES)
		return refuse(p, "more than %u rules", INJECT_RULES);
	plan->rule[plan->nr++] = rule;
	return 0;
}

#define SPEC_BYTES 1024

int inject_parse(struct inject_plan *plan, const char *spec, u64 seed, char *why, size_t bytes)
{
	const struct parser parser = {.why = why, .bytes = bytes};
	int err = 0;

	do {
		size_t len = strcspn(spec, ";");
		char copy[SPEC_BYTES];

		if (len >= sizeof(copy))
			return refuse(&parser, "a rule of %zu characters", len);
		memcpy(copy, spec, len);
		copy[len] = '\0';
		err = parse_one(&parser, plan, copy, seed);
		spec += len;
	} while (!err && *spec++ == ';');
	return err;
}

/* ---- telling ----------------------------------------------------------------------------- */

static struct {
	bool wanted;
	u32 done;
	char specs[SPEC_BYTES];
} report;

void inject_start_as_told(const char *specs)
{
	struct inject_plan plan = {0};
	char why[128];

	/* The kvmu command has looked at it; this is somebody's own environment. */
	if (inject_parse(&plan, specs, 0, why, sizeof(why))) {
		dprintf(2, "kvmu: KVMU_INJECT: %s\n", why);
		return;
	}
	snprintf(report.specs, sizeof(report.specs), "%s", specs);
	report.wanted = true;
	inject_start(&plan);
}

static bool concerns_us(void)
{
	u64 nr = inject_times_reached(SITE_memfd);

	for (u32 i = 0; i < NR_SITES; i++)
		nr += inject_times_failed((enum kvmu_site)i);
	return nr != 0;
}

void inject_report(void)
{
	char text[8192];
	size_t used;

	if (likely(!report.wanted) || !concerns_us() || atomic_exchange(&report.done, 1))
		return;
	used = (size_t)snprintf(text, sizeof(text),
				"kvmu: process %d: --inject %s\n %-16s %12s %12s\n", (int)getpid(),
				report.specs, "site", "reached", "failed");
	for (u32 i = 0; i < NR_SITES && used < sizeof(text); i++) {
		enum kvmu_site site = (enum kvmu_site)i;

		if (inject_times_reached(site))
			used += (size_t)snprintf(text + used, sizeof(text) - used,
						 " %-16s %12llu %12llu\n", inject_site_name(site),
						 (unsigned long long)inject_times_reached(site),
						 (unsigned long long)inject_times_failed(site));
	}
	/* One write: lines of the program do not come between. */
	host_sure(SYS_write, 2, text, used < sizeof(text) ? used : sizeof(text));
}
