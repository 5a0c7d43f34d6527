#include "l0/sched/state.h"

static u64 read_one(const u64 *at)
{
	return at ? __atomic_load_n((u64 *)at, __ATOMIC_RELAXED) : 0;
}

struct state_count state_read(const struct state_probe *p)
{
	return (struct state_count){read_one(p->tlb_misses), read_one(p->code_misses),
				    read_one(p->flushes)};
}

u64 state_misses(const struct state_count *a, const struct state_count *b)
{
	return (b->tlb - a->tlb) + (b->code - a->code);
}

void state_profile_add(struct state_profile *p, u64 ran_ns, const struct state_count *a,
		       const struct state_count *b)
{
	p->ran_ns += ran_ns;
	p->slices++;
	p->count.tlb += b->tlb - a->tlb;
	p->count.code += b->code - a->code;
	p->count.flushes += b->flushes - a->flushes;
	p->recent_ns += ran_ns;
	p->recent_misses += state_misses(a, b);
	while (p->recent_ns > STATE_RECENT_NS) {
		p->recent_ns /= 2;
		p->recent_misses /= 2;
	}
}

u64 state_recent_per_ms(const struct state_profile *p)
{
	return p->recent_ns ? p->recent_misses * NS_PER_MS / p->recent_ns : 0;
}
