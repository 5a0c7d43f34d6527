/* What an entry loads and an exit saves and loads. */
#include "tests/nested/vmxt.h"

static void guest_calls(void)
{
	for (u64 i = 1;; i++)
		guest_call(i);
}

/* General registers go through untouched. */
static void guest_registers(void)
{
	__asm__ volatile("1: not %rcx; not %rdx; not %rbx; not %rbp; not %rsi; not %rdi; not %r8;"
			 "not %r9; not %r10; not %r11; not %r12; not %r13; not %r14; not %r15;"
			 "vmcall; jmp 1b");
}

static void registers(struct vmxt *t)
{
	u64 *r = &t->regs.rax;

	vmxt_prepare(t, guest_registers);
	for (u32 i = 0; i < 16; i++)
		r[i] = 0x0123456789abcdefull * (i + 1);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	for (u32 i = 1; i < 16; i++)
		if (i != 4) {
			vmxt_note("register", i);
			CHECK_EQ(r[i], ~(0x0123456789abcdefull * (i + 1)));
		}
	CHECK_EQ(r[0], 0x0123456789abcdefull);
}

/* Host state after an exit. */
static void host_after_exit(struct vmxt *t)
{
	struct {
		u16 limit;
		u64 base;
	} __packed gdtr, idtr;
	u64 flags, dr7;

	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF | RFLAGS_DF | RFLAGS_ARITH);
	EXPECT_CALL(t, 1);
	__asm__ volatile("pushfq; pop %0" : "=r"(flags));
	CHECK_EQ(flags & (RFLAGS_IF | RFLAGS_DF), 0);
	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
	CHECK_EQ(gdtr.limit, 0xffff);
	CHECK_EQ(idtr.limit, 0xffff);
	CHECK_EQ(gdtr.base, irq_gdt_base());
	CHECK_EQ(idtr.base, irq_idt_base());
	__asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
	CHECK_EQ(dr7, DR7_FIXED);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & (RFLAGS_IF | RFLAGS_DF), RFLAGS_IF | RFLAGS_DF);
}

/* What the guest changes is in the VMCS afterwards. */
static u64 guest_gdt[2] = {0, 0};
static void guest_changes_state(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed gdtr = {0x1234, (u64)guest_gdt};

	__asm__ volatile("lgdt %0" : : "m"(gdtr));
	gdtr.limit = 0x777;
	__asm__ volatile("lidt %0" : : "m"(gdtr));
	cpu_wrmsr(MSR_IA32_FS_BASE, 0xffff800000001000);
	cpu_wrmsr(MSR_IA32_GS_BASE, 0x2000);
	cpu_wrmsr(MSR_IA32_SYSENTER_CS, 0x10);
	cpu_wrmsr(MSR_IA32_SYSENTER_ESP, 0x3000);
	cpu_wrmsr(MSR_IA32_SYSENTER_EIP, 0x4000);
	cpu_write_cr0(cpu_read_cr0() & ~CR0_WP);
	cpu_write_cr4(cpu_read_cr4() | CR4_DE);
	__asm__ volatile("mov %0, %%dr7" : : "r"(DR7_FIXED | 2));
	__asm__ volatile("mov %0, %%es" : : "r"(0));
	__asm__ volatile("stc");
	guest_call(1);
	guest_call(2);
}

static void state_is_saved(struct vmxt *t)
{
	vmxt_prepare(t, guest_changes_state);
	NEED(vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS), "no MSR bitmaps");
	vmxt_control(t, VMX_EXIT, EXIT_CTL_SAVE_DEBUG);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_GDTR_BASE), (u64)guest_gdt);
	CHECK_EQ(vmread(VMCS_GUEST_GDTR_LIMIT), 0x1234);
	CHECK_EQ(vmread(VMCS_GUEST_IDTR_LIMIT), 0x777);
	CHECK_EQ(vmread(VMCS_GUEST_FS_BASE), 0xffff800000001000);
	CHECK_EQ(vmread(VMCS_GUEST_GS_BASE), 0x2000);
	CHECK_EQ(vmread(VMCS_GUEST_SYSENTER_CS), 0x10);
	CHECK_EQ(vmread(VMCS_GUEST_SYSENTER_ESP), 0x3000);
	CHECK_EQ(vmread(VMCS_GUEST_SYSENTER_EIP), 0x4000);
	CHECK_EQ(vmread(VMCS_GUEST_CR0) & CR0_WP, 0);
	CHECK_EQ(vmread(VMCS_GUEST_CR4) & CR4_DE, CR4_DE);
	CHECK_EQ(vmread(VMCS_GUEST_DR7), DR7_FIXED | 2);
	CHECK_EQ(vmread(VMCS_GUEST_ES_SELECTOR), 0);
	CHECK_EQ(vmread(VMCS_GUEST_ES_AR_BYTES) & 0x10000, 0x10000);
	/* and the host has its own */
	CHECK_EQ(cpu_rdmsr(MSR_IA32_SYSENTER_ESP), 0);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_FS_BASE), 0);
	CHECK(cpu_read_cr0() & CR0_WP);
	CHECK_EQ(cpu_read_cr4() & CR4_DE, 0);
	EXPECT_CALL(t, 2);
}

