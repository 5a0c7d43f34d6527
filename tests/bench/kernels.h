/*
 * Kernels of the engine's benchmark: the same machine code runs on the host and in a guest. They
 * take memory and a size and return a value that depends on all of what they did. Position
 * independent, no constants outside their section, so that copying the section is loading the
 * program.
 */
#ifndef TESTS_BENCH_KERNELS_H
#define TESTS_BENCH_KERNELS_H

#include "l0/base/types.h"

#define KERNEL \
	__attribute__((section("guest_kernels"), noinline, used, target("general-regs-only"), \
		       optimize("no-tree-vectorize", "no-jump-tables", "no-stack-protector")))
#define KERNEL_SSE \
	__attribute__((section("guest_kernels"), noinline, used, target("no-avx,sse2"), \
		       optimize("no-tree-vectorize", "no-jump-tables", "no-stack-protector")))

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

/* Three arrays one after the other: scale and add. */
KERNEL static u64 k_stream(u64 *m, u64 n)
{
	u64 sum = 0;

	for (u64 r = 0; r < n; r++) {
		for (u64 i = 0; i < 8192; i++)
			((volatile u64 *)m)[i] = m[i + 8192] + 3 * m[i + 16384] + r;
		sum ^= m[r & 8191];
	}
	return sum;
}

typedef u64 (*step_fn)(u64 x);
KERNEL static u64 step_add(u64 x)
{
	return x + 0x1234567;
}
KERNEL static u64 step_xor(u64 x)
{
	return x ^ x >> 9;
}
KERNEL static u64 step_mul(u64 x)
{
	return x * 0x9e3779b1;
}
KERNEL static u64 step_rot(u64 x)
{
	return x << 11 | x >> 53;
}

/* Where the running copy of a function is. */
#define HERE(f) \
	({ \
		step_fn p_; \
		__asm__("leaq " #f "(%%rip), %0" : "=r"(p_)); \
		p_; \
	})

KERNEL static u64 k_icall(u64 *m, u64 n)
{
	step_fn *f = (step_fn *)m;
	u64 x = 1;

	f[0] = HERE(step_add);
	f[1] = HERE(step_xor);
	f[2] = HERE(step_mul);
	f[3] = HERE(step_rot);
	for (u64 i = 0; i < n; i++)
		x = ((step_fn volatile *)f)[(x ^ i) & 3](x);
	return x;
}

/* A binary search tree in arrays: key, left, right. */
KERNEL static u64 k_tree(u64 *m, u64 n)
{
	u64 x = 88172645463325252ull, used = 1, found = 0;

	m[0] = 1ull << 63;
	m[1] = m[2] = 0;
	for (u64 i = 0; i < n; i++) {
		u64 at = 0;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		for (;;) {
			u64 *child = &m[at * 3 + (x < m[at * 3] ? 1 : 2)];

			if (m[at * 3] == x)
				break;
			if (!*child) {
				*child = used;
				m[used * 3] = x;
				m[used * 3 + 1] = m[used * 3 + 2] = 0;
				used++;
				break;
			}
			at = *child;
			found += at;
		}
	}
	return found;
}

/* Scalar double precision: a matrix product and a running quotient. */
KERNEL_SSE static u64 k_sse(u64 *m, u64 n)
{
	double *a = (double *)m, *b = a + n * n, sum = 0;

	for (u64 i = 0; i < n * n; i++) {
		a[i] = (double)(s64)(i & 1023);
		b[i] = (double)(s64)(i * 7 & 511);
	}
	for (u64 i = 0; i < n; i++)
		for (u64 j = 0; j < n; j++) {
			double s = (double)(s64)j;

			for (u64 k = 0; k < n; k++)
				s += a[i * n + k] * b[k * n + j];
			if (s > sum)
				sum += s / (double)(s64)(j + 1);
		}
	return (u64)(s64)sum;
}

/* The same in long double, without the matrices. */
KERNEL_SSE static u64 k_x87(u64 *m, u64 n)
{
	long double *a = (long double *)m, sum = 0;

	__asm__ volatile("fninit");
	for (u64 i = 0; i < 64; i++)
		a[i] = (long double)(s64)(i * 7 + 1);
	for (u64 i = 0; i < n; i++) {
		long double x = a[i & 63];

		sum += x * (long double)(s64)(i & 255) - x / a[i >> 3 & 63];
		if (sum > a[63] * a[63] * a[63])
			sum -= x;
	}
	return (u64)(s64)sum;
}

/* A lock, a counter and a list's head. */
KERNEL static u64 k_atomic(u64 *m, u64 n)
{
	u64 sum = 0;

	m[0] = m[8] = m[16] = 0;
	for (u64 i = 0; i < n; i++) {
		u64 old = __atomic_load_n(&m[16], __ATOMIC_RELAXED);

		while (__atomic_exchange_n(&m[0], 1, __ATOMIC_SEQ_CST))
			;
		sum += __atomic_fetch_add(&m[8], i, __ATOMIC_SEQ_CST);
		while (!__atomic_compare_exchange_n(&m[16], &old, old + sum, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		__atomic_and_fetch(&m[0], 0, __ATOMIC_SEQ_CST);
	}
	return sum + m[16];
}

/* Greatest common divisors. */
KERNEL static u64 k_divide(u64 *m, u64 n)
{
	u64 sum = 0;

	for (u64 i = 1; i <= n; i++) {
		u64 a = i * 0x9e3779b97f4a7c15ull, b = i * 77 + 5;

		while (b) {
			u64 r = a % b;

			a = b;
			b = r;
		}
		sum += a;
	}
	return sum;
}

/* Which bits are set, one after the other, and taken out of a map. */
KERNEL static u64 k_bits(u64 *m, u64 n)
{
	u64 x = 88172645463325252ull, sum = 0;

	for (u64 i = 0; i < 64; i++)
		m[i] = 0;
	for (u64 i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		for (u64 left = x & 0xfff; left; left &= left - 1) {
			u64 bit = (u64)__builtin_ctzll(left) * 8 + (i & 7);
			u8 was;

			__asm__ volatile("btcq %2, %0; setc %1"
					 : "+m"(*m), "=q"(was)
					 : "r"(bit)
					 : "memory", "cc");
			sum += was + bit;
		}
	}
	return sum;
}

static const struct kernel {
	const char *name;
	u64 (*fn)(u64 *m, u64 n);
	u64 n;
} kernels[] =
	{
		{"alu", k_alu, 2000000},   {"crc", k_crc, 2000000},   {"sieve", k_sieve, 400000},
		{"qsort", k_qsort, 60000}, {"copy", k_copy, 300},     {"chase", k_chase, 4000000},
		{"stream", k_stream, 300}, {"fib", k_fib, 27},	      {"icall", k_icall, 2000000},
		{"vm", k_vm, 2000000},	   {"matmul", k_matmul, 110}, {"tree", k_tree, 20000},
		{"sse", k_sse, 110},
},
  more_kernels[] = {
	  /* not in the mean */
	  {"x87", k_x87, 1000000},
	  {"atomic", k_atomic, 500000},
	  {"divide", k_divide, 100000},
	  {"bits", k_bits, 300000},
};

#endif
