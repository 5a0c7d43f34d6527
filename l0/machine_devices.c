/* machine_devices.c - the devices of a machine by its description, see machine.h */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "l0/arch/ports.h"
#include "l0/cmd/exit_codes.h"
#include "l0/dev/board.h"
#include "l0/dev/chardev.h"
#include "l0/dev/deadline_port.h"
#include "l0/dev/debugexit.h"
#include "l0/dev/e9.h"
#include "l0/dev/ioapic.h"
#include "l0/dev/lapic.h"
#include "l0/dev/pic8259.h"
#include "l0/dev/pit8254.h"
#include "l0/dev/rtc.h"
#include "l0/dev/uart16550.h"
#include "l0/dev/usernet.h"
#include "l0/dev/virtio_blk.h"
#include "l0/dev/virtio_console.h"
#include "l0/dev/virtio_rng.h"
#include "l0/host.h"

/* The first three bytes are those that other monitors use, locally administered. */
#define MAC_ADDRESS(vm) {0x52, 0x54, 0x00, 0x12, 0x34, (u8)(0x56 + (vm))}

static int usage_error(const struct machine *m, const char *option, const char *text, int *status)
{
	fprintf(stderr, "nestor: %s: --%s: %s\n", m->desc->name, option, text);
	*status = EXIT_CODE_USAGE;
	return -EINVAL;
}

static int create_disk(struct machine *m, const struct machine_disk *d, int *status)
{
	char err[DISK_ERR_BYTES], name[32];
	struct disk *disk = disk_open(d->path, d->read_only, err);
	const char *slash = strrchr(d->path, '/');

	if (!disk)
		return usage_error(m, "disk", err, status);
	snprintf(name, sizeof(name), "disk %s", slash ? slash + 1 : d->path);
	return virtio_blk_create(&m->bus, disk, name, d->serial);
}

static int create_net(struct machine *m, int *status)
{
	const struct machine_net *d = &m->desc->net;
	struct usernet_forward forward[MACHINE_MAX_FORWARDS];
	const u8 mac[NET_MAC_BYTES] = MAC_ADDRESS(m->id);
	char text[USERNET_ERR_BYTES];
	struct net_peer peer;
	int err;

	for (unsigned i = 0; i < d->nforwards; i++)
		forward[i] = (struct usernet_forward){d->forward[i].udp, d->forward[i].host_port,
						      d->forward[i].guest_port};
	struct usernet *net = usernet_create(forward, d->nforwards, text);

	if (!net)
		return usage_error(m, "net", text, status);
	usernet_peer(net, &peer);
	m->bus.locked = true; /* the network's thread */
	struct virtio_net *card = virtio_net_create(&m->bus, mac, &peer, &err);

	return card ? usernet_start(net, card) : err;
}

static int create_console(struct machine *m, int *status)
{
	const char *path = m->desc->console;
	int err = 0;

	m->console_is_terminal = !strcmp(path, "-");
	m->console_out = m->console_is_terminal ? chardev_open_fd(STDOUT_FILENO, false, true)
						: chardev_open_file(path, &err);
	if (err) {
		char text[512];

		snprintf(text, sizeof(text), "%s: %s", path, strerror(-err));
		return usage_error(m, "console", text, status);
	}
	if (!m->console_out)
		return -ENOMEM;
	m->console = virtio_console_create(&m->bus, m->console_out, &err);
	return err;
}

/* What the user chose, on the PCI bus in this order. */
static int create_virtio(struct machine *m, int *status)
{
	int err = 0;

	for (unsigned i = 0; i < m->desc->ndisks && !err; i++)
		err = create_disk(m, &m->desc->disk[i], status);
	if (!err && m->desc->net.user)
		err = create_net(m, status);
	if (!err && m->desc->console)
		err = create_console(m, status);
	if (!err && m->desc->rng)
		err = virtio_rng_create(&m->bus, m->host->opts->seed);
	return err;
}

static int create_interrupt_controllers(struct machine *m)
{
	int err;

	if (!pic_create(&m->bus, &err) || !pit_create(&m->bus, &err))
		return err;
	for (u32 i = 0; i < m->nvcpus; i++)
		if (!lapic_create(&m->bus, i, &err))
			return err;
	return ioapic_create(&m->bus, &err) ? 0 : err;
}

int machine_create_devices(struct machine *m, const struct machine_bus_ops *ops, int *status)
{
	u64 epoch = m->host->clock.kind == CLOCK_KIND_HOST ? (u64)time(NULL) : RTC_EPOCH_VIRTUAL;
	int err = bus_init(&m->bus, ops, m, m->mem, &m->host->clock, m->nvcpus);

	if (err)
		return err;
	m->bus.maxphyaddr = m->profile.features.maxphyaddr;
	err = create_interrupt_controllers(m);
	if (err)
		return err;
	m->uart = uart_create(&m->bus, PORT_COM1, GSI_COM1, m->serial, &err);
	if (!m->uart)
		return err;
	if ((err = debugexit_create(&m->bus)) || (err = e9_create(&m->bus, m->debugcon)) ||
	    (err = deadline_port_create(&m->bus)) || (err = board_create(&m->bus, epoch)))
		return err;
	return create_virtio(m, status);
}

size_t machine_input(struct machine *m, const void *bytes, size_t n)
{
	return m->console_is_terminal ? virtio_console_input(m->console, bytes, n)
				      : uart_input(m->uart, bytes, n);
}
