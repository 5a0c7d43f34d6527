/*
 * symbols: names for guest addresses, from an ELF file or a System.map
 *
 * Loaded at the start of a command, looked up only when something is printed. Knows nothing of
 * machines; callers say whose addresses they are. Addresses are those of the file plus a slide (of
 * a kernel that moves itself); for Linux the slide follows from where SYSCALL enters the kernel.
 * Cost: a bisection a look-up.
 */
#ifndef L0_SYMBOLS_SYMBOLS_H
#define L0_SYMBOLS_SYMBOLS_H

#include "l0/base/types.h"

#define SYMBOLS_NAME_BYTES 128

struct symbols;

/**
 * symbols_load - read the code's symbols of FILE or FILE@SLIDE (SLIDE: 0x…)
 * @out: the caller's to symbols_free(); NULL when it fails
 * Return: 0; -errno: @why says it in one line, beginning with the file's name.
 */
int symbols_load(const char *spec, struct symbols **out, char *why, size_t why_bytes) __must_check;
void symbols_free(struct symbols *s);

/* "name" or "name+0x1f" for @address, into @buf of SYMBOLS_NAME_BYTES; NULL: no symbol is near. */
const char *symbols_name(const struct symbols *s, u64 address, char *buf);

/* The file's address of @name, without the slide. Return: it has one. */
bool symbols_address(const struct symbols *s, const char *name, u64 *address);

/**
 * symbols_find_slide - where a Linux kernel is, from its IA32_LSTAR, which holds the address of
 * entry_SYSCALL_64 (Linux, arch/x86/kernel/cpu/common.c)
 * Does nothing when the slide was given, or is no multiple of 2 MiB (another system runs).
 */
void symbols_find_slide(struct symbols *s, u64 lstar);

/* The file, as it was named; the slide. */
const char *symbols_path(const struct symbols *s);
u64 symbols_slide(const struct symbols *s);

#endif
