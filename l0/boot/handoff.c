/*
 * handoff.c - what every kind of image finds when it starts: GDT, page tables, modules, registers
 *
 * All of it lies in the loader's own area (BOOT_AREA_*). Code is selector 0x10 and data 0x18, as
 * Linux' boot protocol wants and others do not mind; the 64-bit entry also gets an identity map of
 * the first 4 GiB.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/arch/x86.h"
#include "l0/boot/boot_priv.h"
#include "l0/boot/firmware.h"

#define LOWER_END 0x9fc00ull /* conventional memory; then the extended BIOS data area */
#define VIDEO_START 0xa0000ull

#define GDT_CODE 2u
#define GDT_DATA 3u
#define GDT_ENTRIES 4u
/* All flat, accessed. */
#define DESC_CODE32 0x00cf9b000000ffffull
#define DESC_CODE64 0x00af9b000000ffffull
#define DESC_DATA 0x00cf93000000ffffull

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTES_PER_TABLE 512u
#define IDENTITY_GIB 4u

u64 boot_area_put(struct boot_ctx *c, const void *data, u64 bytes, u64 align)
{
	u64 at = boot_area_alloc(c, bytes, align);

	/* inside RAM, since boot_load() checked its size */
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

int boot_prepare(struct boot_ctx *c, bool long_mode)
{
	const u64 gdt[GDT_ENTRIES] = {
		[GDT_CODE] = long_mode ? DESC_CODE64 : DESC_CODE32,
		[GDT_DATA] = DESC_DATA,
	};
	int ret = long_mode ? put_page_tables(c) : 0;

	if (ret)
		return ret;
	c->out->long_mode = long_mode;
	c->out->gdt_base = boot_area_put(c, gdt, sizeof(gdt), 16);
	c->out->gdt_limit = sizeof(gdt) - 1;
	return c->out->gdt_base ? 0 : -E2BIG;
}

u64 boot_put_cmdline(struct boot_ctx *c, const char *path, const char *args)
{
	const char *head = path ? path : "", *gap = path && args ? " " : "",
		   *tail = args ? args : "";
	size_t n = strlen(head) + strlen(gap) + strlen(tail) + 1;
	char *s = malloc(n);

	if (!s) {
		boot_fail(c, c->image.path, -ENOMEM, "out of memory");
		return 0;
	}
	snprintf(s, n, "%s%s%s", head, gap, tail);
	u64 at = boot_area_put(c, s, n, 1);

	free(s);
	return at;
}

static int load_module(struct boot_ctx *c, const struct boot_module *mod, struct boot_loaded *out)
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
	out->start = start;
	out->bytes = f.bytes;
	out->cmdline = boot_put_cmdline(c, mod->path, mod->args);
	return out->cmdline ? 0 : -E2BIG;
}

int boot_load_modules(struct boot_ctx *c, struct boot_loaded *list, u32 *count)
{
	const struct boot_request *req = c->req;
	int ret = 0;

	*count = 0;
	if (req->nmodules > BOOT_MAX_MODULES)
		return boot_fail(c, c->image.path, -E2BIG, "more than %u modules",
				 BOOT_MAX_MODULES);
	if (req->initrd) {
		const struct boot_module initrd = {.path = req->initrd};

		ret = load_module(c, &initrd, &list[(*count)++]);
	}
	for (u32 i = 0; i < req->nmodules && !ret; i++)
		ret = load_module(c, &req->modules[i], &list[(*count)++]);
	return ret;
}

u32 boot_memory_map(const struct mem *m, struct boot_range *map)
{
	u64 ram = mem_ram_bytes(m), low = MIN(ram, MEM_HOLE_START);
	u32 n = 0;

	map[n++] = (struct boot_range){0, LOWER_END, BOOT_RANGE_RAM};
	map[n++] = (struct boot_range){LOWER_END, VIDEO_START - LOWER_END, BOOT_RANGE_RESERVED};
	map[n++] = (struct boot_range){FIRMWARE_START, FIRMWARE_END - FIRMWARE_START,
				       BOOT_RANGE_RESERVED};
	if (low > MIB)
		map[n++] = (struct boot_range){MIB, low - MIB, BOOT_RANGE_RAM};
	map[n++] = (struct boot_range){FIRMWARE_ECAM, FIRMWARE_ECAM_BYTES, BOOT_RANGE_RESERVED};
	if (ram > low)
		map[n++] = (struct boot_range){MEM_HOLE_END, ram - low, BOOT_RANGE_RAM};
	return n;
}

#define AR_CODE32 (0xbu | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G)
#define AR_CODE64 (0xbu | SEG_AR_S | SEG_AR_P | SEG_AR_L | SEG_AR_G)
#define AR_DATA (0x3u | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G)
#define AR_TSS32_BUSY (0xbu | SEG_AR_P)

void boot_apply(const struct boot_state *b, struct cpu_state *cpu)
{
	const struct seg data = {.sel = GDT_DATA << 3, .ar = AR_DATA, .limit = ~0u};

	if (b->kind == BOOT_FIRMWARE) {
		cpu->seg[SEG_CS].base = FIRMWARE_RESET_BASE;
		return;
	}
	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	if (b->real_mode) {
		for (u32 s = SEG_ES; s <= SEG_GS; s++) {
			cpu->seg[s].sel = s == SEG_CS ? b->code_segment : b->data_segment;
			cpu->seg[s].base = (u64)cpu->seg[s].sel << 4;
		}
		cpu->gpr[RSP] = b->rsp;
		cpu->rip = b->rip;
		return;
	}
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
		.sel = GDT_CODE << 3,
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
