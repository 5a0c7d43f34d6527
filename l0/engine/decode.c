/*
 * One instruction: Zydis finds its length, operands and flags; this copies what the handlers need
 * into struct op and lets the op_*.c files pick the handler. What nobody picks is #UD.
 */
#include "l0/engine/decode.h"

#include "l0/engine/quick.h"
#include "l0/engine/sys.h"
#include "l0/engine/vec.h"

#define MAX_INSN_BYTES 15u

u8 decode_reg(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return (u8)(r - ZYDIS_REGISTER_AL);
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return (u8)(0x80 | (r - ZYDIS_REGISTER_AH));
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return (u8)(r - ZYDIS_REGISTER_SPL + RSP);
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return (u8)(r - ZYDIS_REGISTER_AX);
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return (u8)(r - ZYDIS_REGISTER_EAX);
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return (u8)(r - ZYDIS_REGISTER_RAX);
	return OP_NO_REG;
}

static u8 segment_of(ZydisRegister r)
{
	return r >= ZYDIS_REGISTER_ES && r <= ZYDIS_REGISTER_GS ? (u8)(r - ZYDIS_REGISTER_ES)
								: SEG_DS;
}

/* Zydis with what the processor model lacks turned off: LZCNT is BSR then, and so on. */
static void init_decoder(struct decode *d, ZydisDecoder *z)
{
	const struct cpu_features *f = d->vp->features;

	switch (d->mode & VP_MODE_SIZE) {
	case VP_MODE_64:
		ZydisDecoderInit(z, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
		break;
	case VP_MODE_32:
		ZydisDecoderInit(z, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
		break;
	default:
		ZydisDecoderInit(z,
				 d->mode & (VP_MODE_REAL | VP_MODE_V86)
					 ? ZYDIS_MACHINE_MODE_REAL_16
					 : ZYDIS_MACHINE_MODE_LEGACY_16,
				 ZYDIS_STACK_WIDTH_16);
	}
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_LZCNT, f->has_lzcnt);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_TZCNT, f->has_bmi1);
}

static bool is_modrm_memory(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
		o->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64);
}

static void set_memory(struct decode *d, const ZydisDecodedOperand *o)
{
	struct op *op = d->op;
	bool code64 = (d->mode & VP_MODE_SIZE) == VP_MODE_64;

	op->flags |= OP_MEM;
	op->seg = segment_of(o->mem.segment);
	op->base = decode_reg(o->mem.base);
	op->index = decode_reg(o->mem.index);
	op->scale = o->mem.scale;
	op->disp = o->mem.disp.has_displacement ? o->mem.disp.value : 0;
	/* SIB without a base: Zydis names R13 when REX.B is set and addresses are 32 bits wide. */
	if (op->asize >= 4 && d->insn.raw.modrm.mod == 0 && d->insn.raw.modrm.rm == 4 &&
	    d->insn.raw.sib.base == 5) {
		op->base = OP_NO_REG;
		op->disp = d->insn.raw.disp.value;
	}
	if (o->mem.base == ZYDIS_REGISTER_RIP)
		op->disp += (s64)(d->rip + d->insn.length);
	else if (o->mem.base == ZYDIS_REGISTER_EIP)
		op->disp = (s64)(u32)(op->disp + (s64)(d->rip + d->insn.length));
	if (d->mode & VP_MODE_AC ||
	    (!code64 && (!(d->mode & VP_MODE_FLAT) || op->seg == SEG_CS || op->seg >= SEG_FS)))
		op->flags |= OP_SEGCHECK;
	d->flat64 = code64 && op->asize == 8 && op->seg < SEG_FS && !(d->mode & VP_MODE_AC);
	d->simple64 = d->flat64 && op->index == OP_NO_REG;
}

/* The segment of memory operands that no ModRM byte names: strings, XLAT, MASKMOV. */
static void set_implicit_segment(struct decode *d)
{
	for (u32 i = 0; i < d->insn.operand_count; i++) {
		const ZydisDecodedOperand *o = &d->opr[i];
		u8 base =
			o->type == ZYDIS_OPERAND_TYPE_MEMORY ? decode_reg(o->mem.base) : OP_NO_REG;

		if (base == RSI || base == RBX ||
		    (base == RDI && o->mem.segment != ZYDIS_REGISTER_ES))
			d->op->seg = segment_of(o->mem.segment);
	}
}

