/* Shared inside l0/jit: the state of a VP's tier. */
#ifndef L0_JIT_JIT_PRIV_H
#define L0_JIT_JIT_PRIV_H

#include "l0/engine/block.h"
#include "l0/jit/jit.h"

#define JIT_BLOCK_MAX_BYTES (32u * 1024)
#define JIT_CONSTANTS 64u /* bytes at the arena's start that code reads */
#define JIT_PINNED 10u	      /* host registers that hold guest registers */

struct jit {
	u8 *write; /* the same pages, writable, */
	u8 *exec;  /* and executable */
	u64 bytes, used;
	u32 heat, off;
	bool reused; /* places hold older code: new code needs a serialising instruction */
	u64 n_translated, n_flushes;
};

enum jit_result { JIT_DONE, JIT_FULL, JIT_NEVER };

/* Translate @b, whose first operation's handler is b->first, and enter the code in b->ops[].fn.
 * JIT_FULL: the arena has no room; JIT_NEVER: nothing to gain. */
enum jit_result jit_translate(struct vp *vp, struct block *b);

#endif
