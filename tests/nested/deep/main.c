/*
 * A VMM that gives its guest VMX, so that the guest runs a guest: levels 1, 2 and 3 in a few pages.
 * None
 * of the address spaces is mapped one to one: the L2's memory is a window of this program's, the
 * L3's physical pages lie backwards in the L2's, and its linear pages are two pages above its
 * physical ones.
 *
 * It knows only what its own L2 does (levels.S). Command line: n=N ends after N exits of the L3,
 * bad=N lets the L2 enter with a bad VMCS after N.
 */
#include "tests/nested/deep/deep.h"
#include "tests/nested/vmxt.h"

extern const u8 l2_blob[], l2_blob_end[], l3_blob[], l3_blob_end[];

#define WINDOW_BYTES PAGE_SIZE_2M
#define ADDRESS 0x000ffffffffff000ull

/* What the L2 wrote into its VMCS, by VMWRITE. */
static struct {
	u64 host_rip, cr3, rsp, eptp, rip;
} wanted;

static struct vmxt the_test;
static u8 *window;
static u64 l3_exits, l2_vmcs, l3_vmcs;
static struct l2_regs l3_regs;
static bool l3_launched;

static u64 *l2_entry(u64 l2_gpa)
{
	if (l2_gpa >= WINDOW_BYTES)
		con_die("the L2 names memory that it has not: 0x%lx", l2_gpa);
	return (u64 *)(window + l2_gpa);
}

