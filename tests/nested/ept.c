/* Extended page tables, VPIDs, and what must be flushed when they change. */
#include "tests/nested/probe.h"

static u64 *root;
u64 *probe_pt;
static volatile u64 *const probe = (volatile u64 *)PROBE;
static volatile u64 seen;

static void guest_reads(void)
{
	for (;;) {
		seen = probe[1];
		guest_call(1);
	}
}

static void guest_writes(void)
{
	for (;;) {
		probe[1] = 0x77;
		guest_call(1);
	}
}

static void guest_executes(void)
{
	for (;;) {
		__asm__ volatile("call *%0" : : "r"(PROBE + 0x10) : "memory");
		guest_call(1);
	}
}

bool probe_setup(struct vmxt *t, vmxt_guest_fn fn)
{
	u64 *pd;

	vmxt_prepare(t, fn);
	if (!vmxt_identity_ept(t)) {
		vmxt_skip("no EPT with 2 MiB pages");
		return false;
	}
	root = (u64 *)(vmread(VMCS_EPT_POINTER) & PAGE_MASK);
	if (!probe_pt) {
		pd = page_alloc(1, PAGE_SIZE);
		probe_pt = page_alloc(1, PAGE_SIZE);
		((u64 *)(root[0] & PAGE_MASK))[1] = (u64)pd | EPT_ENTRY_RWX;
		pd[0] = (u64)probe_pt | EPT_ENTRY_RWX;
	}
	memset(probe_pt, 0, PAGE_SIZE);
	vmx_invept_all(&t->caps);
	return true;
}

u64 *probe_page(u64 content)
{
	u64 *p = page_alloc(1, PAGE_SIZE);

	p[1] = content;
	return p;
}

static void violation(struct vmxt *t, vmxt_guest_fn fn, u64 entry, u64 access)
{
	if (!probe_setup(t, fn))
		return;
	probe_pt[0] = entry;
	vmxt_note("EPT entry", entry);
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(t->qualification & 7, access);
	CHECK_EQ(t->qualification >> 3 & 7, entry & 7);
	CHECK_EQ(t->qualification & (EPT_VIOLATION_GLA_VALID | EPT_VIOLATION_GLA_TRANSLATION),
		 EPT_VIOLATION_GLA_VALID | EPT_VIOLATION_GLA_TRANSLATION);
	CHECK_EQ(vmread(VMCS_GUEST_PHYSICAL_ADDRESS) & PAGE_MASK, PROBE);
	CHECK_EQ(vmread(VMCS_GUEST_LINEAR_ADDRESS) & PAGE_MASK, PROBE);
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD), 0);
}

static void violations(struct vmxt *t)
{
	u64 *page = probe_page(0x99);
	u64 leaf = (u64)page | EPT_ENTRY_WB;

	page[2] = 0xc3; /* RET, at PROBE + 0x10 */
	violation(t, guest_reads, 0, EPT_VIOLATION_READ);
	violation(t, guest_writes, 0, EPT_VIOLATION_WRITE);
	violation(t, guest_writes, leaf | EPT_ENTRY_READ, EPT_VIOLATION_WRITE);
	violation(t, guest_executes, leaf | EPT_ENTRY_READ | EPT_ENTRY_WRITE, EPT_VIOLATION_FETCH);
	if (t->caps.ept_vpid & EPT_CAP_EXECUTE_ONLY)
		violation(t, guest_reads, leaf | EPT_ENTRY_EXECUTE, EPT_VIOLATION_READ);
}

/* Filled on demand, the access goes on; nothing of it was done before. */
static void demand(struct vmxt *t)
{
	u64 *page = probe_page(0x55);

	if (!probe_setup(t, guest_reads))
		return;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_READ;
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 0x55);
	if (!probe_setup(t, guest_writes))
		return;
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_READ;
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(page[1], 0x55);
	probe_pt[0] |= EPT_ENTRY_WRITE;
	EXPECT_CALL(t, 1);
	CHECK_EQ(page[1], 0x77);
}

