/*
 * The host's processor as the oracle for user-level instructions: runs one instruction on a given
 * register state with its own data pages, and says what came out, the exception included. Code,
 * data and state live at fixed low addresses, so that a guest can be given the same linear
 * addresses. Not thread-safe; takes SIGSEGV, SIGILL, SIGFPE, SIGTRAP and SIGBUS while it runs.
 */
#ifndef TESTS_DIFF_ORACLE_H
#define TESTS_DIFF_ORACLE_H

#include <Zydis/Zydis.h>
#include "l0/base/types.h"

#define ORACLE_CODE 0x20000000ull	  /* page with the instruction */
#define ORACLE_INSN (ORACLE_CODE + 0x400) /* where it starts */
#define ORACLE_DATA 0x10000000ull	  /* two pages of data; what follows is not mapped */
#define ORACLE_DATA_BYTES 0x2000ull

struct oracle_state {
	u64 gpr[16];
	u64 rflags;
	s32 vector; /* exception that the instruction raised, -1: none */
	u8 fx[512] __attribute__((aligned(16))); /* FXSAVE64 image */
};

/* Return: 0, or -1 when the host gives no memory at these addresses. */
int oracle_init(void);

/* The data pages, at ORACLE_DATA. */
u8 *oracle_data(void);

/* Call code at @at on the host; it may change every register but RSP. */
void oracle_call(u32 at);

/* Does it show or change what only the host's kernel has a say in (IF, IOPL, CPUID)? */
bool oracle_is_host_bound(ZydisMnemonic mnemonic);

/* Run @code[@len] once from @in; @out may be @in. */
void oracle_run(const u8 *code, u32 len, const struct oracle_state *in, struct oracle_state *out);

#endif
