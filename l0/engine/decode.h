/*
 * Decoding: guest bytes → struct op by Zydis. block.c asks for one instruction after the other;
 * each op_*.c picks the handler for the instructions it implements.
 */
#ifndef L0_ENGINE_DECODE_H
#define L0_ENGINE_DECODE_H

#include <Zydis/Zydis.h>
#include "l0/engine/exec.h"

enum operand_form {
	FORM_NONE, /* no explicit operand, or one that no handler looks at */
	FORM_R,
	FORM_M,
	FORM_I,
	FORM_RR,
	FORM_RI,
	FORM_RM,
	FORM_MR,
	FORM_MI,
	FORM_OTHER,
};

/* Which pair with a following Jcc can run as one operation. */
enum fuse_kind {
	FUSE_NONE,
	FUSE_CMP_RR,
	FUSE_CMP_RI,
	FUSE_CMP_RM,
	FUSE_CMP_MI,
	FUSE_TEST_RR,
	FUSE_TEST_RI,
	FUSE_TEST_MI,
	FUSE_SUB_RI,
	FUSE_ADD_RI,
	FUSE_ADD_RR,
	FUSE_SUB_RR,
	FUSE_AND_RI,
	FUSE_INC_R,
	FUSE_DEC_R,
	FUSE_KINDS
};

/* One instruction on its way into the cache. */
struct decode {
	struct vp *vp;
	struct op *op;
	u32 mode;
	u64 rip; /* of the instruction */
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand opr[ZYDIS_MAX_OPERAND_COUNT];
	enum operand_form form;
	u32 si;	       /* log2 of op->size */
	bool flat64;   /* memory operand by ea_flat64() */
	bool simple64; /* and without index */
	/* what the pickers find out beside op->fn */
	op_fn noflags;	/* the same operation when the flags it writes are dead, or NULL */
	bool ends;	/* the block ends after it */
	bool may_leave; /* may fault or exit: flags are seen */
	enum fuse_kind fuse;
	u32 flags_read, flags_written; /* arithmetic flags, RFLAGS positions */
};

enum decode_result {
	DECODE_OK,
	DECODE_MORE, /* the instruction goes on after @avail bytes */
};

/**
 * decode_one - decode the instruction at @bytes into d->op
 * @avail: bytes there, 1..16
 * @rip:   of the instruction; @off: from the block's start; @idx: instructions before it
 * Instructions that do not exist become operations that raise #UD (or #GP when longer than 15).
 */
enum decode_result decode_one(struct decode *d, const u8 *bytes, u32 avail, u64 rip, u32 off,
			      u32 idx);

/* Pickers: set op->fn (and the fields above) and return true when the instruction is theirs. */
bool op_alu_pick(struct decode *d);
bool op_mov_pick(struct decode *d);
bool op_shift_pick(struct decode *d);
bool op_muldiv_pick(struct decode *d);
bool op_bit_pick(struct decode *d);
bool op_string_pick(struct decode *d);
bool op_branch_pick(struct decode *d);
bool op_stack_pick(struct decode *d);
bool op_misc_pick(struct decode *d);
bool op_atomic_pick(struct decode *d);
/* Before the others, in modes with VP_MODE_STACKS: loads of the stack pointer. */
bool op_watch_pick(struct decode *d);

/* Handler for the pair (@kind, size 1 << @si) + Jcc @cc, or NULL. */
op_fn op_fused_lookup(enum fuse_kind kind, u32 si, bool flat64, u32 cc);

/* Register number of a general register; 8-bit high ones 0x80 | number; OP_NO_REG for none. */
u8 decode_reg(ZydisRegister r);

/* Operand size when pushes, pops, calls and returns of that size need no checks and no truncation
 * but to that size: 8 in 64-bit mode, 4 in flat 32-bit mode; else 0. */
static inline u32 decode_flat_stack(const struct decode *d)
{
	u32 size = d->op->size;

	if (d->mode & VP_MODE_AC)
		return 0;
	if ((d->mode & VP_MODE_SIZE) == VP_MODE_64)
		return size == 8 ? 8 : 0;
	return size == 4 && (d->mode & VP_MODE_SIZE) == VP_MODE_32 && (d->mode & VP_MODE_FLAT) &&
			       (d->mode & VP_MODE_SS32) && (d->mode & VP_MODE_CSFLAT)
		       ? 4
		       : 0;
}

/* A plain function (op_plain) instead of a threaded handler. */
static inline bool decode_plain(struct decode *d, op_fn f)
{
	d->op->fn = op_plain;
	d->op->slow = f;
	d->may_leave = true;
	return true;
}

#endif
