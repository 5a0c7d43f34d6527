/* virtio_blk.c - see virtio_blk.h */
#include "l0/dev/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/dev/virtio.h"

#define F_SEG_MAX 2u
#define F_RO 5u
#define F_BLK_SIZE 6u
#define F_FLUSH 9u
#define F_DISCARD 13u
#define F_WRITE_ZEROES 14u

/* Offsets in the configuration. */
#define CFG_CAPACITY 0u
#define CFG_SEG_MAX 12u
#define CFG_BLK_SIZE 20u
#define CFG_MAX_DISCARD 36u
#define CFG_MAX_DISCARD_SEG 40u
#define CFG_DISCARD_ALIGN 44u
#define CFG_MAX_ZEROES 48u
#define CFG_MAX_ZEROES_SEG 52u
#define CFG_ZEROES_UNMAP 56u
#define CFG_BYTES 60u

#define MAX_ZEROES_SECTORS 65536u
#define HEADER_BYTES 16u

enum { REQ_IN = 0, REQ_OUT = 1, REQ_FLUSH = 4, REQ_GET_ID = 8, REQ_DISCARD = 11, REQ_ZEROES = 13 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPPORTED = 2 };

struct virtio_blk {
	struct virtio v;
	struct disk *disk;
	struct timer serve; /* armed while requests wait */
	bool said;	    /* an I/O error has been reported */
	char serial[VIRTIO_BLK_SERIAL_BYTES];
	struct iovec iov[VIRTQ_MAX_BUFS];
};

/* The @bytes of the chain's readable or writable part from @skip on, as host memory. */
static u32 gather(struct virtio_blk *b, const struct virtq_chain *c, bool writable, u64 skip,
		  u64 bytes)
{
	u32 n = 0, i = writable ? c->nread : 0, end = writable ? c->nread + c->nwrite : c->nread;

	for (; i < end && bytes; i++) {
		u64 len = c->buf[i].len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len = MIN(len - skip, bytes);
		b->iov[n++] = (struct iovec){
			mem_ram_hva(b->v.dev.bus->mem, c->buf[i].gpa + skip, len), len};
		bytes -= len;
		skip = 0;
	}
	return n;
}

static void note_written(struct virtio_blk *b, const struct virtq_chain *c)
{
	for (u32 i = c->nread; i < c->nread + c->nwrite; i++)
		if (c->buf[i].len)
			mem_note_write(b->v.dev.bus->mem, c->buf[i].gpa, c->buf[i].len);
}

static u8 failed(struct virtio_blk *b, int err)
{
	if (!b->said)
		bus_report(b->v.dev.bus, b->v.name,
			   err == -EIO ? "an I/O error, or the file has become shorter"
			   : err == -ENOSPC
				   ? "the host's disk is full"
				   : "the host cannot do an access; the guest gets an I/O error");
	b->said = true;
	return STATUS_IOERR;
}

static bool in_range(const struct virtio_blk *b, u64 sector, u64 sectors)
{
	u64 all = disk_sectors(b->disk);

	return sector <= all && sectors <= all - sector;
}

/* Data in or out; @bytes of it. */
static u8 transfer(struct virtio_blk *b, const struct virtq_chain *c, bool in, u64 sector,
		   u64 bytes)
{
	int err;

	if (bytes % DISK_SECTOR || !in_range(b, sector, bytes / DISK_SECTOR))
		return STATUS_IOERR;
	if (!in && disk_is_read_only(b->disk))
		return STATUS_IOERR;
	u32 n = gather(b, c, in, in ? 0 : HEADER_BYTES, bytes);

	if (in) {
		err = disk_read(b->disk, sector * DISK_SECTOR, b->iov, n);
		note_written(b, c);
	} else {
		err = disk_write(b->disk, sector * DISK_SECTOR, b->iov, n);
	}
	return err ? failed(b, err) : STATUS_OK;
}

/* DISCARD and WRITE_ZEROES take one range: sector, number, flags. */
static u8 clear(struct virtio_blk *b, const struct virtq_chain *c, bool zeroes)
{
	struct {
		u64 sector;
		u32 sectors, flags;
	} range;

	if (disk_is_read_only(b->disk) || c->read_bytes != HEADER_BYTES + sizeof(range))
		return STATUS_IOERR;
	virtq_read(c, b->v.dev.bus->mem, HEADER_BYTES, &range, sizeof(range));
	if (range.flags & ~1u || (!zeroes && range.flags))
		return STATUS_UNSUPPORTED;
	if (range.sectors > MAX_ZEROES_SECTORS || !in_range(b, range.sector, range.sectors))
		return STATUS_IOERR;
	if (!range.sectors)
		return STATUS_OK;
	u64 at = range.sector * DISK_SECTOR, bytes = (u64)range.sectors * DISK_SECTOR;
	int err = zeroes ? disk_write_zeroes(b->disk, at, bytes) : disk_discard(b->disk, at, bytes);

	return err ? failed(b, err) : STATUS_OK;
}

