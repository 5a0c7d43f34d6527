/*
 * Shared inside l0/jit: the state of a VP's tier, and the records that translated code points to.
 * They lie beside the code, so that it reaches them by RIP.
 */
#ifndef L0_JIT_JIT_PRIV_H
#define L0_JIT_JIT_PRIV_H

#include "l0/engine/block.h"
#include "l0/jit/jit.h"

#define JIT_BLOCK_MAX_BYTES (48u * 1024)
#define JIT_BLOCK_MAX_DATA (16u * 1024)
#define JIT_STUBS 2048u /* bytes of shared code at the arena's start */
#define ARENA_REGIONS 16u
#define JIT_FRAMES 1024u
#define JIT_APART 4096u
#define JIT_SLICE 4096 /* instructions without a look at attention, at most */

/* Where an access of translated code went last: one page or a part of a large one. */
struct jit_page {
	u64 first; /* linear */
	/* bytes from @first on at which an access may begin; 0: nothing is remembered */
	u64 room;
	u64 addend; /* host address = linear + addend, */
	u64 host;   /* or that of @first */
	u64 last;   /* r15 when another page was seen */
	u64 more;   /* bytes of the access, or of the range, - 1 */
	u64 index;  /* among the block's */
};

/*
 * Records begin with addresses, of the block, its operations, code and other records; what follows
 * is the same for every processor when a translation is new (share.c).
 */

/* In front of a block's pages: they, and jumps to other pages, are good while @key is
 * vp->site_key. */
struct jit_keys {
	struct jit_edge *far; /* jumps to other pages */
	struct block *b;
	u64 key, pages;
};
#define KEYS_ADDRESSES 2u

/* An operation that a handler runs. */
struct jit_site {
	const struct op *op;
	struct block *b;
	op_fn handler;
};
#define SITE_ADDRESSES 2u

/* A direct jump to another block. */
struct jit_edge {
	u64 target;		  /* code of the other block, or @cold */
	u64 cold;		  /* code that comes to jit_edge_taken() */
	const struct op *op;	  /* whose link[0] it follows */
	struct block *b;	  /* in which */
	struct jit_edge *sibling; /* in this block; */
	struct jit_edge *far;	  /* the same, to other pages */
	/* none at first */
	struct block *to;	/* in whose list it is, or NULL */
	struct jit_edge *next;	/* to the same block, */
	struct jit_edge **prev; /* and what points here */
	u8 *hva;		/* of @to's first byte when it was linked */
	bool is_far;
	bool is_return; /* to behind the call @op, when its return has come back */
	u64 rip;	/* of the other block */
	u64 count;	/* instructions of @b before the target */
};
#define EDGE_ADDRESSES 6u

/* Last of a block's records: what the processor has of a translation that may be others', too. */
struct jit_own {
	struct block *b;      /* that it is entered by, or NULL */
	struct jit_edge *out; /* edges from it, */
	/* none at first */
	struct jit_edge *in;  /* and to it */
	struct jit_own *next; /* in the same region */
	bool is_listed;
	u64 n; /* struct jit_entry, which follow */
};
#define OWN_ADDRESSES 2u

/* An entry of a translation. */
struct jit_entry {
	struct op *op;
	u64 code;
	op_fn fn; /* the handler in whose place it is */
};
#define ENTRY_ADDRESSES 2u

struct check;
struct jit_arena;

/* What a virtual processor has of its own. */
struct jit {
	struct vp *vp;
	struct jit_arena *arena;	    /* the machine's */
	struct jit *next;		    /* the other processors in it */
	u8 *exec;			    /* its code, executable, */
	u8 *data;			    /* and right behind it this processor's records */
	struct jit_own *own[ARENA_REGIONS]; /* by the region that they are in, */
	u32 data_end[ARENA_REGIONS];	    /* and the end of this processor's records there */
	_Atomic u64 retired;		    /* regions that it knows to be */
	u32 heat, off;
	u64 n_translated, n_taken_over, n_retired, n_flushes;
	u64 moves_seen;			    /* mem_code_moves() */
	struct check *check;		    /* or NULL */
	u32 lose;			    /* enum jit_lose */
	struct block *by_frame[JIT_FRAMES]; /* translated blocks */
	u64 apart[JIT_APART / 64];	    /* by place: ranges of memory did not fit there; */
	struct block *set_apart;	    /* and in this one just now, or NULL */
	struct jit_stubs {
		u64 site, store, load, edge, edge_far, refuse, bottom; /* shared code, see flow.c */
		u64 page_read, page_write, range_read, range_write, keys, find; /* and operand.c */
	} stub;
};

