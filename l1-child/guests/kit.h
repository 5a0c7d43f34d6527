/*
 * What every L2 guest starts from: descriptor tables, traps, hypercalls, calibrated work, reports.
 * One processor; kit_main() is the entry, guest_main() is the guest's own.
 */
#ifndef L1_CHILD_GUESTS_KIT_H
#define L1_CHILD_GUESTS_KIT_H

#include "l1-child/guests/abi.h"
#include "l1-child/guests/kit_vectors.h"
#include "l1-child/lib/types.h"

#ifdef __x86_64__
struct kit_frame {
	uword r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
	uword vector, error;
	uword ip, cs, flags, sp, ss;
};
#else
struct kit_frame {
	uword di, si, bp, unused, bx, dx, cx, ax;
	uword vector, error;
	uword ip, cs, flags; /* then sp, ss when it came from an outer level */
};
#endif

/* Work as loop iterations, from the rate measured once: time that the guest is not running does not
 * count as work. */
struct kit_rate {
	u32 loops;
	u32 tsc; /* ticks for so many loops, undisturbed */
};

/* The guest itself; never returns. */
void guest_main(struct guest_shared *s) __attribute__((noreturn));

/* Called for traps: return false for those the guest does not handle (then it ends with a message).
 * The guest's timer vector is handled by doing nothing, so a guest without traps of its own needs
 * no hook. */
typedef bool (*kit_trap_fn)(struct kit_frame *f);
void kit_set_trap(kit_trap_fn fn);

/* Sets the gate of a vector to an entry of the guest's own; user: may be called from CPL 3. */
void kit_set_gate(u32 vector, const void *entry, bool user);

/* The stack that traps from CPL 3 use (64-bit guests). */
void kit_set_kernel_stack(uword top);

/* Hypercalls (abi.h). */
u32 kit_call(u32 call, u32 b, u32 c, u32 d);
void kit_timer(u64 period_tsc, u32 vector);
void kit_print(const char *s);
void kit_exit(u32 code) __attribute__((noreturn));

/* kit_print with one number in it, hexadecimal. */
void kit_print_value(const char *s, u64 v);

/* Interrupts on until one came, unless *ticks differs from seen already. */
void kit_wait(const volatile u32 *ticks, u32 seen);

/* Computes; n loops. */
void kit_work(u32 n);
void kit_calibrate(struct kit_rate *r);
u32 kit_loops(const struct kit_rate *r, u32 tsc);

/* Pseudo-random, never 0 from a state that is not 0. */
u32 kit_random(u32 *state);

/* A job of a real-time guest is over, at now: counts, and reports every hundredth and each miss. */
void kit_job_over(struct guest_shared *s, u64 now, u64 deadline);

/* A count for the trace: DEADLINE_KIND_* of l0/arch/ports.h. */
void kit_report(u32 kind, u32 count);

#endif
