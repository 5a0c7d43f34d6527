/*
 * struct vmx_controls: what the engine obeys while it runs a guest, as a processor obeys the
 * VM-execution controls of its current VMCS. Filled from vmcs01 when L1 runs, from vmcs02 (vmcs01
 * and vmcs12 merged) when L2 runs. Bit positions are those of SDM 3C "VM-Execution Control Fields";
 * the names of the bits are in l0/arch/vmx.h.
 *
 * Bitmaps are host pointers to whole 4 KiB pages of guest RAM or of L0, checked by whoever fills
 * this in, or NULL (then the access exits whatever the number).
 */
#ifndef L0_ARCH_VMX_CONTROLS_H
#define L0_ARCH_VMX_CONTROLS_H

#include "l0/base/types.h"

struct vmcs_writer;

struct vmx_controls {
	u32 pin;
	u32 proc;
	u32 proc2;
	u32 exception_bitmap;
	u32 pf_error_mask, pf_error_match;
	u64 cr0_mask, cr0_shadow; /* guest/host mask, read shadow */
	u64 cr4_mask, cr4_shadow;
	u64 cr3_target[4];
	u32 cr3_target_count;
	u32 ple_gap, ple_window;
	const u8 *io_bitmap_a; /* ports 0-7fff; used when "use I/O bitmaps" is set */
	const u8 *io_bitmap_b;
	const u8 *msr_bitmap;	 /* 4 KiB: read low, read high, write low, write high */
	const u8 *vmread_bitmap; /* "VMCS shadowing": NULL = every VMREAD exits */
	const u8 *vmwrite_bitmap;
	void *shadow_vmcs;   /* plain layout of the VMCS behind the link pointer, or NULL */
	u64 shadow_vmcs_gpa; /* where that is, in a guest of L1's */
	u32 vmcs_needs;	     /* bit n: fields that need enum vmx_need n exist there */
	/* VM-instruction error of the current VMCS: a guest's VMfailValid */
	u32 *insn_error;
	/* vmcs01: VMWRITE there adds the field's VMCS12_DIRTY_* group, or NULL */
	u32 *shadow_dirty;
	/* vmcs01: by field number; who wrote, or NULL: not kept */
	struct vmcs_writer *field_writers;
	u64 tsc_offset;
	u64 tsc_multiplier; /* 48 fraction bits; 1 << 48 when scaling is off */
	/* ept12 root when EPT is in use, else 0: guest physical = machine address */
	u64 eptp;
	u16 vpid; /* tag for the virtual TLB; L0 makes vmcs01's and vmcs02's differ */
	u32 tpr_threshold;
	u8 *virtual_apic; /* "use TPR shadow": 4 KiB, else NULL */
	u64 virtual_apic_gpa;
	u64 eoi_exit_bitmap[4]; /* "virtual-interrupt delivery" */
	u64 *posted_desc;	/* "process posted interrupts": the 64-byte descriptor, or NULL */
	u64 posted_desc_gpa;
	u32 posted_vector;
	u64 apic_access_gpa; /* "virtualize APIC accesses", else ~0 */
	u64 xss_exiting_bitmap;
	u64 pml_address;
	u8 *ve_info; /* "EPT-violation #VE": the information area, or NULL */
	u64 ve_info_gpa;
	u16 eptp_index;
	u64 eptp_list; /* VMFUNC 0 */
	u64 vmfunc_controls;
	/* L0's own choice for L1 (set in vmcs01, clear in vmcs02): of the exits that no control can
	 * turn off, those that L0 does not need are executed: task switches, INVD, XSETBV. */
	bool l0_native;
};

#endif
