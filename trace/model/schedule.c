/*
 * Who ran when: a worker's time as stretches (exact: every entry and exit) and as lane segments
 * (scheduling: which level-1 processor, with which guest vCPU loaded).
 */
#include <stdlib.h>
#include "trace/model/model_priv.h"

/* --- time --- */
static void add_ran(struct model *m, u32 vcpu, u32 inner, u32 level, u64 now, u64 ran)
{
	struct model_vcpu *v = model_get_vcpu(m, level > 1 ? inner : vcpu);
	struct model_process *process;
	struct model_thread *thread;
	struct model_child *c;
	struct model_vm *vm;

	m->totals.level_ns[MIN(level, MODEL_LEVELS - 1)] += ran;
	if (!v)
		return;
	v->total.ran_ns += ran;
	model_history_ran(m, v, now, ran);
	process = v->process == EVENT_NO_ID ? NULL : model_table_find(&m->processes, v->process);
	if (process)
		process->ran_ns += ran;
	thread = v->thread == EVENT_NO_ID ? NULL : model_table_find(&m->threads, v->thread);
	if (thread)
		thread->ran_ns += ran;
	c = v->child == EVENT_NO_ID ? NULL : model_table_find(&m->children, v->child);
	if (c)
		c->ran_ns += ran;
	vm = v->vm == EVENT_NO_ID ? NULL : model_get_vm(m, v->vm);
	if (vm) {
		vm->ran_ns += ran;
		if (level > 1)
			vm->children_ns += ran;
		else
			vm->own_ns += ran;
	}
}

/* Charge the stretch up to @now. Virtual time that exits cost goes to level 0. */
static void pass_time(struct model *m, struct model_worker *w, u64 now)
{
	struct worker_priv *p = model_worker_priv(m, w);
	u64 ran, charged;

	if (now <= p->since_ns || !p->is_known) {
		p->since_ns = MAX(now, p->since_ns);
		return;
	}
	ran = now - p->since_ns;
	if (p->vcpu == EVENT_NO_ID) {
		w->idle_ns += ran;
		m->totals.idle_ns += ran;
	} else {
		w->busy_ns += ran;
		charged = MIN(p->charge_ns, ran);
		p->charge_ns -= charged;
		if (m->totals.detail != MODEL_LIVE) {
			m->totals.level_ns[0] += charged;
			add_ran(m, p->vcpu, p->inner, p->level, now, ran - charged);
		}
		if (p->level > 1)
			w->current.inner_ns += ran - charged;
	}
	p->since_ns = now;
	w->current.end_ns = now;
}

static struct model_stretch stretch_of(const struct worker_priv *p, const struct model_worker *w)
{
	return (struct model_stretch){.start_ns = p->stretch_ns,
				      .worker = w->id,
				      .vcpu = p->vcpu,
				      .inner = p->level > 1 ? p->inner : EVENT_NO_ID,
				      .level = p->vcpu == EVENT_NO_ID ? 0 : p->level};
}

static void end_stretch(struct model *m, struct model_worker *w, u64 now)
{
	struct worker_priv *p = model_worker_priv(m, w);
	struct model_stretch s = stretch_of(p, w);

	s.end_ns = now;
	if (m->on_stretch && p->is_known && now > p->stretch_ns)
		m->on_stretch(m->stretch_arg, &s);
}

/* --- lanes --- */
static void push_segment(struct model *m, struct model_worker *w)
{
	struct worker_priv *p = model_worker_priv(m, w);

	if (w->current.end_ns <= w->current.start_ns)
		return;
	if (!p->ring) {
		p->ring = malloc(sizeof(*p->ring) * m->cfg.lane_segments);
		if (!p->ring) {
			m->totals.overflow++;
			return;
		}
	}
	p->ring[p->head++ & (m->cfg.lane_segments - 1)] = w->current;
}

