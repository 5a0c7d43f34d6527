/*
 * NOP and the hints, fences, flag instructions, LAHF SAHF SALC, BCD arithmetic, BOUND, UD0-UD2,
 * cache-line flushes.
 */
#include "l0/base/bits.h"
#include "l0/engine/decode.h"

static void nop(struct vp *vp, const struct op *op)
{
	NEXT(vp, op);
}

static void fence(struct vp *vp, const struct op *op)
{
	__asm__ volatile("mfence" ::: "memory");
	NEXT(vp, op);
}

/* CLFLUSH and CLFLUSHOPT, CLWB fault as a load of a byte does. */
static void clflush(struct vp *vp, const struct op *op)
{
	seg_read(vp, op, op->seg, op_ea(vp, op), 1);
}

static void clc(struct vp *vp, const struct op *op)
{
	vp->arith &= ~ARITH_CF;
	NEXT(vp, op);
}

static void stc(struct vp *vp, const struct op *op)
{
	vp->arith |= ARITH_CF;
	NEXT(vp, op);
}

static void cmc(struct vp *vp, const struct op *op)
{
	vp->arith ^= ARITH_CF;
	NEXT(vp, op);
}

static void cld(struct vp *vp, const struct op *op)
{
	vp->cpu.rflags &= ~RFLAGS_DF;
	NEXT(vp, op);
}

static void std(struct vp *vp, const struct op *op)
{
	vp->cpu.rflags |= RFLAGS_DF;
	NEXT(vp, op);
}

static void lahf(struct vp *vp, const struct op *op)
{
	REG1(vp, 0x80 | RAX) = (u8)((vp->arith >> 8 & 0xd5) | 2);
	NEXT(vp, op);
}

static void sahf(struct vp *vp, const struct op *op)
{
	vp->arith = (vp->arith & ARITH_OF) | (u32)(REG1(vp, 0x80 | RAX) & 0xd5) << 8 | 0x200;
	NEXT(vp, op);
}

static void salc(struct vp *vp, const struct op *op)
{
	REG1(vp, RAX) = vp->arith & ARITH_CF ? 0xff : 0;
	NEXT(vp, op);
}

/* ---- BCD. Source: SDM 2 "DAA", "DAS", "AAA", "AAS", "AAM", "AAD". OF and what else is undefined
 * there: as processors do it, OF clear, the rest by the result. ---- */

static void bcd_flags(struct vp *vp, u8 al, bool af, bool cf)
{
	vp->arith = 0x200 | (al ? 0 : ARITH_ZF) | (al & 0x80 ? ARITH_SF : 0) |
		    (__builtin_parity(al) ? 0 : ARITH_PF) | (af ? ARITH_AF : 0) |
		    (cf ? ARITH_CF : 0);
}

static void decimal_adjust(struct vp *vp, bool subtract)
{
	u8 old = REG1(vp, RAX), al = old;
	bool old_cf = vp->arith & ARITH_CF, cf = false,
	     af = (old & 0xf) > 9 || (vp->arith & ARITH_AF);

	if (af) {
		cf = old_cf || (subtract ? old < 6 : old > 0xf9);
		al = subtract ? (u8)(al - 6) : (u8)(al + 6);
	}
	if (old > 0x99 || old_cf) {
		al = subtract ? (u8)(al - 0x60) : (u8)(al + 0x60);
		cf = true;
	}
	REG1(vp, RAX) = al;
	bcd_flags(vp, al, af, cf);
}

static void daa(struct vp *vp, const struct op *op)
{
	decimal_adjust(vp, false);
}

static void das(struct vp *vp, const struct op *op)
{
	decimal_adjust(vp, true);
}

static void ascii_adjust(struct vp *vp, u32 add)
{
	bool adjust = (REG1(vp, RAX) & 0xf) > 9 || (vp->arith & ARITH_AF);

	if (adjust)
		SET_REG2(vp, RAX, REG2(vp, RAX) + add);
	REG1(vp, RAX) &= 0xf;
	bcd_flags(vp, REG1(vp, RAX), adjust, adjust);
}

static void aaa(struct vp *vp, const struct op *op)
{
	ascii_adjust(vp, 0x106);
}

static void aas(struct vp *vp, const struct op *op)
{
	ascii_adjust(vp, (u16)-0x106);
}

static void aam(struct vp *vp, const struct op *op)
{
	u8 al = REG1(vp, RAX), base = (u8)op->imm;

	if (!base)
		vp_fault(vp, op, VECTOR_DE, 0);
	SET_REG2(vp, RAX, (al / base) << 8 | al % base);
	bcd_flags(vp, REG1(vp, RAX), false, false);
}

static void aad(struct vp *vp, const struct op *op)
{
	u8 al = (u8)(REG1(vp, RAX) + REG1(vp, 0x80 | RAX) * (u8)op->imm);

	SET_REG2(vp, RAX, al);
	bcd_flags(vp, al, false, false);
}

static void bound(struct vp *vp, const struct op *op)
{
	u32 bits = op->size * 8;
	u64 ea = op_ea(vp, op);
	u64 mask = op->asize == 4 ? 0xffffffffull : 0xffffull;
	s64 lo = sign_extend(seg_read(vp, op, op->seg, ea, op->size), bits);
	s64 hi = sign_extend(seg_read(vp, op, op->seg, (ea + op->size) & mask, op->size), bits);
	s64 i = sign_extend(vp->cpu.gpr[op->dst], bits);

	if (i < lo || i > hi)
		vp_fault(vp, op, VECTOR_BR, 0);
}

static bool pick(struct decode *d, op_fn fn)
{
	d->op->fn = fn;
	return true;
}

static bool pick_ud(struct decode *d)
{
	d->ends = d->may_leave = true;
	return pick(d, op_ud);
}

static bool pick_rare(struct decode *d)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_DAA: return decode_plain(d, daa);
	case ZYDIS_MNEMONIC_DAS: return decode_plain(d, das);
	case ZYDIS_MNEMONIC_AAA: return decode_plain(d, aaa);
	case ZYDIS_MNEMONIC_AAS: return decode_plain(d, aas);
	case ZYDIS_MNEMONIC_AAM: return decode_plain(d, aam);
	case ZYDIS_MNEMONIC_AAD: return decode_plain(d, aad);
	case ZYDIS_MNEMONIC_BOUND: return decode_plain(d, bound);
	case ZYDIS_MNEMONIC_CLFLUSH: return decode_plain(d, clflush);
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
		return d->vp->features->has_clflushopt && decode_plain(d, clflush);
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2: return pick_ud(d);
	default: return false;
	}
}

bool op_misc_pick(struct decode *d)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1: return pick(d, nop);
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_MFENCE: return pick(d, fence);
	case ZYDIS_MNEMONIC_CLC: return pick(d, clc);
	case ZYDIS_MNEMONIC_STC: return pick(d, stc);
	case ZYDIS_MNEMONIC_CMC: return pick(d, cmc);
	case ZYDIS_MNEMONIC_CLD: return pick(d, cld);
	case ZYDIS_MNEMONIC_STD: return pick(d, std);
	case ZYDIS_MNEMONIC_LAHF: return pick(d, lahf);
	case ZYDIS_MNEMONIC_SAHF: return pick(d, sahf);
	case ZYDIS_MNEMONIC_SALC: return pick(d, salc);
	default: return pick_rare(d);
	}
}
