/* Text for a failed check. Uses snprintf, so its callers park the vector state first. */
#include <stdio.h>
#include "shadow-vmcs/checks_priv.h"
#include "shadow-vmcs/vmcs12.h"

void check_explain(const struct check_ctx *c, u32 id, char *buf, size_t size)
{
	const struct check_info *i;
	const char *field;
	u64 value = 0;

	if (id == CHECK_NONE || id >= CHECK_COUNT) {
		snprintf(buf, size, "no check failed");
		return;
	}
	i = &check_table[id];
	field = vmcs_field_name(i->field);
	vmcs12_peek(c->v, i->field, &value);
	snprintf(buf, size, "check %s: %s = 0x%llx: %s (SDM 3C \"%s\")", i->name,
		 field ? field : "?", (unsigned long long)value, i->rule, i->title);
}
