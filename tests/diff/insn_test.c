/*
 * Random single instructions: the host's processor, the interpreter and the translator. Registers,
 * flags, vector and x87 state, memory and the exception raised must agree. Operands straddle pages,
 * run into unmapped and read-only memory, go to pages that hold code and to pages that no TLB
 * knows, on purpose. The seed is printed; NESTOR_SEED and NESTOR_CASES change the run.
 */
#include <Zydis/Zydis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"
#include "l0/engine/engine.h"
#include "l0/engine/vec.h"
#include "l0/mem/mem.h"
#include "tests/diff/oracle.h"
#include "tests/unit/engine_tier.h"
#include "trace/transition.h"

#define CASES_DEFAULT 60000u
#define CASES_LONG 3000000u
#define SHOWN_MAX 12u
#define RAM_BYTES (4 * MIB)
#define GPA_TABLES 0x10000u
#define GPA_CODE 0x100000u
#define GPA_DATA 0x200000u

static u64 seed;
/* One engine with a machine of its own. */
struct guest {
	struct mem *mem;
	struct vtlb *vtlb;
	struct vp *vp;
	u64 next_table, data_pte; /* of the second page of data */
	struct {
		u64 ip, dp;
		u16 op;
	} x87;		 /* its last instruction, after a case */
	bool translated; /* the instruction runs as a translated block that ends in UD2 */
	const char *name;
	struct trace_hub hub;
	struct trace_ctx trace;
};

static struct guest guests[] = {{.name = "interpreter"},
				{.name = "translator", .translated = true}};
static u32 n_guests;
static struct cpu_features features;
static ZydisDecoder decoder;
static u32 splits =
	1; /* locked accesses across cache lines: some hosts punish each with a second */

static u32 rnd(u32 n)
{
	return (u32)(rng_next(&seed) % n);
}

/* ---- the guest: 64-bit, CPL 3, the oracle's addresses mapped ---- */

/* Return: where the entry is. */
static u64 map_page(struct guest *g, u64 gva, u64 gpa)
{
	u64 *ram = (u64 *)mem_ram_base(g->mem);
	u64 table = GPA_TABLES;

	for (int shift = 39; shift > 12; shift -= 9) {
		u64 *e = &ram[table / 8 + (gva >> shift & 511)];
		if (!*e) {
			*e = g->next_table | 7;
			g->next_table += 0x1000;
		}
		table = *e & ~0xfffull;
	}
	ram[table / 8 + (gva >> 12 & 511)] = gpa | 0x67;
	return table + (gva >> 12 & 511) * 8;
}

static u64 no_tsc(struct vp *v)
{
	return v->insns;
}

static int no_ack(struct vp *v)
{
	(void)v;
	return -1;
}

static void set_features(void)
{
	memset(&features, 0, sizeof(features));
	features.cr4_valid = ~0ull >> 40;
	features.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	features.xcr0_valid = 7;
	features.maxphyaddr = 40;
	features.linaddr_bits = 48;
	features.has_nx = features.has_syscall = true;
	__builtin_cpu_init();
#define HAVE(field, name) features.field = __builtin_cpu_supports(name)
	HAVE(has_popcnt, "popcnt");
	HAVE(has_bmi1, "bmi");
	HAVE(has_bmi2, "bmi2");
	HAVE(has_sse3, "sse3");
	HAVE(has_ssse3, "ssse3");
	HAVE(has_sse41, "sse4.1");
	HAVE(has_sse42, "sse4.2");
	HAVE(has_aes, "aes");
	HAVE(has_pclmul, "pclmul");
	HAVE(has_avx, "avx");
	HAVE(has_avx2, "avx2");
	HAVE(has_fma, "fma");
#undef HAVE
	features.has_lzcnt = features.has_bmi1;
	features.has_cx16 = features.has_movbe = features.has_sse42;
	features.has_adx = features.has_sha = features.has_f16c = false;
}

static const struct vp_ops ops = {.tsc = no_tsc, .intr_ack = no_ack};

