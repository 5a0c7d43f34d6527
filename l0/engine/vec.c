#include "l0/engine/vec.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "l0/base/log.h"
#include "l0/engine/vec_priv.h"
#include "l0/engine/vec_stub.h"

/* ---- running a stub ---- */

/*
 * A stub runs with the guest's vector state, guest memory operand at rdi, general register in rax.
 * When the host's processor raises a floating-point exception in it, on_sigfpe() returns from the
 * stub with the host's trap number in r11.
 */
#define STUB_CALL \
	"leaq -128(%%rsp), %%rsp\n\txorl %%r11d, %%r11d\n\tcall *%[stub]\n\tleaq 128(%%rsp), " \
	"%%rsp"

static __always_inline u32 stub_run(const void *stub, const void *mem)
{
	register u64 trap __asm__("r11");

	__asm__ volatile(STUB_CALL : "=&r"(trap), "+D"(mem) : [stub] "r"(stub) : "memory", "cc");
	return (u32)trap;
}

u64 (*vec_recover)(u64 host_rip);

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;

	(void)info;
	u64 other = vec_recover ? vec_recover((u64)g[REG_RIP]) : 0;

	if (other) {
		g[REG_RIP] = (greg_t)other;
		return;
	}
	if (!vec_stub_contains((u64)g[REG_RIP])) {
		signal(sig, SIG_DFL);
		return; /* the instruction runs again and ends the program as it should */
	}
	g[REG_RIP] = *(greg_t *)g[REG_RSP];
	g[REG_RSP] += 8;
	g[REG_R11] = g[REG_TRAPNO];
}

int vec_init(void)
{
	struct sigaction act = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO | SA_NODEFER};

	return sigaction(SIGFPE, &act, NULL) ? -errno : 0;
}

/* The guest has unmasked the exception that the host's processor found. */
static __attribute__((noinline)) void stub_trapped(struct vp *vp, const struct op *op, u32 trap)
{
	if (trap == VECTOR_MF) {
		if (!(vp->cpu.cr0 & CR0_NE))
			log_once(LOG_ENGINE, "x87 error with CR0.NE = 0: delivered as #MF, FERR# "
					     "is not modelled");
		vp_fault(vp, op, VECTOR_MF, 0);
	}
	vp_fault(vp, op, vp->cpu.cr4 & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD, 0);
}

