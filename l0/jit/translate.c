/*
 * One block to host code. rdi = vp always; eax holds the guest's flags as struct vp's @arith does
 * whenever they are needed and not in the host's flags; rcx, rdx, rsi are scratch; the block's guest
 * registers live in rbx, rbp, r8 … r15.
 *
 * The code has two parts: the straight path, then what is rare (handlers, exits, branches inside the
 * block). Wherever a handler takes over, registers and flags are stored and the handler of that very
 * operation runs, from before it; it goes on to op[1].fn, which is the entry behind it in this code.
 */
#include "l0/engine/exec.h"
#include "l0/jit/emit.h"
#include "l0/jit/jit_priv.h"
#include "l0/jit/select.h"

#define VP_OFF(m) ((s32)__builtin_offsetof(struct vp, m))
#define COLD_MAX (BLOCK_MAX_OPS * 2)
#define CC_NE 5u
#define CC_A 7u

static const u8 pool[JIT_PINNED] = {H_RBX, H_RBP, H_R8, H_R9, 10, 11, 12, 13, 14, 15};

enum cold_kind { COLD_HANDLER, COLD_LEAVE, COLD_INSIDE };

struct cold {
	u8 kind, k;
	bool eax; /* flags are in eax already, else in the host's */
	u32 dirty, at;
};

struct translation {
	struct emit e;
	struct vp *vp;
	struct block *b;
	u64 exec; /* address of e.base in the executable mapping */
	struct jit_op j[BLOCK_MAX_OPS];
	op_fn handler[BLOCK_MAX_OPS];
	u8 host[GPR_COUNT + 1];
	u32 used, written; /* guest registers */
	bool inside;	   /* has branches inside the block */
	/* on the straight path */
	bool in_host, in_eax;
	u32 dirty;
	u32 label[BLOCK_MAX_OPS];
	/* entries behind handlers */
	bool entry[BLOCK_MAX_OPS + 2], entry_host[BLOCK_MAX_OPS], entry_eax[BLOCK_MAX_OPS];
	u32 n_cold;
	struct cold cold[COLD_MAX];
};

/* ---- flags ---- */

static void take_flags(struct emit *e)
{
	emit1(e, 0x9f); /* lahf */
	emit_n(e, 0xc0900f, 3); /* seto al */
}

static void want_eax(struct translation *t)
{
	if (!t->in_eax && t->in_host) {
		take_flags(&t->e);
		t->in_eax = true;
	}
}

static void put_flags(struct emit *e)
{
	emit_rr(e, 4, 0x89, H_RAX, H_RCX);
	emit_n(e, 0x9e7f04, 3); /* add al, 7f; sahf */
	emit_rr(e, 4, 0x89, H_RCX, H_RAX);
}

static void want_host(struct translation *t)
{
	if (!t->in_host && t->in_eax) {
		put_flags(&t->e);
		t->in_host = true;
	}
}

/* Before an instruction that works on flags, and after it. */
static void flags_before(struct translation *t, const struct jit_op *o)
{
	if (o->read || (o->written & o->after && o->after & ~o->killed))
		want_host(t);
}

static void flags_after(struct translation *t, const struct jit_op *o)
{
	if (!o->written)
		return;
	if (o->written & o->after) {
		t->in_host = true;
		t->in_eax = false;
	} else if (!o->after) {
		t->in_host = t->in_eax = false;
	}
}

/* ---- registers ---- */

static s32 gpr_off(u32 r)
{
	return VP_OFF(cpu.gpr) + 8 * (s32)r;
}

static void store_regs(struct translation *t, u32 mask)
{
	for (u32 r = 0; r < GPR_COUNT; r++)
		if (mask >> r & 1)
			emit_rm(&t->e, 8, 0x89, t->host[r], H_RDI, gpr_off(r));
}

