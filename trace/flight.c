/* The flight recorder; see flight.h. */
#include <stdio.h>
#include "trace/flight.h"

static void say(struct trace_flight *f, const char *line)
{
	f->say(f->say_arg, line);
}

/* --- state --- */
#define STATE_KINDS \
	(BIT(TRANSITION_vm_start) | BIT(TRANSITION_vm_state) | BIT(TRANSITION_child_state) | \
	 BIT(TRANSITION_vcpu_state) | BIT(TRANSITION_process_state))

/* What a state event is about: its number, by kind. */
static u32 entity_of(const struct transition *t)
{
	switch (t->kind) {
	case TRANSITION_vm_start: return (u32)transition_payload(t, vm_start)->vm;
	case TRANSITION_vm_state: return (u32)transition_payload(t, vm_state)->vm;
	case TRANSITION_child_state: return (u32)transition_payload(t, child_state)->child;
	case TRANSITION_process_state: return (u32)transition_payload(t, process_state)->process;
	default: return t->vcpu_id;
	}
}

static void keep_state(struct trace_flight *f, const struct transition *t)
{
	u32 id = entity_of(t), i = 0;

	pthread_mutex_lock(&f->lock);
	while (i < f->nstates && (f->states[i].kind != t->kind || entity_of(&f->states[i]) != id))
		i++;
	if (i < TRACE_FLIGHT_STATES) {
		f->states[i] = *t;
		f->nstates = MAX(f->nstates, i + 1);
	}
	pthread_mutex_unlock(&f->lock);
}

/* As of now: their own times may lie before all that a snapshot has. */
static void emit_states(struct trace_flight *f, u64 vtime_ns)
{
	for (u32 i = 0; i < f->nstates; i++)
		f->states[i].vtime_ns = vtime_ns;
	f->emit(f->say_arg, f->states, f->nstates);
}

/* --- snapshots --- */
static void take(struct trace_flight *f, const char *after, u64 vtime_ns)
{
	char line[640], why[512];

	pthread_mutex_lock(&f->lock);
	if (f->taken < TRACE_FLIGHT_SNAPSHOTS) {
		emit_states(f, vtime_ns);
		if (trace_lttng_snapshot(f->record, why, sizeof(why))) {
			snprintf(line, sizeof(line), "no snapshot: %s", why);
		} else {
			f->taken++;
			snprintf(line, sizeof(line), "snapshot %u after %s at %llu.%09llu s%s",
				 f->taken, after, (unsigned long long)(vtime_ns / NS_PER_SEC),
				 (unsigned long long)(vtime_ns % NS_PER_SEC),
				 f->taken == TRACE_FLIGHT_SNAPSHOTS ? "; no more are taken" : "");
		}
		say(f, line);
	}
	if (f->taken == TRACE_FLIGHT_SNAPSHOTS)
		__atomic_store_n(&f->is_over, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&f->lock);
}

void trace_flight_look(struct trace_flight *f, const struct transition *t, u32 count)
{
	if (count)
		__atomic_store_n(&f->last_ns, t[count - 1].vtime_ns, __ATOMIC_RELAXED);
	for (u32 i = 0; i < count; i++)
		if (unlikely(STATE_KINDS >> t[i].kind & 1))
			keep_state(f, &t[i]);
	for (u32 i = 0; f->cfg.wants && i < count; i++) {
		if (likely(!(f->cfg.kinds >> t[i].kind & 1)) ||
		    __atomic_load_n(&f->is_over, __ATOMIC_RELAXED) ||
		    !f->cfg.wants(f->cfg.wants_arg, &t[i]))
			continue;
		take(f, event_infos[t[i].kind].name, t[i].vtime_ns);
		return; /* the rest of these is in it */
	}
}

void trace_flight_end(struct trace_flight *f)
{
	char why[512], line[640];

	if (!f->cfg.wants) {
		emit_states(f, f->last_ns);
		if (trace_lttng_snapshot(f->record, why, sizeof(why))) {
			snprintf(line, sizeof(line), "no snapshot: %s", why);
			say(f, line);
		}
	} else if (!f->taken) {
		say(f, "no snapshot: nothing happened that --on names");
	}
}
