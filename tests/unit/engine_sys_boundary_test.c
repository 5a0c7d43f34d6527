/*
 * Instruction boundaries: interrupts, NMI, shadows, single step, injection, windows, monitor trap
 * flag, breakpoints; guests that never get anywhere. Handlers halt, so what was pushed is still on
 * the stack.
 */
#include "tests/unit/engine_sys_group.h"

GUEST(ud2, 32, "ud2");
GUEST(nop3, 32, "nop; nop; nop; hlt");

/* --- interrupts, shadows, single step --------------------------------------------------------- */

static void raise_irq(int vector)
{
	f->irq = vector;
	vp_request(&f->vp, VP_ATTN_INTR);
}

GUEST(sti_nop, 32, "sti; nop; nop; hlt");

static void sti_shadow(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, sti_nop);
	raise_irq(0x31);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), 0x31);
	assert_int_equal(stack_at(0, 4), AT_CODE + 2); /* after the instruction that follows STI */
}

GUEST(mov_ss, 32, "mov %eax, %ss; nop; nop; hlt");

static void mov_ss_shadow(void **state)
{
	sysfix_protected(f, AT_CODE);
	REGS.rflags |= RFLAGS_IF;
	REGS.gpr[RAX] = S_DATA32;
	LOAD(f, AT_CODE, mov_ss);
	sysfix_run(f, 1);
	raise_irq(0x31);
	vp_request(&f->vp, VP_ATTN_NMI);
	sysfix_run(f, 10);
	/* both wait for the NOP; the interrupt is taken in the NMI handler's place? no: NMI first
	 */
	assert_int_equal(sysfix_handled(f), VECTOR_NMI);
	assert_int_equal(stack_at(0, 4), AT_CODE + 3);
}

GUEST(masked_loop, 32,
      "mov $50, %ecx; 1: dec %ecx; jnz 1b; pushf; orl $0x200, (%esp); popf; nop; hlt");

/* What waits for IF does not ask for attention meanwhile, and is there when IF comes. */
static void masked_interrupt_is_put_aside(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, masked_loop);
	raise_irq(0x31);
	sysfix_run(f, 20);
	assert_int_equal(f->vp.attn & VP_ATTN_INTR, 0);
	assert_int_equal(f->vp.ev.held, VP_ATTN_INTR);
	sysfix_run(f, 200);
	assert_int_equal(sysfix_handled(f), 0x31);
	assert_int_equal(f->vp.ev.held, 0);
	/* somebody who changes the state finds it too */
	sysfix_protected(f, AT_CODE);
	raise_irq(0x31);
	sysfix_run(f, 20);
	assert_int_equal(f->vp.ev.held, VP_ATTN_INTR);
	REGS.rflags |= RFLAGS_IF;
	engine_state_changed(&f->vp);
	sysfix_run(f, 20);
	assert_int_equal(sysfix_handled(f), 0x31);
}

static void interrupt_masked(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	raise_irq(0x31);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_HALT);
	assert_int_equal(sysfix_handled(f), -1);
	assert_int_equal(f->irq, 0x31);
	assert_int_equal(f->vp.insns, 4);
}

static void interrupt_wakes(void **state)
{
	sysfix_protected(f, AT_CODE);
	REGS.rflags |= RFLAGS_IF;
	LOAD(f, AT_CODE, nop3);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_HALT);
	assert_int_equal(REGS.rip, AT_CODE + 4);
	raise_irq(0x31);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), 0x31);
	assert_int_equal(stack_at(0, 4), AT_CODE + 4);
}

