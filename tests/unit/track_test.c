/* Tracking: what is a switch, what is none, which vCPUs make one child, where level 3 appears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l0/track/track.h"

struct fix {
	struct trace_hub hub;
	struct trace_worker worker;
	struct trace_ctx ctx[2];
	struct track *t;
	struct track_vp vp[2];
	u32 switches, process_switches, states;
	struct ev_child_switch last;
	struct ev_process_switch last_process;
	struct ev_child_state child[16];
	u32 thread_switches, threads;
	struct ev_thread_switch last_thread;
	struct ev_thread_state thread;
	u32 idles;
	struct ev_idle last_idle;
};

static u64 now(struct trace_ctx *ctx)
{
	(void)ctx;
	return 1;
}

static void feed(void *arg, struct trace_worker *w, const struct transition *t)
{
	struct fix *f = arg;

	(void)w;
	if (t->kind == TRANSITION_child_switch) {
		f->switches++;
		f->last = *transition_payload(t, child_switch);
	} else if (t->kind == TRANSITION_process_switch) {
		f->process_switches++;
		f->last_process = *transition_payload(t, process_switch);
	} else if (t->kind == TRANSITION_thread_switch) {
		f->thread_switches++;
		f->last_thread = *transition_payload(t, thread_switch);
	} else if (t->kind == TRANSITION_idle) {
		f->idles++;
		f->last_idle = *transition_payload(t, idle);
	} else if (t->kind == TRANSITION_thread_state) {
		f->threads++;
		f->thread = *transition_payload(t, thread_state);
	} else if (t->kind == TRANSITION_child_state) {
		f->child[f->states++ % 16] = *transition_payload(t, child_state);
	}
}

static int setup(void **state)
{
	static struct fix f;

	memset(&f, 0, sizeof(f));
	trace_hub_init(&f.hub);
	struct transition_sink sink = {.kinds = TRACE_ALL_KINDS, .feed = feed, .arg = &f};
	assert_int_equal(trace_hub_add(&f.hub, &sink), 0);
	trace_worker_init(&f.worker, &f.hub, 0, now, NULL);
	f.t = track_create(3);
	for (u32 i = 0; i < 2; i++) {
		u32 id = EVENT_VCPU_ID(3, i);
		trace_ctx_init(&f.ctx[i], &f.hub, &f.worker, id, 1, now, NULL);
		track_vp_init(&f.vp[i], f.t, &f.ctx[i], id);
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	track_destroy(f->t);
	return 0;
}

static void run(struct track_vp *v, u64 vmcs, u64 eptp, u16 vpid, bool launch, u32 reason)
{
	track_vm_entry(v, vmcs, eptp, vpid, launch, 0x1000);
	track_vm_exit(v, reason);
}

static void switch_needs_load_and_entry(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	track_vmcs_load(v, 0x1000);
	assert_int_equal(f->switches, 0);
	track_vm_entry(v, 0x1000, 0x8000, 1, true, 0x5000);
	assert_int_equal(f->switches, 1);
	assert_int_equal(v->ctx->level, 2);
	u32 a = v->ctx->vcpu_id;
	track_vm_exit(v, EXIT_REASON_CPUID);
	assert_int_equal(v->ctx->level, 1);
	assert_int_equal(v->ctx->vcpu_id, EVENT_VCPU_ID(3, 0));
	for (int i = 0; i < 10; i++)
		run(v, 0x1000, 0x8000, 1, false, EXIT_REASON_CPUID);
	track_vmcs_load(v, 0x1000);
	run(v, 0x1000, 0x8000, 1, false, EXIT_REASON_HLT);
	assert_int_equal(f->switches, 1);
	track_vmcs_load(v, 0x2000); /* a look at another VMCS, no entry */
	track_vmcs_load(v, 0x1000);
	run(v, 0x1000, 0x8000, 1, false, EXIT_REASON_HLT);
	assert_int_equal(f->switches, 1);
	track_vmcs_load(v, 0x2000);
	run(v, 0x2000, 0x9000, 2, true, EXIT_REASON_HLT);
	assert_int_equal(f->switches, 2);
	assert_int_equal(f->last.prev, a);
	assert_int_not_equal(f->last.next, a);
	assert_int_not_equal(f->last.prev_child, f->last.next_child);
}

