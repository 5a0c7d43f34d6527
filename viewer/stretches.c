/* The exact stretches of each worker; see stretches.h. */
#include <stdlib.h>
#include <string.h>

#include "viewer/stretches.h"

#define FIRST_ROOM 1024u

/* Twice the room; the ring is full and has not wrapped yet, so its order stays. */
static void grow(struct stretch_ring *r)
{
	u32 room = r->room ? r->room * 2 : FIRST_ROOM;
	struct model_stretch *item = realloc(r->item, room * sizeof(*item));

	if (!item)
		return;
	r->item = item;
	r->room = room;
}

void stretches_add(void *stretches, const struct model_stretch *s)
{
	struct stretches *all = stretches;
	struct stretch_ring *r;

	if (s->worker >= STRETCHES_WORKERS)
		return;
	r = &all->worker[s->worker];
	if (r->head == r->room && r->room < STRETCHES_MAX)
		grow(r);
	if (r->room)
		r->item[r->head++ & (r->room - 1)] = *s;
}

void stretches_fini(struct stretches *s)
{
	for (u32 i = 0; i < STRETCHES_WORKERS; i++)
		free(s->worker[i].item);
	memset(s, 0, sizeof(*s));
}

static const struct model_stretch *at(const struct stretch_ring *r, u64 i)
{
	return &r->item[i & (r->room - 1)];
}

bool stretches_find(const struct stretches *s, u32 worker, u64 from_ns, u64 to_ns,
		    struct model_stretch *out, u32 max, u32 *n)
{
	const struct stretch_ring *r = worker < STRETCHES_WORKERS ? &s->worker[worker] : NULL;
	u64 oldest, lo, hi;

	*n = 0;
	if (!r || !r->head)
		return false;
	oldest = r->head > r->room ? r->head - r->room : 0;
	if (oldest && at(r, oldest)->start_ns > from_ns)
		return false;
	/* the first that ends after @from_ns */
	for (lo = oldest, hi = r->head; lo < hi;) {
		u64 mid = (lo + hi) / 2;

		if (at(r, mid)->end_ns <= from_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < r->head && at(r, lo)->start_ns < to_ns; lo++) {
		if (*n == max)
			return false;
		out[(*n)++] = *at(r, lo);
	}
	return true;
}
