/*
 * What happens at an instruction boundary, in the order of SDM 3A "Prioritization of Concurrent
 * Events" with the VMX events where SDM 3C "Other Causes of VM Exits" puts them:
 *
 *   VM-entry injection · INIT, SIPI · writes to the virtual APIC · monitor trap flag · debug traps
 * · NMI window · NMI · interrupt window · virtual interrupt · external interrupt · breakpoint on
 * the next instruction
 *
 * (the VMX-preemption timer is the worker's, through the count that engine_run() stops at).
 *
 * TF, RF and the STI and MOV SS shadows cover one instruction. What was seen at the boundary before
 * it is remembered as "armed" with the instruction count and RCX (which a REP string instruction
 * moves when it does not move the count); when either moved, the instruction has been executed.
 * Whether it was a taken branch, for DEBUGCTL.BTF, the run loop says in ev.branched.
 *
 * RF and the shadows need no boundary behind their instruction: they are taken away when somebody
 * looks (event_uncover()). Only where a shadow holds something back that is due does the next
 * instruction run alone.
 */
#include "l0/engine/event_priv.h"
#include "l0/engine/vapic.h"

/* As vp_request() and vp_request_clear(), without a locked access where nothing changes. */
static void attn_set(struct vp *vp, u32 bits)
{
	if (~vp->attn & bits)
		vp_request(vp, bits);
}

static void attn_clear(struct vp *vp, u32 bits)
{
	if (vp->attn & bits)
		vp_request_clear(vp, bits);
}

#define SHADOWS (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
/* What a shadow holds back. */
#define ATTN_SHADOWED \
	(VP_ATTN_INTR | VP_ATTN_VIRQ | VP_ATTN_NMI | VP_ATTN_INTR_WINDOW | VP_ATTN_NMI_WINDOW)

static bool exit_plain(struct vp *vp, u32 reason)
{
	exit_begin(vp, reason, 0);
	vp->n_exits++;
	return true;
}

/*
 * An interrupt or a window that waits for RFLAGS.IF would send every block here until then. So its
 * attention bit is put aside, and comes back when IF becomes 1 or somebody else changes state or
 * controls. An interrupt that is withdrawn meanwhile is found spurious when it is acknowledged.
 */
static void hold(struct vp *vp, u32 bits)
{
	vp->ev.held |= bits;
	attn_clear(vp, bits);
}

void event_release(struct vp *vp)
{
	u32 bits = vp->ev.held;

	vp->ev.held = 0;
	attn_set(vp, bits);
}

/* --- state changed by somebody else ----------------------------------------------------------- */

void event_state_changed(struct vp *vp)
{
	u32 set = 0;

	event_release(vp);
	if (unlikely(vp->ev.mwait))
		vp->ev.mwait = MWAIT_NO;
	vp->ev.step_armed = false;
	vp->ev.shadow_armed = false;
	vp->ev.intr_taken = false;
	vp->ev.mtf_armed = false;
	vp->ev.mtf_due = false;
	vp->ev.iret_unblocked = false;
	if (ctl_proc(vp, PROC_INTERRUPT_WINDOW))
		set |= VP_ATTN_INTR_WINDOW;
	if (ctl_proc(vp, PROC_NMI_WINDOW))
		set |= VP_ATTN_NMI_WINDOW;
	if (ctl_proc(vp, PROC_MONITOR_TRAP_FLAG))
		set |= VP_ATTN_MTF;
	if (debug_is_armed(vp))
		set |= VP_ATTN_WATCH;
	if (vp->cpu.rflags & RFLAGS_TF || vp->cpu.pending_dbg)
		set |= VP_ATTN_STEP;
	attn_clear(vp,
		   ~set & (VP_ATTN_INTR_WINDOW | VP_ATTN_NMI_WINDOW | VP_ATTN_MTF | VP_ATTN_WATCH));
	attn_set(vp, set);
}

void event_cover(struct vp *vp, u64 insns)
{
	vp->ev.shadow_armed = true;
	vp->ev.cover_insns = insns;
	vp->ev.cover_rcx = vp->cpu.gpr[RCX];
}

