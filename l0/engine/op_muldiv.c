/*
 * MUL IMUL DIV IDIV MULX. Products come with the host's flags (SF, ZF, AF and PF are undefined by
 * the architecture, the processor's by practice); quotients are checked in C, so that #DE is never
 * the host's, and leave the flags alone (all undefined).
 */
#include "l0/engine/decode.h"

static u64 source(struct vp *vp, const struct op *op)
{
	return op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), op->size)
				  : reg_get(vp, op->src, op->size);
}

/* rDX:rAX := rAX * s; the flags are taken before anything changes them. */
#define MUL_EXEC(name, sfx, T, s, lo, hi) \
	do { \
		T a_ = (T)vp->cpu.gpr[RAX], d_ = 0; \
		u64 r_; \
		__asm__ volatile(name sfx " %[src]\n\tmovq %%rax, %[lo_]" FLAGS_OUT \
				 : "+a"(a_), "+d"(d_), [lo_] "=&r"(r_) \
				 : [src] "r"((T)(s)) \
				 : "cc"); \
		vp->arith = (u16)a_; \
		lo = (T)r_; \
		hi = d_; \
	} while (0)

static void mul_common(struct vp *vp, const struct op *op, bool is_signed)
{
	u64 s = source(vp, op), lo, hi;

	switch (op->size) {
	case 1: {
		u32 a = (u8)vp->cpu.gpr[RAX], r;

		if (is_signed)
			__asm__ volatile("imulb %b[s]\n\tmovl %%eax, %[r]" FLAGS_OUT
					 : "+a"(a), [r] "=&r"(r)
					 : [s] "q"((u8)s)
					 : "cc");
		else
			__asm__ volatile("mulb %b[s]\n\tmovl %%eax, %[r]" FLAGS_OUT
					 : "+a"(a), [r] "=&r"(r)
					 : [s] "q"((u8)s)
					 : "cc");
		vp->arith = (u16)a;
		SET_REG2(vp, RAX, r);
		return;
	}
	case 2:
		if (is_signed)
			MUL_EXEC("imul", "w", u16, s, lo, hi);
		else
			MUL_EXEC("mul", "w", u16, s, lo, hi);
		break;
	case 4:
		if (is_signed)
			MUL_EXEC("imul", "l", u32, s, lo, hi);
		else
			MUL_EXEC("mul", "l", u32, s, lo, hi);
		break;
	default:
		if (is_signed)
			MUL_EXEC("imul", "q", u64, s, lo, hi);
		else
			MUL_EXEC("mul", "q", u64, s, lo, hi);
	}
	reg_set(vp, RAX, lo, op->size);
	reg_set(vp, RDX, hi, op->size);
}

static void mul(struct vp *vp, const struct op *op)
{
	mul_common(vp, op, false);
	NEXT(vp, op);
}

static void imul1(struct vp *vp, const struct op *op)
{
	mul_common(vp, op, true);
	NEXT(vp, op);
}

/* Two and three operands: product of a and b, low half, with flags. */
#define DEF_IMUL(S, T, sfx) \
	static __always_inline T imul_exec##S(struct vp *vp, T a, T b) \
	{ \
		u32 ax; \
		__asm__ volatile("imul" sfx " %[b], %[a]" FLAGS_OUT \
				 : [a] "+r"(a), "=&a"(ax) \
				 : [b] "r"(b) \
				 : "cc"); \
		vp->arith = (u16)ax; \
		return a; \
	} \
	static void imul_rr##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, \
			   imul_exec##S(vp, REG##S(vp, op->dst), REG##S(vp, op->src))); \
		NEXT(vp, op); \
	} \
	static void imul_rri##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, imul_exec##S(vp, REG##S(vp, op->src), (T)op->imm)); \
		NEXT(vp, op); \
	} \
	static void imul_rm##S(struct vp *vp, const struct op *op) \
	{ \
		T v = mem_load##S(vp, op, LINEAR(vp, op, S, false), op->seg); \
		SET_REG##S(vp, op->dst, imul_exec##S(vp, REG##S(vp, op->dst), v)); \
		NEXT(vp, op); \
	} \
	static void imul_rmi##S(struct vp *vp, const struct op *op) \
	{ \
		T v = mem_load##S(vp, op, LINEAR(vp, op, S, false), op->seg); \
		SET_REG##S(vp, op->dst, imul_exec##S(vp, v, (T)op->imm)); \
		NEXT(vp, op); \
	} \
	static void imul_dead_rr##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, (T)(REG##S(vp, op->dst) * (u64)REG##S(vp, op->src))); \
		NEXT(vp, op); \
	} \
	static void imul_dead_rri##S(struct vp *vp, const struct op *op) \
	{ \
		SET_REG##S(vp, op->dst, (T)(REG##S(vp, op->src) * op->imm)); \
		NEXT(vp, op); \
	}
