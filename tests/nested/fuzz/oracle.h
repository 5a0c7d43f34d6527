/*
 * What the SDM says becomes of a VM entry with the current VMCS: worked out from VMREADs, the
 * capability MSRs and CPUID alone, written from the text of "VM Entries" a second time and in
 * another shape than the processor's own table of checks. So it can be held against any processor.
 */
#ifndef TESTS_NESTED_FUZZ_ORACLE_H
#define TESTS_NESTED_FUZZ_ORACLE_H

#include "tests/nested/vmxt.h"

enum oracle_outcome {
	ORACLE_ENTERS,
	ORACLE_CONTROLS, /* VMfailValid(7) */
	ORACLE_HOST,	 /* VMfailValid(8) */
	ORACLE_GUEST,	 /* exit 33 */
	ORACLE_MSR,	 /* exit 34 */
	ORACLE_OUTCOMES
};

struct oracle {
	enum oracle_outcome outcome;
	const char *rule;  /* the first that is broken, in few words */
	u64 qualification; /* of exits 33 and 34 */
};

/* Once: what the processor announces; RAM is below @ram_end. */
void oracle_init(struct vmxt *t, u64 ram_end);
/* The VMCS at @vmptr is current. May try WRMSR of what the VM-entry MSR-load list names. */
struct oracle oracle_ask(u64 vmptr);

#endif
