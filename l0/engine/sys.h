/*
 * The system side of the engine: segments, far transfers, gates, tasks, event delivery, control
 * registers, intercepts. All functions run with vp->cpu complete (op_slow), raise faults before they
 * commit, set vp->next_rip for transfers.
 */
#ifndef L0_ENGINE_SYS_H
#define L0_ENGINE_SYS_H

#include "l0/engine/op.h"

/*
 * Slow operation for a mnemonic that is not a fast one, or NULL: #UD. decode.c asks for every
 * instruction that op_int, op_vec and friends do not handle (table by ZydisMnemonic).
 */
op_fn sys_op_lookup(u16 mnemonic);

/* event.c: called by the run loop with vp->cpu complete.
 * event_deliver_fault: vp->fault_* holds an exception raised by an instruction: intercept or deliver.
 * event_boundary: attention bits are set: injections, debug traps, NMI, INTR, windows, MTF in the
 * architectural order (SDM 3A "Prioritization of Concurrent Events"). Both return true when
 * engine_run() must return with vp->exit. */
bool event_deliver_fault(struct vp *vp);
bool event_boundary(struct vp *vp, bool *stop_request);
/* Software interrupt INT n, INT3, INTO, INT1 (slow functions use it). */
void event_software_interrupt(struct vp *vp, const struct op *op, u32 vector, u32 intr_type);

/* far.c, segment.c, task.c */
void segment_load(struct vp *vp, const struct op *op, u32 seg, u16 sel); /* MOV/POP Sreg, LDS…: faults */
void segment_set_real(struct vp *vp, u32 seg, u16 sel);

/* intercept.c: does the running VMX configuration want this? Fills vp->exit and leaves by vp_exit(). */
void intercept_check(struct vp *vp, const struct op *op, u32 exit_reason, u64 qualification);
bool intercept_msr(const struct vp *vp, u32 msr, bool write);
bool intercept_port(const struct vp *vp, u16 port, u32 size);
/* VM-exit instruction information of the running operation, SDM 3C "Information for VM Exits Due to Instruction Execution" */
u32 intercept_insn_info(struct vp *vp, const struct op *op);

/* The single bit pattern for general exceptions whose delivery pushes an error code. */
static inline bool exception_has_error(u32 vector)
{
	return vector < 32 && (0x00227d00u >> vector & 1);
}

#endif
