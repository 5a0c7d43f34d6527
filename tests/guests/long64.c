/* 64-bit mode: exceptions, canonical addresses, IST, SYSCALL, MSRs, level 3, self-modifying code.
 */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

static volatile ulong seen, seen2;

static void exceptions(void)
{
	put("exceptions\n");
	CHECK_EQ(TRY_A("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%rcx", 1), VECTOR_DE);
	CHECK_EQ(TRY("ud2"), VECTOR_UD);
	CHECK_EQ(TRY("int3"), VECTOR_BP);
	CHECK_EQ(TRY_A("mov (%%rax), %%ecx", 1ull << 47), VECTOR_GP);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(TRY_A("mov (%%rax), %%ecx", 0x40000000ull), VECTOR_PF); /* past the map */
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(trap.cr2, 0x40000000ull);
	CHECK_EQ(TRY_A("mov %%rsp, %%rcx; mov %%rax, %%rsp; mov (%%rsp), %%rdx; mov %%rcx, %%rsp",
		       &seen),
		 -1);
	CHECK_EQ(TRY(".byte 0x06"), VECTOR_UD); /* PUSH ES is no instruction */
	CHECK_EQ(TRY_A("mov %%eax, %%ds", 0x7f0), VECTOR_GP);
	CHECK_EQ(trap.error, 0x7f0);
	CHECK_EQ(TRY_REGS("wrmsr", 0, MSR_IA32_LSTAR, 0x8000u << 16), VECTOR_GP);
	CHECK_EQ(TRY_A("mov %%rax, %%cr0", CR0_PG), VECTOR_GP);
	CHECK_EQ(TRY_A("mov %%rax, %%cr4", 0), VECTOR_GP);
	CHECK_EQ(TRY_REGS("rdmsr", 0, 0x12345, 0), VECTOR_GP);
}

static volatile u64 saved_sp __attribute__((used));

static void ist(void)
{
	extern void ist_handler(void);

	put("IST\n");
	set_gate_raw(0x31, SEL_CODE, (ulong)ist_handler, 14, 0, 1);
	__asm__ volatile("int $0x31" : : : "rax", "memory");
	extern u8 ist1_top[];
	CHECK_EQ(saved_sp, (ulong)ist1_top - 40);
}
__asm__(".globl ist_handler\nist_handler:\n	mov %rsp, saved_sp\n	iretq\n");

/* --- SYSCALL ---------------------------------------------------------------------------------- */

extern void syscall_entry(void);
__asm__(".globl syscall_entry\nsyscall_entry:\n"
	"	mov %rsp, saved_sp\n"
	"	mov %cs, %eax\n"
	"	mov %rax, seen\n"
	"	mov %r11, seen2\n"
	"	sysretq\n");

static void user_syscall(void)
{
	__asm__ volatile("stc; syscall" : : : "rcx", "r11", "rax", "memory");
}
static void user_cs(void)
{
	u32 cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	seen = cs;
}
static void user_wrmsr(void)
{
	wrmsr(MSR_IA32_LSTAR, 0);
}
static void user_swapgs(void)
{
	__asm__ volatile("swapgs");
}

static void level3(void)
{
	put("level 3 and SYSCALL\n");
	CHECK_EQ(at_level3(user_cs), -1);
	CHECK_EQ(seen, SEL_UCODE);
	CHECK_EQ(at_level3(user_wrmsr), VECTOR_GP);
	CHECK_EQ(at_level3(user_swapgs), VECTOR_GP);
	/* SYSRET takes CS from STAR + 16 and SS from STAR + 8: 0x1b - 16, 0x23 wants another order,
	 * so put fitting descriptors at the free slots */
	gdt[SEL_FREE / 8 + 1] = gdt[SEL_UDATA / 8];
	gdt[SEL_FREE / 8 + 2] = gdt[SEL_UCODE / 8];
	wrmsr(MSR_IA32_STAR, (u64)(SEL_FREE | 3) << 48 | (u64)SEL_CODE << 32);
	wrmsr(MSR_IA32_LSTAR, (ulong)syscall_entry);
	wrmsr(MSR_IA32_FMASK, RFLAGS_CF);
	CHECK_EQ(at_level3(user_syscall), -1);
	CHECK_EQ(seen, SEL_CODE);
	CHECK(seen2 & RFLAGS_CF);
	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) & ~(u64)EFER_SCE);
	CHECK_EQ(at_level3(user_syscall), VECTOR_UD);
	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_SCE);
}

static void bases(void)
{
	ulong v;

	put("FS and GS\n");
	seen = 0x1122;
	wrmsr(MSR_IA32_GS_BASE, (ulong)&seen - 0x100);
	__asm__ volatile("mov %%gs:0x100, %0" : "=r"(v));
	CHECK_EQ(v, 0x1122);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, 0x9999);
	__asm__ volatile("swapgs");
	CHECK_EQ(rdmsr(MSR_IA32_GS_BASE), 0x9999);
	CHECK_EQ(rdmsr(MSR_IA32_KERNEL_GS_BASE), (ulong)&seen - 0x100);
}

static u8 code[64] __attribute__((aligned(64)));

static void self_modifying(void)
{
	int (*fn)(void) = (int (*)(void))(void *)code;

	put("self-modifying code\n");
	code[0] = 0xb8; /* mov $n, %eax; ret */
	code[5] = 0xc3;
	for (u32 i = 0; i < 1000; i++) {
		*(volatile u32 *)(code + 1) = i;
		if ((u32)fn() != i) {
			CHECK_EQ((u32)fn(), i);
			break;
		}
	}
}

static void descriptor_tables(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) t;

	put("descriptor tables\n");
	__asm__ volatile("sgdt %0" : "=m"(t));
	CHECK_EQ(t.base, (ulong)gdt);
	CHECK_EQ(t.limit, sizeof(gdt) - 1);
	t.base = 1ull << 63;
	CHECK_EQ(TRY_A("lgdt (%%rax)", &t), VECTOR_GP);
	u16 tr;

	__asm__ volatile("str %0" : "=r"(tr));
	CHECK_EQ(tr, SEL_TSS);
}

static void counters(void)
{
	u32 a, b, d;

	put("counters\n");
	__asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
	for (u32 i = 0; i < 1000; i++)
		__asm__ volatile("nop");
	__asm__ volatile("rdtsc" : "=a"(b), "=d"(d));
	CHECK(b - a >= 1000);
	WRITE_CR(4, READ_CR(4) | CR4_TSD);
	WRITE_CR(4, READ_CR(4) & ~(ulong)CR4_TSD);
}

int main(void)
{
	exceptions();
	ist();
	level3();
	bases();
	self_modifying();
	descriptor_tables();
	counters();
	return 0;
}
