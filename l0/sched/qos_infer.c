#include "l0/arch/events.h"
#include "l0/arch/vmexit.h"
#include "l0/sched/qos.h"

/* --- who is it about --- */

struct qos_entity *qos_entity_lookup(struct qos_vp *v, u32 id, u32 process)
{
	if (v->last && v->last->id == id && v->last->process == process)
		return v->last;
	for (u32 i = 0; i < v->n_entities; i++)
		if (v->entity[i].id == id && v->entity[i].process == process)
			return v->last = &v->entity[i];
	return NULL;
}

static struct qos_entity *entity_lookup(struct qos_vp *v, u32 id)
{
	return qos_entity_lookup(v, id, EVENT_NO_ID);
}

struct qos_entity *qos_entity_get(struct qos_vp *v, u32 id, u32 process)
{
	struct qos_entity *x = qos_entity_lookup(v, id, process), *old = &v->entity[0];

	if (x)
		return x;
	if (v->n_entities < QOS_ENTITIES)
		old = &v->entity[v->n_entities++];
	for (u32 i = 0; i < v->n_entities && old->id != EVENT_NO_ID; i++)
		if (v->entity[i].claim_ns < old->claim_ns)
			old = &v->entity[i];
	*old = (struct qos_entity){.id = id, .process = process};
	return v->last = old;
}

static struct qos_entity *entity_get(struct qos_vp *v, u32 id)
{
	return qos_entity_get(v, id, EVENT_NO_ID);
}

/* A processor by its own number or by that of the guest vCPU that it entered last. */
static struct qos_vp *vp_lookup(struct sched *s, const struct transition *t)
{
	struct sched_vp *running = t->worker < s->workers ? s->running[t->worker] : NULL;
	struct qos *q = s->policy_data;
	struct qos_vp *v;

	if (running && (running->vcpu_id == t->vcpu_id || qos_of(running)->inside == t->vcpu_id))
		return qos_of(running);
	list_for_each (v, qos_machine(q, t->vcpu_id), peers)
		if (v->e->vcpu_id == t->vcpu_id || v->inside == t->vcpu_id)
			return v;
	return NULL;
}

static struct qos_vp *vp_running(struct sched *s, const struct transition *t)
{
	struct sched_vp *e = t->worker < s->workers ? s->running[t->worker] : NULL;

	return e ? qos_of(e) : NULL;
}

/* --- arrivals --- */

static bool is_periodic_source(u64 source)
{
	return source != INTR_SOURCE_IPI && source != INTR_SOURCE_NMI;
}

/* An interrupt of @v is due: remember it for the entity that will claim it, and start
 * reservations. */
static s32 arrival_due(struct sched *s, struct qos_vp *v, u64 due_ns, u64 now_ns)
{
	struct qos_arrival *a = &v->arrival[v->n_arrivals++ % QOS_ARRIVALS];
	u64 cpu_ns = qos_cpu(v->e, now_ns);
	bool activated = false;

	*a = (struct qos_arrival){.due_ns = due_ns, .cpu_ns = cpu_ns, .serial = v->n_arrivals};
	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *x = &v->entity[i];
		if (!x->r_ns || !period_expects(&x->period, due_ns))
			continue;
		if (!activated)
			qos_count_tokens(v, now_ns, cpu_ns);
		qos_activate(v, x, due_ns, cpu_ns);
		activated = true;
	}
	if (v->e->state != SCHED_RUNNING) {
		qos_count_tokens(v, now_ns, cpu_ns);
		activated |= qos_serve(v, due_ns, cpu_ns);
	}
	if (activated)
		qos_count_tokens(v, now_ns, cpu_ns);
	/* Its slice is another one's: this may end sooner, and others come between then. */
	if (activated && v->e->state == SCHED_RUNNING)
		return v->e->worker;
	if (!activated || v->e->state != SCHED_READY)
		return -1;
	qos_requeue(s, v->e, now_ns);
	return sched_worker_for(s, v->e, now_ns);
}

/* Which arrival does @x take? One on its grid if there is, else the newest; NULL: all are taken. */
static const struct qos_arrival *arrival_for(const struct qos_vp *v, const struct qos_entity *x)
{
	const struct qos_arrival *newest = NULL;

	for (u32 i = 0; i < QOS_ARRIVALS; i++) {
		const struct qos_arrival *a = &v->arrival[i];
		if (a->serial <= x->claimed)
			continue;
		if (period_expects(&x->period, a->due_ns) &&
		    (!newest || a->due_ns > newest->due_ns ||
		     !period_expects(&x->period, newest->due_ns)))
			newest = a;
		else if (!newest || (a->serial > newest->serial &&
				     !period_expects(&x->period, newest->due_ns)))
			newest = a;
	}
	return newest;
}

