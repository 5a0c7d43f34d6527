/*
 * The detector of missing invalidations (--detect-stale).
 *
 * Each VP holds what it used last (held.c) as a real processor would. The soft TLB keeps only what
 * agrees with the tables, and loses it when a watched entry changes (watch.c), so every use of a
 * translation that is stale comes here and is compared with a walk. A suspect is a use that the
 * tables no longer allow, or that leads to another frame; what they allow in addition, and accessed
 * and dirty bits, make none.
 *
 * Guests may use a translation for a while after they changed the entry: a shootdown is on its way.
 * So a suspect is judged later. If the VP has executed an invalidation that covers it, nothing was
 * wrong. It is a fault if before that GRACE_NS of guest time pass, or the old frame is used anew:
 * through an entry written since the suspect was found, or by a write in another address space. A
 * fault is reported once for a page of an address space.
 *
 * Floors are hashed, so an invalidation of something else can clear a suspect by chance: a fault
 * can be missed, a correct guest is not accused by it.
 */
#include "trace/transition.h"
#include "vtlb/priv.h"

#define GRACE_NS (10 * 1000 * 1000ull)
#define ROUNDS 10u     /* on threads: in each all VPs run */
#define POLL_EVERY 64u /* translations */

const char *vtlb_missing_text(enum stale_missing missing)
{
	switch (missing) {
	case STALE_MISSING_INVLPG: return "INVLPG (or MOV CR3, INVPCID)";
	case STALE_MISSING_GLOBAL:
		return "INVLPG (or INVPCID with globals, MOV CR4; the page is global)";
	case STALE_MISSING_CR3: return "MOV CR3 (or INVPCID, INVLPG of the page)";
	case STALE_MISSING_INVPCID:
		return "INVPCID of the other PCID (or MOV CR3 to it without bit 63)";
	case STALE_MISSING_INVEPT: return "INVEPT";
	case STALE_MISSING_INVVPID: return "INVVPID";
	case STALE_MISSING_INVLPG_OR_INVVPID: return "INVLPG, or INVVPID of its hypervisor";
	default: return "INVLPG or INVEPT";
	}
}

