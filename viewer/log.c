/* The newest events; see log.h. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "trace/model/text.h"
#include "trace/model/filter.h"
#include "viewer/log.h"

#define LOOK_AT_MOST 20000u /* events for each picture, some 20 ms */

bool log_init(struct event_log *l)
{
	l->ring = malloc(sizeof(*l->ring) * EVENT_LOG_EVENTS);
	l->shown = malloc(sizeof(*l->shown) * EVENT_LOG_EVENTS);
	if (!l->ring || !l->shown) {
		log_fini(l);
		return false;
	}
	return true;
}

void log_fini(struct event_log *l)
{
	free(l->ring);
	free(l->shown);
	l->ring = NULL;
	l->shown = NULL;
}

void log_add(struct event_log *l, const struct transition *t)
{
	l->ring[l->count++ % EVENT_LOG_EVENTS] = *t;
}

/* Those that the ring has lost since. */
static void forget_old(struct event_log *l, u64 first)
{
	u32 gone = 0;

	while (gone < l->nshown && l->shown[gone] < first)
		gone++;
	if (gone) {
		memmove(l->shown, l->shown + gone, (l->nshown - gone) * sizeof(*l->shown));
		l->nshown -= gone;
	}
}

bool log_update(struct event_log *l, const char *filter)
{
	u64 first = l->count > EVENT_LOG_EVENTS ? l->count - EVENT_LOG_EVENTS : 0, until;
	char text[TRANSITION_TEXT_BYTES];

	if (strcmp(filter, l->filter)) {
		snprintf(l->filter, sizeof(l->filter), "%s", filter);
		l->nshown = 0;
		l->looked = first;
	}
	forget_old(l, first);
	l->looked = MAX(l->looked, first);
	until = filter[0] ? MIN(l->count, l->looked + LOOK_AT_MOST) : l->count;
	for (; l->looked < until; l->looked++) {
		const struct transition *t = &l->ring[l->looked % EVENT_LOG_EVENTS];

		if (!filter[0] || filter_takes(filter, t, transition_text(t, true, text)))
			l->shown[l->nshown++] = l->looked;
	}
	return l->looked == l->count;
}

const struct transition *log_get(const struct event_log *l, u32 i)
{
	return &l->ring[l->shown[i] % EVENT_LOG_EVENTS];
}