DEF_IMUL(2, u16, "w")
DEF_IMUL(4, u32, "l")
DEF_IMUL(8, u64, "q")

#define ROW3(name) \
	{ \
		NULL, name##2, name##4, name##8 \
	}
static const op_fn imul_rr[4] = ROW3(imul_rr), imul_rri[4] = ROW3(imul_rri),
		   imul_rm[4] = ROW3(imul_rm), imul_rmi[4] = ROW3(imul_rmi),
		   imul_dead_rr[4] = ROW3(imul_dead_rr), imul_dead_rri[4] = ROW3(imul_dead_rri);

static bool pick_imul(struct decode *d)
{
	struct op *op = d->op;
	u32 si = d->si;

	if (d->insn.operand_count_visible == 1) {
		op->src = op->dst;
		op->fn = imul1;
		d->may_leave = op->flags & OP_MEM;
		return true;
	}
	d->may_leave = op->flags & OP_MEM;
	if (d->insn.operand_count_visible == 2) {
		op->fn = op->flags & OP_MEM ? imul_rm[si] : imul_rr[si];
		d->noflags = op->flags & OP_MEM ? NULL : imul_dead_rr[si];
	} else {
		op->fn = op->flags & OP_MEM ? imul_rmi[si] : imul_rri[si];
		d->noflags = op->flags & OP_MEM ? NULL : imul_dead_rri[si];
	}
	return true;
}

/* ---- division ---- */

_Noreturn static void divide_error(struct vp *vp, const struct op *op)
{
	vp_fault(vp, op, VECTOR_DE, 0);
}

static void div8(struct vp *vp, const struct op *op)
{
	u32 s = (u8)source(vp, op), n = (u16)vp->cpu.gpr[RAX];

	if (!s || n / s > 0xff)
		divide_error(vp, op);
	SET_REG2(vp, RAX, n / s | (n % s) << 8);
	NEXT(vp, op);
}

static void idiv8(struct vp *vp, const struct op *op)
{
	s32 s = (s8)source(vp, op), n = (s16)vp->cpu.gpr[RAX], q;

	if (!s)
		divide_error(vp, op);
	q = n / s;
	if (q != (s8)q)
		divide_error(vp, op);
	SET_REG2(vp, RAX, (u8)q | (u32)(u8)(n % s) << 8);
	NEXT(vp, op);
}

/* A quotient of 2 × size bits by size bits; sizes 2 and 4 fit 64-bit arithmetic. */
static void div_any(struct vp *vp, const struct op *op)
{
	u64 s = source(vp, op), mask = size_mask(op->size);
	u64 n = (vp->cpu.gpr[RDX] & mask) << 8 * op->size | (vp->cpu.gpr[RAX] & mask);

	if (!s || n / s > mask)
		divide_error(vp, op);
	reg_set(vp, RAX, n / s, op->size);
	reg_set(vp, RDX, n % s, op->size);
	NEXT(vp, op);
}

