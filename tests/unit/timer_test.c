/* timer_test.c - l0/time/timer against a sorted list */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/time/timer.h"
#include "tests/unit/bus_fixture.h"

#define N 200

struct entry {
	struct timer t;
	bool armed;
	u64 deadline, order;
	struct model *model;
};

struct model {
	struct timer_queue q;
	struct entry e[N];
	u64 next_order, rng, now;
	u32 fired;
};

static struct entry *model_first(struct model *m)
{
	struct entry *best = NULL;

	for (u32 i = 0; i < N; i++) {
		struct entry *e = &m->e[i];

		if (e->armed && (!best || e->deadline < best->deadline ||
				 (e->deadline == best->deadline && e->order < best->order)))
			best = e;
	}
	return best;
}

static void model_arm(struct model *m, struct entry *e, u64 deadline)
{
	timer_arm(&m->q, &e->t, deadline);
	e->armed = deadline != TIMER_NEVER;
	e->deadline = deadline;
	e->order = m->next_order++;
}

static void fire(void *arg, u64 deadline_ns)
{
	struct entry *e = arg;
	struct model *m = e->model;

	assert_ptr_equal(e, model_first(m));
	assert_int_equal(deadline_ns, e->deadline);
	assert_true(deadline_ns <= m->now);
	e->armed = false;
	m->fired++;
	switch (rng_below(&m->rng, 4)) {
	case 0: model_arm(m, e, deadline_ns + 1 + rng_below(&m->rng, 100)); break;
	case 1:
		e = &m->e[rng_below(&m->rng, N)];
		timer_cancel(&m->q, &e->t);
		e->armed = false;
		break;
	}
}

static void test_random(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->rng = fixture_seed(0x71e4);
	timer_queue_init(&m->q);
	for (u32 i = 0; i < N; i++) {
		m->e[i].model = m;
		timer_init(&m->e[i].t, fire, &m->e[i]);
	}
	for (int step = 0; step < 20000; step++) {
		struct entry *e = &m->e[rng_below(&m->rng, N)];

		switch (rng_below(&m->rng, 8)) {
		case 0:
			timer_cancel(&m->q, &e->t);
			e->armed = false;
			break;
		case 1:
			m->now += rng_below(&m->rng, 60);
			timer_queue_expire(&m->q, m->now, ~0u);
			break;
		case 2: model_arm(m, e, TIMER_NEVER); break;
		default: model_arm(m, e, m->now + rng_below(&m->rng, 50));
		}
		struct entry *first = model_first(m);

		assert_int_equal(timer_queue_next(&m->q), first ? first->deadline : TIMER_NEVER);
		assert_int_equal(timer_is_armed(&e->t), e->armed);
	}
	assert_true(m->fired > 1000);
	free(m);
}

static void rearm_past(void *arg, u64 deadline_ns)
{
	struct entry *e = arg;

	e->order++;
	timer_arm((struct timer_queue *)e->model, &e->t, 0);
}

static void test_limit(void **state)
{
	struct timer_queue q;
	struct entry e = {0};

	timer_queue_init(&q);
	e.model = (void *)&q;
	timer_init(&e.t, rearm_past, &e);
	timer_arm(&q, &e.t, 0);
	assert_int_equal(timer_queue_expire(&q, 10, 100), 100);
	assert_int_equal(e.order, 100);
	timer_cancel(&q, &e.t);
	assert_int_equal(timer_queue_next(&q), TIMER_NEVER);
	timer_cancel(&q, &e.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
