/* Features that not every processor has: TPR shadow, VMCS shadowing, VM functions, PAUSE loops, TSC
 * scaling, mode-based EPT, page-modification log, #VE. */
#include "tests/nested/probe.h"

static volatile u64 *const probe = (volatile u64 *)PROBE;
static volatile u64 seen;

static void guest_cr8(void)
{
	u64 v;

	for (;;) {
		__asm__ volatile("mov %0, %%cr8" : : "r"(seen));
		__asm__ volatile("mov %%cr8, %0" : "=r"(v));
		seen = v;
		guest_call(1);
	}
}

static void tpr_shadow(struct vmxt *t)
{
	u8 *page = (u8 *)probe_page(0);

	vmxt_prepare(t, guest_cr8);
	NEED(vmxt_control(t, VMX_PROC, PROC_TPR_SHADOW), "no TPR shadow");
	vmwrite(VMCS_VIRTUAL_APIC_PAGE_ADDR, (u64)page);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	seen = 5;
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 5);
	CHECK_EQ(page[0x80], 0x50);
	vmwrite(VMCS_TPR_THRESHOLD, 4);
	seen = 3;
	EXPECT_EXIT(t, EXIT_REASON_TPR_BELOW_THRESHOLD);
	CHECK_EQ(page[0x80], 0x30);
	vmwrite(VMCS_TPR_THRESHOLD, 3); /* a trap: the instruction is done */
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 3);
	vmwrite(VMCS_TPR_THRESHOLD, 9); /* above VTPR: no entry */
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
	CHECK_EQ(vmxt_error(), VMXERR_ENTRY_INVALID_CONTROLS);
	vmwrite(VMCS_TPR_THRESHOLD, 0x10);
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
}

/* --- VMCS shadowing --- */

static void guest_shadow(void)
{
	u64 v;

	for (;;) {
		__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((u64)VMCS_GUEST_RSP) : "cc");
		seen = v;
		guest_call(1);
		__asm__ volatile("vmwrite %1, %0" : : "r"((u64)VMCS_GUEST_RSP), "r"(seen) : "cc");
		guest_call(2);
	}
}

static u64 arith_flags;
static void guest_shadow_bad(void)
{
	__asm__ volatile("vmread %1, %%rax; pushfq; pop %0"
			 : "=r"(arith_flags)
			 : "r"(0x6ffeull)
			 : "rax", "cc");
	guest_call(1);
}

static void make_shadow(struct vmxt *t)
{
	CHECK_EQ(try_vmclear(t->other_vmcs), VMX_OK);
	*(u32 *)t->other_vmcs = t->caps.revision | 0x80000000;
}

static void unmake_shadow(struct vmxt *t)
{
	CHECK_EQ(try_vmclear(t->other_vmcs), VMX_OK);
	*(u32 *)t->other_vmcs = t->caps.revision;
}

static void vmcs_shadowing(struct vmxt *t)
{
	u8 *reads = (u8 *)probe_page(0), *writes = (u8 *)probe_page(0);

	reads[8] = writes[8] = 0;
	NEED(t->caps.has_secondary && vmx_can(&t->caps, VMX_PROC2, PROC2_VMCS_SHADOWING),
	     "no VMCS shadowing");
	make_shadow(t);
	CHECK_EQ(try_vmptrld(t->other_vmcs), VMX_OK);
	CHECK_EQ(try_vmwrite(VMCS_GUEST_RSP, 0x1111), VMX_OK);
	CHECK_EQ(TRY("vmlaunch", "i"(0)), VMX_FAIL_INVALID); /* not an ordinary VMCS */
	CHECK_EQ(try_vmclear(t->other_vmcs), VMX_OK);

	vmxt_prepare(t, guest_shadow);
	vmxt_control(t, VMX_PROC2, PROC2_VMCS_SHADOWING);
	vmwrite(VMCS_VMREAD_BITMAP, (u64)reads);
	vmwrite(VMCS_VMWRITE_BITMAP, (u64)writes);
	vmwrite(VMCS_VMCS_LINK_POINTER, t->other_vmcs);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 0x1111);
	seen = 0x2222;
	EXPECT_CALL(t, 2);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 0x2222);
	CHECK_EQ(vmread(VMCS_VMCS_LINK_POINTER), t->other_vmcs);
	writes[VMCS_GUEST_RSP / 8] = (u8)(1 << VMCS_GUEST_RSP % 8);
	EXPECT_EXIT(t, EXIT_REASON_VMWRITE);
	vmxt_step_over();
	EXPECT_CALL(t, 2);
	reads[VMCS_GUEST_RSP / 8] = (u8)(1 << VMCS_GUEST_RSP % 8);
	EXPECT_EXIT(t, EXIT_REASON_VMREAD);

	vmxt_prepare(t, guest_shadow_bad);
	vmxt_control(t, VMX_PROC2, PROC2_VMCS_SHADOWING);
	reads[0x6ffe / 8] = 0;
	vmwrite(VMCS_VMREAD_BITMAP, (u64)reads);
	vmwrite(VMCS_VMWRITE_BITMAP, (u64)writes);
	vmwrite(VMCS_VMCS_LINK_POINTER, t->other_vmcs);
	EXPECT_CALL(t, 1); /* a field that does not exist: fails in the guest */
	CHECK(arith_flags & RFLAGS_ZF);
	CHECK_EQ(vmxt_error(), VMXERR_UNSUPPORTED_COMPONENT); /* in L1's current VMCS */
	vmwrite(VMCS_VMCS_LINK_POINTER, VMX_NO_POINTER);
	vmwrite(VMCS_GUEST_RIP, (u64)guest_shadow_bad);
	EXPECT_CALL(t, 1); /* no shadow VMCS: VMfailInvalid */
	CHECK(arith_flags & RFLAGS_CF);

	CHECK_EQ(try_vmptrld(t->other_vmcs), VMX_OK);
	CHECK_EQ(vmread(VMCS_GUEST_RSP), 0x2222);
	unmake_shadow(t);
}

