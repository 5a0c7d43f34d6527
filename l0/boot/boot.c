/* boot.c - reads the files, finds the kind of image, places bytes in RAM; see boot.h */
#include "l0/boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l0/boot/boot_priv.h"
#include "l0/boot/firmware.h"

/* Files beyond this are no images; a sparse file must not eat the host's memory. */
#define MAX_FILE_BYTES (8 * GIB)
/* All segments of an image together, as a multiple of the machine's RAM. */
#define MAX_PLACED_FACTOR 4

/* The first that recognises the content. */
static const struct boot_format *const formats[] = {
	&boot_bzimage, &boot_multiboot2, &boot_multiboot1, &boot_pvh, &boot_elf64, &boot_elf32,
};

const char *boot_kind_name(enum boot_kind kind)
{
	static const char *const names[BOOT_KIND_COUNT] = {
		[BOOT_FIRMWARE] = "firmware",
		[BOOT_MULTIBOOT1] = "multiboot 1",
		[BOOT_MULTIBOOT2] = "multiboot 2",
		[BOOT_BZIMAGE] = "Linux bzImage",
		[BOOT_PVH] = "PVH",
		[BOOT_ELF64] = "ELF64",
		[BOOT_ELF32] = "ELF32",
	};

	return kind < BOOT_KIND_COUNT ? names[kind] : "unknown";
}

