/*
 * JMP, CALL and RET far: real and virtual-8086 mode, code segments of the same level, conforming
 * ones, call gates (16, 32, 64 bit) with and without a stack switch. Targets that are tasks go to
 * task.c. Source: SDM 2 "JMP", "CALL", "RET"; SDM 3A "Privilege Level Checking When Transferring
 * Program Control Between Code Segments".
 */
#include "l0/engine/sys_priv.h"

static u64 ip_of_size(u64 off, u32 size)
{
	return size >= 8 ? off : off & mask_low(size * 8);
}

/* Is @rip a possible target in @cs? */
static void check_rip(struct vp *vp, const struct op *op, const struct seg *cs, u64 rip)
{
	bool ok = is_lma(vp) && (cs->ar & SEG_AR_L) ? linear_ok(vp, rip) : rip <= cs->limit;

	if (!ok)
		fault_gp0(vp, op);
}

static void cs_commit(struct vp *vp, const struct seg *cs, u64 rip)
{
	vp->cpu.seg[SEG_CS] = *cs;
	vp->next_rip = rip;
	vp_update_mode(vp);
}

/* Real and virtual-8086 mode have no descriptors: any selector goes. */
static void cs_set_unprotected(struct vp *vp, u16 sel, u64 rip)
{
	if (is_v86(vp))
		segment_set_v86(vp, SEG_CS, sel);
	else
		segment_set_real(vp, SEG_CS, sel);
	vp->next_rip = rip;
	vp_update_mode(vp);
}

/* The code segment of a direct JMP or CALL. */
static void check_direct(struct vp *vp, const struct op *op, u16 sel, const struct desc *d)
{
	u32 cpl = cur_cpl(vp), dpl = desc_dpl(d);

	if (is_lma(vp) && desc_l(d) && desc_db(d))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (desc_is_conforming(d) ? dpl > cpl : (sel & SEL_RPL) > cpl || dpl != cpl)
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(d))
		fault_sel(vp, op, VECTOR_NP, sel);
}

struct gate {
	u16 sel; /* of the code segment */
	u64 off;
	u32 size;   /* bytes of what it pushes */
	u32 params; /* words to copy to the new stack */
};

/* Check a call gate and its code segment. */
static void gate_open(struct vp *vp, const struct op *op, u16 gate_sel, struct desc *d, bool jump,
		      struct gate *g, struct desc *code)
{
	u32 cpl = cur_cpl(vp);
	bool gate32 = desc_type(d) == DESC_TYPE_CALL32;

	if (desc_dpl(d) < cpl || (gate_sel & SEL_RPL) > desc_dpl(d))
		fault_sel(vp, op, VECTOR_GP, gate_sel);
	if (is_lma(vp))
		desc_fetch_upper(vp, op, gate_sel, d);
	if (!desc_p(d))
		fault_sel(vp, op, VECTOR_NP, gate_sel);
	g->sel = (u16)(d->lo >> 16);
	g->off = d->lo & 0xffff;
	if (gate32)
		g->off |= d->lo >> 32 & 0xffff0000;
	if (is_lma(vp))
		g->off |= d->hi << 32;
	g->size = is_lma(vp) ? 8 : gate32 ? 4 : 2;
	g->params = is_lma(vp) ? 0 : d->lo >> 32 & 31;

	desc_fetch_or(vp, op, g->sel, VECTOR_GP, code);
	if (!desc_is_code(code) || desc_dpl(code) > cpl)
		fault_sel(vp, op, VECTOR_GP, g->sel);
	if (is_lma(vp) && (!desc_l(code) || desc_db(code)))
		fault_sel(vp, op, VECTOR_GP, g->sel);
	if (jump && !desc_is_conforming(code) && desc_dpl(code) != cpl)
		fault_sel(vp, op, VECTOR_GP, g->sel);
	if (!desc_p(code))
		fault_sel(vp, op, VECTOR_NP, g->sel);
}

/* CALL through a gate to an inner level: new stack from the TSS, parameters copied. */
static void gate_call_inner(struct vp *vp, const struct op *op, const struct gate *g,
			    struct desc *code)
{
	u32 cpl = desc_dpl(code), n = 0;
	u64 v[4 + 31], sp;
	struct seg cs, ss = {.sel = (u16)cpl, .ar = SEG_AR_UNUSABLE | cpl << SEG_AR_DPL_SHIFT};

