/*
 * Quanta by processor state (B6), for what runs in the fair class. A guest that comes in finds
 * nothing of its own in the TLB and the code cache, and a slice that ends in the middle of its turn
 * makes its VMM, whose timer is over when it comes back, give the rest of the turn to the next
 * guest: the state is lost for nothing. So
 *   - a slice that ends while the state is warm (few misses of late, compared with what the guest's
 *     coming
 *     in cost) goes on, in steps, for two slices more at most;
 *   - from two thirds of a slice on, and in such an extension, it ends when the guest goes back to
 *     its VMM
 *     because its turn or its work is over: the state is about to be lost anyway.
 * It is paid back by the fair order: all time counts, so who ran longer waits longer, and nobody
 * goes on who would be more than three slices ahead. Reservations come first as ever; nobody is
 * extended while one waits, or while somebody has waited for half of the gap guard's time.
 */
#include "l0/arch/events.h"
#include "l0/arch/vmexit.h"
#include "l0/sched/qos.h"

#define LOOK_NS \
	(250 * NS_PER_US) /* misses are looked at over the last so much, and in steps of it */
#define WARM_UP_NS (300 * NS_PER_US)
#define MAX_EXTENSION_SLICES 2
#define AHEAD_SLICES 3
#define WORTH_MISSES 16 /* less than that is no state */
#define WARM_PART 4	/* warm: fewer misses than this part of what coming in costs */
#define WAITED_NS (25 * NS_PER_MS)

static bool is_extending(const struct qos_vp *v)
{
	return v->state.extended_ns != 0;
}

void qos_state_begin(struct qos_vp *v, bool fair, u64 *slice_ns)
{
	struct qos_state *st = &v->state;

	st->at_start = st->at_look = state_read(&v->e->probe);
	st->is_fair = fair;
	st->looked = false;
	st->extended_ns = 0;
	st->slice_ns = *slice_ns;
	if (fair && *slice_ns > 2 * LOOK_NS)
		*slice_ns -= LOOK_NS;
	else
		st->looked = true; /* too short to look */
}

void qos_state_end(struct sched *s, struct qos_vp *v, u32 worker, u64 ran_ns)
{
	struct qos *q = s->policy_data;
	struct qos_state *st = &v->state;
	struct state_count now = state_read(&v->e->probe);

	state_profile_add(&st->profile, ran_ns, &st->at_start, &now);
	if (worker < s->workers)
		state_profile_add(&q->worker_profile[worker], ran_ns, &st->at_start, &now);
	if (is_extending(v)) {
		u64 more_ns =
			ran_ns > st->slice_ns ? MIN(ran_ns - st->slice_ns, st->extended_ns) : 0;
		st->profile.n_extended++;
		st->profile.extended_ns += more_ns;
		if (worker < s->workers) {
			q->worker_profile[worker].n_extended++;
			q->worker_profile[worker].extended_ns += more_ns;
		}
	}
}

/* How many misses its coming in cost, once that is long enough ago. */
static void measure_warm_up(struct qos_vp *v, u64 cpu_ns, const struct state_count *now)
{
	struct qos_state *st = &v->state;

	if (!st->measures || cpu_ns < st->cold_cpu_ns + WARM_UP_NS)
		return;
	u64 misses = state_misses(&st->at_cold, now);
	st->warm_up = st->warm_up ? (7 * st->warm_up + misses) / 8 : misses;
	st->measures = false;
}

/* Somebody who waits must not wait for longer. */
static bool others_are_urgent(struct sched *s, u64 now_ns)
{
	struct qos *q = s->policy_data;

	if (runq_first(&q->edf))
		return true;
	if (list_is_empty(&q->by_age))
		return false;
	return now_ns >
	       list_entry(q->by_age.next, struct sched_vp, node)->ready_since_ns + WAITED_NS;
}

static bool is_warm(const struct qos_state *st, const struct state_count *now)
{
	return st->warm_up >= WORTH_MISSES && now->flushes == st->at_look.flushes &&
	       state_misses(&st->at_look, now) * WARM_PART < st->warm_up;
}

