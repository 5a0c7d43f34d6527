#include "tests/diff/oracle.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CTX 0x30000000ull
#define PROLOGUE ORACLE_CODE
#define EPILOGUE (ORACLE_CODE + 0x800)
#define ESCAPE_TO (ORACLE_CODE + 0xc00) /* after an exception: registers are recorded already */

/* At CTX: what the generated code loads and stores by absolute address. */
struct context {
	struct oracle_state in, out;
	u64 host_rsp;
	u64 flags_in;	  /* popped */
	u64 flags_out[8]; /* pushed */
	u8 host_fx[512] __attribute__((aligned(16)));
};
static struct context *const ctx = (struct context *)CTX;

static u8 *emit_bytes(u8 *p, const void *b, u32 n)
{
	memcpy(p, b, n);
	return p + n;
}

/* op REX.W r64, [disp32 absolute] with opcode 8b (load) or 89 (store) */
static u8 *emit_mov(u8 *p, u8 opcode, u32 reg, const void *addr)
{
	u32 a = (u32)(u64)addr;
	u8 b[8] = {(u8)(0x48 | (reg >> 3) << 2), opcode, (u8)(0x04 | (reg & 7) << 3), 0x25};

	memcpy(b + 4, &a, 4);
	return emit_bytes(p, b, 8);
}

/* FXSAVE64 (ext 0) or FXRSTOR64 (ext 1) [disp32] */
static u8 *emit_fx(u8 *p, u32 ext, const void *addr)
{
	u32 a = (u32)(u64)addr;
	u8 b[9] = {0x48, 0x0f, 0xae, (u8)(0x04 | ext << 3), 0x25};

	memcpy(b + 5, &a, 4);
	return emit_bytes(p, b, 9);
}

/* MOV RSP, imm32 */
static u8 *emit_rsp(u8 *p, const void *addr)
{
	u32 a = (u32)(u64)addr;
	u8 b[7] = {0x48, 0xc7, 0xc4};

	memcpy(b + 3, &a, 4);
	return emit_bytes(p, b, 7);
}

static u8 *emit_jmp(u8 *p, u64 target)
{
	s32 rel = (s32)(target - ((u64)p + 5));

	*p = 0xe9;
	memcpy(p + 1, &rel, 4);
	return p + 5;
}

static void build_code(void)
{
	u8 *p = (u8 *)PROLOGUE;

	p = emit_mov(p, 0x89, 4, &ctx->host_rsp);
	p = emit_fx(p, 0, ctx->host_fx);
	p = emit_fx(p, 1, ctx->in.fx);
	p = emit_rsp(p, &ctx->flags_in);
	*p++ = 0x9d; /* POPFQ */
	for (u32 r = 0; r < 16; r++)
		p = emit_mov(p, 0x8b, r, &ctx->in.gpr[r]);
	emit_jmp(p, ORACLE_INSN);

	p = (u8 *)EPILOGUE;
	for (u32 r = 0; r < 16; r++)
		p = emit_mov(p, 0x89, r, &ctx->out.gpr[r]);
	p = emit_rsp(p, &ctx->flags_out[8]);
	*p++ = 0x9c; /* PUSHFQ */
	p = emit_fx(p, 0, ctx->out.fx);
	emit_jmp(p, ESCAPE_TO);

	p = (u8 *)ESCAPE_TO;
	p = emit_fx(p, 1, ctx->host_fx);
	p = emit_mov(p, 0x8b, 4, &ctx->host_rsp);
	*p++ = 0xfc; /* CLD */
	*p = 0xc3;
}

/* Handlers from before, for exceptions that are not the instruction's. */
static struct sigaction before[32];

static void on_exception(int sig, siginfo_t *info, void *context)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				      REG_RSI, REG_RDI, REG_R8,	 REG_R9,  REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15};
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	u64 rip = (u64)g[REG_RIP];

	if (rip < ORACLE_CODE || rip >= ORACLE_CODE + 0x1000) {
		if (before[sig].sa_flags & SA_SIGINFO)
			before[sig].sa_sigaction(sig, info, context);
		else
			signal(sig, SIG_DFL);
		return;
	}
	for (u32 r = 0; r < 16; r++)
		ctx->out.gpr[r] = (u64)g[order[r]];
	ctx->flags_out[7] = (u64)g[REG_EFL];
	memcpy(ctx->out.fx, uc->uc_mcontext.fpregs, 512);
	ctx->out.vector = (s32)g[REG_TRAPNO];
	g[REG_RIP] = (greg_t)ESCAPE_TO;
	g[REG_EFL] &= ~(greg_t)0x40100; /* TF, AC */
}

static void *map_at(u64 addr, u64 bytes, int prot)
{
	void *p = mmap((void *)addr, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	return p == (void *)addr ? p : NULL;
}

int oracle_init(void)
{
	static u8 altstack[65536];
	const stack_t ss = {.ss_sp = altstack, .ss_size = sizeof(altstack)};
	const int sigs[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
	struct sigaction act = {.sa_sigaction = on_exception,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	if (!map_at(ORACLE_CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map_at(ORACLE_DATA, ORACLE_DATA_BYTES, PROT_READ | PROT_WRITE) ||
	    !map_at(CTX, 0x4000, PROT_READ | PROT_WRITE))
		return -1;
	build_code();
	sigaltstack(&ss, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(sigs); i++)
		sigaction(sigs[i], &act, &before[sigs[i]]);
	return 0;
}

u8 *oracle_data(void)
{
	return (u8 *)ORACLE_DATA;
}

void oracle_call(u32 at)
{
	u64 rax = at;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* the red zone */
			 "push %%rbx\n\tpush %%rbp\n\tpush %%r12\n\t"
			 "push %%r13\n\tpush %%r14\n\tpush %%r15\n\t"
			 "call *%%rax\n\t"
			 "pop %%r15\n\tpop %%r14\n\tpop %%r13\n\t"
			 "pop %%r12\n\tpop %%rbp\n\tpop %%rbx\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "+a"(rax)
			 :
			 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

bool oracle_is_host_bound(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_CPUID: return true;
	default: return false;
	}
}

void oracle_run(const u8 *code, u32 len, const struct oracle_state *in, struct oracle_state *out)
{
	u8 *p = (u8 *)ORACLE_INSN;

	memcpy(p, code, len);
	emit_jmp(p + len, EPILOGUE);
	ctx->in = *in;
	ctx->flags_in = in->rflags | 0x202;
	ctx->out.vector = -1;
	oracle_call(PROLOGUE);
	*out = ctx->out;
	out->rflags = ctx->flags_out[7];
}