static bool is_gpr(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER && decode_reg(o->reg.value) != OP_NO_REG;
}

/* Form, registers and immediate of integer instructions from the operands that one writes down. */
static void set_operands(struct decode *d)
{
	const ZydisDecodedOperand *a = &d->opr[0], *b = &d->opr[1];
	u32 n = d->insn.operand_count_visible;
	struct op *op = d->op;
	char k[2] = {0};

	for (u32 i = 0; i < n && i < 2; i++) {
		const ZydisDecodedOperand *o = &d->opr[i];

		k[i] = is_gpr(o)				 ? 'r'
		       : is_modrm_memory(o)			 ? 'm'
		       : o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? 'i'
								 : '?';
	}
	for (u32 i = 0; i < n; i++)
		if (d->opr[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			op->imm = d->opr[i].imm.value.u;
			break;
		}
	if (k[0] == 'r')
		op->dst = decode_reg(a->reg.value);
	if (k[1] == 'r')
		op->src = decode_reg(b->reg.value);
	if (n == 0)
		d->form = FORM_NONE;
	else if (n == 1)
		d->form = k[0] == 'r'	? FORM_R
			  : k[0] == 'm' ? FORM_M
			  : k[0] == 'i' ? FORM_I
					: FORM_OTHER;
	else if (k[0] == 'r')
		d->form = k[1] == 'r'	? FORM_RR
			  : k[1] == 'i' ? FORM_RI
			  : k[1] == 'm' ? FORM_RM
					: FORM_OTHER;
	else if (k[0] == 'm')
		d->form = k[1] == 'r' ? FORM_MR : k[1] == 'i' ? FORM_MI : FORM_OTHER;
	else
		d->form = FORM_OTHER;
}

/* What sys.h promises to system operations. */
static void set_system(struct decode *d)
{
	const ZydisDecodedInstruction *in = &d->insn;
	struct op *op = d->op;
	u32 map = in->opcode_map == ZYDIS_OPCODE_MAP_0F	    ? 1
		  : in->opcode_map == ZYDIS_OPCODE_MAP_0F38 ? 2
		  : in->opcode_map == ZYDIS_OPCODE_MAP_0F3A ? 3
							    : 0;

	op->aux = (u16)(in->opcode | map << 8);
	if (in->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		op->dst = (u8)(in->raw.modrm.reg | (in->raw.rex.R ? 8 : 0));
		op->src = (u8)(in->raw.modrm.rm | (in->raw.rex.B && !(op->flags & OP_MEM) ? 8 : 0));
	}
	for (u32 i = 0; i < in->operand_count; i++)
		if (d->opr[i].type == ZYDIS_OPERAND_TYPE_POINTER) {
			op->imm = d->opr[i].ptr.offset;
			op->sel = d->opr[i].ptr.segment;
		}
}

static void set_flags_use(struct decode *d)
{
	const ZydisAccessedFlags *f = d->insn.cpu_flags;

	d->flags_read = d->flags_written = 0;
	if (!f)
		return;
	d->flags_read = f->tested & RFLAGS_ARITH;
	d->flags_written = (f->modified | f->set_0 | f->set_1 | f->undefined) & RFLAGS_ARITH;
}

static void fill_op(struct decode *d)
{
	const ZydisDecodedInstruction *in = &d->insn;
	struct op *op = d->op;
	u64 at = in->attributes;

	op->mnemonic = (u16)in->mnemonic;
	op->len = in->length;
	op->size = (u8)(in->operand_width / 8);
	op->asize = (u8)(in->address_width / 8);
	op->modrm = (u8)(in->raw.modrm.mod << 6 | in->raw.modrm.reg << 3 | in->raw.modrm.rm);
	op->flags = (u8)((at & ZYDIS_ATTRIB_HAS_LOCK ? OP_LOCK : 0) |
			 (at & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE) ? OP_REP : 0) |
			 (at & ZYDIS_ATTRIB_HAS_REPNE ? OP_REPNE : 0) |
			 (at & ZYDIS_ATTRIB_HAS_OPERANDSIZE ? OP_OPSIZE : 0));
	d->si = op->size ? (u32)__builtin_ctz(op->size) & 3 : 0;
	for (u32 i = 0; i < in->operand_count; i++)
		if (is_modrm_memory(&d->opr[i])) {
			set_memory(d, &d->opr[i]);
			break;
		}
	if (!(op->flags & OP_MEM))
		set_implicit_segment(d);
	set_operands(d);
	set_flags_use(d);
}

