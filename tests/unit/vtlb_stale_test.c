/*
 * vtlb_stale_test.c - what a VP holds of its own, and the detector: which forgotten invalidations
 * it names, and which guests it leaves alone
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "l0/mem/mem.h"
#include "trace/transition.h"
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
	char text[2048];
} e;

static u64 now(struct trace_ctx *ctx)
{
	return e.now;
}
static u64 where(void *owner)
{
	return RIP;
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

/* @ms pass, in which every VP uses other pages. Return: reports; what they said is in e.text. */
static u64 pass(u64 ms)
{
	struct vtlb_stats st;
	FILE *f = tmpfile();
	int old = dup(2);

	assert_non_null(f);
	dup2(fileno(f), 2);
	e.now += ms * MS;
	for (u32 i = 0; i < 1000; i++)
		for (u32 vp = 0; vp < 2; vp++)
			get(vp, 0x100000 + i % 16 * 4096, VTLB_READ);
	dup2(old, 2);
	close(old);
	rewind(f);
	e.text[fread(e.text, 1, sizeof(e.text) - 1, f)] = 0;
	fclose(f);
	vtlb_get_stats(e.t, &st);
	return st.stale_reports;
}

static const struct vtlb_config detect = {.detect_stale = true};

static void test_held(void **state)
{
	begin((struct vtlb_config){.mode = VTLB_NORMAL}, 0, 0);
	assert_int_equal(get(1, 0x5000, VTLB_READ), DATA + 0x5000);
	*word(PT + 8 * 5) = OTHER | 0x67;
	vtlb_invlpg(&e.v[0], 0x5000);
	assert_int_equal(get(0, 0x5000, VTLB_READ), OTHER);
	assert_int_equal(get(1, 0x5000, VTLB_READ), OTHER); /* shared */
	end();
	begin(detect, 0, 0);
	assert_int_equal(get(1, 0x5000, VTLB_READ), DATA + 0x5000);
	*word(PT + 8 * 5) = OTHER | 0x67;
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
	*word(PT + 8 * 5) = OTHER | 0x67;
	assert_int_equal(get(0, 0x5000, VTLB_WRITE), DATA + 0x5000);
	assert_int_equal(pass(9), 0);
	assert_int_equal(pass(2), 1);
	assert_non_null(strstr(e.text, "processor 0, write at rip 0xfffffffface0 of page 0x5000"));
	assert_non_null(strstr(e.text, "went to frame 0x805000; the tables lead to 0x900000"));
	assert_non_null(strstr(e.text, "missing: INVLPG"));
	assert_null(strstr(e.text, "shootdown"));
	get(0, 0x5000, VTLB_WRITE);
	assert_int_equal(pass(20), 1); /* once a page */
	/* rights taken away, and the page */
	get(0, 0x6000, VTLB_WRITE);
	*word(PT + 8 * 6) &= ~2ull;
	get(0, 0x6000, VTLB_WRITE);
	assert_int_equal(pass(11), 2);
	assert_non_null(strstr(e.text, "do not allow it"));
	get(0, 0x7000, VTLB_READ);
	*word(PT + 8 * 7) = 0;
	get(0, 0x7000, VTLB_READ);
	assert_int_equal(pass(11), 3);
	end();
}

static void test_missing_shootdown(void **state)
{
	begin(detect, 0, 0);
	get(0, 0x5000, VTLB_READ);
	get(1, 0x5000, VTLB_READ);
	*word(PT + 8 * 5) = OTHER | 0x67;
	vtlb_invlpg(&e.v[0], 0x5000);
	get(0, 0x5000, VTLB_READ);
	get(1, 0x5000, VTLB_READ);
	assert_int_equal(pass(11), 1);
	assert_non_null(strstr(e.text, "on processor 1 (processor 0 has executed one: the shootdown"));
	end();
}

static void test_missing_invept(void **state)
{
	begin(detect, EPTP, 1);
	get(0, 0x5000, VTLB_READ);
	*word(EPT + 0x3000 + 8 * 5) = OTHER | 6 << 3 | 7;
	assert_int_equal(get(0, 0x5000, VTLB_READ), DATA + 0x5000);
	assert_int_equal(pass(11), 1);
	assert_non_null(strstr(e.text, "missing: INVEPT"));
	get(0, 0x6000, VTLB_READ);
	*word(EPT + 0x3000 + 8 * 6) = 0;
	get(0, 0x6000, VTLB_READ);
	assert_int_equal(pass(11), 2);
	assert_non_null(strstr(e.text, "missing: INVEPT"));
	get(0, 0x7000, VTLB_READ);
	*word(PT + 8 * 7) = (DATA + 0x8000) | 0x67;
	get(0, 0x7000, VTLB_READ);
	assert_int_equal(pass(11), 3);
	assert_non_null(strstr(e.text, "missing: INVLPG"));
	get(0, 0x8000, VTLB_READ);
	*word(EPT + 0x3000 + 8 * 8) = OTHER | 6 << 3 | 7;
	get(0, 0x8000, VTLB_READ);
	vtlb_invept(&e.v[0], 1, EPTP);
	assert_int_equal(pass(11), 3);
	end();
}

/* A hypervisor that shadows its guest's tables, under a VPID. */
static void test_missing_invvpid(void **state)
{
	begin(detect, 0, 3);
	get(0, 0x5000, VTLB_READ);
	*word(PT + 8 * 5) = OTHER | 0x67;
	get(0, 0x5000, VTLB_READ);
	assert_int_equal(pass(11), 1);
	assert_non_null(strstr(e.text, "INVVPID"));
	get(0, 0x6000, VTLB_READ);
	*word(PT + 8 * 6) = OTHER | 0x67;
	get(0, 0x6000, VTLB_READ);
	vtlb_invvpid(&e.v[0], 1, 3, 0);
	assert_int_equal(pass(11), 1);
	end();
}

/* Nothing to report: what is allowed in addition, accessed and dirty, not used, from not present. */
static void test_silent(void **state)
{
	struct vtlb_stats st;

	begin(detect, 0, 0);
	*word(PT + 8 * 9) = 0;
	*word(PT + 8 * 10) = (DATA + 0xa000) | 0x65;
	for (u64 i = 5; i < 12; i++)
		get(0, i * 4096, VTLB_READ);
	*word(PT + 8 * 5) &= ~0x60ull;		     /* A/D */
	*word(PT + 8 * 6) |= 0x100;		     /* global */
	*word(PT + 8 * 7) = OTHER | 0x67;	     /* not used again: lazy TLB */
	*word(PT + 8 * 9) = OTHER | 0x67;	     /* was not present */
	*word(PT + 8 * 10) = (DATA + 0xa000) | 0x67; /* writable now */
	for (u64 i = 5; i < 12; i++)
		if (i != 7)
			get(0, i * 4096, i == 10 ? VTLB_WRITE : VTLB_READ);
	assert_int_equal(get(0, 0x9000, VTLB_READ), OTHER);
	assert_int_equal(pass(30), 0);
	vtlb_get_stats(e.t, &st);
	assert_int_equal(st.stale_suspects, 0);
	/* a MOV CR3 covers as well as INVLPG */
	get(1, 0x7000, VTLB_READ);
	*word(PT + 8 * 7) = DATA | 0x67;
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
		cmocka_unit_test(test_missing_invept),
		cmocka_unit_test(test_missing_invvpid),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_counters),
	};

	return cmocka_run_group_tests_name("vtlb_stale", tests, NULL, NULL);
}