/* --- jobs --- */

/* The next arrival finds the job open. */
static void job_unfinished(struct sched *s, const struct qos_vp *v, struct qos_entity *x,
			   u64 cpu_ns)
{
	u64 used = cpu_ns - x->job_cpu_ns, budget;
	bool used_up = x->awaited ? x->open_used_up : x->used_up;

	/* Nothing is learnt from a job that did not get what was reserved for it. */
	if (!x->r_ns || used_up)
		qos_judge_job(s, v, x, false);
	if (used_up && x->rt.is_rt && !x->declared_y_ns)
		budget_unfinished(&x->budget, used, x->period.y_ns);
	if (!x->rt.is_rt && x->period.y_ns && !x->takes_turns)
		realtime_trial(&x->rt, used, x->period.y_ns, &budget);
	x->job_late = true;
}

/* The job that was due at @due_ns is open, and the next arrival is on the grid. */
static void tell_miss(struct sched *s, const struct qos_vp *v, const struct qos_entity *x,
		      u64 due_ns, u64 used_ns)
{
	sched_tell(s, &(struct sched_note){.kind = TRANSITION_deadline_miss,
					   .vcpu_id = v->e->vcpu_id,
					   .deadline_miss = {.entity = x->id,
							     .due_ns = due_ns,
							     .next_due_ns = x->job_due_ns,
							     .period_ns = x->period.y_ns,
							     .used_ns = used_ns}});
}

/* The period is declared; its phase is that of the arrivals. */
static enum period_match declared_arrival(struct qos_entity *x, u64 due_ns)
{
	struct period *p = &x->period;
	bool is_new = !p->y_ns;

	p->y_ns = x->declared_y_ns;
	p->y_frac = 0;
	p->anchor_ns = p->last_ns = due_ns;
	p->confidence = PERIOD_SURE;
	return is_new ? PERIOD_LOCKED : PERIOD_ON_GRID;
}

void qos_job_begins(struct sched *s, struct qos_vp *v, struct qos_entity *x, u64 due_ns, u64 cpu_ns,
		    u64 now_ns)
{
	u64 cpu_now_ns = qos_cpu(v->e, now_ns);
	u64 open_due_ns = x->job_due_ns, open_used_ns = cpu_now_ns - x->job_cpu_ns;
	bool is_miss = x->job_open && x->rt.is_rt;

	if (x->job_open && !x->has_process)
		job_unfinished(s, v, x, cpu_now_ns);
	x->job_open = true;
	x->job_due_ns = due_ns;
	x->job_cpu_ns = cpu_ns;
	x->shared_ns = 0;
	x->own_ns = 0;
	x->claim_ns = now_ns;
	x->awaited = false;
	enum period_match match =
		x->declared_y_ns ? declared_arrival(x, due_ns) : period_arrival(&x->period, due_ns);
	qos_tell_period(s, v, x, false);
	if (is_miss && match == PERIOD_ON_GRID)
		tell_miss(s, v, x, open_due_ns, open_used_ns);
	if (match == PERIOD_LOCKED || (x->rt.trial && !x->r_ns))
		qos_resize(s, v, x);
}

/* @x gets an interrupt: its next job begins. */
static void claim(struct sched *s, struct qos_vp *v, struct qos_entity *x, u64 now_ns)
{
	const struct qos_arrival *a = arrival_for(v, x);

	x->has_switched = false;
	x->was_interrupted = x->interrupted = true;
	qos_got_interrupt(s, v, x);
	qos_job_begins(s, v, x, a ? a->due_ns : now_ns, a ? a->cpu_ns : qos_cpu(v->e, now_ns),
		       now_ns);
	if (a)
		x->claimed = a->serial;
}

/*
 * Reservations of one processor run down together, so a job inside another one is paid for once: by
 * itself. What is left of the outer one is what that entity adds to its siblings.
 */
static void share_job(struct qos_vp *v, struct qos_entity *x, u64 cpu_ns)
{
	u64 c_ns = cpu_ns - x->job_cpu_ns;
	u64 alone_ns = c_ns - MIN(x->shared_ns, c_ns);

	x->alone_ns = x->alone_ns ? (7 * x->alone_ns + alone_ns) / 8 : alone_ns;
	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *o = &v->entity[i];
		if (o->id == EVENT_NO_ID || o == x || !o->job_open)
			continue;
		o->shared_ns += o->job_cpu_ns <= x->job_cpu_ns ? alone_ns : cpu_ns - o->job_cpu_ns;
		o->shared_ns = MIN(o->shared_ns, cpu_ns - o->job_cpu_ns);
	}
}

