/*
 * Far transfers: code segments, gates of all sizes, returns to the same and outer levels, task
 * switches, the fast system calls, and the way from real mode to 64-bit mode and back.
 */
#include "tests/unit/engine_sys_group.h"

/* Run one instruction that must fault: vector and error code by an exit. */
static void expect_fault(u32 vector, u32 error)
{
	f->vp.ctl.exception_bitmap = ~0u;
	assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_EXCEPTION_NMI);
	assert_int_equal(f->vp.exit.intr_info & 0xff, vector);
	assert_int_equal(f->vp.exit.intr_error, error);
}

static u64 call_gate(u16 sel, u32 off, u32 type, u32 dpl, u32 params)
{
	return (off & 0xffff) | (u64)sel << 16 | (u64)params << 32 |
	       (u64)(0x80 | dpl << 5 | type) << 40 | (u64)(off >> 16) << 48;
}

/* far jmp/call ptr16:32: 0xea or 0x9a */
static void put_far(u8 opcode, u16 sel, u32 off)
{
	u8 code[7] = {opcode};

	memcpy(code + 1, &off, 4);
	memcpy(code + 5, &sel, 2);
	sysfix_bytes(f, REGS.rip, code, sizeof(code));
}

/* --- direct, 32-bit --------------------------------------------------------------------------- */

static void direct_checks(void **state)
{
	static const struct {
		u16 sel;
		int fault; /* -1: none */
		u32 error;
		bool user;
	} t[] = {
		{S_CODE32, -1, 0, false},
		{S_CODE32 | 3, VECTOR_GP, S_CODE32, false}, /* RPL above CPL */
		{S_DATA32, VECTOR_GP, S_DATA32, false},
		{0, VECTOR_GP, 0, false},
		{3, VECTOR_GP, 0, false},
		{GDT_LIMIT + 1, VECTOR_GP, GDT_LIMIT + 1, false},
		{S_LDT, VECTOR_GP, S_LDT, false},
		{S_TSS, VECTOR_GP, S_TSS, false},		/* busy */
		{S_CODE32 | 4, VECTOR_GP, S_CODE32 | 4, false}, /* no LDT */
		{S_UCODE32, VECTOR_GP, S_UCODE32 & ~3, false},
		{S_CONFORMING, -1, 0, false},
		{S_CONFORMING, -1, 0, true},
		{S_CODE32, VECTOR_GP, S_CODE32, true},
		{S_UCODE32, -1, 0, true},
		{S_GATE, VECTOR_NP, S_GATE, false},
	};

	for (u32 call = 0; call < 2; call++) {
		for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
			sysfix_reset(f);
			sysfix_protected(f, AT_CODE);
			sysfix_gdt(f, S_GATE, sysfix_desc(0, 0xfffff, 0xc01b));
			if (t[i].user)
				sysfix_user(f, AT_USER_CODE);
			u64 rip = REGS.rip, sp = REGS.gpr[RSP];

			put_far(call ? 0x9a : 0xea, t[i].sel, AT_HANDLERS);
			if (t[i].fault >= 0) {
				expect_fault((u32)t[i].fault, t[i].error);
				assert_int_equal(REGS.rip, rip);
				assert_int_equal(REGS.gpr[RSP], sp);
				continue;
			}
			assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_COUNT);
			assert_int_equal(REGS.rip, AT_HANDLERS);
			assert_int_equal(REGS.seg[SEG_CS].sel,
					 (t[i].sel & ~3) | (t[i].user ? 3 : 0));
			assert_int_equal(REGS.gpr[RSP], sp - (call ? 8 : 0));
			if (call) {
				assert_int_equal(stack_at(0, 4), rip + 7);
				assert_int_equal(stack_at(1, 4) & 0xffff,
						 t[i].user ? S_UCODE32 : S_CODE32);
			}
		}
	}
}

