/*
 * multiboot1.c - images with a multiboot 1 header
 *
 * The header lies in the first 8 KiB, 4-byte aligned. With flag 16 it says itself where the image
 * goes; otherwise the image is an ELF file. Entered in 32-bit protected mode, also when the file is
 * ELF64.
 * Source: The Multiboot Specification 0.6.96, "OS image format" and "Machine state".
 */
#include <errno.h>

#include "l0/boot/boot_priv.h"

#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCH_BYTES 8192u
#define HEADER_BYTES 12u
#define HEADER_ADDRESS_BYTES 32u

#define FLAG_ADDRESSES 0x00010000u
/* Bits 0-15 that are not understood must fail the load: known are page-aligned modules (always so
 * here), memory information (always given) and a wish for a video mode (there is no such display,
 * which the specification allows). */
#define FLAGS_REQUIRED 0x0000ffffu
#define FLAGS_KNOWN 0x00000007u

/* Offset of the header, or ~0. */
static u64 find_header(const struct boot_file *f)
{
	for (u64 off = 0;
	     off + HEADER_BYTES <= HEADER_SEARCH_BYTES && off + HEADER_BYTES <= f->bytes;
	     off += 4) {
		u32 sum = boot_file_u32(f, off) + boot_file_u32(f, off + 4) +
			  boot_file_u32(f, off + 8);

		if (boot_file_u32(f, off) == HEADER_MAGIC && sum == 0)
			return off;
	}
	return ~0ull;
}

static bool probe(const struct boot_file *f)
{
	return find_header(f) != ~0ull;
}

/* Load by the header's address fields. */
static int load_by_addresses(struct boot_ctx *c, u64 off)
{
	const struct boot_file *f = &c->image;

	if (f->bytes - off < HEADER_ADDRESS_BYTES)
		return boot_fail(c, f->path, -ENOEXEC, "truncated inside its multiboot header");
	u64 header_addr = boot_file_u32(f, off + 12), load_addr = boot_file_u32(f, off + 16),
	    load_end = boot_file_u32(f, off + 20), bss_end = boot_file_u32(f, off + 24),
	    entry = boot_file_u32(f, off + 28);

	if (load_addr > header_addr || header_addr - load_addr > off)
		return boot_fail(
			c, f->path, -ENOEXEC,
			"its multiboot header has load address 0x%llx and header address 0x%llx:"
			" impossible with the header at byte %llu",
			(unsigned long long)load_addr, (unsigned long long)header_addr,
			(unsigned long long)off);
	u64 start = off - (header_addr - load_addr), avail = f->bytes - start;
	u64 file_bytes = load_end ? load_end - load_addr : avail;

	if (load_end && load_end < load_addr)
		return boot_fail(c, f->path, -ENOEXEC,
				 "its multiboot header ends before it starts");
	if (file_bytes > avail)
		return boot_fail(
			c, f->path, -ENOEXEC,
			"truncated: its multiboot header wants %llu bytes, the file has %llu",
			(unsigned long long)file_bytes, (unsigned long long)avail);
	u64 mem_bytes = bss_end ? bss_end - load_addr : file_bytes;

	if (bss_end && bss_end < load_addr + file_bytes)
		return boot_fail(c, f->path, -ENOEXEC,
				 "its multiboot header ends its bss before its data");
	if (entry < load_addr || entry >= load_addr + mem_bytes)
		return boot_fail(c, f->path, -ENOEXEC,
				 "its entry point 0x%llx lies outside the image",
				 (unsigned long long)entry);
	c->out->rip = entry;
	return boot_place(c, f->path, "image", load_addr, f->data + start, file_bytes, mem_bytes);
}

static int load(struct boot_ctx *c)
{
	u64 off = find_header(&c->image);
	u32 flags = boot_file_u32(&c->image, off + 4),
	    unknown = flags & FLAGS_REQUIRED & ~FLAGS_KNOWN;
	int ret;

	if (unknown)
		return boot_fail(
			c, c->image.path, -ENOEXEC,
			"its multiboot header requires features 0x%x that are not supported",
			unknown);
	if (flags & FLAG_ADDRESSES)
		ret = load_by_addresses(c, off);
	else if (boot_is_elf(&c->image))
		ret = boot_elf_load(c, &c->out->rip);
	else
		ret = boot_fail(c, c->image.path, -ENOEXEC,
				"multiboot header without addresses, and not an ELF file");
	if (!ret && c->out->rip >= 4 * GIB)
		ret = boot_fail(c, c->image.path, -ENOEXEC, "its entry point 0x%llx is above 4 GiB",
				(unsigned long long)c->out->rip);
	return ret ? ret : boot_multiboot1_info(c, false);
}

const struct boot_format boot_multiboot1 = {BOOT_MULTIBOOT1, probe, load};
