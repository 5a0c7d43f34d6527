/* CPU pressure and parking: consolidation under pressure, turns on one place, shares, release. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "l0/arch/events.h"
#include "l0/sched/sched.h"

#define N 5 /* machine 0 has four processors, machine 1 one */
#define SLICE NS_PER_MS

struct fix {
	struct sched s;
	struct sched_vp e[N];
	u64 now, ran[N];
};

static int setup(void **state)
{
	static struct fix f;
	const struct sched_config cfg = {
		.policy = &sched_policy_credit, .workers = 1, .slice_ns = SLICE, .parking = true};

	f = (struct fix){.now = NS_PER_MS};
	assert_int_equal(sched_init(&f.s, &cfg), 0);
	for (u32 i = 0; i < N; i++) {
		f.e[i].vcpu_id = i < 4 ? i : 1 << 16;
		f.e[i].weight = i < 4 ? 256 : 1024;
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

static u32 run(struct fix *f, enum sched_put_reason why)
{
	u64 slice;
	struct sched_vp *e = sched_pick(&f->s, 0, f->now, &slice);

	assert_non_null(e);
	f->now += slice;
	f->ran[e - f->e] += slice;
	sched_put(&f->s, 0, f->now, slice, why);
	return (u32)(e - f->e);
}

static void run_for(struct fix *f, u64 ns)
{
	for (u64 end = f->now + ns; f->now < end;)
		run(f, SCHED_PUT_SLICE);
}

static u32 sharing(const struct fix *f)
{
	u32 n = 0;

	for (u32 i = 0; i < N; i++)
		n += f->e[i].shares_place;
	return n;
}

static void pressure_parks_and_shares_stay(void **state)
{
	struct fix *f = *state;
	struct sched_note note;
	u32 parked = 0;

	run_for(f, 2 * NS_PER_SEC);
	/* four processors with one half of a CPU: three of four runnable ones would wait at any
	 * time */
	assert_int_equal(sharing(f), 4);
	assert_false(f->e[4].shares_place);
	assert_int_equal(f->e[0].weight, 1024);
	while (sched_take_note(&f->s, &note)) {
		assert_int_equal(note.kind, TRANSITION_cpu_pressure);
		parked += note.cpu_pressure.action == PRESSURE_PARK;
	}
	assert_int_equal(parked, 3);
	for (u32 i = 0; i < N; i++)
		f->ran[i] = 0;
	run_for(f, 4 * NS_PER_SEC);
	assert_in_range(f->ran[4], 1990 * NS_PER_MS, 2010 * NS_PER_MS); /* its half */
	for (u32 i = 0; i < 4; i++)					/* turns */
		assert_in_range(f->ran[i], 495 * NS_PER_MS, 505 * NS_PER_MS);
}

static void the_place_goes_on_when_one_blocks_or_goes(void **state)
{
	struct fix *f = *state;
	u32 first, next;

	run_for(f, 2 * NS_PER_SEC);
	do
		first = run(f, SCHED_PUT_BLOCK);
	while (first == 4 && (sched_wake(&f->s, &f->e[4], f->now, NULL), true));
	do
		next = run(f, SCHED_PUT_SLICE);
	while (next == 4);
	assert_int_not_equal(next, first);
	sched_wake(&f->s, &f->e[first], f->now, NULL);
	assert_int_equal(f->e[first].state, SCHED_PARKED);
	sched_remove(&f->s, &f->e[first]); /* its machine crashed */
	for (u32 i = 0; i < 3; i++)
		if (i != first)
			sched_remove(&f->s, &f->e[i]);
	if (first != 3)
		sched_remove(&f->s, &f->e[3]);
	assert_int_equal(f->s.n_parked, 0);
	assert_int_equal(f->s.n_ready, 1);
	assert_int_equal(run(f, SCHED_PUT_SLICE), 4);
}

static void idle_time_and_less_pressure_release(void **state)
{
	struct fix *f = *state;

	run_for(f, 2 * NS_PER_SEC);
	assert_int_equal(sharing(f), 4);
	/* two of them and the other machine halt for good */
	for (u32 i = 0, halted = 0; halted < 3; i++) {
		u32 who = run(f, SCHED_PUT_BLOCK);
		if (who == 2 || who == 3 || who == 4)
			halted++;
		else
			sched_wake(&f->s, &f->e[who], f->now, NULL);
	}
	run_for(f, 3 * NS_PER_SEC);
	/* the two that run have a place each, half of the time: neither much pressure nor little */
	assert_true(sharing(f) < 4);
	assert_int_equal(f->s.n_parked, 0);
	assert_in_range(f->s.machine[0].permille, 200, 550);
	for (u32 i = 0; i < N; i++)
		if (!f->e[i].shares_place)
			assert_int_equal(f->e[i].weight, i < 4 ? 256 : 1024);
	for (u32 i = 0; i < N; i++)
		sched_remove(&f->s, &f->e[i]);
	assert_int_equal(f->s.n_ready + f->s.n_parked + f->s.n_entities, 0);
}

static u32 told(struct fix *f, u32 action, u32 *who)
{
	struct sched_note note;
	u32 n = 0;

	while (sched_take_note(&f->s, &note))
		if (note.kind == TRANSITION_cpu_pressure && note.cpu_pressure.action == action) {
			n++;
			*who = (u32)note.cpu_pressure.vcpu;
		}
	return n;
}

/* Machine 0's guest can be asked for all but its first processor. Return: the one that it is. */
static u32 ask(struct fix *f)
{
	u32 who = 0;

	for (u32 i = 1; i < 4; i++)
		f->e[i].can_go = true;
	run_for(f, NS_PER_SEC);
	assert_int_equal(told(f, PRESSURE_ASK, &who), 1);
	return who;
}

static void guests_are_asked(void **state)
{
	struct fix *f = *state;
	u32 who = ask(f);

	assert_in_range(who, 1, 3);
	assert_int_equal(sharing(f), 0);

	/* it does without: the machine's weight stays whole */
	for (u32 gone = 1; gone < 4; gone++) {
		u32 w;
		while ((w = run(f, SCHED_PUT_BLOCK)) != who)
			sched_wake(&f->s, &f->e[w], f->now, NULL);
		sched_set_out(&f->s, &f->e[who], true);
		u32 sum = 0;
		for (u32 i = 0; i < 4; i++)
			sum += f->e[i].is_out ? 0 : f->e[i].weight;
		assert_in_range(sum, 1022, 1024);
		run_for(f, 2 * NS_PER_SEC);
		/* two have 25 % each, one 50 % */
		assert_int_equal(told(f, PRESSURE_ASK, &who), gone < 3);
	}
	u64 before = f->ran[4];
	run_for(f, NS_PER_SEC);
	assert_in_range(f->ran[4] - before, 490 * NS_PER_MS, 510 * NS_PER_MS);

	/* the other machine rests: given back, one by one */
	for (u32 w; (w = run(f, SCHED_PUT_BLOCK)) != 4;)
		sched_wake(&f->s, &f->e[w], f->now, NULL);
	u32 back = 0;
	for (u32 i = 0; i < 300; i++) { /* and it has little to do itself */
		u32 w = run(f, SCHED_PUT_BLOCK);
		f->now += 10 * NS_PER_MS;
		sched_wake(&f->s, &f->e[w], f->now, NULL);
		if (told(f, PRESSURE_GIVE, &who)) {
			sched_set_out(&f->s, &f->e[who], false);
			back++;
		}
	}
	assert_int_equal(back, 3);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(f->e[i].weight, 256);
}

/* Refused, and then not answered: places are shared meanwhile, and it is asked again later. */
static void guests_that_will_not(void **state)
{
	struct fix *f = *state;
	u32 who = ask(f);

	sched_refused(&f->s, &f->e[who]);
	run_for(f, 2 * NS_PER_SEC);
	assert_int_equal(sharing(f), 4);
	assert_int_equal(told(f, PRESSURE_ASK, &who), 0);
	sched_remove(&f->s, &f->e[who]);
	assert_int_equal(sched_add(&f->s, &f->e[who]), 0);
	sched_wake(&f->s, &f->e[who], f->now, NULL);
	run_for(f, 20 * NS_PER_SEC);
	assert_in_range(told(f, PRESSURE_ASK, &who), 1, 3);
	for (u32 i = 0; i < N; i++)
		if (f->e[i].state != SCHED_RUNNING)
			sched_remove(&f->s, &f->e[i]);
	assert_int_equal(f->s.n_ready + f->s.n_parked + f->s.n_entities, 0);
}

/* It answers when nobody waits any longer: it is as good as one that answers at once. */
static void a_late_answer(void **state)
{
	struct fix *f = *state;
	u32 late = ask(f), who;

	run_for(f, 7 * NS_PER_SEC);
	assert_int_equal(sharing(f), 4);
	for (u32 w; (w = run(f, SCHED_PUT_BLOCK)) != late;)
		sched_wake(&f->s, &f->e[w], f->now, NULL);
	sched_set_out(&f->s, &f->e[late], true);
	for (u32 i = 0; i < N - 1; i++) /* all rest, and then one of them has little to do */
		run(f, SCHED_PUT_BLOCK);
	bool back = false;
	for (u32 i = 0; i < 1000 && !back; i++) {
		sched_wake(&f->s, &f->e[0], f->now, NULL);
		run(f, SCHED_PUT_BLOCK);
		f->now += 10 * NS_PER_MS;
		back = told(f, PRESSURE_GIVE, &who);
	}
	assert_true(back);
	assert_int_equal(who, late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pressure_parks_and_shares_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(the_place_goes_on_when_one_blocks_or_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(idle_time_and_less_pressure_release, setup,
						teardown),
		cmocka_unit_test_setup_teardown(guests_are_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(guests_that_will_not, setup, teardown),
		cmocka_unit_test_setup_teardown(a_late_answer, setup, teardown),
	};

	return cmocka_run_group_tests_name("sched_park", tests, NULL, NULL);
}
