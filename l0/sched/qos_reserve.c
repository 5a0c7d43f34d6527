#include "l0/arch/events.h"
#include "l0/sched/qos.h"

#define REFRESH_NS (100 * NS_PER_MS)
#define BACKLOGGED (~0ull)
/* A processor that is blocked less than this part of a window is backlogged. */
#define IDLE_PPM 20000u
#define MAX_USE_PPM 950000u
/* Entitlement is policed over this time, or two periods, so that one long job may take more than
 * its period's part. */
#define TOKENS_FOR_NS (100 * NS_PER_MS)
#define SERVICE_NS (50 * NS_PER_US)
#define LEAST_QUOTA_NS (50 * NS_PER_US)
/* An arrival is taken as that of the next period when it comes before the deadline by up to this
 * part of one. */
#define EARLY_PART 8
/* One that has a reservation loses it when it lacks more than this part of the median, not at
 * once. */
#define KEEP_PART 6

struct qos_entity *qos_server(struct qos_vp *v, u64 cpu_ns)
{
	struct qos_entity *first =
		v->service.active && cpu_ns < v->service.end_cpu_ns ? &v->service : NULL;

	if (v->fixed.active && cpu_ns < v->fixed.end_cpu_ns &&
	    (!first || v->fixed.deadline_ns < first->deadline_ns))
		first = &v->fixed;
	if (v->observed.active && cpu_ns < v->observed.end_cpu_ns &&
	    (!first || v->observed.deadline_ns < first->deadline_ns))
		first = &v->observed;
	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *x = &v->entity[i];
		if (x->active && cpu_ns < x->end_cpu_ns &&
		    (!first || x->deadline_ns < first->deadline_ns))
			first = x;
	}
	return first;
}

static u64 tokens_for_ns(const struct qos_vp *v)
{
	u64 ns = TOKENS_FOR_NS;

	for (u32 i = 0; i < v->n_entities; i++)
		if (v->entity[i].r_ns)
			ns = MAX(ns, 2 * v->entity[i].period.y_ns);
	return ns;
}

void qos_count_tokens(struct qos_vp *v, u64 now_ns, u64 cpu_ns)
{
	u64 for_ns = tokens_for_ns(v);
	s64 most = (s64)(v->share_ppm * for_ns / PPM), least = -(most / 4);

	if (v->is_reserved)
		v->tokens_ns -= (s64)(cpu_ns - v->counted_cpu_ns);
	if (now_ns > v->tokens_at_ns) {
		u64 since_ns = MIN(now_ns - v->tokens_at_ns, for_ns);
		v->tokens_ns += (s64)(since_ns * v->share_ppm / PPM);
		v->tokens_at_ns = now_ns;
	}
	v->tokens_ns = MAX(MIN(v->tokens_ns, most), least);
	v->counted_cpu_ns = cpu_ns;
	const struct qos_entity *server = qos_server(v, cpu_ns);
	v->is_reserved = server && server != &v->fixed;
}

static u64 tokens_left(const struct qos_vp *v)
{
	return v->tokens_ns > 0 ? (u64)v->tokens_ns : 0;
}

/* What @o's reservation takes that is not in a sibling's. */
static u64 added_ns(const struct qos_entity *o)
{
	return o->budget.n ? MIN(o->r_ns, o->alone_ns) : o->r_ns;
}

/* What the reservations of @v's other entities leave of its share, for @x's period. */
static u64 limit_of(const struct qos_vp *v, const struct qos_entity *x)
{
	u64 left = MIN(v->share_ppm, MAX_USE_PPM);

	for (u32 i = 0; i < v->n_entities; i++) {
		const struct qos_entity *o = &v->entity[i];
		if (o == x || !o->r_ns || !o->period.y_ns)
			continue;
		u64 use = added_ns(o) * PPM / o->period.y_ns;
		left = left > use ? left - use : 0;
	}
	return x->period.y_ns * left / PPM;
}

/*
 * A reservation runs as a constant-bandwidth server does: what it takes within its entitlement for
 * a period has the deadline of that period, what is beyond it the next one's, of which it is taken
 * off. So however bursty a guest is, it takes no time from others before their deadlines, as long
 * as these stay within their shares.
 */
