/*
 * From vp->exit to a handler. Every slot of the table is filled; the default one stops the machine
 * with a reason, since an exit that nobody asked for is a bug of ours or a guest beyond what is
 * supported. Exits of L2 that L1 wants go to nested_exit(). Emits vm_exit, here only; a halt is the
 * worker's to report, who knows whether anything ends it at once.
 *
 * Later routing (a service VM that handles chosen events, D9) has its place in exit_route().
 */
#include "l0/exit/exit_priv.h"
#include "shadow-vmcs/reflect.h"
#include <x86intrin.h>

/* --- the vm_exit transition ---------------------------------------------------------------------
 */

static u8 isa_of(const struct vp *vp)
{
	if (!(vp->cpu.cr0 & CR0_PE))
		return ISA_REAL16;
	if (vp->cpu.rflags & RFLAGS_VM)
		return ISA_V86;
	if (vp->cpu.efer & EFER_LMA)
		return vp->cpu.seg[SEG_CS].ar & SEG_AR_L ? ISA_LONG64 : ISA_COMPAT;
	return vp->cpu.seg[SEG_CS].ar & SEG_AR_DB ? ISA_PROT32 : ISA_PROT16;
}

static u64 host_cycles(void)
{
	return __rdtsc();
}

#define CALIBRATE_NS 1000000ull /* shortest stretch that gives a rate */

/* Host cycles to ns, by a rate that is measured since the start; 0 during the first millisecond. */
static u32 cost_ns(struct nvmx *nv, u64 cycles)
{
	if (unlikely(!nv->cost_mult)) {
		u64 ns = exit_host_ns() - nv->cost_ns0, tsc = host_cycles() - nv->cost_tsc0;

		if (ns < CALIBRATE_NS || !tsc)
			return 0;
		nv->cost_mult = (u64)(((u128)ns << 32) / tsc);
	}
	return (u32)((u128)cycles * nv->cost_mult >> 32);
}

/* Keep what the transition needs and handling changes. */
static void pending_start(struct vp *vp, struct nvmx *nv)
{
	nv->pending.wanted = vp->trace && TRANSITION_WANTED(vp->trace, vm_exit);
	if (!nv->pending.wanted)
		return;
	nv->pending.rip = vp->cpu.rip;
	nv->pending.isa = isa_of(vp);
	nv->pending.l2 = vp->in_l2;
	nv->pending.host_start = nv->measure_cost ? host_cycles() : 0;
}

void exit_emit(struct vp *vp, struct nvmx *nv, bool reflected)
{
	const struct exit_costs *costs = &nv->profile->costs;
	bool l2 = nv->pending.l2;
	u32 ns = 0;

	if (!nv->pending.wanted)
		return;
	nv->pending.wanted = false;
	if (nv->measure_cost) {
		ns = cost_ns(nv, host_cycles() - nv->pending.host_start);
		nv->count.host_cost_ns += ns;
	}
	VP_TRANSITION(vp, vm_exit, .exit_reason = vp->exit.reason & 0xffff,
		      .guest_rip = nv->pending.rip, .isa = nv->pending.isa,
		      .info1 = vp->exit.qualification, .info2 = vp->exit.intr_info,
		      .vmcs = l2 ? nv->current_vmptr : 0, .reflected = reflected,
		      .charge_ns = reflected ? costs->reflect
				   : l2	     ? costs->exit_kept
					     : costs->exit_l1,
		      .host_cost_ns = ns);
}

/* --- shared by handlers -------------------------------------------------------------------------
 */

enum exit_action exit_fault(struct vp *vp, u32 vector, bool has_error, u32 error)
{
	engine_inject(vp,
		      INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT |
			      (has_error ? INTR_INFO_ERROR_CODE : 0) | vector,
		      error, 0);
	return EXIT_ACTION_RUN;
}

enum exit_action exit_stop(struct vp *vp, struct nvmx *nv, u32 cause, const char *text)
{
	exit_emit(vp, nv, false);
	nv->stop_cause = cause;
	exit_stop_text(vp, nv, text);
	return EXIT_ACTION_STOP;
}

/* --- handlers -----------------------------------------------------------------------------------
 */

static enum exit_action exit_unexpected(struct vp *vp, struct nvmx *nv)
{
	return exit_stop(vp, nv, STOP_UNSUPPORTED, "an exit that nothing handles");
}

static enum exit_action exit_triple_fault(struct vp *vp, struct nvmx *nv)
{
	return exit_stop(vp, nv, STOP_TRIPLE_FAULT, "triple fault");
}

