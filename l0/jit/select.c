#include "l0/jit/range.h"

#define RUN_MIN 3u /* shorter runs between handlers do not pay for loading registers */

static bool is_high_byte(u32 size, u32 r)
{
	return size == 1 && r & 0x80;
}

/* What is never translated: system instructions, and what is none. */
static bool is_system(op_fn fn)
{
	return fn == op_slow || fn == op_inline || fn == op_ud || fn == op_gp;
}

static bool is_jcc(u32 m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_JB:
	case ZYDIS_MNEMONIC_JBE:
	case ZYDIS_MNEMONIC_JL:
	case ZYDIS_MNEMONIC_JLE:
	case ZYDIS_MNEMONIC_JNB:
	case ZYDIS_MNEMONIC_JNBE:
	case ZYDIS_MNEMONIC_JNL:
	case ZYDIS_MNEMONIC_JNLE:
	case ZYDIS_MNEMONIC_JNO:
	case ZYDIS_MNEMONIC_JNP:
	case ZYDIS_MNEMONIC_JNS:
	case ZYDIS_MNEMONIC_JNZ:
	case ZYDIS_MNEMONIC_JO:
	case ZYDIS_MNEMONIC_JP:
	case ZYDIS_MNEMONIC_JS:
	case ZYDIS_MNEMONIC_JZ: return true;
	default: return false;
	}
}

/* Handlers count these under VP_MODE_BRANCHES. */
static bool is_branch(u32 m)
{
	return m == ZYDIS_MNEMONIC_JMP || m == ZYDIS_MNEMONIC_CALL || m == ZYDIS_MNEMONIC_RET ||
	       is_jcc(m);
}

bool select_mem(const struct decode *d, struct jit_op *j)
{
	const struct op *op = d->op;
	bool code64 = (d->mode & VP_MODE_SIZE) == VP_MODE_64;

	if (op->flags & OP_SEGCHECK || (op->flags & OP_LOCK && !j->lock) || op->asize < 4 ||
	    (code64 ? op->seg > SEG_GS : op->seg >= SEG_FS))
		return false;
	if (op->asize == 8 && (s64)(s32)op->disp != op->disp &&
	    (op->base != OP_NO_REG || op->index != OP_NO_REG))
		return false;
	j->use |= reg_bit(op->base) | reg_bit(op->index);
	j->mem = true;
	if (j->lock) /* across cache lines and where pages end: the handler */
		j->vec.align = op->size > 1 ? op->size : 0;
	return true;
}

static bool has_high_form(u32 kind)
{
	return kind == J_MOV || kind == J_ALU || kind == J_TEST || kind == J_UNARY ||
	       kind == J_SETCC || kind == J_EXTEND;
}

bool select_operands(const struct decode *d, struct jit_op *j, bool written)
{
	const struct op *op = d->op;
	bool reg_dst =
		d->form == FORM_R || d->form == FORM_RR || d->form == FORM_RI || d->form == FORM_RM;
	bool reg_src = d->form == FORM_RR || d->form == FORM_MR;

	if (d->form == FORM_NONE || d->form == FORM_I || d->form == FORM_OTHER)
		return false;
	j->high = (reg_dst && is_high_byte(op->size, op->dst)) ||
		  (reg_src && is_high_byte(j->src_size ? j->src_size : op->size, op->src));
	if (j->high && !has_high_form(j->kind))
		return false;
	if ((reg_dst && op->dst > 0x8f) || (reg_src && op->src > 0x8f))
		return false;
	if (reg_dst) {
		j->use |= reg_bit(op->dst & 15);
		j->wr |= written ? reg_bit(op->dst & 15) : 0;
	}
	if (reg_src)
		j->use |= reg_bit(op->src & 15);
	j->form = (u8)d->form;
	return !(op->flags & OP_MEM) || select_mem(d, j);
}

