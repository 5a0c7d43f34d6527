/*
 * Intercepts: for each instruction and control, that it exits exactly when the control is set, with
 * the right reason, qualification, instruction information and length; every bit of the port and
 * MSR bitmaps; the guest/host masks of CR0 and CR4; VMREAD and VMWRITE through a shadow VMCS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "l0/arch/vmcs12.h"
#include "tests/unit/engine_sys_fixture.h"

static struct sysfix *f;

static int setup(void **state)
{
	sysfix_reset(f);
	sysfix_long(f, AT_CODE);
	return 0;
}
static int create(void **state)
{
	f = sysfix_create();
	return 0;
}
static int destroy(void **state)
{
	sysfix_destroy(f);
	return 0;
}

#define REGS (f->vp.cpu)
#define CODE(bytes) sysfix_bytes(f, REGS.rip, bytes, sizeof(bytes) - 1)

/* Run one instruction. Return: its exit reason, or -1. */
static int one(void)
{
	u64 rip = REGS.rip;

	if (sysfix_run(f, 1) != ENGINE_STOP_EXIT)
		return -1;
	assert_int_equal(REGS.rip, rip);
	return (int)f->vp.exit.reason;
}

static void again(void)
{
	setup(NULL);
}

/* --- one control, one instruction ------------------------------------------------------------- */

static const struct {
	const char *code;
	u32 len;
	u32 proc, proc2, reason;
} plain[] = {
	{"\xf4", 1, PROC_HLT, 0, EXIT_REASON_HLT},
	{"\x0f\x01\x3b", 3, PROC_INVLPG, 0, EXIT_REASON_INVLPG},
	{"\x0f\x01\xc9", 3, PROC_MWAIT, 0, EXIT_REASON_MWAIT},
	{"\x0f\x01\xc8", 3, PROC_MONITOR, 0, EXIT_REASON_MONITOR},
	{"\x0f\x33", 2, PROC_RDPMC, 0, EXIT_REASON_RDPMC},
	{"\x0f\x31", 2, PROC_RDTSC, 0, EXIT_REASON_RDTSC},
	{"\x0f\x01\xf9", 3, PROC_RDTSC, 0, EXIT_REASON_RDTSCP},
	{"\x0f\x22\xd8", 3, PROC_CR3_LOAD, 0, EXIT_REASON_CR_ACCESS},
	{"\x0f\x20\xd8", 3, PROC_CR3_STORE, 0, EXIT_REASON_CR_ACCESS},
	{"\x44\x0f\x22\xc1", 4, PROC_CR8_LOAD, 0, EXIT_REASON_CR_ACCESS},
	{"\x44\x0f\x20\xc0", 4, PROC_CR8_STORE, 0, EXIT_REASON_CR_ACCESS},
	{"\x0f\x21\xc0", 3, PROC_MOV_DR, 0, EXIT_REASON_DR_ACCESS},
	{"\x0f\x23\xc0", 3, PROC_MOV_DR, 0, EXIT_REASON_DR_ACCESS},
	{"\xf3\x90", 2, PROC_PAUSE, 0, EXIT_REASON_PAUSE},
	{"\x0f\x09", 2, 0, PROC2_WBINVD, EXIT_REASON_WBINVD},
	{"\x48\x0f\xc7\xf3", 4, 0, PROC2_RDRAND, EXIT_REASON_RDRAND},
	{"\x0f\xc7\xfb", 3, 0, PROC2_RDSEED, EXIT_REASON_RDSEED},
	{"\x66\x0f\x38\x82\x0b", 5, PROC_INVLPG, PROC2_INVPCID, EXIT_REASON_INVPCID},
	{"\x0f\x01\x03", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_GDTR_IDTR},
	{"\x0f\x01\x0b", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_GDTR_IDTR},
	{"\x0f\x01\x13", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_GDTR_IDTR},
	{"\x0f\x01\x1b", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_GDTR_IDTR},
	{"\x0f\x00\xc0", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR},
	{"\x0f\x00\xc8", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR},
	{"\x0f\x00\xd0", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR},
	{"\x0f\x00\xd8", 3, 0, PROC2_DESCRIPTOR_TABLE, EXIT_REASON_LDTR_TR},
};

