#include "l1-child/vmm/vtimer.h"

#include "l1-child/lib/cpu.h"
#include "l1-child/vmm/irq.h"
#include "l1-child/vmm/vmm.h"

/* The jitter of the next tick: -jitter .. +jitter, evenly. */
static s64 next_jitter(struct l2 *g)
{
	if (!g->jitter_tsc)
		return 0;
	g->seed ^= g->seed << 13;
	g->seed ^= g->seed >> 17;
	g->seed ^= g->seed << 5;
	return (s64)(g->seed % (2 * g->jitter_tsc + 1)) - (s64)g->jitter_tsc;
}

void vtimer_set(struct vmm *vm, struct l2 *g, u64 period_tsc, u32 vector, u64 origin_tsc)
{
	u64 now = cpu_tsc();

	g->period_tsc = period_tsc;
	g->vector = vector;
	g->tick_pending = false;
	if (period_tsc) {
		g->grid_tsc = origin_tsc + period_tsc;
		if (g->grid_tsc <= now)
			g->grid_tsc += ((now - g->grid_tsc) / period_tsc + 1) * period_tsc;
		g->next_tsc = g->grid_tsc + (u64)next_jitter(g);
	}
	vtimer_run(vm);
}

static void tick(struct vmm *vm, struct l2 *g)
{
	struct guest_shared *s = g->shared;
	u32 n = ++s->ticks;

	s->due_tsc[n % GUEST_TICKS_KEPT] = g->next_tsc;
	g->ticks_due++;
	g->tick_pending = true;
	g->grid_tsc += g->period_tsc;
	g->next_tsc = g->grid_tsc + (u64)next_jitter(g);
	sched_wake(&vm->sched, g);
}

void vtimer_run(struct vmm *vm)
{
	u64 now = cpu_tsc(), next = ~0ull;

	for (unsigned int i = 0; i < vm->config.guests; i++) {
		struct l2 *g = &vm->l2[i];

		if (!g->period_tsc || g->state == L2_STOPPED)
			continue;
		while (g->next_tsc <= now)
			tick(vm, g);
		if (g->next_tsc < next)
			next = g->next_tsc;
	}
	if (vm->end_tsc > now && vm->end_tsc < next)
		next = vm->end_tsc; /* once: an end that is past must not interrupt again and again
				     */
	if (next == ~0ull)
		irq_timer_stop();
	else
		irq_timer_arm(next > now ? next - now : 0);
}
