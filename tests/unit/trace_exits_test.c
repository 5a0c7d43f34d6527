/* Exits in depth: quantiles of their cost, places, the exit-multiplication tree, interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "l0/base/hash.h"
#include "trace/model/model.h"

#define L1 EVENT_VCPU_ID(1, 0)
#define L2 (EVENT_ID_TRACKED + 1)
#define L3 (EVENT_ID_TRACKED + 2)
#define NONE EVENT_NO_ID

static void feed(struct model *m, u64 ns, u32 vcpu, u8 level, u8 kind, const void *payload,
		 size_t bytes)
{
	struct transition t = {.vtime_ns = ns, .vcpu_id = vcpu, .level = level, .kind = kind};

	memcpy(t.p, payload, bytes);
	model_feed(m, &t);
}

#define FEED(m, ns, vcpu, level, name, ...) \
	do { \
		struct ev_##name ev_ = {__VA_ARGS__}; \
		feed(m, ns, vcpu, level, TRANSITION_##name, &ev_, sizeof(ev_)); \
	} while (0)

#define EXIT(m, ns, vcpu, level, reason, ...) \
	FEED(m, ns, vcpu, level, vm_exit, .exit_reason = EXIT_REASON_##reason, __VA_ARGS__)

static struct model *start(bool drills_down)
{
	const struct model_config cfg = {.drills_down = drills_down};
	struct model *m = model_create(&cfg);

	assert_non_null(m);
	FEED(m, 0, NONE, 0, vm_start, .name = event_text("alpha"), .vm = 1, .vcpus = 1);
	FEED(m, 0, NONE, 0, vm_scheduled, .prev = NONE, .next = L1, .next_inner = NONE,
	     .next_level = 1);
	FEED(m, 0, L2, 2, vcpu_state, .vm = 1, .child = 7, .parent_vcpu = L1);
	FEED(m, 0, L3, 3, vcpu_state, .vm = 1, .child = 8, .parent_vcpu = L1);
	return m;
}

static void test_cost_quantiles(void **state)
{
	struct model *m = start(false);

	for (u32 i = 1; i <= 1000; i++)
		EXIT(m, i, L1, 1, CPUID, .host_cost_ns = i);
	EXIT(m, 2000, L1, 1, HLT, .host_cost_ns = 3);
	assert_in_range(model_exit_cost(m, NONE, 1, EXIT_REASON_CPUID, 500), 500, 625);
	assert_in_range(model_exit_cost(m, 1, 1, EXIT_REASON_CPUID, 990), 990, 1000);
	assert_int_equal(model_exit_cost(m, 1, 1, EXIT_REASON_CPUID, 1000), 1000);
	assert_int_equal(model_exit_cost(m, 1, 1, EXIT_REASON_HLT, 500), 3);
	assert_int_equal(model_exit_cost(m, 1, 2, EXIT_REASON_HLT, 500), 0);
	assert_int_equal(model_exit_cost(m, 2, 1, EXIT_REASON_HLT, 500), 0);
	model_destroy(m);
}

/* Every cost lies at or under the bound that is told for it, and at most a quarter under it. */
static void test_cost_bounds(void **state)
{
	for (u64 ns = 0; ns < 1ull << 32; ns = ns * 17 / 16 + 1) {
		struct model *m = start(false);
		u64 told;

		EXIT(m, 1, L1, 1, CPUID, .host_cost_ns = ns);
		EXIT(m, 2, L1, 1, CPUID, .host_cost_ns = 0xffffffff);
		told = model_exit_cost(m, NONE, 1, EXIT_REASON_CPUID, 500);
		assert_true(told >= ns && told <= ns + ns / 4);
		model_destroy(m);
	}
}

