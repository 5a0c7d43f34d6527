/*
 * vmcs12.h - access to L1's VMCS: VMREAD, VMWRITE, and its copy in guest memory
 *
 * L1's current VMCS is kept as a copy (struct vmcs12 in struct nvmx); guest memory is read at
 * VMPTRLD and written when another VMCS becomes current, at VMCLEAR and at VMXOFF. In between the
 * region in memory is stale, as the SDM allows. Never trusts what the region holds. Built
 * -mgeneral-regs-only.
 * Cost: a field access a few ns, a load or a flush one copy of the structure.
 */
#ifndef SHADOW_VMCS_VMCS12_H
#define SHADOW_VMCS_VMCS12_H

#include "l0/arch/vmcs12.h"
#include "shadow-vmcs/caps.h"

struct mem;

/**
 * vmcs12_read - a field as VMREAD gives it
 * @encoding: the operand, all 64 bits of it; bit 0 of a 64-bit field's encoding is its upper half
 * Return: true; false when the field does not exist (VMXERR_UNSUPPORTED_COMPONENT).
 * Source: SDM 3C "VMREAD-Read Field from Virtual-Machine Control Structure".
 */
bool vmcs12_read(const struct vmcs12 *v, const struct vmx_caps *caps, u64 encoding, u64 *value);

/**
 * vmcs12_write - VMWRITE
 * @dirty: gets the group of the field added (VMCS12_DIRTY_*)
 * Return: 0, VMXERR_UNSUPPORTED_COMPONENT, VMXERR_VMWRITE_READ_ONLY (only when the capability
 *         "VMWRITE to any field" is not announced).
 */
u32 vmcs12_write(struct vmcs12 *v, const struct vmx_caps *caps, u64 encoding, u64 value,
		 u32 *dirty);

/* Group of a field, 0 for read-only data. */
u32 vmcs12_group_of(u32 encoding);

/* Value of a field whatever the model announces, for dumps; false when it is none. */
bool vmcs12_peek(const struct vmcs12 *v, u32 encoding, u64 *value);

/* Copy from and to guest memory at @l1_gpa. Return: 0, -EFAULT (then nothing was changed). */
int vmcs12_load(struct vmcs12 *v, const struct mem *m, u64 l1_gpa);
int vmcs12_flush(const struct vmcs12 *v, struct mem *m, u64 l1_gpa);

/* VMCLEAR of a region that is not current here: its launch state becomes clear. */
int vmcs12_clear_in_memory(struct mem *m, u64 l1_gpa);

#endif
