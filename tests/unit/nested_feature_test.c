/* Nested VM entry and exit: VMFUNC, VMCS shadowing, TSC, TPR and the like, and L2 in other modes. */
#include <stdlib.h>
#include <string.h>
#include "shadow-vmcs/checks.h"
#include "tests/unit/nested_group.h"

GUEST(l2_32, 32, "mov $0x1234, %eax; cpuid");
GUEST(l2_16, 16, "mov $0x5678, %ax; cpuid");
GUEST(l2_vmfunc, 64, "xor %eax, %eax; mov %edi, %ecx; vmfunc; mov 0x400000, %ebx; cpuid");
GUEST(l2_shadow, 64,
      "mov $0x681e, %eax; vmread %rax, %rbx; mov $0x55, %ecx; vmwrite %rcx, %rax; cpuid");
GUEST(l2_rdtsc, 64, "rdtsc; mov %eax, %ebx; cpuid");
GUEST(l2_cr8, 64,
      "mov $9, %eax; mov %rax, %cr8; mov %cr8, %rbx; mov $2, %eax; mov %rax, %cr8; hlt");
GUEST(l2_spin, 64, "1: pause; jmp 1b");
GUEST(l2_user, 64, "mov 0x400000, %al; cpuid");
GUEST(l2_to_user, 64, "pushq $0x3b; pushq $0x24000; pushq $2; pushq $0x43; pushq $0x18000; iretq");
GUEST(l2_user_fs, 64, "mov %fs:0, %ebx; cpuid");

/* A second EPT in which the 2 MiB at 4 MiB show the page at 0. */
#define EPT_2 (BASE_EPT + 0x8000)
#define EPTP_LIST (BASE_EPT + 0x7000)

static void eptp_switching(void **state)
{
	static const struct {
		u64 index;
		u32 reason;
		u32 seen;
	} t[] = {{0, EXIT_REASON_CPUID, 0x44444444},
		 {1, EXIT_REASON_CPUID, 0x11111111},
		 {2, EXIT_REASON_VMFUNC, 0},
		 {512, EXIT_REASON_VMFUNC, 0}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		vmxfix_current(f);
		L2(l2_vmfunc);
		sysfix_poke(f->sys, EPT_2, (EPT_2 + 0x1000) | 7, 8);
		sysfix_poke(f->sys, EPT_2 + 0x1000, (EPT_2 + 0x2000) | 7, 8);
		for (u64 n = 0; n < 4; n++)
			sysfix_poke(f->sys, EPT_2 + 0x2000 + n * 8,
				    (n == 2 ? 3 : n) * PAGE_SIZE_2M | 0xb7, 8);
		sysfix_poke(f->sys, 0x400000, 0x44444444, 4);
		sysfix_poke(f->sys, 0x600000, 0x11111111, 4);
		sysfix_poke(f->sys, EPTP_LIST, V->ept_pointer, 8);
		sysfix_poke(f->sys, EPTP_LIST + 8, EPT_2 | EPTP_TYPE_WB | EPTP_WALK_4, 8);
		sysfix_poke(f->sys, EPTP_LIST + 16, EPT_2 | 1, 8);
		V->secondary_vm_exec_control |= PROC2_VMFUNC;
		V->vm_function_control = 1;
		V->eptp_list_address = EPTP_LIST;
		CPU->gpr[RDI] = t[i].index;
		CPU->gpr[RBX] = 0;
		expect_exit(true, t[i].reason);
		if (t[i].reason == EXIT_REASON_CPUID)
			assert_int_equal(CPU->gpr[RBX], t[i].seen);
		assert_int_equal(V->ept_pointer & PAGE_MASK, t[i].index == 1 ? EPT_2 : BASE_EPT);
	}
}