void vec_gate_slow(struct vp *vp, const struct op *op)
{
	u64 cr0 = vp->cpu.cr0;
	u32 kind = op->aux;

	if (kind & VEC_WAIT) {
		if ((cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
			vp_fault(vp, op, VECTOR_NM, 0);
		return;
	}
	if (kind & VEC_AVX) {
		if ((vp->mode & (VP_MODE_REAL | VP_MODE_V86)) || !(vp->cpu.cr4 & CR4_OSXSAVE) ||
		    (vp->cpu.xcr0 & 6) != 6)
			vp_fault(vp, op, VECTOR_UD, 0);
		if (cr0 & CR0_TS)
			vp_fault(vp, op, VECTOR_NM, 0);
		return;
	}
	if (kind & (VEC_X87 | VEC_FXSR)) {
		if (cr0 & (CR0_EM | CR0_TS))
			vp_fault(vp, op, VECTOR_NM, 0);
		return;
	}
	if ((cr0 & CR0_EM) || ((kind & VEC_SSE) && !(vp->cpu.cr4 & CR4_OSFXSR)))
		vp_fault(vp, op, VECTOR_UD, 0);
	if (cr0 & CR0_TS)
		vp_fault(vp, op, VECTOR_NM, 0);
}

/* ---- memory operands ---- */

static __always_inline u64 vec_linear(struct vp *vp, const struct op *op, bool write)
{
	u64 lin = LINEAR(vp, op, op->size, write);

	if (unlikely(op->sel && (lin & (op->sel - 1u))))
		op_gp(vp, op);
	return lin;
}

static u32 piece(u32 left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static __attribute__((noinline)) u8 *read_slow(struct vp *vp, const struct op *op, u64 lin)
{
	for (u32 i = 0, n; i < op->size; i += n) {
		n = piece(op->size - i);
		u64 v = access_read(vp, op, lin + i, n, op->seg);
		nm_copy(vp->vec_buf + i, &v, n);
	}
	return vp->vec_buf;
}

static __attribute__((noinline)) u8 *write_begin_slow(struct vp *vp, const struct op *op, u64 lin)
{
	if (op->aux & VEC_STORE_KEEPS)
		read_slow(vp, op, lin);
	lin_probe_write(vp, op, lin, op->size);
	return vp->vec_buf;
}

static __attribute__((noinline)) void write_end_slow(struct vp *vp, const struct op *op, u64 lin)
{
	for (u32 i = 0, n; i < op->size; i += n) {
		u64 v = 0;
		n = piece(op->size - i);
		nm_copy(&v, vp->vec_buf + i, n);
		access_write(vp, op, lin + i, v, n, op->seg);
	}
}

static __always_inline void note_x87(struct vp *vp, const struct op *op)
{
	if (op->aux & VEC_POINTER) {
		vp->fpu_ip = op_rip(vp, op);
		vp->fpu_op = (u16)op->imm;
		if (op->flags & OP_MEM)
			vp->fpu_dp = op_ea(vp, op);
	}
}

/* ---- handlers ---- */

static void vec_reg(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	vec_live(vp);
	vec_passed(vp, op);
	u32 trap = stub_run((const void *)op->slow, NULL);
	vec_done(vp);
	if (unlikely(trap))
		stub_trapped(vp, op, trap);
	NEXT(vp, op);
}

static void vec_x87_reg(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	vec_live(vp);
	vec_passed(vp, op);
	u32 trap = stub_run((const void *)op->slow, NULL);
	vec_done(vp);
	if (unlikely(trap))
		stub_trapped(vp, op, trap);
	note_x87(vp, op);
	NEXT(vp, op);
}

static void vec_load(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	u64 lin = vec_linear(vp, op, false);
	const u8 *p = softtlb_read(vp, lin, op->size);
	if (unlikely(!p))
		p = read_slow(vp, op, lin);
	vec_live(vp);
	vec_passed(vp, op);
	u32 trap = stub_run((const void *)op->slow, p);
	vec_done(vp);
	if (unlikely(trap))
		stub_trapped(vp, op, trap);
	note_x87(vp, op);
	NEXT(vp, op);
}

static void vec_store(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	u64 lin = vec_linear(vp, op, true);
	u8 *p = softtlb_write(vp, lin, op->size);
	bool slow = !p;
	if (unlikely(slow))
		p = write_begin_slow(vp, op, lin);
	vec_live(vp);
	vec_passed(vp, op);
	u32 trap = stub_run((const void *)op->slow, p);
	vec_done(vp);
	if (unlikely(trap))
		stub_trapped(vp, op, trap);
	if (unlikely(slow))
		write_end_slow(vp, op, lin);
	note_x87(vp, op);
	NEXT(vp, op);
}

/* General registers and flags in and out, with or without a memory source or destination. */
static u32 stub_run_general(struct vp *vp, const struct op *op, const void *mem, bool flags_out)
{
	u64 a = op->aux & VEC_STRING	? vp->cpu.gpr[RAX]
		: op->aux & VEC_GPR_IN	? vp->cpu.gpr[op->src]
		: op->aux & VEC_GPR_OUT ? vp->cpu.gpr[op->dst]
					: 0;
	u64 c = vp->cpu.gpr[RCX], d = vp->cpu.gpr[RDX];
	register u64 trap __asm__("r11");
	register u64 result __asm__("r10");

	__asm__ volatile(STUB_CALL "\n\tmovq %%rax, %%r10\n\tlahf\n\tseto %%al"
			 : "=&r"(trap), "=&r"(result), "+a"(a), "+c"(c), "+d"(d), "+D"(mem)
			 : [stub] "r"((const void *)op->slow)
			 : "memory", "cc");
	if (trap)
		return (u32)trap;
	if (op->aux & VEC_GPR_OUT)
		vp->cpu.gpr[op->dst] = result;
	if (op->aux & VEC_STRING)
		vp->cpu.gpr[RCX] = c;
	if (flags_out)
		vp->arith = (u32)a & 0xffff;
	return 0;
}

static __always_inline void run_general(struct vp *vp, const struct op *op, bool flags_out)
{
	const u8 *mem = NULL;
	u64 lin = 0;
	bool slow = false, store = op->link[0] != NULL;

	vec_gate(vp, op);
	if (op->flags & OP_MEM) {
		lin = vec_linear(vp, op, store);
		mem = store ? softtlb_write(vp, lin, op->size) : softtlb_read(vp, lin, op->size);
		slow = !mem;
		if (slow)
			mem = store ? write_begin_slow(vp, op, lin) : read_slow(vp, op, lin);
	}
	vec_live(vp);
	vec_passed(vp, op);
	u32 trap = stub_run_general(vp, op, mem, flags_out);
	vec_done(vp);
	if (unlikely(trap))
		stub_trapped(vp, op, trap);
	if (store && slow)
		write_end_slow(vp, op, lin);
	note_x87(vp, op);
}

static void vec_general(struct vp *vp, const struct op *op)
{
	run_general(vp, op, false);
	NEXT(vp, op);
}

static void vec_general_flags(struct vp *vp, const struct op *op)
{
	run_general(vp, op, true);
	NEXT(vp, op);
}

/* FCMOVcc reads CF, ZF and PF. */
static void vec_fcmov(struct vp *vp, const struct op *op)
{
	u64 a = vp->arith;
	register u64 trap __asm__("r11");

	vec_gate(vp, op);
	vec_live(vp);
	vec_passed(vp, op);
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\txorl %%r11d, %%r11d\n\tsahf\n\tcall "
			 "*%[stub]\n\tleaq 128(%%rsp), %%rsp"
			 : "=&r"(trap), "+a"(a)
			 : [stub] "r"((const void *)op->slow)
			 : "memory", "cc");
	vec_done(vp);
	if (unlikely(trap))
		stub_trapped(vp, op, (u32)trap);
	note_x87(vp, op);
	NEXT(vp, op);
}

static void vec_fninit(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	vec_live(vp);
	__asm__ volatile("fninit" : : : "memory");
	vec_done(vp);
	vp->fpu_ip = vp->fpu_dp = 0;
	vp->fpu_op = 0;
	NEXT(vp, op);
}

/* On its own: a handler whose local's address is taken could not end in a sibling call. */
static __noinline void load_mxcsr(u32 value)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static void vec_ldmxcsr(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	u64 lin = vec_linear(vp, op, false);
	u32 value = (u32)access_read(vp, op, lin, 4, op->seg);
	if (value & ~vec_mxcsr_mask)
		op_gp(vp, op);
	vec_live(vp);
	load_mxcsr(value);
	vec_done(vp);
	NEXT(vp, op);
}

/*
 * MASKMOVQ, MASKMOVDQU: bytes whose mask has bit 7 set go to DS:rDI one by one. The registers are
 * read through a copy of the state: rare enough. An x87 exception that waits is looked for there
 * too (FSW.ES): outside a stub none may be raised.
 */
static void vec_maskmov(struct vp *vp, const struct op *op)
{
	vec_gate(vp, op);
	vp_vec_park(vp);
	bool mmx = op->aux & VEC_MMX;
	if (mmx && (nm_load16(vp->cpu.vec + 2) & 0x80))
		stub_trapped(vp, op, VECTOR_MF);
	u32 bytes = mmx ? 8 : 16;
	const u8 *regs = vp->cpu.vec + (mmx ? 32 : 160);
	/* MMn is physical register n; the image is in the order of the x87 stack */
	u32 top = mmx ? nm_load16(vp->cpu.vec + 2) >> 11 & 7 : 0, wrap = mmx ? 7 : 15;
	const u8 *data = regs + 16 * ((op->dst - top) & wrap),
		 *mask = regs + 16 * ((op->src - top) & wrap);
	u64 off = vp->cpu.gpr[RDI];

	if (op->asize < 8)
		off &= size_mask(op->asize);
	u64 lin = seg_linear(vp, op, op->seg < SEG_COUNT ? op->seg : SEG_DS, off, bytes, true);
	for (u32 i = 0; i < bytes; i++)
		if (mask[i] & 0x80)
			lin_probe_write(vp, op, lin + i, 1);
	for (u32 i = 0; i < bytes; i++)
		if (mask[i] & 0x80)
			lin_write(vp, op, lin + i, data[i], 1);
	if (mmx) { /* as any MMX instruction: tags valid, top of stack 0 */
		u32 ignored;
		vec_live(vp);
		__asm__ volatile("movd %%mm0, %0" : "=r"(ignored) : : "memory");
		vec_done(vp);
	}
	NEXT(vp, op);
}

/* The stub arena is full: drop every operation that points into it, and it, then decode again. */
static void vec_arena_full(struct vp *vp, const struct op *op)
{
	op_complete_state(vp, op);
	code_cache_flush(vp);
	vec_stubs_reset(vp->stubs);
	vp_restart(vp);
}

/* ---- decoding ---- */

struct vec_set {
	ZydisISAExt ext;
	u16 kind;
	size_t feature; /* offset of the bool in struct cpu_features, or 0: always there */
};
#define FEATURE(name) offsetof(struct cpu_features, name)

static const struct vec_set vec_sets[] = {
	{ZYDIS_ISA_EXT_X87, VEC_X87, 0},
	{ZYDIS_ISA_EXT_MMX, VEC_MMX, 0},
	{ZYDIS_ISA_EXT_SSE, VEC_SSE, 0},
	{ZYDIS_ISA_EXT_SSE2, VEC_SSE, 0},
	{ZYDIS_ISA_EXT_SSE3, VEC_SSE, FEATURE(has_sse3)},
	{ZYDIS_ISA_EXT_SSSE3, VEC_SSE, FEATURE(has_ssse3)},
	{ZYDIS_ISA_EXT_SSE4, VEC_SSE, FEATURE(has_sse41)},
	{ZYDIS_ISA_EXT_AES, VEC_SSE, FEATURE(has_aes)},
	{ZYDIS_ISA_EXT_PCLMULQDQ, VEC_SSE, FEATURE(has_pclmul)},
	{ZYDIS_ISA_EXT_SHA, VEC_SSE, FEATURE(has_sha)},
	{ZYDIS_ISA_EXT_AVX, VEC_AVX, FEATURE(has_avx)},
	{ZYDIS_ISA_EXT_AVXAES, VEC_AVX, FEATURE(has_avx)},
	{ZYDIS_ISA_EXT_AVX2, VEC_AVX, FEATURE(has_avx2)},
	{ZYDIS_ISA_EXT_AVX2GATHER, VEC_AVX, FEATURE(has_avx2)},
	{ZYDIS_ISA_EXT_FMA, VEC_AVX, FEATURE(has_fma)},
	{ZYDIS_ISA_EXT_F16C, VEC_AVX, FEATURE(has_f16c)},
};

/* The sets also hold instructions that touch no vector state: they are not ours. */
static bool is_stateful(const ZydisDecodedInstruction *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_PREFETCHW: return false;
	default: return true;
	}
}

static const struct vec_set *set_of(const ZydisDecodedInstruction *insn)
{
	for (u32 i = 0; i < ARRAY_SIZE(vec_sets); i++)
		if (vec_sets[i].ext == insn->meta.isa_ext)
			return &vec_sets[i];
	return NULL;
}

static bool is_announced(const struct vp *vp, const struct vec_set *s,
			 const ZydisDecodedInstruction *insn)
{
	if (insn->meta.isa_set == ZYDIS_ISA_SET_SSE42)
		return vp->features->has_sse42;
	return !s->feature || *((const bool *)vp->features + s->feature);
}

static bool is_gpr(ZydisRegister r)
{
	ZydisRegisterClass c = ZydisRegisterGetClass(r);

	return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
	       c == ZYDIS_REGCLASS_GPR64;
}

static bool is_legacy_prefix(u8 b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3: return true;
	default: return false;
	}
}

