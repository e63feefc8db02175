/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened in a run, step by step: kept only when somebody will read it,
 * and written as a table with a column per thread.
 */
#ifndef KVMU_EXPLORE_TRACE_H
#define KVMU_EXPLORE_TRACE_H

#include <stdio.h>

#include "base/types.h"

struct explore_site;
struct late_store;
struct sched_thread;

#define TRACE_TEXT 120u

enum trace_kind {
	TRACE_READ,
	TRACE_CHANGE,
	TRACE_NOTE,
};

struct trace_row {
	u8 thread; /* SCHED_THREADS_MAX: none */
	u8 kind;
	int line;
	const char *file; /* NULL: no place in the code */
	char text[TRACE_TEXT];
};

extern bool trace_on;

void trace_reset(void);
void trace_step(const struct explore_site *site, const char *verb, u64 value);
void trace_late(const struct sched_thread *thread, const struct late_store *late);
/* What a thread does in the scenario's own words; also the oracle's verdict. */
__attribute__((format(printf, 1, 2))) void trace_note(const char *format, ...);

const struct trace_row *trace_rows(size_t *nr);

/* As text, all steps or only notes, changes and what led to a failure. */
void trace_print(FILE *out, bool all);
/* As one page that needs nothing else. */
void trace_html(FILE *out, const char *title, const char *schedule);

#endif
