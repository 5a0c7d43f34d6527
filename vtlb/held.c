/*
 * What a VP holds of its own: adversarial mode, and the detector of missing invalidations.
 *
 * Shadow page tables are shared, so a translation that another VP walked for anew reaches every VP
 * at once; a real processor would go on with its old one. Here each VP keeps what it used last by
 * page, and uses it before anything shared, as long as its floors allow: until the VP itself
 * executes what the SDM says invalidates it.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/base/hash.h"
#include "vtlb/priv.h"

/*
 * Floors by address of their own, exact where those of inval.c cover more than asked for: INVLPG
 * and INVPCID leave other PCIDs what they have, all leave other VPIDs.
 */
enum { TAG_GLOBAL = 0x1000, TAG_ALL }; /* above PCIDs: global translations; every PCID */

int held_init(struct vtlb_vp_priv *p)
{
	p->held = calloc(HELD_SLOTS, sizeof(*p->held));
	p->held_floor = calloc(LEAF_CLASS_COUNT * HELD_FLOORS, sizeof(*p->held_floor));
	return p->held && p->held_floor ? 0 : -ENOMEM;
}

void held_fini(struct vtlb_vp_priv *p)
{
	free(p->held);
	free(p->held_floor);
}

static u64 *floor_of(const struct vtlb_vp_priv *p, u32 page_class, u64 gva, u16 vpid, u32 tag)
{
	static const u8 shift[LEAF_CLASS_COUNT] = {12, 21, 30};
	u64 key = hash_combine(gva >> shift[page_class], (u64)vpid << 16 | tag);

	return &p->held_floor[page_class * HELD_FLOORS + (key & (HELD_FLOORS - 1))];
}

static u64 load(const u64 *floor)
{
	return __atomic_load_n(floor, __ATOMIC_RELAXED);
}

u64 held_floor(const struct vtlb_vp_priv *p, const struct vtlb_context *ctx, u64 leaf, u64 gva)
{
	u32 c = leaf_class(leaf), tag = leaf & LEAF_G ? (u32)TAG_GLOBAL : inval_pcid(ctx);

	return MAX(load(floor_of(p, c, gva, ctx->vpid, tag)),
		   load(floor_of(p, c, gva, ctx->vpid, TAG_ALL)));
}

static void raise(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u32 tag, u64 gen)
{
	for (u32 c = 0; c < LEAF_CLASS_COUNT; c++)
		__atomic_store_n(floor_of(p, c, gva, vpid, tag), gen, __ATOMIC_RELAXED);
}

void held_invlpg(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u16 pcid, u64 gen)
{
	raise(p, gva, vpid, pcid, gen);
	raise(p, gva, vpid, TAG_GLOBAL, gen);
}

void held_invpcid(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u16 pcid, u64 gen)
{
	raise(p, gva, vpid, pcid, gen);
}

void held_invvpid(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u64 gen)
{
	raise(p, gva, vpid, TAG_ALL, gen);
}

static struct held *slot_of(const struct vtlb_vp_priv *p, u64 page)
{
	return &p->held[hash_combine(page, p->sas->serial) & (HELD_SLOTS - 1)];
}

bool held_find(const struct vtlb_vp *v, u64 gva, u32 access, struct hit *h)
{
	const struct vtlb_vp_priv *p = v->priv;
	u64 page = gva >> PAGE_SHIFT;
	const struct held *e = slot_of(p, page);
	u64 floor = e->leaf & LEAF_G ? p->floor_g : p->floor_ng;
	u64 stamp = e->base + (e->leaf >> LEAF_STAMP_SHIFT);

	if (e->serial != p->sas->serial || e->page != page || stamp < floor ||
	    stamp < held_floor(p, &v->ctx, e->leaf, gva) ||
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

	return e->serial == p->sas->serial && e->page == gva >> PAGE_SHIFT ? e->guest_gpa
									   : VTLB_NO_GPA;
}
