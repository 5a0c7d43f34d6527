/*
 * vtlb_inval_test.c - random edits of guest tables and ept12, invalidations and context switches on
 * several VPs, with a record of what was ever valid: a translation may be used after it changed
 * only as long as the VP that uses it has executed nothing that the SDM says invalidates it.
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

#define RAM_BYTES (16 * MIB)
#define DATA 0x800000ull
#define DATA_PAGES 32u
#define N_AS 2u
#define AS_TABLES(as) \
	(0x100000ull + (as)*0x10000) /* PML4, PDPT, PD, PT, PT of PD[1], PD of 1 GiB */
#define KERNEL 0xffff800000000000ull
#define KERNEL_TABLES(k) (0x140000ull + (k)*0x10000) /* PDPT, PD, PT; two sets */
#define EPT_TABLES(e) (0x200000ull + (e)*0x10000)    /* PML4, PDPT, PD, PT of the data */
#define N_CTX 9u
#define N_GVA 22u
#define MAX_VPS 8u
#define AUDIT_EVERY 64u /* steps */
#define MAX_HISTORY 96u
#define N_KERNEL 5u    /* of the addresses, the last */
#define N_VARIANTS 24u /* kernel tables, rights of the root, ept12 */
#define VARIANT_ROOT(i) (0x180000ull + (i)*0x1000)

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull

/* One translation while it was valid: [start, end). */
struct entry {
	u64 start, end, gpa, page; /* page: size of the guest's page */
	u32 prot_super, prot_user;
	bool global;
};

struct history {
	struct entry e[MAX_HISTORY]; /* a ring, last at n - 1 */
	u32 n;
};

enum what {
	INVLPG,
	CR3,
	FLUSH,
	FLUSH_G,
	INVPCID0,
	INVPCID1,
	INVPCID2,
	INVPCID3,
	INVVPID0,
	INVVPID1,
	INVVPID2,
	INVVPID3,
	INVEPT1,
	INVEPT2,
	FLUSH_VPID
};

struct event {
	u64 time;
	enum what what;
	u16 vpid, pcid;
	u64 eptp, gva;
};

struct ept_edit {
	u64 time, at, old;
};

struct soft {
	bool valid;
	u64 gpa;
	u32 prot, page_shift;
};

struct tvp {
	struct vtlb_vp v;
	u32 ctx;
	bool requested, is_offline;
	struct soft soft[N_GVA][2];
	/* contents put aside, by the name they were given */
	struct {
		u64 mark;
		struct soft soft[N_GVA][2];
	} aside[4];
	u64 mark;
	struct event *log;
	u32 n_log, cap_log;
};

static struct {
	u64 seed, now;
	struct mem *mem;
	u8 *ram;
	struct vtlb *t;
	struct tvp vp[MAX_VPS];
	u32 n_vps;
	struct vtlb_context ctx[N_CTX];
	struct history hist[N_CTX][N_GVA];
	/* the kernel's half from the PDPT down, for every entry of the root that led there */
	struct history lower[N_VARIANTS][N_KERNEL];
	struct root_edit {
		u64 start, end, entry;
	} * root_log[N_AS];
	u32 n_root[N_AS];
	u8 tables[26][4096]; /* as they were when they were recorded */
	u64 used_stale, used, returns;
	struct ept_edit *ept_log;
	u32 n_ept, cap_ept;
	u32 by_turns; /* the sum of two contexts that take turns, or 0: any */
	bool no_share, no_refresh;
	bool is_prompt; /* each VP passes a request before anything else */
	bool processes; /* address spaces of one machine, switched by MOV CR3 with flush */
} s;

static const u64 gvas[N_GVA] = {
	0x0,
	0x1000,
	0x2000,
	0x3000,
	0x4000,
	0x5000,
	0x200000,
	0x201000,
	0x202000,
	0x3ff000,
	0x400000,
	0x4fe000,
	0x40000000,
	0x40a00000,
	0x40a01000,
	0x40c00000,
	0x407ff000,
	/* the kernel's half, through tables that all processes share */
	KERNEL,
	KERNEL + 0x1000,
	KERNEL + 0x2000,
	KERNEL + 0x200000,
	KERNEL + 0x201000,
};

static u64 rnd(u64 n)
{
	return rng_below(&s.seed, n);
}
static bool chance(u32 percent)
{
	return rnd(100) < percent;
}
static u64 *word(u64 at)
{
	return (u64 *)(void *)(s.ram + at);
}

/* A guest's store to one of its tables, noted as the engine would. */
static void put(u64 at, u64 v)
{
	*word(at) = v;
	if (mem_frame_is_guarded(mem_frame(s.mem, at)))
		mem_note_write(s.mem, at, 8);
}

/* ---- the guest's tables
 * -------------------------------------------------------------------------- */

static u64 data_frame(void)
{
	return DATA + rnd(DATA_PAGES) * 4096;
}
static u64 leaf_bits(void)
{
	return (chance(90) ? P : 0) | (chance(80) ? W : 0) | (chance(70) ? U : 0) |
	       (chance(40) ? G : 0) | (chance(50) ? A : 0) | (chance(50) ? D : 0);
}