static void vmcs_shadowing(void **state)
{
	const u32 rip = VMCS_GUEST_RIP;

	for (u32 i = 0; i < 2; i++) {
		vmxfix_current(f);
		L2(l2_shadow);
		sysfix_poke(f->sys, AT_VMCS2, VMCS12_REVISION | VMCS12_SHADOW_INDICATOR, 8);
		sysfix_poke(f->sys, AT_VMCS2 + vmcs12_offset_of(rip), 0x4321, 8);
		V->secondary_vm_exec_control |= PROC2_VMCS_SHADOWING;
		V->vmread_bitmap = BASE_IO_A;
		V->vmwrite_bitmap = BASE_IO_B;
		V->vmcs_link_pointer = AT_VMCS2;
		sysfix_poke(f->sys, BASE_IO_B + rip / 8, (u64)i << (rip & 7), 1);
		expect_exit(true, i ? EXIT_REASON_VMWRITE : EXIT_REASON_CPUID);
		assert_int_equal(CPU->gpr[RBX], 0x4321);
		assert_int_equal(sysfix_peek(f->sys, AT_VMCS2 + vmcs12_offset_of(rip), 8),
				 i ? 0x4321 : 0x55);
		sysfix_poke(f->sys, BASE_IO_B + rip / 8, 0, 1);
	}
	/* a shadow VMCS can be current, not entered */
	f->nv.vmcs12.revision_id |= VMCS12_SHADOW_INDICATOR;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_int_equal(vmxfix_result(f), -1);
}

static void tsc_offset_and_scaling(void **state)
{
	u64 tsc;

	vmxfix_current(f);
	L2(l2_rdtsc);
	f->sys->tsc = 1000000;
	V->cpu_based_vm_exec_control |= PROC_TSC_OFFSETTING;
	V->secondary_vm_exec_control |= PROC2_TSC_SCALING;
	V->tsc_offset = 5000000;
	V->tsc_multiplier = 3ull << 47; /* 1.5 */
	expect_exit(true, EXIT_REASON_CPUID);
	tsc = CPU->gpr[RBX];
	assert_in_range(tsc, 6500000, 6500100);
	f->sys->tsc = 0;
}

static void tpr_shadow_and_threshold(void **state)
{
	vmxfix_current(f);
	L2(l2_cr8);
	V->cpu_based_vm_exec_control |= PROC_TPR_SHADOW;
	V->virtual_apic_page_addr = BASE_IO_A;
	V->tpr_threshold = 4;
	sysfix_poke(f->sys, BASE_IO_A + 0x80, 0x50, 4);
	f->sys->tpr = 0x70;
	expect_exit(true, EXIT_REASON_TPR_BELOW_THRESHOLD);
	assert_int_equal(CPU->gpr[RBX], 9);
	assert_int_equal(sysfix_peek(f->sys, BASE_IO_A + 0x80, 1), 0x20);
	assert_int_equal(f->sys->tpr, 0x70); /* the machine's own is untouched */
	assert_int_equal(sysfix_peek(f->sys, V->guest_rip, 1), 0xf4);
	/* an entry with the threshold above the shadow is refused */
	f->nv.dirty = VMCS12_DIRTY_ALL;
	assert_int_equal(vmxfix_enter(f, false), VMXFIX_HALT);
	assert_int_equal(vmxfix_result(f), VMXERR_ENTRY_INVALID_CONTROLS);
	assert_int_equal(f->nv.last_check, CHECK_TPR_THRESHOLD_VTPR);
}

static void pause_loop_exiting(void **state)
{
	vmxfix_current(f);
	L2(l2_spin);
	V->secondary_vm_exec_control |= PROC2_PAUSE_LOOP;
	V->ple_gap = 10;
	V->ple_window = 200;
	expect_exit(true, EXIT_REASON_PAUSE);
}

/* Execute rights of user and supervisor pages apart: a user page without XU cannot be fetched from.
 */
static void mode_based_execute(void **state)
{
	vmxfix_current(f);
	L2(l2_user);
	V->secondary_vm_exec_control |= PROC2_MODE_BASED_EPT;
	/* the fixture's guest tables map everything as user pages; ept12 gives R W XS only */
	expect_exit(true, EXIT_REASON_EPT_VIOLATION);
	assert_true(V->exit_qualification & EPT_VIOLATION_FETCH);
	sysfix_poke(f->sys, BASE_EPT + 0x2000,
		    0 | EPT_ENTRY_LARGE | 6 << 3 | 7 | EPT_ENTRY_EXECUTE_USER, 8);
	sysfix_poke(f->sys, BASE_EPT + 0x1000, (BASE_EPT + 0x2000) | 7 | EPT_ENTRY_EXECUTE_USER, 8);
	sysfix_poke(f->sys, BASE_EPT, (BASE_EPT + 0x1000) | 7 | EPT_ENTRY_EXECUTE_USER, 8);
	vtlb_invept(&f->vp->tlb, INVEPT_ALL, 0);
	expect_exit(false, EXIT_REASON_CPUID);
}