static void load_regs(struct translation *t)
{
	for (u32 r = 0; r < GPR_COUNT; r++)
		if (t->used >> r & 1)
			emit_rm(&t->e, 8, 0x8b, t->host[r], H_RDI, gpr_off(r));
}

/* Everything a handler expects in memory; the flags are in eax. */
static void store_state(struct translation *t, u32 dirty)
{
	store_regs(t, dirty);
	emit_rr(&t->e, 4, 0x0fb7, H_RAX, H_RAX);
	emit_rm(&t->e, 4, 0x89, H_RAX, H_RDI, VP_OFF(arith));
}

static void jump_to(struct translation *t, const void *fn)
{
	emit_mov_imm(&t->e, H_RAX, (u64)fn);
	emit_n(&t->e, 0xe0ff, 2);
}

static void add_cold(struct translation *t, u32 kind, u32 k, u32 at)
{
	if (t->n_cold == COLD_MAX) {
		t->e.full = true;
		return;
	}
	t->cold[t->n_cold++] = (struct cold){.kind = (u8)kind, .k = (u8)k, .eax = t->in_eax, .at = at,
					     .dirty = t->inside ? t->written : t->dirty};
}

/* ---- memory ---- */

static void address(struct translation *t, const struct op *op)
{
	int base = op->base == OP_NO_REG ? -1 : t->host[op->base];
	int index = op->index == OP_NO_REG ? -1 : t->host[op->index];
	u64 disp = op->asize == 4 ? (u32)op->disp : (u64)op->disp;

	if (base < 0 && index < 0)
		emit_mov_imm(&t->e, H_RDX, disp);
	else
		emit_lea(&t->e, op->asize, H_RDX, base, index, op->scale, (s32)disp);
	if (op->seg == SEG_FS || op->seg == SEG_GS)
		emit_rm(&t->e, 8, 0x03, H_RDX, H_RDI, VP_OFF(ea_base) + 8 * op->seg);
}

/* rdx: linear address → host address, or the handler of operation @k. Flags go to eax before. */
static void look_up(struct translation *t, u32 k, u32 size, bool write)
{
	struct emit *e = &t->e;
	s32 tag = write ? (s32)__builtin_offsetof(struct softtlb_entry, tag_w) :
			  (s32)__builtin_offsetof(struct softtlb_entry, tag_r);
	struct jit *j = t->vp->tier_data;

	BUILD_ASSERT(sizeof(struct softtlb_entry) == 32);
	want_eax(t);
	t->in_host = false;
	emit_rr(e, 8, 0x89, H_RDX, H_RCX);
	emit_n(e, 0x0ce9c148, 4);   /* shr rcx, 12 */
	emit_n(e, 0x0daf0f48, 4);   /* imul rcx, [rip + …] */
	emit_n(e, (u32)((u64)j->exec - (t->exec + emit_pos(e) + 4)), 4);
	emit_n(e, 0x38e9c148, 4);   /* shr rcx, 56 */
	emit_n(e, 0x05e1c148, 4);   /* shl rcx, 5 */
	emit_rm(e, 8, 0x03, H_RCX, H_RDI, VP_OFF(tlb_e));
	emit_lea(e, 8, H_RSI, H_RDX, -1, 1, (s32)size - 1);
	emit_n(e, 0xfffff000e68148, 7); /* and rsi, -4096 */
	emit_rm(e, 8, 0x0b, H_RSI, H_RDI, VP_OFF(tlb_soft.gen));
	emit_rm(e, 8, 0x3b, H_RSI, H_RCX, tag);
	add_cold(t, COLD_HANDLER, k, emit_jcc(e, CC_NE));
	emit_rm(e, 8, 0x03, H_RDX, H_RCX, (s32)__builtin_offsetof(struct softtlb_entry, addend));
}

static void operand(struct translation *t, u32 k, u32 size, bool write)
{
	address(t, &t->b->ops[k]);
	look_up(t, k, size, write);
}

/* ---- instructions ---- */

