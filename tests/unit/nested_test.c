/* Nested VM entry and exit: what is loaded, saved, reported; failures; kept exits. Events and
 * features have files of their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "shadow-vmcs/checks.h"
#include "shadow-vmcs/explain.h"
#include "tests/unit/nested_group.h"

GUEST(l2_cpuid, 64, "mov $7, %rbx; cpuid; hlt");
GUEST(l2_hlt, 64, "hlt; nop; hlt");
GUEST(l2_loop, 64, "1: inc %rax; jmp 1b");
GUEST(l2_ud, 64, "ud2");
GUEST(l2_rdmsr, 64, "mov $0x8b, %ecx; rdmsr; hlt");
GUEST(l2_badmsr, 64, "mov $0x12345, %ecx; rdmsr; hlt");
GUEST(l2_out, 64, "mov $0x41, %al; out %al, $0xe9; hlt");
GUEST(l2_cr0, 64, "mov %cr0, %rax; mov %rax, %cr0; xor $8, %rax; mov %rax, %cr0; hlt");
GUEST(l2_vmx, 64, "vmread %rax, %rbx");
GUEST(l2_triple, 64, "lidt 0xc300; ud2");
GUEST(l2_touch, 64, "mov 0x900000, %al");

static void an_exit_saves_l2_and_loads_l1(void **state)
{
	vmxfix_current(f);
	L2(l2_cpuid);
	V->host_fs_base = 0x123000;
	V->host_gs_selector = 0;
	V->host_ia32_sysenter_eip = 0x777;
	V->guest_sysenter_eip = 0x888;
	expect_exit(true, EXIT_REASON_CPUID);
	assert_int_equal(V->launch_state, VMCS12_LAUNCHED);
	assert_int_equal(V->guest_rip, AT_L2 + 7);
	assert_int_equal(V->vm_exit_instruction_len, 2);
	assert_int_equal(V->guest_rsp, 0x20000);
	assert_int_equal(V->guest_sysenter_eip, 0x888);
	assert_int_equal(V->guest_cs_ar_bytes, 0xa09b);
	assert_int_equal(V->guest_tr_ar_bytes, 0x8b);
	assert_int_equal(V->idt_vectoring_info_field, 0);
	assert_int_equal(CPU->gpr[RBX], 7);
	assert_int_equal(CPU->gpr[RSP], 0x20000);
	assert_int_equal(CPU->sysenter_eip, 0x777);
	assert_int_equal(CPU->seg[SEG_FS].base, 0x123000);
	assert_true(CPU->seg[SEG_GS].ar & SEG_AR_UNUSABLE);
	assert_int_equal(CPU->seg[SEG_CS].ar, 0xa09b);
	assert_int_equal(CPU->seg[SEG_TR].limit, 0x67);
	assert_int_equal(CPU->idtr.limit, 0xffff);
	assert_int_equal(CPU->dr[7], 0x400);
	assert_int_equal(CPU->rflags, RFLAGS_FIXED);
	/* it can go on: from after the CPUID to the HLT that L1 wants */
	V->guest_rip += 2;
	f->nv.dirty |= VMCS12_DIRTY_RIP;
	expect_exit(false, EXIT_REASON_HLT);
	/* and a second VMLAUNCH cannot */
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_int_equal(vmxfix_result(f), VMXERR_VMLAUNCH_NOT_CLEAR);
}

static void many_round_trips_need_only_rip(void **state)
{
	vmxfix_current(f);
	L2(l2_cpuid);
	expect_exit(true, EXIT_REASON_CPUID);
	for (u32 i = 0; i < 1000; i++) {
		V->guest_rip = AT_L2;
		f->nv.dirty |= VMCS12_DIRTY_RIP;
		expect_exit(false, EXIT_REASON_CPUID);
	}
	assert_int_equal(f->nv.count.entries, 1001);
	assert_int_equal(f->nv.count.reflected[EXIT_REASON_CPUID], 1001);
}