static void nmi_blocking(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	sysfix_bytes(f, AT_HANDLERS + 32, "\xcf", 1); /* the NMI handler: IRET */
	vp_request(&f->vp, VP_ATTN_NMI);
	sysfix_run(f, 0);
	assert_int_equal(REGS.rip, AT_CODE); /* count reached before anything */
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_CODE); /* the IRET */
	assert_false(REGS.interruptibility & INTERRUPTIBILITY_NMI);
	sysfix_bytes(f, AT_HANDLERS + 32, "\x90\xf4", 2);
	vp_request(&f->vp, VP_ATTN_NMI);
	sysfix_run(f, 1);
	assert_true(REGS.interruptibility & INTERRUPTIBILITY_NMI);
	vp_request(&f->vp, VP_ATTN_NMI);
	sysfix_run(f, 10); /* held until IRET */
	assert_int_equal(REGS.rip, AT_HANDLERS + 34);
	assert_int_equal(REGS.gpr[RSP], STACK0 - 12);
}

/* Two that come before the first is taken are both handled; of those that come during one, one. */
static void nmi_latch(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	sysfix_bytes(f, AT_HANDLERS + 32, "\x43\xcf", 2); /* inc %ebx; iret */
	REGS.gpr[RBX] = 0;
	for (int i = 0; i < 3; i++)
		vp_request_nmi(&f->vp);
	sysfix_run(f, 1); /* the second is pending like any other: whoever looks for one finds it */
	assert_int_equal(f->vp.attn & (VP_ATTN_NMI | VP_ATTN_NMI_AGAIN), VP_ATTN_NMI);
	assert_int_equal(sysfix_run(f, 20), ENGINE_STOP_HALT);
	assert_int_equal(REGS.gpr[RBX], 2);
	sysfix_bytes(f, AT_HANDLERS + 32, "\x43\x90\xcf", 3);
	REGS.rip = AT_CODE;
	REGS.gpr[RBX] = 0;
	REGS.activity = ACTIVITY_ACTIVE;
	engine_state_changed(&f->vp);
	vp_request_nmi(&f->vp);
	sysfix_run(f, 1);
	assert_true(REGS.interruptibility & INTERRUPTIBILITY_NMI);
	for (int i = 0; i < 3; i++)
		vp_request_nmi(&f->vp);
	sysfix_run(f, 20);
	assert_int_equal(REGS.gpr[RBX], 2);
}

GUEST(set_tf, 32, "pushf; orl $0x100, (%esp); popf; nop; nop; hlt");

static void single_step(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, set_tf);
	sysfix_run(f, 20);
	assert_int_equal(sysfix_handled(f), VECTOR_DB);
	/* not after POPF itself, but after the NOP that follows */
	assert_int_equal(stack_at(0, 4), (u32)AT_CODE + (u32)(g_set_tf_end - g_set_tf) - 2);
	assert_true(REGS.dr[6] & DR6_BS);
	assert_true(stack_at(2, 4) & RFLAGS_TF);
	assert_false(REGS.rflags & RFLAGS_TF);
}

GUEST(rep_movs, 32, "rep movsb; nop; hlt");

/* Each iteration of a REP string instruction traps. */
static void single_step_rep(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, rep_movs);
	REGS.rflags |= RFLAGS_TF;
	REGS.gpr[RCX] = 3;
	REGS.gpr[RSI] = AT_DATA;
	REGS.gpr[RDI] = AT_DATA + 64;
	engine_state_changed(&f->vp);
	sysfix_run(f, 20);
	assert_int_equal(sysfix_handled(f), VECTOR_DB);
	assert_int_equal(REGS.gpr[RCX], 2);
	assert_int_equal(stack_at(0, 4), AT_CODE);
	assert_true(stack_at(2, 4) & RFLAGS_TF);
}

/* --- injection -------------------------------------------------------------------------------- */

