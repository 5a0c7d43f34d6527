/* The VMX instructions of L1: success and failure as the SDM has them, run by the engine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/vmx_fixture.h"

static struct vmxfix *f;

#define DO(name) vmxfix_do(f, g_##name, g_##name##_end)
#define POINTER(ptr) sysfix_poke(f->sys, AT_DATA, (ptr), 8)
#define RESULT(name, want) \
	do { \
		assert_int_equal(DO(name), VMXFIX_HALT); \
		assert_int_equal(sysfix_handled(f->sys), -1); \
		assert_int_equal(vmxfix_result(f), want); \
	} while (0)
#define FAULTS(name, vector) \
	do { \
		assert_int_equal(DO(name), VMXFIX_HALT); \
		assert_int_equal(sysfix_handled(f->sys), vector); \
	} while (0)

GUEST(vmxon, 64, "vmxon 0xc000; hlt");
GUEST(vmxoff, 64, "vmxoff; hlt");
GUEST(vmclear, 64, "vmclear 0xc000; hlt");
GUEST(vmptrld, 64, "vmptrld 0xc000; hlt");
GUEST(vmptrld_bad, 64, "vmptrld (%rcx); hlt");
GUEST(vmptrst, 64, "vmptrst 0xc100; hlt");
GUEST(vmread, 64, "vmread %rax, %rbx; hlt");
GUEST(vmread_mem, 64, "vmread %rax, 0xc200; hlt");
GUEST(vmwrite, 64, "vmwrite %rbx, %rax; hlt");
GUEST(vmwrite_mem, 64, "vmwrite 0xc200, %rax; hlt");
GUEST(vmlaunch, 64, "vmlaunch; hlt");
GUEST(vmresume, 64, "vmresume; hlt");
GUEST(shadowed, 64, "mov %ss, %ax; mov %ax, %ss; vmlaunch; hlt");
GUEST(vmcall, 64, "vmcall; hlt");
GUEST(vmfunc, 64, "vmfunc; hlt");
GUEST(invept, 64, "invept 0xc000, %rax; hlt");
GUEST(invvpid, 64, "invvpid 0xc000, %rax; hlt");

static int setup(void **state)
{
	f = vmxfix_create();
	return 0;
}
static int setup_no_shadowing(void **state)
{
	f = vmxfix_create();
	f->no_shadowing = true;
	return 0;
}
static int teardown(void **state)
{
	vmxfix_destroy(f);
	return 0;
}
static void load_vmcs(void)
{
	vmxfix_on(f);
	POINTER(AT_VMCS);
	RESULT(vmptrld, 0);
	assert_int_equal(f->nv.current_vmptr, AT_VMCS);
}

/* --- */

static void vmxon_needs_everything(void **state)
{
	vmxfix_reset(f);
	POINTER(AT_VMXON);
	RESULT(vmxon, 0);
	assert_true(f->vp->vmxon);
	RESULT(vmxon, -1); /* in root operation, no current VMCS to keep the error in */

	vmxfix_reset(f);
	f->nv.msr.feature_control = FEATURE_CONTROL_VMX; /* not locked */
	FAULTS(vmxon, VECTOR_GP);
	vmxfix_reset(f);
	f->nv.msr.feature_control = FEATURE_CONTROL_LOCK;
	FAULTS(vmxon, VECTOR_GP);
	vmxfix_reset(f);
	f->vp->cpu.cr4 &= ~CR4_VMXE;
	FAULTS(vmxon, VECTOR_UD);
	vmxfix_reset(f);
	f->vp->cpu.cr0 &= ~CR0_NE;
	FAULTS(vmxon, VECTOR_GP);

	vmxfix_reset(f);
	POINTER(AT_VMXON + 8);
	RESULT(vmxon, -1);
	POINTER(1ull << 46);
	RESULT(vmxon, -1);
	POINTER(0xf0000000); /* no RAM: reads as all ones */
	RESULT(vmxon, -1);
	sysfix_poke(f->sys, AT_VMXON, VMCS12_REVISION ^ 1, 4);
	POINTER(AT_VMXON);
	RESULT(vmxon, -1);
	assert_false(f->vp->vmxon);
}

static void vmxon_in_root_operation(void **state)
{
	load_vmcs();
	POINTER(AT_VMXON);
	RESULT(vmxon, VMXERR_VMXON_IN_ROOT);
}

