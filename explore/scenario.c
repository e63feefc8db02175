/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "explore/host_model.h"
#include "explore/search.h"
#include "mmu/mmu.h"

enum operands {
	OPERAND_NONE,
	OPERAND_PAGES, /* N or N-M */
	OPERAND_ID,
	OPERAND_ID_GFN,
	OPERAND_SLOT,
};

static const struct {
	const char *name;
	enum operands operands;
	bool of_vcpu;
} verbs[DO_NR] = {
	[DO_READ] = {"read", OPERAND_PAGES, true},
	[DO_WRITE] = {"write", OPERAND_PAGES, true},
	[DO_SMM] = {"smm", OPERAND_NONE, true},
	[DO_RSM] = {"rsm", OPERAND_NONE, true},
	[DO_UNMAP] = {"unmap", OPERAND_PAGES, false},
	[DO_MAP] = {"map", OPERAND_PAGES, false},
	[DO_DISCARD] = {"discard", OPERAND_PAGES, false},
	[DO_AGE] = {"age", OPERAND_PAGES, false},
	[DO_LOOK] = {"look", OPERAND_PAGES, false},
	[DO_ZAP_ALL] = {"zap-all", OPERAND_NONE, false},
	[DO_FLUSH] = {"flush", OPERAND_NONE, false},
	[DO_SLOT] = {"slot", OPERAND_SLOT, false},
	[DO_DELETE] = {"delete", OPERAND_ID, false},
	[DO_MOVE] = {"move", OPERAND_ID_GFN, false},
	[DO_PRIVATE] = {"private", OPERAND_PAGES, false},
	[DO_SHARED] = {"shared", OPERAND_PAGES, false},
	[DO_PUNCH] = {"punch", OPERAND_PAGES, false},
	[DO_CLOSE] = {"close", OPERAND_NONE, false},
	[DO_LOG] = {"log", OPERAND_ID, false},
	[DO_UNLOG] = {"unlog", OPERAND_ID, false},
	[DO_HARVEST] = {"harvest", OPERAND_ID, false},
	[DO_POKE] = {"poke", OPERAND_PAGES, false},
};

const char *scenario_verb_name(enum scenario_verb verb)
{
	return verbs[verb].name;
}

/* A line on its way through the parser. */
struct line {
	const char *path;
	int number;
	char *rest;
};

static int bad_line(const struct line *line, const char *what, const char *word)
{
	fprintf(stderr, "kvmu: explore: %s:%d: %s%s%s\n", line->path, line->number, what,
		word ? ": " : "", word ? word : "");
	return -EINVAL;
}

static char *next_word(struct line *line)
{
	line->rest += strspn(line->rest, " \t");
	if (!*line->rest)
		return NULL;
	char *word = line->rest;

	line->rest += strcspn(line->rest, " \t");
	if (*line->rest)
		*line->rest++ = '\0';
	return word;
}

static int read_number(struct line *line, u32 limit, u32 *value)
{
	char *word = next_word(line), *end;
	unsigned long number;

	if (!word)
		return bad_line(line, "a number is missing", NULL);
	number = strtoul(word, &end, 0);
	if (end == word || *end || number >= limit)
		return bad_line(line, "not a number in range", word);
	*value = (u32)number;
	return 0;
}

static int read_pages(struct line *line, u32 *first, u32 *last)
{
	char *word = next_word(line);
	int used = 0;

	if (!word)
		return bad_line(line, "pages are missing", NULL);
	if (sscanf(word, "%u-%u%n", first, last, &used) != 2) {
		if (sscanf(word, "%u%n", first, &used) != 1)
			return bad_line(line, "not pages", word);
		*last = *first;
	}
	if (word[used] || *last < *first || *last >= HOST_SHARED)
		return bad_line(line, "not pages in range", word);
	return 0;
}

static int read_named(struct line *line, const char *name, u32 *value)
{
	char *word = next_word(line);

	if (!word || strcmp(word, name) != 0)
		return bad_line(line, "expected", name);
	return read_number(line, HOST_SHARED + 1, value);
}

/* ID gfn G page P pages K [readonly] */
static int read_slot(struct line *line, struct scenario_slot *slot)
{
	u32 gfn = 0;
	int err = read_number(line, SCENARIO_SLOTS, &slot->id);
	char *word;

	if (!err)
		err = read_named(line, "gfn", &gfn);
	if (!err)
		err = read_named(line, "page", &slot->page);
	if (!err)
		err = read_named(line, "pages", &slot->pages);
	if (err)
		return err;
	slot->gfn = gfn;
	if (slot->page + slot->pages > HOST_SHARED)
		return bad_line(line, "the slot is bigger than the program's memory", NULL);
	while ((word = next_word(line))) {
		if (!strcmp(word, "readonly"))
			slot->flags |= KVM_SLOT_READONLY;
		else if (!strcmp(word, "logged"))
			slot->flags |= KVM_SLOT_LOG_DIRTY;
		else if (!strcmp(word, "private"))
			slot->flags |= KVM_SLOT_GUEST_MEMFD;
		else if (!strcmp(word, "smm"))
			slot->id |= SCENARIO_SMM_SLOT;
		else
			return bad_line(line, "unknown word", word);
	}
	return 0;
}

