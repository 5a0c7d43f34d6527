/*
 * smbios.h - the SMBIOS tables of a machine: what dmidecode and drivers' quirk lists read
 *
 * Entry point 2.8 and the structures BIOS, system, enclosure, processor, memory array, devices and
 * range, boot status, end. Only included inside l0/boot/. Source: DMTF DSP0134, SMBIOS Reference
 * 3.4.
 */
#ifndef L0_BOOT_SMBIOS_H
#define L0_BOOT_SMBIOS_H

#include "l0/boot/boot.h"

struct smbios {
	u8 tables[SMBIOS_TABLES_MAX];
	u32 bytes;
	u16 count, largest; /* structures; bytes of the largest */
};

/* The structures for a machine of @ram_bytes and @nvps processors. */
void smbios_build(struct smbios *s, u64 ram_bytes, u32 nvps);

/* The entry point for structures that lie at @gpa, below 4 GiB. */
void smbios_anchor(const struct smbios *s, u32 gpa, u8 anchor[SMBIOS_ANCHOR_BYTES]);

#endif
