/*
 * The engine's core: exact counts, the operation cache under self-modification and remapping,
 * accesses across pages, REP strings, attention, modes with their limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/engine_sys_fixture.h"

static struct sysfix *f;

static int setup(void **state)
{
	f = sysfix_create();
	return 0;
}

static int teardown(void **state)
{
	sysfix_destroy(f);
	return 0;
}

static u64 *gpr(void)
{
	return f->vp.cpu.gpr;
}

static void long_mode(u64 rip)
{
	sysfix_reset(f);
	sysfix_long(f, rip);
	gpr()[RSP] = STACK0;
}

/* ---- counts ---- */

GUEST(count_loop, 64, "1: add $1, %rax; cmp $3, %rbx; jz 2f; inc %rdx; 2: dec %ecx; jnz 1b; hlt");

/* Stops exactly at any count, with the state that single steps give. */
static void stops_exactly(void **state)
{
	for (u64 n = 1; n < 200; n += 7) {
		u64 by_step[GPR_COUNT], rip;

		long_mode(AT_CODE);
		LOAD(f, AT_CODE, count_loop);
		gpr()[RCX] = 1000;
		for (u64 i = 0; i < n; i++)
			assert_int_equal(engine_run(&f->vp, f->vp.insns + 1), ENGINE_STOP_COUNT);
		memcpy(by_step, gpr(), sizeof(by_step));
		rip = f->vp.cpu.rip;

		long_mode(AT_CODE);
		gpr()[RCX] = 1000;
		u64 start = f->vp.insns;
		assert_int_equal(engine_run(&f->vp, start + n), ENGINE_STOP_COUNT);
		assert_int_equal(f->vp.insns, start + n);
		assert_int_equal(f->vp.cpu.rip, rip);
		assert_memory_equal(gpr(), by_step, sizeof(by_step));
	}
}

static void request_stops(void **state)
{
	long_mode(AT_CODE);
	LOAD(f, AT_CODE, count_loop);
	gpr()[RCX] = 1000;
	vp_request(&f->vp, VP_ATTN_REQUEST);
	u64 start = f->vp.insns;
	assert_int_equal(engine_run(&f->vp, ~0ull), ENGINE_STOP_REQUEST);
	assert_int_equal(f->vp.insns, start);
	assert_int_equal(engine_run(&f->vp, ~0ull), ENGINE_STOP_HALT);
	assert_int_equal(gpr()[RAX], 1000);
	assert_int_equal(f->vp.insns, start + 6 * 1000 + 1);
}

/* ---- self-modifying code ---- */

GUEST(smc_ahead, 64, "movb $0x42, 1f+1(%rip); 1: mov $0, %al; hlt");
GUEST(smc_loop, 64,
      "1: mov %cl, 2f+1(%rip); 2: mov $0, %al; add %rax, %rbx; dec %ecx; jnz 1b; hlt");
GUEST(smc_straddle, 64, "movb $0x42, (%rdi); jmp *%rsi");
GUEST(smc_string, 64, "cld; rep stosb; 1: nop; nop; nop; nop; hlt");

static void modifies_the_next_instruction(void **state)
{
	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_ahead);
	sysfix_run(f, 10);
	assert_int_equal(gpr()[RAX] & 0xff, 0x42);
}

static void modifies_in_a_loop(void **state)
{
	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_loop);
	gpr()[RCX] = 200;
	sysfix_run(f, 2000);
	assert_int_equal(gpr()[RBX], 200 * 201 / 2);
}

GUEST(smc_beside, 64,
      "1: mov %ecx, 2f(%rip); call 3f; dec %ecx; jnz 1b; hlt; .balign 128; 2: .long 0; .balign 128;"
      "3: inc %ebx; ret");

/* Data in another line of the page than the code that runs: nothing is made anew. */
static void modifies_beside_code(void **state)
{
	u64 decoded, kills;

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_beside);
	gpr()[RCX] = 200;
	sysfix_run(f, 10);
	decoded = f->vp.n_blocks_decoded;
	kills = f->vp.n_block_kills;
	sysfix_run(f, 2000);
	assert_int_equal(gpr()[RBX], 200);
	assert_true(f->vp.n_blocks_decoded < decoded + 10);
	assert_int_equal(f->vp.n_block_kills, kills);
}

GUEST(smc_by_chance, 64,
      "1: mov %r8, %rdi; lea 2f+3(%rip), %rsi; test $15, %cl; cmovz %rsi, %rdi; mov %cl, (%rdi);"
      "jmp 2f; .balign 128; 2: add $0, %rbx; dec %rcx; jnz 1b; hlt");

