#include "l1-child/vmm/vmx.h"

#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/vmm/page.h"

/* Plain and true capability MSR of each control field; the secondary one has no true form. */
static const struct {
	u32 plain, exact;
	const char *name;
} control_msrs[] = {
	[VMX_PIN] = {MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS, "pin-based"},
	[VMX_PROC] = {MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		      "processor-based"},
	[VMX_EXIT] = {MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, "VM-exit"},
	[VMX_ENTRY] = {MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS, "VM-entry"},
	[VMX_PROC2] = {MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2,
		       "secondary processor-based"},
};

static const char *const error_names[] = {
#define VMX_ERROR(number, name) [number] = #name,
#include "l0/arch/vmx_errors.def"
#undef VMX_ERROR
};

const char *vmx_error_name(u32 error)
{
	if (error < ARRAY_SIZE(error_names) && error_names[error])
		return error_names[error];
	return "unknown error";
}

/* The error number after a VMfailValid; VMfailInvalid has none. */
static u32 instruction_error(void)
{
	u64 v = 0;

	__asm__ volatile("vmread %1, %0" : "+r"(v) : "r"((u64)VMCS_VM_INSTRUCTION_ERROR) : "cc");
	return (u32)v;
}

void vmx_field_failed(const char *insn, u64 field, u64 value)
{
	u32 e = instruction_error();

	con_die("%s of field 0x%lx (value 0x%lx) failed: %u, %s", insn, field, value, e,
		vmx_error_name(e));
}

static u64 control_msr(const struct vmx_caps *caps, enum vmx_control which)
{
	if (which == VMX_PROC2 && !caps->has_secondary)
		return 0;
	return cpu_rdmsr(caps->basic & VMX_BASIC_TRUE_CTLS ? control_msrs[which].exact
							   : control_msrs[which].plain);
}

bool vmx_can(const struct vmx_caps *caps, enum vmx_control which, u32 want)
{
	return !(want & ~(u32)(control_msr(caps, which) >> 32));
}

u32 vmx_adjust(const struct vmx_caps *caps, enum vmx_control which, u32 want)
{
	u64 msr = control_msr(caps, which);
	u32 missing = want & ~(u32)(msr >> 32);

	if (missing)
		con_die("this processor's VMX lacks %s controls 0x%x (allowed: 0x%x)",
			control_msrs[which].name, missing, (u32)(msr >> 32));
	return want | (u32)msr;
}

static void unlock_vmxon(void)
{
	u64 v = cpu_rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(v & FEATURE_CONTROL_LOCK)) {
		cpu_wrmsr(MSR_IA32_FEATURE_CONTROL, v | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
		v = cpu_rdmsr(MSR_IA32_FEATURE_CONTROL);
	}
	if (!(v & FEATURE_CONTROL_VMX))
		con_die("VMX is locked off in IA32_FEATURE_CONTROL (0x%lx)", v);
}

static void read_caps(struct vmx_caps *caps)
{
	caps->basic = cpu_rdmsr(MSR_IA32_VMX_BASIC);
	caps->revision = (u32)caps->basic & 0x7fffffff;
	caps->cr0_fixed0 = cpu_rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	caps->cr0_fixed1 = cpu_rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	caps->cr4_fixed0 = cpu_rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	caps->cr4_fixed1 = cpu_rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	caps->timer_shift = cpu_rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_TIMER_SHIFT_MASK;
	caps->has_secondary = vmx_can(caps, VMX_PROC, PROC_SECONDARY);
	if (caps->has_secondary && vmx_can(caps, VMX_PROC2, PROC2_EPT))
		caps->ept_vpid = cpu_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	caps->has_vpid = caps->has_secondary && vmx_can(caps, VMX_PROC2, PROC2_VPID) &&
			 (caps->ept_vpid & VPID_CAP_INVVPID);
	caps->has_save_timer = vmx_can(caps, VMX_EXIT, EXIT_CTL_SAVE_PREEMPTION_TIMER);
}

