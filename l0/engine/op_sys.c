/*
 * The table of slow system operations, and those that fit nowhere else: halting and waiting,
 * caches, translations, CPUID. Source: SDM 2, each instruction; SDM 3C "Instructions That Cause VM
 * Exits".
 */
#include <Zydis/Zydis.h>
#include "l0/engine/sys_priv.h"
#include "l0/mem/mem.h"

static const op_fn table[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define SYS_OP(mnemonic, fn) [ZYDIS_MNEMONIC_##mnemonic] = fn,
#include "l0/engine/op_sys.def"
#undef SYS_OP
};

op_fn sys_op_lookup(u16 mnemonic)
{
	return mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE ? table[mnemonic] : NULL;
}

void op_undefined(struct vp *vp, const struct op *op)
{
	fault_ud(vp, op);
}

static void check_level0(struct vp *vp, const struct op *op)
{
	if (cur_cpl(vp))
		fault_gp0(vp, op);
}

void op_cpuid(struct vp *vp, const struct op *op)
{
	intercept_check(vp, op, EXIT_REASON_CPUID, 0);
}

/* --- waiting ---------------------------------------------------------------------------------- */

void op_hlt(struct vp *vp, const struct op *op)
{
	check_level0(vp, op);
	intercept_check(vp, op, EXIT_REASON_HLT, 0);
	vp->cpu.activity = ACTIVITY_HLT;
	if (vp->trace)
		TRANSITION(vp->trace, halt, .guest_rip = vp->cpu.rip);
}

/* PAUSE-loop exiting: the n-th PAUSE of a stretch at level 0 in which no gap exceeded PLE_Gap, once
 * the stretch is longer than PLE_Window. Source: SDM 3C "Controls for PAUSE-Loop Exiting". */
void op_pause(struct vp *vp, const struct op *op)
{
	u64 now;

	intercept_check(vp, op, EXIT_REASON_PAUSE, 0);
	if (!ctl_proc2(vp, PROC2_PAUSE_LOOP) || cur_cpl(vp))
		return;
	now = vp->ops->tsc(vp);
	if (now - vp->ev.ple_last > vp->ctl.ple_gap) {
		vp->ev.ple_first = now;
	} else if (now - vp->ev.ple_first > vp->ctl.ple_window) {
		vp->ev.ple_last = 0; /* a new stretch after the exit */
		exit_now(vp, op, EXIT_REASON_PAUSE, 0);
	}
	vp->ev.ple_last = now;
}

static void check_monitor(struct vp *vp, const struct op *op)
{
	if (!vp->features->has_monitor || !(vp->cpu.misc_enable & MISC_ENABLE_MONITOR) ||
	    cur_cpl(vp))
		fault_ud(vp, op);
}

/*
 * The frame's stores take the slow path from now on, as soon as nobody has a write tag of it. Where
 * that takes until other VPs have looked, the first MWAITs end at once; MONITOR of the same frame,
 * with no store to any monitored frame since, goes on with the old ticket, so that a loop of both
 * comes to rest.
 */
static void monitor_line(struct vp *vp, u64 lin)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	struct mem_frame *frame;
	bool is_marked, is_same;

	vp->ev.monitor_line = NULL;
	if (vp->in_l2 || vtlb_translate(&vp->tlb, lin, VTLB_READ, &xl, &f) != VTLB_OK)
		return;
	is_same = !((vp->ev.monitor_gpa ^ xl.gpa) & PAGE_MASK);
	vp->ev.monitor_gpa = xl.gpa & ~63ull;
	vp->ev.monitor_line = (const u8 *)((u64)xl.hva & ~63ull);
	frame = mem_frame(vp->mem, xl.gpa);
	is_marked = __atomic_fetch_or((u8 *)&frame->flags, MEM_FRAME_MONITORED, __ATOMIC_SEQ_CST) &
		    MEM_FRAME_MONITORED;
	/* after the mark: whoever took it away before counts */
	u64 stores = mem_monitored_stores(vp->mem);

	if (!is_marked || !is_same || stores != vp->ev.monitor_stores) {
		vp->ev.monitor_stores = stores;
		vp->ev.monitor_ticket = vtlb_guard_frame(&vp->tlb, xl.gpa);
	}
	for (u32 i = 0; i < 8; i++)
		vp->ev.monitor_was[i] = nm_load64(vp->ev.monitor_line + 8 * i);
}