/* A store that goes to data fifteen times, so that all that follows is chained, and then to code
 * that comes next. */
static void modifies_code_by_chance(void **state)
{
	u64 want = 0, imm = 0;

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_by_chance);
	gpr()[RCX] = 1000;
	gpr()[RBX] = 0;
	gpr()[8] = AT_CODE + 0x8000;
	for (u64 c = 1000; c; c--) {
		imm = c & 15 ? imm : (u64)(s64)(s8)c;
		want += imm;
	}
	sysfix_run(f, 1000 * 10);
	assert_int_equal(gpr()[RBX], want);
}

GUEST(smc_generated, 64,
      "1: mov $100, %edx; jmp 2f; .balign 128; 2: mov %cl, 3(%r8); dec %edx; jnz 2b; call *%r8; "
      "dec %rcx; jnz 1b; hlt");
GUEST(smc_template, 64, "add $0, %rbx; ret");

/* As a guest that translates does: a loop writes to a page of data, then that is run, and so on. */
static void runs_what_it_wrote(void **state)
{
	u64 want = 0;

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_generated);
	LOAD(f, AT_CODE + 0x8000, smc_template);
	gpr()[RCX] = 100;
	gpr()[RBX] = 0;
	gpr()[8] = AT_CODE + 0x8000;
	for (u64 c = 100; c; c--)
		want += c;
	sysfix_run(f, 100 * 320);
	assert_int_equal(gpr()[RBX], want);
}

GUEST(smc_immediates, 64,
      "1: mov %cl, 2f+2(%rip); mov %ecx, 3f+3(%rip); mov %rcx, 4f+2(%rip); neg %rcx; mov %cl, "
      "5f+3(%rip);"
      "mov %cx, 6f+4(%rip); neg %rcx; call 7f; dec %rcx; jnz 1b; hlt; .balign 128;"
      "7: 2: mov $0, %sil; movzbl %sil, %esi; add %rsi, %rbx; 3: add $0x11111111, %rbx; 4: movabs "
      "$0x1111111111111111, %rax;"
      "add %rax, %rbx; 5: sub $1, %rbx; 6: movw $0x1111, 0x8(%rdi); movzwl 0x8(%rdi), %eax; add "
      "%rax, %rbx; ret");

/* Immediates of each width, extended by sign or not: new ones are taken without making the block
 * anew. */
static void modifies_immediates(void **state)
{
	u64 want = 0, decoded;

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_immediates);
	gpr()[RCX] = 300;
	gpr()[RDI] = AT_CODE + 0x8000;
	gpr()[RBX] = 0;
	for (u64 c = 300; c; c--)
		want += (u8)c + c + c - (u64)(s64)(s8)-c + (u16)-c;
	sysfix_run(f, 60);
	decoded = f->vp.n_blocks_decoded;
	sysfix_run(f, 300 * 30);
	assert_int_equal(gpr()[RBX], want);
	assert_true(f->vp.n_blocks_decoded < decoded + 10);
}

GUEST(smc_toggle, 64,
      "1: xorb $0x08, 2f+1(%rip); call 2f; dec %ecx; jnz 1b; hlt; .balign 128; 2: add %eax, %ebx; "
      "ret");

/* A ModRM goes back and forth between two operands: two blocks do. */
static void code_goes_back_and_forth(void **state)
{
	u64 want = 0, decoded;

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_toggle);
	gpr()[RCX] = 300;
	gpr()[RAX] = 1000;
	gpr()[RBX] = 0;
	for (u64 c = 300; c; c--)
		want += c & 1 ? 1000 : c;
	sysfix_run(f, 60);
	decoded = f->vp.n_blocks_decoded;
	sysfix_run(f, 300 * 10);
	assert_int_equal(gpr()[RBX], want);
	assert_true(f->vp.n_blocks_decoded < decoded + 10);
}

/* Four NOPs become INC EAX byte by byte from a REP STOSB that runs right before them. */
static void string_modifies_code(void **state)
{
	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_string);
	gpr()[RDI] = AT_CODE + 3;
	gpr()[RCX] = 4;
	gpr()[RAX] = 0xf4; /* HLT */
	sysfix_run(f, 10);
	assert_int_equal(f->vp.cpu.rip, AT_CODE + 4);
}

GUEST(stos_itself, 64, "cld; rep stosb; hlt");