/* Return: false: this build has no such engine. */
static bool create_guest(struct guest *g)
{
	int err;
	struct vtlb_config cfg = {.max_bytes = MIB, .max_vps = 1, .maxphyaddr = 40};
	struct vp *vp;

	g->mem = mem_create(RAM_BYTES, &err);
	assert_non_null(g->mem);
	g->vtlb = vtlb_create(g->mem, &cfg, &err);
	assert_non_null(g->vtlb);
	g->next_table = GPA_TABLES + 0x1000;
	vp = g->vp = aligned_alloc(64, ALIGN_UP(sizeof(*vp), 64));
	memset(vp, 0, sizeof(*vp));
	vp->mem = g->mem;
	vp->features = &features;
	vp->ops = &ops;
	trace_hub_init(&g->hub);
	trace_ctx_init(&g->trace, &g->hub, NULL, 0, 1, NULL, NULL);
	vp->trace = vp->tlb.trace = &g->trace;
	assert_int_equal(vtlb_vp_init(g->vtlb, &vp->tlb, 0), 0);
	assert_int_equal(engine_vp_init(vp, 4 * MIB), 0);
	if (g->translated && !tier_attach(vp, 1))
		return false;
	engine_reset(vp, false);
	map_page(g, ORACLE_CODE, GPA_CODE);
	map_page(g, ORACLE_DATA, GPA_DATA);
	g->data_pte = map_page(g, ORACLE_DATA + 0x1000, GPA_DATA + 0x1000);
	vp->cpu.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	vp->cpu.cr3 = GPA_TABLES;
	vp->cpu.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	vp->cpu.xcr0 = 7;
	vp->cpu.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	for (u32 s = SEG_ES; s <= SEG_GS; s++)
		vp->cpu.seg[s] = (struct seg){.sel = 0x2b, .ar = 0xc0f3, .limit = ~0u};
	vp->cpu.seg[SEG_CS] = (struct seg){.sel = 0x33, .ar = 0xa0fb, .limit = ~0u};
	vp->ctl.exception_bitmap = ~0u;
	return true;
}

/* ---- what memory is like for one case ---- */

enum { HOW_COLD = 1, HOW_CODE = 2, HOW_READ_ONLY = 4 };

static void set_writable(struct guest *g, bool writable)
{
	u64 *e = (u64 *)(mem_ram_base(g->mem) + g->data_pte);

	*e = (*e & ~2ull) | (writable ? 2 : 0);
	mem_note_write(g->mem, g->data_pte, 8);
	vtlb_invlpg(&g->vp->tlb, ORACLE_DATA + 0x1000);
}

static void prepare(struct guest *g, u32 how)
{
	bool first;

	if (how & HOW_COLD)
		vtlb_flush(&g->vp->tlb, true);
	for (u64 gpa = GPA_DATA; how & HOW_CODE && gpa < GPA_DATA + ORACLE_DATA_BYTES;
	     gpa += PAGE_SIZE) {
		mem_mark_code(g->mem, gpa, PAGE_SIZE, &first);
		if (first)
			assert_true(vtlb_protect_frame(&g->vp->tlb, gpa));
		vtlb_safe_point(&g->vp->tlb);
	}
	if (how & HOW_READ_ONLY)
		set_writable(g, false);
}

static void clean_up(struct guest *g, u32 how)
{
	if (how & HOW_CODE)
		mem_note_write(g->mem, GPA_DATA, ORACLE_DATA_BYTES); /* no code any more */
	if (how & HOW_READ_ONLY)
		set_writable(g, true);
}

/* ---- instructions ---- */

static bool category_allowed(const ZydisDecodedInstruction *in)
{
	switch (in->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_SEGOP:
	case ZYDIS_CATEGORY_VTX:
	case ZYDIS_CATEGORY_XSAVE:
	case ZYDIS_CATEGORY_XSAVEOPT:
	case ZYDIS_CATEGORY_RDWRFSGS:
	case ZYDIS_CATEGORY_RDRAND:
	case ZYDIS_CATEGORY_RDSEED:
	case ZYDIS_CATEGORY_CET:
	case ZYDIS_CATEGORY_PKU: return false;
	case ZYDIS_CATEGORY_AVX2GATHER:
	case ZYDIS_CATEGORY_GATHER: return !in->raw.vex.L; /* FXSAVE images hold no high halves */
	default: return true;
	}
}

