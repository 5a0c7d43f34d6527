/*
 * vtlb_walk_test.c - random guest tables and ept12 against a second walker, written straight from
 * the SDM's text and sharing no code: results, faults, cacheable rights, accessed and dirty bits.
 */
#include <setjmp.h>
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

#define RAM_BYTES (32 * MIB)
#define TABLES 0x100000ull /* everything that walks read and write lies here */
#define TABLES_BYTES 0x40000ull
#define GPT_PAGES 16u	     /* guest tables from TABLES on */
#define EPT_PML4 0x120000ull /* then one EPT page a level, and spare */
#define MMIO_GPA 0xfee00000ull
#define MAXPHYADDR 40u

static u64 seed;
static u64 rnd(u64 n)
{
	return rng_below(&seed, n);
}
static bool chance(u32 percent)
{
	return rnd(100) < percent;
}

/* ---- the second walker, on an image of the machine's RAM ---------------------------------------
 */

enum {
	OK = VTLB_OK,
	MMIO = VTLB_MMIO,
	PF = VTLB_PAGE_FAULT,
	EV = VTLB_EPT_VIOLATION,
	EM = VTLB_EPT_MISCONFIG
};

struct ref {
	u8 *img;
	const struct vtlb_context *c;
	u64 gla;
	/* fault */
	u32 code;
	u64 qual, fgpa;
	/* result */
	u64 guest_gpa, gpa;
};

static u64 img_get(struct ref *r, u64 a, int bytes)
{
	u64 v = 0;

	if (a + (u64)bytes > RAM_BYTES)
		return bytes == 4 ? 0xffffffff : ~0ull;
	memcpy(&v, r->img + a, (size_t)bytes);
	return v;
}

static void img_or(struct ref *r, u64 a, u64 bits, int bytes)
{
	u64 v;

	if (a + (u64)bytes > RAM_BYTES)
		return;
	v = img_get(r, a, bytes) | bits;
	memcpy(r->img + a, &v, (size_t)bytes);
}

/* rd, wr, ex: what is asked; user_la: the linear address is a user-mode one */
static int ref_ept(struct ref *r, u64 ga, bool rd, bool wr, bool ex, bool user_la, u64 qual,
		   u64 *out, bool *can_write)
{
	bool ad = r->c->eptp >> 6 & 1, mbec = r->c->mbec;
	u64 path[4], t = r->c->eptp & 0xfffffff000ull, e = 0;
	bool pr = true, pw = true, px = true, pu = true;
	int level;

	qual |= (u64)rd | (u64)wr << 1 | (u64)ex << 2;
	r->fgpa = ga;
	for (level = 4; level >= 1; level--) {
		u64 at = t + 8 * (ga >> (12 + 9 * (level - 1)) & 511);

		path[4 - level] = at;
		e = img_get(r, at, 8);
		if ((e & 7) == 0 && !(mbec && (e >> 10 & 1))) {
			r->qual = qual;
			return EV;
		}
		if ((e & 3) == 2 || (e >> MAXPHYADDR & ((1ull << (52 - MAXPHYADDR)) - 1)))
			return EM;
		bool ps = e >> 7 & 1;

		if (level == 4 && (e >> 3 & 31))
			return EM;
		if ((level == 3 || level == 2) && !ps && (e >> 3 & 15))
			return EM;
		if (level == 3 && ps && (e & 0x3ffff000))
			return EM;
		if (level == 2 && ps && (e & 0x1ff000))
			return EM;
		if (level == 1 || (ps && level != 4)) {
			u64 mt = e >> 3 & 7;

			if (mt == 2 || mt == 3 || mt == 7)
				return EM;
		}
		pr &= e & 1;
		pw &= e >> 1 & 1;
		px &= e >> 2 & 1;
		pu &= e >> 10 & 1;
		if (level == 1 || (ps && level != 4))
			break;
		t = e & 0xfffffff000ull;
	}
	bool can_x = mbec && user_la ? pu : px;

	if ((rd && !pr) || (wr && !pw) || (ex && !can_x)) {
		r->qual =
			qual | (u64)pr << 3 | (u64)pw << 4 | (u64)px << 5 | (u64)(mbec && pu) << 6;
		return EV;
	}
	if (ad) {
		for (int i = 0; i <= 4 - level; i++)
			img_or(r, path[i], 1 << 8, 8);
		if (wr)
			img_or(r, path[4 - level], 1 << 9, 8);
	}
	u64 size = 1ull << (12 + 9 * (level - 1));

	*out = (e & 0xfffffff000ull & ~(size - 1)) | (ga & (size - 1));
	*can_write = pw;
	r->qual = (u64)pr << 3 | (u64)pw << 4 | (u64)px << 5 | (u64)(mbec && pu) << 6; /* for A/D */
	return OK;
}

