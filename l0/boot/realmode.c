/*
 * realmode.c - the 16-bit entry of Linux kernels: their setup code in real mode, and a BIOS just
 * large enough
 *
 * The setup code goes to SETUP_ADDRESS and runs as after a boot loader. The BIOS lies in the
 * loader's own area: int 15h E820 gives the memory map, int 10h AH = 0Eh writes a character to the
 * first serial port, all else returns with CF set, by which the setup code knows that there is no
 * such service (no video modes, no APM, no disks). It lasts as long as the setup code needs it.
 * Source: Linux kernel, Documentation/arch/x86/boot.rst; ACPI Specification 6.4, "INT 15H, E820H".
 */
#include <errno.h>
#include <string.h>

#include "l0/base/mem_ops.h"
#include "l0/boot/boot_priv.h"

#define SETUP_ADDRESS 0x10000ull
#define SETUP_MAX_BYTES 0x8000u
#define HEAP_END 0xe000u /* of the setup code's segment; the stack ends there */
#define STACK_BYTES 0x200u
#define ENTRY_PARAGRAPHS 0x20u /* the setup code starts 512 bytes into its segment */

#define VECTORS 256u
#define VECTOR_VIDEO 0x10u
#define VECTOR_SYSTEM 0x15u

/* Offsets in the code below; the memory map follows it. */
#define OFF_COUNT 0u
#define OFF_FAIL 0x02u
#define OFF_VIDEO 0x0bu
#define OFF_SYSTEM 0x17u
#define OFF_MAP 0x58u

static const u8 bios[OFF_MAP] = {
	0x00, 0x00,			 /* count:  .word 0, entries of the map */
	0x55,				 /* fail:   push %bp */
	0x89, 0xe5,			 /*         mov %sp, %bp */
	0x80, 0x4e, 0x06,    0x01,	 /*         orb $1, 6(%bp)    CF of the caller's flags */
	0x5d,				 /*         pop %bp */
	0xcf,				 /*         iret */
	0x80, 0xfc, 0x0e,		 /* video:  cmp $0x0e, %ah */
	0x75, 0x06,			 /*         jne 1f */
	0x52,				 /*         push %dx */
	0xba, 0xf8, 0x03,		 /*         mov $0x3f8, %dx */
	0xee,				 /*         out %al, %dx */
	0x5a,				 /*         pop %dx */
	0xcf,				 /* 1:      iret */
	0x3d, 0x20, 0xe8,		 /* system: cmp $0xe820, %ax */
	0x75, 0xe6,			 /*         jne fail */
	0x2e, 0x3b, 0x1e,    0x00, 0x00, /*         cmp %cs:count, %bx */
	0x73, 0xdf,			 /*         jae fail */
	0x56, 0x57,			 /*         push %si; push %di */
	0x6b, 0xf3, 0x14,		 /*         imul $20, %bx, %si */
	0x81, 0xc6, OFF_MAP, 0x00,	 /*         add $map, %si */
	0xb9, 0x14, 0x00,		 /*         mov $20, %cx */
	0xfc,				 /*         cld */
	0x2e, 0xf3, 0xa4,		 /*         rep movsb %cs:(%si), %es:(%di) */
	0x5f, 0x5e,			 /*         pop %di; pop %si */
	0x66, 0xb8, 0x50,    0x41, 0x4d, 0x53, /*         mov $"SMAP", %eax */
	0x66, 0xb9, 0x14,    0,	   0,	 0,    /*         mov $20, %ecx */
	0x43,				       /*         inc %bx */
	0x2e, 0x3b, 0x1e,    0x00, 0x00,       /*         cmp %cs:count, %bx */
	0x72, 0x03,			       /*         jb 2f */
	0x66, 0x31, 0xdb,		       /*         xor %ebx, %ebx */
	0x55,				       /* 2:      push %bp */
	0x89, 0xe5,			       /*         mov %sp, %bp */
	0x80, 0x66, 0x06,    0xfe,	       /*         andb $~1, 6(%bp) */
	0x5d,				       /*         pop %bp */
	0xcf,				       /*         iret */
};

static int put_bios(struct boot_ctx *c)
{
	struct {
		u8 code[OFF_MAP];
		struct {
			u64 base, bytes;
			u32 type;
		} __packed map[BOOT_MAX_RANGES];
	} __packed image;
	struct boot_range map[BOOT_MAX_RANGES];
	u32 n = boot_memory_map(c->m, map), vectors[VECTORS];

	memcpy(image.code, bios, sizeof(bios));
	nm_store16(image.code + OFF_COUNT, (u16)n);
	memset(image.map, 0, sizeof(image.map));
	for (u32 i = 0; i < n; i++) {
		image.map[i].base = map[i].base;
		image.map[i].bytes = map[i].bytes;
		image.map[i].type = map[i].type;
	}
	u64 at = boot_area_put(c, &image, sizeof(image), 16);

	if (!at)
		return -E2BIG;
	for (u32 i = 0; i < VECTORS; i++)
		vectors[i] = (u32)(at >> 4) << 16 | (i == VECTOR_VIDEO	  ? OFF_VIDEO
						     : i == VECTOR_SYSTEM ? OFF_SYSTEM
									  : OFF_FAIL);
	return mem_write(c->m, 0, vectors, sizeof(vectors));
}

int boot_realmode(struct boot_ctx *c, u8 *setup, u32 bytes)
{
	struct boot_state *b = c->out;

	if (bytes > SETUP_MAX_BYTES)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "its setup code has %u bytes, more than the %u that it may have",
				 bytes, SETUP_MAX_BYTES);
	int ret = put_bios(c);

	if (!ret)
		ret = boot_place(c, c->image.path, "setup code", SETUP_ADDRESS, setup, bytes,
				 HEAP_END);
	if (ret)
		return ret;
	b->real_mode = true;
	b->info_gpa = SETUP_ADDRESS;
	b->data_segment = SETUP_ADDRESS >> 4;
	b->code_segment = b->data_segment + ENTRY_PARAGRAPHS;
	b->rip = 0;
	b->rsp = HEAP_END;
	return 0;
}

u16 boot_realmode_heap_end(void)
{
	return HEAP_END - STACK_BYTES;
}
