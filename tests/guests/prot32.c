/* Protected mode without paging: exceptions and their error codes, segments, gates, level 3. */
#include "tests/guests/kit.h"

static void exceptions(void)
{
	put("exceptions\n");
	CHECK_EQ(TRY_A("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx", 1), VECTOR_DE);
	CHECK_EQ(TRY("mov $0x80000000, %%eax; cdq; mov $-1, %%ecx; idiv %%ecx"), VECTOR_DE);
	CHECK_EQ(TRY("ud2"), VECTOR_UD);
	CHECK_EQ(TRY("int3"), VECTOR_BP);
	CHECK_EQ(TRY("movb $0x7f, %%al; incb %%al; into"), VECTOR_OF);
	u32 bounds[2] = {2, 4};

	CHECK_EQ(TRY_AC("bound %%eax, (%%ecx)", 5, bounds), VECTOR_BR);
	CHECK_EQ(TRY_AC("bound %%eax, (%%ecx)", 3, bounds), -1);
	CHECK_EQ(TRY("int $0x70"), VECTOR_GP); /* no gate there */
	CHECK_EQ(trap.error, 0x70 * 8 + 2);
	CHECK_EQ(TRY("int1"), VECTOR_DB);
	/* x87 with CR0.EM or TS */
	WRITE_CR(0, READ_CR(0) | CR0_TS);
	CHECK_EQ(TRY("fninit"), VECTOR_NM);
	WRITE_CR(0, READ_CR(0) & ~(ulong)CR0_TS);
	CHECK_EQ(TRY("fninit"), -1);
}

static void segments(void)
{
	put("segments\n");
	gdt[SEL_FREE / 8] = descriptor(0x1000, 0xff, 0x4093);	/* byte-granular */
	gdt[SEL_FREE / 8 + 1] = descriptor(0, 0xfff, 0x4097);	/* expand-down */
	gdt[SEL_FREE / 8 + 2] = descriptor(0, 0xfffff, 0xc091); /* read-only */
	gdt[SEL_FREE / 8 + 3] = descriptor(0, 0xfffff, 0xc013); /* absent */
	gdt[SEL_FREE / 8 + 4] = descriptor(0, 0xfffff, 0xc099); /* execute-only */
	gdt[SEL_FREE / 8 + 5] = descriptor(0, 0xffff, 0x0093);	/* 16-bit stack */
#define LOAD_FS(sel) TRY_A("mov %%eax, %%fs", sel)
	CHECK_EQ(LOAD_FS(SEL_FREE), -1);
	CHECK_EQ(TRY("movb %%fs:0xff, %%al"), -1);
	CHECK_EQ(TRY("movb %%fs:0x100, %%al"), VECTOR_GP);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(TRY("movl %%fs:0xfd, %%eax"), VECTOR_GP);
	CHECK_EQ(LOAD_FS(SEL_FREE + 8), -1);
	CHECK_EQ(TRY("movb %%fs:0xfff, %%al"), VECTOR_GP);
	CHECK_EQ(TRY("movb %%fs:0x1000, %%al"), -1);
	CHECK_EQ(LOAD_FS(SEL_FREE + 16), -1);
	CHECK_EQ(TRY("movb %%fs:0x1000, %%al"), -1);
	CHECK_EQ(TRY("movb %%al, %%fs:0x1000"), VECTOR_GP);
	CHECK_EQ(LOAD_FS(SEL_FREE + 24), VECTOR_NP);
	CHECK_EQ(trap.error, SEL_FREE + 24);
	CHECK_EQ(LOAD_FS(SEL_FREE + 32), VECTOR_GP);
	CHECK_EQ(trap.error, SEL_FREE + 32);
	CHECK_EQ(LOAD_FS(0x800), VECTOR_GP);
	CHECK_EQ(trap.error, 0x800);
	CHECK_EQ(LOAD_FS(0), -1);
	CHECK_EQ(TRY("movb %%fs:0, %%al"), VECTOR_GP);
	CHECK_EQ(TRY_A("mov %%eax, %%ss", SEL_FREE + 24), VECTOR_SS);
	CHECK_EQ(TRY_A("mov %%eax, %%ss", 0), VECTOR_GP);
	CHECK_EQ(TRY_A("lldt %%ax", SEL_DATA), VECTOR_GP);
	CHECK_EQ(TRY_A("ltr %%ax", SEL_TSS), VECTOR_GP); /* busy */
	/* a 16-bit stack: only SP counts */
	u32 sp;

	__asm__ volatile(
		"mov %%esp, %%ebx; mov $0x12340800, %%esp; mov %1, %%ss; push %%eax; mov %%esp, %0;"
		"mov %2, %%ss; mov %%ebx, %%esp"
		: "=&d"(sp)
		: "r"(SEL_FREE + 40), "r"(SEL_DATA)
		: "ebx", "memory");
	CHECK_EQ(sp, 0x123407fc);
	/* the accessed bit */
	gdt[SEL_FREE / 8] = descriptor(0, 0xfffff, 0xc092);
	LOAD_FS(SEL_FREE);
	CHECK_EQ(gdt[SEL_FREE / 8] >> 40 & 0xff, 0x93);
	LOAD_FS(SEL_DATA);
}

