/*
 * vtlb_spt_test.c - the virtual TLB's own bookkeeping: large leaves, stamps used up, the memory
 * limit, write tags and guards, devices, what crosses to other VPs
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtlb_fixture.h"

static struct vtlbfix e;
static bool wants_retention;

static void begin(u32 n_vps, u64 max_bytes)
{
	const struct vtlb_config cfg = {.max_bytes = max_bytes,
					.max_vps = n_vps,
					.maxphyaddr = 46,
					.has_1g_pages = true,
					.ept_caps = ~0ull,
					.retain = wants_retention};

	vtlbfix_begin(&e, &cfg, 7, 0x67);
}

static void test_create(void **state)
{
	int err = 0;
	struct vtlb_config cfg = {.max_bytes = MIB, .max_vps = 0, .maxphyaddr = 46};
	struct vtlb_vp v = {0};

	assert_null(vtlb_create(NULL, &cfg, &err));
	assert_int_equal(err, -EINVAL);
	begin(1, MIB);
	assert_int_equal(vtlb_vp_init(e.t, &v, 1), -EINVAL);
	assert_int_equal(vtlb_vp_init(e.t, &v, 0), -EINVAL);
	vtlbfix_end(&e);
}

static void large(void)
{
	struct vtlb_vp *v = &e.v[0];

	begin(1, MIB);
	*vtlbfix_word(&e, PD + 8) = 0x1200000 | 0xe7;
	*vtlbfix_word(&e, PD + 16) = 0x3e00000 | 0xe7; /* the last 2 MiB of RAM */
	*vtlbfix_word(&e, PDPT + 8) = 0 | 0xe7;	       /* 1 GiB, of which 64 MiB are RAM */
	assert_int_equal(vtlbfix_get(v, 0x234567, VTLB_READ, VTLB_OK).bytes, 2 * MIB);
	u64 walks = v->n_walk;
	struct vtlb_xl xl = vtlbfix_get(v, 0x3fffff, VTLB_WRITE, VTLB_OK);

	assert_int_equal(v->n_walk, walks); /* one leaf for all of it */
	assert_int_equal(xl.gpa, 0x13fffff);
	assert_ptr_equal(xl.hva, e.ram + 0x13fffff);
	assert_int_equal(vtlbfix_get(v, 0x5ff000, VTLB_READ, VTLB_OK).gpa, 0x3fff000);
	assert_int_equal(vtlbfix_get(v, 0x40200000, VTLB_READ, VTLB_OK).bytes, 2 * MIB);
	assert_int_equal(vtlbfix_get(v, 0x44000000, VTLB_READ, VTLB_MMIO).bytes, 4 * KIB);
	assert_int_equal(vtlbfix_get(v, 0x44000000, VTLB_READ, VTLB_MMIO).gpa, 0x4000000);

	/* split: a table where the large page was */
	*vtlbfix_word(&e, PD + 8) = PT | 7;
	vtlb_invlpg(v, 0x234567);
	xl = vtlbfix_get(v, 0x201000, VTLB_READ, VTLB_OK);
	assert_int_equal(xl.bytes, 4 * KIB);
	assert_int_equal(xl.gpa, DATA + 0x1000);
	/* and formed again */
	*vtlbfix_word(&e, PD + 8) = 0x1400000 | 0xe7;
	vtlb_flush(v, true);
	assert_int_equal(vtlbfix_get(v, 0x201000, VTLB_READ, VTLB_OK).gpa, 0x1401000);
	walks = v->n_walk;
	assert_int_equal(vtlbfix_get(v, 0x2ff000, VTLB_READ, VTLB_OK).gpa, 0x14ff000);
	assert_int_equal(v->n_walk, walks);
	struct vtlb_stats st;

	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.large_splits, 1);
	assert_int_equal(st.large_forms, 1);
	vtlbfix_end(&e);
}

static void test_large(void **state)
{
	large();
	wants_retention = true;
	large();
	wants_retention = false;
}

