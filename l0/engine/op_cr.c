/*
 * Control and debug registers: MOV CR, LMSW, SMSW, CLTS, MOV DR. The guest/host masks come first,
 * then the checks of the effective value. Source: SDM 2 "MOV—Move to/from Control Registers",
 * SDM 3A "Control Registers", SDM 3C "Changes to Instruction Behavior in VMX Non-Root Operation".
 */
#include "l0/engine/sys_priv.h"
#include "l0/engine/vapic.h"

/* --- effects ---------------------------------------------------------------------------------- */

bool pdptes_load(struct vp *vp, const struct op *op, u64 cr3, u64 pdpte[4])
{
	u64 reserved = 0x1e6 | ~mask_low(vp->features->maxphyaddr);
	struct vtlb_xl xl;
	struct vtlb_fault f;
	enum vtlb_status st = vtlb_translate_gpa(&vp->tlb, cr3 & 0xffffffe0, VTLB_READ, &xl, &f);

	if (st == VTLB_EPT_VIOLATION || st == VTLB_EPT_MISCONFIG) {
		exit_begin(vp,
			   st == VTLB_EPT_VIOLATION ? EXIT_REASON_EPT_VIOLATION
						    : EXIT_REASON_EPT_MISCONFIG,
			   st == VTLB_EPT_VIOLATION ? f.qualification & ~EPT_VIOLATION_GLA_VALID
						    : 0);
		vp->exit.gpa = f.gpa;
		vp_exit(vp, op);
	}
	for (u32 i = 0; i < 4; i++) {
		pdpte[i] = st == VTLB_OK ? nm_load64(xl.hva + 8 * i) : ~0ull;
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return false;
	}
	return true;
}

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* In VMX operation some bits are fixed. Source: SDM 3D "VMX-Fixed Bits in CR0". */
static bool cr0_fixed_ok(const struct vp *vp, u64 val)
{
	u64 must = vp->features->cr0_fixed0;

	if (!vp->vmxon && !vp->in_l2)
		return true;
	if (vp->in_l2 && ctl_proc2(vp, PROC2_UNRESTRICTED_GUEST))
		must &= ~(CR0_PE | CR0_PG);
	return (val & must) == must && !(val & ~vp->features->cr0_fixed1);
}

static bool cr4_fixed_ok(const struct vp *vp, u64 val)
{
	u64 must = vp->features->cr4_fixed0;

	if (!vp->vmxon && !vp->in_l2)
		return true;
	return (val & must) == must && !(val & ~vp->features->cr4_fixed1);
}

/* Bits 31:0 of CR0 that are not defined are ignored; ET is always 1. */
void cr0_write(struct vp *vp, const struct op *op, u64 val)
{
	struct cpu_state *c = &vp->cpu;
	u64 old = c->cr0, changed, efer = c->efer, pdpte[4];

	if (val >> 32)
		fault_gp0(vp, op);
	val = (val & CR0_DEFINED) | CR0_ET;
	changed = val ^ old;
	if (((val & CR0_PG) && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD)))
		fault_gp0(vp, op);
	if (!cr0_fixed_ok(vp, val))
		fault_gp0(vp, op);
	if ((changed & val & CR0_PG) && (efer & EFER_LME)) {
		bool tss16 = (c->seg[SEG_TR].ar & 0x1d) == 1; /* 16-bit TSS, busy or not */

		if (!(c->cr4 & CR4_PAE) || (c->seg[SEG_CS].ar & SEG_AR_L) ||
		    (tss16 && !(c->seg[SEG_TR].ar & SEG_AR_UNUSABLE)))
			fault_gp0(vp, op);
		efer |= EFER_LMA;
	}
	if (changed & old & CR0_PG) {
		if (is_code64(vp) || (c->cr4 & CR4_PCIDE))
			fault_gp0(vp, op);
		efer &= ~EFER_LMA;
	}
	if (is_pae(val, c->cr4, efer) && (changed & (CR0_PG | CR0_CD | CR0_NW))) {
		if (!pdptes_load(vp, op, c->cr3, pdpte))
			fault_gp0(vp, op);
		nm_copy(c->pdpte, pdpte, sizeof(pdpte));
	}
	c->cr0 = val;
	c->efer = efer;
	vp_update_mode(vp);
	vp_update_paging(vp);
	if (changed & (CR0_PG | CR0_PE))
		vtlb_flush(&vp->tlb, true);
}

