/*
 * Loops of an L2 that have run for long, so that a monitor which translates has translated them,
 * and what then reaches into their middle: the preemption timer, single steps, breakpoints, EPT
 * violations, windows, the TPR threshold, their own stores. Wherever they stop, registers, memory
 * and flags are those of that very instruction, also flags that the loop never looks at.
 */
#include "tests/nested/probe.h"

#define WARM 20000u
#define FLAGS_ALL (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* Everything but rdi counts up, the word at rdx, too; rdi says how often is left. */
extern u8 hot_loop[], hot_1[], hot_2[], hot_3[], hot_4[], hot_5[], hot_6[];
__asm__(".pushsection .text\n"
	".balign 64\n"
	"hot_loop: inc %rax\n"
	"hot_1: inc %rbx\n"
	"hot_2: mov %rbx, (%rdx)\n"
	"hot_3: inc %rcx\n"
	"hot_4: mov (%rdx), %rsi\n"
	"hot_5: dec %rdi\n"
	"hot_6: jnz hot_loop\n"
	"\tvmcall\n"
	".popsection");
#define PLACES 7u

static u64 word, total; /* rounds that were asked for */
static volatile u64 *cell;

static bool is_even(u64 byte)
{
	byte ^= byte >> 4;
	byte ^= byte >> 2;
	return !((byte ^ byte >> 1) & 1);
}

/* Of an INC, or DEC, that gave @v. */
static u64 flags_of(u64 v, bool dec)
{
	return (is_even(v & 0xff) ? RFLAGS_PF : 0) | (v ? 0 : RFLAGS_ZF) |
	       ((v & 15) == (dec ? 15 : 0) ? RFLAGS_AF : 0);
}

/* So many more, from the beginning. */
static void rounds(struct vmxt *t, u64 n)
{
	t->regs.rdi = n;
	total += n;
	vmwrite(VMCS_GUEST_RIP, (u64)hot_loop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | flags_of(n, true));
}

static bool warm(struct vmxt *t, volatile u64 *where)
{
	cell = where;
	*where = total = 0;
	t->regs = (struct l2_regs){.rdx = (u64)where};
	rounds(t, WARM);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	return t->regs.rax == WARM;
}

/* The instruction that comes next, 0 to 6; that all is as before it is checked. */
static u32 place(struct vmxt *t)
{
	static const u8 *const at[PLACES] = {hot_loop, hot_1, hot_2, hot_3, hot_4, hot_5, hot_6};
	u64 rip = vmread(VMCS_GUEST_RIP), n, flags;
	u32 i = 0;

	while (i < PLACES && (u64)at[i] != rip)
		i++;
	vmxt_note("rip", rip);
	CHECK(i < PLACES);
	n = t->regs.rbx - (i >= 2);
	CHECK_EQ(t->regs.rax, n + (i >= 1));
	CHECK_EQ(*cell, n + (i >= 3));
	CHECK_EQ(t->regs.rcx, n + (i >= 4));
	CHECK_EQ(t->regs.rsi, n + (i >= 5));
	CHECK_EQ(t->regs.rdi, total - n - (i >= 6));
	flags = i == 1		   ? flags_of(t->regs.rax, false)
		: i == 2 || i == 3 ? flags_of(t->regs.rbx, false)
		: i == 4 || i == 5 ? flags_of(t->regs.rcx, false)
				   : flags_of(t->regs.rdi, true);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & FLAGS_ALL, flags);
	vmxt_note("", 0);
	return i;
}

/* The rest of the rounds. */
static void run_out(struct vmxt *t)
{
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ(t->regs.rax, total);
	CHECK_EQ(*cell, total);
	CHECK_EQ(t->regs.rdi, 0);
}

/* 20 to 21 µs each: at every place under a clock that counts instructions. */
static void timer(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)hot_loop);
	NEED(warm(t, &word), "the loop does not run");
	NEED(vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER), "no preemption timer");
	rounds(t, 1u << 28);
	for (u32 i = 0; i < 100; i++) {
		u32 ticks = 20000 + i * 37 % 1000;

		vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, ticks >> t->caps.timer_shift);
		EXPECT_EXIT(t, EXIT_REASON_PREEMPTION_TIMER);
		place(t);
	}
}

static void monitor_trap(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)hot_loop);
	NEED(warm(t, &word), "the loop does not run");
	NEED(vmxt_control(t, VMX_PROC, PROC_MONITOR_TRAP_FLAG), "no monitor trap flag");
	for (u32 turn = 0; turn < 3; turn++) {
		vmxt_control(t, VMX_PROC, PROC_MONITOR_TRAP_FLAG);
		rounds(t, 1000);
		for (u32 i = 1; i < 40; i++) {
			EXPECT_EXIT(t, EXIT_REASON_MONITOR_TRAP_FLAG);
			CHECK_EQ(place(t), i % PLACES);
		}
		vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL,
			vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & ~(u64)PROC_MONITOR_TRAP_FLAG);
		run_out(t);
	}
}

