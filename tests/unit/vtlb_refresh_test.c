/*
 * vtlb_refresh_test.c - the periodic pass over shadow page tables (C11): what the tables no longer
 * give goes before anybody invalidates it, what a flush has ended comes back without a miss, and
 * accessed and dirty bits are those of the guest's own accesses only
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l0/arch/x86.h"
#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

#define RAM_BYTES (64 * MIB)
#define PML4 0x100000ull
#define PDPT 0x101000ull
#define PD 0x102000ull
#define PT 0x103000ull
#define EPT4 0x110000ull /* and three tables behind it: the first 2 MiB pages one to one */
#define DATA 0x1000000ull
#define ACCESSED 0x67ull /* and dirty */
#define PERIOD 8u

struct env {
	struct mem *mem;
	struct vtlb *t;
	struct vtlb_vp v;
	u8 *ram;
};
static struct env e;

static void flush_soft(void *owner)
{
}
static u64 *word(u64 at)
{
	return (u64 *)(void *)(e.ram + at);
}

static void make_ept(void)
{
	*word(EPT4) = (EPT4 + 0x1000) | 0x107;
	*word(EPT4 + 0x1000) = (EPT4 + 0x2000) | 0x107;
	for (u64 i = 0; i < RAM_BYTES / (2 * MIB); i++)
		*word(EPT4 + 0x2000 + 8 * i) = i * 2 * MIB | 0xb7 | 0x300;
}

static void begin(u32 period, bool nested)
{
	int err;
	struct vtlb_config cfg = {.max_bytes = MIB,
				  .max_vps = 1,
				  .maxphyaddr = 40,
				  .ept_caps = ~0ull,
				  .refresh_walks = period};
	struct vtlb_context ctx = {.cr0 = 0x80010001, .cr3 = PML4, .cr4 = 0xa0, .efer = 0xd00};

	memset(&e, 0, sizeof(e));
	e.mem = mem_create(RAM_BYTES, &err);
	e.ram = mem_ram_base(e.mem);
	e.t = vtlb_create(e.mem, &cfg, &err);
	assert_non_null(e.t);
	*word(PML4) = PDPT | 0x27;
	*word(PDPT) = PD | 0x27;
	*word(PD) = PT | 0x27;
	for (u64 i = 0; i < 512; i++)
		*word(PT + 8 * i) = (DATA + i * 4096) | 7;
	make_ept();
	e.v.owner = &e.v;
	e.v.flush_soft = flush_soft;
	assert_int_equal(vtlb_vp_init(e.t, &e.v, 0), 0);
	if (nested) {
		ctx.vpid = 1;
		ctx.eptp = EPT4 | 0x5e;
	}
	vtlb_set_context(&e.v, &ctx);
}

static void end(void)
{
	assert_null(vtlb_audit(e.t));
	vtlb_vp_fini(&e.v);
	vtlb_destroy(e.t);
	mem_destroy(e.mem);
}

static struct vtlb_xl get(u64 gva, u32 access)
{
	struct vtlb_xl xl = {0};
	struct vtlb_fault f;

	assert_int_equal(vtlb_translate(&e.v, gva, access, &xl, &f), VTLB_OK);
	return xl;
}

static u64 entry(u64 page)
{
	return *word(PT + 8 * page);
}

/* Walks that end in a fault: they let the pass run and fill nothing. */
static void let_it_run(u32 steps)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;

	for (u32 i = 0; i < steps * PERIOD; i++)
		assert_int_equal(vtlb_translate(&e.v, 0x8000000000ull, VTLB_READ, &xl, &f),
				 VTLB_PAGE_FAULT);
}

static struct vtlb_stats stats(void)
{
	struct vtlb_stats st;

	vtlb_get_stats(e.t, &st);
	return st;
}

/* A flush ends sixty-four translations; the pass makes them anew, and their uses are hits. */
static void renews(bool nested)
{
	begin(PERIOD, nested);
	for (u64 i = 0; i < 64; i++)
		get(i * 4096, i & 1 ? VTLB_WRITE : VTLB_READ);
	vtlb_flush(&e.v, true);
	let_it_run(64);
	u64 walks = e.v.n_walk;

	for (u64 i = 0; i < 64; i++)
		assert_int_equal(get(i * 4096, i & 1 ? VTLB_WRITE : VTLB_READ).gpa,
				 DATA + i * 4096);
	assert_int_equal(e.v.n_walk, walks);
	assert_true(stats().refreshed >= 64);
	/* what nobody touched is as it was; of the others the bits are those of the accesses */
	assert_int_equal(entry(64), (DATA + 64 * 4096) | 7);
	assert_int_equal(entry(0) & 0x60, 0x20);
	assert_int_equal(entry(1) & 0x60, 0x60);
	end();
}
static void test_renews(void **state)
{
	renews(false);
	renews(true);
}

/* Without a flush: an entry changes, and no invalidation follows. */
static void test_follows(void **state)
{
	begin(PERIOD, false);
	for (u64 i = 0; i < 4; i++)
		get(i * 4096, VTLB_WRITE);
	*word(PT) = 0;						 /* not present */
	*word(PT + 8) = (DATA + 0x100000) | ACCESSED;		 /* another frame */
	*word(PT + 16) = (DATA + 2 * 4096) | (ACCESSED & ~2ull); /* read-only */
	*word(PT + 24) &= ~0x20ull;				 /* not accessed */
	let_it_run(8);
	struct vtlb_xl xl;
	struct vtlb_fault f;

	assert_int_equal(vtlb_translate(&e.v, 0, VTLB_READ, &xl, &f), VTLB_PAGE_FAULT);
	assert_int_equal(get(0x1000, VTLB_READ).gpa, DATA + 0x100000);
	assert_int_equal(vtlb_translate(&e.v, 0x2000, VTLB_WRITE, &xl, &f), VTLB_PAGE_FAULT);
	get(0x3000, VTLB_READ);
	assert_int_equal(entry(3) & 0x20, 0x20); /* its next use was a walk */
	assert_true(stats().refresh_pruned == 2 && stats().refreshed >= 2);
	end();
}

/* The same at an entry of an upper level, and of ept12. */
static void test_upper_levels(void **state)
{
	begin(PERIOD, true);
	for (u64 i = 0; i < 4; i++)
		get(i * 4096, VTLB_READ);
	*word(EPT4 + 0x2000 + 8 * (DATA >> 21)) &=
		~0x100ull; /* ept12's accessed bit is taken away */
	let_it_run(8);
	assert_int_equal(stats().refresh_pruned, 4);
	assert_false(*word(EPT4 + 0x2000 + 8 * (DATA >> 21)) & 0x100); /* and not set by the pass */
	get(0, VTLB_READ);
	assert_true(*word(EPT4 + 0x2000 + 8 * (DATA >> 21)) & 0x100);
	*word(PD) = 0;
	let_it_run(8);
	assert_int_equal(stats().refresh_pruned, 5);
	end();
}

/* Without the pass nothing moves before the guest asks for it. */
static void test_off(void **state)
{
	begin(0, false);
	get(0, VTLB_READ);
	*word(PT) = (DATA + 0x100000) | ACCESSED;
	let_it_run(8);
	assert_int_equal(get(0, VTLB_READ).gpa, DATA);
	assert_int_equal(stats().refresh_steps, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renews),
		cmocka_unit_test(test_follows),
		cmocka_unit_test(test_upper_levels),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests_name("vtlb_refresh", tests, NULL, NULL);
}