s32 qos_job_finished(struct sched *s, struct qos_vp *v, struct qos_entity *x, u64 now_ns)
{
	struct qos *q = s->policy_data;
	u64 cpu_ns = qos_cpu(v->e, now_ns);
	bool had_server = x->active, winds_down;

	if (!x->job_open)
		return -1;
	x->job_open = false;
	if (had_server)
		qos_deactivate(x, cpu_ns);
	qos_judge_job(s, v, x, true);
	share_job(v, x, cpu_ns);
	if (!x->job_late) {
		if (!x->declared_y_ns)
			budget_finished(&x->budget, cpu_ns - x->job_cpu_ns,
					x->period.y_ns ? x->period.y_ns : PERIOD_MAX_NS);
		x->work_ns = x->work_ns ? (3 * x->work_ns + x->own_ns) / 4 : x->own_ns;
	}
	x->job_late = false;
	qos_resize(s, v, x);
	if (unlikely(s->wants_samples))
		qos_sample(s, v, x);
	winds_down = had_server && v->rests && x->r_ns && cpu_ns < x->end_cpu_ns;
	if (winds_down)
		qos_wind_down(x, cpu_ns);
	if (had_server) {
		v->rests &= !v->has_ended;
		v->has_ended = true;
		v->ended_cpu_ns = cpu_ns;
	}
	qos_count_tokens(v, now_ns, cpu_ns);
	if (winds_down) /* its slice was longer */
		return v->e->worker;
	/* What is left of the reservation is everybody's again. */
	const struct sched_vp *next =
		runq_first(&q->edf) ? runq_first(&q->edf) : runq_first(&q->fair.queue);
	return had_server && next ? sched_worker_for(s, next, now_ns) : -1;
}

/* --- the feed --- */

/* A guest of @v gets an interrupt. What looked like work of its VMM itself was the way there. */
static void guest_claims(struct sched *s, struct qos_vp *v, const struct transition *t)
{
	struct qos_entity *own = v->has_guests ? NULL : entity_lookup(v, v->e->vcpu_id);

	v->has_guests = true;
	if (own) {
		own->job_open = false;
		period_drop(&own->period);
		own->rt = (struct realtime){0};
		qos_resize(s, v, own);
	}
	claim(s, v, entity_get(v, t->vcpu_id), t->vtime_ns);
}

