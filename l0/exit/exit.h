/*
 * exit.h - what the exit layer offers to the machine builder and the worker
 *
 * After engine_run() returned ENGINE_STOP_EXIT the worker calls exit_handle(): it finds the handler
 * of vp->exit in the dispatch table, or reflects the exit to L1 when L2 ran, and says what to do
 * next. Devices, the clock and the scheduler are reached only through struct exit_hooks. Nothing
 * here blocks or allocates after exit_vp_init(). Built -mgeneral-regs-only.
 *
 *   struct cpu_profile   one per machine: what the processor model announces (constant)
 *   struct nvmx          one per virtual processor: VMX operation and the MSRs that l0/exit keeps
 *
 * Cost: a VMREAD some ten ns; a nested entry about 100 ns, a nested exit
 * about 70 (docs/vmx.md, "Cost").
 */
#ifndef L0_EXIT_EXIT_H
#define L0_EXIT_EXIT_H

#include <stdio.h>
#include "l0/engine/engine.h"
#include "l0/exit/cpuid.h"
#include "l0/exit/nested.h"

enum exit_action {
	EXIT_ACTION_RUN,  /* call engine_run() again */
	EXIT_ACTION_HALT, /* the VP halts (vp->cpu.activity says how) until an event wakes it */
	EXIT_ACTION_SPIN, /* it waits in a loop for another VP: somebody else may run; else go on */
	EXIT_ACTION_STOP, /* the machine stops; nv->stop_cause and nv->stop_text say why; the worker
			     prints exit_dump() */
};

/*
 * What the exit layer needs from the machine around it. @vp->owner leads back to the machine's own
 * structures. Any member may be NULL: the feature is then absent (MSRs: #GP, or zero where the
 * table says so).
 */
struct exit_hooks {
	/* IA32_APIC_BASE and the x2APIC MSRs (800h-8ffh). Return false: #GP. */
	bool (*apic_msr_read)(struct vp *vp, u32 msr, u64 *value);
	bool (*apic_msr_write)(struct vp *vp, u32 msr, u64 value);
	/* IA32_TSC_DEADLINE. */
	u64 (*tsc_deadline_read)(struct vp *vp);
	void (*tsc_deadline_write)(struct vp *vp, u64 value);
	/* IA32_TSC or IA32_TSC_ADJUST written: nv->tsc_adjust changed. The machine's vp->ops->tsc()
	 * adds nv->tsc_adjust to the machine's own count. */
	void (*tsc_adjusted)(struct vp *vp);
	/* nv->preemption_deadline changed (nested entry or exit). May be NULL when the worker reads
	 * it before each engine_run(). */
	void (*preemption_changed)(struct vp *vp);
	/* INIT arrived while VMX is off: reset the VP (engine_reset(vp, true), exit_vp_reset()),
	 * then the bootstrap processor runs, others wait for a start-up IPI. NULL: done here. */
	void (*init_signal)(struct vp *vp);
	/* Vector of the start-up IPI that ended the wait. */
	u8 (*sipi_vector)(struct vp *vp);
	/* A guest touched an MSR that nobody implements, the first time on this VP: #GP follows. */
	void (*unknown_msr)(struct vp *vp, u32 msr, bool write, u64 value);
	/* A guest wants a performance counter to count what is not counted, the first time on this VP. */
	void (*uncounted_event)(struct vp *vp, u32 event);
	/* VMCALL with HYPERCALL_DECLARE; only while nv->declares. Return: whether it is taken. */
	bool (*declare)(struct vp *vp, u64 vmcs, u64 period_ns, u64 budget_ns);
	/* Print the last events of @vp, for a dump. */
	void (*dump_events)(struct vp *vp, FILE *out);
};

