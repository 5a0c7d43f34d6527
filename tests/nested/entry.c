/* What VM entry refuses: controls and host state by error number, guest state by a failing exit. */
#include "tests/nested/vmxt.h"

static void guest_calls(void)
{
	for (;;)
		guest_call(1);
}

#define NON_CANONICAL (1ull << 62)
#define BEYOND_MEMORY (1ull << 52)

/* One field given a bad value. */
struct bad_field {
	const char *what;
	u32 field;
	u64 clear, set; /* bits of the good value */
};

static void expect_error(struct vmxt *t, u32 error)
{
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
	if (t->entry_flags & RFLAGS_ZF)
		CHECK_EQ(vmxt_error(), error);
}

static void spoil(const struct bad_field *b)
{
	vmxt_note(b->what, b->field);
	vmwrite(b->field, (vmread(b->field) & ~b->clear) | b->set);
}

/* Every control bit that may not be 1 or may not be 0 is refused so. */
static void reserved_controls(struct vmxt *t)
{
	static const struct {
		u32 field, plain, exact;
	} controls[] = {
		{VMCS_PIN_BASED_VM_EXEC_CONTROL, MSR_IA32_VMX_PINBASED_CTLS,
		 MSR_IA32_VMX_TRUE_PINBASED_CTLS},
		{VMCS_CPU_BASED_VM_EXEC_CONTROL, MSR_IA32_VMX_PROCBASED_CTLS,
		 MSR_IA32_VMX_TRUE_PROCBASED_CTLS},
		{VMCS_VM_EXIT_CONTROLS, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS},
		{VMCS_VM_ENTRY_CONTROLS, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS},
	};
	bool exact = t->caps.basic & VMX_BASIC_TRUE_CTLS;

	for (u32 c = 0; c < ARRAY_SIZE(controls); c++) {
		u64 msr = cpu_rdmsr(exact ? controls[c].exact : controls[c].plain);

		for (u32 bit = 0; bit < 32; bit++) {
			bool may_be_0 = !(msr >> bit & 1), may_be_1 = msr >> (32 + bit) & 1;

			if (may_be_0 && may_be_1)
				continue;
			vmxt_prepare(t, guest_calls);
			vmxt_note("control field * 256 + bit", controls[c].field * 256 + bit);
			vmwrite(controls[c].field, vmread(controls[c].field) ^ (1u << bit));
			expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
		}
	}
}

static void reserved_secondary(struct vmxt *t)
{
	u64 msr;

	NEED(t->caps.has_secondary, "no secondary controls");
	msr = cpu_rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
	for (u32 bit = 0; bit < 32; bit++) {
		if (msr >> (32 + bit) & 1)
			continue;
		vmxt_prepare(t, guest_calls);
		vmxt_note("bit", bit);
		vmxt_control(t, VMX_PROC, PROC_SECONDARY);
		vmwrite(VMCS_SECONDARY_VM_EXEC_CONTROL, 1ull << bit);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
		/* without "activate secondary controls" the field means nothing */
		vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL,
			vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) & ~(u64)PROC_SECONDARY);
		EXPECT_CALL(t, 1);
	}
}

static void control_pointers(struct vmxt *t)
{
	static const struct {
		u32 control, field;
	} pointers[] = {
		{PROC_IO_BITMAPS, VMCS_IO_BITMAP_A},
		{PROC_IO_BITMAPS, VMCS_IO_BITMAP_B},
		{PROC_MSR_BITMAPS, VMCS_MSR_BITMAP},
		{PROC_TPR_SHADOW, VMCS_VIRTUAL_APIC_PAGE_ADDR},
	};

	for (u32 i = 0; i < ARRAY_SIZE(pointers); i++) {
		vmxt_prepare(t, guest_calls);
		if (!vmxt_control(t, VMX_PROC, pointers[i].control))
			continue;
		if (pointers[i].control == PROC_TPR_SHADOW)
			vmwrite(VMCS_TPR_THRESHOLD, 0);
		vmwrite(pointers[i].field, (u64)t->io_bitmaps);
		EXPECT_CALL(t, 1);
		vmxt_note("misaligned pointer", pointers[i].field);
		vmwrite(pointers[i].field, (u64)t->io_bitmaps + 0x800);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
		vmxt_note("pointer beyond memory", pointers[i].field);
		vmwrite(pointers[i].field, BEYOND_MEMORY);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	}
}