/* Stamps have few bits: an SPT that has seen too many generations is replaced, nothing goes wrong.
 */
static void test_stamps_used_up(void **state)
{
	struct vtlb_vp *v = &e.v[0];
	struct vtlb_stats st;

	for (u32 n_vps = 1; n_vps <= 2; n_vps++) {
		begin(n_vps, MIB);
		vtlbfix_get(v, 0x1000, VTLB_READ, VTLB_OK);
		for (u32 round = 1; round <= 4; round++) {
			for (u32 i = 0; i < 200000; i++)
				vtlb_flush(v, true);
			*vtlbfix_word(&e, PT + 8) = (DATA + round * 0x10000) | 0x67;
			vtlb_invlpg(v, 0x1000);
			assert_int_equal(vtlbfix_get(v, 0x1000, VTLB_READ, VTLB_OK).gpa,
					 DATA + round * 0x10000);
			u64 walks = v->n_walk;

			vtlbfix_get(v, 0x1000, VTLB_READ, VTLB_OK);
			assert_int_equal(v->n_walk, walks);
			if (n_vps == 2)
				vtlb_safe_point(&e.v[1]);
		}
		vtlb_get_stats(e.t, &st);
		assert_true(st.spt_rebases >= 2);
		vtlbfix_end(&e);
	}
}

static void test_limit(void **state)
{
	struct vtlb_stats st;
	struct vtlb_vp *v = &e.v[0];

	begin(1, 128 * KIB);
	vtlb_get_stats(e.t, &st);
	assert_in_range(st.spts_limit, 20, 32);
	for (u64 i = 1; i < 512; i++)
		*vtlbfix_word(&e, PD + 8 * i) = PT | 7;
	for (u64 i = 0; i < 512; i++)
		assert_int_equal(vtlbfix_get(v, i << 21 | 0x5000, VTLB_READ, VTLB_OK).gpa,
				 DATA + 0x5000);
	vtlb_get_stats(e.t, &st);
	assert_true(st.spts_used <= st.spts_limit);
	assert_true(st.spt_evictions >= 480);
	/* the newest survive */
	u64 walks = v->n_walk;

	vtlbfix_get(v, 511ull << 21 | 0x5000, VTLB_READ, VTLB_OK);
	assert_int_equal(v->n_walk, walks);
	/* many address spaces: the ones not selected go first, and cost nothing to drop */
	for (u64 i = 0; i < 100; i++) {
		struct vtlb_context c = v->ctx;

		*vtlbfix_word(&e, 0x200000 + i * 4096) = PDPT | 7;
		c.cr3 = 0x200000 + i * 4096;
		vtlb_set_context(v, &c);
		vtlbfix_get(v, 0x5000, VTLB_READ, VTLB_OK);
	}
	u64 evictions = st.spt_evictions;

	vtlb_get_stats(e.t, &st);
	assert_true(st.sas_evictions >= 80);
	assert_int_equal(st.spt_evictions, evictions);
	vtlbfix_end(&e);
}

static u64 soft_mark(void *owner)
{
	return ((struct vtlbfix_told *)owner)->flushes;
}
static bool soft_return(void *owner, u64 mark)
{
	return true;
}

/*
 * A hypervisor and its guest by turns with next to no memory: each takes the other's SPTs, and
 * still finds what its soft TLB held. Else every switch costs the walks of a whole working set.
 */
