/* Making topologies: text, files. Start-up only. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/sched/topology.h"

#define SYSFS "/sys/devices/system"
#define MAX_HOST_CPUS 1024

static int make_regular(struct topology *t, u32 nodes, u32 cores, u32 threads)
{
	if (!nodes || !cores || !threads)
		return -EINVAL;
	if ((u64)nodes * cores * threads > TOPOLOGY_MAX || nodes > TOPOLOGY_MAX ||
	    cores > TOPOLOGY_MAX)
		return -E2BIG;
	*t = (struct topology){.n = nodes * cores * threads};
	for (u32 i = 0; i < t->n; i++)
		t->cpu[i] = (struct topology_cpu){.node = (u16)(i / threads / cores),
						  .core = (u16)(i / threads)};
	return 0;
}

int topology_parse(struct topology *t, const char *text)
{
	u32 nodes, cores, threads;
	int end = 0;

	*t = (struct topology){0};
	if (!strcmp(text, "flat"))
		return 0;
	if (!strcmp(text, "host"))
		return topology_read(t, SYSFS);
	if (strspn(text, "0123456789x") != strlen(text) || strlen(text) > 16 ||
	    sscanf(text, "%ux%ux%u%n", &nodes, &cores, &threads, &end) != 3 || text[end])
		return -EINVAL;
	return make_regular(t, nodes, cores, threads);
}

/* A small file of one number. Return: it, or -1. */
static int read_number(const char *root, const char *fmt, int cpu)
{
	char rest[64], path[512];
	int n = -1;

	snprintf(rest, sizeof(rest), fmt, cpu);
	snprintf(path, sizeof(path), "%s/%s", root, rest);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

/* The node whose list of processors, as "0-3,8", has @cpu; 0 when none says so. */
static u32 node_of(const char *root, int cpu)
{
	for (u32 node = 0; node < TOPOLOGY_MAX; node++) {
		char path[512];
		int from, to;

		snprintf(path, sizeof(path), "%s/node/node%u/cpulist", root, node);
		FILE *f = fopen(path, "re");
		if (!f)
			continue;
		while (fscanf(f, "%d", &from) == 1) {
			to = from;
			int c = fgetc(f);
			if (c == '-' && fscanf(f, "%d", &to) == 1)
				c = fgetc(f);
			if (cpu >= from && cpu <= to) {
				fclose(f);
				return node;
			}
			if (c != ',')
				break;
		}
		fclose(f);
	}
	return 0;
}

/* Cores by their number in the package, made unique by order of first sight. */
static u16 core_number(struct topology *t, int package, int core, int seen[][2])
{
	u16 most = 0;

	for (u32 i = 0; i < t->n; i++) {
		if (seen[i][0] == package && seen[i][1] == core)
			return t->cpu[i].core;
		most = MAX(most, (u16)(t->cpu[i].core + 1));
	}
	return most;
}

int topology_read(struct topology *t, const char *root)
{
	int seen[TOPOLOGY_MAX][2];
	cpu_set_t allowed;
	bool any_cpu = strcmp(root, SYSFS) != 0 || sched_getaffinity(0, sizeof(allowed), &allowed);

	*t = (struct topology){.from_host = true};
	for (int cpu = 0; cpu < MAX_HOST_CPUS && t->n < TOPOLOGY_MAX; cpu++) {
		int core = read_number(root, "cpu/cpu%d/topology/core_id", cpu);
		int package = read_number(root, "cpu/cpu%d/topology/physical_package_id", cpu);

		if (core < 0 || (!any_cpu && !CPU_ISSET(cpu, &allowed)))
			continue;
		u16 number = core_number(t, package, core, seen);
		seen[t->n][0] = package;
		seen[t->n][1] = core;
		t->cpu[t->n++] = (struct topology_cpu){
			.node = (u16)node_of(root, cpu), .core = number, .host_cpu = (u16)cpu};
	}
	return t->n ? 0 : -ENOENT;
}
