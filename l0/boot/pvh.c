/*
 * pvh.c - ELF kernels with the PVH note (XEN_ELFNOTE_PHYS32_ENTRY)
 *
 * Entered at the note's physical address in 32-bit protected mode, paging off, EBX pointing to
 * struct hvm_start_info.
 * Source: Xen, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "l0/boot/boot_priv.h"
#include "l0/boot/firmware.h"

#define XEN_NOTE_NAME "Xen"
#define XEN_NOTE_PHYS32_ENTRY 18u
#define START_MAGIC 0x336ec578u
#define START_VERSION 1u
#define MAX_NOTE_SEGMENTS 64u

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};
BUILD_ASSERT_SIZE(struct start_info, 56);

struct start_module {
	u64 paddr, size, cmdline, reserved;
};

struct start_range {
	u64 addr, size;
	u32 type, reserved;
};

/* Look for the entry in the notes of [off, off + bytes). */
static bool find_in_notes(const struct boot_file *f, u64 off, u64 bytes, u64 *entry)
{
	u64 end = off + bytes;

	if (off > f->bytes || bytes > f->bytes - off)
		return false;
	while (end - off >= sizeof(Elf32_Nhdr)) {
		u64 name_bytes = boot_file_u32(f, off), desc_bytes = boot_file_u32(f, off + 4);
		u32 type = boot_file_u32(f, off + 8);
		u64 name = off + sizeof(Elf32_Nhdr), desc = name + ALIGN_UP(name_bytes, 4ull);
		u64 next = desc + ALIGN_UP(desc_bytes, 4ull);

		if (next > end)
			return false;
		if (type == XEN_NOTE_PHYS32_ENTRY && name_bytes == sizeof(XEN_NOTE_NAME) &&
		    !memcmp(f->data + name, XEN_NOTE_NAME, sizeof(XEN_NOTE_NAME)) &&
		    desc_bytes >= 4) {
			*entry = boot_file_u32(f, desc);
			return true;
		}
		off = next;
	}
	return false;
}

/* The entry point from the PT_NOTE segments; every offset comes from the file and is checked. */
static bool find_entry(const struct boot_file *f, u64 *entry)
{
	if (!boot_is_elf(f) || f->bytes < sizeof(Elf64_Ehdr) || f->data[EI_DATA] != ELFDATA2LSB)
		return false;
	bool is64 = f->data[EI_CLASS] == ELFCLASS64;
	u64 size = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), phoff;
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;

	memcpy(&e64, f->data, sizeof(e64));
	memcpy(&e32, f->data, sizeof(e32));
	phoff = is64 ? e64.e_phoff : e32.e_phoff;
	u32 count = MIN((u32)(is64 ? e64.e_phnum : e32.e_phnum), MAX_NOTE_SEGMENTS);

	for (u32 i = 0; i < count; i++) {
		u64 at = phoff + i * size, off, bytes;

		if (phoff > f->bytes || at + size > f->bytes)
			return false;
		if (boot_file_u32(f, at) != PT_NOTE)
			continue;
		if (is64) {
			Elf64_Phdr ph;

			memcpy(&ph, f->data + at, sizeof(ph));
			off = ph.p_offset;
			bytes = ph.p_filesz;
		} else {
			Elf32_Phdr ph;

			memcpy(&ph, f->data + at, sizeof(ph));
			off = ph.p_offset;
			bytes = ph.p_filesz;
		}
		if (find_in_notes(f, off, bytes, entry))
			return true;
	}
	return false;
}

static bool probe(const struct boot_file *f)
{
	u64 entry;

	return find_entry(f, &entry);
}

static int put_modules(struct boot_ctx *c, struct start_info *info)
{
	struct boot_loaded list[BOOT_MAX_MODULES + 1];
	struct start_module mods[BOOT_MAX_MODULES + 1];
	int ret = boot_load_modules(c, list, &info->nr_modules);

	if (ret || !info->nr_modules)
		return ret;
	for (u32 i = 0; i < info->nr_modules; i++)
		mods[i] = (struct start_module){list[i].start, list[i].bytes, list[i].cmdline, 0};
	info->modlist = boot_area_put(c, mods, info->nr_modules * sizeof(mods[0]), 8);
	return info->modlist ? 0 : -E2BIG;
}

static int put_memory_map(struct boot_ctx *c, struct start_info *info)
{
	struct boot_range map[BOOT_MAX_RANGES];
	struct start_range out[BOOT_MAX_RANGES];

	info->memmap_entries = boot_memory_map(c->m, map);
	for (u32 i = 0; i < info->memmap_entries; i++)
		out[i] = (struct start_range){map[i].base, map[i].bytes, map[i].type, 0};
	info->memmap = boot_area_put(c, out, info->memmap_entries * sizeof(out[0]), 8);
	return info->memmap ? 0 : -E2BIG;
}

static int load(struct boot_ctx *c)
{
	struct start_info info = {
		.magic = START_MAGIC, .version = START_VERSION, .rsdp = FIRMWARE_RSDP};
	struct boot_state *b = c->out;
	u64 elf_entry;
	int ret = boot_elf_load(c, &elf_entry);

	if (!ret)
		ret = boot_prepare(c, false);
	if (!ret)
		ret = put_memory_map(c, &info);
	if (!ret)
		ret = put_modules(c, &info);
	if (ret)
		return ret;
	info.cmdline = boot_put_cmdline(c, NULL, c->req->append ? c->req->append : "");
	b->info_gpa = boot_area_put(c, &info, sizeof(info), 8);
	b->rbx = b->info_gpa;
	if (!find_entry(&c->image, &b->rip) || b->rip >= b->image_end)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "its PVH entry point 0x%llx lies outside the image",
				 (unsigned long long)b->rip);
	return info.cmdline && b->info_gpa ? 0 : -E2BIG;
}

const struct boot_format boot_pvh = {BOOT_PVH, probe, load};
