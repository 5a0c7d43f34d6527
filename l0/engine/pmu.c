#include "l0/engine/pmu.h"

#include "l0/arch/msr.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/engine/access.h"
#include "l0/engine/vp.h"

#define FIXED_SHIFT 32 /* of fixed counters in the global registers */
#define GLOBAL_VALID ((BIT(PMU_GENERAL) - 1) | (BIT(PMU_FIXED) - 1) << FIXED_SHIFT)
_Static_assert(GLOBAL_VALID == PERF_GLOBAL_CTRL_VALID, "entry checks know it from msr.h");
#define STATUS_CLEARABLE (GLOBAL_VALID | 3ull << 62)

#define SELECT_EVENT 0xffffull /* with the unit mask */
#define SELECT_USER BIT(16)
#define SELECT_KERNEL BIT(17)
#define SELECT_INTERRUPT BIT(20)
#define SELECT_ENABLE BIT(22)
#define SELECT_INVERT BIT(23)
#define SELECT_MASK_SHIFT 24
#define SELECT_RESERVED (~mask_low(32) | BIT(21))
#define EVENT_CYCLES 0x003cull
#define EVENT_REFERENCE 0x013cull
#define EVENT_INSNS 0x00c0ull
#define EVENT_BRANCHES 0x00c4ull
#define EVENT_BRANCH_MISSES 0x00c5ull

#define FIXED_KERNEL 1u
#define FIXED_USER 2u
#define FIXED_INTERRUPT 8u
#define FIXED_CTRL_VALID 0xbbbull

static u64 global_bit(u32 n)
{
	return n < PMU_GENERAL ? BIT(n) : BIT(n - PMU_GENERAL + FIXED_SHIFT);
}

static enum pmu_event event_of(u64 select)
{
	switch (select & SELECT_EVENT) {
	case EVENT_BRANCHES: return PMU_BRANCHES;
	case EVENT_BRANCH_MISSES: return PMU_BRANCH_MISSES;
	case EVENT_CYCLES:
	case EVENT_REFERENCE:
	case EVENT_INSNS: return PMU_INSNS;
	default: return PMU_NOTHING;
	}
}

bool pmu_is_uncounted(u64 select)
{
	return select & SELECT_ENABLE && event_of(select) == PMU_NOTHING;
}

/*
 * What a counter with @select counts. The counter mask asks for that many events in a cycle, and no
 * cycle has more than one: cycles with at least one are the events themselves, others never are.
 * Inverted
 * it is the other way round: never, or each cycle.
 */
static enum pmu_event select_event(u64 select)
{
	u64 mask = select >> SELECT_MASK_SHIFT & 0xff;
	bool inverts = select & SELECT_INVERT;
	enum pmu_event what = event_of(select);

	if (!(select & SELECT_ENABLE) || what == PMU_NOTHING)
		return PMU_NOTHING;
	if (!mask)
		return what;
	if (mask > 1)
		return inverts ? PMU_INSNS : PMU_NOTHING;
	return !inverts ? what : PMU_NOTHING;
}

/* What follows from the control registers. */
static void configure(struct vp *vp)
{
	struct pmu *p = &vp->pmu;

	p->user = p->kernel = p->interrupt = p->branches_in = 0;
	for (u32 n = 0; n < PMU_COUNTERS; n++) {
		bool user, kernel, interrupt;

		if (!(p->global_ctrl & global_bit(n)))
			continue;
		if (n < PMU_GENERAL) {
			p->event[n] = (u8)select_event(p->select[n]);
			bool on = p->event[n] != PMU_NOTHING;

			user = on && (p->select[n] & SELECT_USER);
			kernel = on && (p->select[n] & SELECT_KERNEL);
			interrupt = p->select[n] & SELECT_INTERRUPT;
		} else {
			u64 ctrl = p->fixed_ctrl >> 4 * (n - PMU_GENERAL);

			p->event[n] = PMU_INSNS;
			user = ctrl & FIXED_USER;
			kernel = ctrl & FIXED_KERNEL;
			interrupt = ctrl & FIXED_INTERRUPT;
		}
		p->user |= (u8)(user << n);
		p->kernel |= (u8)(kernel << n);
		p->interrupt |= (u8)(interrupt << n);
		if (p->event[n] >= PMU_BRANCHES)
			p->branches_in |=
				(u8)((user ? PMU_IN_USER : 0) | (kernel ? PMU_IN_KERNEL : 0));
	}
	p->is_counting = p->user | p->kernel;
	p->in_user = vp->cpl == 3;
	p->insns = vp->insns;
	p->branches = vp->branches.near + vp->branches.far;
	p->branch_misses = vp->branches.misses;
	if (p->branches_in || vp->mode & VP_MODE_BRANCHES)
		vp_update_mode(vp);
	vp_request(vp, VP_ATTN_REQUEST); /* the worker plans anew */
}

void pmu_reset(struct vp *vp)
{
	nm_zero(&vp->pmu, sizeof(vp->pmu));
	vp->pmu.global_ctrl = mask_low(PMU_GENERAL);
}

