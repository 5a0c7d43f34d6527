/*
 * checks_index.h - which entry checks depend on which groups of fields, as bitmaps
 *
 * Filled once per machine (checks_index_init()), so that an entry runs only the checks whose fields
 * changed since they last passed. Part of struct vmx_caps.
 */
#ifndef SHADOW_VMCS_CHECKS_INDEX_H
#define SHADOW_VMCS_CHECKS_INDEX_H

#include "l0/arch/vmcs12.h"

#define CHECKS_WORDS 4u /* room for 256 checks */

struct checks_index {
	u64 by_group[VMCS12_DIRTY_GROUPS][CHECKS_WORDS];
};

#endif