static void misconfiguration(struct vmxt *t)
{
	static const u64 bad[] = {
		EPT_ENTRY_WRITE, /* write without read */
		EPT_ENTRY_WRITE | EPT_ENTRY_EXECUTE,
		EPT_ENTRY_RWX | 2ull << EPT_ENTRY_TYPE_SHIFT, /* memory type 2 */
		EPT_ENTRY_RWX | 7ull << EPT_ENTRY_TYPE_SHIFT,
		EPT_ENTRY_RWX | 1ull << 51, /* beyond memory */
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!probe_setup(t, guest_reads))
			return;
		probe_pt[0] = bad[i] | (bad[i] >> EPT_ENTRY_TYPE_SHIFT & 7 ? 0 : EPT_ENTRY_WB);
		vmxt_note("EPT entry", probe_pt[0]);
		EXPECT_EXIT(t, EXIT_REASON_EPT_MISCONFIG);
		CHECK_EQ(vmread(VMCS_GUEST_PHYSICAL_ADDRESS) & PAGE_MASK, PROBE);
	}
}

/* A translation that was made more restrictive or moved counts after INVEPT. */
static void invept_flushes(struct vmxt *t)
{
	u64 *a = probe_page(1), *b = probe_page(2);

	if (!probe_setup(t, guest_reads))
		return;
	probe_pt[0] = (u64)a | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 1);
	probe_pt[0] = (u64)b | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	vmx_invept_all(&t->caps);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 2);
	probe_pt[0] = 0;
	vmx_invept_all(&t->caps);
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
}

/* The guest's own page tables, in EPT: a violation while they are walked says so. */
static void walk_violation(struct vmxt *t)
{
	u64 *pml4, *own = (u64 *)(cpu_read_cr3() & PAGE_MASK);

	if (!probe_setup(t, guest_reads))
		return;
	pml4 = probe_page(0);
	memcpy(pml4, own, PAGE_SIZE);
	vmwrite(VMCS_GUEST_CR3, PROBE); /* the top table itself is not mapped */
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(t->qualification & (EPT_VIOLATION_GLA_VALID | EPT_VIOLATION_GLA_TRANSLATION),
		 EPT_VIOLATION_GLA_VALID);
	CHECK_EQ(vmread(VMCS_GUEST_PHYSICAL_ADDRESS) & PAGE_MASK, PROBE);
	probe_pt[0] = (u64)pml4 | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	probe_pt[1] = (u64)probe_page(3) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	vmwrite(VMCS_GUEST_RIP, (u64)guest_writes); /* writes into its own top table: harmless */
	vmwrite(VMCS_GUEST_RIP, (u64)guest_reads);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, pml4[1]);
}

/* An event whose delivery hits a violation is reported with it and can be delivered again. */
static void vectoring(struct vmxt *t)
{
	const struct irq_frame *frame;
	u64 *page = probe_page(0);

	if (!probe_setup(t, guest_reads))
		return;
	vmwrite(VMCS_GUEST_RSP, PROBE + PAGE_SIZE); /* the frame goes to a page that is not there */
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID | 0x35);
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
	CHECK_EQ(t->qualification & 7, EPT_VIOLATION_WRITE);
	CHECK_EQ(vmread(VMCS_IDT_VECTORING_INFO_FIELD), INTR_INFO_VALID | 0x35);
	CHECK_EQ(vmread(VMCS_GUEST_RIP), (u64)guest_reads);
	CHECK_EQ(vmread(VMCS_GUEST_RSP), PROBE + PAGE_SIZE);
	probe_pt[0] = (u64)page | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, vmread(VMCS_IDT_VECTORING_INFO_FIELD));
	EXPECT_TRAP(t, 0x35);
	frame = (const struct irq_frame *)((u64)page + ((u64)vmxt_trap_frame & ~PAGE_MASK));
	CHECK_EQ(frame->rip, (u64)guest_reads);
}

static void accessed_dirty(struct vmxt *t)
{
	if (!probe_setup(t, guest_writes))
		return;
	NEED(t->caps.ept_vpid & EPT_CAP_AD, "no accessed and dirty flags for EPT");
	vmwrite(VMCS_EPT_POINTER, vmread(VMCS_EPT_POINTER) | EPTP_AD);
	probe_pt[0] = (u64)probe_page(0) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	EXPECT_CALL(t, 1);
	CHECK_EQ(probe_pt[0] & (EPT_ENTRY_ACCESSED | EPT_ENTRY_DIRTY),
		 EPT_ENTRY_ACCESSED | EPT_ENTRY_DIRTY);
	CHECK(root[0] & EPT_ENTRY_ACCESSED);
}

