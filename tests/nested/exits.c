/* Which instructions exit, by which control, and what the exit says. */
#include "l0/arch/ports.h"
#include "tests/nested/vmxt.h"

#define SCRATCH_PORT 0x80

/* An instruction between two calls; R names what the guest function is for. */
#define GUEST(name, text, ...) \
	static void name(void) \
	{ \
		for (;;) { \
			guest_call(1); \
			__asm__ volatile(text : : __VA_ARGS__ : "memory", "rax", "rcx", "rdx"); \
			guest_call(2); \
		} \
	}

GUEST(do_cpuid, "xor %%eax, %%eax; push %%rbx; cpuid; pop %%rbx", "i"(0))
GUEST(do_invd, "invd", "i"(0))
GUEST(do_hlt, "hlt", "i"(0))
GUEST(do_invlpg, "mov $0x123456, %%eax; invlpg 0x10(%%rax)", "i"(0))
GUEST(do_rdtsc, "rdtsc", "i"(0))
GUEST(do_rdtscp, "rdtscp", "i"(0))
GUEST(do_wbinvd, "wbinvd", "i"(0))
GUEST(do_pause, "pause", "i"(0))
GUEST(do_read_cr3, "mov %%cr3, %%rdx", "i"(0))
GUEST(do_write_cr3, "mov %%cr3, %%rcx; mov %%rcx, %%cr3", "i"(0))
GUEST(do_read_cr8, "mov %%cr8, %%rdx", "i"(0))
GUEST(do_write_cr8, "xor %%ecx, %%ecx; mov %%rcx, %%cr8", "i"(0))
GUEST(do_read_dr7, "mov %%dr7, %%rdx", "i"(0))
GUEST(do_write_dr3, "xor %%ecx, %%ecx; mov %%rcx, %%dr3", "i"(0))
GUEST(do_out8, "mov $0x80, %%edx; outb %%al, %%dx", "i"(0))
GUEST(do_in32, "in $0x80, %%eax", "i"(0))
GUEST(do_sgdt, "sub $16, %%rsp; sgdt 2(%%rsp); add $16, %%rsp", "i"(0))
GUEST(do_sldt, "sldt %%eax", "i"(0))
GUEST(do_xsetbv, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; xsetbv", "i"(0))

struct exit_case {
	const char *what;
	vmxt_guest_fn fn;
	enum vmx_control which;
	u32 control; /* 0: exits always */
	u32 reason;
	u64 qualification;
	u32 length;
};

#define ANY 0x5a5a5a5a

static const struct exit_case insns[] = {
	{"CPUID", do_cpuid, VMX_PROC, 0, EXIT_REASON_CPUID, 0, 2},
	{"INVD", do_invd, VMX_PROC, 0, EXIT_REASON_INVD, 0, 2},
	{"HLT", do_hlt, VMX_PROC, PROC_HLT, EXIT_REASON_HLT, 0, 1},
	{"INVLPG", do_invlpg, VMX_PROC, PROC_INVLPG, EXIT_REASON_INVLPG, 0x123466, 4},
	{"RDTSC", do_rdtsc, VMX_PROC, PROC_RDTSC, EXIT_REASON_RDTSC, 0, 2},
	{"PAUSE", do_pause, VMX_PROC, PROC_PAUSE, EXIT_REASON_PAUSE, 0, 2},
	{"MOV from CR3", do_read_cr3, VMX_PROC, PROC_CR3_STORE, EXIT_REASON_CR_ACCESS, 0x213, 3},
	{"MOV to CR3", do_write_cr3, VMX_PROC, PROC_CR3_LOAD, EXIT_REASON_CR_ACCESS, 0x103, 3},
	{"MOV from CR8", do_read_cr8, VMX_PROC, PROC_CR8_STORE, EXIT_REASON_CR_ACCESS, 0x218, 4},
	{"MOV to CR8", do_write_cr8, VMX_PROC, PROC_CR8_LOAD, EXIT_REASON_CR_ACCESS, 0x108, 4},
	{"MOV from DR7", do_read_dr7, VMX_PROC, PROC_MOV_DR, EXIT_REASON_DR_ACCESS, 0x217, 3},
	{"MOV to DR3", do_write_dr3, VMX_PROC, PROC_MOV_DR, EXIT_REASON_DR_ACCESS, 0x103, 3},
	{"OUT", do_out8, VMX_PROC, PROC_UNCONDITIONAL_IO, EXIT_REASON_IO_INSTRUCTION, 0x800000, 1},
	{"IN imm", do_in32, VMX_PROC, PROC_UNCONDITIONAL_IO, EXIT_REASON_IO_INSTRUCTION, 0x80004b,
	 2},
	{"WBINVD", do_wbinvd, VMX_PROC2, PROC2_WBINVD, EXIT_REASON_WBINVD, 0, 2},
	{"SGDT", do_sgdt, VMX_PROC2, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_GDTR_IDTR, 2, 5},
	{"SLDT", do_sldt, VMX_PROC2, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR, 0, 3},
};

static void instructions(struct vmxt *t)
{
	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		const struct exit_case *c = &insns[i];
		u64 rip;

		vmxt_prepare(t, c->fn);
		vmxt_note(c->what, c->control);
		if (c->control && !vmxt_control(t, c->which, c->control))
			continue;
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, c->reason);
		CHECK_EQ(t->qualification, c->qualification);
		CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), c->length);
		CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD), 0);
		CHECK(!(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VALID) ||
		      c->reason == EXIT_REASON_EXCEPTION_NMI);
		rip = vmread(VMCS_GUEST_RIP);
		/* resumed without a step it exits again at the same place */
		EXPECT_EXIT(t, c->reason);
		CHECK_EQ(vmread(VMCS_GUEST_RIP), rip);
		vmxt_step_over();
		EXPECT_CALL(t, 2);
	}
}