static bool ext_allowed(const ZydisDecodedInstruction *in)
{
	switch (in->meta.isa_ext) {
	case ZYDIS_ISA_EXT_BASE:
	case ZYDIS_ISA_EXT_LONGMODE:
	case ZYDIS_ISA_EXT_MMX:
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_X87: return true;
	case ZYDIS_ISA_EXT_SSE3: return features.has_sse3;
	case ZYDIS_ISA_EXT_SSSE3: return features.has_ssse3;
	case ZYDIS_ISA_EXT_SSE4: return features.has_sse42;
	case ZYDIS_ISA_EXT_AES: return features.has_aes;
	case ZYDIS_ISA_EXT_PCLMULQDQ: return features.has_pclmul;
	case ZYDIS_ISA_EXT_AVX: return features.has_avx;
	case ZYDIS_ISA_EXT_AVX2:
	case ZYDIS_ISA_EXT_AVX2GATHER: return features.has_avx2;
	case ZYDIS_ISA_EXT_BMI1: return features.has_bmi1;
	case ZYDIS_ISA_EXT_BMI2: return features.has_bmi2;
	case ZYDIS_ISA_EXT_LZCNT: return features.has_lzcnt;
	case ZYDIS_ISA_EXT_MOVBE: return features.has_movbe;
	case ZYDIS_ISA_EXT_FMA: return features.has_fma;
	default: return false;
	}
}

static bool mnemonic_allowed(const ZydisDecodedInstruction *in)
{
	if (oracle_is_host_bound(in->mnemonic))
		return false;
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_LSL:
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_INVALID: return false;
	default: return true;
	}
}

struct insn {
	u8 bytes[16];
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const ZydisDecodedOperand *m; /* explicit memory operand */
};

static bool decode(struct insn *x)
{
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, x->bytes, 15, &x->in, x->op)))
		return false;
	x->m = NULL;
	for (u32 i = 0; i < x->in.operand_count; i++) {
		const ZydisDecodedOperand *o = &x->op[i];
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			x->m = o;
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (o->mem.segment == ZYDIS_REGISTER_FS || o->mem.segment == ZYDIS_REGISTER_GS))
			return false;
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT)
			return false;
	}
	return category_allowed(&x->in) && ext_allowed(&x->in) && mnemonic_allowed(&x->in);
}

static void generate(struct insn *x)
{
	do {
		u8 *p = x->bytes;
		for (u32 i = 0; i < sizeof(x->bytes); i++)
			p[i] = (u8)rng_next(&seed);
		if (rnd(5) == 0)
			*p++ = 0x66;
		if (rnd(8) == 0)
			*p++ = rnd(2) ? 0xf2 : 0xf3;
		if (rnd(40) == 0)
			*p++ = 0xf0;
		if (rnd(60) == 0)
			*p++ = 0x67;
		switch (rnd(10)) {
		case 0:
		case 1:
		case 2: /* plain */ break;
		case 3: *p++ = rnd(2) ? 0xc5 : 0xc4; break;
		default:
			if (rnd(2))
				*p++ = (u8)(0x40 | rnd(16));
			if (rnd(3) == 0)
				*p++ = 0x0f;
			else if (rnd(8) == 0)
				*p++ = (u8)(0xd8 | rnd(8));
		}
	} while (!decode(x));
}

static u32 reg_number(ZydisRegister r)
{
	return (u32)ZydisRegisterGetId(
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r));
}

static u64 data_address(void)
{
	switch (rnd(10)) {
	case 0:
	case 4: return ORACLE_DATA + 0x1000 - rnd(rnd(2) ? 64 : 9);
	case 1: return ORACLE_DATA + ORACLE_DATA_BYTES - rnd(64);
	case 2:
	case 3: return ORACLE_DATA + rnd(0x1000);
	default: return ORACLE_DATA + 0x100 + (rnd(0xd00) & ~63u);
	}
}