/* A REP STOSB that comes by its own bytes is fetched anew 64 bytes further at the latest, at the
 * same count however the run is cut. @skip: bytes before the page end, so that it lies in one page
 * or in two, of which it changes the second; @before: bytes it stores before its own. */
static void check_stos_itself(u64 skip, u64 before)
{
	for (u64 step = 1; step <= 1000; step *= 3) {
		u64 at = AT_CODE + PAGE_SIZE - skip, start;
		u64 groups = before / 64 + 1;

		long_mode(at);
		LOAD(f, at, stos_itself);
		gpr()[RDI] = skip == 2 ? at + 2 : at + 1 - before;
		gpr()[RCX] = 100000;
		gpr()[RAX] = 0xf4; /* HLT */
		start = f->vp.insns;
		while (f->vp.cpu.activity == ACTIVITY_ACTIVE && f->vp.insns < start + 2000)
			engine_run(&f->vp, f->vp.insns + step);
		assert_int_equal(f->vp.cpu.activity, ACTIVITY_HLT);
		assert_int_equal(gpr()[RCX], 100000 - 64 * groups);
		assert_int_equal(f->vp.insns - start, 2 + groups);
	}
}

static void string_modifies_itself(void **state)
{
	for (u64 before = 1; before < 300; before++)
		check_stos_itself(0x800, before);
	check_stos_itself(2, 0); /* the prefix is the last byte of its page */
}

/* MOV AL, imm8 over a page end; its second page is changed. */
static void modifies_second_page(void **state)
{
	static const u8 code[] = {0xb0, 0x00, 0xf4};

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smc_straddle);
	sysfix_bytes(f, AT_USER_CODE + 0xfff, code, sizeof(code));
	for (u32 i = 0; i < 3; i++) {
		sysfix_poke(f, AT_CODE + 2, 0x10 + i, 1);
		f->vp.cpu.rip = AT_CODE;
		f->vp.cpu.activity = ACTIVITY_ACTIVE;
		gpr()[RDI] = AT_USER_CODE + 0x1000;
		gpr()[RSI] = AT_USER_CODE + 0xfff;
		sysfix_run(f, 10);
		assert_int_equal(gpr()[RAX] & 0xff, 0x10 + i);
	}
}

/* Code that L0 or a device writes between two runs. */
static void modified_from_outside(void **state)
{
	static const u8 code[] = {0xb0, 0x11, 0xf4};

	long_mode(AT_CODE);
	for (u32 i = 0; i < 3; i++) {
		sysfix_bytes(f, AT_CODE, code, sizeof(code));
		sysfix_poke(f, AT_CODE + 1, i, 1);
		f->vp.cpu.rip = AT_CODE;
		f->vp.cpu.activity = ACTIVITY_ACTIVE;
		sysfix_run(f, 5);
		assert_int_equal(gpr()[RAX] & 0xff, i);
	}
}

/* The cache is bounded: far more code than it holds. */
static void cache_overflows(void **state)
{
	u8 page[4096];

	for (u32 i = 0; i < 4096; i += 4)
		memcpy(page + i, "\xff\xc0\xeb\x00", 4); /* inc eax; jmp +0 */
	long_mode(0x100000);
	for (u32 p = 0; p < 64; p++)
		sysfix_bytes(f, 0x100000 + p * 4096, page, 4096);
	sysfix_poke(f, 0x100000 + 64 * 4096, 0xf4, 1);
	for (u32 r = 0; r < 3; r++) {
		f->vp.cpu.rip = 0x100000;
		f->vp.cpu.activity = ACTIVITY_ACTIVE;
		gpr()[RAX] = 0;
		sysfix_run(f, 1 << 20);
		assert_int_equal(gpr()[RAX], 64 * 1024);
	}
}

/* ---- memory ---- */

GUEST(cross, 64,
      "mov %rax, (%rdi); mov (%rdi), %rbx; lock addq $1, (%rdi); xchg %rcx, (%rdi); hlt");

static void accesses_cross_pages(void **state)
{
	for (u64 off = 0xff8; off <= 0x1000; off++) {
		long_mode(AT_CODE);
		LOAD(f, AT_CODE, cross);
		gpr()[RAX] = 0x1122334455667788;
		gpr()[RCX] = 0x99;
		gpr()[RDI] = 0x200000 + off;
		sysfix_run(f, 10);
		assert_int_equal(gpr()[RBX], 0x1122334455667788);
		assert_int_equal(gpr()[RCX], 0x1122334455667789);
		assert_int_equal(sysfix_peek(f, 0x200000 + off, 8), 0x99);
	}
}