static void nothing_exists_outside_vmx_operation(void **state)
{
	vmxfix_reset(f);
	FAULTS(vmxoff, VECTOR_UD);
	FAULTS(vmclear, VECTOR_UD);
	FAULTS(vmptrld, VECTOR_UD);
	FAULTS(vmptrst, VECTOR_UD);
	FAULTS(vmread, VECTOR_UD);
	FAULTS(vmwrite, VECTOR_UD);
	FAULTS(vmlaunch, VECTOR_UD);
	FAULTS(vmresume, VECTOR_UD);
	FAULTS(vmcall, VECTOR_UD);
	FAULTS(invept, VECTOR_UD);
	FAULTS(invvpid, VECTOR_UD);
	FAULTS(vmfunc, VECTOR_UD);
}

static void vmxoff_ends_it(void **state)
{
	load_vmcs();
	f->nv.vmcs12.guest_rip = 0x1234;
	RESULT(vmxoff, 0);
	assert_false(f->vp->vmxon);
	FAULTS(vmread, VECTOR_UD);
	/* what was cached went back to memory */
	f->vp->vmxon = true;
	POINTER(AT_VMCS);
	RESULT(vmptrld, 0);
	assert_int_equal(f->nv.vmcs12.guest_rip, 0x1234);
}

static void pointers_are_checked(void **state)
{
	static const struct {
		u64 ptr;
		int load, clear;
	} t[] = {
		{AT_VMCS + 1, VMXERR_VMPTRLD_INVALID_ADDRESS, VMXERR_VMCLEAR_INVALID_ADDRESS},
		{1ull << 46, VMXERR_VMPTRLD_INVALID_ADDRESS, VMXERR_VMCLEAR_INVALID_ADDRESS},
		{AT_VMXON, VMXERR_VMPTRLD_VMXON_POINTER, VMXERR_VMCLEAR_VMXON_POINTER},
		{AT_DATA & ~0xfffull, VMXERR_VMPTRLD_WRONG_REVISION, 0},
		{0xf0000000, VMXERR_VMPTRLD_WRONG_REVISION, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		load_vmcs();
		POINTER(t[i].ptr);
		RESULT(vmptrld, t[i].load);
		assert_int_equal(f->nv.current_vmptr, AT_VMCS);
		RESULT(vmclear, t[i].clear);
		assert_int_equal(f->nv.current_vmptr, AT_VMCS);
	}
	/* without a current VMCS the same is VMfailInvalid */
	vmxfix_on(f);
	POINTER(AT_VMXON);
	RESULT(vmptrld, -1);
	/* a shadow VMCS cannot be loaded while shadowing is not announced */
	if (!(f->profile.caps.proc2.may_be_1 & PROC2_VMCS_SHADOWING)) {
		sysfix_poke(f->sys, AT_VMCS2, VMCS12_REVISION | VMCS12_SHADOW_INDICATOR, 4);
		POINTER(AT_VMCS2);
		RESULT(vmptrld, -1);
	}
}

static void operand_faults_change_nothing(void **state)
{
	load_vmcs();
	f->vp->cpu.gpr[RCX] = 0x80000000000; /* not mapped */
	FAULTS(vmptrld_bad, VECTOR_PF);
	assert_int_equal(f->vp->cpu.cr2, 0x80000000000);
	assert_int_equal(f->nv.current_vmptr, AT_VMCS);
}

static void vmptrst_stores_the_current_pointer(void **state)
{
	vmxfix_on(f);
	RESULT(vmptrst, 0);
	assert_true(sysfix_peek(f->sys, 0xc100, 8) == ~0ull);
	load_vmcs();
	RESULT(vmptrst, 0);
	assert_int_equal(sysfix_peek(f->sys, 0xc100, 8), AT_VMCS);
}

static void two_vmcss_keep_their_fields(void **state)
{
	load_vmcs();
	f->vp->cpu.gpr[RAX] = VMCS_GUEST_RSP;
	f->vp->cpu.gpr[RBX] = 0x1111;
	RESULT(vmwrite, 0);
	POINTER(AT_VMCS2);
	RESULT(vmptrld, 0);
	RESULT(vmread, 0);
	assert_int_equal(f->vp->cpu.gpr[RBX], 0);
	POINTER(AT_VMCS);
	RESULT(vmptrld, 0);
	RESULT(vmread, 0);
	assert_int_equal(f->vp->cpu.gpr[RBX], 0x1111);
	/* VMCLEAR of the current one: none is current; its fields are in memory */
	RESULT(vmclear, 0);
	assert_true(f->nv.current_vmptr == VMX_NO_POINTER);
	RESULT(vmread, -1);
	RESULT(vmptrld, 0);
	RESULT(vmread, 0);
	assert_int_equal(f->vp->cpu.gpr[RBX], 0x1111);
}

static void every_field_by_instruction(void **state)
{
	load_vmcs();
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *info = &vmcs_field_table[i];
		u32 bytes = vmcs_field_bytes(info->encoding);
		u64 want = 0xf1e2d3c4b5a69788ull >> (64 - 8 * bytes);

		f->vp->cpu.gpr[RAX] = info->encoding;
		f->vp->cpu.gpr[RBX] = want;
		if (!vmx_caps_has(&f->profile.caps, info->need)) {
			RESULT(vmwrite, VMXERR_UNSUPPORTED_COMPONENT);
			RESULT(vmread, VMXERR_UNSUPPORTED_COMPONENT);
			continue;
		}
		if (info->encoding == VMCS_VM_INSTRUCTION_ERROR)
			continue;
		RESULT(vmwrite, 0);
		f->vp->cpu.gpr[RBX] = 0;
		RESULT(vmread, 0);
		assert_true(f->vp->cpu.gpr[RBX] == want);
		RESULT(vmread_mem, 0);
		assert_true(sysfix_peek(f->sys, 0xc200, 8) == want);
		sysfix_poke(f->sys, 0xc200, want >> 1, 8);
		RESULT(vmwrite_mem, 0);
		RESULT(vmread, 0);
		assert_true(f->vp->cpu.gpr[RBX] == want >> 1);
	}
	f->vp->cpu.gpr[RAX] = 1ull << 32 | VMCS_GUEST_RIP;
	RESULT(vmread, VMXERR_UNSUPPORTED_COMPONENT);
}

