/*
 * RDMSR and WRMSR of what the engine does not keep itself, and all of them for MSR lists. The table
 * is msrs.def; a number that is not in it is #GP(0), said once. Source: SDM 4.
 */
#include "l0/exit/exit_priv.h"

typedef bool (*msr_read_fn)(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v);
typedef bool (*msr_write_fn)(struct vp *vp, struct nvmx *nv, u32 msr, u64 v);

/* --- plain answers --- */

static bool msr_read_zero(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = 0;
	return true;
}
static bool msr_read_none(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	return false;
}
static bool msr_write_ro(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	return false;
}
static bool msr_write_ignore(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	return true;
}

/* --- registers of struct cpu_state --- */

static u64 *cpu_register(struct vp *vp, u32 msr)
{
	struct cpu_state *c = &vp->cpu;

	switch (msr) {
	case MSR_IA32_SYSENTER_CS: return &c->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP: return &c->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP: return &c->sysenter_eip;
	case MSR_IA32_DEBUGCTL: return &c->debugctl;
	case MSR_IA32_PAT: return &c->pat;
	case MSR_IA32_XSS: return &c->xss;
	case MSR_IA32_EFER: return &c->efer;
	case MSR_IA32_STAR: return &c->star;
	case MSR_IA32_LSTAR: return &c->lstar;
	case MSR_IA32_CSTAR: return &c->cstar;
	case MSR_IA32_FMASK: return &c->fmask;
	case MSR_IA32_FS_BASE: return &c->seg[SEG_FS].base;
	case MSR_IA32_GS_BASE: return &c->seg[SEG_GS].base;
	case MSR_IA32_KERNEL_GS_BASE: return &c->kernel_gs_base;
	default: return &c->tsc_aux;
	}
}