static void prepare_plain(u32 i)
{
	again();
	REGS.gpr[RBX] = AT_DATA;
	REGS.gpr[RAX] = REGS.cr3;
	REGS.gpr[RCX] = 0;
	sysfix_poke(f, AT_DATA, 0, 8);
	sysfix_poke(f, AT_DATA + 8, 0, 8);
	if (plain[i].reason == EXIT_REASON_INVPCID)
		REGS.gpr[RBX] += 64;
	sysfix_poke(f, AT_DATA, GDT_LIMIT, 2); /* operand of LGDT: the same table */
	sysfix_poke(f, AT_DATA + 2, AT_GDT, 8);
	sysfix_bytes(f, AT_CODE, plain[i].code, plain[i].len);
}

/* Every bit of both control words: only the instruction's own makes it exit. */
static void every_control_bit(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(plain); i++) {
		for (u32 bit = 0; bit < 64; bit++) {
			u32 b = 1u << (bit & 31);
			u32 *word = bit < 32 ? &f->vp.ctl.proc : &f->vp.ctl.proc2;
			bool own = bit < 32 ? plain[i].proc & b
					    : !plain[i].proc && (plain[i].proc2 & b);
			int want = own ? (int)plain[i].reason : -1;

			prepare_plain(i);
			if (bit < 32 &&
			    (b & (PROC_MSR_BITMAPS | PROC_IO_BITMAPS | PROC_SECONDARY |
				  PROC_TPR_SHADOW | PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW)))
				continue; /* not about instructions, or on already */
			if (bit >= 32 && (b & PROC2_PAUSE_LOOP))
				continue;
			*word |= b;
			if (plain[i].reason == EXIT_REASON_RDPMC && !own)
				/* no such counter */
				REGS.gpr[RCX] = 4, f->vp.ctl.exception_bitmap = ~0u,
				want = EXIT_REASON_EXCEPTION_NMI;
			else if (plain[i].reason == EXIT_REASON_INVPCID && !own)
				f->vp.ctl.exception_bitmap = 0; /* runs: type in RCX is 0 */
			else if (plain[i].reason == EXIT_REASON_LDTR_TR &&
				 plain[i].code[2] == '\xd8' && !own)
				REGS.gpr[RAX] = 0, f->vp.ctl.exception_bitmap = ~0u,
				want = EXIT_REASON_EXCEPTION_NMI;
			else if (plain[i].reason == EXIT_REASON_LDTR_TR &&
				 plain[i].code[2] == '\xd0' && !own)
				REGS.gpr[RAX] = 0;
			int got = one();

			if (got != want)
				fail_msg("insn %u, control bit %u: exit %d, wanted %d", i, bit, got,
					 want);
			if (own)
				assert_int_equal(f->vp.exit.insn_len, plain[i].len);
		}
	}
}

