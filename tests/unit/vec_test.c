/*
 * x87, SSE and AVX beyond single instructions: gates, exceptions that the guest unmasks, images of
 * the state in memory, nothing of the host in them, and a stub arena that runs full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l0/base/mem_ops.h"
#include "l0/engine/block.h"
#include "l0/engine/vec.h"
#include "tests/unit/engine_sys_fixture.h"

GUEST(fx64, 64, "fninit; fld1; fldl (%rbx); fxsave64 (%rdi); hlt");
GUEST(fx32, 32, "fninit; fld1; fxsave (%edi); hlt");
GUEST(env32, 32, "fninit; fld1; fldz; fnstenv (%edi); hlt");
GUEST(save32, 32,
      "fninit; fldpi; fld1; fnsave (%edi); frstor (%edi); fnstsw %ax; fstpl (%esi); hlt");
GUEST(divps, 64, "ldmxcsr (%rbx); divps %xmm1, %xmm0; hlt");
GUEST(x87div, 64, "fninit; fldcw (%rbx); fldz; fld1; fdivp; fwait; hlt");
GUEST(x87maskmov, 64, "fninit; fldcw (%rbx); fldz; fld1; fdivp; maskmovq %mm1, %mm0; hlt");
GUEST(fpu, 64, "fld1; hlt");
GUEST(sse, 64, "movaps %xmm0, %xmm1; hlt");
GUEST(mmx, 64, "movq %mm0, %mm1; hlt");
GUEST(wait, 64, "fwait; hlt");
GUEST(avx, 64, "vaddps %ymm0, %ymm1, %ymm2; hlt");
GUEST(mxcsr, 64, "ldmxcsr (%rbx); hlt");
GUEST(unaligned, 64, "movaps (%rbx), %xmm0; hlt");
GUEST(xsave, 64,
      "xor %edx, %edx; mov $7, %eax; xsave (%rdi); vzeroall; mov $7, %eax; xrstor (%rdi); "
      "vmovups %ymm3, (%rsi); hlt");
GUEST(xsavec, 64, "xor %edx, %edx; mov $7, %eax; xsavec (%rdi); hlt");
GUEST(xrstor, 64, "xor %edx, %edx; mov $7, %eax; xrstor (%rdi); hlt");
GUEST(sum, 64,
      "addps (%rbx), %xmm0; addps %xmm0, %xmm1; movups %xmm1, (%rsi); addsd %xmm1, %xmm2; movups "
      "%xmm2, 16(%rsi); hlt");

#define IMAGE (AT_DATA + 0x800u)

static int setup(void **state)
{
	*state = sysfix_create();
	return 0;
}

static int teardown(void **state)
{
	sysfix_destroy(*state);
	return 0;
}

static void announce(struct sysfix *f)
{
	f->features.has_xsave = vec_host_has(1, 0, 2, 26);
	f->features.has_avx = vec_host_has(1, 0, 2, 28);
	f->features.xcr0_valid = 7;
	f->vp.cpu.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	f->vp.cpu.xcr0 = 7;
	f->vp.cpu.cr0 |= CR0_NE | CR0_MP;
	f->vp.cpu.cr0 &= ~(u64)(CR0_TS | CR0_EM);
	f->vp.cpu.gpr[RDI] = IMAGE;
	f->vp.cpu.gpr[RSI] = AT_DATA + 0x400;
	f->vp.cpu.gpr[RBX] = AT_DATA;
	engine_state_changed(&f->vp);
}

static void start64(struct sysfix *f, const u8 *begin, const u8 *end)
{
	assert_int_equal(vec_init(), 0); /* cmocka has put its own handler for SIGFPE */
	sysfix_reset(f);
	sysfix_code(f, AT_CODE, begin, end);
	sysfix_long(f, AT_CODE);
	vec_reset(&f->vp);
	announce(f);
}
#define START64(f, name) start64(f, g_##name, g_##name##_end)

static void start32(struct sysfix *f, const u8 *begin, const u8 *end)
{
	sysfix_reset(f);
	sysfix_code(f, AT_CODE, begin, end);
	sysfix_protected(f, AT_CODE);
	vec_reset(&f->vp);
	announce(f);
}
#define START32(f, name) start32(f, g_##name, g_##name##_end)