static s32 on_entry(struct sched *s, const struct transition *t)
{
	u64 info = transition_payload(t, vm_entry)->intr_info;
	struct qos_vp *v = vp_running(s, t);

	if (v) {
		v->inside = t->vcpu_id;
		v->entered_cpu_ns = qos_cpu(v->e, t->vtime_ns);
		qos_entered(s, v, entity_lookup(v, t->vcpu_id), t->vcpu_id);
	}
	if (v)
		v->entry_injects = info & INTR_INFO_VALID;
	if (likely(!(info & INTR_INFO_VALID)) ||
	    (info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT != INTR_KIND_EXTERNAL)
		return -1;
	if (v)
		guest_claims(s, v, t);
	return -1;
}

/* @x has run up to @cpu_ns of its processor, if it is what was entered last. */
static void note_guest_time(struct qos_vp *v, struct qos_entity *x, u64 cpu_ns)
{
	if (!x || v->entered_cpu_ns > cpu_ns)
		return;
	x->own_ns += cpu_ns - v->entered_cpu_ns;
	x->guest_ns += cpu_ns - v->entered_cpu_ns;
}

/* @x has nothing to do. */
static s32 at_rest(struct sched *s, struct qos_vp *v, struct qos_entity *x, u64 now_ns)
{
	x->goes = false;
	s32 worker = qos_process_rest(s, v, x, now_ns), other = qos_job_finished(s, v, x, now_ns);

	return other >= 0 ? other : worker;
}

static s32 on_exit(struct sched *s, const struct transition *t)
{
	const struct ev_vm_exit *x = transition_payload(t, vm_exit);
	struct qos_vp *v;

	if (t->level < 2 || !(v = vp_running(s, t)))
		return -1;
	struct qos_entity *e = entity_lookup(v, t->vcpu_id);
	u64 cpu_ns = qos_cpu(v->e, t->vtime_ns);
	note_guest_time(v, e, cpu_ns);
	v->entered_cpu_ns = x->reflected ? ~0ull : cpu_ns;
	if (x->exit_reason == EXIT_REASON_EXTERNAL_INTERRUPT && x->reflected)
		qos_interrupt_came(v);
	if (likely(x->exit_reason != EXIT_REASON_HLT && x->exit_reason != EXIT_REASON_MWAIT))
		return -1;
	return e ? at_rest(s, v, e, t->vtime_ns) : -1;
}

/*
 * A machine without guests of its own: its processor is the entity. A guest that gets an interrupt
 * without a VM
 * entry that brings it: virtual-interrupt delivery, as Linux' KVM uses it.
 */
static s32 on_injected(struct sched *s, const struct transition *t)
{
	struct qos_vp *v = vp_running(s, t);

	if (!v || transition_payload(t, intr_injected)->kind != INTR_KIND_EXTERNAL)
		return -1;
	if (t->level == 1 && !v->has_guests)
		claim(s, v, entity_get(v, v->e->vcpu_id), t->vtime_ns);
	else if (t->level >= 2 && !v->entry_injects)
		guest_claims(s, v, t);
	v->entry_injects = false;
	return -1;
}

static s32 on_halt(struct sched *s, const struct transition *t)
{
	struct qos_vp *v = vp_running(s, t);
	struct qos_entity *x = v ? entity_lookup(v, t->vcpu_id) : NULL;

	if (v && t->level == 1) {
		qos_at_rest(v, qos_cpu(v->e, t->vtime_ns));
		qos_interrupt_came(v); /* what ends the rest of its VMM */
	}
	return x ? at_rest(s, v, x, t->vtime_ns) : -1;
}

/* It has nothing to do, but neither HLT nor MWAIT says so. */
static s32 on_idle(struct sched *s, const struct transition *t)
{
	const struct ev_idle *i = transition_payload(t, idle);
	struct qos_vp *v = t->level >= 2 && i->cause >= IDLE_PAUSE ? vp_running(s, t) : NULL;
	struct qos_entity *x = v ? entity_lookup(v, t->vcpu_id) : NULL;

	return x ? at_rest(s, v, x, t->vtime_ns) : -1;
}

static s32 on_fence(struct sched *s, const struct transition *t)
{
	struct qos_vp *v = vp_running(s, t);

	return v ? qos_fence(s, v, t->vcpu_id, (u32)transition_payload(t, fence)->process,
			     t->vtime_ns)
		 : -1;
}

/*
 * A guest that never halts may hold a real-time process beside others. The interrupt brings it in
 * (CR3),
 * and it is done when it goes without another interrupt since it came: taken away is not finished.
 */
static s32 on_process(struct sched *s, const struct transition *t)
{
	const struct ev_process_switch *p = transition_payload(t, process_switch);
	struct qos_vp *v = t->level >= 2 ? vp_running(s, t) : NULL;
	struct qos_entity *x = v ? entity_lookup(v, t->vcpu_id) : NULL;

	if (!x)
		return -1;
	u64 now_ns = t->vtime_ns, cpu_ns = qos_cpu(v->e, now_ns);
	note_guest_time(v, x, cpu_ns);
	if (v->entered_cpu_ns <= cpu_ns)
		v->entered_cpu_ns = cpu_ns;
	s32 worker = qos_process_switch(s, v, x, (u32)p->prev, (u32)p->next, now_ns);
	if (!x->job_open || x->has_process || x->takes_turns || x->n_turns >= QOS_TURNS / 2)
		return worker;
	x->goes = true;
	if (x->has_switched && !x->was_interrupted)
		return qos_job_finished(s, v, x, now_ns);
	x->has_switched = true;
	x->was_interrupted = false;
	return worker;
}

static s32 on_due(struct sched *s, const struct transition *t)
{
	const struct ev_intr_due *d = transition_payload(t, intr_due);
	struct qos_vp *v = is_periodic_source(d->source) ? vp_lookup(s, t) : NULL;

	return v ? arrival_due(s, v, d->due_ns, t->vtime_ns) : -1;
}

s32 qos_transition(struct sched *s, const struct transition *t)
{
	switch (t->kind) {
	case TRANSITION_vm_entry: return on_entry(s, t);
	case TRANSITION_vm_exit: return on_exit(s, t);
	case TRANSITION_intr_due: return on_due(s, t);
	case TRANSITION_intr_injected: return on_injected(s, t);
	case TRANSITION_process_switch: return on_process(s, t);
	case TRANSITION_halt: return on_halt(s, t);
	case TRANSITION_idle: return on_idle(s, t);
	case TRANSITION_fence: return on_fence(s, t);
	default: return -1;
	}
}
