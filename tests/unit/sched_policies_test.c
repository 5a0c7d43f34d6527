/* Every policy: random wake-ups, slices, stops and new machines leave its queues right. Seeds are
 * fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l0/arch/events.h"
#include "l0/arch/vmexit.h"
#include "l0/sched/sched.h"
#include "trace/transition.h"

#define N 24
#define WORKERS 3
#define STEPS 60000
#define SEED 0x9e3779b97f4a7c15ull

struct world {
	struct sched s;
	struct sched_vp e[N];
	bool is_in[N];
	u64 start_ns[WORKERS], slice_ns[WORKERS], now, seed;
};

static u64 next_random(struct world *w, u64 below)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed % below;
}

static void come(struct world *w, u32 i)
{
	w->e[i] = (struct sched_vp){.vcpu_id = (i / 6) << 16 | i,
				    .weight = (u32)(1 + next_random(w, 4000))};
	if (i % 5 == 0) {
		w->e[i].reserve_ns = 500 * NS_PER_US;
		w->e[i].reserve_period_ns = 10 * NS_PER_MS;
	}
	assert_int_equal(sched_add(&w->s, &w->e[i]), 0);
	w->is_in[i] = true;
}

static void interrupt_is_due(struct world *w, u32 i)
{
	struct transition t = {.vtime_ns = w->now,
			       .kind = TRANSITION_intr_due,
			       .vcpu_id = w->e[i].vcpu_id,
			       .level = 1};
	struct ev_intr_due due = {.due_ns = w->now, .source = INTR_SOURCE_LAPIC_TIMER};

	memcpy(t.p, &due, sizeof(due));
	if (w->s.policy->transition)
		sched_transition(&w->s, &t);
}

/* The guest on @worker takes an interrupt, or halts. */
static void guest_acts(struct world *w, u32 worker, bool halts)
{
	struct sched_vp *e = w->s.running[worker];
	struct transition t = {.vtime_ns = w->now,
			       .vcpu_id = EVENT_ID_TRACKED | e->vcpu_id,
			       .level = 2,
			       .worker = (u16)worker};

	if (halts) {
		struct ev_vm_exit x = {.exit_reason = EXIT_REASON_HLT, .reflected = 1};
		t.kind = TRANSITION_vm_exit;
		memcpy(t.p, &x, sizeof(x));
	} else {
		struct ev_vm_entry x = {.intr_info = INTR_INFO_VALID | 32};
		t.kind = TRANSITION_vm_entry;
		memcpy(t.p, &x, sizeof(x));
	}
	if (w->s.policy->transition)
		sched_transition(&w->s, &t);
}

static void leave(struct world *w, u32 worker, enum sched_put_reason why)
{
	sched_put(&w->s, worker, w->now, w->now - w->start_ns[worker], why);
}

static void take(struct world *w, u32 worker)
{
	struct sched_vp *e = sched_pick(&w->s, worker, w->now, &w->slice_ns[worker]);

	w->start_ns[worker] = w->now;
	if (!e) {
		for (u32 i = 0; i < N; i++)
			assert_false(w->is_in[i] && w->e[i].state == SCHED_READY);
		return;
	}
	assert_true(w->is_in[e - w->e]);
	assert_true(w->slice_ns[worker] > 0);
}

static void step(struct world *w)
{
	u32 i = (u32)next_random(w, N), worker = (u32)next_random(w, WORKERS);
	struct sched_vp *running = w->s.running[worker];

	w->now += next_random(w, 300 * NS_PER_US);
	switch (next_random(w, 14)) {
	case 0 ... 3:
		if (!w->is_in[i])
			break;
		interrupt_is_due(w, i);
		sched_wake(&w->s, &w->e[i], w->now, NULL);
		break;
	case 4: /* a machine stops or crashes, wherever it is */
		if (!w->is_in[i] || next_random(w, 4))
			break;
		if (w->e[i].state == SCHED_RUNNING)
			leave(w, (u32)w->e[i].worker, SCHED_PUT_GONE);
		sched_remove(&w->s, &w->e[i]);
		memset(&w->e[i], 0x5a, sizeof(w->e[i]));
		w->is_in[i] = false;
		break;
	case 5:
		if (!w->is_in[i])
			come(w, i);
		break;
	case 6 ... 7:
		if (running)
			guest_acts(w, worker, next_random(w, 2));
		break;
	case 8: /* it waits for a sibling: six processors a machine */
		if (!running)
			break;
		sched_spin(&w->s, worker, w->now);
		leave(w, worker, SCHED_PUT_SLICE);
		break;
	case 9:
		if (running)
			assert_true(sched_extension(&w->s, worker, w->now) < NS_PER_MS);
		break;
	default:
		if (running)
			leave(w, worker, (enum sched_put_reason)next_random(w, 3));
		else
			take(w, worker);
	}
}