/* A planted host value: the host's own last x87 instruction and operand. */
static void plant(void)
{
	static double d = 1.5;

	__asm__ volatile("fldl %0\n\tfstp %%st(0)" : : "m"(d));
}

static void images_hold_no_host_pointer(void **state)
{
	struct sysfix *f = *state;

	START64(f, fx64);
	plant();
	sysfix_run(f, 5);
	/* FLDL: fninit 2, fld1 2 bytes */
	assert_int_equal(sysfix_peek(f, IMAGE + 8, 8), AT_CODE + 4);
	assert_int_equal(sysfix_peek(f, IMAGE + 16, 8), AT_DATA);
	assert_int_equal(sysfix_peek(f, IMAGE + 6, 2), (0xdd & 7) << 8 | 0x03);
	START32(f, fx32);
	plant();
	sysfix_run(f, 4);
	assert_int_equal(sysfix_peek(f, IMAGE + 8, 8), AT_CODE + 2);
	assert_int_equal(sysfix_peek(f, IMAGE + 6, 2), 0x1e8);
	START32(f, env32);
	plant();
	sysfix_run(f, 5);
	assert_int_equal(sysfix_peek(f, IMAGE + 0, 2), 0x37f);
	assert_int_equal(sysfix_peek(f, IMAGE + 4, 2) >> 11 & 7, 6);
	assert_int_equal(sysfix_peek(f, IMAGE + 8, 2), 0x1fff); /* R7 valid (1.0), R6 zero */
	assert_int_equal(sysfix_peek(f, IMAGE + 12, 4), AT_CODE + 4);
	START64(f, xsave);
	f->vp.fpu_ip = 0x1234567890;
	plant();
	sysfix_run(f, 4);
	assert_int_equal(sysfix_peek(f, IMAGE + 8, 8), 0x34567890);
}

static void fnsave_and_back(void **state)
{
	struct sysfix *f = *state;

	START32(f, save32);
	sysfix_run(f, 8);
	double one = 1.0;
	assert_int_equal(sysfix_peek(f, AT_DATA + 0x400, 8), nm_load64(&one));
	assert_int_equal(f->vp.cpu.gpr[RAX] >> 11 & 7, 6);
}

static int vector_of(struct sysfix *f)
{
	sysfix_run(f, 20);
	return sysfix_handled(f);
}

static void unmasked_exceptions_reach_the_guest(void **state)
{
	struct sysfix *f = *state;

	for (int xm = 0; xm < 2; xm++) {
		START64(f, divps);
		if (!xm)
			f->vp.cpu.cr4 &= ~(u64)CR4_OSXMMEXCPT;
		engine_state_changed(&f->vp);
		sysfix_poke(f, AT_DATA, 0x1f80 & ~0x200, 4); /* divide by zero unmasked */
		nm_store32(f->vp.cpu.vec + 160, 0x3f800000);
		nm_store64(f->vp.cpu.vec + 512, 3);
		assert_int_equal(vector_of(f), xm ? VECTOR_XM : VECTOR_UD);
		vp_vec_park(&f->vp);
		/* nothing was written */
		assert_int_equal(nm_load32(f->vp.cpu.vec + 160), 0x3f800000);
		/* but the flag is set */
		assert_int_equal(nm_load32(f->vp.cpu.vec + 24) & 4, 4);
	}
	START64(f, x87div);
	sysfix_poke(f, AT_DATA, 0x37b, 2);
	assert_int_equal(vector_of(f), VECTOR_MF);
	START64(f, x87maskmov); /* waits for it too, and runs in no stub */
	sysfix_poke(f, AT_DATA, 0x37b, 2);
	assert_int_equal(vector_of(f), VECTOR_MF);
	START64(f, mxcsr);
	sysfix_poke(f, AT_DATA, 0x80000000u, 4);
	assert_int_equal(vector_of(f), VECTOR_GP);
	START64(f, unaligned);
	f->vp.cpu.gpr[RBX] = AT_DATA + 8;
	assert_int_equal(vector_of(f), VECTOR_GP);
}