static void unconditional(void **state)
{
	static const struct {
		const char *code;
		u32 len, reason;
		bool native_runs;
	} t[] = {
		{"\x0f\xa2", 2, EXIT_REASON_CPUID, false},
		{"\x0f\x08", 2, EXIT_REASON_INVD, true},
		{"\x0f\x01\xd1", 3, EXIT_REASON_XSETBV, true},
		{"\x0f\x01\xc1", 3, EXIT_REASON_VMCALL, false},
		{"\x0f\x01\xc2", 3, EXIT_REASON_VMLAUNCH, false},
		{"\x0f\x01\xc3", 3, EXIT_REASON_VMRESUME, false},
		{"\x0f\x01\xc4", 3, EXIT_REASON_VMXOFF, false},
		{"\x66\x0f\xc7\x33", 4, EXIT_REASON_VMCLEAR, false},
		{"\x0f\xc7\x33", 3, EXIT_REASON_VMPTRLD, false},
		{"\x0f\xc7\x3b", 3, EXIT_REASON_VMPTRST, false},
		{"\xf3\x0f\xc7\x33", 4, EXIT_REASON_VMXON, false},
		{"\x0f\x78\xd8", 3, EXIT_REASON_VMREAD, false},
		{"\x0f\x79\xd8", 3, EXIT_REASON_VMWRITE, false},
		{"\x66\x0f\x38\x80\x0b", 5, EXIT_REASON_INVEPT, false},
		{"\x66\x0f\x38\x81\x0b", 5, EXIT_REASON_INVVPID, false},
	};

	for (u32 native = 0; native < 2; native++) {
		for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
			bool vmx = t[i].reason >= EXIT_REASON_VMCALL &&
				   t[i].reason != EXIT_REASON_XSETBV;

			again();
			f->vp.ctl.l0_native = native;
			f->vp.vmxon = true;
			REGS.cr4 |= CR4_VMXE | CR4_OSXSAVE;
			REGS.gpr[RBX] = AT_DATA;
			REGS.gpr[RAX] = 3;
			sysfix_bytes(f, AT_CODE, t[i].code, t[i].len);
			assert_int_equal(one(), native && t[i].native_runs ? -1 : (int)t[i].reason);
			if (!vmx)
				continue;
			/* L1 at level 3: #GP; a guest of L1 at level 3 exits */
			for (u32 l2 = 0; l2 < 2; l2++) {
				again();
				f->vp.vmxon = true;
				f->vp.in_l2 = l2;
				REGS.cr4 |= CR4_VMXE;
				sysfix_user(f, AT_USER_CODE);
				REGS.gpr[RBX] = AT_DATA;
				f->vp.ctl.exception_bitmap = ~0u;
				sysfix_bytes(f, AT_USER_CODE, t[i].code, t[i].len);
				assert_int_equal(one(),
						 l2 ? (int)t[i].reason : EXIT_REASON_EXCEPTION_NMI);
				if (!l2)
					assert_int_equal(f->vp.exit.intr_info & 0xff, VECTOR_GP);
			}
			/* outside of VMX operation: #UD, but VMXON needs only CR4.VMXE */
			again();
			f->vp.ctl.exception_bitmap = ~0u;
			sysfix_bytes(f, AT_CODE, t[i].code, t[i].len);
			assert_int_equal(one(), EXIT_REASON_EXCEPTION_NMI);
			assert_int_equal(f->vp.exit.intr_info & 0xff, VECTOR_UD);
		}
	}
}

/* --- qualifications and instruction information ----------------------------------------------- */

static void cr_qualifications(void **state)
{
	f->vp.ctl.proc |= PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD;
	REGS.gpr[R9] = 0x1234000;
	CODE("\x41\x0f\x22\xd9");
	assert_int_equal(one(), EXIT_REASON_CR_ACCESS);
	assert_int_equal(f->vp.exit.qualification, 3 | 0 << 4 | 9 << 8);
	assert_int_equal(f->vp.exit.operand_value, 0x1234000);
	CODE("\x0f\x20\xdb");
	one();
	assert_int_equal(f->vp.exit.qualification, 3 | 1 << 4 | 3 << 8);
	CODE("\x44\x0f\x22\xc7");
	one();
	assert_int_equal(f->vp.exit.qualification, 8 | 0 << 4 | 7 << 8);
	f->vp.ctl.cr3_target_count = 1; /* a target value does not exit */
	f->vp.ctl.cr3_target[0] = AT_PML4;
	REGS.gpr[RAX] = AT_PML4;
	CODE("\x0f\x22\xd8");
	assert_int_equal(one(), -1);
}

