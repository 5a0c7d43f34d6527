/*
 * What every operation handler is made of: going on to the next operation, guest registers by size,
 * effective addresses, the fast memory accesses, and the transfers between blocks. Internal to
 * l0/engine.
 *
 * A handler ends in one of NEXT (the next operation), LEAVE (back to the run loop, state complete)
 * or a chain_*() call. In optimised builds these are sibling calls, so the stack does not grow; in
 * debugging builds they record what comes next and return to the run loop.
 */
#ifndef L0_ENGINE_EXEC_H
#define L0_ENGINE_EXEC_H

#include "l0/arch/x86.h"
#include "l0/base/mem_ops.h"
#include "l0/engine/access.h"
#include "l0/engine/block.h"
#include "l0/engine/flags.h"
#include "l0/engine/op.h"
#include "l0/engine/softtlb.h"

#if defined(__OPTIMIZE__) && !defined(NESTOR_DEBUG)
#define ENGINE_SIBLING_CALLS 1
#define RUN_OP(vp, op) return (op)->fn((vp), (op))
#define LEAVE(vp) return
#else
#define ENGINE_SIBLING_CALLS 0
#define RUN_OP(vp, op) \
	do { \
		(vp)->next_op = (op); \
		return; \
	} while (0)
#define LEAVE(vp) \
	do { \
		(vp)->next_op = NULL; \
		return; \
	} while (0)
#endif
#define NEXT(vp, op) RUN_OP(vp, (op) + 1)

/* ---- registers by operand size in bytes; 8-bit high registers are 0x80 | number ---- */

#define REG1(vp, r) (((u8 *)&(vp)->cpu.gpr[(r)&15])[(r) >> 7])
#define REG2(vp, r) (*(u16 *)&(vp)->cpu.gpr[r])
#define REG4(vp, r) (*(u32 *)&(vp)->cpu.gpr[r])
#define REG8(vp, r) ((vp)->cpu.gpr[r])
#define SET_REG1(vp, r, v) (REG1(vp, r) = (u8)(v))
#define SET_REG2(vp, r, v) (REG2(vp, r) = (u16)(v))
#define SET_REG4(vp, r, v) (REG8(vp, r) = (u32)(v))
#define SET_REG8(vp, r, v) (REG8(vp, r) = (v))

static inline u64 reg_get(const struct vp *vp, u32 r, u32 size)
{
	switch (size) {
	case 1: return REG1(vp, r);
	case 2: return (u16)vp->cpu.gpr[r];
	case 4: return (u32)vp->cpu.gpr[r];
	default: return vp->cpu.gpr[r];
	}
}

static inline void reg_set(struct vp *vp, u32 r, u64 v, u32 size)
{
	switch (size) {
	case 1: SET_REG1(vp, r, v); break;
	case 2: SET_REG2(vp, r, v); break;
	case 4: SET_REG4(vp, r, v); break;
	default: SET_REG8(vp, r, v);
	}
}

static inline u64 size_mask(u32 size)
{
	return ~0ull >> (64 - 8 * size);
}

/* ---- addresses ---- */

/* 64-bit addressing without a segment base (the decoder chose the handler by that). */
static __always_inline u64 ea_flat64(struct vp *vp, const struct op *op)
{
	return vp->cpu.gpr[op->base] + vp->cpu.gpr[op->index] * op->scale + (u64)op->disp;
}

/* By address size in bytes. */
extern const u64 ea_masks[9];

/* 64-bit addressing, base and displacement only. */
static __always_inline u64 ea_simple64(struct vp *vp, const struct op *op)
{
	return vp->cpu.gpr[op->base] + (u64)op->disp;
}

/* Linear address of the memory operand in any mode, after the segment checks. */
u64 op_linear(struct vp *vp, const struct op *op, u32 size, bool write);

static __always_inline bool is_canonical_va(const struct vp *vp, u64 va)
{
	u32 sh = 64 - vp->va_bits;

	return (u64)((s64)(va << sh) >> sh) == va;
}

/* ---- memory: @lin is linear, the segment checks are done ---- */

u64 access_read(struct vp *vp, const struct op *op, u64 lin, u32 size, u32 seg);
void access_write(struct vp *vp, const struct op *op, u64 lin, u64 value, u32 size, u32 seg);

/*
 * Read-modify-write: where the soft TLB has no write tag (or a locked operand crosses a cache
 * line), begin() raises the faults and returns where to operate: the guest's memory, or a copy when
 * it is no plain RAM in one page. end() does what remains to be done. Between them nothing may
 * fault.
 */
