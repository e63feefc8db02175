/* SPDX-License-Identifier: BSD-2-Clause */
/* Failures on purpose: who fails when, and the counters.  See inject.h. */
#include "host/inject.h"

#include <string.h>

#include "base/atomics.h"

_Static_assert(NR_SITES <= 64, "a bit for each site");

bool kvmu_inject_wanted;

/* Written by inject_start() alone, before anybody looks. */
static struct inject_plan plan;
static u64 calls[INJECT_RULES]; /* that each rule has counted */
static u64 reached[NR_SITES], failed[NR_SITES];

struct site_info {
	const char *name, *what;
	int errors[8]; /* 0 ends them */
};

static const struct site_info sites[] = {
#define SITE_INFO(name, what, ...) {#name, what, {__VA_ARGS__}},
	KVMU_SITES(SITE_INFO)};

const char *inject_site_name(enum kvmu_site site)
{
	return sites[site].name;
}

const char *inject_site_what(enum kvmu_site site)
{
	return sites[site].what;
}

const int *inject_site_errors(enum kvmu_site site)
{
	return sites[site].errors;
}

/* A number that only the seed and the call's number decide (splitmix64). */
static u64 draw(u64 seed, u64 call)
{
	u64 z = seed + call * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static bool is_due(const struct inject_rule *rule, u64 call)
{
	switch (rule->when) {
	case INJECT_FROM:
		return call >= rule->n;
	case INJECT_NTH:
		return call == rule->n;
	case INJECT_EVERY:
		return call % rule->n == 0;
	case INJECT_CHANCE:
		return (double)(draw(rule->seed, call) >> 11) < rule->chance * (double)(1ull << 53);
	}
	return false;
}

/* Each rule counts, whether or not another one has decided already. */
int kvmu_inject_reached(enum kvmu_site site)
{
	int error = 0;

	atomic_add(&reached[site], 1);
	for (u32 i = 0; i < plan.nr; i++) {
		const struct inject_rule *rule = &plan.rule[i];

		if (!(rule->sites & BIT_ULL(site)))
			continue;
		if (is_due(rule, __atomic_add_fetch(&calls[i], 1, __ATOMIC_RELAXED)) && !error)
			error = rule->error ? rule->error : sites[site].errors[0];
	}
	if (error)
		atomic_add(&failed[site], 1);
	return -error;
}

void inject_start(const struct inject_plan *wanted)
{
	inject_stop();
	plan = *wanted;
	memset(calls, 0, sizeof(calls));
	memset(reached, 0, sizeof(reached));
	memset(failed, 0, sizeof(failed));
	/* Pairs with nothing: no thread is at a site. */
	atomic_publish(&kvmu_inject_wanted, true);
}

void inject_stop(void)
{
	atomic_publish(&kvmu_inject_wanted, false);
}

u64 inject_times_reached(enum kvmu_site site)
{
	return atomic_peek(&reached[site]);
}

u64 inject_times_failed(enum kvmu_site site)
{
	return atomic_peek(&failed[site]);
}
