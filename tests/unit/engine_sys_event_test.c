/*
 * Event delivery: every kind of gate, stack switch, error code, the double and triple fault rules,
 * exceptions that exit, virtual-8086 mode. Handlers halt, so what was pushed is still on the stack.
 */
#include "tests/unit/engine_sys_group.h"

/* --- software interrupts and faults by mode --------------------------------------------------- */

GUEST(int80, 32, "int $0x80");
GUEST(ud2, 32, "ud2");

static void real_int(void **state)
{
	sysfix_real(f, 0, AT_CODE);
	REGS.rflags |= RFLAGS_IF | RFLAGS_CF;
	LOAD(f, AT_CODE, int80);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_HALT);
	assert_int_equal(sysfix_handled(f), 0x80);
	assert_int_equal(REGS.gpr[RSP], 0x7000 - 6);
	assert_int_equal(sysfix_peek(f, 0x7000 - 6, 2), AT_CODE + 2);
	assert_int_equal(sysfix_peek(f, 0x7000 - 4, 2), 0);
	assert_int_equal(sysfix_peek(f, 0x7000 - 2, 2), RFLAGS_IF | RFLAGS_CF | 2);
	assert_false(REGS.rflags & RFLAGS_IF);
	assert_int_equal(f->vp.insns, 2);
}

static void real_fault(void **state)
{
	sysfix_real(f, 0, AT_CODE);
	LOAD(f, AT_CODE, ud2);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_UD);
	assert_int_equal(sysfix_peek(f, 0x7000 - 6, 2), AT_CODE); /* no error code in real mode */
}

static void protected_same_level(void **state)
{
	for (u32 type = 14; type <= 15; type++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		sysfix_gate32(f, 0x80, S_CODE32, AT_HANDLERS + 0x800, type, 0);
		REGS.rflags |= RFLAGS_IF;
		LOAD(f, AT_CODE, int80);
		sysfix_run(f, 10);
		assert_int_equal(sysfix_handled(f), 0x80);
		assert_int_equal(REGS.gpr[RSP], STACK0 - 12);
		assert_int_equal(stack_at(0, 4), AT_CODE + 2);
		assert_int_equal(stack_at(1, 4), S_CODE32);
		assert_int_equal(stack_at(2, 4), RFLAGS_IF | 2);
		assert_int_equal(!!(REGS.rflags & RFLAGS_IF), type == 15);
	}
}

static void protected_gate16(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_gate32(f, 0x80, S_CODE32, AT_HANDLERS + 0x800, 6, 0);
	LOAD(f, AT_CODE, int80);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), 0x80);
	assert_int_equal(REGS.gpr[RSP], STACK0 - 6);
	assert_int_equal(stack_at(0, 2), AT_CODE + 2);
	assert_int_equal(stack_at(1, 2), S_CODE32);
}

static void protected_inner(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_gate32(f, 0x80, S_CODE32, AT_HANDLERS + 0x800, 14, 3);
	sysfix_user(f, AT_USER_CODE);
	LOAD(f, AT_USER_CODE, int80);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), 0x80);
	assert_int_equal(REGS.gpr[RSP], STACK_TSS0 - 20);
	assert_int_equal(REGS.seg[SEG_SS].sel, S_DATA32);
	assert_int_equal(REGS.seg[SEG_CS].sel, S_CODE32);
	assert_int_equal(f->vp.cpl, 0);
	assert_int_equal(stack_at(0, 4), AT_USER_CODE + 2);
	assert_int_equal(stack_at(1, 4), S_UCODE32);
	assert_int_equal(stack_at(3, 4), STACK3);
	assert_int_equal(stack_at(4, 4), S_UDATA32);
}

/* INT n through a gate of level 0 from level 3: #GP(vector * 8 + 2). */
static void gate_dpl(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_user(f, AT_USER_CODE);
	LOAD(f, AT_USER_CODE, int80);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_GP);
	assert_int_equal(stack_at(0, 4), 0x80 * 8 + 2);
	assert_int_equal(stack_at(1, 4), AT_USER_CODE); /* a fault: RIP of the INT */
	assert_true(stack_at(3, 4) & RFLAGS_RF);
}