enum { RMW_NONE, RMW_NOTE, RMW_COPY, RMW_COPY_LOCKED };
u8 *access_rmw_begin(struct vp *vp, const struct op *op, u64 lin, u32 size, u32 seg, bool locked);
void access_rmw_end(struct vp *vp, const struct op *op);

/*
 * The calls that a handler makes on its slow path keep every register but the result, so that the
 * fast path needs no stack frame: GCC has no such calling convention, hence thunks (access.c). The
 * fourth argument is size | segment << 8.
 */
u64 slow_read(struct vp *vp, const struct op *op, u64 lin, u64 size_seg);
u64 slow_write(struct vp *vp, const struct op *op, u64 lin, u64 size_seg, u64 value);
u64 slow_rmw_begin(struct vp *vp, const struct op *op, u64 lin, u64 size_seg);
u64 slow_rmw_begin_locked(struct vp *vp, const struct op *op, u64 lin, u64 size_seg);
u64 slow_rmw_end(struct vp *vp, const struct op *op, u64 unused1, u64 unused2);
u64 slow_linear(struct vp *vp, const struct op *op, u64 size, u64 write);

#if ENGINE_SIBLING_CALLS
#define SLOW_CALL5(func, vp, op, a, b, c) \
	({ \
		u64 ret_; \
		register u64 r8_ __asm__("r8") = (u64)(c); \
		__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tcall " #func \
				 "_keep\n\tleaq 128(%%rsp), %%rsp" \
				 : "=a"(ret_) \
				 : "D"(vp), "S"(op), "d"((u64)(a)), "c"((u64)(b)), "r"(r8_) \
				 : "memory", "cc"); \
		ret_; \
	})
#define SLOW_CALL4(func, vp, op, a, b) \
	({ \
		u64 ret_; \
		__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tcall " #func \
				 "_keep\n\tleaq 128(%%rsp), %%rsp" \
				 : "=a"(ret_) \
				 : "D"(vp), "S"(op), "d"((u64)(a)), "c"((u64)(b)) \
				 : "memory", "cc"); \
		ret_; \
	})
#else
#define SLOW_CALL5(func, vp, op, a, b, c) func(vp, op, a, b, c)
#define SLOW_CALL4(func, vp, op, a, b) func(vp, op, a, b)
#endif

#define SIZE_SEG(size, seg) ((u64)(size) | (u64)(seg) << 8)

static __always_inline u8 *rmw_begin(struct vp *vp, const struct op *op, u64 lin, u32 size)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, lin);

	if (likely(e->tag_w == softtlb_tag(vp, lin, size)))
		return (u8 *)(lin + e->addend);
	return (u8 *)SLOW_CALL4(slow_rmw_begin, vp, op, lin, SIZE_SEG(size, op->seg));
}

static __always_inline u8 *rmw_begin_locked(struct vp *vp, const struct op *op, u64 lin, u32 size)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, lin);

	if (likely(e->tag_w == softtlb_tag(vp, lin, size) && (lin & 63) + size <= 64))
		return (u8 *)(lin + e->addend);
	return (u8 *)SLOW_CALL4(slow_rmw_begin_locked, vp, op, lin, SIZE_SEG(size, op->seg));
}

static __always_inline void rmw_end(struct vp *vp, const struct op *op)
{
	if (unlikely(vp->rmw_kind != RMW_NONE))
		SLOW_CALL4(slow_rmw_end, vp, op, 0, 0);
}

#define DEFINE_MEM_SIZE(size, bits) \
	static __always_inline u##bits mem_load##size(struct vp *vp, const struct op *op, u64 lin, \
						      u32 seg) \
	{ \
		const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, lin); \
		if (likely(e->tag_r == softtlb_tag(vp, lin, size))) \
			return nm_load##bits((u8 *)(lin + e->addend)); \
		return (u##bits)SLOW_CALL4(slow_read, vp, op, lin, SIZE_SEG(size, seg)); \
	} \
	static __always_inline void mem_store##size(struct vp *vp, const struct op *op, u64 lin, \
						    u##bits v, u32 seg) \
	{ \
		const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, lin); \
		if (likely(e->tag_w == softtlb_tag(vp, lin, size))) \
			nm_store##bits((u8 *)(lin + e->addend), v); \
		else \
			SLOW_CALL5(slow_write, vp, op, lin, SIZE_SEG(size, seg), v); \
	}
