/*
 * Nested VM entry and VM exit: the order of things. What moves where is in shadow-vmcs/vmcs02.c,
 * what is checked in shadow-vmcs/check_*.c. Emits vm_entry, vm_entry_failed and entry_failure, here
 * only. Source: SDM 3C "VM Entries", "VM Exits".
 */
#include "l0/exit/exit_priv.h"
#include "l0/engine/pmu.h"
#include "l0/engine/vapic.h"
#include "l0/track/track.h"
#include "shadow-vmcs/reflect.h"
#include "shadow-vmcs/vmcs02.h"
#include "shadow-vmcs/vmcs12.h"

void nested_unblock_init(struct vp *vp, struct nvmx *nv)
{
	if (likely(!nv->init_blocked))
		return;
	nv->init_blocked = false;
	vp_request(vp, VP_ATTN_INIT);
}

/* --- success and failure of VMX instructions, SDM 3C "Conventions" ------------------------------
 */

enum exit_action vmx_succeed(struct vp *vp)
{
	vp->cpu.rflags &= ~RFLAGS_ARITH;
	return exit_done(vp);
}

enum exit_action vmx_fail_invalid(struct vp *vp, struct nvmx *nv, u64 operand)
{
	nv->count.insn_failures++;
	exit_emit(vp, nv, false);
	VP_TRANSITION(vp, vm_insn_fail, .insn = vp->exit.reason, .error = 0, .operand = operand,
		      .guest_rip = vp->cpu.rip);
	vp->cpu.rflags = (vp->cpu.rflags & ~RFLAGS_ARITH) | RFLAGS_CF;
	return exit_done(vp);
}

enum exit_action vmx_fail_valid(struct vp *vp, struct nvmx *nv, u32 error, u64 operand)
{
	if (nv->current_vmptr == VMX_NO_POINTER)
		return vmx_fail_invalid(vp, nv, operand);
	nv->count.insn_failures++;
	nv->last_error = error;
	nv->count.errors |= 1u << error;
	exit_emit(vp, nv, false);
	VP_TRANSITION(vp, vm_insn_fail, .insn = vp->exit.reason, .error = error, .operand = operand,
		      .guest_rip = vp->cpu.rip);
	if (nv->records)
		record_insn_failure(vp, nv, error, operand);
	nv->vmcs12.vm_instruction_error = error;
	vp->cpu.rflags = (vp->cpu.rflags & ~RFLAGS_ARITH) | RFLAGS_ZF;
	return exit_done(vp);
}

/* --- MSR lists ----------------------------------------------------------------------------------
 */

/* SDM 3C "Loading MSRs": the list may not name these. */
static bool list_forbids_load(const struct vmx_msr_entry *e)
{
	switch (e->index) {
	case MSR_IA32_FS_BASE:
	case MSR_IA32_GS_BASE:
	case MSR_IA32_BIOS_UPDT_TRIG:
	case MSR_IA32_BIOS_SIGN_ID:
	case MSR_IA32_SMM_MONITOR_CTL: return true;
	default: return e->index >> 8 == MSR_X2APIC_FIRST >> 8;
	}
}

/* Return: CHECK_NONE, or why entry @*bad (from 1) failed. */
static u32 msr_list_load(struct vp *vp, struct nvmx *nv, u64 l1_gpa, u32 count, u32 *bad)
{
	for (u32 i = 0; i < count; i++) {
		struct vmx_msr_entry e;

		*bad = i + 1;
		if (i >= VMX_MSR_LIST_MAX)
			return CHECK_MSR_LOAD_COUNT;
		if (mem_read(vp->mem, l1_gpa + i * sizeof(e), &e, sizeof(e)))
			return CHECK_MSR_LOAD_MEMORY;
		if (list_forbids_load(&e))
			return CHECK_MSR_LOAD_FORBIDDEN;
		if (e.reserved)
			return CHECK_MSR_LOAD_RESERVED;
		if (!exit_msr_write(vp, nv, e.index, e.value))
			return CHECK_MSR_LOAD_FAULT;
	}
	return CHECK_NONE;
}

