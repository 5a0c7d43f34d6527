/* Who exists: machines, child VMs, vCPUs, processes, and what happened to each. */
#include <stdlib.h>
#include <string.h>
#include "l0/base/hash.h"
#include "trace/model/model_priv.h"

/* --- tables --- */
int model_table_init(struct table *t, u32 item_bytes, u32 max)
{
	memset(t, 0, sizeof(*t));
	t->item_bytes = item_bytes;
	t->max = max;
	t->hash_size = 64;
	t->hash = calloc(t->hash_size, sizeof(*t->hash));
	return t->hash ? 0 : -1;
}

void model_table_fini(struct table *t)
{
	free(t->items);
	free(t->hash);
	memset(t, 0, sizeof(*t));
}

static u32 item_id(const struct table *t, u32 index)
{
	u32 id;

	memcpy(&id, t->items + (size_t)index * t->item_bytes, sizeof(id));
	return id;
}

static u32 *hash_slot(const struct table *t, u32 id)
{
	u32 i = (u32)hash_u64(id) & (t->hash_size - 1);

	while (t->hash[i] && item_id(t, t->hash[i] - 1) != id)
		i = (i + 1) & (t->hash_size - 1);
	return &t->hash[i];
}

void *model_table_find(const struct table *t, u32 id)
{
	u32 slot;

	/* most tables are small, and their first ids 0, 1, 2, … */
	if (id < t->count && item_id(t, id) == id)
		return t->items + (size_t)id * t->item_bytes;
	slot = *hash_slot(t, id);
	return slot ? t->items + (size_t)(slot - 1) * t->item_bytes : NULL;
}

static bool table_grow(struct table *t)
{
	u32 room = t->room ? MIN(t->room * 2, t->max) : MIN(16u, t->max);
	u32 size = t->hash_size;
	u8 *items;
	u32 *hash;

	if (t->count < t->room)
		return true;
	if (t->count >= t->max)
		return false;
	items = realloc(t->items, (size_t)room * t->item_bytes);
	if (!items)
		return false;
	t->items = items;
	while (size < room * 2)
		size *= 2;
	if (size != t->hash_size) {
		hash = calloc(size, sizeof(*hash));
		if (!hash)
			return false; /* room stays; tried again at the next item */
		free(t->hash);
		t->hash = hash;
		t->hash_size = size;
		for (u32 i = 0; i < t->count; i++)
			*hash_slot(t, item_id(t, i)) = i + 1;
	}
	t->room = room;
	return true;
}

void *model_table_get(struct model *m, struct table *t, u32 id, bool *is_new)
{
	void *item = model_table_find(t, id);

	*is_new = false;
	if (item)
		return item;
	if (!table_grow(t)) {
		m->totals.overflow++;
		return NULL;
	}
	item = t->items + (size_t)t->count * t->item_bytes;
	memset(item, 0, t->item_bytes);
	memcpy(item, &id, sizeof(id));
	*hash_slot(t, id) = ++t->count;
	*is_new = true;
	return item;
}

/* --- entities --- */
struct model_worker *model_get_worker(struct model *m, u32 id)
{
	struct model_worker *w;
	struct worker_priv *p;
	bool is_new;

	w = model_table_get(m, &m->workers, id, &is_new);
	if (!w || !is_new)
		return w;
	p = model_worker_priv(m, w);
	memset(p, 0, sizeof(*p));
	p->vcpu = p->inner = p->loaded = EVENT_NO_ID;
	w->current.vcpu = w->current.inner = EVENT_NO_ID;
	return w;
}

struct model_vm *model_get_vm(struct model *m, u32 id)
{
	bool is_new;

	return model_table_get(m, &m->vms, id, &is_new);
}

struct model_child *model_get_child(struct model *m, u32 id)
{
	struct model_child *c;
	bool is_new;

	c = model_table_get(m, &m->children, id, &is_new);
	if (c && is_new) {
		c->vm = c->parent = EVENT_NO_ID;
		c->depth = 2;
	}
	return c;
}

struct model_vcpu *model_get_vcpu(struct model *m, u32 id)
{
	struct model_vcpu *v;
	bool is_new;

	if (id == EVENT_NO_ID)
		return NULL;
	v = model_table_get(m, &m->vcpus, id, &is_new);
	if (!v || !is_new)
		return v;
	memset(model_vcpu_priv(m, v), 0, sizeof(struct vcpu_priv));
	model_vcpu_priv(m, v)->halted_since = ~0ull;
	model_vcpu_priv(m, v)->ready_since = ~0ull;
	model_vcpu_priv(m, v)->loaded = EVENT_NO_ID;
	v->child = v->parent = v->process = v->thread = EVENT_NO_ID;
	v->vm = id < EVENT_ID_TRACKED ? id >> 16 : EVENT_NO_ID;
	v->index = id < EVENT_ID_TRACKED ? id & 0xffff : 0;
	v->level = id < EVENT_ID_TRACKED ? 1 : 2;
	return v;
}

