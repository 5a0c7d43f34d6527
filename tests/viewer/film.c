/*
 * film - the viewer on a made-up run whose numbers are known, for the tests of the viewer
 *
 *   film [-l] [-d MS] [-w WORKERS] [-a] [-e]
 *     -l  a live stream: decisions and summaries, as fast as the host's clock
 *     -d  length in ms of virtual time (2000)
 *     -w  the same on so many workers (1), with machines of their own
 *     -a  ASCII
 *     -e  the source fails after its last event
 *
 * A cycle is 20 ms: alpha 10 ms (guest rt 2 ms, its VMM 0.1 ms, guest batch 7.9 ms), beta 9 ms
 * (guest work: two processes, 5 and 4 ms, then HLT), then the worker is idle for 1 ms. rt misses a
 * deadline every 10 cycles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "viewer/viewer.h"

#define CYCLE_NS (20 * NS_PER_MS)
#define MAX_WORKERS 16u

struct film {
	struct source base;
	struct model *m;
	bool fails;
	u32 workers;
	u64 length_ns, cycles; /* cycles shown */
	u64 start_host_ns;
	u64 seq[MAX_WORKERS][EVENT_SORT_COUNT];
	u32 fed;
	/* who the next event is about */
	u32 worker, vcpu;
	u8 level;
	u64 now;
};

static u64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

static void feed(struct film *f, u8 kind, const void *payload, size_t bytes)
{
	struct transition t = {.vtime_ns = f->now,
			       .vcpu_id = f->vcpu,
			       .worker = (u16)f->worker,
			       .level = f->level,
			       .kind = kind};
	u64 bit = 1ull << kind;

	if (bit & (f->base.is_live ? event_mask_exit : event_mask_summary))
		return;
	t.seq = f->seq[f->worker][event_infos[kind].sort]++;
	memcpy(t.p, payload, bytes);
	model_feed(f->m, &t);
	f->fed++;
}

