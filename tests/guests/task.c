/* Hardware task switches: JMP, CALL and IRET, a task gate in the IDT, faults on the way. */
#include "tests/guests/kit.h"

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp,
		esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
};
static struct tss32 other;
static u8 stack[4096];
static volatile u32 visits, last_eax;

#define SEL_OTHER_TSS (SEL_FREE)
#define SEL_TASK_GATE (SEL_FREE + 8)

extern void other_task(void), df_task(void);
__asm__(".globl other_task\nother_task:\n"
	"1:	incl visits\n"
	"	mov %eax, last_eax\n"
	"	mov $0x77, %eax\n"
	"	iret\n" /* back to who called; when called again it goes on here */
	"	jmp 1b\n"
	".globl df_task\ndf_task:\n"
	"1:	incl visits\n"
	"	pop last_eax\n"	       /* the error code */
	"	addl $2, tss + 0x20\n" /* EIP of the old task: over the UD2 or INT */
	"	iret\n"
	"	jmp 1b\n");

static void prepare(void (*fn)(void))
{
	u8 *p = (u8 *)&other;

	for (u32 i = 0; i < sizeof(other); i++)
		p[i] = 0;
	other.eip = (u32)fn;
	other.eflags = 2;
	other.esp = (u32)(stack + sizeof(stack));
	other.eax = 0x1234;
	other.cs = SEL_CODE;
	other.es = other.ss = other.ds = other.fs = other.gs = SEL_DATA;
	gdt[SEL_OTHER_TSS / 8] = descriptor((u32)&other, sizeof(other) - 1, 0x0089);
	gdt[SEL_TASK_GATE / 8] = (u64)SEL_OTHER_TSS << 16 | 0x85ull << 40;
}

int main(void)
{
	u32 ebx;

	put("call and return\n");
	prepare(other_task);
	for (u32 i = 0; i < 3; i++) {
		ebx = 0x5555;
		if (i & 1)
			__asm__ volatile("lcall %1, $0"
					 : "+b"(ebx)
					 : "i"(SEL_TASK_GATE)
					 : "memory", "cc");
		else
			__asm__ volatile("lcall %1, $0"
					 : "+b"(ebx)
					 : "i"(SEL_OTHER_TSS)
					 : "memory", "cc");
		CHECK_EQ(visits, i + 1);
		CHECK_EQ(ebx, 0x5555);
		CHECK_EQ(last_eax, i ? 0x77 : 0x1234);
		CHECK_EQ(gdt[SEL_OTHER_TSS / 8] >> 40 & 0xff, 0x89); /* not busy */
		CHECK(READ_CR(0) & CR0_TS);
		WRITE_CR(0, READ_CR(0) & ~(ulong)CR0_TS);
	}
	put("busy, absent, short\n");
	prepare(other_task);
	gdt[SEL_OTHER_TSS / 8] |= 2ull << 40;
	CHECK_EQ(TRY_REGS("ljmp %[x], $0", 0, 0, 0, [x] "i"(SEL_OTHER_TSS)), VECTOR_GP);
	CHECK_EQ(trap.error, SEL_OTHER_TSS);
	prepare(other_task);
	gdt[SEL_OTHER_TSS / 8] &= ~(0x80ull << 40);
	CHECK_EQ(TRY_REGS("ljmp %[x], $0", 0, 0, 0, [x] "i"(SEL_OTHER_TSS)), VECTOR_NP);
	prepare(other_task);
	gdt[SEL_OTHER_TSS / 8] = descriptor((u32)&other, 0x66, 0x0089);
	CHECK_EQ(TRY_REGS("ljmp %[x], $0", 0, 0, 0, [x] "i"(SEL_OTHER_TSS)), VECTOR_TS);
	CHECK_EQ(trap.error, SEL_OTHER_TSS);

	put("task gate for an exception\n");
	prepare(df_task);
	visits = 0;
	set_gate_raw(VECTOR_GP, SEL_OTHER_TSS, 0, 5, 0, 0);
	__asm__ volatile("int $0x70" : : : "memory"); /* no gate: #GP with an error code */
	CHECK_EQ(visits, 1);
	CHECK_EQ(last_eax, 0x70 * 8 + 2);
	return 0;
}
