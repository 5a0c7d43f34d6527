/*
 * sched_compare.h - parts of `nestor sched-compare`: what the lab file says about the guests of the
 * supplied child VMM (its command line is the only place), the figures of a row, and the output.
 * For l0/cmd only.
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

/* The phases of one comparison at most. */
#define COMPARE_MAX_PHASES 100u

/* A machine's figures under one policy, over all guests and phases. */
struct compare_row {
	u64 jobs, misses, early, late_us, work, switches, gap_ns;
	double cpu, fair; /* percent of all workers */
	double switches_each_s;
	u32 refusals;
};

/* What each machine does when it has the host for itself. */
struct compare_alone {
	struct compare_row row[RUN_REPORT_MACHINES];
	bool known;
};

/* What happened in each phase, to the machines in order. */
struct compare_phases {
	u32 n;
	struct {
		u64 jobs, misses, early;
	} of[COMPARE_MAX_PHASES][RUN_REPORT_MACHINES];
};

/* Machine @i of @r; its fair share by weight, among those who want more than that when @alone is
 * known. */
struct compare_row compare_row_of(const struct run_report *r, const struct compare_alone *alone,
				  u32 i);

/* Value @value of the event enumeration @name in words. */
const char *compare_enum_text(const char *name, u32 value);

/* The table, at most 80 columns wide: its head, the machines alone, one policy's results. */
void compare_text_head(void);
void compare_text_alone(const struct run_report *r, const struct compare_alone *alone);
void compare_text_policy(const char *policy, const struct run_report *r,
			 const struct compare_alone *alone);

/* The same as one JSON object: the list of machines alone, and a member of the list of policies. */
void compare_json_alone(const struct run_report *r, const struct compare_alone *alone);
void compare_json_policy(const char *policy, const struct run_report *r,
			 const struct compare_phases *phases, const struct compare_alone *alone,
			 bool first);

#endif
