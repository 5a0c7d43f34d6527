/*
 * Constants of Intel VMX that the child VMM uses: VMCS field encodings (SDM 3D "Field Encoding in
 * VMCS"), control bits (SDM 3C "Virtual Machine Control Structures"), capability MSRs (SDM 3D "VMX
 * Capability Reporting Facility"). Constants only; assembly may include it.
 */
#ifndef L1_CHILD_VMM_VMX_DEFS_H
#define L1_CHILD_VMM_VMX_DEFS_H

/* 16-bit fields */
#define VMCS_VPID			0x0000
#define VMCS_GUEST_ES_SELECTOR		0x0800 /* then CS SS DS FS GS LDTR TR, each + 2 */
#define VMCS_HOST_ES_SELECTOR		0x0c00
#define VMCS_HOST_CS_SELECTOR		0x0c02
#define VMCS_HOST_SS_SELECTOR		0x0c04
#define VMCS_HOST_DS_SELECTOR		0x0c06
#define VMCS_HOST_FS_SELECTOR		0x0c08
#define VMCS_HOST_GS_SELECTOR		0x0c0a
#define VMCS_HOST_TR_SELECTOR		0x0c0c

/* 64-bit fields */
#define VMCS_IO_BITMAP_A		0x2000
#define VMCS_IO_BITMAP_B		0x2002
#define VMCS_MSR_BITMAP			0x2004
#define VMCS_EXIT_MSR_STORE_ADDR	0x2006
#define VMCS_EXIT_MSR_LOAD_ADDR		0x2008
#define VMCS_ENTRY_MSR_LOAD_ADDR	0x200a
#define VMCS_TSC_OFFSET			0x2010
#define VMCS_EPT_POINTER		0x201a
#define VMCS_GUEST_PHYSICAL_ADDRESS	0x2400
#define VMCS_LINK_POINTER		0x2800
#define VMCS_GUEST_IA32_EFER		0x2806
#define VMCS_HOST_IA32_EFER		0x2c02

/* 32-bit fields */
#define VMCS_PIN_CONTROLS		0x4000
#define VMCS_PROC_CONTROLS		0x4002
#define VMCS_EXCEPTION_BITMAP		0x4004
#define VMCS_PF_ERROR_MASK		0x4006
#define VMCS_PF_ERROR_MATCH		0x4008
#define VMCS_CR3_TARGET_COUNT		0x400a
#define VMCS_EXIT_CONTROLS		0x400c
#define VMCS_EXIT_MSR_STORE_COUNT	0x400e
#define VMCS_EXIT_MSR_LOAD_COUNT	0x4010
#define VMCS_ENTRY_CONTROLS		0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT	0x4014
#define VMCS_ENTRY_INTR_INFO		0x4016
#define VMCS_ENTRY_EXCEPTION_ERROR	0x4018
#define VMCS_ENTRY_INSN_LENGTH		0x401a
#define VMCS_PROC2_CONTROLS		0x401e
#define VMCS_INSN_ERROR			0x4400
#define VMCS_EXIT_REASON		0x4402
#define VMCS_EXIT_INTR_INFO		0x4404
#define VMCS_EXIT_INTR_ERROR		0x4406
#define VMCS_IDT_VECTORING_INFO		0x4408
#define VMCS_IDT_VECTORING_ERROR	0x440a
#define VMCS_EXIT_INSN_LENGTH		0x440c
#define VMCS_EXIT_INSN_INFO		0x440e
#define VMCS_GUEST_ES_LIMIT		0x4800 /* then CS SS DS FS GS LDTR TR, each + 2 */
#define VMCS_GUEST_GDTR_LIMIT		0x4810
#define VMCS_GUEST_IDTR_LIMIT		0x4812
#define VMCS_GUEST_ES_ACCESS		0x4814 /* then CS SS DS FS GS LDTR TR, each + 2 */
#define VMCS_GUEST_INTERRUPTIBILITY	0x4824
#define VMCS_GUEST_ACTIVITY		0x4826
#define VMCS_GUEST_SYSENTER_CS		0x482a
#define VMCS_PREEMPTION_TIMER		0x482e
#define VMCS_HOST_SYSENTER_CS		0x4c00