int boot_fail(struct boot_ctx *c, const char *path, int code, const char *fmt, ...)
{
	int n = snprintf(c->err, c->err_bytes, "%s: ", path);
	va_list ap;

	if (n >= 0 && (size_t)n < c->err_bytes) {
		va_start(ap, fmt);
		vsnprintf(c->err + n, c->err_bytes - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return code;
}

static int read_all(struct boot_ctx *c, int fd, struct boot_file *f)
{
	u64 room = f->bytes;

	f->bytes = 0;
	while (f->bytes < room) {
		ssize_t n = read(fd, f->data + f->bytes, room - f->bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return boot_fail(c, f->path, -errno, "cannot be read: %s", strerror(errno));
		if (!n)
			break; /* it shrank meanwhile: the checks see a truncated image */
		f->bytes += (u64)n;
	}
	return 0;
}

int boot_read_file(struct boot_ctx *c, const char *path, struct boot_file *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	struct stat st;

	*f = (struct boot_file){.path = path};
	if (fd < 0)
		return boot_fail(c, path, -errno, "cannot be opened: %s", strerror(errno));
	if (fstat(fd, &st))
		ret = boot_fail(c, path, -errno, "cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		ret = boot_fail(c, path, -ENOEXEC, "not a regular file");
	else if (st.st_size == 0)
		ret = boot_fail(c, path, -ENOEXEC, "the file is empty");
	else if ((u64)st.st_size > MAX_FILE_BYTES)
		ret = boot_fail(c, path, -E2BIG, "too large for an image (%llu bytes)",
				(unsigned long long)st.st_size);
	if (ret)
		goto out;
	f->bytes = (u64)st.st_size;
	f->data = malloc(f->bytes);
	if (!f->data)
		ret = boot_fail(c, path, -ENOMEM, "not enough memory to read it (%llu bytes)",
				(unsigned long long)f->bytes);
	else
		ret = read_all(c, fd, f);
	if (!ret && !f->bytes)
		ret = boot_fail(c, path, -ENOEXEC, "the file is empty");
	if (ret) {
		free(f->data);
		f->data = NULL;
	}
out:
	close(fd);
	return ret;
}

u32 boot_file_u32(const struct boot_file *f, u64 off)
{
	u32 v = 0;

	if (off <= f->bytes && f->bytes - off >= sizeof(v))
		memcpy(&v, f->data + off, sizeof(v));
	return v;
}

u16 boot_file_u16(const struct boot_file *f, u64 off)
{
	u16 v = 0;

	if (off <= f->bytes && f->bytes - off >= sizeof(v))
		memcpy(&v, f->data + off, sizeof(v));
	return v;
}

/* Clear RAM, leaving pages that are zero already untouched: a large .bss costs the host nothing. */
static void zero_ram(struct mem *m, u64 pa, u64 bytes)
{
	static const u8 zeros[PAGE_SIZE];

	while (bytes) {
		u64 n = MIN(bytes, PAGE_SIZE - (pa & (PAGE_SIZE - 1)));
		const u8 *p = mem_ram_hva(m, pa, n);

		if (p && memcmp(p, zeros, n) && mem_write(m, pa, zeros, n))
			return;
		pa += n;
		bytes -= n;
	}
}

/* Why [pa, pa+bytes) is not RAM, in one line. */
static int fail_outside_ram(struct boot_ctx *c, const char *path, const char *what, u64 pa,
			    u64 bytes)
{
	u64 ram = mem_ram_bytes(c->m), low = MIN(ram, MEM_HOLE_START), end = pa + bytes;

	if (end <= MEM_HOLE_START)
		return boot_fail(c, path, -E2BIG,
				 "%s needs memory up to 0x%llx (%llu MiB), the machine has 0x%llx "
				 "(%llu MiB):"
				 " give it more memory",
				 what, (unsigned long long)end,
				 (unsigned long long)((end + MIB - 1) / MIB),
				 (unsigned long long)low, (unsigned long long)(low / MIB));
	return boot_fail(c, path, -E2BIG,
			 "%s at 0x%llx-0x%llx is outside the machine's memory (0-0x%llx%s)", what,
			 (unsigned long long)pa, (unsigned long long)end, (unsigned long long)low,
			 ram > low ? " and from 0x100000000" : "");
}

/* The loader's own area and the firmware's tables stay free. */
static int check_own_areas(struct boot_ctx *c, const char *path, const char *what, u64 pa,
			   u64 bytes)
{
	static const struct boot_range own[] = {
		{BOOT_AREA_START, BOOT_AREA_END - BOOT_AREA_START, 0},
		{FIRMWARE_START, FIRMWARE_END - FIRMWARE_START, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (pa < own[i].base + own[i].bytes && pa + bytes > own[i].base)
			return boot_fail(c, path, -ENOEXEC,
					 "%s at 0x%llx-0x%llx overlaps the loader's own area "
					 "0x%llx-0x%llx",
					 what, (unsigned long long)pa,
					 (unsigned long long)(pa + bytes),
					 (unsigned long long)own[i].base,
					 (unsigned long long)(own[i].base + own[i].bytes));
	return 0;
}

int boot_place(struct boot_ctx *c, const char *path, const char *what, u64 pa, const u8 *data,
	       u64 file_bytes, u64 mem_bytes)
{
	if (!mem_bytes)
		return 0;
	if (pa + mem_bytes < pa)
		return boot_fail(c, path, -ENOEXEC, "%s wraps around the address space", what);
	if (!mem_ram_hva(c->m, pa, mem_bytes))
		return fail_outside_ram(c, path, what, pa, mem_bytes);
	int ret = check_own_areas(c, path, what, pa, mem_bytes);

	if (ret)
		return ret;
	c->placed_sum += mem_bytes;
	if (c->placed_sum > MAX_PLACED_FACTOR * mem_ram_bytes(c->m))
		return boot_fail(c, path, -ENOEXEC, "its segments lie on top of each other");
	if (file_bytes && mem_write(c->m, pa, data, file_bytes))
		return fail_outside_ram(c, path, what, pa, mem_bytes);
	zero_ram(c->m, pa + file_bytes, mem_bytes - file_bytes);
	if (pa < MEM_HOLE_START)
		c->low_end = MAX(c->low_end, pa + mem_bytes);
	c->out->image_end = MAX(c->out->image_end, pa + mem_bytes);
	return 0;
}

u64 boot_area_alloc(struct boot_ctx *c, u64 bytes, u64 align)
{
	u64 at = ALIGN_UP(c->area_next, MAX(align, (u64)8));

	if (bytes > BOOT_AREA_END - at) {
		boot_fail(c, c->image.path, -E2BIG,
			  "the command line and module names are too long: %llu bytes, %llu left",
			  (unsigned long long)bytes, (unsigned long long)(BOOT_AREA_END - at));
		return 0;
	}
	c->area_next = at + bytes;
	return at;
}

static int load_image(struct boot_ctx *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!formats[i]->probe(&c->image))
			continue;
		c->out->kind = formats[i]->kind;
		if (c->req->entry && c->out->kind != BOOT_BZIMAGE)
			return boot_fail(
				c, c->image.path, -ENOEXEC,
				"is %s, whose entry cannot be chosen: that is for Linux bzImages",
				boot_kind_name(c->out->kind));
		return formats[i]->load(c);
	}
	if (c->image.bytes >= 2 && c->image.data[0] == 0x1f && c->image.data[1] == 0x8b)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "compressed by gzip: decompress it first (gunzip)");
	return boot_fail(
		c, c->image.path, -ENOEXEC,
		"neither ELF, multiboot nor a Linux kernel: not an image that can be booted");
}

int boot_load(struct mem *m, const struct boot_request *req, struct boot_state *out, char *err,
	      size_t err_bytes)
{
	struct boot_ctx c = {
		.m = m,
		.req = req,
		.out = out,
		.err = err,
		.err_bytes = err_bytes,
		.area_next = BOOT_AREA_START,
	};

	*out = (struct boot_state){0};
	if (err_bytes)
		err[0] = 0;
	int ret = boot_read_file(&c, req->image, &c.image);

	if (ret)
		return ret;
	if (mem_ram_bytes(m) < MIB)
		ret = boot_fail(&c, req->image, -E2BIG,
				"the machine has less than 1 MiB of memory: give it more");
	else
		ret = firmware_write(&c, req->cpus);
	if (!ret)
		ret = load_image(&c);
	free(c.image.data);
	return ret;
}

#define SHADOW_MAX (256 * KIB)
#define ACPI_AREA (64 * KIB)
#define FIRMWARE_MIN_RAM (8 * MIB)

int boot_firmware(struct mem *m, const char *path, const u8 *rom, u64 bytes, struct boot_cpus cpus,
		  struct boot_state *out, char *err, size_t err_bytes)
{
	struct boot_ctx c = {
		.m = m, .out = out, .image.path = path, .err = err, .err_bytes = err_bytes};
	u64 shadow = MIN(bytes, (u64)SHADOW_MAX), low = MIN(mem_ram_bytes(m), MEM_HOLE_START);

	*out = (struct boot_state){.kind = BOOT_FIRMWARE};
	if (low < FIRMWARE_MIN_RAM)
		return boot_fail(&c, path, -E2BIG, "firmware needs a machine of 8 MiB at least");
	out->ram_end = low - ACPI_AREA;
	int ret = mem_write(m, MIB - shadow, rom + bytes - shadow, shadow);

	return ret ? ret : firmware_write_acpi(&c, cpus, out->ram_end, low, out->rsdp);
}