/* ---- fetching ---- */

static u32 fault_of(u64 at, const char *bytes, u32 n)
{
	long_mode(at);
	sysfix_bytes(f, at, bytes, n);
	f->vp.ctl.exception_bitmap = ~0u;
	engine_state_changed(&f->vp);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	return f->vp.exit.intr_info & 0xff;
}

static void bad_instructions(void **state)
{
	static const char prefixes[16] =
		"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90";

	assert_int_equal(fault_of(AT_CODE, prefixes, 16), VECTOR_GP);
	assert_int_equal(fault_of(AT_CODE, "\xf0\x89\x07", 3), VECTOR_UD); /* lock mov [rdi], eax */
	assert_int_equal(fault_of(AT_CODE, "\xf0\x01\xc0", 3), VECTOR_UD); /* lock add eax, eax */
	assert_int_equal(fault_of(AT_CODE, "\x06", 1), VECTOR_UD);	   /* push es */
	assert_int_equal(f->vp.cpu.rip, AT_CODE);
}

/* The page after an instruction's first byte is not there: #PF at it, after those before it. */
static void fetch_faults_in_second_page(void **state)
{
	long_mode(4 * MIB - 3);
	sysfix_bytes(f, 4 * MIB - 3, "\xff\xc0\xb0", 3); /* inc eax; mov al, … */
	sysfix_poke(f, AT_PD + 8 * 2, 0, 8);
	f->vp.ctl.exception_bitmap = 1u << VECTOR_PF;
	engine_state_changed(&f->vp);
	u64 start = f->vp.insns;
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.qualification, 4 * MIB);
	assert_int_equal(f->vp.cpu.rip, 4 * MIB - 1);
	assert_int_equal(gpr()[RAX], 1);
	assert_int_equal(f->vp.insns - start, 1);
}

/* An instruction that the code segment's limit cuts. */
static void fetch_ends_at_the_limit(void **state)
{
	sysfix_reset(f);
	sysfix_real(f, 0x1000, 0xfffe);
	sysfix_bytes(f, 0x1fffe, "\x40\xb8", 2); /* inc ax; mov ax, … */
	f->vp.ctl.exception_bitmap = 1u << VECTOR_GP;
	engine_state_changed(&f->vp);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.intr_info & 0xff, VECTOR_GP);
	assert_int_equal(f->vp.cpu.rip, 0xffff);
	assert_int_equal((u16)gpr()[RAX], 1);
}

/* ---- REP ---- */

GUEST(rep_movsb, 64, "rep movsb; hlt");
GUEST(rep_scasb, 64, "repne scasb; hlt");
GUEST(rep_cmpsb, 64, "repe cmpsb; hlt");
GUEST(rep_stosq, 64, "rep stosq; hlt");

static void start_string(u64 bytes, bool down)
{
	long_mode(AT_CODE);
	for (u32 i = 0; i < 8192; i++)
		((u8 *)mem_ram_base(f->mem))[0x200000 + i] = (u8)(i * 7);
	gpr()[RSI] = down ? 0x201fff : 0x200010;
	gpr()[RDI] = down ? 0x301fff : 0x300020;
	gpr()[RCX] = bytes;
	f->vp.cpu.rflags = RFLAGS_FIXED | (down ? RFLAGS_DF : 0);
	engine_state_changed(&f->vp);
}

/* The count is one for each started 64 bytes, however the run is cut. */
static void rep_counts(void **state)
{
	static const u64 sizes[] = {0, 1, 63, 64, 65, 200, 4096, 6000};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		for (u32 down = 0; down < 2; down++)
			for (u64 step = 1; step <= 1000; step *= 7) {
				u64 n = sizes[i], start, want = n ? (n + 63) / 64 : 1;

				start_string(n, down);
				LOAD(f, AT_CODE, rep_movsb);
				start = f->vp.insns;
				while (f->vp.cpu.rip == AT_CODE) {
					u64 until = f->vp.insns + step;

					enum engine_stop why = engine_run(&f->vp, until);

					assert_int_equal(why == ENGINE_STOP_COUNT,
							 f->vp.insns == until);
					assert_true(f->vp.insns <= until);
				}
				if (f->vp.cpu.activity == ACTIVITY_HLT)
					want++;
				assert_int_equal(f->vp.insns - start, want);
				assert_int_equal(gpr()[RCX], 0);
				assert_memory_equal(
					mem_ram_base(f->mem) + (down ? 0x302000 - n : 0x300020),
					mem_ram_base(f->mem) + (down ? 0x202000 - n : 0x200010), n);
			}
}