static int gate(struct sysfix *f, const u8 *begin, const u8 *end, u64 cr0_set, u64 cr0_clear,
		u64 cr4_clear)
{
	start64(f, begin, end);
	f->vp.cpu.cr0 = (f->vp.cpu.cr0 | cr0_set) & ~cr0_clear;
	f->vp.cpu.cr4 &= ~cr4_clear;
	engine_state_changed(&f->vp);
	return vector_of(f);
}
#define GATE(name, set, clear, clear4) gate(f, g_##name, g_##name##_end, set, clear, clear4)

static void gates_of_cr0_and_cr4(void **state)
{
	struct sysfix *f = *state;

	assert_int_equal(GATE(fpu, 0, 0, 0), -1);
	assert_int_equal(GATE(fpu, CR0_TS, 0, 0), VECTOR_NM);
	assert_int_equal(GATE(fpu, CR0_EM, 0, 0), VECTOR_NM);
	assert_int_equal(GATE(sse, 0, 0, 0), -1);
	assert_int_equal(GATE(sse, CR0_TS, 0, 0), VECTOR_NM);
	assert_int_equal(GATE(sse, CR0_EM, 0, 0), VECTOR_UD);
	assert_int_equal(GATE(sse, 0, 0, CR4_OSFXSR), VECTOR_UD);
	assert_int_equal(GATE(mmx, CR0_EM, 0, 0), VECTOR_UD);
	assert_int_equal(GATE(mmx, CR0_TS, 0, 0), VECTOR_NM);
	assert_int_equal(GATE(mmx, 0, 0, CR4_OSFXSR), -1);
	assert_int_equal(GATE(wait, CR0_TS, 0, 0), VECTOR_NM);
	assert_int_equal(GATE(wait, CR0_TS, CR0_MP, 0), -1);
	if (f->features.has_avx) {
		assert_int_equal(GATE(avx, 0, 0, 0), -1);
		assert_int_equal(GATE(avx, CR0_TS, 0, 0), VECTOR_NM);
		assert_int_equal(GATE(avx, 0, 0, CR4_OSXSAVE), VECTOR_UD);
		assert_int_equal(GATE(xsavec, CR0_TS, 0, 0), VECTOR_NM);
		assert_int_equal(GATE(xsavec, 0, 0, CR4_OSXSAVE), VECTOR_UD);
	}
	f->features.has_avx = false;
	start64(f, g_avx, g_avx_end);
	f->features.has_avx = false;
	code_cache_flush(&f->vp); /* what was decoded for another processor model */
	assert_int_equal(vector_of(f), VECTOR_UD);
}

static void xsave_round_trip(void **state)
{
	struct sysfix *f = *state;

	START64(f, xsave);
	if (!f->features.has_avx)
		skip();
	for (u32 i = 0; i < 32; i += 8)
		nm_store64(f->vp.cpu.vec + (i < 16 ? 160 + 48 + i : 576 + 48 + i - 16),
			   0x1111111111111111 * (i + 1));
	nm_store64(f->vp.cpu.vec + 512, 7);
	assert_int_equal(vector_of(f), -1);
	for (u32 i = 0; i < 32; i += 8)
		assert_int_equal(sysfix_peek(f, AT_DATA + 0x400 + i, 8),
				 0x1111111111111111 * (i + 1));
	assert_int_equal(sysfix_peek(f, IMAGE + 512, 8) & 6, 6);
	START64(f, xsavec);
	assert_int_equal(vector_of(f), -1);
	assert_int_equal(sysfix_peek(f, IMAGE + 520, 8), 1ull << 63 | 7);
	assert_int_equal(sysfix_peek(f, IMAGE + 512, 8) & 6, 0); /* init state is not saved */
}

static int xrstor_with(struct sysfix *f, u32 at, u64 value)
{
	START64(f, xrstor);
	for (u32 i = 0; i < 832; i += 8)
		sysfix_poke(f, IMAGE + i, 0, 8);
	sysfix_poke(f, IMAGE + at, value, 8);
	return vector_of(f);
}

