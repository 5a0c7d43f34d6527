/*
 * L2s in every mode: real mode and the way from there to 64-bit mode (unrestricted guest),
 * virtual-8086, PAE; task switches, NMIs, debug exceptions, and the remaining controls.
 */
#include "tests/nested/vmxt.h"

#define MODE_CODE 0x8000ull /* modecode.S */
#define MODE_DATA 0xa000ull /* tables of a test: 16 KiB */

extern u8 mode_code[], mode_code_end[], mode_real[], mode_int21[], mode_boot[], mode_v86[];
extern u8 mode_jmp_task[], mode_int_task[], mode_calls[];

static u64 low(const u8 *label)
{
	return MODE_CODE + (u64)(label - mode_code);
}

static void copy_code(void)
{
	memcpy((void *)MODE_CODE, mode_code, (u64)(mode_code_end - mode_code));
	memset((void *)MODE_DATA, 0, 0x4000);
}

static void segment(u32 seg, u16 selector, u64 base, u32 limit, u32 access)
{
	vmwrite(VMCS_GUEST_ES_SELECTOR + VMCS_SEG_STEP * seg, selector);
	vmwrite(VMCS_GUEST_ES_BASE + VMCS_SEG_STEP * seg, base);
	vmwrite(VMCS_GUEST_ES_LIMIT + VMCS_SEG_STEP * seg, limit);
	vmwrite(VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * seg, access);
}

/* A guest that is not in IA-32e mode. */
static bool leave_long_mode(struct vmxt *t)
{
	if (!vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_EFER) ||
	    !vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_EFER | EXIT_CTL_SAVE_EFER)) {
		vmxt_skip("IA32_EFER is not switched");
		return false;
	}
	vmwrite(VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_GUEST_IA32_EFER, 0);
	vmwrite(VMCS_VM_ENTRY_CONTROLS, vmread(VMCS_VM_ENTRY_CONTROLS) & ~(u64)ENTRY_CTL_IA32E);
	return true;
}

static bool real_mode(struct vmxt *t, const u8 *label)
{
	vmxt_prepare(t, NULL);
	copy_code();
	if (!vmxt_identity_ept(t) || !vmxt_control(t, VMX_PROC2, PROC2_UNRESTRICTED_GUEST)) {
		vmxt_skip("no unrestricted guest");
		return false;
	}
	vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS);
	if (!leave_long_mode(t))
		return false;
	vmwrite(VMCS_GUEST_CR0, t->caps.cr0_fixed0 & ~(CR0_PE | CR0_PG));
	vmwrite(VMCS_GUEST_CR4, t->caps.cr4_fixed0);
	vmwrite(VMCS_GUEST_CR3, 0);
	segment(VMCS_SEG_CS, 0, 0, 0xffff, 0x9b);
	for (u32 s = VMCS_SEG_ES; s <= VMCS_SEG_GS; s++)
		if (s != VMCS_SEG_CS)
			segment(s, 0, 0, 0xffff, 0x93);
	segment(VMCS_SEG_TR, 0, 0, 0xffff, 0x8b);
	vmwrite(VMCS_GUEST_IDTR_BASE, MODE_DATA);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0x3ff);
	vmwrite(VMCS_GUEST_RIP, low(label));
	vmwrite(VMCS_GUEST_RSP, 0x7000);
	return true;
}

static void expect_number(struct vmxt *t, u64 number)
{
	vmxt_note("step", number);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ((u32)t->regs.rax, number);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 3);
	vmxt_step_over();
}

static void real(struct vmxt *t)
{
	u16 *ivt = (u16 *)MODE_DATA;

	if (!real_mode(t, mode_real))
		return;
	ivt[0x21 * 2] = (u16)(low(mode_int21) - MODE_CODE);
	ivt[0x21 * 2 + 1] = (u16)(MODE_CODE >> 4);
	expect_number(t, 1);
	CHECK_EQ(t->regs.rcx & 0xffff, 0x1234);
	CHECK_EQ(*(u16 *)0x9010, 0x1234);
	CHECK_EQ(vmread(VMCS_GUEST_CS_SELECTOR), MODE_CODE >> 4);
	CHECK_EQ(vmread(VMCS_GUEST_CS_BASE), MODE_CODE);
	CHECK_EQ(vmread(VMCS_GUEST_DS_SELECTOR), 0x900);
	CHECK_EQ(vmread(VMCS_GUEST_DS_BASE), 0x9000);
	CHECK_EQ(vmread(VMCS_GUEST_RSP) & 0xffff, 0x800 - 6);
	expect_number(t, 2);
	CHECK_EQ(vmread(VMCS_GUEST_CS_BASE), 0);
	CHECK_EQ(vmread(VMCS_GUEST_RSP) & 0xffff, 0x800);
}