static void rep_compares(void **state)
{
	start_string(1000, false);
	LOAD(f, AT_CODE, rep_scasb);
	memset(mem_ram_base(f->mem) + 0x300020, 1, 1000);
	sysfix_poke(f, 0x300020 + 300, 9, 1);
	gpr()[RAX] = 9;
	sysfix_run(f, 100);
	assert_int_equal(gpr()[RDI], 0x300020 + 301);
	assert_int_equal(gpr()[RCX], 1000 - 301);
	assert_true(f->vp.cpu.rflags & RFLAGS_ZF);

	start_string(1000, false);
	LOAD(f, AT_CODE, rep_cmpsb);
	memcpy(mem_ram_base(f->mem) + 0x300020, mem_ram_base(f->mem) + 0x200010, 1000);
	sysfix_poke(f, 0x300020 + 500, 0xee, 1);
	sysfix_run(f, 100);
	assert_int_equal(gpr()[RDI], 0x300020 + 501);
	assert_false(f->vp.cpu.rflags & RFLAGS_ZF);
}

/* Overlapping copies repeat a pattern as the processor's do. */
static void rep_overlaps(void **state)
{
	start_string(5000, false);
	LOAD(f, AT_CODE, rep_movsb);
	gpr()[RDI] = gpr()[RSI] + 3;
	sysfix_run(f, 1000);
	for (u32 i = 0; i < 5000; i++)
		assert_int_equal(sysfix_peek(f, 0x200013 + i, 1), (u8)((0x10 + i % 3) * 7));
}

/* Of two operands that cannot be read the processor reports the one at RDI (as the host's does). */
static void compare_faults_at_second_operand(void **state)
{
	start_string(1, false);
	LOAD(f, AT_CODE, rep_cmpsb);
	gpr()[RSI] = UINT64_C(1) << 47; /* #GP */
	gpr()[RDI] = 0x400000;		/* not mapped: #PF */
	sysfix_poke(f, AT_PD + 8 * 2, 0, 8);
	f->vp.ctl.exception_bitmap = 1u << VECTOR_PF | 1u << VECTOR_GP;
	engine_state_changed(&f->vp);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.intr_info & 0xff, VECTOR_PF);
	assert_int_equal(f->vp.exit.qualification, 0x400000);
}

/* A page fault in the middle leaves the registers at the element and counts what was done. */
static void rep_faults_in_the_middle(void **state)
{
	u64 start;

	start_string(100, false);
	LOAD(f, AT_CODE, rep_stosq);
	sysfix_poke(f, AT_PD + 8 * 2, 0, 8); /* 4 MiB .. 6 MiB are not mapped */
	f->vp.ctl.exception_bitmap = 1u << VECTOR_PF;
	engine_state_changed(&f->vp);
	gpr()[RDI] = 4 * MIB - 80;
	start = f->vp.insns;
	assert_int_equal(sysfix_run(f, 1000), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.qualification, 4 * MIB);
	assert_int_equal(f->vp.cpu.rip, AT_CODE);
	assert_int_equal(gpr()[RCX], 90);
	assert_int_equal(gpr()[RDI], 4 * MIB);
	assert_int_equal(f->vp.insns - start, 2);
}

/* ---- 16-bit mode ---- */

GUEST(real_wrap, 16, "mov $0xfffe, %bx; mov $0x1234, %ax; mov %ax, (%bx); mov (%bx), %cx; hlt");
GUEST(real_limit, 16, "mov $0xffff, %bx; mov (%bx), %cx; hlt");
GUEST(real_call, 16,
      "mov $0x1000, %sp; call 1f; hlt; 1: push %bp; mov %sp, %bp; mov 2(%bp), %dx; leave; ret");
GUEST(bcd, 16,
      "mov $0x1234, %ax; add $0x19, %al; daa; mov %al, %bl; mov $0x105, %ax; sub $6, %al; aas; "
      "hlt");

