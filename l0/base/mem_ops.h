/*
 * mem_ops.h - copy, fill and compare without vector registers
 *
 * Guest vector state stays live in the host's registers across a nested exit, and libc's memcpy,
 * memset and memcmp may use those registers. Code that is reachable between exit and re-entry
 * calls these instead, everywhere. Source and destination of nm_copy must not overlap
 * (nm_move allows it). Small sizes take a few moves, large ones the fast-string instructions.
 */
#ifndef L0_BASE_MEM_OPS_H
#define L0_BASE_MEM_OPS_H

#include "l0/base/types.h"

/* Branches for sizes that an inlined call cannot have still look like overruns to the compiler. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"

/*
 * Unaligned access without aliasing trouble; a plain move each. Guests' processors race in guest
 * memory as they please, through these: for ThreadSanitizer they are relaxed atomics, so that what
 * it reports are races of our own.
 */
#ifdef __SANITIZE_THREAD__
#define NM_DEFINE_ACCESS(bits) \
	static inline u##bits nm_load##bits(const void *p) \
	{ \
		return __atomic_load_n((const u##bits *)p, __ATOMIC_RELAXED); \
	} \
	static inline void nm_store##bits(void *p, u##bits v) \
	{ \
		__atomic_store_n((u##bits *)p, v, __ATOMIC_RELAXED); \
	}
#else
#define NM_DEFINE_ACCESS(bits) \
	static inline u##bits nm_load##bits(const void *p) \
	{ \
		typedef u##bits __attribute__((may_alias, aligned(1))) una; \
		return *(const una *)p; \
	} \
	static inline void nm_store##bits(void *p, u##bits v) \
	{ \
		typedef u##bits __attribute__((may_alias, aligned(1))) una; \
		*(una *)p = v; \
	}
#endif
NM_DEFINE_ACCESS(8)
NM_DEFINE_ACCESS(16)
NM_DEFINE_ACCESS(32)
NM_DEFINE_ACCESS(64)
#undef NM_DEFINE_ACCESS

/* From this size on the fast-string instructions win over a word loop. */
#define NM_REP_BYTES 256

static inline void nm_copy_rep(void *dst, const void *src, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

static inline void nm_set_rep(void *dst, u8 val, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(val) : "memory");
}

/* Overlapping head and tail moves cover every size up to 16 with at most two loads. */
static inline void nm_copy_upto16(char *d, const char *s, size_t n)
{
	if (n >= 8) {
		u64 head = nm_load64(s), tail = nm_load64(s + n - 8);

		nm_store64(d, head);
		nm_store64(d + n - 8, tail);
	} else if (n >= 4) {
		u32 head = nm_load32(s), tail = nm_load32(s + n - 4);

		nm_store32(d, head);
		nm_store32(d + n - 4, tail);
	} else if (n >= 2) {
		u16 head = nm_load16(s), tail = nm_load16(s + n - 2);

		nm_store16(d, head);
		nm_store16(d + n - 2, tail);
	} else if (n) {
		*d = *s;
	}
}

/**
 * nm_copy - memcpy without vector registers
 * @dst, @src: @n bytes each, any alignment, not overlapping
 */
static inline void nm_copy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n <= 16) {
		nm_copy_upto16(d, s, n);
		return;
	}
	if (n >= NM_REP_BYTES) {
		nm_copy_rep(d, s, n);
		return;
	}
	u64 tail = nm_load64(s + n - 8);
	size_t i = 0;

	for (; i + 8 < n; i += 8) {
		nm_store64(d + i, nm_load64(s + i));
		__asm__ volatile("" ::: "memory"); /* keep it a loop of moves, not a memcpy call */
	}
	nm_store64(d + n - 8, tail);
}

/* memmove without vector registers: as nm_copy, but the areas may overlap. */
static inline void nm_move(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n <= 16) {
		nm_copy_upto16(d, s, n); /* loads everything before it stores */
	} else if (d <= s || d >= s + n) {
		nm_copy_rep(d, s, n);
	} else {
		for (; n >= 8; n -= 8) {
			nm_store64(d + n - 8, nm_load64(s + n - 8));
			__asm__ volatile("" ::: "memory");
		}
		nm_copy_upto16(d, s, n);
	}
}

/* memset without vector registers. */
static inline void nm_set(void *dst, u8 val, size_t n)
{
	char *d = dst;
	u64 pat = val * 0x0101010101010101ull;

	if (n >= NM_REP_BYTES) {
		nm_set_rep(d, val, n);
		return;
	}
	if (n < 8) {
		for (size_t i = 0; i < n; i++) {
			d[i] = (char)val;
			__asm__ volatile("" ::: "memory");
		}
		return;
	}
	for (size_t i = 0; i + 8 < n; i += 8) {
		nm_store64(d + i, pat);
		__asm__ volatile("" ::: "memory");
	}
	nm_store64(d + n - 8, pat);
}

static inline void nm_zero(void *dst, size_t n)
{
	nm_set(dst, 0, n);
}

/* memcmp without vector registers: <0, 0 or >0 by the first differing byte. */
static inline int nm_cmp(const void *a, const void *b, size_t n)
{
	const u8 *p = a, *q = b;

	for (; n >= 8; p += 8, q += 8, n -= 8) {
		u64 x = nm_load64(p), y = nm_load64(q);

		if (x != y)
			return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
	}
	for (; n; p++, q++, n--)
		if (*p != *q)
			return *p < *q ? -1 : 1;
	return 0;
}

static inline bool nm_equal(const void *a, const void *b, size_t n)
{
	return nm_cmp(a, b, n) == 0;
}

/* Are two strings equal? For names in tables. */
static inline bool nm_str_equal(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

#pragma GCC diagnostic pop

#endif
