#include "l0/worker.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "l0/base/assert.h"
#include "l0/host.h"
#include "l0/host_report.h"
#include "l0/terminal.h"

#define RING_RECORDS 16384u
/* Workers of a virtual-clock host are never further apart than this. */
#define WINDOW_NS (100 * NS_PER_US)
/* Under the host's clock, instructions between two looks at the time. */
#define HOST_CHUNK_INSNS 20000u
#define HOST_IDLE_MAX_NS (2 * NS_PER_MS)
#define STATE_PERIOD_NS NS_PER_SEC

__thread struct worker *worker_self;

static bool is_virtual(const struct host *h)
{
	return h->clock.kind == CLOCK_KIND_VIRTUAL;
}

u64 worker_now(const struct worker *w)
{
	if (!is_virtual(w->host))
		return clock_host_ns(&w->host->clock);
	return clock_lane_now(&w->lane, w->vcpu ? w->vcpu->vp.insns : w->lane.base_insns);
}

static u64 trace_now(struct trace_ctx *ctx)
{
	return worker_now(ctx->owner);
}

static void ring_feed(void *arg, struct trace_worker *trace, const struct transition *t)
{
	(void)arg;
	trace_ring_push(&container_of(trace, struct worker, trace)->ring, t);
}

/* Somebody more urgent than what @worker runs; -1: none. */
static void preempt_worker(struct host *h, s32 worker)
{
	if (likely(worker < 0))
		return;
	h->worker[worker].preempt = true;
	struct vcpu *running = h->worker[worker].vcpu;
	if (running)
		vp_request(&running->vp, VP_ATTN_REQUEST);
}

/* Policies that infer see what everybody else sees. */
static void sched_feed(void *arg, struct trace_worker *trace, const struct transition *t)
{
	struct host *h = arg;

	(void)trace;
	preempt_worker(h, sched_transition(&h->sched, t));
}

int worker_register_sinks(struct host *h)
{
	const struct transition_sink ring = {
		.kinds = h->session ? TRACE_ALL_KINDS : TRACE_ALL_KINDS & ~event_mask_exit,
		.feed = ring_feed,
		.arg = &h->hub};
	const struct transition_sink track = {.kinds = BIT(TRANSITION_cr3_load) |
						       BIT(TRANSITION_halt) | BIT(TRANSITION_spin),
					      .feed = machine_feed,
					      .arg = h->machine};
	const struct transition_sink summary = {
		.kinds = TRACE_SUMMARY_KINDS,
		.feed = trace_summary_feed,
		.arg = h->session ? trace_session_summary_flag(h->session) : NULL};
	const struct transition_sink sched = {
		.kinds = h->sched.policy->kinds, .feed = sched_feed, .arg = h};
	int err = trace_hub_add(&h->hub, &ring);

	if (!err)
		err = trace_hub_add(&h->hub, &track);
	if (!err && h->session)
		err = trace_hub_add(&h->hub, &summary);
	if (!err && h->sched.policy->transition)
		err = trace_hub_add(&h->hub, &sched);
	return err;
}

int worker_init(struct worker *w, struct host *h, u32 id, trace_drain_fn drain, void *drain_arg)
{
	*w = (struct worker){.host = h, .id = id, .prev_vcpu = EVENT_NO_ID, .idle = true};
	clock_lane_init(&w->lane, &h->clock, 0);
	trace_worker_init(&w->trace, &h->hub, (u16)id, trace_now, w);
	trace_ctx_init(&w->about, &h->hub, &w->trace, EVENT_NO_ID, 0, trace_now, w);
	w->trace.summary = &w->summary;
	return trace_ring_init(&w->ring, RING_RECORDS, drain, drain_arg);
}

void worker_fini(struct worker *w)
{
	trace_ring_fini(&w->ring);
	trace_ctx_fini(&w->about);
	trace_ctx_fini(&w->trace.ctx);
}

