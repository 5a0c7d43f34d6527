/* viewer_test.c - the viewer's parts without a terminal: lanes, time, keys, rows of the table */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "viewer/keys.h"
#include "viewer/lanes.h"
#include "viewer/rows.h"
#include "viewer/screen.h"
#include "viewer/stretches.h"
#include "viewer/timeline.h"

#define MS NS_PER_MS

/* --- lanes --- */

static void expect_picture(const struct lane_cell *c, bool known, u32 left, u32 right, u32 eighths)
{
	struct lane_picture p = lanes_picture(c);

	assert_int_equal(p.is_known, known);
	assert_int_equal(p.left, left);
	assert_int_equal(p.right, right);
	assert_int_equal(p.eighths, eighths);
}

static void test_lanes_solid_and_mixed(void **state)
{
	const struct lane_span spans[] = {
		{0, 10 * MS, 10 * MS, 1},      /* two columns of 5 */
		{10 * MS, 12 * MS, 2 * MS, 2}, /* the third: 2 of 5 for 2, the rest for 1 */
		{12 * MS, 15 * MS, 3 * MS, 1},
		{15 * MS, 20 * MS, 0, LANE_NOBODY}, /* idle */
	};
	struct lane_cell cells[5];

	lanes_layout(spans, ARRAY_SIZE(spans), 0, 5 * MS, cells, 5);
	expect_picture(&cells[0], true, 1, 1, 8);
	expect_picture(&cells[1], true, 1, 1, 8);
	expect_picture(&cells[2], true, 2, 1, 3);
	expect_picture(&cells[3], true, LANE_NOBODY, LANE_NOBODY, 8);
	expect_picture(&cells[4], false, LANE_NOBODY, LANE_NOBODY, 0);
	assert_int_equal(cells[2].spans, 2);
	assert_int_equal(cells[2].known_ns, 5 * MS);
	assert_int_equal(cells[4].known_ns, 0);
}

static void test_lanes_shares_and_edges(void **state)
{
	/* begins before the window, ends after it; runs a quarter of its time */
	const struct lane_span spans[] = {{3 * MS, 103 * MS, 25 * MS, 7}};
	struct lane_cell cells[10];

	lanes_layout(spans, 1, 50 * MS, 1 * MS, cells, 10);
	for (u32 i = 0; i < 10; i++) {
		expect_picture(&cells[i], true, 7, LANE_NOBODY, 2);
		assert_int_equal(lanes_main(&cells[i], 85), 7);
		assert_int_equal(lanes_main(&cells[i], 70), LANE_NOBODY);
	}
	/* a sliver does not show, and an empty span is none */
	const struct lane_span thin[] = {{0, 1, 1, 1}, {1, 1, 0, 2}, {1, 1 * MS, 1 * MS - 1, 3}};
	lanes_layout(thin, 3, 0, 1 * MS, cells, 1);
	expect_picture(&cells[0], true, 3, 3, 8);
}

static void test_lanes_many_in_a_column(void **state)
{
	struct lane_span spans[100];
	struct lane_cell cell;
	u64 sum = 0;

	for (u32 i = 0; i < 100; i++)
		spans[i] = (struct lane_span){i * 10, (i + 1) * 10, 10, i < 60 ? 500u : i};
	lanes_layout(spans, 100, 0, 1000, &cell, 1);
	assert_int_equal(cell.nparts, LANE_PARTS);
	for (u32 i = 0; i < cell.nparts; i++)
		sum += cell.part[i].ns;
	assert_int_equal(sum, 1000);
	assert_int_equal(lanes_main(&cell, 85), 500);
	assert_int_equal(cell.spans, 100);
}

