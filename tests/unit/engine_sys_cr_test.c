/*
 * Control registers, MSRs, debug registers, privileged flags and ports: which values raise #GP,
 * what a good one changes.
 */
#include "l0/engine/softtlb.h"
#include "tests/unit/engine_sys_group.h"

enum mode { PROT, LONG, PAE };

static void set_mode(enum mode m)
{
	sysfix_reset(f);
	if (m == LONG)
		sysfix_long(f, AT_CODE);
	else
		sysfix_protected(f, AT_CODE);
	if (m == PAE) { /* PDPTE 0 at AT_PDPT maps through AT_PD */
		sysfix_poke(f, AT_PDPT, AT_PD | 1, 8);
		for (u32 i = 1; i < 4; i++)
			sysfix_poke(f, AT_PDPT + 8 * i, 0, 8);
		REGS.cr3 = AT_PDPT;
		REGS.cr4 = CR4_PAE;
		REGS.cr0 |= CR0_PG;
		assert_int_equal(engine_load_pdptes(&f->vp), 0);
		engine_state_changed(&f->vp);
		vtlb_flush(&f->vp.tlb, true);
	}
}

/* --- CR0 -------------------------------------------------------------------------------------- */

static void cr0_matrix(void **state)
{
	static const struct {
		enum mode mode;
		u64 val;
		bool ok;
	} t[] = {
		{PROT, CR0_PE | CR0_ET, true},
		{PROT, CR0_PG, false},		/* PG without PE */
		{PROT, CR0_PE | CR0_NW, false}, /* NW without CD */
		{PROT, CR0_PE | CR0_NW | CR0_CD, true},
		{PROT, CR0_PE | 0x1000, true}, /* reserved, ignored */
		{LONG, CR0_PE | CR0_PG | 1ull << 32, false},
		{LONG, CR0_PE | CR0_PG | CR0_WP, true},
		{LONG, CR0_PE, false}, /* PG off in 64-bit mode */
		{LONG, 0, false},
		{PAE, CR0_PE | CR0_PG | CR0_WP, true},
		{PAE, CR0_PE, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		set_mode(t[i].mode);
		REGS.gpr[RAX] = t[i].val;
		CODE("\x0f\x22\xc0");
		u64 old = REGS.cr0;

		assert_int_equal(one(NULL), t[i].ok ? -1 : VECTOR_GP);
		assert_int_equal(REGS.cr0, t[i].ok ? (t[i].val & CR0_DEFINED) | CR0_ET : old);
	}
}

static void cr0_long_mode_activation(void **state)
{
	/* LME set: needs PAE, no CS.L, a 32-bit TSS */
	for (u32 bad = 0; bad < 4; bad++) {
		set_mode(PROT);
		REGS.efer = EFER_LME;
		REGS.cr4 = bad == 1 ? 0 : CR4_PAE;
		REGS.cr3 = AT_PML4;
		if (bad == 2)
			REGS.seg[SEG_CS].ar |= SEG_AR_L;
		if (bad == 3)
			REGS.seg[SEG_TR].ar = 0x83;
		engine_state_changed(&f->vp);
		REGS.gpr[RAX] = CR0_PE | CR0_PG;
		CODE("\x0f\x22\xc0");
		assert_int_equal(one(NULL), bad ? VECTOR_GP : -1);
		assert_int_equal(!!(REGS.efer & EFER_LMA), !bad);
	}
}

static void cr0_pcide_keeps_paging(void **state)
{
	set_mode(LONG);
	/* compatibility mode so that PG could be cleared at all */
	REGS.seg[SEG_CS].ar = 0xc09b;
	REGS.cr4 |= CR4_PCIDE;
	engine_state_changed(&f->vp);
	REGS.gpr[RAX] = CR0_PE;
	CODE("\x0f\x22\xc0");
	assert_int_equal(one(NULL), VECTOR_GP);
}

/* In VMX operation PE, NE and PG are fixed; an unrestricted guest keeps only NE. */
static void vmx_fixed_bits(void **state)
{
	for (u32 l2 = 0; l2 < 2; l2++) {
		static const u64 val[] = {CR0_PE | CR0_PG | CR0_NE, CR0_PE | CR0_PG,
					  CR0_PE | CR0_NE};
		static const bool ok[2][3] = {{true, false, false}, {true, false, true}};

		for (u32 i = 0; i < 3; i++) {
			set_mode(PAE);
			f->vp.vmxon = true;
			f->vp.in_l2 = l2;
			REGS.gpr[RAX] = val[i];
			CODE("\x0f\x22\xc0");
			assert_int_equal(one(NULL), ok[l2][i] ? -1 : VECTOR_GP);
		}
		set_mode(LONG);
		REGS.cr4 |= CR4_VMXE;
		f->vp.vmxon = true;
		f->vp.in_l2 = l2;
		REGS.gpr[RAX] = CR4_PAE; /* VMXE may not be cleared */
		CODE("\x0f\x22\xe0");
		assert_int_equal(one(NULL), VECTOR_GP);
	}
}

/* --- CR3, CR4 --------------------------------------------------------------------------------- */

static void cr3_reserved(void **state)
{
	for (u32 bit = 12; bit < 64; bit++) {
		set_mode(LONG);
		REGS.gpr[RAX] = AT_PML4 | 1ull << bit;
		CODE("\x0f\x22\xd8");
		if (bit < 40)
			continue; /* a valid address, elsewhere */
		assert_int_equal(one(NULL), VECTOR_GP);
		assert_int_equal(REGS.cr3, AT_PML4);
	}
	set_mode(LONG); /* with PCIDE bit 63 asks for no flush and is not kept */
	REGS.cr4 |= CR4_PCIDE;
	REGS.gpr[RAX] = AT_PML4 | 5 | CR3_NO_FLUSH;
	CODE("\x0f\x22\xd8");
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.cr3, AT_PML4 | 5);
}

