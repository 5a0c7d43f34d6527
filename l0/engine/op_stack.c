/*
 * PUSH, POP, PUSHA, POPA, ENTER, LEAVE. The flat forms address the stack directly; the others go by
 * the stack size and segment of the mode. Pushes and pops of segment registers and of flags are
 * system operations.
 */
#include "l0/engine/decode.h"

#define DEF_FLAT(B, S, T) \
	static void push_r##B(struct vp *vp, const struct op *op) \
	{ \
		T sp = (T)(vp->cpu.gpr[RSP] - S); \
		mem_store##S(vp, op, sp, (T)vp->cpu.gpr[op->src], SEG_SS); \
		vp->cpu.gpr[RSP] = sp; \
		NEXT(vp, op); \
	} \
	static void push_i##B(struct vp *vp, const struct op *op) \
	{ \
		T sp = (T)(vp->cpu.gpr[RSP] - S); \
		mem_store##S(vp, op, sp, (T)op->imm, SEG_SS); \
		vp->cpu.gpr[RSP] = sp; \
		NEXT(vp, op); \
	} \
	static void pop_r##B(struct vp *vp, const struct op *op) \
	{ \
		T v = mem_load##S(vp, op, (T)vp->cpu.gpr[RSP], SEG_SS); \
		vp->cpu.gpr[RSP] = (T)(vp->cpu.gpr[RSP] + S); \
		vp->cpu.gpr[op->dst] = v; \
		NEXT(vp, op); \
	} \
	static void leave##B(struct vp *vp, const struct op *op) \
	{ \
		T bp = (T)vp->cpu.gpr[RBP]; \
		T v = mem_load##S(vp, op, bp, SEG_SS); \
		vp->cpu.gpr[RSP] = (T)(bp + S); \
		vp->cpu.gpr[RBP] = v; \
		NEXT(vp, op); \
	}
DEF_FLAT(64, 8, u64)
DEF_FLAT(32, 4, u32)

void opstack_push(struct vp *vp, const struct op *op, u64 value, u32 size)
{
	u64 sp = (vp->cpu.gpr[RSP] - size) & opstack_mask(vp);

	seg_write(vp, op, SEG_SS, sp, value, size);
	opstack_set_sp(vp, sp);
}

u64 opstack_peek(struct vp *vp, const struct op *op, u64 skip, u32 size)
{
	return seg_read(vp, op, SEG_SS, (vp->cpu.gpr[RSP] + skip) & opstack_mask(vp), size);
}

static void push_r(struct vp *vp, const struct op *op)
{
	opstack_push(vp, op, reg_get(vp, op->src, op->size), op->size);
	NEXT(vp, op);
}

static void push_i(struct vp *vp, const struct op *op)
{
	opstack_push(vp, op, op->imm, op->size);
	NEXT(vp, op);
}

static void push_m(struct vp *vp, const struct op *op)
{
	opstack_push(vp, op, seg_read(vp, op, op->seg, op_ea(vp, op), op->size), op->size);
	NEXT(vp, op);
}

static void pop_r(struct vp *vp, const struct op *op)
{
	u64 v = opstack_peek(vp, op, 0, op->size);

	opstack_set_sp(vp, vp->cpu.gpr[RSP] + op->size);
	reg_set(vp, op->dst, v, op->size);
	NEXT(vp, op);
}

/* The address is computed with RSP already incremented; a fault of the store leaves RSP alone. */
static void pop_m(struct vp *vp, const struct op *op)
{
	u64 v = opstack_peek(vp, op, 0, op->size), old = vp->cpu.gpr[RSP], ea;

	opstack_set_sp(vp, old + op->size);
	ea = op_ea(vp, op);
	vp->cpu.gpr[RSP] = old;
	seg_write(vp, op, op->seg, ea, v, op->size);
	opstack_set_sp(vp, old + op->size);
	NEXT(vp, op);
}