u64 qos_state_extension(struct sched *s, struct sched_vp *e, u64 now_ns)
{
	struct qos *q = s->policy_data;
	struct qos_vp *v = qos_of(e);
	struct qos_state *st = &v->state;
	u64 cpu_ns = qos_cpu(e, now_ns), ran_ns = cpu_ns - e->ran_ns;
	u64 more_ns = qos_extension(s, e, now_ns);

	if (more_ns || !st->is_fair)
		return more_ns;
	struct state_count now = state_read(&e->probe);
	measure_warm_up(v, cpu_ns, &now);
	if (!st->looked) {
		st->looked = true;
		st->at_look = now;
		return st->slice_ns > ran_ns ? MIN(st->slice_ns - ran_ns, LOOK_NS) : 0;
	}
	bool warm = is_warm(st, &now);
	st->at_look = now;
	if (!warm || others_are_urgent(s, now_ns) ||
	    st->extended_ns >= MAX_EXTENSION_SLICES * q->fair.slice_ns ||
	    e->vruntime_ns + fair_weighted(e, ran_ns) >
		    q->fair.vtime_ns + AHEAD_SLICES * q->fair.slice_ns)
		return 0;
	st->extended_ns += LOOK_NS;
	return LOOK_NS;
}

/* Another guest than before: what is cached is of no use to it. */
static void guest_comes(struct qos_vp *v, u32 id, u64 cpu_ns)
{
	struct qos_state *st = &v->state;
	struct state_count now = state_read(&v->e->probe);

	measure_warm_up(v, cpu_ns, &now);
	if (id == st->guest)
		return;
	st->guest = id;
	st->at_cold = now;
	st->cold_cpu_ns = cpu_ns;
	st->measures = true;
}

static bool ends_a_turn(u32 reason)
{
	return reason == EXIT_REASON_PREEMPTION_TIMER || reason == EXIT_REASON_EXTERNAL_INTERRUPT ||
	       reason == EXIT_REASON_HLT || reason == EXIT_REASON_MWAIT;
}

/* Its VMM gets the processor: the best moment to end a slice that is nearly over. */
static bool ends_early(struct sched *s, struct qos_vp *v, u64 now_ns)
{
	struct qos_state *st = &v->state;
	u64 ran_ns = now_ns > v->e->run_start_ns ? now_ns - v->e->run_start_ns : 0;

	if (!st->is_fair || !s->n_ready || st->warm_up < WORTH_MISSES ||
	    ran_ns < st->slice_ns / 3 * 2)
		return false;
	if (ran_ns < st->slice_ns) {
		st->profile.n_early++;
		st->profile.early_ns += st->slice_ns - ran_ns;
	}
	return true;
}

s32 qos_state_transition(struct sched *s, const struct transition *t)
{
	s32 worker = qos_transition(s, t);
	struct sched_vp *e = t->worker < s->workers ? s->running[t->worker] : NULL;

	if (!e || t->level < 2)
		return worker;
	if (t->kind == TRANSITION_vm_entry) {
		guest_comes(qos_of(e), t->vcpu_id, qos_cpu(e, t->vtime_ns));
	} else if (t->kind == TRANSITION_vm_exit && transition_payload(t, vm_exit)->reflected &&
		   worker < 0 && ends_a_turn(transition_payload(t, vm_exit)->exit_reason) &&
		   ends_early(s, qos_of(e), t->vtime_ns)) {
		return (s32)t->worker;
	}
	return worker;
}

bool sched_profile(struct sched *s, const struct sched_vp *e, struct state_profile *p)
{
	if (s->policy != &sched_policy_qos_state)
		return false;
	pthread_mutex_lock(&s->lock);
	*p = qos_of(e)->state.profile;
	pthread_mutex_unlock(&s->lock);
	return true;
}

bool sched_worker_profile(struct sched *s, u32 worker, struct state_profile *p)
{
	if (s->policy != &sched_policy_qos_state || worker >= s->workers)
		return false;
	pthread_mutex_lock(&s->lock);
	*p = ((struct qos *)s->policy_data)->worker_profile[worker];
	pthread_mutex_unlock(&s->lock);
	return true;
}
