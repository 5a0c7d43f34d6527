/*
 * Exits in depth: how their cost is distributed, where they come from, what one exit costs in
 * others (the exit-multiplication tree), and the interrupts that were delivered.
 */
#include <stdlib.h>
#include <string.h>
#include "l0/base/hash.h"
#include "trace/model/model_priv.h"

/* --- distribution of costs: four buckets an octave --- */
static u32 cost_bucket(u64 ns)
{
	u32 v = (u32)MIN(ns, 0xffffffffull), octave;

	if (v < 4)
		return v;
	octave = 31u - (u32)__builtin_clz(v);
	return octave * 4 + ((v >> (octave - 2)) & 3);
}

/* The largest cost that falls into bucket @i. */
static u64 cost_bound(u32 i)
{
	u32 octave = i / 4;

	if (i < 8)
		return MIN(i, 3u); /* 4 to 7 are not used */
	return ((u64)(4 + i % 4 + 1) << (octave - 2)) - 1;
}

u64 model_exit_cost(const struct model *m, u32 vm, u32 level, u32 reason, u32 permille)
{
	u64 sums[MODEL_COST_BUCKETS] = {0}, total = 0, want, seen = 0, max = 0;
	const struct model_vcpu *v;
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		const struct vcpu_priv *p = model_vcpu_priv(m, v);
		u32 slot = p->exit_slot[MIN(reason, (u32)ARRAY_SIZE(p->exit_slot) - 1)];
		const u32 *costs = slot ? p->exit_privs[slot - 1].costs : NULL;

		if (!costs || (vm != EVENT_NO_ID && v->vm != vm) ||
		    v->exits[slot - 1].level != level)
			continue;
		max = MAX(max, v->exits[slot - 1].host_cost_max_ns);
		for (u32 b = 0; b < MODEL_COST_BUCKETS; b++) {
			sums[b] += costs[b];
			total += costs[b];
		}
	}
	want = (total * permille + 999) / 1000;
	for (u32 b = 0; b < MODEL_COST_BUCKETS && total; b++) {
		seen += sums[b];
		if (seen >= want && seen)
			return MIN(cost_bound(b), max);
	}
	return 0;
}

static void count_cost(struct exit_priv *x, u64 host_cost_ns)
{
	if (unlikely(!x->costs)) {
		x->costs = calloc(MODEL_COST_BUCKETS, sizeof(*x->costs));
		if (!x->costs)
			return;
	}
	x->costs[cost_bucket(host_cost_ns)]++;
}

void model_exit_priv_free(struct vcpu_priv *p, u32 nexits)
{
	for (u32 i = 0; i < nexits; i++) {
		free(p->exit_privs[i].costs);
		free(p->exit_privs[i].places);
	}
	free(p->exit_privs);
}

/* --- places --- */
static void count_place(struct exit_priv *x, const struct model_vcpu *v, u64 rip, u64 cost)
{
	struct model_place *p, *least;

	if (unlikely(!x->places)) {
		x->places = calloc(MODEL_PLACES, sizeof(*x->places));
		if (!x->places)
			return;
	}
	least = x->places;
	for (p = x->places; p < x->places + MODEL_PLACES; p++) {
		if (p->guest_rip == rip && p->count) {
			p->count++;
			p->host_cost_ns += cost;
			return;
		}
		if (p->count < least->count)
			least = p;
	}
	least->over = least->count; /* takes over what it may have had */
	least->count++;
	least->guest_rip = rip;
	least->vm = v->vm;
	least->child = v->child;
	least->host_cost_ns = cost;
}

static int compare_places(const void *a, const void *b)
{
	const struct model_place *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->guest_rip < y->guest_rip ? -1 : x->guest_rip > y->guest_rip;
}

