/* virtio_rng.c - see virtio_rng.h */
#include "l0/dev/virtio_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "l0/dev/virtio.h"

/* A request gets no more than this at a time; drivers ask again. */
#define REQUEST_BYTES 4096u

struct virtio_rng {
	struct virtio v;
	u64 state;
	u8 bytes[REQUEST_BYTES];
};

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
static u64 next_random(struct virtio_rng *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Return: how many of @n there are. */
static u32 fill(struct virtio_rng *r, u32 n)
{
	if (r->v.dev.bus->clock->kind == CLOCK_KIND_HOST) {
		ssize_t got = getrandom(r->bytes, n, 0);

		return got < 0 ? 0 : (u32)got;
	}
	for (u32 i = 0; i < n; i++)
		r->bytes[i] = (u8)next_random(r);
	return n;
}

static void rng_notify(struct virtio *v, u32 q)
{
	struct virtio_rng *r = container_of(v, struct virtio_rng, v);
	struct virtq_chain *c;

	for (u32 i = 0; i < VIRTQ_MAX_SIZE && (c = virtio_pop(v, q)) != NULL; i++) {
		u32 n = fill(r, (u32)MIN(c->write_bytes, (u64)REQUEST_BYTES));

		virtio_push(v, q, c, (u32)virtq_write(c, v->dev.bus->mem, 0, r->bytes, n));
	}
	virtio_interrupt(v, q, bus_now(v->dev.bus));
}

static void rng_destroy(struct virtio *v)
{
	free(container_of(v, struct virtio_rng, v));
}

static const struct virtio_ops rng_ops = {
	.type = VIRTIO_RNG,
	.pci_class = 0xff,
	.nqueues = 1,
	.notify = rng_notify,
	.destroy = rng_destroy,
};

int virtio_rng_create(struct machine_bus *bus, u64 seed)
{
	struct virtio_rng *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->state = seed;
	virtio_init(&r->v, &rng_ops, "virtio-rng", 0);
	return virtio_add(&r->v, bus);
}
