/*
 * Architectural constants of the processor outside VMX: control registers, RFLAGS, EFER, exception
 * vectors, error codes, MSR numbers that more than one module names. Names and bit positions are
 * the SDM's (SDM 3A "Control Registers", 3A "Exception and Interrupt Reference", 4). Freestanding.
 */
#ifndef L0_ARCH_X86_H
#define L0_ARCH_X86_H

#define CR0_PE 0x00000001ull
#define CR0_MP 0x00000002ull
#define CR0_EM 0x00000004ull
#define CR0_TS 0x00000008ull
#define CR0_ET 0x00000010ull
#define CR0_NE 0x00000020ull
#define CR0_WP 0x00010000ull
#define CR0_AM 0x00040000ull
#define CR0_NW 0x20000000ull
#define CR0_CD 0x40000000ull
#define CR0_PG 0x80000000ull

#define CR3_PCID_MASK 0xfffull
#define CR3_NO_FLUSH (1ull << 63)

#define CR4_VME 0x00000001ull
#define CR4_PVI 0x00000002ull
#define CR4_TSD 0x00000004ull
#define CR4_DE 0x00000008ull
#define CR4_PSE 0x00000010ull
#define CR4_PAE 0x00000020ull
#define CR4_MCE 0x00000040ull
#define CR4_PGE 0x00000080ull
#define CR4_PCE 0x00000100ull
#define CR4_OSFXSR 0x00000200ull
#define CR4_OSXMMEXCPT 0x00000400ull
#define CR4_UMIP 0x00000800ull
#define CR4_LA57 0x00001000ull
#define CR4_VMXE 0x00002000ull
#define CR4_SMXE 0x00004000ull
#define CR4_FSGSBASE 0x00010000ull
#define CR4_PCIDE 0x00020000ull
#define CR4_OSXSAVE 0x00040000ull
#define CR4_SMEP 0x00100000ull
#define CR4_SMAP 0x00200000ull
#define CR4_PKE 0x00400000ull
#define CR4_CET 0x00800000ull

#define EFER_SCE 0x001ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define EFER_NXE 0x800ull

#define RFLAGS_CF 0x00000001ull
#define RFLAGS_FIXED 0x00000002ull
#define RFLAGS_PF 0x00000004ull
#define RFLAGS_AF 0x00000010ull
#define RFLAGS_ZF 0x00000040ull
#define RFLAGS_SF 0x00000080ull
#define RFLAGS_TF 0x00000100ull
#define RFLAGS_IF 0x00000200ull
#define RFLAGS_DF 0x00000400ull
#define RFLAGS_OF 0x00000800ull
#define RFLAGS_IOPL 0x00003000ull
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT 0x00004000ull
#define RFLAGS_RF 0x00010000ull
#define RFLAGS_VM 0x00020000ull
#define RFLAGS_AC 0x00040000ull
#define RFLAGS_VIF 0x00080000ull
#define RFLAGS_VIP 0x00100000ull
#define RFLAGS_ID 0x00200000ull
#define RFLAGS_ARITH 0x000008d5ull /* CF PF AF ZF SF OF */
#define RFLAGS_VALID 0x003f7fd7ull /* every bit that can be 1 */

/* Exception vectors. */
#define EXC_DE 0u
#define EXC_DB 1u
#define EXC_NMI 2u
#define EXC_BP 3u
#define EXC_OF 4u
#define EXC_BR 5u
#define EXC_UD 6u
#define EXC_NM 7u
#define EXC_DF 8u
#define EXC_TS 10u
#define EXC_NP 11u
#define EXC_SS 12u
#define EXC_GP 13u
#define EXC_PF 14u
#define EXC_MF 16u
#define EXC_AC 17u
#define EXC_MC 18u
#define EXC_XM 19u
#define EXC_VE 20u

/* Selector error codes, SDM 3A "Error Code". */
#define SEL_ERR_EXT 0x1u
#define SEL_ERR_IDT 0x2u
#define SEL_ERR_TI 0x4u
#define SEL_RPL 0x3u
#define SEL_TI 0x4u

/* Page-fault error code. */
#define PF_ERR_P 0x01u
#define PF_ERR_W 0x02u
#define PF_ERR_U 0x04u
#define PF_ERR_RSVD 0x08u
#define PF_ERR_I 0x10u
#define PF_ERR_PK 0x20u

/* Debug registers. */
#define DR6_FIXED 0xffff0ff0ull
#define DR6_B0 0x1ull
#define DR6_BD 0x2000ull
#define DR6_BS 0x4000ull
#define DR6_BT 0x8000ull
#define DR6_RTM 0x10000ull
#define DR7_FIXED 0x400ull
#define DR7_GD 0x2000ull

/* MSRs. */
#define MSR_IA32_TSC 0x10u
#define MSR_IA32_APIC_BASE 0x1bu
#define MSR_IA32_FEATURE_CONTROL 0x3au
#define MSR_IA32_TSC_ADJUST 0x3bu
#define MSR_IA32_BIOS_SIGN_ID 0x8bu
#define MSR_IA32_MTRRCAP 0xfeu
#define MSR_IA32_SYSENTER_CS 0x174u
#define MSR_IA32_SYSENTER_ESP 0x175u
#define MSR_IA32_SYSENTER_EIP 0x176u
#define MSR_IA32_MISC_ENABLE 0x1a0u
#define MSR_IA32_DEBUGCTL 0x1d9u
#define MSR_IA32_PAT 0x277u
#define MSR_IA32_MTRR_DEF_TYPE 0x2ffu
#define MSR_IA32_PERF_GLOBAL_CTRL 0x38fu
#define MSR_IA32_TSC_DEADLINE 0x6e0u
#define MSR_IA32_X2APIC_FIRST 0x800u
#define MSR_IA32_X2APIC_LAST 0x8ffu
#define MSR_IA32_XSS 0xda0u
#define MSR_IA32_EFER 0xc0000080u
#define MSR_IA32_STAR 0xc0000081u
#define MSR_IA32_LSTAR 0xc0000082u
#define MSR_IA32_CSTAR 0xc0000083u
#define MSR_IA32_FMASK 0xc0000084u
#define MSR_IA32_FS_BASE 0xc0000100u
#define MSR_IA32_GS_BASE 0xc0000101u
#define MSR_IA32_KERNEL_GS_BASE 0xc0000102u
#define MSR_IA32_TSC_AUX 0xc0000103u

#define DEBUGCTL_LBR 0x1ull
#define DEBUGCTL_BTF 0x2ull

#endif
