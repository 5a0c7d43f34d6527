/*
 * CPU hot-plug, seen from inside; for --cpus 2 --cpu-hotplug 20ms-1,40ms+1. The second processor
 * works in VMX operation, where INIT does not reach it. When the first is asked to let it go it
 * ejects it: it does nothing any more, and no start-up interrupt brings it back. When it is plugged
 * again it starts as after power-up.
 */
#include "l0/arch/ports.h"
#include "tests/guests/smp64.h"

#define STATUS_PRESENT 1
#define STATUS_INSERTED 2
#define STATUS_REMOVING 4
#define CONTROL_EJECT 8
#define MSR_FEATURE_CONTROL 0x3au
#define LIMIT 100000000ul
#define LONG 10000000000ul /* ticks: several seconds */
#define SHORT 5000000ul	   /* more than a slice of 1 ms */

static volatile u64 work;
static u8 vmxon_region[4096] __attribute__((aligned(4096)));

static void outl(u16 port, u32 v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "d"(port));
}

static void enter_vmx(void)
{
	u64 at = (u64)vmxon_region;
	u8 failed;

	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	*(u32 *)vmxon_region = (u32)rdmsr(MSR_IA32_VMX_BASIC);
	WRITE_CR(4, READ_CR(4) | CR4_VMXE);
	WRITE_CR(0, READ_CR(0) | CR0_NE);
	__asm__ volatile("vmxon %1; setbe %0" : "=qm"(failed) : "m"(at) : "memory", "cc");
	CHECK(!failed);
}

static void busy(void)
{
	for (;;)
		work++;
}

static u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* Within @ticks, which end early if so. */
static bool works(u64 ticks)
{
	u64 before = work, start = rdtsc();

	while (work == before && rdtsc() - start < ticks)
		__asm__ volatile("pause");
	return work != before;
}

/* Until processor 1 says @want; what it was first is in the message. */
static void await(u8 want)
{
	u8 is = 0;

	for (u64 i = 0; i < LIMIT; i++) {
		is = inb(PORT_CPU_HOTPLUG + CPU_HOTPLUG_FLAGS);
		if (is == want)
			break;
	}
	CHECK_EQ(is, want);
}

/* Until processor 1 does nothing. Its thread may be off the host's CPU when it is ejected, and work on for a moment. */
static void await_quiet(void)
{
	u64 start = rdtsc();
	u32 quiet = 0;

	while (quiet < 3 && rdtsc() - start < LONG)
		quiet = works(SHORT) ? 0 : quiet + 1;
	CHECK_EQ(quiet, 3);
}

int main(void)
{
	outl(PORT_CPU_HOTPLUG, 1);
	start_other();
	on_other(enter_vmx);
	ap_order = busy;
	while (!work)
		__asm__ volatile("pause");
	CHECK(works(LONG));
	wrmsr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	CHECK(works(LONG));
	await(STATUS_PRESENT | STATUS_REMOVING);
	CHECK(works(LONG));
	outb(PORT_CPU_HOTPLUG + CPU_HOTPLUG_FLAGS, STATUS_REMOVING | CONTROL_EJECT);
	CHECK_EQ(inb(PORT_CPU_HOTPLUG + CPU_HOTPLUG_FLAGS), 0);
	await_quiet();
	ap_ready = 0;
	wrmsr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	wrmsr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | AP_PAGE);
	for (volatile u32 i = 0; i < 100000; i++)
		;
	CHECK(!ap_ready);

	await(STATUS_PRESENT | STATUS_INSERTED);
	outb(PORT_CPU_HOTPLUG + CPU_HOTPLUG_FLAGS, STATUS_INSERTED);
	ap_order = NULL;
	start_other();
	on_other(enter_vmx); /* which succeeds: VMX operation was left */
	ap_order = busy;
	CHECK(works(LONG));
	finish();
}
