/*
 * Instructions on RFLAGS that need no privilege: CLC STC CMC, CLD STD, LAHF SAHF, and PUSHF in
 * 64-bit code.
 */
#include "l0/jit/translation.h"

static bool take_carry(struct jit_op *j, bool reads)
{
	j->written = j->killed = RFLAGS_CF;
	j->read = reads ? RFLAGS_CF : 0;
	return true;
}

static bool take_pushf(const struct decode *d, struct jit_op *j)
{
	j->mem = true;
	j->use = j->wr = reg_bit(RSP);
	return (d->mode & VP_MODE_SIZE) == VP_MODE_64 && decode_flat_stack(d);
}

bool flagop_take(const struct decode *d, struct jit_op *j)
{
	j->kind = J_FLAGOP;
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_CLC:
	case ZYDIS_MNEMONIC_STC: return take_carry(j, false);
	case ZYDIS_MNEMONIC_CMC: return take_carry(j, true);
	case ZYDIS_MNEMONIC_CLD:
	case ZYDIS_MNEMONIC_STD: return true;
	case ZYDIS_MNEMONIC_LAHF:
		j->read = RFLAGS_ARITH;
		j->use = j->wr = reg_bit(RAX);
		return true;
	case ZYDIS_MNEMONIC_SAHF:
		j->written = j->killed = RFLAGS_ARITH & ~RFLAGS_OF;
		j->use = reg_bit(RAX);
		return true;
	case ZYDIS_MNEMONIC_PUSHFQ: return take_pushf(d, j);
	default: return false;
	}
}

static void emit_direction(struct translation *t, bool set)
{
	lose_host(t);
	emit_rm(&t->e, 4, 0x81, set ? 1 : 4, H_RDI, VP_OFF(cpu.rflags)); /* or, and */
	emit_n(&t->e, set ? RFLAGS_DF : (u32)~RFLAGS_DF, 4);
}

/* eax is LAHF's result already. */
static void emit_lahf(struct translation *t)
{
	u32 ha = (u32)jit_host[RAX];

	want_eax(t);
	emit_rr(&t->e, 4, 0x89, H_RAX, H_RCX);
	emit_rr(&t->e, 8, 0x89, ha, H_RDX);
	emit_n(&t->e, 0xee88, 2); /* mov dh, ch */
	emit_rr(&t->e, 8, 0x89, H_RDX, ha);
}

/* What is live of the older flags is OF, in the host's then, and eax is free. */
static void emit_sahf(struct translation *t)
{
	want_host(t);
	emit_rr(&t->e, 4, 0x89, (u32)jit_host[RAX], H_RAX);
	emit1(&t->e, 0x9e);
	t->in_eax = false;
}

/* SF ZF AF PF CF are in ah, OF in al; RF and VM are pushed as 0. */
static void emit_pushf(struct translation *t, u32 k)
{
	struct emit *e = &t->e;
	struct operand m;
	u32 sp = (u32)jit_host[RSP];

	want_eax(t);
	m = operand_stack(t, k, RSP, -8, 8, true);
	want_eax(t);
	t->in_host = false;
	t->recipe.kind = RECIPE_NONE;
	emit_rm(e, 4, 0x8b, H_RCX, H_RDI, VP_OFF(cpu.rflags));
	emit_rr(e, 4, 0x81, 4, H_RCX);
	emit_n(e, (u32) ~(RFLAGS_ARITH | RFLAGS_RF | RFLAGS_VM), 4);
	emit_n(e, 0xe108, 2); /* or cl, ah */
	emit1(e, 0x50);	      /* push rax */
	emit_rr(e, 4, 0x83, 4, H_RAX);
	emit1(e, 1);
	emit_rr(e, 4, 0xc1, 4, H_RAX);
	emit1(e, 11);
	emit_rr(e, 4, 0x09, H_RAX, H_RCX);
	emit1(e, 0x58);
	emit_opnd(t, 8, 0x89, H_RCX, &m);
	emit_lea(e, 8, sp, (int)sp, -1, 1, -8);
}

void flagop_emit(struct translation *t, u32 k)
{
	const struct jit_op *o = &t->j[k];
	u32 m = t->b->ops[k].mnemonic;

	flags_before(t, o);
	switch (m) {
	case ZYDIS_MNEMONIC_CLC: emit1(&t->e, 0xf8); break;
	case ZYDIS_MNEMONIC_STC: emit1(&t->e, 0xf9); break;
	case ZYDIS_MNEMONIC_CMC: emit1(&t->e, 0xf5); break;
	case ZYDIS_MNEMONIC_LAHF: emit_lahf(t); break;
	case ZYDIS_MNEMONIC_SAHF: emit_sahf(t); break;
	case ZYDIS_MNEMONIC_PUSHFQ: emit_pushf(t, k); break;
	default: emit_direction(t, m == ZYDIS_MNEMONIC_STD);
	}
	flags_after(t, o);
}