static void bad_gates(void **state)
{
	static const struct {
		u16 sel;
		u32 type, vector, error;
		bool present;
	} t[] = {
		{S_CODE32, 12, VECTOR_GP, 0x80 * 8 + 2, true}, /* call gate in the IDT */
		{S_CODE32, 0, VECTOR_GP, 0x80 * 8 + 2, true},
		{S_CODE32, 14, VECTOR_NP, 0x80 * 8 + 2, false},
		{0, 14, VECTOR_GP, 0, true},
		{S_DATA32, 14, VECTOR_GP, S_DATA32, true},
		{GDT_LIMIT + 1, 14, VECTOR_GP, GDT_LIMIT + 1, true},
		{S_UCODE32 & ~3, 14, VECTOR_GP, S_UCODE32 & ~3, true}, /* outer level */
		{S_GATE, 14, VECTOR_NP, S_GATE, true},		       /* code, not present */
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		sysfix_gdt(f, S_GATE, sysfix_desc(0, 0xfffff, 0xc01b));
		sysfix_gate32(f, 0x80, t[i].sel, AT_HANDLERS + 0x800, t[i].type, 0);
		if (!t[i].present)
			sysfix_poke(f, AT_IDT + 0x80 * 8 + 5, 14, 1);
		LOAD(f, AT_CODE, int80);
		sysfix_run(f, 10);
		assert_int_equal(sysfix_handled(f), (int)t[i].vector);
		assert_int_equal(stack_at(0, 4), t[i].error);
	}
}

/* --- 64-bit ----------------------------------------------------------------------------------- */

GUEST(int80_64, 64, "int $0x80");

static void long_same_level(void **state)
{
	sysfix_long(f, AT_CODE);
	REGS.gpr[RSP] = STACK0 - 5; /* aligned down by the delivery */
	LOAD(f, AT_CODE, int80_64);
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), 0x80);
	assert_int_equal(REGS.gpr[RSP], STACK0 - 16 - 40);
	assert_int_equal(stack_at(0, 8), AT_CODE + 2);
	assert_int_equal(stack_at(3, 8), STACK0 - 5);
	assert_int_equal(stack_at(4, 8), S_DATA32);
	assert_int_equal(REGS.seg[SEG_SS].sel, S_DATA32);
}

static void long_inner_and_ist(void **state)
{
	for (u32 ist = 0; ist < 2; ist++) {
		sysfix_reset(f);
		sysfix_long(f, AT_CODE);
		sysfix_gate64(f, 0x80, S_CODE64, AT_HANDLERS + 0x800, 14, 3, ist);
		sysfix_user(f, AT_USER_CODE);
		LOAD(f, AT_USER_CODE, int80_64);
		sysfix_run(f, 10);
		assert_int_equal(sysfix_handled(f), 0x80);
		assert_int_equal(REGS.gpr[RSP], (ist ? STACK_IST1 : STACK_TSS0) - 40);
		assert_int_equal(REGS.seg[SEG_SS].sel, 0);
		assert_true(REGS.seg[SEG_SS].ar & SEG_AR_UNUSABLE);
		assert_int_equal(f->vp.cpl, 0);
		assert_int_equal(stack_at(1, 8), S_UCODE64);
		assert_int_equal(stack_at(4, 8), S_UDATA32);
	}
}

/* Bad gates of the 64-bit IDT. */
static void long_bad_gates(void **state)
{
	static const struct {
		u16 sel;
		u64 off;
		u32 type, vector, error;
	} t[] = {
		{S_CODE64, AT_HANDLERS, 6, VECTOR_GP, 0x80 * 8 + 2},
		{S_CODE64, AT_HANDLERS, 5, VECTOR_GP, 0x80 * 8 + 2},
		{S_CODE32, AT_HANDLERS, 14, VECTOR_GP, S_CODE32},
		{0, AT_HANDLERS, 14, VECTOR_GP, 0},
		{S_CODE64, 0x800000000000ull, 14, VECTOR_GP, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_reset(f);
		sysfix_long(f, AT_CODE);
		sysfix_gate64(f, 0x80, t[i].sel, t[i].off, t[i].type, 0, 0);
		LOAD(f, AT_CODE, int80_64);
		sysfix_run(f, 10);
		assert_int_equal(sysfix_handled(f), (int)t[i].vector);
		assert_int_equal(stack_at(0, 8), t[i].error);
	}
}

/* --- double and triple faults ----------------------------------------------------------------- */

/* The first fault's gate is absent: #NP during its delivery. */
static void double_fault(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_poke(f, AT_IDT + VECTOR_GP * 8 + 5, 14, 1);
	sysfix_user(f, AT_USER_CODE);
	LOAD(f, AT_USER_CODE, int80); /* #GP, then #NP: both contributory */
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_DF);
	assert_int_equal(stack_at(0, 4), 0);
	assert_int_equal(stack_at(1, 4), AT_USER_CODE);
}

