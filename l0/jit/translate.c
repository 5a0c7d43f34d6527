/*
 * One block to host code: what each operation becomes. Registers, flags and scratch are as
 * translation.h says; whatever is not simple leaves to the operation's handler (flow.c).
 */
#include "l0/jit/translation.h"

void flags_before(struct translation *t, const struct jit_op *o)
{
	if (o->read || (o->written & o->after && o->after & ~o->killed))
		want_host(t);
}

void flags_after(struct translation *t, const struct jit_op *o)
{
	if (!o->written)
		return;
	if (o->written & o->after) {
		t->in_host = true;
		t->in_eax = false;
		t->recipe.kind = RECIPE_NONE;
	} else if (!o->after) {
		t->in_host = t->in_eax = false;
		t->recipe.kind = RECIPE_NONE;
	} /* else: of INC and DEC only CF is live, which they leave alone */
}

/* After ALU operation @k between registers or with an immediate: how to do it again for the
 * flags. */
static void note_recipe(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool logic = o->kind == J_ALU && (o->sub == 1 || o->sub == 4 || o->sub == 6);
	struct recipe r = {.size = op->size, .a = op->dst, .b = op->src, .imm = op->imm};

	if (!t->in_host || t->tier->off & 1u << JIT_GROUP_FLAGS)
		return;
	if (logic && o->form != FORM_MR && o->form != FORM_MI) {
		r.kind = RECIPE_TEST;
		r.b = op->dst;
	} else if (o->form == FORM_RR || o->form == FORM_RI) {
		if (o->form == FORM_RI)
			r.b = OP_NO_REG;
		if (o->kind == J_TEST || o->sub == 7)
			r.kind = o->kind == J_TEST ? RECIPE_TEST : RECIPE_CMP;
		else if ((o->sub == 0 || o->sub == 5) && (r.b == OP_NO_REG || r.a != r.b))
			r.kind = o->sub ? RECIPE_SUB : RECIPE_ADD;
	}
	if (r.kind && is_pinned(r.a) && (r.b == OP_NO_REG || is_pinned(r.b)))
		t->recipe = r;
}

/* Before operation @k: does it take away what the recipe needs, while flags are live? Return: it is
 * void after it. */
static bool keep_flags(struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];
	bool leaves = o->mem || o->leaves;
	bool kills = o->killed == RFLAGS_ARITH && !o->read;

	if (!t->recipe.kind)
		return false;
	if (leaves &&
	    (o->read || (o->written && !kills))) { /* rcx is in use when they are wanted */
		want_eax(t);
		t->recipe.kind = RECIPE_NONE;
	}
	if (kills || !(recipe_regs(&t->recipe) & o->wr))
		return false;
	if ((o->after || o->read) && (leaves || !t->in_host))
		want_eax(t);
	return true;
}

void emit_from(struct translation *t, u32 size, u32 opc, u32 reg, u32 r)
{
	if (is_pinned(r))
		emit_rr(&t->e, size, opc, reg, (u32)jit_host[r]);
	else
		emit_rm(&t->e, size, opc, reg, H_RDI, gpr_off(r));
}

