#include "l0/sched/park.h"

#include "l0/arch/events.h"

#define WINDOW_NS (100 * NS_PER_MS)
#define PARK_PERMILLE 550
#define UNPARK_PERMILLE 200
#define PARK_WINDOWS 3 /* in a row */
#define TELL_PERMILLE 100
/* A guest that starts answers late, and may well do so after this. */
#define ANSWER_NS (5 * NS_PER_SEC)
#define DEAF_NS (10 * NS_PER_SEC)
#define DEAF_SHIFT_MAX 5u

static struct sched_machine *machine_of(struct sched *s, const struct sched_vp *e)
{
	u32 id = e->vcpu_id >> 16;

	return id < SCHED_MACHINES ? &s->machine[id] : NULL;
}

static void show(struct sched *s, struct sched_vp *e, u64 now_ns, bool woken, bool preempted)
{
	sched_set_state(e, SCHED_READY);
	e->queued_since_ns = now_ns;
	s->policy->enqueue(s, e, woken, preempted);
	s->n_ready++;
	pthread_cond_signal(&s->ready);
}

static void hide(struct sched *s, struct sched_machine *m, struct sched_vp *e)
{
	sched_set_state(e, SCHED_PARKED);
	list_add_tail(&m->parked, &e->node);
	s->n_parked++;
}

static void unhide(struct sched *s, struct sched_vp *e)
{
	list_del(&e->node);
	s->n_parked--;
}

/* The place is free: the sibling that has waited longest takes it, with the fair order of who had
 * it. */
static void hand_over(struct sched *s, struct sched_machine *m, const struct sched_vp *from,
		      u64 now_ns)
{
	m->in_place = NULL;
	if (list_is_empty(&m->parked))
		return;
	struct sched_vp *next = list_entry(m->parked.next, struct sched_vp, node);
	unhide(s, next);
	if (from)
		next->vruntime_ns = MAX(next->vruntime_ns, from->vruntime_ns);
	m->in_place = next;
	show(s, next, now_ns, false, false);
}

void park_enqueue(struct sched *s, struct sched_vp *e, u64 now_ns, bool woken, bool preempted)
{
	struct sched_machine *m = e->shares_place ? machine_of(s, e) : NULL;

	e->ready_since_ns = now_ns;
	if (m && m->in_place && m->in_place != e) {
		hide(s, m, e);
		return;
	}
	if (m)
		m->in_place = e;
	show(s, e, now_ns, woken, preempted);
}

void park_requeue(struct sched *s, struct sched_vp *e, u64 now_ns, bool preempted)
{
	struct sched_machine *m = e->shares_place ? machine_of(s, e) : NULL;

	if (m && m->in_place == e && !preempted && !list_is_empty(&m->parked))
		hand_over(s, m, e, now_ns);
	park_enqueue(s, e, now_ns, false, preempted);
}

void park_blocked(struct sched *s, struct sched_vp *e, u64 now_ns)
{
	struct sched_machine *m = e->shares_place ? machine_of(s, e) : NULL;

	if (m && m->in_place == e)
		hand_over(s, m, e, now_ns);
}

/* --- who shares the place --- */

/* The machine's weight, by processor, is that of those which its guest uses. */
static u32 weight_of(const struct sched_machine *m, const struct sched_vp *e)
{
	u32 weight = e->own_weight * (e->shares_place ? m->n_sharing : 1);

	return m->n_out && !e->is_out && m->n_vps > m->n_out
		       ? weight * m->n_vps / (m->n_vps - m->n_out)
		       : weight;
}

static void set_weights(struct sched *s, struct sched_machine *m)
{
	struct sched_vp *e;

	list_for_each (e, &s->all, all_node)
		if (machine_of(s, e) == m)
			e->weight = weight_of(m, e);
}

/* @e, in whatever state, joins those who share a place. */
static void join(struct sched *s, struct sched_machine *m, struct sched_vp *e)
{
	e->shares_place = true;
	m->n_sharing++;
	if (e->state != SCHED_READY && e->state != SCHED_RUNNING)
		return;
	if (!m->in_place) {
		m->in_place = e;
	} else if (e->state == SCHED_READY) {
		s->policy->dequeue(s, e);
		s->n_ready--;
		hide(s, m, e);
	} /* else it finds the place taken when it leaves its worker */
}

static void leave(struct sched *s, struct sched_machine *m, struct sched_vp *e, u64 now_ns)
{
	e->shares_place = false;
	m->n_sharing--;
	e->weight = weight_of(m, e);
	if (m->in_place == e)
		hand_over(s, m, e, now_ns);
	if (e->state == SCHED_PARKED) {
		unhide(s, e);
		show(s, e, now_ns, false, false);
	}
}

/* The last one needs no company. */
static void leave_alone(struct sched *s, struct sched_machine *m, u64 now_ns)
{
	struct sched_vp *e;

	if (m->n_sharing != 1)
		return;
	list_for_each (e, &s->all, all_node)
		if (machine_of(s, e) == m && e->shares_place) {
			leave(s, m, e, now_ns);
			return;
		}
}