static void edit_guest(void)
{
	u64 t = AS_TABLES(rnd(N_AS)), k = KERNEL_TABLES(rnd(2)), at;

	if (chance(20)) {
		switch (rnd(6)) {
		default: put(k + 0x2000 + 8 * rnd(3), data_frame() | leaf_bits()); return;
		case 0: /* the link itself: other tables, other rights */
			put(t + 0x800, KERNEL_TABLES(chance(80) ? 0 : 1) | (chance(90) ? P : 0) |
					       (chance(85) ? W : 0) | (chance(15) ? U : 0) | A);
			return;
		case 1: /* large or not */
			put(k + 0x1008, chance(50) ? DATA | PS | leaf_bits() : DATA);
			return;
		case 2: put(k, (k + 0x1000) | (chance(90) ? P : 0) | W | U | A); return;
		}
	}
	switch (rnd(10)) {
	default: /* one page */ put(t + 0x3000 + 8 * rnd(6), data_frame() | leaf_bits()); return;
	case 0:
		put(t + 0x4000 + 8 * (chance(20) ? 511 : rnd(3)), data_frame() | leaf_bits());
		return;
	case 1: /* second 2 MiB: large or a table */
		put(t + 0x2008, chance(50) ? DATA | PS | leaf_bits() : (t + 0x4000) | P | W | U);
		return;
	case 2: put(t + 0x2010, (DATA + (chance(50) ? 0x200000 : 0)) | PS | leaf_bits()); return;
	case 3: /* second 1 GiB: large or a directory of large pages */
		put(t + 0x1008, chance(50) ? PS | leaf_bits() : (t + 0x5000) | P | W | U);
		return;
	case 4:
		put(t + 0x5000 + 8 * (5 + rnd(2)), (DATA + rnd(3) * 0x200000) | PS | leaf_bits());
		return;
	case 5: /* an upper level */
		put(t + 0x1000, (t + 0x2000) | (chance(80) ? P : 0) | (chance(80) ? W : 0) | U);
		return;
	case 6: /* the guest ages its pages */
		at = t + 0x3000 + 8 * rnd(6);
		put(at, *word(at) & ~(A | D));
		return;
	}
}

static void put_ept(u64 at, u64 v)
{
	if (s.n_ept == s.cap_ept) {
		s.cap_ept = s.cap_ept ? s.cap_ept * 2 : 1024;
		s.ept_log = realloc(s.ept_log, s.cap_ept * sizeof(*s.ept_log));
	}
	s.ept_log[s.n_ept++] = (struct ept_edit){s.now, at, *word(at)};
	put(at, v);
}

static void edit_ept(void)
{
	u64 t = EPT_TABLES(rnd(2));

	switch (rnd(4)) {
	default:
		put_ept(t + 0x3000 + 8 * rnd(DATA_PAGES),
			data_frame() | 6 << 3 | (chance(90) ? 1 : 0) * (5 | (chance(80) ? W : 0)));
		return;
	case 0: /* the data's 2 MiB: large or a table */
		put_ept(t + 0x2000 + 8 * 4, chance(50) ? DATA | 6 << 3 | PS | 7 : (t + 0x3000) | 7);
		return;
	case 1:
		put_ept(t + 0x2000 + 8 * 5,
			(DATA + (1 + rnd(3)) * 0x200000) | 6 << 3 | PS | 5 | (chance(70) ? W : 0));
		return;
	}
}

static void make_tables(void)
{
	for (u32 as = 0; as < N_AS; as++) {
		u64 t = AS_TABLES(as);

		*word(t) = (t + 0x1000) | P | W | U;
		*word(t + 0x800) = KERNEL_TABLES(0) | P | W;
		*word(t + 0x1000) = (t + 0x2000) | P | W | U;
		*word(t + 0x1008) = (t + 0x5000) | P | W | U;
		*word(t + 0x2000) = (t + 0x3000) | P | W | U;
		*word(t + 0x2008) = (t + 0x4000) | P | W | U;
		for (u32 i = 0; i < 512; i++) {
			*word(t + 0x3000 + 8 * i) = data_frame() | leaf_bits();
			*word(t + 0x4000 + 8 * i) = data_frame() | leaf_bits();
			if (i < 8)
				*word(t + 0x5000 + 8 * i) = (0x200000ull * i) | PS | leaf_bits();
		}
	}
	for (u32 i = 0; i < 8; i++)
		*word(VARIANT_ROOT(i) + 0x800) = KERNEL_TABLES(i / 4) | P | (i & 3) << 1;
	for (u32 i = 0; i < 2; i++) {
		u64 k = KERNEL_TABLES(i);

		*word(k) = (k + 0x1000) | P | W | U;
		*word(k + 0x1000) = (k + 0x2000) | P | W | U;
		*word(k + 0x1008) = DATA | PS | P | W | G;
		for (u32 j = 0; j < 8; j++)
			*word(k + 0x2000 + 8 * j) = data_frame() | P | W | G;
	}
	for (u32 e = 0; e < 2; e++) {
		u64 t = EPT_TABLES(e);

		*word(t) = (t + 0x1000) | 7;
		*word(t + 0x1000) = (t + 0x2000) | 7;
		for (u64 i = 0; i < 8; i++)
			*word(t + 0x2000 + 8 * i) = 0x200000 * i | 6 << 3 | PS | 7;
		for (u64 i = 0; i < 512; i++)
			*word(t + 0x3000 + 8 * i) = (DATA + i * 4096) | 6 << 3 | 7;
	}
}

