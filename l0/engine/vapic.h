/*
 * vapic.h - the virtualized APIC of a guest of L1's: what vapic.c does for access.c (APIC-access
 * page), op_cr.c and op_msr.c (CR8, x2APIC MSRs), boundary.c (completion of writes, delivery) and
 * l0/exit (VM entry and exit). It never touches the local APIC of L0's machine but for the EOI of a
 * posted-interrupt notification.
 */
#ifndef L0_ENGINE_VAPIC_H
#define L0_ENGINE_VAPIC_H

#include "l0/arch/vmx.h"
#include "l0/base/bits.h"
#include "l0/engine/vp.h"

/* vp->ev.vapic_write: a write waits for its completion; size in bits 18:16, offset in 11:0. */
#define VAPIC_WRITE 0x80000000u

/* Is the (machine) physical address in the APIC-access page? */
static inline bool vapic_owns(const struct vp *vp, u64 gpa)
{
	return unlikely(vp->ctl.proc2 & PROC2_APIC_ACCESSES) && (vp->ctl.proc & PROC_SECONDARY) &&
	       (gpa & PAGE_MASK) == vp->ctl.apic_access_gpa;
}

/**
 * vapic_access - an access of @size bytes to the APIC-access page
 * Return: the bytes in the virtual-APIC page; an access that is not virtualized exits. A write is
 * to be followed by vapic_written().
 */
u8 *vapic_access(struct vp *vp, const struct op *op, u64 gpa, u64 gva, bool write, u32 size);
void vapic_written(struct vp *vp, u64 gpa, u32 size);
/* An instruction is fetched from @gpa: exits when that is the APIC-access page. */
void vapic_fetch(struct vp *vp, u64 gpa, u64 gva);

/* "Use TPR shadow": CR8 is the virtual TPR. */
bool vapic_has_tpr(const struct vp *vp);
u32 vapic_tpr_read(const struct vp *vp);
void vapic_tpr_write(struct vp *vp, u32 tpr);

/* x2APIC MSRs. Return: false when the access is an ordinary one. */
bool vapic_msr_read(const struct vp *vp, u32 msr, u64 *val);
bool vapic_msr_write(struct vp *vp, const struct op *op, u32 msr, u64 val);

/* At an instruction boundary with VP_ATTN_VAPIC. Return: true: vp->exit is filled. */
bool vapic_boundary(struct vp *vp);
/* The virtual interrupt that VP_ATTN_VIRQ says is pending: now in service. Return: its vector. */
u32 vapic_take(struct vp *vp);
/* External interrupt @vector was acknowledged: was it the notification, and is it done with? */
bool vapic_posted(struct vp *vp, u32 vector);

/* After VM entry and VM exit. */
void vapic_entered(struct vp *vp);
void vapic_left(struct vp *vp);

#endif