static void failures_by_group(void **state)
{
	u64 rip;

	vmxfix_current(f);
	V->vpid = 0;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_int_equal(vmxfix_result(f), VMXERR_ENTRY_INVALID_CONTROLS);
	assert_int_equal(f->nv.last_check, CHECK_VPID_ZERO);

	vmxfix_current(f);
	V->host_cs_selector = 0;
	V->guest_rip = 1ull << 57; /* decides only when the groups before pass */
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_int_equal(vmxfix_result(f), VMXERR_ENTRY_INVALID_HOST_STATE);
	assert_int_equal(V->launch_state, VMCS12_CLEAR);

	vmxfix_current(f);
	V->guest_rip = rip = 1ull << 57;
	expect_exit(true, EXIT_REASON_INVALID_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
	assert_int_equal(V->exit_qualification, 0);
	assert_true(V->guest_rip == rip);
	assert_int_equal(V->launch_state, VMCS12_CLEAR);
	assert_int_equal(f->nv.last_check, CHECK_GUEST_RIP_CANONICAL);

	vmxfix_current(f);
	V->vmcs_link_pointer = 0x123;
	expect_exit(true, EXIT_REASON_INVALID_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
	assert_int_equal(V->exit_qualification, ENTRY_FAIL_LINK_POINTER);
}

static void msr_lists(void **state)
{
	vmxfix_current(f);
	L2(l2_cpuid);
	CPU->lstar = 0x1111;
	sysfix_poke(f->sys, AT_MSR_LIST, MSR_IA32_LSTAR, 8);
	sysfix_poke(f->sys, AT_MSR_LIST + 8, 0x2222, 8);
	V->vm_entry_msr_load_addr = AT_MSR_LIST;
	V->vm_entry_msr_load_count = 1;
	sysfix_poke(f->sys, AT_MSR_LIST + 0x100, MSR_IA32_LSTAR, 8);
	sysfix_poke(f->sys, AT_MSR_LIST + 0x108, 0, 8);
	V->vm_exit_msr_store_addr = AT_MSR_LIST + 0x100;
	V->vm_exit_msr_store_count = 1;
	sysfix_poke(f->sys, AT_MSR_LIST + 0x200, MSR_IA32_LSTAR, 8);
	sysfix_poke(f->sys, AT_MSR_LIST + 0x208, 0x3333, 8);
	V->vm_exit_msr_load_addr = AT_MSR_LIST + 0x200;
	V->vm_exit_msr_load_count = 1;
	expect_exit(true, EXIT_REASON_CPUID);
	assert_int_equal(sysfix_peek(f->sys, AT_MSR_LIST + 0x108, 8), 0x2222);
	assert_int_equal(CPU->lstar, 0x3333);
}

/* What the explanation of the check @id at entry @bad of the list says, and that what it advises
 * loads. */
static void expect_msr_explanation(u32 id, u32 bad, const char *says)
{
	struct check_ctx c = {
		.v = V, .caps = &f->nv.profile->caps, .mem = f->sys->mem, .msr_entry = bad};
	char text[EXPLAIN_TEXT_BYTES], msr[EXPLAIN_MSR_BYTES];
	struct explain e;

	explain_check(&c, id, &e);
	explain_text(&e, text);
	assert_non_null(strstr(text, check_table[id].name));
	assert_non_null(strstr(text, check_table[id].rule));
	assert_non_null(strstr(text, "Loading MSRs"));
	if (e.pass_known) {
		assert_int_equal(e.msr.entry, 0);
		assert_non_null(strstr(text, says));
		V->vm_entry_msr_load_count = (u32)e.pass_value;
	} else {
		assert_int_equal(e.msr.entry, bad);
		if (!strstr(explain_msr_text(&e.msr, msr), says))
			fail_msg("%s says: %s", check_table[id].name, msr);
		assert_int_equal(e.also[0].field, VMCS_VM_ENTRY_MSR_LOAD_COUNT);
		V->vm_entry_msr_load_count = (u32)e.also[0].pass_value;
	}
	L2(l2_cpuid);
	expect_exit(true, EXIT_REASON_CPUID);
}

/* Every check on the MSR list: a case that fails it alone, and its explanation. */
static void msr_loading_fails_the_entry(void **state)
{
	static const struct {
		u64 list, count, index, value;
		u32 bad, check;
		const char *says;
	} t[] = {
		{AT_MSR_LIST, 2, MSR_IA32_FS_BASE, 0, 2, CHECK_MSR_LOAD_FORBIDDEN,
		 "MSR 0xc0000100 (IA32_FS_BASE"},
		{AT_MSR_LIST, 2, MSR_IA32_GS_BASE, 0, 2, CHECK_MSR_LOAD_FORBIDDEN,
		 "MSR 0xc0000101 (IA32_FS_BASE"},
		{AT_MSR_LIST, 2, MSR_IA32_BIOS_UPDT_TRIG, 0, 2, CHECK_MSR_LOAD_FORBIDDEN,
		 "IA32_BIOS_UPDT_TRIG"},
		{AT_MSR_LIST, 2, MSR_IA32_BIOS_SIGN_ID, 0, 2, CHECK_MSR_LOAD_FORBIDDEN,
		 "IA32_BIOS_SIGN_ID"},
		{AT_MSR_LIST, 2, MSR_IA32_SMM_MONITOR_CTL, 0, 2, CHECK_MSR_LOAD_FORBIDDEN,
		 "MSR 0x9b (no MSR"},
		{AT_MSR_LIST, 2, MSR_X2APIC_TPR, 0, 2, CHECK_MSR_LOAD_FORBIDDEN,
		 "MSR 0x808 (x2APIC) = 0x0"},
		{AT_MSR_LIST, 2, 1ull << 32 | MSR_IA32_LSTAR, 0, 2, CHECK_MSR_LOAD_RESERVED,
		 ", bits 63:32 = 0x1"},
		{AT_MSR_LIST, 2, MSR_IA32_LSTAR, 1ull << 56, 2, CHECK_MSR_LOAD_FAULT,
		 "= 0x100000000000000"},
		{AT_MSR_LIST, 2, 0x12345, 0, 2, CHECK_MSR_LOAD_FAULT,
		 "MSR 0x12345 (no MSR of this processor)"},
		{1ull << 35, 1, 0, 0, 1, CHECK_MSR_LOAD_MEMORY,
		 "entry 1, at 0x800000000: no memory is there"},
		{0x200000, 0xffffffff, 0, 0, 513, CHECK_MSR_LOAD_COUNT, "0x200 would pass"},
	};
	bool seen[CHECK_COUNT] = {false};

	for (u32 i = 0; i < 600; i++) {
		sysfix_poke(f->sys, 0x200000 + 16 * i, MSR_IA32_CSTAR, 8);
		sysfix_poke(f->sys, 0x200008 + 16 * i, i, 8);
	}
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		vmxfix_current(f);
		sysfix_poke(f->sys, AT_MSR_LIST, MSR_IA32_CSTAR, 8);
		sysfix_poke(f->sys, AT_MSR_LIST + 8, 0x44, 8);
		sysfix_poke(f->sys, AT_MSR_LIST + 16, t[i].index, 8);
		sysfix_poke(f->sys, AT_MSR_LIST + 24, t[i].value, 8);
		V->vm_entry_msr_load_addr = t[i].list;
		V->vm_entry_msr_load_count = (u32)t[i].count;
		expect_exit(true, EXIT_REASON_MSR_LOADING | EXIT_REASON_ENTRY_FAILURE);
		assert_int_equal(V->exit_qualification, t[i].bad);
		assert_int_equal(f->nv.last_check, t[i].check);
		seen[t[i].check] = true;
		expect_msr_explanation(t[i].check, t[i].bad, t[i].says);
	}
	for (u32 id = CHECK_NONE + 1; id < CHECK_COUNT; id++)
		if (check_table[id].group == CHECK_GROUP_MSR && !seen[id])
			fail_msg("%s has no case", check_table[id].name);
}

static void an_msr_list_that_cannot_be_left_aborts(void **state)
{
	vmxfix_current(f);
	L2(l2_cpuid);
	sysfix_poke(f->sys, AT_MSR_LIST, 0x12345, 8);
	V->vm_exit_msr_load_addr = AT_MSR_LIST;
	V->vm_exit_msr_load_count = 1;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_STOP);
	assert_non_null(strstr(f->nv.stop_text,
			       "VMX abort 4: entry 1 of the VM-exit MSR-load list, at 0x"));
	assert_non_null(strstr(f->nv.stop_text, ": MSR 0x12345, value 0x"));
	assert_int_equal(sysfix_peek(f->sys, f->nv.current_vmptr + 4, 4), VMX_ABORT_LOAD_MSR);

	vmxfix_current(f);
	L2(l2_cpuid);
	V->vm_exit_msr_store_addr = 1ull << 35;
	V->vm_exit_msr_store_count = 2;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_STOP);
	assert_non_null(
		strstr(f->nv.stop_text, "VMX abort 1: entry 1 of the VM-exit MSR-store list"));
	assert_non_null(strstr(f->nv.stop_text, "where no memory is"));
	assert_int_equal(sysfix_peek(f->sys, f->nv.current_vmptr + 4, 4), VMX_ABORT_SAVE_MSR);
}

