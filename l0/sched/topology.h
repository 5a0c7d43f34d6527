/*
 * Where the workers are (mechanism B7): which of them are threads of one core, and on which memory
 * node. A switch to a worker that is further from the last one costs more of what is in caches.
 * Made from an option or from sysfs when the program starts; read by the scheduler.
 *
 * Cost: a distance is a few compares.
 */
#ifndef L0_SCHED_TOPOLOGY_H
#define L0_SCHED_TOPOLOGY_H

#include "l0/base/types.h"

#define TOPOLOGY_MAX 256u

enum topology_distance {
	TOPOLOGY_SAME,
	TOPOLOGY_SIBLING, /* another thread of the same core */
	TOPOLOGY_CORE,	  /* another core of the same node */
	TOPOLOGY_NODE,	  /* another node */
	TOPOLOGY_DISTANCES
};

struct topology_cpu {
	u16 node, core; /* core: unique over all nodes */
	u16 host_cpu;	/* number on the host, of topologies read from there */
};

/* n = 0: flat, that is each worker is a core of its own on one node. */
struct topology {
	u32 n;
	bool from_host;
	struct topology_cpu cpu[TOPOLOGY_MAX];
};

static inline enum topology_distance topology_distance(const struct topology *t, u32 a, u32 b)
{
	if (a == b)
		return TOPOLOGY_SAME;
	if (a >= t->n || b >= t->n)
		return TOPOLOGY_CORE;
	if (t->cpu[a].core == t->cpu[b].core)
		return TOPOLOGY_SIBLING;
	return t->cpu[a].node == t->cpu[b].node ? TOPOLOGY_CORE : TOPOLOGY_NODE;
}

/* What of its caches a processor loses by a move, in ns of CPU time that it would take to fill them
 * again;
 * @away_ns ago it ran there last: the half of it every 5 ms is gone anyway. */
u64 topology_move_cost_ns(enum topology_distance d, u64 away_ns);

/**
 * topology_parse - "flat", "host", or "NODESxCORESxTHREADS", each at least 1, as 2x4x2
 * Numbers count threads first: 0 and 1 are siblings of a core when there are two a core.
 * Return: 0; -EINVAL for other text; -E2BIG beyond TOPOLOGY_MAX; -errno when the host cannot be
 * read.
 */
int topology_parse(struct topology *t, const char *text) __must_check;

/**
 * topology_read - the processors of this host that this process may use
 * @root: "/sys/devices/system", or what stands for it in tests
 * Return: 0; -ENOENT when nothing is there.
 */
int topology_read(struct topology *t, const char *root) __must_check;

#endif