/* The link pointer must point to a shadow VMCS when the control is on, to an ordinary one else. */
static void shadow_link(struct vmxt *t)
{
	NEED(t->caps.has_secondary && vmx_can(&t->caps, VMX_PROC2, PROC2_VMCS_SHADOWING),
	     "no VMCS shadowing");
	vmxt_prepare(t, guest_shadow);
	vmxt_control(t, VMX_PROC2, PROC2_VMCS_SHADOWING);
	vmwrite(VMCS_VMREAD_BITMAP, (u64)t->io_bitmaps);
	vmwrite(VMCS_VMWRITE_BITMAP, (u64)t->io_bitmaps);
	vmwrite(VMCS_VMCS_LINK_POINTER, t->other_vmcs);
	CHECK_EQ(try_vmclear(t->other_vmcs), VMX_OK);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
	CHECK_EQ(t->qualification, ENTRY_FAIL_LINK_POINTER);
	make_shadow(t);
	vmwrite(VMCS_SECONDARY_VM_EXEC_CONTROL, 0);
	vmxt_enter(t);
	CHECK_EQ(t->reason, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
	CHECK_EQ(t->qualification, ENTRY_FAIL_LINK_POINTER);
	unmake_shadow(t);
}

/* --- VM functions --- */

static volatile u32 function_index;
static void guest_vmfunc(void)
{
	for (;;) {
		seen = probe[1];
		guest_call(1);
		__asm__ volatile("vmfunc" : : "a"(0), "c"(function_index) : "memory");
	}
}

static void eptp_switching(struct vmxt *t)
{
	u64 *list = page_alloc(1, PAGE_SIZE), *other = page_alloc(1, PAGE_SIZE);
	u64 *pdpt = page_alloc(1, PAGE_SIZE), *pd = page_alloc(1, PAGE_SIZE);
	u64 *pt = page_alloc(1, PAGE_SIZE), eptp;

	if (!probe_setup(t, guest_vmfunc))
		return;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	probe_pt[0] = (u64)probe_page(1) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_CALL(t, 1);
	EXPECT_TRAP(t, VECTOR_UD); /* not enabled */

	probe_setup(t, guest_vmfunc);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_VMFUNC) && (cpu_rdmsr(MSR_IA32_VMX_VMFUNC) & 1),
	     "no EPTP switching");
	eptp = vmread(VMCS_EPT_POINTER);
	other[0] = (u64)pdpt | EPT_ENTRY_RWX;
	pdpt[0] = *(u64 *)(*(u64 *)(eptp & PAGE_MASK) & PAGE_MASK); /* the first GiB */
	pdpt[1] = (u64)pd | EPT_ENTRY_RWX;
	pd[0] = (u64)pt | EPT_ENTRY_RWX;
	pt[0] = (u64)probe_page(2) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	probe_pt[0] = (u64)probe_page(1) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	list[0] = eptp;
	list[1] = (u64)other | EPTP_WALK_4 | EPTP_TYPE_WB;
	list[2] = 0x123;
	vmwrite(VMCS_VM_FUNCTION_CONTROL, 1);
	vmwrite(VMCS_EPTP_LIST_ADDRESS, (u64)list);
	function_index = 1;
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 1);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 2);
	CHECK_EQ(vmread(VMCS_EPT_POINTER), list[1]);
	function_index = 0;
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 1);
	function_index = 2; /* not a valid pointer */
	EXPECT_EXIT(t, EXIT_REASON_VMFUNC);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 3);
	t->regs.rcx = 512;
	EXPECT_EXIT(t, EXIT_REASON_VMFUNC);
	t->regs.rcx = 0;
	t->regs.rax = 1; /* a function that is not enabled */
	EXPECT_EXIT(t, EXIT_REASON_VMFUNC);
	CHECK_EQ(vmread(VMCS_EPT_POINTER), eptp);
}