static bool take_alu(const struct decode *d, struct jit_op *j, u32 digit, bool writes)
{
	j->kind = J_ALU;
	j->sub = (u8)digit;
	j->written = j->killed = RFLAGS_ARITH;
	j->read = digit == 2 || digit == 3 ? RFLAGS_CF : 0;
	j->lock = d->op->flags & OP_LOCK;
	return select_operands(d, j, writes);
}

static bool take_unary(const struct decode *d, struct jit_op *j, u32 digit, bool step)
{
	j->kind = J_UNARY;
	j->sub = (u8)digit; /* F6/F7 digit; INC, DEC: FE/FF */
	j->by_cl = step;
	if (digit != 2 || step)
		j->written = j->killed = step ? RFLAGS_ARITH & ~RFLAGS_CF : RFLAGS_ARITH;
	j->lock = d->op->flags & OP_LOCK;
	return (d->form == FORM_R || d->form == FORM_M) && select_operands(d, j, true);
}

/* Undefined flags and counts of 0 leave older flags: nothing is killed. */
static bool take_shift(const struct decode *d, struct jit_op *j, u32 digit)
{
	struct op *op = d->op;

	j->kind = J_SHIFT;
	j->sub = (u8)digit;
	j->by_cl = op->aux & 1;
	j->written = digit < 4 ? RFLAGS_CF | RFLAGS_OF : RFLAGS_ARITH;
	j->read = digit == 2 || digit == 3 ? RFLAGS_CF : 0;
	if (op->flags & OP_LOCK)
		return false;
	if (op->flags & OP_MEM) {
		j->form = FORM_MI;
		if (!select_mem(d, j))
			return false;
	} else {
		j->form = FORM_RI;
		if (op->dst > 15)
			return false;
		j->use |= reg_bit(op->dst);
		j->wr |= reg_bit(op->dst);
	}
	j->use |= j->by_cl ? reg_bit(RCX) : 0;
	return true;
}

static bool take_extend(const struct decode *d, struct jit_op *j, u32 opc8)
{
	j->kind = J_EXTEND;
	j->src_size = (u8)(d->opr[1].size / 8);
	j->opc = (u16)(j->src_size == 4 ? 0x63 : j->src_size == 2 ? opc8 + 1 : opc8);
	return (d->form == FORM_RR || d->form == FORM_RM) && select_operands(d, j, true);
}

static bool take_imul(const struct decode *d, struct jit_op *j)
{
	j->kind = J_IMUL;
	j->written = RFLAGS_ARITH;
	j->has_imm = d->insn.operand_count_visible == 3;
	return d->insn.operand_count_visible > 1 && (d->form == FORM_RR || d->form == FORM_RM) &&
	       select_operands(d, j, true);
}

/* PUSH, POP, LEAVE, CALL, RET on a flat stack. */
static bool take_stack(const struct decode *d, struct jit_op *j, u32 kind)
{
	const struct op *op = d->op;

	j->kind = (u8)kind;
	j->form = (u8)d->form;
	j->mem = true;
	j->use = j->wr = reg_bit(RSP);
	if (!decode_flat_stack(d))
		return false;
	switch (kind) {
	case J_PUSH:
		j->use |= d->form == FORM_R ? reg_bit(op->src) : 0;
		return (d->form == FORM_R && op->src < 16) || d->form == FORM_I;
	case J_POP:
		j->use |= reg_bit(op->dst);
		j->wr |= reg_bit(op->dst);
		return d->form == FORM_R && op->dst < 16;
	case J_LEAVE: j->use = j->wr = reg_bit(RSP) | reg_bit(RBP); return true;
	case J_CALL: return d->insn.opcode == 0xe8 && (u64)((s64)(op->imm << 16) >> 16) == op->imm;
	case J_RET: return d->insn.opcode == 0xc2 || d->insn.opcode == 0xc3;
	default: return false;
	}
}

