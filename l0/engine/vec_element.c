/*
 * Vector instructions that access memory element by element, under a mask: gathers and masked
 * moves. They work on the parked state, so what a fault leaves behind is what the SDM says: a
 * gather keeps the elements it has loaded and their cleared mask bits. Source: SDM 2C "VPGATHERDD",
 * "VMASKMOV".
 */
#include "l0/engine/vec_priv.h"

#define XMM 160
#define YMM_HIGH 576

/* op->imm: element size, index element size, mask register, vector index register */
#define ELEMENT(op) ((u32)((op)->imm & 0xff))
#define INDEX_SIZE(op) ((u32)((op)->imm >> 8 & 0xff))
#define MASK_REG(op) ((u32)((op)->imm >> 16 & 0xff))
#define INDEX_REG(op) ((u32)((op)->imm >> 24 & 0xff))

static u8 *lane(struct vp *vp, u32 reg, u32 byte)
{
	return vp->cpu.vec + (byte < 16 ? XMM : YMM_HIGH - 16) + 16 * reg + byte;
}

static u64 element_get(struct vp *vp, u32 reg, u32 i, u32 size)
{
	const u8 *p = lane(vp, reg, i * size);

	return size == 8 ? nm_load64(p) : nm_load32(p);
}

static void element_set(struct vp *vp, u32 reg, u32 i, u32 size, u64 v)
{
	u8 *p = lane(vp, reg, i * size);

	if (size == 8)
		nm_store64(p, v);
	else
		nm_store32(p, (u32)v);
}

static bool masked_in(struct vp *vp, u32 reg, u32 i, u32 size)
{
	return element_get(vp, reg, i, size) >> (8 * size - 1) & 1;
}

static void zero_above(struct vp *vp, u32 reg, u32 bytes)
{
	for (u32 b = bytes; b < 32; b += 8)
		nm_store64(lane(vp, reg, b), 0);
}

static u64 address_mask(const struct op *op)
{
	return op->asize == 8 ? ~0ull : size_mask(op->asize);
}

static void slow_gather(struct vp *vp, const struct op *op)
{
	u32 size = ELEMENT(op), isize = INDEX_SIZE(op), mask = MASK_REG(op), index = INDEX_REG(op);
	u32 n = op->size / MAX(size, isize);
	u64 base = op_ea(vp, op);

	vec_gate_slow(vp, op);
	if (op->dst == mask || op->dst == index || mask == index)
		vp_fault(vp, op, VECTOR_UD, 0);
	vec_own_image(vp);
	for (u32 i = 0; i < n; i++) {
		/* the whole mask element becomes its sign, so that it shows what is still to do */
		bool wanted = masked_in(vp, mask, i, size);
		element_set(vp, mask, i, size, wanted ? ~0ull : 0);
	}
	for (u32 i = 0; i < n; i++) {
		if (!masked_in(vp, mask, i, size))
			continue;
		u64 x = element_get(vp, index, i, isize);
		s64 offset = isize == 4 ? (s64)(s32)x : (s64)x;
		u64 v = seg_read(vp, op, op->seg,
				 (base + (u64)offset * op->scale) & address_mask(op), size);
		element_set(vp, op->dst, i, size, v);
		element_set(vp, mask, i, size, 0);
	}
	zero_above(vp, op->dst, n * size);
	zero_above(vp, mask, 0);
}

static void slow_maskload(struct vp *vp, const struct op *op)
{
	u32 size = ELEMENT(op), mask = MASK_REG(op), n = op->size / size;
	u64 base = op_ea(vp, op), v[8];

	vec_gate_slow(vp, op);
	vec_own_image(vp);
	for (u32 i = 0; i < n; i++)
		v[i] = masked_in(vp, mask, i, size)
			       ? seg_read(vp, op, op->seg, (base + i * size) & address_mask(op),
					  size)
			       : 0;
	for (u32 i = 0; i < n; i++)
		element_set(vp, op->dst, i, size, v[i]);
	zero_above(vp, op->dst, n * size);
}

static void slow_maskstore(struct vp *vp, const struct op *op)
{
	u32 size = ELEMENT(op), mask = MASK_REG(op), n = op->size / size;
	u64 base = op_ea(vp, op);

	vec_gate_slow(vp, op);
	vec_own_image(vp);
	for (u32 i = 0; i < n; i++) {
		if (!masked_in(vp, mask, i, size))
			continue;
		u64 off = (base + i * size) & address_mask(op);
		lin_probe_write(vp, op, seg_linear(vp, op, op->seg, off, size, true), size);
	}
	for (u32 i = 0; i < n; i++)
		if (masked_in(vp, mask, i, size))
			seg_write(vp, op, op->seg, (base + i * size) & address_mask(op),
				  element_get(vp, op->dst, i, size), size);
}

struct element_insn {
	u16 mnemonic;
	u8 size, index; /* index 0: a masked move */
};

static const struct element_insn insns[] = {
	{ZYDIS_MNEMONIC_VPGATHERDD, 4, 4}, {ZYDIS_MNEMONIC_VPGATHERDQ, 8, 4},
	{ZYDIS_MNEMONIC_VPGATHERQD, 4, 8}, {ZYDIS_MNEMONIC_VPGATHERQQ, 8, 8},
	{ZYDIS_MNEMONIC_VGATHERDPS, 4, 4}, {ZYDIS_MNEMONIC_VGATHERDPD, 8, 4},
	{ZYDIS_MNEMONIC_VGATHERQPS, 4, 8}, {ZYDIS_MNEMONIC_VGATHERQPD, 8, 8},
	{ZYDIS_MNEMONIC_VMASKMOVPS, 4, 0}, {ZYDIS_MNEMONIC_VMASKMOVPD, 8, 0},
	{ZYDIS_MNEMONIC_VPMASKMOVD, 4, 0}, {ZYDIS_MNEMONIC_VPMASKMOVQ, 8, 0},
};

static u32 number(const ZydisDecodedOperand *o)
{
	return (u32)ZydisRegisterGetId(o->reg.value) & 15;
}

/* Gather: destination, memory, mask. Masked load: destination, mask, memory; store: memory, mask,
 * source. */
op_fn vec_element_lookup(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *o,
			 struct op *op)
{
	const struct element_insn *e = insns;

	while (e < insns + ARRAY_SIZE(insns) && e->mnemonic != insn->mnemonic)
		e++;
	if (e == insns + ARRAY_SIZE(insns))
		return NULL;
	bool wide = insn->raw.vex.L;
	op->size = wide ? 32 : 16;
	op->imm = e->size | (u64)e->index << 8;
	if (e->index) {
		op->dst = (u8)number(&o[0]);
		op->index = OP_NO_REG;
		op->scale = o[1].mem.scale;
		op->imm |= (u64)number(&o[2]) << 16 |
			   (u64)((u32)ZydisRegisterGetId(o[1].mem.index) & 15) << 24;
		return slow_gather;
	}
	bool store = o[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	op->dst = (u8)number(store ? &o[2] : &o[0]);
	op->imm |= (u64)number(&o[1]) << 16;
	return store ? slow_maskstore : slow_maskload;
}
