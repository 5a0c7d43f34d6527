/* explain_record_priv.h - the set of a machine's records, for explain_record*.c */
#ifndef SHADOW_VMCS_EXPLAIN_RECORD_PRIV_H
#define SHADOW_VMCS_EXPLAIN_RECORD_PRIV_H

#include "shadow-vmcs/explain_record.h"

struct vmcs_records {
	u32 lock; /* 0: free */
	u32 count;
	u64 loads;
	struct vmcs_record rec[];
};

#endif
