/*
 * mbinfo.c - the multiboot 1 information structure, which the plain ELF kinds get too
 *
 * Source: The Multiboot Specification 0.6.96, "Boot information format".
 */
#include <errno.h>

#include "l0/boot/boot_priv.h"

#define MB_INFO_MEMORY 0x001u
#define MB_INFO_CMDLINE 0x004u
#define MB_INFO_MODULES 0x008u
#define MB_INFO_MMAP 0x040u
#define MB_INFO_LOADER_NAME 0x200u

struct mb_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	u32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
	u32 apm_table;
};
BUILD_ASSERT_SIZE(struct mb_info, 72);

struct mb_mmap {
	u32 size; /* of the rest */
	u64 base, length;
	u32 type;
} __packed;
BUILD_ASSERT_SIZE(struct mb_mmap, 24);

struct mb_module {
	u32 start, end, cmdline, reserved;
};

static int put_memory_map(struct boot_ctx *c, struct mb_info *info)
{
	struct boot_range ranges[BOOT_MAX_RANGES];
	struct mb_mmap map[BOOT_MAX_RANGES];
	u32 n = boot_memory_map(c->m, ranges);

	for (u32 i = 0; i < n; i++)
		map[i] = (struct mb_mmap){sizeof(map[i]) - 4, ranges[i].base, ranges[i].bytes,
					  ranges[i].type};
	info->flags |= MB_INFO_MEMORY | MB_INFO_MMAP;
	info->mem_lower = (u32)(ranges[0].bytes / KIB);
	info->mem_upper = (u32)((MIN(mem_ram_bytes(c->m), MEM_HOLE_START) - MIB) / KIB);
	info->mmap_length = n * (u32)sizeof(map[0]);
	info->mmap_addr = (u32)boot_area_put(c, map, info->mmap_length, 8);
	return info->mmap_addr ? 0 : -E2BIG;
}

static int put_modules(struct boot_ctx *c, struct mb_info *info)
{
	struct boot_loaded list[BOOT_MAX_MODULES + 1];
	struct mb_module mods[BOOT_MAX_MODULES + 1];
	u32 n;
	int ret = boot_load_modules(c, list, &n);

	if (ret || !n)
		return ret;
	for (u32 i = 0; i < n; i++)
		mods[i] =
			(struct mb_module){(u32)list[i].start, (u32)(list[i].start + list[i].bytes),
					   (u32)list[i].cmdline, 0};
	info->flags |= MB_INFO_MODULES;
	info->mods_count = n;
	info->mods_addr = (u32)boot_area_put(c, mods, n * sizeof(mods[0]), 8);
	return info->mods_addr ? 0 : -E2BIG;
}

int boot_multiboot1_info(struct boot_ctx *c, bool long_mode)
{
	struct mb_info info = {.flags = MB_INFO_CMDLINE | MB_INFO_LOADER_NAME};
	struct boot_state *b = c->out;
	int ret = boot_prepare(c, long_mode);

	if (!ret)
		ret = put_memory_map(c, &info);
	if (!ret)
		ret = put_modules(c, &info);
	if (ret)
		return ret;
	info.cmdline = (u32)boot_put_cmdline(c, c->image.path, c->req->append);
	info.boot_loader_name =
		(u32)boot_area_put(c, BOOT_LOADER_NAME, sizeof(BOOT_LOADER_NAME), 1);
	b->info_gpa = boot_area_put(c, &info, sizeof(info), 8);
	b->rax = b->rsi = MULTIBOOT1_BOOT_MAGIC;
	b->rbx = b->rdi = b->info_gpa;
	return info.cmdline && info.boot_loader_name && b->info_gpa ? 0 : -E2BIG;
}
