/*
 * Parts of the qos policy, private to l0/sched: what it knows of each level-1 processor and of the
 * entities inside (guest vCPUs), and the functions by which its files work together:
 *   qos_infer.c    transitions -> arrivals, claims, jobs; period, budget, real-time or not
 *   qos_process.c  the same for processes inside a guest
 *   qos_evidence.c who runs first, who runs before the fence; what is inferred, told with its
 *   reason
 *   qos_reserve.c  shares by weight, admission, size of a reservation, its life
 *   qos_spin.c     waits in PAUSEs: who is next, who keeps the processor a little longer
 *   qos_state.c    quanta by processor state (qos+state only)
 *   policy_qos.c   queues: earliest deadline first among reservations, fair for the rest
 *
 * A reservation (R, Y) has a phase: it is activated at the due time of an arrival that fits the
 * grid of the entity, has the deadline due + Y, and is measured in CPU time of the whole processor:
 * what c, from which R is learnt, is measured in, too. So the reservations of several entities on
 * one processor run down together. Everything here runs under the scheduler's lock; nothing
 * allocates after qos_add().
 */
#ifndef L0_SCHED_QOS_H
#define L0_SCHED_QOS_H

#include "l0/arch/events.h"
#include "l0/sched/budget.h"
#include "l0/sched/fair.h"
#include "l0/sched/period.h"
#include "l0/sched/realtime.h"

#define QOS_ENTITIES 8u /* by processor; beyond, the one that claimed longest ago is forgotten */
#define QOS_ARRIVALS 4u
#define QOS_MACHINES 64u
#define PPM 1000000ull
#define QOS_EXPRESS_NS (500 * NS_PER_US)
#define QOS_WIND_DOWN_NS (50 * NS_PER_US)

struct qos_arrival {
	u64 due_ns, cpu_ns; /* when it was due, and CPU time of its processor then */
	u32 serial;	    /* from 1 */
};

struct qos_entity {
	u32 id;		  /* of the vCPU; EVENT_NO_ID: free */
	u32 process;	  /* that it is of that vCPU; EVENT_NO_ID: the vCPU as a whole */
	bool has_process; /* one of its processes is real-time: the vCPU itself is not looked at */
	bool interrupted; /* a claim since the last switch between its processes */
	/* evidence, the newest in bit 0, and how much of it there is, at most 16 */
	u16 firsts, n_firsts; /* interrupts that it got: it ran first after them */
	u16 fences, n_fences; /* fences: it ran before them */
	bool ran;	      /* since the last interrupt of its processor */
	/* one of its processes is a fence: @fence; ran since the last interrupt */
	bool has_fence, fence_ran;
	u32 fence;
	u64 declared_y_ns, declared_x_ns; /* by its VMM; 0: nothing */
	bool told_first;
	bool is_fence;
	bool goes; /* its newest job ended by a switch between processes */
	u64 told_y_ns;
	u32 told_confidence, told_sure; /* of the period; that it is real-time */
	/* processes taken away by an interrupt that another had brought in, lately */
	u32 n_turns;
	bool takes_turns; /* its own scheduler does that all the time */
	u16 looks, pause; /* observations made in a row; refreshes until the next row */
	u64 guest_ns;	  /* time in the guest since the start, up to the last look */
	struct period period;
	struct budget budget;
	struct realtime rt;
	/* its job: from the claim to HLT */
	u32 claimed; /* serial of the latest arrival that it claimed */
	u64 claim_ns;
	u64 job_due_ns, job_cpu_ns;
	bool job_open, job_late; /* late: it began with the rest of an older one */
	/* of the open job's CPU time: what jobs inside it, of siblings, are charged with */
	u64 shared_ns;
	/* mean CPU time of a job without that: what the entity adds to its siblings */
	u64 alone_ns;
	u64 own_ns;  /* time in the guest itself during the open job */
	u64 work_ns; /* the same of finished jobs, smoothed; 0: none yet */
	/* processes inside: one came in since the claim; an interrupt came since */
	bool has_switched, was_interrupted;
	/* its reservation */
	u64 r_ns; /* 0: none */
	bool active, extended, used_up;
	bool was_trial;
	/* activated, its arrival not claimed yet; then this is of the reservation before */
	bool awaited, open_used_up;
	/* of what runs now: to the end of the reservation or of the entitlement */
	u64 end_cpu_ns, deadline_ns;
	u64 r_end_cpu_ns, quota_end_cpu_ns, quota_left_ns;
	u64 told_r_ns;
	u32 told_why;
};

/* What is known of the state of the processor that it runs on (qos_state.c); unused without
 * qos+state. */
struct qos_state {
	struct state_profile profile;
	/* of the slice; latest look; when its guest came in */
	struct state_count at_start, at_look, at_cold;
	u64 cold_cpu_ns;	   /* CPU time then */
	u64 warm_up;		   /* misses that coming in costs, smoothed */
	u64 slice_ns, extended_ns; /* of the slice that it runs */
	u32 guest;		   /* vCPU that came in last */
	bool measures, looked, is_fair;
};