struct visited {
	u64 at, ga, perm_qual;
	bool can_write;
};

static int ref_entry(struct ref *r, u64 ga, int bytes, u64 *e, struct visited *v)
{
	bool ad = r->c->eptp >> 6 & 1;

	v->ga = v->at = ga;
	v->can_write = true;
	if (r->c->eptp) {
		int st = ref_ept(r, ga, true, ad, false, false, 1 << 7, &v->at, &v->can_write);

		if (st != OK)
			return st;
		v->perm_qual = r->qual;
	}
	*e = img_get(r, v->at, bytes);
	return OK;
}

static int ref_pf(struct ref *r, u32 access, u32 low)
{
	bool nx = (r->c->cr4 >> 5 & 1) && (r->c->efer >> 11 & 1), smep = r->c->cr4 >> 20 & 1;

	r->code = low | (access & VTLB_WRITE ? 2 : 0) | (access & VTLB_USER ? 4 : 0) |
		  (access & VTLB_EXEC && (nx || smep) ? 16 : 0);
	return PF;
}

/* The way through the guest's tables: what was read, the last entry, the rights of all. */
struct way {
	struct visited seen[5];
	int n, bytes;
	u64 e;
	bool w, u, xd;
};

static int ref_step(struct ref *r, struct way *y, u64 at)
{
	return ref_entry(r, at, y->bytes, &y->e, &y->seen[y->n++]);
}

static int ref_walk_32(struct ref *r, u64 la, u32 access, struct way *y, u64 *ga)
{
	int st;

	y->bytes = 4;
	st = ref_step(r, y, (r->c->cr3 & 0xfffff000) + 4 * (la >> 22 & 1023));
	if (st != OK)
		return st;
	if (!(y->e & 1))
		return ref_pf(r, access, 0);
	y->w = y->e >> 1 & 1;
	y->u = y->e >> 2 & 1;
	if ((y->e >> 7 & 1) && (r->c->cr4 >> 4 & 1)) {
		if (y->e >> 21 & 1)
			return ref_pf(r, access, 9);
		*ga = (y->e & 0xffc00000) | (y->e >> 13 & 0xff) << 32 | (la & 0x3fffff);
		return OK;
	}
	st = ref_step(r, y, (y->e & 0xfffff000) + 4 * (la >> 12 & 1023));
	if (st != OK)
		return st;
	if (!(y->e & 1))
		return ref_pf(r, access, 0);
	y->w &= y->e >> 1 & 1;
	y->u &= y->e >> 2 & 1;
	*ga = (y->e & 0xfffff000) | (la & 0xfff);
	return OK;
}

/* Bits that must be 0 in an entry of @level, whose bit 7 is @ps. */
static u64 ref_reserved(const struct vtlb_context *c, int level, bool ps)
{
	u64 bad = ((1ull << 52) - 1) & ~((1ull << MAXPHYADDR) - 1);

	if (!(c->efer >> 11 & 1))
		bad |= 1ull << 63;
	if (!(c->efer >> 10 & 1))
		bad |= 0x7ffull << 52;
	if (level >= 4)
		bad |= 1 << 7;
	if (level == 3 && ps)
		bad |= 0x3fffe000;
	if (level == 2 && ps)
		bad |= 0x1fe000;
	return bad;
}

