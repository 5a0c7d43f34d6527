/*
 * Near transfers: Jcc, JMP, CALL, RET, LOOPcc, JCXZ. A conditional branch that is not taken goes on
 * in its block; a taken one goes to another block by op->link or by look-up.
 *
 * op->imm is the target of a direct branch, complete (RIP added, truncated to the operand size).
 *
 * While branches are counted (VP_MODE_BRANCHES), code is decoded apart: only the general handlers
 * are picked, which count, and the translator leaves branches to them.
 */
#include "l0/engine/branches.h"
#include "l0/engine/decode.h"
#include "l0/engine/sys_priv.h"

#define DEF_JCC(cc, name) \
	static void jcc_##name(struct vp *vp, const struct op *op) \
	{ \
		if (flags_cond(vp->arith, cc)) \
			return chain_fixed(vp, op); \
		NEXT(vp, op); \
	}
FLAGS_CONDITIONS(DEF_JCC)
#define JCC_ENTRY(cc, name) [cc] = jcc_##name,
static const op_fn jcc_fn[16] = {FLAGS_CONDITIONS(JCC_ENTRY)};

static void jmp_rel(struct vp *vp, const struct op *op)
{
	return chain_fixed(vp, op);
}

/* First of all in a handler: is the branch counted, which cannot be undone? */
static bool counts(struct vp *vp, const struct op *op)
{
	if (likely(!(vp->mode & VP_MODE_BRANCHES)))
		return false;
	if (unlikely(vp->compared))
		vp->tier->before_effect(vp, op);
	return true;
}

static void jcc_counted(struct vp *vp, const struct op *op)
{
	bool taken = flags_cond(vp->arith, op->aux & 15), counted = counts(vp, op);

	if (taken)
		check_branch_target(vp, op, op->imm);
	if (counted)
		branch_direction(&vp->branches, op_rip(vp, op), taken);
	if (taken)
		return chain_fixed(vp, op);
	NEXT(vp, op);
}

static void jmp_rel_counted(struct vp *vp, const struct op *op)
{
	bool counted = counts(vp, op);

	check_branch_target(vp, op, op->imm);
	vp->branches.near += counted;
	return chain_fixed(vp, op);
}

static u64 counter(const struct vp *vp, const struct op *op)
{
	u64 c = vp->cpu.gpr[RCX];

	return op->asize == 8 ? c : op->asize == 4 ? (u32)c : (u16)c;
}

static void jcxz(struct vp *vp, const struct op *op)
{
	bool taken = !counter(vp, op);

	if (counts(vp, op)) {
		if (taken)
			check_branch_target(vp, op, op->imm);
		branch_direction(&vp->branches, op_rip(vp, op), taken);
	}
	if (taken)
		return chain_fixed(vp, op);
	NEXT(vp, op);
}

/* LOOP, LOOPE, LOOPNE (aux 2, 1, 0 as the opcode's low bits): the target is checked before RCX
 * changes. */
static void loop_cc(struct vp *vp, const struct op *op)
{
	u64 c = counter(vp, op) - 1;
	bool zf = vp->arith & ARITH_ZF, counted = counts(vp, op);
	bool taken =
		(c & size_mask(op->asize)) && ((op->aux & 3) == 2 || zf == ((op->aux & 3) == 1));

	if (taken)
		check_branch_target(vp, op, op->imm);
	if (counted)
		branch_direction(&vp->branches, op_rip(vp, op), taken);
	reg_set(vp, RCX, c, op->asize);
	if (taken)
		return chain_fixed(vp, op);
	NEXT(vp, op);
}

/* LOOP whose target was found good by the decoder. */
#define DEF_LOOP(S) \
	static void loop_flat##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, RCX, REG##S(vp, RCX) - 1); \
		if (REG##S(vp, RCX)) \
			return chain_fixed(vp, op); \
		NEXT(vp, op); \
	}
DEF_LOOP(4)
DEF_LOOP(8)

/* ---- flat stack and code: 64-bit mode, and 32-bit mode without segmentation ---- */

#define DEF_FLAT(B, S, T) \
	static void call_rel##B(struct vp *vp, const struct op *op) \
	{ \
		T sp = (T)(vp->cpu.gpr[RSP] - S); \
		mem_store##S(vp, op, sp, (T)(op_rip(vp, op) + op->len), SEG_SS); \
		vp->cpu.gpr[RSP] = sp; \
		return chain_fixed(vp, op); \
	} \
	static void call_r##B(struct vp *vp, const struct op *op) \
	{ \
		T sp = (T)(vp->cpu.gpr[RSP] - S), target = (T)vp->cpu.gpr[op->src]; \
		if (S == 8 && unlikely(!is_canonical_va(vp, target))) \
			vp_fault(vp, op, VECTOR_GP, 0); \
		mem_store##S(vp, op, sp, (T)(op_rip(vp, op) + op->len), SEG_SS); \
		vp->cpu.gpr[RSP] = sp; \
		return chain_indirect(vp, op, target); \
	} \
	static void ret##B(struct vp *vp, const struct op *op) \
	{ \
		T target = mem_load##S(vp, op, (T)vp->cpu.gpr[RSP], SEG_SS); \
		if (S == 8 && unlikely(!is_canonical_va(vp, target))) \
			vp_fault(vp, op, VECTOR_GP, 0); \
		vp->cpu.gpr[RSP] = (T)(vp->cpu.gpr[RSP] + S + op->imm); \
		return chain_indirect(vp, op, target); \
	} \
	static void jmp_r##B(struct vp *vp, const struct op *op) \
	{ \
		T target = (T)vp->cpu.gpr[op->src]; \
		if (S == 8 && unlikely(!is_canonical_va(vp, target))) \
			vp_fault(vp, op, VECTOR_GP, 0); \
		return chain_indirect(vp, op, target); \
	}
