/*
 * world.h - stop every other worker of a host between two instructions
 *
 * For what must see a whole machine at rest: its reset, a debugger. Under the virtual clock all
 * workers share one thread, so the world stands still by itself and both calls do nothing. A
 * stopped worker has parked its guest's vector state, so that any thread may look at it and change
 * it.
 * Cost: as long as the slowest worker needs to the next boundary, tens of microseconds.
 */
#ifndef L0_WORLD_H
#define L0_WORLD_H

#include <pthread.h>

#include "l0/base/types.h"

struct host;
struct worker;

struct world {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct worker *stopper; /* who holds everybody, or NULL */
	u32 present, parked;	/* workers in their loops; of these, how many wait */
	_Atomic bool wanted;	/* looked at by every worker between two stretches */
};

void world_init(struct world *w);
void world_fini(struct world *w);

/* A worker begins and ends its loop. */
void world_enter(struct worker *w);
void world_leave(struct worker *w);

/* If somebody wants the world to stand still: wait until that is over. Cost when not: a load. */
void world_wait_slow(struct worker *w);

/* Stop all the others; the caller is a worker between two instructions. Not recursive. */
void world_stop(struct worker *w);
void world_resume(struct worker *w);

#endif
