/*
 * Delivery of exceptions and interrupts: IVT, IDT gates of 16, 32 and 64 bits, task gates, the
 * rules of double and triple faults, and exits that an exception causes. What happens between two
 * instructions is boundary.c.
 *
 * While an event is delivered vp->delivering is set and vp->idtv_* name it. A fault on the way
 * leaves by vp_fault() to the run loop, which calls event_deliver_fault() again: it finds the two
 * events and applies SDM 3A "Interrupt 8 - Double Fault Exception". Nothing has been committed
 * then. Source: SDM 3A "Interrupt and Exception Handling", "64-bit Mode Stack Frame"; SDM 2 "INT
 * n".
 */
#include "l0/engine/event_priv.h"
#include "l0/engine/quick.h"
#include "l0/engine/softtlb.h"

/* --- the event in progress -------------------------------------------------------------------- */

void event_begin(struct vp *vp, u32 info, u32 error, u32 len)
{
	vp->delivering = true;
	vp->idtv_info = info;
	vp->idtv_error = error;
	vp->idtv_len = len;
}

static void event_end(struct vp *vp, const struct event *e)
{
	vp->delivering = false;
	vp->idtv_info = 0;
	vp->ev.step_armed = false;
	vp->cpu.interruptibility &= ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
	if (vp->attn & VP_ATTN_MTF)
		vp->ev.mtf_due = true;
	vp->cpu.activity = ACTIVITY_ACTIVE;
	if (unlikely(vp->ev.mwait)) /* a store to it is a locked one */
		vp->ev.mwait = MWAIT_NO;
	if (e->type == INTR_TYPE_EXTERNAL || e->type == INTR_TYPE_NMI) {
		vp->n_interrupts++;
		if (vp->trace)
			TRANSITION(vp->trace, intr_injected, .vector = e->vector, .kind = e->type);
	} else {
		vp->n_exceptions++;
	}
}

void event_exit_vectoring(struct vp *vp)
{
	vp->exit.idt_vectoring_info = 0;
	if (!vp->delivering) {
		if (unlikely(vp->ev.iret_unblocked) &&
		    (vp->exit.reason == EXIT_REASON_EPT_VIOLATION ||
		     vp->exit.reason == EXIT_REASON_PML_FULL))
			vp->exit.qualification |= EPT_VIOLATION_NMI_UNBLOCKING;
		vp->ev.iret_unblocked = false;
		return;
	}
	vp->exit.idt_vectoring_info = vp->idtv_info & ~INTR_INFO_NMI_UNBLOCKING;
	vp->exit.idt_vectoring_error = vp->idtv_error;
	vp->exit.entry_insn_len = vp->idtv_len;
	vp->exit.insn_len = vp->idtv_len;
	vp->delivering = false;
	vp->idtv_info = 0;
}

static bool is_soft(const struct event *e)
{
	return e->type == INTR_TYPE_SW_INTERRUPT || e->type == INTR_TYPE_SW_EXCEPTION;
}

_Noreturn static void fault_idt(struct vp *vp, const struct op *op, u32 vector,
				const struct event *e)
{
	vp_fault(vp, op, vector, e->vector << 3 | 2u | event_ext(vp));
}

/* --- real mode -------------------------------------------------------------------------------- */

/* Push FLAGS:CS:IP of 16 bits, go through an entry of an interrupt vector table at @table. */
static void deliver_ivt(struct vp *vp, const struct op *op, const struct event *e, u64 table,
			u64 push_flags, u64 clear)
{
	u32 entry = (u32)sys_read(vp, op, (u32)(table + e->vector * 4), 4);
	u64 v[3] = {push_flags & 0xffff, vp->cpu.seg[SEG_CS].sel, e->rip & 0xffff};

	stack_set(vp, stack_push(vp, op, v, 3, 2));
	if (is_v86(vp))
		segment_set_v86(vp, SEG_CS, (u16)(entry >> 16));
	else
		segment_set_real(vp, SEG_CS, (u16)(entry >> 16));
	vp->cpu.rip = vp->next_rip = entry & 0xffff;
	flags_write(vp, 0, clear | RFLAGS_TF | RFLAGS_RF);
}

