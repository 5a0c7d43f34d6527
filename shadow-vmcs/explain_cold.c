/* Text for a failed check. Uses snprintf, so its callers park the vector state first. */
#include <stdio.h>
#include "shadow-vmcs/checks_priv.h"
#include "shadow-vmcs/vmcs12.h"

/* Of a control word: what must be 1 and may be 1 in this model. */
static const struct vmx_allowed *allowed_of(const struct check_ctx *c, u32 id)
{
	switch (id) {
	case CHECK_PIN_RESERVED: return &c->caps->pin;
	case CHECK_PROC_RESERVED: return &c->caps->proc;
	case CHECK_PROC2_RESERVED: return &c->caps->proc2;
	case CHECK_EXIT_RESERVED: return &c->caps->exit;
	case CHECK_ENTRY_RESERVED: return &c->caps->entry;
	default: return NULL;
	}
}

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
	const struct vmx_allowed *a = allowed_of(c, id);
	char bits[80] = "";

	if (a)
		snprintf(bits, sizeof(bits), " (bits that must be 1: 0x%x, that must be 0: 0x%x)",
			 ~(u32)value & a->must_be_1, (u32)value & ~a->may_be_1);
	snprintf(buf, size, "check %s: %s = 0x%llx%s: %s (SDM 3C \"%s\")", i->name,
		 field ? field : "?", (unsigned long long)value, bits, i->rule, i->title);
}
