/*
 * nestor sched-compare: the table, for a terminal of 80 columns. What is printed before the first
 * run ends and after each, so that a long comparison shows how far it is.
 */
#include <stdio.h>
#include <string.h>

#include "l0/cmd/sched_compare.h"

#define NAME_COLUMNS 9
#define GUEST_COLUMNS 14
#define TEXT_COLUMNS 80u
#define INDENT "          "

static double ms(u64 ns)
{
	return (double)ns / 1e6;
}

void compare_text_head(void)
{
	printf("%-9s %-*s %7s %7s %7s %7s %7s %6s %6s %6s\n", "", NAME_COLUMNS, "", "", "",
	       "missed", "worst", "longest", "CPU", "fair", "switch");
	printf("%-9s %-*s %7s %7s %7s %7s %7s %6s %6s %6s\n", "policy", NAME_COLUMNS, "machine",
	       "jobs", "missed", "> 1 s", "late ms", "gap ms", "%", "%", "/s");
	fflush(stdout);
}

static void print_row(const char *policy, const char *name, const struct compare_row *row,
		      bool has_fair)
{
	char fair[16] = "-";

	if (has_fair)
		snprintf(fair, sizeof(fair), "%.2f", row->fair);
	/* a name that is too long for its column has a line of its own */
	if (strlen(name) > NAME_COLUMNS) {
		printf("%-9s %s\n", policy, name);
		policy = name = "";
	}
	printf("%-9s %-*s %7lu %7lu %7lu %7.2f %7.2f %6.2f %6s %6.0f\n", policy, NAME_COLUMNS, name,
	       row->jobs, row->misses, row->misses - row->early, (double)row->late_us / 1e3,
	       ms(row->gap_ns), row->cpu, fair, row->switches_each_s);
}

void compare_text_alone(const struct run_report *r, const struct compare_alone *alone)
{
	for (u32 i = 0; i < r->nmachines; i++)
		print_row(i ? "" : "alone", r->machine[i].name, &alone->row[i], false);
	fflush(stdout);
}

/* One more item of a list below the table, wrapped. */
static void put(u32 *column, const char *text)
{
	u32 n = (u32)strlen(text) + 2;

	if (*column)
		printf(";");
	if (!*column || *column + n > TEXT_COLUMNS) {
		printf("%s" INDENT " ", *column ? "\n" : "");
		*column = sizeof(INDENT);
	}
	printf(" %s", text);
	*column += n;
}

/* When the estimates were within 10 % of the truth: after the start, and after each change. */
static void print_settled(const struct run_report_guest *g, u32 *column)
{
	char text[64];

	for (u32 k = 0; k < g->nparts; k++) {
		const struct run_report_part *p = &g->part[k];

		if (!p->y_ns)
			continue;
		if (p->settled_ns)
			snprintf(text, sizeof(text), "%swithin 10 %% after %.0f ms",
				 k ? "then " : "", ms(p->settled_ns - p->from_ns));
		else
			snprintf(text, sizeof(text), "%snever within 10 %%", k ? "then " : "");
		put(column, text);
	}
}

/* On what the inference rests. */
static void print_whys(const struct run_report_guest *g, u32 *column)
{
	char text[160];

	for (u32 i = 0; i < RUN_REPORT_WHYS; i++) {
		const struct run_report_why *w = &g->why[i];

		if (!w->known)
			continue;
		snprintf(text, sizeof(text), "%s%s: %s (%u of %u, %u %%)", w->holds ? "" : "not ",
			 compare_enum_text("inference", i),
			 compare_enum_text("inference_reason", w->reason), w->agree, w->seen,
			 w->confidence);
		put(column, text);
	}
}

/* The mean need in the newest part that was judged: the truth beside X. */
static u64 need_ns(const struct run_report_guest *g)
{
	for (u32 k = g->nparts; k-- > 0;)
		if (g->part[k].jobs)
			return g->part[k].c_sum_ns / g->part[k].jobs;
	return 0;
}

/* Milliseconds, or - where nothing is known. */
static void print_ms(u64 ns)
{
	if (ns)
		printf(" %7.3f", ms(ns));
	else
		printf(" %7s", "-");
}

static void print_guest(const char *machine, u32 number, const struct run_report_guest *g)
{
	const struct run_report_part *part = &g->part[g->nparts ? g->nparts - 1 : 0];
	char name[MACHINE_MAX_NAME + 16], text[96];
	u32 column = 0;

	snprintf(name, sizeof(name), "%s guest %u", machine, number);
	printf(INDENT "%-*s", GUEST_COLUMNS, name);
	if (strlen(name) > GUEST_COLUMNS)
		printf("\n" INDENT "%-*s", GUEST_COLUMNS, "");
	const u64 shown[] = {g->y_ns, part->y_ns, g->work_ns, part->work_ns,
			     g->x_ns, need_ns(g), g->r_ns};
	for (u32 i = 0; i < ARRAY_SIZE(shown); i++)
		print_ms(shown[i]);
	printf("\n");
	put(&column, compare_enum_text("reserve_reason", g->reason));
	if (g->refusals) {
		snprintf(text, sizeof(text), "refusals: %u", g->refusals);
		put(&column, text);
	}
	print_settled(g, &column);
	print_whys(g, &column);
	printf("\n");
}

/* What was inferred of the real-time guests, beside the truth. */
static void print_guests(const struct run_report *r)
{
	bool first = true;

	for (u32 i = 0; i < r->nmachines; i++)
		for (u32 n = 0; n < RUN_REPORT_GUESTS; n++) {
			const struct run_report_guest *g = &r->machine[i].guest[n];

			if (!g->y_ns && !g->r_ns && !g->reason)
				continue;
			if (first)
				printf(INDENT "%-*s %7s %7s %7s %7s %7s %7s %7s\n", GUEST_COLUMNS,
				       "inferred, ms", "Y", "true", "work", "true", "X", "true",
				       "R");
			first = false;
			print_guest(r->machine[i].name, n, g);
		}
}

void compare_text_policy(const char *policy, const struct run_report *r,
			 const struct compare_alone *alone)
{
	double idle = 100;

	for (u32 i = 0; i < r->nmachines; i++) {
		const struct compare_row row = compare_row_of(r, alone, i);

		idle -= row.cpu;
		print_row(i ? "" : policy, r->machine[i].name, &row, true);
		if (r->machine[i].stopped_ns)
			printf(INDENT "it stopped at %.0f ms\n", ms(r->machine[i].stopped_ns));
	}
	printf(INDENT "idle %.2f %%, %.2f s of the host's CPU\n", idle < 0 ? 0 : idle,
	       (double)r->host_cpu_ns / 1e9);
	print_guests(r);
	fflush(stdout);
}
