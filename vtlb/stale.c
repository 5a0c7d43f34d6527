/*
 * The detector of missing invalidations (--detect-stale).
 *
 * Each VP holds what it used last (held.c) as a real processor would, no soft TLB hides a use, and
 * every use of a cached translation is compared with a walk. A suspect is a use that the tables no
 * longer allow, or that leads to another frame; what they allow in addition, and accessed and dirty
 * bits, make none. Guests may use a translation for a while after they changed the entry: a
 * shootdown is on its way. So a suspect is judged later: if the VP has executed an invalidation
 * that covers it, nothing was wrong. If GRACE_NS of guest time pass without, it is reported, once
 * for a page of an address space.
 *
 * Floors are hashed, so an invalidation of something else can clear a suspect by chance: a fault
 * can be missed, a correct guest is not accused by it.
 */
#include "l0/base/log.h"
#include "trace/transition.h"
#include "vtlb/priv.h"

#define GRACE_NS (10 * 1000 * 1000ull)
#define POLL_EVERY 256u /* translations */

static u64 now_ns(const struct vtlb_vp *v)
{
	return v->trace && v->trace->now ? v->trace->now(v->trace) : v->n_translate;
}

static void count(u64 *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Has @v made the translation of @s unusable for itself? */
static bool is_covered(const struct vtlb_vp *v, const struct suspect *s)
{
	struct floors f = inval_floors(v, &s->ctx);

	return s->base + (s->leaf >> LEAF_STAMP_SHIFT) < (s->leaf & LEAF_G ? f.g : f.ng);
}

static bool is_covered_by_address(const struct vtlb_vp *v, const struct suspect *s)
{
	u64 *floor = inval_gva_floor(v->priv, leaf_class(s->leaf), s->page << PAGE_SHIFT);

	return s->base + (s->leaf >> LEAF_STAMP_SHIFT) < __atomic_load_n(floor, __ATOMIC_RELAXED);
}

/* Another VP that has invalidated it by address, or NULL. */
static const struct vtlb_vp *other_that_did(const struct vtlb_vp *self, const struct suspect *s)
{
	struct vtlb *t = self->priv->t;

	for (u32 i = 0; i < t->cfg.max_vps; i++)
		if (t->vp[i] && t->vp[i] != self && is_covered_by_address(t->vp[i], s))
			return t->vp[i];
	return NULL;
}

static bool is_reported(const struct stale *st, u64 serial, u64 page)
{
	for (u32 i = 0; i < MIN(st->n_reported, REPORTED); i++)
		if (st->reported[i].serial == serial && st->reported[i].page == page)
			return true;
	return false;
}

static void report(struct vtlb_vp *v, const struct suspect *s)
{
	struct stale *st = v->priv->stale;
	const struct vtlb_vp *other = other_that_did(v, s);
	const char *access = s->access & VTLB_WRITE ? "write" : s->access & VTLB_EXEC ? "fetch" : "read";
	u32 at = st->n_reported++ % REPORTED;

	st->reported[at].serial = s->serial;
	st->reported[at].page = s->page;
	count(&v->priv->t->stats.stale_reports);
	log_warn(LOG_VTLB,
		 "stale translation used: processor %u, %s at rip %#llx of page %#llx (cr3 %#llx, eptp "
		 "%#llx, vpid %u) went to frame %#llx; the tables %s%#llx",
		 v->id, access, (unsigned long long)s->rip,
		 (unsigned long long)(s->page << PAGE_SHIFT), (unsigned long long)s->ctx.cr3,
		 (unsigned long long)s->ctx.eptp, s->ctx.vpid,
		 (unsigned long long)(s->held_gpa & PAGE_MASK),
		 s->fresh_gpa == VTLB_NO_GPA ? "do not allow it; cached at generation " : "lead to ",
		 (unsigned long long)(s->fresh_gpa == VTLB_NO_GPA ? s->base + (s->leaf >> LEAF_STAMP_SHIFT)
								  : s->fresh_gpa & PAGE_MASK));
	if (other)
		log_warn(LOG_VTLB,
			 "  missing: %s on processor %u (processor %u has executed one: the shootdown did "
			 "not reach this one)",
			 s->missing, v->id, other->id);
	else
		log_warn(LOG_VTLB, "  missing: %s on processor %u, for 10 ms since the use", s->missing,
			 v->id);
}

static void judge(struct vtlb_vp *v)
{
	struct stale *st = v->priv->stale;
	u64 now = now_ns(v);
	u32 kept = 0;

	for (u32 i = 0; i < st->n; i++) {
		struct suspect *s = &st->suspect[i];

		if (is_covered(v, s) || is_covered_by_address(v, s))
			count(&v->priv->t->stats.stale_cleared);
		else if (now - s->since_ns >= GRACE_NS)
			report(v, s);
		else if (kept++ != i)
			st->suspect[kept - 1] = *s;
	}
	st->n = kept;
}

void stale_poll(struct vtlb_vp *v)
{
	struct stale *st = v->priv->stale;

	if (likely(!st->n) || st->countdown-- != 0)
		return;
	st->countdown = POLL_EVERY;
	judge(v);
}

/* What the tables say now is @status; @fresh is valid unless that is a fault. */
static const char *missing_instruction(const struct vtlb_vp *v, u64 gva, enum vtlb_status status,
				       const struct vtlb_xl *fresh)
{
	u64 held = held_guest_gpa(v->priv, gva);

	if (!v->ctx.eptp)
		return v->ctx.vpid ? "INVLPG, or INVVPID of its hypervisor" : "INVLPG (or MOV CR3, INVPCID)";
	if (status == VTLB_EPT_VIOLATION || status == VTLB_EPT_MISCONFIG)
		return "INVEPT";
	if (status == VTLB_PAGE_FAULT)
		return "INVLPG (or MOV CR3, INVPCID)";
	if (held == VTLB_NO_GPA)
		return "INVLPG or INVEPT";
	return held == (fresh->guest_gpa & PAGE_MASK) ? "INVEPT" : "INVLPG (or MOV CR3, INVPCID)";
}

void stale_check(struct vtlb_vp *v, u64 gva, u32 access, const struct hit *h, u64 gpa)
{
	struct vtlb_vp_priv *p = v->priv;
	struct stale *st = p->stale;
	struct vtlb_xl fresh;
	struct vtlb_fault fault;
	u64 page = gva >> PAGE_SHIFT;
	enum vtlb_status status = vtlb_peek(v, gva, access, &fresh, &fault);

	if (likely(status <= VTLB_MMIO && fresh.gpa == gpa))
		return;
	for (u32 i = 0; i < st->n; i++)
		if (st->suspect[i].page == page && st->suspect[i].serial == p->sas->serial)
			return;
	if (is_reported(st, p->sas->serial, page))
		return;
	count(&p->t->stats.stale_suspects);
	if (st->n == SUSPECTS)
		judge(v);
	if (st->n == SUSPECTS) {
		count(&p->t->stats.stale_lost);
		return;
	}
	st->suspect[st->n++] = (struct suspect){
		.ctx = v->ctx,
		.serial = p->sas->serial,
		.page = page,
		.leaf = h->leaf,
		.base = h->stamp - (h->leaf >> LEAF_STAMP_SHIFT),
		.rip = access & VTLB_EXEC || !v->where ? gva : v->where(v->owner),
		.since_ns = now_ns(v),
		.held_gpa = gpa,
		.fresh_gpa = status <= VTLB_MMIO ? fresh.gpa : VTLB_NO_GPA,
		.missing = missing_instruction(v, gva, status, &fresh),
		.access = access,
	};
	st->countdown = POLL_EVERY;
}