static void ept_root_makes_a_child(void **state)
{
	struct fix *f = *state;

	track_vmcs_load(&f->vp[0], 0x1000);
	run(&f->vp[0], 0x1000, 0x801e, 1, true, EXIT_REASON_HLT);
	u64 child = f->last.next_child;
	track_vmcs_load(&f->vp[1], 0x2000);
	run(&f->vp[1], 0x2000, 0x805e, 2, true, EXIT_REASON_HLT); /* same root, other EPTP flags */
	assert_int_equal(f->last.next_child, child);
	assert_int_equal(f->switches, 2);
	/* the VM changes its root while both are active: still the same child */
	run(&f->vp[0], 0x1000, 0xa01e, 1, false, EXIT_REASON_HLT);
	run(&f->vp[1], 0x2000, 0xa01e, 2, false, EXIT_REASON_HLT);
	f->states = 0;
	track_emit_state(f->t, &f->ctx[0]);
	assert_int_equal(f->states, 1);
	assert_int_equal(f->child[0].child, child);
	assert_int_equal(f->child[0].eptp, 0xa000);
}

static void clear_parks_and_migrates(void **state)
{
	struct fix *f = *state;

	track_vmcs_load(&f->vp[0], 0x1000);
	run(&f->vp[0], 0x1000, 0x8000, 1, true, EXIT_REASON_HLT);
	u64 id = f->last.next;
	track_vmcs_clear(&f->vp[0], 0x1000);
	track_vmcs_load(&f->vp[1], 0x1000);
	track_vm_entry(&f->vp[1], 0x1000, 0x8000, 1, true, 0x1000);
	assert_int_equal(f->vp[1].ctx->vcpu_id, id);
	assert_int_equal(f->last.next, id);
	track_vm_exit(&f->vp[1], EXIT_REASON_HLT);
}

static void identity_ends(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	run(v, 0x1000, 0x8000, 1, true, EXIT_REASON_HLT);
	u64 id = f->last.next;
	track_vmcs_clear(v, 0x1000);
	run(v, 0x1000, 0xb000, 7, true, EXIT_REASON_HLT); /* region reused for another VM */
	assert_int_not_equal(f->last.next, id);
	u64 second = f->last.next;
	track_vmx_off(v);
	assert_int_equal(track_active_vcpu(v), EVENT_NO_ID);
	run(v, 0x1000, 0xb000, 7, true, EXIT_REASON_HLT);
	assert_int_not_equal(f->last.next, second);
}

static void grandchild_is_inferred(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	run(v, 0x1000, 0x8000, 1, true, EXIT_REASON_VMLAUNCH); /* L2 is a hypervisor itself */
	u64 parent = f->last.next_child;
	track_vm_entry(v, 0x2000, 0x9000, 2, true, 0x1000); /* its guest, merged by L1 */
	assert_int_equal(v->ctx->level, 3);
	track_vm_exit(v, EXIT_REASON_CPUID);
	run(v, 0x1000, 0x8000, 1, false, EXIT_REASON_HLT);
	run(v, 0x3000, 0xa000, 3, true, EXIT_REASON_HLT); /* a sibling: no VMRESUME pending */
	f->states = 0;
	track_emit_state(f->t, v->ctx);
	assert_int_equal(f->states, 3);
	for (u32 i = 0; i < 3; i++) {
		bool deep = f->child[i].eptp == 0x9000;
		assert_int_equal(f->child[i].depth, deep ? 3 : 2);
		assert_int_equal(f->child[i].inferred, deep);
		assert_int_equal(f->child[i].parent, deep ? parent : EVENT_NO_ID);
	}
}

