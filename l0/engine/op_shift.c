/*
 * SHL SHR SAR ROL ROR RCL RCR, SHLD SHRD, and RORX SARX SHLX SHRX. The host's own instruction runs
 * on the guest's flags (a count of 0 keeps them, rotates keep most), so every flag is the
 * hardware's.
 */
#include "l0/engine/decode.h"

#define T1 u8
#define T2 u16
#define T4 u32
#define T8 u64
#define MEM(S, p) (*(T##S __attribute__((may_alias, aligned(1))) *)(p))
#define ROW(name) \
	{ \
		name##1, name##2, name##4, name##8 \
	}

#define SHIFT_EXEC(name, sfx, dst, count) \
	do { \
		u32 ax_ = vp->arith; \
		__asm__ volatile(FLAGS_IN name sfx " %%cl, %[d]" FLAGS_OUT \
				 : [d] "+m"(dst), "+a"(ax_) \
				 : "c"(count) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)
#define SHIFT_EXEC_REG(name, sfx, dst, count) \
	do { \
		u32 ax_ = vp->arith; \
		__asm__ volatile(FLAGS_IN name sfx " %%cl, %[d]" FLAGS_OUT \
				 : [d] "+q"(dst), "+a"(ax_) \
				 : "c"(count) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)

#define DEF_SHIFT(nm, S, sfx) \
	static void nm##_ri##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst); \
		SHIFT_EXEC_REG(#nm, sfx, d, (u8)op->imm); \
		SET_REG##S(vp, op->dst, d); \
		NEXT(vp, op); \
	} \
	static void nm##_rc##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst); \
		SHIFT_EXEC_REG(#nm, sfx, d, (u8)vp->cpu.gpr[RCX]); \
		SET_REG##S(vp, op->dst, d); \
		NEXT(vp, op); \
	} \
	static void nm##_m##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin(vp, op, LINEAR(vp, op, S, true), S); \
		u8 count = op->aux ? (u8)vp->cpu.gpr[RCX] : (u8)op->imm; \
		SHIFT_EXEC(#nm, sfx, MEM(S, p), count); \
		rmw_end(vp, op); \
		NEXT(vp, op); \
	}
#define DEF_SHIFT_SIZES(nm) \
	DEF_SHIFT(nm, 1, "b") DEF_SHIFT(nm, 2, "w") DEF_SHIFT(nm, 4, "l") DEF_SHIFT(nm, 8, "q")
DEF_SHIFT_SIZES(rol)
DEF_SHIFT_SIZES(ror)
DEF_SHIFT_SIZES(rcl)
DEF_SHIFT_SIZES(rcr)
DEF_SHIFT_SIZES(shl)
DEF_SHIFT_SIZES(shr)
DEF_SHIFT_SIZES(sar)

/* Immediate counts whose flags are dead. */
#define DEF_SHIFT_DEAD(S, ST, mask) \
	static void shl_dead##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, REG##S(vp, op->dst) << (op->imm & (mask))); \
		NEXT(vp, op); \
	} \
	static void shr_dead##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, REG##S(vp, op->dst) >> (op->imm & (mask))); \
		NEXT(vp, op); \
	} \
	static void sar_dead##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, (T##S)((ST)REG##S(vp, op->dst) >> (op->imm & (mask)))); \
		NEXT(vp, op); \
	}
DEF_SHIFT_DEAD(4, s32, 31)
DEF_SHIFT_DEAD(8, s64, 63)

