/*
 * MOV and what moves without computing: MOVZX, MOVSX(D), LEA, XCHG of registers, CMOVcc, SETcc,
 * BSWAP, MOVBE, MOVNTI, the conversions CBW … CQO, XLAT.
 */
#include "l0/engine/decode.h"

#define T1 u8
#define T2 u16
#define T4 u32
#define T8 u64
#define ROW(name) \
	{ \
		name##1, name##2, name##4, name##8 \
	}

#define LIN_S ea_simple64(vp, op)
#define LIN_F ea_flat64(vp, op)
#define LIN_R(S) LINEAR(vp, op, S, false)
#define LIN_W(S) LINEAR(vp, op, S, true)

#define DEF_MOV(S) \
	static void mov_rr##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, REG##S(vp, op->src)); \
		NEXT(vp, op); \
	} \
	static void mov_ri##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, (T##S)op->imm); \
		NEXT(vp, op); \
	} \
	static void mov_rs##S(struct vp *vp, const struct op *op) \
	{ \
		T##S v = mem_load##S(vp, op, LIN_S, op->seg); \
		SET_REG##S(vp, op->dst, v); \
		NEXT(vp, op); \
	} \
	static void mov_rf##S(struct vp *vp, const struct op *op) \
	{ \
		T##S v = mem_load##S(vp, op, LIN_F, op->seg); \
		SET_REG##S(vp, op->dst, v); \
		NEXT(vp, op); \
	} \
	static void mov_rm##S(struct vp *vp, const struct op *op) \
	{ \
		T##S v = mem_load##S(vp, op, LIN_R(S), op->seg); \
		SET_REG##S(vp, op->dst, v); \
		NEXT(vp, op); \
	} \
	static void mov_sr##S(struct vp *vp, const struct op *op) \
	{ \
		mem_store##S(vp, op, LIN_S, REG##S(vp, op->src), op->seg); \
		NEXT(vp, op); \
	} \
	static void mov_fr##S(struct vp *vp, const struct op *op) \
	{ \
		mem_store##S(vp, op, LIN_F, REG##S(vp, op->src), op->seg); \
		NEXT(vp, op); \
	} \
	static void mov_mr##S(struct vp *vp, const struct op *op) \
	{ \
		mem_store##S(vp, op, LIN_W(S), REG##S(vp, op->src), op->seg); \
		NEXT(vp, op); \
	} \
	static void mov_fi##S(struct vp *vp, const struct op *op) \
	{ \
		mem_store##S(vp, op, LIN_F, (T##S)op->imm, op->seg); \
		NEXT(vp, op); \
	} \
	static void mov_mi##S(struct vp *vp, const struct op *op) \
	{ \
		mem_store##S(vp, op, LIN_W(S), (T##S)op->imm, op->seg); \
		NEXT(vp, op); \
	}
DEF_MOV(1)
DEF_MOV(2)
DEF_MOV(4)
DEF_MOV(8)

static const op_fn mov_rr[4] = ROW(mov_rr), mov_ri[4] = ROW(mov_ri), mov_rs[4] = ROW(mov_rs),
		   mov_rf[4] = ROW(mov_rf), mov_rm[4] = ROW(mov_rm), mov_sr[4] = ROW(mov_sr),
		   mov_fr[4] = ROW(mov_fr), mov_mr[4] = ROW(mov_mr), mov_fi[4] = ROW(mov_fi),
		   mov_mi[4] = ROW(mov_mi);

/* MOVZX, MOVSX: destination size D from source size S; C converts. */
#define DEF_EXTEND(name, D, S, C) \
	static void name##_r##D##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##D(vp, op->dst, (T##D)(C)REG##S(vp, op->src)); \
		NEXT(vp, op); \
	} \
	static void name##_f##D##S(struct vp *vp, const struct op *op) \
	{ \
		T##S v = mem_load##S(vp, op, LIN_F, op->seg); \
		SET_REG##D(vp, op->dst, (T##D)(C)v); \
		NEXT(vp, op); \
	} \
	static void name##_m##D##S(struct vp *vp, const struct op *op) \
	{ \
		T##S v = mem_load##S(vp, op, LIN_R(S), op->seg); \
		SET_REG##D(vp, op->dst, (T##D)(C)v); \
		NEXT(vp, op); \
	}
