/*
 * log: the newest events as they came, for the Log view
 *
 * A ring; fed by the model for each event. Which of them pass a filter is worked out when they are
 * shown, a bounded number for each picture. One user at a time. Cost: a copy an event.
 */
#ifndef VIEWER_LOG_H
#define VIEWER_LOG_H

#include "l0/arch/events.h"

#define EVENT_LOG_EVENTS (1u << 16)

struct event_log {
	struct transition *ring;
	u64 count; /* events so far */
	/* what passes the filter: numbers of events, in order */
	u64 *shown;
	u32 nshown;
	u64 looked; /* events up to here have been looked at */
	char filter[96];
};

/* Return: false: no memory; then it stays empty. */
bool log_init(struct event_log *l);
void log_fini(struct event_log *l);

void log_add(struct event_log *l, const struct transition *t);

/* Bring what is shown up to date with @filter. Return: it is; else call again. */
bool log_update(struct event_log *l, const char *filter);

/* The @i-th of those shown. */
const struct transition *log_get(const struct event_log *l, u32 i);

#endif
