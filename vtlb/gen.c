/*
 * Generations and grace: what every VP has passed, safe points, write protection in two stages, and
 * the machine-wide object itself.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "l0/base/assert.h"
#include "l0/base/hash.h"
#include "l0/base/log.h"
#include "l0/base/words.h"
#include "vtlb/priv.h"

#ifndef VTLB_ODD_EVEN
#define VTLB_ODD_EVEN 0 /* see infill.c */
#endif

void vtlb_spin_wait(struct vtlb *t, _Atomic u32 *lock)
{
	u32 spins = 0;

	vtlb_count_shared(&t->stats.lock_waits);
	do
		while (__atomic_load_n((u32 *)lock, __ATOMIC_RELAXED)) {
			if (++spins % VTLB_SPINS == 0) {
				vtlb_count_shared(&t->stats.lock_yields);
				sched_yield(); /* its holder may wait for this CPU */
			}
			__builtin_ia32_pause();
		}
	while (__atomic_exchange_n((u32 *)lock, 1, __ATOMIC_ACQUIRE));
}

/* ---- grace ---- */

static u64 req_now(struct vtlb *t)
{
	return __atomic_load_n((u64 *)&t->req, __ATOMIC_ACQUIRE);
}

/* Either its vtlb_online() comes later and sees the new state, or it is seen here. */
static bool has_passed(const struct vtlb_vp *v, u64 ticket)
{
	return __atomic_load_n((bool *)&v->offline, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n((u64 *)&v->seen, __ATOMIC_ACQUIRE) >= ticket;
}

void gen_ask(struct vtlb *t, struct vtlb_vp *self, u64 ticket)
{
	for (u32 i = 0; i < t->cfg.max_vps; i++) {
		struct vtlb_vp *v = t->vp[i];

		if (v && v != self && v->request && !has_passed(v, ticket))
			v->request(v->owner);
	}
}

u64 gen_request(struct vtlb *t, struct vtlb_vp *self)
{
	u64 ticket = __atomic_fetch_add((u64 *)&t->req, 1, __ATOMIC_SEQ_CST) + 1;

	gen_ask(t, self, ticket);
	return ticket;
}

bool gen_passed(struct vtlb *t, const struct vtlb_vp *self, u64 ticket)
{
	for (u32 i = 0; i < t->cfg.max_vps; i++) {
		struct vtlb_vp *v = t->vp[i];

		if (v && v != self && !has_passed(v, ticket))
			return false;
	}
	return true;
}

void gen_flush_soft(struct vtlb_vp *v)
{
	if (v->flush_soft)
		v->flush_soft(v->owner);
}

/* Lock held, and there is room. */
static void add_protect(struct vtlb *t, const struct vtlb_vp *self, u64 ticket, struct mem_frame *f)
{
	t->protect[t->protect_count] = (struct pending_protect){ticket, self, f};
	__atomic_store_n(&t->protect_count, t->protect_count + 1, __ATOMIC_RELAXED);
}

/*
 * Frames whose write tags every VP has given up: what was decoded from them before that dies. Who
 * decoded gave its own up then and is asked for nothing, so the last of the others completes it.
 */
static void complete_protects(struct vtlb *t)
{
	u32 kept = 0;

	for (u32 i = 0; i < t->protect_count; i++) {
		struct pending_protect *p = &t->protect[i];

		if (gen_passed(t, p->self, p->ticket))
			mem_code_moved(t->env.mem, p->frame, ~0u);
		else
			t->protect[kept++] = *p;
	}
	__atomic_store_n(&t->protect_count, kept, __ATOMIC_RELAXED);
}

static void check_protects(struct vtlb *t)
{
	if (likely(!__atomic_load_n(&t->protect_count, __ATOMIC_RELAXED)))
		return;
	vtlb_lock(t);
	complete_protects(t);
	vtlb_unlock(t);
}

void vtlb_safe_point(struct vtlb_vp *v)
{
	struct vtlb *t = v->priv->t;
	u64 req = req_now(t);

	if (likely(req == __atomic_load_n((u64 *)&v->seen, __ATOMIC_RELAXED)))
		return;
	u64 all = __atomic_load_n((u64 *)&t->all_floor, __ATOMIC_ACQUIRE);

	gen_flush_soft(v);
	view_forget_soft(v->priv);
	fill_forget_regions(v->priv);
	vtlb_write_done(v);
	vtlb_count(&v->n_pass);
	if (all > v->floor) {
		__atomic_store_n(&v->floor, all, __ATOMIC_RELAXED);
		inval_update_floors(v);
	}
	__atomic_store_n((u64 *)&v->seen, req, __ATOMIC_RELEASE);
	check_protects(t);
}

void vtlb_offline(struct vtlb_vp *v)
{
	vtlb_write_done(v);
	__atomic_store_n((bool *)&v->offline, true, __ATOMIC_SEQ_CST);
	check_protects(v->priv->t);
}

void vtlb_online(struct vtlb_vp *v)
{
	__atomic_store_n((bool *)&v->offline, false,
			 __ATOMIC_SEQ_CST); /* an exchange: full fence */
	vtlb_safe_point(v);
}

void gen_drop_writes(struct vtlb_vp *v, u64 gpa)
{
	if (v->drop_soft_writes) {
		v->drop_soft_writes(v->owner, mem_map_hva(v->priv->t->env.map, gpa, 1));
	} else {
		gen_flush_soft(v);
		view_forget_soft(v->priv);
	}
}

bool vtlb_protect_frame(struct vtlb_vp *self, u64 gpa)
{
	struct vtlb *t = self->priv->t;
	struct mem_frame *f = mem_frame(t->env.mem, gpa);
	bool ok = true;

	/* The decoder's mark came before this look, a giver of write tags looks for marks after it
	 * set the bit: one of the two sees the other. */
	if (!f || !(__atomic_load_n((u8 *)&f->flags, __ATOMIC_SEQ_CST) & MEM_FRAME_WRITABLE))
		return true;
	gen_drop_writes(self, gpa);
	vtlb_count_shared(&t->stats.protects);
	if (!t->is_mp) {
		for (u32 i = 0; i < t->cfg.max_vps; i++)
			if (t->vp[i] && t->vp[i] != self)
				gen_drop_writes(t->vp[i], gpa);
		__atomic_fetch_and((u8 *)&f->flags, (u8)~MEM_FRAME_WRITABLE, __ATOMIC_RELAXED);
		VTLB_EVENT(self, tlb_protect, .gpa = gpa, .deferred = false);
		return true;
	}
	vtlb_lock(t);
	if (t->protect_count == PROTECT_RING)
		complete_protects(t);
	u64 ticket = gen_request(t, self);

	bool deferred = !gen_passed(t, self, ticket);

	if (deferred)
		vtlb_count_shared(&t->stats.protects_deferred);
	if (deferred && t->protect_count < PROTECT_RING)
		add_protect(t, self, ticket, f);
	else
		ok = !deferred;
	vtlb_unlock(t);
	VTLB_EVENT(self, tlb_protect, .gpa = gpa, .deferred = deferred);
	return ok;
}

void vtlb_memory_changed(struct vtlb *t)
{
	vtlb_count_shared(&t->stats.memory_changes);
	__atomic_store_n((u64 *)&t->all_floor, gen_invalidate(t), __ATOMIC_SEQ_CST);
	gen_request(t, NULL);
}

/* ---- the machine's object ---- */

u64 vtlb_guard_frame(struct vtlb_vp *self, u64 gpa)
{
	struct vtlb *t = self->priv->t;
	struct mem_frame *f = mem_frame(t->env.mem, gpa);

	if (!f || !(__atomic_load_n((u8 *)&f->flags, __ATOMIC_SEQ_CST) & MEM_FRAME_WRITABLE))
		return 0;
	if (!t->is_mp) {
		vtlb_protect_frame(self, gpa);
		return 0;
	}
	gen_drop_writes(self, gpa);
	return gen_request(t, self);
}

bool vtlb_guard_passed(const struct vtlb_vp *self, u64 ticket)
{
	return !ticket || gen_passed(self->priv->t, self, ticket);
}

const char *vtlb_parse_parts(const char *list, u32 *bits)
{
	static const char *const names[] = {
#define PART(id, name, text) name,
#include "vtlb/parts.def"
#undef PART
	};

	return words_parse(list, names, VTLB_PARTS, bits);
}

struct vtlb *vtlb_create(struct mem *mem, const struct vtlb_config *cfg, int *err)
{
	*err = -EINVAL;
	if (!cfg->max_vps || cfg->maxphyaddr < 32 || cfg->maxphyaddr > 52)
		return NULL;
	struct vtlb *t = aligned_alloc(64, ALIGN_UP(sizeof(*t), 64));

	*err = -ENOMEM;
	if (!t)
		return NULL;
	*t = (struct vtlb){.cfg = *cfg,
			   .is_mp = cfg->max_vps > 1 && !cfg->one_thread,
			   .one_lock = cfg->one_lock,
			   .no_soft = cfg->mode == VTLB_STRICT || cfg->detect_stale};
	if (cfg->mode == VTLB_NORMAL && !cfg->detect_stale)
		t->refresh_walks = cfg->refresh_walks;
	t->odd_even = t->is_mp && (cfg->odd_even || VTLB_ODD_EVEN);
	t->stats.odd_even = t->odd_even;
	if (t->odd_even) /* who invalidates would wait for it */
		t->refresh_walks = 0;
	t->gen = t->req = 1;
	list_init(&t->sas_lru);
	list_init(&t->sas_free);
	t->env = (struct walk_env){
		.mem = mem,
		.map = mem_map(mem),
		.phys_mask = mask_low(cfg->maxphyaddr) & PAGE_MASK,
		.rsvd_mask = mask_low(52) & ~mask_low(cfg->maxphyaddr),
		.maxphyaddr = cfg->maxphyaddr,
		.has_1g = cfg->has_1g_pages,
		.ept_caps = cfg->ept_caps,
	};
	t->vp = calloc(cfg->max_vps, sizeof(struct vtlb_vp *));
	if (!t->vp || sas_cache_init(t) || gpt_init(t) || watch_init(t) || share_init(t) ||
	    spt_pool_init(t)) {
		vtlb_destroy(t);
		return NULL;
	}
	*err = 0;
	return t;
}

void vtlb_destroy(struct vtlb *t)
{
	if (!t)
		return;
	if (t->cfg.audit)
		log_warn(LOG_VTLB,
			 "audit: %llu cached translations used, %llu of them differed from the "
			 "tables"
			 " (legal until the guest invalidates)",
			 (unsigned long long)t->stats.audit_checks,
			 (unsigned long long)t->stats.audit_stale);
	gpt_fini(t);
	watch_fini(t);
	share_fini(t);
	spt_pool_fini(t);
	sas_cache_fini(t);
	free(t->vp);
	free(t);
}

int vtlb_vp_init(struct vtlb *t, struct vtlb_vp *v, u32 id)
{
	if (id >= t->cfg.max_vps || t->vp[id])
		return -EINVAL;
	struct vtlb_vp_priv *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (t->cfg.detect_stale)
		p->stale = calloc(1, sizeof(*p->stale));
	if (((t->cfg.mode == VTLB_ADVERSARIAL || t->cfg.detect_stale) && held_init(p)) ||
	    (t->cfg.detect_stale && !p->stale)) {
		held_fini(p);
		free(p->stale);
		free(p);
		return -ENOMEM;
	}
	p->t = t;
	p->is_special = t->cfg.mode != VTLB_NORMAL || t->cfg.audit || p->stale;
	p->gva_mask = 0xffffffff;
	p->rng = hash_combine(t->cfg.seed, id);
	p->view[0].is_used = true; /* neither paging nor EPT */
	fill_forget_regions(p);
	v->priv = p;
	v->vtlb = t;
	v->id = id;
	v->sas = NULL;
	v->floor = 0;
	v->seen = req_now(t);
	v->offline = false;
	v->writing = false;
	v->ctx = (struct vtlb_context){0};
	t->vp[id] = v;
	vtlb_set_context(v, &v->ctx);
	return 0;
}

void vtlb_vp_fini(struct vtlb_vp *v)
{
	if (!v->priv)
		return;
	struct vtlb *t = v->priv->t;

	vtlb_lock(t);
	view_drop_others(v->priv);
	vtlb_unlock(t);
	if (v->priv->sas)
		sas_put(t, v->priv->sas);
	t->vp[v->id] = NULL;
	held_fini(v->priv);
	free(v->priv->stale);
	free(v->priv);
	v->priv = NULL;
	v->sas = NULL;
}

void vtlb_get_stats(struct vtlb *t, struct vtlb_stats *s)
{
	const u64 *from = (const u64 *)&t->stats;
	u64 *to = (u64 *)s;

	vtlb_lock(t);
	for (u32 i = 0; i < sizeof(*s) / sizeof(u64); i++) /* some change without the lock */
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	s->spts_limbo = t->limbo_count;
	vtlb_unlock(t);
}

void vtlb_each_counter(struct vtlb *t, counter_fn *add, void *arg)
{
	struct vtlb_stats s;
	u64 sum;

	vtlb_get_stats(t, &s);
#define VP(name, member, text) \
	sum = 0; \
	for (u32 i = 0; i < t->cfg.max_vps; i++) \
		sum += t->vp[i] ? t->vp[i]->member : 0; \
	add(arg, "vtlb", #name, sum, text);
#define T(name, text) add(arg, "vtlb", #name, s.name, text);
#include "l0/arch/vtlb_counters.def"
#undef VP
#undef T
}
