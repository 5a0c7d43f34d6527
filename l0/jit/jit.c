#include "l0/jit/arena.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"
#include "l0/base/words.h"
#include "l0/engine/exec.h"
#include "l0/engine/vec.h"
#include "l0/jit/emit.h"

/* What translated code orders ThreadSanitizer would not see: it would report races that are none. */
#ifdef __SANITIZE_THREAD__
#define HAS_TRANSLATOR 0
#else
#define HAS_TRANSLATOR 1
#endif

#define ARENA_BYTES_DEFAULT (32u * 1024 * 1024)
#define HEAT_DEFAULT \
	1000u /* what a process runs once and a page fault interrupts does not pay for itself */

/*
 * Translated code uses the registers that the calling convention keeps, and enters handlers, which
 * keep them: they are saved once, where the run loop enters a block. Leaving by the engine's long
 * jump is fine: it restores the stack and expects no register.
 */
#if ENGINE_SIBLING_CALLS
#define ENTER "jit_enter"
#else
#define ENTER "jit_enter_once"
#endif
__asm__(".pushsection .text\n"
	".globl " ENTER "\n"
	".type " ENTER ", @function\n" ENTER ":\n"
	"\tpushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n"
	"\tsubq $8, %rsp\n"
	"\tcall *(%rsi)\n"
	"\taddq $8, %rsp\n"
	"\tpopq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n"
	"\tret\n"
	".size " ENTER ", .-" ENTER "\n"
	".popsection");
_Static_assert(__builtin_offsetof(struct op, fn) == 0, ENTER " calls through the first member");

#if !ENGINE_SIBLING_CALLS
void jit_enter_once(struct vp *vp, const struct op *op);

/* Handlers come back and say what is next; translated code says nothing when it leaves the block. */
void jit_enter(struct vp *vp, const struct op *op)
{
	do {
		vp->next_op = NULL;
		jit_enter_once(vp, op);
	} while ((op = vp->next_op));
}
#endif

/* ---- blocks that become hot ---- */

#define BUSY_ENTRIES 8u /* before another attempt */
#define LOOK_ENTRIES \
	32u /* after so many: has another processor translated the block? A power of two. */

/* Return: can the block be entered by its code? */
static bool try_translate(struct vp *vp, struct block *b, bool only_take)
{
	struct jit *j = vp->tier_data;
	enum jit_result is = JIT_BUSY;

	if (only_take && !share_may_have(j, b)) /* most of the time */
		return false;
	if (arena_trylock(j->arena)) {
		if (share_take(j, b))
			is = JIT_DONE;
		else if (!only_take)
			is = jit_translate(vp, b);
		arena_unlock(j->arena);
	}
	if (is == JIT_NEVER)
		b->ops[0].fn = b->first;
	else if (is == JIT_BUSY && !only_take)
		b->heat = BUSY_ENTRIES;
	return is == JIT_DONE;
}

/* First operation of a block that may become hot. */
static void count_entry(struct vp *vp, const struct op *op)
{
	struct block *b = vp->cur_block;

	if (unlikely(!(--b->heat % LOOK_ENTRIES)) && (!b->heat || arena_is_shared(vp->tier_data)) &&
	    try_translate(vp, b, b->heat))
		RUN_OP(vp, op);
	return b->first(vp, op);
}

void jit_cool(struct jit *j, struct block *b)
{
	if (b->own)
		share_detach(j, b);
	b->heat = j->heat;
	b->ops[0].fn = count_entry;
}

static void block_made(struct vp *vp, struct block *b)
{
	u32 size = b->mode & VP_MODE_SIZE;

	if (b->mode & (VP_MODE_ONE | VP_MODE_PLAIN) || !b->hva || b->frame2 ||
	    b->ops[0].fn == op_slow)
		return;
	if (size != VP_MODE_64 &&
	    (size != VP_MODE_32 || !(b->mode & VP_MODE_FLAT) || !(b->mode & VP_MODE_CSFLAT)))
		return;
	b->first = b->ops[0].fn;
	jit_cool(vp->tier_data, b);
	try_translate(vp, b, true);
}

static void give_back(struct vp *vp, const struct block *b, struct op *ops, u32 n)
{
	(void)vp;
	if (b->own)
		share_give_back(b, ops, n);
	else if (b->first)
		ops[0].fn = b->first;
}

static void forget_jumps(struct vp *vp)
{
	for (u32 i = 0; i < VP_JUMPS; i++)
		vp->jumps[i].key = 0;
}

static void block_gone(struct vp *vp, struct block *b)
{
	struct jit *j = vp->tier_data;

	share_detach(j, b);
	if (j->set_apart == b)
		j->set_apart = NULL;
}