static void serial_fault(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_poke(f, AT_IDT + VECTOR_UD * 8 + 5, 14, 1);
	LOAD(f, AT_CODE, ud2); /* benign, then #NP(EXT) */
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_NP);
	assert_int_equal(stack_at(0, 4), VECTOR_UD * 8 + 3);
}

static void triple_fault(void **state)
{
	sysfix_protected(f, AT_CODE);
	REGS.idtr.limit = 0;
	LOAD(f, AT_CODE, ud2);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_TRIPLE_FAULT);
	assert_int_equal(f->vp.exit.idt_vectoring_info, 0);
	assert_int_equal(REGS.rip, AT_CODE);
	assert_false(f->vp.delivering);
}

/* Page fault while a page fault is delivered: double fault; on a #GP's delivery: the page fault. */
static void page_fault_classes(void **state)
{
	sysfix_long(f, AT_CODE);
	sysfix_poke(f, AT_PD + 8, 0, 8); /* 2 MiB.. not present */
	sysfix_gate64(f, VECTOR_DF, S_CODE64, AT_HANDLERS + VECTOR_DF * 16, 14, 0, 1);
	REGS.gpr[RSP] = PAGE_SIZE_2M + 0x1000;
	REGS.gpr[RAX] = PAGE_SIZE_2M + 0x2000;
	sysfix_bytes(f, AT_CODE, "\x8b\x00", 2); /* mov (%rax), %eax */
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_DF);
	assert_int_equal(REGS.cr2, PAGE_SIZE_2M + 0x1000 - 8 * 6);

	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	sysfix_poke(f, AT_PD + 8, 0, 8);
	sysfix_gate64(f, VECTOR_PF, S_CODE64, AT_HANDLERS + VECTOR_PF * 16, 14, 0, 1);
	REGS.gpr[RSP] = PAGE_SIZE_2M + 0x1000;
	REGS.gpr[RAX] = 1ull << 60;
	sysfix_bytes(f, AT_CODE, "\x8b\x00", 2); /* not canonical: #GP, whose frame faults */
	sysfix_run(f, 10);
	assert_int_equal(sysfix_handled(f), VECTOR_PF);
	assert_int_equal(stack_at(0, 8), PFERR_W);
}

/* JE with an offset of 32 bits, and HLT. */
GUEST(straddling, 64,
      "xor %eax, %eax; mov %rdx, 0x6008; invlpg 0x200000; cmp %rbx, %rax;"
      ".byte 0x0f, 0x84, 0, 0, 0, 0; hlt");

/* The instruction has run before; its second page is gone since. The fault's frame has the flags of
 * the instruction before it. */
static void page_fault_of_second_page(void **state)
{
	u64 at = PAGE_SIZE_2M - 3 - (u64)(g_straddling_end - g_straddling - 7);

	BUILD_ASSERT(AT_PD + 8 == 0x6008);
	LOAD(f, at, straddling);
	for (int gone = 0; gone < 2; gone++) {
		sysfix_long(f, at);
		REGS.activity = ACTIVITY_ACTIVE;
		REGS.rflags = RFLAGS_FIXED | RFLAGS_ZF;
		REGS.gpr[RSP] = STACK0;
		REGS.gpr[RBX] = 1;
		REGS.gpr[RDX] = gone ? 0 : PAGE_SIZE_2M | 0x87; /* as it was */
		sysfix_run(f, 10);
		assert_int_equal(sysfix_handled(f), gone ? VECTOR_PF : -1);
	}
	assert_int_equal(REGS.cr2, PAGE_SIZE_2M);
	assert_int_equal(stack_at(1, 8), PAGE_SIZE_2M - 3);
	assert_int_equal(stack_at(3, 8) & RFLAGS_ARITH,
			 RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_SF);
}

