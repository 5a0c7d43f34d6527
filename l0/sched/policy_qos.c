/*
 * Quality of service: children get what their guests need, unasked. Reservations that follow from
 * inference (qos.h) go first, earliest deadline first; everything else is shared fairly by weight.
 * All time counts towards the fair share, reserved or not.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/arch/events.h"
#include "l0/base/bits.h"
#include "l0/sched/qos.h"

#define FAIR_SLICE_NS \
	(3 * NS_PER_MS) /* at most: an unknown real-time child must live on this first */
/* Gap guard: nobody who is runnable waits longer, whatever is reserved. */
#define GAP_NS (50 * NS_PER_MS)
#define GAP_SLICE_NS (500 * NS_PER_US)
#define LEAST_SLICE_NS (1 * NS_PER_US)

static int qos_init(struct sched *s)
{
	struct qos *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	if (s->policy == &sched_policy_qos_state) {
		q->worker_profile = calloc(s->workers, sizeof(*q->worker_profile));
		if (!q->worker_profile) {
			free(q);
			return -ENOMEM;
		}
	}
	list_init(&q->by_age);
	list_init(&q->vps);
	for (u32 i = 0; i < QOS_MACHINES; i++)
		list_init(&q->machine[i]);
	q->next_fill_ns = ~0ull;
	q->fair.slice_ns = MIN(s->slice_ns, FAIR_SLICE_NS);
	s->policy_data = q;
	return 0;
}

static void qos_fini(struct sched *s)
{
	struct qos *q = s->policy_data;
	struct qos_vp *v, *next;

	list_for_each_safe (v, next, &q->vps, node)
		free(v);
	runq_fini(&q->fair.queue);
	runq_fini(&q->edf);
	free(q->worker_profile);
	free(q);
}

static int qos_add(struct sched *s, struct sched_vp *e)
{
	struct qos *q = s->policy_data;
	struct qos_vp *v;

	if (runq_reserve(&q->fair.queue, s->n_entities + 1) ||
	    runq_reserve(&q->edf, s->n_entities + 1))
		return -ENOMEM;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->e = e;
	v->inside = EVENT_NO_ID;
	v->entered_cpu_ns = ~0ull;
	for (u32 i = 0; i < QOS_ENTITIES; i++)
		v->entity[i].id = EVENT_NO_ID;
	v->demand_ppm = ~0ull;
	list_add_tail(&q->vps, &v->node);
	list_add_tail(qos_machine(q, e->vcpu_id), &v->peers);
	e->policy_data = v;
	e->vruntime_ns = q->fair.vtime_ns;
	q->next_refresh_ns = 0;
	if (e->reserve_ns)
		q->next_fill_ns = 0;
	return 0;
}

static void qos_remove(struct sched *s, struct sched_vp *e)
{
	struct qos_vp *v = qos_of(e);

	(void)s;
	list_del(&v->node);
	list_del(&v->peers);
	free(v);
	e->policy_data = NULL;
}

static void enqueue_at(struct sched *s, struct sched_vp *e, u64 cpu_ns, bool woken)
{
	struct qos *q = s->policy_data;
	struct qos_vp *v = qos_of(e);
	const struct qos_entity *server = qos_server(v, cpu_ns);

	v->on_edf = server != NULL;
	if (server) {
		runq_insert(&q->edf, e, server->deadline_ns);
	} else {
		fair_enqueue(&q->fair, e, woken);
		list_add_tail(&q->by_age, &e->node);
	}
}

static void qos_enqueue(struct sched *s, struct sched_vp *e, bool woken, bool preempted)
{
	(void)preempted;
	enqueue_at(s, e, e->ran_ns, woken);
}

static void qos_dequeue(struct sched *s, struct sched_vp *e)
{
	struct qos *q = s->policy_data;

	if (q->express == e)
		q->express = NULL;
	if (qos_of(e)->on_edf) {
		runq_remove(&q->edf, e);
	} else {
		runq_remove(&q->fair.queue, e);
		list_del(&e->node);
	}
}

void qos_requeue(struct sched *s, struct sched_vp *e, u64 now_ns)
{
	qos_dequeue(s, e);
	enqueue_at(s, e, qos_cpu(e, now_ns), false);
}

/* Who has waited so long that it goes first for a moment, or NULL. */
static struct sched_vp *gap_victim(const struct qos *q, u64 now_ns)
{
	if (list_is_empty(&q->by_age))
		return NULL;
	struct sched_vp *e = list_entry(q->by_age.next, struct sched_vp, node);
	return now_ns > e->ready_since_ns + GAP_NS ? e : NULL;
}

static bool is_served(const struct sched_vp *e, u64 cpu_ns)
{
	const struct qos_entity *service = &qos_of(e)->service;

	return service->active && cpu_ns < service->end_cpu_ns;
}

