#include <stdio.h>
#include <string.h>

#include "l0/arch/events.h"
#include "l0/cmd/sched_compare.h"

struct row {
	u64 jobs, misses, early, late_us, work;
	double cpu, fair; /* percent of all workers */
	u32 refusals;
};

/*
 * Max-min fair by weight: who wants less than its share, by what it takes when alone, leaves the rest to
 * the others. Without such knowledge the share by weight.
 */
static double fair_share(const struct run_report *r, const struct compare_alone *alone, u32 i)
{
	double room = 100, weights = 0, fair = 0;
	bool is_done[RUN_REPORT_MACHINES] = {false}, moved = true;

	for (u32 k = 0; k < r->nmachines; k++)
		weights += r->machine[k].weight;
	while (moved) {
		moved = false;
		for (u32 k = 0; k < r->nmachines; k++) {
			double share = room * r->machine[k].weight / weights;
			if (is_done[k] || !alone->known || alone->cpu[k] > share * 0.999)
				continue;
			is_done[k] = moved = true;
			if (k == i)
				return alone->cpu[k];
			room -= alone->cpu[k];
			weights -= r->machine[k].weight;
		}
	}
	fair = room * r->machine[i].weight / weights;
	return fair > 100.0 / r->workers ? 100.0 / r->workers : fair;
}

static struct row row_of(const struct run_report *r, const struct compare_alone *alone, u32 i)
{
	const struct run_report_machine *m = &r->machine[i];
	struct row row = {0};

	for (u32 g = 0; g < RUN_REPORT_GUESTS; g++) {
		row.jobs += m->guest[g].jobs;
		row.misses += m->guest[g].misses;
		row.early += m->guest[g].early_misses;
		row.late_us = MAX(row.late_us, m->guest[g].late_us);
		row.work += m->guest[g].work;
		row.refusals += m->guest[g].refusals;
	}
	row.cpu = 100.0 * (double)m->ran_ns / ((double)r->ran_for_ns * r->workers);
	row.fair = fair_share(r, alone, i);
	return row;
}

static const char *enum_text(const char *name, u32 value)
{
	for (u32 i = 0; i < event_enum_count; i++)
		if (!strcmp(event_enums[i]->name, name) && event_enum_text(event_enums[i], value))
			return event_enum_text(event_enums[i], value);
	return "";
}

static const char *reason_text(u32 reason)
{
	return enum_text("reserve_reason", reason);
}

static double ms(u64 ns)
{
	return (double)ns / 1e6;
}

/* On what the inference rests. */
static void print_whys(const struct run_report_guest *g)
{
	bool first = true;

	for (u32 i = 0; i < RUN_REPORT_WHYS; i++) {
		const struct run_report_why *w = &g->why[i];
		if (!w->known)
			continue;
		printf("%s%s%s: %s (%u of %u, %u %%)", first ? "             " : "; ", w->holds ? "" : "not ",
		       enum_text("inference", i), enum_text("inference_reason", w->reason), w->agree, w->seen, w->confidence);
		first = false;
	}
	if (!first)
		printf("\n");
}

static void json_whys(const struct run_report_guest *g)
{
	bool first = true;

	printf(", \"why\": {");
	for (u32 i = 0; i < RUN_REPORT_WHYS; i++) {
		const struct run_report_why *w = &g->why[i];
		if (!w->known)
			continue;
		printf("%s\"%s\": {\"holds\": %s, \"reason\": \"%s\", \"seen\": %u, \"agree\": %u, \"confidence\": %u}",
		       first ? "" : ", ", enum_text("inference", i), w->holds ? "true" : "false",
		       enum_text("inference_reason", w->reason), w->seen, w->agree, w->confidence);
		first = false;
	}
	printf("}");
}

/* What was inferred of the real-time guests of @m, beside the truth; one line each. */
static void print_guests(const struct run_report_machine *m)
{
	for (u32 i = 0; i < RUN_REPORT_GUESTS; i++) {
		const struct run_report_guest *g = &m->guest[i];
		const struct run_report_part *part = &g->part[g->nparts ? g->nparts - 1 : 0];

		if (!g->nparts && !g->r_ns)
			continue;
		printf("           guest %u: work %.3f ms (true %.3f), Y %.3f ms (true %.3f), X %.3f, R %.3f ms %s", i,
		       ms(g->work_ns), ms(part->work_ns), ms(g->y_ns), ms(part->y_ns), ms(g->x_ns), ms(g->r_ns),
		       reason_text(g->reason));
		for (u32 k = 0; k < g->nparts; k++) {
			if (!g->part[k].y_ns)
				continue;
			printf(k ? ", " : "; within 10 %% after ");
			if (g->part[k].settled_ns)
				printf("%.0f ms", ms(g->part[k].settled_ns - g->part[k].from_ns));
			else
				printf("- ");
		}
		printf("\n");
		print_whys(g);
	}
}

