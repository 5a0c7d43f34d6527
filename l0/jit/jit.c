#include "l0/jit/jit_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "l0/base/mem_ops.h"
#include "l0/base/words.h"
#include "l0/engine/exec.h"
#include "l0/engine/vec.h"

#define ARENA_BYTES_DEFAULT (32u * 1024 * 1024)
#define HEAT_DEFAULT 1000u /* what a process runs once and a page fault interrupts does not pay for itself */

#if ENGINE_SIBLING_CALLS
/*
 * Translated code uses the registers that the calling convention keeps, and enters handlers, which
 * keep them: they are saved once, where the run loop enters a block. Leaving by the engine's long
 * jump is fine: it restores the stack and expects no register.
 */
__asm__(".pushsection .text\n"
	".globl jit_enter\n"
	".type jit_enter, @function\n"
	"jit_enter:\n"
	"\tpushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n"
	"\tsubq $8, %rsp\n"
	"\tcall *(%rsi)\n"
	"\taddq $8, %rsp\n"
	"\tpopq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n"
	"\tret\n"
	".size jit_enter, .-jit_enter\n"
	".popsection");
_Static_assert(__builtin_offsetof(struct op, fn) == 0, "jit_enter calls through the first member");
#else
void jit_enter(struct vp *vp, const struct op *op)
{
	op->fn(vp, op);
}
#endif

/* First operation of a block that may become hot. */
static void count_entry(struct vp *vp, const struct op *op)
{
	struct block *b = vp->cur_block;

	if (unlikely(!--b->heat)) {
		switch (jit_translate(vp, b)) {
		case JIT_DONE: break;
		case JIT_NEVER: b->ops[0].fn = b->first; break;
		case JIT_FULL:
			/* Everything is dropped before the next block is looked up. */
			b->heat = 1;
			vp->code->drop = true;
			vp->cpu.rip = b->rip;
			LEAVE(vp);
		}
		RUN_OP(vp, op);
	}
	return b->first(vp, op);
}

static void block_made(struct vp *vp, struct block *b)
{
	struct jit *j = vp->tier_data;
	u32 size = b->mode & VP_MODE_SIZE;

	if (b->mode & (VP_MODE_ONE | VP_MODE_PLAIN) || !b->hva || b->frame2 || b->ops[0].fn == op_slow)
		return;
	if (size != VP_MODE_64 && (size != VP_MODE_32 || !(b->mode & VP_MODE_FLAT) || !(b->mode & VP_MODE_CSFLAT)))
		return;
	b->first = b->ops[0].fn;
	b->heat = j->heat;
	b->ops[0].fn = count_entry;
}

static void forget_jumps(struct vp *vp)
{
	for (u32 i = 0; i < VP_JUMPS; i++)
		vp->jumps[i].key = 0;
}

static void cache_flushed(struct vp *vp)
{
	struct jit *j = vp->tier_data;

	if (j->used != JIT_STUBS)
		j->reused = true;
	j->used = JIT_STUBS;
	j->data_used = 0;
	j->n_traps = 0;
	j->n_flushes++;
	nm_zero(j->by_frame, sizeof(j->by_frame));
	forget_jumps(vp);
}

/* ---- code that changed ---- */

/* Nothing goes to @b directly any more. */
static void unlink_block(struct vp *vp, struct block *b)
{
	struct jump_slot *s = &vp->jumps[jump_index(b->rip)];

	for (struct jit_edge *e = b->in; e; e = e->next) {
		e->target = e->cold;
		e->to = NULL;
	}
	b->in = NULL;
	if (s->hot == b->hot)
		s->key = 0;
}

static void unlink_stale(struct vp *vp, struct block **list, const struct mem_frame *f)
{
	for (struct block *b; (b = *list);) {
		if ((!f || b->frame == f) && !block_is_fresh(b) && !block_renew(vp, b))
			unlink_block(vp, b);
		if (unlikely(b->dead))
			*list = b->same;
		else
			list = &b->same;
	}
}