#define SAY(f, name, ...) \
	do { \
		struct ev_##name say_ = {__VA_ARGS__}; \
		feed(f, TRANSITION_##name, &say_, sizeof(say_)); \
	} while (0)

/* Numbers of worker @w's machines, guests and vCPUs. */
#define ALPHA(w) (2 * (w))
#define BETA(w) (2 * (w) + 1)
#define L1(vm) EVENT_VCPU_ID(vm, 0)
#define GUEST(w, n) (10 * (w) + (n))
#define L2(w, n) (EVENT_ID_TRACKED + GUEST(w, n))

enum { RT = 1, BATCH, WORK };

static void at(struct film *f, u64 ns, u32 vcpu, u8 level)
{
	f->now = ns;
	f->vcpu = vcpu;
	f->level = level;
}

static void say_state(struct film *f, u64 ns)
{
	static const char *const guests[] = {[RT] = "rt", [BATCH] = "batch", [WORK] = "work"};
	u32 w = f->worker;

	at(f, ns, EVENT_NO_ID, 0);
	for (u32 i = 0; i < 2; i++) {
		char name[EVENT_NAME_BYTES];

		snprintf(name, sizeof(name), w ? "%s%u" : "%s", i ? "beta" : "alpha", w);
		SAY(f, vm_state, .name = event_text(name), .vm = ALPHA(w) + i,
		    .memory_bytes = 64 * MIB, .vcpus = 1, .state = RUN_STATE_RUNNING);
	}
	for (u32 g = RT; g <= WORK; g++) {
		u32 vm = g == WORK ? BETA(w) : ALPHA(w);

		at(f, ns, EVENT_NO_ID, 0);
		SAY(f, child_state, .name = event_text(guests[g]), .child = GUEST(w, g), .vm = vm,
		    .parent = EVENT_NO_ID, .depth = 2, .eptp = 0x1000 * g);
		at(f, ns, L2(w, g), 2);
		SAY(f, vcpu_state, .vm = vm, .child = GUEST(w, g), .parent_vcpu = L1(vm),
		    .state = RUN_STATE_READY, .vmcs = 0x1000 * g);
	}
	at(f, ns, EVENT_NO_ID, 0);
	for (u32 p = 1; p <= 2; p++)
		SAY(f, process_state, .process = GUEST(w, p), .vm = BETA(w),
		    .child = GUEST(w, WORK), .cr3 = 0x10000 * p);
}

static void schedule(struct film *f, u64 ns, u32 prev, u32 next)
{
	at(f, ns, EVENT_NO_ID, 0);
	SAY(f, vm_scheduled, .prev = prev, .next = next, .reason = SWITCH_SLICE_END,
	    .slice_ns = 10 * NS_PER_MS, .next_inner = EVENT_NO_ID,
	    .next_level = next == EVENT_NO_ID ? 0 : 1);
}

static void enter(struct film *f, u64 ns, u32 l1, u32 prev, u32 next)
{
	at(f, ns, l1, 1);
	if (prev != next)
		SAY(f, child_switch, .prev = prev, .next = next,
		    .prev_child = prev == EVENT_NO_ID ? prev : prev - EVENT_ID_TRACKED,
		    .next_child = next - EVENT_ID_TRACKED);
	at(f, ns, next, 2);
	SAY(f, vm_entry, .vmcs = 0x1000);
}

static void leave(struct film *f, u64 ns, u32 vcpu, u32 reason, u64 count)
{
	at(f, ns, vcpu, 2);
	SAY(f, vm_exit, .exit_reason = reason, .reflected = 1);
	SAY(f, exit_summary, .exit_reason = reason, .count = count, .reflected = count);
}

static void spent(struct film *f, u32 l1, u32 inner, u8 depth, u64 ran_ns)
{
	at(f, f->now, EVENT_NO_ID, 0);
	SAY(f, time_summary, .vcpu = l1, .child_vcpu = inner, .depth = depth, .ran_ns = ran_ns,
	    .entries = 1);
}

static void say_cycle(struct film *f, u64 n)
{
	u32 w = f->worker, a = L1(ALPHA(w)), b = L1(BETA(w));
	u64 t = n * CYCLE_NS, us = NS_PER_US;

	if (n % 50 == 0)
		say_state(f, t);
	schedule(f, t, EVENT_NO_ID, a);
	enter(f, t, a, L2(w, BATCH), L2(w, RT));
	leave(f, t + 2000 * us, L2(w, RT), EXIT_REASON_PREEMPTION_TIMER, 1);
	if (n % 10 == 9) {
		at(f, t + 2000 * us, L2(w, RT), 2);
		SAY(f, guest_deadline, .kind = DEADLINE_MISSES, .count = n / 10 + 1,
		    .child = GUEST(w, RT));
	}
	enter(f, t + 2100 * us, a, L2(w, RT), L2(w, BATCH));
	leave(f, t + 10000 * us, L2(w, BATCH), EXIT_REASON_EXTERNAL_INTERRUPT, 1);
	spent(f, a, L2(w, RT), 2, 2000 * us);
	spent(f, a, EVENT_NO_ID, 1, 100 * us);
	spent(f, a, L2(w, BATCH), 2, 7900 * us);
	schedule(f, t + 10000 * us, a, b);
	enter(f, t + 10000 * us, b, n ? L2(w, WORK) : EVENT_NO_ID, L2(w, WORK));
	at(f, t + 10000 * us, L2(w, WORK), 2);
	SAY(f, process_switch, .prev = GUEST(w, 2), .next = GUEST(w, 1), .cr3 = 0x10000);
	at(f, t + 15000 * us, L2(w, WORK), 2);
	SAY(f, process_switch, .prev = GUEST(w, 1), .next = GUEST(w, 2), .cr3 = 0x20000);
	leave(f, t + 19000 * us, L2(w, WORK), EXIT_REASON_HLT, 1);
	spent(f, b, L2(w, WORK), 2, 9000 * us);
	at(f, t + 19000 * us, b, 1);
	SAY(f, halt, .guest_rip = 0x1234);
	schedule(f, t + 19000 * us, b, EVENT_NO_ID);
	at(f, t + 20000 * us, b, 1);
	SAY(f, wake, .cause = WAKE_INTERRUPT);
}

static struct film *film_of(struct source *s)
{
	return container_of(s, struct film, base);
}

static int film_open(struct source *s, char *why)
{
	film_of(s)->start_host_ns = host_now();
	return 0;
}

static bool is_over(const struct film *f)
{
	return f->cycles * CYCLE_NS >= f->length_ns;
}

static u32 film_pump(struct source *s, struct model *m, u32 max)
{
	struct film *f = film_of(s);

	f->m = m;
	f->fed = 0;
	while (!is_over(f) && f->fed < max &&
	       (!s->is_live || (f->cycles + 1) * CYCLE_NS <= host_now() - f->start_host_ns)) {
		for (f->worker = 0; f->worker < f->workers; f->worker++)
			say_cycle(f, f->cycles);
		f->cycles++;
	}
	return f->fed;
}

static void film_status(struct source *s, struct source_status *st)
{
	struct film *f = film_of(s);

	memset(st, 0, sizeof(*st));
	st->state = !is_over(f) ? SOURCE_READING : f->fails ? SOURCE_FAILED : SOURCE_ENDED;
	if (st->state == SOURCE_FAILED)
		snprintf(st->why, sizeof(st->why), "the film tore");
}

static void film_close(struct source *s)
{
}

static const struct source_ops film_ops = {
	.open = film_open,
	.pump = film_pump,
	.status = film_status,
	.close = film_close,
};

int main(int argc, char **argv)
{
	static struct film f = {.base = {.ops = &film_ops, .title = "a film"},
				.workers = 1,
				.length_ns = 2000 * NS_PER_MS};
	struct viewer_config cfg = {.source = &f.base, .run_fd = -1};
	char why[256];
	int opt;

	while ((opt = getopt(argc, argv, "ld:w:ae")) != -1) {
		switch (opt) {
		case 'l': f.base.is_live = true; break;
		case 'd': f.length_ns = strtoull(optarg, NULL, 0) * NS_PER_MS; break;
		case 'w': f.workers = MIN((u32)atoi(optarg), MAX_WORKERS); break;
		case 'a': cfg.screen.ascii = true; break;
		case 'e': f.fails = true; break;
		default: return 2;
		}
	}
	if (viewer_show(&cfg, why, sizeof(why))) {
		fprintf(stderr, "film: %s\n", why);
		return 1;
	}
	return 0;
}