void event_uncover(struct vp *vp)
{
	if (!vp->ev.shadow_armed) /* as somebody else has set it: a VM entry, a debugger */
		event_cover(vp, vp->insns);
	if (vp->ev.cover_insns == vp->insns && vp->ev.cover_rcx == vp->cpu.gpr[RCX])
		return;
	vp->cpu.interruptibility &= ~SHADOWS;
	vp->cpu.rflags &= ~RFLAGS_RF;
	vp->ev.shadow_armed = false;
}

/* Of the instruction after the one that runs now, or of the next when none does. */
static void cover_next(struct vp *vp)
{
	event_cover(vp, vp->insns + (vp->completed != NULL));
}

void event_shadow(struct vp *vp, u32 shadow)
{
	vp->cpu.interruptibility = (vp->cpu.interruptibility & ~SHADOWS) | shadow;
	vp->cpu.rflags &= ~RFLAGS_RF;
	cover_next(vp);
	if (vp->attn)
		attn_set(vp, VP_ATTN_STEP);
}

void flags_merge(struct vp *vp, u64 val, u64 mask)
{
	u64 flags = (vp->cpu.rflags & ~mask) | (val & mask) | RFLAGS_FIXED;

	if (val & mask & RFLAGS_RF) { /* a new RF: it covers the next instruction, not this one */
		cover_next(vp);
		vp->cpu.interruptibility &= ~SHADOWS;
	}
	vp_set_rflags(vp, flags);
	if (flags & RFLAGS_TF)
		attn_set(vp, VP_ATTN_STEP);
}

void flags_write(struct vp *vp, u64 val, u64 mask)
{
	flags_merge(vp, val, mask);
	vp_update_mode(vp);
}

/* --- injection -------------------------------------------------------------------------------- */

/* An exception that L0 raises for the instruction it emulated. */
static bool inject_fault(struct vp *vp, u32 info)
{
	vp->fault_vector = info & INTR_INFO_VECTOR;
	vp->fault_has_error = info & INTR_INFO_ERROR_CODE;
	vp->fault_error = vp->inject_error;
	vp->delivering = false;
	return event_deliver_fault(vp);
}

