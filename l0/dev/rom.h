/*
 * rom.h - firmware in the last bytes below 4 GiB, read from a file
 *
 * Writes are ignored. Code does not run from there: the machine copies the ROM's last 256 KiB to
 * RAM below 1 MiB, where PC firmware expects to find itself, and starts it there (l0/boot).
 */
#ifndef L0_DEV_ROM_H
#define L0_DEV_ROM_H

#include "l0/dev/bus.h"

#define ROM_MAX_BYTES (8 * MIB)
#define ROM_ERR_BYTES 512

struct rom;

/**
 * rom_create - a ROM with the contents of the file @path
 * @err: ROM_ERR_BYTES; one line when NULL is returned: the file is missing, no multiple of 64 KiB
 * up to ROM_MAX_BYTES, or out of memory
 */
struct rom *rom_create(struct machine_bus *bus, const char *path, char *err) __must_check;

const u8 *rom_contents(const struct rom *r, u64 *bytes);

#endif
