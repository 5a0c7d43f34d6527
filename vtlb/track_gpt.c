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
 * For VPs that take turns on one thread only, however many. On several, a write would have to be
 * noted before another VP can see it, and the start of tracking would have to wait for all.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/base/hash.h"
#include "vtlb/priv.h"

#define GPT_MAX 8192u
#define GPT_MEMORY_SHARE 16u /* of the limit */
#define WRITES_BEFORE_RELEASE 24u
#define MAX_NODES 64u /* SPTs that one write may have to look at */

struct gpt {
	u64 page;	/* machine address; of a free one: unused */
	u32 first_node; /* SPTs that shadow it, by spt_meta.gpt_next */
	u32 hash_next;	/* or next free */
	u32 writes;	/* since a leaf was last filled through it */
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

	if (t->is_mp || !t->cfg.retain || t->cfg.detect_stale || t->cfg.mode == VTLB_STRICT || n < 16)
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
	m->gpt = 0;
}

static void add_node(struct vtlb *t, u32 g, u32 index)
{
	struct spt_meta *m = &t->meta[index];

	m->gpt = g;
	m->gpt_prev = SPT_NONE;
	m->gpt_next = t->gpt[g].first_node;
	if (m->gpt_next != SPT_NONE)
		t->meta[m->gpt_next].gpt_prev = index;
	t->gpt[g].first_node = index;
	t->gpt[g].n_nodes++;
}

/* What entry @i of the GPT has made goes. */
static void kill_slot(struct vtlb *t, u32 index, u32 i)
{
	_Atomic u64 *slot = &spt_of(t, index)->slot[i];
	u64 s = __atomic_load_n((u64 *)slot, __ATOMIC_RELAXED);

	if (!s)
		return;
	__atomic_store_n((u64 *)slot, 0, __ATOMIC_RELAXED);
	if (slot_is_link(s) && s & SLOT_SHARED)
		fill_forget_unlinked(t, NULL); /* what it led to is not this table's alone */
	else if (slot_is_link(s))
		spt_retire(t, NULL, spt_index(s));
}

static void kill_slots(struct vtlb *t, u32 index)
{
	for (u32 i = 0; i < SPT_SLOTS; i++)
		kill_slot(t, index, i);
}

/* ---- tracking ---- */

static void track(struct vtlb *t, u64 page)
{
	struct mem_frame *f = frame_of(t, page);
	u32 g = t->gpt_free;

	if (!f || is_tracked(t, page))
		return;
	if (g)
		t->gpt_free = t->gpt[g].hash_next;
	else if (t->gpt_fresh < t->n_gpt)
		g = t->gpt_fresh++;
	else
		return; /* the table is full: this one stays untracked */
	u32 *head = hash_head(t, page);

	t->gpt[g] = (struct gpt){.page = page, .first_node = SPT_NONE, .hash_next = *head};
	*head = g;
	__atomic_fetch_or((u8 *)&f->flags, MEM_FRAME_TRACKED, __ATOMIC_SEQ_CST);
	t->stats.gpts_tracked++;
}

static void release(struct vtlb *t, u32 g)
{
	struct mem_frame *f = frame_of(t, t->gpt[g].page);
	u32 *at = hash_head(t, t->gpt[g].page), n;

	while ((n = t->gpt[g].first_node) != SPT_NONE) {
		kill_slots(t, n); /* may retire others of the list, never this one */
		gpt_forget_node(t, n);
	}
	while (*at != g)
		at = &t->gpt[*at].hash_next;
	*at = t->gpt[g].hash_next;
	t->gpt[g].hash_next = t->gpt_free;
	t->gpt_free = g;
	unguard(f);
	t->stats.gpts_tracked--;
	t->stats.gpt_releases++;
}

/* mem_tracked_fn: RAM [gpa, gpa+len), in one tracked frame, was written. */
void gpt_written(void *arg, u64 gpa, u64 len)
{
	struct vtlb *t = arg;
	u32 g = find(t, gpa & PAGE_MASK);
	u32 first = (u32)(gpa % PAGE_SIZE / 8), last = (u32)((gpa % PAGE_SIZE + len - 1) / 8);

	if (!g)
		return;
	t->stats.gpt_writes++;
	if (++t->gpt[g].writes > WRITES_BEFORE_RELEASE) {
		release(t, g);
		return;
	}
	/* Retiring a child can take any SPT off the list but these: they are its parents. */
	for (u32 n = t->gpt[g].first_node; n != SPT_NONE; n = t->meta[n].gpt_next)
		for (u32 i = first; i <= last; i++)
			kill_slot(t, n, i);
}

void gpt_track_listed(struct vtlb_vp *v)
{
	struct vtlb_vp_priv *p = v->priv;

	if (!p->n_untracked)
		return;
	for (u32 i = 0; i < p->n_untracked; i++)
		track(p->t, p->untracked[i]);
	p->n_untracked = 0;
	view_forget_soft(
		p); /* the write tags of other views; the caller flushes the present one's */
	for (u32 i = 0; i < p->t->cfg.max_vps; i++) {
		struct vtlb_vp *other = p->t->vp[i];

		if (!other || other == v)
			continue;
		gen_flush_soft(other);
		view_forget_soft(other->priv);
	}
}

static void list_untracked(struct vtlb_vp_priv *p, u64 page)
{
	for (u32 i = 0; i < p->n_untracked; i++)
		if (p->untracked[i] == page)
			return;
	if (p->n_untracked < UNTRACKED_MAX)
		p->untracked[p->n_untracked++] = page;
}

bool gpt_path_is_tracked(struct vtlb_vp *v, const struct walk *w)
{
	struct vtlb *t = v->priv->t;
	bool all = w->top_level != 0;

	for (u32 level = w->top_level; level >= w->leaf_level && level; level--) {
		if (is_tracked(t, w->table[level]))
			continue;
		all = false;
		list_untracked(v->priv, w->table[level]);
	}
	return all;
}

enum gpt_registered gpt_register(struct vtlb *t, const struct walk *w, const u32 *node)
{
	for (u32 level = w->top_level; level >= w->leaf_level; level--) {
		u32 n = node[level], g = find(t, w->table[level]);

		if (unlikely(!g))
			return GPT_NOT_TRACKED;
		t->gpt[g].writes = 0;
		if (likely(t->meta[n].gpt == g))
			continue;
		if (t->meta[n].gpt) {
			/* It shadowed another GPT: nothing of that may stay. */
			kill_slots(t, n);
			gpt_forget_node(t, n);
			return GPT_PATH_GONE;
		}
		if (t->gpt[g].n_nodes == MAX_NODES)
			return GPT_NOT_TRACKED;
		add_node(t, g, n);
	}
	return GPT_TRACKED;
}
