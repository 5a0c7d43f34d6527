/*
 * Checks on the guest-state area but for segments. Source: SDM 3C "Checks on the Guest State Area".
 */
#include "shadow-vmcs/checks_priv.h"
#include "l0/arch/msr.h"
#include "l0/mem/mem.h"

/* --- control registers, debug registers, MSRs --- */

bool check_guest_cr0_fixed(const struct check_ctx *c, u32 arg)
{
	u64 cr0 = c->v->guest_cr0, must = c->caps->cr0_fixed0;

	if (c->unrestricted)
		must &= ~(CR0_PE | CR0_PG);
	return !(~cr0 & must) && !(cr0 & ~c->caps->cr0_fixed1);
}

bool check_guest_cr0_pg_pe(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_cr0 & CR0_PG) || (c->v->guest_cr0 & CR0_PE);
}

bool check_guest_cr4_fixed(const struct check_ctx *c, u32 arg)
{
	u64 cr4 = c->v->guest_cr4;

	return !(~cr4 & c->caps->cr4_fixed0) && !(cr4 & ~c->caps->cr4_fixed1);
}

bool check_guest_debugctl(const struct check_ctx *c, u32 arg)
{
	return !(c->entry & ENTRY_CTL_LOAD_DEBUG) ||
	       !(c->v->guest_ia32_debugctl & ~c->caps->debugctl_valid);
}

bool check_guest_ia32e_paging(const struct check_ctx *c, u32 arg)
{
	return !c->ia32e_guest || (c->v->guest_cr0 & CR0_PG);
}

bool check_guest_ia32e_pae(const struct check_ctx *c, u32 arg)
{
	return !c->ia32e_guest || (c->v->guest_cr4 & CR4_PAE);
}

bool check_guest_pcide(const struct check_ctx *c, u32 arg)
{
	return c->ia32e_guest || !(c->v->guest_cr4 & CR4_PCIDE);
}

bool check_guest_cr3(const struct check_ctx *c, u32 arg)
{
	return within_width(c, c->v->guest_cr3);
}

bool check_guest_dr7(const struct check_ctx *c, u32 arg)
{
	return !(c->entry & ENTRY_CTL_LOAD_DEBUG) || !(c->v->guest_dr7 >> 32);
}

bool check_guest_canonical(const struct check_ctx *c, u32 arg)
{
	switch (arg) {
	case GUEST_ADDR_SYSENTER_ESP: return canonical(c, c->v->guest_sysenter_esp);
	case GUEST_ADDR_SYSENTER_EIP: return canonical(c, c->v->guest_sysenter_eip);
	case GUEST_ADDR_GDTR: return canonical(c, c->v->guest_gdtr_base);
	default: return canonical(c, c->v->guest_idtr_base);
	}
}

bool check_guest_perf_global(const struct check_ctx *c, u32 arg)
{
	return !(c->entry & ENTRY_CTL_LOAD_PERF_GLOBAL) ||
	       !(c->v->guest_ia32_perf_global_ctrl & ~PERF_GLOBAL_CTRL_VALID);
}

bool check_guest_pat(const struct check_ctx *c, u32 arg)
{
	return !(c->entry & ENTRY_CTL_LOAD_PAT) || pat_is_valid(c->v->guest_ia32_pat);
}

bool check_guest_efer_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->entry & ENTRY_CTL_LOAD_EFER) || !(c->v->guest_ia32_efer & ~c->caps->efer_valid);
}

bool check_guest_efer_lma(const struct check_ctx *c, u32 arg)
{
	return !(c->entry & ENTRY_CTL_LOAD_EFER) ||
	       !!(c->v->guest_ia32_efer & EFER_LMA) == c->ia32e_guest;
}

bool check_guest_efer_lme(const struct check_ctx *c, u32 arg)
{
	u64 efer = c->v->guest_ia32_efer;

	return !(c->entry & ENTRY_CTL_LOAD_EFER) || !(c->v->guest_cr0 & CR0_PG) ||
	       !!(efer & EFER_LME) == !!(efer & EFER_LMA);
}