static void masks(u32 cr, u64 writable, u64 base)
{
	u8 to[] = {0x0f, 0x22, (u8)(0xc0 | cr << 3)}, from[] = {0x0f, 0x20, (u8)(0xc3 | cr << 3)};

	for (u32 bit = 0; bit < 32; bit++) {
		u64 b = 1ull << bit;

		if (!(writable & b))
			continue;
		for (u32 shadow = 0; shadow < 2; shadow++) {
			for (u32 value = 0; value < 2; value++) {
				u64 *reg = cr ? &REGS.cr4 : &REGS.cr0;
				u64 *mask = cr ? &f->vp.ctl.cr4_mask : &f->vp.ctl.cr0_mask;
				u64 *shad = cr ? &f->vp.ctl.cr4_shadow : &f->vp.ctl.cr0_shadow;
				u64 old;

				again();
				old = *reg;
				*mask = b;
				*shad = shadow ? b : 0;
				REGS.gpr[RAX] = value ? base | b : base & ~b;
				sysfix_bytes(f, AT_CODE, to, 3);
				sysfix_bytes(f, AT_CODE + 3, from, 3);
				if (shadow != value) {
					assert_int_equal(one(), EXIT_REASON_CR_ACCESS);
					assert_int_equal(*reg, old);
					continue;
				}
				assert_int_equal(one(), -1);
				assert_int_equal(*reg & b,
						 old & b); /* the mask keeps the real bit */
				one();
				assert_int_equal(REGS.gpr[RBX] & b, shadow ? b : 0);
			}
		}
	}
}

static void guest_host_masks(void **state)
{
	masks(0, CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_CD,
	      CR0_PE | CR0_PG | CR0_NE | CR0_ET);
	masks(4, CR4_TSD | CR4_DE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_VMXE | CR4_OSXSAVE,
	      CR4_PAE);
}

static void clts_and_lmsw(void **state)
{
	/* mask TS, shadow TS: exit; no change; plain */
	static const struct {
		u64 mask, shadow;
		int reason;
		bool cleared;
	} t[] = {{0, 0, -1, true},
		 {CR0_TS, CR0_TS, EXIT_REASON_CR_ACCESS, false},
		 {CR0_TS, 0, -1, false}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		again();
		REGS.cr0 |= CR0_TS;
		f->vp.ctl.cr0_mask = t[i].mask;
		f->vp.ctl.cr0_shadow = t[i].shadow;
		CODE("\x0f\x06");
		assert_int_equal(one(), t[i].reason);
		if (t[i].reason >= 0)
			assert_int_equal(f->vp.exit.qualification, 2 << 4);
		assert_int_equal(!(REGS.cr0 & CR0_TS), t[i].cleared);
	}
	again();
	f->vp.ctl.cr0_mask = CR0_TS;
	REGS.gpr[RAX] = CR0_TS | CR0_PE;
	CODE("\x0f\x01\xf0");
	assert_int_equal(one(), EXIT_REASON_CR_ACCESS);
	assert_int_equal(f->vp.exit.qualification, 3 << 4 | (CR0_TS | CR0_PE) << 16);
	again(); /* PE: only setting it exits, and only with a clear shadow */
	f->vp.ctl.cr0_mask = CR0_PE;
	f->vp.ctl.cr0_shadow = CR0_PE;
	REGS.gpr[RAX] = 0;
	CODE("\x0f\x01\xf0");
	assert_int_equal(one(), -1);
	assert_true(REGS.cr0 & CR0_PE);
}

static void dr_qualification(void **state)
{
	f->vp.ctl.proc |= PROC_MOV_DR;
	CODE("\x41\x0f\x23\xfa"); /* mov r10, dr7 */
	one();
	assert_int_equal(f->vp.exit.qualification, 7 | 10 << 8);
	CODE("\x0f\x21\xf3"); /* mov dr6, rbx */
	one();
	assert_int_equal(f->vp.exit.qualification, 6 | 1 << 4 | 3 << 8);
	REGS.dr[7] |= DR7_GD; /* the exit has priority over general detect */
	assert_int_equal(one(), EXIT_REASON_DR_ACCESS);
}