/* --- wake-ups and deadlines --- */

void worker_wake(struct host *h, struct vcpu *c, u32 cause, u32 vector, u64 due_ns)
{
	struct worker *w = worker_self;
	bool was_blocked;

	vcpu_set_wake_ns(c, CLOCK_NEVER); /* before: it may run and block again at once */
	s32 preempt = sched_wake(&h->sched, &c->sched, w ? worker_now(w) : 0, &was_blocked);
	if (was_blocked && w) {
		w->about.vcpu_id =
			c->track.inside ? track_active_vcpu(&c->track) : c->track.vcpu_id;
		w->about.level = c->trace.level;
		TRANSITION(&w->about, wake, .cause = cause, .vector = vector, .due_ns = due_ns);
	}
	preempt_worker(h, preempt);
}

/* When the preemption timer of @c's guest fires, in machine time. */
static u64 preemption_ns(const struct vcpu *c)
{
	u64 tsc = nested_preemption_deadline(&c->nv);

	if (likely(tsc == NESTED_NO_DEADLINE))
		return CLOCK_NEVER;
	return clock_ns_of_tsc(&c->machine->host->clock, tsc - c->nv.tsc_adjust);
}

static u64 next_deadline(struct host *h)
{
	u64 next = CLOCK_NEVER;

	for (u32 i = 0; i < h->nmachines; i++) {
		struct machine *m = h->machine[i];
		if (m->stopped)
			continue;
		next = MIN(next, MIN(bus_next_deadline(&m->bus), timer_queue_next(&m->input)));
		for (u32 v = 0; v < m->nvcpus; v++)
			next = MIN(next, vcpu_wake_ns(&m->vcpu[v]));
	}
	return next;
}

static void expire(struct host *h, u64 now)
{
	for (u32 i = 0; i < h->nmachines; i++) {
		struct machine *m = h->machine[i];
		if (m->stopped)
			continue;
		if (bus_next_deadline(&m->bus) <= now)
			bus_expire(&m->bus, now);
		if (unlikely(timer_queue_next(&m->input) <= now))
			timer_queue_expire(&m->input, now, BUS_EXPIRE_LIMIT);
		for (u32 v = 0; v < m->nvcpus; v++) {
			u64 due = vcpu_wake_ns(&m->vcpu[v]);

			if (due <= now)
				worker_wake(h, &m->vcpu[v], WAKE_TIMER, 0, due);
		}
	}
}

/* --- going over from one virtual processor to another --- */

/* @c: who comes, possibly in the middle of its guest; NULL: nobody. */
static void emit_scheduled(struct worker *w, const struct vcpu *c, u64 slice_ns)
{
	u32 next = c ? c->track.vcpu_id : EVENT_NO_ID;

	w->about.vcpu_id = next;
	w->about.level = c ? 1 : 0;
	TRANSITION(&w->about, vm_scheduled, .prev = w->prev_vcpu, .next = next,
		   .reason = w->switch_reason, .slice_ns = slice_ns,
		   .next_inner = c && c->track.inside ? track_active_vcpu(&c->track) : EVENT_NO_ID,
		   .next_level = c ? c->trace.level : 0);
	w->prev_vcpu = next;
}

static void switch_out(struct worker *w, enum sched_put_reason why, u32 reason)
{
	struct vcpu *c = w->vcpu;
	u64 now = worker_now(w);

	vp_vec_park(&c->vp);
	vtlb_offline(&c->vp.tlb);
	if (is_virtual(w->host))
		clock_lane_sync(&w->lane, c->vp.insns);
	if (why == SCHED_PUT_BLOCK)
		vcpu_set_wake_ns(c, preemption_ns(c));
	if (unlikely(c->track.counts))
		track_counts_stop(&c->track);
	vcpu_show(c);
	w->vcpu = NULL;
	w->busy_ns += now - w->slice_start_ns;
	w->switch_reason = reason;
	sched_put(&w->host->sched, w->id, now, now - w->slice_start_ns, why);
}

