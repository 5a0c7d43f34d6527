/* virtio_test.c - each virtio device driven through PCI and its rings, broken rings, garbage */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/dev/pci.h"
#include "l0/dev/virtio.h"
#include "l0/dev/virtio_blk.h"
#include "l0/dev/virtio_console.h"
#include "l0/dev/virtio_net.h"
#include "l0/dev/virtio_rng.h"
#include "tests/unit/bus_fixture.h"

#define BAR0 0xc0000000ull
#define BAR1 0xc0010000ull
#define COMMON BAR0
#define ISR (BAR0 + 0x1000)
#define DEVICE (BAR0 + 0x2000)
#define NOTIFY (BAR0 + 0x3000)

/* Guest memory: a page for each ring, then buffers. MSI-X messages are written to MESSAGES. */
#define RING(q) (0x10000ull + (q)*0x4000ull)
#define DESC(q) RING(q)
#define AVAIL(q) (RING(q) + 0x1000)
#define USED(q) (RING(q) + 0x2000)
#define MESSAGES 0x8000ull
#define BUFFER 0x100000ull
#define QSIZE 8u

#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4

struct x {
	struct bus_fixture f;
	char path[64];
	u16 avail[VIRTIO_MAX_QUEUES];
	u32 slot;
	/* network */
	struct virtio_net *card;
	u8 sent[NET_MAX_FRAME];
	u32 sent_bytes, frames;
	u32 reports;
};

static u64 rd(struct x *x, u64 at, unsigned int size)
{
	return mem_mmio_read(x->f.bus.mem, at, size);
}

static void wr(struct x *x, u64 at, u64 value, unsigned int size)
{
	mem_mmio_write(x->f.bus.mem, at, value, size);
}

static u32 config(struct x *x, u32 off, unsigned int size)
{
	mem_port_write(x->f.bus.mem, 0xcf8, 0x80000000u | x->slot << 11 | (off & 0xfc), 4);
	return mem_port_read(x->f.bus.mem, (u16)(0xcfc + (off & 3)), size);
}

static void set_config(struct x *x, u32 off, u32 value, unsigned int size)
{
	mem_port_write(x->f.bus.mem, 0xcf8, 0x80000000u | x->slot << 11 | (off & 0xfc), 4);
	mem_port_write(x->f.bus.mem, (u16)(0xcfc + (off & 3)), value, size);
}

static u64 ram(struct x *x, u64 at, unsigned int size)
{
	u64 value = 0;

	assert_int_equal(mem_read(x->f.bus.mem, at, &value, size), 0);
	return value;
}

static void put(struct x *x, u64 at, u64 value, unsigned int size)
{
	assert_int_equal(mem_write(x->f.bus.mem, at, &value, size), 0);
}

/* ---- a driver -------------------------------------------------------------------------------- */