/* --- exits ------------------------------------------------------------------------------------ */

static void exception_bitmap(void **state)
{
	sysfix_protected(f, AT_CODE);
	f->vp.ctl.exception_bitmap = 1u << VECTOR_UD;
	LOAD(f, AT_CODE, ud2);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_EXCEPTION_NMI);
	assert_int_equal(f->vp.exit.intr_info, 0x80000306);
	assert_int_equal(REGS.rip, AT_CODE);
}

static void exception_bitmap_page_fault(void **state)
{
	/* mask, match, bit, exits: the fault's code is 2 (write, not present) */
	static const struct {
		u32 mask, match, bit;
		bool exits;
	} t[] = {{0, 0, 0, false}, {0, 0, 1, true}, {2, 2, 1, true}, {2, 0, 1, false},
		 {2, 0, 0, true},  {4, 0, 1, true}, {0, 1, 0, true}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_reset(f);
		sysfix_long(f, AT_CODE);
		sysfix_poke(f, AT_PD + 8, 0, 8);
		f->vp.ctl.exception_bitmap = t[i].bit << VECTOR_PF;
		f->vp.ctl.pf_error_mask = t[i].mask;
		f->vp.ctl.pf_error_match = t[i].match;
		REGS.gpr[RAX] = PAGE_SIZE_2M + 0x123;
		REGS.cr2 = 0;
		sysfix_bytes(f, AT_CODE, "\x89\x00", 2);
		assert_int_equal(sysfix_run(f, 10),
				 t[i].exits ? ENGINE_STOP_EXIT : ENGINE_STOP_HALT);
		assert_int_equal(REGS.cr2, t[i].exits ? 0 : PAGE_SIZE_2M + 0x123);
		if (!t[i].exits)
			continue;
		assert_int_equal(f->vp.exit.intr_info, 0x80000b0e);
		assert_int_equal(f->vp.exit.intr_error, PFERR_W);
		assert_int_equal(f->vp.exit.qualification, PAGE_SIZE_2M + 0x123);
	}
}

/* An exception that exits while another event is delivered names that event. */
static void vectoring_info(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_poke(f, AT_IDT + 0x80 * 8 + 5, 14, 1);
	f->vp.ctl.exception_bitmap = 1u << VECTOR_NP;
	LOAD(f, AT_CODE, int80);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.intr_info, 0x80000b0b);
	assert_int_equal(f->vp.exit.intr_error, 0x80 * 8 + 2); /* software: no EXT */
	assert_int_equal(f->vp.exit.idt_vectoring_info, 0x80000480);
	assert_int_equal(f->vp.exit.entry_insn_len, 2);
	assert_false(f->vp.delivering);
}

GUEST(int3, 32, "int3");

static void breakpoint_exit(void **state)
{
	sysfix_protected(f, AT_CODE);
	f->vp.ctl.exception_bitmap = 1u << VECTOR_BP;
	LOAD(f, AT_CODE, int3);
	sysfix_run(f, 10);
	assert_int_equal(f->vp.exit.intr_info, 0x80000603);
	assert_int_equal(f->vp.exit.insn_len, 1);
	assert_int_equal(REGS.rip, AT_CODE);
}

/* --- virtual-8086 mode ------------------------------------------------------------------------ */

GUEST(iret_v86, 32, "iret");
GUEST(v86_int, 16, "int $0x21; hlt");

static void enter_v86(u64 iopl, u64 cr4)
{
	static const u32 order[] = {AT_CODE & 0xffff, 0, 0, 0x6000, 0, 0x111, 0x222, 0x333, 0x444};
	u64 sp = STACK0 - sizeof(order);

	sysfix_protected(f, AT_USER_CODE);
	REGS.cr4 = cr4;
	engine_state_changed(&f->vp);
	LOAD(f, AT_USER_CODE, iret_v86);
	sysfix_bytes(f, sp, order, sizeof(order));
	sysfix_poke(f, sp + 8, RFLAGS_VM | 2 | iopl << 12, 4);
	REGS.gpr[RSP] = sp;
	sysfix_run(f, 1);
	assert_true(REGS.rflags & RFLAGS_VM);
	assert_int_equal(REGS.rip, AT_CODE);
	assert_int_equal(REGS.seg[SEG_ES].base, 0x1110);
	assert_int_equal(REGS.seg[SEG_GS].sel, 0x444);
	assert_int_equal(REGS.seg[SEG_CS].ar, 0xf3);
	assert_int_equal(f->vp.cpl, 3);
}

