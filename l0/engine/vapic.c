/*
 * Virtualized APIC of a guest: accesses to the APIC-access page and x2APIC MSRs that are served
 * from the virtual-APIC page, task and processor priority, EOIs, self-IPIs, delivery of virtual and
 * posted interrupts. Runs only under controls of L1's; L1 itself has a device (l0/dev/lapic).
 *
 * What a write causes (a priority change, an EOI, an exit) happens after the instruction that
 * wrote: the write is noted in vp->ev and completed by vapic_boundary(). An instruction in the
 * middle of a block of operations is run again alone, so that the boundary is the next one. Source:
 * SDM 3C "APIC Virtualization and Virtual Interrupts".
 */
#include "l0/engine/vapic.h"
#include "l0/engine/event_priv.h"
#include "l0/engine/exec.h"
#include "l0/engine/softtlb.h"

/* Registers, by their offset in the page. */
#define V_ID 0x020u
#define V_VERSION 0x030u
#define V_TPR 0x080u
#define V_PPR 0x0a0u
#define V_EOI 0x0b0u
#define V_LDR 0x0d0u
#define V_DFR 0x0e0u
#define V_SVR 0x0f0u
#define V_ISR 0x100u
#define V_IRR 0x200u
#define V_ESR 0x280u
#define V_ICR_LOW 0x300u
#define V_ICR_HIGH 0x310u
#define V_LVT_TIMER 0x320u
#define V_LVT_ERROR 0x370u
#define V_TIMER_INITIAL 0x380u
#define V_TIMER_DIVIDE 0x3e0u
#define V_SELF_IPI 0x3f0u

/* Access types of an APIC-access exit, bits 15:12 of the qualification. */
enum { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH, ACCESS_DELIVERY };

static bool has_vid(const struct vp *vp)
{
	return ctl_proc2(vp, PROC2_VIRTUAL_INTERRUPT);
}

/* --- the page --------------------------------------------------------------------------------- */

static u32 v_read(const struct vp *vp, u32 reg)
{
	return nm_load32(vp->ctl.virtual_apic + reg);
}

static void v_write(struct vp *vp, u32 reg, u32 val)
{
	nm_store32(vp->ctl.virtual_apic + reg, val);
	mem_note_write(vp->mem, vp->ctl.virtual_apic_gpa + reg, 4);
}

/* VIRR and VISR: 32 bits in each 16 bytes. */
static u32 bit_word(u32 base, u32 vector)
{
	return base + vector / 32 * 16;
}

static void v_set(struct vp *vp, u32 base, u32 vector)
{
	u32 reg = bit_word(base, vector);

	v_write(vp, reg, v_read(vp, reg) | 1u << vector % 32);
}

static void v_clear(struct vp *vp, u32 base, u32 vector)
{
	u32 reg = bit_word(base, vector);

	v_write(vp, reg, v_read(vp, reg) & ~(1u << vector % 32));
}

/* The highest vector whose bit is set, 0 if none is. */
static u32 v_highest(const struct vp *vp, u32 base)
{
	for (u32 i = 8; i--;) {
		u32 bits = v_read(vp, base + 16 * i);

		if (bits)
			return 32 * i + 31 - (u32)__builtin_clz(bits);
	}
	return 0;
}

/* --- guest interrupt status: RVI and SVI -------------------------------------------------------
 */

static u32 rvi(const struct vp *vp)
{
	return vp->cpu.intr_status & 0xff;
}
static u32 svi(const struct vp *vp)
{
	return vp->cpu.intr_status >> 8;
}
static void set_rvi(struct vp *vp, u32 vector)
{
	vp->cpu.intr_status = (u16)((vp->cpu.intr_status & 0xff00) | vector);
}
static void set_svi(struct vp *vp, u32 vector)
{
	vp->cpu.intr_status = (u16)(rvi(vp) | vector << 8);
}

