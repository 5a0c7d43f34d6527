/*
 * vtlb_race_test.c - what another VP does in the middle of a fill, between the reading of the guest's
 * tables and the storing of the leaf: always there, not now and then as with threads. The walk sets an
 * accessed bit then, in a frame whose first store the memory tells of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vtlb_fixture.h"
#include "vtlb/priv.h"

#define OTHER 0x2000000ull

static struct vtlbfix e;
static void (*meanwhile)(void); /* VP 1 does it, while VP 0 fills */
static bool is_done;

static void monitored(void *arg, u64 gpa, u64 len)
{
	is_done = true;
	meanwhile();
}

static void begin(u64 bytes, bool retain)
{
	struct vtlb_config cfg = {.max_bytes = bytes,
				  .max_vps = 2,
				  .maxphyaddr = 40,
				  .ept_caps = ~0ull,
				  .retain = retain};

	vtlbfix_begin(&e, &cfg, 0x27, 0x67);
	/* an invalidation waits there for the fill under way, which here is in its own thread */
	if (e.t->odd_even) {
		vtlbfix_end(&e);
		skip();
	}
	mem_set_monitored(e.mem, monitored, NULL);
}

/* VP 0 translates @gva, whose root entry has to be marked accessed; VP 1 acts after the walk's reads. */
static u64 fill_during(u64 gva, void (*what)(void))
{
	struct mem_frame *f = mem_frame(e.mem, PML4);
	bool first;

	mem_mark_code(e.mem, PML4, 8, &first);
	*vtlbfix_word(&e, PML4) &= ~0x20ull;
	f->flags |= MEM_FRAME_MONITORED;
	meanwhile = what;
	is_done = false;
	u64 gpa = vtlbfix_get(&e.v[0], gva, VTLB_READ, VTLB_OK).gpa;

	assert_true(is_done);
	return gpa;
}

static u64 read_by(u32 vp, u64 gva)
{
	return vtlbfix_get(&e.v[vp], gva, VTLB_READ, VTLB_OK).gpa;
}

static void remap(void)
{
	*vtlbfix_word(&e, PT + 8) = OTHER | 0x67;
}
static void remap_invlpg(void)
{
	remap();
	vtlb_invlpg(&e.v[1], 0x1000);
}
static void remap_cr3(void)
{
	remap();
	vtlb_cr3_load(&e.v[1], PML4, false);
}
static void remap_flush(void)
{
	remap();
	vtlb_flush(&e.v[1], true);
}
static void remap_and_fill(void)
{
	remap_invlpg();
	assert_int_equal(read_by(1, 0x1000), OTHER);
}

/* What VP 0 has read before is nothing to VP 1, whatever VP 1 invalidates by, whether it fills first. */
static void test_invalidated(void **state)
{
	static void (*const ways[])(void) = {remap_invlpg, remap_cr3, remap_flush, remap_and_fill};

	(void)state;
	for (u32 i = 0; i < 2 * ARRAY_SIZE(ways); i++) {
		begin(MIB, i & 1);
		read_by(1, 0x2000); /* the SPTs are there */
		assert_int_equal(fill_during(0x1000, ways[i / 2]), DATA + 0x1000);
		assert_int_equal(read_by(1, 0x1000), OTHER);
		assert_int_equal(read_by(1, 0x1000), OTHER);
		vtlb_invlpg(&e.v[0], 0x1000);
		assert_int_equal(read_by(0, 0x1000), OTHER);
		vtlbfix_end(&e);
	}
}

/* With retention the newer of two leaves stays. */
static void test_newer_stays(void **state)
{
	struct vtlb_stats st;

	(void)state;
	begin(MIB, true);
	read_by(1, 0x2000);
	fill_during(0x1000, remap_and_fill);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.fills_lost, 1);
	u64 walks = e.v[1].n_walk;

	assert_int_equal(read_by(1, 0x1000), OTHER);
	assert_int_equal(e.v[1].n_walk, walks);
	vtlbfix_end(&e);
}

static void evict(void)
{
	for (u64 i = 1; i < 64; i++)
		vtlbfix_get(&e.v[1], i << 21, VTLB_READ, VTLB_OK);
}