static void leave_any(struct vp *vp, const struct op *op)
{
	u64 mask = opstack_mask(vp), bp = vp->cpu.gpr[RBP] & mask;
	u64 v = seg_read(vp, op, SEG_SS, bp, op->size);

	opstack_set_sp(vp, bp + op->size);
	reg_set(vp, RBP, v, op->size);
	NEXT(vp, op);
}

/* ENTER imm16, imm8. The last access is a check that the new frame's end can be written. */
static void enter(struct vp *vp, const struct op *op)
{
	u32 size = op->size, level = op->aux & 31;
	u64 mask = opstack_mask(vp), sp = vp->cpu.gpr[RSP], bp = vp->cpu.gpr[RBP], frame;

	if (unlikely(vp->compared)) /* a fault may come after some of the stores */
		vp->tier->before_effect(vp, op);
	sp = (sp - size) & mask;
	seg_write(vp, op, SEG_SS, sp, bp, size);
	frame = sp;
	for (u32 i = 1; i < level; i++) {
		u64 v = seg_read(vp, op, SEG_SS, (bp - (u64)size * i) & mask, size);

		sp = (sp - size) & mask;
		seg_write(vp, op, SEG_SS, sp, v, size);
	}
	if (level) {
		sp = (sp - size) & mask;
		seg_write(vp, op, SEG_SS, sp, frame, size);
	}
	sp = (sp - (u16)op->imm) & mask;
	lin_probe_write(vp, op, seg_linear(vp, op, SEG_SS, sp, size, true), size);
	opstack_set_sp(vp, sp);
	reg_set(vp, RBP, frame, mask == 0xffff ? 2 : size);
}

static void pusha(struct vp *vp, const struct op *op)
{
	u64 mask = opstack_mask(vp), sp = vp->cpu.gpr[RSP];
	u32 size = op->size;

	for (u32 i = 0; i < 8; i++) /* all or nothing */
		lin_probe_write(
			vp, op,
			seg_linear(vp, op, SEG_SS, (sp - size * (i + 1)) & mask, size, true), size);
	for (u32 i = 0; i < 8; i++)
		seg_write(vp, op, SEG_SS, (sp - size * (i + 1)) & mask, vp->cpu.gpr[i], size);
	opstack_set_sp(vp, sp - size * 8);
}

static void popa(struct vp *vp, const struct op *op)
{
	u32 size = op->size;
	u64 v[8];

	for (u32 i = 0; i < 8; i++)
		v[i] = opstack_peek(vp, op, (u64)i * size, size);
	opstack_set_sp(vp, vp->cpu.gpr[RSP] + size * 8);
	for (u32 i = 0; i < 8; i++)
		if (7 - i != RSP)
			reg_set(vp, 7 - i, v[i], size);
}

static bool pick(struct decode *d, op_fn fn)
{
	d->op->fn = fn;
	d->may_leave = true;
	return true;
}

bool op_stack_pick(struct decode *d)
{
	struct op *op = d->op;
	u32 flat = decode_flat_stack(d);

	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		if (d->form == FORM_R) {
			op->src = op->dst;
			return pick(d, flat == 8 ? push_r64 : flat ? push_r32 : push_r);
		}
		if (d->form == FORM_I)
			return pick(d, flat == 8 ? push_i64 : flat ? push_i32 : push_i);
		return d->form == FORM_M && pick(d, push_m);
	case ZYDIS_MNEMONIC_POP:
		if (d->form == FORM_R)
			return pick(d, flat == 8 ? pop_r64 : flat ? pop_r32 : pop_r);
		return d->form == FORM_M && pick(d, pop_m);
	case ZYDIS_MNEMONIC_LEAVE: return pick(d, flat == 8 ? leave64 : flat ? leave32 : leave_any);
	case ZYDIS_MNEMONIC_ENTER:
		d->op->aux = (u16)d->insn.raw.imm[1].value.u;
		return decode_plain(d, enter);
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD: return decode_plain(d, pusha);
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD: return decode_plain(d, popa);
	default: return false;
	}
}
