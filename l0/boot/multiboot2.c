/*
 * multiboot2.c - images with a multiboot 2 header
 *
 * The header lies in the first 32 KiB, 8-byte aligned, followed by tags. An address tag places the
 * image; otherwise it is an ELF file. Tags that are not understood fail the load unless they are
 * marked optional. Entered in 32-bit protected mode with EBX pointing to the tagged information.
 * Source: The Multiboot2 Specification 2.0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l0/boot/boot_priv.h"
#include "l0/boot/firmware.h"

#define HEADER_MAGIC 0xe85250d6u
#define BOOT_MAGIC 0x36d76289u
#define HEADER_SEARCH_BYTES 32768u
#define HEADER_BYTES 16u
#define ARCH_I386 0u
#define TAG_OPTIONAL 1u

enum header_tag {
	TAG_END,
	TAG_REQUEST,
	TAG_ADDRESS,
	TAG_ENTRY,
	TAG_CONSOLE,
	TAG_FRAMEBUFFER,
	TAG_MODULE_ALIGN,
	TAG_EFI_SERVICES,
	TAG_EFI_ENTRY32,
	TAG_EFI_ENTRY64,
	TAG_RELOCATABLE,
};

enum info_tag {
	INFO_END = 0,
	INFO_CMDLINE = 1,
	INFO_LOADER = 2,
	INFO_MODULE = 3,
	INFO_MEMORY = 4,
	INFO_MMAP = 6,
	INFO_ACPI_NEW = 15,
};

#define INFO_ROOM 16384u

struct header {
	u64 off; /* in the file */
	u32 bytes;
	bool has_address, has_entry;
	u32 header_addr, load_addr, load_end, bss_end, entry;
};

static u64 find_header(const struct boot_file *f)
{
	for (u64 off = 0;
	     off + HEADER_BYTES <= HEADER_SEARCH_BYTES && off + HEADER_BYTES <= f->bytes;
	     off += 8) {
		u32 sum = boot_file_u32(f, off) + boot_file_u32(f, off + 4) +
			  boot_file_u32(f, off + 8) + boot_file_u32(f, off + 12);

		if (boot_file_u32(f, off) == HEADER_MAGIC && sum == 0)
			return off;
	}
	return ~0ull;
}

static bool probe(const struct boot_file *f)
{
	return find_header(f) != ~0ull;
}

/* One tag of the header; @off is its place in the file, @bytes its size. */
static int read_tag(struct boot_ctx *c, struct header *h, u64 off, u32 bytes)
{
	const struct boot_file *f = &c->image;
	u32 type = boot_file_u16(f, off), flags = boot_file_u16(f, off + 2);

	switch ((enum header_tag)type) {
	case TAG_ADDRESS:
		h->has_address = bytes >= 24;
		h->header_addr = boot_file_u32(f, off + 8);
		h->load_addr = boot_file_u32(f, off + 12);
		h->load_end = boot_file_u32(f, off + 16);
		h->bss_end = boot_file_u32(f, off + 20);
		return 0;
	case TAG_ENTRY:
		h->has_entry = bytes >= 12;
		h->entry = boot_file_u32(f, off + 8);
		return 0;
	case TAG_REQUEST: /* what there is, is given; what is missing must have been optional */
	case TAG_CONSOLE:
	case TAG_FRAMEBUFFER:
	case TAG_MODULE_ALIGN:
	case TAG_EFI_SERVICES:
	case TAG_EFI_ENTRY32:
	case TAG_EFI_ENTRY64:
	case TAG_RELOCATABLE: /* loaded where it was linked */
	case TAG_END: return 0;
	}
	if (flags & TAG_OPTIONAL)
		return 0;
	return boot_fail(c, f->path, -ENOEXEC,
			 "its multiboot 2 header requires tag %u, which is not supported", type);
}

static int read_header(struct boot_ctx *c, struct header *h)
{
	const struct boot_file *f = &c->image;
	u32 arch = boot_file_u32(f, h->off + 4);

	h->bytes = boot_file_u32(f, h->off + 8);
	if (arch != ARCH_I386)
		return boot_fail(c, f->path, -ENOEXEC,
				 "multiboot 2 for architecture %u, not for x86", arch);
	if (h->bytes < HEADER_BYTES || h->bytes > f->bytes - h->off)
		return boot_fail(c, f->path, -ENOEXEC, "truncated inside its multiboot 2 header");
	for (u64 off = h->off + HEADER_BYTES, end = h->off + h->bytes; end - off >= 8;) {
		u32 bytes = boot_file_u32(f, off + 4);

		if (bytes < 8 || bytes > end - off)
			return boot_fail(c, f->path, -ENOEXEC,
					 "its multiboot 2 header has a tag of %u bytes", bytes);
		if (boot_file_u16(f, off) == TAG_END)
			break;
		int ret = read_tag(c, h, off, bytes);

		if (ret)
			return ret;
		off = MIN(off + ALIGN_UP((u64)bytes, 8ull), end);
	}
	return 0;
}

static int load_by_addresses(struct boot_ctx *c, const struct header *h)
{
	const struct boot_file *f = &c->image;
	u64 before = (u64)h->header_addr - h->load_addr;

	if (h->load_addr == ~0u) /* from the start of the file */
		before = h->off;
	else if (h->load_addr > h->header_addr || before > h->off)
		return boot_fail(c, f->path, -ENOEXEC,
				 "its multiboot 2 header has impossible addresses 0x%x and 0x%x",
				 h->load_addr, h->header_addr);
	u64 start = h->off - before, to = (u64)h->header_addr - before, avail = f->bytes - start;
	u64 bytes = h->load_end ? (u64)h->load_end - to : avail;
	u64 room = h->bss_end ? (u64)h->bss_end - to : bytes;

	if (h->header_addr < before || (h->load_end && h->load_end < to) || bytes > avail)
		return boot_fail(c, f->path, -ENOEXEC,
				 "truncated: its multiboot 2 header wants more than the file has");
	if (room < bytes)
		return boot_fail(c, f->path, -ENOEXEC,
				 "its multiboot 2 header ends its bss before its data");
	if (!h->has_entry || h->entry < to || h->entry >= to + room)
		return boot_fail(c, f->path, -ENOEXEC,
				 "its entry point 0x%x lies outside the image", h->entry);
	c->out->rip = h->entry;
	return boot_place(c, f->path, "image", to, f->data + start, bytes, room);
}

