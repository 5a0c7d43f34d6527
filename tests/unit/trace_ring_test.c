/* The transition macro, the ring and the summaries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "trace/ring.h"
#include "trace/summary.h"

static u64 test_now;

static u64 now(struct trace_ctx *ctx)
{
	return test_now;
}

struct taken {
	u64 count, seq_next;
	bool in_order;
	struct transition last;
};

static void take(void *arg, const struct transition *t, u32 count)
{
	struct taken *taken = arg;

	for (u32 i = 0; i < count; i++) {
		taken->in_order &= t[i].seq == taken->seq_next++;
		memcpy(&taken->last, &t[i], sizeof(t[i]));
	}
	taken->count += count;
}

static void test_macro(void **state)
{
	struct trace_worker worker;
	struct trace_hub hub;
	struct trace_ring ring;
	struct trace_ctx ctx;
	struct taken taken = {.in_order = true};
	const struct transition_sink sink = {TRACE_ALL_KINDS, trace_ring_feed, &ring};
	int evaluated = 0;

	trace_hub_init(&hub);
	trace_worker_init(&worker, &hub, 3, now, NULL);
	trace_ctx_init(&ctx, &hub, &worker, 77, 2, now, NULL);
	assert_int_equal(trace_ring_init(&ring, 100, take, &taken), -EINVAL);
	assert_int_equal(trace_ring_init(&ring, 64, take, &taken), 0);
	worker.ring = &ring;
	TRANSITION(&ctx, vm_exit, .exit_reason = (u64)++evaluated); /* nobody listens */
	assert_int_equal(evaluated, 0);
	assert_int_equal(trace_hub_add(&hub, &sink), 0);
	test_now = 1234;
	TRANSITION(&ctx, vm_exit, .exit_reason = EXIT_REASON_CPUID, .reflected = 1,
		   .host_cost_ns = 9);
	trace_ring_drain(&ring);
	assert_int_equal(taken.count, 1);
	assert_int_equal(taken.last.vtime_ns, 1234);
	assert_int_equal(taken.last.worker, 3);
	assert_int_equal(taken.last.vcpu_id, 77);
	assert_int_equal(taken.last.level, 2);
	assert_int_equal(taken.last.kind, TRANSITION_vm_exit);
	assert_int_equal(transition_payload(&taken.last, vm_exit)->exit_reason, EXIT_REASON_CPUID);
	assert_int_equal(transition_payload(&taken.last, vm_exit)->host_cost_ns, 9);
	trace_hub_remove(&hub, &ring);
	TRANSITION(&ctx, vm_exit, .exit_reason = (u64)++evaluated);
	assert_int_equal(evaluated, 0);
	trace_ring_fini(&ring);
	trace_ctx_fini(&ctx);
}

static void test_lossless(void **state)
{
	struct trace_worker worker;
	struct trace_hub hub;
	struct trace_ring ring;
	struct taken taken = {.in_order = true};
	const struct transition_sink sink = {TRACE_ALL_KINDS, trace_ring_feed, &ring};
	struct transition last[8];

	trace_hub_init(&hub);
	trace_worker_init(&worker, &hub, 0, now, NULL);
	assert_int_equal(trace_ring_init(&ring, 64, take, &taken), 0);
	worker.ring = &ring;
	assert_int_equal(trace_hub_add(&hub, &sink), 0);
	for (u64 i = 0; i < 1000; i++)
		TRANSITION(&worker.ctx, halt, .guest_rip = i);
	assert_true(taken.count >= 1000 - 64);
	trace_ring_drain(&ring);
	assert_int_equal(taken.count, 1000);
	assert_true(taken.in_order);
	/* the last ones stay readable */
	assert_int_equal(trace_ring_last(&ring, last, 8, EVENT_NO_ID), 8);
	assert_int_equal(transition_payload(&last[0], halt)->guest_rip, 992);
	assert_int_equal(transition_payload(&last[7], halt)->guest_rip, 999);
	assert_int_equal(trace_ring_last(&ring, last, 8, 5), 0);
	TRANSITION(&worker.ctx, halt, .guest_rip = 1);
	trace_ring_fini(&ring);
	assert_int_equal(taken.count, 1001);
}

