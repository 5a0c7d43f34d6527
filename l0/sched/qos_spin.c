/*
 * Waits in PAUSEs (B8). A processor of a machine that waits for another one of it gives its worker
 * away; what it waits for is most likely held by the sibling that was taken away while it did not
 * wait itself, longest ago. That one goes next ("express"), for a short while and only as long as
 * it is not far ahead of its fair share. When all of them wait it is anybody's turn, and the fair
 * order, in which who waited has used little, comes round to each of them sooner than any guess. A
 * processor whose siblings wait when its slice ends keeps the worker a little, once a slice, to get
 * to its unlock.
 */
#include "l0/sched/qos.h"

#define EXTENSION_NS (100 * NS_PER_US)
/* So much may express scheduling run ahead of fairness, in slices. */
#define AHEAD_SLICES 2

static bool is_sibling(const struct sched_vp *a, const struct sched_vp *b)
{
	return a != b && a->vcpu_id >> 16 == b->vcpu_id >> 16;
}

/* It gave way because it waited, and has not run since. */
static bool is_waiter(const struct qos_vp *v)
{
	return v->spun_ns && v->spun_ns >= v->e->run_start_ns;
}

void qos_spin(struct sched *s, struct sched_vp *e, u64 now_ns)
{
	struct qos *q = s->policy_data;
	u64 ahead_ns = q->fair.vtime_ns + AHEAD_SLICES * q->fair.slice_ns;
	struct sched_vp *best = NULL;
	struct qos_vp *v;

	qos_of(e)->spun_ns = now_ns;
	if (e->shares_place) /* the siblings on its place are next anyway */
		return;
	list_for_each (v, qos_machine(q, e->vcpu_id), peers) {
		struct sched_vp *o = v->e;
		if (!is_sibling(e, o))
			continue;
		if (o->state == SCHED_RUNNING)
			return; /* that one may well be it */
		if (o->state != SCHED_READY || v->on_edf || is_waiter(v) ||
		    o->vruntime_ns > ahead_ns)
			continue;
		if (!best || v->spun_ns < qos_of(best)->spun_ns)
			best = o;
	}
	if (best)
		q->express = best;
}

u64 qos_extension(struct sched *s, struct sched_vp *e, u64 now_ns)
{
	struct qos *q = s->policy_data;
	struct qos_vp *v, *own = qos_of(e);

	(void)now_ns;
	if (own->extended_ns == e->run_start_ns)
		return 0;
	list_for_each (v, qos_machine(q, e->vcpu_id), peers) {
		if (!is_sibling(e, v->e) || v->e->state != SCHED_READY || !is_waiter(v))
			continue;
		own->extended_ns = e->run_start_ns;
		return EXTENSION_NS;
	}
	return 0;
}