static int ref_walk_64(struct ref *r, u64 la, u32 access, struct way *y, u64 *ga)
{
	const struct vtlb_context *c = r->c;
	bool lma = c->efer >> 10 & 1;
	int level = !lma ? 2 : c->cr4 >> 12 & 1 ? 5 : 4, st;
	u64 t = c->cr3 & 0xfffffff000ull;

	if (!lma) {
		u64 pdpte = c->pdpte[la >> 30 & 3];

		if (!(pdpte & 1))
			return ref_pf(r, access, 0);
		t = pdpte & 0xfffffff000ull;
	}
	for (;; level--) {
		bool ps;

		st = ref_step(r, y, t + 8 * (la >> (12 + 9 * (level - 1)) & 511));
		if (st != OK)
			return st;
		if (!(y->e & 1))
			return ref_pf(r, access, 0);
		ps = y->e >> 7 & 1;
		if (y->e & ref_reserved(c, level, ps))
			return ref_pf(r, access, 9);
		y->w &= y->e >> 1 & 1;
		y->u &= y->e >> 2 & 1;
		y->xd |= y->e >> 63;
		if (level == 1 || ((level == 2 || level == 3) && ps))
			break;
		t = y->e & 0xfffffff000ull;
	}
	u64 size = 1ull << (12 + 9 * (level - 1));

	*ga = (y->e & 0xfffffff000ull & ~(size - 1)) | (la & (size - 1));
	return OK;
}

/* Do the rights allow it, by the processor's mode? */
static int ref_rights(struct ref *r, u32 access, const struct way *y)
{
	const struct vtlb_context *c = r->c;
	bool rd = access & VTLB_READ, wr = access & VTLB_WRITE, ex = access & VTLB_EXEC;
	bool user = access & VTLB_USER, wp = c->cr0 >> 16 & 1, bad = false, pk = false;

	if (user) {
		bad = !y->u || (wr && !y->w) || (ex && y->xd);
	} else {
		if (wr && wp && !y->w)
			bad = true;
		if (ex && (y->xd || (y->u && (c->cr4 >> 20 & 1))))
			bad = true;
		if ((rd || wr) && y->u && (c->cr4 >> 21 & 1) &&
		    (access & VTLB_SYSTEM || !(access & VTLB_AC)))
			bad = true;
	}
	if ((c->cr4 >> 22 & 1) && c->efer >> 10 & 1 && y->u && !ex) {
		u32 key = y->e >> 59 & 15;

		if (c->pkru >> (2 * key) & 1)
			pk = true;
		if ((c->pkru >> (2 * key + 1) & 1) && wr && (user || wp))
			pk = true;
	}
	return bad || pk ? ref_pf(r, access, pk ? 33 : 1) : OK;
}

/* Accessed and dirty bits that @y's entries need. */
static u64 ref_ad(const struct way *y, int i, u32 access)
{
	return 32 | (i == y->n - 1 && access & VTLB_WRITE ? 64 : 0);
}

/* Does ept12 let them be set? */
static int ref_may_set_ad(struct ref *r, u32 access, const struct way *y)
{
	for (int i = 0; i < y->n; i++) {
		const struct visited *v = &y->seen[i];
		u64 bits = ref_ad(y, i, access);

		if (v->at + 8 > RAM_BYTES || (img_get(r, v->at, y->bytes) & bits) == bits ||
		    v->can_write)
			continue;
		r->fgpa = v->ga;
		r->qual = v->perm_qual | 3 | 1 << 7;
		return EV;
	}
	return OK;
}

static int ref_walk(struct ref *r, u64 la, u32 access)
{
	const struct vtlb_context *c = r->c;
	bool rd = access & VTLB_READ, wr = access & VTLB_WRITE, ex = access & VTLB_EXEC, cw;
	struct way y = {.bytes = 8, .w = true, .u = true};
	u64 ga = la;
	int st = OK;

	if (c->cr0 >> 31 & 1) {
		bool is_32 = !(c->efer >> 10 & 1) && !(c->cr4 >> 5 & 1);

		st = is_32 ? ref_walk_32(r, la, access, &y, &ga)
			   : ref_walk_64(r, la, access, &y, &ga);
		if (st == OK)
			st = ref_rights(r, access, &y);
		if (st == OK)
			st = ref_may_set_ad(r, access, &y);
		if (st != OK)
			return st;
	}
	r->guest_gpa = r->gpa = ga;
	if (c->eptp) {
		st = ref_ept(r, ga, rd, wr, ex, y.u, 3 << 7, &r->gpa, &cw);
		if (st != OK)
			return st;
	}
	for (int i = 0; i < y.n; i++)
		img_or(r, y.seen[i].at, ref_ad(&y, i, access), y.bytes);
	return r->gpa < RAM_BYTES ? OK : MMIO;
}

/* ---- random tables ------------------------------------------------------------------------------
 */

static const u16 index64[] = {0, 1, 3, 511};
static const u16 index32[] = {0, 1, 3, 1023};

