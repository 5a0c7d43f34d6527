/*
 * In-fill counters, odd and even: the other way to keep a fill from bringing back what was read
 * before an invalidation, for contrast (vtlb_config.odd_even; the default of a program that was
 * made with VTLB_FILL=oddeven).
 *
 * A VP's counter is odd from before it reads the first entry until after it has stored what it
 * made of it. An invalidation waits until each fill that it found under way is over, then takes the
 * new generation: whatever those fills stored is below it, so that their stamps may be as late as
 * they like. The price: who invalidates waits for a filler that the host has taken off its CPU.
 *
 * Who waits has an even counter and holds no lock, so no two wait for each other.
 */
#include <sched.h>

#include "vtlb/priv.h"

#define SPINS_BEFORE_YIELD 16u /* well under 1 us */

void infill_enter(struct vtlb_vp *v)
{
	/* Locked: no load of the fill comes before it. */
	__atomic_fetch_add((u64 *)&v->priv->infill, 1, __ATOMIC_SEQ_CST);
}

void infill_leave(struct vtlb_vp *v)
{
	u64 *c = (u64 *)&v->priv->infill;

	__atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}

static bool wait_for(const u64 *counter)
{
	u64 c = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
	u32 spins = 0;

	if (likely(!(c & 1)))
		return false;
	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) == c) {
		if (++spins % SPINS_BEFORE_YIELD == 0)
			sched_yield();
		__builtin_ia32_pause();
	}
	return true;
}

void infill_wait(struct vtlb *t)
{
	bool waited = false;

	/* Locked: the guest's stores come before the counters are looked at. */
	__atomic_fetch_add((u64 *)&t->gen, 1, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < t->cfg.max_vps; i++)
		if (t->vp[i])
			waited |= wait_for((const u64 *)&t->vp[i]->priv->infill);
	if (waited)
		vtlb_count_shared(&t->stats.infill_waits);
}
