#include "l0/sched/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "l0/base/assert.h"
#include "l0/base/mem_ops.h"
#include "l0/sched/park.h"

const struct sched_policy *const sched_policies[] = {
	&sched_policy_rr, &sched_policy_credit, &sched_policy_qos, &sched_policy_qos_state, NULL};

const struct sched_policy *sched_policy_lookup(const char *name)
{
	for (u32 i = 0; sched_policies[i]; i++)
		if (nm_str_equal(sched_policies[i]->name, name))
			return sched_policies[i];
	return NULL;
}

static const struct topology flat;

int sched_init(struct sched *s, const struct sched_config *cfg)
{
	*s = (struct sched){
		.policy = cfg->policy,
		.workers = cfg->workers,
		.topology = cfg->topology ? cfg->topology : &flat,
		.slice_ns = cfg->slice_ns,
		.parks = cfg->parking,
	};
	list_init(&s->all);
	for (u32 i = 0; i < SCHED_MACHINES; i++)
		list_init(&s->machine[i].parked);
	s->running = calloc(cfg->workers, sizeof(*s->running));
	if (!s->running)
		return -ENOMEM;
	int err = s->policy->init(s);
	if (err) {
		free(s->running);
		return err;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->ready, NULL);
	return 0;
}

void sched_fini(struct sched *s)
{
	s->policy->fini(s);
	pthread_cond_destroy(&s->ready);
	pthread_mutex_destroy(&s->lock);
	free(s->running);
	s->running = NULL;
}