static bool msr_list_store(struct vp *vp, struct nvmx *nv, u64 l1_gpa, u32 count, u32 *bad)
{
	for (u32 i = 0; i < count; i++) {
		u64 at = l1_gpa + i * sizeof(struct vmx_msr_entry), value;
		struct vmx_msr_entry e;

		*bad = i + 1;
		if (i >= VMX_MSR_LIST_MAX || mem_read(vp->mem, at, &e, sizeof(e)) || e.reserved ||
		    e.index >> 8 == MSR_X2APIC_FIRST >> 8 || e.index == MSR_IA32_SMBASE ||
		    !exit_msr_read(vp, nv, e.index, &value) ||
		    mem_write(vp->mem, at + offsetof(struct vmx_msr_entry, value), &value,
			      sizeof(value)))
			return false;
	}
	return true;
}

/* --- the VMX-preemption timer -------------------------------------------------------------------
 */

static void set_deadline(struct vp *vp, struct nvmx *nv, u64 tsc)
{
	if (nv->preemption_deadline == tsc)
		return;
	nv->preemption_deadline = tsc;
	if (nv->hooks->preemption_changed)
		nv->hooks->preemption_changed(vp);
}

/* The timer counts down whenever bit X of the TSC changes: at multiples of 2^X. */
static u32 timer_shift(const struct nvmx *nv)
{
	return nv->profile->caps.misc & VMX_MISC_TIMER_SHIFT_MASK;
}

static void timer_start(struct vp *vp, struct nvmx *nv)
{
	u32 shift = timer_shift(nv);

	if (nv->vmcs12.pin_based_vm_exec_control & PIN_PREEMPTION_TIMER)
		set_deadline(vp, nv,
			     ((vp->ops->tsc(vp) >> shift) + nv->vmcs12.vmx_preemption_timer_value)
				     << shift);
	else
		set_deadline(vp, nv, NESTED_NO_DEADLINE);
}

static void timer_stop(struct vp *vp, struct nvmx *nv)
{
	if (nv->preemption_deadline == NESTED_NO_DEADLINE)
		return;
	if (nv->vmcs12.vm_exit_controls & EXIT_CTL_SAVE_PREEMPTION_TIMER) {
		u32 shift = timer_shift(nv);
		u64 now = vp->ops->tsc(vp) >> shift, end = nv->preemption_deadline >> shift;

		nv->vmcs12.vmx_preemption_timer_value = end > now ? (u32)(end - now) : 0;
	}
	set_deadline(vp, nv, NESTED_NO_DEADLINE);
}

enum exit_action nested_preemption_expired(struct vp *vp, struct nvmx *nv)
{
	/* an event that the entry injects is delivered before the timer is looked at */
	if (!vp->in_l2 || vp->ops->tsc(vp) < nv->preemption_deadline || engine_trap_due(vp) ||
	    vp->cpu.activity == ACTIVITY_WAIT_SIPI)
		return EXIT_ACTION_RUN;
	nm_zero(&vp->exit, sizeof(vp->exit));
	vp->exit.reason = EXIT_REASON_PREEMPTION_TIMER;
	return exit_handle(vp, nv);
}

/* --- entering -----------------------------------------------------------------------------------
 */

/* SDM 3C "VMX Aborts": the cause goes into the VMCS region in memory, the processor shuts down;
 * here the machine stops and says why. @bad: the entry of the MSR list, from 1. */
static enum exit_action vmx_abort(struct vp *vp, struct nvmx *nv, u32 cause, u32 bad)
{
	char text[EXIT_ABORT_BYTES];

	nv->vmcs12.abort_indicator = cause;
	(void)mem_write(vp->mem, nv->current_vmptr + offsetof(struct vmcs12, abort_indicator),
			&cause, sizeof(cause));
	vp->cpu.activity = ACTIVITY_SHUTDOWN;
	return exit_stop(vp, nv, STOP_UNSUPPORTED, exit_abort_text(vp, nv, cause, bad, text));
}

