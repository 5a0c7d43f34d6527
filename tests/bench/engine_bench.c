/*
 * Figures of the engine alone: integer kernels in million instructions a second and as a multiple
 * of the host's own time for the same machine code, and single events in nanoseconds. CPU time of
 * the thread; every result is compared with the host's. Prints, asserts nothing about time.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/unit/engine_sys_fixture.h"

#define KERNEL \
	__attribute__((section("guest_kernels"), noinline, used, target("general-regs-only"), \
		       optimize("no-tree-vectorize", "no-jump-tables", "no-stack-protector")))
#define AT_KERNELS 0x100000u
#define AT_WORK 0x400000u
#define WORK_BYTES 0x100000u
#define AT_HALT 0x9000u
#define STACK_TOP 0x2f0000u

extern const u8 __start_guest_kernels[], __stop_guest_kernels[];

KERNEL static u64 k_alu(u64 *m, u64 n)
{
	u64 a = 0x123456789abcdef, b = 7;

	for (u64 i = 0; i < n; i++) {
		a ^= a << 13;
		a ^= a >> 7;
		a ^= a << 17;
		b += a & 0xff;
		if (b & 1)
			b ^= i;
	}
	return a + b;
}

KERNEL static u64 k_sieve(u64 *m, u64 n)
{
	u8 *s = (u8 *)m;
	u64 count = 0;

	for (u64 i = 0; i < n; i++)
		((volatile u8 *)s)[i] = 1;
	for (u64 i = 2; i < n; i++) {
		if (!s[i])
			continue;
		count++;
		for (u64 j = i + i; j < n; j += i)
			s[j] = 0;
	}
	return count;
}

KERNEL static void sort(s64 *v, s64 lo, s64 hi)
{
	s64 i = lo, j = hi, p = v[(lo + hi) / 2];

	while (i <= j) {
		while (v[i] < p)
			i++;
		while (v[j] > p)
			j--;
		if (i <= j) {
			s64 t = v[i];

			v[i++] = v[j];
			v[j--] = t;
		}
	}
	if (lo < j)
		sort(v, lo, j);
	if (i < hi)
		sort(v, i, hi);
}

KERNEL static u64 k_qsort(u64 *m, u64 n)
{
	u64 x = 88172645463325252ull, sum = 0;

	for (u64 i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		m[i] = x;
	}
	sort((s64 *)m, 0, (s64)n - 1);
	for (u64 i = 0; i < n; i++)
		sum = sum * 31 + m[i];
	return sum;
}

KERNEL static u64 k_copy(u64 *m, u64 n)
{
	u64 sum = 0;

	for (u64 r = 0; r < n; r++) {
		for (u64 i = 0; i < 8192; i++)
			((volatile u64 *)m)[i + 65536] = m[i] + r;
		sum += m[65536 + (r & 8191)];
	}
	return sum;
}

KERNEL static u64 k_chase(u64 *m, u64 n)
{
	u64 p = 0;

	for (u64 i = 0; i < 4096; i++)
		m[i] = (i * 2053 + 1) & 4095;
	for (u64 i = 0; i < n; i++)
		p = ((volatile u64 *)m)[p];
	return p;
}

KERNEL static u64 fib(u64 n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

KERNEL static u64 k_fib(u64 *m, u64 n)
{
	return fib(n);
}

KERNEL static u64 k_crc(u64 *m, u64 n)
{
	u32 c = ~0u;

	for (u64 i = 0; i < 256; i++) {
		u32 v = (u32)i;

		for (int k = 0; k < 8; k++)
			v = v & 1 ? v >> 1 ^ 0xedb88320u : v >> 1;
		((u32 *)m)[i] = v;
	}
	for (u64 i = 0; i < n; i++)
		c = ((u32 *)m)[(c ^ (u32)i) & 0xff] ^ c >> 8;
	return c;
}

KERNEL static u64 k_matmul(u64 *m, u64 n)
{
	u64 *a = m, *b = m + n * n, *c = m + 2 * n * n, sum = 0;

	for (u64 i = 0; i < n * n; i++) {
		a[i] = i * 3 + 1;
		b[i] = i ^ 0x55;
	}
	for (u64 i = 0; i < n; i++)
		for (u64 j = 0; j < n; j++) {
			u64 s = 0;

			for (u64 k = 0; k < n; k++)
				s += a[i * n + k] * b[k * n + j];
			c[i * n + j] = s;
			sum ^= s;
		}
	return sum;
}

/* A bytecode machine with a chain of tests, as an interpreter without a jump table is. */
KERNEL static u64 k_vm(u64 *m, u64 n)
{
	u8 *code = (u8 *)m;
	u64 acc = 1, pc = 0;

	for (u64 i = 0; i < 256; i++)
		code[i] = (u8)((i * 7 + 3) & 7);
	for (u64 i = 0; i < n; i++) {
		u8 op = code[pc & 255];

		pc++;
		if (op == 0)
			acc += 3;
		else if (op == 1)
			acc ^= pc;
		else if (op == 2)
			acc = acc << 1 | acc >> 63;
		else if (op == 3)
			acc -= 7;
		else if (op == 4)
			acc *= 5;
		else if (op == 5)
			pc += acc & 3;
		else
			acc ^= acc >> 3;
	}
	return acc;
}

