/*
 * The periodic real-time guest: at each tick, work of a fixed amount of its own CPU time, due one
 * period after the tick. A job whose deadline passed before it starts is skipped and counts as
 * missed. Counts go to the deadline port; its scheduler never sees them.
 */
#include "l1-child/guests/kit.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"

struct rt {
	struct guest_shared *s;
	struct kit_rate rate;
	u64 start_tsc;
	u64 period_tsc;
	u32 work_tsc;
	u32 seen; /* ticks taken */
	u32 next_change;
	u32 random;
};

static u32 job_loops(struct rt *r)
{
	u32 vary = r->s->vary_permille, work = r->work_tsc;

	if (vary)
		work = mul_div32(work, 1000 - vary + kit_random(&r->random) % (2 * vary + 1), 1000);
	return kit_loops(&r->rate, work);
}

static void one_job(struct rt *r)
{
	u32 behind = r->s->ticks - r->seen;
	u64 deadline;

	if (behind > GUEST_TICKS_KEPT) {
		/* So far behind that the instants are gone: all those jobs are missed. */
		r->s->jobs += behind - GUEST_TICKS_KEPT;
		r->s->misses += behind - GUEST_TICKS_KEPT;
		r->seen += behind - GUEST_TICKS_KEPT;
	}
	r->seen++;
	deadline = r->s->due_tsc[r->seen % GUEST_TICKS_KEPT] + r->period_tsc;
	if (cpu_tsc() < deadline)
		kit_work(job_loops(r));
	kit_job_over(r->s, cpu_tsc(), deadline);
}

/* Follows the schedule of changes; returns false while the guest has nothing to do. */
static bool apply_changes(struct rt *r)
{
	struct guest_shared *s = r->s;
	struct guest_change *c;
	u64 elapsed = cpu_tsc() - r->start_tsc;
	bool changed = false;

	for (; r->next_change < GUEST_CHANGES; r->next_change++) {
		c = &s->change[r->next_change];
		if (!c->valid || elapsed < c->after_tsc)
			break;
		r->period_tsc = c->period_tsc;
		r->work_tsc = c->work_tsc;
		changed = true;
	}
	if (changed) {
		u64 period = r->period_tsc;

		/* While it rests, its timer only wakes it for the next change. */
		if (!period && r->next_change < GUEST_CHANGES && s->change[r->next_change].valid)
			period = s->change[r->next_change].after_tsc - elapsed;
		kit_timer(period, s->vector);
		r->seen = s->ticks;
	} else if (!r->period_tsc) {
		r->seen = s->ticks;
	}
	return r->period_tsc != 0;
}

void guest_main(struct guest_shared *s)
{
	struct rt r = {.s = s,
		       .period_tsc = s->period_tsc,
		       .work_tsc = s->work_tsc,
		       .random = s->seed,
		       .start_tsc = cpu_tsc()};

	kit_calibrate(&r.rate);
	kit_timer(r.period_tsc, s->vector);
	r.seen = s->ticks;
	for (;;) {
		if (apply_changes(&r) && s->ticks != r.seen)
			one_job(&r);
		else
			kit_wait(&s->ticks, r.seen);
	}
}