static void make_contexts(void)
{
	static const struct {
		u8 as, pcid, vpid, ept; /* ept 0: none */
	} c[N_CTX] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 1, 1}, {1, 0, 1, 1},
		      {0, 1, 2, 1}, {0, 0, 1, 2}, {1, 0, 0, 2}, {1, 1, 0, 0}};

	for (u32 i = 0; i < N_CTX; i++) {
		s.ctx[i] = (struct vtlb_context){
			.cr0 = 1 | 1ull << 31 | 1 << 16,
			.cr3 = AS_TABLES(c[i].as) | c[i].pcid,
			.cr4 = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 17,
			.efer = 1 << 8 | 1 << 10 | 1 << 11,
			.vpid = c[i].vpid,
			.eptp = c[i].ept ? EPT_TABLES(c[i].ept - 1) | 3 << 3 | 6 |
						   (c[i].ept == 1 ? 0x40 : 0)
					 : 0,
		};
	}
}

/* ---- what was valid when
 * ------------------------------------------------------------------------- */

static u64 guest_page(u32 ctx, u64 gva)
{
	u64 t = s.ctx[ctx].cr3 & ~0xfffull;

	if (gva >= KERNEL)
		return gva >= KERNEL + 0x200000 ? 2 * MIB : 4 * KIB;
	if (gva >= 0x40000000)
		return *word(t + 0x1008) & PS ? GIB : 2 * MIB;
	if (gva >= 0x400000)
		return 2 * MIB;
	return gva >= 0x200000 && *word(t + 0x2008) & PS ? 2 * MIB : 4 * KIB;
}

static void record_one(const struct vtlb_context *ctx, u32 g, u64 page, struct history *h)
{
	/* A VP of the walker's own: peek looks at nothing but its context. */
	struct vtlb_vp v = s.vp[0].v;
	struct entry *last = h->n ? &h->e[(h->n - 1) % MAX_HISTORY] : NULL;
	struct vtlb_xl xl, xu;
	struct vtlb_fault f;

	v.ctx = *ctx;
	enum vtlb_status st = vtlb_peek(&v, gvas[g], VTLB_READ, &xl, &f);
	enum vtlb_status su = vtlb_peek(&v, gvas[g], VTLB_READ | VTLB_USER, &xu, &f);
	struct entry e = {.start = s.now, .end = ~0ull};

	if (st <= VTLB_MMIO) {
		e.gpa = xl.gpa;
		e.prot_super = xl.prot;
		e.prot_user = su <= VTLB_MMIO ? xu.prot : 0;
		e.global = xl.global;
		e.page = page;
	}
	if (last && last->end == ~0ull) {
		if (last->gpa == e.gpa && last->prot_super == e.prot_super &&
		    last->prot_user == e.prot_user && last->global == e.global &&
		    last->page == e.page)
			return;
		last->end = s.now;
	}
	h->e[h->n++ % MAX_HISTORY] = e;
}

/* Has any table changed since the last time? Most touches change none. */
static bool tables_changed(void)
{
	static const struct {
		u64 at;
		u32 pages;
	} where[] = {{AS_TABLES(0), 6},	    {AS_TABLES(1), 6},	{KERNEL_TABLES(0), 3},
		     {KERNEL_TABLES(1), 3}, {EPT_TABLES(0), 4}, {EPT_TABLES(1), 4}};
	bool changed = false;
	u32 copy = 0;

	for (u32 i = 0; i < ARRAY_SIZE(where); i++)
		for (u32 k = 0; k < where[i].pages; k++, copy++) {
			const u8 *page = s.ram + where[i].at + k * 4096;

			if (memcmp(s.tables[copy], page, 4096) == 0)
				continue;
			memcpy(s.tables[copy], page, 4096);
			changed = true;
		}
	return changed;
}

static void record(void)
{
	if (!tables_changed() && s.hist[0][0].n)
		return;
	for (u32 c = 0; c < N_CTX; c++)
		for (u32 g = 0; g < N_GVA; g++)
			record_one(&s.ctx[c], g, guest_page(c, gvas[g]), &s.hist[c][g]);
	for (u32 i = 0; i < N_VARIANTS; i++) {
		struct vtlb_context c = s.ctx[i / 8 == 0 ? 0 : i / 8 == 1 ? 3 : 6];

		c.cr3 = VARIANT_ROOT(i % 8);
		for (u32 g = N_GVA - N_KERNEL; g < N_GVA; g++)
			record_one(&c, g, guest_page(0, gvas[g]),
				   &s.lower[i][g + N_KERNEL - N_GVA]);
	}
	for (u32 as = 0; as < N_AS; as++) {
		u64 entry = *word(AS_TABLES(as) + 0x800);
		struct root_edit *last = s.n_root[as] ? &s.root_log[as][s.n_root[as] - 1] : NULL;

		if (last && last->entry == entry)
			continue;
		if (last)
			last->end = s.now;
		s.root_log[as] = realloc(s.root_log[as], (s.n_root[as] + 1) * sizeof(*last));
		s.root_log[as][s.n_root[as]++] = (struct root_edit){s.now, ~0ull, entry};
	}
}

