/*
 * boot_priv.h - what the loaders of l0/boot/ share: files, errors, placing bytes in RAM
 *
 * Only included inside l0/boot/. One struct boot_ctx lives for one boot_load().
 */
#ifndef L0_BOOT_BOOT_PRIV_H
#define L0_BOOT_BOOT_PRIV_H

#include "l0/boot/boot.h"

/* A file read into memory. */
struct boot_file {
	const char *path;
	u8 *data;
	u64 bytes;
};

struct boot_ctx {
	struct mem *m;
	const struct boot_request *req;
	struct boot_state *out;
	struct boot_file image;
	char *err;
	size_t err_bytes;
	u64 low_end;	/* first byte behind what was placed below MEM_HOLE_START */
	u64 placed_sum; /* bytes of all segments, against images that only cost time */
	u64 area_next;	/* next free byte of the loader's own area */
};

/* One kind of image: what it is called, how it is told, how it is loaded. */
struct boot_format {
	enum boot_kind kind;
	bool (*probe)(const struct boot_file *f);
	int (*load)(struct boot_ctx *c); /* -errno with the message set */
};

extern const struct boot_format boot_multiboot1;
extern const struct boot_format boot_elf64;
extern const struct boot_format boot_elf32;

/* Set the message to "PATH: text" and return @code (a negative errno). */
int boot_fail(struct boot_ctx *c, const char *path, int code, const char *fmt, ...)
	__printf_like(4, 5);

/* Read all of @path. Return: 0, or -errno with the message set. The caller frees data. */
int boot_read_file(struct boot_ctx *c, const char *path, struct boot_file *f) __must_check;

/**
 * boot_place - put a segment into RAM
 * @what: for messages ("segment 2", "module")
 * @file_bytes: taken from @data; @mem_bytes: room it has, zero behind the bytes of the file
 * Return: 0; -E2BIG or -ENOEXEC with the message set.
 */
int boot_place(struct boot_ctx *c, const char *path, const char *what, u64 gpa, const u8 *data,
	       u64 file_bytes, u64 mem_bytes) __must_check;

/* Room in the loader's own area, 8-byte aligned at least; 0 with the message set when it is full.
 */
u64 boot_area_alloc(struct boot_ctx *c, u64 bytes, u64 align);

/* Bounds-checked little-endian loads from a file: 0 beyond its end. */
u32 boot_file_u32(const struct boot_file *f, u64 off);
u16 boot_file_u16(const struct boot_file *f, u64 off);

/* elf.c: load the segments of an ELF file of either class; *@entry is physical. */
bool boot_is_elf(const struct boot_file *f);
int boot_elf_load(struct boot_ctx *c, u64 *entry) __must_check;

/* handoff.c: GDT, page tables, modules, multiboot information; fills @out but rip and kind. */
int boot_handoff(struct boot_ctx *c, bool long_mode) __must_check;

#endif
