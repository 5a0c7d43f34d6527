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
#include "tests/unit/vtlb_fixture.h"

#define EPT4 0x110000ull /* and three tables behind it: the first 2 MiB pages one to one */
#define ACCESSED 0x67ull /* and dirty */
#define PERIOD 8u

static struct vtlbfix e;

static u64 *word(u64 at)
{
	return vtlbfix_word(&e, at);
}

static void enter_nested(void)
{
	const struct vtlb_context ctx = {.cr0 = 0x80010001,
					 .cr3 = PML4,
					 .cr4 = 0xb0,
					 .efer = 0xd00,
					 .vpid = 1,
					 .eptp = EPT4 | 0x5e};

	*word(EPT4) = (EPT4 + 0x1000) | 0x107;
	*word(EPT4 + 0x1000) = (EPT4 + 0x2000) | 0x107;
	for (u64 i = 0; i < VTLBFIX_RAM_BYTES / (2 * MIB); i++)
		*word(EPT4 + 0x2000 + 8 * i) = i * 2 * MIB | 0xb7 | 0x300;
	vtlb_set_context(&e.v[0], &ctx);
}

static void begin(u32 period, bool nested)
{
	const struct vtlb_config cfg = {.max_bytes = MIB,
					.max_vps = 1,
					.maxphyaddr = 40,
					.ept_caps = ~0ull,
					.refresh_walks = period};

	vtlbfix_begin(&e, &cfg, 0x27, 7);
	if (nested)
		enter_nested();
}

static void end(void)
{
	assert_null(vtlb_audit(e.t));
	vtlbfix_end(&e);
}

static struct vtlb_xl get(u64 gva, u32 access)
{
	return vtlbfix_get(&e.v[0], gva, access, VTLB_OK);
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
		assert_int_equal(vtlb_translate(&e.v[0], 0x8000000000ull, VTLB_READ, &xl, &f),
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
	vtlb_flush(&e.v[0], true);
	let_it_run(64);
	u64 walks = e.v[0].n_walk;

	for (u64 i = 0; i < 64; i++)
		assert_int_equal(get(i * 4096, i & 1 ? VTLB_WRITE : VTLB_READ).gpa,
				 DATA + i * 4096);
	assert_int_equal(e.v[0].n_walk, walks);
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

	assert_int_equal(vtlb_translate(&e.v[0], 0, VTLB_READ, &xl, &f), VTLB_PAGE_FAULT);
	assert_int_equal(get(0x1000, VTLB_READ).gpa, DATA + 0x100000);
	assert_int_equal(vtlb_translate(&e.v[0], 0x2000, VTLB_WRITE, &xl, &f), VTLB_PAGE_FAULT);
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
