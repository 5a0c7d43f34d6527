/*
 * boot.h - load an image into a machine's RAM and say how its first processor starts
 *
 * The kind is found in the content, in this order: Linux bzImage, multiboot 2, multiboot 1 (a
 * header in the first 32 or 8 KiB; the image by its address fields or as ELF), ELF with a PVH note,
 * ELF64, ELF32. Called once while a machine is built (and again at its reset); the machine's
 * processors do not run. Any content gives an error or a machine that starts: nothing that a file
 * contains can make L0 fail. Uses the heap and file I/O, never prints.
 *
 * RAM as it is left: the image's segments, modules, and the loader's own area below 1 MiB
 * (BOOT_AREA_*): page tables, GDT, information structure, strings.
 */
#ifndef L0_BOOT_BOOT_H
#define L0_BOOT_BOOT_H

#include "l0/arch/cpu_state.h"
#include "l0/mem/mem.h"

/* What the loader writes below 1 MiB for itself, besides the firmware's tables at 0xf0000-0xfffff
 * and the BIOS data area; no segment or module may touch it. */
#define BOOT_AREA_START 0x90000ull
#define BOOT_AREA_END 0x9fc00ull

#define BOOT_MAX_MODULES 32u
/* Firmware starts in its copy below 1 MiB: F000:FFF0 with this base of CS, not 0xffff0000. */
#define FIRMWARE_RESET_BASE 0xf0000ull
#define BOOT_ERR_BYTES 512u

#define MULTIBOOT1_BOOT_MAGIC 0x2badb002u

struct boot_module {
	const char *path;
	const char *args; /* its command line, or NULL for the path */
};

/* Processors that the firmware tables name. */
struct boot_cpus {
	u32 n;	      /* 0 counts as 1 */
	bool hotplug; /* they may come and go (l0/dev/cpu_hotplug.h) ... */
	u64 absent;   /* ... and are not there yet: a bit for each */
};

struct boot_request {
	const char *image;
	const char *append; /* command line, or NULL; the image's path is put before it */
	const char *initrd; /* or NULL; the first module for multiboot */
	const struct boot_module *modules;
	u32 nmodules;
	u32 entry; /* of a Linux kernel: 16, 32 or 64 bits; 0: 64 where it has that, else 32 */
	struct boot_cpus cpus;
};

enum boot_kind {
	BOOT_FIRMWARE, /* at its reset vector */
	BOOT_MULTIBOOT1,
	BOOT_MULTIBOOT2,
	BOOT_BZIMAGE,
	BOOT_PVH,
	BOOT_ELF64,
	BOOT_ELF32,
	BOOT_KIND_COUNT
};

/* How the first processor starts. */
struct boot_state {
	enum boot_kind kind;
	/* at code_segment:rip with a stack at data_segment:rsp, which is in DS to SS too */
	bool real_mode;
	u16 code_segment, data_segment;
	u64 rsp;
	bool long_mode; /* 64-bit with paging on; else 32-bit protected mode, paging off */
	u64 rip;
	u64 rax, rbx, rsi, rdi;
	u64 cr3;
	u64 gdt_base;
	u32 gdt_limit;
	u64 info_gpa;  /* the information structure of the image's kind */
	u64 image_end; /* first byte behind the highest segment */
	u64 ram_end;   /* for firmware: end of low RAM that is free; ACPI tables follow */
	u8 rsdp[36];   /* for firmware: what the system is to find */
};

/**
 * boot_load - load what @req names
 * @m: RAM, zero where nothing is loaded (as mem_create() leaves it)
 * @out: filled on success
 * @err, @err_bytes: one line on failure, without a newline: what, where, what to do
 * Return: 0; -ENOENT, -EIO and other errors of the file system; -ENOEXEC when the image is not one
 * that can be loaded; -E2BIG when it does not fit the machine's memory; -ENOMEM.
 */
int boot_load(struct mem *m, const struct boot_request *req, struct boot_state *out, char *err,
	      size_t err_bytes) __must_check;

/**
 * boot_firmware - prepare a machine that starts in its firmware
 * @path: for messages
 * @rom, @bytes: its contents, a multiple of 64 KiB; the last 256 KiB are copied below 1 MiB
 * @cpus: processors that the ACPI tables name
 * Return: as boot_load().
 */
int boot_firmware(struct mem *m, const char *path, const u8 *rom, u64 bytes, struct boot_cpus cpus,
		  struct boot_state *out, char *err, size_t err_bytes) __must_check;

/**
 * boot_apply - put a processor into the state that @b describes
 * @cpu: as after engine_reset(); registers that the boot contract does not name are kept. The
 * caller then tells the engine (engine_state_changed()).
 */
void boot_apply(const struct boot_state *b, struct cpu_state *cpu);

#define SMBIOS_ANCHOR_BYTES 31u
#define SMBIOS_TABLES_MAX 16384u

/* The machine's SMBIOS structures and their entry point without an address, for firmware. Return:
 * bytes of @tables (SMBIOS_TABLES_MAX). */
u32 boot_smbios(const struct mem *m, u32 nvps, u8 *tables, u8 anchor[SMBIOS_ANCHOR_BYTES]);

/* Name of a kind, for messages. */
const char *boot_kind_name(enum boot_kind kind);

#endif
