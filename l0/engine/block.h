/*
 * The operation cache of one virtual processor: blocks of decoded operations, found by the host
 * address of their first byte (so by physical page and offset), RIP and decoding mode. Memory is
 * one bounded arena, filled in parts in turn: the oldest is emptied when it is full (code_cache.c).
 * A block is stale when the code generation of its frame moved on (struct mem_frame): it is not
 * entered. When it is looked up again it is good if the write was for other lines
 * (mem_code_is_intact()), else its bytes are compared: it lives on when they are the same, since
 * the write was for its neighbours.
 *
 * A block is a straight run of operations with side exits: a conditional branch that is not taken
 * goes on inside it. It ends at a page end, at an unconditional transfer, at an operation that may
 * change the mode, at BLOCK_MAX_OPS. An instruction that straddles two pages is a block alone and
 * is checked against both frames. Used by the worker that runs the VP; nothing here is shared.
 */
#ifndef L0_ENGINE_BLOCK_H
#define L0_ENGINE_BLOCK_H

#include "l0/engine/op.h"
#include "l0/mem/mem.h"

#define BLOCK_MAX_OPS 48u
#define BLOCK_MAX_CODE 256u /* bytes of instructions */
#define BLOCK_MAX_BYTES \
	(sizeof(struct block) + (BLOCK_MAX_OPS + 1) * sizeof(struct op) + BLOCK_MAX_CODE)
#define BLOCK_BUCKETS 65536u

struct block {
	u64 rip;
	u8 *hva;		 /* of the first byte */
	u64 gpa;		 /* the same, machine physical */
	u8 *code;		 /* the bytes it was decoded from, behind the operations */
	struct mem_frame *frame; /* of the first byte's page */
	u64 n;		    /* instructions when it runs to its end; the unlinked block: huge */
	u32 gen;	    /* frame->code_gen when it was decoded */
	u32 mode;	    /* VP_MODE_* | VP_MODE_ONE */
	struct block *next; /* same bucket */
	struct mem_frame *frame2; /* straddling instruction: second page, else NULL */
	u8 *hva2;
	u32 gen2;
	u32 lines, lines2;  /* of both frames, that its bytes lie in */
	bool fleeting;	    /* stores to it may not be noticed: good for one time */
	bool dead;	    /* its bytes are others now: out of the cache */
	u16 bytes, n_ops;   /* without the closing operation */
	u32 heat;	    /* vp->tier: entries until it is translated, */
	op_fn first;	    /* and the handler of ops[0] itself */
	u64 hot;	    /* host code that other translated blocks go to, or 0; */
	void *own;	    /* the tier's of it; */
	struct block *same; /* the tier's list of blocks in this frame */
	struct op ops[];
};

#define CODE_PARTS 16u
#define CODE_LINKS 8192u /* from other parts to one; beyond that nothing is chained */

struct code_cache {
	u8 *arena;
	u64 bytes, part_bytes;
	u32 n_parts, now; /* which is filled */
	u32 epoch;	  /* incremented when blocks are dropped */
	struct code_part {
		u64 used;
		u32 n_from;
		struct op *from[CODE_LINKS]; /* in other parts, that may be chained to its blocks */
	} part[CODE_PARTS];
	struct block *start; /* see block_start() */
	struct block *bucket[BLOCK_BUCKETS];
};

/* Where branches point that have not been chained: never entered, its count exceeds every limit. */
extern struct block block_unlinked;

/* All of it, in the arena. */
static inline u64 block_bytes(const struct block *b)
{
	return sizeof(*b) + (b->n_ops + 1u) * sizeof(struct op) + ALIGN_UP((u64)b->bytes, 8u);
}

static __always_inline u32 block_hash(const u8 *hva)
{
	return (u32)(((u64)hva ^ (u64)hva >> 13) & (BLOCK_BUCKETS - 1));
}

/* Is a block in one page still what the memory holds? */
static __always_inline bool block_is_fresh(const struct block *b)
{
	return b->gen == __atomic_load_n((const u32 *)&b->frame->code_gen, __ATOMIC_RELAXED);
}

/* The same with the second page of an instruction in two. */
static __always_inline bool block_is_current(const struct block *b)
{
	return block_is_fresh(b) &&
	       (!b->frame2 ||
		b->gen2 == __atomic_load_n((const u32 *)&b->frame2->code_gen, __ATOMIC_RELAXED));
}

/* A stale block whose frame was written elsewhere, by lines, is fresh again. Cost: some ns. */
bool block_renew(const struct vp *vp, struct block *b);

/* @b is translated and was found good at its RIP under the current translation and mode. */
static __always_inline void block_remember(struct vp *vp, const struct block *b)
{
	struct jump_slot *s = &vp->jumps[jump_index(b->rip)];

	if (!b->hot || b->mode != vp->mode)
		return;
	/* A slot with the present key has its marks. */
	if (likely(s->key == vp->jump_key && s->rip == b->rip && s->hot == b->hot &&
		   s->hva == b->hva))
		return;
	*s = (struct jump_slot){b->rip, vp->jump_key, b->hot, b->hva};
	vp_jump_mark(vp, b->rip);
}

/**
 * block_start - the first instructions of a block, for a run that ends among them
 * @b: of the cache, fresh, in one page
 * @n: instructions, fewer than @b has
 *
 * Return: a copy that is good until the next call for this processor. It is not in the cache, which
 * would otherwise fill with what is needed once. Cost: 3 ns an instruction.
 */
struct block *block_start(struct vp *vp, const struct block *b, u32 n);

/**
 * block_get - the block at vp->cpu.rip, decoded when needed
 * @mode: vp->mode, with VP_MODE_ONE for a single instruction
 * vp->cpu is complete; faults of the instruction fetch leave by vp_fault() and friends. May empty
 * the whole cache when it has to decode.
 */
struct block *block_get(struct vp *vp, u32 mode);

/* A store went to a frame with code: when it hit the running block's, the block ends with the
 * current instruction. */
void block_stop_if_stale(struct vp *vp);

struct code_cache *code_cache_create(u64 bytes);
void code_cache_destroy(struct code_cache *c);
void code_cache_flush(struct vp *vp);
/* Room for a block of BLOCK_MAX_BYTES. The oldest blocks may be dropped for it. */
struct block *code_cache_room(struct vp *vp);
/* @b was made there. */
void code_cache_take(struct code_cache *c, const struct block *b);
/* Chain @from to @to, unless too many are. */
void code_cache_link(struct code_cache *c, struct op *from, struct block *to);

#endif