/* natural-width fields */
#define VMCS_CR0_MASK			0x6000
#define VMCS_CR4_MASK			0x6002
#define VMCS_CR0_SHADOW			0x6004
#define VMCS_CR4_SHADOW			0x6006
#define VMCS_EXIT_QUALIFICATION		0x6400
#define VMCS_GUEST_LINEAR_ADDRESS	0x640a
#define VMCS_GUEST_CR0			0x6800
#define VMCS_GUEST_CR3			0x6802
#define VMCS_GUEST_CR4			0x6804
#define VMCS_GUEST_ES_BASE		0x6806 /* then CS SS DS FS GS LDTR TR, each + 2 */
#define VMCS_GUEST_GDTR_BASE		0x6816
#define VMCS_GUEST_IDTR_BASE		0x6818
#define VMCS_GUEST_DR7			0x681a
#define VMCS_GUEST_RSP			0x681c
#define VMCS_GUEST_RIP			0x681e
#define VMCS_GUEST_RFLAGS		0x6820
#define VMCS_GUEST_PENDING_DEBUG	0x6822
#define VMCS_GUEST_SYSENTER_ESP		0x6824
#define VMCS_GUEST_SYSENTER_EIP		0x6826
#define VMCS_HOST_CR0			0x6c00
#define VMCS_HOST_CR3			0x6c02
#define VMCS_HOST_CR4			0x6c04
#define VMCS_HOST_FS_BASE		0x6c06
#define VMCS_HOST_GS_BASE		0x6c08
#define VMCS_HOST_TR_BASE		0x6c0a
#define VMCS_HOST_GDTR_BASE		0x6c0c
#define VMCS_HOST_IDTR_BASE		0x6c0e
#define VMCS_HOST_SYSENTER_ESP		0x6c10
#define VMCS_HOST_SYSENTER_EIP		0x6c12
#define VMCS_HOST_RSP			0x6c14
#define VMCS_HOST_RIP			0x6c16

/* segment registers in the order of the VMCS fields */
#define VMCS_SEG_ES			0
#define VMCS_SEG_CS			1
#define VMCS_SEG_SS			2
#define VMCS_SEG_DS			3
#define VMCS_SEG_FS			4
#define VMCS_SEG_GS			5
#define VMCS_SEG_LDTR			6
#define VMCS_SEG_TR			7

/* pin-based controls */
#define PIN_EXTERNAL_INTERRUPT		(1u << 0)
#define PIN_NMI				(1u << 3)
#define PIN_PREEMPTION_TIMER		(1u << 6)

/* primary processor-based controls */
#define PROC_INTERRUPT_WINDOW		(1u << 2)
#define PROC_TSC_OFFSET			(1u << 3)
#define PROC_HLT			(1u << 7)
#define PROC_CR3_LOAD			(1u << 15)
#define PROC_CR3_STORE			(1u << 16)
#define PROC_UNCONDITIONAL_IO		(1u << 24)
#define PROC_IO_BITMAPS			(1u << 25)
#define PROC_MSR_BITMAP			(1u << 28)
#define PROC_SECONDARY			(1u << 31)

/* secondary processor-based controls */
#define PROC2_EPT			(1u << 1)
#define PROC2_VPID			(1u << 5)

/* exit and entry controls */
#define EXIT_HOST_64			(1u << 9)
#define EXIT_ACK_INTERRUPT		(1u << 15)
#define EXIT_LOAD_EFER			(1u << 21)
#define EXIT_SAVE_PREEMPTION_TIMER	(1u << 22)
#define ENTRY_IA32E_GUEST		(1u << 9)
#define ENTRY_LOAD_EFER			(1u << 15)

/* event information, the same layout in all three fields */
#define INTR_VALID			(1u << 31)
#define INTR_ERROR_CODE			(1u << 11)
#define INTR_TYPE_SHIFT			8
#define INTR_TYPE_MASK			0x700
#define INTR_TYPE_EXTERNAL		(0u << 8)
#define INTR_TYPE_NMI			(2u << 8)
#define INTR_TYPE_EXCEPTION		(3u << 8)
#define INTR_TYPE_SOFTWARE		(4u << 8)
#define INTR_TYPE_SOFTWARE_EXCEPTION	(6u << 8)
#define INTR_VECTOR_MASK		0xff

