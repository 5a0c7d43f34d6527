/*
 * vtlb_node_test.c - memory nodes, simulated: an SPT comes from the node of what it shadows, from
 * another when that one's part is used up, and goes back to where it belongs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <errno.h>
#include <numa.h>
#include <numaif.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/mem/mem.h"
#include "vtlb/priv.h"

#define RAM_BYTES (64 * MIB)
#define NODES 4u
#define NODE_BYTES (RAM_BYTES / NODES)
#define TABLES 0x100000ull /* in each node: root, PDPT, PD, then page tables */
#define DATA 0x800000ull

struct env {
	struct mem *mem;
	struct vtlb *t;
	struct vtlb_vp v;
};

static u64 *word(struct env *e, u64 at)
{
	return (u64 *)(void *)(mem_ram_base(e->mem) + at);
}
static u64 root_of(u32 node)
{
	return node * NODE_BYTES + TABLES;
}
/* Page tables of the root of @node lie in nodes by turns, when @spread; else all in its own. */
static u64 pt_at(u32 node, u32 i, bool spread)
{
	return (spread ? i % NODES : node) * NODE_BYTES + TABLES + 0x10000 +
	       (node * 64ull + i) * 4096;
}

static void begin(struct env *e, u32 nodes, u64 max_bytes, bool spread)
{
	struct vtlb_config cfg = {.max_bytes = max_bytes,
				  .max_vps = 1,
				  .maxphyaddr = 40,
				  .ept_caps = ~0ull,
				  .nodes = nodes};
	int err;

	*e = (struct env){.mem = mem_create(RAM_BYTES, &err)};
	e->t = vtlb_create(e->mem, &cfg, &err);
	assert_non_null(e->t);
	assert_int_equal(vtlb_vp_init(e->t, &e->v, 0), 0);
	for (u32 n = 0; n < NODES; n++) {
		*word(e, root_of(n)) = (root_of(n) + 0x1000) | 7;
		*word(e, root_of(n) + 0x1000) = (root_of(n) + 0x2000) | 7;
		for (u32 i = 0; i < 64; i++) {
			*word(e, root_of(n) + 0x2000 + 8 * i) = pt_at(n, i, spread) | 7;
			*word(e, pt_at(n, i, spread)) = DATA | 7;
		}
	}
}

static void end(struct env *e)
{
	vtlb_vp_fini(&e->v);
	vtlb_destroy(e->t);
	mem_destroy(e->mem);
}

static void touch(struct env *e, u32 node, u32 first, u32 count)
{
	struct vtlb_context c = {
		.cr0 = 0x80010001, .cr3 = root_of(node), .cr4 = 0xb0, .efer = 0xd00};
	struct vtlb_xl xl;
	struct vtlb_fault f;

	vtlb_set_context(&e->v, &c);
	for (u32 i = first; i < first + count; i++) {
		assert_int_equal(vtlb_translate(&e->v, (u64)i << 21, VTLB_READ, &xl, &f), VTLB_OK);
		assert_int_equal(xl.gpa, DATA);
	}
}

static struct vtlb_stats stats(struct env *e)
{
	struct vtlb_stats s;

	vtlb_get_stats(e->t, &s);
	return s;
}

static void test_local(void **state)
{
	struct env e;

	for (u32 spread = 0; spread < 2; spread++) {
		begin(&e, NODES, 4 * MIB, spread);
		for (u32 n = 0; n < NODES; n++)
			touch(&e, n, 0, 32);
		assert_int_equal(stats(&e).nodes, NODES);
		assert_int_equal(stats(&e).spt_local, NODES * (3 + 32));
		assert_int_equal(stats(&e).spt_remote, 0);
		end(&e);
	}
}

/* All from one node: its part is used up, then the others'; nothing is evicted before. */
static void test_remote(void **state)
{
	struct env e;

	begin(&e, NODES, MIB / 2, false);
	u64 limit = stats(&e).spts_limit;

	touch(&e, 1, 0, 64);
	assert_true(stats(&e).spt_local >= limit / NODES);
	assert_int_equal(stats(&e).spt_local + stats(&e).spt_remote, 64 + 3);
	assert_int_equal(stats(&e).spt_evictions, 0);
	assert_true(stats(&e).spt_remote > 0);
	end(&e);
}

/* Address spaces come and go under the limit, and those used last leave room for what is local. */
static void test_reuse(void **state)
{
	struct env e;
	u64 seed = 7;

	begin(&e, NODES, MIB / 2, true);
	for (u32 i = 0; i < 3000; i++)
		touch(&e, (u32)rng_below(&seed, NODES), (u32)rng_below(&seed, 44),
		      (u32)rng_below(&seed, 20));
	struct vtlb_stats s = stats(&e);

	assert_true(s.spts_used <= s.spts_limit && s.sas_evictions > 10);
	assert_true(s.spt_local > 4 * s.spt_remote);
	end(&e);
}

/* A host with one node, and a pool too small for several. */
static void test_one(void **state)
{
	struct env e;

	begin(&e, 1, MIB, false);
	touch(&e, 2, 0, 8);
	assert_int_equal(stats(&e).nodes, 1);
	assert_int_equal(stats(&e).spt_local + stats(&e).spt_remote, 0);
	end(&e);
	begin(&e, 16, 100 * KIB, false);
	touch(&e, 2, 0, 8);
	assert_int_equal(stats(&e).nodes, 1);
	end(&e);
	begin(&e, 0, MIB, false);
	touch(&e, 3, 0, 8);
	assert_true(stats(&e).nodes >= 1);
	end(&e);
}

/* The host's own nodes, be it one: the kernel has been told, and puts the pages there. */
static void test_host(void **state)
{
	struct env e;
	int policy = -1, node = -1;
	void *page;

	if (numa_available() < 0)
		skip();
	begin(&e, 0, MIB, false);
	assert_int_equal(stats(&e).nodes, MIN(numa_num_configured_nodes(), (int)VTLB_NODES_MAX));
	touch(&e, 1, 0, 16);
	struct bitmask *mask = numa_allocate_nodemask();

	page = &e.t->spt[1];
	if (get_mempolicy(&policy, mask->maskp, mask->size + 1, page, MPOL_F_ADDR)) {
		/* a container's host may forbid it */
		assert_true(errno == EPERM || errno == ENOSYS);
		end(&e);
		numa_free_nodemask(mask);
		skip();
	}
	assert_int_equal(stats(&e).nodes_placed, stats(&e).nodes);
	assert_int_equal(policy, MPOL_PREFERRED);
	assert_true(numa_bitmask_isbitset(mask, (unsigned int)e.t->node[0].host));
	assert_int_equal(numa_bitmask_weight(mask), 1);
	numa_free_nodemask(mask);
	/* The first SPT handed out is in use, so it is somewhere: where it was asked for. */
	assert_int_equal(move_pages(0, 1, &page, NULL, &node, 0), 0);
	assert_int_equal(node, e.t->node[0].host);
	assert_int_equal(node_of_host(e.t, page), 0);
	end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local), cmocka_unit_test(test_remote),
		cmocka_unit_test(test_reuse), cmocka_unit_test(test_one),
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests_name("vtlb_node", tests, NULL, NULL);
}
