/* Near-valid VMCSs held against what the SDM says of them; part of vmxfuzz.elf (edge=1). */
#ifndef TESTS_NESTED_FUZZ_EDGE_H
#define TESTS_NESTED_FUZZ_EDGE_H

#include "tests/nested/fuzz/oracle.h"

struct edge_counts {
	u64 outcomes[ORACLE_OUTCOMES], reasons[EXIT_REASON_COUNT], hash;
};

/* Once. @room: SANDBOX bytes that @tables map at guest-physical 0; @memory_end: of RAM, the last
 * page before it is used by nobody. */
void edge_init(struct vmxt *t, u8 *room, u64 *tables, u64 memory_end);
/* One VMCS. Return: the processor did as the SDM says; otherwise the difference was printed. */
bool edge_round(struct vmxt *t, struct edge_counts *c);
/* Every @step'th combination of the 17 access-rights bits from @first on, in each kind of
 * segment. */
bool edge_rights(struct vmxt *t, struct edge_counts *c, u32 first, u32 step);

#endif
