/* Checks on the control fields. Source: SDM 3C "Checks on VMX Controls". */
#include "shadow-vmcs/checks_priv.h"
#include "l0/mem/mem.h"

bool check_ctl_reserved(const struct check_ctx *c, u32 arg)
{
	const struct vmx_caps *k = c->caps;
	const struct vmx_allowed *a;
	u32 value;

	switch (arg) {
	case CTL_WORD_PIN: value = c->pin, a = &k->pin; break;
	case CTL_WORD_PROC: value = c->proc, a = &k->proc; break;
	case CTL_WORD_PROC2: value = c->proc2, a = &k->proc2; break;
	case CTL_WORD_EXIT: value = c->exit, a = &k->exit; break;
	default: value = c->entry, a = &k->entry;
	}
	return !(~value & a->must_be_1) && !(value & ~a->may_be_1);
}

bool check_cr3_target_count(const struct check_ctx *c, u32 arg)
{
	return c->v->cr3_target_count <= (c->caps->misc >> VMX_MISC_CR3_TARGETS_SHIFT & 0x1ff);
}

/* A page that a control needs. */
bool check_page(const struct check_ctx *c, u32 arg)
{
	const struct vmcs12 *v = c->v;

	switch (arg) {
	case PAGE_IO_A: return !(c->proc & PROC_IO_BITMAPS) || page_address(c, v->io_bitmap_a);
	case PAGE_IO_B: return !(c->proc & PROC_IO_BITMAPS) || page_address(c, v->io_bitmap_b);
	case PAGE_MSR_BITMAP:
		return !(c->proc & PROC_MSR_BITMAPS) || page_address(c, v->msr_bitmap);
	case PAGE_VIRTUAL_APIC:
		return !(c->proc & PROC_TPR_SHADOW) || page_address(c, v->virtual_apic_page_addr);
	case PAGE_APIC_ACCESS:
		return !(c->proc2 & PROC2_APIC_ACCESSES) || page_address(c, v->apic_access_addr);
	case PAGE_PML: return !(c->proc2 & PROC2_PML) || page_address(c, v->pml_address);
	case PAGE_VMREAD:
		return !(c->proc2 & PROC2_VMCS_SHADOWING) || page_address(c, v->vmread_bitmap);
	case PAGE_VMWRITE:
		return !(c->proc2 & PROC2_VMCS_SHADOWING) || page_address(c, v->vmwrite_bitmap);
	default: return !(c->proc2 & PROC2_VE) || page_address(c, v->ve_info_address);
	}
}

bool check_tpr_threshold_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->proc & PROC_TPR_SHADOW) || (c->proc2 & PROC2_VIRTUAL_INTERRUPT) ||
	       !(c->v->tpr_threshold & ~0xfu);
}

#define VAPIC_VTPR 0x80u

bool check_tpr_threshold_vtpr(const struct check_ctx *c, u32 arg)
{
	u8 vtpr;

	if (!(c->proc & PROC_TPR_SHADOW) ||
	    (c->proc2 & (PROC2_VIRTUAL_INTERRUPT | PROC2_APIC_ACCESSES)))
		return true;
	if (mem_read(c->mem, c->v->virtual_apic_page_addr + VAPIC_VTPR, &vtpr, 1))
		vtpr = 0xff; /* what an access to nothing reads */
	return (c->v->tpr_threshold & 0xf) <= vtpr >> 4;
}

bool check_virtual_nmis(const struct check_ctx *c, u32 arg)
{
	return (c->pin & PIN_NMI) || !(c->pin & PIN_VIRTUAL_NMIS);
}

bool check_nmi_window(const struct check_ctx *c, u32 arg)
{
	return (c->pin & PIN_VIRTUAL_NMIS) || !(c->proc & PROC_NMI_WINDOW);
}

bool check_apic_without_tpr_shadow(const struct check_ctx *c, u32 arg)
{
	return (c->proc & PROC_TPR_SHADOW) ||
	       !(c->proc2 & (PROC2_X2APIC | PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT));
}

bool check_x2apic_and_accesses(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_X2APIC) || !(c->proc2 & PROC2_APIC_ACCESSES);
}

bool check_virtual_interrupt(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_VIRTUAL_INTERRUPT) || (c->pin & PIN_EXTERNAL_INTERRUPT);
}

bool check_posted_delivery(const struct check_ctx *c, u32 arg)
{
	return !(c->pin & PIN_POSTED_INTERRUPTS) ||
	       ((c->proc2 & PROC2_VIRTUAL_INTERRUPT) && (c->exit & EXIT_CTL_ACK_INTERRUPT));
}

bool check_posted_vector(const struct check_ctx *c, u32 arg)
{
	return !(c->pin & PIN_POSTED_INTERRUPTS) || c->v->posted_intr_nv <= 0xff;
}

bool check_posted_descriptor(const struct check_ctx *c, u32 arg)
{
	return !(c->pin & PIN_POSTED_INTERRUPTS) || (!(c->v->posted_intr_desc_addr & 0x3f) &&
						     within_width(c, c->v->posted_intr_desc_addr));
}

bool check_vpid_zero(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_VPID) || c->v->vpid;
}

