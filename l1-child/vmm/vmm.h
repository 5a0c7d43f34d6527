/*
 * The whole child VMM in one structure: configuration, capabilities, L2s, run queue. One processor,
 * interrupts off between VM exits, no locks.
 */
#ifndef L1_CHILD_VMM_VMM_H
#define L1_CHILD_VMM_VMM_H

#include "l1-child/vmm/config.h"
#include "l1-child/vmm/l2.h"
#include "l1-child/vmm/sched.h"
#include "l1-child/vmm/vmx.h"

struct vmm {
	struct config config;
	struct vmx_caps caps;
	struct sched sched;
	struct l2 *current; /* whose VMCS is current, NULL: none yet */
	u64 start_tsc;
	u64 end_tsc; /* 0: no limit */
	u64 idle_tsc;
	unsigned int alive;
	struct l2 l2[MAX_GUESTS];
};

/* exit_handle - one VM exit of the current L2. reason is the exit reason field. exit.c */
void exit_handle(struct vmm *vm, struct l2 *g, u32 reason);

/* vmm_end - the machine ends as end= says. end.c */
void vmm_end(struct vmm *vm, int status) __attribute__((noreturn));

/* Stops one L2 for good; the others go on. */
void vmm_stop_l2(struct vmm *vm, struct l2 *g, u32 code, bool crashed);

#endif