static const struct kernel {
	const char *name;
	u64 (*fn)(u64 *m, u64 n);
	u64 n;
} kernels[] = {
	{"alu", k_alu, 2000000}, {"sieve", k_sieve, 400000},  {"qsort", k_qsort, 60000},
	{"copy", k_copy, 150},	 {"chase", k_chase, 4000000}, {"fib", k_fib, 27},
	{"crc", k_crc, 2000000}, {"matmul", k_matmul, 110},   {"vm", k_vm, 2000000},
};

static u64 cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (u64)t.tv_sec * NS_PER_SEC + (u64)t.tv_nsec;
}

static u64 work[WORK_BYTES / 8];

static u64 native_ns(const struct kernel *k, u64 *result)
{
	u64 best = ~0ull;

	for (int i = 0; i < 3; i++) {
		u64 t = cpu_ns();

		*result = k->fn(work, k->n);
		best = MIN(best, cpu_ns() - t);
	}
	return best;
}

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
}

static void bench_kernel(struct sysfix *f, const struct kernel *k)
{
	u64 want, native = native_ns(k, &want), best = ~0ull, insns = 0;

	for (int i = 0; i < 3; i++) {
		u64 t, before;

		start_kernel(f, k);
		before = f->vp.insns;
		t = cpu_ns();
		run_to_halt(f);
		best = MIN(best, cpu_ns() - t);
		insns = f->vp.insns - before;
	}
	printf("  %-8s %6.0f MIPS  %5.1f x native  %s\n", k->name,
	       (double)insns * 1e3 / (double)best, (double)best / (double)native,
	       f->vp.cpu.gpr[RAX] == want ? "" : "WRONG RESULT");
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
GUEST(loop_smc, 64,
      "1: mov %cl, 2f+1(%rip); call 2f; dec %ecx; jnz 1b; hlt; .balign 128; 2: mov $0, %al; ret");
GUEST(loop_call, 64, "1: call 2f; dec %ecx; jnz 1b; hlt; 2: ret");
GUEST(loop_movs, 64,
      "1: mov %edi, %esi; mov $4096, %ebx; xchg %ebx, %ecx; rep movsb; mov %ebx, %ecx;"
      "mov %esi, %edi; dec %ecx; jnz 1b; hlt");

static void bench_event(struct sysfix *f, const char *name, const u8 *begin, const u8 *end,
			u64 rounds)
{
	u64 t;

	sysfix_reset(f);
	sysfix_code(f, AT_CODE, begin, end);
	LOAD(f, AT_HANDLERS + 0x300, handler_iret);
	LOAD(f, AT_HANDLERS + 16 * VECTOR_PF, handler_skip);
	sysfix_long(f, AT_CODE);
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
	printf("integer kernels (CPU time)\n");
	for (u32 i = 0; i < ARRAY_SIZE(kernels); i++)
		if (argc < 2 || !strncmp(argv[1], kernels[i].name, strlen(argv[1])))
			bench_kernel(f, &kernels[i]);
	printf("events, with the loop around them\n");
#define EVENT(name, label, rounds) \
	do { \
		if (argc < 2 || !strncmp(argv[1], name, strlen(argv[1]))) \
			bench_event(f, name, g_##label, g_##label##_end, rounds); \
	} while (0)
	EVENT("empty loop", loop_empty, 5000000);
	EVENT("CALL + RET", loop_call, 2000000);
	EVENT("INT + IRET", loop_int, 2000000);
	EVENT("page fault, handler and back", loop_fault, 1000000);
	EVENT("OUT", loop_out, 1000000);
	EVENT("INVLPG + touch", loop_invlpg, 2000000);
	EVENT("CR3 load + 16 touches", loop_cr3, 300000);
	EVENT("modify code + call", loop_smc, 200000);
	EVENT("REP MOVSB 4 KiB, overlapping", loop_movs, 100);
	sysfix_destroy(f);
	return 0;
}
