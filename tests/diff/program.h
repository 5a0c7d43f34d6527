/*
 * Random programs of integer and x87 instructions for jit_test: loops that end, calls, and stores
 * into their own code. RBX, RBP, RSI and RDI are to point to data, RSP to a stack, RCX counts.
 */
#ifndef TESTS_DIFF_PROGRAM_H
#define TESTS_DIFF_PROGRAM_H

#include "l0/base/types.h"

#define PROGRAM_CODE 0x20000000ull /* where it runs */
#define PROGRAM_BYTES 0x2000u

struct program {
	u8 code[PROGRAM_BYTES];
	u32 len, starts[400], n;
	u32 immediates[400], n_immediates; /* a byte of each */
	bool code64;
	u64 *seed, code_writable;
};

/* @seed: of rng_next(), advanced; @code_writable: where the code can be written to. */
void program_generate(struct program *p, bool code64, u64 *seed, u64 code_writable);

#endif