static void nobody_is_left(struct world *w)
{
	for (u32 k = 0; k < w->s.workers; k++)
		if (w->s.running[k])
			leave(w, k, SCHED_PUT_GONE);
	for (u32 i = 0; i < N; i++)
		if (w->is_in[i])
			sched_remove(&w->s, &w->e[i]);
	assert_int_equal(w->s.n_ready, 0);
	assert_int_equal(w->s.n_entities, 0);
	take(w, 0);
	assert_null(w->s.running[0]);
}

static void queues_stay_right(void **state)
{
	static struct world w;

	(void)state;
	for (u32 p = 0; sched_policies[p]; p++) {
		const struct sched_config cfg = {
			.policy = sched_policies[p], .workers = WORKERS, .slice_ns = 3 * NS_PER_MS};
		w = (struct world){.seed = SEED + p};
		assert_int_equal(sched_init(&w.s, &cfg), 0);
		for (u32 i = 0; i < N; i++)
			come(&w, i);
		for (u32 n = 0; n < STEPS; n++)
			step(&w);
		nobody_is_left(&w);
		sched_fini(&w.s);
	}
}

/* --- one processor with a guest that has 2 ms of work each 10 ms --- */

/* Its jobs begin with an interrupt that no VM entry brings (virtual-interrupt delivery, as Linux'
 * KVM has it). */
static void takes_interrupt(struct world *w)
{
	struct transition t = {
		.kind = TRANSITION_intr_injected, .vcpu_id = EVENT_ID_TRACKED | 1, .level = 2};
	struct ev_intr_injected injected = {.vector = 64, .kind = INTR_KIND_EXTERNAL};

	t.vtime_ns = w->now += 20 * NS_PER_US;
	memcpy(t.p, &injected, sizeof(injected));
	sched_transition(&w->s, &t);
}

static void gets_interrupt(struct world *w)
{
	interrupt_is_due(w, 0);
	takes_interrupt(w);
}

static void rests(struct world *w)
{
	struct transition t = {.vtime_ns = w->now,
			       .kind = TRANSITION_vm_exit,
			       .vcpu_id = EVENT_ID_TRACKED | 1,
			       .level = 2};
	struct ev_vm_exit halts = {.exit_reason = EXIT_REASON_HLT, .reflected = 1};

	memcpy(t.p, &halts, sizeof(halts));
	sched_transition(&w->s, &t);
}

/* The newest decision about the guest that was told; false: none. */
static bool told(struct world *w, struct ev_sched_reserve *newest)
{
	struct sched_note note;
	bool any = false;

	while (sched_take_note(&w->s, &note)) {
		if (note.kind != TRANSITION_sched_reserve ||
		    note.sched_reserve.entity != (EVENT_ID_TRACKED | 1))
			continue;
		*newest = note.sched_reserve;
		any = true;
	}
	return any;
}

static void begin_periodic(struct world *w)
{
	const struct sched_config cfg = {
		.policy = &sched_policy_qos, .workers = 1, .slice_ns = 3 * NS_PER_MS};

	*w = (struct world){.now = NS_PER_MS, .seed = SEED};
	assert_int_equal(sched_init(&w->s, &cfg), 0);
	w->e[0] = (struct sched_vp){.vcpu_id = 0};
	assert_int_equal(sched_add(&w->s, &w->e[0]), 0);
	w->is_in[0] = true;
	sched_wake(&w->s, &w->e[0], w->now, NULL);
	take(w, 0);
	for (u32 n = 0; n < 40; n++) {
		w->now += 8 * NS_PER_MS;
		gets_interrupt(w);
		w->now += 2 * NS_PER_MS - 20 * NS_PER_US;
		rests(w);
	}
}

