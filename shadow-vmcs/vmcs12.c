#include "shadow-vmcs/vmcs12.h"
#include "l0/arch/vmx.h"
#include "l0/base/mem_ops.h"
#include "l0/mem/mem.h"

u32 vmcs12_group_of(u32 encoding)
{
	return vmcs12_offset_of(encoding & ~VMCS_HIGH) ? vmcs12_group[VMCS12_KEY(encoding)] : 0;
}

static inline u64 field_load(const struct vmcs12 *v, u32 encoding, u32 offset)
{
	const u8 *p = (const u8 *)v + offset;

	switch (VMCS_ENCODING_WIDTH(encoding)) {
	case VMCS_WIDTH_16: return nm_load16(p);
	case VMCS_WIDTH_32: return nm_load32(p);
	default: return nm_load64(p);
	}
}

/* Offset of a field that this model has, or 0. The upper-half bit counts for 64-bit fields only. */
static inline u32 field_offset(const struct vmx_caps *caps, u64 encoding)
{
	u32 offset;

	if ((encoding & VMCS_HIGH) && VMCS_ENCODING_WIDTH((u32)encoding) != VMCS_WIDTH_64)
		return 0;
	offset = vmcs12_offset_of(encoding & ~(u64)VMCS_HIGH);
	if (!offset || !vmx_caps_has(caps, vmcs12_need[VMCS12_KEY((u32)encoding)]))
		return 0;
	return offset;
}

bool vmcs12_read(const struct vmcs12 *v, const struct vmx_caps *caps, u64 encoding, u64 *value)
{
	u32 offset = field_offset(caps, encoding);

	if (unlikely(!offset))
		return false;
	*value = field_load(v, (u32)encoding, offset);
	if (encoding & VMCS_HIGH)
		*value >>= 32;
	return true;
}

u32 vmcs12_write(struct vmcs12 *v, const struct vmx_caps *caps, u64 encoding, u64 value, u32 *dirty)
{
	u32 offset = field_offset(caps, encoding);
	u8 *p = (u8 *)v + offset;

	if (unlikely(!offset))
		return VMXERR_UNSUPPORTED_COMPONENT;
	if (VMCS_ENCODING_CLASS((u32)encoding) == VMCS_CLASS_RO &&
	    !(caps->misc & VMX_MISC_VMWRITE_ANY))
		return VMXERR_VMWRITE_READ_ONLY;
	*dirty |= vmcs12_group[VMCS12_KEY((u32)encoding)];
	switch (VMCS_ENCODING_WIDTH((u32)encoding)) {
	case VMCS_WIDTH_16: nm_store16(p, (u16)value); break;
	case VMCS_WIDTH_32: nm_store32(p, (u32)value); break;
	default:
		if (encoding & VMCS_HIGH)
			nm_store32(p + 4, (u32)value);
		else
			nm_store64(p, value);
	}
	return 0;
}

bool vmcs12_peek(const struct vmcs12 *v, u32 encoding, u64 *value)
{
	u32 offset = vmcs12_offset_of(encoding & ~VMCS_HIGH);

	if (!offset)
		return false;
	*value = field_load(v, encoding, offset);
	return true;
}

int vmcs12_load(struct vmcs12 *v, const struct mem *m, u64 l1_gpa)
{
	return mem_read(m, l1_gpa, v, sizeof(*v));
}

int vmcs12_flush(const struct vmcs12 *v, struct mem *m, u64 l1_gpa)
{
	/* the revision identifier in memory is L1's own and is left alone */
	return mem_write(m, l1_gpa + offsetof(struct vmcs12, abort_indicator), &v->abort_indicator,
			 sizeof(*v) - offsetof(struct vmcs12, abort_indicator));
}

int vmcs12_clear_in_memory(struct mem *m, u64 l1_gpa)
{
	u32 clear = VMCS12_CLEAR;

	return mem_write(m, l1_gpa + offsetof(struct vmcs12, launch_state), &clear, sizeof(clear));
}