static u64 any_address(void)
{
	switch (rnd(12)) {
	case 0: return MMIO_GPA;
	case 1: return 0x3000000; /* nothing there */
	case 2: return 0x200000 * rnd(16);
	case 3: /* not ept12's own pages: accessed bits written there would change it under way */
		return 0x200000 + 0x1000 * rnd((RAM_BYTES - 0x200000) / 4096);
	default: return TABLES + 0x1000 * rnd(GPT_PAGES);
	}
}

static u64 any_entry(bool is_32, bool may_be_bad)
{
	u64 e = any_address();

	if (chance(20)) { /* large, mostly aligned */
		e |= 1 << 7;
		if (chance(90))
			e = (e & ~0x3ff000ull) | (e & 0xfff);
		if (chance(30))
			e &= 0xfff;
	}
	e |= chance(95) ? 1 : 0;
	e |= chance(85) ? 2 : 0;
	e |= chance(80) ? 4 : 0;
	e |= chance(50) ? 0x20 : 0;
	e |= chance(40) ? 0x40 : 0;
	e |= chance(20) ? 0x100 : 0;
	if (is_32)
		return e;
	e |= chance(15) ? 1ull << 63 : 0;
	e |= chance(20) ? rnd(16) << 59 : 0;
	if (may_be_bad && chance(2))
		e |= 1ull << (MAXPHYADDR + rnd(12));
	return e;
}

static void put(u8 *ram, u64 at, u64 v, int bytes)
{
	memcpy(ram + at, &v, (size_t)bytes);
}

static void make_guest_tables(u8 *ram, bool is_32)
{
	for (u32 p = 0; p < GPT_PAGES; p++)
		for (u32 i = 0; i < 4; i++)
			if (is_32)
				put(ram, TABLES + p * 4096 + index32[i] * 4, any_entry(true, true),
				    4);
			else
				put(ram, TABLES + p * 4096 + index64[i] * 8, any_entry(false, true),
				    8);
}

static u64 ept_bits(bool is_leaf)
{
	u64 e = is_leaf ? 6 << 3 : 0;

	e |= chance(98) ? 1 : 0;
	e |= chance(90) ? 2 : 0;
	e |= chance(90) ? 4 : 0;
	e |= chance(85) ? 1 << 10 : 0;
	if ((e & 3) == 2 && chance(90))
		e |= 1;
	e |= chance(30) ? 1 << 8 : 0;
	e |= chance(30) ? 1 << 9 : 0;
	if (chance(2))
		e |= 1ull << (MAXPHYADDR + rnd(12));
	if (chance(2))
		e |= 3 << 3;
	return e;
}

/* Identity for RAM, with spoiled rights here and there, and a few pages elsewhere. */
static void make_ept(u8 *ram)
{
	u64 pdpt = EPT_PML4 + 0x1000, pd = EPT_PML4 + 0x2000, pt = EPT_PML4 + 0x3000;

	memset(ram + EPT_PML4, 0, 0x5000);
	put(ram, EPT_PML4, pdpt | (chance(80) ? 0x407 : ept_bits(false)), 8);
	put(ram, pdpt, pd | (chance(80) ? 0x407 : ept_bits(false)), 8);
	put(ram, pdpt + 8 * 3, (chance(80) ? 0xc0000000 : pd) | ept_bits(true) | 0x80, 8);
	put(ram, pd, pt | (chance(80) ? 0x407 : ept_bits(false)), 8);
	for (u64 i = 1; i < 16; i++)
		put(ram, pd + 8 * i,
		    0x200000 * i | ept_bits(true) | 0x80 | (chance(3) ? 0x1000 : 0), 8);
	for (u64 i = 0; i < 512; i++) {
		u64 to = chance(2)   ? MMIO_GPA
			 : chance(3) ? TABLES + 0x1000 * rnd(GPT_PAGES)
				     : i << 12;

		put(ram, pt + 8 * i, to | ept_bits(true), 8);
	}
}

static u64 any_gva(const struct vtlb_context *c)
{
	u64 gva = rnd(4096);

	if (!(c->cr0 >> 31 & 1))
		return chance(80) ? TABLES + rnd(TABLES_BYTES) : rnd(1ull << 32);
	if (!(c->efer & 0x400) && !(c->cr4 & 0x20))
		return gva | (u64)index32[rnd(4)] << 12 | (u64)index32[rnd(4)] << 22;
	for (int level = 0; level < 5; level++)
		gva |= (u64)index64[rnd(4)] << (12 + 9 * level);
	if (!(c->efer & 0x400))
		return gva & 0xffffffff;
	return (u64)((s64)(gva << (c->cr4 & 0x1000 ? 7 : 16)) >> (c->cr4 & 0x1000 ? 7 : 16));
}

