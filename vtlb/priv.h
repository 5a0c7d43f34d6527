/*
 * priv.h - the inside of the virtual TLB, shared by the files of this directory only
 *
 * Protocol (docs/vtlb.md has the argument):
 *  - @gen is the clock of translations. A fill loads it before it reads the guest's tables and
 *    stamps the leaf with it. An invalidation by a VP adds one and raises one of that VP's own
 *    floors to the result; a leaf whose stamp is below a floor does not exist for that VP. So an
 *    invalidation is O(1), waits for nobody and touches no SPT.
 *  - @req is the clock of what must reach all VPs (SPT reuse, write protection). A VP publishes in
 *    vtlb_vp.seen what it has passed, at safe points only. An unlinked SPT is used again when every
 *    VP has passed the number taken after the unlinking.
 *  - @lock guards allocation, the SAS cache and lists; never held while guest memory is read. No
 *    fill that finds its SPTs takes it. When all VPs run on one thread it is
 *    not taken at all.
 */
#ifndef VTLB_PRIV_H
#define VTLB_PRIV_H

#include "l0/base/list.h"
#include "l0/base/types.h"
#include "trace/transition.h"
#include "vtlb/leaf.h"
#include "vtlb/stale.h"
#include "vtlb/vtlb.h"
#include "vtlb/walk.h"

#define SPT_SLOTS 512u
#define SPT_LEVELS_MAX 5u
#define SPT_NONE 0u /* index 0 is never handed out */

#define VPID_FLOORS 64u
#define PCID_FLOORS 256u
#define EPT_FLOORS 64u
#define GVA_FLOORS 1024u /* by page; for large pages fewer of them are reached */
#define REGION_CACHE 64u /* SPTs with leaves lately used, by VP */
#define PROTECT_RING 256u
#define UNTRACKED_MAX 32u

struct spt_meta {
	u64 base;	     /* stamps of its leaves count from here; constant while it lives */
	_Atomic u64 *parent; /* the slot that links it, while it is on a SAS's list */
	u64 ticket;	     /* in limbo: free when all VPs have seen this */
	u32 next, prev;	     /* SAS list, free list or limbo; SPT_NONE ends it */
	struct sas *sas;     /* with @parent */
	/* track_gpt.c: the guest page table it shadows, index in vtlb.gpt or 0, and its other SPTs;
	 * lock */
	u32 gpt, gpt_next, gpt_prev;
	/* the table's address | SPT_TRACKED or SPT_REFUSED; written under lock */
	_Atomic u64 gpt_page;
	u64 gpt_since;	 /* fills older than this know nothing; written before gpt_page */
	u8 level, state; /* enum spt_state; lock */
	u16 top;	 /* share.c: its number + 1, or 0; lock */
};

#define SPT_TRACKED 1ull
#define SPT_REFUSED 2ull /* it will not be: no look under the lock */

enum spt_state {
	SPT_UNLISTED, /* not linked, or linked a moment ago */
	SPT_LISTED,   /* on its SAS's list */
	SPT_DOOMED,   /* unlinked by another VP before it came on the list */
};

struct spt {
	_Atomic u64 slot[SPT_SLOTS];
};

/* Beside enum walk_mode in sas_key.mode: what decides how entries are read. */
#define SAS_MODE_PAGING 0x0fu
#define SAS_MODE_MBEC 0x10u
#define SAS_MODE_NXE 0x20u
#define SAS_MODE_PSE 0x40u
#define SAS_MODE_PGE 0x80u

struct sas_key {
	u64 root; /* CR3 base; 0 for PAE, where the PDPTEs are the root, and without paging */
	u64 eptp;
	u64 pdpte[4];
	u32 mode; /* enum walk_mode | SAS_MODE_* */
	u16 pcid, vpid;
};

