/*
 * Threads of the guest's kernels (mechanism A3): loads of the stack pointer at CPL 0, which real
 * processors cannot trap, told to the machine. While a virtual processor watches stacks its mode
 * has VP_MODE_STACKS at CPL 0, so that its code is decoded apart, and the moves and exchanges to RSP
 * (MOV, MOVSX, MOVSXD, MOVZX, MOVBE, CMOVcc, XCHG, XADD, CMPXCHG, LEA, LEAVE, POP) get the handlers
 * below; they are slow operations, which the translator leaves alone. The other ways to a stack
 * (IRET, LSS, MOV SS, the TSS) ask vp->watch_stacks where they end. Arithmetic (ADD, AND, BSWAP and
 * the like) makes an address of the one before, moves within a stack and is not looked at.
 * Source: SDM 1 "Stack Management".
 */
#include "l0/arch/events.h"
#include "l0/arch/msr.h"
#include "l0/engine/decode.h"
#include "l0/engine/engine.h"
#include "l0/engine/sys_priv.h"

void stack_watch(struct vp *vp, u32 how, u64 prev)
{
	u64 sp = vp->cpu.gpr[RSP] & stack_mask(vp);

	if (!is_code64(vp))
		sp = (u32)(sp + vp->cpu.seg[SEG_SS].base);
	if (vp->ops->stack_load)
		vp->ops->stack_load(vp, how, sp, prev);
}

void base_watch(struct vp *vp, u32 msr, u64 value)
{
	bool is_fs = msr == MSR_IA32_FS_BASE;

	if (cur_cpl(vp) || (!is_fs && msr != MSR_IA32_GS_BASE && msr != MSR_IA32_KERNEL_GS_BASE))
		return;
	if (vp->ops->stack_load)
		vp->ops->stack_load(vp, is_fs ? THREAD_BY_FS : THREAD_BY_GS, value,
				    vp->cpu.gpr[RSP]);
}

static void mov_to_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];
	u64 v = op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), op->size)
				   : reg_get(vp, op->src, op->size);

	reg_set(vp, RSP, v, op->size);
	stack_watch(vp, op->flags & OP_MEM ? THREAD_BY_LOAD : THREAD_BY_REGISTER, prev);
}

static void mov_imm_to_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];

	reg_set(vp, RSP, op->imm, op->size);
	stack_watch(vp, THREAD_BY_REGISTER, prev);
}

static void xchg_with_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP], a = reg_get(vp, op->dst, op->size),
	    b = reg_get(vp, op->src, op->size);

	reg_set(vp, op->dst, b, op->size);
	reg_set(vp, op->src, a, op->size);
	stack_watch(vp, THREAD_BY_REGISTER, prev);
}

/* Always locked. */
static void xchg_stack_with_memory(struct vp *vp, const struct op *op)
{
	u8 *p = rmw_begin_locked(vp, op, op_linear(vp, op, op->size, true), op->size);
	u64 prev = vp->cpu.gpr[RSP], v = prev;

	if (op->size == 8)
		__asm__ volatile("xchgq %0, (%1)" : "+r"(v) : "r"(p) : "memory");
	else
		__asm__ volatile("xchgl %k0, (%1)" : "+r"(v) : "r"(p) : "memory");
	rmw_end(vp, op);
	reg_set(vp, RSP, v, op->size);
	stack_watch(vp, THREAD_BY_LOAD, prev);
}

/* The load happens whatever the condition; a 32-bit destination is zero-extended always. */
static void cmov_to_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];
	u64 v = op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), op->size)
				   : reg_get(vp, op->src, op->size);
	bool moves = flags_cond(arith_from_rflags(vp->cpu.rflags), op->aux & 15);

	reg_set(vp, RSP, moves ? v : prev, op->size);
	if (moves)
		stack_watch(vp, op->flags & OP_MEM ? THREAD_BY_LOAD : THREAD_BY_REGISTER, prev);
}

/* RBP may have been loaded with another stack's frame. */
static void leave_to_frame(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP], frame = vp->cpu.gpr[RBP] & opstack_mask(vp);
	u64 v = seg_read(vp, op, SEG_SS, frame, op->size);

	opstack_set_sp(vp, frame + op->size);
	reg_set(vp, RBP, v, op->size);
	stack_watch(vp, THREAD_BY_REGISTER, prev);
}

