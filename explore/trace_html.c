/* SPDX-License-Identifier: BSD-2-Clause */
/* A run as one page: a timeline with a lane per thread, and the steps below it. */
#include <string.h>

#include "explore/sched.h"
#include "explore/trace.h"

static const char style[] =
	"body{font:14px system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}"
	"table{border-collapse:collapse;width:100%}"
	"th{position:sticky;top:0;background:#eee;text-align:left}"
	"td,th{padding:2px 8px;border-bottom:1px solid #eee;vertical-align:top}"
	"td.at{color:#888;text-align:right;width:4em}"
	"tr.read td{color:#999}tr.note td{font-weight:600}tr.failed td{background:#fbdcdc}"
	"tr:target td,tr.lit td{background:#fff3c4}"
	".hide tr.read{display:none}code{font:13px monospace}"
	"svg{display:block;margin:1em 0;background:#fafafa;border:1px solid #ddd}"
	"circle{cursor:pointer}circle.read{fill:#ccc}circle.change{fill:#3571b8}"
	"circle.note{fill:#222}circle.failed{fill:#c22}"
	"@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}th{background:#333}"
	"td,th{border-color:#333}svg{background:#222;border-color:#444}circle.note{fill:#eee}"
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

#define LANE   28u
#define MARGIN 90u
#define STEP   7u

static u32 lane_of(const struct trace_row *row)
{
	return row->thread < sched.nr_threads ? row->thread : 0;
}

static void print_dot(FILE *out, size_t at, const struct trace_row *row)
{
	fprintf(out, "<circle class=\"%s\" data-row=\"s%zu\" cx=\"%zu\" cy=\"%u\" r=\"%u\"><title>",
		class_of(row), at, MARGIN + at * STEP, LANE * lane_of(row) + LANE / 2,
		row->kind == TRACE_READ ? 2u : 4u);
	escape(out, row->text);
	fputs("</title></circle>\n", out);
}

static void print_timeline(FILE *out, const struct trace_row *rows, size_t nr)
{
	fprintf(out, "<div style=\"overflow-x:auto\"><svg width=\"%zu\" height=\"%u\">\n",
		MARGIN + nr * STEP + STEP, LANE * sched.nr_threads);
	for (u32 i = 0; i < sched.nr_threads; i++) {
		u32 y = LANE * i + LANE / 2;

		fprintf(out, "<text x=\"6\" y=\"%u\" fill=\"currentColor\">", y + 5);
		escape(out, sched.thread[i].name);
		fprintf(out,
			"</text><line x1=\"%u\" x2=\"%zu\" y1=\"%u\" y2=\"%u\" stroke=\"#bbb\"/>\n",
			MARGIN, MARGIN + nr * STEP, y, y);
	}
	for (size_t i = 0; i < nr; i++)
		print_dot(out, i, &rows[i]);
	fputs("</svg></div>\n", out);
}

static void print_step(FILE *out, size_t at, const struct trace_row *row)
{
	fprintf(out, "<tr id=\"s%zu\" class=\"%s\"><td class=\"at\">%zu</td>", at, class_of(row),
		at);
	for (u32 i = 0; i < sched.nr_threads; i++) {
		fputs("<td>", out);
		if (i == lane_of(row)) {
			escape(out, row->text);
			if (row->file)
				fprintf(out, " <code>%s:%d</code>", row->file, row->line);
		}
		fputs("</td>", out);
	}
	fputs("</tr>\n", out);
}

static void print_steps(FILE *out, const struct trace_row *rows, size_t nr)
{
	fputs("<p><label><input type=\"checkbox\" id=\"reads\"> show reads</label></p>\n"
	      "<table id=\"steps\" class=\"hide\"><thead><tr><th>step</th>",
	      out);
	for (u32 i = 0; i < sched.nr_threads; i++) {
		fputs("<th>", out);
		escape(out, sched.thread[i].name);
		fputs("</th>", out);
	}
	fputs("</tr></thead><tbody>\n", out);
	for (size_t i = 0; i < nr; i++)
		print_step(out, i, &rows[i]);
	fputs("</tbody></table>\n", out);
}

void trace_html(FILE *out, const char *title, const char *schedule)
{
	size_t nr;
	const struct trace_row *rows = trace_rows(&nr);

	fprintf(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>");
	escape(out, title);
	fprintf(out, "</title><style>%s</style>\n<h1>", style);
	escape(out, title);
	fputs("</h1>\n<p id=\"verdict\">", out);
	escape(out, sched.failed ? sched.failure : "Nothing found in this schedule.");
	fputs("</p>\n<p>Schedule: <code>", out);
	escape(out, schedule);
	fputs("</code></p>\n", out);
	print_timeline(out, rows, nr);
	print_steps(out, rows, nr);
	fprintf(out, "<script>%s</script></html>\n", script);
}
