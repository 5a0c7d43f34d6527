#include "l1-child/vmm/sched.h"

static void insert(struct sched *s, struct l2 *g, unsigned int at)
{
	for (unsigned int i = s->count; i > at; i--)
		s->queue[i] = s->queue[i - 1];
	s->queue[at] = g;
	s->count++;
}

/* Where an L2 goes behind all others of its priority. */
static unsigned int behind_equals(const struct sched *s, const struct l2 *g)
{
	unsigned int at = s->count;

	if (s->kind == SCHED_PRIO)
		while (at > 0 && s->queue[at - 1]->priority < g->priority)
			at--;
	return at;
}

bool sched_has_turns(const struct sched *s, const struct l2 *g)
{
	return s->count > 1 && !(s->kind == SCHED_PRIO && g->priority);
}

void sched_wake(struct sched *s, struct l2 *g)
{
	if (g->state != L2_HALTED)
		return;
	g->state = L2_RUNNABLE;
	if (s->count == 1) /* it had no end of a slice so far */
		s->queue[0]->fresh_slice = true;
	g->fresh_slice = true;
	insert(s, g, s->kind == SCHED_WAKE_FIRST ? 0 : behind_equals(s, g));
}

void sched_remove(struct sched *s, struct l2 *g, enum l2_state state)
{
	unsigned int i, kept = 0;

	for (i = 0; i < s->count; i++)
		if (s->queue[i] != g)
			s->queue[kept++] = s->queue[i];
	s->count = kept;
	g->state = state;
}

void sched_slice_end(struct sched *s)
{
	struct l2 *g = sched_pick(s);

	if (!g)
		return;
	g->fresh_slice = true;
	if (s->kind == SCHED_PRIO && g->priority)
		return;
	sched_remove(s, g, L2_RUNNABLE);
	insert(s, g, behind_equals(s, g));
}

struct l2 *sched_pick(const struct sched *s)
{
	return s->count ? s->queue[0] : NULL;
}
