/* SPDX-License-Identifier: BSD-2-Clause */
/* A run as one page: a timeline with a lane per thread, and the steps below it. */
#include <string.h>

#include "explore/sched.h"
#include "explore/trace.h"

static const char style[] =
	"body{font:14px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:1500px;padding:0 1em;"
	"color:#222;background:#fff}h1{font-size:1.5em;margin:.2em 0}"
	"#verdict{padding:.6em 1em;border-left:4px solid #2a8a4a;background:#e9f6ed;"
	"font-weight:600}"
	"#verdict.bad{border-color:#c22;background:#fbe6e6}"
	"table{border-collapse:collapse;width:100%}"
	"th{position:sticky;top:0;background:#eee;text-align:left}"
	"td,th{padding:2px 8px;border-bottom:1px solid #eee;vertical-align:top}"
	"td.at{color:#888;text-align:right;width:3em}td.count{white-space:nowrap;color:#777;"
	"font:12px monospace}td.count.new{color:#b35900;font-weight:700}"
	"td.held{box-shadow:inset 3px 0 #e0a030}"
	"tr.read td{color:#999}tr.note td{font-weight:600}tr.failed td{background:#fbdcdc}"
	"tr:target td,tr.lit td{background:#fff3c4}"
	".hide tr.read{display:none}code{font:12px monospace;color:#888;font-weight:400}"
	"svg{display:block;margin:.5em 0;background:#fafafa;border:1px solid #ddd}"
	".key span{display:inline-block;width:12px;height:12px;margin:0 4px 0 14px;"
	"border-radius:6px;vertical-align:-1px}.key .bar{border-radius:2px}"
	"circle{cursor:pointer}circle.read{fill:#bbb}circle.change,.key .change{fill:#3571b8;"
	"background:#3571b8}circle.note,.key .note{fill:#222;background:#222}"
	"circle.failed,.key .failed{fill:#c22;background:#c22}"
	"rect.lock,.key .lock{fill:#e0a030;background:#e0a030;opacity:.45}"
	"rect.open,.key .open{fill:#8a63d2;background:#8a63d2;opacity:.16}"
	"@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}th{background:#333}"
	"td,th{border-color:#333}svg{background:#222;border-color:#444}circle.note{fill:#eee}"
	"#verdict{background:#1e3325}#verdict.bad{background:#4a2020}"
	"tr.failed td{background:#5a2020}tr:target td,tr.lit td{background:#554a15}}";

static const char script[] =
	"const reads=document.getElementById('reads'),steps=document.getElementById('steps');"
	"reads.onchange=()=>steps.classList.toggle('hide',!reads.checked);"
	"document.querySelectorAll('circle').forEach(c=>c.onclick=()=>{"
	"if(c.classList.contains('read')){reads.checked=true;reads.onchange()}"
	"document.querySelectorAll('tr.lit').forEach(r=>r.classList.remove('lit'));"
	"const r=document.getElementById(c.dataset.row);r.classList.add('lit');"
	"r.scrollIntoView({block:'center'})});";

