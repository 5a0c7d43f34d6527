#include "l0/machine_ops.h"

#include <stdio.h>

#include "l0/arch/ports.h"
#include "l0/dev/lapic.h"
#include "l0/host.h"
#include "l0/host_report.h"

#define UNCLAIMED_REPORTS_MAX 64u
#define DEVICE_REPORTS_MAX 64u

/* --- what devices ask of the machine: bus lock held, perhaps in mid-instruction --- */

static u64 bus_now_ns(void *machine)
{
	struct machine *m = machine;

	return worker_self				? worker_now(worker_self)
	       : m->host->clock.kind == CLOCK_KIND_HOST ? clock_host_ns(&m->host->clock)
							: 0;
}

static u32 bus_current_vp(void *machine)
{
	const struct vcpu *c = worker_self ? worker_self->vcpu : NULL;

	return c && c->machine == machine ? c->vp.id : 0;
}

static struct trace_ctx *bus_trace(void *machine, u32 vp)
{
	struct machine *m = machine;
	struct worker *w = worker_self;

	if (!w || vp >= m->nvcpus)
		return NULL;
	if (w->vcpu == &m->vcpu[vp])
		return &m->vcpu[vp].trace;
	w->about.vcpu_id = EVENT_VCPU_ID(m->id, vp);
	w->about.level = 1;
	return &w->about;
}

static void bus_deadline_changed(void *machine)
{
	if (!worker_self) { /* a thread that brings input: workers that idle look again */
		sched_kick(&((struct machine *)machine)->host->sched);
		return;
	}
	worker_self->horizon_moved = true;
	if (worker_self->vcpu)
		vp_request(&worker_self->vcpu->vp, VP_ATTN_REQUEST);
}

static void bus_set_intr(void *machine, u32 vp, bool level)
{
	struct machine *m = machine;
	struct vcpu *c = &m->vcpu[vp];

	if (!level) {
		vp_request_clear(&c->vp, VP_ATTN_INTR);
		return;
	}
	vp_request(&c->vp, VP_ATTN_INTR);
	worker_wake(m->host, c, WAKE_INTERRUPT, 0, bus_now_ns(machine));
}

static void bus_set_nmi(void *machine, u32 vp)
{
	struct machine *m = machine;

	vp_request_nmi(&m->vcpu[vp].vp);
	worker_wake(m->host, &m->vcpu[vp], WAKE_NMI, 2, bus_now_ns(machine));
}

static void bus_send_init(void *machine, u32 vp)
{
	struct machine *m = machine;

	vp_request_clear(&m->vcpu[vp].vp, VP_ATTN_SIPI); /* one that came before is lost */
	vp_request(&m->vcpu[vp].vp, VP_ATTN_INIT);
	worker_wake(m->host, &m->vcpu[vp], WAKE_INIT, 0, bus_now_ns(machine));
}

static void bus_send_sipi(void *machine, u32 vp, u8 vector)
{
	struct machine *m = machine;

	m->vcpu[vp].sipi_vector = vector;
	vp_request(&m->vcpu[vp].vp, VP_ATTN_SIPI);
	worker_wake(m->host, &m->vcpu[vp], WAKE_SIPI, vector, bus_now_ns(machine));
}

static void bus_reset_machine(void *machine, enum bus_reset_kind kind)
{
	struct machine *m = machine;

	if (kind == BUS_POWER_OFF) {
		machine_stop(m, STOP_SHUTDOWN, 0);
		return;
	}
	machine_want_reset(m, kind);
}

static void bus_debug_exit(void *machine, u32 value)
{
	machine_stop(machine, STOP_DEBUG_EXIT, (u64)value << 1 | 1);
}

