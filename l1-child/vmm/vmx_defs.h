/*
 * What the child VMM knows of VMX: the project's tables of fields, bits and MSRs, and the few
 * numbers that only a VMM needs. Constants only. Assembly gets the VMCS_* encodings as symbols.
 */
#ifndef L1_CHILD_VMM_VMX_DEFS_H
#define L1_CHILD_VMM_VMX_DEFS_H

#ifdef __ASSEMBLER__
#define VMCS_FIELD(encoding, NAME, ...) .set VMCS_##NAME, encoding
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
#else
#include "l0/arch/cpu_state.h"
#include "l0/arch/msr.h"
#include "l0/arch/vmcs12.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"

/* segment registers in the order of the VMCS fields */
enum vmcs_segment {
	VMCS_SEG_ES,
	VMCS_SEG_CS,
	VMCS_SEG_SS,
	VMCS_SEG_DS,
	VMCS_SEG_FS,
	VMCS_SEG_GS,
	VMCS_SEG_LDTR,
	VMCS_SEG_TR,
};

#define INTR_INFO_OF(type) ((u32)(type) << INTR_INFO_TYPE_SHIFT)

#define EPT_ENTRY_RWX (EPT_ENTRY_READ | EPT_ENTRY_WRITE | EPT_ENTRY_EXECUTE)
#define EPT_ENTRY_WB (EPTP_TYPE_WB << EPT_ENTRY_TYPE_SHIFT)

#define CPUID1_ECX_VMX (1u << 5)
#define CPUID1_ECX_HYPERVISOR (1u << 31)
#endif

#endif
