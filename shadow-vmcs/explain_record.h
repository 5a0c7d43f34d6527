/*
 * explain_record.h - what L0 remembers of each VMCS of a machine, to explain failures and misuse
 *
 * Who wrote each field last, on which processor the VMCS is active, and what its region in memory
 * held when L0 last looked: from these come the writer in an explanation and the events about use
 * that only another processor punishes. Kept only when somebody wants to know (a trace, --explain);
 * l0/exit calls it at VMPTRLD, VMCLEAR, VMWRITE and exits, the engine fills in field_writers for a
 * VMWRITE that does not exit. A machine has a fixed number of records; the one that was loaded
 * longest ago makes room. Any thread: one lock, held for a comparison of one region. Built
 * -mgeneral-regs-only.
 * Cost: a VMWRITE reads the clock and stores three words, a VMPTRLD and the flush before it compare
 * and copy one region each; lost in the noise of a run of the child VMM (docs/explain.md).
 */
#ifndef SHADOW_VMCS_EXPLAIN_RECORD_H
#define SHADOW_VMCS_EXPLAIN_RECORD_H

#include "l0/arch/vmcs12.h"

struct vmcs_records;

/* One VMCS. All but @writer and the exit's members: under the lock. */
struct vmcs_record {
	u64 vmptr;		   /* VMX_NO_POINTER: the record is free */
	u32 active_on, current_on; /* processors as in events; EVENT_NO_ID: none */
	u64 used;		   /* the number of its last load among all */
	bool has_image;		   /* @image is what memory held then */
	struct vmcs12 image;
	/* The last VM exit from it; the current processor's to write. */
	u64 exit_rip, exit_ns;
	u32 exit_vcpu;
	struct vmcs_writer writer[VMCS_FIELDS];
};

/* A finding; kind is 0 when there is none. As the event vmx_misuse has it. */
struct vmcs_misuse {
	u32 kind; /* enum vmx_misuse */
	u32 other_vcpu;
	u64 field, value, expected;
};
/* The most that one call finds: the processor, the memory. */
#define VMCS_MISUSES 2u

/* Records for a machine of @vcpus processors, or NULL. */
struct vmcs_records *vmcs_records_create(u32 vcpus);
void vmcs_records_destroy(struct vmcs_records *r);

/**
 * vmcs_record_load - VMPTRLD made a VMCS current
 * @v: the region as it was read from memory
 * @vcpu, @now_ns: by whom, when
 * @found: what is wrong, VMCS_MISUSES of them
 * Return: its record, good until vmcs_record_release().
 */
struct vmcs_record *vmcs_record_load(struct vmcs_records *r, u64 vmptr, const struct vmcs12 *v,
				     u32 vcpu, u64 now_ns, struct vmcs_misuse *found);

/**
 * vmcs_record_release - it is current no longer, but still active
 * @memory:  the region as it is just before the flush
 * @flushed: what the flush writes
 */
void vmcs_record_release(struct vmcs_records *r, struct vmcs_record *rec,
			 const struct vmcs12 *memory, const struct vmcs12 *flushed, u32 vcpu,
			 struct vmcs_misuse *found);

/* VMCLEAR on @vcpu. Other processors may load it now; its memory is the owner's again. */
void vmcs_record_clear(struct vmcs_records *r, u64 vmptr, u32 vcpu);

/* The processor was reset: nothing is active on it. */
void vmcs_records_reset(struct vmcs_records *r, u32 vcpu);

/* A VMWRITE that exited. @encoding: a field that exists. */
static inline void vmcs_record_write(struct vmcs_record *rec, u32 encoding, u64 rip, u32 vcpu,
				     u64 now_ns, u32 how)
{
	struct vmcs_writer *w = &rec->writer[vmcs12_number[VMCS12_KEY(encoding & ~VMCS_HIGH)]];

	*w = (struct vmcs_writer){.rip = rip, .when_ns = now_ns, .vcpu = vcpu, .how = how};
}

/**
 * vmcs_record_writer - who gave a field its value
 * @v: the VMCS, for what its VM exits save
 */
struct vmcs_writer vmcs_record_writer(const struct vmcs_record *rec, const struct vmcs12 *v,
				      u32 encoding);

#endif
