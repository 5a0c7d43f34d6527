/*
 * BT BTS BTR BTC, BSF BSR, LZCNT TZCNT POPCNT, BMI1 and BMI2 (but the shifts and MULX), ADCX ADOX,
 * CRC32. What the processor model does not announce is not picked and so becomes #UD.
 */
#include "l0/engine/decode.h"

static u64 source(struct vp *vp, const struct op *op)
{
	return op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), op->size)
				  : reg_get(vp, op->src, op->size);
}

/* ---- single bits: aux 0 BT, 1 BTS, 2 BTR, 3 BTC ---- */

static void set_cf(struct vp *vp, bool cf)
{
	vp->arith = (vp->arith & ~ARITH_CF) | (cf ? ARITH_CF : 0);
}

static u64 change_bit(u64 v, u64 bit, u32 what)
{
	switch (what) {
	case 1: return v | bit;
	case 2: return v & ~bit;
	case 3: return v ^ bit;
	default: return v;
	}
}

static void bt_reg(struct vp *vp, const struct op *op)
{
	u64 v = vp->cpu.gpr[op->dst], n = op->flags & OP_REP ? op->imm : vp->cpu.gpr[op->src];
	u64 bit = 1ull << (n & (op->size * 8 - 1));

	if (op->aux)
		reg_set(vp, op->dst, change_bit(v, bit, op->aux), op->size);
	set_cf(vp, v & bit);
	NEXT(vp, op);
}

/* The memory operand of BT m, r reaches as far as the register says. */
static u64 bit_address(struct vp *vp, const struct op *op, u64 n, u32 shift, bool write)
{
	u64 ea = ea_flat64(vp, op);

	if (!(op->flags & OP_REP)) {
		u32 bits = op->size * 8;
		s64 off = (s64)(n << (64 - bits)) >> (64 - bits);

		ea += (u64)((off >> shift) * op->size);
	}
	ea = op->asize == 8 ? ea : op->asize == 4 ? (u32)ea : (u16)ea;
	return seg_linear(vp, op, op->seg, ea, op->size, write);
}

static bool locked_bit(u8 *p, u64 bit, u32 what, u32 size)
{
	u64 old;

#define LOCKED(T) \
	(what == 1   ? __atomic_fetch_or((T *)p, (T)bit, __ATOMIC_SEQ_CST) \
	 : what == 2 ? __atomic_fetch_and((T *)p, (T)~bit, __ATOMIC_SEQ_CST) \
		     : __atomic_fetch_xor((T *)p, (T)bit, __ATOMIC_SEQ_CST))
	old = size == 8 ? LOCKED(u64) : size == 4 ? LOCKED(u32) : LOCKED(u16);
#undef LOCKED
	return old & bit;
}

static void bt_mem(struct vp *vp, const struct op *op)
{
	u64 n = op->flags & OP_REP ? op->imm : vp->cpu.gpr[op->src], v, lin;
	u32 shift = (u32)__builtin_ctz(op->size * 8u);
	u64 bit = 1ull << (n & (op->size * 8 - 1));
	u8 *p;

	lin = bit_address(vp, op, n, shift, op->aux);
	if (!op->aux) {
		set_cf(vp, lin_read(vp, op, lin, op->size) & bit);
		return;
	}
	if (op->flags & OP_LOCK) {
		bool old;

		p = rmw_begin_locked(vp, op, lin, op->size);
		old = locked_bit(p, bit, op->aux, op->size);
		rmw_end(vp, op);
		set_cf(vp, old);
		return;
	}
	p = rmw_begin(vp, op, lin, op->size);
	v = op->size == 8 ? nm_load64(p) : op->size == 4 ? nm_load32(p) : nm_load16(p);
	set_cf(vp, v & bit);
	v = change_bit(v, bit, op->aux);
	if (op->size == 8)
		nm_store64(p, v);
	else if (op->size == 4)
		nm_store32(p, (u32)v);
	else
		nm_store16(p, (u16)v);
	rmw_end(vp, op);
}

