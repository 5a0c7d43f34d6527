/* clock.c - see clock.h */
#include "l0/time/clock.h"

#include <errno.h>
#include <time.h>

u64 clock_mul_div(u64 a, u64 b, u64 c)
{
	u128 product = (u128)a * b;
	u64 hi = (u64)(product >> 64), lo = (u64)product, quot, rem;

	if (hi >= c)
		return ~0ull;
	__asm__("divq %4" : "=a"(quot), "=d"(rem) : "0"(lo), "1"(hi), "r"(c) : "cc");
	return quot;
}

static u64 monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

int clock_init(struct clock *c, enum clock_kind kind, u32 ns_num, u32 ns_den, u64 tsc_hz)
{
	if (!ns_num || !ns_den || ns_num > CLOCK_RATE_MAX || ns_den > CLOCK_RATE_MAX || !tsc_hz)
		return -EINVAL;
	c->kind = kind;
	c->ns_num = ns_num;
	c->ns_den = ns_den;
	c->tsc_hz = tsc_hz;
	c->origin_ns = monotonic_ns();
	return 0;
}

u64 clock_host_ns(const struct clock *c)
{
	return monotonic_ns() - c->origin_ns;
}

u64 clock_tsc(const struct clock *c, u64 ns)
{
	if (c->tsc_hz == NS_PER_SEC)
		return ns;
	return (ns / NS_PER_SEC) * c->tsc_hz +
	       clock_mul_div(ns % NS_PER_SEC, c->tsc_hz, NS_PER_SEC);
}

u64 clock_ns_of_tsc(const struct clock *c, u64 tsc)
{
	if (c->tsc_hz == NS_PER_SEC)
		return tsc;
	u64 ns = clock_mul_div(tsc, NS_PER_SEC, c->tsc_hz);

	if (ns == ~0ull)
		return CLOCK_NEVER;
	return clock_tsc(c, ns) < tsc ? ns + 1 : ns;
}

void clock_lane_init(struct clock_lane *l, const struct clock *c, u64 start_ns)
{
	l->clock = c;
	l->base_ns = start_ns;
	l->base_insns = 0;
	l->frac = 0;
	l->charged_ns = 0;
	l->idle_ns = 0;
}

void clock_lane_attach(struct clock_lane *l, u64 insns)
{
	l->base_insns = insns;
}

/* Nanoseconds and remainder that @insns add to the base; the rate's bounds keep this in 128 bits.
 */
static u64 lane_elapsed(const struct clock_lane *l, u64 insns, u64 *frac)
{
	const struct clock *c = l->clock;
	u64 n = insns - l->base_insns;

	if (likely(c->ns_den == 1)) {
		*frac = 0;
		return n * c->ns_num;
	}
	/* n = whole * den + part: no product exceeds 64 bits before 2^64 ns have passed */
	u64 whole = n / c->ns_den, part = (n % c->ns_den) * c->ns_num + l->frac;

	*frac = part % c->ns_den;
	return whole * c->ns_num + part / c->ns_den;
}

void clock_lane_sync(struct clock_lane *l, u64 insns)
{
	u64 frac;

	if (l->clock->kind == CLOCK_KIND_VIRTUAL) {
		l->base_ns += lane_elapsed(l, insns, &frac);
		l->frac = frac;
	}
	l->base_insns = insns;
}

u64 clock_lane_now(const struct clock_lane *l, u64 insns)
{
	u64 frac;

	if (l->clock->kind == CLOCK_KIND_HOST)
		return clock_host_ns(l->clock);
	return l->base_ns + lane_elapsed(l, insns, &frac);
}

void clock_lane_charge(struct clock_lane *l, u64 ns)
{
	l->charged_ns += ns;
	if (l->clock->kind == CLOCK_KIND_VIRTUAL)
		l->base_ns += ns;
}

void clock_lane_skip_to(struct clock_lane *l, u64 ns)
{
	if (ns <= l->base_ns)
		return;
	l->idle_ns += ns - l->base_ns;
	l->base_ns = ns;
	l->frac = 0;
}

u64 clock_lane_insns_at(const struct clock_lane *l, u64 ns)
{
	const struct clock *c = l->clock;

	if (ns == CLOCK_NEVER || c->kind == CLOCK_KIND_HOST)
		return CLOCK_NEVER;
	if (ns <= l->base_ns)
		return l->base_insns;
	/* least n with (n * num + frac) / den >= d, that is n * num >= d * den - frac */
	u128 need = (u128)(ns - l->base_ns) * c->ns_den - l->frac + c->ns_num - 1;
	u64 hi = (u64)(need >> 64);

	if (hi >= c->ns_num)
		return CLOCK_NEVER;
	u64 n, rem;

	__asm__("divq %4"
		: "=a"(n), "=d"(rem)
		: "0"((u64)need), "1"(hi), "r"((u64)c->ns_num)
		: "cc");
	return n > CLOCK_NEVER - l->base_insns ? CLOCK_NEVER : l->base_insns + n;
}
