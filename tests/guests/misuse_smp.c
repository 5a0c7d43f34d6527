/*
 * VMCSs used as only another processor would punish: current on two processors, moved without
 * VMCLEAR, written in memory while active; then properly, so that nothing more is to be said. For
 * --cpus 2 and --explain (tests/nested/misuse_test.sh). Every VMPTRLD succeeds.
 */
#include "tests/guests/smp64.h"

#define MSR_FEATURE_CONTROL 0x3au
#define MSR_VMX_BASIC 0x480u

static u8 page[5][4096] __attribute__((aligned(4096)));
static volatile u64 ap_operand;
static volatile bool ap_ok;

#define VMX(insn, ptr) \
	({ \
		u64 vmx_ptr_ = (ptr); \
		bool vmx_ok_; \
		__asm__ volatile(insn " %1" : "=@cca"(vmx_ok_) : "m"(vmx_ptr_) : "memory", "cc"); \
		vmx_ok_; \
	})

static bool vmx_on(u64 region)
{
	u64 control = rdmsr(MSR_FEATURE_CONTROL), c0;

	if (!(control & 1))
		wrmsr(MSR_FEATURE_CONTROL, control | 5);
	__asm__ volatile("mov %%cr0, %0" : "=r"(c0));
	__asm__ volatile("mov %0, %%cr0" : : "r"(c0 | 0x20));		/* NE */
	__asm__ volatile("mov %0, %%cr4" : : "r"(READ_CR(4) | 0x2000)); /* VMXE */
	return VMX("vmxon", region);
}

static void other_on(void)
{
	ap_ok = vmx_on((u64)page[4]);
}
static void other_load(void)
{
	ap_ok = VMX("vmptrld", ap_operand);
}
static void other_clear(void)
{
	ap_ok = VMX("vmclear", ap_operand);
}

static bool other(void (*order)(void), const u8 *vmcs)
{
	ap_operand = (u64)vmcs;
	on_other(order);
	return ap_ok;
}

static bool load(const u8 *vmcs)
{
	return VMX("vmptrld", (u64)vmcs);
}

static bool clear(const u8 *vmcs)
{
	return VMX("vmclear", (u64)vmcs);
}

int main(void)
{
	u8 *a = page[0], *b = page[1], *c = page[2];

	for (u32 i = 0; i < 5; i++)
		*(u32 *)page[i] = (u32)rdmsr(MSR_VMX_BASIC);
	start_other();
	CHECK(other(other_on, NULL));
	CHECK(vmx_on((u64)page[3]));
	/* properly: nothing to say */
	CHECK(clear(a) && load(a) && clear(a));
	a[3000] = 1;
	CHECK(other(other_load, a) && other(other_clear, a));
	put("proper\n");
	CHECK(load(a));
	CHECK(other(other_load, a));
	put("active on two\n");
	CHECK(load(b) && other(other_load, c));
	CHECK(load(a));
	put("no vmclear\n");
	CHECK(load(b));
	for (u32 i = 64; i < 1024; i++)
		a[i] ^= 0x40;
	CHECK(load(a));
	put("memory written\n");
	finish();
}
