/*
 * stale.h - what the detector of missing invalidations reports (--detect-stale)
 *
 * A plain value, handed to vtlb_config.stale by the thread that found out, between two
 * instructions'
 * memory accesses: who used a translation that the tables no longer give, who changed the tables,
 * which invalidation is missing, and what settled it. The receiver adds names and prints; it
 * changes nothing and does not call the virtual TLB. Cold.
 */
#ifndef VTLB_STALE_H
#define VTLB_STALE_H

#include "l0/arch/events.h"
#include "l0/base/types.h"

#define VTLB_NO_VP (~0u) /* a device, L0, or not known */

/* One change of a table entry. */
struct vtlb_entry_write {
	u64 gpa; /* of the entry, machine address; 0: not known, the table was not watched then */
	u64 before, after;
	u32 vp;
	u64 rip, ns;
	u8 level; /* of the table, from 1 */
	bool is_ept;
	bool is_own; /* by the machine's own code, not by what runs inside it */
};

struct vtlb_stale_report {
	/* the use */
	u32 vp, access; /* VTLB_* */
	u64 rip, ns, gva;
	u64 cr3, eptp;
	u16 vpid;
	u64 held_gpa;  /* machine address of the frame it went to */
	u64 fresh_gpa; /* the one that the tables lead to; VTLB_NO_GPA: they do not allow the use */
	struct vtlb_entry_write by;
	enum stale_missing missing;
	/* it is missing on @vp: another processor changed the entry, or has executed it */
	bool is_remote;
	u32 done_on; /* the processor that has executed one; VTLB_NO_VP: none */
	enum stale_proof proof;
	u32 proof_vp; /* STALE_PROOF_MAPPED, STALE_PROOF_WRITTEN: who, where, when */
	u64 proof_rip, proof_ns;
	bool proof_is_own;
};

/* The instruction, for people. */
const char *vtlb_missing_text(enum stale_missing missing);

#endif
