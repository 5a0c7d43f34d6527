/*
 * Tracking: which vCPU of which child VM, and which process, each virtual processor runs (mechanisms
 * A1 and A2). A look-up table maps the address of a vmcs12 to a stable vCPU; a status word per
 * level-1 processor names the one vCPU that is active on it. One struct track a machine.
 *
 * The exit layer, which knows of VMCS loads and entries as they happen, calls the track_vm_*()
 * functions at the places where it makes the transition; they set the level and vCPU of the trace
 * context, and emit child_switch and process_switch. CR3 loads arrive as transitions (track_sink()).
 *
 * Rules (all from what a parent can see): loading the current VMCS is no switch, nor is an entry
 * alone; a load without an entry changes nothing; VMCLEAR parks; vCPUs with the same EPT root are one
 * child; an identity ends with VMXOFF, with the machine, or when the region is launched with a new
 * EPT root and a new VPID. A vmcs12 that L1 enters between an L2's reflected VMLAUNCH/VMRESUME
 * and that L2's next entry belongs to a child of that L2 (its level is inferred).
 *
 * Bounded: at most TRACK_MAX_VCPUS and TRACK_MAX_PROCESSES a machine; beyond, the identity that was
 * used longest ago is given up. Not thread-safe across the processors of one machine unless the
 * machine's lock is held. Cost: entry of the vCPU that ran before a few ns, of another about 20 ns.
 */
#ifndef L0_TRACK_TRACK_H
#define L0_TRACK_TRACK_H

#include "l0/arch/events.h"
#include "trace/transition.h"

#define TRACK_MAX_VCPUS 4096u
#define TRACK_MAX_PROCESSES 16384u
#define TRACK_NO_VMCS (~0ull)

struct track;
struct track_vcpu;
struct track_child;

/* Per level-1 virtual processor; embedded in the machine's vCPU. */
struct track_vp {
	struct track *track;
	struct trace_ctx *ctx;
	u32 vcpu_id;		   /* its own */
	u64 loaded_vmcs;	   /* as of the last VMPTRLD */
	struct track_vcpu *active; /* the vCPU that it ran last, or runs: survives exits */
	bool inside;		   /* guest mode: @active is what executes */
	struct track_vcpu *lending; /* an L2 whose VMLAUNCH/VMRESUME was reflected: the next other
				       vmcs12 entered belongs to a child of it */
	u32 process; /* process of level 1, EVENT_NO_ID before the first CR3 load */
	struct list_node node; /* in its track */
};

struct track *track_create(u32 vm);
void track_destroy(struct track *t);
void track_vp_init(struct track_vp *v, struct track *t, struct trace_ctx *ctx, u32 vcpu_id);

/* VMPTRLD made @vmcs current (TRACK_NO_VMCS: none is). */
void track_vmcs_load(struct track_vp *v, u64 vmcs);
/* VMCLEAR of @vmcs: parks it wherever it was active. */
void track_vmcs_clear(struct track_vp *v, u64 vmcs);
void track_vmx_off(struct track_vp *v);

/**
 * track_vm_entry - the processor enters @vmcs; call before the vm_entry transition is made
 * @eptp:   ept12 root (bits 51:12 count), 0 without EPT
 * @vpid:   vpid12, 0 without VPID
 * @launch: VMLAUNCH (not VMRESUME)
 * @cr3:    the guest's CR3 as entered
 */
void track_vm_entry(struct track_vp *v, u64 vmcs, u64 eptp, u16 vpid, bool launch, u64 cr3);

/* The processor is back in its VMM; call after the vm_exit transition of a reflected exit was made.
 * @reason: basic exit reason. */
void track_vm_exit(struct track_vp *v, u32 reason);

/* CR3 was loaded by the code that runs (MOV CR3, task switch); after the cr3_load transition. */
void track_cr3_load(struct track_vp *v, u64 cr3);

/* Everything known, as *_state transitions through @ctx (whose vCPU and level are kept), so that a
 * reader can start here. */
void track_emit_state(struct track *t, struct trace_ctx *ctx);

/* A guest's vCPU, for a debugger. */
struct track_guest {
	u32 id, index; /* in events; in its child */
	u32 child;     /* its child's id */
	u16 depth;
	u64 vmcs, root; /* vmcs12 address; EPT root, 0: none */
};

/* Those known, oldest entry first. Nothing runs meanwhile. Return: how many; of more than @max, the newest. */
u32 track_guests(const struct track *t, struct track_guest *out, u32 max);

/* Look-up of the active vCPU for the scheduler and for dumps: its id, or EVENT_NO_ID. */
u32 track_active_vcpu(const struct track_vp *v);
u32 track_active_child(const struct track_vp *v);

#endif
