/*
 * APIC virtualization: the APIC-access page, the MSRs of x2APIC mode, priorities, virtual and
 * posted interrupts. SDM 3C "APIC Virtualization and Virtual Interrupts".
 */
#include "tests/nested/vmxt.h"

#define V_ID 0x020
#define V_TPR 0x080
#define V_PPR 0x0a0
#define V_EOI 0x0b0
#define V_ISR 0x100
#define V_IRR 0x200
#define V_ICR_LOW 0x300
#define V_ICR_HIGH 0x310
#define V_SELF_IPI 0x3f0
#define NOTIFY 0xf2

static volatile u8 *access_page; /* never touched by anybody */
static u8 *vapic;
static u64 *posted;
static volatile u64 seen, reg, written;

static volatile u32 *v(u32 r)
{
	return (volatile u32 *)(vapic + r);
}

static void v_set(u32 base, u32 vector)
{
	*v(base + vector / 32 * 16) |= 1u << vector % 32;
}

static bool v_test(u32 base, u32 vector)
{
	return *v(base + vector / 32 * 16) >> vector % 32 & 1;
}

static u32 status(void)
{
	return (u32)vmread(VMCS_GUEST_INTR_STATUS);
}

/* vmxt_prepare with these secondary controls, a virtual-APIC page of zeros, and what they need. */
static bool setup(struct vmxt *t, vmxt_guest_fn fn, u32 proc2)
{
	if (!access_page) {
		access_page = page_alloc(1, PAGE_SIZE);
		vapic = page_alloc(1, PAGE_SIZE);
		posted = page_alloc(1, PAGE_SIZE);
	}
	memset(vapic, 0, PAGE_SIZE);
	memset((void *)access_page, 0xee, PAGE_SIZE);
	memset(posted, 0, PAGE_SIZE);
	vmxt_prepare(t, fn);
	if (!vmxt_control(t, VMX_PROC, PROC_TPR_SHADOW) || !vmxt_control(t, VMX_PROC2, proc2)) {
		vmxt_skip("no such APIC virtualization");
		return false;
	}
	vmwrite(VMCS_VIRTUAL_APIC_PAGE_ADDR, (u64)vapic);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	if (proc2 & PROC2_APIC_ACCESSES)
		vmwrite(VMCS_APIC_ACCESS_ADDR, (u64)access_page);
	if (proc2 & PROC2_VIRTUAL_INTERRUPT) {
		vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT);
		vmxt_control(t, VMX_EXIT, EXIT_CTL_ACK_INTERRUPT);
		vmwrite(VMCS_GUEST_INTR_STATUS, 0);
		for (u32 i = 0; i < 4; i++)
			vmwrite(VMCS_EOI_EXIT_BITMAP0 + 2 * i, 0);
	}
	return true;
}

/* --- the APIC-access page --- */

static void guest_page_reads(void)
{
	for (;;) {
		seen = *(volatile u32 *)(access_page + reg);
		guest_call(1);
	}
}

static void guest_page_writes(void)
{
	for (;;) {
		*(volatile u32 *)(access_page + reg) = (u32)written;
		guest_call(1);
	}
}

static const u16 all_readable[] = {0x020, 0x030, 0x080, 0x0b0, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x300,
				   0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};

static bool is_readable(u32 r)
{
	for (u32 i = 0; i < ARRAY_SIZE(all_readable); i++)
		if (all_readable[i] == r)
			return true;
	return r >= 0x100 && r < 0x280;
}

static void read_all(struct vmxt *t, bool registers, bool vid)
{
	for (u32 r = 0; r < PAGE_SIZE; r += 16) {
		bool virtual = registers ? is_readable(r)
					 : r == V_TPR || (vid && (r == V_EOI || r == V_ICR_LOW));

		vmxt_note("register", r);
		*v(r) = r == V_TPR ? 0x20 : 0xa5000000 | r;
		if (vid && r == V_IRR)
			*v(r) = 0;
		reg = r;
		if (virtual) {
			EXPECT_CALL(t, 1);
			CHECK_EQ((u32)seen, *v(r));
		} else {
			EXPECT_EXIT(t, EXIT_REASON_APIC_ACCESS);
			CHECK_EQ(t->qualification, r);
			vmwrite(VMCS_GUEST_RIP, (u64)guest_page_reads);
		}
	}
}

