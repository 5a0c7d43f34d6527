#include "l0/host_report.h"

#include <stdio.h>
#include <time.h>

#include "l0/arch/ports.h"
#include "l0/cmd/run_report.h"
#include "l0/host.h"

static u64 process_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (u64)t.tv_sec * NS_PER_SEC + (u64)t.tv_nsec;
}

void host_report_start(struct host *h)
{
	struct run_report *r = h->opts->report;

	if (!r)
		return;
	r->workers = h->nworkers;
	r->host_cpu_ns = process_cpu_ns();
	r->nmachines = h->nmachines;
	h->sched.wants_samples = true;
	for (u32 i = 0; i < h->nmachines; i++) {
		const struct machine_desc *d = h->machine[i]->desc;
		snprintf(r->machine[i].name, sizeof(r->machine[i].name), "%s", d->name);
		r->machine[i].weight = d->weight ? d->weight : SCHED_WEIGHT_DEFAULT;
	}
}

void host_report_deadline(struct machine *m, u32 value)
{
	struct run_report_guest *g =
		&m->host->opts->report->machine[m->id]
			 .guest[value >> DEADLINE_GUEST_SHIFT & DEADLINE_GUEST_MASK];
	u32 count = value >> DEADLINE_COUNT_SHIFT;

	switch (value >> DEADLINE_KIND_SHIFT & DEADLINE_KIND_MASK) {
	case DEADLINE_KIND_MISSES:
		if (count > g->misses)
			g->last_miss_ns = worker_now(worker_self);
		g->misses = count;
		if (worker_now(worker_self) < RUN_REPORT_SETTLED_NS)
			g->early_misses = count;
		break;
	case DEADLINE_KIND_JOBS: g->jobs = count; break;
	case DEADLINE_KIND_LATE_US: g->late_us = count; break;
	case DEADLINE_KIND_WORK:
		g->work = count;
		g->work_at_ns = worker_now(worker_self);
		break;
	default: break;
	}
}

static bool is_near(u64 got, u64 want)
{
	u64 error = got > want ? got - want : want - got;

	return error <= want / 10;
}

/*
 * A job of @g ended at @now_ns, for which was reserved what @n says: how far are the estimates, of
 * the guest's own work @work_ns, from the truth?
 */
static void judge_estimate(struct run_report_guest *g, const struct ev_sched_reserve *n,
			   u64 work_ns, u64 now_ns)
{
	struct run_report_part *part = NULL;

	for (u32 i = 0; i < g->nparts && g->part[i].from_ns <= now_ns; i++)
		part = &g->part[i];
	if (!part || !part->y_ns)
		return;
	if (!is_near(n->period_ns, part->y_ns) || !is_near(work_ns, part->work_ns))
		part->row = 0;
	else if (part->row++ == 0)
		part->row_ns = now_ns;
	if (!part->settled_ns && part->row == RUN_REPORT_ROW)
		part->settled_ns = part->row_ns;
	if (now_ns < part->from_ns + RUN_REPORT_PERIODS * part->y_ns ||
	    (!part->from_ns && now_ns < RUN_REPORT_SETTLED_NS))
		return;
	part->r_min_ns = part->jobs ? MIN(part->r_min_ns, n->budget_ns) : n->budget_ns;
	part->r_max_ns = MAX(part->r_max_ns, n->budget_ns);
	part->r_last_ns = n->budget_ns;
	part->r_sum_ns += n->budget_ns;
	part->c_sum_ns += n->job_ns;
	part->jobs++;
}

/* The guest of processor @vcpu_id that is @entity; NULL: not one that is counted. */
static struct run_report_guest *guest_of(struct host *h, u32 vcpu_id, u64 entity)
{
	u32 machine = vcpu_id >> 16, guest = entity & 0xffff;

	if (machine >= h->nmachines || guest >= RUN_REPORT_GUESTS || !(entity & EVENT_ID_TRACKED))
		return NULL;
	return &h->opts->report->machine[machine].guest[guest];
}

static void count_inferred(struct host *h, u32 vcpu_id, const struct ev_inferred *n)
{
	struct run_report_guest *g = guest_of(h, vcpu_id, n->entity);

	if (g && n->what < RUN_REPORT_WHYS)
		g->why[n->what] = (struct run_report_why){.known = true,
							  .holds = n->holds,
							  .reason = (u32)n->reason,
							  .seen = (u32)n->seen,
							  .agree = (u32)n->agree,
							  .confidence = (u32)n->confidence};
}

static void count_reserve(struct host *h, const struct sched_note *note)
{
	const struct ev_sched_reserve *n = &note->sched_reserve;
	struct run_report_guest *g = guest_of(h, note->vcpu_id, n->entity);

	if (!g)
		return;
	g->r_ns = n->budget_ns;
	g->x_ns = n->estimate_ns;
	g->y_ns = n->period_ns;
	g->work_ns = note->work_ns;
	if (note->is_sample) {
		judge_estimate(g, n, note->work_ns, worker_now(worker_self));
		return;
	}
	g->reason = (u32)n->reason;
	g->refusals += n->reason == RESERVE_REFUSED_SHARE || n->reason == RESERVE_REFUSED_SIBLINGS;
}

void host_report_note(struct host *h, const struct sched_note *note)
{
	if (note->kind == TRANSITION_inferred)
		count_inferred(h, note->vcpu_id, &note->inferred);
	else if (note->kind == TRANSITION_sched_reserve)
		count_reserve(h, note);
}

void host_report_finish(struct host *h)
{
	struct run_report *r = h->opts->report;

	if (!r)
		return;
	r->host_cpu_ns = process_cpu_ns() - r->host_cpu_ns;
	for (u32 i = 0; i < h->nworkers; i++)
		r->ran_for_ns = MAX(r->ran_for_ns, worker_now(&h->worker[i]));
	for (u32 i = 0; i < h->nmachines; i++)
		for (u32 v = 0; v < h->machine[i]->nvcpus; v++) {
			const struct sched_vp *e = &h->machine[i]->vcpu[v].sched;
			const struct state_count count = state_read(&e->probe);
			r->machine[i].tlb_misses += count.tlb;
			r->machine[i].code_misses += count.code;
			r->machine[i].ran_ns += e->ran_ns;
			r->machine[i].waited_ns += e->waited_ns;
			r->machine[i].delay_ns += e->delay_ns;
			r->machine[i].stays += e->n_moves[TOPOLOGY_SAME];
			for (u32 d = TOPOLOGY_SIBLING; d < TOPOLOGY_DISTANCES; d++)
				r->machine[i].moves += e->n_moves[d];
			r->machine[i].far_moves += e->n_moves[TOPOLOGY_NODE];
			r->machine[i].switches += e->n_switches;
			r->machine[i].charged_switch_ns += h->machine[i]->vcpu[v].charged_switch_ns;
			r->machine[i].charged_exit_ns += h->machine[i]->vcpu[v].charged_exit_ns;
			r->machine[i].longest_wait_ns =
				MAX(r->machine[i].longest_wait_ns, e->longest_wait_ns);
		}
}
