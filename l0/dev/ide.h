/*
 * ide.h - the two IDE channels of a PC: disks (ATA) and CD drives (ATAPI), by programmed I/O
 *
 * A PCI function as in Intel's PIIX3, in compatibility mode: 0x1f0-0x1f7 and 0x3f6 with line 14,
 * 0x170-0x177 and 0x376 with line 15, two drives each. What firmware, boot loaders and old systems
 * without a virtio driver read. There is no bus-master DMA. A command is done IDE_LATENCY_NS after
 * it was written, by a timer; the blocks of a transfer follow without delay. Media are files as in
 * disk.h; a CD has blocks of 2 KiB and is never written.
 * Source: ATA/ATAPI-6 (T13 1410D), MMC-3 (T10 1363D), SPC-2; Intel 82371SB (PIIX3) data sheet.
 */
#ifndef L0_DEV_IDE_H
#define L0_DEV_IDE_H

#include "l0/dev/bus.h"
#include "l0/dev/disk.h"

#define IDE_CHANNELS 2u
#define IDE_LATENCY_NS 20000u
#define IDE_CD_BLOCK 2048u

struct ide;

/* Return: the controller without drives, a function on the PCI bus; NULL with *@err = -EEXIST,
 * -ENOMEM, -ENOSPC. */
struct ide *ide_create(struct machine_bus *bus, int *err) __must_check;

/**
 * ide_attach - put in a drive, while the machine does not run
 * @unit: 0..3: primary master and slave, secondary master and slave; free
 * @disk: the drive's from here on
 * @name: of messages; copied
 */
void ide_attach(struct ide *ide, u32 unit, struct disk *disk, bool is_cd, const char *name);

#endif
