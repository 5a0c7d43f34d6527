/*
 * handoff.c - what an image finds when it starts: GDT, page tables, multiboot information,
 * registers
 *
 * All of it lies in the loader's own area (BOOT_AREA_*). Every kind of image gets the same GDT and
 * information structure; the 64-bit entry also gets an identity map of the first 4 GiB.
 * Source: The Multiboot Specification 0.6.96, "Boot information format"; docs/boot.md.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/arch/x86.h"
#include "l0/boot/boot_priv.h"

#define LOADER_NAME "nestor"

#define MB_INFO_MEMORY 0x001u
#define MB_INFO_CMDLINE 0x004u
#define MB_INFO_MODULES 0x008u
#define MB_INFO_MMAP 0x040u
#define MB_INFO_LOADER_NAME 0x200u

#define MB_MEMORY_AVAILABLE 1u
#define MB_MEMORY_RESERVED 2u

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

#define LOWER_END 0x9fc00ull /* conventional memory; then the extended BIOS data area */
#define VIDEO_START 0xa0000ull
#define BIOS_START 0xf0000ull

/* Descriptors: index 1 32-bit code, 2 data, 3 64-bit code, 4 a TSS for TR. All flat, accessed. */
#define GDT_ENTRIES 6u
#define GDT_CODE32 1u
#define GDT_DATA 2u
#define GDT_CODE64 3u
static const u64 flat_gdt[GDT_ENTRIES] = {
	[GDT_CODE32] = 0x00cf9b000000ffffull,
	[GDT_DATA] = 0x00cf93000000ffffull,
	[GDT_CODE64] = 0x00af9b000000ffffull,
};

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTES_PER_TABLE 512u
#define IDENTITY_GIB 4u

/* Copy to the loader's area: inside RAM since boot_load() checked its size. Returns the address. */
static u64 area_put(struct boot_ctx *c, const void *data, u64 bytes, u64 align)
{
	u64 at = boot_area_alloc(c, bytes, align);

	if (at && mem_write(c->m, at, data, bytes))
		return 0;
	return at;
}

static int put_page_tables(struct boot_ctx *c)
{
	u64 at = boot_area_alloc(c, (2 + IDENTITY_GIB) * PAGE_SIZE, PAGE_SIZE);
	u64 pdpt = at + PAGE_SIZE, pd = pdpt + PAGE_SIZE, table[PTES_PER_TABLE] = {0};

	if (!at)
		return -E2BIG;
	table[0] = pdpt | PTE_P | PTE_W | PTE_A;
	if (mem_write(c->m, at, table, sizeof(table)))
		return -EFAULT;
	for (u32 g = 0; g < IDENTITY_GIB; g++)
		table[g] = (pd + g * PAGE_SIZE) | PTE_P | PTE_W | PTE_A;
	if (mem_write(c->m, pdpt, table, sizeof(table)))
		return -EFAULT;
	for (u32 g = 0; g < IDENTITY_GIB; g++) {
		for (u32 i = 0; i < PTES_PER_TABLE; i++)
			table[i] = g * PAGE_SIZE_1G + i * PAGE_SIZE_2M +
				   (PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS);
		if (mem_write(c->m, pd + g * PAGE_SIZE, table, sizeof(table)))
			return -EFAULT;
	}
	c->out->cr3 = at;
	return 0;
}

/* "IMAGE ARGUMENTS", or the module's own, as a string in the area; 0 when it does not fit. */
static u64 put_cmdline(struct boot_ctx *c, const char *path, const char *args)
{
	size_t n = strlen(path) + 1 + (args ? strlen(args) + 1 : 0);
	char *s = malloc(n);

	if (!s) {
		boot_fail(c, path, -ENOMEM, "out of memory");
		return 0;
	}
	snprintf(s, n, "%s%s%s", path, args ? " " : "", args ? args : "");
	u64 at = area_put(c, s, n, 1);

	free(s);
	return at;
}

static int put_module(struct boot_ctx *c, const struct boot_module *mod, struct mb_module *out)
{
	u64 start = ALIGN_UP(MAX(c->low_end, MIB), PAGE_SIZE), image_end = c->out->image_end;
	struct boot_file f;
	int ret = boot_read_file(c, mod->path, &f);

	if (ret)
		return ret;
	ret = boot_place(c, f.path, "module", start, f.data, f.bytes, f.bytes);
	free(f.data);
	c->out->image_end = image_end;
	if (ret)
		return ret;
	out->start = (u32)start;
	out->end = (u32)(start + f.bytes);
	out->cmdline = (u32)put_cmdline(c, mod->path, mod->args);
	out->reserved = 0;
	return out->cmdline ? 0 : -E2BIG;
}

static int put_modules(struct boot_ctx *c, struct mb_info *info)
{
	const struct boot_request *req = c->req;
	struct mb_module list[BOOT_MAX_MODULES + 1];
	u32 n = 0;
	int ret = 0;

	if (req->nmodules > BOOT_MAX_MODULES)
		return boot_fail(c, c->image.path, -E2BIG, "more than %u modules",
				 BOOT_MAX_MODULES);
	if (req->initrd) {
		struct boot_module initrd = {.path = req->initrd};

		ret = put_module(c, &initrd, &list[n++]);
	}
	for (u32 i = 0; i < req->nmodules && !ret; i++)
		ret = put_module(c, &req->modules[i], &list[n++]);
	if (ret || !n)
		return ret;
	info->flags |= MB_INFO_MODULES;
	info->mods_count = n;
	info->mods_addr = (u32)area_put(c, list, n * sizeof(list[0]), 8);
	return info->mods_addr ? 0 : -E2BIG;
}

