/*
 * The architectural performance-monitoring unit, version 2: four general counters and three fixed
 * ones of 48 bits. It counts instructions retired, branches retired, near and far, and those of
 * them that its model of a predictor missed (branches.h); a cycle is an instruction (the simulated
 * core retires one in each cycle that is not halted), so every count is exact and the same in every
 * run, tier and slice. Other events count nothing, and CPUID leaf 0Ah says so.
 *
 * Counters are brought up to date lazily: from vp->insns when somebody reads or writes one, when
 * the ring changes (vp_update_mode()), and when the worker plans a stretch. Nothing runs while no
 * counter is enabled. The worker stops the engine at pmu_next_overflow(), so an overflow interrupt
 * is raised at its instruction. Part of struct vp; only the VP's own thread touches it.
 * Source: SDM 3B "Architectural Performance Monitoring".
 */
#ifndef L0_ENGINE_PMU_H
#define L0_ENGINE_PMU_H

#include "l0/base/types.h"

#define PMU_GENERAL 4u
#define PMU_FIXED 3u
#define PMU_COUNTERS (PMU_GENERAL + PMU_FIXED)
#define PMU_BITS 48u
#define PMU_NEVER (~0ull)
/* CPUID leaf 0Ah: version 2; of the seven architectural events all but those of the last-level
 * cache are there (0 in EBX). */
#define PMU_CPUID_EAX (2u | PMU_GENERAL << 8 | PMU_BITS << 16 | 7u << 24)
#define PMU_CPUID_EBX 0x18u
#define PMU_CPUID_EDX (PMU_FIXED | PMU_BITS << 5)

enum pmu_event { PMU_NOTHING, PMU_INSNS, PMU_BRANCHES, PMU_BRANCH_MISSES };
/* struct pmu.branches_in */
#define PMU_IN_USER 1u
#define PMU_IN_KERNEL 2u

struct vp;

struct pmu {
	u64 count[PMU_COUNTERS]; /* general, then fixed; 48 bits, as of @insns */
	u64 select[PMU_GENERAL]; /* IA32_PERFEVTSELx */
	u64 fixed_ctrl, global_ctrl, global_status;
	u64 insns;		     /* vp->insns that @count is up to date with */
	u64 branches, branch_misses; /* of vp->branches, likewise */
	u8 event[PMU_COUNTERS];	     /* enum pmu_event */
	u8 branches_in;		     /* rings in which branches are to be counted */
	u8 user, kernel;	     /* counters that count at level 3, below it */
	u8 interrupt;		     /* counters whose overflow interrupts */
	bool in_user;		     /* the instructions since @insns are of level 3 */
	bool is_counting;	     /* any counts */
};

/* Power-up values; INIT leaves the unit alone. */
void pmu_reset(struct vp *vp);

/* vp->cpl has become another than level 3, or level 3. Called by vp_update_mode() while
 * counting. */
void pmu_ring_changed(struct vp *vp);

/* Bring the counters up to date; raises what has overflowed. vp->insns is exact. */
void pmu_sync(struct vp *vp);

/* The instruction count before which no counter overflows that interrupts then, or PMU_NEVER. */
u64 pmu_next_overflow(const struct vp *vp);

/**
 * pmu_msr_read, pmu_msr_write - the unit's registers
 * Return: false: #GP (reserved bits, read-only, none of its registers).
 */
bool pmu_msr_read(struct vp *vp, u32 msr, u64 *value);
bool pmu_msr_write(struct vp *vp, u32 msr, u64 value);

/* A value for IA32_PERFEVTSELx that has its counter count something that this unit does not count: it stays. */
bool pmu_is_uncounted(u64 select);

/* RDPMC. Return: false: no such counter. */
bool pmu_read_counter(struct vp *vp, u32 index, u64 *value);

#endif
