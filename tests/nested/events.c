/* Exceptions, interrupts, injection, windows, the preemption timer. */
#include "tests/nested/vmxt.h"

#define VECTOR_TEST 0x51

static void inject(u32 type, u32 vector)
{
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
		INTR_INFO_VALID | type << INTR_INFO_TYPE_SHIFT | vector);
}

static void guest_spins(void)
{
	for (;;)
		cpu_pause();
}

static void guest_calls(void)
{
	for (u64 i = 1;; i++)
		guest_call(i);
}

static void guest_ud(void)
{
	__asm__ volatile("ud2");
}

static void guest_int3(void)
{
	for (;;)
		__asm__ volatile("int3");
}

static void guest_gp(void)
{
	__asm__ volatile("mov %0, %%ds" : : "r"(0x7770));
}

static void guest_pf(void)
{
	*(volatile u64 *)0x7fff12345678 = 1;
}

static void guest_de(void)
{
	__asm__ volatile("xor %%ecx, %%ecx; div %%ecx" : : : "rax", "rcx", "rdx");
}

/* Each exception: with its bit an exit, without it the guest's handler. */
static void exception_bitmap(struct vmxt *t)
{
	static const struct {
		vmxt_guest_fn fn;
		u32 vector, info, length;
		u64 error, qualification;
	} list[] = {
		{guest_ud, VECTOR_UD, INTR_TYPE_HW_EXCEPTION << 8, 0, 0, 0},
		{guest_de, VECTOR_DE, INTR_TYPE_HW_EXCEPTION << 8, 0, 0, 0},
		{guest_int3, VECTOR_BP, INTR_TYPE_SW_EXCEPTION << 8, 1, 0, 0},
		{guest_gp, VECTOR_GP, INTR_TYPE_HW_EXCEPTION << 8 | INTR_INFO_ERROR_CODE, 0, 0x7770,
		 0},
		{guest_pf, VECTOR_PF, INTR_TYPE_HW_EXCEPTION << 8 | INTR_INFO_ERROR_CODE, 0,
		 PFERR_W, 0x7fff12345678},
	};

	for (u32 i = 0; i < ARRAY_SIZE(list); i++) {
		vmxt_note("vector", list[i].vector);
		vmxt_prepare(t, list[i].fn);
		vmwrite(VMCS_EXCEPTION_BITMAP, 1u << list[i].vector);
		EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
		CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO),
			 INTR_INFO_VALID | list[i].info | list[i].vector);
		if (list[i].info & INTR_INFO_ERROR_CODE)
			CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_ERROR_CODE), list[i].error);
		CHECK_EQ(t->qualification, list[i].qualification);
		if (list[i].length)
			CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), list[i].length);
		vmwrite(VMCS_EXCEPTION_BITMAP, ~(1u << list[i].vector));
		EXPECT_TRAP(t, list[i].vector);
		if (list[i].vector == VECTOR_PF)
			CHECK_EQ(cpu_read_cr2(), 0x7fff12345678);
		if (list[i].info & INTR_INFO_ERROR_CODE)
			CHECK_EQ(vmxt_trap_frame->error, list[i].error);
	}
}

/* A page fault that exits leaves CR2 alone; mask and match choose by error code. */
static void page_fault_match(struct vmxt *t)
{
	vmxt_prepare(t, guest_pf);
	cpu_write_cr2(0x1234);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_PF);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MASK, PFERR_W);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, PFERR_W);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(cpu_read_cr2(), 0x1234);
	/* bit clear: faults that do not match exit */
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_PF);
	EXPECT_TRAP(t, VECTOR_PF);
	CHECK_EQ(cpu_read_cr2(), 0x7fff12345678);
}