/* --- SDM 3C "PPR Virtualization", "Evaluation of Pending Virtual Interrupts" -------------------
 */

static void update_ppr(struct vp *vp)
{
	u32 tpr = v_read(vp, V_TPR) & 0xff;

	v_write(vp, V_PPR, tpr >> 4 >= svi(vp) >> 4 ? tpr : svi(vp) & 0xf0);
}

static void evaluate(struct vp *vp)
{
	if (!ctl_proc(vp, PROC_INTERRUPT_WINDOW) && rvi(vp) >> 4 > (v_read(vp, V_PPR) & 0xf0) >> 4)
		vp_request(vp, VP_ATTN_VIRQ);
	else
		vp_request_clear(vp, VP_ATTN_VIRQ);
}

void vapic_entered(struct vp *vp)
{
	if (!vp->ctl.virtual_apic)
		return;
	if (has_vid(vp)) {
		update_ppr(vp);
		evaluate(vp);
	} else if (ctl_proc2(vp, PROC2_APIC_ACCESSES)) {
		/* SDM 3C "VM Exits Induced by the TPR Threshold": after what the entry injects */
		vp->ev.vapic_write = VAPIC_WRITE | V_TPR;
		vp_request(vp, VP_ATTN_VAPIC);
	}
}

void vapic_left(struct vp *vp)
{
	vp->ev.vapic_write = 0;
	vp_request_clear(vp, VP_ATTN_VAPIC | VP_ATTN_VIRQ);
}

/* --- after a write -----------------------------------------------------------------------------
 */

static bool trap(struct vp *vp, u32 reason, u64 qualification)
{
	exit_begin(vp, reason, qualification);
	vp->n_exits++;
	return true;
}

static bool tpr_written(struct vp *vp)
{
	v_write(vp, V_TPR, v_read(vp, V_TPR) & 0xff);
	if (!has_vid(vp))
		return v_read(vp, V_TPR) >> 4 < (vp->ctl.tpr_threshold & 15) &&
		       trap(vp, EXIT_REASON_TPR_BELOW_THRESHOLD, 0);
	update_ppr(vp);
	evaluate(vp);
	return false;
}

static bool eoi_written(struct vp *vp)
{
	u32 vector = svi(vp);

	if (!has_vid(vp))
		return trap(vp, EXIT_REASON_APIC_WRITE, V_EOI);
	v_write(vp, V_EOI, 0);
	v_clear(vp, V_ISR, vector);
	set_svi(vp, v_highest(vp, V_ISR));
	update_ppr(vp);
	if (vp->ctl.eoi_exit_bitmap[vector / 64] >> vector % 64 & 1)
		return trap(vp, EXIT_REASON_VIRTUALIZED_EOI, vector);
	evaluate(vp);
	return false;
}

static void self_ipi(struct vp *vp, u32 vector)
{
	v_set(vp, V_IRR, vector);
	set_rvi(vp, MAX(rvi(vp), vector));
	evaluate(vp);
}

/* A fixed, edge-triggered interrupt to oneself; reserved bits and the delivery status are 0. */
#define ICR_MUST_BE_0 0xfff3b700u
#define ICR_SHORTHAND (3u << 18)
#define ICR_SELF (1u << 18)

static bool icr_written(struct vp *vp)
{
	u32 icr = v_read(vp, V_ICR_LOW);

	if (!has_vid(vp) || (icr & ICR_MUST_BE_0) || (icr & ICR_SHORTHAND) != ICR_SELF ||
	    !(icr & 0xf0))
		return trap(vp, EXIT_REASON_APIC_WRITE, V_ICR_LOW);
	self_ipi(vp, icr & 0xff);
	return false;
}