struct model_process *model_get_process(struct model *m, u32 id)
{
	struct model_process *p;
	bool is_new;

	if (id == EVENT_NO_ID)
		return NULL;
	p = model_table_get(m, &m->processes, id, &is_new);
	if (p && is_new)
		p->vm = p->child = EVENT_NO_ID;
	return p;
}

/* --- exits --- */
static struct model_exit *exit_row(struct model *m, struct model_vcpu *v, u32 reason, u32 level)
{
	struct vcpu_priv *p = model_vcpu_priv(m, v);
	u32 room;

	reason = MIN(reason, (u32)ARRAY_SIZE(p->exit_slot) - 1);
	if (p->exit_slot[reason])
		return &p->exits[p->exit_slot[reason] - 1];
	if (v->nexits == p->exits_room) {
		struct exit_priv *privs;
		struct model_exit *exits;

		room = p->exits_room ? p->exits_room * 2 : 8;
		privs = realloc(p->exit_privs, room * sizeof(*privs));
		if (!privs)
			return NULL;
		p->exit_privs = privs;
		exits = realloc(p->exits, room * sizeof(*exits));
		if (!exits)
			return NULL;
		p->exits = exits;
		p->exits_room = room;
		v->exits = exits;
	}
	p->exits[v->nexits] = (struct model_exit){.reason = reason, .level = level};
	p->exit_privs[v->nexits] = (struct exit_priv){NULL, NULL};
	p->exit_slot[reason] = (u8)++v->nexits;
	return &p->exits[v->nexits - 1];
}

u32 model_exit_add(struct model *m, struct model_vcpu *v, u64 now, const struct model_exit *add)
{
	struct model_exit *row = exit_row(m, v, add->reason, add->level);
	struct model_counters *b = model_history_at(m, v, now);
	u64 halts = add->reason == EXIT_REASON_HLT ? add->reflected : 0;

	if (row) {
		row->count += add->count;
		row->reflected += add->reflected;
		row->charge_ns += add->charge_ns;
		row->host_cost_ns += add->host_cost_ns;
		row->host_cost_max_ns = MAX(row->host_cost_max_ns, add->host_cost_max_ns);
	} else {
		m->totals.overflow++;
	}
	v->charge_ns += add->charge_ns;
	v->host_cost_ns += add->host_cost_ns;
	v->total.exits += add->count;
	v->total.reflected += add->reflected;
	v->total.halts += halts;
	m->totals.halts += halts;
	if (b) {
		b->exits += add->count;
		b->reflected += add->reflected;
		b->halts += halts;
	}
	return row ? (u32)(row - v->exits) : EVENT_NO_ID;
}

/* --- state events --- */
static void feed_vm_state(struct model *m, const struct transition *t)
{
	const struct ev_vm_state *e = transition_payload(t, vm_state);
	struct model_vm *vm = model_get_vm(m, (u32)e->vm);

	if (!vm)
		return;
	event_text_get(e->name.w, vm->name);
	vm->memory_bytes = e->memory_bytes;
	vm->vcpus = (u32)e->vcpus;
	vm->state = (enum run_state)e->state;
}

static void feed_vm_start(struct model *m, const struct transition *t)
{
	const struct ev_vm_start *e = transition_payload(t, vm_start);
	struct model_vm *vm = model_get_vm(m, (u32)e->vm);

	if (!vm)
		return;
	event_text_get(e->name.w, vm->name);
	vm->memory_bytes = e->memory_bytes;
	vm->vcpus = (u32)e->vcpus;
	vm->state = RUN_STATE_RUNNING;
	vm->start_ns = t->vtime_ns;
}

static void feed_vm_stop(struct model *m, const struct transition *t)
{
	const struct ev_vm_stop *e = transition_payload(t, vm_stop);
	struct model_vm *vm = model_get_vm(m, (u32)e->vm);

	if (!vm)
		return;
	vm->state = RUN_STATE_STOPPED;
	vm->stop_cause = (enum stop_cause)e->cause;
	vm->status = (s64)e->status;
	vm->stop_ns = t->vtime_ns;
}

