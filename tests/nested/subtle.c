/* What is easy to get wrong: blocking and RF in the saved state, privilege before exits, events in
 * the middle of things, accesses that are half done. */
#include "tests/nested/probe.h"

static volatile u64 seen;

/* --- what the saved state says of the instruction before --- */

static void guest_after_mov_ss(void)
{
	__asm__ volatile("mov %%ss, %%ecx; mov %%ecx, %%ss; cpuid; nop; vmcall"
			 :
			 :
			 : "rax", "rbx", "rcx", "rdx");
}

static void guest_after_sti(void)
{
	__asm__ volatile("sti; cpuid; nop; vmcall" : : : "rax", "rbx", "rcx", "rdx");
}

static void blocking_is_saved(struct vmxt *t)
{
	vmxt_prepare(t, guest_after_mov_ss);
	EXPECT_EXIT(t, EXIT_REASON_CPUID);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO), INTERRUPTIBILITY_MOV_SS);
	/* an interrupt waits for it, too */
	vmxt_prepare(t, guest_after_sti);
	vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT);
	EXPECT_EXIT(t, EXIT_REASON_CPUID);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO), INTERRUPTIBILITY_STI);
	vmxt_step_over();
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 0);
	EXPECT_EXIT(t, EXIT_REASON_VMCALL);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO), 0);
}

static void guest_ud(void)
{
	__asm__ volatile("ud2");
}

static void guest_calls(void)
{
	for (u64 i = 1;; i++)
		guest_call(i);
}

static void resume_flag(struct vmxt *t)
{
	vmxt_prepare(t, guest_ud);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_UD);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_RF, RFLAGS_RF);
	vmxt_prepare(t, guest_calls);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_RF, 0);
}

/* --- privilege --- */

static u64 user_tables(void)
{
	static u64 *pml4;
	u64 *pdpt, *pd;

	if (pml4)
		return (u64)pml4;
	pml4 = page_alloc(1, PAGE_SIZE);
	pdpt = page_alloc(1, PAGE_SIZE);
	pd = page_alloc(1, PAGE_SIZE);
	pml4[0] = (u64)pdpt | 7;
	pdpt[0] = (u64)pd | 7;
	for (u64 i = 0; i < 512; i++)
		pd[i] = i * PAGE_SIZE_2M | 0x87;
	return (u64)pml4;
}

static void enter_user(struct vmxt *t, vmxt_guest_fn fn)
{
	vmxt_prepare(t, fn);
	vmwrite(VMCS_GUEST_CR3, user_tables());
	vmwrite(VMCS_GUEST_CS_AR_BYTES, 0xa0fb);
	vmwrite(VMCS_GUEST_CS_SELECTOR, 0x23);
	for (u32 s = VMCS_SEG_ES; s <= VMCS_SEG_GS; s++)
		if (s != VMCS_SEG_CS) {
			vmwrite(VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * s, 0xc0f3);
			vmwrite(VMCS_GUEST_ES_SELECTOR + VMCS_SEG_STEP * s, 0x1b);
		}
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_GP | 1u << VECTOR_PF);
}

#define GUEST(name, text) \
	static void name(void) \
	{ \
		__asm__ volatile(text : : : "memory", "rax", "rcx", "rdx", "cc"); \
	}

GUEST(user_hlt, "hlt")
GUEST(user_cr3, "mov %%cr3, %%rax")
GUEST(user_rdmsr, "xor %%ecx, %%ecx; rdmsr")
GUEST(user_invlpg, "invlpg (%%rsp)")
GUEST(user_out, "outb %%al, $0x80")
GUEST(user_rdtsc, "rdtsc")
GUEST(user_cpuid, "push %%rbx; xor %%eax, %%eax; cpuid; pop %%rbx")
GUEST(user_dr, "mov %%dr7, %%rax")

