/*
 * Random sequences of integer instructions in 64-, 32- and 16-bit code: the engine against the
 * host's processor, and the engine at full speed against itself by single steps. What single
 * instructions cannot show: flags that are dead, pairs with Jcc, loops between blocks, the state at
 * a fault in mid-block, 16-bit addresses, segments with limits. The seed is printed; NESTOR_SEED,
 * NESTOR_CASES.
 *
 * The host runs 32-bit code in the kernel's compatibility segment and 16-bit code in segments of a
 * local descriptor table; a kernel that gives none is a skip.
 */
#include <Zydis/Zydis.h>
#include <asm/ldt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/hash.h"
#include "l0/engine/engine.h"
#include "l0/engine/vec.h"
#include "l0/mem/mem.h"
#include "tests/diff/oracle.h"
#include "tests/unit/engine_tier.h"
#include "trace/transition.h"

#define CODE 0x5a340000ull
#define CODE_AT (CODE + 0x400)
#define PROLOGUE CODE
#define EPILOGUE (CODE + 0xa00)
#define ESCAPE_TO (CODE + 0xd00)
#define DATA 0x10000000ull
#define DATA_BYTES 0x2000u
#define CTX 0x6ab80000ull
#define GPA_TABLES 0x10000u
#define GPA_CODE 0x100000u
#define GPA_DATA 0x200000u
#define CASES_DEFAULT 40000u
#define SHOWN_MAX 8u
#define LOOPS 6u

enum { CODE64, CODE32, CODE16 };

struct state {
	u64 gpr[16], rflags, rip; /* rip: offset from the start of the sequence */
	s32 vector;		  /* -1: ran to its end */
	u64 count;		  /* engine: instructions */
};

static u64 seed;
static struct mem *mem;
static struct vp *vp;
static struct cpu_features features;

static u32 rnd(u32 n)
{
	return (u32)(rng_next(&seed) % n);
}

/* ---- the host ---- */

struct context {
	struct state in, out;
	u64 host_rsp, flags_in, flags_out[8];
	struct {
		u32 offset;
		u16 sel;
	} __attribute__((packed)) start;
	u8 data[DATA_BYTES];
};
static struct context *const ctx = (struct context *)CTX;
static volatile bool running;
static u16 sel_code16, sel_data16;

static u8 *put(u8 *p, const void *b, u32 n)
{
	memcpy(p, b, n);
	return p + n;
}

/* MOV r64, [abs32] (8b) or back (89) */
static u8 *put_mov(u8 *p, u8 opcode, u32 reg, const void *addr)
{
	u32 a = (u32)(u64)addr;

	p = put(p, (u8[]){(u8)(0x48 | (reg >> 3) << 2), opcode, (u8)(4 | (reg & 7) << 3), 0x25}, 4);
	return put(p, &a, 4);
}

/* MOV EAX, sel; MOV DS, EAX; MOV ES, EAX; MOV SS, EAX for the data segments of the guest's mode */
static u8 *put_segments(u8 *p, u16 data, u16 stack)
{
	u32 d = data, s = stack;

	p = put(put(p, "\xb8", 1), &d, 4);
	p = put(p, "\x8e\xd8\x8e\xc0", 4);
	p = put(put(p, "\xb8", 1), &s, 4);
	return put(p, "\x8e\xd0", 2);
}

static void build(int mode)
{
	u8 *p = (u8 *)PROLOGUE;
	u32 a;

	p = put_mov(p, 0x89, RSP, &ctx->host_rsp);
	if (mode != CODE64)
		p = put_segments(p, mode == CODE16 ? sel_data16 : 0x2b,
				 mode == CODE16 ? sel_data16 : 0x2b);
	a = (u32)(u64)&ctx->flags_in;
	p = put(put(p, "\xbc", 1), &a, 4); /* MOV ESP, imm32 */
	*p++ = 0x9d;
	for (u32 r = 0; r < 16; r++)
		p = put_mov(p, 0x8b, r, &ctx->in.gpr[r]);
	a = (u32)(u64)&ctx->start;
	p = put(put(p, "\xff\x2c\x25", 3), &a, 4); /* JMP FAR m16:32 */

	p = (u8 *)EPILOGUE;
	for (u32 r = 0; r < 16; r++)
		p = put_mov(p, 0x89, r, &ctx->out.gpr[r]);
	a = (u32)(u64)&ctx->flags_out[8];
	p = put(put(p, "\xbc", 1), &a, 4);
	*p++ = 0x9c;
	p = put(p, "\xb8", 1);
	a = (u32)ESCAPE_TO;
	p = put(put(p, &a, 4), "\xff\xe0", 2); /* JMP RAX */

	p = put_segments((u8 *)ESCAPE_TO, 0, 0x2b);
	p = put_mov(p, 0x8b, RSP, &ctx->host_rsp);
	put(p, "\xfc\xc3", 2);
}