/* --- PAUSE loops --- */

static void guest_pause_loop(void)
{
	for (;;)
		cpu_pause();
}

static void pause_loop(struct vmxt *t)
{
	u64 start;

	vmxt_prepare(t, guest_pause_loop);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_PAUSE_LOOP), "no PAUSE-loop exiting");
	vmwrite(VMCS_PLE_GAP, 1000);
	vmwrite(VMCS_PLE_WINDOW, 20000);
	start = cpu_tsc();
	EXPECT_EXIT(t, EXIT_REASON_PAUSE);
	CHECK(cpu_tsc() - start >= 20000);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), 2);
}

/* --- TSC scaling --- */

static void guest_tsc(void)
{
	for (;;) {
		seen = cpu_tsc();
		guest_call(1);
	}
}

static void tsc_scaling(struct vmxt *t)
{
	u64 before;

	vmxt_prepare(t, guest_tsc);
	NEED(vmxt_control(t, VMX_PROC2, PROC2_TSC_SCALING), "no TSC scaling");
	vmxt_control(t, VMX_PROC, PROC_TSC_OFFSETTING);
	vmwrite(VMCS_TSC_MULTIPLIER, 3ull << 47); /* times 1.5 */
	vmwrite(VMCS_TSC_OFFSET, 1000);
	vmwrite(VMCS_TSC_MULTIPLIER, 0);
	vmxt_enter(t);
	CHECK_EQ(vmxt_error(), VMXERR_ENTRY_INVALID_CONTROLS);
	vmwrite(VMCS_TSC_MULTIPLIER, 3ull << 47);
	before = cpu_tsc();
	EXPECT_CALL(t, 1);
	CHECK(seen >= before + before / 2 + 1000 && seen <= cpu_tsc() / 2 * 3 + 1003);
}

/* --- mode-based execute control --- */

static void guest_executes(void)
{
	for (;;) {
		__asm__ volatile("call *%0" : : "r"(PROBE + 0x10) : "memory");
		guest_call(1);
	}
}

static void mode_based_ept(struct vmxt *t)
{
	u64 *page = probe_page(0), *table;

	page[2] = 0xc3; /* RET */
	if (!probe_setup(t, guest_executes))
		return;
	NEED(vmxt_control(t, VMX_PROC2, PROC2_MODE_BASED_EPT), "no mode-based execute control");
	table = (u64 *)(vmread(VMCS_EPT_POINTER) & PAGE_MASK);
	table[0] |= EPT_ENTRY_EXECUTE_USER; /* the report is the AND of all entries on the way */
	table = (u64 *)(table[0] & PAGE_MASK);
	table[1] |= EPT_ENTRY_EXECUTE_USER;
	table = (u64 *)(table[1] & PAGE_MASK);
	table[0] |= EPT_ENTRY_EXECUTE_USER;
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_READ | EPT_ENTRY_EXECUTE_USER;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(t->qualification & 7, EPT_VIOLATION_FETCH);
	CHECK_EQ(t->qualification >> 6 & 1, 1); /* executable by users */
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_READ | EPT_ENTRY_EXECUTE;
	vmx_invept_all(&t->caps);
	EXPECT_CALL(t, 1);
}

/* --- page-modification log --- */

static void guest_writes(void)
{
	for (;;) {
		probe[1] = 7;
		guest_call(1);
	}
}