/* #GP for privilege comes before the exit that the control asks for. */
static void privilege_first(struct vmxt *t)
{
	static const struct {
		vmxt_guest_fn fn;
		u32 control;
	} list[] = {
		{user_hlt, PROC_HLT},
		{user_cr3, PROC_CR3_STORE},
		{user_rdmsr, 0},
		{user_invlpg, PROC_INVLPG},
		{user_out, PROC_UNCONDITIONAL_IO},
		{user_rdtsc, PROC_RDTSC},
	};

	for (u32 i = 0; i < ARRAY_SIZE(list); i++) {
		enter_user(t, list[i].fn);
		vmxt_note("control", list[i].control);
		if (list[i].control && !vmxt_control(t, VMX_PROC, list[i].control))
			continue;
		if (list[i].fn == user_rdtsc)
			vmwrite(VMCS_GUEST_CR4, vmread(VMCS_GUEST_CR4) | CR4_TSD);
		EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
		CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR, VECTOR_GP);
	}
	/* but MOV DR is an exception to that */
	enter_user(t, user_dr);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	enter_user(t, user_dr);
	vmxt_control(t, VMX_PROC, PROC_MOV_DR);
	EXPECT_EXIT(t, EXIT_REASON_DR_ACCESS);
	enter_user(t, user_cpuid);
	EXPECT_EXIT(t, EXIT_REASON_CPUID);
	enter_user(t, guest_calls);
	EXPECT_CALL(t, 1);
	enter_user(t, user_rdtsc);
	vmxt_control(t, VMX_PROC, PROC_RDTSC);
	EXPECT_EXIT(t, EXIT_REASON_RDTSC);
}

/* --- IRET and NMIs --- */

static void iret_unblocks(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
		INTR_INFO_VALID | INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT | VECTOR_NMI);
	EXPECT_TRAP(t, VECTOR_NMI);
	/* the handler's IRET cannot read its frame: the fault says that NMIs were unblocked */
	vmxt_trap_frame->rip = 1ull << 62; /* its return is to a non-canonical address */
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_GP);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR, VECTOR_GP);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_NMI_UNBLOCKING,
		 INTR_INFO_NMI_UNBLOCKING);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI, 0);
}

/* --- software interrupts and EPT --- */

static void guest_int(void)
{
	__asm__ volatile("int $0x35");
}

static void software_vectoring(struct vmxt *t)
{
	if (!probe_setup(t, guest_int))
		return;
	vmwrite(VMCS_GUEST_RSP, PROBE + PAGE_SIZE);
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD),
		 INTR_INFO_VALID | INTR_TYPE_SW_INTERRUPT << INTR_INFO_TYPE_SHIFT | 0x35);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 2);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), (u64)guest_int);
	probe_pt[0] = (u64)probe_page(0) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, vmread(VMCS_IDT_VECTORING_INFO_FIELD));
	vmwrite(VMCS_VM_ENTRY_INSTRUCTION_LEN, 2);
	EXPECT_TRAP(t, 0x35);
}

/* --- accesses that are half done --- */

static u8 source[64];
static void guest_rep_movs(void)
{
	void *to = (void *)(PROBE + PAGE_SIZE - 16);
	const void *from = source;
	u64 n = 64;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	guest_call(n);
}

static void string_progress(struct vmxt *t)
{
	u8 *page = (u8 *)probe_page(0), *second = (u8 *)probe_page(0);

	for (u32 i = 0; i < sizeof(source); i++)
		source[i] = (u8)(i + 1);
	if (!probe_setup(t, guest_rep_movs))
		return;
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(vmread(VMCS_GUEST_PHYSICAL_ADDRESS), PROBE + PAGE_SIZE);
	CHECK_EQ(t->regs.rcx, 48);
	CHECK_EQ(t->regs.rdi, PROBE + PAGE_SIZE);
	CHECK_EQ(t->regs.rsi, (u64)source + 16);
	CHECK_EQ(page[PAGE_SIZE - 1], 16);
	probe_pt[1] = (u64)second | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_CALL(t, 0);
	CHECK_EQ(second[0], 17);
	CHECK_EQ(second[47], 64);
}

static void guest_straddles(void)
{
	*(volatile u64 *)(PROBE + PAGE_SIZE - 4) = 0x1111222233334444;
	guest_call(1);
}

static void straddling_store(struct vmxt *t)
{
	u8 *page = (u8 *)probe_page(0);
	u32 *last = (u32 *)(page + PAGE_SIZE - 4);

	if (!probe_setup(t, guest_straddles))
		return;
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(vmread(VMCS_GUEST_PHYSICAL_ADDRESS) & PAGE_MASK, PROBE + PAGE_SIZE);
	CHECK_EQ(*last, 0); /* nothing of it is done */
	probe_pt[1] = (u64)probe_page(0) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_CALL(t, 1);
	CHECK_EQ(*last, 0x33334444);
}

/* --- information for string I/O --- */

static void guest_outs_fs(void)
{
	static const u32 data[2];
	const void *p = data;

	__asm__ volatile("mov $0x80, %%edx; fs outsl; vmcall" : "+S"(p) : : "rdx", "memory");
}