/*
 * A process of a guest that an interrupt brings in: the first that runs after it. Its job lasts
 * until it goes of its own accord; taken away by an interrupt it is still at it. After a few such
 * jobs it is an entity of its own.
 */
#define QOS_PROCESSES 4u
/* Switches by interrupts in a tenth of a second, from one that an interrupt had brought in: it
 * takes turns. */
#define QOS_TURNS 8u
struct qos_process {
	u32 owner, id; /* vCPU, process; EVENT_NO_ID: free */
	bool open, is_in;
	u8 finished;
	u64 due_ns;  /* of the newest job */
	u64 in_ns;   /* the owner's guest_ns when it came in */
	u64 own_ns;  /* of the open job, while it was away */
	u64 used_ns; /* when it came in last */
};

struct qos_vp {
	struct list_node node;	/* in qos.vps */
	struct list_node peers; /* in qos.machine[] */
	struct sched_vp *e;
	u32 n_entities;
	struct qos_entity entity[QOS_ENTITIES];
	struct qos_process process[QOS_PROCESSES];
	/* The VMM itself, of which only the reservation is used: it has to take any interrupt
	 * before it can arm its timer for a real-time guest's next one. */
	struct qos_entity service;
	/* a while without a break for a guest that takes turns, to see what it does */
	struct qos_entity observed;
	/* what the host's owner reserved, full again at each multiple of its period */
	struct qos_entity fixed;
	struct qos_entity *last; /* looked up last */
	bool first_is_due;	 /* an interrupt came, no guest was entered since */
	bool fence_ran;		 /* since the newest interrupt */
	u32 first;		 /* the one that was after the newest */
	u32 inside;		 /* guest vCPU that it entered last, EVENT_NO_ID: none */
	u64 entered_cpu_ns;	 /* then; ~0: its VMM runs */
	bool has_guests;	 /* some entity is a guest: its own halts say nothing */
	bool entry_injects;	 /* the VM entry brought the interrupt that is delivered next */
	struct qos_arrival arrival[QOS_ARRIVALS];
	u32 n_arrivals;
	/* a reserved job ended, and when in CPU time; after the last one its VMM soon halted */
	bool has_ended, rests;
	u64 ended_cpu_ns;
	bool on_edf;	 /* queue, while READY */
	u64 spun_ns;	 /* when it last gave way because it waited in PAUSEs */
	u64 extended_ns; /* start of the slice that was extended last */
	/* tokens: what its reservations may still take of its share; they fill up at the share's
	 * rate */
	s64 tokens_ns;
	u64 tokens_at_ns, counted_cpu_ns;
	bool is_reserved; /* CPU time counts against the tokens */
	/* share */
	u64 share_ppm; /* of one worker that its reservations may take */
	u64 old_share_ppm;
	u64 demand_ppm; /* what it used lately; PPM and more: backlogged */
	u64 window_busy_ns, window_ran_ns;
	bool satisfied;
	struct qos_state state;
};

struct qos {
	struct fair fair;
	struct runq edf;
	struct list_node by_age; /* fair class, in order of waiting */
	struct list_node vps;
	struct list_node machine[QOS_MACHINES]; /* the same by machine, for look-ups */
	u64 next_refresh_ns, window_start_ns;
	/* READY in the fair class, and somebody waits for it: next, or NULL */
	struct sched_vp *express;
	struct state_profile *worker_profile; /* by worker; NULL: quanta do not depend on state */
	u64 next_fill_ns; /* of fixed reservations, the earliest; ~0: there are none */
};

/* CPU time of @e up to @now_ns. */
static inline u64 qos_cpu(const struct sched_vp *e, u64 now_ns)
{
	u64 running = e->state == SCHED_RUNNING && now_ns > e->run_start_ns
			      ? now_ns - e->run_start_ns
			      : 0;

	return e->ran_ns + running;
}

/* List of the processors of the machine that @vcpu_id, of a processor or a guest inside, belongs
 * to; those of others may be in it, too. */
static inline struct list_node *qos_machine(struct qos *q, u32 vcpu_id)
{
	return &q->machine[(vcpu_id & ~EVENT_ID_TRACKED) >> 16 & (QOS_MACHINES - 1)];
}

static inline struct qos_vp *qos_of(const struct sched_vp *e)
{
	return e->policy_data;
}

/* The active reservation of @v with the earliest deadline that has CPU time left at @cpu_ns, or
 * NULL. */
struct qos_entity *qos_server(struct qos_vp *v, u64 cpu_ns);

/* An arrival of @x is due: its reservation is full again. */
void qos_activate(struct qos_vp *v, struct qos_entity *x, u64 due_ns, u64 cpu_ns);

/* The job is over, or the reservation used up. */
void qos_deactivate(struct qos_entity *x, u64 cpu_ns);

/*
 * @x's job is over. A VMM that has nothing else to do halts then, soon: taken away before that it
 * would have to come again for a moment, only to halt. So where the last job ended in that
 * (@v->rests) the reservation goes on for that moment, as long as something is left of it.
 */
