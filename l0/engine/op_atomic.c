/*
 * XCHG with memory (always locked), XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. Memory forms use the
 * host's locked instruction on the guest's memory, with or without the LOCK prefix: more than asked
 * is harmless. What lies across a cache line or in device memory is done on a copy (access.c).
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

#define DEF_ATOMIC(S, sfx) \
	static void xchg_m##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin_locked(vp, op, LINEAR(vp, op, S, true), S); \
		T##S v = REG##S(vp, op->src); \
		__asm__ volatile("xchg" sfx " %[v], %[m]" : [v] "+q"(v), [m] "+m"(MEM(S, p))); \
		rmw_end(vp, op); \
		SET_REG##S(vp, op->src, v); \
		NEXT(vp, op); \
	} \
	static void xadd_m##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin_locked(vp, op, LINEAR(vp, op, S, true), S); \
		T##S v = REG##S(vp, op->src); \
		u32 ax; \
		__asm__ volatile("lock; xadd" sfx " %[v], %[m]" FLAGS_OUT \
				 : [v] "+q"(v), [m] "+m"(MEM(S, p)), "=&a"(ax) \
				 : \
				 : "cc"); \
		vp->arith = (u16)ax; \
		rmw_end(vp, op); \
		SET_REG##S(vp, op->src, v); \
		NEXT(vp, op); \
	} \
	static void xadd_r##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst), s = REG##S(vp, op->src), sum = d; \
		u32 ax; \
		__asm__ volatile("add" sfx " %[s], %[d]" FLAGS_OUT \
				 : [d] "+q"(sum), "=&a"(ax) \
				 : [s] "q"(s) \
				 : "cc"); \
		vp->arith = (u16)ax; \
		SET_REG##S(vp, op->src, d); \
		SET_REG##S(vp, op->dst, sum); \
		NEXT(vp, op); \
	} \
	static void cmpxchg_m##S(struct vp *vp, const struct op *op) \
	{ \
		u8 *p = rmw_begin_locked(vp, op, LINEAR(vp, op, S, true), S); \
		u64 a = vp->cpu.gpr[RAX], flags, old; \
		__asm__ volatile( \
			"lock; cmpxchg" sfx " %[s], %[m]\n\tmovq %%rax, %[old]" FLAGS_OUT \
			"\n\tmovzwl %%ax, %k[f]" \
			: "+a"(a), [m] "+m"(MEM(S, p)), [old] "=&r"(old), [f] "=&r"(flags) \
			: [s] "q"(REG##S(vp, op->src)) \
			: "cc"); \
		vp->arith = (u32)flags; \
		rmw_end(vp, op); \
		if (!(vp->arith & ARITH_ZF)) \
			SET_REG##S(vp, RAX, (T##S)old); \
		NEXT(vp, op); \
	} \
	static void cmpxchg_r##S(struct vp *vp, const struct op *op) \
	{ \
		T##S d = REG##S(vp, op->dst), a = REG##S(vp, RAX); \
		u32 ax; \
		__asm__ volatile("cmp" sfx " %[d], %[a]" FLAGS_OUT \
				 : "=&a"(ax) \
				 : [d] "q"(d), [a] "q"(a) \
				 : "cc"); \
		vp->arith = (u16)ax; \
		if (a == d) \
			SET_REG##S(vp, op->dst, REG##S(vp, op->src)); \
		else \
			SET_REG##S(vp, RAX, d); \
		NEXT(vp, op); \
	}
DEF_ATOMIC(1, "b")
DEF_ATOMIC(2, "w")
DEF_ATOMIC(4, "l")
DEF_ATOMIC(8, "q")

static const op_fn xchg_m[4] = ROW(xchg_m), xadd_m[4] = ROW(xadd_m), xadd_r[4] = ROW(xadd_r),
		   cmpxchg_m[4] = ROW(cmpxchg_m), cmpxchg_r[4] = ROW(cmpxchg_r);

static void set_zf(struct vp *vp, bool zf)
{
	vp->arith = (vp->arith & ~ARITH_ZF) | (zf ? ARITH_ZF : 0);
}

static void cmpxchg8b(struct vp *vp, const struct op *op)
{
	u8 *p = rmw_begin_locked(vp, op, op_linear(vp, op, 8, true), 8);
	u64 want = (u64)REG4(vp, RDX) << 32 | REG4(vp, RAX), old = want;
	u64 new = (u64)REG4(vp, RCX) << 32 | REG4(vp, RBX);
	bool equal = __atomic_compare_exchange_n((u64 *)p, &old, new, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST);

	rmw_end(vp, op);
	if (!equal) {
		SET_REG4(vp, RAX, old);
		SET_REG4(vp, RDX, old >> 32);
	}
	set_zf(vp, equal);
}

static void cmpxchg16b(struct vp *vp, const struct op *op)
{
	u64 lin = op_linear(vp, op, 16, true);
	u64 a = vp->cpu.gpr[RAX], d = vp->cpu.gpr[RDX];
	bool equal;
	u8 *p;

	if (lin & 15)
		vp_fault(vp, op, VECTOR_GP, 0);
	p = rmw_begin_locked(vp, op, lin, 16);
	__asm__ volatile("lock; cmpxchg16b %[m]"
			 : [m] "+m"(*(u128 *)p), "+a"(a), "+d"(d), "=@ccz"(equal)
			 : "b"(vp->cpu.gpr[RBX]), "c"(vp->cpu.gpr[RCX])
			 : "memory");
	rmw_end(vp, op);
	if (!equal) {
		vp->cpu.gpr[RAX] = a;
		vp->cpu.gpr[RDX] = d;
	}
	set_zf(vp, equal);
}

static bool pick(struct decode *d, op_fn fn)
{
	d->op->fn = fn;
	d->may_leave = d->op->flags & OP_MEM;
	return true;
}

/* XCHG r, m is listed either way round. */
static bool pick_xchg(struct decode *d)
{
	struct op *op = d->op;

	if (d->form == FORM_RM)
		op->src = op->dst;
	return pick(d, xchg_m[d->si]);
}

bool op_atomic_pick(struct decode *d)
{
	bool mem = d->op->flags & OP_MEM;

	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_XCHG: return pick_xchg(d);
	case ZYDIS_MNEMONIC_XADD: return pick(d, mem ? xadd_m[d->si] : xadd_r[d->si]);
	case ZYDIS_MNEMONIC_CMPXCHG: return pick(d, mem ? cmpxchg_m[d->si] : cmpxchg_r[d->si]);
	case ZYDIS_MNEMONIC_CMPXCHG8B: return decode_plain(d, cmpxchg8b);
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		return d->vp->features->has_cx16 && decode_plain(d, cmpxchg16b);
	default: return false;
	}
}
