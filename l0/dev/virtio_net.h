/*
 * virtio_net.h - a network card on virtio, one pair of queues, no offloads
 *
 * Frames that the guest sends go to the network's send() at once; frames for the guest come by
 * virtio_net_receive() from any thread, wait in a buffer, and enter the guest by a timer, so that a
 * worker raises the interrupt. What finds the buffer full is lost and counted, as on a real card.
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.1 "Network Device".
 */
#ifndef L0_DEV_VIRTIO_NET_H
#define L0_DEV_VIRTIO_NET_H

#include "l0/dev/bus.h"

#define NET_MAX_FRAME 1514u
#define NET_MAC_BYTES 6u

struct virtio_net;

/* The other end of the cable. */
struct net_peer {
	/* A frame from the guest; never blocks. Bus lock held. */
	void (*send)(void *arg, const void *frame, u32 bytes);
	void (*destroy)(void *arg); /* with the card: no virtio_net_receive() after it returns */
	void *arg;
};

/**
 * virtio_net_create - a card connected to @peer, which it destroys in the end (also when this
 * fails)
 * Return: the card, owned by @bus; NULL with *@err = -ENOSPC, -ENOMEM.
 */
struct virtio_net *virtio_net_create(struct machine_bus *bus, const u8 mac[NET_MAC_BYTES],
				     const struct net_peer *peer, int *err) __must_check;

/* A frame for the guest. Any thread that does not hold the bus lock. */
void virtio_net_receive(struct virtio_net *n, const void *frame, u32 bytes);

#endif
