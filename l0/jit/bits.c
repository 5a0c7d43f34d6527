/*
 * Bit operations, each by the host's own instruction, as the handlers do: BT BTS BTR BTC, scans and
 * counts, BMI1 and BMI2, SHLD SHRD, CRC32, ADCX ADOX; MOVBE as a move and BSWAP. A processor model
 * announces only what the host has.
 */
#include "l0/jit/translation.h"

/* ---- which ---- */

/* Bit strings in memory are reached from a register with 64-bit addresses alone. */
static bool take_bit(const struct decode *d, struct jit_op *j, u32 digit)
{
	const struct op *op = d->op;

	j->kind = J_BIT;
	j->sub = (u8)digit;
	j->has_imm = d->opr[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	j->written = j->killed = RFLAGS_CF;
	j->lock = op->flags & OP_LOCK;
	if (op->flags & OP_MEM && !j->has_imm && (op->asize != 8 || op->size == 2))
		return false;
	return select_operands(d, j, digit > 4);
}

/* Register from register or memory; older flags stay where the instruction leaves them. */
static bool take_host(const struct decode *d, struct jit_op *j, u32 pp, u32 map, u32 opc)
{
	const struct op *op = d->op;

	j->kind = J_HOST;
	j->pp = (u8)pp;
	j->map = (u8)map;
	j->opc = (u16)opc;
	j->vreg = OP_NO_REG;
	j->wr = reg_bit(op->dst);
	j->use = j->wr;
	if (op->flags & OP_MEM)
		return select_mem(d, j);
	j->use |= reg_bit(op->src);
	return op->src < 16;
}

static bool take_scan(const struct decode *d, struct jit_op *j, u32 pp, u32 opc)
{
	j->keeps = true;
	j->written = RFLAGS_ARITH;
	return take_host(d, j, pp, 1, opc);
}

/* @v: the operand in VEX.vvvv. */
static bool take_vex(const struct decode *d, struct jit_op *j, u32 pp, u32 map, u32 opc, u32 v)
{
	if (d->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX || !take_host(d, j, pp, map, opc))
		return false;
	j->vex = true;
	j->vreg = v == 3 ? OP_NO_REG : decode_reg(d->opr[v].reg.value);
	j->use |= reg_bit(j->vreg);
	return true;
}

static bool take_vex_flags(const struct decode *d, struct jit_op *j, u32 opc, u32 v)
{
	j->written = RFLAGS_ARITH;
	return take_vex(d, j, 0, 2, opc, v);
}

/* BLSR, BLSMSK, BLSI: the destination is in VEX.vvvv. */
static bool take_lowest(const struct decode *d, struct jit_op *j, u32 digit)
{
	j->sub = (u8)digit;
	return take_vex_flags(d, j, 0xf3, 0);
}

static bool take_carry(const struct decode *d, struct jit_op *j, u32 pp, u32 flag)
{
	j->keeps = true;
	j->read = j->written = j->killed = flag;
	return take_host(d, j, pp, 2, 0xf6);
}

static bool take_shift2(const struct decode *d, struct jit_op *j, u32 opc)
{
	j->kind = J_SHIFT2;
	j->opc = (u16)opc;
	j->written = RFLAGS_ARITH;
	j->by_cl = d->op->aux;
	j->use = j->by_cl ? reg_bit(RCX) : 0;
	return select_operands(d, j, true);
}

static bool take_movbe(const struct decode *d, struct jit_op *j)
{
	j->kind = J_MOVBE;
	return d->op->size >= 4 && select_operands(d, j, true);
}

static bool take_vex_any(const struct decode *d, struct jit_op *j)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ANDN: return take_vex_flags(d, j, 0xf2, 1);
	case ZYDIS_MNEMONIC_BEXTR: return take_vex_flags(d, j, 0xf7, 2);
	case ZYDIS_MNEMONIC_BZHI: return take_vex_flags(d, j, 0xf5, 2);
	case ZYDIS_MNEMONIC_BLSR: return take_lowest(d, j, 1);
	case ZYDIS_MNEMONIC_BLSMSK: return take_lowest(d, j, 2);
	case ZYDIS_MNEMONIC_BLSI: return take_lowest(d, j, 3);
	case ZYDIS_MNEMONIC_PDEP: return take_vex(d, j, 0xf2, 2, 0xf5, 1);
	case ZYDIS_MNEMONIC_PEXT: return take_vex(d, j, 0xf3, 2, 0xf5, 1);
	case ZYDIS_MNEMONIC_SHLX: return take_vex(d, j, 0x66, 2, 0xf7, 2);
	case ZYDIS_MNEMONIC_SARX: return take_vex(d, j, 0xf3, 2, 0xf7, 2);
	case ZYDIS_MNEMONIC_SHRX: return take_vex(d, j, 0xf2, 2, 0xf7, 2);
	case ZYDIS_MNEMONIC_RORX: j->has_imm = true; return take_vex(d, j, 0xf2, 3, 0xf0, 3);
	default: return false;
	}
}