static void what_l1_does_not_want_is_kept(void **state)
{
	vmxfix_current(f);
	L2(l2_hlt);
	V->cpu_based_vm_exec_control &= ~PROC_HLT;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_true(f->vp->in_l2);
	assert_int_equal(CPU->activity, ACTIVITY_HLT);
	assert_int_equal(CPU->rip, AT_L2 + 1);
	/* an interrupt that L1 takes ends it, and is reported as from HLT */
	f->sys->irq = 0x33;
	vp_request(f->vp, VP_ATTN_INTR);
	vmxfix_run(f, 100);
	assert_false(f->vp->in_l2);
	assert_int_equal(V->vm_exit_reason, EXIT_REASON_EXTERNAL_INTERRUPT);
	assert_int_equal(V->guest_activity_state, ACTIVITY_HLT);

	/* ports without I/O exits reach the machine's own devices */
	vmxfix_current(f);
	L2(l2_out);
	f->sys->port_writes = 0;
	expect_exit(true, EXIT_REASON_HLT);
	assert_int_equal(f->sys->port_writes, 1);
	assert_int_equal(f->sys->port_log[0], 0x41 | 0xe9 << 16);
}

static void msr_bitmap_decides(void **state)
{
	vmxfix_current(f);
	L2(l2_rdmsr);
	expect_exit(true, EXIT_REASON_RDMSR); /* no bitmap: every access */

	vmxfix_current(f);
	V->cpu_based_vm_exec_control |= PROC_MSR_BITMAPS;
	expect_exit(true, EXIT_REASON_HLT); /* L0 has the MSR and answers */
	assert_int_equal(CPU->gpr[RDX], 1);

	vmxfix_current(f);
	V->cpu_based_vm_exec_control |= PROC_MSR_BITMAPS;
	sysfix_poke(f->sys, BASE_MSR_BITMAP + 0x8b / 8, 1 << (0x8b & 7), 1);
	expect_exit(true, EXIT_REASON_RDMSR);
	sysfix_poke(f->sys, BASE_MSR_BITMAP + 0x8b / 8, 0, 1);

	/* unknown and outside the bitmap's ranges: L1's */
	vmxfix_current(f);
	V->cpu_based_vm_exec_control |= PROC_MSR_BITMAPS;
	L2(l2_badmsr);
	expect_exit(true, EXIT_REASON_RDMSR);
}