/* Back to L1's world: host state, vmcs01, lists of the exit. Shared by exits and failed entries. */
static enum exit_action return_to_l1(struct vp *vp, struct nvmx *nv, bool nmi_exit)
{
	const struct vmcs12 *v = &nv->vmcs12;
	bool no_vpid = !vp->ctl.vpid;
	u32 bad;

	vmcs02_load_host(&vp->cpu, v, nmi_exit);
	vp->ctl = nv->ctl01;
	vp->in_l2 = false;
	vp_request_clear(vp, VP_ATTN_INJECT);
	vapic_left(vp);
	engine_state_changed(vp);
	if (no_vpid)
		vtlb_flush_vpid(&vp->tlb, 0);
	if (unlikely(vmcs02_is_pae(&vp->cpu)) && engine_load_pdptes(vp))
		return vmx_abort(vp, nv, VMX_ABORT_LOAD_PDPTE, 0);
	if (unlikely(v->vm_exit_controls & EXIT_CTL_LOAD_PERF_GLOBAL))
		(void)pmu_msr_write(vp, MSR_IA32_PERF_GLOBAL_CTRL, v->host_ia32_perf_global_ctrl);
	if (unlikely(v->vm_exit_msr_load_count) &&
	    msr_list_load(vp, nv, v->vm_exit_msr_load_addr, v->vm_exit_msr_load_count, &bad))
		return vmx_abort(vp, nv, VMX_ABORT_LOAD_MSR, bad);
	return EXIT_ACTION_RUN;
}

/* VM-entry failure with exit reason 33 or 34: L1 goes on at its host RIP. */
static enum exit_action entry_failed(struct vp *vp, struct nvmx *nv, u32 reason, u64 qualification)
{
	struct vmcs12 *v = &nv->vmcs12;

	nv->count.entry_failures++;
	nv->count.reflected[reason]++;
	exit_emit(vp, nv, false);
	VP_TRANSITION(vp, vm_entry_failed, .exit_reason = reason, .vmcs = nv->current_vmptr,
		      .info1 = qualification, .guest_rip = nv->entry_rip);
	v->vm_exit_reason = reason | EXIT_REASON_ENTRY_FAILURE;
	v->exit_qualification = qualification;
	nv->dirty = VMCS12_DIRTY_ALL;
	vp->insns++;
	return return_to_l1(vp, nv, false);
}

static void report_check(struct vp *vp, struct nvmx *nv, const struct check_ctx *c, u32 id)
{
	u64 value = 0;

	BUILD_ASSERT(CHECK_COUNT <= 64 * ARRAY_SIZE(nv->count.checks));
	nv->last_check = id;
	nv->count.checks[id / 64] |= 1ull << id % 64;
	exit_emit(vp, nv, false);
	if (nv->records) {
		explain_entry_failure(vp, nv, c, id);
	} else {
		vmcs12_peek(c->v, check_table[id].field, &value);
		VP_TRANSITION(vp, entry_failure, .check = id, .field = check_table[id].field,
			      .value = value, .vmcs = nv->current_vmptr);
	}
	exit_report_check(vp, nv, c, id);
}

/* PDPTEs that a guest with PAE paging and without EPT starts with; checked a moment ago. */
static void load_pdptes(struct vp *vp, const struct vmcs12 *v)
{
	if ((v->cpu_based_vm_exec_control & PROC_SECONDARY) &&
	    (v->secondary_vm_exec_control & PROC2_EPT))
		return;
	if (mem_read(vp->mem, v->guest_cr3 & 0xffffffe0u, vp->cpu.pdpte, sizeof(vp->cpu.pdpte)))
		nm_zero(vp->cpu.pdpte, sizeof(vp->cpu.pdpte));
}

/* The event of the VM-entry interruption-information field; not subject to the exception bitmap. */
static void inject(struct vp *vp, const struct vmcs12 *v)
{
	vp->inject_info = v->vm_entry_intr_info_field;
	vp->inject_error = v->vm_entry_exception_error_code;
	vp->inject_len = v->vm_entry_instruction_len;
	vp_request(vp, VP_ATTN_INJECT);
}