/* JMP and CALL by register or memory. */
static bool take_indirect(const struct decode *d, struct jit_op *j, u32 kind)
{
	const struct op *op = d->op;

	j->kind = (u8)kind;
	j->form = (u8)d->form;
	if (!decode_flat_stack(d) || d->insn.opcode != 0xff ||
	    (op->modrm >> 3 & 7) != (kind == J_CALL_IND ? 2 : 4))
		return false;
	j->mem = kind == J_CALL_IND;
	return !(op->flags & OP_MEM) ? op->src < 16 : select_mem(d, j);
}

static bool take_branch(const struct decode *d, struct jit_op *j)
{
	u32 opcode = d->insn.opcode;
	bool jcc = (d->insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (opcode & 0xf0) == 0x70) ||
		   (d->insn.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x80);

	if (!is_jcc(d->insn.mnemonic) && d->insn.mnemonic != ZYDIS_MNEMONIC_JMP)
		return false;
	if (!jcc && (d->mode & VP_MODE_SIZE) == VP_MODE_64 &&
	    (u64)((s64)(d->op->imm << 16) >> 16) != d->op->imm)
		return false;
	j->kind = jcc ? J_JCC : J_JMP;
	j->sub = (u8)(opcode & 15);
	j->read = jcc ? RFLAGS_ARITH : 0;
	return true;
}

static bool take_condition(const struct decode *d, struct jit_op *j)
{
	u32 opcode = d->insn.opcode;

	if (d->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    d->insn.opcode_map != ZYDIS_OPCODE_MAP_0F)
		return false;
	j->sub = (u8)(opcode & 15);
	j->read = RFLAGS_ARITH;
	if ((opcode & 0xf0) == 0x40) {
		j->kind = J_CMOV;
		return (d->form == FORM_RR || d->form == FORM_RM) && select_operands(d, j, true);
	}
	j->kind = J_SETCC;
	return (opcode & 0xf0) == 0x90 && d->op->size == 1 &&
	       (d->form == FORM_R || d->form == FORM_M) && select_operands(d, j, true);
}

static bool take_mov(const struct decode *d, struct jit_op *j)
{
	j->kind = J_MOV;
	return d->form != FORM_R && d->form != FORM_M && select_operands(d, j, true);
}

static bool take_convert(const struct decode *d, struct jit_op *j)
{
	j->kind = J_CONVERT;
	j->use = reg_bit(RAX) | reg_bit(RDX);
	j->wr = reg_bit(RDX);
	return true;
}

/* Groups with a file of their own. */
static bool take_special(const struct decode *d, struct jit_op *j, u32 *group)
{
	static const struct {
		u32 group;
		bool (*take)(const struct decode *d, struct jit_op *j);
	} t[] = {{JIT_GROUP_MULDIV, muldiv_take},
		 {JIT_GROUP_BITS, bits_take},
		 {JIT_GROUP_ATOMIC, atomic_take},
		 {JIT_GROUP_FLAGOP, flagop_take},
		 {JIT_GROUP_STRING, string_take}};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		*j = (struct jit_op){0};
		*group = t[i].group;
		if (t[i].take(d, j)) {
			*group = j->lock ? JIT_GROUP_ATOMIC : *group;
			return true;
		}
	}
	*j = (struct jit_op){0};
	return false;
}

