/* clock_test.c - l0/time/clock: exact conversions between instructions, nanoseconds and TSC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/time/clock.h"
#include "tests/unit/bus_fixture.h"

static void test_limits(void **state)
{
	struct clock c;

	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 0, 1, 1), -EINVAL);
	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 1, 0, 1), -EINVAL);
	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, CLOCK_RATE_MAX + 1, 1, 1), -EINVAL);
	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 1, 1, 0), -EINVAL);
	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 1, 1, 1), 0);
}

static void test_mul_div(void **state)
{
	assert_int_equal(clock_mul_div(~0ull, 7, 7), ~0ull);
	assert_int_equal(clock_mul_div(~0ull, 8, 7), ~0ull);
	assert_int_equal(clock_mul_div(1ull << 40, 1ull << 40, 1ull << 50), 1ull << 30);
	assert_int_equal(clock_mul_div(10, 1, 3), 3);
}

/* The count for a deadline is the first at which the deadline is reached, for every rate. */
static void test_insns_at(void **state)
{
	static const u32 rates[][2] = {{1, 1}, {1, 3}, {3, 1}, {2, 7}, {1000000, 1}, {1, 1000000}};
	u64 rng = fixture_seed(0x10ca1);

	for (size_t r = 0; r < ARRAY_SIZE(rates); r++) {
		struct clock c;
		struct clock_lane l;
		u64 insns = 0;

		assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, rates[r][0], rates[r][1], 1),
				 0);
		clock_lane_init(&l, &c, 5);
		for (int i = 0; i < 2000; i++) {
			u64 deadline = clock_lane_now(&l, insns) + rng_below(&rng, 5000);
			u64 at = clock_lane_insns_at(&l, deadline);

			assert_true(clock_lane_now(&l, at) >= deadline);
			assert_true(at == l.base_insns || clock_lane_now(&l, at - 1) < deadline);
			insns += rng_below(&rng, 1000);
			if (rng_below(&rng, 4) == 0)
				clock_lane_sync(&l, insns);
		}
		assert_int_equal(clock_lane_insns_at(&l, CLOCK_NEVER), CLOCK_NEVER);
		assert_int_equal(clock_lane_insns_at(&l, 0), l.base_insns);
	}
}

/* Syncing at any point never changes the time: no rounding is lost. */
static void test_sync_is_exact(void **state)
{
	struct clock c;
	struct clock_lane often, never;
	u64 insns = 0, rng = fixture_seed(0x51c);

	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 10, 7, 1), 0);
	clock_lane_init(&often, &c, 0);
	clock_lane_init(&never, &c, 0);
	for (int i = 0; i < 5000; i++) {
		insns += rng_below(&rng, 50);
		clock_lane_sync(&often, insns);
		assert_int_equal(clock_lane_now(&often, insns), clock_lane_now(&never, insns));
	}
}

static void test_lane(void **state)
{
	struct clock c;
	struct clock_lane l;

	assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 1, 1, 1), 0);
	clock_lane_init(&l, &c, 100);
	clock_lane_attach(&l, 7000);
	assert_int_equal(clock_lane_now(&l, 7010), 110);
	clock_lane_charge(&l, 40);
	assert_int_equal(clock_lane_now(&l, 7010), 150);
	clock_lane_sync(&l, 7010);
	clock_lane_attach(&l, 5);
	assert_int_equal(clock_lane_now(&l, 5), 150);
	clock_lane_skip_to(&l, 1000);
	assert_int_equal(clock_lane_now(&l, 6), 1001);
	clock_lane_skip_to(&l, 10);
	assert_int_equal(clock_lane_now(&l, 6), 1001);
	assert_int_equal(l.charged_ns, 40);
	assert_int_equal(l.idle_ns, 850);
}

static void test_tsc(void **state)
{
	static const u64 hz[] = {1000000000, 2400000000, 999999999, 33, 5000000001};
	u64 rng = fixture_seed(0x75c);
	struct clock c;

	for (size_t h = 0; h < ARRAY_SIZE(hz); h++) {
		assert_int_equal(clock_init(&c, CLOCK_KIND_VIRTUAL, 1, 1, hz[h]), 0);
		assert_int_equal(clock_tsc(&c, 1000 * NS_PER_SEC), 1000 * hz[h]);
		for (int i = 0; i < 2000; i++) {
			u64 tsc = rng_next(&rng) >> (rng_below(&rng, 40) + 10);
			u64 ns = clock_ns_of_tsc(&c, tsc);

			if (ns == CLOCK_NEVER)
				continue;
			assert_true(clock_tsc(&c, ns) >= tsc);
			assert_true(ns == 0 || clock_tsc(&c, ns - 1) < tsc);
		}
		assert_true(clock_ns_of_tsc(&c, ~0ull) >= 1ull << 60);
	}
}

static void test_host(void **state)
{
	struct clock c;
	struct clock_lane l;

	assert_int_equal(clock_init(&c, CLOCK_KIND_HOST, 1, 1, 1), 0);
	clock_lane_init(&l, &c, 0);
	u64 a = clock_lane_now(&l, 0), b = clock_lane_now(&l, 1ull << 60);

	assert_true(b >= a);
	assert_int_equal(clock_lane_insns_at(&l, 0), CLOCK_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),	 cmocka_unit_test(test_mul_div),
		cmocka_unit_test(test_insns_at), cmocka_unit_test(test_sync_is_exact),
		cmocka_unit_test(test_lane),	 cmocka_unit_test(test_tsc),
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