/* Does the event invalidate a translation of @gva in @c by the SDM? */
static bool covers(const struct event *ev, const struct vtlb_context *c, const struct entry *e,
		   u64 gva)
{
	u16 pcid = c->cr3 & 0xfff;
	bool same_page = e->page && gva / e->page == ev->gva / e->page;

	switch (ev->what) {
	case INVLPG: return c->vpid == ev->vpid && (pcid == ev->pcid || e->global) && same_page;
	case CR3: return c->vpid == ev->vpid && pcid == ev->pcid && !e->global;
	case FLUSH: return c->vpid == ev->vpid && !e->global;
	case FLUSH_G: return c->vpid == ev->vpid;
	case INVPCID0: return c->vpid == ev->vpid && pcid == ev->pcid && !e->global && same_page;
	case INVPCID1: return c->vpid == ev->vpid && pcid == ev->pcid && !e->global;
	case INVPCID2: return c->vpid == ev->vpid;
	case INVPCID3: return c->vpid == ev->vpid && !e->global;
	case INVVPID0: return c->vpid == ev->vpid && same_page;
	case INVVPID1: return c->vpid == ev->vpid;
	case INVVPID2: return c->vpid != 0;
	case INVVPID3: return c->vpid == ev->vpid && !e->global;
	case INVEPT1: return c->eptp && (c->eptp ^ ev->eptp) >> 12 == 0;
	case INVEPT2: return c->eptp != 0;
	case FLUSH_VPID: return c->vpid == ev->vpid;
	}
	return false;
}

static bool is_covered(const struct tvp *p, const struct entry *e, u64 gva)
{
	bool covered = false;

	for (u32 i = p->n_log; i-- > 0 && p->log[i].time >= e->end && !covered;)
		covered = covers(&p->log[i], &s.ctx[p->ctx], e, gva);
	return covered;
}

/*
 * Processors may keep the root's entry apart from what is below (paging-structure caches), until a
 * load of CR3 for its PCID or an INVLPG of any address there: the two may be of different times.
 */
static bool is_legal_below(const struct tvp *p, u32 g, bool user, u64 gpa, u32 prot)
{
	const struct vtlb_context *c = &s.ctx[p->ctx];
	u32 as = (c->cr3 & ~0xfffull) == AS_TABLES(0) ? 0 : 1;

	if (gvas[g] < KERNEL)
		return false;
	for (u32 k = s.n_root[as]; k-- > 0;) {
		const struct root_edit *r = &s.root_log[as][k];
		u32 i = (r->entry & ~0xfffull) == KERNEL_TABLES(0) ? 0 : 1;
		bool gone = false;

		i = i * 4 + (u32)(r->entry >> 1 & 3) +
		    (c->eptp == 0		? 0
		     : c->eptp == s.ctx[3].eptp ? 8
						: 16);
		for (u32 n = p->n_log; n-- > 0 && p->log[n].time >= r->end && !gone;) {
			struct event ev = p->log[n];

			gone = (ev.what == INVLPG && ev.vpid == c->vpid &&
				ev.pcid == (c->cr3 & 0xfff)) ||
			       covers(&ev, c, &(struct entry){.page = 0}, gvas[g]);
		}
		if (gone)
			return false; /* and what was before that */
		if (!(r->entry & P))
			continue;
		const struct history *h = &s.lower[i][g + N_KERNEL - N_GVA];

		for (u32 back = 1; back <= MIN(h->n, MAX_HISTORY); back++) {
			const struct entry *e = &h->e[(h->n - back) % MAX_HISTORY];

			if (e->prot_super && e->gpa == gpa &&
			    !(prot & ~(user ? e->prot_user : e->prot_super)) &&
			    !is_covered(p, e, gvas[g]))
				return true;
		}
		if (h->n > MAX_HISTORY)
			return true;
	}
	return false;
}

/* A word of ept12 before the edits from number @edit on. */
static u64 ept_word(u64 at, u32 edit)
{
	for (u32 i = edit; i < s.n_ept; i++)
		if (s.ept_log[i].at == at)
			return s.ept_log[i].old;
	return *word(at);
}

/* Did ept12 lead from @from to @to with these rights before edit number @edit? */
static bool ept_leads(u64 eptp, u64 from, u64 to, u32 prot, u32 edit)
{
	u64 pd = (eptp & ~0xfffull) + 0x2000, e = ept_word(pd + 8 * (from >> 21), edit),
	    size = 2 * MIB;

	if (from >= RAM_BYTES)
		return false;
	if (!(e & PS)) {
		e = ept_word((e & ~0xfffull) + 8 * (from >> 12 & 511), edit);
		size = 4 * KIB;
	}
	return (e & 1) && !(prot & VTLB_WRITE && !(e & W)) &&
	       ((e & 0xffffff000ull & ~(size - 1)) | (from & (size - 1))) == to;
}

/*
 * Processors may keep what ept12 says of a guest physical address apart from what the guest's
 * tables say of a linear one, and only INVEPT takes it away: the two may be of different times.
 */