static void cr0_by_mask_and_shadow(void **state)
{
	vmxfix_current(f);
	L2(l2_cr0);
	V->cr0_guest_host_mask = CR0_TS;
	V->cr0_read_shadow = 0;
	expect_exit(true, EXIT_REASON_CR_ACCESS);
	assert_int_equal(V->exit_qualification, 0); /* MOV to CR0 from RAX */
	assert_int_equal(V->guest_rip, AT_L2 + 10);
	vmxfix_current(f);
	expect_exit(true, EXIT_REASON_HLT);
	assert_true(V->guest_cr0 & CR0_TS);
}

static void l2s_vmx_instructions_are_l1s(void **state)
{
	vmxfix_current(f);
	L2(l2_vmx);
	expect_exit(true, EXIT_REASON_VMREAD);
	assert_int_equal(V->vmx_instruction_info >> 28, 0);
	assert_int_equal(V->vmx_instruction_info >> 3 & 15, 3);
}

static void triple_faults(void **state)
{
	vmxfix_current(f);
	L2(l2_triple);
	sysfix_poke(f->sys, 0xc300, 0, 8);
	sysfix_poke(f->sys, 0xc308, 0, 2);
	expect_exit(true, EXIT_REASON_TRIPLE_FAULT);
	/* L1's own stops the machine, with a dump that can be printed */
	vmxfix_on(f);
	assert_int_equal(vmxfix_do(f, g_l2_triple, g_l2_triple_end), VMXFIX_STOP);
	assert_int_equal(f->nv.stop_cause, STOP_TRIPLE_FAULT);
	assert_non_null(strstr(f->nv.stop_text, "triple fault"));
}

