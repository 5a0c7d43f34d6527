/*
 * caps.h - the VMX capabilities that a processor model announces
 *
 * struct vmx_caps is computed once per machine from what a model has and what this project
 * implements (caps.c); capability MSRs, entry checks and VMREAD/VMWRITE all consult it, so what is
 * not announced is refused everywhere. Constant after vmx_caps_init().
 * Source: SDM 3D appendix A "VMX Capability Reporting Facility".
 */
#ifndef SHADOW_VMCS_CAPS_H
#define SHADOW_VMCS_CAPS_H

#include "l0/base/types.h"
#include "shadow-vmcs/checks_index.h"

/* Bits that may be 0 and bits that may be 1 of one control word. */
struct vmx_allowed {
	u32 must_be_1; /* allowed-0: a bit set here must be 1 */
	u32 may_be_1;  /* allowed-1 */
};

struct vmx_caps {
	bool enabled; /* the model has VMX at all */
	/* With the true-controls MSRs; the plain ones report the default1 bits as must-be-1. */
	struct vmx_allowed pin, proc, proc2, exit, entry;
	u64 basic, misc, ept_vpid, vmfunc, vmcs_enum;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u32 needs; /* bit n: enum vmx_need n is met, so fields that need it exist */
	u32 maxphyaddr, linaddr_bits;
	u64 cr4_valid, efer_valid, xcr0_valid,
		debugctl_valid;	    /* for checks on guest and host state */
	struct checks_index checks; /* which entry checks read which fields */
};

/* A model's wish: control bits it may set beyond the must-be-1 ones. */
struct vmx_model {
	u32 pin, proc, proc2, exit, entry;
	u64 ept_vpid;
};

/* What this project implements; a model asks for a part of it. */
extern const struct vmx_model vmx_implemented;

/**
 * vmx_caps_init - what to announce for @model
 * @model: wishes; ANDed with vmx_implemented
 * @cr4_valid, @efer_valid, @xcr0_valid, @maxphyaddr, @linaddr_bits: of the same processor
 */
void vmx_caps_init(struct vmx_caps *caps, const struct vmx_model *model, u64 cr4_valid,
		   u64 efer_valid, u64 xcr0_valid, u32 maxphyaddr, u32 linaddr_bits);

/* Value of capability MSR @msr (480h-493h). Return: false when it does not exist: #GP. */
bool vmx_caps_msr(const struct vmx_caps *caps, u32 msr, u64 *value);

static inline bool vmx_caps_has(const struct vmx_caps *caps, u32 need)
{
	return caps->needs >> need & 1;
}

#endif
