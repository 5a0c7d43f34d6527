/*
 * The scheduler of the parent: which virtual processor runs next on which worker, and for how long.
 * Workers call it at slice ends, blocks and wake-ups; it never runs a guest and never looks into
 * one. What a policy learns about its children reaches it as transitions only (sched_transition()).
 *
 * One lock around every call, so workers on several threads may share one scheduler. A policy is a
 * const ops table (struct sched_policy); the mechanism here keeps the entity states right, so that
 * a policy only orders runnable entities.
 * Cost: a pick or put under round robin is a lock and a list operation, about 30 ns.
 */
#ifndef L0_SCHED_SCHED_H
#define L0_SCHED_SCHED_H

#include <pthread.h>
#include "l0/arch/events.h"
#include "l0/base/list.h"
#include "l0/base/types.h"
#include "l0/sched/state.h"
#include "l0/sched/topology.h"

struct transition;
struct sched;

enum sched_state {
	SCHED_BLOCKED,
	SCHED_READY, /* in the policy's queue */
	SCHED_RUNNING,
	/* runnable, behind a sibling with which it shares a place in the queue (park.h) */
	SCHED_PARKED,
};

/* Why a slice ended. */
enum sched_put_reason {
	SCHED_PUT_SLICE,   /* used up, still runnable: to the tail */
	SCHED_PUT_PREEMPT, /* taken away early, still runnable: keeps its turn */
	SCHED_PUT_BLOCK,   /* halted; sched_wake() brings it back */
	SCHED_PUT_GONE,	   /* its machine stopped */
};

/* One schedulable virtual processor. In the caller's memory; the scheduler owns it while added. */
struct sched_vp {
	struct list_node node; /* in the policy's list while READY, in its machine's while PARKED */
	struct list_node all_node;
	u64 key, key_seq; /* runq.h: order in the queue ... */
	u32 runq_at;	  /* ... and place there */
	u32 vcpu_id;
	u32 weight;	/* share relative to the others, 1..10000; 1024 is the default ... */
	u32 own_weight; /* ... as it was given; @weight is more while others share its place */
	bool shares_place;
	bool can_go;		/* its guest can be asked to do without it: CPU hot-plug */
	bool is_out, was_asked; /* it does (sched_set_out()); because it was asked to */
	/* asked for by whoever started it; 0: nothing (qos only) */
	u64 reserve_ns, reserve_period_ns;
	enum sched_state state;
	bool wake_pending;		 /* woken while still running */
	s32 worker;			 /* where it runs, -1 when it does not ... */
	s32 last_worker;		 /* ... and where it ran last, -1: it did not yet */
	u64 left_ns, last_ran_ns;	 /* when it left that, and for how long it had run there */
	u32 n_moves[TOPOLOGY_DISTANCES]; /* how often it came to a worker so far from the last */
	u64 ready_since_ns;
	u64 queued_since_ns, delay_ns; /* in the policy's queue: since when, and altogether */
	u64 seen_ran_ns, seen_delay_ns, window_ran_ns; /* park.c */
	u64 run_start_ns;			       /* of the slice that it runs */
	u64 vruntime_ns;			       /* fair.h: time it ran by weight */
	void *policy_data;			       /* the policy's, from add to remove */
	u64 ran_ns, waited_ns, longest_wait_ns, n_switches, n_wakes;
	struct state_probe probe; /* counters of its engine, for qos+state */
	void *owner;
};
#define SCHED_WEIGHT_DEFAULT 1024u
/* Of each worker, at most so much can be reserved. */
#define SCHED_RESERVE_MAX_PPM 950000u

