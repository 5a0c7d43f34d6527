/*
 * vtlb_stale_test.c - what a VP holds of its own, and the detector: which forgotten invalidations
 * it names, and which guests it leaves alone
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l0/mem/mem.h"
#include "trace/transition.h"
#include "vtlb/stale.h"
#include "vtlb/vtlb.h"

#define RAM_BYTES (16 * MIB)
#define PML4 0x100000ull
#define PDPT 0x101000ull
#define PD 0x102000ull
#define PT 0x103000ull
#define EPT 0x200000ull /* PML4, PDPT, PD, PT of the first 2 MiB of DATA */
#define EPTP (EPT | 3 << 3 | 6)
#define DATA 0x800000ull
#define OTHER 0x900000ull
#define MS 1000000ull
#define RIP 0xfffffffface0ull

static struct {
	struct mem *mem;
	u8 *ram;
	struct vtlb *t;
	struct vtlb_vp v[2];
	struct trace_ctx trace;
	u64 now;
	struct vtlb_vp *self; /* who runs: writes are by it */
	struct vtlb_stale_report last;
} e;

static u64 now(struct trace_ctx *ctx)
{
	return e.now;
}
static u64 where(void *owner)
{
	return RIP;
}
static struct vtlb_vp *self(void *arg)
{
	return e.self;
}
static void reported(void *arg, const struct vtlb_stale_report *r)
{
	e.last = *r;
}
static u64 *word(u64 at)
{
	return (u64 *)(void *)(e.ram + at);
}

static void begin(struct vtlb_config cfg, u64 eptp, u16 vpid)
{
	int err;

	memset(&e, 0, sizeof(e));
	cfg.max_bytes = MIB;
	cfg.max_vps = 2;
	cfg.maxphyaddr = 46;
	cfg.ept_caps = ~0ull;
	cfg.retain = true;
	cfg.one_thread = !cfg.one_lock; /* that is for threads */
	cfg.self = self;
	cfg.stale = reported;
	e.trace.now = now;
	e.mem = mem_create(RAM_BYTES, &err);
	e.ram = mem_ram_base(e.mem);
	e.t = vtlb_create(e.mem, &cfg, &err);
	assert_non_null(e.t);
	*word(PML4) = PDPT | 7;
	*word(PDPT) = PD | 7;
	*word(PD) = PT | 7;
	*word(EPT) = (EPT + 0x1000) | 7;
	*word(EPT + 0x1000) = (EPT + 0x2000) | 7;
	for (u64 i = 0; i < 8; i++)
		*word(EPT + 0x2000 + 8 * i) = 0x200000 * i | 6 << 3 | 0x80 | 7;
	*word(EPT + 0x2000 + 8 * (DATA >> 21)) = (EPT + 0x3000) | 7;
	for (u64 i = 0; i < 512; i++) {
		*word(PT + 8 * i) = (DATA + i * 4096) | 0x67;
		*word(EPT + 0x3000 + 8 * i) = (DATA + i * 4096) | 6 << 3 | 7;
	}
	for (u32 i = 0; i < 2; i++) {
		e.v[i].trace = &e.trace;
		e.v[i].where = where;
		assert_int_equal(vtlb_vp_init(e.t, &e.v[i], i), 0);
		vtlb_set_context(&e.v[i], &(struct vtlb_context){.cr0 = 0x80010001,
								 .cr3 = PML4,
								 .cr4 = 0xb0,
								 .efer = 0xd00,
								 .eptp = eptp,
								 .vpid = vpid});
	}
}

static void end(void)
{
	for (u32 i = 0; i < 2; i++)
		vtlb_vp_fini(&e.v[i]);
	vtlb_destroy(e.t);
	mem_destroy(e.mem);
}

static u64 get(u32 vp, u64 gva, u32 access)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;

	return vtlb_translate(&e.v[vp], gva, access, &xl, &f) <= VTLB_MMIO ? xl.gpa : ~0ull;
}

/* A store of VP @vp to an entry: as the engine does it. */
static void set(u32 vp, u64 at, u64 value)
{
	e.self = &e.v[vp];
	*word(at) = value;
	mem_note_write(e.mem, at, 8);
}

static u64 reports(void)
{
	struct vtlb_stats st;

	vtlb_get_stats(e.t, &st);
	return st.stale_reports;
}

