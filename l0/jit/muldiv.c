/*
 * MUL, IMUL with one operand, DIV, IDIV, MULX, and the sign extensions into rDX. Divisions that
 * might raise #DE are their handlers': what is divided here has a divisor above the high half, or
 * is a sign extension and not divided by 0 or -1.
 */
#include "l0/jit/translation.h"

#define DIGIT_MUL 4u
#define DIGIT_DIV 6u
#define DIGIT_IDIV 7u

static bool take_one(const struct decode *d, struct jit_op *j, u32 digit)
{
	const struct op *op = d->op;

	j->kind = J_MULDIV;
	j->sub = (u8)digit;
	j->leaves = digit >= DIGIT_DIV;
	if (!j->leaves)
		j->written = j->killed = RFLAGS_ARITH;
	j->wr = reg_bit(RAX) | reg_bit(RDX);
	j->use = j->wr;
	if (op->flags & OP_MEM)
		return select_mem(d, j);
	j->use |= reg_bit(op->src);
	return op->src < 16;
}

static bool take_mulx(const struct decode *d, struct jit_op *j)
{
	const struct op *op = d->op;

	j->kind = J_MULX;
	j->use = reg_bit(RDX);
	j->wr = reg_bit(op->dst) | reg_bit(op->aux);
	return op->fn == op_plain && (!(op->flags & OP_MEM) || select_mem(d, j));
}

bool muldiv_take(const struct decode *d, struct jit_op *j)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MUL: return take_one(d, j, DIGIT_MUL);
	case ZYDIS_MNEMONIC_IMUL:
		return d->insn.operand_count_visible == 1 && take_one(d, j, DIGIT_MUL + 1);
	case ZYDIS_MNEMONIC_DIV: return take_one(d, j, DIGIT_DIV);
	case ZYDIS_MNEMONIC_IDIV: return take_one(d, j, DIGIT_IDIV);
	case ZYDIS_MNEMONIC_MULX: return take_mulx(d, j);
	default: return false;
	}
}

static void exchange_rax(struct emit *e)
{
	emit_rr(e, 8, 0x87, H_RAX, (u32)jit_host[RAX]);
}

static void emit_convert(struct translation *t, u32 size)
{
	struct emit *e = &t->e;
	u32 hd = (u32)jit_host[RDX];

	exchange_rax(e);
	if (size == 2)
		emit_rr(e, 8, 0x89, hd, H_RDX);
	emit_op(e, size, 0x99, 0, 0, 0); /* cwd, cdq, cqo */
	emit_rr(e, 8, 0x89, H_RDX, hd);
	exchange_rax(e);
}

/* rcx := the operand. */
static void emit_source(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 s = op->size;
	struct operand m;

	if (!t->j[k].mem) {
		emit_from(t, 8, 0x8b, H_RCX, op->src);
		return;
	}
	m = operand_find(t, k, s, false);
	emit_opnd(t, MAX(s, 4u), s == 1 ? 0x0fb6 : s == 2 ? 0x0fb7 : 0x8b, H_RCX, &m);
}

/* To the handler where the quotient may not fit. */
static void emit_div_check(struct translation *t, u32 k)
{
	struct emit *e = &t->e;
	u32 s = t->b->ops[k].size, ha = (u32)jit_host[RAX], hd = (u32)jit_host[RDX];

	if (s == 1) {
		emit_rr(e, 4, 0x0fb7, H_RDX, ha);
		emit_rr(e, 4, 0xc1, 5, H_RDX); /* shr edx, 8 */
		emit1(e, 8);
		emit_rr(e, 1, 0x38, H_RCX, H_RDX);
	} else {
		emit_rr(e, s, 0x39, H_RCX, hd);
	}
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_AE), NULL);
}

static void emit_idiv_check(struct translation *t, u32 k)
{
	struct emit *e = &t->e;
	u32 s = t->b->ops[k].size, ha = (u32)jit_host[RAX], hd = (u32)jit_host[RDX];

	if (s == 1) {
		emit_rr(e, 2, 0x0fbe, H_RDX, ha);
		emit_rr(e, 2, 0x39, H_RDX, ha);
	} else {
		emit_rr(e, s, 0x89, ha, H_RDX);
		emit_rr(e, s, 0xc1, 7, H_RDX); /* sar */
		emit1(e, s * 8 - 1);
		emit_rr(e, s, 0x39, H_RDX, hd);
	}
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_NE), NULL);
	emit_lea(e, MAX(s, 4u), H_RDX, H_RCX, -1, 1, 1);
	emit_rr(e, s, s == 1 ? 0x80 : 0x83, 7, H_RDX); /* cmp rdx, 1 */
	emit1(e, 1);
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_BE), NULL);
}

/* A division leaves the flags alone: where they are live they are by recipe or in eax, which waits
 * in the register of RAX. After a multiplication older ones are dead. */
static void emit_muldiv(struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];
	struct emit *e = &t->e;
	u32 s = t->b->ops[k].size, hd = (u32)jit_host[RDX];

	if (o->leaves)
		lose_host(t);
	emit_source(t, k);
	if (o->sub == DIGIT_DIV)
		emit_div_check(t, k);
	else if (o->sub == DIGIT_IDIV)
		emit_idiv_check(t, k);
	exchange_rax(e);
	if (s > 1)
		emit_rr(e, 8, 0x89, hd, H_RDX);
	emit_rr(e, s, 0xf6 | wide(s), o->sub, H_RCX);
	if (s > 1)
		emit_rr(e, 8, 0x89, H_RDX, hd);
	exchange_rax(e);
	flags_after(t, o);
}

static void emit_mulx(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 high = reg_out(op->dst, H_RCX), low = reg_out(op->aux, H_RDX), src = H_RCX;

	if (t->j[k].mem || !is_pinned(op->src))
		emit_source(t, k);
	else
		src = (u32)jit_host[op->src];
	emit_rr(&t->e, 8, 0x89, (u32)jit_host[RDX], H_RDX);
	emit_vex(&t->e, op->size, 0xf2, 2, 0xf6, high, low, 0, src);
	emit1(&t->e, 0xc0 | (high & 7) << 3 | (src & 7));
	reg_done(t, op->aux, low);
	reg_done(t, op->dst, high);
}

void muldiv_emit(struct translation *t, u32 k)
{
	switch (t->j[k].kind) {
	case J_CONVERT: emit_convert(t, t->b->ops[k].size); break;
	case J_MULX: emit_mulx(t, k); break;
	default: emit_muldiv(t, k);
	}
}
