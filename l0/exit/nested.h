/*
 * nested.h - struct nvmx: what the exit layer keeps for one virtual processor
 *
 * VMX operation of L1 (VMXON region, current VMCS with its cached copy, the merged controls of L2,
 * the preemption timer) and the MSRs that no instruction of the engine uses. Owned by the exit
 * layer; the worker reads preemption_deadline, charge_ns, the counters and the stop fields. Plain
 * data.
 */
#ifndef L0_EXIT_NESTED_H
#define L0_EXIT_NESTED_H

#include "l0/arch/vmcs12.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx_controls.h"
#include "l0/base/types.h"

struct cpu_profile;
struct exit_hooks;
struct track_vp;
struct vmcs_record;
struct vmcs_records;
struct vp;

#define MTRR_VARIABLE_COUNT 8u
#define MTRR_FIXED_COUNT 11u
#define NVMX_REPORTED_MSRS 32u

/* MSRs of one VP that live here. */
struct exit_msrs {
	u64 feature_control;
	u64 mtrr_def_type, mtrr_base[MTRR_VARIABLE_COUNT], mtrr_mask[MTRR_VARIABLE_COUNT];
	u64 mtrr_fixed[MTRR_FIXED_COUNT];
	u64 bios_sign_id, mcg_status, energy_perf_bias, perf_ctl;
	u64 tsc_adjust; /* IA32_TSC_ADJUST as the guest reads it */
};

/* The control words, as indices of exit_counts.controls. */
enum {
	NVMX_WORD_PIN,
	NVMX_WORD_PROC,
	NVMX_WORD_PROC2,
	NVMX_WORD_EXIT_CTL,
	NVMX_WORD_ENTRY_CTL,
	NVMX_WORDS
};

struct exit_counts {
	u64 taken[EXIT_REASON_COUNT];	  /* by basic exit reason, all levels */
	u64 reflected[EXIT_REASON_COUNT]; /* of these, given to L1 */
	u32 controls[NVMX_WORDS];	  /* bits that were 1 at a VM entry */
	u64 checks[4];			  /* bit n: enum check_id n failed */
	u32 errors;			  /* bit n: VM-instruction error n was given */
	u64 entries, entry_failures, insn_failures;
	u64 host_cost_ns; /* host time spent in exit_handle() while measure_cost was set */
};

/* An exit whose vm_exit transition is still to be made: it carries the cost of handling it. */
struct exit_pending {
	bool wanted;
	bool l2; /* it was L2's */
	u8 isa;
	u64 rip, host_start;
};

struct nvmx {
	/* --- hot: nested entry and exit --- */
	struct vmcs12 vmcs12; /* cached copy of the current VMCS; valid while current_vmptr is */
	u32 dirty;	   /* VMCS12_DIRTY_*: groups of fields that changed since they were used */
	u64 current_vmptr; /* VMX_NO_POINTER: none */
	u64 vmxon_ptr;
	struct vmx_controls ctl01; /* what L1 runs under */
	struct vmx_controls ctl02; /* what L2 runs under: merged, valid while !(dirty & CTL) */
	u64 preemption_deadline;   /* TSC value, NESTED_NO_DEADLINE when off */
	u64 charge_ns;		   /* virtual time to charge; the worker takes it */
	u64 tsc_adjust;		   /* added to the machine's count by vp->ops->tsc */
	bool init_blocked;	   /* INIT came in VMX root operation: held back until it ends */
	struct exit_pending pending;
	bool no_vmcs_shadowing; /* exit_set_vmcs_shadowing() */
	bool measure_cost;	/* the worker's choice: vm_exit says what handling cost the host */

	/* --- surroundings --- */
	const struct cpu_profile *profile;
	const struct exit_hooks *hooks;
	struct track_vp *track; /* may be NULL */
	u32 index;
	bool declares; /* the hypercall of l0/arch/hypercall.h is there */
	struct exit_msrs msr;
	struct exit_counts count;
	u64 cost_tsc0, cost_ns0, cost_mult; /* host TSC to ns, 32 fraction bits */

	/* Why the machine stops (EXIT_ACTION_STOP). */
	u32 stop_cause; /* enum stop_cause */
	char stop_text[256];

	/* Unknown MSRs are reported once each. */
	u32 reported_msr[NVMX_REPORTED_MSRS];
	u32 reported_count;
	bool told_uncounted; /* a performance event, the first */

	/* What explanations need; NULL: not kept. See exit_set_records(). */
	struct vmcs_records *records; /* the machine's */
	struct vmcs_record *record;   /* of the current VMCS */
	u32 record_vcpu;	      /* this processor, as in events */
	bool explains;		      /* failures and misuse in words on standard error */
	u8 misuse_said;		      /* bit n: kind n was said in words */

	/* For the dump. */
	u64 entry_rip;	/* of the last VMLAUNCH or VMRESUME */
	u32 last_check; /* enum check_id of the last failed entry */
	u32 last_error; /* VM-instruction error of the last VMfail */
	u64 last_vmptr;
};

#endif