static void deliver_real(struct vp *vp, const struct op *op, const struct event *e)
{
	if (e->vector * 4 + 3 > vp->cpu.idtr.limit)
		fault_idt(vp, op, VECTOR_GP, e);
	deliver_ivt(vp, op, e, vp->cpu.idtr.base, e->flags, RFLAGS_IF | RFLAGS_AC);
}

/* --- protected mode --------------------------------------------------------------------------- */

static void deliver_task(struct vp *vp, const struct op *op, const struct event *e,
			 const struct desc *gate)
{
	u16 sel = (u16)(gate->lo >> 16);
	struct desc d;

	if ((sel & SEL_TI) || sel_is_null(sel) || !desc_fetch(vp, op, sel, &d))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (desc_s(&d) || (desc_type(&d) != DESC_TYPE_TSS16 && desc_type(&d) != DESC_TYPE_TSS32))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(&d))
		fault_sel(vp, op, VECTOR_NP, sel);
	task_switch(vp, op, sel, &d, TASK_GATE, e->rip, e->flags, e->has_error, e->error);
	vp->cpu.rip = vp->next_rip;
}

/* Code segment that a gate of the IDT names, checked. */
static u16 gate_code(struct vp *vp, const struct op *op, const struct desc *gate, struct desc *code)
{
	u16 sel = (u16)(gate->lo >> 16);

	desc_fetch_or(vp, op, sel, VECTOR_GP, code);
	if (!desc_is_code(code) || desc_dpl(code) > cur_cpl(vp))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (is_lma(vp) && (!desc_l(code) || desc_db(code)))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(code))
		fault_sel(vp, op, VECTOR_NP, sel);
	return sel;
}

static u64 flags_after(const struct vp *vp, u32 gate_type)
{
	u64 flags = vp->cpu.rflags & ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);

	return gate_type & 1 ? flags : flags & ~RFLAGS_IF; /* trap gates leave IF alone */
}

static void handler_commit(struct vp *vp, const struct seg *cs, u64 rip, u64 flags)
{
	vp->cpu.seg[SEG_CS] = *cs;
	vp->cpu.rip = vp->next_rip = rip;
	vp_set_rflags(vp, flags);
	vp_update_mode(vp);
}

/* An inner level: stack from the TSS; out of virtual-8086 mode the data segments are saved too. */
static void deliver_inner(struct vp *vp, const struct op *op, const struct event *e,
			  const struct desc *gate, u16 sel, struct desc *code)
{
	static const u8 v86_order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
	u32 cpl = desc_dpl(code), n = 0, size = desc_type(gate) & 8 ? 4 : 2;
	bool v86 = is_v86(vp);
	u64 v[10], sp, rip = gate->lo & 0xffff;
	struct seg ss, cs;

	if (v86 && cpl)
		fault_sel(vp, op, VECTOR_GP, sel);
	stack_from_tss(vp, op, cpl, &ss, &sp);
	if (v86)
		for (u32 i = 0; i < ARRAY_SIZE(v86_order); i++)
			v[n++] = vp->cpu.seg[v86_order[i]].sel;
	v[n++] = vp->cpu.seg[SEG_SS].sel;
	v[n++] = vp->cpu.gpr[RSP];
	v[n++] = e->flags;
	v[n++] = vp->cpu.seg[SEG_CS].sel;
	v[n++] = e->rip;
	if (e->has_error)
		v[n++] = e->error;
	if (size == 4)
		rip |= gate->lo >> 32 & 0xffff0000;
	desc_to_cs(vp, op, code, sel, cpl, &cs);
	if (rip > cs.limit)
		vp_fault(vp, op, VECTOR_GP, event_ext(vp));
	sp = stack_push_inner(vp, op, &ss, sp, false, v, n, size);
	vp->cpu.seg[SEG_SS] = ss;
	vp->cpu.gpr[RSP] = sp;
	if (v86)
		for (u32 i = 0; i < ARRAY_SIZE(v86_order); i++)
			segment_set_null(vp, v86_order[i], 0, 0);
	u64 prev = v[v86 ? ARRAY_SIZE(v86_order) + 1 : 1];
	handler_commit(vp, &cs, rip, flags_after(vp, desc_type(gate)));
	if (unlikely(vp->watch_stacks) && cpl == 0)
		stack_watch(vp, THREAD_BY_TSS, prev);
}

