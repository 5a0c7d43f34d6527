/*
 * Retention over MOV CR3: translations that are known to agree with the guest's tables need not go
 * when the architecture asks for a flush.
 *
 * A guest page table (GPT) that is tracked is guarded like code: no soft TLB holds a write tag of
 * it, so every write to it is noted and ends up in gpt_written(). A leaf whose whole path was
 * tracked when it was filled is marked LEAF_T: a later write to one of the entries it came from
 * removes it at once, so while it exists it is what a walk would find, and the floors that MOV CR3
 * raises do not touch it.
 *
 * The tree of a SAS has the guest's own shape (9 bits a level), so the SPT at a level shadows one
 * GPT of that level, and entry i of the GPT has made slot i: a leaf, or a link with all that is
 * below.
 *
 * Tracking starts lazily: fills list the untracked GPTs they go through, and the next MOV CR3,
 * which flushes the soft TLB anyway, takes these under guard. A GPT that is written often without
 * being used in between (a new process is built, the page has become data) is let go.
 *
 * With VPs on several threads (docs/vtlb.md has the argument, tests/model/vtlb_track.pml the
 * model):
 *  - A guard counts once every VP has passed a safe point after it was set. What was read before
 *    that does not make a leaf LEAF_T (gpt.since).
 *  - A write takes a new generation after the store, and leaves it in the slots that it empties, or
 *    in gpt.since for SPTs that become known later: a fill that read before does not get in.
 *  - Between the store and that, the writer's vtlb_vp.writing is up: who loads CR3 then may have
 *    seen the store already, and keeps nothing.
 *  - All lists are under the lock. A fill whose SPTs are known takes none.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/base/hash.h"
#include "vtlb/priv.h"

#define GPT_MAX 8192u
#define GPT_MEMORY_SHARE 16u /* of the limit */
#define WRITES_BEFORE_RELEASE 24u
#define MAX_NODES 64u	  /* SPTs that one write may have to look at */
#define MAX_KILLS 512u	  /* slots that it may have to empty */
#define UNTRACKED_MANY 8u /* threads: so many tables are listed, or so many loads of CR3 went by */
#define LOADS_BEFORE_TRACK 16u

struct gpt {
	u64 page; /* machine address; of a free one: unused */
	/* it is guarded, and was last written, at this generation; 0: not yet guarded */
	u64 since;
	u32 first_node; /* SPTs that shadow it, by spt_meta.gpt_next */
	u32 hash_next;	/* or next free */
	u32 next_pending;
	_Atomic u32 writes; /* since a leaf was last filled through it */
	u32 n_nodes;
};

static struct mem_frame *frame_of(struct vtlb *t, u64 page)
{
	s64 at = mem_map_hpa(t->env.map, page, PAGE_SIZE);

	return at >= 0 ? &t->env.map->frames[at >> PAGE_SHIFT] : NULL;
}

static void unguard(struct mem_frame *f)
{
	__atomic_fetch_and((u8 *)&f->flags, (u8)~MEM_FRAME_TRACKED, __ATOMIC_SEQ_CST);
}

int gpt_init(struct vtlb *t)
{
	u64 n = MIN((u64)GPT_MAX, t->cfg.max_bytes / GPT_MEMORY_SHARE / sizeof(struct gpt));

	if (!t->cfg.retain || t->odd_even || t->cfg.detect_stale || t->cfg.mode == VTLB_STRICT ||
	    n < 16)
		return 0;
	t->n_gpt = 1u << bit_highest(n);
	t->gpt = calloc(t->n_gpt, sizeof(*t->gpt)); /* index 0 is none */
	t->gpt_hash = calloc(t->n_gpt, sizeof(*t->gpt_hash));
	if (!t->gpt || !t->gpt_hash)
		return -ENOMEM;
	t->pool_bytes -= MIN(t->pool_bytes, t->n_gpt * (sizeof(*t->gpt) + sizeof(*t->gpt_hash)));
	t->gpt_fresh = 1;
	mem_set_tracked(t->env.mem, gpt_written, t);
	return 0;
}

void gpt_fini(struct vtlb *t)
{
	if (t->gpt_hash)
		mem_set_tracked(t->env.mem, NULL, NULL);
	for (u32 h = 0; t->gpt && t->gpt_hash && h < t->n_gpt; h++)
		for (u32 g = t->gpt_hash[h]; g; g = t->gpt[g].hash_next)
			unguard(frame_of(t, t->gpt[g].page));
	free(t->gpt);
	free(t->gpt_hash);
}

