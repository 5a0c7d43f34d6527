/* Quanta by processor state (qos+state): extension while warm, the end of a turn, pay-back,
 * profiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l0/arch/events.h"
#include "l0/arch/vmexit.h"
#include "l0/sched/sched.h"
#include "trace/transition.h"

#define SLICE (3 * NS_PER_MS)
#define STEP (250 * NS_PER_US)

struct fix {
	struct sched s;
	struct sched_vp e[2];
	u64 tlb[2], code[2], flushes[2];
	u64 now, slice_ns;
};

static int setup(void **state)
{
	static struct fix f;
	const struct sched_config cfg = {
		.policy = &sched_policy_qos_state, .workers = 1, .slice_ns = SLICE};

	f = (struct fix){.now = NS_PER_MS};
	assert_int_equal(sched_init(&f.s, &cfg), 0);
	for (u32 i = 0; i < 2; i++) {
		f.e[i].vcpu_id = i << 16;
		f.e[i].probe = (struct state_probe){&f.tlb[i], &f.code[i], &f.flushes[i]};
		assert_int_equal(sched_add(&f.s, &f.e[i]), 0);
		sched_wake(&f.s, &f.e[i], f.now, NULL);
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	sched_fini(&f->s);
	return 0;
}

static u32 pick(struct fix *f)
{
	struct sched_vp *e = sched_pick(&f->s, 0, f->now, &f->slice_ns);

	assert_non_null(e);
	return (u32)(e - f->e);
}

static void put(struct fix *f)
{
	sched_put(&f->s, 0, f->now, f->now - f->s.running[0]->run_start_ns, SCHED_PUT_SLICE);
}

static void enter(struct fix *f, u32 i, u32 guest)
{
	struct transition t = {.vtime_ns = f->now,
			       .kind = TRANSITION_vm_entry,
			       .vcpu_id = EVENT_ID_TRACKED | i << 16 | guest,
			       .level = 2};

	sched_transition(&f->s, &t);
}

/* Return: whether the slice is to end here. */
static bool leave(struct fix *f, u32 i, u32 guest, u32 reason)
{
	struct transition t = {.vtime_ns = f->now,
			       .kind = TRANSITION_vm_exit,
			       .vcpu_id = EVENT_ID_TRACKED | i << 16 | guest,
			       .level = 2};
	struct ev_vm_exit x = {.exit_reason = reason, .reflected = 1};

	memcpy(t.p, &x, sizeof(x));
	return sched_transition(&f->s, &t) == 0;
}

/* A slice of @i from here on, with @late misses in each step at its end. Return: its length. */
static u64 slice(struct fix *f, u32 late)
{
	u64 from = f->now, more = f->slice_ns;
	u32 i = (u32)(f->s.running[0] - f->e);

	enter(f, i, 0);
	enter(f, i, 1); /* another guest: its state has to be fetched */
	f->tlb[i] += 200;
	do {
		f->now += more;
		more = sched_extension(&f->s, 0, f->now);
		f->tlb[i] += late;
	} while (more);
	return f->now - from;
}

static void warm_goes_on_and_pays_back(void **state)
{
	struct fix *f = *state;
	u64 ran[2] = {0};
	struct state_profile p;

	for (u32 n = 0; n < 40; n++) {
		u32 i = pick(f);
		u64 ns = slice(f, i == 0 ? 2 : 190); /* 0 gets warm, 1 never does */
		assert_in_range(ns, SLICE, 3 * SLICE);
		if (i == 1)
			assert_int_equal(ns, SLICE);
		ran[i] += ns;
		put(f);
	}
	assert_in_range(ran[0] > ran[1] ? ran[0] - ran[1] : ran[1] - ran[0], 0, 3 * SLICE);
	assert_true(sched_profile(&f->s, &f->e[0], &p));
	assert_int_equal(p.ran_ns, ran[0]);
	assert_true(p.n_extended > 3 && p.extended_ns >= p.n_extended * SLICE);
	assert_in_range(state_recent_per_ms(&p), 1, 100);
	assert_true(sched_profile(&f->s, &f->e[1], &p));
	assert_int_equal(p.n_extended, 0);
	assert_true(sched_worker_profile(&f->s, 0, &p));
	assert_int_equal(p.ran_ns, ran[0] + ran[1]);
	assert_int_equal(p.slices, 40);
}

static void a_flush_is_cold(void **state)
{
	struct fix *f = *state;
	u32 i = pick(f);

	enter(f, i, 1);
	f->tlb[i] = 200;
	f->now += f->slice_ns;
	assert_int_equal(sched_extension(&f->s, 0, f->now), STEP);
	f->flushes[i]++;
	f->now += STEP;
	assert_int_equal(sched_extension(&f->s, 0, f->now), 0);
}

static void ends_with_the_turn(void **state)
{
	struct fix *f = *state;
	u32 i = pick(f);
	struct state_profile p;

	enter(f, i, 1);
	f->tlb[i] = 200;
	f->now += SLICE / 2;
	enter(f, i, 1);
	assert_false(leave(f, i, 1, EXIT_REASON_PREEMPTION_TIMER)); /* too early */
	f->now += SLICE / 4;
	assert_false(leave(f, i, 1, EXIT_REASON_CPUID));
	assert_true(leave(f, i, 1, EXIT_REASON_PREEMPTION_TIMER));
	put(f);
	assert_true(sched_profile(&f->s, &f->e[i], &p));
	assert_int_equal(p.n_early, 1);
	assert_int_equal(p.early_ns, SLICE / 4);
	assert_int_not_equal(pick(f), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(warm_goes_on_and_pays_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flush_is_cold, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_with_the_turn, setup, teardown),
	};

	return cmocka_run_group_tests_name("sched_state", tests, NULL, NULL);
}