enum jit_result { JIT_DONE, JIT_BUSY, JIT_NEVER };

/* Translate @b, whose first operation's handler is b->first. The arena is locked. JIT_BUSY: it has
 * no room now;
 * JIT_NEVER: nothing to gain. */
enum jit_result jit_translate(struct vp *vp, struct block *b);

struct emit;
/* The shared code of operand.c. */
void jit_make_page_stubs(struct jit *j, struct emit *e);
/* The shared code, at the start of an arena; @e: where. */
void jit_make_stubs(struct jit *j, struct emit *e);

/* From translated code: remember where the access of @p at @gva went, which the soft TLB knows.
 * Return: the addend. */
u64 jit_page_read(struct vp *vp, struct jit_page *p, u64 gva);
u64 jit_page_write(struct vp *vp, struct jit_page *p, u64 gva);
/* The same for a range of memory. Return: 0: not one range of host memory as far as the soft TLB
 * knows. */
u64 jit_range_read(struct vp *vp, struct jit_page *p, u64 gva);
u64 jit_range_write(struct vp *vp, struct jit_page *p, u64 gva);
/* @b is translated anew, with each access looked up alone. */
void jit_set_apart(struct vp *vp, struct block *b);
/* vp->site_key is not that of @k: what its block remembers is void. */
void jit_keys_changed(struct vp *vp, struct jit_keys *k);

/* Called by translated code, everything stored; @left: slice - count, see flow.c. */
void jit_edge_taken(struct vp *vp, struct jit_edge *e, u64 left);
void jit_refused(struct vp *vp, const struct jit_site *s, u64 left);
/* A return to @rip that has been done. */
void jit_returned(struct vp *vp, u64 rip, u64 left);

/* Translated code for @rip under the current translation and mode, when the soft TLB knows the
 * page; or NULL. Flat code segments only. */
struct block *jit_find_hot(struct vp *vp, u64 rip);

/* Far edge @e may have been cut because of its block's key alone. Return: the code to go to, or
 * 0. */
u64 jit_edge_again(struct vp *vp, struct jit_edge *e);
/* The same into vp->jumps. Return: bytes from there to its place, or < 0. */
s64 jit_find_jump(struct vp *vp, u64 rip);

/* Calls op->fn. */
void jit_enter(struct vp *vp, const struct op *op);

/* ---- check.c: the members of engine_tier that differ when everything is compared ---- */
struct check *check_create(void (*differs)(struct vp *vp, u64 rip, const char *text));
void check_destroy(struct check *c); /* NULL is fine */
void check_enter(struct vp *vp, const struct op *op);
void check_before_effect(struct vp *vp, const struct op *op);
void check_write_filled(struct vp *vp, u8 *hva);
bool check_may_write(struct vp *vp, u8 *hva);

/* @b is interpreted, and counted, from now on. */
void jit_cool(struct jit *j, struct block *b);

/* Nothing goes by @e until it is linked again. */
static inline void edge_cut(struct jit_edge *e)
{
	e->target = e->cold;
	if (!e->to)
		return;
	e->to = NULL;
	*e->prev = e->next;
	if (e->next)
		e->next->prev = e->prev;
}

static inline bool jit_is_apart(const struct jit *j, const struct block *b)
{
	u32 i = block_hash(b->hva) % JIT_APART;

	return j->apart[i / 64] >> i % 64 & 1;
}

static inline u32 jit_frame_hash(const struct mem_frame *f)
{
	return (u32)((u64)f / sizeof(*f)) % JIT_FRAMES;
}

#endif