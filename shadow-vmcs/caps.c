#include "shadow-vmcs/caps.h"
#include "l0/arch/msr.h"
#include "l0/arch/vmcs12.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "shadow-vmcs/checks.h"

/*
 * The one list of what works. A bit may stand here only when the engine obeys it (l0/engine
 * intercepts and events) or when entry and exit here do; everything derives from it: capability
 * MSRs, reserved-bit checks, which fields exist.
 */
const struct vmx_model vmx_implemented = {
	.pin = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER |
	       PIN_POSTED_INTERRUPTS,
	.proc = PROC_INTERRUPT_WINDOW | PROC_TSC_OFFSETTING | PROC_HLT | PROC_INVLPG | PROC_MWAIT |
		PROC_RDPMC | PROC_RDTSC | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD |
		PROC_CR8_STORE | PROC_NMI_WINDOW | PROC_MOV_DR | PROC_UNCONDITIONAL_IO |
		PROC_IO_BITMAPS | PROC_MONITOR_TRAP_FLAG | PROC_MSR_BITMAPS | PROC_MONITOR |
		PROC_PAUSE | PROC_TPR_SHADOW | PROC_SECONDARY,
	.proc2 = PROC2_EPT | PROC2_DESCRIPTOR_TABLE | PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD |
		 PROC2_UNRESTRICTED_GUEST | PROC2_PAUSE_LOOP | PROC2_RDRAND | PROC2_INVPCID |
		 PROC2_VMFUNC | PROC2_VMCS_SHADOWING | PROC2_RDSEED | PROC2_MODE_BASED_EPT |
		 PROC2_TSC_SCALING | PROC2_XSAVES | PROC2_APIC_ACCESSES | PROC2_X2APIC |
		 PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT | PROC2_PML | PROC2_VE,
	.exit = EXIT_CTL_SAVE_DEBUG | EXIT_CTL_HOST_64 | EXIT_CTL_ACK_INTERRUPT |
		EXIT_CTL_SAVE_PAT | EXIT_CTL_LOAD_PAT | EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER |
		EXIT_CTL_SAVE_PREEMPTION_TIMER | EXIT_CTL_LOAD_PERF_GLOBAL,
	.entry = ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_IA32E | ENTRY_CTL_LOAD_PAT | ENTRY_CTL_LOAD_EFER |
		 ENTRY_CTL_LOAD_PERF_GLOBAL,
	.ept_vpid = EPT_CAP_EXECUTE_ONLY | EPT_CAP_WALK_4 | EPT_CAP_WALK_5 | EPT_CAP_UC |
		    EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_AD |
		    EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL | VPID_CAP_INVVPID |
		    VPID_CAP_ADDRESS | VPID_CAP_SINGLE | VPID_CAP_ALL | VPID_CAP_SINGLE_NON_GLOBAL,
};

#define EPT_CAPS (mask_low(32) & ~0ull)
#define VPID_CAPS (~mask_low(32))
#define CR3_TARGETS 4ull
/* The VMX-preemption timer counts at the TSC's rate divided by 32, as on Ice Lake; at the full rate
 * Linux would not use it, since it would run over in less than ten seconds. */
#define TIMER_SHIFT 5ull

/* A wish that depends on another control is void without it. */
static void drop_dependent(struct vmx_model *m)
{
	if (!(m->proc & PROC_SECONDARY))
		m->proc2 = 0;
	if (!(m->proc2 & PROC2_EPT)) {
		m->proc2 &= ~(PROC2_UNRESTRICTED_GUEST | PROC2_PML | PROC2_VE |
			      PROC2_MODE_BASED_EPT | PROC2_SPP);
		m->ept_vpid &= ~EPT_CAPS;
	}
	if (!(m->proc2 & PROC2_VPID))
		m->ept_vpid &= ~VPID_CAPS;
	if (!(m->proc & PROC_TPR_SHADOW))
		m->proc2 &= ~(PROC2_X2APIC | PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT);
	if (!(m->proc2 & PROC2_VIRTUAL_INTERRUPT))
		m->pin &= ~PIN_POSTED_INTERRUPTS;
	if (!(m->pin & PIN_PREEMPTION_TIMER))
		m->exit &= ~EXIT_CTL_SAVE_PREEMPTION_TIMER;
	if (!(m->pin & PIN_VIRTUAL_NMIS))
		m->proc &= ~PROC_NMI_WINDOW;
}