static void processes(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	track_cr3_load(v, 0x1000);
	assert_int_equal(f->process_switches, 1);
	track_cr3_load(v, 0x2000);
	u64 second = f->last_process.next;
	track_cr3_load(v, 0x1000);
	track_cr3_load(v, 0x2000);
	assert_int_equal(f->last_process.next, second);
	assert_int_equal(f->process_switches, 4);
	track_cr3_load(v, 0x2000);
	assert_int_equal(f->process_switches, 4);
	/* the same page-table base in another VM is another process */
	track_vm_entry(v, 0x1000, 0x8000, 1, true, 0x2000);
	assert_int_not_equal(f->last_process.next, second);
	track_vm_exit(v, EXIT_REASON_HLT);
}

/* As the machine does it: look first whether it may be another thread. */
static void stack(struct track_vp *v, struct track_stack s, u64 prev)
{
	if (track_is_other_thread(v, s.how, s.value, prev))
		track_stack(v, &s);
}

static void threads(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];
	const u64 a = 0xffff800000010000, b = 0xffff800000018000, irq = 0xffff800000fe4000,
		  entry = 0xfffffe0000003000;

	track_set_threads(f->t, TRACK_THREADS_STACK, 16384);
	track_cr3_load(v, 0x1000);
	/* the switch: from what was saved; its own top belongs to it, although it is the next
	 * stack's bottom */
	stack(v,
	      (struct track_stack){.how = THREAD_BY_LOAD,
				   .value = a + 0x3e50,
				   .has_entry = true,
				   .entry = entry},
	      0);
	assert_int_equal(f->thread_switches, 1);
	assert_int_equal(f->last_thread.stack, a);
	u64 first = f->last_thread.next;
	stack(v, (struct track_stack){.how = THREAD_BY_LOAD, .value = a + 0x4000}, 0x7ffe0000);
	assert_int_equal(f->thread_switches, 1);
	/* to the processor's entry stack and user mode and back */
	stack(v,
	      (struct track_stack){
		      .how = THREAD_BY_LOAD, .value = entry, .has_entry = true, .entry = entry},
	      a + 0x3f58);
	stack(v, (struct track_stack){.how = THREAD_BY_LOAD, .value = 0x7ffe0000, .is_user = true},
	      entry - 8);
	stack(v,
	      (struct track_stack){
		      .how = THREAD_BY_TSS, .value = entry, .has_entry = true, .entry = entry},
	      0x7ffe0000);
	/* an interrupt's stack, and a step on it */
	stack(v,
	      (struct track_stack){
		      .how = THREAD_BY_REGISTER, .value = irq + 0x3ff8, .is_borrowed = true},
	      a + 0x3e00);
	stack(v, (struct track_stack){.how = THREAD_BY_REGISTER, .value = irq + 0x3e90},
	      irq + 0x3e80);
	assert_int_equal(f->thread_switches, 1);
	track_emit_state(f->t, v->ctx);
	assert_int_equal(f->threads, 1);
	assert_true(f->thread.user);
	/* another one, and the first again */
	stack(v,
	      (struct track_stack){.how = THREAD_BY_LOAD,
				   .value = b + 0x1000,
				   .has_entry = true,
				   .entry = entry},
	      a + 0x3e00);
	stack(v,
	      (struct track_stack){.how = THREAD_BY_LOAD,
				   .value = a + 0x3000,
				   .has_entry = true,
				   .entry = entry},
	      b + 0x1000);
	assert_int_equal(f->thread_switches, 3);
	assert_int_equal(f->last_thread.next, first);
	/* a kernel that gives the TSS each thread's stack: what it names is one */
	stack(v,
	      (struct track_stack){.how = THREAD_BY_TSS,
				   .value = b + 0x4000,
				   .has_entry = true,
				   .entry = b + 0x4000},
	      0x7ffe0000);
	assert_int_equal(f->thread_switches, 4);
	/* the same address in a guest is another thread; the machine's goes on where it was */
	track_vm_entry(v, 0x1000, 0x8000, 1, true, 0x2000);
	stack(v, (struct track_stack){.how = THREAD_BY_LOAD, .value = b + 0x4000}, 0);
	assert_int_equal(f->thread_switches, 5);
	assert_int_not_equal(f->last_thread.next, first);
	assert_int_equal(f->last_thread.prev, EVENT_NO_ID);
	track_vm_exit(v, EXIT_REASON_HLT);
	stack(v, (struct track_stack){.how = THREAD_BY_REGISTER, .value = b + 0x3000}, 0);
	assert_int_equal(f->thread_switches, 5);
}

