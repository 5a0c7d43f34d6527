/* Checks on the host-state area. Source: SDM 3C "Checks on the Host-State Area". */
#include "shadow-vmcs/checks_priv.h"
#include "l0/arch/msr.h"

bool check_host_cr0(const struct check_ctx *c, u32 arg)
{
	u64 cr0 = c->v->host_cr0;

	return !(~cr0 & c->caps->cr0_fixed0) && !(cr0 & ~c->caps->cr0_fixed1);
}

bool check_host_cr4(const struct check_ctx *c, u32 arg)
{
	u64 cr4 = c->v->host_cr4;

	return !(~cr4 & c->caps->cr4_fixed0) && !(cr4 & ~c->caps->cr4_fixed1);
}

bool check_host_cr3(const struct check_ctx *c, u32 arg)
{
	return within_width(c, c->v->host_cr3);
}

bool check_host_canonical(const struct check_ctx *c, u32 arg)
{
	const struct vmcs12 *v = c->v;

	switch (arg) {
	case HOST_ADDR_SYSENTER_ESP: return canonical(c, v->host_ia32_sysenter_esp);
	case HOST_ADDR_SYSENTER_EIP: return canonical(c, v->host_ia32_sysenter_eip);
	case HOST_ADDR_FS: return canonical(c, v->host_fs_base);
	case HOST_ADDR_GS: return canonical(c, v->host_gs_base);
	case HOST_ADDR_TR: return canonical(c, v->host_tr_base);
	case HOST_ADDR_GDTR: return canonical(c, v->host_gdtr_base);
	default: return canonical(c, v->host_idtr_base);
	}
}

bool check_host_perf_global(const struct check_ctx *c, u32 arg)
{
	return !(c->exit & EXIT_CTL_LOAD_PERF_GLOBAL) ||
	       !(c->v->host_ia32_perf_global_ctrl & ~PERF_GLOBAL_CTRL_VALID);
}

bool check_host_pat(const struct check_ctx *c, u32 arg)
{
	return !(c->exit & EXIT_CTL_LOAD_PAT) || pat_is_valid(c->v->host_ia32_pat);
}

bool check_host_efer_reserved(const struct check_ctx *c, u32 arg)
{
	return !(c->exit & EXIT_CTL_LOAD_EFER) || !(c->v->host_ia32_efer & ~c->caps->efer_valid);
}

bool check_host_efer_size(const struct check_ctx *c, u32 arg)
{
	u64 want = c->exit & EXIT_CTL_HOST_64 ? EFER_LMA | EFER_LME : 0;

	return !(c->exit & EXIT_CTL_LOAD_EFER) ||
	       (c->v->host_ia32_efer & (EFER_LMA | EFER_LME)) == want;
}

bool check_host_selector(const struct check_ctx *c, u32 arg)
{
	const struct vmcs12 *v = c->v;
	u16 sel;

	switch (arg) {
	case HOST_SEL_ES: sel = v->host_es_selector; break;
	case HOST_SEL_CS: sel = v->host_cs_selector; break;
	case HOST_SEL_SS: sel = v->host_ss_selector; break;
	case HOST_SEL_DS: sel = v->host_ds_selector; break;
	case HOST_SEL_FS: sel = v->host_fs_selector; break;
	case HOST_SEL_GS: sel = v->host_gs_selector; break;
	default: sel = v->host_tr_selector;
	}
	return !(sel & (SEL_RPL | SEL_TI));
}

bool check_host_cs_null(const struct check_ctx *c, u32 arg)
{
	return c->v->host_cs_selector;
}

bool check_host_tr_null(const struct check_ctx *c, u32 arg)
{
	return c->v->host_tr_selector;
}

bool check_host_ss_null(const struct check_ctx *c, u32 arg)
{
	return (c->exit & EXIT_CTL_HOST_64) || c->v->host_ss_selector;
}

bool check_host_size_legacy(const struct check_ctx *c, u32 arg)
{
	return c->ia32e_now || (!c->ia32e_guest && !(c->exit & EXIT_CTL_HOST_64));
}

bool check_host_size_long(const struct check_ctx *c, u32 arg)
{
	return !c->ia32e_now || (c->exit & EXIT_CTL_HOST_64);
}

bool check_host_size_guest(const struct check_ctx *c, u32 arg)
{
	return (c->exit & EXIT_CTL_HOST_64) || !c->ia32e_guest;
}

bool check_host_size_pcide(const struct check_ctx *c, u32 arg)
{
	return (c->exit & EXIT_CTL_HOST_64) || !(c->v->host_cr4 & CR4_PCIDE);
}

bool check_host_size_rip(const struct check_ctx *c, u32 arg)
{
	return (c->exit & EXIT_CTL_HOST_64) || !(c->v->host_rip >> 32);
}

bool check_host_size_pae(const struct check_ctx *c, u32 arg)
{
	return !(c->exit & EXIT_CTL_HOST_64) || (c->v->host_cr4 & CR4_PAE);
}

bool check_host_size_rip_canonical(const struct check_ctx *c, u32 arg)
{
	return !(c->exit & EXIT_CTL_HOST_64) || canonical(c, c->v->host_rip);
}