/* Injection: handler entered with the right error code, return address and stack. */
static void injection(struct vmxt *t)
{
	static const struct {
		u32 type, vector, length, error;
		bool has_error;
	} list[] = {
		{INTR_TYPE_HW_EXCEPTION, VECTOR_UD, 0, 0, false},
		{INTR_TYPE_HW_EXCEPTION, VECTOR_GP, 0, 0x1238, true},
		{INTR_TYPE_HW_EXCEPTION, VECTOR_PF, 0, 6, true},
		{INTR_TYPE_SW_INTERRUPT, 0x80, 2, 0, false},
		{INTR_TYPE_SW_EXCEPTION, VECTOR_BP, 1, 0, false},
		{INTR_TYPE_PRIV_SW_EXCEPTION, VECTOR_DB, 1, 0, false},
		{INTR_TYPE_EXTERNAL, 0x33, 0, 0, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(list); i++) {
		u64 rip;

		vmxt_prepare(t, guest_calls);
		vmxt_note("type * 256 + vector", list[i].type * 256 + list[i].vector);
		if (list[i].type == INTR_TYPE_EXTERNAL)
			vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
		EXPECT_CALL(t, 1);
		rip = vmread(VMCS_GUEST_RIP);
		inject(list[i].type, list[i].vector);
		if (list[i].has_error) {
			vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
				vmread(VMCS_VM_ENTRY_INTR_INFO_FIELD) | INTR_INFO_ERROR_CODE);
			vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, list[i].error);
		}
		vmwrite(VMCS_VM_ENTRY_INSTRUCTION_LEN, list[i].length);
		EXPECT_TRAP(t, list[i].vector);
		CHECK_EQ(vmxt_trap_frame->rip, rip + list[i].length);
		CHECK_EQ(vmxt_trap_frame->error, list[i].error);
		/* the valid bit is cleared by the entry: it comes only once */
		CHECK_EQ(vmread(VMCS_VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID, 0);
		vmxt_trap_frame->rip = rip;
		EXPECT_CALL(t, 2);
	}
}

/* An injected event does not exit by the exception bitmap, but what its delivery causes does. */
static void injection_ignores_bitmap(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_UD | 1u << VECTOR_GP);
	inject(INTR_TYPE_HW_EXCEPTION, VECTOR_UD);
	EXPECT_TRAP(t, VECTOR_UD);

	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_GP);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xf);
	inject(INTR_TYPE_HW_EXCEPTION, VECTOR_UD); /* beyond the limit: #GP */
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR, VECTOR_GP);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_ERROR_CODE), VECTOR_UD * 8 + 2 + 1);
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD),
		 INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_UD);
}

static void triple_fault(struct vmxt *t)
{
	vmxt_prepare(t, guest_ud);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	EXPECT_EXIT(t, EXIT_REASON_TRIPLE_FAULT);
	CHECK_EQ(t->qualification, 0);
}

static void double_fault_exit(struct vmxt *t)
{
	vmxt_prepare(t, guest_ud);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DF);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO),
		 INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_DF);
}

/* External interrupts exit whatever the guest's IF; with and without acknowledging. */
static void external_interrupts(struct vmxt *t)
{
	for (u32 flag = 0; flag < 2; flag++) {
		u32 before = vmxt_interrupts;

		vmxt_note("guest's IF", flag);
		vmxt_prepare(t, guest_spins);
		vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | (flag ? RFLAGS_IF : 0));
		vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT);
		vmxt_self_interrupt(VECTOR_TEST);
		EXPECT_EXIT(t, EXIT_REASON_EXTERNAL_INTERRUPT);
		CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VALID, 0);
		CHECK_EQ(vmxt_interrupts, before);
		irq_window(); /* still pending here */
		CHECK_EQ(vmxt_interrupts, before + 1);
		CHECK_EQ(vmxt_last_vector, VECTOR_TEST);

		vmxt_control(t, VMX_EXIT, EXIT_CTL_ACK_INTERRUPT);
		vmxt_self_interrupt(VECTOR_TEST);
		EXPECT_EXIT(t, EXIT_REASON_EXTERNAL_INTERRUPT);
		CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO), INTR_INFO_VALID | VECTOR_TEST);
		irq_window();
		CHECK_EQ(vmxt_interrupts, before + 1); /* taken by the exit */
		vmxt_eoi();
	}
}

/* Without external-interrupt exiting the guest takes them through its IDT. */
static void interrupts_to_guest(struct vmxt *t)
{
	vmxt_prepare(t, guest_spins);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmxt_self_interrupt(VECTOR_TEST);
	EXPECT_TRAP(t, VECTOR_TEST);
	vmxt_eoi();
}

/* Nothing but exits, one after the other. */
static void guest_only_calls(void)
{
	__asm__ volatile("vmcall; vmcall; vmcall; vmcall");
}