static void guest_ins(void)
{
	static u8 data[4];
	void *p = data;
	u64 n = 2;

	__asm__ volatile("mov $0x80, %%edx; rep insb; vmcall"
			 : "+D"(p), "+c"(n)
			 :
			 : "rdx", "memory");
}

static void string_io_information(struct vmxt *t)
{
	vmxt_prepare(t, guest_outs_fs);
	vmxt_control(t, VMX_PROC, PROC_UNCONDITIONAL_IO);
	vmwrite(VMCS_GUEST_FS_BASE, 0x1000);
	EXPECT_EXIT(t, EXIT_REASON_IO_INSTRUCTION);
	CHECK_EQ(t->qualification, 0x800013); /* OUT, string, four bytes */
	CHECK_EQ(vmread(VMCS_GUEST_LINEAR_ADDRESS), t->regs.rsi + 0x1000);
	if (cpu_rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_INS_OUTS) {
		CHECK_EQ(vmread(VMCS_VMX_INSTRUCTION_INFO) >> 7 & 7, 2);  /* 64-bit address */
		CHECK_EQ(vmread(VMCS_VMX_INSTRUCTION_INFO) >> 15 & 7, 4); /* FS */
	}
	vmxt_prepare(t, guest_ins);
	vmxt_control(t, VMX_PROC, PROC_UNCONDITIONAL_IO);
	EXPECT_EXIT(t, EXIT_REASON_IO_INSTRUCTION);
	CHECK_EQ(t->qualification, 0x800038); /* IN, string, REP, one byte */
	CHECK_EQ(vmread(VMCS_GUEST_LINEAR_ADDRESS), t->regs.rdi);
	CHECK_EQ(t->regs.rcx, 2);
}

/* --- an MSR that is not there faults in the guest when nobody intercepts it --- */

static void guest_no_msr(void)
{
	__asm__ volatile("mov $0x1eee, %%ecx; rdmsr" : : : "rax", "rcx", "rdx");
}

static void missing_msr(struct vmxt *t)
{
	vmxt_prepare(t, guest_no_msr);
	NEED(vmxt_control(t, VMX_PROC, PROC_MSR_BITMAPS), "no MSR bitmaps");
	EXPECT_TRAP(t, VECTOR_GP);
}

/* --- entries that load what is already there --- */

/* VMLAUNCH, exit, VMRESUME: the flags of the guest are its own although VMRESUME changed none. */
static void flags_survive(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_ARITH | RFLAGS_DF | RFLAGS_AC | RFLAGS_ID);
	vmwrite(VMCS_EXCEPTION_BITMAP, ~0u);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_RFLAGS) & (RFLAGS_DF | RFLAGS_AC | RFLAGS_ID),
		 RFLAGS_DF | RFLAGS_AC | RFLAGS_ID);
}

/* CR2 and the debug address registers belong to whoever runs: nothing switches them. */
static void guest_sets_cr2(void)
{
	cpu_write_cr2(0x77);
	__asm__ volatile("mov %0, %%dr1" : : "r"(0x123456ull));
	guest_call(1);
	seen = cpu_read_cr2();
	guest_call(2);
}

static void not_switched(struct vmxt *t)
{
	u64 v;

	vmxt_prepare(t, guest_sets_cr2);
	EXPECT_CALL(t, 1);
	CHECK_EQ(cpu_read_cr2(), 0x77);
	__asm__ volatile("mov %%dr1, %0" : "=r"(v));
	CHECK_EQ(v, 0x123456);
	cpu_write_cr2(0x88);
	EXPECT_CALL(t, 2);
	CHECK_EQ(seen, 0x88);
}

const struct vmxt_case vmxt_subtle_cases[] = {
	{"subtle: blocking by MOV SS and STI is saved", blocking_is_saved},
	{"subtle: RFLAGS.RF", resume_flag},
	{"subtle: privilege comes before exits", privilege_first},
	{"subtle: a faulting IRET unblocks NMIs", iret_unblocks},
	{"subtle: EPT violation in a software interrupt", software_vectoring},
	{"subtle: EPT violation in the middle of a string", string_progress},
	{"subtle: EPT violation of half a store", straddling_store},
	{"subtle: string I/O information", string_io_information},
	{"subtle: an MSR that is not there", missing_msr},
	{"subtle: the guest's flags survive", flags_survive},
	{"subtle: CR2 and DR1 are not switched", not_switched},
	{NULL, NULL},
};
