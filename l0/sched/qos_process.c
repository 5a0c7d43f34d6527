/*
 * Real-time processes inside a guest that does not rest, whose own scheduler takes them away and
 * brings them back (round robin, say), so that the guest's vCPU as a whole shows neither period nor
 * end.
 *
 * A process begins a job when an interrupt brings it in that has none: it runs first after it.
 * Times of its arrivals are those of interrupts that the guest got at once, so that the grid is
 * that of its jobs, not of the slices of whoever runs the guest. It ends when the process goes
 * without another interrupt since it came. Who always has to be taken away never ends: batch.
 *
 * Where one of the guest's processes is a fence, all jobs of the others end when it comes in, and
 * who comes in before it has a job, whoever brings it in (qos_evidence.c).
 *
 * A guest with turns that gets the processor in slices only is always behind, and then its
 * real-time process never ends either. So it is observed: a row of LOOKS tenths of a second in
 * which it gets its share in one piece, its jobs ending and beginning on time; then a pause that
 * doubles each time.
 */
#include "l0/sched/qos.h"

#define LOOKS 20u
#define PAUSE 100u
#define PAUSE_MAX 3200u
#define LOOK_NS (100 * NS_PER_MS)

#define JOBS_FOR_ENTITY 3u
#define PUNCTUAL_NS (200 * NS_PER_US)

static struct qos_process *lookup(struct qos_vp *v, u32 owner, u32 id)
{
	for (u32 i = 0; i < QOS_PROCESSES; i++)
		if (v->process[i].id == id && v->process[i].owner == owner)
			return &v->process[i];
	return NULL;
}

/* Room for one more: a free place, or that of the one that came in longest ago. */
static struct qos_process *create(struct qos_vp *v, u32 owner, u32 id)
{
	struct qos_process *p = &v->process[0];

	for (u32 i = 1; i < QOS_PROCESSES && p->used_ns; i++)
		if (v->process[i].used_ns < p->used_ns)
			p = &v->process[i];
	*p = (struct qos_process){.owner = owner, .id = id};
	return p;
}

static s32 finished(struct sched *s, struct qos_vp *v, struct qos_entity *x, struct qos_process *p,
		    u64 now_ns)
{
	struct qos_entity *e = qos_entity_lookup(v, p->owner, p->id);

	p->open = false;
	if (e) {
		e->own_ns = p->own_ns;
		e->goes = true;
		s32 worker = qos_job_finished(s, v, e, now_ns);
		x->has_process = x->has_fence || (e->rt.is_rt && e->period.y_ns);
		return worker;
	}
	if (p->finished < JOBS_FOR_ENTITY && ++p->finished == JOBS_FOR_ENTITY && !x->rt.is_rt)
		qos_entity_get(v, p->owner, p->id);
	return -1;
}

static void begins(struct sched *s, struct qos_vp *v, const struct qos_entity *x,
		   struct qos_process *p, u64 now_ns)
{
	struct qos_entity *e = qos_entity_lookup(v, p->owner, p->id);

	p->open = true;
	p->own_ns = 0;
	p->due_ns = x->job_due_ns;
	if (e && x->claim_ns - x->job_due_ns <= PUNCTUAL_NS)
		qos_job_begins(s, v, e, x->job_due_ns, x->job_cpu_ns, now_ns);
}

s32 qos_process_switch(struct sched *s, struct qos_vp *v, struct qos_entity *x, u32 prev, u32 next,
		       u64 now_ns)
{
	struct qos_process *p = lookup(v, x->id, prev), *n = lookup(v, x->id, next);
	bool by_interrupt = x->interrupted;
	s32 worker = -1;

	x->interrupted = false;
	x->n_turns += by_interrupt && p && p->open;
	if (p)
		p->is_in = false;
	if (p && p->open) {
		p->own_ns += x->guest_ns - p->in_ns;
		if (!by_interrupt)
			worker = finished(s, v, x, p, now_ns);
	}
	/* with a fence everything up to it is real-time work, whoever brings it in */
	bool is_job = x->has_fence ? next != x->fence && !x->fence_ran : by_interrupt;
	if (!n && is_job)
		n = create(v, x->id, next);
	if (x->has_fence)
		qos_fenced(s, v, x, next);
	if (!n)
		return worker;
	n->is_in = true;
	n->in_ns = x->guest_ns;
	n->used_ns = now_ns;
	if (is_job && !n->open && (!x->has_fence || n->due_ns != x->job_due_ns))
		begins(s, v, x, n, now_ns);
	return worker;
}

void qos_process_refresh(struct qos_vp *v, struct qos_entity *x, u64 now_ns)
{
	x->takes_turns = x->n_turns >= QOS_TURNS;
	x->n_turns = 0;
	if (!x->takes_turns || x->rt.is_rt || x->has_process) {
		x->looks = 0;
		return;
	}
	if (x->pause) {
		x->pause--;
		return;
	}
	if (x->looks++ % LOOKS == LOOKS - 1)
		x->pause = (u16)MIN(PAUSE << MIN(x->looks / LOOKS - 1, 5u), PAUSE_MAX);
	v->observed.active = true;
	v->observed.deadline_ns = now_ns + LOOK_NS;
	v->observed.end_cpu_ns = qos_cpu(v->e, now_ns) + LOOK_NS * v->share_ppm / PPM;
}

s32 qos_process_rest(struct sched *s, struct qos_vp *v, const struct qos_entity *x, u64 now_ns)
{
	s32 worker = -1;

	for (u32 i = 0; i < QOS_PROCESSES; i++) {
		struct qos_process *p = &v->process[i];
		if (!p->used_ns || p->owner != x->id || !p->open)
			continue;
		struct qos_entity *e = qos_entity_lookup(v, p->owner, p->id);
		p->open = false;
		if (e) {
			e->own_ns = p->own_ns + (p->is_in ? x->guest_ns - p->in_ns : 0);
			worker = qos_job_finished(s, v, e, now_ns);
		}
	}
	return worker;
}