static u32 wide(u32 size)
{
	return size > 1;
}

static u32 imm_bytes(u32 size)
{
	return size > 4 ? 4 : size;
}

/* opcode digit /n with the register or [rdx]. */
static void emit_digit(struct translation *t, const struct jit_op *o, u32 size, u32 opc, u32 digit, u32 reg)
{
	if (o->mem)
		emit_rm(&t->e, size, opc, digit, H_RDX, 0);
	else
		emit_rr(&t->e, size, opc, digit, reg);
}

static void emit_mov(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 s = op->size, w = wide(s);

	switch (t->j[k].form) {
	case FORM_RR: emit_rr(&t->e, s, 0x88 | w, t->host[op->src], t->host[op->dst]); break;
	case FORM_RI:
		if (s >= 4) {
			emit_mov_imm(&t->e, t->host[op->dst], s == 4 ? (u32)op->imm : op->imm);
			break;
		}
		emit_rr(&t->e, s, 0xc6 | w, 0, t->host[op->dst]);
		emit_n(&t->e, op->imm, s);
		break;
	case FORM_RM:
		operand(t, k, s, false);
		emit_rm(&t->e, s, 0x8a | w, t->host[op->dst], H_RDX, 0);
		break;
	case FORM_MR:
		operand(t, k, s, true);
		emit_rm(&t->e, s, 0x88 | w, t->host[op->src], H_RDX, 0);
		break;
	case FORM_MI:
		operand(t, k, s, true);
		emit_rm(&t->e, s, 0xc6 | w, 0, H_RDX, 0);
		emit_n(&t->e, op->imm, imm_bytes(s));
		break;
	}
}

static void emit_alu(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool test = o->kind == J_TEST, cmp = !test && o->sub == 7;
	u32 s = op->size, w = wide(s), opc = test ? 0x84 : o->sub * 8u;

	if (o->mem)
		operand(t, k, s, o->form != FORM_RM && !test && !cmp);
	flags_before(t, o);
	switch (o->form) {
	case FORM_RR: emit_rr(&t->e, s, opc | w, t->host[op->src], t->host[op->dst]); break;
	case FORM_RM: emit_rm(&t->e, s, opc | 2 | w, t->host[op->dst], H_RDX, 0); break;
	case FORM_MR: emit_rm(&t->e, s, opc | w, t->host[op->src], H_RDX, 0); break;
	default:
		emit_digit(t, o, s, (test ? 0xf6 : 0x80) | w, test ? 0 : o->sub, o->mem ? 0 : t->host[op->dst]);
		emit_n(&t->e, op->imm, imm_bytes(s));
	}
	flags_after(t, o);
}

static void emit_unary(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];

	if (o->mem)
		operand(t, k, op->size, true);
	flags_before(t, o);
	emit_digit(t, o, op->size, (o->by_cl ? 0xfe : 0xf6) | wide(op->size), o->sub, o->mem ? 0 : t->host[op->dst]);
	flags_after(t, o);
}

static void emit_shift(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];

	if (o->mem)
		operand(t, k, op->size, true);
	flags_before(t, o);
	/* Hosts leave other undefined flags by count in CL, as the handlers have it, than by immediate. */
	if (o->by_cl)
		emit_rr(&t->e, 4, 0x89, t->host[RCX], H_RCX);
	else if (o->written & o->after)
		emit_mov_imm(&t->e, H_RCX, (u8)op->imm);
	bool cl = o->by_cl || o->written & o->after;
	emit_digit(t, o, op->size, (cl ? 0xd2 : 0xc0) | wide(op->size), o->sub, o->mem ? 0 : t->host[op->dst]);
	if (!cl)
		emit1(&t->e, (u8)op->imm);
	flags_after(t, o);
}

