/*
 * CMP, TEST, ADD, SUB, AND, INC, DEC followed by Jcc as one operation: the host's flags decide the
 * branch at once. The guest's flags are kept all the same, so nothing has to be known about what
 * comes after. The Jcc stays behind as op[1] and lends its target and chain; when the first half
 * faults, the pair has not begun.
 */
#include "l0/engine/decode.h"

/* clang-format off */
#define FUSE_CC(X, ...) \
	X(0, o, ##__VA_ARGS__) X(1, no, ##__VA_ARGS__) X(2, c, ##__VA_ARGS__) \
	X(3, nc, ##__VA_ARGS__) X(4, z, ##__VA_ARGS__) X(5, nz, ##__VA_ARGS__) \
	X(6, be, ##__VA_ARGS__) X(7, a, ##__VA_ARGS__) X(8, s, ##__VA_ARGS__) \
	X(9, ns, ##__VA_ARGS__) X(10, p, ##__VA_ARGS__) X(11, np, ##__VA_ARGS__) \
	X(12, l, ##__VA_ARGS__) X(13, ge, ##__VA_ARGS__) X(14, le, ##__VA_ARGS__) \
	X(15, g, ##__VA_ARGS__)
/* clang-format on */

#define BRANCH(vp, op, cond) \
	do { \
		if (cond) \
			return chain_fixed(vp, (op) + 1); \
		RUN_OP(vp, (op) + 2); \
	} while (0)

/* @name a, b without and with a result in a. */
#define FUSE_TEST(cc, name, sfx, a, b) \
	u32 ax; \
	bool taken; \
	__asm__ volatile(name sfx " %[s], %[d]" FLAGS_OUT \
			 : "=&a"(ax), "=@cc" #cc(taken) \
			 : [d] "q"(a), [s] "q"(b)); \
	vp->arith = (u16)ax
#define FUSE_CALC(cc, name, sfx, a, b) \
	u32 ax; \
	bool taken; \
	__asm__ volatile(name sfx " %[s], %[d]" FLAGS_OUT \
			 : [d] "+q"(a), "=&a"(ax), "=@cc" #cc(taken) \
			 : [s] "q"(b)); \
	vp->arith = (u16)ax
#define FUSE_STEP(cc, name, sfx, a) \
	u32 ax; \
	bool taken; \
	__asm__ volatile("btl $8, %[ar]\n\t" name sfx " %[d]" FLAGS_OUT \
			 : [d] "+q"(a), "=&a"(ax), "=@cc" #cc(taken) \
			 : [ar] "r"(vp->arith)); \
	vp->arith = (u16)ax

#define DEF_TEST_RR(num, cc, nm, S, T, sfx) \
	static void nm##_rr##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		FUSE_TEST(cc, #nm, sfx, REG##S(vp, op->dst), REG##S(vp, op->src)); \
		BRANCH(vp, op, taken); \
	}
#define DEF_TEST_RI(num, cc, nm, S, T, sfx) \
	static void nm##_ri##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		FUSE_TEST(cc, #nm, sfx, REG##S(vp, op->dst), (T)op->imm); \
		BRANCH(vp, op, taken); \
	}
#define DEF_TEST_RM(num, cc, nm, S, T, sfx) \
	static void nm##_rm##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		T v = mem_load##S(vp, op, ea_flat64(vp, op), op->seg); \
		FUSE_TEST(cc, #nm, sfx, REG##S(vp, op->dst), v); \
		BRANCH(vp, op, taken); \
	}
#define DEF_TEST_MI(num, cc, nm, S, T, sfx) \
	static void nm##_mi##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		T v = mem_load##S(vp, op, ea_flat64(vp, op), op->seg); \
		FUSE_TEST(cc, #nm, sfx, v, (T)op->imm); \
		BRANCH(vp, op, taken); \
	}
#define DEF_CALC_RR(num, cc, nm, S, T, sfx) \
	static void nm##_rr##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		T d = REG##S(vp, op->dst); \
		FUSE_CALC(cc, #nm, sfx, d, REG##S(vp, op->src)); \
		SET_REG##S(vp, op->dst, d); \
		BRANCH(vp, op, taken); \
	}
#define DEF_CALC_RI(num, cc, nm, S, T, sfx) \
	static void nm##_ri##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		T d = REG##S(vp, op->dst); \
		FUSE_CALC(cc, #nm, sfx, d, (T)op->imm); \
		SET_REG##S(vp, op->dst, d); \
		BRANCH(vp, op, taken); \
	}
#define DEF_STEP_R(num, cc, nm, S, T, sfx) \
	static void nm##_r##S##_##cc(struct vp *vp, const struct op *op) \
	{ \
		T d = REG##S(vp, op->dst); \
		FUSE_STEP(cc, #nm, sfx, d); \
		SET_REG##S(vp, op->dst, d); \
		BRANCH(vp, op, taken); \
	}
#define DEF_48(DEF, nm) FUSE_CC(DEF, nm, 4, u32, "l") FUSE_CC(DEF, nm, 8, u64, "q")
#define DEF_148(DEF, nm) FUSE_CC(DEF, nm, 1, u8, "b") DEF_48(DEF, nm)

DEF_148(DEF_TEST_RR, cmp)
DEF_148(DEF_TEST_RI, cmp)
DEF_148(DEF_TEST_RM, cmp)
DEF_148(DEF_TEST_MI, cmp)
DEF_148(DEF_TEST_RR, test)
DEF_148(DEF_TEST_RI, test)
DEF_148(DEF_TEST_MI, test)
DEF_48(DEF_CALC_RR, add)
DEF_48(DEF_CALC_RI, add)
DEF_48(DEF_CALC_RR, sub)
DEF_48(DEF_CALC_RI, sub)
DEF_48(DEF_CALC_RI, and)
DEF_48(DEF_STEP_R, inc)
DEF_48(DEF_STEP_R, dec)

#define ENTRY(num, cc, name) [num] = name##_##cc,
#define ROW_148(name) \
	{ \
		{FUSE_CC(ENTRY, name##1)}, {0}, {FUSE_CC(ENTRY, name##4)}, \
		{ \
			FUSE_CC(ENTRY, name##8) \
		} \
	}
#define ROW_48(name) \
	{ \
		{0}, {0}, {FUSE_CC(ENTRY, name##4)}, \
		{ \
			FUSE_CC(ENTRY, name##8) \
		} \
	}

/* [kind][log2 of size][condition] */
static const op_fn fused[FUSE_KINDS][4][16] = {
	[FUSE_CMP_RR] = ROW_148(cmp_rr),   [FUSE_CMP_RI] = ROW_148(cmp_ri),
	[FUSE_CMP_RM] = ROW_148(cmp_rm),   [FUSE_CMP_MI] = ROW_148(cmp_mi),
	[FUSE_TEST_RR] = ROW_148(test_rr), [FUSE_TEST_RI] = ROW_148(test_ri),
	[FUSE_TEST_MI] = ROW_148(test_mi), [FUSE_ADD_RR] = ROW_48(add_rr),
	[FUSE_ADD_RI] = ROW_48(add_ri),	   [FUSE_SUB_RR] = ROW_48(sub_rr),
	[FUSE_SUB_RI] = ROW_48(sub_ri),	   [FUSE_AND_RI] = ROW_48(and_ri),
	[FUSE_INC_R] = ROW_48(inc_r),	   [FUSE_DEC_R] = ROW_48(dec_r),
};

op_fn op_fused_lookup(enum fuse_kind kind, u32 si, bool flat64, u32 cc)
{
	bool mem = kind == FUSE_CMP_RM || kind == FUSE_CMP_MI || kind == FUSE_TEST_MI;

	return mem && !flat64 ? NULL : fused[kind][si][cc];
}