/* What of the instruction is in general registers. */
struct gpr_use {
	bool in_reg, in_rm; /* a general register is in ModRM.reg / ModRM.rm */
};

/*
 * Rewrite @bytes for the stub: memory operand [rdi], general register rax, no segment or
 * address-size prefix, everything else as it is. Return: length.
 */
static u32 rewrite(const ZydisDecodedInstruction *insn, const u8 *bytes, const struct gpr_use *g,
		   bool mem, u8 *out)
{
	u32 i = 0, n = 0;
	u8 rex = 0;
	bool x87 =
		insn->meta.isa_ext == ZYDIS_ISA_EXT_X87 || insn->mnemonic == ZYDIS_MNEMONIC_FISTTP;
	bool rm_fixed = mem || g->in_rm;

	for (;; i++) {
		if (is_legacy_prefix(bytes[i])) {
			rex = 0; /* only the REX right before the opcode counts */
			if ((bytes[i] == 0x66 || bytes[i] == 0xf2 || bytes[i] == 0xf3) && !x87)
				out[n++] = bytes[i];
		} else if (insn->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
			   (bytes[i] & 0xf0) == 0x40) {
			rex = bytes[i];
		} else {
			break;
		}
	}
	if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
		u8 rxb_m, wvvvv;
		if (bytes[i] == 0xc5) {
			rxb_m = (bytes[i + 1] & 0x80) | 0x61;
			wvvvv = bytes[i + 1] & 0x7f;
			i += 2;
		} else {
			rxb_m = bytes[i + 1];
			wvvvv = bytes[i + 2];
			i += 3;
		}
		if (rm_fixed)
			rxb_m |= 0x60; /* inverted X, B: rdi and rax need no extension */
		if (g->in_reg)
			rxb_m |= 0x80;
		out[n++] = 0xc4;
		out[n++] = rxb_m;
		out[n++] = wvvvv;
	} else if (rex) {
		if (rm_fixed)
			rex &= ~3u;
		if (g->in_reg)
			rex &= ~4u;
		out[n++] = rex;
	}
	if (!(insn->attributes & ZYDIS_ATTRIB_HAS_MODRM)) {
		while (i < insn->length)
			out[n++] = bytes[i++];
		return n;
	}
	while (i < insn->raw.modrm.offset)
		out[n++] = bytes[i++];
	u8 modrm = bytes[i];
	if (mem)
		modrm = (modrm & 0x38) | 7; /* [rdi] */
	else if (g->in_rm)
		modrm &= 0xf8;
	if (g->in_reg)
		modrm &= 0xc7;
	out[n++] = modrm;
	u32 imm = insn->raw.imm[0].size / 8; /* at the end of the instruction */
	for (i = insn->length - imm; i < insn->length; i++)
		out[n++] = bytes[i];
	return n;
}