static void count(u64 *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* ---- has it been invalidated? Floors of other VPs are read as they are. ---- */

static bool is_covered(const struct vtlb_vp *v, const struct suspect *s)
{
	struct floors f = inval_floors(v, &s->ctx);

	return s->stamp < (s->leaf & LEAF_G ? f.g : f.ng);
}

static bool is_covered_by_address(const struct vtlb_vp *v, const struct suspect *s)
{
	return s->stamp < held_floor(v->priv, &s->ctx, s->leaf, s->page << PAGE_SHIFT);
}

static bool is_over(const struct vtlb_vp *v, const struct suspect *s)
{
	return is_covered(v, s) || is_covered_by_address(v, s);
}

/* Another VP that has executed what is missing on @self. */
static u32 other_that_did(const struct vtlb_vp *self, const struct suspect *s)
{
	const struct vtlb *t = self->priv->t;
	bool by_context = s->missing == STALE_MISSING_INVEPT || s->missing == STALE_MISSING_INVVPID;

	for (u32 i = 0; i < t->cfg.max_vps; i++) {
		const struct vtlb_vp *v = t->vp[i];

		if (v && v != self &&
		    (is_covered_by_address(v, s) || (by_context && is_covered(v, s))))
			return i;
	}
	return VTLB_NO_VP;
}

/* ---- reports; the watch's lock held ---- */

static bool is_reported(const struct stale *st, u64 serial, u64 page)
{
	for (u32 i = 0; i < MIN(st->n_reported, REPORTED); i++)
		if (st->reported[i].serial == serial && st->reported[i].page == page)
			return true;
	return false;
}

static void trace_report(struct trace_ctx *ctx, const struct vtlb_stale_report *r)
{
	if (!ctx)
		return;
	TRANSITION(ctx, stale_use, .vcpu = r->vp, .guest_rip = r->rip, .gva = r->gva,
		   .held_gpa = r->held_gpa, .fresh_gpa = r->fresh_gpa, .used_ns = r->ns,
		   .writer = r->by.vp, .writer_rip = r->by.rip, .written_ns = r->by.ns,
		   .entry_gpa = r->by.gpa, .missing = r->missing, .remote = r->is_remote,
		   .proof = r->proof);
}

/* @self runs on this thread: @v, whose suspect it is, or who used the old frame anew. */
static void report(struct vtlb_vp *v, struct vtlb_vp *self, const struct suspect *s,
		   enum stale_proof proof)
{
	struct vtlb *t = v->priv->t;
	struct stale *st = v->priv->stale;
	u32 at = st->n_reported++ % REPORTED;
	struct vtlb_stale_report r = {
		.vp = v->id,
		.access = s->access,
		.rip = s->rip,
		.ns = s->since_ns,
		.gva = s->page << PAGE_SHIFT,
		.cr3 = s->ctx.cr3,
		.eptp = s->ctx.eptp,
		.vpid = s->ctx.vpid,
		.held_gpa = s->held_gpa & PAGE_MASK,
		.fresh_gpa = s->fresh_gpa == VTLB_NO_GPA ? VTLB_NO_GPA : s->fresh_gpa & PAGE_MASK,
		.by = {.gpa = s->by.at,
		       .before = s->by.old,
		       .after = s->by.new,
		       .vp = s->by.at ? s->by.vp : VTLB_NO_VP,
		       .rip = s->by.rip,
		       .ns = s->by.ns,
		       .level = s->level,
		       .is_ept = s->is_ept,
		       .is_own = !s->by.eptp && !s->by.vpid},
		.missing = s->missing,
		.done_on = other_that_did(v, s),
		.proof = proof,
		.proof_vp = self ? self->id : VTLB_NO_VP,
		.proof_rip = self && self->where ? self->where(self->owner) : 0,
		.proof_ns = watch_now_ns(self ? self : v),
		.proof_is_own = self && !self->ctx.eptp && !self->ctx.vpid,
	};

	r.is_remote = r.done_on != VTLB_NO_VP || (r.by.vp != VTLB_NO_VP && r.by.vp != v->id);
	st->reported[at].serial = s->serial;
	st->reported[at].page = s->page;
	count(&t->stats.stale_reports);
	trace_report(self ? self->trace : NULL, &r);
	if (t->cfg.stale)
		t->cfg.stale(t->cfg.arg, &r);
}

static void drop(struct vtlb *t, struct stale *st, u32 i)
{
	st->suspect[i] = st->suspect[st->n - 1];
	__atomic_store_n(&st->n, st->n - 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&t->n_suspects, 1, __ATOMIC_RELAXED);
}

/* The old frame of suspect @i of @v is used for something else by @self (NULL: not a VP). */
static void reused(struct vtlb_vp *v, u32 i, struct vtlb_vp *self, enum stale_proof proof)
{
	struct stale *st = v->priv->stale;

	if (is_over(v, &st->suspect[i]))
		count(&v->priv->t->stats.stale_cleared);
	else
		report(v, self, &st->suspect[i], proof);
	drop(v->priv->t, st, i);
}

/*
 * Has the guest had its time? On several threads the clock is the host's, and a VP on its way to
 * send
 * or to take a shootdown may not be running at all: then it is ROUNDS periods in each of which
 * every VP has passed an instruction boundary, or was halted.
 */
static bool is_due(struct vtlb *t, struct suspect *s, u64 now)
{
	if (!t->is_mp)
		return now - s->since_ns >= GRACE_NS;
	if (now - s->round_ns < GRACE_NS / ROUNDS || !gen_passed(t, NULL, s->ticket))
		return false;
	s->round_ns = now;
	s->ticket = gen_request(t, NULL);
	return s->rounds++ == ROUNDS;
}

static void judge(struct vtlb_vp *v)
{
	struct vtlb *t = v->priv->t;
	struct stale *st = v->priv->stale;
	u64 now = watch_now_ns(v);

	for (u32 i = st->n; i-- > 0;) {
		struct suspect *s = &st->suspect[i];

		if (is_over(v, s))
			count(&t->stats.stale_cleared);
		else if (is_due(t, s, now))
			report(v, v, s, STALE_PROOF_TIME);
		else
			continue;
		drop(t, st, i);
	}
}

void stale_settle(struct vtlb_vp *v)
{
	struct stale *st = v->priv->stale;

	if (likely(!__atomic_load_n(&st->n, __ATOMIC_RELAXED)))
		return;
	watch_lock(v->priv->t);
	judge(v);
	watch_unlock(v->priv->t);
}

void stale_poll(struct vtlb_vp *v)
{
	struct stale *st = v->priv->stale;

	if (likely(!__atomic_load_n(&st->n, __ATOMIC_RELAXED)) || st->countdown-- != 0)
		return;
	st->countdown = POLL_EVERY;
	stale_settle(v);
}

/* ---- the old frame is used anew; the watch's lock held ---- */

static bool is_other_space(const struct vtlb_context *a, const struct vtlb_context *b)
{
	return (a->cr3 ^ b->cr3) & PAGE_MASK & ~BIT(63) || a->eptp != b->eptp || a->vpid != b->vpid;
}

void stale_frame_written(struct vtlb *t, struct vtlb_vp *self, u64 page)
{
	for (u32 vp = 0; self && vp < t->cfg.max_vps; vp++) {
		struct vtlb_vp *v = t->vp[vp];

		if (!v)
			continue;
		for (u32 i = v->priv->stale->n; i-- > 0;) {
			const struct suspect *s = &v->priv->stale->suspect[i];

			if (s->is_moved && (s->held_gpa & PAGE_MASK) == page &&
			    is_other_space(&s->ctx, &self->ctx))
				reused(v, i, self, STALE_PROOF_WRITTEN);
		}
	}
}

/* Does @entry, of a leaf, lead to the frame that @s went to? */
static bool leads_to_old(const struct suspect *s, u64 entry, bool is_ept)
{
	u64 page = is_ept || !s->ctx.eptp ? s->held_gpa : s->held_guest_gpa;

	return page != VTLB_NO_GPA && (entry & GENMASK(51, 12)) == (page & GENMASK(51, 12));
}

void stale_entry_written(struct vtlb *t, u64 at, u64 entry, bool is_ept)
{
	for (u32 vp = 0; vp < t->cfg.max_vps; vp++) {
		struct stale *st = t->vp[vp] ? t->vp[vp]->priv->stale : NULL;

		for (u32 i = 0; st && i < st->n; i++)
			if (st->suspect[i].is_moved && leads_to_old(&st->suspect[i], entry, is_ept))
				st->suspect[i].mapped_at = at;
	}
}

void stale_path_used(struct vtlb_vp *self, const struct walk_trail *tr)
{
	struct vtlb *t = self->priv->t;

	for (u32 vp = 0; vp < t->cfg.max_vps; vp++) {
		struct vtlb_vp *v = t->vp[vp];

		for (u32 i = v ? v->priv->stale->n : 0; i-- > 0;) {
			u64 at = v->priv->stale->suspect[i].mapped_at;
			bool is_used = false;

			for (u32 k = 0; at && k < tr->n; k++)
				is_used |= tr->step[k].at == at;
			if (is_used)
				reused(v, i, self, STALE_PROOF_MAPPED);
		}
	}
}

/* ---- suspects ---- */

/* The entry that changed after the translation was made, the first in the order of a walk. */
static void find_change(struct vtlb *t, const struct walk_trail *tr, struct suspect *s)
{
	for (u32 i = 0; i < tr->n; i++) {
		const struct entry_write *r = watch_find_write(t, tr->step[i].at, s->stamp);

		if (!r)
			continue;
		s->by = *r;
		s->level = tr->step[i].level;
		s->is_ept = tr->step[i].is_ept;
		return;
	}
}

static u32 leaf_level(const struct suspect *s)
{
	u32 c = leaf_class(s->leaf);

	/* A large page of 32-bit paging is in the class of 1 GiB. */
	return c == LEAF_CLASS_1G && !(s->ctx.efer & EFER_LMA) ? 2 : c + 1;
}

static enum stale_missing missing_of(const struct suspect *s, enum vtlb_status status,
				     u64 fresh_guest_gpa)
{
	if (!s->by.at) { /* nobody saw the change */
		if (!s->ctx.eptp)
			return s->ctx.vpid ? STALE_MISSING_INVLPG_OR_INVVPID : STALE_MISSING_INVLPG;
		if (status == VTLB_EPT_VIOLATION || status == VTLB_EPT_MISCONFIG)
			return STALE_MISSING_INVEPT;
		if (status == VTLB_PAGE_FAULT)
			return STALE_MISSING_INVLPG;
		if (s->held_guest_gpa == VTLB_NO_GPA)
			return STALE_MISSING_UNKNOWN;
		return s->held_guest_gpa == (fresh_guest_gpa & PAGE_MASK) ? STALE_MISSING_INVEPT
									  : STALE_MISSING_INVLPG;
	}
	if (s->is_ept)
		return STALE_MISSING_INVEPT;
	/* Tables that their user's hypervisor writes, from outside. */
	if (s->by.vp != VTLB_NO_VP &&
	    (s->ctx.eptp ? s->by.eptp != s->ctx.eptp : s->by.vpid == 0 && s->ctx.vpid != 0))
		return STALE_MISSING_INVVPID;
	if (s->level > leaf_level(s))
		return STALE_MISSING_CR3;
	if (s->leaf & LEAF_G)
		return STALE_MISSING_GLOBAL;
	return s->by.vp == VTLB_NO_VP || s->by.pcid == inval_pcid(&s->ctx) ? STALE_MISSING_INVLPG
									   : STALE_MISSING_INVPCID;
}

static bool is_known(const struct stale *st, u64 serial, u64 page)
{
	for (u32 i = 0; i < st->n; i++)
		if (st->suspect[i].page == page && st->suspect[i].serial == serial)
			return true;
	return is_reported(st, serial, page);
}

/* The lock is held. */
static void suspect(struct vtlb_vp *v, u64 gva, const struct hit *h, u64 gpa, const struct walk *w,
		    enum vtlb_status status)
{
	struct vtlb_vp_priv *p = v->priv;
	struct stale *st = p->stale;
	u64 page = gva >> PAGE_SHIFT;

	if (is_known(st, p->sas->serial, page))
		return;
	count(&p->t->stats.stale_suspects);
	if (st->n == SUSPECTS)
		judge(v);
	if (st->n == SUSPECTS) {
		count(&p->t->stats.stale_lost);
		return;
	}
	struct suspect *s = &st->suspect[st->n];

	*s = (struct suspect){
		.ctx = v->ctx,
		.serial = p->sas->serial,
		.page = page,
		.leaf = h->leaf,
		.stamp = h->stamp,
		.rip = w->access & VTLB_EXEC || !v->where ? gva : v->where(v->owner),
		.since_ns = watch_now_ns(v),
		.round_ns = watch_now_ns(v),
		.held_gpa = gpa,
		.held_guest_gpa = held_guest_gpa(p, gva),
		.fresh_gpa = status <= VTLB_MMIO ? w->gpa : VTLB_NO_GPA,
		.access = w->access,
	};
	find_change(p->t, w->trail, s);
	s->missing = missing_of(s, status, w->guest_gpa);
	/* Rights alone were taken away: the frame is still this page's, its use proves nothing. */
	s->is_moved = !(s->by.at && s->level == leaf_level(s) &&
			!((s->by.old ^ s->by.new) & GENMASK(51, 12)) && s->by.new & 1);
	if (s->is_moved)
		watch_old_frame(v, gpa & PAGE_MASK);
	__atomic_store_n(&st->n, st->n + 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->t->n_suspects, 1, __ATOMIC_RELAXED);
	st->countdown = POLL_EVERY;
}

u32 stale_check(struct vtlb_vp *v, u64 gva, u32 access, const struct hit *h, u64 gpa)
{
	struct vtlb_vp_priv *p = v->priv;
	struct vtlb *t = p->t;
	struct walk_trail trail;
	struct walk w = {.env = &t->env, .ctx = &v->ctx, .access = access, .trail = &trail};
	enum vtlb_status status = walk_linear(&w, gva);
	bool is_fresh = status <= VTLB_MMIO && w.gpa == gpa;
	bool is_watched = watch_trail(v, &trail, is_fresh);

	if (likely(is_fresh))
		return is_watched ? leaf_prot(p->perm, p->pkru, w.attr, access) : 0;
	watch_lock(t);
	suspect(v, gva, h, gpa, &w, status);
	watch_unlock(t);
	return 0;
}