/* An injected interrupt goes through the IVT, too. */
static void real_injection(struct vmxt *t)
{
	u16 *ivt = (u16 *)MODE_DATA;

	if (!real_mode(t, mode_real))
		return;
	ivt[0x33 * 2] = (u16)low(mode_int21);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID | 0x33);
	expect_number(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF, 0);
	CHECK_EQ(*(u16 *)(0x7000 - 6), low(mode_real));
}

static void boot_to_long_mode(struct vmxt *t)
{
	if (!real_mode(t, mode_boot))
		return;
	t->regs.rbx = cpu_read_cr3();
	expect_number(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_CS_SELECTOR), 8);
	CHECK_EQ(vmread(VMCS_GUEST_CS_AR_BYTES), 0xc09b);
	CHECK_EQ(vmread(VMCS_GUEST_CR0) & (CR0_PE | CR0_PG), CR0_PE);
	expect_number(t, 2);
	CHECK_EQ(vmread(VMCS_GUEST_IA32_EFER), EFER_LMA | EFER_LME);
	CHECK(vmread(VMCS_VM_ENTRY_CONTROLS) & ENTRY_CTL_IA32E);
	expect_number(t, 3);
	CHECK_EQ(t->regs.rcx, 0x1122334455667788);
	CHECK_EQ(vmread(VMCS_GUEST_CS_AR_BYTES), 0xa09b);
}

/* 32-bit protected mode with 2-level paging that maps all to itself; tables at MODE_DATA. */
static bool protected_mode(struct vmxt *t, const u8 *label)
{
	u32 *pd = (u32 *)(MODE_DATA + 0x1000);

	vmxt_prepare(t, NULL);
	copy_code();
	if (!leave_long_mode(t))
		return false;
	for (u32 i = 0; i < 1024; i++)
		pd[i] = i << 22 | 0x87;
	vmwrite(VMCS_GUEST_CR3, (u64)pd);
	vmwrite(VMCS_GUEST_CR4, (vmread(VMCS_GUEST_CR4) & ~CR4_PAE) | CR4_PSE);
	segment(VMCS_SEG_CS, SEL_CODE64, 0, ~0u, 0xc09b);
	vmwrite(VMCS_GUEST_RIP, low(label));
	vmwrite(VMCS_GUEST_RSP, 0x7000);
	return true;
}

static void v8086(struct vmxt *t)
{
	if (!protected_mode(t, mode_v86))
		return;
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM);
	for (u32 s = VMCS_SEG_ES; s <= VMCS_SEG_GS; s++)
		segment(s, s == VMCS_SEG_CS ? MODE_CODE >> 4 : 0, s == VMCS_SEG_CS ? MODE_CODE : 0,
			0xffff, 0xf3);
	vmwrite(VMCS_GUEST_RIP, low(mode_v86) - MODE_CODE);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_GP);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR, VECTOR_GP);
	CHECK_EQ(t->regs.rcx, 5);
	CHECK_EQ(vmread(VMCS_GUEST_DS_BASE), 0x12340);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_VM, RFLAGS_VM);
	/* its segments are checked at entry */
	vmwrite(VMCS_GUEST_DS_BASE, 0x12350);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
	vmwrite(VMCS_GUEST_DS_BASE, 0x12340);
	vmwrite(VMCS_GUEST_SS_AR_BYTES, 0xf7);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
}

/* A GDT with a TSS at 28, an IDT with a task gate at vector 30h. */
static void task_tables(void)
{
	u64 *gdt = (u64 *)MODE_DATA, tss = MODE_DATA + 0x800, old = MODE_DATA + 0x900;
	u64 *idt = (u64 *)(MODE_DATA + 0x200);

	gdt[1] = 0x00cf9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x67 | (old & 0xffffff) << 16 | 0x8bull << 40;
	gdt[5] = 0x67 | (tss & 0xffffff) << 16 | 0x89ull << 40;
	idt[0x30] = 0x28ull << 16 | 0x85ull << 40;
	segment(VMCS_SEG_TR, 0x18, old, 0x67, 0x8b);
	vmwrite(VMCS_GUEST_GDTR_BASE, (u64)gdt);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0x2f);
	vmwrite(VMCS_GUEST_IDTR_BASE, (u64)idt);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0x31 * 8 - 1);
}

static void task_switches(struct vmxt *t)
{
	if (!protected_mode(t, mode_jmp_task))
		return;
	task_tables();
	EXPECT_EXIT(t, EXIT_REASON_TASK_SWITCH);
	CHECK_EQ(t->qualification, 2u << 30 | 0x28); /* by JMP */
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 7);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), low(mode_jmp_task));
	CHECK_EQ(vmread(VMCS_GUEST_TR_SELECTOR), 0x18);
	protected_mode(t, mode_int_task);
	task_tables();
	EXPECT_EXIT(t, EXIT_REASON_TASK_SWITCH);
	CHECK_EQ(t->qualification, 3u << 30 | 0x28); /* by a task gate in the IDT */
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD),
		 INTR_INFO_VALID | INTR_TYPE_SW_INTERRUPT << INTR_INFO_TYPE_SHIFT | 0x30);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 2);
}