static void interrupt_window(struct vmxt *t)
{
	vmxt_prepare(t, guest_only_calls);
	vmxt_control(t, VMX_PROC, PROC_INTERRUPT_WINDOW);
	EXPECT_CALL(t, 0); /* closed: IF is 0 */
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI);
	EXPECT_CALL(t, 0); /* blocked for one instruction, which exits */
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_MOV_SS);
	EXPECT_CALL(t, 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 0);
	EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
}

static void guest_sti_hlt(void)
{
	__asm__ volatile("sti; nop");
	guest_call(1);
	__asm__ volatile("sti; hlt");
	guest_call(2);
}

/* STI opens the window after the next instruction. */
static void window_after_sti(struct vmxt *t)
{
	u64 rip;

	vmxt_prepare(t, guest_sti_hlt);
	rip = vmread(VMCS_GUEST_RIP);
	vmxt_control(t, VMX_PROC, PROC_INTERRUPT_WINDOW);
	EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
	CHECK(vmread(VMCS_GUEST_RIP) > rip + 1);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO), 0);
}

/* Activity state HLT: the guest wakes by what is injected, and exits by what comes from outside. */
static void halted(struct vmxt *t)
{
	NEED(cpu_rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT, "no activity state HLT");
	vmxt_prepare(t, guest_sti_hlt);
	vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT);
	EXPECT_CALL(t, 1);
	irq_timer_arm(200000);
	EXPECT_EXIT(t, EXIT_REASON_EXTERNAL_INTERRUPT);
	CHECK_EQ(vmread(VMCS_GUEST_ACTIVITY_STATE), 1);
	irq_window();
	inject(INTR_TYPE_EXTERNAL, 0x34);
	EXPECT_TRAP(t, 0x34);
	CHECK_EQ(vmread(VMCS_GUEST_ACTIVITY_STATE), 0);
	EXPECT_CALL(t, 2);

	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, 1);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmxt_control(t, VMX_PROC, PROC_INTERRUPT_WINDOW);
	EXPECT_EXIT(t, EXIT_REASON_INTERRUPT_WINDOW);
}

/* NMIs: injected, they block the next until IRET. */
static void nmi_blocking(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	inject(INTR_TYPE_NMI, VECTOR_NMI);
	EXPECT_TRAP(t, VECTOR_NMI);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI,
		 INTERRUPTIBILITY_NMI);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI, 0);
}

static void nmi_window(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	NEED(vmx_can(&t->caps, VMX_PIN, PIN_VIRTUAL_NMIS | PIN_NMI), "no virtual NMIs");
	vmxt_control(t, VMX_PIN, PIN_VIRTUAL_NMIS | PIN_NMI);
	NEED(vmxt_control(t, VMX_PROC, PROC_NMI_WINDOW), "no NMI-window exiting");
	EXPECT_EXIT(t, EXIT_REASON_NMI_WINDOW);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI);
	EXPECT_CALL(t, 1);
}

static void preemption_timer(struct vmxt *t)
{
	u64 start;
	u32 shift = t->caps.timer_shift;

	vmxt_prepare(t, guest_spins);
	NEED(vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER), "no preemption timer");
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, 50000 >> shift);
	start = cpu_tsc();
	EXPECT_EXIT(t, EXIT_REASON_PREEMPTION_TIMER);
	CHECK(cpu_tsc() - start >= (u64)(50000 >> shift) << shift >> 1);
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, 0);
	start = vmread(VMCS_GUEST_RIP);
	EXPECT_EXIT(t, EXIT_REASON_PREEMPTION_TIMER);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), start); /* before the first instruction */
	/* injection comes first */
	inject(INTR_TYPE_HW_EXCEPTION, VECTOR_UD);
	EXPECT_EXIT(t, EXIT_REASON_PREEMPTION_TIMER);
	CHECK(vmread(VMCS_GUEST_RIP) != start);
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD), 0);
	/* and so does a debug exception that is pending */
	vmxt_prepare(t, guest_spins);
	vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER);
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, 0);
	vmwrite(VMCS_GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_ENABLED_BP | 1);
	EXPECT_EXIT(t, EXIT_REASON_PREEMPTION_TIMER);
	CHECK(vmread(VMCS_GUEST_RIP) != (u64)guest_spins);
	CHECK_EQ(vmread(VMCS_GUEST_PENDING_DBG_EXCEPTIONS), 0);
	vmwrite(VMCS_GUEST_RIP, (u64)guest_spins);
	vmwrite(VMCS_GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_ENABLED_BP | 1);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
}

