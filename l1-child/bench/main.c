/*
 * rtbench: how fast an L2's exit goes to L1 and back, and how long what L1 asks its own hypervisor
 * for takes. An image of its own, from the child VMM's parts: one L2 that does nothing but CPUID or
 * VMCALL, and an exit path of a few instructions; or a loop of L1 without L2.
 */
#include "l1-child/boot/boot.h"
#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"
#include "l1-child/vmm/clock.h"
#include "l1-child/vmm/irq.h"
#include "l1-child/vmm/l2.h"
#include "l1-child/vmm/page.h"

u64 roundtrip_run(u64 n);
void roundtrip_work(u64 n, void *memory);
extern u8 roundtrip_exited[];

static struct config config;
static struct vmx_caps caps;
static struct l2 guest;

static const struct {
	const char *name;
	u32 reason;
} benches[] = {
	{"cpuid", EXIT_REASON_CPUID},
	{"vmcall", EXIT_REASON_VMCALL},
	{"work", EXIT_REASON_VMCALL}, /* of the L2, which tells of each turn */
};

/* ---- what L1 does itself ---- */

#define APIC_LVT_TIMER_AT 0xfee00320ul
#define APIC_EOI_AT 0xfee000b0ul
#define LVT_TSC_DEADLINE_MASKED (1u << 18 | 1u << 16)

static void do_cpuid(u64 n)
{
	u32 out[4];

	while (n--)
		__asm__ volatile("cpuid"
				 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
				 : "a"(1), "c"(0)
				 : "memory");
}

static void do_deadline(u64 n)
{
	*(volatile u32 *)APIC_LVT_TIMER_AT = LVT_TSC_DEADLINE_MASKED;
	while (n--)
		cpu_wrmsr(MSR_IA32_TSC_DEADLINE, ~0ull >> 1);
	cpu_wrmsr(MSR_IA32_TSC_DEADLINE, 0);
}

static void do_eoi(u64 n)
{
	while (n--)
		*(volatile u32 *)APIC_EOI_AT = 0;
}

/* What the L2 of "work" does in each turn. */
static void do_work(u64 n)
{
	roundtrip_work(n, page_alloc(4, PAGE_SIZE));
}

/* The last one: nothing leads straight back to xAPIC mode. */
static void do_x2apic_eoi(u64 n)
{
	cpu_wrmsr(MSR_IA32_APIC_BASE, cpu_rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	while (n--)
		cpu_wrmsr(MSR_X2APIC_EOI, 0);
}

static const struct {
	const char *name;
	void (*fn)(u64 n);
} events[] = {
	{"l1-cpuid", do_cpuid}, {"l1-deadline", do_deadline},	  {"l1-eoi", do_eoi},
	{"l1-work", do_work},	{"l1-x2apic-eoi", do_x2apic_eoi},
};

static void run_event(const char *name, void (*fn)(u64 n), u64 n)
{
	u64 start = cpu_tsc();

	fn(n);
	con_printf("rtbench: %s: %lu times, %lu tsc ticks\n", name, n, cpu_tsc() - start);
}

static void no_timer(void *arg)
{
	(void)arg;
}

/* The one L2; exits go to the short path, and nothing but its own instruction makes it exit. */
static void prepare(const char *kind)
{
	struct l2_setup setup = {&caps, &config, 0, page_alloc(IO_BITMAP_PAGES, PAGE_SIZE)};
	struct guest_config *g = &config.guest[0];

	config.guests = 1;
	*g = (struct guest_config){.bits = 64, .ram_bytes = 4 * MIB};
	memcpy(g->kind, kind, strlen(kind) + 1);
	memcpy(g->name, kind, strlen(kind) + 1);
	l2_create(&guest, &setup);
	vmwrite(VMCS_PIN_BASED_VM_EXEC_CONTROL, vmx_adjust(&caps, VMX_PIN, PIN_NMI));
	vmwrite(VMCS_VM_EXIT_CONTROLS,
		vmx_adjust(&caps, VMX_EXIT, EXIT_CTL_HOST_64 | EXIT_CTL_LOAD_EFER));
	vmwrite(VMCS_HOST_RIP, (u64)roundtrip_exited);
}

static void run(const char *kind, u32 reason, u64 n)
{
	u64 start, ticks, flags;

	prepare(kind);
	start = cpu_tsc();
	flags = roundtrip_run(n);
	ticks = cpu_tsc() - start;
	if (flags)
		con_die("%s: VM entry failed: %s", kind,
			vmx_error_name((u32)vmread(VMCS_VM_INSTRUCTION_ERROR)));
	if ((u32)vmread(VMCS_VM_EXIT_REASON) != reason)
		con_die("%s: exit reason 0x%x (%s) came instead", kind,
			(u32)vmread(VMCS_VM_EXIT_REASON),
			l2_exit_name((u32)vmread(VMCS_VM_EXIT_REASON)));
	con_printf("rtbench: %s: %lu round trips, %lu tsc ticks, %lu ns, %lu a second\n", kind, n,
		   ticks, clock_tsc_to_ns(ticks), ticks ? mul_div(n, clock_hz(), ticks) : 0);
}

void child_main(u64 info, u64 magic)
{
	struct boot_info boot;
	bool found = false;

	con_init();
	boot_read(&boot, info, magic);
	config_parse(&config, boot.cmdline);
	page_init(boot.memory_start, boot.memory_end);
	clock_init();
	irq_init(no_timer, NULL);
	vmx_enable(&caps);
	vmx_need_ept(&caps);
	for (u32 i = 0; i < ARRAY_SIZE(benches); i++)
		if (!config.bench[0] || !strcmp(config.bench, benches[i].name)) {
			run(benches[i].name, benches[i].reason, config.bench_count);
			found = true;
		}
	for (u32 i = 0; i < ARRAY_SIZE(events); i++)
		if (!config.bench[0] || !strcmp(config.bench, events[i].name)) {
			run_event(events[i].name, events[i].fn, config.bench_count);
			found = true;
		}
	if (!found)
		con_die("bench= takes cpuid, vmcall, work, l1-cpuid, l1-deadline, l1-eoi, l1-work "
			"or l1-x2apic-eoi");
	con_exit(0);
}