static void deliver_same(struct vp *vp, const struct op *op, const struct event *e,
			 const struct desc *gate, u16 sel, struct desc *code)
{
	u32 n = 0, size = desc_type(gate) & 8 ? 4 : 2;
	u64 v[4], sp, rip = gate->lo & 0xffff;
	struct seg cs;

	if (is_v86(vp)) /* conforming, or not of level 0 */
		fault_sel(vp, op, VECTOR_GP, sel);
	v[n++] = e->flags;
	v[n++] = vp->cpu.seg[SEG_CS].sel;
	v[n++] = e->rip;
	if (e->has_error)
		v[n++] = e->error;
	if (size == 4)
		rip |= gate->lo >> 32 & 0xffff0000;
	desc_to_cs(vp, op, code, sel, cur_cpl(vp), &cs);
	if (rip > cs.limit)
		vp_fault(vp, op, VECTOR_GP, event_ext(vp));
	sp = stack_push(vp, op, v, n, size);
	stack_set(vp, sp);
	handler_commit(vp, &cs, rip, flags_after(vp, desc_type(gate)));
}

static void deliver_legacy(struct vp *vp, const struct op *op, const struct event *e)
{
	u32 off = e->vector * 8;
	struct desc gate = {0}, code;
	u16 sel;

	if (off + 7 > vp->cpu.idtr.limit)
		fault_idt(vp, op, VECTOR_GP, e);
	gate.lo = sys_read(vp, op, (u32)(vp->cpu.idtr.base + off), 8);
	switch (desc_s(&gate) ? 0 : desc_type(&gate)) {
	case DESC_TYPE_TASK:
	case DESC_TYPE_INT16:
	case DESC_TYPE_TRAP16:
	case DESC_TYPE_INT32:
	case DESC_TYPE_TRAP32: break;
	default: fault_idt(vp, op, VECTOR_GP, e);
	}
	if (is_soft(e) && desc_dpl(&gate) < cur_cpl(vp))
		fault_idt(vp, op, VECTOR_GP, e);
	if (!desc_p(&gate))
		fault_idt(vp, op, VECTOR_NP, e);
	if (desc_type(&gate) == DESC_TYPE_TASK) {
		deliver_task(vp, op, e, &gate);
		return;
	}
	sel = gate_code(vp, op, &gate, &code);
	if (!desc_is_conforming(&code) && desc_dpl(&code) < cur_cpl(vp))
		deliver_inner(vp, op, e, &gate, sel, &code);
	else
		deliver_same(vp, op, e, &gate, sel, &code);
}

/* --- IA-32e mode ------------------------------------------------------------------------------ */

static void push64(struct vp *vp, const struct op *op, u64 sp, u32 cpl, const u64 *v, u32 n)
{
	u64 low = sp - n * 8;
	u32 array = cpl == 3 ? SOFTTLB_USER : SOFTTLB_SUPERVISOR;
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[array], low);

	if (likely(e->tag_w ==
		   softtlb_tag(vp, low, n * 8))) { /* the whole frame in one known page */
		for (u32 i = 0; i < n; i++)
			nm_store64((u8 *)(low + e->addend) + (n - 1 - i) * 8, v[i]);
		return;
	}

	if (!linear_ok(vp, low) || !linear_ok(vp, sp - 1))
		vp_fault(vp, op, VECTOR_SS, event_ext(vp));
	if (cpl == 3)
		lin_probe_write(vp, op, low, n * 8);
	else
		sys_probe_write(vp, op, low, n * 8);
	for (u32 i = 0; i < n; i++) {
		sp -= 8;
		if (cpl == 3)
			lin_write(vp, op, sp, v[i], 8);
		else
			sys_write(vp, op, sp, v[i], 8);
	}
}

static void read_gate64(struct vp *vp, const struct op *op, u64 at, struct desc *gate)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[SOFTTLB_SUPERVISOR], at);

	if (likely(e->tag_r == softtlb_tag(vp, at, 16))) {
		gate->lo = nm_load64((u8 *)(at + e->addend));
		gate->hi = nm_load64((u8 *)(at + e->addend) + 8);
		return;
	}
	gate->lo = sys_read(vp, op, at, 8);
	gate->hi = sys_read(vp, op, at + 8, 8);
}

