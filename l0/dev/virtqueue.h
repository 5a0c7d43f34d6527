/*
 * virtqueue.h - a virtio split ring, seen from the device
 *
 * Rings live in guest RAM and may hold anything: every address is checked against the machine's
 * RAM, every descriptor is read once, a chain ends after VIRTQ_MAX_BUFS buffers. What breaks the
 * rules makes virtq_pop() fail for good; the device then asks for a reset. Bus lock held; no
 * allocation.
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, sections 2.6 and 4.1.
 */
#ifndef L0_DEV_VIRTQUEUE_H
#define L0_DEV_VIRTQUEUE_H

#include "l0/mem/mem.h"

#define VIRTQ_MAX_SIZE 256u
#define VIRTQ_MAX_BUFS 256u

struct virtq {
	/* set by the driver before @ready */
	u16 size;
	u64 desc, avail, used;
	bool ready;
	u16 vector; /* MSI-X */
	/* the device's own */
	bool event_idx;
	bool broken;
	u16 next_avail, next_used;
	u16 signalled; /* next_used when the driver was last looked at for an interrupt */
};

struct virtq_buf {
	u64 gpa;
	u32 len;
};

/* What one request is made of: @nread buffers from the driver, then @nwrite for the device. */
struct virtq_chain {
	u16 head;
	u32 nread, nwrite;
	u64 read_bytes, write_bytes;
	struct virtq_buf buf[VIRTQ_MAX_BUFS];
};

/* Unset, size VIRTQ_MAX_SIZE. */
void virtq_reset(struct virtq *q);

/* Are size and addresses what a driver may set? @why gets the reason when not. */
bool virtq_usable(const struct virtq *q, const struct mem *m, const char **why);

/**
 * virtq_pop - take the next request
 * Return: 1: *@c is it; 0: there is none (and the driver has been asked to notify); -EPROTO: the
 * ring is broken, *@why says how.
 */
int virtq_pop(struct virtq *q, struct mem *m, struct virtq_chain *c, const char **why) __must_check;

/* Give back chain @head of which @written bytes were written. */
void virtq_push(struct virtq *q, struct mem *m, u16 head, u32 written);

/* Does the driver want an interrupt for what was pushed since this was last asked? */
bool virtq_wants_interrupt(struct virtq *q, struct mem *m);

/*
 * Copy from the readable, to the writable part of a chain from byte @from of it.
 * Return: bytes copied; less than @n where the part ends or leaves RAM.
 */
u64 virtq_read(const struct virtq_chain *c, const struct mem *m, u64 from, void *to, u64 n);
u64 virtq_write(const struct virtq_chain *c, struct mem *m, u64 at, const void *bytes, u64 n);

#endif
