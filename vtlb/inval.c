/*
 * Invalidation. Every invalidation by a VP is a new generation and one raised floor of
 * that VP; nothing is searched, nothing is waited for, other VPs keep what they have until they
 * invalidate themselves, as on real processors.
 *
 * Sources: SDM 3A "Invalidation of TLBs and Paging-Structure Caches"; SDM 3C "Caching Translation
 * Information", INVEPT, INVVPID; SDM 2 INVLPG, INVPCID.
 */
#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"
#include "vtlb/priv.h"

#define INVPCID_ADDRESS 0
#define INVPCID_SINGLE 1
#define INVPCID_ALL_GLOBAL 2
#define INVVPID_ADDRESS 0
#define INVVPID_SINGLE 1
#define INVVPID_ALL 2
#define INVEPT_SINGLE 1

static u64 *floor_vpid(struct vtlb_vp_priv *p, u16 vpid)
{
	return &p->floor_vpid[vpid & (VPID_FLOORS - 1)];
}
static u64 *floor_vpid_ng(struct vtlb_vp_priv *p, u16 vpid)
{
	return &p->floor_vpid_ng[vpid & (VPID_FLOORS - 1)];
}
static u64 *floor_pcid(struct vtlb_vp_priv *p, u16 vpid, u16 pcid)
{
	return &p->floor_pcid[(pcid + vpid * 37u) & (PCID_FLOORS - 1)];
}
static u64 *floor_ept(struct vtlb_vp_priv *p, u64 eptp)
{
	return &p->floor_ept[hash_bits(eptp >> PAGE_SHIFT, 6)];
}

/* Only the VP itself writes its floors; the detector reads those of others. */
static u64 floor_load(const u64 *floor)
{
	return __atomic_load_n(floor, __ATOMIC_RELAXED);
}
static void floor_store(u64 *floor, u64 gen)
{
	__atomic_store_n(floor, gen, __ATOMIC_RELAXED);
}

struct floors inval_floors(const struct vtlb_vp *v, const struct vtlb_context *ctx)
{
	struct vtlb_vp_priv *p = v->priv;
	struct floors f;
	u64 floor = MAX(floor_load(&v->floor), floor_load(floor_vpid(p, ctx->vpid)));

	if (ctx->eptp)
		floor = MAX(floor, MAX(floor_load(&p->floor_ept_all),
				       floor_load(floor_ept(p, ctx->eptp))));
	f.g = floor;
	f.t = MAX(floor, floor_load(floor_vpid_ng(p, ctx->vpid)));
	f.ng = MAX(f.t, floor_load(floor_pcid(p, ctx->vpid, inval_pcid(ctx))));
	return f;
}

void inval_update_floors(struct vtlb_vp *v)
{
	struct vtlb_vp_priv *p = v->priv;
	struct floors f = inval_floors(v, &v->ctx);

	p->floor_g = f.g;
	p->floor_t = f.t;
	p->floor_ng = f.ng;
	p->floor_link = MAX(f.ng, p->floor_address);
}

/* ---- invalidation ---- */

/* The detector looks at what is overdue before an invalidation covers it. */
static void settle(struct vtlb_vp *v)
{
	if (unlikely(v->priv->stale))
		stale_settle(v);
}

static void tell(struct vtlb_vp *v, enum inval_scope scope, u64 gva, u64 root, u32 tag)
{
	VTLB_EVENT(v, tlb_flush, .scope = scope, .gva = gva, .root = root, .tag = tag);
}

/* Raise @floor: everything below it that was filled so far is gone for @v. */
static void raise(struct vtlb_vp *v, u64 *floor)
{
	settle(v);
	vtlb_count(&v->n_flush);
	floor_store(floor, gen_invalidate(v->priv->t));
	inval_update_floors(v);
}

/*
 * Everything non-global of a PCID of the present VPID. Translations whose tables are tracked stay,
 * but not while another VP is in the middle of a write to such a table: this VP may have seen the
 * store, and what it stands for is still there. Pointers into SPTs may lead past a link that a
 * write has cut.
 */
static void raise_pcid(struct vtlb_vp *v, u16 pcid)
{
	struct vtlb_vp_priv *p = v->priv;

	tell(v, INVAL_PCID, 0, 0, pcid);
	raise(v, floor_pcid(p, v->ctx.vpid, pcid));
	if (!p->t->gpt || !p->t->is_mp)
		return;
	vtlb_write_done(v);
	if (unlikely(gpt_write_is_under_way(p->t, v))) {
		vtlb_count_shared(&p->t->stats.gpt_unsettled);
		raise(v, floor_vpid_ng(p, v->ctx.vpid));
	}
	fill_forget_regions(p);
}

