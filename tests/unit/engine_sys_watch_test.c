/* Loads of the stack pointer at CPL 0 that a machine which watches stacks is told of, each way to
 * load it. */
#include "l0/arch/events.h"
#include "tests/unit/engine_sys_group.h"

#define STACK 0x28000u /* before */
#define OTHER 0x2c000u /* after */

static struct {
	u32 n, how;
	u64 sp, prev;
} told;

static void stack_load(struct vp *vp, u32 how, u64 sp, u64 prev)
{
	told.n++;
	told.how = how;
	told.sp = sp;
	told.prev = prev;
}

static struct vp_ops ops;

static void start(bool on)
{
	sysfix_reset(f);
	if (f->vp.ops != &ops)
		ops = *f->vp.ops;
	ops.stack_load = stack_load;
	f->vp.ops = &ops;
	sysfix_long(f, AT_CODE);
	engine_watch_stacks(&f->vp, on);
	REGS.gpr[RSP] = STACK;
	REGS.gpr[RAX] = REGS.gpr[RBP] = OTHER;
	REGS.gpr[RBX] = AT_DATA;
	REGS.rflags |= RFLAGS_ZF;
	sysfix_poke(f, AT_DATA, OTHER, 8);
	sysfix_poke(f, STACK, OTHER, 8);
	engine_state_changed(&f->vp);
	told.n = 0;
}

/* RAX and [RBX] are the other stack, RBP a frame there, the top of this one holds its address; ZF
 * is set. */
static const struct {
	const char *name;
	u8 bytes[8];
	u32 how;
	u64 sp; /* 0: not told, and where it ends is not looked at */
} ways[] = {
	{"mov rsp, rax", {0x48, 0x89, 0xc4}, THREAD_BY_REGISTER, OTHER},
	{"mov rsp, [rbx]", {0x48, 0x8b, 0x23}, THREAD_BY_LOAD, OTHER},
	{"mov esp, imm", {0xbc, 0x00, 0xc0, 0x02, 0x00}, THREAD_BY_REGISTER, OTHER},
	{"xchg rsp, rax", {0x48, 0x94}, THREAD_BY_REGISTER, OTHER},
	{"xchg rsp, [rbx]", {0x48, 0x87, 0x23}, THREAD_BY_LOAD, OTHER},
	{"xchg esp, [rbx]", {0x87, 0x23}, THREAD_BY_LOAD, OTHER},
	{"lock xchg rsp, [rbx]", {0xf0, 0x48, 0x87, 0x23}, THREAD_BY_LOAD, OTHER},
	{"cmovz rsp, rax", {0x48, 0x0f, 0x44, 0xe0}, THREAD_BY_REGISTER, OTHER},
	{"cmovz rsp, [rbx]", {0x48, 0x0f, 0x44, 0x23}, THREAD_BY_LOAD, OTHER},
	{"cmovz esp, eax", {0x0f, 0x44, 0xe0}, THREAD_BY_REGISTER, OTHER},
	{"cmovnz rsp, rax", {0x48, 0x0f, 0x45, 0xe0}, 0, 0},
	{"lea rsp, [rax - 8]", {0x48, 0x8d, 0x60, 0xf8}, THREAD_BY_REGISTER, OTHER - 8},
	{"leave", {0xc9}, THREAD_BY_REGISTER, OTHER + 8},
	{"pop rsp", {0x5c}, THREAD_BY_LOAD, OTHER},
	{"movsxd rsp, eax", {0x48, 0x63, 0xe0}, THREAD_BY_REGISTER, OTHER},
	{"movsxd rsp, [rbx]", {0x48, 0x63, 0x23}, THREAD_BY_LOAD, OTHER},
	{"movzx rsp, ax", {0x48, 0x0f, 0xb7, 0xe0}, THREAD_BY_REGISTER, OTHER & 0xffff},
	{"movsx esp, word [rbx]", {0x0f, 0xbf, 0x23}, THREAD_BY_LOAD, 0xffffc000u},
	{"movzx esp, ah", {0x0f, 0xb6, 0xe4}, THREAD_BY_REGISTER, OTHER >> 8 & 0xff},
	{"movbe rsp, [rbx]",
	 {0x48, 0x0f, 0x38, 0xf0, 0x23},
	 THREAD_BY_LOAD,
	 __builtin_bswap64(OTHER)},
	{"movbe esp, [rbx]", {0x0f, 0x38, 0xf0, 0x23}, THREAD_BY_LOAD, __builtin_bswap32(OTHER)},
	{"movbe [rbx], rsp", {0x48, 0x0f, 0x38, 0xf1, 0x23}, 0, 0},
	{"xadd rax, rsp", {0x48, 0x0f, 0xc1, 0xe0}, THREAD_BY_REGISTER, OTHER},
	{"xadd esp, eax", {0x0f, 0xc1, 0xc4}, THREAD_BY_REGISTER, STACK + OTHER},
	{"xadd [rbx], rsp", {0x48, 0x0f, 0xc1, 0x23}, THREAD_BY_LOAD, OTHER},
	{"lock xadd [rbx], esp", {0xf0, 0x0f, 0xc1, 0x23}, THREAD_BY_LOAD, OTHER},
	{"cmpxchg rsp, rbx", {0x48, 0x0f, 0xb1, 0xdc}, 0, 0}, /* RAX is another one */
	{"cmpxchg esp, ebx", {0x0f, 0xb1, 0xdc}, 0, 0},
	{"add rsp, 8", {0x48, 0x83, 0xc4, 0x08}, 0, 0},
	{"lea rsp, [rsp + 8]", {0x48, 0x8d, 0x64, 0x24, 0x08}, 0, 0},
	{"cmovz rcx, [rbx]", {0x48, 0x0f, 0x44, 0x0b}, 0, 0},
	{"xchg rcx, [rbx]", {0x48, 0x87, 0x0b}, 0, 0},
};