static void code_changed(struct vp *vp)
{
	struct jit *j = vp->tier_data;
	struct mem_frame *f;

	while (mem_code_moves(vp->mem, &j->moves_seen, &f)) {
		if (f)
			unlink_stale(vp, &j->by_frame[jit_frame_hash(f)], f);
		else
			for (u32 i = 0; i < JIT_FRAMES; i++)
				unlink_stale(vp, &j->by_frame[i], NULL);
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
	struct jit_edge **at;

	e->target = b->hot;
	e->hva = b->hva;
	if (e->to == b)
		return;
	if (e->to) {
		for (at = (struct jit_edge **)&e->to->in; *at != e; at = &(*at)->next)
			;
		*at = e->next;
	}
	e->to = b;
	e->next = b->in;
	b->in = e;
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
	vp->cpu.rip = rip;
	vp->block_insns = vp->slice - plain_count(left);
	LEAVE(vp);
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
	u32 low = 0, high = j->n_traps;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (j->traps[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < j->n_traps && j->traps[low].at == at ? (u64)j->exec + j->traps[low].cold : 0;
}

static u64 recover(u64 host_rip)
{
	for (u32 i = 0; i < TIERS_MAX; i++) {
		const struct jit *j = __atomic_load_n(&tiers[i], __ATOMIC_ACQUIRE);

		if (j && host_rip - (u64)j->exec < j->bytes)
			return recover_in(j, (u32)(host_rip - (u64)j->exec));
	}
	return 0;
}

static bool tier_enlist(struct jit *j)
{
	vec_recover = recover;
	for (u32 i = 0; i < TIERS_MAX; i++) {
		struct jit *none = NULL;

		if (__atomic_compare_exchange_n(&tiers[i], &none, j, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
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

static const struct engine_tier jit_tier = {.enter = jit_enter, .block_made = block_made,
					    .cache_flushed = cache_flushed, .code_changed = code_changed};
static const struct engine_tier check_tier = {.enter = check_enter, .block_made = block_made,
					      .cache_flushed = cache_flushed, .code_changed = code_changed,
					      .before_effect = check_before_effect,
					      .write_filled = check_write_filled,
					      .may_write = check_may_write};

/* Code, mapped twice, and the records right behind its executable mapping. */
static int map_arena(struct jit *j)
{
	int fd = memfd_create("nestor-code", MFD_CLOEXEC), err = 0;
	u8 *place;

	if (fd < 0)
		return -errno;
	place = mmap(NULL, j->bytes + j->data_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if (place == MAP_FAILED || ftruncate(fd, (off_t)j->bytes) < 0)
		err = -errno;
	j->write = err ? MAP_FAILED : mmap(NULL, j->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	j->exec = err ? MAP_FAILED : mmap(place, j->bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
	if (!err && (j->write == MAP_FAILED || j->exec == MAP_FAILED))
		err = -errno;
	j->data = place + j->bytes;
	if (err && j->write != MAP_FAILED)
		munmap(j->write, j->bytes);
	if (err && place != MAP_FAILED)
		munmap(place, j->bytes + j->data_bytes);
	close(fd);
	return err;
}

static void unmap_arena(struct jit *j)
{
	tier_leave(j);
	check_destroy(j->check);
	munmap(j->write, j->bytes);
	munmap(j->exec, j->bytes + j->data_bytes);
	free(j->traps);
	free(j);
}

int jit_attach(struct vp *vp, const struct jit_config *cfg)
{
	struct jit *j;
	int err;

	if (!ENGINE_SIBLING_CALLS)
		return -ENOTSUP;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->bytes = cfg->arena_bytes ? ALIGN_UP(cfg->arena_bytes, (u64)PAGE_SIZE) : ARENA_BYTES_DEFAULT;
	j->bytes = MAX(j->bytes, (u64)2 * JIT_BLOCK_MAX_BYTES);
	j->data_bytes = MAX(ALIGN_UP(j->bytes / 2, (u64)PAGE_SIZE), (u64)2 * JIT_BLOCK_MAX_DATA);
	j->heat = cfg->heat ? cfg->heat : HEAT_DEFAULT;
	j->off = cfg->off;
	j->lose = cfg->lose;
	j->traps = calloc(JIT_TRAPS, sizeof(*j->traps));
	if (cfg->differs)
		j->check = check_create(cfg->differs);
	err = j->traps && (j->check || !cfg->differs) ? map_arena(j) : -ENOMEM;
	if (err) {
		check_destroy(j->check);
		free(j->traps);
		free(j);
		return err;
	}
	err = tier_enlist(j) ? mem_watch_code(vp->mem, &vp->attn, VP_ATTN_CODE) : -ENOSPC;
	if (err) {
		unmap_arena(j);
		return err;
	}
	jit_make_stubs(j);
	j->used = JIT_STUBS;
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
	unmap_arena(j);
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

u64 jit_translated(const struct vp *vp)
{
	const struct jit *j = vp->tier_data;

	return j ? j->n_translated : 0;
}

u64 jit_flushes(const struct vp *vp)
{
	const struct jit *j = vp->tier_data;

	return j ? j->n_flushes : 0;
}