/* --- descriptor tables, RIP, RFLAGS --- */

bool check_guest_gdtr_limit(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_gdtr_limit >> 16);
}

bool check_guest_idtr_limit(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_idtr_limit >> 16);
}

static bool code64(const struct check_ctx *c)
{
	return c->ia32e_guest && (c->v->guest_cs_ar_bytes & SEG_AR_L);
}

bool check_guest_rip_high(const struct check_ctx *c, u32 arg)
{
	return code64(c) || !(c->v->guest_rip >> 32);
}

bool check_guest_rip_canonical(const struct check_ctx *c, u32 arg)
{
	u64 high = c->v->guest_rip >> c->caps->linaddr_bits;

	return !code64(c) || !high || high == mask_low(64 - c->caps->linaddr_bits);
}

bool check_guest_rflags_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_rflags & ~RFLAGS_DEFINED) && (c->v->guest_rflags & RFLAGS_FIXED);
}

bool check_guest_rflags_vm(const struct check_ctx *c, u32 arg)
{
	return !c->v86 || (!c->ia32e_guest && (c->v->guest_cr0 & CR0_PE));
}

bool check_guest_rflags_if(const struct check_ctx *c, u32 arg)
{
	return !c->inject || c->inject_type != INTR_TYPE_EXTERNAL ||
	       (c->v->guest_rflags & RFLAGS_IF);
}

/* --- non-register state --- */

#define BLOCKING_STI_MOV_SS (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)

bool check_guest_activity(const struct check_ctx *c, u32 arg)
{
	switch (c->v->guest_activity_state) {
	case ACTIVITY_ACTIVE: return true;
	case ACTIVITY_HLT: return c->caps->misc & VMX_MISC_ACTIVITY_HLT;
	case ACTIVITY_SHUTDOWN: return c->caps->misc & VMX_MISC_ACTIVITY_SHUTDOWN;
	case ACTIVITY_WAIT_SIPI: return c->caps->misc & VMX_MISC_ACTIVITY_SIPI;
	default: return false;
	}
}

bool check_guest_activity_hlt(const struct check_ctx *c, u32 arg)
{
	return c->v->guest_activity_state != ACTIVITY_HLT ||
	       !(c->v->guest_ss_ar_bytes & SEG_AR_DPL);
}

bool check_guest_activity_blocking(const struct check_ctx *c, u32 arg)
{
	return c->v->guest_activity_state == ACTIVITY_ACTIVE ||
	       !(c->v->guest_interruptibility_info & BLOCKING_STI_MOV_SS);
}

bool check_guest_activity_inject(const struct check_ctx *c, u32 arg)
{
	if (!c->inject)
		return true;
	switch (c->v->guest_activity_state) {
	case ACTIVITY_HLT:
		return c->inject_type == INTR_TYPE_EXTERNAL || c->inject_type == INTR_TYPE_NMI ||
		       (c->inject_type == INTR_TYPE_HW_EXCEPTION &&
			(c->inject_vector == VECTOR_DB || c->inject_vector == VECTOR_MC)) ||
		       (c->inject_type == INTR_TYPE_OTHER && !c->inject_vector);
	case ACTIVITY_SHUTDOWN:
		return c->inject_type == INTR_TYPE_NMI ||
		       (c->inject_type == INTR_TYPE_HW_EXCEPTION && c->inject_vector == VECTOR_MC);
	case ACTIVITY_WAIT_SIPI: return false;
	default: return true;
	}
}

bool check_guest_blocking_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_interruptibility_info & ~0xfu);
}

bool check_guest_blocking_both(const struct check_ctx *c, u32 arg)
{
	return (c->v->guest_interruptibility_info & BLOCKING_STI_MOV_SS) != BLOCKING_STI_MOV_SS;
}

bool check_guest_blocking_sti(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_interruptibility_info & INTERRUPTIBILITY_STI) ||
	       (c->v->guest_rflags & RFLAGS_IF);
}

