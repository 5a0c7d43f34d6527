/* The model: fixed transitions in, known numbers out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "trace/model/merge.h"
#include "trace/model/model.h"

#define L1 EVENT_VCPU_ID(3, 0)
#define L1B EVENT_VCPU_ID(4, 0)
#define RT (EVENT_ID_TRACKED + 1)
#define BATCH (EVENT_ID_TRACKED + 2)
#define NONE EVENT_NO_ID

static u64 next_seq[4][EVENT_SORT_COUNT];

static void feed(struct model *m, u64 ns, u16 worker, u32 vcpu, u8 level, u8 kind,
		 const void *payload, size_t bytes)
{
	struct transition t = {
		.vtime_ns = ns, .worker = worker, .vcpu_id = vcpu, .level = level, .kind = kind};

	t.seq = next_seq[worker][event_infos[kind].sort]++;
	memcpy(t.p, payload, bytes);
	model_feed(m, &t);
}

#define FEED(m, ns, worker, vcpu, level, name, ...) \
	do { \
		struct ev_##name ev_ = {__VA_ARGS__}; \
		feed(m, ns, worker, vcpu, level, TRANSITION_##name, &ev_, sizeof(ev_)); \
	} while (0)

static struct model *start(void)
{
	struct model *m = model_create(NULL);

	assert_non_null(m);
	memset(next_seq, 0, sizeof(next_seq));
	model_expect_all(m, true);
	FEED(m, 0, 0, NONE, 0, vm_start, .name = event_text("alpha"), .vm = 3, .memory_bytes = MIB,
	     .vcpus = 1);
	FEED(m, 0, 0, NONE, 0, vm_start, .name = event_text("beta"), .vm = 4, .memory_bytes = MIB,
	     .vcpus = 1);
	FEED(m, 100, 0, NONE, 0, vm_scheduled, .prev = NONE, .next = L1, .slice_ns = 5000,
	     .next_inner = NONE, .next_level = 1);
	return m;
}

/* alpha 100..2000: own 100..400, RT 400..1000, own 1000..1200, BATCH 1200..2000; beta 2000..2500;
 * idle */
static void feed_story(struct model *m)
{
	FEED(m, 400, 0, L1, 1, vm_exit, .exit_reason = EXIT_REASON_VMLAUNCH, .host_cost_ns = 50);
	FEED(m, 400, 0, L1, 1, child_switch, .prev = NONE, .next = RT, .prev_child = NONE,
	     .next_child = 7, .vmcs = 0x1000);
	FEED(m, 400, 0, RT, 2, vm_entry, .vmcs = 0x1000);
	FEED(m, 600, 0, RT, 2, vm_exit, .exit_reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	     .host_cost_ns = 30);
	FEED(m, 1000, 0, RT, 2, vm_exit, .exit_reason = EXIT_REASON_HLT, .reflected = 1,
	     .host_cost_ns = 70);
	FEED(m, 1200, 0, L1, 1, child_switch, .prev = RT, .next = BATCH, .prev_child = 7,
	     .next_child = 8, .vmcs = 0x2000);
	FEED(m, 1200, 0, BATCH, 2, vm_entry, .vmcs = 0x2000);
	FEED(m, 1300, 0, BATCH, 2, process_switch, .prev = NONE, .next = 55, .cr3 = 0x9000);
	FEED(m, 2000, 0, NONE, 0, vm_scheduled, .prev = L1, .next = L1B, .reason = SWITCH_SLICE_END,
	     .next_inner = NONE, .next_level = 1);
	FEED(m, 2500, 0, L1B, 1, halt, .guest_rip = 1);
	FEED(m, 2500, 0, NONE, 0, vm_scheduled, .prev = L1B, .next = NONE, .reason = SWITCH_HALT,
	     .next_inner = NONE);
	FEED(m, 3000, 0, L1B, 1, wake, .cause = WAKE_TIMER);
	FEED(m, 3000, 0, NONE, 0, vm_scheduled, .prev = NONE, .next = L1, .next_inner = BATCH,
	     .next_level = 2);
	FEED(m, 3400, 0, BATCH, 2, guest_deadline, .kind = DEADLINE_MISSES, .guest = 1, .count = 4,
	     .child = 8);
	model_settle(m);
}

