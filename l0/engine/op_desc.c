/*
 * Segment registers and descriptor tables: MOV/PUSH/POP Sreg, LDS and kin, LGDT … STR, LAR, LSL,
 * VERR, VERW, ARPL. Source: SDM 2, each instruction; SDM 3A "Protection".
 */
#include "l0/engine/sys_priv.h"

/* --- segment registers ------------------------------------------------------------------------ */

/* MOV 8C (from Sreg), 8E (to Sreg). */
void op_mov_sreg(struct vp *vp, const struct op *op)
{
	u32 seg = op->modrm >> 3 & 7;
	u64 sel;

	if (seg > SEG_GS)
		fault_ud(vp, op);
	if ((op->aux & 0xff) == 0x8c) {
		sel = vp->cpu.seg[seg].sel;
		if (op->flags & OP_MEM)
			seg_write(vp, op, op->seg, op_ea(vp, op), sel, 2);
		else
			sys_reg_write(vp, op->src, sel, op->size);
		return;
	}
	if (seg == SEG_CS)
		fault_ud(vp, op);
	if (op->flags & OP_MEM)
		sel = seg_read(vp, op, op->seg, op_ea(vp, op), 2);
	else
		sel = vp->cpu.gpr[op->src];
	segment_load(vp, op, seg, (u16)sel);
	if (seg == SEG_SS) {
		event_shadow(vp, INTERRUPTIBILITY_MOV_SS);
		if (unlikely(vp->mode & VP_MODE_STACKS))
			stack_watch(vp, THREAD_BY_SS, vp->cpu.gpr[RSP]);
	}
}

/* 06 0E 16 1E, 07 17 1F: bits 4:3; 0F A0/A1 FS, 0F A8/A9 GS. */
static u32 stack_form_seg(const struct op *op)
{
	if (op->aux >> 8)
		return op->aux & 8 ? SEG_GS : SEG_FS;
	return op->aux >> 3 & 3;
}

void op_push_sreg(struct vp *vp, const struct op *op)
{
	u64 sel = vp->cpu.seg[stack_form_seg(op)].sel;

	stack_set(vp, stack_push(vp, op, &sel, 1, op->size));
}

void op_pop_sreg(struct vp *vp, const struct op *op)
{
	u32 seg = stack_form_seg(op);
	u16 sel = (u16)stack_peek(vp, op, 0, op->size);
	u64 mask = stack_mask(vp), sp = vp->cpu.gpr[RSP];

	segment_load(vp, op, seg, sel);
	/* SP moves by the stack size before the load */
	vp->cpu.gpr[RSP] = mask == 0xffff ? (sp & ~0xffffull) | ((sp + op->size) & 0xffff)
					  : (sp + op->size) & mask;
	if (seg == SEG_SS) {
		event_shadow(vp, INTERRUPTIBILITY_MOV_SS);
		if (unlikely(vp->mode & VP_MODE_STACKS))
			stack_watch(vp, THREAD_BY_SS, sp);
	}
}

/* C4 LES, C5 LDS; 0F B2 LSS, B4 LFS, B5 LGS. */
void op_load_far_pointer(struct vp *vp, const struct op *op)
{
	u32 code = op->aux & 0xff;
	u32 seg = code == 0xc4	 ? SEG_ES
		  : code == 0xc5 ? SEG_DS
		  : code == 0xb2 ? SEG_SS
		  : code == 0xb4 ? SEG_FS
				 : SEG_GS;
	u64 ea = op_ea(vp, op), off, prev = vp->cpu.gpr[RSP];
	u16 sel;

	off = seg_read(vp, op, op->seg, ea, op->size);
	sel = (u16)seg_read(vp, op, op->seg, ea + op->size, 2);
	segment_load(vp, op, seg, sel);
	sys_reg_write(vp, op->dst, off, op->size);
	if (unlikely(vp->mode & VP_MODE_STACKS) && (seg == SEG_SS || op->dst == RSP))
		stack_watch(vp, THREAD_BY_SS, prev);
}

/* --- GDTR, IDTR ------------------------------------------------------------------------------- */

static bool is_idt_form(const struct op *op)
{
	return op->modrm >> 3 & 1;
}