static void injection_types(void **state)
{
	static const struct {
		u32 info, error, len;
		int vector;
		u32 pushed_rip, words;
	} t[] = {
		{0x80000031, 0, 0, 0x31, AT_CODE, 3},	  {0x80000202, 0, 0, 2, AT_CODE, 3},
		{0x80000b0d, 0x1234, 0, 13, AT_CODE, 4},  {0x80000306, 0, 0, 6, AT_CODE, 3},
		{0x80000480, 0, 2, 0x80, AT_CODE + 2, 3}, {0x80000501, 0, 1, 1, AT_CODE + 1, 3},
		{0x80000603, 0, 1, 3, AT_CODE + 1, 3},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		f->vp.ctl.exception_bitmap = ~0u; /* does not apply to injections */
		f->vp.inject_info = t[i].info;
		f->vp.inject_error = t[i].error;
		f->vp.inject_len = t[i].len;
		REGS.rflags |= RFLAGS_IF;
		vp_request(&f->vp, VP_ATTN_INJECT);
		sysfix_run(f, 5);
		assert_int_equal(sysfix_handled(f), t[i].vector);
		assert_int_equal(REGS.gpr[RSP], STACK0 - 4 * t[i].words);
		if (t[i].words == 4)
			assert_int_equal(stack_at(0, 4), t[i].error);
		assert_int_equal(stack_at(t[i].words - 3, 4), t[i].pushed_rip);
	}
}

/* engine_inject() of an exception is a fault of the guest: the bitmap applies. */
static void injected_fault(void **state)
{
	sysfix_protected(f, AT_CODE);
	engine_inject(&f->vp, 0x80000b0d, 0, 0);
	sysfix_run(f, 5);
	assert_int_equal(sysfix_handled(f), VECTOR_GP);
	assert_true(stack_at(3, 4) & RFLAGS_RF);

	sysfix_reset(f);
	sysfix_protected(f, AT_CODE);
	f->vp.ctl.exception_bitmap = 1u << VECTOR_GP;
	engine_inject(&f->vp, 0x80000b0d, 0x77, 0);
	assert_int_equal(sysfix_run(f, 5), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.intr_info, 0x80000b0d);
	assert_int_equal(f->vp.exit.intr_error, 0x77);
}

/* --- VMX windows ------------------------------------------------------------------------------ */

static void interrupt_window(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, sti_nop);
	f->vp.ctl.proc |= PROC_INTERRUPT_WINDOW;
	engine_state_changed(&f->vp);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_INTERRUPT_WINDOW);
	assert_int_equal(REGS.rip, AT_CODE + 2);
}

static void external_interrupt_exit(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	f->vp.ctl.pin = PIN_EXTERNAL_INTERRUPT;
	raise_irq(0x31); /* IF does not matter */
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_EXTERNAL_INTERRUPT);
	assert_int_equal(f->irq, 0x31); /* not acknowledged */
}

static void nmi_exit_and_window(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	f->vp.ctl.pin = PIN_NMI | PIN_VIRTUAL_NMIS;
	vp_request(&f->vp, VP_ATTN_NMI);
	sysfix_run(f, 10);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_EXCEPTION_NMI);
	assert_int_equal(f->vp.exit.intr_info, 0x80000202);
	f->vp.ctl.proc |= PROC_NMI_WINDOW;
	REGS.interruptibility = INTERRUPTIBILITY_NMI;
	engine_state_changed(&f->vp);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_CODE + 1);
	REGS.interruptibility = 0;
	engine_state_changed(&f->vp);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_NMI_WINDOW);
}

static void monitor_trap_flag(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	f->vp.ctl.proc |= PROC_MONITOR_TRAP_FLAG;
	for (u32 i = 1; i < 3; i++) {
		engine_state_changed(&f->vp);
		assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
		assert_int_equal(f->vp.exit.reason, EXIT_REASON_MONITOR_TRAP_FLAG);
		assert_int_equal(REGS.rip, AT_CODE + i);
		assert_int_equal(f->vp.insns, i);
	}
	/* after an injected event: before its handler's first instruction */
	engine_state_changed(&f->vp);
	f->vp.inject_info = 0x80000031;
	vp_request(&f->vp, VP_ATTN_INJECT);
	sysfix_run(f, 10);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_MONITOR_TRAP_FLAG);
	assert_int_equal(REGS.rip, AT_HANDLERS + 0x310);
	/* "other event": whatever the control says */
	f->vp.ctl.proc &= ~PROC_MONITOR_TRAP_FLAG;
	REGS.rip = AT_CODE;
	engine_state_changed(&f->vp);
	f->vp.inject_info = 0x80000700;
	vp_request(&f->vp, VP_ATTN_INJECT);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_MONITOR_TRAP_FLAG);
	assert_int_equal(REGS.rip, AT_CODE);
}