static void real_mode(void **state)
{
	sysfix_reset(f);
	sysfix_real(f, AT_CODE >> 4, 0);
	LOAD(f, AT_CODE, real_wrap);
	sysfix_run(f, 10);
	assert_int_equal((u16)gpr()[RCX], 0x1234);

	sysfix_reset(f);
	sysfix_real(f, AT_CODE >> 4, 0);
	f->vp.cpu.gpr[RSP] = 0x2000;
	f->vp.ctl.exception_bitmap = 1u << VECTOR_GP;
	engine_state_changed(&f->vp);
	LOAD(f, AT_CODE, real_limit);
	assert_int_equal(sysfix_run(f, 10), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.intr_info & 0xff, VECTOR_GP);
	assert_int_equal(f->vp.cpu.rip, 3);

	sysfix_reset(f);
	sysfix_real(f, AT_CODE >> 4, 0);
	LOAD(f, AT_CODE, real_call);
	sysfix_run(f, 20);
	assert_int_equal((u16)gpr()[RDX], 6);
	assert_int_equal((u16)gpr()[RSP], 0x1000);

	sysfix_reset(f);
	sysfix_real(f, AT_CODE >> 4, 0);
	LOAD(f, AT_CODE, bcd);
	sysfix_run(f, 20);
	assert_int_equal((u8)gpr()[RBX], 0x53);
	assert_int_equal((u16)gpr()[RAX], 0x0009);
}

/* ---- 32-bit mode ---- */

GUEST(smap_loop, 64,
      "stac; mov $3000, %ecx; call 1f; clac; mov $3000, %ecx; call 1f; hlt; .balign 128;"
      "1: mov (%rdi), %rax; add %rax, %rbx; dec %ecx; jnz 1b; ret");

/* A loop that read a user page with RFLAGS.AC may not without, however hot it is (SDM 3A
 * "Determination of Access Rights"). */
static void smap_after_clac(void **state)
{
	const u64 user_page = PAGE_SIZE_2M + 0x1000;

	long_mode(AT_CODE);
	LOAD(f, AT_CODE, smap_loop);
	sysfix_poke(f, AT_PD, 0x83, 8); /* the first 2 MiB are a supervisor's */
	sysfix_poke(f, user_page, 7, 8);
	f->vp.cpu.cr4 |= CR4_SMAP;
	engine_state_changed(&f->vp);
	gpr()[RDI] = user_page;
	gpr()[RBX] = 0;
	assert_int_equal(sysfix_run(f, 20000), ENGINE_STOP_HALT);
	assert_int_equal(sysfix_handled(f), VECTOR_PF);
	assert_int_equal(f->vp.cpu.cr2, user_page);
	assert_int_equal(gpr()[RBX], 7 * 3000);
	assert_int_equal(gpr()[RCX], 3000);
}

GUEST(prot, 32,
      "push $0x11223344; pop %eax; call 1f; 1: pop %edx; mov $-4, %ecx; mov 8(%ecx), %ebx; pushal; "
      "popal; hlt");

static void protected_mode(void **state)
{
	sysfix_reset(f);
	sysfix_protected(f, AT_CODE);
	gpr()[RSP] = STACK0;
	LOAD(f, AT_CODE, prot);
	sysfix_poke(f, 4, 0xdeadbeef, 4);
	sysfix_run(f, 20);
	assert_int_equal(gpr()[RAX], 0x11223344);
	assert_int_equal(gpr()[RDX], AT_CODE + 11);
	assert_int_equal(gpr()[RBX], 0xdeadbeef);
	assert_int_equal(gpr()[RSP], STACK0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_exactly),
		cmocka_unit_test(request_stops),
		cmocka_unit_test(modifies_the_next_instruction),
		cmocka_unit_test(modifies_in_a_loop),
		cmocka_unit_test(modifies_beside_code),
		cmocka_unit_test(modifies_code_by_chance),
		cmocka_unit_test(runs_what_it_wrote),
		cmocka_unit_test(modifies_immediates),
		cmocka_unit_test(code_goes_back_and_forth),
		cmocka_unit_test(string_modifies_code),
		cmocka_unit_test(string_modifies_itself),
		cmocka_unit_test(modifies_second_page),
		cmocka_unit_test(modified_from_outside),
		cmocka_unit_test(cache_overflows),
		cmocka_unit_test(accesses_cross_pages),
		cmocka_unit_test(bad_instructions),
		cmocka_unit_test(fetch_faults_in_second_page),
		cmocka_unit_test(fetch_ends_at_the_limit),
		cmocka_unit_test(rep_counts),
		cmocka_unit_test(rep_compares),
		cmocka_unit_test(rep_overlaps),
		cmocka_unit_test(compare_faults_at_second_operand),
		cmocka_unit_test(rep_faults_in_the_middle),
		cmocka_unit_test(real_mode),
		cmocka_unit_test(protected_mode),
		cmocka_unit_test(smap_after_clac),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