static void on_exception(int sig, siginfo_t *info, void *context)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				      REG_RSI, REG_RDI, REG_R8,	 REG_R9,  REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15};
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (!running) {
		signal(sig, SIG_DFL);
		return;
	}
	for (u32 r = 0; r < 16; r++)
		ctx->out.gpr[r] = (u64)g[order[r]];
	ctx->flags_out[7] = (u64)g[REG_EFL];
	ctx->out.vector = (s32)g[REG_TRAPNO];
	ctx->out.rip = (u64)g[REG_RIP] - ctx->start.offset;
	g[REG_RIP] = (greg_t)ESCAPE_TO;
	g[REG_EFL] &= ~(greg_t)0x40100;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000) | 0x33 | (greg_t)0x002b000000000000;
}

static bool map_at(u64 addr, u64 bytes, int prot)
{
	return mmap((void *)addr, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		    -1, 0) == (void *)addr;
}

static bool set_ldt(u32 n, u64 base, u32 limit, bool code)
{
	struct user_desc d = {.entry_number = n,
			      .base_addr = (u32)base,
			      .limit = limit,
			      .seg_32bit = 0,
			      .contents =
				      code ? MODIFY_LDT_CONTENTS_CODE : MODIFY_LDT_CONTENTS_DATA};

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

/* In each test: cmocka takes the signals before it. */
static void take_signals(void)
{
	static u8 altstack[65536];
	const stack_t ss = {.ss_sp = altstack, .ss_size = sizeof(altstack)};
	const int sigs[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
	struct sigaction act = {.sa_sigaction = on_exception,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	sigaltstack(&ss, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(sigs); i++)
		sigaction(sigs[i], &act, NULL);
}

static bool host_init(void)
{
	if (!map_at(CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map_at(DATA, DATA_BYTES, PROT_READ | PROT_WRITE) ||
	    !map_at(CTX, 0x4000, PROT_READ | PROT_WRITE))
		return false;
	if (set_ldt(0, CODE, 0xfff, true) && set_ldt(1, DATA, DATA_BYTES - 1, false)) {
		sel_code16 = 0 << 3 | 7;
		sel_data16 = 1 << 3 | 7;
	}
	return true;
}

/* The sequence's end jumps to the epilogue: far from 32- and 16-bit code. */
static void put_end(int mode, u8 *p)
{
	u32 to = (u32)EPILOGUE;

	if (mode == CODE64) {
		s32 rel = (s32)((s64)EPILOGUE - (s64)(u64)(p + 5));

		put(put(p, "\xe9", 1), &rel, 4);
		return;
	}
	if (mode == CODE16)
		*p++ = 0x66;
	put(put(put(p, "\xea", 1), &to, 4), "\x33\x00", 2);
}

static void run_host(int mode, const u8 *code, u32 len, const struct state *in, struct state *out)
{
	build(mode);
	memcpy((u8 *)CODE_AT, code, len);
	put_end(mode, (u8 *)CODE_AT + len);
	ctx->in = *in;
	ctx->flags_in = in->rflags;
	ctx->out.vector = -1;
	ctx->out.rip = len;
	ctx->start.offset = mode == CODE16 ? CODE_AT - CODE : CODE_AT;
	ctx->start.sel = mode == CODE64 ? 0x33 : mode == CODE32 ? 0x23 : sel_code16;
	running = true;
	oracle_call(PROLOGUE);
	running = false;
	*out = ctx->out;
	out->rflags = ctx->flags_out[7];
}

/* ---- the engine ---- */

static void map_page(u64 gva, u64 gpa)
{
	u64 *ram = (u64 *)mem_ram_base(mem);
	static u64 next = GPA_TABLES + 0x1000;
	u64 table = GPA_TABLES;

	for (int shift = 39; shift > 12; shift -= 9) {
		u64 *e = &ram[table / 8 + (gva >> shift & 511)];

		if (!*e) {
			*e = next | 7;
			next += 0x1000;
		}
		table = *e & ~0xfffull;
	}
	ram[table / 8 + (gva >> 12 & 511)] = gpa | 0x67;
}

static u64 no_tsc(struct vp *v)
{
	return v->insns;
}

static const struct vp_ops ops = {.tsc = no_tsc};

static void create_guest(void)
{
	static struct trace_hub hub;
	static struct trace_ctx trace;
	struct vtlb_config cfg = {.max_bytes = MIB, .max_vps = 1, .maxphyaddr = 40};
	struct vtlb *vtlb;
	int err;

	mem = mem_create(4 * MIB, &err);
	vtlb = vtlb_create(mem, &cfg, &err);
	assert_non_null(vtlb);
	vp = aligned_alloc(64, ALIGN_UP(sizeof(*vp), 64));
	memset(vp, 0, sizeof(*vp));
	trace_hub_init(&hub);
	trace_ctx_init(&trace, &hub, NULL, 0, 1, NULL, NULL);
	features = (struct cpu_features){.cr4_valid = ~0ull,
					 .efer_valid = ~0ull,
					 .maxphyaddr = 40,
					 .linaddr_bits = 48,
					 .has_cx16 = true};
	vp->mem = mem;
	vp->features = &features;
	vp->ops = &ops;
	vp->trace = vp->tlb.trace = &trace;
	assert_int_equal(vtlb_vp_init(vtlb, &vp->tlb, 0), 0);
	assert_int_equal(engine_vp_init(vp, 2 * MIB), 0);
	if (tier_is_jit())
		assert_true(tier_attach(vp, 1));
	engine_reset(vp, false);
	map_page(CODE, GPA_CODE);
	map_page(DATA, GPA_DATA);
	map_page(DATA + 0x1000, GPA_DATA + 0x1000);
	vp->cpu.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	vp->cpu.cr3 = GPA_TABLES;
	vp->cpu.cr4 = CR4_PAE;
	vp->cpu.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	vp->ctl.exception_bitmap = ~0u;
}

static void set_mode(int mode)
{
	struct seg code = {.sel = 0x33,
			   .ar = mode == CODE64	  ? 0xa0fb
				 : mode == CODE32 ? 0xc0fb
						  : 0x00fb,
			   .limit = mode == CODE16 ? 0xfff : ~0u,
			   .base = mode == CODE16 ? CODE : 0};
	struct seg data = {.sel = 0x2b,
			   .ar = mode == CODE16 ? 0x00f3 : 0xc0f3,
			   .limit = mode == CODE16 ? DATA_BYTES - 1 : ~0u,
			   .base = mode == CODE16 ? DATA : 0};

	vp->cpu.seg[SEG_CS] = code;
	vp->cpu.seg[SEG_DS] = vp->cpu.seg[SEG_ES] = vp->cpu.seg[SEG_SS] = data;
	vp->cpu.seg[SEG_FS] = vp->cpu.seg[SEG_GS] = (struct seg){.ar = SEG_AR_UNUSABLE};
}

/* The end is a HLT, which is #GP for level 3. @step: instructions for each engine_run(). */
static void run_engine(int mode, const u8 *code, u32 len, const struct state *in, struct state *out,
		       u64 step)
{
	u8 bytes[128];
	u64 start = mode == CODE16 ? CODE_AT - CODE : CODE_AT;

	memcpy(bytes, code, len);
	bytes[len] = 0xf4;
	mem_write(mem, GPA_CODE + (CODE_AT & 0xfff), bytes, len + 1);
	memcpy(vp->cpu.gpr, in->gpr, sizeof(in->gpr));
	vp->cpu.rflags = in->rflags;
	vp->cpu.rip = start;
	vp->cpu.activity = ACTIVITY_ACTIVE;
	set_mode(mode);
	engine_state_changed(vp);
	out->vector = 3000;
	u64 begin = vp->insns;
	for (u64 end = vp->insns + 100000; vp->insns < end;) {
		enum engine_stop why = engine_run(vp, step ? vp->insns + step : end);

		if (why == ENGINE_STOP_EXIT) {
			out->vector = vp->exit.reason == EXIT_REASON_EXCEPTION_NMI
					      ? (s32)(vp->exit.intr_info & 0xff)
					      : (s32)(1000 + vp->exit.reason);
			break;
		}
	}
	memcpy(out->gpr, vp->cpu.gpr, sizeof(out->gpr));
	out->rflags = vp->cpu.rflags;
	out->rip = vp->cpu.rip - start;
	out->count = vp->insns - begin;
	if (out->vector == VECTOR_GP && out->rip == len)
		out->vector = -1;
}

/* ---- sequences ---- */

static ZydisDecoder decoders[3];

static bool is_allowed(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *o)
{
	switch (in->meta.category) {
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_ROTATE:
	case ZYDIS_CATEGORY_DATAXFER:
	case ZYDIS_CATEGORY_CMOV:
	case ZYDIS_CATEGORY_SETCC:
	case ZYDIS_CATEGORY_BITBYTE:
	case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_FLAGOP:
	case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_POP:
	case ZYDIS_CATEGORY_STRINGOP:
	case ZYDIS_CATEGORY_MISC:
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_WIDENOP:
	case ZYDIS_CATEGORY_SEMAPHORE:
	case ZYDIS_CATEGORY_DECIMAL:
	case ZYDIS_CATEGORY_COND_BR: break;
	default: return false;
	}
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_CLAC:
	case ZYDIS_MNEMONIC_STAC:
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_MONITOR:
	case ZYDIS_MNEMONIC_MWAIT:
	case ZYDIS_MNEMONIC_MOVNTI: return false;
	default: break;
	}
	if (oracle_is_host_bound(in->mnemonic))
		return false;
	if (in->meta.isa_ext != ZYDIS_ISA_EXT_BASE && in->meta.isa_ext != ZYDIS_ISA_EXT_LONGMODE)
		return false;
	/* A host may make locked accesses across cache lines take milliseconds. */
	if ((in->attributes & ZYDIS_ATTRIB_HAS_LOCK) ||
	    (in->mnemonic == ZYDIS_MNEMONIC_XCHG && in->raw.modrm.mod != 3))
		return false;
	for (u32 i = 0; i < in->operand_count; i++) {
		if (o[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (ZydisRegisterGetClass(o[i].reg.value) == ZYDIS_REGCLASS_SEGMENT ||
		     (ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(in->machine_mode,
									  o[i].reg.value)) == 15 &&
		      in->machine_mode == ZYDIS_MACHINE_MODE_LONG_64)))
			return false; /* R15 counts the rounds */
		if (o[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (o[i].mem.segment == ZYDIS_REGISTER_FS ||
		     o[i].mem.segment == ZYDIS_REGISTER_GS ||
		     o[i].mem.segment == ZYDIS_REGISTER_CS))
			return false;
	}
	return true;
}

/* Mostly ALU operations, memory operands near a register that points to the data. */
static void random_bytes(int mode, u8 *p)
{
	static const u8 common[] = {0x01, 0x03, 0x09, 0x11, 0x13, 0x19, 0x21, 0x29, 0x2b,
				    0x31, 0x33, 0x39, 0x3b, 0x83, 0x81, 0x80, 0x85, 0x84,
				    0x87, 0x89, 0x8b, 0x88, 0x8d, 0xc1, 0xd1, 0xd3, 0xf7,
				    0xf6, 0xff, 0xfe, 0x69, 0x6b, 0xc7, 0x63, 0x50, 0x58};

	for (u32 i = 0; i < 16; i++)
		p[i] = (u8)rng_next(&seed);
	if (rnd(10) == 0)
		*p++ = 0x66;
	if (rnd(25) == 0)
		*p++ = 0x67;
	if (rnd(25) == 0)
		*p++ = rnd(2) ? 0xf2 : 0xf3;
	if (mode == CODE64 && rnd(2))
		*p++ = (u8)(0x40 | rnd(16));
	if (rnd(3) == 0) {
		if (rnd(2))
			*p++ = 0x0f;
		return;
	}
	*p++ = common[rnd(ARRAY_SIZE(common))];
	if (rnd(2)) {
		*p |= 0xc0;
		return;
	}
	*p = (u8)((*p & 0x38) | 0x40 | (mode == CODE16 ? 4 + rnd(4) : 3 + rnd(5)));
	if ((*p & 7) == 4 && mode != CODE16)
		p[1] = 0x24; /* [RSP + disp8] */
}

static bool is_branch(const ZydisDecodedInstruction *in)
{
	return in->meta.category == ZYDIS_CATEGORY_COND_BR;
}

struct sequence {
	u8 bytes[120];
	u32 len;
	u64 undefined; /* flags that it leaves undefined at its end or where it faults */
};

/* @n instructions; branches go to the end, or over nothing. In 64-bit code repeated by R15. */
static void generate(int mode, struct sequence *s, u32 n)
{
	ZydisDecodedInstruction in;
	ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
	u32 fix[16], fixes = 0;
	bool loop = mode == CODE64 && rnd(2);
	u64 unknown = 0; /* undefined where generation stands */

	s->len = 0;
	s->undefined = 0;
	for (u32 i = 0; i < n;) {
		u8 *p = s->bytes + s->len;

		random_bytes(mode, p);
		if (i && rnd(4) == 0) {
			p[0] = (u8)(0x70 | rnd(16));
			p[1] = 0;
		}
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[mode], p, 15, &in, o)) ||
		    !is_allowed(&in, o))
			continue;
		if (in.cpu_flags && (in.cpu_flags->tested & (loop ? s->undefined : unknown)))
			continue;
		if (is_branch(&in)) {
			if (in.raw.imm[0].size != 8 || in.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
				continue;
			p[in.raw.imm[0].offset] = 0;
			if (rnd(2))
				fix[fixes++] = s->len + in.raw.imm[0].offset;
		}
		if (in.cpu_flags) {
			unknown &= ~(u64)(in.cpu_flags->modified | in.cpu_flags->set_0 |
					  in.cpu_flags->set_1);
			unknown |= in.cpu_flags->undefined;
			s->undefined |= in.cpu_flags->undefined;
		}
		s->len += in.length;
		i++;
	}
	for (u32 i = 0; i < fixes; i++)
		s->bytes[fix[i]] = (u8)(s->len - fix[i] - 1);
	if (loop) {
		put(s->bytes + s->len, (u8[]){0x49, 0xff, 0xcf, 0x75, (u8) - (s32)(s->len + 5)}, 5);
		s->len += 5;
	}
}

static void random_state(int mode, struct state *s)
{
	u64 base = mode == CODE16 ? 0 : DATA;

	for (u32 i = 0; i < 16; i++)
		s->gpr[i] = rnd(3) ? rng_next(&seed) : (u64)(s64)(s8)rng_next(&seed);
	s->gpr[RCX] = rnd(40);
	s->gpr[RBX] = base + rnd(DATA_BYTES);
	s->gpr[RBP] = base + rnd(DATA_BYTES);
	s->gpr[RSI] = base + rnd(DATA_BYTES);
	s->gpr[RDI] = base + rnd(DATA_BYTES);
	s->gpr[RSP] = base + 0x400 + 8 * rnd(DATA_BYTES / 8 - 0x100);
	s->gpr[R15] = 1 + rnd(LOOPS);
	s->rflags = 0x202 | (rng_next(&seed) & (RFLAGS_ARITH | RFLAGS_DF));
}

static bool same(int mode, const struct state *a, const struct state *b, u64 flags)
{
	u64 mask = mode == CODE64 ? ~0ull : 0xffffffffull;

	for (u32 i = 0; i < (mode == CODE64 ? 16 : 8); i++)
		if ((a->gpr[i] ^ b->gpr[i]) & mask)
			return false;
	return a->vector == b->vector && a->rip == b->rip && !((a->rflags ^ b->rflags) & flags);
}

static void show(int mode, const struct sequence *s, const struct state *in, const struct state *a,
		 const struct state *b, const char *who)
{
	ZydisFormatter f;
	u32 off = 0;

	printf("%s, %d-bit code:\n", who, 64 >> mode);
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	while (off < s->len) {
		ZydisDecodedInstruction x;
		ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
		char text[96] = "?";

		if (!ZYAN_SUCCESS(
			    ZydisDecoderDecodeFull(&decoders[mode], s->bytes + off, 15, &x, o)))
			break;
		ZydisFormatterFormatInstruction(&f, &x, o, x.operand_count_visible, text,
						sizeof(text), off, NULL);
		printf("    %3u  %s\n", off, text);
		off += x.length;
	}
	printf("  vector %d / %d  rip %lld / %lld  flags %#llx: %#llx / %#llx\n", a->vector,
	       b->vector, (long long)a->rip, (long long)b->rip, (unsigned long long)in->rflags,
	       (unsigned long long)a->rflags & 0xcd5, (unsigned long long)b->rflags & 0xcd5);
	for (u32 i = 0; i < 16; i++)
		if (a->gpr[i] != b->gpr[i])
			printf("  gpr%u %llx: %llx / %llx\n", i, (unsigned long long)in->gpr[i],
			       (unsigned long long)a->gpr[i], (unsigned long long)b->gpr[i]);
}

static void fill_data(u8 *host, u8 *guest)
{
	for (u32 i = 0; i < DATA_BYTES; i += 8) {
		u64 v = rng_next(&seed);

		memcpy(host + i, &v, 8);
	}
	memcpy(guest, host, DATA_BYTES);
	mem_note_write(mem, GPA_DATA, DATA_BYTES);
	memcpy(ctx->data, host, DATA_BYTES);
}

/* PUSHA and POPA may have done a part when they fault: the SDM leaves it open. */
static bool is_partial(const struct sequence *s, int mode, const struct state *st)
{
	ZydisDecodedInstruction in;

	return st->vector >= 0 && st->rip < s->len &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoders[mode], NULL, s->bytes + st->rip,
							  15, &in)) &&
	       (in.mnemonic == ZYDIS_MNEMONIC_POPA || in.mnemonic == ZYDIS_MNEMONIC_POPAD ||
		in.mnemonic == ZYDIS_MNEMONIC_PUSHA || in.mnemonic == ZYDIS_MNEMONIC_PUSHAD);
}

