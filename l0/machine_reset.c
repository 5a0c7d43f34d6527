/*
 * machine_reset.c - what a reset that a guest asked for does, see machine.h
 *
 * A hard reset ends the machine or, with --reset reboot, is a power cycle: RAM zero, every device
 * and processor as after power-up, the image loaded again. INIT# (keyboard controller, port 0x92)
 * leads to the reset vector, where there is nothing without firmware: then it counts as a hard
 * reset.
 */
#include <stdio.h>

#include "l0/base/bits.h"
#include "l0/host.h"

void machine_reset_vcpu(struct vcpu *c)
{
	struct vp *vp = &c->vp;

	if (c->track.inside)
		track_vm_exit(&c->track, EXIT_REASON_INIT_SIGNAL);
	if (vp->vmxon)
		track_vmx_off(&c->track);
	exit_vp_reset(vp, &c->nv, false);
	engine_reset(vp, false);
	vp_request_clear(vp, VP_ATTN_INTR | VP_ATTN_NMI | VP_ATTN_NMI_AGAIN | VP_ATTN_INIT |
				     VP_ATTN_SIPI);
	vcpu_set_wake_ns(c, CLOCK_NEVER);
	c->sipi_vector = 0;
	vcpu_show(c);
}

static void reboot(struct machine *m)
{
	struct worker *w = worker_self;

	world_stop(w);
	for (u32 i = 0; i < m->nvcpus; i++) {
		machine_eject(&m->vcpu[i]); /* one that is on its way out has gone */
		machine_reset_vcpu(&m->vcpu[i]);
	}
	mem_clear(m->mem);
	vtlb_memory_changed(m->vtlb);
	bus_reset(&m->bus);
	int err = machine_load_image(m);

	w->about.vcpu_id = EVENT_VCPU_ID(m->id, 0);
	w->about.level = 1;
	TRANSITION(&w->about, vm_reset, .vm = m->id);
	machine_emit_state(m, w, false);
	if (err) /* the file is no longer what it was */
		machine_stop(m, STOP_ERROR, 0);
	worker_wake(w->host, &m->vcpu[0], WAKE_INIT, 0, worker_now(w));
	w->horizon_moved = true;
	world_resume(w);
}

void machine_want_reset(struct machine *m, enum bus_reset_kind kind)
{
	m->reset_kind = kind;
	__atomic_store_n(&m->reset_wanted, true, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < m->nvcpus; i++)
		vp_request(&m->vcpu[i].vp, VP_ATTN_REQUEST);
}

void machine_reset(struct machine *m)
{
	/* several processors may have asked: once */
	if (!__atomic_exchange_n(&m->reset_wanted, false, __ATOMIC_SEQ_CST))
		return;
	if (m->reset_kind == BUS_RESET_HARD || !m->rom) {
		if (m->desc->reboots)
			reboot(m);
		else
			machine_stop(m, STOP_RESET, 0);
		return;
	}
	for (u32 i = 0; i < m->nvcpus; i++)
		vp_request(&m->vcpu[i].vp, VP_ATTN_INIT);
}