	if (is_lma(vp))
		sp = stack_from_tss64(vp, op, cpl);
	else
		stack_from_tss(vp, op, cpl, &ss, &sp);
	v[n++] = vp->cpu.seg[SEG_SS].sel;
	v[n++] = vp->cpu.gpr[RSP] & (is_lma(vp) ? ~0ull : stack_mask(vp));
	for (u32 i = g->params; i-- > 0;)
		v[n++] = stack_peek(vp, op, i, g->size);
	v[n++] = vp->cpu.seg[SEG_CS].sel;
	v[n++] = vp->next_rip;
	desc_to_cs(vp, op, code, g->sel, cpl, &cs);
	check_rip(vp, op, &cs, g->off);
	sp = stack_push_inner(vp, op, &ss, sp, is_lma(vp), v, n, g->size);
	vp->cpu.seg[SEG_SS] = ss;
	vp->cpu.gpr[RSP] = sp;
	cs_commit(vp, &cs, g->off);
}

static void push_return(struct vp *vp, const struct op *op, u32 size, u64 *sp)
{
	u64 v[2] = {vp->cpu.seg[SEG_CS].sel, vp->next_rip};

	*sp = stack_push(vp, op, v, 2, size);
}

static void gate_enter(struct vp *vp, const struct op *op, u16 sel, struct desc *d, bool call)
{
	struct gate g;
	struct desc code;
	struct seg cs;
	u64 sp = 0;

	gate_open(vp, op, sel, d, !call, &g, &code);
	if (call && !desc_is_conforming(&code) && desc_dpl(&code) < cur_cpl(vp)) {
		gate_call_inner(vp, op, &g, &code);
		return;
	}
	desc_to_cs(vp, op, &code, g.sel, cur_cpl(vp), &cs);
	check_rip(vp, op, &cs, g.off);
	if (call) {
		push_return(vp, op, g.size, &sp);
		stack_set(vp, sp);
	}
	cs_commit(vp, &cs, g.off);
}

/* A system descriptor as target. */
static void far_system(struct vp *vp, const struct op *op, u16 sel, struct desc *d, bool call)
{
	switch (desc_type(d)) {
	case DESC_TYPE_CALL16:
		if (is_lma(vp))
			break;
		/* fallthrough */
	case DESC_TYPE_CALL32: gate_enter(vp, op, sel, d, call); return;
	case DESC_TYPE_TASK:
	case DESC_TYPE_TSS16:
	case DESC_TYPE_TSS32:
		if (is_lma(vp))
			break;
		task_far(vp, op, sel, d, call ? TASK_CALL : TASK_JMP);
		return;
	}
	fault_sel(vp, op, VECTOR_GP, sel);
}

void far_jump(struct vp *vp, const struct op *op, u16 sel, u64 off, u32 size)
{
	struct desc d;
	struct seg cs;

	off = ip_of_size(off, size);
	if (!is_protected(vp)) {
		check_rip(vp, op, &vp->cpu.seg[SEG_CS], off);
		cs_set_unprotected(vp, sel, off);
		return;
	}
	desc_fetch_or(vp, op, sel, VECTOR_GP, &d);
	if (!desc_s(&d)) {
		far_system(vp, op, sel, &d, false);
		return;
	}
	if (!desc_is_code(&d))
		fault_sel(vp, op, VECTOR_GP, sel);
	check_direct(vp, op, sel, &d);
	desc_to_cs(vp, op, &d, sel, cur_cpl(vp), &cs);
	check_rip(vp, op, &cs, off);
	cs_commit(vp, &cs, off);
}

void far_call(struct vp *vp, const struct op *op, u16 sel, u64 off, u32 size)
{
	struct desc d;
	struct seg cs;
	u64 sp;

	off = ip_of_size(off, size);
	if (!is_protected(vp)) {
		check_rip(vp, op, &vp->cpu.seg[SEG_CS], off);
		push_return(vp, op, size, &sp);
		stack_set(vp, sp);
		cs_set_unprotected(vp, sel, off);
		return;
	}
	desc_fetch_or(vp, op, sel, VECTOR_GP, &d);
	if (!desc_s(&d)) {
		far_system(vp, op, sel, &d, true);
		return;
	}
	if (!desc_is_code(&d))
		fault_sel(vp, op, VECTOR_GP, sel);
	check_direct(vp, op, sel, &d);
	desc_to_cs(vp, op, &d, sel, cur_cpl(vp), &cs);
	check_rip(vp, op, &cs, off);
	push_return(vp, op, size, &sp);
	stack_set(vp, sp);
	cs_commit(vp, &cs, off);
}

/* The far pointer operand: immediate, or m16:16, m16:32, m16:64. */
static u16 far_operand(struct vp *vp, const struct op *op, u64 *off)
{
	u64 ea;

	if (!(op->flags & OP_MEM)) {
		*off = op->imm;
		return op->sel;
	}
	ea = op_ea(vp, op);
	*off = seg_read(vp, op, op->seg, ea, op->size);
	return (u16)seg_read(vp, op, op->seg, ea + op->size, 2);
}

