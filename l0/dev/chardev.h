/*
 * chardev.h - where a device's characters go: a descriptor, a file, or memory
 *
 * Output is appended to a buffer and written out when the worker idles, at the end, at a line's end
 * (or at once when unbuffered), or when the buffer is full; only a full buffer whose descriptor
 * takes nothing more makes the caller wait, and who ends the run need not wait for that
 * (chardev_hurry()). Only write(2) and poll(2) are called on the way, no
 * stdio, so a guest's live vector registers are safe. A descriptor that fails (closed pipe, full
 * disk) is reported once; what follows for it is dropped. Several machines may share one: any
 * thread may call, but for close.
 */
#ifndef L0_DEV_CHARDEV_H
#define L0_DEV_CHARDEV_H

#include "l0/base/types.h"

struct chardev;

/**
 * chardev_open_fd - characters to a descriptor
 * @fd: borrowed, or owned (closed by chardev_close()) when @own
 * @unbuffered: write every character at once, for a terminal
 * Return: the chardev; NULL when out of memory.
 */
struct chardev *chardev_open_fd(int fd, bool own, bool unbuffered) __must_check;

/* Characters to a new file at @path. Return: the chardev; NULL with *@err = -errno. */
struct chardev *chardev_open_file(const char *path, int *err) __must_check;

/* Characters kept in memory: the first @limit bytes; more are dropped. */
struct chardev *chardev_open_buffer(size_t limit) __must_check;

/* Once *@hurry is true, what a descriptor does not take within a second is dropped, as is what
 * follows. @hurry lives as long as @c, which may be NULL. Before the first write. */
void chardev_hurry(struct chardev *c, const _Atomic bool *hurry);

/* Flush and free; NULL is fine. */
void chardev_close(struct chardev *c);

/* Append @n bytes; @c may be NULL (nowhere). */
void chardev_write(struct chardev *c, const void *bytes, size_t n);

/* Write out what is buffered as far as the descriptor takes it now; never waits. */
void chardev_flush(struct chardev *c);

/* Write out everything, waiting for the descriptor; at the end of a machine. */
void chardev_drain(struct chardev *c);

/* A memory chardev's contents, valid until the next write. */
const char *chardev_contents(const struct chardev *c, size_t *n);

#endif
