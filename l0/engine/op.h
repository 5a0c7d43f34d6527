/*
 * struct op: one decoded guest instruction in the operation cache; struct block: a run of them.
 * decode.c makes them, the handlers (op_*.c) execute them. Internal to l0/engine and l0/jit.
 *
 * A handler runs one operation and tail-calls the next (op_next()), so a block is a chain of
 * indirect jumps. "Fast" handlers work on vp->gpr/arith directly and fault only through the
 * accessors of access.h, which need @op for RIP and count. "Slow" operations (system instructions,
 * far transfers, anything that changes mode) go through op_slow: it completes vp->cpu (rip, rflags,
 * insns), calls op->slow(vp, op), then resumes at vp->next_rip and ends the block; those that leave
 * RIP alone through op_inline, which goes on in the block (quick.c says which). A slow function
 * must raise faults (vp_fault, vp_exit) before it commits anything.
 */
#ifndef L0_ENGINE_OP_H
#define L0_ENGINE_OP_H

#include "l0/engine/vp.h"

typedef void (*op_fn)(struct vp *vp, const struct op *op);

#define OP_NO_REG 16 /* base/index: none; cpu.gpr[16] is always 0 */

struct op {
	op_fn fn;     /* threaded handler */
	op_fn slow;   /* op_slow: what to do; vector operations: the host code stub; OP_REPLACED */
	u64 imm;      /* immediate, sign-extended; near branch: target offset; far: offset */
	s64 disp;     /* displacement; RIP-relative: already absolute, base = none */
	u16 mnemonic; /* ZydisMnemonic */
	u16 rip_off;  /* offset of the instruction from the block's rip */
	u8 len;	      /* bytes */
	u8 idx;	      /* number of instructions before it in the block */
	u8 dst, src; /* register numbers (ModRM.reg / ModRM.rm as the form says); 8-bit high: 0x80 |
			n */
	u8 base, index, scale, seg; /* memory operand; seg SEG_COUNT = no base added */
	u8 size; /* operand size in bytes: 1, 2, 4, 8 (memory size for vector operations: 16, 32 …)
		  */
	u8 asize; /* address size in bytes: 2, 4, 8 */
	u8 flags; /* OP_* below */
	u8 modrm; /* the raw ModRM byte, for the instruction-information field */
	u16 sel;  /* far pointer immediate: selector */
	u16 aux;  /* form-specific: second immediate (ENTER), condition code, prefix bits */
	/* the last bytes of the instruction are @imm and nothing else; OP_IMM_SIGNED: extended */
	u8 imm_bytes;
	void *link[1]; /* form-specific: chained block; extra data of decode.c */
};
_Static_assert(sizeof(struct op) <= 72, "an operation stays within a little over a cache line");

#define OP_IMM_SIGNED 0x80u

#define OP_LOCK 0x01u
#define OP_REP 0x02u
#define OP_REPNE 0x04u
#define OP_MEM 0x08u	  /* the ModRM operand is memory */
#define OP_SEGCHECK 0x10u /* mode is not flat: accesses check limit and type */
#define OP_NOFLAGS 0x20u  /* arithmetic flags it writes are dead in this block */
#define OP_OPSIZE 0x40u	  /* 0x66 prefix present (vector forms, instruction info) */
#define OP_REPLACED 0x80u /* @fn suits what follows in this block; @slow is the one for anywhere */

/* Leave the operation without committing: never returns; to the run loop, which delivers or exits.
 */
_Noreturn void vp_fault(struct vp *vp, const struct op *op, u32 vector,
			u32 error); /* error code pushed by vector */
_Noreturn void vp_page_fault(struct vp *vp, const struct op *op, u64 gva, u32 error);
/* vp->exit is filled by the caller but for insn_len and the IDT-vectoring fields. RIP = this
 * instruction. */
_Noreturn void vp_exit(struct vp *vp, const struct op *op);
/* State is complete in vp->cpu (rip set by the caller): continue at the run loop's top. */
_Noreturn void vp_restart(struct vp *vp);

/* Ways out of an operation by a long jump. */
enum vp_escape {
	ESCAPE_NONE,
	ESCAPE_FAULT, /* vp->fault_* is to be delivered */
	ESCAPE_EXIT,  /* vp->exit is filled */
	ESCAPE_RESTART,
	ESCAPE_CUT, /* the tier's own, see engine_tier.before_effect */
};
_Noreturn void vp_escape(struct vp *vp, enum vp_escape how);

/* Call fn(vp, arg) and stop the ways out of operations that it runs. Return: the one that was
 * taken, for vp_escape() to go on with. */
enum vp_escape vp_guard(struct vp *vp, void (*fn)(struct vp *vp, void *arg), void *arg);

#endif
