/*
 * Branches that retire, and those that a processor would have mispredicted, for the performance
 * counters: counted only while somebody counts them (VP_MODE_BRANCHES), by the handlers of
 * op_branch.c. The predictor is a model, a pure function of the branches that were counted, so that
 * its misses are the same in every run, tier and slice: two-bit counters by address and recent
 * directions, the last target of each indirect jump and call, a stack of return addresses. Embedded
 * in struct vp; freestanding.
 * Cost: some ns a branch.
 */
#ifndef L0_ENGINE_BRANCHES_H
#define L0_ENGINE_BRANCHES_H

#include "l0/base/types.h"

#define BRANCH_DIRECTIONS 4096u
#define BRANCH_TARGETS 256u
#define BRANCH_RETURNS 16u

struct branches {
	u64 near, far, misses;
	u32 history, top;
	u8 direction[BRANCH_DIRECTIONS]; /* 0, 1: not taken; 2, 3: taken */
	u64 target[BRANCH_TARGETS];
	u64 returns[BRANCH_RETURNS];
};

/* A conditional branch at @rip. */
static inline void branch_direction(struct branches *b, u64 rip, bool taken)
{
	u8 *d = &b->direction[((u32)rip ^ (u32)(rip >> 12) ^ b->history << 4) % BRANCH_DIRECTIONS];

	b->near++;
	b->misses += (*d >= 2) != taken;
	if (taken && *d < 3)
		++*d;
	else if (!taken && *d)
		--*d;
	b->history = (b->history << 1 | taken) & 0xff;
}

/* An indirect jump or call at @rip to @to. */
static inline void branch_indirect(struct branches *b, u64 rip, u64 to)
{
	u64 *t = &b->target[((u32)rip ^ (u32)(rip >> 8)) % BRANCH_TARGETS];

	b->near++;
	b->misses += *t != to;
	*t = to;
}

/* A call whose RET comes back to @rip. */
static inline void branch_remember_return(struct branches *b, u64 rip)
{
	b->returns[b->top++ % BRANCH_RETURNS] = rip;
}

static inline void branch_return(struct branches *b, u64 to)
{
	b->near++;
	b->misses += b->returns[--b->top % BRANCH_RETURNS] != to;
}

#endif
