/*
 * What the child VMM and its L2 guests agree on: where things are in a guest's memory, the page
 * they share, and the hypercalls. Guests are 64- or 32-bit, so every shared field has a fixed width
 * and is naturally aligned.
 *
 * Guest-physical memory, from 0 to shared->ram_bytes:
 *   0x1000-0x3fff  first page tables, made by the VMM (identity map, 64-bit: 1 GiB in 2 MiB pages;
 *                  32-bit: 4 GiB in 4 MiB pages)
 *   0x4000         struct guest_shared
 *   ...   0x80000  stack, downwards
 *   0x100000       the guest's image, entered at its first byte with EDI = address of the shared
 *                  page, interrupts off
 *
 * Hypercall: VMCALL at CPL 0 with EAX = HC_*, EBX, ECX, EDX = arguments; EAX = result, 0 or -1.
 */
#ifndef L1_CHILD_GUESTS_ABI_H
#define L1_CHILD_GUESTS_ABI_H

#define GUEST_TABLES 0x1000
#define GUEST_SHARED 0x4000
#define GUEST_STACK_TOP 0x80000
#define GUEST_IMAGE 0x100000

#define HC_NOP 0 /* nothing: a round trip */
#define HC_TIMER \
	1 /* periodic timer: EBX/ECX = period in TSC ticks low/high (0: off), EDX = vector */
#define HC_PRINT 2 /* EBX = guest-physical address, ECX = bytes */
#define HC_YIELD 3 /* to the end of the run queue */
#define HC_EXIT 4  /* stop this guest; EBX = code, 0 is success */

#ifndef __ASSEMBLER__
#include "l1-child/lib/types.h"

#define GUEST_TICKS_KEPT 16
#define GUEST_CHANGES 4

/* From after_tsc ticks after the guest's start on: this period and this work. */
struct guest_change {
	u64 after_tsc;
	u64 period_tsc;
	u32 work_tsc;
	u32 valid;
};

struct guest_shared {
	/* written by the VMM before the guest starts */
	u64 ram_bytes;
	u64 period_tsc; /* of the guest's own timer */
	u32 tsc_khz;
	u32 work_tsc;	   /* CPU time of one period's work */
	u32 vary_permille; /* work differs by up to this, evenly */
	u32 processes;
	u32 seed;
	u32 vector; /* that the timer is to use */
	u32 pages;  /* of code, and of data, that a guest goes round over */
	u32 reserved;
	struct guest_change change[GUEST_CHANGES];

	/* written by the VMM when a tick is due, whether or not the guest runs then */
	volatile u32 ticks; /* ticks due since the start */
	u32 round_robin;    /* set before the start: processes take turns */
	u32 has_fence;	    /* likewise: a helper process runs when real-time work is done */
	volatile u64 due_tsc[GUEST_TICKS_KEPT]; /* instant of tick n at [n % kept], n from 1 */

	/* written by the guest; the VMM shows them in its summary */
	volatile u32 jobs;
	volatile u32 misses;
	volatile u32 late_us;
	volatile u32 faults;
	volatile u64 work;
};
#endif

#endif
