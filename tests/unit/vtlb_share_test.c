/*
 * vtlb_share_test.c - shadow page tables that address spaces share: who finds whose translations,
 * and that a link to them is no truer than the entry of the root that it was made from
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

#define RAM_BYTES (128 * MIB)
#define N_TABLES 32u
#define ROOT(as) (0x100000ull + (as)*0x1000)
#define TABLES(k) (0x200000ull + (k)*0x10000) /* PDPT, PD, PT */
#define DATA(k) (0x1000000ull + (k)*0x200000)
#define KERNEL 0xffff800000000000ull
#define GLOBAL 0x100ull

static struct {
	struct mem *mem;
	struct vtlb *t;
	struct vtlb_vp v[2];
	u8 *ram;
} e;

static u64 *word(u64 at)
{
	return (u64 *)(void *)(e.ram + at);
}

static void flush_soft(void *owner)
{
	(void)owner;
}
static void request(void *owner)
{
	(void)owner;
}

static void enter_pcid(u32 vp, u32 as, u32 pcid)
{
	struct vtlb_context c = {
		.cr0 = 0x80010001, .cr3 = ROOT(as) | pcid, .cr4 = 0x200b0, .efer = 0xd00};

	vtlb_set_context(&e.v[vp], &c);
}

static void enter(u32 vp, u32 as)
{
	enter_pcid(vp, as, 0);
}

static void begin(u64 max_bytes)
{
	int err;
	struct vtlb_config cfg = {.max_bytes = max_bytes,
				  .max_vps = 2,
				  .maxphyaddr = 46,
				  .share = true,
				  .ept_caps = ~0ull};

	memset(&e, 0, sizeof(e));
	e.mem = mem_create(RAM_BYTES, &err);
	e.ram = mem_ram_base(e.mem);
	e.t = vtlb_create(e.mem, &cfg, &err);
	assert_non_null(e.t);
	for (u64 as = 0; as < 8; as++)
		*word(ROOT(as) + 0x800) = TABLES(0) | 0x27;
	for (u64 k = 0; k < N_TABLES; k++) {
		*word(TABLES(k)) = (TABLES(k) + 0x1000) | 0x27;
		*word(TABLES(k) + 0x1000) = (TABLES(k) + 0x2000) | 0x27;
		for (u64 i = 0; i < 512; i++)
			*word(TABLES(k) + 0x2000 + 8 * i) = (DATA(k) + i * 4096) | 0x67 | GLOBAL;
	}
	for (u32 i = 0; i < 2; i++) {
		e.v[i].owner = &e.v[i];
		e.v[i].flush_soft = flush_soft;
		e.v[i].request = request;
		assert_int_equal(vtlb_vp_init(e.t, &e.v[i], i), 0);
		enter(i, 0);
	}
}

static void end(void)
{
	for (u32 i = 0; i < 2; i++)
		vtlb_vp_fini(&e.v[i]);
	vtlb_destroy(e.t);
	mem_destroy(e.mem);
}

/* Where page @i of the kernel's half leads to; ~0: a page fault. */
static u64 get(u32 vp, u64 i, u32 access)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	enum vtlb_status st = vtlb_translate(&e.v[vp], KERNEL + i * 4096, access, &xl, &f);

	assert_true(st == VTLB_OK || st == VTLB_PAGE_FAULT);
	return st == VTLB_OK ? xl.gpa : ~0ull;
}

static struct vtlb_stats stats(void)
{
	struct vtlb_stats s;

	vtlb_get_stats(e.t, &s);
	return s;
}

/* Another process finds what the first one touched, after one walk for the link; so does the first
 * one when it is selected again. */
static void test_found(void **state)
{
	(void)state;
	begin(MIB);
	for (u64 i = 0; i < 64; i++)
		assert_int_equal(get(0, i, VTLB_READ), DATA(0) + i * 4096);
	u64 used = stats().spts_used;

	for (u32 n = 1; n < 16; n++) { /* the second time round its link is there, too old */
		u32 as = n % 8;

		enter(0, as);
		vtlb_cr3_load(&e.v[0], ROOT((as + 7) % 8), false); /* global ones stay */
		u64 walks = e.v[0].n_walk;

		for (u64 i = 0; i < 64; i++)
			assert_int_equal(get(0, i, VTLB_READ), DATA(0) + i * 4096);
		assert_int_equal(e.v[0].n_walk - walks, 1);
	}
	assert_int_equal(stats().spts_used, used + 7); /* a root each */
	assert_int_equal(stats().shared_tops, 1);
	assert_int_equal(stats().shared_links, 16);
	end();
}