static enum exit_action exit_cpuid(struct vp *vp, struct nvmx *nv)
{
	cpuid_execute(vp, nv);
	return exit_done(vp);
}

/* GETSEC, RSM, ENCLS: instructions that this processor does not have. */
static enum exit_action exit_undefined(struct vp *vp, struct nvmx *nv)
{
	return exit_ud(vp);
}

/* INVD, WBINVD: there is no cache to write back. */
static enum exit_action exit_nop(struct vp *vp, struct nvmx *nv)
{
	return exit_done(vp);
}

/* Could something that is pending end the halt at once? The engine decides; this only asks. */
static bool may_wake(const struct vp *vp)
{
	u32 attn = __atomic_load_n(&vp->attn, __ATOMIC_ACQUIRE);

	if (attn & VP_ATTN_VIRQ && (vp->cpu.rflags & RFLAGS_IF))
		return true;
	if (attn & VP_ATTN_INTR)
		return (vp->cpu.rflags & RFLAGS_IF) || (vp->ctl.pin & PIN_EXTERNAL_INTERRUPT);
	return attn & (VP_ATTN_NMI | VP_ATTN_INIT | VP_ATTN_INTR_WINDOW | VP_ATTN_NMI_WINDOW |
		       VP_ATTN_MTF | VP_ATTN_STEP);
}

static enum exit_action exit_hlt(struct vp *vp, struct nvmx *nv)
{
	engine_skip(vp, vp->exit.insn_len);
	vp->cpu.activity = ACTIVITY_HLT;
	return may_wake(vp) ? EXIT_ACTION_RUN : EXIT_ACTION_HALT;
}

/* A wait that L0 looks for; one that a guest's VMM looks for went there. */
static enum exit_action exit_pause(struct vp *vp, struct nvmx *nv)
{
	engine_skip(vp, vp->exit.insn_len);
	return EXIT_ACTION_SPIN;
}

/* SDM 3C "Other Causes of VM Exits": blocked in VMX root operation, a reset outside it. */
static enum exit_action exit_init_signal(struct vp *vp, struct nvmx *nv)
{
	if (vp->vmxon) {
		nv->init_blocked = true;
		return EXIT_ACTION_RUN;
	}
	exit_emit(vp, nv, false);
	if (nv->hooks->init_signal) {
		nv->hooks->init_signal(vp);
	} else {
		engine_reset(vp, true);
		exit_vp_reset(vp, nv, true);
	}
	if (!nv->index)
		return EXIT_ACTION_RUN;
	vp->cpu.activity = ACTIVITY_WAIT_SIPI;
	return EXIT_ACTION_HALT;
}

static enum exit_action exit_sipi(struct vp *vp, struct nvmx *nv)
{
	u8 vector = nv->hooks->sipi_vector ? nv->hooks->sipi_vector(vp) : 0;

	vp->cpu.seg[SEG_CS].sel = (u16)(vector << 8);
	vp->cpu.seg[SEG_CS].base = (u64)vector << 12;
	vp->cpu.rip = 0;
	vp->cpu.activity = ACTIVITY_ACTIVE;
	engine_state_changed(vp);
	return EXIT_ACTION_RUN;
}

static const exit_handler handlers[EXIT_REASON_COUNT] = {
	[0 ... EXIT_REASON_COUNT - 1] = exit_unexpected,
	[EXIT_REASON_TRIPLE_FAULT] = exit_triple_fault,
	[EXIT_REASON_INIT_SIGNAL] = exit_init_signal,
	[EXIT_REASON_SIPI] = exit_sipi,
	[EXIT_REASON_CPUID] = exit_cpuid,
	[EXIT_REASON_GETSEC] = exit_undefined,
	[EXIT_REASON_HLT] = exit_hlt,
	[EXIT_REASON_INVD] = exit_nop,
	[EXIT_REASON_RSM] = exit_undefined,
	[EXIT_REASON_VMCALL] = exit_vmcall,
	[EXIT_REASON_VMCLEAR] = exit_vmclear,
	[EXIT_REASON_VMLAUNCH] = exit_vmlaunch,
	[EXIT_REASON_VMPTRLD] = exit_vmptrld,
	[EXIT_REASON_VMPTRST] = exit_vmptrst,
	[EXIT_REASON_VMREAD] = exit_vmread,
	[EXIT_REASON_VMRESUME] = exit_vmresume,
	[EXIT_REASON_VMWRITE] = exit_vmwrite,
	[EXIT_REASON_VMXOFF] = exit_vmxoff,
	[EXIT_REASON_VMXON] = exit_vmxon,
	[EXIT_REASON_PAUSE] = exit_pause,
	[EXIT_REASON_RDMSR] = exit_rdmsr,
	[EXIT_REASON_WRMSR] = exit_wrmsr,
	[EXIT_REASON_INVEPT] = exit_invept,
	[EXIT_REASON_INVVPID] = exit_invvpid,
	[EXIT_REASON_WBINVD] = exit_nop,
	[EXIT_REASON_VMFUNC] = exit_vmfunc,
	[EXIT_REASON_ENCLS] = exit_undefined,
};

