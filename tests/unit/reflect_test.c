/* Does L1 want the exit: by reason, control, bitmap, mask. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "shadow-vmcs/reflect.h"

static struct vmcs12 v;
static struct vmx_controls ctl;
static struct cpu_state cpu;

static bool wanted(u32 reason, u64 qualification)
{
	struct vmexit e = {.reason = reason, .qualification = qualification};

	return reflect_wanted(&v, &ctl, &cpu, &e);
}

static void clear(void)
{
	memset(&v, 0, sizeof(v));
	memset(&ctl, 0, sizeof(ctl));
	memset(&cpu, 0, sizeof(cpu));
	v.cpu_based_vm_exec_control = PROC_SECONDARY;
}

/* Reasons that one control bit decides. */
static const struct {
	u32 reason;
	u32 pin, proc, proc2;
} by_control[] = {
	{EXIT_REASON_EXTERNAL_INTERRUPT, PIN_EXTERNAL_INTERRUPT, 0, 0},
	{EXIT_REASON_INTERRUPT_WINDOW, 0, PROC_INTERRUPT_WINDOW, 0},
	{EXIT_REASON_NMI_WINDOW, 0, PROC_NMI_WINDOW, 0},
	{EXIT_REASON_HLT, 0, PROC_HLT, 0},
	{EXIT_REASON_INVLPG, 0, PROC_INVLPG, 0},
	{EXIT_REASON_RDPMC, 0, PROC_RDPMC, 0},
	{EXIT_REASON_RDTSC, 0, PROC_RDTSC, 0},
	{EXIT_REASON_DR_ACCESS, 0, PROC_MOV_DR, 0},
	{EXIT_REASON_IO_INSTRUCTION, 0, PROC_UNCONDITIONAL_IO, 0},
	{EXIT_REASON_MWAIT, 0, PROC_MWAIT, 0},
	{EXIT_REASON_MONITOR, 0, PROC_MONITOR, 0},
	{EXIT_REASON_PAUSE, 0, PROC_PAUSE, 0},
	{EXIT_REASON_PAUSE, 0, 0, PROC2_PAUSE_LOOP},
	{EXIT_REASON_TPR_BELOW_THRESHOLD, 0, PROC_TPR_SHADOW, 0},
	{EXIT_REASON_APIC_ACCESS, 0, 0, PROC2_APIC_ACCESSES},
	{EXIT_REASON_VIRTUALIZED_EOI, 0, 0, PROC2_VIRTUAL_INTERRUPT},
	{EXIT_REASON_GDTR_IDTR, 0, 0, PROC2_DESCRIPTOR_TABLE},
	{EXIT_REASON_LDTR_TR, 0, 0, PROC2_DESCRIPTOR_TABLE},
	{EXIT_REASON_EPT_VIOLATION, 0, 0, PROC2_EPT},
	{EXIT_REASON_EPT_MISCONFIG, 0, 0, PROC2_EPT},
	{EXIT_REASON_RDTSCP, 0, PROC_RDTSC, PROC2_RDTSCP},
	{EXIT_REASON_PREEMPTION_TIMER, PIN_PREEMPTION_TIMER, 0, 0},
	{EXIT_REASON_WBINVD, 0, 0, PROC2_WBINVD},
	{EXIT_REASON_APIC_WRITE, 0, 0, PROC2_APIC_REGISTER},
	{EXIT_REASON_RDRAND, 0, 0, PROC2_RDRAND},
	{EXIT_REASON_INVPCID, 0, PROC_INVLPG, PROC2_INVPCID},
	{EXIT_REASON_ENCLS, 0, 0, PROC2_ENCLS},
	{EXIT_REASON_RDSEED, 0, 0, PROC2_RDSEED},
	{EXIT_REASON_PML_FULL, 0, 0, PROC2_PML},
	{EXIT_REASON_XSAVES, 0, 0, PROC2_XSAVES},
	{EXIT_REASON_XRSTORS, 0, 0, PROC2_XSAVES},
	{EXIT_REASON_SPP_EVENT, 0, 0, PROC2_SPP},
	{EXIT_REASON_UMWAIT, 0, PROC_RDTSC, PROC2_USER_WAIT},
	{EXIT_REASON_TPAUSE, 0, PROC_RDTSC, PROC2_USER_WAIT},
};

