/*
 * State-match counters (mechanism A4): counters of instructions, exits, misses and the like that
 * move only while what a level-1 processor runs, as tracking knows it, equals a match register (or,
 * inverted, differs from it): a machine, a level, a child VM, a process, a thread.
 *
 * Nothing is counted one by one. The processor's raw counters, which run anyway, are read whenever
 * the tracked state changes, and their growth since then goes to the counters that matched. So
 * every count is exact, and without counters none of this runs. Called by track.c and threads.c at
 * their changes, by the worker at each switch; a processor's are touched by the worker that runs it
 * alone. Cost of a
 * change: reading the raw counters, some 20 ns, and a few ns a counter.
 */
#ifndef L0_TRACK_COUNTERS_H
#define L0_TRACK_COUNTERS_H

#include "l0/arch/events.h"

#define COUNTS_MAX 32u
#define COUNT_EVENTS 10u /* enum count_event */

/* Parts of a match register that count; MATCH_VM: else any machine. */
#define MATCH_VM 0x01u
#define MATCH_LEVEL 0x02u
#define MATCH_CHILD 0x04u
#define MATCH_CR3 0x08u
#define MATCH_STACK 0x10u

struct track_match {
	bool differs; /* counts while the state is another one */
	u32 parts;    /* MATCH_* */
	u32 vm, level;
	u32 child; /* number of the child VM in its machine, as in its name */
	u64 cr3;   /* page-table base with PCID, of the process that runs */
	u64 stack; /* an address in the thread's kernel stack, or its base register */
};

struct track_count {
	enum count_event event;
	struct track_match match;
};

/* What a level-1 processor runs. */
struct track_now {
	u32 vm, level;
	u32 child;		       /* EVENT_NO_ID: none */
	u64 cr3, thread, thread_shift; /* key of the thread; its address in units of 1 << shift */
	bool has_thread;
};

/* Of one level-1 processor. */
struct track_counts {
	const struct track_count *spec;
	u32 n;
	u32 matched;			   /* a bit each: those that count what happens now */
	bool runs;			   /* a worker runs the processor */
	void (*read)(void *arg, u64 *raw); /* raw[COUNT_EVENTS], never going backwards */
	void *arg;
	u64 last[COUNT_EVENTS];
	u64 value[COUNTS_MAX]; /* others may read them meanwhile: relaxed */
};

/* Does the register match? */
bool track_match(const struct track_match *m, const struct track_now *now);

/* What was counted since the last call goes to those that matched; from now on @now runs. */
void counts_change(struct track_counts *c, const struct track_now *now);

/* A worker takes the processor, which runs @now; and leaves it. */
void counts_start(struct track_counts *c, const struct track_now *now);
void counts_stop(struct track_counts *c);

/* Bring the values up to date; its worker, or nobody runs it. */
void counts_sync(struct track_counts *c);

#endif
