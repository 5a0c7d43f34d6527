/* Inference from synthetic arrivals and jobs: period, budget, real-time or not. Seeds are fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "l0/sched/budget.h"
#include "l0/sched/period.h"
#include "l0/sched/realtime.h"

#define MS NS_PER_MS
#define SEED 0x9e3779b97f4a7c15ull

static u64 next_random(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

static void assert_near(u64 got, u64 want, u64 tolerance)
{
	assert_in_range(got, want - tolerance, want + tolerance);
}

static void exact_grid(void **state)
{
	struct period p = {0};

	(void)state;
	for (u64 i = 1; i <= 20; i++)
		period_arrival(&p, i * 10 * MS);
	assert_int_equal(p.y_ns, 10 * MS);
	assert_int_equal(p.lost, 0);
	assert_true(period_expects(&p, 210 * MS));
	assert_false(period_expects(&p, 215 * MS));
}

static void jitter_is_followed(void **state)
{
	struct period p = {0};
	u64 seed = SEED, expected = 0;

	(void)state;
	for (u64 i = 1; i <= 200; i++) {
		u64 due = i * 5 * MS + next_random(&seed) % (600 * NS_PER_US);
		expected += i > 50 && period_expects(&p, due);
		period_arrival(&p, due);
	}
	assert_near(p.y_ns, 5 * MS, 100 * NS_PER_US);
	assert_int_equal(expected, 150);
}

static void lost_ticks_leave_holes_only(void **state)
{
	struct period p = {0};
	u64 seed = SEED;

	(void)state;
	for (u64 i = 1; i <= 100; i++)
		if (i < 10 || next_random(&seed) % 4)
			period_arrival(&p, i * 10 * MS);
	assert_near(p.y_ns, 10 * MS, 1000);
	assert_true(p.lost > 0);
}

static void change_of_period(void **state)
{
	static const u64 ys[] = {10, 5, 10, 7};
	struct period p = {0};
	u64 now = 0;

	(void)state;
	for (u32 k = 0; k < ARRAY_SIZE(ys); k++) {
		for (u32 i = 0; i < 20; i++)
			period_arrival(&p, now += ys[k] * MS);
		assert_near(p.y_ns, ys[k] * MS, ys[k] * MS / 10);
	}
}

/* 6 and 10 ms interleaved: neither alone explains the gaps, a grid of their divisor does. */
static void two_sources(void **state)
{
	struct period p = {0};

	(void)state;
	for (u64 t = 1; t <= 300; t++)
		if (t % 6 == 0 || t % 10 == 0)
			period_arrival(&p, t * MS);
	assert_near(p.y_ns, 2 * MS, 10 * NS_PER_US);

	/* gaps of 4 and 6 ms by turns: no gap is as short as their divisor */
	period_drop(&p);
	for (u64 t = 1; t <= 300; t++)
		if (t % 10 == 0 || t % 10 == 4)
			period_arrival(&p, t * MS);
	assert_near(p.y_ns, 2 * MS, 10 * NS_PER_US);
	assert_true(p.by_divisor);
	assert_true(period_expects(&p, 304 * MS) && period_expects(&p, 310 * MS));
}

static void a_stop_and_a_flood(void **state)
{
	struct period p = {0};

	(void)state;
	for (u64 i = 1; i <= 10; i++)
		period_arrival(&p, i * 10 * MS);
	assert_false(period_is_silent(&p, 144 * MS));
	assert_true(period_is_silent(&p, 146 * MS));
	period_drop(&p);
	assert_int_equal(p.y_ns, 0);
	for (u64 i = 1; i <= 100; i++)
		period_arrival(&p, i * 100 * NS_PER_US);
	assert_int_equal(p.y_ns, 0);
}

static void budget_up_at_once_down_slowly(void **state)
{
	struct budget b = {0};

	(void)state;
	for (u32 i = 0; i < 20; i++)
		budget_finished(&b, 2 * MS, 10 * MS);
	assert_int_equal(b.x_ns, 2 * MS);
	budget_finished(&b, 4 * MS, 10 * MS);
	assert_int_equal(b.x_ns, 4 * MS);
	assert_int_equal(budget_median_ns(&b), 2 * MS);
	for (u32 i = 0; i < 7; i++)
		budget_finished(&b, 2 * MS, 10 * MS);
	assert_int_equal(b.x_ns, 4 * MS); /* one in eight is long: covered */
	budget_finished(&b, 2 * MS, 10 * MS);
	assert_near(b.x_ns, 3500 * NS_PER_US, 1);
	for (u32 i = 0; i < 11; i++)
		budget_finished(&b, 2 * MS, 10 * MS);
	assert_near(b.x_ns, 2 * MS, 200 * NS_PER_US);
	for (u32 i = 0; i < 100; i++)
		budget_unfinished(&b, 3 * MS, 5 * MS);
	assert_int_equal(b.x_ns, 5 * MS); /* no wind-up */
}

static void realtime_by_finished_jobs(void **state)
{
	struct realtime r = {0};

	(void)state;
	realtime_job(&r, true);
	realtime_job(&r, true);
	assert_false(r.is_rt);
	realtime_job(&r, true);
	assert_true(r.is_rt);
	for (u32 i = 0; i < 16; i++)
		realtime_job(&r, false);
	assert_false(r.is_rt);
}

static void trials_of_the_starved(void **state)
{
	struct realtime r = {0};
	u64 budget = 0;
	u32 on = 0, first;

	(void)state;
	for (u32 i = 0; i < 3; i++)
		realtime_job(&r, false);
	assert_true(realtime_trial(&r, 1 * MS, 10 * MS, &budget));
	assert_int_equal(budget, 2 * MS);
	for (first = 1; realtime_trial(&r, 1 * MS, 10 * MS, &budget); first++)
		;
	assert_int_equal(first, TRIAL_PERIODS);
	for (u32 i = 0; i < 24; i++)
		on += realtime_trial(&r, 1 * MS, 10 * MS, &budget);
	assert_int_equal(on, 0);
	assert_true(realtime_trial(&r, 1 * MS, 10 * MS, &budget));
	assert_int_equal(budget, 3 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_grid),
		cmocka_unit_test(jitter_is_followed),
		cmocka_unit_test(lost_ticks_leave_holes_only),
		cmocka_unit_test(change_of_period),
		cmocka_unit_test(two_sources),
		cmocka_unit_test(a_stop_and_a_flood),
		cmocka_unit_test(budget_up_at_once_down_slowly),
		cmocka_unit_test(realtime_by_finished_jobs),
		cmocka_unit_test(trials_of_the_starved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
