/* Nested VM entry and exit: events that are injected, interrupts and signals that end L2, the
 * preemption timer. */
#include "tests/unit/nested_group.h"

GUEST(l2_cpuid, 64, "mov $7, %rbx; cpuid; hlt");
GUEST(l2_loop, 64, "1: inc %rax; jmp 1b");

static void events_are_injected(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	V->vm_entry_intr_info_field = INTR_INFO_VALID | INTR_INFO_ERROR_CODE | 3 << 8 | VECTOR_GP;
	V->vm_entry_exception_error_code = 0x55;
	expect_exit(true, EXIT_REASON_HLT); /* the handler halts */
	assert_int_equal(V->guest_rip, AT_HANDLERS + VECTOR_GP * 16);
	assert_int_equal(sysfix_peek(f->sys, V->guest_rsp, 8), 0x55);
	assert_int_equal(sysfix_peek(f->sys, V->guest_rsp + 8, 8), AT_L2);
	assert_int_equal(V->vm_entry_intr_info_field & INTR_INFO_VALID, 0);

	vmxfix_current(f);
	V->guest_rflags |= RFLAGS_IF;
	V->vm_entry_intr_info_field = INTR_INFO_VALID | 0x31;
	expect_exit(true, EXIT_REASON_HLT);
	assert_int_equal(V->guest_rip, AT_HANDLERS + 0x31 * 16);

	/* a software interrupt pushes the address after it */
	vmxfix_current(f);
	V->vm_entry_intr_info_field = INTR_INFO_VALID | 4 << 8 | 0x80;
	V->vm_entry_instruction_len = 2;
	expect_exit(true, EXIT_REASON_HLT);
	assert_int_equal(sysfix_peek(f->sys, V->guest_rsp, 8), AT_L2 + 2);

	/* injection is not subject to the exception bitmap; the fault behind it is */
	vmxfix_current(f);
	V->exception_bitmap = ~0u;
	V->guest_idtr_limit = 0;
	V->vm_entry_intr_info_field = INTR_INFO_VALID | INTR_INFO_ERROR_CODE | 3 << 8 | VECTOR_GP;
	expect_exit(true, EXIT_REASON_EXCEPTION_NMI);
	assert_int_equal(V->vm_exit_intr_info & 0x7ff, 3 << 8 | VECTOR_GP);
	assert_int_equal(V->idt_vectoring_info_field & (INTR_INFO_VALID | 0x7ff),
			 INTR_INFO_VALID | 3 << 8 | VECTOR_GP);
}

static void pending_mtf_is_injected(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	V->vm_entry_intr_info_field = INTR_INFO_VALID | 7 << 8;
	expect_exit(true, EXIT_REASON_MONITOR_TRAP_FLAG);
	assert_int_equal(V->guest_rip, AT_L2);
}

static void an_external_interrupt_exits_and_is_acknowledged(void **state)
{
	for (u32 ack = 0; ack < 2; ack++) {
		vmxfix_current(f);
		L2(l2_loop);
		if (!ack)
			V->vm_exit_controls &= ~EXIT_CTL_ACK_INTERRUPT;
		f->sys->irq = 0x41;
		vp_request(f->vp, VP_ATTN_INTR); /* L1 has IF 0: only L2's exit sees it */
		expect_exit(true, EXIT_REASON_EXTERNAL_INTERRUPT);
		assert_int_equal(V->vm_exit_intr_info, ack ? INTR_INFO_VALID | 0x41 : 0);
		assert_int_equal(f->sys->irq, ack ? -1 : 0x41);
	}
}

static void nmi_exits_and_blocks(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	CPU->interruptibility = 0;
	vp_request(f->vp, VP_ATTN_NMI);
	f->vp->cpu.interruptibility = INTERRUPTIBILITY_NMI; /* not in L1: blocked */
	expect_exit(true, EXIT_REASON_EXCEPTION_NMI);
	assert_int_equal(V->vm_exit_intr_info, INTR_INFO_VALID | 2 << 8 | 2);
	assert_int_equal(CPU->interruptibility & INTERRUPTIBILITY_NMI, INTERRUPTIBILITY_NMI);
}

/* INIT waits for the end of VMX root operation: an exit of the next L2, or the reset after VMXOFF.
 */
static void init_is_blocked_in_root_operation(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	vp_request(f->vp, VP_ATTN_INIT);
	expect_exit(true, EXIT_REASON_INIT_SIGNAL);
	assert_int_equal(V->guest_rip, AT_L2);

	vmxfix_current(f);
	vp_request(f->vp, VP_ATTN_INIT);
	vmxfix_do(f, (const u8 *)"\x90\x0f\x01\xc4\x90\xf4",
		  (const u8 *)"\x90\x0f\x01\xc4\x90\xf4" + 6);
	assert_false(f->vp->vmxon);
	assert_false(CPU->cr0 & CR0_PE); /* the reset that was held back */
}