static void target_limit(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_gdt(f, S_GATE, sysfix_desc(0, 0xfff, 0x409b));
	put_far(0xea, S_GATE, 0x1000);
	expect_fault(VECTOR_GP, 0);
}

static void accessed_bit(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_gdt(f, S_GATE, sysfix_desc(0, 0xfffff, 0xc09a));
	put_far(0xea, S_GATE, AT_HANDLERS);
	sysfix_run(f, 1);
	assert_int_equal(sysfix_peek(f, AT_GDT + S_GATE + 5, 1), 0x9b);
}

/* --- call gates ------------------------------------------------------------------------------- */

static void gate_same_level(void **state)
{
	for (u32 wide = 0; wide < 2; wide++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		sysfix_gdt(f, S_GATE, call_gate(S_CODE32, AT_HANDLERS, wide ? 12 : 4, 0, 0));
		put_far(0x9a, S_GATE, 0xdeadbeef);
		sysfix_run(f, 1);
		assert_int_equal(REGS.rip, AT_HANDLERS);
		assert_int_equal(REGS.gpr[RSP], STACK0 - (wide ? 8 : 4));
		assert_int_equal(stack_at(0, wide ? 4 : 2), AT_CODE + 7);
	}
}

static void gate_inner_with_parameters(void **state)
{
	for (u32 wide = 0; wide < 2; wide++) {
		u32 size = wide ? 4 : 2;

		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		sysfix_gdt(f, S_GATE, call_gate(S_CODE32, AT_HANDLERS, wide ? 12 : 4, 3, 3));
		sysfix_user(f, AT_USER_CODE);
		REGS.gpr[RSP] -= 3 * size;
		for (u32 i = 0; i < 3; i++)
			sysfix_poke(f, REGS.gpr[RSP] + i * size, 0x1111 * (i + 1), size);
		put_far(0x9a, S_GATE | 3, 0);
		sysfix_run(f, 1);
		assert_int_equal(REGS.rip, AT_HANDLERS);
		assert_int_equal(f->vp.cpl, 0);
		assert_int_equal(REGS.gpr[RSP], STACK_TSS0 - 7 * size);
		assert_int_equal(stack_at(0, size), (AT_USER_CODE + 7) & mask_low(size * 8));
		assert_int_equal(stack_at(1, size), S_UCODE32);
		for (u32 i = 0; i < 3; i++)
			assert_int_equal(stack_at(2 + i, size), 0x1111 * (i + 1));
		assert_int_equal(stack_at(5, size), (STACK3 - 3 * size) & mask_low(size * 8));
		assert_int_equal(stack_at(6, size), S_UDATA32);
		/* and back: RETF with the parameters popped from both stacks */
		if (!wide)
			continue;
		sysfix_bytes(f, AT_HANDLERS, "\xca\x0c\x00", 3);
		sysfix_run(f, 1);
		assert_int_equal(REGS.rip, AT_USER_CODE + 7);
		assert_int_equal(f->vp.cpl, 3);
		assert_int_equal(REGS.gpr[RSP], STACK3);
		assert_int_equal(REGS.seg[SEG_SS].sel, S_UDATA32);
		/* level-3 data segments stay, there were no others */
		assert_int_equal(REGS.seg[SEG_DS].sel, S_DATA32 == 0x10 ? S_UDATA32 : 0);
	}
}

