/*
 * hash.h - small hash functions and a seeded pseudo-random generator
 *
 * For look-up tables of our own and for tests; not for untrusted keys that could be chosen to
 * collide on purpose without a bound on the chain. Pure, no state but the caller's.
 */
#ifndef L0_BASE_HASH_H
#define L0_BASE_HASH_H

#include "l0/base/types.h"

/* Mix all bits of @x; a bijection (the finaliser of splitmix64). */
static inline u64 hash_u64(u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Combine a running hash @h with @x. */
static inline u64 hash_combine(u64 h, u64 x)
{
	return hash_u64(h ^ (x + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2)));
}

/* Multiplicative hash of @x into @nbits (1..63) bits: one multiply, for hot tables. */
static inline u64 hash_bits(u64 x, unsigned nbits)
{
	return (x * 0x9e3779b97f4a7c15ull) >> (64 - nbits);
}

/* FNV-1a of @n bytes. */
static inline u64 hash_bytes(const void *p, size_t n)
{
	const u8 *b = p;
	u64 h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3ull;
	return h;
}

static inline u64 hash_str(const char *s)
{
	u64 h = 0xcbf29ce484222325ull;

	for (; *s; s++)
		h = (h ^ (u8)*s) * 0x100000001b3ull;
	return h;
}

/* Next number of the sequence that starts with seed *@state (splitmix64). */
static inline u64 rng_next(u64 *state)
{
	return hash_u64(*state += 0x9e3779b97f4a7c15ull);
}

/* A number in [0, n), n > 0. */
static inline u64 rng_below(u64 *state, u64 n)
{
	return (u64)(((u128)rng_next(state) * n) >> 64);
}

#endif