bool bits_take(const struct decode *d, struct jit_op *j)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_BT: return take_bit(d, j, 4);
	case ZYDIS_MNEMONIC_BTS: return take_bit(d, j, 5);
	case ZYDIS_MNEMONIC_BTR: return take_bit(d, j, 6);
	case ZYDIS_MNEMONIC_BTC: return take_bit(d, j, 7);
	case ZYDIS_MNEMONIC_BSF: return take_scan(d, j, 0, 0xbc);
	case ZYDIS_MNEMONIC_BSR: return take_scan(d, j, 0, 0xbd);
	case ZYDIS_MNEMONIC_TZCNT: return take_scan(d, j, 0xf3, 0xbc);
	case ZYDIS_MNEMONIC_LZCNT: return take_scan(d, j, 0xf3, 0xbd);
	case ZYDIS_MNEMONIC_POPCNT: j->killed = RFLAGS_ARITH; return take_scan(d, j, 0xf3, 0xb8);
	case ZYDIS_MNEMONIC_CRC32:
		j->keeps = true;
		return take_host(d, j, 0xf2, 2, d->op->size > 1 ? 0xf1 : 0xf0);
	case ZYDIS_MNEMONIC_ADCX: return take_carry(d, j, 0x66, RFLAGS_CF);
	case ZYDIS_MNEMONIC_ADOX: return take_carry(d, j, 0xf3, RFLAGS_OF);
	case ZYDIS_MNEMONIC_SHLD: return take_shift2(d, j, 0x0fa5);
	case ZYDIS_MNEMONIC_SHRD: return take_shift2(d, j, 0x0fad);
	case ZYDIS_MNEMONIC_MOVBE: return take_movbe(d, j);
	default: return take_vex_any(d, j);
	}
}

/* ---- code ---- */

/* BT m, r has found the operand that the bit is in: its number is cut to that. */
static void emit_bit_mem(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	u32 s = op->size;
	struct operand m = operand_find(t, k, s, o->sub > 4);

	if (!o->has_imm) {
		operand_free_rcx(t, &m);
		emit_from(t, 4, 0x8b, H_RCX, op->src);
		emit_rr(&t->e, 4, 0x83, 4, H_RCX); /* and ecx, … */
		emit1(&t->e, s * 8 - 1);
	}
	flags_before(t, o);
	emit_lock(t, o);
	if (o->has_imm) {
		emit_opnd(t, s, 0x0fba, o->sub, &m);
		emit1(&t->e, op->imm & (s * 8 - 1));
	} else {
		emit_opnd(t, s, 0x0f83 | (u32)o->sub << 3, H_RCX, &m);
	}
}

static void emit_bit_reg(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	u32 h;

	flags_before(t, o);
	h = reg_in(t, op->dst, H_RCX);
	if (o->has_imm) {
		emit_rr(&t->e, op->size, 0x0fba, o->sub, h);
		emit1(&t->e, op->imm & 0xff);
	} else {
		emit_rr(&t->e, op->size, 0x0f83 | (u32)o->sub << 3, reg_in(t, op->src, H_RDX), h);
	}
	if (o->sub > 4)
		reg_done(t, op->dst, h);
}

