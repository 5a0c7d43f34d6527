/*
 * model: from the stream of events to who exists, who ran when at which level, and what it cost
 *
 * Fed with struct transition by the babeltrace2 plugin, the report and the viewer; they read its
 * tables and lanes. Pure: no files, no clock, no threads (one user at a time). Memory is bounded
 * whatever the length of the trace: tables have limits (what does not fit is counted in
 * `overflow`), lanes keep the newest segments, histories widen their buckets.
 *
 * Events of one worker come in order; those of different workers may be out of step by a batch.
 * Sources with all events give exact times (MODEL_EXACT); live ones, which have summaries instead
 * of what comes once an exit, give the same sums every few ms (MODEL_LIVE). A reader may begin
 * anywhere: state is repeated in the stream.
 *
 * Cost: some 20 to 40 ns an event.
 */
#ifndef TRACE_MODEL_MODEL_H
#define TRACE_MODEL_MODEL_H

#include "l0/arch/events.h"

#define MODEL_COUNTS 32u
#define MODEL_INFERENCES 3u /* of enum inference */
#define MODEL_LEVELS 8u	    /* deeper ones count as the last */
#define MODEL_HISTORY_BUCKETS 512u
#define MODEL_DEADLINE_KINDS 5u
#define MODEL_PLACES 16u
#define MODEL_EXIT_NODES 8192u
#define MODEL_INTRS 16384u

struct model;

enum model_detail { MODEL_UNKNOWN, MODEL_EXACT, MODEL_LIVE };

struct model_config {
	u32 max_vcpus;		  /* 0: 4096 */
	u32 max_processes;	  /* 0: 65536 */
	u32 lane_segments;	  /* kept a worker, rounded up to a power of two; 0: 65536 */
	enum model_detail detail; /* MODEL_UNKNOWN: exact, until a summary shows that it is not */
	/* keep places of exits and interrupts: needs events with all fields */
	bool drills_down;
};

/* Exits of one vCPU (or, summed up, of a level) for one reason. */
struct model_exit {
	u32 reason;
	u32 level;
	u64 count, reflected;
	u64 charge_ns;	      /* virtual time charged */
	u64 host_cost_ns;     /* host time that L0 spent */
	u64 host_cost_max_ns; /* of one exit; 0 in live streams */
};

/* Exits of one reason at one guest address. */
struct model_place {
	u64 guest_rip;
	u32 vm, child; /* whose address it is; child EVENT_NO_ID: the machine's own code */
	u64 count;     /* at most; less @over at least */
	u64 over;
	u64 host_cost_ns;
};

/*
 * What one exit costs: a tree of exits, the children of a node being the exits that happened while
 * a VMM handled it, from the reflected exit to the next VM entry at its level.
 */
struct model_exit_node {
	u32 parent;    /* index in the table, EVENT_NO_ID: a root */
	u32 vm, child; /* whose exit; child EVENT_NO_ID: the machine's own */
	u32 level, reason;
	u64 count, reflected;
	u64 charge_ns, host_cost_ns; /* of these exits alone */
	u64 handled_ns;		     /* virtual time from the exits to the entries that followed */
};

/* Interrupts and other events delivered to a vCPU, by vector and kind. */
struct model_intr {
	u32 vcpu;
	u32 vector;
	u32 kind; /* enum intr_kind */
	u64 count;
	u64 timed;		  /* of these, with a known due time */
	u64 late_ns, late_max_ns; /* from due to delivered, of the timed ones */
};

/* A VM entry or VMX instruction that failed: the event as it came, of kind entry_failure,
 * vm_entry_failed or vm_insn_fail. */
#define MODEL_FAILURES 256u /* the newest are kept */

/* A reservation as it changed: an sched_reserve event. */
#define MODEL_RESERVES 64u /* the newest of each vCPU are kept */
struct model_reserve {
	u64 at_ns;
	struct ev_sched_reserve event;
};

/* Counters that add up; what a history bucket holds, too. */
struct model_counters {
	u64 ran_ns; /* its own code ran */
	u64 exits, reflected;
	u64 switches; /* times it was switched in: by a worker (level 1), by its VMM (deeper) */
	u64 halts;    /* halts and HLT exits that its VMM got */
	u64 misses;   /* its own count of missed deadlines (guest_deadline) */
};

/* Counters over time: bucket i covers [i * width_ns, (i + 1) * width_ns) of virtual time. */
struct model_history {
	u64 width_ns;
	struct model_counters bucket[MODEL_HISTORY_BUCKETS];
};

struct model_vm {
	u32 id;
	char name[EVENT_NAME_BYTES];
	u64 memory_bytes;
	u32 vcpus;
	enum run_state state;
	enum stop_cause stop_cause; /* STOP_NONE while it runs */
	s64 status;
	u64 start_ns, stop_ns;
	u64 ran_ns;	 /* all its processors, everything inside included */
	u64 own_ns;	 /* of that its VMM's (level 1) code */
	u64 children_ns; /* of that its guests' */
};

