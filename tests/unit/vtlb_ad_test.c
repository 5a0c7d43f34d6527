/*
 * vtlb_ad_test.c - accessed and dirty bits against another processor that changes the entry
 * meanwhile
 *
 * One thread takes an entry away with an exchange, as an operating system does to learn its bits,
 * and puts the next version in, which leads to another frame, with both bits clear. Others
 * translate for reading and writing. Then: who was led to a frame for a write finds D in what was
 * taken away of that version, for a read A; no version has a bit that nobody asked for; and no
 * store of the walker brings an old version back. For pages of each size, in the guest's tables and
 * in ept12. Meant for MODE=tsan, too.
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
#define FAR \
	0x4000000000ull /* versions lead to where there is no RAM: as many frames as one likes */
#define VERSIONS 800u
#define READERS 2u
#define TURNS_MAX 10000000u
#define GUEST_A 0x20ull
#define GUEST_D 0x40ull
#define EPT_A 0x100ull
#define EPT_D 0x200ull

static struct {
	struct mem *mem;
	u8 *ram;
	struct vtlb *t;
	u64 entry_at, fixed; /* the entry that changes, its other bits */
	u64 accessed, dirty;
	u32 shift; /* of its page */
	bool is_ept;
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
	return (FAR + ((u64)version << s.shift)) | s.fixed;
}

/* Tables to GVA whose leaf is at level 1, 2 or 3. Return: where the leaf is. */
static u64 make_tables(u64 tables, u64 gva, u32 leaf_level, u64 bits)
{
	for (u32 level = 4; level > leaf_level; level--, tables += 0x1000)
		*word(tables | (gva >> (3 + 9 * level) & 511) << 3) = (tables + 0x1000) | bits;
	return tables | (gva >> (3 + 9 * leaf_level) & 511) << 3;
}

static void *take(void *arg)
{
	atomic_fetch_add(&s.ready, 1);
	while (atomic_load(&s.ready) < READERS + 1)
		;
	for (u32 n = 0; n + 1 < VERSIONS; n++) {
		/* most are used first, some are taken at any moment */
		const _Atomic bool *used = n & 1 ? &s.written[n] : &s.read[n];

		for (u32 turns = 0; n % 5 && !atomic_load(used) && turns < TURNS_MAX; turns++)
			sched_yield();
		s.taken[n] =
			__atomic_exchange_n(word(s.entry_at), entry_of(n + 1), __ATOMIC_SEQ_CST);
		s.resurrected |= (s.taken[n] ^ entry_of(n)) & ~(s.accessed | s.dirty);
		atomic_store(&s.version, n + 1);
	}
	return arg;
}

static void *use(void *arg)
{
	struct vtlb_vp *v = arg;
	u64 seed = v->id + 1;

	atomic_fetch_add(&s.ready, 1);
	while (atomic_load(&s.ready) < READERS + 1)
		;
	while (atomic_load(&s.version) + 1 < VERSIONS) {
		struct vtlb_xl xl;
		struct vtlb_fault f;
		/* even ones are only read, most */
		bool write = atomic_load(&s.version) & 1 && rng_below(&seed, 2);

		if (s.is_ept)
			vtlb_invept(v, 2, 0);
		else if (rng_below(&seed, 2))
			vtlb_invlpg(v, GVA);
		if (vtlb_translate(v, GVA, write ? VTLB_WRITE : VTLB_READ, &xl, &f) != VTLB_MMIO)
			abort();
		u64 n = (xl.gpa - FAR) >> s.shift;

		if (n >= VERSIONS)
			abort();
		atomic_store(write ? &s.written[n] : &s.read[n], true);
	}
	return NULL;
}

static void run(u32 leaf_level, bool is_ept)
{
	struct vtlb_vp v[READERS];
	pthread_t thread[READERS + 1];
	u32 dirty = 0, clean = 0;
	int err;

	memset(&s, 0, sizeof(s));
	memset(v, 0, sizeof(v));
	s.mem = mem_create(RAM_BYTES, &err);
	s.ram = mem_ram_base(s.mem);
	s.is_ept = is_ept;
	s.shift = 3 + 9 * leaf_level;
	s.accessed = is_ept ? EPT_A : GUEST_A;
	s.dirty = is_ept ? EPT_D : GUEST_D;
	s.fixed = (is_ept ? 7 : 3) | (leaf_level > 1 ? 0x80 : 0);
	struct vtlb_config cfg = {.max_bytes = MIB,
				  .max_vps = READERS,
				  .maxphyaddr = 46,
				  .has_1g_pages = true,
				  .ept_caps = ~0ull};
	u64 leaf = make_tables(TABLES, GVA, is_ept ? 1 : leaf_level, 0x27);

	s.entry_at = leaf;
	if (is_ept) {
		*word(leaf) = GVA | 0x63;
		s.entry_at = make_tables(EPT_TABLES, GVA, leaf_level, 7);
		*word(make_tables(EPT_TABLES, 0, 3, 7)) = 0x37 | 0x80; /* the guest's tables */
	}
	*word(s.entry_at) = entry_of(0);
	s.t = vtlb_create(s.mem, &cfg, &err);
	assert_non_null(s.t);
	for (u32 i = 0; i < READERS; i++) {
		assert_int_equal(vtlb_vp_init(s.t, &v[i], i), 0);
		vtlb_set_context(&v[i], &(struct vtlb_context){.cr0 = 0x80010001,
							       .cr3 = TABLES,
							       .cr4 = 0xb0,
							       .efer = 0xd00,
							       .eptp = is_ept ? EPTP : 0});
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
	printf("# level %u%s: %u versions written, %u only read\n", leaf_level,
	       is_ept ? " of ept12" : "", dirty, clean);
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
		run(level, false);
}
static void test_ept(void **state)
{
	for (u32 level = 1; level <= 3; level++)
		run(level, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_guest),
					   cmocka_unit_test(test_ept)};

	return cmocka_run_group_tests_name("vtlb_ad", tests, NULL, NULL);
}
