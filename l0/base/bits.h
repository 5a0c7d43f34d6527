/*
 * bits.h - single bits, masks and fields of machine words
 *
 * Used by every module and by freestanding guest code. Pure arithmetic, no state, no calls.
 * BIT and GENMASK are constant expressions of 64 bits, usable in #if-free tables and
 * _Static_assert.
 */
#ifndef L0_BASE_BITS_H
#define L0_BASE_BITS_H

#include "l0/base/types.h"

#define BIT(n) (UINT64_C(1) << (n))
/* Bits @hi down to @lo, both included, 63 >= hi >= lo >= 0. */
#define GENMASK(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & (~UINT64_C(0) << (lo)))

/* Low @n bits set; @n 0..64. */
static inline u64 mask_low(unsigned n)
{
	return n >= 64 ? ~0ull : BIT(n) - 1;
}

static inline bool bit_is_set(u64 word, unsigned n)
{
	return (word >> n) & 1;
}

/* Bits @hi..@lo of @word, moved down to bit 0. */
static inline u64 bits_get(u64 word, unsigned hi, unsigned lo)
{
	return (word >> lo) & mask_low(hi - lo + 1);
}

/* @word with bits @hi..@lo replaced by the low bits of @val. */
static inline u64 bits_set(u64 word, unsigned hi, unsigned lo, u64 val)
{
	u64 mask = mask_low(hi - lo + 1) << lo;

	return (word & ~mask) | ((val << lo) & mask);
}

/* The same with a contiguous @mask, as GENMASK makes them; @mask is not 0. */
static inline u64 field_get(u64 mask, u64 word)
{
	return (word & mask) >> __builtin_ctzll(mask);
}

static inline u64 field_set(u64 mask, u64 word, u64 val)
{
	return (word & ~mask) | ((val << __builtin_ctzll(mask)) & mask);
}

/* The low @nbits (1..64) of @v, sign-extended to 64 bits. */
static inline s64 sign_extend(u64 v, unsigned nbits)
{
	unsigned sh = 64 - nbits;

	return (s64)(v << sh) >> sh;
}

/* A canonical address for @vabits (48 or 57) linear-address bits. Source: SDM 1 "Canonical
 * Addressing". */
static inline bool is_canonical(u64 addr, unsigned vabits)
{
	return (u64)sign_extend(addr, vabits) == addr;
}

static inline bool is_pow2(u64 v)
{
	return v && !(v & (v - 1));
}

/* Index of the lowest (highest) set bit; @v is not 0. */
static inline unsigned bit_lowest(u64 v)
{
	return (unsigned)__builtin_ctzll(v);
}

static inline unsigned bit_highest(u64 v)
{
	return 63u - (unsigned)__builtin_clzll(v);
}

static inline unsigned bit_count(u64 v)
{
	unsigned n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

/* Bitmaps of 64-bit words. */
static inline bool bitmap_test(const u64 *map, unsigned n)
{
	return (map[n / 64] >> (n % 64)) & 1;
}

static inline void bitmap_set(u64 *map, unsigned n)
{
	map[n / 64] |= BIT(n % 64);
}

static inline void bitmap_clear(u64 *map, unsigned n)
{
	map[n / 64] &= ~BIT(n % 64);
}

#endif