/* Registers such that the memory operand is at a useful place. False: not possible. */
static bool aim(struct insn *x, struct oracle_state *s)
{
	bool locked = x->m && (x->in.attributes & ZYDIS_ATTRIB_HAS_LOCK ||
			       x->in.mnemonic == ZYDIS_MNEMONIC_XCHG);
	u64 t = data_address();

	if (locked && t % 64 + x->m->size / 8 > 64 && !splits--) {
		splits = 0;
		t &= ~63ull;
	}
	s->gpr[RSP] = ORACLE_DATA + 0x800 + 8 * rnd(64);
	if (x->in.meta.category == ZYDIS_CATEGORY_STRINGOP ||
	    x->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
	    x->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
	    x->in.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU) {
		s->gpr[RSI] = data_address();
		s->gpr[RDI] = data_address();
		s->gpr[RCX] = rnd(300);
		return true;
	}
	if (x->in.mnemonic == ZYDIS_MNEMONIC_XLAT) {
		s->gpr[RBX] = t;
		return true;
	}
	if (x->in.mnemonic == ZYDIS_MNEMONIC_LEAVE) {
		s->gpr[RBP] = t;
		return true;
	}
	if (x->in.mnemonic == ZYDIS_MNEMONIC_ENTER) {
		s->gpr[RBP] = ORACLE_DATA + 0xc00;
		return true;
	}
	if (x->m && x->m->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
		u32 index = (u32)ZydisRegisterGetId(x->m->mem.index) & 15;
		if (x->m->mem.base == ZYDIS_REGISTER_NONE)
			return false;
		s->gpr[reg_number(x->m->mem.base)] = t - (u64)x->m->mem.disp.value;
		for (u32 i = 0; i < 16; i += 4)
			nm_store32(s->fx + 160 + 16 * index + i, i & 4 && rnd(2) ? 0 : rnd(64));
		return true;
	}
	if (!x->m || x->in.mnemonic == ZYDIS_MNEMONIC_LEA || x->m->mem.type != ZYDIS_MEMOP_TYPE_MEM)
		return true;
	ZydisRegister base = x->m->mem.base, index = x->m->mem.index;
	u64 disp = (u64)x->m->mem.disp.value, scale = x->m->mem.scale;
	/* Zydis takes a SIB byte without base for R13 when REX.B is set and addresses are 32 bits
	 * wide */
	if (x->in.raw.modrm.mod == 0 && x->in.raw.modrm.rm == 4 && x->in.raw.sib.base == 5)
		base = ZYDIS_REGISTER_NONE;
	if (base == ZYDIS_REGISTER_NONE && x->in.raw.disp.size)
		disp = (u64)x->in.raw.disp.value;
	if (base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP)
		return false;
	if (base == ZYDIS_REGISTER_NONE && index == ZYDIS_REGISTER_NONE) {
		memcpy(x->bytes + x->in.raw.disp.offset, &t, x->in.raw.disp.size / 8);
		return decode(x);
	}
	if (locked && index != ZYDIS_REGISTER_NONE &&
	    (base == index || base == ZYDIS_REGISTER_NONE))
		return false; /* which does not get exactly there */
	if (base != ZYDIS_REGISTER_NONE && base == index) {
		s->gpr[reg_number(base)] = (t - disp) / (1 + scale);
	} else if (base == ZYDIS_REGISTER_NONE) {
		s->gpr[reg_number(index)] = (u64)((s64)(t - disp) / (s64)scale);
	} else {
		u64 i = 0;
		if (index != ZYDIS_REGISTER_NONE)
			i = s->gpr[reg_number(index)] = rnd(16);
		s->gpr[reg_number(base)] = t - disp - i * scale;
	}
	/* a bit offset in a register reaches far: keep it near */
	if (x->in.meta.category == ZYDIS_CATEGORY_BITBYTE &&
	    x->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		u32 r = reg_number(x->op[1].reg.value);
		if ((base != ZYDIS_REGISTER_NONE && r == reg_number(base)) ||
		    (index != ZYDIS_REGISTER_NONE && r == reg_number(index)))
			return false;
		s->gpr[r] = locked ? rnd(16) : (u64)((s64)rnd(4096) - 2048);
	}
	return true;
}

