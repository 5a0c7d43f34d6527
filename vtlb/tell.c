/* The virtual TLB's counters as events, for whoever records or views the run. */
#include "vtlb/priv.h"

static u64 look(const u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void vtlb_emit_stats(const struct vtlb_vp *v, struct trace_ctx *ctx)
{
	TRANSITION(ctx, tlb_stats, .translates = look(&v->n_translate), .hits = look(&v->n_hit),
		   .fills = look(&v->n_fill), .walks = look(&v->n_walk), .faults = look(&v->n_fault),
		   .invals = look(&v->n_inval), .flushes = look(&v->n_flush));
}

void vtlb_emit_machine(struct vtlb *t, struct trace_ctx *ctx)
{
	struct vtlb_stats s;

	if (!TRANSITION_WANTED(ctx, tlb_machine))
		return;
	vtlb_get_stats(t, &s);
	TRANSITION(ctx, tlb_machine, .tables = s.spts_used, .waiting = s.spts_limbo,
		   .evictions = s.spt_evictions, .coalesced = s.coalesced, .shared = s.tops,
		   .share_links = s.top_links, .local = s.spt_local, .remote = s.spt_remote,
		   .tracked = s.gpts_tracked, .tracked_writes = s.gpt_writes, .purged = s.gpt_purged,
		   .refreshed = s.refreshed, .pruned = s.refresh_pruned);
}