static void cr3_pdptes(void **state)
{
	set_mode(PAE);
	REGS.gpr[RAX] = AT_PDPT + 32;
	sysfix_poke(f, AT_PDPT + 32, AT_PD | 1, 8);
	sysfix_poke(f, AT_PDPT + 40, 0x1e6, 8); /* not present: anything goes */
	CODE("\x0f\x22\xd8");
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.pdpte[0], AT_PD | 1);
	assert_int_equal(REGS.cr3, AT_PDPT + 32);
	static const u64 bad[] = {AT_PD | 3, AT_PD | 5, AT_PD | 1 | 1ull << 40,
				  AT_PD | 1 | 1ull << 63};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		set_mode(PAE);
		REGS.gpr[RAX] = AT_PDPT + 32;
		sysfix_poke(f, AT_PDPT + 32, bad[i], 8);
		CODE("\x0f\x22\xd8");
		assert_int_equal(one(NULL), VECTOR_GP);
		assert_int_equal(REGS.cr3, AT_PDPT);
		assert_int_equal(REGS.pdpte[0], AT_PD | 1);
	}
}

/* Data and code in a page of 2 MiB that is two by turns; INVLPG of another address in it. */
GUEST(by_turns, 64,
      "1: mov 0x405000, %eax; add %rax, %rbx; call *%rsi; add %rax, %rbx; xorq $0x200000, 0x6010;"
      "invlpg 0x5ff000; dec %ecx; jnz 1b; hlt");
GUEST(gives_ten, 64, "mov $10, %eax; ret");
GUEST(gives_thirty, 64, "mov $30, %eax; ret");

static void invlpg_of_large_pages(void **state)
{
	BUILD_ASSERT(AT_PD + 16 == 0x6010);
	sysfix_reset(f);
	LOAD(f, AT_CODE, by_turns);
	LOAD(f, 0x409000, gives_ten);
	LOAD(f, 0x609000, gives_thirty);
	sysfix_poke(f, 0x405000, 1, 4);
	sysfix_poke(f, 0x605000, 3, 4);
	sysfix_long(f, AT_CODE);
	REGS.gpr[RSP] = STACK0;
	REGS.gpr[RSI] = 0x409000;
	REGS.gpr[RCX] = 5000;
	REGS.gpr[RBX] = 0;
	while (engine_run(&f->vp, ~0ull) != ENGINE_STOP_HALT)
		;
	assert_int_equal(REGS.gpr[RBX], 2500 * (1 + 10) + 2500 * (3 + 30));
}

/* Pieces of one in every array and in many slots go with any address of it, those of others
 * stay. */
