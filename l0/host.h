/*
 * struct host: the simulated host of a run: its workers (physical CPUs), its clock, the scheduler,
 * the machines and the way of every transition into the trace. machine_run() is the whole life of
 * `nestor run`.
 */
#ifndef L0_HOST_H
#define L0_HOST_H

#include <signal.h>

#include "l0/cmd/run_options.h"
#include "l0/gdb/gdb.h"
#include "l0/machine.h"
#include "l0/worker.h"
#include "l0/world.h"
#include "trace/session.h"

/* Why the run as a whole ends. */
enum host_stop {
	HOST_RUNNING,
	HOST_STOP_TIME,
	HOST_STOP_TIMEOUT,
	HOST_STOP_SIGNAL,
	HOST_STOP_USER,
	HOST_STOP_DEAD
};

struct host {
	const struct run_options *opts;
	struct clock clock;
	struct sched sched;
	struct trace_hub hub;
	struct trace_session *session; /* NULL: not traced */
	struct worker *worker;
	u32 nworkers;
	struct world world;
	struct machine *machine[RUN_MAX_MACHINES];
	u32 nmachines;
	_Atomic u32 running;	   /* machines not stopped yet */
	_Atomic u32 stop;	   /* enum host_stop */
	struct host_view *view;	   /* --view; NULL: none */
	_Atomic bool is_signalled; /* told to end at once */
	u64 first_signal_ns;	   /* of the host; 0: none came */
	struct terminal *terminal;
	struct chardev *serial[RUN_MAX_MACHINES];
	struct chardev *console; /* port 0xe9 of every machine: standard error */
	FILE *exec_log;		 /* --trace-exec */
	struct gdb *gdb;	 /* --gdb */
	struct gdb_cpu *gdb_cpus;
	bool guest_failed; /* a machine stopped abnormally */
};

/* End the run; any thread, also a signal handler. */
void host_stop(struct host *h, enum host_stop why);

/* A machine has stopped; its worker says so once. */
void host_machine_stopped(struct host *h, struct machine *m);

/* A VP's state in words on standard error, after something went wrong in its machine. */
void host_dump_vcpu(struct vcpu *c);

#endif