static void charge_switch(struct worker *w, u64 ns)
{
	clock_lane_charge(&w->lane, ns);
	w->vcpu->charged_switch_ns += ns;
}

/* It comes from another worker: what that costs depends on how far that is. */
static void charge_move(struct worker *w, const struct sched_vp *e)
{
	u64 ns = w->host->opts->charge_ns[RUN_CHARGE_MOVE];

	if (likely(!ns) || e->last_worker < 0)
		return;
	switch (topology_distance(w->host->sched.topology, (u32)e->last_worker, w->id)) {
	case TOPOLOGY_SIBLING: ns /= 10; break;
	case TOPOLOGY_CORE: break;
	case TOPOLOGY_NODE: ns *= 2; break;
	default: return;
	}
	charge_switch(w, ns);
}

static bool switch_in(struct worker *w)
{
	u64 slice_ns, now = worker_now(w);
	struct sched_vp *e = sched_pick(&w->host->sched, w->id, now, &slice_ns);

	if (!e) {
		if (!w->idle)
			emit_scheduled(w, NULL, 0);
		w->idle = true;
		return false;
	}
	struct vcpu *c = e->owner;
	w->idle = false;
	if (is_virtual(w->host) && e->run_start_ns > now) { /* so far it was on another worker */
		now = e->run_start_ns;
		clock_lane_skip_to(&w->lane, now);
	}
	w->slice_start_ns = now;
	w->slice_end_ns = now + slice_ns;
	w->preempt = false;
	vcpu_set_wake_ns(c, CLOCK_NEVER);
	c->trace.worker = &w->trace;
	w->vcpu = c;
	bool is_switch = w->prev_vcpu != c->track.vcpu_id;
	e->n_switches += is_switch;
	if (is_virtual(w->host)) {
		clock_lane_attach(&w->lane, c->vp.insns);
		if (is_switch) /* the one that comes pays for it */
			charge_switch(w, w->host->opts->charge_ns[RUN_CHARGE_VP_SWITCH]);
		charge_move(w, e);
	}
	vtlb_online(&c->vp.tlb);
	track_runs(&c->track);
	if (unlikely(c->track.counts))
		track_counts_start(&c->track);
	emit_scheduled(w, c, slice_ns);
	return true;
}

static void stop_machine(struct worker *w)
{
	struct machine *m = w->vcpu->machine;

	if (!__atomic_exchange_n(&m->stopped, true, __ATOMIC_SEQ_CST)) {
		TRANSITION(&w->vcpu->trace, vm_stop, .vm = m->id, .cause = m->stop_cause,
			   .status = m->stop_status);
		host_machine_stopped(w->host, m);
	}
	switch_out(w, SCHED_PUT_GONE, SWITCH_STOPPED);
}

/*
 * The engine found the VP halted. A wake-up may have come since it looked; one more look after the
 * scheduler has forgotten the wake-ups up to here decides, and none is lost.
 */
static bool really_halted(struct worker *w)
{
	struct vcpu *c = w->vcpu;

	sched_wake_seen(&w->host->sched, &c->sched);
	return engine_run(&c->vp, c->vp.insns) == ENGINE_STOP_HALT;
}

/* --- running --- */

/* Host clock: did the guest's preemption timer run out? */
static bool timer_is_over(const struct worker *w)
{
	u64 preempt = preemption_ns(w->vcpu);

	return unlikely(preempt != CLOCK_NEVER) && preempt <= worker_now(w);
}

static u64 horizon_by_time(struct worker *w, u64 limit_ns)
{
	struct vcpu *c = w->vcpu;

	if (!is_virtual(w->host)) {
		/* a preemption timer that is over leaves time for an injection only */
		return c->vp.insns + (timer_is_over(w) ? 0 : HOST_CHUNK_INSNS);
	}
	u64 horizon =
		MIN(MIN(limit_ns, w->slice_end_ns), MIN(next_deadline(w->host), preemption_ns(c)));
	u64 until = clock_lane_insns_at(&w->lane, horizon);
	return MAX(until, c->vp.insns);
}