/* --- debug registers -------------------------------------------------------------------------- */

static void code_breakpoint(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	REGS.dr[0] = AT_CODE + 1;
	REGS.dr[7] = 0x401;
	engine_state_changed(&f->vp);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_DB);
	assert_int_equal(stack_at(0, 4), AT_CODE + 1);
	assert_false(stack_at(2, 4) & RFLAGS_RF);
	assert_int_equal(REGS.dr[6], DR6_FIXED | 1);
	/* RF lets it pass */
	sysfix_reset(f);
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	REGS.dr[0] = AT_CODE;
	REGS.dr[7] = 0x401;
	REGS.rflags |= RFLAGS_RF;
	engine_state_changed(&f->vp);
	sysfix_run(f, 10);
	assert_int_equal(REGS.rip, AT_CODE + 4);
	assert_false(REGS.rflags & RFLAGS_RF);
}

static void data_breakpoint(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_bytes(f, AT_CODE, "\x89\x03\x90\xf4", 4); /* mov %eax, (%ebx); nop; hlt */
	REGS.gpr[RBX] = AT_DATA;
	REGS.dr[1] = AT_DATA + 2;
	REGS.dr[7] = 0x400 | 4 | 0x5ull << 20; /* L1, write, 2 bytes */
	engine_state_changed(&f->vp);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_DB);
	assert_int_equal(stack_at(0, 4), AT_CODE + 2); /* a trap */
	assert_int_equal(REGS.dr[6], DR6_FIXED | 2);
}

/* --- guests that try to hold the processor for ever ------------------------------------------- */

/* A breakpoint on the first instruction of the #DB handler, and a #UD handler that is #UD. */
static void no_progress(void **state)
{
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, nop3);
	REGS.dr[0] = AT_CODE;
	REGS.dr[1] = AT_HANDLERS + 16;
	REGS.dr[7] = 0x405;
	engine_state_changed(&f->vp);
	assert_int_not_equal(sysfix_run(f, 1000), ENGINE_STOP_EXIT);
	assert_in_range(f->vp.insns, 990, 1010);

	sysfix_reset(f);
	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, ud2);
	sysfix_bytes(f, AT_HANDLERS + VECTOR_UD * 16, "\x0f\x0b", 2);
	assert_int_equal(sysfix_run(f, 1000), ENGINE_STOP_COUNT);
	assert_int_equal(f->vp.insns, 1000);
}

static int always_ack(struct vp *vp)
{
	return 0x31;
}

/* An interrupt line that is always on, and a gate that leaves IF alone. */
static void interrupt_storm(void **state)
{
	static struct vp_ops storm;
	const struct vp_ops *normal = f->vp.ops;

	storm = *normal;
	storm.intr_ack = always_ack;
	f->vp.ops = &storm;
	sysfix_protected(f, AT_CODE);
	sysfix_gate32(f, 0x31, S_CODE32, AT_CODE, 15, 0);
	LOAD(f, AT_CODE, nop3);
	REGS.rflags |= RFLAGS_IF;
	vp_request(&f->vp, VP_ATTN_INTR);
	assert_int_equal(sysfix_run(f, 100), ENGINE_STOP_COUNT);
	assert_int_equal(f->vp.insns, 100);
	f->vp.ops = normal;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sti_shadow),
		T(mov_ss_shadow),
		T(masked_interrupt_is_put_aside),
		T(interrupt_masked),
		T(interrupt_wakes),
		T(nmi_blocking),
		T(nmi_latch),
		T(single_step),
		T(single_step_rep),
		T(injection_types),
		T(injected_fault),
		T(interrupt_window),
		T(external_interrupt_exit),
		T(nmi_exit_and_window),
		T(monitor_trap_flag),
		T(code_breakpoint),
		T(data_breakpoint),
		T(no_progress),
		T(interrupt_storm),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