bool check_guest_blocking_intr(const struct check_ctx *c, u32 arg)
{
	return !c->inject || c->inject_type != INTR_TYPE_EXTERNAL ||
	       !(c->v->guest_interruptibility_info & BLOCKING_STI_MOV_SS);
}

bool check_guest_blocking_nmi_mov_ss(const struct check_ctx *c, u32 arg)
{
	return !c->inject || c->inject_type != INTR_TYPE_NMI ||
	       !(c->v->guest_interruptibility_info & INTERRUPTIBILITY_MOV_SS);
}

bool check_guest_blocking_smi(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_interruptibility_info & INTERRUPTIBILITY_SMI);
}

bool check_guest_blocking_virtual_nmi(const struct check_ctx *c, u32 arg)
{
	return !c->inject || c->inject_type != INTR_TYPE_NMI || !(c->pin & PIN_VIRTUAL_NMIS) ||
	       !(c->v->guest_interruptibility_info & INTERRUPTIBILITY_NMI);
}

bool check_guest_pending_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_pending_dbg_exceptions & ~PENDING_DBG_DEFINED);
}

bool check_guest_pending_bs(const struct check_ctx *c, u32 arg)
{
	bool step = (c->v->guest_rflags & RFLAGS_TF) && !(c->v->guest_ia32_debugctl & DEBUGCTL_BTF);

	if (!(c->v->guest_interruptibility_info & BLOCKING_STI_MOV_SS) &&
	    c->v->guest_activity_state != ACTIVITY_HLT)
		return true;
	return !!(c->v->guest_pending_dbg_exceptions & PENDING_DBG_BS) == step;
}

bool check_guest_link_address(const struct check_ctx *c, u32 arg)
{
	return c->v->vmcs_link_pointer == VMX_NO_POINTER ||
	       page_address(c, c->v->vmcs_link_pointer);
}

bool check_guest_link_revision(const struct check_ctx *c, u32 arg)
{
	bool shadowing = c->proc2 & PROC2_VMCS_SHADOWING;
	u32 rev;

	if (c->v->vmcs_link_pointer == VMX_NO_POINTER)
		return true;
	if (mem_read(c->mem, c->v->vmcs_link_pointer, &rev, sizeof(rev)))
		rev = ~0u;
	return rev == (VMCS12_REVISION | (shadowing ? VMCS12_SHADOW_INDICATOR : 0));
}

bool check_guest_link_current(const struct check_ctx *c, u32 arg)
{
	return c->v->vmcs_link_pointer == VMX_NO_POINTER || c->v->vmcs_link_pointer != c->vmptr;
}

/* --- PDPTEs --- */

static bool pae_paging(const struct check_ctx *c)
{
	return (c->v->guest_cr0 & CR0_PG) && (c->v->guest_cr4 & CR4_PAE) && !c->ia32e_guest;
}

/* SDM 3A "Format of a PAE Page-Directory-Pointer-Table Entry (PDPTE)". */
static bool pdpte_ok(const struct check_ctx *c, u64 e)
{
	return !(e & 1) || !(e & (0x1e6ull | ~mask_low(c->caps->maxphyaddr)));
}

bool check_guest_pdpte(const struct check_ctx *c, u32 arg)
{
	if (!pae_paging(c) || !(c->proc2 & PROC2_EPT))
		return true;
	switch (arg) {
	case 0: return pdpte_ok(c, c->v->guest_pdptr0);
	case 1: return pdpte_ok(c, c->v->guest_pdptr1);
	case 2: return pdpte_ok(c, c->v->guest_pdptr2);
	default: return pdpte_ok(c, c->v->guest_pdptr3);
	}
}

bool check_guest_pdptes_in_memory(const struct check_ctx *c, u32 arg)
{
	u64 e[4];

	if (!pae_paging(c) || (c->proc2 & PROC2_EPT))
		return true;
	if (mem_read(c->mem, c->v->guest_cr3 & 0xffffffe0u, e, sizeof(e)))
		return false; /* all ones: reserved bits set */
	return pdpte_ok(c, e[0]) && pdpte_ok(c, e[1]) && pdpte_ok(c, e[2]) && pdpte_ok(c, e[3]);
}
