/*
 * run_report.h - what a run came to, in numbers: for `nestor sched-compare`
 *
 * Filled by machine_run() when run_options.report is set. The guests' own counts (deadline port) stand
 * beside what the scheduler did; the scheduler itself never sees the first. Plain data without pointers,
 * so that it can go through a pipe.
 */
#ifndef L0_CMD_RUN_REPORT_H
#define L0_CMD_RUN_REPORT_H

#include "l0/lab/machine_desc.h"

#define RUN_REPORT_MACHINES 32
#define RUN_REPORT_GUESTS 16
/* Misses before this time are counted apart: the scheduler still learns. */
#define RUN_REPORT_SETTLED_NS (1 * NS_PER_SEC)

struct run_report_guest {
	u32 misses, early_misses, jobs, late_us, work; /* counts of the guest, as it wrote them last */
};

struct run_report_machine {
	char name[MACHINE_MAX_NAME];
	u32 weight;
	u64 ran_ns, waited_ns, longest_wait_ns, switches;
	/* latest decision about one of its guests; 0: none */
	u64 r_ns, x_ns, y_ns;
	u32 reason; /* RESERVE_* */
	u32 refusals;
	struct run_report_guest guest[RUN_REPORT_GUESTS];
};

struct run_report {
	u64 ran_for_ns;
	u32 workers, nmachines;
	struct run_report_machine machine[RUN_REPORT_MACHINES];
};

#endif