static void soft_tlb_forgets_pieces(void **state)
{
	struct softtlb *t = &f->vp.tlb_soft;

	for (u32 m = 0; m < SOFTTLB_MODES; m++)
		for (u64 gva = 0x400000; gva < 0x800000; gva += 0x21000) {
			struct vtlb_xl xl = {.hva = mem_ram_base(f->mem),
					     .prot = VTLB_ACCESS_MASK,
					     .bytes = PAGE_SIZE,
					     .page_shift = 21};

			softtlb_fill(&f->vp, m, gva, &xl);
		}
	softtlb_flush_page(&f->vp, 0x5ff000);
	u32 others = 0;
	for (u32 m = 0; m < SOFTTLB_MODES; m++)
		for (u32 i = 0; i < SOFTTLB_ENTRIES; i++) {
			u64 tag = t->e[m][i].tag_r | t->e[m][i].tag_w | t->e[m][i].tag_x;

			assert_int_not_equal(tag >> 21, 2);
			others += tag >> 21 == 3;
		}
	assert_true(others >= SOFTTLB_MODES);
	softtlb_flush(&f->vp);
}

static void cr4_every_bit(void **state)
{
	for (u32 bit = 0; bit < 64; bit++) {
		u64 val = CR4_PAE | 1ull << bit;
		bool ok = f->features.cr4_valid >> bit & 1;

		set_mode(LONG);
		REGS.gpr[RAX] = val;
		CODE("\x0f\x22\xe0");
		if (bit == 20 || bit == 21) /* SMEP, SMAP: the test's pages are user pages */
			continue;
		assert_int_equal(one(NULL), ok ? -1 : VECTOR_GP);
		assert_int_equal(REGS.cr4, ok ? val : CR4_PAE);
	}
	set_mode(LONG);
	REGS.gpr[RAX] = 0; /* PAE off in IA-32e mode */
	CODE("\x0f\x22\xe0");
	assert_int_equal(one(NULL), VECTOR_GP);
	set_mode(PROT);
	REGS.gpr[RAX] = CR4_PCIDE; /* outside of IA-32e mode */
	CODE("\x0f\x22\xe0");
	assert_int_equal(one(NULL), VECTOR_GP);
	set_mode(LONG);
	REGS.cr3 = AT_PML4 | 8; /* PCIDE with a PCID in CR3 */
	engine_state_changed(&f->vp);
	REGS.gpr[RAX] = CR4_PAE | CR4_PCIDE;
	CODE("\x0f\x22\xe0");
	assert_int_equal(one(NULL), VECTOR_GP);
}

static void cr8_and_numbers(void **state)
{
	set_mode(LONG);
	REGS.gpr[RAX] = 9;
	CODE("\x44\x0f\x22\xc0\x44\x0f\x20\xc3"); /* mov rax, cr8; mov cr8, rbx */
	assert_int_equal(one(NULL), -1);
	assert_int_equal(f->tpr, 0x90);
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.gpr[RBX], 9);
	set_mode(LONG);
	REGS.gpr[RAX] = 16;
	CODE("\x44\x0f\x22\xc0");
	assert_int_equal(one(NULL), VECTOR_GP);
	for (u32 cr = 0; cr < 16; cr++) {
		u8 code[] = {(u8)(cr & 8 ? 0x44 : 0x40), 0x0f, 0x20, (u8)(0xc0 | (cr & 7) << 3)};
		bool exists = cr == 0 || (cr >= 2 && cr <= 4) || cr == 8;

		set_mode(LONG);
		sysfix_bytes(f, AT_CODE, code, 4);
		assert_int_equal(one(NULL), exists ? -1 : VECTOR_UD);
	}
}

static void lmsw_smsw_clts(void **state)
{
	set_mode(PROT);
	REGS.cr0 |= CR0_TS;
	REGS.gpr[RAX] = 0xfff0 | CR0_MP; /* PE stays, TS goes, the rest is ignored */
	CODE("\x0f\x01\xf0\x0f\x01\xe3\x0f\x06");
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.cr0, CR0_PE | CR0_ET | CR0_NE | CR0_MP);
	one(NULL);
	assert_int_equal(REGS.gpr[RBX], CR0_PE | CR0_ET | CR0_NE | CR0_MP);
	REGS.cr0 |= CR0_TS;
	one(NULL);
	assert_false(REGS.cr0 & CR0_TS);
}

/* --- privilege -------------------------------------------------------------------------------- */

