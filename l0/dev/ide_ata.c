/* ide_ata.c - commands of disks, see ide_priv.h */
#include <errno.h>

#include "l0/base/mem_ops.h"
#include "l0/dev/ide_priv.h"

#define LBA28_SECTORS (1ull << 28)
#define GEOMETRY_SECTORS (16383ull * 16 * 63)

enum direction { IN, OUT, VERIFY };

void ata_string(u8 *words, const char *s, u32 bytes)
{
	bool ended = false;

	for (u32 i = 0; i < bytes; i++) {
		ended = ended || !s[i];
		words[i ^ 1] = ended ? ' ' : (u8)s[i];
	}
}

static void put_word(u8 *to, u32 word, u32 value)
{
	nm_store16(to + 2 * word, (u16)value);
}

static void put_size(const struct ide_drive *d, u8 *to)
{
	u32 lba28 = (u32)MIN(d->blocks, LBA28_SECTORS - 1);
	u32 cylinders = (u32)(MIN(d->blocks, GEOMETRY_SECTORS) / (16 * 63));

	put_word(to, 1, MAX(cylinders, 1u));
	put_word(to, 3, 16);
	put_word(to, 6, 63);
	put_word(to, 53, 3); /* words 54-58 and 64-70 are valid */
	put_word(to, 54, MAX(cylinders, 1u));
	put_word(to, 55, d->heads);
	put_word(to, 56, d->sectors);
	nm_store32(to + 2 * 57, cylinders * 16 * 63);
	nm_store32(to + 2 * 60, lba28);
	nm_store64(to + 2 * 100, d->blocks);
}

/* Source: ATA/ATAPI-6 "IDENTIFY DEVICE". */
static void identify(struct ide_channel *c)
{
	const struct ide_drive *d = ide_selected(c);
	u8 *to = c->buffer;

	nm_zero(to, DISK_SECTOR);
	put_word(to, 0, 0x0040); /* a fixed disk */
	put_size(d, to);
	ata_string(to + 2 * 10, d->name, 20);
	ata_string(to + 2 * 23, "1", 8);
	ata_string(to + 2 * 27, "nestor disk", 40);
	put_word(to, 47, 0x8000 | IDE_MULTIPLE_MAX);
	put_word(to, 48, 1);	  /* 32-bit PIO */
	put_word(to, 49, 0x0200); /* LBA, no DMA */
	put_word(to, 59, d->multiple ? 0x100u | d->multiple : 0);
	put_word(to, 64, 3);   /* PIO modes 3 and 4, */
	put_word(to, 67, 120); /* 120 ns a cycle */
	put_word(to, 68, 120);
	put_word(to, 80, 0x0070); /* ATA/ATAPI-4 to 6 */
	put_word(to, 82, 0x4020); /* NOP, write cache (the host's) */
	/* FLUSH CACHE (EXT), 48-bit addresses */
	put_word(to, 83, 0x4000 | 0x2000 | 0x1000 | 0x0400);
	put_word(to, 84, 0x4000);
	put_word(to, 85, 0x4020);
	put_word(to, 86, 0x2000 | 0x1000 | 0x0400);
	put_word(to, 87, 0x4000);
	c->left = 0;
	c->is_write = false;
	ide_data_in(c, 0, DISK_SECTOR);
}

/* First sector and number of a command. Return: false: the cylinder, head and sector name none. */
static bool decode_address(const struct ide_drive *d, bool ext, u64 *sector, u32 *count)
{
	u32 low = (u32)d->low[0] | (u32)d->mid[0] << 8 | (u32)d->high[0] << 16;

	*count = d->count[0] ? d->count[0] : 256;
	if (ext) {
		*count = (u32)d->count[0] | (u32)d->count[1] << 8;
		*count = *count ? *count : 65536;
		*sector = low | (u64)d->low[1] << 24 | (u64)d->mid[1] << 32 | (u64)d->high[1] << 40;
	} else if (d->device & DEVICE_LBA) {
		*sector = low | (u64)(d->device & 15) << 24;
	} else {
		u32 s = d->low[0], head = d->device & 15;

		if (!s || s > d->sectors || head >= d->heads)
			return false;
		*sector = ((u64)(low >> 8) * d->heads + head) * d->sectors + s - 1;
	}
	return true;
}

/* Read the next block into the buffer, or make room for it. */
static void next_block(struct ide_channel *c, bool first)
{
	struct ide_drive *d = ide_selected(c);
	u32 n = MIN(c->left, c->per_block);

	if (c->is_write) {
		ide_data_out(c, n * DISK_SECTOR, !first);
		return;
	}
	struct iovec iov = {c->buffer, n * DISK_SECTOR};
	int err = disk_read(d->disk, c->next * DISK_SECTOR, &iov, 1);

	if (err) {
		ide_report(c, err);
		ide_fail(c, ERROR_UNC);
		return;
	}
	c->next += n;
	c->left -= n;
	ide_data_in(c, 0, n * DISK_SECTOR);
}