static void test_limit_by_turns(void **state)
{
	struct vtlb_vp *v = &e.v[0];
	struct vtlb_context hypervisor, guest;
	struct vtlb_stats st;

	begin(1, 64 * KIB);
	v->soft_mark = soft_mark;
	v->soft_return = soft_return;
	for (u64 i = 1; i < 512; i++)
		*vtlbfix_word(&e, PD + 8 * i) = PT | 7;
	*vtlbfix_word(&e, 0x200000) = PDPT | 7;
	hypervisor = guest = v->ctx;
	guest.cr3 = 0x200000;
	vtlb_set_context(v, &guest);
	u32 flushes = e.told[0].flushes;

	for (u64 turn = 0; turn < 40; turn++) {
		vtlb_set_context(v, turn & 1 ? &guest : &hypervisor);
		for (u64 i = 0; i < 16; i++)
			vtlbfix_get(v, (turn + i) << 21, VTLB_READ, VTLB_OK);
	}
	vtlb_get_stats(e.t, &st);
	assert_in_range(st.spts_limit, 8, 15);
	assert_true(st.spts_used <= st.spts_limit);
	assert_true(st.sas_evictions >= 30 && st.spt_evictions > 300);
	assert_int_equal(st.uninstalled, 0);
	assert_int_equal(e.told[0].flushes, flushes); /* none on coming back */
	/* the pages that one instruction may need do not take each other's place */
	u64 walks = v->n_walk;

	for (u64 i = 0; i < 4; i++)
		vtlbfix_get(v, i << 21, VTLB_READ, VTLB_OK);
	for (u64 i = 0; i < 4; i++)
		vtlbfix_get(v, i << 21, VTLB_READ, VTLB_OK);
	assert_int_equal(v->n_walk, walks + 4);
	vtlbfix_end(&e);
}

/*
 * Address spaces that nobody has a view of go before those that a VP comes back to, although they
 * were selected later: a hypervisor and its guest by turns on one VP, processes on another.
 */
static void test_limit_unselected(void **state)
{
	struct vtlb_context hypervisor, guest;
	struct vtlb_stats st;
	struct vtlb_vp *v = &e.v[0];

	begin(2, 256 * KIB);
	for (u64 i = 1; i < 512; i++)
		*vtlbfix_word(&e, PD + 8 * i) = PT | 7;
	hypervisor = guest = v->ctx;
	guest.cr3 = 0x200000;
	*vtlbfix_word(&e, guest.cr3) = PDPT | 7;
	vtlb_set_context(v, &guest);
	for (u64 i = 0; i < 4; i++)
		vtlbfix_get(v, i << 21, VTLB_READ, VTLB_OK);
	vtlb_set_context(v, &hypervisor);
	for (u64 i = 1; i < 24; i++) {
		struct vtlb_context c = hypervisor;

		c.cr3 = guest.cr3 + i * 4096;
		*vtlbfix_word(&e, c.cr3) = PDPT | 7;
		vtlb_set_context(&e.v[1], &c);
		if (i <= 4)
			vtlbfix_get(&e.v[1], 0, VTLB_READ, VTLB_OK);
	}
	u64 walks = v->n_walk;

	for (u64 i = 0; i < 32; i++)
		vtlbfix_get(v, i << 21, VTLB_READ, VTLB_OK);
	vtlb_get_stats(e.t, &st);
	assert_in_range(st.sas_evictions, 1, 4);
	assert_int_equal(v->n_walk, walks + 32);
	vtlb_set_context(v, &guest);
	for (u64 i = 0; i < 4; i++)
		vtlbfix_get(v, i << 21, VTLB_READ, VTLB_OK);
	assert_int_equal(v->n_walk, walks + 32);
	vtlbfix_end(&e);
}

