/* Counting instead of telling; see summary.h. */
#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"
#include "trace/summary.h"

static void emit_exits(const struct trace_worker *worker, const struct summary_exits *e)
{
	struct trace_ctx ctx = worker->ctx; /* the worker, speaking for another */

	ctx.vcpu_id = e->vcpu_id;
	ctx.level = e->level;
	TRANSITION(&ctx, exit_summary, .exit_reason = e->reason, .count = e->count,
		   .reflected = e->reflected, .charge_ns = e->charge_ns,
		   .host_cost_ns = e->host_cost_ns);
}

static struct summary_span *span_find(struct trace_summary *s, u8 depth)
{
	for (u32 i = 0; i < s->nspans; i++)
		if (s->spans[i].vcpu == s->vcpu && s->spans[i].child_vcpu == s->child_vcpu &&
		    s->spans[i].depth == depth)
			return &s->spans[i];
	return NULL;
}

/* The span of who runs now, at @depth (0: charged by L0 on its behalf). */
static struct summary_span *span_of(struct trace_worker *worker, u8 depth)
{
	struct trace_summary *s = worker->summary;
	struct summary_span *span = span_find(s, depth);

	if (span)
		return span;
	if (s->nspans == TRACE_SUMMARY_SPANS)
		trace_summary_flush(worker);
	span = &s->spans[s->nspans++];
	*span = (struct summary_span){.vcpu = s->vcpu, .child_vcpu = s->child_vcpu, .depth = depth};
	return span;
}

/* Charge the time up to @now to whoever ran; virtual time that exits cost is L0's. */
static void account(struct trace_worker *worker, u64 now)
{
	struct trace_summary *s = worker->summary;
	u64 ran, charged;

	if (s->vcpu != EVENT_NO_ID && now > s->since_ns) {
		ran = now - s->since_ns;
		charged = MIN(s->charge_ns, ran);
		s->charge_ns -= charged;
		if (charged)
			span_of(worker, 0)->ran_ns += charged;
		if (ran > charged)
			span_of(worker, s->depth)->ran_ns += ran - charged;
	}
	s->since_ns = now;
}

void trace_summary_flush(struct trace_worker *worker)
{
	struct trace_summary *s = worker->summary;

	if (!s || s->emitting)
		return;
	s->emitting = true;
	for (u32 i = 0; i < s->nspans; i++)
		TRANSITION(&worker->ctx, time_summary, .vcpu = s->spans[i].vcpu,
			   .child_vcpu = s->spans[i].child_vcpu, .depth = s->spans[i].depth,
			   .ran_ns = s->spans[i].ran_ns, .entries = s->spans[i].entries);
	s->nspans = 0;
	for (u32 i = 0; s->nexits && i < TRACE_SUMMARY_SLOTS; i++) {
		if (!s->exits[i].count)
			continue;
		emit_exits(worker, &s->exits[i]);
		s->exits[i].count = 0;
		s->nexits--;
	}
	s->emitting = false;
}

static void count_exit(struct trace_worker *worker, const struct transition *t)
{
	const struct ev_vm_exit *x = transition_payload(t, vm_exit);
	struct trace_summary *s = worker->summary;
	struct summary_exits *e;
	u32 i;

	if (s->nexits > TRACE_SUMMARY_SLOTS * 3 / 4)
		trace_summary_flush(worker);
	i = (u32)hash_bits((u64)t->vcpu_id << 16 | (x->exit_reason & 0xffff), 8);
	for (;; i = (i + 1) % TRACE_SUMMARY_SLOTS) {
		e = &s->exits[i];
		if (!e->count || (e->vcpu_id == t->vcpu_id && e->reason == (u16)x->exit_reason &&
				  e->level == t->level))
			break;
	}
	if (!e->count) {
		*e = (struct summary_exits){
			.vcpu_id = t->vcpu_id, .reason = (u16)x->exit_reason, .level = t->level};
		s->nexits++;
	}
	e->count++;
	e->reflected += x->reflected != 0;
	e->charge_ns += x->charge_ns;
	e->host_cost_ns += x->host_cost_ns;
}

static void follow(struct trace_worker *worker, const struct transition *t)
{
	struct trace_summary *s = worker->summary;

	account(worker, t->vtime_ns);
	switch (t->kind) {
	case TRANSITION_worker_state:
		s->vcpu = (u32)transition_payload(t, worker_state)->vcpu;
		s->child_vcpu = (u32)transition_payload(t, worker_state)->child_vcpu;
		s->depth = (u8)transition_payload(t, worker_state)->depth;
		break;
	case TRANSITION_vm_scheduled:
		s->vcpu = (u32)transition_payload(t, vm_scheduled)->next;
		s->child_vcpu = (u32)transition_payload(t, vm_scheduled)->next_inner;
		s->depth = (u8)transition_payload(t, vm_scheduled)->next_level;
		break;
	case TRANSITION_vm_entry:
		s->child_vcpu = t->vcpu_id;
		s->depth = t->level;
		span_of(worker, s->depth)->entries++;
		break;
	case TRANSITION_vm_exit:
		/* a kept exit shows who runs, too: a processor scheduled while in its guest */
		if (t->level > 1 && !transition_payload(t, vm_exit)->reflected) {
			s->child_vcpu = t->vcpu_id;
			s->depth = t->level;
		} else {
			s->child_vcpu = EVENT_NO_ID;
			s->depth = 1;
		}
		if (t->level <= 1)
			s->vcpu = t->vcpu_id;
		s->charge_ns += transition_payload(t, vm_exit)->charge_ns;
		count_exit(worker, t);
		break;
	}
}

static void start(struct trace_summary *s, u64 now)
{
	s->active = true;
	s->next_ns = now + TRACE_SUMMARY_NS;
	s->vcpu = EVENT_NO_ID; /* not known until a switch, worker_state or an exit of level 1 tells
				*/
	s->since_ns = now;
}

void trace_summary_feed(void *wanted, struct trace_worker *worker, const struct transition *t)
{
	struct trace_summary *s = worker->summary;

	if (!s)
		return;
	if (!__atomic_load_n((const bool *)wanted, __ATOMIC_RELAXED)) {
		s->active = false;
		return;
	}
	if (!s->active) {
		nm_zero(s, sizeof(*s));
		start(s, t->vtime_ns);
	}
	follow(worker, t);
	if (t->vtime_ns >= s->next_ns) {
		trace_summary_flush(worker);
		s->next_ns = t->vtime_ns + TRACE_SUMMARY_NS;
	}
}