static void next_quota(const struct qos_vp *v, struct qos_entity *x, u64 cpu_ns)
{
	x->quota_end_cpu_ns = cpu_ns + MAX(limit_of(v, x), LEAST_QUOTA_NS);
	x->end_cpu_ns = MIN(x->quota_end_cpu_ns, x->r_end_cpu_ns);
}

void qos_activate(struct qos_vp *v, struct qos_entity *x, u64 due_ns, u64 cpu_ns)
{
	u64 y_ns = x->period.y_ns;

	if (x->active)
		qos_deactivate(x, cpu_ns);
	x->active = true;
	x->extended = false;
	if (!x->awaited)
		x->open_used_up = x->used_up;
	x->used_up = false;
	x->awaited = true;
	x->r_end_cpu_ns = cpu_ns + MIN(x->r_ns, tokens_left(v));
	if (due_ns + y_ns / EARLY_PART >= x->deadline_ns || x->deadline_ns > due_ns + 2 * y_ns) {
		x->deadline_ns = due_ns + y_ns;
		next_quota(v, x, cpu_ns);
	} else {
		x->quota_end_cpu_ns = cpu_ns + x->quota_left_ns;
		x->end_cpu_ns = MIN(x->quota_end_cpu_ns, x->r_end_cpu_ns);
	}
}

void qos_deactivate(struct qos_entity *x, u64 cpu_ns)
{
	x->quota_left_ns = x->quota_end_cpu_ns > cpu_ns ? x->quota_end_cpu_ns - cpu_ns : 0;
	x->active = false;
}

void qos_wind_down(struct qos_entity *x, u64 cpu_ns)
{
	x->active = true;
	x->extended = true;
	x->r_end_cpu_ns = MIN(x->r_end_cpu_ns, cpu_ns + QOS_WIND_DOWN_NS);
	x->end_cpu_ns = MIN(x->end_cpu_ns, x->r_end_cpu_ns);
}

void qos_at_rest(struct qos_vp *v, u64 cpu_ns)
{
	if (v->has_ended)
		v->rests = cpu_ns - v->ended_cpu_ns <= QOS_WIND_DOWN_NS;
	v->has_ended = false;
	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *x = &v->entity[i];
		if (x->active && !x->job_open && !x->awaited)
			qos_deactivate(x, cpu_ns);
	}
}

void qos_fill(struct sched *s, u64 now_ns)
{
	struct qos *q = s->policy_data;
	struct qos_vp *v;

	if (likely(now_ns < q->next_fill_ns))
		return;
	q->next_fill_ns = ~0ull;
	list_for_each (v, &q->vps, node) {
		u64 y_ns = v->e->reserve_period_ns;
		if (!v->e->reserve_ns)
			continue;
		if (now_ns >= v->fixed.deadline_ns) {
			v->fixed.active = true;
			v->fixed.deadline_ns = (now_ns / y_ns + 1) * y_ns;
			v->fixed.end_cpu_ns = qos_cpu(v->e, now_ns) + v->e->reserve_ns;
			if (v->e->state == SCHED_READY)
				qos_requeue(s, v->e, now_ns);
		}
		q->next_fill_ns = MIN(q->next_fill_ns, v->fixed.deadline_ns);
	}
}

bool qos_serve(struct qos_vp *v, u64 due_ns, u64 cpu_ns)
{
	u64 next_ns = ~0ull;

	for (u32 i = 0; i < v->n_entities; i++) {
		const struct qos_entity *x = &v->entity[i];
		if (!x->r_ns || !x->period.y_ns)
			continue;
		u64 point = period_grid_point(&x->period, due_ns);
		bool is_now = point <= due_ns || period_expects(&x->period, due_ns);
		next_ns = MIN(next_ns, is_now ? point + x->period.y_ns : point);
	}
	if (next_ns == ~0ull)
		return false;
	v->service.active = true;
	v->service.deadline_ns = next_ns;
	v->service.end_cpu_ns = cpu_ns + MIN(SERVICE_NS, tokens_left(v));
	return true;
}