/* --- dispatch -----------------------------------------------------------------------------------
 */

static inline enum exit_action exit_route(struct vp *vp, struct nvmx *nv, u32 reason)
{
	if (vp->in_l2 && reflect_wanted(&nv->vmcs12, &vp->ctl, &vp->cpu, &vp->exit))
		return nested_exit(vp, nv);
	if (vp->in_l2)
		nv->charge_ns += nv->profile->costs.exit_kept;
	else
		nv->charge_ns += nv->profile->costs.exit_l1;
	return handlers[reason](vp, nv);
}

enum exit_action exit_handle(struct vp *vp, struct nvmx *nv)
{
	u32 reason = vp->exit.reason & 0xffff;
	enum exit_action action;

	if (unlikely(reason >= EXIT_REASON_COUNT))
		return exit_unexpected(vp, nv);
	nv->count.taken[reason]++;
	pending_start(vp, nv);
	action = exit_route(vp, nv, reason);
	exit_emit(vp, nv, false);
	return action;
}

/* --- set-up -------------------------------------------------------------------------------------
 */

/* L1's MSR bitmap: nothing exits that the engine can do itself. */
static const u8 no_msr_exits[PAGE_SIZE] __aligned_to(PAGE_SIZE);

/* vmcs01, L0's choice: only what L0 must see exits. */
static void fill_vmcs01(struct nvmx *nv)
{
	struct vmx_controls *c = &nv->ctl01;

	nm_zero(c, sizeof(*c));
	c->proc = PROC_HLT | PROC_MSR_BITMAPS | PROC_SECONDARY;
	c->proc2 = PROC2_RDTSCP | PROC2_INVPCID | PROC2_XSAVES | PROC2_USER_WAIT |
		   PROC2_VMCS_SHADOWING;
	c->vmread_bitmap = nv->profile->vmcs_exit_map;
	c->vmwrite_bitmap = nv->profile->vmcs_exit_map;
	c->shadow_dirty = &nv->dirty;
	c->msr_bitmap = no_msr_exits;
	c->tsc_multiplier = 1ull << 48;
	c->apic_access_gpa = ~0ull;
	c->l0_native = true;
}

void exit_vp_detect_spin(struct nvmx *nv, struct vp *vp)
{
	nv->ctl01.proc2 |= PROC2_PAUSE_LOOP;
	nv->ctl01.ple_gap = EXIT_SPIN_GAP;
	nv->ctl01.ple_window = EXIT_SPIN_WINDOW;
	vp->ctl = nv->ctl01;
	engine_state_changed(vp);
}

void exit_vp_reset(struct vp *vp, struct nvmx *nv, bool init)
{
	if (vp->vmxon)
		nested_release_vmcs(vp, nv);
	if (nv->records)
		record_reset(nv);
	nv->current_vmptr = VMX_NO_POINTER;
	nv->vmxon_ptr = VMX_NO_POINTER;
	nv->preemption_deadline = NESTED_NO_DEADLINE;
	nv->dirty = VMCS12_DIRTY_ALL;
	nv->init_blocked = false;
	vp->vmxon = false;
	vp->in_l2 = false;
	vp->ctl = nv->ctl01;
	nested_current_changed(vp, nv);
	exit_msrs_reset(vp, nv, init);
	engine_state_changed(vp);
}

void exit_vp_init(struct nvmx *nv, struct vp *vp, const struct cpu_profile *profile,
		  const struct exit_hooks *hooks, struct track_vp *track, u32 index)
{
	nm_zero(nv, sizeof(*nv));
	nv->profile = profile;
	nv->hooks = hooks;
	nv->track = track;
	nv->index = index;
	nv->last_vmptr = VMX_NO_POINTER;
	nv->cost_ns0 = exit_host_ns();
	nv->cost_tsc0 = host_cycles();
	fill_vmcs01(nv);
	vp->features = &profile->features;
	vp->vmxon = false;
	exit_vp_reset(vp, nv, false);
}