/* OP_REP marks an immediate bit number: no REP prefix means anything to these. */
static bool pick_bt(struct decode *d, u32 what)
{
	struct op *op = d->op;

	op->flags &= (u8) ~(OP_REP | OP_REPNE);
	if (d->opr[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		op->flags |= OP_REP;
	op->aux = (u16)what;
	if (op->flags & OP_MEM)
		return decode_plain(d, bt_mem);
	op->fn = bt_reg;
	return true;
}

/* ---- the host's own instructions: a model announces only what the host has. Undefined flags, and
 * the destination of a scan that finds nothing, are as the host leaves them ---- */

#define HOST_EXEC(insn) \
	do { \
		u32 ax_ = vp->arith; \
		__asm__ volatile(FLAGS_IN insn FLAGS_OUT \
				 : [d] "+r"(d), "+a"(ax_) \
				 : [s] "r"(s), [v] "r"(v) \
				 : "cc"); \
		vp->arith = (u16)ax_; \
	} while (0)

/* @q and @k: operands of 64 and 32 bits. aux is the register encoded in VEX.vvvv. */
#define DEF_HOST(name, q, k) \
	static void name(struct vp *vp, const struct op *op) \
	{ \
		u64 s = source(vp, op), d = vp->cpu.gpr[op->dst], v = vp->cpu.gpr[op->aux]; \
\
		if (op->size == 8) \
			HOST_EXEC(#name "q " q); \
		else if (op->size == 4) \
			HOST_EXEC(#name "l " k); \
		else \
			HOST_EXEC_WORD(name); \
		vp->cpu.gpr[op->dst] = d; \
	}

#define HOST_EXEC_WORD(name) HOST_EXEC(#name "w %w[s], %w[d]")
#define DEF_SCAN(name) DEF_HOST(name, "%q[s], %q[d]", "%k[s], %k[d]")
DEF_SCAN(bsf)
DEF_SCAN(bsr)
DEF_SCAN(tzcnt)
DEF_SCAN(lzcnt)
DEF_SCAN(popcnt)
#undef HOST_EXEC_WORD

/* These have no 16-bit form. */
#define HOST_EXEC_WORD(name) (void)0
DEF_SCAN(blsi)
DEF_SCAN(blsr)
DEF_SCAN(blsmsk)
DEF_HOST(andn, "%q[s], %q[v], %q[d]", "%k[s], %k[v], %k[d]")
DEF_HOST(pdep, "%q[s], %q[v], %q[d]", "%k[s], %k[v], %k[d]")
DEF_HOST(pext, "%q[s], %q[v], %q[d]", "%k[s], %k[v], %k[d]")
DEF_HOST(bextr, "%q[v], %q[s], %q[d]", "%k[v], %k[s], %k[d]")
DEF_HOST(bzhi, "%q[v], %q[s], %q[d]", "%k[v], %k[s], %k[d]")
#undef HOST_EXEC_WORD

static void adx(struct vp *vp, const struct op *op, u32 flag)
{
	u64 s = source(vp, op), d = reg_get(vp, op->dst, op->size);
	u128 sum = (u128)s + d + (vp->arith & flag ? 1 : 0);

	reg_set(vp, op->dst, (u64)sum, op->size);
	vp->arith = (vp->arith & ~flag) | ((sum >> op->size * 8) & 1 ? flag : 0);
}

static void adcx(struct vp *vp, const struct op *op)
{
	adx(vp, op, ARITH_CF);
}

static void adox(struct vp *vp, const struct op *op)
{
	adx(vp, op, ARITH_OF);
}

/* CRC-32C, bit by bit; op->size is that of the source, aux that of the destination. */
static void crc32(struct vp *vp, const struct op *op)
{
	u64 s = source(vp, op);
	u32 c = REG4(vp, op->dst);

	for (u32 i = 0; i < op->size; i++, s >>= 8) {
		c ^= (u8)s;
		for (u32 b = 0; b < 8; b++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
	}
	vp->cpu.gpr[op->dst] = c;
}

/* VEX forms: opr[1] and opr[2] are vvvv and r/m, in the order that @rm (their index) tells. */
static bool pick_vex(struct decode *d, bool has, op_fn fn, u32 rm)
{
	const ZydisDecodedOperand *o = &d->opr[rm];
	u32 v = rm == 1 ? 2 : 1;

	if (!has || d->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return false;
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
		d->op->src = decode_reg(o->reg.value);
	if (v < d->insn.operand_count_visible)
		d->op->aux = decode_reg(d->opr[v].reg.value);
	return decode_plain(d, fn);
}

static bool pick_crc32(struct decode *d)
{
	d->op->size = (u8)(d->opr[1].size / 8);
	return d->vp->features->has_sse42 && decode_plain(d, crc32);
}

bool op_bit_pick(struct decode *d)
{
	const struct cpu_features *f = d->vp->features;

	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_BT: return pick_bt(d, 0);
	case ZYDIS_MNEMONIC_BTS: return pick_bt(d, 1);
	case ZYDIS_MNEMONIC_BTR: return pick_bt(d, 2);
	case ZYDIS_MNEMONIC_BTC: return pick_bt(d, 3);
	case ZYDIS_MNEMONIC_BSF: return decode_plain(d, bsf);
	case ZYDIS_MNEMONIC_BSR: return decode_plain(d, bsr);
	case ZYDIS_MNEMONIC_TZCNT: return f->has_bmi1 && decode_plain(d, tzcnt);
	case ZYDIS_MNEMONIC_LZCNT: return f->has_lzcnt && decode_plain(d, lzcnt);
	case ZYDIS_MNEMONIC_POPCNT: return f->has_popcnt && decode_plain(d, popcnt);
	case ZYDIS_MNEMONIC_ANDN: return pick_vex(d, f->has_bmi1, andn, 2);
	case ZYDIS_MNEMONIC_BEXTR: return pick_vex(d, f->has_bmi1, bextr, 1);
	case ZYDIS_MNEMONIC_BLSI: return pick_vex(d, f->has_bmi1, blsi, 1);
	case ZYDIS_MNEMONIC_BLSR: return pick_vex(d, f->has_bmi1, blsr, 1);
	case ZYDIS_MNEMONIC_BLSMSK: return pick_vex(d, f->has_bmi1, blsmsk, 1);
	case ZYDIS_MNEMONIC_BZHI: return pick_vex(d, f->has_bmi2, bzhi, 1);
	case ZYDIS_MNEMONIC_PDEP: return pick_vex(d, f->has_bmi2, pdep, 2);
	case ZYDIS_MNEMONIC_PEXT: return pick_vex(d, f->has_bmi2, pext, 2);
	case ZYDIS_MNEMONIC_ADCX: return f->has_adx && decode_plain(d, adcx);
	case ZYDIS_MNEMONIC_ADOX: return f->has_adx && decode_plain(d, adox);
	case ZYDIS_MNEMONIC_CRC32: return pick_crc32(d);
	default: return false;
	}
}