static void count_controls(struct nvmx *nv)
{
	const struct vmcs12 *v = &nv->vmcs12;
	u32 *seen = nv->count.controls;

	seen[NVMX_WORD_PIN] |= v->pin_based_vm_exec_control;
	seen[NVMX_WORD_PROC] |= v->cpu_based_vm_exec_control;
	if (v->cpu_based_vm_exec_control & PROC_SECONDARY)
		seen[NVMX_WORD_PROC2] |= v->secondary_vm_exec_control;
	seen[NVMX_WORD_EXIT_CTL] |= v->vm_exit_controls;
	seen[NVMX_WORD_ENTRY_CTL] |= v->vm_entry_controls;
}

/* vmcs02; and L0 looks for waits, too, where L1 does not. */
static void merge_controls(struct vp *vp, struct nvmx *nv)
{
	struct vmx_controls *c = &nv->ctl02;

	vmcs02_merge_controls(c, &nv->vmcs12, vp->mem);
	count_controls(nv);
	c->vmcs_needs = nv->profile->caps.needs;
	c->insn_error = &nv->vmcs12.vm_instruction_error;
	if (!(nv->ctl01.proc2 & PROC2_PAUSE_LOOP) || c->proc & PROC_PAUSE ||
	    c->proc2 & PROC2_PAUSE_LOOP)
		return;
	c->proc2 |= PROC2_PAUSE_LOOP;
	c->proc |= PROC_SECONDARY;
	c->ple_gap = nv->ctl01.ple_gap;
	c->ple_window = nv->ctl01.ple_window;
}

/* All checks passed: the processor goes over to L2. */
static enum exit_action enter_l2(struct vp *vp, struct nvmx *nv, bool launch)
{
	struct vmcs12 *v = &nv->vmcs12;
	u32 bad, failed;

	if (nv->dirty & (VMCS12_DIRTY_CTL | VMCS12_DIRTY_NONREG))
		merge_controls(vp, nv);
	nv->dirty = 0;
	vmcs02_load_guest(&vp->cpu, v);
	if (unlikely(vmcs02_is_pae(&vp->cpu)))
		load_pdptes(vp, v);
	vp->ctl = nv->ctl02;
	vp->in_l2 = true;
	vp->insns++; /* the VMLAUNCH or VMRESUME itself */
	engine_state_changed(vp);
	if (!vp->ctl.vpid)
		vtlb_flush_vpid(&vp->tlb, 0);
	if (unlikely(v->vm_entry_controls & ENTRY_CTL_LOAD_PERF_GLOBAL))
		(void)pmu_msr_write(vp, MSR_IA32_PERF_GLOBAL_CTRL, v->guest_ia32_perf_global_ctrl);
	if (unlikely(v->vm_entry_msr_load_count)) {
		failed = msr_list_load(vp, nv, v->vm_entry_msr_load_addr,
				       v->vm_entry_msr_load_count, &bad);
		if (failed) {
			struct check_ctx c = {.v = v,
					      .caps = &nv->profile->caps,
					      .mem = vp->mem,
					      .msr_entry = bad};

			vp->insns--;
			report_check(vp, nv, &c, failed);
			return entry_failed(vp, nv, EXIT_REASON_MSR_LOADING, bad);
		}
	}
	if (v->vm_entry_intr_info_field & INTR_INFO_VALID)
		inject(vp, v);
	if (unlikely(vp->ctl.proc2 & (PROC2_VIRTUAL_INTERRUPT | PROC2_APIC_ACCESSES)))
		vapic_entered(vp);
	timer_start(vp, nv);
	nested_unblock_init(vp, nv);
	if (launch)
		v->launch_state = VMCS12_LAUNCHED;
	nv->count.entries++;
	nv->charge_ns += nv->profile->costs.entry;
	exit_emit(vp, nv, false);
	if (nv->track)
		track_vm_entry(nv->track, nv->current_vmptr, vp->ctl.eptp, vp->ctl.vpid, launch,
			       v->guest_cr3);
	VP_TRANSITION(vp, vm_entry, .vmcs = nv->current_vmptr, .guest_rip = v->guest_rip,
		      .cr3 = v->guest_cr3, .intr_info = v->vm_entry_intr_info_field);
	return EXIT_ACTION_RUN;
}

