/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/trace.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "explore/atomics.h"
#include "explore/entry_text.h"
#include "explore/sched.h"
#include "mmu/mmu.h"

bool trace_on;
static struct trace_row *rows;
static size_t nr_rows, room;
static const struct kvm *traced;

const struct trace_row *trace_rows(size_t *nr)
{
	*nr = nr_rows;
	return rows;
}

void trace_reset(const struct kvm *kvm)
{
	traced = kvm;
	nr_rows = 0;
}

static u8 running(void)
{
	return sched.current ? (u8)(sched.current - sched.thread) : SCHED_THREADS_MAX;
}

static struct trace_counters counters_now(void)
{
	return (struct trace_counters){
		.seq = traced->mmu_invalidate_seq,
		.start = traced->mmu_invalidate_range_start,
		.end = traced->mmu_invalidate_range_end,
		.in_progress = (u32)traced->mmu_invalidate_in_progress,
	};
}

static struct trace_row *new_row(enum trace_kind kind, u8 thread)
{
	if (nr_rows == room) {
		room = room ? 2 * room : 1024;
		rows = realloc(rows, room * sizeof(*rows));
		if (!rows)
			abort();
	}
	rows[nr_rows] =
		(struct trace_row){.kind = (u8)kind, .thread = thread, .counters = counters_now()};
	return &rows[nr_rows++];
}

/* "&kvm->mmu_invalidate_seq" is read as what it names; there is one VM. */
static const char *place(const char *text)
{
	if (*text == '&')
		text++;
	return strncmp(text, "kvm->", 5) == 0 ? text + 5 : text;
}

/* An entry is told by whose it is, and before and after in words. */
static void say_entry(char *text, const char *verb, const void *at, u64 before, u64 after)
{
	char place[64], old[48], new[48];
	unsigned int level = entry_place(traced, at, place, sizeof(place));

	entry_text(before, level, old, sizeof(old));
	entry_text(after, level, new, sizeof(new));
	if (before == after)
		snprintf(text, TRACE_TEXT, "%s the entry of %s: %s", verb, place, new);
	else
		snprintf(text, TRACE_TEXT, "%s the entry of %s: %s -> %s", verb, place, old, new);
}

static void say_value(char *text, const char *verb, const char *what, u64 before, u64 after)
{
	int used = snprintf(text, TRACE_TEXT, "%s %s: ", verb, what);

	if (before != after && before < 1024)
		used += snprintf(text + used, TRACE_TEXT - used, "%llu -> ",
				 (unsigned long long)before);
	if (after == ~0ull)
		snprintf(text + used, TRACE_TEXT - used, "none");
	else
		snprintf(text + used, TRACE_TEXT - used, after < 1024 ? "%llu" : "%#llx",
			 (unsigned long long)after);
}

void trace_step(const struct explore_site *site, const char *verb, const void *at, u64 before,
		u64 after)
{
	struct trace_row *row;

	if (!trace_on || !sched.current || sched.quiet)
		return;
	row = new_row(strcmp(verb, "reads") ? TRACE_CHANGE : TRACE_READ, running());
	row->file = trace_file(site->file);
	row->line = site->line;
	if (strcmp(site->text, "ptep") == 0)
		say_entry(row->text, verb, at, before, after);
	else
		say_value(row->text, verb, place(site->text), before, after);
}

int trace_lock_change(const struct trace_row *row)
{
	if (row->kind != TRACE_NOTE || !strstr(row->text, "mmu_lock"))
		return 0;
	if (strncmp(row->text, "takes", 5) == 0)
		return 1;
	return strncmp(row->text, "leaves", 6) == 0 ? -1 : 0;
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

/* As much of @text as fits a column, to the end of a word if there is one. */
static size_t line_of(const char *text)
{
	const size_t length = strlen(text);
	size_t fits = COLUMN - 2;

	if (length <= fits)
		return length;
	while (fits && text[fits] != ' ')
		fits--;
	return fits ? fits : COLUMN - 2;
}

/* One row; a text that is longer than its column goes on below. */
static void print_row(FILE *out, size_t number, const struct trace_row *row)
{
	const char *text = row->text;

	if (row->thread == SCHED_THREADS_MAX) {
		fprintf(out, "%5zu %s\n", number, text);
		return;
	}
	while (*text) {
		size_t length = line_of(text);

		fprintf(out, text == row->text ? "%5zu " : "      ", number);
		for (u32 i = 0; i < row->thread; i++)
			print_cell(out, "", COLUMN);
		fprintf(out, "%.*s\n", (int)length, text);
		text += length;
		text += strspn(text, " ");
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