static void emit_extend(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	u32 dst = t->host[op->dst];

	if (o->mem) {
		operand(t, k, o->src_size, false);
		emit_rm(&t->e, op->size, o->opc, dst, H_RDX, 0);
		return;
	}
	/* bpl needs a REX prefix, which only the 64-bit form is sure to have: copy the byte first */
	u32 src = t->host[op->src];
	if (o->src_size == 1 && src == H_RBP) {
		emit_rr(&t->e, 4, 0x89, src, H_RCX);
		src = H_RCX;
	}
	emit_rr(&t->e, op->size, o->opc, dst, src);
}

static void emit_imul(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	u32 opc = o->has_imm ? 0x69 : 0x0faf, dst = t->host[op->dst];

	if (o->mem)
		operand(t, k, op->size, false);
	flags_before(t, o);
	if (o->mem)
		emit_rm(&t->e, op->size, opc, dst, H_RDX, 0);
	else
		emit_rr(&t->e, op->size, opc, dst, t->host[op->src]);
	if (o->has_imm)
		emit_n(&t->e, op->imm, imm_bytes(op->size));
	flags_after(t, o);
}

static void emit_condition(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool set = o->kind == J_SETCC;
	u32 opc = (set ? 0x0f90 : 0x0f40) | o->sub;
	u32 reg = set ? 0 : t->host[op->dst];

	if (o->mem)
		operand(t, k, op->size, set);
	want_host(t);
	if (o->mem)
		emit_rm(&t->e, op->size, opc, reg, H_RDX, 0);
	else
		emit_rr(&t->e, op->size, opc, reg, t->host[set ? op->dst : op->src]);
}

static void emit_lea_op(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	int base = op->base == OP_NO_REG ? -1 : t->host[op->base];
	int index = op->index == OP_NO_REG ? -1 : t->host[op->index];

	if (base < 0 && index < 0)
		emit_mov_imm(&t->e, t->host[op->dst], op->size == 4 ? (u32)op->disp : (u64)op->disp);
	else
		emit_lea(&t->e, op->size, t->host[op->dst], base, index, op->scale, (s32)op->disp);
}

/* ---- leaving ---- */

/* To op->link of operation @k as chain_fixed() does; @count: instructions of the block before the
 * target. Registers and flags are stored. */
static void emit_chain(struct translation *t, u32 k, u32 count)
{
	struct emit *e = &t->e;
	u32 slow[3];

	emit_mov_imm(e, H_RSI, (u64)&t->b->ops[k]);
	emit_rm(e, 8, 0x8b, H_RCX, H_RSI, (s32)__builtin_offsetof(struct op, link));
	emit_rm(e, 8, 0x8b, H_RDX, H_RDI, VP_OFF(block_insns));
	emit_rr(e, 8, 0x83, 0, H_RDX);
	emit1(e, count);
	emit_rr(e, 8, 0x89, H_RDX, H_R8);
	emit_rm(e, 8, 0x03, H_R8, H_RCX, (s32)__builtin_offsetof(struct block, n));
	emit_rm(e, 8, 0x3b, H_R8, H_RDI, VP_OFF(until));
	slow[0] = emit_jcc(e, CC_A);
	emit_rm(e, 8, 0x8b, H_R8, H_RCX, (s32)__builtin_offsetof(struct block, frame));
	emit_rm(e, 4, 0x8b, H_R8, H_R8, (s32)__builtin_offsetof(struct mem_frame, code_gen));
	emit_rm(e, 4, 0x3b, H_R8, H_RCX, (s32)__builtin_offsetof(struct block, gen));
	slow[1] = emit_jcc(e, CC_NE);
	emit_rm(e, 4, 0x83, 7, H_RDI, VP_OFF(attn));
	emit1(e, 0);
	slow[2] = emit_jcc(e, CC_NE);
	emit_rm(e, 8, 0x89, H_RDX, H_RDI, VP_OFF(block_insns));
	emit_rm(e, 8, 0x89, H_RCX, H_RDI, VP_OFF(cur_block));
	emit_lea(e, 8, H_RSI, H_RCX, -1, 1, (s32)__builtin_offsetof(struct block, ops));
	emit_rm(e, 4, 0xff, 4, H_RSI, 0); /* jmp [rsi] */
	for (u32 i = 0; i < 3; i++)
		emit_patch(e, slow[i], emit_pos(e));
	jump_to(t, chain_slow);
}

