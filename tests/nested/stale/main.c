/*
 * Invalidations that a hypervisor remembers, does not need, and forgets: for --detect-stale and
 * --tlb=adversarial (tests/e2e/stale_test.sh). Says what its guest read; whatever the virtual TLB
 * keeps, it passes.
 */
#include "tests/guests/stale.h"
#include "tests/nested/probe.h"

#define OLD 'o'
#define NEW 'n'
#define VPID 5u
#define VA_SLOT 64ull /* of the top table; the harness uses the first */
#define VA (VA_SLOT << 39)
#define PTE 3ull

static struct vmxt test;
static volatile u32 seen;
static u64 *own_pt; /* last level over VA */
static u8 *own_frames[2];

static void say(void)
{
	SAY(con_printf, "it reads", seen);
}

static void reads_probe(void)
{
	for (;;) {
		seen = READ_AT(use_ept, PROBE);
		guest_call(1);
	}
}

static void reads_own(void)
{
	for (;;) {
		seen = READ_AT(use_vpid, VA);
		guest_call(1);
	}
}

static void changes_own(void)
{
	seen = *(volatile u8 *)VA;
	CHANGE_AT(change_inside, own_pt, (u64)own_frames[1] | PTE);
	seen = READ_AT(use_inside, VA);
	guest_call(1);
	__asm__ volatile("invlpg (%0)" : : "r"(VA) : "memory");
	guest_call(2);
}

static u64 frame(u8 value)
{
	u8 *p = page_alloc(1, PAGE_SIZE);

	*p = value;
	return (u64)p;
}

static u64 ept_entry(u64 frame)
{
	return frame | EPT_ENTRY_WB | EPT_ENTRY_RWX;
}

/* Tables of its own for the guest, which see everything that ours see, and VA. */
static void own_tables(void)
{
	u64 *top = page_alloc(1, PAGE_SIZE), *pdpt = page_alloc(1, PAGE_SIZE),
	    *pd = page_alloc(1, PAGE_SIZE);

	memcpy(top, (void *)(cpu_read_cr3() & PAGE_MASK), PAGE_SIZE);
	own_pt = page_alloc(1, PAGE_SIZE);
	for (u32 i = 0; i < 2; i++)
		own_frames[i] = (u8 *)frame(i ? NEW : OLD);
	top[VA_SLOT] = (u64)pdpt | PTE;
	pdpt[0] = (u64)pd | PTE;
	pd[0] = (u64)own_pt | PTE;
	own_pt[0] = (u64)own_frames[0] | PTE;
	vmwrite(VMCS_GUEST_CR3, (u64)top);
}

/* Without one, entries and exits flush. */
static bool give_vpid(struct vmxt *t)
{
	if (!vmxt_control(t, VMX_PROC2, PROC2_VPID)) {
		vmxt_skip("no VPID");
		return false;
	}
	vmwrite(VMCS_VPID, VPID);
	vmx_invvpid(&t->caps, VPID);
	return true;
}

/* ept12 changes: with INVEPT, as a relaxation, without. */
static void ept(struct vmxt *t)
{
	u64 old = frame(OLD), new = frame(NEW);

	if (!probe_setup(t, reads_probe) || !give_vpid(t))
		return;
	con_printf("invept remembered\n");
	probe_pt[0] = ept_entry(old);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, OLD);
	probe_pt[0] = ept_entry(new);
	vmx_invept_all(&t->caps);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, NEW);
	con_printf("relaxed\n");
	probe_pt[0] = (old | EPT_ENTRY_WB | EPT_ENTRY_READ);
	vmx_invept_all(&t->caps);
	EXPECT_CALL(t, 1);
	probe_pt[0] = ept_entry(old);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, OLD);
	spend_time();
	con_printf("invept forgotten\n");
	CHANGE_AT(change_ept, probe_pt, ept_entry(new));
	EXPECT_CALL(t, 1);
	say();
	spend_time();
	vmx_invept_all(&t->caps);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, NEW);
}

/* A hypervisor that writes the tables of its guest, which has a VPID. */
static void vpid(struct vmxt *t)
{
	vmxt_prepare(t, reads_own);
	if (!give_vpid(t))
		return;
	own_tables();
	con_printf("invvpid remembered\n");
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, OLD);
	own_pt[0] = (u64)own_frames[1] | PTE;
	vmx_invvpid(&t->caps, VPID);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, NEW);
	own_pt[0] = (u64)own_frames[0] | PTE;
	vmx_invvpid(&t->caps, VPID);
	EXPECT_CALL(t, 1);
	spend_time();
	con_printf("invvpid forgotten\n");
	CHANGE_AT(change_vpid, own_pt, (u64)own_frames[1] | PTE);
	EXPECT_CALL(t, 1);
	say();
	spend_time();
	vmx_invvpid(&t->caps, VPID);
	EXPECT_CALL(t, 1);
	CHECK_EQ(seen, NEW);
}

/* The guest forgets an INVLPG of its own, under EPT. */
static void inside(struct vmxt *t)
{
	vmxt_prepare(t, changes_own);
	NEED(vmxt_identity_ept(t), "no EPT");
	if (!give_vpid(t))
		return;
	own_tables();
	con_printf("invlpg forgotten inside\n");
	EXPECT_CALL(t, 1);
	say();
	spend_time();
	EXPECT_CALL(t, 2);
}

void child_main(u64 info, u64 magic)
{
	static const struct vmxt_case cases[] = {{"ept", ept}, {"vpid", vpid}, {"inside", inside}};
	struct boot_info boot;
	const char *why;
	bool ok = true;

	vmxt_begin(&test, &boot, info, magic);
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		ok &= vmxt_run_case(&test, &cases[i], &why) == VMXT_PASSED;
	con_exit(!ok);
}