static void level3_raises_gp(void **state)
{
	static const struct {
		const char *code;
		u32 len;
		int vector;
		u64 cr4;
	} t[] = {
		{"\x0f\x20\xc0", 3, VECTOR_GP, 0},
		{"\x0f\x22\xc0", 3, VECTOR_GP, 0},
		{"\x0f\x21\xc0", 3, VECTOR_GP, 0},
		{"\x0f\x23\xc0", 3, VECTOR_GP, 0},
		{"\x0f\x06", 2, VECTOR_GP, 0},
		{"\xf4", 1, VECTOR_GP, 0},
		{"\x0f\x32", 2, VECTOR_GP, 0},
		{"\x0f\x30", 2, VECTOR_GP, 0},
		{"\x0f\x01\x38", 3, VECTOR_GP, 0},
		{"\x0f\x01\x10", 3, VECTOR_GP, 0},
		{"\x0f\x01\x18", 3, VECTOR_GP, 0},
		{"\x0f\x00\xd0", 3, VECTOR_GP, 0},
		{"\x0f\x00\xd8", 3, VECTOR_GP, 0},
		{"\x0f\x01\xf0", 3, VECTOR_GP, 0},
		{"\x0f\x08", 2, VECTOR_GP, 0},
		{"\x0f\x09", 2, VECTOR_GP, 0},
		{"\xfa", 1, VECTOR_GP, 0},
		{"\xfb", 1, VECTOR_GP, 0},
		{"\x0f\x01\x00", 3, VECTOR_GP, CR4_UMIP},
		{"\x0f\x01\x08", 3, VECTOR_GP, CR4_UMIP},
		{"\x0f\x00\xc0", 3, VECTOR_GP, CR4_UMIP},
		{"\x0f\x00\xc8", 3, VECTOR_GP, CR4_UMIP},
		{"\x0f\x01\xe0", 3, VECTOR_GP, CR4_UMIP},
		{"\x0f\x31", 2, VECTOR_GP, CR4_TSD},
		{"\x0f\x01\xf9", 3, VECTOR_GP, CR4_TSD},
		{"\x0f\x33", 2, VECTOR_GP, 0},
		{"\x0f\x01\xc8", 3, VECTOR_UD, 0},
		{"\x0f\x01\xc9", 3, VECTOR_UD, 0},
		{"\x0f\x01\xca", 3, VECTOR_UD, 0},
		{"\x0f\x01\xcb", 3, VECTOR_UD, 0},
		{"\x0f\x01\xd1", 3, VECTOR_GP, CR4_OSXSAVE},
		{"\x0f\x01\xf8", 3, VECTOR_GP, 0},
		{"\x0f\x0b", 2, VECTOR_UD, 0},
		{"\x66\x0f\x38\x82\x00", 5, VECTOR_GP, 0},
		/* allowed ones, with the bits clear */
		{"\x0f\x31", 2, -1, 0},
		{"\x0f\x00\xc0", 3, -1, 0},
		{"\x0f\x01\xe0", 3, -1, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		set_mode(LONG);
		REGS.cr4 |= t[i].cr4;
		sysfix_user(f, AT_USER_CODE);
		REGS.gpr[RAX] = AT_DATA;
		if (t[i].len > 2 && t[i].code[2] == '\xd1')
			REGS.gpr[RAX] = 1;
		sysfix_bytes(f, AT_USER_CODE, t[i].code, t[i].len);
		if (one(NULL) != t[i].vector)
			fail_msg("case %u: %02x %02x", i, (u8)t[i].code[0], (u8)t[i].code[1]);
	}
}

/* --- MSRs ------------------------------------------------------------------------------------- */

static void msr_values(void **state)
{
	static const struct {
		u32 msr;
		u64 val;
		bool ok;
	} t[] = {
		{MSR_IA32_LSTAR, 1ull << 47, false},
		{MSR_IA32_LSTAR, ~0ull << 47, true},
		{MSR_IA32_CSTAR, 1ull << 63, false},
		{MSR_IA32_FS_BASE, 1ull << 47, false},
		{MSR_IA32_FS_BASE, 0x7fffffffffff, true},
		{MSR_IA32_GS_BASE, 0x12345678, true},
		{MSR_IA32_KERNEL_GS_BASE, 1ull << 50, false},
		{MSR_IA32_FMASK, 1ull << 32, false},
		{MSR_IA32_FMASK, 0xffffffff, true},
		{MSR_IA32_SYSENTER_EIP, 1ull << 47, false},
		{MSR_IA32_STAR, ~0ull, true},
		{MSR_IA32_PAT, PAT_RESET, true},
		{MSR_IA32_PAT, 2, false},
		{MSR_IA32_PAT, 3ull << 56, false},
		{MSR_IA32_PAT, 8, false},
		{MSR_IA32_TSC_AUX, 1ull << 32, false},
		{MSR_IA32_TSC_AUX, 7, true},
		{MSR_IA32_EFER, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE, true},
		{MSR_IA32_EFER, EFER_LMA, false}, /* LME off while paging */
		{MSR_IA32_EFER, EFER_LME | 2, false},
		{MSR_IA32_EFER, EFER_LME | 1ull << 32, false},
		{MSR_IA32_DEBUGCTL, 0, true},
		{MSR_IA32_DEBUGCTL, DEBUGCTL_BTF, true},
		{MSR_IA32_DEBUGCTL, 1u << 2, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		set_mode(LONG);
		REGS.gpr[RCX] = t[i].msr;
		REGS.gpr[RAX] = (u32)t[i].val;
		REGS.gpr[RDX] = t[i].val >> 32;
		CODE("\x0f\x30\x31\xc0\x31\xd2\x0f\x32"); /* wrmsr; xor; xor; rdmsr */
		if (one(NULL) != (t[i].ok ? -1 : VECTOR_GP))
			fail_msg("case %u", i);
		if (!t[i].ok)
			continue;
		sysfix_run(f, 3);
		assert_int_equal((u32)REGS.gpr[RAX] | REGS.gpr[RDX] << 32, t[i].val);
	}
}

static void msr_others_exit(void **state)
{
	set_mode(LONG);
	REGS.gpr[RCX] = MSR_IA32_FEATURE_CONTROL;
	CODE("\x0f\x32");
	assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_RDMSR);
	REGS.gpr[RAX] = 5;
	REGS.gpr[RDX] = 1;
	CODE("\x0f\x30");
	assert_int_equal(sysfix_run(f, 1), ENGINE_STOP_EXIT);
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_WRMSR);
	assert_int_equal(f->vp.exit.operand_value, 0x100000005ull);
	assert_int_equal(f->vp.exit.insn_len, 2);
}