struct shift_row {
	op_fn ri[4], rc[4], m[4], dead4, dead8;
};
#define SHIFT_ROW(nm) \
	{ \
		ROW(nm##_ri), ROW(nm##_rc), ROW(nm##_m), NULL, NULL \
	}
#define SHIFT_ROW_DEAD(nm) \
	{ \
		ROW(nm##_ri), ROW(nm##_rc), ROW(nm##_m), nm##_dead4, nm##_dead8 \
	}
static const struct shift_row row_rol = SHIFT_ROW(rol), row_ror = SHIFT_ROW(ror),
			      row_rcl = SHIFT_ROW(rcl), row_rcr = SHIFT_ROW(rcr),
			      row_shl = SHIFT_ROW_DEAD(shl), row_shr = SHIFT_ROW_DEAD(shr),
			      row_sar = SHIFT_ROW_DEAD(sar);

/* Double shifts. aux: 1 = count in CL, else immediate. 16-bit counts over 16 are undefined; the
 * host decides. */
#define DOUBLE_EXEC(name, sfx, T, dst, srcv, count) \
	do { \
		u32 ax_ = vp->arith; \
		T d_ = (T)(dst), s_ = (T)(srcv); \
		__asm__ volatile(FLAGS_IN name sfx " %%cl, %[s], %[d]" FLAGS_OUT \
				 : [d] "+r"(d_), "+a"(ax_) \
				 : [s] "r"(s_), "c"(count) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
		dst = d_; \
	} while (0)

static u64 double_shift(struct vp *vp, const struct op *op, u64 v, bool left)
{
	u64 s = vp->cpu.gpr[op->src];
	u8 count = op->aux ? (u8)vp->cpu.gpr[RCX] : (u8)op->imm;

	if (op->size == 8) {
		if (left)
			DOUBLE_EXEC("shld", "q", u64, v, s, count);
		else
			DOUBLE_EXEC("shrd", "q", u64, v, s, count);
	} else if (op->size == 4) {
		if (left)
			DOUBLE_EXEC("shld", "l", u32, v, s, count);
		else
			DOUBLE_EXEC("shrd", "l", u32, v, s, count);
	} else {
		if (left)
			DOUBLE_EXEC("shld", "w", u16, v, s, count);
		else
			DOUBLE_EXEC("shrd", "w", u16, v, s, count);
	}
	return v;
}

static void double_any(struct vp *vp, const struct op *op, bool left)
{
	u64 lin, v;
	u8 *p;

	if (!(op->flags & OP_MEM)) {
		reg_set(vp, op->dst, double_shift(vp, op, reg_get(vp, op->dst, op->size), left),
			op->size);
		return;
	}
	lin = op_linear(vp, op, op->size, true);
	p = rmw_begin(vp, op, lin, op->size);
	v = op->size == 8 ? nm_load64(p) : op->size == 4 ? nm_load32(p) : nm_load16(p);
	v = double_shift(vp, op, v, left);
	if (op->size == 8)
		nm_store64(p, v);
	else if (op->size == 4)
		nm_store32(p, (u32)v);
	else
		nm_store16(p, (u16)v);
	rmw_end(vp, op);
}

static void shld(struct vp *vp, const struct op *op)
{
	double_any(vp, op, true);
}

static void shrd(struct vp *vp, const struct op *op)
{
	double_any(vp, op, false);
}

/* BMI2 shifts: no flags. aux: register with the count; imm for RORX. */
static u64 bmi_source(struct vp *vp, const struct op *op)
{
	return op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), op->size)
				  : reg_get(vp, op->src, op->size);
}

static void rorx(struct vp *vp, const struct op *op)
{
	u64 v = bmi_source(vp, op);
	u32 bits = op->size * 8, n = op->imm & (bits - 1);

	if (n)
		v = v >> n | v << (bits - n);
	reg_set(vp, op->dst, v, op->size);
}

static void sarx(struct vp *vp, const struct op *op)
{
	u64 v = bmi_source(vp, op), c = vp->cpu.gpr[op->aux];

	reg_set(vp, op->dst, op->size == 8 ? (u64)((s64)v >> (c & 63)) : (u64)((s32)v >> (c & 31)),
		op->size);
}

static void shlx(struct vp *vp, const struct op *op)
{
	u64 v = bmi_source(vp, op), c = vp->cpu.gpr[op->aux];

	reg_set(vp, op->dst, v << (c & (op->size * 8 - 1)), op->size);
}

static void shrx(struct vp *vp, const struct op *op)
{
	u64 v = bmi_source(vp, op), c = vp->cpu.gpr[op->aux];

	reg_set(vp, op->dst, v >> (c & (op->size * 8 - 1)), op->size);
}

static bool pick_shift(struct decode *d, const struct shift_row *r)
{
	struct op *op = d->op;
	bool by_cl = d->opr[1].type == ZYDIS_OPERAND_TYPE_REGISTER;

	if (!by_cl && d->opr[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		op->imm = 1;
	op->aux = by_cl;
	if (op->flags & OP_MEM) {
		op->fn = r->m[d->si];
		d->may_leave = true;
		return true;
	}
	op->fn = by_cl ? r->rc[d->si] : r->ri[d->si];
	if (!by_cl)
		d->noflags = d->si == 2 ? r->dead4 : d->si == 3 ? r->dead8 : NULL;
	else
		d->flags_read = RFLAGS_ARITH; /* kept when the count is 0 */
	return true;
}

static bool pick_double(struct decode *d, op_fn fn)
{
	d->op->aux = d->opr[2].type == ZYDIS_OPERAND_TYPE_REGISTER;
	return decode_plain(d, fn);
}

static bool pick_bmi(struct decode *d, op_fn fn)
{
	if (!d->vp->features->has_bmi2)
		return false;
	if (d->opr[2].type == ZYDIS_OPERAND_TYPE_REGISTER)
		d->op->aux = decode_reg(d->opr[2].reg.value);
	return decode_plain(d, fn);
}

bool op_shift_pick(struct decode *d)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ROL: return pick_shift(d, &row_rol);
	case ZYDIS_MNEMONIC_ROR: return pick_shift(d, &row_ror);
	case ZYDIS_MNEMONIC_RCL: return pick_shift(d, &row_rcl);
	case ZYDIS_MNEMONIC_RCR: return pick_shift(d, &row_rcr);
	case ZYDIS_MNEMONIC_SHL: return pick_shift(d, &row_shl);
	case ZYDIS_MNEMONIC_SHR: return pick_shift(d, &row_shr);
	case ZYDIS_MNEMONIC_SAR: return pick_shift(d, &row_sar);
	case ZYDIS_MNEMONIC_SHLD: return pick_double(d, shld);
	case ZYDIS_MNEMONIC_SHRD: return pick_double(d, shrd);
	case ZYDIS_MNEMONIC_RORX: return pick_bmi(d, rorx);
	case ZYDIS_MNEMONIC_SARX: return pick_bmi(d, sarx);
	case ZYDIS_MNEMONIC_SHLX: return pick_bmi(d, shlx);
	case ZYDIS_MNEMONIC_SHRX: return pick_bmi(d, shrx);
	default: return false;
	}
}
