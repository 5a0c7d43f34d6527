/*
 * Which operations of a block are translated, and what the translator has to know of each: registers,
 * flags read and written, where a branch goes inside the block. No code is emitted here.
 */
#ifndef L0_JIT_SELECT_H
#define L0_JIT_SELECT_H

#include "l0/engine/decode.h"
#include "l0/engine/vec.h"
#include "l0/jit/jit_priv.h"

enum jit_kind {
	J_SLOW, /* the handler does it */
	J_NOP, J_MOV, J_XCHG, J_BSWAP, J_SIGN_RAX, J_EXTEND, J_LEA, J_ALU, J_TEST, J_UNARY, J_SHIFT, J_IMUL,
	J_CMOV, J_SETCC, J_PUSH, J_POP, J_LEAVE, J_VEC, J_JCC,
	/* these end the block */
	J_JMP, J_JMP_IND, J_CALL, J_CALL_IND, J_RET,
};

struct jit_op {
	u8 kind, form;
	u8 sub;	       /* ALU, unary, shift: opcode digit; conditions: cc */
	u8 src_size;   /* J_EXTEND */
	bool mem;      /* has a memory operand that is accessed */
	bool by_cl;    /* shift */
	bool has_imm;  /* J_IMUL */
	u16 opc;       /* J_EXTEND */
	u32 use, wr;   /* guest registers, bit by number */
	u32 read, written, killed; /* flags, RFLAGS positions */
	u32 after;     /* flags that are live after it, */
	u32 before;    /* and before it */
	struct vec_native vec;
};

/* Fill @j[b->n_ops]. Return: the number of operations to translate. */
u32 jit_select(struct vp *vp, struct block *b, const struct jit *tier, struct jit_op *j);

#endif