static void gate_faults(void **state)
{
	static const struct {
		u64 lo; /* gate */
		u32 vector, error;
		bool user;
	} t[] = {
		{0x0000ec0000080000ull, 0, 0, true},		  /* fine */
		{0x00008c0000080000ull, VECTOR_GP, S_GATE, true}, /* DPL 0 */
		{0x00006c0000080000ull, VECTOR_NP, S_GATE, true}, /* absent */
		{0x0000ec0000000000ull, VECTOR_GP, 0, true},
		{0x0000ec0000100000ull, VECTOR_GP, S_DATA32, true},
		{0x0000ec0001080000ull, VECTOR_GP, 0x108, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		sysfix_gdt(f, S_GATE, t[i].lo);
		sysfix_user(f, AT_USER_CODE);
		put_far(0x9a, S_GATE | 3, 0);
		if (t[i].vector)
			expect_fault(t[i].vector, t[i].error);
		else
			assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_COUNT);
	}
	/* bad stacks in the TSS: #TS, and #SS for one that is absent */
	static const struct {
		u16 ss;
		u32 vector, error;
	} s[] = {{0, VECTOR_TS, 0},
		 {S_UDATA32, VECTOR_TS, S_UDATA32 & ~3},
		 {S_CODE32, VECTOR_TS, S_CODE32},
		 {S_ABSENT, VECTOR_SS, S_ABSENT},
		 {S_RDONLY, VECTOR_TS, S_RDONLY},
		 {0x100, VECTOR_TS, 0x100}};

	for (u32 i = 0; i < ARRAY_SIZE(s); i++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		sysfix_gdt(f, S_GATE, t[0].lo);
		sysfix_poke(f, AT_TSS + 8, s[i].ss, 2);
		sysfix_user(f, AT_USER_CODE);
		put_far(0x9a, S_GATE | 3, 0);
		expect_fault(s[i].vector, s[i].error);
	}
}

static void gate64(void **state)
{
	GUEST(call_mem, 64, "lcall *0xc000");

	sysfix_long(f, AT_CODE);
	sysfix_poke(f, AT_GDT + S_GATE, call_gate(S_CODE64, AT_HANDLERS, 12, 3, 0), 8);
	sysfix_poke(f, AT_GDT + S_GATE + 8, 0, 8);
	sysfix_poke(f, AT_DATA, 0, 4);
	sysfix_poke(f, AT_DATA + 4, S_GATE | 3, 2);
	sysfix_user(f, AT_USER_CODE);
	LOAD(f, AT_USER_CODE, call_mem);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_HANDLERS);
	assert_int_equal(f->vp.cpl, 0);
	assert_int_equal(REGS.gpr[RSP], STACK_TSS0 - 32);
	assert_int_equal(stack_at(0, 8), AT_USER_CODE + (g_call_mem_end - g_call_mem));
	assert_int_equal(stack_at(1, 8), S_UCODE64);
	assert_int_equal(stack_at(2, 8), STACK3);
	assert_int_equal(stack_at(3, 8), S_UDATA32);
	assert_int_equal(REGS.seg[SEG_SS].sel, 0);
	/* lretq goes back */
	sysfix_bytes(f, AT_HANDLERS, "\x48\xcb", 2);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE + (g_call_mem_end - g_call_mem));
	assert_int_equal(REGS.gpr[RSP], STACK3);
	assert_int_equal(f->vp.cpl, 3);
}

/* --- IRET ------------------------------------------------------------------------------------- */

static void iret_outer_drops_segments(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_bytes(f, AT_CODE, "\xcf", 1);
	REGS.gpr[RSP] = STACK0 - 20;
	sysfix_poke(f, STACK0 - 20, AT_USER_CODE, 4);
	sysfix_poke(f, STACK0 - 16, S_UCODE32, 4);
	sysfix_poke(f, STACK0 - 12, RFLAGS_IF | RFLAGS_ZF | 2, 4);
	sysfix_poke(f, STACK0 - 8, STACK3, 4);
	sysfix_poke(f, STACK0 - 4, S_UDATA32, 4);
	REGS.seg[SEG_FS] = (struct seg){.sel = S_UDATA32, .ar = 0xc0f3, .limit = ~0u};
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE);
	assert_int_equal(f->vp.cpl, 3);
	assert_int_equal(REGS.gpr[RSP], STACK3);
	assert_true(REGS.seg[SEG_DS].ar & SEG_AR_UNUSABLE);
	assert_true(REGS.seg[SEG_GS].ar & SEG_AR_UNUSABLE);
	assert_int_equal(REGS.seg[SEG_FS].sel, S_UDATA32);
	assert_int_equal(REGS.rflags, RFLAGS_IF | RFLAGS_ZF | 2);
}

