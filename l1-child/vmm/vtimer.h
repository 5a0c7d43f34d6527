/*
 * The L2s' periodic timers, multiplexed on the local APIC timer in one-shot mode. A tick is due on
 * the grid that starts with the VMM (plus the guest's phase), moved by at most its jitter; it wakes
 * the L2 and leaves one interrupt pending (more ticks before the L2 takes it leave one, too).
 */
#ifndef L1_CHILD_VMM_VTIMER_H
#define L1_CHILD_VMM_VTIMER_H

#include "l1-child/vmm/l2.h"

struct vmm;

/* Starts (period 0: stops) the timer of an L2. origin_tsc: where the grid begins; ticks before now
 * are left out. */
void vtimer_set(struct vmm *vm, struct l2 *g, u64 period_tsc, u32 vector, u64 origin_tsc);

/* Delivers all ticks that are due and arms the hardware timer for the next one. */
void vtimer_run(struct vmm *vm);

#endif
