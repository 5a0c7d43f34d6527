/* The virtual TLB's counters as events, for whoever records or views the run. */
#include "l0/arch/events.h"
#include "vtlb/priv.h"

static u64 look(const u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void vtlb_emit_stats(const struct vtlb_vp *v, struct trace_ctx *ctx)
{
	TRANSITION(ctx, tlb_stats, .translates = look(&v->n_translate), .hits = look(&v->n_hit),
		   .fills = look(&v->n_fill), .refills = look(&v->n_refill),
		   .walks = look(&v->n_walk), .faults = look(&v->n_fault),
		   .invals = look(&v->n_inval), .flushes = look(&v->n_flush),
		   .passes = look(&v->n_pass));
}

void vtlb_emit_machine(struct vtlb *t, struct trace_ctx *ctx)
{
	struct vtlb_stats s;

	if (!TRANSITION_WANTED(ctx, tlb_machine))
		return;
	vtlb_get_stats(t, &s);
	for (u32 i = 0; i < VTLB_COUNTERS; i++)
		TRANSITION(ctx, tlb_machine, .counter = i,
			   .name = event_text(vtlb_counter_infos[i].name),
			   .value = ((const u64 *)&s)[i]);
}
