/* The performance-monitoring unit: exact counts by ring, overflow by status and by interrupt,
 * RDPMC. */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

#define USER (1u << 16)
#define KERNEL (1u << 17)
#define INTERRUPT (1u << 20)
#define ENABLE (1u << 22)
#define INSNS 0xc0u
#define CYCLES 0x3cu
#define BRANCHES 0xc4u
#define BRANCH_MISSES 0xc5u
#define MSR_X2APIC_LVT_PERF 0x834u
#define PMI_VECTOR 0x41

static volatile u32 pmis;
static volatile ulong pmi_ip;

void on_pmi(ulong ip);
void on_pmi(ulong ip)
{
	pmis++;
	pmi_ip = ip;
	wrmsr(MSR_X2APIC_EOI, 0);
}
__asm__(".pushsection .text\n"
	"pmi_entry:\n"
	"	push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n"
	"	push %r8\n push %r9\n push %r10\n push %r11\n"
	"	mov 72(%rsp), %rdi\n"
	"	call on_pmi\n"
	"	pop %r11\n pop %r10\n pop %r9\n pop %r8\n"
	"	pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"
	"	iretq\n"
	".popsection\n");
void pmi_entry(void);

static u32 cpuid_a(u32 reg)
{
	u32 r[4];

	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(0xa), "c"(0));
	return r[reg];
}
static u64 rdpmc(u32 n)
{
	u32 lo, hi;

	__asm__ volatile("rdpmc" : "=a"(lo), "=d"(hi) : "c"(n));
	return lo | (u64)hi << 32;
}
/* 2 * n + 1 instructions */
static inline void loop(ulong n)
{
	__asm__ volatile("mov %0, %%rcx\n1: dec %%rcx\n jnz 1b" : : "r"(n) : "rcx", "cc");
}
static u64 count(u32 counter, ulong n)
{
	u64 before = rdpmc(counter);

	loop(n);
	return rdpmc(counter) - before;
}
static void user_loop(void)
{
	loop(5000);
}

static void counting(void)
{
	u64 few, many, both;

	put("counts\n");
	CHECK_EQ(cpuid_a(0) & 0xff, 2);
	CHECK_EQ(cpuid_a(0) >> 8 & 0xff, 4);
	wrmsr(MSR_IA32_PERFEVTSEL0, INSNS | KERNEL | ENABLE);
	wrmsr(MSR_IA32_PERFEVTSEL0 + 1, CYCLES | KERNEL | USER | ENABLE);
	wrmsr(MSR_IA32_PERFEVTSEL0 + 2, INSNS | USER | ENABLE);
	wrmsr(MSR_IA32_PERFEVTSEL0 + 3, 0x1234 | KERNEL | USER | ENABLE);
	wrmsr(MSR_IA32_FIXED_CTR_CTRL, 0x333);
	wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 7ull << 32 | 0xf);
	few = count(0, 100);
	many = count(0, 10100);
	CHECK_EQ(many - few, 20000);
	CHECK_EQ(count(1 << 30, 10100) - count(1 << 30, 100), 20000);
	CHECK_EQ(count(1, 10100) - count(1, 100), 20000);
	CHECK_EQ(count(2, 100), 0);
	CHECK_EQ(count(3, 100), 0);
	CHECK(rdpmc((1 << 30) + 2) > 40000);
	/* level 3 */
	few = rdpmc(2);
	many = rdpmc(0);
	both = rdpmc(1);
	CHECK_EQ(at_level3(user_loop), -1);
	few = rdpmc(2) - few;
	many = rdpmc(0) - many;
	both = rdpmc(1) - both;
	CHECK(both > few + many - 20 && both < few + many + 20);
	CHECK(few > 10000 && few < 10050);
	CHECK(many > 5 && many < 500);
	wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
	CHECK_EQ(count(0, 100), 0);
	CHECK_EQ(count(1 << 30, 100), 0);
}

/* Three near branches each: a loop's own, a call and its return. */
static void calls(ulong n)
{
	__asm__ volatile("mov %0, %%rcx\n1: call 3f\n dec %%rcx\n jnz 1b\n jmp 2f\n3: ret\n2:"
			 :
			 : "r"(n)
			 : "rcx", "cc", "memory");
}
/* A branch that goes by the lowest bit of a linear-congruential sequence: nobody predicts it
 * well. */
static void coins(ulong n)
{
	__asm__ volatile("mov %0, %%rcx\n mov $12345, %%eax\n"
			 "1: imul $1103515245, %%eax, %%eax\n add $12345, %%eax\n bt $20, %%eax\n "
			 "jc 2f\n nop\n"
			 "2: dec %%rcx\n jnz 1b"
			 :
			 : "r"(n)
			 : "rax", "rcx", "cc");
}
static inline __attribute__((always_inline)) void far_return(void)
{
	__asm__ volatile("mov %%ss, %%eax\n mov %%rsp, %%rdx\n push %%rax\n push %%rdx\n pushfq\n "
			 "mov %%cs, %%eax\n push %%rax\n"
			 "lea 1f(%%rip), %%rax\n push %%rax\n iretq\n1:"
			 :
			 :
			 : "rax", "rdx", "memory");
}

