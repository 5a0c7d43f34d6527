/*
 * virtio.h - a virtio 1.x device on the PCI bus: what the transport and each kind of device share
 *
 * A device embeds struct virtio, fills in @ops, features and configuration, and calls virtio_add().
 * The transport (virtio_pci.c) answers the PCI function: common configuration, notification, ISR,
 * device configuration, MSI-X or pin. Modern interface only. A driver that breaks a ring gets
 * DEVICE_NEEDS_RESET and one line in the log of the run; nothing more happens on that device until
 * it is reset. Everything is called with the bus lock held.
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 4.1 "Virtio Over PCI Bus".
 */
#ifndef L0_DEV_VIRTIO_H
#define L0_DEV_VIRTIO_H

#include "l0/dev/msix.h"
#include "l0/dev/virtqueue.h"

#define VIRTIO_MAX_QUEUES 4u
#define VIRTIO_CONFIG_BYTES 64u

/* Device types. */
#define VIRTIO_NET 1u
#define VIRTIO_BLK 2u
#define VIRTIO_CONSOLE 3u
#define VIRTIO_RNG 4u

#define VIRTIO_F_INDIRECT 28u
#define VIRTIO_F_EVENT_IDX 29u
#define VIRTIO_F_VERSION_1 32u

#define VIRTIO_STATUS_DRIVER_OK 0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u

struct virtio;

struct virtio_ops {
	u8 type; /* VIRTIO_NET … */
	u8 pci_class, pci_subclass;
	u8 nqueues;
	/* The driver says that queue @q has something. */
	void (*notify)(struct virtio *v, u32 q);
	/* The driver wrote the device's configuration; NULL: it is read-only. */
	void (*config_written)(struct virtio *v);
	/* Back to power-up: forget requests in flight. May be NULL. */
	void (*reset)(struct virtio *v);
	void (*destroy)(struct virtio *v); /* free what virtio_init() is embedded in */
};

struct virtio {
	struct device dev;
	struct pci_function pci;
	struct msix msix;
	const struct virtio_ops *ops;
	char name[32];		/* of messages: "virtio-blk disk.img" */
	u64 features, accepted; /* offered; taken by the driver */
	u8 config[VIRTIO_CONFIG_BYTES];
	u32 config_bytes;
	struct virtq queue[VIRTIO_MAX_QUEUES];
	/* the transport's own */
	u32 feature_select, driver_feature_select, queue_select;
	u16 config_vector;
	u8 status, isr, generation;
	struct virtq_chain chain; /* room for virtio_pop() */
};

/* Prepare @v: @ops, name and features without VERSION_1, INDIRECT, EVENT_IDX, which are added. */
void virtio_init(struct virtio *v, const struct virtio_ops *ops, const char *name, u64 features);

/**
 * virtio_add - put the device on the bus; from then on the bus owns it
 * Return: 0, -ENOSPC: no slot is free, -ENOMEM.
 */
int virtio_add(struct virtio *v, struct machine_bus *bus) __must_check;

static inline bool virtio_has(const struct virtio *v, u32 feature)
{
	return v->accepted >> feature & 1;
}

/* Is the driver at work? */
static inline bool virtio_is_running(const struct virtio *v)
{
	return (v->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
	       VIRTIO_STATUS_DRIVER_OK;
}

/* The next request of queue @q, valid until the next call; NULL: none, or the queue is broken. */
struct virtq_chain *virtio_pop(struct virtio *v, u32 q);

/* Give a request back; virtio_interrupt() once for all that were given back in a go. */
void virtio_push(struct virtio *v, u32 q, const struct virtq_chain *c, u32 written);
void virtio_interrupt(struct virtio *v, u32 q, u64 due_ns);

/* The device's configuration changed. */
void virtio_config_changed(struct virtio *v, u64 due_ns);

/* The driver broke a rule: say so once, stop until reset. */
void virtio_fail(struct virtio *v, const char *why);

#endif