static u64 interesting(void)
{
	static const u64 v[] = {0,
				1,
				2,
				0x7f,
				0x80,
				0xff,
				0x7fff,
				0x8000,
				0xffff,
				0x7fffffff,
				0x80000000,
				0xffffffff,
				0x7fffffffffffffff,
				0x8000000000000000,
				0xffffffffffffffff};

	return rnd(3) ? rng_next(&seed) : v[rnd(ARRAY_SIZE(v))];
}

static void random_state(struct oracle_state *s)
{
	for (u32 i = 0; i < 16; i++)
		s->gpr[i] = interesting();
	s->rflags = 0x202 | (rng_next(&seed) & (RFLAGS_ARITH | RFLAGS_DF));
	memset(s->fx, 0, sizeof(s->fx));
	nm_store16(s->fx, rnd(4) ? 0x37f : (u16)(0x340 | rnd(64)));
	u16 fsw = (u16)(rnd(8) << 11);
	nm_store16(s->fx + 2, fsw);
	s->fx[4] = rnd(3) ? 0xff : (u8)rnd(256);
	nm_store32(s->fx + 24, rnd(6) ? 0x1f80 : 0x1f80 & ~(rnd(64) << 7));
	for (u32 i = 0; i < 8; i++) {
		u64 frac = interesting();
		nm_store64(s->fx + 32 + 16 * i, rnd(4) ? frac | 1ull << 63 : frac);
		nm_store16(s->fx + 40 + 16 * i,
			   rnd(3) ? (u16)(0x3fff + rnd(64) - 32) : (u16)rnd(65536));
	}
	for (u32 i = 0; i < 16; i++)
		for (u32 j = 0; j < 16; j += 8)
			nm_store64(s->fx + 160 + 16 * i + j,
				   rnd(2) ? rng_next(&seed) : interesting());
}

/* ---- running both ---- */

static void run_engine(struct guest *g, const struct insn *x, const struct oracle_state *in,
		       struct oracle_state *out)
{
	struct vp *vp = g->vp;
	bool translated = g->translated;
	/* two MOVAPS xmm0, xmm0 (the first one's handler passes the gates) and UD2 around it */
	u8 code[6 + 20] = {0x0f, 0x28, 0xc0, 0x0f, 0x28, 0xc0};
	u32 lead = translated ? 6 : 0;

	memcpy(code + 6, x->bytes, 16);
	if (translated)
		nm_store16(code + 6 + x->in.length, 0x0b0f);
	mem_write(g->mem, GPA_CODE + ((ORACLE_INSN - 6) & 0xfff), code, 6 + x->in.length + 2u);
	memcpy(vp->cpu.gpr, in->gpr, sizeof(in->gpr));
	vp->cpu.rflags = in->rflags;
	vp->cpu.rip = ORACLE_INSN - lead;
	vp->cpu.activity = ACTIVITY_ACTIVE;
	vp->cpu.interruptibility = 0;
	vp_vec_park(vp);
	memset(vp->cpu.vec, 0, VEC_AREA_BYTES);
	memcpy(vp->cpu.vec, in->fx, 416);
	nm_store64(vp->cpu.vec + 512, 3);
	vp->fpu_ip = vp->fpu_dp = vp->fpu_op = 0;
	engine_state_changed(vp);
	out->vector = -1;
	for (u32 i = 0; i < 1000 && (!i || vp->cpu.rip == ORACLE_INSN); i++) {
		if (engine_run(vp, vp->insns + (translated ? 1000 : 1)) == ENGINE_STOP_EXIT) {
			if (translated && vp->cpu.rip == ORACLE_INSN + x->in.length)
				break;
			out->vector = vp->exit.reason == EXIT_REASON_EXCEPTION_NMI
					      ? (s32)(vp->exit.intr_info & 0xff)
					      : (s32)(1000 + vp->exit.reason);
			break;
		}
	}
	vp_vec_park(vp);
	memcpy(out->gpr, vp->cpu.gpr, sizeof(out->gpr));
	out->rflags = vp->cpu.rflags;
	memcpy(out->fx, vp->cpu.vec, 416);
	if (out->vector < 0 && vp->cpu.rip != ORACLE_INSN + x->in.length)
		out->vector = 2000;
	g->x87.ip = vp->fpu_ip;
	g->x87.dp = vp->fpu_dp;
	g->x87.op = vp->fpu_op;
}