static void lane_set(struct model *m, struct model_worker *w, u64 now, u32 vcpu, u32 inner)
{
	struct worker_priv *p = model_worker_priv(m, w);

	p->loaded = inner;
	if (p->has_lane && w->current.vcpu == vcpu && w->current.inner == inner)
		return;
	if (p->has_lane) {
		pass_time(m, w, now);
		w->current.end_ns = MAX(w->current.end_ns, now);
		push_segment(m, w);
	}
	p->has_lane = true;
	w->current = (struct model_segment){now, now, vcpu, inner, 0};
}

/* From @now on @vcpu runs, with @inner when @level is above 1; level 0: the worker is idle. */
static void run(struct model *m, struct model_worker *w, u64 now, u32 vcpu, u32 inner, u32 level)
{
	struct worker_priv *p = model_worker_priv(m, w);

	pass_time(m, w, now);
	if (p->is_known && p->vcpu == vcpu && p->level == level &&
	    (level <= 1 || p->inner == inner))
		return;
	end_stretch(m, w, now);
	p->vcpu = vcpu;
	p->inner = inner;
	p->level = level;
	p->stretch_ns = now;
	p->is_known = true;
	w->level = level;
	if (m->on_begin) {
		const struct model_stretch s = stretch_of(p, w);

		m->on_begin(m->begin_arg, &s);
	}
}

static u32 loaded_of(struct model *m, u32 vcpu)
{
	const struct model_vcpu *v = model_vcpu(m, vcpu);

	return v ? model_vcpu_priv(m, v)->loaded : EVENT_NO_ID;
}

static void set_loaded(struct model *m, struct model_worker *w, u64 now, u32 vcpu, u32 inner)
{
	struct model_vcpu *v = model_get_vcpu(m, vcpu);

	if (v)
		model_vcpu_priv(m, v)->loaded = inner;
	if (w->current.vcpu == vcpu)
		lane_set(m, w, now, vcpu, inner);
}

/* --- events --- */
static void end_wait(struct model *m, struct model_vcpu *v, u64 now)
{
	struct vcpu_priv *p = model_vcpu_priv(m, v);
	u64 waited = now > p->ready_since ? now - p->ready_since : 0;

	if (p->ready_since == ~0ull)
		return;
	v->ready_ns += waited;
	if (p->is_woken) {
		v->wake_runs++;
		v->wake_ns += waited;
		v->wake_max_ns = MAX(v->wake_max_ns, waited);
	}
	p->ready_since = ~0ull;
	p->is_woken = false;
}

static void feed_scheduled(struct model *m, struct model_worker *w, const struct transition *t)
{
	const struct ev_vm_scheduled *e = transition_payload(t, vm_scheduled);
	u32 level = e->next == EVENT_NO_ID ? 0 : e->next_level ? (u32)e->next_level : 1;
	u32 inner = level > 1 ? (u32)e->next_inner : EVENT_NO_ID;
	struct model_counters *b;
	struct model_vcpu *v;

	m->totals.vm_switches++;
	w->switches++;
	v = model_get_vcpu(m, (u32)e->prev);
	if (v && v->state == RUN_STATE_RUNNING) {
		v->state = e->reason == SWITCH_HALT ? RUN_STATE_HALTED : RUN_STATE_READY;
		if (v->state == RUN_STATE_READY && e->reason != SWITCH_STOPPED)
			model_vcpu_priv(m, v)->ready_since = t->vtime_ns;
	}
	v = model_get_vcpu(m, (u32)e->next);
	if (v) {
		end_wait(m, v, t->vtime_ns);
		v->state = RUN_STATE_RUNNING;
		v->total.switches++;
		b = model_history_at(m, v, t->vtime_ns);
		if (b)
			b->switches++;
		if (level > 1)
			model_vcpu_priv(m, v)->loaded = inner;
	}
	run(m, w, t->vtime_ns, (u32)e->next, inner, level);
	lane_set(m, w, t->vtime_ns, (u32)e->next, loaded_of(m, (u32)e->next));
}

