#include "tests/unit/vtlb_inval.h"

#include <stdlib.h>
#include <string.h>

static u64 guest_page(u32 ctx, u64 gva)
{
	u64 t = inval.ctx[ctx].cr3 & ~0xfffull;

	if (gva >= KERNEL)
		return gva >= KERNEL + 0x200000 ? 2 * MIB : 4 * KIB;
	if (gva >= 0x40000000)
		return *inval_word(t + 0x1008) & PS ? GIB : 2 * MIB;
	if (gva >= 0x400000)
		return 2 * MIB;
	return gva >= 0x200000 && *inval_word(t + 0x2008) & PS ? 2 * MIB : 4 * KIB;
}

static void record_one(const struct vtlb_context *ctx, u32 g, u64 page, struct history *h)
{
	/* A VP of the walker's own: peek looks at nothing but its context. */
	struct vtlb_vp v = inval.vp[0].v;
	struct entry *last = h->n ? &h->e[(h->n - 1) % MAX_HISTORY] : NULL;
	struct vtlb_xl xl, xu;
	struct vtlb_fault f;

	v.ctx = *ctx;
	enum vtlb_status st = vtlb_peek(&v, inval_gvas[g], VTLB_READ, &xl, &f);
	enum vtlb_status su = vtlb_peek(&v, inval_gvas[g], VTLB_READ | VTLB_USER, &xu, &f);
	struct entry e = {.start = inval.now, .end = ~0ull};

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
		last->end = inval.now;
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
			const u8 *page = inval.ram + where[i].at + k * 4096;

			if (memcmp(inval.tables[copy], page, 4096) == 0)
				continue;
			memcpy(inval.tables[copy], page, 4096);
			changed = true;
		}
	return changed;
}

void inval_record(void)
{
	if (!tables_changed() && inval.hist[0][0].n)
		return;
	for (u32 c = 0; c < N_CTX; c++)
		for (u32 g = 0; g < N_GVA; g++)
			record_one(&inval.ctx[c], g, guest_page(c, inval_gvas[g]),
				   &inval.hist[c][g]);
	for (u32 i = 0; i < N_VARIANTS; i++) {
		struct vtlb_context c = inval.ctx[i / 8 == 0 ? 0 : i / 8 == 1 ? 3 : 6];

		c.cr3 = VARIANT_ROOT(i % 8);
		for (u32 g = N_GVA - N_KERNEL; g < N_GVA; g++)
			record_one(&c, g, guest_page(0, inval_gvas[g]),
				   &inval.lower[i][g + N_KERNEL - N_GVA]);
	}
	for (u32 as = 0; as < N_AS; as++) {
		u64 entry = *inval_word(AS_TABLES(as) + 0x800);
		struct root_edit *last =
			inval.n_root[as] ? &inval.root_log[as][inval.n_root[as] - 1] : NULL;

		if (last && last->entry == entry)
			continue;
		if (last)
			last->end = inval.now;
		inval.root_log[as] =
			realloc(inval.root_log[as], (inval.n_root[as] + 1) * sizeof(*last));
		inval.root_log[as][inval.n_root[as]++] =
			(struct root_edit){inval.now, ~0ull, entry};
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
		covered = covers(&p->log[i], &inval.ctx[p->ctx], e, gva);
	return covered;
}

/*
 * Processors may keep the root's entry apart from what is below (paging-structure caches), until a
 * load of CR3 for its PCID or an INVLPG of any address there: the two may be of different times.
 */
static bool is_legal_below(const struct tvp *p, u32 g, bool user, u64 gpa, u32 prot)
{
	const struct vtlb_context *c = &inval.ctx[p->ctx];
	u32 as = (c->cr3 & ~0xfffull) == AS_TABLES(0) ? 0 : 1;

	if (inval_gvas[g] < KERNEL)
		return false;
	for (u32 k = inval.n_root[as]; k-- > 0;) {
		const struct root_edit *r = &inval.root_log[as][k];
		u32 i = (r->entry & ~0xfffull) == KERNEL_TABLES(0) ? 0 : 1;
		bool gone = false;

		i = i * 4 + (u32)(r->entry >> 1 & 3) +
		    (c->eptp == 0		    ? 0
		     : c->eptp == inval.ctx[3].eptp ? 8
						    : 16);
		for (u32 n = p->n_log; n-- > 0 && p->log[n].time >= r->end && !gone;) {
			struct event ev = p->log[n];

			gone = (ev.what == INVLPG && ev.vpid == c->vpid &&
				ev.pcid == (c->cr3 & 0xfff)) ||
			       covers(&ev, c, &(struct entry){.page = 0}, inval_gvas[g]);
		}
		if (gone)
			return false; /* and what was before that */
		if (!(r->entry & P))
			continue;
		const struct history *h = &inval.lower[i][g + N_KERNEL - N_GVA];

		for (u32 back = 1; back <= MIN(h->n, MAX_HISTORY); back++) {
			const struct entry *e = &h->e[(h->n - back) % MAX_HISTORY];

			if (e->prot_super && e->gpa == gpa &&
			    !(prot & ~(user ? e->prot_user : e->prot_super)) &&
			    !is_covered(p, e, inval_gvas[g]))
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
	for (u32 i = edit; i < inval.n_ept; i++)
		if (inval.ept_log[i].at == at)
			return inval.ept_log[i].old;
	return *inval_word(at);
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
	const struct vtlb_context *c = &inval.ctx[p->ctx];
	const struct history *h = &inval.hist[(c->cr3 & ~0xfffull) == AS_TABLES(0) ? 0 : 1][g];
	struct entry any = {.global = true};

	for (u32 back = 1; back <= MIN(h->n, MAX_HISTORY); back++) {
		const struct entry *e = &h->e[(h->n - back) % MAX_HISTORY];

		if (!e->prot_super || prot & ~(user ? e->prot_user : e->prot_super) ||
		    is_covered(p, e, inval_gvas[g]))
			continue;
		if (ept_leads(c->eptp, e->gpa, gpa, prot, inval.n_ept))
			return true;
		for (u32 k = inval.n_ept; k-- > 0;) {
			bool gone = false;

			any.end = inval.ept_log[k].time;
			for (u32 i = p->n_log; i-- > 0 && p->log[i].time >= any.end && !gone;)
				gone = (p->log[i].what == INVEPT1 || p->log[i].what == INVEPT2) &&
				       covers(&p->log[i], c, &any, inval_gvas[g]);
			if (gone)
				break;
			if (ept_leads(c->eptp, e->gpa, gpa, prot, k))
				return true;
		}
	}
	return false;
}

bool inval_is_legal(struct tvp *p, u32 g, bool user, u64 gpa, u32 prot, bool *stale)
{
	const struct history *h = &inval.hist[p->ctx][g];

	for (u32 back = 1; back <= MIN(h->n, MAX_HISTORY); back++) {
		const struct entry *e = &h->e[(h->n - back) % MAX_HISTORY];

		if (!e->prot_super || e->gpa != gpa ||
		    prot & ~(user ? e->prot_user : e->prot_super))
			continue;
		*stale = e->end != ~0ull;
		if (!is_covered(p, e, inval_gvas[g]))
			return true;
	}
	if (h->n > MAX_HISTORY)
		return true; /* older than the record */
	if (is_legal_below(p, g, user, gpa, prot))
		return true;
	return inval.ctx[p->ctx].eptp && is_legal_in_parts(p, g, user, gpa, prot);
}
