#include <string.h>
#include "l0/arch/msr.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "tests/unit/vmx_base.h"

#define SEGMENT(s, sel, ar, lim) \
	(v->guest_##s##_selector = (sel), v->guest_##s##_ar_bytes = (ar), \
	 v->guest_##s##_limit = (lim))

static void base_guest(struct vmcs12 *v)
{
	v->guest_cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_WP;
	v->guest_cr4 = CR4_PAE | CR4_VMXE;
	v->guest_cr3 = 0x4000;
	v->guest_ia32_efer = EFER_LME | EFER_LMA;
	v->guest_ia32_pat = PAT_RESET;
	v->guest_dr7 = DR7_FIXED;
	SEGMENT(es, 0x10, 0xc093, ~0u);
	SEGMENT(cs, 0x08, 0xa09b, ~0u);
	SEGMENT(ss, 0x10, 0xc093, ~0u);
	SEGMENT(ds, 0x10, 0xc093, ~0u);
	SEGMENT(fs, 0x10, 0xc093, ~0u);
	SEGMENT(gs, 0x10, 0xc093, ~0u);
	SEGMENT(ldtr, 0x20, 0x82, 0xffff);
	SEGMENT(tr, 0x18, 0x8b, 0x67);
	v->guest_gdtr_limit = 0xffff;
	v->guest_idtr_limit = 0xffff;
	v->guest_rip = 0x8000;
	v->guest_rsp = 0x20000;
	v->guest_rflags = RFLAGS_FIXED;
	v->vmcs_link_pointer = VMX_NO_POINTER;
}

static void base_host(struct vmcs12 *v)
{
	v->host_cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_WP;
	v->host_cr3 = BASE_HOST_CR3;
	v->host_cr4 = CR4_PAE | CR4_VMXE;
	v->host_ia32_efer = EFER_LME | EFER_LMA;
	v->host_ia32_pat = PAT_RESET;
	v->host_cs_selector = 0x28;
	v->host_ss_selector = 0x10;
	v->host_ds_selector = 0x10;
	v->host_es_selector = 0x10;
	v->host_tr_selector = 0x48;
	v->host_gdtr_base = 0x1000;
	v->host_idtr_base = 0x2000;
	v->host_tr_base = 0x3000;
	v->host_rip = 0x9000;
	v->host_rsp = 0x20000;
}

void vmx_base_init(struct vmcs12 *v, const struct vmx_caps *caps)
{
	memset(v, 0, sizeof(*v));
	v->revision_id = VMCS12_REVISION;
	v->pin_based_vm_exec_control = caps->pin.must_be_1 | PIN_EXTERNAL_INTERRUPT | PIN_NMI;
	v->cpu_based_vm_exec_control = caps->proc.must_be_1 | PROC_SECONDARY | PROC_HLT;
	v->secondary_vm_exec_control = PROC2_EPT | PROC2_VPID;
	v->vm_exit_controls = caps->exit.must_be_1 | EXIT_CTL_HOST_64 | EXIT_CTL_LOAD_EFER |
			      EXIT_CTL_SAVE_EFER | EXIT_CTL_ACK_INTERRUPT;
	v->vm_entry_controls = caps->entry.must_be_1 | ENTRY_CTL_IA32E | ENTRY_CTL_LOAD_EFER;
	v->vpid = 1;
	v->ept_pointer = BASE_EPT | EPTP_TYPE_WB | EPTP_WALK_4;
	v->io_bitmap_a = BASE_IO_A;
	v->io_bitmap_b = BASE_IO_B;
	v->msr_bitmap = BASE_MSR_BITMAP;
	base_guest(v);
	base_host(v);
}
