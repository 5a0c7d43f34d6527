/*
 * Watched entries: the detector and strict mode know of every write to the tables that translations
 * come from.
 *
 * Every table frame that a walk went through is guarded (as code is): no soft TLB holds a write tag
 * of it, so each write ends up in watch_written(), which compares with a copy of the table. As long
 * as no entry of a path changes, what a walk gave stays what a walk would give, and the soft TLB
 * may keep it. When a present entry changes, all soft TLBs are flushed: the next use of each page
 * comes through vtlb_translate() again, where the mode decides. So a guest costs about what it
 * costs in normal mode, whatever it executes between changes of its tables.
 *
 * Changes that take something away are remembered with their writer, by entry, in a table by hash
 * where the newer write takes the place: who wrote the entry that a stale translation came from.
 *
 * On several threads a frame is watched once every VP has passed a safe point after the guard went
 * up; until then nothing that came through it is kept. @watch.lock guards all of this; what it
 * guards never calls back into a guest.
 */
#include <errno.h>
#include <stdlib.h>

#include "l0/base/hash.h"
#include "trace/transition.h"
#include "vtlb/priv.h"

#define WATCHED_MAX 2048u /* frames, with a copy each */
#define ENTRY_WRITES 4096u
#define WRITES_BEFORE_RELEASE \
	1024u /* more than entries of a table, so that one rewrite is seen whole */
#define ENTRIES 512u

#define ENTRY_P BIT(0)
#define ENTRY_W BIT(1)
#define ENTRY_U BIT(2)
#define ENTRY_PS BIT(7)
#define ENTRY_XD BIT(63)
#define ENTRY_FRAME GENMASK(51, 12)
#define GUEST_AD (BIT(5) | BIT(6))
#define EPT_AD (BIT(8) | BIT(9))
#define EPT_RWX (BIT(0) | BIT(1) | BIT(2) | BIT(10))

/* What a frame is used as. */
#define AS_GUEST64 0x1u
#define AS_GUEST32 0x2u
#define AS_EPT 0x4u
#define AS_OLD_FRAME 0x8u /* of a suspect: see stale.c */

struct watched {
	u64 page;      /* machine address */
	u64 ticket;    /* until it is live: the request that every VP has to pass */
	u64 path;      /* the last look that found it */
	u32 hash_next; /* or next free */
	u32 writes;    /* since a walk last went through it */
	u8 as;	       /* AS_* */
	bool is_used, is_live;
};

struct watch {
	_Atomic u32 lock;
	_Atomic bool is_granted; /* some soft TLB may hold what depends on a watched frame */
	u32 fresh, free, hand;
	u64 path;
	u32 hash[WATCHED_MAX];
	struct watched frame[WATCHED_MAX]; /* index 0 is none */
	u64 copy[WATCHED_MAX][ENTRIES];
	struct entry_write written[ENTRY_WRITES];
};

int watch_init(struct vtlb *t)
{
	if (!t->cfg.detect_stale && t->cfg.mode != VTLB_STRICT)
		return 0;
	t->watch = calloc(1, sizeof(*t->watch)); /* its pages come as they are used */
	if (!t->watch)
		return -ENOMEM;
	t->watch->fresh = 1;
	mem_set_tracked(t->env.mem, watch_written, t);
	return 0;
}

static struct mem_frame *frame_of(struct vtlb *t, u64 page)
{
	s64 at = mem_map_hpa(t->env.map, page, PAGE_SIZE);

	return at >= 0 ? &t->env.map->frames[at >> PAGE_SHIFT] : NULL;
}

static void unguard(struct vtlb *t, u64 page)
{
	__atomic_fetch_and((u8 *)&frame_of(t, page)->flags, (u8)~MEM_FRAME_TRACKED,
			   __ATOMIC_SEQ_CST);
}

void watch_fini(struct vtlb *t)
{
	if (!t->watch)
		return;
	mem_set_tracked(t->env.mem, NULL, NULL);
	for (u32 i = 1; i < t->watch->fresh; i++)
		if (t->watch->frame[i].is_used)
			unguard(t, t->watch->frame[i].page);
	free(t->watch);
}

void watch_lock(struct vtlb *t)
{
	if (t->is_mp)
		vtlb_spin_lock(t, &t->watch->lock);
}

