/*
 * The child VMM: start, run loop, summary.
 */
#include "l1-child/boot/boot.h"
#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"
#include "l1-child/vmm/clock.h"
#include "l1-child/vmm/irq.h"
#include "l1-child/vmm/page.h"
#include "l1-child/vmm/vmm.h"
#include "l1-child/vmm/vtimer.h"

static struct vmm the_vmm;

#define STATUS_OK 0
#define STATUS_CRASH 2 /* an L2 stopped by a fault */
#define LONG_SLICE 32u /* slices */

static void on_timer(void *arg)
{
	vtimer_run(arg);
}

static void create_guests(struct vmm *vm)
{
	struct l2_setup setup = {&vm->caps, &vm->config, 0, page_alloc(IO_BITMAP_PAGES, PAGE_SIZE)};

	memset(setup.io_bitmaps, 0xff, IO_BITMAP_PAGES * PAGE_SIZE);
	for (unsigned int i = 0; i < vm->config.guests; i++) {
		struct l2 *g = &vm->l2[i];

		setup.number = i;
		l2_create(g, &setup);
		vm->current = g;
		g->state = L2_HALTED;
		/* At the start each goes behind the one before it, whatever the rule for waking. */
		g->state = L2_RUNNABLE;
		vm->sched.queue[vm->sched.count++] = g;
	}
	vm->alive = vm->config.guests;
}

void vmm_stop_l2(struct vmm *vm, struct l2 *g, u32 code, bool crashed)
{
	sched_remove(&vm->sched, g, L2_STOPPED);
	g->exit_code = code;
	g->crashed = crashed;
	vm->alive--;
}

static void switch_to(struct vmm *vm, struct l2 *g)
{
	if (vm->current != g) {
		if (vm->current)
			vm->current->cr2 = cpu_read_cr2();
		cpu_write_cr2(g->cr2);
		vmx_vmptrld(g->vmcs);
		vm->current = g;
	}
	g->dispatches++;
}

/* The timer's interrupt, if it is due: now, or as soon as the L2 can take it. */
static void inject_tick(struct l2 *g)
{
	if (vmread(VMCS_VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID)
		goto later; /* another event goes first */
	if (!(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) || vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO))
		goto later;
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
		INTR_INFO_VALID | INTR_INFO_OF(INTR_TYPE_EXTERNAL) | g->vector);
	g->tick_pending = false;
	g->ticks_injected++;
	return;
later:
	if (!(g->proc_controls & PROC_INTERRUPT_WINDOW)) {
		g->proc_controls |= PROC_INTERRUPT_WINDOW;
		vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL, g->proc_controls);
	}
}

/* A guest that need not take turns is not stopped for that, only to look at the time. */
static u32 slice_counts(const struct vmm *vm, const struct l2 *g)
{
	return sched_has_turns(&vm->sched, g) || g->slice_counts > ~0u / LONG_SLICE
		       ? g->slice_counts
		       : g->slice_counts * LONG_SLICE;
}

static void run_once(struct vmm *vm, struct l2 *g)
{
	u64 entered;
	u32 reason;

	if (g->fresh_slice || !vm->caps.has_save_timer) {
		g->fresh_slice = false;
		vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, slice_counts(vm, g));
	}
	if (g->tick_pending)
		inject_tick(g);
	entered = cpu_tsc();
	reason = l2_enter(g);
	g->cpu_tsc += cpu_tsc() - entered;
	exit_handle(vm, g, reason);
}

static void run(struct vmm *vm)
{
	struct l2 *g, *last = NULL;
	u64 halted;

	while (vm->alive && (!vm->end_tsc || cpu_tsc() < vm->end_tsc)) {
		g = sched_pick(&vm->sched);
		if (!g) {
			halted = cpu_tsc();
			irq_halt();
			vm->idle_tsc += cpu_tsc() - halted;
			last = NULL;
			continue;
		}
		if (g != last)
			switch_to(vm, g);
		last = g;
		run_once(vm, g);
	}
}

static u64 ms(u64 tsc)
{
	return clock_tsc_to_ns(tsc) / NS_PER_MS;
}

static void print_exits(const struct l2 *g)
{
	for (u32 r = 0; r < EXIT_REASON_COUNT; r++)
		if (g->exits[r])
			con_printf("%s:   %-10s %10lu  %s\n", "exits", g->config->name, g->exits[r],
				   l2_exit_name(r));
}

static bool summary(struct vmm *vm)
{
	u64 total = cpu_tsc() - vm->start_tsc;
	bool crashed = false;

	con_printf("%s: ran %lu ms, idle %lu ms\n", vm->config.name, ms(total), ms(vm->idle_tsc));
	for (unsigned int i = 0; i < vm->config.guests; i++) {
		const struct l2 *g = &vm->l2[i];

		con_printf("%s: guest %-10s runs %lu exits %lu cpu %lu ms ticks %lu/%lu jobs %u "
			   "misses %u late %u us faults %u work %lu%s\n",
			   vm->config.name, g->config->name, g->dispatches, g->exits_total,
			   ms(g->cpu_tsc), g->ticks_injected, g->ticks_due, g->shared->jobs,
			   g->shared->misses, g->shared->late_us, g->shared->faults,
			   g->shared->work,
			   g->crashed		    ? " CRASHED"
			   : g->state == L2_STOPPED ? " ended"
						    : "");
		if (vm->config.verbose)
			print_exits(g);
		crashed |= g->crashed || g->exit_code;
	}
	return !crashed;
}

void child_main(u64 info, u64 magic)
{
	struct vmm *vm = &the_vmm;
	struct boot_info boot;
	const struct config *c = &vm->config;

	con_init();
	boot_read(&boot, info, magic);
	config_parse(&vm->config, boot.cmdline);
	page_init(boot.memory_start, boot.memory_end);
	clock_init();
	irq_init(on_timer, vm);
	vmx_enable(&vm->caps);
	vmx_need_ept(&vm->caps);
	con_printf("%s: child VMM, %lu MiB, tsc %lu kHz (%s), sched=%s slice=%luus ack=%s ept=%s "
		   "vpid=%s, %u guests\n",
		   c->name, boot.memory_end / MIB, clock_hz() / 1000, clock_source(),
		   config_sched_name(c->sched), c->slice_ns / NS_PER_US,
		   c->ack_on_exit ? "on" : "off", config_ept_name(c->ept),
		   vm->caps.has_vpid && !c->no_vpid ? "on" : "off", c->guests);
	if (c->verbose)
		vmx_print(&vm->caps);
	if (!c->guests)
		con_die("no guest: give at least one guest=rt|batch|idle|procs|mixed|spin|cache");
	if (c->ept == EPT_2M && !(vm->caps.ept_vpid & EPT_CAP_2M))
		con_die("ept=2m: this processor's EPT has no 2 MiB pages");
	if (c->timer == TIMER_PIT)
		irq_use_pit();
	else
		irq_calibrate_timer();
	vm->sched.kind = c->sched;
	create_guests(vm);
	vm->start_tsc = cpu_tsc();
	if (c->run_ns)
		vm->end_tsc = vm->start_tsc + clock_ns_to_tsc(c->run_ns);
	vtimer_run(vm);
	run(vm);
	irq_timer_stop();
	vmm_end(vm, summary(vm) ? STATUS_OK : STATUS_CRASH);
}
