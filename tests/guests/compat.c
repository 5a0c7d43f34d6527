/* Compatibility mode at level 3 under a 64-bit kernel: 32-bit code, INT and exceptions out of it.
 */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

extern const u8 compat_begin[], compat_end[];
static volatile u32 seen[4];

__asm__(".code32\n"
	".globl compat_begin\ncompat_begin:\n"
	"	mov $0x23, %eax; mov %eax, %ds; mov %eax, %es\n"
	"	mov $0x12345678, %eax\n"
	"	push %eax\n"
	"	pop seen\n"
	"	mov %cs, %ecx\n"
	"	mov %ecx, seen + 4\n"
	"	xor %edx, %edx\n"
	"	dec %edx\n" /* 0x4a: DEC EDX here, a REX prefix in 64-bit mode */
	"	mov %edx, seen + 8\n"
	"	.byte 0x6a, 0x05, 0x58\n" /* push $5; pop %eax */
	"	aam\n"
	"	mov %eax, seen + 12\n"
	"	int $0x30\n"
	".globl compat_end\ncompat_end:\n"
	".code64\n");

/* As at_level3(), to 32-bit code at level 3. */
static int at_compat(const void *entry)
{
	trap.vector = -1;
	int (*enter)(void (*)(void)) = at_level3;
	extern void to_compat(void);
	extern ulong compat_entry;

	compat_entry = (ulong)entry;
	return enter(to_compat);
}
__asm__(".data\n.globl compat_entry\ncompat_entry: .quad 0\n.text\n"
	".globl to_compat\nto_compat:\n"
	"	pushq $0x4b\n"
	"	push compat_entry\n"
	"	lretq\n");

extern const u8 compat_fault[];
__asm__(".code32\n.globl compat_fault\ncompat_fault:\n	hlt\n.code64\n");

int main(void)
{
	put("compatibility mode\n");
	CHECK_EQ(at_compat(compat_begin), -1);
	CHECK_EQ(seen[0], 0x12345678);
	CHECK_EQ(seen[1] & 0xffff, 0x4b);
	CHECK_EQ(seen[2], 0xffffffff);
	CHECK_EQ(seen[3] & 0xffff, 5);
	CHECK_EQ(at_compat(compat_fault), VECTOR_GP);
	CHECK_EQ(trap.cs, 0x4b);
	CHECK_EQ(trap.ip, (ulong)compat_fault);
	/* from one to the other and back many times */
	for (u32 i = 0; i < 50; i++)
		CHECK_EQ(at_compat(compat_begin), -1);
	return 0;
}