static u32 *hash_head(struct vtlb *t, u64 page)
{
	return &t->gpt_hash[hash_u64(page) & (t->n_gpt - 1)];
}

static u32 find(struct vtlb *t, u64 page)
{
	u32 g = *hash_head(t, page);

	while (g && t->gpt[g].page != page)
		g = t->gpt[g].hash_next;
	return g;
}

static bool is_tracked(struct vtlb *t, u64 page)
{
	const struct mem_frame *f = frame_of(t, page);

	return f && __atomic_load_n((const u8 *)&f->flags, __ATOMIC_RELAXED) & MEM_FRAME_TRACKED;
}

/* ---- SPTs that shadow a GPT ---- */

void gpt_forget_node(struct vtlb *t, u32 index)
{
	struct spt_meta *m = &t->meta[index];

	if (!m->gpt)
		return;
	if (m->gpt_prev != SPT_NONE)
		t->meta[m->gpt_prev].gpt_next = m->gpt_next;
	else
		t->gpt[m->gpt].first_node = m->gpt_next;
	if (m->gpt_next != SPT_NONE)
		t->meta[m->gpt_next].gpt_prev = m->gpt_prev;
	t->gpt[m->gpt].n_nodes--;
	__atomic_store_n(&m->gpt, 0, __ATOMIC_RELAXED);
}

static void add_node(struct vtlb *t, u32 g, u32 index)
{
	struct spt_meta *m = &t->meta[index];

	__atomic_store_n(&m->gpt, g, __ATOMIC_RELAXED);
	m->gpt_prev = SPT_NONE;
	m->gpt_next = t->gpt[g].first_node;
	if (m->gpt_next != SPT_NONE)
		t->meta[m->gpt_next].gpt_prev = index;
	t->gpt[g].first_node = index;
	t->gpt[g].n_nodes++;
}

/* No fill from now on takes its SPT for known. */
static void hide_node(struct spt_meta *m, u64 page)
{
	__atomic_store_n((u64 *)&m->gpt_page, page, __ATOMIC_RELEASE);
}

/* What entry @i of the GPT has made goes, and nothing read before @gen takes its place. */
static void kill_slot(struct vtlb *t, u32 index, u32 i, u64 gen)
{
	u64 *slot = (u64 *)&spt_of(t, index)->slot[i];
	u64 s = __atomic_exchange_n(slot, slot_empty(gen), __ATOMIC_SEQ_CST);

	if (!(s & SLOT_P))
		return;
	t->stats.gpt_purged++;
	if (slot_is_link(s) && s & SLOT_SHARED)
		fill_forget_unlinked(t, NULL); /* what it led to is not this table's alone */
	else if (slot_is_link(s))
		spt_retire_locked(t, spt_index(s));
}

/* All of an SPT that was just hidden. A root has no parent to be cut off. */
static void kill_node(struct vtlb *t, u32 index, u64 gen)
{
	if (t->meta[index].state == SPT_LISTED)
		spt_cut(t, index, gen);
	else
		for (u32 i = 0; i < SPT_SLOTS; i++)
			kill_slot(t, index, i, gen);
}

/* A generation that nothing read so far has, when fills may be under way. */
static u64 gen_of_write(struct vtlb *t)
{
	return t->is_mp ? gen_next(t) : gen_now(t);
}

/* ---- tracking; lock held ---- */

static bool track(struct vtlb *t, u64 page)
{
	struct mem_frame *f = frame_of(t, page);
	u32 g = t->gpt_free;

	if (!f || is_tracked(t, page))
		return false;
	if (g)
		t->gpt_free = t->gpt[g].hash_next;
	else if (t->gpt_fresh < t->n_gpt)
		g = t->gpt_fresh++;
	else
		return false; /* the table is full: this one stays untracked */
	u32 *head = hash_head(t, page);

	t->gpt[g] = (struct gpt){.page = page,
				 .first_node = SPT_NONE,
				 .hash_next = *head,
				 .next_pending = t->gpt_pending};
	*head = g;
	__atomic_store_n((u32 *)&t->gpt_pending, g, __ATOMIC_RELAXED);
	__atomic_fetch_or((u8 *)&f->flags, MEM_FRAME_TRACKED, __ATOMIC_SEQ_CST);
	t->stats.gpts_tracked++;
	return true;
}

