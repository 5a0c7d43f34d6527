/*
 * Weighted fair sharing (fair.h) of all workers among all runnable processors. It knows nothing of
 * deadlines: what qos has to beat for real-time children, and the measure of a fair share.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/sched/fair.h"

static int credit_init(struct sched *s)
{
	struct fair *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->slice_ns = s->slice_ns;
	s->policy_data = f;
	return 0;
}

static void credit_fini(struct sched *s)
{
	struct fair *f = s->policy_data;

	runq_fini(&f->queue);
	free(f);
}

static int credit_add(struct sched *s, struct sched_vp *e)
{
	struct fair *f = s->policy_data;

	e->vruntime_ns = f->vtime_ns;
	return runq_reserve(&f->queue, s->n_entities + 1);
}

static void credit_enqueue(struct sched *s, struct sched_vp *e, bool woken, bool preempted)
{
	(void)preempted;
	fair_enqueue(s->policy_data, e, woken);
}

static void credit_dequeue(struct sched *s, struct sched_vp *e)
{
	struct fair *f = s->policy_data;

	runq_remove(&f->queue, e);
}

static struct sched_vp *credit_pick(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns)
{
	struct fair *f = s->policy_data;
	struct sched_vp *e = fair_first_for(f, s, worker, now_ns);

	if (!e)
		return NULL;
	runq_remove(&f->queue, e);
	fair_picked(f, e);
	*slice_ns = f->slice_ns;
	return e;
}

static void credit_charge(struct sched *s, struct sched_vp *e, u64 now_ns, u64 ran_ns)
{
	(void)s;
	(void)now_ns;
	fair_charge(e, ran_ns);
}

static bool credit_preempts(struct sched *s, const struct sched_vp *e,
			    const struct sched_vp *running, u64 now_ns)
{
	u64 ran_ns = now_ns > running->run_start_ns ? now_ns - running->run_start_ns : 0;

	return fair_preempts(s->policy_data, e, running, ran_ns);
}

const struct sched_policy sched_policy_credit = {
	.name = "credit",
	.help = "weighted fair shares",
	.init = credit_init,
	.fini = credit_fini,
	.add = credit_add,
	.enqueue = credit_enqueue,
	.dequeue = credit_dequeue,
	.pick = credit_pick,
	.charge = credit_charge,
	.preempts = credit_preempts,
	.yields_spinners = true,
	.shares_by_weight = true,
};