void watch_unlock(struct vtlb *t)
{
	if (t->is_mp)
		vtlb_spin_unlock(&t->watch->lock);
}

struct vtlb_vp *watch_self(struct vtlb *t)
{
	struct vtlb_vp *v = t->cfg.self ? t->cfg.self(t->cfg.arg) : NULL;

	return v && v->vtlb == t ? v : NULL;
}

u64 watch_now_ns(const struct vtlb_vp *v)
{
	return v->trace && v->trace->now ? v->trace->now(v->trace) : v->n_translate;
}

/* ---- frames; lock held ---- */

static u32 *hash_head(struct watch *w, u64 page)
{
	return &w->hash[hash_u64(page) & (WATCHED_MAX - 1)];
}

static u32 find(struct watch *w, u64 page)
{
	u32 i = *hash_head(w, page);

	while (i && w->frame[i].page != page)
		i = w->frame[i].hash_next;
	return i;
}

/* No soft TLB holds anything that depends on what is watched. @self runs on this thread, or
 * NULL. */
static void flush_soft(struct vtlb *t, struct vtlb_vp *self)
{
	if (!__atomic_exchange_n(&t->watch->is_granted, false, __ATOMIC_SEQ_CST))
		return;
	vtlb_count_shared(&t->stats.watch_flushes);
	if (t->is_mp)
		gen_request(t, self);
	for (u32 i = 0; i < t->cfg.max_vps; i++) {
		struct vtlb_vp *v = t->vp[i];

		if (!v || (t->is_mp && v != self))
			continue;
		gen_flush_soft(v);
		view_forget_soft(v->priv);
	}
}

static void release(struct vtlb *t, u32 i)
{
	struct watch *w = t->watch;
	u32 *at = hash_head(w, w->frame[i].page);

	while (*at != i)
		at = &w->frame[*at].hash_next;
	*at = w->frame[i].hash_next;
	unguard(t, w->frame[i].page);
	w->frame[i].is_used = w->frame[i].is_live = false;
	w->frame[i].hash_next = w->free;
	w->free = i;
	__atomic_fetch_sub(&t->stats.watched, 1, __ATOMIC_RELAXED);
}

/* Room for one more: one that is not of the present path goes. */
static void evict(struct vtlb *t, struct vtlb_vp *self)
{
	struct watch *w = t->watch;

	do
		w->hand = w->hand % (WATCHED_MAX - 1) + 1;
	while (w->frame[w->hand].path == w->path);
	release(t, w->hand);
	flush_soft(t, self);
}

/* Its writers are known from now on. */
static void make_live(struct vtlb *t, u32 i)
{
	const u64 *table =
		(const void *)mem_map_hva(t->env.map, t->watch->frame[i].page, PAGE_SIZE);

	for (u32 e = 0; e < ENTRIES; e++)
		t->watch->copy[i][e] = __atomic_load_n(&table[e], __ATOMIC_RELAXED);
	t->watch->frame[i].is_live = true;
}

/* The guard of @f is up: take away the write tags. Return: a request to be passed first; 0: none
 * is. */
static u64 drop_writes(struct vtlb *t, struct vtlb_vp *self, struct mem_frame *f, u64 page)
{
	if (!(__atomic_load_n((u8 *)&f->flags, __ATOMIC_SEQ_CST) & MEM_FRAME_WRITABLE))
		return 0;
	if (t->is_mp) {
		gen_drop_writes(self, page);
		/* any VP may look later whether all have passed */
		u64 ticket = gen_request(t, NULL);

		return gen_passed(t, self, ticket) ? 0 : ticket;
	}
	for (u32 i = 0; i < t->cfg.max_vps; i++)
		if (t->vp[i])
			gen_drop_writes(t->vp[i], page);
	__atomic_fetch_and((u8 *)&f->flags, (u8)~MEM_FRAME_WRITABLE, __ATOMIC_RELAXED);
	return 0;
}

