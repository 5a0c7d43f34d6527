/*
 * REP MOVS and REP STOS in 64-bit code, upwards and of at most 64 bytes: these count as one
 * instruction and never stop on the way (op_string.c). Each operand is looked up as the 64 bytes
 * that it may have, so that what remains in a page is enough; all others are the handler's.
 */
#include "l0/jit/translation.h"

#define RUN_BYTES 64u

bool string_take(const struct decode *d, struct jit_op *j)
{
	const struct op *op = d->op;
	u32 opcode = d->insn.opcode & 0xfe;

	if (d->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (opcode != 0xa4 && opcode != 0xaa))
		return false;
	if (!(op->flags & (OP_REP | OP_REPNE)) || op->asize != 8 || op->flags & OP_SEGCHECK ||
	    (d->mode & VP_MODE_SIZE) != VP_MODE_64 || d->mode & VP_MODE_AC)
		return false;
	j->kind = J_STRING;
	j->mem = true;
	j->opc = (u16)(opcode | wide(op->size));
	j->wr = reg_bit(RCX) | reg_bit(RDI) | (opcode == 0xa4 ? reg_bit(RSI) : 0);
	j->use = j->wr | reg_bit(RAX);
	return opcode == 0xaa || op->seg > SEG_GS || op->seg < SEG_FS;
}

/* rdx := host address of the run at guest register @r. */
static void find_run(struct translation *t, u32 k, u32 r, bool write)
{
	struct operand m = operand_run(t, k, r, RUN_BYTES, write);

	if (m.index >= 0 || m.disp)
		emit_lea(&t->e, 8, H_RDX, m.base, m.index, 1, m.disp);
}

static void check(struct translation *t, u32 k)
{
	struct emit *e = &t->e;

	lose_host(t);
	emit_rm(e, 4, 0xf7, 0, H_RDI, VP_OFF(cpu.rflags));
	emit_n(e, RFLAGS_DF, 4);
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_NE), NULL);
	emit_rr(e, 8, 0x83, 7, (u32)jit_host[RCX]);
	emit1(e, RUN_BYTES / t->b->ops[k].size);
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_A), NULL);
}

void string_emit(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	struct emit *e = &t->e;
	u32 ha = (u32)jit_host[RAX], hc = (u32)jit_host[RCX], hd = (u32)jit_host[RDI],
	    hs = (u32)jit_host[RSI];
	bool moves = (t->j[k].opc & 0xfe) == 0xa4;

	check(t, k);
	find_run(t, k, RDI, true);
	if (moves) {
		emit_rm(e, 8, 0x89, H_RDX, H_RDI, VP_OFF(jump_keep));
		find_run(t, k, RSI, false);
	}
	emit_rr(e, 8, 0x89, hc, H_RCX);
	emit1(e, 0x57); /* push rdi */
	if (moves) {
		BUILD_ASSERT(H_RSI == 6);
		emit1(e, 0x56);
		emit_rr(e, 8, 0x89, H_RDX, H_RSI);
		emit_rm(e, 8, 0x8b, H_RDI, H_RDI, VP_OFF(jump_keep));
	} else {
		emit_rr(e, 8, 0x89, H_RDX, H_RDI);
		emit_rr(e, 8, 0x87, H_RAX, ha);
	}
	if (op->size == 2)
		emit1(e, 0x66);
	emit1(e, 0xf3);
	if (op->size == 8)
		emit1(e, 0x48);
	emit1(e, t->j[k].opc);
	if (moves)
		emit1(e, 0x5e);
	else
		emit_rr(e, 8, 0x87, H_RAX, ha);
	emit1(e, 0x5f);
	if (moves)
		emit_lea(e, 8, hs, (int)hs, (int)hc, op->size, 0);
	emit_lea(e, 8, hd, (int)hd, (int)hc, op->size, 0);
	emit_mov_imm(e, hc, 0);
}