/* Somebody stored to a frame that MONITOR named. */
void machine_ops_store_seen(void *machine, u64 gpa, u64 len)
{
	struct machine *m = machine;

	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the store, before the look at who waits */
	for (u32 i = 0; i < m->nvcpus; i++) {
		struct vp *vp = &m->vcpu[i].vp;

		if (!vp->ev.mwait || (vp->ev.monitor_gpa ^ gpa) & PAGE_MASK)
			continue;
		vp_request(vp, VP_ATTN_STORE);
		worker_wake(m->host, &m->vcpu[i], WAKE_MONITOR, 0, 0);
	}
}

static void bus_guest_deadline(void *machine, u32 value)
{
	struct vcpu *c = worker_self ? worker_self->vcpu : NULL;

	if (!c || c->machine != machine)
		return;
	TRANSITION(&c->trace, guest_deadline,
		   .kind = value >> DEADLINE_KIND_SHIFT & DEADLINE_KIND_MASK,
		   .guest = value >> DEADLINE_GUEST_SHIFT & DEADLINE_GUEST_MASK,
		   .count = value >> DEADLINE_COUNT_SHIFT, .child = track_active_child(&c->track));
	if (unlikely(c->machine->host->opts->report))
		host_report_deadline(c->machine, value);
}

static void bus_memory_changed(void *machine)
{
	vtlb_memory_changed(((struct machine *)machine)->vtlb);
}

static void bus_report_line(void *machine, const char *device, const char *text)
{
	struct machine *m = machine;

	if (m->device_reports++ >= DEVICE_REPORTS_MAX)
		return;
	if (worker_self && worker_self->vcpu)
		vp_vec_park(&worker_self->vcpu->vp);
	fprintf(stderr, "nestor: %s: %s: %s%s\n", m->desc->name, device, text,
		m->device_reports == DEVICE_REPORTS_MAX ? " (last report of this kind)" : "");
}

const struct machine_bus_ops machine_ops_bus = {
	.now_ns = bus_now_ns,
	.current_vp = bus_current_vp,
	.trace = bus_trace,
	.deadline_changed = bus_deadline_changed,
	.set_intr = bus_set_intr,
	.set_nmi = bus_set_nmi,
	.send_init = bus_send_init,
	.send_sipi = bus_send_sipi,
	.reset = bus_reset_machine,
	.debug_exit = bus_debug_exit,
	.guest_deadline = bus_guest_deadline,
	.cpu_changed = machine_cpu_changed,
	.memory_changed = bus_memory_changed,
	.report = bus_report_line,
};

/* --- what the engine asks --- */

static struct lapic *lapic_of(struct vp *vp)
{
	struct vcpu *c = vp->owner;

	return c->machine->bus.lapic[vp->id];
}

static int vp_intr_ack(struct vp *vp)
{
	return lapic_ack(lapic_of(vp));
}

static void vp_intr_eoi(struct vp *vp)
{
	lapic_eoi(lapic_of(vp));
}

static u64 vp_tsc(struct vp *vp)
{
	struct vcpu *c = vp->owner;

	return clock_tsc(&c->machine->host->clock, bus_now_ns(c->machine)) + c->nv.tsc_adjust;
}

static void vp_set_tpr(struct vp *vp, u8 tpr)
{
	lapic_set_tpr(lapic_of(vp), tpr);
}

static u8 vp_get_tpr(struct vp *vp)
{
	return lapic_get_tpr(lapic_of(vp));
}

static bool vp_trace_exec(struct vp *vp)
{
	struct vcpu *c = vp->owner;
	struct host *h = c->machine->host;

	if (h->exec_log) {
		vp_vec_park(vp);
		fprintf(h->exec_log, "%s/%u L%u %llu %04x:%016llx\n", c->machine->desc->name,
			vp->id, c->trace.level, (unsigned long long)vp->insns,
			vp->cpu.seg[SEG_CS].sel, (unsigned long long)vp->cpu.rip);
	}
	return !h->gdb || gdb_on_exec(h->gdb, vp);
}