static bool is_legal_in_parts(const struct tvp *p, u32 g, bool user, u64 gpa, u32 prot)
{
	const struct vtlb_context *c = &s.ctx[p->ctx];
	const struct history *h = &s.hist[(c->cr3 & ~0xfffull) == AS_TABLES(0) ? 0 : 1][g];
	struct entry any = {.global = true};

	for (u32 back = 1; back <= MIN(h->n, MAX_HISTORY); back++) {
		const struct entry *e = &h->e[(h->n - back) % MAX_HISTORY];

		if (!e->prot_super || prot & ~(user ? e->prot_user : e->prot_super) ||
		    is_covered(p, e, gvas[g]))
			continue;
		if (ept_leads(c->eptp, e->gpa, gpa, prot, s.n_ept))
			return true;
		for (u32 k = s.n_ept; k-- > 0;) {
			bool gone = false;

			any.end = s.ept_log[k].time;
			for (u32 i = p->n_log; i-- > 0 && p->log[i].time >= any.end && !gone;)
				gone = (p->log[i].what == INVEPT1 || p->log[i].what == INVEPT2) &&
				       covers(&p->log[i], c, &any, gvas[g]);
			if (gone)
				break;
			if (ept_leads(c->eptp, e->gpa, gpa, prot, k))
				return true;
		}
	}
	return false;
}

static bool is_legal(struct tvp *p, u32 g, bool user, u64 gpa, u32 prot, bool *stale)
{
	const struct history *h = &s.hist[p->ctx][g];

	for (u32 back = 1; back <= MIN(h->n, MAX_HISTORY); back++) {
		const struct entry *e = &h->e[(h->n - back) % MAX_HISTORY];

		if (!e->prot_super || e->gpa != gpa ||
		    prot & ~(user ? e->prot_user : e->prot_super))
			continue;
		*stale = e->end != ~0ull;
		if (!is_covered(p, e, gvas[g]))
			return true;
	}
	if (h->n > MAX_HISTORY)
		return true; /* older than the record */
	if (is_legal_below(p, g, user, gpa, prot))
		return true;
	return s.ctx[p->ctx].eptp && is_legal_in_parts(p, g, user, gpa, prot);
}

/* ---- what VPs do
 * ---------------------------------------------------------------------------------- */

static void flush_soft(void *arg)
{
	struct tvp *p = arg;

	memset(p->soft, 0, sizeof(p->soft));
}

static void forget_piece(struct soft *soft, u64 at, u64 gva)
{
	if (soft->valid && at >> soft->page_shift == gva >> soft->page_shift)
		soft->valid = false;
}

static void flush_soft_page(void *arg, u64 gva)
{
	struct tvp *p = arg;

	for (u32 g = 0; g < N_GVA; g++)
		for (u32 user = 0; user < 2; user++) {
			forget_piece(&p->soft[g][user], gvas[g], gva);
			for (u32 i = 0; i < ARRAY_SIZE(p->aside); i++)
				forget_piece(&p->aside[i].soft[g][user], gvas[g], gva);
		}
}

static u64 soft_mark(void *arg)
{
	struct tvp *p = arg;
	u32 at = (u32)(++p->mark % 4);

	p->aside[at].mark = p->mark;
	memcpy(p->aside[at].soft, p->soft, sizeof(p->soft));
	return p->mark;
}

static bool soft_return(void *arg, u64 mark)
{
	struct tvp *p = arg;

	if (p->aside[mark % 4].mark == mark) {
		memcpy(p->soft, p->aside[mark % 4].soft, sizeof(p->soft));
		s.returns++;
		return true;
	}
	memset(p->soft, 0, sizeof(p->soft));
	return false;
}

static void request(void *arg)
{
	((struct tvp *)arg)->requested = true;
}

static void check(struct tvp *p, u32 g, bool user, u64 gpa, u32 prot, const char *from)
{
	bool stale = false;

	s.used++;
	if (!is_legal(p, g, user, gpa, prot, &stale))
		fail_msg(
			"time %llu vp %u ctx %u gva %llx %s: gpa %llx prot %x was invalidated (%s)",
			(unsigned long long)s.now, (u32)(p - s.vp), p->ctx,
			(unsigned long long)gvas[g], user ? "user" : "supervisor",
			(unsigned long long)gpa, prot, from);
	s.used_stale += stale;
}

static void touch(struct tvp *p)
{
	static const u32 kinds[] = {VTLB_READ, VTLB_READ, VTLB_WRITE, VTLB_EXEC};
	u32 g = (u32)rnd(N_GVA), kind = kinds[rnd(4)];
	bool user = chance(40);
	u32 access = kind | (user ? VTLB_USER : 0);
	struct soft *soft = &p->soft[g][user];
	struct vtlb_xl xl, fresh;
	struct vtlb_fault f = {0}, f2 = {0};

	if (soft->valid && soft->prot & kind && chance(70)) {
		check(p, g, user, soft->gpa, soft->prot, "soft TLB");
		return;
	}
	enum vtlb_status now = vtlb_peek(&p->v, gvas[g], access, &fresh, &f2);
	enum vtlb_status st = vtlb_translate(&p->v, gvas[g], access, &xl, &f);

	record();
	if (st > VTLB_MMIO) { /* never from the cache */
		assert_int_equal(st, now);
		if (st == VTLB_PAGE_FAULT)
			assert_int_equal(f.error_code, f2.error_code);
		else
			assert_int_equal(f.qualification, f2.qualification);
		return;
	}
	check(p, g, user, xl.gpa, xl.prot | kind, "vtlb");
	soft->valid = st == VTLB_OK;
	soft->gpa = xl.gpa;
	soft->prot = xl.prot;
	soft->page_shift = xl.page_shift;
}