void qos_settle(struct qos_vp *v, u64 cpu_ns)
{
	v->service.active &= cpu_ns < v->service.end_cpu_ns;
	v->observed.active &= cpu_ns < v->observed.end_cpu_ns;
	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *x = &v->entity[i];
		if (!x->active || cpu_ns < x->end_cpu_ns)
			continue;
		if (cpu_ns >= x->r_end_cpu_ns && (x->job_open || x->awaited) && !x->extended) {
			x->r_end_cpu_ns += MIN(x->r_ns / 2, tokens_left(v));
			x->extended = true;
		}
		if (cpu_ns >= x->r_end_cpu_ns) {
			qos_deactivate(x, cpu_ns);
			x->used_up = x->job_open || x->awaited;
		} else if (cpu_ns >= x->quota_end_cpu_ns) {
			x->deadline_ns += x->period.y_ns;
			next_quota(v, x, cpu_ns);
		} else {
			x->end_cpu_ns = MIN(x->quota_end_cpu_ns, x->r_end_cpu_ns);
		}
	}
}

static struct sched_note note_of(const struct qos_vp *v, const struct qos_entity *x)
{
	return (struct sched_note){
		.kind = TRANSITION_sched_reserve,
		.vcpu_id = v->e->vcpu_id,
		.work_ns = x->work_ns,
		.sched_reserve = {.reason = x->told_why,
				  .entity = x->id,
				  .budget_ns = x->r_ns,
				  .period_ns = x->period.y_ns,
				  .estimate_ns = x->budget.x_ns,
				  .jitter_ns = x->period.jitter_ns,
				  .confidence = x->period.confidence,
				  .arrival_ns = x->job_due_ns,
				  .job_ns = x->budget.job_ns,
				  .correction_ns = (u64)x->budget.correction_ns,
				  .median_ns = budget_median_ns(&x->budget)},
	};
}

void qos_sample(struct sched *s, const struct qos_vp *v, const struct qos_entity *x)
{
	struct sched_note note = note_of(v, x);

	note.is_sample = true;
	sched_tell(s, &note);
}

static void tell(struct sched *s, const struct qos_vp *v, struct qos_entity *x, u32 why, u64 need,
		 u64 limit)
{
	u64 change = x->r_ns > x->told_r_ns ? x->r_ns - x->told_r_ns : x->told_r_ns - x->r_ns;

	if (why == x->told_why && change <= x->told_r_ns / 8)
		return;
	x->told_why = why;
	x->told_r_ns = x->r_ns;
	struct sched_note note = note_of(v, x);
	note.sched_reserve.need_ns = need;
	note.sched_reserve.limit_ns = limit;
	sched_tell(s, &note);
}

void qos_resize(struct sched *s, struct qos_vp *v, struct qos_entity *x)
{
	u64 y = x->period.y_ns, limit = limit_of(v, x);
	u64 wanted = budget_wanted_ns(&x->budget), squeezed = budget_squeezed_ns(&x->budget);
	u32 why;

	if (!y || x->has_process || x->takes_turns || (!x->rt.is_rt && !x->rt.trial)) {
		x->r_ns = 0;
		x->active = false;
		if (x->told_r_ns)
			tell(s, v, x, RESERVE_DROPPED, 0, limit);
		return;
	}
	if (!x->rt.is_rt) {
		x->r_ns = MIN(x->rt.trial_ns, limit);
		why = RESERVE_TRIAL;
	} else if (squeezed <= limit && wanted <= limit + limit / 2) {
		x->r_ns = wanted;
		why = RESERVE_ADMITTED;
	} else if (squeezed <= limit ||
		   (x->r_ns && !x->was_trial && squeezed - squeezed / KEEP_PART <= limit)) {
		x->r_ns = limit + limit / 2;
		why = RESERVE_SQUEEZED;
	} else {
		x->r_ns = 0;
		x->active = false;
		why = y * v->share_ppm / PPM < squeezed ? RESERVE_REFUSED_SHARE
							: RESERVE_REFUSED_SIBLINGS;
	}
	x->was_trial = why == RESERVE_TRIAL;
	tell(s, v, x, why, squeezed, limit);
}

/* --- shares --- */

static u64 busy_ns(const struct sched_vp *e, u64 now_ns)
{
	u64 busy = e->ran_ns + e->waited_ns;

	if (e->state == SCHED_RUNNING && now_ns > e->run_start_ns)
		busy += now_ns - e->run_start_ns;
	if ((e->state == SCHED_READY || e->state == SCHED_PARKED) && now_ns > e->ready_since_ns)
		busy += now_ns - e->ready_since_ns;
	return busy;
}