void cr3_commit(struct vp *vp, u64 val)
{
	u64 old = vp->cpu.cr3;
	bool no_flush = (vp->cpu.cr4 & CR4_PCIDE) && (val & CR3_NO_FLUSH);

	vp->cpu.cr3 = vp->cpu.cr4 & CR4_PCIDE ? val & ~CR3_NO_FLUSH : val;
	vp_update_paging(vp);
	vtlb_cr3_load(&vp->tlb, old, no_flush);
	if (vp->trace)
		TRANSITION(vp->trace, cr3_load, .cr3 = vp->cpu.cr3, .prev_cr3 = old);
}

void cr3_write(struct vp *vp, const struct op *op, u64 val)
{
	struct cpu_state *c = &vp->cpu;
	u64 reserved = ~mask_low(vp->features->maxphyaddr), pdpte[4];

	if (c->cr4 & CR4_PCIDE)
		reserved &= ~CR3_NO_FLUSH;
	if (val & reserved)
		fault_gp0(vp, op);
	if (is_pae(c->cr0, c->cr4, c->efer)) {
		if (!pdptes_load(vp, op, val, pdpte))
			fault_gp0(vp, op);
		nm_copy(c->pdpte, pdpte, sizeof(pdpte));
	}
	cr3_commit(vp, val);
}

void cr4_write(struct vp *vp, const struct op *op, u64 val)
{
	struct cpu_state *c = &vp->cpu;
	u64 changed = val ^ c->cr4, pdpte[4];

	if ((val & ~vp->features->cr4_valid) || !cr4_fixed_ok(vp, val))
		fault_gp0(vp, op);
	if (is_lma(vp) && (!(val & CR4_PAE) || (changed & CR4_LA57)))
		fault_gp0(vp, op);
	if ((changed & val & CR4_PCIDE) && (!is_lma(vp) || (c->cr3 & CR3_PCID_MASK)))
		fault_gp0(vp, op);
	if (is_pae(c->cr0, val, c->efer) && (changed & (CR4_PGE | CR4_PSE | CR4_PAE | CR4_SMEP))) {
		if (!pdptes_load(vp, op, c->cr3, pdpte))
			fault_gp0(vp, op);
		nm_copy(c->pdpte, pdpte, sizeof(pdpte));
	}
	c->cr4 = val;
	vp_update_mode(vp);
	vp_update_paging(vp);
	if (changed & (CR4_PGE | CR4_PSE | CR4_PAE | CR4_PCIDE | CR4_LA57) ||
	    (changed & val & CR4_SMEP))
		vtlb_flush(&vp->tlb, true);
}

/* --- intercepts ------------------------------------------------------------------------------- */

_Noreturn static void cr_exit(struct vp *vp, const struct op *op, u32 cr, u32 type, u32 reg,
			      u64 value)
{
	exit_begin(vp, EXIT_REASON_CR_ACCESS,
		   cr | type << CR_ACCESS_TYPE_SHIFT | (u64)reg << CR_ACCESS_REG_SHIFT);
	vp->exit.operand_value = value;
	vp_exit(vp, op);
}

/* What the guest sees of a register with a guest/host mask. */
static u64 masked(u64 real, u64 mask, u64 shadow)
{
	return (real & ~mask) | (shadow & mask);
}

/* --- CR8: the task priority ------------------------------------------------------------------- */

static u64 cr8_read(struct vp *vp)
{
	if (vapic_has_tpr(vp))
		return vapic_tpr_read(vp) >> 4;
	return vp->ops->get_tpr(vp) >> 4;
}

static void cr8_write(struct vp *vp, const struct op *op, u64 val)
{
	if (val & ~15ull)
		fault_gp0(vp, op);
	if (vapic_has_tpr(vp)) {
		vapic_tpr_write(vp, (u32)val << 4);
		return;
	}
	vp->cpu.cr8 = val;
	vp->ops->set_tpr(vp, (u8)(val << 4));
}

