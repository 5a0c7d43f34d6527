#include "l0/track/counters.h"

bool track_match(const struct track_match *m, const struct track_now *now)
{
	bool equals = true;

	if (m->parts & MATCH_VM)
		equals &= now->vm == m->vm;
	if (m->parts & MATCH_LEVEL)
		equals &= now->level == m->level;
	if (m->parts & MATCH_CHILD)
		equals &= now->child != EVENT_NO_ID && (now->child & 0xffff) == m->child;
	if (m->parts & MATCH_CR3)
		equals &= now->cr3 == m->cr3;
	if (m->parts & MATCH_STACK)
		equals &= now->has_thread && now->thread == m->stack >> now->thread_shift;
	return equals != m->differs;
}

void counts_sync(struct track_counts *c)
{
	u64 raw[COUNT_EVENTS];

	if (!c->runs)
		return;
	c->read(c->arg, raw);
	for (u32 i = 0, left = c->matched; left; i++, left >>= 1)
		if (left & 1)
			__atomic_store_n(&c->value[i],
					 c->value[i] + raw[c->spec[i].event] -
						 c->last[c->spec[i].event],
					 __ATOMIC_RELAXED);
	for (u32 i = 0; i < COUNT_EVENTS; i++)
		c->last[i] = raw[i];
}

static void match_all(struct track_counts *c, const struct track_now *now)
{
	c->matched = 0;
	for (u32 i = 0; i < c->n; i++)
		if (track_match(&c->spec[i].match, now))
			c->matched |= 1u << i;
}

void counts_change(struct track_counts *c, const struct track_now *now)
{
	counts_sync(c);
	match_all(c, now);
}

void counts_start(struct track_counts *c, const struct track_now *now)
{
	c->runs = true;
	c->read(c->arg, c->last);
	match_all(c, now);
}

void counts_stop(struct track_counts *c)
{
	counts_sync(c);
	c->runs = false;
}