static void other_controls(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_CR3_TARGET_COUNT, 5);
	expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);

	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 1);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)t->io_bitmaps + 8);
	expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 1);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_ADDR, BEYOND_MEMORY);
	expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);

	if (vmxt_control(t, VMX_PIN, PIN_VIRTUAL_NMIS)) {
		vmxt_note("virtual NMIs without NMI exiting", 0);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	}
	vmxt_prepare(t, guest_calls);
	if (vmxt_control(t, VMX_EXIT, EXIT_CTL_SAVE_PREEMPTION_TIMER)) {
		vmxt_note("saving a timer that is off", 0);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	}
	vmxt_prepare(t, guest_calls);
	if (vmxt_control(t, VMX_PROC2, PROC2_VPID)) {
		vmxt_note("VPID 0", 0);
		vmwrite(VMCS_VPID, 0);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	}
}

static void bad_eptp(struct vmxt *t)
{
	static const u64 bad[] = {
		EPTP_WALK_4 | 1,			  /* memory type */
		EPTP_WALK_4 | EPTP_TYPE_WB | 0x80,	  /* reserved */
		(2ull << EPTP_WALK_SHIFT) | EPTP_TYPE_WB, /* walk length */
		EPTP_WALK_4 | EPTP_TYPE_WB | BEYOND_MEMORY,
	};

	vmxt_prepare(t, guest_calls);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_EPT), "no EPT");
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		vmxt_note("EPTP", bad[i]);
		vmwrite(VMCS_EPT_POINTER, bad[i]);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	}
}

static void injected_events(struct vmxt *t)
{
	static const struct {
		u32 info, error, length;
	} bad[] = {
		{INTR_INFO_VALID | 1 << 8 | 0x20, 0, 0},		    /* type 1 */
		{INTR_INFO_VALID | INTR_TYPE_NMI << 8 | 3, 0, 0},	    /* NMI, vector 3 */
		{INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << 8 | 32, 0, 0}, /* vector 32 */
		{INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_GP,
		 0x10000, 0}, /* error code bits */
		{INTR_INFO_VALID | 0x1000 | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_UD, 0, 0},
		{INTR_INFO_VALID | INTR_TYPE_SW_INTERRUPT << 8 | 0x30, 0, 16}, /* length */
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		vmxt_prepare(t, guest_calls);
		vmxt_note("interruption information", bad[i].info);
		vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, bad[i].info);
		vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, bad[i].error);
		vmwrite(VMCS_VM_ENTRY_INSTRUCTION_LEN, bad[i].length);
		expect_error(t, VMXERR_ENTRY_INVALID_CONTROLS);
	}
}

static void host_state(struct vmxt *t)
{
	static const struct bad_field bad[] = {
		{"host CR0.PG 0", VMCS_HOST_CR0, CR0_PG, 0},
		{"host CR0.NE 0", VMCS_HOST_CR0, CR0_NE, 0},
		{"host CR4.VMXE 0", VMCS_HOST_CR4, CR4_VMXE, 0},
		{"host CR4.PAE 0", VMCS_HOST_CR4, CR4_PAE, 0},
		{"host CR3 beyond memory", VMCS_HOST_CR3, 0, BEYOND_MEMORY},
		{"host RIP", VMCS_HOST_RIP, 0, NON_CANONICAL},
		{"host FS base", VMCS_HOST_FS_BASE, 0, NON_CANONICAL},
		{"host GS base", VMCS_HOST_GS_BASE, 0, NON_CANONICAL},
		{"host TR base", VMCS_HOST_TR_BASE, 0, NON_CANONICAL},
		{"host GDTR base", VMCS_HOST_GDTR_BASE, 0, NON_CANONICAL},
		{"host IDTR base", VMCS_HOST_IDTR_BASE, 0, NON_CANONICAL},
		{"host SYSENTER_ESP", VMCS_HOST_IA32_SYSENTER_ESP, 0, NON_CANONICAL},
		{"host SYSENTER_EIP", VMCS_HOST_IA32_SYSENTER_EIP, 0, NON_CANONICAL},
		{"host CS 0", VMCS_HOST_CS_SELECTOR, 0xffff, 0},
		{"host TR 0", VMCS_HOST_TR_SELECTOR, 0xffff, 0},
		{"host CS RPL", VMCS_HOST_CS_SELECTOR, 0, 3},
		{"host DS TI", VMCS_HOST_DS_SELECTOR, 0, 4},
		{"host TR RPL", VMCS_HOST_TR_SELECTOR, 0, 1},
		{"host address-space size 0", VMCS_VM_EXIT_CONTROLS, EXIT_CTL_HOST_64, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		vmxt_prepare(t, guest_calls);
		if (bad[i].field == VMCS_HOST_CR0 && bad[i].clear == CR0_NE &&
		    !(t->caps.cr0_fixed0 & CR0_NE))
			continue;
		spoil(&bad[i]);
		expect_error(t, VMXERR_ENTRY_INVALID_HOST_STATE);
	}
}

/* The entry fails after it began: an exit with bit 31 of the reason, guest state as it was. */
static void expect_guest_failure(struct vmxt *t, u64 qualification)
{
	u64 rip = vmread(VMCS_GUEST_RIP);

	vmxt_enter(t);
	CHECK_EQ(t->entry_flags, 0);
	if (t->entry_flags)
		return;
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
	CHECK_EQ(t->qualification, qualification);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), rip);
}