/* SPTs taken away from an address space that another VP uses wait for that VP. */
static void test_limbo(void **state)
{
	struct vtlb_stats st;

	begin(2, 128 * KIB);
	for (u64 i = 1; i < 512; i++)
		*vtlbfix_word(&e, PD + 8 * i) = PT | 7;
	for (u64 i = 0; i < 64; i++)
		vtlbfix_get(&e.v[0], i << 21, VTLB_READ, VTLB_OK);
	vtlb_get_stats(e.t, &st);
	assert_true(st.spts_limbo > 0);
	assert_true(st.uninstalled > 0);
	assert_true(e.told[1].requests > 0);
	assert_int_equal(e.told[0].requests, 0);

	/* VP 0 took the numbers and asked only the other; who wants the room next asks VP 0 */
	vtlb_safe_point(&e.v[1]);
	vtlbfix_get(&e.v[1], 101ull << 21, VTLB_READ, VTLB_OK);
	assert_true(e.told[0].requests > 0);
	vtlb_get_stats(e.t, &st);
	u64 stuck = st.uninstalled;

	vtlbfix_get(&e.v[0], 100ull << 21, VTLB_READ, VTLB_OK);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.uninstalled, stuck);
	/* one that no worker runs holds nobody up */
	vtlb_offline(&e.v[1]);
	for (u64 i = 0; i < 400; i++)
		vtlbfix_get(&e.v[0], i << 21, VTLB_READ, VTLB_OK);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.uninstalled, stuck);
	u32 flushes = e.told[1].flushes;

	vtlb_online(&e.v[1]);
	assert_int_equal(e.told[1].flushes, flushes + 1);
	vtlbfix_end(&e);
}

static void test_guards(void **state)
{
	struct vtlb_vp *v = &e.v[0];
	bool first;

	begin(2, MIB);
	*vtlbfix_word(&e, PT) &= ~0x40ull; /* D clear: no write tag for a read */
	assert_int_equal(vtlbfix_get(v, 0, VTLB_READ, VTLB_OK).prot, VTLB_READ | VTLB_EXEC);
	assert_int_equal(*vtlbfix_word(&e, PT) & 0x40, 0);
	assert_int_equal(vtlbfix_get(v, 0, VTLB_WRITE, VTLB_OK).prot,
			 VTLB_READ | VTLB_WRITE | VTLB_EXEC);
	assert_int_equal(*vtlbfix_word(&e, PT) & 0x40, 0x40);

	/* code in it: both VPs give up their write tags, and get none any more */
	assert_int_equal(vtlbfix_get(&e.v[1], 0, VTLB_WRITE, VTLB_OK).prot & VTLB_WRITE,
			 VTLB_WRITE);
	u32 gen = mem_mark_code(e.mem, DATA + 0x40, 16, &first);

	assert_true(first);
	u32 flushes = e.told[0].flushes, requests = e.told[1].requests;

	assert_true(vtlb_protect_frame(v, DATA));
	assert_int_equal(e.told[0].flushes, flushes + 1);
	assert_int_equal(e.told[1].requests, requests + 1);
	assert_int_equal(vtlbfix_get(v, 0, VTLB_WRITE, VTLB_OK).prot & VTLB_WRITE, 0);
	assert_int_equal(vtlbfix_get(&e.v[1], 0, VTLB_WRITE, VTLB_OK).prot & VTLB_WRITE, 0);
	assert_int_equal(mem_frame(e.mem, DATA)->code_gen, gen); /* not all have passed */
	assert_int_equal(e.told[0].requests, 0);
	/* so it is not for VP 0 to pass */
	vtlb_safe_point(&e.v[1]);
	assert_int_equal(mem_frame(e.mem, DATA)->code_gen, gen + 1);

	/* a write kills the code, and the frame is writable again */
	mem_note_write(e.mem, DATA + 0x44, 1);
	assert_int_equal(vtlbfix_get(v, 0, VTLB_WRITE, VTLB_OK).prot & VTLB_WRITE, VTLB_WRITE);
	/* a frame that nobody may write needs no flush */
	flushes = e.told[0].flushes;
	mem_mark_code(e.mem, DATA + 0x100000, 16, &first);
	assert_true(vtlb_protect_frame(v, DATA + 0x100000));
	assert_true(vtlb_protect_frame(v, VTLBFIX_RAM_BYTES));
	assert_int_equal(e.told[0].flushes, flushes);
	vtlbfix_end(&e);
}

