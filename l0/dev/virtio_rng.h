/*
 * virtio_rng.h - a source of random bytes on virtio
 *
 * Under the host's clock the bytes are the host kernel's; under the virtual clock a generator
 * started from the run's seed makes them, so that two runs get the same. Not for keys in that case.
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.4 "Entropy Device".
 */
#ifndef L0_DEV_VIRTIO_RNG_H
#define L0_DEV_VIRTIO_RNG_H

#include "l0/dev/bus.h"

/* @seed: of the generator, under the virtual clock. Return: 0, -ENOSPC, -ENOMEM. */
int virtio_rng_create(struct machine_bus *bus, u64 seed) __must_check;

#endif