/* No time is made up or lost, whatever the spans are. */
static void test_lanes_conserve_time(void **state)
{
	struct lane_cell cells[64];
	struct lane_span spans[200];
	unsigned seed = 20240613;

	print_message("seed %u\n", seed);
	for (u32 round = 0; round < 200; round++) {
		u64 at = 0, from = (u64)(rand_r(&seed) % 1000), col = 1 + (u64)(rand_r(&seed) % 50);
		u64 want = 0, got = 0, to = from + col * 64;

		for (u32 i = 0; i < 200; i++) {
			u64 length = (u64)(rand_r(&seed) % 40);

			spans[i] = (struct lane_span){at, at + length, (u64)(rand_r(&seed) % 50),
						      (u32)(rand_r(&seed) % 6)};
			if (at < to && at + length > from)
				want += MIN(at + length, to) - MAX(at, from);
			at += length + (u64)(rand_r(&seed) % 3);
		}
		lanes_layout(spans, 200, from, col, cells, 64);
		for (u32 i = 0; i < 64; i++) {
			u64 parts = 0;

			assert_true(cells[i].known_ns <= col);
			for (u32 j = 0; j < cells[i].nparts; j++)
				parts += cells[i].part[j].ns;
			assert_int_equal(parts, cells[i].known_ns);
			got += cells[i].known_ns;
		}
		assert_int_equal(got, want);
	}
}

/* --- time --- */

static void test_timeline_follows(void **state)
{
	struct timeline t;

	timeline_init(&t, true);
	timeline_update(&t, 0, 250 * MS + 3, 100);
	assert_int_equal(t.col_ns, 1 * MS);
	assert_int_equal(t.from_ns, 151 * MS);
	assert_int_equal(timeline_cursor_col(&t), 99);
	/* moving back ends following, and the window stays while the trace grows */
	timeline_move(&t, -10);
	assert_false(t.follows);
	timeline_update(&t, 0, 900 * MS, 100);
	assert_int_equal(t.from_ns, 151 * MS);
	assert_int_equal(timeline_cursor_col(&t), 89);
	timeline_move(&t, -100);
	assert_int_equal(timeline_cursor_col(&t), 0);
	timeline_end(&t);
	assert_true(t.follows);
	assert_int_equal(t.cursor_ns, 900 * MS);
	timeline_begin(&t);
	assert_int_equal(t.from_ns, 0);
	timeline_move(&t, -5);
	assert_int_equal(t.cursor_ns, 0);
}

static void test_timeline_holds(void **state)
{
	struct timeline t;

	timeline_init(&t, true);
	timeline_update(&t, 0, 500 * MS, 80);
	timeline_hold(&t, true);
	timeline_update(&t, 0, 900 * MS, 80);
	assert_int_equal(timeline_now(&t), 500 * MS);
	assert_int_equal(t.cursor_ns, 500 * MS);
	timeline_move(&t, 50);
	assert_int_equal(t.cursor_ns, 500 * MS);
	timeline_hold(&t, false);
	timeline_update(&t, 0, 901 * MS, 80);
	assert_int_equal(t.cursor_ns, 901 * MS);
}

static void test_timeline_zoom(void **state)
{
	struct timeline t;
	u64 before;
	u32 col;

	timeline_init(&t, false);
	timeline_update(&t, 0, 10 * NS_PER_SEC, 100);
	timeline_fit(&t);
	assert_true(timeline_to(&t) > 10 * NS_PER_SEC);
	assert_int_equal(t.col_ns, 200 * MS);
	timeline_move(&t, 20);
	before = t.cursor_ns;
	col = timeline_cursor_col(&t);
	for (u32 i = 0; i < 50; i++)
		timeline_zoom(&t, true);
	assert_int_equal(t.col_ns, TIMELINE_MIN_COL_NS);
	assert_int_equal(t.cursor_ns, before);
	assert_int_equal(timeline_cursor_col(&t), col);
	for (u32 i = 0; i < 60; i++)
		timeline_zoom(&t, false);
	assert_true(t.col_ns <= TIMELINE_MAX_COL_NS && t.col_ns >= TIMELINE_MAX_COL_NS / 5);
	assert_int_equal(t.from_ns % t.col_ns, 0);
	/* 1, 2, 5 */
	t.col_ns = 1 * MS;
	timeline_zoom(&t, false);
	assert_int_equal(t.col_ns, 2 * MS);
	timeline_zoom(&t, false);
	assert_int_equal(t.col_ns, 5 * MS);
	timeline_zoom(&t, false);
	assert_int_equal(t.col_ns, 10 * MS);
	timeline_zoom(&t, true);
	timeline_zoom(&t, true);
	timeline_zoom(&t, true);
	timeline_zoom(&t, true);
	assert_int_equal(t.col_ns, 500 * NS_PER_US);
}