static void page_reads(struct vmxt *t)
{
	if (!setup(t, guest_page_reads, PROC2_APIC_ACCESSES))
		return;
	read_all(t, false, false);
	if (!setup(t, guest_page_reads, PROC2_APIC_ACCESSES | PROC2_APIC_REGISTER))
		return;
	read_all(t, true, false);
	if (!setup(t, guest_page_reads, PROC2_APIC_ACCESSES | PROC2_VIRTUAL_INTERRUPT))
		return;
	read_all(t, false, true);
}

static void page_writes(struct vmxt *t)
{
	static const u16 plain[] = {0x020, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x300, 0x320, 0x330,
				    0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0, 0x0b0};

	if (!setup(t, guest_page_writes, PROC2_APIC_ACCESSES))
		return;
	written = 0xffffff50;
	reg = V_TPR;
	EXPECT_CALL(t, 1);
	CHECK_EQ(*v(V_TPR), 0x50);
	vmwrite(VMCS_TPR_THRESHOLD, 4);
	written = 0x30;
	EXPECT_EXIT(t, EXIT_REASON_TPR_BELOW_THRESHOLD);
	CHECK_EQ(*v(V_TPR), 0x30);
	/* still below: the next entry exits at once */
	EXPECT_EXIT(t, EXIT_REASON_TPR_BELOW_THRESHOLD);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	EXPECT_CALL(t, 1); /* it had been a trap */
	reg = V_EOI;
	EXPECT_EXIT(t, EXIT_REASON_APIC_ACCESS);
	CHECK_EQ(t->qualification, 1 << 12 | V_EOI);
	CHECK_EQ(*v(V_EOI), 0);

	if (!setup(t, guest_page_writes, PROC2_APIC_ACCESSES | PROC2_APIC_REGISTER))
		return;
	for (u32 i = 0; i < ARRAY_SIZE(plain); i++) {
		vmxt_note("register", plain[i]);
		reg = plain[i];
		written = 0x12340000 | reg;
		EXPECT_EXIT(t, EXIT_REASON_APIC_WRITE);
		CHECK_EQ(t->qualification, reg);
		CHECK_EQ(*v((u32)reg), written);
		EXPECT_CALL(t, 1);
	}
	reg = V_ICR_HIGH;
	written = 0x12345678;
	EXPECT_CALL(t, 1);
	CHECK_EQ(*v(V_ICR_HIGH), 0x12000000);
	for (reg = 0; reg < 0x1000; reg += 16) {
		bool readable = is_readable((u32)reg);

		vmxt_note("register", reg);
		if (readable && reg != 0x030 && !(reg >= 0x100 && reg < 0x280))
			continue;
		EXPECT_EXIT(t, EXIT_REASON_APIC_ACCESS);
		CHECK_EQ(t->qualification, 1 << 12 | reg);
		vmwrite(VMCS_GUEST_RIP, (u64)guest_page_writes);
	}
	CHECK_EQ(access_page[0x80], 0xee); /* what lies there is never seen nor changed */
}

static void guest_shapes(void)
{
	volatile u8 *a = access_page + reg;

	switch (written) {
	case 0: seen = *a; break;
	case 1: seen = *(volatile u16 *)a; break;
	case 2: seen = *(volatile u64 *)a; break;
	case 3: *(volatile u32 *)a |= 0x40; break;
	case 4: __asm__ volatile("push (%0)\n\tpop seen" : : "r"(a)); break;
	case 5: ((void (*)(void))(u64)a)(); break;
	case 6: __asm__ volatile("lock xaddl %0, (%1)" : "+r"(*(u32 *)&seen) : "r"(a)); break;
	}
	guest_call(1);
}

static void shape(struct vmxt *t, u32 how, u32 r, u32 reason, u64 qualification)
{
	vmxt_note("access", how);
	written = how;
	reg = r;
	vmwrite(VMCS_GUEST_RIP, (u64)guest_shapes);
	vmwrite(VMCS_GUEST_RSP, (u64)t->stack + 0x3ff8);
	EXPECT_EXIT(t, reason);
	if (reason == EXIT_REASON_APIC_ACCESS)
		CHECK_EQ(t->qualification, qualification);
}

