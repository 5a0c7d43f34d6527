/*
 * checks_index.h - which entry checks depend on which groups of fields, as bitmaps
 *
 * Filled once per machine (checks_index_init()), so that an entry runs only the checks whose fields
 * changed since they last passed. Part of struct vmx_caps.
 */
#ifndef SHADOW_VMCS_CHECKS_INDEX_H
#define SHADOW_VMCS_CHECKS_INDEX_H

#include "l0/base/types.h"

/* Groups of vmcs12 fields that are tracked together: what VMWRITE and VM exit changed. */
#define VMCS12_DIRTY_CTL 0x01u	  /* control fields, but for the next group */
#define VMCS12_DIRTY_INJECT 0x02u /* VM-entry interruption information, error code, length */
#define VMCS12_DIRTY_HOST 0x04u
#define VMCS12_DIRTY_SEG 0x08u	  /* guest segments, GDTR, IDTR */
#define VMCS12_DIRTY_CR 0x10u	  /* guest control and debug registers, MSRs, PDPTEs */
#define VMCS12_DIRTY_RIP 0x20u	  /* guest RIP, RSP: what nearly every exit handler writes */
#define VMCS12_DIRTY_FLAGS 0x100u /* guest RFLAGS */
#define VMCS12_DIRTY_NONREG \
	0x40u			/* activity, interruptibility, pending debug, link pointer, timer */
#define VMCS12_DIRTY_EACH 0x80u /* set at every entry: checks that read memory */
#define VMCS12_DIRTY_GROUPS 9u
#define VMCS12_DIRTY_ALL 0x1ffu

#define CHECKS_WORDS 4u /* room for 256 checks */

struct checks_index {
	u64 by_group[VMCS12_DIRTY_GROUPS][CHECKS_WORDS];
};

#endif