/* Without their controls they do not exit. */
static void instructions_without(struct vmxt *t)
{
	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		const struct exit_case *c = &insns[i];

		if (!c->control || c->control == PROC_HLT)
			continue;
		vmxt_prepare(t, c->fn);
		vmxt_note(c->what, c->control);
		if (c->which == VMX_PROC && (vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & c->control))
			continue; /* must be 1 */
		EXPECT_CALL(t, 1);
		EXPECT_CALL(t, 2);
	}
}

static void xsetbv_exits(struct vmxt *t)
{
	u32 r[4];

	cpu_id(1, 0, r);
	NEED(r[2] & 1 << 26, "no XSAVE");
	cpu_write_cr4(cpu_read_cr4() | CR4_OSXSAVE);
	vmxt_prepare(t, do_xsetbv);
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_XSETBV);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 3);
	cpu_write_cr4(cpu_read_cr4() & ~CR4_OSXSAVE);
}

static void rdtscp_needs_control(struct vmxt *t)
{
	u32 r[4];

	cpu_id(0x80000001, 0, r);
	NEED(r[3] & 1 << 27, "no RDTSCP");
	vmxt_prepare(t, do_rdtscp);
	EXPECT_CALL(t, 1);
	EXPECT_TRAP(t, VECTOR_UD);
	vmxt_prepare(t, do_rdtscp);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_RDTSCP), "no control for RDTSCP");
	EXPECT_CALL(t, 1);
	EXPECT_CALL(t, 2);
	vmxt_control(t, VMX_PROC, PROC_RDTSC);
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_RDTSCP);
}

/* VMX instructions in the guest: all exit, with instruction information. */
GUEST(do_vmclear, "push %%rax; vmclear (%%rsp); pop %%rax", "i"(0))
GUEST(do_vmptrld, "push %%rax; vmptrld (%%rsp); pop %%rax", "i"(0))
GUEST(do_vmptrst, "push %%rax; vmptrst (%%rsp); pop %%rax", "i"(0))
GUEST(do_vmread, "mov $0x681e, %%eax; vmread %%rax, %%rcx", "i"(0))
GUEST(do_vmwrite, "mov $0x681e, %%eax; vmwrite %%rcx, %%rax", "i"(0))
GUEST(do_vmlaunch, "vmlaunch", "i"(0))
GUEST(do_vmresume, "vmresume", "i"(0))
GUEST(do_vmxoff, "vmxoff", "i"(0))
GUEST(do_vmxon, "push %%rax; vmxon (%%rsp); pop %%rax", "i"(0))
GUEST(do_invept, "sub $16, %%rsp; mov $2, %%eax; invept (%%rsp), %%rax; add $16, %%rsp", "i"(0))
GUEST(do_invvpid, "sub $16, %%rsp; mov $2, %%eax; invvpid (%%rsp), %%rax; add $16, %%rsp", "i"(0))