DEF_FLAT(64, 8, u64)
DEF_FLAT(32, 4, u32)

/* ---- any mode ---- */

static u64 indirect_target(struct vp *vp, const struct op *op)
{
	u64 t = op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), op->size)
				   : reg_get(vp, op->src, op->size);

	check_branch_target(vp, op, t);
	return t;
}

static void jmp_any(struct vp *vp, const struct op *op)
{
	bool counted = counts(vp, op);
	u64 t = indirect_target(vp, op);

	if (counted)
		branch_indirect(&vp->branches, op_rip(vp, op), t);
	return chain_indirect(vp, op, t);
}

static void call_any(struct vp *vp, const struct op *op)
{
	bool counted = counts(vp, op);
	u64 t = indirect_target(vp, op);

	opstack_push(vp, op, op_next_rip(vp, op), op->size);
	if (counted) {
		branch_indirect(&vp->branches, op_rip(vp, op), t);
		branch_remember_return(&vp->branches, op_next_rip(vp, op));
	}
	return chain_indirect(vp, op, t);
}

static void call_rel(struct vp *vp, const struct op *op)
{
	bool counted = counts(vp, op);

	check_branch_target(vp, op, op->imm);
	opstack_push(vp, op, op_next_rip(vp, op), op->size);
	if (counted) {
		vp->branches.near++;
		branch_remember_return(&vp->branches, op_next_rip(vp, op));
	}
	return chain_fixed(vp, op);
}

static void ret_any(struct vp *vp, const struct op *op)
{
	bool counted = counts(vp, op);
	u64 t = opstack_peek(vp, op, 0, op->size);

	check_branch_target(vp, op, t);
	opstack_set_sp(vp, vp->cpu.gpr[RSP] + op->size + op->imm);
	if (counted)
		branch_return(&vp->branches, t);
	return chain_indirect(vp, op, t);
}

void branch_far(struct vp *vp)
{
	if (unlikely(vp->cur_block->mode & VP_MODE_BRANCHES))
		vp->branches.far++;
}

static bool pick(struct decode *d, op_fn fn, bool ends)
{
	d->op->fn = fn;
	d->ends = ends;
	d->may_leave = true;
	return true;
}

/* The displacement becomes the target. */
static bool pick_rel(struct decode *d, op_fn fn, bool ends)
{
	struct op *op = d->op;
	u64 next = d->rip + op->len;

	op->imm = (next + op->imm) & size_mask(op->size);
	if ((d->mode & VP_MODE_SIZE) == VP_MODE_64 && !is_canonical_va(d->vp, op->imm) &&
	    fn != loop_cc && ends)
		fn = op_gp;
	return pick(d, fn, ends);
}

/* The handler by what decode_flat_stack() says. */
static op_fn by_flat(const struct decode *d, op_fn flat64, op_fn flat32, op_fn any)
{
	u32 flat = d->mode & VP_MODE_BRANCHES ? 0 : decode_flat_stack(d);

	return flat == 8 ? flat64 : flat == 4 ? flat32 : any;
}

static bool pick_indirect(struct decode *d, op_fn r64, op_fn r32, op_fn any)
{
	if (d->op->flags & OP_MEM)
		return pick(d, any, true);
	d->op->src = decode_reg(d->opr[0].reg.value);
	return pick(d, by_flat(d, r64, r32, any), true);
}

static op_fn loop_fast(const struct decode *d)
{
	u64 target = d->rip + d->op->len + d->op->imm;
	bool good = (d->mode & VP_MODE_SIZE) == VP_MODE_64 ? is_canonical_va(d->vp, target)
							   : d->mode & VP_MODE_CSFLAT;

	return !good || d->mode & VP_MODE_BRANCHES || d->op->asize < 4 ? loop_cc
	       : d->op->asize == 8				       ? loop_flat8
								       : loop_flat4;
}

static bool pick_jcc(struct decode *d)
{
	u32 cc = d->insn.opcode & 15;

	d->op->aux = (u16)cc;
	return pick_rel(d, d->mode & VP_MODE_BRANCHES ? jcc_counted : jcc_fn[cc], false);
}

bool op_branch_pick(struct decode *d)
{
	struct op *op = d->op;
	u32 opcode = d->insn.opcode;

	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		if (opcode == 0xe9 || opcode == 0xeb)
			return pick_rel(d, d->mode & VP_MODE_BRANCHES ? jmp_rel_counted : jmp_rel,
					true);
		if (opcode == 0xff && (op->modrm >> 3 & 7) == 4)
			return pick_indirect(d, jmp_r64, jmp_r32, jmp_any);
		return false; /* far */
	case ZYDIS_MNEMONIC_CALL:
		if (opcode == 0xe8)
			return pick_rel(d, by_flat(d, call_rel64, call_rel32, call_rel), true);
		if (opcode == 0xff && (op->modrm >> 3 & 7) == 2)
			return pick_indirect(d, call_r64, call_r32, call_any);
		return false;
	case ZYDIS_MNEMONIC_RET:
		if (opcode != 0xc2 && opcode != 0xc3)
			return false;
		if (opcode == 0xc3)
			op->imm = 0;
		op->imm = (u16)op->imm;
		return pick(d, by_flat(d, ret64, ret32, ret_any), true);
	case ZYDIS_MNEMONIC_LOOP: op->aux = opcode & 3; return pick_rel(d, loop_fast(d), false);
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE: op->aux = opcode & 3; return pick_rel(d, loop_cc, false);
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JRCXZ: return pick_rel(d, jcxz, false);
	default: break;
	}
	if (d->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if ((d->insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (opcode & 0xf0) == 0x70) ||
	    (d->insn.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x80))
		return pick_jcc(d);
	return false;
}
