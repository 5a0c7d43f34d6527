/*
 * A page that tests of EPT look at: guest-physical PROBE, beyond the machine's RAM, mapped by one
 * small EPT entry that the test sets; everything else is mapped to itself.
 */
#ifndef TESTS_NESTED_PROBE_H
#define TESTS_NESTED_PROBE_H

#include "tests/nested/vmxt.h"

#define PROBE 0x40000000ull

/* The last-level table over PROBE: entry 0 is PROBE itself. */
extern u64 *probe_pt;

/* vmxt_prepare, EPT on, nothing at PROBE; false: skipped. */
bool probe_setup(struct vmxt *t, vmxt_guest_fn fn);

/* A new page whose second word is content. */
u64 *probe_page(u64 content);

#endif