static void test_threads_counts_inferences(void **state)
{
	struct model *m = start();
	u32 n;

	feed_story(m);
	FEED(m, 3400, 0, BATCH, 2, thread_switch, .prev = NONE, .next = 70, .process = 55,
	     .stack = 0x10000);
	FEED(m, 3500, 0, BATCH, 2, thread_switch, .prev = 70, .next = 71, .process = 55,
	     .stack = 0x14000);
	FEED(m, 3800, 0, BATCH, 2, thread_switch, .prev = 71, .next = 70, .process = 55,
	     .stack = 0x10000);
	FEED(m, 3800, 0, NONE, 0, thread_state, .thread = 71, .vm = 1, .child = 8, .process = 55,
	     .stack = 0x14000, .user = 1);
	FEED(m, 3800, 0, NONE, 0, state_count, .counter = 1, .event = COUNT_EXITS, .parts = 1,
	     .vm = 1, .value = 5);
	FEED(m, 3900, 0, NONE, 0, state_count, .counter = 1, .event = COUNT_EXITS, .parts = 1,
	     .vm = 1, .value = 7);
	FEED(m, 3900, 0, NONE, 0, state_count, .counter = 1000, .value = 9); /* no such counter */
	FEED(m, 3900, 0, L1, 1, inferred, .entity = BATCH, .what = INFER_PERIOD,
	     .reason = INFER_BY_DIVISOR, .holds = 1);
	FEED(m, 3900, 0, L1, 1, inferred, .entity = BATCH, .what = 1000);
	model_settle(m);
	const struct model_thread *t = model_threads(m, &n);
	assert_int_equal(n, 2);
	assert_int_equal(t[0].switches, 2);
	assert_int_equal(t[1].ran_ns, 300);
	assert_int_equal(t[1].child, 8);
	assert_true(t[1].user);
	assert_int_equal(model_totals(m)->thread_switches, 3);
	assert_int_equal(model_counts(m, &n)[1].value, 7);
	assert_int_equal(n, 2);
	assert_int_equal(model_vcpu(m, BATCH)->inferences, 1u << INFER_PERIOD);
	assert_int_equal(model_vcpu(m, BATCH)->inferred[INFER_PERIOD].reason, INFER_BY_DIVISOR);
	model_destroy(m);
}

static void test_times_by_level(void **state)
{
	struct model *m = start();
	const struct model_totals *t;

	feed_story(m);
	t = model_totals(m);
	assert_int_equal(t->detail, MODEL_EXACT);
	assert_int_equal(t->level_ns[0], 0);
	assert_int_equal(t->level_ns[1], 300 + 200 + 500);
	assert_int_equal(t->level_ns[2], 600 + 800 + 400);
	assert_int_equal(t->idle_ns, 500);
	assert_int_equal(t->vm_switches, 4);
	assert_int_equal(t->child_switches, 2);
	assert_int_equal(t->process_switches, 1);
	assert_int_equal(t->entries, 2);
	assert_int_equal(t->halts, 2);
	assert_int_equal(t->gaps, 0);
	assert_int_equal(t->first_ns, 0);
	assert_int_equal(t->last_ns, 3400);
	model_destroy(m);
}

static void test_entities(void **state)
{
	struct model *m = start();
	const struct model_vm *alpha;
	const struct model_vcpu *v;
	const struct model_deadline *d;
	char name[64];
	u32 n;

	feed_story(m);
	alpha = model_vm(m, 3);
	assert_string_equal(alpha->name, "alpha");
	assert_int_equal(alpha->own_ns, 500);
	assert_int_equal(alpha->children_ns, 1800);
	assert_int_equal(model_vm(m, 4)->ran_ns, 500);
	assert_int_equal(model_child(m, 7)->ran_ns, 600);
	assert_int_equal(model_child(m, 8)->ran_ns, 1200);
	assert_int_equal(model_process(m, 55)->ran_ns, 700 + 400);
	v = model_vcpu(m, RT);
	assert_int_equal(v->vm, 3);
	assert_int_equal(v->parent, L1);
	assert_int_equal(v->total.exits, 2);
	assert_int_equal(v->total.reflected, 1);
	assert_int_equal(v->total.halts, 1);
	assert_int_equal(v->host_cost_ns, 100);
	assert_int_equal(model_vcpu(m, BATCH)->total.misses, 4);
	v = model_vcpu(m, L1B);
	assert_int_equal(v->halted_ns, 500);
	assert_int_equal(v->wakes, 1);
	d = model_deadlines(m, &n);
	assert_int_equal(n, 1);
	assert_int_equal(d->count[DEADLINE_MISSES], 4);
	assert_int_equal(d->vm, 3);
	assert_string_equal(model_vcpu_name(m, RT, name, sizeof(name)), "alpha/child 7");
	assert_string_equal(model_vcpu_name(m, L1B, name, sizeof(name)), "beta");
	model_destroy(m);
}

