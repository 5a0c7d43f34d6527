/*
 * A VMCS that passes every entry check: a 64-bit host, a 64-bit guest with EPT. Tests of checks and
 * of nested entry start from it and change one thing.
 */
#ifndef TESTS_UNIT_VMX_BASE_H
#define TESTS_UNIT_VMX_BASE_H

#include "l0/arch/vmcs12.h"
#include "shadow-vmcs/caps.h"

/* Physical addresses in it. */
#define BASE_EPT 0x100000ull
#define BASE_HOST_CR3 0x4000ull
#define BASE_IO_A 0x110000ull
#define BASE_IO_B 0x111000ull
#define BASE_MSR_BITMAP 0x112000ull

void vmx_base_init(struct vmcs12 *v, const struct vmx_caps *caps);

#endif
