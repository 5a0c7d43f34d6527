/*
 * Memory nodes: a shadow page table is taken from the memory of the node that its guest page table
 * lies in, since whoever walks and fills by the one uses the other.
 *
 * Each node has a part of the pool of its own: a range of SPTs that is bound to it, with its own
 * list of free ones. Trees that are freed whole, in constant time, come back on a list that the
 * nodes have in common; it is sorted a few at a time by those who take. When a node's part is used
 * up, an SPT of another one does.
 */
#include "l0/base/assert.h"
#include "vtlb/priv.h"

#define SORT_BATCH 32u /* free SPTs that one allocation may sort */
#define NODE_SPTS_MIN 16u

/* Contiguous parts of the machine's RAM. */
static u32 simulated_node(const struct vtlb *t, u64 hpa)
{
	const struct mem_map *map = t->env.map;

	return (u32)(hpa * t->n_nodes / (map->low_bytes + map->high_bytes));
}

u32 node_of_page(const struct vtlb *t, u64 gpa)
{
	if (likely(t->n_nodes == 1))
		return 0;
	s64 at = mem_map_hpa(t->env.map, gpa, 1);

	if (at < 0)
		return 0;
	return t->cfg.nodes ? simulated_node(t, (u64)at) : node_of_host(t, t->env.map->base + at);
}

u32 node_of_spt(const struct vtlb *t, u32 index)
{
	return t->n_nodes == 1 ? 0 : MIN(index / t->spts_by_node, t->n_nodes - 1);
}

void node_init(struct vtlb *t)
{
	t->n_nodes = t->cfg.nodes ? t->cfg.nodes : node_count_host();
	t->n_nodes = MAX(MIN(MIN(t->n_nodes, VTLB_NODES_MAX), t->n_spts / NODE_SPTS_MIN), 1u);
	t->spts_by_node = t->n_spts / t->n_nodes;
	for (u32 i = 0; i < t->n_nodes; i++) {
		struct node *n = &t->node[i];

		n->fresh = MAX(i * t->spts_by_node, 1u); /* index 0 is none */
		n->end = i + 1 == t->n_nodes ? t->n_spts : (i + 1) * t->spts_by_node;
		n->free_first = SPT_NONE;
	}
	t->stats.nodes = t->n_nodes;
}

void node_give(struct vtlb *t, u32 index)
{
	u32 *first = t->n_nodes == 1 ? &t->free_first : &t->node[node_of_spt(t, index)].free_first;

	t->meta[index].next = *first;
	*first = index;
}

static u32 pop(struct vtlb *t, u32 *first)
{
	u32 index = *first;

	if (index != SPT_NONE)
		*first = t->meta[index].next;
	return index;
}

/* From @n alone. */
static u32 take_own(struct vtlb *t, struct node *n)
{
	u32 index = pop(t, &n->free_first);

	return index == SPT_NONE && n->fresh < n->end ? n->fresh++ : index;
}

static u32 take_any(struct vtlb *t, u32 node)
{
	u32 index = SPT_NONE;

	for (u32 i = 1; i < t->n_nodes && index == SPT_NONE; i++)
		index = take_own(t, &t->node[(node + i) % t->n_nodes]);
	return index != SPT_NONE ? index : pop(t, &t->free_first);
}

u32 node_take(struct vtlb *t, u32 node)
{
	u32 index;

	if (likely(t->n_nodes == 1)) {
		index = pop(t, &t->free_first);
		return index != SPT_NONE ? index : take_own(t, &t->node[0]);
	}
	for (u32 i = 0; i < SORT_BATCH && t->node[node].free_first == SPT_NONE; i++) {
		index = pop(t, &t->free_first);
		if (index == SPT_NONE)
			break;
		node_give(t, index);
	}
	index = take_own(t, &t->node[node]);
	if (index == SPT_NONE)
		index = take_any(t, node);
	if (index == SPT_NONE)
		return index;
	if (node_of_spt(t, index) == node)
		t->stats.spt_local++;
	else
		t->stats.spt_remote++;
	return index;
}