static void threads_by_base(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	stack(v, (struct track_stack){.how = THREAD_BY_FS, .value = 0x7000}, 0);
	assert_int_equal(f->thread_switches, 0); /* off */
	track_set_threads(f->t, TRACK_THREADS_FS, 0);
	stack(v, (struct track_stack){.how = THREAD_BY_LOAD, .value = 0x10000}, 0);
	stack(v, (struct track_stack){.how = THREAD_BY_GS, .value = 0x9000}, 0);
	assert_int_equal(f->thread_switches, 0);
	stack(v, (struct track_stack){.how = THREAD_BY_FS, .value = 0x7000}, 0);
	stack(v, (struct track_stack){.how = THREAD_BY_FS, .value = 0x7000}, 0);
	stack(v, (struct track_stack){.how = THREAD_BY_FS, .value = 0x7001}, 0);
	assert_int_equal(f->thread_switches, 2);
	assert_int_equal(f->last_thread.stack, 0x7001);
}

static void idle(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	/* HLT in process 0x5000, nine times; between it works in others */
	for (u32 i = 0; i < 9; i++) {
		track_vm_entry(v, 0x1000, 0x8000, 1, i == 0, 0x5000);
		track_cr3_load(v, 0x6000);
		track_cr3_load(v, 0x5000);
		/* the ninth time the switch alone shows it */
		assert_int_equal(f->idles, i + (i > 7));
		track_vm_exit(v, EXIT_REASON_HLT);
		assert_int_equal(f->idles, i + 1);
		assert_int_equal(f->last_idle.cause, i > 7 ? IDLE_PROCESS : IDLE_HLT);
	}
	track_vm_entry(v, 0x1000, 0x8000, 1, false, 0x6000);
	track_vm_exit(v, EXIT_REASON_CPUID);
	track_vm_entry(v, 0x1000, 0x8000, 1, false, 0x6000);
	track_cr3_load(v, 0x5000);
	assert_int_equal(f->idles, 10);
	assert_int_equal(f->last_idle.cause, IDLE_PROCESS);
	assert_in_range(f->last_idle.confidence, 50, 100);
	track_vm_exit(v, EXIT_REASON_EXTERNAL_INTERRUPT);
	/* PAUSE after PAUSE, not between other things */
	track_vm_entry(v, 0x2000, 0x9000, 2, true, 0x7000);
	for (u32 i = 0; i < 3; i++) {
		track_vm_exit(v, EXIT_REASON_PAUSE);
		track_vm_entry(v, 0x2000, 0x9000, 2, false, 0x7000);
	}
	track_vm_exit(v, EXIT_REASON_CPUID);
	assert_int_equal(f->idles, 10);
	for (u32 i = 0; i < 6; i++) {
		track_vm_entry(v, 0x2000, 0x9000, 2, false, 0x7000);
		track_vm_exit(v, EXIT_REASON_PAUSE);
	}
	assert_int_equal(f->idles, 11);
	assert_int_equal(f->last_idle.cause, IDLE_PAUSE);
	/* the machine's own halt, and its wake */
	track_halt(v);
	track_halt(v);
	assert_int_equal(f->idles, 12);
	track_runs(v);
	track_halt(v);
	assert_int_equal(f->idles, 13);
}

static u64 raw_counts[COUNT_EVENTS];

static void read_raw(void *arg, u64 *raw)
{
	(void)arg;
	memcpy(raw, raw_counts, sizeof(raw_counts));
}

static void pass(u64 insns)
{
	raw_counts[COUNT_INSNS] += insns;
	raw_counts[COUNT_EXITS] += insns / 10;
}