static bool complete_write(struct vp *vp, u32 reg)
{
	switch (reg & ~3u) {
	case V_TPR: return tpr_written(vp);
	case V_EOI: return eoi_written(vp);
	case V_ICR_LOW: return icr_written(vp);
	case V_ICR_HIGH:
		v_write(vp, V_ICR_HIGH, v_read(vp, V_ICR_HIGH) & 0xff000000u);
		return false;
	case V_SELF_IPI:
		if (!(v_read(vp, V_SELF_IPI) & 0xf0))
			break;
		self_ipi(vp, v_read(vp, V_SELF_IPI) & 0xff);
		return false;
	}
	return trap(vp, EXIT_REASON_APIC_WRITE, reg);
}

bool vapic_boundary(struct vp *vp)
{
	u32 write = vp->ev.vapic_write;

	if (write) {
		vp->ev.vapic_write = 0;
		vp_request_clear(vp, VP_ATTN_VAPIC);
		return complete_write(vp, write & 0xfff);
	}
	if (vp->ev.vapic_insns != vp->insns) /* the instruction that was to run alone has run */
		vp_request_clear(vp, VP_ATTN_VAPIC);
	return false;
}

/* @reg was written: at the boundary after the running instruction. */
static void note_write(struct vp *vp, u32 reg, u32 size)
{
	vp->ev.vapic_write = VAPIC_WRITE | size << 16 | reg;
	vp_request(vp, VP_ATTN_VAPIC);
}

/* --- the APIC-access page ----------------------------------------------------------------------
 */

static bool in_range(u32 reg, u32 first, u32 last)
{
	return reg >= first && reg <= last;
}

/* SDM 3C "Virtualizing Reads from the APIC-Access Page", "Virtualizing Writes …". */
static bool is_virtualized(const struct vp *vp, u32 reg, bool write)
{
	if (!ctl_proc2(vp, PROC2_APIC_REGISTER))
		return reg == V_TPR || (has_vid(vp) && (reg == V_EOI || reg == V_ICR_LOW));
	switch (reg) {
	case V_ID:
	case V_TPR:
	case V_EOI:
	case V_LDR:
	case V_DFR:
	case V_SVR:
	case V_ESR:
	case V_ICR_LOW:
	case V_ICR_HIGH:
	case V_TIMER_INITIAL:
	case V_TIMER_DIVIDE: return true;
	case V_VERSION: return !write;
	}
	return in_range(reg, V_LVT_TIMER, V_LVT_ERROR) ||
	       (!write && in_range(reg, V_ISR, V_ESR - 16));
}

static _Noreturn void access_exit(struct vp *vp, const struct op *op, u64 gpa, u64 gva, u32 type)
{
	vp->exit = (struct vmexit){.reason = EXIT_REASON_APIC_ACCESS, .gla = gva, .gpa = gpa};
	vp->exit.qualification = (gpa & ~PAGE_MASK) | (u64)type << 12;
	vp_exit(vp, op);
}

void vapic_fetch(struct vp *vp, u64 gpa, u64 gva)
{
	if (vapic_owns(vp, gpa))
		access_exit(vp, NULL, gpa, gva, ACCESS_FETCH);
}

/* An instruction among others of its block runs again, alone. */
static void run_alone(struct vp *vp, const struct op *op)
{
	if (!op || op == vp->completed || vp->cur_block->mode & VP_MODE_ONE)
		return;
	op_complete_state(vp, op);
	vp->ev.vapic_insns = vp->insns;
	vp_request(vp, VP_ATTN_VAPIC);
	vp_restart(vp);
}

u8 *vapic_access(struct vp *vp, const struct op *op, u64 gpa, u64 gva, bool write, u32 size)
{
	u32 off = (u32)(gpa & ~PAGE_MASK), pending = vp->ev.vapic_write;

	if (vp->delivering)
		access_exit(vp, op, gpa, gva, ACCESS_DELIVERY);
	if (!vp->ctl.virtual_apic || size > 4 || (off & 15) + size > 4 ||
	    !is_virtualized(vp, off & ~15u, write) ||
	    (pending && (!write || pending != (VAPIC_WRITE | size << 16 | off))))
		access_exit(vp, op, gpa, gva, write);
	if (write)
		run_alone(vp, op);
	return vp->ctl.virtual_apic + off;
}