/* Everything to memory: from the straight path. */
static void leave_straight(struct translation *t)
{
	want_eax(t);
	store_state(t, t->inside ? t->written : t->dirty);
}

static void emit_stack(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	struct emit *e = &t->e;
	u32 size = op->size, sp = t->host[RSP], reg;
	u64 next = t->b->rip + op->rip_off + op->len;

	switch (o->kind) {
	case J_PUSH:
	case J_CALL:
		emit_lea(e, size, H_RDX, (int)sp, -1, 1, -(s32)size);
		look_up(t, k, size, true);
		if (o->kind == J_CALL) {
			emit_mov_imm(e, H_RCX, next);
			emit_rm(e, size, 0x89, H_RCX, H_RDX, 0);
		} else if (o->form == FORM_R) {
			emit_rm(e, size, 0x89, t->host[op->src], H_RDX, 0);
		} else {
			emit_rm(e, size, 0xc7, 0, H_RDX, 0);
			emit_n(e, op->imm, 4);
		}
		emit_lea(e, size, sp, (int)sp, -1, 1, -(s32)size);
		break;
	default:
		reg = o->kind == J_LEAVE ? t->host[RBP] : sp;
		emit_rr(e, size, 0x89, reg, H_RDX);
		look_up(t, k, size, false);
		emit_rm(e, size, 0x8b, H_RDX, H_RDX, 0);
		if (o->kind == J_RET && size == 8) { /* canonical, else the handler faults */
			emit_rr(e, 8, 0x89, H_RDX, H_RCX);
			emit_n(e, 0x10e1c148, 4); /* shl rcx, 16 */
			emit_n(e, 0x10f9c148, 4); /* sar rcx, 16 */
			emit_rr(e, 8, 0x39, H_RDX, H_RCX);
			add_cold(t, COLD_HANDLER, k, emit_jcc(e, CC_NE));
		}
		emit_lea(e, size, sp, (int)reg, -1, 1, (s32)size + (o->kind == J_RET ? (s32)op->imm : 0));
		if (o->kind == J_POP)
			emit_rr(e, size, 0x89, H_RDX, t->host[op->dst]);
		else if (o->kind == J_LEAVE)
			emit_rr(e, size, 0x89, H_RDX, t->host[RBP]);
	}
	t->dirty |= o->wr;
	if (o->kind == J_CALL) {
		leave_straight(t);
		emit_chain(t, k, k + 1);
	} else if (o->kind == J_RET) {
		leave_straight(t);
		emit_mov_imm(e, H_RSI, (u64)op);
		jump_to(t, chain_indirect);
	}
}

static void emit_branch(struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];
	u32 kind = o->target != JIT_NO_TARGET ? COLD_INSIDE : COLD_LEAVE;

	if (o->kind == J_JCC) {
		want_host(t);
		add_cold(t, kind, k, emit_jcc(&t->e, o->sub));
	} else {
		add_cold(t, kind, k, emit_jmp(&t->e));
	}
}

/* A handler runs operation @k; the straight path goes on at the entry behind it. */
static void emit_handler(struct translation *t, u32 k)
{
	leave_straight(t);
	emit_mov_imm(&t->e, H_RSI, (u64)&t->b->ops[k]);
	jump_to(t, t->handler[k]);
	t->in_eax = true;
	t->in_host = false;
	t->dirty = 0;
}

