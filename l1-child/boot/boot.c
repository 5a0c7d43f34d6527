#include "l1-child/boot/boot.h"

#include "l1-child/lib/console.h"
#include "l1-child/lib/str.h"

#define MULTIBOOT_LOADER_MAGIC 0x2badb002
#define INFO_MEMORY (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define MAX_MEMORY (0xc0000000ull) /* below the devices */

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
};

struct multiboot_module {
	u32 start, end, cmdline, reserved;
};

extern u8 image_end[];

void boot_read(struct boot_info *b, u64 info, u64 magic)
{
	const struct multiboot_info *mb = (const struct multiboot_info *)info;
	const struct multiboot_module *mod;
	const char *s;
	size_t n;

	if (magic != MULTIBOOT_LOADER_MAGIC)
		con_die("the loader passed 0x%lx, not multiboot's 0x%x", magic,
			MULTIBOOT_LOADER_MAGIC);
	if (!(mb->flags & INFO_MEMORY))
		con_die("the loader does not say how much memory there is");
	b->memory_start = (u64)image_end;
	b->memory_end = MIB + (u64)mb->mem_upper * 1024;
	if (b->memory_end > MAX_MEMORY)
		b->memory_end = MAX_MEMORY;
	b->cmdline[0] = 0;
	if (mb->flags & INFO_CMDLINE) {
		s = (const char *)(u64)mb->cmdline;
		n = strlen(s);
		if (n >= BOOT_CMDLINE_MAX)
			con_die("the command line is longer than %d", BOOT_CMDLINE_MAX - 1);
		memcpy(b->cmdline, s, n + 1);
	}
	if (mb->flags & INFO_MODULES) {
		mod = (const struct multiboot_module *)(u64)mb->mods_addr;
		for (u32 i = 0; i < mb->mods_count; i++)
			if (mod[i].end > b->memory_start)
				b->memory_start = mod[i].end;
	}
}
