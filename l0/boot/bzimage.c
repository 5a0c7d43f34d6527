/*
 * bzimage.c - Linux kernels, by the 64-bit entry of the boot protocol where the kernel has one and
 * the 32-bit entry otherwise, or by the one that the user wants
 *
 * The protected-mode part goes to its preferred address (or to 1 MiB), the initial RAM disk as high
 * as the kernel allows, the zero page and the command line into the loader's area. At the 16-bit
 * entry the kernel's own setup code makes the zero page (realmode.c). Kernels whose protected-mode
 * part lies below 1 MiB are refused.
 * Source: Linux kernel, Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/boot/boot_priv.h"
#include "l0/boot/firmware.h"

/* Offsets in the image, which are those in the zero page too. */
#define OFF_ACPI_RSDP 0x070u
#define OFF_E820_COUNT 0x1e8u
#define OFF_SETUP_SECTS 0x1f1u
#define OFF_SYSSIZE 0x1f4u
#define OFF_BOOT_FLAG 0x1feu
#define OFF_JUMP 0x200u
#define OFF_MAGIC 0x202u
#define OFF_VERSION 0x206u
#define OFF_LOADER_TYPE 0x210u
#define OFF_LOADFLAGS 0x211u
#define OFF_CODE32_START 0x214u
#define OFF_RAMDISK 0x218u
#define OFF_RAMDISK_BYTES 0x21cu
#define OFF_HEAP_END 0x224u
#define OFF_CMDLINE 0x228u
#define OFF_INITRD_MAX 0x22cu
#define OFF_ALIGNMENT 0x230u
#define OFF_RELOCATABLE 0x234u
#define OFF_XLOADFLAGS 0x236u
#define OFF_CMDLINE_MAX 0x238u
#define OFF_PREF_ADDRESS 0x258u
#define OFF_INIT_SIZE 0x260u
#define OFF_E820 0x2d0u
#define OFF_HEADER_END 0x280u
#define ZERO_PAGE_BYTES 4096u

#define MAGIC_HDRS 0x53726448u
#define BOOT_FLAG 0xaa55u
#define LOADED_HIGH 0x01
#define CAN_USE_HEAP 0x80
#define XLF_KERNEL_64 0x0001
#define LOADER_UNDEFINED 0xff
#define ENTRY64_OFFSET 0x200u
#define SECTOR 512u
#define OLDEST_VERSION 0x0206u /* the first that says how long its command line may be */
#define DEFAULT_ADDRESS 0x100000ull

struct e820 {
	u64 base, bytes;
	u32 type;
} __packed;
BUILD_ASSERT_SIZE(struct e820, 20);

struct kernel {
	u32 version, setup_bytes;
	u64 bytes;   /* of the protected-mode part in the file */
	u64 address; /* where it goes */
	u64 room;    /* memory that it needs from there */
	bool entry64;
};

static bool probe(const struct boot_file *f)
{
	return boot_file_u32(f, OFF_MAGIC) == MAGIC_HDRS &&
	       boot_file_u16(f, OFF_BOOT_FLAG) == BOOT_FLAG;
}

static u64 file_u64(const struct boot_file *f, u64 off)
{
	return boot_file_u32(f, off) | (u64)boot_file_u32(f, off + 4) << 32;
}