/* Legacy 16-byte memory operands must be aligned, but for these. */
static u16 alignment(const ZydisDecodedInstruction *insn, u32 bytes)
{
	bool vex = insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM: return 0;
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD: return (u16)bytes;
	default: return !vex && bytes == 16 ? 16 : 0;
	}
}

static bool is_string_compare(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_PCMPESTRI || m == ZYDIS_MNEMONIC_PCMPESTRM ||
	       m == ZYDIS_MNEMONIC_PCMPISTRI || m == ZYDIS_MNEMONIC_PCMPISTRM ||
	       m == ZYDIS_MNEMONIC_VPCMPESTRI || m == ZYDIS_MNEMONIC_VPCMPESTRM ||
	       m == ZYDIS_MNEMONIC_VPCMPISTRI || m == ZYDIS_MNEMONIC_VPCMPISTRM;
}

static bool is_x87_control(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_FNCLEX:
	case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FNSTCW:
	case ZYDIS_MNEMONIC_FNSTSW:
	case ZYDIS_MNEMONIC_FNINIT:
	case ZYDIS_MNEMONIC_FWAIT:
	case ZYDIS_MNEMONIC_FDISI8087_NOP:
	case ZYDIS_MNEMONIC_FENI8087_NOP:
	case ZYDIS_MNEMONIC_FSETPM287_NOP: return true;
	default: return false;
	}
}