static void emit_mov(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 s = op->size, w = wide(s), h;
	struct operand m;

	switch (t->j[k].form) {
	case FORM_RR:
		if (is_pinned(op->dst)) {
			emit_from(t, s, 0x8a | w, (u32)jit_host[op->dst], op->src);
			break;
		}
		h = is_pinned(op->src) && s != 4 ? (u32)jit_host[op->src] : H_RCX;
		if (h == H_RCX)
			emit_from(t, s, 0x8a | w, H_RCX, op->src);
		emit_rm(&t->e, s == 4 ? 8 : s, 0x88 | w, h, H_RDI, gpr_off(op->dst));
		break;
	case FORM_RI:
		if (s >= 4) {
			h = reg_out(op->dst, H_RCX);
			emit_mov_imm(&t->e, h, s == 4 ? (u32)op->imm : op->imm);
			reg_done(t, op->dst, h);
		} else {
			if (is_pinned(op->dst))
				emit_rr(&t->e, s, 0xc6 | w, 0, (u32)jit_host[op->dst]);
			else
				emit_rm(&t->e, s, 0xc6 | w, 0, H_RDI, gpr_off(op->dst));
			emit_n(&t->e, op->imm, s);
		}
		break;
	case FORM_RM:
		m = operand_find(t, k, s, false);
		h = reg_out(op->dst, H_RCX);
		emit_opnd(t, s, 0x8a | w, h, &m);
		if (!is_pinned(op->dst))
			emit_rm(&t->e, s == 4 ? 8 : s, 0x88 | w, h, H_RDI, gpr_off(op->dst));
		break;
	case FORM_MR:
		m = operand_find(t, k, s, true);
		if (!is_pinned(op->src))
			operand_free_rcx(t, &m);
		emit_opnd(t, s, 0x88 | w, reg_in(t, op->src, H_RCX), &m);
		break;
	case FORM_MI:
		m = operand_find(t, k, s, true);
		emit_opnd(t, s, 0xc6 | w, 0, &m);
		emit_n(&t->e, op->imm, imm_bytes(s));
		break;
	}
}

static void emit_alu(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool test = o->kind == J_TEST, quiet = test || o->sub == 7;
	u32 s = op->size, w = wide(s), opc = test ? 0x84 : o->sub * 8u, h = 0;
	struct operand m = {0};

	if (o->mem)
		m = operand_find(t, k, s, o->form != FORM_RM && !quiet);
	if (o->mem && ((o->form == FORM_RM && !is_pinned(op->dst)) ||
		       (o->form == FORM_MR && !is_pinned(op->src))))
		operand_free_rcx(t, &m);
	flags_before(t, o);
	switch (o->form) {
	case FORM_RR:
		h = reg_in(t, op->dst, H_RCX);
		emit_from(t, s, test ? 0x84 | w : opc | 2 | w, h, op->src);
		break;
	case FORM_RM:
		h = reg_in(t, op->dst, H_RCX);
		emit_opnd(t, s, opc | 2 | w, h, &m);
		break;
	case FORM_MR:
		h = reg_in(t, op->src, H_RCX);
		emit_lock(t, o);
		emit_opnd(t, s, opc | w, h, &m);
		break;
	case FORM_MI:
		emit_lock(t, o);
		emit_opnd(t, s, (test ? 0xf6 : 0x80) | w, test ? 0 : o->sub, &m);
		emit_n(&t->e, op->imm, imm_bytes(s));
		break;
	default:
		h = reg_in(t, op->dst, H_RCX);
		emit_rr(&t->e, s, (test ? 0xf6 : 0x80) | w, test ? 0 : o->sub, h);
		emit_n(&t->e, op->imm, imm_bytes(s));
	}
	if (!quiet && o->form != FORM_MR && o->form != FORM_MI)
		reg_done(t, op->dst, h);
	flags_after(t, o);
	note_recipe(t, k);
}

static void emit_unary(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	u32 opc = (o->by_cl ? 0xfe : 0xf6) | wide(op->size), h;
	struct operand m;

	if (o->mem) {
		m = operand_find(t, k, op->size, true);
		flags_before(t, o);
		emit_lock(t, o);
		emit_opnd(t, op->size, opc, o->sub, &m);
	} else {
		flags_before(t, o);
		h = reg_in(t, op->dst, H_RCX);
		emit_rr(&t->e, op->size, opc, o->sub, h);
		reg_done(t, op->dst, h);
	}
	flags_after(t, o);
}