static void guest_state(struct vmxt *t)
{
	static const struct bad_field bad[] = {
		{"CR0.PE 0", VMCS_GUEST_CR0, CR0_PE | CR0_PG, 0},
		{"CR0.PG 0 in IA-32e mode", VMCS_GUEST_CR0, CR0_PG, 0},
		{"CR0.NE 0", VMCS_GUEST_CR0, CR0_NE, 0},
		{"CR0 bit 32", VMCS_GUEST_CR0, 0, 1ull << 32},
		{"CR4.PAE 0 in IA-32e mode", VMCS_GUEST_CR4, CR4_PAE, 0},
		{"CR4.VMXE 0", VMCS_GUEST_CR4, CR4_VMXE, 0},
		{"CR4 bit 32", VMCS_GUEST_CR4, 0, 1ull << 32},
		{"CR3 beyond memory", VMCS_GUEST_CR3, 0, BEYOND_MEMORY},
		{"SYSENTER_ESP", VMCS_GUEST_SYSENTER_ESP, 0, NON_CANONICAL},
		{"SYSENTER_EIP", VMCS_GUEST_SYSENTER_EIP, 0, NON_CANONICAL},
		{"TR is in the LDT", VMCS_GUEST_TR_SELECTOR, 0, 4},
		{"TR base", VMCS_GUEST_TR_BASE, 0, NON_CANONICAL},
		{"TR not busy", VMCS_GUEST_TR_AR_BYTES, 2, 0},
		{"TR unusable", VMCS_GUEST_TR_AR_BYTES, 0, 0x10000},
		{"TR S", VMCS_GUEST_TR_AR_BYTES, 0, 0x10},
		{"TR not present", VMCS_GUEST_TR_AR_BYTES, 0x80, 0},
		{"TR reserved bit", VMCS_GUEST_TR_AR_BYTES, 0, 0x100},
		{"TR limit and G", VMCS_GUEST_TR_AR_BYTES, 0, 0x8000},
		{"CS not code", VMCS_GUEST_CS_AR_BYTES, 0xf, 0x1},
		{"CS not accessed", VMCS_GUEST_CS_AR_BYTES, 1, 0},
		{"CS system", VMCS_GUEST_CS_AR_BYTES, 0x10, 0},
		{"CS not present", VMCS_GUEST_CS_AR_BYTES, 0x80, 0},
		{"CS reserved bit", VMCS_GUEST_CS_AR_BYTES, 0, 0x200},
		{"CS D and L", VMCS_GUEST_CS_AR_BYTES, 0, 0x4000},
		{"CS DPL is not SS DPL", VMCS_GUEST_CS_AR_BYTES, 0, 0x60},
		{"SS DPL is not CS RPL", VMCS_GUEST_SS_AR_BYTES, 0, 0x60},
		{"SS RPL is not CS RPL", VMCS_GUEST_SS_SELECTOR, 0, 3},
		{"SS type", VMCS_GUEST_SS_AR_BYTES, 0xf, 0x1},
		{"SS base beyond 4 GiB", VMCS_GUEST_SS_BASE, 0, 1ull << 32},
		{"DS type", VMCS_GUEST_DS_AR_BYTES, 0xf, 0x9},
		{"DS not accessed", VMCS_GUEST_DS_AR_BYTES, 1, 0},
		{"ES base beyond 4 GiB", VMCS_GUEST_ES_BASE, 0, 1ull << 32},
		{"FS base", VMCS_GUEST_FS_BASE, 0, NON_CANONICAL},
		{"GS base", VMCS_GUEST_GS_BASE, 0, NON_CANONICAL},
		{"FS limit and G", VMCS_GUEST_FS_LIMIT, 0xfff, 0},
		{"GDTR base", VMCS_GUEST_GDTR_BASE, 0, NON_CANONICAL},
		{"GDTR limit", VMCS_GUEST_GDTR_LIMIT, 0, 0x10000},
		{"IDTR base", VMCS_GUEST_IDTR_BASE, 0, NON_CANONICAL},
		{"IDTR limit", VMCS_GUEST_IDTR_LIMIT, 0, 0x10000},
		{"RIP", VMCS_GUEST_RIP, 0, NON_CANONICAL},
		{"RFLAGS bit 1", VMCS_GUEST_RFLAGS, 2, 0},
		{"RFLAGS bit 3", VMCS_GUEST_RFLAGS, 0, 8},
		{"RFLAGS bit 22", VMCS_GUEST_RFLAGS, 0, 1 << 22},
		{"RFLAGS.VM in IA-32e mode", VMCS_GUEST_RFLAGS, 0, RFLAGS_VM},
		{"activity state 4", VMCS_GUEST_ACTIVITY_STATE, 0, 4},
		{"interruptibility reserved bit", VMCS_GUEST_INTERRUPTIBILITY_INFO, 0, 1 << 5},
		{"blocking by STI and MOV SS", VMCS_GUEST_INTERRUPTIBILITY_INFO, 0, 3},
		{"blocking by STI with IF 0", VMCS_GUEST_INTERRUPTIBILITY_INFO, 0, 1},
		{"pending debug reserved bit", VMCS_GUEST_PENDING_DBG_EXCEPTIONS, 0, 1 << 5},
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		vmxt_prepare(t, guest_calls);
		if (bad[i].clear == CR0_NE && !(t->caps.cr0_fixed0 & CR0_NE))
			continue;
		spoil(&bad[i]);
		expect_guest_failure(t, ENTRY_FAIL_DEFAULT);
	}
}

