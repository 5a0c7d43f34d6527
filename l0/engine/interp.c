/*
 * The interpreter: engine_run(), the ends of blocks, and the ways out of an operation.
 *
 * A fault or exit in mid-operation leaves by longjmp to engine_run(), with vp->cpu completed from
 * the operation (RIP, count, flags); event delivery goes on from there. Asynchronous work is looked
 * at where a block is entered: by one load of vp->attn.
 */
#include <Zydis/Zydis.h>
#include <setjmp.h>
#include "l0/engine/engine.h"
#include "l0/engine/exec.h"
#include "l0/engine/sys.h"

/* glibc's longjmp unmangles pointers and looks for cancellation: three times the cost. The
 * sanitizers know only that one, ThreadSanitizer only under this name. */
#if ENGINE_SIBLING_CALLS
typedef void *escape_buf[5];
#define ESCAPE_SET(buf) __builtin_setjmp(buf)
#define ESCAPE_JUMP(buf) __builtin_longjmp(buf, 1)
#else
typedef jmp_buf escape_buf;
#define ESCAPE_SET(buf) _setjmp(buf)
#define ESCAPE_JUMP(buf) longjmp(*(jmp_buf *)(buf), 1)
#endif

#define UNTIL_MAX (1ull << 61) /* translated code marks counts above it */
#define ATTN_SINGLE (VP_ATTN_STEP | VP_ATTN_MTF | VP_ATTN_WATCH | VP_ATTN_TRACE | VP_ATTN_VAPIC)

static bool is_code64(const struct vp *vp)
{
	return (vp->mode & VP_MODE_SIZE) == VP_MODE_64;
}

static u32 load_attn(const struct vp *vp)
{
	return __atomic_load_n((const u32 *)&vp->attn, __ATOMIC_RELAXED);
}

u64 op_next_rip(const struct vp *vp, const struct op *op)
{
	u64 next = op_rip(vp, op) + op->len;

	return is_code64(vp) ? next : (u32)next;
}

void op_complete_state(struct vp *vp, const struct op *op)
{
	u64 rip = op_rip(vp, op);

	vp->cpu.rip = is_code64(vp) ? rip : (u32)rip;
	vp->insns = vp->block_insns + op->idx;
	vp->cpu.rflags = vp_rflags(vp);
	if (event_is_covered(vp))
		event_uncover(vp);
}

/* ---- ways out ---- */

void op_stop_behind(struct vp *vp, const struct op *op)
{
	struct block *b = vp->cur_block;

	if (!op || op == vp->completed || vp->stop_at || b == &block_unlinked || b->dead ||
	    b->mode & VP_MODE_ONE)
		return;
	vp->stop_at = &b->ops[op - b->ops + 1];
	vp->stop_fn = vp->stop_at->fn;
	vp->stop_at->fn = op_leave;
}

static void forget_stop(struct vp *vp)
{
	vp->stop_at->fn = vp->stop_fn;
	vp->stop_at = NULL;
}

_Noreturn void vp_escape(struct vp *vp, enum vp_escape how)
{
	if (unlikely(vp->stop_at))
		forget_stop(vp);
	vp->link_from = NULL;
	vp->completed = NULL;
	vp->escape_how = how;
	ESCAPE_JUMP(vp->escape);
}

enum vp_escape vp_guard(struct vp *vp, void (*fn)(struct vp *vp, void *arg), void *arg)
{
	escape_buf buf;
	void *outer = vp->escape;

	vp->escape = &buf;
	vp->escape_how = ESCAPE_NONE;
	if (ESCAPE_SET(buf) == 0)
		fn(vp, arg);
	vp->escape = outer;
	return (enum vp_escape)vp->escape_how;
}

static void complete_for_escape(struct vp *vp, const struct op *op)
{
	if (op && op != vp->completed)
		op_complete_state(vp, op);
	else if (!op && event_is_covered(vp)) /* between two: a fetch, a delivery */
		event_uncover(vp);
}