void op_jmp_far(struct vp *vp, const struct op *op)
{
	u64 off;
	u16 sel = far_operand(vp, op, &off);

	far_jump(vp, op, sel, off, op->size);
	branch_far(vp);
}

void op_call_far(struct vp *vp, const struct op *op)
{
	u64 off;
	u16 sel = far_operand(vp, op, &off);

	far_call(vp, op, sel, off, op->size);
	branch_far(vp);
}

/* SS:SP that an outer-level return pops from SP + @at. */
static void ret_outer_stack(struct vp *vp, const struct op *op, u64 at, u32 size,
			    const struct desc *code, u32 cpl, struct seg *ss, u64 *nsp)
{
	u64 sp = vp->cpu.gpr[RSP], mask = stack_mask(vp);
	u16 sel = (u16)seg_read(vp, op, SEG_SS, (sp + at + size) & mask, size);
	struct desc d;

	*nsp = seg_read(vp, op, SEG_SS, (sp + at) & mask, size);
	if (sel_is_null(sel)) {
		if (!is_lma(vp) || !desc_l(code) || cpl == 3 || (sel & SEL_RPL) != cpl)
			fault_gp0(vp, op);
		*ss = (struct seg){.sel = sel, .ar = SEG_AR_UNUSABLE | cpl << SEG_AR_DPL_SHIFT};
		return;
	}
	desc_fetch_or(vp, op, sel, VECTOR_GP, &d);
	if ((sel & SEL_RPL) != cpl || !desc_is_writable_data(&d) || desc_dpl(&d) != cpl)
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(&d))
		fault_sel(vp, op, VECTOR_SS, sel);
	desc_set_accessed(vp, op, &d);
	desc_to_seg(&d, sel, ss);
}

/* Code segment that RET or IRET returns to. */
static void check_return_code(struct vp *vp, const struct op *op, u16 sel, struct desc *d)
{
	u32 rpl = sel & SEL_RPL;

	desc_fetch_or(vp, op, sel, VECTOR_GP, d);
	if (rpl < cur_cpl(vp) || !desc_is_code(d))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (desc_is_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl)
		fault_sel(vp, op, VECTOR_GP, sel);
	if (is_lma(vp) && desc_l(d) && desc_db(d))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(d))
		fault_sel(vp, op, VECTOR_NP, sel);
}

void far_return(struct vp *vp, const struct op *op, u64 rip, u16 sel, u32 size, u64 at,
		bool pop_stack, u64 flags, u64 flags_mask)
{
	u32 rpl = sel & SEL_RPL;
	bool outer = rpl > cur_cpl(vp);
	struct desc d;
	struct seg cs, ss;
	u64 nsp = 0;

	check_return_code(vp, op, sel, &d);
	if (outer || pop_stack)
		ret_outer_stack(vp, op, at, size, &d, rpl, &ss, &nsp);
	desc_to_cs(vp, op, &d, sel, rpl, &cs);
	check_rip(vp, op, &cs, rip);

	/* commit; the stack size is that of the stack returned to */
	u64 same_sp = vp->cpu.gpr[RSP] + at;

	if (outer || pop_stack)
		vp->cpu.seg[SEG_SS] = ss;
	else
		stack_set(vp, same_sp);
	vp->cpu.seg[SEG_CS] = cs;
	if (outer || pop_stack)
		stack_set(vp, nsp);
	if (outer)
		segment_drop_privileged(vp, rpl);
	if (flags_mask)
		flags_merge(vp, flags, flags_mask);
	vp->next_rip = rip;
	vp_update_mode(vp);
}

void op_ret_far(struct vp *vp, const struct op *op)
{
	u32 size = op->size;
	u64 imm = (op->aux & 0xff) == 0xca ? op->imm & 0xffff : 0;
	u64 rip = ip_of_size(stack_peek(vp, op, 0, size), size);
	u16 sel = (u16)stack_peek(vp, op, 1, size);

	if (!is_protected(vp)) {
		check_rip(vp, op, &vp->cpu.seg[SEG_CS], rip);
		stack_set(vp, vp->cpu.gpr[RSP] + 2 * size + imm);
		cs_set_unprotected(vp, sel, rip);
		branch_far(vp);
		return;
	}
	bool outer = (sel & SEL_RPL) > cur_cpl(vp);

	far_return(vp, op, rip, sel, size, 2 * size + imm, false, 0, 0);
	if (outer && imm) /* the parameters lie on the outer stack too */
		stack_set(vp, vp->cpu.gpr[RSP] + imm);
	branch_far(vp);
}
