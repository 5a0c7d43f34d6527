/* Topology of the workers: text, sysfs, distances, and what the scheduler makes of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "l0/sched/sched.h"

static void text(void **state)
{
	static struct topology t;

	(void)state;
	assert_int_equal(topology_parse(&t, "2x2x2"), 0);
	assert_int_equal(t.n, 8);
	assert_int_equal(topology_distance(&t, 3, 3), TOPOLOGY_SAME);
	assert_int_equal(topology_distance(&t, 0, 1), TOPOLOGY_SIBLING);
	assert_int_equal(topology_distance(&t, 1, 2), TOPOLOGY_CORE);
	assert_int_equal(topology_distance(&t, 3, 4), TOPOLOGY_NODE);
	assert_int_equal(topology_distance(&t, 0, 9), TOPOLOGY_CORE); /* outside: as flat */
	assert_int_equal(topology_parse(&t, "1x256x1"), 0);
	assert_int_equal(topology_parse(&t, "1x257x1"), -E2BIG);
	assert_int_equal(topology_parse(&t, "4294967295x4294967295x2"), -EINVAL);
	static const char *const bad[] = {"",	   "2",	      "2x2",	"2x2x",	  "0x1x1",
					  "1x1x0", "2x2x2x2", "-1x1x1", "2x2x2 ", "a"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(topology_parse(&t, bad[i]), -EINVAL);
	assert_int_equal(topology_parse(&t, "flat"), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(topology_distance(&t, 0, 1), TOPOLOGY_CORE);
}

static void put(const char *root, const char *path, const char *value)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(full, 0777);
		*at = '/';
	}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	fputs(value, f);
	fclose(f);
}

/* Two packages of two cores of two threads, numbered as firmware likes to: threads of a core four
 * apart. */
static void sysfs(void **state)
{
	static struct topology t;
	char root[] = "/tmp/topology_test.XXXXXX", path[96], value[16];

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(topology_read(&t, root), -ENOENT);
	for (int cpu = 0; cpu < 8; cpu++) {
		snprintf(path, sizeof(path), "cpu/cpu%d/topology/core_id", cpu);
		snprintf(value, sizeof(value), "%d\n",
			 cpu % 2 * 8); /* the same in both packages, with holes */
		put(root, path, value);
		snprintf(path, sizeof(path), "cpu/cpu%d/topology/physical_package_id", cpu);
		snprintf(value, sizeof(value), "%d\n", cpu / 2 % 2);
		put(root, path, value);
	}
	put(root, "node/node0/cpulist", "0-1,4-5\n");
	put(root, "node/node1/cpulist", "2,3,6-7\n");
	assert_int_equal(topology_read(&t, root), 0);
	snprintf(path, sizeof(path), "rm -r %s", root);
	assert_int_equal(system(path), 0);
	assert_int_equal(t.n, 8);
	assert_true(t.from_host);
	assert_int_equal(topology_distance(&t, 0, 4), TOPOLOGY_SIBLING);
	assert_int_equal(topology_distance(&t, 0, 1), TOPOLOGY_CORE);
	assert_int_equal(topology_distance(&t, 0, 5), TOPOLOGY_CORE);
	assert_int_equal(topology_distance(&t, 0, 2), TOPOLOGY_NODE);
	assert_int_equal(topology_distance(&t, 3, 7), TOPOLOGY_SIBLING);
	assert_int_equal(t.cpu[5].host_cpu, 5);
}

static void cost_cools_down(void **state)
{
	(void)state;
	assert_int_equal(topology_move_cost_ns(TOPOLOGY_SAME, 0), 0);
	for (u32 d = TOPOLOGY_SIBLING; d < TOPOLOGY_DISTANCES; d++) {
		assert_true(topology_move_cost_ns(d, 0) > topology_move_cost_ns(d - 1, 0));
		assert_int_equal(topology_move_cost_ns(d, 5 * NS_PER_MS),
				 topology_move_cost_ns(d, 0) / 2);
		assert_int_equal(topology_move_cost_ns(d, NS_PER_SEC), 0);
	}
}

struct fix {
	struct topology t;
	struct sched s;
	struct sched_vp e[4];
	u64 now;
};

static void start(struct fix *f, const char *topology, u32 workers, u32 n)
{
	const struct sched_config cfg = {.policy = &sched_policy_credit,
					 .workers = workers,
					 .slice_ns = NS_PER_MS,
					 .topology = &f->t};

	*f = (struct fix){.now = NS_PER_MS};
	assert_int_equal(topology_parse(&f->t, topology), 0);
	assert_int_equal(sched_init(&f->s, &cfg), 0);
	for (u32 i = 0; i < n; i++) {
		f->e[i].vcpu_id = i << 16;
		assert_int_equal(sched_add(&f->s, &f->e[i]), 0);
		sched_wake(&f->s, &f->e[i], f->now, NULL);
	}
}

static s32 pick(struct fix *f, u32 worker)
{
	u64 slice;
	struct sched_vp *e = sched_pick(&f->s, worker, f->now, &slice);

	return e ? (s32)(e - f->e) : -1;
}

static void stays_where_it_was(void **state)
{
	static struct fix f;

	(void)state;
	start(&f, "2x1x1", 2, 3);
	for (u32 n = 0; n < 300; n++) {
		s32 a = pick(&f, n % 2), b = pick(&f, !(n % 2)); /* whoever looks first */
		assert_true(a >= 0 && b >= 0);
		f.now += NS_PER_MS;
		sched_put(&f.s, 0, f.now, NS_PER_MS, SCHED_PUT_SLICE);
		sched_put(&f.s, 1, f.now, NS_PER_MS, SCHED_PUT_SLICE);
	}
	u32 moves = 0, stays = 0;
	for (u32 i = 0; i < 3; i++) {
		assert_in_range(f.e[i].ran_ns, 198 * NS_PER_MS, 202 * NS_PER_MS);
		moves += f.e[i].n_moves[TOPOLOGY_NODE];
		stays += f.e[i].n_moves[TOPOLOGY_SAME];
	}
	assert_in_range(moves, 50, 250); /* one of three has to, each other time */
	assert_int_equal(moves + stays, 597);
	sched_fini(&f.s);
}

static void idle_cores_first(void **state)
{
	static struct fix f;

	(void)state;
	start(&f, "1x2x2", 4, 3);
	assert_int_equal(pick(&f, 0), 0);
	assert_int_equal(pick(&f, 2), 1);
	assert_true(pick(&f, 1) == 2); /* no idle core is left */
	sched_fini(&f.s);
	start(&f, "1x2x2", 4, 2);
	assert_int_equal(pick(&f, 0), 0);
	assert_int_equal(pick(&f, 1), -1); /* the other core has nothing to do */
	assert_int_equal(pick(&f, 3), 1);
	sched_fini(&f.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(sysfs),
		cmocka_unit_test(cost_cools_down),
		cmocka_unit_test(stays_where_it_was),
		cmocka_unit_test(idle_cores_first),
	};

	return cmocka_run_group_tests_name("sched_topology", tests, NULL, NULL);
}
