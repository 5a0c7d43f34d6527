/*
 * Segment loads and descriptor instructions: which selectors and descriptors raise what, and what a
 * good one changes.
 */
#include "tests/unit/engine_sys_group.h"

enum mode { PROT, LONG };

static void set_mode(enum mode m)
{
	sysfix_reset(f);
	if (m == LONG)
		sysfix_long(f, AT_CODE);
	else
		sysfix_protected(f, AT_CODE);
}

/* --- segment registers ------------------------------------------------------------------------ */

static void segment_matrix(void **state)
{
	static const struct {
		enum mode mode;
		bool ss, user;
		u16 sel;
		int vector;
		u32 err;
	} t[] = {
		{PROT, false, false, S_DATA32, -1, 0},
		{PROT, false, false, 0, -1, 0},
		{PROT, false, false, S_CODE32, -1, 0}, /* readable code */
		{PROT, false, false, S_EXECONLY, VECTOR_GP, S_EXECONLY},
		{PROT, false, false, S_ABSENT, VECTOR_NP, S_ABSENT},
		{PROT, false, false, S_LDT, VECTOR_GP, S_LDT},
		{PROT, false, false, GDT_LIMIT + 1, VECTOR_GP, GDT_LIMIT + 1},
		{PROT, false, false, S_DATA32 | 3, VECTOR_GP, S_DATA32},
		{PROT, false, true, S_DATA32, VECTOR_GP, S_DATA32},
		{PROT, false, true, S_CONFORMING, -1, 0},
		{PROT, false, true, S_UDATA32, -1, 0},
		{PROT, true, false, S_DATA32, -1, 0},
		{PROT, true, false, 0, VECTOR_GP, 0},
		{PROT, true, false, S_RDONLY, VECTOR_GP, S_RDONLY},
		{PROT, true, false, S_CODE32, VECTOR_GP, S_CODE32},
		{PROT, true, false, S_ABSENT, VECTOR_SS, S_ABSENT},
		{PROT, true, false, S_UDATA32, VECTOR_GP, S_UDATA32 & ~3},
		{PROT, true, true, S_DATA32, VECTOR_GP, S_DATA32},
		{PROT, true, true, S_UDATA32, -1, 0},
		{LONG, true, false, 0, -1, 0},
		{LONG, true, false, 3, VECTOR_GP, 0},
		{LONG, true, true, 3, VECTOR_GP, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		u32 err = 0;

		set_mode(t[i].mode);
		if (t[i].user)
			sysfix_user(f, AT_USER_CODE);
		REGS.gpr[RAX] = t[i].sel;
		if (t[i].ss)
			CODE("\x8e\xd0");
		else
			CODE("\x8e\xc0");
		if (one(&err) != t[i].vector || err != t[i].err)
			fail_msg("case %u", i);
		if (t[i].vector < 0)
			assert_int_equal(REGS.seg[t[i].ss ? SEG_SS : SEG_ES].sel, t[i].sel);
	}
	set_mode(PROT);
	CODE("\x8e\xc8"); /* MOV to CS */
	assert_int_equal(one(NULL), VECTOR_UD);
	set_mode(PROT);
	CODE("\x8e\xf0"); /* no such register */
	assert_int_equal(one(NULL), VECTOR_UD);
}

static void push_pop_sreg_and_far_pointers(void **state)
{
	set_mode(PROT);
	REGS.seg[SEG_FS] = (struct seg){.sel = S_DATA16, .ar = 0x93, .limit = 0xffff};
	CODE("\x0f\xa0\x0f\xa9\x0e\x1e\x07"); /* push fs; pop gs; push cs; push ds; pop es */
	sysfix_run(f, 2);
	assert_int_equal(REGS.seg[SEG_GS].sel, S_DATA16);
	assert_int_equal(REGS.gpr[RSP], STACK0);
	sysfix_run(f, 3);
	assert_int_equal(REGS.seg[SEG_ES].sel, S_DATA32);
	assert_int_equal(sysfix_peek(f, STACK0 - 4, 4), S_CODE32);
	set_mode(LONG);
	REGS.gpr[RBX] = AT_DATA;
	sysfix_poke(f, AT_DATA, 0x1122334455667788, 8);
	sysfix_poke(f, AT_DATA + 8, S_DATA32, 2);
	CODE("\x48\x0f\xb2\x03"); /* lss (%rbx), %rax */
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.gpr[RAX], 0x1122334455667788);
	assert_int_equal(REGS.seg[SEG_SS].sel, S_DATA32);
}