/* One linear address, in whatever PCID, VPID and EPTP: more than asked for, which is allowed. */
static u64 raise_gva(struct vtlb_vp *v, u64 gva)
{
	struct vtlb_vp_priv *p = v->priv;

	settle(v);
	u64 g = gen_invalidate(p->t);

	tell(v, INVAL_PAGE, gva, 0, 0);
	vtlb_count(&v->n_inval);
	p->floor_address = p->floor_link = g;
	for (u32 c = 0; c < LEAF_CLASS_COUNT; c++)
		floor_store(inval_gva_floor(p, c, gva), g);
	return g;
}

/* In every view: global pages are in all of them, and @gva may be one of another PCID or VPID. */
static void drop_soft(struct vtlb_vp *v, u64 gva)
{
	if (v->flush_soft_page) {
		v->flush_soft_page(v->owner, gva);
	} else {
		gen_flush_soft(v);
		view_forget_soft(v->priv);
	}
}

void vtlb_invlpg(struct vtlb_vp *v, u64 gva)
{
	gva &= v->priv->gva_mask;
	u64 g = raise_gva(v, gva);

	if (unlikely(v->priv->held))
		held_invlpg(v->priv, gva, v->ctx.vpid, inval_pcid(&v->ctx), g);
	drop_soft(v, gva);
}

/*
 * A load without flush may select tables for a PCID that other tables had before. Leaves are kept
 * by root, so these do not mix; INVLPG and the like reach both, since floors are kept by PCID and
 * by address.
 */
void vtlb_cr3_load(struct vtlb_vp *v, u64 old_cr3, bool no_flush)
{
	if (no_flush)
		return;
	if (v->priv->t->gpt)
		gpt_track_listed(v);
	raise_pcid(v, inval_pcid(&v->ctx));
	gen_flush_soft(v);
}

void vtlb_flush(struct vtlb_vp *v, bool global)
{
	tell(v, global ? INVAL_ALL : INVAL_NON_GLOBAL, 0, 0, v->ctx.vpid);
	raise(v, global ? floor_vpid(v->priv, v->ctx.vpid) : floor_vpid_ng(v->priv, v->ctx.vpid));
	gen_flush_soft(v);
}

void vtlb_invpcid(struct vtlb_vp *v, u32 type, u16 pcid, u64 gva)
{
	u64 g;

	switch (type) {
	case INVPCID_ADDRESS:
		gva &= v->priv->gva_mask;
		g = raise_gva(v, gva);
		if (unlikely(v->priv->held))
			held_invpcid(v->priv, gva, v->ctx.vpid, pcid, g);
		drop_soft(v, gva);
		return;
	case INVPCID_SINGLE: raise_pcid(v, pcid); break;
	case INVPCID_ALL_GLOBAL: vtlb_flush(v, true); return;
	default: vtlb_flush(v, false); return; /* all contexts, global translations stay */
	}
	gen_flush_soft(v);
}

void vtlb_invvpid(struct vtlb_vp *v, u32 type, u16 vpid, u64 gva)
{
	u64 g;

	switch (type) {
	case INVVPID_ADDRESS:
		g = raise_gva(v, gva);
		if (unlikely(v->priv->held))
			held_invvpid(v->priv, gva, vpid, g);
		drop_soft(v, gva);
		return;
	case INVVPID_SINGLE:
		tell(v, INVAL_VPID, 0, 0, vpid);
		raise(v, floor_vpid(v->priv, vpid));
		break;
	case INVVPID_ALL: /* every VPID but 0 */
		tell(v, INVAL_ALL, 0, 0, 0);
		settle(v);
		vtlb_count(&v->n_flush);
		g = gen_invalidate(v->priv->t);
		for (u32 i = 0; i < VPID_FLOORS; i++)
			floor_store(&v->priv->floor_vpid[i], g);
		inval_update_floors(v);
		break;
	default: /* one VPID, global translations stay */
		tell(v, INVAL_NON_GLOBAL, 0, 0, vpid);
		raise(v, floor_vpid_ng(v->priv, vpid));
		break;
	}
	gen_flush_soft(v);
}

void vtlb_invept(struct vtlb_vp *v, u32 type, u64 eptp)
{
	tell(v, type == INVEPT_SINGLE ? INVAL_EPT : INVAL_EPT_ALL, 0,
	     type == INVEPT_SINGLE ? eptp : 0, 0);
	raise(v, type == INVEPT_SINGLE ? floor_ept(v->priv, eptp) : &v->priv->floor_ept_all);
	if (v->ctx.eptp)
		gen_flush_soft(v);
}

void vtlb_flush_vpid(struct vtlb_vp *v, u16 vpid)
{
	tell(v, INVAL_VPID, 0, 0, vpid);
	raise(v, floor_vpid(v->priv, vpid));
	if (vpid == v->ctx.vpid)
		gen_flush_soft(v);
}