/* --- MOV CR ----------------------------------------------------------------------------------- */

static bool cr3_is_target(const struct vp *vp, u64 val)
{
	for (u32 i = 0; i < vp->ctl.cr3_target_count && i < 4; i++)
		if (vp->ctl.cr3_target[i] == val)
			return true;
	return false;
}

static void mov_to_cr(struct vp *vp, const struct op *op, u32 cr, u32 reg)
{
	const struct vmx_controls *k = &vp->ctl;
	u64 val = vp->cpu.gpr[reg];

	if (!is_code64(vp))
		val = (u32)val;
	switch (cr) {
	case 0:
		if ((val ^ k->cr0_shadow) & k->cr0_mask)
			cr_exit(vp, op, cr, CR_ACCESS_MOV_TO, reg, val);
		cr0_write(vp, op, (val & ~k->cr0_mask) | (vp->cpu.cr0 & k->cr0_mask));
		break;
	case 2: vp->cpu.cr2 = val; break;
	case 3:
		if (ctl_proc(vp, PROC_CR3_LOAD) && !cr3_is_target(vp, val))
			cr_exit(vp, op, cr, CR_ACCESS_MOV_TO, reg, val);
		cr3_write(vp, op, val);
		break;
	case 4:
		if ((val ^ k->cr4_shadow) & k->cr4_mask)
			cr_exit(vp, op, cr, CR_ACCESS_MOV_TO, reg, val);
		cr4_write(vp, op, (val & ~k->cr4_mask) | (vp->cpu.cr4 & k->cr4_mask));
		break;
	default:
		if (ctl_proc(vp, PROC_CR8_LOAD))
			cr_exit(vp, op, cr, CR_ACCESS_MOV_TO, reg, val);
		cr8_write(vp, op, val);
	}
}

static u64 mov_from_cr(struct vp *vp, const struct op *op, u32 cr, u32 reg)
{
	const struct vmx_controls *k = &vp->ctl;

	switch (cr) {
	case 0: return masked(vp->cpu.cr0, k->cr0_mask, k->cr0_shadow);
	case 2: return vp->cpu.cr2;
	case 3:
		if (ctl_proc(vp, PROC_CR3_STORE))
			cr_exit(vp, op, cr, CR_ACCESS_MOV_FROM, reg, 0);
		return vp->cpu.cr3;
	case 4: return masked(vp->cpu.cr4, k->cr4_mask, k->cr4_shadow);
	}
	if (ctl_proc(vp, PROC_CR8_STORE))
		cr_exit(vp, op, cr, CR_ACCESS_MOV_FROM, reg, 0);
	return cr8_read(vp);
}

