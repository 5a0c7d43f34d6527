/* virtqueue.c - see virtqueue.h */
#include "l0/dev/virtqueue.h"

#include <errno.h>

#include "l0/base/mem_ops.h"

#define DESC_BYTES 16u
#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define AVAIL_NO_INTERRUPT 1u

/* Rings: flags, index, then the entries; the event index follows them. */
#define RING_INDEX 2u
#define RING_ENTRIES 4u
#define AVAIL_ENTRY 2u
#define USED_ENTRY 8u

struct desc {
	u64 gpa;
	u32 len;
	u16 flags, next;
};

void virtq_reset(struct virtq *q)
{
	*q = (struct virtq){.size = VIRTQ_MAX_SIZE, .vector = 0xffff};
}

/* Rings were checked to lie in RAM when the queue became ready. */
static u16 load16(const struct mem *m, u64 gpa)
{
	const u16 *p = (const u16 *)mem_ram_hva(m, gpa, 2);

	return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

static void store16(struct mem *m, u64 gpa, u16 value)
{
	u16 *p = (u16 *)mem_ram_hva(m, gpa, 2);

	if (!p)
		return;
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
	mem_note_write(m, gpa, 2);
}

bool virtq_usable(const struct virtq *q, const struct mem *m, const char **why)
{
	u32 n = q->size;

	if (!n || n > VIRTQ_MAX_SIZE || (n & (n - 1)))
		*why = "its size is no power of two up to 256";
	else if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
		*why = "a ring is not aligned";
	else if (!mem_ram_hva(m, q->desc, (u64)DESC_BYTES * n) ||
		 !mem_ram_hva(m, q->avail, RING_ENTRIES + AVAIL_ENTRY * n + 2) ||
		 !mem_ram_hva(m, q->used, RING_ENTRIES + USED_ENTRY * n + 2))
		*why = "a ring is outside RAM";
	else
		return true;
	return false;
}

static bool load_desc(const struct mem *m, u64 table, u32 i, struct desc *d)
{
	return !mem_read(m, table + (u64)DESC_BYTES * i, d, sizeof(*d));
}

static const char *add_buf(struct virtq_chain *c, const struct mem *m, const struct desc *d)
{
	u32 n = c->nread + c->nwrite;

	if (n == VIRTQ_MAX_BUFS)
		return "a chain has more than 256 buffers";
	if (d->len && !mem_ram_hva(m, d->gpa, d->len))
		return "a buffer is outside RAM";
	if (d->flags & DESC_WRITE) {
		c->nwrite++;
		c->write_bytes += d->len;
	} else if (c->nwrite) {
		return "a readable buffer follows a writable one";
	} else {
		c->nread++;
		c->read_bytes += d->len;
	}
	c->buf[n] = (struct virtq_buf){d->gpa, d->len};
	return NULL;
}

/* Follow a chain in @table of @entries from @i; *@indirect: where it goes over into another
 * table. */
static const char *follow(struct virtq_chain *c, const struct mem *m, u64 table, u32 entries, u32 i,
			  struct desc *indirect)
{
	for (u32 steps = 0; steps < VIRTQ_MAX_BUFS + 1; steps++) {
		struct desc d;

		if (i >= entries || !load_desc(m, table, i, &d))
			return "a descriptor's number is out of range";
		if (d.flags & DESC_INDIRECT) {
			if (!indirect || (d.flags & DESC_NEXT))
				return "an indirect descriptor stands where none may";
			*indirect = d;
			return NULL;
		}
		const char *bad = add_buf(c, m, &d);

		if (bad || !(d.flags & DESC_NEXT))
			return bad;
		i = d.next;
	}
	return "a chain has more than 256 buffers";
}

static const char *take_chain(const struct virtq *q, const struct mem *m, struct virtq_chain *c)
{
	struct desc over = {.flags = 0};
	const char *bad;

	c->nread = c->nwrite = 0;
	c->read_bytes = c->write_bytes = 0;
	bad = follow(c, m, q->desc, q->size, c->head, &over);
	if (bad || !(over.flags & DESC_INDIRECT))
		return bad;
	if (!over.len || over.len % DESC_BYTES || over.len / DESC_BYTES > 65536 ||
	    !mem_ram_hva(m, over.gpa, over.len))
		return "an indirect table is empty, uneven or outside RAM";
	return follow(c, m, over.gpa, over.len / DESC_BYTES, 0, NULL);
}

static bool is_empty(struct virtq *q, struct mem *m)
{
	if (load16(m, q->avail + RING_INDEX) != q->next_avail)
		return false;
	if (!q->event_idx)
		return true;
	/* ask for a notification, then look again: the driver may have added one just before */
	store16(m, q->used + RING_ENTRIES + USED_ENTRY * q->size, q->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(m, q->avail + RING_INDEX) == q->next_avail;
}

int virtq_pop(struct virtq *q, struct mem *m, struct virtq_chain *c, const char **why)
{
	const char *bad = NULL;

	if (!q->ready || q->broken || is_empty(q, m))
		return 0;
	if ((u16)(load16(m, q->avail + RING_INDEX) - q->next_avail) > q->size) {
		bad = "more requests are announced than the ring holds";
	} else {
		u32 slot = q->next_avail & (q->size - 1u);

		c->head = load16(m, q->avail + RING_ENTRIES + AVAIL_ENTRY * slot);
		bad = take_chain(q, m, c);
	}
	if (bad) {
		q->broken = true;
		*why = bad;
		return -EPROTO;
	}
	q->next_avail++;
	return 1;
}

void virtq_push(struct virtq *q, struct mem *m, u16 head, u32 written)
{
	const u32 entry[2] = {head, written};
	u64 at = q->used + RING_ENTRIES + USED_ENTRY * (q->next_used & (q->size - 1u));

	if (mem_write(m, at, entry, sizeof(entry)))
		return;
	q->next_used++;
	store16(m, q->used + RING_INDEX, q->next_used);
}

bool virtq_wants_interrupt(struct virtq *q, struct mem *m)
{
	u16 before = q->signalled, now = q->next_used;

	if (before == now)
		return false;
	q->signalled = now;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(load16(m, q->avail) & AVAIL_NO_INTERRUPT);
	u16 event = load16(m, q->avail + RING_ENTRIES + AVAIL_ENTRY * q->size);

	return (u16)(now - event - 1) < (u16)(now - before);
}

u64 virtq_read(const struct virtq_chain *c, const struct mem *m, u64 from, void *to, u64 n)
{
	u64 done = 0;

	for (u32 i = 0; i < c->nread && done < n; i++) {
		const struct virtq_buf *b = &c->buf[i];

		if (from >= b->len) {
			from -= b->len;
			continue;
		}
		u64 part = MIN(b->len - from, n - done);

		if (mem_read(m, b->gpa + from, (u8 *)to + done, part))
			break;
		done += part;
		from = 0;
	}
	return done;
}

u64 virtq_write(const struct virtq_chain *c, struct mem *m, u64 at, const void *bytes, u64 n)
{
	u64 done = 0;

	for (u32 i = c->nread; i < c->nread + c->nwrite && done < n; i++) {
		const struct virtq_buf *b = &c->buf[i];

		if (at >= b->len) {
			at -= b->len;
			continue;
		}
		u64 part = MIN(b->len - at, n - done);

		if (mem_write(m, b->gpa + at, (const u8 *)bytes + done, part))
			break;
		done += part;
		at = 0;
	}
	return done;
}