static u64 horizon_insns(struct worker *w, u64 limit_ns)
{
	struct vp *vp = &w->vcpu->vp;

	if (unlikely(vp->pmu.is_counting)) {
		pmu_sync(vp);
		return MIN(horizon_by_time(w, limit_ns), pmu_next_overflow(vp));
	}
	return horizon_by_time(w, limit_ns);
}

static void take_charge(struct worker *w)
{
	struct vcpu *c = w->vcpu;

	clock_lane_sync(&w->lane, c->vp.insns);
	clock_lane_charge(&w->lane, c->nv.charge_ns);
	c->charged_exit_ns += c->nv.charge_ns;
	c->nv.charge_ns = 0;
	w->horizon_moved |= is_virtual(w->host);
}

/* Halted for ever: the end of many a kernel that gave up. */
static void stop_if_dead(struct worker *w, struct machine *m)
{
	struct nvmx *nv = &m->vcpu[0].nv;

	if (m->stop_wanted || !machine_is_dead(m))
		return;
	world_stop(w); /* another worker may be about to wake one */
	bool dead = !m->stop_wanted && machine_is_dead(m);
	if (dead)
		snprintf(nv->stop_text, sizeof(nv->stop_text),
			 "every processor is halted with interrupts off, rip %#llx: nothing is "
			 "left that could wake one",
			 (unsigned long long)m->vcpu[0].vp.cpu.rip);
	world_resume(w);
	if (dead)
		machine_stop(m, STOP_ERROR, 0);
}

/* A debugger wants to talk: everything stands still meanwhile. */
static void poll_gdb(struct worker *w)
{
	struct gdb *g = w->host->gdb;

	if (likely(!g) || !(gdb_is_stopped(g) || (w->id == 0 && gdb_poll(g))))
		return;
	world_stop(w);
	if (gdb_is_stopped(g)) /* another worker may have served it meanwhile */
		gdb_serve(g);
	world_resume(w);
}

/* The VP cannot go on: say why, let a debugger look, stop its machine. */
static void stop_failed(struct worker *w, struct vcpu *c)
{
	if (c->nv.stop_cause == STOP_TRIPLE_FAULT && c->machine->desc->triple_resets &&
	    !w->host->gdb) {
		/* as a PC's chipset answers a shutdown */
		machine_want_reset(c->machine, BUS_RESET_HARD);
		return;
	}
	host_dump_vcpu(c);
	if (w->host->gdb) {
		gdb_on_fatal(w->host->gdb, &c->vp);
		poll_gdb(w);
	}
	machine_stop(c->machine, c->nv.stop_cause, 0);
}

static enum exit_action handle_exit(struct worker *w, u64 *preempt_at)
{
	struct vcpu *c = w->vcpu;
	enum exit_action action = exit_handle(&c->vp, &c->nv);

	if (unlikely(c->nv.charge_ns))
		take_charge(w);
	if (c->nv.preemption_deadline != *preempt_at) {
		*preempt_at = c->nv.preemption_deadline;
		w->horizon_moved |= is_virtual(w->host) || timer_is_over(w);
	}
	return action;
}

/*
 * It waits for another VP, which may be one that waits for this worker; or for the host's
 * processor, where that has more threads to run than cores. Return: it gave way to another VP.
 */
static bool yield_spinner(struct worker *w)
{
	struct vcpu *c = w->vcpu;
	struct sched *s = &w->host->sched;

	if (w->host->nworkers > 1 && w->host->clock.kind == CLOCK_KIND_HOST)
		sched_yield();
	if (!sched_contended(s) || (!s->policy->yields_spinners && w->host->nmachines > 1))
		return false;
	TRANSITION(&c->trace, spin, .guest_rip = c->vp.cpu.rip, .count = 1);
	sched_spin(s, w->id, worker_now(w));
	switch_out(w, SCHED_PUT_SLICE, SWITCH_SPIN);
	return true;
}