static enum exit_action check_failed(struct vp *vp, struct nvmx *nv, const struct check_ctx *c,
				     u32 id)
{
	report_check(vp, nv, c, id);
	switch (check_table[id].group) {
	case CHECK_GROUP_CTL:
		return vmx_fail_valid(vp, nv, VMXERR_ENTRY_INVALID_CONTROLS, nv->current_vmptr);
	case CHECK_GROUP_HOST:
		return vmx_fail_valid(vp, nv, VMXERR_ENTRY_INVALID_HOST_STATE, nv->current_vmptr);
	default:
		return entry_failed(vp, nv, EXIT_REASON_INVALID_GUEST_STATE,
				    check_qualification(id));
	}
}

enum exit_action nested_entry(struct vp *vp, struct nvmx *nv, bool launch)
{
	struct vmcs12 *v = &nv->vmcs12;
	struct check_ctx c;
	u32 id, dirty = nv->dirty | VMCS12_DIRTY_EACH;

	nv->entry_rip = vp->cpu.rip;
	if (nv->current_vmptr == VMX_NO_POINTER || (v->revision_id & VMCS12_SHADOW_INDICATOR))
		return vmx_fail_invalid(vp, nv, nv->current_vmptr);
	if (vp->cpu.interruptibility & INTERRUPTIBILITY_MOV_SS)
		return vmx_fail_valid(vp, nv, VMXERR_ENTRY_BLOCKED_BY_MOV_SS, nv->current_vmptr);
	if (launch && v->launch_state != VMCS12_CLEAR)
		return vmx_fail_valid(vp, nv, VMXERR_VMLAUNCH_NOT_CLEAR, nv->current_vmptr);
	if (!launch && v->launch_state != VMCS12_LAUNCHED)
		return vmx_fail_valid(vp, nv, VMXERR_VMRESUME_NOT_LAUNCHED, nv->current_vmptr);
	check_ctx_init(&c, v, &nv->profile->caps, vp->mem, vp->cpu.efer & EFER_LMA);
	c.vmptr = nv->current_vmptr;
	id = checks_run_all(&c, dirty);
	if (unlikely(id))
		return check_failed(vp, nv, &c, id);
	return enter_l2(vp, nv, launch);
}

/* --- leaving ------------------------------------------------------------------------------------
 */

/* "Acknowledge interrupt on exit". Return: false when the interrupt is gone: no exit. */
static bool acknowledge(struct vp *vp, const struct nvmx *nv)
{
	int vector;

	if (!(nv->vmcs12.vm_exit_controls & EXIT_CTL_ACK_INTERRUPT) ||
	    (vp->exit.intr_info & INTR_INFO_VALID)) /* "process posted interrupts" did it */
		return true;
	vector = vp->ops->intr_ack(vp);
	if (vector < 0)
		return false;
	vp->exit.intr_info =
		INTR_INFO_VALID | INTR_TYPE_EXTERNAL << INTR_INFO_TYPE_SHIFT | (u32)vector;
	return true;
}

enum exit_action nested_exit(struct vp *vp, struct nvmx *nv)
{
	struct vmcs12 *v = &nv->vmcs12;
	u32 reason = vp->exit.reason;
	bool nmi = reason == EXIT_REASON_EXCEPTION_NMI &&
		   (vp->exit.intr_info & INTR_INFO_TYPE) == INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT;
	enum exit_action action;
	u32 bad;

