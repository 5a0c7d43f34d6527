/*
 * Sharing of shadow page tables between address spaces, at one level.
 *
 * Kernels map their half of the address space through the same tables in every process. The SPT
 * that shadows such a table (of level SHARE_LEVEL, 512 GiB) and all below it is kept once for a
 * table, the rights that the levels above it leave, and what else decides how entries are read: a
 * *top*. A link to a top is a statement as a leaf is: "at generation s this root led to that table
 * with these rights". So it carries a stamp, and has to be as new as the last load of
 * CR3 or invalidation by address: it is what processors keep in paging-structure caches. All other
 * links go without, since SPTs below belong to their parents alone.
 *
 * Nobody knows which links lead to a top. Each use of a top has a number, its life, and a link that
 * was made in another life leads nowhere: so a top is unlinked from all its parents by one store.
 *
 * An entry of the root leads to a top when what is filled through it is global; if it led to an SPT
 * of the address space's own before, that is given up for the top (coalescing).
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/base/hash.h"
#include "vtlb/priv.h"

#define TOPS_MAX 1024u
#define TOP_MEMORY_SHARE 128u /* of the limit */
#define KEY_WORDS 4u

struct top {
	/* life << 32 | index of the SPT, or SPT_NONE: not in use. Another life is stored before
	 * @key changes, the SPT's index after it. */
	_Atomic u64 use;
	u64 key[KEY_WORDS];
	u32 hash_next; /* number + 1 */
};

int share_init(struct vtlb *t)
{
	u64 n = MIN((u64)TOPS_MAX, t->cfg.max_bytes / TOP_MEMORY_SHARE / sizeof(struct top));

	if (!t->cfg.share || n < 4)
		return 0;
	t->n_tops = 1u << bit_highest(n);
	t->top = calloc(t->n_tops, sizeof(*t->top));
	t->top_hash = calloc(t->n_tops, sizeof(*t->top_hash));
	if (!t->top || !t->top_hash)
		return -ENOMEM;
	t->pool_bytes -= MIN(t->pool_bytes, t->n_tops * (sizeof(*t->top) + sizeof(*t->top_hash)));
	return 0;
}

void share_fini(struct vtlb *t)
{
	free(t->top);
	free(t->top_hash);
}

static u64 use_of(struct vtlb *t, u32 number)
{
	return __atomic_load_n((u64 *)&t->top[number].use, __ATOMIC_ACQUIRE);
}

static u64 make_link(u32 number, u64 use)
{
	return SLOT_P | SLOT_LINK | SLOT_SHARED | (u64)number << TOP_NUMBER_SHIFT |
	       use >> 32 << TOP_LIFE_SHIFT;
}

static u32 number_of(u64 link)
{
	return (u32)(link >> TOP_NUMBER_SHIFT & mask_low(TOP_NUMBER_BITS));
}

u32 share_spt(struct vtlb *t, u64 link)
{
	u64 use = use_of(t, number_of(link));

	return likely(use >> 32 == (link >> TOP_LIFE_SHIFT & mask_low(TOP_LIFE_BITS))) ? (u32)use
										       : SPT_NONE;
}

static void make_key(const struct vtlb_vp *v, const struct walk *w, u64 key[KEY_WORDS])
{
	const struct sas_key *k = &v->priv->sas->key;

	key[0] = w->table[SHARE_LEVEL] | w->attr_above;
	key[1] = k->eptp;
	key[2] = (u64)k->mode << 32 | (u64)k->pcid << 16 | k->vpid;
	key[3] = 0;
}

static u32 *hash_head(struct vtlb *t, const u64 key[KEY_WORDS])
{
	u64 h = hash_combine(hash_combine(key[0], key[1]), key[2]);

	return &t->top_hash[h & (t->n_tops - 1)];
}