/* The level-1 processor under a deeper one: what the worker runs, or else its parent. */
static u32 carrier(struct model *m, const struct model_worker *w, u32 inner)
{
	const struct worker_priv *p = model_worker_priv(m, w);
	const struct model_vcpu *v;

	if (p->is_known && p->vcpu != EVENT_NO_ID)
		return p->vcpu;
	v = model_vcpu(m, inner);
	return v ? v->parent : EVENT_NO_ID;
}

static void feed_entry(struct model *m, struct model_worker *w, const struct transition *t)
{
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);
	u32 l1 = carrier(m, w, t->vcpu_id);

	m->totals.entries++;
	if (v) {
		v->entries++;
		v->level = t->level;
		v->cr3 = transition_payload(t, vm_entry)->cr3;
	}
	model_exits_entry(m, l1, t);
	run(m, w, t->vtime_ns, l1, t->vcpu_id, t->level);
	if (model_worker_priv(m, w)->loaded != t->vcpu_id || w->current.vcpu != l1) {
		set_loaded(m, w, t->vtime_ns, l1, t->vcpu_id);
		lane_set(m, w, t->vtime_ns, l1, t->vcpu_id);
	}
}

static void feed_exit(struct model *m, struct model_worker *w, const struct transition *t)
{
	const struct ev_vm_exit *e = transition_payload(t, vm_exit);
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);
	const struct model_exit add = {.reason = (u32)e->exit_reason & 0xffff,
				       .level = t->level,
				       .count = 1,
				       .reflected = e->reflected != 0,
				       .charge_ns = e->charge_ns,
				       .host_cost_ns = e->host_cost_ns,
				       .host_cost_max_ns = e->host_cost_ns};

	struct worker_priv *p = model_worker_priv(m, w);
	u32 row;

	m->has_exits = true;
	if (v) {
		row = model_exit_add(m, v, t->vtime_ns, &add);
		model_exit_one(m, v, row, t->level <= 1 ? t->vcpu_id : carrier(m, w, t->vcpu_id),
			       t);
		v->level = t->level;
	}
	if (t->level <= 1) {
		run(m, w, t->vtime_ns, t->vcpu_id, EVENT_NO_ID, 1);
	} else if (e->reflected) {
		run(m, w, t->vtime_ns, carrier(m, w, t->vcpu_id), EVENT_NO_ID, 1);
	} else {
		run(m, w, t->vtime_ns, carrier(m, w, t->vcpu_id), t->vcpu_id, t->level);
	}
	p->charge_ns += e->charge_ns;
	if (unlikely(!p->has_lane || w->current.vcpu != p->vcpu))
		lane_set(m, w, t->vtime_ns, p->vcpu, loaded_of(m, p->vcpu));
}

static void feed_worker_state(struct model *m, struct model_worker *w, const struct transition *t)
{
	const struct ev_worker_state *e = transition_payload(t, worker_state);
	u32 vcpu = (u32)e->vcpu, inner = (u32)e->child_vcpu;
	u32 level = vcpu == EVENT_NO_ID ? 0 : MAX((u32)e->depth, 1u);

	if (vcpu != EVENT_NO_ID && level > 1)
		set_loaded(m, w, t->vtime_ns, vcpu, inner);
	run(m, w, t->vtime_ns, vcpu, level > 1 ? inner : EVENT_NO_ID, level);
	lane_set(m, w, t->vtime_ns, vcpu, loaded_of(m, vcpu));
}

