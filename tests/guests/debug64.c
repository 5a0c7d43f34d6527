/* Single steps on branches, debug exceptions that a MOV SS holds back, and IA32_MISC_ENABLE. */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

#define STEPS_MAX 16u
static volatile ulong step_ip[STEPS_MAX], step_dr6[STEPS_MAX];
static volatile u32 steps;
static volatile bool keep_btf;
static u16 data_selector = SEL_DATA;

#define READ_DR(n) \
	({ \
		ulong v_; \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(v_)); \
		v_; \
	})
#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"((ulong)(v)))

void on_debug(ulong ip);
void on_debug(ulong ip)
{
	if (steps < STEPS_MAX) {
		step_ip[steps] = ip;
		step_dr6[steps] = READ_DR(6);
	}
	steps++;
	WRITE_DR(6, DR6_FIXED);
	CHECK_EQ(rdmsr(MSR_IA32_DEBUGCTL), 0);
	if (keep_btf)
		wrmsr(MSR_IA32_DEBUGCTL, DEBUGCTL_BTF);
}

__asm__(".pushsection .text\n"
	"debug_entry:\n"
	"	push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n"
	"	push %r8\n push %r9\n push %r10\n push %r11\n"
	"	mov 72(%rsp), %rdi\n"
	"	call on_debug\n"
	"	pop %r11\n pop %r10\n pop %r9\n pop %r8\n"
	"	pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"
	"	iretq\n"
	".popsection\n");
void debug_entry(void);

#define TF_ON "pushfq; orl $0x100, (%%rsp); popfq\n"
#define TF_OFF "pushfq; andl $~0x100, (%%rsp); popfq\n"

static void single_steps(void)
{
	ulong at;

	put("single steps\n");
	steps = 0;
	__asm__ volatile(TF_ON "nop\n1: jmp 2f\n nop\n2: nop\n" TF_OFF "lea 1b(%%rip), %0"
			 : "=r"(at)
			 :
			 : "memory", "cc");
	CHECK_EQ(steps, 6);
	CHECK_EQ(step_ip[0], at);
	CHECK_EQ(step_dr6[0], DR6_FIXED | DR6_BS);
}

static void branches(void)
{
	ulong at, taken, loop;

	put("branches\n");
	steps = 0;
	keep_btf = true;
	wrmsr(MSR_IA32_DEBUGCTL, DEBUGCTL_BTF);
	CHECK_EQ(rdmsr(MSR_IA32_DEBUGCTL), DEBUGCTL_BTF);
	__asm__ volatile("mov $3, %%ecx\n"
			 "xor %%eax, %%eax\n" TF_ON "nop\n"
			 "test %%eax, %%eax\n"
			 "jnz 2f\n" /* not taken */
			 "jz 2f\n"
			 "nop\n"
			 "2: nop\n"
			 "1: dec %%ecx\n"
			 "jnz 1b\n" /* taken twice */
			 "call 3f\n"
			 "jmp 4f\n"
			 "3: ret\n"
			 "4: nop\n" TF_OFF "lea 2b(%%rip), %0; lea 1b(%%rip), %1; lea 4b(%%rip), %2"
			 : "=&r"(taken), "=&r"(loop), "=&r"(at)
			 :
			 : "rax", "rcx", "memory", "cc");
	keep_btf = false;
	wrmsr(MSR_IA32_DEBUGCTL, 0);
	CHECK_EQ(steps, 6);
	CHECK_EQ(step_ip[0], taken);
	CHECK_EQ(step_ip[1], loop);
	CHECK_EQ(step_ip[2], loop);
	CHECK_EQ(step_ip[5], at);
	CHECK_EQ(step_dr6[0], DR6_FIXED | DR6_BS);
	/* the processor clears BTF with each exception */
	steps = 0;
	wrmsr(MSR_IA32_DEBUGCTL, DEBUGCTL_BTF);
	__asm__ volatile(TF_ON "nop\n jmp 1f\n1: nop\n nop\n" TF_OFF : : : "memory", "cc");
	CHECK_EQ(steps, 6);
	CHECK_EQ(TRY_AC("wrmsr", 4, MSR_IA32_DEBUGCTL), VECTOR_GP);
}