static u64 flags_mask(const struct insn *x)
{
	u64 undefined = x->in.cpu_flags ? x->in.cpu_flags->undefined : 0;

	return (RFLAGS_ARITH | RFLAGS_DF) & ~undefined;
}

/* x87 pointers and reserved bytes are not compared; nor is an empty or init vector part. */
static bool same_fx(const u8 *a, const u8 *b)
{
	return memcmp(a, b, 5) == 0 && nm_load32(a + 24) == nm_load32(b + 24) &&
	       memcmp(a + 160, b + 160, 256) == 0 && ({
		       bool same = true;
		       for (u32 i = 0; i < 8; i++)
			       same &= memcmp(a + 32 + 16 * i, b + 32 + 16 * i, 10) == 0;
		       same;
	       });
}

static void show(const struct guest *g, u32 how, const struct insn *x,
		 const struct oracle_state *in, const struct oracle_state *host,
		 const struct oracle_state *got)
{
	char text[128];
	ZydisFormatter f;

	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&f, &x->in, x->op, x->in.operand_count_visible, text,
					sizeof(text), ORACLE_INSN, NULL);
	printf("%s disagrees (%u): %s  [", g->name, how, text);
	for (u32 i = 0; i < x->in.length; i++)
		printf("%02x", x->bytes[i]);
	printf("]\n  vector host %d engine %d; flags in %#llx host %#llx engine %#llx\n",
	       host->vector, got->vector, (unsigned long long)in->rflags & 0xcd5,
	       (unsigned long long)host->rflags & 0xcd5, (unsigned long long)got->rflags & 0xcd5);
	for (u32 i = 0; i < 16; i++)
		if (host->gpr[i] != got->gpr[i])
			printf("  gpr%u in %016llx host %016llx engine %016llx\n", i,
			       (unsigned long long)in->gpr[i], (unsigned long long)host->gpr[i],
			       (unsigned long long)got->gpr[i]);
	for (u32 i = 0; i < 416; i += 8)
		if ((i < 5 || i >= 24) && memcmp(host->fx + i, got->fx + i, 8))
			printf("  fx+%u in %016llx host %016llx engine %016llx\n", i,
			       (unsigned long long)nm_load64(in->fx + i),
			       (unsigned long long)nm_load64(host->fx + i),
			       (unsigned long long)nm_load64(got->fx + i));
}

/*
 * What the SDM leaves open when an instruction faults: ENTER may have pushed a part; an x87 store
 * in microcode may have written the bytes of the first page; an MMX instruction may have gone over
 * to MMX tags already; MASKMOV may have stored some bytes.
 */
static void forgive_partial(const struct insn *x, const struct oracle_state *host,
			    struct oracle_state *got, u8 *ram, const u8 *data)
{
	bool x87 =
		x->in.meta.isa_ext == ZYDIS_ISA_EXT_X87 || x->in.mnemonic == ZYDIS_MNEMONIC_FISTTP;
	bool maskmov = x->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
		       x->in.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU ||
		       x->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;

	/* An unmasked exception suppresses an x87 store; the engine finds the page fault first. */
	if (x87 && got->vector == VECTOR_PF && host->vector < 0 && (host->fx[2] & 0x80))
		*got = *host;
	/* Whether a masked byte's page faults is up to the implementation. */
	if (maskmov && host->vector == VECTOR_PF) {
		memcpy(ram, data, ORACLE_DATA_BYTES);
		*got = *host;
	}
	if (host->vector < 0 || got->vector != host->vector)
		return;
	if (x->in.mnemonic == ZYDIS_MNEMONIC_ENTER || x87)
		memcpy(ram, data, ORACLE_DATA_BYTES);
	for (u32 i = 0; i < x->in.operand_count; i++)
		if (x->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(x->op[i].reg.value) == ZYDIS_REGCLASS_MMX)
			memcpy(got->fx, host->fx, 416);
}