/* Who is next; *@fair: by its share, with a whole slice. */
static struct sched_vp *pick_next(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns,
				  bool *fair)
{
	struct qos *q = s->policy_data;

	*fair = false;
	if (q->express && !runq_first(&q->edf)) {
		struct sched_vp *x = q->express;
		q->express = NULL;
		qos_dequeue(s, x);
		*slice_ns = QOS_EXPRESS_NS;
		return x;
	}
	struct sched_vp *e = gap_victim(q, now_ns), *reserved = runq_first(&q->edf);
	if (e && reserved) {
		*slice_ns = GAP_SLICE_NS;
	} else if (reserved) {
		e = reserved;
		const struct qos_entity *server = qos_server(qos_of(e), e->ran_ns);
		if (is_served(e, e->ran_ns))
			server = &qos_of(e)->service;
		*slice_ns = server ? MAX(server->end_cpu_ns - e->ran_ns, LEAST_SLICE_NS)
				   : LEAST_SLICE_NS;
	} else {
		e = fair_first_for(&q->fair, s, worker, now_ns);
		*slice_ns = q->fair.slice_ns;
		*fair = true;
		if (e)
			fair_picked(&q->fair, e);
	}
	if (e)
		qos_dequeue(s, e);
	/* Who has a fixed reservation gets its turn when that is full again. */
	if (q->next_fill_ns != ~0ull)
		*slice_ns = MAX(MIN(*slice_ns, q->next_fill_ns - now_ns), LEAST_SLICE_NS);
	return e;
}

static struct sched_vp *qos_pick(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns)
{
	struct qos *q = s->policy_data;
	bool fair;

	if (unlikely(now_ns >= q->next_refresh_ns))
		qos_refresh(s, now_ns);
	qos_fill(s, now_ns);
	struct sched_vp *e = pick_next(s, worker, now_ns, slice_ns, &fair);
	if (e && q->worker_profile)
		qos_state_begin(qos_of(e), fair, slice_ns);
	return e;
}

static void qos_charge(struct sched *s, struct sched_vp *e, u64 now_ns, u64 ran_ns)
{
	struct qos *q = s->policy_data;

	if (q->worker_profile)
		qos_state_end(s, qos_of(e), (u32)e->worker, ran_ns);
	fair_charge(e, ran_ns);
	qos_count_tokens(qos_of(e), now_ns, e->ran_ns);
	qos_settle(qos_of(e), e->ran_ns);
	qos_count_tokens(qos_of(e), now_ns, e->ran_ns);
}

static bool qos_preempts(struct sched *s, const struct sched_vp *e, const struct sched_vp *running,
			 u64 now_ns)
{
	struct qos *q = s->policy_data;
	const struct qos_entity *mine = qos_server(qos_of(e), qos_cpu(e, now_ns));
	const struct qos_entity *theirs = qos_server(qos_of(running), qos_cpu(running, now_ns));

	if (mine || theirs)
		return mine && !is_served(running, qos_cpu(running, now_ns)) &&
		       (!theirs || mine->deadline_ns < theirs->deadline_ns);
	u64 ran_ns = now_ns > running->run_start_ns ? now_ns - running->run_start_ns : 0;
	return fair_preempts(&q->fair, e, running, ran_ns);
}

static bool qos_is_reserved(const struct sched_vp *e)
{
	const struct qos_vp *v = qos_of(e);

	for (u32 i = 0; i < v->n_entities; i++)
		if (v->entity[i].id != EVENT_NO_ID &&
		    (v->entity[i].r_ns || v->entity[i].rt.is_rt || v->entity[i].rt.trial))
			return true;
	return false;
}

#define COMMON_OPS \
	.init = qos_init, .fini = qos_fini, .add = qos_add, .remove = qos_remove, \
	.enqueue = qos_enqueue, .dequeue = qos_dequeue, .pick = qos_pick, .charge = qos_charge, \
	.preempts = qos_preempts, .spin = qos_spin, .yields_spinners = true, \
	.shares_by_weight = true, .is_reserved = qos_is_reserved, .declare = qos_declare, \
	.kinds = BIT(TRANSITION_vm_entry) | BIT(TRANSITION_vm_exit) | BIT(TRANSITION_intr_due) | \
		 BIT(TRANSITION_intr_injected) | BIT(TRANSITION_halt) | \
		 BIT(TRANSITION_process_switch) | BIT(TRANSITION_idle) | BIT(TRANSITION_fence)

const struct sched_policy sched_policy_qos = {
	.name = "qos",
	.help = "reservations by inference, the rest by weight",
	COMMON_OPS,
	.transition = qos_transition,
	.extension = qos_extension,
};

const struct sched_policy sched_policy_qos_state = {
	.name = "qos+state",
	.help = "the same, with quanta that follow the processor's state",
	COMMON_OPS,
	.transition = qos_state_transition,
	.extension = qos_state_extension,
};