struct sas {
	struct sas_key key;
	struct list_node lru; /* t->sas_lru, last used first */
	struct sas *hash_next;
	u32 hash;
	u32 users;	  /* views of VPs that pin it; lock */
	_Atomic u64 root; /* link slot of the top SPT, or 0 */
	u32 levels;	  /* of the radix tree, 3 to 5 */
	u32 first, last;  /* its SPTs but the root, oldest first; lock */
	u32 n_spts;	  /* on that list */
	bool in_use;	  /* is in the hash */
	u64 serial;	  /* names this use of the struct */
	u64 refresh_at;	  /* where the periodic pass goes on; any VP */
};

/* node.c: a memory node's part of the pool; lock */
struct node {
	u32 fresh, end; /* [fresh, end) was never used so far */
	u32 free_first; /* used before */
	int host;	/* the host's number of it */
};

struct pending_protect {
	u64 ticket;
	const struct vtlb_vp *self; /* who decoded */
	struct mem_frame *frame;
};

struct vtlb {
	struct walk_env env;
	struct vtlb_config cfg;
	bool is_mp; /* VPs on more than one thread: lock, defer */
	bool one_lock;
	bool odd_even; /* see infill.c */
	/* walks of a VP between two steps of the periodic pass; 0: there is none */
	u32 refresh_walks;
	/* no soft TLB may keep anything but what watched entries lead to: strict, detector */
	bool no_soft;

	_Atomic u64 gen __aligned_to(64);
	_Atomic u64 req __aligned_to(64);
	_Atomic u64 all_floor; /* floor of every VP that passes @req */

	_Atomic u32 lock __aligned_to(64);
	_Atomic u32 fill_lock; /* @one_lock: around every translation */
	struct vtlb_vp **vp;   /* [cfg.max_vps] */

	struct spt *spt; /* [n_spts], index 0 unused */
	struct spt_meta *meta;
	u64 pool_bytes;
	u32 n_spts;
	u32 free_first; /* used before, of any node when there are several */
	struct node node[VTLB_NODES_MAX];
	u32 n_nodes, spts_by_node;
	_Atomic u32 available; /* SPTs that spt_alloc() can give; written under @lock */
	u32 limbo_first, limbo_last, limbo_count;

	struct sas *sas; /* [n_sas] */
	u32 n_sas;
	u32 sas_fresh;
	u64 sas_serial;
	struct sas **sas_hash; /* [sas_hash_mask + 1] */
	u32 sas_hash_mask;
	struct list_node sas_lru, sas_free;

	struct pending_protect protect[PROTECT_RING];
	u32 protect_count; /* written under @lock */

	/* share.c; NULL: nothing is shared */
	struct top *top; /* [n_tops] */
	u32 *top_hash;	 /* [n_tops] */
	u32 n_tops, next_top;
	struct sas shared; /* only its list: tops and all below them */

	struct watch *watch; /* watch.c; NULL: entries are not watched */
	u32 n_suspects;	     /* of all VPs; changed under its lock */

	/* track_gpt.c; NULL: no retention */
	struct gpt *gpt;
	u32 *gpt_hash;
	u32 n_gpt, gpt_fresh, gpt_free;
	/* first that is not known yet to be under guard everywhere; lock */
	_Atomic u32 gpt_pending;
	_Atomic u64 gpt_ticket; /* all VPs passed it: they are */

	struct vtlb_stats stats; /* under @lock, or by one VP */
};

/*
 * A context that the VP was in lately and may come back to (L1 and its guests, by turns): its SAS
 * is kept pinned, and what the soft TLB holds of it is used again when nothing was invalidated
 * meanwhile.
 */
#define VIEWS 8u
struct view {
	bool is_used;
	struct vtlb_context ctx;
	u32 perm, pkru;
	struct sas *sas; /* NULL: neither paging nor EPT */
	u64 region_gen;	 /* 0: pointers into SPTs are not to be used */
	/* when the VP left it */
	u64 soft_mark, floor_ng, floor_g, soft_epoch;
};