/* Widths, positions and kinds of access. */
static void page_shapes(struct vmxt *t)
{
	if (!setup(t, guest_shapes, PROC2_APIC_ACCESSES | PROC2_APIC_REGISTER))
		return;
	*v(V_TPR) = 0x60;
	shape(t, 0, V_TPR, EXIT_REASON_VMCALL, 0);
	CHECK_EQ(seen, 0x60);
	shape(t, 1, V_TPR, EXIT_REASON_VMCALL, 0);
	shape(t, 0, V_TPR + 3, EXIT_REASON_VMCALL, 0);
	shape(t, 0, V_TPR + 4, EXIT_REASON_APIC_ACCESS, V_TPR + 4);
	shape(t, 1, V_TPR + 3, EXIT_REASON_APIC_ACCESS, V_TPR + 3);
	shape(t, 2, V_TPR, EXIT_REASON_APIC_ACCESS, V_TPR);
	shape(t, 3, V_TPR, EXIT_REASON_VMCALL, 0); /* reads and writes */
	CHECK_EQ(*v(V_TPR), 0x60);
	*v(V_TPR) = 0x20;
	shape(t, 3, V_TPR, EXIT_REASON_VMCALL, 0);
	CHECK_EQ(*v(V_TPR), 0x60);
	seen = 0x10;
	shape(t, 6, V_TPR, EXIT_REASON_VMCALL, 0);
	CHECK_EQ(*v(V_TPR), 0x70);
	CHECK_EQ((u32)seen, 0x60);
	shape(t, 4, V_TPR, EXIT_REASON_APIC_ACCESS, V_TPR);
	shape(t, 5, V_TPR, EXIT_REASON_APIC_ACCESS, 2 << 12 | V_TPR);
}

/* --- x2APIC mode --- */

static void guest_msr_read(void)
{
	for (;;) {
		seen = cpu_rdmsr(0x800 + (u32)reg / 16);
		guest_call(1);
	}
}

static void guest_msr_write(void)
{
	for (;;) {
		cpu_wrmsr(0x800 + (u32)reg / 16, written);
		guest_call(1);
	}
}

static void x2apic_reads(struct vmxt *t)
{
	if (!setup(t, guest_msr_read, PROC2_X2APIC) || !vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS))
		return;
	reg = V_TPR;
	*(u64 *)(vapic + V_TPR) = 0x1234567800000040;
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 0x1234567800000040);
	t->msr_bitmap[0x808 / 8] = 1 << (0x808 % 8); /* the bitmap comes first */
	EXPECT_EXIT(t, EXIT_REASON_RDMSR);
	t->msr_bitmap[0x808 / 8] = 0;
	if (!setup(t, guest_msr_read, PROC2_X2APIC | PROC2_APIC_REGISTER))
		return;
	vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS);
	for (reg = 0; reg < PAGE_SIZE; reg += 16) {
		vmxt_note("register", reg);
		*(u64 *)(vapic + reg) = 0x1111111100000000 | reg;
		EXPECT_CALL(t, 1);
		CHECK_EQ(seen, 0x1111111100000000 | reg);
	}
}