static void vmx_instructions(struct vmxt *t)
{
	/* information: register of a register operand, and "it is one"; or the base register RSP */
	static const struct {
		vmxt_guest_fn fn;
		u32 reason, info, info_mask;
	} list[] = {
		{do_vmclear, EXIT_REASON_VMCLEAR, 4u << 23, 15u << 23 | 1u << 27},
		{do_vmptrld, EXIT_REASON_VMPTRLD, 4u << 23, 15u << 23 | 1u << 27},
		{do_vmptrst, EXIT_REASON_VMPTRST, 4u << 23, 15u << 23 | 1u << 27},
		{do_vmread, EXIT_REASON_VMREAD, 1u << 10 | 1u << 3,
		 15u << 28 | 1u << 10 | 15u << 3},
		{do_vmwrite, EXIT_REASON_VMWRITE, 1u << 10 | 1u << 3,
		 15u << 28 | 1u << 10 | 15u << 3},
		{do_vmlaunch, EXIT_REASON_VMLAUNCH, 0, 0},
		{do_vmresume, EXIT_REASON_VMRESUME, 0, 0},
		{do_vmxoff, EXIT_REASON_VMXOFF, 0, 0},
		{do_vmxon, EXIT_REASON_VMXON, 4u << 23, 15u << 23 | 1u << 27},
		{do_invept, EXIT_REASON_INVEPT, 4u << 23, 15u << 23 | 1u << 27 | 15u << 28},
		{do_invvpid, EXIT_REASON_INVVPID, 4u << 23, 15u << 23 | 1u << 27 | 15u << 28},
	};

	for (u32 i = 0; i < ARRAY_SIZE(list); i++) {
		vmxt_prepare(t, list[i].fn);
		vmxt_note("exit reason", list[i].reason);
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, list[i].reason);
		CHECK_EQ(vmread(VMCS_VMX_INSTRUCTION_INFO) & list[i].info_mask, list[i].info);
		vmxt_step_over();
		EXPECT_CALL(t, 2);
	}
}

/* I/O bitmaps: for each port exactly its own bit; an access that spans ports, any of theirs. */
static void guest_out_loop(void)
{
	for (;;)
		__asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(0x80));
}

static void guest_out_wide(void)
{
	for (;;)
		__asm__ volatile("outl %%eax, %%dx" : : "a"(0), "d"(0x80));
}

static void io_bitmaps(struct vmxt *t)
{
	vmxt_prepare(t, guest_out_loop);
	NEED(vmxt_control(t, VMX_PROC, PROC_IO_BITMAPS), "no I/O bitmaps");
	/* with the bitmaps on, "unconditional" is ignored */
	vmxt_control(t, VMX_PROC, PROC_UNCONDITIONAL_IO);
	t->io_bitmaps[0x80 / 8] = 1;
	EXPECT_EXIT(t, EXIT_REASON_IO_INSTRUCTION);
	CHECK_EQ(t->qualification >> 16, 0x80);

	vmxt_prepare(t, do_out8);
	vmxt_control(t, VMX_PROC, PROC_IO_BITMAPS);
	memset(t->io_bitmaps, 0xff, 2 * PAGE_SIZE);
	t->io_bitmaps[0x80 / 8] = 0xfe;
	EXPECT_CALL(t, 1);
	EXPECT_CALL(t, 2);

	for (u32 bit = 0; bit < 4; bit++) {
		vmxt_prepare(t, guest_out_wide);
		vmxt_control(t, VMX_PROC, PROC_IO_BITMAPS);
		vmxt_note("bit", bit);
		t->io_bitmaps[0x80 / 8] = (u8)(1 << bit);
		EXPECT_EXIT(t, EXIT_REASON_IO_INSTRUCTION);
		CHECK_EQ(t->qualification & 7, 3);
	}
}

static void guest_outs(void)
{
	static u8 data[4];

	for (;;) {
		const void *p = data;
		u64 n = 3;

		__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(0x80) : "memory");
		guest_call(1);
	}
}