struct sched_policy {
	const char *name;
	const char *help;
	int (*init)(struct sched *s);
	void (*fini)(struct sched *s);
	/* @e comes into the scheduler (0 or -ENOMEM) or goes for good; may be NULL */
	int (*add)(struct sched *s, struct sched_vp *e);
	void (*remove)(struct sched *s, struct sched_vp *e);
	/* @e became runnable (@woken) or comes back from a slice (@preempted keeps its turn) */
	void (*enqueue)(struct sched *s, struct sched_vp *e, bool woken, bool preempted);
	void (*dequeue)(struct sched *s, struct sched_vp *e);
	/* Take the next one off the queue for @worker, or NULL; *slice_ns = how long it may run. */
	struct sched_vp *(*pick)(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns);
	/* @e ran for @ran_ns, up to @now_ns */
	void (*charge)(struct sched *s, struct sched_vp *e, u64 now_ns, u64 ran_ns);
	/* Should the runnable @e take the processor from @running at once? */
	bool (*preempts)(struct sched *s, const struct sched_vp *e, const struct sched_vp *running,
			 u64 now_ns);
	/*
	 * Feed of the transitions in @kinds (BIT(TRANSITION_...)); may be NULL. Return: the worker
	 * that should look for another entity now, or -1.
	 */
	s32 (*transition)(struct sched *s, const struct transition *t);
	u64 kinds;
	/* Guest @entity of @e needs @budget_ns in each @period_ns, its VMM says (0: nothing any
	 * more); may be NULL. Return: it can be. */
	bool (*declare)(struct sched *s, struct sched_vp *e, u32 entity, u64 period_ns,
			u64 budget_ns);
	/* The running @e waits in a loop of PAUSEs and is about to give way; may be NULL. */
	void (*spin)(struct sched *s, struct sched_vp *e, u64 now_ns);
	/* @e's slice is over: how much longer it may run, because others wait for what it holds;
	 * may be NULL */
	u64 (*extension)(struct sched *s, struct sched_vp *e, u64 now_ns);
	/* among several machines, who waits in PAUSEs gives way */
	bool yields_spinners;
	/* @weight decides, so that two processors with one place and both weights get what they got
	 * apart */
	bool shares_by_weight;
	/* @e has, or is to get, time of its own: not to be parked; may be NULL */
	bool (*is_reserved)(const struct sched_vp *e);
};

/* What the scheduler decided, inferred or saw, as the event that tells it. */
struct sched_note {
	enum transition_kind kind;
	u32 vcpu_id; /* the event's: a level-1 processor; EVENT_NO_ID: about no single one */
	/* of sched_reserve: a job ended, nothing was decided; for reports, not for the trace */
	bool is_sample;
	u64 work_ns; /* of sched_reserve: inferred CPU time of a job in the guest itself */
	union {
		u64 p[TRANSITION_WORDS]; /* the payload, as in struct transition */
		struct ev_sched_reserve sched_reserve;
		struct ev_inferred inferred;
		struct ev_deadline_miss deadline_miss;
		struct ev_cpu_pressure cpu_pressure;
	};
};
#define SCHED_NOTES 64u

/* CPU pressure of a machine (park.h). */
struct sched_machine {
	u32 n_vps, n_sharing;	   /* processors; those that share a place: 0 or 2 and more */
	struct sched_vp *in_place; /* of those the one in the queue or on a worker, or NULL */
	u32 n_out;		   /* that its guest does without */
	struct sched_vp *asked;	   /* whom it is to let go, since ... */
	u64 asked_ns;
	u64 deaf_until_ns; /* it did not answer, or refused, so often: not asked before that */
	u32 n_deaf;
	struct list_node parked;     /* the others that are runnable, in order of waiting */
	u32 permille, told_permille; /* of runnable time spent in the queue, smoothed */
	u32 n_high, n_low;	     /* windows in a row with much, with little */
	u32 n_parkings;
	u64 window_ran_ns, window_delay_ns;
	u64 ran_ns, delay_ns; /* altogether */
};
#define SCHED_MACHINES 64u /* beyond, nothing is known of pressure */

struct sched_config {
	const struct sched_policy *policy;
	u32 workers;
	u64 slice_ns;
	bool parking;
	const struct topology *topology; /* lives as long as the scheduler; NULL: flat */
};

struct sched {
	pthread_mutex_t lock;
	pthread_cond_t ready; /* a worker without work waits here (host clock) */
	const struct sched_policy *policy;
	void *policy_data;
	u32 workers;
	const struct topology *topology;
	u64 slice_ns;
	struct sched_vp **running;	   /* by worker */
	u32 n_ready, n_parked, n_entities; /* n_parked: runnable behind siblings */
	struct list_node all;
	struct sched_machine machine[SCHED_MACHINES]; /* by number */
	u64 next_pressure_ns;
	bool parks;
	u32 kicks; /* atomic; sched_kick() */
	/* decisions not yet in the trace; beyond SCHED_NOTES the oldest is overwritten */
	bool wants_samples; /* somebody compares with the truth: a note for each job */
	struct sched_note note[SCHED_NOTES];
	u32 notes_in, notes_out; /* changed under the lock, looked at without it */
};

extern const struct sched_policy sched_policy_rr, sched_policy_credit, sched_policy_qos,
	sched_policy_qos_state;

