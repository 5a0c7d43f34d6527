/*
 * The architectural state of one virtual processor: what SDM volume 1 and 3 call the execution
 * environment. A plain structure that the engine runs, that VM entry and exit load and store, and
 * that dumps print. No pointers, no host state. Freestanding.
 */
#ifndef L0_ARCH_CPU_STATE_H
#define L0_ARCH_CPU_STATE_H

#include "l0/base/types.h"

enum gpr {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15,
	GPR_COUNT
};

/* Order of the ModRM/segment encodings, then the two system segments. */
enum seg_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/*
 * A segment register with its hidden part. @ar has the layout of the VMCS access-rights fields
 * (SDM 3C "Guest Register State"): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15,
 * unusable 16. @limit is in bytes, already scaled by G.
 */
struct seg {
	u16 sel, unused; /* no padding: states are compared as bytes */
	u32 ar;
	u32 limit, unused2;
	u64 base;
};

#define SEG_AR_TYPE 0x000fu
#define SEG_AR_S 0x0010u
#define SEG_AR_DPL 0x0060u
#define SEG_AR_DPL_SHIFT 5
#define SEG_AR_P 0x0080u
#define SEG_AR_AVL 0x1000u
#define SEG_AR_L 0x2000u
#define SEG_AR_DB 0x4000u
#define SEG_AR_G 0x8000u
#define SEG_AR_UNUSABLE 0x10000u

struct table_reg {
	u64 base;
	u32 limit, unused;
};

/* SDM 3C "Guest Non-Register State", activity state and interruptibility state encodings. */
enum activity_state { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI };
#define INTERRUPTIBILITY_STI 0x01u
#define INTERRUPTIBILITY_MOV_SS 0x02u
#define INTERRUPTIBILITY_SMI 0x04u
#define INTERRUPTIBILITY_NMI 0x08u

/* Room for the XSAVE area of x87, SSE and AVX (standard format), SDM 1 "XSAVE Area". */
#define VEC_AREA_BYTES 896

/* Where the extended components lie in the standard format, as CPUID leaf 0Dh says. In the
 * compacted one they follow each other from the first's place. */
#define XSAVE_AVX_OFFSET 576u
#define XSAVE_AVX_BYTES 256u
#define XSAVE_PKRU_OFFSET 2688u
#define XSAVE_PKRU_BYTES 8u

struct cpu_state {
	u64 gpr[GPR_COUNT + 1]; /* [GPR_COUNT] is always 0: "no register" of an address */
	u64 rip;
	/* bit 1 always set; arithmetic flags may be lazily held by the engine while it runs */
	u64 rflags;
	u64 cr0, cr2, cr3, cr4, cr8; /* cr8: task priority (mirror of the local APIC's TPR[7:4]) */
	u64 efer;
	u64 dr[8];    /* 4, 5 unused */
	u64 pdpte[4]; /* PAE paging: as loaded by MOV CR3 or VM entry */
	struct seg seg[SEG_COUNT];
	struct table_reg gdtr, idtr;

	/* MSRs that instructions use directly. The rest lives with the MSR handlers (l0/exit). */
	u64 star, lstar, cstar, fmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, tsc_aux, debugctl, xcr0, xss, misc_enable;
	u32 pkru;

	u32 activity;	      /* enum activity_state */
	u32 interruptibility; /* INTERRUPTIBILITY_* */
	/* guest interrupt status: RVI, SVI in the upper byte; of a guest of L1's */
	u16 intr_status;
	u16 pml_index;	 /* page-modification log index, of a guest of L1's */
	u64 pending_dbg; /* pending debug exceptions, VMCS layout */

	/* x87/SSE/AVX while parked, see vp.h */
	u8 vec[VEC_AREA_BYTES] __attribute__((aligned(64)));
};

#endif
