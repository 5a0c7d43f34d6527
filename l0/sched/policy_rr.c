/*
 * Round robin: one queue in order of arrival, one slice for all. What every comparison starts from.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/sched/sched.h"

static int rr_init(struct sched *s)
{
	struct list_node *queue = malloc(sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	list_init(queue);
	s->policy_data = queue;
	return 0;
}

static void rr_fini(struct sched *s)
{
	free(s->policy_data);
}

static void rr_enqueue(struct sched *s, struct sched_vp *e, bool woken, bool preempted)
{
	(void)woken;
	if (preempted)
		list_add(s->policy_data, &e->node);
	else
		list_add_tail(s->policy_data, &e->node);
}

static void rr_dequeue(struct sched *s, struct sched_vp *e)
{
	(void)s;
	list_del(&e->node);
}

static struct sched_vp *rr_pick(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns)
{
	struct list_node *queue = s->policy_data;

	(void)worker;
	(void)now_ns;
	if (list_is_empty(queue))
		return NULL;
	struct sched_vp *e = list_entry(queue->next, struct sched_vp, node);
	list_del(&e->node);
	*slice_ns = s->slice_ns;
	return e;
}

static void rr_charge(struct sched *s, struct sched_vp *e, u64 now_ns, u64 ran_ns)
{
	(void)s;
	(void)e;
	(void)now_ns;
	(void)ran_ns;
}

static bool rr_preempts(struct sched *s, const struct sched_vp *e, const struct sched_vp *running,
			u64 now_ns)
{
	(void)s;
	(void)now_ns;
	(void)e;
	(void)running;
	return false;
}

const struct sched_policy sched_policy_rr = {
	.name = "rr",
	.help = "round robin, one slice for all",
	.init = rr_init,
	.fini = rr_fini,
	.enqueue = rr_enqueue,
	.dequeue = rr_dequeue,
	.pick = rr_pick,
	.charge = rr_charge,
	.preempts = rr_preempts,
};