static void ept_violations_are_l1s(void **state)
{
	vmxfix_current(f);
	L2(l2_touch);
	/* the guest's own page table maps it, ept12 does not */
	expect_exit(true, EXIT_REASON_EPT_VIOLATION);
	assert_int_equal(V->guest_physical_address, 0x900000);
	assert_int_equal(V->guest_linear_address, 0x900000);
	assert_int_equal(V->exit_qualification & 0x1bf, 0x181);
}

static void exceptions_by_bitmap(void **state)
{
	vmxfix_current(f);
	L2(l2_ud);
	V->exception_bitmap = 1u << VECTOR_UD;
	expect_exit(true, EXIT_REASON_EXCEPTION_NMI);
	assert_int_equal(V->vm_exit_intr_info, INTR_INFO_VALID | 3 << 8 | VECTOR_UD);
	vmxfix_current(f);
	expect_exit(true, EXIT_REASON_HLT);
	assert_int_equal(V->guest_rip, AT_HANDLERS + VECTOR_UD * 16);
}

/* Any VMCS whatever: entered, refused, or run for a while; never worse. */
static void random_vmcss_do_no_harm(void **state)
{
	u64 seed = 0x13198a2e03707344ull;
	u32 entered = 0;

	print_message("seed 0x%llx\n", (unsigned long long)seed);
	for (u32 round = 0; round < 3000; round++) {
		vmxfix_current(f);
		L2(l2_loop);
		for (u32 n = 0; n < 1 + round % 4; n++) {
			const struct vmcs_field_info *info;
			u64 old = 0;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			info = &vmcs_field_table[(seed >> 33) % vmcs_field_count];
			if (!vmx_caps_has(&f->profile.caps, info->need))
				continue;
			memcpy(&old, (u8 *)V + vmcs12_offset_of(info->encoding),
			       vmcs_field_bytes(info->encoding));
			old = seed & 16 ? old ^ 1ull << (seed >> 8 & 63) : seed ^ seed >> 31;
			memcpy((u8 *)V + vmcs12_offset_of(info->encoding), &old,
			       vmcs_field_bytes(info->encoding));
		}
		vmxfix_enter(f, true);
		entered += f->nv.count.entries != 0;
		if (f->vp->in_l2 && nested_preemption_deadline(&f->nv) != NESTED_NO_DEADLINE)
			nested_preemption_expired(f->vp, &f->nv);
	}
	assert_in_range(entered, 500, 2900);
}

static void a_dump_can_always_be_printed(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	vmxfix_current(f);
	L2(l2_loop);
	vmxfix_enter(f, true);
	exit_dump(f->vp, &f->nv, out);
	fclose(out);
	assert_non_null(strstr(text, "running L2"));
	assert_non_null(strstr(text, "guest_rip"));
	assert_non_null(strstr(text, "vmcs01"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exit_saves_l2_and_loads_l1),
		cmocka_unit_test(many_round_trips_need_only_rip),
		cmocka_unit_test(failures_by_group),
		cmocka_unit_test(msr_lists),
		cmocka_unit_test(msr_loading_fails_the_entry),
		cmocka_unit_test(an_msr_list_that_cannot_be_left_aborts),
		cmocka_unit_test(what_l1_does_not_want_is_kept),
		cmocka_unit_test(msr_bitmap_decides),
		cmocka_unit_test(cr0_by_mask_and_shadow),
		cmocka_unit_test(l2s_vmx_instructions_are_l1s),
		cmocka_unit_test(triple_faults),
		cmocka_unit_test(ept_violations_are_l1s),
		cmocka_unit_test(exceptions_by_bitmap),
		cmocka_unit_test(random_vmcss_do_no_harm),
		cmocka_unit_test(a_dump_can_always_be_printed),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
