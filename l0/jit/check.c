/*
 * The translator held against the interpreter while a guest runs (--engine check).
 *
 * Whatever the run loop enters is run as a stretch: translated code and the handlers that it uses
 * run for a while; then everything is undone, the interpreter runs the same instructions in blocks
 * of its own (VP_MODE_PLAIN), and the two ends are compared: all of struct cpu_state, the count, a
 * fault or exit with what belongs to it, and the bytes of memory that were written.
 *
 * A stretch ends before anything that cannot be undone (engine_tier.before_effect): most system
 * instructions (those of quick_can_be_undone() are compared, the short way with the general one),
 * repeated strings, and every access that the soft TLB does not serve, so devices, walks
 * with their accessed bits, faults of paging, and stores to code and page tables. The interpreter
 * does that one instruction alone. So a stretch writes only where the soft TLB has a write tag, and
 * those pages are known (check_write_filled()) and few: they are copied before it and compared
 * after it.
 *
 * The memory belongs to one thread meanwhile: the machine sees to that (virtual clock).
 * Cost: some microseconds a stretch.
 */
#include "l0/jit/check.h"

#include <stdlib.h>

#include "l0/base/mem_ops.h"
#include "l0/engine/exec.h"
#include "l0/engine/sys.h"

/* Lengths of stretches in turn: what a long one overwrites again is seen in a short one. */
static const u8 lengths[] = {0, 250, 30, 100};

#define IDLE_MAX 100u /* stretches without a change after which a page is given up */

static struct check *check_of(const struct vp *vp)
{
	return ((struct jit *)vp->tier_data)->check;
}

struct check *check_create(void (*differs)(struct vp *vp, u64 rip, const char *text))
{
	struct check *c = aligned_alloc(64, ALIGN_UP(sizeof(*c), (size_t)64));

	if (c) {
		nm_zero(c, sizeof(*c));
		c->differs = differs;
	}
	return c;
}

void check_destroy(struct check *c)
{
	free(c);
}

/* ---- pages that may be written ---- */

static void drop_page(struct vp *vp, struct check *c, u32 i)
{
	softtlb_drop_writes_cb(vp, c->page[i].hva);
	c->page[i] = c->page[--c->n_pages];
}

static bool is_known(const struct check *c, const u8 *p)
{
	for (u32 i = 0; i < c->n_pages; i++)
		if (c->page[i].hva == p)
			return true;
	return false;
}

/* The page behind it comes along where there is room, so that ranges of a large page have
 * several. */
void check_write_filled(struct vp *vp, u8 *hva)
{
	struct check *c = check_of(vp);
	const struct mem_map *map = mem_map(vp->mem);
	u8 *p = (u8 *)((u64)hva & PAGE_MASK), *next = p + PAGE_SIZE;

	if (is_known(c, p))
		return;
	if (vp->compared) { /* the interpreter's alone: there is no copy of it */
		softtlb_drop_writes_cb(vp, p);
		return;
	}
	if (c->n_pages == CHECK_PAGES)
		drop_page(vp, c, c->victim++ % CHECK_PAGES);
	c->page[c->n_pages++] = (struct check_page){.hva = p};
	if (c->n_pages < CHECK_PAGES / 2 &&
	    (u64)(next - map->base) < map->low_bytes + map->high_bytes && !is_known(c, next))
		c->page[c->n_pages++] = (struct check_page){.hva = next};
}

bool check_may_write(struct vp *vp, u8 *hva)
{
	return is_known(check_of(vp), hva);
}

static void copy_pages(struct vp *vp, struct check *c)
{
	for (u32 i = 0; i < c->n_pages; i++)
		if (c->page[i].idle++ > IDLE_MAX)
			drop_page(vp, c, i--);
	for (u32 i = 0; i < c->n_pages; i++)
		nm_copy(c->before[i], c->page[i].hva, PAGE_SIZE);
}

