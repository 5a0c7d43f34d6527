/* k-way merge of the workers' streams; see merge.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/model/merge.h"

#define DEFAULT_LIMIT (1u << 20)
#define MAX_WORKERS 65536u

/* One worker's waiting events, in a ring that grows. */
struct queue {
	struct transition *ring;
	u32 room, head, count;
};

struct merge {
	merge_fn out;
	void *arg;
	u32 limit, window, held, nqueues, waiting; /* waiting: queues with an event */
	struct queue *queues;			   /* by worker */
	u8 *seen;
	u32 nseen;
	u64 last_ns, late;
};

struct merge *merge_create(u32 limit, merge_fn out, void *arg)
{
	struct merge *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->limit = limit ? limit : DEFAULT_LIMIT;
	m->window = m->limit / 16;
	m->out = out;
	m->arg = arg;
	return m;
}

void merge_destroy(struct merge *m)
{
	if (!m)
		return;
	for (u32 i = 0; i < m->nqueues; i++)
		free(m->queues[i].ring);
	free(m->queues);
	free(m->seen);
	free(m);
}

static void hand_out(struct merge *m, const struct transition *t)
{
	if (t->vtime_ns < m->last_ns)
		m->late++;
	m->last_ns = MAX(m->last_ns, t->vtime_ns);
	m->out(m->arg, t);
}

static const struct transition *first(const struct queue *q)
{
	return &q->ring[q->head];
}

/* Workers are few: a scan beats a heap. Ties go to the lower number. */
static void hand_out_earliest(struct merge *m)
{
	struct queue *best = NULL;

	for (u32 i = 0; i < m->nqueues; i++) {
		struct queue *q = &m->queues[i];

		if (q->count && (!best || first(q)->vtime_ns < first(best)->vtime_ns))
			best = q;
	}
	if (!best)
		return;
	hand_out(m, first(best));
	best->head = (best->head + 1) & (best->room - 1);
	m->held--;
	if (!--best->count)
		m->waiting--;
}

static bool reserve_queue(struct merge *m, u32 worker)
{
	u32 n = m->nqueues ? m->nqueues : 4;
	struct queue *queues;
	u8 *seen;

	if (worker < m->nqueues)
		return true;
	while (n <= worker)
		n *= 2;
	queues = realloc(m->queues, n * sizeof(*queues));
	if (!queues)
		return false;
	m->queues = queues;
	seen = realloc(m->seen, n);
	if (!seen)
		return false;
	m->seen = seen;
	memset(&m->queues[m->nqueues], 0, (n - m->nqueues) * sizeof(*queues));
	memset(&m->seen[m->nqueues], 0, n - m->nqueues);
	m->nqueues = n;
	return true;
}

static bool grow_ring(struct queue *q)
{
	u32 room = q->room ? q->room * 2 : 64;
	struct transition *ring;

	if (q->count < q->room)
		return true;
	ring = malloc(room * sizeof(*ring));
	if (!ring)
		return false;
	for (u32 i = 0; i < q->count; i++)
		ring[i] = q->ring[(q->head + i) & (q->room - 1)];
	free(q->ring);
	q->ring = ring;
	q->room = room;
	q->head = 0;
	return true;
}

void merge_feed(struct merge *m, const struct transition *t)
{
	struct queue *q;

	if (t->worker >= MAX_WORKERS - 1 || !reserve_queue(m, t->worker) ||
	    !grow_ring(&m->queues[t->worker])) {
		hand_out(m, t);
		return;
	}
	q = &m->queues[t->worker];
	q->ring[(q->head + q->count) & (q->room - 1)] = *t;
	m->held++;
	if (!q->count++)
		m->waiting++;
	if (!m->seen[t->worker]) {
		m->seen[t->worker] = 1;
		m->nseen++;
	}
	/* a window is always kept back: a worker may show up that has not been seen yet */
	while ((m->held > m->window && m->waiting == m->nseen) || m->held > m->limit)
		hand_out_earliest(m);
}

void merge_flush(struct merge *m)
{
	while (m->held)
		hand_out_earliest(m);
}

u64 merge_late(const struct merge *m)
{
	return m->late;
}