static u32 compare_one(int mode, u32 shown)
{
	u8 *host = (u8 *)DATA, *guest = mem_ram_base(mem) + GPA_DATA;
	static u8 kept[DATA_BYTES];
	struct state in, want, got, stepped;
	struct sequence s;
	bool ok;

	generate(mode, &s, 1 + rnd(7));
	random_state(mode, &in);
	fill_data(host, guest);
	run_engine(mode, s.bytes, s.len, &in, &got, 0);
	memcpy(kept, guest, DATA_BYTES);
	memcpy(guest, ctx->data, DATA_BYTES);
	run_engine(mode, s.bytes, s.len, &in, &stepped, 1);
	ok = same(mode, &got, &stepped, RFLAGS_ARITH | RFLAGS_DF) &&
	     !memcmp(kept, guest, DATA_BYTES) && got.count == stepped.count;
	if (!ok && shown < SHOWN_MAX)
		show(mode, &s, &in, &stepped, &got, "by steps / at full speed");
	if (!ok)
		return 1;
	/* What went far astray might reach the host's own memory. */
	if (got.vector == VECTOR_PF && vp->exit.qualification - (DATA - 0x10000) > 0x20000)
		return 0;
	run_host(mode, s.bytes, s.len, &in, &want);
	ok = same(mode, &want, &got, (RFLAGS_ARITH | RFLAGS_DF) & ~s.undefined) &&
	     !memcmp(kept, host, DATA_BYTES);
	if (!ok && shown < SHOWN_MAX && !is_partial(&s, mode, &got))
		show(mode, &s, &in, &want, &got,
		     memcmp(kept, host, DATA_BYTES) ? "host / engine, memory differs"
						    : "host / engine");
	return !ok && !is_partial(&s, mode, &got);
}

static void run_mode(int mode)
{
	const char *cases = getenv("NESTOR_CASES");
	u32 n = cases ? (u32)strtoul(cases, NULL, 0) : CASES_DEFAULT, bad = 0;

	take_signals();
	for (u32 i = 0; i < n; i++)
		bad += compare_one(mode, bad);
	printf("%u sequences of %d-bit code, %u differ\n", n, 64 >> mode, bad);
	assert_int_equal(bad, 0);
}

static void code64(void **state)
{
	run_mode(CODE64);
}

static void code32(void **state)
{
	run_mode(CODE32);
}

static void code16(void **state)
{
	if (!sel_code16)
		skip();
	run_mode(CODE16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code64),
		cmocka_unit_test(code32),
		cmocka_unit_test(code16),
	};
	const char *s = getenv("NESTOR_SEED");

	seed = s ? strtoull(s, NULL, 0) : 20261121;
	printf("seed %llu\n", (unsigned long long)seed);
	ZydisDecoderInit(&decoders[CODE64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&decoders[CODE32], ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
			 ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[CODE16], ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
			 ZYDIS_STACK_WIDTH_16);
	if (vec_init() || !host_init()) {
		printf("the host gives no memory at fixed addresses\n");
		return 77;
	}
	create_guest();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