/* Hosts leave other undefined flags by count in CL, as the handlers have it, than by immediate. */
static void emit_shift(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool cl = o->by_cl || o->written & o->after;
	u32 opc = (cl ? 0xd2 : 0xc0) | wide(op->size), h = 0;
	struct operand m = {0};

	if (o->mem) {
		m = operand_find(t, k, op->size, true);
		operand_free_rcx(t, &m);
	} else {
		h = reg_in(t, op->dst, H_RDX);
	}
	flags_before(t, o);
	if (o->by_cl)
		emit_from(t, 4, 0x8b, H_RCX, RCX);
	else if (cl)
		emit_mov_imm(&t->e, H_RCX, (u8)op->imm);
	if (o->mem)
		emit_opnd(t, op->size, opc, o->sub, &m);
	else
		emit_rr(&t->e, op->size, opc, o->sub, h);
	if (!cl)
		emit1(&t->e, (u8)op->imm);
	if (!o->mem)
		reg_done(t, op->dst, h);
	flags_after(t, o);
}

/* Byte registers 4 to 7 need a REX prefix, which only the 64-bit form is sure to have. */
static void emit_extend_rr(struct emit *e, u32 size, u32 opc, u32 dst, u32 src)
{
	if (size == 2)
		emit1(e, 0x66);
	emit1(e, 0x40 | (size == 8) << 3 | (dst >> 3) << 2 | src >> 3);
	if (opc > 0xff)
		emit1(e, opc >> 8);
	emit1(e, opc);
	emit1(e, 0xc0 | (dst & 7) << 3 | (src & 7));
}

static void emit_extend(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	struct operand m;
	u32 dst;

	if (o->mem) {
		m = operand_find(t, k, o->src_size, false);
		if (op->size == 2 && !is_pinned(op->dst))
			operand_free_rcx(t, &m);
	}
	dst = op->size == 2 ? reg_in(t, op->dst, H_RCX) : reg_out(op->dst, H_RCX);
	if (o->mem)
		emit_opnd(t, op->size, o->opc, dst, &m);
	else if (is_pinned(op->src))
		emit_extend_rr(&t->e, op->size, o->opc, dst, (u32)jit_host[op->src]);
	else
		emit_rm(&t->e, op->size, o->opc, dst, H_RDI, gpr_off(op->src));
	reg_done(t, op->dst, dst);
}

static void emit_sign_rax(struct translation *t, u32 size)
{
	u32 h = (u32)jit_host[RAX];

	emit_extend_rr(&t->e, size, size == 2 ? 0x0fbe : size == 4 ? 0x0fbf : 0x63, h, h);
}

static void emit_imul(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	u32 opc = o->has_imm ? 0x69 : 0x0faf, h;
	struct operand m = {0};

	if (o->mem) {
		m = operand_find(t, k, op->size, false);
		if (!is_pinned(op->dst))
			operand_free_rcx(t, &m);
	}
	flags_before(t, o);
	h = reg_in(t, op->dst, H_RCX);
	if (o->mem)
		emit_opnd(t, op->size, opc, h, &m);
	else
		emit_from(t, op->size, opc, h, op->src);
	if (o->has_imm)
		emit_n(&t->e, op->imm, imm_bytes(op->size));
	reg_done(t, op->dst, h);
	flags_after(t, o);
}

static void emit_condition(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool set = o->kind == J_SETCC;
	u32 opc = (set ? 0x0f90 : 0x0f40) | o->sub, h;
	struct operand m = {0};

	if (o->mem) {
		m = operand_find(t, k, op->size, set);
		if (!set && !is_pinned(op->dst))
			operand_free_rcx(t, &m);
	}
	want_host(t);
	if (set && o->mem) {
		emit_opnd(t, 1, opc, 0, &m);
	} else if (set) {
		emit_from(t, 1, opc, 0, op->dst);
	} else {
		h = reg_in(t, op->dst, H_RCX);
		if (o->mem)
			emit_opnd(t, op->size, opc, h, &m);
		else
			emit_from(t, op->size, opc, h, op->src);
		reg_done(t, op->dst, h);
	}
}

