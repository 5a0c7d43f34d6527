/*
 * checks.h - the checks on a VM entry (entry_checks.def) and the explanation of a failure
 *
 * l0/exit asks for one group after the other; a check is pure and reads vmcs12, the capabilities
 * and, where the SDM says so, guest memory. checks_run() skips what cannot have changed since it
 * last passed. Cost: a few ns for an entry after an exit that changed RIP only, about half a
 * microsecond for the first entry after VMPTRLD.
 */
#ifndef SHADOW_VMCS_CHECKS_H
#define SHADOW_VMCS_CHECKS_H

#include "l0/arch/vmcs12.h"
#include "shadow-vmcs/checks_index.h"

struct mem;
struct vmx_caps;

enum check_id {
	CHECK_NONE,
#define ENTRY_CHECK(NAME, ...) CHECK_##NAME,
#include "l0/arch/entry_checks.def"
#undef ENTRY_CHECK
	CHECK_COUNT,
};

enum check_group { CHECK_GROUP_CTL, CHECK_GROUP_HOST, CHECK_GROUP_GUEST, CHECK_GROUP_MSR };

/* What the predicates look at; check_ctx_init() fills the second half. */
struct check_ctx {
	const struct vmcs12 *v;
	const struct vmx_caps *caps;
	const struct mem *mem;
	bool ia32e_now; /* L1's IA32_EFER.LMA at the entry */
	u64 vmptr;	/* where @v is; VMX_NO_POINTER after check_ctx_init(): not known */

	u32 pin, proc, proc2, exit, entry; /* proc2 is 0 unless activated */
	bool unrestricted, ia32e_guest, v86, inject;
	u32 inject_type, inject_vector;
	u32 msr_entry; /* for the explanation of a check on the MSR list: at which entry, from 1 */
};

/* One row of the table, for people. */
struct check_info {
	const char *name;
	u32 group;
	u32 deps; /* VMCS12_DIRTY_* */
	u32 field;
	const char *title;
	const char *rule;
};
extern const struct check_info check_table[CHECK_COUNT];

void check_ctx_init(struct check_ctx *c, const struct vmcs12 *v, const struct vmx_caps *caps,
		    const struct mem *mem, bool ia32e_now);

/**
 * checks_run - the first check of @group that fails
 * @dirty: groups of fields that changed since all checks passed; VMCS12_DIRTY_ALL runs everything
 * Return: enum check_id, CHECK_NONE when all pass.
 */
u32 checks_run(const struct check_ctx *c, u32 group, u32 dirty);

/* The same over all groups in their order: the first that fails, and by its group what becomes of
 * the entry. */
u32 checks_run_all(const struct check_ctx *c, u32 dirty);

/* One check, whatever changed. Return: true when it passes. */
bool check_passes(const struct check_ctx *c, u32 id);

/* Exit qualification of a guest-state failure by check @id. */
u64 check_qualification(u32 id);

/* Does the check read guest memory, so that it needs c->mem? */
static inline bool check_reads_memory(u32 id)
{
	return id == CHECK_TPR_THRESHOLD_VTPR || id == CHECK_GUEST_LINK_REVISION ||
	       id == CHECK_GUEST_PDPTES_IN_MEMORY;
}

/* Fill the index in struct vmx_caps. */
void checks_index_init(struct checks_index *index);

/**
 * check_explain - one line of text: check, field, value, wrong bits of a control word, rule, SDM
 * title
 * @buf: @size bytes, always terminated. Uses snprintf: the caller has parked the vector state.
 */
void check_explain(const struct check_ctx *c, u32 id, char *buf, size_t size);

#endif