/* PAE paging: the four pointers come from memory, or with EPT from the VMCS. */
static void pae(struct vmxt *t)
{
	u64 *pdpt = (u64 *)(MODE_DATA + 0x2000), *pd = (u64 *)(MODE_DATA + 0x3000);

	for (u32 ept = 0; ept < 2; ept++) {
		vmxt_note("with EPT", ept);
		if (!protected_mode(t, mode_calls))
			return;
		for (u64 i = 0; i < 512; i++)
			pd[i] = i * PAGE_SIZE_2M | 0x87;
		pdpt[0] = (u64)pd | 1;
		vmwrite(VMCS_GUEST_CR4, (vmread(VMCS_GUEST_CR4) & ~CR4_PSE) | CR4_PAE);
		vmwrite(VMCS_GUEST_CR3, (u64)pdpt);
		if (ept) {
			if (!vmxt_identity_ept(t))
				return;
			pdpt[0] = 0;
			vmwrite(VMCS_GUEST_PDPTR0, (u64)pd | 1);
			vmwrite(VMCS_GUEST_PDPTR1, 0);
			vmwrite(VMCS_GUEST_PDPTR2, 0);
			vmwrite(VMCS_GUEST_PDPTR3, 0);
		}
		expect_number(t, 9);
		if (ept) {
			CHECK_EQ(vmread(VMCS_GUEST_PDPTR0), (u64)pd | 1);
			vmwrite(VMCS_GUEST_PDPTR1, 1ull << 51 | 1);
		} else {
			pdpt[1] = 1ull << 51 | 1;
		}
		vmxt_enter(t);
		CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
		CHECK_EQ(t->qualification, ENTRY_FAIL_PDPTE);
	}
}

/* NMIs from outside. */
#define APIC_ICR_LOW ((volatile u32 *)0xfee00300)
#define ICR_NMI (4u << 8)
#define ICR_SELF (1u << 18)

static void guest_spins(void)
{
	for (;;)
		cpu_pause();
}

static void unblock_nmis(void)
{
	__asm__ volatile(
		"mov %%rsp, %%rax; push %0; push %%rax; pushfq; push %1; push $1f; iretq; 1:"
		:
		: "r"((u64)SEL_DATA), "r"((u64)SEL_CODE64)
		: "rax", "memory", "cc");
}

static void self_nmi(void)
{
	u32 id = *(volatile u32 *)0xfee00020;

	*(volatile u32 *)0xfee00310 = id;
	*APIC_ICR_LOW = ICR_NMI;
}

static volatile bool send_nmi;
static void guest_nmi(void)
{
	for (;;) {
		if (send_nmi) {
			send_nmi = false;
			self_nmi();
		}
		cpu_pause();
	}
}

static void nmi_exits(struct vmxt *t)
{
	vmxt_prepare(t, guest_nmi);
	NEED(vmxt_control(t, VMX_PIN, PIN_NMI), "no NMI exiting");
	send_nmi = true;
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO),
		 INTR_INFO_VALID | INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT | VECTOR_NMI);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI, 0);
	unblock_nmis();

	vmxt_prepare(t, guest_nmi);
	send_nmi = true;
	EXPECT_TRAP(t, VECTOR_NMI);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI,
		 INTERRUPTIBILITY_NMI);
}

/* Debug exceptions that exit: which condition is in the qualification, DR6 is not touched. */
static volatile u64 watched;
static void guest_debug(void)
{
	__asm__ volatile("mov %0, %%dr0" : : "r"(&watched));
	__asm__ volatile("mov %0, %%dr7" : : "r"(DR7_FIXED | 0xd0001ull));
	guest_call(1);
	watched = 5;
	guest_call(2);
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; nop" : : : "cc", "memory");
	guest_call(3);
}

static void debug_exits(struct vmxt *t)
{
	u64 dr6, none = DR6_FIXED;

	vmxt_prepare(t, guest_debug);
	vmxt_control(t, VMX_EXIT, EXIT_CTL_SAVE_DEBUG);
	vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_DEBUG);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB);
	EXPECT_CALL(t, 1);
	__asm__ volatile("mov %0, %%dr6" : : "r"(none));
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR, VECTOR_DB);
	CHECK_EQ(t->qualification, DR6_B0);
	CHECK_EQ(watched, 5);
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	CHECK_EQ(dr6 & 0xf, 0);
	EXPECT_CALL(t, 2);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI); /* single step */
	CHECK_EQ(t->qualification & PENDING_DBG_BS, PENDING_DBG_BS);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(t->qualification & PENDING_DBG_BS, PENDING_DBG_BS);
	vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) & ~RFLAGS_TF);
	EXPECT_CALL(t, 3);
	__asm__ volatile("mov %0, %%dr0" : : "r"(0ull));
}