/* VP 0 stores into an SPT that VP 1 has unlinked: it serves no other place before VP 0 has passed. */
static void test_unlinked(void **state)
{
	(void)state;
	begin(96 * KIB, false);
	for (u64 i = 1; i < 64; i++) { /* other pages by tables of their own */
		*vtlbfix_word(&e, PD + 8 * i) = (0x200000 + i * 4096) | 0x27;
		for (u64 k = 0; k < 8; k++)
			*vtlbfix_word(&e, 0x200000 + i * 4096 + 8 * k) =
				(OTHER + i * 0x8000 + k * 4096) | 0x67;
	}
	read_by(0, 0x0000); /* VP 0 has a pointer to the SPT */
	assert_int_equal(fill_during(0x1000, evict), DATA + 0x1000);
	for (u64 i = 1; i < 64; i++)
		assert_int_equal(read_by(1, i << 21 | 0x1000), OTHER + i * 0x8000 + 0x1000);
	vtlb_safe_point(&e.v[0]);
	for (u64 i = 1; i < 64; i++)
		for (u32 vp = 0; vp < 2; vp++)
			assert_int_equal(read_by(vp, i << 21 | 0x1000),
					 OTHER + i * 0x8000 + 0x1000);
	assert_int_equal(read_by(0, 0x1000), DATA + 0x1000);
	vtlbfix_end(&e);
}

static void decode(void)
{
	bool first;

	mem_mark_code(e.mem, DATA + 0x1000, 16, &first);
	assert_true(vtlb_protect_frame(&e.v[1], DATA + 0x1000));
}

/* A frame that comes under guard while VP 0 walks for a store: no write tag. */
static void test_guarded(void **state)
{
	(void)state;
	begin(MIB, false);
	struct mem_frame *f = mem_frame(e.mem, PML4);
	bool first;

	mem_mark_code(e.mem, PML4, 8, &first);
	*vtlbfix_word(&e, PML4) &= ~0x20ull;
	f->flags |= MEM_FRAME_MONITORED;
	meanwhile = decode;
	assert_int_equal(vtlbfix_get(&e.v[0], 0x1000, VTLB_WRITE, VTLB_OK).prot & VTLB_WRITE, 0);
	vtlbfix_end(&e);
}

/* ---- retention: VP 0 writes to tables, VP 1 loads CR3 and keeps what their translations are ---- */

#define PT_GVA (511ull << 12) /* the last table's own page */

static void load_cr3(u32 vp)
{
	vtlb_cr3_load(&e.v[vp], PML4, false);
}

/* Tables come under guard some loads after they were used; and leaves are those of tracked tables
 * when they are filled after that. */
static void load_often(void)
{
	struct vtlb_stats st;

	for (u32 i = 0; i < 20; i++) {
		load_cr3(1);
		vtlb_safe_point(&e.v[1]);
		read_by(1, 0x1000);
	}
	vtlb_get_stats(e.t, &st);
	assert_true(st.gpts_tracked > 0);
}

static void begin_retention(void)
{
	begin(MIB, true);
	*vtlbfix_word(&e, PT + 8 * 511) = PT | 0x67;
	read_by(1, 0x1000);
}

/* VP 0 holds a write tag of a table from before it was tracked: nothing stays until it has passed. */
static void test_guard_not_in_force(void **state)
{
	(void)state;
	begin_retention();
	u32 prot = vtlbfix_get(&e.v[0], PT_GVA, VTLB_WRITE, VTLB_OK).prot;

	assert_int_equal(prot & VTLB_WRITE, VTLB_WRITE);
	load_often();
	*vtlbfix_word(&e, PT + 8) = OTHER | 0x67; /* by the tag */
	load_cr3(1);
	assert_int_equal(read_by(1, 0x1000), OTHER);
	vtlbfix_end(&e);
}

/* VP 0 is between its store and the notice of it. */
static void test_write_under_way(void **state)
{
	struct vtlb_stats st;

	(void)state;
	begin_retention();
	load_often();
	vtlb_safe_point(&e.v[0]);
	load_often();
	load_cr3(1);
	u64 walks = e.v[1].n_walk;

	read_by(1, 0x1000);
	assert_int_equal(e.v[1].n_walk, walks); /* it is kept */
	u32 prot = vtlbfix_get(&e.v[0], PT_GVA, VTLB_WRITE, VTLB_OK).prot;

	assert_int_equal(prot & VTLB_WRITE, 0);
	*vtlbfix_word(&e, PT + 8) = OTHER | 0x67;
	load_cr3(1);
	assert_int_equal(read_by(1, 0x1000), OTHER);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.gpt_unsettled, 1);
	mem_note_write(e.mem, PT + 8, 8);
	vtlb_write_done(&e.v[0]);
	assert_int_equal(read_by(1, 0x1000), OTHER);
	vtlbfix_end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalidated),	   cmocka_unit_test(test_newer_stays),
		cmocka_unit_test(test_unlinked),	   cmocka_unit_test(test_guarded),
		cmocka_unit_test(test_guard_not_in_force), cmocka_unit_test(test_write_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