static void tsc_offset_and_scaling(void **state)
{
	set_mode(LONG);
	f->tsc = 1000;
	f->vp.insns = 0;
	CODE("\x0f\x31");
	sysfix_run(f, 1);
	assert_int_equal(REGS.gpr[RAX], 1000);
	REGS.rip = AT_CODE;
	f->vp.ctl.proc |= PROC_TSC_OFFSETTING;
	f->vp.ctl.tsc_offset = (u64)-500;
	f->vp.insns = 0;
	sysfix_run(f, 1);
	assert_int_equal(REGS.gpr[RAX], 500);
	REGS.rip = AT_CODE;
	f->vp.ctl.proc2 |= PROC2_TSC_SCALING;
	f->vp.ctl.tsc_multiplier = 3ull << 47; /* 1.5 */
	f->vp.insns = 0;
	sysfix_run(f, 1);
	assert_int_equal(REGS.gpr[RAX], 1000);
}

static void random_numbers_repeat(void **state)
{
	u64 first[2];

	for (u32 run = 0; run < 2; run++) {
		set_mode(LONG);
		CODE("\x48\x0f\xc7\xf0"); /* rdrand rax */
		assert_int_equal(one(NULL), -1);
		assert_true(REGS.rflags & RFLAGS_CF);
		first[run] = REGS.gpr[RAX];
	}
	assert_true(first[0] == first[1] && first[0]);
}

static void xcr0(void **state)
{
	static const struct {
		u32 val;
		bool ok;
	} t[] = {{1, true}, {3, true}, {7, true}, {0, false}, {2, false}, {5, false}, {15, false}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		set_mode(LONG);
		REGS.cr4 |= CR4_OSXSAVE;
		REGS.gpr[RAX] = t[i].val;
		REGS.gpr[RDX] = 0;
		CODE("\x0f\x01\xd1\x0f\x01\xd0");
		assert_int_equal(one(NULL), t[i].ok ? -1 : VECTOR_GP);
		if (!t[i].ok)
			continue;
		REGS.gpr[RAX] = 0;
		one(NULL);
		assert_int_equal(REGS.gpr[RAX], t[i].val);
	}
	set_mode(LONG);
	CODE("\x0f\x01\xd0");
	assert_int_equal(one(NULL), VECTOR_UD); /* OSXSAVE clear */
}

