/*
 * vecguard.h - keep the vector registers over a call into libc
 *
 * For rare code in base (log lines) that may be reached while a guest's vector state is live in
 * the host's registers. Everything else that leaves the hot path parks the state with its VP.
 * Never allocates. Cost: one XSAVE and one XRSTOR, about 140 ns.
 */
#ifndef L0_BASE_VECGUARD_H
#define L0_BASE_VECGUARD_H

#include "l0/base/types.h"

/* x87, SSE, AVX and AVX-512 state: the components that fit the area below. */
#define VECGUARD_COMPONENTS 0xe7u
#define VECGUARD_AREA_BYTES 2816

struct vecguard {
	u8 area[VECGUARD_AREA_BYTES] __aligned_to(64);
	bool has_xsave;
};

/**
 * vecguard_save - copy the live vector and x87 state to @g and give libc a clean x87 and MXCSR
 * @g: on the caller's stack, aligned by its type
 */
void vecguard_save(struct vecguard *g);

/* Put back what vecguard_save() copied. */
void vecguard_restore(const struct vecguard *g);

#endif
