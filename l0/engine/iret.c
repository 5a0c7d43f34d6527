/*
 * IRET in every mode: real, virtual-8086 (with and without VME), protected to the same or an outer
 * level or into virtual-8086 mode, return from a nested task, 64-bit. Source: SDM 2
 * "IRET/IRETD/IRETQ".
 */
#include "l0/engine/sys_priv.h"

#define FLAGS16 (RFLAGS_ARITH | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT)

/* Every flag that the running mode lets IRET or POPF change, for an operand of @size bytes. */
static u64 iret_mask(const struct vp *vp, u32 size)
{
	u64 mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;
	u32 cpl = cur_cpl(vp);

	if (size > 2)
		mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	if (cpl == 0) {
		mask |= RFLAGS_IOPL;
		if (size > 2)
			mask |= RFLAGS_VIF | RFLAGS_VIP;
	}
	if (cpl <= cur_iopl(vp))
		mask |= RFLAGS_IF;
	return mask;
}

/* SDM 3C "Changes to Instruction Behavior in VMX Non-Root Operation", IRET: who unblocks what. */
static void unblock_nmi(struct vp *vp)
{
	bool tracks = !ctl_pin(vp, PIN_NMI) || ctl_pin(vp, PIN_VIRTUAL_NMIS);

	if (tracks && (vp->cpu.interruptibility & INTERRUPTIBILITY_NMI)) {
		vp->cpu.interruptibility &= ~INTERRUPTIBILITY_NMI;
		vp->ev.iret_unblocked = true;
		vp_update_mode(vp); /* an NMI may be waiting */
	}
}

static void iret_real(struct vp *vp, const struct op *op)
{
	u64 rip = stack_peek(vp, op, 0, op->size), flags = stack_peek(vp, op, 2, op->size);
	u16 sel = (u16)stack_peek(vp, op, 1, op->size);

	if (rip > vp->cpu.seg[SEG_CS].limit)
		fault_gp0(vp, op);
	stack_set(vp, vp->cpu.gpr[RSP] + 3 * op->size);
	segment_set_real(vp, SEG_CS, sel);
	flags_write(vp, flags,
		    op->size == 2 ? FLAGS16 : FLAGS16 | RFLAGS_RF | RFLAGS_AC | RFLAGS_ID);
	vp->next_rip = rip;
}

static void iret_v86(struct vp *vp, const struct op *op)
{
	u64 rip = stack_peek(vp, op, 0, op->size), flags = stack_peek(vp, op, 2, op->size);
	u16 sel = (u16)stack_peek(vp, op, 1, op->size);
	u64 mask = FLAGS16 & ~RFLAGS_IOPL;

	if (cur_iopl(vp) == 3) {
		if (op->size > 2)
			mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	} else {
		/* virtual-8086 mode extensions: IF stands for VIF */
		if (!(vp->cpu.cr4 & CR4_VME) || op->size > 2 || (flags & RFLAGS_TF) ||
		    ((flags & RFLAGS_IF) && (vp->cpu.rflags & RFLAGS_VIP)))
			fault_gp0(vp, op);
		mask = (mask & ~RFLAGS_IF) | RFLAGS_VIF;
		flags = (flags & ~RFLAGS_VIF) | (flags & RFLAGS_IF ? RFLAGS_VIF : 0);
	}
	if (rip > vp->cpu.seg[SEG_CS].limit)
		fault_gp0(vp, op);
	stack_set(vp, vp->cpu.gpr[RSP] + 3 * op->size);
	segment_set_v86(vp, SEG_CS, sel);
	flags_write(vp, flags, mask);
	vp->next_rip = rip;
}

/* Level 0 returns into virtual-8086 mode: EIP CS EFLAGS ESP SS ES DS FS GS, 32 bits each. */
static void iret_to_v86(struct vp *vp, const struct op *op, u64 rip, u16 cs, u64 flags)
{
	static const u8 order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	u16 sel[ARRAY_SIZE(order)];
	u64 sp;

	if (rip > 0xffff)
		fault_gp0(vp, op);
	sp = stack_peek(vp, op, 3, 4);
	for (u32 i = 0; i < ARRAY_SIZE(order); i++)
		sel[i] = (u16)stack_peek(vp, op, 4 + i, 4);
	segment_set_v86(vp, SEG_CS, cs);
	for (u32 i = 0; i < ARRAY_SIZE(order); i++)
		segment_set_v86(vp, order[i], sel[i]);
	vp->cpu.gpr[RSP] = sp;
	flags_write(vp, flags, RFLAGS_DEFINED);
	vp->next_rip = rip;
}

static void iret_task(struct vp *vp, const struct op *op)
{
	const struct seg *tr = &vp->cpu.seg[SEG_TR];
	u16 link = (u16)sys_read(vp, op, (u32)tr->base, 2);
	struct desc d;

	if ((link & SEL_TI) || !desc_fetch(vp, op, link, &d))
		fault_sel(vp, op, VECTOR_TS, link);
	if (desc_s(&d) ||
	    (desc_type(&d) != DESC_TYPE_TSS16_BUSY && desc_type(&d) != DESC_TYPE_TSS32_BUSY))
		fault_sel(vp, op, VECTOR_TS, link);
	if (!desc_p(&d))
		fault_sel(vp, op, VECTOR_NP, link);
	task_switch(vp, op, link, &d, TASK_IRET, vp->next_rip, vp->cpu.rflags, false, 0);
}

static void iret_protected(struct vp *vp, const struct op *op)
{
	u32 size = op->size;
	u64 v[3]; /* RIP, CS, RFLAGS */

	stack_peek_frame(vp, op, v, 3, size);
	if (size == 4 && (v[2] & RFLAGS_VM) && cur_cpl(vp) == 0 && !is_lma(vp)) {
		iret_to_v86(vp, op, v[0], (u16)v[1], v[2]);
		return;
	}
	far_return(vp, op, v[0], (u16)v[1], size, 3 * size, is_code64(vp), v[2],
		   iret_mask(vp, size));
}

void op_iret(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];

	vp->ev.iret_unblocked = false;
	if (is_v86(vp) && cur_iopl(vp) != 3 && !(vp->cpu.cr4 & CR4_VME))
		fault_gp0(vp, op);
	if (is_protected(vp) && (vp->cpu.rflags & RFLAGS_NT)) {
		if (is_lma(vp))
			fault_gp0(vp, op);
		unblock_nmi(vp);
		iret_task(vp, op);
	} else {
		unblock_nmi(vp);
		if (is_real(vp))
			iret_real(vp, op);
		else if (is_v86(vp))
			iret_v86(vp, op);
		else
			iret_protected(vp, op);
	}
	vp->ev.iret_unblocked = false;
	branch_far(vp);
	if (unlikely(vp->watch_stacks) && cur_cpl(vp) == 0)
		stack_watch(vp, THREAD_BY_RETURN, prev);
}