void compare_print_text(const char *policy, const struct run_report *r, const struct compare_alone *alone)
{
	double seconds = (double)r->ran_for_ns / 1e9, idle = 100;

	printf("%-8s %-10s %7s %7s %7s %9s %7s %7s %9s %9s %8s\n", policy, "machine", "jobs", "missed", "settled",
	       "late us", "CPU %", "fair %", "switch/s", "gap ms", "refused");
	for (u32 i = 0; i < r->nmachines; i++) {
		const struct run_report_machine *m = &r->machine[i];
		const struct row row = row_of(r, alone, i);

		idle -= row.cpu;
		printf("%-8s %-10s %7lu %7lu %7lu %9lu %7.2f %7.2f %9.0f %9.2f %8u\n", "", m->name, row.jobs,
		       row.misses, row.misses - row.early, row.late_us, row.cpu, row.fair,
		       (double)m->switches / seconds, ms(m->longest_wait_ns), row.refusals);
		if (m->stopped_ns)
			printf("           it stopped at %.0f ms\n", ms(m->stopped_ns));
		print_guests(m);
	}
	printf("%-8s idle %.2f %%, %.2f s of the host's CPU\n\n", "", idle < 0 ? 0 : idle, (double)r->host_cpu_ns / 1e9);
}

void compare_print_alone_text(const struct run_report *r, const struct compare_alone *alone)
{
	printf("%-8s %-10s %7s %7s %7s\n", "alone", "machine", "jobs", "missed", "CPU %");
	for (u32 i = 0; i < r->nmachines; i++)
		printf("%-8s %-10s %7lu %7lu %7.2f\n", "", r->machine[i].name, alone->jobs[i], alone->misses[i],
		       alone->cpu[i]);
	printf("\n");
}

void compare_print_alone_json(const struct run_report *r, const struct compare_alone *alone)
{
	printf("\"alone\": [");
	for (u32 i = 0; i < r->nmachines; i++)
		printf("%s\n  {\"name\": \"%s\", \"jobs\": %lu, \"missed\": %lu, \"cpu_percent\": %.3f}", i ? "," : "",
		       r->machine[i].name, alone->jobs[i], alone->misses[i], alone->cpu[i]);
	printf("],\n");
}

static void json_parts(const struct run_report_guest *g)
{
	printf(", \"parts\": [");
	for (u32 k = 0; k < g->nparts; k++) {
		const struct run_report_part *p = &g->part[k];

		printf("%s{\"from_ns\": %lu, \"true_y_ns\": %lu, \"true_work_ns\": %lu, \"settled_after_ns\": ", k ? ", " : "",
		       p->from_ns, p->y_ns, p->work_ns);
		if (p->settled_ns)
			printf("%lu", p->settled_ns - p->from_ns);
		else
			printf("null");
		printf(", \"jobs\": %u, \"r_min_ns\": %lu, \"r_max_ns\": %lu, \"r_last_ns\": %lu, \"r_mean_ns\": %lu, "
		       "\"need_ns\": %lu}",
		       p->jobs, p->r_min_ns, p->r_max_ns, p->r_last_ns, p->jobs ? p->r_sum_ns / p->jobs : 0,
		       p->jobs ? p->c_sum_ns / p->jobs : 0);
	}
	printf("]");
}

static void json_guests(const struct run_report_machine *m)
{
	bool first = true;

	printf(", \"guests\": [");
	for (u32 i = 0; i < RUN_REPORT_GUESTS; i++) {
		const struct run_report_guest *g = &m->guest[i];

		if (!g->nparts && !g->reason && !g->jobs && !g->work)
			continue;
		printf("%s\n      {\"guest\": %u, \"jobs\": %u, \"missed\": %u, \"missed_settled\": %u, \"late_us\": %u, "
		       "\"last_miss_ns\": %lu, \"work\": %u, \"x_ns\": %lu, \"y_ns\": %lu, \"work_ns\": %lu, \"r_ns\": %lu, "
		       "\"reservation\": \"%s\", \"refusals\": %u",
		       first ? "" : ",", i, g->jobs, g->misses, g->misses - g->early_misses, g->late_us, g->last_miss_ns, g->work, g->x_ns,
		       g->y_ns, g->work_ns, g->r_ns, reason_text(g->reason), g->refusals);
		json_whys(g);
		json_parts(g);
		printf("}");
		first = false;
	}
	printf("]");
}

void compare_print_json(const char *policy, const struct run_report *r, const struct compare_alone *alone,
			bool first)
{
	printf("%s\n  {\"policy\": \"%s\", \"ran_for_ns\": %lu, \"workers\": %u, \"host_cpu_ns\": %lu, \"machines\": [",
	       first ? "" : ",", policy, r->ran_for_ns, r->workers, r->host_cpu_ns);
	for (u32 i = 0; i < r->nmachines; i++) {
		const struct run_report_machine *m = &r->machine[i];
		const struct row row = row_of(r, alone, i);

		printf("%s\n    {\"name\": \"%s\", \"weight\": %u, \"jobs\": %lu, \"missed\": %lu, \"missed_settled\": %lu, "
		       "\"late_us\": %lu, \"work\": %lu, \"cpu_percent\": %.3f, \"fair_percent\": %.3f, \"switches\": %lu, "
		       "\"longest_wait_ns\": %lu, \"refusals\": %u, \"stopped_ns\": %lu, \"delay_ns\": %lu, "
		       "\"moves\": %lu, \"far_moves\": %lu, \"tlb_misses\": %lu, "
		       "\"code_misses\": %lu",
		       i ? "," : "", m->name, m->weight, row.jobs, row.misses, row.misses - row.early, row.late_us,
		       row.work, row.cpu, row.fair, m->switches, m->longest_wait_ns, row.refusals, m->stopped_ns,
		       m->delay_ns, m->moves, m->far_moves, m->tlb_misses, m->code_misses);
		json_guests(m);
		printf("}");
	}
	printf("]}");
}