static void any_context(struct vtlb_context *c, int mode, bool nested)
{
	memset(c, 0, sizeof(*c));
	c->cr3 = TABLES + 0x1000 * rnd(GPT_PAGES);
	if (nested) {
		c->eptp = EPT_PML4 | 3 << 3 | 6 | (chance(50) ? 0x40 : 0);
		c->mbec = chance(40);
		c->vpid = (u16)rnd(3);
	}
	if (mode == 0)
		return;
	c->cr0 = 1 | 1ull << 31 | (chance(70) ? 1 << 16 : 0);
	c->cr4 = (chance(40) ? 1 << 20 : 0) | (chance(40) ? 1 << 21 : 0) |
		 (chance(50) ? 1 << 7 : 0) | (chance(70) ? 1 << 4 : 0);
	if (mode >= 2) {
		c->cr4 |= 1 << 5;
		c->efer = chance(70) ? 1 << 11 : 0;
	}
	if (mode == 2)
		for (int i = 0; i < 4; i++)
			c->pdpte[i] = (TABLES + 0x1000 * rnd(GPT_PAGES)) | chance(90);
	if (mode >= 3) {
		c->efer |= 1 << 8 | 1 << 10;
		c->cr4 |= (mode == 4 ? 1 << 12 : 0) | (chance(40) ? 1 << 22 : 0);
		if (chance(50)) {
			c->cr4 |= 1 << 17;
			c->cr3 |= rnd(3);
		}
		c->pkru = (u32)rng_next(&seed) & (u32)rng_next(&seed);
	}
}

static u32 any_access(void)
{
	static const u32 kind[] = {VTLB_READ, VTLB_WRITE, VTLB_EXEC, VTLB_READ | VTLB_WRITE};
	u32 a = kind[rnd(4)];

	switch (rnd(4)) {
	case 0: return a | VTLB_USER;
	case 1: return a | VTLB_AC;
	case 2: return a == VTLB_EXEC ? a : a | VTLB_SYSTEM;
	default: return a;
	}
}

/* ---- the comparison -----------------------------------------------------------------------------
 */

struct counts {
	u32 ok, mmio, pf, ev, em;
};

/* One access: same status, same fault, same address, same rights, same memory afterwards. */
static void compare(struct vtlb_vp *v, u8 *ram, u8 *img, u8 *probe, u64 gva, u32 access,
		    struct counts *n)
{
	struct ref r = {.img = img, .c = &v->ctx, .gla = gva};
	struct vtlb_xl xl;
	struct vtlb_fault f;
	u64 walks = v->n_walk;
	int want = ref_walk(&r, gva, access);
	int got = (int)vtlb_translate(v, gva, access, &xl, &f);

	if (got != want)
		fail_msg("gva %llx access %x: status %d, want %d (code %x qual %llx)",
			 (unsigned long long)gva, access, got, want, r.code,
			 (unsigned long long)r.qual);
	if (memcmp(ram + TABLES, img + TABLES, TABLES_BYTES))
		fail_msg("gva %llx access %x status %d: accessed/dirty bits differ",
			 (unsigned long long)gva, access, got);
	switch (got) {
	case PF:
		n->pf++;
		assert_int_equal(f.error_code, r.code);
		return;
	case EV:
		n->ev++;
		assert_int_equal(f.qualification, r.qual);
		assert_int_equal(f.gpa, r.fgpa);
		assert_int_equal(f.gla, gva);
		return;
	case EM:
		n->em++;
		assert_int_equal(f.gpa, r.fgpa);
		return;
	}
	n->ok += got == OK;
	n->mmio += got == MMIO;
	assert_int_equal(xl.gpa, r.gpa);
	assert_true(xl.guest_gpa == r.guest_gpa || (v->ctx.eptp && xl.guest_gpa == VTLB_NO_GPA));
	if (got == OK)
		assert_ptr_equal(xl.hva, ram + xl.gpa);
	/* A right is cacheable when the access would succeed and change no table. */
	for (u32 kind = VTLB_READ; kind <= VTLB_EXEC; kind <<= 1) {
		u32 a = (access & ~VTLB_ACCESS_MASK) | kind;
		struct ref q = {.img = probe, .c = &v->ctx};

		memcpy(probe + TABLES, img + TABLES, TABLES_BYTES);
		int st = ref_walk(&q, gva, a);
		bool cacheable = st <= MMIO && !memcmp(probe + TABLES, img + TABLES, TABLES_BYTES);

		/* D may have come by another linear address since the leaf was made. */
		if (kind == VTLB_WRITE && cacheable && v->n_walk == walks)
			continue;
		if (cacheable != !!(xl.prot & kind))
			fail_msg("gva %llx access %x: cacheable rights %x, but %x is %s",
				 (unsigned long long)gva, access, xl.prot, kind,
				 cacheable ? "allowed" : "not");
	}
}

