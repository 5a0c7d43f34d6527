/* Capability MSRs: consistent with themselves, with the processor model and with what is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "l0/arch/msr.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "l0/exit/cpuid.h"
#include "l0/exit/exit.h"
#include "shadow-vmcs/checks.h"
#include "tests/unit/vmx_base.h"

static struct cpu_profile profile;

static u64 msr(u32 n)
{
	u64 v = 0;

	assert_true(vmx_caps_msr(&profile.caps, n, &v));
	return v;
}

static void with_model(u32 n)
{
	assert_int_equal(cpu_profile_init(&profile, cpu_model_name(n), 2, 1000000000), 0);
}

static void allowed_is_subset(u64 v)
{
	assert_int_equal((u32)v & ~(u32)(v >> 32), 0);
}

static void control_msrs_are_consistent(void **state)
{
	static const struct {
		u32 plain, true_ctls, default1;
	} t[] = {{MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS, PIN_DEFAULT1},
		 {MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS, PROC_DEFAULT1},
		 {MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, EXIT_CTL_DEFAULT1},
		 {MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS, ENTRY_CTL_DEFAULT1}};

	for (u32 n = 0; cpu_model_name(n); n++) {
		with_model(n);
		for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
			u64 plain = msr(t[i].plain), tr = msr(t[i].true_ctls);

			allowed_is_subset(plain);
			allowed_is_subset(tr);
			assert_int_equal(plain >> 32, tr >> 32);
			/* the plain MSR says that default1 bits must be 1 */
			assert_int_equal((u32)plain, (u32)tr | t[i].default1);
			assert_int_equal((u32)plain, t[i].default1);
			/* nothing beyond what is implemented */
		}
		assert_true(msr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CTLS);
		assert_int_equal(msr(MSR_IA32_VMX_BASIC) & BIT(31), 0);
		assert_int_equal(msr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK,
				 VMCS12_REVISION);
		assert_int_equal(msr(MSR_IA32_VMX_CR0_FIXED0) & ~msr(MSR_IA32_VMX_CR0_FIXED1), 0);
		assert_int_equal(msr(MSR_IA32_VMX_CR4_FIXED0) & ~msr(MSR_IA32_VMX_CR4_FIXED1), 0);
		assert_int_equal(profile.caps.pin.may_be_1 & ~(vmx_implemented.pin | PIN_DEFAULT1),
				 0);
		assert_int_equal(profile.caps.proc2.may_be_1 & ~vmx_implemented.proc2, 0);
	}
}

static void dependent_features_go_together(void **state)
{
	for (u32 n = 0; cpu_model_name(n); n++) {
		const struct vmx_caps *c = &profile.caps;
		u64 v;

		with_model(n);
		if (!(c->proc.may_be_1 & PROC_SECONDARY)) {
			assert_int_equal(c->proc2.may_be_1, 0);
			assert_false(vmx_caps_msr(c, MSR_IA32_VMX_PROCBASED_CTLS2, &v));
		}
		if (!(c->proc2.may_be_1 & PROC2_EPT)) {
			assert_int_equal(c->proc2.may_be_1 & PROC2_UNRESTRICTED_GUEST, 0);
			assert_int_equal(c->ept_vpid & mask_low(32), 0);
			assert_int_equal(c->misc & VMX_MISC_STORE_LMA, 0);
		}
		if (!(c->proc2.may_be_1 & (PROC2_EPT | PROC2_VPID)))
			assert_false(vmx_caps_msr(c, MSR_IA32_VMX_EPT_VPID_CAP, &v));
		assert_false(vmx_caps_msr(c, MSR_IA32_VMX_PROCBASED_CTLS3, &v));
		assert_false(vmx_caps_msr(c, 0x47f, &v));
	}
}

static void vmcs_enum_names_the_highest_index(void **state)
{
	u64 top = 0, said;

	with_model(0);
	said = msr(MSR_IA32_VMX_VMCS_ENUM);
	for (u32 i = 0; i < vmcs_field_count; i++)
		if (vmx_caps_has(&profile.caps, vmcs_field_table[i].need))
			top = MAX(top, (u64)vmcs_field_table[i].encoding & 0x3fe);
	assert_int_equal(said, top);
}

