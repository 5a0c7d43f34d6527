/* virtio_console.c - see virtio_console.h */
#include "l0/dev/virtio_console.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/dev/virtio.h"

#define QUEUE_IN 0u
#define QUEUE_OUT 1u
#define PIECE_BYTES 512u

struct virtio_console {
	struct virtio v;
	struct chardev *out;
};

static void write_chain(struct virtio_console *k, const struct virtq_chain *c)
{
	u8 piece[PIECE_BYTES];
	u64 n, at = 0;

	while ((n = virtq_read(c, k->v.dev.bus->mem, at, piece, sizeof(piece))) != 0) {
		chardev_write(k->out, piece, n);
		at += n;
	}
}

static void console_notify(struct virtio *v, u32 q)
{
	struct virtio_console *k = container_of(v, struct virtio_console, v);
	struct virtq_chain *c;

	if (q != QUEUE_OUT)
		return;
	for (u32 i = 0; i < VIRTQ_MAX_SIZE && (c = virtio_pop(v, q)) != NULL; i++) {
		write_chain(k, c);
		virtio_push(v, q, c, 0);
	}
	virtio_interrupt(v, q, bus_now(v->dev.bus));
}

size_t virtio_console_input(struct virtio_console *k, const void *bytes, size_t n)
{
	struct machine_bus *bus = k->v.dev.bus;
	struct virtq_chain *c;
	size_t taken = 0;

	bus_lock(bus);
	while (taken < n && (c = virtio_pop(&k->v, QUEUE_IN)) != NULL) {
		u64 part = virtq_write(c, bus->mem, 0, (const u8 *)bytes + taken, n - taken);

		virtio_push(&k->v, QUEUE_IN, c, (u32)part);
		taken += part;
	}
	if (taken)
		virtio_interrupt(&k->v, QUEUE_IN, bus_now(bus));
	bus_unlock(bus);
	return taken;
}

static void console_destroy(struct virtio *v)
{
	free(container_of(v, struct virtio_console, v));
}

static const struct virtio_ops console_ops = {
	.type = VIRTIO_CONSOLE,
	.pci_class = 0x07,
	.pci_subclass = 0x80,
	.nqueues = 2,
	.notify = console_notify,
	.destroy = console_destroy,
};

struct virtio_console *virtio_console_create(struct machine_bus *bus, struct chardev *out, int *err)
{
	struct virtio_console *k = calloc(1, sizeof(*k));

	if (!k) {
		*err = -ENOMEM;
		return NULL;
	}
	k->out = out;
	virtio_init(&k->v, &console_ops, "virtio-console", 0);
	*err = virtio_add(&k->v, bus);
	return *err ? NULL : k;
}
