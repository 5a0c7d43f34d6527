/* The table's rows; see rows.h. */
#include <stdio.h>
#include <string.h>

#include "viewer/rows.h"

#define ROWS_BLOCK 256u /* a machine with more rows than this stays where it is */

struct collector {
	const struct model *m;
	const struct cast *c;
	const struct rows_config *cfg;
	struct table_row *out;
	u32 count, max;
};

static const char *run_state_text(u32 state)
{
	static const struct event_enum *states;

	for (u32 i = 0; !states && i < event_enum_count; i++)
		if (!strcmp(event_enums[i]->name, "run_state"))
			states = event_enums[i];
	return states && event_enum_text(states, state) ? event_enum_text(states, state) : "";
}

static struct model_counters counters_of(const struct collector *k, const struct model_vcpu *v)
{
	if (!k->cfg->from_ns && !k->cfg->to_ns)
		return v->total;
	return model_window(v, k->cfg->from_ns, k->cfg->to_ns);
}

static void add_counters(struct model_counters *sum, const struct model_counters *add)
{
	sum->ran_ns += add->ran_ns;
	sum->exits += add->exits;
	sum->reflected += add->reflected;
	sum->switches += add->switches;
	sum->halts += add->halts;
	sum->misses += add->misses;
}

/* The busiest of its vCPUs says what a machine or child VM is doing. */
static u32 busier(u32 a, u32 b)
{
	static const u8 rank[] = {
		[RUN_STATE_STOPPED] = 0, [RUN_STATE_WAIT_SIPI] = 1, [RUN_STATE_PARKED] = 2,
		[RUN_STATE_HALTED] = 3,	 [RUN_STATE_READY] = 4,	    [RUN_STATE_RUNNING] = 5};

	return b < ARRAY_SIZE(rank) && (a >= ARRAY_SIZE(rank) || rank[b] > rank[a]) ? b : a;
}

/* Does a worker run this guest vCPU's processor, with it loaded? */
static bool is_inside(const struct model *m, u32 vcpu)
{
	u32 n;
	const struct model_worker *w = model_workers(m, &n);

	for (u32 i = 0; i < n; i++)
		if (w[i].current.vcpu != EVENT_NO_ID && w[i].current.inner == vcpu)
			return true;
	return false;
}

static void sum_vcpus(const struct collector *k, struct table_row *row, bool is_vm, u32 id)
{
	u32 n, state = EVENT_NO_ID;
	const struct model_vcpu *v = model_vcpus(k->m, &n);

	for (u32 i = 0; i < n; i++) {
		bool own = is_vm ? v[i].vm == id && v[i].child == EVENT_NO_ID : v[i].child == id;
		struct model_counters counters;

		if (!own && !(is_vm && v[i].vm == id))
			continue;
		counters = counters_of(k, &v[i]);
		row->ran_ns += counters.ran_ns;
		if (!own)
			continue;
		add_counters(&row->own, &counters);
		row->ready_ns += v[i].ready_ns;
		row->wake_runs += v[i].wake_runs;
		row->wake_ns += v[i].wake_ns;
		row->wake_max_ns = MAX(row->wake_max_ns, v[i].wake_max_ns);
		row->spins += v[i].spins;
		if (model_reserve_back(&v[i], 0))
			row->reserve = model_reserve_back(&v[i], 0);
		if (!is_vm && is_inside(k->m, v[i].id))
			state = busier(state, RUN_STATE_RUNNING);
		else if (is_vm ||
			 (v[i].state != RUN_STATE_RUNNING && v[i].state != RUN_STATE_STOPPED))
			state = busier(state, v[i].state);
		else
			state = busier(
				state,
				RUN_STATE_READY); /* or not told yet: it was seen, so it is */
	}
	row->state = state == EVENT_NO_ID ? "" : run_state_text(state);
}

static struct table_row *new_row(struct collector *k, enum row_kind kind, u32 member, u32 depth)
{
	struct table_row *row;

	if (k->count == k->max)
		return NULL;
	row = &k->out[k->count++];
	*row = (struct table_row){.kind = kind,
				  .member = member,
				  .depth = depth,
				  .level = k->c->member[member].level,
				  .state = ""};
	return row;
}

/* --- order of siblings --- */
static u64 sort_key(const struct table_row *r, enum table_sort sort)
{
	switch (sort) {
	case SORT_CPU: return r->ran_ns;
	case SORT_EXITS: return r->own.exits;
	case SORT_SWITCHES: return r->own.switches;
	case SORT_MISSED: return r->own.misses;
	default: return 0;
	}
}

/* Does @a come before @b? Largest first; names by the alphabet; else as they were made. */
static bool comes_before(const struct rows_config *cfg, const struct table_row *a,
			 const struct table_row *b)
{
	s64 order = 0;

	if (cfg->sort == SORT_NAME)
		order = strcmp(b->name, a->name);
	else if (sort_key(a, cfg->sort) != sort_key(b, cfg->sort))
		order = sort_key(a, cfg->sort) > sort_key(b, cfg->sort) ? 1 : -1;
	return cfg->reverses ? order < 0 : order > 0;
}