/* SDM 3C "Event Injection". */
static bool inject(struct vp *vp)
{
	u32 info = vp->inject_info, type = (info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT;
	struct event e = {.vector = info & INTR_INFO_VECTOR,
			  .type = type,
			  .has_error = info & INTR_INFO_ERROR_CODE,
			  .error = vp->inject_error,
			  .rip = vp->cpu.rip,
			  .flags = vp->cpu.rflags};

	vp->inject_info = 0;
	if (!(info & INTR_INFO_VALID))
		return false;
	if (type == INTR_TYPE_OTHER) { /* a monitor trap flag exit, whatever the control says */
		vp->ev.mtf_due = true;
		attn_set(vp, VP_ATTN_MTF);
		return false;
	}
	if (info & INJECT_AS_FAULT)
		return inject_fault(vp, info);
	if (type >= INTR_TYPE_SW_INTERRUPT)
		e.rip = vp->cpu.rip + vp->inject_len;
	if (!is_code64(vp))
		e.rip = (u32)e.rip;
	event_begin(
		vp,
		info & (INTR_INFO_VALID | INTR_INFO_TYPE | INTR_INFO_VECTOR | INTR_INFO_ERROR_CODE),
		vp->inject_error, type >= INTR_TYPE_SW_INTERRUPT ? vp->inject_len : 0);
	event_deliver(vp, NULL, &e);
	return false;
}

void engine_inject(struct vp *vp, u32 intr_info, u32 error, u32 insn_len)
{
	u32 type = (intr_info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT;

	vp->inject_info = intr_info | INTR_INFO_VALID;
	if (type == INTR_TYPE_HW_EXCEPTION)
		vp->inject_info |= INJECT_AS_FAULT;
	vp->inject_error = error;
	vp->inject_len = insn_len;
	attn_set(vp, VP_ATTN_INJECT);
}

/* --- one instruction later -------------------------------------------------------------------- */

static bool moved(const struct vp *vp)
{
	return vp->ev.mark_insns != vp->insns || vp->ev.mark_rcx != vp->cpu.gpr[RCX];
}

static void mark(struct vp *vp)
{
	vp->ev.mark_insns = vp->insns;
	vp->ev.mark_rcx = vp->cpu.gpr[RCX];
}

/* What the boundary before armed is over, if an instruction has been executed since. */
static void step_over(struct vp *vp)
{
	if (event_is_covered(vp))
		event_uncover(vp);
	if (!moved(vp))
		return;
	if (vp->ev.step_armed && (!(vp->cpu.debugctl & DEBUGCTL_BTF) || vp->ev.branched))
		vp->cpu.pending_dbg |= PENDING_DBG_BS;
	if (vp->ev.mtf_armed)
		vp->ev.mtf_due = true;
	vp->ev.step_armed = false;
	vp->ev.intr_taken = false;
}

static void step_arm(struct vp *vp, u32 attn)
{
	bool held = (vp->cpu.interruptibility & SHADOWS) && (vp->attn & ATTN_SHADOWED);

	vp->ev.step_armed = vp->cpu.rflags & RFLAGS_TF;
	vp->ev.mtf_armed = attn & VP_ATTN_MTF;
	mark(vp);
	if (held)
		attn_set(vp, VP_ATTN_STEP);
	else if (!vp->ev.step_armed && !vp->cpu.pending_dbg && !vp->ev.intr_taken)
		attn_clear(vp, VP_ATTN_STEP);
}

/* --- the candidates --------------------------------------------------------------------------- */

/* A debug exception between instructions: trap for @bits, or fault for a breakpoint on the next. */
static bool debug_exception(struct vp *vp, u64 bits)
{
	vp->fault_vector = VECTOR_DB;
	vp->fault_has_error = false;
	vp->fault_error = 0;
	vp->ev.fault_dr6 = bits;
	return event_deliver_fault(vp);
}

static bool take(struct vp *vp, u32 vector, u32 type)
{
	struct event e = {
		.vector = vector, .type = type, .rip = vp->cpu.rip, .flags = vp->cpu.rflags};

	event_begin(vp, INTR_INFO_VALID | type << INTR_INFO_TYPE_SHIFT | vector, 0, 0);
	event_deliver(vp, NULL, &e);
	return false;
}

/* POSTED: a notification was taken, its virtual interrupts may be due at once. */
enum found { NOTHING, DELIVERED, EXITED, POSTED };

static enum found found(bool exited)
{
	return exited ? EXITED : DELIVERED;
}

static enum found try_signals(struct vp *vp, u32 attn)
{
	/* INIT waits in VMX root operation and is lost while waiting for a start-up IPI */
	if (attn & VP_ATTN_INIT && vp->cpu.activity != ACTIVITY_WAIT_SIPI &&
	    (!vp->vmxon || vp->in_l2)) {
		attn_clear(vp, VP_ATTN_INIT);
		return found(exit_plain(vp, EXIT_REASON_INIT_SIGNAL));
	}
	/* a processor that waits after its reset is where INIT leads; kept, it would undo the SIPI
	 */
	if (attn & VP_ATTN_INIT && !vp->vmxon)
		attn_clear(vp, VP_ATTN_INIT);
	if (attn & VP_ATTN_SIPI) {
		attn_clear(vp, VP_ATTN_SIPI);
		if (vp->cpu.activity == ACTIVITY_WAIT_SIPI)
			return found(exit_plain(vp, EXIT_REASON_SIPI));
	}
	return NOTHING;
}

static enum found try_vapic(struct vp *vp, u32 attn)
{
	if (likely(!(attn & VP_ATTN_VAPIC)))
		return NOTHING;
	return vapic_boundary(vp) ? EXITED : NOTHING;
}

static bool trap_pending(const struct vp *vp)
{
	return (vp->cpu.pending_dbg & (PENDING_DBG_BS | PENDING_DBG_ENABLED_BP | DR6_BT)) &&
	       !(vp->cpu.interruptibility & INTERRUPTIBILITY_MOV_SS);
}

static enum found try_debug(struct vp *vp)
{
	u64 pending = vp->cpu.pending_dbg;

	if (vp->ev.mtf_due) {
		vp->ev.mtf_due = vp->ev.mtf_armed = false;
		if (!ctl_proc(vp, PROC_MONITOR_TRAP_FLAG))
			attn_clear(vp, VP_ATTN_MTF);
		return found(exit_plain(vp, EXIT_REASON_MONITOR_TRAP_FLAG));
	}
	if (!trap_pending(vp))
		return NOTHING;
	vp->cpu.pending_dbg = 0;
	return found(debug_exception(vp, pending & (PENDING_DBG_B | PENDING_DBG_BS | DR6_BT)));
}

/* A processor takes an NMI as soon as it arrives and latches one more while NMIs are blocked. This
 * one may be away from its worker, so two that came meanwhile both count; behind one that is being
 * handled only one waits (SDM 3A "Handling Multiple NMIs"). */
static enum found try_nmi(struct vp *vp, u32 attn)
{
	/* the shadow of STI blocks NMIs too, as on most processors (it may: SDM 3C "Non-Maskable
	 * Interrupts" leaves it open), and as monitors that emulate them expect */
	u32 block = vp->cpu.interruptibility & (INTERRUPTIBILITY_NMI | SHADOWS);
	bool exiting = ctl_pin(vp, PIN_NMI), virtual = ctl_pin(vp, PIN_VIRTUAL_NMIS);

	if (vp->cpu.activity == ACTIVITY_WAIT_SIPI)
		return NOTHING;
	if (attn & VP_ATTN_NMI_WINDOW && virtual && !block)
		return found(exit_plain(vp, EXIT_REASON_NMI_WINDOW));
	if (!(attn & VP_ATTN_NMI))
		return NOTHING;
	if (block & INTERRUPTIBILITY_NMI && attn & VP_ATTN_NMI_AGAIN)
		attn_clear(vp, VP_ATTN_NMI_AGAIN);
	if (exiting &&
	    virtual) /* the NMI flag of the guest is virtual: it does not block real ones */
		block &= ~INTERRUPTIBILITY_NMI;
	if (block)
		return NOTHING;
	vp_take_nmi(vp);
	if (!exiting)
		return found(take(vp, VECTOR_NMI, INTR_TYPE_NMI));
	exit_plain(vp, EXIT_REASON_EXCEPTION_NMI);
	vp->exit.intr_info = INTR_INFO_VALID | INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT | VECTOR_NMI;
	return EXITED;
}

/* "External-interrupt exiting". "Process posted interrupts" acknowledges the interrupt to learn its
 * vector; the notification ends here, everything else exits with the vector in hand. */
static enum found interrupt_exit(struct vp *vp)
{
	int vector;

	if (vp->cpu.interruptibility & SHADOWS)
		return NOTHING;
	if (!ctl_pin(vp, PIN_POSTED_INTERRUPTS))
		return found(exit_plain(vp, EXIT_REASON_EXTERNAL_INTERRUPT));
	vector = vp->ops->intr_ack(vp);
	if (vector < 0)
		return NOTHING;
	if (vapic_posted(vp, (u32)vector))
		return POSTED;
	exit_plain(vp, EXIT_REASON_EXTERNAL_INTERRUPT);
	vp->exit.intr_info =
		INTR_INFO_VALID | INTR_TYPE_EXTERNAL << INTR_INFO_TYPE_SHIFT | (u32)vector;
	return EXITED;
}

static enum found try_intr(struct vp *vp, u32 attn)
{
	bool open = (vp->cpu.rflags & RFLAGS_IF) && !(vp->cpu.interruptibility & SHADOWS);
	int vector;

	if (vp->cpu.activity >= ACTIVITY_SHUTDOWN)
		return NOTHING;
	if (attn & VP_ATTN_INTR_WINDOW && open)
		return found(exit_plain(vp, EXIT_REASON_INTERRUPT_WINDOW));
	if (attn & VP_ATTN_INTR_WINDOW && !(vp->cpu.rflags & RFLAGS_IF))
		hold(vp, VP_ATTN_INTR_WINDOW);
	if (attn & VP_ATTN_VIRQ && open)
		return found(take(vp, vapic_take(vp), INTR_TYPE_EXTERNAL));
	if (!(attn & VP_ATTN_INTR))
		return NOTHING;
	if (ctl_pin(vp, PIN_EXTERNAL_INTERRUPT))
		return interrupt_exit(vp);
	if (!open) {
		if (!(vp->cpu.rflags & RFLAGS_IF))
			hold(vp, VP_ATTN_INTR);
		return NOTHING;
	}
	/* one instruction of a handler runs before the next interrupt, so that a line that is
	 * always on and gates that leave IF alone cannot keep the processor from ever going on */
	if (vp->ev.intr_taken && !moved(vp)) {
		attn_set(vp, VP_ATTN_STEP);
		return NOTHING;
	}
	vector = vp->ops->intr_ack(vp);
	if (vector < 0)
		return NOTHING;
	take(vp, (u32)vector & 0xff, INTR_TYPE_EXTERNAL);
	vp->ev.intr_taken = true;
	mark(vp);
	return DELIVERED;
}

static enum found try_code_breakpoint(struct vp *vp, u32 attn)
{
	u64 bits;

	if (!(attn & VP_ATTN_WATCH) || vp->cpu.activity != ACTIVITY_ACTIVE ||
	    (vp->cpu.rflags & RFLAGS_RF) || (vp->cpu.interruptibility & INTERRUPTIBILITY_MOV_SS))
		return NOTHING;
	bits = debug_code_match(vp);
	return bits ? found(debug_exception(vp, bits)) : NOTHING;
}

static enum found try_all(struct vp *vp, u32 attn)
{
	enum found f = try_signals(vp, attn);

	if (!f)
		f = try_vapic(vp, attn);
	if (!f)
		f = try_debug(vp);
	if (!f)
		f = try_nmi(vp, attn);
	if (!f)
		f = try_intr(vp,
			     vp->attn); /* virtual interrupts may have become pending just now */
	if (!f)
		f = try_code_breakpoint(vp, attn);
	return f;
}

/* SDM 3C "Other Causes of VM Exits": the VMX-preemption timer comes after these. */
bool engine_trap_due(struct vp *vp)
{
	u32 attn = vp->attn;

	if (attn & (VP_ATTN_INJECT | VP_ATTN_VAPIC))
		return true;
	if (!(attn & (VP_ATTN_STEP | VP_ATTN_MTF)))
		return false;
	step_over(vp);
	return vp->ev.mtf_due || trap_pending(vp);
}

/* The end of MWAIT by a store to the line (or near it), or by an interrupt that stays pending. */
static void end_mwait(struct vp *vp, u32 attn)
{
	bool masked = vp->ev.mwait == MWAIT_WAITS_MASKED && attn & VP_ATTN_INTR;

	if (vp->ev.mwait && vp->cpu.activity == ACTIVITY_HLT && (masked || attn & VP_ATTN_STORE)) {
		vp->cpu.activity = ACTIVITY_ACTIVE;
		vp->ev.mwait = MWAIT_NO;
	}
	attn_clear(vp, VP_ATTN_STORE);
}

bool event_boundary(struct vp *vp, bool *stop_request)
{
	u32 attn = vp->attn;
	enum found f;

	*stop_request = false;
	if (attn & VP_ATTN_SAFE_POINT) {
		attn_clear(vp, VP_ATTN_SAFE_POINT);
		vtlb_safe_point(&vp->tlb);
	}
	if (attn & VP_ATTN_INJECT) {
		attn_clear(vp, VP_ATTN_INJECT);
		if (inject(vp))
			return true;
	}
	if (unlikely(vp->ev.mwait || attn & VP_ATTN_STORE))
		end_mwait(vp, attn);
	step_over(vp);
	do {
		attn = vp->attn;
		f = try_all(vp, attn);
	} while ((f == DELIVERED && vp->insns < vp->until) || f == POSTED);
	if (f == EXITED)
		return true;
	if (f == DELIVERED) /* see note_progress(): the rest after a look at the clock */
		*stop_request = true;
	step_arm(vp, attn);
	if (attn & VP_ATTN_REQUEST) {
		attn_clear(vp, VP_ATTN_REQUEST);
		*stop_request = true;
	}
	return false;
}

/* --- for exit handlers ------------------------------------------------------------------------ */

void engine_skip(struct vp *vp, u32 insn_len)
{
	u64 rip = vp->cpu.rip + insn_len;

	if (!is_code64(vp))
		rip = vp->cpu.seg[SEG_CS].ar & SEG_AR_DB ? (u32)rip : (u16)rip;
	vp->cpu.rip = rip;
	vp->insns++;
	vp->cpu.interruptibility &= ~SHADOWS;
	vp->cpu.rflags &= ~RFLAGS_RF;
	vp->ev.shadow_armed = false;
	vp->ev.step_armed = false;
	if ((vp->cpu.rflags & RFLAGS_TF) && !(vp->cpu.debugctl & DEBUGCTL_BTF)) {
		vp->cpu.pending_dbg |= PENDING_DBG_BS;
		attn_set(vp, VP_ATTN_STEP);
	}
	if (vp->ev.mtf_armed)
		vp->ev.mtf_due = true;
}
