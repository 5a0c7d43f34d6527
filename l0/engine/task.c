/*
 * Hardware task switches through JMP, CALL, IRET and task gates, 16- and 32-bit TSS. In VMX
 * non-root operation they exit; L0 has them executed for L1 (vmx_controls.l0_native).
 *
 * Everything that can fault without the new task being entered is read or probed first. After the
 * commit point faults belong to the new task: its RIP is current, op is NULL.
 * Source: SDM 3A "Task Switching", "Task Management"; SDM 3C "Treatment of Task Switches".
 */
#include "l0/engine/sys_priv.h"

/* Where a TSS keeps things. */
struct tss_layout {
	u8 ip, flags, gpr, seg, nsegs, ldt, size, min_limit, first, bytes;
};
static const struct tss_layout tss16 = {0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 2, 0x2b, 0x0e, 0x1c};
static const struct tss_layout tss32 = {0x20, 0x24, 0x28, 0x48, 6, 0x60, 4, 0x67, 0x20, 0x40};
#define TSS32_CR3 0x1c
#define TSS32_TRAP 0x64

/* Order of the selectors in a TSS. */
static const u8 tss_segs[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

struct task_state {
	u64 cr3, pdpte[4];
	u32 ip, flags, gpr[8];
	u16 seg[6], ldt;
	bool trap;
};

static u64 tss_at(u64 base, u32 off)
{
	return (u32)(base + off);
}

static void tss_load(struct vp *vp, const struct op *op, const struct tss_layout *l, u64 base,
		     struct task_state *t)
{
	bool wide = l->size == 4;

	t->ip = (u32)sys_read(vp, op, tss_at(base, l->ip), l->size);
	t->flags = (u32)sys_read(vp, op, tss_at(base, l->flags), l->size);
	for (u32 i = 0; i < 8; i++) {
		t->gpr[i] = (u32)sys_read(vp, op, tss_at(base, l->gpr + i * l->size), l->size);
		if (!wide)
			t->gpr[i] |= 0xffff0000u;
	}
	for (u32 i = 0; i < 6; i++)
		t->seg[i] = i < l->nsegs
				    ? (u16)sys_read(vp, op, tss_at(base, l->seg + i * l->size), 2)
				    : 0;
	t->ldt = (u16)sys_read(vp, op, tss_at(base, l->ldt), 2);
	t->cr3 = vp->cpu.cr3;
	t->trap = wide && (sys_read(vp, op, tss_at(base, TSS32_TRAP), 2) & 1);
	nm_copy(t->pdpte, vp->cpu.pdpte, sizeof(t->pdpte));
	if (wide && (vp->cpu.cr0 & CR0_PG)) {
		t->cr3 = sys_read(vp, op, tss_at(base, TSS32_CR3), 4);
		if ((vp->cpu.cr4 & CR4_PAE) && !pdptes_load(vp, op, t->cr3, t->pdpte))
			fault_gp0(vp, op);
	}
}

static void tss_save(struct vp *vp, const struct op *op, const struct tss_layout *l, u64 base,
		     u64 ip, u64 flags)
{
	const struct cpu_state *c = &vp->cpu;

	sys_write(vp, op, tss_at(base, l->ip), ip, l->size);
	sys_write(vp, op, tss_at(base, l->flags), flags, l->size);
	for (u32 i = 0; i < 8; i++)
		sys_write(vp, op, tss_at(base, l->gpr + i * l->size), c->gpr[i], l->size);
	for (u32 i = 0; i < l->nsegs; i++)
		sys_write(vp, op, tss_at(base, l->seg + i * l->size), c->seg[tss_segs[i]].sel, 2);
}

/* Set or clear the busy bit of a TSS descriptor in the GDT. */
static void set_busy(struct vp *vp, const struct op *op, u16 sel, bool busy)
{
	u64 at = (u32)(vp->cpu.gdtr.base + (sel & 0xfff8u) + 5);
	u64 type = sys_read(vp, op, at, 1);

	sys_write(vp, op, at, busy ? type | 2 : type & ~2ull, 1);
}

/* --- in the new task -------------------------------------------------------------------------- */

static void load_ldt(struct vp *vp, u16 sel)
{
	struct desc d;

	segment_set_null(vp, SEG_LDTR, sel, 0);
	if (sel_is_null(sel))
		return;
	if ((sel & SEL_TI) || !desc_fetch(vp, NULL, sel, &d) || desc_s(&d) ||
	    desc_type(&d) != DESC_TYPE_LDT || !desc_p(&d))
		fault_sel(vp, NULL, VECTOR_TS, sel);
	desc_to_seg(&d, sel, &vp->cpu.seg[SEG_LDTR]);
}

static void load_stack(struct vp *vp, u16 sel, u32 cpl)
{
	struct desc d;

	desc_fetch_or(vp, NULL, sel, VECTOR_TS, &d);
	if (!desc_is_writable_data(&d) || (sel & SEL_RPL) != cpl || desc_dpl(&d) != cpl)
		fault_sel(vp, NULL, VECTOR_TS, sel);
	if (!desc_p(&d))
		fault_sel(vp, NULL, VECTOR_SS, sel);
	desc_set_accessed(vp, NULL, &d);
	desc_to_seg(&d, sel, &vp->cpu.seg[SEG_SS]);
}

static void load_code(struct vp *vp, u16 sel)
{
	u32 rpl = sel & SEL_RPL;
	struct desc d;

	desc_fetch_or(vp, NULL, sel, VECTOR_TS, &d);
	if (!desc_is_code(&d) ||
	    (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
		fault_sel(vp, NULL, VECTOR_TS, sel);
	if (!desc_p(&d))
		fault_sel(vp, NULL, VECTOR_NP, sel);
	desc_to_cs(vp, NULL, &d, sel, rpl, &vp->cpu.seg[SEG_CS]);
}

static void load_data(struct vp *vp, u32 seg, u16 sel, u32 cpl)
{
	struct desc d;

	if (sel_is_null(sel))
		return;
	desc_fetch_or(vp, NULL, sel, VECTOR_TS, &d);
	if (!desc_s(&d) || (desc_type(&d) & 10) == 8)
		fault_sel(vp, NULL, VECTOR_TS, sel);
	if (!desc_is_conforming(&d) && ((sel & SEL_RPL) > desc_dpl(&d) || cpl > desc_dpl(&d)))
		fault_sel(vp, NULL, VECTOR_TS, sel);
	if (!desc_p(&d))
		fault_sel(vp, NULL, VECTOR_NP, sel);
	desc_set_accessed(vp, NULL, &d);
	desc_to_seg(&d, sel, &vp->cpu.seg[seg]);
}

static void load_segments(struct vp *vp, const struct task_state *t)
{
	u32 cpl = t->seg[1] & SEL_RPL;

	load_ldt(vp, t->ldt);
	if (is_v86(vp))
		return;
	load_stack(vp, t->seg[2], cpl);
	load_code(vp, t->seg[1]);
	vp_update_mode(vp);
	for (u32 i = 0; i < 6; i++)
		if (tss_segs[i] != SEG_CS && tss_segs[i] != SEG_SS)
			load_data(vp, tss_segs[i], t->seg[i], cpl);
}

/* The commit point: registers and selectors are the new task's, descriptors not yet loaded. */
static void enter(struct vp *vp, const struct task_state *t, u64 flags)
{
	struct cpu_state *c = &vp->cpu;

	if (t->cr3 != c->cr3) {
		nm_copy(c->pdpte, t->pdpte, sizeof(c->pdpte));
		cr3_commit(vp, t->cr3);
	}
	c->cr0 |= CR0_TS;
	c->dr[7] &= ~0x155ull; /* the local enables */
	for (u32 i = 0; i < 8; i++)
		c->gpr[i] = t->gpr[i];
	for (u32 i = 0; i < 6; i++) {
		if (flags & RFLAGS_VM)
			segment_set_v86(vp, tss_segs[i], t->seg[i]);
		else
			segment_set_null(vp, tss_segs[i], t->seg[i], t->seg[1] & SEL_RPL);
	}
	c->rip = vp->next_rip = t->ip;
	vp->cur = NULL;
	flags_write(vp, flags, RFLAGS_DEFINED);
	vp_update_paging(vp);
}

void task_switch(struct vp *vp, const struct op *op, u16 sel, struct desc *d, enum task_cause cause,
		 u64 next_rip, u64 flags, bool has_error, u32 error)
{
	const struct seg old = vp->cpu.seg[SEG_TR];
	const struct tss_layout *ol = old.ar & 8 ? &tss32 : &tss16;
	const struct tss_layout *nl = desc_type(d) & 8 ? &tss32 : &tss16;
	bool nests = cause == TASK_CALL || cause == TASK_GATE;
	struct task_state t;
	struct seg tr;
	u64 nflags, code;

	desc_to_seg(d, sel, &tr);
	if (tr.limit < nl->min_limit)
		fault_sel(vp, op, VECTOR_TS, sel);
	if (!vp->ctl.l0_native)
		exit_now(vp, op, EXIT_REASON_TASK_SWITCH, sel | (u64)cause << 30);

	tss_load(vp, op, nl, tr.base, &t);
	sys_probe_write(vp, op, tss_at(old.base, ol->first), ol->bytes);
	if (nests)
		sys_probe_write(vp, op, tss_at(tr.base, 0), 2);
	if (cause != TASK_IRET)
		set_busy(vp, op, sel, true);
	if (!nests)
		set_busy(vp, op, old.sel, false);
	tss_save(vp, op, ol, old.base, next_rip, cause == TASK_IRET ? flags & ~RFLAGS_NT : flags);
	if (nests)
		sys_write(vp, op, tss_at(tr.base, 0), old.sel, 2);

	nflags = (t.flags & RFLAGS_DEFINED) | RFLAGS_FIXED | (nests ? RFLAGS_NT : 0);
	tr.ar |= 2;
	vp->cpu.seg[SEG_TR] = tr;
	enter(vp, &t, nflags);
	load_segments(vp, &t);
	vp_update_mode(vp);
	if (t.ip > vp->cpu.seg[SEG_CS].limit)
		fault_gp0(vp, NULL);
	if (has_error) {
		code = error;
		stack_set(vp, stack_push(vp, NULL, &code, 1, nl->size));
	}
	if (t.trap) {
		vp->cpu.pending_dbg |= DR6_BT;
		vp_request(vp, VP_ATTN_STEP);
	}
}

void task_far(struct vp *vp, const struct op *op, u16 sel, struct desc *d, enum task_cause cause)
{
	struct desc tss = *d;

	if (desc_dpl(d) < cur_cpl(vp) || desc_dpl(d) < (sel & SEL_RPL))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (desc_type(d) == DESC_TYPE_TASK) {
		if (!desc_p(d))
			fault_sel(vp, op, VECTOR_NP, sel);
		sel = (u16)(d->lo >> 16);
		if ((sel & SEL_TI) || sel_is_null(sel) || !desc_fetch(vp, op, sel, &tss))
			fault_sel(vp, op, VECTOR_GP, sel);
	}
	if ((sel & SEL_TI) || desc_s(&tss) ||
	    (desc_type(&tss) != DESC_TYPE_TSS16 && desc_type(&tss) != DESC_TYPE_TSS32))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(&tss))
		fault_sel(vp, op, VECTOR_NP, sel);
	task_switch(vp, op, sel, &tss, cause, vp->next_rip, vp->cpu.rflags, false, 0);
}