static int read_operands(struct line *line, struct scenario_op *op)
{
	u32 gfn = 0;
	char *word;
	int err = 0;

	switch (verbs[op->verb].operands) {
	case OPERAND_NONE:
		break;
	case OPERAND_PAGES:
		err = read_pages(line, &op->first, &op->last);
		break;
	case OPERAND_SLOT:
		return read_slot(line, &op->slot);
	case OPERAND_ID:
		err = read_number(line, SCENARIO_SLOTS, &op->slot.id);
		word = err ? NULL : next_word(line);
		if (word && (op->verb != DO_DELETE || strcmp(word, "smm") != 0))
			return bad_line(line, "unknown word", word);
		op->slot.id |= word ? SCENARIO_SMM_SLOT : 0;
		break;
	case OPERAND_ID_GFN:
		err = read_number(line, SCENARIO_SLOTS, &op->slot.id);
		if (!err)
			err = read_number(line, HOST_SHARED, &gfn);
		op->slot.gfn = gfn;
		break;
	}
	if (!err && next_word(line))
		return bad_line(line, "more than expected after", verbs[op->verb].name);
	return err;
}

static int read_op(struct line *line, struct scenario_thread *thread)
{
	struct scenario_op *op = &thread->op[thread->nr_ops];
	char *word = next_word(line);

	if (!word)
		return 0; /* nothing between two semicolons */
	if (thread->nr_ops == SCENARIO_OPS)
		return bad_line(line, "a thread does too much", thread->name);
	for (u32 i = 0; i < DO_NR; i++) {
		if (strcmp(verbs[i].name, word) != 0)
			continue;
		if (verbs[i].of_vcpu != thread->is_vcpu)
			return bad_line(
				line, thread->is_vcpu ? "not for a vCPU" : "only for a vCPU", word);
		op->verb = (enum scenario_verb)i;
		thread->nr_ops++;
		return read_operands(line, op);
	}
	return bad_line(line, "unknown", word);
}

/* "vcpu a: op; op", "vcpu b late: op" or "host: op" */
static int read_thread(struct line *line, char *colon, struct scenario *scenario)
{
	struct scenario_thread *thread = &scenario->thread[scenario->nr_threads];
	struct line ops = *line;
	char *kind, *name, *late, *op;
	int err = 0;

	*colon = '\0';
	kind = next_word(line);
	name = next_word(line);
	late = next_word(line);
	if (scenario->nr_threads == SCENARIO_THREADS)
		return bad_line(line, "too many threads", NULL);
	if (!kind || (strcmp(kind, "vcpu") != 0 && strcmp(kind, "host") != 0))
		return bad_line(line, "a thread is 'vcpu NAME:' or 'host NAME:'", kind);
	scenario->nr_threads++;
	thread->is_vcpu = !strcmp(kind, "vcpu");
	thread->is_late = late != NULL;
	if (late && (!thread->is_vcpu || strcmp(late, "late") != 0))
		return bad_line(line, "unknown word", late);
	snprintf(thread->name, sizeof(thread->name), "%.12s", name ? name : kind);
	for (char *rest = colon + 1; !err && (op = strsep(&rest, ";"));) {
		ops.rest = op;
		err = read_op(&ops, thread);
	}
	return err;
}

static int read_mapped(struct line *line, struct scenario *scenario)
{
	u32 first, last;
	int err = read_pages(line, &first, &last);

	for (u32 i = first; !err && i <= last; i++)
		scenario->mapped |= 1ull << i;
	return err;
}

static int read_dirty(struct line *line, struct scenario_dirty *dirty)
{
	char *word;

	while ((word = next_word(line))) {
		if (!strcmp(word, "marks"))
			dirty->by_mark = true;
		else if (!strcmp(word, "ring"))
			dirty->ring = true;
		else if (!strcmp(word, "manual"))
			dirty->manual |= KVM_DIRTY_MANUAL_PROTECT;
		else if (!strcmp(word, "all"))
			dirty->manual |= KVM_DIRTY_MANUAL_PROTECT | KVM_DIRTY_INITIALLY_SET;
		else
			return bad_line(line, "unknown word", word);
	}
	return 0;
}

static int read_line(struct line *line, struct scenario *scenario)
{
	char *colon = strchr(line->rest, ':');
	char *word;

	if (colon)
		return read_thread(line, colon, scenario);
	word = next_word(line);
	if (!word)
		return 0;
	if (!strcmp(word, "mapped"))
		return read_mapped(line, scenario);
	if (!strcmp(word, "bound"))
		return read_number(line, SEARCH_CHOICES_MAX, &scenario->bound);
	if (!strcmp(word, "dirty"))
		return read_dirty(line, &scenario->dirty);
	if (strcmp(word, "slot") != 0)
		return bad_line(line, "unknown", word);
	if (scenario->nr_slots == SCENARIO_SLOTS)
		return bad_line(line, "too many slots", NULL);
	return read_slot(line, &scenario->slot[scenario->nr_slots++]);
}

static void cut_comment(char *text, struct scenario *scenario)
{
	char *hash = strchr(text, '#');

	text[strcspn(text, "\n")] = '\0';
	if (!hash)
		return;
	if (!*scenario->title)
		snprintf(scenario->title, sizeof(scenario->title), "%s",
			 hash + 1 + strspn(hash + 1, " "));
	*hash = '\0';
}

int scenario_read(const char *path, struct scenario *scenario)
{
	FILE *file = fopen(path, "r");
	struct line line = {.path = path};
	char text[512];
	int err = 0;

	*scenario = (struct scenario){.bound = SCENARIO_BOUND};
	if (!file) {
		fprintf(stderr, "kvmu: explore: %s: %s\n", path, strerror(errno));
		return -ENOENT;
	}
	while (!err && fgets(text, sizeof(text), file)) {
		line.number++;
		line.rest = text;
		cut_comment(text, scenario);
		err = read_line(&line, scenario);
	}
	fclose(file);
	if (!err && !scenario->nr_threads)
		return bad_line(&line, "no thread does anything", NULL);
	return err;
}
