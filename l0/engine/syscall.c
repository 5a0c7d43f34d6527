/*
 * The fast system calls and SWAPGS. Source: SDM 2 "SYSCALL", "SYSRET", "SYSENTER", "SYSEXIT",
 * "SWAPGS"; flat segments are loaded without descriptors.
 */
#include "l0/engine/sys_priv.h"

#define AR_CODE64 0xa09bu
#define AR_CODE32 0xc09bu
#define AR_DATA32 0xc093u
#define AR_DPL3 (3u << SEG_AR_DPL_SHIFT)

static void set_flat(struct vp *vp, u32 seg, u16 sel, u32 ar)
{
	vp->cpu.seg[seg] = (struct seg){.sel = sel, .ar = ar, .limit = 0xffffffff, .base = 0};
}

void op_syscall(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u16 sel = (u16)(c->star >> 32) & 0xfffc;

	if (!is_code64(vp) || !(c->efer & EFER_SCE) || !vp->features->has_syscall)
		fault_ud(vp, op);
	c->gpr[RCX] = vp->next_rip;
	c->gpr[R11] = c->rflags & ~RFLAGS_RF;
	set_flat(vp, SEG_CS, sel, AR_CODE64);
	set_flat(vp, SEG_SS, (u16)(sel + 8), AR_DATA32);
	vp->next_rip = c->lstar;
	flags_write(vp, 0, c->fmask | RFLAGS_RF);
	if (!(c->rflags & RFLAGS_TF)) /* masked: no trap after this instruction */
		vp->ev.step_armed = false;
	branch_far(vp);
}

void op_sysret(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u16 sel = (u16)(c->star >> 48);
	bool to64 = op->size == 8;

	if (!is_code64(vp) || !(c->efer & EFER_SCE) || !vp->features->has_syscall)
		fault_ud(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (to64 && !linear_ok(vp, c->gpr[RCX]))
		fault_gp0(vp, op);
	vp->next_rip = to64 ? c->gpr[RCX] : (u32)c->gpr[RCX];
	set_flat(vp, SEG_CS, (u16)(to64 ? sel + 16 : sel) | 3,
		 (to64 ? AR_CODE64 : AR_CODE32) | AR_DPL3);
	set_flat(vp, SEG_SS, (u16)(sel + 8) | 3, AR_DATA32 | AR_DPL3);
	flags_write(vp, c->gpr[R11] & ~(RFLAGS_RF | RFLAGS_VM), RFLAGS_DEFINED);
	branch_far(vp);
}

void op_sysenter(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u16 sel = (u16)c->sysenter_cs & 0xfffc;

	if (is_real(vp) || !sel)
		fault_gp0(vp, op);
	c->gpr[RSP] = is_lma(vp) ? c->sysenter_esp : (u32)c->sysenter_esp;
	vp->next_rip = is_lma(vp) ? c->sysenter_eip : (u32)c->sysenter_eip;
	set_flat(vp, SEG_CS, sel, is_lma(vp) ? AR_CODE64 : AR_CODE32);
	set_flat(vp, SEG_SS, (u16)(sel + 8), AR_DATA32);
	flags_write(vp, 0, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
	branch_far(vp);
}

void op_sysexit(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u16 sel = (u16)c->sysenter_cs & 0xfffc;
	bool to64 = op->size == 8;

	if (is_real(vp) || !sel || cur_cpl(vp))
		fault_gp0(vp, op);
	if (to64 && (!linear_ok(vp, c->gpr[RCX]) || !linear_ok(vp, c->gpr[RDX])))
		fault_gp0(vp, op);
	c->gpr[RSP] = to64 ? c->gpr[RCX] : (u32)c->gpr[RCX];
	vp->next_rip = to64 ? c->gpr[RDX] : (u32)c->gpr[RDX];
	set_flat(vp, SEG_CS, (u16)(sel + (to64 ? 32 : 16)) | 3,
		 (to64 ? AR_CODE64 : AR_CODE32) | AR_DPL3);
	set_flat(vp, SEG_SS, (u16)(sel + (to64 ? 40 : 24)) | 3, AR_DATA32 | AR_DPL3);
	vp_update_mode(vp);
	branch_far(vp);
}

void op_swapgs(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u64 base = c->seg[SEG_GS].base;

	if (!is_code64(vp))
		fault_ud(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	c->seg[SEG_GS].base = c->kernel_gs_base;
	c->kernel_gs_base = base;
	vp_update_mode(vp);
}
