/*
 * machine_ops.h - what the parts of a machine ask of it: the tables that machine.c hands them
 *
 * Devices (bus lock held, perhaps in mid-instruction), the engine, exit handling, memory and the
 * virtual TLB know nothing of machines, workers and the scheduler; these calls are their only way
 * up. Called between an exit and the next entry: no vector registers.
 */
#ifndef L0_MACHINE_OPS_H
#define L0_MACHINE_OPS_H

#include "l0/machine.h"

extern const struct machine_bus_ops machine_ops_bus;
extern const struct vp_ops machine_ops_vp;
extern const struct exit_hooks machine_ops_exit;

/* mem_set_unclaimed(): a port or address where nothing is was used. One line each, the first 64. */
void machine_ops_unclaimed(void *machine, bool port, bool write, u64 addr, u64 value,
			   unsigned int size);

/* mem_set_...(): a store to a frame that MONITOR named. */
void machine_ops_store_seen(void *machine, u64 gpa, u64 len);

/* vtlb_config, for the detector of missing invalidations: whose virtual processor runs here; NULL:
 * nobody's of @machine. And a report of it. */
struct vtlb_vp *machine_ops_running_tlb(void *machine);
void machine_ops_stale(void *machine, const struct vtlb_stale_report *r);

#endif