/* Run w->vcpu until something needs the loop's attention: time, a halt, the end. */
static void run_vcpu(struct worker *w, u64 limit_ns)
{
	struct vcpu *c = w->vcpu;
	u64 preempt_at = c->nv.preemption_deadline;

	w->horizon_moved = false;
	c->nv.measure_cost = w->host->session != NULL;
	u64 until = horizon_insns(w, limit_ns);
	for (;;) {
		enum engine_stop stop = engine_run(&c->vp, until);
		enum exit_action action = EXIT_ACTION_RUN;

		if (likely(stop == ENGINE_STOP_EXIT)) {
			action = handle_exit(w, &preempt_at);
		} else if (stop == ENGINE_STOP_HALT) {
			if (really_halted(w)) {
				TRANSITION(&c->trace, halt, .guest_rip = c->vp.cpu.rip);
				switch_out(w, SCHED_PUT_BLOCK, SWITCH_HALT);
				stop_if_dead(w, c->machine);
			}
			return;
		} else {
			return;
		}
		if (action == EXIT_ACTION_STOP) {
			stop_failed(w, c);
			return;
		}
		if (unlikely(action == EXIT_ACTION_SPIN) && yield_spinner(w))
			return;
		if (w->horizon_moved || w->host->stop)
			return;
	}
}

static void check_preemption_timer(struct worker *w, u64 now)
{
	struct vcpu *c = w->vcpu;

	if (preemption_ns(c) > now)
		return;
	if (nested_preemption_expired(&c->vp, &c->nv) == EXIT_ACTION_STOP)
		stop_failed(w, c);
	if (c->nv.charge_ns)
		take_charge(w);
}

static void emit_state(struct worker *w, struct machine *m, u64 now)
{
	__atomic_store_n(&m->next_state_ns, now + STATE_PERIOD_NS, __ATOMIC_RELAXED);
	if (unlikely(w->vcpu->track.counts))
		counts_sync(w->vcpu->track.counts);
	machine_emit_state(m, w, false);
	w->about.vcpu_id = EVENT_NO_ID;
	w->about.level = 0;
	TRANSITION(&w->about, worker_state, .vcpu = w->vcpu->track.vcpu_id,
		   .child_vcpu =
			   w->vcpu->track.inside ? track_active_vcpu(&w->vcpu->track) : EVENT_NO_ID,
		   .depth = w->vcpu->trace.level, .busy_ns = w->busy_ns + now - w->slice_start_ns,
		   .idle_ns = now - w->busy_ns - (now - w->slice_start_ns));
}

/* What has to be looked at between two stretches of one VP. Return: whether it goes on. */
static bool still_runs(struct worker *w, u64 now)
{
	struct vcpu *c = w->vcpu;
	struct machine *m = c->machine;

	if (unlikely(m->stop_wanted)) {
		stop_machine(w);
		return false;
	}
	if (unlikely(m->reset_wanted))
		machine_reset(m);
	if (unlikely(now >= __atomic_load_n(&m->next_state_ns, __ATOMIC_RELAXED)) && c->vp.id == 0)
		emit_state(w, m, now);
	if (unlikely(w->preempt)) {
		switch_out(w, SCHED_PUT_PREEMPT, SWITCH_PREEMPTED);
		return false;
	}
	if (now >= w->slice_end_ns) {
		u64 more_ns = w->host->sched.slice_ns;
		if (sched_contended(&w->host->sched)) {
			more_ns = sched_extension(&w->host->sched, w->id, now);
			if (!more_ns) {
				switch_out(w, SCHED_PUT_SLICE, SWITCH_SLICE_END);
				return false;
			}
		}
		w->slice_end_ns = now + more_ns;
	}
	check_preemption_timer(w, now);
	return true;
}