/* A trap of an instruction that ends where the timer does is not lost: each iteration is
 * stepped. */
static volatile u64 steps;

static void guest_steps(void)
{
	__asm__ volatile("1: incq steps; jmp 1b");
}

static void preemption_timer_steps(struct vmxt *t)
{
	u64 traps = 0;

	vmxt_prepare(t, guest_steps);
	NEED(vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER), "no preemption timer");
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB);
	steps = 0;
	for (u32 i = 0; i < 400; i++) {
		vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, i % 5);
		vmxt_enter(t);
		if (t->reason == EXIT_REASON_EXCEPTION_NMI)
			traps++;
		else
			CHECK_EQ(t->reason, EXIT_REASON_PREEMPTION_TIMER);
	}
	CHECK(traps == 2 * steps || traps == 2 * steps - 1);
}

static void preemption_timer_saved(struct vmxt *t)
{
	u64 left;

	vmxt_prepare(t, guest_calls);
	NEED(vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER) && t->caps.has_save_timer,
	     "the preemption timer cannot be saved");
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, 0x10000000);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_VMX_PREEMPTION_TIMER_VALUE), 0x10000000);
	vmxt_control(t, VMX_EXIT, EXIT_CTL_SAVE_PREEMPTION_TIMER);
	EXPECT_CALL(t, 2);
	left = vmread(VMCS_VMX_PREEMPTION_TIMER_VALUE);
	CHECK(left <= 0x10000000 && left > 0x8000000);
}

static void guest_counts(void)
{
	__asm__ volatile("1: inc %%rax; inc %%rax; jmp 1b" : : : "rax");
}

static void monitor_trap_flag(struct vmxt *t)
{
	u64 rip;

	vmxt_prepare(t, guest_counts);
	NEED(vmxt_control(t, VMX_PROC, PROC_MONITOR_TRAP_FLAG), "no monitor trap flag");
	EXPECT_EXIT(t, EXIT_REASON_MONITOR_TRAP_FLAG);
	rip = vmread(VMCS_GUEST_RIP);
	EXPECT_EXIT(t, EXIT_REASON_MONITOR_TRAP_FLAG);
	CHECK(vmread(VMCS_GUEST_RIP) != rip);
	/* after an injection: before the handler's first instruction */
	inject(INTR_TYPE_HW_EXCEPTION, VECTOR_UD);
	EXPECT_EXIT(t, EXIT_REASON_MONITOR_TRAP_FLAG);
	CHECK_EQ(t->regs.rax != 0, 1);
}

/* Pending debug exceptions are delivered by the entry. */
static void pending_debug(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_BS);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_MOV_SS);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 0);
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR, VECTOR_DB);
	CHECK_EQ(t->qualification & PENDING_DBG_BS, PENDING_DBG_BS);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), (u64)guest_calls);
}

const struct vmxt_case vmxt_event_cases[] = {
	{"event: exception bitmap", exception_bitmap},
	{"event: page-fault mask and match", page_fault_match},
	{"event: injection", injection},
	{"event: injection and the exception bitmap", injection_ignores_bitmap},
	{"event: triple fault", triple_fault},
	{"event: double fault", double_fault_exit},
	{"event: external interrupts", external_interrupts},
	{"event: external interrupts without an exit", interrupts_to_guest},
	{"event: interrupt window", interrupt_window},
	{"event: interrupt window after STI", window_after_sti},
	{"event: activity state HLT", halted},
	{"event: NMI blocking", nmi_blocking},
	{"event: NMI window", nmi_window},
	{"event: preemption timer", preemption_timer},
	{"event: preemption timer and single steps", preemption_timer_steps},
	{"event: preemption timer saved", preemption_timer_saved},
	{"event: monitor trap flag", monitor_trap_flag},
	{"event: pending debug exceptions", pending_debug},
	{NULL, NULL},
};