/* Handlers that are none of the general forms. */
static op_fn special(ZydisMnemonic m, struct op *op)
{
	switch (m) {
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
		op->size = 4;
		op->sel = 0;
		return vec_ldmxcsr;
	case ZYDIS_MNEMONIC_FNINIT: return vec_fninit;
	case ZYDIS_MNEMONIC_MASKMOVQ: op->aux = VEC_MMX; return vec_maskmov;
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU: return vec_maskmov;
	default: return NULL;
	}
}

struct operands {
	struct gpr_use gpr;
	const ZydisDecodedOperand *mem;
	bool mem_read, mem_write;
};

static void scan_operands(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *o,
			  struct op *op, struct operands *u)
{
	for (u32 i = 0; i < insn->operand_count; i++, o++) {
		/* FNSTSW AX names its register implicitly */
		bool visible = o->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN;
		bool read = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
		bool write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && visible) {
			u->mem = o;
			u->mem_read = read;
			u->mem_write = write;
		} else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(o->reg.value) &&
			   visible) {
			u8 r = (u8)ZydisRegisterGetId(o->reg.value);
			if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
				u->gpr.in_reg = true;
			else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
				u->gpr.in_rm = true;
				op->aux |= VEC_GPR_RM;
			}
			if (write) {
				op->aux |= VEC_GPR_OUT;
				op->dst = r;
			} else {
				op->aux |= VEC_GPR_IN;
				op->src = r;
			}
		}
	}
}