/* Flags that level 3 may not change by IRET. */
static void iret_flags(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_user(f, AT_USER_CODE);
	sysfix_bytes(f, AT_USER_CODE, "\xcf", 1);
	REGS.gpr[RSP] = STACK3 - 12;
	sysfix_poke(f, STACK3 - 12, AT_USER_CODE + 64, 4);
	sysfix_poke(f, STACK3 - 8, S_UCODE32, 4);
	sysfix_poke(f, STACK3 - 4, 0x3f7fd5, 4);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE + 64);
	assert_int_equal(
		REGS.rflags & (RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP), 0);
	assert_int_equal(REGS.rflags & (RFLAGS_AC | RFLAGS_ID | RFLAGS_RF | RFLAGS_NT),
			 RFLAGS_AC | RFLAGS_ID | RFLAGS_RF | RFLAGS_NT);
}

static void iret64(void **state)
{
	sysfix_long(f, AT_CODE);
	sysfix_bytes(f, AT_CODE, "\x48\xcf", 2);
	REGS.gpr[RSP] = STACK0 - 40;
	sysfix_poke(f, STACK0 - 40, AT_USER_CODE, 8);
	sysfix_poke(f, STACK0 - 32, S_CODE64, 8);
	sysfix_poke(f, STACK0 - 24, 2, 8);
	sysfix_poke(f, STACK0 - 16, 0x1234567890ull, 8);
	sysfix_poke(f, STACK0 - 8, 0, 8); /* a null SS is fine at level 0 */
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE);
	assert_int_equal(REGS.gpr[RSP], 0x1234567890ull);
	assert_int_equal(REGS.seg[SEG_SS].sel, 0);
	/* not to level 3 */
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	REGS.gpr[RSP] = STACK0 - 40;
	sysfix_poke(f, STACK0 - 32, S_UCODE64, 8);
	sysfix_poke(f, STACK0 - 8, 3, 8);
	sysfix_bytes(f, AT_CODE, "\x48\xcf", 2);
	expect_fault(VECTOR_GP, 0);
	/* NT in IA-32e mode */
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	REGS.rflags |= RFLAGS_NT;
	engine_state_changed(&f->vp);
	expect_fault(VECTOR_GP, 0);
}

/* --- task switches ---------------------------------------------------------------------------- */

static void make_task(u32 ip, u64 flags)
{
	sysfix_poke(f, AT_TSS2 + 0x20, ip, 4);
	sysfix_poke(f, AT_TSS2 + 0x24, flags, 4);
	for (u32 i = 0; i < 8; i++)
		sysfix_poke(f, AT_TSS2 + 0x28 + i * 4, 0x100 + i, 4);
	sysfix_poke(f, AT_TSS2 + 0x28 + RSP * 4, STACK_TSS1, 4);
	for (u32 i = 0; i < 6; i++)
		sysfix_poke(f, AT_TSS2 + 0x48 + i * 4, i == 1 ? S_CODE32 : S_DATA32, 4);
}

