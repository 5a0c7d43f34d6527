/* The mostly idle guest: a tick now and then, a little work, HLT. Does not count deadlines. */
#include "l1-child/guests/kit.h"

void guest_main(struct guest_shared *s)
{
	struct kit_rate rate;
	u32 seen, loops;

	kit_calibrate(&rate);
	loops = kit_loops(&rate, s->work_tsc);
	kit_timer(s->period_tsc, s->vector);
	for (seen = s->ticks;; seen = s->ticks) {
		while (s->ticks == seen)
			kit_wait(&s->ticks, seen);
		kit_work(loops);
		s->jobs++;
		s->work++;
	}
}