/* What looks odd and is allowed. */
static void good_guest_state(struct vmxt *t)
{
	static const struct bad_field good[] = {
		{"LDTR unusable, rubbish in it", VMCS_GUEST_LDTR_BASE, 0, 0x1234},
		{"DS unusable", VMCS_GUEST_DS_AR_BYTES, 0, 0x10000},
		{"ES unusable, type 0", VMCS_GUEST_ES_AR_BYTES, 0xffff, 0x10000},
		{"FS base in the upper half", VMCS_GUEST_FS_BASE, ~0ull, 0xffff800000000000},
		{"CS conforming", VMCS_GUEST_CS_AR_BYTES, 0, 0x4},
		{"DS not B", VMCS_GUEST_DS_AR_BYTES, 0x4000, 0},
		{"DR7 is not checked without its control", VMCS_GUEST_DR7, 0, 1ull << 40},
		{"blocking by MOV SS", VMCS_GUEST_INTERRUPTIBILITY_INFO, 0, 2},
		{"CR0.WP 0", VMCS_GUEST_CR0, CR0_WP, 0},
		{"host is not checked against guest", VMCS_HOST_ES_SELECTOR, 0xffff, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(good); i++) {
		vmxt_prepare(t, guest_calls);
		spoil(&good[i]);
		EXPECT_CALL(t, 1);
	}
}

static void link_pointer(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_VMCS_LINK_POINTER, 0x123);
	expect_guest_failure(t, ENTRY_FAIL_LINK_POINTER);
	vmwrite(VMCS_VMCS_LINK_POINTER, BEYOND_MEMORY);
	expect_guest_failure(t, ENTRY_FAIL_LINK_POINTER);
	vmwrite(VMCS_VMCS_LINK_POINTER, t->vmcs); /* the current VMCS itself */
	expect_guest_failure(t, ENTRY_FAIL_LINK_POINTER);
	vmwrite(VMCS_VMCS_LINK_POINTER, t->other_vmcs);
	EXPECT_CALL(t, 1);
	vmwrite(VMCS_VMCS_LINK_POINTER, VMX_NO_POINTER);
	EXPECT_CALL(t, 1);
}