static void transfer(struct ide_channel *c, enum direction dir, bool ext, bool multiple)
{
	struct ide_drive *d = ide_selected(c);

	if (multiple && !d->multiple) {
		ide_fail(c, ERROR_ABRT);
		return;
	}
	if (!decode_address(d, ext, &c->next, &c->left) || c->next >= d->blocks ||
	    c->left > d->blocks - c->next) {
		ide_fail(c, ERROR_IDNF);
		return;
	}
	if (dir == OUT && disk_is_read_only(d->disk)) {
		ide_fail(c, ERROR_ABRT);
		return;
	}
	if (dir == VERIFY) {
		ide_done(c);
		return;
	}
	c->is_write = dir == OUT;
	c->per_block = multiple ? d->multiple : 1;
	next_block(c, true);
}

/* The guest has written a block. */
static void write_block(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u32 n = c->end / DISK_SECTOR;
	struct iovec iov = {c->buffer, c->end};
	int err = disk_write(d->disk, c->next * DISK_SECTOR, &iov, 1);

	if (err) {
		ide_report(c, err);
		ide_fail(c, ERROR_ABRT);
		return;
	}
	c->next += n;
	c->left -= n;
	if (c->left)
		next_block(c, false);
	else
		ide_done(c);
}

void ata_next(struct ide_channel *c)
{
	if (c->phase == IDE_OUT) {
		write_block(c);
	} else if (c->left) {
		next_block(c, false);
	} else { /* the last block of a read ends without an interrupt */
		c->phase = IDE_IDLE;
		ide_selected(c)->status = STATUS_DRDY | STATUS_DSC;
	}
}

static void set_multiple(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u8 n = d->count[0];

	if (n > IDE_MULTIPLE_MAX || (n & (n - 1))) {
		ide_fail(c, ERROR_ABRT);
		return;
	}
	d->multiple = n;
	ide_done(c);
}

static void set_geometry(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	if (!d->count[0]) {
		ide_fail(c, ERROR_ABRT);
		return;
	}
	d->sectors = d->count[0];
	d->heads = (d->device & 15) + 1u;
	ide_done(c);
}

static void flush(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	int err = disk_is_read_only(d->disk) ? 0 : disk_flush(d->disk);

	if (err) {
		ide_report(c, err);
		ide_fail(c, ERROR_ABRT);
	} else {
		ide_done(c);
	}
}

/* Transfer modes are accepted if they are PIO: nothing depends on them. */
static void set_features(struct ide_channel *c)
{
	const struct ide_drive *d = ide_selected(c);
	bool is_known = (d->features[0] == 0x03 && d->count[0] < 0x10) || d->features[0] == 0x66 ||
			d->features[0] == 0xcc || d->features[0] == 0x55 || d->features[0] == 0xaa;

	if (is_known)
		ide_done(c);
	else
		ide_fail(c, ERROR_ABRT);
}

void ata_command(struct ide_channel *c)
{
	switch (c->command) {
	case ATA_IDENTIFY: identify(c); break;
	case ATA_SET_FEATURES: set_features(c); break;
	case 0x20:
	case 0x21: transfer(c, IN, false, false); break;
	case 0x24: transfer(c, IN, true, false); break;
	case 0x29: transfer(c, IN, true, true); break;
	case 0xc4: transfer(c, IN, false, true); break;
	case 0x30:
	case 0x31: transfer(c, OUT, false, false); break;
	case 0x34: transfer(c, OUT, true, false); break;
	case 0x39: transfer(c, OUT, true, true); break;
	case 0xc5: transfer(c, OUT, false, true); break;
	case 0x40:
	case 0x41: transfer(c, VERIFY, false, false); break;
	case 0x42: transfer(c, VERIFY, true, false); break;
	case 0xc6: set_multiple(c); break;
	case 0x91: set_geometry(c); break;
	case 0xe7:
	case 0xea: flush(c); break;
	case 0xe5: /* CHECK POWER MODE: active */
		ide_selected(c)->count[0] = 0xff;
		ide_done(c);
		break;
	case 0x10 ... 0x1f: /* RECALIBRATE */
	case 0x70:	    /* SEEK */
	case 0xe0 ... 0xe3: /* IDLE, STANDBY: power modes without effect */
	case 0xe6: ide_done(c); break;
	default: ide_fail(c, ERROR_ABRT);
	}
}