static u32 begin(struct vtlb *t, struct vtlb_vp *self, struct mem_frame *f, u64 page)
{
	struct watch *w = t->watch;
	u32 i, *head = hash_head(w, page);

	if (!w->free && w->fresh == WATCHED_MAX)
		evict(t, self);
	if (w->free) {
		i = w->free;
		w->free = w->frame[i].hash_next;
	} else {
		i = w->fresh++;
	}
	w->frame[i] = (struct watched){.page = page, .hash_next = *head, .is_used = true};
	*head = i;
	vtlb_count_shared(&t->stats.watched);
	__atomic_fetch_or((u8 *)&f->flags, MEM_FRAME_TRACKED, __ATOMIC_SEQ_CST);
	w->frame[i].ticket = drop_writes(t, self, f, page);
	if (!w->frame[i].ticket)
		make_live(t, i);
	return i;
}

static struct watched *look(struct vtlb *t, struct vtlb_vp *self, u64 page)
{
	struct watch *w = t->watch;
	u32 i = find(w, page);

	if (unlikely(!i)) {
		struct mem_frame *f = frame_of(t, page);

		if (!f) /* not RAM: what is read there does not change */
			return NULL;
		i = begin(t, self, f, page);
	}
	if (unlikely(!w->frame[i].is_live) && gen_passed(t, NULL, w->frame[i].ticket))
		make_live(t, i);
	w->frame[i].path = w->path;
	w->frame[i].writes = 0;
	return &w->frame[i];
}

bool watch_trail(struct vtlb_vp *v, const struct walk_trail *tr, bool is_used)
{
	struct vtlb *t = v->priv->t;
	struct watch *w = t->watch;
	bool all = true;

	watch_lock(t);
	w->path++;
	for (u32 i = 0; i < tr->n; i++) {
		const struct walk_step *s = &tr->step[i];
		struct watched *f = look(t, v, s->at & PAGE_MASK);

		if (!f)
			continue;
		f->as |= s->is_ept ? AS_EPT : s->bytes == 4 ? AS_GUEST32 : AS_GUEST64;
		if (unlikely(!f->is_live)) {
			all = false;
			continue;
		}
		u64 *copy = &w->copy[f - w->frame][s->at % PAGE_SIZE / 8], e = *copy;
		u64 ad = s->is_ept ? EPT_AD : GUEST_AD;
		u32 half = s->bytes == 4 ? (s->at & 4) * 8 : 0;

		if (s->bytes == 4)
			e = e >> half & 0xffffffff;
		/* Another thread may have written since the walk. */
		if (unlikely((e ^ s->value) & ~ad))
			all = false;
		/* The walk may have set them: a store that clears them is a change. */
		if (t->cfg.mode == VTLB_STRICT)
			*copy |= ad << half;
	}
	if (all)
		__atomic_store_n(&w->is_granted, true, __ATOMIC_SEQ_CST);
	if (unlikely(t->n_suspects) && is_used)
		stale_path_used(v, tr);
	watch_unlock(t);
	return all;
}

void watch_old_frame(struct vtlb_vp *self, u64 page)
{
	struct vtlb *t = self->priv->t;
	struct watched *f;

	t->watch->path++;
	f = look(t, self, page);
	if (f)
		f->as |= AS_OLD_FRAME;
}

/* ---- writes ---- */

/* Does the change from @old take something away that a translation may have had? */
static bool takes_away(u32 as, u64 old, u64 new)
{
	if (as & AS_EPT && old & EPT_RWX &&
	    (old & ~new &EPT_RWX || (old ^ new) & (ENTRY_FRAME | ENTRY_PS)))
		return true;
	if (as & AS_GUEST64 && old & ENTRY_P &&
	    (old & ~new &(ENTRY_P | ENTRY_W | ENTRY_U) || ~old &new &ENTRY_XD ||
	     (old ^ new) & (ENTRY_FRAME | ENTRY_PS)))
		return true;
	for (u32 half = 0; as & AS_GUEST32 && half < 64; half += 32) {
		u32 o = (u32)(old >> half), n = (u32)(new >> half);

		if (o & ENTRY_P &&
		    (o & ~n & (ENTRY_P | ENTRY_W | ENTRY_U) || (o ^ n) & (0xfffff000 | ENTRY_PS)))
			return true;
	}
	return false;
}

/* May a soft TLB hold something that @old gave and @new may not give? */
static bool needs_flush(const struct vtlb *t, u32 as, u64 old, u64 new)
{
	u64 ad = t->cfg.mode == VTLB_STRICT
			 ? 0
			 : (as & AS_EPT ? EPT_AD : 0) | (as & AS_GUEST64 ? GUEST_AD : 0);

	if (!((old ^ new) & ~ad))
		return false;
	return (as & AS_EPT && old & EPT_RWX) || (as & AS_GUEST64 && old & ENTRY_P) ||
	       (as & AS_GUEST32 && old & (ENTRY_P | ENTRY_P << 32));
}

