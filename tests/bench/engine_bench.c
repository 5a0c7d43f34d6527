/*
 * Figures of the engine alone: kernels in million instructions a second and as a multiple of the
 * host's own time for the same machine code, their geometric mean, and single events in
 * nanoseconds. CPU time of the thread, guest and host by turns; every result is compared with the
 * host's. Prints, asserts nothing about time.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/bench/kernels.h"
#include "tests/unit/engine_sys_fixture.h"

#define AT_KERNELS 0x100000u
#define AT_WORK 0x400000u
#define WORK_BYTES 0x100000u
#define ROUNDS 5
#define AT_HALT 0x9000u
#define STACK_TOP 0x2f0000u

static u64 cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (u64)t.tv_sec * NS_PER_SEC + (u64)t.tv_nsec;
}

static u64 work[WORK_BYTES / 8];

static void run_to_halt(struct sysfix *f)
{
	while (engine_run(&f->vp, ~0ull) != ENGINE_STOP_HALT)
		;
	f->vp.cpu.activity = ACTIVITY_ACTIVE;
}

static void start_kernel(struct sysfix *f, const struct kernel *k)
{
	sysfix_reset(f);
	sysfix_poke(f, AT_HALT, 0xf4, 1);
	sysfix_poke(f, STACK_TOP - 8, AT_HALT, 8);
	sysfix_long(f, AT_KERNELS + (u64)((const u8 *)k->fn - __start_guest_kernels));
	f->vp.cpu.gpr[RSP] = STACK_TOP - 8;
	f->vp.cpu.gpr[RDI] = AT_WORK;
	f->vp.cpu.gpr[RSI] = k->n;
	f->vp.cpu.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	engine_state_changed(&f->vp);
}

/* Return: time in the guest by time on the host, the best of several rounds of each. */
static double bench_kernel(struct sysfix *f, const struct kernel *k)
{
	u64 want = 0, native = ~0ull, best = ~0ull, insns = 0;

	for (int i = 0; i < ROUNDS; i++) {
		u64 t = cpu_ns(), before;

		want = k->fn(work, k->n);
		native = MIN(native, cpu_ns() - t);
		start_kernel(f, k);
		before = f->vp.insns;
		t = cpu_ns();
		run_to_halt(f);
		best = MIN(best, cpu_ns() - t);
		insns = f->vp.insns - before;
	}
	vp_vec_park(&f->vp);
	printf("  %-8s %6.0f MIPS  %5.2f x native  %s\n", k->name,
	       (double)insns * 1e3 / (double)best, (double)best / (double)native,
	       f->vp.cpu.gpr[RAX] == want ? "" : "WRONG RESULT");
	return (double)best / (double)native;
}

/* Loops of ECX rounds that end in HLT. */
GUEST(loop_empty, 64, "1: dec %ecx; jnz 1b; hlt");
GUEST(loop_int, 64, "1: int $0x30; dec %ecx; jnz 1b; hlt");
GUEST(handler_iret, 64, "iretq");
/* The handler skips the load that faulted (3 bytes). */
GUEST(loop_fault, 64, "1: mov (%rsi), %rax; dec %ecx; jnz 1b; hlt");
GUEST(handler_skip, 64, "add $8, %rsp; addq $3, (%rsp); iretq");
GUEST(loop_invlpg, 64, "1: invlpg (%rdi); mov (%rdi), %rax; dec %ecx; jnz 1b; hlt");
GUEST(loop_cr3, 64,
      "1: mov %cr3, %rax; mov %rax, %cr3; lea (%rdi), %rdx; mov $16, %ebx;"
      "2: mov (%rdx), %rax; add $4096, %rdx; dec %ebx; jnz 2b; dec %ecx; jnz 1b; hlt");
GUEST(loop_out, 64, "mov $0x80, %edx; 1: out %al, %dx; dec %ecx; jnz 1b; hlt");
GUEST(loop_in, 64, "mov $0x80, %edx; 1: in %dx, %al; dec %ecx; jnz 1b; hlt");
GUEST(loop_rdtsc, 64, "1: rdtsc; dec %ecx; jnz 1b; hlt");
GUEST(loop_cli, 64, "1: cli; sti; dec %ecx; jnz 1b; cli; hlt");
GUEST(loop_cr0, 64, "1: mov %cr0, %rax; dec %ecx; jnz 1b; hlt");
GUEST(loop_cr0_write, 64, "mov %cr0, %rax; 1: xor $8, %al; mov %rax, %cr0; dec %ecx; jnz 1b; hlt");
GUEST(loop_swapgs, 64, "1: swapgs; dec %ecx; jnz 1b; hlt");
GUEST(loop_wrmsr, 64,
      "mov %ecx, %ebx; mov $0xc0000100, %ecx; xor %eax, %eax; xor %edx, %edx; 1: wrmsr; dec %ebx; "
      "jnz 1b; hlt");
/* What is changed is in a line of its own (mem_mark_code()), or in the loop's. */
GUEST(loop_smc, 64,
      "1: mov %cl, 2f+1(%rip); call 2f; dec %ecx; jnz 1b; hlt; .balign 128; 2: mov $0, %al; ret");
GUEST(loop_smc_near, 64,
      "1: mov %cl, 2f+1(%rip); call 2f; dec %ecx; jnz 1b; hlt; 2: mov $0, %al; ret");
GUEST(loop_smc_opcode, 64,
      "1: xorb $0x08, 2f+1(%rip); call 2f; dec %ecx; jnz 1b; hlt; .balign 128; 2: add %eax, %ebx; "
      "ret");
