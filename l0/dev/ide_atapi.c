/* ide_atapi.c - packet commands of CD drives, see ide_priv.h */
#include <errno.h>

#include "l0/base/mem_ops.h"
#include "l0/dev/ide_priv.h"

#define SENSE_MEDIUM_ERROR 3
#define SENSE_ILLEGAL_REQUEST 5
#define ASC_READ_ERROR 0x11
#define ASC_BAD_COMMAND 0x20
#define ASC_OUT_OF_RANGE 0x21
#define ASC_BAD_FIELD 0x24
#define ASC_NOT_REMOVABLE 0x53 /* with 2: medium removal prevented */
#define SENSE_BYTES 18u

#define DVD_BLOCKS 400000u /* more than fits on a CD */
#define PROFILE_CD 0x0008
#define PROFILE_DVD 0x0010
#define LEAD_OUT 0xaa
#define TRACK_CONTROL 0x14 /* a data track; positions are given */

#define PAGE_ERROR_RECOVERY 0x01
#define PAGE_CAPABILITIES 0x2a
#define PAGE_ALL 0x3f

static u32 be16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static u32 be32(const u8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static void put_be16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static void put_be32(u8 *p, u32 v)
{
	put_be16(p, v >> 16);
	put_be16(p + 2, v);
}

/* ---- ends and blocks ------------------------------------------------------------------------- */

static void done(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	d->sense = d->asc = d->ascq = 0;
	d->count[0] = IREASON_COMMAND | IREASON_IN;
	ide_done(c);
}

static void fail(struct ide_channel *c, u8 sense, u8 asc, u8 ascq)
{
	struct ide_drive *d = ide_selected(c);

	d->sense = sense;
	d->asc = asc;
	d->ascq = ascq;
	d->count[0] = IREASON_COMMAND | IREASON_IN;
	ide_fail(c, (u8)(sense << 4 | ERROR_ABRT));
}

/* Offer what the buffer has from @pos on, as much as the host takes at once. */
static void offer(struct ide_channel *c, u32 pos)
{
	struct ide_drive *d = ide_selected(c);
	u32 bytes = MIN(c->filled - pos, c->per_block);

	d->count[0] = IREASON_IN;
	d->mid[0] = (u8)bytes;
	d->high[0] = (u8)(bytes >> 8);
	ide_data_in(c, pos, bytes);
}

/* Fill the buffer from the medium. */
static void read_blocks(struct ide_channel *c)
{
	u32 n = MIN(c->left, IDE_BUFFER_BYTES / IDE_CD_BLOCK);
	struct iovec iov = {c->buffer, n * IDE_CD_BLOCK};
	int err = disk_read(ide_selected(c)->disk, c->next * IDE_CD_BLOCK, &iov, 1);

	if (err) {
		ide_report(c, err);
		fail(c, SENSE_MEDIUM_ERROR, ASC_READ_ERROR, 0);
		return;
	}
	c->next += n;
	c->left -= n;
	c->filled = n * IDE_CD_BLOCK;
	offer(c, 0);
}

void atapi_next(struct ide_channel *c)
{
	if (c->command == ATA_IDENTIFY_PACKET) {
		c->phase = IDE_IDLE;
		ide_selected(c)->status = STATUS_DRDY;
	} else if (c->pos < c->filled) {
		offer(c, c->pos);
	} else if (c->left) {
		read_blocks(c);
	} else {
		done(c);
	}
}

/* The answer to a command: @bytes in the buffer, of which the guest wants @room. */
static void reply(struct ide_channel *c, u32 bytes, u32 room)
{
	c->left = 0;
	c->filled = MIN(bytes, room);
	if (c->filled)
		offer(c, 0);
	else
		done(c);
}

/* ---- commands -------------------------------------------------------------------------------- */

/* Source: ATA/ATAPI-6 "IDENTIFY PACKET DEVICE". */
void atapi_identify(struct ide_channel *c)
{
	u8 *to = c->buffer;

	nm_zero(to, DISK_SECTOR);
	nm_store16(to, 0x85c0); /* CD-ROM, removable, packets of 12 bytes, DRQ within 50 us */
	ata_string(to + 2 * 10, ide_selected(c)->name, 20);
	ata_string(to + 2 * 23, "1", 8);
	ata_string(to + 2 * 27, "nestor CD-ROM", 40);
	nm_store16(to + 2 * 48, 1);
	nm_store16(to + 2 * 49, 0x0200);
	nm_store16(to + 2 * 53, 3); /* words 64-70 are valid: PIO modes 3 and 4 */
	nm_store16(to + 2 * 64, 3);
	nm_store16(to + 2 * 67, 120);
	nm_store16(to + 2 * 68, 120);
	nm_store16(to + 2 * 80, 0x0070);
	nm_store16(to + 2 * 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
	nm_store16(to + 2 * 83, 0x4000);
	nm_store16(to + 2 * 84, 0x4000);
	nm_store16(to + 2 * 85, 0x4210);
	nm_store16(to + 2 * 87, 0x4000);
	ide_data_in(c, 0, DISK_SECTOR);
}

static void request_sense(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	c->buffer[0] = 0x70;
	c->buffer[2] = d->sense;
	c->buffer[7] = SENSE_BYTES - 8;
	c->buffer[12] = d->asc;
	c->buffer[13] = d->ascq;
	d->sense = d->asc = d->ascq = 0;
	reply(c, SENSE_BYTES, c->packet[4]);
}

static void inquiry(struct ide_channel *c)
{
	u8 *to = c->buffer;

	if (c->packet[1] & 1) { /* vital product data */
		fail(c, SENSE_ILLEGAL_REQUEST, ASC_BAD_FIELD, 0);
		return;
	}
	to[0] = 5;    /* CD-ROM */
	to[1] = 0x80; /* removable */
	to[3] = 0x21; /* ATAPI, response format 1 */
	to[4] = 36 - 5;
	nm_copy(to + 8, "nestor  CD-ROM          1   ", 28);
	reply(c, 36, be16(c->packet + 3));
}

static void read_capacity(struct ide_channel *c)
{
	put_be32(c->buffer, (u32)ide_selected(c)->blocks - 1);
	put_be32(c->buffer + 4, IDE_CD_BLOCK);
	reply(c, 8, 8);
}

static void read_medium(struct ide_channel *c, u32 count)
{
	const struct ide_drive *d = ide_selected(c);
	u32 first = be32(c->packet + 2);

	if (first > d->blocks || count > d->blocks - first) {
		fail(c, SENSE_ILLEGAL_REQUEST, ASC_OUT_OF_RANGE, 0);
		return;
	}
	if (!count) {
		done(c);
		return;
	}
	c->next = first;
	c->left = count;
	read_blocks(c);
}

/* A position as a block, or as minute, second and frame. */
static void put_position(u8 *to, u32 block, bool msf)
{
	if (!msf) {
		put_be32(to, block);
		return;
	}
	block += 150;
	to[0] = 0;
	to[1] = (u8)(block / 75 / 60);
	to[2] = (u8)(block / 75 % 60);
	to[3] = (u8)(block % 75);
}

/* One track, one session. */
static void read_toc(struct ide_channel *c)
{
	u8 *to = c->buffer;
	bool msf = c->packet[1] & 2;
	u32 format = c->packet[2] & 15, bytes = 12;

	if (!format)
		format = c->packet[9] >> 6; /* where older drives have it */
	if (format > 1 || (c->packet[6] > 1 && c->packet[6] != LEAD_OUT)) {
		fail(c, SENSE_ILLEGAL_REQUEST, ASC_BAD_FIELD, 0);
		return;
	}
	to[2] = to[3] = 1;
	u8 *entry = to + 4;

	if (format == 1 || c->packet[6] <= 1) {
		entry[1] = TRACK_CONTROL;
		entry[2] = 1;
		put_position(entry + 4, 0, msf);
		entry += 8;
	}
	if (format == 0) {
		entry[1] = TRACK_CONTROL;
		entry[2] = LEAD_OUT;
		put_position(entry + 4, (u32)ide_selected(c)->blocks, msf);
		entry += 8;
	}
	bytes = (u32)(entry - to);
	put_be16(to, bytes - 2);
	reply(c, bytes, be16(c->packet + 7));
}

static void get_configuration(struct ide_channel *c)
{
	static const u8 features[] = {
		0, 0, 3, 8, 0,	  PROFILE_DVD, 0, 0, 0, PROFILE_CD, 0, 0, /* profiles */
		0, 1, 3, 4, 0,	  0,	       0, 2,			  /* core: ATAPI */
		0, 3, 3, 4, 0x29, 0,	       0, 0, /* removable medium, tray */
	};
	bool is_dvd = ide_selected(c)->blocks > DVD_BLOCKS;
	u8 *to = c->buffer;

	put_be32(to, sizeof(features) + 4);
	put_be16(to + 6, is_dvd ? PROFILE_DVD : PROFILE_CD);
	nm_copy(to + 8, features, sizeof(features));
	to[8 + (is_dvd ? 6 : 10)] = 1; /* the current profile */
	reply(c, 8 + sizeof(features), be16(c->packet + 7));
}

/* Nothing ever happens: the medium is there and stays. */
static void get_event(struct ide_channel *c)
{
	if (!(c->packet[1] & 1)) {
		fail(c, SENSE_ILLEGAL_REQUEST, ASC_BAD_FIELD, 0);
		return;
	}
	bool media = c->packet[4] & 0x10;

	c->buffer[1] = media ? 6 : 2;
	c->buffer[2] = media ? 4 : 0x80;
	c->buffer[3] = 0x10;
	c->buffer[5] = 2; /* present */
	reply(c, media ? 8 : 4, be16(c->packet + 7));
}

static void mode_sense(struct ide_channel *c)
{
	static const u8 recovery[] = {PAGE_ERROR_RECOVERY, 6, 0, 5, 0, 0, 0, 0};
	static const u8 capabilities[] = {PAGE_CAPABILITIES,
					  18,
					  0x3f,
					  0,
					  0x70,
					  0x60,
					  0x29,
					  0,
					  0x02,
					  0xc2,
					  0,
					  2,
					  0x02,
					  0,
					  0x02,
					  0xc2,
					  0,
					  0,
					  0,
					  0};
	u32 page = c->packet[2] & 0x3f, bytes = 8;

	if (page != PAGE_ERROR_RECOVERY && page != PAGE_CAPABILITIES && page != PAGE_ALL) {
		fail(c, SENSE_ILLEGAL_REQUEST, ASC_BAD_FIELD, 0);
		return;
	}
	if (page != PAGE_CAPABILITIES) {
		nm_copy(c->buffer + bytes, recovery, sizeof(recovery));
		bytes += sizeof(recovery);
	}
	if (page != PAGE_ERROR_RECOVERY) {
		nm_copy(c->buffer + bytes, capabilities, sizeof(capabilities));
		bytes += sizeof(capabilities);
	}
	put_be16(c->buffer, bytes - 2);
	c->buffer[2] = 0x01; /* a data disc of 120 mm */
	reply(c, bytes, be16(c->packet + 7));
}

static void read_disc_information(struct ide_channel *c)
{
	u8 *to = c->buffer;

	put_be16(to, 32);
	to[2] = 0x0e; /* complete */
	to[3] = to[4] = to[5] = to[6] = 1;
	to[7] = 0x20;
	put_be32(to + 16, ~0u);
	put_be32(to + 20, ~0u);
	reply(c, 34, be16(c->packet + 7));
}

static void start_stop(struct ide_channel *c)
{
	if ((c->packet[4] & 3) == 2) /* eject */
		fail(c, SENSE_ILLEGAL_REQUEST, ASC_NOT_REMOVABLE, 2);
	else
		done(c);
}

void atapi_command(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u32 limit = (u32)d->mid[0] | (u32)d->high[0] << 8;

	/* an even number of bytes at once, as the guest asks for */
	c->per_block = limit < 2 || limit == 0xffff ? 0xfffe : limit & ~1u;
	nm_zero(c->buffer, DISK_SECTOR);
	switch (c->packet[0]) {
	case 0x00:		   /* TEST UNIT READY */
	case 0x1e:		   /* PREVENT ALLOW MEDIUM REMOVAL */
	case 0x2b:		   /* SEEK */
	case 0xbb: done(c); break; /* SET CD SPEED */
	case 0x03: request_sense(c); break;
	case 0x12: inquiry(c); break;
	case 0x1b: start_stop(c); break;
	case 0x25: read_capacity(c); break;
	case 0x28: read_medium(c, be16(c->packet + 7)); break;
	case 0xa8: read_medium(c, be32(c->packet + 6)); break;
	case 0x43: read_toc(c); break;
	case 0x46: get_configuration(c); break;
	case 0x4a: get_event(c); break;
	case 0x51: read_disc_information(c); break;
	case 0x5a: mode_sense(c); break;
	default: fail(c, SENSE_ILLEGAL_REQUEST, ASC_BAD_COMMAND, 0);
	}
}
