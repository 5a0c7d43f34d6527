#include "l0/sched/realtime.h"

#define RT_ON 3	       /* of the latest 8 jobs finished: real-time */
#define RT_OFF 1       /* of the latest 16, or fewer: no longer */
#define STARVED_JOBS 3 /* in a row, before a trial */
#define PAUSE_FIRST 24
#define PAUSE_MAX 1536

void realtime_job(struct realtime *r, bool in_time)
{
	r->finished = (u16)(r->finished << 1 | in_time);
	if (r->n < 16)
		r->n++;
	if (!r->is_rt && __builtin_popcount(r->finished & 0xff) >= RT_ON) {
		r->is_rt = true;
		r->trial = 0;
		r->trial_ns = 0;
		r->next_pause = PAUSE_FIRST;
	} else if (r->is_rt && r->n == 16 && __builtin_popcount(r->finished) <= RT_OFF) {
		r->is_rt = false;
	}
}

bool realtime_trial(struct realtime *r, u64 used_ns, u64 y_ns, u64 *budget_ns)
{
	if (r->trial) {
		if (--r->trial == 0) {
			r->pause = r->next_pause ? r->next_pause : PAUSE_FIRST;
			r->next_pause = (u16)MIN(2 * r->pause, PAUSE_MAX);
		}
	} else if (r->pause) {
		r->pause--;
	} else if (r->n >= STARVED_JOBS && !(r->finished & ((1 << STARVED_JOBS) - 1))) {
		r->trial_ns = r->trial_ns ? r->trial_ns + r->trial_ns / 2
					  : MAX(used_ns + used_ns / 2, y_ns / 5);
		r->trial_ns = MIN(r->trial_ns, y_ns);
		r->trial = TRIAL_PERIODS;
	}
	*budget_ns = r->trial_ns;
	return r->trial != 0;
}

void realtime_retry(struct realtime *r)
{
	r->pause = 0;
	r->next_pause = PAUSE_FIRST;
}
