/*
 * Flags that depend on privilege: CLI, STI, PUSHF, POPF with IOPL, virtual-8086 mode extensions and
 * protected-mode virtual interrupts; STAC, CLAC; the software interrupts.
 * Source: SDM 2 "CLI", "STI", "PUSHF", "POPF"; SDM 3A "8086 Emulation".
 */
#include "l0/engine/sys_priv.h"

/* How an instruction may treat IF. */
enum if_access { IF_REAL, IF_VIRTUAL, IF_DENIED };

static enum if_access if_access(const struct vp *vp)
{
	u32 cpl = cur_cpl(vp);

	if (is_real(vp) || cpl <= cur_iopl(vp))
		return IF_REAL;
	if (is_v86(vp) ? vp->cpu.cr4 & CR4_VME : cpl == 3 && (vp->cpu.cr4 & CR4_PVI))
		return IF_VIRTUAL;
	return IF_DENIED;
}

void op_cli(struct vp *vp, const struct op *op)
{
	switch (if_access(vp)) {
	case IF_REAL: flags_merge(vp, 0, RFLAGS_IF); break;
	case IF_VIRTUAL: flags_merge(vp, 0, RFLAGS_VIF); break;
	case IF_DENIED: fault_gp0(vp, op);
	}
}

void op_sti(struct vp *vp, const struct op *op)
{
	switch (if_access(vp)) {
	case IF_REAL:
		if (vp->cpu.rflags & RFLAGS_IF)
			break;
		flags_merge(vp, RFLAGS_IF, RFLAGS_IF);
		event_shadow(vp, INTERRUPTIBILITY_STI);
		break;
	case IF_VIRTUAL:
		if (vp->cpu.rflags & RFLAGS_VIP)
			fault_gp0(vp, op);
		flags_merge(vp, RFLAGS_VIF, RFLAGS_VIF);
		break;
	case IF_DENIED: fault_gp0(vp, op);
	}
}

/* CLAC 0F 01 CA, STAC 0F 01 CB. */
void op_clac(struct vp *vp, const struct op *op)
{
	if (!vp->features->has_smap || cur_cpl(vp))
		fault_ud(vp, op);
	flags_write(vp, op->modrm & 1 ? RFLAGS_AC : 0, RFLAGS_AC);
}

void op_pushf(struct vp *vp, const struct op *op)
{
	u64 flags = vp->cpu.rflags & ~(RFLAGS_VM | RFLAGS_RF);

	if (is_v86(vp) && cur_iopl(vp) != 3) {
		if (!(vp->cpu.cr4 & CR4_VME) || op->size != 2)
			fault_gp0(vp, op);
		flags = (flags & ~RFLAGS_IF) | RFLAGS_IOPL | (flags & RFLAGS_VIF ? RFLAGS_IF : 0);
	}
	stack_set(vp, stack_push(vp, op, &flags, 1, op->size));
}

/* POPF in virtual-8086 mode with IOPL below 3: IF stands for VIF. */
static void popf_vme(struct vp *vp, const struct op *op, u64 flags)
{
	u64 mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_VIF | RFLAGS_RF;

	if (!(vp->cpu.cr4 & CR4_VME) || op->size != 2 || (flags & RFLAGS_TF) ||
	    ((flags & RFLAGS_IF) && (vp->cpu.rflags & RFLAGS_VIP)))
		fault_gp0(vp, op);
	flags = (flags & 0xffff) | (flags & RFLAGS_IF ? RFLAGS_VIF : 0);
	stack_set(vp, vp->cpu.gpr[RSP] + op->size);
	flags_write(vp, flags, mask);
}

void op_popf(struct vp *vp, const struct op *op)
{
	u64 mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_RF, flags;
	u32 cpl = cur_cpl(vp);

	if (is_v86(vp) && cur_iopl(vp) != 3 && (!(vp->cpu.cr4 & CR4_VME) || op->size != 2))
		fault_gp0(vp, op);
	flags = stack_peek(vp, op, 0, op->size);
	if (is_v86(vp) && cur_iopl(vp) != 3) {
		popf_vme(vp, op, flags);
		return;
	}
	if (op->size > 2)
		mask |= RFLAGS_AC | RFLAGS_ID;
	if (cpl == 0)
		mask |= RFLAGS_IOPL;
	if (cpl <= cur_iopl(vp))
		mask |= RFLAGS_IF;
	stack_set(vp, vp->cpu.gpr[RSP] + op->size);
	flags_write(vp, flags & ~RFLAGS_RF, mask);
}

void op_int(struct vp *vp, const struct op *op)
{
	switch (op->aux & 0xff) {
	case 0xcc: event_software_interrupt(vp, op, VECTOR_BP, INTR_TYPE_SW_EXCEPTION); break;
	case 0xf1: event_software_interrupt(vp, op, VECTOR_DB, INTR_TYPE_PRIV_SW_EXCEPTION); break;
	case 0xce:
		if (!(vp->cpu.rflags & RFLAGS_OF))
			return;
		event_software_interrupt(vp, op, VECTOR_OF, INTR_TYPE_SW_EXCEPTION);
		break;
	default: event_software_interrupt(vp, op, op->imm & 0xff, INTR_TYPE_SW_INTERRUPT);
	}
	branch_far(vp);
}