_Noreturn void vp_fault(struct vp *vp, const struct op *op, u32 vector, u32 error)
{
	complete_for_escape(vp, op);
	vp->fault_vector = vector;
	vp->fault_error = error;
	vp->fault_has_error = exception_has_error(vector);
	vp_escape(vp, ESCAPE_FAULT);
}

_Noreturn void vp_page_fault(struct vp *vp, const struct op *op, u64 gva, u32 error)
{
	vp->fault_cr2 = gva;
	vp_fault(vp, op, VECTOR_PF, error);
}

_Noreturn void vp_exit(struct vp *vp, const struct op *op)
{
	complete_for_escape(vp, op);
	vp->exit.insn_len = op ? op->len : 0;
	event_exit_vectoring(vp);
	vp->n_exits++;
	vp_escape(vp, ESCAPE_EXIT);
}

_Noreturn void vp_restart(struct vp *vp)
{
	vp_escape(vp, ESCAPE_RESTART);
}

/* Is what an instruction in two pages has in the second one what it was, as far as is known? */
static bool second_is_known(struct vp *vp, const struct block *b, u64 lin)
{
	u64 next = (lin & PAGE_MASK) + PAGE_SIZE;

	return block_is_current(b) && softtlb_exec(vp, is_code64(vp) ? next : (u32)next) == b->hva2;
}

/* The block at @target (checked) to go on in with the count @start; NULL: that is for the run loop,
 * since the block is not known, or something is due. */
static __always_inline struct block *known_block(struct vp *vp, u64 target, u64 start)
{
	u64 lin = is_code64(vp) ? target : (u32)(vp->cpu.seg[SEG_CS].base + target);
	u8 *p = softtlb_exec(vp, lin);
	struct block *b;

	if (unlikely(!p))
		return NULL;
	b = vp->code->bucket[block_hash(p)];
	while (b && (b->hva != p || b->rip != target || b->mode != vp->mode))
		b = b->next;
	if (unlikely(!b || !(b->mode & VP_MODE_CSFLAT) || !chain_is_open(vp, b, start)))
		return NULL;
	return likely(!b->frame2) || second_is_known(vp, b, lin) ? b : NULL;
}

void chain_lookup(struct vp *vp, u64 target, u64 start)
{
	struct block *b = known_block(vp, target, start);

	if (likely(b)) {
		block_remember(vp, b);
		RUN_BLOCK(vp, b, start);
	}
	vp->cpu.rip = target;
	vp->block_insns = start;
	LEAVE(vp);
}

/* ---- operations that are no instructions, or every slow one ---- */

void op_slow(struct vp *vp, const struct op *op)
{
	vp->cur = vp->completed = op;
	op_complete_state(vp, op);
	if (unlikely(vp->compared))
		vp->tier->before_effect(vp, op);
	vp->next_rip = op_next_rip(vp, op);
	op->slow(vp, op);
	vp->completed = NULL;
	vp->vec_ok = 0;
	vp->arith = arith_from_rflags(vp->cpu.rflags);
	vp->insns++;
	if (unlikely(vp->cpu.activity != ACTIVITY_ACTIVE)) {
		vp->cpu.rip = vp->next_rip;
		vp->block_insns = vp->insns;
		LEAVE(vp);
	}
	return chain_lookup(vp, vp->next_rip, vp->insns);
}

/* It may have moved translations, modes, code, or given the processor something to look at: then
 * the block ends as after op_slow(). */
void op_inline(struct vp *vp, const struct op *op)
{
	u64 gen = vp->tlb_soft.gen;
	u32 mode = vp->mode;

	vp->cur = vp->completed = op;
	op_complete_state(vp, op);
	vp->next_rip = op_next_rip(vp, op);
	op->slow(vp, op);
	vp->completed = NULL;
	vp->vec_ok = 0;
	vp->arith = arith_from_rflags(vp->cpu.rflags);
	if (likely(!load_attn(vp) && vp->tlb_soft.gen == gen && vp->mode == mode &&
		   block_is_fresh(vp->cur_block)))
		NEXT(vp, op);
	vp->insns++;
	return chain_lookup(vp, vp->next_rip, vp->insns);
}