static void task_jmp_call_iret(void **state)
{
	for (u32 call = 0; call < 2; call++) {
		for (u32 gate = 0; gate < 2; gate++) {
			sysfix_reset(f);
			sysfix_protected(f, AT_CODE);
			make_task(AT_USER_CODE, 2);
			REGS.gpr[RBX] = 0xb0b;
			put_far(call ? 0x9a : 0xea, gate ? S_TASKGATE : S_TSS2, 0);
			sysfix_run(f, 1);
			assert_int_equal(REGS.rip, AT_USER_CODE);
			assert_int_equal(REGS.gpr[RBX], 0x103);
			assert_int_equal(REGS.gpr[RSP], STACK_TSS1);
			assert_int_equal(REGS.seg[SEG_TR].sel, S_TSS2);
			assert_true(REGS.cr0 & CR0_TS);
			assert_int_equal(!!(REGS.rflags & RFLAGS_NT), call);
			assert_int_equal(sysfix_peek(f, AT_GDT + S_TSS2 + 5, 1), 0x8b);
			assert_int_equal(sysfix_peek(f, AT_GDT + S_TSS + 5, 1), call ? 0x8b : 0x89);
			assert_int_equal(sysfix_peek(f, AT_TSS + 0x20, 4), AT_CODE + 7);
			assert_int_equal(sysfix_peek(f, AT_TSS + 0x28 + RBX * 4, 4), 0xb0b);
			if (!call)
				continue;
			assert_int_equal(sysfix_peek(f, AT_TSS2, 2), S_TSS);
			/* IRET returns to the caller */
			sysfix_bytes(f, AT_USER_CODE, "\xcf", 1);
			sysfix_run(f, 1);
			assert_int_equal(REGS.rip, AT_CODE + 7);
			assert_int_equal(REGS.gpr[RBX], 0xb0b);
			assert_int_equal(REGS.seg[SEG_TR].sel, S_TSS);
			assert_int_equal(sysfix_peek(f, AT_GDT + S_TSS2 + 5, 1), 0x89);
			assert_false(REGS.rflags & RFLAGS_NT);
			assert_int_equal(sysfix_peek(f, AT_TSS2 + 0x20, 4), AT_USER_CODE + 1);
		}
	}
}

static void task_16(void **state)
{
	sysfix_protected(f, AT_CODE);
	sysfix_poke(f, AT_TSS16 + 0x0e, 0x1000, 2);
	sysfix_poke(f, AT_TSS16 + 0x10, 2, 2);
	for (u32 i = 0; i < 8; i++)
		sysfix_poke(f, AT_TSS16 + 0x12 + i * 2, 0x200 + i, 2);
	for (u32 i = 0; i < 4; i++)
		sysfix_poke(f, AT_TSS16 + 0x22 + i * 2, i == 1 ? S_CODE16 : S_DATA16, 2);
	put_far(0x9a, S_TSS16, 0);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, 0x1000);
	assert_int_equal(REGS.gpr[RDX] & 0xffff, 0x202);
	assert_int_equal(REGS.seg[SEG_CS].sel, S_CODE16);
	assert_int_equal(sysfix_peek(f, AT_TSS16, 2), S_TSS);
}

/* A double fault through a task gate: the error code is on the new task's stack. */
static void task_gate_idt(void **state)
{
	sysfix_protected(f, AT_CODE);
	make_task(AT_USER_CODE, 2);
	sysfix_gate32(f, VECTOR_GP, S_TSS2, 0, 5, 0);
	sysfix_bytes(f, AT_CODE, "\xcd\x80", 2);
	sysfix_poke(f, AT_IDT + 0x80 * 8 + 5, 0, 1);
	sysfix_bytes(f, AT_USER_CODE, "\xf4", 1);
	sysfix_run(f, 5);
	assert_int_equal(REGS.rip, AT_USER_CODE + 1);
	assert_int_equal(REGS.gpr[RSP], STACK_TSS1 - 4);
	assert_int_equal(stack_at(0, 4), 0x80 * 8 + 2);
	assert_true(REGS.rflags & RFLAGS_NT);
	assert_int_equal(sysfix_peek(f, AT_TSS + 0x20, 4), AT_CODE);
}