static void merge_place(struct model_place *all, u32 *n, u32 max, const struct model_place *p)
{
	for (u32 i = 0; i < *n; i++) {
		if (all[i].guest_rip != p->guest_rip || all[i].vm != p->vm ||
		    all[i].child != p->child)
			continue;
		all[i].count += p->count;
		all[i].over += p->over;
		all[i].host_cost_ns += p->host_cost_ns;
		return;
	}
	if (*n < max)
		all[(*n)++] = *p;
}

u32 model_places(const struct model *m, u32 vm, u32 level, u32 reason, struct model_place *out,
		 u32 max)
{
	struct model_place all[64 * MODEL_PLACES];
	const struct model_vcpu *v;
	u32 nvcpus, n = 0;

	v = model_vcpus(m, &nvcpus);
	for (u32 i = 0; i < nvcpus; i++, v++) {
		const struct vcpu_priv *p = model_vcpu_priv(m, v);
		u32 slot = p->exit_slot[MIN(reason, (u32)ARRAY_SIZE(p->exit_slot) - 1)];
		const struct model_place *places = slot ? p->exit_privs[slot - 1].places : NULL;

		if (!places || (vm != EVENT_NO_ID && v->vm != vm) ||
		    v->exits[slot - 1].level != level)
			continue;
		for (u32 k = 0; k < MODEL_PLACES && places[k].count; k++)
			merge_place(all, &n, ARRAY_SIZE(all), &places[k]);
	}
	qsort(all, n, sizeof(*all), compare_places);
	memcpy(out, all, sizeof(*all) * MIN(n, max));
	return MIN(n, max);
}

/* --- the tree: nodes in the order of appearance, with an open hash of them --- */
#define TREE_HASH (MODEL_EXIT_NODES * 2)

struct exit_tree {
	u32 count;
	struct model_exit_node nodes[MODEL_EXIT_NODES];
	u32 hash[TREE_HASH]; /* index + 1 */
};

struct exit_tree *model_tree_create(void)
{
	return calloc(1, sizeof(struct exit_tree));
}

void model_tree_destroy(struct exit_tree *tree)
{
	free(tree);
}

const struct model_exit_node *model_exit_tree(const struct model *m, u32 *n)
{
	*n = m->tree->count;
	return m->tree->nodes;
}

/* Node of the exit @want under its parent, or EVENT_NO_ID when the table is full. */
static u32 tree_node(struct exit_tree *tree, const struct model_exit_node *want)
{
	u64 key = ((u64)want->parent << 32 | want->child) ^
		  ((u64)want->vm << 44 | (u64)want->level << 40 | (u64)want->reason << 20);
	u32 at = (u32)hash_u64(key) & (TREE_HASH - 1);

	for (; tree->hash[at]; at = (at + 1) & (TREE_HASH - 1)) {
		const struct model_exit_node *n = &tree->nodes[tree->hash[at] - 1];

		if (n->parent == want->parent && n->reason == want->reason &&
		    n->level == want->level && n->vm == want->vm && n->child == want->child)
			return tree->hash[at] - 1;
	}
	if (tree->count == MODEL_EXIT_NODES)
		return EVENT_NO_ID;
	tree->nodes[tree->count] = *want;
	tree->hash[at] = ++tree->count;
	return tree->count - 1;
}

/* A guest at @level runs again: what its VMMs had open up to there is over. */
static void close_open(struct model *m, struct vcpu_priv *p, u32 level, u64 now)
{
	while (p->nopen && p->open[p->nopen - 1].level <= level) {
		const struct open_exit *o = &p->open[--p->nopen];

		if (o->node != EVENT_NO_ID && now > o->since_ns)
			m->tree->nodes[o->node].handled_ns += now - o->since_ns;
	}
}

