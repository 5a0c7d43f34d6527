/*
 * The periodic pass: the shadow page tables of the running address space are brought into line with
 * the guest's tables, a few leaves at a time.
 *
 * A leaf that the tables no longer give is taken out, long before anybody invalidates it (always
 * allowed: a processor may forget a translation at any time). One that a flush has ended for this
 * VP, or that differs in what it allows, is made anew, so that no miss comes of it. Both as a fill
 * would: the generation first, then a walk, then a store that gives way to anything newer. The walk
 * sets no accessed or dirty bit: where one lacks, no translation may be made before an access
 * comes, so the leaf goes instead.
 *
 * What is marked LEAF_T agrees with the tables already (track_gpt.c) and is passed over. The pass
 * runs between two translations of a VP, once for so many walks of it: a guest that has nothing to
 * walk for has nothing to gain. Its cost is bounded by the walks that it may make itself.
 */
#include "vtlb/priv.h"

#define LOOKS 192u /* slots by step */
#define WALKS 12u

struct pass {
	struct vtlb_vp *v;
	u64 at; /* index bits of the next linear address */
	u32 looks, walks, renewed, pruned;
};

/* A slot and what it held, with the bits of linear addresses that it stands for. */
struct found {
	_Atomic u64 *slot;
	u64 value, base;
	u32 shift;
};

/* The leaf at p->at, or else what is there instead: the slot that ends the way down. */
static struct found look(struct pass *p)
{
	struct vtlb_vp_priv *vp = p->v->priv;
	struct vtlb *t = vp->t;
	u32 level = vp->sas->levels + 1;
	struct found f = {.slot = &vp->sas->root, .shift = 3 + 9 * level};

	for (;;) {
		f.value = __atomic_load_n((const u64 *)f.slot, __ATOMIC_ACQUIRE);
		if (!slot_is_link(f.value))
			return f;
		u32 index = spt_index(f.value);

		if (f.value & SLOT_SHARED)
			index = share_stamp(f.value, f.base) >= vp->floor_link
					? share_spt(t, f.value)
					: SPT_NONE;
		if (index == SPT_NONE) { /* it may be another address space's by now */
			f.value = 0;
			return f;
		}
		level--;
		f.shift = 3 + 9 * level;
		f.base = t->meta[index].base;
		f.slot = &spt_of(t, index)->slot[p->at >> f.shift & (SPT_SLOTS - 1)];
	}
}

static void bring_into_line(struct pass *p, const struct found *f, u64 gva)
{
	struct vtlb *t = p->v->priv->t;
	u64 gen = gen_now(t), leaf = f->value;
	struct walk w;

	p->walks++;
	walk_init(&w, &t->env, &p->v->ctx, 0, false, NULL);
	if (walk_linear(&w, gva) <= VTLB_MMIO && !w.lacks_bits && fill_again(p->v, gva, &w, gen))
		p->renewed++;
	else if (__atomic_compare_exchange_n((u64 *)f->slot, &leaf, t->gpt ? slot_empty(gen) : 0,
					     false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		p->pruned++;
}

void refresh_step(struct vtlb_vp *v)
{
	struct vtlb_vp_priv *vp = v->priv;
	struct vtlb *t = vp->t;
	struct sas *s = vp->sas;

	if (!s || spt_is_scarce(t))
		return;
	u32 bits = PAGE_SHIFT + 9 * s->levels;
	struct pass p = {.v = v, .at = __atomic_load_n(&s->refresh_at, __ATOMIC_RELAXED)};

	while (p.looks++ < LOOKS && p.walks < WALKS) {
		struct found f = look(&p);
		u64 stamp = f.base + (f.value >> LEAF_STAMP_SHIFT);
		bool is_right = f.value & LEAF_T && stamp >= vp->floor_t;

		if (slot_is_leaf(f.value) && !is_right)
			bring_into_line(&p, &f,
					s->levels > 3 ? (u64)sign_extend(p.at, bits) : p.at);
		p.at = ((p.at | mask_low(f.shift)) + 1) & mask_low(bits);
	}
	__atomic_store_n(&s->refresh_at, p.at, __ATOMIC_RELAXED);
	vtlb_count_shared(&t->stats.refresh_steps);
	__atomic_fetch_add(&t->stats.refreshed, p.renewed, __ATOMIC_RELAXED);
	__atomic_fetch_add(&t->stats.refresh_pruned, p.pruned, __ATOMIC_RELAXED);
	VTLB_EVENT(v, tlb_refresh, .gva = p.at, .looked = p.looks, .renewed = p.renewed,
		   .pruned = p.pruned);
}
