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
	if (t->cfg.nodes || t->n_nodes == 1)
		return;
	for (u32 i = 0; i < t->n_nodes; i++) {
		u64 first = (u64)i * t->spts_by_node;

		t->node[i].host = host_number(i);
		numa_tonode_memory(&t->spt[first], (t->node[i].end - first) * sizeof(struct spt),
				   t->node[i].host);
	}
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
