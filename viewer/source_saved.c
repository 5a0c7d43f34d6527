/* A trace folder as a source; see source.h. */
#include <stdlib.h>

#include "viewer/feed.h"
#include "viewer/source.h"

struct source_saved {
	struct source base;
	struct feed feed;
};

static struct source_saved *saved_of(struct source *s)
{
	return container_of(s, struct source_saved, base);
}

static int saved_open(struct source *s, char *why)
{
	return feed_start(&saved_of(s)->feed, why);
}

static u32 saved_pump(struct source *s, struct model *m, u32 max)
{
	return feed_pump(&saved_of(s)->feed, m, max);
}

static void saved_status(struct source *s, struct source_status *st)
{
	feed_status(&saved_of(s)->feed, st);
}

static void saved_close(struct source *s)
{
	if (feed_stop(&saved_of(s)->feed))
		free(saved_of(s));
}

static const struct source_ops saved_ops = {
	.open = saved_open,
	.pump = saved_pump,
	.status = saved_status,
	.close = saved_close,
};

struct source *source_saved_create(const char *path, const struct source_reader *reader)
{
	struct source_saved *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base = (struct source){.ops = &saved_ops, .title = path};
	s->feed.reader = reader;
	s->feed.address = path;
	return &s->base;
}