static void test_timeline_of_nonsense(void **state)
{
	struct timeline t;

	timeline_init(&t, true);
	timeline_update(&t, ~0ull, ~0ull - 1, 100);
	timeline_fit(&t);
	assert_true(timeline_to(&t) > t.from_ns);
	timeline_move(&t, 1000);
	timeline_move(&t, -1000);
	timeline_begin(&t);
	timeline_end(&t);
	for (u32 i = 0; i < 60; i++)
		timeline_zoom(&t, i < 30);
	assert_true(timeline_to(&t) > t.from_ns);
	assert_true(timeline_cursor_col(&t) < 100);
}

static void test_timeline_texts(void **state)
{
	struct timeline t = {.col_ns = 1 * MS, .cols = 100};
	char buf[TIMELINE_TEXT_BYTES];

	assert_string_equal(timeline_text(3412 * MS + 999, 1 * MS, buf), "3.412 s");
	assert_string_equal(timeline_text(3412 * MS, 20 * MS, buf), "3.41 s");
	assert_string_equal(timeline_text(62 * NS_PER_SEC, 5 * NS_PER_SEC, buf), "62 s");
	assert_string_equal(timeline_text(1, 1, buf), "0.000000001 s");
	assert_string_equal(timeline_length(1500, buf), "1.5 us");
	assert_string_equal(timeline_length(20 * MS, buf), "20 ms");
	assert_string_equal(timeline_length(0, buf), "0 ns");
	assert_int_equal(timeline_tick(&t, 14), 20 * MS);
	t.col_ns = 5;
	assert_int_equal(timeline_tick(&t, 14) % 5, 0);
	assert_true(timeline_tick(&t, 14) >= 70);
}

/* --- stretches --- */

static void test_stretches(void **state)
{
	struct stretches *s = calloc(1, sizeof(*s));
	struct model_stretch out[8], one = {.worker = 3, .level = 1};
	u64 total = STRETCHES_MAX + 1000;
	u32 n;

	assert_false(stretches_find(s, 3, 0, 100, out, 8, &n));
	for (u64 i = 0; i < 5000; i++) {
		one.start_ns = i * 10;
		one.end_ns = i * 10 + 8;
		stretches_add(s, &one);
	}
	/* 4 ends at 48, 5 runs from 50 to 58, 6 begins at 60 */
	assert_true(stretches_find(s, 3, 48, 60, out, 8, &n));
	assert_int_equal(n, 1);
	assert_int_equal(out[0].start_ns, 50);
	assert_true(stretches_find(s, 3, 49, 50, out, 8, &n));
	assert_int_equal(n, 0);
	assert_false(stretches_find(s, 3, 0, 1000, out, 8, &n));
	assert_int_equal(n, 8);
	assert_false(stretches_find(s, 2, 0, 1000, out, 8, &n));
	assert_false(stretches_find(s, STRETCHES_WORKERS, 0, 1000, out, 8, &n));
	/* the oldest give way, and it is said */
	for (u64 i = 5000; i < total; i++) {
		one.start_ns = i * 10;
		one.end_ns = i * 10 + 8;
		stretches_add(s, &one);
	}
	assert_false(stretches_find(s, 3, 0, 20, out, 8, &n));
	assert_true(stretches_find(s, 3, 10000, 10020, out, 8, &n));
	assert_int_equal(n, 2);
	assert_true(stretches_find(s, 3, (total - 1) * 10, total * 10, out, 8, &n));
	assert_int_equal(n, 1);
	one.worker = STRETCHES_WORKERS;
	stretches_add(s, &one);
	stretches_fini(s);
	free(s);
}