static void escape(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static const char *class_of(const struct trace_row *row)
{
	if (!strncmp(row->text, "FAILED", 6))
		return "failed";
	switch ((enum trace_kind)row->kind) {
	case TRACE_READ:
		return "read";
	case TRACE_CHANGE:
		return "change";
	case TRACE_NOTE:
		break;
	}
	return "note";
}

#define LANE   34u
#define MARGIN 90u
/* A step's width: a short run fills the page, a long one is scrolled. */
static size_t step_width;

static u32 lane_of(const struct trace_row *row)
{
	return row->thread < sched.nr_threads ? row->thread : 0;
}

static void print_dot(FILE *out, size_t at, const struct trace_row *row)
{
	fprintf(out, "<circle class=\"%s\" data-row=\"s%zu\" cx=\"%zu\" cy=\"%u\" r=\"%u\"><title>",
		class_of(row), at, MARGIN + at * step_width, LANE * lane_of(row) + LANE / 2,
		row->kind == TRACE_READ ? 2u : 4u);
	escape(out, row->text);
	fputs("</title></circle>\n", out);
}

static void print_bar(FILE *out, const char *class, size_t from, size_t to, u32 y, u32 height)
{
	fprintf(out, "<rect class=\"%s\" x=\"%zu\" y=\"%u\" width=\"%zu\" height=\"%u\"/>\n", class,
		MARGIN + from * step_width, y, (to - from) * step_width, height);
}

/* Who holds the lock, along its lane. */
static void print_locks(FILE *out, const struct trace_row *rows, size_t nr, u32 thread)
{
	size_t since = nr;

	for (size_t i = 0; i < nr; i++) {
		int change = lane_of(&rows[i]) == thread ? trace_lock_change(&rows[i]) : 0;

		if (change > 0) {
			since = i;
		} else if (change < 0 && since < nr) {
			print_bar(out, "lock", since, i, LANE * thread + 7, LANE - 14);
			since = nr;
		}
	}
	if (since < nr)
		print_bar(out, "lock", since, nr, LANE * thread + 7, LANE - 14);
}

/* While an invalidation is in progress, across all lanes. */
static void print_invalidations(FILE *out, const struct trace_row *rows, size_t nr)
{
	size_t since = nr;

	for (size_t i = 0; i <= nr; i++) {
		bool open = i < nr && rows[i].counters.in_progress;

		if (open && since == nr)
			since = i;
		if (!open && since < nr) {
			print_bar(out, "open", since, i, 0, LANE * sched.nr_threads);
			since = nr;
		}
	}
}

static void print_key(FILE *out)
{
	fputs("<p class=\"key\"><span class=\"note\"></span>does<span class=\"change\"></span>"
	      "changes memory<span class=\"failed\"></span>verdict<span class=\"bar lock\">"
	      "</span>holds mmu_lock<span class=\"bar open\"></span>invalidation in progress</p>\n",
	      out);
}

static void print_timeline(FILE *out, const struct trace_row *rows, size_t nr)
{
	fprintf(out, "<div style=\"overflow-x:auto\"><svg width=\"%zu\" height=\"%u\">\n",
		MARGIN + nr * step_width + step_width, LANE * sched.nr_threads);
	print_invalidations(out, rows, nr);
	for (u32 i = 0; i < sched.nr_threads; i++) {
		u32 y = LANE * i + LANE / 2;

		print_locks(out, rows, nr, i);
		fprintf(out, "<text x=\"6\" y=\"%u\" fill=\"currentColor\">", y + 5);
		escape(out, sched.thread[i].name);
		fprintf(out,
			"</text><line x1=\"%u\" x2=\"%zu\" y1=\"%u\" y2=\"%u\" stroke=\"#bbb\"/>\n",
			MARGIN, MARGIN + nr * step_width, y, y);
	}
	for (size_t i = 0; i < nr; i++)
		print_dot(out, i, &rows[i]);
	fputs("</svg></div>\n", out);
	print_key(out);
}

static void print_counters(FILE *out, const struct trace_row *row, const struct trace_row *before)
{
	const struct trace_counters *c = &row->counters;
	bool changed = before && memcmp(c, &before->counters, sizeof(*c)) != 0;

	fprintf(out, "<td class=\"count%s\">seq %llu", changed ? " new" : "",
		(unsigned long long)c->seq);
	if (c->in_progress && (c->start == ~0ull || c->end == ~0ull))
		fprintf(out, ", %u open", c->in_progress);
	else if (c->in_progress)
		fprintf(out, ", %u open: [%llu, %llu)", c->in_progress,
			(unsigned long long)c->start, (unsigned long long)c->end);
	fputs("</td>", out);
}

static void print_step(FILE *out, size_t at, const struct trace_row *row, u32 holders)
{
	fprintf(out, "<tr id=\"s%zu\" class=\"%s\"><td class=\"at\">%zu</td>", at, class_of(row),
		at);
	for (u32 i = 0; i < sched.nr_threads; i++) {
		fputs(holders & 1u << i ? "<td class=\"held\">" : "<td>", out);
		if (i == lane_of(row)) {
			escape(out, row->text);
			if (row->file)
				fprintf(out, " <code>%s:%d</code>", row->file, row->line);
		}
		fputs("</td>", out);
	}
	print_counters(out, row, at ? row - 1 : NULL);
	fputs("</tr>\n", out);
}

/* Who holds the lock after @row. */
static u32 holders_after(const struct trace_row *row, u32 holders)
{
	int change = trace_lock_change(row);
	u32 bit = 1u << lane_of(row);

	return change > 0 ? holders | bit : change < 0 ? holders & ~bit : holders;
}

static void print_steps(FILE *out, const struct trace_row *rows, size_t nr)
{
	u32 holders = 0;

	fputs("<p><label><input type=\"checkbox\" id=\"reads\"> show reads</label></p>\n"
	      "<table id=\"steps\" class=\"hide\"><thead><tr><th>step</th>",
	      out);
	for (u32 i = 0; i < sched.nr_threads; i++) {
		fputs("<th>", out);
		escape(out, sched.thread[i].name);
		fputs("</th>", out);
	}
	fputs("<th>invalidation</th></tr></thead><tbody>\n", out);
	for (size_t i = 0; i < nr; i++) {
		holders = holders_after(&rows[i], holders);
		print_step(out, i, &rows[i], holders);
	}
	fputs("</tbody></table>\n", out);
}

void trace_html(FILE *out, const char *title, const char *schedule)
{
	size_t nr;
	const struct trace_row *rows = trace_rows(&nr);

	step_width = nr < 50 ? 25 : nr > 150 ? 8 : 1250 / nr;
	fprintf(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>");
	escape(out, title);
	fprintf(out, "</title><style>%s</style>\n<h1>", style);
	escape(out, title);
	fprintf(out, "</h1>\n<p id=\"verdict\" class=\"%s\">", sched.failed ? "bad" : "good");
	escape(out, sched.failed ? sched.failure : "Nothing found in this schedule.");
	fputs("</p>\n<p>Schedule: <code>", out);
	escape(out, schedule);
	fputs("</code></p>\n", out);
	print_timeline(out, rows, nr);
	print_steps(out, rows, nr);
	fprintf(out, "<script>%s</script></html>\n", script);
}
