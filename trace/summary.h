/*
 * summary: what a live viewer gets in place of the events that come once an exit
 *
 * A sink: counts exits by vCPU and reason, and time by who ran, for each worker apart; every
 * TRACE_SUMMARY_NS of virtual time it emits exit_summary and time_summary events (engine sort) and
 * starts anew. Only while somebody wants them. Registered after the ring.
 * Built without vector registers. Cost: some ns an exit while wanted, a test otherwise.
 */
#ifndef TRACE_SUMMARY_H
#define TRACE_SUMMARY_H

#include "trace/transition.h"

#define TRACE_SUMMARY_NS (10 * NS_PER_MS)
#define TRACE_SUMMARY_SLOTS 256u /* exits by (vCPU, reason) held at once; more flush early */
#define TRACE_SUMMARY_SPANS 32u

struct summary_exits {
	u32 vcpu_id;
	u16 reason;
	u8 level;
	u32 count, reflected;
	u64 charge_ns, host_cost_ns;
};

struct summary_span {
	u32 vcpu, child_vcpu;
	u8 depth;
	u32 entries;
	u64 ran_ns;
};

/* One a worker, all zero to begin with; only its own thread touches it. */
struct trace_summary {
	bool active;
	bool emitting;
	u64 next_ns;
	u32 nspans;
	struct summary_span spans[TRACE_SUMMARY_SPANS];
	/* who runs now, since when; vcpu EVENT_NO_ID: nobody, or not known yet */
	u32 vcpu, child_vcpu;
	u8 depth;
	u64 since_ns;
	u64 charge_ns; /* charged, not yet passed */
	u16 nexits;
	struct summary_exits exits[TRACE_SUMMARY_SLOTS]; /* open hashing by (vCPU, reason) */
};

#define TRACE_SUMMARY_KINDS \
	(BIT(TRANSITION_vm_scheduled) | BIT(TRANSITION_worker_state) | BIT(TRANSITION_vm_entry) | \
	 BIT(TRANSITION_vm_exit))

/* A sink's feed function. @wanted: const bool, written by others (atomic): summaries are wanted. */
void trace_summary_feed(void *wanted, struct trace_worker *worker, const struct transition *t);

/* Emit what is there: before the worker blocks and at the end. Only when worker->summary is set. */
void trace_summary_flush(struct trace_worker *worker);

#endif
