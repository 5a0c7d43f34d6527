/*
 * Translations: look the leaf up, or walk and install one.
 *
 * The generation is loaded before the guest's first entry is read, so a leaf never claims more than
 * it knows; a leaf is one 64-bit store, or one compare-and-exchange with retention. A fault is
 * returned only by a walk made for it.
 */
#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"
#include "vtlb/priv.h"

#define REGION_BITS 36	    /* of gva >> 21 that a tag holds: 57-bit addresses */
#define ADVERSARIAL_DROP 8u /* one hit in this many */

static u64 load_slot(const _Atomic u64 *slot)
{
	return __atomic_load_n((const u64 *)slot, __ATOMIC_ACQUIRE);
}

static bool cas_slot(_Atomic u64 *slot, u64 old, u64 new)
{
	return __atomic_compare_exchange_n((u64 *)slot, &old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

u64 fill_new_region_gen(struct vtlb_vp_priv *p)
{
	p->region_last += BIT(REGION_BITS);
	if (unlikely(!p->region_last)) { /* wrapped: no tag of before may match again */
		for (u32 i = 0; i < REGION_CACHE; i++)
			p->region[i].tag = 0;
		for (u32 i = 0; i < VIEWS; i++)
			p->view[i].region_gen = 0;
		p->region_last = BIT(REGION_BITS);
	}
	return p->region_last;
}

void fill_forget_regions(struct vtlb_vp_priv *p)
{
	for (u32 i = 0; i < VIEWS; i++)
		p->view[i].region_gen = 0;
	p->region_gen = p->view[p->current].region_gen = fill_new_region_gen(p);
}

void fill_forget_unlinked(struct vtlb *t, struct vtlb_vp *v)
{
	if (t->is_mp) {
		if (v)
			fill_forget_regions(v->priv);
		return;
	}
	for (u32 i = 0; i < t->cfg.max_vps; i++)
		if (t->vp[i])
			fill_forget_regions(t->vp[i]->priv);
}

/* ---- hits ---- */

/*
 * Both the leaf and the link to a shared SPT that led to it have to be. The link is what processors
 * keep in paging-structure caches: a load of CR3 drops it even where the leaf is global, and so
 * does INVLPG of any address.
 */
static __always_inline bool is_current(struct vtlb_vp_priv *p, u64 leaf, u64 base, u64 cap, u64 gva,
				       struct hit *h)
{
	u64 stamp = base + (leaf >> LEAF_STAMP_SHIFT);

	h->leaf = leaf;
	h->stamp = stamp;
	u64 floor = leaf & LEAF_G ? p->floor_g : leaf & LEAF_T ? p->floor_t : p->floor_ng;

	return stamp >= floor && cap >= p->floor_link &&
	       stamp >= *inval_gva_floor(p, leaf_class(leaf), gva);
}

static __always_inline struct region *region_at(struct vtlb_vp_priv *p, u64 gva)
{
	return &p->region[gva >> 21 & (REGION_CACHE - 1)];
}

static __always_inline u64 region_tag(const struct vtlb_vp_priv *p, u64 gva)
{
	return (gva >> 21 & mask_low(REGION_BITS)) | p->region_gen;
}

static __always_inline bool is_region_of(const struct vtlb_vp_priv *p, const struct region *r,
					 u64 gva)
{
	return r->tag == region_tag(p, gva);
}

/* From the root. */
static bool look_down(struct vtlb_vp_priv *p, u64 gva, struct hit *h)
{
	struct vtlb *t = p->t;
	u64 s = load_slot(&p->sas->root), cap = ~0ull;
	u32 index = SPT_NONE, node[SPT_LEVELS_MAX + 1] = {0};

	for (u32 level = p->sas->levels; slot_is_link(s); level--) {
		if (unlikely(s & SLOT_SHARED)) {
			cap = share_stamp(s, t->meta[index].base);
			index = share_spt(t, s);
			if (index == SPT_NONE)
				return false;
		} else {
			index = spt_index(s);
		}
		struct spt *spt = spt_of(t, index);

		node[level] = index;
		s = load_slot(&spt->slot[spt_slot_index(gva, level)]);
		if (level == 1 || (level == 2 && slot_is_leaf(s))) {
			struct region *r = region_at(p, gva);

			r->tag = region_tag(p, gva);
			r->spt = spt;
			r->base = t->meta[index].base;
			r->cap = cap;
			r->shift = 3 + 9 * level;
			nm_copy(r->node, node, sizeof(node));
		}
		if (slot_is_leaf(s)) {
			h->shift = 3 + 9 * level;
			return is_current(p, s, t->meta[index].base, cap, gva, h);
		}
	}
	return false;
}

static __always_inline bool look_up(struct vtlb_vp_priv *p, u64 gva, struct hit *h)
{
	const struct region *r = region_at(p, gva);

	if (likely(is_region_of(p, r, gva) &&
		   r->cap >= p->floor_link)) { /* else the link may be another, or newer */
		u64 leaf = load_slot(&r->spt->slot[gva >> r->shift & (SPT_SLOTS - 1)]);

		h->shift = r->shift;
		if (likely(slot_is_leaf(leaf)))
			return is_current(p, leaf, r->base, ~0ull, gva, h);
		if (r->shift == PAGE_SHIFT)
			return false;
		/* a large leaf that was split */
	}
	return look_down(p, gva, h);
}

/* ---- results ---- */

/*
 * May a soft TLB keep a write tag of this frame? The bit goes up before the marks are looked at,
 * the marks go up before vtlb_protect_frame() looks at the bit.
 */
static __always_inline bool grant_write(struct mem_frame *f)
{
	if (unlikely(mem_frame_is_guarded(f)))
		return false;
	if (likely(__atomic_load_n((u8 *)&f->flags, __ATOMIC_RELAXED) & MEM_FRAME_WRITABLE))
		return true;
	__atomic_fetch_or((u8 *)&f->flags, MEM_FRAME_WRITABLE, __ATOMIC_SEQ_CST);
	return !mem_frame_is_guarded(f);
}

bool vtlb_grant_write(struct vtlb_vp *v, const u8 *hva)
{
	const struct mem_map *map = v->priv->t->env.map;

	return grant_write(&map->frames[(u64)(hva - map->base) >> PAGE_SHIFT]);
}

/* @gpa to RAM; @prot is what the tables allow. */
static __always_inline enum vtlb_status finish(struct vtlb_vp *v, u64 gpa, u32 access, u32 prot,
					       struct vtlb_xl *xl)
{
	struct vtlb *t = v->priv->t;
	s64 at = mem_map_hpa(t->env.map, gpa, 1);

	xl->gpa = gpa;
	xl->prot = prot;
	if (unlikely(at < 0)) {
		xl->hva = NULL;
		return VTLB_MMIO;
	}
	xl->hva = t->env.map->base + at;
	struct mem_frame *f = &t->env.map->frames[at >> PAGE_SHIFT];

	if (prot & VTLB_WRITE && !grant_write(f)) {
		xl->prot &= ~VTLB_WRITE;
		if (access & VTLB_WRITE && t->is_mp && t->gpt &&
		    __atomic_load_n((u8 *)&f->flags, __ATOMIC_RELAXED) & MEM_FRAME_TRACKED)
			__atomic_store_n((bool *)&v->writing, true, __ATOMIC_SEQ_CST);
	}
	return VTLB_OK;
}

static __always_inline u32 page_shift(u64 leaf)
{
	return PAGE_SHIFT + 9 * leaf_class(leaf);
}

/* ---- fills ---- */

struct spt_path {
	u32 node[SPT_LEVELS_MAX + 1]; /* SPTs by level, from the leaf's up */
	_Atomic u64 *parent;	      /* links the leaf's SPT */
	struct sas *owner;	      /* of the leaf's SPT: this address space, or what is shared */
};

static u64 make_leaf(const struct walk *w, u32 level)
{
	u64 frame = w->gpa >> PAGE_SHIFT & (level == 2 ? ~0x1ffull : ~0ull);
	u64 page_class = w->guest_shift == PAGE_SHIFT || w->guest_shift == 64 ? LEAF_CLASS_4K
			 : w->guest_shift == PAGE_SHIFT_2M		      ? LEAF_CLASS_2M
									      : LEAF_CLASS_1G;

	return SLOT_P | w->attr | page_class << LEAF_CLASS_SHIFT | frame << LEAF_FRAME_SHIFT;
}

/*
 * @slot of the SPT @parent leads to a shared SPT, or is about to.
 * Return: the link it holds then; 0 when there is no room.
 */
static u64 make_shared(struct vtlb_vp *v, u64 gva, const struct walk *w, u64 gen, _Atomic u64 *slot,
		       u64 s, const struct spt_path *path)
{
	struct vtlb *t = v->priv->t;
	u32 parent = path->node[SHARE_LEVEL + 1];
	u64 base = t->meta[parent].base;

	bool leads_there = slot_is_link(s) && s & SLOT_SHARED && share_leads_to(v, s, w);

	if (leads_there && share_stamp(s, base) >= v->priv->floor_link)
		return s;
	if (unlikely(gen < base))
		return 0;
	if (unlikely(gen - base > TOP_STAMP_MAX)) { /* its stamps are used up */
		bool is_root = path->parent == &v->priv->sas->root;

		if (cas_slot(path->parent, spt_link(parent), is_root ? 0 : fill_emptied(t))) {
			if (is_root)
				spt_retire_root(t, v, parent);
			else
				spt_retire(t, v, parent);
		}
		return 0;
	}
	u64 link = leads_there ? s & mask_low(TOP_STAMP_SHIFT) : share_link(v, w, gen);

	if (!link)
		return 0;
	link |= (gen - base) << TOP_STAMP_SHIFT;
	if (!cas_slot(slot, s, link))
		return 0; /* another VP fills through it: the next access finds out what */
	VTLB_EVENT(v, tlb_share, .gva = gva, .table = w->table[SHARE_LEVEL],
		   .coalesced = slot_is_link(s) && !(s & SLOT_SHARED));
	vtlb_count_shared(&t->stats.shared_links);
	if (slot_is_link(s) && !(s & SLOT_SHARED)) {
		vtlb_count_shared(&t->stats.coalesced);
		spt_retire(t, v, spt_index(s));
	}
	return link;
}

/* Is what is below the entry @s of level SHARE_LEVEL + 1 shared, or to be? */
static bool wants_shared(const struct vtlb *t, u64 gva, const struct walk *w, u64 s)
{
	if (!t->top || !(gva >> 63) || w->top_level <= SHARE_LEVEL)
		return false;
	return w->attr & LEAF_G || (slot_is_link(s) && s & SLOT_SHARED);
}

/* With retention: was @s put into its SPT, whose stamps count from @base, or emptied, later than
 * @gen? */
static bool knows_newer(const struct vtlb *t, u64 base, u64 s, u64 gen)
{
	return t->gpt && slot_since(s, base) > gen;
}

/* What the SPT of @level shadows: the table of that level, or else what lies below it. */
static u64 table_at(const struct walk *w, u32 level)
{
	return level <= w->top_level && level >= w->leaf_level && level ? w->table[level] : w->gpa;
}

/* The slot for a leaf of @level, with the SPTs above it; NULL when there is no room. */
static _Atomic u64 *make_path(struct vtlb_vp *v, u64 gva, const struct walk *w, u32 level, u64 gen,
			      struct spt_path *path)
{
	struct vtlb *t = v->priv->t;
	struct sas *sas = v->priv->sas;
	_Atomic u64 *slot = &sas->root;
	u32 at = sas->levels + 1;

	path->owner = sas;
	for (;;) {
		u64 s = load_slot(slot);
		u32 index;

		if (at == SHARE_LEVEL + 1 && wants_shared(t, gva, w, s)) {
			s = make_shared(v, gva, w, gen, slot, s, path);
			index = s ? share_spt(t, s) : SPT_NONE;
			if (index == SPT_NONE)
				return NULL;
			path->owner = &t->shared;
			path->node[--at] = index;
			slot = &spt_of(t, index)->slot[spt_slot_index(gva, at)];
			continue;
		}
		if (!slot_is_link(s)) { /* empty, or a large leaf in the way */
			if (slot != &sas->root &&
			    unlikely(knows_newer(t, t->meta[path->node[at]].base, s, gen)))
				return NULL;
			u32 child = spt_alloc(t, at - 1, table_at(w, at - 1), gen);

			if (child == SPT_NONE)
				return NULL;
			VTLB_EVENT(v, spt_alloc, .table = table_at(w, at - 1), .depth = at - 1,
				   .node = node_of_page(t, table_at(w, at - 1)),
				   .from_node = node_of_spt(t, child));
			if (!cas_slot(slot, s, spt_link(child))) {
				spt_free_unlinked(t, child);
				continue;
			}
			if (slot_is_leaf(s))
				vtlb_count_shared(&t->stats.large_splits);
			if (slot != &sas->root)
				spt_linked(t, v, path->owner, child, slot);
			s = spt_link(child);
		}
		index = spt_index(s);
		path->parent = slot;
		path->node[--at] = index;
		slot = &spt_of(t, index)->slot[spt_slot_index(gva, at)];
		if (at == level)
			return slot;
	}
}

static bool is_large(struct vtlb *t, const struct walk *w)
{
	return w->shift >= PAGE_SHIFT_2M && !(w->attr & LEAF_IO) &&
	       mem_map_hpa(t->env.map, w->gpa & ~(PAGE_SIZE_2M - 1), PAGE_SIZE_2M) >= 0;
}

/*
 * @leaf into @slot. @base: of its SPT, @gen is not older. @node: the SPTs above it, by level.
 * Every way out without storing is fine: the next access walks again. Return: false: for want of a
 * slot.
 */
static __always_inline bool store_leaf(struct vtlb_vp *v, const struct walk *w, u64 leaf, u32 level,
				       u64 gen, u64 base, const u32 *node, bool is_shared,
				       _Atomic u64 *slot)
{
	struct vtlb *t = v->priv->t;

	if (t->gpt && !is_shared) {
		enum gpt_registered r = gpt_register(v, w, node, gen);

		if (unlikely(r == GPT_PATH_GONE))
			return false;
		if (likely(r == GPT_TRACKED))
			leaf |= LEAF_T;
	}
	leaf |= (gen - base) << LEAF_STAMP_SHIFT;
	u64 old = load_slot(slot);

	if (slot_is_leaf(old) && base + (old >> LEAF_STAMP_SHIFT) < gen)
		vtlb_count(&v->n_refill);
	if (level == 1 && !t->gpt) {
		__atomic_store_n((u64 *)slot, leaf, __ATOMIC_RELEASE);
		return true;
	}
	if (unlikely(knows_newer(t, base, old, gen))) {
		vtlb_count_shared(&t->stats.fills_lost);
		return true;
	}
	if (!t->is_mp) { /* nobody else writes there */
		__atomic_store_n((u64 *)slot, leaf, __ATOMIC_RELEASE);
	} else if (!cas_slot(slot, old, leaf)) {
		vtlb_count_shared(&t->stats.fills_lost);
		return true;
	}
	if (slot_is_link(old)) {
		vtlb_count_shared(&t->stats.large_forms);
		spt_retire(t, v, spt_index(old));
	}
	return true;
}

/* The way the look-up before went, when there is nothing to be made on it. Links to shared SPTs are
 * looked at again. */
static __always_inline bool install_again(struct vtlb_vp *v, u64 gva, const struct walk *w,
					  u64 leaf, u32 level, u64 gen)
{
	struct vtlb_vp_priv *p = v->priv;
	const struct region *r = region_at(p, gva);

	if (!is_region_of(p, r, gva) || r->shift != 3 + 9 * level || r->cap != ~0ull ||
	    gen - r->base > LEAF_STAMP_MAX || wants_shared(p->t, gva, w, 0))
		return false;
	return store_leaf(v, w, leaf, level, gen, r->base, r->node, false,
			  &r->spt->slot[gva >> r->shift & (SPT_SLOTS - 1)]);
}

static void install(struct vtlb_vp *v, u64 gva, const struct walk *w, u64 leaf, u32 level, u64 gen)
{
	struct vtlb *t = v->priv->t;
	struct spt_path path;
	_Atomic u64 *slot;

	if (likely(install_again(v, gva, w, leaf, level, gen)))
		return;
	spt_reclaim(v);
	slot = make_path(v, gva, w, level, gen, &path);
	if (unlikely(!slot))
		goto no_room;
	u64 base = t->meta[path.node[level]].base;

	if (unlikely(gen < base)) /* the SPT is younger than what was read */
		goto no_room;
	if (unlikely(gen - base > LEAF_STAMP_MAX)) {
		/* Its stamps are used up: a fresh one in its place. */
		if (cas_slot(path.parent, spt_link(path.node[level]), t->gpt ? slot_empty(gen) : 0))
			spt_retire(t, v, path.node[level]);
		vtlb_count_shared(&t->stats.spt_rebases);
		slot = make_path(v, gva, w, level, gen, &path);
		if (!slot || t->meta[path.node[level]].base != gen)
			goto no_room;
		base = gen;
	}
	if (likely(store_leaf(v, w, leaf, level, gen, base, path.node, path.owner == &t->shared,
			      slot)))
		return;
no_room:
	vtlb_count_shared(&t->stats.uninstalled);
}

/* Is its address one that a leaf can hold? */
static __always_inline bool fits(const struct walk *w)
{
	return !(w->gpa >> (LEAF_FRAME_BITS + PAGE_SHIFT));
}

bool fill_again(struct vtlb_vp *v, u64 gva, const struct walk *w, u64 gen)
{
	u32 level = is_large(v->priv->t, w) ? 2 : 1;

	if (!fits(w))
		return false;
	install(v, gva, w, make_leaf(w, level), level, gen);
	return true;
}

static enum vtlb_status walk_and_install(struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl,
					 struct vtlb_fault *f)
{
	struct vtlb_vp_priv *p = v->priv;
	struct vtlb *t = p->t;
	u64 gen = gen_now(t);
	struct walk_trail trail;
	struct walk w;
	enum vtlb_status st;

	walk_init(&w, &t->env, &v->ctx, access, true, unlikely(t->watch != NULL) ? &trail : NULL);
	st = walk_linear(&w, gva);

	vtlb_count(&v->n_walk);
	if (unlikely(st > VTLB_MMIO)) {
		vtlb_count(&v->n_fault);
		*f = w.fault;
		return st;
	}
	u32 level = is_large(t, &w) ? 2 : 1;
	u64 leaf = make_leaf(&w, level);

	if (unlikely(t->odd_even))
		gen = gen_now(t); /* as late as can be: who invalidates waits */
	if (likely(p->sas != NULL) && t->cfg.mode != VTLB_STRICT && likely(fits(&w))) {
		vtlb_count(&v->n_fill);
		install(v, gva, &w, leaf, level, gen);
		if (unlikely(p->held)) {
			struct hit h = {.leaf = leaf, .stamp = gen, .shift = 3 + 9 * level};

			held_put(p, gva, &h, w.guest_gpa & PAGE_MASK);
		}
	}
	VTLB_EVENT(v, tlb_fill, .gva = gva, .gpa = w.gpa, .access = access,
		   .bytes = level == 2 ? PAGE_SIZE_2M : PAGE_SIZE);
	xl->guest_gpa = w.guest_gpa;
	xl->bytes = level == 2 ? PAGE_SIZE_2M : PAGE_SIZE;
	xl->page_shift = page_shift(leaf);
	xl->global = w.attr & LEAF_G;
	st = finish(v, w.gpa, access, leaf_prot(p->perm, p->pkru, w.attr, access), xl);
	if (unlikely(t->no_soft) && !(t->watch && watch_trail(v, &trail, true)))
		xl->prot = 0;
	return st;
}

static __noinline enum vtlb_status fill(struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl,
					struct vtlb_fault *f)
{
	struct vtlb *t = v->priv->t;

	if (unlikely(t->refresh_walks && ++v->priv->walks_unrefreshed >= t->refresh_walks)) {
		v->priv->walks_unrefreshed = 0;
		refresh_step(v);
	}
	if (likely(!t->odd_even))
		return walk_and_install(v, gva, access, xl, f);
	infill_enter(v);
	enum vtlb_status st = walk_and_install(v, gva, access, xl, f);

	infill_leave(v);
	return st;
}

static enum vtlb_status untranslated(struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl)
{
	xl->guest_gpa = gva;
	xl->bytes = PAGE_SIZE;
	xl->page_shift = PAGE_SHIFT;
	xl->global = false;
	return finish(v, gva, access, VTLB_ACCESS_MASK, xl);
}

static __always_inline enum vtlb_status use_hit(struct vtlb_vp *v, u64 gva, const struct hit *h,
						u32 access, u32 prot, struct vtlb_xl *xl)
{
	u64 gpa = leaf_gpa(h->leaf) | (gva & mask_low(h->shift));

	vtlb_count(&v->n_hit);
	xl->guest_gpa = v->ctx.eptp ? VTLB_NO_GPA : gpa;
	xl->bytes = 1ull << h->shift;
	xl->page_shift = page_shift(h->leaf);
	xl->global = h->leaf & LEAF_G;
	return finish(v, gpa, access, prot, xl);
}

/* Strict, adversarial, audit, the detector, and no address space at all. */
static __noinline enum vtlb_status translate_special(struct vtlb_vp *v, u64 gva, u32 access,
						     struct vtlb_xl *xl, struct vtlb_fault *f)
{
	struct vtlb_vp_priv *p = v->priv;
	struct vtlb *t = p->t;
	struct hit h;

	if (p->stale)
		stale_poll(v);
	if (t->cfg.mode != VTLB_NORMAL &&
	    (t->cfg.mode == VTLB_STRICT || rng_below(&p->rng, ADVERSARIAL_DROP) == 0))
		return fill(v, gva, access, xl, f);
	if (!p->sas)
		return untranslated(v, gva, access, xl);
	if (p->held && held_find(v, gva, access, &h))
		vtlb_count_shared(&t->stats.held_hits);
	else if (!look_up(p, gva, &h))
		return fill(v, gva, access, xl, f);
	else if (p->held)
		held_put(p, gva, &h, VTLB_NO_GPA);
	u32 prot = leaf_prot(p->perm, p->pkru, h.leaf, access);

	if (access & VTLB_ACCESS_MASK & ~prot)
		return fill(v, gva, access, xl, f);
	enum vtlb_status st = use_hit(v, gva, &h, access, prot, xl);

	if (p->stale)
		xl->prot &= stale_check(v, gva, access, &h, xl->gpa);
	if (t->cfg.audit)
		audit_hit(v, gva, access, xl);
	return st;
}

static __always_inline enum vtlb_status translate(struct vtlb_vp *v, u64 gva, u32 access,
						  struct vtlb_xl *xl, struct vtlb_fault *f)
{
	struct vtlb_vp_priv *p = v->priv;
	struct hit h;

	gva &= p->gva_mask;
	vtlb_count(&v->n_translate);
	if (unlikely(p->is_special))
		return translate_special(v, gva, access, xl, f);
	if (unlikely(!p->sas)) /* neither paging nor EPT */
		return untranslated(v, gva, access, xl);
	if (unlikely(!look_up(p, gva, &h)))
		return fill(v, gva, access, xl, f);
	u32 prot = leaf_prot(p->perm, p->pkru, h.leaf, access);

	if (unlikely(access & VTLB_ACCESS_MASK & ~prot))
		return fill(v, gva, access, xl, f);
	return use_hit(v, gva, &h, access, prot, xl);
}

enum vtlb_status vtlb_translate(struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl,
				struct vtlb_fault *f)
{
	struct vtlb *t = v->priv->t;

	if (likely(!t->one_lock))
		return translate(v, gva, access, xl, f);
	vtlb_spin_lock(t, &t->fill_lock);
	enum vtlb_status st = translate(v, gva, access, xl, f);

	vtlb_spin_unlock(&t->fill_lock);
	return st;
}

/* ---- without the cache ---- */

static void set_result(const struct vtlb_vp *v, const struct walk *w, struct vtlb_xl *xl)
{
	xl->gpa = w->gpa;
	xl->guest_gpa = w->guest_gpa;
	xl->hva = mem_map_hva(v->priv->t->env.map, w->gpa, 1);
	xl->prot = leaf_prot(v->priv->perm, v->priv->pkru, w->attr, w->access);
	xl->bytes = is_large(v->priv->t, w) ? PAGE_SIZE_2M : PAGE_SIZE;
	xl->page_shift = page_shift(make_leaf(w, 1));
	xl->global = w->attr & LEAF_G;
}

enum vtlb_status vtlb_translate_gpa(struct vtlb_vp *v, u64 guest_gpa, u32 access,
				    struct vtlb_xl *xl, struct vtlb_fault *f)
{
	struct walk w;

	walk_init(&w, &v->priv->t->env, &v->ctx, access, true, NULL);
	enum vtlb_status st = walk_gpa(&w, guest_gpa);

	if (st > VTLB_MMIO)
		*f = w.fault;
	else
		set_result(v, &w, xl);
	return st;
}

enum vtlb_status vtlb_peek(const struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl,
			   struct vtlb_fault *f)
{
	struct walk w;

	walk_init(&w, &v->priv->t->env, &v->ctx, access, false, NULL);
	enum vtlb_status st = walk_linear(&w, gva & v->priv->gva_mask);

	if (st > VTLB_MMIO)
		*f = w.fault;
	else
		set_result(v, &w, xl);
	return st;
}
