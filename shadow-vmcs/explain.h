/*
 * explain.h - why a check on a VM entry fails: the bits that are wrong, a value that would pass,
 * and the other fields that could be changed instead
 *
 * Called when an entry has failed and somebody wants to know (a trace, --explain, the command
 * nestor explain), never on the way of an entry that goes well. Finds the answers by trying: it
 * changes a copy of the VMCS and asks the check again, so it knows nothing that the checks do not.
 * Never changes what it explains. Cost: 10 to 100 us a check. Parks nothing: the caller has parked
 * the vector state.
 */
#ifndef SHADOW_VMCS_EXPLAIN_H
#define SHADOW_VMCS_EXPLAIN_H

#include "l0/arch/events.h"
#include "shadow-vmcs/checks.h"

#define EXPLAIN_ALSO 3u
#define EXPLAIN_TEXT_BYTES 640

#define EXPLAIN_MSR_BYTES 200

/* The entry of the VM-entry MSR-load list at which loading failed. */
struct explain_msr {
	u32 entry; /* from 1; 0: no check on the list */
	u32 msr, reserved;
	u64 at, value;	/* L1's physical address; what was to be loaded */
	bool is_memory; /* otherwise nothing was there to read */
};

/* One failing check. */
struct explain {
	u32 check, field; /* enum check_id; encoding of the field that the table shows */
	u64 value;
	bool pass_known;
	u64 pass_value;		  /* passes with all else as it is, when pass_known */
	u64 must_set, must_clear; /* wrong bits of @value */
	/* Fields that decide, too: the check passes when one of them has @pass_value instead. */
	struct explain_field {
		u32 field;
		u64 value, pass_value;
	} also[EXPLAIN_ALSO];
	u32 also_count;
	struct explain_msr msr;
};

/**
 * explain_check - look into one check that fails
 * @c:  as for check_passes(); without c->mem a check that reads memory gets no values that pass
 * @id: a check that fails now
 *
 * Of several values that pass it prefers the one with which the fewest checks fail in all, then the
 * one that differs in the fewest bits. Checks on the MSR list are no predicates: of them it shows
 * the entry of c->msr_entry, and that a list that ends before it would load.
 */
void explain_check(const struct check_ctx *c, u32 id, struct explain *e);

/* The part of it that an entry_failure event carries. */
struct explain explain_of_event(const struct ev_entry_failure *f);

/**
 * explain_text - one line: check, field, value, wrong bits, rule, SDM volume and title, what passes
 * @buf: of EXPLAIN_TEXT_BYTES
 * Return: @buf.
 */
const char *explain_text(const struct explain *e, char *buf);

/* "entry 2, at 0x5010: MSR 0xc0000100 (IA32_FS_BASE …) = 0x0"; @buf: of EXPLAIN_MSR_BYTES. Return:
 * @buf. */
const char *explain_msr_text(const struct explain_msr *m, char *buf);

/* What a VM-instruction error means and what to do about it; NULL: no such error. 0:
 * VMfailInvalid. */
const char *explain_vmx_error(u32 error);

/* What is wrong with a use of VMX, by enum vmx_misuse, and what to do about it; NULL: none such. */
const char *explain_misuse(u32 kind);

#endif