static bool agrees(struct guest *g, const struct insn *x, u32 how, const struct oracle_state *in,
		   const struct oracle_state *host, const u8 *before, const u8 *data)
{
	static struct oracle_state got, want;
	static u8 after[ORACLE_DATA_BYTES];
	static u32 shown;
	u8 *ram = mem_ram_hva(g->mem, GPA_DATA, ORACLE_DATA_BYTES);
	bool same;

	memcpy(ram, before, ORACLE_DATA_BYTES);
	memcpy(after, data, ORACLE_DATA_BYTES);
	want = *host;
	prepare(g, how);
	run_engine(g, x, in, &got);
	clean_up(g, how);
	forgive_partial(x, &want, &got, ram, after);
	same = want.vector == got.vector && memcmp(want.gpr, got.gpr, sizeof(want.gpr)) == 0 &&
	       memcmp(after, ram, ORACLE_DATA_BYTES) == 0 && same_fx(want.fx, got.fx) &&
	       (want.vector >= 0 || ((want.rflags ^ got.rflags) & flags_mask(x)) == 0);
	if (!same && shown++ < SHOWN_MAX) {
		show(g, how, x, in, &want, &got);
		if (memcmp(after, ram, ORACLE_DATA_BYTES))
			printf("  memory differs\n");
	}
	return same;
}

static bool one_case(void)
{
	static struct oracle_state in, host;
	static u8 before[ORACLE_DATA_BYTES];
	struct insn x;
	u8 *data = oracle_data();
	u32 how = (rnd(4) ? 0 : HOW_COLD) | (rnd(4) ? 0 : HOW_CODE) | (rnd(64) ? 0 : HOW_READ_ONLY);
	bool same = true;

	do {
		generate(&x);
		random_state(&in);
	} while (!aim(&x, &in));
	for (u32 i = 0; i < ORACLE_DATA_BYTES; i += 512)
		nm_store64(data + i + 8 * rnd(63), interesting());
	memcpy(before, data, ORACLE_DATA_BYTES);
	if (how & HOW_READ_ONLY)
		assert_int_equal(mprotect(data + PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
	oracle_run(x.bytes, x.in.length, &in, &host);
	if (how & HOW_READ_ONLY)
		assert_int_equal(mprotect(data + PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	for (u32 i = 0; i < n_guests; i++)
		same &= agrees(&guests[i], &x, how, &in, &host, before, data);
	if (n_guests > 1 && memcmp(&guests[0].x87, &guests[1].x87, sizeof(guests[0].x87))) {
		show(&guests[1], how, &x, &in, &host, &host);
		printf("  x87 pointers %#llx:%#llx\n", (unsigned long long)guests[1].x87.ip,
		       (unsigned long long)guests[1].x87.dp);
		return false;
	}
	return same;
}

static void host_and_engines_agree(void **state)
{
	u32 bad = 0, n = getenv("NESTOR_LONG") ? CASES_LONG : CASES_DEFAULT;

	(void)state;
	if (getenv("NESTOR_CASES"))
		n = (u32)atoi(getenv("NESTOR_CASES"));
	assert_int_equal(vec_init(), 0);
	assert_int_equal(oracle_init(), 0); /* after cmocka's own signal handlers */
	set_features();
	while (n_guests < ARRAY_SIZE(guests) && create_guest(&guests[n_guests]))
		n_guests++;
	assert_true(n_guests > 0);
	for (u32 i = 0; i < n; i++)
		bad += !one_case();
	for (u32 i = 0; i < ARRAY_SIZE(guests) && guests[i].vp; i++) {
		struct guest *g = &guests[i];

		jit_detach(g->vp);
		engine_vp_fini(g->vp);
		vtlb_vp_fini(&g->vp->tlb);
		vtlb_destroy(g->vtlb);
		mem_destroy(g->mem);
		free(g->vp);
	}
	printf("%u instructions by the host%s, %u disagree\n", n,
	       n_guests == 1 ? " and the interpreter" : ", the interpreter and the translator",
	       bad);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(host_and_engines_agree)};

	seed = getenv("NESTOR_SEED") ? strtoull(getenv("NESTOR_SEED"), NULL, 0) : 20261120;
	printf("seed %llu\n", (unsigned long long)seed);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
