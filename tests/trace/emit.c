/*
 * emit - a synthetic run: two machines, one with nested guests, on one or more workers, emitted as
 * fast as it goes through rings and the trace session. For the tests of the trace path.
 *
 *   emit [-n ROUNDS] [-w WORKERS] [-p PAUSE_US] [-e] [-l] [-k] [-b] [-r] OUTPUT_FOLDER
 *     -p  pause after each batch of 64 rounds, to last longer
 *     -e  end early, at the end of input
 *     -l  with a live session; prints its URL
 *     -k  end without tidying up, as a crash would
 *     -r  at the end also one event of each kind that the rounds do not have
 *     -b  no session: measure what emitting into the ring alone costs
 *   emit -W PID: a live session for the run of that process; prints its URL, ends at the end of
 * input
 *
 * Prints "emitted N exits M seconds S cpu_ns_per_event T …".
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "trace/ring.h"
#include "trace/session.h"
#include "trace/summary.h"

#define L2_VCPU (EVENT_ID_TRACKED + 1)

struct emitter {
	struct trace_worker worker;
	struct trace_ring ring;
	struct trace_summary summary;
	struct trace_ctx vp;
	u64 now_ns;
	u64 rounds, pause_us;
	bool with_rest, until_eof;
	double cpu_seconds;
	pthread_t thread;
};

static u64 now(struct trace_ctx *ctx)
{
	return ((struct emitter *)ctx->owner)->now_ns;
}

static bool input_ends(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&in, 1, 0) > 0;
}

/* One round: L2 runs 1 us, exits with CPUID to L1, which does a VMREAD (kept) and resumes it. */
static void emit_round(struct emitter *e, u64 i)
{
	e->now_ns += 1000;
	TRANSITION(&e->vp, vm_exit, .exit_reason = EXIT_REASON_CPUID, .guest_rip = 0x1000 + i % 16,
		   .isa = ISA_LONG64, .vmcs = 0x5000, .reflected = 1, .charge_ns = 10,
		   .host_cost_ns = 300);
	e->vp.vcpu_id = EVENT_VCPU_ID(e->worker.id, 0);
	e->vp.level = 1;
	e->now_ns += 200;
	TRANSITION(&e->vp, vm_exit, .exit_reason = EXIT_REASON_VMREAD, .guest_rip = 0x2000,
		   .isa = ISA_LONG64, .charge_ns = 5, .host_cost_ns = 100);
	e->now_ns += 300;
	TRANSITION(&e->vp, vm_exit, .exit_reason = EXIT_REASON_VMRESUME, .guest_rip = 0x2010,
		   .isa = ISA_LONG64, .charge_ns = 5, .host_cost_ns = 200);
	e->vp.vcpu_id = L2_VCPU + e->worker.id;
	e->vp.level = 2;
	TRANSITION(&e->vp, vm_entry, .vmcs = 0x5000, .guest_rip = 0x1002 + i % 16, .cr3 = 0x9000);
}

static void emit_state(struct emitter *e, bool first)
{
	char name[EVENT_NAME_BYTES];
	u32 vm = e->worker.id, l1 = EVENT_VCPU_ID(vm, 0), l2 = L2_VCPU + vm;
	struct trace_ctx *c = &e->worker.ctx;

	snprintf(name, sizeof(name), "child-%c", 'a' + vm % 26);
	if (first)
		TRANSITION(c, vm_start, .name = event_text(name), .vm = vm,
			   .memory_bytes = 64 * MIB, .vcpus = 1);
	TRANSITION(c, vm_state, .name = event_text(name), .vm = vm, .memory_bytes = 64 * MIB,
		   .vcpus = 1, .state = RUN_STATE_RUNNING);
	TRANSITION(c, child_state, .name = event_text("guest"), .child = vm + 100, .vm = vm,
		   .parent = EVENT_NO_ID, .depth = 2, .eptp = 0x7000);
	struct trace_ctx at = e->vp;
	at.vcpu_id = l1;
	at.level = 1;
	TRANSITION(&at, vcpu_state, .vm = vm, .child = EVENT_NO_ID, .parent_vcpu = EVENT_NO_ID,
		   .state = RUN_STATE_RUNNING);
	at.vcpu_id = l2;
	at.level = 2;
	TRANSITION(&at, vcpu_state, .vm = vm, .child = vm + 100, .parent_vcpu = l1,
		   .state = RUN_STATE_RUNNING, .vmcs = 0x5000);
	if (first)
		TRANSITION(c, vm_scheduled, .prev = EVENT_NO_ID, .next = l1, .slice_ns = 1000000,
			   .next_inner = EVENT_NO_ID, .next_level = 1);
}

