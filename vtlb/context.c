/*
 * Contexts: which address space and which rights a VP translates with.
 *
 * A VP that runs a hypervisor changes context at every exit and entry, and mostly to one it had
 * just before. So it keeps a few views: a context with its address space pinned and the name of
 * what its soft TLB held. Coming back to a view takes no lock and no look-up of the address space,
 * and loses nothing in the soft TLB, provided that no invalidation reached the view meanwhile: its
 * floors are what they were. What is invalidated by address the soft TLB forgets in every view.
 */
#include "l0/base/mem_ops.h"
#include "vtlb/priv.h"

static void make_key(struct vtlb *t, const struct vtlb_context *ctx, struct sas_key *k)
{
	enum walk_mode mode = walk_mode_of(ctx);

	nm_zero(k, sizeof(*k));
	k->mode = mode;
	k->eptp = ctx->eptp;
	k->vpid = ctx->vpid;
	if (ctx->mbec && ctx->eptp)
		k->mode |= SAS_MODE_MBEC;
	if (mode == WALK_OFF)
		return;
	k->pcid = inval_pcid(ctx);
	if (mode == WALK_PAE) {
		for (u32 i = 0; i < 4; i++)
			k->pdpte[i] = ctx->pdpte[i];
	} else {
		k->root = ctx->cr3 & t->env.phys_mask;
	}
	if (ctx->efer & EFER_NXE)
		k->mode |= SAS_MODE_NXE;
	if (ctx->cr4 & CR4_PSE)
		k->mode |= SAS_MODE_PSE;
	if (ctx->cr4 & CR4_PGE)
		k->mode |= SAS_MODE_PGE;
}

/* The PDPTEs count only where PAE paging is on; elsewhere they may hold anything. */
static bool same_root(const struct vtlb_context *a, const struct vtlb_context *b)
{
	const u64 cr4 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE;

	if (a->cr3 != b->cr3 || a->eptp != b->eptp || a->vpid != b->vpid || a->mbec != b->mbec ||
	    (a->cr0 ^ b->cr0) & CR0_PG || (a->cr4 ^ b->cr4) & cr4 ||
	    (a->efer ^ b->efer) & (EFER_LMA | EFER_NXE))
		return false;
	if (likely(a->efer & EFER_LMA) || !(a->cr4 & CR4_PAE))
		return true;
	return nm_equal(a->pdpte, b->pdpte, sizeof(a->pdpte));
}

/* ---- views ---- */

void view_forget_soft(struct vtlb_vp_priv *p)
{
	p->soft_epoch++;
}

/* Lock held. */
void view_drop_others(struct vtlb_vp_priv *p)
{
	for (u32 i = 0; i < VIEWS; i++) {
		struct view *w = &p->view[i];

		if (i == p->current || !w->is_used)
			continue;
		if (w->sas)
			w->sas->users--;
		w->is_used = false;
	}
}

static void leave(struct vtlb_vp *v)
{
	struct vtlb_vp_priv *p = v->priv;
	struct view *w = &p->view[p->current];

	w->soft_mark = v->soft_mark ? v->soft_mark(v->owner) : 0;
	w->floor_ng = p->floor_ng;
	w->floor_g = p->floor_g;
	w->soft_epoch = p->soft_epoch;
}

static struct view *find_view(struct vtlb_vp_priv *p, const struct vtlb_context *ctx, u32 perm,
			      u32 pkru)
{
	for (u32 i = 0; i < VIEWS; i++) {
		struct view *w = &p->view[i];

		if (w->ctx.cr3 == ctx->cr3 && w->is_used && w->perm == perm && w->pkru == pkru &&
		    same_root(&w->ctx, ctx))
			return w;
	}
	return NULL;
}

static struct view *make_view(struct vtlb_vp *v, const struct vtlb_context *ctx, u32 perm, u32 pkru)
{
	struct vtlb_vp_priv *p = v->priv;
	u32 victim = p->next_victim++ % VIEWS;

	if (victim == p->current)
		victim = p->next_victim++ % VIEWS;
	struct view *w = &p->view[victim];
	struct sas *old = w->is_used ? w->sas : NULL;

	w->sas = NULL;
	if (ctx->cr0 & CR0_PG || ctx->eptp) {
		struct sas_key key;

		make_key(p->t, ctx, &key);
		w->sas = sas_switch(p->t, old, &key);
	} else if (old) {
		sas_put(p->t, old);
	}
	w->is_used = true;
	w->ctx = *ctx;
	w->perm = perm;
	w->pkru = pkru;
	w->region_gen = 0;
	w->soft_epoch = p->soft_epoch - 1; /* no contents of it yet */
	return w;
}

/* Make @w the present view; its floors may have risen since it was left. */
static void enter(struct vtlb_vp *v, struct view *w)
{
	struct vtlb_vp_priv *p = v->priv;

	p->current = (u32)(w - p->view);
	p->sas = w->sas;
	v->sas = w->sas;
	p->perm = w->perm;
	p->pkru = w->pkru;
	p->gva_mask = v->ctx.efer & EFER_LMA ? ~0ull : 0xffffffff;
	if (!w->region_gen)
		w->region_gen = fill_new_region_gen(p);
	p->region_gen = w->region_gen;
	inval_update_floors(v);
	if (!v->soft_return || w->soft_epoch != p->soft_epoch || w->floor_ng != p->floor_ng ||
	    w->floor_g != p->floor_g || !v->soft_return(v->owner, w->soft_mark))
		gen_flush_soft(v);
}

void vtlb_set_context(struct vtlb_vp *v, const struct vtlb_context *ctx)
{
	struct vtlb_vp_priv *p = v->priv;
	u32 perm = walk_perm_of(ctx), pkru = perm & PERM_PKE ? ctx->pkru : 0;

	if (perm == p->perm && pkru == p->pkru && same_root(&v->ctx, ctx)) {
		v->ctx = *ctx;
		return;
	}
	leave(v);
	struct view *w = find_view(p, ctx, perm, pkru);

	if (!w)
		w = make_view(v, ctx, perm, pkru);
	v->ctx = *ctx;
	enter(v, w);
}
