/* The scheduler's mechanism and round robin: states, order, lost wake-ups, removal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "l0/sched/sched.h"

#define N 4

struct fix {
	struct sched s;
	struct sched_vp e[N];
};

static int setup(void **state)
{
	static struct fix f;
	const struct sched_config cfg = {
		.policy = &sched_policy_rr, .workers = 2, .slice_ns = 1000};

	f = (struct fix){0};
	assert_int_equal(sched_init(&f.s, &cfg), 0);
	for (u32 i = 0; i < N; i++) {
		f.e[i].vcpu_id = i;
		sched_add(&f.s, &f.e[i]);
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

static u32 pick(struct fix *f, u32 worker)
{
	u64 slice = 0;
	struct sched_vp *e = sched_pick(&f->s, worker, 0, &slice);

	if (e)
		assert_int_equal(slice, 1000);
	return e ? e->vcpu_id : ~0u;
}

static void rotates_in_order(void **state)
{
	struct fix *f = *state;

	assert_int_equal(pick(f, 0), ~0u);
	for (u32 i = 0; i < 3; i++)
		sched_wake(&f->s, &f->e[i], 0, NULL);
	for (u32 round = 0; round < 9; round++) {
		assert_int_equal(pick(f, 0), round % 3);
		sched_put(&f->s, 0, 0, 1000, SCHED_PUT_SLICE);
	}
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(f->e[i].ran_ns, 3000);
}

static void preempted_keeps_its_turn(void **state)
{
	struct fix *f = *state;

	sched_wake(&f->s, &f->e[0], 0, NULL);
	sched_wake(&f->s, &f->e[1], 0, NULL);
	assert_int_equal(pick(f, 0), 0);
	sched_put(&f->s, 0, 0, 10, SCHED_PUT_PREEMPT);
	assert_int_equal(pick(f, 0), 0);
}

static void wakes_are_not_lost(void **state)
{
	struct fix *f = *state;
	bool was_blocked;

	sched_wake(&f->s, &f->e[0], 0, &was_blocked);
	assert_true(was_blocked);
	sched_wake(&f->s, &f->e[0], 0, &was_blocked); /* twice: one place in the queue */
	assert_false(was_blocked);
	assert_int_equal(pick(f, 0), 0);
	assert_int_equal(pick(f, 1), ~0u);
	sched_wake(&f->s, &f->e[0], 0, NULL); /* while it runs, just before it blocks */
	sched_put(&f->s, 0, 0, 10, SCHED_PUT_BLOCK);
	assert_int_equal(pick(f, 0), 0);
	sched_wake(&f->s, &f->e[0], 0, NULL);
	sched_wake_seen(&f->s, &f->e[0]);
	sched_put(&f->s, 0, 0, 10, SCHED_PUT_BLOCK);
	assert_int_equal(pick(f, 0), ~0u);
}

static void runs_on_one_worker_only(void **state)
{
	struct fix *f = *state;

	sched_wake(&f->s, &f->e[0], 0, NULL);
	sched_wake(&f->s, &f->e[1], 0, NULL);
	assert_int_equal(pick(f, 0), 0);
	assert_int_equal(f->e[0].worker, 0);
	assert_true(sched_contended(&f->s));
	assert_int_equal(pick(f, 1), 1);
	assert_false(sched_contended(&f->s));
	sched_put(&f->s, 0, 0, 10, SCHED_PUT_GONE);
	assert_int_equal(pick(f, 0), ~0u);
}

static void removal_leaves_the_queue_clean(void **state)
{
	struct fix *f = *state;

	for (u32 i = 0; i < N; i++)
		sched_wake(&f->s, &f->e[i], 0, NULL);
	sched_remove(&f->s, &f->e[1]);
	assert_int_equal(pick(f, 0), 0);
	sched_put(&f->s, 0, 0, 10, SCHED_PUT_GONE);
	sched_remove(&f->s, &f->e[0]);
	assert_int_equal(pick(f, 0), 2);
	assert_int_equal(pick(f, 1), 3);
}

static void waiting_time_is_counted(void **state)
{
	struct fix *f = *state;
	u64 slice;

	sched_wake(&f->s, &f->e[0], 100, NULL);
	assert_ptr_equal(sched_pick(&f->s, 0, 350, &slice), &f->e[0]);
	assert_int_equal(f->e[0].waited_ns, 250);
	assert_ptr_equal(sched_policy_lookup("rr"), &sched_policy_rr);
	assert_null(sched_policy_lookup("no such policy"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rotates_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(preempted_keeps_its_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(wakes_are_not_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_on_one_worker_only, setup, teardown),
		cmocka_unit_test_setup_teardown(removal_leaves_the_queue_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(waiting_time_is_counted, setup, teardown),
	};
	return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