static void cache_flushed(struct vp *vp)
{
	struct jit *j = vp->tier_data;

	share_forget_blocks(j);
	j->n_flushes++;
	nm_zero(j->apart, sizeof(j->apart));
	j->set_apart = NULL;
	forget_jumps(vp);
}

/* ---- code that changed ---- */

/* Nothing goes to @b directly any more. */
static void unlink_block(struct vp *vp, struct block *b)
{
	struct jump_slot *s = &vp->jumps[jump_index(b->rip)];
	struct jit_own *own = b->own;

	while (own->in)
		edge_cut(own->in);
	if (s->hot == b->hot)
		s->key = 0;
}

/* Does something go there? */
static bool is_linked(const struct vp *vp, const struct block *b)
{
	const struct jit_own *own = b->own;

	return own->in || vp->jumps[jump_index(b->rip)].hot == b->hot;
}

void jit_set_apart(struct vp *vp, struct block *b)
{
	struct jit *j = vp->tier_data;
	u32 i = block_hash(b->hva) % JIT_APART;

	j->apart[i / 64] |= 1ull << i % 64;
	j->set_apart = b;
	vp_request(vp, VP_ATTN_CODE); /* it runs */
}

static void unlink_stale(struct vp *vp, struct block *b, const struct mem_frame *f)
{
	for (struct block *next; b; b = next) {
		next = b->same;
		if (unlikely(b->dead))
			share_detach(vp->tier_data, b);
		else if ((!f || b->frame == f) && !block_is_fresh(b) && is_linked(vp, b) &&
			 !block_renew(vp, b))
			unlink_block(vp, b);
	}
}

static void code_changed(struct vp *vp)
{
	struct jit *j = vp->tier_data;
	struct mem_frame *f;

	share_give_up(j);
	if (j->set_apart && j->set_apart->own)
		jit_cool(j, j->set_apart);
	j->set_apart = NULL;
	while (mem_code_moves(vp->mem, &j->moves_seen, &f)) {
		if (f)
			unlink_stale(vp, j->by_frame[jit_frame_hash(f)], f);
		else
			for (u32 i = 0; i < JIT_FRAMES; i++)
				unlink_stale(vp, j->by_frame[i], NULL);
	}
}

/* ---- from translated code ---- */

/* The count without the mark of attention, see make_load(). */
static u64 plain_count(u64 left)
{
	return left << 2 >> 2;
}

static void link_edge(struct jit_edge *e, struct block *b)
{
	struct jit_own *own = b->own;

	if (e->to != b) {
		edge_cut(e);
		e->to = b;
		e->next = own->in;
		e->prev = &own->in;
		if (e->next)
			e->next->prev = &e->next;
		own->in = e;
	}
	e->target = b->hot;
	e->hva = b->hva;
}

void jit_edge_taken(struct vp *vp, struct jit_edge *e, u64 left)
{
	const struct op *op = e->op;
	struct block *b = op->link[0];
	u64 start = vp->slice - plain_count(left);

	if (e->is_far || e->is_return) {
		b = jit_find_hot(vp, e->rip);
		b = b ? b : &block_unlinked;
	}

	vp->cur_block = e->b;
	vp->block_insns = start - e->count;
	if (!chain_is_open(vp, b, start)) {
		if (e->is_return)
			return jit_returned(vp, e->rip, left);
		return chain_slow(vp, op, start);
	}
	if (b->hot && e->target == e->cold) {
		link_edge(e, b);
		if (e->is_far)
			vp_jump_mark(vp, b->rip);
	}
	RUN_BLOCK(vp, b, start);
}

void jit_returned(struct vp *vp, u64 rip, u64 left)
{
	return chain_lookup(vp, rip, vp->slice - plain_count(left));
}

void jit_refused(struct vp *vp, const struct jit_site *s, u64 left)
{
	u64 start = vp->slice - plain_count(left + s->b->n);

	if (chain_is_open(vp, s->b, start)) /* the end of a slice */
		RUN_BLOCK(vp, s->b, start);
	vp->cpu.rip = s->b->rip;
	vp->cur_block = s->b;
	vp->block_insns = start;
	LEAVE(vp);
}

/* ---- floating-point exceptions of the host ---- */

#define TIERS_MAX 1024u
static struct jit *_Atomic tiers[TIERS_MAX];