static op_fn choose(const ZydisDecodedInstruction *insn, struct op *op, const struct operands *u)
{
	const ZydisAccessedFlags *fl = insn->cpu_flags;
	const u32 arith = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF |
			  ZYDIS_CPUFLAG_ZF | ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF;
	bool flags_out = fl && ((fl->modified | fl->set_0 | fl->set_1 | fl->undefined) & arith);
	bool flags_in = fl && (fl->tested & arith);

	if (flags_in)
		return vec_fcmov;
	if (flags_out || (op->aux & (VEC_GPR_IN | VEC_GPR_OUT | VEC_STRING))) {
		op->link[0] = u->mem_write ? op : NULL;
		return flags_out ? vec_general_flags : vec_general;
	}
	if (!u->mem)
		return op->aux & VEC_POINTER ? vec_x87_reg : vec_reg;
	return u->mem_write ? vec_store : vec_load;
}

/* PCMPISTRx has fixed registers for results alone. */
static bool is_string_implicit(u16 m)
{
	return m == ZYDIS_MNEMONIC_PCMPISTRI || m == ZYDIS_MNEMONIC_PCMPISTRM ||
	       m == ZYDIS_MNEMONIC_VPCMPISTRI || m == ZYDIS_MNEMONIC_VPCMPISTRM;
}

bool vec_native(const struct op *op, op_fn fn, struct vec_native *n)
{
	bool general = fn == vec_general || fn == vec_general_flags, string = op->aux & VEC_STRING;

	if (fn != vec_reg && fn != vec_x87_reg && fn != vec_load && fn != vec_store &&
	    fn != vec_fcmov && !general)
		return false;
	if (string && !is_string_implicit(op->mnemonic))
		return false;
	*n = (struct vec_native){.code = (const u8 *)op->slow,
				 .len = vec_stub_len((const void *)op->slow),
				 .need = (u8)(op->aux & VEC_WAIT ? VEC_X87 : op->aux & VEC_SETS),
				 .store = fn == vec_store || (general && op->link[0]),
				 .flags = fn == vec_general_flags,
				 .flags_in = fn == vec_fcmov,
				 .gpr_in = op->aux & VEC_GPR_IN,
				 .gpr_out = op->aux & VEC_GPR_OUT,
				 .gpr_rm = op->aux & VEC_GPR_RM,
				 .pointers = op->aux & VEC_POINTER,
				 .align = op->sel};
	if (op->mnemonic == ZYDIS_MNEMONIC_FNSTSW && n->gpr_out) {
		n->ax_out = true;
		n->gpr_out = false;
	}
	n->rcx_out = op->mnemonic == ZYDIS_MNEMONIC_PCMPISTRI ||
		     op->mnemonic == ZYDIS_MNEMONIC_VPCMPISTRI;
	return !(n->gpr_in && n->gpr_out);
}

