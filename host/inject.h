/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures on purpose, from `kvmu run --inject` as from tests: what is to fail
 * (a plan), and what was reached and has failed.  The sites: base/inject.h.
 */
#ifndef KVMU_HOST_INJECT_H
#define KVMU_HOST_INJECT_H

#include <stddef.h>

#include "base/errno.h"
#include "base/inject.h"
#include "base/types.h"

/* Which of the calls that a rule counts fail. */
enum inject_when {
	INJECT_FROM,   /* the n-th and all after it */
	INJECT_NTH,    /* the n-th alone */
	INJECT_EVERY,  /* each n-th */
	INJECT_CHANCE, /* each with a probability */
};

struct inject_rule {
	u64 sites; /* a bit for each; it counts their calls together */
	enum inject_when when;
	u64 n;	       /* from 1 */
	double chance; /* 0 to 1 */
	u64 seed;
	int error; /* positive; 0: each site's own */
};

#define INJECT_RULES 16u

struct inject_plan {
	u32 nr;
	struct inject_rule rule[INJECT_RULES];
};

/*
 * Add what @spec says (docs/injection.md) to @plan; several have ';' between.
 * What chance decides and has no seed gets @seed.  0, or -EINVAL and why, in
 * @why of @bytes bytes.
 */
int inject_parse(struct inject_plan *plan, const char *spec, u64 seed, char *why,
		 size_t bytes) KVMU_MUST_CHECK;

/*
 * From now on, and everything is counted from 0.  No thread may be at a site.
 * An empty plan only counts.  The plan is copied.
 */
void inject_start(const struct inject_plan *plan);
void inject_stop(void);

/* Since the start; any time. */
u64 inject_times_reached(enum kvmu_site site);
u64 inject_times_failed(enum kvmu_site site);

const char *inject_site_name(enum kvmu_site site);
const char *inject_site_what(enum kvmu_site site);
/* Those it may fail with, 0 at the end; the first is its own. */
const int *inject_site_errors(enum kvmu_site site);

/* Of `kvmu run --inject`: start as @specs says, and tell at the process's end. */
void inject_start_as_told(const char *specs);
/* Once per process, to standard error; nothing if this one never was a KVM program. */
void inject_report(void);

#endif