void op_plain(struct vp *vp, const struct op *op)
{
	op->slow(vp, op);
	NEXT(vp, op);
}

void op_ud(struct vp *vp, const struct op *op)
{
	vp_fault(vp, op, VECTOR_UD, 0);
}

void op_gp(struct vp *vp, const struct op *op)
{
	vp_fault(vp, op, VECTOR_GP, 0);
}

void op_leave(struct vp *vp, const struct op *op)
{
	op_complete_state(vp, op);
	vp->block_insns = vp->insns;
	LEAVE(vp);
}

void op_block_end(struct vp *vp, const struct op *op)
{
	struct block *b = op->link[0];
	u64 start = vp->block_insns + op->idx;

	if (chain_is_open(vp, b, start))
		RUN_BLOCK(vp, b, start);
	return chain_slow(vp, op, start);
}

/* ---- transfers ---- */

void check_branch_target(struct vp *vp, const struct op *op, u64 target)
{
	bool ok = is_code64(vp) ? is_canonical_va(vp, target)
				: vp->mode & VP_MODE_CSFLAT || target <= vp->cpu.seg[SEG_CS].limit;

	if (unlikely(!ok))
		vp_fault(vp, op, VECTOR_GP, 0);
}

/*
 * Remember @b as the target of the branch that was left last. Only within one page: its translation
 * was found good when the branch's block was entered, and nothing that changes translations runs
 * between chained blocks.
 */
static void link_blocks(struct vp *vp, struct op *from, struct block *b)
{
	const struct block *a = vp->cur_block;

	if (a == &block_unlinked || a->mode & VP_MODE_START || !b->hva || b->frame2 || a->frame2 ||
	    !(b->mode & VP_MODE_CSFLAT) ||
	    ((a->rip ^ b->rip) | ((u64)a->hva ^ (u64)b->hva)) & PAGE_MASK)
		return;
	/* With a segment base that is no multiple of the page size, equal RIP pages are not enough.
	 */
	if (!is_code64(vp) && vp->cpu.seg[SEG_CS].base % PAGE_SIZE)
		return;
	code_cache_link(vp->code, from, b);
}

void chain_slow(struct vp *vp, const struct op *op, u64 start)
{
	check_branch_target(vp, op, op->imm);
	if (op->link[0] == &block_unlinked || !block_is_fresh(op->link[0])) {
		struct block *b = known_block(vp, op->imm, start);

		if (b) {
			link_blocks(vp, (struct op *)op, b);
			block_remember(vp, b);
			RUN_BLOCK(vp, b, start);
		}
		vp->link_from = op;
	}
	vp->cpu.rip = op->imm;
	vp->block_insns = start;
	LEAVE(vp);
}

void chain_indirect(struct vp *vp, const struct op *op, u64 target)
{
	return chain_lookup(vp, target, vp->block_insns + op->idx + 1);
}

/* ---- the loop ---- */

static void run_block(struct vp *vp, struct block *b)
{
	const struct op *op = b->ops;

	vp->cur_block = b;
	vp->block_insns = vp->insns;
	if (b->hot && softtlb_exec(vp, b->rip)) /* translated: linear addresses are RIPs */
		block_remember(vp, b);
	if (vp->tier)
		vp->tier->enter(vp, op);
	else
		do
			op->fn(vp, op);
		while (!ENGINE_SIBLING_CALLS && (op = vp->next_op));
	vp->insns = vp->block_insns;
	if (unlikely(vp->stop_at))
		forget_stop(vp);
}

static struct block *find_block(struct vp *vp, u32 attn)
{
	struct op *from = (struct op *)vp->link_from;
	u32 epoch = vp->code->epoch;
	struct block *b;