static bool pick_integer(struct decode *d)
{
	return op_mov_pick(d) || op_alu_pick(d) || op_branch_pick(d) || op_stack_pick(d) ||
	       op_shift_pick(d) || op_muldiv_pick(d) || op_bit_pick(d) || op_atomic_pick(d) ||
	       op_string_pick(d) || op_misc_pick(d);
}

static void pick(struct decode *d, const u8 *bytes)
{
	struct op *op = d->op;

	/* the vector sets hold instructions without vector state too: fences, CRC32, prefetches */
	op->fn = vec_op_lookup(d->vp, &d->insn, d->opr, bytes, op);
	if (op->fn) {
		d->may_leave = true;
		d->ends = op->fn == op_slow;
		return;
	}
	if (unlikely(d->mode & VP_MODE_STACKS) && op_watch_pick(d))
		return;
	if (pick_integer(d))
		return;
	set_system(d);
	d->ends = true;
	op->slow = sys_op_lookup(op->mnemonic);
	if (!op->slow)
		op->fn = op_ud;
	else if (d->vp->tier && d->vp->tier->before_effect &&
		 (d->mode & VP_MODE_PLAIN || !quick_can_be_undone(op)))
		op->fn = op_slow; /* the general way is what the short ones are compared with */
	else
		op->fn = quick_handler(op, d->mode, &d->ends);
	d->may_leave = true;
}

/* Is the immediate at the end of the instruction just op->imm, so that another one changes nothing
 * else? */
static void set_immediate(struct decode *d)
{
	const ZydisDecodedInstruction *in = &d->insn;

	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST: break;
	default: return;
	}
	if ((d->form != FORM_RI && d->form != FORM_MI) || d->op->fn == op_slow ||
	    in->raw.imm[1].size || in->raw.imm[0].offset + in->raw.imm[0].size / 8 != in->length ||
	    d->op->imm != in->raw.imm[0].value.u)
		return;
	d->op->imm_bytes =
		(u8)(in->raw.imm[0].size / 8 | (in->raw.imm[0].is_signed ? OP_IMM_SIGNED : 0));
}

/* All bytes that were looked at belong to it: the block is as good as they stay the same. */
static void raise(struct decode *d, op_fn fn, u32 avail)
{
	d->op->fn = fn;
	d->op->len = (u8)MIN(avail, MAX_INSN_BYTES);
	d->ends = d->may_leave = true;
}

enum decode_result decode_one(struct decode *d, const u8 *bytes, u32 avail, u64 rip, u32 off,
			      u32 idx)
{
	struct op *op = d->op;
	ZydisDecoder z;
	ZyanStatus st;

	*op = (struct op){.rip_off = (u16)off,
			  .idx = (u8)idx,
			  .base = OP_NO_REG,
			  .index = OP_NO_REG,
			  .scale = 1,
			  .seg = SEG_DS,
			  .link = {&block_unlinked}};
	d->rip = rip;
	d->form = FORM_NONE;
	d->flat64 = d->simple64 = d->ends = d->may_leave = false;
	d->noflags = NULL;
	d->fuse = FUSE_NONE;
	d->flags_read = d->flags_written = 0;
	init_decoder(d, &z);
	st = ZydisDecoderDecodeFull(&z, bytes, MIN(avail, MAX_INSN_BYTES), &d->insn, d->opr);
	if (likely(ZYAN_SUCCESS(st))) {
		fill_op(d);
		pick(d, bytes);
		set_immediate(d);
	} else if (st == ZYDIS_STATUS_NO_MORE_DATA && avail < MAX_INSN_BYTES) {
		return DECODE_MORE;
	} else {
		raise(d,
		      st == ZYDIS_STATUS_NO_MORE_DATA || st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG
			      ? op_gp
			      : op_ud,
		      avail);
	}
	return DECODE_OK;
}