/* A VMM may enter with a null selector in a usable FS; going out to level 3 keeps the base. */
static void fs_base_survives_iret(void **state)
{
	vmxfix_current(f);
	L2(l2_to_user);
	sysfix_code(f->sys, 0x18000, g_l2_user_fs, g_l2_user_fs_end);
	sysfix_poke(f->sys, 0x61000, 0x5a5a5a5a, 4);
	V->guest_fs_selector = 0;
	V->guest_fs_base = 0x61000;
	expect_exit(true, EXIT_REASON_CPUID);
	assert_int_equal(CPU->gpr[RBX], 0x5a5a5a5a);
	assert_int_equal(V->guest_fs_base, 0x61000);
	assert_true(V->guest_fs_ar_bytes & SEG_AR_UNUSABLE);
}

static void protected_without_paging(void **state)
{
	vmxfix_current(f);
	L2(l2_32);
	V->secondary_vm_exec_control |= PROC2_UNRESTRICTED_GUEST;
	V->vm_entry_controls &= ~ENTRY_CTL_IA32E;
	V->guest_cr0 = CR0_PE | CR0_NE | CR0_ET;
	V->guest_cr4 = CR4_VMXE;
	V->guest_ia32_efer = 0;
	V->guest_cs_ar_bytes = 0xc09b;
	expect_exit(true, EXIT_REASON_CPUID);
	assert_int_equal(CPU->gpr[RAX], 0x1234);
	assert_int_equal(V->guest_ia32_efer, 0);
	assert_int_equal(CPU->efer & (EFER_LMA | EFER_LME), EFER_LMA | EFER_LME);
}

static void real_mode(void **state)
{
	vmxfix_current(f);
	L2(l2_16);
	V->secondary_vm_exec_control |= PROC2_UNRESTRICTED_GUEST;
	V->vm_entry_controls &= ~ENTRY_CTL_IA32E;
	V->guest_cr0 = CR0_NE | CR0_ET;
	V->guest_cr4 = CR4_VMXE;
	V->guest_ia32_efer = 0;
	V->guest_cs_selector = 0x5000;
	V->guest_cs_base = AT_L2;
	V->guest_cs_limit = 0xffff;
	V->guest_cs_ar_bytes = 0x9b;
	V->guest_rip = 0;
	expect_exit(true, EXIT_REASON_CPUID);
	assert_int_equal(CPU->gpr[RAX] & 0xffff, 0x5678);
	assert_int_equal(V->guest_rip, 3);
	assert_int_equal(V->guest_cr0 & (CR0_PE | CR0_PG), 0);
}

static void pae_without_ept(void **state)
{
	vmxfix_current(f);
	L2(l2_32);
	sysfix_poke(f->sys, 0x60000, AT_PD | 1, 8);
	sysfix_poke(f->sys, 0x60008, 0, 8);
	sysfix_poke(f->sys, 0x60010, 0, 8);
	sysfix_poke(f->sys, 0x60018, 0, 8);
	V->secondary_vm_exec_control = 0; /* and no VPID */
	V->vm_entry_controls &= ~ENTRY_CTL_IA32E;
	V->guest_cr3 = 0x60000;
	V->guest_ia32_efer = 0;
	V->guest_cs_ar_bytes = 0xc09b;
	expect_exit(true, EXIT_REASON_CPUID);
	assert_int_equal(CPU->gpr[RAX], 0x1234);
	assert_int_equal(V->guest_cr3, 0x60000);
	/* a reserved bit in a PDPTE in memory */
	sysfix_poke(f->sys, 0x60010, 0x21, 8);
	vmxfix_current(f);
	V->secondary_vm_exec_control = 0;
	V->vm_entry_controls &= ~ENTRY_CTL_IA32E;
	V->guest_cr3 = 0x60000;
	V->guest_ia32_efer = 0;
	V->guest_cs_ar_bytes = 0xc09b;
	expect_exit(true, EXIT_REASON_INVALID_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
	assert_int_equal(V->exit_qualification, ENTRY_FAIL_PDPTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eptp_switching),
		cmocka_unit_test(vmcs_shadowing),
		cmocka_unit_test(tsc_offset_and_scaling),
		cmocka_unit_test(tpr_shadow_and_threshold),
		cmocka_unit_test(pause_loop_exiting),
		cmocka_unit_test(mode_based_execute),
		cmocka_unit_test(fs_base_survives_iret),
		cmocka_unit_test(protected_without_paging),
		cmocka_unit_test(real_mode),
		cmocka_unit_test(pae_without_ept),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