/* Policy by name, or NULL. sched_policies[] ends with NULL. */
extern const struct sched_policy *const sched_policies[];
const struct sched_policy *sched_policy_lookup(const char *name);

/* Return: 0 or -ENOMEM. */
int sched_init(struct sched *s, const struct sched_config *cfg) __must_check;
void sched_fini(struct sched *s);

/* Add a blocked entity (0 or -ENOMEM) / take one out for good (any state but RUNNING elsewhere). */
int sched_add(struct sched *s, struct sched_vp *e);
void sched_remove(struct sched *s, struct sched_vp *e);

/**
 * sched_wake - @e has something to do again
 * @now_ns: virtual or host time of the wake-up
 * Idempotent; a wake-up of a running entity is remembered, so that a block that races with it does
 * not lose it. @was_blocked says whether it was blocked (may be NULL).
 * Return: the worker whose running entity should be preempted for it, or -1.
 */
s32 sched_wake(struct sched *s, struct sched_vp *e, u64 now_ns, bool *was_blocked);

/* Forget a wake-up of the running @e that its owner has seen already. */
void sched_wake_seen(struct sched *s, struct sched_vp *e);

/*
 * Wait until something is runnable or sched_kick() moved on from @kicks, @timeout_ns at most (host
 * clock; no virtual processor is held).
 */
void sched_wait_ready(struct sched *s, u64 timeout_ns, u32 kicks);
u32 sched_kicks(struct sched *s);

/* From a thread that is no worker: those that wait look at their deadlines again. */
void sched_kick(struct sched *s);

/* Next entity for @worker, now RUNNING there, with its slice; NULL when nothing is runnable. */
struct sched_vp *sched_pick(struct sched *s, u32 worker, u64 now_ns, u64 *slice_ns);

/* The entity that ran on @worker leaves it after @ran_ns. */
void sched_put(struct sched *s, u32 worker, u64 now_ns, u64 ran_ns, enum sched_put_reason why);

/* Is somebody else waiting? Then a slice end is a switch, otherwise the entity may run on. */
bool sched_contended(struct sched *s);

/* The entity on @worker waits for another one of its machine and gives way next. */
void sched_spin(struct sched *s, u32 worker, u64 now_ns);

/*
 * The guest of @e's machine does without @e from now on (it is BLOCKED, or will be), or has it
 * again: the machine's weight goes to those that are left. sched_refused(): it will not let it go.
 */
void sched_set_out(struct sched *s, struct sched_vp *e, bool out);
void sched_refused(struct sched *s, struct sched_vp *e);

/* The slice of the entity on @worker is over. Return: ns that it may run on all the same. */
u64 sched_extension(struct sched *s, u32 worker, u64 now_ns);

/* What the policy has seen of @e's state, or of @worker's. Return: false, it does not look at
 * state. */
bool sched_profile(struct sched *s, const struct sched_vp *e, struct state_profile *p);
bool sched_worker_profile(struct sched *s, u32 worker, struct state_profile *p);

/* Feed of the policy's kinds of transition. Return: the worker to be preempted, or -1. */
s32 sched_transition(struct sched *s, const struct transition *t);

/* A VMM has declared what a guest of it needs; see l0/arch/hypercall.h. Return: whether it is
 * taken, by a policy that looks at it or one that does not. */
bool sched_declare(struct sched *s, struct sched_vp *e, u32 entity, u64 period_ns, u64 budget_ns);

/* Changed under the lock; others may look without it, at what was true a moment ago. */
static inline void sched_set_state(struct sched_vp *e, enum sched_state state)
{
	__atomic_store_n(&e->state, state, __ATOMIC_RELAXED);
}

static inline enum sched_state sched_state_of(const struct sched_vp *e)
{
	return __atomic_load_n(&e->state, __ATOMIC_RELAXED);
}

/* The oldest note that is not in the trace yet, in *@note. Return: whether there is one. */
bool sched_take_note(struct sched *s, struct sched_note *note);

/* Is there one, or was there a moment ago? Without the lock. */
static inline bool sched_has_notes(const struct sched *s)
{
	return __atomic_load_n(&s->notes_in, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&s->notes_out, __ATOMIC_RELAXED);
}

/* For policies, with the lock held: leave a note ... */
void sched_tell(struct sched *s, const struct sched_note *note);
/* ... and the worker whose entity @e, READY, should replace: the least urgent one; -1: none. */
s32 sched_worker_for(struct sched *s, const struct sched_vp *e, u64 now_ns);

#endif
