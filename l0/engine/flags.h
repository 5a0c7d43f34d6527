/*
 * Arithmetic flags, kept eagerly as the host computes them: every operation that changes flags is
 * executed by the host's own instruction and its flags are taken with LAHF and SETO into vp->arith
 * (AH = SF ZF 0 AF 0 PF 1 CF, AL = OF). So they are exact, undefined ones included, and a condition
 * is a test of one word. Used by the operations only; never touches IF, DF, TF and the like.
 * Cost: two to three host instructions an operation.
 */
#ifndef L0_ENGINE_FLAGS_H
#define L0_ENGINE_FLAGS_H

#include "l0/arch/x86.h"
#include "l0/base/types.h"

#define ARITH_OF 0x0001u
#define ARITH_CF 0x0100u
#define ARITH_PF 0x0400u
#define ARITH_AF 0x1000u
#define ARITH_ZF 0x4000u
#define ARITH_SF 0x8000u

static inline u32 arith_from_rflags(u64 rflags)
{
	return (u32)((rflags & 0xd5) << 8 | 0x200 | (rflags >> 11 & 1));
}

static inline u64 rflags_with_arith(u64 rflags, u32 arith)
{
	return (rflags & ~(u64)RFLAGS_ARITH) | (arith >> 8 & 0xd5) | (u64)(arith & 1) << 11;
}

/* Host flags := the guest's, from EAX = vp->arith (OF by an addition that overflows, then SAHF). */
#define FLAGS_IN "addb $0x7f, %%al\n\tsahf\n\t"
#define FLAGS_OUT "\n\tlahf\n\tseto %%al"

/* Condition code @cc of Jcc, SETcc, CMOVcc (low nibble of the opcode). */
static __always_inline bool flags_cond(u32 a, unsigned int cc)
{
	bool r = false;

	switch (cc >> 1) {
	case 0: r = a & ARITH_OF; break;
	case 1: r = a & ARITH_CF; break;
	case 2: r = a & ARITH_ZF; break;
	case 3: r = a & (ARITH_CF | ARITH_ZF); break;
	case 4: r = a & ARITH_SF; break;
	case 5: r = a & ARITH_PF; break;
	case 6: r = (a ^ a >> 15) & 1; break;
	case 7: r = ((a ^ a >> 15) & 1) || (a & ARITH_ZF); break;
	}
	return r ^ (cc & 1);
}

/* X(number, suffix): the sixteen conditions as the host's assembler calls them. */
/* clang-format off */
#define FLAGS_CONDITIONS(X) \
	X(0, o) X(1, no) X(2, c) X(3, nc) X(4, z) X(5, nz) X(6, be) X(7, a) \
	X(8, s) X(9, ns) X(10, p) X(11, np) X(12, l) X(13, ge) X(14, le) X(15, g)
/* clang-format on */

#endif