/* --- keys --- */

static void test_keys(void **state)
{
	char names[KEYS_NAME_BYTES];

	assert_int_equal(keys_action('q'), ACTION_QUIT);
	assert_int_equal(keys_action(KEY_CODE_F1), ACTION_HELP);
	assert_int_equal(keys_action('?'), ACTION_HELP);
	assert_int_equal(keys_action('h'), ACTION_LEFT);
	assert_int_equal(keys_action(KEY_CODE_LEFT), ACTION_LEFT);
	assert_int_equal(keys_action('z'), ACTION_NONE);
	assert_int_equal(keys_action(KEY_CODE_NONE), ACTION_NONE);
	assert_string_equal(keys_names(ACTION_QUIT, names), "q, F10, Ctrl-C");
	/* every action has a key and a help, and no key two actions */
	for (u32 a = 1; a < ACTION_COUNT; a++) {
		assert_true(keys_names((enum key_action)a, names)[0] != 0);
		assert_true(keys_help((enum key_action)a)[0] != 0);
	}
	for (int key = 1; key <= KEY_CODE_OTHER; key++) {
		u32 owners = 0;

		if (key == 256)
			key = KEY_CODE_UP;
#define KEY(action, help, ...) \
	for (u32 i = 0; i < sizeof((int[]){__VA_ARGS__}) / sizeof(int); i++) \
		owners += ((int[]){__VA_ARGS__})[i] == key;
#include "viewer/keys.def"
#undef KEY
		assert_true(owners <= 1);
	}
}

/* --- rows --- */

struct feeder {
	struct model *m;
	u64 seq[2], now;
	u32 vcpu;
	u8 level;
};

static void feed(struct feeder *f, u8 kind, const void *payload, size_t bytes)
{
	struct transition t = {
		.vtime_ns = f->now, .vcpu_id = f->vcpu, .level = f->level, .kind = kind};

	t.seq = f->seq[event_infos[kind].sort]++;
	memcpy(t.p, payload, bytes);
	model_feed(f->m, &t);
}