/* ---- information ----------------------------------------------------------------------------- */

struct info {
	u8 *buf;
	u32 used;
	bool overflow;
};

static void put_tag(struct info *i, u32 type, const void *head, u32 head_bytes, const void *tail,
		    u32 tail_bytes)
{
	const u32 start[2] = {type, 8 + head_bytes + tail_bytes};
	u32 room = ALIGN_UP(start[1], 8u);

	if (room > INFO_ROOM - i->used) {
		i->overflow = true;
		return;
	}
	memcpy(i->buf + i->used, start, 8);
	if (head_bytes)
		memcpy(i->buf + i->used + 8, head, head_bytes);
	if (tail_bytes)
		memcpy(i->buf + i->used + 8 + head_bytes, tail, tail_bytes);
	i->used += room;
}

static void put_memory(struct boot_ctx *c, struct info *i)
{
	struct boot_range map[BOOT_MAX_RANGES];
	struct {
		u64 base, bytes;
		u32 type, zero;
	} out[BOOT_MAX_RANGES];
	const u32 head[2] = {sizeof(out[0]), 0};
	u32 n = boot_memory_map(c->m, map);
	const u32 sizes[2] = {(u32)(map[0].bytes / KIB),
			      (u32)((MIN(mem_ram_bytes(c->m), MEM_HOLE_START) - MIB) / KIB)};

	for (u32 r = 0; r < n; r++) {
		out[r].base = map[r].base;
		out[r].bytes = map[r].bytes;
		out[r].type = map[r].type;
		out[r].zero = 0;
	}
	put_tag(i, INFO_MEMORY, sizes, sizeof(sizes), NULL, 0);
	put_tag(i, INFO_MMAP, head, sizeof(head), out, n * (u32)sizeof(out[0]));
}

static int put_modules(struct boot_ctx *c, struct info *i)
{
	struct boot_loaded list[BOOT_MAX_MODULES + 1];
	u32 n;
	int ret = boot_load_modules(c, list, &n);

	for (u32 m = 0; m < n && !ret; m++) {
		const u32 range[2] = {(u32)list[m].start, (u32)(list[m].start + list[m].bytes)};
		const char *s = (const char *)mem_ram_hva(c->m, list[m].cmdline, 1);

		put_tag(i, INFO_MODULE, range, sizeof(range), s, (u32)strlen(s) + 1);
	}
	return ret;
}

static int put_cmdline(struct boot_ctx *c, struct info *i)
{
	u64 at = boot_put_cmdline(c, c->image.path, c->req->append);

	if (!at)
		return -E2BIG;
	const char *s = (const char *)mem_ram_hva(c->m, at, 1);

	put_tag(i, INFO_CMDLINE, s, (u32)strlen(s) + 1, NULL, 0);
	return 0;
}

static int put_info(struct boot_ctx *c, struct info *i)
{
	u32 total[2] = {0, 0};

	i->used = sizeof(total);
	int ret = put_cmdline(c, i);

	if (!ret)
		ret = put_modules(c, i);
	if (ret)
		return ret;
	put_tag(i, INFO_LOADER, BOOT_LOADER_NAME, sizeof(BOOT_LOADER_NAME), NULL, 0);
	put_memory(c, i);
	put_tag(i, INFO_ACPI_NEW, mem_ram_hva(c->m, FIRMWARE_RSDP, FIRMWARE_RSDP_BYTES),
		FIRMWARE_RSDP_BYTES, NULL, 0);
	put_tag(i, INFO_END, NULL, 0, NULL, 0);
	if (i->overflow)
		return boot_fail(c, c->image.path, -E2BIG,
				 "the command line and module names are too long for multiboot 2");
	total[0] = i->used;
	memcpy(i->buf, total, sizeof(total));
	c->out->info_gpa = boot_area_put(c, i->buf, i->used, 8);
	return c->out->info_gpa ? 0 : -E2BIG;
}

static int load(struct boot_ctx *c)
{
	struct header h = {.off = find_header(&c->image)};
	struct info i = {0};
	int ret = read_header(c, &h);

	if (ret)
		return ret;
	if (h.has_address)
		ret = load_by_addresses(c, &h);
	else if (boot_is_elf(&c->image))
		ret = boot_elf_load(c, &c->out->rip);
	else
		ret = boot_fail(c, c->image.path, -ENOEXEC,
				"multiboot 2 header without addresses, and not an ELF file");
	if (ret)
		return ret;
	if (h.has_entry)
		c->out->rip = h.entry;
	if (c->out->rip >= 4 * GIB)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "its entry point 0x%llx is above 4 GiB",
				 (unsigned long long)c->out->rip);
	ret = boot_prepare(c, false);
	if (ret)
		return ret;
	i.buf = calloc(1, INFO_ROOM);
	ret = i.buf ? put_info(c, &i) : boot_fail(c, c->image.path, -ENOMEM, "out of memory");
	free(i.buf);
	c->out->rax = BOOT_MAGIC;
	c->out->rbx = c->out->info_gpa;
	return ret;
}

const struct boot_format boot_multiboot2 = {BOOT_MULTIBOOT2, probe, load};