/* Each bit of each control word: refused exactly when the MSR says so. */
static void unannounced_bits_are_refused(void **state)
{
	static const u32 check[] = {CHECK_PIN_RESERVED, CHECK_PROC_RESERVED, CHECK_PROC2_RESERVED,
				    CHECK_EXIT_RESERVED, CHECK_ENTRY_RESERVED};
	struct vmcs12 v;
	u32 *const word[] = {&v.pin_based_vm_exec_control, &v.cpu_based_vm_exec_control,
			     &v.secondary_vm_exec_control, &v.vm_exit_controls,
			     &v.vm_entry_controls};

	for (u32 n = 0; cpu_model_name(n); n++) {
		const struct vmx_allowed *const allowed[] = {
			&profile.caps.pin, &profile.caps.proc, &profile.caps.proc2,
			&profile.caps.exit, &profile.caps.entry};

		with_model(n);
		for (u32 w = 0; w < ARRAY_SIZE(check); w++) {
			if (w == 2 && !(profile.caps.proc.may_be_1 & PROC_SECONDARY))
				continue;
			for (u32 bit = 0; bit < 32; bit++) {
				u32 must = allowed[w]->must_be_1, may = allowed[w]->may_be_1;
				struct check_ctx c;

				vmx_base_init(&v, &profile.caps);
				if (w != 1)
					v.cpu_based_vm_exec_control =
						profile.caps.proc.must_be_1 | PROC_SECONDARY;
				*word[w] = (must | (w == 1 ? may & PROC_SECONDARY : 0)) ^ 1u << bit;
				check_ctx_init(&c, &v, &profile.caps, NULL, true);
				if (*word[w] & 1u << bit)
					assert_int_equal(check_passes(&c, check[w]),
							 may >> bit & 1);
				else
					assert_int_equal(check_passes(&c, check[w]),
							 !(must >> bit & 1));
			}
		}
	}
}

static void models_differ_as_they_say(void **state)
{
	assert_int_equal(cpu_profile_init(&profile, "no-such-model", 1, 1), -ENOENT);
	assert_int_equal(cpu_profile_init(&profile, "nestor-merom", 1, 1000000000), 0);
	assert_int_equal(profile.caps.proc2.may_be_1, 0);
	assert_false(profile.features.has_popcnt);
	assert_int_equal(profile.features.maxphyaddr, 36);
	assert_int_equal(cpu_profile_init(&profile, NULL, 1, 1000000000), 0);
	assert_true(profile.caps.proc2.may_be_1 & PROC2_EPT);
	assert_true(profile.features.has_popcnt);
	assert_true(profile.features.cr4_valid & CR4_SMEP);
}

static const struct exit_hooks no_hooks;

static struct cpuid_leaf cpuid(u32 leaf, u32 sub)
{
	static struct vp vp;
	static struct nvmx nv;

	nv.profile = &profile;
	nv.hooks = &no_hooks;
	vp.cpu.gpr[RAX] = leaf;
	vp.cpu.gpr[RCX] = sub;
	cpuid_execute(&vp, &nv);
	return (struct cpuid_leaf){leaf,
				   sub,
				   (u32)vp.cpu.gpr[RAX],
				   (u32)vp.cpu.gpr[RBX],
				   (u32)vp.cpu.gpr[RCX],
				   (u32)vp.cpu.gpr[RDX]};
}

static void cpuid_leaves(void **state)
{
	struct cpuid_leaf l;

	with_model(0);
	l = cpuid(0, 0);
	assert_int_equal(l.ebx, 0x756e6547);
	assert_true(l.eax >= 0x15);
	l = cpuid(1, 0);
	assert_int_equal(l.eax >> 4 & 0xff, 0x6a);
	assert_true(l.ecx & 1u << 5);  /* VMX */
	assert_true(l.ecx & 1u << 31); /* runs under a hypervisor */
	assert_true(l.edx & 1u << 26); /* SSE2 */
	l = cpuid(0x15, 0);
	assert_int_equal((u64)l.ecx * l.ebx / l.eax, 1000000000);
	l = cpuid(0x80000008, 0);
	assert_int_equal(l.eax, 46 | 57 << 8);
	/* beyond the last leaf: the last basic leaf's data */
	assert_int_equal(cpuid(0x7fff, 0).eax, cpuid(0x16, 0).eax);
	assert_int_equal(cpuid(7, 1).ebx, 0);
	/* cache parameters end with a null type */
	assert_int_equal(cpuid(4, 4).eax & 31, 0);
	assert_int_equal(cpuid(4, 0).eax & 31, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_msrs_are_consistent),
		cmocka_unit_test(dependent_features_go_together),
		cmocka_unit_test(vmcs_enum_names_the_highest_index),
		cmocka_unit_test(unannounced_bits_are_refused),
		cmocka_unit_test(models_differ_as_they_say),
		cmocka_unit_test(cpuid_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