static void branches(void)
{
	u64 before, missed;

	put("branches\n");
	CHECK_EQ(cpuid_a(1) & 0x7f, 0x18);
	wrmsr(MSR_IA32_PERFEVTSEL0, BRANCHES | KERNEL | ENABLE);
	wrmsr(MSR_IA32_PERFEVTSEL0 + 1, BRANCH_MISSES | KERNEL | ENABLE);
	wrmsr(MSR_IA32_PERFEVTSEL0 + 2, BRANCHES | USER | ENABLE);
	wrmsr(MSR_IA32_PERFEVTSEL0 + 3, BRANCHES | KERNEL | ENABLE | 2u << 24);
	wrmsr(MSR_IA32_PMC0 + 2, 0);
	wrmsr(MSR_IA32_PMC0 + 3, 0);
	wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0xf);
	CHECK_EQ(count(0, 10100) - count(0, 100), 10000);
	before = rdpmc(0);
	calls(10);
	missed = rdpmc(0) - before;
	before = rdpmc(0);
	calls(1010);
	CHECK_EQ(rdpmc(0) - before - missed, 3000);
	/* loops, calls and returns are predicted, coins are not */
	before = rdpmc(1);
	calls(5000);
	missed = rdpmc(1) - before;
	CHECK(missed < 50);
	before = rdpmc(1);
	coins(4000);
	missed = rdpmc(1) - before;
	CHECK(missed > 800 && missed < 3200);
	/* a far one is one; three far ones more are three more */
	before = rdpmc(0);
	far_return();
	missed = rdpmc(0) - before;
	before = rdpmc(0);
	far_return();
	far_return();
	far_return();
	CHECK_EQ(rdpmc(0) - before - missed, 2);
	CHECK_EQ(rdpmc(2), 0);
	CHECK_EQ(rdpmc(3), 0); /* two in a cycle never are */
	CHECK_EQ(at_level3(user_loop), -1);
	CHECK(rdpmc(2) >= 5000 && rdpmc(2) < 5020);
	wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
	before = rdpmc(0);
	loop(100);
	CHECK_EQ(rdpmc(0), before);
}

static void registers(void)
{
	put("registers\n");
	CHECK_EQ(TRY_AC("rdpmc", 0, 4), VECTOR_GP);
	CHECK_EQ(TRY_AC("rdpmc", 0, (1 << 30) + 3), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrmsr", 1u << 21, MSR_IA32_PERFEVTSEL0, 0), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrmsr", 0, MSR_IA32_PERFEVTSEL0, 1), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrmsr", 4, MSR_IA32_FIXED_CTR_CTRL, 0), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrmsr", 0x10, MSR_IA32_PERF_GLOBAL_CTRL, 0), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrmsr", 0, MSR_IA32_PERF_GLOBAL_STATUS, 0), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrmsr", 0, MSR_IA32_FIXED_CTR0, 1u << 16), VECTOR_GP);
	wrmsr(MSR_IA32_PMC0, 0x80000000); /* 32 bits and their sign */
	CHECK_EQ(rdmsr(MSR_IA32_PMC0), 0xffff80000000);
	wrmsr(MSR_IA32_FIXED_CTR0, 0x123456789abc);
	CHECK_EQ(rdmsr(MSR_IA32_FIXED_CTR0), 0x123456789abc);
	CHECK_EQ(rdmsr(MSR_IA32_PERF_GLOBAL_OVF_CTRL), 0);
}

static void overflow(void)
{
	ulong at, ip[2];

	put("overflow\n");
	wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
	wrmsr(MSR_IA32_PERF_GLOBAL_OVF_CTRL, 7ull << 32 | 0xf);
	wrmsr(MSR_IA32_PERFEVTSEL0, INSNS | KERNEL | ENABLE);
	wrmsr(MSR_IA32_PMC0, (u32)-1000);
	wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 1);
	CHECK_EQ(rdmsr(MSR_IA32_PERF_GLOBAL_STATUS), 0);
	loop(1000);
	CHECK_EQ(rdmsr(MSR_IA32_PERF_GLOBAL_STATUS), 1);
	wrmsr(MSR_IA32_PERF_GLOBAL_OVF_CTRL, 1);
	CHECK_EQ(rdmsr(MSR_IA32_PERF_GLOBAL_STATUS), 0);

	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	wrmsr(0x80f, 0x1ff);
	set_gate(PMI_VECTOR, pmi_entry, 0);
	__asm__ volatile("sti");
	for (u32 i = 0; i < 4; i++) {
		/* 64 instructions after the loop, or with its last branch */
		bool by_branches = i >= 2;

		wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
		wrmsr(MSR_X2APIC_LVT_PERF, PMI_VECTOR);
		wrmsr(MSR_IA32_PERFEVTSEL0,
		      (by_branches ? BRANCHES : INSNS) | KERNEL | INTERRUPT | ENABLE);
		wrmsr(MSR_IA32_PMC0, (u32) - (by_branches ? 500 : 1000 + 64));
		/* the count ends among the NOPs, and where does not depend on anything */
		__asm__ volatile("mov $1, %%eax\n xor %%edx, %%edx\n mov $0x38f, %%ecx\n wrmsr\n"
				 "mov $500, %%ecx\n1: dec %%ecx\n jnz 1b\n"
				 "2: .fill 128, 1, 0x90\n lea 2b(%%rip), %0"
				 : "=a"(at)
				 :
				 : "rcx", "rdx", "memory", "cc");
		CHECK_EQ(pmis, i + 1);
		CHECK(by_branches ? pmi_ip == at : pmi_ip > at && pmi_ip < at + 128);
		ip[i & 1] = pmi_ip;
		CHECK_EQ(rdmsr(MSR_X2APIC_LVT_PERF) >> 16 & 1, 1); /* masked by the interrupt */
		wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
		CHECK_EQ(rdmsr(MSR_IA32_PERF_GLOBAL_STATUS), 1);
		wrmsr(MSR_IA32_PERF_GLOBAL_OVF_CTRL, 1);
		if (i & 1)
			CHECK_EQ(ip[0], ip[1]);
	}
	__asm__ volatile("cli");
}

int main(void)
{
	counting();
	branches();
	registers();
	overflow();
	finish();
}
