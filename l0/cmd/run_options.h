/*
 * run_options.h - everything that `nestor run` and `nestor record` were asked for
 *
 * Filled by l0/cmd/run.c from the command line and lab files, checked, then handed to
 * machine_run(), which does the work. Plain data; strings are those of the command line or live
 * until run_options_fini().
 */
#ifndef L0_CMD_RUN_OPTIONS_H
#define L0_CMD_RUN_OPTIONS_H

#include "l0/base/arena.h"
#include "l0/lab/machine_desc.h"
#include "l0/sched/topology.h"
#include "l0/track/counters.h"

#define RUN_MAX_MACHINES 32
#define RUN_MAX_WORKERS 256

enum {
#define EXIT_COST(NAME, member, ns, text) RUN_CHARGE_##NAME,
#include "l0/arch/costs.def"
#undef EXIT_COST
	RUN_CHARGES
};

enum run_clock { RUN_CLOCK_VIRTUAL, RUN_CLOCK_HOST };
enum run_idle { RUN_IDLE_SKIP, RUN_IDLE_REAL };
/* The default is the translator where build and host allow it. */
enum run_engine { RUN_ENGINE_DEFAULT, RUN_ENGINE_INTERP, RUN_ENGINE_JIT, RUN_ENGINE_CHECK };
enum run_tlb { RUN_TLB_NORMAL, RUN_TLB_AUDIT, RUN_TLB_ADVERSARIAL, RUN_TLB_STRICT };

/* How a run is doing, for its viewer. */
enum run_phase {
	RUN_PHASE_GOES_ON,
	RUN_PHASE_ENDED,  /* the viewer stays until the user leaves */
	RUN_PHASE_LEAVES, /* a signal ended it: the viewer leaves, too */
};

struct run_report;
struct transition;

struct run_options {
	struct machine_desc machines[RUN_MAX_MACHINES];
	unsigned nmachines;
	struct arena strings;	    /* those that the command line does not hold */
	const struct place *places; /* where options of the run were given */

	enum run_clock clock;
	enum run_idle idle; /* virtual clock: skip idle time, or pace it by the host's clock */
	unsigned workers;   /* 0: min(VPs, host CPUs) under the host clock, 1 under virtual */
	bool parking;
	struct topology topology;   /* of the workers */
	const char *sched;	    /* policy's name */
	u64 slice_ns;		    /* of the round-robin policy; guest time */
	u64 insn_ns;		    /* virtual clock: time of an instruction */
	u32 charge_ns[RUN_CHARGES]; /* virtual clock: costs.def in its order */
	u64 for_ns;		    /* guest time after which the run ends; 0: none */
	u64 timeout_ns;		    /* host time after which the run ends; 0: none */
	u64 seed;		    /* of everything random */

	bool record;	  /* a lossless local LTTng session in output */
	u64 flight_bytes; /* record only the newest events, in so much memory; 0: all of them */
	const char *flight_on; /* what to write them for; NULL: the end of the run */
	u64 flight_kinds;      /* kinds of events that flight_wants() is asked about */
	bool (*flight_wants)(void *expression, const struct transition *t); /* set by the command */
	bool view; /* the live viewer in this terminal */
	/* Shows the live session at @url until the user leaves (viewer_run_live()); called on a
	 * thread of its own. quit() is called when that is before the end. Set by the command. */
	int (*show_live)(const char *url, enum run_phase (*phase)(void *arg),
			 void (*quit)(void *arg), void *arg);
	const char *output; /* folder; NULL: ./nestor-trace-N, made when something is written */

	struct run_report *report; /* filled at the end, for sched-compare; NULL: not wanted */

	enum run_engine engine;
	u64 jit_memory;	   /* of each machine, in bytes; 0: default */
	unsigned jit_heat; /* entries before a block is translated; 0: default */
	unsigned jit_off;  /* groups of instructions (enum jit_group) left to the interpreter */
	enum run_tlb tlb;
	u64 vtlb_memory;		    /* bytes of each machine; 0: the default */
	u32 vtlb_without;		    /* 1 << enum vtlb_part */
	u32 vtlb_nodes;			    /* memory nodes to simulate; 0: the host's */
	const char *count_text[COUNTS_MAX]; /* as they were given */
	struct track_count counts[COUNTS_MAX];
	unsigned ncounts;
	struct track_match fence[RUN_MAX_MACHINES]; /* no parts: none */
	bool detect_stale, stats, vmx_coverage;
	bool explain;
	bool no_vmcs_shadowing;
	unsigned gdb_port;	/* 0: no debugger */
	const char *trace_exec; /* file of executed instructions, "-" is stderr; NULL: off */
};

/**
 * machine_run - build the machines, run them to the end, tear everything down
 * @opts: checked options; stays unchanged and valid during the run
 * Return: the program's exit status: one of exit_codes.h, or the odd status that the guest of a
 *         single machine chose. Errors have been printed, one line each.
 */
int machine_run(const struct run_options *opts);

#endif
