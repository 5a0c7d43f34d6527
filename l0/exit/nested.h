/*
 * nested.h - struct nvmx: what the exit layer keeps for one virtual processor
 *
 * VMX operation of L1 (VMXON region, current VMCS with its cached copy, the merged controls of L2,
 * the preemption timer) and the MSRs that no instruction of the engine uses. Owned by the exit
 * layer; the worker reads preemption_deadline, charge_ns and the stop fields. Plain data, no
 * pointers into guest memory but those of the controls.
 */
#ifndef L0_EXIT_NESTED_H
#define L0_EXIT_NESTED_H

#include "l0/arch/vmcs12.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx_controls.h"
#include "l0/base/types.h"

struct cpu_profile;
struct exit_hooks;
struct vp;

#define MTRR_VARIABLE_COUNT 8u
#define MTRR_FIXED_COUNT 11u

/* MSRs of one VP that live here. */
struct exit_msrs {
	u64 feature_control, misc_enable;
	u64 mtrr_def_type, mtrr_base[MTRR_VARIABLE_COUNT], mtrr_mask[MTRR_VARIABLE_COUNT];
	u64 mtrr_fixed[MTRR_FIXED_COUNT];
	u64 bios_sign_id, mcg_status, energy_perf_bias, perf_ctl, spec_ctrl;
	u64 tsc_adjust_msr; /* IA32_TSC_ADJUST as the guest reads it */
};

struct exit_counts {
	u64 taken[EXIT_REASON_COUNT];
	u64 reflected[EXIT_REASON_COUNT];
	u64 entries, entry_failures, insn_failures;
};

struct nvmx {
	/* --- hot: nested entry and exit --- */
	struct vmcs12 vmcs12;	  /* cached copy of the current VMCS; valid while current_vmptr is */
	u32 dirty;		  /* VMCS12_DIRTY_*: groups of fields that changed since they were used */
	u32 vcpu12_id, level12;	  /* of the current VMCS, for the trace */
	u64 current_vmptr;	  /* VMX_NO_POINTER: none */
	u64 vmxon_ptr;
	struct vmx_controls ctl01; /* what L1 runs under */
	struct vmx_controls ctl02; /* what L2 runs under: merged, valid while !(dirty & CTL) */
	u64 preemption_deadline;  /* TSC value, NESTED_NO_DEADLINE when off */
	u64 charge_ns;		  /* virtual time to charge; the worker takes it */
	u64 tsc_adjust;		  /* added to the machine's count by vp->ops->tsc */
	bool mtf_entry;		  /* a VM entry injected a pending MTF exit */

	/* --- surroundings --- */
	const struct cpu_profile *profile;
	const struct exit_hooks *hooks;
	u32 index;
	u32 vcpu01_id, level01;	  /* the VP's own, for the trace */
	struct exit_msrs msr;
	struct exit_counts count;

	/* Why the machine stops (EXIT_ACTION_STOP). */
	u32 stop_cause; /* enum of event_enums.def stop_cause */
	char stop_text[120];

	/* Unknown MSRs are reported once each. */
	u32 reported_msr[32];
	u32 reported_count;

	/* The last failed entry check, for the dump. */
	u32 last_check;
	u32 last_error; /* VM-instruction error of the last VMfail */
};

#endif
