/*
 * The memory of translated code, of all virtual processors of a machine. Internal to l0/jit.
 *
 * There is one memory of code, a memfd: mapped once to write to, and for each processor once to
 * execute from, with the processor's own records (struct jit_page, jit_edge …) right behind. Code
 * reaches its records by RIP, so the same bytes work for every processor with the records of that
 * one, at the same distance; it contains no other address but those of L0's functions.
 *
 * Code is never changed: what varies is in the records, which belong to one processor. It is
 * written and listed (struct jit_code) under the arena's lock and found under it by others, so
 * whoever enters it has seen all of it. Nobody waits for the lock: who does not get it goes on with
 * the handlers.
 *
 * Regions are filled in turn. The oldest is retired when room is needed: no translation of it is
 * found any more, every processor is told by VP_ATTN_CODE, gives up what it has there, and says so
 * (jit.retired); one that no worker runs need not (vtlb_offline()): it does so before it runs
 * anything. When all have, nobody executes there and nothing points there, and the region is filled
 * again. Nobody stops meanwhile.
 */
#ifndef L0_JIT_ARENA_H
#define L0_JIT_ARENA_H

#include "l0/base/hash.h"
#include "l0/jit/jit_priv.h"

#define ARENA_BUCKETS 16384u
#define ARENA_TRAPS 65536u /* of all regions */

/* A translation, and what each processor's records begin as. */
struct jit_code {
	struct jit_code *next;	  /* same bucket, */
	struct jit_code *next_in; /* same region */
	u64 rip;
	const u8 *hva;
	u32 mode, hot;	      /* where it begins; */
	u32 data, data_bytes; /* its records; */
	u32 own;	      /* struct jit_own of these, from @data on */
	u16 bytes, n_ops, n_moved;
	bool apart; /* without ranges, see jit_set_apart() */
	u8 *code;   /* the guest's, */
	u64 *image; /* the records, with addresses from 0 on, */
	u16 *moved; /* that are in these words: MOVED_* of them */
};

#define MOVED_BLOCK 0x8000u /* address in struct block, else in code or records */

/* A vector instruction in translated code, and where its handler is called instead. */
struct jit_trap {
	u32 at, cold;
};

struct jit_region {
	u32 code, data, info; /* bytes in use of each of its parts */
	_Atomic u32 n_traps;
	struct jit_code *first;
};

struct jit_arena {
	_Atomic u32 lock;
	u32 users;
	int fd;
	u8 *write; /* the code, writable */
	u8 *info;  /* struct jit_code with what belongs to it */
	struct jit_trap *traps;
	u64 bytes;
	u32 part; /* bytes of a region, of code, of records and of @info */
	u32 n_regions, now;
	u64 n_filled;	       /* regions that were begun, */
	_Atomic u64 n_retired; /* and given up again: in the same order */
	struct jit *tiers;
	struct jit_stubs stub; /* from the start of the code on */
	struct jit_region region[ARENA_REGIONS];
	struct jit_code *bucket[ARENA_BUCKETS];
};

/**
 * arena_create - an empty arena with @bytes of code
 * Return: NULL, and *err: -ENOMEM, or why the host gives no executable memory.
 */
struct jit_arena *arena_create(u64 bytes, int *err);
/* Map it for @j, which gets j->exec and j->data. Return: 0, -errno. */
int arena_join(struct jit_arena *a, struct jit *j);
/* That nobody joined. */
void arena_destroy(struct jit_arena *a);
/* The last one to leave takes the arena along. */
void arena_leave(struct jit *j);

bool arena_trylock(struct jit_arena *a);
void arena_unlock(struct jit_arena *a);

/* The region with room for a translation; NULL: none yet, some processor has still to give up an
 * older one. Locked. */
struct jit_region *arena_room(struct jit *j);
/* Whatever is in it, the region that is filled now is full. */
void arena_is_full(struct jit_arena *a);
/* @n bytes of the region for a struct jit_code and what belongs to it, or NULL. */
void *arena_info(struct jit_arena *a, u32 bytes);

/* By the bytes, too: code that changes in place makes many of one address. */
static inline u32 arena_bucket(u64 rip, u32 mode, const u8 *code, u32 bytes)
{
	return (u32)(rip ^ rip >> 14 ^ mode ^ hash_bytes(code, bytes)) % ARENA_BUCKETS;
}

/* Where region @r begins in the code, and in records and info. */
static inline u32 arena_code_at(const struct jit_arena *a, u32 r)
{
	return JIT_STUBS + r * a->part;
}

static inline u32 arena_data_at(const struct jit_arena *a, u32 r)
{
	return r * a->part;
}

static inline struct jit_trap *arena_traps(const struct jit_arena *a, u32 r)
{
	return a->traps + r * (ARENA_TRAPS / ARENA_REGIONS);
}

/* Is there another processor that may translate for @j? */
static inline bool arena_is_shared(const struct jit *j)
{
	return j->arena->users > 1;
}

/* Has a place in the region been used before? Then new code needs a serialising instruction. */
static inline bool arena_is_reused(const struct jit_arena *a)
{
	return a->n_filled > a->n_regions;
}

/* ---- share.c ---- */

/* @j gives up what it has in regions that are retired. Between blocks. */
void share_give_up(struct jit *j);
/* Enter the translation of @b that is there. Locked. Return: false: none. */
bool share_take(struct jit *j, struct block *b);
/* Can there be one? Without the lock. */
bool share_may_have(const struct jit *j, const struct block *b);
/* @b has its own handlers again, and nothing goes there or comes from there. */
void share_detach(struct jit *j, struct block *b);
/* In @ops, a copy of the first @n of @b, which is translated: the handlers of before. */
void share_give_back(const struct block *b, struct op *ops, u32 n);
/* All blocks are gone. */
void share_forget_blocks(struct jit *j);

struct translation;
/* Publish what was translated into region @r, with entries[k] the place of the one before operation
 * @k. Return:
 * false: no room. */
bool share_publish(struct translation *t, struct jit_region *r, const u32 *entries);

#endif