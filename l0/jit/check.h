/*
 * Shared by check.c and check_cold.c: one stretch of translated code, what it did, and what the
 * interpreter did from the same state. Internal to l0/jit.
 */
#ifndef L0_JIT_CHECK_H
#define L0_JIT_CHECK_H

#include "l0/jit/jit_priv.h"

#define CHECK_PAGES 16u /* that a stretch may write to */

#define CHECK_TEXT_BYTES 6144u

/* A VP between two instructions. */
struct check_state {
	struct cpu_state cpu; /* rflags complete, vector state parked */
	u64 insns, fpu_ip, fpu_dp, n_exits, n_exceptions;
	struct vp_event ev;
	struct pmu pmu;
	u32 mode;
	u16 fpu_op;
	/* how it came there, and what with */
	enum vp_escape how;
	u32 vector, error;
	u64 cr2;
	struct vmexit exit;
};

/* A host page of which the soft TLB has a write tag. */
struct check_page {
	u8 *hva;
	bool changed;
	u32 idle; /* stretches since it was changed */
};

struct check {
	struct check_state start, translated, interpreted;
	struct check_page page[CHECK_PAGES];
	u32 n_pages, victim;
	bool replays;	    /* the interpreter is at it */
	bool reported;	    /* nothing is compared any more */
	struct block *last; /* that the interpreter ran, good while vp->code->epoch is */
	u32 last_epoch;
	u64 begin; /* where the last piece of the stretch begins that was found good */
	struct jit_checked stats;
	u64 until; /* of the run, while an instruction runs alone */
	char text[CHECK_TEXT_BYTES];
	void (*differs)(struct vp *vp, u64 rip, const char *text);
	u8 before[CHECK_PAGES][PAGE_SIZE]; /* as the stretch found them, */
	u8 after[CHECK_PAGES][PAGE_SIZE];  /* and as translated code left those that changed */
};

/* Are the vector states of two images the same, whatever components are in use? */
bool check_same_vec(const u8 *a, const u8 *b);
/* The first byte that differs in a page that was written; NULL: none. @translated: what it should
 * not be. */
const u8 *check_memory(const struct check *c, u8 *translated);
/* c->text := what differs, and the code. */
void check_describe(struct vp *vp, struct check *c);

#endif