/* Return: is it native; @group its group. */
static bool take(const struct decode *d, struct jit_op *j, u32 *group)
{
	if (take_special(d, j, group))
		return true;
	*group = JIT_GROUP_MOV;
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV: return take_mov(d, j);
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
		j->kind = J_NOP;
		return !(d->op->flags & (OP_LOCK | OP_REP));
	case ZYDIS_MNEMONIC_XCHG:
		j->kind = J_XCHG;
		j->wr = reg_bit(d->op->src);
		return d->form == FORM_RR && select_operands(d, j, true);
	case ZYDIS_MNEMONIC_BSWAP:
		j->kind = J_BSWAP;
		return d->op->size >= 4 && d->form == FORM_R && select_operands(d, j, true);
	case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE:
	case ZYDIS_MNEMONIC_CDQE:
		j->kind = J_SIGN_RAX;
		j->sub = d->insn.mnemonic == ZYDIS_MNEMONIC_CBW	   ? 2
			 : d->insn.mnemonic == ZYDIS_MNEMONIC_CWDE ? 4
								   : 8;
		j->use = j->wr = reg_bit(RAX);
		return true;
	case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ:
	case ZYDIS_MNEMONIC_CQO: return take_convert(d, j);
	case ZYDIS_MNEMONIC_MOVZX: *group = JIT_GROUP_EXTEND; return take_extend(d, j, 0x0fb6);
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD: *group = JIT_GROUP_EXTEND; return take_extend(d, j, 0x0fbe);
	case ZYDIS_MNEMONIC_LEA:
		*group = JIT_GROUP_LEA;
		j->kind = J_LEA;
		j->use = reg_bit(d->op->base) | reg_bit(d->op->index) | reg_bit(d->op->dst);
		j->wr = reg_bit(d->op->dst);
		return (d->op->size == 8 ? d->op->asize == 8
					 : d->op->size == 4 && d->op->asize >= 4) &&
		       d->op->dst < 16 &&
		       ((s64)(s32)d->op->disp == d->op->disp || d->op->size == 4 ||
			(d->op->base == OP_NO_REG && d->op->index == OP_NO_REG));
	default: break;
	}
	*group = d->op->flags & OP_LOCK ? JIT_GROUP_ATOMIC : JIT_GROUP_ALU;
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ADD: return take_alu(d, j, 0, true);
	case ZYDIS_MNEMONIC_OR: return take_alu(d, j, 1, true);
	case ZYDIS_MNEMONIC_ADC: return take_alu(d, j, 2, true);
	case ZYDIS_MNEMONIC_SBB: return take_alu(d, j, 3, true);
	case ZYDIS_MNEMONIC_AND: return take_alu(d, j, 4, true);
	case ZYDIS_MNEMONIC_SUB: return take_alu(d, j, 5, true);
	case ZYDIS_MNEMONIC_XOR: return take_alu(d, j, 6, true);
	case ZYDIS_MNEMONIC_CMP: return take_alu(d, j, 7, false);
	case ZYDIS_MNEMONIC_TEST:
		j->kind = J_TEST;
		j->written = j->killed = RFLAGS_ARITH;
		return d->form != FORM_RM && select_operands(d, j, false);
	case ZYDIS_MNEMONIC_INC: return take_unary(d, j, 0, true);
	case ZYDIS_MNEMONIC_DEC: return take_unary(d, j, 1, true);
	case ZYDIS_MNEMONIC_NOT: return take_unary(d, j, 2, false);
	case ZYDIS_MNEMONIC_NEG: return take_unary(d, j, 3, false);
	default: break;
	}
	*group = JIT_GROUP_SHIFT;
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ROL: return take_shift(d, j, 0);
	case ZYDIS_MNEMONIC_ROR: return take_shift(d, j, 1);
	case ZYDIS_MNEMONIC_RCL: return take_shift(d, j, 2);
	case ZYDIS_MNEMONIC_RCR: return take_shift(d, j, 3);
	case ZYDIS_MNEMONIC_SHL: return take_shift(d, j, 4);
	case ZYDIS_MNEMONIC_SHR: return take_shift(d, j, 5);
	case ZYDIS_MNEMONIC_SAR: return take_shift(d, j, 7);
	case ZYDIS_MNEMONIC_IMUL: *group = JIT_GROUP_IMUL; return take_imul(d, j);
	case ZYDIS_MNEMONIC_PUSH: *group = JIT_GROUP_STACK; return take_stack(d, j, J_PUSH);
	case ZYDIS_MNEMONIC_POP: *group = JIT_GROUP_STACK; return take_stack(d, j, J_POP);
	case ZYDIS_MNEMONIC_LEAVE: *group = JIT_GROUP_STACK; return take_stack(d, j, J_LEAVE);
	case ZYDIS_MNEMONIC_CALL:
		*group = JIT_GROUP_CALL;
		return d->insn.opcode == 0xe8 ? take_stack(d, j, J_CALL)
					      : take_indirect(d, j, J_CALL_IND);
	case ZYDIS_MNEMONIC_RET: *group = JIT_GROUP_CALL; return take_stack(d, j, J_RET);
	default: break;
	}
	*group = JIT_GROUP_BRANCH;
	if (d->insn.mnemonic == ZYDIS_MNEMONIC_JMP && d->insn.opcode == 0xff)
		return take_indirect(d, j, J_JMP_IND);
	if (take_branch(d, j))
		return true;
	*group = JIT_GROUP_COND;
	*j = (struct jit_op){0};
	return take_condition(d, j);
}

