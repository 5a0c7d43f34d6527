#include "l0/exit/coverage.h"
#include "l0/arch/vmx.h"
#include "l0/exit/exit_priv.h"

/* --- what there is ------------------------------------------------------------------------------
 */

static const struct control {
	const char *name;
	u8 word; /* NVMX_WORD_* */
	u32 bit;
} controls[] = {
#define VMX_CONTROL(word, name) {#word "_" #name, NVMX_WORD_##word, word##_##name},
#include "l0/arch/vmx_controls.def"
#undef VMX_CONTROL
};

static const char *const exits[EXIT_REASON_COUNT] = {
#define EXIT_REASON(number, name, ...) [number] = #name,
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
};

static const struct {
	u32 number;
	const char *name;
} errors[] = {
#define VMX_ERROR(number, name) {number, #name},
#include "l0/arch/vmx_errors.def"
#undef VMX_ERROR
};

static const struct vmx_allowed *word_of(const struct vmx_caps *k, u32 word)
{
	const struct vmx_allowed *const words[] = {
		[NVMX_WORD_PIN] = &k->pin,	   [NVMX_WORD_PROC] = &k->proc,
		[NVMX_WORD_PROC2] = &k->proc2,	   [NVMX_WORD_EXIT_CTL] = &k->exit,
		[NVMX_WORD_ENTRY_CTL] = &k->entry,
	};

	return words[word];
}

/* Exits that need a control, and those that this processor never makes. */
#define NEVER 0xff
static const struct {
	u32 reason;
	u8 word;
	u32 bits;
} exit_needs[] = {
	{EXIT_REASON_IO_SMI, NEVER, 0}, /* no system-management mode */
	{EXIT_REASON_OTHER_SMI, NEVER, 0},
	{EXIT_REASON_RSM, NEVER, 0},
	{EXIT_REASON_GETSEC, NEVER, 0}, /* CR4.SMXE cannot be set */
	{EXIT_REASON_MACHINE_CHECK_ENTRY, NEVER, 0},
	{EXIT_REASON_XSAVES, NEVER, 0}, /* IA32_XSS has no bit that can be set */
	{EXIT_REASON_XRSTORS, NEVER, 0},
	{EXIT_REASON_TPR_BELOW_THRESHOLD, NVMX_WORD_PROC, PROC_TPR_SHADOW},
	{EXIT_REASON_PREEMPTION_TIMER, NVMX_WORD_PIN, PIN_PREEMPTION_TIMER},
	{EXIT_REASON_NMI_WINDOW, NVMX_WORD_PROC, PROC_NMI_WINDOW},
	{EXIT_REASON_APIC_ACCESS, NVMX_WORD_PROC2, PROC2_APIC_ACCESSES},
	{EXIT_REASON_VIRTUALIZED_EOI, NVMX_WORD_PROC2, PROC2_VIRTUAL_INTERRUPT},
	{EXIT_REASON_APIC_WRITE, NVMX_WORD_PROC2, PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT},
	{EXIT_REASON_GDTR_IDTR, NVMX_WORD_PROC2, PROC2_DESCRIPTOR_TABLE},
	{EXIT_REASON_LDTR_TR, NVMX_WORD_PROC2, PROC2_DESCRIPTOR_TABLE},
	{EXIT_REASON_EPT_VIOLATION, NVMX_WORD_PROC2, PROC2_EPT},
	{EXIT_REASON_EPT_MISCONFIG, NVMX_WORD_PROC2, PROC2_EPT},
	{EXIT_REASON_INVEPT, NVMX_WORD_PROC2, PROC2_EPT},
	{EXIT_REASON_INVVPID, NVMX_WORD_PROC2, PROC2_VPID},
	{EXIT_REASON_RDTSCP, NVMX_WORD_PROC2, PROC2_RDTSCP},
	{EXIT_REASON_WBINVD, NVMX_WORD_PROC2, PROC2_WBINVD},
	{EXIT_REASON_RDRAND, NVMX_WORD_PROC2, PROC2_RDRAND},
	{EXIT_REASON_RDSEED, NVMX_WORD_PROC2, PROC2_RDSEED},
	{EXIT_REASON_INVPCID, NVMX_WORD_PROC2, PROC2_INVPCID},
	{EXIT_REASON_VMFUNC, NVMX_WORD_PROC2, PROC2_VMFUNC},
	{EXIT_REASON_ENCLS, NVMX_WORD_PROC2, PROC2_ENCLS},
	{EXIT_REASON_PML_FULL, NVMX_WORD_PROC2, PROC2_PML},
	{EXIT_REASON_SPP_EVENT, NVMX_WORD_PROC2, PROC2_SPP},
	{EXIT_REASON_UMWAIT, NVMX_WORD_PROC2, PROC2_USER_WAIT},
	{EXIT_REASON_TPAUSE, NVMX_WORD_PROC2, PROC2_USER_WAIT},
};

static bool exit_exists(const struct vmx_caps *k, u32 reason)
{
	for (u32 i = 0; i < ARRAY_SIZE(exit_needs); i++)
		if (exit_needs[i].reason == reason)
			return exit_needs[i].word != NEVER &&
			       (word_of(k, exit_needs[i].word)->may_be_1 & exit_needs[i].bits);
	return true;
}

static bool error_exists(const struct vmx_caps *k, u32 error)
{
	switch (error) {
	case VMXERR_VMRESUME_AFTER_VMXOFF:	  /* VMXOFF leaves no current VMCS */
	case VMXERR_ENTRY_INVALID_EXECUTIVE_VMCS: /* the dual-monitor treatment of SMM, from here */
	case VMXERR_ENTRY_NON_LAUNCHED_EXECUTIVE:
	case VMXERR_ENTRY_EXECUTIVE_NOT_VMXON:
	case VMXERR_VMCALL_NOT_CLEAR:
	case VMXERR_VMCALL_INVALID_EXIT_CONTROLS:
	case VMXERR_VMCALL_WRONG_MSEG_REVISION:
	case VMXERR_VMXOFF_DUAL_MONITOR:
	case VMXERR_VMCALL_INVALID_SMM:
	case VMXERR_ENTRY_INVALID_EXECUTION_CONTROLS: return false;
	case VMXERR_VMWRITE_READ_ONLY: return !(k->misc & VMX_MISC_VMWRITE_ANY);
	}
	return true;
}

/* --- the lines ----------------------------------------------------------------------------------
 */

static void line(FILE *out, const char *kind, const char *name, u64 count)
{
	fprintf(out, "vmx-coverage %s %s %llu\n", kind, name, (unsigned long long)count);
}

void exit_coverage_print(const struct nvmx *nv, FILE *out)
{
	const struct vmx_caps *k = &nv->profile->caps;
	const struct exit_counts *c = &nv->count;

	for (u32 i = 0; i < ARRAY_SIZE(controls); i++)
		if (word_of(k, controls[i].word)->may_be_1 & controls[i].bit)
			line(out, "control", controls[i].name,
			     !!(c->controls[controls[i].word] & controls[i].bit));
	for (u32 i = 0; i < EXIT_REASON_COUNT; i++)
		if (exits[i] && exit_exists(k, i))
			line(out, "exit", exits[i], c->reflected[i]);
	for (u32 i = CHECK_NONE + 1; i < CHECK_COUNT; i++)
		line(out, "check", check_table[i].name, c->checks[i / 64] >> i % 64 & 1);
	for (u32 i = 0; i < ARRAY_SIZE(errors); i++)
		if (error_exists(k, errors[i].number))
			line(out, "error", errors[i].name, c->errors >> errors[i].number & 1);
}