static void vp_watch(struct vp *vp, u64 gva, u32 size, bool write)
{
	struct vcpu *c = vp->owner;

	gdb_on_access(c->machine->host->gdb, vp, gva, size, write);
}

static void vp_pmi(struct vp *vp)
{
	lapic_pmi(lapic_of(vp));
}

/* Code at CPL 0 has loaded RSP, or a base register. */
static void vp_stack_load(struct vp *vp, u32 how, u64 value, u64 prev)
{
	struct vcpu *c = vp->owner;
	struct track_stack s = {.how = how, .value = value};
	u64 link;

	if (!track_is_other_thread(&c->track, how, value, prev))
		return;
	s.is_user = how < THREAD_BY_FS && !engine_is_kernel_page(vp, value - 1);
	s.is_borrowed =
		how == THREAD_BY_REGISTER && engine_peek_word(vp, value, 8, &link) && link == prev;
	s.has_entry = engine_kernel_entry_stack(vp, &s.entry);
	track_stack(&c->track, &s);
}

const struct vp_ops machine_ops_vp = {
	.intr_ack = vp_intr_ack,
	.intr_eoi = vp_intr_eoi,
	.tsc = vp_tsc,
	.set_tpr = vp_set_tpr,
	.pmi = vp_pmi,
	.get_tpr = vp_get_tpr,
	.trace_exec = vp_trace_exec,
	.watch = vp_watch,
	.stack_load = vp_stack_load,
};

/* --- what the exit layer asks --- */

static bool hook_apic_read(struct vp *vp, u32 msr, u64 *value)
{
	return lapic_msr_read(lapic_of(vp), msr, value);
}

static bool hook_apic_write(struct vp *vp, u32 msr, u64 value)
{
	return lapic_msr_write(lapic_of(vp), msr, value);
}

static u64 hook_tsc_deadline_read(struct vp *vp)
{
	return lapic_get_tsc_deadline(lapic_of(vp));
}

static void hook_tsc_deadline_write(struct vp *vp, u64 value)
{
	lapic_set_tsc_deadline(lapic_of(vp), value);
}

static void hook_tsc_adjusted(struct vp *vp)
{
	struct vcpu *c = vp->owner;

	lapic_set_tsc_adjust(lapic_of(vp), c->nv.tsc_adjust);
}

static void hook_init_signal(struct vp *vp)
{
	struct vcpu *c = vp->owner;

	engine_reset(vp, true);
	exit_vp_reset(vp, &c->nv, true);
	lapic_init(lapic_of(vp));
	vp->cpu.activity = vp->id == 0 ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_SIPI;
	if (c->machine->rom)
		vp->cpu.seg[SEG_CS].base = FIRMWARE_RESET_BASE;
	engine_state_changed(vp);
}

static u8 hook_sipi_vector(struct vp *vp)
{
	const struct vcpu *c = vp->owner;

	return (u8)c->sipi_vector;
}

/* One line for each MSR of a machine, whichever of its processors touches it first. */
static void hook_unknown_msr(struct vp *vp, u32 msr, bool write, u64 value)
{
	struct vcpu *c = vp->owner;
	struct machine *m = c->machine;
	char name[SYMBOLS_NAME_BYTES];
	bool known = false;

	bus_lock(&m->bus);
	for (u32 i = 0; i < m->msr_reports; i++)
		known |= m->reported_msr[i] == msr;
	if (m->msr_reports == MACHINE_MSR_REPORTS)
		known = true;
	else if (!known)
		m->reported_msr[m->msr_reports++] = msr;
	bool last = m->msr_reports == MACHINE_MSR_REPORTS;
	bus_unlock(&m->bus);
	if (known)
		return;
	const char *symbol = vp->in_l2 ? NULL : machine_symbol(m, vp->cpu.rip, name);

	fprintf(stderr, "nestor: %s: %s MSR %#x", m->desc->name, write ? "write to" : "read from",
		msr);
	if (write)
		fprintf(stderr, " (%#llx)", (unsigned long long)value);
	fprintf(stderr, ", rip %#llx%s%s: there is none, #GP%s\n", (unsigned long long)vp->cpu.rip,
		symbol ? " in " : "", symbol ? symbol : "",
		last ? " (last report of this kind)" : "");
}