static void trap_flag(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)hot_loop);
	NEED(warm(t, &word), "the loop does not run");
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB);
	rounds(t, 1000);
	vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) | RFLAGS_TF);
	for (u32 i = 1; i < 40; i++) {
		EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
		CHECK_EQ(t->qualification, PENDING_DBG_BS);
		CHECK_EQ(place(t), i % PLACES);
	}
	vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) & ~RFLAGS_TF);
	run_out(t);
}

static void breakpoints(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)hot_loop);
	NEED(warm(t, &word), "the loop does not run");
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB);
	NEED(vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_DEBUG), "no debug controls");
	__asm__ volatile("mov %0, %%dr0" : : "r"(&word));
	__asm__ volatile("mov %0, %%dr1" : : "r"(hot_5));
	rounds(t, 50);
	vmwrite(VMCS_GUEST_DR7, DR7_FIXED | 0x90001); /* writes of 8 bytes at DR0 */
	for (u32 i = 0; i < 10; i++) {
		EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
		CHECK_EQ(t->qualification, DR6_B0);
		CHECK_EQ(place(t), 3);
	}
	vmwrite(VMCS_GUEST_DR7, DR7_FIXED | 4); /* execution of DR1 */
	for (u32 i = 0; i < 10; i++) {
		EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
		CHECK_EQ(t->qualification, DR6_B0 << 1);
		CHECK_EQ(place(t), 5);
		vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	}
	vmwrite(VMCS_GUEST_DR7, DR7_FIXED);
	run_out(t);
	__asm__ volatile("mov %0, %%dr0; mov %0, %%dr1" : : "r"(0ull));
}

/* The page is taken away, given back to read, given back. */
static void violations(struct vmxt *t)
{
	u64 *page = probe_page(0), leaf = (u64)page | EPT_ENTRY_WB;

	if (!probe_setup(t, (vmxt_guest_fn)hot_loop))
		return;
	NEED(vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER), "no preemption timer");
	t->regs = (struct l2_regs){.rdx = PROBE};
	cell = page;
	*page = total = 0;
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, ~0u);
	rounds(t, WARM);
	probe_pt[0] = leaf | EPT_ENTRY_RWX;
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	rounds(t, 1000000);
	for (u32 i = 0; i < 20; i++) {
		vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, ((2000 + i) >> t->caps.timer_shift) + 1);
		EXPECT_EXIT(t, EXIT_REASON_PREEMPTION_TIMER);
		bool reads_next = place(t) >= 3 && vmread(VMCS_GUEST_RIP) <= (u64)hot_4;

		probe_pt[0] = i & 1 ? 0 : leaf | EPT_ENTRY_READ;
		vmx_invept_all(&t->caps);
		vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, ~0u);
		EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
		if (i & 1 && reads_next) {
			CHECK_EQ(place(t), 4);
			CHECK_EQ(t->qualification & 7, EPT_VIOLATION_READ);
		} else {
			CHECK_EQ(place(t), 2);
			CHECK_EQ(t->qualification & 7, EPT_VIOLATION_WRITE);
		}
		CHECK_EQ(vmread(VMCS_GUEST_LINEAR_ADDRESS), PROBE);
		probe_pt[0] = leaf | EPT_ENTRY_RWX;
	}
}

/* From a page to the APIC-access page behind it, in one large page. */
extern u8 hot_walk[];
__asm__(".pushsection .text\n"
	"hot_walk: mov (%rdx), %rax\n"
	"\tadd $64, %rdx\n"
	"\tdec %rdi\n"
	"\tjnz hot_walk\n"
	"\tvmcall\n"
	".popsection");

static void apic_access(struct vmxt *t)
{
	u64 *pages = page_alloc(2, 2 * PAGE_SIZE), *apic = pages + PAGE_SIZE / 8;

	vmxt_prepare(t, (vmxt_guest_fn)hot_walk);
	NEED(vmxt_identity_ept(t) && vmxt_control(t, VMX_PROC2, PROC2_APIC_ACCESSES),
	     "no APIC accesses are virtualized");
	vmwrite(VMCS_APIC_ACCESS_ADDR, (u64)apic);
	for (u32 i = 0; i < 60; i++) {
		t->regs.rdx = (u64)pages;
		t->regs.rdi = i < 50 ? 60 : 100;
		vmwrite(VMCS_GUEST_RIP, (u64)hot_walk);
		if (i < 50) {
			EXPECT_EXIT(t, EXIT_REASON_VMCALL);
			continue;
		}
		EXPECT_EXIT(t, EXIT_REASON_APIC_ACCESS);
		CHECK_EQ(t->qualification, 0); /* a read, at 0 */
		CHECK_EQ(t->regs.rdx, (u64)apic);
		CHECK_EQ(t->regs.rdi, 36);
		CHECK_EQ(vmread(VMCS_GUEST_RIP), (u64)hot_walk);
	}
}