/* PCIDs share nothing: what one of them caches is not the other's. */
static void test_pcids(void **state)
{
	(void)state;
	begin(MIB);
	get(0, 0, VTLB_READ);
	enter_pcid(0, 1, 5);
	get(0, 0, VTLB_READ);
	assert_int_equal(stats().shared_tops, 2);
	end();
}

/* The root's entry changes: the link is stale, however new the leaves below are. */
static void test_link_is_stale(void **state)
{
	(void)state;
	begin(MIB);
	enter(1, 1);
	for (u64 i = 0; i < 4; i++)
		assert_int_equal(get(1, i, VTLB_READ), DATA(0) + i * 4096);
	get(0, 0, VTLB_READ);
	*word(ROOT(1) + 0x800) = TABLES(1) | 0x27;
	assert_int_equal(get(1, 1, VTLB_READ), DATA(0) + 4096); /* legal: not invalidated */
	/* a fill through it goes where the tables say, and is none of the other root's */
	assert_int_equal(get(1, 9, VTLB_READ), DATA(1) + 9 * 4096);
	assert_int_equal(get(0, 9, VTLB_READ), DATA(0) + 9 * 4096);
	vtlb_flush(&e.v[1], true);
	vtlb_flush(&e.v[0], true);
	for (u64 i = 0; i < 4; i++) /* newer than the flush, and true for root 0 */
		assert_int_equal(get(0, i, VTLB_READ), DATA(0) + i * 4096);
	for (u64 i = 0; i < 4; i++)
		assert_int_equal(get(1, i, VTLB_READ), DATA(1) + i * 4096);
	assert_int_equal(get(0, 3, VTLB_READ), DATA(0) + 3 * 4096);
	/* INVLPG of one page: the others may stay stale, that one not */
	*word(ROOT(1) + 0x800) = TABLES(2) | 0x27;
	vtlb_invlpg(&e.v[1], KERNEL + 2 * 4096);
	vtlb_invlpg(&e.v[0], KERNEL + 2 * 4096);
	get(0, 2, VTLB_READ);
	assert_int_equal(get(1, 2, VTLB_READ), DATA(2) + 2 * 4096);
	end();
}

static void by_cr3(struct vtlb_vp *v)
{
	vtlb_cr3_load(v, ROOT(1), false);
}
static void by_flush(struct vtlb_vp *v)
{
	vtlb_flush(v, false);
}
static void by_invlpg(struct vtlb_vp *v)
{
	vtlb_invlpg(v, 0x1000);
}
static void by_invpcid_address(struct vtlb_vp *v)
{
	vtlb_invpcid(v, 0, 0, 0x1000);
}
static void by_invpcid_single(struct vtlb_vp *v)
{
	vtlb_invpcid(v, 1, 0, 0);
}
static void by_invvpid_address(struct vtlb_vp *v)
{
	vtlb_invvpid(v, 0, 0, 0x1000);
}

/*
 * What drops a processor's paging-structure caches and leaves its global translations drops the
 * link: pages that this processor never used it reads by the new entry of its root, also when
 * another one has them in the tables that the old entry led to. Before or after, near to what this
 * one used (one SPT) or far from it.
 */
static void test_link_is_dropped(void **state)
{
	static void (*const drop[])(struct vtlb_vp * v) = {by_cr3,
							   by_flush,
							   by_invlpg,
							   by_invpcid_address,
							   by_invpcid_single,
							   by_invvpid_address};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(drop); i++) {
		begin(MIB);
		*word(TABLES(0) + 0x1008) = DATA(8) | 0xe7 | GLOBAL;
		*word(TABLES(1) + 0x1008) = DATA(9) | 0xe7 | GLOBAL;
		enter(1, 1);
		assert_int_equal(get(1, 0, VTLB_READ), DATA(0));
		for (u64 page = 8; page < 1024; page += 508)
			get(0, page, VTLB_READ);
		*word(ROOT(1) + 0x800) = TABLES(1) | 0x27;
		drop[i](&e.v[1]);
		assert_int_equal(get(0, 9, VTLB_READ), DATA(0) + 9 * 4096);
		u64 walks = e.v[1].n_walk;

		if (i & 1) /* the first one renews the link */
			assert_int_equal(get(1, 516, VTLB_READ), DATA(9) + 4 * 4096);
		assert_int_equal(get(1, 9, VTLB_READ), DATA(1) + 9 * 4096);
		assert_int_equal(get(1, 8, VTLB_READ), DATA(1) + 8 * 4096);
		assert_int_equal(get(1, 517, VTLB_READ), DATA(9) + 5 * 4096);
		assert_int_equal(e.v[1].n_walk, walks + 3);
		assert_int_equal(get(0, 516, VTLB_READ), DATA(8) + 4 * 4096);
		end();
	}
}