	vp->link_from = NULL;
	b = block_get(vp, vp->mode | (attn & ATTN_SINGLE ? VP_MODE_ONE : 0));
	if (unlikely(vp->insns + b->n > vp->until)) {
		if (vp->tier && vp->tier->before_effect) /* it compares blocks that stay */
			return block_get(vp, vp->mode | VP_MODE_ONE);
		return block_start(vp, b, (u32)(vp->until - vp->insns));
	}
	if (from && epoch == vp->code->epoch && !(b->mode & VP_MODE_ONE))
		link_blocks(vp, from, b);
	return b;
}

/* A single step: did it branch? A repeated instruction that goes on stays where it is. */
static void note_branch(struct vp *vp, const struct block *b)
{
	const struct op *op = &b->ops[0];
	u64 rip = vp->cpu.rip;

	if (rip == b->rip + b->bytes)
		vp->ev.branched = op->mnemonic == ZYDIS_MNEMONIC_JMP ||
				  op->mnemonic == ZYDIS_MNEMONIC_CALL ||
				  op->mnemonic == ZYDIS_MNEMONIC_RET;
	else
		vp->ev.branched = rip != b->rip || !(op->flags & (OP_REP | OP_REPNE));
}

static enum engine_stop finish(struct vp *vp, enum engine_stop why)
{
	vp->cpu.rflags = vp_rflags(vp);
	if (event_is_covered(vp))
		event_uncover(vp);
	vp->cur_block = &block_unlinked;
	vp->link_from = NULL;
	return why;
}

static enum engine_stop run(struct vp *vp)
{
	for (;;) {
		u32 attn = load_attn(vp);
		bool due = vp->insns >= vp->until;

		if (unlikely(attn & VP_ATTN_CODE)) {
			vp_request_clear(vp, VP_ATTN_CODE);
			if (vp->tier)
				vp->tier->code_changed(vp);
			attn = load_attn(vp);
		}
		/* What an entry injects, what belongs to the last instruction (traps, a write to a
		 * virtual APIC) and whether it is halted do not wait for an instruction. */
		if (unlikely(due) && vp->cpu.activity == ACTIVITY_ACTIVE && !engine_trap_due(vp))
			return finish(vp, ENGINE_STOP_COUNT);
		if (unlikely(attn)) {
			bool stop = false;

			finish(vp, ENGINE_STOP_COUNT);
			vp->vec_ok = 0;
			if (event_boundary(vp, &stop))
				return ENGINE_STOP_EXIT;
			vp->arith = arith_from_rflags(vp->cpu.rflags);
			if (stop)
				return ENGINE_STOP_REQUEST;
			attn = load_attn(vp);
			/* a fault that is injected may count, see event.c */
			due |= vp->insns >= vp->until;
		}
		if (unlikely(vp->cpu.activity != ACTIVITY_ACTIVE))
			return finish(vp, ENGINE_STOP_HALT);
		if (unlikely(due))
			return finish(vp, ENGINE_STOP_COUNT);
		if (unlikely(attn & VP_ATTN_TRACE) && vp->ops->trace_exec &&
		    !vp->ops->trace_exec(vp))
			return finish(vp, ENGINE_STOP_REQUEST);
		struct block *b = find_block(vp, attn);

		run_block(vp, b);
		if (unlikely(vp->ev.step_armed))
			note_branch(vp, b);
	}
}

enum engine_stop engine_run(struct vp *vp, u64 until)
{
	escape_buf buf;

	vp->until = MIN(until, UNTIL_MAX);
	if (event_is_covered(vp)) /* from now on it is known which instruction is meant */
		event_uncover(vp);
	vp->escape = &buf;
	vp->cur_block = &block_unlinked;
	vp->link_from = NULL;
	if (ESCAPE_SET(buf) == 0)
		vp->escape_how = ESCAPE_NONE;
	vp->vec_ok = 0;
	switch (vp->escape_how) {
	case ESCAPE_FAULT:
		vp->cur_block = &block_unlinked;
		if (event_deliver_fault(vp))
			return ENGINE_STOP_EXIT;
		break;
	case ESCAPE_EXIT: return ENGINE_STOP_EXIT;
	default: break;
	}
	vp->arith = arith_from_rflags(vp->cpu.rflags);
	return run(vp);
}