/* IA32_EFER and IA32_PAT by their controls. */
static void efer_switch(struct vmxt *t)
{
	u64 host = cpu_rdmsr(MSR_IA32_EFER);

	vmxt_prepare(t, guest_calls);
	NEED(vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_EFER) &&
		     vmxt_control(t, VMX_EXIT, EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER),
	     "IA32_EFER is not switched");
	vmwrite(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME | EFER_SCE);
	vmwrite(VMCS_HOST_IA32_EFER, host & ~EFER_SCE);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_IA32_EFER), EFER_LMA | EFER_LME | EFER_SCE);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_EFER), host & ~EFER_SCE);
}

static void pat_switch(struct vmxt *t)
{
	u64 host = cpu_rdmsr(MSR_IA32_PAT);

	vmxt_prepare(t, guest_calls);
	NEED(vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_PAT) &&
		     vmxt_control(t, VMX_EXIT, EXIT_CTL_SAVE_PAT | EXIT_CTL_LOAD_PAT),
	     "IA32_PAT is not switched");
	vmwrite(VMCS_GUEST_IA32_PAT, 0x0606060606060606);
	vmwrite(VMCS_HOST_IA32_PAT, host);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_IA32_PAT), 0x0606060606060606);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_PAT), host);
}

/* IA32_PERF_GLOBAL_CTRL: the guest's counter runs while the guest does. */
static volatile u64 seen_ctrl;
static void guest_counts(void)
{
	for (;;) {
		seen_ctrl = cpu_rdmsr(MSR_IA32_PERF_GLOBAL_CTRL);
		guest_call(1);
	}
}

static void perf_global_switch(struct vmxt *t)
{
	const u64 fixed0 = 1ull << 32;
	u64 before;

	vmxt_prepare(t, guest_counts);
	NEED(vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_PERF_GLOBAL) &&
		     vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_PERF_GLOBAL),
	     "IA32_PERF_GLOBAL_CTRL is not switched");
	vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS);
	vmwrite(VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, fixed0);
	vmwrite(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 2);
	cpu_wrmsr(MSR_IA32_FIXED_CTR_CTRL, 3);
	cpu_wrmsr(MSR_IA32_FIXED_CTR0, 0);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen_ctrl, fixed0);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_PERF_GLOBAL_CTRL), 2);
	before = cpu_rdmsr(MSR_IA32_FIXED_CTR0);
	CHECK(before > 0 && before < 100);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_FIXED_CTR0), before); /* not this program's instructions */
	EXPECT_CALL(t, 1);
	CHECK(cpu_rdmsr(MSR_IA32_FIXED_CTR0) > before);
	vmwrite(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 0x10);
	vmxt_enter(t);
	CHECK_EQ(vmxt_error(), VMXERR_ENTRY_INVALID_HOST_STATE);
	vmwrite(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 0);
	vmwrite(VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, 1ull << 35);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_PERF_GLOBAL_CTRL), 0);
	cpu_wrmsr(MSR_IA32_FIXED_CTR_CTRL, 0);
}

/* MSR lists: loaded on entry, stored and loaded on exit. */
static volatile u64 seen_msr;
static void guest_msrs(void)
{
	seen_msr = cpu_rdmsr(MSR_IA32_LSTAR);
	cpu_wrmsr(MSR_IA32_LSTAR, 0x5000);
	guest_call(1);
}