/* Nobody writes to what is pending without notice any more. */
static void settle(struct vtlb *t)
{
	u64 gen = gen_of_write(t);

	for (u32 g = t->gpt_pending; g; g = t->gpt[g].next_pending)
		t->gpt[g].since = gen;
	__atomic_store_n((u32 *)&t->gpt_pending, 0, __ATOMIC_RELAXED);
}

static void forget_pending(struct vtlb *t, u32 g)
{
	u32 at = t->gpt_pending;

	if (at == g) {
		__atomic_store_n((u32 *)&t->gpt_pending, t->gpt[g].next_pending, __ATOMIC_RELAXED);
		return;
	}
	while (t->gpt[at].next_pending != g)
		at = t->gpt[at].next_pending;
	t->gpt[at].next_pending = t->gpt[g].next_pending;
}

static void release(struct vtlb *t, u32 g)
{
	struct mem_frame *f = frame_of(t, t->gpt[g].page);
	u32 *at = hash_head(t, t->gpt[g].page), n;

	for (n = t->gpt[g].first_node; n != SPT_NONE; n = t->meta[n].gpt_next)
		hide_node(&t->meta[n], 0);
	u64 gen = gen_of_write(t);

	while ((n = t->gpt[g].first_node) != SPT_NONE) {
		gpt_forget_node(t, n);
		kill_node(t, n, gen); /* may retire others of the list */
	}
	if (!t->gpt[g].since)
		forget_pending(t, g);
	while (*at != g)
		at = &t->gpt[*at].hash_next;
	*at = t->gpt[g].hash_next;
	t->gpt[g].hash_next = t->gpt_free;
	t->gpt_free = g;
	unguard(f);
	t->stats.gpts_tracked--;
	t->stats.gpt_releases++;
}

static void written(struct vtlb *t, u32 g, u64 gpa, u64 len)
{
	u32 first = (u32)(gpa % PAGE_SIZE / 8), last = (u32)((gpa % PAGE_SIZE + len - 1) / 8);

	t->stats.gpt_writes++;
	if (++t->gpt[g].writes > WRITES_BEFORE_RELEASE ||
	    t->gpt[g].n_nodes * (last - first + 1) > MAX_KILLS) {
		release(t, g);
		return;
	}
	u64 gen = gen_of_write(t);

	if (t->gpt[g].since)
		t->gpt[g].since = gen;
	/* Retiring a child can take any SPT off the list but these: they are its parents. */
	for (u32 n = t->gpt[g].first_node; n != SPT_NONE; n = t->meta[n].gpt_next)
		for (u32 i = first; i <= last; i++)
			kill_slot(t, n, i, gen);
}

/* mem_tracked_fn: RAM [gpa, gpa+len), in one tracked frame, was written. */
void gpt_written(void *arg, u64 gpa, u64 len)
{
	struct vtlb *t = arg;

	vtlb_lock(t);
	u32 g = find(t, gpa & PAGE_MASK);

	if (g)
		written(t, g, gpa, len);
	vtlb_unlock(t);
}