static void a_start_up_ipi_ends_the_wait(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	V->guest_activity_state = ACTIVITY_WAIT_SIPI;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_true(f->vp->in_l2);
	vp_request(f->vp, VP_ATTN_SIPI);
	vmxfix_run(f, 10);
	assert_false(f->vp->in_l2);
	assert_int_equal(V->vm_exit_reason, EXIT_REASON_SIPI);
	assert_int_equal(V->guest_rip, AT_L2);
}

static void the_preemption_timer(void **state)
{
	u64 deadline;

	vmxfix_current(f);
	L2(l2_loop);
	V->pin_based_vm_exec_control |= PIN_PREEMPTION_TIMER;
	V->vm_exit_controls |= EXIT_CTL_SAVE_PREEMPTION_TIMER;
	V->vmx_preemption_timer_value = 3200;
	assert_true(nested_preemption_deadline(&f->nv) == NESTED_NO_DEADLINE);
	vmxfix_do(f, (const u8 *)"\x0f\x01\xc2\xf4",
		  (const u8 *)"\x0f\x01\xc2\xf4" + 4); /* vmlaunch */
	assert_true(f->vp->in_l2);
	deadline = nested_preemption_deadline(&f->nv);
	assert_int_equal(nested_preemption_expired(f->vp, &f->nv), EXIT_ACTION_RUN);
	if (f->vp->ops->tsc(f->vp) < deadline)
		assert_true(f->vp->in_l2);
	while (f->vp->ops->tsc(f->vp) < deadline)
		vmxfix_run(f, deadline - f->vp->ops->tsc(f->vp));
	assert_int_equal(f->vp->ops->tsc(f->vp), deadline);
	assert_int_equal(nested_preemption_expired(f->vp, &f->nv), EXIT_ACTION_RUN);
	assert_false(f->vp->in_l2);
	assert_int_equal(V->vm_exit_reason, EXIT_REASON_PREEMPTION_TIMER);
	assert_int_equal(V->vmx_preemption_timer_value, 0);
	assert_true(nested_preemption_deadline(&f->nv) == NESTED_NO_DEADLINE);

	/* another exit saves what is left */
	L2(l2_cpuid);
	V->guest_rip = AT_L2;
	V->vmx_preemption_timer_value = 1000;
	f->nv.dirty |= VMCS12_DIRTY_RIP | VMCS12_DIRTY_NONREG;
	expect_exit(false, EXIT_REASON_CPUID);
	assert_in_range(V->vmx_preemption_timer_value, 990, 1000);
}

/* A timer that is over at the entry waits for the event that the entry injects, for nothing else.
 */
static void an_injected_event_comes_before_the_timer(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	V->pin_based_vm_exec_control |= PIN_PREEMPTION_TIMER;
	V->vmx_preemption_timer_value = 0;
	V->vm_entry_intr_info_field = INTR_INFO_VALID | 2 << 8 | 2;
	sysfix_code(f->sys, AT_CODE, (const u8 *)"\x0f\x01\xc2", (const u8 *)"\x0f\x01\xc2" + 3);
	f->vp->cpu.rip = AT_CODE;
	engine_state_changed(f->vp);
	assert_int_equal(vmxfix_run(f, 1), VMXFIX_LIMIT); /* the VMLAUNCH */
	assert_true(f->vp->in_l2);
	assert_int_equal(vmxfix_run(f, 0), VMXFIX_LIMIT);
	assert_int_equal(nested_preemption_expired(f->vp, &f->nv), EXIT_ACTION_RUN);
	assert_int_equal(V->vm_exit_reason, EXIT_REASON_PREEMPTION_TIMER);
	assert_int_equal(V->guest_rip, AT_HANDLERS + 2 * 16);
	assert_int_equal(sysfix_peek(f->sys, V->guest_rsp, 8), AT_L2);
}

static void an_l2_that_starts_halted(void **state)
{
	vmxfix_current(f);
	L2(l2_loop);
	V->guest_activity_state = ACTIVITY_HLT;
	assert_int_equal(vmxfix_enter(f, true), VMXFIX_HALT);
	assert_true(f->vp->in_l2);
	f->sys->irq = 0x20;
	vp_request(f->vp, VP_ATTN_INTR);
	vmxfix_run(f, 10);
	assert_int_equal(V->vm_exit_reason, EXIT_REASON_EXTERNAL_INTERRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_injected),
		cmocka_unit_test(pending_mtf_is_injected),
		cmocka_unit_test(an_external_interrupt_exits_and_is_acknowledged),
		cmocka_unit_test(nmi_exits_and_blocks),
		cmocka_unit_test(init_is_blocked_in_root_operation),
		cmocka_unit_test(a_start_up_ipi_ends_the_wait),
		cmocka_unit_test(the_preemption_timer),
		cmocka_unit_test(an_injected_event_comes_before_the_timer),
		cmocka_unit_test(an_l2_that_starts_halted),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
