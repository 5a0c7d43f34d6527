/*
 * Who is real-time (mechanism B3), beside the jobs that end: who runs first after interrupts, seen
 * over time; and exactly, where the host's owner has put a fence: a helper of low priority, before
 * which everything real-time runs. What is inferred is told with its reason and how sure it is.
 *
 * First after interrupts is a hint for those who look, and no more: a child with plain round robin
 * goes on with whom it has. The fence decides.
 */
#include "l0/arch/events.h"
#include "l0/sched/qos.h"

#define KEPT 16u
#define FIRST_ON 12u /* of 16 */
#define FIRST_OFF 6u
#define FENCES_NEEDED 4u
#define TELL_STEP 25u

static u16 count(u16 bits)
{
	return (u16)__builtin_popcount(bits);
}

static void note(u16 *bits, u16 *n, bool yes)
{
	*bits = (u16)(*bits << 1 | yes);
	if (*n < KEPT)
		++*n;
}

static void tell(struct sched *s, const struct qos_vp *v, const struct qos_entity *x, u32 what,
		 u32 why, bool holds, u32 seen, u32 agree, u32 confidence)
{
	sched_tell(s, &(struct sched_note){.kind = TRANSITION_inferred,
					   .vcpu_id = v->e->vcpu_id,
					   .inferred = {.entity = x->id,
							.process = x->process,
							.what = what,
							.reason = why,
							.holds = holds,
							.period_ns = x->period.y_ns,
							.confidence = confidence,
							.seen = seen,
							.agree = agree}});
}

static u32 percent(u32 part, u32 whole)
{
	return whole ? 100 * part / whole : 0;
}

/* --- the fence --- */

static void judge_fence(struct sched *s, const struct qos_vp *v, struct qos_entity *x)
{
	u16 agree = count(x->fences);
	bool is_rt = 2 * agree >= x->n_fences;

	if (x->declared_y_ns || x->n_fences < FENCES_NEEDED ||
	    (x->n_fences > FENCES_NEEDED && is_rt == x->rt.is_rt))
		return;
	x->rt.is_rt = is_rt;
	x->rt.trial = 0;
	if (!is_rt)
		agree = (u16)(x->n_fences - agree);
	tell(s, v, x, INFER_REALTIME, is_rt ? INFER_BEFORE_FENCE : INFER_BEHIND_FENCE, is_rt,
	     x->n_fences, agree, percent(agree, x->n_fences));
}

/* An interrupt came to @x, whose processes have a fence. An open job goes on. */
static void fence_is_due(struct qos_vp *v, struct qos_entity *x)
{
	x->fence_ran = false;
	for (u32 i = 0; i < v->n_entities; i++)
		if (v->entity[i].id == x->id && v->entity[i].process != EVENT_NO_ID)
			v->entity[i].ran = v->entity[i].job_open;
}

void qos_fenced(struct sched *s, struct qos_vp *v, struct qos_entity *x, u32 process)
{
	u32 owner = x->id;
	bool is_behind = x->fence_ran;

	if (process == x->fence)
		return;
	/* who comes before it is looked at from now on; who comes behind it, if he was */
	struct qos_entity *e = is_behind ? qos_entity_lookup(v, owner, process)
					 : qos_entity_get(v, owner, process);
	if (!e)
		return;
	if (is_behind && !e->ran) {
		note(&e->fences, &e->n_fences, false);
		judge_fence(s, v, e);
	}
	e->ran = true;
}

/* The process @fence of @self comes in. */
static s32 process_fence(struct sched *s, struct qos_vp *v, struct qos_entity *self, u32 fence,
			 u64 now_ns)
{
	if (!self->has_fence) { /* from now on its processes count, not the guest as a whole */
		self->has_fence = self->has_process = true;
		self->rt = (struct realtime){0};
		qos_resize(s, v, self);
	}
	self->fence = fence;
	for (u32 i = 0; i < v->n_entities && !self->fence_ran; i++) {
		struct qos_entity *x = &v->entity[i];
		if (x->id != self->id || x->process == EVENT_NO_ID || x->process == fence ||
		    !x->ran)
			continue;
		note(&x->fences, &x->n_fences, true);
		judge_fence(s, v, x);
	}
	self->fence_ran = true;
	return qos_process_rest(s, v, self, now_ns);
}

/* --- first after interrupts --- */

void qos_interrupt_came(struct qos_vp *v)
{
	v->first_is_due = true;
	v->fence_ran = false;
	for (u32 i = 0; i < v->n_entities; i++)
		if (v->entity[i].process == EVENT_NO_ID)
			v->entity[i].ran = false;
}