static void x2apic_writes(struct vmxt *t)
{
	if (!setup(t, guest_msr_write, PROC2_X2APIC) ||
	    !vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS))
		return;
	reg = V_TPR;
	written = 0x70;
	EXPECT_CALL(t, 1);
	CHECK_EQ(*v(V_TPR), 0x70);
	vmwrite(VMCS_TPR_THRESHOLD, 6);
	written = 0x40;
	EXPECT_EXIT(t, EXIT_REASON_TPR_BELOW_THRESHOLD);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	EXPECT_CALL(t, 1);
	written = 0x100;
	EXPECT_TRAP(t, VECTOR_GP);
	CHECK_EQ(*v(V_TPR), 0x40);
	if (!setup(t, guest_msr_write, PROC2_X2APIC | PROC2_VIRTUAL_INTERRUPT))
		return;
	vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS);
	v_set(V_ISR, 0x55);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x5500);
	reg = V_EOI;
	written = 0;
	EXPECT_CALL(t, 1);
	CHECK_EQ(status(), 0);
	CHECK(!v_test(V_ISR, 0x55));
	reg = V_SELF_IPI;
	written = 0x66;
	EXPECT_CALL(t, 1); /* interrupts are off */
	CHECK_EQ(status(), 0x66);
	CHECK(v_test(V_IRR, 0x66));
	written = 0x05;
	EXPECT_EXIT(t, EXIT_REASON_APIC_WRITE);
	CHECK_EQ(t->qualification, V_SELF_IPI);
	EXPECT_CALL(t, 1);
	reg = V_EOI;
	written = 1;
	EXPECT_TRAP(t, VECTOR_GP);
}

/* --- virtual interrupts --- */

static void guest_open(void)
{
	for (;;) {
		__asm__ volatile("sti; nop; nop; cli");
		guest_call(1);
	}
}

static void virtual_interrupts(struct vmxt *t)
{
	if (!setup(t, guest_open, PROC2_VIRTUAL_INTERRUPT))
		return;
	EXPECT_CALL(t, 1);
	v_set(V_IRR, 0x61);
	v_set(V_IRR, 0x83);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x83);
	EXPECT_TRAP(t, 0x83);
	CHECK_EQ(status(), 0x8361);
	CHECK(v_test(V_ISR, 0x83) && !v_test(V_IRR, 0x83) && v_test(V_IRR, 0x61));
	CHECK_EQ(*v(V_PPR), 0x80);
	EXPECT_CALL(t, 1); /* the other one is of a lower class */
	/* 27.3.2.5: entry looks at the priorities again */
	*v(V_ISR + 0x40) = 0;
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x0061);
	*v(V_TPR) = 0x60;
	EXPECT_CALL(t, 1); /* the task priority is in the way */
	CHECK_EQ(*v(V_PPR), 0x60);
	*v(V_TPR) = 0x5f;
	EXPECT_TRAP(t, 0x61);
	CHECK_EQ(status(), 0x6100);
}

static void guest_masked(void)
{
	for (;;) {
		__asm__ volatile("nop; nop");
		guest_call(1);
	}
}

/* What holds a pending virtual interrupt back. */
static void virtual_blocking(struct vmxt *t)
{
	if (!setup(t, guest_masked, PROC2_VIRTUAL_INTERRUPT))
		return;
	v_set(V_IRR, 0x90);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x90);
	EXPECT_CALL(t, 1);
	CHECK_EQ(status(), 0x90);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 1); /* STI: one instruction */
	vmwrite(VMCS_GUEST_RIP, (u64)guest_masked);
	vmxt_control(t, VMX_PROC, PROC_INTERRUPT_WINDOW);
	EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
	CHECK_EQ(status(), 0x90);
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL,
		vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & ~(u64)PROC_INTERRUPT_WINDOW);
	EXPECT_TRAP(t, 0x90);
}

static void guest_halts(void)
{
	for (;;) {
		__asm__ volatile("sti; hlt; cli");
		guest_call(1);
	}
}

/* HLT that nobody intercepts ends by a virtual interrupt that waits already. */
static void virtual_wakes(struct vmxt *t)
{
	if (!setup(t, guest_halts, PROC2_VIRTUAL_INTERRUPT))
		return;
	v_set(V_IRR, 0x71);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x71);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, 1);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	EXPECT_TRAP(t, 0x71);
}

/* --- EOI --- */

static void eoi(struct vmxt *t)
{
	if (!setup(t, guest_page_writes, PROC2_APIC_ACCESSES | PROC2_VIRTUAL_INTERRUPT))
		return;
	v_set(V_ISR, 0x45);
	v_set(V_ISR, 0x95);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x9500);
	vmwrite(VMCS_EOI_EXIT_BITMAP1, 1ull << (0x45 - 64));
	reg = V_EOI;
	written = 0x1234; /* any value */
	EXPECT_CALL(t, 1);
	CHECK_EQ(status(), 0x4500);
	CHECK_EQ(*v(V_PPR), 0x40);
	CHECK_EQ(*v(V_EOI), 0);
	EXPECT_EXIT(t, EXIT_REASON_VIRTUALIZED_EOI);
	CHECK_EQ(t->qualification, 0x45);
	CHECK_EQ(status(), 0);
	CHECK_EQ(*v(V_PPR), 0);
	EXPECT_CALL(t, 1);
}