static void idiv_any(struct vp *vp, const struct op *op)
{
	u32 bits = op->size * 8;
	u64 mask = size_mask(op->size);
	s64 s = (s64)(source(vp, op) << (64 - bits)) >> (64 - bits), q;
	s64 n = (s64)(((vp->cpu.gpr[RDX] & mask) << bits | (vp->cpu.gpr[RAX] & mask))
		      << (64 - 2 * bits)) >>
		(64 - 2 * bits);

	if (!s || (s == -1 && n == INT64_MIN))
		divide_error(vp, op);
	q = n / s;
	if (q != (s64)((u64)q << (64 - bits)) >> (64 - bits))
		divide_error(vp, op);
	reg_set(vp, RAX, (u64)q, op->size);
	reg_set(vp, RDX, (u64)(n % s), op->size);
	NEXT(vp, op);
}

static void div_host(struct vp *vp, u64 s)
{
	u64 a = vp->cpu.gpr[RAX], d = vp->cpu.gpr[RDX];

	__asm__("divq %[s]" : "+a"(a), "+d"(d) : [s] "r"(s) : "cc");
	vp->cpu.gpr[RAX] = a;
	vp->cpu.gpr[RDX] = d;
}

static void div64(struct vp *vp, const struct op *op)
{
	u64 s = source(vp, op);

	if (vp->cpu.gpr[RDX] >= s) /* zero, or the quotient does not fit */
		divide_error(vp, op);
	div_host(vp, s);
	NEXT(vp, op);
}

/* Magnitudes are divided, signs put back; the limits are those of a 64-bit quotient. */
static void idiv64(struct vp *vp, const struct op *op)
{
	s64 s = (s64)source(vp, op);
	u64 lo = vp->cpu.gpr[RAX], hi = vp->cpu.gpr[RDX], ms, q, r;
	bool neg_n = hi >> 63, neg_q = neg_n != (s < 0);

	if (neg_n) {
		hi = ~hi + (lo == 0);
		lo = -lo;
	}
	ms = s < 0 ? -(u64)s : (u64)s;
	if (hi >= ms)
		divide_error(vp, op);
	q = lo;
	r = hi;
	__asm__("divq %[s]" : "+a"(q), "+d"(r) : [s] "r"(ms) : "cc");
	if (q > (neg_q ? 1ull << 63 : (1ull << 63) - 1))
		divide_error(vp, op);
	vp->cpu.gpr[RAX] = neg_q ? -q : q;
	vp->cpu.gpr[RDX] = neg_n ? -r : r;
	NEXT(vp, op);
}

static void mulx(struct vp *vp, const struct op *op)
{
	u64 s = source(vp, op);

	if (op->size == 8) {
		u128 p = (u128)s * vp->cpu.gpr[RDX];

		vp->cpu.gpr[op->aux] = (u64)p;
		vp->cpu.gpr[op->dst] = (u64)(p >> 64);
	} else {
		u64 p = s * (u32)vp->cpu.gpr[RDX];

		SET_REG4(vp, op->aux, p);
		SET_REG4(vp, op->dst, p >> 32);
	}
}

static bool pick_one(struct decode *d, op_fn fn)
{
	d->op->src = d->op->dst; /* its only operand */
	d->op->fn = fn;
	d->may_leave = true;
	return true;
}

static bool pick_mulx(struct decode *d)
{
	const ZydisDecodedOperand *o = &d->opr[2];

	if (!d->vp->features->has_bmi2)
		return false;
	d->op->aux = decode_reg(d->opr[1].reg.value);
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
		d->op->src = decode_reg(o->reg.value);
	return decode_plain(d, mulx);
}

bool op_muldiv_pick(struct decode *d)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MUL: return pick_one(d, mul);
	case ZYDIS_MNEMONIC_IMUL: return pick_imul(d);
	case ZYDIS_MNEMONIC_DIV:
		return pick_one(d, d->si == 0 ? div8 : d->si == 3 ? div64 : div_any);
	case ZYDIS_MNEMONIC_IDIV:
		return pick_one(d, d->si == 0 ? idiv8 : d->si == 3 ? idiv64 : idiv_any);
	case ZYDIS_MNEMONIC_MULX: return pick_mulx(d);
	default: return false;
	}
}