#define GUEST(name, text) \
	static void name(void) \
	{ \
		for (;;) { \
			guest_call(1); \
			__asm__ volatile(text : : : "memory", "rax", "rcx", "rdx", "cc"); \
			guest_call(2); \
		} \
	}

GUEST(do_invpcid, "sub $16, %%rsp; movq $0, (%%rsp); movq $0, 8(%%rsp); mov $2, %%eax;"
		  "invpcid (%%rsp), %%rax; add $16, %%rsp")
GUEST(do_rdrand, "rdrand %%ecx")
GUEST(do_rdseed, "rdseed %%rcx")
GUEST(do_lldt, "xor %%eax, %%eax; lldt %%ax")
GUEST(do_str, "str %%ecx")
GUEST(do_rdpmc, "xor %%ecx, %%ecx; rdpmc")

static void invpcid_control(struct vmxt *t)
{
	u32 r[4];

	cpu_id(7, 0, r);
	NEED(r[1] & 1 << 10, "no INVPCID");
	vmxt_prepare(t, do_invpcid);
	EXPECT_CALL(t, 1);
	EXPECT_TRAP(t, VECTOR_UD);
	vmxt_prepare(t, do_invpcid);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_INVPCID), "no control for INVPCID");
	EXPECT_CALL(t, 1);
	EXPECT_CALL(t, 2);
	vmxt_control(t, VMX_PROC, PROC_INVLPG);
	EXPECT_CALL(t, 1);
	EXPECT_EXIT(t, EXIT_REASON_INVPCID);
	CHECK_EQ(vmread(VMCS_VMX_INSTRUCTION_INFO) >> 28 & 15, 0); /* RAX */
}

static void secondary_exits(struct vmxt *t)
{
	static const struct {
		vmxt_guest_fn fn;
		u32 control, reason, info, info_mask;
	} list[] = {
		{do_rdrand, PROC2_RDRAND, EXIT_REASON_RDRAND, 1 << 3 | 1 << 11, 15 << 3 | 3 << 11},
		{do_rdseed, PROC2_RDSEED, EXIT_REASON_RDSEED, 1 << 3 | 2 << 11, 15 << 3 | 3 << 11},
		{do_lldt, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR, 2u << 28 | 1 << 10,
		 3u << 28 | 1 << 10},
		{do_str, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR, 1u << 28 | 1 << 10 | 1 << 3,
		 3u << 28 | 1 << 10 | 15 << 3},
	};

	for (u32 i = 0; i < ARRAY_SIZE(list); i++) {
		vmxt_prepare(t, list[i].fn);
		if (!vmxt_control(t, VMX_PROC2, list[i].control))
			continue;
		vmxt_note("exit reason", list[i].reason);
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, list[i].reason);
		CHECK_EQ(vmread(VMCS_VMX_INSTRUCTION_INFO) & list[i].info_mask, list[i].info);
		vmxt_step_over();
		EXPECT_CALL(t, 2);
	}
	vmxt_prepare(t, do_rdpmc);
	if (vmxt_control(t, VMX_PROC, PROC_RDPMC)) {
		EXPECT_CALL(t, 1);
		EXPECT_EXIT(t, EXIT_REASON_RDPMC);
	}
}

/* What is pending together comes in the SDM's order: injection, then NMI window, interrupt window,
 * external interrupt. */
static void priorities(struct vmxt *t)
{
	vmxt_prepare(t, guest_spins);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT);
	vmxt_control(t, VMX_PROC, PROC_INTERRUPT_WINDOW);
	vmxt_self_interrupt(0x52);
	EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL,
		vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & ~(u64)PROC_INTERRUPT_WINDOW);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID | 0x36);
	EXPECT_EXIT(t, EXIT_REASON_EXTERNAL_INTERRUPT);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF, 0); /* in the handler of 36h */
	CHECK(vmread(VMCS_GUEST_RIP) != (u64)guest_spins);
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD), 0);
	irq_window();
}

const struct vmxt_case vmxt_mode_cases[] = {
	{"mode: real mode", real},
	{"mode: injection in real mode", real_injection},
	{"mode: from real mode to 64-bit mode", boot_to_long_mode},
	{"mode: virtual-8086 mode", v8086},
	{"mode: task switches", task_switches},
	{"mode: PAE paging", pae},
	{"mode: NMI", nmi_exits},
	{"mode: debug exceptions", debug_exits},
	{"mode: INVPCID", invpcid_control},
	{"mode: secondary controls", secondary_exits},
	{"mode: order of pending events", priorities},
	{NULL, NULL},
};
