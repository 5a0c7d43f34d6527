/*
 * sched_compare.h - parts of `nestor sched-compare`: what the lab file says about the guests of the
 * supplied child VMM (its command line is the only place), and the output. For l0/cmd only.
 */
#ifndef L0_CMD_SCHED_COMPARE_H
#define L0_CMD_SCHED_COMPARE_H

#include "l0/cmd/run_report.h"

/**
 * truth_shift - command line @append with the timer of each real-time guest @phase_us later
 * Return: a new string that lives until the process ends, or @append.
 */
const char *truth_shift(const char *append, u64 phase_us);

/* What the guests of @append do and when, into the parts of @m. */
void truth_read(const char *append, struct run_report_machine *m);

/* Processor time that each machine gets when it is alone, in percent of all workers; 0: not known. */
struct compare_alone {
	double cpu[RUN_REPORT_MACHINES];
	u64 jobs[RUN_REPORT_MACHINES], misses[RUN_REPORT_MACHINES];
	bool known;
};

/* One policy's results, as a table or as a member of the JSON list of policies. */
void compare_print_text(const char *policy, const struct run_report *r, const struct compare_alone *alone);
void compare_print_json(const char *policy, const struct run_report *r, const struct compare_alone *alone,
			bool first);

/* Each machine alone: the table, or the JSON list. */
void compare_print_alone_text(const struct run_report *r, const struct compare_alone *alone);
void compare_print_alone_json(const struct run_report *r, const struct compare_alone *alone);

#endif