static void string_io(struct vmxt *t)
{
	vmxt_prepare(t, guest_outs);
	NEED(vmxt_control(t, VMX_PROC, PROC_UNCONDITIONAL_IO), "no I/O exiting");
	EXPECT_EXIT(t, EXIT_REASON_IO_INSTRUCTION);
	CHECK_EQ(t->qualification, 0x800030); /* OUT, byte, string, REP, port in DX */
	CHECK_EQ(vmread(VMCS_GUEST_LINEAR_ADDRESS), t->regs.rsi);
	CHECK_EQ(t->regs.rcx, 3);
	vmxt_step_over();
	EXPECT_CALL(t, 1);
}

/* MSR bitmap: the four quarters, and MSRs that no quarter covers. */
static volatile u32 msr_index;
static void guest_msr(void)
{
	u32 lo, hi;

	for (;;) {
		__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr_index));
		guest_call(1);
		__asm__ volatile("wrmsr" : : "a"(lo), "d"(hi), "c"(msr_index));
		guest_call(2);
	}
}

static void msr_bitmap(struct vmxt *t)
{
	static const u32 msrs[] = {MSR_IA32_SYSENTER_CS, MSR_IA32_LSTAR};

	vmxt_prepare(t, guest_msr);
	NEED(vmx_can(&t->caps, VMX_PROC, PROC_MSR_BITMAPS), "no MSR bitmaps");
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
		u32 base = msrs[i] >= 0xc0000000 ? 1024 : 0, n = msrs[i] & 0x1fff;

		msr_index = msrs[i];
		vmxt_note("MSR", msr_index);
		vmxt_prepare(t, guest_msr);
		vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS);
		EXPECT_CALL(t, 1);
		EXPECT_CALL(t, 2);
		t->msr_bitmap[base + n / 8] = (u8)(1 << n % 8);
		EXPECT_EXIT(t, EXIT_REASON_RDMSR);
		vmxt_step_over();
		EXPECT_CALL(t, 1);
		EXPECT_CALL(t, 2);
		t->msr_bitmap[base + n / 8] = 0;
		t->msr_bitmap[2048 + base + n / 8] = (u8)(1 << n % 8);
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, EXIT_REASON_WRMSR);
		CHECK_EQ(t->regs.rcx, msrs[i]);
		vmxt_step_over();
		EXPECT_CALL(t, 2);
	}
	vmxt_prepare(t, guest_msr);
	vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS);
	msr_index = 0x40000000;
	EXPECT_EXIT(t, EXIT_REASON_RDMSR); /* outside both ranges */
	vmxt_prepare(t, guest_msr);
	if (!(vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & PROC_MSR_BITMAPS)) {
		msr_index = MSR_IA32_LSTAR;
		EXPECT_EXIT(t, EXIT_REASON_RDMSR); /* no bitmap: all */
	}
}

/* Guest/host masks and read shadows of CR0 and CR4. */
static volatile u64 cr_value;
static void guest_cr0(void)
{
	for (;;) {
		u64 v;

		__asm__ volatile("mov %%cr0, %0" : "=r"(v));
		cr_value = v;
		guest_call(1);
		__asm__ volatile("mov %0, %%cr0" : : "a"(cr_value) : "memory");
		guest_call(2);
	}
}

static void guest_cr4(void)
{
	for (;;) {
		u64 v;

		__asm__ volatile("mov %%cr4, %0" : "=r"(v));
		cr_value = v;
		guest_call(1);
		__asm__ volatile("mov %0, %%cr4" : : "a"(cr_value) : "memory");
		guest_call(2);
	}
}

static void cr0_mask(struct vmxt *t)
{
	u64 real;

	vmxt_prepare(t, guest_cr0);
	real = vmread(VMCS_GUEST_CR0);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_TS | CR0_MP);
	vmwrite(VMCS_CR0_READ_SHADOW, CR0_TS);
	EXPECT_CALL(t, 1);
	CHECK_EQ(cr_value, (real & ~(CR0_TS | CR0_MP)) | CR0_TS);
	EXPECT_CALL(t, 2); /* the masked bits agree with the shadow: no exit */
	CHECK_EQ(vmread(VMCS_GUEST_CR0), real);
	EXPECT_CALL(t, 1);
	cr_value &= ~CR0_TS;
	EXPECT_EXIT(t, EXIT_REASON_CR_ACCESS);
	CHECK_EQ(t->qualification, 0); /* MOV to CR0 from RAX */
	vmxt_step_over();
	EXPECT_CALL(t, 2);
	EXPECT_CALL(t, 1);
	cr_value ^= CR0_WP; /* the guest's own bit */
	EXPECT_CALL(t, 2);
	CHECK_EQ(vmread(VMCS_GUEST_CR0), real ^ CR0_WP);
}

