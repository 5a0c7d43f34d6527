#include "l0/stats.h"

#include "l0/base/counter.h"
#include "l0/jit/jit.h"
#include "l0/host.h"
#include "l0/machine.h"
#include "vtlb/vtlb.h"

struct line {
	FILE *out;
	const char *machine;
};

static void print_one(void *arg, const char *module, const char *name, u64 value, const char *what)
{
	const struct line *l = arg;
	char full[64];

	snprintf(full, sizeof(full), "%s.%s", module, name);
	fprintf(l->out, "%-16s %-24s %14llu  %s\n", l->machine, full, (unsigned long long)value,
		what);
}

static void vtlb_source(struct machine *m, counter_fn *add, void *arg)
{
	vtlb_each_counter(m->vtlb, add, arg);
}

static void engine_source(struct machine *m, counter_fn *add, void *arg)
{
	struct jit_checked checked = {0}, one;
	struct jit_stats jit = {0}, tier;
	u64 decoded = 0, retired = 0, kills = 0, code_misses = 0, misses = 0, interrupts = 0,
	    exceptions = 0, exits = 0;

	for (u32 i = 0; i < m->nvcpus; i++) {
		const struct vp *vp = &m->vcpu[i].vp;

		jit_get_checked(vp, &one);
		checked.stretches += one.stretches;
		checked.insns += one.insns;
		checked.alone += one.alone;
		jit_get_stats(vp, &tier);
		jit.translated += tier.translated;
		jit.taken_over += tier.taken_over;
		jit.retired += tier.retired;
		jit.flushes += tier.flushes;
		decoded += vp->n_blocks_decoded;
		retired += vp->n_blocks_retired;
		kills += vp->n_block_kills;
		code_misses += vp->n_code_misses;
		misses += vp->n_softtlb_miss;
		interrupts += vp->n_interrupts;
		exceptions += vp->n_exceptions;
		exits += vp->n_exits;
	}
	add(arg, "engine", "blocks_decoded", decoded, "blocks of guest code decoded");
	add(arg, "engine", "blocks_retired", retired, "the oldest, that made room for others");
	add(arg, "engine", "block_kills", kills, "dropped because their code was written");
	add(arg, "engine", "blocks_translated", jit.translated, "blocks that became host code");
	add(arg, "engine", "blocks_taken_over", jit.taken_over,
	    "that were host code already, of another processor or before");
	add(arg, "engine", "code_retired", jit.retired,
	    "parts of a processor's translations that made room for others");
	add(arg, "engine", "code_flushes", jit.flushes,
	    "all blocks of a processor were dropped at once");
	if (checked.stretches) {
		add(arg, "engine", "check_stretches", checked.stretches,
		    "runs of translated code that were compared");
		add(arg, "engine", "check_insns", checked.insns, "instructions in them");
		add(arg, "engine", "check_alone", checked.alone,
		    "instructions that only the interpreter did");
	}
	add(arg, "engine", "code_misses", code_misses,
	    "blocks looked up in a page that missed the soft TLB");
	add(arg, "engine", "softtlb_misses", misses, "data accesses that missed the soft TLB");
	add(arg, "engine", "interrupts", interrupts, "interrupts delivered");
	add(arg, "engine", "exceptions", exceptions, "exceptions delivered");
	add(arg, "engine", "exits", exits, "exits from the engine");
}

/* What qos+state has seen of the state of processors, of a machine's or of a worker. */
static void add_profile(const struct state_profile *p, counter_fn *add, void *arg)
{
	add(arg, "sched", "slices", p->slices, "slices that it ran");
	add(arg, "sched", "recent_misses", state_recent_per_ms(p),
	    "misses of data and code in a millisecond, of late");
	add(arg, "sched", "flushes", p->count.flushes, "flushes of the TLB in its slices");
	add(arg, "sched", "extended", p->n_extended,
	    "slices that went on because the state was warm");
	add(arg, "sched", "extended_us", p->extended_ns / NS_PER_US, "by how much, altogether");
	add(arg, "sched", "early", p->n_early,
	    "slices that ended before their time because it was cold");
	add(arg, "sched", "early_us", p->early_ns / NS_PER_US, "by how much, altogether");
}

static void sched_source(struct machine *m, counter_fn *add, void *arg)
{
	const struct sched_machine *s = &m->host->sched.machine[m->id % SCHED_MACHINES];
	struct state_profile sum = {0}, p;

	add(arg, "sched", "ran_us", s->ran_ns / NS_PER_US, "CPU time of its processors, in us");
	add(arg, "sched", "delay_us", s->delay_ns / NS_PER_US,
	    "time that they were runnable and waited in the run queue");
	add(arg, "sched", "pressure", s->permille,
	    "part of the runnable time spent so of late, in thousandths");
	u64 moves[TOPOLOGY_DISTANCES] = {0};
	for (u32 i = 0; i < m->nvcpus; i++)
		for (u32 d = 0; d < TOPOLOGY_DISTANCES; d++)
			moves[d] += m->vcpu[i].sched.n_moves[d];
	add(arg, "sched", "stays", moves[TOPOLOGY_SAME],
	    "switches to the worker where it ran last");
	add(arg, "sched", "moves_thread", moves[TOPOLOGY_SIBLING],
	    "to another thread of the same core");
	add(arg, "sched", "moves_core", moves[TOPOLOGY_CORE], "to another core of the same node");
	add(arg, "sched", "moves_node", moves[TOPOLOGY_NODE], "to another node");
	add(arg, "sched", "parkings", s->n_parkings,
	    "processors that were made to share the place of another");
	for (u32 i = 0; i < m->nvcpus; i++) {
		if (!sched_profile(&m->host->sched, &m->vcpu[i].sched, &p))
			return;
		sum.slices += p.slices;
		sum.recent_ns += p.recent_ns;
		sum.recent_misses += p.recent_misses;
		sum.count.flushes += p.count.flushes;
		sum.n_extended += p.n_extended;
		sum.extended_ns += p.extended_ns;
		sum.n_early += p.n_early;
		sum.early_ns += p.early_ns;
	}
	add_profile(&sum, add, arg);
}

static void (*const sources[])(struct machine *m, counter_fn *add,
			       void *arg) = {engine_source, vtlb_source, sched_source};

void stats_print(struct machine *m, FILE *out)
{
	struct line l = {out, m->desc->name};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		sources[i](m, print_one, &l);
}

void stats_print_workers(struct sched *s, FILE *out)
{
	struct state_profile p;
	char name[24];

	for (u32 i = 0; sched_worker_profile(s, i, &p); i++) {
		struct line l = {out, name};
		snprintf(name, sizeof(name), "worker%u", i);
		add_profile(&p, print_one, &l);
	}
}