static void one_control_decides(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(by_control); i++) {
		clear();
		assert_false(wanted(by_control[i].reason, 0));
		v.pin_based_vm_exec_control |= by_control[i].pin;
		v.cpu_based_vm_exec_control |= by_control[i].proc;
		v.secondary_vm_exec_control |= by_control[i].proc2;
		assert_true(wanted(by_control[i].reason, 0));
		if (by_control[i].proc2) { /* not activated: as if 0 */
			v.cpu_based_vm_exec_control &= ~PROC_SECONDARY;
			assert_false(wanted(by_control[i].reason, 0));
		}
	}
}

static const struct {
	u32 reason;
	const char *keep;
} reasons[] = {
#define EXIT_REASON(number, name, text, keep) {number, #keep},
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
};

static void fixed_answers_and_every_slot(void **state)
{
	clear();
	for (u32 r = 0; r < EXIT_REASON_COUNT + 10; r++) {
		const char *keep = "none";

		for (u32 i = 0; i < ARRAY_SIZE(reasons); i++)
			if (reasons[i].reason == r)
				keep = reasons[i].keep;
		if (!strcmp(keep, "ALWAYS_L1"))
			assert_true(wanted(r, 0));
		else if (strcmp(keep, "CTL"))
			assert_false(wanted(r, 0));
		else
			(void)wanted(r, 0);
	}
}

static void page_faults_by_mask_and_match(void **state)
{
	clear();
	assert_false(reflect_exception_wanted(&v, VECTOR_PF, 2));
	v.exception_bitmap = 1u << VECTOR_PF;
	assert_true(reflect_exception_wanted(&v, VECTOR_PF, 2));
	v.page_fault_error_code_mask = PFERR_W;
	v.page_fault_error_code_match = PFERR_W;
	assert_true(reflect_exception_wanted(&v, VECTOR_PF, PFERR_W | PFERR_P));
	assert_false(reflect_exception_wanted(&v, VECTOR_PF, PFERR_P));
	v.exception_bitmap = 0; /* the meaning is reversed where the match fails */
	assert_false(reflect_exception_wanted(&v, VECTOR_PF, PFERR_W));
	assert_true(reflect_exception_wanted(&v, VECTOR_PF, 0));
	for (u32 n = 0; n < 32; n++) {
		v.exception_bitmap = 1u << n;
		if (n != VECTOR_PF)
			assert_true(reflect_exception_wanted(&v, n, 0));
	}
}

static void msr_bitmap(void **state)
{
	static u8 map[4096];

	assert_true(reflect_msr_bitmap(NULL, 0x10, false));
	for (u32 quarter = 0; quarter < 4; quarter++) {
		for (u32 n = 0; n < 0x2000; n += 0x7f) {
			u32 msr = (quarter & 1 ? 0xc0000000u : 0) | n;
			bool write = quarter & 2;

			memset(map, 0, sizeof(map));
			map[quarter * 1024 + n / 8] = 1u << (n & 7);
			assert_true(reflect_msr_bitmap(map, msr, write));
			assert_false(reflect_msr_bitmap(map, msr, !write));
			assert_false(reflect_msr_bitmap(map, msr ^ 1, write));
		}
	}
	memset(map, 0, sizeof(map));
	assert_true(reflect_msr_bitmap(map, 0x2000, false)); /* outside both ranges */
	assert_true(reflect_msr_bitmap(map, 0x80000000, false));
	assert_true(reflect_msr_bitmap(map, 0xc0002000, true));
	clear();
	v.cpu_based_vm_exec_control = PROC_MSR_BITMAPS;
	ctl.msr_bitmap = map;
	cpu.gpr[RCX] = 0x10;
	assert_false(wanted(EXIT_REASON_RDMSR, 0));
	map[2048 + 2] = 1;
	assert_true(wanted(EXIT_REASON_WRMSR, 0));
	v.cpu_based_vm_exec_control = 0;
	assert_true(wanted(EXIT_REASON_RDMSR, 0));
}