static void deliver_long(struct vp *vp, const struct op *op, const struct event *e)
{
	u32 off = e->vector * 16, n = 0, cpl = cur_cpl(vp), new_cpl, ist;
	struct desc gate = {0}, code;
	struct seg cs;
	u64 v[6], sp, rip;
	u16 sel;

	if (off + 15 > vp->cpu.idtr.limit)
		fault_idt(vp, op, VECTOR_GP, e);
	read_gate64(vp, op, vp->cpu.idtr.base + off, &gate);
	if (desc_s(&gate) ||
	    (desc_type(&gate) != DESC_TYPE_INT32 && desc_type(&gate) != DESC_TYPE_TRAP32))
		fault_idt(vp, op, VECTOR_GP, e);
	if (is_soft(e) && desc_dpl(&gate) < cpl)
		fault_idt(vp, op, VECTOR_GP, e);
	if (!desc_p(&gate))
		fault_idt(vp, op, VECTOR_NP, e);
	sel = gate_code(vp, op, &gate, &code);
	new_cpl = desc_is_conforming(&code) ? cpl : desc_dpl(&code);
	ist = gate.lo >> 32 & 7;
	rip = (gate.lo & 0xffff) | (gate.lo >> 32 & 0xffff0000) | gate.hi << 32;
	if (!linear_ok(vp, rip))
		vp_fault(vp, op, VECTOR_GP, event_ext(vp));
	if (ist)
		sp = stack_from_tss64(vp, op, 3 + ist);
	else
		sp = new_cpl != cpl ? stack_from_tss64(vp, op, new_cpl) : vp->cpu.gpr[RSP];
	sp &= ~15ull;
	v[n++] = vp->cpu.seg[SEG_SS].sel;
	v[n++] = vp->cpu.gpr[RSP];
	v[n++] = e->flags;
	v[n++] = vp->cpu.seg[SEG_CS].sel;
	v[n++] = e->rip;
	if (e->has_error)
		v[n++] = e->error;
	desc_to_cs(vp, op, &code, sel, new_cpl, &cs);
	push64(vp, op, sp, new_cpl, v, n);
	vp->cpu.gpr[RSP] = sp - n * 8;
	if (new_cpl != cpl)
		segment_set_null(vp, SEG_SS, (u16)new_cpl, new_cpl);
	handler_commit(vp, &cs, rip, flags_after(vp, desc_type(&gate)));
	if (unlikely(vp->watch_stacks) && new_cpl != cpl && !ist)
		stack_watch(vp, THREAD_BY_TSS, v[1]);
}

void event_deliver(struct vp *vp, const struct op *op, const struct event *e)
{
	if (e->type == INTR_TYPE_NMI)
		vp->cpu.interruptibility |= INTERRUPTIBILITY_NMI;
	if (is_real(vp))
		deliver_real(vp, op, e);
	else if (!is_lma(vp))
		deliver_legacy(vp, op, e);
	else if (!quick_deliver(vp, e))
		deliver_long(vp, op, e);
	event_end(vp, e);
}

/* --- exceptions ------------------------------------------------------------------------------- */

bool event_exception_exits(const struct vp *vp, u32 vector, u32 error)
{
	bool bit = vp->ctl.exception_bitmap >> (vector & 31) & 1;

	if (vector == VECTOR_PF && (error & vp->ctl.pf_error_mask) != vp->ctl.pf_error_match)
		return !bit;
	return bit;
}

/* Leave with reason 0 for the exception in vp->fault_*. Nothing of it shows in the guest's state
 * but RF, which is saved as delivery would have pushed it. */