static void feed_child_state(struct model *m, const struct transition *t)
{
	const struct ev_child_state *e = transition_payload(t, child_state);
	struct model_child *c = model_get_child(m, (u32)e->child);

	if (!c)
		return;
	event_text_get(e->name.w, c->name);
	c->vm = (u32)e->vm;
	c->parent = (u32)e->parent;
	c->depth = (u32)e->depth;
	c->eptp = e->eptp;
	c->inferred = e->inferred != 0;
}

/* A reader that began in mid-run learns late where a vCPU belongs: what it ran so far counts
 * there. */
static void credit_late(struct model *m, const struct model_vcpu *v, u32 vm, u32 child)
{
	struct model_vm *owner = v->vm == EVENT_NO_ID ? model_get_vm(m, vm) : NULL;
	struct model_child *c =
		v->child == EVENT_NO_ID && child != EVENT_NO_ID ? model_get_child(m, child) : NULL;

	if (owner) {
		owner->ran_ns += v->total.ran_ns;
		owner->children_ns += v->total.ran_ns;
	}
	if (c)
		c->ran_ns += v->total.ran_ns;
}

static void feed_vcpu_state(struct model *m, const struct transition *t)
{
	const struct ev_vcpu_state *e = transition_payload(t, vcpu_state);
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);

	if (!v)
		return;
	credit_late(m, v, (u32)e->vm, (u32)e->child);
	v->vm = (u32)e->vm;
	v->child = (u32)e->child;
	v->index = (u32)e->index;
	v->parent = (u32)e->parent_vcpu;
	v->level = t->level;
	v->state = (enum run_state)e->state;
	v->vmcs = e->vmcs;
	v->cr3 = e->cr3;
}

static void feed_process_state(struct model *m, const struct transition *t)
{
	const struct ev_process_state *e = transition_payload(t, process_state);
	struct model_process *p = model_get_process(m, (u32)e->process);

	if (!p)
		return;
	event_text_get(e->name.w, p->name);
	p->vm = (u32)e->vm;
	p->child = (u32)e->child;
	p->cr3 = e->cr3;
}

/* A switch tells who is whose, before any state event has. */
static void feed_child_switch(struct model *m, const struct transition *t)
{
	const struct ev_child_switch *e = transition_payload(t, child_switch);
	struct model_vcpu *parent = model_get_vcpu(m, t->vcpu_id);
	u32 vm = parent ? parent->vm : EVENT_NO_ID;
	struct model_vcpu *next = model_get_vcpu(m, (u32)e->next);
	struct model_child *c;
	struct model_counters *b;

	m->totals.child_switches++;
	parent = model_get_vcpu(m, t->vcpu_id); /* the table may have moved */
	if (parent)
		parent->child_switches++;
	if (next) {
		next->parent = t->vcpu_id;
		next->child = (u32)e->next_child;
		next->vm = vm;
		next->vmcs = e->vmcs;
		next->total.switches++;
		b = model_history_at(m, next, t->vtime_ns);
		if (b)
			b->switches++;
	}
	if (e->next_child == EVENT_NO_ID)
		return;
	c = model_get_child(m, (u32)e->next_child);
	if (c) {
		c->switches += e->next_child != e->prev_child;
		if (c->vm == EVENT_NO_ID)
			c->vm = vm;
	}
}

static void feed_process_switch(struct model *m, const struct transition *t)
{
	const struct ev_process_switch *e = transition_payload(t, process_switch);
	struct model_process *p = model_get_process(m, (u32)e->next);
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);

	m->totals.process_switches++;
	if (v) {
		v->process = (u32)e->next;
		v->cr3 = e->cr3;
		v->process_switches++;
	}
	if (!p)
		return;
	p->switches++;
	p->cr3 = e->cr3;
	if (v && p->vm == EVENT_NO_ID) {
		p->vm = v->vm;
		p->child = v->child;
	}
}

static struct model_thread *get_thread(struct model *m, u32 id)
{
	struct model_thread *x;
	bool is_new;

	if (id == EVENT_NO_ID)
		return NULL;
	x = model_table_get(m, &m->threads, id, &is_new);
	if (x && is_new)
		x->vm = x->child = x->process = EVENT_NO_ID;
	return x;
}

static void feed_thread_state(struct model *m, const struct transition *t)
{
	const struct ev_thread_state *e = transition_payload(t, thread_state);
	struct model_thread *x = get_thread(m, (u32)e->thread);

	if (!x)
		return;
	x->vm = (u32)e->vm;
	x->child = (u32)e->child;
	x->process = (u32)e->process;
	x->stack = e->stack;
	x->user = e->user;
}