static void task_faults(void **state)
{
	static const struct {
		u32 off, val, size; /* poke into the new TSS */
		u32 vector, error;
		bool after; /* in the new task */
	} t[] = {
		{0x4c, S_DATA32, 4, VECTOR_TS, S_DATA32, true},	       /* CS is data */
		{0x50, S_UDATA32, 4, VECTOR_TS, S_UDATA32 & ~3, true}, /* SS of another level */
		{0x50, 0, 4, VECTOR_TS, 0, true},
		{0x54, S_EXECONLY, 4, VECTOR_TS, S_EXECONLY, true},
		{0x54, S_ABSENT, 4, VECTOR_NP, S_ABSENT, true},
		{0x60, S_DATA32, 4, VECTOR_TS, S_DATA32, true}, /* LDT */
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_reset(f);
		sysfix_protected(f, AT_CODE);
		make_task(AT_USER_CODE, 2);
		sysfix_poke(f, AT_TSS2 + t[i].off, t[i].val, t[i].size);
		put_far(0xea, S_TSS2, 0);
		expect_fault(t[i].vector, t[i].error);
		assert_int_equal(REGS.rip, AT_USER_CODE);
		assert_int_equal(REGS.seg[SEG_TR].sel, S_TSS2);
	}
	/* a TSS that is too short: nothing has happened */
	sysfix_reset(f);
	sysfix_protected(f, AT_CODE);
	sysfix_gdt(f, S_TSS2, sysfix_desc(AT_TSS2, 0x66, 0x0089));
	put_far(0xea, S_TSS2, 0);
	expect_fault(VECTOR_TS, S_TSS2);
	assert_int_equal(REGS.rip, AT_CODE);
	assert_int_equal(REGS.seg[SEG_TR].sel, S_TSS);
}

static void task_exit(void **state)
{
	sysfix_protected(f, AT_CODE);
	make_task(AT_USER_CODE, 2);
	f->vp.ctl.l0_native = false;
	put_far(0x9a, S_TASKGATE, 0);
	assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_TASK_SWITCH);
	assert_int_equal(f->vp.exit.qualification, S_TSS2);
	assert_int_equal(f->vp.exit.insn_len, 7);
	/* through the IDT: the event is in the vectoring information */
	sysfix_gate32(f, 0x80, S_TSS2, 0, 5, 0);
	sysfix_bytes(f, AT_CODE, "\xcd\x80", 2);
	assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.qualification, S_TSS2 | 3u << 30);
	assert_int_equal(f->vp.exit.idt_vectoring_info, 0x80000480);
	assert_int_equal(f->vp.exit.insn_len, 2);
}

static void task_to_v86(void **state)
{
	sysfix_protected(f, AT_CODE);
	make_task(0x100, RFLAGS_VM | 2);
	for (u32 i = 0; i < 6; i++)
		sysfix_poke(f, AT_TSS2 + 0x48 + i * 4, 0x1000, 4);
	put_far(0xea, S_TSS2, 0);
	sysfix_run(f, 1);
	assert_true(REGS.rflags & RFLAGS_VM);
	assert_int_equal(REGS.rip, 0x100);
	assert_int_equal(REGS.seg[SEG_CS].base, 0x10000);
	assert_int_equal(f->vp.cpl, 3);
}

/* --- fast system calls ------------------------------------------------------------------------ */

GUEST(syscall, 64, "syscall");
GUEST(sysretq, 64, "sysretq");
GUEST(sysretl, 64, "sysretl");
GUEST(sysenter, 64, "sysenter");
GUEST(sysexitq, 64, "rex.w sysexit");