/* The instruction as it is, but for its registers. */
static void emit_host(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	struct emit *e = &t->e;
	u32 opc = o->opc | (o->map == 1 ? 0x0f00u : 0x0f3800u), reg, v = 0, rm = H_RDI;
	struct operand m = {H_RDI, -1, gpr_off(op->src)};
	bool is_mem = o->mem || !is_pinned(op->src);

	if (o->mem) {
		m = operand_find(t, k, op->size, false);
		operand_free_rcx(t, &m);
	} else if (!is_mem) {
		rm = (u32)jit_host[op->src];
	}
	flags_before(t, o);
	reg = o->keeps ? reg_in(t, op->dst, H_RCX) : reg_out(op->dst, H_RCX);
	if (o->vex) {
		v = o->sub ? reg : o->vreg == OP_NO_REG ? 0 : reg_in(t, o->vreg, H_RCX);
		emit_vex(e, op->size, o->pp, o->map, o->opc, o->sub ? o->sub : reg, v,
			 is_mem && m.index >= 0 ? (u32)m.index : 0, is_mem ? m.base : rm);
	} else {
		if (o->pp)
			emit1(e, o->pp);
		emit_op(e, op->size, opc, reg, is_mem && m.index >= 0 ? (u32)m.index : 0,
			is_mem ? m.base : rm);
	}
	if (is_mem)
		emit_modrm(e, o->sub ? o->sub : reg, m.base, m.index, m.disp);
	else
		emit1(e, 0xc0 | ((o->sub ? o->sub : reg) & 7) << 3 | (rm & 7));
	if (o->has_imm)
		emit1(e, op->imm & 0xff);
	reg_done(t, op->dst, reg);
}

/* SHLD, SHRD: the count in CL, as the handlers have it (see emit_shift()); where flags are live
 * they are in the host's then, and eax is free. */
static void emit_shift2(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	const struct jit_op *o = &t->j[k];
	struct operand m = {0};
	u32 h = H_RDX, src;

	if (o->mem) {
		m = operand_find(t, k, op->size, true);
		operand_free_rcx(t, &m);
	}
	flags_before(t, o);
	if (!o->mem)
		h = reg_in(t, op->dst, H_RDX);
	if (o->by_cl)
		emit_from(t, 4, 0x8b, H_RCX, RCX);
	else
		emit_mov_imm(&t->e, H_RCX, (u8)op->imm);
	src = reg_in(t, op->src, H_RAX);
	if (o->mem) {
		emit_opnd(t, op->size, o->opc, src, &m);
	} else {
		emit_rr(&t->e, op->size, o->opc, src, h);
		reg_done(t, op->dst, h);
	}
}

static void emit_movbe(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	bool store = t->j[k].form == FORM_MR;
	struct operand m = operand_find(t, k, op->size, store);
	u32 h = store ? H_RCX : reg_out(op->dst, H_RCX);

	if (store) {
		operand_free_rcx(t, &m);
		emit_from(t, op->size, 0x8b, H_RCX, op->src);
	} else {
		emit_opnd(t, op->size, 0x8b, h, &m);
	}
	emit_op(&t->e, op->size, 0x0fc8 | (h & 7), 0, 0, h);
	if (store)
		emit_opnd(t, op->size, 0x89, h, &m);
	else
		reg_done(t, op->dst, h);
}

void bits_emit(struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];

	switch (o->kind) {
	case J_BIT:
		if (o->mem)
			emit_bit_mem(t, k);
		else
			emit_bit_reg(t, k);
		break;
	case J_SHIFT2: emit_shift2(t, k); break;
	case J_MOVBE: emit_movbe(t, k); break;
	default: emit_host(t, k);
	}
	flags_after(t, o);
}
