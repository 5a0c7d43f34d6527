/*
 * Tracking: which vCPU of which child VM, which process and which thread each virtual processor
 * runs (mechanisms A1 to A3). A look-up table maps the address of a vmcs12 to a stable vCPU; a
 * status word per level-1 processor names the one vCPU that is active on it. One struct track a
 * machine.
 *
 * The exit layer, which knows of VMCS loads and entries as they happen, calls the track_vm_*()
 * functions at the places where it makes the transition; they set the level and vCPU of the trace
 * context, and emit child_switch and process_switch. CR3 loads arrive as transitions
 * (track_sink()).
 *
 * Rules (all from what a parent can see): loading the current VMCS is no switch, nor is an entry
 * alone; a load without an entry changes nothing; VMCLEAR parks; vCPUs with the same EPT root are
 * one child; an identity ends with VMXOFF, with the machine, or when the region is launched with a
 * new EPT root and a new VPID. A vmcs12 that L1 enters between an L2's reflected VMLAUNCH/VMRESUME
 * and that L2's next entry belongs to a child of that L2 (its level is inferred).
 *
 * Bounded: at most TRACK_MAX_VCPUS and TRACK_MAX_PROCESSES a machine; beyond, the identity that was
 * used longest ago is given up. Not thread-safe across the processors of one machine unless the
 * machine's lock is held. Cost: entry of the vCPU that ran before a few ns, of another about 20 ns.
 */
#ifndef L0_TRACK_TRACK_H
#define L0_TRACK_TRACK_H

#include "l0/arch/events.h"
#include "l0/track/counters.h"
#include "trace/transition.h"

#define TRACK_MAX_VCPUS 4096u
#define TRACK_MAX_PROCESSES 16384u
#define TRACK_NO_VMCS (~0ull)

#define TRACK_MAX_THREADS 16384u
#define TRACK_STACK_MIN 1024u
#define TRACK_STACK_MAX (1u << 20)
#define TRACK_STACK_DEFAULT 16384u

struct track;
struct track_vcpu;
struct track_child;

/* What a guest's kernel gives each thread of its own, by which threads are told apart. */
enum track_threads_by {
	TRACK_THREADS_OFF,
	TRACK_THREADS_STACK,
	TRACK_THREADS_FS,
	TRACK_THREADS_GS
};

/* What runs on one vCPU, as far as threads go. */
struct track_runs {
	u32 thread;	 /* EVENT_NO_ID: not known */
	u64 key;	 /* of that thread */
	u64 entry_stack; /* RSP0 of its TSS at the last switch */
};

/* What is known of one vCPU's rest (mechanism B4, idle.c). */
struct track_idle {
	bool is_idle;
	bool halted; /* by HLT or MWAIT */
	u8 pauses;   /* exits for PAUSE in a row */
	u8 rests;    /* that spoke for them lately: */
	/* those that it rests in; thread EVENT_NO_ID: threads are not followed */
	u32 process, thread;
};

/* Per level-1 virtual processor; embedded in the machine's vCPU. */
struct track_vp {
	struct track *track;
	struct trace_ctx *ctx;
	u32 vcpu_id;		    /* its own */
	u64 loaded_vmcs;	    /* as of the last VMPTRLD */
	struct track_vcpu *active;  /* the vCPU that it ran last, or runs: survives exits */
	bool inside;		    /* guest mode: @active is what executes */
	struct track_vcpu *lending; /* an L2 whose VMLAUNCH/VMRESUME was reflected: the next other
				       vmcs12 entered belongs to a child of it */
	u32 process;		    /* process of level 1, EVENT_NO_ID before the first CR3 load */
	struct track_runs runs;	    /* of level 1 */
	u64 cr3;		    /* likewise */
	struct track_idle idle;	    /* likewise */
	const struct track_match *fence; /* or NULL: no fence. Borrowed. */
	bool at_fence;
	struct track_counts *counts; /* or NULL: there are no state-match counters. Borrowed. */
	struct list_node node;	     /* in its track */
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

/* The processor, or the guest that runs on it, halts without an exit to its VMM; a worker takes it
 * again; it gives way because it waits in PAUSEs. */
void track_halt(struct track_vp *v);
void track_runs(struct track_vp *v);
void track_spin(struct track_vp *v);

/* CR3 was loaded by the code that runs (MOV CR3, task switch); after the cr3_load transition. */
void track_cr3_load(struct track_vp *v, u64 cr3);

/* --- state-match counters; only with v->counts --- */

/* A worker takes the processor; leaves it. */
void track_counts_start(struct track_vp *v);
void track_counts_stop(struct track_vp *v);

/* --- threads (mechanism A3) --- */

/* Tell threads of this machine and of all guests inside apart by @by; @stack_bytes: size and
 * alignment of their kernel stacks, a power of two from TRACK_STACK_MIN to TRACK_STACK_MAX. Before
 * anything runs. */
void track_set_threads(struct track *t, enum track_threads_by by, u32 stack_bytes);

/* A load of the stack pointer, or of a base register, at CPL 0. */
struct track_stack {
	u32 how;      /* enum thread_cause */
	u64 value;    /* linear address of the new top, or the base */
	bool is_user; /* it is user mode's, loaded on the way there */
	/* the new top holds a link to the old one: an interrupt stack or the like */
	bool is_borrowed;
	bool has_entry; /* @entry is known: */
	u64 entry;	/* RSP0 of the TSS */
};

/* Is @value, after a stack pointer of @prev, another thread's, so that track_stack() is to be
 * called? A few ns. Also notes that the thread came from user mode, where @how says so. */
bool track_is_other_thread(struct track_vp *v, u32 how, u64 value, u64 prev);

/**
 * track_stack - the stack is another one
 * Of no thread of its own is a stack of user mode, one that borrows (is_borrowed), and one that the
 * TSS names while the
 * switches between threads leave the TSS alone: kernels that have all entries begin on a stack of
 * the processor. Else its thread runs from here on.
 */
void track_stack(struct track_vp *v, const struct track_stack *s);

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

/* Those known, oldest entry first. Nothing runs meanwhile. Return: how many; of more than @max, the
 * newest. */
u32 track_guests(const struct track *t, struct track_guest *out, u32 max);

/* Id of the vCPU at @vmcs, which has been entered; or EVENT_NO_ID. */
u32 track_vcpu_of(const struct track *t, u64 vmcs);

/* Look-up of the active vCPU for the scheduler and for dumps: its id, or EVENT_NO_ID. */
u32 track_active_vcpu(const struct track_vp *v);
u32 track_active_child(const struct track_vp *v);

#endif
