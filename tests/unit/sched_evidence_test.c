/*
 * What L0 infers of guests and tells with its reason (qos): who runs first after interrupts, who
 * runs before the fence, processes that take turns; and that the estimates do not depend on L0's
 * slices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l0/arch/events.h"
#include "l0/arch/vmexit.h"
#include "l0/sched/qos.h"
#include "l0/sched/sched.h"
#include "trace/transition.h"

#define MS NS_PER_MS
#define US NS_PER_US
#define R (EVENT_ID_TRACKED | 1u)
#define B (EVENT_ID_TRACKED | 2u)
#define F (EVENT_ID_TRACKED | 3u)
#define P1 (EVENT_ID_TRACKED | 11u)
#define P2 (EVENT_ID_TRACKED | 12u)
#define P3 (EVENT_ID_TRACKED | 13u)
#define P4 (EVENT_ID_TRACKED | 14u)

struct world {
	struct sched s;
	struct sched_vp child, other;
	u64 now, slice_ns, left_ns; /* of the child's slice */
	u32 inside;
	/* the newest of each sort by entity and process; [what] */
	struct ev_inferred told[3];
	u32 n_told[3];
};

static void feed(struct world *w, u32 kind, u32 vcpu, u8 level, const void *payload, size_t bytes)
{
	struct transition t = {
		.vtime_ns = w->now, .kind = (u8)kind, .vcpu_id = vcpu, .level = level};
	struct sched_note n;

	memcpy(t.p, payload, bytes);
	sched_transition(&w->s, &t);
	while (sched_take_note(&w->s, &n))
		if (n.kind == TRANSITION_inferred) {
			w->told[n.inferred.what] = n.inferred;
			w->n_told[n.inferred.what]++;
		}
}
#define FEED(w, name, vcpu, level, ...) \
	do { \
		struct ev_##name p_ = {__VA_ARGS__}; \
		feed(w, TRANSITION_##name, vcpu, level, &p_, sizeof(p_)); \
	} while (0)

/* The child runs on, after whoever L0 lets run before it. */
static void pick_child(struct world *w)
{
	struct sched_vp *e;
	u64 slice_ns;

	while ((e = sched_pick(&w->s, 0, w->now, &slice_ns)) != &w->child) {
		assert_non_null(e);
		w->now += w->slice_ns;
		sched_put(&w->s, 0, w->now, w->slice_ns, SCHED_PUT_SLICE);
	}
	w->left_ns = w->slice_ns;
}

/* The child has used @ns of CPU time more. */
static void run(struct world *w, u64 ns)
{
	while (ns > w->left_ns) {
		w->now += w->left_ns;
		ns -= w->left_ns;
		sched_put(&w->s, 0, w->now, w->now - w->child.run_start_ns, SCHED_PUT_SLICE);
		pick_child(w);
	}
	w->now += ns;
	w->left_ns -= ns;
}

static void enter(struct world *w, u32 vcpu, bool injects)
{
	w->inside = vcpu;
	FEED(w, vm_entry, vcpu, 2, .intr_info = injects ? INTR_INFO_VALID | 48 : 0);
	run(w, US);
}

static void leave(struct world *w, u32 reason)
{
	FEED(w, vm_exit, w->inside, 2, .exit_reason = reason, .reflected = 1);
	run(w, US);
}

/* The timer of the child is due; the interrupt takes it out of its guest. */
static void interrupt(struct world *w, u64 due_ns)
{
	FEED(w, intr_due, w->child.vcpu_id, 1, .due_ns = due_ns, .source = INTR_SOURCE_LAPIC_TIMER);
	leave(w, EXIT_REASON_EXTERNAL_INTERRUPT);
}

/* Let the child run on in its guest up to @at_ns, if that is not past. */
static void run_until(struct world *w, u64 at_ns)
{
	while (w->now < at_ns)
		run(w, MIN(at_ns - w->now, 50 * US));
}

static void begin(struct world *w, u64 slice_ns, bool contended)
{
	const struct sched_config cfg = {
		.policy = &sched_policy_qos, .workers = 1, .slice_ns = slice_ns};

	memset(w, 0, sizeof(*w));
	assert_int_equal(sched_init(&w->s, &cfg), 0);
	w->slice_ns = slice_ns;
	w->child = (struct sched_vp){.vcpu_id = 0, .weight = 1024};
	w->other = (struct sched_vp){.vcpu_id = 1 << 16, .weight = 1024};
	assert_int_equal(sched_add(&w->s, &w->child), 0);
	assert_int_equal(sched_add(&w->s, &w->other), 0);
	sched_wake(&w->s, &w->child, 0, NULL);
	if (contended)
		sched_wake(&w->s, &w->other, 0, NULL);
	pick_child(w);
	enter(w, B, false);
}

static struct qos_entity *entity(struct world *w, u32 id, u32 process)
{
	struct qos_entity *x = qos_entity_lookup(qos_of(&w->child), id, process);

	assert_non_null(x);
	return x;
}

static void first_after_interrupts(void **state)
{
	static struct world w;

	(void)state;
	begin(&w, 10 * MS, false);
	for (u64 i = 1; i <= 30; i++) { /* R at once; B, who has a tick, too, when R is done */
		run_until(&w, i * 10 * MS);
		interrupt(&w, i * 10 * MS);
		enter(&w, R, true);
		run(&w, 2 * MS);
		leave(&w, EXIT_REASON_HLT);
		enter(&w, B, true);
	}
	assert_int_equal(w.n_told[INFER_FIRST], 1);
	assert_int_equal(w.told[INFER_FIRST].entity, R);
	assert_int_equal(w.told[INFER_FIRST].reason, INFER_AFTER_INTERRUPT);
	assert_int_equal(w.told[INFER_FIRST].confidence, 100);
	assert_true(entity(&w, R, EVENT_NO_ID)->rt.is_rt);
	assert_int_equal(w.told[INFER_REALTIME].reason, INFER_RESTS);
	assert_true(w.told[INFER_REALTIME].holds);
	sched_fini(&w.s);
}

static void before_the_fence(void **state)
{
	static struct world w;

	(void)state;
	begin(&w, 10 * MS, false);
	for (u64 i = 1; i <= 8;
	     i++) { /* B rests each time, as if it were real-time: the fence comes before it */
		run_until(&w, i * 10 * MS);
		interrupt(&w, i * 10 * MS);
		enter(&w, R, true);
		run(&w, MS);
		leave(&w, EXIT_REASON_HLT);
		if (i > 1) /* B's job of before is open */
			enter(&w, F, true);
		if (i > 1) {
			FEED(&w, fence, F, 2, .process = EVENT_NO_ID);
			leave(&w, EXIT_REASON_HLT);
		}
		enter(&w, B, true);
		run(&w, MS);
	}
	assert_true(entity(&w, R, EVENT_NO_ID)->rt.is_rt);
	assert_false(entity(&w, B, EVENT_NO_ID)->rt.is_rt);
	assert_false(entity(&w, F, EVENT_NO_ID)->rt.is_rt);
	assert_true(entity(&w, R, EVENT_NO_ID)->n_fences >= 4);
	assert_int_equal(w.told[INFER_REALTIME].reason, INFER_BEHIND_FENCE);
	assert_int_equal(w.told[INFER_REALTIME].entity, B);
	assert_int_equal(w.told[INFER_REALTIME].confidence, 100);
	sched_fini(&w.s);
}

/*
 * In one guest with a tick each ms: P1 has 2.5 ms of work each 10 ms, ticks in between; P4 a little
 * each 10 ms, after it; the fence P3 at each tick when they are done; P2 computes for ever. Found:
 * P1 and P4 and their period, by the fence; neither P2 nor P3, nor the guest as a whole, whose
 * ticks are no jobs.
 */
static void before_the_fence_process(void **state)
{
	static struct world w;
	u64 todo = 0;

	(void)state;
	begin(&w, 10 * MS, false);
	for (u64 tick = 1; tick <= 200; tick++) {
		bool is_new = tick % 10 == 0;

		run_until(&w, tick * MS);
		interrupt(&w, tick * MS);
		enter(&w, B, true);
		if (is_new)
			FEED(&w, process_switch, B, 2, .prev = P2, .next = P1);
		todo += is_new ? 2500 * NS_PER_US : 0;
		u64 part = MIN(todo, MS - 100 * NS_PER_US);
		run(&w, part);
		todo -= part;
		if (part && todo)
			continue; /* the next tick comes to P1 */
		if (part) {
			FEED(&w, process_switch, B, 2, .prev = P1, .next = P4);
			run(&w, 20 * NS_PER_US);
		}
		FEED(&w, process_switch, B, 2, .prev = part ? P4 : P2, .next = P3);
		FEED(&w, fence, B, 2, .process = P3);
		run(&w, 10 * NS_PER_US);
		FEED(&w, process_switch, B, 2, .prev = P3, .next = P2);
	}
	assert_true(entity(&w, B, P1)->rt.is_rt);
	assert_true(entity(&w, B, P4)->rt.is_rt);
	assert_true(entity(&w, B, P1)->n_fences >= 4 &&
		    entity(&w, B, P1)->fences == (1u << entity(&w, B, P1)->n_fences) - 1);
	assert_false(entity(&w, B, EVENT_NO_ID)->rt.is_rt);
	assert_null(qos_entity_lookup(qos_of(&w.child), B, P2));
	struct qos_entity *helper = qos_entity_lookup(qos_of(&w.child), B, P3);
	assert_true(!helper || !helper->rt.is_rt);
	assert_int_equal(w.told[INFER_REALTIME].reason, INFER_BEFORE_FENCE);
	assert_in_range(entity(&w, B, P1)->period.y_ns, 10 * MS - 1000, 10 * MS + 1000);
	/* with what it still runs before each tick that finds it at work */
	assert_in_range(entity(&w, B, P1)->work_ns, 2650 * NS_PER_US, 2750 * NS_PER_US);
	sched_fini(&w.s);
}

/* P1 has 2.5 ms of work each 10 ms, in turns of 1 ms with P2, who computes for ever. */
static void processes_that_take_turns(void **state)
{
	static struct world w;
	u64 todo = 0;
	u32 current = P2;

	(void)state;
	begin(&w, 10 * MS, false);
	for (u64 tick = 1; tick <= 200; tick++) {
		u32 next = P2;

		run_until(&w, tick * MS);
		interrupt(&w, tick * MS);
		enter(&w, B, true);
		if (tick % 10 == 0)
			todo = 2500 * US;
		if (current == P2 && todo)
			next = P1;
		if (next != current)
			FEED(&w, process_switch, B, 2, .prev = current, .next = next);
		current = next;
		if (current == P1) {
			u64 turn = MIN(todo, 950 * US);
			run(&w, turn);
			todo -= turn;
			if (!todo) {
				FEED(&w, process_switch, B, 2, .prev = P1, .next = P2);
				current = P2;
			}
		}
	}
	const struct qos_entity *x = entity(&w, B, P1);
	assert_true(x->rt.is_rt);
	assert_in_range(x->period.y_ns, 9990 * US, 10010 * US);
	assert_in_range(x->work_ns, 2450 * US, 2600 * US);
	assert_false(entity(&w, B, EVENT_NO_ID)->r_ns);
	assert_null(qos_entity_lookup(qos_of(&w.child), B, P2));
	assert_int_equal(w.told[INFER_REALTIME].process, P1);
	assert_int_equal(w.told[INFER_REALTIME].reason, INFER_GOES);
	sched_fini(&w.s);
}

/* The same guest under other slices of L0: X, Y and the work come out the same. */
static void any_slice_gives_the_same(void **state)
{
	static const u64 slices[] = {200 * US, 500 * US, MS, 3 * MS, 10 * MS, 30 * MS};
	static struct world w;
	u64 x_ns = 0, y_ns = 0;

	(void)state;
	for (u32 n = 0; n < ARRAY_SIZE(slices); n++) {
		begin(&w, slices[n], true);
		for (u64 i = 1; i <= 60; i++) {
			run_until(&w, i * 20 * MS);
			interrupt(&w, i * 20 * MS);
			enter(&w, R, true);
			run(&w, 2 * MS);
			leave(&w, EXIT_REASON_HLT);
			enter(&w, B, false);
		}
		const struct qos_entity *x = entity(&w, R, EVENT_NO_ID);
		assert_true(x->rt.is_rt);
		if (n == 0) {
			x_ns = x->budget.x_ns;
			y_ns = x->period.y_ns;
			assert_in_range(y_ns, 19990 * US, 20010 * US);
			assert_in_range(x_ns, 2 * MS, 2300 * US);
		}
		assert_in_range(x->period.y_ns, y_ns - 20 * US, y_ns + 20 * US);
		assert_in_range(x->budget.x_ns, x_ns - x_ns / 20, x_ns + x_ns / 20);
		assert_in_range(x->work_ns, 1990 * US, 2020 * US);
		sched_fini(&w.s);
	}
}

/* A VMM says what R needs: reserved from the first arrival on, and not changed by what is seen. */
static void declared(void **state)
{
	static struct world w;

	(void)state;
	begin(&w, 10 * MS, false);
	assert_false(sched_declare(&w.s, &w.child, R, 10 * MS, 11 * MS));
	assert_false(sched_declare(&w.s, &w.child, R, 10 * MS, 0));
	assert_false(sched_declare(&w.s, &w.child, R, 0, MS));
	assert_false(sched_declare(&w.s, &w.child, R, 100 * US, 50 * US));
	assert_false(sched_declare(&w.s, &w.child, R, 1ull << 62, MS));
	assert_false(sched_declare(&w.s, &w.child, R, 10 * MS, 1));
	assert_true(sched_declare(&w.s, &w.child, R, 10 * MS, 3 * MS));
	for (u64 i = 1; i <= 20; i++) {
		run_until(&w, i * 10 * MS);
		interrupt(&w, i * 10 * MS);
		enter(&w, R, true);
		run(&w, MS);
		leave(&w, EXIT_REASON_HLT);
		enter(&w, B, false);
		assert_in_range(entity(&w, R, EVENT_NO_ID)->r_ns, 3 * MS, 3500 * US);
	}
	assert_int_equal(entity(&w, R, EVENT_NO_ID)->budget.x_ns, 3 * MS);
	assert_true(sched_declare(&w.s, &w.child, R, 0, 0));
	assert_false(entity(&w, R, EVENT_NO_ID)->rt.is_rt);
	assert_int_equal(entity(&w, R, EVENT_NO_ID)->r_ns, 0);
	sched_fini(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_after_interrupts),
		cmocka_unit_test(before_the_fence),
		cmocka_unit_test(before_the_fence_process),
		cmocka_unit_test(processes_that_take_turns),
		cmocka_unit_test(declared),
		cmocka_unit_test(any_slice_gives_the_same),
	};
	return cmocka_run_group_tests_name("sched_evidence", tests, NULL, NULL);
}
