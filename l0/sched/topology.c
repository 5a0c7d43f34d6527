#include "l0/sched/topology.h"

#define HALF_LIFE_NS (5 * NS_PER_MS)

u64 topology_move_cost_ns(enum topology_distance d, u64 away_ns)
{
	static const u32 cost_ns[TOPOLOGY_DISTANCES] = {
		[TOPOLOGY_SIBLING] = 5 * NS_PER_US,
		[TOPOLOGY_CORE] = 50 * NS_PER_US,
		[TOPOLOGY_NODE] = 300 * NS_PER_US,
	};
	u64 halves = away_ns / HALF_LIFE_NS;

	return halves > 31 ? 0 : cost_ns[d] >> halves;
}