static void lea_to_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];

	reg_set(vp, RSP, op_ea(vp, op), op->size);
	stack_watch(vp, THREAD_BY_REGISTER, prev);
}

static void pop_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];

	reg_set(vp, RSP, opstack_peek(vp, op, 0, op->size), op->size);
	stack_watch(vp, THREAD_BY_LOAD, prev);
}

#define SOURCE_SIGNED 0x80u /* op->aux: bytes of the source, and this */

static void extend_to_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];
	u32 size = op->aux & ~SOURCE_SIGNED, shift = 64 - 8 * size;
	u64 v = op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), size)
				   : reg_get(vp, op->src, size);

	reg_set(vp, RSP, op->aux & SOURCE_SIGNED ? (u64)((s64)(v << shift) >> shift) : v, op->size);
	stack_watch(vp, op->flags & OP_MEM ? THREAD_BY_LOAD : THREAD_BY_REGISTER, prev);
}

static void movbe_to_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP];
	u64 v = seg_read(vp, op, op->seg, op_ea(vp, op), op->size);

	reg_set(vp, RSP, op->size == 8 ? __builtin_bswap64(v) : __builtin_bswap32((u32)v),
		op->size);
	stack_watch(vp, THREAD_BY_LOAD, prev);
}

/* Return: @a + @b, of @size bytes, with the flags of that. */
static u64 add(struct vp *vp, u64 a, u64 b, u32 size)
{
	u32 ax;

	if (size == 8)
		__asm__ volatile("addq %[b], %[a]" FLAGS_OUT
				 : [a] "+r"(a), "=&a"(ax)
				 : [b] "r"(b)
				 : "cc");
	else
		__asm__ volatile("addl %k[b], %k[a]" FLAGS_OUT
				 : [a] "+r"(a), "=&a"(ax)
				 : [b] "r"(b)
				 : "cc");
	vp_set_rflags(vp, rflags_with_arith(vp->cpu.rflags, (u16)ax));
	return a;
}

static void xadd_with_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP], d = reg_get(vp, op->dst, op->size);
	u64 sum = add(vp, d, reg_get(vp, op->src, op->size), op->size);

	reg_set(vp, op->src, d, op->size);
	reg_set(vp, op->dst, sum, op->size);
	stack_watch(vp, THREAD_BY_REGISTER, prev);
}

static void xadd_stack_to_memory(struct vp *vp, const struct op *op)
{
	u8 *p = rmw_begin_locked(vp, op, op_linear(vp, op, op->size, true), op->size);
	u64 prev = vp->cpu.gpr[RSP], v = prev;

	if (op->size == 8)
		__asm__ volatile("lock; xaddq %0, (%1)" : "+r"(v) : "r"(p) : "memory", "cc");
	else
		__asm__ volatile("lock; xaddl %k0, (%1)" : "+r"(v) : "r"(p) : "memory", "cc");
	rmw_end(vp, op);
	add(vp, v, prev, op->size);
	reg_set(vp, RSP, v, op->size);
	stack_watch(vp, THREAD_BY_LOAD, prev);
}

/* RSP := the other one if it is RAX, else RAX := RSP. The flags are those of RAX - RSP. */
static void cmpxchg_stack(struct vp *vp, const struct op *op)
{
	u64 prev = vp->cpu.gpr[RSP], a = reg_get(vp, RAX, op->size), d = reg_get(vp, RSP, op->size);
	u32 ax;

	if (op->size == 8)
		__asm__ volatile("cmpq %[d], %[a]" FLAGS_OUT
				 : "=&a"(ax)
				 : [d] "r"(d), [a] "r"(a)
				 : "cc");
	else
		__asm__ volatile("cmpl %k[d], %k[a]" FLAGS_OUT
				 : "=&a"(ax)
				 : [d] "r"(d), [a] "r"(a)
				 : "cc");
	vp_set_rflags(vp, rflags_with_arith(vp->cpu.rflags, (u16)ax));
	if (a != d) {
		reg_set(vp, RAX, d, op->size);
		return;
	}
	reg_set(vp, RSP, reg_get(vp, op->src, op->size), op->size);
	stack_watch(vp, THREAD_BY_REGISTER, prev);
}

