/*
 * The engine: executes a guest under VMX controls, nothing else. Both tiers serve this interface.
 * The worker calls engine_run(); exits are handled by l0/exit on the same struct vp, then the
 * worker calls engine_run() again.
 */
#ifndef L0_ENGINE_ENGINE_H
#define L0_ENGINE_ENGINE_H

#include "l0/engine/vp.h"

enum engine_stop {
	ENGINE_STOP_COUNT, /* vp->insns == until */
	ENGINE_STOP_EXIT,  /* *exit is filled; state is that of the exit (RIP of the instruction for
			      fault-like exits, after it for trap-like ones: MTF, APIC write, EOI) */
	ENGINE_STOP_REQUEST, /* VP_ATTN_REQUEST was set (it is cleared); at an instruction boundary
			      */
	ENGINE_STOP_HALT,    /* activity state is not active and nothing wakes it */
};

/* Caller has set mem, features, ops, owner, trace, id; @code_bytes bounds the operation cache.
 * Return: 0, -ENOMEM. */
int engine_vp_init(struct vp *vp, u64 code_bytes);
void engine_vp_fini(struct vp *vp);

/* INIT# / power-up state of SDM 3A "Processor State After Reset" (RIP fff0, CS f000 …). */
void engine_reset(struct vp *vp, bool init);

/**
 * engine_run - run @vp until exactly @until retired instructions in total, an exit, or a request
 * Events, faults and interrupts that the controls do not intercept are delivered inside.
 * vp->exit holds the exit on ENGINE_STOP_EXIT. A REP string instruction counts one for each started
 * 64 bytes (or one when it does nothing) and may stop between iterations with RIP at itself.
 */
enum engine_stop engine_run(struct vp *vp, u64 until);

/*
 * Somebody outside wrote vp->cpu or vp->ctl (loader, VM entry or exit, debugger): recompute what is
 * derived from them (mode, segment bases, paging context, attention bits). O(1), no flush.
 */
void engine_state_changed(struct vp *vp);

/* Is something due that comes before all else at this instruction boundary, the VMX-preemption
 * timer
 * included: the injection of an entry, a trap of the last instruction? engine_run() sees to it even
 * when it is to run no instruction. */
bool engine_trap_due(struct vp *vp);

/* Skip the instruction that exited: RIP += length (wrapped by mode), shadows cleared, count + 1,
 * single-step trap pending when TF. */
void engine_skip(struct vp *vp, u32 insn_len);

/* Deliver a fault or interrupt on behalf of an exit handler: #GP for a bad MSR and the like. Queued
 * as VP_ATTN_INJECT and delivered at the next engine_run(), before any instruction. */
void engine_inject(struct vp *vp, u32 intr_info, u32 error, u32 insn_len);

/* Guest memory by linear address with the VP's current rights, for exit handlers that read VMX
 * operands. Return: 0, or -EFAULT with the fault queued by engine_inject() (page fault) or, under
 * EPT, vp->exit filled and -EREMOTE. */
int engine_read_linear(struct vp *vp, u64 gva, void *buf, u32 len);
int engine_write_linear(struct vp *vp, u64 gva, const void *buf, u32 len);

/* Tell vp->ops->stack_load of loads of the stack pointer at CPL 0 (thread tracking), or no more.
 * Costs nothing while off; while on, such a load is a slow operation. */
void engine_watch_stacks(struct vp *vp, bool on);

/* For who is told: a word of @size (4, 8) bytes at @gva, aligned, without any effect on the guest;
 * and RSP0 (ESP0) of its TSS. Return: false: no RAM there. */
bool engine_peek_word(const struct vp *vp, u64 gva, u32 size, u64 *value);
bool engine_is_kernel_page(const struct vp *vp, u64 gva); /* mapped, and not for user mode */
bool engine_kernel_entry_stack(const struct vp *vp, u64 *sp);

/* Reload PDPTEs from CR3 under PAE paging (VM entry without EPT). Return 0 or -EINVAL (reserved
 * bits). */
int engine_load_pdptes(struct vp *vp);

#endif