static bool has_key(struct top *top, const u64 key[KEY_WORDS])
{
	for (u32 i = 0; i < KEY_WORDS; i++)
		if (__atomic_load_n(&top->key[i], __ATOMIC_ACQUIRE) != key[i])
			return false;
	return true;
}

bool share_leads_to(struct vtlb_vp *v, u64 link, const struct walk *w)
{
	struct vtlb *t = v->priv->t;
	u32 number = number_of(link);
	u64 key[KEY_WORDS], use = use_of(t, number);

	make_key(v, w, key);
	/* The key was of that life if the life is still the same. */
	return use >> 32 == (link >> TOP_LIFE_SHIFT & mask_low(TOP_LIFE_BITS)) &&
	       (u32)use != SPT_NONE && has_key(&t->top[number], key) && use_of(t, number) == use;
}

/* Lock held. Number of the top with that key, or -1. */
static s32 find(struct vtlb *t, const u64 key[KEY_WORDS])
{
	u32 n = *hash_head(t, key);

	while (n && !has_key(&t->top[n - 1], key))
		n = t->top[n - 1].hash_next;
	return (s32)n - 1;
}

/* Lock held: one that is not in use, or -1. When all are, one has to go. */
static s32 find_free(struct vtlb *t, struct vtlb_vp *self)
{
	for (u32 i = 0; i < t->n_tops; i++) {
		u32 number = t->next_top++ & (t->n_tops - 1);
		u64 use = use_of(t, number);

		if ((u32)use == SPT_NONE && use >> 32 < mask_low(TOP_LIFE_BITS))
			return (s32)number;
	}
	u32 victim = t->next_top++ & (t->n_tops - 1);

	if ((u32)use_of(t, victim) != SPT_NONE)
		spt_retire_top(t, self, (u32)use_of(t, victim));
	return use_of(t, victim) >> 32 < mask_low(TOP_LIFE_BITS) ? (s32)victim : -1;
}

void share_unlink(struct vtlb *t, u32 index)
{
	u32 number = t->meta[index].top - 1;
	struct top *top = &t->top[number];
	u32 *at = hash_head(t, top->key);

	while (*at != number + 1)
		at = &t->top[*at - 1].hash_next;
	*at = top->hash_next;
	__atomic_store_n((u64 *)&top->use, ((use_of(t, number) >> 32) + 1) << 32, __ATOMIC_SEQ_CST);
	t->meta[index].top = 0;
	t->stats.shared_tops--;
}

u64 share_link(struct vtlb_vp *v, const struct walk *w, u64 gen)
{
	struct vtlb *t = v->priv->t;
	u32 spare = SPT_NONE;
	u64 key[KEY_WORDS], link = 0;
	s32 n;

	make_key(v, w, key);
	vtlb_lock(t);
	n = find(t, key);
	vtlb_unlock(t);
	if (n < 0)
		spare = spt_alloc(t, SHARE_LEVEL, w->table[SHARE_LEVEL], gen);
	vtlb_lock(t);
	n = find(t, key); /* another VP may have been faster */
	if (n >= 0) {
		link = make_link((u32)n, use_of(t, (u32)n));
	} else if (spare != SPT_NONE && (n = find_free(t, v)) >= 0) {
		struct top *top = &t->top[n];
		u32 *head = hash_head(t, key);
		u64 use = use_of(t, (u32)n) >> 32 << 32 | spare;

		for (u32 i = 0; i < KEY_WORDS; i++)
			__atomic_store_n(&top->key[i], key[i], __ATOMIC_RELAXED);
		top->hash_next = *head;
		*head = (u32)n + 1;
		__atomic_store_n((u64 *)&top->use, use, __ATOMIC_RELEASE);
		t->meta[spare].top = (u32)n + 1;
		t->stats.shared_tops++;
		spt_list_shared(t, spare);
		link = make_link((u32)n, use);
		spare = SPT_NONE;
	}
	vtlb_unlock(t);
	if (spare != SPT_NONE)
		spt_free_unlinked(t, spare);
	return link;
}
