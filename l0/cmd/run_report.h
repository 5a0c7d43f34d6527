/*
 * run_report.h - what a run came to, in numbers: for `nestor sched-compare`
 *
 * Filled by machine_run() when run_options.report is set. The guests' own counts (deadline port)
 * and the truth from the lab file stand beside what the scheduler did; the scheduler itself never
 * sees either. Plain data without pointers, so that it can go through a pipe.
 */
#ifndef L0_CMD_RUN_REPORT_H
#define L0_CMD_RUN_REPORT_H

#include "l0/lab/machine_desc.h"

#define RUN_REPORT_MACHINES 32
#define RUN_REPORT_GUESTS 16
#define RUN_REPORT_PARTS 5
/* Misses before this time are counted apart: the scheduler still learns. */
#define RUN_REPORT_SETTLED_NS (1 * NS_PER_SEC)
/* An estimate is within 10 % of the truth when it is so for as many jobs in a row. */
#define RUN_REPORT_ROW 8u
/* What a reservation does is judged after as many periods. */
#define RUN_REPORT_PERIODS 20u

/* A stretch of a run in which a guest does the same all the time. */
struct run_report_part {
	u64 from_ns, y_ns, work_ns; /* the truth; set before the run */
	/* first job of those within 10 %; when that was for good, 0: never */
	u64 row_ns, settled_ns;
	u64 r_min_ns, r_max_ns, r_last_ns, r_sum_ns, c_sum_ns; /* after the first periods */
	u64 r_off_ppm; /* how far R went from its mean, at most; with several phases their sum */
	u32 row, jobs;
};

/* Why something was inferred of a guest, or no longer: the newest. */
struct run_report_why {
	bool known, holds;
	u32 reason; /* enum inference_reason */
	u32 seen, agree, confidence;
};

#define RUN_REPORT_WHYS 3u /* by enum inference */

struct run_report_guest {
	/* counts of the guest, as it wrote them last */
	u32 misses, early_misses, jobs, late_us, work;
	u64 last_miss_ns, work_at_ns; /* when it missed last; when it wrote its work */
	/* latest decision of the scheduler about it; 0: none */
	u64 r_ns, x_ns, y_ns, work_ns;
	u32 reason; /* RESERVE_* */
	u32 refusals;
	struct run_report_why why[RUN_REPORT_WHYS];
	u32 nparts; /* 0: it is not periodic, or nobody told */
	struct run_report_part part[RUN_REPORT_PARTS];
};

struct run_report_machine {
	char name[MACHINE_MAX_NAME];
	u32 weight;
	u64 stopped_ns; /* 0: it ran to the end */
	u64 ran_ns, waited_ns, delay_ns, longest_wait_ns, switches;
	u64 charged_switch_ns, charged_exit_ns; /* of ran_ns, what was charged for L0's own work */
	/* slices on the worker that it had before; on another one; on one of another node */
	u64 stays, moves, far_moves;
	/* of the engine: accesses to data that missed the soft TLB, and jumps to code */
	u64 tlb_misses, code_misses;
	struct run_report_guest guest[RUN_REPORT_GUESTS];
};

struct run_report {
	u64 ran_for_ns;
	u64 host_cpu_ns; /* CPU time of the host's, all of the run */
	u32 workers, nmachines;
	struct run_report_machine machine[RUN_REPORT_MACHINES];
};

#endif
