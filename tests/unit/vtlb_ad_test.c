/*
 * vtlb_ad_test.c - accessed and dirty bits against another processor that changes the entry
 * meanwhile
 *
 * One thread takes an entry away with an exchange, as an operating system does to learn its bits,
 * and puts the next version in, which leads to another frame, with both bits clear. Others
 * translate for reading and writing. Then: who was led to a frame for a write finds D in what was
 * taken away of that version, for a read A; no version has a bit that nobody asked for; and no
 * store of the walker brings an old version back. For pages of each size, in the guest's tables with
 * entries of 8 and of 4 bytes, and in ept12. Meant for MODE=tsan, too.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

#define RAM_BYTES (8 * MIB)
#define TABLES 0x100000ull
#define EPT_TABLES 0x200000ull
#define EPTP (EPT_TABLES | 1 << 6 | 3 << 3 | 6)
#define GVA 0x80000000ull /* a GiB of its own */
/* Versions lead to where there is no RAM: as many frames as one likes. */
#define FAR 0x4000000000ull
#define FAR_32 0x10000000ull
#define VERSIONS 20000u
#define READERS 2u
#define SPINS 64u
#define MOMENTS 64u /* up to a few hundred ns, the time of a walk */
#define TURNS_MAX 10000000u
#define GUEST_A 0x20ull
#define GUEST_D 0x40ull
#define EPT_A 0x100ull
#define EPT_D 0x200ull

enum kind { GUEST_64, GUEST_32, EPT12 };
static const char *const kind_name[] = {"", " of 4 bytes", " of ept12"};

static struct {
	struct mem *mem;
	u8 *ram;
	struct vtlb *t;
	enum kind kind;
	u64 entry_at, far, fixed; /* the entry that changes, where it leads, its other bits */
	u64 accessed, dirty;
	u32 shift; /* of its page */
	_Atomic u32 version, ready;
	u64 taken[VERSIONS]; /* of each version, when it was taken away */
	_Atomic bool read[VERSIONS], written[VERSIONS];
	bool resurrected;
} s;

static u64 *word(u64 at)
{
	return (u64 *)(void *)(s.ram + at);
}

static u64 entry_of(u32 version)
{
	u64 page = s.far + ((u64)version << s.shift);

	if (s.shift == 22) /* bits 32 to 39 of the address are in 13 to 20 */
		page = (page & 0xffc00000) | page >> 32 << 13;
	return page | s.fixed;
}

/* Is @entry of another version than @n? */
static bool is_other(u64 entry, u32 n)
{
	return (entry ^ entry_of(n)) & ~(s.accessed | s.dirty);
}

static u64 load_entry(void)
{
	return s.kind == GUEST_32
		       ? __atomic_load_n((u32 *)(void *)word(s.entry_at), __ATOMIC_RELAXED)
		       : __atomic_load_n(word(s.entry_at), __ATOMIC_RELAXED);
}

