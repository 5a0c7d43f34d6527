/*
 * lapic_timer.c - the local APIC's timer: one-shot, periodic, TSC deadline
 *
 * The count is not kept: the deadline at which it reaches 0 is, and the current count follows from
 * the time that is left. Masking the entry stops the interrupt, not the count.
 * Source: SDM 3A "APIC Timer".
 */
#include "l0/dev/lapic_priv.h"

#define NS_PER_TICK (NS_PER_SEC / LAPIC_TIMER_HZ)

/* Nanoseconds for one count, from the divide configuration (bits 3, 1, 0). */
static u64 ns_per_count(const struct lapic *l)
{
	u32 code = (l->timer_divide & 3) | (l->timer_divide & 8) >> 1;

	return NS_PER_TICK << (code == 7 ? 0 : code + 1);
}

static u32 timer_mode(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static void arm(struct lapic *l, u64 deadline_ns)
{
	l->timer_deadline_ns = deadline_ns;
	bus_timer_arm(l->dev.bus, &l->timer, deadline_ns);
}

void lapic_timer_stop(struct lapic *l)
{
	l->tsc_deadline = 0;
	arm(l, TIMER_NEVER);
}

void lapic_timer_fire(void *arg, u64 deadline_ns)
{
	struct lapic *l = arg;
	u32 lvt = l->lvt[LVT_TIMER], mode = timer_mode(l);
	u64 next = TIMER_NEVER, period = l->timer_initial * ns_per_count(l);

	if (mode == LVT_TIMER_PERIODIC && period) {
		u64 now = bus_now(l->dev.bus);

		/* periods that passed meanwhile are one request in IRR anyway */
		next = deadline_ns + period;
		if (next <= now)
			next += (now - next) / period * period + period;
	}
	l->tsc_deadline = 0;
	arm(l, next);
	if (!(lvt & LVT_MASKED))
		lapic_accept(l, (u8)lvt, false,
			     mode == LVT_TIMER_DEADLINE ? INTR_SOURCE_TSC_DEADLINE
							: INTR_SOURCE_LAPIC_TIMER,
			     deadline_ns);
}

u32 lapic_timer_current(struct lapic *l)
{
	u64 now = bus_now(l->dev.bus), deadline = l->timer_deadline_ns, per = ns_per_count(l);

	if (timer_mode(l) == LVT_TIMER_DEADLINE || deadline == TIMER_NEVER || deadline <= now)
		return 0;
	return (u32)((deadline - now + per - 1) / per);
}

void lapic_timer_set_initial(struct lapic *l, u32 value)
{
	if (timer_mode(l) == LVT_TIMER_DEADLINE)
		return;
	l->timer_initial = value;
	arm(l, value ? bus_now(l->dev.bus) + value * ns_per_count(l) : TIMER_NEVER);
}

void lapic_timer_set_divide(struct lapic *l, u32 value)
{
	u32 left = lapic_timer_current(l);

	l->timer_divide = value;
	if (left)
		arm(l, bus_now(l->dev.bus) + left * ns_per_count(l));
}

void lapic_timer_set_lvt(struct lapic *l, u32 value)
{
	u32 old = timer_mode(l), mode = value & LVT_TIMER_MODE;

	if (old == mode)
		return;
	/* going to or from deadline mode disarms; periodic and one-shot share the running count */
	if (old == LVT_TIMER_DEADLINE || mode == LVT_TIMER_DEADLINE) {
		l->timer_initial = 0;
		lapic_timer_stop(l);
	}
}

/* ---- TSC deadline ---------------------------------------------------------------------------- */

static void arm_tsc_deadline(struct lapic *l)
{
	const struct clock *c = l->dev.bus->clock;
	u64 now = bus_now(l->dev.bus), tsc = clock_tsc(c, now);
	u64 left = l->tsc_deadline - (tsc + l->tsc_adjust);

	if ((s64)left <= 0)
		arm(l, now); /* the past: due at once */
	else
		arm(l, tsc + left < tsc ? TIMER_NEVER : clock_ns_of_tsc(c, tsc + left));
}

u64 lapic_get_tsc_deadline(struct lapic *l)
{
	bus_lock(l->dev.bus);
	u64 value = timer_mode(l) == LVT_TIMER_DEADLINE ? l->tsc_deadline : 0;

	bus_unlock(l->dev.bus);
	return value;
}

void lapic_set_tsc_deadline(struct lapic *l, u64 value)
{
	bus_lock(l->dev.bus);
	if (timer_mode(l) == LVT_TIMER_DEADLINE) {
		l->tsc_deadline = value;
		if (value)
			arm_tsc_deadline(l);
		else
			lapic_timer_stop(l);
	}
	bus_unlock(l->dev.bus);
}

void lapic_set_tsc_adjust(struct lapic *l, u64 adjust)
{
	bus_lock(l->dev.bus);
	l->tsc_adjust = adjust;
	if (timer_mode(l) == LVT_TIMER_DEADLINE && l->tsc_deadline)
		arm_tsc_deadline(l);
	bus_unlock(l->dev.bus);
}