struct model_child {
	u32 id, vm, parent; /* parent: child VM, or EVENT_NO_ID */
	u32 depth;
	char name[EVENT_NAME_BYTES];
	u64 eptp;
	bool inferred;
	u64 ran_ns;
	u64 switches;
};

struct model_vcpu {
	u32 id, vm, child, index, parent; /* child, parent: EVENT_NO_ID at level 1 */
	u32 level;
	enum run_state state;
	u64 vmcs, cr3;
	u32 process; /* the one that runs, EVENT_NO_ID when not known */
	struct model_counters total;
	u64 charge_ns, host_cost_ns;
	u64 entries;	    /* VM entries into it */
	u64 child_switches; /* level 1: times it changed from one guest vCPU to another */
	u64 halted_ns, wakes, spins, injected;
	u32 thread; /* likewise */
	u64 process_switches, thread_switches;
	u64 entry_failures, insn_failures;
	u64 ready_ns;			     /* level 1: it was ready and waited for a worker */
	u64 wake_runs, wake_ns, wake_max_ns; /* level 1: from wake to running */
	u64 inferred_misses; /* deadline_miss: L0's inference, apart from the guest's own count */
	u32 inferences;	     /* a bit each: of these the newest is known */
	struct ev_inferred inferred[MODEL_INFERENCES]; /* by enum inference */
	u64 nreserves;				       /* changes so far */
	const struct model_reserve *reserves;	       /* ring of MODEL_RESERVES; NULL: none */
	bool has_tlb_stats;
	struct ev_tlb_stats tlb; /* the newest, when it has them */
	bool has_tlb_machine;	 /* processor 0 of a machine: the machine's */
	u64 tlb_machine[VTLB_COUNTERS];
	const struct model_exit *exits; /* by reason, in the order of appearance */
	u32 nexits;
	const struct model_history *history;
};

struct model_process {
	u32 id, vm, child;
	u64 cr3;
	char name[EVENT_NAME_BYTES];
	u64 ran_ns, switches;
};

/* With --track threads. */
struct model_thread {
	u32 id, vm, child;
	u32 process; /* that it was switched to with last, EVENT_NO_ID when not known */
	u64 stack;   /* lowest address of its kernel stack, or its base register */
	bool user;   /* it goes to user mode, too */
	u64 ran_ns, switches;
};

/* A guest's own counts; [] by enum deadline_kind. */
struct model_deadline {
	u32 id;		      /* number in this table */
	u32 vm, child, guest; /* child EVENT_NO_ID: written by the VMM; guest: its number as the VMM
				 says */
	u64 count[MODEL_DEADLINE_KINDS];
	u64 first_ns, last_ns;
};

/* A stretch of a worker's time as its scheduling goes; idle when vcpu is EVENT_NO_ID. */
struct model_segment {
	u64 start_ns, end_ns;
	u32 vcpu;     /* level-1 processor */
	u32 inner;    /* guest vCPU it has loaded; EVENT_NO_ID: none */
	u64 inner_ns; /* time that ran at levels 2 and deeper; 0 in live streams */
};

struct model_worker {
	u32 id;
	u64 busy_ns, idle_ns, switches;
	u64 last_ns; /* time of its newest event */
	u64 seq_next[EVENT_SORT_COUNT];
	struct model_segment current; /* end_ns: as far as known */
	u32 level;		      /* at which it runs now; 0: idle or not known */
};

/* What the whole trace adds up to. */
struct model_totals {
	enum model_detail detail;
	u64 events, by_kind[TRANSITION_COUNT];
	u64 first_ns, last_ns;
	u64 level_ns[MODEL_LEVELS]; /* [0]: charged time, when exits cost virtual time */
	u64 idle_ns;
	u64 vm_switches, child_switches, process_switches, thread_switches, halts, entries;
	u64 lost;     /* reported lost, by lost events and by the reader (model_note_lost) */
	u64 gaps;     /* sequence numbers missing, of sorts that the source carries whole */
	u64 overflow; /* things that did not fit in a table */
};

/**
 * model_create - an empty model
 * @cfg: limits; NULL: the defaults
 * Return: the model, or NULL when memory is short.
 */
struct model *model_create(const struct model_config *cfg) __must_check;
void model_destroy(struct model *m);

/* Take in one event. Never fails: what does not fit is counted. */
void model_feed(struct model *m, const struct transition *t);

/* The source knows of @n lost events (0: of some). */
void model_note_lost(struct model *m, u64 n);

