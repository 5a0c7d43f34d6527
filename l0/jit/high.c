/*
 * Operations with AH, CH, DH or BH. Guest registers are where no such name reaches, so they are
 * done in
 * copies: the destination in rcx, the source in rdx, of which CH and DH exist as long as the
 * instruction has no REX prefix.
 */
#include "l0/jit/translation.h"

static u32 byte_of(u32 r, u32 h)
{
	return r & 0x80 ? h + 4 : h;
}

static void load(struct translation *t, u32 h, u32 r)
{
	emit_from(t, 8, 0x8b, h, r & 15);
}

static void store(struct translation *t, u32 r)
{
	u32 h = reg_out(r & 15, H_RCX);

	if (h != H_RCX)
		emit_rr(&t->e, 8, 0x89, H_RCX, h);
	reg_done(t, r & 15, h);
}

/* No REX, two legacy registers. */
static void emit_plain(struct emit *e, u32 opc, u32 reg, u32 rm)
{
	emit_n(e, opc > 0xff ? opc >> 8 | (opc & 0xff) << 8 : opc, opc > 0xff ? 2 : 1);
	emit1(e, 0xc0 | reg << 3 | rm);
}

static void emit_with_mem(struct translation *t, u32 k, u32 opc, bool quiet)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	bool to_mem = o->form == FORM_MR;
	struct operand m = operand_find(t, k, 1, to_mem && !quiet);
	u32 r = to_mem ? op->src : op->dst;

	operand_free_rcx(t, &m);
	if (m.index >= 0)
		emit_lea(&t->e, 8, H_RDX, m.base, m.index, 1, m.disp);
	flags_before(t, o);
	load(t, H_RCX, r);
	emit_lock(t, o);
	emit1(&t->e, opc | (to_mem ? 0 : 2));
	emit_modrm(&t->e, byte_of(r, H_RCX), H_RDX, -1, m.index >= 0 ? 0 : m.disp);
	if (!to_mem && !quiet)
		store(t, r);
}

/* MOVZX, MOVSX from a high byte. */
static void emit_extend_high(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	bool is_signed = t->j[k].opc == 0x0fbe;

	if (op->size == 2)
		load(t, H_RCX, op->dst);
	load(t, H_RDX, op->src);
	if (op->size == 2)
		emit1(&t->e, 0x66);
	emit_plain(&t->e, t->j[k].opc, H_RCX, byte_of(op->src, H_RDX));
	if (is_signed && op->size == 8)
		emit_rr(&t->e, 8, 0x63, H_RCX, H_RCX);
	store(t, op->dst);
}

static void emit_in_registers(struct translation *t, u32 k, u32 opc)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	struct emit *e = &t->e;
	u32 d = byte_of(op->dst, H_RCX);

	if (o->kind == J_SETCC)
		want_host(t);
	flags_before(t, o);
	load(t, H_RCX, op->dst);
	if (o->form == FORM_RR) {
		load(t, H_RDX, op->src);
		emit_plain(e, opc, byte_of(op->src, H_RDX), d);
	} else if (o->kind == J_SETCC) {
		emit_plain(e, 0x0f90 | o->sub, 0, d);
	} else if (o->kind == J_UNARY) {
		emit_plain(e, o->by_cl ? 0xfe : 0xf6, o->sub, d);
	} else {
		emit_plain(e,
			   o->kind == J_MOV    ? 0xc6
			   : o->kind == J_TEST ? 0xf6
					       : 0x80,
			   o->kind == J_ALU ? o->sub : 0, d);
		emit1(e, op->imm & 0xff);
	}
	if (o->kind != J_TEST && (o->kind != J_ALU || o->sub != 7))
		store(t, op->dst);
}

void high_emit(struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];
	u32 opc = o->kind == J_MOV ? 0x88 : o->kind == J_TEST ? 0x84 : o->sub * 8u;

	if (o->mem)
		emit_with_mem(t, k, opc, o->kind == J_TEST || (o->kind == J_ALU && o->sub == 7));
	else if (o->kind == J_EXTEND)
		emit_extend_high(t, k);
	else
		emit_in_registers(t, k, opc);
	flags_after(t, o);
}
