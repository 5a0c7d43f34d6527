/*
 * vmx.h - names of the bits and numbers of VMX: VM-execution, exit and entry controls, capability
 * fields, VM-instruction errors, INVEPT/INVVPID types, exit-qualification bits. Constants only,
 * freestanding: L0, the child VMM and the tests share it. VMCS fields are in vmcs_fields.def, MSR
 * numbers in msr.h, exit reasons in exit_reasons.def.
 * Source: SDM 3C "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control
 * Fields"; SDM 3D appendix A "VMX Capability Reporting Facility".
 */
#ifndef L0_ARCH_VMX_H
#define L0_ARCH_VMX_H

/* Pin-based VM-execution controls. */
#define PIN_EXTERNAL_INTERRUPT (1u << 0)
#define PIN_NMI (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5)
#define PIN_PREEMPTION_TIMER (1u << 6)
#define PIN_POSTED_INTERRUPTS (1u << 7)
#define PIN_DEFAULT1 0x00000016u

/* Primary processor-based VM-execution controls. */
#define PROC_INTERRUPT_WINDOW (1u << 2)
#define PROC_TSC_OFFSETTING (1u << 3)
#define PROC_HLT (1u << 7)
#define PROC_INVLPG (1u << 9)
#define PROC_MWAIT (1u << 10)
#define PROC_RDPMC (1u << 11)
#define PROC_RDTSC (1u << 12)
#define PROC_CR3_LOAD (1u << 15)
#define PROC_CR3_STORE (1u << 16)
#define PROC_TERTIARY (1u << 17)
#define PROC_CR8_LOAD (1u << 19)
#define PROC_CR8_STORE (1u << 20)
#define PROC_TPR_SHADOW (1u << 21)
#define PROC_NMI_WINDOW (1u << 22)
#define PROC_MOV_DR (1u << 23)
#define PROC_UNCONDITIONAL_IO (1u << 24)
#define PROC_IO_BITMAPS (1u << 25)
#define PROC_MONITOR_TRAP_FLAG (1u << 27)
#define PROC_MSR_BITMAPS (1u << 28)
#define PROC_MONITOR (1u << 29)
#define PROC_PAUSE (1u << 30)
#define PROC_SECONDARY (1u << 31)
#define PROC_DEFAULT1 0x0401e172u
#define PROC_TRUE_DEFAULT1 0x04006172u /* CR3-load and CR3-store exiting may be 0 */

/* Secondary processor-based VM-execution controls. */
#define PROC2_APIC_ACCESSES (1u << 0)
#define PROC2_EPT (1u << 1)
#define PROC2_DESCRIPTOR_TABLE (1u << 2)
#define PROC2_RDTSCP (1u << 3)
#define PROC2_X2APIC (1u << 4)
#define PROC2_VPID (1u << 5)
#define PROC2_WBINVD (1u << 6)
#define PROC2_UNRESTRICTED_GUEST (1u << 7)
#define PROC2_APIC_REGISTER (1u << 8)
#define PROC2_VIRTUAL_INTERRUPT (1u << 9)
#define PROC2_PAUSE_LOOP (1u << 10)
#define PROC2_RDRAND (1u << 11)
#define PROC2_INVPCID (1u << 12)
#define PROC2_VMFUNC (1u << 13)
#define PROC2_VMCS_SHADOWING (1u << 14)
#define PROC2_ENCLS (1u << 15)
#define PROC2_RDSEED (1u << 16)
#define PROC2_PML (1u << 17)
#define PROC2_VE (1u << 18)
#define PROC2_CONCEAL_FROM_PT (1u << 19)
#define PROC2_XSAVES (1u << 20)
#define PROC2_MODE_BASED_EPT (1u << 22)
#define PROC2_SPP (1u << 23)
#define PROC2_PT_GPA (1u << 24)
#define PROC2_TSC_SCALING (1u << 25)
#define PROC2_USER_WAIT (1u << 26)
#define PROC2_PCONFIG (1u << 27)
#define PROC2_ENCLV (1u << 28)
#define PROC2_BUS_LOCK (1u << 30)

/* Primary VM-exit controls. */
#define EXIT_CTL_SAVE_DEBUG (1u << 2)
#define EXIT_CTL_HOST_64 (1u << 9) /* host address-space size */
#define EXIT_CTL_LOAD_PERF_GLOBAL (1u << 12)
#define EXIT_CTL_ACK_INTERRUPT (1u << 15)
#define EXIT_CTL_SAVE_PAT (1u << 18)
#define EXIT_CTL_LOAD_PAT (1u << 19)
#define EXIT_CTL_SAVE_EFER (1u << 20)
#define EXIT_CTL_LOAD_EFER (1u << 21)
#define EXIT_CTL_SAVE_PREEMPTION_TIMER (1u << 22)
#define EXIT_CTL_CLEAR_BNDCFGS (1u << 23)
#define EXIT_CTL_CONCEAL_FROM_PT (1u << 24)
#define EXIT_CTL_CLEAR_RTIT (1u << 25)
#define EXIT_CTL_CLEAR_LBR (1u << 26)
#define EXIT_CTL_LOAD_CET (1u << 28)
#define EXIT_CTL_LOAD_PKRS (1u << 29)
#define EXIT_CTL_SECONDARY (1u << 31)
#define EXIT_CTL_DEFAULT1 0x00036dffu
#define EXIT_CTL_TRUE_DEFAULT1 0x00036dfbu

