/*
 * stretches.h - who ran at which level, as exactly as a recorded trace says
 *
 * The model's lanes tell which machine a worker ran and which guest that had loaded; these are the
 * stretches between single entries and exits, for zooming in. The newest of each worker are kept.
 * Filled by the model (model_on_stretch()), read by the schedule. Pure. Cost: some ns a stretch, 32
 * bytes each.
 */
#ifndef VIEWER_STRETCHES_H
#define VIEWER_STRETCHES_H

#include "trace/model/model.h"

#define STRETCHES_WORKERS 256u
#define STRETCHES_MAX (1u << 20) /* a worker; a power of two */

struct stretches {
	struct stretch_ring {
		struct model_stretch *item; /* ring of @room, a power of two */
		u32 room;
		u64 head; /* stretches so far */
	} worker[STRETCHES_WORKERS];
};

/* A model_stretch_fn; @stretches is a struct stretches, zero to begin with. When memory is short,
 * the newest are kept in what there is. */
void stretches_add(void *stretches, const struct model_stretch *s);
void stretches_fini(struct stretches *s);

/**
 * stretches_find - those of a worker that touch [from_ns, to_ns), oldest first
 * @out: room for @max
 * @n:   how many were written
 * Return: whether these are all: false when older ones are gone, or when there are more than @max.
 */
bool stretches_find(const struct stretches *s, u32 worker, u64 from_ns, u64 to_ns,
		    struct model_stretch *out, u32 max, u32 *n);

#endif