void qos_wind_down(struct qos_entity *x, u64 cpu_ns);

/* The processor of @v halts. */
void qos_at_rest(struct qos_vp *v, u64 cpu_ns);

/* An interrupt is due while @v does not run: its VMM gets a moment to take it before the next
 * arrival of a real-time guest, and is not interrupted in that: between its look at the clock and
 * its write to a relative timer no time may be stolen. Return: whether it needs that. */
bool qos_serve(struct qos_vp *v, u64 due_ns, u64 cpu_ns);

/* Fixed reservations whose period is over are full again. O(processors) when one is. */
void qos_fill(struct sched *s, u64 now_ns);

/* Tokens up to now; call it before and after reservations begin, end or are run. */
void qos_count_tokens(struct qos_vp *v, u64 now_ns, u64 cpu_ns);

/* Reservations that are used up: extended once, or over. */
void qos_settle(struct qos_vp *v, u64 cpu_ns);

/* Size of @x's reservation, from all that is known now; decisions become notes. */
void qos_resize(struct sched *s, struct qos_vp *v, struct qos_entity *x);

/* A job of @x ended: what is known now, for those who compare (sched.wants_samples). */
void qos_sample(struct sched *s, const struct qos_vp *v, const struct qos_entity *x);

/* Shares anew, silent sources dropped: ten times a second. O(processors). */
void qos_refresh(struct sched *s, u64 now_ns);

/* Move @e, READY, to the queue where it belongs now. */
void qos_requeue(struct sched *s, struct sched_vp *e, u64 now_ns);

/* The entity of vCPU @id, or of @process of it (EVENT_NO_ID: none); NULL: not known. */
struct qos_entity *qos_entity_lookup(struct qos_vp *v, u32 id, u32 process);
struct qos_entity *qos_entity_get(struct qos_vp *v, u32 id, u32 process);

/* @x's job begins with an arrival of @due_ns, when its processor had @cpu_ns; and is over. Return:
 * the worker that should look for another one now, or -1. */
void qos_job_begins(struct sched *s, struct qos_vp *v, struct qos_entity *x, u64 due_ns, u64 cpu_ns,
		    u64 now_ns);
s32 qos_job_finished(struct sched *s, struct qos_vp *v, struct qos_entity *x, u64 now_ns);

/* Of @v's processor: an interrupt took it from guest mode, or ended its rest; guest @x is entered
 * (NULL: one that nothing is known of), @id; @x gets an interrupt. */
void qos_interrupt_came(struct qos_vp *v);
void qos_entered(struct sched *s, struct qos_vp *v, struct qos_entity *x, u32 id);
void qos_got_interrupt(struct sched *s, struct qos_vp *v, struct qos_entity *x);

/* policy->declare */
bool qos_declare(struct sched *s, struct sched_vp *e, u32 entity, u64 period_ns, u64 budget_ns);

/* The fence runs, as vCPU @id or inside it. */
s32 qos_fence(struct sched *s, struct qos_vp *v, u32 id, u32 process, u64 now_ns);

/* @process of @x, one of whose processes is a fence, comes in. */
void qos_fenced(struct sched *s, struct qos_vp *v, struct qos_entity *x, u32 process);

/* @x's job ended in time (or not); a reason to tell when that changes what it is. */
void qos_judge_job(struct sched *s, const struct qos_vp *v, struct qos_entity *x, bool in_time);

/* Tell of @x's period, if there is news; @stopped: it was given up because nothing came. */
void qos_tell_period(struct sched *s, const struct qos_vp *v, struct qos_entity *x, bool stopped);

/* Guest @x, a vCPU, goes from process @prev to @next; or is at rest, so that none has anything to
 * do. */
s32 qos_process_switch(struct sched *s, struct qos_vp *v, struct qos_entity *x, u32 prev, u32 next,
		       u64 now_ns);
/* Ten times a second: does @x take turns, and is it to be observed? */
void qos_process_refresh(struct qos_vp *v, struct qos_entity *x, u64 now_ns);
s32 qos_process_rest(struct sched *s, struct qos_vp *v, const struct qos_entity *x, u64 now_ns);

/* policy->spin, policy->extension: waits in PAUSEs (qos_spin.c) */
void qos_spin(struct sched *s, struct sched_vp *e, u64 now_ns);
u64 qos_extension(struct sched *s, struct sched_vp *e, u64 now_ns);

/*
 * Quanta by processor state (qos_state.c): a slice begins, and may be cut to have a look before it
 * is over; it has ended; policy->extension, policy->transition.
 */
void qos_state_begin(struct qos_vp *v, bool fair, u64 *slice_ns);
void qos_state_end(struct sched *s, struct qos_vp *v, u32 worker, u64 ran_ns);
u64 qos_state_extension(struct sched *s, struct sched_vp *e, u64 now_ns);
s32 qos_state_transition(struct sched *s, const struct transition *t);

/* The policy's feed. */
s32 qos_transition(struct sched *s, const struct transition *t);

#endif