DEF_EXTEND(movzx, 2, 1, u8)
DEF_EXTEND(movzx, 4, 1, u8)
DEF_EXTEND(movzx, 8, 1, u8)
DEF_EXTEND(movzx, 2, 2, u16)
DEF_EXTEND(movzx, 4, 2, u16)
DEF_EXTEND(movzx, 8, 2, u16)
DEF_EXTEND(movsx, 2, 1, s8)
DEF_EXTEND(movsx, 4, 1, s8)
DEF_EXTEND(movsx, 8, 1, s8)
DEF_EXTEND(movsx, 2, 2, s16)
DEF_EXTEND(movsx, 4, 2, s16)
DEF_EXTEND(movsx, 8, 2, s16)
DEF_EXTEND(movsx, 2, 4, s32)
DEF_EXTEND(movsx, 4, 4, s32)
DEF_EXTEND(movsx, 8, 4, s32)

/* [source size][destination size - 1][register, flat, general] */
#define EXT3(name, D, S) \
	{ \
		name##_r##D##S, name##_f##D##S, name##_m##D##S \
	}
static const op_fn movzx_fn[2][3][3] = {
	{EXT3(movzx, 2, 1), EXT3(movzx, 4, 1), EXT3(movzx, 8, 1)},
	{EXT3(movzx, 2, 2), EXT3(movzx, 4, 2), EXT3(movzx, 8, 2)},
};
static const op_fn movsx_fn[3][3][3] = {
	{EXT3(movsx, 2, 1), EXT3(movsx, 4, 1), EXT3(movsx, 8, 1)},
	{EXT3(movsx, 2, 2), EXT3(movsx, 4, 2), EXT3(movsx, 8, 2)},
	{EXT3(movsx, 2, 4), EXT3(movsx, 4, 4), EXT3(movsx, 8, 4)},
};

static void lea_f8(struct vp *vp, const struct op *op)
{
	vp->cpu.gpr[op->dst] = ea_flat64(vp, op);
	NEXT(vp, op);
}

static void lea_s8(struct vp *vp, const struct op *op)
{
	vp->cpu.gpr[op->dst] = ea_simple64(vp, op);
	NEXT(vp, op);
}

static void lea_f4(struct vp *vp, const struct op *op)
{
	SET_REG4(vp, op->dst, ea_flat64(vp, op));
	NEXT(vp, op);
}

static void lea_any(struct vp *vp, const struct op *op)
{
	u64 ea = ea_flat64(vp, op);

	ea = op->asize == 8 ? ea : op->asize == 4 ? (u32)ea : (u16)ea;
	reg_set(vp, op->dst, ea, op->size);
	NEXT(vp, op);
}

#define DEF_XCHG_RR(S) \
	static void xchg_rr##S(struct vp *vp, const struct op *op) \
	{ \
		T##S a = REG##S(vp, op->dst), b = REG##S(vp, op->src); \
		SET_REG##S(vp, op->dst, b); \
		SET_REG##S(vp, op->src, a); \
		NEXT(vp, op); \
	}
DEF_XCHG_RR(1)
DEF_XCHG_RR(2)
DEF_XCHG_RR(4)
DEF_XCHG_RR(8)
static const op_fn xchg_rr[4] = ROW(xchg_rr);

/* CMOVcc: the load happens whatever the condition; a 32-bit destination is zero-extended always. */
#define DEF_CMOV(cc, name) \
	static void cmov_##name##_r(struct vp *vp, const struct op *op) \
	{ \
		bool c = flags_cond(vp->arith, cc); \
		if (op->size == 8) { \
			u64 v = REG8(vp, op->src); \
			if (c) \
				REG8(vp, op->dst) = v; \
		} else if (op->size == 4) { \
			SET_REG4(vp, op->dst, c ? REG4(vp, op->src) : REG4(vp, op->dst)); \
		} else if (c) { \
			REG2(vp, op->dst) = REG2(vp, op->src); \
		} \
		NEXT(vp, op); \
	} \
	static void setcc_##name##_r(struct vp *vp, const struct op *op) \
	{ \
		REG1(vp, op->dst) = flags_cond(vp->arith, cc); \
		NEXT(vp, op); \
	}