op_fn vec_op_lookup(struct vp *vp, const ZydisDecodedInstruction *insn,
		    const ZydisDecodedOperand *operands, const u8 *bytes, struct op *op)
{
	const struct vec_set *set = set_of(insn);
	op_fn state = vec_state_lookup(insn->mnemonic);
	struct operands u = {0};
	u8 code[VEC_STUB_MAX + 1];

	if (!state && vp->features->has_xsave)
		state = vec_xsave_lookup(vp->features, insn->mnemonic);
	if (state) {
		for (u32 i = 0; i < insn->operand_count; i++)
			if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
				op->size = (u8)(operands[i].size / 8);
		op->slow = state;
		op->aux = insn->meta.isa_ext == ZYDIS_ISA_EXT_X87 ? VEC_X87 : VEC_FXSR;
		return op_slow;
	}
	if (!set || !is_stateful(insn) || !is_announced(vp, set, insn))
		return NULL;
	op->aux = set->kind;
	op->sel = 0;
	state = vec_element_lookup(insn, operands, op);
	if (state) {
		op->slow = state;
		return op_slow;
	}
	/* MMX forms of the SSE sets need no OSFXSR, and follow the rules of MMX */
	bool xmm = false, mmx = false, x87 = false;
	for (u32 i = 0; i < insn->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
			ZydisRegisterClass c = ZydisRegisterGetClass(operands[i].reg.value);
			mmx |= c == ZYDIS_REGCLASS_MMX;
			x87 |= c == ZYDIS_REGCLASS_X87;
			xmm |= c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM;
		}
	if (mmx && !xmm)
		op->aux = VEC_MMX;
	if (x87) /* FISTTP came with SSE3 */
		op->aux = VEC_X87;
	if (insn->mnemonic == ZYDIS_MNEMONIC_FWAIT)
		op->aux = VEC_WAIT;
	else if ((op->aux & VEC_X87) && !is_x87_control(insn->mnemonic))
		op->aux |= VEC_POINTER;
	if (is_string_compare(insn->mnemonic))
		op->aux |= VEC_STRING;
	scan_operands(insn, operands, op, &u);
	if (insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
	    insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
	    insn->mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU) {
		op->dst = (u8)ZydisRegisterGetId(operands[0].reg.value);
		op->src = (u8)ZydisRegisterGetId(operands[1].reg.value);
	}
	if (u.mem) {
		op->size = (u8)(u.mem->size / 8);
		op->sel = alignment(insn, op->size);
		if ((op->aux & VEC_X87) && u.mem_write)
			op->aux |= VEC_STORE_KEEPS;
	}
	if (op->aux & VEC_POINTER) {
		u8 opcode = bytes[insn->raw.modrm.offset - 1];
		op->imm = (u64)(opcode & 7) << 8 | bytes[insn->raw.modrm.offset];
	}
	op_fn fn = special(insn->mnemonic, op);
	if (fn)
		return fn;
	if (unlikely(!vp->stubs)) {
		log_once(
			LOG_ENGINE,
			"the host gives no memory for code: x87, MMX, SSE and AVX instructions are "
			"undefined (#UD) in guests; see 'nestor doctor'");
		return op_ud;
	}
	u32 n = rewrite(insn, bytes, &u.gpr, u.mem != NULL, code);
	op->slow = (op_fn)vec_stub_get(vp->stubs, code, n);
	if (!op->slow)
		return vec_arena_full;
	return choose(insn, op, &u);
}
