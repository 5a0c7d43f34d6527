/* nestor sched-compare --json. */
#include <stdio.h>

#include "l0/cmd/sched_compare.h"

static void json_whys(const struct run_report_guest *g)
{
	bool first = true;

	printf(", \"why\": {");
	for (u32 i = 0; i < RUN_REPORT_WHYS; i++) {
		const struct run_report_why *w = &g->why[i];
		if (!w->known)
			continue;
		printf("%s\"%s\": {\"holds\": %s, \"reason\": \"%s\", \"seen\": %u, \"agree\": %u, "
		       "\"confidence\": %u}",
		       first ? "" : ", ", compare_enum_text("inference", i),
		       w->holds ? "true" : "false",
		       compare_enum_text("inference_reason", w->reason), w->seen, w->agree,
		       w->confidence);
		first = false;
	}
	printf("}");
}

void compare_json_alone(const struct run_report *r, const struct compare_alone *alone)
{
	printf("\"alone\": [");
	for (u32 i = 0; i < r->nmachines; i++) {
		const struct compare_row *row = &alone->row[i];

		printf("%s\n  {\"name\": \"%s\", \"jobs\": %lu, \"missed\": %lu, "
		       "\"missed_settled\": %lu, \"late_us\": %lu, "
		       "\"work\": %lu, \"cpu_percent\": %.3f, \"switches\": %lu, "
		       "\"longest_wait_ns\": %lu}",
		       i ? "," : "", r->machine[i].name, row->jobs, row->misses,
		       row->misses - row->early, row->late_us, row->work, row->cpu, row->switches,
		       row->gap_ns);
	}
	printf("],\n");
}

static void json_parts(const struct run_report_guest *g, u32 nphases)
{
	printf(", \"parts\": [");
	for (u32 k = 0; k < g->nparts; k++) {
		const struct run_report_part *p = &g->part[k];

		printf("%s{\"from_ns\": %lu, \"true_y_ns\": %lu, \"true_work_ns\": %lu, "
		       "\"settled_after_ns\": ",
		       k ? ", " : "", p->from_ns, p->y_ns, p->work_ns);
		if (p->settled_ns)
			printf("%lu", p->settled_ns - p->from_ns);
		else
			printf("null");
		printf(", \"jobs\": %u, \"r_min_ns\": %lu, \"r_max_ns\": %lu, \"r_last_ns\": %lu, "
		       "\"r_mean_ns\": %lu, "
		       "\"need_ns\": %lu, \"r_off_percent\": %.2f}",
		       p->jobs, p->r_min_ns, p->r_max_ns, p->r_last_ns,
		       p->jobs ? p->r_sum_ns / p->jobs : 0, p->jobs ? p->c_sum_ns / p->jobs : 0,
		       (double)p->r_off_ppm / nphases / 1e4);
	}
	printf("]");
}

static void json_guests(const struct run_report_machine *m, u32 nphases)
{
	bool first = true;

	printf(", \"guests\": [");
	for (u32 i = 0; i < RUN_REPORT_GUESTS; i++) {
		const struct run_report_guest *g = &m->guest[i];

		if (!g->nparts && !g->reason && !g->jobs && !g->work)
			continue;
		printf("%s\n      {\"guest\": %u, \"jobs\": %u, \"missed\": %u, "
		       "\"missed_settled\": %u, \"late_us\": %u, "
		       "\"last_miss_ns\": %lu, \"work\": %u, \"work_at_ns\": %lu, "
		       "\"x_ns\": %lu, \"y_ns\": %lu, "
		       "\"work_ns\": %lu, \"r_ns\": %lu, "
		       "\"reservation\": \"%s\", \"refusals\": %u",
		       first ? "" : ",", i, g->jobs, g->misses, g->misses - g->early_misses,
		       g->late_us, g->last_miss_ns, g->work, g->work_at_ns, g->x_ns, g->y_ns,
		       g->work_ns, g->r_ns, compare_enum_text("reserve_reason", g->reason),
		       g->refusals);
		json_whys(g);
		json_parts(g, nphases);
		printf("}");
		first = false;
	}
	printf("]");
}

/* Counts of each phase of machine @i. */
static void json_phases(const struct compare_phases *phases, u32 i)
{
	printf(", \"phases\": [");
	for (u32 k = 0; k < phases->n; k++)
		printf("%s{\"jobs\": %lu, \"missed\": %lu, \"missed_settled\": %lu}", k ? ", " : "",
		       phases->of[k][i].jobs, phases->of[k][i].misses,
		       phases->of[k][i].misses - phases->of[k][i].early);
	printf("]");
}

void compare_json_policy(const char *policy, const struct run_report *r,
			 const struct compare_phases *phases, const struct compare_alone *alone,
			 bool first)
{
	printf("%s\n  {\"policy\": \"%s\", \"ran_for_ns\": %lu, \"workers\": %u, \"host_cpu_ns\": "
	       "%lu, \"machines\": [",
	       first ? "" : ",", policy, r->ran_for_ns, r->workers, r->host_cpu_ns);
	for (u32 i = 0; i < r->nmachines; i++) {
		const struct run_report_machine *m = &r->machine[i];
		const struct compare_row row = compare_row_of(r, alone, i);

		printf("%s\n    {\"name\": \"%s\", \"weight\": %u, \"jobs\": %lu, \"missed\": %lu, "
		       "\"missed_settled\": %lu, "
		       "\"late_us\": %lu, \"work\": %lu, \"cpu_percent\": %.3f, \"fair_percent\": "
		       "%.3f, \"switches\": %lu, "
		       "\"longest_wait_ns\": %lu, \"refusals\": %u, \"stopped_ns\": %lu, "
		       "\"delay_ns\": %lu, "
		       "\"charged_ns\": {\"switches\": %lu, \"exits\": %lu}, "
		       "\"stays\": %lu, \"moves\": %lu, \"far_moves\": %lu, \"tlb_misses\": %lu, "
		       "\"code_misses\": %lu",
		       i ? "," : "", m->name, m->weight, row.jobs, row.misses,
		       row.misses - row.early, row.late_us, row.work, row.cpu, row.fair,
		       m->switches, m->longest_wait_ns, row.refusals, m->stopped_ns, m->delay_ns,
		       m->charged_switch_ns, m->charged_exit_ns, m->stays, m->moves, m->far_moves,
		       m->tlb_misses, m->code_misses);
		json_phases(phases, i);
		json_guests(m, phases->n);
		printf("}");
	}
	printf("]}");
}
