/*
 * ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT: one handler for each operation, operand
 * form and size, each in a variant that leaves the flags alone where the block overwrites them, and
 * two for memory operands: flat 64-bit addresses, and everything else. LOCKed forms are here too.
 */
#include "l0/engine/decode.h"

#define CF_IN "btl $8, %[ar]\n\t"

/* One operation on an lvalue (register or memory) of size S with the source @src of type T. */
#define ALU_EXEC(pre, name, sfx, dst, src) \
	do { \
		u32 ax_; \
		__asm__ volatile(pre name sfx " %[s], %[d]" FLAGS_OUT \
				 : [d] "+m"(dst), "=&a"(ax_) \
				 : [s] "r"(src), [ar] "r"(vp->arith) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)
#define ALU_EXEC_REG(pre, name, sfx, dst, src) \
	do { \
		u32 ax_; \
		__asm__ volatile(pre name sfx " %[s], %[d]" FLAGS_OUT \
				 : [d] "+q"(dst), "=&a"(ax_) \
				 : [s] "q"(src), [ar] "r"(vp->arith) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)
/* CMP and TEST: the destination is only read. */
#define ALU_TEST_REG(pre, name, sfx, dst, src) \
	do { \
		u32 ax_; \
		__asm__ volatile(name sfx " %[s], %[d]" FLAGS_OUT \
				 : "=&a"(ax_) \
				 : [d] "q"(dst), [s] "q"(src) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)

#define T1 u8
#define T2 u16
#define T4 u32
#define T8 u64
#define MEM(S, p) (*(T##S __attribute__((may_alias, aligned(1))) *)(p))

/* Register destination: rr, ri, rm; W writes the result back, X executes. */
#define DEF_ALU_REG(nm, S, sfx, pre, X, W) \
	static void h_##nm##_rr##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst); \
		X(pre, #nm, sfx, d, REG##S(vp, op->src)); \
		W(S, vp, op->dst, d); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_ri##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst); \
		X(pre, #nm, sfx, d, (T##S)op->imm); \
		W(S, vp, op->dst, d); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_rf##S(struct vp *vp, const struct op *op) \
	{ \
		T##S s = mem_load##S(vp, op, ea_flat64(vp, op), op->seg); \
		T##S d = REG##S(vp, op->dst); \
		X(pre, #nm, sfx, d, s); \
		W(S, vp, op->dst, d); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_rm##S(struct vp *vp, const struct op *op) \
	{ \
		T##S s = mem_load##S(vp, op, LINEAR(vp, op, S, false), op->seg); \
		T##S d = REG##S(vp, op->dst); \
		X(pre, #nm, sfx, d, s); \
		W(S, vp, op->dst, d); \
		NEXT(vp, op); \
	}
#define WRITE_BACK(S, vp, r, v) SET_REG##S(vp, r, v)
#define WRITE_NOT(S, vp, r, v) ((void)0)

/* Memory destination that is written: mr, mi, by address variant and lock. */
#define DEF_ALU_MEM(nm, S, sfx, pre, var, LIN, BEGIN, lock) \
	static void h_##nm##_##var##r##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = BEGIN(vp, op, LIN(S), S); \
		ALU_EXEC(pre lock, #nm, sfx, MEM(S, p), REG##S(vp, op->src)); \
		rmw_end(vp, op); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_##var##i##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = BEGIN(vp, op, LIN(S), S); \
		ALU_EXEC(pre lock, #nm, sfx, MEM(S, p), (T##S)op->imm); \
		rmw_end(vp, op); \
		NEXT(vp, op); \
	}
#define LIN_F(S) ea_flat64(vp, op)
#define LIN_M(S) LINEAR(vp, op, S, true)

/* Memory operand that is only read (CMP, TEST). */
#define DEF_ALU_MEM_TEST(nm, S, sfx, var, LIN) \
	static void h_##nm##_##var##r##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = mem_load##S(vp, op, LIN(S), op->seg); \
		ALU_TEST_REG("", #nm, sfx, d, REG##S(vp, op->src)); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_##var##i##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = mem_load##S(vp, op, LIN(S), op->seg); \
		ALU_TEST_REG("", #nm, sfx, d, (T##S)op->imm); \
		NEXT(vp, op); \
	}
#define LIN_TF(S) ea_flat64(vp, op)
#define LIN_TM(S) LINEAR(vp, op, S, false)

/* The same results without the flags, register destination from register or immediate. */
#define DEF_ALU_DEAD(nm, S, EXPR) \
	static void h_##nm##_dead_rr##S(struct vp *vp, const struct op *op) \
	{ \
		u64 d = REG##S(vp, op->dst), s = REG##S(vp, op->src); \
		SET_REG##S(vp, op->dst, (T##S)(EXPR)); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_dead_ri##S(struct vp *vp, const struct op *op) \
	{ \
		u64 d = REG##S(vp, op->dst), s = op->imm; \
		SET_REG##S(vp, op->dst, (T##S)(EXPR)); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_dead_rf##S(struct vp *vp, const struct op *op) \
	{ \
		u64 s = mem_load##S(vp, op, ea_flat64(vp, op), op->seg); \
		u64 d = REG##S(vp, op->dst); \
		SET_REG##S(vp, op->dst, (T##S)(EXPR)); \
		NEXT(vp, op); \
	}

#define DEF_ALU_SIZE(nm, S, sfx, pre) \
	DEF_ALU_REG(nm, S, sfx, pre, ALU_EXEC_REG, WRITE_BACK) \
	DEF_ALU_MEM(nm, S, sfx, pre, f, LIN_F, rmw_begin, "") \
	DEF_ALU_MEM(nm, S, sfx, pre, m, LIN_M, rmw_begin, "") \
	DEF_ALU_MEM(nm, S, sfx, pre, l, LIN_M, rmw_begin_locked, "lock; ")
#define DEF_ALU_TEST_SIZE(nm, S, sfx) \
	DEF_ALU_REG(nm, S, sfx, "", ALU_TEST_REG, WRITE_NOT) \
	DEF_ALU_MEM_TEST(nm, S, sfx, f, LIN_TF) \
	DEF_ALU_MEM_TEST(nm, S, sfx, m, LIN_TM)
#define DEF_ALL_SIZES(DEF, nm, ...) \
	DEF(nm, 1, "b", ##__VA_ARGS__) \
	DEF(nm, 2, "w", ##__VA_ARGS__) DEF(nm, 4, "l", ##__VA_ARGS__) DEF(nm, 8, "q", ##__VA_ARGS__)
#define DEF_DEAD_SIZES(nm, EXPR) \
	DEF_ALU_DEAD(nm, 1, EXPR) \
	DEF_ALU_DEAD(nm, 2, EXPR) DEF_ALU_DEAD(nm, 4, EXPR) DEF_ALU_DEAD(nm, 8, EXPR)

DEF_ALL_SIZES(DEF_ALU_SIZE, add, "")
DEF_ALL_SIZES(DEF_ALU_SIZE, or, "")
DEF_ALL_SIZES(DEF_ALU_SIZE, adc, CF_IN)
DEF_ALL_SIZES(DEF_ALU_SIZE, sbb, CF_IN)
DEF_ALL_SIZES(DEF_ALU_SIZE, and, "")
DEF_ALL_SIZES(DEF_ALU_SIZE, sub, "")
DEF_ALL_SIZES(DEF_ALU_SIZE, xor, "")
DEF_ALL_SIZES(DEF_ALU_TEST_SIZE, cmp)
DEF_ALL_SIZES(DEF_ALU_TEST_SIZE, test)
DEF_DEAD_SIZES(add, d + s)
DEF_DEAD_SIZES(or, d | s)
DEF_DEAD_SIZES(and, d &s)
DEF_DEAD_SIZES(sub, d - s)
DEF_DEAD_SIZES(xor, d ^ s)

/* INC DEC NEG NOT. INC and DEC keep CF, NOT keeps all. */
#define UNARY_EXEC(pre, name, sfx, dst) \
	do { \
		u32 ax_; \
		__asm__ volatile(pre name sfx " %[d]" FLAGS_OUT \
				 : [d] "+m"(dst), "=&a"(ax_) \
				 : [ar] "r"(vp->arith) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)
#define UNARY_EXEC_REG(pre, name, sfx, dst) \
	do { \
		u32 ax_; \
		__asm__ volatile(pre name sfx " %[d]" FLAGS_OUT \
				 : [d] "+q"(dst), "=&a"(ax_) \
				 : [ar] "r"(vp->arith) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)
#define UNARY_PLAIN(pre, name, sfx, dst) \
	__asm__ volatile(pre name sfx " %[d]" : [d] "+m"(dst) : : "cc")
#define UNARY_PLAIN_REG(pre, name, sfx, dst) \
	__asm__ volatile(name sfx " %[d]" : [d] "+q"(dst) : : "cc")

#define DEF_UNARY(nm, S, sfx, pre, XR, XM) \
	static void h_##nm##_r##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst); \
		XR(pre, #nm, sfx, d); \
		SET_REG##S(vp, op->dst, d); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_f##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin(vp, op, LIN_F(S), S); \
		XM(pre, #nm, sfx, MEM(S, p)); \
		rmw_end(vp, op); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_m##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin(vp, op, LIN_M(S), S); \
		XM(pre, #nm, sfx, MEM(S, p)); \
		rmw_end(vp, op); \
		NEXT(vp, op); \
	} \
	static void h_##nm##_l##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin_locked(vp, op, LIN_M(S), S); \
		XM(pre "lock; ", #nm, sfx, MEM(S, p)); \
		rmw_end(vp, op); \
		NEXT(vp, op); \
	}
#define DEF_UNARY_SIZES(nm, pre, XR, XM) \
	DEF_UNARY(nm, 1, "b", pre, XR, XM) \
	DEF_UNARY(nm, 2, "w", pre, XR, XM) \
	DEF_UNARY(nm, 4, "l", pre, XR, XM) DEF_UNARY(nm, 8, "q", pre, XR, XM)
DEF_UNARY_SIZES(inc, CF_IN, UNARY_EXEC_REG, UNARY_EXEC)
DEF_UNARY_SIZES(dec, CF_IN, UNARY_EXEC_REG, UNARY_EXEC)
DEF_UNARY_SIZES(neg, "", UNARY_EXEC_REG, UNARY_EXEC)
DEF_UNARY_SIZES(not, "", UNARY_PLAIN_REG, UNARY_PLAIN)

/* ---- tables: [size] ---- */

#define ROW(nm, form) \
	{ \
		h_##nm##_##form##1, h_##nm##_##form##2, h_##nm##_##form##4, h_##nm##_##form##8 \
	}

struct alu_row {
	op_fn rr[4], ri[4], rf[4], rm[4];
	op_fn fr[4], fi[4], mr[4], mi[4]; /* memory destination: flat, general */
	op_fn lr[4], li[4];		  /* locked */
	op_fn dead_rr[4], dead_ri[4], dead_rf[4];
	enum fuse_kind fuse_rr, fuse_ri;
};

#define ALU_ROW_FORMS(nm) \
	.rr = ROW(nm, rr), .ri = ROW(nm, ri), .rf = ROW(nm, rf), .rm = ROW(nm, rm), \
	.fr = ROW(nm, fr), .fi = ROW(nm, fi), .mr = ROW(nm, mr), .mi = ROW(nm, mi)
#define ALU_ROW_LOCK(nm) .lr = ROW(nm, lr), .li = ROW(nm, li)
#define ALU_ROW_DEAD(nm) \
	.dead_rr = ROW(nm, dead_rr), .dead_ri = ROW(nm, dead_ri), .dead_rf = ROW(nm, dead_rf)

static const struct alu_row alu_add = {ALU_ROW_FORMS(add), ALU_ROW_LOCK(add), ALU_ROW_DEAD(add),
				       .fuse_rr = FUSE_ADD_RR, .fuse_ri = FUSE_ADD_RI};
static const struct alu_row alu_or = {ALU_ROW_FORMS(or), ALU_ROW_LOCK(or), ALU_ROW_DEAD(or)};
static const struct alu_row alu_adc = {ALU_ROW_FORMS(adc), ALU_ROW_LOCK(adc)};
static const struct alu_row alu_sbb = {ALU_ROW_FORMS(sbb), ALU_ROW_LOCK(sbb)};
static const struct alu_row alu_and = {ALU_ROW_FORMS(and), ALU_ROW_LOCK(and), ALU_ROW_DEAD(and),
				       .fuse_ri = FUSE_AND_RI};
static const struct alu_row alu_sub = {ALU_ROW_FORMS(sub), ALU_ROW_LOCK(sub), ALU_ROW_DEAD(sub),
				       .fuse_rr = FUSE_SUB_RR, .fuse_ri = FUSE_SUB_RI};
static const struct alu_row alu_xor = {ALU_ROW_FORMS(xor), ALU_ROW_LOCK(xor), ALU_ROW_DEAD(xor)};
static const struct alu_row alu_cmp = {ALU_ROW_FORMS(cmp), .fuse_rr = FUSE_CMP_RR,
				       .fuse_ri = FUSE_CMP_RI};
static const struct alu_row alu_test = {ALU_ROW_FORMS(test), .fuse_rr = FUSE_TEST_RR,
					.fuse_ri = FUSE_TEST_RI};

struct unary_row {
	op_fn r[4], f[4], m[4], l[4];
};
#define UNARY_ROW(nm) \
	{ \
		ROW(nm, r), ROW(nm, f), ROW(nm, m), ROW(nm, l) \
	}
static const struct unary_row unary_inc = UNARY_ROW(inc);
static const struct unary_row unary_dec = UNARY_ROW(dec);
static const struct unary_row unary_neg = UNARY_ROW(neg);
static const struct unary_row unary_not = UNARY_ROW(not );

static bool pick_unary(struct decode *d, const struct unary_row *r, enum fuse_kind fuse)
{
	struct op *op = d->op;

	if (d->form == FORM_R) {
		op->fn = r->r[d->si];
		d->fuse = fuse;
		return true;
	}
	d->may_leave = true;
	op->fn = op->flags & OP_LOCK ? r->l[d->si] : d->flat64 ? r->f[d->si] : r->m[d->si];
	return true;
}

static bool pick_alu(struct decode *d, const struct alu_row *r)
{
	struct op *op = d->op;
	u32 si = d->si;
	bool lock = op->flags & OP_LOCK;

	d->may_leave = op->flags & OP_MEM;
	switch (d->form) {
	case FORM_RR:
		op->fn = r->rr[si];
		d->noflags = r->dead_rr[si];
		d->fuse = r->fuse_rr;
		return true;
	case FORM_RI:
		op->fn = r->ri[si];
		d->noflags = r->dead_ri[si];
		d->fuse = r->fuse_ri;
		return true;
	case FORM_RM:
		op->fn = d->flat64 ? r->rf[si] : r->rm[si];
		d->noflags = d->flat64 ? r->dead_rf[si] : NULL;
		if (r == &alu_cmp)
			d->fuse = FUSE_CMP_RM;
		return true;
	case FORM_MR: op->fn = lock ? r->lr[si] : d->flat64 ? r->fr[si] : r->mr[si]; return true;
	case FORM_MI:
		op->fn = lock ? r->li[si] : d->flat64 ? r->fi[si] : r->mi[si];
		if (r == &alu_cmp)
			d->fuse = FUSE_CMP_MI;
		else if (r == &alu_test)
			d->fuse = FUSE_TEST_MI;
		return true;
	default: return false;
	}
}

bool op_alu_pick(struct decode *d)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ADD: return pick_alu(d, &alu_add);
	case ZYDIS_MNEMONIC_OR: return pick_alu(d, &alu_or);
	case ZYDIS_MNEMONIC_ADC: return pick_alu(d, &alu_adc);
	case ZYDIS_MNEMONIC_SBB: return pick_alu(d, &alu_sbb);
	case ZYDIS_MNEMONIC_AND: return pick_alu(d, &alu_and);
	case ZYDIS_MNEMONIC_SUB: return pick_alu(d, &alu_sub);
	case ZYDIS_MNEMONIC_XOR: return pick_alu(d, &alu_xor);
	case ZYDIS_MNEMONIC_CMP: return pick_alu(d, &alu_cmp);
	case ZYDIS_MNEMONIC_TEST: return pick_alu(d, &alu_test);
	case ZYDIS_MNEMONIC_INC: return pick_unary(d, &unary_inc, FUSE_INC_R);
	case ZYDIS_MNEMONIC_DEC: return pick_unary(d, &unary_dec, FUSE_DEC_R);
	case ZYDIS_MNEMONIC_NEG: return pick_unary(d, &unary_neg, FUSE_NONE);
	case ZYDIS_MNEMONIC_NOT: return pick_unary(d, &unary_not, FUSE_NONE);
	default: return false;
	}
}