/* The source carries all kinds: missing sequence numbers are losses. Default: not checked.
 * @from_start: the first events, too; false for a flight recorder's snapshot. */
void model_expect_all(struct model *m, bool from_start);

/* Bring open stretches up to each worker's newest event: before reading times. */
void model_settle(struct model *m);

/* --- tables, valid until the next feed; in the order of appearance --- */
const struct model_totals *model_totals(const struct model *m);
const struct model_worker *model_workers(const struct model *m, u32 *n);
const struct model_vm *model_vms(const struct model *m, u32 *n);
const struct model_child *model_children(const struct model *m, u32 *n);
const struct model_vcpu *model_vcpus(const struct model *m, u32 *n);
const struct model_process *model_processes(const struct model *m, u32 *n);
const struct model_thread *model_threads(const struct model *m, u32 *n);
/* State-match counters as of the newest events. */
const struct ev_state_count *model_counts(const struct model *m, u32 *n);
const struct model_deadline *model_deadlines(const struct model *m, u32 *n);

const struct model_vm *model_vm(const struct model *m, u32 id);
const struct model_child *model_child(const struct model *m, u32 id);
const struct model_vcpu *model_vcpu(const struct model *m, u32 id);
const struct model_process *model_process(const struct model *m, u32 id);

/**
 * model_exits_by_level - exits of all vCPUs summed up by (level, reason)
 * @out: room for @max; sorted by level, then by count, largest first
 * @vm:  only this machine's; EVENT_NO_ID: all
 * Return: how many there are (at most @max are written).
 */
u32 model_exits_by_level(const struct model *m, u32 vm, struct model_exit *out, u32 max);

/**
 * model_exit_cost - quantile of the host cost of exits
 * @vm: EVENT_NO_ID: all machines
 * @level, @reason: which exits
 * @permille: 500 is the median, 990 the 99th percentile
 * Return: an upper bound in ns, at most 25 % too high; 0: none counted one by one.
 */
u64 model_exit_cost(const struct model *m, u32 vm, u32 level, u32 reason, u32 permille);

/**
 * model_places - where exits come from, the most frequent first
 * @out: room for @max
 * Return: how many were written. Only when the model drills down; each vCPU and reason keeps the
 * most frequent MODEL_PLACES addresses (Metwally et al., space saving).
 */
u32 model_places(const struct model *m, u32 vm, u32 level, u32 reason, struct model_place *out,
		 u32 max);

/* The exit-multiplication tree: parents come before their children. Empty in live streams. */
const struct model_exit_node *model_exit_tree(const struct model *m, u32 *n);

/* The newest failures, oldest first: @out has room for @max. Return: how many. */
u32 model_failures(const struct model *m, struct transition *out, u32 max);

/* Of a vCPU's changes of reservation, the one @back before the newest; NULL: not kept. */
const struct model_reserve *model_reserve_back(const struct model_vcpu *v, u32 back);

/* Delivered events by vCPU, vector and kind. Only when the model drills down. */
const struct model_intr *model_intrs(const struct model *m, u32 *n);

/**
 * model_lane - segments of a worker that touch [from_ns, to_ns), oldest first
 * @worker: number of the worker
 * @out: room for @max; the open one at the end is included, up to the newest event
 * Return: how many were written. Stretches older than what is kept are missing.
 */
u32 model_lane(const struct model *m, u32 worker, u64 from_ns, u64 to_ns, struct model_segment *out,
	       u32 max);

/* Counters of a vCPU within [from_ns, to_ns): buckets at the edges count by their share. */
struct model_counters model_window(const struct model_vcpu *v, u64 from_ns, u64 to_ns);

/* Name for people, like "child-a", "child-a/guest", "child-a/guest#1": @buf of @bytes is returned.
 */
const char *model_vcpu_name(const struct model *m, u32 vcpu, char *buf, size_t bytes);
const char *model_child_name(const struct model *m, u32 child, char *buf, size_t bytes);

/* Each event, after the model has had it. */
typedef void (*model_event_fn)(void *arg, const struct transition *t);
void model_on_event(struct model *m, model_event_fn fn, void *arg);

/*
 * Every change of who runs, as exactly as the source says: one call for each stretch once it is
 * over. For exports; level 1 with @inner EVENT_NO_ID is the VMM itself, level 0 the idle worker.
 */
struct model_stretch {
	u64 start_ns, end_ns;
	u32 worker, vcpu, inner;
	u32 level;
};
typedef void (*model_stretch_fn)(void *arg, const struct model_stretch *s);
void model_on_stretch(struct model *m, model_stretch_fn fn, void *arg);

/* The same when a stretch begins: its end is not known yet (end_ns is 0). Always followed by the
 * call at its end, but for one that takes no time. */
void model_on_begin(struct model *m, model_stretch_fn fn, void *arg);

#endif
