/*
 * reflect.h - does L1 want this exit of L2?
 *
 * One predicate for each exit reason whose answer depends on vmcs12 (CTL in exit_reasons.def). The
 * exit layer asks for every exit that the engine made while L2 ran; what L1 does not want L0 keeps
 * and handles itself. Pure; a few ns. Source: SDM 3C "VMX Non-Root Operation".
 */
#ifndef SHADOW_VMCS_REFLECT_H
#define SHADOW_VMCS_REFLECT_H

#include "l0/arch/cpu_state.h"
#include "l0/arch/vmcs12.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx_controls.h"

/**
 * reflect_wanted - true when @e is L1's
 * @v:   its vmcs12
 * @ctl: the merged controls, for the bitmap pages
 * @cpu: L2's registers at the exit (MSR number, port)
 */
bool reflect_wanted(const struct vmcs12 *v, const struct vmx_controls *ctl,
		    const struct cpu_state *cpu, const struct vmexit *e);

/* Would an exception @vector with @error in L2 exit to L1? For faults that L0 raises itself. */
bool reflect_exception_wanted(const struct vmcs12 *v, u32 vector, u32 error);

/* Bit of an MSR bitmap: is the access to be intercepted? @map NULL: always. */
bool reflect_msr_bitmap(const u8 *map, u32 msr, bool write);

#endif