static void pml(struct vmxt *t)
{
	u64 *log = page_alloc(1, PAGE_SIZE);

	if (!probe_setup(t, guest_writes))
		return;
	NEED((t->caps.ept_vpid & EPT_CAP_AD) && vmxt_control(t, VMX_PROC2, PROC2_PML),
	     "no page-modification log");
	vmwrite(VMCS_EPT_POINTER, vmread(VMCS_EPT_POINTER) | EPTP_AD);
	vmwrite(VMCS_PML_ADDRESS, (u64)log);
	vmwrite(VMCS_GUEST_PML_INDEX, 511);
	probe_pt[0] = (u64)probe_page(0) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_CALL(t, 1);
	CHECK(vmread(VMCS_GUEST_PML_INDEX) < 511);
	for (u64 i = 511; i > vmread(VMCS_GUEST_PML_INDEX); i--)
		if (log[i] == PROBE)
			log[0] = PROBE;
	CHECK_EQ(log[0], PROBE);
	probe_pt[0] &= ~EPT_ENTRY_DIRTY;
	vmx_invept_all(&t->caps);
	vmwrite(VMCS_GUEST_PML_INDEX, 0xffff);
	EXPECT_EXIT(t, EXIT_REASON_PML_FULL);
	CHECK_EQ(probe_pt[0] & EPT_ENTRY_DIRTY, 0);
	vmwrite(VMCS_GUEST_PML_INDEX, 0); /* room for one */
	log[0] = 0;
	EXPECT_CALL(t, 1);
	CHECK_EQ(log[0], PROBE);
	CHECK_EQ(vmread(VMCS_GUEST_PML_INDEX), 0xffff);
	EXPECT_CALL(t, 1); /* dirty already: nothing to log */
	vmwrite(VMCS_PML_ADDRESS, (u64)log + 8);
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
	CHECK_EQ(vmxt_error(), VMXERR_ENTRY_INVALID_CONTROLS);
}

/* --- virtualization exceptions --- */

static void guest_reads(void)
{
	for (;;) {
		seen = probe[1];
		guest_call(1);
	}
}

static void ve(struct vmxt *t)
{
	u32 *info = page_alloc(1, PAGE_SIZE);

	if (!probe_setup(t, guest_reads))
		return;
	NEED(vmxt_control(t, VMX_PROC2, PROC2_VE), "no #VE");
	vmwrite(VMCS_VE_INFO_ADDRESS, (u64)info);
	vmwrite(VMCS_EPTP_INDEX, 3);
	EXPECT_TRAP(t, VECTOR_VE);
	CHECK_EQ(info[0], EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(info[1], 0xffffffff);
	CHECK_EQ(*(u64 *)&info[2] & 7, EPT_VIOLATION_READ);
	CHECK_EQ(*(u64 *)&info[4] & PAGE_MASK, PROBE);
	CHECK_EQ(*(u64 *)&info[6] & PAGE_MASK, PROBE);
	CHECK_EQ(*(u16 *)&info[8], 3);
	/* busy: the next one exits; so does one whose entry suppresses it */
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	info[1] = 0;
	probe_pt[0] = EPT_ENTRY_SUPPRESS_VE;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(info[1], 0);
	/* through the exception bitmap it is L1's after all */
	probe_pt[0] = 0;
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_VE);
	EXPECT_EXIT(t, EXIT_REASON_EXCEPTION_NMI);
	CHECK_EQ(vmread(VMCS_VM_EXIT_INTR_INFO),
		 INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_VE);
	CHECK_EQ(info[1], 0xffffffff);
	/* not while an event is being delivered */
	info[1] = 0;
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite(VMCS_GUEST_RSP, PROBE + 0x800);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
		INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_UD);
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(info[1], 0);
	vmwrite(VMCS_VE_INFO_ADDRESS, (u64)info + 4);
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
}

/* EPTP switching tells #VE which table is in use. */
static void ve_index(struct vmxt *t)
{
	u64 *list = page_alloc(1, PAGE_SIZE);

	if (!probe_setup(t, guest_vmfunc))
		return;
	NEED(vmxt_control(t, VMX_PROC2, PROC2_VMFUNC | PROC2_VE) &&
		     (cpu_rdmsr(MSR_IA32_VMX_VMFUNC) & 1),
	     "no EPTP switching or no #VE");
	probe_pt[0] = (u64)probe_page(1) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	list[7] = vmread(VMCS_EPT_POINTER);
	vmwrite(VMCS_VE_INFO_ADDRESS, (u64)page_alloc(1, PAGE_SIZE));
	vmwrite(VMCS_VM_FUNCTION_CONTROL, 1);
	vmwrite(VMCS_EPTP_LIST_ADDRESS, (u64)list);
	vmwrite(VMCS_EPTP_INDEX, 0);
	function_index = 7;
	EXPECT_CALL(t, 1);
	EXPECT_CALL(t, 1);
	CHECK_EQ(vmread(VMCS_EPTP_INDEX), 7);
}

const struct vmxt_case vmxt_feature_cases[] = {
	{"feature: TPR shadow", tpr_shadow},
	{"feature: VMCS shadowing", vmcs_shadowing},
	{"feature: link pointer to a shadow VMCS", shadow_link},
	{"feature: EPTP switching", eptp_switching},
	{"feature: PAUSE loops", pause_loop},
	{"feature: TSC scaling", tsc_scaling},
	{"feature: mode-based execute control", mode_based_ept},
	{"feature: page-modification log", pml},
	{"feature: #VE", ve},
	{"feature: #VE and EPTP switching", ve_index},
	{NULL, NULL},
};
