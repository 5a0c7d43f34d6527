/*
 * The translator tier: hot blocks of the operation cache become host code. Attached to a VP beside
 * its operation cache; engine_run() is the same. Whatever it does not translate, the handlers of
 * l0/engine execute: a translated block is entered through the handler pointer of its first
 * operation and leaves to a handler wherever something is not simple, so both tiers mix freely.
 * docs/jit.md says how. Used by the worker that runs the VP.
 */
#ifndef L0_JIT_JIT_H
#define L0_JIT_JIT_H

#include "l0/engine/vp.h"

/* Groups of instructions that can be switched off, jit_groups.def. */
enum jit_group {
#define GROUP(id, name, text) JIT_GROUP_##id,
#include "l0/jit/jit_groups.def"
#undef GROUP
	JIT_GROUPS
};

struct jit_config {
	/* Another processor of the machine, with the same configuration: one's translations are the
	 * other's.
	 * NULL: an arena of its own. */
	const struct vp *with;
	u64 arena_bytes; /* of translated code; 0: default */
	u32 heat;	 /* entries before a block is translated; 0: default */
	u32 off;	 /* bit n: group n goes to the interpreter */
	/* Not NULL: whatever translated code does is undone, done again by the interpreter and
	 * compared. Called once, when it differs, with lines that say how; @rip: where the block
	 * begins. The VP has the interpreter's state and goes on with it. One thread at a time may
	 * touch the guest's memory. */
	void (*differs)(struct vp *vp, u64 rip, const char *text);
	u32 lose; /* for tests of that: operations that are translated wrongly, enum jit_lose */
};

/* Kinds of operations that a translator with an error leaves out. */
enum jit_lose {
	JIT_LOSE_NONE,
	JIT_LOSE_ALU,
	JIT_LOSE_CMP,
	JIT_LOSE_STORE,
	JIT_LOSE_VEC,
	JIT_LOSE_JCC,
	JIT_LOSE_COUNT
};

/* What was compared so far. */
struct jit_checked {
	u64 stretches, insns; /* runs of translated code, and the instructions of them */
	/* instructions that the interpreter alone did: devices, system instructions … */
	u64 alone;
};
void jit_get_checked(const struct vp *vp,
		     struct jit_checked *c); /* zeros when nothing is compared */

/**
 * jit_attach - give @vp the translator tier; after engine_vp_init()
 * Return: 0; -ENOMEM; -ENOTSUP under ThreadSanitizer;
 * other -errno when the host forbids executable pages.
 */
int jit_attach(struct vp *vp, const struct jit_config *cfg);
/* Before engine_vp_fini(). Nothing when no tier is attached. */
void jit_detach(struct vp *vp);

/**
 * jit_parse_groups - "mov,alu" → bits of jit_config.off
 * Return: NULL, or where in @list the name begins that is no group.
 */
const char *jit_parse_groups(const char *list, u32 *off);

struct jit_stats {
	/* blocks, by this processor; and translations that were there already */
	u64 translated, taken_over;
	/* parts of the arena whose translations were given up for new ones */
	u64 retired;
	u64 flushes; /* of the operation cache */
};
void jit_get_stats(const struct vp *vp, struct jit_stats *s); /* zeros without a tier */

#endif