static void log_event(struct tvp *p, struct event ev)
{
	if (p->n_log == p->cap_log) {
		p->cap_log = p->cap_log ? p->cap_log * 2 : 1024;
		p->log = realloc(p->log, p->cap_log * sizeof(*p->log));
	}
	ev.time = s.now;
	p->log[p->n_log++] = ev;
}

static void switch_context(struct tvp *p)
{
	u32 to = s.by_turns ? s.by_turns - p->ctx : s.processes ? (u32)rnd(3) : (u32)rnd(N_CTX);
	const struct vtlb_context *old = &s.ctx[p->ctx], *new = &s.ctx[to];
	u64 old_cr3 = old->cr3;
	bool same_world = old->vpid == new->vpid && old->eptp == new->eptp;

	p->ctx = to;
	vtlb_set_context(&p->v, new);
	if (same_world) { /* MOV CR3 */
		bool no_flush = !s.processes && chance(50);

		vtlb_cr3_load(&p->v, old_cr3, no_flush);
		if (!no_flush)
			log_event(p, (struct event){.what = CR3,
						    .vpid = new->vpid,
						    .pcid = new->cr3 & 0xfff});
	} else if (old->vpid == 0 && new->vpid == 0) { /* VM entry or exit without VPIDs */
		vtlb_flush_vpid(&p->v, 0);
		log_event(p, (struct event){.what = FLUSH_VPID, .vpid = 0});
	}
}

static void invalidate(struct tvp *p)
{
	const struct vtlb_context *c = &s.ctx[p->ctx];
	struct event ev = {
		.what = (enum what)rnd(FLUSH_VPID), .vpid = c->vpid, .pcid = c->cr3 & 0xfff};

	if (chance(60))
		ev.what = INVLPG;
	/* Not the address itself: anywhere in the page that may be large. */
	ev.gva =
		gvas[rnd(N_GVA)] + (chance(30) ? rnd(4096) : 0) + (chance(20) ? rnd(512) << 12 : 0);
	switch (ev.what) {
	case INVLPG: vtlb_invlpg(&p->v, ev.gva); break;
	case CR3: vtlb_cr3_load(&p->v, c->cr3, false); break;
	case FLUSH: vtlb_flush(&p->v, false); break;
	case FLUSH_G: vtlb_flush(&p->v, true); break;
	case INVPCID0:
	case INVPCID1:
	case INVPCID2:
	case INVPCID3:
		ev.pcid = (u16)rnd(3);
		vtlb_invpcid(&p->v, ev.what - INVPCID0, ev.pcid, ev.gva);
		break;
	case INVVPID0:
	case INVVPID1:
	case INVVPID2:
	case INVVPID3:
		ev.vpid = (u16)(1 + rnd(2));
		vtlb_invvpid(&p->v, ev.what - INVVPID0, ev.vpid, ev.gva);
		break;
	default:
		ev.eptp = s.ctx[chance(50) ? 3 : 6].eptp;
		vtlb_invept(&p->v, ev.what == INVEPT1 ? 1 : 2, ev.eptp);
		break;
	}
	log_event(p, ev);
}

static void step(void)
{
	struct tvp *p = &s.vp[rnd(s.n_vps)];

	s.now++;
	if (!(s.now % AUDIT_EVERY)) {
		const char *broken = vtlb_audit(s.t);

		if (broken)
			fail_msg("time %llu: this does not hold: %s", (unsigned long long)s.now,
				 broken);
	}
	if (p->is_offline || chance(1)) {
		p->is_offline = !p->is_offline;
		if (p->is_offline)
			vtlb_offline(&p->v);
		else
			vtlb_online(&p->v);
		if (p->is_offline)
			return;
	}
	if (p->requested && (s.is_prompt || chance(50))) {
		p->requested = false;
		vtlb_safe_point(&p->v);
	}
	if (s.by_turns && chance(30)) {
		switch_context(p);
		return;
	}
	switch (rnd(20)) {
	case 0:
		/* now and then so much that it is not worth while to track the tables */
		for (u32 i = s.processes && chance(5) ? 150 : 1; i; i--)
			edit_guest();
		record();
		break;
	case 1:
		edit_ept();
		record();
		break;
	case 2: switch_context(p); break;
	case 3:
		if (!s.processes || chance(20))
			invalidate(p);
		break;
	case 4:
		if (chance(1))
			vtlb_memory_changed(s.t);
		break;
	default: touch(p); break;
	}
}