static void syscall_sysret(void **state)
{
	sysfix_long(f, AT_CODE);
	REGS.star = (u64)0x33 << 48 | (u64)S_CODE64 << 32;
	REGS.lstar = AT_HANDLERS;
	REGS.fmask = RFLAGS_IF | RFLAGS_DF;
	sysfix_user(f, AT_USER_CODE);
	REGS.rflags |= RFLAGS_IF | RFLAGS_DF | RFLAGS_CF;
	engine_state_changed(&f->vp);
	LOAD(f, AT_USER_CODE, syscall);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_HANDLERS);
	assert_int_equal(REGS.gpr[RCX], AT_USER_CODE + 2);
	assert_int_equal(REGS.gpr[R11], RFLAGS_IF | RFLAGS_DF | RFLAGS_CF | 2);
	assert_int_equal(REGS.rflags, RFLAGS_CF | 2);
	assert_int_equal(REGS.seg[SEG_CS].sel, S_CODE64);
	assert_int_equal(REGS.seg[SEG_SS].sel, S_CODE64 + 8);
	assert_int_equal(f->vp.cpl, 0);
	LOAD(f, AT_HANDLERS, sysretq);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE + 2);
	assert_int_equal(REGS.seg[SEG_CS].sel, 0x33 + 16);
	assert_int_equal(REGS.seg[SEG_SS].sel, 0x33 + 8);
	assert_int_equal(REGS.rflags, RFLAGS_IF | RFLAGS_DF | RFLAGS_CF | 2);
	assert_int_equal(f->vp.cpl, 3);
	/* SYSRET to compatibility mode; SYSRET outside of level 0; SYSCALL without EFER.SCE */
	LOAD(f, AT_USER_CODE + 2, sysretl);
	expect_fault(VECTOR_GP, 0);
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	REGS.star = (u64)0x33 << 48;
	REGS.gpr[RCX] = 0x100000000ull + AT_USER_CODE;
	LOAD(f, AT_CODE, sysretl);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE);
	assert_int_equal(f->vp.mode & VP_MODE_SIZE, VP_MODE_32);
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	REGS.gpr[RCX] = 1ull << 47;
	LOAD(f, AT_CODE, sysretq);
	expect_fault(VECTOR_GP, 0);
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	REGS.efer &= ~EFER_SCE;
	LOAD(f, AT_CODE, syscall);
	expect_fault(VECTOR_UD, 0);
}

static void sysenter_sysexit(void **state)
{
	sysfix_long(f, AT_CODE);
	REGS.sysenter_cs = S_CODE32;
	REGS.sysenter_esp = STACK_TSS0;
	REGS.sysenter_eip = AT_HANDLERS;
	sysfix_user(f, AT_USER_CODE);
	LOAD(f, AT_USER_CODE, sysenter);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_HANDLERS);
	assert_int_equal(REGS.gpr[RSP], STACK_TSS0);
	assert_int_equal(REGS.seg[SEG_CS].sel, S_CODE32);
	assert_int_equal(f->vp.cpl, 0);
	REGS.gpr[RDX] = AT_USER_CODE + 2;
	REGS.gpr[RCX] = STACK3;
	LOAD(f, AT_HANDLERS, sysexitq);
	sysfix_run(f, 1);
	assert_int_equal(REGS.rip, AT_USER_CODE + 2);
	assert_int_equal(REGS.seg[SEG_CS].sel, (S_CODE32 + 32) | 3);
	assert_int_equal(REGS.seg[SEG_SS].sel, (S_CODE32 + 40) | 3);
	assert_int_equal(REGS.gpr[RSP], STACK3);
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	LOAD(f, AT_CODE, sysenter); /* SYSENTER_CS is 0 */
	expect_fault(VECTOR_GP, 0);
}

GUEST(swapgs, 64, "swapgs");

static void swapgs_test(void **state)
{
	sysfix_long(f, AT_CODE);
	REGS.kernel_gs_base = 0x1111;
	REGS.seg[SEG_GS].base = 0x2222;
	LOAD(f, AT_CODE, swapgs);
	sysfix_run(f, 1);
	assert_int_equal(REGS.seg[SEG_GS].base, 0x1111);
	assert_int_equal(REGS.kernel_gs_base, 0x2222);
	sysfix_user(f, AT_USER_CODE);
	LOAD(f, AT_USER_CODE, swapgs);
	expect_fault(VECTOR_GP, 0);
}

/* --- real → protected → long → compatibility → back ------------------------------------------- */