/* Siblings at @depth in [first, k->count), each with the rows below it: by insertion, stable. */
static void sort_siblings(struct collector *k, u32 first, u32 depth)
{
	struct table_row moved[ROWS_BLOCK];

	if (k->cfg->sort == SORT_NUMBER && !k->cfg->reverses)
		return;
	for (u32 at = first; at < k->count;) {
		u32 end = at + 1, to = first;

		while (end < k->count && k->out[end].depth > depth)
			end++;
		while (to < at && (k->out[to].depth > depth ||
				   !comes_before(k->cfg, &k->out[at], &k->out[to])))
			to++;
		if (to < at && end - at <= ROWS_BLOCK) {
			memcpy(moved, &k->out[at], (end - at) * sizeof(*moved));
			memmove(&k->out[to + end - at], &k->out[to], (at - to) * sizeof(*moved));
			memcpy(&k->out[to], moved, (end - at) * sizeof(*moved));
		}
		at = end;
	}
}

/* Threads that ran last with @process; of processes that no table has: EVENT_NO_ID. */
static void add_threads(struct collector *k, u32 member, u32 process, u32 depth)
{
	const struct cast_member *x = &k->c->member[member];
	u32 n;
	const struct model_thread *t = model_threads(k->m, &n);

	for (u32 i = 0; i < n; i++) {
		struct table_row *row;

		if (t[i].process != process ||
		    (x->is_vm ? t[i].vm != x->id || t[i].child != EVENT_NO_ID
			      : t[i].child != x->id))
			continue;
		row = new_row(k, ROW_THREAD, member, depth);
		if (!row)
			return;
		snprintf(row->name, sizeof(row->name), "thread %llx%s",
			 (unsigned long long)t[i].stack, t[i].user ? "" : " (kernel)");
		row->ran_ns = t[i].ran_ns;
		row->own.switches = t[i].switches;
	}
}

static void add_processes(struct collector *k, u32 member, u32 depth)
{
	const struct cast_member *x = &k->c->member[member];
	u32 n;
	const struct model_process *p = model_processes(k->m, &n);

	for (u32 i = 0; i < n; i++) {
		struct table_row *row;

		if (x->is_vm ? p[i].vm != x->id || p[i].child != EVENT_NO_ID : p[i].child != x->id)
			continue;
		row = new_row(k, ROW_PROCESS, member, depth);
		if (!row)
			return;
		if (p[i].name[0])
			snprintf(row->name, sizeof(row->name), "%s", p[i].name);
		else
			snprintf(row->name, sizeof(row->name), "cr3 %llx",
				 (unsigned long long)p[i].cr3);
		row->ran_ns = p[i].ran_ns;
		row->own.switches = p[i].switches;
		u32 first = k->count;
		add_threads(k, member, p[i].id, depth + 1);
		sort_siblings(k, first, depth + 1);
	}
	add_threads(k, member, EVENT_NO_ID, depth);
}

static void add_member(struct collector *k, u32 member, u32 depth)
{
	const struct cast_member *x = &k->c->member[member];
	struct table_row *row = new_row(k, x->is_vm ? ROW_VM : ROW_CHILD, member, depth);
	const struct model_vm *vm = model_vm(k->m, x->vm);
	u32 first = k->count;

	if (!row)
		return;
	snprintf(row->name, sizeof(row->name), "%s", x->name);
	row->has_counts = true;
	sum_vcpus(k, row, x->is_vm, x->id);
	if (vm && vm->stop_cause != STOP_NONE)
		row->state = run_state_text(RUN_STATE_STOPPED);
	if (depth + 1 >= MODEL_LEVELS)
		return;
	for (u32 i = 0; i < k->c->count; i++)
		if (k->c->member[i].parent == member)
			add_member(k, i, depth + 1);
	if (k->cfg->processes)
		add_processes(k, member, depth + 1);
	row->has_inside = k->count > first;
	row->is_folded = row->has_inside && k->cfg->folds && k->cfg->folds[member];
	if (row->is_folded)
		k->count = first;
	else
		sort_siblings(k, first, depth + 1);
}

/* Keep the rows that have the filter's text, and those that they are in. */
static void keep_filtered(struct collector *k)
{
	u32 kept = k->count, want = 0;

	/* from the end: @want is the depth under which ancestors are kept */
	for (u32 i = k->count; i-- > 0;) {
		const struct table_row *r = &k->out[i];

		if (!strcasestr(r->name, k->cfg->filter) && r->depth >= want)
			continue;
		want = r->depth;
		k->out[--kept] = *r;
	}
	memmove(k->out, k->out + kept, (k->count - kept) * sizeof(*k->out));
	k->count -= kept;
}

/* The machine with the lowest number from @id on. */
static u32 next_vm(const struct cast *c, u64 id)
{
	u32 best = CAST_NONE;

	for (u32 i = 0; i < c->count; i++)
		if (c->member[i].is_vm && c->member[i].id >= id &&
		    (best == CAST_NONE || c->member[i].id < c->member[best].id))
			best = i;
	return best;
}

u32 rows_collect(const struct model *m, const struct cast *c, const struct rows_config *cfg,
		 struct table_row *out, u32 max)
{
	struct collector k = {.m = m, .c = c, .cfg = cfg, .out = out, .max = max};
	u32 i;

	/* machines by their numbers, as they were named on the command line */
	for (u64 id = 0; (i = next_vm(c, id)) != CAST_NONE; id = (u64)c->member[i].id + 1)
		add_member(&k, i, 0);
	sort_siblings(&k, 0, 0);
	if (cfg->filter && cfg->filter[0])
		keep_filtered(&k);
	return k.count;
}

double rows_rate(u64 count, u64 ns)
{
	return ns ? (double)count * (double)NS_PER_SEC / (double)ns : 0;
}

double rows_percent(u64 part, u64 whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}