#define SAY(f, name, ...) \
	do { \
		struct ev_##name say_ = {__VA_ARGS__}; \
		feed(f, TRANSITION_##name, &say_, sizeof(say_)); \
	} while (0)

#define L2_VCPU (EVENT_ID_TRACKED + 5)

/* One second: machine 1 runs 600 ms, of that its guest 400; machine 0 the other 400 ms. */
static void make_second(struct feeder *f)
{
	u32 vm0 = EVENT_VCPU_ID(0, 0), vm1 = EVENT_VCPU_ID(1, 0);

	f->vcpu = EVENT_NO_ID;
	SAY(f, vm_state, .name = event_text("second"), .vm = 1, .vcpus = 1,
	    .state = RUN_STATE_RUNNING);
	SAY(f, vm_state, .name = event_text("first"), .vm = 0, .vcpus = 1,
	    .state = RUN_STATE_RUNNING);
	SAY(f, child_state, .name = event_text("guest"), .child = 9, .vm = 1, .parent = EVENT_NO_ID,
	    .depth = 2);
	f->vcpu = L2_VCPU;
	f->level = 2;
	SAY(f, vcpu_state, .vm = 1, .child = 9, .parent_vcpu = vm1, .state = RUN_STATE_READY);
	f->vcpu = EVENT_NO_ID;
	f->level = 0;
	SAY(f, process_state, .process = 3, .vm = 1, .child = 9, .cr3 = 0x7000);
	SAY(f, vm_scheduled, .prev = EVENT_NO_ID, .next = vm1, .next_inner = EVENT_NO_ID,
	    .next_level = 1);
	f->now = 200 * MS;
	f->vcpu = L2_VCPU;
	f->level = 2;
	SAY(f, vm_entry, .vmcs = 0x1000);
	f->now = 600 * MS;
	SAY(f, vm_exit, .exit_reason = EXIT_REASON_CPUID, .reflected = 1);
	f->vcpu = EVENT_NO_ID;
	f->level = 0;
	SAY(f, vm_scheduled, .prev = vm1, .next = vm0, .next_inner = EVENT_NO_ID, .next_level = 1);
	f->now = NS_PER_SEC;
	f->vcpu = vm0;
	f->level = 1;
	SAY(f, vm_exit, .exit_reason = EXIT_REASON_CPUID);
	model_settle(f->m);
}

static void test_rows(void **state)
{
	struct feeder f = {.m = model_create(NULL)};
	struct rows_config cfg = {.processes = true};
	struct table_row rows[16];
	struct cast *c = calloc(1, sizeof(*c));

	assert_non_null(f.m);
	make_second(&f);
	cast_update(c, f.m);
	assert_int_equal(c->count, 3);
	assert_int_equal(rows_collect(f.m, c, &cfg, rows, ARRAY_SIZE(rows)), 4);
	assert_string_equal(rows[0].name, "first");
	assert_int_equal(rows[0].ran_ns, 400 * MS);
	assert_int_equal(rows[0].own.exits, 1);
	assert_int_equal(rows[0].own.reflected, 0);
	assert_string_equal(rows[0].state, "running");
	assert_string_equal(rows[1].name, "second");
	assert_int_equal(rows[1].ran_ns, 600 * MS);
	assert_int_equal(rows[1].own.ran_ns, 200 * MS);
	assert_int_equal(rows[1].own.exits, 0);
	assert_string_equal(rows[2].name, "guest");
	assert_int_equal(rows[2].depth, 1);
	assert_int_equal(rows[2].level, 2);
	assert_int_equal(rows[2].ran_ns, 400 * MS);
	assert_int_equal(rows[2].own.reflected, 1);
	assert_int_equal(rows[3].kind, ROW_PROCESS);
	assert_string_equal(rows[3].name, "cr3 7000");
	/* an interval, without processes, and no more rows than there is room for */
	cfg = (struct rows_config){.from_ns = 500 * MS, .to_ns = 700 * MS};
	assert_int_equal(rows_collect(f.m, c, &cfg, rows, ARRAY_SIZE(rows)), 3);
	assert_in_range(rows[0].ran_ns, 99 * MS, 101 * MS);
	assert_in_range(rows[1].ran_ns, 99 * MS, 101 * MS);
	assert_int_equal(rows_collect(f.m, c, &cfg, rows, 2), 2);
	/* letters and colours are by the machine's number, not by who came first */
	assert_int_equal(c->member[cast_vm(c, 0)].letter, 'A');
	assert_int_equal(c->member[cast_vm(c, 1)].letter, 'B');
	assert_int_equal(cast_vcpu(c, f.m, L2_VCPU), cast_child(c, 9));
	assert_int_equal(cast_vcpu(c, f.m, EVENT_NO_ID), CAST_NONE);
	free(c);
	model_destroy(f.m);
}

static void test_rates(void **state)
{
	assert_true(rows_rate(50, NS_PER_SEC / 2) == 100);
	assert_true(rows_rate(1, 0) == 0);
	assert_true(rows_percent(1, 4) == 25);
	assert_true(rows_percent(1, 0) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes_solid_and_mixed),
		cmocka_unit_test(test_lanes_shares_and_edges),
		cmocka_unit_test(test_lanes_many_in_a_column),
		cmocka_unit_test(test_lanes_conserve_time),
		cmocka_unit_test(test_timeline_follows),
		cmocka_unit_test(test_timeline_holds),
		cmocka_unit_test(test_timeline_zoom),
		cmocka_unit_test(test_timeline_of_nonsense),
		cmocka_unit_test(test_timeline_texts),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_stretches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