extern u8 hot_window[], hot_cli[], hot_tpr[];
__asm__(".pushsection .text\n"
	"hot_window: sti\n"
	"\tinc %rax\n"
	"hot_cli: cli\n"
	"\tdec %rdi\n"
	"\tjnz hot_window\n"
	"\tvmcall\n"
	"\tjmp hot_window\n"
	"hot_tpr: mov $15, %ecx\n"
	"1: mov %rcx, %cr8\n"
	"\tinc %rax\n"
	"\tdec %rcx\n"
	"\tjns 1b\n"
	"\tdec %rdi\n"
	"\tjnz hot_tpr\n"
	"\tvmcall\n"
	"\tjmp hot_tpr\n"
	".popsection");

static void window(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)hot_window);
	t->regs = (struct l2_regs){.rdi = WARM};
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	vmxt_step_over();
	NEED(vmxt_control(t, VMX_PROC, PROC_INTERRUPT_WINDOW), "no interrupt-window exiting");
	t->regs.rdi = 100;
	t->regs.rax = 0;
	for (u32 i = 1; i <= 100; i++) { /* behind the instruction behind STI */
		EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
		CHECK_EQ(vmread(VMCS_GUEST_RIP), (u64)hot_cli);
		CHECK_EQ(t->regs.rax, i);
		vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) & ~(u64)RFLAGS_IF);
	}
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
}

static void threshold(struct vmxt *t)
{
	u8 *page = (u8 *)probe_page(0);

	vmxt_prepare(t, (vmxt_guest_fn)hot_tpr);
	NEED(vmxt_control(t, VMX_PROC, PROC_TPR_SHADOW), "no TPR shadow");
	vmwrite(VMCS_VIRTUAL_APIC_PAGE_ADDR, (u64)page);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	t->regs = (struct l2_regs){.rdi = 3000};
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	vmxt_step_over();
	t->regs.rdi = 40;
	for (u64 i = 1; i <= 15; i++) {
		page[0x80] = 0xf0;
		vmwrite(VMCS_TPR_THRESHOLD, i);
		t->regs.rax = t->regs.rcx = 0;
		EXPECT_EXIT(t, EXIT_REASON_TPR_BELOW_THRESHOLD);
		CHECK_EQ(t->regs.rcx, i - 1);
		CHECK_EQ(t->regs.rax, 16 - i);
		CHECK_EQ(page[0x80], (i - 1) << 4);
		vmwrite(VMCS_TPR_THRESHOLD, 0);
		vmwrite(VMCS_GUEST_RIP, (u64)hot_tpr);
	}
}

/* A loop that writes its own next instruction, and another that writes data beside its code. */
extern u8 hot_writes[], hot_writes_end[];
__asm__(".pushsection .text\n"
	"hot_writes: incb 2f - 1(%rip)\n"
	"\tadd $0, %rax\n"
	"2: incq 256f(%rip)\n"
	"\tdec %rdi\n"
	"\tjnz hot_writes\n"
	"\tvmcall\n"
	"\t.balign 256\n"
	"256: .quad 0\n"
	"hot_writes_end:\n"
	".popsection");

static void own_code(struct vmxt *t)
{
	u8 *copy = page_alloc(1, PAGE_SIZE);
	s64 sum = 0;

	memcpy(copy, hot_writes, (u64)(hot_writes_end - hot_writes));
	for (u32 i = 1; i <= WARM; i++)
		sum += (s8)i;
	vmxt_prepare(t, (vmxt_guest_fn)copy);
	t->regs = (struct l2_regs){.rdi = WARM};
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ(t->regs.rax, (u64)sum);
	CHECK_EQ(*(u64 *)(copy + (hot_writes_end - hot_writes) - 8), WARM);
}

const struct vmxt_case vmxt_hot_cases[] = {
	{"hot: preemption timer", timer},    {"hot: monitor trap flag", monitor_trap},
	{"hot: RFLAGS.TF", trap_flag},	     {"hot: breakpoints", breakpoints},
	{"hot: EPT violations", violations}, {"hot: APIC-access page", apic_access},
	{"hot: interrupt window", window},   {"hot: TPR threshold", threshold},
	{"hot: its own code", own_code},     {NULL, NULL},
};
