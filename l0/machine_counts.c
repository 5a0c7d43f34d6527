/* State-match counters of a machine's processors: their raw counters, and what came of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "l0/host.h"
#include "l0/machine.h"
#include "l0/worker.h"

BUILD_ASSERT(COUNT_INTERRUPTS + 1 == COUNT_EVENTS);

static void read_raw(void *vcpu, u64 *raw)
{
	const struct vcpu *c = vcpu;
	const struct vp *vp = &c->vp;

	raw[COUNT_INSNS] = vp->insns;
	raw[COUNT_CYCLES] = clock_tsc(&c->machine->host->clock, worker_now(worker_self));
	raw[COUNT_EXITS] = vp->n_exits;
	raw[COUNT_TLB_MISSES] = vp->n_softtlb_miss;
	raw[COUNT_FILLS] = vp->tlb.n_fill;
	raw[COUNT_WALKS] = vp->tlb.n_walk;
	raw[COUNT_BRANCHES] = vp->branches.near + vp->branches.far;
	raw[COUNT_BRANCH_MISSES] = vp->branches.misses;
	raw[COUNT_FAR] = vp->branches.far;
	raw[COUNT_INTERRUPTS] = vp->n_interrupts;
}

static bool counts_branches(const struct run_options *o)
{
	for (unsigned i = 0; i < o->ncounts; i++)
		if (o->counts[i].event >= COUNT_BRANCHES && o->counts[i].event <= COUNT_FAR)
			return true;
	return false;
}

int machine_create_counts(struct machine *m, struct vcpu *c)
{
	const struct run_options *o = m->host->opts;

	if (!o->ncounts)
		return 0;
	c->track.counts = calloc(1, sizeof(*c->track.counts));
	if (!c->track.counts)
		return -ENOMEM;
	*c->track.counts = (struct track_counts){
		.spec = o->counts, .n = o->ncounts, .read = read_raw, .arg = c};
	c->vp.counts_branches = counts_branches(o);
	return 0;
}

void machine_free_counts(struct machine *m)
{
	for (u32 i = 0; m->vcpu && i < m->nvcpus; i++)
		free(m->vcpu[i].track.counts);
}

static u64 sum_of(const struct host *h, u32 counter)
{
	u64 sum = 0;

	for (u32 i = 0; i < h->nmachines; i++)
		for (u32 v = 0; h->machine[i] && v < h->machine[i]->nvcpus; v++)
			sum += __atomic_load_n(&h->machine[i]->vcpu[v].track.counts->value[counter],
					       __ATOMIC_RELAXED);
	return sum;
}

void host_emit_counts(struct host *h, struct trace_ctx *ctx)
{
	for (u32 i = 0; i < h->opts->ncounts; i++) {
		const struct track_count *c = &h->opts->counts[i];
		const struct track_match *m = &c->match;

		TRANSITION(ctx, state_count, .counter = i, .event = c->event, .differs = m->differs,
			   .parts = m->parts, .vm = m->vm, .at_level = m->level, .child = m->child,
			   .cr3 = m->cr3, .stack = m->stack, .value = sum_of(h, i));
	}
}

void host_print_counts(struct host *h, FILE *out)
{
	for (u32 i = 0; i < h->opts->ncounts; i++)
		fprintf(out, "count %-40s %14llu\n", h->opts->count_text[i],
			(unsigned long long)sum_of(h, i));
}
