/*
 * struct vmexit: why the engine came back. The one value that travels from the engine through
 * dispatch to handlers and reflection; the fields are those of SDM 3C "VM-Exit Information Fields".
 */
#ifndef L0_ARCH_VMEXIT_H
#define L0_ARCH_VMEXIT_H

#include "l0/base/types.h"

enum exit_reason {
#define EXIT_REASON(number, name, ...) EXIT_REASON_##name = number,
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
	EXIT_REASON_COUNT = 80, /* one past the largest number a table must hold */
};
#define EXIT_REASON_ENTRY_FAILURE 0x80000000u

/* Interruption-information format (SDM 3C "VM-Entry Interruption-Information Field"). */
#define INTR_INFO_VECTOR 0xffu
#define INTR_INFO_TYPE 0x700u
#define INTR_INFO_TYPE_SHIFT 8
#define INTR_INFO_ERROR_CODE 0x800u
#define INTR_INFO_NMI_UNBLOCKING 0x1000u
#define INTR_INFO_VALID 0x80000000u
enum intr_type {
	INTR_TYPE_EXTERNAL = 0,
	INTR_TYPE_NMI = 2,
	INTR_TYPE_HW_EXCEPTION = 3,
	INTR_TYPE_SW_INTERRUPT = 4,
	INTR_TYPE_PRIV_SW_EXCEPTION = 5, /* INT1 */
	INTR_TYPE_SW_EXCEPTION = 6,	 /* INT3, INTO */
	INTR_TYPE_OTHER = 7,
};

struct vmexit {
	u32 reason; /* enum exit_reason; bit 31 set = VM-entry failure */
	u32 insn_len;
	u64 qualification;
	u32 insn_info; /* VM-exit instruction information */
	u32 intr_info; /* VM-exit interruption information */
	u32 intr_error;
	u32 idt_vectoring_info; /* event that was being delivered */
	u32 idt_vectoring_error;
	u32 entry_insn_len; /* length to report for a software event being delivered */
	u64 gla;	    /* guest linear address */
	u64 gpa;	    /* guest physical address */
	u64 io_rcx, io_rsi, io_rdi, io_rip; /* for SMM only on hardware; here for the dump */
	u64 operand_gva;   /* linear address of the memory operand of a VMX instruction, INVEPT,
				INVVPID, INVPCID, or of LGDT etc.: segment base included; else 0 */
	u64 operand_value; /* WRMSR: EDX:EAX. MOV to CR/DR: the value */
};

#endif
