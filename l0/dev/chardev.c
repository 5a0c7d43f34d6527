/* chardev.c - see chardev.h */
#include "l0/dev/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "l0/base/log.h"
#include "l0/base/mem_ops.h"

#define CHARDEV_BUFFER_BYTES (256 * KIB)
/* A pipe that poll() calls writable takes at least this much without blocking. */
#define CHARDEV_CHUNK_BYTES 4096u
#define WAIT_MS 100
#define STALLED_WAITS 10u /* in a row, of who is in a hurry */

struct chardev {
	pthread_mutex_t lock;
	int fd; /* -1: memory */
	bool own_fd, unbuffered, failed;
	const _Atomic bool *hurry; /* NULL: never */
	size_t used, capacity;
	char *buf;
};

static struct chardev *chardev_alloc(int fd, size_t capacity)
{
	struct chardev *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->buf = malloc(capacity ? capacity : 1);
	if (!c->buf) {
		free(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->fd = fd;
	c->capacity = capacity;
	return c;
}

struct chardev *chardev_open_fd(int fd, bool own, bool unbuffered)
{
	struct chardev *c = chardev_alloc(fd, CHARDEV_BUFFER_BYTES);

	if (c) {
		c->own_fd = own;
		c->unbuffered = unbuffered;
	}
	return c;
}

struct chardev *chardev_open_file(const char *path, int *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0) {
		*err = -errno;
		return NULL;
	}
	struct chardev *c = chardev_open_fd(fd, true, false);

	if (!c) {
		close(fd);
		*err = -ENOMEM;
	}
	return c;
}

struct chardev *chardev_open_buffer(size_t limit)
{
	return chardev_alloc(-1, limit);
}

void chardev_close(struct chardev *c)
{
	if (!c)
		return;
	chardev_drain(c);
	if (c->own_fd)
		close(c->fd);
	pthread_mutex_destroy(&c->lock);
	free(c->buf);
	free(c);
}

void chardev_hurry(struct chardev *c, const _Atomic bool *hurry)
{
	if (c)
		c->hurry = hurry;
}

/* Return: the descriptor takes something; false with !@wait, or when it was waited for in vain. */
static bool is_writable(struct chardev *c, bool wait)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	for (u32 stalled = 0; stalled < STALLED_WAITS; stalled += c->hurry && *c->hurry) {
		if (poll(&p, 1, wait ? WAIT_MS : 0) > 0)
			return true;
		if (!wait)
			return false;
	}
	c->failed = true;
	return false;
}

/* Write out up to everything; with @wait until the descriptor took it all. */
static void write_out(struct chardev *c, bool wait)
{
	size_t done = 0;

	while (done < c->used && !c->failed && is_writable(c, wait)) {
		size_t n = MIN(c->used - done, (size_t)CHARDEV_CHUNK_BYTES);
		ssize_t ret = write(c->fd, c->buf + done, n);

		if (ret >= 0) {
			done += (size_t)ret;
		} else if (errno != EINTR && errno != EAGAIN) {
			log_warn(LOG_DEV,
				 "cannot write console output (error %d); the rest is dropped",
				 errno);
			c->failed = true;
		} else if (!wait) {
			break;
		}
	}
	if (c->failed)
		done = c->used;
	nm_move(c->buf, c->buf + done, c->used - done);
	c->used -= done;
}

static void append(struct chardev *c, const char *p, size_t n)
{
	bool line_ends = false;

	while (n) {
		if (c->used == c->capacity) {
			if (c->fd < 0)
				return;
			write_out(c, true);
		}
		size_t part = MIN(n, c->capacity - c->used);

		nm_copy(c->buf + c->used, p, part);
		for (size_t i = 0; i < part; i++)
			line_ends |= p[i] == '\n';
		c->used += part;
		p += part;
		n -= part;
	}
	if (c->fd >= 0 && (c->unbuffered || line_ends))
		write_out(c, false);
}

void chardev_write(struct chardev *c, const void *bytes, size_t n)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	append(c, bytes, n);
	pthread_mutex_unlock(&c->lock);
}

static void flush(struct chardev *c, bool wait)
{
	if (!c || c->fd < 0)
		return;
	pthread_mutex_lock(&c->lock);
	write_out(c, wait);
	pthread_mutex_unlock(&c->lock);
}

void chardev_flush(struct chardev *c)
{
	flush(c, false);
}

void chardev_drain(struct chardev *c)
{
	flush(c, true);
}

const char *chardev_contents(const struct chardev *c, size_t *n)
{
	*n = c->used;
	return c->buf;
}