static void cr4_mask(struct vmxt *t)
{
	u64 real;

	vmxt_prepare(t, guest_cr4);
	real = vmread(VMCS_GUEST_CR4);
	vmwrite(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE | CR4_TSD);
	vmwrite(VMCS_CR4_READ_SHADOW, CR4_TSD);
	EXPECT_CALL(t, 1);
	CHECK_EQ(cr_value, (real & ~(CR4_VMXE | CR4_TSD)) | CR4_TSD);
	EXPECT_CALL(t, 2);
	EXPECT_CALL(t, 1);
	cr_value |= CR4_VMXE;
	EXPECT_EXIT(t, EXIT_REASON_CR_ACCESS);
	CHECK_EQ(t->qualification, 4);
	vmxt_step_over();
	EXPECT_CALL(t, 2);
	EXPECT_CALL(t, 1);
	cr_value |= CR4_DE;
	EXPECT_CALL(t, 2);
	CHECK_EQ(vmread(VMCS_GUEST_CR4), real | CR4_DE);
}

GUEST(do_clts, "clts", "i"(0))
GUEST(do_lmsw, "smsw %%ax; or $8, %%eax; lmsw %%ax", "i"(0))

static void clts_lmsw(struct vmxt *t)
{
	vmxt_prepare(t, do_clts);
	EXPECT_CALL(t, 1);
	vmwrite(VMCS_GUEST_CR0, vmread(VMCS_GUEST_CR0) | CR0_TS);
	EXPECT_CALL(t, 2);
	CHECK_EQ(vmread(VMCS_GUEST_CR0) & CR0_TS, 0);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_TS);
	vmwrite(VMCS_CR0_READ_SHADOW, CR0_TS);
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_CR_ACCESS);
	CHECK_EQ(t->qualification, CR_ACCESS_CLTS << CR_ACCESS_TYPE_SHIFT);
	vmwrite(VMCS_CR0_READ_SHADOW, 0);
	EXPECT_CALL(t, 2); /* the shadow is clear already: nothing happens */

	vmxt_prepare(t, do_lmsw);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_TS);
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_CR_ACCESS);
	CHECK_EQ(t->qualification >> CR_ACCESS_TYPE_SHIFT & 3, CR_ACCESS_LMSW);
	CHECK_EQ(t->qualification >> 16 & 8, 8); /* its source operand */
}

static void cr3_targets(struct vmxt *t)
{
	u32 n = cpu_rdmsr(MSR_IA32_VMX_MISC) >> VMX_MISC_CR3_TARGETS_SHIFT & 0x1ff;

	NEED(n, "no CR3-target values");
	vmxt_prepare(t, do_write_cr3);
	vmxt_control(t, VMX_PROC, PROC_CR3_LOAD);
	vmwrite(VMCS_CR3_TARGET_VALUE0, cpu_read_cr3());
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_CR_ACCESS);
	vmwrite(VMCS_CR3_TARGET_COUNT, 1);
	EXPECT_CALL(t, 2);
	vmwrite(VMCS_CR3_TARGET_VALUE0, cpu_read_cr3() + 0x1000);
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_CR_ACCESS);
}

/* The bits that VMX fixes: the guest cannot change them. */
static void fixed_bits_fault(struct vmxt *t)
{
	vmxt_prepare(t, guest_cr4);
	EXPECT_CALL(t, 1);
	cr_value &= ~CR4_VMXE;
	EXPECT_TRAP(t, VECTOR_GP);
	vmxt_prepare(t, guest_cr0);
	EXPECT_CALL(t, 1);
	cr_value &= ~CR0_NE;
	if (t->caps.cr0_fixed0 & CR0_NE)
		EXPECT_TRAP(t, VECTOR_GP);
}

static volatile u64 guest_tsc;
static void guest_reads_tsc(void)
{
	for (;;) {
		guest_tsc = cpu_tsc();
		guest_call(1);
		guest_tsc = cpu_rdmsr(MSR_IA32_TSC);
		guest_call(2);
	}
}