static void descriptor_tables(void **state)
{
	set_mode(LONG);
	REGS.gpr[RBX] = AT_DATA;
	sysfix_poke(f, AT_DATA, 0x1234, 2);
	sysfix_poke(f, AT_DATA + 2, 0xffff800000001000, 8);
	CODE("\x0f\x01\x1b\x0f\x01\x4b\x10"); /* lidt (%rbx); sidt 16(%rbx) */
	sysfix_run(f, 2);
	assert_int_equal(REGS.idtr.limit, 0x1234);
	assert_int_equal(REGS.idtr.base, 0xffff800000001000);
	assert_int_equal(sysfix_peek(f, AT_DATA + 16, 2), 0x1234);
	assert_int_equal(sysfix_peek(f, AT_DATA + 18, 8), 0xffff800000001000);
	set_mode(LONG);
	REGS.gpr[RBX] = AT_DATA;
	sysfix_poke(f, AT_DATA + 2, 0x0000800000001000, 8);
	CODE("\x0f\x01\x13");
	assert_int_equal(one(NULL), VECTOR_GP); /* not canonical */
	set_mode(PROT);
	REGS.gpr[RAX] = S_TSS2;
	CODE("\x0f\x00\xd8\x0f\x00\xcb"); /* ltr %ax; str %ebx */
	sysfix_run(f, 2);
	assert_int_equal(REGS.gpr[RBX], S_TSS2);
	assert_int_equal(sysfix_peek(f, AT_GDT + S_TSS2 + 5, 1), 0x8b);
	static const struct {
		u16 sel;
		bool ltr;
		u32 vector, err;
	} t[] = {{0, true, VECTOR_GP, 0},
		 {S_TSS, true, VECTOR_GP, S_TSS},
		 {S_LDT, true, VECTOR_GP, S_LDT},
		 {S_TSS2 | 4, true, VECTOR_GP, S_TSS2 | 4},
		 {S_DATA32, false, VECTOR_GP, S_DATA32},
		 {S_LDT | 4, false, VECTOR_GP, S_LDT | 4}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		u32 err = 0;

		set_mode(PROT);
		REGS.gpr[RAX] = t[i].sel;
		if (t[i].ltr)
			CODE("\x0f\x00\xd8");
		else
			CODE("\x0f\x00\xd0");
		assert_int_equal(one(&err), (int)t[i].vector);
		assert_int_equal(err, t[i].err);
	}
	set_mode(PROT); /* through an LDT */
	REGS.gpr[RAX] = S_LDT;
	CODE("\x0f\x00\xd0\xb8\x14\x00\x00\x00\x8e\xc0"); /* lldt %ax; mov $0x14, %eax; mov %eax,
							     %es */
	sysfix_run(f, 3);
	assert_int_equal(REGS.seg[SEG_LDTR].base, AT_GDT);
	assert_int_equal(REGS.seg[SEG_ES].sel, S_DATA32 | 4);
}

static void lar_lsl_verr_verw(void **state)
{
	static const struct {
		u16 sel;
		bool user, lar, lsl, verr, verw;
	} t[] = {
		{S_DATA32, false, true, true, true, true},
		{S_RDONLY, false, true, true, true, false},
		{S_CODE32, false, true, true, true, false},
		{S_EXECONLY, false, true, true, false, false},
		{S_TSS, false, true, true, false, false},
		{S_TASKGATE, false, true, false, false, false},
		{S_DATA32, true, false, false, false, false},
		{S_CONFORMING, true, true, true, true, false},
		{0, false, false, false, false, false},
		{S_DATA32 | 3, false, false, false, false, false},
		{GDT_LIMIT + 1, false, false, false, false, false},
		{S_ABSENT, false, true, true, true, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		bool zf[4];

		set_mode(PROT);
		if (t[i].user)
			sysfix_user(f, AT_USER_CODE);
		REGS.gpr[RAX] = t[i].sel;
		CODE("\x0f\x02\xd8\x0f\x03\xc8\x0f\x00\xe0\x0f\x00\xe8"); /* lar, lsl, verr, verw */
		for (u32 k = 0; k < 4; k++) {
			assert_int_equal(one(NULL), -1);
			zf[k] = REGS.rflags & RFLAGS_ZF;
		}
		if (zf[0] != t[i].lar || zf[1] != t[i].lsl || zf[2] != t[i].verr ||
		    zf[3] != t[i].verw)
			fail_msg("case %u: %d %d %d %d", i, zf[0], zf[1], zf[2], zf[3]);
	}
	set_mode(PROT);
	REGS.gpr[RAX] = S_CODE32;
	CODE("\x0f\x02\xd8\x0f\x03\xc8");
	sysfix_run(f, 2);
	assert_int_equal(REGS.gpr[RBX], 0x00c09b00);
	assert_int_equal(REGS.gpr[RCX], 0xffffffff);
}

static void arpl(void **state)
{
	set_mode(PROT);
	REGS.gpr[RAX] = 0x8;
	REGS.gpr[RCX] = 0x3;
	CODE("\x63\xc8\x63\xc8"); /* arpl %cx, %ax */
	one(NULL);
	assert_int_equal(REGS.gpr[RAX], 0xb);
	assert_true(REGS.rflags & RFLAGS_ZF);
	one(NULL);
	assert_false(REGS.rflags & RFLAGS_ZF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(segment_matrix),
		T(push_pop_sreg_and_far_pointers),
		T(descriptor_tables),
		T(lar_lsl_verr_verw),
		T(arpl),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
