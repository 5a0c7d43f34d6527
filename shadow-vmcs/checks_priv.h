/*
 * checks_priv.h - shared by the check_*.c files: prototypes of all predicates, their arguments, and
 * the small tests that several use.
 */
#ifndef SHADOW_VMCS_CHECKS_PRIV_H
#define SHADOW_VMCS_CHECKS_PRIV_H

#include "l0/arch/cpu_state.h"
#include "l0/arch/msr.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "shadow-vmcs/caps.h"
#include "shadow-vmcs/checks.h"

/* Arguments of predicates. */
enum ctl_word { CTL_WORD_PIN, CTL_WORD_PROC, CTL_WORD_PROC2, CTL_WORD_EXIT, CTL_WORD_ENTRY };
enum msr_area { MSR_AREA_EXIT_STORE, MSR_AREA_EXIT_LOAD, MSR_AREA_ENTRY_LOAD };
enum page_use {
	PAGE_IO_A,
	PAGE_IO_B,
	PAGE_MSR_BITMAP,
	PAGE_VIRTUAL_APIC,
	PAGE_APIC_ACCESS,
	PAGE_PML,
	PAGE_VMREAD,
	PAGE_VMWRITE,
	PAGE_VE
};
enum host_sel {
	HOST_SEL_ES,
	HOST_SEL_CS,
	HOST_SEL_SS,
	HOST_SEL_DS,
	HOST_SEL_FS,
	HOST_SEL_GS,
	HOST_SEL_TR
};
enum host_addr {
	HOST_ADDR_SYSENTER_ESP,
	HOST_ADDR_SYSENTER_EIP,
	HOST_ADDR_FS,
	HOST_ADDR_GS,
	HOST_ADDR_TR,
	HOST_ADDR_GDTR,
	HOST_ADDR_IDTR
};
enum guest_addr {
	GUEST_ADDR_SYSENTER_ESP,
	GUEST_ADDR_SYSENTER_EIP,
	GUEST_ADDR_GDTR,
	GUEST_ADDR_IDTR
};

#define ENTRY_CHECK(NAME, group, deps, predicate, ...) \
	bool check_##predicate(const struct check_ctx *c, u32 arg);
#include "l0/arch/entry_checks.def"
#undef ENTRY_CHECK

static inline bool within_width(const struct check_ctx *c, u64 addr)
{
	return !(addr & ~mask_low(c->caps->maxphyaddr));
}
static inline bool page_address(const struct check_ctx *c, u64 addr)
{
	return !(addr & ~PAGE_MASK) && within_width(c, addr);
}
static inline bool canonical(const struct check_ctx *c, u64 addr)
{
	return is_canonical(addr, c->caps->linaddr_bits);
}

/* Each byte of IA32_PAT is one of UC, WC, WT, WP, WB, UC-. SDM 4 "IA32_PAT". */
static inline bool pat_is_valid(u64 pat)
{
	for (u32 i = 0; i < 8; i++) {
		u32 type = pat >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

#endif
