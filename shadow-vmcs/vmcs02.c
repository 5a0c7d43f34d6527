#include "shadow-vmcs/vmcs02.h"
#include "l0/arch/msr.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/mem/mem.h"

/* CR0 bits that VM entry and exit leave alone: ET, CD, NW and the reserved ones. */
#define CR0_KEPT \
	(CR0_ET | CR0_CD | CR0_NW | GENMASK(63, 32) | GENMASK(28, 19) | BIT(17) | GENMASK(15, 6))
#define DR7_WRITABLE 0xffff2bffull /* bits 12, 14, 15 read as 0 */

/* --- controls --- */

void vmcs02_merge_controls(struct vmx_controls *ctl, const struct vmcs12 *v, const struct mem *m)
{
	u32 proc = v->cpu_based_vm_exec_control;
	u32 proc2 = proc & PROC_SECONDARY ? v->secondary_vm_exec_control : 0;

	nm_zero(ctl, sizeof(*ctl));
	ctl->pin = v->pin_based_vm_exec_control;
	ctl->proc = proc | PROC_HLT;
	ctl->proc2 = proc2;
	ctl->exception_bitmap = v->exception_bitmap;
	ctl->pf_error_mask = v->page_fault_error_code_mask;
	ctl->pf_error_match = v->page_fault_error_code_match;
	ctl->cr0_mask = v->cr0_guest_host_mask;
	ctl->cr0_shadow = v->cr0_read_shadow;
	ctl->cr4_mask = v->cr4_guest_host_mask;
	ctl->cr4_shadow = v->cr4_read_shadow;
	ctl->cr3_target[0] = v->cr3_target_value0;
	ctl->cr3_target[1] = v->cr3_target_value1;
	ctl->cr3_target[2] = v->cr3_target_value2;
	ctl->cr3_target[3] = v->cr3_target_value3;
	ctl->cr3_target_count = v->cr3_target_count;
	ctl->ple_gap = v->ple_gap;
	ctl->ple_window = v->ple_window;
	if (proc & PROC_IO_BITMAPS) {
		ctl->io_bitmap_a = mem_ram_hva(m, v->io_bitmap_a, PAGE_SIZE);
		ctl->io_bitmap_b = mem_ram_hva(m, v->io_bitmap_b, PAGE_SIZE);
	}
	if (proc & PROC_MSR_BITMAPS)
		ctl->msr_bitmap = mem_ram_hva(m, v->msr_bitmap, PAGE_SIZE);
	if (proc2 & PROC2_VMCS_SHADOWING) {
		ctl->vmread_bitmap = mem_ram_hva(m, v->vmread_bitmap, PAGE_SIZE);
		ctl->vmwrite_bitmap = mem_ram_hva(m, v->vmwrite_bitmap, PAGE_SIZE);
		if (v->vmcs_link_pointer != VMX_NO_POINTER)
			ctl->shadow_vmcs = mem_ram_hva(m, v->vmcs_link_pointer, PAGE_SIZE);
		ctl->shadow_vmcs_gpa = v->vmcs_link_pointer;
	}
	ctl->tsc_offset = proc & PROC_TSC_OFFSETTING ? v->tsc_offset : 0;
	ctl->tsc_multiplier = proc2 & PROC2_TSC_SCALING ? v->tsc_multiplier : 1ull << 48;
	ctl->eptp = proc2 & PROC2_EPT ? v->ept_pointer : 0;
	ctl->vpid = proc2 & PROC2_VPID ? v->vpid : 0;
	ctl->tpr_threshold = v->tpr_threshold;
	if (proc & PROC_TPR_SHADOW)
		ctl->virtual_apic = mem_ram_hva(m, v->virtual_apic_page_addr, PAGE_SIZE);
	ctl->virtual_apic_gpa = v->virtual_apic_page_addr;
	ctl->eoi_exit_bitmap[0] = v->eoi_exit_bitmap0;
	ctl->eoi_exit_bitmap[1] = v->eoi_exit_bitmap1;
	ctl->eoi_exit_bitmap[2] = v->eoi_exit_bitmap2;
	ctl->eoi_exit_bitmap[3] = v->eoi_exit_bitmap3;
	if (ctl->pin & PIN_POSTED_INTERRUPTS)
		ctl->posted_desc = (u64 *)mem_ram_hva(m, v->posted_intr_desc_addr, 64);
	ctl->posted_desc_gpa = v->posted_intr_desc_addr;
	ctl->posted_vector = v->posted_intr_nv;
	if (!ctl->virtual_apic) /* no page to keep a virtual interrupt in */
		ctl->proc2 &= ~PROC2_VIRTUAL_INTERRUPT;
	ctl->apic_access_gpa = proc2 & PROC2_APIC_ACCESSES ? v->apic_access_addr : ~0ull;
	ctl->xss_exiting_bitmap = proc2 & PROC2_XSAVES ? v->xss_exit_bitmap : 0;
	ctl->pml_address = v->pml_address;
	if (proc2 & PROC2_VE)
		ctl->ve_info = mem_ram_hva(m, v->ve_info_address, PAGE_SIZE);
	ctl->ve_info_gpa = v->ve_info_address;
	ctl->eptp_index = v->eptp_index;
	ctl->eptp_list = v->eptp_list_address;
	ctl->vmfunc_controls = proc2 & PROC2_VMFUNC ? v->vm_function_control : 0;
}