static void emit_lea_op(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	int base = op->base == OP_NO_REG ? -1 : (int)reg_in(t, op->base, H_RDX);
	int index = op->index == OP_NO_REG ? -1 : (int)reg_in(t, op->index, H_RCX);
	u32 h = reg_out(op->dst, H_RCX);

	if (base < 0 && index < 0)
		emit_mov_imm(&t->e, h, op->size == 4 ? (u32)op->disp : (u64)op->disp);
	else
		emit_lea(&t->e, op->size, h, base, index, op->scale, (s32)op->disp);
	reg_done(t, op->dst, h);
}

static void emit_exchange(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 a = reg_in(t, op->src, H_RDX), b = reg_in(t, op->dst, H_RCX);

	if (op->src == op->dst)
		a = b;
	emit_rr(&t->e, op->size, 0x86 | wide(op->size), a, b);
	reg_done(t, op->src, a);
	reg_done(t, op->dst, b);
}

static void emit_bswap(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 h = reg_in(t, op->dst, H_RCX);

	emit_op(&t->e, op->size, 0x0fc8 | (h & 7), 0, 0, h);
	reg_done(t, op->dst, h);
}

/* ---- stack ---- */

#define SP ((u32)jit_host[RSP])

static void emit_push(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 size = op->size;
	struct operand m = operand_stack(t, k, RSP, -(s32)size, size, true);

	if (t->j[k].form == FORM_R) {
		if (!is_pinned(op->src))
			operand_free_rcx(t, &m);
		emit_opnd(t, size, 0x89, reg_in(t, op->src, H_RCX), &m);
	} else {
		emit_opnd(t, size, 0xc7, 0, &m);
		emit_n(&t->e, op->imm, 4);
	}
	emit_lea(&t->e, size, SP, (int)SP, -1, 1, -(s32)size);
}

static void emit_pop(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 size = op->size;
	struct operand m = operand_stack(t, k, RSP, 0, size, false);
	u32 h = op->dst == RSP ? H_RCX : reg_out(op->dst, H_RCX);

	emit_opnd(t, size, 0x8b, h, &m);
	emit_lea(&t->e, size, SP, (int)SP, -1, 1, (s32)size);
	if (op->dst == RSP)
		emit_rr(&t->e, size, 0x89, H_RCX, SP);
	else
		reg_done(t, op->dst, h);
}

static void emit_leave(struct translation *t, u32 k)
{
	u32 size = t->b->ops[k].size, bp = (u32)jit_host[RBP];
	struct operand m = operand_stack(t, k, RBP, 0, size, false);

	emit_opnd(t, size, 0x8b, H_RDX, &m);
	emit_lea(&t->e, size, SP, (int)bp, -1, 1, (s32)size);
	emit_rr(&t->e, size, 0x89, H_RDX, bp);
}

static void push_return(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u64 next = t->b->rip + op->rip_off + op->len;
	u32 size = op->size;
	struct operand m = operand_stack(t, k, RSP, -(s32)size, size, true);

	if (size == 4 || (u64)(s64)(s32)next == next) {
		emit_opnd(t, size, 0xc7, 0, &m);
		emit_n(&t->e, next, 4);
	} else {
		operand_free_rcx(t, &m);
		emit_mov_imm(&t->e, H_RCX, next);
		emit_opnd(t, size, 0x89, H_RCX, &m);
	}
	emit_lea(&t->e, size, SP, (int)SP, -1, 1, -(s32)size);
}

/* ---- transfers ---- */

/* The same between flow_find() and flow_jump(), which have the place in rcx. */
static void push_return_on_way(struct translation *t, u32 k)
{
	emit_rm(&t->e, 8, 0x89, H_RCX, H_RDI, VP_OFF(jump_keep));
	push_return(t, k);
	emit_rm(&t->e, 8, 0x8b, H_RCX, H_RDI, VP_OFF(jump_keep));
}

static void emit_call(struct translation *t, u32 k)
{
	u64 target = t->b->ops[k].imm;

	want_eax(t);
	t->in_host = false;
	if (flow_is_near(t, target)) {
		push_return(t, k);
		call_edge(t, k, target);
		return;
	}
	flow_far_target(t, target);
	flow_find(t, k);
	push_return_on_way(t, k);
	call_jump(t, k);
}