void qos_entered(struct sched *s, struct qos_vp *v, struct qos_entity *x, u32 id)
{
	if (v->first_is_due)
		v->first = id;
	v->first_is_due = false;
	if (!x)
		return;
	if (unlikely(v->fence_ran) && !x->ran && !x->is_fence) {
		note(&x->fences, &x->n_fences, false);
		judge_fence(s, v, x);
	}
	x->ran = true;
}

void qos_got_interrupt(struct sched *s, struct qos_vp *v, struct qos_entity *x)
{
	note(&x->firsts, &x->n_firsts, v->first == x->id);
	x->ran = true;
	if (unlikely(x->has_fence))
		fence_is_due(v, x);
	u16 agree = count(x->firsts);
	bool holds = x->told_first ? agree > FIRST_OFF : agree >= FIRST_ON;
	if (holds == x->told_first || x->n_firsts < KEPT)
		return;
	x->told_first = holds;
	tell(s, v, x, INFER_FIRST, INFER_AFTER_INTERRUPT, holds, x->n_firsts, agree,
	     percent(agree, x->n_firsts));
}

/* --- jobs --- */

void qos_judge_job(struct sched *s, const struct qos_vp *v, struct qos_entity *x, bool in_time)
{
	bool was = x->rt.is_rt;

	if (x->n_fences >= FENCES_NEEDED || x->is_fence ||
	    x->declared_y_ns) /* the fence knows better */
		return;
	realtime_job(&x->rt, in_time);
	u32 agree = count(x->rt.finished), why = x->goes ? INFER_GOES : INFER_RESTS;
	/* a few jobs are little evidence */
	u32 sure = percent(x->rt.is_rt ? agree : x->rt.n - agree, KEPT);
	u32 change = sure > x->told_sure ? sure - x->told_sure : x->told_sure - sure;
	if (x->rt.is_rt == was && !(x->rt.is_rt && change >= TELL_STEP))
		return;
	x->told_sure = sure;
	tell(s, v, x, INFER_REALTIME, x->rt.is_rt ? why : INFER_UNFINISHED, x->rt.is_rt, x->rt.n,
	     x->rt.is_rt ? agree : x->rt.n - agree, sure);
}

s32 qos_fence(struct sched *s, struct qos_vp *v, u32 id, u32 process, u64 now_ns)
{
	struct qos_entity *self = qos_entity_lookup(v, id, EVENT_NO_ID);

	if (process != EVENT_NO_ID)
		return self ? process_fence(s, v, self, process, now_ns) : -1;

	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *x = &v->entity[i];
		if (x->id == EVENT_NO_ID || x == self || x->process != EVENT_NO_ID)
			continue;
		/* of those that had nothing to do it says nothing; who comes only now:
		 * qos_entered() */
		if (!x->ran)
			continue;
		note(&x->fences, &x->n_fences, true);
		judge_fence(s, v, x);
	}
	if (!self)
		return -1;
	v->fence_ran = true;
	self->is_fence = true;
	self->rt = (struct realtime){0};
	return qos_process_rest(s, v, self, now_ns);
}

/* --- what a VMM says itself --- */

bool qos_declare(struct sched *s, struct sched_vp *e, u32 entity, u64 period_ns, u64 budget_ns)
{
	struct qos_vp *v = qos_of(e);

	if (period_ns &&
	    (period_ns < PERIOD_MIN_NS || period_ns > PERIOD_MAX_NS || budget_ns < BUDGET_MIN_NS))
		return false;
	struct qos_entity *x = qos_entity_get(v, entity, EVENT_NO_ID);
	x->declared_y_ns = period_ns;
	x->declared_x_ns = budget_ns;
	period_drop(&x->period);
	x->budget = (struct budget){.x_ns = budget_ns};
	x->rt = (struct realtime){.is_rt = period_ns != 0};
	qos_resize(s, v, x);
	return true;
}

/* --- periods --- */

void qos_tell_period(struct sched *s, const struct qos_vp *v, struct qos_entity *x, bool stopped)
{
	const struct period *p = &x->period;
	u64 change = p->y_ns > x->told_y_ns ? p->y_ns - x->told_y_ns : x->told_y_ns - p->y_ns;
	bool surer = p->confidence >= x->told_confidence + TELL_STEP ||
		     p->confidence + TELL_STEP <= x->told_confidence;
	u32 why = stopped	  ? INFER_SILENT
		  : !p->y_ns	  ? INFER_OFF_GRID
		  : p->by_divisor ? INFER_BY_DIVISOR
				  : INFER_BY_GRID;

	if (change <= x->told_y_ns / 20 && !(p->y_ns && surer))
		return;
	x->told_y_ns = p->y_ns;
	x->told_confidence = p->confidence;
	tell(s, v, x, INFER_PERIOD, why, p->y_ns != 0, p->n_history,
	     p->n_history - count(p->off_mask), p->confidence);
}
