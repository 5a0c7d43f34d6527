/*
 * XCHG with memory, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B: the host's own instruction on the guest's
 * memory, locked where the guest's is. Locked operands that are not aligned to their size are their
 * handlers': they may lie across cache lines.
 */
#include "l0/jit/translation.h"

static bool take_rmw(const struct decode *d, struct jit_op *j, u32 kind)
{
	const struct op *op = d->op;

	j->kind = (u8)kind;
	j->lock = kind == J_XCHG_MEM || op->flags & OP_LOCK;
	if (kind != J_XCHG_MEM)
		j->written = j->killed = RFLAGS_ARITH;
	j->wr = kind == J_CMPXCHG ? reg_bit(RAX) : reg_bit(op->src);
	j->use = j->wr | reg_bit(op->src);
	return op->flags & OP_MEM && op->src < 16 && select_mem(d, j);
}

static bool take_wide(const struct decode *d, struct jit_op *j)
{
	j->kind = J_CMPXCHG_WIDE;
	j->lock = d->op->flags & OP_LOCK;
	j->read = RFLAGS_ARITH; /* all but ZF stay */
	j->written = RFLAGS_ZF;
	j->wr = reg_bit(RAX) | reg_bit(RDX);
	j->use = j->wr | reg_bit(RBX) | reg_bit(RCX);
	if (!select_mem(d, j))
		return false;
	j->vec.align = d->insn.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B ? 16 : 8;
	return true;
}

bool atomic_take(const struct decode *d, struct jit_op *j)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_XCHG: return take_rmw(d, j, J_XCHG_MEM);
	case ZYDIS_MNEMONIC_XADD: return take_rmw(d, j, J_XADD);
	case ZYDIS_MNEMONIC_CMPXCHG: return take_rmw(d, j, J_CMPXCHG);
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B: return take_wide(d, j);
	default: return false;
	}
}

/* XCHG, XADD: the register is exchanged. */
static void emit_exchange_mem(struct translation *t, u32 k, u32 opc)
{
	const struct op *op = &t->b->ops[k];
	struct operand m = operand_find(t, k, op->size, true);
	u32 h;

	if (!is_pinned(op->src))
		operand_free_rcx(t, &m);
	h = reg_in(t, op->src, H_RCX);
	if (opc != 0x86)
		emit_lock(t, &t->j[k]);
	emit_opnd(t, op->size, opc | wide(op->size), h, &m);
	reg_done(t, op->src, h);
}

/* Older flags are dead, so eax is free. */
static void emit_cmpxchg(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	struct operand m = operand_find(t, k, op->size, true);
	u32 src, ha = (u32)jit_host[RAX];

	if (!is_pinned(op->src))
		operand_free_rcx(t, &m);
	src = reg_in(t, op->src, H_RCX);
	emit_rr(&t->e, 8, 0x89, ha, H_RAX);
	emit_lock(t, &t->j[k]);
	emit_opnd(t, op->size, 0x0fb0 | wide(op->size), src, &m);
	emit_rr(&t->e, 8, 0x89, H_RAX, ha);
}

/* Its four registers are the host's; the operand's address waits in the register of RCX, older
 * flags, where they are live, are in the host's. */
static void emit_wide(struct translation *t, u32 k)
{
	struct emit *e = &t->e;
	u32 size = t->b->ops[k].mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B ? 16 : 8;
	u32 ha = (u32)jit_host[RAX], hc = (u32)jit_host[RCX], hd = (u32)jit_host[RDX];
	struct operand m = operand_find(t, k, size, true);

	BUILD_ASSERT(H_RBX == 3);
	flags_before(t, &t->j[k]);
	emit_lea(e, 8, H_RDX, m.base, m.index, 1, m.disp);
	emit_rr(e, 8, 0x89, hc, H_RCX);
	emit_rr(e, 8, 0x89, H_RDX, hc);
	emit_rr(e, 8, 0x89, hd, H_RDX);
	emit_rr(e, 8, 0x89, ha, H_RAX);
	emit_lock(t, &t->j[k]);
	emit_rm(e, size / 2, 0x0fc7, 1, hc, 0);
	emit_rr(e, 8, 0x89, H_RCX, hc);
	emit_rr(e, 8, 0x89, H_RDX, hd);
	emit_rr(e, 8, 0x89, H_RAX, ha);
	t->in_eax = false;
}

void atomic_emit(struct translation *t, u32 k)
{
	switch (t->j[k].kind) {
	case J_XCHG_MEM: emit_exchange_mem(t, k, 0x86); break;
	case J_XADD: emit_exchange_mem(t, k, 0x0fc0); break;
	case J_CMPXCHG: emit_cmpxchg(t, k); break;
	default: emit_wide(t, k);
	}
	flags_after(t, &t->j[k]);
}