struct region {
	u64 tag; /* gva >> 21 and the generation; 0 never matches */
	struct spt *spt;
	u64 base;
	u64 cap;   /* stamp of the link to a shared SPT on the way; ~0: none */
	u32 shift; /* @spt has leaves of 4 KiB, or one of 2 MiB there: 12, 21 */
	/* The SPTs from the root to @spt, by level: fills go the same way. */
	u32 node[SPT_LEVELS_MAX + 1];
};

/*
 * What a real processor's TLB would still hold: translations that this VP has used, kept whatever
 * others fill meanwhile, until the VP invalidates them. By 4 KiB page.
 */
#define HELD_SLOTS 4096u
#define HELD_FLOORS 4096u
struct held {
	u64 serial; /* of the SAS; 0: empty */
	u64 page;
	u64 leaf, base; /* stamp = base + the leaf's; never LEAF_T */
	u64 guest_gpa;	/* of the page, or VTLB_NO_GPA: not known */
	u32 shift;
};

/* watch.c: a change of a table entry that took something away. */
struct entry_write {
	u64 at;	 /* machine address, of 8 bytes; 0: none */
	u64 gen; /* later than every translation that came from the old entry */
	u64 old, new, rip, ns, eptp;
	u32 vp; /* VTLB_NO_VP: a device, L0; or whoever calls does not say */
	u16 vpid, pcid;
};

/* stale.c: a use of a translation that the tables no longer give. */
#define SUSPECTS 64u
#define REPORTED 64u
struct suspect {
	struct vtlb_context ctx;
	u64 serial, page, leaf, stamp, rip, since_ns;
	u64 held_gpa, held_guest_gpa;
	u64 fresh_gpa;	       /* VTLB_NO_GPA for a fault */
	struct entry_write by; /* .at is 0: not known */
	u64 round_ns, ticket;  /* see is_due() */
	u32 rounds;
	u64 mapped_at; /* an entry that leads to the old frame, written since; 0: none */
	u32 access;
	u8 level;
	bool is_ept;   /* of @by */
	bool is_moved; /* the old frame is not this page's any more */
	enum stale_missing missing;
};
/* Under the watch's lock; the VP itself reads @n without. */
struct stale {
	struct suspect suspect[SUSPECTS];
	u32 n, countdown;
	struct {
		u64 serial, page;
	} reported[REPORTED];
	u32 n_reported;
};

/* The private side of a VP. Only the VP itself touches it. */
struct vtlb_vp_priv {
	struct vtlb *t;
	_Atomic u64 infill; /* infill.c: odd, a fill is under way; only this VP writes it */
	struct sas *sas;    /* NULL: no paging, no EPT */
	u32 perm, pkru;	    /* PERM_* */
	u64 gva_mask;
	u64 floor_ng, floor_g;	      /* of the current SAS: for non-global, for global leaves */
	u64 floor_link;		      /* for links to shared SPTs */
	u64 floor_t;		      /* for non-global ones whose tables are tracked */
	u64 untracked[UNTRACKED_MAX]; /* tables that fills went through since the last MOV CR3 */
	u32 n_untracked, loads_untracked;
	u32 walks_unrefreshed; /* since the last step of the periodic pass */
	u64 region_gen;	       /* in the upper bits of tags */
	u64 region_last;       /* the last one given out */
	struct view view[VIEWS];
	u32 current, next_victim; /* views */
	u64 soft_epoch;		  /* moves on when no contents of the soft TLB may come back */
	struct region region[REGION_CACHE];
	u64 rng;
	bool is_special;     /* a translation takes more than a look-up: a mode, the audit */
	struct held *held;   /* [HELD_SLOTS] in adversarial mode and for the detector, or NULL */
	u64 *held_floor;     /* [LEAF_CLASS_COUNT][HELD_FLOORS], with @held */
	struct stale *stale; /* the detector's, or NULL */

