/*
 * The memory and string functions that freestanding code and the compiler need, and 64-bit
 * multiply-then-divide. No locale, no allocation.
 */
#ifndef L1_CHILD_LIB_STR_H
#define L1_CHILD_LIB_STR_H

#include "l1-child/lib/types.h"

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

#ifdef __x86_64__
/* a * b / c with a 128-bit product; the caller knows that the quotient fits 64 bits. */
static inline u64 mul_div(u64 a, u64 b, u64 c)
{
	u64 lo, hi;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "a"(a), "rm"(b));
	if (hi >= c)
		return ~0ull;
	__asm__("divq %2" : "+a"(lo), "+d"(hi) : "rm"(c));
	return lo;
}
#endif

/* a * b / c with a 64-bit product, saturating: needs no 64-bit division from a run-time library. */
static inline u32 mul_div32(u32 a, u32 b, u32 c)
{
	u32 lo, hi;

	__asm__("mull %3" : "=a"(lo), "=d"(hi) : "a"(a), "rm"(b));
	if (hi >= c)
		return ~0u;
	__asm__("divl %2" : "+a"(lo), "+d"(hi) : "rm"(c));
	return lo;
}

#endif
