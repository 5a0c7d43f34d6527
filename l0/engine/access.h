/*
 * Guest memory accesses for operations. Explicit ones take a segment and an offset, are checked by
 * segment limit and type where the mode needs it, use the soft TLB, and leave by vp_fault() or
 * vp_exit() when they cannot be done; nothing has been written then (stores that straddle pages
 * probe both first). @op may be NULL while an event is delivered.
 */
#ifndef L0_ENGINE_ACCESS_H
#define L0_ENGINE_ACCESS_H

#include "l0/engine/op.h"

/* Explicit accesses by segment (enum seg_index) and offset; size 1, 2, 4, 8. */
u64 seg_read(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size);
void seg_write(struct vp *vp, const struct op *op, u32 seg, u64 off, u64 value, u32 size);
/* Read-modify-write: checks for write first (page fault reports W), returns the value. */
u64 seg_read_rmw(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size);
/* Linear address of an access after the segment checks (no translation). */
u64 seg_linear(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size, bool write);
/* Bulk, for vector operands, FXSAVE and the like: any length up to 4096. */
void seg_read_bytes(struct vp *vp, const struct op *op, u32 seg, u64 off, void *buf, u32 len);
void seg_write_bytes(struct vp *vp, const struct op *op, u32 seg, u64 off, const void *buf,
		     u32 len);

/* Linear accesses with CPL rights (@user = CPL 3). */
u64 lin_read(struct vp *vp, const struct op *op, u64 gva, u32 size);
void lin_write(struct vp *vp, const struct op *op, u64 gva, u64 value, u32 size);
void lin_probe_write(struct vp *vp, const struct op *op, u64 gva, u32 len);
/* Implicit supervisor accesses: GDT, LDT, IDT, TSS, and stacks of an inner privilege level. */
u64 sys_read(struct vp *vp, const struct op *op, u64 gva, u32 size);
void sys_write(struct vp *vp, const struct op *op, u64 gva, u64 value, u32 size);
void sys_probe_write(struct vp *vp, const struct op *op, u64 gva, u32 len);

/* What follows from a translation that failed: a fault (#PF, #VE) or an exit. */
_Noreturn void access_failed(struct vp *vp, const struct op *op, enum vtlb_status st, u64 gva,
			     const struct vtlb_fault *f);

/* Effective offset of the memory operand of @op (base + index * scale + disp, by address size). */
u64 op_ea(struct vp *vp, const struct op *op);

/* Flags: complete RFLAGS from vp->cpu.rflags and vp->arith, and back. */
u64 vp_rflags(const struct vp *vp);
void vp_set_rflags(struct vp *vp, u64 rflags);

/* Segments, CR0/3/4, EFER, CPL or RFLAGS.(VM|AC|TF|IF) changed: mode, ea_base, mmu_mode, attention.
 */
void vp_update_mode(struct vp *vp);
/* The paging context changed: vtlb_set_context() from vp->cpu and vp->ctl. */
void vp_update_paging(struct vp *vp);

#endif