static int put_memory_map(struct boot_ctx *c, struct mb_info *info)
{
	u64 ram = mem_ram_bytes(c->m), low = MIN(ram, MEM_HOLE_START);
	struct mb_mmap map[5];
	u32 n = 0;

#define ENTRY(from, to, kind) \
	map[n++] = (struct mb_mmap){sizeof(struct mb_mmap) - 4, (from), (to) - (from), (kind)}
	ENTRY(0, LOWER_END, MB_MEMORY_AVAILABLE);
	ENTRY(LOWER_END, VIDEO_START, MB_MEMORY_RESERVED);
	ENTRY(BIOS_START, MIB, MB_MEMORY_RESERVED);
	if (low > MIB)
		ENTRY(MIB, low, MB_MEMORY_AVAILABLE);
	if (ram > low)
		ENTRY(MEM_HOLE_END, MEM_HOLE_END + (ram - low), MB_MEMORY_AVAILABLE);
#undef ENTRY
	info->flags |= MB_INFO_MEMORY | MB_INFO_MMAP;
	info->mem_lower = (u32)(LOWER_END / KIB);
	info->mem_upper = (u32)((low - MIB) / KIB);
	info->mmap_length = n * (u32)sizeof(map[0]);
	info->mmap_addr = (u32)area_put(c, map, info->mmap_length, 8);
	return info->mmap_addr ? 0 : -E2BIG;
}

static int put_info(struct boot_ctx *c)
{
	struct mb_info info = {.flags = MB_INFO_CMDLINE | MB_INFO_LOADER_NAME};
	int ret = put_memory_map(c, &info);

	if (!ret)
		ret = put_modules(c, &info);
	if (ret)
		return ret;
	info.cmdline = (u32)put_cmdline(c, c->image.path, c->req->append);
	info.boot_loader_name = (u32)area_put(c, LOADER_NAME, sizeof(LOADER_NAME), 1);
	c->out->info_gpa = area_put(c, &info, sizeof(info), 8);
	return info.cmdline && info.boot_loader_name && c->out->info_gpa ? 0 : -E2BIG;
}

int boot_handoff(struct boot_ctx *c, bool long_mode)
{
	struct boot_state *b = c->out;
	int ret = long_mode ? put_page_tables(c) : 0;

	if (ret)
		return ret;
	b->gdt_base = area_put(c, flat_gdt, sizeof(flat_gdt), 16);
	b->gdt_limit = sizeof(flat_gdt) - 1;
	ret = put_info(c);
	if (ret)
		return ret;
	b->long_mode = long_mode;
	b->rax = b->rsi = MULTIBOOT1_BOOT_MAGIC;
	b->rbx = b->rdi = b->info_gpa;
	return 0;
}

#define AR_CODE32 (0xbu | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G)
#define AR_CODE64 (0xbu | SEG_AR_S | SEG_AR_P | SEG_AR_L | SEG_AR_G)
#define AR_DATA (0x3u | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G)
#define AR_TSS32_BUSY (0xbu | SEG_AR_P)

void boot_apply(const struct boot_state *b, struct cpu_state *cpu)
{
	const struct seg data = {.sel = GDT_DATA << 3, .ar = AR_DATA, .limit = ~0u};

	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->gpr[RAX] = b->rax;
	cpu->gpr[RBX] = b->rbx;
	cpu->gpr[RSI] = b->rsi;
	cpu->gpr[RDI] = b->rdi;
	cpu->rip = b->rip;
	cpu->rflags = RFLAGS_FIXED;
	cpu->cr0 = CR0_PE | CR0_ET | (b->long_mode ? CR0_PG : 0);
	cpu->cr2 = 0;
	cpu->cr3 = b->cr3;
	cpu->cr4 = b->long_mode ? CR4_PAE : 0;
	cpu->efer = b->long_mode ? EFER_LME | EFER_LMA : 0;
	for (u32 s = SEG_ES; s <= SEG_GS; s++)
		cpu->seg[s] = data;
	cpu->seg[SEG_CS] = (struct seg){
		.sel = (u16)((b->long_mode ? GDT_CODE64 : GDT_CODE32) << 3),
		.ar = b->long_mode ? AR_CODE64 : AR_CODE32,
		.limit = ~0u,
	};
	cpu->seg[SEG_LDTR] = (struct seg){.ar = SEG_AR_UNUSABLE};
	cpu->seg[SEG_TR] = (struct seg){.ar = AR_TSS32_BUSY, .limit = 0xffff};
	cpu->gdtr = (struct table_reg){.base = b->gdt_base, .limit = b->gdt_limit};
	cpu->idtr = (struct table_reg){.base = 0, .limit = 0};
	cpu->activity = ACTIVITY_ACTIVE;
	cpu->interruptibility = 0;
	cpu->pending_dbg = 0;
}