void vmx_enable(struct vmx_caps *caps)
{
	u64 region;
	bool failed;
	u32 r[4];

	cpu_id(1, 0, r);
	if (!(r[2] & CPUID1_ECX_VMX))
		con_die("this processor has no VMX (CPUID.1:ECX bit 5 is 0)");
	unlock_vmxon();
	read_caps(caps);
	cpu_write_cr0((cpu_read_cr0() | caps->cr0_fixed0) & caps->cr0_fixed1);
	cpu_write_cr4((cpu_read_cr4() | CR4_VMXE | caps->cr4_fixed0) & caps->cr4_fixed1);
	region = (u64)page_alloc(1, PAGE_SIZE);
	*(u32 *)region = caps->revision;
	caps->vmxon_region = region;
	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	if (failed)
		con_die("VMXON failed (revision 0x%x, region 0x%lx)", caps->revision, region);
	if (caps->ept_vpid & EPT_CAP_INVEPT)
		vmx_invept_all(caps);
}

void vmx_need_ept(const struct vmx_caps *caps)
{
	if (!(caps->ept_vpid & EPT_CAP_WALK_4) || !(caps->ept_vpid & EPT_CAP_WB))
		con_die("this processor's VMX has no 4-level write-back EPT (IA32_VMX_EPT_VPID_CAP "
			"0x%lx)",
			caps->ept_vpid);
}

void vmx_print(const struct vmx_caps *caps)
{
	con_printf("vmx: basic 0x%lx, ept+vpid 0x%lx, preemption timer every %u ticks%s\n",
		   caps->basic, caps->ept_vpid, 1u << caps->timer_shift,
		   caps->has_save_timer ? ", saved on exit" : "");
	for (unsigned int i = VMX_PIN; i <= VMX_PROC2; i++)
		con_printf("vmx: %-25s controls: must be 1 %08x, may be 1 %08x\n",
			   control_msrs[i].name, (u32)control_msr(caps, i),
			   (u32)(control_msr(caps, i) >> 32));
	con_printf("vmx: cr0 fixed 0x%lx..0x%lx, cr4 fixed 0x%lx..0x%lx\n", caps->cr0_fixed0,
		   caps->cr0_fixed1, caps->cr4_fixed0, caps->cr4_fixed1);
}

void vmx_vmclear(void *region)
{
	u64 pa = (u64)region;
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(pa) : "memory");
	if (failed)
		con_die("VMCLEAR of 0x%lx failed: %s", pa, vmx_error_name(instruction_error()));
}

void vmx_vmptrld(void *region)
{
	u64 pa = (u64)region;
	bool failed;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(pa) : "memory");
	if (failed)
		con_die("VMPTRLD of 0x%lx failed: %s", pa, vmx_error_name(instruction_error()));
}

void vmx_invept_all(const struct vmx_caps *caps)
{
	u64 descriptor[2] = {0, 0};
	bool failed;

	if (!(caps->ept_vpid & EPT_CAP_INVEPT_ALL))
		return;
	__asm__ volatile("invept %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"((u64)INVEPT_ALL)
			 : "memory");
	if (failed)
		con_die("INVEPT of all contexts failed");
}

void vmx_invvpid(const struct vmx_caps *caps, u16 vpid)
{
	u64 descriptor[2] = {vpid, 0};
	bool failed;

	if (!vpid || !caps->has_vpid || !(caps->ept_vpid & (VPID_CAP_SINGLE | VPID_CAP_ALL)))
		return;
	__asm__ volatile(
		"invvpid %1, %2"
		: "=@ccbe"(failed)
		: "m"(descriptor),
		  "r"(caps->ept_vpid & VPID_CAP_SINGLE ? (u64)INVVPID_SINGLE : (u64)INVVPID_ALL)
		: "memory");
	if (failed)
		con_die("INVVPID of context %u failed: %s", vpid,
			vmx_error_name(instruction_error()));
}