static void guest_eoi_open(void)
{
	__asm__ volatile("sti");
	*(volatile u32 *)(access_page + reg) = (u32)written;
	guest_call(1);
}

/* An EOI, a lower task priority and a self-IPI let an interrupt in at the next boundary. */
static void eoi_lets_in(struct vmxt *t)
{
	if (!setup(t, guest_eoi_open, PROC2_APIC_ACCESSES | PROC2_VIRTUAL_INTERRUPT))
		return;
	v_set(V_ISR, 0x95);
	v_set(V_IRR, 0x47);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x9547);
	reg = V_EOI;
	EXPECT_TRAP(t, 0x47);
	CHECK_EQ(status(), 0x4700);

	setup(t, guest_eoi_open, PROC2_APIC_ACCESSES | PROC2_VIRTUAL_INTERRUPT);
	*v(V_TPR) = 0xf0;
	v_set(V_IRR, 0x47);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x47);
	reg = V_TPR;
	written = 0x30;
	EXPECT_TRAP(t, 0x47);

	setup(t, guest_eoi_open, PROC2_APIC_ACCESSES | PROC2_VIRTUAL_INTERRUPT);
	reg = V_ICR_LOW;
	written = 1 << 18 | 0x4a;
	EXPECT_TRAP(t, 0x4a);
	setup(t, guest_eoi_open, PROC2_APIC_ACCESSES | PROC2_VIRTUAL_INTERRUPT);
	written = 0x4a; /* to somebody */
	EXPECT_EXIT(t, EXIT_REASON_APIC_WRITE);
	CHECK_EQ(t->qualification, V_ICR_LOW);
	EXPECT_CALL(t, 1);
}

static void guest_cr8(void)
{
	__asm__ volatile("sti; mov %0, %%cr8; nop" : : "r"(written));
	guest_call(1);
}

static void cr8_lets_in(struct vmxt *t)
{
	if (!setup(t, guest_cr8, PROC2_VIRTUAL_INTERRUPT))
		return;
	*v(V_TPR) = 0xf0;
	v_set(V_IRR, 0x77);
	vmwrite(VMCS_GUEST_INTR_STATUS, 0x77);
	vmwrite(VMCS_TPR_THRESHOLD, 15); /* of no meaning */
	written = 7;
	EXPECT_CALL(t, 1);
	CHECK_EQ(*v(V_PPR), 0x70);
	vmwrite(VMCS_GUEST_RIP, (u64)guest_cr8);
	written = 6;
	EXPECT_TRAP(t, 0x77);
}

/* --- posted interrupts --- */

static bool setup_posted(struct vmxt *t, vmxt_guest_fn fn)
{
	if (!setup(t, fn, PROC2_VIRTUAL_INTERRUPT))
		return false;
	if (!vmxt_control(t, VMX_PIN, PIN_POSTED_INTERRUPTS)) {
		vmxt_skip("no posted interrupts");
		return false;
	}
	vmwrite(VMCS_POSTED_INTR_NV, NOTIFY);
	vmwrite(VMCS_POSTED_INTR_DESC_ADDR, (u64)posted);
	return true;
}

static void post(u32 vector)
{
	posted[vector / 64] |= 1ull << vector % 64;
	posted[4] |= 1;
}

static void posted_interrupts(struct vmxt *t)
{
	if (!setup_posted(t, guest_open))
		return;
	cpu_cli();
	post(0x35);
	post(0xa1);
	EXPECT_CALL(t, 1); /* nobody told it */
	CHECK_EQ(posted[4], 1);
	vmxt_self_interrupt(NOTIFY);
	EXPECT_TRAP(t, 0xa1);
	CHECK_EQ(posted[0] | posted[1] | posted[2] | posted[3] | posted[4], 0);
	CHECK_EQ(status(), 0xa135);
	/* the notification itself is over: another one comes through */
	vmxt_self_interrupt(0x41);
	EXPECT_EXIT(t, EXIT_REASON_EXTERNAL_INTERRUPT);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO), INTR_INFO_VALID | 0x41);
	vmxt_eoi();
	cpu_sti();
}

