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
struct kvm;
struct late_store;
struct sched_thread;

#define TRACE_TEXT 256u

enum trace_kind {
	TRACE_READ,
	TRACE_CHANGE,
	TRACE_NOTE,
};

/* The VM's counters after a step. */
struct trace_counters {
	u64 seq, start, end;
	u32 in_progress;
};

struct trace_row {
	u8 thread; /* SCHED_THREADS_MAX: none */
	u8 kind;
	int line;
	const char *file; /* NULL: no place in the code */
	struct trace_counters counters;
	char text[TRACE_TEXT];
};

extern bool trace_on;

/* A new run, of @kvm. */
void trace_reset(const struct kvm *kvm);
/* @before and @after: what was at @at, and is. */
void trace_step(const struct explore_site *site, const char *verb, const void *at, u64 before,
		u64 after);
void trace_late(const struct sched_thread *thread, const struct late_store *late);
/* What a thread does in the scenario's own words; also the oracle's verdict. */
__attribute__((format(printf, 1, 2))) void trace_note(const char *format, ...);

const struct trace_row *trace_rows(size_t *nr);

/* The sources as they lie in the tree: a build directory is beside them. */
static inline const char *trace_file(const char *file)
{
	return file[0] == '.' && file[1] == '.' && file[2] == '/' ? file + 3 : file;
}

/* What a row says of the lock: 1 taken, -1 left, 0 nothing. */
int trace_lock_change(const struct trace_row *row);

/* As text, all steps or only notes, changes and what led to a failure. */
void trace_print(FILE *out, bool all);
/* As one page that needs nothing else. */
void trace_html(FILE *out, const char *title, const char *schedule);

#endif