/* One of each that the rounds do not have, so that every part of the report has something. */
static void emit_rest(struct emitter *e)
{
	e->now_ns += 100;
	TRANSITION(&e->vp, intr_injected, .vector = 48, .kind = INTR_KIND_EXTERNAL,
		   .due_ns = e->now_ns - 40);
	TRANSITION(&e->vp, guest_deadline, .kind = DEADLINE_JOBS, .count = 10,
		   .child = e->worker.id + 100);
	TRANSITION(&e->vp, guest_deadline, .kind = DEADLINE_MISSES, .count = 3,
		   .child = e->worker.id + 100);
	TRANSITION(&e->vp, guest_deadline, .kind = DEADLINE_LATE_US, .count = 250,
		   .child = e->worker.id + 100);
	e->vp.vcpu_id = EVENT_VCPU_ID(e->worker.id, 0);
	e->vp.level = 1;
	TRANSITION(&e->vp, vm_insn_fail, .insn = EXIT_REASON_VMLAUNCH, .error = 7);
	TRANSITION(&e->vp, entry_failure, .check = 1, .field = 0x4000, .value = 0);
	TRANSITION(&e->vp, tlb_stats, .translates = 4000, .hits = 3000, .fills = 900, .walks = 1000,
		   .faults = 100, .invals = 5, .flushes = 2);
	TRANSITION(&e->vp, tlb_machine, .counter = VTLB_COUNTER_coalesced,
		   .name = event_text("coalesced"), .value = 3);
}

