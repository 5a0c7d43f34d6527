/*
 * gdb.h - a remote stub for stock gdb: registers of every mode, memory through the thread's own
 * address space, breakpoints, watchpoints, single steps, stops at VMX events; threads are the
 * virtual processors and every vCPU of their guests, at any level
 *
 * Listens on a loopback port. One worker calls gdb_poll() between engine_run()s, every worker
 * gdb_on_exec() before each instruction while anything is armed; when the guest has to stop, the
 * worker that sees it stops the world and gdb_serve() answers the debugger until it resumes.
 * Breakpoints are kept here, not
 * in guest memory: the guest never sees one. While one is set, or a step is on, the engine runs
 * single steps (about 20 times slower); otherwise the stub costs nothing.
 */
#ifndef L0_GDB_GDB_H
#define L0_GDB_GDB_H

#include "l0/exit/exit.h"
#include "l0/track/track.h"

struct gdb;

/* A virtual processor as the debugger sees it; thread number = index + 1. Its guests have threads
 * of their own, see guests.c. */
struct gdb_cpu {
	struct vp *vp;
	struct nvmx *nv;
	struct track_vp *track;
	const char *machine;
	struct cpu_hotplug *hotplug; /* of that machine, or NULL */
	char name[64];		     /* as "A processor 0" */
};

/**
 * gdb_open - listen on 127.0.0.1:@port
 * @cpus, @n: what can be debugged; kept by reference
 * @stop_wanted: the run is to end (Ctrl-C): gdb_serve() returns; may be NULL
 * Return: the stub; NULL with *@err = -errno.
 */
struct gdb *gdb_open(u16 port, struct gdb_cpu *cpus, u32 n, bool (*stop_wanted)(void *arg),
		     void *arg, int *err);
void gdb_close(
	struct gdb *g); /* tells a connected debugger that the program has ended; NULL is fine */

/* Wait until a debugger has connected and resumed for the first time. */
void gdb_wait(struct gdb *g);

/* A new connection or an interrupt (Ctrl-C in gdb)? Then the guest should stop: gdb_serve(). At
 * most one system call a millisecond. Return: whether to stop. */
bool gdb_poll(struct gdb *g);

/* Before the instruction at vp->cpu.rip while VP_ATTN_TRACE is set. Return: false: stop here. */
bool gdb_on_exec(struct gdb *g, struct vp *vp);

/* A data access while vp->host_watch is set; stops after the instruction. */
void gdb_on_access(struct gdb *g, struct vp *vp, u64 gva, u32 size, bool write);

/* Every transition that it may be told to stop at: GDB_KINDS. Between exit and re-entry, on the
 * thread of the processor that it is about. */
#define GDB_KINDS \
	(BIT(TRANSITION_vm_entry) | BIT(TRANSITION_vm_exit) | BIT(TRANSITION_vmcs_load) | \
	 BIT(TRANSITION_entry_failure) | BIT(TRANSITION_vm_insn_fail))
void gdb_on_transition(struct gdb *g, const struct transition *t);

/* @vp stopped for good (triple fault and the like): let the debugger look. */
void gdb_on_fatal(struct gdb *g, struct vp *vp);

/* Has one of the above asked for a stop? Then gdb_serve(). */
bool gdb_is_stopped(const struct gdb *g);

/* Talk to the debugger until it resumes the guest, detaches or goes away. */
void gdb_serve(struct gdb *g);

#endif
