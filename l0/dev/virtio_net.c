/* virtio_net.c - see virtio_net.h */
#include "l0/dev/virtio_net.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/dev/virtio.h"

#define F_MAC 5u
#define F_STATUS 16u
#define CFG_STATUS 6u
#define CFG_BYTES 8u
#define LINK_UP 1u

#define QUEUE_RECEIVE 0u
#define QUEUE_TRANSMIT 1u

#define HEADER_BYTES 12u /* struct virtio_net_hdr; all zero without offloads */
#define NUM_BUFFERS_OFFSET 10u
#define WAITING_MAX 256u

struct frame {
	u32 bytes;
	u8 data[NET_MAX_FRAME];
};

struct virtio_net {
	struct virtio v;
	struct net_peer peer;
	struct timer deliver;
	u32 first, waiting; /* of the ring of frames */
	bool said;
	u8 out[HEADER_BYTES + NET_MAX_FRAME];
	struct frame in[WAITING_MAX];
};

static void transmit(struct virtio_net *n, const struct virtq_chain *c)
{
	u64 bytes = virtq_read(c, n->v.dev.bus->mem, 0, n->out, sizeof(n->out));

	/* longer or shorter than a frame: lost, as on the wire */
	if (bytes > HEADER_BYTES + 14 && bytes == c->read_bytes)
		n->peer.send(n->peer.arg, n->out + HEADER_BYTES, (u32)bytes - HEADER_BYTES);
}

/* Put the frame that waits longest into the driver's next buffer. Return: was there one? */
static bool receive_one(struct virtio_net *n, const struct frame *f)
{
	static const u8 header[HEADER_BYTES] = {[NUM_BUFFERS_OFFSET] = 1};
	struct mem *mem = n->v.dev.bus->mem;
	struct virtq_chain *c = virtio_pop(&n->v, QUEUE_RECEIVE);

	if (!c)
		return false;
	u64 done = virtq_write(c, mem, 0, header, HEADER_BYTES);

	done += virtq_write(c, mem, HEADER_BYTES, f->data, f->bytes);
	virtio_push(&n->v, QUEUE_RECEIVE, c, done == HEADER_BYTES + f->bytes ? (u32)done : 0);
	return true;
}

static void deliver(void *arg, u64 deadline_ns)
{
	struct virtio_net *n = arg;

	while (n->waiting && receive_one(n, &n->in[n->first])) {
		n->first = (n->first + 1) % WAITING_MAX;
		n->waiting--;
	}
	virtio_interrupt(&n->v, QUEUE_RECEIVE, deadline_ns);
}

void virtio_net_receive(struct virtio_net *n, const void *frame, u32 bytes)
{
	struct machine_bus *bus = n->v.dev.bus;

	if (bytes > NET_MAX_FRAME)
		return;
	bus_lock(bus);
	if (virtio_is_running(&n->v) && n->waiting < WAITING_MAX) {
		struct frame *f = &n->in[(n->first + n->waiting++) % WAITING_MAX];

		f->bytes = bytes;
		nm_copy(f->data, frame, bytes);
		if (!timer_is_armed(&n->deliver))
			bus_timer_arm(bus, &n->deliver, bus_now(bus));
	} else if (virtio_is_running(&n->v) && !n->said) {
		bus_report(bus, n->v.name,
			   "frames for the guest are lost: it takes them too slowly");
		n->said = true;
	}
	bus_unlock(bus);
}

static void net_notify(struct virtio *v, u32 q)
{
	struct virtio_net *n = container_of(v, struct virtio_net, v);
	struct virtq_chain *c;
	u64 now = bus_now(v->dev.bus);

	if (q == QUEUE_RECEIVE) {
		if (n->waiting)
			deliver(n, now);
		return;
	}
	for (u32 i = 0; i < VIRTQ_MAX_SIZE && (c = virtio_pop(v, q)) != NULL; i++) {
		transmit(n, c);
		virtio_push(v, q, c, 0);
	}
	virtio_interrupt(v, q, now);
}

static void net_reset(struct virtio *v)
{
	struct virtio_net *n = container_of(v, struct virtio_net, v);

	timer_cancel(&v->dev.bus->timers, &n->deliver);
	n->waiting = 0;
}

static void net_destroy(struct virtio *v)
{
	struct virtio_net *n = container_of(v, struct virtio_net, v);

	n->peer.destroy(n->peer.arg);
	timer_cancel(&v->dev.bus->timers, &n->deliver);
	free(n);
}

static const struct virtio_ops net_ops = {
	.type = VIRTIO_NET,
	.pci_class = 0x02,
	.nqueues = 2,
	.notify = net_notify,
	.reset = net_reset,
	.destroy = net_destroy,
};

struct virtio_net *virtio_net_create(struct machine_bus *bus, const u8 mac[NET_MAC_BYTES],
				     const struct net_peer *peer, int *err)
{
	struct virtio_net *n = calloc(1, sizeof(*n));

	if (!n) {
		peer->destroy(peer->arg);
		*err = -ENOMEM;
		return NULL;
	}
	n->peer = *peer;
	timer_init(&n->deliver, deliver, n);
	virtio_init(&n->v, &net_ops, "virtio-net", BIT(F_MAC) | BIT(F_STATUS));
	nm_copy(n->v.config, mac, NET_MAC_BYTES);
	n->v.config[CFG_STATUS] = LINK_UP;
	n->v.config_bytes = CFG_BYTES;
	*err = virtio_add(&n->v, bus);
	return *err ? NULL : n;
}