static void test_exits_by_level(void **state)
{
	struct model *m = start();
	struct model_exit x[8];

	feed_story(m);
	assert_int_equal(model_exits_by_level(m, EVENT_NO_ID, x, 8), 3);
	assert_int_equal(x[0].level, 1);
	assert_int_equal(x[0].reason, EXIT_REASON_VMLAUNCH);
	assert_int_equal(x[1].level, 2);
	assert_int_equal(x[1].reason, EXIT_REASON_EXTERNAL_INTERRUPT);
	assert_int_equal(x[1].reflected, 0);
	assert_int_equal(x[2].reason, EXIT_REASON_HLT);
	assert_int_equal(x[2].reflected, 1);
	assert_int_equal(x[2].host_cost_max_ns, 70);
	assert_int_equal(model_exits_by_level(m, 4, x, 8), 0);
	model_destroy(m);
}

static void test_lane(void **state)
{
	static const struct model_segment want[] = {
		{100, 400, L1, NONE, 0},      {400, 1200, L1, RT, 600},
		{1200, 2000, L1, BATCH, 800}, {2000, 2500, L1B, NONE, 0},
		{2500, 3000, NONE, NONE, 0},  {3000, 3400, L1, BATCH, 400},
	};
	struct model *m = start();
	struct model_segment got[16];
	u32 n;

	feed_story(m);
	n = model_lane(m, 0, 0, 10000, got, 16);
	assert_int_equal(n, ARRAY_SIZE(want));
	for (u32 i = 0; i < n; i++)
		assert_memory_equal(&got[i], &want[i], sizeof(want[i]));
	n = model_lane(m, 0, 1000, 2100, got, 16);
	assert_int_equal(n, 3);
	assert_int_equal(got[0].start_ns, 400);
	assert_int_equal(got[2].vcpu, L1B);
	assert_int_equal(model_lane(m, 9, 0, 10000, got, 16), 0);
	model_destroy(m);
}

static void test_charge_is_level_0(void **state)
{
	struct model *m = start();

	FEED(m, 400, 0, L1, 1, vm_exit, .exit_reason = EXIT_REASON_CPUID, .charge_ns = 25);
	FEED(m, 500, 0, L1, 1, vm_exit, .exit_reason = EXIT_REASON_CPUID, .charge_ns = 25);
	FEED(m, 510, 0, L1, 1, vm_exit, .exit_reason = EXIT_REASON_CPUID);
	model_settle(m);
	assert_int_equal(model_totals(m)->level_ns[0], 35); /* the rest has not passed yet */
	assert_int_equal(model_totals(m)->level_ns[1], 300 + 75);
	model_destroy(m);
}

static void test_gaps_and_losses(void **state)
{
	struct model *m = start();

	next_seq[0][EVENT_SORT_ARCH] += 5;
	FEED(m, 400, 0, L1, 1, halt, .guest_rip = 1);
	FEED(m, 400, 0, L1, 1, lost, .count = 3);
	model_note_lost(m, 2);
	assert_int_equal(model_totals(m)->gaps, 5);
	assert_int_equal(model_totals(m)->lost, 5);
	model_destroy(m);
}

/* Summaries alone give the same sums. */
static void test_live(void **state)
{
	struct model *m = start();

	FEED(m, 400, 0, L1, 1, child_switch, .prev = NONE, .next = RT, .prev_child = NONE,
	     .next_child = 7);
	FEED(m, 1000, 0, NONE, 0, time_summary, .vcpu = L1, .child_vcpu = NONE, .depth = 1,
	     .ran_ns = 300);
	FEED(m, 1000, 0, NONE, 0, time_summary, .vcpu = L1, .child_vcpu = RT, .depth = 2,
	     .ran_ns = 600, .entries = 9);
	FEED(m, 1000, 0, RT, 2, exit_summary, .exit_reason = EXIT_REASON_CPUID, .count = 8,
	     .reflected = 8, .host_cost_ns = 800);
	model_settle(m);
	assert_int_equal(model_totals(m)->detail, MODEL_LIVE);
	assert_int_equal(model_totals(m)->level_ns[1], 300);
	assert_int_equal(model_totals(m)->level_ns[2], 600);
	assert_int_equal(model_vcpu(m, RT)->total.exits, 8);
	assert_int_equal(model_vcpu(m, RT)->entries, 9);
	assert_int_equal(model_vm(m, 3)->children_ns, 600);
	model_destroy(m);
}

static void test_late_start(void **state)
{
	struct model *m = model_create(NULL);

	memset(next_seq, 0, sizeof(next_seq));
	FEED(m, 5000, 1, L1, 1, vcpu_state, .vm = 3, .child = NONE, .parent_vcpu = NONE);
	FEED(m, 5000, 1, RT, 2, vcpu_state, .vm = 3, .child = 7, .parent_vcpu = L1);
	FEED(m, 5100, 1, RT, 2, vm_exit, .exit_reason = EXIT_REASON_CPUID, .reflected = 1);
	FEED(m, 5300, 1, RT, 2, vm_entry, .vmcs = 1);
	FEED(m, 5400, 1, RT, 2, vm_exit, .exit_reason = EXIT_REASON_CPUID, .reflected = 1);
	model_settle(m);
	assert_int_equal(model_totals(m)->level_ns[1], 200);
	assert_int_equal(model_totals(m)->level_ns[2], 100);
	assert_int_equal(model_vm(m, 3)->own_ns + model_vm(m, 3)->children_ns, 0 + 0 + 300);
	model_destroy(m);
}