static void exception_exit(struct vp *vp, u32 vector, bool has_error, u32 error)
{
	struct vmexit *x = &vp->exit;

	exit_begin(vp, EXIT_REASON_EXCEPTION_NMI, 0);
	x->intr_info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | vector;
	if (has_error && !is_real(vp)) {
		x->intr_info |= INTR_INFO_ERROR_CODE;
		x->intr_error = error;
	}
	if (vector == VECTOR_PF)
		x->qualification = vp->fault_cr2;
	if (vector == VECTOR_DB)
		x->qualification = vp->ev.fault_dr6;
	if (vp->ev.iret_unblocked && !vp->delivering && vector != VECTOR_DF)
		x->intr_info |= INTR_INFO_NMI_UNBLOCKING;
	vp->ev.iret_unblocked = false;
	if (event_is_fault(vp, vector)) {
		vp->cpu.rflags |= RFLAGS_RF;
		vp->ev.shadow_armed = false;
	}
	event_exit_vectoring(vp);
	vp->n_exits++;
}

/* Fault-class: RF is pushed as 1. Breakpoints on instructions push it as it is. */
bool event_is_fault(const struct vp *vp, u32 vector)
{
	if (vector == VECTOR_DB)
		return vp->ev.fault_dr6 & DR6_BD;
	return vector != VECTOR_DF && vector != VECTOR_MC && vector != VECTOR_BP &&
	       vector != VECTOR_OF;
}

void event_debug_registers(struct vp *vp, u64 bits)
{
	vp->cpu.dr[6] =
		(vp->cpu.dr[6] & ~0xfull) | (bits & (0xf | DR6_BD | DR6_BS | DR6_BT)) | DR6_FIXED;
	vp->cpu.dr[7] &= ~DR7_GD;
	vp->cpu.debugctl &= ~(DEBUGCTL_LBR | DEBUGCTL_BTF);
	vp->cpu.pending_dbg = 0; /* what a MOV SS held back is lost */
}

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum fault_class class_of(u32 vector)
{
	switch (vector) {
	case VECTOR_DE:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_CP: return CONTRIBUTORY;
	case VECTOR_PF:
	case VECTOR_VE: return PAGE_FAULT;
	}
	return BENIGN;
}

enum escalation { SERIAL, DOUBLE, TRIPLE };