bool check_eptp_type(const struct check_ctx *c, u32 arg)
{
	switch (c->v->ept_pointer & EPTP_TYPE_MASK) {
	case EPTP_TYPE_UC: return !(c->proc2 & PROC2_EPT) || (c->caps->ept_vpid & EPT_CAP_UC);
	case EPTP_TYPE_WB: return !(c->proc2 & PROC2_EPT) || (c->caps->ept_vpid & EPT_CAP_WB);
	default: return !(c->proc2 & PROC2_EPT);
	}
}

bool check_eptp_walk(const struct check_ctx *c, u32 arg)
{
	switch (c->v->ept_pointer & EPTP_WALK_MASK) {
	case EPTP_WALK_4: return !(c->proc2 & PROC2_EPT) || (c->caps->ept_vpid & EPT_CAP_WALK_4);
	case EPTP_WALK_5: return !(c->proc2 & PROC2_EPT) || (c->caps->ept_vpid & EPT_CAP_WALK_5);
	default: return !(c->proc2 & PROC2_EPT);
	}
}

bool check_eptp_ad(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_EPT) || !(c->v->ept_pointer & EPTP_AD) ||
	       (c->caps->ept_vpid & EPT_CAP_AD);
}

bool check_eptp_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_EPT) ||
	       (!(c->v->ept_pointer & EPTP_RESERVED) && within_width(c, c->v->ept_pointer));
}

bool check_needs_ept(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & arg) || (c->proc2 & PROC2_EPT);
}

bool check_vmfunc_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_VMFUNC) || !(c->v->vm_function_control & ~c->caps->vmfunc);
}

bool check_eptp_list(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_VMFUNC) || !(c->v->vm_function_control & 1) ||
	       ((c->proc2 & PROC2_EPT) && page_address(c, c->v->eptp_list_address));
}

bool check_tsc_multiplier(const struct check_ctx *c, u32 arg)
{
	return !(c->proc2 & PROC2_TSC_SCALING) || c->v->tsc_multiplier;
}

bool check_exit_save_timer(const struct check_ctx *c, u32 arg)
{
	return (c->pin & PIN_PREEMPTION_TIMER) || !(c->exit & EXIT_CTL_SAVE_PREEMPTION_TIMER);
}

bool check_msr_area(const struct check_ctx *c, u32 arg)
{
	u64 addr, count;

	switch (arg) {
	case MSR_AREA_EXIT_STORE:
		addr = c->v->vm_exit_msr_store_addr, count = c->v->vm_exit_msr_store_count;
		break;
	case MSR_AREA_EXIT_LOAD:
		addr = c->v->vm_exit_msr_load_addr, count = c->v->vm_exit_msr_load_count;
		break;
	default: addr = c->v->vm_entry_msr_load_addr, count = c->v->vm_entry_msr_load_count;
	}
	if (!count)
		return true;
	return !(addr & 0xf) && within_width(c, addr) &&
	       within_width(c, addr + count * sizeof(struct vmx_msr_entry) - 1);
}

/* --- event injection --- */

bool check_inject_type(const struct check_ctx *c, u32 arg)
{
	if (!c->inject)
		return true;
	if (c->inject_type == INTR_TYPE_OTHER)
		return c->caps->proc.may_be_1 & PROC_MONITOR_TRAP_FLAG;
	return c->inject_type != 1;
}

bool check_inject_vector(const struct check_ctx *c, u32 arg)
{
	if (!c->inject)
		return true;
	switch (c->inject_type) {
	case INTR_TYPE_NMI: return c->inject_vector == VECTOR_NMI;
	case INTR_TYPE_HW_EXCEPTION: return c->inject_vector <= 31;
	case INTR_TYPE_OTHER: return c->inject_vector == 0;
	default: return true;
	}
}

/* Vectors with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
static bool vector_has_error(u32 vector)
{
	return vector < 32 && (0x00027d00u >> vector & 1);
}

bool check_inject_error_code(const struct check_ctx *c, u32 arg)
{
	bool deliver = c->v->vm_entry_intr_info_field & INTR_INFO_ERROR_CODE;
	bool protected_mode = !c->unrestricted || (c->v->guest_cr0 & CR0_PE);
	bool wants = protected_mode && c->inject_type == INTR_TYPE_HW_EXCEPTION &&
		     vector_has_error(c->inject_vector);

	return !c->inject || deliver == wants;
}

bool check_inject_reserved(const struct check_ctx *c, u32 arg)
{
	return !c->inject || !(c->v->vm_entry_intr_info_field & 0x7ffff000u);
}

bool check_inject_error_value(const struct check_ctx *c, u32 arg)
{
	return !c->inject || !(c->v->vm_entry_intr_info_field & INTR_INFO_ERROR_CODE) ||
	       !(c->v->vm_entry_exception_error_code >> 16);
}

bool check_inject_length(const struct check_ctx *c, u32 arg)
{
	u32 len = c->v->vm_entry_instruction_len;

	if (!c->inject || c->inject_type < INTR_TYPE_SW_INTERRUPT ||
	    c->inject_type == INTR_TYPE_OTHER)
		return true;
	return len <= 15 && (len || (c->caps->misc & VMX_MISC_ZERO_LENGTH_INJECTION));
}
