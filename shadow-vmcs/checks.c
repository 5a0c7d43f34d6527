#include "shadow-vmcs/checks_priv.h"
#include "l0/base/mem_ops.h"

#define DEP_CTL VMCS12_DIRTY_CTL
#define DEP_INJECT VMCS12_DIRTY_INJECT
#define DEP_HOST VMCS12_DIRTY_HOST
#define DEP_SEG VMCS12_DIRTY_SEG
#define DEP_CR VMCS12_DIRTY_CR
#define DEP_RIP VMCS12_DIRTY_RIP
#define DEP_FLAGS VMCS12_DIRTY_FLAGS
#define DEP_NONREG VMCS12_DIRTY_NONREG
#define DEP_EACH VMCS12_DIRTY_EACH

_Static_assert(CHECK_COUNT <= CHECKS_WORDS * 64, "room for all checks in the index");

const struct check_info check_table[CHECK_COUNT] = {
	[CHECK_NONE] = {.name = "none", .title = "", .rule = "no check failed"},
#define ENTRY_CHECK(NAME, group, deps, predicate, arg, field, title, rule) \
	[CHECK_##NAME] = {#NAME, CHECK_GROUP_##group, deps, VMCS_##field, title, rule},
#include "l0/arch/entry_checks.def"
#undef ENTRY_CHECK
};

typedef bool (*check_fn)(const struct check_ctx *c, u32 arg);

static const struct {
	check_fn fn;
	u32 arg;
} predicates[CHECK_COUNT] = {
	[CHECK_NONE] = {check_never, 0},
#define ENTRY_CHECK(NAME, group, deps, predicate, arg, ...) \
	[CHECK_##NAME] = {check_##predicate, arg},
#include "l0/arch/entry_checks.def"
#undef ENTRY_CHECK
};

/* First and last check of each group: the table is in the order of the groups. */
#define GROUP_FIRST_CTL CHECK_PIN_RESERVED
#define GROUP_FIRST_HOST CHECK_HOST_CR0
#define GROUP_FIRST_GUEST CHECK_GUEST_CR0_FIXED
#define GROUP_FIRST_MSR CHECK_MSR_LOAD_FORBIDDEN
static const struct {
	u32 first, end;
} group_range[] = {
	[CHECK_GROUP_CTL] = {GROUP_FIRST_CTL, GROUP_FIRST_HOST},
	[CHECK_GROUP_HOST] = {GROUP_FIRST_HOST, GROUP_FIRST_GUEST},
	[CHECK_GROUP_GUEST] = {GROUP_FIRST_GUEST, GROUP_FIRST_MSR},
	[CHECK_GROUP_MSR] = {GROUP_FIRST_MSR, CHECK_COUNT},
};

/* The checks on an MSR list are made by whoever loads it. */
bool check_never(const struct check_ctx *c, u32 arg)
{
	return true;
}

void checks_index_init(struct checks_index *index)
{
	nm_zero(index, sizeof(*index));
	for (u32 id = CHECK_NONE + 1; id < CHECK_COUNT; id++)
		for (u32 g = 0; g < VMCS12_DIRTY_GROUPS; g++)
			if (check_table[id].deps >> g & 1)
				bitmap_set(index->by_group[g], id);
}

void check_ctx_init(struct check_ctx *c, const struct vmcs12 *v, const struct vmx_caps *caps,
		    const struct mem *mem, bool ia32e_now)
{
	c->v = v;
	c->caps = caps;
	c->mem = mem;
	c->ia32e_now = ia32e_now;
	c->vmptr = VMX_NO_POINTER;
	c->pin = v->pin_based_vm_exec_control;
	c->proc = v->cpu_based_vm_exec_control;
	c->proc2 = c->proc & PROC_SECONDARY ? v->secondary_vm_exec_control : 0;
	c->exit = v->vm_exit_controls;
	c->entry = v->vm_entry_controls;
	c->unrestricted = c->proc2 & PROC2_UNRESTRICTED_GUEST;
	c->ia32e_guest = c->entry & ENTRY_CTL_IA32E;
	c->v86 = v->guest_rflags & RFLAGS_VM;
	c->inject = v->vm_entry_intr_info_field & INTR_INFO_VALID;
	c->inject_type = (v->vm_entry_intr_info_field & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT;
	c->inject_vector = v->vm_entry_intr_info_field & INTR_INFO_VECTOR;
	c->msr_entry = 0;
}

bool check_passes(const struct check_ctx *c, u32 id)
{
	return predicates[id].fn(c, predicates[id].arg);
}

u32 checks_run(const struct check_ctx *c, u32 group, u32 dirty)
{
	const struct checks_index *index = &c->caps->checks;
	u32 first = group_range[group].first, end = group_range[group].end;

	for (u32 w = first / 64; w <= (end - 1) / 64; w++) {
		u64 due = 0;

		for (u32 left = dirty; left; left &= left - 1)
			due |= index->by_group[bit_lowest(left)][w];
		if (w == first / 64)
			due &= ~mask_low(first % 64);
		if (w == (end - 1) / 64)
			due &= mask_low((end - 1) % 64 + 1);
		for (; due; due &= due - 1) {
			u32 id = w * 64 + bit_lowest(due);

			if (!check_passes(c, id))
				return id;
		}
	}
	return CHECK_NONE;
}

u32 checks_run_all(const struct check_ctx *c, u32 dirty)
{
	const struct checks_index *index = &c->caps->checks;
	u64 due[CHECKS_WORDS] = {0};

	for (; dirty; dirty &= dirty - 1) {
		const u64 *group = index->by_group[bit_lowest(dirty)];

		for (u32 w = 0; w < CHECKS_WORDS; w++)
			due[w] |= group[w];
	}
	for (u32 w = 0; w < CHECKS_WORDS; w++) {
		for (; due[w]; due[w] &= due[w] - 1) {
			u32 id = w * 64 + bit_lowest(due[w]);

			if (unlikely(!check_passes(c, id)))
				return id;
		}
	}
	return CHECK_NONE;
}

u64 check_qualification(u32 id)
{
	if (id >= CHECK_GUEST_PDPTE0 && id <= CHECK_GUEST_PDPTES_IN_MEMORY)
		return ENTRY_FAIL_PDPTE;
	if (id >= CHECK_GUEST_LINK_ADDRESS && id <= CHECK_GUEST_LINK_CURRENT)
		return ENTRY_FAIL_LINK_POINTER;
	return ENTRY_FAIL_DEFAULT;
}