/* SDM 3A "Interrupt 8 - Double Fault Exception (#DF)": the first event is vp->idtv_info. */
static enum escalation escalate(const struct vp *vp, u32 second)
{
	u32 first = vp->idtv_info & INTR_INFO_VECTOR;
	u32 type = (vp->idtv_info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT;
	enum fault_class a, b = class_of(second);

	if (!vp->delivering || type != INTR_TYPE_HW_EXCEPTION)
		return SERIAL;
	if (first == VECTOR_DF)
		return b == BENIGN ? SERIAL : TRIPLE;
	a = class_of(first);
	if (a == CONTRIBUTORY && b == CONTRIBUTORY)
		return DOUBLE;
	return a == PAGE_FAULT && b != BENIGN ? DOUBLE : SERIAL;
}

static bool triple_fault(struct vp *vp)
{
	vp->delivering = false; /* such an exit is not "during event delivery" */
	vp->idtv_info = 0;
	exit_begin(vp, EXIT_REASON_TRIPLE_FAULT, 0);
	vp->n_exits++;
	return true;
}

/*
 * A guest can arrange faults so that no instruction is ever completed again (a handler that faults
 * at once, on a stack of its own). From some number on each counts as an instruction, so that time
 * goes on and engine_run() ends.
 */
#define FAULTS_WITHOUT_PROGRESS 16

static void note_progress(struct vp *vp)
{
	if (vp->ev.fault_insns != vp->insns) {
		vp->ev.fault_insns = vp->insns;
		vp->ev.faults = 0;
	} else if (++vp->ev.faults > FAULTS_WITHOUT_PROGRESS) {
		vp->ev.fault_insns = ++vp->insns;
	}
}

bool event_deliver_fault(struct vp *vp)
{
	u32 vector = vp->fault_vector;
	struct event e = {.vector = vector,
			  .type = INTR_TYPE_HW_EXCEPTION,
			  .has_error = vp->fault_has_error,
			  .error = vp->fault_error,
			  .rip = vp->cpu.rip};

	if (event_exception_exits(vp, vector, vp->fault_error)) {
		exception_exit(vp, vector, vp->fault_has_error, vp->fault_error);
		return true;
	}
	if (vector == VECTOR_PF)
		vp->cpu.cr2 = vp->fault_cr2;
	switch (escalate(vp, vector)) {
	case TRIPLE: return triple_fault(vp);
	case DOUBLE:
		vp->delivering = false;
		if (event_exception_exits(vp, VECTOR_DF, 0)) {
			exception_exit(vp, VECTOR_DF, true, 0);
			return true;
		}
		e.vector = VECTOR_DF;
		e.has_error = true;
		e.error = 0;
		break;
	case SERIAL:
		if (vector == VECTOR_DB)
			event_debug_registers(vp, vp->ev.fault_dr6);
		break;
	}
	vp->ev.iret_unblocked = false;
	note_progress(vp);
	e.flags = vp->cpu.rflags & ~RFLAGS_RF;
	if (event_is_fault(vp, e.vector))
		e.flags |= RFLAGS_RF;
	event_begin(vp,
		    INTR_INFO_VALID | (e.has_error && !is_real(vp) ? INTR_INFO_ERROR_CODE : 0) |
			    INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | e.vector,
		    e.error, 0);
	event_deliver(vp, NULL, &e);
	return false;
}

void event_debug_fault(struct vp *vp, const struct op *op, u64 bits)
{
	vp->ev.fault_dr6 = bits;
	vp_fault(vp, op, VECTOR_DB, 0);
}

/* --- software interrupts ---------------------------------------------------------------------- */

/*
 * INT n in virtual-8086 mode: by IOPL, and with CR4.VME by the redirection bitmap below the I/O
 * bitmap. Source: SDM 3A "Handling Software Interrupts in Virtual-8086 Mode" (table of methods).
 * Return: true when the interrupt was redirected to the 8086 program's own handler.
 */
static bool v86_int_n(struct vp *vp, const struct op *op, const struct event *e)
{
	bool trusted = cur_iopl(vp) == 3;
	const struct seg *tr = &vp->cpu.seg[SEG_TR];
	u64 flags = e->flags;
	u32 map;

	if (!(vp->cpu.cr4 & CR4_VME))
		return false;
	if (tr->limit < 103)
		fault_gp0(vp, op);
	map = (u32)sys_read(vp, op, (u32)(tr->base + 102), 2) - 32 + e->vector / 8;
	if (map > tr->limit)
		fault_gp0(vp, op);
	if (sys_read(vp, op, (u32)(tr->base + map), 1) >> (e->vector & 7) & 1) {
		if (!trusted)
			fault_gp0(vp, op);
		return false;
	}
	if (!trusted) {
		flags |= RFLAGS_IOPL;
		flags = (flags & ~RFLAGS_IF) | (flags & RFLAGS_VIF ? RFLAGS_IF : 0);
	}
	deliver_ivt(vp, op, e, 0, flags, trusted ? RFLAGS_IF | RFLAGS_NT : RFLAGS_VIF | RFLAGS_NT);
	return true;
}

void event_software_interrupt(struct vp *vp, const struct op *op, u32 vector, u32 intr_type)
{
	struct event e = {.vector = vector,
			  .type = intr_type,
			  .rip = vp->next_rip,
			  .flags = vp->cpu.rflags & ~RFLAGS_RF};

	/* ICEBP is a debug exception itself: what a MOV SS held back is lost */
	if (intr_type == INTR_TYPE_PRIV_SW_EXCEPTION)
		vp->cpu.pending_dbg = 0;
	if (intr_type != INTR_TYPE_SW_INTERRUPT && event_exception_exits(vp, vector, 0)) {
		exit_begin(vp, EXIT_REASON_EXCEPTION_NMI, 0);
		vp->exit.intr_info = INTR_INFO_VALID | intr_type << INTR_INFO_TYPE_SHIFT | vector;
		vp_exit(vp, op);
	}
	if (is_v86(vp) && intr_type == INTR_TYPE_SW_INTERRUPT && cur_iopl(vp) != 3 &&
	    !(vp->cpu.cr4 & CR4_VME))
		fault_gp0(vp, op);
	event_begin(vp, INTR_INFO_VALID | intr_type << INTR_INFO_TYPE_SHIFT | vector, 0, op->len);
	if (is_v86(vp) && intr_type == INTR_TYPE_SW_INTERRUPT && v86_int_n(vp, op, &e))
		event_end(vp, &e);
	else
		event_deliver(vp, op, &e);
}