static void measure_demand(struct qos_vp *v, u64 now_ns, u64 window_ns)
{
	u64 busy = busy_ns(v->e, now_ns), ran = qos_cpu(v->e, now_ns);
	u64 reserved = 0;

	for (u32 i = 0; i < v->n_entities; i++)
		if (v->entity[i].r_ns && v->entity[i].period.y_ns)
			reserved += added_ns(&v->entity[i]) * PPM / v->entity[i].period.y_ns;
	u64 used = MIN(ran - v->window_ran_ns, window_ns) * PPM / window_ns;
	u64 open = MIN(busy - v->window_busy_ns, window_ns) * PPM / window_ns;
	v->demand_ppm = open > PPM - IDLE_PPM ? BACKLOGGED : MAX(used, reserved);
	v->window_busy_ns = busy;
	v->window_ran_ns = ran;
}

/*
 * Max-min fair by weight: who needs less than its share leaves the rest to the others. A
 * processor's share is what it could claim at the final level, whether it does or not.
 */
static u64 fixed_ppm(const struct qos_vp *v)
{
	return v->e->reserve_ns ? v->e->reserve_ns * PPM / v->e->reserve_period_ns : 0;
}

static void share_out(struct sched *s, struct qos *q)
{
	u64 room = s->workers * PPM, weights = 0;
	struct qos_vp *v;
	bool moved;

	list_for_each (v, &q->vps, node) {
		v->satisfied = false;
		weights += v->e->own_weight;
	}
	do {
		u64 level_room = room, level_weights = weights;
		moved = false;
		list_for_each (v, &q->vps, node) {
			u64 fair = level_room * v->e->own_weight / level_weights;
			if (v->satisfied || MIN(v->demand_ppm, PPM) > fair)
				continue;
			v->satisfied = moved = true;
			room -= MIN(MIN(v->demand_ppm, PPM), room);
			weights -= v->e->own_weight;
		}
	} while (moved && weights);
	list_for_each (v, &q->vps, node) {
		u64 demand = MIN(v->demand_ppm, PPM);
		u64 share = weights ? room * v->e->own_weight / weights : demand + room;
		share = MIN(MAX(share, v->satisfied ? demand : 0), PPM);
		v->share_ppm = MAX(share, fixed_ppm(v));
	}
}

static void refresh_vp(struct sched *s, struct qos_vp *v, u64 old_share, u64 now_ns)
{
	for (u32 i = 0; i < v->n_entities; i++) {
		struct qos_entity *x = &v->entity[i];
		if (x->id == EVENT_NO_ID)
			continue;
		/* it has stopped; or its whole processor has, in the middle of a job */
		if (!x->declared_y_ns && (!x->job_open || v->e->state == SCHED_BLOCKED) &&
		    period_is_silent(&x->period, now_ns)) {
			x->job_open = false;
			period_drop(&x->period);
			qos_tell_period(s, v, x, true);
			x->rt = (struct realtime){0};
			x->budget = (struct budget){0};
		}
		if (v->share_ppm > old_share + old_share / 5)
			realtime_retry(&x->rt);
		qos_resize(s, v, x);
		if (x->process == EVENT_NO_ID)
			qos_process_refresh(v, x, now_ns);
	}
	if (v->observed.active && v->e->state == SCHED_READY)
		qos_requeue(s, v->e, now_ns);
}

void qos_refresh(struct sched *s, u64 now_ns)
{
	struct qos *q = s->policy_data;
	u64 window_ns = now_ns - q->window_start_ns;
	struct qos_vp *v;

	q->next_refresh_ns = now_ns + REFRESH_NS;
	if (window_ns) {
		list_for_each (v, &q->vps, node)
			measure_demand(v, now_ns, window_ns);
		q->window_start_ns = now_ns;
	}
	list_for_each (v, &q->vps, node)
		v->old_share_ppm = v->share_ppm;
	share_out(s, q);
	list_for_each (v, &q->vps, node)
		refresh_vp(s, v, v->old_share_ppm, now_ns);
}