static bool is_over(struct host *h)
{
	return h->stop || h->running == 0;
}

static void emit_note(struct worker *w, const struct sched_note *n)
{
	w->about.vcpu_id = n->vcpu_id;
	w->about.level = n->vcpu_id != EVENT_NO_ID;
	if (w->about.mask & BIT(n->kind))
		transition_emit(&w->about, n->kind, n->p, event_infos[n->kind].words);
}

static void ask_for_cpu(struct host *h, const struct ev_cpu_pressure *p)
{
	if (p->action == PRESSURE_ASK || p->action == PRESSURE_GIVE)
		machine_ask_cpu(h->machine[p->vm], p->vcpu & 0xffff, p->action == PRESSURE_GIVE);
}

static __cold_path void take_notes(struct worker *w)
{
	struct sched_note n;

	while (sched_take_note(&w->host->sched, &n)) {
		if (!n.is_sample)
			emit_note(w, &n);
		if (n.kind == TRANSITION_cpu_pressure)
			ask_for_cpu(w->host, &n.cpu_pressure);
		if (w->host->opts->report) {
			if (w->vcpu)
				vp_vec_park(&w->vcpu->vp);
			host_report_note(w->host, &n);
		}
	}
}

/* One step at most of each kind, at @now; *@blocked when the worker has nothing to do before
 * @limit_ns. */
static void step(struct worker *w, u64 now, u64 limit_ns, bool *blocked)
{
	struct host *h = w->host;

	*blocked = false;
	expire(h, now);
	if (unlikely(sched_has_notes(&h->sched)))
		take_notes(w);
	if (w->vcpu && !still_runs(w, now))
		return;
	if (!w->vcpu) {
		if (!switch_in(w)) {
			*blocked = true;
			return;
		}
		check_preemption_timer(w, now); /* of a halted guest: what woke it */
	}
	if (unlikely(w->vcpu->eject_wanted))
		machine_eject(w->vcpu);
	if (!w->vcpu->machine->stop_wanted)
		run_vcpu(w, limit_ns);
}

/* --- virtual clock: all workers on this thread --- */

/* Can something from outside wake a machine that waits for ever? */
static bool input_can_come(const struct host *h)
{
	for (u32 i = 0; i < h->nmachines; i++)
		if (!h->machine[i]->stopped && h->machine[i]->desc->net.user)
			return true;
	return terminal_can_wake(h->terminal);
}

/* Nothing runs before @to: skip the time, or wait for the host's clock to come there. */
static void skip_idle(struct worker *w, u64 to)
{
	struct host *h = w->host;

	if (h->opts->idle == RUN_IDLE_REAL) {
		trace_ring_drain(&w->ring);
		u64 host_now = clock_host_ns(&h->clock), wait = to > host_now ? to - host_now : 0;
		wait = MIN(wait, HOST_IDLE_MAX_NS);
		if (wait)
			nanosleep(&(struct timespec){.tv_nsec = (long)wait}, NULL);
		to = MIN(to, clock_host_ns(&h->clock));
	}
	clock_lane_skip_to(&w->lane, to);
}

static void advance(struct worker *w, u64 end, bool alone)
{
	struct host *h = w->host;

	worker_self = w;
	for (u64 now; !is_over(h) && (now = worker_now(w)) < end;) {
		bool blocked;
		step(w, now, end, &blocked);
		poll_gdb(w);
		if (h->terminal)
			terminal_poll(h->terminal, clock_host_ns(&h->clock));
		if (!blocked)
			continue;
		u64 to = MIN(next_deadline(h), end);
		if (to == CLOCK_NEVER) {
			if (!input_can_come(h)) {
				host_stop(h, HOST_STOP_DEAD);
				return;
			}
			to = worker_now(w) + HOST_IDLE_MAX_NS;
		}
		if (alone || to < end)
			skip_idle(w, MAX(to, worker_now(w)));
		else
			clock_lane_skip_to(&w->lane, end);
	}
	if (!alone && w->vcpu) /* the next worker's runs on this thread, too */
		vp_vec_park(&w->vcpu->vp);
}