static void io_bitmaps(void **state)
{
	static u8 a[4096], b[4096];

	clear();
	v.cpu_based_vm_exec_control = PROC_IO_BITMAPS;
	ctl.io_bitmap_a = a;
	ctl.io_bitmap_b = b;
	assert_false(wanted(EXIT_REASON_IO_INSTRUCTION, 0xe9ull << 16));
	a[0xe9 / 8] = 1 << (0xe9 & 7);
	assert_true(wanted(EXIT_REASON_IO_INSTRUCTION, 0xe9ull << 16));
	assert_true(wanted(EXIT_REASON_IO_INSTRUCTION, 0xe8ull << 16 | 1)); /* a word at e8 */
	assert_false(wanted(EXIT_REASON_IO_INSTRUCTION, 0xe8ull << 16));
	b[0x10 / 8] = 1;
	assert_true(wanted(EXIT_REASON_IO_INSTRUCTION, 0x8010ull << 16));
	assert_true(wanted(EXIT_REASON_IO_INSTRUCTION, 0x800dull << 16 | 3));
	assert_true(wanted(EXIT_REASON_IO_INSTRUCTION, 0xffffull << 16 | 1)); /* wraps */
	ctl.io_bitmap_a = NULL;
	assert_true(wanted(EXIT_REASON_IO_INSTRUCTION, 0x10ull << 16));
}

static bool cr_write(u32 cr, u64 value)
{
	struct vmexit e = {
		.reason = EXIT_REASON_CR_ACCESS, .qualification = cr, .operand_value = value};

	return reflect_wanted(&v, &ctl, &cpu, &e);
}

static void control_registers(void **state)
{
	clear();
	v.cr0_guest_host_mask = CR0_TS | CR0_PE;
	v.cr0_read_shadow = CR0_PE;
	assert_false(cr_write(0, CR0_PE | CR0_MP));
	assert_true(cr_write(0, CR0_PE | CR0_TS));
	v.cr4_guest_host_mask = CR4_PAE;
	assert_true(cr_write(4, CR4_PAE));
	assert_false(cr_write(4, CR4_PSE));
	assert_false(cr_write(3, 0x1000));
	v.cpu_based_vm_exec_control = PROC_CR3_LOAD | PROC_CR8_STORE;
	assert_true(cr_write(3, 0x1000));
	assert_false(cr_write(8, 1));
	assert_true(wanted(EXIT_REASON_CR_ACCESS, 8 | 1 << 4));
	assert_false(wanted(EXIT_REASON_CR_ACCESS, 3 | 1 << 4));
	/* CLTS: TS owned by the host and set in the shadow */
	assert_false(wanted(EXIT_REASON_CR_ACCESS, 2 << 4));
	v.cr0_read_shadow |= CR0_TS;
	assert_true(wanted(EXIT_REASON_CR_ACCESS, 2 << 4));
	/* LMSW cannot clear PE */
	v.cr0_read_shadow = CR0_PE;
	assert_false(wanted(EXIT_REASON_CR_ACCESS, 3 << 4 | 0u << 16));
	assert_true(wanted(EXIT_REASON_CR_ACCESS, 3 << 4 | 8u << 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_control_decides),
		cmocka_unit_test(fixed_answers_and_every_slot),
		cmocka_unit_test(page_faults_by_mask_and_match),
		cmocka_unit_test(msr_bitmap),
		cmocka_unit_test(io_bitmaps),
		cmocka_unit_test(control_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
