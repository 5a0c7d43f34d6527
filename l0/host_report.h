/*
 * host_report.h - what a run comes to for `nestor sched-compare` (struct run_report)
 *
 * The guests' own counts of their deadlines, what the scheduler decided about them, and how far that
 * is from the truth, which the scheduler cannot see. The host calls it; nothing here changes a run.
 */
#ifndef L0_HOST_REPORT_H
#define L0_HOST_REPORT_H

#include "l0/base/types.h"

struct host;
struct machine;
struct sched_note;

/* The machines are there, nothing has run; and at the end. Nothing without opts->report. */
void host_report_start(struct host *h);
void host_report_finish(struct host *h);

/* With opts->report only, by the worker that runs the guest: a count that it wrote (DEADLINE_* of
 * l0/arch/ports.h) ... */
void host_report_deadline(struct machine *m, u32 value);
/* ... and a note of the scheduler. */
void host_report_note(struct host *h, const struct sched_note *note);

#endif