static void test_places(void **state)
{
	struct model *m = start(true);
	struct model_place p[4];
	u64 seed = 1;

	print_message("seed %llu\n", (unsigned long long)seed);
	/* one frequent address among very many */
	for (u32 i = 0; i < 3000; i++)
		EXIT(m, i, L2, 2, CPUID, .reflected = 1, .host_cost_ns = 10,
		     .guest_rip = i % 3 ? 0x1000 : rng_next(&seed));
	assert_int_equal(model_places(m, NONE, 2, EXIT_REASON_CPUID, p, 4), 4);
	assert_int_equal(p[0].guest_rip, 0x1000);
	assert_int_equal(p[0].child, 7);
	assert_int_equal(p[0].count, 2000);
	assert_int_equal(p[0].over, 0);
	assert_int_equal(p[0].host_cost_ns, 20000);
	assert_true(p[1].count - p[1].over <= 2);
	assert_int_equal(model_places(m, NONE, 1, EXIT_REASON_CPUID, p, 4), 0);
	model_destroy(m);
	m = start(false);
	EXIT(m, 1, L2, 2, CPUID, .guest_rip = 0x1000);
	assert_int_equal(model_places(m, NONE, 2, EXIT_REASON_CPUID, p, 4), 0);
	model_destroy(m);
}

static const struct model_exit_node *node(const struct model *m, u32 parent, u32 level, u32 reason)
{
	const struct model_exit_node *x;
	u32 n;

	x = model_exit_tree(m, &n);
	for (u32 i = 0; i < n; i++)
		if (x[i].parent == parent && x[i].level == level && x[i].reason == reason)
			return &x[i];
	return NULL;
}

static u32 index_of(const struct model *m, const struct model_exit_node *x)
{
	u32 n;

	return (u32)(x - model_exit_tree(m, &n));
}

/* An L3's CPUID goes to L1, which enters L2 to handle it; L2's VMREADs go to L1 in turn. */
static void test_tree(void **state)
{
	struct model *m = start(false);
	const struct model_exit_node *cpuid, *vmread, *vmresume;
	u64 at = 0;

	for (u32 i = 0; i < 3; i++) {
		EXIT(m, at + 100, L3, 3, CPUID, .reflected = 1, .host_cost_ns = 5);
		EXIT(m, at + 150, L1, 1, VMRESUME, .host_cost_ns = 7);
		FEED(m, at + 150, L2, 2, vm_entry, .vmcs = 1);
		for (u32 k = 0; k < 4; k++) {
			EXIT(m, at + 200, L2, 2, VMREAD, .reflected = 1);
			EXIT(m, at + 220, L1, 1, VMRESUME);
			FEED(m, at + 220, L2, 2, vm_entry, .vmcs = 1);
		}
		EXIT(m, at + 300, L2, 2, VMRESUME, .reflected = 1);
		EXIT(m, at + 320, L1, 1, VMRESUME);
		FEED(m, at + 320, L3, 3, vm_entry, .vmcs = 2);
		EXIT(m, at + 330, L3, 3, HLT); /* kept: opens nothing */
		EXIT(m, at + 340, L3, 3, HLT);
		at += 1000;
	}
	cpuid = node(m, NONE, 3, EXIT_REASON_CPUID);
	assert_non_null(cpuid);
	assert_int_equal(cpuid->count, 3);
	assert_int_equal(cpuid->child, 8);
	assert_int_equal(cpuid->host_cost_ns, 15);
	assert_int_equal(cpuid->handled_ns, 3 * 220);
	vmread = node(m, index_of(m, cpuid), 2, EXIT_REASON_VMREAD);
	assert_non_null(vmread);
	assert_int_equal(vmread->count, 12);
	assert_int_equal(vmread->handled_ns, 12 * 20);
	assert_int_equal(vmread->child, 7);
	assert_int_equal(node(m, index_of(m, vmread), 1, EXIT_REASON_VMRESUME)->count, 12);
	vmresume = node(m, index_of(m, cpuid), 2, EXIT_REASON_VMRESUME);
	assert_int_equal(vmresume->count, 3);
	assert_int_equal(node(m, index_of(m, cpuid), 1, EXIT_REASON_VMRESUME)->count, 3);
	assert_int_equal(node(m, NONE, 3, EXIT_REASON_HLT)->count, 6);
	assert_int_equal(node(m, NONE, 3, EXIT_REASON_HLT)->handled_ns, 0);
	model_destroy(m);
}