static void feed_thread_switch(struct model *m, const struct transition *t)
{
	const struct ev_thread_switch *e = transition_payload(t, thread_switch);
	struct model_thread *x = get_thread(m, (u32)e->next);
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);

	m->totals.thread_switches++;
	if (v) {
		v->thread = (u32)e->next;
		v->thread_switches++;
	}
	if (!x)
		return;
	x->switches++;
	x->process = (u32)e->process;
	x->stack = e->stack;
	if (v && x->vm == EVENT_NO_ID) {
		x->vm = v->vm;
		x->child = v->child;
	}
}

static void feed_count(struct model *m, const struct transition *t)
{
	const struct ev_state_count *e = transition_payload(t, state_count);

	if (e->counter >= MODEL_COUNTS)
		return;
	m->counts[e->counter] = *e;
	m->ncounts = MAX(m->ncounts, (u32)e->counter + 1);
}

const struct ev_state_count *model_counts(const struct model *m, u32 *n)
{
	*n = m->ncounts;
	return m->counts;
}

static void feed_deadline(struct model *m, const struct transition *t)
{
	const struct ev_guest_deadline *e = transition_payload(t, guest_deadline);
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);
	struct model_deadline *d = NULL;
	struct model_counters *b;
	u32 vm = v ? v->vm : EVENT_NO_ID;
	bool is_new;

	for (u32 i = 0; i < m->deadlines.count; i++) {
		struct model_deadline *have =
			(struct model_deadline *)(void *)m->deadlines.items + i;

		if (have->vm == vm && have->child == (u32)e->child && have->guest == (u32)e->guest)
			d = have;
	}
	if (!d) {
		d = model_table_get(m, &m->deadlines, m->deadlines.count, &is_new);
		if (!d)
			return;
		d->vm = vm;
		d->child = (u32)e->child;
		d->guest = (u32)e->guest;
		d->first_ns = t->vtime_ns;
	}
	if (v && e->kind == DEADLINE_MISSES && e->count > d->count[DEADLINE_MISSES]) {
		v->total.misses += e->count - d->count[DEADLINE_MISSES];
		b = model_history_at(m, v, t->vtime_ns);
		if (b)
			b->misses += e->count - d->count[DEADLINE_MISSES];
	}
	d->count[MIN(e->kind, MODEL_DEADLINE_KINDS - 1ull)] = e->count;
	d->last_ns = t->vtime_ns;
}

static void feed_halt(struct model *m, const struct transition *t)
{
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);
	struct model_counters *b;

	m->totals.halts++;
	if (!v)
		return;
	v->total.halts++;
	v->state = RUN_STATE_HALTED;
	model_vcpu_priv(m, v)->halted_since = t->vtime_ns;
	b = model_history_at(m, v, t->vtime_ns);
	if (b)
		b->halts++;
}

static void feed_wake(struct model *m, const struct transition *t)
{
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);
	struct vcpu_priv *p;

	if (!v)
		return;
	p = model_vcpu_priv(m, v);
	v->wakes++;
	v->state = RUN_STATE_READY;
	if (p->halted_since != ~0ull && t->vtime_ns > p->halted_since)
		v->halted_ns += t->vtime_ns - p->halted_since;
	p->halted_since = ~0ull;
	p->ready_since = t->vtime_ns;
	p->is_woken = true;
}

static void feed_tlb_stats(struct model *m, const struct transition *t)
{
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);

	if (!v)
		return;
	v->has_tlb_stats = true;
	v->tlb = *transition_payload(t, tlb_stats);
}

static void feed_tlb_machine(struct model *m, const struct transition *t)
{
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);

	const struct ev_tlb_machine *e = transition_payload(t, tlb_machine);

	if (!v || e->counter >= VTLB_COUNTERS)
		return;
	v->has_tlb_machine = true;
	v->tlb_machine[e->counter] = e->value;
}

static void feed_exit_summary(struct model *m, const struct transition *t)
{
	const struct ev_exit_summary *e = transition_payload(t, exit_summary);
	struct model_vcpu *v = model_get_vcpu(m, t->vcpu_id);
	struct model_exit add = {.reason = (u32)e->exit_reason & 0xffff,
				 .level = t->level,
				 .count = e->count,
				 .reflected = e->reflected,
				 .charge_ns = e->charge_ns,
				 .host_cost_ns = e->host_cost_ns};

	if (v)
		model_exit_add(m, v, t->vtime_ns, &add);
}

/* --- failures and reservations: the newest, as they came --- */
static void feed_failure(struct model *m, const struct transition *t)
{
	if (!m->failures)
		m->failures = malloc(sizeof(*m->failures) * MODEL_FAILURES);
	if (m->failures)
		m->failures[m->nfailures++ % MODEL_FAILURES] = *t;
}