/* --- segments --- */

#define LOAD_SEG(cpu, v, INDEX, s) \
	((cpu)->seg[INDEX] = (struct seg){.sel = (v)->guest_##s##_selector, \
					  .ar = (v)->guest_##s##_ar_bytes, \
					  .limit = (v)->guest_##s##_limit, \
					  .base = (v)->guest_##s##_base})

static inline void load_guest_segments(struct cpu_state *cpu, const struct vmcs12 *v)
{
	LOAD_SEG(cpu, v, SEG_ES, es);
	LOAD_SEG(cpu, v, SEG_CS, cs);
	LOAD_SEG(cpu, v, SEG_SS, ss);
	LOAD_SEG(cpu, v, SEG_DS, ds);
	LOAD_SEG(cpu, v, SEG_FS, fs);
	LOAD_SEG(cpu, v, SEG_GS, gs);
	LOAD_SEG(cpu, v, SEG_LDTR, ldtr);
	LOAD_SEG(cpu, v, SEG_TR, tr);
	cpu->gdtr = (struct table_reg){v->guest_gdtr_base, v->guest_gdtr_limit};
	cpu->idtr = (struct table_reg){v->guest_idtr_base, v->guest_idtr_limit};
}

#define SAVE_SEG(cpu, v, INDEX, s) \
	do { \
		(v)->guest_##s##_selector = (cpu)->seg[INDEX].sel; \
		(v)->guest_##s##_ar_bytes = (cpu)->seg[INDEX].ar; \
		(v)->guest_##s##_limit = (cpu)->seg[INDEX].limit; \
		(v)->guest_##s##_base = (cpu)->seg[INDEX].base; \
	} while (0)

static inline void save_guest_segments(struct vmcs12 *v, const struct cpu_state *cpu)
{
	SAVE_SEG(cpu, v, SEG_ES, es);
	SAVE_SEG(cpu, v, SEG_CS, cs);
	SAVE_SEG(cpu, v, SEG_SS, ss);
	SAVE_SEG(cpu, v, SEG_DS, ds);
	SAVE_SEG(cpu, v, SEG_FS, fs);
	SAVE_SEG(cpu, v, SEG_GS, gs);
	SAVE_SEG(cpu, v, SEG_LDTR, ldtr);
	SAVE_SEG(cpu, v, SEG_TR, tr);
	v->guest_gdtr_base = cpu->gdtr.base;
	v->guest_gdtr_limit = cpu->gdtr.limit;
	v->guest_idtr_base = cpu->idtr.base;
	v->guest_idtr_limit = cpu->idtr.limit;
}

/* A data segment after VM exit: flat, or unusable when the selector is null. */
static inline void load_host_seg(struct seg *s, u16 sel, u64 base)
{
	s->sel = sel;
	s->base = base;
	s->limit = 0xffffffffu;
	s->ar = 3 | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G;
	if (!sel)
		s->ar |= SEG_AR_UNUSABLE;
}

static inline void load_host_segments(struct cpu_state *cpu, const struct vmcs12 *v, bool host_64)
{
	u32 cs_ar = 11 | SEG_AR_S | SEG_AR_P | SEG_AR_G | (host_64 ? SEG_AR_L : SEG_AR_DB);

	cpu->seg[SEG_CS] =
		(struct seg){.sel = v->host_cs_selector, .ar = cs_ar, .limit = 0xffffffffu};
	load_host_seg(&cpu->seg[SEG_SS], v->host_ss_selector, 0);
	load_host_seg(&cpu->seg[SEG_DS], v->host_ds_selector, 0);
	load_host_seg(&cpu->seg[SEG_ES], v->host_es_selector, 0);
	load_host_seg(&cpu->seg[SEG_FS], v->host_fs_selector, v->host_fs_base);
	load_host_seg(&cpu->seg[SEG_GS], v->host_gs_selector, v->host_gs_base);
	cpu->seg[SEG_LDTR] = (struct seg){.ar = SEG_AR_UNUSABLE};
	cpu->seg[SEG_TR] = (struct seg){.sel = v->host_tr_selector,
					.ar = SEG_TYPE_TSS32_BUSY | SEG_AR_P,
					.limit = 0x67,
					.base = v->host_tr_base};
	cpu->gdtr = (struct table_reg){v->host_gdtr_base, 0xffff};
	cpu->idtr = (struct table_reg){v->host_idtr_base, 0xffff};
}

/* --- entry --- */

static inline void load_guest_efer(struct cpu_state *cpu, const struct vmcs12 *v)
{
	u64 ia32e = v->vm_entry_controls & ENTRY_CTL_IA32E ? EFER_LMA | EFER_LME : 0;

	if (v->vm_entry_controls & ENTRY_CTL_LOAD_EFER)
		cpu->efer = v->guest_ia32_efer;
	else if (cpu->cr0 & CR0_PG)
		cpu->efer = (cpu->efer & ~(EFER_LMA | EFER_LME)) | ia32e;
	else
		cpu->efer = (cpu->efer & ~EFER_LMA) | (ia32e & EFER_LMA);
}

void vmcs02_load_guest(struct cpu_state *cpu, const struct vmcs12 *v)
{
	cpu->cr0 = (v->guest_cr0 & ~CR0_KEPT) | (cpu->cr0 & CR0_KEPT);
	cpu->cr3 = v->guest_cr3;
	cpu->cr4 = v->guest_cr4;
	if (v->vm_entry_controls & ENTRY_CTL_LOAD_DEBUG) {
		cpu->dr[7] = (v->guest_dr7 & DR7_WRITABLE) | DR7_FIXED;
		cpu->debugctl = v->guest_ia32_debugctl;
	}
	cpu->sysenter_cs = v->guest_sysenter_cs;
	cpu->sysenter_esp = v->guest_sysenter_esp;
	cpu->sysenter_eip = v->guest_sysenter_eip;
	load_guest_efer(cpu, v);
	if (v->vm_entry_controls & ENTRY_CTL_LOAD_PAT)
		cpu->pat = v->guest_ia32_pat;
	load_guest_segments(cpu, v);
	cpu->gpr[RSP] = v->guest_rsp;
	cpu->rip = v->guest_rip;
	cpu->rflags = v->guest_rflags;
	cpu->activity = v->guest_activity_state;
	cpu->interruptibility = v->guest_interruptibility_info;
	cpu->intr_status = v->guest_intr_status;
	cpu->pml_index = v->guest_pml_index;
	cpu->pending_dbg = v->guest_pending_dbg_exceptions;
	if (vmcs02_is_pae(cpu)) {
		cpu->pdpte[0] = v->guest_pdptr0;
		cpu->pdpte[1] = v->guest_pdptr1;
		cpu->pdpte[2] = v->guest_pdptr2;
		cpu->pdpte[3] = v->guest_pdptr3;
	}
}

/* --- exit --- */

void sync_vmcs02_to_vmcs12(struct vmcs12 *v, const struct cpu_state *cpu,
			   const struct vmx_caps *caps, u32 *dirty)
{
	u32 exit = v->vm_exit_controls;

	v->guest_cr0 = cpu->cr0;
	v->guest_cr3 = cpu->cr3;
	v->guest_cr4 = cpu->cr4;
	if (exit & EXIT_CTL_SAVE_DEBUG) {
		v->guest_dr7 = cpu->dr[7];
		v->guest_ia32_debugctl = cpu->debugctl;
	}
	v->guest_sysenter_cs = (u32)cpu->sysenter_cs;
	v->guest_sysenter_esp = cpu->sysenter_esp;
	v->guest_sysenter_eip = cpu->sysenter_eip;
	if (exit & EXIT_CTL_SAVE_PAT)
		v->guest_ia32_pat = cpu->pat;
	if (exit & EXIT_CTL_SAVE_EFER)
		v->guest_ia32_efer = cpu->efer;
	if (caps->misc & VMX_MISC_STORE_LMA) {
		u32 entry = v->vm_entry_controls & ~ENTRY_CTL_IA32E;

		if (cpu->efer & EFER_LMA)
			entry |= ENTRY_CTL_IA32E;
		if (entry != v->vm_entry_controls) {
			v->vm_entry_controls = entry;
			*dirty |= VMCS12_DIRTY_CTL;
		}
	}
	save_guest_segments(v, cpu);
	v->guest_rsp = cpu->gpr[RSP];
	v->guest_rip = cpu->rip;
	v->guest_rflags = cpu->rflags;
	v->guest_activity_state = cpu->activity;
	v->guest_interruptibility_info = cpu->interruptibility;
	if ((v->cpu_based_vm_exec_control & PROC_SECONDARY) &&
	    (v->secondary_vm_exec_control & PROC2_VIRTUAL_INTERRUPT))
		v->guest_intr_status = cpu->intr_status;
	if ((v->cpu_based_vm_exec_control & PROC_SECONDARY) &&
	    (v->secondary_vm_exec_control & PROC2_PML))
		v->guest_pml_index = cpu->pml_index;
	v->guest_pending_dbg_exceptions = cpu->pending_dbg;
	if ((v->secondary_vm_exec_control & PROC2_EPT) && vmcs02_is_pae(cpu)) {
		v->guest_pdptr0 = cpu->pdpte[0];
		v->guest_pdptr1 = cpu->pdpte[1];
		v->guest_pdptr2 = cpu->pdpte[2];
		v->guest_pdptr3 = cpu->pdpte[3];
	}
}

void vmcs02_record_exit(struct vmcs12 *v, const struct vmexit *e)
{
	v->vm_exit_reason = e->reason;
	v->exit_qualification = e->qualification;
	v->guest_linear_address = e->gla;
	v->guest_physical_address = e->gpa;
	v->vm_exit_intr_info = e->intr_info;
	v->vm_exit_intr_error_code = e->intr_error;
	v->idt_vectoring_info_field = e->idt_vectoring_info;
	v->idt_vectoring_error_code = e->idt_vectoring_error;
	v->vm_exit_instruction_len = e->insn_len;
	v->vmx_instruction_info = e->insn_info;
	v->vm_entry_intr_info_field &= ~INTR_INFO_VALID;
}

void vmcs02_load_host(struct cpu_state *cpu, const struct vmcs12 *v, bool nmi_exit)
{
	bool host_64 = v->vm_exit_controls & EXIT_CTL_HOST_64;
	u64 lm = host_64 ? EFER_LMA | EFER_LME : 0;
	bool nmi_blocked = nmi_exit || (!(v->pin_based_vm_exec_control & PIN_VIRTUAL_NMIS) &&
					(cpu->interruptibility & INTERRUPTIBILITY_NMI));

	cpu->cr0 = (v->host_cr0 & ~CR0_KEPT) | (cpu->cr0 & CR0_KEPT);
	cpu->cr3 = v->host_cr3;
	cpu->cr4 = v->host_cr4 | (host_64 ? CR4_PAE : 0);
	cpu->dr[7] = DR7_FIXED;
	cpu->debugctl = 0;
	cpu->sysenter_cs = v->host_ia32_sysenter_cs;
	cpu->sysenter_esp = v->host_ia32_sysenter_esp;
	cpu->sysenter_eip = v->host_ia32_sysenter_eip;
	if (v->vm_exit_controls & EXIT_CTL_LOAD_EFER)
		cpu->efer = v->host_ia32_efer;
	else
		cpu->efer = (cpu->efer & ~(EFER_LMA | EFER_LME)) | lm;
	if (v->vm_exit_controls & EXIT_CTL_LOAD_PAT)
		cpu->pat = v->host_ia32_pat;
	load_host_segments(cpu, v, host_64);
	cpu->gpr[RSP] = v->host_rsp;
	cpu->rip = v->host_rip;
	cpu->rflags = RFLAGS_FIXED;
	cpu->activity = ACTIVITY_ACTIVE;
	cpu->interruptibility = nmi_blocked ? INTERRUPTIBILITY_NMI : 0;
	cpu->pending_dbg = 0;
}