static void claims_by_virtual_delivery(void **state)
{
	static struct world w;
	struct ev_sched_reserve r;

	(void)state;
	begin_periodic(&w);
	assert_true(told(&w, &r));
	assert_int_equal(r.reason, RESERVE_ADMITTED);
	assert_int_equal(r.period_ns, 10 * NS_PER_MS);
	assert_true(r.budget_ns > 2 * NS_PER_MS);
	nobody_is_left(&w);
	sched_fini(&w.s);
}

/* Jobs that are not done because others had the processor say nothing about the need (anti-windup);
 * those that used up what was reserved do. */
static void learns_from_what_was_delivered(void **state)
{
	static struct world w;
	struct ev_sched_reserve r;

	(void)state;
	begin_periodic(&w);
	told(&w, &r);
	for (u32 n = 0; n < 12; n++) {
		w.now += 8 * NS_PER_MS;
		gets_interrupt(&w);
		leave(&w, 0, SCHED_PUT_SLICE);
		w.now += 2 * NS_PER_MS - 20 * NS_PER_US;
		take(&w, 0);
	}
	assert_false(told(&w, &r));
	w.now += 8 * NS_PER_MS;
	rests(&w);
	for (u32 n = 0; n < 12; n++) {
		gets_interrupt(&w);
		w.now += 9 * NS_PER_MS;
		leave(&w, 0, SCHED_PUT_SLICE);
		w.now += NS_PER_MS - 20 * NS_PER_US;
		take(&w, 0);
	}
	assert_true(told(&w, &r));
	assert_true(r.estimate_ns > 3 * NS_PER_MS);
	nobody_is_left(&w);
	sched_fini(&w.s);
}

static void runs_on(struct world *w, u64 ns)
{
	w->now += ns;
	leave(w, 0, SCHED_PUT_SLICE);
	take(w, 0);
}

/*
 * Work of 2 ms, and every eighth time 4 ms, beside a machine that uses all it gets. All of it is
 * reserved where the share allows; half as much again as the share where the usual job fits; nothing
 * where it does not.
 */
static void gets_what_its_share_allows(void **state)
{
	static struct world w;
	struct ev_sched_reserve r;
	const struct {
		u32 other_weight, reason;
	} t[] = {{1024, RESERVE_ADMITTED}, {3333, RESERVE_SQUEEZED}, {8192, RESERVE_REFUSED_SHARE}};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		begin_periodic(&w);
		runs_on(&w, 0); /* the time that it had alone is no debt */
		w.e[1] = (struct sched_vp){.vcpu_id = 1 << 16, .weight = t[i].other_weight};
		assert_int_equal(sched_add(&w.s, &w.e[1]), 0);
		w.is_in[1] = true;
		sched_wake(&w.s, &w.e[1], w.now, NULL);
		u64 due_ns = w.now - 2 * NS_PER_MS;
		for (u32 n = 0; n < 80; n++) {
			due_ns += 10 * NS_PER_MS;
			while (w.now < due_ns)
				runs_on(&w, MIN(due_ns - w.now, w.slice_ns[0]));
			interrupt_is_due(&w, 0);
			for (runs_on(&w, 0); w.s.running[0] != &w.e[0];)
				runs_on(&w, NS_PER_MS);
			takes_interrupt(&w);
			w.now += n % 8 == 7 ? 4 * NS_PER_MS : 2 * NS_PER_MS;
			rests(&w);
		}
		assert_true(told(&w, &r));
		assert_int_equal(r.reason, t[i].reason);
		if (r.reason == RESERVE_ADMITTED)
			assert_true(r.budget_ns > 4 * NS_PER_MS);
		else
			assert_int_equal(r.budget_ns, r.reason == RESERVE_SQUEEZED
							      ? r.limit_ns + r.limit_ns / 2
							      : 0);
		nobody_is_left(&w);
		sched_fini(&w.s);
	}
}

/* --- waits in PAUSEs (B8): processors 0 and 1 of one machine, and of another one as many as it takes --- */