u32 model_failures(const struct model *m, struct transition *out, u32 max)
{
	u32 n = (u32)MIN(MIN(m->nfailures, (u64)MODEL_FAILURES), (u64)max);

	for (u32 i = 0; i < n; i++)
		out[i] = m->failures[(m->nfailures - n + i) % MODEL_FAILURES];
	return n;
}

static void feed_reserve(struct model *m, const struct transition *t)
{
	const struct ev_sched_reserve *e = transition_payload(t, sched_reserve);
	struct model_vcpu *v = model_get_vcpu(m, (u32)e->entity);
	struct vcpu_priv *p;

	if (!v)
		return;
	p = model_vcpu_priv(m, v);
	if (!p->reserves) {
		p->reserves = malloc(sizeof(*p->reserves) * MODEL_RESERVES);
		if (!p->reserves)
			return;
		v->reserves = p->reserves;
	}
	p->reserves[v->nreserves++ % MODEL_RESERVES] = (struct model_reserve){t->vtime_ns, *e};
}

static void feed_inferred(struct model *m, const struct transition *t)
{
	const struct ev_inferred *e = transition_payload(t, inferred);
	struct model_vcpu *v = model_get_vcpu(m, (u32)e->entity);

	if (!v || e->what >= MODEL_INFERENCES)
		return;
	v->inferred[e->what] = *e;
	v->inferences |= 1u << e->what;
}

static void feed_deadline_miss(struct model *m, const struct transition *t)
{
	struct model_vcpu *v = model_get_vcpu(m, (u32)transition_payload(t, deadline_miss)->entity);

	if (v)
		v->inferred_misses++;
}

const struct model_reserve *model_reserve_back(const struct model_vcpu *v, u32 back)
{
	if (!v->reserves || back >= MIN(v->nreserves, (u64)MODEL_RESERVES))
		return NULL;
	return &v->reserves[(v->nreserves - 1 - back) % MODEL_RESERVES];
}

#define COUNT(member) \
	do { \
		struct model_vcpu *counted_ = model_get_vcpu(m, t->vcpu_id); \
		if (counted_) \
			counted_->member++; \
	} while (0)

void model_entities_feed(struct model *m, const struct transition *t)
{
	switch (t->kind) {
	case TRANSITION_vm_start: feed_vm_start(m, t); break;
	case TRANSITION_vm_stop: feed_vm_stop(m, t); break;
	case TRANSITION_vm_state: feed_vm_state(m, t); break;
	case TRANSITION_child_state: feed_child_state(m, t); break;
	case TRANSITION_vcpu_state: feed_vcpu_state(m, t); break;
	case TRANSITION_process_state: feed_process_state(m, t); break;
	case TRANSITION_state_count: feed_count(m, t); break;
	case TRANSITION_thread_state: feed_thread_state(m, t); break;
	case TRANSITION_thread_switch: feed_thread_switch(m, t); break;
	case TRANSITION_child_switch: feed_child_switch(m, t); break;
	case TRANSITION_process_switch: feed_process_switch(m, t); break;
	case TRANSITION_guest_deadline: feed_deadline(m, t); break;
	case TRANSITION_halt: feed_halt(m, t); break;
	case TRANSITION_wake: feed_wake(m, t); break;
	case TRANSITION_exit_summary: feed_exit_summary(m, t); break;
	case TRANSITION_spin: COUNT(spins); break;
	case TRANSITION_intr_injected:
		COUNT(injected);
		model_intr_feed(m, t);
		break;
	case TRANSITION_tlb_stats: feed_tlb_stats(m, t); break;
	case TRANSITION_tlb_machine: feed_tlb_machine(m, t); break;
	case TRANSITION_entry_failure: /* further checks of one entry are nestor explain's */
		if (transition_payload(t, entry_failure)->order)
			break;
		COUNT(entry_failures);
		feed_failure(m, t);
		break;
	case TRANSITION_vm_insn_fail:
		COUNT(insn_failures);
		feed_failure(m, t);
		break;
	case TRANSITION_vm_entry_failed: feed_failure(m, t); break;
	case TRANSITION_sched_reserve: feed_reserve(m, t); break;
	case TRANSITION_inferred: feed_inferred(m, t); break;
	case TRANSITION_deadline_miss: feed_deadline_miss(m, t); break;
	case TRANSITION_lost: m->totals.lost += transition_payload(t, lost)->count; break;
	default: break;
	}
}