static void posted_masked(struct vmxt *t)
{
	if (!setup_posted(t, guest_masked))
		return;
	cpu_cli();
	post(0xb3);
	vmxt_self_interrupt(NOTIFY);
	EXPECT_CALL(t, 1); /* taken although the guest's IF is 0, delivered not */
	CHECK_EQ(status(), 0xb3);
	CHECK(v_test(V_IRR, 0xb3));
	CHECK_EQ(posted[2], 0);
	cpu_sti();
}

static void posted_wakes(struct vmxt *t)
{
	if (!setup_posted(t, guest_halts))
		return;
	cpu_cli();
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, 1);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	post(0xc4);
	vmxt_self_interrupt(NOTIFY);
	EXPECT_TRAP(t, 0xc4);
	cpu_sti();
}

/* --- what an entry refuses --- */

static void refused(struct vmxt *t, const char *what, u64 n)
{
	vmxt_note(what, n);
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
	CHECK_EQ(vmxt_error(), VMXERR_ENTRY_INVALID_CONTROLS);
}

static void entry_checks(struct vmxt *t)
{
	if (!setup(t, guest_masked, PROC2_X2APIC))
		return;
	if (vmxt_control(t, VMX_PROC2, PROC2_APIC_ACCESSES))
		refused(t, "x2APIC and accesses", 0);
	if (!setup_posted(t, guest_masked))
		return;
	vmwrite(VMCS_POSTED_INTR_NV, 0x100);
	refused(t, "vector", 0x100);
	vmwrite(VMCS_POSTED_INTR_NV, NOTIFY);
	vmwrite(VMCS_POSTED_INTR_DESC_ADDR, (u64)posted + 32);
	refused(t, "descriptor", 32);
	vmwrite(VMCS_POSTED_INTR_DESC_ADDR, (u64)posted);
	vmwrite(VMCS_VM_EXIT_CONTROLS,
		vmread(VMCS_VM_EXIT_CONTROLS) & ~(u64)EXIT_CTL_ACK_INTERRUPT);
	refused(t, "no acknowledge", 0);
	vmxt_control(t, VMX_EXIT, EXIT_CTL_ACK_INTERRUPT);
	vmwrite(VMCS_PIN_BASED_VM_EXEC_CONTROL,
		vmread(VMCS_PIN_BASED_VM_EXEC_CONTROL) & ~(u64)PIN_EXTERNAL_INTERRUPT);
	refused(t, "no external-interrupt exiting", 0);
	vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT);
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL,
		vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & ~(u64)PROC_TPR_SHADOW);
	refused(t, "no TPR shadow", 0);
	vmxt_control(t, VMX_PROC, PROC_TPR_SHADOW);
	EXPECT_CALL(t, 1);
}

const struct vmxt_case vmxt_apic_cases[] = {
	{"apic: reads of the APIC-access page", page_reads},
	{"apic: writes to the APIC-access page", page_writes},
	{"apic: widths and kinds of access", page_shapes},
	{"apic: x2APIC mode, RDMSR", x2apic_reads},
	{"apic: x2APIC mode, WRMSR", x2apic_writes},
	{"apic: virtual-interrupt delivery", virtual_interrupts},
	{"apic: what blocks virtual interrupts", virtual_blocking},
	{"apic: a virtual interrupt ends HLT", virtual_wakes},
	{"apic: virtualized EOI", eoi},
	{"apic: EOI, TPR and self-IPI let interrupts in", eoi_lets_in},
	{"apic: MOV to CR8 lets an interrupt in", cr8_lets_in},
	{"apic: posted interrupts", posted_interrupts},
	{"apic: posted to a guest that masks interrupts", posted_masked},
	{"apic: posted to a guest in HLT", posted_wakes},
	{"apic: entry checks", entry_checks},
	{NULL, NULL},
};
