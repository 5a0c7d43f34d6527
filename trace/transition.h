/*
 * The one place that makes a transition: every decision and world switch goes through TRANSITION(),
 * and tracking, inference, accounting and the trace all feed on the record made here.
 *
 * Emitters are the exit layer, devices, the virtual TLB, the scheduler and the worker loop, through
 * the context of the virtual processor that it is about (vp->trace), or of the worker itself.
 * Sinks are registered before anything runs; each gets the kinds it asked for, in the order of
 * registration, on the emitting thread. A sink may emit in turn: register the ring first, so that
 * a consequence comes after its cause.
 *
 * Never blocks or allocates, calls no libc, uses no vector registers (a ring that is full drains
 * itself: see ring.h). Cost: a test of one word when nobody listens to the kind; some ten ns with
 * the ring alone.
 */
#ifndef TRACE_TRANSITION_H
#define TRACE_TRANSITION_H

#include "l0/arch/events.h"
#include "l0/base/bits.h"
#include "l0/base/list.h"

#define TRACE_SINKS 8
#define TRACE_ALL_KINDS mask_low(TRANSITION_COUNT)

struct trace_worker;
struct trace_ring;
struct trace_summary;

/* One listener. @feed must not keep @t, which lives on the emitter's stack. */
struct transition_sink {
	u64 kinds; /* BIT(TRANSITION_…) */
	void (*feed)(void *arg, struct trace_worker *worker, const struct transition *t);
	void *arg;
};

/* The listeners of a run, and all who emit to them. Set up by one thread before workers run. */
struct trace_hub {
	u64 mask; /* kinds that somebody listens to */
	u32 nsinks;
	struct transition_sink sinks[TRACE_SINKS];
	struct list_node ctxs;
};

/*
 * Who a transition is about. Embedded in the owner of a virtual processor (and in the worker).
 * @worker, @vcpu_id and @level are the owner's to change: the worker that runs it puts itself in
 * @worker; nested entry and exit set @vcpu_id and @level to the vCPU that runs.
 */
struct trace_ctx {
	u64 mask; /* copy of the hub's */
	struct trace_worker *worker;
	/* virtual time in ns, never going backwards for a worker */
	u64 (*now)(struct trace_ctx *ctx);
	void *owner; /* for @now */
	u32 vcpu_id;
	u8 level;
	struct trace_hub *hub;
	struct list_node node;
};

/* The emitting side of a worker; only its own thread touches it while it runs. */
struct trace_worker {
	u64 seq[EVENT_SORT_COUNT];
	u16 id;
	struct trace_ring *ring;       /* of trace_ring_feed(); NULL: none */
	struct trace_summary *summary; /* of trace_summary_feed(); NULL: none */
	struct trace_ctx ctx;	       /* for what is about the worker itself: no vCPU, level 0 */
};

void trace_hub_init(struct trace_hub *hub);

/* Add a listener; contexts that exist learn of it. Return: 0, or -ENOSPC when all are taken. */
int trace_hub_add(struct trace_hub *hub, const struct transition_sink *sink) __must_check;

/* Take the listener with this @arg off; workers are not running. */
void trace_hub_remove(struct trace_hub *hub, const void *arg);

/**
 * trace_ctx_init - join @hub
 * @now: clock of the owner, called with @ctx at each emission that somebody wants
 * @worker: who runs it, or will; may change at any time on the running thread
 */
void trace_ctx_init(struct trace_ctx *ctx, struct trace_hub *hub, struct trace_worker *worker,
		    u32 vcpu_id, u8 level, u64 (*now)(struct trace_ctx *ctx), void *owner);
void trace_ctx_fini(struct trace_ctx *ctx);

/* As above for the worker's own context; @now gets &worker->ctx, whose owner is @owner. */
void trace_worker_init(struct trace_worker *worker, struct trace_hub *hub, u16 id,
		       u64 (*now)(struct trace_ctx *ctx), void *owner);

/**
 * transition_emit - stamp and hand out one transition; use TRANSITION()
 * @kind:    a kind that ctx->mask holds
 * @payload: @words words, at most TRANSITION_WORDS
 */
void transition_emit(struct trace_ctx *ctx, u32 kind, const void *payload, u32 words);

/* Does anybody want transitions of this kind? For work that only prepares one. */
#define TRANSITION_WANTED(c, name) unlikely(((c)->mask >> TRANSITION_##name) & 1)

/*
 * TRANSITION(ctx, vm_exit, .exit_reason = r, .guest_rip = rip, …): fields not named are 0. The
 * values are evaluated only when somebody listens.
 */
#define TRANSITION(c, name, ...) \
	do { \
		struct trace_ctx *trace_ctx_ = (c); \
		if (trace_ctx_->mask & BIT(TRANSITION_##name)) { \
			struct ev_##name trace_ev_ = {__VA_ARGS__}; \
			transition_emit(trace_ctx_, TRANSITION_##name, &trace_ev_, \
					sizeof(trace_ev_) / sizeof(u64)); \
		} \
	} while (0)

#endif
