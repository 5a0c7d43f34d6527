/*
 * x87, MMX, SSE and AVX: the handlers' own code on the state that is live in the host's registers,
 * with the memory operand at rdx and the general register in rcx.
 */
#include "l0/jit/translation.h"

static bool is_size(const struct op *op)
{
	u32 n = op->size;

	return (n && n <= 32 && !(n & (n - 1))) || n == 10;
}

/* These were decoded once and for all. */
bool vector_take(struct vp *vp, const struct block *b, const struct op *op, op_fn fn,
		 struct jit_op *j)
{
	struct op copy = *op;
	struct decode d = {.vp = vp, .mode = b->mode, .op = &copy};
	const struct vec_native *v = &j->vec;

	if (!vec_native(op, fn, &j->vec))
		return false;
	j->kind = J_VEC;
	j->leaves = true;
	if (v->gpr_out || v->ax_out)
		j->wr = reg_bit(op->dst);
	if (v->rcx_out)
		j->wr = reg_bit(RCX);
	if (v->flags)
		j->written = j->killed = RFLAGS_ARITH;
	if (v->flags_in)
		j->read = RFLAGS_CF | RFLAGS_ZF | RFLAGS_PF;
	return !(op->flags & OP_MEM) || (is_size(op) && select_mem(&d, j));
}

/* Where ModRM is in the code of vec_native(). */
static u32 modrm_at(const u8 *c)
{
	u32 i = 0;

	while (c[i] == 0x66 || c[i] == 0xf2 || c[i] == 0xf3)
		i++;
	if (c[i] == 0xc4)
		return i + 4;
	if ((c[i] & 0xf0) == 0x40)
		i++;
	if (c[i] != 0x0f)
		return i + 1;
	return c[i + 1] == 0x38 || c[i + 1] == 0x3a ? i + 3 : i + 2;
}

/* State live and gates passed? A block looks once. */
static void emit_gate(struct translation *t, u32 k, u32 need)
{
	if (t->vec_ok & need)
		return;
	lose_host(t);
	emit_rm(&t->e, 1, 0xf6, 0, H_RDI, VP_OFF(vec_ok));
	emit1(&t->e, need);
	add_cold(t, COLD_SITE, k, emit_jcc(&t->e, CC_E), NULL);
	t->vec_ok |= vec_passes(need);
}

static void emit_code(struct translation *t, u32 k)
{
	const struct vec_native *v = &t->j[k].vec;
	u32 at = modrm_at(v->code);

	for (u32 i = 0; i < v->len; i++) {
		u32 b = v->code[i];

		if (i == at && t->j[k].mem)
			b = (b & 0x38) | H_RDX;
		if (i == at && (v->gpr_in || v->gpr_out))
			b |= v->gpr_rm ? H_RCX : H_RCX << 3;
		emit1(&t->e, b);
	}
}

/* The x87's last instruction, its opcode and operand; flags stay. */
static void emit_pointers(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	struct emit *e = &t->e;

	emit_mov_imm(e, H_RCX, t->b->rip + op->rip_off);
	emit_rm(e, 8, 0x89, H_RCX, H_RDI, VP_OFF(fpu_ip));
	emit_mov_imm(e, H_RCX, (u16)op->imm);
	emit_rm(e, 2, 0x89, H_RCX, H_RDI, VP_OFF(fpu_op));
	if (t->j[k].mem) {
		operand_offset(t, k);
		emit_rm(e, 8, 0x89, H_RDX, H_RDI, VP_OFF(fpu_dp));
	}
}

void vector_emit(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	const struct vec_native *v = &o->vec;
	struct emit *e = &t->e;
	u32 ha = (u32)jit_host[RAX];

	emit_gate(t, k, v->need);
	if (o->mem) {
		struct operand m = operand_find(t, k, op->size, v->store);

		operand_free_rcx(t, &m);
		if (m.index >= 0 || m.disp)
			emit_lea(e, 8, H_RDX, m.base, m.index, 1, m.disp);
	}
	flags_before(t, o);
	if (v->gpr_in)
		emit_from(t, 8, 0x8b, H_RCX, op->src);
	if (v->ax_out)
		emit_rr(e, 8, 0x87, H_RAX, ha);
	add_trap(t, k);
	emit_code(t, k);
	if (v->ax_out)
		emit_rr(e, 8, 0x87, H_RAX, ha);
	if (v->gpr_out) {
		if (is_pinned(op->dst))
			emit_rr(e, 8, 0x89, H_RCX, (u32)jit_host[op->dst]);
		reg_done(t, op->dst, H_RCX);
	}
	if (v->rcx_out)
		emit_rr(e, 8, 0x89, H_RCX, (u32)jit_host[RCX]);
	if (v->pointers)
		emit_pointers(t, k);
	flags_after(t, o);
}
