/*
 * Idle detector (mechanism B4): when does a vCPU have nothing to do?
 *
 * HLT and MWAIT say so at once. The process (or, where threads are followed, the thread) in which
 * it does
 * that nearly always is its idle process: a later switch to that one says the same, even when it
 * polls and never halts. PAUSEs, exit after exit with nothing else between, are a loop that waits.
 * Each beginning of a rest is an event; what ends it is any other sign of life.
 */
#include "l0/track/track_priv.h"

#define RESTS_KNOWN 8 /* of RESTS_MAX: it is the idle process */
#define RESTS_MAX 16
#define PAUSES 4

static u32 sure(const struct track_idle *i, u32 cause)
{
	switch (cause) {
	case IDLE_HLT:
	case IDLE_MWAIT: return 100;
	case IDLE_PROCESS: return (u32)(100 * i->rests / RESTS_MAX);
	default: return 50; /* whoever waits for a lock does that, too */
	}
}

static void begins(struct track_vp *v, struct track_idle *i, u32 cause, u32 left)
{
	if (i->is_idle)
		return;
	i->is_idle = true;
	TRANSITION(v->ctx, idle, .cause = cause, .process = left, .idle_process = i->process,
		   .idle_thread = i->thread, .confidence = sure(i, cause));
}

/* It halts in this process and thread: its idle one, if it is always the same. */
static void learn(struct track_idle *i, u32 process, u32 thread)
{
	bool same = thread != EVENT_NO_ID ? i->thread == thread
					  : i->process == process && i->thread == EVENT_NO_ID;

	if (i->rests && !same) {
		i->rests -= i->rests >= RESTS_MAX / 4 ? RESTS_MAX / 4 : i->rests;
		return;
	}
	i->process = process;
	i->thread = thread;
	if (i->rests < RESTS_MAX)
		i->rests++;
}

void idle_rest(struct track_vp *v, struct track_idle *i, u32 cause, u32 process, u32 thread)
{
	i->pauses = 0;
	i->halted = true;
	learn(i, process, thread);
	begins(v, i, cause, process);
}

void idle_pause(struct track_vp *v, struct track_idle *i, u32 process)
{
	if (i->pauses < PAUSES && ++i->pauses == PAUSES)
		begins(v, i, IDLE_PAUSE, process);
}

void idle_active(struct track_idle *i)
{
	i->is_idle = i->halted = false;
	i->pauses = 0;
}

void idle_switch(struct track_vp *v, struct track_idle *i, u32 left, u32 process, u32 thread)
{
	bool known = i->rests >= RESTS_KNOWN;

	idle_active(i);
	if (!known)
		return;
	/* an idle thread borrows the address space of whoever ran before it: by itself, where it is
	 * known */
	if (i->thread != EVENT_NO_ID ? thread == i->thread
				     : process == i->process && left != process)
		begins(v, i, IDLE_PROCESS, left);
}