static void each_way_is_told(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(ways); i++) {
		u64 sp, left;

		start(false);
		sysfix_bytes(f, AT_CODE, ways[i].bytes, sizeof(ways[i].bytes));
		assert_int_equal(one(NULL), -1);
		assert_int_equal(told.n, 0); /* nobody watches */
		sp = REGS.gpr[RSP];
		left = sysfix_peek(f, AT_DATA, 8);
		struct cpu_state off = REGS;

		start(true);
		sysfix_bytes(f, AT_CODE, ways[i].bytes, sizeof(ways[i].bytes));
		assert_int_equal(one(NULL), -1);
		if (told.n != (ways[i].sp != 0) ||
		    (told.n &&
		     (told.how != ways[i].how || told.sp != ways[i].sp || told.prev != STACK)))
			fail_msg("%s: told %u times, %u, %#llx", ways[i].name, told.n, told.how,
				 (unsigned long long)told.sp);
		/* the same whether somebody watches or not */
		assert_int_equal(REGS.gpr[RSP], sp);
		assert_memory_equal(REGS.gpr, off.gpr, sizeof(off.gpr));
		assert_int_equal(REGS.rflags, off.rflags);
		assert_int_equal(sysfix_peek(f, AT_DATA, 8), left);
		if (ways[i].sp)
			assert_int_equal(sp, ways[i].sp);
	}
}

static void an_exchange_that_happens(void **state)
{
	for (u32 wide = 0; wide < 2; wide++) {
		start(true);
		REGS.gpr[RAX] = STACK;
		REGS.gpr[RBX] = OTHER;
		if (wide)
			CODE("\x48\x0f\xb1\xdc"); /* cmpxchg rsp, rbx */
		else
			CODE("\x0f\xb1\xdc");
		assert_int_equal(one(NULL), -1);
		assert_int_equal(REGS.gpr[RSP], OTHER);
		assert_true(REGS.rflags & RFLAGS_ZF);
		assert_int_equal(told.n, 1);
		assert_int_equal(told.how, THREAD_BY_REGISTER);
	}
}

static void a_false_condition_extends(void **state)
{
	start(true);
	REGS.gpr[RSP] = 0xffff800000000000ull | STACK;
	CODE("\x0f\x45\xe0"); /* cmovnz esp, eax */
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.gpr[RSP], STACK);
	assert_int_equal(told.n, 0);
}

/* A load that faults is none, and leaves everything as it was. */
static void faults_tell_nothing(void **state)
{
	static const char code[][5] = {"\x48\x87\x23", "\x48\x0f\x44\x23", "\xc9",
				       "\x48\x0f\x45\x23"};

	for (u32 i = 0; i < ARRAY_SIZE(code); i++) {
		start(true);
		sysfix_poke(f, AT_PD + 8, 0, 8);
		vtlb_flush(&f->vp.tlb, true);
		REGS.gpr[RBX] = REGS.gpr[RBP] = PAGE_SIZE_2M + 0x1000;
		sysfix_bytes(f, AT_CODE, code[i], 4);
		/* the load of CMOVcc happens whatever the condition */
		assert_int_equal(one(NULL), VECTOR_PF);
		assert_int_equal(REGS.gpr[RSP], STACK);
		assert_int_equal(REGS.gpr[RBP], PAGE_SIZE_2M + 0x1000);
		assert_int_equal(told.n, 0);
	}
}

static void user_code_is_its_own(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(ways); i++) {
		start(true);
		sysfix_user(f, AT_USER_CODE);
		REGS.gpr[RSP] = STACK3 - 64;
		REGS.gpr[RAX] = REGS.gpr[RBP] = REGS.gpr[RBX] = STACK3 - 128;
		engine_state_changed(&f->vp);
		sysfix_bytes(f, AT_USER_CODE, ways[i].bytes, sizeof(ways[i].bytes));
		one(NULL);
		assert_int_equal(told.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_way_is_told),	T(an_exchange_that_happens), T(a_false_condition_extends),
		T(faults_tell_nothing), T(user_code_is_its_own),
	};

	return cmocka_run_group_tests_name("engine_sys_watch", tests, create, destroy);
}
