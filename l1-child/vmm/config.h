/*
 * The command line of the child VMM, parsed once at start. Anything wrong with it is one line on
 * the console and the end of the machine. Grammar: docs/l1-child.md.
 */
#ifndef L1_CHILD_VMM_CONFIG_H
#define L1_CHILD_VMM_CONFIG_H

#include "l1-child/guests/abi.h"
#include "l1-child/lib/types.h"

#define MAX_GUESTS 16

enum sched_kind { SCHED_PRIO, SCHED_WAKE_FIRST, SCHED_STRICT };
enum timer_kind { TIMER_LAPIC, TIMER_PIT };
/* after run=: end the machine, or go wrong: by a VMX abort, a triple fault, VMXOFF and a loop, or
 * HLT without interrupts */
enum end_kind { END_EXIT, END_ABORT, END_TRIPLE, END_VMXOFF, END_HANG };
enum ept_kind { EPT_2M, EPT_4K, EPT_LAZY };

struct guest_change_config {
	u64 after_ns, period_ns, work_ns;
};

struct guest_config {
	char kind[16];
	char name[16];
	u64 period_ns, work_ns, jitter_ns, phase_ns;
	u64 ram_bytes;
	u32 vary_permille;
	u32 processes;
	u32 pages;
	bool round_robin, has_fence;
	u32 bits; /* 64 or 32 */
	u32 priority;
	u32 changes;
	struct guest_change_config change[GUEST_CHANGES];
};

struct config {
	char name[16];
	enum sched_kind sched;
	enum ept_kind ept;
	enum timer_kind timer;
	u64 slice_ns;
	u64 run_ns; /* 0: until all guests stopped */
	enum end_kind end;
	bool ack_on_exit;
	bool verbose;
	bool no_vpid;
	bool declares; /* what its guests need, by hypercall */
	u32 rearm;     /* writes of the TSC deadline at each exit: a fault to look for */
	unsigned int guests;
	struct guest_config guest[MAX_GUESTS];
	/* rtbench only */
	char bench[16];
	u64 bench_count;
};

/* config_parse - read the command line; does not return when it is wrong. */
void config_parse(struct config *c, const char *cmdline);

/* Names of the scheduler and of the EPT kind, for messages. */
const char *config_sched_name(enum sched_kind k);
const char *config_ept_name(enum ept_kind k);

#endif
