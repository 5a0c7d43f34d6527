/*
 * Host machine code into a buffer: the few forms that translate.c uses. Registers are host numbers
 * (0 = rax … 15 = r15). A buffer that is full swallows what comes after and says so in @full. Never
 * looks at guest state.
 */
#ifndef L0_JIT_EMIT_H
#define L0_JIT_EMIT_H

#include "l0/base/mem_ops.h"
#include "l0/base/types.h"

enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9 };

struct emit {
	u8 *base, *p, *end; /* writable mapping */
	bool full;
};

static inline void emit1(struct emit *e, u32 b)
{
	if (likely(e->p < e->end))
		*e->p++ = (u8)b;
	else
		e->full = true;
}

static inline void emit_n(struct emit *e, u64 v, u32 bytes)
{
	for (u32 i = 0; i < bytes; i++)
		emit1(e, (u32)(v >> 8 * i));
}

static inline u32 emit_pos(const struct emit *e)
{
	return (u32)(e->p - e->base);
}

/* Prefixes, REX and opcode; @opc may be 0f xx or 0f 38 xx. Byte operations always get REX: spl …
 * dil, no high bytes. */
static inline void emit_op(struct emit *e, u32 size, u32 opc, u32 reg, u32 index, u32 rm)
{
	u32 rex = 0x40 | (size == 8) << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 |
		  (rm >> 3 & 1);

	if (size == 2)
		emit1(e, 0x66);
	if (rex != 0x40 || size == 1)
		emit1(e, rex);
	if (opc > 0xffff)
		emit1(e, opc >> 16);
	if (opc > 0xff)
		emit1(e, opc >> 8);
	emit1(e, opc);
}

/* VEX of three bytes and opcode; @map: 1 0f, 2 0f 38, 3 0f 3a; @pp: the prefix it stands for, or
 * 0. */
static inline void emit_vex(struct emit *e, u32 size, u32 pp, u32 map, u32 opc, u32 reg, u32 v,
			    u32 index, u32 rm)
{
	u32 p = pp == 0x66 ? 1 : pp == 0xf3 ? 2 : pp == 0xf2 ? 3 : 0;

	emit1(e, 0xc4);
	emit1(e, ((reg & 8) << 4 | (index & 8) << 3 | (rm & 8) << 2 | map) ^ 0xe0);
	emit1(e, (size == 8) << 7 | (~v & 15) << 3 | p);
	emit1(e, opc);
}

static inline void emit_rr(struct emit *e, u32 size, u32 opc, u32 reg, u32 rm)
{
	emit_op(e, size, opc, reg, 0, rm);
	emit1(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* ModRM for [base + index + disp]; index < 0: none. */
static inline void emit_modrm(struct emit *e, u32 reg, u32 base, int index, s32 disp)
{
	bool small = disp == (s8)disp, sib = index >= 0 || (base & 7) == H_RSP;

	emit1(e, (small ? 0x40u : 0x80u) | (reg & 7) << 3 | (sib ? 4 : base & 7));
	if (sib)
		emit1(e, ((u32)(index < 0 ? H_RSP : index) & 7) << 3 | (base & 7));
	emit_n(e, (u32)disp, small ? 1 : 4);
}

/* [base + disp] */
static inline void emit_rm(struct emit *e, u32 size, u32 opc, u32 reg, u32 base, s32 disp)
{
	emit_op(e, size, opc, reg, 0, base);
	emit_modrm(e, reg, base, -1, disp);
}

/* lea reg, [base + index * scale + disp]; base or index < 0: none. @size 4 truncates. */
static inline void emit_lea(struct emit *e, u32 size, u32 reg, int base, int index, u32 scale,
			    s32 disp)
{
	u32 b = base < 0 ? 0 : (u32)base, x = index < 0 ? H_RSP : (u32)index;
	u32 ss = scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;

	if (base >= 0 && index < 0) {
		emit_rm(e, size, 0x8d, reg, b, disp);
		return;
	}
	emit_op(e, size, 0x8d, reg, index < 0 ? 0 : x, b);
	emit1(e, (base < 0 ? 0u : 0x80u) | (reg & 7) << 3 | 4);
	emit1(e, ss << 6 | (x & 7) << 3 | (base < 0 ? 5 : b & 7));
	emit_n(e, (u32)disp, 4);
}

/* [base + index + disp]; index < 0: none. */
static inline void emit_mem(struct emit *e, u32 size, u32 opc, u32 reg, u32 base, int index,
			    s32 disp)
{
	emit_op(e, size, opc, reg, index < 0 ? 0 : (u32)index, base);
	emit_modrm(e, reg, base, index, disp);
}

/* [rip + …] for the absolute address @to; @from: the address of e->base where it runs; @after:
 * bytes of the instruction behind the displacement. */
static inline void emit_rip(struct emit *e, u32 size, u32 opc, u32 reg, u64 to, u64 from, u32 after)
{
	emit_op(e, size, opc, reg, 0, 0);
	emit1(e, (reg & 7) << 3 | 5);
	emit_n(e, (u32)(to - (from + emit_pos(e) + 4 + after)), 4);
}

/* Jump (e9) or call (e8) to the absolute address @to. */
static inline void emit_to(struct emit *e, u32 opc, u64 to, u64 from)
{
	emit1(e, opc);
	emit_n(e, (u32)(to - (from + emit_pos(e) + 4)), 4);
}

/* mov reg, imm with the shortest form; leaves the flags alone. */
static inline void emit_mov_imm(struct emit *e, u32 reg, u64 v)
{
	if (v <= 0xffffffff) {
		if (reg >> 3)
			emit1(e, 0x41);
		emit1(e, 0xb8 | (reg & 7));
		emit_n(e, v, 4);
	} else if ((u64)(s64)(s32)v == v) {
		emit_op(e, 8, 0xc7, 0, 0, reg);
		emit1(e, 0xc0 | (reg & 7));
		emit_n(e, v, 4);
	} else {
		emit1(e, 0x48 | reg >> 3);
		emit1(e, 0xb8 | (reg & 7));
		emit_n(e, v, 8);
	}
}

/* Jumps with a 32-bit displacement that is filled in later. Return: where it is. */
static inline u32 emit_jcc(struct emit *e, u32 cc)
{
	emit1(e, 0x0f);
	emit1(e, 0x80 | cc);
	emit_n(e, 0, 4);
	return emit_pos(e) - 4;
}

static inline u32 emit_jmp(struct emit *e)
{
	emit1(e, 0xe9);
	emit_n(e, 0, 4);
	return emit_pos(e) - 4;
}

static inline void emit_patch(struct emit *e, u32 at, u32 target)
{
	if (!e->full)
		nm_store32(e->base + at, target - (at + 4));
}

#endif