static void begin(u32 n_vps, struct vtlb_config cfg)
{
	int err;
	u64 seed = s.seed;

	memset(&s, 0, sizeof(s));
	s.seed = seed;
	s.n_vps = n_vps;
	s.mem = mem_create(RAM_BYTES, &err);
	s.ram = mem_ram_base(s.mem);
	cfg.max_vps = n_vps;
	cfg.maxphyaddr = 40;
	cfg.has_1g_pages = true;
	cfg.ept_caps = ~0ull;
	cfg.share = !s.no_share;
	cfg.refresh_walks = s.no_refresh ? 0 : 7;
	cfg.seed = seed;
	s.t = vtlb_create(s.mem, &cfg, &err);
	assert_non_null(s.t);
	make_tables();
	make_contexts();
	for (u32 i = 0; i < n_vps; i++) {
		struct tvp *p = &s.vp[i];

		p->v.owner = p;
		p->v.flush_soft = flush_soft;
		p->v.flush_soft_page = flush_soft_page;
		p->v.request = request;
		p->v.soft_mark = soft_mark;
		p->v.soft_return = soft_return;
		assert_int_equal(vtlb_vp_init(s.t, &p->v, i), 0);
		vtlb_set_context(&p->v, &s.ctx[0]);
	}
	record();
}

static void end(void)
{
	struct vtlb_stats st;
	u64 hits = 0, walks = 0;

	vtlb_get_stats(s.t, &st);
	for (u32 i = 0; i < s.n_vps; i++) {
		hits += s.vp[i].v.n_hit;
		walks += s.vp[i].v.n_walk;
		vtlb_vp_fini(&s.vp[i].v);
		free(s.vp[i].log);
	}
	printf("# %u VPs: used %llu (stale, legally: %llu) returns %llu hits %llu walks %llu; SPTs "
	       "%llu of "
	       "%llu, "
	       "evicted %llu, address spaces evicted %llu, uninstalled %llu, audit %llu/%llu, "
	       "shared %llu, "
	       "links %llu, coalesced %llu\n",
	       s.n_vps, (unsigned long long)s.used, (unsigned long long)s.used_stale,
	       (unsigned long long)s.returns, (unsigned long long)hits, (unsigned long long)walks,
	       (unsigned long long)st.spts_used, (unsigned long long)st.spts_limit,
	       (unsigned long long)st.spt_evictions, (unsigned long long)st.sas_evictions,
	       (unsigned long long)st.uninstalled, (unsigned long long)st.audit_stale,
	       (unsigned long long)st.audit_checks, (unsigned long long)st.shared_tops,
	       (unsigned long long)st.shared_links, (unsigned long long)st.coalesced);
	assert_true(st.spts_used <= st.spts_limit);
	vtlb_destroy(s.t);
	mem_destroy(s.mem);
	free(s.ept_log);
	for (u32 as = 0; as < N_AS; as++)
		free(s.root_log[as]);
}

static u32 n_steps(void)
{
#ifdef __SANITIZE_THREAD__ /* threads are vtlb_threads_test's; this is slow there */
	return 5000;
#endif
	return getenv("NESTOR_LONG") ? 150000 : 15000;
}

static void run(u32 n_vps, struct vtlb_config cfg)
{
	begin(n_vps, cfg);
	for (u32 i = 0; i < n_steps(); i++)
		step();
	assert_true(s.used > 1000);
	end();
}

static void run_by_turns(u32 a, u32 b)
{
	begin(2, (struct vtlb_config){.max_bytes = MIB});
	s.by_turns = a + b;
	for (u32 i = 0; i < 2; i++) {
		s.vp[i].ctx = a;
		vtlb_set_context(&s.vp[i].v, &s.ctx[a]);
	}
	for (u32 i = 0; i < 2 * n_steps(); i++)
		step();
	assert_true(s.returns > n_steps() / 10);
	end();
}

/* L1 and its guest; two EPTPs of one guest. */
static void test_by_turns(void **state)
{
	run_by_turns(0, 3);
}
static void test_by_turns_ept(void **state)
{
	run_by_turns(3, 6);
}

static void test_one_vp(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = MIB});
}
static void test_retain(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = MIB, .retain = true});
}
static void test_retain_tight(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = 120 * KIB, .retain = true});
}