static void vmx_operands(void **state)
{
	f->vp.vmxon = true;
	REGS.gpr[RBX] = AT_DATA;
	REGS.gpr[RSI] = 4;
	REGS.seg[SEG_FS].base = 0x100;
	engine_state_changed(&f->vp);
	/* vmptrld %fs:0x10(%rbx, %rsi, 8) */
	CODE("\x64\x0f\xc7\x74\xf3\x10");
	assert_int_equal(one(), EXIT_REASON_VMPTRLD);
	assert_int_equal(f->vp.exit.operand_gva, AT_DATA + 4 * 8 + 0x10 + 0x100);
	assert_int_equal(f->vp.exit.qualification, 0x10);
	assert_int_equal(f->vp.exit.insn_info, 3 | 2 << 7 | SEG_FS << 15 | RSI << 18 | RBX << 23);
	/* vmread %r9, %r12: register forms */
	CODE("\x45\x0f\x78\xcc");
	assert_int_equal(one(), EXIT_REASON_VMREAD);
	assert_int_equal(f->vp.exit.insn_info & 0xf0000478u, 1u << 10 | 12u << 3 | 9u << 28);
	/* vmwrite (%rbx), %rax: memory, no index */
	CODE("\x0f\x79\x03");
	assert_int_equal(one(), EXIT_REASON_VMWRITE);
	assert_int_equal(f->vp.exit.insn_info, 2u << 7 | SEG_DS << 15 | 1u << 22 | RBX << 23);
	/* invept 8(%rsp), %r11: stack segment */
	CODE("\x66\x44\x0f\x38\x80\x5c\x24\x08");
	assert_int_equal(one(), EXIT_REASON_INVEPT);
	assert_int_equal(f->vp.exit.insn_info,
			 2u << 7 | SEG_SS << 15 | 1u << 22 | RSP << 23 | 11u << 28);
	assert_int_equal(f->vp.exit.operand_gva, STACK0 + 8);
	/* RIP-relative: no base */
	CODE("\x0f\xc7\x35\x00\x01\x00\x00");
	assert_int_equal(one(), EXIT_REASON_VMPTRLD);
	assert_true(f->vp.exit.insn_info & 1u << 27);
	assert_int_equal(f->vp.exit.operand_gva, AT_CODE + 7 + 0x100);
}

static void table_information(void **state)
{
	f->vp.ctl.proc2 |= PROC2_DESCRIPTOR_TABLE;
	REGS.gpr[RBX] = AT_DATA;
	CODE("\x0f\x01\x5b\x40"); /* lidt 0x40(%rbx) */
	assert_int_equal(one(), EXIT_REASON_GDTR_IDTR);
	assert_int_equal(f->vp.exit.insn_info >> 28 & 3, 3);
	assert_int_equal(f->vp.exit.qualification, 0x40);
	assert_int_equal(f->vp.exit.operand_gva, AT_DATA + 0x40);
	CODE("\x0f\x00\xd9"); /* ltr %cx */
	one();
	assert_int_equal(f->vp.exit.insn_info, 3u << 28 | 1u << 10 | RCX << 3);
	f->vp.ctl.proc2 |= PROC2_RDRAND;
	CODE("\x66\x0f\xc7\xf2"); /* rdrand %dx */
	one();
	assert_int_equal(f->vp.exit.insn_info, RDX << 3);
	CODE("\x49\x0f\xc7\xf2"); /* rdrand %r10 */
	one();
	assert_int_equal(f->vp.exit.insn_info, 10 << 3 | 2 << 11);
}

/* --- bitmaps ---------------------------------------------------------------------------------- */