GUEST(climb, 16,
      "climb:\n"
      "  lgdtl %cs:(1f - climb)\n"
      "  mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
      "  ljmpl $0x08, $(0x8000 + 2f - climb)\n"
      "1: .word 0xff; .long 0x1000\n"
      ".code32\n"
      "2: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov $0x20000, %esp\n"
      "  mov $0x4000, %eax; mov %eax, %cr3\n"
      "  mov $0x20, %eax; mov %eax, %cr4\n"
      "  mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
      "  mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
      "  ljmp $0x28, $(0x8000 + 3f - climb)\n"
      ".code64\n"
      "3: mov $0x1122334455667788, %r8\n"
      "  pushq $0x08; pushq $(0x8000 + 4f - climb); lretq\n"
      ".code32\n"
      "4: mov $0x44, %ebx\n" /* compatibility mode */
      "  ljmp $0x28, $(0x8000 + 5f - climb)\n"
      ".code64\n"
      "5: mov %r8, %r9\n"
      "  pushq $0x08; pushq $(0x8000 + 6f - climb); lretq\n"
      ".code32\n"
      "6: mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n" /* leave IA-32e mode */
      "  mov $0xc0000080, %ecx; rdmsr; mov %eax, %esi; and $~0x100, %eax; wrmsr\n"
      "  ljmp $0x18, $(0x8000 + 7f - climb)\n"
      ".code16\n"
      "7: mov $0x20, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss\n"
      "  mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0\n"
      "  ljmp $0x800, $(8f - climb)\n"
      "8: mov $0x1234, %ax; mov %ax, %ds; mov $0x900, %ax; mov %ax, %ss; hlt\n");

static void mode_ladder(void **state)
{
	sysfix_protected(f, 0); /* fills the tables */
	sysfix_long(f, 0);
	sysfix_gdt(f, S_TSS, 0);
	engine_reset(&f->vp, false);
	sysfix_real(f, 0x800, 0);
	LOAD(f, AT_CODE, climb);
	assert_int_equal(sysfix_run(f, 200), ENGINE_STOP_HALT);
	assert_int_equal(REGS.rip, (u64)(g_climb_end - g_climb));
	assert_int_equal(REGS.gpr[R9], 0x1122334455667788ull);
	assert_int_equal(REGS.gpr[RBX], 0x44);
	assert_int_equal(REGS.gpr[RSI] & EFER_LMA, 0); /* LMA fell with PG */
	assert_false(REGS.efer & EFER_LMA);
	assert_false(REGS.cr0 & CR0_PE);
	assert_int_equal(REGS.seg[SEG_DS].base, 0x12340);
	assert_int_equal(REGS.seg[SEG_CS].base, 0x8000);
	assert_int_equal(REGS.seg[SEG_DS].limit, 0xffff);
}

/* Unreal mode: the limit of protected mode survives loads in real mode. */
static void unreal_mode(void **state)
{
	sysfix_real(f, 0, AT_CODE);
	REGS.seg[SEG_DS].limit = 0xffffffff;
	engine_state_changed(&f->vp);
	sysfix_bytes(f, AT_CODE, "\x31\xc0\x8e\xd8\x67\x66\xa1\x00\x00\x10\x00\xf4", 12);
	sysfix_poke(f, 0x100000, 0xcafe,
		    4); /* xor ax,ax; mov ds,ax; mov eax,[dword 100000h]; hlt */
	sysfix_run(f, 10);
	assert_int_equal(REGS.gpr[RAX], 0xcafe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(direct_checks),
		T(target_limit),
		T(accessed_bit),
		T(gate_same_level),
		T(gate_inner_with_parameters),
		T(gate_faults),
		T(gate64),
		T(iret_outer_drops_segments),
		T(iret_flags),
		T(iret64),
		T(task_jmp_call_iret),
		T(task_16),
		T(task_gate_idt),
		T(task_faults),
		T(task_exit),
		T(task_to_v86),
		T(syscall_sysret),
		T(sysenter_sysexit),
		T(swapgs_test),
		T(mode_ladder),
		T(unreal_mode),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