/* Keep what was written, and put back what was there. */
static void undo_pages(struct check *c)
{
	for (u32 i = 0; i < c->n_pages; i++) {
		struct check_page *p = &c->page[i];

		p->changed = !nm_equal(c->before[i], p->hva, PAGE_SIZE);
		if (!p->changed)
			continue;
		p->idle = 0;
		nm_copy(c->after[i], p->hva, PAGE_SIZE);
		nm_copy(p->hva, c->before[i], PAGE_SIZE);
	}
}

const u8 *check_memory(const struct check *c, u8 *translated)
{
	for (u32 i = 0; i < c->n_pages; i++) {
		const struct check_page *p = &c->page[i];
		const u8 *want = p->changed ? c->after[i] : c->before[i];

		if (likely(nm_equal(p->hva, want, PAGE_SIZE)))
			continue;
		for (u32 k = 0; k < PAGE_SIZE; k++)
			if (p->hva[k] != want[k]) {
				*translated = want[k];
				return p->hva + k;
			}
	}
	return NULL;
}

/* ---- states ---- */

static void capture(struct vp *vp, struct check_state *s, enum vp_escape how)
{
	vp_vec_park(vp);
	if (how == ESCAPE_NONE)
		vp->insns = vp->block_insns;
	vp->block_insns = vp->insns;
	vp->cpu.rflags = vp_rflags(vp);
	if (event_is_covered(vp))
		event_uncover(vp);
	nm_copy(&s->cpu, &vp->cpu, sizeof(s->cpu));
	s->ev = vp->ev;
	s->insns = vp->insns;
	s->fpu_ip = vp->fpu_ip;
	s->fpu_dp = vp->fpu_dp;
	s->fpu_op = vp->fpu_op;
	s->n_exits = vp->n_exits;
	s->n_exceptions = vp->n_exceptions;
	s->pmu = vp->pmu;
	s->mode = vp->mode;
	s->how = how;
	s->vector = how == ESCAPE_FAULT ? vp->fault_vector : 0;
	s->error = how == ESCAPE_FAULT && vp->fault_has_error ? vp->fault_error : 0;
	s->cr2 = how == ESCAPE_FAULT && vp->fault_vector == VECTOR_PF ? vp->fault_cr2 : 0;
	s->exit = how == ESCAPE_EXIT ? vp->exit : (struct vmexit){0};
}

static void restore(struct vp *vp, const struct check_state *s)
{
	nm_copy(&vp->cpu, &s->cpu, sizeof(s->cpu));
	vp->ev = s->ev;
	vp->insns = vp->block_insns = s->insns;
	vp->fpu_ip = s->fpu_ip;
	vp->fpu_dp = s->fpu_dp;
	vp->fpu_op = s->fpu_op;
	vp->n_exits = s->n_exits;
	vp->n_exceptions = s->n_exceptions;
	vp->vec_live = false;
	vp->vec_ok = 0;
	vp->arith = arith_from_rflags(s->cpu.rflags);
	vp->pmu = s->pmu; /* of the ring that comes back, so that nothing is counted now */
	/* It may have ended in the shadow of an STI: a stretch begins in none. */
	vp_request_clear(vp, VP_ATTN_STEP);
	vp_update_mode(vp);
}

/* Bytes @from to @to of @img, or of its initial state when the component is not in use. */
static bool same_component(const u8 *a, const u8 *b, u64 bit, u32 from, u32 to)
{
	bool in_a = nm_load64(a + 512) & bit, in_b = nm_load64(b + 512) & bit;

	for (u32 i = from; i < to; i++) {
		u8 init = i == 0 ? 0x7f : i == 1 ? 0x03 : 0; /* FCW 037f */

		if ((in_a ? a[i] : init) != (in_b ? b[i] : init))
			return false;
	}
	return true;
}

/* The x87 pointers of an image are the host's; the guest's own are compared beside it. */
bool check_same_vec(const u8 *a, const u8 *b)
{
	return same_component(a, b, 1, 0, 5) && same_component(a, b, 1, 32, 160) &&
	       nm_load32(a + 24) == nm_load32(b + 24) && same_component(a, b, 2, 160, 416) &&
	       same_component(a, b, 4, XSAVE_AVX_OFFSET, XSAVE_AVX_OFFSET + XSAVE_AVX_BYTES);
}