void op_load_table(struct vp *vp, const struct op *op)
{
	struct table_reg *t = is_idt_form(op) ? &vp->cpu.idtr : &vp->cpu.gdtr;
	u64 ea, base;
	u32 limit;

	if (cur_cpl(vp))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_GDTR_IDTR, 0);
	ea = op_ea(vp, op);
	limit = (u32)seg_read(vp, op, op->seg, ea, 2);
	base = seg_read(vp, op, op->seg, ea + 2, is_code64(vp) ? 8 : 4);
	if (!is_code64(vp) && op->size == 2)
		base &= 0xffffff;
	if (!base_ok(vp, base))
		fault_gp0(vp, op);
	t->base = base;
	t->limit = limit;
}

void op_store_table(struct vp *vp, const struct op *op)
{
	const struct table_reg *t = is_idt_form(op) ? &vp->cpu.idtr : &vp->cpu.gdtr;
	u32 size = is_code64(vp) ? 8 : 4;
	u64 ea, lin;

	if ((vp->cpu.cr4 & CR4_UMIP) && cur_cpl(vp))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_GDTR_IDTR, 0);
	ea = op_ea(vp, op);
	lin = seg_linear(vp, op, op->seg, ea, 2 + size, true);
	lin_probe_write(vp, op, lin, 2 + size);
	seg_write(vp, op, op->seg, ea, t->limit, 2);
	seg_write(vp, op, op->seg, ea + 2, t->base,
		  size); /* the whole base with a 16-bit operand too */
}

/* --- LDTR, TR --------------------------------------------------------------------------------- */

static u16 selector_operand(struct vp *vp, const struct op *op)
{
	if (op->flags & OP_MEM)
		return (u16)seg_read(vp, op, op->seg, op_ea(vp, op), 2);
	return (u16)vp->cpu.gpr[op->src];
}

static void check_protected(struct vp *vp, const struct op *op)
{
	if (!is_protected(vp))
		fault_ud(vp, op);
}

/* SLDT 0F 00 /0, STR /1. */
void op_store_selector(struct vp *vp, const struct op *op)
{
	u64 sel = vp->cpu.seg[op->modrm >> 3 & 1 ? SEG_TR : SEG_LDTR].sel;

	check_protected(vp, op);
	if ((vp->cpu.cr4 & CR4_UMIP) && cur_cpl(vp))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_LDTR_TR, 0);
	if (op->flags & OP_MEM)
		seg_write(vp, op, op->seg, op_ea(vp, op), sel, 2);
	else
		sys_reg_write(vp, op->src, sel, op->size);
}

/* A system segment: 16 bytes under IA-32e mode. */
static void fetch_system(struct vp *vp, const struct op *op, u16 sel, struct desc *d)
{
	if ((sel & SEL_TI) || !desc_fetch(vp, op, sel, d))
		fault_sel(vp, op, VECTOR_GP, sel);
}

static void load_system(struct vp *vp, const struct op *op, u32 seg, u16 sel, struct desc *d)
{
	struct seg s;

	if (!desc_p(d))
		fault_sel(vp, op, VECTOR_NP, sel);
	if (is_lma(vp))
		desc_fetch_upper(vp, op, sel, d);
	desc_to_seg(d, sel, &s);
	s.base = desc_system_base(d);
	if (!base_ok(vp, s.base))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (seg == SEG_TR) {
		sys_write(vp, op, d->gva + 5, (d->lo >> 40 & 0xff) | 2, 1);
		s.ar |= 2;
	}
	vp->cpu.seg[seg] = s;
}

void op_lldt(struct vp *vp, const struct op *op)
{
	struct desc d;
	u16 sel;

	check_protected(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_LDTR_TR, 0);
	sel = selector_operand(vp, op);
	if (sel_is_null(sel)) {
		segment_set_null(vp, SEG_LDTR, sel, 0);
		return;
	}
	fetch_system(vp, op, sel, &d);
	if (desc_s(&d) || desc_type(&d) != DESC_TYPE_LDT)
		fault_sel(vp, op, VECTOR_GP, sel);
	load_system(vp, op, SEG_LDTR, sel, &d);
}