static void launch_state(void **state)
{
	vmxfix_on(f);
	RESULT(vmlaunch, -1);
	RESULT(vmresume, -1);
	load_vmcs();
	RESULT(vmresume, VMXERR_VMRESUME_NOT_LAUNCHED);
	f->nv.vmcs12.launch_state = VMCS12_LAUNCHED;
	RESULT(vmlaunch, VMXERR_VMLAUNCH_NOT_CLEAR);
	f->nv.vmcs12.launch_state = VMCS12_CLEAR;
	RESULT(vmlaunch, VMXERR_ENTRY_INVALID_CONTROLS);
	RESULT(shadowed, VMXERR_ENTRY_BLOCKED_BY_MOV_SS);
}

static void vmcall_and_vmfunc_in_root(void **state)
{
	load_vmcs();
	RESULT(vmcall, VMXERR_VMCALL_IN_ROOT);
	FAULTS(vmfunc, VECTOR_UD);
}

static void invalidations_check_type_and_descriptor(void **state)
{
	const u64 eptp = BASE_EPT | EPTP_WALK_4 | EPTP_TYPE_WB;
	static const struct {
		u64 type, vpid, addr;
		int want;
	} vpid[] = {
		{INVVPID_ADDRESS, 1, 0x1000, 0},
		{INVVPID_ADDRESS, 1, 1ull << 56, VMXERR_INVALID_INVEPT_INVVPID},
		{INVVPID_ADDRESS, 0, 0x1000, VMXERR_INVALID_INVEPT_INVVPID},
		{INVVPID_SINGLE, 1, 0, 0},
		{INVVPID_SINGLE, 0, 0, VMXERR_INVALID_INVEPT_INVVPID},
		{INVVPID_ALL, 0, 0, 0},
		{INVVPID_SINGLE_NON_GLOBAL, 1, 0, 0},
		{INVVPID_SINGLE_NON_GLOBAL, 0, 0, VMXERR_INVALID_INVEPT_INVVPID},
		{INVVPID_SINGLE, 0x10001, 0, VMXERR_INVALID_INVEPT_INVVPID},
		{4, 1, 0, VMXERR_INVALID_INVEPT_INVVPID},
		{1ull << 32 | 1, 1, 0, VMXERR_INVALID_INVEPT_INVVPID},
	};

	load_vmcs();
	for (u32 i = 0; i < ARRAY_SIZE(vpid); i++) {
		sysfix_poke(f->sys, AT_DATA, vpid[i].vpid, 8);
		sysfix_poke(f->sys, AT_DATA + 8, vpid[i].addr, 8);
		f->vp->cpu.gpr[RAX] = vpid[i].type;
		RESULT(invvpid, vpid[i].want);
	}
	sysfix_poke(f->sys, AT_DATA, eptp, 8);
	f->vp->cpu.gpr[RAX] = INVEPT_SINGLE;
	RESULT(invept, 0);
	f->vp->cpu.gpr[RAX] = INVEPT_ALL;
	RESULT(invept, 0);
	f->vp->cpu.gpr[RAX] = 0;
	RESULT(invept, VMXERR_INVALID_INVEPT_INVVPID);
	f->vp->cpu.gpr[RAX] = 3;
	RESULT(invept, VMXERR_INVALID_INVEPT_INVVPID);
	sysfix_poke(f->sys, AT_DATA, eptp | 0x80, 8);
	f->vp->cpu.gpr[RAX] = INVEPT_SINGLE;
	RESULT(invept, VMXERR_INVALID_INVEPT_INVVPID);
}