static u64 option(const char *cmdline, const char *name, u64 v)
{
	size_t n = strlen(name);

	for (const char *p = cmdline; *p; p++)
		if ((p == cmdline || p[-1] == ' ') && !strncmp(p, name, n)) {
			v = 0;
			for (p += n; *p >= '0' && *p <= '9'; p++)
				v = v * 10 + (u64)(*p - '0');
			break;
		}
	return v;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void fill_l2(const char *cmdline)
{
	u64 *pml4 = l2_entry(L2_TABLES), *ept = l2_entry(L3_EPT), *pt = ept + 3 * 512;

	pml4[0] = (L2_TABLES + 0x1000) | 7;
	pml4[512] = (L2_TABLES + 0x2000) | 7;
	pml4[1024] = 0x87;
	memcpy(window + L2_CODE, l2_blob, (u64)(l2_blob_end - l2_blob));
	*l2_entry(L2_BAD_AT) = option(cmdline, "bad=", 0);
	for (u64 i = 0; i < 3; i++)
		ept[i * 512] = (L3_EPT + (i + 1) * PAGE_SIZE) | EPT_ENTRY_RWX;
	for (u64 i = 0; i < L3_PAGES; i++)
		pt[i] = (L2_OF_L3 + (L3_PAGES - 1 - i) * PAGE_SIZE) | EPT_ENTRY_RWX | EPT_ENTRY_WB;
}

static u8 *l3_page(u64 l3_gpa)
{
	return window + L2_OF_L3 + (L3_PAGES - 1 - l3_gpa / PAGE_SIZE) * PAGE_SIZE;
}

static void fill_l3(void)
{
	u64 *table[4];

	for (u64 i = 0; i < 4; i++) {
		table[i] = (u64 *)l3_page(L3_TABLES + i * PAGE_SIZE);
		if (i)
			table[i - 1][0] = (L3_TABLES + i * PAGE_SIZE) | 7;
	}
	for (u64 i = 0; i < L3_PAGES; i++)
		table[3][i + L3_SHIFT / PAGE_SIZE] = i * PAGE_SIZE | 7;
	memcpy(l3_page(L3_PHYSICAL_CODE), l3_blob, (u64)(l3_blob_end - l3_blob));
}

/* Of @pages pages from guest-physical 0. */
static u64 make_ept(u8 *(*page)(u64 gpa), u64 pages)
{
	u64 *t[4];

	for (u64 i = 0; i < 4; i++) {
		t[i] = page_alloc(1, PAGE_SIZE);
		if (i)
			t[i - 1][0] = (u64)t[i] | EPT_ENTRY_RWX;
	}
	for (u64 i = 0; i < pages; i++)
		t[3][i] = (u64)page(i * PAGE_SIZE) | EPT_ENTRY_RWX | EPT_ENTRY_WB;
	return (u64)t[0] | EPTP_WALK_4 | EPTP_TYPE_WB;
}

static u8 *l2_page(u64 gpa)
{
	return window + gpa;
}

/* By the tables that the L2 made. */
static u8 *l3_page_by_ept(u64 gpa)
{
	u64 at = wanted.eptp;

	for (u32 shift = 39; shift >= 12; shift -= 9)
		at = l2_entry(at & ADDRESS)[gpa >> shift & 511];
	return window + (at & ADDRESS);
}

/* --- VMCSs ------------------------------------------------------------------------------------ */

/* A 64-bit guest with its own tables in the VMCS at @vmcs, which becomes current. */
static void prepare(struct vmxt *t, u64 vmcs, u64 eptp, u64 cr3, u64 rip, u64 rsp)
{
	t->vmcs = vmcs;
	vmxt_prepare(t, (vmxt_guest_fn)rip);
	vmxt_control(t, VMX_PROC2, PROC2_EPT);
	vmwrite(VMCS_EPT_POINTER, eptp);
	vmwrite(VMCS_GUEST_CR3, cr3);
	vmwrite(VMCS_GUEST_RSP, rsp);
}

static void run_l3(struct vmxt *t)
{
	static bool prepared;

	if (!prepared)
		prepare(t, l3_vmcs, make_ept(l3_page_by_ept, L3_PAGES), wanted.cr3, wanted.rip,
			wanted.rsp);
	else
		vmx_vmptrld((void *)l3_vmcs);
	if (prepared && wanted.rip != L3_CODE)
		vmwrite(VMCS_GUEST_RIP, wanted.rip); /* the bad one */
	prepared = true;
	t->regs = l3_regs;
	t->launched = l3_launched;
	vmxt_enter(t);
	if (t->entry_flags)
		con_die("the L3 is not entered: error %u", vmxt_error());
	l3_regs = t->regs;
	l3_launched = t->launched;
	if (t->reason == (EXIT_REASON_INVALID_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE)) {
		con_printf("the L3's entry failed after %lu exits\n", l3_exits);
		con_exit(0);
	}
	if (t->reason != EXIT_REASON_VMCALL)
		con_die("exit %u of the L3", t->reason);
	l3_exits++;
	vmxt_step_over();
	vmx_vmptrld((void *)l2_vmcs);
	vmwrite(VMCS_GUEST_RIP, wanted.host_rip);
}

static void l2_vmwrite(u64 field, u64 value)
{
	switch (field) {
	case VMCS_HOST_RIP: wanted.host_rip = value; break;
	case VMCS_GUEST_CR3: wanted.cr3 = value; break;
	case VMCS_GUEST_RSP: wanted.rsp = value; break;
	case VMCS_GUEST_RIP: wanted.rip = value; break;
	case VMCS_EPT_POINTER: wanted.eptp = value; break;
	default: con_die("the L2 writes field 0x%lx", field);
	}
}

void child_main(u64 info, u64 magic)
{
	static struct boot_info boot;
	struct vmxt *t = &the_test;
	struct l2_regs l2_regs = {0};
	bool l2_launched = false;
	u64 n;

	vmxt_begin(t, &boot, info, magic);
	vmx_need_ept(&t->caps);
	n = option(boot.cmdline, "n=", 1000);
	window = page_alloc(WINDOW_BYTES / PAGE_SIZE, PAGE_SIZE_2M);
	l2_vmcs = t->vmcs;
	l3_vmcs = t->other_vmcs;
	fill_l2(boot.cmdline);
	fill_l3();
	prepare(t, l2_vmcs, make_ept(l2_page, 512), L2_TABLES, L2_CODE, L2_STACK);
	while (l3_exits < n) {
		t->regs = l2_regs;
		t->launched = l2_launched;
		vmxt_enter(t);
		l2_regs = t->regs;
		l2_launched = t->launched;
		if (t->entry_flags)
			con_die("the L2 is not entered: error %u", vmxt_error());
		switch (t->reason) {
		case EXIT_REASON_VMXON:
		case EXIT_REASON_VMCLEAR:
		case EXIT_REASON_VMPTRLD: vmxt_step_over(); break;
		case EXIT_REASON_VMWRITE:
			l2_vmwrite(l2_regs.rdx, l2_regs.rax);
			vmxt_step_over();
			break;
		case EXIT_REASON_VMLAUNCH:
		case EXIT_REASON_VMRESUME: run_l3(t); break;
		default: con_die("exit %u of the L2", t->reason);
		}
	}
	con_printf("%lu exits of the L3, the L2 saw %lu, the L3 counts %lu\n", l3_exits,
		   *l2_entry(L2_COUNT), *(u64 *)l3_page(L3_PHYSICAL_CELL));
	con_exit(*(u64 *)l3_page(L3_PHYSICAL_CELL) != l3_exits);
}