static void emit_one(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	struct emit *e = &t->e;

	switch (t->j[k].kind) {
	case J_SLOW: emit_handler(t, k); return;
	case J_NOP: break;
	case J_MOV: emit_mov(t, k); break;
	case J_XCHG: emit_rr(e, op->size, 0x86 | wide(op->size), t->host[op->src], t->host[op->dst]); break;
	case J_BSWAP:
		emit_op(e, op->size, 0x0fc8 | (t->host[op->dst] & 7), 0, 0, t->host[op->dst]);
		break;
	case J_SIGN_RAX:
		if (t->j[k].sub == 2 && t->host[RAX] == H_RBP) { /* movsx cx, bpl needs REX: by ecx */
			emit_rr(e, 4, 0x89, H_RBP, H_RCX);
			emit_rr(e, 2, 0x0fbe, H_RBP, H_RCX);
		} else {
			emit_rr(e, t->j[k].sub, t->j[k].sub == 2 ? 0x0fbe : t->j[k].sub == 4 ? 0x0fbf : 0x63,
				t->host[RAX], t->host[RAX]);
		}
		break;
	case J_EXTEND: emit_extend(t, k); break;
	case J_LEA: emit_lea_op(t, k); break;
	case J_ALU:
	case J_TEST: emit_alu(t, k); break;
	case J_UNARY: emit_unary(t, k); break;
	case J_SHIFT: emit_shift(t, k); break;
	case J_IMUL: emit_imul(t, k); break;
	case J_CMOV:
	case J_SETCC: emit_condition(t, k); break;
	case J_JCC:
	case J_JMP: emit_branch(t, k); break;
	default: emit_stack(t, k); break;
	}
	t->dirty |= t->j[k].wr;
}

/* Targets inside the block expect live flags in eax, and only there. */
static void settle_flags(struct translation *t, u32 k)
{
	if (t->j[k].before)
		want_eax(t);
	t->in_host = false;
}

static void emit_straight(struct translation *t)
{
	bool is_target[BLOCK_MAX_OPS] = {0};
	u32 n = t->b->n_ops;

	for (u32 k = 0; k < n; k++)
		if (t->j[k].target != JIT_NO_TARGET)
			is_target[t->j[k].target] = true;
	for (u32 k = 0; k < n; k++) {
		if (is_target[k])
			settle_flags(t, k);
		t->label[k] = emit_pos(&t->e);
		t->entry_host[k] = t->in_host;
		t->entry_eax[k] = t->in_eax;
		emit_one(t, k);
		if (t->j[k].kind == J_SLOW || t->j[k].mem)
			t->entry[k + 1] = t->entry[k + 2] = true; /* + 2: the handler may be a fused pair's */
	}
	/* what follows the last operation */
	u32 last = t->j[n - 1].kind;
	if (last != J_SLOW && last != J_JMP && last != J_CALL && last != J_RET) {
		leave_straight(t);
		emit_chain(t, n, n);
	}
}

/* The edge from branch @c->k to an operation of this block; what is due is looked at as where a block is
 * entered. */
static void emit_inside(struct translation *t, const struct cold *c)
{
	struct emit *e = &t->e;
	u32 to = t->j[c->k].target, out[3], n_out = 0;

	emit_rm(e, 8, 0x8b, H_RDX, H_RDI, VP_OFF(block_insns));
	emit_rr(e, 8, 0x83, 0, H_RDX);
	emit1(e, (u32)((s32)c->k + 1 - (s32)to));
	emit_lea(e, 8, H_RCX, H_RDX, -1, 1, t->b->n_ops);
	emit_rm(e, 8, 0x3b, H_RCX, H_RDI, VP_OFF(until));
	out[n_out++] = emit_jcc(e, CC_A);
	emit_rm(e, 4, 0x83, 7, H_RDI, VP_OFF(attn));
	emit1(e, 0);
	out[n_out++] = emit_jcc(e, CC_NE);
	emit_mov_imm(e, H_RCX, (u64)&t->b->frame->code_gen);
	emit_rm(e, 4, 0x8b, H_RCX, H_RCX, 0);
	emit_mov_imm(e, H_RSI, (u64)&t->b->gen);
	emit_rm(e, 4, 0x3b, H_RCX, H_RSI, 0);
	out[n_out++] = emit_jcc(e, CC_NE);
	emit_rm(e, 8, 0x89, H_RDX, H_RDI, VP_OFF(block_insns));
	emit_patch(e, emit_jmp(e), t->label[to]);
	for (u32 i = 0; i < n_out; i++)
		emit_patch(e, out[i], emit_pos(e));
}

