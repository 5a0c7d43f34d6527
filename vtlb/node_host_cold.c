/* The host's memory nodes, by libnuma. A host without them has one. */
#include <numa.h>
#include <numaif.h>
#include <stdint.h>

#include "vtlb/priv.h"

u32 node_count_host(void)
{
	return numa_available() < 0 ? 1 : (u32)MAX(numa_num_configured_nodes(), 1);
}

/* The host's number of our node @node: those that exist, in order. */
static int host_number(u32 node)
{
	for (int i = 0; i <= numa_max_node(); i++)
		if (numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned int)i) && !node--)
			return i;
	return 0;
}

void node_bind_host(struct vtlb *t)
{
	if (t->cfg.nodes || numa_available() < 0)
		return;
	struct bitmask *mask = numa_allocate_nodemask();

	for (u32 i = 0; i < t->n_nodes && mask; i++) {
		u64 first = (u64)i * t->spts_by_node;

		t->node[i].host = host_number(i);
		numa_bitmask_clearall(mask);
		numa_bitmask_setbit(mask, (unsigned int)t->node[i].host);
		/* Preferred, not bound: a node that is full must not end the machine. Not
		 * numa_tonode_memory(), which says nothing when the host forbids it, or says it to
		 * the user. */
		if (!mbind(&t->spt[first], (t->node[i].end - first) * sizeof(struct spt),
			   MPOL_PREFERRED, mask->maskp, mask->size + 1, 0))
			t->stats.nodes_placed++;
	}
	if (mask)
		numa_free_nodemask(mask);
}

u32 node_of_host(const struct vtlb *t, const void *host)
{
	int node = -1;

	if (get_mempolicy(&node, NULL, 0, (void *)(uintptr_t)host, MPOL_F_NODE | MPOL_F_ADDR))
		return 0;
	for (u32 i = 0; i < t->n_nodes; i++)
		if (t->node[i].host == node)
			return i;
	return 0;
}