bool gpt_write_is_under_way(const struct vtlb *t, const struct vtlb_vp *self)
{
	for (u32 i = 0; i < t->cfg.max_vps; i++)
		if (t->vp[i] && t->vp[i] != self &&
		    __atomic_load_n((bool *)&t->vp[i]->writing, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

/* ---- when tracking starts ---- */

/* One thread: at once, since every soft TLB can be flushed here. */
static void flush_others(struct vtlb_vp *v)
{
	struct vtlb *t = v->priv->t;

	for (u32 i = 0; i < t->cfg.max_vps; i++) {
		struct vtlb_vp *other = t->vp[i];

		if (!other || other == v)
			continue;
		gen_flush_soft(other);
		view_forget_soft(other->priv);
	}
}

void gpt_track_listed(struct vtlb_vp *v)
{
	struct vtlb_vp_priv *p = v->priv;
	struct vtlb *t = p->t;
	u32 any = 0, tracked;

	if (!p->n_untracked)
		return;
	/* To guard something costs all VPs their soft TLBs. */
	if (t->is_mp && p->n_untracked < UNTRACKED_MANY &&
	    ++p->loads_untracked < LOADS_BEFORE_TRACK)
		return;
	p->loads_untracked = 0;
	vtlb_lock(t);
	for (u32 i = 0; i < p->n_untracked; i++)
		any += track(t, p->untracked[i]);
	p->n_untracked = 0;
	if (any && t->is_mp)
		__atomic_store_n((u64 *)&t->gpt_ticket, gen_request(t, NULL), __ATOMIC_RELEASE);
	else if (any)
		settle(t);
	tracked = (u32)t->stats.gpts_tracked;
	vtlb_unlock(t);
	if (any)
		VTLB_EVENT(v, gpt_track, .tables = any, .tracked = tracked);
	/* the write tags of other views; the caller flushes the present one's */
	view_forget_soft(p);
	if (any && !t->is_mp)
		flush_others(v);
}

static void list_untracked(struct vtlb_vp_priv *p, u64 page)
{
	for (u32 i = 0; i < p->n_untracked; i++)
		if (p->untracked[i] == page)
			return;
	if (p->n_untracked < UNTRACKED_MAX)
		p->untracked[p->n_untracked++] = page;
}

static bool path_is_guarded(struct vtlb_vp *v, const struct walk *w)
{
	bool all = true;

	for (u32 level = w->top_level; level >= w->leaf_level && level; level--) {
		if (is_tracked(v->priv->t, w->table[level]))
			continue;
		all = false;
		list_untracked(v->priv, w->table[level]);
	}
	return all;
}

/* Lock held. The SPT @n becomes known as a shadow of the table @page. */
static enum gpt_registered register_node(struct vtlb *t, u32 n, u64 page, u64 gen)
{
	struct spt_meta *m = &t->meta[n];
	u32 g = find(t, page);

	if (unlikely(!g || !t->gpt[g].since))
		return GPT_NOT_TRACKED;
	__atomic_store_n((u32 *)&t->gpt[g].writes, 0, __ATOMIC_RELAXED);
	if (m->gpt && m->gpt != g) {
		/* It shadowed another GPT: nothing of that may stay. */
		hide_node(m, 0);
		gpt_forget_node(t, n);
		kill_node(t, n, gen_of_write(t));
		return GPT_PATH_GONE;
	}
	if (!m->gpt) {
		if (t->gpt[g].n_nodes == MAX_NODES) {
			hide_node(m, SPT_REFUSED);
			return GPT_NOT_TRACKED;
		}
		add_node(t, g, n);
		__atomic_store_n(&m->gpt_since, t->gpt[g].since, __ATOMIC_RELAXED);
		__atomic_store_n((u64 *)&m->gpt_page, page | SPT_TRACKED, __ATOMIC_RELEASE);
	}
	return gen >= m->gpt_since ? GPT_TRACKED : GPT_NOT_TRACKED;
}

static __noinline enum gpt_registered register_path(struct vtlb_vp *v, const struct walk *w,
						    const u32 *node, u64 gen)
{
	struct vtlb *t = v->priv->t;
	enum gpt_registered r = GPT_TRACKED;

	if (!path_is_guarded(v, w))
		return GPT_NOT_TRACKED;
	if (__atomic_load_n((u32 *)&t->gpt_pending, __ATOMIC_RELAXED) &&
	    !gen_passed(t, NULL, __atomic_load_n((u64 *)&t->gpt_ticket, __ATOMIC_ACQUIRE)))
		return GPT_NOT_TRACKED;
	vtlb_lock(t);
	if (t->gpt_pending && gen_passed(t, NULL, t->gpt_ticket))
		settle(t);
	for (u32 level = w->top_level; level >= w->leaf_level && r == GPT_TRACKED; level--)
		r = register_node(t, node[level], w->table[level], gen);
	vtlb_unlock(t);
	return r;
}

enum gpt_registered gpt_register(struct vtlb_vp *v, const struct walk *w, const u32 *node, u64 gen)
{
	struct vtlb *t = v->priv->t;

	if (!w->top_level)
		return GPT_NOT_TRACKED;
	for (u32 level = w->top_level; level >= w->leaf_level && level; level--) {
		const struct spt_meta *m = &t->meta[node[level]];
		u64 page = __atomic_load_n((const u64 *)&m->gpt_page, __ATOMIC_ACQUIRE);

		if (unlikely(page == SPT_REFUSED))
			return GPT_NOT_TRACKED;
		if (unlikely(page != (w->table[level] | SPT_TRACKED)))
			return register_path(v, w, node, gen);
		if (unlikely(gen < __atomic_load_n(&m->gpt_since, __ATOMIC_RELAXED)))
			return GPT_NOT_TRACKED;
		u32 *writes = (u32 *)&t->gpt[__atomic_load_n(&m->gpt, __ATOMIC_RELAXED)].writes;

		if (__atomic_load_n(writes, __ATOMIC_RELAXED))
			__atomic_store_n(writes, 0, __ATOMIC_RELAXED);
	}
	return GPT_TRACKED;
}