static void counters(void **state)
{
	enum { ALL, OWN, CHILD, OTHERS, PROCESS, THREAD, EXITS, OTHER_VM, N };
	static const struct track_count spec[N] = {
		[ALL] = {COUNT_INSNS, {.parts = MATCH_VM, .vm = 3}},
		[OWN] = {COUNT_INSNS, {.parts = MATCH_VM | MATCH_LEVEL, .vm = 3, .level = 1}},
		[CHILD] = {COUNT_INSNS, {.parts = MATCH_CHILD, .child = 0}},
		[OTHERS] = {COUNT_INSNS, {.differs = true, .parts = MATCH_CHILD, .child = 0}},
		[PROCESS] = {COUNT_INSNS, {.parts = MATCH_CHILD | MATCH_CR3, .cr3 = 0x5000}},
		[THREAD] = {COUNT_INSNS, {.parts = MATCH_STACK, .stack = 0x18000}},
		[EXITS] = {COUNT_EXITS, {.parts = MATCH_CHILD, .child = 1}},
		[OTHER_VM] = {COUNT_INSNS, {.parts = MATCH_VM, .vm = 2}},
	};
	struct track_counts c = {.spec = spec, .n = N, .read = read_raw};
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	v->counts = &c;
	track_set_threads(f->t, TRACK_THREADS_STACK, 16384);
	pass(1000000); /* before it runs: nobody's */
	track_counts_start(v);
	pass(10);
	track_vm_entry(v, 0x1000, 0x8000, 1, true, 0x4000);
	pass(100);
	track_cr3_load(v, 0x5000);
	pass(1000);
	stack(v, (struct track_stack){.how = THREAD_BY_LOAD, .value = 0x1c000}, 0);
	pass(10000);
	track_vm_exit(v, EXIT_REASON_HLT);
	pass(20);
	track_vm_entry(v, 0x2000, 0x9000, 2, true, 0x5000);
	pass(100000);
	track_counts_stop(v);
	pass(1000000); /* another one's */
	track_counts_start(v);
	pass(200000);
	track_vm_exit(v, EXIT_REASON_HLT);
	counts_sync(&c);
	const u64 want[N] = {
		[ALL] = 311130,	   [OWN] = 30,	     [CHILD] = 11100, [OTHERS] = 300030,
		[PROCESS] = 11000, [THREAD] = 10000, [EXITS] = 30000, [OTHER_VM] = 0};
	for (u32 i = 0; i < N; i++)
		assert_int_equal(c.value[i], want[i]);
	v->counts = NULL;
}

static void tables_are_bounded(void **state)
{
	struct fix *f = *state;
	struct track_vp *v = &f->vp[0];

	for (u64 i = 0; i < 2 * TRACK_MAX_PROCESSES; i++)
		track_cr3_load(v, i << 12);
	track_set_threads(f->t, TRACK_THREADS_STACK, 4096);
	for (u64 i = 1; i <= 2 * TRACK_MAX_THREADS; i++)
		stack(v, (struct track_stack){.how = THREAD_BY_LOAD, .value = i << 12}, 0);
	for (u64 i = 1; i < 2 * TRACK_MAX_VCPUS; i++)
		run(v, i << 12, i << 12, (u16)i, true, EXIT_REASON_HLT);
	f->states = 0;
	track_emit_state(f->t, v->ctx);
	assert_in_range(f->states, 1, TRACK_MAX_VCPUS);
	assert_int_equal(f->threads, TRACK_MAX_THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(switch_needs_load_and_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(ept_root_makes_a_child, setup, teardown),
		cmocka_unit_test_setup_teardown(clear_parks_and_migrates, setup, teardown),
		cmocka_unit_test_setup_teardown(identity_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(grandchild_is_inferred, setup, teardown),
		cmocka_unit_test_setup_teardown(processes, setup, teardown),
		cmocka_unit_test_setup_teardown(threads, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_by_base, setup, teardown),
		cmocka_unit_test_setup_teardown(idle, setup, teardown),
		cmocka_unit_test_setup_teardown(counters, setup, teardown),
		cmocka_unit_test_setup_teardown(tables_are_bounded, setup, teardown),
	};
	return cmocka_run_group_tests_name("track", tests, NULL, NULL);
}