/* Processes by turns, MOV CR3 that flushes, tables that change now and then. */
static void test_retain_processes(void **state)
{
	struct vtlb_stats st;

	begin(1, (struct vtlb_config){.max_bytes = MIB, .retain = true});
	s.processes = true;
	for (u32 i = 0; i < 3 * n_steps(); i++)
		step();
	vtlb_get_stats(s.t, &st);
	printf("# tracked %llu writes %llu released %llu\n", (unsigned long long)st.gpts_tracked,
	       (unsigned long long)st.gpt_writes, (unsigned long long)st.gpt_releases);
	assert_true(st.gpts_tracked > 0 && st.gpt_writes > 100 && st.gpt_releases > 0);
	end();
}
/* The same on several VPs that take turns on one thread. */
static void test_retain_vps(void **state)
{
	struct vtlb_stats st;

	for (u32 n = 2; n <= MAX_VPS; n += 2) {
		begin(n, (struct vtlb_config){.max_bytes = n == 2 ? MIB : 160 * KIB,
					      .retain = true,
					      .one_thread = true});
		s.processes = true;
		for (u32 i = 0; i < 3 * n_steps(); i++)
			step();
		vtlb_get_stats(s.t, &st);
		assert_true(st.gpts_tracked > 0 && st.gpt_writes > 50);
		end();
	}
	run(3, (struct vtlb_config){.max_bytes = MIB, .retain = true, .one_thread = true});
	run(MAX_VPS,
	    (struct vtlb_config){.max_bytes = 72 * KIB, .retain = true, .one_thread = true});
}
static void test_two_vps(void **state)
{
	run(2, (struct vtlb_config){.max_bytes = MIB});
}
static void test_four_vps(void **state)
{
	run(4, (struct vtlb_config){.max_bytes = MIB, .audit = true});
}
static void test_tight_memory(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = 56 * KIB});
}
static void test_tight_memory_mp(void **state)
{
	run(4, (struct vtlb_config){.max_bytes = 72 * KIB});
}
static void test_no_memory(void **state)
{
	run(2, (struct vtlb_config){.max_bytes = 0});
}
static void test_one_lock(void **state)
{
	run(3, (struct vtlb_config){.max_bytes = MIB, .one_lock = true});
}
static void test_adversarial(void **state)
{
	run(2, (struct vtlb_config){.max_bytes = MIB, .mode = VTLB_ADVERSARIAL});
}
static void test_adversarial_four(void **state)
{
	run(4, (struct vtlb_config){.max_bytes = 200 * KIB, .mode = VTLB_ADVERSARIAL});
}
/* The detector holds everything as long as it may; what it uses must be legal all the same. */
static void test_detector(void **state)
{
	struct vtlb_stats st;

	begin(3, (struct vtlb_config){.max_bytes = MIB, .detect_stale = true});
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(s.t, &st);
	assert_true(st.stale_suspects > 20 && st.held_hits > 100);
	end();
}
/* One thread: the soft TLB keeps what watched entries lead to, and still nothing stale is used. */
static void test_strict_watched(void **state)
{
	struct vtlb_stats st;

	begin(MAX_VPS,
	      (struct vtlb_config){.max_bytes = MIB, .mode = VTLB_STRICT, .one_thread = true});
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(s.t, &st);
	assert_int_equal(s.used_stale, 0);
	assert_true(st.watched > 10 && st.watch_flushes > 100);
	end();
}
static void test_detector_watched(void **state)
{
	struct vtlb_stats st;

	begin(MAX_VPS, (struct vtlb_config){
			       .max_bytes = 200 * KIB, .detect_stale = true, .one_thread = true});
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(s.t, &st);
	assert_true(st.stale_suspects > 20 && st.held_hits > 100 && st.watch_flushes > 100);
	end();
}
static void test_eight_vps(void **state)
{
	run(MAX_VPS, (struct vtlb_config){.max_bytes = 400 * KIB});
	run(MAX_VPS, (struct vtlb_config){
			     .max_bytes = 400 * KIB, .mode = VTLB_ADVERSARIAL, .one_thread = true});
}
static void test_strict(void **state)
{
	struct vtlb_stats st;

	begin(2, (struct vtlb_config){.max_bytes = MIB, .mode = VTLB_STRICT});
	s.is_prompt = true;
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(s.t, &st);
	assert_int_equal(s.used_stale, 0);
	assert_true(st.watched > 10 && st.watch_flushes > 100);
	end();
}

/* A guest that flushes after every change of a table never meets a stale translation. */
static void test_careful_guest(void **state)
{
	struct vtlb_stats st;

	begin(2, (struct vtlb_config){.max_bytes = MIB, .audit = true});
	for (u32 i = 0; i < n_steps(); i++) {
		struct tvp *p = &s.vp[rnd(2)];

		s.now++;
		if (chance(10)) {
			edit_guest();
			edit_ept();
			record();
			for (u32 k = 0; k < 2; k++) {
				for (u16 vpid = 0; vpid < 3; vpid++)
					vtlb_invvpid(&s.vp[k].v, 1, vpid, 0);
				vtlb_invept(&s.vp[k].v, 2, 0);
			}
		} else if (chance(10)) {
			p->ctx = (u32)rnd(N_CTX);
			vtlb_set_context(&p->v, &s.ctx[p->ctx]);
		} else {
			touch(p);
		}
	}
	vtlb_get_stats(s.t, &st);
	assert_true(st.audit_checks > 100);
	assert_int_equal(st.audit_stale, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_vp),		 cmocka_unit_test(test_two_vps),
		cmocka_unit_test(test_retain),		 cmocka_unit_test(test_retain_tight),
		cmocka_unit_test(test_retain_processes), cmocka_unit_test(test_four_vps),
		cmocka_unit_test(test_tight_memory),	 cmocka_unit_test(test_tight_memory_mp),
		cmocka_unit_test(test_no_memory),	 cmocka_unit_test(test_one_lock),
		cmocka_unit_test(test_adversarial),	 cmocka_unit_test(test_strict),
		cmocka_unit_test(test_strict_watched),	 cmocka_unit_test(test_detector_watched),
		cmocka_unit_test(test_eight_vps),	 cmocka_unit_test(test_by_turns),
		cmocka_unit_test(test_by_turns_ept),	 cmocka_unit_test(test_careful_guest),
		cmocka_unit_test(test_adversarial_four), cmocka_unit_test(test_detector),
		cmocka_unit_test(test_retain_vps),
	};

	s.seed = getenv("NESTOR_SEED") ? strtoull(getenv("NESTOR_SEED"), NULL, 0) : 1;
	printf("# seed %llu\n", (unsigned long long)s.seed);
	return cmocka_run_group_tests_name("vtlb_inval", tests, NULL, NULL);
}