/* @ms pass, in which every VP uses other pages. Return: reports; the last is e.last. */
static u64 pass(u64 ms)
{
	e.now += ms * MS;
	for (u32 i = 0; i < 1000; i++)
		for (u32 vp = 0; vp < 2; vp++)
			get(vp, 0x100000 + i % 16 * 4096, VTLB_READ);
	return reports();
}

static const struct vtlb_config detect = {.detect_stale = true};

static void check_writer(u32 vp, u64 entry, u64 before, u64 after, u64 ns)
{
	assert_int_equal(e.last.by.vp, vp);
	assert_int_equal(e.last.by.rip, RIP);
	assert_int_equal(e.last.by.gpa, entry);
	assert_int_equal(e.last.by.before, before);
	assert_int_equal(e.last.by.after, after);
	assert_int_equal(e.last.by.ns, ns);
}

static void test_held(void **state)
{
	begin((struct vtlb_config){.mode = VTLB_NORMAL}, 0, 0);
	assert_int_equal(get(1, 0x5000, VTLB_READ), DATA + 0x5000);
	set(0, PT + 8 * 5, OTHER | 0x67);
	vtlb_invlpg(&e.v[0], 0x5000);
	assert_int_equal(get(0, 0x5000, VTLB_READ), OTHER);
	assert_int_equal(get(1, 0x5000, VTLB_READ), OTHER); /* shared */
	end();
	begin(detect, 0, 0);
	assert_int_equal(get(1, 0x5000, VTLB_READ), DATA + 0x5000);
	set(0, PT + 8 * 5, OTHER | 0x67);
	vtlb_invlpg(&e.v[0], 0x5000);
	assert_int_equal(get(0, 0x5000, VTLB_READ), OTHER);
	assert_int_equal(get(1, 0x5000, VTLB_READ), DATA + 0x5000); /* its own */
	vtlb_invlpg(&e.v[1], 0x5000);
	assert_int_equal(get(1, 0x5000, VTLB_READ), OTHER);
	assert_int_equal(pass(20), 0); /* late, but done */
	end();
}

static void test_missing_invlpg(void **state)
{
	begin(detect, 0, 0);
	get(0, 0x5000, VTLB_WRITE);
	e.now = 2 * MS;
	set(0, PT + 8 * 5, OTHER | 0x67);
	e.now = 3 * MS;
	assert_int_equal(get(0, 0x5000, VTLB_WRITE), DATA + 0x5000);
	assert_int_equal(pass(9), 0);
	assert_int_equal(pass(2), 1);
	assert_int_equal(e.last.vp, 0);
	assert_int_equal(e.last.access, VTLB_WRITE);
	assert_int_equal(e.last.rip, RIP);
	assert_int_equal(e.last.ns, 3 * MS);
	assert_int_equal(e.last.gva, 0x5000);
	assert_int_equal(e.last.held_gpa, 0x805000);
	assert_int_equal(e.last.fresh_gpa, OTHER);
	assert_int_equal(e.last.missing, STALE_MISSING_INVLPG);
	assert_false(e.last.is_remote);
	assert_int_equal(e.last.proof, STALE_PROOF_TIME);
	check_writer(0, PT + 8 * 5, (DATA + 0x5000) | 0x67, OTHER | 0x67, 2 * MS);
	get(0, 0x5000, VTLB_WRITE);
	assert_int_equal(pass(20), 1); /* once a page */
	/* rights taken away, and the page */
	get(0, 0x6000, VTLB_WRITE);
	set(0, PT + 8 * 6, *word(PT + 8 * 6) & ~2ull);
	get(0, 0x6000, VTLB_WRITE);
	assert_int_equal(pass(11), 2);
	assert_int_equal(e.last.fresh_gpa, VTLB_NO_GPA);
	get(0, 0x7000, VTLB_READ);
	set(0, PT + 8 * 7, 0);
	get(0, 0x7000, VTLB_READ);
	assert_int_equal(pass(11), 3);
	/* an upper level */
	get(0, 0x8000, VTLB_READ);
	set(0, PD, 0);
	get(0, 0x8000, VTLB_READ);
	set(0, PD, PT | 7);
	assert_int_equal(pass(11), 4);
	assert_int_equal(e.last.missing, STALE_MISSING_CR3);
	check_writer(0, PD, PT | 0x27, 0, e.last.by.ns);
	end();
}