int sched_add(struct sched *s, struct sched_vp *e)
{
	pthread_mutex_lock(&s->lock);
	list_init(&e->node);
	sched_set_state(e, SCHED_BLOCKED);
	e->worker = -1;
	e->last_worker = -1;
	e->wake_pending = false;
	if (e->weight == 0)
		e->weight = SCHED_WEIGHT_DEFAULT;
	int err = s->policy->add ? s->policy->add(s, e) : 0;
	if (!err) {
		s->n_entities++;
		park_add(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void sched_remove(struct sched *s, struct sched_vp *e)
{
	pthread_mutex_lock(&s->lock);
	ASSERT(e->state != SCHED_RUNNING);
	if (e->state == SCHED_READY) {
		s->policy->dequeue(s, e);
		s->n_ready--;
	}
	park_remove(s, e);
	sched_set_state(e, SCHED_BLOCKED);
	if (s->policy->remove)
		s->policy->remove(s, e);
	s->n_entities--;
	pthread_mutex_unlock(&s->lock);
}

s32 sched_worker_for(struct sched *s, const struct sched_vp *e, u64 now_ns)
{
	s32 best = -1;

	for (u32 w = 0; w < s->workers; w++) {
		const struct sched_vp *r = s->running[w];
		if (!r && s->workers > 1)
			return -1; /* one is idle and will look by itself */
		if (r && s->policy->preempts(s, e, r, now_ns) &&
		    (best < 0 || s->policy->preempts(s, s->running[best], r, now_ns)))
			best = (s32)w;
	}
	return best;
}

s32 sched_wake(struct sched *s, struct sched_vp *e, u64 now_ns, bool *was_blocked)
{
	s32 preempt = -1;

	pthread_mutex_lock(&s->lock);
	if (was_blocked)
		*was_blocked = e->state == SCHED_BLOCKED;
	switch (e->state) {
	case SCHED_READY:
	case SCHED_PARKED: break;
	case SCHED_RUNNING: e->wake_pending = true; break;
	case SCHED_BLOCKED:
		e->n_wakes++;
		park_enqueue(s, e, now_ns, true, false);
		if (e->state == SCHED_READY)
			preempt = sched_worker_for(s, e, now_ns);
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return preempt;
}

void sched_wake_seen(struct sched *s, struct sched_vp *e)
{
	pthread_mutex_lock(&s->lock);
	e->wake_pending = false;
	pthread_mutex_unlock(&s->lock);
}

u32 sched_kicks(struct sched *s)
{
	return __atomic_load_n(&s->kicks, __ATOMIC_ACQUIRE);
}

void sched_kick(struct sched *s)
{
	pthread_mutex_lock(&s->lock);
	__atomic_add_fetch(&s->kicks, 1, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&s->ready);
	pthread_mutex_unlock(&s->lock);
}

void sched_wait_ready(struct sched *s, u64 timeout_ns, u32 kicks)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	timeout_ns += (u64)until.tv_nsec;
	until.tv_sec += (time_t)(timeout_ns / NS_PER_SEC);
	until.tv_nsec = (long)(timeout_ns % NS_PER_SEC);
	pthread_mutex_lock(&s->lock);
	if (s->n_ready == 0 && s->kicks == kicks)
		pthread_cond_timedwait(&s->ready, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
}

static bool core_is_busy(const struct sched *s, u32 worker)
{
	for (u32 w = 0; w < s->workers; w++)
		if (s->running[w] && topology_distance(s->topology, w, worker) <= TOPOLOGY_SIBLING)
			return true;
	return false;
}

/* The other thread of @worker's core is busy, and there are enough cores without anything to do. */
static bool leaves_it_to_idle_cores(struct sched *s, u32 worker)
{
	u32 idle = 0;

	if (likely(!s->topology->n) || !s->n_ready || !core_is_busy(s, worker))
		return false;
	for (u32 w = 0; w < s->workers; w++) {
		bool counted = false;
		for (u32 v = 0; v < w && !counted; v++)
			counted = topology_distance(s->topology, v, w) == TOPOLOGY_SIBLING;
		idle += !counted && !core_is_busy(s, w);
	}
	if (idle < s->n_ready)
		return false;
	pthread_cond_broadcast(&s->ready);
	return true;
}

struct sched_vp *sched_pick(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns)
{
	pthread_mutex_lock(&s->lock);
	ASSERT(worker < s->workers && !s->running[worker]);
	park_refresh(s, now_ns);
	if (leaves_it_to_idle_cores(s, worker)) {
		pthread_mutex_unlock(&s->lock);
		return NULL;
	}
	struct sched_vp *e = s->policy->pick(s, worker, now_ns, slice_ns);
	if (!e && park_release(s, now_ns))
		e = s->policy->pick(s, worker, now_ns, slice_ns);
	if (e) {
		/* under the virtual clock another worker's time may be ahead of this one's */
		now_ns = MAX(now_ns, e->ready_since_ns);
		s->n_ready--;
		sched_set_state(e, SCHED_RUNNING);
		e->worker = (s32)worker;
		if (e->last_worker >= 0)
			e->n_moves[topology_distance(s->topology, (u32)e->last_worker, worker)]++;
		e->wake_pending = false;
		if (now_ns > e->ready_since_ns) {
			u64 waited_ns = now_ns - e->ready_since_ns;
			e->waited_ns += waited_ns;
			e->longest_wait_ns = MAX(e->longest_wait_ns, waited_ns);
		}
		if (now_ns > e->queued_since_ns)
			e->delay_ns += now_ns - e->queued_since_ns;
		e->run_start_ns = now_ns;
		s->running[worker] = e;
	}
	pthread_mutex_unlock(&s->lock);
	return e;
}

void sched_put(struct sched *s, u32 worker, u64 now_ns, u64 ran_ns, enum sched_put_reason why)
{
	pthread_mutex_lock(&s->lock);
	struct sched_vp *e = s->running[worker];
	ASSERT(e);
	s->running[worker] = NULL;
	e->ran_ns += ran_ns;
	s->policy->charge(s, e, now_ns, ran_ns);
	e->worker = -1;
	e->last_worker = (s32)worker;
	e->left_ns = now_ns;
	e->last_ran_ns = ran_ns;
	if (why == SCHED_PUT_BLOCK && e->wake_pending) {
		park_enqueue(s, e, now_ns, true, false);
	} else if (why == SCHED_PUT_BLOCK || why == SCHED_PUT_GONE) {
		sched_set_state(e, SCHED_BLOCKED);
		park_blocked(s, e, now_ns);
	} else {
		park_requeue(s, e, now_ns, why == SCHED_PUT_PREEMPT);
	}
	e->wake_pending = false;
	pthread_mutex_unlock(&s->lock);
}

void sched_spin(struct sched *s, u32 worker, u64 now_ns)
{
	pthread_mutex_lock(&s->lock);
	if (s->policy->spin)
		s->policy->spin(s, s->running[worker], now_ns);
	pthread_mutex_unlock(&s->lock);
}

void sched_set_out(struct sched *s, struct sched_vp *e, bool out)
{
	pthread_mutex_lock(&s->lock);
	park_set_out(s, e, out);
	pthread_mutex_unlock(&s->lock);
}

void sched_refused(struct sched *s, struct sched_vp *e)
{
	pthread_mutex_lock(&s->lock);
	park_refused(s, e);
	pthread_mutex_unlock(&s->lock);
}

u64 sched_extension(struct sched *s, u32 worker, u64 now_ns)
{
	u64 ns = 0;

	if (!s->policy->extension)
		return 0;
	pthread_mutex_lock(&s->lock);
	ns = s->policy->extension(s, s->running[worker], now_ns);
	pthread_mutex_unlock(&s->lock);
	return ns;
}

bool sched_contended(struct sched *s)
{
	pthread_mutex_lock(&s->lock);
	bool contended = s->n_ready != 0 || s->n_parked != 0;
	pthread_mutex_unlock(&s->lock);
	return contended;
}

s32 sched_transition(struct sched *s, const struct transition *t)
{
	pthread_mutex_lock(&s->lock);
	s32 preempt = s->policy->transition(s, t);
	pthread_mutex_unlock(&s->lock);
	return preempt;
}

bool sched_declare(struct sched *s, struct sched_vp *e, u32 entity, u64 period_ns, u64 budget_ns)
{
	if (budget_ns > period_ns || !budget_ns != !period_ns)
		return false;
	if (!s->policy->declare)
		return true;
	pthread_mutex_lock(&s->lock);
	bool ok = s->policy->declare(s, e, entity, period_ns, budget_ns);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void sched_tell(struct sched *s, const struct sched_note *note)
{
	if (s->notes_in - s->notes_out == SCHED_NOTES)
		__atomic_store_n(&s->notes_out, s->notes_out + 1, __ATOMIC_RELAXED);
	s->note[s->notes_in % SCHED_NOTES] = *note;
	__atomic_store_n(&s->notes_in, s->notes_in + 1, __ATOMIC_RELAXED);
}

bool sched_take_note(struct sched *s, struct sched_note *note)
{
	pthread_mutex_lock(&s->lock);
	bool any = s->notes_in != s->notes_out;
	if (any) {
		*note = s->note[s->notes_out % SCHED_NOTES];
		__atomic_store_n(&s->notes_out, s->notes_out + 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&s->lock);
	return any;
}