static int read_header(struct boot_ctx *c, struct kernel *k)
{
	const struct boot_file *f = &c->image;

	if (f->bytes < OFF_E820)
		return boot_fail(c, f->path, -ENOEXEC, "truncated inside its setup header");
	k->version = boot_file_u16(f, OFF_VERSION);
	if (k->version < OLDEST_VERSION)
		return boot_fail(c, f->path, -ENOEXEC,
				 "boot protocol %u.%02u is not supported: needs %u.%02u or later",
				 k->version >> 8, k->version & 0xff, OLDEST_VERSION >> 8,
				 OLDEST_VERSION & 0xff);
	if (!(f->data[OFF_LOADFLAGS] & LOADED_HIGH))
		return boot_fail(
			c, f->path, -ENOEXEC,
			"a zImage, which starts in real mode, is not supported: build a bzImage");
	u32 sectors = f->data[OFF_SETUP_SECTS] ? f->data[OFF_SETUP_SECTS] : 4;

	k->setup_bytes = (sectors + 1) * SECTOR;
	k->bytes = (u64)boot_file_u32(f, OFF_SYSSIZE) * 16;
	if (!k->bytes || k->setup_bytes >= f->bytes)
		return boot_fail(c, f->path, -ENOEXEC, "truncated: it has no protected-mode part");
	/* the size is rounded up to 16; the file need not be */
	if (k->bytes > f->bytes - k->setup_bytes + 15)
		return boot_fail(c, f->path, -ENOEXEC,
				 "truncated: the kernel has %llu bytes, the file %llu of them",
				 (unsigned long long)k->bytes,
				 (unsigned long long)(f->bytes - k->setup_bytes));
	k->bytes = MIN(k->bytes, f->bytes - k->setup_bytes);
	return 0;
}

static int place_kernel(struct boot_ctx *c, struct kernel *k)
{
	const struct boot_file *f = &c->image;
	bool has_pref = k->version >= 0x020a, relocatable = f->data[OFF_RELOCATABLE];

	k->address = has_pref ? file_u64(f, OFF_PREF_ADDRESS) : DEFAULT_ADDRESS;
	k->room = MAX(k->bytes, has_pref ? (u64)boot_file_u32(f, OFF_INIT_SIZE) : k->bytes);
	/* a relocatable kernel makes do with less memory below its preferred address */
	if (relocatable && k->address > DEFAULT_ADDRESS &&
	    !mem_ram_hva(c->m, k->address, k->room)) {
		u64 align = MAX(boot_file_u32(f, OFF_ALIGNMENT), (u32)PAGE_SIZE);

		if (is_pow2(align))
			k->address = ALIGN_UP(DEFAULT_ADDRESS, align);
	}
	k->entry64 = k->version >= 0x020c && (boot_file_u16(f, OFF_XLOADFLAGS) & XLF_KERNEL_64);
	if (c->req->entry == 64 && !k->entry64)
		return boot_fail(c, f->path, -ENOEXEC, "this kernel has no 64-bit entry");
	if (c->req->entry)
		k->entry64 = c->req->entry == 64;
	return boot_place(c, f->path, "kernel", k->address, f->data + k->setup_bytes, k->bytes,
			  k->room);
}

/* As high as it may be, on a page; behind the kernel at least. */
static int place_initrd(struct boot_ctx *c, const struct kernel *k, u8 *zero_page)
{
	u64 top = MIN(mem_ram_bytes(c->m), MEM_HOLE_START);
	u64 limit = (u64)boot_file_u32(&c->image, OFF_INITRD_MAX) + 1;
	struct boot_file f;

	if (!c->req->initrd)
		return 0;
	int ret = boot_read_file(c, c->req->initrd, &f);

	if (ret)
		return ret;
	top = MIN(top, limit);
	u64 at = f.bytes <= top ? ALIGN_DOWN(top - f.bytes, PAGE_SIZE) : 0;

	if (at < k->address + k->room)
		ret = boot_fail(
			c, f.path, -E2BIG,
			"%llu bytes do not fit between the kernel's end at 0x%llx and 0x%llx:"
			" give the machine more memory",
			(unsigned long long)f.bytes, (unsigned long long)(k->address + k->room),
			(unsigned long long)top);
	else
		ret = boot_place(c, f.path, "initial RAM disk", at, f.data, f.bytes, f.bytes);
	nm_store32(zero_page + OFF_RAMDISK, (u32)at);
	nm_store32(zero_page + OFF_RAMDISK_BYTES, (u32)f.bytes);
	free(f.data);
	return ret;
}