static void test_missing_shootdown(void **state)
{
	begin(detect, 0, 0);
	get(0, 0x5000, VTLB_READ);
	get(1, 0x5000, VTLB_READ);
	set(0, PT + 8 * 5, OTHER | 0x67);
	vtlb_invlpg(&e.v[0], 0x5000);
	get(0, 0x5000, VTLB_READ);
	get(1, 0x5000, VTLB_READ);
	assert_int_equal(pass(11), 1);
	assert_int_equal(e.last.vp, 1);
	assert_true(e.last.is_remote);
	assert_int_equal(e.last.done_on, 0);
	assert_int_equal(e.last.missing, STALE_MISSING_INVLPG);
	check_writer(0, PT + 8 * 5, (DATA + 0x5000) | 0x67, OTHER | 0x67, e.last.by.ns);
	end();
}

/* On threads: ten periods of 1 ms, in each of which both pass an instruction boundary. */
static void test_rounds(void **state)
{
	begin((struct vtlb_config){.detect_stale = true, .one_lock = true}, 0, 0);
	get(0, 0x5000, VTLB_READ);
	for (u32 i = 0; i < 2; i++)
		vtlb_safe_point(&e.v[i]);
	get(0, 0x5000, VTLB_READ);
	set(0, PT + 8 * 5, OTHER | 0x67);
	assert_int_equal(get(0, 0x5000, VTLB_READ), DATA + 0x5000);
	assert_int_equal(pass(1000), 0); /* the other does not run */
	for (u32 round = 0; round < 12; round++) {
		assert_int_equal(pass(1), round >= 10);
		vtlb_safe_point(&e.v[0]);
		assert_int_equal(pass(1), round >= 10);
		vtlb_safe_point(&e.v[1]);
	}
	assert_int_equal(e.last.missing, STALE_MISSING_INVLPG);
	check_writer(0, PT + 8 * 5, (DATA + 0x5000) | 0x67, OTHER | 0x67, 0);
	/* one that is halted need not */
	vtlb_offline(&e.v[1]);
	get(0, 0x6000, VTLB_READ);
	vtlb_safe_point(&e.v[0]);
	get(0, 0x6000, VTLB_READ);
	set(0, PT + 8 * 6, 0);
	get(0, 0x6000, VTLB_READ);
	for (u32 round = 0; round < 12; round++) {
		vtlb_safe_point(&e.v[0]);
		e.now += MS;
		for (u32 i = 0; i < 200; i++)
			get(0, 0x100000, VTLB_READ);
	}
	assert_int_equal(reports(), 2);
	end();
}

static void test_missing_invept(void **state)
{
	begin(detect, EPTP, 1);
	get(0, 0x5000, VTLB_READ);
	set(0, EPT + 0x3000 + 8 * 5, OTHER | 6 << 3 | 7);
	assert_int_equal(get(0, 0x5000, VTLB_READ), DATA + 0x5000);
	assert_int_equal(pass(11), 1);
	assert_int_equal(e.last.missing, STALE_MISSING_INVEPT);
	assert_true(e.last.by.is_ept);
	get(0, 0x6000, VTLB_READ);
	set(0, EPT + 0x3000 + 8 * 6, 0);
	get(0, 0x6000, VTLB_READ);
	assert_int_equal(pass(11), 2);
	assert_int_equal(e.last.missing, STALE_MISSING_INVEPT);
	assert_true(e.last.by.is_ept);
	get(0, 0x7000, VTLB_READ);
	set(0, PT + 8 * 7, (DATA + 0x8000) | 0x67);
	get(0, 0x7000, VTLB_READ);
	assert_int_equal(pass(11), 3);
	assert_int_equal(e.last.missing, STALE_MISSING_INVLPG);
	assert_false(e.last.by.is_ept);
	get(0, 0x8000, VTLB_READ);
	set(0, EPT + 0x3000 + 8 * 8, OTHER | 6 << 3 | 7);
	get(0, 0x8000, VTLB_READ);
	vtlb_invept(&e.v[0], 1, EPTP);
	assert_int_equal(pass(11), 3);
	end();
}