/* A jump that is found has a canonical target; others the handler checks. */
static void emit_indirect(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	struct operand m;

	want_eax(t);
	t->in_host = false;
	if (op->flags & OP_MEM) {
		m = operand_find(t, k, op->size, false);
		emit_opnd(t, op->size, 0x8b, H_RDX, &m);
	} else {
		emit_from(t, op->size, 0x8b, H_RDX, op->src);
	}
	flow_find(t, k);
	if (t->j[k].kind == J_CALL_IND) {
		push_return_on_way(t, k);
		call_jump(t, k);
	} else {
		flow_jump(t, 4);
	}
}

static void emit_ret(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	struct operand m;

	want_eax(t);
	m = operand_stack(t, k, RSP, 0, op->size, false);
	emit_opnd(t, op->size, 0x8b, H_RDX, &m);
	call_return(t, k);
}

/* ---- all of it ---- */

static void emit_one(struct translation *t, u32 k)
{
	if (t->j[k].high) {
		high_emit(t, k);
		return;
	}
	switch (t->j[k].kind) {
	case J_SLOW: flow_handler(t, k); break;
	case J_NOP: break;
	case J_MOV: emit_mov(t, k); break;
	case J_XCHG: emit_exchange(t, k); break;
	case J_BSWAP: emit_bswap(t, k); break;
	case J_SIGN_RAX: emit_sign_rax(t, t->j[k].sub); break;
	case J_EXTEND: emit_extend(t, k); break;
	case J_LEA: emit_lea_op(t, k); break;
	case J_ALU:
	case J_TEST: emit_alu(t, k); break;
	case J_UNARY: emit_unary(t, k); break;
	case J_SHIFT: emit_shift(t, k); break;
	case J_IMUL: emit_imul(t, k); break;
	case J_CMOV:
	case J_SETCC: emit_condition(t, k); break;
	case J_PUSH: emit_push(t, k); break;
	case J_POP: emit_pop(t, k); break;
	case J_LEAVE: emit_leave(t, k); break;
	case J_STRING: string_emit(t, k); break;
	case J_FLAGOP: flagop_emit(t, k); break;
	case J_VEC: vector_emit(t, k); break;
	case J_CONVERT:
	case J_MULDIV:
	case J_MULX: muldiv_emit(t, k); break;
	case J_BIT:
	case J_HOST:
	case J_SHIFT2:
	case J_MOVBE: bits_emit(t, k); break;
	case J_XCHG_MEM:
	case J_XADD:
	case J_CMPXCHG:
	case J_CMPXCHG_WIDE: atomic_emit(t, k); break;
	case J_JCC: flow_jcc(t, k, t->j[k].sub); break;
	case J_JMP: flow_jmp(t, k); break;
	case J_JMP_IND:
	case J_CALL_IND: emit_indirect(t, k); break;
	case J_CALL: emit_call(t, k); break;
	default: emit_ret(t, k); break;
	}
}

/* For tests of what finds errors of translation: is operation @k to be left out? */
static bool is_lost(const struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];
	bool compares = o->kind == J_TEST || (o->kind == J_ALU && o->sub == 7);

	switch (t->tier->lose) {
	case JIT_LOSE_ALU: return o->kind == J_ALU && !compares;
	case JIT_LOSE_CMP: return compares;
	case JIT_LOSE_STORE: return o->kind == J_MOV && (o->form == FORM_MR || o->form == FORM_MI);
	case JIT_LOSE_VEC: return o->kind == J_VEC;
	case JIT_LOSE_JCC: return o->kind == J_JCC;
	default: return false;
	}
}