static void level_3_may_not(void **state)
{
	static const struct {
		const u8 *begin, *end;
	} t[] = {{g_vmread, g_vmread_end},     {g_vmwrite, g_vmwrite_end},
		 {g_vmlaunch, g_vmlaunch_end}, {g_vmclear, g_vmclear_end},
		 {g_vmcall, g_vmcall_end},     {g_invept, g_invept_end}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		load_vmcs();
		sysfix_code(f->sys, AT_USER_CODE, t[i].begin, t[i].end);
		sysfix_user(f->sys, AT_USER_CODE);
		f->vp->cpu.activity = ACTIVITY_ACTIVE;
		assert_int_equal(vmxfix_run(f, 100), VMXFIX_HALT);
		assert_int_equal(sysfix_handled(f->sys), VECTOR_GP);
	}
}

static void msrs(void **state)
{
	u64 v;

	vmxfix_reset(f);
	f->nv.msr.feature_control = 0;
	assert_true(exit_msr_write(f->vp, &f->nv, MSR_IA32_FEATURE_CONTROL, 5));
	assert_false(exit_msr_write(f->vp, &f->nv, MSR_IA32_FEATURE_CONTROL, 5)); /* locked */
	assert_true(exit_msr_read(f->vp, &f->nv, MSR_IA32_FEATURE_CONTROL, &v));
	assert_int_equal(v, 5);
	assert_false(exit_msr_read(f->vp, &f->nv, 0x12345, &v));
	assert_false(exit_msr_write(f->vp, &f->nv, MSR_IA32_VMX_BASIC, 0));
	assert_true(exit_msr_read(f->vp, &f->nv, MSR_IA32_VMX_BASIC, &v));
	assert_int_equal(v & VMX_BASIC_REVISION_MASK, VMCS12_REVISION);
	assert_false(exit_msr_write(f->vp, &f->nv, MSR_IA32_PAT, 2));
	assert_false(exit_msr_write(f->vp, &f->nv, MSR_IA32_LSTAR, 1ull << 56));
	assert_false(
		exit_msr_write(f->vp, &f->nv, MSR_IA32_EFER, EFER_SCE)); /* LME with paging on */
	assert_true(exit_msr_write(f->vp, &f->nv, MSR_IA32_MTRR_DEF_TYPE, 0xc06));
	assert_false(exit_msr_write(f->vp, &f->nv, MSR_IA32_MTRR_DEF_TYPE, 0xc02));
	assert_true(exit_msr_write(f->vp, &f->nv, MSR_IA32_TSC, 1000000));
	assert_int_equal(f->nv.tsc_adjust, 1000000);
	assert_true(exit_msr_read(f->vp, &f->nv, MSR_IA32_TSC_ADJUST, &v));
	assert_int_equal(v, 1000000);
	assert_false(
		exit_msr_read(f->vp, &f->nv, MSR_IA32_TSC_DEADLINE, &v)); /* no local APIC here */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vmxon_needs_everything),
		cmocka_unit_test(vmxon_in_root_operation),
		cmocka_unit_test(nothing_exists_outside_vmx_operation),
		cmocka_unit_test(vmxoff_ends_it),
		cmocka_unit_test(pointers_are_checked),
		cmocka_unit_test(operand_faults_change_nothing),
		cmocka_unit_test(vmptrst_stores_the_current_pointer),
		cmocka_unit_test(two_vmcss_keep_their_fields),
		cmocka_unit_test(every_field_by_instruction),
		cmocka_unit_test(launch_state),
		cmocka_unit_test(vmcall_and_vmfunc_in_root),
		cmocka_unit_test(invalidations_check_type_and_descriptor),
		cmocka_unit_test(level_3_may_not),
		cmocka_unit_test(msrs),
	};

	int failed = cmocka_run_group_tests_name("VMREAD and VMWRITE by the engine", tests, setup,
						 teardown);

	return failed + cmocka_run_group_tests_name("VMREAD and VMWRITE exit", tests,
						    setup_no_shadowing, teardown);
}