void op_monitor(struct vp *vp, const struct op *op)
{
	u32 seg = op->seg < SEG_LDTR ? op->seg : SEG_DS;
	u64 at = vp->cpu.gpr[RAX] & mask_low(op->asize * 8u);

	check_monitor(vp, op);
	if ((u32)vp->cpu.gpr[RCX])
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_MONITOR, 0);
	seg_read(vp, op, seg, at, 1);
	vp->ev.monitor_armed = true;
	monitor_line(vp, seg_linear(vp, op, seg, at, 1, false));
}

static bool line_is_same(const struct vp *vp)
{
	for (u32 i = 0; i < 8; i++)
		if (vp->ev.monitor_was[i] != nm_load64(vp->ev.monitor_line + 8 * i))
			return false;
	return true;
}

/*
 * Without an exit it is a halt that a store to the line ends too. It may end for any reason, and
 * does at once where no store could be missed otherwise: in a guest (a VM exit has no activity
 * state for it), and while a soft TLB may still write to the frame.
 */
static void mwait(struct vp *vp)
{
	struct mem_frame *f = mem_frame(vp->mem, vp->ev.monitor_gpa);
	bool masked = vp->cpu.gpr[RCX] & 1;

	if (vp->in_l2 || !vp->ev.monitor_line || !f)
		return;
	if (masked && (vp->attn | vp->ev.held) & VP_ATTN_INTR)
		return;
	/* the word before the line: a store after this look sees that somebody waits */
	__atomic_store_n((u8 *)&vp->ev.mwait, masked ? MWAIT_WAITS_MASKED : MWAIT_WAITS,
			 __ATOMIC_SEQ_CST);
	if (__atomic_load_n((u8 *)&f->flags, __ATOMIC_SEQ_CST) & MEM_FRAME_MONITORED &&
	    mem_monitored_stores(vp->mem) == vp->ev.monitor_stores &&
	    vtlb_guard_passed(&vp->tlb, vp->ev.monitor_ticket) && line_is_same(vp))
		vp->cpu.activity = ACTIVITY_HLT;
	else
		vp->ev.mwait = MWAIT_NO;
}

void op_mwait(struct vp *vp, const struct op *op)
{
	check_monitor(vp, op);
	if ((u32)vp->cpu.gpr[RCX] & ~1u)
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_MWAIT, vp->ev.monitor_armed);
	if (vp->ev.monitor_armed)
		mwait(vp);
	vp->ev.monitor_armed = false;
}

/* --- caches: there is nothing to write back --------------------------------------------------- */

void op_invd(struct vp *vp, const struct op *op)
{
	check_level0(vp, op);
	intercept_check(vp, op, EXIT_REASON_INVD, 0);
}

void op_wbinvd(struct vp *vp, const struct op *op)
{
	check_level0(vp, op);
	intercept_check(vp, op, EXIT_REASON_WBINVD, 0);
}

/* CLFLUSH and CLFLUSHOPT fault as a load of one byte would. */
void op_clflush(struct vp *vp, const struct op *op)
{
	if (op->mnemonic == ZYDIS_MNEMONIC_CLFLUSHOPT && !vp->features->has_clflushopt)
		fault_ud(vp, op);
	seg_read(vp, op, op->seg, op_ea(vp, op), 1);
}

/* --- translations ----------------------------------------------------------------------------- */

void op_invlpg(struct vp *vp, const struct op *op)
{
	u64 gva;

	check_level0(vp, op);
	gva = intercept_operand_gva(vp, op);
	intercept_check(vp, op, EXIT_REASON_INVLPG, gva);
	if (base_ok(vp, gva))
		vtlb_invlpg(&vp->tlb, gva);
}

enum { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL_GLOBAL, INVPCID_ALL };

void op_invpcid(struct vp *vp, const struct op *op)
{
	u64 type = vp->cpu.gpr[op->dst], ea, pcid, gva;

	if (!vp->features->has_invpcid || !ctl_proc2(vp, PROC2_INVPCID) || is_v86(vp))
		fault_ud(vp, op);
	check_level0(vp, op);
	intercept_check(vp, op, EXIT_REASON_INVPCID, 0);
	if (!is_code64(vp))
		type = (u32)type;
	ea = op_ea(vp, op);
	pcid = seg_read(vp, op, op->seg, ea, 8);
	gva = seg_read(vp, op, op->seg, ea + 8, 8);
	if (type > INVPCID_ALL || pcid >> 12)
		fault_gp0(vp, op);
	if (type <= INVPCID_SINGLE && pcid && !(vp->cpu.cr4 & CR4_PCIDE))
		fault_gp0(vp, op);
	if (type == INVPCID_ADDRESS && !base_ok(vp, gva))
		fault_gp0(vp, op);
	vtlb_invpcid(&vp->tlb, (u32)type, (u16)pcid, gva);
}