static void begin_waits(struct world *w, u32 n)
{
	const struct sched_config cfg = {
		.policy = &sched_policy_qos, .workers = 1, .slice_ns = 3 * NS_PER_MS};

	*w = (struct world){.now = NS_PER_MS, .seed = SEED};
	assert_int_equal(sched_init(&w->s, &cfg), 0);
	for (u32 i = 0; i < n; i++) {
		w->e[i] = (struct sched_vp){.vcpu_id = i < 2 ? i : 1 << 16 | (i - 2)};
		assert_int_equal(sched_add(&w->s, &w->e[i]), 0);
		w->is_in[i] = true;
	}
}

/* Whoever is next runs for @ns; then its slice is over. */
static struct sched_vp *runs(struct world *w, u64 ns)
{
	take(w, 0);
	struct sched_vp *e = w->s.running[0];

	w->now += ns;
	leave(w, 0, SCHED_PUT_SLICE);
	return e;
}

/* Processor 1 comes in, finds the lock of processor 0 taken, and gives way. */
static void one_waits(struct world *w)
{
	sched_wake(&w->s, &w->e[1], w->now, NULL);
	take(w, 0);
	assert_ptr_equal(w->s.running[0], &w->e[1]);
	w->now += 4 * NS_PER_US;
	sched_spin(&w->s, 0, w->now);
	leave(w, 0, SCHED_PUT_SLICE);
}

static void who_holds_the_lock_is_next(void **state)
{
	static struct world w;

	(void)state;
	begin_waits(&w, 4);
	sched_wake(&w.s, &w.e[0], w.now, NULL);
	assert_ptr_equal(runs(&w, 3 * NS_PER_MS), &w.e[0]);
	one_waits(&w);
	for (u32 i = 2; i < 4; i++) /* who have had nothing yet */
		sched_wake(&w.s, &w.e[i], w.now, NULL);
	assert_ptr_equal(runs(&w, 500 * NS_PER_US), &w.e[0]);
	assert_int_equal(w.slice_ns[0], 500 * NS_PER_US);
	assert_ptr_not_equal(runs(&w, 3 * NS_PER_MS), &w.e[0]); /* once */
	nobody_is_left(&w);
	sched_fini(&w.s);
}

/* ... but not who is more than two slices ahead of its share. */
static void waits_starve_nobody(void **state)
{
	static struct world w;

	(void)state;
	begin_waits(&w, 4);
	sched_wake(&w.s, &w.e[0], w.now, NULL);
	for (u32 i = 0; i < 4; i++)
		assert_ptr_equal(runs(&w, 3 * NS_PER_MS), &w.e[0]);
	w.e[0].vruntime_ns += 30 * NS_PER_MS;
	one_waits(&w);
	for (u32 i = 2; i < 4; i++)
		sched_wake(&w.s, &w.e[i], w.now, NULL);
	assert_ptr_not_equal(runs(&w, NS_PER_MS), &w.e[0]);
	nobody_is_left(&w);
	sched_fini(&w.s);
}

/* Who is waited for when its slice ends gets to its unlock: 100 us, once a slice. */
static void who_is_waited_for_runs_on(void **state)
{
	static struct world w;

	(void)state;
	begin_waits(&w, 3);
	sched_wake(&w.s, &w.e[0], w.now, NULL);
	take(&w, 0);
	w.now += 3 * NS_PER_MS;
	assert_int_equal(sched_extension(&w.s, 0, w.now), 0); /* nobody waits */
	leave(&w, 0, SCHED_PUT_SLICE);
	one_waits(&w);
	take(&w, 0);
	assert_ptr_equal(w.s.running[0], &w.e[0]);
	w.now += 500 * NS_PER_US;
	assert_int_equal(sched_extension(&w.s, 0, w.now), 100 * NS_PER_US);
	w.now += 100 * NS_PER_US;
	assert_int_equal(sched_extension(&w.s, 0, w.now), 0);
	leave(&w, 0, SCHED_PUT_SLICE);
	nobody_is_left(&w);
	sched_fini(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(queues_stay_right),
					   cmocka_unit_test(claims_by_virtual_delivery),
					   cmocka_unit_test(learns_from_what_was_delivered),
					   cmocka_unit_test(gets_what_its_share_allows),
					   cmocka_unit_test(who_holds_the_lock_is_next),
					   cmocka_unit_test(waits_starve_nobody),
					   cmocka_unit_test(who_is_waited_for_runs_on)};

	return cmocka_run_group_tests_name("sched_policies", tests, NULL, NULL);
}
