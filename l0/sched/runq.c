#include "l0/sched/runq.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/assert.h"

int runq_reserve(struct runq *q, u32 n)
{
	if (n <= q->room)
		return 0;
	u32 room = MAX(n, 2 * q->room);
	struct sched_vp **heap = realloc(q->heap, room * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	q->heap = heap;
	q->room = room;
	return 0;
}

void runq_fini(struct runq *q)
{
	free(q->heap);
	*q = (struct runq){0};
}

static bool is_before(const struct sched_vp *a, const struct sched_vp *b)
{
	return a->key != b->key ? a->key < b->key : a->key_seq < b->key_seq;
}

static void place(struct runq *q, u32 at, struct sched_vp *e)
{
	q->heap[at] = e;
	e->runq_at = at;
}

static void sift_up(struct runq *q, u32 at, struct sched_vp *e)
{
	while (at && is_before(e, q->heap[(at - 1) / 2])) {
		place(q, at, q->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(q, at, e);
}

static void sift_down(struct runq *q, u32 at, struct sched_vp *e)
{
	for (;;) {
		u32 least = 2 * at + 1;
		if (least >= q->n)
			break;
		if (least + 1 < q->n && is_before(q->heap[least + 1], q->heap[least]))
			least++;
		if (!is_before(q->heap[least], e))
			break;
		place(q, at, q->heap[least]);
		at = least;
	}
	place(q, at, e);
}

void runq_insert(struct runq *q, struct sched_vp *e, u64 key)
{
	ASSERT(q->n < q->room);
	e->key = key;
	e->key_seq = q->seq++;
	q->n++;
	sift_up(q, q->n - 1, e);
}

void runq_remove(struct runq *q, struct sched_vp *e)
{
	u32 at = e->runq_at;

	ASSERT(at < q->n && q->heap[at] == e);
	struct sched_vp *last = q->heap[--q->n];
	if (last == e)
		return;
	if (at && is_before(last, q->heap[(at - 1) / 2]))
		sift_up(q, at, last);
	else
		sift_down(q, at, last);
}