/* Whatever order exits come in, the tree stays within its bounds and adds up. */
static void test_tree_random(void **state)
{
	struct model *m = start(true);
	const struct model_exit_node *x;
	u64 seed = 7, sum = 0;
	u32 n;

	print_message("seed %llu\n", (unsigned long long)seed);
	for (u32 i = 0; i < 200000; i++) {
		u64 r = rng_next(&seed);
		u8 level = (u8)(1 + r % 6);
		u32 vcpu = level == 1 ? L1 : EVENT_ID_TRACKED + (u32)(r >> 8) % 40;

		if ((r >> 20) & 1)
			FEED(m, i, vcpu, level, vm_exit, .exit_reason = (r >> 24) % 80,
			     .reflected = (r >> 32) & 1, .guest_rip = (r >> 40) % 64);
		else
			FEED(m, i, vcpu, level, vm_entry, .vmcs = r);
	}
	x = model_exit_tree(m, &n);
	assert_in_range(n, 100, MODEL_EXIT_NODES);
	for (u32 i = 0; i < n; i++) {
		sum += x[i].count;
		assert_true(x[i].parent == NONE || x[i].parent < i);
	}
	assert_true(sum + model_totals(m)->overflow >=
		    model_totals(m)->by_kind[TRANSITION_vm_exit]);
	model_destroy(m);
}

static void test_interrupts(void **state)
{
	struct model *m = start(true);
	const struct model_intr *r;
	u32 n;

	FEED(m, 1000, L2, 2, intr_injected, .vector = 48, .due_ns = 900);
	FEED(m, 2000, L2, 2, intr_injected, .vector = 48, .due_ns = 1700);
	FEED(m, 3000, L2, 2, intr_injected, .vector = 48);
	FEED(m, 3000, L2, 2, intr_injected, .vector = 2, .kind = INTR_KIND_NMI);
	r = model_intrs(m, &n);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].vcpu, L2);
	assert_int_equal(r[0].vector, 48);
	assert_int_equal(r[0].count, 3);
	assert_int_equal(r[0].timed, 2);
	assert_int_equal(r[0].late_ns, 400);
	assert_int_equal(r[0].late_max_ns, 300);
	assert_int_equal(r[1].kind, INTR_KIND_NMI);
	model_destroy(m);
}

static void test_waits(void **state)
{
	struct model *m = start(false);
	const struct model_vcpu *v;

	FEED(m, 100, L1, 1, halt, .guest_rip = 1);
	FEED(m, 100, NONE, 0, vm_scheduled, .prev = L1, .next = NONE, .reason = SWITCH_HALT,
	     .next_inner = NONE);
	FEED(m, 500, L1, 1, wake, .cause = WAKE_TIMER);
	FEED(m, 620, NONE, 0, vm_scheduled, .prev = NONE, .next = L1, .next_inner = NONE,
	     .next_level = 1);
	FEED(m, 700, NONE, 0, vm_scheduled, .prev = L1, .next = EVENT_VCPU_ID(2, 0),
	     .reason = SWITCH_SLICE_END, .next_inner = NONE, .next_level = 1);
	FEED(m, 900, NONE, 0, vm_scheduled, .prev = EVENT_VCPU_ID(2, 0), .next = L1,
	     .reason = SWITCH_SLICE_END, .next_inner = NONE, .next_level = 1);
	v = model_vcpu(m, L1);
	assert_int_equal(v->ready_ns, 120 + 200);
	assert_int_equal(v->wake_runs, 1);
	assert_int_equal(v->wake_ns, 120);
	assert_int_equal(v->wake_max_ns, 120);
	assert_int_equal(v->halted_ns, 400);
	model_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cost_quantiles), cmocka_unit_test(test_cost_bounds),
		cmocka_unit_test(test_places),	       cmocka_unit_test(test_tree),
		cmocka_unit_test(test_tree_random),    cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