static u32 needs_of(const struct vmx_caps *c)
{
	u32 n = 1u << NEED_ALWAYS;
	const struct {
		bool met;
		enum vmx_need need;
	} t[] = {
		{c->proc2.may_be_1 & PROC2_VPID, NEED_VPID},
		{c->pin.may_be_1 & PIN_POSTED_INTERRUPTS, NEED_POSTED_INTERRUPTS},
		{c->proc2.may_be_1 & PROC2_VE, NEED_VE},
		{c->proc2.may_be_1 & PROC2_EPT, NEED_EPT},
		{c->proc2.may_be_1 & PROC2_VIRTUAL_INTERRUPT, NEED_VIRTUAL_INTERRUPT},
		{c->proc2.may_be_1 & PROC2_PML, NEED_PML},
		{c->proc.may_be_1 & PROC_MSR_BITMAPS, NEED_MSR_BITMAPS},
		{c->proc.may_be_1 & PROC_TPR_SHADOW, NEED_TPR_SHADOW},
		{c->proc2.may_be_1 & PROC2_APIC_ACCESSES, NEED_APIC_ACCESSES},
		{c->proc2.may_be_1 & PROC2_VMFUNC, NEED_VMFUNC},
		{c->vmfunc & 1, NEED_EPTP_SWITCHING},
		{c->proc2.may_be_1 & PROC2_VMCS_SHADOWING, NEED_VMCS_SHADOWING},
		{c->proc2.may_be_1 & PROC2_XSAVES, NEED_XSAVES},
		{c->proc2.may_be_1 & PROC2_ENCLS, NEED_ENCLS},
		{c->proc2.may_be_1 & PROC2_SPP, NEED_SPP},
		{c->proc2.may_be_1 & PROC2_TSC_SCALING, NEED_TSC_SCALING},
		{(c->exit.may_be_1 & (EXIT_CTL_LOAD_PAT | EXIT_CTL_SAVE_PAT)) ||
			 (c->entry.may_be_1 & ENTRY_CTL_LOAD_PAT),
		 NEED_PAT},
		{(c->exit.may_be_1 & (EXIT_CTL_LOAD_EFER | EXIT_CTL_SAVE_EFER)) ||
			 (c->entry.may_be_1 & ENTRY_CTL_LOAD_EFER),
		 NEED_EFER},
		{(c->exit.may_be_1 & EXIT_CTL_LOAD_PERF_GLOBAL) ||
			 (c->entry.may_be_1 & ENTRY_CTL_LOAD_PERF_GLOBAL),
		 NEED_PERF_GLOBAL},
		{c->proc.may_be_1 & PROC_SECONDARY, NEED_SECONDARY},
		{c->proc2.may_be_1 & PROC2_PAUSE_LOOP, NEED_PAUSE_LOOP},
		{c->pin.may_be_1 & PIN_PREEMPTION_TIMER, NEED_PREEMPTION_TIMER},
		{(c->misc >> VMX_MISC_CR3_TARGETS_SHIFT & 0x1ff) >= CR3_TARGETS, NEED_CR3_TARGETS},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++)
		if (t[i].met)
			n |= 1u << t[i].need;
	return n;
}

/* Bits 9:1 of IA32_VMX_VMCS_ENUM: the highest index of any field that exists. */
static u64 highest_index(u32 needs)
{
	u64 max = 0;

	for (u32 i = 0; i < vmcs_field_count; i++)
		if (needs >> vmcs_field_table[i].need & 1)
			max = MAX(max, (u64)VMCS_ENCODING_INDEX(vmcs_field_table[i].encoding));
	return max << 1;
}