static bool same_end(const struct check *c)
{
	const struct check_state *a = &c->translated, *b = &c->interpreted;
	u64 before_vec = __builtin_offsetof(struct cpu_state, vec);
	u8 byte;

	return a->how == b->how && a->insns == b->insns && nm_equal(&a->cpu, &b->cpu, before_vec) &&
	       a->mode == b->mode && a->n_exceptions == b->n_exceptions &&
	       a->ev.held == b->ev.held && nm_equal(&a->pmu, &b->pmu, sizeof(a->pmu)) &&
	       a->fpu_ip == b->fpu_ip && a->fpu_dp == b->fpu_dp && a->fpu_op == b->fpu_op &&
	       a->vector == b->vector && a->error == b->error && a->cr2 == b->cr2 &&
	       nm_equal(&a->exit, &b->exit, sizeof(a->exit)) &&
	       (nm_equal(a->cpu.vec, b->cpu.vec, VEC_AREA_BYTES) ||
		check_same_vec(a->cpu.vec, b->cpu.vec)) &&
	       !check_memory(c, &byte);
}

/* ---- the two runs ---- */

void check_before_effect(struct vp *vp, const struct op *op)
{
	struct check *c = check_of(vp);
	u64 insns = op->fn == op_slow ? vp->insns : vp->block_insns + op->idx;

	/* Translated code went on here: it remembers pages that the soft TLB does not have any
	 * more. */
	if (c->replays && insns <= c->translated.insns)
		return;
	if (op->fn != op_slow)
		op_complete_state(vp, op);
	vp_escape(vp, ESCAPE_CUT);
}

static void run_translated(struct vp *vp, void *op)
{
	jit_enter(vp, op);
}

static void run_one_block(struct vp *vp, struct block *b)
{
	vp->cur_block = b;
	vp->block_insns = vp->insns;
	jit_enter(vp, b->ops);
	vp->insns = vp->block_insns;
}

/* A block of the interpreter's own; what does not fit before @end is stepped. */
static void run_plain_block(struct vp *vp, struct check *c, u64 end)
{
	struct block *b = block_get(vp, vp->mode);
	u64 rip = b->rip, bytes = b->bytes;

	c->last = b;
	c->last_epoch = vp->code->epoch;
	if (likely(vp->insns + b->n <= end)) {
		run_one_block(vp, b);
		return;
	}
	do
		run_one_block(vp, block_get(vp, vp->mode | VP_MODE_ONE));
	while (vp->insns < end && vp->cpu.rip - rip < bytes);
}

/* In the mode whose blocks are not translated, so that branches find only those. To the same count;
 * to the fault or exit behind it when there was one. */
static void run_interpreted(struct vp *vp, void *arg)
{
	struct check *c = arg;
	const struct check_state *end = &c->translated;
	bool left = end->how == ESCAPE_FAULT || end->how == ESCAPE_EXIT;

	vp->mode |= VP_MODE_PLAIN;
	while (vp->insns < end->insns || (left && vp->insns == end->insns))
		run_plain_block(vp, c, end->insns);
}

static enum vp_escape guarded(struct vp *vp, u64 until, void (*fn)(struct vp *vp, void *arg),
			      void *arg)
{
	u64 outer = vp->until;
	enum vp_escape how;

	vp->until = until;
	vp->compared = true;
	how = vp_guard(vp, fn, arg);
	vp->compared = false;
	vp->until = outer;
	return how;
}