static void held_back(void)
{
	ulong at;

	put("MOV SS\n");
	steps = 0;
	__asm__ volatile("mov %%ss, %%eax\n" TF_ON "mov %%eax, %%ss\n .byte 0xf1\n1:" TF_OFF
			 "lea 1b(%%rip), %0"
			 : "=r"(at)
			 :
			 : "rax", "memory", "cc");
	CHECK_EQ(step_ip[0], at);
	CHECK_EQ(step_dr6[0], DR6_FIXED); /* of ICEBP, not of the step */
	CHECK_EQ(steps, 4);
	/* general detection comes at once, and nothing of the step after it */
	steps = 0;
	WRITE_DR(7, DR7_FIXED | DR7_GD);
	__asm__ volatile("mov %%ss, %%eax\n" TF_ON "mov %%eax, %%ss\n1: mov %%dr3, %%rax\n" TF_OFF
			 "lea 1b(%%rip), %0"
			 : "=r"(at)
			 :
			 : "rax", "memory", "cc");
	CHECK_EQ(step_ip[0], at);
	CHECK_EQ(step_dr6[0] & (DR6_BS | DR6_BD), DR6_BD);
	CHECK_EQ(step_ip[1], at + 3);
	CHECK_EQ(steps, 5);
	/* a watchpoint under MOV SS: with INT3 it comes at the handler's first instruction */
	steps = 0;
	WRITE_DR(0, &data_selector);
	WRITE_DR(7, DR7_FIXED | 2 | 7ull << 16);
	__asm__ volatile("mov %0, %%ss\n .byte 0xf1" : : "m"(data_selector) : "memory");
	CHECK_EQ(steps, 1);
	CHECK_EQ(step_dr6[0], DR6_FIXED);
	__asm__ volatile("mov %0, %%ss\n int3" : : "m"(data_selector) : "memory");
	CHECK_EQ(steps, 2);
	CHECK_EQ(step_dr6[1], DR6_FIXED | DR6_B0);
	WRITE_DR(7, DR7_FIXED);
}

static u32 cpuid(u32 leaf, u32 reg)
{
	u32 r[4];

	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(0));
	return r[reg];
}

static void misc_enable(void)
{
	const u64 kept =
		MISC_ENABLE_THERMAL_CONTROL | MISC_ENABLE_SPEEDSTEP | MISC_ENABLE_XTPR_DISABLE;
	u64 was = rdmsr(MSR_IA32_MISC_ENABLE), efer = rdmsr(MSR_IA32_EFER);

	put("IA32_MISC_ENABLE\n");
	wrmsr(MSR_IA32_MISC_ENABLE, was | kept);
	CHECK_EQ(rdmsr(MSR_IA32_MISC_ENABLE), was | kept);
	wrmsr(MSR_IA32_MISC_ENABLE, 0);
	CHECK_EQ(rdmsr(MSR_IA32_MISC_ENABLE), was & MISC_ENABLE_FIXED);
	CHECK_EQ(TRY_AC("wrmsr", 2, MSR_IA32_MISC_ENABLE), VECTOR_GP);
	CHECK_EQ(cpuid(1, 2) & 8, 0);
	CHECK_EQ(TRY_A("monitor", &data_selector), VECTOR_UD);
	CHECK_EQ(TRY("mwait"), VECTOR_UD);
	wrmsr(MSR_IA32_MISC_ENABLE, was | MISC_ENABLE_LIMIT_CPUID);
	CHECK_EQ(cpuid(0, 0), 2);
	wrmsr(MSR_IA32_MISC_ENABLE, was | MISC_ENABLE_XD_DISABLE);
	CHECK_EQ(cpuid(0x80000001, 3) & 1u << 20, 0);
	CHECK_EQ(TRY_REGS("wrmsr", (u32)efer | EFER_NXE, MSR_IA32_EFER, 0), VECTOR_GP);
	wrmsr(MSR_IA32_MISC_ENABLE, was);
	CHECK_EQ(TRY_REGS("wrmsr", (u32)efer | EFER_NXE, MSR_IA32_EFER, 0), -1);
	wrmsr(MSR_IA32_EFER, efer);
	CHECK_EQ(TRY_A("monitor", &data_selector), -1);
	CHECK(cpuid(0, 0) > 2);
}

int main(void)
{
	set_gate(VECTOR_DB, debug_entry, 0);
	single_steps();
	branches();
	held_back();
	misc_enable();
	finish();
}
