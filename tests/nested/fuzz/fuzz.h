/* Shared by the parts of vmxfuzz.elf: the random numbers, the tables of EPT over the sandbox. */
#ifndef TESTS_NESTED_FUZZ_FUZZ_H
#define TESTS_NESTED_FUZZ_FUZZ_H

#include "tests/nested/vmxt.h"

#define SANDBOX (4 * MIB)

u64 rnd(void);
u64 below(u64 n);

/* Once: tables for the sandbox at guest-physical 0. Return: the top one. */
u64 *fuzz_ept_make(u8 *sandbox);
/* The page of a device: of the chip set, or a BAR of a PCI device that the machine may have. */
u64 fuzz_device(void);
/**
 * fuzz_ept_spoil - good tables again, then a few entries that lead outside RAM, to devices, to the
 * tables themselves, or are wrong
 * @ad: accessed and dirty flags are on: the processor writes to what it takes for tables
 * @any: L1 may be lost
 */
void fuzz_ept_spoil(bool ad, bool any);

#endif
