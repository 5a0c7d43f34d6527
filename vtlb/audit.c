/*
 * Audit: what has to hold.
 *
 * Each hit is compared with a fresh walk. A difference is legal as long as the guest changed its
 * tables and has not invalidated; a guest, or a test, that always does must show none.
 *
 * And all that is linked to each other inside: the tree of every address space, lists, limbo, pins,
 * the accounts of memory, generations, guards. That needs VPs that stand still.
 */
#include <stdlib.h>

#include "l0/base/log.h"
#include "vtlb/priv.h"

#define STRUCTURE_EVERY 0x10000u /* translations */

enum place { ON_LIST = 1, IN_LIMBO, IS_ROOT };

struct audit {
	struct vtlb *t;
	u8 *place; /* [n_spts], enum place; 0: free, or a top that nobody links */
	u8 *seen;  /* [n_spts]: reached in the tree of the present address space */
	u64 gen;
	u32 n_used;
	const char *broken; /* the first rule that does not hold */
};

static bool holds(struct audit *a, bool ok, const char *rule)
{
	if (unlikely(!ok) && !a->broken)
		a->broken = rule;
	return ok;
}

/* ---- lists ---- */

static void put_in(struct audit *a, u32 index, enum place place)
{
	if (!holds(a, index && index < a->t->n_spts, "an index is in the pool") ||
	    !holds(a, !a->place[index], "an SPT is in one place only"))
		return;
	a->place[index] = place;
	a->n_used++;
}

static void check_list(struct audit *a, const struct sas *s, u32 levels)
{
	struct vtlb *t = a->t;
	u32 n = 0, prev = SPT_NONE;

	for (u32 i = s->first; i != SPT_NONE && n <= s->n_spts && !a->broken;
	     i = t->meta[i].next, n++) {
		const struct spt_meta *m = &t->meta[i];

		put_in(a, i, ON_LIST);
		holds(a, m->prev == prev, "a list goes back the way it came");
		holds(a, m->sas == s && m->state == SPT_LISTED, "who is on a list knows it");
		holds(a, m->level >= 1 && m->level <= levels, "a level exists in its mode");
		holds(a, m->base <= a->gen, "a base was a generation");
		prev = i;
	}
	holds(a, n == s->n_spts && s->last == prev, "a list is as long as it says");
}

static void check_limbo(struct audit *a)
{
	struct vtlb *t = a->t;
	u32 i = t->limbo_first;
	u64 req = __atomic_load_n((u64 *)&t->req, __ATOMIC_ACQUIRE);

	for (u32 n = 0; n < t->limbo_count && !a->broken; n++, i = t->meta[i].next) {
		put_in(a, i, IN_LIMBO);
		holds(a, t->meta[i].ticket && t->meta[i].ticket <= req,
		      "who waits in limbo has a number");
	}
}

/* ---- trees ---- */

static void check_leaf(struct audit *a, u64 leaf, u64 base, u32 level)
{
	holds(a, level <= 2, "a leaf is of 4 KiB or 2 MiB");
	holds(a, base + (leaf >> LEAF_STAMP_SHIFT) <= a->gen, "no leaf is stamped in the future");
	holds(a, !(leaf & LEAF_IO) == (mem_map_hpa(a->t->env.map, leaf_gpa(leaf), PAGE_SIZE) >= 0),
	      "a leaf leads to RAM or says that it does not");
	holds(a, level == 1 || !(leaf_gpa(leaf) & (PAGE_SIZE_2M - 1)), "a large leaf is aligned");
}

/* Below the SPT @index of @level, owned by @s. Depth: levels of paging. */
static void check_tree(struct audit *a, const struct sas *s, u32 index, u32 level)
{
	struct vtlb *t = a->t;
	const struct spt_meta *m = &t->meta[index];

	if (!holds(a, !a->seen[index], "a tree has no loop") ||
	    !holds(a, m->level == level, "an SPT is at its level"))
		return;
	a->seen[index] = 1;
	for (u32 i = 0; i < SPT_SLOTS && !a->broken; i++) {
		const _Atomic u64 *slot = &spt_of(t, index)->slot[i];
		u64 e = __atomic_load_n((const u64 *)slot, __ATOMIC_ACQUIRE);

		if (slot_is_leaf(e)) {
			check_leaf(a, e, m->base, level);
		} else if (slot_is_link(e) && e & SLOT_SHARED) {
			u32 top = share_spt(t, e);

			holds(a, level == SHARE_LEVEL + 1, "shared SPTs hang at one level");
			holds(a, share_stamp(e, m->base) <= a->gen,
			      "no link is stamped in the future");
			holds(a,
			      top == SPT_NONE ||
				      (a->place[top] == ON_LIST && t->meta[top].sas == &t->shared),
			      "a shared link leads to what is shared, or nowhere");
		} else if (slot_is_link(e)) {
			u32 child = spt_index(e);

			if (holds(a, level > 1 && child < t->n_spts && a->place[child] == ON_LIST,
				  "a link leads to an SPT that is in use") &&
			    holds(a, t->meta[child].parent == slot && t->meta[child].sas == s,
				  "a child knows its parent"))
				check_tree(a, s, child, level - 1);
		}
	}
}