static void v86_interrupt_to_monitor(void **state)
{
	enter_v86(3, 0);
	sysfix_gate32(f, 0x21, S_CODE32, AT_HANDLERS + 0x210, 14, 3);
	LOAD(f, AT_CODE, v86_int);
	sysfix_run(f, 5);
	assert_int_equal(sysfix_handled(f), 0x21);
	assert_false(REGS.rflags & RFLAGS_VM);
	assert_int_equal(REGS.gpr[RSP], STACK_TSS0 - 36);
	assert_int_equal(stack_at(0, 4), AT_CODE + 2);
	assert_true(stack_at(2, 4) & RFLAGS_VM);
	assert_int_equal(stack_at(3, 4), 0x6000);
	assert_int_equal(stack_at(5, 4), 0x111);
	assert_int_equal(stack_at(8, 4), 0x444);
	assert_true(REGS.seg[SEG_DS].ar & SEG_AR_UNUSABLE);
}

static void v86_iopl(void **state)
{
	enter_v86(0, 0);
	LOAD(f, AT_CODE, v86_int);
	sysfix_run(f, 5);
	assert_int_equal(sysfix_handled(f), VECTOR_GP);
	assert_int_equal(stack_at(0, 4), 0);
	assert_int_equal(stack_at(1, 4), AT_CODE);
}

/* CR4.VME and a clear bit in the redirection bitmap: the 8086 program's own handler. */
static void v86_redirected(void **state)
{
	enter_v86(0, CR4_VME);
	sysfix_poke(f, 0x21 * 4, 0x05001234, 4);
	sysfix_bytes(f, 0x5000 + 0x1234, "\x90", 1);
	LOAD(f, AT_CODE, v86_int);
	REGS.rflags |= RFLAGS_VIF;
	engine_state_changed(&f->vp);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, 0x1234);
	assert_int_equal(REGS.seg[SEG_CS].sel, 0x500);
	assert_true(REGS.rflags & RFLAGS_VM);
	assert_false(REGS.rflags & RFLAGS_VIF);
	assert_int_equal(sysfix_peek(f, 0x6000 - 6, 2), AT_CODE + 2);
	assert_int_equal(sysfix_peek(f, 0x6000 - 2, 2), RFLAGS_IF | RFLAGS_IOPL | 2);
}

/* Faults without end count as instructions: also one that an entry injects, and is the last that
 * fits. */
static void endless_faults(void **state)
{
	const u64 limit = 30;

	sysfix_protected(f, AT_CODE);
	LOAD(f, AT_CODE, ud2);
	sysfix_gate32(f, VECTOR_UD, S_CODE32, AT_CODE, 14, 0);
	assert_int_equal(engine_run(&f->vp, f->vp.insns + limit), ENGINE_STOP_COUNT);
	assert_int_equal(f->vp.insns, limit);
	for (u64 n = 1; n < 4; n++) {
		engine_inject(&f->vp, INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << 8 | VECTOR_UD, 0,
			      0);
		assert_int_equal(engine_run(&f->vp, f->vp.insns + 1), ENGINE_STOP_COUNT);
		assert_int_equal(f->vp.insns, limit + n);
		assert_int_equal(REGS.rip, AT_CODE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(real_int),
		T(real_fault),
		T(protected_same_level),
		T(protected_gate16),
		T(protected_inner),
		T(gate_dpl),
		T(bad_gates),
		T(long_same_level),
		T(long_inner_and_ist),
		T(long_bad_gates),
		T(double_fault),
		T(serial_fault),
		T(triple_fault),
		T(page_fault_classes),
		T(page_fault_of_second_page),
		T(exception_bitmap),
		T(exception_bitmap_page_fault),
		T(vectoring_info),
		T(breakpoint_exit),
		T(v86_interrupt_to_monitor),
		T(v86_iopl),
		T(v86_redirected),
		T(endless_faults),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
