/*
 * x87, MMX, SSE and AVX: each instruction runs on the host processor, on the guest's own vector
 * state held live in the host's registers (see vp.h, vec_live). decode.c asks vec_op_lookup() for
 * every instruction that Zydis puts in one of those sets; FXSAVE, XSAVE and their kin too.
 *
 * Nothing of the host shows: x87 instruction and data pointers are the guest's own, exceptions that
 * the guest has unmasked come back as #MF/#XM, feature and CR0/CR4 gates are the guest's.
 * Cost: register forms about 3 ns, memory forms about 5 ns, plus the operation itself.
 */
#ifndef L0_ENGINE_VEC_H
#define L0_ENGINE_VEC_H

#include <Zydis/Zydis.h>
#include "l0/engine/op.h"

/**
 * vec_op_lookup - handler for a vector or x87 instruction
 * @vp:    whose features and mode decide what is an instruction at all
 * @insn, @operands: as decoded by Zydis (visible and hidden operands)
 * @bytes: the raw instruction, insn->length bytes
 * @op:    decode.c has filled the memory operand (base, index, scale, disp, seg, asize), len, modrm
 *         and the prefix flags; this fills dst, src, imm, aux, slow, link, size
 * Return: the handler for op->fn; NULL when the instruction is none of this module's: not a vector
 * instruction, or not announced by the processor model (then it is #UD).
 */
op_fn vec_op_lookup(struct vp *vp, const ZydisDecodedInstruction *insn,
		    const ZydisDecodedOperand *operands, const u8 *bytes, struct op *op);

/*
 * How the translator may execute the operation @op with handler @fn: @code with the memory operand
 * as [rdi] and the general register as rax, once vp->vec_ok has @need.
 */
struct vec_native {
	const u8 *code;
	u32 len;
	u8 need;
	bool store, flags, gpr_in, gpr_out;
	bool flags_in; /* CF, ZF, PF */
	bool ax_out;   /* writes AX itself, */
	bool rcx_out;  /* ECX */
	/* x87: it is the last instruction that the pointers tell of, op->imm its opcode */
	bool pointers;
	bool gpr_rm; /* the general register is in ModRM.rm, else in ModRM.reg */
	u16 align;   /* of the memory operand, else #GP; 0, 16, 32 */
};
/* The sets whose gates are open when those of @need are: SSE's gate has all that x87's and MMX's
 * have. */
static inline u8 vec_passes(u32 need)
{
	return (u8)(need & 7 ? need | 3 : need);
}
bool vec_native(const struct op *op, op_fn fn, struct vec_native *n);

/* Where to go on when the host's processor raises a floating-point exception at @host_rip, 0: not
 * the translator's. Async-signal-safe. */
extern u64 (*vec_recover)(u64 host_rip);

/* Once a process, before the first guest runs: the SIGFPE handler that turns a host floating-point
 * exception inside a stub into a return code. Return: 0 or -errno. */
int vec_init(void);

/* Bring the guest's state into the host's registers (sets vec_live). vp_vec_park() is the
 * inverse. */
void vec_unpark(struct vp *vp);

/* Does the host's processor have a feature bit that vector operations run on? AVX and what builds
 * on it also needs the host's XCR0. */
bool vec_host_has(u32 leaf, u32 subleaf, u32 reg, u32 bit);

/* Components of XCR0 that are not in their initial state (XINUSE); parks the state. */
u64 vec_xinuse(struct vp *vp);

/* Reset values (FINIT state, MXCSR 1f80) into cpu.vec; parks nothing. */
void vec_reset(struct vp *vp);

#endif
