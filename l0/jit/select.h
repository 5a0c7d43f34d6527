/*
 * Which operations of a block are translated, and what the translator has to know of each:
 * registers, flags read and written, where a branch goes inside the block. No code is emitted here.
 */
#ifndef L0_JIT_SELECT_H
#define L0_JIT_SELECT_H

#include "l0/engine/decode.h"
#include "l0/engine/vec.h"
#include "l0/jit/jit_priv.h"

enum jit_kind {
	J_SLOW, /* the handler does it */
	J_NOP,
	J_MOV,
	J_XCHG,
	J_BSWAP,
	J_SIGN_RAX,
	J_EXTEND,
	J_LEA,
	J_ALU,
	J_TEST,
	J_UNARY,
	J_SHIFT,
	J_IMUL,
	J_CMOV,
	J_SETCC,
	J_PUSH,
	J_POP,
	J_LEAVE,
	J_VEC,
	J_CONVERT,
	J_MULDIV,
	J_MULX,
	J_BIT,
	J_HOST,
	J_SHIFT2,
	J_MOVBE,
	J_XCHG_MEM,
	J_XADD,
	J_CMPXCHG,
	J_CMPXCHG_WIDE,
	J_FLAGOP,
	J_STRING,
	J_JCC,
	/* these end the block */
	J_JMP,
	J_JMP_IND,
	J_CALL,
	J_CALL_IND,
	J_RET,
};

/* An access as part of a range of memory that is looked up once, see range.h. */
struct jit_range {
	u8 id;	    /* 0: looked up alone */
	bool first; /* looks it up, */
	bool write; /* for writing */
	s32 at;	    /* bytes from its begin */
	u32 bytes;  /* of all of it */
};

struct jit_op {
	u8 kind, form;
	u8 sub;	     /* ALU, unary, shift: opcode digit; conditions: cc */
	u8 src_size; /* J_EXTEND */
	bool mem;    /* has a memory operand that is accessed */
	bool sure;   /* which was looked up: the operation does not leave */
	bool leaves; /* may go to its handler without one */
	bool lock;
	bool high;    /* AH, CH, DH, BH is an operand */
	bool by_cl;   /* shift */
	bool has_imm; /* J_IMUL, J_BIT, J_HOST */
	u16 opc;      /* J_EXTEND, J_HOST */
	/* J_HOST: prefix, map (1 0f, 2 0f 38, 3 0f 3a), and the register in VEX.vvvv or
	 * OP_NO_REG */
	u8 pp, map, vreg;
	bool vex;
	bool keeps;		   /* what was in the destination counts */
	u32 use, wr;		   /* guest registers, bit by number */
	u32 read, written, killed; /* flags, RFLAGS positions */
	u32 after;		   /* flags that are live after it, */
	u32 before;		   /* and before it */
	struct vec_native vec;
	struct jit_range range;
};

static inline u32 reg_bit(u32 r)
{
	return r < GPR_COUNT ? 1u << r : 0;
}

/* A memory operand that the inline look-up serves, with LOCK when @j says so; notes the address
 * registers. */
bool select_mem(const struct decode *d, struct jit_op *j);
/* The explicit operands by form; @written: the first is. */
bool select_operands(const struct decode *d, struct jit_op *j, bool written);

/* The groups that have a file each: is the instruction one that is native? */
bool muldiv_take(const struct decode *d, struct jit_op *j);
bool bits_take(const struct decode *d, struct jit_op *j);
bool atomic_take(const struct decode *d, struct jit_op *j);
bool flagop_take(const struct decode *d, struct jit_op *j);
bool string_take(const struct decode *d, struct jit_op *j);
bool vector_take(struct vp *vp, const struct block *b, const struct op *op, op_fn fn,
		 struct jit_op *j);

/* Fill @j[b->n_ops]. Return: the number of operations to translate. */
u32 jit_select(struct vp *vp, struct block *b, const struct jit *tier, struct jit_op *j);

#endif
