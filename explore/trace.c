/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/trace.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "explore/atomics.h"
#include "explore/sched.h"

bool trace_on;
static struct trace_row *rows;
static size_t nr_rows, room;

const struct trace_row *trace_rows(size_t *nr)
{
	*nr = nr_rows;
	return rows;
}

void trace_reset(void)
{
	nr_rows = 0;
}

static u8 running(void)
{
	return sched.current ? (u8)(sched.current - sched.thread) : SCHED_THREADS_MAX;
}

static struct trace_row *new_row(enum trace_kind kind, u8 thread)
{
	if (nr_rows == room) {
		room = room ? 2 * room : 1024;
		rows = realloc(rows, room * sizeof(*rows));
		if (!rows)
			abort();
	}
	rows[nr_rows] = (struct trace_row){.kind = (u8)kind, .thread = thread};
	return &rows[nr_rows++];
}

/* "&kvm->mmu_invalidate_seq" is read as what it names. */
static const char *place(const char *text)
{
	return *text == '&' ? text + 1 : text;
}

void trace_step(const struct explore_site *site, const char *verb, u64 value)
{
	struct trace_row *row;

	if (!trace_on || !sched.current || sched.quiet)
		return;
	row = new_row(strcmp(verb, "reads") ? TRACE_CHANGE : TRACE_READ, running());
	row->file = site->file;
	row->line = site->line;
	snprintf(row->text, sizeof(row->text), value < 1024 ? "%s %s: %llu" : "%s %s: %#llx", verb,
		 place(site->text), (unsigned long long)value);
}

void trace_late(const struct sched_thread *thread, const struct late_store *late)
{
	struct trace_row *row;

	if (!trace_on)
		return;
	row = new_row(TRACE_CHANGE, (u8)(thread - sched.thread));
	snprintf(row->text, sizeof(row->text), "(a delayed store is seen now, instead of %#llx)",
		 (unsigned long long)late->before);
}

void trace_note(const char *format, ...)
{
	struct trace_row *row;
	va_list args;

	if (!trace_on || (!sched.current && !sched.failed))
		return;
	row = new_row(TRACE_NOTE, running());
	va_start(args, format);
	vsnprintf(row->text, sizeof(row->text), format, args);
	va_end(args);
}

/* ---- text ------------------------------------------------------------------------ */

#define COLUMN 44

static void print_cell(FILE *out, const char *text, size_t width)
{
	size_t length = strlen(text);

	fprintf(out, "%.*s", (int)width, text);
	for (size_t i = length; i < width; i++)
		fputc(' ', out);
}

/* One row; a text that is longer than its column goes on below. */
static void print_row(FILE *out, size_t number, const struct trace_row *row)
{
	const char *text = row->text;
	const size_t length = strlen(text);

	if (row->thread == SCHED_THREADS_MAX) {
		fprintf(out, "%5zu %s\n", number, text);
		return;
	}
	for (size_t at = 0; at < length; at += COLUMN - 2) {
		fprintf(out, at ? "      " : "%5zu ", number);
		for (u32 i = 0; i < row->thread; i++)
			print_cell(out, "", COLUMN);
		fprintf(out, "%.*s\n", COLUMN - 2, text + at);
	}
}

void trace_print(FILE *out, bool all)
{
	fprintf(out, " step ");
	for (u32 i = 0; i < sched.nr_threads; i++)
		print_cell(out, sched.thread[i].name, COLUMN);
	fputc('\n', out);
	for (size_t i = 0; i < nr_rows; i++) {
		if (all || rows[i].kind != TRACE_READ)
			print_row(out, i, &rows[i]);
	}
}