static u64 recover_in(const struct jit *j, u32 at)
{
	const struct jit_arena *a = j->arena;
	u32 r = (at - JIT_STUBS) / a->part, low = 0, high, n;
	const struct jit_trap *traps = arena_traps(a, r);

	if (at < JIT_STUBS || r >= a->n_regions)
		return 0;
	n = high = __atomic_load_n((const u32 *)&a->region[r].n_traps, __ATOMIC_ACQUIRE);
	while (low < high) {
		u32 mid = (low + high) / 2;

		if (traps[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && traps[low].at == at ? (u64)j->exec + traps[low].cold : 0;
}

static u64 recover(u64 host_rip)
{
	for (u32 i = 0; i < TIERS_MAX; i++) {
		const struct jit *j = __atomic_load_n(&tiers[i], __ATOMIC_ACQUIRE);

		if (j && host_rip - (u64)j->exec < j->arena->bytes)
			return recover_in(j, (u32)(host_rip - (u64)j->exec));
	}
	return 0;
}

static bool tier_enlist(struct jit *j)
{
	vec_recover = recover;
	for (u32 i = 0; i < TIERS_MAX; i++) {
		struct jit *none = NULL;

		if (__atomic_compare_exchange_n(&tiers[i], &none, j, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return true;
	}
	return false;
}

static void tier_leave(struct jit *j)
{
	for (u32 i = 0; i < TIERS_MAX; i++)
		if (tiers[i] == j)
			__atomic_store_n(&tiers[i], NULL, __ATOMIC_SEQ_CST);
}

static const struct engine_tier jit_tier = {.enter = jit_enter,
					    .block_made = block_made,
					    .cache_flushed = cache_flushed,
					    .block_gone = block_gone,
					    .give_back = give_back,
					    .code_changed = code_changed};
static const struct engine_tier check_tier = {.enter = check_enter,
					      .block_made = block_made,
					      .cache_flushed = cache_flushed,
					      .block_gone = block_gone,
					      .give_back = give_back,
					      .code_changed = code_changed,
					      .before_effect = check_before_effect,
					      .write_filled = check_write_filled,
					      .may_write = check_may_write};

/* ---- attaching ---- */

/* The shared code is the same in all of the arena's processors, but for where it is. */
static void place_stubs(struct jit *j)
{
	struct jit_arena *a = j->arena;
	u64 *from = (u64 *)&a->stub, *to = (u64 *)&j->stub;
	struct emit e = {.base = a->write, .p = a->write, .end = a->write + JIT_STUBS};

	if (a->users == 1)
		jit_make_stubs(j, &e);
	for (u32 i = 0; i < sizeof(a->stub) / sizeof(u64); i++) {
		if (a->users == 1)
			from[i] = to[i] - (u64)j->exec;
		to[i] = from[i] + (u64)j->exec;
	}
}

static void destroy(struct jit *j)
{
	tier_leave(j);
	if (j->arena)
		arena_leave(j);
	check_destroy(j->check);
	free(j);
}

static int prepare(struct jit *j, const struct jit_config *cfg)
{
	const struct jit *with = cfg->with ? cfg->with->tier_data : NULL;
	struct jit_arena *a;
	int err = 0;

	if (cfg->differs) {
		j->check = check_create(cfg->differs);
		if (!j->check)
			return -ENOMEM;
	}
	a = with ? with->arena
		 : arena_create(cfg->arena_bytes ? cfg->arena_bytes : ARENA_BYTES_DEFAULT, &err);
	if (!a)
		return err;
	err = arena_join(a, j);
	if (err) {
		if (!with)
			arena_destroy(a);
		return err;
	}
	place_stubs(j);
	if (!tier_enlist(j))
		return -ENOSPC;
	return mem_watch_code(j->vp->mem, &j->vp->attn, VP_ATTN_CODE);
}

int jit_attach(struct vp *vp, const struct jit_config *cfg)
{
	struct jit *j;
	int err;

	if (!HAS_TRANSLATOR)
		return -ENOTSUP;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->vp = vp;
	j->heat = cfg->heat ? cfg->heat : HEAT_DEFAULT;
	j->off = cfg->off;
	j->lose = cfg->lose;
	err = prepare(j, cfg);
	if (err) {
		destroy(j);
		return err;
	}
	forget_jumps(vp);
	code_cache_flush(vp);
	vp->tier_data = j;
	vp->tier = j->check ? &check_tier : &jit_tier;
	softtlb_flush(vp);
	return 0;
}

void jit_detach(struct vp *vp)
{
	struct jit *j = vp->tier_data;

	if (!j)
		return;
	code_cache_flush(vp);
	vp->tier = NULL;
	vp->tier_data = NULL;
	mem_unwatch_code(vp->mem, &vp->attn);
	destroy(j);
}

const char *jit_parse_groups(const char *list, u32 *off)
{
	static const char *const names[] = {
#define GROUP(id, name, text) name,
#include "l0/jit/jit_groups.def"
#undef GROUP
	};

	return words_parse(list, names, JIT_GROUPS, off);
}

void jit_get_stats(const struct vp *vp, struct jit_stats *s)
{
	const struct jit *j = vp->tier_data;

	*s = j ? (struct jit_stats){j->n_translated, j->n_taken_over, j->n_retired, j->n_flushes}
	       : (struct jit_stats){0};
}