void pmu_sync(struct vp *vp)
{
	struct pmu *p = &vp->pmu;
	u64 branches = vp->branches.near + vp->branches.far;
	const u64 more[] = {[PMU_INSNS] = vp->insns - p->insns,
			    [PMU_BRANCHES] = branches - p->branches,
			    [PMU_BRANCH_MISSES] = vp->branches.misses - p->branch_misses};
	u8 moving = p->in_user ? p->user : p->kernel;
	bool interrupts = false;

	p->insns = vp->insns;
	p->branches = branches;
	p->branch_misses = vp->branches.misses;
	for (u32 n = 0; moving; n++, moving >>= 1) {
		if (!(moving & 1))
			continue;
		p->count[n] += more[p->event[n]];
		if (likely(!(p->count[n] >> PMU_BITS)))
			continue;
		p->count[n] &= mask_low(PMU_BITS);
		p->global_status |= global_bit(n);
		interrupts |= p->interrupt >> n & 1;
	}
	if (interrupts && vp->ops->pmi)
		vp->ops->pmi(vp);
}

/* Where the same counters count in both rings, as a kernel's watchdog has it, nothing has
 * happened. */
void pmu_ring_changed(struct vp *vp)
{
	struct pmu *p = &vp->pmu;

	if (p->user != p->kernel)
		pmu_sync(vp);
	p->in_user = vp->cpl == 3;
	if ((p->user ^ p->kernel) & p->interrupt)
		vp_request(vp, VP_ATTN_REQUEST);
}

/* An instruction moves a counter by one at most: one of branches is looked at again then. */
u64 pmu_next_overflow(const struct vp *vp)
{
	const struct pmu *p = &vp->pmu;
	u8 moving = (p->in_user ? p->user : p->kernel) & p->interrupt;
	u64 next = PMU_NEVER;

	for (u32 n = 0; moving; n++, moving >>= 1)
		if (moving & 1)
			next = MIN(next, p->insns + BIT(PMU_BITS) - p->count[n]);
	return next;
}

/* --- registers -------------------------------------------------------------------------------- */

static u64 *plain_register(struct pmu *p, u32 msr)
{
	if (msr >= MSR_IA32_PERFEVTSEL0 && msr < MSR_IA32_PERFEVTSEL0 + PMU_GENERAL)
		return &p->select[msr - MSR_IA32_PERFEVTSEL0];
	switch (msr) {
	case MSR_IA32_FIXED_CTR_CTRL: return &p->fixed_ctrl;
	case MSR_IA32_PERF_GLOBAL_STATUS: return &p->global_status;
	case MSR_IA32_PERF_GLOBAL_CTRL: return &p->global_ctrl;
	}
	return NULL;
}

static s32 counter_of(u32 msr)
{
	if (msr >= MSR_IA32_PMC0 && msr < MSR_IA32_PMC0 + PMU_GENERAL)
		return (s32)(msr - MSR_IA32_PMC0);
	if (msr >= MSR_IA32_FIXED_CTR0 && msr < MSR_IA32_FIXED_CTR0 + PMU_FIXED)
		return (s32)(PMU_GENERAL + msr - MSR_IA32_FIXED_CTR0);
	return -1;
}

bool pmu_msr_read(struct vp *vp, u32 msr, u64 *value)
{
	struct pmu *p = &vp->pmu;
	s32 n = counter_of(msr);
	u64 *plain;

	pmu_sync(vp);
	if (n >= 0) {
		*value = p->count[n];
		return true;
	}
	plain = plain_register(p, msr);
	*value = plain ? *plain : 0; /* IA32_PERF_GLOBAL_OVF_CTRL reads as 0 */
	return plain || msr == MSR_IA32_PERF_GLOBAL_OVF_CTRL;
}

static u64 reserved_bits(u32 msr)
{
	switch (msr) {
	case MSR_IA32_FIXED_CTR_CTRL: return ~FIXED_CTRL_VALID;
	case MSR_IA32_PERF_GLOBAL_CTRL: return ~PERF_GLOBAL_CTRL_VALID;
	}
	return SELECT_RESERVED;
}

bool pmu_msr_write(struct vp *vp, u32 msr, u64 value)
{
	struct pmu *p = &vp->pmu;
	s32 n = counter_of(msr);
	u64 *plain;

	if (n >= (s32)PMU_GENERAL && value >> PMU_BITS)
		return false;
	if (msr == MSR_IA32_PERF_GLOBAL_STATUS)
		return false;
	pmu_sync(vp);
	if (n >= 0) { /* a general counter takes 32 bits and their sign */
		p->count[n] =
			(n < (s32)PMU_GENERAL ? (u64)(s64)(s32)value : value) & mask_low(PMU_BITS);
		configure(vp);
		return true;
	}
	if (msr == MSR_IA32_PERF_GLOBAL_OVF_CTRL) {
		if (value & ~STATUS_CLEARABLE)
			return false;
		p->global_status &= ~value;
		return true;
	}
	plain = plain_register(p, msr);
	if (!plain || value & reserved_bits(msr))
		return false;
	*plain = value;
	configure(vp);
	return true;
}

#define RDPMC_FIXED BIT(30)

bool pmu_read_counter(struct vp *vp, u32 index, u64 *value)
{
	u32 n = (u32)(index & ~RDPMC_FIXED), limit = PMU_GENERAL;

	if (index & RDPMC_FIXED)
		limit = PMU_FIXED;
	if (n >= limit)
		return false;
	pmu_sync(vp);
	*value = vp->pmu.count[index & RDPMC_FIXED ? PMU_GENERAL + n : n];
	return true;
}