static void test_sorts_count_apart(void **state)
{
	struct trace_worker worker;
	struct trace_hub hub;
	struct trace_ring ring;
	const struct transition_sink sink = {TRACE_ALL_KINDS, trace_ring_feed, &ring};
	struct transition last[4];

	trace_hub_init(&hub);
	trace_worker_init(&worker, &hub, 0, now, NULL);
	assert_int_equal(trace_ring_init(&ring, 64, NULL, NULL), 0);
	worker.ring = &ring;
	assert_int_equal(trace_hub_add(&hub, &sink), 0);
	TRANSITION(&worker.ctx, halt, .guest_rip = 1);
	TRANSITION(&worker.ctx, tlb_fill, .gva = 1);
	TRANSITION(&worker.ctx, tlb_fill, .gva = 2);
	TRANSITION(&worker.ctx, halt, .guest_rip = 2);
	assert_int_equal(trace_ring_last(&ring, last, 4, EVENT_NO_ID), 4);
	assert_int_equal(last[1].seq, 0);
	assert_int_equal(last[2].seq, 1);
	assert_int_equal(last[3].seq, 1);
	trace_ring_fini(&ring);
}

/* What summaries add up to is what was emitted. */
struct sums {
	u64 exits, reflected, cost, level_ns[4], entries;
};

static void sum_up(void *arg, struct trace_worker *worker, const struct transition *t)
{
	struct sums *sums = arg;

	if (t->kind == TRANSITION_exit_summary) {
		sums->exits += transition_payload(t, exit_summary)->count;
		sums->reflected += transition_payload(t, exit_summary)->reflected;
		sums->cost += transition_payload(t, exit_summary)->host_cost_ns;
	} else if (t->kind == TRANSITION_time_summary) {
		sums->level_ns[transition_payload(t, time_summary)->depth & 3] +=
			transition_payload(t, time_summary)->ran_ns;
		sums->entries += transition_payload(t, time_summary)->entries;
	}
}

static void test_summary(void **state)
{
	static struct trace_summary summary;
	bool wanted = false;
	struct trace_worker worker;
	struct trace_hub hub;
	struct trace_ctx ctx;
	struct sums sums = {0};
	const struct transition_sink count = {TRACE_ALL_KINDS, sum_up, &sums};
	const struct transition_sink sink = {TRACE_SUMMARY_KINDS, trace_summary_feed, &wanted};

	trace_hub_init(&hub);
	trace_worker_init(&worker, &hub, 0, now, NULL);
	trace_ctx_init(&ctx, &hub, &worker, 0, 1, now, NULL);
	worker.summary = &summary;
	assert_int_equal(trace_hub_add(&hub, &count), 0);
	assert_int_equal(trace_hub_add(&hub, &sink), 0);
	test_now = 0;
	TRANSITION(&ctx, vm_exit, .exit_reason = 1);
	wanted = true;
	TRANSITION(&worker.ctx, vm_scheduled, .prev = EVENT_NO_ID, .next = 0,
		   .next_inner = EVENT_NO_ID, .next_level = 1);
	for (u32 i = 0; i < 100000; i++) {
		test_now += 300;
		ctx.vcpu_id = 0;
		ctx.level = 1;
		TRANSITION(&ctx, vm_exit, .exit_reason = EXIT_REASON_VMRESUME, .host_cost_ns = 2);
		ctx.vcpu_id = EVENT_ID_TRACKED + i % 50;
		ctx.level = 2;
		TRANSITION(&ctx, vm_entry, .vmcs = 1);
		test_now += 700;
		TRANSITION(&ctx, vm_exit, .exit_reason = i % 60, .reflected = 1, .host_cost_ns = 3);
	}
	trace_summary_flush(&worker);
	assert_int_equal(sums.exits, 200000);
	assert_int_equal(sums.reflected, 100000);
	assert_int_equal(sums.cost, 500000);
	assert_int_equal(sums.level_ns[1], 300 * 100000);
	assert_int_equal(sums.level_ns[2], 700 * 100000);
	assert_int_equal(sums.entries, 100000);
	trace_ctx_fini(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_macro),
		cmocka_unit_test(test_lossless),
		cmocka_unit_test(test_sorts_count_apart),
		cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests_name("trace_ring", tests, NULL, NULL);
}
