/*
 * host_view.h - `nestor run --view`: the viewer beside a run
 *
 * A thread that calls run_options.show_live (the viewer, which the command passes in). Main thread
 * only. Does nothing without --view or without a live session.
 */
#ifndef L0_HOST_VIEW_H
#define L0_HOST_VIEW_H

#include "l0/host.h"

/* After trace_session_start(), before machines run. A viewer that cannot be shown says so; the run
 * goes on. */
void host_view_start(struct host *h);

/* The run is over and the rings are drained: wait until the user leaves the viewer. */
void host_view_finish(struct host *h);

#endif