static void test_window(void **state)
{
	struct model *m = start();
	struct model_counters c;

	/* runs from 100 ns to 20 s, which makes the buckets widen */
	for (u64 s = 1; s <= 20; s++)
		FEED(m, s * NS_PER_SEC, 0, L1, 1, vm_exit, .exit_reason = EXIT_REASON_CPUID);
	model_settle(m);
	c = model_window(model_vcpu(m, L1), 0, 100 * NS_PER_SEC);
	assert_int_equal(c.ran_ns, 20 * NS_PER_SEC - 100);
	assert_int_equal(c.exits, 20);
	c = model_window(model_vcpu(m, L1), 5 * NS_PER_SEC + 100 * NS_PER_MS, 7 * NS_PER_SEC);
	assert_in_range(c.ran_ns, 1899 * NS_PER_MS, 1901 * NS_PER_MS);
	model_destroy(m);
}

/* Ids from a hostile or damaged trace must not hurt. */
static void test_bounded(void **state)
{
	struct model_config cfg = {.max_vcpus = 16, .max_processes = 16, .lane_segments = 16};
	struct model *m = model_create(&cfg);
	struct model_segment got[64];
	u64 seed = 1;
	u32 n;

	for (u64 i = 0; i < 20000; i++) {
		struct transition t = {.vtime_ns = i * 10};

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		t.kind = (u8)(seed >> 33);
		t.worker = (u16)(seed >> 41) & 3;
		t.level = (u8)(seed >> 50);
		t.vcpu_id = (u32)(seed >> 20) % 40;
		for (u32 w = 0; w < TRANSITION_WORDS; w++)
			t.p[w] = (seed * (w + 3)) >> (seed >> 58);
		model_feed(m, &t);
	}
	model_settle(m);
	model_vcpus(m, &n);
	assert_true(n <= 16);
	assert_true(model_totals(m)->overflow > 0);
	assert_true(model_lane(m, 0, 0, ~0ull, got, 64) <= 17);
	model_destroy(m);
}

/* --- merge --- */
struct order {
	u64 count, last_ns;
	u16 last_worker;
	u64 next_seq[4];
	bool ok;
};

static void check_order(void *arg, const struct transition *t)
{
	struct order *o = arg;

	o->ok &= t->vtime_ns > o->last_ns ||
		 (t->vtime_ns == o->last_ns && t->worker >= o->last_worker);
	o->ok &= t->seq == o->next_seq[t->worker]++;
	o->last_ns = t->vtime_ns;
	o->last_worker = t->worker;
	o->count++;
}

/* Batches of three workers, out of step by up to 100 events. */
static void test_merge(void **state)
{
	struct order o = {.ok = true};
	struct merge *m = merge_create(1 << 14, check_order, &o);
	u64 seq[3] = {0}, seed = 7;

	assert_non_null(m);
	for (u32 round = 0; round < 300; round++) {
		u16 w = (u16)(round % 3);
		u64 n;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		n = (seed >> 40) % 100;
		for (u64 i = 0; i < n; i++, seq[w]++) {
			struct transition t = {
				.vtime_ns = seq[w] / 2 * 10, .worker = w, .seq = seq[w]};

			t.kind = TRANSITION_halt;
			merge_feed(m, &t);
		}
	}
	merge_flush(m);
	assert_true(o.ok);
	assert_int_equal(o.count, seq[0] + seq[1] + seq[2]);
	assert_int_equal(merge_late(m), 0);
	merge_destroy(m);
}

static void test_merge_limit(void **state)
{
	struct order o = {.ok = true};
	struct merge *m = merge_create(10, check_order, &o);

	for (u64 i = 0; i < 1000; i++) {
		struct transition t = {
			.vtime_ns = i, .worker = 1, .seq = i, .kind = TRANSITION_halt};

		merge_feed(m, &t);
		assert_true(i + 1 - o.count <= 10);
	}
	merge_flush(m);
	assert_int_equal(o.count, 1000);
	assert_true(o.ok);
	merge_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_counts_inferences),
		cmocka_unit_test(test_times_by_level),
		cmocka_unit_test(test_entities),
		cmocka_unit_test(test_exits_by_level),
		cmocka_unit_test(test_lane),
		cmocka_unit_test(test_charge_is_level_0),
		cmocka_unit_test(test_gaps_and_losses),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_late_start),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_merge_limit),
	};

	return cmocka_run_group_tests_name("trace_model", tests, NULL, NULL);
}