static void descriptor_instructions(void)
{
	u32 v;
	u8 zf;

	put("descriptor instructions\n");
	__asm__("lar %2, %0; setz %1" : "=r"(v), "=q"(zf) : "r"(SEL_CODE));
	CHECK_EQ(zf, 1);
	CHECK_EQ(v, 0xcf9b00 & 0xf0ff00);
	__asm__("lsl %2, %0; setz %1" : "=r"(v), "=q"(zf) : "r"(SEL_DATA));
	CHECK_EQ(zf, 1);
	CHECK_EQ(v, 0xffffffff);
	__asm__("verw %1; setz %0" : "=q"(zf) : "r"((u16)SEL_CODE));
	CHECK_EQ(zf, 0);
	__asm__("verr %1; setz %0" : "=q"(zf) : "r"((u16)SEL_CODE));
	CHECK_EQ(zf, 1);
	__asm__("lsl %2, %0; setz %1" : "=r"(v), "=q"(zf) : "r"(0xf00));
	CHECK_EQ(zf, 0);
}

/* --- level 3 ---------------------------------------------------------------------------------- */

static volatile u32 seen;

static void user_nothing(void)
{
	u32 cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	seen = cs;
}
static void user_cli(void)
{
	__asm__ volatile("cli");
}
static void user_hlt(void)
{
	__asm__ volatile("hlt");
}
static void user_out(void)
{
	outb(0x80, 1);
}
static void user_kernel_segment(void)
{
	__asm__ volatile("mov %0, %%fs" : : "r"(SEL_DATA));
}
static void user_iopl(void)
{
	ulong f;

	__asm__ volatile("pushf; orl $0x3200, (%%esp); popf; pushf; pop %0" : "=r"(f));
	seen = (u32)f;
}
static void user_gate(void)
{
	__asm__ volatile("lcall %0, $0" : : "i"(SEL_FREE + 16 + 3) : "eax", "memory");
}

extern void gate_target(void);
__asm__(".globl gate_target\ngate_target:\n"
	"	mov %cs, seen\n"
	"	mov 8(%esp), %eax\n" /* SP of the caller: pushed by the gate */
	"	lret\n");

static void level3(void)
{
	put("level 3\n");
	CHECK_EQ(at_level3(user_nothing), -1);
	CHECK_EQ(seen & 0xffff, SEL_UCODE);
	CHECK_EQ(at_level3(user_cli), VECTOR_GP);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(trap.cs, SEL_UCODE);
	CHECK_EQ(at_level3(user_hlt), VECTOR_GP);
	CHECK_EQ(at_level3(user_out), VECTOR_GP);
	CHECK_EQ(at_level3(user_kernel_segment), VECTOR_GP);
	CHECK_EQ(trap.error, SEL_DATA);
	CHECK_EQ(at_level3(user_iopl), -1);
	CHECK_EQ(seen & 0x3200, 0);
	/* a call gate to level 0 */
	gdt[SEL_FREE / 8 + 2] = ((ulong)gate_target & 0xffff) | (u64)SEL_CODE << 16 |
				0xecull << 40 | (u64)((ulong)gate_target >> 16) << 48;
	seen = 0;
	CHECK_EQ(at_level3(user_gate), -1);
	CHECK_EQ(seen & 0xffff, SEL_CODE);
	gdt[SEL_FREE / 8 + 2] &= ~(0x60ull << 40); /* DPL 0 */
	CHECK_EQ(at_level3(user_gate), VECTOR_GP);
	CHECK_EQ(trap.error, SEL_FREE + 16);
}

static void single_step(void)
{
	u32 before;

	put("single step\n");
	before = trap.count;
	__asm__ volatile("pushf; orl $0x100, (%%esp); popf; nop" : : : "memory");
	CHECK_EQ(trap.count - before, 1);
	CHECK_EQ(trap.vector, VECTOR_DB);
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7"
			 :
			 : "r"(&seen), "r"(0xd0001)); /* write, 4 bytes */
	before = trap.count;
	seen = 1;
	CHECK_EQ(trap.count - before, 1);
	ulong dr6;

	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	CHECK_EQ(dr6 & 0xf, 1);
	__asm__ volatile("mov %0, %%dr7; mov %0, %%dr6" : : "r"(0));
	seen = 2;
	CHECK_EQ(trap.count - before, 1);
}

int main(void)
{
	exceptions();
	segments();
	descriptor_instructions();
	level3();
	single_step();
	return 0;
}
