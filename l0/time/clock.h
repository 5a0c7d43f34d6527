/*
 * clock.h - the time of a simulated machine: virtual (retired instructions) or the host's
 *
 * Under CLOCK_VIRTUAL, time is retired instructions times a rational rate plus charges and skipped
 * idle time; it is a property of a lane (one simulated physical CPU, struct clock_lane), whichever
 * VP the lane runs, and every conversion is exact: the remainder of a division is carried along, so
 * the same counts give the same nanoseconds. Under CLOCK_HOST, time is CLOCK_MONOTONIC since
 * clock_init() and lanes only remember what they were charged.
 *
 * Called by workers and, through the machine, by devices; a lane belongs to the worker that runs
 * it. Never allocates, never blocks, no vector registers. Cost: a multiply and a divide.
 */
#ifndef L0_TIME_CLOCK_H
#define L0_TIME_CLOCK_H

#include "l0/base/types.h"

/* "Never", as a deadline or as an instruction count. */
#define CLOCK_NEVER (~0ull)
#define CLOCK_TSC_HZ_DEFAULT 1000000000ull
/* Largest numerator and denominator of the rate. */
#define CLOCK_RATE_MAX 1000000u

enum clock_kind { CLOCK_KIND_VIRTUAL, CLOCK_KIND_HOST };

struct clock {
	enum clock_kind kind;
	u32 ns_num, ns_den; /* nanoseconds an instruction takes: ns_num / ns_den */
	u64 tsc_hz;
	u64 origin_ns; /* CLOCK_MONOTONIC at clock_init() */
};

/*
 * The time of one simulated physical CPU. @base_ns (plus @frac / ns_den) is the time at which the
 * running VP had retired @base_insns.
 */
struct clock_lane {
	const struct clock *clock;
	u64 base_ns;
	u64 base_insns;
	u64 frac;	/* 0 .. ns_den - 1 */
	u64 charged_ns; /* totals, for reports */
	u64 idle_ns;
};

/**
 * clock_init - set up a clock
 * @ns_num, @ns_den: nanoseconds for each retired instruction, 1..CLOCK_RATE_MAX each
 * @tsc_hz: frequency of the machine's time-stamp counter, not 0
 * Return: 0; -EINVAL when a number is out of range.
 */
int clock_init(struct clock *c, enum clock_kind kind, u32 ns_num, u32 ns_den,
	       u64 tsc_hz) __must_check;

/* Nanoseconds of host time since clock_init(); the time of every lane under CLOCK_KIND_HOST. */
u64 clock_host_ns(const struct clock *c);

/**
 * clock_tsc - the machine's time-stamp counter at a time
 * @ns: machine time; Return: ns * tsc_hz / 10^9, rounded down, modulo 2^64.
 */
u64 clock_tsc(const struct clock *c, u64 ns);

/* The first nanosecond at which clock_tsc() is at least @tsc; CLOCK_NEVER when beyond 64 bits. */
u64 clock_ns_of_tsc(const struct clock *c, u64 tsc);

/* A lane that starts at time @start_ns with no VP. */
void clock_lane_init(struct clock_lane *l, const struct clock *c, u64 start_ns);

/**
 * clock_lane_attach - the lane goes on with a VP that has retired @insns so far
 * Time does not move. Call clock_lane_sync() with the count of the VP that leaves first.
 */
void clock_lane_attach(struct clock_lane *l, u64 insns);

/* Fold the instructions up to @insns (of the attached VP) into the base. Time does not move. */
void clock_lane_sync(struct clock_lane *l, u64 insns);

/**
 * clock_lane_now - time of the lane when the attached VP has retired @insns
 * @insns: not before the count of the last attach or sync
 */
u64 clock_lane_now(const struct clock_lane *l, u64 insns);

/* A fixed cost: @ns pass without an instruction (virtual); only counted under the host's clock. */
void clock_lane_charge(struct clock_lane *l, u64 ns);

/* Idle until @ns, with no VP attached (or one just synced): the base moves there, never back. */
void clock_lane_skip_to(struct clock_lane *l, u64 ns);

/**
 * clock_lane_insns_at - the count at which a time is reached
 * @ns: a deadline; Return: the least count for which clock_lane_now() >= @ns, at least
 * base_insns; CLOCK_NEVER for CLOCK_NEVER, when it is out of range, and always under the host's
 * clock (which no instruction count predicts).
 */
u64 clock_lane_insns_at(const struct clock_lane *l, u64 ns);

/* Largest a * b / c and its like without overflow: rounded down, saturated at 2^64 - 1. @c not 0.
 */
u64 clock_mul_div(u64 a, u64 b, u64 c);

#endif
