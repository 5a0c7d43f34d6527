/*
 * vmcs12.h - the VMCS fields by name, and struct vmcs12: the plain layout in which this processor
 * keeps a VMCS in guest memory. shadow-vmcs reads and writes it, the engine does for VMREAD and
 * VMWRITE through a shadow VMCS; the child VMM uses only the enum. Freestanding. A guest never
 * relies on the layout: it may change with the revision identifier. Cost: vmcs12_offset_of() is a
 * bounds check and one load.
 */
#ifndef L0_ARCH_VMCS12_H
#define L0_ARCH_VMCS12_H

#include "l0/base/types.h"

/* Encodings, SDM 3D appendix B "Field Encoding in VMCS". */
enum vmcs_field {
#define VMCS_FIELD(encoding, NAME, ...) VMCS_##NAME = encoding,
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

#define VMCS_HIGH 1u /* access type bit of a 64-bit field: its upper half */
/* The encodings of consecutive segment registers (ES CS SS DS FS GS LDTR TR) differ by this. */
#define VMCS_SEG_STEP 2u

#define FIELD_READ_ONLY 1u

/* Parts of an encoding, SDM 3C "Structure of VMCS Component Encoding". */
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NAT };
enum vmcs_class { VMCS_CLASS_CTL, VMCS_CLASS_RO, VMCS_CLASS_GUEST, VMCS_CLASS_HOST };
#define VMCS_ENCODING_WIDTH(e) ((e) >> 13 & 3u)
#define VMCS_ENCODING_CLASS(e) ((e) >> 10 & 3u)
#define VMCS_ENCODING_INDEX(e) ((e) >> 1 & 0x1ffu)

#define VMCS12_REVISION 0x6e737431u /* bit 31 clear: an ordinary VMCS; set in a shadow VMCS */
#define VMCS12_SHADOW_INDICATOR 0x80000000u

#define VMCS12_TYPE_16 u16
#define VMCS12_TYPE_32 u32
#define VMCS12_TYPE_64 u64
#define VMCS12_TYPE_NAT u64

struct vmcs12 {
	u32 revision_id;
	u32 abort_indicator;
	u32 launch_state; /* enum vmcs12_launch_state */
	u32 reserved;
#define VMCS_FIELD(encoding, NAME, name, width, ...) VMCS12_TYPE_##width name;
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

enum vmcs12_launch_state { VMCS12_CLEAR = 0, VMCS12_LAUNCHED = 1 };

/* SDM 3C "Format of the VMCS Region": the first two words are architectural. */
BUILD_ASSERT_OFFSET(struct vmcs12, revision_id, 0);
BUILD_ASSERT_OFFSET(struct vmcs12, abort_indicator, 4);
_Static_assert(sizeof(struct vmcs12) <= 4096, "a VMCS region is at most 4 KiB");

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

/* Index of an encoding (bit 0 dropped) in the offset table: width, class, low bits of the index. */
#define VMCS12_INDEX_BITS 6
#define VMCS12_KEY(e) \
	((VMCS_ENCODING_WIDTH(e) << 2 | VMCS_ENCODING_CLASS(e)) << VMCS12_INDEX_BITS | \
	 VMCS_ENCODING_INDEX(e))
#define VMCS12_KEYS (16u << VMCS12_INDEX_BITS)

/* Offset in struct vmcs12 by VMCS12_KEY; 0 where there is no field. */
extern const u16 vmcs12_offset[VMCS12_KEYS];
/* enum vmx_need by VMCS12_KEY; NEED_NEVER where there is no field. */
extern const u8 vmcs12_need[VMCS12_KEYS];

/* VMCS12_DIRTY_* by VMCS12_KEY; 0 for read-only data. */
extern const u16 vmcs12_group[VMCS12_KEYS];

/* Number of a field, dense, in the order of the table, by VMCS12_KEY; 0 where there is no field,
 * too. */
enum vmcs_field_number {
#define VMCS_FIELD(encoding, NAME, ...) VMCS_NUMBER_##NAME,
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
	VMCS_FIELDS
};
extern const u8 vmcs12_number[VMCS12_KEYS];
_Static_assert(VMCS_FIELDS <= 256, "a field's number is a byte");

/* The last VMWRITE of a field that L0 saw: kept for explanations (shadow-vmcs/explain_record.h).
 * The engine fills it in for a VMWRITE that does not exit. */
struct vmcs_writer {
	u64 rip;
	u64 when_ns; /* virtual time */
	u32 vcpu;    /* number of the processor, as in events */
	u32 how;     /* enum field_writer of event_enums.def */
};

/* What a field is called and where the SDM has it, for people. */
struct vmcs_field_info {
	u16 encoding;
	u8 width, class, flags, need;
	const char *name;
	const char *source;
};
extern const struct vmcs_field_info vmcs_field_table[];
extern const u32 vmcs_field_count;

/**
 * vmcs12_offset_of - byte offset of a field in struct vmcs12
 * @encoding: as an operand of VMREAD; a set bit 0 (upper half) or a reserved bit is no field here
 * Return: the offset, or 0 when there is no such field.
 */
static inline u32 vmcs12_offset_of(u64 encoding)
{
	/* bit 12 and bits 31:15 are reserved; index bits above the table's are not used by any
	 * field */
	if (encoding & ~(u64)(0x6c00u | ((1u << VMCS12_INDEX_BITS) - 1) << 1))
		return 0;
	return vmcs12_offset[VMCS12_KEY((u32)encoding)];
}

/* Size of a field's member in bytes. */
static inline u32 vmcs_field_bytes(u32 encoding)
{
	return VMCS_ENCODING_WIDTH(encoding) == VMCS_WIDTH_16	? 2
	       : VMCS_ENCODING_WIDTH(encoding) == VMCS_WIDTH_32 ? 4
								: 8;
}

/* Name of the field @encoding ("guest_cr0"), or NULL. */
const char *vmcs_field_name(u32 encoding);

#endif