static void msr_lists(struct vmxt *t)
{
	struct vmx_msr_entry *list = (struct vmx_msr_entry *)t->io_bitmaps;

	vmxt_prepare(t, guest_msrs);
	NEED(vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS), "no MSR bitmaps");
	list[0] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, 0x1000}; /* entry load */
	list[1] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, 0};	     /* exit store */
	list[2] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, 0x9000}; /* exit load */
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)&list[0]);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 1);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_ADDR, (u64)&list[1]);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 1);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_ADDR, (u64)&list[2]);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 1);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen_msr, 0x1000);
	CHECK_EQ(list[1].value, 0x5000);
	CHECK_EQ(cpu_rdmsr(MSR_IA32_LSTAR), 0x9000);
}

/* The exit reason field of an ordinary exit has no other bits; VMLAUNCH made "IA-32e mode guest"
 * follow the guest's mode. */
static void entry_control_follows_mode(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_VM_EXIT_REASON), EXIT_REASON_VMCALL);
	CHECK(vmread(VMCS_VM_ENTRY_CONTROLS) & ENTRY_CTL_IA32E);
}

/* 32-bit guests: compatibility mode, and protected mode with 2-level paging. */
extern u8 vmxt_code32[];
__asm__(".pushsection .text\n.code32\nvmxt_code32:\n"
	"mov $0x12345678, %eax\n"
	"push %eax\npop %ecx\n"
	"vmcall\njmp vmxt_code32\n.code64\n.popsection");

static void compatibility_mode(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)vmxt_code32);
	vmwrite(VMCS_GUEST_CS_AR_BYTES, 0xc09b);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ((u32)t->regs.rcx, 0x12345678);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 3);
	CHECK(vmread(VMCS_VM_ENTRY_CONTROLS) & ENTRY_CTL_IA32E);
}

static void protected_mode(struct vmxt *t)
{
	u32 *pd = page_alloc(1, PAGE_SIZE);

	vmxt_prepare(t, (vmxt_guest_fn)vmxt_code32);
	NEED(vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_EFER) &&
		     vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_EFER),
	     "IA32_EFER is not switched");
	for (u32 i = 0; i < 1024; i++)
		pd[i] = i << 22 | 0x83;
	vmwrite(VMCS_VM_ENTRY_CONTROLS, vmread(VMCS_VM_ENTRY_CONTROLS) & ~(u64)ENTRY_CTL_IA32E);
	vmwrite(VMCS_GUEST_IA32_EFER, 0);
	vmwrite(VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_GUEST_CR4, (vmread(VMCS_GUEST_CR4) & ~CR4_PAE) | CR4_PSE);
	vmwrite(VMCS_GUEST_CR3, (u64)pd);
	vmwrite(VMCS_GUEST_CS_AR_BYTES, 0xc09b);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ((u32)t->regs.rcx, 0x12345678);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ(vmread(VMCS_VM_ENTRY_CONTROLS) & ENTRY_CTL_IA32E, 0);
	CHECK_EQ(vmread(VMCS_GUEST_CR3), (u64)pd);
}

/* Two VMCSs in turn do not disturb each other. */
static void two_vmcss(struct vmxt *t)
{
	u64 first = t->vmcs;
	struct l2_regs regs;

	vmxt_prepare(t, guest_calls);
	EXPECT_CALL(t, 1);
	regs = t->regs;
	t->vmcs = t->other_vmcs;
	vmxt_prepare(t, guest_registers);
	t->regs.rcx = 5;
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ(t->regs.rcx, ~5ull);
	t->vmcs = first;
	vmx_vmptrld((void *)first);
	t->regs = regs;
	EXPECT_CALL(t, 2);
	vmx_vmptrld((void *)t->other_vmcs);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
}

const struct vmxt_case vmxt_state_cases[] = {
	{"state: general registers", registers},
	{"state: the host after an exit", host_after_exit},
	{"state: the guest's changes are saved", state_is_saved},
	{"state: IA32_EFER", efer_switch},
	{"state: IA32_PAT", pat_switch},
	{"state: IA32_PERF_GLOBAL_CTRL", perf_global_switch},
	{"state: MSR lists", msr_lists},
	{"state: fields after an exit", entry_control_follows_mode},
	{"state: compatibility mode", compatibility_mode},
	{"state: 32-bit protected mode", protected_mode},
	{"state: two VMCSs in turn", two_vmcss},
	{NULL, NULL},
};
