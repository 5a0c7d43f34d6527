#include "l0/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"
#include "l0/cmd/exit_codes.h"
#include "l0/dev/chardev.h"
#include "l0/dev/rom.h"
#include "l0/host.h"
#include "l0/jit/jit.h"
#include "l0/machine_ops.h"
#include "shadow-vmcs/explain_record.h"

#define CODE_CACHE_BYTES (16 * MIB)
#define VTLB_BYTES (16 * MIB)

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
	vp->ops = &machine_ops_vp;
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
	exit_vp_init(&c->nv, vp, &m->profile, &machine_ops_exit, &c->track, i);
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
	mem_set_unclaimed(m->mem, machine_ops_unclaimed, m);
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
		.self = machine_ops_running_tlb,
		.stale = machine_ops_stale,
		.arg = m,
	};
	m->vtlb = vtlb_create(m->mem, &cfg, &err);
	if (!m->vtlb)
		return err;
	mem_set_monitored(m->mem, machine_ops_store_seen, m);
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
	err = machine_create_devices(m, &machine_ops_bus, status);
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