GUEST(loop_smc_beside, 64,
      "1: mov %ecx, 2f(%rip); call 3f; dec %ecx; jnz 1b; hlt; .balign 128; 2: .long 0; .balign "
      "128; 3: ret");
GUEST(loop_call, 64, "1: call 2f; dec %ecx; jnz 1b; hlt; 2: ret");
GUEST(loop_user, 64, "mov %ecx, %ebx; 1: int $0x30; dec %ebx; jnz 1b; hlt");
/* In user mode; the end is a #GP, whose handler halts. */
GUEST(loop_syscall, 64, "mov %ecx, %ebx; 1: syscall; dec %ebx; jnz 1b; hlt");
GUEST(handler_syscall, 64, "sysretq");
GUEST(loop_movs, 64,
      "1: mov %edi, %esi; mov $4096, %ebx; xchg %ebx, %ecx; rep movsb; mov %ebx, %ecx;"
      "mov %esi, %edi; dec %ecx; jnz 1b; hlt");
GUEST(loop_movs16, 64,
      "mov %ecx, %edx; mov %rdi, %r8; 1: mov %r8, %rdi; lea 64(%r8), %rsi; mov $16, %ecx; rep "
      "movsb;"
      "dec %edx; jnz 1b; hlt");

static void bench_event(struct sysfix *f, const char *name, const u8 *begin, const u8 *end,
			u64 rounds)
{
	u64 t, at = begin == g_loop_syscall || begin == g_loop_user ? AT_USER_CODE : AT_CODE;

	sysfix_reset(f);
	sysfix_code(f, at, begin, end);
	LOAD(f, AT_HANDLERS + 0x300, handler_iret);
	LOAD(f, AT_HANDLERS + 0x400, handler_syscall);
	LOAD(f, AT_HANDLERS + 16 * VECTOR_PF, handler_skip);
	sysfix_long(f, at);
	if (at == AT_USER_CODE) {
		sysfix_user(f, at);
		sysfix_gate64(f, 0x30, S_CODE64, AT_HANDLERS + 0x300, 14, 3, 0);
		f->vp.cpu.efer |= EFER_SCE;
		f->vp.cpu.star = (u64)S_CODE64 << 32 | (u64)(S_UCODE64 - 16) << 48;
		f->vp.cpu.lstar = AT_HANDLERS + 0x400;
		f->vp.cpu.fmask = RFLAGS_IF;
	}
	f->vp.cpu.gpr[RCX] = rounds;
	f->vp.cpu.gpr[RDI] = AT_WORK;
	f->vp.cpu.gpr[RSI] = 0x8000000000; /* not mapped */
	f->vp.cpu.gpr[RSP] = STACK_TOP;
	t = cpu_ns();
	run_to_halt(f);
	printf("  %-28s %8.1f ns\n", name, (double)(cpu_ns() - t) / (double)rounds);
}

int main(int argc, char **argv)
{
	struct sysfix *f = sysfix_create();

	sysfix_reset(f);
	sysfix_bytes(f, AT_KERNELS, __start_guest_kernels,
		     (u64)(__stop_guest_kernels - __start_guest_kernels));
	/* an argument: only what begins like it */
	printf("kernels (CPU time)\n");
	double logs = 0;
	u32 ran = 0;
	for (u32 i = 0; i < ARRAY_SIZE(kernels); i++)
		if (argc < 2 || !strncmp(argv[1], kernels[i].name, strlen(argv[1]))) {
			logs += log(bench_kernel(f, &kernels[i]));
			ran++;
		}
	if (ran)
		printf("  %-8s              %5.2f x native\n", "geomean", exp(logs / ran));
	for (u32 i = 0; i < ARRAY_SIZE(more_kernels); i++)
		if (argc < 2 || !strncmp(argv[1], more_kernels[i].name, strlen(argv[1])))
			bench_kernel(f, &more_kernels[i]);
	printf("events, with the loop around them\n");
#define EVENT(name, label, rounds) \
	do { \
		if (argc < 2 || !strncmp(argv[1], name, strlen(argv[1]))) \
			bench_event(f, name, g_##label, g_##label##_end, rounds); \
	} while (0)
	EVENT("empty loop", loop_empty, 5000000);
	EVENT("CALL + RET", loop_call, 2000000);
	EVENT("INT + IRET", loop_int, 2000000);
	EVENT("INT + IRET from user mode", loop_user, 2000000);
	EVENT("SYSCALL + SYSRET", loop_syscall, 2000000);
	EVENT("page fault, handler and back", loop_fault, 1000000);
	EVENT("OUT", loop_out, 1000000);
	EVENT("IN", loop_in, 1000000);
	EVENT("RDTSC", loop_rdtsc, 2000000);
	EVENT("CLI + STI", loop_cli, 2000000);
	EVENT("MOV from CR0", loop_cr0, 2000000);
	EVENT("MOV to CR0, CR0.TS", loop_cr0_write, 1000000);
	EVENT("SWAPGS", loop_swapgs, 2000000);
	EVENT("WRMSR FS base", loop_wrmsr, 1000000);
	EVENT("INVLPG + touch", loop_invlpg, 2000000);
	EVENT("CR3 load + 16 touches", loop_cr3, 300000);
	EVENT("modify code + call", loop_smc, 200000);
	EVENT("modify code beside the loop", loop_smc_near, 200000);
	EVENT("modify an opcode + call", loop_smc_opcode, 200000);
	EVENT("store beside code + call", loop_smc_beside, 200000);
	EVENT("REP MOVSB 16 bytes", loop_movs16, 1000000);
	EVENT("REP MOVSB 4 KiB, overlapping", loop_movs, 100);
	sysfix_destroy(f);
	return 0;
}