static void map_bars(struct x *x)
{
	x->slot = 1;
	set_config(x, PCI_BAR0, (u32)BAR0, 4);
	set_config(x, PCI_BAR0 + 4, (u32)BAR1, 4);
	set_config(x, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/* Vector v writes 0x1000 + v to MESSAGES + 4 v. */
static void enable_msix(struct x *x)
{
	u32 cap = config(x, PCI_CAPABILITIES, 1);

	while (config(x, cap, 1) != 0x11)
		cap = config(x, cap + 1, 1);
	for (u32 v = 0; v < 3; v++) {
		wr(x, BAR1 + 16 * v, MESSAGES + 4 * v, 8);
		wr(x, BAR1 + 16 * v + 8, 0x1000 + v, 8);
	}
	set_config(x, cap + 2, 0x8000, 2);
}

static void start_queue(struct x *x, u32 q, bool msix)
{
	wr(x, COMMON + 22, q, 2);
	wr(x, COMMON + 24, QSIZE, 2);
	wr(x, COMMON + 32, DESC(q), 8);
	wr(x, COMMON + 40, AVAIL(q), 8);
	wr(x, COMMON + 48, USED(q), 8);
	wr(x, COMMON + 26, msix ? q + 1 : 0xffff, 2);
	wr(x, COMMON + 28, 1, 2);
	put(x, AVAIL(q), 0, 4);
	put(x, USED(q), 0, 4);
	x->avail[q] = 0;
}

static void start(struct x *x, u64 features, u32 queues, bool msix)
{
	wr(x, COMMON + 20, 0, 1);
	wr(x, COMMON + 20, 3, 1);
	for (u32 half = 0; half < 2; half++) {
		wr(x, COMMON + 8, half, 4);
		wr(x, COMMON + 12, (u32)((features | 1ull << 32) >> 32 * half), 4);
	}
	wr(x, COMMON + 20, 0xb, 1);
	assert_int_equal(rd(x, COMMON + 20, 1), 0xb);
	for (u32 q = 0; q < queues; q++)
		start_queue(x, q, msix);
	wr(x, COMMON + 20, 0xf, 1);
}

static void desc(struct x *x, u32 q, u32 i, u64 gpa, u32 len, u16 flags, u16 next)
{
	put(x, DESC(q) + 16 * i, gpa, 8);
	put(x, DESC(q) + 16 * i + 8, len, 4);
	put(x, DESC(q) + 16 * i + 12, flags | (u32)next << 16, 4);
}

static void offer(struct x *x, u32 q, u16 head)
{
	put(x, AVAIL(q) + 4 + 2 * (x->avail[q] % QSIZE), head, 2);
	put(x, AVAIL(q) + 2, ++x->avail[q], 2);
}

static void notify(struct x *x, u32 q)
{
	wr(x, NOTIFY + 4 * q, q, 2);
	fixture_run_to(&x->f, x->f.now_ns + 1000000);
}

static u16 used(struct x *x, u32 q)
{
	return (u16)ram(x, USED(q) + 2, 2);
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct x *x = calloc(1, sizeof(*x));
	int err;

	fixture_init(&x->f, 1);
	pci_host_create(&x->f.bus, &err);
	*state = x;
	return err;
}

static int teardown(void **state)
{
	struct x *x = *state;

	fixture_fini(&x->f);
	if (x->path[0])
		unlink(x->path);
	free(x);
	return 0;
}

static void add_disk(struct x *x, u64 bytes, bool read_only)
{
	char err[DISK_ERR_BYTES];

	snprintf(x->path, sizeof(x->path), "/tmp/nestor-virtio-XXXXXX");
	int fd = mkstemp(x->path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
	struct disk *d = disk_open(x->path, read_only, err);

	assert_non_null(d);
	assert_int_equal(virtio_blk_create(&x->f.bus, d, "disk", "serial-1"), 0);
	map_bars(x);
}

static void peer_send(void *arg, const void *frame, u32 bytes)
{
	struct x *x = arg;

	memcpy(x->sent, frame, bytes);
	x->sent_bytes = bytes;
	x->frames++;
}

static void peer_destroy(void *arg)
{
}

static void add_net(struct x *x)
{
	static const u8 mac[NET_MAC_BYTES] = {2, 1, 2, 3, 4, 5};
	const struct net_peer peer = {peer_send, peer_destroy, x};
	int err;

	x->card = virtio_net_create(&x->f.bus, mac, &peer, &err);
	assert_non_null(x->card);
	map_bars(x);
}

/* ---- transport ------------------------------------------------------------------------------- */

static void test_transport(void **state)
{
	struct x *x = *state;

	assert_int_equal(virtio_rng_create(&x->f.bus, 1), 0);
	x->slot = 1;
	assert_int_equal(config(x, 0, 4), 0x10441af4);
	assert_int_equal(mem_mmio_read(x->f.bus.mem, PCI_ECAM + (1 << 15), 4), 0x10441af4);
	assert_int_equal(mem_mmio_read(x->f.bus.mem, PCI_ECAM + (2 << 15), 4), 0xffffffff);
	assert_int_equal(mem_mmio_read(x->f.bus.mem, PCI_ECAM + (1 << 15) + 0x100, 4), 0xffffffff);
	map_bars(x);
	wr(x, COMMON + 0, 1, 4);
	assert_int_equal(rd(x, COMMON + 4, 4), 1); /* VERSION_1 */
	wr(x, COMMON + 0, 2, 4);
	assert_int_equal(rd(x, COMMON + 4, 4), 0);
	assert_int_equal(rd(x, COMMON + 18, 2), 1);
	/* features that were not offered, or no VERSION_1, are not taken */
	wr(x, COMMON + 20, 3, 1);
	wr(x, COMMON + 8, 1, 4);
	wr(x, COMMON + 12, 3, 4);
	wr(x, COMMON + 20, 0xb, 1);
	assert_int_equal(rd(x, COMMON + 20, 1), 3);
	wr(x, COMMON + 12, 0, 4);
	wr(x, COMMON + 20, 0xb, 1);
	assert_int_equal(rd(x, COMMON + 20, 1), 3);
	/* the window in configuration space reaches the same registers */
	set_config(x, 0x84 + 8, 20, 4);
	set_config(x, 0x84 + 12, 1, 4);
	assert_int_equal(config(x, 0x84 + 16, 1), 3);
	set_config(x, 0x84 + 16, 0, 1);
	assert_int_equal(rd(x, COMMON + 20, 1), 0);
	/* a queue that does not exist, and one that cannot be used */
	wr(x, COMMON + 22, 9, 2);
	assert_int_equal(rd(x, COMMON + 24, 2), 0);
	start(x, 0, 0, false);
	wr(x, COMMON + 22, 0, 2);
	wr(x, COMMON + 24, 3, 2);
	wr(x, COMMON + 28, 1, 2);
	assert_true(rd(x, COMMON + 20, 1) & 0x40);
	wr(x, COMMON + 20, 0, 1);
	assert_int_equal(rd(x, COMMON + 20, 1), 0);
}

static void test_rng(void **state)
{
	struct x *x = *state;
	u64 first;

	assert_int_equal(virtio_rng_create(&x->f.bus, 1), 0);
	map_bars(x);
	start(x, 0, 1, false);
	desc(x, 0, 0, BUFFER, 64, F_WRITE, 0);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(used(x, 0), 1);
	assert_int_equal(ram(x, USED(0) + 8, 4), 64);
	first = ram(x, BUFFER, 8);
	assert_true(first != 0);
	assert_int_equal(ram(x, BUFFER + 64, 8), 0);
	/* the pin, seen in ISR, which is read once */
	assert_int_equal(rd(x, ISR, 1), 1);
	assert_int_equal(rd(x, ISR, 1), 0);
	/* the same seed gives the same bytes */
	wr(x, COMMON + 20, 0, 1);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(ram(x, BUFFER, 8), first);
}

static void test_msix(void **state)
{
	struct x *x = *state;

	assert_int_equal(virtio_rng_create(&x->f.bus, 1), 0);
	map_bars(x);
	enable_msix(x);
	start(x, 0, 1, true);
	desc(x, 0, 0, BUFFER, 64, F_WRITE, 0);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(ram(x, MESSAGES + 4, 4), 0x1001);
	assert_int_equal(rd(x, ISR, 1), 0);
	/* masked: pending until it is unmasked */
	put(x, MESSAGES + 4, 0, 4);
	wr(x, BAR1 + 16 + 12, 1, 4);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(ram(x, MESSAGES + 4, 4), 0);
	assert_int_equal(rd(x, BAR1 + MSIX_PBA_OFFSET, 8), 2);
	wr(x, BAR1 + 16 + 12, 0, 4);
	assert_int_equal(ram(x, MESSAGES + 4, 4), 0x1001);
	assert_int_equal(rd(x, BAR1 + MSIX_PBA_OFFSET, 8), 0);
	/* a driver that wants none gets none */
	put(x, MESSAGES + 4, 0, 4);
	put(x, AVAIL(0), 1, 2);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(used(x, 0), 3);
	assert_int_equal(ram(x, MESSAGES + 4, 4), 0);
}

static void test_event_index(void **state)
{
	struct x *x = *state;

	assert_int_equal(virtio_rng_create(&x->f.bus, 1), 0);
	map_bars(x);
	enable_msix(x);
	start(x, 1u << VIRTIO_F_EVENT_IDX, 1, true);
	for (u32 i = 0; i < QSIZE; i++)
		desc(x, 0, i, BUFFER + 64 * i, 64, F_WRITE, 0);
	put(x, AVAIL(0) + 4 + 2 * QSIZE, 1, 2); /* interrupt when the second is done */
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(ram(x, MESSAGES + 4, 4), 0);
	assert_int_equal(ram(x, USED(0) + 4 + 8 * QSIZE, 2), 1); /* asks for the next one */
	offer(x, 0, 1);
	notify(x, 0);
	assert_int_equal(ram(x, MESSAGES + 4, 4), 0x1001);
}

/* ---- disk ------------------------------------------------------------------------------------ */

#define STATUS_AT (BUFFER + 0x8000)

/* One request: header, @bytes of data at BUFFER + 0x1000, status. Return: the status. */
static u8 request(struct x *x, u32 type, u64 sector, u32 bytes, bool in)
{
	put(x, BUFFER, type, 8);
	put(x, BUFFER + 8, sector, 8);
	put(x, STATUS_AT, 0xee, 1);
	desc(x, 0, 0, BUFFER, 16, F_NEXT, bytes ? 1 : 2);
	desc(x, 0, 1, BUFFER + 0x1000, bytes, F_NEXT | (in ? F_WRITE : 0), 2);
	desc(x, 0, 2, STATUS_AT, 1, F_WRITE, 0);
	offer(x, 0, 0);
	notify(x, 0);
	return (u8)ram(x, STATUS_AT, 1);
}

static void test_disk(void **state)
{
	struct x *x = *state;

	add_disk(x, 64 * KIB, false);
	start(x, 0, 1, false);
	assert_int_equal(rd(x, DEVICE, 8), 128);
	put(x, BUFFER + 0x1000, 0x1122334455667788, 8);
	assert_int_equal(request(x, 1, 3, 1024, false), 0);
	put(x, BUFFER + 0x1000, 0, 8);
	assert_int_equal(request(x, 0, 3, 1024, true), 0);
	assert_int_equal(ram(x, BUFFER + 0x1000, 8), 0x1122334455667788);
	assert_int_equal(ram(x, USED(0) + 4 + 8 + 4, 4), 1025);
	assert_int_equal(request(x, 4, 0, 0, false), 0);
	assert_int_equal(request(x, 8, 0, 20, true), 0);
	assert_int_equal(ram(x, BUFFER + 0x1000, 8), 0x312d6c6169726573); /* "serial-1" */
	/* past the end, no whole sectors, a type that is not there */
	assert_int_equal(request(x, 0, 127, 1024, true), 1);
	assert_int_equal(request(x, 0, ~0ull, 512, true), 1);
	assert_int_equal(request(x, 0, 0, 100, true), 1);
	assert_int_equal(request(x, 77, 0, 0, true), 2);
	/* write zeroes and discard take a range */
	put(x, BUFFER + 0x1000, 3, 8);
	put(x, BUFFER + 0x1008, 1, 8);
	assert_int_equal(request(x, 13, 0, 16, false), 0);
	assert_int_equal(request(x, 0, 3, 512, true), 0);
	assert_int_equal(ram(x, BUFFER + 0x1000, 8), 0);
	put(x, BUFFER + 0x1000, 120, 8);
	put(x, BUFFER + 0x1008, 9, 8);
	assert_int_equal(request(x, 11, 0, 16, false), 1);
	/* the file shrinks while the machine runs */
	assert_int_equal(truncate(x->path, 512), 0);
	assert_int_equal(request(x, 0, 3, 512, true), 1);
	assert_int_equal(request(x, 0, 0, 512, true), 0);
}

static void test_read_only_disk(void **state)
{
	struct x *x = *state;

	add_disk(x, 64 * KIB, true);
	wr(x, COMMON + 0, 0, 4);
	assert_true(rd(x, COMMON + 4, 4) & 1 << 5);
	start(x, 0, 1, false);
	assert_int_equal(request(x, 1, 3, 512, false), 1);
	assert_int_equal(request(x, 13, 0, 16, false), 1);
	assert_int_equal(request(x, 0, 3, 512, true), 0);
	assert_int_equal(request(x, 4, 0, 0, true), 0);
}

static void test_bad_disks(void **state)
{
	char err[DISK_ERR_BYTES], path[] = "/tmp/nestor-disk-XXXXXX";

	assert_null(disk_open("/nowhere/at/all", false, err));
	assert_non_null(strstr(err, "No such file"));
	assert_null(disk_open("/tmp", true, err));
	assert_non_null(strstr(err, "is no file"));
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_null(disk_open(path, false, err));
	assert_non_null(strstr(err, "shorter than a sector"));
	assert_int_equal(ftruncate(fd, 1 * KIB), 0);
	struct disk *d = disk_open(path, false, err);

	assert_non_null(d);
	assert_null(disk_open(path, true, err));
	assert_non_null(strstr(err, "in use"));
	disk_close(d);
	close(fd);
	unlink(path);
}

static void test_indirect(void **state)
{
	struct x *x = *state;
	const u64 table = BUFFER + 0x9000;

	add_disk(x, 64 * KIB, false);
	start(x, 1u << VIRTIO_F_INDIRECT, 1, false);
	put(x, BUFFER, 0, 8);
	put(x, BUFFER + 8, 0, 8);
	put(x, table, BUFFER, 8);
	put(x, table + 8, 16 | (u64)F_NEXT << 32 | 1ull << 48, 8);
	put(x, table + 16, BUFFER + 0x1000, 8);
	put(x, table + 24, 512 | (u64)(F_NEXT | F_WRITE) << 32 | 2ull << 48, 8);
	put(x, table + 32, STATUS_AT, 8);
	put(x, table + 40, 1 | (u64)F_WRITE << 32, 8);
	put(x, STATUS_AT, 0xee, 1);
	desc(x, 0, 0, table, 48, F_INDIRECT, 0);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(ram(x, STATUS_AT, 1), 0);
	/* a table inside a table */
	put(x, table + 8, 16 | (u64)F_INDIRECT << 32, 8);
	offer(x, 0, 0);
	notify(x, 0);
	assert_true(rd(x, COMMON + 20, 1) & 0x40);
}

/* ---- broken rings ---------------------------------------------------------------------------- */

static void fill_bad(struct x *x, u32 kind)
{
	for (u16 i = 0; i < QSIZE; i++)
		desc(x, 0, i, BUFFER, 16, 0, 0);
	switch (kind) {
	case 0: desc(x, 0, 0, BUFFER, 16, F_NEXT, 0); break;	   /* a loop */
	case 1: desc(x, 0, 0, BUFFER, 16, F_NEXT, QSIZE); break;   /* beyond the table */
	case 2: desc(x, 0, 0, 1ull << 40, 16, 0, 0); break;	   /* outside RAM */
	case 3: desc(x, 0, 0, ~0ull - 4, 16, F_WRITE, 0); break;   /* wraps */
	case 4: desc(x, 0, 0, 4 * MIB - 8, 16, F_WRITE, 0); break; /* reaches out of it */
	case 5: /* readable after writable */ desc(x, 0, 0, BUFFER, 16, F_NEXT | F_WRITE, 1); break;
	case 6: desc(x, 0, 0, BUFFER, 17, F_INDIRECT, 0); break;     /* uneven table */
	case 7: desc(x, 0, 0, 1ull << 40, 16, F_INDIRECT, 0); break; /* table outside RAM */
	case 8: desc(x, 0, 0, BUFFER, 16, F_INDIRECT | F_NEXT, 1); break;
	case 9: put(x, AVAIL(0) + 4, 0xffff, 2); break;	    /* no such descriptor */
	case 10: put(x, AVAIL(0) + 2, QSIZE + 1, 2); break; /* more than there is room */
	}
}

static void test_broken_rings(void **state)
{
	struct x *x = *state;

	add_disk(x, 64 * KIB, false);
	for (u32 kind = 0; kind <= 10; kind++) {
		start(x, 1u << VIRTIO_F_INDIRECT, 1, false);
		offer(x, 0, 0);
		fill_bad(x, kind);
		notify(x, 0);
		assert_true(rd(x, COMMON + 20, 1) & 0x40);
		assert_int_equal(rd(x, ISR, 1), 2);
		assert_int_equal(used(x, 0), 0);
		/* nothing more happens until it is reset, then all is well */
		notify(x, 0);
		assert_int_equal(used(x, 0), 0);
		start(x, 0, 1, false);
		assert_int_equal(request(x, 0, 0, 512, true), 0);
	}
}

/* ---- network, console ------------------------------------------------------------------------ */

static void test_net(void **state)
{
	struct x *x = *state;
	u8 frame[100];

	add_net(x);
	assert_int_equal(rd(x, DEVICE, 4), 0x03020102);
	start(x, 1u << 5, 2, false);
	memset(frame, 0x5a, sizeof(frame));
	/* out: header and frame in two buffers */
	put(x, BUFFER + 0x1000, 0xabcdef, 8);
	desc(x, 1, 0, BUFFER, 12, F_NEXT, 1);
	desc(x, 1, 1, BUFFER + 0x1000, 60, 0, 0);
	offer(x, 1, 0);
	notify(x, 1);
	assert_int_equal(x->frames, 1);
	assert_int_equal(x->sent_bytes, 60);
	assert_int_equal(x->sent[0], 0xef);
	/* too long for a frame: lost */
	desc(x, 1, 1, BUFFER + 0x1000, 4000, 0, 0);
	offer(x, 1, 0);
	notify(x, 1);
	assert_int_equal(x->frames, 1);
	assert_int_equal(used(x, 1), 2);
	/* in: waits for a buffer */
	virtio_net_receive(x->card, frame, sizeof(frame));
	fixture_run_to(&x->f, x->f.now_ns + 1000);
	assert_int_equal(used(x, 0), 0);
	desc(x, 0, 0, BUFFER + 0x2000, 1600, F_WRITE, 0);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(used(x, 0), 1);
	assert_int_equal(ram(x, USED(0) + 8, 4), 112);
	assert_int_equal(ram(x, BUFFER + 0x2000 + 12, 1), 0x5a);
	/* a flood with no buffers keeps to its bound */
	for (u32 i = 0; i < 1000; i++)
		virtio_net_receive(x->card, frame, sizeof(frame));
	fixture_run_to(&x->f, x->f.now_ns + 1000);
	/* a buffer that is too small gets nothing */
	desc(x, 0, 1, BUFFER + 0x3000, 20, F_WRITE, 0);
	offer(x, 0, 1);
	notify(x, 0);
	assert_int_equal(ram(x, USED(0) + 4 + 8 + 4, 4), 0);
}

static void test_console(void **state)
{
	struct x *x = *state;
	struct chardev *out = chardev_open_buffer(100);
	struct virtio_console *k;
	size_t n;
	int err;

	k = virtio_console_create(&x->f.bus, out, &err);
	assert_non_null(k);
	map_bars(x);
	assert_int_equal(virtio_console_input(k, "x", 1), 0); /* no driver */
	start(x, 0, 2, false);
	put(x, BUFFER, 0x6f6c6c6568, 8);
	desc(x, 1, 0, BUFFER, 5, 0, 0);
	offer(x, 1, 0);
	notify(x, 1);
	assert_memory_equal(chardev_contents(out, &n), "hello", 5);
	assert_int_equal(n, 5);
	desc(x, 0, 0, BUFFER + 0x100, 4, F_WRITE, 0);
	offer(x, 0, 0);
	notify(x, 0);
	assert_int_equal(virtio_console_input(k, "abcdef", 6), 4);
	assert_int_equal(ram(x, BUFFER + 0x100, 4), 0x64636261);
	assert_int_equal(virtio_console_input(k, "ef", 2), 0);
	chardev_close(out);
}

/* ---- garbage --------------------------------------------------------------------------------- */

/* What a hostile driver does: mostly sane values with a wrong one among them. */
static void random_step(struct x *x, u64 *rng)
{
	static const u8 statuses[] = {0, 3, 0xb, 0xf, 0xf, 0xf, 0xff};
	static const unsigned int sizes[] = {1, 2, 4, 8};
	unsigned int size = sizes[rng_below(rng, 4)];
	u32 q = (u32)rng_below(rng, 2);
	u64 gpa = rng_below(rng, 8) ? BUFFER + rng_below(rng, 0x10000) : rng_next(rng);

	switch (rng_below(rng, 12)) {
	case 0: wr(x, BAR0 + rng_below(rng, 0x4000 / size) * size, rng_next(rng), size); break;
	case 1: rd(x, BAR0 + rng_below(rng, 0x4000 / size) * size, size); break;
	case 2: wr(x, BAR1 + rng_below(rng, 0x1000 / size) * size, rng_next(rng), size); break;
	case 3: wr(x, COMMON + 20, statuses[rng_below(rng, sizeof(statuses))], 1); break;
	case 4:
		start(x, 1ull << VIRTIO_F_INDIRECT | (u64)rng_below(rng, 2) << VIRTIO_F_EVENT_IDX,
		      2, q);
		break;
	case 5: set_config(x, 0x40 + (u32)rng_below(rng, 0x60), (u32)rng_next(rng), 1); break;
	case 6: put(x, RING(q) + rng_below(rng, 0x2f00), rng_next(rng), 8); break;
	default:
		desc(x, q, (u32)rng_below(rng, QSIZE), gpa,
		     (u32)(rng_next(rng) >> rng_below(rng, 64)), (u16)rng_below(rng, 8),
		     (u16)rng_below(rng, QSIZE + 1));
		put(x, gpa & 0x1fffff, rng_below(rng, 16), 8);
		offer(x, q, (u16)rng_below(rng, QSIZE));
		notify(x, q);
	}
}

static void fuzz(struct x *x, u64 seed)
{
	u64 rng = fixture_seed(seed);
	long steps = getenv("NESTOR_LONG") ? 3000000 : 60000;

	for (long i = 0; i < steps; i++) {
		if (i % 64 == 0) {
			map_bars(x);
			start(x, 1ull << VIRTIO_F_INDIRECT, 2, false);
		}
		random_step(x, &rng);
		bus_expire(&x->f.bus, x->f.now_ns);
		if (x->card && rng_below(&rng, 4) == 0)
			virtio_net_receive(x->card, x->sent, 14 + (u32)rng_below(&rng, 1500));
	}
}

static void test_fuzz_disk(void **state)
{
	add_disk(*state, 64 * KIB, false);
	fuzz(*state, 0xd15c);
}

static void test_fuzz_net(void **state)
{
	add_net(*state);
	fuzz(*state, 0x2e7);
}

static void test_fuzz_console(void **state)
{
	struct x *x = *state;
	int err;

	assert_non_null(virtio_console_create(&x->f.bus, NULL, &err));
	map_bars(x);
	fuzz(x, 0xc025);
}

static void test_fuzz_rng(void **state)
{
	struct x *x = *state;

	assert_int_equal(virtio_rng_create(&x->f.bus, 1), 0);
	map_bars(x);
	fuzz(x, 0x4264);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_transport),   T(test_rng),	   T(test_msix),
		T(test_event_index), T(test_disk),	   T(test_read_only_disk),
		T(test_bad_disks),   T(test_indirect),	   T(test_broken_rings),
		T(test_net),	     T(test_console),	   T(test_fuzz_disk),
		T(test_fuzz_net),    T(test_fuzz_console), T(test_fuzz_rng),
	};

	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