static void enter(u32 vp, u64 cr3, u64 eptp, u16 vpid)
{
	struct vtlb_context ctx = e.v[vp].ctx;

	ctx.cr3 = cr3;
	ctx.eptp = eptp;
	ctx.vpid = vpid;
	vtlb_set_context(&e.v[vp], &ctx);
}

/* A hypervisor that shadows its guest's tables, under a VPID; one that writes a nested guest's. */
static void test_missing_invvpid(void **state)
{
	for (u32 nested = 0; nested < 2; nested++) {
		u64 eptp = nested ? EPTP : 0;

		begin(detect, eptp, 3);
		for (u64 i = 5; i < 8; i++) {
			get(0, i * 4096, VTLB_READ);
			enter(0, PML4, 0, i < 7 ? 0 : 3);
			if (i == 7 && nested)
				enter(0, PML4, EPTP, 3);
			set(0, PT + 8 * i, OTHER | 0x67);
			enter(0, PML4, eptp, 3);
			get(0, i * 4096, VTLB_READ);
			if (i == 6)
				vtlb_invvpid(&e.v[0], 1, 3, 0);
			assert_int_equal(pass(11), i == 5 ? 1 : i == 6 ? 1 : 2);
			assert_int_equal(e.last.missing,
					 i < 7 ? STALE_MISSING_INVVPID : STALE_MISSING_INVLPG);
		}
		end();
	}
}

/* INVLPG reaches the PCID that is in use, and global pages. */
static void test_missing_invpcid(void **state)
{
	begin(detect, 0, 0);
	for (u32 vp = 0; vp < 2; vp++) {
		struct vtlb_context ctx = e.v[vp].ctx;

		ctx.cr4 |= 1 << 17;
		ctx.cr3 = PML4 | 1;
		vtlb_set_context(&e.v[vp], &ctx);
	}
	set(0, PT + 8 * 7, (DATA + 0x7000) | 0x167);
	for (u64 i = 5; i < 9; i++)
		get(0, i * 4096, VTLB_READ);
	enter(0, PML4 | 2, 0, 0);
	for (u64 i = 5; i < 9; i++) {
		set(0, PT + 8 * i, OTHER | 0x67);
		if (i < 8)
			vtlb_invlpg(&e.v[0], i * 4096);
	}
	vtlb_invpcid(&e.v[0], 0, 1, 0x6000);
	enter(0, PML4 | 1, 0, 0);
	for (u64 i = 5; i < 9; i++)
		assert_int_equal(get(0, i * 4096, VTLB_READ),
				 i == 5 || i == 8 ? DATA + i * 4096 : OTHER);
	vtlb_invlpg(&e.v[0], 0x8000);
	assert_int_equal(pass(11), 1);
	assert_int_equal(e.last.gva, 0x5000);
	assert_int_equal(e.last.missing, STALE_MISSING_INVPCID);
	/* a global page */
	set(0, PT + 8 * 9, (DATA + 0x9000) | 0x167);
	get(0, 0x9000, VTLB_READ);
	set(0, PT + 8 * 9, OTHER | 0x167);
	vtlb_cr3_load(&e.v[0], 0, false);
	get(0, 0x9000, VTLB_READ);
	assert_int_equal(pass(11), 2);
	assert_int_equal(e.last.missing, STALE_MISSING_GLOBAL);
	end();
}

