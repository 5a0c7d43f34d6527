/* A live session as a source; see source.h. */
#include <stdlib.h>
#include <string.h>

#include "viewer/feed.h"
#include "viewer/source.h"

struct source_live {
	struct source base;
	struct feed feed;
};

static struct source_live *live_of(struct source *s)
{
	return container_of(s, struct source_live, base);
}

static int live_open(struct source *s, char *why)
{
	return feed_start(&live_of(s)->feed, why);
}

static u32 live_pump(struct source *s, struct model *m, u32 max)
{
	return feed_pump(&live_of(s)->feed, m, max);
}

static void live_status(struct source *s, struct source_status *st)
{
	feed_status(&live_of(s)->feed, st);
}

static void live_run_ended(struct source *s)
{
	feed_run_ended(&live_of(s)->feed);
}

static void live_close(struct source *s)
{
	if (feed_stop(&live_of(s)->feed))
		free(live_of(s));
}

static const struct source_ops live_ops = {
	.open = live_open,
	.pump = live_pump,
	.status = live_status,
	.run_ended = live_run_ended,
	.close = live_close,
};

/* What comes last in the URL. */
static const char *session_name(const char *url)
{
	const char *slash = strrchr(url, '/');

	return slash && slash[1] ? slash + 1 : url;
}

struct source *source_live_create(const char *url, const struct source_reader *reader)
{
	struct source_live *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base = (struct source){.ops = &live_ops, .title = session_name(url), .is_live = true};
	s->feed.reader = reader;
	s->feed.address = url;
	s->feed.retries = true;
	return &s->base;
}