/* Once for a machine: a counter of that reads as one of an event that never happens. */
static void hook_uncounted_event(struct vp *vp, u32 event)
{
	struct machine *m = ((struct vcpu *)vp->owner)->machine;

	if (!__atomic_exchange_n(&m->told_uncounted, true, __ATOMIC_RELAXED))
		fprintf(stderr,
			"nestor: %s: performance event %#x is not counted and reads as 0; others "
			"that are not are not told\n",
			m->desc->name, event);
}

static bool hook_declare(struct vp *vp, u64 vmcs, u64 period_ns, u64 budget_ns)
{
	struct vcpu *c = vp->owner;
	u32 entity = track_vcpu_of(c->machine->track, vmcs);

	if (entity == EVENT_NO_ID ||
	    !sched_declare(&c->machine->host->sched, &c->sched, entity, period_ns, budget_ns))
		return false;
	TRANSITION(&c->trace, declared, .entity = entity, .period_ns = period_ns,
		   .budget_ns = budget_ns);
	return true;
}

const struct exit_hooks machine_ops_exit = {
	.apic_msr_read = hook_apic_read,
	.apic_msr_write = hook_apic_write,
	.tsc_deadline_read = hook_tsc_deadline_read,
	.tsc_deadline_write = hook_tsc_deadline_write,
	.tsc_adjusted = hook_tsc_adjusted,
	.init_signal = hook_init_signal,
	.sipi_vector = hook_sipi_vector,
	.unknown_msr = hook_unknown_msr,
	.uncounted_event = hook_uncounted_event,
	.declare = hook_declare,
};

/* --- what memory and the virtual TLB report --- */

void machine_ops_unclaimed(void *machine, bool port, bool write, u64 addr, u64 value,
			   unsigned int size)
{
	struct machine *m = machine;
	const struct vcpu *c = worker_self ? worker_self->vcpu : NULL;
	char name[SYMBOLS_NAME_BYTES];
	const char *symbol = NULL;

	if (__atomic_load_n(&m->unclaimed_reports, __ATOMIC_RELAXED) >= UNCLAIMED_REPORTS_MAX)
		return;
	u32 n = __atomic_add_fetch(&m->unclaimed_reports, 1, __ATOMIC_RELAXED);

	if (n > UNCLAIMED_REPORTS_MAX)
		return;
	if (c)
		vp_vec_park((struct vp *)&c->vp);
	if (c && c->machine == m && !c->vp.in_l2)
		symbol = machine_symbol(m, c->vp.cpu.rip, name);
	fprintf(stderr,
		"nestor: %s: %s of %u bytes %s %s %#llx%s, rip %#llx%s%s: nothing is there%s\n",
		m->desc->name, write ? "write" : "read", size, write ? "to" : "from",
		port ? "port" : "physical address", (unsigned long long)addr,
		write ? "" : " gives all ones",
		(unsigned long long)(c && c->machine == m ? c->vp.cpu.rip : 0),
		symbol ? " in " : "", symbol ? symbol : "",
		n == UNCLAIMED_REPORTS_MAX ? " (last report of this kind)" : "");
	(void)value;
}

struct vtlb_vp *machine_ops_running_tlb(void *machine)
{
	struct vcpu *c = worker_self ? worker_self->vcpu : NULL;

	return c && c->machine == machine ? &c->vp.tlb : NULL;
}

void machine_ops_stale(void *machine, const struct vtlb_stale_report *r)
{
	if (worker_self && worker_self->vcpu)
		vp_vec_park(&worker_self->vcpu->vp);
	machine_report_stale(machine, r);
}
