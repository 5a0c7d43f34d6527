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
extern const struct boot_format boot_multiboot2;
extern const struct boot_format boot_bzimage;
extern const struct boot_format boot_pvh;
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

#define BOOT_LOADER_NAME "nestor"

/* elf.c: load the segments of an ELF file of either class; *@entry is physical. */
bool boot_is_elf(const struct boot_file *f);
int boot_elf_load(struct boot_ctx *c, u64 *entry) __must_check;

/* ---- handoff.c ------------------------------------------------------------------------------- */

/* Types as in E820 and multiboot. */
#define BOOT_RANGE_RAM 1u
#define BOOT_RANGE_RESERVED 2u
#define BOOT_MAX_RANGES 8u

struct boot_range {
	u64 base, bytes;
	u32 type;
};

/* The machine's memory map; Return: how many of the BOOT_MAX_RANGES entries of @map are filled. */
u32 boot_memory_map(const struct mem *m, struct boot_range *map);

/* GDT and, for @long_mode, page tables. Return: 0, or -errno with the message set. */
int boot_prepare(struct boot_ctx *c, bool long_mode) __must_check;

/* Copy @bytes to the loader's area. Return: their address, 0 with the message set. */
u64 boot_area_put(struct boot_ctx *c, const void *data, u64 bytes, u64 align);

/* "PATH ARGUMENTS" (either may be NULL) as a string in the area; 0 with the message set. */
u64 boot_put_cmdline(struct boot_ctx *c, const char *path, const char *args);

/* A module in RAM; @cmdline is the address of its string. */
struct boot_loaded {
	u64 start, bytes, cmdline;
};

/* Load initrd and modules behind the image; @list has room for BOOT_MAX_MODULES + 1. */
int boot_load_modules(struct boot_ctx *c, struct boot_loaded *list, u32 *count) __must_check;

/* mbinfo.c: state and multiboot 1 information; fills @out but rip and kind. */
int boot_multiboot1_info(struct boot_ctx *c, bool long_mode) __must_check;

/* The setup code of a Linux kernel: @bytes of @setup as they are to lie in RAM, header filled
 * in. */
int boot_realmode(struct boot_ctx *c, u8 *setup,
		  u32 bytes) __must_check; /* realmode.c; fills the state but kind */
u16 boot_realmode_heap_end(void);	   /* for the header's heap_end_ptr */

#endif