static u64 exchange_entry(u64 new)
{
	if (s.kind == GUEST_32)
		return __atomic_exchange_n((u32 *)(void *)word(s.entry_at), (u32) new,
					   __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(word(s.entry_at), new, __ATOMIC_SEQ_CST);
}

/* Tables to GVA whose leaf is at level 1, 2 or 3. Return: where the leaf is. */
static u64 make_tables(u64 tables, u64 gva, u32 leaf_level, u64 bits)
{
	for (u32 level = 4; level > leaf_level; level--, tables += 0x1000)
		*word(tables | (gva >> (3 + 9 * level) & 511) << 3) = (tables + 0x1000) | bits;
	return tables | (gva >> (3 + 9 * leaf_level) & 511) << 3;
}

/* The same with entries of 4 bytes, at level 1 or 2. */
static u64 make_tables_32(u64 tables, u64 gva, u32 leaf_level, u64 bits)
{
	u64 at = tables | gva >> 22 << 2;

	if (leaf_level == 2)
		return at;
	*(u32 *)(void *)word(at) = (u32)((tables + 0x1000) | bits);
	return (tables + 0x1000) | (gva >> 12 & 1023) << 2;
}

/* On one of two processors, if there are as many: on one alone the threads would take turns. */
static void stay_on(u32 which)
{
	cpu_set_t all, one;
	int cpu = -1;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	for (u32 left = which % (u32)CPU_COUNT(&all) + 1; left; left--)
		do
			cpu++;
		while (!CPU_ISSET(cpu, &all));
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* It is for another thread to go on. It does at once if it has a processor; else it gets this one. */
static void stand_by(u32 *turns)
{
	if (++*turns % SPINS)
		__builtin_ia32_pause();
	else
		sched_yield();
}

static void *take(void *arg)
{
	u64 seed = 1;

	stay_on(0);
	atomic_fetch_add(&s.ready, 1);
	while (atomic_load(&s.ready) < READERS + 1)
		;
	for (u32 n = 0; n + 1 < VERSIONS && !s.resurrected; n++) {
		/* most are used first, some are taken at any moment */
		const _Atomic bool *used = n & 1 ? &s.written[n] : &s.read[n];

		if (n % 4 == 0)
			for (u64 i = rng_below(&seed, MOMENTS); i; i--)
				__builtin_ia32_pause();
		else
			for (u32 turns = 0;
			     !atomic_load(used) && turns < TURNS_MAX && !is_other(load_entry(), n);)
				stand_by(&turns);
		s.taken[n] = exchange_entry(entry_of(n + 1));
		s.resurrected = is_other(s.taken[n], n);
		atomic_store(&s.version, s.resurrected ? VERSIONS : n + 1);
	}
	return arg;
}

static void *use(void *arg)
{
	struct vtlb_vp *v = arg;
	u64 seed = v->id + 1;
	u32 turns = 0;

	stay_on(1);
	atomic_fetch_add(&s.ready, 1);
	while (atomic_load(&s.ready) < READERS + 1)
		;
	while (atomic_load(&s.version) + 1 < VERSIONS) {
		struct vtlb_xl xl;
		struct vtlb_fault f;
		/* even ones are only read, most */
		bool write = atomic_load(&s.version) & 1 && rng_below(&seed, 2);

		if (s.kind == EPT12)
			vtlb_invept(v, 2, 0);
		else if (rng_below(&seed, 2))
			vtlb_invlpg(v, GVA);
		if (vtlb_translate(v, GVA, write ? VTLB_WRITE : VTLB_READ, &xl, &f) != VTLB_MMIO)
			abort();
		u64 n = (xl.gpa - s.far) >> s.shift;

		if (n >= VERSIONS)
			abort();
		if (atomic_exchange(write ? &s.written[n] : &s.read[n], true))
			stand_by(&turns);
	}
	return NULL;
}

/* The tables, and the context that uses them. */
static struct vtlb_context make_guest(u32 leaf_level)
{
	struct vtlb_context ctx = {.cr0 = 0x80010001, .cr3 = TABLES, .cr4 = 0xb0, .efer = 0xd00};

	if (s.kind == GUEST_32) {
		ctx.cr4 = 0x90;
		ctx.efer = 0;
		s.entry_at = make_tables_32(TABLES, GVA, leaf_level, 0x27);
	} else if (s.kind == GUEST_64) {
		s.entry_at = make_tables(TABLES, GVA, leaf_level, 0x27);
	} else {
		ctx.eptp = EPTP;
		*word(make_tables(TABLES, GVA, 1, 0x27)) = GVA | 0x63;
		s.entry_at = make_tables(EPT_TABLES, GVA, leaf_level, 7);
		*word(make_tables(EPT_TABLES, 0, 3, 7)) = 0x37 | 0x80; /* the guest's tables */
	}
	exchange_entry(entry_of(0));
	return ctx;
}

static void run(u32 leaf_level, enum kind kind)
{
	bool is_ept = kind == EPT12;
	struct vtlb_vp v[READERS];
	pthread_t thread[READERS + 1];
	u32 dirty = 0, clean = 0;
	int err;

	memset(&s, 0, sizeof(s));
	memset(v, 0, sizeof(v));
	s.mem = mem_create(RAM_BYTES, &err);
	s.ram = mem_ram_base(s.mem);
	s.kind = kind;
	s.shift = kind == GUEST_32 && leaf_level == 2 ? 22 : 3 + 9 * leaf_level;
	s.far = kind == GUEST_32 ? FAR_32 : FAR;
	s.accessed = is_ept ? EPT_A : GUEST_A;
	s.dirty = is_ept ? EPT_D : GUEST_D;
	s.fixed = (is_ept ? 7 : 3) | (leaf_level > 1 ? 0x80 : 0);
	struct vtlb_config cfg = {.max_bytes = MIB,
				  .max_vps = READERS,
				  .maxphyaddr = 46,
				  .has_1g_pages = true,
				  .ept_caps = ~0ull};
	struct vtlb_context ctx = make_guest(leaf_level);

	s.t = vtlb_create(s.mem, &cfg, &err);
	assert_non_null(s.t);
	for (u32 i = 0; i < READERS; i++) {
		assert_int_equal(vtlb_vp_init(s.t, &v[i], i), 0);
		vtlb_set_context(&v[i], &ctx);
		pthread_create(&thread[i], NULL, use, &v[i]);
	}
	pthread_create(&thread[READERS], NULL, take, NULL);
	for (u32 i = 0; i < READERS + 1; i++)
		pthread_join(thread[i], NULL);
	assert_false(s.resurrected);
	for (u32 n = 0; n + 1 < VERSIONS; n++) {
		bool any = s.read[n] || s.written[n];

		if (!!(s.taken[n] & s.dirty) != s.written[n] || !!(s.taken[n] & s.accessed) != any)
			fail_msg("version %u, read %d, written %d, was taken as %#llx", n,
				 s.read[n], s.written[n], (unsigned long long)s.taken[n]);
		dirty += s.written[n];
		clean += any && !s.written[n];
	}
	printf("# level %u%s: %u versions written, %u only read\n", leaf_level, kind_name[kind],
	       dirty, clean);
	assert_true(dirty > 10 && clean > 10);
	assert_null(vtlb_audit(s.t));
	for (u32 i = 0; i < READERS; i++)
		vtlb_vp_fini(&v[i]);
	vtlb_destroy(s.t);
	mem_destroy(s.mem);
}

static void test_guest(void **state)
{
	for (u32 level = 1; level <= 3; level++)
		run(level, GUEST_64);
}
static void test_guest_32(void **state)
{
	for (u32 round = 0; round < 4; round++)
		run(1 + round % 2, GUEST_32);
}
static void test_ept(void **state)
{
	for (u32 level = 1; level <= 3; level++)
		run(level, EPT12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_guest),
					   cmocka_unit_test(test_guest_32),
					   cmocka_unit_test(test_ept)};

	return cmocka_run_group_tests_name("vtlb_ad", tests, NULL, NULL);
}