/* The old frame is used for something else before the 10 ms are over. */
static void test_frame_reuse(void **state)
{
	begin(detect, 0, 0);
	/* mapped at another page, and used there */
	set(0, PT + 8 * 20, 0);
	get(1, 0x6000, VTLB_READ);
	get(0, 0x5000, VTLB_READ);
	set(0, PT + 8 * 5, 0);
	get(0, 0x5000, VTLB_READ);
	assert_int_equal(get(1, 0x6000, VTLB_READ), DATA + 0x6000);
	set(1, PT + 8 * 20, (DATA + 0x5000) | 0x67);
	assert_int_equal(reports(), 0);
	e.now += MS;
	e.self = &e.v[1];
	assert_int_equal(get(1, 20 * 4096, VTLB_WRITE), DATA + 0x5000);
	assert_int_equal(reports(), 1);
	assert_int_equal(e.last.vp, 0);
	assert_int_equal(e.last.proof, STALE_PROOF_MAPPED);
	assert_int_equal(e.last.proof_vp, 1);
	assert_int_equal(e.last.proof_ns, MS);
	/* invalidated before that: nothing */
	get(0, 0x7000, VTLB_READ);
	set(0, PT + 8 * 7, 0);
	get(0, 0x7000, VTLB_READ);
	vtlb_invlpg(&e.v[0], 0x7000);
	set(1, PT + 8 * 21, (DATA + 0x7000) | 0x67);
	get(1, 21 * 4096, VTLB_WRITE);
	assert_int_equal(reports(), 1);
	/* rewritten: by the same address space nothing, by another */
	get(0, 0x8000, VTLB_READ);
	set(0, PT + 8 * 8, 0);
	get(0, 0x8000, VTLB_READ);
	set(1, DATA + 0x8000, 1);
	assert_int_equal(reports(), 1);
	enter(1, PML4 + 0x10000, 0, 0);
	set(1, DATA + 0x8010, 1);
	assert_int_equal(reports(), 2);
	assert_int_equal(e.last.gva, 0x8000);
	assert_int_equal(e.last.proof, STALE_PROOF_WRITTEN);
	/* rights taken away only: the frame stays its page's, others may write to it */
	get(0, 0x9000, VTLB_WRITE);
	set(0, PT + 8 * 9, *word(PT + 8 * 9) & ~2ull);
	get(0, 0x9000, VTLB_WRITE);
	set(1, DATA + 0x9000, 1);
	assert_int_equal(reports(), 2);
	end();
}

/* Nothing to report: what is allowed in addition, accessed and dirty, not used, from not
 * present. */
static void test_silent(void **state)
{
	struct vtlb_stats st;

	begin(detect, 0, 0);
	set(0, PT + 8 * 9, 0);
	set(0, PT + 8 * 10, (DATA + 0xa000) | 0x65);
	for (u64 i = 5; i < 12; i++)
		get(0, i * 4096, VTLB_READ);
	set(0, PT + 8 * 5, *word(PT + 8 * 5) & ~0x60ull); /* A/D */
	set(0, PT + 8 * 6, *word(PT + 8 * 6) | 0x100);	  /* global */
	set(0, PT + 8 * 7, OTHER | 0x67);		  /* not used again: lazy TLB */
	set(0, PT + 8 * 9, OTHER | 0x67);		  /* was not present */
	set(0, PT + 8 * 10, (DATA + 0xa000) | 0x67);	  /* writable now */
	for (u64 i = 5; i < 12; i++)
		if (i != 7)
			get(0, i * 4096, i == 10 ? VTLB_WRITE : VTLB_READ);
	assert_int_equal(get(0, 0x9000, VTLB_READ), OTHER);
	assert_int_equal(pass(30), 0);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.stale_suspects, 0);
	/* a MOV CR3 covers as well as INVLPG */
	get(1, 0x7000, VTLB_READ);
	set(0, PT + 8 * 7, DATA | 0x67);
	get(1, 0x7000, VTLB_READ);
	vtlb_cr3_load(&e.v[1], PML4, false);
	assert_int_equal(pass(30), 0);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.stale_suspects, 1);
	assert_int_equal(st.stale_cleared, 1);
	end();
}

struct sum {
	u64 translations, limit;
	u32 n;
};

static void add(void *arg, const char *module, const char *name, u64 value, const char *what)
{
	struct sum *s = arg;

	assert_string_equal(module, "vtlb");
	assert_true(*what);
	s->n++;
	if (!strcmp(name, "translations"))
		s->translations = value;
	if (!strcmp(name, "spts_limit"))
		s->limit = value;
}

static void test_counters(void **state)
{
	struct vtlb_stats st;
	struct sum s = {0};

	begin(detect, 0, 0);
	get(0, 0x5000, VTLB_READ);
	get(1, 0x5000, VTLB_READ);
	vtlb_each_counter(e.t, add, &s);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(s.translations, 2);
	assert_int_equal(s.limit, st.spts_limit);
	assert_true(s.n > 20);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_missing_invlpg),
		cmocka_unit_test(test_missing_shootdown),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_missing_invept),
		cmocka_unit_test(test_missing_invvpid),
		cmocka_unit_test(test_missing_invpcid),
		cmocka_unit_test(test_frame_reuse),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_counters),
	};

	return cmocka_run_group_tests_name("vtlb_stale", tests, NULL, NULL);
}