static bool pick(struct decode *d, op_fn fn)
{
	d->op->slow = fn;
	d->op->fn = op_slow;
	d->ends = d->may_leave = true;
	return true;
}

bool op_watch_pick(struct decode *d)
{
	struct op *op = d->op;
	bool to_rsp = (d->form == FORM_R || d->form == FORM_RR || d->form == FORM_RM ||
		       d->form == FORM_RI) &&
		      op->dst == RSP;

	if (op->size < 4)
		return false;
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return to_rsp && pick(d, d->form == FORM_RI ? mov_imm_to_stack : mov_to_stack);
	case ZYDIS_MNEMONIC_XCHG:
		if (d->form == FORM_RR)
			return (op->dst == RSP || op->src == RSP) && pick(d, xchg_with_stack);
		return (d->form == FORM_RM ? op->dst : op->src) == RSP &&
		       pick(d, xchg_stack_with_memory);
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		if (!to_rsp)
			return false;
		op->aux = d->opr[1].size / 8 |
			  (d->insn.mnemonic == ZYDIS_MNEMONIC_MOVZX ? 0 : SOURCE_SIGNED);
		return pick(d, extend_to_stack);
	case ZYDIS_MNEMONIC_MOVBE:
		return d->vp->features->has_movbe && to_rsp && pick(d, movbe_to_stack);
	case ZYDIS_MNEMONIC_XADD:
		if (op->flags & OP_MEM)
			return op->src == RSP && pick(d, xadd_stack_to_memory);
		return (op->dst == RSP || op->src == RSP) && pick(d, xadd_with_stack);
	case ZYDIS_MNEMONIC_CMPXCHG:
		return !(op->flags & OP_MEM) && op->dst == RSP && pick(d, cmpxchg_stack);
	case ZYDIS_MNEMONIC_LEAVE: return pick(d, leave_to_frame);
	case ZYDIS_MNEMONIC_LEA: return to_rsp && op->base != RSP && pick(d, lea_to_stack);
	case ZYDIS_MNEMONIC_POP: return to_rsp && pick(d, pop_stack);
	default:
		/* CMOVcc */
		op->aux = d->insn.opcode & 15;
		return to_rsp && d->insn.opcode_map == ZYDIS_OPCODE_MAP_0F &&
		       (d->insn.opcode & 0xf0) == 0x40 &&
		       d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
		       pick(d, cmov_to_stack);
	}
}

/* --- for those who are told --- */

void engine_watch_stacks(struct vp *vp, bool on)
{
	vp->watch_stacks = on;
	vp_update_mode(vp);
}

bool engine_peek_word(const struct vp *vp, u64 gva, u32 size, u64 *value)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;

	*value = 0;
	if (gva % size || vtlb_peek(&vp->tlb, gva, VTLB_READ | VTLB_SYSTEM, &xl, &f) != VTLB_OK ||
	    !xl.hva)
		return false;
	*value = size == 8 ? nm_load64(xl.hva) : nm_load32(xl.hva);
	return true;
}

bool engine_is_kernel_page(const struct vp *vp, u64 gva)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;

	if (vtlb_peek(&vp->tlb, gva, VTLB_READ | VTLB_SYSTEM, &xl, &f) != VTLB_OK)
		return false;
	return !(vp->cpu.cr0 & CR0_PG) ||
	       vtlb_peek(&vp->tlb, gva, VTLB_READ | VTLB_USER, &xl, &f) != VTLB_OK;
}

bool engine_kernel_entry_stack(const struct vp *vp, u64 *sp)
{
	const struct seg *tr = &vp->cpu.seg[SEG_TR];
	u64 at = tr->base + 4, high = 0;

	*sp = 0;
	if (tr->limit < 11 || !engine_peek_word(vp, at, 4, sp))
		return false;
	if (is_lma(vp) && !engine_peek_word(vp, at + 4, 4, &high))
		return false;
	*sp |= high << 32;
	return true;
}
