/*
 * Shared between vec.c (decoding and handlers) and vec_state.c (state images). Internal.
 */
#ifndef L0_ENGINE_VEC_PRIV_H
#define L0_ENGINE_VEC_PRIV_H

#include "l0/engine/exec.h"
#include "l0/engine/vec.h"

/* op->aux of vector operations */
#define VEC_X87 0x0001u
#define VEC_MMX 0x0002u
#define VEC_SSE 0x0004u
#define VEC_AVX 0x0008u
_Static_assert(VEC_X87 == 1 && VEC_MMX == 2 && VEC_SSE == 4, "see vec_passes()");
#define VEC_SETS (VEC_X87 | VEC_MMX | VEC_SSE | VEC_AVX)
#define VEC_FXSR 0x0010u	/* FXSAVE, FXRSTOR: EM gives #NM */
#define VEC_WAIT 0x0020u	/* FWAIT: gated by MP and TS */
#define VEC_GPR_IN 0x0040u	/* op->src goes to the stub in rax */
#define VEC_GPR_OUT 0x0080u	/* rax goes to op->dst */
#define VEC_STRING 0x0100u	/* PCMPxSTRx: RAX, RDX in, RCX out */
#define VEC_POINTER 0x0200u	/* moves the x87 last-instruction pointers */
#define VEC_STORE_KEEPS 0x0400u /* a store that an unmasked exception suppresses: x87 */

#define VEC_GPR_RM 0x0800u /* the general register is in ModRM.rm */

/* #UD, #NM and the like when the instruction may not run now. */
void vec_gate_slow(struct vp *vp, const struct op *op);

static __always_inline void vec_gate(struct vp *vp, const struct op *op)
{
	if (unlikely((vp->cpu.cr0 & (CR0_TS | CR0_EM)) ||
		     ((op->aux & (VEC_SSE | VEC_AVX)) && !(vp->cpu.cr4 & CR4_OSFXSR)) ||
		     (op->aux & VEC_AVX)))
		vec_gate_slow(vp, op);
}

static __always_inline void vec_live(struct vp *vp)
{
	if (unlikely(!vp->vec_live))
		vec_unpark(vp);
}

/*
 * After what needed the state. The run-time libraries of ThreadSanitizer (at every access) and of
 * AddressSanitizer (before every long jump) use vector registers: in their builds (Makefile) the
 * state does not stay there, and these files are not instrumented.
 */
static __always_inline void vec_done(struct vp *vp)
{
#ifdef VEC_PARKS
	vp_vec_park(vp);
#endif
}

/* After vec_gate() and vec_live(): others of the kind need neither until something slow happens. */
static __always_inline void vec_passed(struct vp *vp, const struct op *op)
{
	vp->vec_ok |= vec_passes(op->aux & VEC_SETS);
}

/* Bits of MXCSR that may be 1 (of the host, as FXSAVE tells it). */
extern u32 vec_mxcsr_mask;

/* Slow functions for op_slow: images of the state in memory; NULL: not one of theirs. */
op_fn vec_state_lookup(u16 mnemonic);
op_fn vec_xsave_lookup(const struct cpu_features *f, u16 mnemonic);
/* Gathers and masked moves; fills @op. */
op_fn vec_element_lookup(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands,
			 struct op *op);

/* Park, and make every component of cpu.vec valid: it is about to be read or changed by hand. */
u8 *vec_own_image(struct vp *vp);

#endif