DEFINE_MEM_SIZE(1, 8)
DEFINE_MEM_SIZE(2, 16)
DEFINE_MEM_SIZE(4, 32)
DEFINE_MEM_SIZE(8, 64)
#undef DEFINE_MEM_SIZE

/* The same as op_linear(), inline where no segment has to be checked: then bases are 0 outside
 * 64-bit mode, so that nothing wraps but the offset. */
static __always_inline u64 linear_any(struct vp *vp, const struct op *op, u32 size, bool write)
{
	if (unlikely(op->flags & OP_SEGCHECK))
		return SLOW_CALL4(slow_linear, vp, op, size, write);
	return (ea_flat64(vp, op) & ea_masks[op->asize]) + vp->ea_base[op->seg];
}
#define LINEAR(vp, op, size, write) linear_any(vp, op, size, write)

/* ---- stack ---- */

static inline u64 opstack_mask(const struct vp *vp)
{
	if ((vp->mode & VP_MODE_SIZE) == VP_MODE_64)
		return ~0ull;
	return vp->mode & VP_MODE_SS32 ? 0xffffffffull : 0xffffull;
}

static inline void opstack_set_sp(struct vp *vp, u64 sp)
{
	u64 mask = opstack_mask(vp);

	vp->cpu.gpr[RSP] = mask == 0xffff ? (vp->cpu.gpr[RSP] & ~mask) | (sp & mask) : sp & mask;
}

/* Push in any mode: faults leave RSP alone. */
void opstack_push(struct vp *vp, const struct op *op, u64 value, u32 size);
/* The value at the top + @skip bytes; RSP is not changed. */
u64 opstack_peek(struct vp *vp, const struct op *op, u64 skip, u32 size);

/* ---- transfers ---- */

/* Where the instruction of @op starts, and the RIP after it. */
static __always_inline u64 op_rip(const struct vp *vp, const struct op *op)
{
	return vp->cur_block->rip + op->rip_off;
}
u64 op_next_rip(const struct vp *vp, const struct op *op);

/* RIP of a fast operation into vp->cpu, with flags and count: what the outside sees. */
void op_complete_state(struct vp *vp, const struct op *op);

/* #GP(0) when the near branch of @op may not go to @target. */
void check_branch_target(struct vp *vp, const struct op *op, u64 target);

/* Go on at @target (checked) with the count @start: in its block when it is known and nothing is
 * due, else by way of the run loop. */
void chain_lookup(struct vp *vp, u64 target, u64 start);

/* Not inlined end of the two below: the same for @op's target, which is chained. */
void chain_slow(struct vp *vp, const struct op *op, u64 start);

/* Enter block @b; @start is the instruction count at its begin. */
#define RUN_BLOCK(vp, b, start) \
	do { \
		(vp)->block_insns = (start); \
		(vp)->cur_block = (b); \
		RUN_OP(vp, (b)->ops); \
	} while (0)

static __always_inline bool chain_is_open(struct vp *vp, const struct block *b, u64 start)
{
	return likely(start + b->n <= vp->until && block_is_fresh(b) &&
		      !__atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED));
}

/* Branch at the end of @op to the fixed target op->imm, chained by op->link. */
static __always_inline void chain_fixed(struct vp *vp, const struct op *op)
{
	struct block *b = op->link[0];
	u64 start = vp->block_insns + op->idx + 1;

	if (chain_is_open(vp, b, start))
		RUN_BLOCK(vp, b, start);
	return chain_slow(vp, op, start);
}

/* Branch to @target (checked already), looked up. */
void chain_indirect(struct vp *vp, const struct op *op, u64 target);

/* The operation after the last: goes on at op->imm; it is no instruction itself. */
void op_block_end(struct vp *vp, const struct op *op);
/* Put in place of what is not to run: the rest of a block that became stale while it runs. */
void op_leave(struct vp *vp, const struct op *op);
/* A device that @op reached gave the processor something to look at: @op is the last of its block,
 * this time. Those that leave their block anyway need it not. */
void op_stop_behind(struct vp *vp, const struct op *op);
/* System operations; see op.h. */
void op_slow(struct vp *vp, const struct op *op);
/* The same for operations that go on behind themselves: the block does not end. */
void op_inline(struct vp *vp, const struct op *op);
/* Calls op->slow as a plain function on the live state and goes on: rare integer instructions. */
void op_plain(struct vp *vp, const struct op *op);
/* Raise #UD, or #GP(0). */
void op_ud(struct vp *vp, const struct op *op);
void op_gp(struct vp *vp, const struct op *op);

#endif
