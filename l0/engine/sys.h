/*
 * The system side of the engine: segments, far transfers, gates, tasks, event delivery, control
 * registers, intercepts. All functions run with vp->cpu complete (op_slow), raise faults before
 * they commit, set vp->next_rip for transfers.
 *
 * What a slow operation of this side expects of struct op, whatever its mnemonic:
 *   aux     opcode byte | map << 8 (map 0: one-byte, 1: 0F, 2: 0F 38, 3: 0F 3A); it tells forms
 * apart (MOV 8C/8E Sreg and 0F 20-23, PUSH/POP Sreg, CALL/JMP far 9A/EA/FF, RET CA/CB, IN, OUT …)
 *   modrm   raw ModRM; dst = ModRM.reg with REX.R; src = ModRM.rm with REX.B when it is a register;
 *           OP_MEM and base … seg when it is memory; seg also for OUTS (default DS)
 *   size    effective operand size 2, 4, 8 (1 for byte forms of IN, OUT, INS, OUTS); 8 when REX.W
 * or the instruction is 64-bit by default; asize 2, 4, 8 imm     the immediate (INT n, IN/OUT port,
 * RET n), far pointers: offset, with sel the selector flags   OP_REP, OP_REPNE, OP_LOCK, OP_OPSIZE
 *
 * And of the run loop: event_boundary() is called at an instruction boundary whenever vp->attn is
 * not 0 (before the next instruction), also at the start of engine_run(); while VP_ATTN_STEP,
 * VP_ATTN_MTF or VP_ATTN_WATCH is set, one instruction (one iteration of a REP string instruction)
 * is run between two calls. vp_update_mode() sets VP_ATTN_STEP when RFLAGS.TF, RFLAGS.RF, a shadow
 * or a pending debug exception is there, only event_boundary() clears it. After event_boundary()
 * (and after any slow operation) an activity state that is not active ends the run with
 * ENGINE_STOP_HALT.
 */
#ifndef L0_ENGINE_SYS_H
#define L0_ENGINE_SYS_H

#include "l0/engine/op.h"

/*
 * Slow operation for a mnemonic that is not a fast one, or NULL: #UD. decode.c asks for every
 * instruction that op_int, op_vec and friends do not handle (table by ZydisMnemonic).
 */
op_fn sys_op_lookup(u16 mnemonic);

/* event.c: called by the run loop with vp->cpu complete and vp->escape set.
 * event_deliver_fault: vp->fault_* holds an exception raised by an instruction, or by the delivery
 * of an earlier event (vp->delivering): intercept, deliver, or make it a double or triple fault.
 * event_boundary: attention bits are set: injections, debug traps, NMI, INTR, windows, MTF in the
 * architectural order (SDM 3A "Prioritization of Concurrent Events"). Both return true when
 * engine_run() must return with vp->exit. */
bool event_deliver_fault(struct vp *vp);
bool event_boundary(struct vp *vp, bool *stop_request);
/* Software interrupt INT n, INT3, INTO, INT1 (slow functions use it). */
void event_software_interrupt(struct vp *vp, const struct op *op, u32 vector, u32 intr_type);
/* VM entry, VM exit or a debugger changed the state: engine_state_changed() calls it. Whatever was
 * remembered of the instruction stream before (TF sampled, shadow begun, MTF armed) is forgotten;
 * attention bits are set from vp->cpu and vp->ctl. */
void event_state_changed(struct vp *vp);
/* RFLAGS.IF became 1: what waited for it (ev.held) is pending again. */
void event_release(struct vp *vp);

/* RFLAGS.RF and the STI and MOV SS shadows cover one instruction. They are taken away when somebody
 * looks: whoever completes vp->cpu calls event_uncover() where there is one. */
static inline bool event_is_covered(const struct vp *vp)
{
	return unlikely((vp->cpu.rflags & RFLAGS_RF) ||
			vp->cpu.interruptibility &
				(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}
/* End RF and shadows, unless the instruction that they cover is still to come (vp->insns, RCX). */
void event_uncover(struct vp *vp);
/* What there is covers the instruction that begins at count @insns. */
void event_cover(struct vp *vp, u64 insns);
/* INTO, BOUND and the like raise a trap or fault through vp_fault(); this is for #DB only: @bits in
 * the layout of DR6 go to DR6 at delivery, to the exit qualification at an exit. */
_Noreturn void event_debug_fault(struct vp *vp, const struct op *op, u64 bits);

/* The IDT-vectoring fields of vp->exit from the event whose delivery is in progress, if any, and
 * the end of that delivery. vp_exit() calls it; event.c does for its own exits. Source: SDM 3C
 * "Information for VM Exits During Event Delivery". */
void event_exit_vectoring(struct vp *vp);

/* debug.c: access.c calls it after a data access (I/O: by the port operations) when VP_ATTN_WATCH
 * is set; a match becomes a pending debug exception, delivered after the instruction. */
enum debug_access { DEBUG_READ, DEBUG_WRITE, DEBUG_IO };
void debug_data_access(struct vp *vp, u64 gva, u32 size, enum debug_access kind);
/* Does DR7 have an enabled breakpoint? vp_update_mode() and MOV DR keep VP_ATTN_WATCH by it. */
bool debug_is_armed(const struct vp *vp);

/* far.c, segment.c, task.c */
void segment_load(struct vp *vp, const struct op *op, u32 seg,
		  u16 sel); /* MOV/POP Sreg, LDS…: faults */
void segment_set_real(struct vp *vp, u32 seg, u16 sel);

/* intercept.c: does the running VMX configuration want this? Fills vp->exit and leaves by
 * vp_exit(). */
void intercept_check(struct vp *vp, const struct op *op, u32 exit_reason, u64 qualification);
bool intercept_msr(const struct vp *vp, u32 msr, bool write);
bool intercept_port(const struct vp *vp, u16 port, u32 size);
/* VM-exit instruction information of the running operation, SDM 3C "Information for VM Exits Due to
 * Instruction Execution" */
u32 intercept_insn_info(struct vp *vp, const struct op *op);

/* The single bit pattern for general exceptions whose delivery pushes an error code. */
static inline bool exception_has_error(u32 vector)
{
	return vector < 32 && (0x00227d00u >> vector & 1);
}

#endif
