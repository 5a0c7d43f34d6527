/*
 * Shadow address spaces: which radix tree belongs to which root of the guest's, kept over switches.
 * A bounded cache by hash; what no VP has selected for longest goes first. Everything here runs
 * under the lock: a switch takes it once, a translation never.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"
#include "vtlb/priv.h"

#define SAS_MAX 4096u
#define SAS_MEMORY_SHARE 64u /* of the limit, at most one part in this many */

int sas_cache_init(struct vtlb *t)
{
	u64 n = t->cfg.max_bytes / SAS_MEMORY_SHARE / sizeof(struct sas);

	/* One for each view of each VP, and one more. */
	t->n_sas = (u32)MAX(MIN(n, (u64)SAS_MAX), (u64)t->cfg.max_vps * VIEWS + 1);
	t->sas_hash_mask = (1u << (bit_highest(t->n_sas) + 1)) - 1;
	t->sas = calloc(t->n_sas, sizeof(*t->sas));
	t->sas_hash = calloc(t->sas_hash_mask + 1u, sizeof(*t->sas_hash));
	u64 bytes = t->n_sas * sizeof(*t->sas) + (t->sas_hash_mask + 1ull) * sizeof(*t->sas_hash);

	t->pool_bytes = t->cfg.max_bytes > bytes ? t->cfg.max_bytes - bytes : 0;
	return t->sas && t->sas_hash ? 0 : -ENOMEM;
}

void sas_cache_fini(struct vtlb *t)
{
	free(t->sas);
	free(t->sas_hash);
}

static u32 hash_key(const struct sas_key *k)
{
	u64 h = k->root ^ (u64)k->pcid << 52 ^ (u64)k->vpid << 36 ^ k->mode;

	h = hash_combine(h, k->eptp);
	if (unlikely(!k->root))
		for (u32 i = 0; i < 4; i++)
			h = hash_combine(h, k->pdpte[i]);
	return (u32)h;
}

static void unhash(struct vtlb *t, struct sas *s)
{
	struct sas **at = &t->sas_hash[s->hash & t->sas_hash_mask];

	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
}

bool sas_evict_one(struct vtlb *t)
{
	for (struct list_node *n = t->sas_lru.prev; n != &t->sas_lru; n = n->prev) {
		struct sas *s = list_entry(n, struct sas, lru);

		if (s->users)
			continue;
		spt_free_all(t, s);
		unhash(t, s);
		list_del(&s->lru);
		list_add(&t->sas_free, &s->lru);
		t->stats.sas_evictions++;
		return true;
	}
	return false;
}

/* Has nobody but @self a view of it? On one thread no VP is in the middle of a translation. */
static bool is_own(const struct vtlb_vp_priv *self, const struct sas *s)
{
	u32 own = 0;

	for (u32 i = 0; i < VIEWS; i++)
		own += self->view[i].is_used && self->view[i].sas == s;
	return own == s->users || !self->t->is_mp;
}

bool sas_empty_one(struct vtlb *t, struct vtlb_vp_priv *self)
{
	for (struct list_node *n = t->sas_lru.prev; n != &t->sas_lru; n = n->prev) {
		struct sas *s = list_entry(n, struct sas, lru);

		if (!s->root || s == self->sas || !is_own(self, s))
			continue;
		spt_free_all(t, s);
		t->stats.sas_evictions++;
		return true;
	}
	return false;
}

static struct sas *make(struct vtlb *t, const struct sas_key *key, u32 hash)
{
	struct sas *s;

	if (t->sas_fresh < t->n_sas) {
		s = &t->sas[t->sas_fresh++];
		list_init(&s->lru);
	} else {
		if (list_is_empty(&t->sas_free))
			sas_evict_one(t); /* finds one: there is one more than there are views */
		s = list_first(&t->sas_free, struct sas, lru);
	}
	u32 mode = key->mode & SAS_MODE_PAGING;

	s->key = *key;
	s->serial = ++t->sas_serial;
	s->hash = hash;
	s->levels = mode == WALK_5LEVEL ? 5 : mode == WALK_4LEVEL ? 4 : 3;
	struct sas **head = &t->sas_hash[hash & t->sas_hash_mask];

	s->hash_next = *head;
	*head = s;
	t->stats.sas_misses++;
	return s;
}

struct sas *sas_switch(struct vtlb *t, struct sas *old, const struct sas_key *key)
{
	u32 hash = hash_key(key);
	struct sas *s;

	vtlb_lock(t);
	if (old)
		old->users--;
	for (s = t->sas_hash[hash & t->sas_hash_mask]; s; s = s->hash_next)
		if (s->hash == hash && nm_equal(&s->key, key, sizeof(*key)))
			break;
	if (!s)
		s = make(t, key, hash);
	s->users++;
	list_move(&t->sas_lru, &s->lru);
	vtlb_unlock(t);
	return s;
}

void sas_put(struct vtlb *t, struct sas *s)
{
	vtlb_lock(t);
	s->users--;
	vtlb_unlock(t);
}