/* One more table above the identity map, whose other slots lead to nothing. */
static void five_levels(struct vmxt *t)
{
	u64 *top;

	if (!probe_setup(t, guest_reads))
		return;
	NEED(t->caps.ept_vpid & EPT_CAP_WALK_5, "no EPT of 5 levels");
	top = page_alloc(1, PAGE_SIZE);
	top[0] = (u64)t->ept | EPT_ENTRY_RWX;
	probe_pt[0] = (u64)probe_page(0) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	vmwrite(VMCS_EPT_POINTER, (u64)top | EPTP_WALK_5 | EPTP_TYPE_WB | EPTP_AD);
	EXPECT_CALL(t, 1);
	CHECK(top[0] & EPT_ENTRY_ACCESSED);
	top[0] |= 0x80; /* reserved */
	vmx_invept_all(&t->caps);
	EXPECT_EXIT(t, EXIT_REASON_EPT_MISCONFIG);
	top[0] = 0;
	vmx_invept_all(&t->caps);
	EXPECT_EXIT(t, EXIT_REASON_EPT_VIOLATION);
}

/* The guest's tables change under a VPID; INVLPG, MOV to CR3 and INVVPID make it count. */
static u64 *guest_pt;
#define VIRTUAL 0x8000000000ull /* top-level slot 1 */

static void guest_invlpg(void)
{
	u64 *a = (u64 *)(guest_pt[1] & PAGE_MASK);

	seen = *(volatile u64 *)(VIRTUAL + 8);
	guest_call(1);
	guest_pt[0] = (u64)a | 3;
	__asm__ volatile("invlpg (%0)" : : "r"(VIRTUAL) : "memory");
	seen = *(volatile u64 *)(VIRTUAL + 8);
	guest_call(2);
	guest_pt[0] = guest_pt[2];
	cpu_write_cr3(cpu_read_cr3());
	seen = *(volatile u64 *)(VIRTUAL + 8);
	guest_call(3);
	seen = *(volatile u64 *)(VIRTUAL + 8); /* after L1's INVVPID */
	guest_call(4);
}

static void own_tables(struct vmxt *t)
{
	u64 *pml4 = page_alloc(1, PAGE_SIZE), *pdpt = page_alloc(1, PAGE_SIZE);
	u64 *pd = page_alloc(1, PAGE_SIZE);

	guest_pt = page_alloc(1, PAGE_SIZE);
	memcpy(pml4, (void *)(cpu_read_cr3() & PAGE_MASK), PAGE_SIZE);
	pml4[1] = (u64)pdpt | 3;
	pdpt[0] = (u64)pd | 3;
	pd[0] = (u64)guest_pt | 3;
	guest_pt[0] = (u64)probe_page(1) | 3;
	guest_pt[1] = (u64)probe_page(2) | 3;
	guest_pt[2] = (u64)probe_page(3) | 3;
	vmxt_prepare(t, guest_invlpg);
	if (vmxt_control(t, VMX_PROC2, PROC2_VPID))
		vmwrite(VMCS_VPID, 7);
	vmwrite(VMCS_GUEST_CR3, (u64)pml4);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, 1);
	EXPECT_CALL(t, 2);
	CHECK_EQ(seen, 2);
	EXPECT_CALL(t, 3);
	CHECK_EQ(seen, 3);
	guest_pt[0] = guest_pt[1];
	vmx_invvpid(&t->caps, 7);
	EXPECT_CALL(t, 4);
	CHECK_EQ(seen, 2);
	CHECK_EQ(guest_pt[0] & 0x60, 0x20); /* accessed, not dirty */
}

const struct vmxt_case vmxt_ept_cases[] = {
	{"ept: violations", violations},
	{"ept: demand", demand},
	{"ept: misconfiguration", misconfiguration},
	{"ept: INVEPT", invept_flushes},
	{"ept: violation in the guest's page walk", walk_violation},
	{"ept: violation in event delivery", vectoring},
	{"ept: accessed and dirty flags", accessed_dirty},
	{"ept: 5 levels", five_levels},
	{"ept: the guest's own tables and VPID", own_tables},
	{NULL, NULL},
};
