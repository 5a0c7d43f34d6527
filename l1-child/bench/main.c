/*
 * rtbench: how fast an L2's exit goes to L1 and back. An image of its own, from the child VMM's
 * parts: one L2 that does nothing but CPUID or VMCALL, and an exit path of a few instructions.
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
};

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
	if (!found)
		con_die("bench= takes cpuid or vmcall");
	con_exit(0);
}