static void tsc_offset(struct vmxt *t)
{
	u64 offset = 1ull << 60, before;

	vmxt_prepare(t, guest_reads_tsc);
	NEED(vmxt_control(t, VMX_PROC, PROC_TSC_OFFSETTING), "no TSC offsetting");
	vmwrite(VMCS_TSC_OFFSET, offset);
	before = cpu_tsc();
	EXPECT_CALL(t, 1);
	CHECK(guest_tsc - offset >= before && guest_tsc - offset <= cpu_tsc());
	if (vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS)) {
		before = cpu_tsc();
		EXPECT_CALL(t, 2);
		CHECK(guest_tsc - offset >= before && guest_tsc - offset <= cpu_tsc());
	}
	vmxt_control(t, VMX_PROC, PROC_RDTSC);
	EXPECT_EXIT(t, EXIT_REASON_RDTSC);
}

/* MONITOR and MWAIT. */
GUEST(do_monitor, "lea (%%rsp), %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor", "i"(0))
GUEST(do_mwait,
      "lea (%%rsp), %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor;"
      "xor %%eax, %%eax; mwait",
      "i"(0))

static void monitor_mwait(struct vmxt *t)
{
	u32 r[4];

	cpu_id(1, 0, r);
	NEED(r[2] & 1 << 3, "no MONITOR");
	vmxt_prepare(t, do_monitor);
	if (vmxt_control(t, VMX_PROC, PROC_MONITOR)) {
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, EXIT_REASON_MONITOR);
		CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 3);
	}
	vmxt_prepare(t, do_mwait);
	if (vmxt_control(t, VMX_PROC, PROC_MWAIT)) {
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, EXIT_REASON_MWAIT);
		CHECK_EQ(t->qualification & ~1ull, 0);
	}
}

/* --- XSAVES --- */

static u8 xsave_area[1024] __attribute__((aligned(64)));

static void guest_xsaves(void)
{
	for (;;) {
		__asm__ volatile("xsaves64 (%0); xrstors64 (%0)"
				 :
				 : "r"(xsave_area), "a"(1), "d"(0)
				 : "memory");
		guest_call(1);
	}
}

/* Without its control XSAVES is undefined; an exit needs a bit of IA32_XSS, of which there is none.
 */
static void xsaves(struct vmxt *t)
{
	u32 r[4];

	cpu_id(1, 0, r);
	NEED(r[2] & 1 << 26, "no XSAVE");
	cpu_id(0xd, 1, r);
	NEED(r[0] & 8, "no XSAVES");
	vmxt_prepare(t, guest_xsaves);
	vmwrite(VMCS_GUEST_CR4, vmread(VMCS_GUEST_CR4) | CR4_OSXSAVE);
	EXPECT_TRAP(t, VECTOR_UD);
	vmxt_prepare(t, guest_xsaves);
	vmwrite(VMCS_GUEST_CR4, vmread(VMCS_GUEST_CR4) | CR4_OSXSAVE);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_XSAVES), "no control for XSAVES");
	vmwrite(VMCS_XSS_EXIT_BITMAP, ~0ull);
	EXPECT_CALL(t, 1);
}

/* --- INIT --- */

static void guest_spins_here(void)
{
	for (;;)
		cpu_pause();
}

/* An INIT that comes in VMX root operation waits for the next entry. */
static void init_signal(struct vmxt *t)
{
	vmxt_prepare(t, guest_spins_here);
	vmxt_self_init();
	EXPECT_EXIT(t, EXIT_REASON_INIT_SIGNAL);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), (u64)guest_spins_here);
}

const struct vmxt_case vmxt_exit_cases[] = {
	{"exit: instructions with their control", instructions},
	{"exit: instructions without their control", instructions_without},
	{"exit: XSETBV", xsetbv_exits},
	{"exit: RDTSCP", rdtscp_needs_control},
	{"exit: XSAVES", xsaves},
	{"exit: INIT", init_signal},
	{"exit: VMX instructions", vmx_instructions},
	{"exit: MONITOR and MWAIT", monitor_mwait},
	{"exit: I/O bitmaps", io_bitmaps},
	{"exit: string I/O", string_io},
	{"exit: MSR bitmap", msr_bitmap},
	{"exit: CR0 mask and shadow", cr0_mask},
	{"exit: CR4 mask and shadow", cr4_mask},
	{"exit: CLTS and LMSW", clts_lmsw},
	{"exit: CR3-target values", cr3_targets},
	{"exit: bits that VMX fixes", fixed_bits_fault},
	{"exit: TSC offset", tsc_offset},
	{NULL, NULL},
};
