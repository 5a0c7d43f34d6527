/*
 * Turning VMX on, and what this processor's VMX can do. Also VMREAD and VMWRITE: a field that
 * cannot be accessed is a fault of this VMM and ends the machine with the VM-instruction error.
 */
#ifndef L1_CHILD_VMM_VMX_H
#define L1_CHILD_VMM_VMX_H

#include "l1-child/lib/types.h"
#include "l1-child/vmm/vmx_defs.h"

struct vmx_caps {
	u64 basic;
	u64 vmxon_region;
	u32 revision;
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	bool has_secondary;
	bool has_vpid;
	bool has_save_timer;
	unsigned int timer_shift; /* the preemption timer counts every 2^shift TSC ticks */
};

/* Which of the five control fields. */
enum vmx_control { VMX_PIN, VMX_PROC, VMX_EXIT, VMX_ENTRY, VMX_PROC2 };

/* vmx_enable - check for VMX, lock IA32_FEATURE_CONTROL with VMXON allowed if it is not locked, set
 * CR4.VMXE, VMXON. Ends the machine with one line that says what is missing. */
void vmx_enable(struct vmx_caps *caps);

/* Ends the machine when there is no EPT with four levels and write-back. */
void vmx_need_ept(const struct vmx_caps *caps);

/* vmx_adjust - the value for a control field: want, plus what must be 1. Ends the machine when a
 * wanted control cannot be 1. */
u32 vmx_adjust(const struct vmx_caps *caps, enum vmx_control which, u32 want);

/* May these controls all be 1? */
bool vmx_can(const struct vmx_caps *caps, enum vmx_control which, u32 want);

/* Shows the capabilities on the console. */
void vmx_print(const struct vmx_caps *caps);

void vmx_vmclear(void *region);
void vmx_vmptrld(void *region);
void vmx_invept_all(const struct vmx_caps *caps);
/* VPID 0: nothing to do, entries and exits flush. */
void vmx_invvpid(const struct vmx_caps *caps, u16 vpid);

/* The name of a VM-instruction error number. */
const char *vmx_error_name(u32 error);

void vmx_field_failed(const char *insn, u64 field, u64 value) __attribute__((noreturn, cold));

static inline u64 vmread(u64 field)
{
	bool failed;
	u64 v;

	__asm__ volatile("vmread %2, %1" : "=@ccbe"(failed), "=rm"(v) : "r"(field) : "memory");
	if (__builtin_expect(failed, 0))
		vmx_field_failed("VMREAD", field, 0);
	return v;
}

static inline void vmwrite(u64 field, u64 v)
{
	bool failed;

	__asm__ volatile("vmwrite %2, %1" : "=@ccbe"(failed) : "r"(field), "rm"(v) : "memory");
	if (__builtin_expect(failed, 0))
		vmx_field_failed("VMWRITE", field, v);
}

#endif
