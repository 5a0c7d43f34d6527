/* usernet_cold.c - libslirp's thread, see usernet.h; never on a worker while a guest runs */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "l0/dev/usernet_priv.h"

/* 10.0.2.0/24, as users of other monitors know it. */
#define NET_PREFIX 0x0a000200u
#define HOST_ADDRESS 2u
#define NAME_SERVER_ADDRESS 3u
#define GUEST_ADDRESS 15u

#define POLL_MAX_MS 1000u
#define MS_NEVER (-1)

/* ---- what libslirp asks for ------------------------------------------------------------------ */

static s64 now_ns(void *opaque)
{
	struct timespec t;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (s64)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static ssize_t to_guest(const void *frame, size_t bytes, void *opaque)
{
	struct usernet *u = opaque;

	if (bytes <= NET_MAX_FRAME)
		virtio_net_receive(u->card, frame, (u32)bytes);
	return (ssize_t)bytes;
}

/* What a guest sends wrongly is its own business; libslirp drops it. */
static void guest_error(const char *text, void *opaque)
{
	(void)text;
	(void)opaque;
}

static void *timer_new(SlirpTimerCb fn, void *arg, void *opaque)
{
	struct usernet *u = opaque;
	struct usernet_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct usernet_timer){.next = u->timers, .fn = fn, .arg = arg, .expire_ms = MS_NEVER};
	u->timers = t;
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct usernet *u = opaque;
	struct usernet_timer **at = &u->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = (*at)->next;
	free(timer);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	(void)opaque;
	if (timer)
		((struct usernet_timer *)timer)->expire_ms = expire_ms;
}

static void ignore_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void notify(void *opaque)
{
	usernet_wake(opaque);
}

static const SlirpCb callbacks = {
	.send_packet = to_guest,
	.guest_error = guest_error,
	.clock_get_ns = now_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = ignore_fd,
	.unregister_poll_fd = ignore_fd,
	.notify = notify,
};

/* ---- the loop -------------------------------------------------------------------------------- */

static const struct {
	int slirp;
	short poll;
} event_map[] = {
	{SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
	{SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static int add_poll(int fd, int events, void *opaque)
{
	struct usernet *u = opaque;
	short wanted = 0;

	if (u->nfds == u->room) {
		struct pollfd *more = realloc(u->fds, sizeof(*more) * u->room * 2);

		if (!more)
			return -1;
		u->fds = more;
		u->room *= 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(event_map); i++)
		if (events & event_map[i].slirp)
			wanted |= event_map[i].poll;
	u->fds[u->nfds] = (struct pollfd){.fd = fd, .events = wanted};
	return (int)u->nfds++;
}

static int get_revents(int i, void *opaque)
{
	struct usernet *u = opaque;
	int events = 0;

	if (i < 0)
		return 0;
	for (size_t k = 0; k < ARRAY_SIZE(event_map); k++)
		if (u->fds[i].revents & event_map[k].poll)
			events |= event_map[k].slirp;
	return events;
}

/* Fire what is due. Return: milliseconds to the next timer, at most @limit. */
static u32 run_timers(struct usernet *u, u32 limit)
{
	s64 now = now_ns(NULL) / (s64)NS_PER_MS;

	for (struct usernet_timer *t = u->timers, *next; t; t = next) {
		next = t->next;
		if (t->expire_ms == MS_NEVER)
			continue;
		if (t->expire_ms > now) {
			limit = (u32)MIN((s64)limit, t->expire_ms - now);
			continue;
		}
		t->expire_ms = MS_NEVER;
		t->fn(t->arg);
	}
	return limit;
}

static bool take_frames(struct usernet *u)
{
	struct usernet_frame f;
	bool stop;

	while (usernet_take(u, &f, &stop))
		slirp_input(u->slirp, f.data, (int)f.bytes);
	return !stop;
}

static void *serve(void *arg)
{
	struct usernet *u = arg;
	u64 count;

	while (take_frames(u)) {
		u32 timeout = run_timers(u, POLL_MAX_MS);

		u->nfds = 1;
		u->fds[0] = (struct pollfd){.fd = u->event, .events = POLLIN};
		slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
		int n = poll(u->fds, u->nfds, (int)timeout);

		if (n > 0 && (u->fds[0].revents & POLLIN) &&
		    read(u->event, &count, sizeof(count)) < 0)
			continue;
		slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
	}
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void usernet_destroy(void *arg)
{
	struct usernet *u = arg;

	if (u->running) {
		pthread_mutex_lock(&u->lock);
		u->stop = true;
		pthread_mutex_unlock(&u->lock);
		usernet_wake(u);
		pthread_join(u->thread, NULL);
	}
	if (u->slirp)
		slirp_cleanup(u->slirp);
	while (u->timers)
		timer_free(u->timers, u);
	if (u->event >= 0)
		close(u->event);
	pthread_mutex_destroy(&u->lock);
	free(u->fds);
	free(u);
}

static struct in_addr address(u32 host)
{
	return (struct in_addr){htonl(NET_PREFIX | host)};
}

static bool start_slirp(struct usernet *u, const struct usernet_forward *forward, u32 n, char *err)
{
	const SlirpConfig cfg = {
		.version = 1,
		.in_enabled = true,
		.vnetwork = address(0),
		.vnetmask = {htonl(0xffffff00)},
		.vhost = address(HOST_ADDRESS),
		.vdhcp_start = address(GUEST_ADDRESS),
		.vnameserver = address(NAME_SERVER_ADDRESS),
	};
	const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};

	u->slirp = slirp_new(&cfg, &callbacks, u);
	for (u32 i = 0; u->slirp && i < n; i++) {
		if (!slirp_add_hostfwd(u->slirp, forward[i].udp, loopback, forward[i].host_port,
				       address(GUEST_ADDRESS), forward[i].guest_port))
			continue;
		snprintf(err, USERNET_ERR_BYTES, "cannot listen on %s port %u of 127.0.0.1: %s",
			 forward[i].udp ? "UDP" : "TCP", forward[i].host_port, strerror(errno));
		return false;
	}
	if (!u->slirp)
		snprintf(err, USERNET_ERR_BYTES, "libslirp does not start");
	return u->slirp;
}

struct usernet *usernet_create(const struct usernet_forward *forward, u32 n, char *err)
{
	struct usernet *u = calloc(1, sizeof(*u));

	if (!u) {
		snprintf(err, USERNET_ERR_BYTES, "out of host memory");
		return NULL;
	}
	pthread_mutex_init(&u->lock, NULL);
	u->room = 16;
	u->fds = calloc(u->room, sizeof(*u->fds));
	u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!u->fds || u->event < 0)
		snprintf(err, USERNET_ERR_BYTES, "out of host memory or descriptors");
	else if (start_slirp(u, forward, n, err))
		return u;
	usernet_destroy(u);
	return NULL;
}

void usernet_peer(struct usernet *u, struct net_peer *peer)
{
	*peer = (struct net_peer){.send = usernet_send, .destroy = usernet_destroy, .arg = u};
}

int usernet_start(struct usernet *u, struct virtio_net *card)
{
	sigset_t all, old;

	u->card = card;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the program's own threads */
	int err = pthread_create(&u->thread, NULL, serve, u);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	u->running = !err;
	return -err;
}