static void every_port(void **state)
{
	for (u32 port = 0; port < 0x10000; port++) {
		u8 *byte = &f->io_bitmap[port >> 15][(port & 0x7fff) / 8],
		   bit = (u8)(1 << port % 8);

		assert_false(intercept_port(&f->vp, (u16)port, 1));
		*byte = bit;
		assert_true(intercept_port(&f->vp, (u16)port, 1));
		if (port > 3) {
			assert_true(intercept_port(&f->vp, (u16)(port - 3), 4));
			assert_false(intercept_port(&f->vp, (u16)(port - 3), 2));
		}
		*byte = 0;
	}
	assert_true(intercept_port(&f->vp, 0xffff, 2)); /* wraps */
	f->vp.ctl.proc &= ~PROC_IO_BITMAPS;
	assert_false(intercept_port(&f->vp, 0x80, 1));
	f->vp.ctl.proc |= PROC_UNCONDITIONAL_IO;
	assert_true(intercept_port(&f->vp, 0x80, 1));
}

static void port_qualifications(void **state)
{
	memset(f->io_bitmap, 0xff, sizeof(f->io_bitmap));
	REGS.gpr[RDX] = 0x3f8;
	REGS.gpr[RSI] = AT_DATA;
	REGS.gpr[RDI] = AT_DATA + 64;
	REGS.gpr[RCX] = 3;
	static const struct {
		const char *code;
		u32 len;
		u64 qual;
		u64 gla;
	} t[] = {
		{"\xe6\x80", 2, 0 | 1 << 6 | 0x80 << 16, 0},
		{"\xe5\x71", 2, 3 | 1 << 3 | 1 << 6 | 0x71 << 16, 0},
		{"\xee", 1, 0x3f8 << 16, 0},
		{"\x66\xed", 2, 1 | 1 << 3 | 0x3f8 << 16, 0},
		{"\x6e", 1, 1 << 4 | 0x3f8 << 16, AT_DATA},
		{"\xf3\x6d", 2, 3 | 1 << 3 | 1 << 4 | 1 << 5 | 0x3f8 << 16, AT_DATA + 64},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		sysfix_bytes(f, AT_CODE, t[i].code, t[i].len);
		assert_int_equal(one(), EXIT_REASON_IO_INSTRUCTION);
		assert_int_equal(f->vp.exit.qualification, t[i].qual);
		assert_int_equal(f->vp.exit.gla, t[i].gla);
		assert_int_equal(f->vp.exit.insn_len, t[i].len);
	}
	assert_int_equal(f->vp.exit.io_rcx, 3);
}

static void every_msr(void **state)
{
	for (u32 i = 0; i < 0x4000; i++) {
		u32 msr = i < 0x2000 ? i : 0xc0000000u + (i & 0x1fff);

		for (u32 write = 0; write < 2; write++) {
			u8 *byte = &f->msr_bitmap[write * 2048 + (i >= 0x2000 ? 1024 : 0) +
						  (i & 0x1fff) / 8];

			assert_false(intercept_msr(&f->vp, msr, write));
			*byte = (u8)(1 << i % 8);
			assert_true(intercept_msr(&f->vp, msr, write));
			assert_false(intercept_msr(&f->vp, msr, !write));
			*byte = 0;
		}
	}
	assert_true(intercept_msr(&f->vp, 0x2000, false));
	assert_true(intercept_msr(&f->vp, 0xbfffffff, true));
	assert_true(intercept_msr(&f->vp, 0xc0002000, true));
	f->vp.ctl.proc &= ~PROC_MSR_BITMAPS;
	assert_true(intercept_msr(&f->vp, MSR_IA32_EFER, false));
}

/* --- PAUSE loops, TPR ------------------------------------------------------------------------- */

static void pause_loop(void **state)
{
	sysfix_bytes(f, AT_CODE, "\xf3\x90\xeb\xfc",
		     4); /* pause; jmp back: two ticks of the counter */
	f->vp.ctl.proc2 |= PROC2_PAUSE_LOOP;
	f->vp.ctl.ple_gap = 10;
	f->vp.ctl.ple_window = 100;
	f->tsc = 1000;
	assert_int_equal(sysfix_run(f, 1000), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_PAUSE);
	assert_int_equal(f->vp.insns, 102);
	f->vp.ctl.ple_gap = 1; /* the gap is longer: never a loop */
	engine_skip(&f->vp, 2);
	assert_int_equal(sysfix_run(f, 1000), ENGINE_STOP_COUNT);
}