static void external_interrupt_needs_if(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID | 0x30);
	expect_guest_failure(t, ENTRY_FAIL_DEFAULT);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 1);
	expect_guest_failure(t, ENTRY_FAIL_DEFAULT);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 0);
	EXPECT_TRAP(t, 0x30);
}

static void efer(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	NEED(vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_EFER), "no IA32_EFER load on entry");
	vmwrite(VMCS_GUEST_IA32_EFER, EFER_LME);
	expect_guest_failure(t, ENTRY_FAIL_DEFAULT);
	vmwrite(VMCS_GUEST_IA32_EFER, 0);
	expect_guest_failure(t, ENTRY_FAIL_DEFAULT);
	vmwrite(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME | 1ull << 20);
	expect_guest_failure(t, ENTRY_FAIL_DEFAULT);
	vmwrite(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME);
	EXPECT_CALL(t, 1);
	if (!vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_EFER))
		return;
	vmwrite(VMCS_HOST_IA32_EFER, EFER_LME);
	expect_error(t, VMXERR_ENTRY_INVALID_HOST_STATE);
	vmwrite(VMCS_HOST_IA32_EFER, EFER_LMA);
	expect_error(t, VMXERR_ENTRY_INVALID_HOST_STATE);
}

/* MOV SS just before the entry blocks it. */
static void blocked_by_mov_ss(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls);
	CHECK_EQ(TRY("mov %[ss], %%ss\n\tvmlaunch", [ss] "r"(SEL_DATA)), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_ENTRY_BLOCKED_BY_MOV_SS);
}

static void msr_load_failures(struct vmxt *t)
{
	struct vmx_msr_entry *list = (struct vmx_msr_entry *)t->io_bitmaps;

	vmxt_prepare(t, guest_calls);
	list[0] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, 0};
	list[1] = (struct vmx_msr_entry){MSR_IA32_FS_BASE, 0, 0};
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)list);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 2);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_MSR_LOADING);
	CHECK_EQ(t->qualification, 2); /* the entry that failed, from 1 */
	list[1] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 1, 0};
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_MSR_LOADING);
	list[1] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, NON_CANONICAL};
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_MSR_LOADING);
	list[1] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, 0x1000};
	EXPECT_CALL(t, 1);
	/* where there is no memory; more entries than IA32_VMX_MISC recommends */
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, 1ull << 35);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_MSR_LOADING);
	CHECK_EQ(t->qualification, 1);
	list = page_alloc(3, PAGE_SIZE);
	for (u32 i = 0; i < 513; i++)
		list[i] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, 0x1000};
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)list);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 513);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_MSR_LOADING);
	CHECK_EQ(t->qualification, 513);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 512);
	EXPECT_CALL(t, 1);
}

const struct vmxt_case vmxt_entry_cases[] = {
	{"entry: reserved control bits", reserved_controls},
	{"entry: reserved secondary control bits", reserved_secondary},
	{"entry: pointers in control fields", control_pointers},
	{"entry: other control fields", other_controls},
	{"entry: EPT pointer", bad_eptp},
	{"entry: injected events", injected_events},
	{"entry: host state", host_state},
	{"entry: guest state", guest_state},
	{"entry: odd guest state that is allowed", good_guest_state},
	{"entry: VMCS link pointer", link_pointer},
	{"entry: an external interrupt needs RFLAGS.IF", external_interrupt_needs_if},
	{"entry: IA32_EFER", efer},
	{"entry: blocked by MOV SS", blocked_by_mov_ss},
	{"entry: MSR-load list", msr_load_failures},
	{NULL, NULL},
};