/* Roots that leave other rights do not share. */
static void test_rights(void **state)
{
	(void)state;
	begin(MIB);
	*word(ROOT(1) + 0x800) = TABLES(0) | 0x25; /* read only */
	*word(ROOT(2) + 0x800) = TABLES(0) | 0x23; /* not for users */
	assert_int_equal(get(0, 0, VTLB_WRITE | VTLB_USER), DATA(0));
	enter(0, 1);
	assert_int_equal(get(0, 0, VTLB_READ), DATA(0));
	assert_int_equal(get(0, 0, VTLB_WRITE), ~0ull);
	enter(0, 2);
	assert_int_equal(get(0, 0, VTLB_WRITE), DATA(0));
	assert_int_equal(get(0, 0, VTLB_READ | VTLB_USER), ~0ull);
	assert_int_equal(stats().shared_tops, 3);
	end();
}

/* First not global, so the address space's own; a global one moves it to the shared ones. */
static void test_coalesced(void **state)
{
	(void)state;
	begin(MIB);
	*word(TABLES(0) + 0x2000) &= ~GLOBAL;
	for (u32 as = 0; as < 3; as++) {
		enter(0, as);
		assert_int_equal(get(0, 0, VTLB_READ), DATA(0));
	}
	assert_int_equal(stats().shared_tops, 0);
	for (u32 as = 0; as < 3; as++) {
		enter(0, as);
		assert_int_equal(get(0, 1, VTLB_READ), DATA(0) + 4096);
		assert_int_equal(get(0, 0, VTLB_READ), DATA(0));
	}
	assert_int_equal(stats().shared_tops, 1);
	assert_int_equal(stats().coalesced, 3);
	end();
}

/* Under the limit shared ones go, too, and no link leads to what took their place. */
static void test_memory(void **state)
{
	(void)state;
	begin(140 * KIB);
	for (u32 round = 0; round < 200; round++) {
		u32 as = round % 8, k = round / 8 % 4;

		*word(ROOT(as) + 0x800) = TABLES(k) | 0x27;
		*word(ROOT(as)) = TABLES((k + 1) % 4) | 0x27; /* and a half of its own */
		enter(round & 1, as);
		vtlb_flush(&e.v[round & 1], true);
		for (u64 i = 0; i < 8; i++) {
			struct vtlb_xl xl;
			struct vtlb_fault f;

			assert_int_equal(get(round & 1, i, VTLB_READ), DATA(k) + i * 4096);
			vtlb_translate(&e.v[round & 1], i * 4096, VTLB_READ, &xl, &f);
			assert_int_equal(xl.gpa, DATA((k + 1) % 4) + i * 4096);
		}
		vtlb_safe_point(&e.v[0]);
		vtlb_safe_point(&e.v[1]);
	}
	assert_true(stats().spts_used <= stats().spts_limit);
	assert_true(stats().shared_tops > 0);
	end();
}

/* A link of a former life: its number has gone to other tables meanwhile. */
static void test_lives(void **state)
{
	(void)state;
	begin(140 * KIB);
	get(0, 0, VTLB_READ);
	enter(1, 1);
	for (u32 round = 0; round < 3 * N_TABLES; round++) {
		*word(ROOT(1) + 0x800) = TABLES(1 + round % (N_TABLES - 1)) | 0x27;
		vtlb_flush(&e.v[1], true);
		get(1, 0, VTLB_READ);
		vtlb_safe_point(&e.v[0]);
		vtlb_safe_point(&e.v[1]);
		if (round % 8 == 7)
			assert_int_equal(get(0, 0, VTLB_READ), DATA(0));
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),	      cmocka_unit_test(test_pcids),
		cmocka_unit_test(test_link_is_stale), cmocka_unit_test(test_link_is_dropped),
		cmocka_unit_test(test_rights),	      cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_memory),	      cmocka_unit_test(test_lives),
	};

	return cmocka_run_group_tests_name("vtlb_share", tests, NULL, NULL);
}
