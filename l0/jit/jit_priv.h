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
#define JIT_STUBS 1024u /* bytes of shared code at the arena's start */
#define JIT_FRAMES 1024u

/* An operation that a handler runs. */
struct jit_site {
	const struct op *op;
	op_fn handler;
	struct block *b;
};

/* A direct jump to another block in the same page. */
struct jit_edge {
	u64 target; /* code of the other block, or @cold */
	u64 cold;   /* code that comes to jit_edge_taken() */
	struct jit_edge *next; /* to the same block */
	const struct op *op;   /* whose link[0] it follows */
	struct block *b;       /* in which */
	u64 count;	       /* instructions of @b before the target */
};

struct jit {
	u8 *write; /* the code, writable, */
	u8 *exec;  /* and executable; */
	u8 *data;  /* records, right behind @exec */
	u64 bytes, data_bytes, used, data_used;
	u32 heat, off;
	bool reused; /* places hold older code: new code needs a serialising instruction */
	u64 n_translated, n_flushes;
	u64 moves_seen;			    /* mem_code_moves() */
	struct block *by_frame[JIT_FRAMES]; /* translated blocks */
	struct {
		u64 site, store, load, edge, refuse; /* shared code, see flow.c */
	} stub;
};

enum jit_result { JIT_DONE, JIT_FULL, JIT_NEVER };

/* Translate @b, whose first operation's handler is b->first, and enter the code in b->ops[].fn.
 * JIT_FULL: the arena has no room; JIT_NEVER: nothing to gain. */
enum jit_result jit_translate(struct vp *vp, struct block *b);

/* The shared code, at the start of an empty arena. */
void jit_make_stubs(struct jit *j);

/* Called by translated code, everything stored; @left: until - count, see flow.c. */
void jit_edge_taken(struct vp *vp, struct jit_edge *e, u64 left);
void jit_refused(struct vp *vp, const struct jit_site *s, u64 left);

static inline u32 jit_frame_hash(const struct mem_frame *f)
{
	return (u32)((u64)f / sizeof(*f)) % JIT_FRAMES;
}

#endif