static void run(int mode, bool nested, int rounds)
{
	int err;
	struct mem *m = mem_create(RAM_BYTES, &err);
	u8 *ram = mem_ram_base(m), *img = malloc(RAM_BYTES), *probe = malloc(RAM_BYTES);
	struct vtlb_config cfg = {.max_bytes = MIB,
				  .max_vps = 1,
				  .maxphyaddr = MAXPHYADDR,
				  .has_1g_pages = true,
				  .ept_caps = ~0ull};
	struct vtlb *t = vtlb_create(m, &cfg, &err);
	struct vtlb_vp v = {0};
	struct counts n = {0};

	assert_non_null(t);
	assert_int_equal(vtlb_vp_init(t, &v, 0), 0);
	memset(probe, 0, RAM_BYTES);
	for (int round = 0; round < rounds; round++) {
		struct vtlb_context ctx[3];

		make_guest_tables(ram, mode == 1);
		if (nested)
			make_ept(ram);
		memcpy(img + TABLES, ram + TABLES, TABLES_BYTES);
		for (int i = 0; i < 3; i++)
			any_context(&ctx[i], mode, nested);
		/* The tables are new: for every VPID, EPTP and PCID. */
		vtlb_memory_changed(t);
		vtlb_safe_point(&v);
		for (int i = 0; i < 100; i++) {
			struct vtlb_context c = ctx[rnd(3)];

			c.cr0 ^= mode && chance(20) ? 1 << 16 : 0; /* needs no flush here */
			vtlb_set_context(&v, &c);
			u64 gva = any_gva(&c);

			for (int k = 0; k < 3; k++)
				compare(&v, ram, img, probe, gva, any_access(), &n);
		}
	}
	printf("# mode %d nested %d: ok %u mmio %u #PF %u violations %u misconfigurations %u; "
	       "hits %llu walks %llu\n",
	       mode, nested, n.ok, n.mmio, n.pf, n.ev, n.em, (unsigned long long)v.n_hit,
	       (unsigned long long)v.n_walk);
	assert_true(n.ok > 100);
	vtlb_vp_fini(&v);
	vtlb_destroy(t);
	mem_destroy(m);
	free(img);
	free(probe);
}

static int rounds_of(void)
{
#ifdef __SANITIZE_THREAD__ /* no threads here, and slow there */
	return 20;
#endif
	return getenv("NESTOR_LONG") ? 400 : 40;
}

#define CASE(name, mode, nested) \
	static void name(void **state) \
	{ \
		run(mode, nested, rounds_of()); \
	}
CASE(test_off, 0, false)
CASE(test_32, 1, false)
CASE(test_pae, 2, false)
CASE(test_4level, 3, false)
CASE(test_5level, 4, false)
CASE(test_nested_off, 0, true)
CASE(test_nested_32, 1, true)
CASE(test_nested_pae, 2, true)
CASE(test_nested_4level, 3, true)
CASE(test_nested_5level, 4, true)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),	      cmocka_unit_test(test_32),
		cmocka_unit_test(test_pae),	      cmocka_unit_test(test_4level),
		cmocka_unit_test(test_5level),	      cmocka_unit_test(test_nested_off),
		cmocka_unit_test(test_nested_32),     cmocka_unit_test(test_nested_pae),
		cmocka_unit_test(test_nested_4level), cmocka_unit_test(test_nested_5level),
	};

	seed = getenv("NESTOR_SEED") ? strtoull(getenv("NESTOR_SEED"), NULL, 0) : 1;
	printf("# seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("vtlb_walk", tests, NULL, NULL);
}
