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

const u8 vmcs12_number[VMCS12_KEYS] = {
#define VMCS_FIELD(encoding, NAME, ...) [VMCS12_KEY(encoding)] = VMCS_NUMBER_##NAME,
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

#define GROUP_GUEST_16(e) ((e) <= VMCS_GUEST_TR_SELECTOR ? VMCS12_DIRTY_SEG : VMCS12_DIRTY_NONREG)
#define GROUP_GUEST_64(e) ((e) == VMCS_VMCS_LINK_POINTER ? VMCS12_DIRTY_NONREG : VMCS12_DIRTY_CR)
#define GROUP_GUEST_32(e) \
	((e) <= VMCS_GUEST_TR_AR_BYTES	 ? VMCS12_DIRTY_SEG \
	 : (e) == VMCS_GUEST_SYSENTER_CS ? VMCS12_DIRTY_CR \
					 : VMCS12_DIRTY_NONREG)
#define GROUP_GUEST_NAT(e) \
	((e) >= VMCS_GUEST_ES_BASE && (e) <= VMCS_GUEST_IDTR_BASE ? VMCS12_DIRTY_SEG \
	 : (e) == VMCS_GUEST_RSP || (e) == VMCS_GUEST_RIP	  ? VMCS12_DIRTY_RIP \
	 : (e) == VMCS_GUEST_RFLAGS				  ? VMCS12_DIRTY_FLAGS \
	 : (e) == VMCS_GUEST_PENDING_DBG_EXCEPTIONS		  ? VMCS12_DIRTY_NONREG \
								  : VMCS12_DIRTY_CR)
#define GROUP_CTL(e) \
	((e) >= VMCS_VM_ENTRY_INTR_INFO_FIELD && (e) <= VMCS_VM_ENTRY_INSTRUCTION_LEN \
		 ? VMCS12_DIRTY_INJECT \
		 : VMCS12_DIRTY_CTL)
#define GROUP_OF(e, width, class) \
	(VMCS_CLASS_##class == VMCS_CLASS_CTL	 ? GROUP_CTL(e) \
	 : VMCS_CLASS_##class == VMCS_CLASS_HOST ? VMCS12_DIRTY_HOST \
	 : VMCS_CLASS_##class == VMCS_CLASS_RO	 ? 0 \
						 : GROUP_GUEST_##width(e))

const u16 vmcs12_group[VMCS12_KEYS] = {
#define VMCS_FIELD(encoding, NAME, name, width, class, ...) \
	[VMCS12_KEY(encoding)] = GROUP_OF(encoding, width, class),
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