static bool may_park(const struct sched *s, const struct sched_vp *e)
{
	return !e->reserve_ns && (!s->policy->is_reserved || !s->policy->is_reserved(e));
}

/* Of @m, the processor with the least CPU time in the last window that may share a place, or
 * NULL. */
static struct sched_vp *least_busy(struct sched *s, const struct sched_machine *m)
{
	struct sched_vp *e, *best = NULL;

	list_for_each (e, &s->all, all_node)
		if (machine_of(s, e) == m && !e->shares_place && !e->is_out && may_park(s, e) &&
		    (!best || e->window_ran_ns < best->window_ran_ns))
			best = e;
	return best;
}

static void tell(struct sched *s, struct sched_machine *m, u32 action, const struct sched_vp *e)
{
	m->told_permille = m->permille;
	sched_tell(s, &(struct sched_note){
			      .kind = TRANSITION_cpu_pressure,
			      .vcpu_id = EVENT_NO_ID,
			      .cpu_pressure = {.vm = (u32)(m - s->machine),
					       .action = action,
					       .vcpu = e ? e->vcpu_id : EVENT_NO_ID,
					       .permille = m->permille,
					       .ran_ns = m->ran_ns,
					       .delay_ns = m->delay_ns,
					       .vcpus = m->n_vps,
					       .parked = (m->n_sharing ? m->n_sharing - 1 : 0) +
							 m->n_out}});
}

static bool park_one(struct sched *s, struct sched_machine *m)
{
	struct sched_vp *e = least_busy(s, m);

	if (!e)
		return false;
	if (!m->n_sharing) { /* the first place to share */
		join(s, m, e);
		struct sched_vp *second = least_busy(s, m);
		if (!second) {
			leave(s, m, e, 0);
			return false;
		}
		e = second;
	}
	join(s, m, e);
	set_weights(s, m);
	m->n_parkings++;
	tell(s, m, PRESSURE_PARK, e);
	return true;
}

/* A place of its own again for @e. */
static void unpark(struct sched *s, struct sched_machine *m, struct sched_vp *e, u64 now_ns)
{
	leave(s, m, e, now_ns);
	leave_alone(s, m, now_ns);
	set_weights(s, m);
	tell(s, m, PRESSURE_UNPARK, e);
}

/* --- guests that can be asked --- */

static void is_deaf(struct sched_machine *m)
{
	m->asked = NULL;
	m->deaf_until_ns = m->asked_ns + (DEAF_NS << MIN(m->n_deaf, DEAF_SHIFT_MAX));
	m->n_deaf++;
}

/* Return: it is asked, or was and still has time to answer. */
static bool ask_out(struct sched *s, struct sched_machine *m, u64 now_ns)
{
	struct sched_vp *e, *best = NULL;

	if (m->asked)
		return true;
	if (now_ns < m->deaf_until_ns)
		return false;
	list_for_each (e, &s->all, all_node)
		if (machine_of(s, e) == m && e->can_go && !e->is_out && may_park(s, e) &&
		    (!best || e->window_ran_ns < best->window_ran_ns))
			best = e;
	if (!best)
		return false;
	m->asked = best;
	m->asked_ns = now_ns;
	best->was_asked = true;
	m->n_parkings++;
	tell(s, m, PRESSURE_ASK, best);
	return true;
}

/* Return: one that it does without is given back. */
static bool give_back(struct sched *s, struct sched_machine *m)
{
	struct sched_vp *e;

	list_for_each (e, &s->all, all_node)
		if (machine_of(s, e) == m && e->is_out && e->was_asked) {
			e->was_asked = false;
			tell(s, m, PRESSURE_GIVE, e);
			return true;
		}
	return false;
}

void park_set_out(struct sched *s, struct sched_vp *e, bool out)
{
	struct sched_machine *m = machine_of(s, e);

	if (!m || e->is_out == out)
		return;
	if (m->asked == e)
		m->asked = NULL;
	if (out && e->was_asked) { /* in time or later */
		m->n_deaf = 0;
		m->deaf_until_ns = 0;
	}
	e->is_out = out;
	if (out && e->shares_place) {
		leave(s, m, e, e->ready_since_ns);
		leave_alone(s, m, e->ready_since_ns);
	}
	m->n_out = out ? m->n_out + 1 : m->n_out - 1;
	if (!out)
		e->was_asked = false;
	set_weights(s, m);
}

void park_refused(struct sched *s, struct sched_vp *e)
{
	struct sched_machine *m = machine_of(s, e);

	e->was_asked = false;
	if (m && m->asked == e)
		is_deaf(m);
}

/* Whoever waits for the shared place first, or anybody on it. */
static void unpark_one(struct sched *s, struct sched_machine *m, u64 now_ns)
{
	struct sched_vp *e = NULL, *i;

	if (!list_is_empty(&m->parked))
		e = list_entry(m->parked.next, struct sched_vp, node);
	list_for_each (i, &s->all, all_node)
		if (!e && machine_of(s, i) == m && i->shares_place && m->in_place != i)
			e = i;
	if (!e)
		return;
	unpark(s, m, e, now_ns);
}