/* --- debug registers -------------------------------------------------------------------------- */

static void debug_registers(void **state)
{
	set_mode(LONG);
	REGS.gpr[RAX] = ~0u;
	CODE("\x0f\x23\xf0\x0f\x23\xf8"); /* mov rax, dr6; mov rax, dr7 */
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.dr[6], 0xffffeffful);
	REGS.gpr[RAX] = 0x00000aa0; /* nothing enabled but reserved bits tried */
	assert_int_equal(one(NULL), -1);
	assert_int_equal(REGS.dr[7], 0x6a0);
	set_mode(LONG);
	REGS.gpr[RAX] = 1ull << 32;
	CODE("\x0f\x23\xf8");
	assert_int_equal(one(NULL), VECTOR_GP);
	for (u32 de = 0; de < 2; de++) {
		set_mode(LONG);
		REGS.cr4 |= de ? CR4_DE : 0;
		CODE("\x0f\x21\xe0"); /* dr4 */
		assert_int_equal(one(NULL), de ? VECTOR_UD : -1);
	}
	set_mode(LONG); /* general detect */
	REGS.dr[7] = 0x400 | DR7_GD;
	CODE("\x0f\x21\xc0");
	assert_int_equal(one(NULL), VECTOR_DB);
	assert_int_equal(f->vp.exit.qualification, DR6_BD);
	f->vp.ctl.exception_bitmap = 0;
	sysfix_run(f, 5);
	assert_int_equal(sysfix_handled(f), VECTOR_DB);
	assert_false(REGS.dr[7] & DR7_GD);
	assert_true(REGS.dr[6] & DR6_BD);
}

/* --- flags ------------------------------------------------------------------------------------ */

static void popf_masks(void **state)
{
	static const struct {
		bool user;
		u64 iopl, changed;
	} t[] = {
		{false, 0, RFLAGS_IF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_ID | RFLAGS_NT},
		{true, 0, RFLAGS_AC | RFLAGS_ID | RFLAGS_NT},
		{true, 3, RFLAGS_IF | RFLAGS_AC | RFLAGS_ID | RFLAGS_NT},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		u64 before = 2 | t[i].iopl << 12;

		set_mode(LONG);
		if (t[i].user)
			sysfix_user(f, AT_USER_CODE);
		REGS.rflags = before;
		engine_state_changed(&f->vp);
		REGS.gpr[RSP] = STACK3 - 8;
		sysfix_poke(f, STACK3 - 8, RFLAGS_DEFINED & ~(RFLAGS_TF | RFLAGS_ARITH | RFLAGS_DF),
			    8);
		CODE("\x9d\x90");
		assert_int_equal(one(NULL), -1);
		assert_int_equal(REGS.rflags, before | t[i].changed);
	}
}

static void pvi(void **state)
{
	set_mode(PROT);
	REGS.cr4 |= CR4_PVI;
	sysfix_user(f, AT_USER_CODE);
	CODE("\xfb\xfa\xfb");
	assert_int_equal(one(NULL), -1);
	assert_true(REGS.rflags & RFLAGS_VIF);
	assert_false(REGS.rflags & RFLAGS_IF);
	assert_int_equal(one(NULL), -1);
	assert_false(REGS.rflags & RFLAGS_VIF);
	REGS.rflags |= RFLAGS_VIP;
	assert_int_equal(one(NULL), VECTOR_GP);
}

/* --- ports ------------------------------------------------------------------------------------ */