FLAGS_CONDITIONS(DEF_CMOV)
#define CMOV_ENTRY(cc, name) [cc] = cmov_##name##_r,
#define SETCC_ENTRY(cc, name) [cc] = setcc_##name##_r,
static const op_fn cmov_r[16] = {FLAGS_CONDITIONS(CMOV_ENTRY)};
static const op_fn setcc_r[16] = {FLAGS_CONDITIONS(SETCC_ENTRY)};

static void cmov_m(struct vp *vp, const struct op *op)
{
	u64 v = op->size == 8	? mem_load8(vp, op, LIN_R(8), op->seg)
		: op->size == 4 ? mem_load4(vp, op, LIN_R(4), op->seg)
				: mem_load2(vp, op, LIN_R(2), op->seg);

	if (flags_cond(vp->arith, op->aux & 15))
		reg_set(vp, op->dst, v, op->size);
	else if (op->size == 4)
		SET_REG4(vp, op->dst, REG4(vp, op->dst));
	NEXT(vp, op);
}

static void setcc_m(struct vp *vp, const struct op *op)
{
	mem_store1(vp, op, LIN_W(1), flags_cond(vp->arith, op->aux & 15), op->seg);
	NEXT(vp, op);
}

/* ---- rare ones ---- */

static u64 bswap(u64 v, u32 size)
{
	return size == 8   ? __builtin_bswap64(v)
	       : size == 4 ? __builtin_bswap32((u32)v)
			   : __builtin_bswap16((u16)v);
}

static void bswap_r(struct vp *vp, const struct op *op)
{
	/* 16-bit BSWAP is undefined; processors clear the register's low half. */
	reg_set(vp, op->dst, op->size == 2 ? 0 : bswap(vp->cpu.gpr[op->dst], op->size), op->size);
	NEXT(vp, op);
}

static void movbe_load(struct vp *vp, const struct op *op)
{
	u64 v = seg_read(vp, op, op->seg, op_ea(vp, op), op->size);

	reg_set(vp, op->dst, bswap(v, op->size), op->size);
}

static void movbe_store(struct vp *vp, const struct op *op)
{
	seg_write(vp, op, op->seg, op_ea(vp, op), bswap(vp->cpu.gpr[op->src], op->size), op->size);
}

static void xlat(struct vp *vp, const struct op *op)
{
	u64 ea = vp->cpu.gpr[RBX] + REG1(vp, RAX);

	ea = op->asize == 8 ? ea : op->asize == 4 ? (u32)ea : (u16)ea;
	SET_REG1(vp, RAX, seg_read(vp, op, op->seg, ea, 1));
}

static void cbw(struct vp *vp, const struct op *op)
{
	SET_REG2(vp, RAX, (s8)REG1(vp, RAX));
	NEXT(vp, op);
}
static void cwde(struct vp *vp, const struct op *op)
{
	SET_REG4(vp, RAX, (s16)REG2(vp, RAX));
	NEXT(vp, op);
}
static void cdqe(struct vp *vp, const struct op *op)
{
	REG8(vp, RAX) = (u64)(s32)REG4(vp, RAX);
	NEXT(vp, op);
}
static void cwd(struct vp *vp, const struct op *op)
{
	SET_REG2(vp, RDX, (s16)REG2(vp, RAX) >> 15);
	NEXT(vp, op);
}
static void cdq(struct vp *vp, const struct op *op)
{
	SET_REG4(vp, RDX, (s32)REG4(vp, RAX) >> 31);
	NEXT(vp, op);
}
static void cqo(struct vp *vp, const struct op *op)
{
	REG8(vp, RDX) = (u64)((s64)REG8(vp, RAX) >> 63);
	NEXT(vp, op);
}