/* VM-entry controls. */
#define ENTRY_CTL_LOAD_DEBUG (1u << 2)
#define ENTRY_CTL_IA32E (1u << 9)
#define ENTRY_CTL_SMM (1u << 10)
#define ENTRY_CTL_DEACTIVATE_DUAL (1u << 11)
#define ENTRY_CTL_LOAD_PERF_GLOBAL (1u << 13)
#define ENTRY_CTL_LOAD_PAT (1u << 14)
#define ENTRY_CTL_LOAD_EFER (1u << 15)
#define ENTRY_CTL_LOAD_BNDCFGS (1u << 16)
#define ENTRY_CTL_CONCEAL_FROM_PT (1u << 17)
#define ENTRY_CTL_LOAD_RTIT (1u << 18)
#define ENTRY_CTL_LOAD_CET (1u << 20)
#define ENTRY_CTL_LOAD_LBR (1u << 21)
#define ENTRY_CTL_LOAD_PKRS (1u << 22)
#define ENTRY_CTL_DEFAULT1 0x000011ffu
#define ENTRY_CTL_TRUE_DEFAULT1 0x000011fbu

/* IA32_VMX_BASIC. */
#define VMX_BASIC_REVISION_MASK 0x7fffffffull
#define VMX_BASIC_SIZE_SHIFT 32
#define VMX_BASIC_32BIT_ADDRESSES (1ull << 48)
#define VMX_BASIC_DUAL_MONITOR (1ull << 49)
#define VMX_BASIC_MEM_TYPE_SHIFT 50
#define VMX_BASIC_INS_OUTS (1ull << 54)
#define VMX_BASIC_TRUE_CTLS (1ull << 55)
#define VMX_BASIC_HW_EXCEPTION_NO_ERROR (1ull << 56)

/* IA32_VMX_MISC. */
#define VMX_MISC_TIMER_SHIFT_MASK 0x1full
#define VMX_MISC_STORE_LMA (1ull << 5)
#define VMX_MISC_ACTIVITY_HLT (1ull << 6)
#define VMX_MISC_ACTIVITY_SHUTDOWN (1ull << 7)
#define VMX_MISC_ACTIVITY_SIPI (1ull << 8)
#define VMX_MISC_CR3_TARGETS_SHIFT 16
#define VMX_MISC_MSR_LIST_SHIFT 25
#define VMX_MISC_VMWRITE_ANY (1ull << 29)
#define VMX_MISC_ZERO_LENGTH_INJECTION (1ull << 30)

/* IA32_VMX_EPT_VPID_CAP. */
#define EPT_CAP_EXECUTE_ONLY (1ull << 0)
#define EPT_CAP_WALK_4 (1ull << 6)
#define EPT_CAP_WALK_5 (1ull << 7)
#define EPT_CAP_UC (1ull << 8)
#define EPT_CAP_WB (1ull << 14)
#define EPT_CAP_2M (1ull << 16)
#define EPT_CAP_1G (1ull << 17)
#define EPT_CAP_INVEPT (1ull << 20)
#define EPT_CAP_AD (1ull << 21)
#define EPT_CAP_ADVANCED_EXIT_INFO (1ull << 22)
#define EPT_CAP_SUPERVISOR_SHADOW_STACK (1ull << 23)
#define EPT_CAP_INVEPT_SINGLE (1ull << 25)
#define EPT_CAP_INVEPT_ALL (1ull << 26)
#define VPID_CAP_INVVPID (1ull << 32)
#define VPID_CAP_ADDRESS (1ull << 40)
#define VPID_CAP_SINGLE (1ull << 41)
#define VPID_CAP_ALL (1ull << 42)
#define VPID_CAP_SINGLE_NON_GLOBAL (1ull << 43)

/* Extended-page-table pointer, SDM 3C "Extended-Page-Table Pointer (EPTP)". */
#define EPTP_TYPE_MASK 7ull
#define EPTP_TYPE_UC 0ull
#define EPTP_TYPE_WB 6ull
#define EPTP_WALK_SHIFT 3
#define EPTP_WALK_MASK (7ull << 3)
#define EPTP_WALK_4 (3ull << 3)
#define EPTP_WALK_5 (4ull << 3)
#define EPTP_AD (1ull << 6)
#define EPTP_RESERVED 0xf80ull

/* EPT paging-structure entries. */
#define EPT_ENTRY_READ (1ull << 0)
#define EPT_ENTRY_WRITE (1ull << 1)
#define EPT_ENTRY_EXECUTE (1ull << 2)
#define EPT_ENTRY_TYPE_SHIFT 3
#define EPT_ENTRY_IGNORE_PAT (1ull << 6)
#define EPT_ENTRY_LARGE (1ull << 7)
#define EPT_ENTRY_ACCESSED (1ull << 8)
#define EPT_ENTRY_DIRTY (1ull << 9)
#define EPT_ENTRY_EXECUTE_USER (1ull << 10)
#define EPT_ENTRY_SUPPRESS_VE (1ull << 63)