void op_ltr(struct vp *vp, const struct op *op)
{
	struct desc d;
	u16 sel;

	check_protected(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_LDTR_TR, 0);
	sel = selector_operand(vp, op);
	if (sel_is_null(sel))
		fault_gp0(vp, op);
	fetch_system(vp, op, sel, &d);
	if (desc_s(&d) ||
	    (desc_type(&d) != DESC_TYPE_TSS32 && (is_lma(vp) || desc_type(&d) != DESC_TYPE_TSS16)))
		fault_sel(vp, op, VECTOR_GP, sel);
	load_system(vp, op, SEG_TR, sel, &d);
}

/* --- looking at descriptors ------------------------------------------------------------------- */

static void set_zf(struct vp *vp, bool zf)
{
	vp_set_rflags(vp, (vp->cpu.rflags & ~RFLAGS_ZF) | (zf ? RFLAGS_ZF : 0));
}

/* Types of system descriptors that LAR and LSL know, one bit each. */
#define LAR_LEGACY 0x1a3eu /* 1 2 3 4 5 9 11 12 */
#define LSL_LEGACY 0x0a0eu /* 1 2 3 9 11 */
#define LAR_LONG 0x1a04u   /* 2 9 11 12 */
#define LSL_LONG 0x0a04u   /* 2 9 11 */

/* The descriptor of @sel if the running privilege may know of it. */
static bool visible(struct vp *vp, const struct op *op, u16 sel, u32 system_types, struct desc *d)
{
	if (sel_is_null(sel) || !desc_fetch(vp, op, sel, d))
		return false;
	if (!desc_s(d) && !(system_types >> desc_type(d) & 1))
		return false;
	return desc_is_conforming(d) ||
	       (cur_cpl(vp) <= desc_dpl(d) && (sel & SEL_RPL) <= desc_dpl(d));
}

void op_lar(struct vp *vp, const struct op *op)
{
	struct desc d;
	bool ok;

	check_protected(vp, op);
	ok = visible(vp, op, selector_operand(vp, op), is_lma(vp) ? LAR_LONG : LAR_LEGACY, &d);
	if (ok)
		sys_reg_write(vp, op->dst, d.lo >> 32 & (op->size == 2 ? 0xff00 : 0x00f0ff00),
			      op->size);
	set_zf(vp, ok);
}

void op_lsl(struct vp *vp, const struct op *op)
{
	struct desc d;
	struct seg s;
	bool ok;

	check_protected(vp, op);
	ok = visible(vp, op, selector_operand(vp, op), is_lma(vp) ? LSL_LONG : LSL_LEGACY, &d);
	if (ok) {
		desc_to_seg(&d, 0, &s);
		sys_reg_write(vp, op->dst, s.limit, op->size);
	}
	set_zf(vp, ok);
}

/* VERR 0F 00 /4, VERW /5. */
void op_verify(struct vp *vp, const struct op *op)
{
	bool write = op->modrm >> 3 & 1, ok;
	struct desc d;

	check_protected(vp, op);
	ok = visible(vp, op, selector_operand(vp, op), 0, &d) && desc_s(&d);
	if (ok) /* data: writable for VERW; code: readable for VERR */
		ok = write ? desc_is_writable_data(&d) : !desc_is_code(&d) || (desc_type(&d) & 2);
	set_zf(vp, ok);
}

void op_arpl(struct vp *vp, const struct op *op)
{
	u64 ea = 0, dst, rpl = vp->cpu.gpr[op->dst] & SEL_RPL;
	bool raise;

	check_protected(vp, op);
	if (op->flags & OP_MEM) {
		ea = op_ea(vp, op);
		dst = seg_read_rmw(vp, op, op->seg, ea, 2);
	} else {
		dst = vp->cpu.gpr[op->src] & 0xffff;
	}
	raise = (dst & SEL_RPL) < rpl;
	if (raise) {
		dst = (dst & ~(u64)SEL_RPL) | rpl;
		if (op->flags & OP_MEM)
			seg_write(vp, op, op->seg, ea, dst, 2);
		else
			sys_reg_write(vp, op->src, dst, 2);
	}
	set_zf(vp, raise);
}
