/*
 * usernet_priv.h - shared by usernet.c and usernet_cold.c alone
 */
#ifndef L0_DEV_USERNET_PRIV_H
#define L0_DEV_USERNET_PRIV_H

#include <poll.h>
#include <pthread.h>
#include <slirp/libslirp.h>

#include "l0/dev/usernet.h"

#define USERNET_WAITING_MAX 256u

struct usernet_frame {
	u32 bytes;
	u8 data[NET_MAX_FRAME];
};

struct usernet_timer {
	struct usernet_timer *next;
	SlirpTimerCb fn;
	void *arg;
	s64 expire_ms; /* -1: not armed */
};

struct usernet {
	Slirp *slirp;
	struct virtio_net *card;
	int event; /* eventfd: a frame was added, or stop */
	bool running;
	pthread_t thread;
	/* frames from the guest */
	pthread_mutex_t lock;
	bool stop;
	u32 first, waiting;
	struct usernet_frame frame[USERNET_WAITING_MAX];
	/* the thread's own */
	struct usernet_timer *timers;
	struct pollfd *fds;
	u32 nfds, room;
};

/* From the guest, bus lock held, guest vector state live. */
void usernet_send(void *arg, const void *frame, u32 bytes);

/* The frame that waits longest, into @f. Return: was there one? *@stop: the end. */
bool usernet_take(struct usernet *u, struct usernet_frame *f, bool *stop);

void usernet_wake(struct usernet *u);

#endif