/* interruptibility and activity */
#define BLOCKING_BY_STI			(1u << 0)
#define BLOCKING_BY_MOV_SS		(1u << 1)

#define EXIT_REASON_ENTRY_FAILURE	(1u << 31)

/* EPT */
#define EPT_READ			(1ull << 0)
#define EPT_WRITE			(1ull << 1)
#define EPT_EXECUTE			(1ull << 2)
#define EPT_RWX				(EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_MEMTYPE_WB			(6ull << 3)
#define EPT_LARGE			(1ull << 7)
#define EPTP_WB				6ull
#define EPTP_WALK_4			(3ull << 3)
#define EPT_VIOLATION_READ		(1u << 0)
#define EPT_VIOLATION_WRITE		(1u << 1)
#define EPT_VIOLATION_FETCH		(1u << 2)

/* MSRs */
#define MSR_IA32_APIC_BASE		0x1b
#define MSR_IA32_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_LOCKED		(1u << 0)
#define FEATURE_CONTROL_VMXON		(1u << 2)
#define MSR_VMX_BASIC			0x480
#define VMX_BASIC_TRUE_CONTROLS		(1ull << 55)
#define MSR_VMX_PIN			0x481
#define MSR_VMX_PROC			0x482
#define MSR_VMX_EXIT			0x483
#define MSR_VMX_ENTRY			0x484
#define MSR_VMX_MISC			0x485
#define VMX_MISC_TIMER_SHIFT_MASK	0x1f
#define MSR_VMX_CR0_FIXED0		0x486
#define MSR_VMX_CR0_FIXED1		0x487
#define MSR_VMX_CR4_FIXED0		0x488
#define MSR_VMX_CR4_FIXED1		0x489
#define MSR_VMX_PROC2			0x48b
#define MSR_VMX_EPT_VPID_CAP		0x48c
#define EPT_CAP_WALK_4			(1ull << 6)
#define EPT_CAP_WB			(1ull << 14)
#define EPT_CAP_2M			(1ull << 16)
#define EPT_CAP_INVEPT			(1ull << 20)
#define EPT_CAP_INVEPT_SINGLE		(1ull << 25)
#define EPT_CAP_INVEPT_ALL		(1ull << 26)
#define VPID_CAP_INVVPID		(1ull << 32)
#define VPID_CAP_SINGLE			(1ull << 41)
#define VPID_CAP_ALL			(1ull << 42)
#define MSR_VMX_TRUE_PIN		0x48d
#define MSR_VMX_TRUE_PROC		0x48e
#define MSR_VMX_TRUE_EXIT		0x48f
#define MSR_VMX_TRUE_ENTRY		0x490
#define MSR_IA32_EFER			0xc0000080
#define EFER_SCE			(1u << 0)
#define EFER_LME			(1u << 8)
#define EFER_LMA			(1u << 10)
#define EFER_NXE			(1u << 11)
#define MSR_IA32_STAR			0xc0000081
#define MSR_IA32_LSTAR			0xc0000082
#define MSR_IA32_FMASK			0xc0000084

/* control registers and flags */
#define CR0_PE				(1ull << 0)
#define CR0_ET				(1ull << 4)
#define CR0_NE				(1ull << 5)
#define CR0_WP				(1ull << 16)
#define CR0_PG				(1ull << 31)
#define CR4_PSE				(1ull << 4)
#define CR4_PAE				(1ull << 5)
#define CR4_VMXE			(1ull << 13)
#define RFLAGS_FIXED			(1ull << 1)
#define RFLAGS_IF			(1ull << 9)

#define CPUID1_ECX_VMX			(1u << 5)
#define CPUID1_ECX_HYPERVISOR		(1u << 31)
#define CPUID_EXT1_EDX_NX		(1u << 20)

#endif