bool park_release(struct sched *s, u64 now_ns)
{
	if (!s->n_parked)
		return false;
	for (u32 i = 0; i < SCHED_MACHINES; i++)
		if (!list_is_empty(&s->machine[i].parked)) {
			unpark_one(s, &s->machine[i], now_ns);
			return true;
		}
	return false;
}

void park_add(struct sched *s, struct sched_vp *e)
{
	struct sched_machine *m = machine_of(s, e);

	e->own_weight = e->weight;
	e->shares_place = false;
	list_add_tail(&s->all, &e->all_node);
	if (m)
		m->n_vps++;
}

void park_remove(struct sched *s, struct sched_vp *e)
{
	struct sched_machine *m = machine_of(s, e);

	list_del(&e->all_node);
	if (!m)
		return;
	m->n_vps--;
	m->n_out -= e->is_out;
	if (m->asked == e)
		m->asked = NULL;
	if (e->state == SCHED_PARKED) {
		unhide(s, e);
		sched_set_state(e, SCHED_BLOCKED);
	}
	if (!e->shares_place)
		return;
	leave(s, m, e, e->ready_since_ns);
	leave_alone(s, m, e->ready_since_ns);
	set_weights(s, m);
}

/* --- pressure --- */

static void measure(struct sched *s, struct sched_vp *e, u64 now_ns)
{
	struct sched_machine *m = machine_of(s, e);
	u64 ran = e->ran_ns, delay = e->delay_ns;

	if (!m)
		return;
	if (e->state == SCHED_RUNNING && now_ns > e->run_start_ns)
		ran += now_ns - e->run_start_ns;
	if (e->state == SCHED_READY && now_ns > e->queued_since_ns)
		delay += now_ns - e->queued_since_ns;
	e->window_ran_ns = ran - e->seen_ran_ns;
	m->window_ran_ns += e->window_ran_ns;
	m->window_delay_ns += delay > e->seen_delay_ns ? delay - e->seen_delay_ns : 0;
	e->seen_ran_ns = ran;
	e->seen_delay_ns = delay;
}

static void judge(struct sched *s, struct sched_machine *m, u64 now_ns)
{
	u64 runnable = m->window_ran_ns + m->window_delay_ns;
	u32 permille = runnable ? (u32)(m->window_delay_ns * 1000 / runnable) : 0;

	m->ran_ns += m->window_ran_ns;
	m->delay_ns += m->window_delay_ns;
	m->window_ran_ns = m->window_delay_ns = 0;
	m->permille = (3 * m->permille + permille + 2) / 4;
	m->n_high = m->permille > PARK_PERMILLE ? m->n_high + 1 : 0;
	m->n_low = m->permille < UNPARK_PERMILLE ? m->n_low + 1 : 0;
	if (m->asked && now_ns - m->asked_ns >= ANSWER_NS)
		is_deaf(m);
	bool can_park = s->parks && s->policy->shares_by_weight &&
			m->n_vps - m->n_out > MAX(m->n_sharing, 1u);
	if (m->n_high >= PARK_WINDOWS && can_park) {
		m->n_high = 0;
		if (ask_out(s, m, now_ns) || park_one(s, m))
			return;
	}
	if (m->n_sharing && !m->n_low && ask_out(s, m, now_ns)) /* better than sharing places */
		return;
	if (m->n_low >= PARK_WINDOWS && m->n_sharing) {
		m->n_low = 0;
		unpark_one(s, m, now_ns);
		return;
	}
	if (m->n_low >= PARK_WINDOWS && m->n_out && !m->asked && give_back(s, m)) {
		m->n_low = 0;
		return;
	}
	u32 change = m->permille > m->told_permille ? m->permille - m->told_permille
						    : m->told_permille - m->permille;
	if (change >= TELL_PERMILLE)
		tell(s, m, PRESSURE_CHANGED, NULL);
}

/* One that turned out to hold something real-time needs a place of its own. */
static void unpark_reserved(struct sched *s, u64 now_ns)
{
	struct sched_vp *e;

	list_for_each (e, &s->all, all_node) {
		struct sched_machine *m =
			e->shares_place && !may_park(s, e) ? machine_of(s, e) : NULL;
		if (m)
			unpark(s, m, e, now_ns);
	}
}

void park_refresh(struct sched *s, u64 now_ns)
{
	struct sched_vp *e;

	if (likely(now_ns < s->next_pressure_ns))
		return;
	s->next_pressure_ns = now_ns + WINDOW_NS;
	list_for_each (e, &s->all, all_node)
		measure(s, e, now_ns);
	unpark_reserved(s, now_ns);
	for (u32 i = 0; i < SCHED_MACHINES; i++)
		if (s->machine[i].n_vps)
			judge(s, &s->machine[i], now_ns);
}
