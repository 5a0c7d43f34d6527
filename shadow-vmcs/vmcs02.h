/*
 * vmcs02.h - vmcs02: what L0 really runs L2 with, made of vmcs01 and vmcs12
 *
 * There is no vmcs02 structure: the guest-state area is struct cpu_state, the controls are struct
 * vmx_controls. These functions move state between them and vmcs12 as VM entry and VM exit define
 * it; l0/exit/nested.c calls them in the right order. Pure data movement: no allocation, no lock,
 * no guest memory but the look-up of bitmap pages. Vector state is not touched. Cost: loading or
 * saving guest state and loading host state 10 to 12 ns each, recording an exit 3; merging the
 * controls, done only after a VMWRITE to one of their fields, some tens.
 */
#ifndef SHADOW_VMCS_VMCS02_H
#define SHADOW_VMCS_VMCS02_H

#include "l0/arch/cpu_state.h"
#include "l0/arch/vmcs12.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx_controls.h"
#include "shadow-vmcs/caps.h"

struct mem;

/**
 * vmcs02_merge_controls - what L2 runs under
 * @ctl: result
 * @v:   L1's wishes, checked; bitmap addresses that are not RAM become NULL: every access exits
 *
 * L0's own wishes are few: HLT exits (a worker may run somebody else). MSRs that the engine does
 * not keep, CPUID and the like exit whatever the controls say.
 */
void vmcs02_merge_controls(struct vmx_controls *ctl, const struct vmcs12 *v, const struct mem *m);

/* Loading guest state, SDM 3C "Loading Guest State". PDPTEs only from the fields (EPT). */
void vmcs02_load_guest(struct cpu_state *cpu, const struct vmcs12 *v);

/* Does the entry put PAE paging to use, so that PDPTEs count? */
static inline bool vmcs02_is_pae(const struct cpu_state *cpu)
{
	return (cpu->cr0 & 0x80000000u) && (cpu->cr4 & 0x20) && !(cpu->efer & 0x400);
}

/**
 * sync_vmcs02_to_vmcs12 - saving guest state, SDM 3C "Saving Guest State"
 * @dirty: VMCS12_DIRTY_CTL is added when the entry controls changed
 */
void sync_vmcs02_to_vmcs12(struct vmcs12 *v, const struct cpu_state *cpu,
			   const struct vmx_caps *caps, u32 *dirty);

/* VM-exit information fields; the event of the last entry is marked as done. */
void vmcs02_record_exit(struct vmcs12 *v, const struct vmexit *e);

/* Loading host state, SDM 3C "Loading Host State". PDPTEs of a PAE host are the caller's. */
void vmcs02_load_host(struct cpu_state *cpu, const struct vmcs12 *v, bool nmi_exit);

#endif