static void op_mov_cr(struct vp *vp, const struct op *op)
{
	u32 cr = op->dst, reg = op->src;
	u64 val;

	if (cr != 0 && cr != 2 && cr != 3 && cr != 4 && cr != 8)
		fault_ud(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if ((op->aux & 0xff) == 0x22) {
		mov_to_cr(vp, op, cr, reg);
		return;
	}
	val = mov_from_cr(vp, op, cr, reg);
	vp->cpu.gpr[reg] = is_code64(vp) ? val : (u32)val;
}

/* --- LMSW, SMSW, CLTS ------------------------------------------------------------------------- */

void op_lmsw(struct vp *vp, const struct op *op)
{
	const struct vmx_controls *k = &vp->ctl;
	u64 src, val;
	bool pe;

	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (op->flags & OP_MEM)
		src = seg_read(vp, op, op->seg, op_ea(vp, op), 2);
	else
		src = vp->cpu.gpr[op->src];
	src &= 0xffff;
	pe = (k->cr0_mask & CR0_PE) && (src & CR0_PE) && !(k->cr0_shadow & CR0_PE);
	if (pe || ((src ^ k->cr0_shadow) & k->cr0_mask & (CR0_MP | CR0_EM | CR0_TS))) {
		exit_begin(vp, EXIT_REASON_CR_ACCESS,
			   CR_ACCESS_LMSW << CR_ACCESS_TYPE_SHIFT | src << 16 |
				   (op->flags & OP_MEM ? 1u << 6 : 0));
		if (op->flags & OP_MEM)
			vp->exit.gla = vp->exit.operand_gva = intercept_operand_gva(vp, op);
		vp->exit.operand_value = src;
		vp_exit(vp, op);
	}
	/* PE can be set, not cleared */
	val = (src & (CR0_PE | CR0_MP | CR0_EM | CR0_TS)) |
	      (vp->cpu.cr0 & ~(u64)(CR0_MP | CR0_EM | CR0_TS));
	cr0_write(vp, op, (val & ~k->cr0_mask) | (vp->cpu.cr0 & k->cr0_mask));
}

void op_smsw(struct vp *vp, const struct op *op)
{
	u64 val = masked(vp->cpu.cr0, vp->ctl.cr0_mask, vp->ctl.cr0_shadow);

	if ((vp->cpu.cr4 & CR4_UMIP) && cur_cpl(vp))
		fault_gp0(vp, op);
	if (op->flags & OP_MEM)
		seg_write(vp, op, op->seg, op_ea(vp, op), val & 0xffff, 2);
	else
		sys_reg_write(vp, op->src, val, op->size);
}

void op_clts(struct vp *vp, const struct op *op)
{
	const struct vmx_controls *k = &vp->ctl;

	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (k->cr0_mask & CR0_TS) {
		if (k->cr0_shadow & CR0_TS)
			cr_exit(vp, op, 0, CR_ACCESS_CLTS, 0, 0);
		return; /* the mask owns TS and the guest sees it clear: nothing to do */
	}
	vp->cpu.cr0 &= ~CR0_TS;
	vp_update_mode(vp);
}

/* --- debug registers -------------------------------------------------------------------------- */

#define DR6_WRITABLE 0xe00full
#define DR7_WRITABLE 0xffff23ffull

static void dr_write(struct vp *vp, const struct op *op, u32 dr, u64 val)
{
	if (dr >= 6 && val >> 32)
		fault_gp0(vp, op);
	if (dr < 4) {
		vp->cpu.dr[dr] = val;
	} else if (dr == 6) {
		vp->cpu.dr[6] = (val & DR6_WRITABLE) | DR6_FIXED;
	} else {
		vp->cpu.dr[7] = (val & DR7_WRITABLE) | DR7_FIXED;
		vp_update_mode(vp); /* VP_ATTN_WATCH */
	}
}

static void op_mov_dr(struct vp *vp, const struct op *op)
{
	u32 dr = op->dst, reg = op->src;
	bool to = (op->aux & 0xff) == 0x23;
	u64 val = vp->cpu.gpr[reg];

	if (dr > 7)
		fault_ud(vp, op);
	if (!is_code64(vp))
		val = (u32)val;
	/* SDM 3C "Instructions That Cause VM Exits Conditionally": before privilege and CR4.DE */
	if (ctl_proc(vp, PROC_MOV_DR)) {
		exit_begin(vp, EXIT_REASON_DR_ACCESS, dr | (to ? 0 : 1u << 4) | (u64)reg << 8);
		vp->exit.operand_value = to ? val : 0;
		vp_exit(vp, op);
	}
	if ((dr == 4 || dr == 5) && (vp->cpu.cr4 & CR4_DE))
		fault_ud(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (vp->cpu.dr[7] & DR7_GD)
		event_debug_fault(vp, op, DR6_BD);
	if (dr == 4 || dr == 5)
		dr += 2;
	if (to)
		dr_write(vp, op, dr, val);
	else
		vp->cpu.gpr[reg] = is_code64(vp) ? vp->cpu.dr[dr] : (u32)vp->cpu.dr[dr];
}

/* MOV with an operand that is no general register: 8C, 8E, 0F 20-23. */
void op_mov_system(struct vp *vp, const struct op *op)
{
	switch (op->aux & 0xff) {
	case 0x20:
	case 0x22: op_mov_cr(vp, op); break;
	case 0x21:
	case 0x23: op_mov_dr(vp, op); break;
	default: op_mov_sreg(vp, op);
	}
}