static bool pick(struct decode *d, op_fn fn)
{
	d->op->fn = fn;
	return true;
}

static bool pick_mov(struct decode *d)
{
	u32 si = d->si;

	d->may_leave = d->op->flags & OP_MEM;
	switch (d->form) {
	case FORM_RR: return pick(d, mov_rr[si]);
	case FORM_RI: return pick(d, mov_ri[si]);
	case FORM_RM:
		return pick(d, d->simple64 ? mov_rs[si] : d->flat64 ? mov_rf[si] : mov_rm[si]);
	case FORM_MR:
		return pick(d, d->simple64 ? mov_sr[si] : d->flat64 ? mov_fr[si] : mov_mr[si]);
	case FORM_MI: return pick(d, d->flat64 ? mov_fi[si] : mov_mi[si]);
	default: return false; /* segment, control and debug registers */
	}
}

static bool pick_extend(struct decode *d, const op_fn (*fn)[3][3])
{
	u32 ss = d->opr[1].size == 8 ? 0 : d->opr[1].size == 16 ? 1 : 2;

	/* MOVSXD with a 16-bit operand size reads 16 bits (Zydis says 32). */
	if (d->op->size == 2 && ss == 2)
		ss = 1;
	d->may_leave = d->op->flags & OP_MEM;
	d->op->fn = fn[ss][d->si - 1][d->form == FORM_RR ? 0 : d->flat64 ? 1 : 2];
	return true;
}

static bool pick_lea(struct decode *d)
{
	struct op *op = d->op;
	bool a64 = op->asize == 8;

	if (op->size == 8 && a64)
		op->fn = op->index == OP_NO_REG ? lea_s8 : lea_f8;
	else if (op->size == 4 && op->asize >= 4)
		op->fn = lea_f4;
	else
		op->fn = lea_any;
	return true;
}

static bool pick_condition(struct decode *d)
{
	u32 opcode = d->insn.opcode;
	bool mem = d->op->flags & OP_MEM;

	if (d->insn.opcode_map != ZYDIS_OPCODE_MAP_0F ||
	    d->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	d->may_leave = mem;
	d->op->aux = (u16)(opcode & 15);
	if ((opcode & 0xf0) == 0x40)
		return pick(d, mem ? cmov_m : cmov_r[opcode & 15]);
	if ((opcode & 0xf0) == 0x90)
		return pick(d, mem ? setcc_m : setcc_r[opcode & 15]);
	return false;
}

bool op_mov_pick(struct decode *d)
{
	bool mem = d->op->flags & OP_MEM;

	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV: return pick_mov(d);
	case ZYDIS_MNEMONIC_MOVNTI: return pick_mov(d);
	case ZYDIS_MNEMONIC_MOVZX: return pick_extend(d, movzx_fn);
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD: return pick_extend(d, movsx_fn);
	case ZYDIS_MNEMONIC_LEA: return pick_lea(d);
	case ZYDIS_MNEMONIC_XCHG: return !mem && pick(d, xchg_rr[d->si]);
	case ZYDIS_MNEMONIC_BSWAP: return pick(d, bswap_r);
	case ZYDIS_MNEMONIC_MOVBE:
		return d->vp->features->has_movbe &&
		       decode_plain(d, d->form == FORM_RM ? movbe_load : movbe_store);
	case ZYDIS_MNEMONIC_XLAT: return decode_plain(d, xlat);
	case ZYDIS_MNEMONIC_CBW: return pick(d, cbw);
	case ZYDIS_MNEMONIC_CWDE: return pick(d, cwde);
	case ZYDIS_MNEMONIC_CDQE: return pick(d, cdqe);
	case ZYDIS_MNEMONIC_CWD: return pick(d, cwd);
	case ZYDIS_MNEMONIC_CDQ: return pick(d, cdq);
	case ZYDIS_MNEMONIC_CQO: return pick(d, cqo);
	default: return pick_condition(d);
	}
}