/* What was measured so far without entries and exits was guessed: summaries tell it anew. */
static void become_live(struct model *m)
{
	struct model_vm *vm = (struct model_vm *)(void *)m->vms.items;
	struct model_child *c = (struct model_child *)(void *)m->children.items;
	struct model_vcpu *v = (struct model_vcpu *)(void *)m->vcpus.items;
	struct model_process *p = (struct model_process *)(void *)m->processes.items;

	m->totals.detail = MODEL_LIVE;
	for (u32 i = 0; i < MODEL_LEVELS; i++)
		m->totals.level_ns[i] = 0;
	for (u32 i = 0; i < m->vms.count; i++)
		vm[i].ran_ns = vm[i].own_ns = vm[i].children_ns = 0;
	for (u32 i = 0; i < m->children.count; i++)
		c[i].ran_ns = 0;
	for (u32 i = 0; i < m->processes.count; i++)
		p[i].ran_ns = 0;
	for (u32 i = 0; i < m->threads.count; i++)
		((struct model_thread *)(void *)m->threads.items)[i].ran_ns = 0;
	for (u32 i = 0; i < m->vcpus.count; i++) {
		v[i].total.ran_ns = 0;
		for (u32 b = 0; v[i].history && b < MODEL_HISTORY_BUCKETS; b++)
			model_vcpu_priv(m, &v[i])->history->bucket[b].ran_ns = 0;
	}
}

static void feed_time_summary(struct model *m, const struct transition *t)
{
	const struct ev_time_summary *e = transition_payload(t, time_summary);
	struct model_vcpu *v;

	if (!m->has_exits && m->totals.detail != MODEL_LIVE)
		become_live(m);
	if (m->totals.detail != MODEL_LIVE)
		return;
	if (!e->depth) {
		m->totals.level_ns[0] += e->ran_ns;
		return;
	}
	add_ran(m, (u32)e->vcpu, (u32)e->child_vcpu, (u32)e->depth, t->vtime_ns, e->ran_ns);
	m->totals.entries += e->entries;
	v = e->depth > 1 ? model_get_vcpu(m, (u32)e->child_vcpu) : NULL;
	if (v)
		v->entries += e->entries;
}

void model_schedule_feed(struct model *m, struct model_worker *w, const struct transition *t)
{
	switch (t->kind) {
	case TRANSITION_vm_scheduled: feed_scheduled(m, w, t); break;
	case TRANSITION_vm_entry: feed_entry(m, w, t); break;
	case TRANSITION_vm_exit: feed_exit(m, w, t); break;
	case TRANSITION_worker_state: feed_worker_state(m, w, t); break;
	case TRANSITION_time_summary: feed_time_summary(m, t); break;
	case TRANSITION_process_switch:
	case TRANSITION_thread_switch:
		pass_time(m, w, t->vtime_ns); /* before the process changes */
		break;
	case TRANSITION_child_switch:
		set_loaded(m, w, t->vtime_ns, t->vcpu_id,
			   (u32)transition_payload(t, child_switch)->next);
		break;
	case TRANSITION_vmx_off: set_loaded(m, w, t->vtime_ns, t->vcpu_id, EVENT_NO_ID); break;
	default: break;
	}
}

void model_schedule_settle(struct model *m, struct model_worker *w)
{
	struct worker_priv *p = model_worker_priv(m, w);

	pass_time(m, w, w->last_ns);
	end_stretch(m, w, w->last_ns);
	p->stretch_ns = MAX(p->stretch_ns, w->last_ns);
}

u32 model_lane(const struct model *m, u32 worker, u64 from_ns, u64 to_ns, struct model_segment *out,
	       u32 max)
{
	const struct model_worker *w = model_table_find(&m->workers, worker);
	const struct worker_priv *p;
	u64 lo, hi, mask = m->cfg.lane_segments - 1;
	u32 n = 0;

	if (!w)
		return 0;
	p = model_worker_priv(m, w);
	/* the first segment that ends after @from_ns: they are in order */
	lo = p->head > mask + 1 ? p->head - mask - 1 : 0;
	hi = p->head;
	while (lo < hi) {
		u64 mid = (lo + hi) / 2;

		if (p->ring[mid & mask].end_ns <= from_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < p->head && n < max && p->ring[lo & mask].start_ns < to_ns; lo++)
		out[n++] = p->ring[lo & mask];
	if (n < max && p->has_lane && w->current.start_ns < to_ns && w->last_ns > from_ns) {
		out[n] = w->current;
		out[n].end_ns = MAX(w->current.end_ns, w->last_ns);
		if (out[n].end_ns > out[n].start_ns)
			n++;
	}
	return n;
}