static void check_space(struct audit *a, const struct sas *s)
{
	u64 root = __atomic_load_n((const u64 *)&s->root, __ATOMIC_ACQUIRE);

	if (!slot_is_link(root))
		return;
	for (u32 i = 0; i < a->t->n_spts; i++)
		a->seen[i] = 0;
	if (holds(a, spt_index(root) < a->t->n_spts && a->place[spt_index(root)] == IS_ROOT,
		  "a root is one"))
		check_tree(a, s, spt_index(root), s->levels);
}

static u32 pins_of(struct vtlb *t, const struct sas *s)
{
	u32 n = 0;

	for (u32 vp = 0; vp < t->cfg.max_vps; vp++)
		for (u32 i = 0; t->vp[vp] && i < VIEWS; i++)
			n += t->vp[vp]->priv->view[i].is_used && t->vp[vp]->priv->view[i].sas == s;
	return n;
}

static void check_spaces(struct audit *a)
{
	struct vtlb *t = a->t;

	for (struct list_node *n = t->sas_lru.next; n != &t->sas_lru && !a->broken; n = n->next) {
		const struct sas *s = list_entry(n, struct sas, lru);
		u64 root = __atomic_load_n((const u64 *)&s->root, __ATOMIC_ACQUIRE);

		check_list(a, s, s->levels);
		if (slot_is_link(root))
			put_in(a, spt_index(root), IS_ROOT);
		holds(a, s->users == pins_of(t, s), "an address space is pinned by views");
	}
	check_list(a, &t->shared, SHARE_LEVEL);
	check_limbo(a);
	for (struct list_node *n = t->sas_lru.next; n != &t->sas_lru && !a->broken; n = n->next)
		check_space(a, list_entry(n, struct sas, lru));
	holds(a, a->n_used + t->available == t->n_spts - 1, "every SPT is somewhere");
	holds(a, a->n_used == t->stats.spts_used, "the account of SPTs is right");
}

/* ---- VPs ---- */

static void check_vp(struct audit *a, const struct vtlb_vp *v)
{
	const struct vtlb_vp_priv *p = v->priv;
	struct floors f = inval_floors(v, &v->ctx);

	holds(a,
	      __atomic_load_n((const u64 *)&v->seen, __ATOMIC_ACQUIRE) <=
		      __atomic_load_n((u64 *)&a->t->req, __ATOMIC_ACQUIRE),
	      "nobody has seen what is to come");
	holds(a, p->floor_g == f.g && p->floor_ng == f.ng && p->floor_t == f.t,
	      "floors are up to date");
	holds(a, MAX(p->floor_link, p->floor_ng) <= a->gen, "floors were generations");
	holds(a, p->sas == p->view[p->current].sas && v->sas == p->sas, "a VP is in its view");
	for (u32 i = 0; p->held && i < HELD_SLOTS; i++)
		holds(a,
		      p->held[i].base + (p->held[i].leaf >> LEAF_STAMP_SHIFT) <= a->gen &&
			      !(p->held[i].leaf & LEAF_T),
		      "what is held was true once, and is nobody's to remove");
}

const char *vtlb_audit(struct vtlb *t)
{
	struct audit a = {.t = t, .gen = gen_now(t)};

	a.place = calloc(2, t->n_spts);
	if (!a.place)
		return NULL;
	a.seen = a.place + t->n_spts;
	vtlb_lock(t);
	check_spaces(&a);
	for (u32 i = 0; i < t->cfg.max_vps; i++)
		if (t->vp[i])
			check_vp(&a, t->vp[i]);
	vtlb_unlock(t);
	if (t->watch && !a.broken)
		a.broken = watch_audit(t);
	free(a.place);
	return a.broken;
}

void audit_hit(struct vtlb_vp *v, u64 gva, u32 access, const struct vtlb_xl *xl)
{
	struct vtlb *t = v->priv->t;
	struct vtlb_xl fresh;
	struct vtlb_fault fault;
	enum vtlb_status st = vtlb_peek(v, gva, access, &fresh, &fault);
	/* The guest may clear D, or the frame be guarded, without an invalidation. */
	u32 more = xl->prot & ~fresh.prot & ~VTLB_WRITE;

	if (__atomic_fetch_add(&t->stats.audit_checks, 1, __ATOMIC_RELAXED) % STRUCTURE_EVERY ==
		    0 &&
	    !t->is_mp) {
		const char *broken = vtlb_audit(t);

		if (broken)
			log_once(LOG_VTLB, "audit: this does not hold: %s", broken);
	}
	if (st > VTLB_MMIO || fresh.gpa != xl->gpa || fresh.hva != xl->hva || more)
		vtlb_count_shared(&t->stats.audit_stale);
}
