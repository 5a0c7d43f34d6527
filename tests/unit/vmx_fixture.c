#include <stdlib.h>
#include <string.h>
#include "tests/unit/vmx_fixture.h"
#include "l0/engine/vec.h"

static const struct exit_hooks hooks;

GUEST(vmxfix_launch, 64, "vmlaunch; hlt");
GUEST(vmxfix_resume, 64, "vmresume; hlt");

struct vmxfix *vmxfix_create(void)
{
	struct vmxfix *f = calloc(1, sizeof(*f));

	f->sys = sysfix_create();
	f->vp = &f->sys->vp;
	if (cpu_profile_init(&f->profile, NULL, 1, 1000000000))
		abort();
	return f;
}

void vmxfix_destroy(struct vmxfix *f)
{
	sysfix_destroy(f->sys);
	free(f);
}

void vmxfix_reset(struct vmxfix *f)
{
	f->vp->trace = NULL;
	sysfix_reset(f->sys);
	exit_vp_init(&f->nv, f->vp, &f->profile, &hooks, NULL, 0);
	exit_set_vmcs_shadowing(f->vp, &f->nv, !f->no_shadowing);
	sysfix_long(f->sys, AT_CODE);
	f->vp->cpu.cr4 |= CR4_VMXE;
	f->nv.msr.feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
	sysfix_poke(f->sys, AT_HOST, 0xf4, 1);
	sysfix_poke(f->sys, AT_VMXON, VMCS12_REVISION, 4);
	sysfix_poke(f->sys, AT_VMCS, VMCS12_REVISION, 8);
	sysfix_poke(f->sys, AT_VMCS2, VMCS12_REVISION, 8);
	engine_state_changed(f->vp);
}

void vmxfix_on(struct vmxfix *f)
{
	vmxfix_reset(f);
	f->vp->vmxon = true;
	f->nv.vmxon_ptr = AT_VMXON;
}

static void fill_ept(struct sysfix *s)
{
	sysfix_poke(s, BASE_EPT, (BASE_EPT + 0x1000) | 7, 8);
	sysfix_poke(s, BASE_EPT + 0x1000, (BASE_EPT + 0x2000) | 7, 8);
	for (u64 i = 0; i < 4; i++)
		sysfix_poke(s, BASE_EPT + 0x2000 + i * 8,
			    i * PAGE_SIZE_2M | EPT_ENTRY_LARGE | 6 << 3 | 7, 8);
}

void vmxfix_current(struct vmxfix *f)
{
	struct vmcs12 *v = &f->nv.vmcs12;

	vmxfix_on(f);
	fill_ept(f->sys);
	vmx_base_init(v, &f->profile.caps);
	v->guest_rip = AT_L2;
	v->guest_cr3 = v->host_cr3 = AT_PML4;
	v->guest_gdtr_base = AT_GDT;
	v->guest_idtr_base = AT_IDT;
	v->guest_tr_base = AT_TSS;
	v->guest_tr_limit = 0x3ff;
	v->guest_cs_selector = S_CODE64;
	f->nv.current_vmptr = AT_VMCS;
	f->nv.dirty = VMCS12_DIRTY_ALL;
	exit_set_vmcs_shadowing(f->vp, &f->nv, !f->no_shadowing);
}

enum vmxfix_end vmxfix_run(struct vmxfix *f, u64 n)
{
	u64 until = f->vp->insns + n;
	enum exit_action a;

	for (;;) {
		switch (engine_run(f->vp, until)) {
		case ENGINE_STOP_EXIT:
			a = exit_handle(f->vp, &f->nv);
			if (a == EXIT_ACTION_STOP)
				return VMXFIX_STOP;
			if (a == EXIT_ACTION_HALT)
				return VMXFIX_HALT;
			break;
		case ENGINE_STOP_HALT: return VMXFIX_HALT;
		case ENGINE_STOP_COUNT: return VMXFIX_LIMIT;
		case ENGINE_STOP_REQUEST: break;
		}
	}
}

enum vmxfix_end vmxfix_do(struct vmxfix *f, const u8 *code, const u8 *end)
{
	sysfix_code(f->sys, AT_CODE, code, end);
	f->vp->cpu.rip = AT_CODE;
	f->vp->cpu.activity = ACTIVITY_ACTIVE;
	f->vp->cpu.rflags |= RFLAGS_ARITH; /* what is not cleared shows */
	engine_state_changed(f->vp);
	return vmxfix_run(f, 1000);
}

enum vmxfix_end vmxfix_enter(struct vmxfix *f, bool launch)
{
	if (launch)
		return vmxfix_do(f, g_vmxfix_launch, g_vmxfix_launch_end);
	return vmxfix_do(f, g_vmxfix_resume, g_vmxfix_resume_end);
}

int vmxfix_result(const struct vmxfix *f)
{
	switch (f->vp->cpu.rflags & RFLAGS_ARITH) {
	case 0: return 0;
	case RFLAGS_CF: return -1;
	case RFLAGS_ZF: return (int)f->nv.vmcs12.vm_instruction_error;
	default: return -2;
	}
}