static void xrstor_checks_its_header(void **state)
{
	struct sysfix *f = *state;

	START64(f, xrstor);
	if (!f->features.has_avx)
		skip();
	assert_int_equal(xrstor_with(f, 512, 0), -1);
	assert_int_equal(xrstor_with(f, 512, 7), -1);
	assert_int_equal(xrstor_with(f, 512, 8), VECTOR_GP);
	assert_int_equal(xrstor_with(f, 520, 1), VECTOR_GP);
	assert_int_equal(xrstor_with(f, 528, 1), VECTOR_GP);
	assert_int_equal(xrstor_with(f, 520, 1ull << 63 | 7), -1);
	assert_int_equal(xrstor_with(f, 520, 1ull << 63 | 8), VECTOR_GP);
	assert_int_equal(xrstor_with(f, 24, 1ull << 31), VECTOR_GP);
	START64(f, xrstor);
	f->vp.cpu.gpr[RDI] = IMAGE + 16;
	assert_int_equal(vector_of(f), VECTOR_GP);
}

/* Parked after every instruction or never: the same result. */
static void parking_changes_nothing(void **state)
{
	struct sysfix *f = *state;
	u64 got[2][4];

	for (int parked = 0; parked < 2; parked++) {
		START64(f, sum);
		for (u32 i = 0; i < 16; i += 4)
			sysfix_poke(f, AT_DATA + i, 0x3fc00000 + i, 4);
		for (u32 i = 0; i < 6; i++) {
			sysfix_run(f, 1);
			if (parked) {
				vp_vec_park(&f->vp);
				plant();
			}
		}
		for (u32 i = 0; i < 4; i++)
			got[parked][i] = sysfix_peek(f, AT_DATA + 0x400 + 8 * i, 8);
	}
	assert_memory_equal(got[0], got[1], sizeof(got[0]));
	assert_int_not_equal(got[0][0], 0);
}

/* More distinct instructions than the arena has room for: PSHUFD with every immediate and
 * register. */
static void full_arena_starts_anew(void **state)
{
	struct sysfix *f = *state;
	u8 code[5 * 256 + 1];
	u32 done = 0;

	for (u32 regs = 0; regs < 3 * 64; regs++) {
		u8 *p = code;
		for (u32 imm = 0; imm < 256; imm++) {
			const u8 insn[] = {0x66, 0x0f, 0x70, (u8)(0xc0 | (regs & 63)), (u8)imm};
			memcpy(p, insn, 5);
			if (regs >= 64) /* the same with other opcodes: PSHUFHW, PSHUFLW */
				p[0] = regs >= 128 ? 0xf3 : 0xf2;
			p += 5;
		}
		*p++ = 0xf4;
		START64(f, fpu);
		sysfix_bytes(f, AT_CODE, code, (u64)(p - code));
		nm_store64(f->vp.cpu.vec + 160 + 16 * (regs & 7), 0x4444333322221111);
		nm_store64(f->vp.cpu.vec + 168 + 16 * (regs & 7), 0x8888777766665555);
		nm_store64(f->vp.cpu.vec + 512, 3);
		u64 before = f->vp.insns;
		while (f->vp.cpu.activity == ACTIVITY_ACTIVE && f->vp.insns - before < 300)
			sysfix_run(f, 64);
		done += (u32)(f->vp.insns - before);
		vp_vec_park(&f->vp);
		/* the last one: immediate ff picks the top element everywhere it shuffles */
		u64 low = nm_load64(f->vp.cpu.vec + 160 + 16 * (regs >> 3 & 7));
		if ((regs & 7) != (regs >> 3 & 7) && regs < 64)
			assert_int_equal(low, 0x8888777788887777);
	}
	assert_in_range(done, 3 * 64 * 256, 3 * 64 * 258);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(images_hold_no_host_pointer, setup, teardown),
		cmocka_unit_test_setup_teardown(fnsave_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(unmasked_exceptions_reach_the_guest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(gates_of_cr0_and_cr4, setup, teardown),
		cmocka_unit_test_setup_teardown(xsave_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(xrstor_checks_its_header, setup, teardown),
		cmocka_unit_test_setup_teardown(parking_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(full_arena_starts_anew, setup, teardown),
	};
	return cmocka_run_group_tests_name("vec", tests, NULL, NULL);
}