/* *@data: bytes written before the status. */
static u8 serve_one(struct virtio_blk *b, const struct virtq_chain *c, u64 *data)
{
	struct {
		u32 type, reserved;
		u64 sector;
	} h;
	struct mem *mem = b->v.dev.bus->mem;
	u8 status;
	int err;

	*data = 0;
	if (virtq_read(c, mem, 0, &h, sizeof(h)) != HEADER_BYTES)
		return STATUS_IOERR;
	switch (h.type) {
	case REQ_IN:
		status = transfer(b, c, true, h.sector, c->write_bytes - 1);
		*data = status == STATUS_OK ? c->write_bytes - 1 : 0;
		return status;
	case REQ_OUT: return transfer(b, c, false, h.sector, c->read_bytes - HEADER_BYTES);
	case REQ_FLUSH:
		err = disk_is_read_only(b->disk) ? 0 : disk_flush(b->disk);
		return err ? failed(b, err) : STATUS_OK;
	case REQ_GET_ID:
		*data = virtq_write(c, mem, 0, b->serial,
				    MIN(c->write_bytes - 1, (u64)sizeof(b->serial)));
		return STATUS_OK;
	case REQ_DISCARD: return clear(b, c, false);
	case REQ_ZEROES: return clear(b, c, true);
	default: return STATUS_UNSUPPORTED;
	}
}

static void serve(void *arg, u64 deadline_ns)
{
	struct virtio_blk *b = arg;
	struct virtq_chain *c;
	u64 data;

	for (u32 i = 0; i < VIRTQ_MAX_SIZE; i++) {
		c = virtio_pop(&b->v, 0);
		if (!c)
			break;
		if (!c->write_bytes) {
			virtio_fail(&b->v, "a request has no room for its status");
			return;
		}
		u8 status = serve_one(b, c, &data);

		virtq_write(c, b->v.dev.bus->mem, c->write_bytes - 1, &status, 1);
		virtio_push(&b->v, 0, c, (u32)data + 1);
	}
	virtio_interrupt(&b->v, 0, deadline_ns);
	if (c)
		bus_timer_arm(b->v.dev.bus, &b->serve, deadline_ns + VIRTIO_BLK_LATENCY_NS);
}

static void blk_notify(struct virtio *v, u32 q)
{
	struct virtio_blk *b = container_of(v, struct virtio_blk, v);

	(void)q;
	if (!timer_is_armed(&b->serve))
		bus_timer_arm(v->dev.bus, &b->serve, bus_now(v->dev.bus) + VIRTIO_BLK_LATENCY_NS);
}

static void blk_reset(struct virtio *v)
{
	timer_cancel(&v->dev.bus->timers, &container_of(v, struct virtio_blk, v)->serve);
}

static void blk_destroy(struct virtio *v)
{
	struct virtio_blk *b = container_of(v, struct virtio_blk, v);

	timer_cancel(&v->dev.bus->timers, &b->serve);
	disk_close(b->disk);
	free(b);
}

static const struct virtio_ops blk_ops = {
	.type = VIRTIO_BLK,
	.pci_class = 0x01,
	.nqueues = 1,
	.notify = blk_notify,
	.reset = blk_reset,
	.destroy = blk_destroy,
};

static void fill_config(struct virtio_blk *b)
{
	u8 *cfg = b->v.config;

	nm_store64(cfg + CFG_CAPACITY, disk_sectors(b->disk));
	nm_store32(cfg + CFG_SEG_MAX, VIRTQ_MAX_BUFS - 2);
	nm_store32(cfg + CFG_BLK_SIZE, DISK_SECTOR);
	nm_store32(cfg + CFG_MAX_DISCARD, MAX_ZEROES_SECTORS);
	nm_store32(cfg + CFG_MAX_DISCARD_SEG, 1);
	nm_store32(cfg + CFG_DISCARD_ALIGN, 1);
	nm_store32(cfg + CFG_MAX_ZEROES, MAX_ZEROES_SECTORS);
	nm_store32(cfg + CFG_MAX_ZEROES_SEG, 1);
	cfg[CFG_ZEROES_UNMAP] = 1;
	b->v.config_bytes = CFG_BYTES;
}

int virtio_blk_create(struct machine_bus *bus, struct disk *disk, const char *name,
		      const char *serial)
{
	struct virtio_blk *b = calloc(1, sizeof(*b));
	u64 features = BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) |
		       (disk_is_read_only(disk) ? BIT(F_RO) : BIT(F_DISCARD) | BIT(F_WRITE_ZEROES));

	if (!b) {
		disk_close(disk);
		return -ENOMEM;
	}
	b->disk = disk;
	for (u32 i = 0; serial && serial[i] && i < sizeof(b->serial); i++)
		b->serial[i] = serial[i];
	timer_init(&b->serve, serve, b);
	virtio_init(&b->v, &blk_ops, name, features);
	fill_config(b);
	return virtio_add(&b->v, bus);
}