	/* Floors, by hash: a collision invalidates too much, never too little. */
	u64 floor_vpid[VPID_FLOORS];	/* everything of a VPID */
	u64 floor_vpid_ng[VPID_FLOORS]; /* its non-global translations */
	u64 floor_pcid[PCID_FLOORS];	/* non-global ones of a PCID */
	u64 floor_ept[EPT_FLOORS];	/* everything through an EPTP */
	u64 floor_address;		/* the last invalidation by address */
	u64 floor_ept_all;		/* everything through any EPTP */
	u64 floor_gva[LEAF_CLASS_COUNT][GVA_FLOORS];
};

/* An event of the VP, when somebody listens, and a worker has taken it up (not while it is
 * made). */
#define VTLB_EVENT(v, name, ...) \
	do { \
		if (likely((v)->trace != NULL) && (v)->trace->worker) \
			TRANSITION((v)->trace, name, __VA_ARGS__); \
	} while (0)

/* ---- locks ---- */
#define VTLB_SPINS 16u /* looks at a taken lock before the CPU is given up: well under 1 us */
void vtlb_spin_wait(struct vtlb *t, _Atomic u32 *lock);
static inline void vtlb_spin_lock(struct vtlb *t, _Atomic u32 *lock)
{
	if (unlikely(__atomic_exchange_n((u32 *)lock, 1, __ATOMIC_ACQUIRE)))
		vtlb_spin_wait(t, lock);
}
static inline void vtlb_spin_unlock(_Atomic u32 *lock)
{
	__atomic_store_n((u32 *)lock, 0, __ATOMIC_RELEASE);
}
static inline void vtlb_lock(struct vtlb *t)
{
	if (t->is_mp)
		vtlb_spin_lock(t, &t->lock);
}
static inline void vtlb_unlock(struct vtlb *t)
{
	if (t->is_mp)
		vtlb_spin_unlock(&t->lock);
}