static void port_permission(void **state)
{
	/* port, bitmap byte, size; level 3 with IOPL 0 */
	static const struct {
		u16 port;
		u8 denied; /* bit mask at the port's byte */
		u32 size;
		bool ok;
	} t[] = {{0x80, 0, 1, true},	{0x80, 1, 1, false},   {0x81, 1, 1, true},
		 {0x80, 2, 1, true},	{0x80, 2, 2, false},   {0x80, 8, 4, false},
		 {0x80, 0x10, 4, true}, {0x87, 0x80, 1, false}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		set_mode(PROT);
		sysfix_user(f, AT_USER_CODE);
		sysfix_poke(f, AT_TSS + 0x88 + t[i].port / 8, t[i].denied, 1);
		REGS.gpr[RDX] = t[i].port;
		if (t[i].size == 1)
			CODE("\xec");
		else if (t[i].size == 2)
			CODE("\x66\xed");
		else
			CODE("\xed");
		f->port_in = 0x12345678;
		assert_int_equal(one(NULL), t[i].ok ? -1 : VECTOR_GP);
		if (t[i].ok)
			assert_int_equal(REGS.gpr[RAX], 0x12345678 & mask_low(t[i].size * 8));
	}
	set_mode(PROT); /* IOPL 3: no bitmap */
	sysfix_user(f, AT_USER_CODE);
	REGS.rflags |= RFLAGS_IOPL;
	REGS.seg[SEG_TR].limit = 0x67;
	engine_state_changed(&f->vp);
	CODE("\xe6\x80");
	assert_int_equal(one(NULL), -1);
	assert_int_equal(f->port_log[0] >> 16, 0x80);
}

static void string_io(void **state)
{
	static const char text[] = "abcdefghij";

	set_mode(PROT);
	sysfix_bytes(f, AT_DATA, text, 10);
	REGS.gpr[RSI] = AT_DATA;
	REGS.gpr[RCX] = 10;
	REGS.gpr[RDX] = 0xe9;
	CODE("\xf3\x6e\xf4");
	assert_int_equal(sysfix_run(f, 20), ENGINE_STOP_HALT);
	assert_int_equal(f->port_writes, 10);
	for (u32 i = 0; i < 10; i++)
		assert_int_equal(f->port_log[i] & 0xff, text[i]);
	assert_int_equal(REGS.gpr[RCX], 0);
	assert_int_equal(REGS.gpr[RSI], AT_DATA + 10);
	assert_int_equal(f->vp.insns, 2);
	/* backwards by words, from a port; more than one counted group */
	set_mode(PROT);
	f->port_in = 0xbeef;
	REGS.gpr[RDI] = AT_DATA + 200;
	REGS.gpr[RCX] = 100;
	REGS.rflags |= RFLAGS_DF;
	engine_state_changed(&f->vp);
	CODE("\xf3\x66\x6d\xf4");
	assert_int_equal(sysfix_run(f, 20), ENGINE_STOP_HALT);
	assert_int_equal(sysfix_peek(f, AT_DATA + 2, 2), 0xbeef);
	assert_int_equal(REGS.gpr[RDI], AT_DATA);
	assert_int_equal(f->vp.insns, 5); /* 200 bytes are four groups, and the HLT */
	/* the same when it is single-stepped by a watchpoint that never hits */
	set_mode(PROT);
	REGS.gpr[RDI] = AT_DATA;
	REGS.gpr[RCX] = 100;
	REGS.dr[0] = 0x500000;
	REGS.dr[7] = 0x401;
	engine_state_changed(&f->vp);
	CODE("\xf3\x66\x6d\xf4");
	assert_int_equal(sysfix_run(f, 20), ENGINE_STOP_HALT);
	assert_int_equal(f->vp.insns, 5);
	/* a fault in the middle leaves the iterations before it done */
	set_mode(LONG);
	sysfix_poke(f, AT_PD + 8, 0, 8);
	vtlb_flush(&f->vp.tlb, true);
	REGS.gpr[RDI] = PAGE_SIZE_2M - 3;
	REGS.gpr[RCX] = 5;
	CODE("\xf3\x6c");
	assert_int_equal(one(NULL), VECTOR_PF);
	assert_int_equal(REGS.gpr[RCX], 2);
	assert_int_equal(REGS.gpr[RDI], PAGE_SIZE_2M);
	assert_int_equal(REGS.rip, AT_CODE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(cr0_matrix),
		T(cr0_long_mode_activation),
		T(cr0_pcide_keeps_paging),
		T(vmx_fixed_bits),
		T(cr3_reserved),
		T(cr3_pdptes),
		T(cr4_every_bit),
		T(invlpg_of_large_pages),
		T(soft_tlb_forgets_pieces),
		T(cr8_and_numbers),
		T(lmsw_smsw_clts),
		T(level3_raises_gp),
		T(msr_values),
		T(msr_others_exit),
		T(tsc_offset_and_scaling),
		T(random_numbers_repeat),
		T(xcr0),
		T(debug_registers),
		T(popf_masks),
		T(pvi),
		T(port_permission),
		T(string_io),
	};

	return cmocka_run_group_tests(tests, create, destroy);
}