static struct entry_write *write_slot(struct watch *w, u64 at)
{
	return &w->written[hash_u64(at >> 3) & (ENTRY_WRITES - 1)];
}

static void remember(struct vtlb *t, const struct vtlb_vp *self, u64 at, u64 old, u64 new)
{
	struct entry_write *r = write_slot(t->watch, at);

	*r = (struct entry_write){
		.at = at, .gen = gen_next(t), .old = old, .new = new, .vp = VTLB_NO_VP};
	if (!self)
		return;
	r->vp = self->id;
	r->ns = watch_now_ns(self);
	r->rip = self->where ? self->where(self->owner) : 0;
	r->eptp = self->ctx.eptp;
	r->vpid = self->ctx.vpid;
	r->pcid = inval_pcid(&self->ctx);
}

void watch_written(void *arg, u64 gpa, u64 len)
{
	struct vtlb *t = arg;
	struct watch *w = t->watch;
	struct vtlb_vp *self = watch_self(t);
	bool flush = false;

	watch_lock(t);
	u32 i = find(w, gpa & PAGE_MASK);
	struct watched *f = &w->frame[i];
	const u64 *entry = (const void *)mem_map_hva(t->env.map, gpa & ~7ull, 8);

	if (!i)
		goto out;
	vtlb_count_shared(&t->stats.watched_writes);
	for (u64 at = gpa & ~7ull; f->is_live && at < gpa + len; at += 8) {
		u64 *copy = &w->copy[i][at % PAGE_SIZE / 8], old = *copy;

		*copy = __atomic_load_n(entry++, __ATOMIC_RELAXED);
		if (old == *copy)
			continue;
		flush |= needs_flush(t, f->as, old, *copy);
		if (takes_away(f->as, old, *copy))
			remember(t, self, at, old, *copy);
		if (unlikely(t->n_suspects))
			stale_entry_written(t, at, *copy, f->as & AS_EPT);
	}
	if (f->as & AS_OLD_FRAME)
		stale_frame_written(t, self, f->page);
	if (++f->writes > WRITES_BEFORE_RELEASE) {
		release(t, i);
		flush = true;
	}
	if (flush)
		flush_soft(t, self);
out:
	watch_unlock(t);
}

const struct entry_write *watch_find_write(struct vtlb *t, u64 at, u64 stamp)
{
	const struct entry_write *r = write_slot(t->watch, at & ~7ull);

	return r->at == (at & ~7ull) && r->gen > stamp ? r : NULL;
}

const char *watch_audit(struct vtlb *t)
{
	struct watch *w = t->watch;
	const char *broken = NULL;
	u32 n = 0;

	watch_lock(t);
	for (u32 i = 1; i < w->fresh && !broken; i++) {
		const struct watched *f = &w->frame[i];
		const struct mem_frame *mf = f->is_used ? frame_of(t, f->page) : NULL;
		u8 flags = mf ? __atomic_load_n((const u8 *)&mf->flags, __ATOMIC_ACQUIRE) : 0;
		const u64 *table =
			mf ? (const void *)mem_map_hva(t->env.map, f->page, PAGE_SIZE) : NULL;

		n += f->is_used;
		if (!mf)
			continue;
		if (find(w, f->page) != i)
			broken = "a watched frame is found";
		if (!(flags & MEM_FRAME_TRACKED))
			broken = "a watched frame is guarded";
		if (!t->is_mp && flags & MEM_FRAME_WRITABLE)
			broken = "nobody may write to a watched frame unnoticed";
		for (u32 e = 0; f->is_live && e < ENTRIES; e++)
			if ((w->copy[i][e] ^ __atomic_load_n(&table[e], __ATOMIC_RELAXED)) &
			    ~(GUEST_AD | EPT_AD | GUEST_AD << 32))
				broken = "every write to a watched frame was noted";
	}
	if (!broken && n != t->stats.watched)
		broken = "the account of watched frames is right";
	watch_unlock(t);
	return broken;
}