void vapic_written(struct vp *vp, u64 gpa, u32 size)
{
	u32 off = (u32)(gpa & ~PAGE_MASK);

	mem_note_write(vp->mem, vp->ctl.virtual_apic_gpa + off, size);
	note_write(vp, off, size);
}

/* --- CR8 and the MSRs of x2APIC mode ------------------------------------------------------------
 */

bool vapic_has_tpr(const struct vp *vp)
{
	return ctl_proc(vp, PROC_TPR_SHADOW) && vp->ctl.virtual_apic;
}

u32 vapic_tpr_read(const struct vp *vp)
{
	return v_read(vp, V_TPR) & 0xff;
}

void vapic_tpr_write(struct vp *vp, u32 tpr)
{
	v_write(vp, V_TPR, tpr);
	note_write(vp, V_TPR, 4);
}

static bool is_x2apic(const struct vp *vp, u32 msr)
{
	return msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_FIRST + 0xff &&
	       ctl_proc2(vp, PROC2_X2APIC) && vapic_has_tpr(vp);
}

static u32 reg_of(u32 msr)
{
	return (msr & 0xff) << 4;
}

bool vapic_msr_read(const struct vp *vp, u32 msr, u64 *val)
{
	if (!is_x2apic(vp, msr) || (reg_of(msr) != V_TPR && !ctl_proc2(vp, PROC2_APIC_REGISTER)))
		return false;
	*val = nm_load64(vp->ctl.virtual_apic + reg_of(msr));
	return true;
}

bool vapic_msr_write(struct vp *vp, const struct op *op, u32 msr, u64 val)
{
	u32 reg = reg_of(msr);

	if (!is_x2apic(vp, msr))
		return false;
	if (reg != V_TPR && !(has_vid(vp) && (reg == V_EOI || reg == V_SELF_IPI)))
		return false;
	if (val & (reg == V_EOI ? ~0ull : ~0xffull))
		fault_gp0(vp, op);
	v_write(vp, reg, (u32)val);
	v_write(vp, reg + 4, 0);
	note_write(vp, reg, 4);
	return true;
}

/* --- delivery -----------------------------------------------------------------------------------
 */

u32 vapic_take(struct vp *vp)
{
	u32 vector = rvi(vp);

	v_set(vp, V_ISR, vector);
	set_svi(vp, vector);
	v_write(vp, V_PPR, vector & 0xf0);
	v_clear(vp, V_IRR, vector);
	set_rvi(vp, v_highest(vp, V_IRR));
	vp_request_clear(vp, VP_ATTN_VIRQ);
	return vector;
}

/* SDM 3C "Posted-Interrupt Processing". */
bool vapic_posted(struct vp *vp, u32 vector)
{
	u64 *desc = vp->ctl.posted_desc;
	u32 highest = 0;

	if (vector != vp->ctl.posted_vector)
		return false;
	if (desc)
		__atomic_fetch_and(&desc[4], ~1ull, __ATOMIC_SEQ_CST); /* ON */
	if (vp->ops->intr_eoi)
		vp->ops->intr_eoi(vp);
	if (!desc || !vp->ctl.virtual_apic)
		return true;
	for (u32 i = 0; i < 8; i++) {
		u32 bits = __atomic_exchange_n((u32 *)desc + i, 0, __ATOMIC_SEQ_CST);

		if (!bits)
			continue;
		v_write(vp, V_IRR + 16 * i, v_read(vp, V_IRR + 16 * i) | bits);
		highest = 32 * i + 31 - (u32)__builtin_clz(bits);
	}
	mem_note_write(vp->mem, vp->ctl.posted_desc_gpa, 64);
	set_rvi(vp, MAX(rvi(vp), highest));
	evaluate(vp);
	return true;
}