static void test_protect_overflow(void **state)
{
	bool first, ok = true;

	begin(2, 8 * MIB);
	for (u64 i = 0; i < 512; i++)
		vtlbfix_get(&e.v[1], i << 12, VTLB_WRITE, VTLB_OK);
	for (u64 i = 0; i < 512; i++) {
		mem_mark_code(e.mem, DATA + i * 4096, 1, &first);
		ok &= vtlb_protect_frame(&e.v[0], DATA + i * 4096);
	}
	assert_false(ok); /* too many wait for VP 1 */
	vtlb_safe_point(&e.v[0]);
	vtlb_safe_point(&e.v[1]);
	mem_note_write(e.mem, DATA, 1);
	vtlbfix_get(&e.v[1], 0, VTLB_WRITE, VTLB_OK);
	mem_mark_code(e.mem, DATA, 1, &first);
	assert_true(vtlb_protect_frame(&e.v[0], DATA));
	vtlbfix_end(&e);
}

/* What the soft TLB is told: an address, everything. */
static void test_soft(void **state)
{
	struct vtlb_vp *v = &e.v[0];

	begin(1, MIB);
	*vtlbfix_word(&e, PD + 8) = 0x1200000 | 0xe7;
	vtlbfix_get(v, 0x1000, VTLB_READ, VTLB_OK);
	u32 whole = e.told[0].flushes;

	vtlb_invlpg(v, 0x1000);
	assert_int_equal(e.told[0].page_flushes, 1);
	assert_int_equal(e.told[0].flushes, whole);
	assert_int_equal(vtlbfix_get(v, 0x1000, VTLB_READ, VTLB_OK).page_shift, 12);
	assert_int_equal(vtlbfix_get(v, 0x210000, VTLB_READ, VTLB_OK).page_shift, 21);
	vtlb_invlpg(v, 0x200000);
	assert_int_equal(e.told[0].page_flushes, 2);
	assert_int_equal(e.told[0].flushes, whole);
	/* rights that the soft TLB's tags depend on */
	struct vtlb_context c = v->ctx;

	c.cr0 &= ~0x10000ull;
	vtlb_set_context(v, &c);
	assert_int_equal(e.told[0].flushes, whole + 1);
	vtlb_set_context(v, &c);
	assert_int_equal(e.told[0].flushes, whole + 1);
	vtlbfix_get(v, 0x210000, VTLB_READ, VTLB_OK);
	vtlb_memory_changed(e.t);
	assert_int_equal(e.told[0].requests, 1);
	u64 walks = v->n_walk;

	vtlb_safe_point(v);
	assert_int_equal(e.told[0].flushes, whole + 2);
	vtlbfix_get(v, 0x210000, VTLB_READ, VTLB_OK);
	assert_int_equal(v->n_walk, walks + 1);
	vtlbfix_end(&e);
}

static void load_cr3(struct vtlb_vp *v, u64 cr3)
{
	struct vtlb_context c = v->ctx;
	u64 old = c.cr3;

	c.cr3 = cr3;
	vtlb_set_context(v, &c);
	vtlb_cr3_load(v, old, false);
}

/* A guest's store, as the engine does it. */
static void put(u64 at, u64 v)
{
	*vtlbfix_word(&e, at) = v;
	if (mem_frame_is_guarded(mem_frame(e.mem, at)))
		mem_note_write(e.mem, at, 8);
}