	if (reason == EXIT_REASON_EXTERNAL_INTERRUPT && !acknowledge(vp, nv))
		return EXIT_ACTION_RUN;
	if (reason == EXIT_REASON_SIPI && nv->hooks->sipi_vector)
		vp->exit.qualification = nv->hooks->sipi_vector(vp);
	nv->count.reflected[reason]++;
	if (nv->record)
		record_exit(vp, nv);
	nv->charge_ns += nv->profile->costs.reflect;
	sync_vmcs02_to_vmcs12(v, &vp->cpu, &nv->profile->caps, &nv->dirty);
	vmcs02_record_exit(v, &vp->exit);
	timer_stop(vp, nv);
	if (unlikely(v->vm_exit_msr_store_count) &&
	    !msr_list_store(vp, nv, v->vm_exit_msr_store_addr, v->vm_exit_msr_store_count, &bad))
		return vmx_abort(vp, nv, VMX_ABORT_SAVE_MSR, bad);
	action = return_to_l1(vp, nv, nmi);
	exit_emit(vp, nv, true);
	if (nv->track)
		track_vm_exit(nv->track, reason);
	return action;
}

/* --- VM functions, SDM 3C "EPTP Switching" ------------------------------------------------------
 */

#define EPTP_LIST_ENTRIES 512u

bool nested_eptp_ok(const struct nvmx *nv, u64 eptp)
{
	const u32 ids[] = {CHECK_EPTP_TYPE, CHECK_EPTP_WALK, CHECK_EPTP_AD, CHECK_EPTP_RESERVED};
	struct vmcs12 v;
	struct check_ctx c = {.v = &v, .caps = &nv->profile->caps, .proc2 = PROC2_EPT};

	v.ept_pointer = eptp; /* all that these checks read */
	for (u32 i = 0; i < ARRAY_SIZE(ids); i++)
		if (!check_passes(&c, ids[i]))
			return false;
	return true;
}

/* The engine knows that VM functions are enabled; anything but a good EPTP switch is L1's exit. */
enum exit_action exit_vmfunc(struct vp *vp, struct nvmx *nv)
{
	u32 index = (u32)vp->cpu.gpr[RCX];
	u64 eptp;

	if (!vp->in_l2)
		return exit_ud(vp);
	if ((u32)vp->cpu.gpr[RAX] || !(vp->ctl.vmfunc_controls & 1) || index >= EPTP_LIST_ENTRIES ||
	    mem_read(vp->mem, vp->ctl.eptp_list + index * sizeof(eptp), &eptp, sizeof(eptp)) ||
	    !nested_eptp_ok(nv, eptp))
		return nested_exit(vp, nv);
	if (eptp != vp->ctl.eptp) {
		vp->ctl.eptp = eptp;
		nv->ctl02.eptp = eptp;
		nv->vmcs12.ept_pointer = eptp;
		engine_state_changed(vp);
	}
	if (vp->ctl.proc2 & PROC2_VE)
		vp->ctl.eptp_index = nv->ctl02.eptp_index = nv->vmcs12.eptp_index = (u16)index;
	return exit_done(vp);
}

/* --- the current VMCS ---------------------------------------------------------------------------
 */

void nested_release_vmcs(struct vp *vp, struct nvmx *nv)
{
	if (nv->current_vmptr == VMX_NO_POINTER)
		return;
	if (nv->record)
		record_release(vp, nv);
	if (vmcs12_flush(&nv->vmcs12, vp->mem, nv->current_vmptr))
		ASSERT_UNREACHABLE("VMPTRLD took a region outside RAM");
	nv->last_vmptr = nv->current_vmptr;
	nv->current_vmptr = VMX_NO_POINTER;
	nv->dirty = VMCS12_DIRTY_ALL;
	nested_current_changed(vp, nv);
}

void nested_current_changed(struct vp *vp, struct nvmx *nv)
{
	bool shadowed = nv->current_vmptr != VMX_NO_POINTER && !nv->no_vmcs_shadowing;

	nv->ctl01.shadow_vmcs = shadowed ? &nv->vmcs12 : NULL;
	if (!vp->in_l2)
		vp->ctl.shadow_vmcs = nv->ctl01.shadow_vmcs;
}

void exit_set_vmcs_shadowing(struct vp *vp, struct nvmx *nv, bool on)
{
	nv->no_vmcs_shadowing = !on;
	nested_current_changed(vp, nv);
}