/* One stretch from c->start, at most to @until. Return: do both ends agree? */
static bool stretch(struct vp *vp, struct check *c, const struct op *op, u64 until)
{
	const struct op *link;
	enum vp_escape how;
	struct block *from;
	u32 epoch;

	c->replays = false;
	capture(vp, &c->translated, guarded(vp, until, run_translated, (void *)op));
	if (c->translated.insns == c->start.insns && c->translated.how != ESCAPE_FAULT &&
	    c->translated.how != ESCAPE_EXIT)
		return true; /* refused; or nothing to compare */
	link = vp->link_from;
	from = vp->cur_block;
	epoch = vp->code->epoch;
	undo_pages(c);
	restore(vp, &c->start);
	c->replays = true;
	do /* again when all code was dropped to make room */
		how = guarded(vp, c->translated.insns, run_interpreted, c);
	while (how == ESCAPE_RESTART);
	vp->mode &= ~VP_MODE_PLAIN;
	vp_jump_key_update(vp); /* keys that were made meanwhile have the mode in them */
	softtlb_page_key(vp);
	capture(vp, &c->interpreted, how);
	if (how == ESCAPE_NONE &&
	    (c->translated.how == ESCAPE_CUT || c->translated.how == ESCAPE_RESTART))
		c->interpreted.how = c->translated.how;
	vp->link_from = link;
	vp->cur_block = from;
	if (epoch != vp->code->epoch) {
		vp->link_from = NULL;
		vp->cur_block = &block_unlinked;
	}
	c->stats.stretches++;
	c->stats.insns += c->interpreted.insns - c->start.insns;
	return same_end(c);
}

/* The stretch again, longer and longer: its last block is where they part. Return: false: all were
 * good. */
static bool find_block(struct vp *vp, struct check *c, struct block *b, u64 until)
{
	u64 first = c->start.insns, rip = c->start.cpu.rip;
	u32 epoch = vp->code->epoch;

	c->begin = rip;
	/* from outside a block is entered only when all of it fits */
	for (u64 to = first + b->n; to <= until && epoch == vp->code->epoch; to++) {
		for (u32 i = 0; i < c->n_pages; i++)
			nm_copy(c->page[i].hva, c->before[i], PAGE_SIZE);
		restore(vp, &c->start);
		vp->cur_block = b;
		if (!stretch(vp, c, b->ops, to))
			return true;
		c->begin = c->interpreted.insns > first ? c->interpreted.cpu.rip : rip;
	}
	return false;
}

/* ---- what the run loop enters ---- */

static void run_alone(struct vp *vp, void *arg)
{
	struct block *b = arg;

	if (!b)
		b = block_get(vp, vp->mode | VP_MODE_ONE);
	if (b->ops[0].flags & (OP_REP | OP_REPNE)) /* which stops at other counts */
		vp->until = check_of(vp)->until;
	run_one_block(vp, b);
}

/* One instruction, of @b or at RIP, that nothing is compared with; what comes next is not
 * chained. */
static void alone(struct vp *vp, struct check *c, struct block *b)
{
	u64 until = vp->until;
	enum vp_escape how;

	c->stats.alone++;
	c->until = until;
	vp->until = vp->insns + 1;
	how = vp_guard(vp, run_alone, b);
	vp->until = until;
	vp->link_from = NULL;
	if (how != ESCAPE_NONE)
		vp_escape(vp, how);
}

void check_enter(struct vp *vp, const struct op *op)
{
	struct check *c = check_of(vp);
	struct block *b = vp->cur_block;
	u64 until =
		MIN(vp->until,
		    vp->insns + MAX((u64)lengths[c->stats.stretches % ARRAY_SIZE(lengths)], b->n));
	u32 epoch = vp->code->epoch;
	enum vp_escape how;

	if (b->mode & VP_MODE_ONE || !b->hva) {
		alone(vp, c, b);
		return;
	}
	if (unlikely(c->reported)) {
		jit_enter(vp, op);
		return;
	}
	capture(vp, &c->start, ESCAPE_NONE);
	copy_pages(vp, c);
	if (unlikely(!stretch(vp, c, op, until))) {
		c->reported = true;
		c->begin = c->start.cpu.rip;
		check_describe(vp, c);
		if (epoch == vp->code->epoch && find_block(vp, c, b, until))
			check_describe(vp, c);
		c->differs(vp, c->begin, c->text);
		how = c->interpreted.how;
	} else {
		how = c->translated.how;
	}
	if (how == ESCAPE_CUT)
		alone(vp, c, NULL);
	else if (how != ESCAPE_NONE)
		vp_escape(vp, how);
}

void jit_get_checked(const struct vp *vp, struct jit_checked *out)
{
	const struct jit *j = vp->tier_data;

	*out = j && j->check ? j->check->stats : (struct jit_checked){0};
}