/* Exit qualification of EPT violations. */
#define EPT_VIOLATION_READ (1ull << 0)
#define EPT_VIOLATION_WRITE (1ull << 1)
#define EPT_VIOLATION_FETCH (1ull << 2)
#define EPT_VIOLATION_PERM_READ (1ull << 3)
#define EPT_VIOLATION_PERM_WRITE (1ull << 4)
#define EPT_VIOLATION_PERM_EXECUTE (1ull << 5)
#define EPT_VIOLATION_GLA_VALID (1ull << 7)
#define EPT_VIOLATION_GLA_TRANSLATION (1ull << 8) /* 0: while walking the guest's own tables */
#define EPT_VIOLATION_NMI_UNBLOCKING (1ull << 12)

/* Exit qualification of control-register accesses. */
#define CR_ACCESS_NUMBER 0xfu
#define CR_ACCESS_TYPE_SHIFT 4
#define CR_ACCESS_MOV_TO 0u
#define CR_ACCESS_MOV_FROM 1u
#define CR_ACCESS_CLTS 2u
#define CR_ACCESS_LMSW 3u
#define CR_ACCESS_REG_SHIFT 8

/* INVEPT and INVVPID types. */
#define INVEPT_SINGLE 1u
#define INVEPT_ALL 2u
#define INVVPID_ADDRESS 0u
#define INVVPID_SINGLE 1u
#define INVVPID_ALL 2u
#define INVVPID_SINGLE_NON_GLOBAL 3u

/* VM-instruction error numbers, SDM 3C "VM Instruction Error Numbers". */
enum vmx_error {
#define VMX_ERROR(number, name) VMXERR_##name = number,
#include "l0/arch/vmx_errors.def"
#undef VMX_ERROR
};

/* Exit qualification of a VM-entry failure due to guest state, SDM 3C "VM-Entry Failures During or
 * After Loading Guest State". */
#define ENTRY_FAIL_DEFAULT 0u
#define ENTRY_FAIL_PDPTE 2u
#define ENTRY_FAIL_NMI 3u
#define ENTRY_FAIL_LINK_POINTER 4u

/* VMX aborts, SDM 3C "VMX Aborts". */
#define VMX_ABORT_SAVE_MSR 1u
#define VMX_ABORT_LOAD_PDPTE 2u
#define VMX_ABORT_VMCS_CORRUPTED 3u
#define VMX_ABORT_LOAD_MSR 4u
#define VMX_ABORT_MACHINE_CHECK 5u

/* Pending debug exceptions field. */
#define PENDING_DBG_B 0xfull
#define PENDING_DBG_ENABLED_BP (1ull << 12)
#define PENDING_DBG_BS (1ull << 14)
#define PENDING_DBG_RTM (1ull << 16)
#define PENDING_DBG_DEFINED (PENDING_DBG_B | PENDING_DBG_ENABLED_BP | PENDING_DBG_BS)

/* One entry of a VM-entry/VM-exit MSR area. */
struct vmx_msr_entry {
	unsigned int index;
	unsigned int reserved;
	unsigned long long value;
};
_Static_assert(sizeof(struct vmx_msr_entry) == 16, "MSR-area entry");

/* Entries of a list that IA32_VMX_MISC recommends at most (its bits 27:25 are 0). Beyond it the SDM
 * leaves the outcome open, and a longer list would hold L0 up. */
#define VMX_MSR_LIST_MAX 512u

#define VMX_NO_POINTER (~0ull) /* "no current VMCS", VMCS link pointer unused */

/*
 * What a VMCS field needs to exist: a control that may be 1 (SDM 3D appendix B, notes). caps.c
 * makes a bit set of these from what it announces.
 */
enum vmx_need {
	NEED_ALWAYS,
	NEED_VPID,
	NEED_POSTED_INTERRUPTS,
	NEED_VE,
	NEED_EPT,
	NEED_VIRTUAL_INTERRUPT,
	NEED_PML,
	NEED_MSR_BITMAPS,
	NEED_TPR_SHADOW,
	NEED_APIC_ACCESSES,
	NEED_VMFUNC,
	NEED_EPTP_SWITCHING,
	NEED_VMCS_SHADOWING,
	NEED_XSAVES,
	NEED_ENCLS,
	NEED_SPP,
	NEED_TSC_SCALING,
	NEED_PAT,
	NEED_EFER,
	NEED_PERF_GLOBAL,
	NEED_SECONDARY,
	NEED_PAUSE_LOOP,
	NEED_PREEMPTION_TIMER,
	NEED_CR3_TARGETS,
	NEED_NEVER, /* of another processor, or not offered: VMREAD and VMWRITE fail */
	NEED_COUNT,
};

#endif