/* Counters of a VP: it alone writes them, others may look. */
static inline void vtlb_count(u64 *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* Those of the machine, where no lock guards them. */
static inline void vtlb_count_shared(u64 *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* ---- infill.c ---- */
void infill_enter(struct vtlb_vp *v);
void infill_leave(struct vtlb_vp *v);
/* Fills that are under way now are over. The caller is in none. */
void infill_wait(struct vtlb *t);

/* ---- gen.c ---- */
static inline u64 gen_now(struct vtlb *t)
{
	return __atomic_load_n((u64 *)&t->gen, __ATOMIC_ACQUIRE);
}
/* A new generation; every leaf stamped so far is below it. Orders the caller's earlier stores. */
static inline u64 gen_next(struct vtlb *t)
{
	if (likely(!t->is_mp && !t->watch)) { /* nobody else moves it */
		u64 gen = gen_now(t) + 1;

		__atomic_store_n((u64 *)&t->gen, gen, __ATOMIC_RELEASE);
		return gen;
	}
	return __atomic_fetch_add((u64 *)&t->gen, 1, __ATOMIC_SEQ_CST) + 1;
}
/* For the floors of an invalidation: no fill that read before it has this stamp, or ever will. */
static inline u64 gen_invalidate(struct vtlb *t)
{
	if (unlikely(t->odd_even))
		infill_wait(t);
	return gen_next(t);
}
/* Number that every VP must pass before what was unlinked is used again; asks them all to. */
u64 gen_request(struct vtlb *t, struct vtlb_vp *self);
/* Ask those again that have not passed @ticket, which another VP may have taken: it asked all but
 * itself. */
void gen_ask(struct vtlb *t, struct vtlb_vp *self, u64 ticket);
/* Has every VP but @self passed @ticket? @self holds nothing. */
bool gen_passed(struct vtlb *t, const struct vtlb_vp *self, u64 ticket);
void gen_flush_soft(struct vtlb_vp *v);
/* @v holds no write tag of the frame at @gpa any more. */
void gen_drop_writes(struct vtlb_vp *v, u64 gpa);

/* ---- spt.c ---- */
int spt_pool_init(struct vtlb *t);
void spt_pool_fini(struct vtlb *t);
static inline struct spt *spt_of(struct vtlb *t, u32 index)
{
	return &t->spt[index];
}
static inline u64 spt_link(u32 index)
{
	return (u64)index << SLOT_LINK_SHIFT | SLOT_LINK | SLOT_P;
}
static inline u32 spt_index(u64 slot)
{
	return (u32)(slot >> SLOT_LINK_SHIFT);
}
static inline bool slot_is_link(u64 s)
{
	return (s & (SLOT_P | SLOT_LINK)) == (SLOT_P | SLOT_LINK);
}
static inline bool slot_is_leaf(u64 s)
{
	return (s & (SLOT_P | SLOT_LINK)) == SLOT_P;
}
/*
 * With retention, a slot that was emptied says since when: what was read before is not to be put
 * there. @base: of its SPT.
 */
static inline u64 slot_empty(u64 gen)
{
	return gen << 1;
}
static inline u64 slot_since(u64 s, u64 base)
{
	return !(s & SLOT_P) ? s >> 1 : s & SLOT_LINK ? 0 : base + (s >> LEAF_STAMP_SHIFT);
}
static inline u32 spt_slot_index(u64 gva, u32 level)
{
	return gva >> (3 + 9 * level) & (SPT_SLOTS - 1);
}

/* An empty SPT, or SPT_NONE when the limit is reached. @gpt: the guest's table that it is to
 * shadow, or what else it should lie near to, a machine address. @base: see spt_meta. */
u32 spt_alloc(struct vtlb *t, u32 level, u64 gpt, u64 base);
/* One that was never linked. */
void spt_free_unlinked(struct vtlb *t, u32 index);
/* It has just been linked at @parent: put it on @s's list. */
void spt_linked(struct vtlb *t, struct vtlb_vp *self, struct sas *s, u32 index,
		_Atomic u64 *parent);
/* A top (share.c), lock held. */
void spt_list_shared(struct vtlb *t, u32 index);
/* It has just been unlinked (its slot holds something else): to limbo, or free at once. */
void spt_retire(struct vtlb *t, struct vtlb_vp *self, u32 index);
/* The same for one that is on no list, the root; and for a top, lock held. */
void spt_retire_root(struct vtlb *t, struct vtlb_vp *self, u32 index);
void spt_retire_top(struct vtlb *t, struct vtlb_vp *self, u32 index);
/* The same, lock held, by whoever: not by a fill. */
void spt_retire_locked(struct vtlb *t, u32 index);
/* Cut it off its parent, whose slot is empty since @gen then, and retire it; lock held. */
void spt_cut(struct vtlb *t, u32 index, u64 gen);
/* Is there little room left, so that only what is asked for should be made? */
bool spt_is_scarce(struct vtlb *t);
/* Make room for a path. @self holds no pointer to any SPT. */
void spt_reclaim(struct vtlb_vp *self);
/* Everything of @s, which no VP uses; lock held. */
void spt_free_all(struct vtlb *t, struct sas *s);

/* ---- node.c, node_host_cold.c ---- */
void node_init(struct vtlb *t);
/* The memory node of a machine address, and of an SPT. */
u32 node_of_page(const struct vtlb *t, u64 gpa);
u32 node_of_spt(const struct vtlb *t, u32 index);
/* A free SPT, of @node if it has any, or SPT_NONE; and back. Lock held. */
u32 node_take(struct vtlb *t, u32 node);
void node_give(struct vtlb *t, u32 index);
u32 node_count_host(void);
void node_bind_host(struct vtlb *t);
u32 node_of_host(const struct vtlb *t, const void *host);

/* ---- share.c ---- */
#define SHARE_LEVEL 3u
int share_init(struct vtlb *t);
void share_fini(struct vtlb *t);
/* The SPT that a link with SLOT_SHARED leads to, or SPT_NONE: to none any more. */
u32 share_spt(struct vtlb *t, u64 link);
static inline u64 share_stamp(u64 link, u64 base)
{
	return base + (link >> TOP_STAMP_SHIFT);
}
/* Is it what @w went through? */
bool share_leads_to(struct vtlb_vp *v, u64 link, const struct walk *w);
/* A link, without stamp, to the top that @w went through, found or made; 0: there is no room. */
u64 share_link(struct vtlb_vp *v, const struct walk *w, u64 gen);
/* No link leads to this top any more; lock held. */
void share_unlink(struct vtlb *t, u32 index);

/* ---- sas.c ---- */
int sas_cache_init(struct vtlb *t);
void sas_cache_fini(struct vtlb *t);
/* The SAS of @key, found or made, with @old given up; never NULL. */
struct sas *sas_switch(struct vtlb *t, struct sas *old, const struct sas_key *key);
void sas_put(struct vtlb *t, struct sas *s);
bool sas_evict_one(struct vtlb *t); /* lock held; false: all are in use */
/*
 * Give up all SPTs of an address space that only @self has views of and that is not its present
 * one. The space stays, and with it what the soft TLB holds of it: a VP that runs a hypervisor and
 * its guests by turns does not walk for everything at each switch. Lock held; false: there is none.
 */
bool sas_empty_one(struct vtlb *t, struct vtlb_vp_priv *self);

/* ---- context.c ---- */
/* What the soft TLB holds of views other than the present one is not to be used any more. */
void view_forget_soft(struct vtlb_vp_priv *p);
/* Unpin the address spaces that @p might come back to. */
void view_drop_others(struct vtlb_vp_priv *p);

/* ---- inval.c ---- */
static inline u16 inval_pcid(const struct vtlb_context *ctx)
{
	return ctx->cr4 & CR4_PCIDE ? (u16)(ctx->cr3 & CR3_PCID_MASK) : 0;
}
void inval_update_floors(struct vtlb_vp *v);
/* Floors of @v for the address space of @ctx: of global leaves, of others, of tracked ones. */
struct floors {
	u64 g, ng, t;
};
struct floors inval_floors(const struct vtlb_vp *v, const struct vtlb_context *ctx);
static inline u64 *inval_gva_floor(struct vtlb_vp_priv *p, u32 page_class, u64 gva)
{
	static const u8 shift[LEAF_CLASS_COUNT] = {12, 21, 30};

	return &p->floor_gva[page_class][gva >> shift[page_class] & (GVA_FLOORS - 1)];
}

/* ---- track_gpt.c ---- */
int gpt_init(struct vtlb *t);
void gpt_fini(struct vtlb *t);
void gpt_written(void *arg, u64 gpa, u64 len);
/* The SPT is about to be free. */
void gpt_forget_node(struct vtlb *t, u32 index);
/* Guard what fills listed; the caller flushes the soft TLB right after. */
void gpt_track_listed(struct vtlb_vp *v);
enum gpt_registered {
	GPT_TRACKED,	 /* the leaf may be LEAF_T */
	GPT_NOT_TRACKED, /* it may not */
	GPT_PATH_GONE,	 /* SPTs below some level of @node are unlinked now */
};
/*
 * gpt_register - may a leaf that was read at @gen by the way of @w stay over MOV CR3?
 * @node: SPTs by level, which become known as the shadows of the tables
 * Takes no lock when they are known. Lists the tables that are not tracked.
 */
enum gpt_registered gpt_register(struct vtlb_vp *v, const struct walk *w, const u32 *node, u64 gen);
/* Is another VP between a store to a guarded frame and the end of its gpt_written()? */
bool gpt_write_is_under_way(const struct vtlb *t, const struct vtlb_vp *self);

/* ---- fill.c, audit.c ---- */
/* No pointer of this VP into an SPT is to be used any more. */
void fill_forget_regions(struct vtlb_vp_priv *p);
/*
 * @v is about to unlink an SPT, or has: its pointers go. When all VPs share a thread what is
 * unlinked is free at once, so those of all go (@v may be NULL then).
 */
void fill_forget_unlinked(struct vtlb *t, struct vtlb_vp *v);
u64 fill_new_region_gen(struct vtlb_vp_priv *p);
/* What a slot holds whose link was taken out for other reasons than the guest's tables. */
static inline u64 fill_emptied(struct vtlb *t)
{
	return t->gpt ? slot_empty(gen_now(t)) : 0;
}
/* Keep what @w found, read at @gen, as a fill does. False: it cannot be kept. */
bool fill_again(struct vtlb_vp *v, u64 gva, const struct walk *w, u64 gen);
/* ---- refresh.c ---- */
/* Look at a few leaves of the present address space. Between two translations of @v. */
void refresh_step(struct vtlb_vp *v);
struct hit {
	u64 leaf, stamp;
	u32 shift; /* 12 or 21 */
};

/* ---- held.c ---- */
int held_init(struct vtlb_vp_priv *p); /* 0, -ENOMEM */
void held_fini(struct vtlb_vp_priv *p);
/* The held translation of @gva, if the VP has not invalidated it and it allows @access. */
bool held_find(const struct vtlb_vp *v, u64 gva, u32 access, struct hit *h);
void held_put(struct vtlb_vp_priv *p, u64 gva, const struct hit *h, u64 guest_gpa);
u64 held_guest_gpa(const struct vtlb_vp_priv *p, u64 gva);
/* Invalidations by address at generation @gen, and what they did to a leaf of @gva; any thread
 * reads. */
void held_invlpg(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u16 pcid, u64 gen);
void held_invpcid(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u16 pcid, u64 gen);
void held_invvpid(struct vtlb_vp_priv *p, u64 gva, u16 vpid, u64 gen);
u64 held_floor(const struct vtlb_vp_priv *p, const struct vtlb_context *ctx, u64 leaf, u64 gva);

/* ---- watch.c ---- */
int watch_init(struct vtlb *t);
void watch_fini(struct vtlb *t);
void watch_lock(struct vtlb *t);
void watch_unlock(struct vtlb *t);
/* Who runs on this thread, or NULL; its time. */
struct vtlb_vp *watch_self(struct vtlb *t);
u64 watch_now_ns(const struct vtlb_vp *v);
/*
 * Watch the entries of a walk. @is_used: its result is used now, it is no mere comparison.
 * Return: true: they are what the walk read, and a change of any will flush the soft TLBs, so
 * they may keep the result.
 */
bool watch_trail(struct vtlb_vp *v, const struct walk_trail *tr, bool is_used);
/* NULL, or the rule that does not hold. */
const char *watch_audit(struct vtlb *t);
/* Tell stale_frame_written() of writes to this frame. Lock held. */
void watch_old_frame(struct vtlb_vp *self, u64 page);
void watch_written(void *arg, u64 gpa, u64 len); /* mem_tracked_fn */
/* The last change of the entry at @at that took something away, if later than @stamp. Lock held. */
const struct entry_write *watch_find_write(struct vtlb *t, u64 at, u64 stamp);

/* ---- stale.c ---- */
/*
 * A cached translation of @gva to @gpa is used: compare it with the tables.
 * Return: accesses that the soft TLB may keep of it.
 */
u32 stale_check(struct vtlb_vp *v, u64 gva, u32 access, const struct hit *h, u64 gpa);
/* Judge what is due: now and then, and before the VP invalidates anything. */
void stale_poll(struct vtlb_vp *v);
void stale_settle(struct vtlb_vp *v);
/* For watch.c, its lock held. @self may be NULL: not a VP. */
void stale_frame_written(struct vtlb *t, struct vtlb_vp *self, u64 page);
void stale_entry_written(struct vtlb *t, u64 at, u64 entry, bool is_ept);
void stale_path_used(struct vtlb_vp *self, const struct walk_trail *tr);

void audit_hit(struct vtlb_vp *v, u64 gva, u32 access, const struct vtlb_xl *xl);

#endif