/* Of those that do not, reg_in() tells when it loads rdx. */
static bool keeps_rdx(const struct jit_op *o)
{
	if (o->high)
		return false;
	switch (o->kind) {
	case J_NOP:
	case J_MOV:
	case J_XCHG:
	case J_BSWAP:
	case J_SIGN_RAX:
	case J_EXTEND:
	case J_LEA:
	case J_ALU:
	case J_TEST:
	case J_UNARY:
	case J_SHIFT:
	case J_IMUL:
	case J_CMOV:
	case J_SETCC:
	case J_PUSH:
	case J_POP:
	case J_JCC: return true;
	default: return false;
	}
}

static void emit_body(struct translation *t)
{
	u32 n = t->b->n_ops;

	range_values_begin(&t->values);
	t->held.what = RDX_NOTHING;
	for (u32 k = 0; k < n; k++) {
		u32 kind = t->j[k].kind;
		bool void_after;

		if (!t->again) {
			if (t->entry[k] && kind != J_SLOW)
				operand_note_entry(t, k);
			t->entry_held[k] = t->held;
			t->label[k] = emit_pos(&t->e);
			t->entry_host[k] = t->in_host;
			t->entry_eax[k] = t->in_eax;
			t->entry_vec[k] = t->vec_ok;
		}
		void_after = keep_flags(t, k);
		if (!keeps_rdx(&t->j[k]) && kind != J_RET && kind != J_CALL && kind != J_LEAVE)
			t->held.what = RDX_NOTHING;
		if (likely(!t->tier->lose) || !is_lost(t, k))
			emit_one(t, k);
		if (void_after)
			t->recipe.kind = RECIPE_NONE;
		if (kind == J_SLOW)
			t->vec_ok = 0; /* whatever it is */
		if (!keeps_rdx(&t->j[k]))
			t->held.what = RDX_NOTHING;
		range_values_step(&t->values, &t->b->ops[k], &t->j[k]);
		if (kind == J_SLOW || (t->j[k].mem && !t->j[k].sure) || t->j[k].leaves)
			/* + 2: the handler may be a fused pair's */
			t->entry[k + 1] = t->entry[k + 2] = true;
	}
	if (t->j[n - 1].kind != J_SLOW && t->j[n - 1].kind < J_JMP)
		flow_end(t);
}

static void emit_block(struct translation *t)
{
	flow_begin(t);
	emit_body(t);
	if (t->n_loops) {
		flow_again(t);
		emit_body(t);
	}
}

enum jit_result jit_translate(struct vp *vp, struct block *b)
{
	struct jit *j = vp->tier_data;
	struct jit_arena *a = j->arena;
	struct jit_region *r = arena_room(j);
	struct translation t;
	u32 entries[BLOCK_MAX_OPS] = {0}, room;

	if (!r)
		return JIT_BUSY;
	nm_zero(&t, sizeof(t));
	t.vp = vp;
	t.tier = j;
	t.b = b;
	room = MIN(a->part - r->code, JIT_BLOCK_MAX_BYTES);
	t.e.base = t.e.p = a->write + arena_code_at(a, a->now) + r->code;
	t.e.end = t.e.base + room;
	t.exec = (u64)j->exec + (u64)(t.e.base - a->write);
	t.data_begin = t.data_end = arena_data_at(a, a->now) + r->data;
	t.in_eax = true;
	t.traps = arena_traps(a, a->now);
	t.n_traps = r->n_traps;
	t.max_traps = ARENA_TRAPS / ARENA_REGIONS;
	for (u32 k = 0; k <= b->n_ops; k++)
		t.handler[k] = k ? b->ops[k].fn : b->first;
	vp_vec_park(vp); /* Zydis */
	if (!jit_select(vp, b, j, t.j))
		return JIT_NEVER;
	emit_block(&t);
	flow_finish(&t, entries);
	if (!t.e.full && share_publish(&t, r, entries)) {
		j->n_translated++;
		return JIT_DONE;
	}
	nm_zero(j->data + t.data_begin, t.data_end - t.data_begin);
	if (room == JIT_BLOCK_MAX_BYTES)
		return JIT_NEVER;
	arena_is_full(a);
	return JIT_BUSY;
}