static void *emitter_main(void *arg)
{
	struct emitter *e = arg;
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	e->cpu_seconds = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	emit_state(e, true);
	e->vp.vcpu_id = EVENT_VCPU_ID(e->worker.id, 0);
	e->vp.level = 1;
	TRANSITION(&e->vp, child_switch, .prev = EVENT_NO_ID, .next = L2_VCPU + e->worker.id,
		   .prev_child = EVENT_NO_ID, .next_child = e->worker.id + 100, .vmcs = 0x5000);
	e->vp.vcpu_id = L2_VCPU + e->worker.id;
	e->vp.level = 2;
	TRANSITION(&e->vp, vm_entry, .vmcs = 0x5000, .guest_rip = 0x1000, .cr3 = 0x9000);
	for (u64 i = 0; i < e->rounds; i++) {
		emit_round(e, i);
		if (i % 10000 == 9999) {
			emit_state(e, false);
			TRANSITION(&e->vp, guest_deadline, .kind = DEADLINE_MISSES,
				   .count = i / 10000, .child = e->worker.id + 100);
		}
		if (e->pause_us && i % 64 == 63) {
			trace_ring_drain(&e->ring);
			usleep((useconds_t)e->pause_us);
			if (e->until_eof && input_ends())
				break;
		}
	}
	if (e->with_rest)
		emit_rest(e);
	TRANSITION(&e->worker.ctx, vm_stop, .vm = e->worker.id, .cause = STOP_DEBUG_EXIT,
		   .status = (u64)-1ll);
	trace_summary_flush(&e->worker);
	trace_ring_drain(&e->ring);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	e->cpu_seconds = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9 - e->cpu_seconds;
	return NULL;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int emitters_init(struct emitter *e, u32 n, struct trace_hub *hub, struct trace_session *s,
			 u64 rounds, u64 pause_us)
{
	const struct transition_sink ring = {TRACE_ALL_KINDS, trace_ring_feed, e};
	const struct transition_sink summary = {TRACE_SUMMARY_KINDS, trace_summary_feed,
						s ? trace_session_summary_flag(s) : NULL};

	trace_hub_init(hub);
	if (trace_hub_add(hub, &ring) || (s && trace_hub_add(hub, &summary)))
		return 1;
	for (u32 i = 0; i < n; i++, e++) {
		trace_worker_init(&e->worker, hub, (u16)i, now, e);
		e->worker.ring = &e->ring;
		e->worker.summary = &e->summary;
		trace_ctx_init(&e->vp, hub, &e->worker, 0, 1, now, e);
		e->rounds = rounds;
		e->pause_us = pause_us;
		if (trace_ring_init(&e->ring, 4096, s ? trace_session_drain : NULL, s))
			return 1;
	}
	return 0;
}

static int watch(pid_t pid)
{
	struct trace_watch *w;
	char why[512];

	if (trace_watch_start(pid, &w, why, sizeof(why))) {
		fprintf(stderr, "emit: %s\n", why);
		return 1;
	}
	printf("live %s\n", trace_watch_url(w));
	fflush(stdout);
	while (getchar() != EOF)
		;
	trace_watch_stop(w);
	return 0;
}

int main(int argc, char **argv)
{
	struct trace_session_config cfg = {0};
	struct trace_session_result result = {0};
	struct trace_session *session = NULL;
	bool crash = false, bare = false, with_rest = false, until_eof = false;
	u64 rounds = 1000, pause_us = 0, events = 0;
	struct trace_hub hub;
	struct emitter *e;
	u32 workers = 1;
	int opt;

	while ((opt = getopt(argc, argv, "n:w:p:elkbrW:")) != -1) {
		switch (opt) {
		case 'n': rounds = strtoull(optarg, NULL, 0); break;
		case 'w': workers = (u32)strtoul(optarg, NULL, 0); break;
		case 'p': pause_us = strtoull(optarg, NULL, 0); break;
		case 'e': until_eof = true; break;
		case 'l': cfg.live = true; break;
		case 'k': crash = true; break;
		case 'r': with_rest = true; break;
		case 'b': bare = true; break;
		case 'W': return watch((pid_t)atoi(optarg));
		default: return 2;
		}
	}
	if (!bare) {
		if (optind + 1 != argc || workers > 16)
			return 2;
		cfg.output = argv[optind];
		if (trace_session_start(&cfg, &session))
			fprintf(stderr, "emit: goes on without a trace\n");
	}
	if (session && trace_session_live_url(session)) {
		printf("live %s\n", trace_session_live_url(session));
		fflush(stdout);
	}
	e = aligned_alloc(64, ALIGN_UP(sizeof(*e), 64ul) * workers);
	memset(e, 0, sizeof(*e) * workers);
	if (emitters_init(e, workers, &hub, session, rounds, pause_us))
		return 1;
	for (u32 i = 0; i < workers; i++)
		e[i].with_rest = with_rest, e[i].until_eof = until_eof;
	double begin = seconds();
	for (u32 i = 1; i < workers; i++)
		pthread_create(&e[i].thread, NULL, emitter_main, &e[i]);
	emitter_main(&e[0]);
	for (u32 i = 1; i < workers; i++)
		pthread_join(e[i].thread, NULL);
	double took = seconds() - begin, cpu = 0;
	for (u32 i = 0; i < workers; i++)
		cpu += e[i].cpu_seconds;
	for (u32 i = 0; i < workers; i++)
		/* tlb_stats, tlb_machine */
		events += e[i].worker.seq[EVENT_SORT_ARCH] + (with_rest ? 2 : 0);
	if (crash)
		_exit(99);
	for (u32 i = 0; i < workers; i++)
		trace_ring_fini(&e[i].ring);
	free(e);
	trace_session_stop(session, &result);
	printf("emitted %llu exits %llu seconds %.3f cpu_ns_per_event %.1f discarded %llu dropped "
	       "%llu\n",
	       (unsigned long long)events, (unsigned long long)(rounds * 3 * workers), took,
	       cpu * 1e9 / (double)events, (unsigned long long)result.discarded,
	       (unsigned long long)result.dropped);
	return 0;
}
