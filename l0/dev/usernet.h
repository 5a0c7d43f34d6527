/*
 * usernet.h - user-mode networking by libslirp: the guest behind a NAT of this process
 *
 * The guest gets 10.0.2.15 by DHCP, the gateway 10.0.2.2 is the host (its loopback too), the name
 * server 10.0.2.3 the host's. A thread of its own serves libslirp's sockets; frames from the guest
 * reach it through a buffer (usernet.c, general registers only), frames for the guest go to
 * virtio_net_receive(). libslirp itself is only called on that thread (usernet_cold.c).
 */
#ifndef L0_DEV_USERNET_H
#define L0_DEV_USERNET_H

#include "l0/dev/virtio_net.h"

#define USERNET_MAX_FORWARDS 16u
#define USERNET_ERR_BYTES 256

/* A port of the host's loopback that leads to one of the guest. */
struct usernet_forward {
	bool udp;
	u16 host_port, guest_port;
};

struct usernet;

/**
 * usernet_create - a network, not running yet; usernet_peer() is the guest's end, which destroys it
 * @err: USERNET_ERR_BYTES; one line when NULL is returned: a port that is taken, no memory
 */
struct usernet *usernet_create(const struct usernet_forward *forward, u32 n,
			       char *err) __must_check;
void usernet_peer(struct usernet *u, struct net_peer *peer);

/* Serve @card from now on. Return: 0 or -errno. */
int usernet_start(struct usernet *u, struct virtio_net *card) __must_check;

#endif
