/*
 * firmware.h - the tables by which firmware describes a PC: ACPI, MP table, BIOS data area
 *
 * Written into 0xf0000-0xfffff (and the BIOS data area at 0x400) before an image is loaded, for
 * images that start without firmware of their own. They describe what l0/dev implements: the
 * numbers are those of l0/arch/ports.h. Only included inside l0/boot/. Source: ACPI
 * Specification 6.4; MultiProcessor Specification 1.4.
 */
#ifndef L0_BOOT_FIRMWARE_H
#define L0_BOOT_FIRMWARE_H

#include "l0/boot/boot_priv.h"

/* Write everything for a machine of these processors. Return: 0, or -errno with the message set. */
int firmware_write(struct boot_ctx *c, struct boot_cpus cpus) __must_check;

/*
 * firmware_write_acpi - the ACPI tables alone, into RAM from @start to @end, for a machine that
 * starts in firmware of its own, which shows @rsdp to the system. Return: as above.
 */
int firmware_write_acpi(struct boot_ctx *c, struct boot_cpus cpus, u64 start, u64 end,
			u8 *rsdp) __must_check;

#define FIRMWARE_START 0xf0000ull
#define FIRMWARE_END 0x100000ull
/* Configuration space of PCI bus 0 by memory (PCI_ECAM of l0/dev/pci.h). */
#define FIRMWARE_ECAM 0xe0000000ull
#define FIRMWARE_ECAM_BYTES 0x100000ull
#define FIRMWARE_RSDP FIRMWARE_START /* found by scanning, and named to images that can be told */
#define FIRMWARE_RSDP_BYTES 36u

#endif