static void tpr_shadow(void **state)
{
	u8 *page = calloc(1, 4096);

	f->vp.ctl.proc |= PROC_TPR_SHADOW;
	f->vp.ctl.virtual_apic = page;
	f->vp.ctl.tpr_threshold = 4;
	REGS.gpr[RAX] = 5;
	CODE("\x44\x0f\x22\xc0\x44\x0f\x20\xc3\x44\x0f\x22\xc1");
	assert_int_equal(one(), -1);
	assert_int_equal(page[0x80], 0x50);
	assert_int_equal(one(), -1);
	assert_int_equal(REGS.gpr[RBX], 5);
	REGS.gpr[RCX] = 3; /* below the threshold: an exit after the instruction */
	assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_TPR_BELOW_THRESHOLD);
	assert_int_equal(REGS.rip, AT_CODE + 12);
	assert_int_equal(page[0x80], 0x30);
	assert_int_equal(f->vp.insns, 3);
	free(page);
}

/* --- shadow VMCS ------------------------------------------------------------------------------ */

static void shadow_vmcs(void **state)
{
	struct vmcs12 *s = calloc(1, 4096);
	u8 *maps = calloc(2, 4096);

	f->vp.in_l2 = f->vp.vmxon = true;
	f->vp.ctl.shadow_vmcs = s;
	f->vp.ctl.vmcs_needs = ~0u;
	f->vp.ctl.vmread_bitmap = maps;
	f->vp.ctl.vmwrite_bitmap = maps + 4096;
	REGS.gpr[RCX] = VMCS_GUEST_RIP;
	REGS.gpr[RAX] = 0x1122334455667788;
	CODE("\x0f\x79\xc8\x0f\x78\xcb");	      /* vmwrite %rax, %rcx; vmread %rcx, %rbx */
	assert_int_equal(one(), EXIT_REASON_VMWRITE); /* shadowing off */
	f->vp.ctl.proc2 |= PROC2_VMCS_SHADOWING;
	REGS.rflags |= RFLAGS_ZF | RFLAGS_CF;
	engine_state_changed(&f->vp);
	assert_int_equal(one(), -1);
	assert_int_equal(s->guest_rip, 0x1122334455667788);
	assert_int_equal(REGS.rflags & RFLAGS_ARITH, 0);
	assert_int_equal(one(), -1);
	assert_int_equal(REGS.gpr[RBX], 0x1122334455667788);
	REGS.rip = AT_CODE + 3; /* its bit in the VMREAD bitmap */
	maps[VMCS_GUEST_RIP / 8] = 1 << VMCS_GUEST_RIP % 8;
	assert_int_equal(one(), EXIT_REASON_VMREAD);
	maps[VMCS_GUEST_RIP / 8] = 0;
	REGS.gpr[RCX] = 0x8000; /* bits 63:15 */
	assert_int_equal(one(), EXIT_REASON_VMREAD);
	REGS.gpr[RCX] = VMCS_GUEST_CS_SELECTOR; /* 16 bits, read and written */
	s->guest_cs_selector = 0xabcd;
	assert_int_equal(one(), -1);
	assert_int_equal(REGS.gpr[RBX], 0xabcd);
	free(maps);
	free(s);
}

#define T(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_control_bit),	T(unconditional),     T(cr_qualifications),
		T(guest_host_masks),	T(clts_and_lmsw),     T(dr_qualification),
		T(vmx_operands),	T(table_information), T(every_port),
		T(port_qualifications), T(every_msr),	      T(pause_loop),
		T(tpr_shadow),		T(shadow_vmcs),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
