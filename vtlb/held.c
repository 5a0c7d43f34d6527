/*
 * What a VP holds of its own: adversarial mode, and the detector of missing invalidations.
 *
 * Shadow page tables are shared, so a translation that another VP walked for anew reaches every VP
 * at once; a real processor would go on with its old one. Here each VP keeps what it used last by
 * page, and uses it before anything shared, as long as its floors allow: until the VP itself
 * executes what the SDM says invalidates it.
 */
#include "l0/base/hash.h"
#include "vtlb/priv.h"

static struct held *slot_of(const struct vtlb_vp_priv *p, u64 page)
{
	return &p->held[hash_combine(page, p->sas->serial) & (HELD_SLOTS - 1)];
}

bool held_find(struct vtlb_vp_priv *p, u64 gva, u32 access, struct hit *h)
{
	u64 page = gva >> PAGE_SHIFT;
	const struct held *e = slot_of(p, page);
	u64 floor = e->leaf & LEAF_G ? p->floor_g : p->floor_ng;
	u64 stamp = e->base + (e->leaf >> LEAF_STAMP_SHIFT);

	if (e->serial != p->sas->serial || e->page != page || stamp < floor ||
	    stamp < *inval_gva_floor(p, leaf_class(e->leaf), gva) ||
	    access & VTLB_ACCESS_MASK & ~leaf_prot(p->perm, p->pkru, e->leaf, access))
		return false;
	*h = (struct hit){.leaf = e->leaf, .stamp = stamp, .shift = e->shift};
	return true;
}

void held_put(struct vtlb_vp_priv *p, u64 gva, const struct hit *h, u64 guest_gpa)
{
	u64 page = gva >> PAGE_SHIFT;

	/* A tracked leaf outlives MOV CR3 only because a write to its tables removes it; this copy
	 * is not removed. */
	*slot_of(p, page) = (struct held){.serial = p->sas->serial,
					  .page = page,
					  .leaf = h->leaf & ~LEAF_T,
					  .base = h->stamp - (h->leaf >> LEAF_STAMP_SHIFT),
					  .guest_gpa = guest_gpa,
					  .shift = h->shift};
}

u64 held_guest_gpa(const struct vtlb_vp_priv *p, u64 gva)
{
	const struct held *e = slot_of(p, gva >> PAGE_SHIFT);

	return e->serial == p->sas->serial && e->page == gva >> PAGE_SHIFT ? e->guest_gpa : VTLB_NO_GPA;
}
