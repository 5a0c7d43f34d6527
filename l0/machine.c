#include "l0/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/arch/msr.h"
#include "l0/arch/ports.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/assert.h"
#include "l0/base/log.h"
#include "l0/base/mem_ops.h"
#include "l0/cmd/exit_codes.h"
#include "l0/dev/chardev.h"
#include "l0/dev/lapic.h"
#include "l0/dev/rom.h"
#include "l0/host.h"
#include "l0/jit/jit.h"
#include "shadow-vmcs/explain_record.h"

#define CODE_CACHE_BYTES (16 * MIB)
#define VTLB_BYTES (16 * MIB)
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
static void store_seen(void *machine, u64 gpa, u64 len)
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
		host_count_deadline(c->machine, value);
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

static const struct machine_bus_ops bus_ops = {
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

static const struct vp_ops vp_ops = {
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

static const struct exit_hooks exit_hooks = {
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

/* --- building --- */

static void report_unclaimed(void *arg, bool port, bool write, u64 addr, u64 value,
			     unsigned int size)
{
	struct machine *m = arg;
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

/* vtlb_config: for the detector of missing invalidations. */
static struct vtlb_vp *running_tlb(void *arg)
{
	struct vcpu *c = worker_self ? worker_self->vcpu : NULL;

	return c && c->machine == arg ? &c->vp.tlb : NULL;
}

static void report_stale(void *arg, const struct vtlb_stale_report *r)
{
	if (worker_self && worker_self->vcpu)
		vp_vec_park(&worker_self->vcpu->vp);
	machine_report_stale(arg, r);
}

static u64 vcpu_trace_now(struct trace_ctx *ctx)
{
	return worker_now(container_of(ctx->worker, struct worker, trace));
}

static int create_vcpu(struct machine *m, u32 i)
{
	struct vcpu *c = &m->vcpu[i];
	struct vp *vp = &c->vp;
	u32 id = EVENT_VCPU_ID(m->id, i);

	c->machine = m;
	vcpu_set_wake_ns(c, CLOCK_NEVER);
	trace_ctx_init(&c->trace, &m->host->hub, NULL, id, 1, vcpu_trace_now, c);
	track_vp_init(&c->track, m->track, &c->trace, id);
	vp->id = i;
	vp->mem = m->mem;
	vp->features = &m->profile.features;
	vp->ops = &vp_ops;
	vp->owner = c;
	vp->trace = &c->trace;
	vp->watch_stacks = m->desc->threads_by != MACHINE_THREADS_OFF;
	vp->tlb.trace = &c->trace;
	if (m->host->opts->fence[m->id].parts)
		c->track.fence = &m->host->opts->fence[m->id];
	int err = machine_create_counts(m, c);
	if (err)
		return err;
	err = vtlb_vp_init(m->vtlb, &vp->tlb, i);
	if (err)
		return err;
	vtlb_offline(&vp->tlb); /* until a worker takes it, which may be never */
	err = engine_vp_init(vp, CODE_CACHE_BYTES);
	if (err)
		return err;
	err = machine_attach_tier(m, vp);
	if (err)
		return err;
	exit_vp_init(&c->nv, vp, &m->profile, &exit_hooks, &c->track, i);
	if (m->nvcpus > 1)
		exit_vp_detect_spin(&c->nv, vp);
	engine_reset(vp, false);
	exit_vp_reset(vp, &c->nv, false);
	c->nv.declares = m->desc->declares;
	exit_set_vmcs_shadowing(vp, &c->nv, !m->host->opts->no_vmcs_shadowing);
	if (m->records)
		exit_set_records(vp, &c->nv, m->records, id, m->host->opts->explain);
	c->sched.vcpu_id = id;
	c->sched.owner = c;
	c->sched.can_go = m->hotplug && i;
	c->sched.probe =
		(struct state_probe){&vp->n_softtlb_miss, &vp->n_code_misses, &vp->tlb.n_flush};
	/* a machine's weight is that of all its processors together */
	c->sched.reserve_ns = m->desc->reserve_ns / m->nvcpus;
	c->sched.reserve_period_ns = m->desc->reserve_period_ns;
	c->sched.weight =
		MAX((m->desc->weight ? m->desc->weight : SCHED_WEIGHT_DEFAULT) / m->nvcpus, 1u);
	return 0;
}

static bool has_part_off(const struct machine *m, enum vtlb_part part)
{
	return m->host->opts->vtlb_without >> part & 1;
}

static int create_parts(struct machine *m, int *status)
{
	int err;
	const struct machine_desc *d = m->desc;

	if (cpu_profile_init(&m->profile, d->cpu_model, m->nvcpus, m->host->clock.tsc_hz)) {
		fprintf(stderr, "nestor: %s: no processor model is called \"%s\"\n", d->name,
			d->cpu_model);
		*status = EXIT_CODE_USAGE;
		return -ENOENT;
	}
	m->profile.costs = (struct exit_costs){
#define EXIT_COST(NAME, member, ns, text) .member = m->host->opts->charge_ns[RUN_CHARGE_##NAME],
#include "l0/arch/costs.def"
#undef EXIT_COST
	};
	m->mem = mem_create(d->memory_bytes, &err);
	if (!m->mem)
		return err;
	mem_set_unclaimed(m->mem, report_unclaimed, m);
	struct vtlb_config cfg = {
		.max_bytes = m->host->opts->vtlb_memory ? m->host->opts->vtlb_memory : VTLB_BYTES,
		.max_vps = m->nvcpus,
		.maxphyaddr = m->profile.features.maxphyaddr,
		.has_1g_pages = m->profile.features.has_1g,
		.ept_caps = m->profile.caps.ept_vpid,
		.mode = m->host->opts->tlb == RUN_TLB_ADVERSARIAL ? 1
			: m->host->opts->tlb == RUN_TLB_STRICT	  ? 2
								  : 0,
		.audit = m->host->opts->tlb == RUN_TLB_AUDIT,
		.detect_stale = m->host->opts->detect_stale,
		.retain = !has_part_off(m, VTLB_PART_RETENTION),
		.refresh_walks = has_part_off(m, VTLB_PART_REFRESH) ? 0 : VTLB_REFRESH_WALKS,
		.one_lock = has_part_off(m, VTLB_PART_LOCK_FREE),
		.nodes = m->host->opts->vtlb_nodes,
		.share = !has_part_off(m, VTLB_PART_SHARING),
		.one_thread = m->host->clock.kind == CLOCK_KIND_VIRTUAL || m->host->nworkers == 1,
		.seed = m->host->opts->seed,
		.self = running_tlb,
		.stale = report_stale,
		.arg = m,
	};
	m->vtlb = vtlb_create(m->mem, &cfg, &err);
	if (!m->vtlb)
		return err;
	mem_set_monitored(m->mem, store_seen, m);
	m->track = track_create(m->id);
	if (m->host->opts->explain || m->host->opts->record || m->host->opts->view ||
	    m->host->opts->gdb_port) {
		m->records = vmcs_records_create(m->nvcpus);
		if (!m->records)
			return -ENOMEM;
	}
	m->vcpu = aligned_alloc(64, ALIGN_UP(sizeof(*m->vcpu) * m->nvcpus, 64));
	if (m->track)
		track_set_threads(m->track, (enum track_threads_by)m->desc->threads_by,
				  m->desc->stack_bytes);
	if (!m->track || !m->vcpu)
		return -ENOMEM;
	nm_set(m->vcpu, 0, sizeof(*m->vcpu) * m->nvcpus);
	err = machine_create_devices(m, &bus_ops, status);
	for (u32 i = 0; i < m->nvcpus && !err; i++)
		err = create_vcpu(m, i);
	return err;
}

static struct boot_cpus boot_cpus_of(const struct machine *m)
{
	return (struct boot_cpus){m->nvcpus, m->hotplug != NULL, machine_absent_cpus(m)};
}

static int load_firmware(struct machine *m, char *line, size_t bytes)
{
	u64 n;
	const u8 *rom = rom_contents(m->rom, &n);
	int err = boot_firmware(m->mem, m->desc->image, rom, n, boot_cpus_of(m), &m->boot, line,
				bytes);

	if (err)
		return err;
	snprintf(line, bytes, "%s: out of host memory", m->desc->image);
	return machine_configure_firmware(m);
}

/* The boot processor starts in the image, the others wait for a start-up IPI. */
int machine_load_image(struct machine *m)
{
	char line[BOOT_ERR_BYTES];
	struct boot_module modules[MACHINE_MAX_MODULES];
	struct boot_request req = {
		.modules = modules,
		.nmodules = m->desc->nmodules,
		.entry = m->desc->entry,
		.image = m->desc->image,
		.append = m->desc->append,
		.initrd = m->desc->initrd,
		.cpus = boot_cpus_of(m),
	};
	for (u32 i = 0; i < req.nmodules; i++)
		modules[i] = (struct boot_module){m->desc->module[i].path, m->desc->module[i].args};
	int err = m->rom ? load_firmware(m, line, sizeof(line))
			 : boot_load(m->mem, &req, &m->boot, line, sizeof(line));

	if (err) {
		fprintf(stderr, "nestor: %s\n", line);
		return err;
	}
	for (u32 i = 0; i < m->nvcpus; i++) {
		struct vp *vp = &m->vcpu[i].vp;
		if (i == 0)
			boot_apply(&m->boot, &vp->cpu);
		else
			vp->cpu.activity = ACTIVITY_WAIT_SIPI;
		engine_state_changed(vp);
		vcpu_show(&m->vcpu[i]);
	}
	return 0;
}

struct machine *machine_create(struct host *host, u32 id, const struct machine_desc *desc,
			       struct chardev *serial, struct chardev *debugcon, int *status)
{
	struct machine *m = calloc(1, sizeof(*m));

	*status = EXIT_CODE_HOST;
	if (!m) {
		fprintf(stderr, "nestor: %s: out of host memory\n", desc->name);
		return NULL;
	}
	m->host = host;
	m->id = id;
	m->desc = desc;
	m->nvcpus = desc->cpus;
	m->serial = serial;
	m->debugcon = debugcon;
	timer_queue_init(&m->input);
	int err = create_parts(m, status);
	if (err) {
		if (*status == EXIT_CODE_HOST)
			machine_report_not_built(m, err);
		machine_destroy(m);
		return NULL;
	}
	err = machine_load_image(m);
	if (!err)
		err = machine_load_symbols(m);
	if (err) {
		*status = EXIT_CODE_BAD_IMAGE;
		machine_destroy(m);
		return NULL;
	}
	return m;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	for (u32 i = 0; m->vcpu && i < m->nvcpus; i++) {
		if (!m->vcpu[i].machine)
			continue;
		jit_detach(&m->vcpu[i].vp);
		engine_vp_fini(&m->vcpu[i].vp);
		vtlb_vp_fini(&m->vcpu[i].vp.tlb);
		trace_ctx_fini(&m->vcpu[i].trace);
	}
	if (m->bus.machine)
		bus_fini(&m->bus);
	chardev_close(m->console_out);
	if (m->vtlb)
		vtlb_destroy(m->vtlb);
	if (m->mem)
		mem_destroy(m->mem);
	machine_free_counts(m);
	track_destroy(m->track);
	vmcs_records_destroy(m->records);
	machine_free_symbols(m);
	free(m->vcpu);
	free(m);
}

/* --- running --- */

void machine_stop(struct machine *m, u32 cause, u64 status)
{
	if (!__atomic_exchange_n(&m->stop_claimed, true, __ATOMIC_SEQ_CST)) {
		m->stop_cause = cause;
		m->stop_status = status;
		m->stop_wanted = true;
	}
	for (u32 i = 0; i < m->nvcpus; i++) {
		vp_request(&m->vcpu[i].vp, VP_ATTN_REQUEST);
		worker_wake(m->host, &m->vcpu[i], WAKE_STOP, 0, 0);
	}
}

static bool vcpu_can_wake(const struct vcpu *c)
{
	if (sched_state_of(&c->sched) != SCHED_BLOCKED || vcpu_wake_ns(c) != CLOCK_NEVER)
		return true;
	if (c->vp.attn & (VP_ATTN_NMI | VP_ATTN_INIT | VP_ATTN_SIPI))
		return true;
	return !__atomic_load_n(&c->shown_deaf, __ATOMIC_RELAXED);
}

bool machine_is_dead(const struct machine *m)
{
	for (u32 i = 0; i < m->nvcpus; i++)
		if (vcpu_can_wake(&m->vcpu[i]))
			return false;
	return true;
}

static u32 vcpu_run_state(const struct vcpu *c)
{
	if (c->machine->stopped)
		return RUN_STATE_STOPPED;
	if (__atomic_load_n(&c->shown_activity, __ATOMIC_RELAXED) == ACTIVITY_WAIT_SIPI)
		return RUN_STATE_WAIT_SIPI;
	switch (sched_state_of(&c->sched)) {
	case SCHED_RUNNING: return RUN_STATE_RUNNING;
	case SCHED_READY:
	case SCHED_PARKED: return RUN_STATE_READY;
	default: return RUN_STATE_HALTED;
	}
}

void machine_emit_tlb(struct machine *m, struct worker *w)
{
	struct trace_ctx *ctx = &w->about;

	ctx->level = 1;
	for (u32 i = m->nvcpus; i--;) {
		ctx->vcpu_id = EVENT_VCPU_ID(m->id, i);
		vtlb_emit_stats(&m->vcpu[i].vp.tlb, ctx);
	}
	vtlb_emit_machine(m->vtlb, ctx);
}

void machine_emit_state(struct machine *m, struct worker *w, bool start)
{
	struct trace_ctx *ctx = &w->about;
	struct event_text name = event_text(m->desc->name);

	ctx->vcpu_id = EVENT_VCPU_ID(m->id, 0);
	ctx->level = 1;
	if (start)
		TRANSITION(ctx, vm_start, .name = name, .vm = m->id,
			   .memory_bytes = m->desc->memory_bytes, .vcpus = m->nvcpus);
	TRANSITION(ctx, vm_state, .name = name, .vm = m->id, .memory_bytes = m->desc->memory_bytes,
		   .vcpus = m->nvcpus, .state = m->stopped ? RUN_STATE_STOPPED : RUN_STATE_RUNNING);
	for (u32 i = 0; i < m->nvcpus; i++) {
		struct vcpu *c = &m->vcpu[i];

		ctx->vcpu_id = EVENT_VCPU_ID(m->id, i);
		if (c == w->vcpu ||
		    m->host->clock.kind == CLOCK_KIND_VIRTUAL) /* no other thread has it */
			vcpu_show(c);
		TRANSITION(ctx, vcpu_state, .vm = m->id, .child = EVENT_NO_ID, .index = i,
			   .parent_vcpu = EVENT_NO_ID, .state = vcpu_run_state(c),
			   .cr3 = __atomic_load_n(&c->shown_cr3, __ATOMIC_RELAXED));
	}
	if (!start)
		track_emit_state(m->track, ctx);
	if (!start && m->id == 0)
		host_emit_counts(m->host, ctx);
	if (!start)
		machine_emit_tlb(m, w);
}

void machine_feed(void *arg, struct trace_worker *worker, const struct transition *t)
{
	struct worker *w = container_of(worker, struct worker, trace);

	(void)arg;
	if (!w->vcpu)
		return;
	switch (t->kind) {
	case TRANSITION_cr3_load:
		track_cr3_load(&w->vcpu->track, transition_payload(t, cr3_load)->cr3);
		break;
	case TRANSITION_halt: track_halt(&w->vcpu->track); break;
	default: track_spin(&w->vcpu->track);
	}
}
