#include "l0/arch/vmcs12.h"
#include "l0/arch/vmx.h"

const u16 vmcs12_offset[VMCS12_KEYS] = {
#define VMCS_FIELD(encoding, NAME, name, ...) \
	[VMCS12_KEY(encoding)] = offsetof(struct vmcs12, name),
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

/* Every key of the table above fits its width and class: an index that overflowed would alias. */
#define VMCS_FIELD(encoding, ...) \
	_Static_assert(VMCS_ENCODING_INDEX(encoding) < 1u << VMCS12_INDEX_BITS, "field index");
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD

const u8 vmcs12_need[VMCS12_KEYS] = {
	[0 ... VMCS12_KEYS - 1] = NEED_NEVER,
#define VMCS_FIELD(encoding, NAME, name, width, class, flags, need, ...) \
	[VMCS12_KEY(encoding)] = NEED_##need,
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

const struct vmcs_field_info vmcs_field_table[] = {
#define VMCS_FIELD(encoding, NAME, name, width, class, flags, need, source) \
	{encoding, VMCS_WIDTH_##width, VMCS_CLASS_##class, flags, NEED_##need, #name, source},
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};
const u32 vmcs_field_count = ARRAY_SIZE(vmcs_field_table);

const char *vmcs_field_name(u32 encoding)
{
	for (u32 i = 0; i < vmcs_field_count; i++)
		if (vmcs_field_table[i].encoding == (encoding & ~VMCS_HIGH))
			return vmcs_field_table[i].name;
	return NULL;
}
