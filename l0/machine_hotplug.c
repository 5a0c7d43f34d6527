/*
 * machine_hotplug.c - processors that come and go while a machine runs, see machine.h
 *
 * The device (l0/dev/cpu_hotplug.h) knows who is there, the scheduler whose weight goes where; here
 * are the steps
 * between: a processor that its guest ejected is stopped at its next instruction boundary, wherever
 * it is, and waits for a start-up IPI as after power-up until it is plugged again.
 */
#include <stdio.h>
#include <string.h>

#include "l0/dev/cpu_hotplug.h"
#include "l0/host.h"

int machine_create_hotplug(struct machine *m)
{
	const struct machine_desc *d = m->desc;
	u64 absent = 0;
	int err;

	if (!d->cpu_hotplug)
		return 0;
	for (unsigned i = 0; i < d->ncpu_changes; i++)
		if (!d->cpu_change[i].at_ns && !d->cpu_change[i].plug)
			absent |= BIT(d->cpu_change[i].cpu);
	m->hotplug = cpu_hotplug_create(&m->bus, absent, &err);
	for (unsigned i = 0; i < d->ncpu_changes && !err; i++)
		if (d->cpu_change[i].at_ns)
			err = cpu_hotplug_plan(m->hotplug, d->cpu_change[i].at_ns,
					       d->cpu_change[i].cpu, d->cpu_change[i].plug);
	return err;
}

u64 machine_absent_cpus(const struct machine *m)
{
	return m->hotplug ? cpu_hotplug_absent(m->hotplug) : 0;
}

/* From the device: bus lock held, perhaps in mid-instruction. */
void machine_cpu_changed(void *machine, u32 vp, enum cpu_change change)
{
	struct machine *m = machine;
	struct vcpu *c = &m->vcpu[vp];
	struct trace_ctx *ctx = m->bus.ops->trace(m, vp);

	if (ctx)
		TRANSITION(ctx, cpu_hotplug, .vm = m->id, .vcpu = EVENT_VCPU_ID(m->id, vp),
			   .action = change);
	switch (change) {
	case CPU_CHANGE_ASKED: break;
	case CPU_CHANGE_REFUSED: sched_refused(&m->host->sched, &c->sched); break;
	case CPU_CHANGE_EJECTED:
		__atomic_store_n(&c->eject_wanted, true, __ATOMIC_SEQ_CST);
		vp_request(&c->vp, VP_ATTN_REQUEST);
		worker_wake(m->host, c, WAKE_STOP, 0, 0);
		break;
	case CPU_CHANGE_PLUGGED: sched_set_out(&m->host->sched, &c->sched, false); break;
	}
}

void machine_eject(struct vcpu *c)
{
	struct machine *m = c->machine;

	if (!__atomic_exchange_n(&c->eject_wanted, false, __ATOMIC_SEQ_CST))
		return;
	machine_reset_vcpu(c);
	c->vp.cpu.activity = ACTIVITY_WAIT_SIPI;
	vcpu_show(c);
	engine_state_changed(&c->vp);
	sched_set_out(&m->host->sched, &c->sched, true);
	cpu_hotplug_gone(m->hotplug, c->vp.id);
}

void machine_ask_cpu(struct machine *m, u32 vp, bool plug)
{
	if (!m->hotplug || vp >= m->nvcpus)
		return;
	/* it may have come or gone by itself meanwhile */
	if ((plug ? cpu_hotplug_plug(m->hotplug, vp) : cpu_hotplug_unplug(m->hotplug, vp)) && !plug)
		sched_refused(&m->host->sched, &m->vcpu[vp].sched);
}
