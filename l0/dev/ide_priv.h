/*
 * ide_priv.h - drives and channels, shared by ide.c (registers), ide_ata.c (disks) and ide_atapi.c
 * (CDs)
 *
 * A command: ide.c takes it from the register and arms the channel's timer; that calls
 * ata_command() or atapi_command(). They end it by ide_done(), ide_fail(), or start a transfer of
 * blocks through the channel's
 * buffer: ide_data_in() and ide_data_out(); when the guest has emptied or filled the buffer, ide.c
 * calls ata_next() or atapi_next(). All with the bus lock held.
 */
#ifndef L0_DEV_IDE_PRIV_H
#define L0_DEV_IDE_PRIV_H

#include "l0/dev/ide.h"
#include "l0/dev/pci.h"

#define IDE_DRIVES 2u
#define IDE_BUFFER_BYTES (64 * KIB)
#define IDE_MULTIPLE_MAX 16u
#define IDE_NAME_BYTES 32u
#define IDE_PACKET_BYTES 12u

#define STATUS_ERR 0x01
#define STATUS_DRQ 0x08
#define STATUS_DSC 0x10
#define STATUS_DF 0x20
#define STATUS_DRDY 0x40
#define STATUS_BSY 0x80
#define ERROR_ABRT 0x04
#define ERROR_IDNF 0x10
#define ERROR_UNC 0x40
#define DEVICE_LBA 0x40
#define DEVICE_SELECT 0x10
#define IREASON_COMMAND 0x01 /* the bytes are a command, not data */
#define IREASON_IN 0x02	     /* to the host */

#define ATA_DEVICE_RESET 0x08
#define ATA_PACKET 0xa0
#define ATA_IDENTIFY_PACKET 0xa1
#define ATA_DIAGNOSTIC 0x90
#define ATA_IDENTIFY 0xec
#define ATA_SET_FEATURES 0xef

struct ide_drive {
	struct disk *disk; /* NULL: there is no drive */
	bool is_cd, said;  /* said: an I/O error has been reported */
	char name[IDE_NAME_BYTES];
	u64 blocks; /* of 512 bytes, or of 2 KiB */
	u8 status, error;
	/* the command block; [1] is what was written before, for 48-bit addresses */
	u8 features[2], count[2], low[2], mid[2], high[2], device;
	u8 multiple;	     /* sectors a block of READ MULTIPLE; 0: not set */
	u32 heads, sectors;  /* geometry in use */
	u8 sense, asc, ascq; /* of the last packet command */
};

enum ide_phase { IDE_IDLE, IDE_IN, IDE_OUT, IDE_COMMAND };

struct ide_channel {
	struct ide *ide;
	u32 gsi;
	u16 base, control_port;
	u8 control; /* device control register */
	u8 selected;
	bool irq;
	struct ide_drive drive[IDE_DRIVES];
	struct timer timer; /* a command is being executed */
	u8 command;
	bool packet_done; /* the timer is for @packet, not for @command */
	u8 packet[IDE_PACKET_BYTES];
	enum ide_phase phase;
	u32 pos, end;  /* of the block in transfer, in @buffer */
	u32 filled;    /* packet: valid bytes of @buffer */
	u32 per_block; /* disk: sectors a block; packet: most bytes a block */
	u64 next;      /* block of the medium that the transfer goes on with, */
	u32 left;      /* and how many are left */
	bool is_write;
	u8 buffer[IDE_BUFFER_BYTES];
};

struct ide {
	struct device dev;
	struct pci_function pci;
	struct ide_channel channel[IDE_CHANNELS];
};

static inline struct ide_drive *ide_selected(struct ide_channel *c)
{
	return &c->drive[c->selected];
}

/* The command is over: with interrupt. */
void ide_done(struct ide_channel *c);
void ide_fail(struct ide_channel *c, u8 error);

/* @bytes of the buffer from @pos on are the next block. @interrupt: tell the guest that it may
 * begin. */
void ide_data_in(struct ide_channel *c, u32 pos, u32 bytes);
void ide_data_out(struct ide_channel *c, u32 bytes, bool interrupt);

void ide_interrupt(struct ide_channel *c);

/* A host error: one line to the user, the first time. */
void ide_report(struct ide_channel *c, int err);

/* What a drive's registers say after reset: the signature of its kind. */
void ide_signature(struct ide_drive *d);

/* ide_ata.c */
void ata_command(struct ide_channel *c);
void ata_next(struct ide_channel *c);
/* A string of ATA: two characters a word, the first in the upper byte, filled up by blanks. */
void ata_string(u8 *words, const char *s, u32 bytes);

/* ide_atapi.c */
void atapi_identify(struct ide_channel *c);
void atapi_command(struct ide_channel *c); /* the packet is complete */
void atapi_next(struct ide_channel *c);

#endif
