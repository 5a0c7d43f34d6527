#include <stdlib.h>
#include "l0/arch/events.h"
#include "l0/arch/vmx.h"
#include "shadow-vmcs/explain_record_priv.h"

/* Room for what a machine has loaded lately; 5 KiB each. */
#define RECORDS_MIN 64u

struct vmcs_records *vmcs_records_create(u32 vcpus)
{
	u32 n = MAX(RECORDS_MIN, 4 * vcpus);
	struct vmcs_records *r = calloc(1, sizeof(*r) + n * sizeof(r->rec[0]));

	if (!r)
		return NULL;
	r->count = n;
	for (u32 i = 0; i < n; i++) {
		r->rec[i].vmptr = VMX_NO_POINTER;
		r->rec[i].active_on = r->rec[i].current_on = EVENT_NO_ID;
	}
	return r;
}

void vmcs_records_destroy(struct vmcs_records *r)
{
	free(r);
}
