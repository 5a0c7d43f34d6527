/* The per-worker ring; see ring.h. */
#include <errno.h>
#include <sys/mman.h>
#include "l0/base/mem_ops.h"
#include "l0/base/vecguard.h"
#include "trace/ring.h"

int trace_ring_init(struct trace_ring *ring, u32 capacity, trace_drain_fn drain, void *arg)
{
	void *map;

	nm_zero(ring, sizeof(*ring));
	if (capacity < 64 || !is_pow2(capacity))
		return -EINVAL;
	map = mmap(NULL, (size_t)capacity * sizeof(struct transition), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	ring->slots = map;
	ring->capacity = capacity;
	ring->fill_mark =
		capacity / 4; /* what is drained at once stays in the second-level cache */
	ring->drain = drain;
	ring->drain_arg = arg;
	return 0;
}

void trace_ring_fini(struct trace_ring *ring)
{
	if (!ring->slots)
		return;
	trace_ring_drain(ring);
	munmap(ring->slots, (size_t)ring->capacity * sizeof(struct transition));
	ring->slots = NULL;
}

void trace_ring_push(struct trace_ring *ring, const struct transition *t)
{
	struct transition *slot = &ring->slots[ring->head & (ring->capacity - 1)];
	u32 words = event_infos[t->kind].words;

	slot->vtime_ns = t->vtime_ns;
	slot->seq = t->seq;
	slot->vcpu_id = t->vcpu_id;
	slot->worker = t->worker;
	slot->level = t->level;
	slot->kind = t->kind;
	for (u32 i = 0; i < words; i++)
		slot->p[i] = t->p[i];
	ring->head++;
	if (unlikely(ring->head - ring->tail >= ring->fill_mark))
		trace_ring_drain(ring);
}

void trace_ring_feed(void *arg, struct trace_worker *worker, const struct transition *t)
{
	if (worker->ring)
		trace_ring_push(worker->ring, t);
}

__cold_path static void drain_guarded(struct trace_ring *ring)
{
	struct vecguard guard;
	u64 end = ring->head;

	vecguard_save(&guard);
	while (ring->tail != end) {
		u32 at = ring->tail & (ring->capacity - 1);
		u64 run = MIN(end - ring->tail, (u64)ring->capacity - at);

		ring->drain(ring->drain_arg, &ring->slots[at], (u32)run);
		ring->tail += run;
	}
	vecguard_restore(&guard);
}

void trace_ring_drain(struct trace_ring *ring)
{
	/* A drain that causes events leaves them for the next one. */
	if (ring->draining || ring->head == ring->tail)
		return;
	if (!ring->drain) {
		ring->tail = ring->head;
		return;
	}
	ring->draining = true;
	drain_guarded(ring);
	ring->draining = false;
}

u32 trace_ring_last(const struct trace_ring *ring, struct transition *out, u32 max, u32 vcpu)
{
	u64 have = MIN(ring->head, (u64)ring->capacity);
	u32 n = 0;

	/* newest first from the end of @out, then moved down */
	for (u64 back = 1; back <= have && n < max; back++) {
		const struct transition *t =
			&ring->slots[(ring->head - back) & (ring->capacity - 1)];

		if (vcpu == EVENT_NO_ID || t->vcpu_id == vcpu)
			nm_copy(&out[max - ++n], t, sizeof(*t));
	}
	if (n && n < max)
		nm_move(out, out + (max - n), n * sizeof(*out));
	return n;
}
