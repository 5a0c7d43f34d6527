/*
 * virtio_blk.h - a disk on virtio: read, write, flush, discard, write zeroes, identity
 *
 * Requests are served in order by a timer VIRTIO_BLK_LATENCY_NS after the driver's notification, in
 * machine time, all that wait then in one go; so their completion is exact under the virtual clock.
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.2 "Block Device".
 */
#ifndef L0_DEV_VIRTIO_BLK_H
#define L0_DEV_VIRTIO_BLK_H

#include "l0/dev/bus.h"
#include "l0/dev/disk.h"

#define VIRTIO_BLK_LATENCY_NS 20000u
#define VIRTIO_BLK_SERIAL_BYTES 20u

/**
 * virtio_blk_create - a disk device on @disk, which it closes in the end (also when this fails)
 * @serial: what the guest reads as its identity, up to 20 bytes; NULL: none
 * Return: 0, -ENOSPC: no PCI slot is free, -ENOMEM.
 */
int virtio_blk_create(struct machine_bus *bus, struct disk *disk, const char *name,
		      const char *serial) __must_check;

#endif
