/*
 * Shadow page tables: the pool with its hard limit, and how SPTs come back to it.
 *
 * An SPT belongs to one SAS and is a node of that SAS's radix tree over linear addresses. Links
 * carry no meaning of the architecture, so only leaves go stale, and those certify themselves. What
 * needs care is reuse: an SPT that was unlinked may still be read, or filled, by a VP that found it
 * before. It waits in limbo until every VP has passed a safe point. The trees of a SAS that no VP
 * has selected are nobody's, and are free at once.
 */
#include <errno.h>
#include <sys/mman.h>

#include "l0/base/assert.h"
#include "l0/base/mem_ops.h"
#include "vtlb/priv.h"

#define RESERVE 8u /* SPTs that a fill may need: five levels, and room for a race */
#define EVICT_BATCH 16u
#define EVICT_SCAN 64u

static void *map_zeroed(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int spt_pool_init(struct vtlb *t)
{
	u64 each = sizeof(struct spt) + sizeof(struct spt_meta);
	u64 n = t->pool_bytes / each;

	t->n_spts = (u32)MIN(MAX(n, 1ull), 1ull << 30);
	t->spt = map_zeroed((u64)t->n_spts * sizeof(struct spt));
	t->meta = map_zeroed((u64)t->n_spts * sizeof(struct spt_meta));
	node_init(t);
	t->available = t->n_spts - 1;
	t->stats.spts_limit = t->n_spts - 1;
	if (!t->spt || !t->meta)
		return -ENOMEM;
	node_bind_host(t);
	return 0;
}

void spt_pool_fini(struct vtlb *t)
{
	if (t->spt)
		munmap(t->spt, (u64)t->n_spts * sizeof(struct spt));
	if (t->meta)
		munmap(t->meta, (u64)t->n_spts * sizeof(struct spt_meta));
}

static u32 available(struct vtlb *t)
{
	return __atomic_load_n((u32 *)&t->available, __ATOMIC_RELAXED);
}

bool spt_is_scarce(struct vtlb *t)
{
	return available(t) < 2 * RESERVE;
}

/* Lock held. */
static void add_available(struct vtlb *t, s32 n)
{
	__atomic_store_n((u32 *)&t->available, available(t) + (u32)n, __ATOMIC_RELAXED);
	t->stats.spts_used -= (u64)(s64)n;
}

static void push_free(struct vtlb *t, u32 index)
{
	gpt_forget_node(t, index);
	node_give(t, index);
	add_available(t, 1);
}

u32 spt_alloc(struct vtlb *t, u32 level, u64 gpt, u64 base)
{
	u32 index, node = node_of_page(t, gpt);

	vtlb_lock(t);
	index = node_take(t, node);
	if (index != SPT_NONE) {
		add_available(t, -1);
		t->stats.spt_allocs++;
	}
	vtlb_unlock(t);
	if (index == SPT_NONE)
		return SPT_NONE;
	nm_zero(spt_of(t, index), sizeof(struct spt));
	t->meta[index].base = base;
	t->meta[index].level = (u8)level;
	t->meta[index].state = SPT_UNLISTED;
	t->meta[index].gpt = 0;
	__atomic_store_n((u64 *)&t->meta[index].gpt_page, 0, __ATOMIC_RELAXED);
	t->meta[index].top = 0;
	return index;
}

void spt_free_unlinked(struct vtlb *t, u32 index)
{
	vtlb_lock(t);
	push_free(t, index);
	vtlb_unlock(t);
}

/* ---- the list of a SAS; lock held ---- */

static void list_append(struct vtlb *t, struct sas *s, u32 index)
{
	struct spt_meta *m = &t->meta[index];

	m->prev = s->last;
	m->next = SPT_NONE;
	if (s->last != SPT_NONE)
		t->meta[s->last].next = index;
	else
		s->first = index;
	s->last = index;
	s->n_spts++;
}

static void list_remove(struct vtlb *t, struct sas *s, u32 index)
{
	struct spt_meta *m = &t->meta[index];

	if (m->prev != SPT_NONE)
		t->meta[m->prev].next = m->next;
	else
		s->first = m->next;
	if (m->next != SPT_NONE)
		t->meta[m->next].prev = m->prev;
	else
		s->last = m->prev;
	s->n_spts--;
}

/* ---- reuse ---- */

static void limbo_append(struct vtlb *t, u32 index)
{
	t->meta[index].next = SPT_NONE;
	if (t->limbo_count++)
		t->meta[t->limbo_last].next = index;
	else
		t->limbo_first = index;
	t->limbo_last = index;
}

/* Lock held. @nobody: no other VP can hold it, so that it needs no ticket. */
static void retire_locked(struct vtlb *t, u32 index, bool nobody)
{
	if (nobody)
		push_free(t, index);
	else
		limbo_append(t, index);
}

/* @s is selected by @self alone, or there is no other VP. @self may be NULL: nobody in
 * particular. */
static bool is_private(struct vtlb *t, const struct vtlb_vp *self, const struct sas *s)
{
	return !t->is_mp || (self && s == self->priv->sas && s->users == 1);
}

/* Lock held; off the list. The unlinking came before, the number comes after. */
static void retire_one(struct vtlb *t, struct vtlb_vp *self, struct sas *s, u32 index)
{
	bool nobody = is_private(t, self, s);

	if (!nobody)
		t->meta[index].ticket = gen_request(t, self);
	retire_locked(t, index, nobody);
}

void spt_linked(struct vtlb *t, struct vtlb_vp *self, struct sas *s, u32 index, _Atomic u64 *parent)
{
	struct spt_meta *m = &t->meta[index];

	vtlb_lock(t);
	if (unlikely(m->state == SPT_DOOMED)) {
		/* Not free at once even if private: the caller is about to use it. */
		m->ticket = gen_request(t, NULL);
		limbo_append(t, index);
	} else {
		m->parent = parent;
		m->sas = s;
		m->state = SPT_LISTED;
		list_append(t, s, index);
	}
	vtlb_unlock(t);
}

static void retire_listed(struct vtlb *t, struct vtlb_vp *self, u32 index)
{
	struct spt_meta *m = &t->meta[index];

	if (likely(m->state == SPT_LISTED)) {
		struct sas *s = m->sas;

		list_remove(t, s, index);
		retire_one(t, self, s, index);
	} else {
		m->state = SPT_DOOMED; /* spt_linked() is about to come */
	}
}

void spt_retire(struct vtlb *t, struct vtlb_vp *self, u32 index)
{
	vtlb_lock(t);
	retire_listed(t, self, index);
	vtlb_unlock(t);
	fill_forget_unlinked(t, self);
}

void spt_retire_locked(struct vtlb *t, u32 index)
{
	retire_listed(t, NULL, index);
	fill_forget_unlinked(t, NULL);
}

void spt_cut(struct vtlb *t, u32 index, u64 gen)
{
	u64 link = spt_link(index);

	/* Else it was cut off before: it is in limbo, or below something that is. */
	if (t->meta[index].state == SPT_LISTED &&
	    __atomic_compare_exchange_n((u64 *)t->meta[index].parent, &link, slot_empty(gen), false,
					__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		spt_retire_locked(t, index);
}

void spt_list_shared(struct vtlb *t, u32 index)
{
	t->meta[index].sas = &t->shared;
	t->meta[index].state = SPT_LISTED;
	list_append(t, &t->shared, index);
}

void spt_retire_top(struct vtlb *t, struct vtlb_vp *self, u32 index)
{
	share_unlink(t, index);
	list_remove(t, &t->shared, index);
	retire_one(t, self, &t->shared, index);
	fill_forget_unlinked(t, self);
}

void spt_retire_root(struct vtlb *t, struct vtlb_vp *self, u32 index)
{
	vtlb_lock(t);
	retire_one(t, self, self->priv->sas, index);
	vtlb_unlock(t);
	fill_forget_unlinked(t, self);
}

static void collect_limbo(struct vtlb *t, struct vtlb_vp *self)
{
	while (t->limbo_count && gen_passed(t, self, t->meta[t->limbo_first].ticket)) {
		u32 index = t->limbo_first;

		t->limbo_first = t->meta[index].next;
		t->limbo_count--;
		push_free(t, index);
	}
	if (t->limbo_count)
		gen_ask(t, self, t->meta[t->limbo_first].ticket);
}

void spt_free_all(struct vtlb *t, struct sas *s)
{
	u64 root = __atomic_load_n((u64 *)&s->root, __ATOMIC_RELAXED);

	if (root) {
		push_free(t, spt_index(root));
		__atomic_store_n((u64 *)&s->root, 0, __ATOMIC_RELAXED);
	}
	if (t->gpt)
		for (u32 i = s->first; i != SPT_NONE; i = t->meta[i].next)
			gpt_forget_node(t, i);
	if (s->first != SPT_NONE) { /* the whole list at once */
		t->meta[s->last].next = t->free_first;
		t->free_first = s->first;
		add_available(t, (s32)s->n_spts);
	}
	s->first = s->last = SPT_NONE;
	s->n_spts = 0;
}

/*
 * Unlink one SPT of @s, which is in use: the oldest of the lowest level among the first few, since
 * those above keep many others reachable; when there is none, the oldest of all. Children of an
 * unlinked SPT stay on the list, unreachable, and their turn comes.
 */
static void evict_spt(struct vtlb *t, struct sas *s, bool nobody)
{
	u32 index = s->first;

	for (u32 i = MIN(EVICT_SCAN, s->n_spts); i && t->meta[index].level > 1; i--) {
		list_remove(t, s, index);
		list_append(t, s, index);
		index = s->first;
	}
	u64 link = spt_link(index);

	if (t->meta[index].top)
		share_unlink(t, index);
	else
		__atomic_compare_exchange_n((u64 *)t->meta[index].parent, &link, fill_emptied(t),
					    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	list_remove(t, s, index);
	retire_locked(t, index, nobody);
	t->stats.spt_evictions++;
}

/* Tickets of the limbo from @index on, whose SPTs have all been unlinked by now. */
static void set_tickets(struct vtlb *t, struct vtlb_vp *self, u32 index)
{
	u64 ticket = index != SPT_NONE ? gen_request(t, self) : 0;

	for (; index != SPT_NONE; index = t->meta[index].next)
		t->meta[index].ticket = ticket;
}

/* A pool of a few dozen SPTs is not emptied for one that is needed. */
static u32 eviction_goal(const struct vtlb *t)
{
	return RESERVE + MIN(RESERVE, t->n_spts / 8);
}

static void evict_from(struct vtlb *t, struct sas *s, bool nobody, u32 *evicted)
{
	for (; s->n_spts && *evicted < EVICT_BATCH && available(t) < eviction_goal(t); ++*evicted)
		evict_spt(t, s, nobody);
	u64 link = __atomic_load_n((u64 *)&s->root, __ATOMIC_RELAXED);

	/* The address space itself stays, and with it what soft TLBs hold of it. */
	if (!s->n_spts && link && available(t) < eviction_goal(t) && *evicted < EVICT_BATCH &&
	    __atomic_compare_exchange_n((u64 *)&s->root, &link, 0, false, __ATOMIC_SEQ_CST,
					__ATOMIC_RELAXED)) {
		retire_locked(t, spt_index(link), nobody);
		t->stats.spt_evictions++;
		++*evicted;
	}
}

/* SPTs of SASes that are in use go, least recently selected SAS first; shared ones last, unless
 * they are most of all. */
static void evict_in_use(struct vtlb *t, struct vtlb_vp *self)
{
	u32 last = t->limbo_count ? t->limbo_last : SPT_NONE;
	u32 evicted = 0;

	if (t->shared.n_spts > t->n_spts / 2)
		evict_from(t, &t->shared, !t->is_mp, &evicted);
	for (struct list_node *n = t->sas_lru.prev; n != &t->sas_lru; n = n->prev) {
		struct sas *s = list_entry(n, struct sas, lru);

		evict_from(t, s, is_private(t, self, s), &evicted);
	}
	evict_from(t, &t->shared, !t->is_mp, &evicted);
	if (t->limbo_count)
		set_tickets(t, self, last != SPT_NONE ? t->meta[last].next : t->limbo_first);
}

void spt_reclaim(struct vtlb_vp *self)
{
	struct vtlb *t = self->priv->t;

	if (likely(available(t) >= RESERVE))
		return;
	fill_forget_unlinked(t, self);
	vtlb_lock(t);
	u64 evictions = t->stats.spt_evictions, spaces = t->stats.sas_evictions;

	collect_limbo(t, self);
	while (available(t) < RESERVE && sas_evict_one(t))
		;
	while (available(t) < RESERVE && sas_empty_one(t, self->priv))
		;
	if (available(t) + t->limbo_count < RESERVE)
		evict_in_use(t, self);
	t->stats.spts_limbo = t->limbo_count;
	evictions = t->stats.spt_evictions - evictions;
	spaces = t->stats.sas_evictions - spaces;
	u32 waiting = t->limbo_count;

	vtlb_unlock(t);
	if (evictions || spaces)
		VTLB_EVENT(self, spt_evict, .tables = evictions, .spaces = spaces,
			   .waiting = waiting);
}