static void tree_exit(struct model *m, const struct model_vcpu *v, u32 carrier,
		      const struct transition *t)
{
	const struct ev_vm_exit *e = transition_payload(t, vm_exit);
	struct model_vcpu *l1 = model_get_vcpu(m, carrier);
	struct vcpu_priv *p = l1 ? model_vcpu_priv(m, l1) : NULL;
	struct model_exit_node want = {.parent = EVENT_NO_ID,
				       .vm = v->vm,
				       .child = v->child,
				       .level = t->level,
				       .reason = (u32)e->exit_reason & 0xffff};
	u32 node;

	if (!p)
		return;
	close_open(m, p, t->level, t->vtime_ns);
	if (p->nopen)
		want.parent = p->open[p->nopen - 1].node;
	node = tree_node(m->tree, &want);
	if (node == EVENT_NO_ID) {
		m->totals.overflow++;
	} else {
		struct model_exit_node *n = &m->tree->nodes[node];

		n->count++;
		n->reflected += e->reflected != 0;
		n->charge_ns += e->charge_ns;
		n->host_cost_ns += e->host_cost_ns;
	}
	if (e->reflected && t->level > 1 && p->nopen < MODEL_LEVELS)
		p->open[p->nopen++] = (struct open_exit){node, t->level, t->vtime_ns};
}

void model_exit_one(struct model *m, struct model_vcpu *v, u32 slot, u32 carrier,
		    const struct transition *t)
{
	const struct ev_vm_exit *e = transition_payload(t, vm_exit);
	struct exit_priv *x;

	if (slot != EVENT_NO_ID) {
		x = &model_vcpu_priv(m, v)->exit_privs[slot];
		count_cost(x, e->host_cost_ns);
		if (m->cfg.drills_down)
			count_place(x, v, e->guest_rip, e->host_cost_ns);
	}
	tree_exit(m, v, carrier, t);
}

void model_exits_entry(struct model *m, u32 carrier, const struct transition *t)
{
	struct model_vcpu *l1 = model_get_vcpu(m, carrier);

	if (l1)
		close_open(m, model_vcpu_priv(m, l1), t->level, t->vtime_ns);
}

/* --- interrupts --- */
#define INTR_HASH (MODEL_INTRS * 2)

struct intr_table {
	u32 count;
	struct model_intr rows[MODEL_INTRS];
	u32 hash[INTR_HASH]; /* index + 1 */
};

struct intr_table *model_intrs_create(void)
{
	return calloc(1, sizeof(struct intr_table));
}

void model_intrs_destroy(struct intr_table *t)
{
	free(t);
}

const struct model_intr *model_intrs(const struct model *m, u32 *n)
{
	*n = m->intrs ? m->intrs->count : 0;
	return m->intrs ? m->intrs->rows : NULL;
}

static struct model_intr *intr_row(struct intr_table *t, u32 vcpu, u32 vector, u32 kind)
{
	u32 at = (u32)hash_u64((u64)vcpu << 32 | vector << 8 | kind) & (INTR_HASH - 1);

	for (; t->hash[at]; at = (at + 1) & (INTR_HASH - 1)) {
		struct model_intr *r = &t->rows[t->hash[at] - 1];

		if (r->vcpu == vcpu && r->vector == vector && r->kind == kind)
			return r;
	}
	if (t->count == MODEL_INTRS)
		return NULL;
	t->rows[t->count] = (struct model_intr){.vcpu = vcpu, .vector = vector, .kind = kind};
	t->hash[at] = ++t->count;
	return &t->rows[t->count - 1];
}

void model_intr_feed(struct model *m, const struct transition *t)
{
	const struct ev_intr_injected *e = transition_payload(t, intr_injected);
	struct model_intr *r;
	u64 late;

	if (!m->intrs)
		return;
	r = intr_row(m->intrs, t->vcpu_id, (u32)e->vector & 0xff, (u32)e->kind & 0xff);
	if (!r) {
		m->totals.overflow++;
		return;
	}
	r->count++;
	if (!e->due_ns || e->due_ns > t->vtime_ns)
		return;
	late = t->vtime_ns - e->due_ns;
	r->timed++;
	r->late_ns += late;
	r->late_max_ns = MAX(r->late_max_ns, late);
}