static void make_slow(struct jit_op *j)
{
	*j = (struct jit_op){.kind = J_SLOW};
}

/* Short runs of native operations between handlers go to the handlers too, unless they branch: the
 * registers would only be loaded to be stored again. */
static void drop_short_runs(struct jit_op *j, u32 n, u32 min)
{
	for (u32 i = 0, end; i < n; i = end + 1) {
		bool branches = false;

		for (end = i; end < n && j[end].kind != J_SLOW; end++)
			branches |= j[end].kind >= J_JCC;
		if (end - i < min && i && end < n && !branches)
			for (u32 k = i; k < end; k++)
				make_slow(&j[k]);
	}
}

/* What leaves shows all flags; what does not overwrites some. */
static void find_live(struct jit_op *j, u32 n)
{
	u32 live = RFLAGS_ARITH;

	for (u32 i = n; i-- > 0;) {
		struct jit_op *o = &j[i];

		o->after = live;
		if (o->kind == J_SLOW || (o->mem && !o->sure) || o->leaves || o->kind == J_JCC ||
		    o->kind >= J_JMP)
			live = RFLAGS_ARITH;
		else
			live = (live & ~o->killed) | o->read;
		o->before = live;
	}
}

u32 jit_select(struct vp *vp, struct block *b, const struct jit *tier, struct jit_op *j)
{
	struct op scratch;
	struct decode d = {.vp = vp, .mode = b->mode, .op = &scratch};
	u32 native = 0, off = tier->off;

	for (u32 i = 0; i < b->n_ops; i++) {
		const struct op *op = &b->ops[i];
		u32 group;

		make_slow(&j[i]);
		if (vector_take(vp, b, op, i ? op->fn : b->first, &j[i])) {
			if (off & 1u << JIT_GROUP_VEC || (j[i].mem && off & 1u << JIT_GROUP_MEM))
				make_slow(&j[i]);
			continue;
		}
		make_slow(&j[i]);
		if (b->mode & VP_MODE_BRANCHES && is_branch(op->mnemonic))
			continue;
		if (is_system(i ? op->fn : b->first) && op->mnemonic != ZYDIS_MNEMONIC_PUSHFQ)
			continue;
		if (decode_one(&d, b->code + op->rip_off, op->len, b->rip + op->rip_off,
			       op->rip_off, i) != DECODE_OK ||
		    !take(&d, &j[i], &group) || off & 1u << group ||
		    (j[i].high && off & 1u << JIT_GROUP_HIGH) ||
		    (j[i].mem && off & 1u << JIT_GROUP_MEM))
			make_slow(&j[i]);
	}
	/* heat 1: tests want everything */
	drop_short_runs(j, b->n_ops, tier->heat == 1 ? 1 : RUN_MIN);
	if ((b->mode & VP_MODE_SIZE) == VP_MODE_64 && !(off & 1u << JIT_GROUP_RANGES) &&
	    !jit_is_apart(tier, b))
		range_find(b, j);
	find_live(j, b->n_ops);
	for (u32 i = 0; i < b->n_ops; i++)
		native += j[i].kind != J_SLOW;
	return native;
}
