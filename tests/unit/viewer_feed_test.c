/* viewer_feed_test.c - the reading thread and its queue, on a made-up reader */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "viewer/source.h"

#define LIMIT_MS 20000

/* What the next reader does; written before the source is made, or from within the reader. */
static struct script {
	bool fails_to_open;
	u32 opens;	 /* so far */
	u32 fail_first;	 /* so many readers fail after their events */
	u64 events;	 /* of each reader */
	u64 late_every;	 /* each so-many-th event lies before the one before it; 0: none */
	u64 lost;	 /* told once a reader */
	bool then_waits; /* after its events a reader has nothing more, instead of ending */
} script;

struct fake {
	const struct source_sink *sink;
	u64 given;
	bool told_loss;
	bool interrupted; /* atomic */
};

static void *fake_open(const char *address, const struct source_sink *sink, char *why,
		       size_t why_bytes)
{
	struct fake *f;

	script.opens++;
	if (script.fails_to_open) {
		snprintf(why, why_bytes, "%s: no such thing", address);
		return NULL;
	}
	f = calloc(1, sizeof(*f));
	f->sink = sink;
	return f;
}

static enum source_step fake_step(void *reader)
{
	struct fake *f = reader;

	if (__atomic_load_n(&f->interrupted, __ATOMIC_SEQ_CST))
		return SOURCE_STEP_END;
	if (script.lost && !f->told_loss) {
		f->sink->lost(f->sink->arg, script.lost);
		f->told_loss = true;
	}
	for (u32 i = 0; i < 100 && f->given < script.events; i++, f->given++) {
		struct transition t = {
			.kind = TRANSITION_halt, .seq = f->given, .vcpu_id = 1, .level = 1};

		t.vtime_ns = 1000 + f->given;
		if (script.late_every && f->given % script.late_every == script.late_every - 1)
			t.vtime_ns -= 10;
		f->sink->event(f->sink->arg, &t);
	}
	if (f->given < script.events)
		return SOURCE_STEP_MORE;
	if (script.opens <= script.fail_first)
		return SOURCE_STEP_ERROR;
	return script.then_waits ? SOURCE_STEP_WAIT : SOURCE_STEP_END;
}

static const char *fake_why(void *reader)
{
	return "it broke";
}

static void fake_interrupt(void *reader)
{
	__atomic_store_n(&((struct fake *)reader)->interrupted, true, __ATOMIC_SEQ_CST);
}

static const struct source_reader fake_reader = {
	.open = fake_open,
	.step = fake_step,
	.why = fake_why,
	.interrupt = fake_interrupt,
	.close = free,
};

static void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* Pump until @events are in @m and the source says @state. */
static void pump_until(struct source *s, struct model *m, u64 events, enum source_state state)
{
	struct source_status st;

	for (u32 ms = 0; ms < LIMIT_MS; ms++) {
		s->ops->pump(s, m, 1000);
		s->ops->status(s, &st);
		if (model_totals(m)->events >= events && st.state == state)
			return;
		sleep_ms(1);
	}
	print_message("%llu of %llu events, state %u, not %u\n",
		      (unsigned long long)model_totals(m)->events, (unsigned long long)events,
		      st.state, state);
	fail();
}

static void test_saved(void **state)
{
	struct model *m = model_create(NULL);
	struct source *s = source_saved_create("there", &fake_reader);
	struct source_status st;
	char why[SOURCE_WHY_BYTES];

	/* more than the queue holds; nothing is dropped */
	script = (struct script){.events = 100000, .late_every = 1000, .lost = 7};
	assert_int_equal(s->ops->open(s, why), 0);
	pump_until(s, m, 100000, SOURCE_ENDED);
	s->ops->status(s, &st);
	assert_int_equal(model_totals(m)->events, 100000);
	assert_int_equal(model_totals(m)->lost, 7);
	assert_int_equal(st.late, 100);
	assert_int_equal(script.opens, 1);
	s->ops->close(s);
	model_destroy(m);
}

static void test_cannot_open(void **state)
{
	struct source *s = source_saved_create("there", &fake_reader);
	char why[SOURCE_WHY_BYTES];

	script = (struct script){.fails_to_open = true};
	assert_true(s->ops->open(s, why) < 0);
	assert_string_equal(why, "there: no such thing");
	s->ops->close(s);
	/* one that breaks at once cannot be opened either */
	s = source_live_create("net://x/host/h/session", &fake_reader);
	assert_string_equal(s->title, "session");
	script = (struct script){.fail_first = 1};
	assert_true(s->ops->open(s, why) < 0);
	assert_string_equal(why, "it broke");
	s->ops->close(s);
}

static void test_saved_breaks(void **state)
{
	struct model *m = model_create(NULL);
	struct source *s = source_saved_create("there", &fake_reader);
	struct source_status st;
	char why[SOURCE_WHY_BYTES];

	script = (struct script){.events = 1000, .fail_first = 1};
	assert_int_equal(s->ops->open(s, why), 0);
	pump_until(s, m, 1000, SOURCE_FAILED);
	s->ops->status(s, &st);
	assert_string_equal(st.why, "it broke");
	s->ops->close(s);
	model_destroy(m);
}

static void test_live_comes_back(void **state)
{
	struct model *m = model_create(NULL);
	struct source *s = source_live_create("net://there", &fake_reader);
	char why[SOURCE_WHY_BYTES];

	script = (struct script){.events = 1000, .fail_first = 2, .then_waits = true};
	assert_int_equal(s->ops->open(s, why), 0);
	pump_until(s, m, 3000, SOURCE_WAITING);
	assert_int_equal(script.opens, 3);
	/* closing does not wait for a reader that has nothing */
	s->ops->close(s);
	model_destroy(m);
}

static void test_run_ended(void **state)
{
	struct model *m = model_create(NULL);
	struct source *s = source_live_create("net://there", &fake_reader);
	char why[SOURCE_WHY_BYTES];

	script = (struct script){.events = 500};
	assert_int_equal(s->ops->open(s, why), 0);
	s->ops->run_ended(s);
	pump_until(s, m, 500, SOURCE_ENDED);
	s->ops->close(s);
	model_destroy(m);
}

static void test_close_with_a_full_queue(void **state)
{
	struct source *s = source_saved_create("there", &fake_reader);
	char why[SOURCE_WHY_BYTES];

	script = (struct script){.events = 10000000};
	assert_int_equal(s->ops->open(s, why), 0);
	s->ops->close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved),	     cmocka_unit_test(test_cannot_open),
		cmocka_unit_test(test_saved_breaks), cmocka_unit_test(test_live_comes_back),
		cmocka_unit_test(test_run_ended),    cmocka_unit_test(test_close_with_a_full_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