static void emit_cold(struct translation *t)
{
	struct emit *e = &t->e;

	for (u32 i = 0; i < t->n_cold; i++) {
		const struct cold *c = &t->cold[i];

		emit_patch(e, c->at, emit_pos(e));
		if (!c->eax)
			take_flags(e);
		if (c->kind == COLD_INSIDE)
			emit_inside(t, c);
		store_state(t, c->dirty);
		if (c->kind == COLD_HANDLER) {
			emit_mov_imm(e, H_RSI, (u64)&t->b->ops[c->k]);
			jump_to(t, t->handler[c->k]);
		} else {
			emit_chain(t, c->k, c->k + 1u);
		}
	}
}

/* Entry before operation @k: from a handler, or into the block. */
static u32 emit_entry(struct translation *t, u32 k)
{
	u32 at = emit_pos(&t->e);

	if (t->entry_eax[k] || t->entry_host[k])
		emit_rm(&t->e, 4, 0x8b, H_RAX, H_RDI, VP_OFF(arith));
	if (t->entry_host[k])
		put_flags(&t->e);
	load_regs(t);
	emit_patch(&t->e, emit_jmp(&t->e), t->label[k]);
	return at;
}

static void prepare(struct translation *t)
{
	u32 next = 0;

	for (u32 k = 0; k < t->b->n_ops; k++) {
		t->handler[k] = k ? t->b->ops[k].fn : t->b->first;
		t->used |= t->j[k].use | t->j[k].wr;
		t->written |= t->j[k].wr;
		t->inside |= t->j[k].target != JIT_NO_TARGET;
	}
	for (u32 r = 0; r < GPR_COUNT; r++)
		if (t->used >> r & 1)
			t->host[r] = pool[next++];
	t->in_eax = true;
}

static void serialize(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}

enum jit_result jit_translate(struct vp *vp, struct block *b)
{
	struct jit *j = vp->tier_data;
	struct translation t;
	u32 at[BLOCK_MAX_OPS] = {0};

	if (j->used + JIT_BLOCK_MAX_BYTES > j->bytes)
		return JIT_FULL;
	nm_zero(&t, sizeof(t));
	t.vp = vp;
	t.b = b;
	t.e.base = t.e.p = j->write + j->used;
	t.e.end = t.e.base + JIT_BLOCK_MAX_BYTES;
	t.exec = (u64)j->exec + j->used;
	vp_vec_park(vp); /* Zydis */
	if (!jit_select(vp, b, j, t.j))
		return JIT_NEVER;
	prepare(&t);
	emit_straight(&t);
	emit_cold(&t);
	t.entry[0] = true;
	for (u32 k = 0; k < b->n_ops; k++)
		if (t.entry[k] && t.j[k].kind != J_SLOW)
			at[k] = emit_entry(&t, k);
	if (t.e.full)
		return JIT_NEVER;
	if (j->reused)
		serialize();
	b->ops[0].fn = b->first;
	for (u32 k = 0; k < b->n_ops; k++)
		if (t.entry[k] && t.j[k].kind != J_SLOW)
			b->ops[k].fn = (op_fn)(t.exec + at[k]);
	j->used += ALIGN_UP(emit_pos(&t.e), 64u);
	j->n_translated++;
	return JIT_DONE;
}