/**
 * exit_vp_init - prepare the exit layer for one virtual processor
 * @nv:      zeroed by this call; belongs to the caller, one per VP, at a stable address
 * @vp:      engine_vp_init() done; its features and vmcs01 controls are set here
 * @profile: the machine's processor model, cpu_profile_init() done
 * @hooks:   kept by reference
 * @track:   of the VP, for child VMs and their vCPUs; may be NULL
 * @index:   number of the VP in its machine; 0 is the bootstrap processor
 *
 * Call exit_vp_reset() after engine_reset() whenever the VP is reset.
 */
void exit_vp_init(struct nvmx *nv, struct vp *vp, const struct cpu_profile *profile,
		  const struct exit_hooks *hooks, struct track_vp *track, u32 index);

/**
 * exit_vp_reset - MSRs and VMX operation as after reset or INIT
 * @init: INIT leaves most MSRs alone
 *
 * Sets vp->ctl to vmcs01 and calls engine_state_changed().
 */
void exit_vp_reset(struct vp *vp, struct nvmx *nv, bool init);

/* L1 reads and writes its current VMCS without exits (the default) or with one for each access. The
 * guest cannot tell. */
void exit_set_vmcs_shadowing(struct vp *vp, struct nvmx *nv, bool on);

/**
 * exit_set_records - remember what explanations of failures need
 * @records: of the machine (shadow-vmcs/explain_record.h), kept by reference
 * @vcpu: number of the processor in events
 * @explains: say failures and misuse on standard error, too
 *
 * Before the VP runs.
 */
struct vmcs_records;
void exit_set_records(struct vp *vp, struct nvmx *nv, struct vmcs_records *records, u32 vcpu,
		      bool explains);

/**
 * exit_handle - act on vp->exit
 *
 * Emits the vm_exit transition, reflects or handles. The virtual charge of everything that happened
 * is added to nv->charge_ns; the worker takes it (and zeroes it) into its clock.
 */
enum exit_action exit_handle(struct vp *vp, struct nvmx *nv);

/**
 * exit_vp_detect_spin - have loops of PAUSE come back as EXIT_ACTION_SPIN
 *
 * For VPs whose machine has others that they may wait for. It is L0's own PAUSE-loop exiting (SDM
 * 3C "Controls for PAUSE-Loop Exiting"), in guests of the machine's VMM too unless the VMM uses the
 * control itself: then the exit is the VMM's. Before the VP runs. Cost: an exit for each
 * EXIT_SPIN_WINDOW of waiting, none otherwise.
 */
#define EXIT_SPIN_GAP 128u     /* TSC ticks between two PAUSEs of a loop at most */
#define EXIT_SPIN_WINDOW 4096u /* and a loop so long is a wait, as in KVM (ple_window) */
void exit_vp_detect_spin(struct nvmx *nv, struct vp *vp);

/*
 * VMX-preemption timer. The deadline is a value of the processor's time-stamp counter, as
 * vp->ops->tsc(vp) gives it; NESTED_NO_DEADLINE when the timer does not run. The worker stops the
 * engine there and calls nested_preemption_expired(), which makes exit 52; it may call it early
 * (then nothing happens). A halted L2 is woken by it too.
 */
#define NESTED_NO_DEADLINE (~0ull)
static inline u64 nested_preemption_deadline(const struct nvmx *nv)
{
	return nv->preemption_deadline;
}
enum exit_action nested_preemption_expired(struct vp *vp, struct nvmx *nv);

/* MSR access as RDMSR and WRMSR at CPL 0 do it, for the debugger and tests. Return: false: #GP. */
bool exit_msr_read(struct vp *vp, struct nvmx *nv, u32 msr, u64 *value);
bool exit_msr_write(struct vp *vp, struct nvmx *nv, u32 msr, u64 value);

/**
 * exit_dump - everything about a VP in words: registers, segments, control registers, the last
 * exit, the current VMCSs, the last events. Parks the vector state. Any VP that is not running.
 */
void exit_dump(struct vp *vp, struct nvmx *nv, FILE *out);

#endif
