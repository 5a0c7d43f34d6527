/* usernet.c - frames from the guest to libslirp's thread, see usernet.h */
#include "l0/dev/usernet_priv.h"

#include <unistd.h>

#include "l0/base/mem_ops.h"

void usernet_wake(struct usernet *u)
{
	const u64 one = 1;

	/* fails only when the counter is full, and then the thread wakes anyway */
	if (write(u->event, &one, sizeof(one)) < 0)
		return;
}

void usernet_send(void *arg, const void *frame, u32 bytes)
{
	struct usernet *u = arg;
	bool was_empty = false;

	if (bytes > NET_MAX_FRAME)
		return;
	pthread_mutex_lock(&u->lock);
	if (u->waiting < USERNET_WAITING_MAX) { /* otherwise it is lost, as in a switch */
		struct usernet_frame *f = &u->frame[(u->first + u->waiting) % USERNET_WAITING_MAX];

		was_empty = !u->waiting++;
		f->bytes = bytes;
		nm_copy(f->data, frame, bytes);
	}
	pthread_mutex_unlock(&u->lock);
	if (was_empty)
		usernet_wake(u);
}

bool usernet_take(struct usernet *u, struct usernet_frame *f, bool *stop)
{
	bool got = false;

	pthread_mutex_lock(&u->lock);
	*stop = u->stop;
	if (u->waiting) {
		const struct usernet_frame *from = &u->frame[u->first];

		f->bytes = from->bytes;
		nm_copy(f->data, from->data, from->bytes);
		u->first = (u->first + 1) % USERNET_WAITING_MAX;
		u->waiting--;
		got = true;
	}
	pthread_mutex_unlock(&u->lock);
	return got;
}
