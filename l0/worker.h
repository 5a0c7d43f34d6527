/*
 * A worker: one physical CPU of the simulated host. It asks the scheduler for a virtual processor,
 * runs it in the engine until its slice, a timer or an exit ends that, and hands it back: the one
 * loop of the program. Under the host's clock each worker is a thread; under the virtual clock all
 * of them advance in lockstep windows on one.
 */
#ifndef L0_WORKER_H
#define L0_WORKER_H

#include <pthread.h>

#include "l0/time/clock.h"
#include "trace/ring.h"
#include "trace/summary.h"
#include "trace/transition.h"

struct host;
struct vcpu;
struct machine;

struct worker {
	struct host *host;
	u32 id;
	struct clock_lane lane;
	struct trace_worker trace;
	struct trace_ctx about; /* for transitions about a VP that this worker does not run */
	struct trace_ring ring;
	struct trace_summary summary; /* counts for live viewers */
	struct vcpu *_Atomic vcpu;    /* what it runs, or NULL; others send it requests */
	u32 prev_vcpu;		      /* what it ran before, for vm_scheduled */
	u32 switch_reason;
	u64 slice_end_ns, slice_start_ns;
	u64 busy_ns;
	bool idle;
	bool horizon_moved;   /* a deadline changed while the engine ran */
	_Atomic bool preempt; /* somebody more urgent woke up */
	pthread_t thread;
};

/* The worker of the calling thread; NULL outside worker loops. */
extern __thread struct worker *worker_self;

/* @drain gets the ring's records in batches; NULL: they are kept for dumps only. Return: 0 or
 * -errno. */
int worker_init(struct worker *w, struct host *h, u32 id, trace_drain_fn drain,
		void *drain_arg) __must_check;
void worker_fini(struct worker *w);

/* Listeners to every transition, ring first. Return: 0 or -ENOSPC. */
int worker_register_sinks(struct host *h) __must_check;

/* Time of the worker: exact at the running VP's instruction count. */
u64 worker_now(const struct worker *w);

/* Run until every machine has stopped or the run ends: all workers of a virtual-clock host … */
void worker_loop_virtual(struct host *h);
/* … or one worker of a host-clock one, on its own thread. */
void worker_loop_host(struct worker *w);

/* A blocked VP has something to do. Any thread. */
void worker_wake(struct host *h, struct vcpu *c, u32 cause, u32 vector, u64 due_ns);

#endif