/*
 * Of the window that begins at @start. Not behind what is due next: the worker that comes there
 * first would wake a processor that another one, which is not as far yet, runs before that time.
 */
static u64 window_end(struct host *h, u64 start, u64 limit)
{
	if (h->nworkers == 1)
		return limit;
	u64 next = next_deadline(h), end = MIN(limit, start + WINDOW_NS);

	return next > start ? MIN(next, end) : end;
}

void worker_loop_virtual(struct host *h)
{
	u64 limit = h->opts->for_ns ? h->opts->for_ns : CLOCK_NEVER;
	u64 start = 0;

	while (!is_over(h) && start < limit) {
		u64 end = window_end(h, start, limit);
		u32 idle = 0;
		for (u32 i = 0; i < h->nworkers; i++) {
			advance(&h->worker[i], end, h->nworkers == 1);
			idle += h->worker[i].vcpu == NULL;
		}
		start = end;
		/* All idle: the next window begins where something is due. */
		if (idle == h->nworkers && h->nworkers > 1 && !is_over(h)) {
			u64 next = next_deadline(h);
			if (next == CLOCK_NEVER && !sched_contended(&h->sched))
				host_stop(h, HOST_STOP_DEAD);
			if (next != CLOCK_NEVER && next > start)
				start = MIN(next, limit);
			for (u32 i = 0; i < h->nworkers; i++)
				clock_lane_skip_to(&h->worker[i].lane, start);
		}
	}
	if (!is_over(h))
		host_stop(h, HOST_STOP_TIME);
	for (u32 i = 0; i < h->nworkers; i++) {
		worker_self = &h->worker[i];
		if (worker_self->vcpu)
			switch_out(worker_self, SCHED_PUT_PREEMPT, SWITCH_STOPPED);
		emit_scheduled(worker_self, NULL, 0);
		trace_summary_flush(&worker_self->trace);
	}
	worker_self = NULL;
}

/* --- host clock: this worker's thread --- */

static void host_idle(struct worker *w)
{
	struct host *h = w->host;
	u32 kicks = sched_kicks(&h->sched); /* before the deadlines: one that moves later counts */
	u64 now = worker_now(w), next = next_deadline(h);
	u64 wait = next > now ? MIN(next - now, HOST_IDLE_MAX_NS) : 0;

	trace_ring_drain(&w->ring);
	if (next == CLOCK_NEVER && h->nworkers == 1 && !input_can_come(h)) {
		host_stop(h, HOST_STOP_DEAD);
		return;
	}
	if (wait)
		sched_wait_ready(&h->sched, wait, kicks);
}

void worker_loop_host(struct worker *w)
{
	struct host *h = w->host;
	u64 limit = h->opts->for_ns ? h->opts->for_ns : CLOCK_NEVER;

	worker_self = w;
	world_enter(w);
	while (!is_over(h)) {
		bool blocked;
		if (unlikely(h->world.wanted))
			world_wait_slow(w);
		u64 now = worker_now(w);
		if (now >= limit) {
			host_stop(h, HOST_STOP_TIME);
			break;
		}
		step(w, now, limit, &blocked);
		poll_gdb(w);
		if (w->id == 0 && h->terminal)
			terminal_poll(h->terminal, now);
		if (blocked)
			host_idle(w);
	}
	world_leave(w);
	if (w->vcpu)
		switch_out(w, SCHED_PUT_PREEMPT, SWITCH_STOPPED);
	emit_scheduled(w, NULL, 0);
	trace_summary_flush(&w->trace);
	worker_self = NULL;
}