static int put_cmdline(struct boot_ctx *c, u8 *zero_page)
{
	const char *s = c->req->append ? c->req->append : "";
	u32 max = boot_file_u32(&c->image, OFF_CMDLINE_MAX);

	if (strlen(s) > max)
		return boot_fail(c, c->image.path, -E2BIG,
				 "the command line has %zu characters, this kernel takes %u",
				 strlen(s), max);
	u64 at = boot_put_cmdline(c, NULL, s);

	nm_store32(zero_page + OFF_CMDLINE, (u32)at);
	return at ? 0 : -E2BIG;
}

static void fill_zero_page(struct boot_ctx *c, const struct kernel *k, u8 *zero_page)
{
	const struct boot_file *f = &c->image;
	/* the header's length is the operand of the jump over it */
	u32 end = MIN(OFF_MAGIC + f->data[OFF_JUMP + 1], OFF_HEADER_END);
	struct boot_range map[BOOT_MAX_RANGES];
	u32 n = boot_memory_map(c->m, map);

	if (end > OFF_SETUP_SECTS)
		memcpy(zero_page + OFF_SETUP_SECTS, f->data + OFF_SETUP_SECTS,
		       end - OFF_SETUP_SECTS);
	zero_page[OFF_LOADER_TYPE] = LOADER_UNDEFINED;
	nm_store32(zero_page + OFF_CODE32_START, (u32)k->address);
	nm_store64(zero_page + OFF_ACPI_RSDP, FIRMWARE_RSDP);
	zero_page[OFF_E820_COUNT] = (u8)n;
	for (u32 i = 0; i < n; i++) {
		const struct e820 e = {map[i].base, map[i].bytes, map[i].type};

		memcpy(zero_page + OFF_E820 + i * sizeof(e), &e, sizeof(e));
	}
}

/* The 16-bit entry: what the boot loader writes into the header, in the setup code's own copy. */
static int load_setup(struct boot_ctx *c, const struct kernel *k)
{
	u8 *setup = malloc(k->setup_bytes);

	if (!setup)
		return boot_fail(c, c->image.path, -ENOMEM, "out of memory");
	memcpy(setup, c->image.data, k->setup_bytes);
	setup[OFF_LOADER_TYPE] = LOADER_UNDEFINED;
	setup[OFF_LOADFLAGS] |= CAN_USE_HEAP;
	nm_store16(setup + OFF_HEAP_END, boot_realmode_heap_end());
	nm_store32(setup + OFF_CODE32_START, (u32)k->address);
	int ret = put_cmdline(c, setup);

	if (!ret)
		ret = place_initrd(c, k, setup);
	if (!ret)
		ret = boot_realmode(c, setup, k->setup_bytes);
	free(setup);
	return ret;
}

static int load(struct boot_ctx *c)
{
	u8 zero_page[ZERO_PAGE_BYTES] = {0};
	struct boot_state *b = c->out;
	struct kernel k = {0};
	int ret = read_header(c, &k);

	if (!ret)
		ret = place_kernel(c, &k);
	if (!ret && c->req->nmodules)
		ret = boot_fail(c, c->image.path, -ENOEXEC,
				"a Linux kernel takes no modules, only an initial RAM disk");
	if (ret || c->req->entry == 16)
		return ret ? ret : load_setup(c, &k);
	fill_zero_page(c, &k, zero_page);
	ret = boot_prepare(c, k.entry64);
	if (!ret)
		ret = put_cmdline(c, zero_page);
	if (!ret)
		ret = place_initrd(c, &k, zero_page);
	if (ret)
		return ret;
	b->info_gpa = boot_area_put(c, zero_page, sizeof(zero_page), PAGE_SIZE);
	b->rsi = b->info_gpa;
	b->rip = k.address + (k.entry64 ? ENTRY64_OFFSET : 0);
	return b->info_gpa ? 0 : -E2BIG;
}

const struct boot_format boot_bzimage = {BOOT_BZIMAGE, probe, load};