static bool msr_read_cpu(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	if (msr == MSR_IA32_XSS && !vp->features->has_xsaves)
		return false;
	if (msr == MSR_IA32_TSC_AUX && !vp->features->has_rdtscp)
		return false;
	*v = *cpu_register(vp, msr);
	return true;
}
static bool msr_write_cpu(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	*cpu_register(vp, msr) = msr == MSR_IA32_SYSENTER_CS ? (u32)v : v;
	return true;
}
static bool msr_write_cpu_canonical(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (!is_canonical(v, vp->features->linaddr_bits))
		return false;
	*cpu_register(vp, msr) = v;
	engine_state_changed(vp); /* bases of FS and GS */
	return true;
}
static bool msr_write_debugctl(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (v & ~(DEBUGCTL_LBR | DEBUGCTL_BTF))
		return false;
	vp->cpu.debugctl = v;
	return true;
}
static bool msr_write_pat(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	for (u32 i = 0; i < 64; i += 8) {
		u32 type = v >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	vp->cpu.pat = v;
	return true;
}
static bool msr_write_xss(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	return vp->features->has_xsaves && v == 0; /* no supervisor component */
}
static bool msr_write_fmask(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (v >> 32)
		return false;
	vp->cpu.fmask = v;
	return true;
}
static bool msr_write_tsc_aux(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (v >> 32 || !vp->features->has_rdtscp)
		return false;
	vp->cpu.tsc_aux = v;
	return true;
}

/* SDM 3A "IA32_EFER MSR": LME cannot change while paging is on, LMA is not written. */
static bool msr_write_efer(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (v & ~vp_efer_valid(vp))
		return false;
	if ((vp->cpu.cr0 & CR0_PG) && ((v ^ vp->cpu.efer) & EFER_LME))
		return false;
	vp->cpu.efer = (v & ~EFER_LMA) | (vp->cpu.efer & EFER_LMA);
	engine_state_changed(vp);
	return true;
}

/* --- time --- */

static bool msr_read_tsc(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = vp->ops->tsc(vp);
	return true;
}

static void tsc_adjusted(struct vp *vp, struct nvmx *nv, u64 delta)
{
	nv->tsc_adjust += delta;
	nv->msr.tsc_adjust += delta;
	if (nv->hooks->tsc_adjusted)
		nv->hooks->tsc_adjusted(vp);
}
static bool msr_write_tsc(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	tsc_adjusted(vp, nv, v - vp->ops->tsc(vp));
	return true;
}
static bool msr_read_tsc_adjust(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = nv->msr.tsc_adjust;
	return cpu_profile_has(nv->profile, CPU_FEATURE_TSC_ADJUST);
}
static bool msr_write_tsc_adjust(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (!cpu_profile_has(nv->profile, CPU_FEATURE_TSC_ADJUST))
		return false;
	tsc_adjusted(vp, nv, v - nv->msr.tsc_adjust);
	return true;
}
static bool msr_read_tsc_deadline(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	if (!cpu_profile_has(nv->profile, CPU_FEATURE_TSC_DEADLINE) ||
	    !nv->hooks->tsc_deadline_read)
		return false;
	*v = nv->hooks->tsc_deadline_read(vp);
	return true;
}
static bool msr_write_tsc_deadline(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (!cpu_profile_has(nv->profile, CPU_FEATURE_TSC_DEADLINE) ||
	    !nv->hooks->tsc_deadline_write)
		return false;
	nv->hooks->tsc_deadline_write(vp, v);
	return true;
}

/* --- performance counters --- */

static bool msr_read_pmu(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	return pmu_msr_read(vp, msr, v);
}
static bool msr_write_pmu(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (!pmu_msr_write(vp, msr, v))
		return false;
	if (unlikely(msr >= MSR_IA32_PERFEVTSEL0 && msr < MSR_IA32_PERFEVTSEL0 + PMU_GENERAL &&
		     pmu_is_uncounted(v)))
		exit_report_event(vp, nv, (u32)(v & 0xffff));
	return true;
}

/* --- the local APIC's --- */

static bool msr_read_apic(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	return nv->hooks->apic_msr_read && nv->hooks->apic_msr_read(vp, msr, v);
}
static bool msr_write_apic(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	return nv->hooks->apic_msr_write && nv->hooks->apic_msr_write(vp, msr, v);
}

/* --- kept in struct exit_msrs --- */

#define FEATURE_CONTROL_VALID (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX)

static bool msr_read_feature_control(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = nv->msr.feature_control;
	return vp->features->has_vmx;
}
static bool msr_write_feature_control(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if (!vp->features->has_vmx || (nv->msr.feature_control & FEATURE_CONTROL_LOCK) ||
	    (v & ~FEATURE_CONTROL_VALID))
		return false;
	nv->msr.feature_control = v;
	return true;
}

/* The microcode revision is read after writing 0 and CPUID; it never changes. */
#define MICROCODE_REVISION (0x1ull << 32)

static bool msr_read_bios_sign_id(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = MICROCODE_REVISION;
	return true;
}
static bool msr_write_bios_sign_id(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	return true;
}

static bool msr_read_arch_capabilities(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = ARCH_CAPABILITIES_NOT_CONCERNED;
	return cpu_profile_has(nv->profile, CPU_FEATURE_ARCH_CAPABILITIES);
}

/* Bits 15:8: the ratio of the non-turbo frequency to 100 MHz. */
static u64 tsc_ratio(const struct nvmx *nv)
{
	return MAX(nv->profile->tsc_hz / 100000000, 1ull) & 0xff;
}
static bool msr_read_platform_info(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = tsc_ratio(nv) << 8 | tsc_ratio(nv) << 40;
	return true;
}
static bool msr_read_perf_status(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = tsc_ratio(nv) << 8;
	return true;
}

#define MSR_PLAIN(handler, member, valid) \
	static bool msr_read_##handler(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v) \
	{ \
		*v = nv->msr.member; \
		return true; \
	} \
	static bool msr_write_##handler(struct vp *vp, struct nvmx *nv, u32 msr, u64 v) \
	{ \
		if (v & ~(u64)(valid)) \
			return false; \
		nv->msr.member = v; \
		return true; \
	}
MSR_PLAIN(mcg_status, mcg_status, 0) /* only 0 may be written */
MSR_PLAIN(perf_ctl, perf_ctl, 0x1ffff)
MSR_PLAIN(energy_perf_bias, energy_perf_bias, 0xf)
/* Unknown bits of IA32_MISC_ENABLE fault; those that say "unavailable" are read-only. Thermal
 * control, SpeedStep and xTPR messages are kept without effect; the rest changes what CPUID says
 * and the engine does. */
#define MISC_ENABLE_KEPT \
	(MISC_ENABLE_FAST_STRING | MISC_ENABLE_THERMAL_CONTROL | MISC_ENABLE_SPEEDSTEP | \
	 MISC_ENABLE_XTPR_DISABLE | MISC_ENABLE_LIMIT_CPUID)

static u64 misc_enable_writable(const struct vp *vp)
{
	return MISC_ENABLE_KEPT | (vp->features->has_monitor ? MISC_ENABLE_MONITOR : 0) |
	       (vp->features->has_nx ? MISC_ENABLE_XD_DISABLE : 0);
}
static bool msr_read_misc_enable(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = vp->cpu.misc_enable;
	return true;
}
static bool msr_write_misc_enable(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	u64 writable = misc_enable_writable(vp);

	if (v & ~(writable | MISC_ENABLE_FIXED))
		return false;
	vp->cpu.misc_enable = (v & writable) | (vp->cpu.misc_enable & MISC_ENABLE_FIXED);
	return true;
}

/* --- MTRRs, SDM 3A "Memory Type Range Registers (MTRRs)": kept and validated, without effect ---
 */

#define MTRR_CAP (MTRR_VARIABLE_COUNT | 1u << 8 | 1u << 10) /* fixed ranges, write combining */

static bool mtrr_type_ok(u64 type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}
static bool msr_read_mtrr_cap(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = MTRR_CAP;
	return true;
}
static u64 *mtrr_variable(struct nvmx *nv, u32 msr)
{
	u32 n = msr - MSR_IA32_MTRR_PHYSBASE0;

	return n & 1 ? &nv->msr.mtrr_mask[n / 2] : &nv->msr.mtrr_base[n / 2];
}
static bool msr_read_mtrr_variable(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = *mtrr_variable(nv, msr);
	return true;
}
static bool msr_write_mtrr_variable(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	u64 frame = mask_low(vp->features->maxphyaddr) & PAGE_MASK;
	bool is_mask = msr & 1;

	if (is_mask ? v & ~(frame | BIT(11)) : (v & ~(frame | 0xff)) || !mtrr_type_ok(v & 0xff))
		return false;
	*mtrr_variable(nv, msr) = v;
	return true;
}
static u64 *mtrr_fixed(struct nvmx *nv, u32 msr)
{
	if (msr == MSR_IA32_MTRR_FIX64K)
		return &nv->msr.mtrr_fixed[0];
	if (msr <= MSR_IA32_MTRR_FIX16K_A0000)
		return &nv->msr.mtrr_fixed[1 + msr - MSR_IA32_MTRR_FIX16K_80000];
	return &nv->msr.mtrr_fixed[3 + msr - MSR_IA32_MTRR_FIX4K_C0000];
}
static bool msr_read_mtrr_fixed(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = *mtrr_fixed(nv, msr);
	return true;
}
static bool msr_write_mtrr_fixed(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	for (u32 i = 0; i < 64; i += 8)
		if (!mtrr_type_ok(v >> i & 0xff))
			return false;
	*mtrr_fixed(nv, msr) = v;
	return true;
}
static bool msr_read_mtrr_def_type(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	*v = nv->msr.mtrr_def_type;
	return true;
}
static bool msr_write_mtrr_def_type(struct vp *vp, struct nvmx *nv, u32 msr, u64 v)
{
	if ((v & ~0xcffull) || !mtrr_type_ok(v & 0xff))
		return false;
	nv->msr.mtrr_def_type = v;
	return true;
}

/* --- capability MSRs --- */

static bool msr_read_vmx(struct vp *vp, struct nvmx *nv, u32 msr, u64 *v)
{
	return vmx_caps_msr(&nv->profile->caps, msr, v);
}

/* --- look-up --- */

static const struct msr_row {
	u32 first, last;
	msr_read_fn read;
	msr_write_fn write;
} msr_table[] = {
#define MSR_ROW(first, last, name, reader, writer) \
	{first, last, msr_read_##reader, msr_write_##writer},
#include "l0/arch/msrs.def"
#undef MSR_ROW
};

static const struct msr_row *msr_find(u32 msr)
{
	u32 lo = 0, hi = ARRAY_SIZE(msr_table);

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (msr > msr_table[mid].last)
			lo = mid + 1;
		else if (msr < msr_table[mid].first)
			hi = mid;
		else
			return &msr_table[mid];
	}
	return NULL;
}

bool exit_msr_read(struct vp *vp, struct nvmx *nv, u32 msr, u64 *value)
{
	const struct msr_row *row = msr_find(msr);

	if (likely(row))
		return row->read(vp, nv, msr, value);
	exit_report_msr(vp, nv, msr, false, 0);
	return false;
}

bool exit_msr_write(struct vp *vp, struct nvmx *nv, u32 msr, u64 value)
{
	const struct msr_row *row = msr_find(msr);

	if (likely(row))
		return row->write(vp, nv, msr, value);
	exit_report_msr(vp, nv, msr, true, value);
	return false;
}

enum exit_action exit_rdmsr(struct vp *vp, struct nvmx *nv)
{
	u64 v;

	if (!exit_msr_read(vp, nv, (u32)vp->cpu.gpr[RCX], &v))
		return exit_gp0(vp);
	vp->cpu.gpr[RAX] = (u32)v;
	vp->cpu.gpr[RDX] = v >> 32;
	return exit_done(vp);
}

enum exit_action exit_wrmsr(struct vp *vp, struct nvmx *nv)
{
	u64 v = (u32)vp->cpu.gpr[RAX] | vp->cpu.gpr[RDX] << 32;

	if (!exit_msr_write(vp, nv, (u32)vp->cpu.gpr[RCX], v))
		return exit_gp0(vp);
	return exit_done(vp);
}

void exit_msrs_reset(struct vp *vp, struct nvmx *nv, bool init)
{
	if (init) /* INIT leaves these alone, SDM 3A "Processor State After Reset" */
		return;
	nm_zero(&nv->msr, sizeof(nv->msr));
	nv->tsc_adjust = 0;
}