/* MOV CR3 that flushes keeps what is known to agree with tracked tables, and only that. */
static void test_retention(void **state)
{
	struct vtlb_vp *v = &e.v[0];
	struct vtlb_stats st;
	const u64 other = 0x110000;

	wants_retention = true;
	begin(1, MIB);
	wants_retention = false;
	*vtlbfix_word(&e, other) = PDPT | 7;
	for (u32 round = 0; round < 3; round++) { /* found untracked; filled again; kept */
		u64 walks = v->n_walk;

		for (u64 i = 0; i < 16; i++)
			vtlbfix_get(v, i << 12, VTLB_READ, VTLB_OK);
		assert_int_equal(v->n_walk - walks, round < 2 ? 16 : 0);
		load_cr3(v, other);
		load_cr3(v, PML4);
	}
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.gpts_tracked, 4);

	/* a write takes its own entry away, at once */
	put(PT + 8 * 3, (DATA + 0x100000) | 0x67);
	u64 walks = v->n_walk;

	vtlbfix_get(v, 0x2000, VTLB_READ, VTLB_OK);
	assert_int_equal(v->n_walk, walks);
	assert_int_equal(vtlbfix_get(v, 0x3000, VTLB_READ, VTLB_OK).gpa, DATA + 0x100000);
	assert_int_equal(v->n_walk, walks + 1);
	/* one of an upper level all that is below */
	put(PD, PT | 5);
	load_cr3(v, PML4);
	assert_int_equal(vtlbfix_get(v, 0x2000, VTLB_READ, VTLB_OK).prot & VTLB_WRITE, 0);
	put(PD, PT | 7);
	load_cr3(v, PML4);
	assert_int_equal(vtlbfix_get(v, 0x2000, VTLB_READ, VTLB_OK).prot & VTLB_WRITE, VTLB_WRITE);

	/* written all the time: it is let go, and with it what was kept by it */
	for (u64 i = 0; i < 64; i++)
		put(PT + 8 * (100 + i), 0);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.gpt_releases, 1);
	assert_false(mem_frame_is_guarded(mem_frame(e.mem, PT)));
	put(PT + 8 * 2, (DATA + 0x200000) | 0x67);
	load_cr3(v, other);
	load_cr3(v, PML4);
	assert_int_equal(vtlbfix_get(v, 0x2000, VTLB_READ, VTLB_OK).gpa, DATA + 0x200000);
	/* what was guarded is free again for whoever uses the memory next */
	assert_true(mem_frame_is_guarded(mem_frame(e.mem, PDPT)));
	vtlb_vp_fini(v);
	vtlb_destroy(e.t);
	assert_false(mem_frame_is_guarded(mem_frame(e.mem, PDPT)));
	mem_destroy(e.mem);
}

/* Addresses that fit no leaf, tables that are nowhere. */
static void test_odd_addresses(void **state)
{
	struct vtlb_vp *v = &e.v[0];
	struct vtlb_context c;
	struct vtlb_xl xl;
	struct vtlb_fault f;

	begin(1, MIB);
	*vtlbfix_word(&e, PT + 8) = 0x100000001000ull | 0x67; /* above 1 TiB */
	for (int i = 0; i < 3; i++)
		assert_int_equal(vtlbfix_get(v, 0x1234, VTLB_READ, VTLB_MMIO).gpa,
				 0x100000001234ull);
	c = v->ctx;
	c.cr3 = 0xfee00000;
	vtlb_set_context(v, &c);
	assert_int_equal(vtlb_translate(v, 0, VTLB_READ, &xl, &f), VTLB_PAGE_FAULT);
	assert_int_equal(f.error_code, 9);
	c.eptp = 0xfee0001e;
	vtlb_set_context(v, &c);
	assert_int_equal(vtlb_translate(v, 0, VTLB_READ, &xl, &f), VTLB_EPT_MISCONFIG);
	assert_int_equal(vtlb_translate_gpa(v, 0, VTLB_READ, &xl, &f), VTLB_EPT_MISCONFIG);
	c = (struct vtlb_context){0};
	vtlb_set_context(v, &c);
	assert_int_equal(vtlbfix_get(v, 0x1ffffffffull, VTLB_READ, VTLB_MMIO).gpa, 0xffffffff);
	assert_int_equal(vtlb_translate_gpa(v, DATA + 4, VTLB_WRITE, &xl, &f), VTLB_OK);
	assert_ptr_equal(xl.hva, e.ram + DATA + 4);
	vtlbfix_end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_stamps_used_up),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_by_turns),
		cmocka_unit_test(test_limit_unselected),
		cmocka_unit_test(test_limbo),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_protect_overflow),
		cmocka_unit_test(test_soft),
		cmocka_unit_test(test_odd_addresses),
		cmocka_unit_test(test_retention),
	};

	return cmocka_run_group_tests_name("vtlb_spt", tests, NULL, NULL);
}
