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

static bool take_alu(const struct decode *d, struct jit_op *j, u32 digit)
{
	j->kind = J_ALU;
	j->sub = (u8)digit;
	j->written = j->killed = RFLAGS_ARITH;
	j->read = digit == 2 || digit == 3 ? RFLAGS_CF : 0;
	j->lock = d->op->flags & OP_LOCK;
	return select_operands(d, j, digit != 7); /* CMP */
}

/* INC, DEC: digits of FE/FF; NOT, NEG: of F6/F7. */
static bool take_unary(const struct decode *d, struct jit_op *j, u32 digit)
{
	bool step = digit < 2;

	j->kind = J_UNARY;
	j->sub = (u8)digit;
	j->by_cl = step;
	if (digit != 2)
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

static bool take_imul(const struct decode *d, struct jit_op *j, u32 unused)
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

static bool take_mov(const struct decode *d, struct jit_op *j, u32 unused)
{
	j->kind = J_MOV;
	return d->form != FORM_R && d->form != FORM_M && select_operands(d, j, true);
}

static bool take_convert(const struct decode *d, struct jit_op *j, u32 unused)
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

static bool take_nop(const struct decode *d, struct jit_op *j, u32 unused)
{
	j->kind = J_NOP;
	return !(d->op->flags & (OP_LOCK | OP_REP));
}

static bool take_xchg(const struct decode *d, struct jit_op *j, u32 unused)
{
	j->kind = J_XCHG;
	j->wr = reg_bit(d->op->src);
	return d->form == FORM_RR && select_operands(d, j, true);
}

static bool take_bswap(const struct decode *d, struct jit_op *j, u32 unused)
{
	j->kind = J_BSWAP;
	return d->op->size >= 4 && d->form == FORM_R && select_operands(d, j, true);
}

static bool take_sign_rax(const struct decode *d, struct jit_op *j, u32 size)
{
	j->kind = J_SIGN_RAX;
	j->sub = (u8)size;
	j->use = j->wr = reg_bit(RAX);
	return true;
}

static bool take_lea(const struct decode *d, struct jit_op *j, u32 unused)
{
	const struct op *op = d->op;

	j->kind = J_LEA;
	j->use = reg_bit(op->base) | reg_bit(op->index) | reg_bit(op->dst);
	j->wr = reg_bit(op->dst);
	return (op->size == 8 ? op->asize == 8 : op->size == 4 && op->asize >= 4) && op->dst < 16 &&
	       ((s64)(s32)op->disp == op->disp || op->size == 4 ||
		(op->base == OP_NO_REG && op->index == OP_NO_REG));
}

static bool take_test(const struct decode *d, struct jit_op *j, u32 unused)
{
	j->kind = J_TEST;
	j->written = j->killed = RFLAGS_ARITH;
	return d->form != FORM_RM && select_operands(d, j, false);
}

static bool take_call(const struct decode *d, struct jit_op *j, u32 unused)
{
	return d->insn.opcode == 0xe8 ? take_stack(d, j, J_CALL) : take_indirect(d, j, J_CALL_IND);
}

static bool take_jump(const struct decode *d, struct jit_op *j, u32 unused)
{
	return d->insn.opcode == 0xff ? take_indirect(d, j, J_JMP_IND) : take_branch(d, j);
}

/* By mnemonic. What is not here is a conditional branch, CMOVcc, SETcc, or a handler's. */
static const struct taker {
	bool (*take)(const struct decode *d, struct jit_op *j, u32 arg);
	u16 group, arg;
} takers[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define TAKE(name, grp, fn, what) [ZYDIS_MNEMONIC_##name] = {fn, JIT_GROUP_##grp, what}
	TAKE(MOV, MOV, take_mov, 0),
	TAKE(NOP, MOV, take_nop, 0),
	TAKE(ENDBR32, MOV, take_nop, 0),
	TAKE(ENDBR64, MOV, take_nop, 0),
	TAKE(PREFETCH, MOV, take_nop, 0),
	TAKE(PREFETCHW, MOV, take_nop, 0),
	TAKE(PREFETCHWT1, MOV, take_nop, 0),
	TAKE(PREFETCHNTA, MOV, take_nop, 0),
	TAKE(PREFETCHT0, MOV, take_nop, 0),
	TAKE(PREFETCHT1, MOV, take_nop, 0),
	TAKE(PREFETCHT2, MOV, take_nop, 0),
	TAKE(XCHG, MOV, take_xchg, 0),
	TAKE(BSWAP, MOV, take_bswap, 0),
	TAKE(CBW, MOV, take_sign_rax, 2),
	TAKE(CWDE, MOV, take_sign_rax, 4),
	TAKE(CDQE, MOV, take_sign_rax, 8),
	TAKE(CWD, MOV, take_convert, 0),
	TAKE(CDQ, MOV, take_convert, 0),
	TAKE(CQO, MOV, take_convert, 0),
	TAKE(MOVZX, EXTEND, take_extend, 0x0fb6),
	TAKE(MOVSX, EXTEND, take_extend, 0x0fbe),
	TAKE(MOVSXD, EXTEND, take_extend, 0x0fbe),
	TAKE(LEA, LEA, take_lea, 0),
	TAKE(ADD, ALU, take_alu, 0),
	TAKE(OR, ALU, take_alu, 1),
	TAKE(ADC, ALU, take_alu, 2),
	TAKE(SBB, ALU, take_alu, 3),
	TAKE(AND, ALU, take_alu, 4),
	TAKE(SUB, ALU, take_alu, 5),
	TAKE(XOR, ALU, take_alu, 6),
	TAKE(CMP, ALU, take_alu, 7),
	TAKE(TEST, ALU, take_test, 0),
	TAKE(INC, ALU, take_unary, 0),
	TAKE(DEC, ALU, take_unary, 1),
	TAKE(NOT, ALU, take_unary, 2),
	TAKE(NEG, ALU, take_unary, 3),
	TAKE(ROL, SHIFT, take_shift, 0),
	TAKE(ROR, SHIFT, take_shift, 1),
	TAKE(RCL, SHIFT, take_shift, 2),
	TAKE(RCR, SHIFT, take_shift, 3),
	TAKE(SHL, SHIFT, take_shift, 4),
	TAKE(SHR, SHIFT, take_shift, 5),
	TAKE(SAR, SHIFT, take_shift, 7),
	TAKE(IMUL, IMUL, take_imul, 0),
	TAKE(PUSH, STACK, take_stack, J_PUSH),
	TAKE(POP, STACK, take_stack, J_POP),
	TAKE(LEAVE, STACK, take_stack, J_LEAVE),
	TAKE(CALL, CALL, take_call, 0),
	TAKE(RET, CALL, take_stack, J_RET),
	TAKE(JMP, BRANCH, take_jump, 0),
#undef TAKE
};

/* Return: is it native; @group its group. */
static bool take(const struct decode *d, struct jit_op *j, u32 *group)
{
	const struct taker *t = &takers[d->insn.mnemonic];

	if (take_special(d, j, group))
		return true;
	if (t->take) {
		*group = t->group == JIT_GROUP_ALU && d->op->flags & OP_LOCK ? JIT_GROUP_ATOMIC
									     : t->group;
		return t->take(d, j, t->arg);
	}
	*group = JIT_GROUP_BRANCH;
	if (take_branch(d, j))
		return true;
	*group = JIT_GROUP_COND;
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