void vmx_caps_init(struct vmx_caps *caps, const struct vmx_model *model, u64 cr4_valid,
		   u64 efer_valid, u64 xcr0_valid, u32 maxphyaddr, u32 linaddr_bits)
{
	const struct vmx_model *have = &vmx_implemented;
	struct vmx_model m = {
		.pin = model->pin & have->pin,
		.proc = model->proc & have->proc,
		.proc2 = model->proc2 & have->proc2,
		.exit = model->exit & have->exit,
		.entry = model->entry & have->entry,
		.ept_vpid = model->ept_vpid & have->ept_vpid,
	};

	drop_dependent(&m);
	nm_zero(caps, sizeof(*caps));
	caps->enabled = true;
	caps->pin = (struct vmx_allowed){PIN_DEFAULT1, PIN_DEFAULT1 | m.pin};
	caps->proc = (struct vmx_allowed){PROC_TRUE_DEFAULT1, PROC_TRUE_DEFAULT1 | m.proc};
	caps->proc2 = (struct vmx_allowed){0, m.proc2};
	caps->exit = (struct vmx_allowed){EXIT_CTL_TRUE_DEFAULT1, EXIT_CTL_TRUE_DEFAULT1 | m.exit};
	caps->entry =
		(struct vmx_allowed){ENTRY_CTL_TRUE_DEFAULT1, ENTRY_CTL_TRUE_DEFAULT1 | m.entry};
	caps->basic = VMCS12_REVISION | PAGE_SIZE << VMX_BASIC_SIZE_SHIFT |
		      EPTP_TYPE_WB << VMX_BASIC_MEM_TYPE_SHIFT | VMX_BASIC_INS_OUTS |
		      VMX_BASIC_TRUE_CTLS;
	caps->misc = TIMER_SHIFT | VMX_MISC_ACTIVITY_HLT | VMX_MISC_ACTIVITY_SHUTDOWN |
		     VMX_MISC_ACTIVITY_SIPI | CR3_TARGETS << VMX_MISC_CR3_TARGETS_SHIFT |
		     VMX_MISC_VMWRITE_ANY | VMX_MISC_ZERO_LENGTH_INJECTION;
	if (m.proc2 & PROC2_UNRESTRICTED_GUEST)
		caps->misc |= VMX_MISC_STORE_LMA;
	caps->ept_vpid = m.ept_vpid;
	caps->vmfunc = m.proc2 & PROC2_VMFUNC ? 1 : 0;
	caps->cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	caps->cr0_fixed1 = mask_low(32);
	caps->cr4_fixed0 = CR4_VMXE;
	caps->cr4_fixed1 = cr4_valid | CR4_VMXE;
	caps->cr4_valid = cr4_valid | CR4_VMXE;
	caps->efer_valid = efer_valid;
	caps->xcr0_valid = xcr0_valid;
	caps->debugctl_valid = DEBUGCTL_LBR | DEBUGCTL_BTF;
	caps->maxphyaddr = maxphyaddr;
	caps->linaddr_bits = linaddr_bits;
	caps->needs = needs_of(caps);
	caps->vmcs_enum = highest_index(caps->needs);
	checks_index_init(&caps->checks);
}

static u64 allowed_msr(const struct vmx_allowed *a, u32 default1)
{
	return (u64)a->may_be_1 << 32 | a->must_be_1 | default1;
}

bool vmx_caps_msr(const struct vmx_caps *c, u32 msr, u64 *value)
{
	if (!c->enabled)
		return false;
	switch (msr) {
	case MSR_IA32_VMX_BASIC: *value = c->basic; return true;
	case MSR_IA32_VMX_PINBASED_CTLS: *value = allowed_msr(&c->pin, PIN_DEFAULT1); return true;
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS: *value = allowed_msr(&c->pin, 0); return true;
	case MSR_IA32_VMX_PROCBASED_CTLS:
		*value = allowed_msr(&c->proc, PROC_DEFAULT1);
		return true;
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS: *value = allowed_msr(&c->proc, 0); return true;
	case MSR_IA32_VMX_EXIT_CTLS: *value = allowed_msr(&c->exit, EXIT_CTL_DEFAULT1); return true;
	case MSR_IA32_VMX_TRUE_EXIT_CTLS: *value = allowed_msr(&c->exit, 0); return true;
	case MSR_IA32_VMX_ENTRY_CTLS:
		*value = allowed_msr(&c->entry, ENTRY_CTL_DEFAULT1);
		return true;
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS: *value = allowed_msr(&c->entry, 0); return true;
	case MSR_IA32_VMX_MISC: *value = c->misc; return true;
	case MSR_IA32_VMX_CR0_FIXED0: *value = c->cr0_fixed0; return true;
	case MSR_IA32_VMX_CR0_FIXED1: *value = c->cr0_fixed1; return true;
	case MSR_IA32_VMX_CR4_FIXED0: *value = c->cr4_fixed0; return true;
	case MSR_IA32_VMX_CR4_FIXED1: *value = c->cr4_fixed1; return true;
	case MSR_IA32_VMX_VMCS_ENUM: *value = c->vmcs_enum; return true;
	case MSR_IA32_VMX_PROCBASED_CTLS2:
		*value = allowed_msr(&c->proc2, 0);
		return c->proc.may_be_1 & PROC_SECONDARY;
	case MSR_IA32_VMX_EPT_VPID_CAP:
		*value = c->ept_vpid;
		return c->proc2.may_be_1 & (PROC2_EPT | PROC2_VPID);
	case MSR_IA32_VMX_VMFUNC: *value = c->vmfunc; return c->proc2.may_be_1 & PROC2_VMFUNC;
	default: return false;
	}
}
